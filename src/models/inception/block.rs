use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::basic_conv::BasicConv;
use crate::ops::{self, Activation};

/// What a branch does to its input before its convolutions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pool {
    None,
    /// The mean of the pixels around each.
    Mean,
    /// The largest of the pixels around each.
    Max,
    /// The largest of each 3x3, two apart.
    MaxStrided,
}

impl Pool {
    fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::None => Ok(x.clone()),
            Self::Mean => ops::avg_pool2d(x, 3),
            Self::Max => ops::max_pool2d(x, 3, 1, 1, Activation::Identity),
            Self::MaxStrided => ops::max_pool2d(x, 3, 2, 0, Activation::Identity),
        }
    }
}

/// A pooling, convolutions one after the other, and where it forks, two of them side by side at its end.
#[derive(Clone, Debug)]
struct Branch {
    pool: Pool,
    layers: Vec<BasicConv>,
    fork: Option<[BasicConv; 2]>,
}

impl Branch {
    fn of(layers: Vec<BasicConv>) -> Self {
        Self { pool: Pool::None, layers, fork: None }
    }

    fn pooled(pool: Pool, layers: Vec<BasicConv>) -> Self {
        Self { pool, layers, fork: None }
    }

    /// Adds what it gives to `outputs`.
    fn forward(&self, x: &Tensor, outputs: &mut Vec<Tensor>) -> Result<()> {
        let mut x = self.pool.forward(x)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        match &self.fork {
            Some([row, column]) => outputs.extend([row.forward(&x)?, column.forward(&x)?]),
            None => outputs.push(x),
        }
        Ok(())
    }
}

/// Branches side by side, whose channels come one after the other: torchvision's `InceptionA` to `InceptionE`, under its
/// names.
#[derive(Clone, Debug)]
pub(super) struct Block {
    branches: Vec<Branch>,
}

impl Block {
    /// `InceptionA`, of 224 + `pooled` channels.
    pub fn a(inputs: usize, pooled: usize, vb: VarBuilder) -> Result<Self> {
        let pixel = |outputs: usize, name: &str| BasicConv::pixel(inputs, outputs, vb.pp(name));
        let branches = vec![
            Branch::of(vec![pixel(64, "branch1x1")?]),
            Branch::of(vec![pixel(48, "branch5x5_1")?, BasicConv::square(48, 64, (5, 1, 2), vb.pp("branch5x5_2"))?]),
            Branch::of(vec![
                pixel(64, "branch3x3dbl_1")?,
                BasicConv::square(64, 96, (3, 1, 1), vb.pp("branch3x3dbl_2"))?,
                BasicConv::square(96, 96, (3, 1, 1), vb.pp("branch3x3dbl_3"))?,
            ]),
            Branch::pooled(Pool::Mean, vec![pixel(pooled, "branch_pool")?]),
        ];
        Ok(Self { branches })
    }

    /// `InceptionB`, of half the height and width and 480 channels more.
    pub fn b(inputs: usize, vb: VarBuilder) -> Result<Self> {
        let branches = vec![
            Branch::of(vec![BasicConv::square(inputs, 384, (3, 2, 0), vb.pp("branch3x3"))?]),
            Branch::of(vec![
                BasicConv::pixel(inputs, 64, vb.pp("branch3x3dbl_1"))?,
                BasicConv::square(64, 96, (3, 1, 1), vb.pp("branch3x3dbl_2"))?,
                BasicConv::square(96, 96, (3, 2, 0), vb.pp("branch3x3dbl_3"))?,
            ]),
            Branch::pooled(Pool::MaxStrided, Vec::new()),
        ];
        Ok(Self { branches })
    }

    /// `InceptionC`, of 768 channels.
    pub fn c(inputs: usize, inner: usize, vb: VarBuilder) -> Result<Self> {
        let pixel = |outputs: usize, name: &str| BasicConv::pixel(inputs, outputs, vb.pp(name));
        let row = |outputs: usize, name: &str| BasicConv::row(inner, outputs, 7, vb.pp(name));
        let column = |outputs: usize, name: &str| BasicConv::column(inner, outputs, 7, vb.pp(name));
        let branches = vec![
            Branch::of(vec![pixel(192, "branch1x1")?]),
            Branch::of(vec![pixel(inner, "branch7x7_1")?, row(inner, "branch7x7_2")?, column(192, "branch7x7_3")?]),
            Branch::of(vec![
                pixel(inner, "branch7x7dbl_1")?,
                column(inner, "branch7x7dbl_2")?,
                row(inner, "branch7x7dbl_3")?,
                column(inner, "branch7x7dbl_4")?,
                row(192, "branch7x7dbl_5")?,
            ]),
            Branch::pooled(Pool::Mean, vec![pixel(192, "branch_pool")?]),
        ];
        Ok(Self { branches })
    }

    /// `InceptionD`, of half the height and width and 512 channels more.
    pub fn d(inputs: usize, vb: VarBuilder) -> Result<Self> {
        let branches = vec![
            Branch::of(vec![
                BasicConv::pixel(inputs, 192, vb.pp("branch3x3_1"))?,
                BasicConv::square(192, 320, (3, 2, 0), vb.pp("branch3x3_2"))?,
            ]),
            Branch::of(vec![
                BasicConv::pixel(inputs, 192, vb.pp("branch7x7x3_1"))?,
                BasicConv::row(192, 192, 7, vb.pp("branch7x7x3_2"))?,
                BasicConv::column(192, 192, 7, vb.pp("branch7x7x3_3"))?,
                BasicConv::square(192, 192, (3, 2, 0), vb.pp("branch7x7x3_4"))?,
            ]),
            Branch::pooled(Pool::MaxStrided, Vec::new()),
        ];
        Ok(Self { branches })
    }

    /// `InceptionE`, of 2048 channels; the network for FID has one of each `pool`.
    pub fn e(inputs: usize, pool: Pool, vb: VarBuilder) -> Result<Self> {
        let pixel = |outputs: usize, name: &str| BasicConv::pixel(inputs, outputs, vb.pp(name));
        let fork = |row: &str, column: &str| -> Result<_> {
            Ok(Some([BasicConv::row(384, 384, 3, vb.pp(row))?, BasicConv::column(384, 384, 3, vb.pp(column))?]))
        };
        let branches = vec![
            Branch::of(vec![pixel(320, "branch1x1")?]),
            Branch { fork: fork("branch3x3_2a", "branch3x3_2b")?, ..Branch::of(vec![pixel(384, "branch3x3_1")?]) },
            Branch {
                fork: fork("branch3x3dbl_3a", "branch3x3dbl_3b")?,
                ..Branch::of(vec![
                    pixel(448, "branch3x3dbl_1")?,
                    BasicConv::square(448, 384, (3, 1, 1), vb.pp("branch3x3dbl_2"))?,
                ])
            },
            Branch::pooled(pool, vec![pixel(192, "branch_pool")?]),
        ];
        Ok(Self { branches })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut outputs = Vec::new();
        for branch in &self.branches {
            branch.forward(x, &mut outputs)?;
        }
        Tensor::cat(&outputs, 3)
    }
}
