//! Views by `kernel.cu`.

#![allow(unsafe_code)]

use candle_core::{CudaStorage, DType, Layout, Result, Shape};

use crate::data::augment::ColourScale;
use crate::kernels::cuda::{Argument, Array, Fresh, Gpu, Grid, Source};

const SOURCE: Source = Source { name: "views", text: include_str!("kernel.cu") };

/// Of a block: `kernel.cu`'s.
const THREADS: u32 = 256;

/// Views whose pixels each thread of a block holds in registers: `kernel.cu`'s.
const SMALL: usize = 32;

/// Views of images (M, height, width, 3) as records (V, 8) say, which must name images and crops that are there:
/// (V, `size`, `size`, 3).
pub fn views(
    (images, images_layout): (&CudaStorage, &Layout),
    (drawn, drawn_layout): (&CudaStorage, &Layout),
    size: usize,
    ColourScale { mean, factor }: ColourScale,
) -> Result<(CudaStorage, Shape)> {
    let gpu = Gpu::of(&images.device)?;
    let (images, drawn) = (Array::new(images, images_layout)?, Array::new(drawn, drawn_layout)?);
    let (count, height, width) = (drawn.dims[0], images.dims[1] as i32, images.dims[2] as i32);
    let views = Fresh::new(&gpu, &[count, size, size, 3], DType::F32)?;
    if count > 0 {
        let arrays = [views.array().into(), images.into(), drawn.into()];
        let numbers = [height.into(), width.into(), (size as i32).into()];
        let arguments = [arrays, numbers, mean.map(Argument::Float), factor.map(Argument::Float)].concat();
        let kernel = if size <= SMALL { "small_views" } else { "large_views" };
        // SAFETY: a block writes one view and reads one record, and the pixels of a crop within an image that is there.
        unsafe { gpu.launch(SOURCE, DType::F32, kernel, Grid::rows(count, THREADS), &arguments)? };
    }
    Ok(views.into_storage())
}
