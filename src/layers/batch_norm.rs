use crate::autograd;
use candle_core::{DType, Module, ModuleT, Result, Tensor, Var, bail};
use candle_nn::{Init, VarBuilder};

use super::Linear;
use crate::ops::{self, Activation, RunningNorm, Shifted};

/// PyTorch's defaults, which are the papers' too.
const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// A layer that can take a batch norm in evaluation into the pass over its output.
pub trait Normalisable: Module {
    /// `norm` of [`forward`](Module::forward).
    fn forward_normalised(&self, x: &Tensor, norm: &RunningNorm) -> Result<Tensor>;
}

/// Batch normalisation over all but the last dimension: PyTorch's `nn.BatchNorm1d` and `nn.BatchNorm2d`, channels
/// last (Ioffe and Szegedy, 1502.03167).
///
/// In training the batch's mean and biased variance normalise, and the running estimates move by a tenth towards the
/// batch's mean and unbiased variance. In evaluation the running estimates normalise.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor, // (), int64
    activation: Activation,
}

impl BatchNorm {
    /// `activation` is applied to the output.
    pub fn new(channels: usize, activation: Activation, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(channels, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(channels, "bias", Init::Const(0.0))?,
            running_mean: vb.get_with_hints(channels, "running_mean", Init::Const(0.0))?,
            running_var: vb.get_with_hints(channels, "running_var", Init::Const(1.0))?,
            num_batches_tracked: vb.get_with_hints_dtype((), "num_batches_tracked", Init::Const(0.0), DType::I64)?,
            activation,
        })
    }

    /// The norm of what `layer` makes of x: in evaluation in the layer's own pass over its output.
    pub fn after(&self, layer: &impl Normalisable, x: &Tensor, train: bool) -> Result<Tensor> {
        if train {
            return self.forward_t(&layer.forward(x)?, train);
        }
        self.running(|norm| layer.forward_normalised(x, norm))
    }

    /// The same with the norm's shift apart, for a linear layer behind it.
    pub fn shifted_after(&self, layer: &Linear, x: &Tensor, train: bool) -> Result<Shifted> {
        if self.activation != Activation::Identity {
            return self.after(layer, x, train).map(Shifted::from);
        }
        if !train {
            return self.running(|norm| layer.shifted_normalised(x, norm));
        }
        let x = layer.forward(x)?;
        self.check_batch(&x)?;
        let normalised = ops::batch_norm_train_shifted(&x, &self.weight, &self.bias, EPS)?;
        self.track(&x, &normalised.mean, &normalised.variance)?;
        Ok(normalised.output)
    }

    /// The norm of what `layer` makes of x, as images (N, H, W, C) where its outputs are those of (C, H, W).
    pub fn images_after(&self, layer: &Linear, x: &Shifted, dims: [usize; 3], train: bool) -> Result<Tensor> {
        if train {
            let [channels, height, width] = dims;
            let x = self.forward_t(&layer.forward_shifted(x)?, train)?; // (N, C H W)
            return ops::channels_last(&autograd::reshape(&x, (x.dim(0)?, channels, height, width))?);
        }
        self.running(|norm| layer.images_normalised(x, norm, dims))
    }

    /// Lends the norm with its running statistics, through which no gradient goes.
    fn running<X>(&self, work: impl FnOnce(&RunningNorm) -> Result<X>) -> Result<X> {
        let (mean, variance) = (self.running_mean.detach(), self.running_var.detach());
        work(&RunningNorm {
            mean: &mean,
            variance: &variance,
            weight: &self.weight,
            bias: &self.bias,
            eps: EPS,
            activation: self.activation,
        })
    }

    fn check_batch(&self, x: &Tensor) -> Result<()> {
        if x.elem_count() <= self.weight.elem_count() {
            bail!("batch norm in training needs more than one value a channel, got an input of {:?}", x.dims());
        }
        Ok(())
    }

    fn track(&self, x: &Tensor, mean: &Tensor, variance: &Tensor) -> Result<()> {
        if !self.running_mean.is_variable() {
            bail!("a frozen batch norm cannot be trained");
        }
        let count = x.elem_count() / mean.elem_count();
        let [running_mean, running_var, batches] = [
            Var::from_tensor(&self.running_mean)?,
            Var::from_tensor(&self.running_var)?,
            Var::from_tensor(&self.num_batches_tracked)?,
        ];
        ops::track_statistics([&running_mean, &running_var, &batches], mean, variance, count, MOMENTUM)
    }
}

impl ModuleT for BatchNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        if !train {
            return self.running(|norm| norm.apply(x));
        }
        self.check_batch(x)?;
        let normalised = ops::batch_norm_train(x, &self.weight, &self.bias, EPS, self.activation)?;
        self.track(x, &normalised.mean, &normalised.variance)?;
        Ok(normalised.output)
    }
}
