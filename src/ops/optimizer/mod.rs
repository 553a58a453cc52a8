//! Steps of many parameters at once: on CUDA one launch for dozens of them, elsewhere side by side.

#[cfg(feature = "cuda")]
pub(super) mod cuda;

use crate::kernels::exclusion::{exclusive, shared};
use crate::ops::adam::{AdamStep, adam_step};
use crate::ops::lerp::lerp_in_place;
use crate::ops::sgd::{SgdStep, sgd_step};
use candle_core::{Device, Result, Tensor, Var};
use rayon::prelude::*;

/// Numbers that change from step to step. On CUDA they are written to the device's memory before a step and read there,
/// so that a step that was recorded can be run again.
pub struct StepNumbers {
    on_device: Option<Tensor>,
}

impl StepNumbers {
    pub fn new(device: &Device) -> Result<Self> {
        let on_device = match device.is_cuda() {
            true => Some(Tensor::zeros(3, candle_core::DType::F32, device)?),
            false => None,
        };
        Ok(Self { on_device })
    }

    fn set(&self, numbers: [f64; 3]) -> Result<()> {
        match &self.on_device {
            Some(on_device) => {
                let numbers = numbers.map(|number| number as f32);
                // In a turn: another thread's step may be in capture on the same stream.
                shared(|| on_device.slice_set(&Tensor::new(&numbers, on_device.device())?, 0, 0))
            }
            None => Ok(()),
        }
    }

    pub fn set_adam(&self, step: &AdamStep) -> Result<()> {
        self.set(step.numbers())
    }

    /// The learning rate.
    pub fn set_sgd(&self, step: &SgdStep) -> Result<()> {
        self.set([step.lr, 0.0, 0.0])
    }

    /// How far an average moves.
    pub fn set_lerp(&self, weight: f64) -> Result<()> {
        self.set([weight, 0.0, 0.0])
    }
}

/// A parameter, its gradient and what an optimizer keeps for it.
#[derive(Clone, Copy)]
pub struct AdamSlot<'a> {
    pub parameter: &'a Var,
    pub gradient: &'a Tensor,
    pub first_moment: &'a Var,
    pub second_moment: &'a Var,
}

/// [`adam_step`] of every slot. `numbers` must have been set for this step.
pub fn adam_steps(slots: &[AdamSlot], step: &AdamStep, numbers: &StepNumbers) -> Result<()> {
    #[cfg(feature = "cuda")]
    if let Some(numbers) = &numbers.on_device {
        return cuda::adam(slots, step, numbers);
    }
    let _ = numbers;
    // One after the other they would wait for each other's last tile. Each locks its own tensors and no others.
    exclusive(|| {
        slots
            .par_iter()
            .with_max_len(1)
            .try_for_each(|slot| adam_step(slot.parameter, slot.gradient, slot.first_moment, slot.second_moment, step))
    })
}

/// A parameter, its gradient and its velocity, with the numbers of its own step.
#[derive(Clone, Copy)]
pub struct SgdSlot<'a> {
    pub parameter: &'a Var,
    pub gradient: &'a Tensor,
    pub velocity: &'a Var,
    pub step: SgdStep,
}

/// [`sgd_step`] of every slot. `numbers` must have been set for this step.
pub fn sgd_steps(slots: &[SgdSlot], numbers: &StepNumbers) -> Result<()> {
    #[cfg(feature = "cuda")]
    if let Some(numbers) = &numbers.on_device {
        return cuda::sgd(slots, numbers);
    }
    let _ = numbers;
    exclusive(|| {
        slots
            .par_iter()
            .with_max_len(1)
            .try_for_each(|slot| sgd_step(slot.parameter, slot.gradient, slot.velocity, &slot.step))
    })
}

/// [`lerp_in_place`] of every average towards its value. `numbers` must have been set for this weight.
pub fn lerp_all(pairs: &[(&Var, &Tensor)], weight: f64, numbers: &StepNumbers) -> Result<()> {
    #[cfg(feature = "cuda")]
    if let Some(numbers) = &numbers.on_device {
        return cuda::lerp(pairs, numbers);
    }
    let _ = numbers;
    exclusive(|| {
        pairs.par_iter().with_max_len(1).try_for_each(|(average, value)| lerp_in_place(average, value, weight))
    })
}
