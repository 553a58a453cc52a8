//! The latents of a GAN's steps, drawn by a thread of their own, ahead of training: on an accelerator a small network's
//! step takes little longer than drawing them.

use anyhow::Result;
use candle_core::{Device, Tensor};

use crate::data::supply::Supply;
use crate::rng::Stream;

/// An endless supply of latents, uniform in (-1, 1): a function of the seed and the step alone.
pub struct StepLatents {
    drawn: Supply<[Vec<f32>; 2]>,
    size: (usize, usize),
    device: Device,
}

impl StepLatents {
    /// Starts drawing for batches of `batch_size` at `first_step`.
    pub fn start(seed: u64, batch_size: usize, latent_dim: usize, first_step: u64, device: &Device) -> Result<Self> {
        let stream = Stream::new(seed, "latents");
        let draw = move |step, _| {
            let mut generator = stream.at(step);
            [(); 2].map(|()| (0..batch_size * latent_dim).map(|_| generator.symmetric()).collect())
        };
        let drawn = Supply::start("latents", first_step, draw)?;
        Ok(Self { drawn, size: (batch_size, latent_dim), device: device.clone() })
    }

    /// The next step's: for D's fakes and for G's, (N, Z) each.
    pub fn next(&mut self) -> Result<[Tensor; 2]> {
        let [of_discriminator, of_generator] = self.drawn.take()?;
        let place = |values| Tensor::from_vec(values, self.size, &self.device);
        Ok([place(of_discriminator)?, place(of_generator)?])
    }
}
