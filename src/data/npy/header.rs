//! What a .npy file says of itself before its data.
//!
//! The header is a Python literal of three entries. Parsers of such literals take exponential time over nested brackets
//! and overflow over shapes (npyz among them, which also allocates what a header claims); this one knows the three
//! entries and nothing else.

use std::io::{self, Read};

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy itself refuses longer ones by default (10,000).
const LONGEST_HEADER: usize = 1 << 16;

/// What a file says of itself before the data.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// As it stands there: `<f4`.
    pub descr: String,
    pub fortran_order: bool,
    pub shape: Vec<u64>,
}

/// Reads the header; `None` where this is another kind of file. `input` is left at the first byte of data.
pub(super) fn read_header(input: &mut impl Read) -> io::Result<Option<Header>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let cut = |_| invalid("a .npy file that ends within its header");
    let mut start = Vec::new();
    input.by_ref().take(8).read_to_end(&mut start)?;
    if !start.starts_with(MAGIC) {
        return match start.starts_with(b"PK") {
            true => Err(invalid("a .npz archive; expected a .npy file, as numpy.save writes it")),
            false => Ok(None),
        };
    }
    let length = match start.get(6) {
        Some(1) => {
            let mut length = [0; 2];
            input.read_exact(&mut length).map_err(cut)?;
            usize::from(u16::from_le_bytes(length))
        }
        Some(2 | 3) => {
            let mut length = [0; 4];
            input.read_exact(&mut length).map_err(cut)?;
            u32::from_le_bytes(length) as usize
        }
        _ => return Err(invalid("a .npy file of an unknown version; expected 1 to 3")),
    };
    if length > LONGEST_HEADER {
        return Err(invalid("a .npy file whose header is longer than 65536 bytes"));
    }
    let mut text = vec![0; length];
    input.read_exact(&mut text).map_err(cut)?;
    let header = std::str::from_utf8(&text).ok().and_then(parse);
    header.map(Some).ok_or_else(|| invalid("a .npy file whose header is damaged, or not of an array of plain numbers"))
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
}
