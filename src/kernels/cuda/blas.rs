//! Products of matrices by cuBLAS.

use crate::kernels::cuda::array::Array;
use crate::kernels::cuda::gpu::Gpu;
use crate::kernels::precision::Precision;
use candle_core::cuda_backend::cudarc::cublas::sys::{self, cublasComputeType_t, cublasOperation_t, cudaDataType_t};
use candle_core::{DType, Result, bail};
use std::ffi::{c_int, c_longlong};

/// A matrix in row-major order: where it lies, its type, and how far a row is from the next.
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    pub pointer: u64,
    pub dtype: DType,
    pub stride: usize,
    /// Whether its transpose is meant.
    pub transposed: bool,
}

impl Operand {
    /// A matrix whose rows follow each other.
    pub fn new(array: Array, columns: usize) -> Self {
        Self { pointer: array.pointer, dtype: array.dtype, stride: columns, transposed: false }
    }

    pub fn transposed(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// From this row on.
    pub fn starting_at(self, row: usize) -> Self {
        let offset = row * self.stride * self.dtype.size_in_bytes();
        Self { pointer: self.pointer + offset as u64, ..self }
    }

    fn data_type(self) -> Result<cudaDataType_t> {
        match self.dtype {
            DType::F32 => Ok(cudaDataType_t::CUDA_R_32F),
            DType::BF16 => Ok(cudaDataType_t::CUDA_R_16BF),
            other => bail!("products of {other:?} are not used"),
        }
    }

    fn operation(self) -> cublasOperation_t {
        match self.transposed {
            true => cublasOperation_t::CUBLAS_OP_T,
            false => cublasOperation_t::CUBLAS_OP_N,
        }
    }

    fn leading_dimension(self) -> c_int {
        self.stride.max(1) as c_int
    }
}

/// output (rows, columns) = left (rows, inner) right (inner, columns), or that added to the output if `adds`. Both
/// factors have one type.
///
/// # Safety
///
/// The operands must lie on this device and have these shapes.
pub unsafe fn multiply(
    gpu: &Gpu,
    (rows, inner, columns): (usize, usize, usize),
    left: Operand,
    right: Operand,
    output: Operand,
    adds: bool,
    precision: Precision,
) -> Result<()> {
    if rows == 0 || columns == 0 {
        return Ok(());
    }
    let compute = match precision {
        Precision::Tf32 if left.dtype == DType::F32 => cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
        _ => cublasComputeType_t::CUBLAS_COMPUTE_32F,
    };
    let (alpha, beta) = (1f32, if adds { 1f32 } else { 0f32 });
    // cuBLAS has its matrices column by column: it is given the product's transpose, of the factors in turn.
    // SAFETY: as the caller asserts; the factors are read from the host before the call returns.
    let status = unsafe {
        sys::cublasGemmEx(
            gpu.blas(),
            right.operation(),
            left.operation(),
            columns as c_int,
            rows as c_int,
            inner as c_int,
            std::ptr::from_ref(&alpha).cast(),
            right.pointer as *const _,
            right.data_type()?,
            right.leading_dimension(),
            left.pointer as *const _,
            left.data_type()?,
            left.leading_dimension(),
            std::ptr::from_ref(&beta).cast(),
            output.pointer as *mut _,
            output.data_type()?,
            output.leading_dimension(),
            compute,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    };
    match status.result() {
        Ok(()) => Ok(()),
        Err(error) => bail!("a product of {rows} x {inner} and {inner} x {columns} on the GPU: {error}"),
    }
}

/// As many matrices of one shape, `distance` values from the start of one to that of the next.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    pub operand: Operand,
    pub distance: usize,
}

impl Batch {
    pub fn transposed(self) -> Self {
        Self { operand: self.operand.transposed(), ..self }
    }
}

/// [`multiply`] of `count` matrices of f32: output = left right, each of `[left, right, output]`.
///
/// # Safety
///
/// The operands must lie on this device and have these shapes, `count` times.
pub unsafe fn multiply_batch(
    gpu: &Gpu,
    count: usize,
    (rows, inner, columns): (usize, usize, usize),
    [left, right, output]: [Batch; 3],
    precision: Precision,
) -> Result<()> {
    if count == 0 || rows == 0 || columns == 0 {
        return Ok(());
    }
    let compute = match precision {
        Precision::Tf32 => cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
        _ => cublasComputeType_t::CUBLAS_COMPUTE_32F,
    };
    let (alpha, beta) = (1f32, 0f32);
    // In turn, as above.
    // SAFETY: as the caller asserts; the factors are read from the host before the call returns.
    let status = unsafe {
        sys::cublasGemmStridedBatchedEx(
            gpu.blas(),
            right.operand.operation(),
            left.operand.operation(),
            columns as c_int,
            rows as c_int,
            inner as c_int,
            std::ptr::from_ref(&alpha).cast(),
            right.operand.pointer as *const _,
            right.operand.data_type()?,
            right.operand.leading_dimension(),
            right.distance as c_longlong,
            left.operand.pointer as *const _,
            left.operand.data_type()?,
            left.operand.leading_dimension(),
            left.distance as c_longlong,
            std::ptr::from_ref(&beta).cast(),
            output.operand.pointer as *mut _,
            output.operand.data_type()?,
            output.operand.leading_dimension(),
            output.distance as c_longlong,
            count as c_int,
            compute,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    };
    match status.result() {
        Ok(()) => Ok(()),
        Err(error) => bail!("{count} products of {rows} x {inner} and {inner} x {columns} on the GPU: {error}"),
    }
}
