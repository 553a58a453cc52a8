use crate::kernels::storage::Array;
use std::ops::Range;

/// x (N, A), y (N, B): (N, A + B)
pub fn forward(x: Array, y: Array) -> Vec<f32> {
    let mut output = Vec::with_capacity(x.values.len() + y.values.len());
    for (x, y) in x.values.chunks_exact(x.dims[1]).zip(y.values.chunks_exact(y.dims[1])) {
        output.extend_from_slice(x);
        output.extend_from_slice(y);
    }
    output
}

/// Of values (N, `width`) those columns.
pub fn columns(values: &[f32], width: usize, range: Range<usize>) -> Vec<f32> {
    values.chunks_exact(width).flat_map(|row| &row[range.clone()]).copied().collect()
}
