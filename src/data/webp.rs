//! WebP: whether a file holds the EXIF data that it claims. The decoder takes memory for them before it looks whether they
//! are there.

/// Whether all of the first EXIF chunk lies in the file. What is no WebP is left to the decoder.
pub fn fits(bytes: &[u8]) -> bool {
    const FIRST_CHUNK: usize = 12;
    let mut at = FIRST_CHUNK;
    while let Some(header) = bytes.get(at..at.saturating_add(8)) {
        let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if &header[..4] == b"EXIF" {
            return size <= bytes.len() - at - 8;
        }
        at = at.saturating_add(8).saturating_add(size).saturating_add(size % 2);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exif_data_lie_in_the_file() {
        let file = |size: u32| {
            let chunk = [b"VP8X", &3u32.to_le_bytes()[..], &[0; 4], b"EXIF", &size.to_le_bytes(), &[7; 6]].concat();
            [b"RIFF\0\0\0\0WEBP".to_vec(), chunk].concat()
        };
        assert!(fits(&file(0)) && fits(&file(6)));
        assert!(!fits(&file(7)) && !fits(&file(u32::MAX)));
        assert!(fits(b"") && fits(b"RIFF") && fits(&file(6)[..30]), "what has none is the decoder's to refuse");
    }
}
