//! TIFF: whether a file holds what its directory claims. The decoder makes 32 bytes of each value that is claimed, before
//! it looks whether it is there.

/// Whether the values of each entry of the first directory can lie in the file. What is no TIFF is left to the decoder.
pub fn fits(bytes: &[u8]) -> bool {
    entries(bytes).is_none_or(|entries| entries.iter().all(|entry| entry.claimed <= bytes.len() as u64))
}

/// In what a file differs from those that are read, in words: `with a palette`. `None` where that is not known.
pub fn kind(bytes: &[u8]) -> Option<&'static str> {
    let entries = entries(bytes)?;
    let value = |tag: u64| entries.iter().find(|entry| entry.tag == tag).map_or(0, |entry| entry.value);
    match (value(COMPRESSION), value(COLOURS), value(SAMPLES)) {
        (6, ..) => Some("in the old JPEG compression"),
        (34925, ..) => Some("compressed by LZMA"),
        (50000, ..) => Some("compressed by zstd"),
        (50001, ..) => Some("compressed by WebP"),
        (_, 3, _) => Some("with a palette"),
        (_, 6, _) => Some("in YCbCr"),
        (_, 8..=10, _) => Some("in L*a*b*"),
        (_, _, 2) => Some("of numbers with a sign"),
        (_, _, 3) => Some("of floats"),
        _ => None,
    }
}

// Tags of TIFF 6.0: Compression, PhotometricInterpretation, SampleFormat.
const COMPRESSION: u64 = 259;
const COLOURS: u64 = 262;
const SAMPLES: u64 = 339;

/// An entry of a directory.
struct Entry {
    tag: u64,
    /// Bytes that its values take.
    claimed: u64,
    /// Its value, where that is one number of 16 bits.
    value: u64,
}

/// Those of the first directory (TIFF 6.0, section 2, and BigTIFF).
fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let is_little = bytes.starts_with(b"II");
    let number = |at: usize, width: usize| -> Option<u64> {
        let field = bytes.get(at..at.checked_add(width)?)?;
        let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if is_little { field.iter().rev().fold(0, digit) } else { field.iter().fold(0, digit) })
    };
    let is_big = number(2, 2)? == 43;
    let (offset_at, offset_width, count_width) = if is_big { (8, 8, 8) } else { (4, 4, 2) };
    let (length, value_width) = if is_big { (20, 8) } else { (12, 4) };
    let directory = usize::try_from(number(offset_at, offset_width)?).ok()?;
    let first = directory.checked_add(count_width)?;
    let count = number(directory, count_width)?;
    // Entries beyond the end of the file are the decoder's to refuse.
    let whole = (0..count.min(u64::from(u16::MAX)) as usize).map_while(|index| {
        let at = first.checked_add(index * length)?;
        let size = match number(at + 2, 2)? {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => 1,
        };
        let claimed = number(at + 4, value_width)?.saturating_mul(size);
        let value = number(at + 4 + value_width, 2).filter(|_| size == 2).unwrap_or(0);
        Some(Entry { tag: number(at, 2)?, claimed, value })
    });
    Some(whole.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_claims_no_more_than_the_file_holds() {
        // One entry of type LONG with `count` values, in a file of 64 bytes.
        let file = |count: u32| {
            let head = [&b"II*\0\x08\0\0\0\x01\0\x16\x01\x04\0"[..], &count.to_le_bytes(), &[0; 8]].concat();
            [head, vec![0; 38]].concat()
        };
        assert_eq!(file(1).len(), 64);
        assert!(fits(&file(1)) && fits(&file(16)));
        assert!(!fits(&file(17)) && !fits(&file(u32::MAX)));
        assert!(fits(b"II") && fits(b""), "what is no TIFF is the decoder's to refuse");
    }

    #[test]
    fn kinds_that_are_not_read_have_names() {
        // Entries of type SHORT with one value, little-endian.
        let file = |entries: &[(u16, u16)]| {
            let head = [&b"II*\0\x08\0\0\0"[..], &(entries.len() as u16).to_le_bytes()].concat();
            let entry = |&(tag, value): &(u16, u16)| {
                [&tag.to_le_bytes()[..], &[3, 0, 1, 0, 0, 0], &value.to_le_bytes(), &[0, 0]].concat()
            };
            [head, entries.iter().flat_map(entry).collect(), vec![0; 4]].concat()
        };
        assert_eq!(kind(&file(&[(256, 9), (259, 1), (262, 3)])), Some("with a palette"));
        assert_eq!(kind(&file(&[(259, 50000), (262, 2)])), Some("compressed by zstd"));
        assert_eq!(kind(&file(&[(259, 5), (262, 1), (339, 3)])), Some("of floats"));
        assert_eq!(kind(&file(&[(259, 1), (262, 2), (339, 1)])), None);
        assert_eq!((kind(b""), kind(b"II*\0")), (None, None));
    }
}
