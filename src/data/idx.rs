//! IDX files: the format of MNIST and of the sets made after it, plain or gzip.
//!
//! A header (two zero bytes, the element type, the number of dimensions, then each dimension as a big-endian u32) and
//! the elements, row-major. Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database". candle's reader allocates
//! what the header claims; this one believes nothing that the bytes do not bear out.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::{Dataset, Images, MAX_PIXELS};
use crate::error::Error;

/// The element type u8, the only one here.
const TYPE_U8: u8 = 8;
/// Reserved before any element is read, at most, for MNIST's images, which take 45 MiB; beyond it the buffer grows with
/// what really arrives.
const FIRST_RESERVE: u64 = 48 << 20;
/// Of a gzip file, so many bytes may come out whatever went in, ...
const FREE_EXPANSION: u64 = 16 << 20;
/// ... and beyond them so many for one. MNIST's files have 5, sparse drawings 100; zeros, packed well, 1030.
const MOST_EXPANSION: u64 = 150;

/// The content of an IDX file of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// The sizes of the array, the number of items first.
    pub dims: Vec<usize>,
    /// Row-major, the product of `dims` long.
    pub data: Vec<u8>,
}

impl Idx {
    /// SHA-256 (hexadecimal) of the file without its packing.
    pub fn sha256(&self) -> String {
        sha256(&self.dims, &self.data)
    }
}

/// SHA-256 (hexadecimal) of the IDX file that holds `data` in `dims`, whatever it was read from.
pub fn sha256(dims: &[usize], data: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update([0, 0, TYPE_U8, dims.len() as u8]);
    for dim in dims {
        hash.update((*dim as u32).to_be_bytes());
    }
    hash.update(data);
    hex(&hash.finalize())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Opens `path` and takes off gzip, which is known by its first two bytes, not by the file's name. A file that unpacks to
/// more than `MOST_EXPANSION` times its size, beyond `FREE_EXPANSION`, is refused where it does.
pub fn unpacked(path: &Path) -> std::io::Result<Box<dyn Read>> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(Unpacking { content: MultiGzDecoder::new(Packed { file, bytes: 0 }), bytes: 0 }))
    } else {
        Ok(Box::new(file))
    }
}

/// A gzip stream in the taking off.
struct Unpacking {
    content: MultiGzDecoder<Packed>,
    bytes: u64,
}

impl Read for Unpacking {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.bytes += read as u64;
        let packed = self.content.get_ref().bytes;
        if self.bytes > FREE_EXPANSION && self.bytes / MOST_EXPANSION > packed {
            let unpacked = self.bytes >> 20;
            let text = format!("its first {packed} bytes unpack to {unpacked} MiB, which no set of images does");
            return Err(std::io::Error::other(text));
        }
        Ok(read)
    }
}

/// Counts what is used of a file.
struct Packed {
    file: BufReader<File>,
    bytes: u64,
}

impl Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl BufRead for Packed {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.file.fill_buf()
    }

    fn consume(&mut self, used: usize) {
        self.bytes += used as u64;
        self.file.consume(used);
    }
}

/// Reads an IDX file of bytes with one of the numbers of dimensions in `ranks`.
///
/// [`Error::Input`] where the header is not that, claims more than [`MAX_PIXELS`], or disagrees with the number of
/// bytes that follow it. Never holds more than the file really has (and 48 MiB).
pub fn read(path: &Path, ranks: &[usize]) -> Result<Idx> {
    let fail = |text: String| Error::Input(format!("{}: {text}", path.display()));
    let cut_short = |error: std::io::Error, what: &str| match error.kind() {
        ErrorKind::UnexpectedEof => fail(format!("ends inside {what}: cut short; copy or download it again")),
        _ => fail(format!("cannot be read: {error}; copy or download it again")),
    };
    let mut reader = unpacked(path).map_err(|error| Error::reading(path, error))?;

    let mut magic = [0; 4];
    reader.read_exact(&mut magic).map_err(|error| cut_short(error, "the IDX header"))?;
    let rank = usize::from(magic[3]);
    if magic[..3] != [0, 0, TYPE_U8] || !ranks.contains(&rank) {
        let expected: Vec<String> = ranks.iter().map(|rank| format!("00 00 08 {rank:02x}")).collect();
        let found = magic.map(|byte| format!("{byte:02x}")).join(" ");
        bail!(fail(format!("no IDX file of this kind: begins with {found}, expected {}", expected.join(" or "))));
    }
    let mut dims = Vec::with_capacity(rank);
    for _ in 0..rank {
        let mut dim = [0; 4];
        reader.read_exact(&mut dim).map_err(|error| cut_short(error, "the IDX header"))?;
        dims.push(u32::from_be_bytes(dim) as usize);
    }
    let claim = dims.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    let bytes = dims.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim as u64));
    let Some(bytes) = bytes.filter(|bytes| (1..=MAX_PIXELS).contains(bytes)) else {
        bail!(fail(format!("the header claims {claim} bytes, expected between 1 and {MAX_PIXELS}")));
    };

    let mut data = Vec::with_capacity(bytes.min(FIRST_RESERVE) as usize);
    reader.by_ref().take(bytes).read_to_end(&mut data).map_err(|error| cut_short(error, "the data"))?;
    if (data.len() as u64) < bytes {
        let found = data.len();
        bail!(fail(format!("the header claims {claim} bytes, {found} follow: cut short; copy or download it again")));
    }
    // To the end: for bytes too many, and because gzip's own checksum stands there.
    match reader.read(&mut [0]) {
        Ok(0) => Ok(Idx { dims, data }),
        Ok(_) => bail!(fail(format!("the header claims {claim} bytes, more follow: the header or the file is wrong"))),
        Err(error) => bail!(cut_short(error, "the data")),
    }
}

