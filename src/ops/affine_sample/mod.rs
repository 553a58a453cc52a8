//! Affine transforms of a batch, one for each image: differentiable rotations, scalings and translations.
//!
//! PyTorch's `grid_sample(images, affine_grid(...), mode="bilinear", padding_mode="reflection", align_corners=False)`, with
//! the transforms in pixels instead of fractions of the image.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use crate::autograd;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Gpu, lend};
use crate::kernels::storage::{is_fused, read, tensor, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

/// Numbers of a transform, row by row.
pub const TRANSFORM: usize = 6;

/// Images (N, H, W, C), each as its rows of `transforms` say, (N, 2, 3) in f32: (N, H, W, C). The pixel in column x and row
/// y is taken from column a x + b y + c and row d x + e y + f, the rows of the transform being (a, b, c) and (d, e, f):
/// bilinearly from the four pixels around. Beyond its borders an image goes on as its mirror image. Transforms have no
/// gradient.
pub fn affine_sample(images: &Tensor, transforms: &Tensor) -> Result<Tensor> {
    let dims = images.dims4()?;
    if transforms.dims() != [dims.0, 2, 3] || transforms.dtype() != DType::F32 {
        let (found, dtype) = (transforms.dims(), transforms.dtype());
        bail!("affine_sample: expected transforms [{}, 2, 3] in f32, found {found:?} in {dtype:?}", dims.0)
    }
    if !is_fused(&[images]) || images.dtype() != DType::F32 {
        return naive(images, transforms);
    }
    autograd::apply_op2(&images.contiguous()?, &transforms.contiguous()?.detach(), AffineSample)
}

/// [`affine_sample`] in candle's ops. The host waits for the transforms.
pub fn naive(images: &Tensor, transforms: &Tensor) -> Result<Tensor> {
    let (count, height, width, channels) = images.dims4()?;
    let area = height * width;
    let (mut places, mut weights) = ([(); 4].map(|()| Vec::new()), [(); 4].map(|()| Vec::new()));
    for transform in transforms.reshape((count, TRANSFORM))?.to_dtype(DType::F64)?.to_vec2::<f64>()? {
        for (y, x) in (0..area).map(|pixel| ((pixel / width) as f64, (pixel % width) as f64)) {
            let u = transform[0] * x + transform[1] * y + transform[2];
            let v = transform[3] * x + transform[4] * y + transform[5];
            for corner in 0..4 {
                let (column, row) = (u.floor() + (corner % 2) as f64, v.floor() + (corner / 2) as f64);
                let place = folded(row as i64, height) * width + folded(column as i64, width);
                places[corner].push(place as u32);
                weights[corner].push((1.0 - (u - column).abs()) * (1.0 - (v - row).abs()));
            }
        }
    }
    let (flat, device) = (images.reshape((count, area, channels))?, images.device());
    let mut sampled = flat.zeros_like()?;
    for (places, weights) in places.into_iter().zip(weights) {
        let places = Tensor::from_vec(places, (count, area, 1), device)?.broadcast_as(flat.shape())?.contiguous()?;
        let weights = Tensor::from_vec(weights, (count, area, 1), device)?.to_dtype(images.dtype())?;
        sampled = (sampled + flat.gather(&places, 1)?.broadcast_mul(&weights)?)?;
    }
    sampled.reshape(images.dims())
}

/// Where place `at` of a row of `size` pixels is found, the row going on beyond its ends as its mirror image, end pixels
/// twice.
fn folded(at: i64, size: usize) -> usize {
    let size = size as i64;
    // Most are within; a division takes longer than the rest of a pixel.
    let at = if (0..size).contains(&at) { at } else { at.rem_euclid(2 * size) };
    (if at < size { at } else { 2 * size - 1 - at }) as usize
}

struct AffineSample;

impl autograd::Taped for AffineSample {
    fn saved(&self) -> autograd::Saved {
        autograd::Saved::Arguments
    }
}

impl CustomOp2 for AffineSample {
    fn name(&self) -> &'static str {
        "affine_sample"
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        layout: &Layout,
        transforms: &CpuStorage,
        transforms_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let transforms = values(transforms, transforms_layout)?;
        let sampled = cpu::sampled(values(images, layout)?, layout.shape().dims4()?, transforms);
        Ok((CpuStorage::F32(sampled), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        images: &CudaStorage,
        layout: &Layout,
        transforms: &CudaStorage,
        transforms_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::of(&images.device)?;
        let (images, transforms) = (CudaArray::new(images, layout)?, CudaArray::new(transforms, transforms_layout)?);
        Ok(cuda::sampled(&gpu, images, transforms)?.into_storage())
    }

    fn bwd(
        &self,
        images: &Tensor,
        transforms: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !images.track_op() {
            return Ok((None, None));
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let given = lend(&gradient.contiguous()?, |gpu, gradient| {
                lend(transforms, |_, transforms| cuda::spread(gpu, gradient, transforms))
            });
            return Ok((Some(given?.into_tensor()), None));
        }
        let (dims, transforms) = (images.dims4()?, read(transforms, <[f32]>::to_vec)?);
        let given = read(gradient, |gradient| cpu::spread(gradient, dims, &transforms))?;
        Ok((Some(tensor(given, images.dims())?), None))
    }
}
