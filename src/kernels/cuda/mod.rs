//! What the ops' CUDA paths share: the device with its libraries, arrays on it, and launches.
//!
//! Each op's `cuda.rs` computes on [`Array`]s with the kernels of its `kernel.cu`, which NVRTC compiles when they are
//! first used; products of matrices are cuBLAS's, and convolutions cuDNN's where the binary has it. Everything of a
//! device runs on one stream, in order, and the host waits for none of it. Sums run in an order that follows from the
//! shapes alone, without atomics, so that a run repeated on the same card has the same bits.

mod array;
mod blas;
mod convert;
#[cfg(feature = "cudnn")]
mod dnn;
pub mod epilogue;
mod gpu;
mod kernel;
mod launch;
#[cfg(feature = "nccl")]
mod nccl;
mod recording;
mod window;

use crate::kernels::precision::Precision;

pub use array::{Array, Fresh, lend};
pub use blas::{Batch, Operand, multiply, multiply_batch};
pub use convert::{Factor, converted, factors};
#[cfg(feature = "cudnn")]
use dnn::{DnnConvolution, Operands, Pass};
pub use epilogue::Epilogue;
pub use gpu::Gpu;
pub use kernel::Source;
pub use launch::{Argument, Columns, Grid, aligned, elementwise};
#[cfg(feature = "nccl")]
pub use nccl::Nccl;
pub use recording::Recorder;
pub use window::WindowConv;

/// Where, and in which arithmetic, a product is computed.
#[derive(Clone, Copy)]
pub struct On<'a> {
    pub gpu: &'a Gpu,
    pub precision: Precision,
}
