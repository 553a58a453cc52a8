//! The two networks with everything that a step changes: weights, moments, batch-norm statistics, averages.

use anyhow::Context;
use candle_core::{Device, ModuleT, Result, Tensor, bail};

use super::gan_config::GanConfig;
use super::state::{Parts, Tensors, joined, misfit};
use crate::losses::adversarial::AdversarialLoss;
use crate::models::{Discriminator, Generator};
use crate::ops::{self, Precision};
use crate::optim::{Adam, WeightAverage};
use crate::params::Parameters;

/// A generator and its discriminator in training.
pub struct Adversaries {
    discriminator: Discriminator,
    /// The discriminator with its weights cut off from the graph: what the generator's step needs, where gradients
    /// must pass through the discriminator and none is wanted for it.
    critic: Discriminator,
    generator: Generator,
    averaged_generator: Option<Generator>,
    discriminator_parameters: Parameters,
    generator_parameters: Parameters,
    average: Option<WeightAverage>,
    discriminator_adam: Adam,
    generator_adam: Adam,
    loss: AdversarialLoss,
    steps: ops::Repeated<StepOutcome>,
    precision: Precision,
}

/// What one step leaves to look at, all still on the device: fetch it when it is to be logged, not every step, and
/// before the next step, which on CUDA overwrites it.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// D's loss before its update. A scalar.
    pub d_loss: Tensor,
    /// G's loss before its update. A scalar.
    pub g_loss: Tensor,
    /// D's scores of the real batch, (N, 1).
    pub real_scores: Tensor,
    /// D's scores of the fakes it was trained on, (N, 1).
    pub fake_scores: Tensor,
    /// Those fakes, (N, 28, 28, 1).
    pub fakes: Tensor,
}

impl Adversaries {
    pub fn new(config: &GanConfig, device: &Device) -> Result<Self> {
        let discriminator_parameters = Parameters::new(config.seed, "discriminator", device);
        let generator_parameters = Parameters::new(config.seed, "generator", device);
        let discriminator = Discriminator::new(config.model, discriminator_parameters.builder())?;
        let generator = Generator::new(config.model, config.latent_dim, generator_parameters.builder())?;
        let critic = Discriminator::new(config.model, discriminator_parameters.frozen())?;
        let (mut average, mut averaged_generator) = (None, None);
        if !config.no_ema {
            let parameters = Parameters::undrawn("generator", device);
            Generator::new(config.model, config.latent_dim, parameters.builder())?;
            parameters.load(&generator_parameters.tensors())?;
            averaged_generator = Some(Generator::new(config.model, config.latent_dim, parameters.frozen())?);
            average = Some(WeightAverage::new(parameters, config.ema_decay)?);
        }
        Ok(Self {
            discriminator_adam: Adam::new(discriminator_parameters.trainable(), config.discriminator_adam())?,
            generator_adam: Adam::new(generator_parameters.trainable(), config.generator_adam())?,
            discriminator,
            critic,
            generator,
            averaged_generator,
            discriminator_parameters,
            generator_parameters,
            average,
            loss: config.loss(),
            steps: ops::Repeated::default(),
            precision: config.precision,
        })
    }

    /// One step: D on a real batch (N, 28, 28, 1) and a detached fake batch, then G on a fresh fake batch. Latents are
    /// (N, Z) each.
    pub fn step(&mut self, real: &Tensor, d_latents: &Tensor, g_latents: &Tensor) -> Result<StepOutcome> {
        self.discriminator_adam.prepare()?;
        self.generator_adam.prepare()?;
        if let Some(average) = &mut self.average {
            average.prepare(self.generator_adam.steps())?;
        }
        let mut steps = std::mem::take(&mut self.steps);
        let inputs = [real, d_latents, g_latents].map(Tensor::clone);
        let outcome = steps.run(&inputs, |inputs| match inputs {
            [real, d_latents, g_latents] => self.compute(real, d_latents, g_latents),
            _ => bail!("a step has three inputs"),
        });
        self.steps = steps;
        outcome
    }

    /// What the device does in a step.
    fn compute(&self, real: &Tensor, d_latents: &Tensor, g_latents: &Tensor) -> Result<StepOutcome> {
        ops::training_step(self.precision, || {
            let count = real.dim(0)?;
            let fakes = ops::inference(|| self.generator.forward_t(d_latents, true))?.detach(); // (N, 28, 28, 1)
            // One pass for both: no layer of a discriminator looks across the images of a batch.
            let both = Tensor::cat(&[real, &fakes], 0)?; // (2N, 28, 28, 1)
            let scores = self.discriminator.forward_t(&both, true)?; // (2N, 1)
            let (real_scores, fake_scores) = (ops::rows(&scores, 0, count)?, ops::rows(&scores, count, count)?); // (N, 1) each
            let d_loss = self.loss.discriminator(&real_scores, &fake_scores)?;
            self.discriminator_adam.apply(&ops::backward(&d_loss)?)?;

            let fresh_fakes = self.generator.forward_t(g_latents, true)?; // (N, 28, 28, 1)
            let g_loss = self.loss.generator(&self.critic.forward_t(&fresh_fakes, true)?)?;
            self.generator_adam.apply(&ops::backward(&g_loss)?)?;

            if let Some(average) = &self.average {
                average.apply(&self.generator_parameters)?;
            }
            Ok(StepOutcome {
                d_loss: d_loss.detach(),
                g_loss: g_loss.detach(),
                real_scores: real_scores.detach(),
                fake_scores: fake_scores.detach(),
                fakes,
            })
        })
    }

    /// The generator to look at and to sample from: the averaged one where it is kept.
    pub fn best_generator(&self) -> &Generator {
        self.averaged_generator.as_ref().unwrap_or(&self.generator)
    }

    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    pub fn discriminator(&self) -> &Discriminator {
        &self.discriminator
    }

    pub fn discriminator_parameters(&self) -> &Parameters {
        &self.discriminator_parameters
    }

    pub fn generator_parameters(&self) -> &Parameters {
        &self.generator_parameters
    }

    pub fn averaged_parameters(&self) -> Option<&Parameters> {
        self.average.as_ref().map(WeightAverage::parameters)
    }

    /// Everything that a step changes, by the names of the checkpoint file.
    pub fn state(&self) -> Tensors {
        joined([
            ("discriminator.", self.discriminator_parameters.tensors()),
            ("generator.", self.generator_parameters.tensors()),
            ("adam.discriminator.", self.discriminator_adam.state()),
            ("adam.generator.", self.generator_adam.state()),
            ("generator_ema.", self.averaged_parameters().map(Parameters::tensors).unwrap_or_default()),
        ])
    }

    /// Goes on from a saved [`state`](Self::state) after `steps` steps. Names, shapes and dtypes must be exact.
    pub fn restore(&mut self, state: &Tensors, steps: u64) -> anyhow::Result<()> {
        let mut parts = Parts::of(state);
        self.discriminator_parameters.load(&parts.take("discriminator.")).with_context(misfit)?;
        self.generator_parameters.load(&parts.take("generator.")).with_context(misfit)?;
        self.discriminator_adam.load(&parts.take("adam.discriminator."), steps).with_context(misfit)?;
        self.generator_adam.load(&parts.take("adam.generator."), steps).with_context(misfit)?;
        if let Some(average) = self.averaged_parameters() {
            average.load(&parts.take("generator_ema.")).with_context(misfit)?;
        }
        parts.finish()
    }
}
