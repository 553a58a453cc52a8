//! What D is shown in place of the images of a step, real ones and fakes alike: each is transformed, recoloured, moved and
//! cut as numbers say that were drawn for it. G's gradient comes back through all of it.

use candle_core::{Result, Tensor};

use crate::ops;

/// What comes in from outside of an image and what is left of a square that is cut out: black, the background. (The
/// papers' images are padded with 0, the mean of theirs.)
const FILL: f32 = -1.0;

/// How the images of a step are distorted, in this order. A row of each tensor is of one image: the N real ones, D's fakes,
/// then G's.
#[derive(Clone, Debug, Default)]
pub struct Distortions {
    /// Of [`ops::affine_sample`], (3N, 2, 3).
    pub transforms: Option<Tensor>,
    /// Of [`ops::recolour`], (3N, C, C + 2).
    pub colours: Option<Tensor>,
    /// Of [`ops::diffaugment`], (3N, 4) in i64.
    pub moves: Option<Tensor>,
    /// The side of the square that is cut out of a moved image.
    pub cut: usize,
}

impl Distortions {
    /// The tensors that there are.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        [&self.transforms, &self.colours, &self.moves].into_iter().flatten()
    }

    /// The same distortions by other `tensors`, in the order of [`tensors`](Self::tensors).
    pub fn by(&self, tensors: &[Tensor]) -> Self {
        let mut tensors = tensors.iter().cloned();
        let mut other = |own: &Option<Tensor>| own.as_ref().and_then(|_| tensors.next());
        let (transforms, colours, moves) = (other(&self.transforms), other(&self.colours), other(&self.moves));
        Self { transforms, colours, moves, cut: self.cut }
    }

    /// The images (N, H, W, C) of a block, 0 to 2, as D is to see them.
    pub fn apply(&self, images: &Tensor, block: usize) -> Result<Tensor> {
        let count = images.dim(0)?;
        let rows = |tensor: &Tensor| tensor.narrow(0, block * count, count);
        let mut seen = images.clone(); // (N, H, W, C)
        if let Some(transforms) = &self.transforms {
            seen = ops::affine_sample(&seen, &rows(transforms)?)?;
        }
        if let Some(colours) = &self.colours {
            seen = ops::recolour(&seen, &rows(colours)?)?;
        }
        if let Some(moves) = &self.moves {
            seen = ops::diffaugment(&seen, &rows(moves)?, self.cut, FILL)?;
        }
        Ok(seen)
    }
}
