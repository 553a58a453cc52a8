//! The tensors that a step of a GAN is computed from.

use candle_core::{Result, Tensor, bail};

use super::StepInputs;
use crate::ops;
use crate::train::distortions::Distortions;

/// What [`StepInputs`] hold that lies on the device.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub real: Tensor,
    latents: [Tensor; 2],
    distortions: Distortions,
    classes: Option<[Tensor; 3]>,
    mixing: Option<Tensor>,
}

impl Batch {
    pub fn new(inputs: &StepInputs) -> Self {
        let StepInputs { real, latents, distortions, classes, mixing, .. } = inputs.clone();
        Self { real, latents, distortions: distortions.unwrap_or_default(), classes, mixing }
    }

    /// All tensors, in a fixed order.
    pub fn tensors(&self) -> Vec<Tensor> {
        let Self { real, latents, distortions, classes, mixing } = self;
        let of_images = [real].into_iter().chain(latents);
        of_images.chain(distortions.tensors()).chain(classes.iter().flatten()).chain(mixing).cloned().collect()
    }

    /// The same with other [`tensors`](Self::tensors).
    pub fn by(&self, tensors: &[Tensor]) -> Result<Self> {
        let mut rest = tensors.iter().cloned();
        self.map(|_| match rest.next() {
            Some(tensor) => Ok(tensor),
            None => bail!("a step has more inputs than {}", tensors.len()),
        })
    }

    /// Each tensor by what `of` makes of it, in the order of [`tensors`](Self::tensors).
    fn map(&self, mut of: impl FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self {
            real: of(&self.real)?,
            latents: [of(&self.latents[0])?, of(&self.latents[1])?],
            distortions: self.distortions.by(&self.distortions.tensors().map(&mut of).collect::<Result<Vec<_>>>()?),
            classes: match &self.classes {
                Some([real, d_fakes, g_fakes]) => Some([of(real)?, of(d_fakes)?, of(g_fakes)?]),
                None => None,
            },
            mixing: self.mixing.as_ref().map(of).transpose()?,
        })
    }

    /// Cut into so many parts of as many images.
    pub fn cut(&self, parts: usize) -> Result<Vec<Self>> {
        let images = self.real.dim(0)?;
        let size = images / parts;
        let part = |part: usize| {
            self.map(|tensor| {
                // Some hold a row for each image, some a block of them for each of the batches that D sees.
                let blocks = tensor.dim(0)? / images;
                let rows = (0..blocks).map(|block| tensor.narrow(0, block * images + part * size, size));
                Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 0)
            })
        };
        (0..parts).map(part).collect()
    }

    /// What G draws from for D's fakes (0) or for its own (1): latents, with the classes of a conditional GAN behind them,
    /// (N, Z + K).
    pub fn latents(&self, step: usize) -> Result<Tensor> {
        match &self.classes {
            Some(classes) => ops::append_columns(&self.latents[step], &classes[step + 1]),
            None => Ok(self.latents[step].clone()),
        }
    }

    /// Of a conditional GAN the classes (N, K) of the real images (0), of D's fakes (1) or of G's (2).
    pub fn classes(&self, part: usize) -> Option<&Tensor> {
        self.classes.as_ref().map(|classes| &classes[part])
    }

    /// Points between the rows of two tensors of one shape, (N, ..): of each row one, where the step's inputs say.
    pub fn between(&self, real: &Tensor, fakes: &Tensor) -> Result<Tensor> {
        let Some(mixing) = &self.mixing else { bail!("a step without a place between real images and fakes") };
        let share = (real - fakes)?.flatten_from(1)?.broadcast_mul(mixing)?; // (N, ..) as one row
        fakes + share.reshape(real.dims())?
    }

    /// Images as D is to see them: the real ones (0), its fakes (1) or G's (2).
    pub fn seen(&self, images: &Tensor, part: usize) -> Result<Tensor> {
        self.distortions.apply(images, part)
    }
}
