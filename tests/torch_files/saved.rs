//! What `torch.save` writes, for any nest of dicts and tensors.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use crate::checkpoint::zipped;

type Tensors = BTreeMap<String, Tensor>;

/// What Python's `torch.save` is given.
#[derive(Clone)]
pub enum Item {
    Tensor(Tensor),
    Dict(Vec<(String, Item)>),
    /// Anything else, pickled.
    Pickled(&'static [u8]),
}

pub fn dict<const N: usize>(items: [(&str, Item); N]) -> Item {
    Item::Dict(items.into_iter().map(|(name, item)| (name.to_string(), item)).collect())
}

/// A state dict whose names have a prefix.
pub fn state(tensors: &Tensors, prefix: &str) -> Item {
    let named = |(name, tensor): (&String, &Tensor)| (format!("{prefix}{name}"), Item::Tensor(tensor.clone()));
    Item::Dict(tensors.iter().map(named).collect())
}

pub fn and(state: Item, name: &str, item: Item) -> Item {
    match state {
        Item::Dict(mut items) => {
            items.push((name.to_string(), item));
            Item::Dict(items)
        }
        other => other,
    }
}

pub fn zeros(shape: &[usize]) -> Item {
    Item::Tensor(Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap())
}

/// Writes what `torch.save(item, path)` would.
pub fn save(path: &Path, item: &Item) {
    let (mut pickle, mut storages) = (b"\x80\x02".to_vec(), Vec::new());
    add(item, &mut pickle, &mut storages);
    pickle.push(b'.');
    let names: Vec<_> = (0..storages.len()).map(|index| format!("archive/data/{index}")).collect();
    let mut entries = vec![("archive/data.pkl", &pickle[..])];
    entries.extend(names.iter().map(String::as_str).zip(storages.iter().map(Vec::as_slice)));
    std::fs::write(path, zipped(&entries)).unwrap();
}

fn add(item: &Item, pickle: &mut Vec<u8>, storages: &mut Vec<Vec<u8>>) {
    let text = |pickle: &mut Vec<u8>, text: &str| {
        pickle.push(b'X');
        pickle.extend((text.len() as u32).to_le_bytes());
        pickle.extend(text.bytes());
    };
    match item {
        Item::Pickled(bytes) => pickle.extend(*bytes),
        Item::Dict(items) => {
            pickle.extend(b"}(");
            for (name, item) in items {
                text(pickle, name);
                add(item, pickle, storages);
            }
            pickle.push(b'u');
        }
        Item::Tensor(tensor) => {
            let (kind, bytes) = match tensor.dtype() {
                DType::F32 => ("FloatStorage", numbers(tensor, f32::to_le_bytes)),
                DType::F64 => ("DoubleStorage", numbers(tensor, f64::to_le_bytes)),
                DType::I64 => ("LongStorage", numbers(tensor, i64::to_le_bytes)),
                DType::I32 => ("IntStorage", numbers(tensor, i32::to_le_bytes)),
                other => panic!("{other:?}"),
            };
            let mut separators = [&b"tQK\x00("[..], b"t(", b"t"].into_iter();
            pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            text(pickle, "storage");
            pickle.extend(format!("ctorch\n{kind}\n").bytes());
            text(pickle, &storages.len().to_string());
            text(pickle, "cpu");
            for values in [&[tensor.elem_count()][..], tensor.dims(), tensor.stride()] {
                for value in values {
                    pickle.push(b'J');
                    pickle.extend((*value as i32).to_le_bytes());
                }
                pickle.extend(separators.next().unwrap_or_default());
            }
            pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
            storages.push(bytes);
        }
    }
}

fn numbers<T: candle_core::WithDType, const N: usize>(tensor: &Tensor, to_bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    tensor.contiguous().unwrap().flatten_all().unwrap().to_vec1::<T>().unwrap().into_iter().flat_map(to_bytes).collect()
}
