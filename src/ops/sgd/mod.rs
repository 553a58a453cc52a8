//! One step of stochastic gradient descent with momentum for one parameter, in place or by LARS.

mod cpu;

use crate::kernels::exclusion::exclusive;
use crate::kernels::storage::{are_apart, is_fused, modify, read};
#[cfg(feature = "cuda")]
use crate::ops::optimizer::{SgdSlot, StepNumbers, sgd_steps};
use candle_core::{DType, Result, Tensor, Var, bail};

/// The numbers of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    pub lr: f64,
    pub momentum: f64,
    /// Added to the gradient as `weight_decay * parameter`.
    pub weight_decay: f64,
    pub rule: SgdRule,
}

/// Where the learning rate enters: the two agree as long as it stays the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SgdRule {
    /// Past the velocity: velocity = momentum * velocity + d, parameter -= lr * velocity. `torch.optim.SGD` without
    /// dampening.
    Sgd,
    /// Into the velocity: velocity = momentum * velocity + lr * ratio * d, parameter -= velocity. LARS (You, Gitman and
    /// Ginsburg, 1708.03888) in the form of SimCLR's own optimizer: the ratio is trust * |parameter| / |d|, and 1 if
    /// either norm is 0 or the parameter is not adapted (`None`).
    Lars { trust: Option<f64> },
}

/// Updates `parameter` and its `velocity`, of one shape, by `gradient`, with d = gradient + weight_decay * parameter, as
/// the [`SgdRule`] says.
pub fn sgd_step(parameter: &Var, gradient: &Tensor, velocity: &Var, step: &SgdStep) -> Result<()> {
    let tensors = [parameter.as_tensor(), gradient, velocity.as_tensor()];
    if tensors.iter().any(|tensor| tensor.dims() != parameter.dims()) {
        let found: Vec<_> = tensors.iter().map(|tensor| tensor.dims()).collect();
        bail!("sgd: expected a parameter, its gradient and its velocity of one shape, found {found:?}")
    }
    #[cfg(feature = "cuda")]
    if parameter.device().is_cuda() && is_fused(&tensors) {
        let numbers = StepNumbers::new(parameter.device())?;
        numbers.set_sgd(step)?;
        return sgd_steps(&[SgdSlot { parameter, gradient, velocity, step: *step }], &numbers);
    }
    if !is_fused(&tensors) {
        return naive(parameter, gradient, velocity, step);
    }
    if parameter.elem_count() == 0 {
        return Ok(());
    }
    if !are_apart(&tensors) {
        bail!("sgd: the parameter, its gradient and its velocity must not share their memory")
    }
    exclusive(|| {
        read(gradient, |gradient| {
            modify(parameter, |parameter| {
                modify(velocity, |velocity| {
                    cpu::step(parameter, gradient, velocity, step);
                    Ok(())
                })
            })
        })?
    })
}

/// [`sgd_step`] in candle's ops.
pub fn naive(parameter: &Var, gradient: &Tensor, velocity: &Var, step: &SgdStep) -> Result<()> {
    let old = parameter.as_detached_tensor();
    let direction = (gradient.detach() + (&old * step.weight_decay)?)?;
    let momentum = (velocity.as_detached_tensor() * step.momentum)?;
    let (velocity_now, rate) = match step.rule {
        SgdRule::Sgd => ((momentum + direction)?, step.lr),
        SgdRule::Lars { trust: None } => ((momentum + (direction * step.lr)?)?, 1.0),
        SgdRule::Lars { trust: Some(trust) } => {
            let norm = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.sqr()?.sum_all()?.sqrt();
            let (of_parameter, of_direction) = (norm(&old)?, norm(&direction)?);
            let ratio = ((&of_parameter / &of_direction)? * trust)?;
            let defined = (of_parameter.gt(0f64)? * of_direction.gt(0f64)?)?;
            let ratio = defined.where_cond(&ratio, &ratio.ones_like()?)?;
            let scaled = direction.broadcast_mul(&(ratio * step.lr)?.to_dtype(direction.dtype())?)?;
            ((momentum + scaled)?, 1.0)
        }
    };
    parameter.set(&(old - (&velocity_now * rate)?)?)?;
    velocity.set(&velocity_now)
}
