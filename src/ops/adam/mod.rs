//! One step of Adam for one parameter, in place.

mod cpu;

use crate::autograd::Update;
use crate::kernels::exclusion::exclusive;
use crate::kernels::storage::{are_apart, is_fused, is_host, modify, read};
#[cfg(feature = "cuda")]
use crate::ops::optimizer::{AdamSlot, StepNumbers, adam_steps};
use candle_core::{Result, Tensor, Var, bail};
use std::ops::Range;

/// The numbers of one step of Adam (Kingma & Ba, arXiv 1412.6980) or AdamW (Loshchilov and Hutter, 1711.05101).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Added to the gradient as `weight_decay * parameter`, unless it is decoupled from it.
    pub weight_decay: f64,
    /// Whether it is AdamW's: the parameter is multiplied by `1 - lr * weight_decay` before the step.
    pub decoupled: bool,
    /// The number of this step; the first is 1.
    pub step: u64,
}

impl AdamStep {
    /// What changes from step to step, a, b and the learning rate: step_size * m / (sqrt(v) / c + eps) with c the root's
    /// correction is a * m / (sqrt(v) + b), a division less for each value.
    pub(super) fn numbers(&self) -> [f64; 3] {
        let correction = self.root_correction();
        [self.step_size() * correction, self.eps * correction, self.lr]
    }

    /// The weight decay that is added to the gradient, and the decoupled one. One of them is 0.
    pub(super) fn decays(&self) -> [f64; 2] {
        if self.decoupled { [0.0, self.weight_decay] } else { [self.weight_decay, 0.0] }
    }

    /// What a parameter is multiplied by before the step.
    fn shrinkage(&self) -> f64 {
        let [_, decoupled] = self.decays();
        1.0 - self.lr * decoupled
    }

    /// lr / (1 - beta1^t): the step size, the first moment's bias taken out.
    fn step_size(&self) -> f64 {
        self.lr / (1.0 - libm::pow(self.beta1, self.step as f64))
    }

    /// sqrt(1 - beta2^t): by what the root of the second moment is divided.
    fn root_correction(&self) -> f64 {
        (1.0 - libm::pow(self.beta2, self.step as f64)).sqrt()
    }
}

/// Updates `parameter` and its two moments, all of one shape, by `gradient` as `torch.optim.Adam` does, or `AdamW`.
pub fn adam_step(
    parameter: &Var,
    gradient: &Tensor,
    first_moment: &Var,
    second_moment: &Var,
    step: &AdamStep,
) -> Result<()> {
    let tensors = [parameter.as_tensor(), gradient, first_moment.as_tensor(), second_moment.as_tensor()];
    if step.step == 0 {
        bail!("adam: steps are counted from 1")
    }
    if tensors.iter().any(|tensor| tensor.dims() != parameter.dims()) {
        let found: Vec<_> = tensors.iter().map(|tensor| tensor.dims()).collect();
        bail!("adam: expected a parameter, its gradient and its moments of one shape, found {found:?}")
    }
    #[cfg(feature = "cuda")]
    if parameter.device().is_cuda() && is_fused(&tensors) {
        let numbers = StepNumbers::new(parameter.device())?;
        numbers.set_adam(step)?;
        return adam_steps(&[AdamSlot { parameter, gradient, first_moment, second_moment }], step, &numbers);
    }
    if !is_fused(&tensors) {
        return naive(parameter, gradient, first_moment, second_moment, step);
    }
    if parameter.elem_count() == 0 {
        return Ok(());
    }
    if !are_apart(&tensors) {
        bail!("adam: the parameter, its gradient and its moments must not share their memory")
    }
    let update = AdamUpdate { parameter, first_moment, second_moment, step: *step, average: None };
    exclusive(|| read(gradient, |gradient| update.whole(gradient))?)
}

