//! What a pickle makes: objects that lie flat in one arena and refer to each other by index.
//!
//! So nothing is copied when the pickle refers back to it, nothing is nested as deep as the file says, and the number
//! of objects is bounded. The constructors of PyTorch that a state dict needs are here, done by hand.

use anyhow::{Context, bail, ensure};
use candle_core::DType;

use super::elements;

/// Objects a pickle may make. A state dict takes some twenty a tensor.
const MOST_OBJECTS: usize = 1_000_000;
/// Dimensions a tensor may have; convolutions have four.
const MOST_DIMENSIONS: usize = 8;

/// An index into the arena.
pub type Handle = usize;

/// What a pickle makes; texts are parts of the pickle itself.
pub enum Object<'a> {
    Text(&'a str),
    Integer(i64),
    List(Vec<Handle>),
    Tuple(Vec<Handle>),
    Dict(Vec<(Handle, Handle)>),
    Callable(Callable),
    StorageType(DType),
    Storage {
        dtype: DType,
        key: &'a str,
    },
    Tensor(StoredTensor<'a>),
    /// None, Booleans, numbers with a point, bytes: nothing that the weights depend on.
    Other,
}

#[derive(Clone, Copy)]
pub enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
}

/// A tensor as a view of a storage that lies elsewhere in the file. The strides and the offset count elements.
#[derive(Clone)]
pub struct StoredTensor<'a> {
    /// The name of the storage's entry under `data/`.
    pub key: &'a str,
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
    pub offset: usize,
    /// One past the last element of the storage that the tensor reaches; 0 for an empty tensor.
    pub end: usize,
}

/// All objects that a pickle has made.
#[derive(Default)]
pub struct Arena<'a> {
    objects: Vec<Object<'a>>,
}

impl<'a> Arena<'a> {
    pub fn add(&mut self, object: Object<'a>) -> anyhow::Result<Handle> {
        ensure!(self.objects.len() < MOST_OBJECTS, "its pickle makes more than {MOST_OBJECTS} objects");
        self.objects.push(object);
        Ok(self.objects.len() - 1)
    }

    pub fn get(&self, handle: Handle) -> &Object<'a> {
        &self.objects[handle]
    }

    pub fn get_mut(&mut self, handle: Handle) -> &mut Object<'a> {
        &mut self.objects[handle]
    }

    pub fn tensor(
        &self,
        storage: Handle,
        offset: Handle,
        shape: Handle,
        strides: Handle,
    ) -> anyhow::Result<StoredTensor<'a>> {
        let Object::Storage { dtype, key } = self.objects[storage] else { bail!("a tensor in it has no storage") };
        let (offset, shape, strides) = (self.size(offset)?, self.sizes(shape)?, self.sizes(strides)?);
        ensure!(shape.len() == strides.len(), "a tensor in it has {} sizes, {} strides", shape.len(), strides.len());
        elements::byte_length(&shape, dtype)
            .with_context(|| format!("a tensor in it claims the impossible shape {shape:?}"))?;
        let end = if shape.contains(&0) {
            Some(0)
        } else {
            shape.iter().zip(&strides).try_fold(offset.saturating_add(1), |end, (&size, &stride)| {
                (size - 1).checked_mul(stride).and_then(|span| end.checked_add(span))
            })
        };
        let end = end.context("a tensor in it has impossible strides")?;
        Ok(StoredTensor { key, dtype, shape, strides, offset, end })
    }

    /// From the persistent id of a storage: ('storage', type, key, device, number of elements).
    pub fn storage(&self, id: Handle) -> anyhow::Result<Object<'a>> {
        let &[kind, storage_type, key, ..] = self.tuple(id)? else { bail!("a storage in it is not described") };
        ensure!(self.text(kind)? == "storage", "its pickle refers to something outside that is no storage");
        let Object::StorageType(dtype) = self.objects[storage_type] else { bail!("a storage in it has no type") };
        Ok(Object::Storage { dtype, key: self.text(key)? })
    }

    pub fn text(&self, handle: Handle) -> anyhow::Result<&'a str> {
        match self.objects[handle] {
            Object::Text(text) => Ok(text),
            _ => bail!("its pickle has something else where a text belongs"),
        }
    }

    pub fn tuple(&self, handle: Handle) -> anyhow::Result<&[Handle]> {
        match &self.objects[handle] {
            Object::Tuple(items) => Ok(items),
            _ => bail!("its pickle has something else where a tuple belongs"),
        }
    }

    fn size(&self, handle: Handle) -> anyhow::Result<usize> {
        match self.objects[handle] {
            Object::Integer(value) => usize::try_from(value).context("a tensor in it has a negative size"),
            _ => bail!("its pickle has something else where a size belongs"),
        }
    }

    fn sizes(&self, handle: Handle) -> anyhow::Result<Vec<usize>> {
        let items = self.tuple(handle)?;
        ensure!(items.len() <= MOST_DIMENSIONS, "a tensor in it has {} dimensions", items.len());
        items.iter().map(|&item| self.size(item)).collect()
    }
}

/// The object of a name, where that is one that a state dict needs.
pub fn global<'a>(module: &str, name: &str) -> anyhow::Result<Object<'a>> {
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Object::Callable(Callable::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Object::Callable(Callable::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Object::Callable(Callable::RebuildParameter),
        ("torch", "FloatStorage") => Object::StorageType(DType::F32),
        ("torch", "DoubleStorage") => Object::StorageType(DType::F64),
        ("torch", "HalfStorage") => Object::StorageType(DType::F16),
        ("torch", "BFloat16Storage") => Object::StorageType(DType::BF16),
        ("torch", "LongStorage") => Object::StorageType(DType::I64),
        ("torch", "IntStorage") => Object::StorageType(DType::I32),
        ("torch", "ShortStorage") => Object::StorageType(DType::I16),
        // A Boolean is a byte of 0 or 1.
        ("torch", "ByteStorage" | "BoolStorage") => Object::StorageType(DType::U8),
        _ => {
            bail!("it refers to {module}.{name}, which a state dict of plain tensors never does; nothing of it was run")
        }
    })
}
