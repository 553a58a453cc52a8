//! Arrays of numbers from .npy files (NumPy's `lib.format`), read with no more trust than they deserve.

mod header;

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use anyhow::bail;
use candle_core::{DType, Device, Tensor};

use crate::error::{Error, legible};
use header::{Header, read_header};

/// What is read: the numbers, row after row.
#[derive(Debug, PartialEq)]
pub enum Values {
    /// Of dtype uint8.
    U8(Vec<u8>),
    /// Of f16, f32 or f64.
    Floats(Vec<f32>),
}

/// Reads a .npy of uint8, float16, float32 or float64 in any order of bytes and axes. `check` says what is wrong with a
/// shape; it is asked before anything is read. A file that is damaged or of another kind is [`Error::Input`].
pub fn read(path: &Path, check: impl Fn(&[u64]) -> Result<(), String>) -> anyhow::Result<Values> {
    let damaged = |what: String| Error::reading(path, what);
    let file = File::open(path).map_err(|error| damaged(error.to_string()))?;
    let found = file.metadata().map_err(|error| damaged(error.to_string()))?;
    let mut input = BufReader::new(file);
    let header = read_header(&mut input).map_err(|error| damaged(error.to_string()))?;
    let Header { descr, fortran_order, shape } = header.ok_or_else(|| damaged("not a .npy file".into()))?;
    let Some(kind) = Kind::of(&descr) else {
        bail!(damaged(format!(
            "its values are {}; expected float16, float32, float64, or uint8 for images",
            type_name(&descr)
        )));
    };
    check(&shape).map_err(damaged)?;
    // A header may claim any shape: nothing is allocated for numbers that the file has no bytes for.
    let claimed = shape.iter().try_fold(kind.width, |bytes: u64, size| bytes.checked_mul(*size)).unwrap_or(u64::MAX);
    let short =
        |held: u64| damaged(format!("cut short: its header claims {shape:?}, {claimed} bytes; {held} are there"));
    if found.is_file() {
        let held = found.len() - input.stream_position()?.min(found.len());
        if claimed > held {
            bail!(short(held));
        }
    }
    let mut data = Vec::new();
    input.take(claimed).read_to_end(&mut data).map_err(|error| damaged(error.to_string()))?;
    if (data.len() as u64) < claimed {
        bail!(short(data.len() as u64));
    }
    let values = kind.decode(data)?;
    Ok(match values {
        _ if !fortran_order => values,
        Values::U8(values) => Values::U8(row_by_row(&values, &shape)),
        Values::Floats(values) => Values::Floats(row_by_row(&values, &shape)),
    })
}

/// A type of numbers that is read.
#[derive(Clone, Copy)]
struct Kind {
    dtype: DType,
    /// Bytes a number.
    width: u64,
    is_big_endian: bool,
}

impl Kind {
    fn of(descr: &str) -> Option<Self> {
        let (order, name) = descr.split_at_checked(1)?;
        let is_big_endian = match order {
            "<" => false,
            ">" => true,
            "=" | "|" => cfg!(target_endian = "big"),
            _ => return None,
        };
        let dtype = match name {
            "u1" => DType::U8,
            "f2" => DType::F16,
            "f4" => DType::F32,
            "f8" => DType::F64,
            _ => return None,
        };
        Some(Self { dtype, width: dtype.size_in_bytes() as u64, is_big_endian })
    }

    fn decode(self, mut data: Vec<u8>) -> candle_core::Result<Values> {
        if self.dtype == DType::U8 {
            return Ok(Values::U8(data));
        }
        if self.is_big_endian != cfg!(target_endian = "big") {
            data.chunks_exact_mut(self.width as usize).for_each(<[u8]>::reverse);
        }
        let count = data.len() / self.width as usize;
        let tensor = Tensor::from_raw_buffer(&data, self.dtype, &[count], &Device::Cpu)?;
        Ok(Values::Floats(tensor.to_dtype(DType::F32)?.to_vec1()?))
    }
}

/// What NumPy calls a type that is not read.
fn type_name(descr: &str) -> String {
    let Some((kind, bytes)) = descr.get(1..).and_then(|name| name.split_at_checked(1)) else { return legible(descr) };
    let bits = |name: &str| match bytes.parse::<u32>() {
        Ok(bytes @ 1..=32) => format!("{name}{}", 8 * bytes),
        _ => legible(descr),
    };
    match kind {
        "b" => "bool".into(),
        "i" => bits("int"),
        "u" => bits("uint"),
        "f" => bits("float"),
        "c" => bits("complex"),
        "S" | "U" => "text".into(),
        "O" => "Python objects".into(),
        _ => legible(descr),
    }
}

/// Values that lie column by column (Fortran's order), row by row.
fn row_by_row<T: Copy>(values: &[T], shape: &[u64]) -> Vec<T> {
    let mut index = vec![0; shape.len()];
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let at = index.iter().zip(shape).rev().fold(0, |at, (index, size)| at * size + index);
        ordered.push(values[at as usize]);
        for (index, size) in index.iter_mut().zip(shape).rev() {
            *index += 1;
            if *index < *size {
                break;
            }
            *index = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_both_orders_of_bytes() {
        for (descr, bytes) in [
            ("<f2", vec![0x00, 0x3e]),
            (">f2", vec![0x3e, 0x00]),
            ("<f4", 1.5f32.to_le_bytes().to_vec()),
            (">f4", 1.5f32.to_be_bytes().to_vec()),
            ("<f8", 1.5f64.to_le_bytes().to_vec()),
            (">f8", 1.5f64.to_be_bytes().to_vec()),
        ] {
            let values = Kind::of(descr).unwrap().decode(bytes).unwrap();
            assert_eq!(values, Values::Floats(vec![1.5]), "{descr}");
        }
        assert_eq!(Kind::of("|u1").unwrap().decode(vec![0, 255]).unwrap(), Values::U8(vec![0, 255]));
    }

    #[test]
    fn other_types_have_names() {
        for (descr, name) in [
            ("<i4", "int32"),
            ("|b1", "bool"),
            ("<c16", "complex128"),
            ("<U5", "text"),
            ("|O", "Python objects"),
            ("", ""),
            ("<", "<"),
            ("<f99999999999", "<f99999999999"),
        ] {
            assert!(Kind::of(descr).is_none());
            assert_eq!(type_name(descr), name);
        }
    }

    #[test]
    fn columns_become_rows() {
        assert_eq!(row_by_row(&[1, 4, 2, 5, 3, 6], &[2, 3]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(row_by_row(&[0, 4, 2, 6, 1, 5, 3, 7], &[2, 2, 2]), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(row_by_row::<u8>(&[], &[0, 3]).is_empty());
    }
}