/// The step of one parameter, by whatever gradient it will have. All tensors must be f32, of one shape, apart from each
/// other, and on the CPU.
pub struct AdamUpdate<'a> {
    pub parameter: &'a Var,
    pub first_moment: &'a Var,
    pub second_moment: &'a Var,
    pub step: AdamStep,
    /// What moves towards the parameter after the step, and how far, as [`lerp_in_place`](super::lerp_in_place) has it.
    pub average: Option<(&'a Var, f64)>,
}

impl AdamUpdate<'_> {
    /// An error where the tensors are not as [`AdamUpdate`] asks for.
    fn check(&self) -> Result<()> {
        let of_parameter = [self.parameter, self.first_moment, self.second_moment];
        let average = self.average.map(|(average, _)| average);
        let tensors: Vec<&Tensor> = of_parameter.into_iter().chain(average).map(Var::as_tensor).collect();
        if !is_host(&tensors) || tensors.iter().any(|tensor| tensor.dims() != self.parameter.dims()) {
            let found = tensors.iter().map(|tensor| (tensor.dims(), tensor.dtype())).collect::<Vec<_>>();
            bail!(
                "adam: expected a parameter, its moments and its average in f32 on the CPU, of one shape, found {found:?}"
            )
        }
        if !are_apart(&tensors) {
            bail!("adam: the parameter, its moments and its average must not share their memory")
        }
        Ok(())
    }

    fn lend(&self, work: impl FnOnce(cpu::Values, cpu::Numbers)) -> Result<()> {
        self.check()?;
        let numbers = cpu::Numbers { adam: self.step, weight: self.average.map_or(0.0, |(_, weight)| weight as f32) };
        modify(self.parameter, |parameter| {
            modify(self.first_moment, |first| {
                modify(self.second_moment, |second| match self.average {
                    Some((average, _)) => modify(average, |average| {
                        work(cpu::Values { parameter, first, second, average: Some(average) }, numbers);
                        Ok(())
                    }),
                    None => {
                        work(cpu::Values { parameter, first, second, average: None }, numbers);
                        Ok(())
                    }
                })
            })
        })
    }
}

impl Update for AdamUpdate<'_> {
    fn whole(&self, gradient: &[f32]) -> Result<()> {
        if gradient.len() != self.parameter.elem_count() {
            let (found, shape) = (gradient.len(), self.parameter.dims());
            bail!("adam: expected the gradient of a parameter of shape {shape:?}, found {found} values")
        }
        self.lend(|values, numbers| cpu::step(values, gradient, numbers))
    }

    fn in_pieces(&self, size: usize, write: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<()> {
        self.in_range(0..self.parameter.elem_count(), size, write)
    }

    fn in_range(&self, range: Range<usize>, size: usize, write: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<()> {
        if range.end > self.parameter.elem_count() {
            bail!("adam: expected a range of {} values, found {range:?}", self.parameter.elem_count())
        }
        self.lend(|values, numbers| cpu::step_in_pieces(values.range(range), size, write, numbers))
    }
}

/// [`adam_step`] in candle's ops.
pub fn naive(
    parameter: &Var,
    gradient: &Tensor,
    first_moment: &Var,
    second_moment: &Var,
    step: &AdamStep,
) -> Result<()> {
    let [added, _] = step.decays();
    let gradient = (gradient + (parameter.as_detached_tensor() * added)?)?;
    let first = ((first_moment.as_detached_tensor() * step.beta1)? + (&gradient * (1.0 - step.beta1))?)?;
    let second = ((second_moment.as_detached_tensor() * step.beta2)? + (gradient.sqr()? * (1.0 - step.beta2))?)?;
    let denominator = ((second.sqrt()? / step.root_correction())? + step.eps)?;
    let shrunk = (parameter.as_detached_tensor() * step.shrinkage())?;
    parameter.set(&(shrunk - ((&first / denominator)? * step.step_size())?)?)?;
    first_moment.set(&first)?;
    second_moment.set(&second)
}
