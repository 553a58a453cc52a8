//! What a pickle makes: values, and objects that lie flat in one arena and are referred to by index.
//!
//! So nothing is copied when the pickle refers back to it, nothing is nested as deep as the file says, and what is kept
//! is bounded. The constructors of PyTorch that tensors need are here, done by hand. Whatever else a file mentions is
//! [`Value::Unknown`]: it can be called, filled and given attributes, and stays what it is.

use anyhow::{Context, bail, ensure};

use super::elements;
use crate::checkpoint::element::Element;

/// What a pickle may keep at a time, in [`Value`]s of 24 bytes. A tensor takes some sixty, with all that describes it.
const MOST_VALUES: usize = 1_000_000;
/// An object takes as much as so many values.
const VALUES_AN_OBJECT: usize = 4;
/// Characters of a name that are quoted.
const LONGEST_NAME: usize = 80;
/// Dimensions a tensor may have in PyTorch.
const MOST_DIMENSIONS: usize = 64;

/// An index into the arena.
pub type Handle = usize;

/// What a pickle computes with; texts are parts of the pickle itself.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Text(&'a str),
    Integer(i64),
    /// A dtype, or the class of a storage.
    Element(&'static Element),
    Callable(Callable),
    Object(Handle),
    /// A class or a function that is not known here, or whatever came of it: an index into the names.
    Unknown(u32),
    /// None, Booleans, numbers with a point, bytes: nothing that a tensor depends on.
    Inert,
}

