//! NumPy's file format for arrays.

/// The header of a .npy of format 1.0 for little-endian f32 in C order; 128 bytes, so that the data is aligned. At most
/// four dimensions.
pub fn npy_header(shape: &[u64]) -> Vec<u8> {
    let dims: Vec<String> = shape.iter().map(u64::to_string).collect();
    let trailing = if shape.len() == 1 { "," } else { "" }; // Python's tuple of one
    let description = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}{trailing}), }}", dims.join(", "));
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    header.extend_from_slice(format!("{description:<117}\n").as_bytes());
    header
}
