//! A step recorded once, as a CUDA graph, and launched as one from then on.

use crate::kernels::cuda::gpu::Gpu;
use crate::kernels::exclusion::exclusive;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaGraph, sys};
use candle_core::{Device, Result, Tensor, bail};
use std::sync::Arc;

/// Steps that are run before one is recorded: the first compiles kernels and chooses algorithms.
const WARM_UP: u32 = 2;

/// Repeats a step whose work on the device is the same every time, but for what it reads from its inputs and from
/// memory that the host writes between steps.
///
/// Launching a step's kernels one by one takes the host longer than they run on small networks; a recorded one takes a
/// single launch. Everything that a recorded step computes lies where it lay when it was recorded: outputs hold what the
/// last run has left there.
pub struct Recorder<O> {
    runs: u32,
    recorded: Option<Recorded<O>>,
    /// Whether a recording has failed: then steps are run one by one, as the first ones.
    failed: bool,
}

struct Recorded<O> {
    // Before the outputs: their memory belongs to the graph until it is gone.
    graph: Graph,
    inputs: Vec<Tensor>,
    output: O,
}

struct Graph(CudaGraph);

// SAFETY: a graph may be used from any thread by one at a time, and a recorder is used through `&mut` alone.
unsafe impl Send for Graph {}
// SAFETY: likewise; there is nothing to do with a shared one.
unsafe impl Sync for Graph {}

impl<O> Default for Recorder<O> {
    fn default() -> Self {
        Self { runs: 0, recorded: None, failed: false }
    }
}

impl<O: Clone> Recorder<O> {
    /// Runs `step` on contiguous `inputs` on CUDA, which must have the same shapes every time.
    ///
    /// In a turn of its own: all threads share one stream, and what another launched there while a step is recorded would
    /// become part of the recording. What does not come by way of the ops, candle's own copies and kernels, must not run
    /// beside it.
    pub fn run(&mut self, inputs: &[Tensor], step: impl Fn(&[Tensor]) -> Result<O>) -> Result<O> {
        exclusive(|| self.run_alone(inputs, step))
    }

    fn run_alone(&mut self, inputs: &[Tensor], step: impl Fn(&[Tensor]) -> Result<O>) -> Result<O> {
        self.runs = self.runs.saturating_add(1);
        if self.recorded.is_none() && !self.failed && self.runs > WARM_UP {
            self.recorded = record(inputs, &step)?;
            self.failed = self.recorded.is_none();
        }
        let Some(recorded) = &self.recorded else { return step(inputs) };
        let fits = |(own, given): (&Tensor, &Tensor)| own.dims() == given.dims() && own.dtype() == given.dtype();
        if recorded.inputs.len() != inputs.len() || !recorded.inputs.iter().zip(inputs).all(fits) {
            return step(inputs);
        }
        for (own, given) in recorded.inputs.iter().zip(inputs) {
            own.slice_set(given, 0, 0)?;
        }
        recorded.graph.0.launch().w()?;
        Ok(recorded.output.clone())
    }
}

/// Records a step without running it; none where something in it cannot be recorded.
fn record<O>(inputs: &[Tensor], step: impl Fn(&[Tensor]) -> Result<O>) -> Result<Option<Recorded<O>>> {
    let Some(Device::Cuda(device)) = inputs.first().map(Tensor::device) else { bail!("nothing on a GPU to record") };
    let stream = device.cuda_stream();
    let own = inputs.iter().map(|input| input.force_contiguous()).collect::<Result<Vec<_>>>()?;
    release_freed_memory(&Gpu::of(device)?)?;
    // Relaxed: the step may run on a thread of the pool.
    stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED).w()?;
    let output = step(&own);
    // What a run leaves allocated, its outputs, the next run takes again.
    let graph = stream.end_capture(sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
    match (output, graph) {
        (Ok(output), Ok(Some(graph))) => Ok(Some(Recorded { graph: Graph(graph), inputs: own, output })),
        (output, graph) => {
            drop((output, graph));
            // Memory of a recording that never ran cannot be freed: that is no error of the steps to come.
            let _ = stream.context().check_err();
            Ok(None)
        }
    }
}

/// Gives back what the first steps have used and freed: a graph has memory of its own.
fn release_freed_memory(gpu: &Arc<Gpu>) -> Result<()> {
    let context = gpu.device().cuda_stream().context().clone();
    if !context.has_async_alloc() {
        return Ok(());
    }
    context.synchronize().w()?; // once a run
    let mut pool = std::ptr::null_mut();
    // SAFETY: the device is open, and nothing of the pool is in use beyond what is allocated.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&mut pool, context.cu_device()).result().w()?;
        sys::cuMemPoolTrimTo(pool, 0).result().w()
    }
}
