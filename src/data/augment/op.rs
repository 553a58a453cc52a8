//! Views of images that lie on a device, made there.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

use super::{ColourScale, ViewParameters};
use crate::data::ImageShape;
use crate::data::augment::packed::WORDS;

/// The views of `images`, (M, height, width, 3) in u8, that are drawn, each of the image of that number:
/// (V, `size`, `size`, 3) in f32, normalised, on the images' device. The same bits on every device that has a path here:
/// the CPU and CUDA.
pub fn views(images: &Tensor, drawn: &[(u32, ViewParameters)], size: usize, scale: ColourScale) -> Result<Tensor> {
    let (count, height, width, channels) = images.dims4()?;
    if images.dtype() != DType::U8 || channels != 3 || height.max(width) > 0xFFFF {
        bail!("views are taken of images (M, height, width, 3) in u8, found {:?} {:?}", images.dims(), images.dtype())
    }
    for (image, ViewParameters { crop, .. }) in drawn {
        let within = |start: usize, len: usize, end: usize| len > 0 && start + len <= end;
        let lies = within(crop.top, crop.height, height) && within(crop.left, crop.width, width);
        if *image as usize >= count || !lies {
            bail!("{crop:?} of image {image} does not lie within images {:?}", images.dims())
        }
    }
    let words: Vec<u32> = drawn.iter().flat_map(|(image, parameters)| parameters.packed(*image)).collect();
    let words = Tensor::from_vec(words, (drawn.len(), WORDS), images.device())?;
    images.contiguous()?.apply_op2_no_bwd(&words, &Views { size, scale })
}

struct Views {
    /// Height and width of a view.
    size: usize,
    scale: ColourScale,
}

impl CustomOp2 for Views {
    fn name(&self) -> &'static str {
        "views"
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        images_layout: &Layout,
        drawn: &CpuStorage,
        drawn_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let offsets = (images_layout.contiguous_offsets(), drawn_layout.contiguous_offsets());
        let (CpuStorage::U8(pixels), CpuStorage::U32(words), (Some((first, _)), Some((start, end)))) =
            (images, drawn, offsets)
        else {
            bail!("expected contiguous images in u8")
        };
        let (_, height, width, channels) = images_layout.shape().dims4()?;
        let shape = ImageShape { height, width, channels };
        let records = words[start..end].as_chunks::<WORDS>().0;
        let (size, values) = (self.size, self.size * self.size * channels);
        let mut views = vec![0.0; records.len() * values];
        for (view, words) in views.chunks_exact_mut(values).zip(records) {
            let (image, parameters) = ViewParameters::unpacked(*words);
            let pixels = &pixels[first + image as usize * shape.stride()..][..shape.stride()];
            parameters.apply((pixels, shape), size, self.scale, view);
        }
        Ok((CpuStorage::F32(views), Shape::from((records.len(), size, size, channels))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        images: &CudaStorage,
        images_layout: &Layout,
        drawn: &CudaStorage,
        drawn_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::cuda::views((images, images_layout), (drawn, drawn_layout), self.size, self.scale)
    }
}
