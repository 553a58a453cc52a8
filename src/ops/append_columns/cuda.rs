//! Columns on CUDA, by candle's kernel that copies between rows of two widths.

use crate::kernels::cuda::{Fresh, Gpu};
use crate::kernels::exclusion::shared;
use candle_core::backend::BackendStorage;
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, Layout, Result, Shape, Storage, Tensor, bail};
use std::ops::Range;

/// x (N, A), y (N, B), contiguous: (N, A + B)
pub fn forward((x, lx): (&CudaStorage, &Layout), (y, ly): (&CudaStorage, &Layout)) -> Result<(CudaStorage, Shape)> {
    let ((count, of_x), (_, of_y)) = (lx.shape().dims2()?, ly.shape().dims2()?);
    let width = of_x + of_y;
    let (mut output, shape) = Fresh::new(&*Gpu::of(&x.device)?, &[count, width], x.dtype())?.into_storage();
    x.copy2d(&mut output, count, of_x, of_x, width, lx.start_offset(), 0)?;
    y.copy2d(&mut output, count, of_y, of_y, width, ly.start_offset(), of_x)?;
    Ok((output, shape))
}

/// Some of the columns of a gradient.
pub fn columns(gradient: &Tensor, range: Range<usize>) -> Result<Tensor> {
    let gradient = gradient.contiguous()?;
    let (count, width) = gradient.dims2()?;
    shared(|| {
        let (storage, layout) = gradient.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else { bail!("expected a gradient on a GPU") };
        let dims = [count, range.len()];
        let (mut some, shape) = Fresh::new(&*Gpu::of(&storage.device)?, &dims, storage.dtype())?.into_storage();
        storage.copy2d(&mut some, count, dims[1], width, dims[1], layout.start_offset() + range.start, 0)?;
        Ok(Tensor::from_storage(Storage::Cuda(some), shape, BackpropOp::none(), false))
    })
}
