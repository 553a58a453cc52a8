//! A checkpoint as a file: tensors by name, with metadata.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::bail;
use candle_core::Tensor;

use super::pytorch;
use super::{atomic, safetensors, zip};
use crate::checkpoint::pytorch::TorchFile;
use crate::error::{Error, legible};

pub use crate::params::Signature;

/// Tensors by name, in the order of their names, with the metadata of the safetensors header.
///
/// The dtypes are f64, f32, f16, bf16, i64, i32, i16, u32 and u8; the tensors are on the CPU after reading.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: BTreeMap<String, String>,
}

impl Archive {
    /// What is in it, without the values.
    pub fn signature(&self) -> Signature {
        let describe = |tensor: &Tensor| (tensor.dims().to_vec(), tensor.dtype());
        self.tensors.iter().map(|(name, tensor)| (name.clone(), describe(tensor))).collect()
    }
}

/// The kind of file that a checkpoint lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Safetensors,
    /// What `torch.save` writes.
    Torch,
    /// What it wrote before PyTorch 1.6.
    LegacyTorch,
}

/// What is in a file, read without its tensors.
#[derive(Clone, Debug)]
pub struct Description {
    pub container: Container,
    pub tensors: Signature,
    /// By name, what may be a tensor and is not read, and why: types that nothing here computes with, objects of Python's.
    pub unread: BTreeMap<String, String>,
    pub metadata: BTreeMap<String, String>,
    /// Of the whole file.
    pub bytes: u64,
}

/// Reads a `.safetensors` file or what `torch.save` wrote, told apart by content: every tensor under the path of keys
/// that leads to it, such as `state_dict.module.0.weight`. What is not read is left out. No code in the file is run, and
/// the memory is at most about twice that of the file.
///
/// # Errors
/// [`Error::Input`] where the file is missing, is no checkpoint, or is damaged, truncated or hostile.
pub fn read(path: &Path) -> anyhow::Result<Archive> {
    read_some(path, &|_| true)
}

/// As [`read`], of the tensors that are `wanted` by name.
///
/// # Errors
/// As [`read`].
pub fn read_some(path: &Path, wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<Archive> {
    in_file(path, |mut opened| match opened.container {
        Container::Safetensors => {
            let header = safetensors::read_header(&mut opened.input, opened.bytes)?;
            let tensors = safetensors::read_tensors(&mut opened.input, &header, wanted)?;
            Ok(Archive { tensors, metadata: header.metadata })
        }
        Container::Torch | Container::LegacyTorch => {
            Ok(Archive { tensors: opened.torch_file()?.read(wanted)?, metadata: BTreeMap::new() })
        }
    })
}

/// Reads a safetensors file that is in memory; `what` names it in errors.
///
/// # Errors
/// [`Error::Input`] where it is damaged.
pub fn from_bytes(bytes: &[u8], what: &str) -> anyhow::Result<Archive> {
    let read = |mut input: io::Cursor<&[u8]>| {
        let header = safetensors::read_header(&mut input, bytes.len() as u64)?;
        let tensors = safetensors::read_tensors(&mut input, &header, &|_| true)?;
        Ok(Archive { tensors, metadata: header.metadata })
    };
    read(io::Cursor::new(bytes))
        .map_err(|error: anyhow::Error| Error::reading(Path::new(what), format!("{error:#}")).into())
}

/// Names, shapes, dtypes and metadata, without reading the tensors. A file that this takes may still be refused by
/// [`read`] where a storage in a `.pth` is damaged.
///
/// # Errors
/// As [`read`].
pub fn describe(path: &Path) -> anyhow::Result<Description> {
    in_file(path, |mut opened| {
        let (container, bytes) = (opened.container, opened.bytes);
        let (tensors, unread, metadata) = match container {
            Container::Safetensors => {
                let header = safetensors::read_header(&mut opened.input, opened.bytes)?;
                (header.tensors(), header.unread(), header.metadata)
            }
            Container::Torch | Container::LegacyTorch => {
                let listing = opened.torch_file()?.listing()?;
                (listing.tensors, listing.unread, BTreeMap::new())
            }
        };
        Ok(Description { container, tensors, unread, metadata, bytes })
    })
}

/// Writes a safetensors file in one step ([`atomic::write`]), one tensor at a time. `format: pt` is added to the
/// metadata. The same archive gives the same bytes, which the reference implementation reads.
///
/// # Errors
/// [`Error::Storage`] where the disk is full or the place not writable.
pub fn write(path: &Path, archive: &Archive) -> anyhow::Result<()> {
    let (header, tensors) = safetensors::header(&archive.tensors, &archive.metadata)?;
    atomic::write(path, |out| safetensors::write(&header, &tensors, out))
}

/// The bytes that [`write()`] writes.
///
/// # Errors
/// A dtype that no checkpoint holds.
pub fn to_bytes(archive: &Archive) -> anyhow::Result<Vec<u8>> {
    let (header, tensors) = safetensors::header(&archive.tensors, &archive.metadata)?;
    let mut bytes = Vec::new();
    safetensors::write(&header, &tensors, &mut bytes)?;
    Ok(bytes)
}

/// An open file, its length, and what it looks like.
struct Opened {
    input: BufReader<File>,
    bytes: u64,
    container: Container,
}

impl Opened {
    fn torch_file(self) -> anyhow::Result<TorchFile<BufReader<File>>> {
        match self.container {
            Container::LegacyTorch => TorchFile::open_legacy(self.input),
            _ => TorchFile::open(self.input, self.bytes),
        }
    }
}

fn in_file<T>(path: &Path, read: impl FnOnce(Opened) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let named = |error: anyhow::Error| Error::reading(path, legible(&format!("{error:#}"))).into();
    open(path).and_then(read).map_err(named)
}

fn open(path: &Path) -> anyhow::Result<Opened> {
    // Looked at before it is opened: opening a pipe would wait for its writer.
    let found = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("there is no such file")
        }
        found => found?,
    };
    if !found.is_file() {
        bail!("it is {}, expected a checkpoint file", if found.is_dir() { "a directory" } else { "no regular file" });
    }
    let mut input = BufReader::new(File::open(path)?);
    let bytes = input.get_ref().metadata()?.len();
    let mut start = Vec::new();
    input.by_ref().take(16).read_to_end(&mut start)?;
    input.seek(SeekFrom::Start(0))?;
    Ok(Opened { input, bytes, container: recognise(&start)? })
}

/// Tells the containers apart by their first bytes. A safetensors header opens with a brace after eight bytes of length;
/// in a ZIP that place is a compression method, and no method has that number.
fn recognise(start: &[u8]) -> anyhow::Result<Container> {
    if start.get(8) == Some(&b'{') {
        Ok(Container::Safetensors)
    } else if start.starts_with(zip::MAGIC) {
        Ok(Container::Torch)
    } else if start.starts_with(pytorch::LEGACY_MAGIC) {
        Ok(Container::LegacyTorch)
    } else if start.is_empty() {
        bail!("it is empty, expected a safetensors file or a PyTorch state dict")
    } else if start.starts_with(b"version https://") {
        bail!("it is a Git LFS pointer, not the checkpoint itself; fetch that with: git lfs pull")
    } else {
        bail!("it is neither a safetensors file nor a PyTorch state dict")
    }
}
