use candle_core::{DType, ModuleT, Result, Tensor, Var, bail};
use candle_nn::{Init, VarBuilder};

use crate::ops::{self, Activation, BatchNormOutput, ScaleShift};

/// PyTorch's defaults, which are the papers' too.
const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

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
        Self::with_weight(channels, Init::Const(1.0), activation, vb)
    }

    /// With a scale that begins as `weight`.
    pub fn with_weight(channels: usize, weight: Init, activation: Activation, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(channels, "weight", weight)?,
            bias: vb.get_with_hints(channels, "bias", Init::Const(0.0))?,
            running_mean: vb.get_with_hints(channels, "running_mean", Init::Const(0.0))?,
            running_var: vb.get_with_hints(channels, "running_var", Init::Const(1.0))?,
            num_batches_tracked: vb.get_with_hints_dtype((), "num_batches_tracked", Init::Const(0.0), DType::I64)?,
            activation,
        })
    }

    /// What it does in evaluation, before its activation.
    pub(super) fn scale_shift(&self) -> Result<ScaleShift> {
        let scale = (&self.weight / (&self.running_var + EPS)?.sqrt()?)?.detach();
        let shift = (&self.bias - (&self.running_mean * &scale)?)?.detach();
        Ok(ScaleShift { scale, shift })
    }

    pub(super) fn activation(&self) -> Activation {
        self.activation
    }

    fn track(&self, BatchNormOutput { mean, variance, count, .. }: &BatchNormOutput) -> Result<()> {
        if !self.running_mean.is_variable() {
            bail!("a frozen batch norm cannot be trained");
        }
        let [running_mean, running_var, batches] = [
            Var::from_tensor(&self.running_mean)?,
            Var::from_tensor(&self.running_var)?,
            Var::from_tensor(&self.num_batches_tracked)?,
        ];
        ops::track_statistics([&running_mean, &running_var, &batches], mean, variance, *count, MOMENTUM)
    }
}

impl ModuleT for BatchNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let Self { weight, bias, running_mean, running_var, activation, .. } = self;
        if !train {
            return ops::batch_norm_eval(x, running_mean, running_var, weight, bias, EPS, *activation);
        }
        let normalised = ops::batch_norm_train(x, weight, bias, EPS, *activation)?;
        if normalised.moves_running_statistics {
            self.track(&normalised)?;
        }
        Ok(normalised.output)
    }
}
