//! The products of images with weights on CUDA: by cuDNN where the binary has it and it serves the shape, else from
//! patches and one product of matrices for as many images as fit into [`PATCHES`].

use crate::kernels::cuda::{
    Argument, Array, Epilogue, Factor, Fresh, Gpu, Grid, On, Operand, Source, aligned, converted, factors, multiply,
};
#[cfg(feature = "cudnn")]
use crate::kernels::cuda::{DnnConvolution, Operands, Pass};
use crate::kernels::precision::Precision;
use crate::kernels::window::Window;
use candle_core::{DType, Result};
use std::ops::Range;

const SOURCE: Source = Source { name: "window", text: include_str!("kernel.cu") };

/// Bytes of patches at a time.
const PATCHES: usize = 1 << 28;

/// Rows of patches and packed weights are padded to so many values: tensor cores read 16 bytes at a time.
const ROW: usize = 8;

/// The window as the kernels have it.
#[derive(Clone, Copy)]
#[repr(C)]
struct KernelWindow {
    height: i32,
    width: i32,
    channels: i32,
    size: i32,
    stride: i32,
    padding: i32,
    down: i32,
    across: i32,
    patch: i32,
    stride_of_patch: i32,
}

/// The products of a window's images with weights of so many features.
pub struct WindowConv<'a> {
    gpu: &'a Gpu,
    window: Window,
    features: usize,
    precision: Precision,
}

impl<'a> WindowConv<'a> {
    pub fn new(on: On<'a>, window: Window, features: usize) -> Self {
        Self { gpu: on.gpu, window, features, precision: on.precision }
    }

    /// The images (N, H, W, C) correlated with `weight` (O, C, K, K) at each place: (N, down, across, O), of the
    /// images' type.
    pub fn conv(&self, images: Array, weight: Array, epilogue: Epilogue) -> Result<Fresh> {
        let Self { gpu, window, features, precision } = self;
        let dims = [window.images, window.down, window.across, *features];
        let output = Fresh::new(gpu, &dims, images.dtype)?;
        #[cfg(feature = "cudnn")]
        if let Some(convolution) = self.by_library(images.dtype) {
            let packed = self.packed(weight, window.patch())?;
            let [images, weight] = [images.pointer, packed.array().pointer];
            let operands = Operands { images, weight, output: output.array().pointer };
            // SAFETY: the arrays have the convolution's shapes and type.
            if unsafe { convolution.run(gpu, Pass::Output, operands)? } {
                epilogue.finish(gpu, output.array())?;
                return Ok(output);
            }
        }
        let row = self.row();
        let weight = self.packed(weight, row)?;
        let right = Operand::new(weight.array(), row).transposed();
        for images_of_part in self.parts() {
            let places = self.places(&images_of_part);
            let patches = self.patches(images, &images_of_part)?;
            let into = Operand::new(output.array(), *features).starting_at(places.start);
            // SAFETY: the patches have a row for each place, the weight one for each feature.
            unsafe {
                multiply(gpu, (places.len(), row, *features), patches.operand(row), right, into, false, *precision)?
            };
        }
        epilogue.finish(gpu, output.array())?;
        Ok(output)
    }

