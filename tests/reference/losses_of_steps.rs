//! The losses of each step of a trajectory, held against PyTorch's.

use gan::losses::adversarial::AdversarialLoss;
use serde::Deserialize;

use super::trajectories::config;

/// The losses of one network, step by step.
#[derive(Deserialize)]
pub(super) struct Losses {
    pub want: Vec<f64>,
    /// Of each step, relative.
    torch_f32_spread: Vec<f64>,
}

impl Losses {
    pub fn assert(&self, what: &str, found: &[f64], tolerance: impl Fn(f64) -> f64) {
        assert_eq!(found.len(), self.want.len(), "{what}");
        let errors: Vec<f64> = found.iter().zip(&self.want).map(|(found, want)| (found / want - 1.0).abs()).collect();
        let is_near = |(error, spread): (&f64, &f64)| *error <= tolerance(*spread); // a NaN is not
        assert!(errors.iter().zip(&self.torch_f32_spread).all(is_near), "{what}: relative errors {errors:?}");
    }

    /// The same of losses that go through 0, relative to the largest of all steps: PyTorch's own spread too is that of
    /// all, since a leaky ReLU that rounding turns moves a penalty in one step here and in another there.
    fn assert_through_zero(&self, what: &str, found: &[f64], tolerance: impl Fn(f64) -> f64) {
        assert_eq!(found.len(), self.want.len(), "{what}");
        let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0f64, |most, value| most.max(value.abs()));
        let size = largest(&mut self.want.iter().copied());
        let spread = largest(&mut self.want.iter().zip(&self.torch_f32_spread).map(|(want, spread)| want * spread));
        let errors: Vec<f64> = found.iter().zip(&self.want).map(|(found, want)| (found - want).abs() / size).collect();
        assert!(errors.iter().all(|error| *error <= tolerance(spread / size)), "{what}: errors {errors:?}");
    }

    /// As the loss that these flags choose has it.
    pub fn assert_of(&self, flags: &[&str], what: &str, found: &[f64], tolerance: impl Fn(f64) -> f64) {
        match config(flags).loss() {
            AdversarialLoss::WganGp => self.assert_through_zero(what, found, tolerance),
            _ => self.assert(what, found, tolerance),
        }
    }
}
