//! Files that burst when they are opened, given to the real program: refused within a second of processor time and
//! 100 MB. And files that would do something else than be read: nothing is run, nothing is written elsewhere.

use std::fs;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;

use super::containers::{gzip, packed};
use super::kinds::claiming;
use crate::process::{Spent, spent};
use crate::runs::{Kind, Place, listing};

const SECOND: Duration = Duration::from_secs(1);
const MOST_MEMORY: u64 = 100_000_000;

pub fn run() -> String {
    let place = Place::new();
    crate::process::end_of(&mut place.begin(Kind::Vanilla, "run", &["--steps", "1"])).expect(0, "run");
    let (mut slowest, mut largest, mut count) = (Duration::ZERO, 0, 0);
    let mut refuse = |what: &str, arguments: &[&str]| {
        let Spent { ended, processor, memory } = spent(&mut place.gan(arguments));
        ended.expect(3, what);
        assert!(processor < SECOND, "{what}: {processor:?}: {}", ended.stderr);
        assert!(memory < MOST_MEMORY, "{what}: {memory} bytes: {}", ended.stderr);
        (slowest, largest, count) = (slowest.max(processor), largest.max(memory), count + 1);
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = place.work.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };

    // 10 GB of zeros in 10 MB, as images and as a batch in an archive.
    let zeros = packed(&vec![0; 64 << 20], Compression::best()).repeat(160);
    assert!(zeros.len() < 11_000_000);
    let images = [&[0, 0, 8, 3][..], &3_000_000u32.to_be_bytes(), &28u32.to_be_bytes(), &28u32.to_be_bytes()].concat();
    write("gz/train-images-idx3-ubyte.gz", &[gzip(&images), zeros.clone()].concat());
    write("gz/train-labels-idx1-ubyte.gz", &gzip(&[&[0, 0, 8, 1], &3_000_000u32.to_be_bytes()[..]].concat()));
    refuse("a .gz of 10 GB", &["train-gan", "--data", "gz"]);
    let mut header = tar::Header::new_gnu();
    header.set_path("data_batch_1.bin").unwrap();
    header.set_size(8 << 30);
    header.set_cksum();
    write("bomb.tar.gz", &[gzip(header.as_bytes()), zeros.clone()].concat());
    refuse("a .tar.gz of 10 GB", &["train-gan", "--data", "bomb.tar.gz"]);
    header.set_path("other.bin").unwrap();
    header.set_cksum();
    write("other.tar.gz", &[gzip(header.as_bytes()), zeros].concat());
    refuse("a .tar.gz of 10 GB of something else", &["train-gan", "--data", "other.tar.gz"]);

    // Pictures that claim to be large.
    for (name, side) in [("huge", 60_000u32), ("large", 16_000)] {
        write(&format!("{name}/x.png"), &png_header(side));
        write(&format!("{name}-jpeg/x.jpg"), &jpeg_header(side as u16));
        for memory in ["1GB", "0"] {
            let held = ["train-gan", "--data-memory", memory, "--data"];
            refuse("a PNG of 60,000 pixels a side", &[&held[..], &[name]].concat());
            refuse("a JPEG of 60,000 pixels a side", &[&held[..], &[&format!("{name}-jpeg")]].concat());
        }
    }

    for (name, bytes) in claiming_pictures(16_000) {
        write(&format!("{name}-claims/x.{name}"), &bytes);
        for memory in ["1GB", "0"] {
            let arguments = ["train-gan", "--data-memory", memory, "--data", &format!("{name}-claims")];
            refuse("a picture of 16,000 pixels a side", &arguments);
        }
    }

    // Archives of pictures: that claim to be large, in a file with holes, and that burst.
    header.set_path("a/x.png").unwrap();
    header.set_size(2 << 30);
    header.set_cksum();
    let mut long = header.clone();
    long.set_entry_type(tar::EntryType::GNULongName);
    long.set_cksum();
    for (name, header) in [("claims", &header), ("names", &long)] {
        write(&format!("{name}/x.tar"), header.as_bytes());
        refuse("a picture of 2 GiB that is not there", &["train-gan", "--data", &format!("{name}/x.tar")]);
        let file = fs::File::options().write(true).open(place.work.path(&format!("{name}/x.tar"))).unwrap();
        file.set_len(3 << 30).unwrap();
        refuse("2 GiB of nothing", &["train-gan", "--data", &format!("{name}/x.tar")]);
    }
    for begin in [&b""[..], &png_header(16_000)] {
        write("bursts/x.zip", &zip_of_zeros(begin, 200 << 20));
        for memory in ["1GB", "0"] {
            refuse("a .zip of 200 MiB of zeros", &["train-gan", "--data", "bursts/x.zip", "--data-memory", memory]);
        }
    }

    // Headers that claim 2^32 items and more.
    write("idx/train-images-idx3-ubyte", &[0u8, 0, 8, 3].into_iter().chain([0xff; 12]).collect::<Vec<u8>>());
    write("idx/train-labels-idx1-ubyte", &[0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff, 1]);
    refuse("2^32 images", &["train-gan", "--data", "idx"]);
    for (shape, end) in [("[4294967296]", "17179869184"), ("[4294967296,4294967296,4]", "0"), ("[1099511627776]", "8")]
    {
        write("x.safetensors", &claiming(shape, end));
        refuse("2^32 numbers", &["sample", "--weights", "x.safetensors", "-o", "x.png"]);
    }
    write("x.safetensors", &[&(1u64 << 32).to_le_bytes()[..], b"{}"].concat());
    refuse("a header of 4 GiB", &["inspect", "x.safetensors"]);
    let npy = b"\x93NUMPY\x01\x00\x3d\x00{'descr':'<f4','fortran_order':False,'shape':(4294967296,8)}\n";
    write("x.npy", npy);
    refuse("2^32 latents", &["sample", "--latents", "x.npy", "-o", "x.png"]);

    // Pickles of a few megabytes: of empty lists, of what is remembered, of long names, nested, and all in a file of
    // before 1.6.
    let names: Vec<u8> = (0..200_000u32).flat_map(|n| [b"J", &n.to_le_bytes()[..], b"h\x00"].concat()).collect();
    let long = [&b"}X\x40\x42\x0f\x00"[..], &vec![b'k'; 1_000_000], b"}q\x00", b"(", &names, b"us"].concat();
    for (what, program) in [
        ("empty lists", vec![b']'; 4_000_000]),
        ("what is remembered", [&b"N"[..], &vec![0x94; 4_000_000]].concat()),
        ("long names", [&b"ca\nb\nq\x00"[..], &long].concat()),
        ("nested dicts", b"}X\x01\x00\x00\x00k".repeat(500_000)),
        ("nested tuples", [&b")"[..], &vec![0x85; 4_000_000]].concat()),
    ] {
        let pickle = [&b"\x80\x02"[..], &program, b"."].concat();
        write("x.pth", &archive(&pickle));
        refuse(what, &["sample", "--weights", "x.pth", "-o", "x.png"]);
        let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
        write("x.pth", &[&magic[..], &pickle].concat());
        refuse(what, &["sample", "--weights", "x.pth", "-o", "x.png"]);
    }

    // Deep JSON.
    let deep = |open: &str| open.repeat(1_000_000 / open.len());
    for open in ["[", "{\"a\":", "{\"__metadata__\":"] {
        let json = format!("{{\"w\":{}", deep(open));
        write("x.safetensors", &[&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat());
        refuse("a deep header", &["inspect", "x.safetensors"]);
        let config = fs::read(place.work.path("weights/run/config.json")).unwrap();
        write("weights/run/config.json", deep(open).as_bytes());
        refuse("a deep configuration", &["train-gan", "--resume", "run", "--steps", "2"]);
        write("weights/run/config.json", &config);
    }

    harmless(&place);
    format!(
        "{count} bombs refused in {:.2} s of processor time and {} MB at most; no code run, no file elsewhere",
        slowest.as_secs_f64(),
        largest / 1_000_000
    )
}

/// A .pth that calls a shell, and an archive whose paths lead out of it.
fn harmless(place: &Place) {
    let before = listing(&place.work.path(""));
    let hostile = Path::new(&crate::support::repository()).join("tests/fixtures/hostile.pth");
    let hostile = hostile.to_str().unwrap();
    crate::process::end_of(&mut place.gan(&["inspect", hostile])).expect(0, "code in a .pth");
    crate::process::end_of(&mut place.gan(&["sample", "--weights", hostile])).expect(3, "code in a .pth");

    let mut archive = tar::Builder::new(Vec::new());
    for name in ["../outside/data_batch_1.bin", "/outside/data_batch_2.bin", "../../evil", "/evil"] {
        let mut header = tar::Header::new_gnu();
        // set_path itself refuses such names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(3073);
        header.set_cksum();
        archive.append(&header, &[0u8; 3073][..]).unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_path("data_batch_3.bin").unwrap();
    link.set_link_name("/etc/passwd").unwrap();
    link.set_size(0);
    link.set_cksum();
    archive.append(&link, &[][..]).unwrap();
    fs::write(place.work.path("paths.tar"), archive.into_inner().unwrap()).unwrap();
    crate::process::end_of(&mut place.gan(&["train-gan", "--data", "paths.tar", "--run", "paths"])).expect(3, "paths");
    let mut after = listing(&place.work.path(""));
    after.retain(|name| name != "paths.tar");
    assert_eq!(before, after);
    assert!(!Path::new("/evil").exists() && !Path::new("/outside").exists());
    assert!(!place.work.path("../outside").exists() && !place.work.path("../../evil").exists());
}

/// A .pth of one pickle.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", stored).unwrap();
    std::io::Write::write_all(&mut zip, pickle).unwrap();
    zip.finish().unwrap().into_inner()
}

/// A zip file of one picture that begins so and goes on with zeros.
fn zip_of_zeros(begin: &[u8], zeros: usize) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a/x.png", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut zip, begin).unwrap();
    for _ in 0..zeros >> 20 {
        std::io::Write::write_all(&mut zip, &vec![0; 1 << 20]).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn png_header(side: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend([side.to_be_bytes(), side.to_be_bytes()].concat());
    chunk.extend([8, 2, 0, 0, 0]); // RGB
    let mut crc = flate2::Crc::new();
    crc.update(&chunk);
    let data = b"\x00\x00\x00\x02IDAT\x78\x9c\x00\x00\x00\x00";
    [&b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"[..], &chunk, &crc.sum().to_be_bytes(), data].concat()
}

/// Pictures of the other formats, of hardly a byte, whose headers claim `side` pixels a side; and a GIF whose frame does,
/// on a screen of one pixel.
fn claiming_pictures(side: u16) -> Vec<(&'static str, Vec<u8>)> {
    let wide = u32::from(side);
    // Lossless: its signature, fourteen bits of each side less one, and a stream of nothing.
    let size = ((wide - 1) | ((wide - 1) << 14)).to_le_bytes();
    let lossless = [&b"VP8L\x0a\0\0\0\x2f"[..], &size, &[0; 5]].concat();
    let webp = [&b"RIFF"[..], &(lossless.len() as u32 + 4).to_le_bytes(), b"WEBP", &lossless].concat();
    let header =
        [&40u32.to_le_bytes()[..], &wide.to_le_bytes(), &wide.to_le_bytes(), &[1, 0, 24, 0], &[0; 24]].concat();
    let bmp = [&b"BM"[..], &54u32.to_le_bytes(), &[0; 4], &54u32.to_le_bytes(), &header].concat();
    let sides = [side.to_le_bytes(), side.to_le_bytes()].concat();
    let gif =
        [&b"GIF89a"[..], &sides, &[0x80, 0, 0], &[0; 6], b",\0\0\0\0", &sides, &[0, 2, 1, 0x44, 0, b';']].concat();
    let frame = [&b"GIF89a\x01\0\x01\0"[..], &gif[10..]].concat();
    let entry = |tag: u16, kind: u16, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1u32.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let entries = [(256, 4, wide), (257, 4, wide), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, wide)];
    let entries: Vec<u8> =
        entries.into_iter().chain([(279, 4, wide * wide)]).flat_map(|(t, k, v)| entry(t, k, v)).collect();
    let tiff = [&b"II*\0\x08\0\0\0\x08\0"[..], &entries, &[0; 4]].concat();
    let pnm = format!("P6 {side} {side} 255\n").into_bytes();
    vec![("webp", webp), ("bmp", bmp), ("gif", gif), ("jpe", frame), ("tif", tiff), ("ppm", pnm)]
}

fn jpeg_header(side: u16) -> Vec<u8> {
    let picture = image::DynamicImage::from(image::RgbImage::new(8, 8));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    let mut bytes = bytes.into_inner();
    // The frame header: marker, length, precision, height, width.
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
    bytes
}