    /// The adjoint of [`conv`](Self::conv) in the images: `values` (N, down, across, O) spread by `weight`
    /// over the images (N, H, W, C), of the values' type.
    pub fn conv_transpose(&self, values: Array, weight: Array, epilogue: Epilogue) -> Result<Fresh> {
        let Self { gpu, window, features, precision } = self;
        let dims = [window.images, window.height, window.width, window.channels];
        let images = Fresh::new(gpu, &dims, values.dtype)?;
        #[cfg(feature = "cudnn")]
        if let Some(convolution) = self.by_library(values.dtype) {
            let packed = self.packed(weight, window.patch())?;
            let [output, weight] = [values.pointer, packed.array().pointer];
            let operands = Operands { images: images.array().pointer, weight, output };
            // SAFETY: the arrays have the convolution's shapes and type.
            if unsafe { convolution.run(gpu, Pass::Images, operands)? } {
                epilogue.finish(gpu, images.array())?;
                return Ok(images);
            }
        }
        let row = self.row();
        let weight = self.packed(weight, row)?;
        let right = Operand::new(weight.array(), row);
        let values_of = Factor::new(gpu, values, factors(*precision))?;
        let left = Operand::new(values_of.array(), *features);
        if window.is_pixels() && row == window.patch() {
            let into = Operand::new(images.array(), row);
            // SAFETY: the images are the patches.
            unsafe { multiply(gpu, (window.places(), *features, row), left, right, into, false, *precision)? };
            epilogue.finish(gpu, images.array())?;
            return Ok(images);
        }
        let kernel = match images.array().dtype {
            DType::BF16 => "scatter_bfloat16",
            _ => "scatter_float",
        };
        let [number, slope] = epilogue.activation.code();
        let description = self.description(row);
        for of_part in self.parts() {
            let places = self.places(&of_part);
            let patches = Fresh::new(gpu, &[places.len(), row], DType::F32)?;
            let into = Operand::new(patches.array(), row);
            let len = of_part.len() * window.image();
            let offset = of_part.start * window.image() * images.array().dtype.size_in_bytes();
            let target = Argument::Pointer(images.array().pointer + offset as u64);
            let arguments = [
                target,
                patches.array().into(),
                len.into(),
                Argument::structure(&description),
                epilogue.bias.into(),
                number,
                slope,
            ];
            // SAFETY: the patches are those of the part's images, whose values are `len`.
            unsafe {
                let left = left.starting_at(places.start);
                multiply(gpu, (places.len(), *features, row), left, right, into, false, *precision)?;
                gpu.launch(SOURCE, DType::F32, kernel, Grid::over(len), &arguments)?;
            }
        }
        Ok(images)
    }

    /// The gradient of the weight (O, C, K, K), f32, from that of [`conv`](Self::conv)'s output.
    pub fn weight_gradient(&self, images: Array, gradient: Array) -> Result<Fresh> {
        let Self { gpu, features, precision, .. } = self;
        #[cfg(feature = "cudnn")]
        if images.dtype == gradient.dtype
            && let Some(convolution) = self.by_library(images.dtype)
        {
            let packed = Fresh::new(gpu, &[*features, self.window.patch()], images.dtype)?;
            let [of_images, output] = [images.pointer, gradient.pointer];
            let operands = Operands { images: of_images, weight: packed.array().pointer, output };
            // SAFETY: the arrays have the convolution's shapes and type.
            if unsafe { convolution.run(gpu, Pass::Weight, operands)? } {
                return self.unpacked(packed, self.window.patch());
            }
        }
        let row = self.row();
        let packed = Fresh::new(gpu, &[*features, row], DType::F32)?;
        let into = Operand::new(packed.array(), row);
        let gradient = Factor::new(gpu, gradient, factors(*precision))?;
        let left = Operand::new(gradient.array(), *features);
        for of_part in self.parts() {
            let places = self.places(&of_part);
            let patches = self.patches(images, &of_part)?;
            let left = left.starting_at(places.start).transposed();
            // SAFETY: gradient and patches have a row for each place.
            unsafe {
                let dims = (*features, places.len(), row);
                multiply(gpu, dims, left, patches.operand(row), into, of_part.start > 0, *precision)?;
            }
        }
        self.unpacked(packed, row)
    }

    #[cfg(feature = "cudnn")]
    fn by_library(&self, dtype: DType) -> Option<DnnConvolution> {
        let Window { images, channels, size, .. } = self.window;
        // Elsewhere a product of matrices is the better kernel, or the only one with tensor cores.
        let fits = size > 1 && images > 0 && channels.is_multiple_of(8) && self.features.is_multiple_of(8);
        (fits && dtype == factors(self.precision)).then_some(DnnConvolution {
            window: self.window,
            features: self.features,
            dtype,
            precision: self.precision,
        })
    }

    /// Values of a row of patches.
    fn row(&self) -> usize {
        self.window.patch().next_multiple_of(ROW)
    }

