//! Moving averages in place.

use crate::kernels::cpu::parallel::TILE;
use crate::kernels::cpu::simd::vectorised;
use crate::kernels::exclusion::exclusive;
use crate::kernels::storage::{are_apart, is_fused, modify, read};
#[cfg(feature = "cuda")]
use crate::ops::optimizer::{StepNumbers, lerp_all};
use candle_core::{Result, Tensor, Var, bail};
use rayon::prelude::*;

/// Moves `average` towards `value` of the same shape: average += weight * (value - average). As
/// `torch.Tensor.lerp_` for weights below one half.
pub fn lerp_in_place(average: &Var, value: &Tensor, weight: f64) -> Result<()> {
    if average.dims() != value.dims() {
        bail!("lerp: expected two tensors of one shape, found {:?} and {:?}", average.dims(), value.dims())
    }
    #[cfg(feature = "cuda")]
    if average.device().is_cuda() && is_fused(&[average, value]) {
        let numbers = StepNumbers::new(average.device())?;
        numbers.set_lerp(weight)?;
        return lerp_all(&[(average, value)], weight, &numbers);
    }
    if !is_fused(&[average, value]) {
        let old = average.as_detached_tensor();
        return average.set(&(&old + ((value.detach() - &old)? * weight)?)?);
    }
    if average.elem_count() == 0 || !are_apart(&[average, value]) {
        return Ok(()); // nothing to move, or towards itself
    }
    let weight = weight as f32;
    exclusive(|| {
        read(value, |value| {
            modify(average, |average| {
                let tiles = average.par_chunks_mut(TILE).zip(value.par_chunks(TILE));
                tiles.for_each(|(average, value)| move_towards(average, value, weight));
                Ok(())
            })
        })?
    })
}

/// The same on the calling thread.
pub(super) fn move_towards(average: &mut [f32], value: &[f32], weight: f32) {
    vectorised(
        #[inline(always)]
        || average.iter_mut().zip(value).for_each(|(average, value)| *average += weight * (value - *average)),
    );
}