pub enum Object<'a> {
    /// A list without what cannot lead to a tensor.
    List {
        length: usize,
        /// With their places.
        items: Vec<(usize, Value<'a>)>,
    },
    Tuple(Box<[Value<'a>]>),
    /// A dict without what cannot lead to a tensor.
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage {
        element: &'static Element,
        key: &'a str,
    },
    Tensor(Box<StoredTensor<'a>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Callable {
    OrderedDict,
    DefaultDict,
    Size,
    RebuildTensor,
    RebuildTypedTensor,
    /// What wraps a tensor that is made already, its first argument.
    Wrap,
    RebuildFromType,
}

/// A tensor as a view of a storage that lies elsewhere in the file. The strides and the offset count elements.
#[derive(Clone)]
pub struct StoredTensor<'a> {
    /// The name of the storage's entry under `data/`.
    pub key: &'a str,
    pub element: &'static Element,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
    pub offset: usize,
    /// One past the last element of the storage that the tensor reaches; 0 for an empty tensor.
    pub end: usize,
}

/// All that a pickle has made.
#[derive(Default)]
pub struct Arena<'a> {
    objects: Vec<Object<'a>>,
    /// Module and name of what is not known here.
    names: Vec<(&'a str, &'a str)>,
    /// In values.
    kept: usize,
}

impl<'a> Arena<'a> {
    /// Counts `values` more that are kept.
    pub fn keep(&mut self, values: usize) -> anyhow::Result<()> {
        self.kept = self.kept.saturating_add(values);
        ensure!(
            self.kept <= MOST_VALUES,
            "its pickle makes too many objects: more than {MOST_VALUES} numbers and texts"
        );
        Ok(())
    }

    /// Counts `values` fewer.
    pub fn release(&mut self, values: usize) {
        self.kept = self.kept.saturating_sub(values);
    }

    pub fn add(&mut self, object: Object<'a>) -> anyhow::Result<Value<'a>> {
        let parts = match &object {
            Object::Tuple(items) => items.len(),
            Object::Tensor(tensor) => VALUES_AN_OBJECT + tensor.shape.len(),
            _ => 0,
        };
        self.keep(VALUES_AN_OBJECT + parts)?;
        self.objects.push(object);
        Ok(Value::Object(self.objects.len() - 1))
    }

    pub fn get(&self, handle: Handle) -> &Object<'a> {
        &self.objects[handle]
    }

    pub fn get_mut(&mut self, handle: Handle) -> &mut Object<'a> {
        &mut self.objects[handle]
    }

    /// How many objects there are: one more than the largest handle.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// The object of a name.
    pub fn global(&mut self, module: &'a str, name: &'a str) -> anyhow::Result<Value<'a>> {
        let known = match (module, name) {
            ("collections", "OrderedDict") => Some(Value::Callable(Callable::OrderedDict)),
            ("collections", "defaultdict") => Some(Value::Callable(Callable::DefaultDict)),
            ("torch", "Size") => Some(Value::Callable(Callable::Size)),
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => {
                Some(Value::Callable(Callable::RebuildTensor))
            }
            ("torch._utils", "_rebuild_tensor_v3") => Some(Value::Callable(Callable::RebuildTypedTensor)),
            (
                "torch._utils",
                "_rebuild_parameter" | "_rebuild_parameter_with_state" | "_rebuild_device_tensor_from_cpu_tensor",
            )
            | ("torch.nn.parameter", "Parameter" | "Buffer") => Some(Value::Callable(Callable::Wrap)),
            ("torch._tensor", "_rebuild_from_type_v2") => Some(Value::Callable(Callable::RebuildFromType)),
            ("torch" | "torch.cuda" | "torch.storage", name) => Element::named(name).map(Value::Element),
            _ => None,
        };
        match known {
            Some(known) => Ok(known),
            None => {
                self.keep(2)?;
                self.names.push((module, name));
                Ok(Value::Unknown(u32::try_from(self.names.len() - 1)?))
            }
        }
    }

    /// What an unknown value is called, in so many characters as a line has room for.
    pub fn name(&self, unknown: u32) -> String {
        let (module, name) = self.names[unknown as usize];
        module.chars().chain(['.']).chain(name.chars()).take(LONGEST_NAME).collect()
    }

    /// The first unknown value that the pickle mentions.
    pub fn first_unknown(&self) -> Option<String> {
        (!self.names.is_empty()).then(|| self.name(0))
    }

    /// A tensor of `storage`, of `element` where that is given, else of the storage's. What is unknown about it makes it
    /// unknown.
    pub fn tensor(
        &self,
        [storage, offset, shape, strides]: [Value<'a>; 4],
        element: Option<Value<'a>>,
    ) -> anyhow::Result<Result<StoredTensor<'a>, u32>> {
        let (of_storage, key) = match storage {
            Value::Unknown(unknown) => return Ok(Err(unknown)),
            Value::Object(handle) => match self.objects[handle] {
                Object::Storage { element, key } => (element, key),
                _ => bail!("a tensor in it has no storage"),
            },
            _ => bail!("a tensor in it has no storage"),
        };
        let element = match element {
            None => of_storage,
            Some(Value::Element(element)) => element,
            Some(Value::Unknown(unknown)) => return Ok(Err(unknown)),
            Some(_) => bail!("a tensor in it has no dtype"),
        };
        let (offset, shape, strides) = (size(offset)?, self.sizes(shape)?, self.sizes(strides)?);
        ensure!(shape.len() == strides.len(), "a tensor in it has {} sizes, {} strides", shape.len(), strides.len());
        elements::byte_length(&shape, element.size)
            .with_context(|| format!("a tensor in it claims the impossible shape {shape:?}"))?;
        let end = if shape.contains(&0) {
            Some(0)
        } else {
            shape.iter().zip(&strides).try_fold(offset.saturating_add(1), |end, (&size, &stride)| {
                (size - 1).checked_mul(stride).and_then(|span| end.checked_add(span))
            })
        };
        let end = end.context("a tensor in it has impossible strides")?;
        Ok(Ok(StoredTensor { key, element, shape, strides, offset, end }))
    }

    /// From the persistent id of a storage: ('storage', type, key, device, number of elements).
    pub fn storage(&mut self, id: Value<'a>) -> anyhow::Result<Value<'a>> {
        let Some(&[kind, storage_type, key, ..]) = self.tuple(id) else { bail!("a storage in it is not described") };
        let (Value::Text("storage"), Value::Text(key)) = (kind, key) else {
            bail!("its pickle refers to something outside that is no storage")
        };
        match storage_type {
            Value::Element(element) => self.add(Object::Storage { element, key }),
            Value::Unknown(unknown) => Ok(Value::Unknown(unknown)),
            _ => bail!("a storage in it has no type"),
        }
    }

    pub fn tuple(&self, value: Value) -> Option<&[Value<'a>]> {
        match value {
            Value::Object(handle) => match &self.objects[handle] {
                Object::Tuple(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    /// The texts in a list.
    pub fn texts(&self, value: Value) -> Option<Vec<&'a str>> {
        let Value::Object(handle) = value else { return None };
        let Object::List { items, .. } = &self.objects[handle] else { return None };
        let text = |(_, item): &(usize, Value<'a>)| match item {
            Value::Text(text) => Some(*text),
            _ => None,
        };
        items.iter().map(text).collect()
    }

    /// Every storage that the pickle mentions: key and type.
    pub fn storages(&self) -> impl Iterator<Item = (&'a str, &'static Element)> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage { element, key } => Some((*key, *element)),
            _ => None,
        })
    }

    /// Whether `value` is a tensor.
    pub fn is_tensor(&self, value: Value) -> bool {
        matches!(value, Value::Object(handle) if matches!(self.objects[handle], Object::Tensor(_)))
    }

    fn sizes(&self, value: Value) -> anyhow::Result<Vec<usize>> {
        let items = self.tuple(value).context("its pickle has something else where a tuple belongs")?;
        ensure!(items.len() <= MOST_DIMENSIONS, "a tensor in it has {} dimensions", items.len());
        items.iter().map(|&item| size(item)).collect()
    }
}

fn size(value: Value) -> anyhow::Result<usize> {
    match value {
        Value::Integer(value) => usize::try_from(value).context("a tensor in it has a negative size"),
        _ => bail!("its pickle has something else where a size belongs"),
    }
}