    /// Ranges of the images whose patches are made at a time.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let count = self.window.images;
        let bytes = self.window.places_of_an_image() * self.row() * factors(self.precision).size_in_bytes();
        let images = match self.window.is_pixels() && self.row() == self.window.patch() {
            true => count,
            false => (PATCHES / bytes.max(1)).clamp(1, count.max(1)),
        };
        // Without images there is one part all the same: a gradient of a weight is then zero, not unwritten.
        (0..count.div_ceil(images.max(1)).max(1)).map(move |part| part * images..((part + 1) * images).min(count))
    }

    fn places(&self, images: &Range<usize>) -> Range<usize> {
        let each = self.window.places_of_an_image();
        images.start * each..images.end * each
    }

    fn description(&self, row: usize) -> KernelWindow {
        let Window { height, width, channels, size, stride, padding, down, across, .. } = self.window;
        let [height, width, channels, size, stride, padding, down, across, patch, stride_of_patch] =
            [height, width, channels, size, stride, padding, down, across, self.window.patch(), row]
                .map(|value| value as i32);
        KernelWindow { height, width, channels, size, stride, padding, down, across, patch, stride_of_patch }
    }

    /// The patches of some images, as factors.
    fn patches(&self, images: Array, of: &Range<usize>) -> Result<Patches> {
        let (gpu, row, factors) = (self.gpu, self.row(), factors(self.precision));
        let offset = of.start * self.window.image() * images.dtype.size_in_bytes();
        let part = Array { pointer: images.pointer + offset as u64, ..images };
        if self.window.is_pixels() && row == self.window.patch() {
            return match images.dtype == factors {
                true => Ok(Patches { pointer: part.pointer, dtype: factors, _made: None }),
                false => {
                    let made = converted(gpu, images, factors)?; // all images are one part
                    Ok(Patches { pointer: made.array().pointer, dtype: factors, _made: Some(made) })
                }
            };
        }
        let places = of.len() * self.window.places_of_an_image();
        let made = Fresh::new(gpu, &[places, row], factors)?;
        let four = self.window.channels.is_multiple_of(4) && images.dtype == factors && aligned(&[part]);
        let (kernel, len) = match images.dtype {
            _ if four => ("gather_four", places * row / 4),
            DType::BF16 => ("gather_bfloat16", places * row),
            _ => ("gather_float", places * row),
        };
        let description = self.description(row);
        let arguments = [made.array().into(), part.into(), places.into(), Argument::structure(&description)];
        // SAFETY: the part has the images of these places.
        unsafe { gpu.launch(SOURCE, factors, kernel, Grid::over(len), &arguments)? };
        Ok(Patches { pointer: made.array().pointer, dtype: factors, _made: Some(made) })
    }

    /// A weight (O, C, K, K) as factors (O, K, K, C), each feature's row padded to `row`.
    fn packed<'w>(&self, weight: Array<'w>, row: usize) -> Result<Factor<'w>> {
        let Window { channels, size, .. } = self.window;
        let factors = factors(self.precision);
        if size == 1 && row == channels {
            return Factor::new(self.gpu, weight, factors);
        }
        let packed = Fresh::new(self.gpu, &[self.features, row], factors)?;
        let numbers = [self.features, channels, size * size, row].map(|number| Argument::Int(number as i32));
        let arguments = [&[packed.array().into(), weight.into()], &numbers[..]].concat();
        // SAFETY: the weight has these dimensions.
        unsafe { self.gpu.launch(SOURCE, factors, "pack_weight", Grid::over(self.features * row), &arguments)? };
        Ok(Factor::Converted(packed))
    }

    /// And back, as f32.
    fn unpacked(&self, packed: Fresh, row: usize) -> Result<Fresh> {
        let Window { channels, size, .. } = self.window;
        let dims = [self.features, channels, size, size];
        let dtype = packed.array().dtype;
        if size == 1 && row == channels && dtype == DType::F32 {
            return Ok(packed.reshaped(&dims));
        }
        let weight = Fresh::new(self.gpu, &dims, DType::F32)?;
        let kernel = match dtype {
            DType::BF16 => "unpack_bfloat16",
            _ => "unpack_float",
        };
        let numbers = [self.features, channels, size * size, row].map(|number| Argument::Int(number as i32));
        let arguments = [&[weight.array().into(), packed.array().into()], &numbers[..]].concat();
        let len = self.features * self.window.patch();
        // SAFETY: the weight has these dimensions, the packed one rows of `row`.
        unsafe { self.gpu.launch(SOURCE, DType::F32, kernel, Grid::over(len), &arguments)? };
        Ok(weight)
    }
}

/// Patches: the images themselves, or memory of their own.
struct Patches {
    pointer: u64,
    dtype: DType,
    _made: Option<Fresh>,
}

impl Patches {
    fn operand(&self, row: usize) -> Operand {
        Operand { pointer: self.pointer, dtype: self.dtype, stride: row, transposed: false }
    }
}
