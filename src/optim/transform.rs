use candle_core::{Result, Tensor};

/// What happens to the gradients of a step between the backward pass and the update: clipping, a sum over processes, the
/// sum over earlier batches.
pub trait GradientTransform: Send + Sync {
    /// Replaces gradients by others of the same shapes and dtypes. There is one for each parameter, in the order of the
    /// parameters' names, which is the same in every process and every step. All of them are complete.
    ///
    /// The gradients are on the parameters' device. On CUDA a step may be captured and replayed, so a transform that waits
    /// for the device or for another process must not be part of a [`CapturedStep`](crate::autograd::CapturedStep).
    fn transform(&self, gradients: &mut [Tensor]) -> Result<()>;
}
