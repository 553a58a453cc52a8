//! Transposed convolution over images with the channels last: the adjoint of a convolution.

use super::conv2d;
use super::product::{self, Product, ScaleShift};
use crate::kernels::activation::Activation;
use crate::kernels::cpu::convolution;
use crate::kernels::cpu::epilogue::Epilogue;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Epilogue as CudaEpilogue, Fresh, On, WindowConv};
use crate::kernels::storage::{Array, is_fused};
use crate::kernels::window::Window;
#[cfg(feature = "cuda")]
use candle_core::DType;
use candle_core::{Result, Tensor, bail};

/// x (N, H, W, C) spread by weight (C, O, K, K), plus bias (O), then `activation`: (N, H', W', O) with
/// H' = (H - 1) stride - 2 padding + K. As `torch.nn.functional.conv_transpose2d`, whose weight this is.
pub fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
    activation: Activation,
) -> Result<Tensor> {
    let product = Transposed { stride, padding };
    product::check(&product, x, weight, bias, activation)?;
    if is_fused(&[x, weight, bias.unwrap_or(x)]) {
        product::apply(product, x, weight, bias, activation)
    } else {
        naive(x, weight, bias, stride, padding, activation)
    }
}

/// [`conv_transpose2d`], then each channel scaled and shifted.
pub fn conv_transpose2d_scaled(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    (stride, padding): (usize, usize),
    activation: Activation,
    scale: &ScaleShift,
) -> Result<Tensor> {
    let plain = || conv_transpose2d(x, weight, bias, stride, padding, activation);
    product::apply_scaled(Transposed { stride, padding }, (x, weight, bias), activation, scale, plain)
}

/// [`conv_transpose2d`] in candle's ops: the convolution, with the weight turned by half a circle, of the input with
/// `stride - 1` zeros between its pixels and `K - 1` around them.
pub fn naive(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
    activation: Activation,
) -> Result<Tensor> {
    let dims = Transposed { stride, padding }.output_dims(x.dims(), weight.dims())?;
    let (count, height, width, channels) = x.dims4()?;
    let size = weight.dims()[2];
    let apart = x
        .reshape((count, height, 1, width, channels))?
        .pad_with_zeros(2, 0, stride - 1)?
        .reshape((count, height * stride, width, 1, channels))?
        .pad_with_zeros(3, 0, stride - 1)?
        .reshape((count, height * stride, width * stride, channels))?
        .narrow(1, 0, (height - 1) * stride + 1)?
        .narrow(2, 0, (width - 1) * stride + 1)?
        .pad_with_zeros(1, size - 1, size - 1)?
        .pad_with_zeros(2, size - 1, size - 1)?
        .narrow(1, padding, dims[1] + size - 1)?
        .narrow(2, padding, dims[2] + size - 1)?;
    let backwards = Tensor::new((0..size as u32).rev().collect::<Vec<_>>(), x.device())?;
    let turned = weight.index_select(&backwards, 2)?.index_select(&backwards, 3)?.transpose(0, 1)?;
    conv2d::naive(&apart, &turned, bias, 1, 0, activation)
}

#[derive(Clone, Copy)]
struct Transposed {
    stride: usize,
    padding: usize,
}

impl Transposed {
    /// The window of the convolution that this is the adjoint of: it slides over the output, and has a place for each
    /// pixel of the input.
    fn window(&self, x: &[usize], weight: &[usize]) -> Result<Window> {
        let Transposed { stride, padding } = *self;
        if let (&[images, down, across, features], &[expected, channels, size, wide]) = (x, weight)
            && features == expected
            && size == wide
            && [channels, features, size, stride, down, across].iter().all(|dim| *dim > 0)
        {
            let length = |places: usize| {
                let last = (places - 1).checked_mul(stride)?.checked_add(size)?;
                last.checked_sub(padding.checked_mul(2)?).filter(|length| *length > 0)
            };
            if let (Some(height), Some(width)) = (length(down), length(across)) {
                return Ok(Window { images, height, width, channels, size, stride, padding, down, across });
            }
        }
        bail!(
            "conv_transpose2d: expected an input (N, H, W, C) and a weight (C, O, K, K) that fits it, found {x:?} and \
             {weight:?} with stride {stride} and padding {padding}"
        )
    }
}

impl Product for Transposed {
    const NAME: &'static str = "conv_transpose2d";

    fn output_dims(&self, x: &[usize], weight: &[usize]) -> Result<Vec<usize>> {
        let window = self.window(x, weight)?;
        Ok(vec![window.images, window.height, window.width, window.channels])
    }

    fn forward(&self, x: Array, weight: Array, epilogue: Epilogue) -> Result<Vec<f32>> {
        let window = self.window(x.dims, weight.dims)?;
        Ok(convolution::conv_transpose(&window, x.values, weight.values, weight.dims[0], epilogue))
    }

    fn input_gradient(&self, x_dims: &[usize], weight: Array, gradient: Array) -> Result<Vec<f32>> {
        let window = self.window(x_dims, weight.dims)?;
        Ok(convolution::conv(&window, gradient.values, weight.values, weight.dims[0], Epilogue::NONE))
    }

    fn weight_gradient(&self, x: Array, weight_dims: &[usize], gradient: Array) -> Result<Vec<f32>> {
        let window = self.window(x.dims, weight_dims)?;
        Ok(convolution::weight_gradient(&window, gradient.values, x.values, weight_dims[0]))
    }

    #[cfg(feature = "cuda")]
    fn cuda_forward(&self, on: On, x: CudaArray, weight: CudaArray, epilogue: CudaEpilogue) -> Result<Fresh> {
        let products = WindowConv::new(on, self.window(x.dims, weight.dims)?, weight.dims[0]);
        products.conv_transpose(x, weight, epilogue)
    }

    #[cfg(feature = "cuda")]
    fn cuda_input_gradient(
        &self,
        on: On,
        (dims, _): (&[usize], DType),
        weight: CudaArray,
        gradient: CudaArray,
    ) -> Result<Fresh> {
        let products = WindowConv::new(on, self.window(dims, weight.dims)?, weight.dims[0]);
        products.conv(gradient, weight, CudaEpilogue::NONE)
    }

    #[cfg(feature = "cuda")]
    fn cuda_weight_gradient(&self, on: On, x: CudaArray, weight_dims: &[usize], gradient: CudaArray) -> Result<Fresh> {
        let products = WindowConv::new(on, self.window(x.dims, weight_dims)?, weight_dims[0]);
        products.weight_gradient(gradient, x)
    }
}
