//! Files from `torch.save`: a ZIP of one pickle, which names the tensors, and one entry a storage; or, before PyTorch 1.6,
//! pickles and storages one after another.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::ops::Range;

use anyhow::{Context, bail, ensure};
use candle_core::Tensor;

use super::elements;
use super::zip;
use crate::checkpoint::format::Signature;
use crate::checkpoint::objects::{Arena, StoredTensor};
use crate::checkpoint::pickle::unpickle;
use crate::checkpoint::tree::Tree;

/// The first bytes of what `torch.save` wrote before PyTorch 1.6: a pickled magic number.
pub const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Tensors with stride 0 or a shared storage may hold more than the file; so many times more, and no further.
const MOST_EXPANSION: u64 = 4;

/// A `.pth` file: its pickle, and where its storages lie.
pub struct TorchFile<R> {
    pickle: Vec<u8>,
    storages: Storages<R>,
    length: u64,
}

enum Storages<R> {
    Zip {
        zip: zip::ZipArchive<R>,
        /// Everything lies in one.
        folder: String,
        is_big_endian: bool,
    },
    /// The whole file, and where in it each storage lies.
    Legacy { content: Vec<u8>, places: BTreeMap<String, Range<usize>> },
}

/// What a file holds: tensors, and by name what is not read and why.
pub struct Listing {
    pub tensors: Signature,
    pub unread: BTreeMap<String, String>,
}

impl<R: Read + Seek> TorchFile<R> {
    /// Opens a file of `length` bytes.
    pub fn open(input: R, length: u64) -> anyhow::Result<Self> {
        let mut zip = zip::ZipArchive::open(input, length)?;
        let folder = zip
            .names()
            .filter_map(|name| name.strip_suffix("data.pkl"))
            .find(|folder| folder.is_empty() || folder.ends_with('/'))
            .map(str::to_owned);
        let folder = folder.context("it is a ZIP file without data.pkl: not from torch.save")?;
        if zip.names().any(|name| name == format!("{folder}constants.pkl")) {
            bail!("it is a TorchScript program, expected a state dict: torch.save(model.state_dict(), FILE)");
        }
        let byte_order = format!("{folder}byteorder");
        let has_order = zip.names().any(|name| name == byte_order);
        let is_big_endian = has_order && zip.read(&byte_order)? == b"big";
        let pickle = zip.read(&format!("{folder}data.pkl"))?;
        Ok(Self { pickle, storages: Storages::Zip { zip, folder, is_big_endian }, length })
    }

