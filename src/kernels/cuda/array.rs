//! Arrays on a device: lent ones and new ones.

use crate::kernels::cuda::gpu::Gpu;
use crate::kernels::exclusion::shared;
use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::cuda_backend::cudarc::driver::DevicePtr;
use candle_core::cuda_backend::{CudaStorage, CudaStorageSlice};
use candle_core::op::BackpropOp;
use candle_core::{DType, Layout, Result, Shape, Storage, Tensor, bail};
use std::sync::Arc;

/// Values in row-major order on a device, where they lie and their shape. Kernels that were launched before the values
/// are freed still find them: both happen in the order of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a> {
    pub pointer: u64,
    pub dims: &'a [usize],
    pub dtype: DType,
}

impl<'a> Array<'a> {
    /// A contiguous storage of f32, bf16, f64, u32 or i64.
    pub fn new(storage: &CudaStorage, layout: &'a Layout) -> Result<Self> {
        let stream = storage.device.cuda_stream();
        let (pointer, dtype) = match &storage.slice {
            CudaStorageSlice::F32(slice) => (slice.device_ptr(&stream).0, DType::F32),
            CudaStorageSlice::BF16(slice) => (slice.device_ptr(&stream).0, DType::BF16),
            CudaStorageSlice::F64(slice) => (slice.device_ptr(&stream).0, DType::F64),
            CudaStorageSlice::U32(slice) => (slice.device_ptr(&stream).0, DType::U32),
            CudaStorageSlice::I64(slice) => (slice.device_ptr(&stream).0, DType::I64),
            CudaStorageSlice::U8(slice) => (slice.device_ptr(&stream).0, DType::U8),
            _ => bail!("expected values of another dtype on the GPU"),
        };
        match layout.contiguous_offsets() {
            Some((start, _)) => {
                Ok(Self { pointer: pointer + (start * dtype.size_in_bytes()) as u64, dims: layout.dims(), dtype })
            }
            None => bail!("expected contiguous values on the GPU, found {layout:?}"),
        }
    }

    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last dimension, and the product of the others.
    pub fn rows(&self) -> (usize, usize) {
        let channels = self.dims.last().copied().unwrap_or(1);
        (self.len() / channels.max(1), channels)
    }

    /// The same values in another shape.
    pub fn reshaped(self, dims: &[usize]) -> Array<'_> {
        Array { dims, ..self }
    }
}

/// Lends a contiguous tensor on CUDA.
pub fn lend<R>(tensor: &Tensor, work: impl FnOnce(&Arc<Gpu>, Array) -> Result<R>) -> Result<R> {
    shared(|| {
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => work(&Gpu::of(&storage.device)?, Array::new(storage, layout)?),
            _ => bail!("expected a tensor on a GPU, found one on {:?}", tensor.device()),
        }
    })
}

/// New values, which a kernel is going to write.
pub struct Fresh {
    storage: CudaStorage,
    shape: Shape,
    pointer: u64,
}

impl Fresh {
    /// Memory of any content: every value must be written before it is read.
    pub fn new(gpu: &Gpu, dims: &[usize], dtype: DType) -> Result<Self> {
        let shape = Shape::from(dims);
        // An allocation of nothing is an error of CUDA's.
        let allocated = Shape::from(shape.elem_count().max(1));
        // SAFETY: what is read of it was written before, as the doc asks.
        let storage = unsafe { gpu.device().alloc_uninit(&allocated, dtype)? };
        let layout = Layout::contiguous(&allocated);
        let pointer = Array::new(&storage, &layout)?.pointer;
        Ok(Self { storage, shape, pointer })
    }

    pub fn array(&self) -> Array<'_> {
        Array { pointer: self.pointer, dims: self.shape.dims(), dtype: self.storage.dtype() }
    }

    pub fn reshaped(self, dims: &[usize]) -> Self {
        Self { shape: Shape::from(dims), ..self }
    }

    /// What a custom op's forward pass returns.
    pub fn into_storage(self) -> (CudaStorage, Shape) {
        (self.storage, self.shape)
    }

    /// What its backward pass returns.
    pub fn into_tensor(self) -> Tensor {
        Tensor::from_storage(Storage::Cuda(self.storage), self.shape, BackpropOp::none(), false)
    }
}
