//! Outputs of ops on the tape as leaves of candle's graph.

use crate::autograd::grad_slot::GradSlot;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, Var, bail};
use std::sync::Mutex;

/// An op's output, in candle's graph by way of `root`, a variable without meaning: what candle's backward pass brings to
/// it goes to `slot`.
pub fn leaf_output(root: &Var, computed: (Storage, Shape), slot: GradSlot) -> Result<Tensor> {
    root.apply_op1(LeafOutput { computed: Mutex::new(Some(computed)), slot })
}

/// From nothing to the values of an op's output, which are moved out of here.
struct LeafOutput {
    computed: Mutex<Option<(Storage, Shape)>>,
    slot: GradSlot,
}

impl LeafOutput {
    fn take(&self) -> Result<(Storage, Shape)> {
        match self.computed.lock().ok().and_then(|mut computed| computed.take()) {
            Some(computed) => Ok(computed),
            None => bail!("an op's output is computed once"),
        }
    }
}

impl CustomOp1 for LeafOutput {
    fn name(&self) -> &'static str {
        "output"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match self.take()? {
            (Storage::Cpu(storage), shape) => Ok((storage, shape)),
            _ => bail!("an output has the device of its arguments"),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        match self.take()? {
            (Storage::Cuda(storage), shape) => Ok((storage, shape)),
            _ => bail!("an output has the device of its arguments"),
        }
    }

    /// Only candle's own ops ask for this: ours go by the slots.
    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        self.slot.accumulate(gradient.clone())?;
        Ok(None)
    }
}
