use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::ops::{self, Activation};

/// As torchvision's `BasicConv2d` says it.
const EPS: f64 = 1e-3;

/// torchvision's `BasicConv2d` in evaluation: a convolution without a bias, a batch norm, which is folded into it, and
/// ReLU. `conv.weight` and `bn.*` are its tensors.
#[derive(Clone, Debug)]
pub(super) struct BasicConv {
    weight: Tensor, // (outputs, inputs, rows, columns)
    bias: Tensor,   // (outputs)
    window: Window,
}

#[derive(Clone, Copy, Debug)]
enum Window {
    Square {
        stride: usize,
        padding: usize,
    },
    /// A row or a column, padded so that the image keeps its size.
    Line,
}

impl BasicConv {
    /// With a window of `size` x `size`.
    pub fn square(
        inputs: usize,
        outputs: usize,
        (size, stride, padding): (usize, usize, usize),
        vb: VarBuilder,
    ) -> Result<Self> {
        Self::new((outputs, inputs, size, size), Window::Square { stride, padding }, vb)
    }

    /// With a window of one pixel.
    pub fn pixel(inputs: usize, outputs: usize, vb: VarBuilder) -> Result<Self> {
        Self::square(inputs, outputs, (1, 1, 0), vb)
    }

    /// With a window of `size` pixels across the image.
    pub fn row(inputs: usize, outputs: usize, size: usize, vb: VarBuilder) -> Result<Self> {
        Self::new((outputs, inputs, 1, size), Window::Line, vb)
    }

    /// With a window of `size` pixels down the image.
    pub fn column(inputs: usize, outputs: usize, size: usize, vb: VarBuilder) -> Result<Self> {
        Self::new((outputs, inputs, size, 1), Window::Line, vb)
    }

    fn new(shape: (usize, usize, usize, usize), window: Window, vb: VarBuilder) -> Result<Self> {
        let weight = vb.pp("conv").get(shape, "weight")?;
        let norm = |name: &str| vb.pp("bn").get(shape.0, name);
        let scale = (norm("weight")? / (norm("running_var")? + EPS)?.sqrt()?)?;
        let bias = (norm("bias")? - (norm("running_mean")? * &scale)?)?;
        Ok(Self {
            weight: weight.broadcast_mul(&scale.reshape((shape.0, 1, 1, 1))?)?.detach(),
            bias: bias.detach(),
            window,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self.window {
            Window::Square { stride, padding } => {
                ops::conv2d(x, &self.weight, Some(&self.bias), stride, padding, Activation::Relu)
            }
            Window::Line => ops::line_conv2d(x, &self.weight, &self.bias, Activation::Relu),
        }
    }
}
