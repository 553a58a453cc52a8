//! Tensor elements as little-endian bytes.

use std::io::{self, Write};

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

/// Whether checkpoints hold tensors of `dtype`: the whole-byte types that both PyTorch and candle compute with.
pub fn is_supported(dtype: DType) -> bool {
    use DType::{BF16, F16, F32, F64, I16, I32, I64, U8, U32};
    matches!(dtype, BF16 | F16 | F32 | F64 | I16 | I32 | I64 | U8 | U32)
}

/// The bytes that a tensor of elements of `size` bytes takes; `None` where that, or a stride of it, does not fit a usize.
///
/// Zeros among the dimensions count as one in that check: candle multiplies the others too when it lays out strides.
pub fn byte_length(shape: &[usize], size: usize) -> Option<usize> {
    shape
        .iter()
        .try_fold(size, |bytes, &dimension| bytes.checked_mul(dimension.max(1)))
        .map(|bytes| if shape.contains(&0) { 0 } else { bytes })
}

/// A CPU tensor of `shape` from the little-endian bytes of its elements.
pub fn from_bytes(bytes: &[u8], shape: &[usize], dtype: DType) -> candle_core::Result<Tensor> {
    Tensor::from_raw_buffer(bytes, dtype, shape, &Device::Cpu)
}

/// Writes the elements of `tensor` in row-major order, without a copy of the whole where it is contiguous on the CPU.
pub fn write(tensor: &Tensor, out: &mut dyn Write) -> io::Result<()> {
    let tensor = tensor.to_device(&Device::Cpu).and_then(|tensor| tensor.contiguous()).map_err(io::Error::other)?;
    let (storage, layout) = tensor.storage_and_layout();
    let range = layout.start_offset()..layout.start_offset() + layout.shape().elem_count();
    let Storage::Cpu(storage) = &*storage else { return Err(io::Error::other("the tensor is not on the CPU")) };
    match storage {
        CpuStorage::U8(values) => out.write_all(&values[range]),
        CpuStorage::U32(values) => write_values(&values[range], |value| value.to_le_bytes(), out),
        CpuStorage::I16(values) => write_values(&values[range], |value| value.to_le_bytes(), out),
        CpuStorage::I32(values) => write_values(&values[range], |value| value.to_le_bytes(), out),
        CpuStorage::I64(values) => write_values(&values[range], |value| value.to_le_bytes(), out),
        CpuStorage::BF16(values) => write_values(&values[range], |value| value.to_le_bytes(), out),
        CpuStorage::F16(values) => write_values(&values[range], |value| value.to_le_bytes(), out),
        CpuStorage::F32(values) => write_values(&values[range], |value| value.to_le_bytes(), out),
        CpuStorage::F64(values) => write_values(&values[range], |value| value.to_le_bytes(), out),
        _ => Err(io::Error::other(format!("no checkpoint holds {:?}", tensor.dtype()))),
    }
}

fn write_values<T: Copy, const N: usize>(
    values: &[T],
    to_bytes: impl Fn(T) -> [u8; N],
    out: &mut dyn Write,
) -> io::Result<()> {
    const CHUNK: usize = 1 << 15;
    let mut bytes = vec![0; CHUNK.min(values.len()) * N];
    for chunk in values.chunks(CHUNK) {
        let bytes = &mut bytes[..chunk.len() * N];
        for (bytes, &value) in bytes.chunks_exact_mut(N).zip(chunk) {
            bytes.copy_from_slice(&to_bytes(value));
        }
        out.write_all(bytes)?;
    }
    Ok(())
}
