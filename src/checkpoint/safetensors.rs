//! The safetensors format: eight bytes of header length, a JSON header, the tensors end to end.
//!
//! Written as the reference implementation writes it: large elements first and names in order among equals, so that
//! every tensor is aligned; but with all metadata sorted, so that the same tensors give the same bytes. Read more
//! strictly than the reference: a name that comes twice is refused, and nothing is allocated on the word of a header
//! that the length of the file does not bear out.

use std::collections::{BTreeMap, btree_map::Entry};
use std::fmt;
use std::io::{self, Read, Seek, Write};

use anyhow::{Context, anyhow, bail, ensure};
use candle_core::Tensor;
use safetensors::tensor::{Dtype, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::elements;
use crate::checkpoint::element::Element;
use crate::checkpoint::format::Signature;

/// The reference implementation's limit, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;
const METADATA: &str = "__metadata__";

/// What a file says of itself before the data.
pub struct Header {
    /// In the order of the data.
    slots: Vec<Slot>,
    pub metadata: BTreeMap<String, String>,
}

/// A tensor in the data.
struct Slot {
    name: String,
    /// Of PyTorch's types; `None` for one that PyTorch lacks.
    element: Option<&'static Element>,
    /// What the format calls the type.
    dtype: Dtype,
    shape: Vec<usize>,
    /// In bytes.
    length: usize,
}

impl Header {
    /// Names, shapes and dtypes of what is read.
    pub fn tensors(&self) -> Signature {
        let described = |slot: &Slot| Some((slot.name.clone(), (slot.shape.clone(), slot.element?.read_as?)));
        self.slots.iter().filter_map(described).collect()
    }

    /// By name, what is not read and why.
    pub fn unread(&self) -> BTreeMap<String, String> {
        let is_unread = |slot: &&Slot| slot.element.is_none_or(|element| element.read_as.is_none());
        let described = |slot: &Slot| (slot.name.clone(), format!("{} {:?}", slot.dtype, slot.shape));
        self.slots.iter().filter(is_unread).map(described).collect()
    }
}

/// Reads and checks the header of a file of `length` bytes; `input` is left at the first byte of data.
pub fn read_header(input: &mut impl Read, length: u64) -> anyhow::Result<Header> {
    let mut prefix = [0; 8];
    input.read_exact(&mut prefix).context("it is shorter than a safetensors header")?;
    let header_length = u64::from_le_bytes(prefix);
    let data_length = length.checked_sub(8).and_then(|rest| rest.checked_sub(header_length));
    let Some(data_length) = data_length.filter(|_| header_length <= LONGEST_HEADER) else {
        bail!("its header claims {header_length} bytes, the file has {length}: truncated, or no safetensors file");
    };
    let mut json = vec![0; usize::try_from(header_length)?];
    input.read_exact(&mut json).context("the header is truncated")?;
    let json = std::str::from_utf8(&json).context("the header is not UTF-8")?;
    let fields: Fields = serde_json::from_str(json).context("the header is damaged")?;
    let header = Header { slots: check(fields.tensors, data_length)?, metadata: fields.metadata };
    if let (true, Some((name, what))) = (header.tensors().is_empty(), header.unread().pop_first()) {
        bail!("it holds no tensors that are read: {name:?} is {what}");
    }
    Ok(header)
}

/// Tensors that fill the data exactly, each as long as its shape and type say.
fn check(tensors: BTreeMap<String, TensorInfo>, data_length: u64) -> anyhow::Result<Vec<Slot>> {
    let mut tensors: Vec<_> = tensors.into_iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut position = 0;
    let mut checked = Vec::with_capacity(tensors.len());
    for (name, TensorInfo { dtype, shape, data_offsets: (start, end) }) in tensors {
        let bits = elements::byte_length(&shape, dtype.bitsize())
            .ok_or_else(|| anyhow!("{name:?} claims the impossible shape {shape:?}"))?;
        ensure!(bits % 8 == 0, "{name:?} of {dtype} {shape:?} does not fill its last byte");
        let length = bits / 8;
        ensure!(start == position, "{name:?} starts at byte {start} of the data, expected {position}");
        ensure!(
            end.checked_sub(start) == Some(length),
            "{name:?} takes bytes {start} to {end}, but {shape:?} of {dtype} takes {length}"
        );
        position = end;
        checked.push(Slot { name, element: element(dtype), dtype, shape, length });
    }
    let position = position as u64;
    ensure!(position <= data_length, "it is truncated: {data_length} bytes of data, expected {position}");
    ensure!(position == data_length, "{} bytes follow the last tensor", data_length - position);
    Ok(checked)
}

/// Reads those of the tensors that follow `header` that are `wanted` by name, one at a time: the memory is that of the
/// tensors and of the largest again.
pub fn read_tensors(
    input: &mut (impl Read + Seek),
    header: &Header,
    wanted: &dyn Fn(&str) -> bool,
) -> anyhow::Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    for Slot { name, element, shape, length, .. } in &header.slots {
        let dtype = element.and_then(|element| element.read_as).filter(|_| wanted(name));
        let (Some(element), Some(dtype)) = (element, dtype) else {
            input.seek_relative(i64::try_from(*length)?)?;
            continue;
        };
        let mut bytes = vec![0; *length];
        input.read_exact(&mut bytes).with_context(|| format!("{name:?} is truncated"))?;
        tensors.insert(name.clone(), elements::from_bytes(&element.widen(bytes.into()), shape, dtype)?);
    }
    Ok(tensors)
}

