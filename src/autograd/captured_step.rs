//! A step that is run again and again.

#[cfg(feature = "cuda")]
use crate::kernels::cuda::Recorder;
use candle_core::{Result, Tensor};
use std::marker::PhantomData;

/// Runs one step again and again, each time on other inputs of the same shapes. On CUDA its launches are recorded after
/// the first runs and repeated as one from then on: the host has little to do, and outputs lie where they lay, so that
/// the next run overwrites them. Elsewhere a run is a call.
pub struct CapturedStep<O> {
    #[cfg(feature = "cuda")]
    recorder: Recorder<O>,
    _output: PhantomData<O>,
}

impl<O> Default for CapturedStep<O> {
    fn default() -> Self {
        Self {
            #[cfg(feature = "cuda")]
            recorder: Recorder::default(),
            _output: PhantomData,
        }
    }
}

impl<O: Clone> CapturedStep<O> {
    /// Runs `step` on `inputs`. What changes from run to run must be in the inputs or have been written to the device's
    /// memory before.
    pub fn run(&mut self, inputs: &[Tensor], step: impl Fn(&[Tensor]) -> Result<O>) -> Result<O> {
        #[cfg(feature = "cuda")]
        if inputs.first().is_some_and(|input| input.device().is_cuda()) {
            return self.recorder.run(inputs, step);
        }
        step(inputs)
    }
}