    /// Opens a file of before PyTorch 1.6, which is in memory as a whole then.
    pub fn open_legacy(mut input: R) -> anyhow::Result<Self> {
        let mut content = Vec::new();
        input.read_to_end(&mut content)?;
        // A magic number, a version, the sizes of types; then what was saved, and the keys of the storages that follow.
        let mut rest = &content[..];
        for _ in 0..3 {
            rest = unpickle(rest)?.rest;
        }
        let saved = unpickle(rest)?;
        let pickle = rest[..rest.len() - saved.rest.len()].to_vec();
        let keys = unpickle(saved.rest)?;
        let sizes: BTreeMap<_, _> = saved.objects.storages().map(|(key, element)| (key, element.size)).collect();
        let mut rest = keys.rest;
        let mut places = BTreeMap::new();
        for key in keys.objects.texts(keys.root).context("it does not list its storages")? {
            let size = *sizes.get(key).with_context(|| format!("it has a storage {key:?} of an unknown type"))?;
            let (count, data) = rest.split_first_chunk().context("its storages are truncated")?;
            let length = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(size));
            let end = length.filter(|&length| length <= data.len()).context("its storages are truncated")?;
            let start = content.len() - data.len();
            places.insert(key.to_owned(), start..start + end);
            rest = &data[end..];
        }
        let length = content.len() as u64;
        Ok(Self { pickle, storages: Storages::Legacy { content, places }, length })
    }

    /// Names, shapes and dtypes, without the storages.
    ///
    /// # Errors
    /// Where no tensor is found.
    pub fn listing(&self) -> anyhow::Result<Listing> {
        let unpickled = unpickle(&self.pickle)?;
        let tree = Tree::of(&unpickled, self.pickle.len())?;
        if tree.tensors.is_empty() {
            let objects = &unpickled.objects;
            let is_tensor = objects.is_tensor(unpickled.root);
            bail!("it {}", if is_tensor { "is one tensor without a name".into() } else { nothing(&tree, objects) })
        }
        let described = |(name, tensor): (String, &StoredTensor)| {
            tensor.element.read_as.map(|dtype| (name, (tensor.shape.clone(), dtype)))
        };
        Ok(Listing { tensors: tree.tensors.into_iter().filter_map(described).collect(), unread: tree.unread })
    }

    /// The tensors that are `wanted` by name, contiguous. One storage at a time is in memory beside them.
    pub fn read(mut self, wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<BTreeMap<String, Tensor>> {
        self.listing()?; // for its errors
        let unpickled = unpickle(&self.pickle)?;
        let tree = Tree::of(&unpickled, self.pickle.len())?;
        let mut by_storage: BTreeMap<&str, Vec<(String, &StoredTensor)>> = BTreeMap::new();
        let mut total = 0u64;
        for (name, tensor) in tree.tensors.into_iter().filter(|(name, _)| wanted(name)) {
            let size = tensor.element.read_as.map_or(1, |dtype| dtype.size_in_bytes());
            let bytes = elements::byte_length(&tensor.shape, size).unwrap_or(usize::MAX);
            total = total.saturating_add(bytes as u64);
            by_storage.entry(tensor.key).or_default().push((name, tensor));
        }
        ensure!(
            total <= self.length.saturating_mul(MOST_EXPANSION),
            "its tensors would take {total} bytes, and it has {}: they repeat what is stored once",
            self.length
        );
        let mut tensors = BTreeMap::new();
        for (key, views) in by_storage {
            let of_zip;
            let (storage, is_big_endian) = match &mut self.storages {
                Storages::Zip { zip, folder, is_big_endian } => {
                    of_zip = zip.read(&format!("{folder}data/{key}"))?;
                    (&of_zip[..], *is_big_endian)
                }
                Storages::Legacy { content, places } => {
                    let place = places.get(key).with_context(|| format!("its storage {key} is missing"))?;
                    (&content[place.clone()], false)
                }
            };
            for (name, view) in views {
                let tensor = gather(storage, view, is_big_endian).with_context(|| format!("{name:?}"))?;
                tensors.insert(name, tensor);
            }
        }
        Ok(tensors)
    }
}

/// What to say of a file without tensors.
fn nothing(tree: &Tree, objects: &Arena) -> String {
    let unread = tree.unread.iter().next().map(|(name, why)| format!("{name:?} in it is {why}, which is not read"));
    let unknown = || objects.first_unknown().map(|name| format!("it is of {name}, and nothing of that was run"));
    let rest = unread.or_else(unknown).map(|text| format!(": {text}")).unwrap_or_default();
    format!("holds no tensors{rest}; save a dict of them: torch.save(model.state_dict(), FILE)")
}

/// The elements of `view` in row-major order.
fn gather(storage: &[u8], view: &StoredTensor, is_big_endian: bool) -> anyhow::Result<Tensor> {
    let (size, Some(dtype)) = (view.element.size, view.element.read_as) else {
        bail!("is of {}, which is not read", view.element.name)
    };
    let reach = view.end.checked_mul(size).filter(|&end| end <= storage.len());
    ensure!(reach.is_some(), "reaches element {}, its storage has {}", view.end, storage.len() / size);
    if view.shape.contains(&0) {
        return Ok(elements::from_bytes(&[], &view.shape, dtype)?);
    }
    let mut bytes = in_row_major_order(storage, view, size);
    if is_big_endian {
        bytes.to_mut().chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    Ok(elements::from_bytes(&view.element.widen(bytes), &view.shape, dtype)?)
}

fn in_row_major_order<'a>(storage: &'a [u8], view: &StoredTensor, size: usize) -> Cow<'a, [u8]> {
    let count: usize = view.shape.iter().product();
    let mut row_major = 1;
    let contiguous = view.shape.iter().zip(&view.strides).rev().all(|(&dimension, &stride)| {
        let expected = row_major;
        row_major *= dimension;
        dimension == 1 || stride == expected
    });
    if contiguous {
        return storage[view.offset * size..(view.offset + count) * size].into();
    }
    let mut bytes = Vec::with_capacity(count * size);
    let mut index = vec![0; view.shape.len()];
    let mut position = view.offset;
    for _ in 0..count {
        bytes.extend_from_slice(&storage[position * size..(position + 1) * size]);
        // One step of an odometer: the last axis turns fastest.
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            position += view.strides[axis];
            if index[axis] < view.shape[axis] {
                break;
            }
            position -= view.strides[axis] * view.shape[axis];
            index[axis] = 0;
        }
    }
    bytes.into()
}
