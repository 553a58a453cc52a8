//! JPEG: whether a file goes as far as a marker.

/// The marker before the first scan (ITU-T T.81, annex B).
pub const START_OF_SCAN: u8 = 0xda;
/// The marker after the last.
pub const END_OF_IMAGE: u8 = 0xd9;

/// Whether a JPEG has this marker: walks its segments, since a thumbnail inside one has its own markers, and a camera may
/// append what it likes.
pub fn reaches(marker: u8, bytes: &[u8]) -> bool {
    let mut at = 2; // after the start marker
    loop {
        // The next marker: in the entropy-coded data of a scan, 0xff is followed by 0 or a restart marker (0xd0-0xd7).
        while bytes.get(at) != Some(&0xff) || matches!(bytes.get(at + 1), Some(0 | 0xd0..=0xd7 | 0xff)) {
            if at >= bytes.len() {
                return false;
            }
            at += 1;
        }
        match (bytes.get(at + 1), bytes.get(at + 2), bytes.get(at + 3)) {
            (Some(found), _, _) if *found == marker => return true,
            (Some(_), Some(high), Some(low)) => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
            _ => return false,
        }
    }
}
