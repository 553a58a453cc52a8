//! State dicts from `torch.save`: a ZIP of one pickle, which names the tensors, and one entry a storage.

use std::collections::{BTreeMap, btree_map::Entry};
use std::io::{Read, Seek};

use anyhow::{Context, bail, ensure};
use candle_core::{DType, Tensor};

use super::elements;
use super::objects::{Arena, Handle, Object, StoredTensor};
use super::pickle::unpickle;
use super::zip;

/// The first bytes of what `torch.save` wrote before PyTorch 1.6: a pickled magic number.
pub const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Where training scripts put the state dict among other things; tried in this order.
const WRAPPERS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Tensors with stride 0 or a shared storage may hold more than the file; so many times more, and no further.
const MOST_EXPANSION: u64 = 4;

/// A `.pth` file: its ZIP, and the folder in it that everything lies in.
pub struct StateDict<R> {
    zip: zip::Archive<R>,
    folder: String,
    length: u64,
    pickle: Vec<u8>,
}

impl<R: Read + Seek> StateDict<R> {
    /// Opens a file of `length` bytes.
    pub fn open(input: R, length: u64) -> anyhow::Result<Self> {
        let mut zip = zip::Archive::open(input, length)?;
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
        if zip.names().any(|name| name == byte_order) {
            ensure!(zip.read(&byte_order)? == b"little", "it was saved on a big-endian machine, which is not read");
        }
        let pickle = zip.read(&format!("{folder}data.pkl"))?;
        Ok(Self { zip, folder, length, pickle })
    }

    /// Names, shapes and dtypes, without the storages.
    pub fn signature(&self) -> anyhow::Result<BTreeMap<String, (Vec<usize>, DType)>> {
        let (objects, root) = unpickle(&self.pickle)?;
        let tensors = state_dict(&objects, root)?;
        Ok(tensors.into_iter().map(|(name, tensor)| (name.to_owned(), (tensor.shape.clone(), tensor.dtype))).collect())
    }

    /// All tensors, contiguous. One storage at a time is in memory beside them.
    pub fn read(mut self) -> anyhow::Result<BTreeMap<String, Tensor>> {
        let (objects, root) = unpickle(&self.pickle)?;
        let mut by_storage: BTreeMap<&str, Vec<(&str, &StoredTensor)>> = BTreeMap::new();
        let mut total = 0u64;
        for (name, tensor) in state_dict(&objects, root)? {
            let bytes = elements::byte_length(&tensor.shape, tensor.dtype).unwrap_or(usize::MAX);
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
            let storage = self.zip.read(&format!("{}data/{key}", self.folder))?;
            for (name, view) in views {
                tensors.insert(name.to_owned(), gather(&storage, view).with_context(|| format!("{name:?}"))?);
            }
        }
        Ok(tensors)
    }
}

/// The tensors of the outermost dict that holds any, or of the one dict within that does.
fn state_dict<'a, 'b>(objects: &'b Arena<'a>, root: Handle) -> anyhow::Result<BTreeMap<&'a str, &'b StoredTensor<'a>>> {
    let Object::Dict(root) = objects.get(root) else {
        bail!("it holds no dict of tensors; save one: torch.save(model.state_dict(), FILE)")
    };
    let tensors = tensors_of(objects, root)?;
    if !tensors.is_empty() {
        return Ok(tensors);
    }
    let mut inner = BTreeMap::new();
    for &(name, value) in root {
        if let (&Object::Text(name), Object::Dict(dict)) = (objects.get(name), objects.get(value)) {
            let tensors = tensors_of(objects, dict)?;
            if !tensors.is_empty() {
                inner.insert(name, tensors);
            }
        }
    }
    if let Some(wrapper) = WRAPPERS.into_iter().find(|&name| inner.contains_key(name)) {
        return Ok(inner.remove(wrapper).unwrap_or_default());
    }
    let names: Vec<_> = inner.keys().copied().collect();
    match names[..] {
        [] => bail!("it holds no tensors; save some: torch.save(model.state_dict(), FILE)"),
        [name] => Ok(inner.remove(name).unwrap_or_default()),
        _ => bail!("it holds {} state dicts ({}); save one of them alone", names.len(), names.join(", ")),
    }
}

fn tensors_of<'a, 'b>(
    objects: &'b Arena<'a>,
    dict: &[(Handle, Handle)],
) -> anyhow::Result<BTreeMap<&'a str, &'b StoredTensor<'a>>> {
    let mut tensors = BTreeMap::new();
    for &(name, value) in dict {
        if let (&Object::Text(name), Object::Tensor(tensor)) = (objects.get(name), objects.get(value)) {
            match tensors.entry(name) {
                Entry::Occupied(_) => bail!("{name:?} comes twice in it"),
                Entry::Vacant(slot) => slot.insert(tensor),
            };
        }
    }
    Ok(tensors)
}

/// The elements of `view` in row-major order.
fn gather(storage: &[u8], view: &StoredTensor) -> anyhow::Result<Tensor> {
    let size = view.dtype.size_in_bytes();
    let reach = view.end.checked_mul(size).filter(|&end| end <= storage.len());
    ensure!(reach.is_some(), "reaches element {}, its storage has {}", view.end, storage.len() / size);
    if view.shape.contains(&0) {
        return Ok(elements::from_bytes(&[], &view.shape, view.dtype)?);
    }
    let count: usize = view.shape.iter().product();
    let mut row_major = 1;
    let contiguous = view.shape.iter().zip(&view.strides).rev().all(|(&dimension, &stride)| {
        let expected = row_major;
        row_major *= dimension;
        dimension == 1 || stride == expected
    });
    if contiguous {
        let bytes = &storage[view.offset * size..(view.offset + count) * size];
        return Ok(elements::from_bytes(bytes, &view.shape, view.dtype)?);
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
    Ok(elements::from_bytes(&bytes, &view.shape, view.dtype)?)
}
