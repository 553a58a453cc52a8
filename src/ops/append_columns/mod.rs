//! Two matrices side by side: how a network is given a condition beside its input.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
use crate::kernels::storage::{Array, is_fused, read, tensor};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use std::ops::Range;

/// The columns of y (N, B) behind those of x (N, A): (N, A + B). As `torch.cat([x, y], 1)`.
///
/// candle's own has the same values. On CUDA its gradient is a strided copy, for which the host sends shapes to the device:
/// a recorded step cannot repeat that.
pub fn append_columns(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    match (x.dims(), y.dims()) {
        (&[count, a], &[others, b]) if count == others && a > 0 && b > 0 => {}
        (x, y) => bail!("append_columns: expected inputs (N, A) and (N, B), found {x:?} and {y:?}"),
    }
    if !is_fused(&[x, y]) || x.dtype() != y.dtype() {
        return naive(x, y);
    }
    autograd::apply_op2(&x.contiguous()?, &y.contiguous()?, AppendColumns)
}

/// [`append_columns`] in candle's ops.
pub fn naive(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    Tensor::cat(&[x, y], 1)
}

struct AppendColumns;

impl autograd::Taped for AppendColumns {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Nothing
    }

    fn tangent(&self, arguments: &[&Tensor], _: &Tensor, tangents: &[Option<&Tensor>]) -> Result<Tensor> {
        match (arguments, tangents) {
            (_, [Some(x), Some(y)]) => append_columns(x, y),
            ([_, y], [Some(x), None]) => append_columns(x, &Tensor::zeros(y.dims(), x.dtype(), x.device())?),
            ([x, _], [None, Some(y)]) => append_columns(&Tensor::zeros(x.dims(), y.dtype(), y.device())?, y),
            _ => bail!("append_columns: expected the change of an argument"),
        }
    }
}

impl CustomOp2 for AppendColumns {
    fn name(&self) -> &'static str {
        "append_columns"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, y: &CpuStorage, ly: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (Array::new(x, lx)?, Array::new(y, ly)?);
        let shape = Shape::from((x.dims[0], x.dims[1] + y.dims[1]));
        Ok((CpuStorage::F32(cpu::forward(x, y)), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, lx: &Layout, y: &CudaStorage, ly: &Layout) -> Result<(CudaStorage, Shape)> {
        cuda::forward((x, lx), (y, ly))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (of_x, of_y) = (0..x.dim(1)?, x.dim(1)?..gradient.dim(1)?);
        let given = |argument: &Tensor, range| argument.track_op().then(|| columns(gradient, range)).transpose();
        Ok((given(x, of_x)?, given(y, of_y)?))
    }
}

/// Some of the columns of a gradient.
fn columns(gradient: &Tensor, range: Range<usize>) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if gradient.device().is_cuda() {
        return cuda::columns(gradient, range);
    }
    let (count, width) = gradient.dims2()?;
    tensor(read(gradient, |gradient| cpu::columns(gradient, width, range.clone()))?, &[count, range.len()])
}
