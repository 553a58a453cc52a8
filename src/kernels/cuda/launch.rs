//! Launches of kernels.

use crate::kernels::cuda::array::Array;
use crate::kernels::cuda::gpu::Gpu;
use crate::kernels::cuda::kernel::{Module, Source};
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{LaunchConfig, PushKernelArg};
use candle_core::{DType, Result};

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Argument<'a> {
    Pointer(u64),
    /// `index_t`
    Length(i64),
    Int(i32),
    Float(f32),
    Double(f64),
    /// The bytes of a struct.
    Structure(&'a [u8]),
}

impl<'a> Argument<'a> {
    /// A struct of plain values, with the layout of the kernel's.
    pub fn structure<T: Copy>(value: &'a T) -> Self {
        // SAFETY: the bytes live as long as the value; nothing but the driver reads them, padding included.
        Argument::Structure(unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) })
    }
}

impl From<Array<'_>> for Argument<'_> {
    fn from(array: Array) -> Self {
        Argument::Pointer(array.pointer)
    }
}

impl From<Option<Array<'_>>> for Argument<'_> {
    fn from(array: Option<Array>) -> Self {
        Argument::Pointer(array.map_or(0, |array| array.pointer))
    }
}

impl From<usize> for Argument<'_> {
    /// A length; what a kernel takes as an `int` is an i32.
    fn from(length: usize) -> Self {
        Argument::Length(length as i64)
    }
}

impl From<i32> for Argument<'_> {
    fn from(value: i32) -> Self {
        Argument::Int(value)
    }
}

impl From<f32> for Argument<'_> {
    fn from(value: f32) -> Self {
        Argument::Float(value)
    }
}

impl From<f64> for Argument<'_> {
    fn from(value: f64) -> Self {
        Argument::Double(value)
    }
}

/// Blocks and their threads.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    pub blocks: (u32, u32),
    pub threads: (u32, u32),
}

/// Threads of a block of an elementwise kernel, and blocks at most: each thread then takes several values.
const THREADS: usize = 256;
const BLOCKS: usize = 8192;

impl Grid {
    /// For a kernel that goes through `len` items, as many a thread as it takes.
    pub fn over(len: usize) -> Self {
        Self { blocks: (len.div_ceil(THREADS).clamp(1, BLOCKS) as u32, 1), threads: (THREADS as u32, 1) }
    }

    /// One block for each of so many rows.
    pub fn rows(count: usize, threads: u32) -> Self {
        Self { blocks: (count as u32, 1), threads: (threads, 1) }
    }
}

/// How a pass over the columns of a matrix is cut, by its shape alone; see the prelude.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Whether a thread takes 16 bytes of columns at once.
    pub wide: bool,
    pub chunks: usize,
    pub grid: Grid,
}

/// Blocks of a pass: four for each multiprocessor of an H100.
const PASS_BLOCKS: usize = 528;

/// Rows that a thread should add up at least.
const ROWS_OF_A_THREAD: usize = 4;

impl Columns {
    pub fn new(rows: usize, channels: usize, dtype: DType, aligned: bool) -> Self {
        let wide = 16 / dtype.size_in_bytes();
        let (wide, columns) = match aligned && channels.is_multiple_of(wide) {
            true => (true, channels / wide),
            false => (false, channels),
        };
        let across = columns.next_power_of_two().clamp(1, 32);
        let down = THREADS / across;
        let groups = columns.div_ceil(across);
        let chunks = rows.div_ceil(down * ROWS_OF_A_THREAD).clamp(1, (PASS_BLOCKS / groups).max(1));
        let grid = Grid { blocks: (groups as u32, chunks as u32), threads: (across as u32, down as u32) };
        Self { wide, chunks, grid }
    }

    /// For the kernels that add up the chunks: 32 x 16 threads a block.
    pub fn finish(channels: usize) -> Grid {
        Grid { blocks: (channels.div_ceil(32) as u32, 1), threads: (32, 16) }
    }
}

/// Whether all of these may be read 16 bytes at a time.
pub fn aligned(arrays: &[Array]) -> bool {
    arrays.iter().all(|array| array.pointer.is_multiple_of(16))
}

/// How an elementwise kernel takes arrays of one length: `(kernel, grid)` of the two that are given.
pub fn elementwise(arrays: &[Array], one: &'static str, wide: &'static str) -> (&'static str, Grid) {
    let len = arrays[0].len();
    let width = 16 / arrays[0].dtype.size_in_bytes();
    match aligned(arrays) && len.is_multiple_of(width) {
        true => (wide, Grid::over(len / width)),
        false => (one, Grid::over(len)),
    }
}

impl Gpu {
    /// Launches `kernel` of a source, compiled for values of `dtype`.
    ///
    /// # Safety
    ///
    /// The arguments must be those of the kernel, and cover what the grid's threads read and write.
    pub unsafe fn launch(
        &self,
        source: Source,
        dtype: DType,
        kernel: &'static str,
        grid: Grid,
        arguments: &[Argument],
    ) -> Result<()> {
        let function = self.function(Module { source, values: dtype }, kernel)?;
        let stream = self.device().cuda_stream();
        let mut builder = stream.launch_builder(&function);
        for argument in arguments {
            match argument {
                Argument::Pointer(value) => builder.arg(value),
                Argument::Length(value) => builder.arg(value),
                Argument::Int(value) => builder.arg(value),
                Argument::Float(value) => builder.arg(value),
                Argument::Double(value) => builder.arg(value),
                // The driver takes as many bytes from here as the kernel's parameter has.
                Argument::Structure(bytes) => builder.arg(&bytes[0]),
            };
        }
        let config = LaunchConfig {
            grid_dim: (grid.blocks.0, grid.blocks.1, 1),
            block_dim: (grid.threads.0, grid.threads.1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: as the caller asserts.
        unsafe { builder.launch(config) }.w()?;
        Ok(())
    }
}
