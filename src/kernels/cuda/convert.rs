//! Between f32 and bf16.

use crate::kernels::cuda::array::{Array, Fresh};
use crate::kernels::cuda::gpu::Gpu;
use crate::kernels::cuda::kernel::Source;
use crate::kernels::cuda::launch::Grid;
use crate::kernels::precision::Precision;
use candle_core::{DType, Result, bail};

const SOURCE: Source = Source { name: "convert", text: include_str!("convert.cu") };

/// The type of the factors of products: TF32's are f32, which the tensor cores round.
pub fn factors(precision: Precision) -> DType {
    match precision {
        Precision::F32 | Precision::Tf32 => DType::F32,
        Precision::Bf16 => DType::BF16,
    }
}

/// The values of `x` as `dtype`, f32 or bf16.
pub fn converted(gpu: &Gpu, x: Array, dtype: DType) -> Result<Fresh> {
    let kernel = match dtype {
        DType::F32 => "to_float_values",
        DType::BF16 => "to_bfloat16_values",
        other => bail!("values are f32 or bf16, not {other:?}"),
    };
    let output = Fresh::new(gpu, x.dims, dtype)?;
    let arguments = [output.array().into(), x.into(), x.len().into()];
    // SAFETY: both have this many values.
    unsafe { gpu.launch(SOURCE, x.dtype, kernel, Grid::over(x.len()), &arguments)? };
    Ok(output)
}

/// Values as `dtype`, as they are where they have it.
pub enum Factor<'a> {
    Lent(Array<'a>),
    Converted(Fresh),
}

impl<'a> Factor<'a> {
    pub fn new(gpu: &Gpu, x: Array<'a>, dtype: DType) -> Result<Self> {
        match x.dtype == dtype {
            true => Ok(Self::Lent(x)),
            false => Ok(Self::Converted(converted(gpu, x, dtype)?)),
        }
    }

    pub fn array(&self) -> Array<'_> {
        match self {
            Self::Lent(array) => *array,
            Self::Converted(fresh) => fresh.array(),
        }
    }
}
