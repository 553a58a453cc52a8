//! Arrays of floats from .npy files (NumPy's `lib.format`), read with no more trust than they deserve.
//!
//! The header is a Python literal of three entries. Parsers of such literals take exponential time over nested brackets
//! and overflow over shapes; this one knows the three entries and nothing else.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use anyhow::bail;

use crate::error::{Failure, legible};

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy itself refuses longer ones by default (10,000).
const LONGEST_HEADER: usize = 1 << 16;

/// What a file says of itself before the data.
#[derive(Debug, PartialEq)]
struct Header {
    /// As it stands there: `<f4`.
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

/// Reads a .npy of f32 or f64, row after row. `check` says what is wrong with a shape; it is asked before
/// anything is read. A file that is damaged or of another kind, or that holds NaN or infinity, is [`Failure::Input`].
pub fn read(path: &Path, check: impl Fn(&[u64]) -> Result<(), String>) -> anyhow::Result<Vec<f32>> {
    let damaged = |what: String| Failure::reading(path, what);
    let file = File::open(path).map_err(|error| damaged(error.to_string()))?;
    let bytes = file.metadata().map_err(|error| damaged(error.to_string()))?.len();
    let mut input = BufReader::new(file);
    let header = read_header(&mut input).map_err(|error| damaged(format!("not a .npy file: {error}")))?;
    let header = header.ok_or_else(|| damaged("not a .npy file of plain numbers".into()))?;
    let Header { descr, fortran_order, shape } = header;
    check(&shape).map_err(damaged)?;
    // A header may claim any shape: nothing is allocated for numbers that the file has no bytes for.
    let width = if descr.ends_with("f8") { 8 } else { 4 };
    let need = shape.iter().try_fold(width, |need: u64, size| need.checked_mul(*size));
    let Some(need) = need.filter(|need| *need <= bytes) else {
        bail!(damaged(format!("its header claims {shape:?}, more than its {bytes} bytes hold")));
    };
    if fortran_order && shape.iter().filter(|size| **size > 1).count() > 1 {
        bail!(damaged("stored column by column; save it with numpy.ascontiguousarray".into()));
    }
    let mut data = vec![0; need as usize];
    input.read_exact(&mut data).map_err(|error| damaged(format!("its data is damaged: {error}")))?;
    let Some(values) = floats(&descr, &data) else {
        bail!(damaged(format!("holds {}; expected f32 or f64", legible(&descr))));
    };
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        bail!(damaged(format!("holds {value}; expected finite numbers")));
    }
    Ok(values)
}

/// Reads the header; `None` where there is none of an array of plain numbers. `input` is left at the first byte of data.
fn read_header(input: &mut impl Read) -> io::Result<Option<Header>> {
    let mut start = [0; 8];
    input.read_exact(&mut start)?;
    if !start.starts_with(MAGIC) {
        return Ok(None);
    }
    let length = match start[6] {
        1 => {
            let mut length = [0; 2];
            input.read_exact(&mut length)?;
            usize::from(u16::from_le_bytes(length))
        }
        2 | 3 => {
            let mut length = [0; 4];
            input.read_exact(&mut length)?;
            u32::from_le_bytes(length) as usize
        }
        _ => return Ok(None),
    };
    if length > LONGEST_HEADER {
        return Ok(None);
    }
    let mut text = vec![0; length];
    input.read_exact(&mut text)?;
    Ok(std::str::from_utf8(&text).ok().and_then(parse))
}

/// Numbers of type `descr`, as f32; `None` where that is neither f32 nor f64.
fn floats(descr: &str, bytes: &[u8]) -> Option<Vec<f32>> {
    let (order, kind) = descr.split_at_checked(1)?;
    let is_big = match order {
        "<" => false,
        ">" => true,
        "=" | "|" => cfg!(target_endian = "big"),
        _ => return None,
    };
    Some(match kind {
        "f4" => {
            let read = |bytes: &[u8; 4]| if is_big { f32::from_be_bytes(*bytes) } else { f32::from_le_bytes(*bytes) };
            bytes.as_chunks().0.iter().map(read).collect()
        }
        "f8" => {
            let read = |bytes: &[u8; 8]| if is_big { f64::from_be_bytes(*bytes) } else { f64::from_le_bytes(*bytes) };
            bytes.as_chunks().0.iter().map(|bytes| read(bytes) as f32).collect()
        }
        _ => return None,
    })
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, in any order.
fn parse(text: &str) -> Option<Header> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        let (is_new, after) = match key {
            "descr" => {
                let (value, after) = quoted(value)?;
                (descr.replace(value.to_string()).is_none(), after)
            }
            "fortran_order" => {
                let end = value.find(|character: char| !character.is_ascii_alphabetic())?;
                let is_fortran = match &value[..end] {
                    "True" => true,
                    "False" => false,
                    _ => return None,
                };
                (fortran_order.replace(is_fortran).is_none(), &value[end..])
            }
            "shape" => {
                let (sizes, after) = value.strip_prefix('(')?.split_once(')')?;
                let sizes = sizes.trim().trim_end_matches(',').split(',').map(str::trim);
                let sizes: Option<Vec<u64>> =
                    sizes.filter(|size| !size.is_empty()).map(|size| size.parse().ok()).collect();
                (shape.replace(sizes?).is_none(), after)
            }
            _ => return None,
        };
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(rest) => rest.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
        is_new.then_some(())?;
    }
    Some(Header { descr: descr?, fortran_order: fortran_order?, shape: shape? })
}

/// A text in quotes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    match text.chars().next()? {
        quote @ ('\'' | '"') => text[1..].split_once(quote),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_numpy_writes_them() {
        let header = parse("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n").unwrap();
        assert_eq!(header, Header { descr: "<f4".into(), fortran_order: false, shape: vec![2, 3] });
        assert_eq!(parse("{'shape': (7,), 'fortran_order': True, 'descr': '>f8'}").unwrap().shape, [7]);
        assert_eq!(parse("{'descr': '<f4', 'fortran_order': False, 'shape': ()}").unwrap().shape, [0u64; 0]);
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': ((((((((",
            "{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn both_widths_and_both_orders() {
        for (descr, bytes) in [
            ("<f4", 1.5f32.to_le_bytes().to_vec()),
            (">f4", 1.5f32.to_be_bytes().to_vec()),
            ("<f8", 1.5f64.to_le_bytes().to_vec()),
            (">f8", 1.5f64.to_be_bytes().to_vec()),
        ] {
            assert_eq!(floats(descr, &bytes).unwrap(), [1.5], "{descr}");
        }
        assert!(floats("<i4", &[0; 4]).is_none() && floats("", &[0; 4]).is_none());
    }
}
