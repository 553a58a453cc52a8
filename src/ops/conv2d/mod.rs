//! Convolution over images with the channels last.

use super::activation;
use super::product::{self, Product};
use crate::kernels::activation::Activation;
use crate::kernels::cpu::convolution;
use crate::kernels::cpu::epilogue::Epilogue;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Array as CudaArray, Epilogue as CudaEpilogue, Fresh, On, WindowConv};
use crate::kernels::storage::{Array, is_fused};
use crate::kernels::window::{Window, places};
#[cfg(feature = "cuda")]
use candle_core::DType;
use candle_core::{Result, Tensor, bail};

/// x (N, H, W, C) correlated with weight (O, C, K, K), plus bias (O), then `activation`: (N, H', W', O) with
/// H' = (H + 2 padding - K) / stride + 1, rounded down. As `torch.nn.functional.conv2d`, whose weight this is.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
    activation: Activation,
) -> Result<Tensor> {
    let product = Convolution { stride, padding };
    product::check(&product, x, weight, bias, activation)?;
    if is_fused(&[x, weight, bias.unwrap_or(x)]) {
        product::apply(product, x, weight, bias, activation)
    } else {
        naive(x, weight, bias, stride, padding, activation)
    }
}

/// [`conv2d`] in candle's ops: a product of matrices for each of the window's K x K positions. candle's own conv2d has
/// no backward pass where height and width need different padding.
pub fn naive(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
    activation: Activation,
) -> Result<Tensor> {
    let dims = Convolution { stride, padding }.output_dims(x.dims(), weight.dims())?;
    let (down, across, features, size) = (dims[1], dims[2], dims[3], weight.dims()[2]);
    let (count, channels) = (x.dims()[0], x.dims()[3]);
    let padded = x.pad_with_zeros(1, padding, padding)?.pad_with_zeros(2, padding, padding)?.contiguous()?;
    let every = |start: usize, count: usize| {
        let indexes = (0..count).map(|place| (start + place * stride) as u32).collect::<Vec<_>>();
        Tensor::new(indexes, x.device())
    };
    let mut sum = Tensor::zeros((count * down * across, features), x.dtype(), x.device())?;
    for row in 0..size {
        let rows = padded.index_select(&every(row, down)?, 1)?;
        for column in 0..size {
            let seen = rows.index_select(&every(column, across)?, 2)?; // (N, H', W', C)
            let seen = seen.reshape((count * down * across, channels))?;
            let of_weight = weight.narrow(2, row, 1)?.narrow(3, column, 1)?.reshape((features, channels))?;
            sum = (sum + seen.matmul(&of_weight.t()?)?)?;
        }
    }
    let sum = match bias {
        Some(bias) => sum.broadcast_add(bias)?,
        None => sum,
    };
    activation::naive(&sum.reshape(dims)?, activation)
}

#[derive(Clone, Copy)]
struct Convolution {
    stride: usize,
    padding: usize,
}

impl Convolution {
    fn window(&self, x: &[usize], weight: &[usize]) -> Result<Window> {
        let Convolution { stride, padding } = *self;
        if let (&[images, height, width, channels], &[features, expected, size, across]) = (x, weight)
            && channels == expected
            && size == across
            && [channels, features, size].iter().all(|dim| *dim > 0)
            && let (Some(down), Some(across)) =
                (places(height, size, stride, padding), places(width, size, stride, padding))
        {
            return Ok(Window { images, height, width, channels, size, stride, padding, down, across });
        }
        bail!(
            "conv2d: expected an input (N, H, W, C) and a weight (O, C, K, K) that fits it, found {x:?} and {weight:?} \
             with stride {stride} and padding {padding}"
        )
    }
}

impl Product for Convolution {
    const NAME: &'static str = "conv2d";

    fn output_dims(&self, x: &[usize], weight: &[usize]) -> Result<Vec<usize>> {
        let window = self.window(x, weight)?;
        Ok(vec![window.images, window.down, window.across, weight[0]])
    }

    fn forward(&self, x: Array, weight: Array, epilogue: Epilogue) -> Result<Vec<f32>> {
        let window = self.window(x.dims, weight.dims)?;
        Ok(convolution::conv(&window, x.values, weight.values, weight.dims[0], epilogue))
    }

    fn input_gradient(&self, x_dims: &[usize], weight: Array, gradient: Array) -> Result<Vec<f32>> {
        let window = self.window(x_dims, weight.dims)?;
        Ok(convolution::conv_transpose(&window, gradient.values, weight.values, weight.dims[0], Epilogue::NONE))
    }

    fn weight_gradient(&self, x: Array, weight_dims: &[usize], gradient: Array) -> Result<Vec<f32>> {
        let window = self.window(x.dims, weight_dims)?;
        Ok(convolution::weight_gradient(&window, x.values, gradient.values, weight_dims[0]))
    }

    #[cfg(feature = "cuda")]
    fn cuda_forward(&self, on: On, x: CudaArray, weight: CudaArray, epilogue: CudaEpilogue) -> Result<Fresh> {
        let products = WindowConv::new(on, self.window(x.dims, weight.dims)?, weight.dims[0]);
        products.conv(x, weight, epilogue)
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
        products.conv_transpose(gradient, weight, CudaEpilogue::NONE)
    }

    #[cfg(feature = "cuda")]
    fn cuda_weight_gradient(&self, on: On, x: CudaArray, weight_dims: &[usize], gradient: CudaArray) -> Result<Fresh> {
        let products = WindowConv::new(on, self.window(x.dims, weight_dims)?, weight_dims[0]);
        products.weight_gradient(x, gradient)
    }
}
