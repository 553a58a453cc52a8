//! Batch normalisation as an op of candle's.

use super::across_shards::{shards, sums_of_all};
use super::cpu::{CpuNorm, ThroughStatistics};
#[cfg(feature = "cuda")]
use super::cuda::CudaNorm;
use super::statistics::Statistics;
use super::tangent::batch_norm_tangent;
use crate::autograd;
use crate::kernels::activation::Activation;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Fresh, Gpu, lend};
use crate::kernels::storage::{Array, read, tensor};
use crate::ops::activation::times_slope;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

pub struct BatchNormOp {
    pub statistics: Statistics,
    /// Whether the statistics are this batch's, so that the gradient goes through them.
    pub trains: bool,
    /// Whether the statistics are those of several shards. The backward pass finds these where the forward pass did: in what
    /// the thread is then in, which need not be the same.
    pub is_across_shards: bool,
    /// Values of each channel that the statistics are of.
    pub count: usize,
    pub eps: f64,
    pub activation: Activation,
}

impl autograd::Taped for BatchNormOp {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }

    fn is_cheap(&self) -> bool {
        true
    }

    fn tangent(&self, arguments: &[&Tensor], _: &Tensor, tangents: &[Option<&Tensor>]) -> Result<Tensor> {
        let (true, &[x, weight, bias], &[Some(change), None, None]) = (self.trains, arguments, tangents) else {
            bail!("batch_norm: no derivative along a change but that of its input in training")
        };
        let change = batch_norm_tangent(x, weight, change, self.eps)?;
        if self.activation == Activation::Identity {
            return Ok(change);
        }
        let output = x.detach().apply_op3_no_bwd(&weight.detach(), &bias.detach(), self)?;
        times_slope(&change, &output, self.activation)
    }
}

impl CustomOp3 for BatchNormOp {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (Array::new(x, lx)?, Array::new(weight, lw)?, Array::new(bias, lb)?);
        let statistics = self.statistics.on_host()?;
        let norm = CpuNorm::new(statistics, weight.values, bias.values, self.activation);
        Ok((CpuStorage::F32(norm.forward(x.values)), lx.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        lx: &Layout,
        weight: &CudaStorage,
        lw: &Layout,
        bias: &CudaStorage,
        lb: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&x.device)?;
        let [x, weight, bias] = [CudaArray::new(x, lx)?, CudaArray::new(weight, lw)?, CudaArray::new(bias, lb)?];
        Ok(self.on_cuda(x, weight, bias)?.forward(&gpu)?.into_storage())
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Gradients> {
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            return self.cuda_backward(x, weight, bias, gradient);
        }
        let statistics = self.statistics.on_host()?;
        let [of_weight, of_bias] = [read(weight, <[f32]>::to_vec)?, read(bias, <[f32]>::to_vec)?];
        let norm = CpuNorm::new(statistics, &of_weight, &of_bias, self.activation);
        read(x, |values| {
            read(gradient, |gradient| {
                let needed = weight.track_op() || bias.track_op() || (self.trains && x.track_op());
                let sums = if needed { norm.parameter_gradients(values, gradient) } else { Default::default() };
                let [for_weight, for_bias]: [Vec<f32>; 2] =
                    sums.each_ref().map(|sums| sums.iter().map(|sum| *sum as f32).collect());
                let of_all = match (self.is_across_shards && needed, shards()) {
                    (true, Some(shards)) => Some(sums_of_all(&*shards, sums.each_ref().map(Vec::as_slice))?),
                    (true, None) => bail!("batch_norm: its backward pass must be across the shards too"),
                    (false, _) => None,
                };
                let for_x = x.track_op().then(|| {
                    let (for_weight, for_bias) = match &of_all {
                        Some([for_weight, for_bias]) => (for_weight, for_bias),
                        None => (&for_weight, &for_bias),
                    };
                    let through = ThroughStatistics { for_weight, for_bias, count: self.count };
                    tensor(norm.input_gradient(values, gradient, self.trains.then_some(&through)), x.dims())
                });
                let for_weight = weight.track_op().then(|| tensor(for_weight, weight.dims()));
                let for_bias = bias.track_op().then(|| tensor(for_bias, bias.dims()));
                Ok((for_x.transpose()?, for_weight.transpose()?, for_bias.transpose()?))
            })
        })??
    }
}

type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

#[cfg(feature = "cuda")]
impl BatchNormOp {
    fn on_cuda<'a>(&'a self, x: CudaArray<'a>, weight: CudaArray<'a>, bias: CudaArray<'a>) -> Result<CudaNorm<'a>> {
        let coefficients = self.statistics.on_cuda()?;
        Ok(CudaNorm { x, coefficients, weight, bias, activation: self.activation })
    }

    fn cuda_backward(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, gradient: &Tensor) -> Result<Gradients> {
        let gradient = gradient.contiguous()?;
        let [of_x, of_weight, of_bias] = [x, weight, bias].map(|tensor| lend(tensor, |_, array| Ok(array.pointer)));
        lend(&gradient, |gpu, gradient| {
            let array = |pointer, tensor: &'_ Tensor| CudaArray { pointer, dims: &[], dtype: tensor.dtype() };
            let [of_weight, of_bias] = [array(of_weight?, weight), array(of_bias?, bias)];
            let of_x = CudaArray { pointer: of_x?, dims: x.dims(), dtype: x.dtype() };
            let normalisation = self.on_cuda(of_x, of_weight, of_bias)?;
            let needed = weight.track_op() || bias.track_op() || (self.trains && x.track_op());
            let sums = needed.then(|| normalisation.parameter_gradients(gpu, gradient)).transpose()?;
            let for_x = x.track_op().then(|| {
                let through = sums.as_ref().filter(|_| self.trains);
                let through = through.map(|(weight, bias)| [weight.array(), bias.array()]);
                normalisation.input_gradient(gpu, gradient, through)
            });
            let for_x = for_x.transpose()?.map(Fresh::into_tensor);
            let Some((for_weight, for_bias)) = sums else { return Ok((for_x, None, None)) };
            let for_weight = weight.track_op().then(|| for_weight.into_tensor());
            Ok((for_x, for_weight, bias.track_op().then(|| for_bias.into_tensor())))
        })
    }
}