/// The header of a file of `tensors`, padded to a multiple of eight bytes, and the order of their data.
pub fn header<'a>(
    tensors: &'a BTreeMap<String, Tensor>,
    metadata: &BTreeMap<String, String>,
) -> anyhow::Result<(Vec<u8>, Vec<&'a Tensor>)> {
    let mut order: Vec<_> = tensors.iter().map(|(name, tensor)| (name, tensor, Dtype::from(tensor.dtype()))).collect();
    order.sort_by_key(|&(name, _, dtype)| (std::cmp::Reverse(dtype), name));

    let mut metadata = metadata.clone();
    // PyTorch's loaders ask for this key.
    metadata.insert("format".into(), "pt".into());
    let mut json = format!("{{\"{METADATA}\":{}", serde_json::to_string(&metadata)?);
    let mut position = 0;
    for &(name, tensor, dtype) in &order {
        ensure!(elements::is_supported(tensor.dtype()), "{name:?} is of a type that no checkpoint holds: {dtype}");
        ensure!(name != METADATA, "{METADATA:?} is no name for a tensor");
        let end = position + tensor.elem_count() * tensor.dtype().size_in_bytes();
        let info = TensorInfo { dtype, shape: tensor.dims().to_vec(), data_offsets: (position, end) };
        json += &format!(",{}:{}", serde_json::to_string(name)?, serde_json::to_string(&info)?);
        position = end;
    }
    json.push('}');
    let mut header = vec![0; 8];
    header.append(&mut json.into_bytes());
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = header.len() as u64 - 8;
    ensure!(length <= LONGEST_HEADER, "the header would take {length} bytes; the format allows {LONGEST_HEADER}");
    header[..8].copy_from_slice(&length.to_le_bytes());
    Ok((header, order.into_iter().map(|(_, tensor, _)| tensor).collect()))
}

/// Writes a [`header`] and its tensors.
pub fn write(header: &[u8], tensors: &[&Tensor], out: &mut dyn Write) -> io::Result<()> {
    out.write_all(header)?;
    tensors.iter().try_for_each(|tensor| elements::write(tensor, out))
}

/// PyTorch's type of the same elements.
fn element(dtype: Dtype) -> Option<&'static Element> {
    Element::named(match dtype {
        Dtype::F64 => "float64",
        Dtype::F32 => "float32",
        Dtype::F16 => "float16",
        Dtype::BF16 => "bfloat16",
        Dtype::I64 => "int64",
        Dtype::I32 => "int32",
        Dtype::I16 => "int16",
        Dtype::I8 => "int8",
        Dtype::U32 => "uint32",
        Dtype::U16 => "uint16",
        Dtype::U8 => "uint8",
        Dtype::BOOL => "bool",
        _ => return None,
    })
}

/// The JSON object of the header, in which no name may come twice.
struct Fields {
    tensors: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Fields;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("an object of tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut tensors = BTreeMap::new();
                let mut metadata = None;
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        if metadata.replace(map.next_value::<Texts>()?.0).is_some() {
                            return Err(A::Error::custom(format!("{METADATA:?} comes twice")));
                        }
                    } else {
                        insert_once(&mut tensors, name, map.next_value()?)?;
                    }
                }
                Ok(Fields { tensors, metadata: metadata.unwrap_or_default() })
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// The metadata: texts by name, in which no name may come twice.
struct Texts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Texts;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("an object of texts by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((name, text)) = map.next_entry()? {
                    insert_once(&mut texts, name, text)?;
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

fn insert_once<V, E: Error>(map: &mut BTreeMap<String, V>, name: String, value: V) -> Result<(), E> {
    match map.entry(name) {
        Entry::Occupied(entry) => Err(E::custom(format!("{:?} comes twice", entry.key()))),
        Entry::Vacant(entry) => {
            entry.insert(value);
            Ok(())
        }
    }
}