/// The images of an IDX file, without labels: (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels.
pub fn images(path: &Path) -> Result<Images> {
    let Idx { dims, data } = read(path, &[3, 4])?;
    let images = |height, width, channels, pixels| Images { height, width, channels, pixels, labels: Vec::new() };
    match dims[..] {
        [_, height, width] => Ok(images(height, width, 1, data)),
        [_, height, width, channels @ (1 | 3)] => Ok(images(height, width, channels, data)),
        [_, channels @ (1 | 3), height, width] => {
            let plane = height * width;
            let mut pixels = Vec::with_capacity(data.len());
            for image in data.chunks_exact(channels * plane) {
                pixels.extend((0..plane).flat_map(|at| (0..channels).map(move |channel| image[channel * plane + at])));
            }
            Ok(images(height, width, channels, pixels))
        }
        _ => bail!(Error::Input(format!(
            "{}: images of {:?}, expected 1 or 3 channels first or last",
            path.display(),
            &dims[1..]
        ))),
    }
}

/// One half of a set in IDX files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdxPart {
    /// The training images.
    Train,
    /// The test images.
    Test,
}

impl IdxPart {
    fn stems(self) -> &'static [&'static str] {
        match self {
            IdxPart::Train => &["train"],
            IdxPart::Test => &["t10k", "test"],
        }
    }
}

/// The names under which a part's images and labels are looked for: MNIST's, or with a dot in place of the second
/// dash; `.gz` may follow.
pub fn names(part: IdxPart, what: &str) -> Vec<String> {
    let kinds: &[&str] = if what == "labels" { &["idx1"] } else { &["idx3", "idx4"] };
    let mut names = Vec::new();
    for stem in part.stems() {
        for kind in kinds {
            for separator in ['-', '.'] {
                names.push(format!("{stem}-{what}{separator}{kind}-ubyte"));
                names.push(format!("{stem}-{what}{separator}{kind}-ubyte.gz"));
            }
        }
    }
    names
}

/// The file of a part's `images` or `labels` in `directory`, if it is there.
pub fn find(directory: &Path, part: IdxPart, what: &str) -> Option<PathBuf> {
    names(part, what).into_iter().map(|name| directory.join(name)).find(|path| path.is_file())
}

/// The folder of IDX files that `directory` is, known by a name in it that ends like one, or holds under the name `raw`,
/// where torchvision puts them.
pub fn source(directory: &Path) -> Result<Option<PathBuf>> {
    if is_source(directory)? {
        return Ok(Some(directory.to_path_buf()));
    }
    let is_raw =
        |path: &PathBuf| path.is_dir() && path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("raw"));
    match super::entries(directory)?.into_iter().find(is_raw) {
        Some(raw) => Ok(is_source(&raw)?.then_some(raw)),
        None => Ok(None),
    }
}

fn is_source(directory: &Path) -> Result<bool> {
    let is_idx = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        ["idx1-ubyte", "idx3-ubyte", "idx4-ubyte"].iter().any(|end| name.ends_with(end)) && path.is_file()
    };
    Ok(super::entries(directory)?.iter().any(is_idx))
}

/// A part from its two files; [`Error::Input`] where they do not hold one label an image.
pub fn part(images_path: &Path, labels_path: &Path) -> Result<Images> {
    let (images, labels) = rayon::join(|| images(images_path), || read(labels_path, &[1]));
    let (images, labels) = (images?, labels?.data);
    if labels.len() != images.len() {
        bail!(Error::Input(format!(
            "{}: {} labels for the {} images of {}; the two files belong to different sets",
            labels_path.display(),
            labels.len(),
            images.len(),
            images_path.display()
        )));
    }
    Ok(Images { labels: labels.into_iter().map(u32::from).collect(), ..images })
}

/// The set in `directory`: the four files of MNIST, of any size. Without test files the test part is empty; without
/// train files, or with only one of the two test files, [`Error::Input`]. The classes are named by their numbers.
pub fn open(directory: &Path) -> Result<Dataset> {
    let paths = |part: IdxPart| {
        let missing = |what: &str| {
            let names: Vec<_> = names(part, what).into_iter().filter(|name| !name.ends_with(".gz")).collect();
            Error::Input(format!(
                "{}: no {what} to {} on; looked for {} (each also as .gz)",
                directory.display(),
                if part == IdxPart::Train { "train" } else { "test" },
                names.join(", ")
            ))
        };
        let [images, labels] =
            ["images", "labels"].map(|what| find(directory, part, what).ok_or_else(|| missing(what)));
        (images, labels)
    };
    let (train_images, train_labels) = paths(IdxPart::Train);
    let train = part(&train_images?, &train_labels?)?;
    let test = match paths(IdxPart::Test) {
        (Err(_), Err(_)) => Images::empty(train.shape()),
        (images, labels) => part(&images?, &labels?)?,
    };
    let highest = train.labels.iter().chain(&test.labels).copied().max().unwrap_or(0);
    let classes = (0..=highest).map(|class| class.to_string()).collect();
    Ok(Dataset::new("", classes, train, test))
}
