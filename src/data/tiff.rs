//! TIFF: whether a file holds what its directory claims. The decoder makes 32 bytes of each value that is claimed, before
//! it looks whether it is there.

/// Whether the values of each entry of the first directory can lie in the file. What is no TIFF is left to the decoder.
pub fn fits(bytes: &[u8]) -> bool {
    entries(bytes).is_none_or(|entries| entries.iter().all(|claimed| *claimed <= bytes.len() as u64))
}

/// Bytes that each entry claims (TIFF 6.0, section 2, and BigTIFF).
fn entries(bytes: &[u8]) -> Option<Vec<u64>> {
    let is_little = bytes.starts_with(b"II");
    let number = |at: usize, width: usize| -> Option<u64> {
        let field = bytes.get(at..at.checked_add(width)?)?;
        let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if is_little { field.iter().rev().fold(0, digit) } else { field.iter().fold(0, digit) })
    };
    let is_big = number(2, 2)? == 43;
    let (offset_at, offset_width, count_width) = if is_big { (8, 8, 8) } else { (4, 4, 2) };
    let (entry, value_width) = if is_big { (20, 8) } else { (12, 4) };
    let directory = usize::try_from(number(offset_at, offset_width)?).ok()?;
    let first = directory.checked_add(count_width)?;
    let count = number(directory, count_width)?;
    // Entries beyond the end of the file are the decoder's to refuse.
    let whole = (0..count.min(u64::from(u16::MAX)) as usize).map_while(|index| {
        let at = first.checked_add(index * entry)?;
        let size = match number(at + 2, 2)? {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => 1,
        };
        Some(number(at + 4, value_width)?.saturating_mul(size))
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
}
