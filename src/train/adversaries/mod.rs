//! The two networks with everything that a step changes: weights, moments, batch-norm statistics, averages.

mod batch;
mod in_shards;
mod losses;
mod scored;

use std::sync::Arc;

use anyhow::Context;
use batch::Batch;
use candle_core::{Device, Error, Result, Tensor};

use crate::autograd::{self, Precision};
use crate::checkpoint::state::{Parts, Tensors, joined, wrong_config};
use crate::distributed::Shards;
use crate::losses::adversarial::AdversarialLoss;
use crate::models::{Discriminator, Generator};
use crate::optim::{AdamConfig, ClipGlobalNorm, GradientTransform, Optimizer, WeightAverage};
use crate::params::Parameters;
use crate::train::distortions::Distortions;
use crate::train::gan_config::GanConfig;
use crate::train::penalty::Penalties;

/// Steps of power iteration before the first step, as many as PyTorch makes.
const FIRST_ITERATIONS: usize = 15;

/// A generator and its discriminator in training.
pub struct Adversaries {
    discriminator: Discriminator,
    /// The discriminator with its weights cut off from the graph: what the generator's step needs, where gradients
    /// must pass through the discriminator and none is wanted for it.
    detached_discriminator: Discriminator,
    /// The same with statistics of its own in batch norms: it looks at a batch that D looks at too, and leaves D's running
    /// statistics as they are.
    observing_discriminator: Discriminator,
    generator: Generator,
    averaged_generator: Option<Generator>,
    discriminator_parameters: Parameters,
    generator_parameters: Parameters,
    average: Option<WeightAverage>,
    discriminator_optimizer: Optimizer,
    generator_optimizer: Optimizer,
    /// The configured learning rates of the two.
    rates: [f64; 2],
    loss: AdversarialLoss,
    label_smoothing: f64,
    spectral_norm: bool,
    penalties: Penalties,
    /// Updates of D for each of G's.
    discriminator_steps: u64,
    /// For D alone and for both; each without R1 and R2 and with them.
    steps: [[autograd::CapturedStep<StepOutcome>; 2]; 2],
    precision: Precision,
    shards: Shards,
    /// Whether batch norms look at all shards.
    sync_batch_norm: bool,
}

/// What a step is made of.
#[derive(Clone, Debug)]
pub struct StepInputs {
    /// The real batch, (N, H, W, C).
    pub real: Tensor,
    /// For D's fakes and for G's, (N, Z) each.
    pub latents: [Tensor; 2],
    /// How D sees the real images, its fakes and G's, where the configuration asks for that.
    pub distortions: Option<Distortions>,
    /// Of a conditional GAN: the one-hot classes of the real images, of D's fakes and of G's, (N, K) each.
    pub classes: Option<[Tensor; 3]>,
    /// Of `wgan-gp`: where between a fake (0) and a real image (1) each point of the penalty lies, (N, 1) in f32.
    pub mixing: Option<Tensor>,
    /// By what the learning rates are multiplied.
    pub lr_scale: f64,
}

/// What one step leaves to look at, all still on the device: fetch it when it is to be logged, not every step, and
/// before the next step, which on CUDA overwrites it.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// D's loss before its update, without a penalty. A scalar.
    pub d_loss: Tensor,
    /// G's loss before its update; in a step that has none, that on D's fakes. A scalar.
    pub g_loss: Tensor,
    /// D's scores of the real batch, (N, 1).
    pub real_scores: Tensor,
    /// D's scores of the fakes it was trained on, (N, 1).
    pub fake_scores: Tensor,
    /// Those fakes, (N, H, W, C), as they were drawn: of this process only.
    pub fakes: Tensor,
}

/// What there is to do in a step beside D's update.
#[derive(Clone, Copy)]
struct StepKind {
    /// R1 and R2.
    penalties_are_due: bool,
    updates_generator: bool,
}

impl Adversaries {
    pub fn new(config: &GanConfig, device: &Device) -> Result<Self> {
        let discriminator_parameters = Parameters::new(config.seed, "discriminator", device);
        let generator_parameters = Parameters::new(config.seed, "generator", device);
        let (model, latent_dim, shape) = (config.model, config.latent_dim, config.image_shape());
        let classes = config.class_names.len();
        let latent_dim = latent_dim + classes; // a conditional generator takes both
        let discriminator_of = |vb| Discriminator::with(model, shape, classes, config.spectral_norm, vb);
        let discriminator = discriminator_of(discriminator_parameters.builder())?;
        discriminator.iterate_singular_vectors(FIRST_ITERATIONS)?;
        let generator = Generator::new(model, latent_dim, shape, generator_parameters.builder())?;
        let detached_discriminator = discriminator_of(discriminator_parameters.frozen())?;
        let observing_discriminator = discriminator_of(discriminator_parameters.observing())?;
        let (mut average, mut averaged_generator) = (None, None);
        if !config.no_ema {
            let parameters = Parameters::undrawn("generator", device);
            Generator::new(model, latent_dim, shape, parameters.builder())?;
            parameters.load(&generator_parameters.tensors())?;
            averaged_generator = Some(Generator::new(model, latent_dim, shape, parameters.frozen())?);
            average = Some(WeightAverage::new(parameters, &generator_parameters, config.ema_decay)?);
        }
        let optimizer = |parameters: &Parameters, adam: AdamConfig| {
            let mut optimizer = Optimizer::adam(parameters.trainable(), adam)?;
            if let Some(max_norm) = config.clip_norm {
                optimizer.set_transform(Arc::new(ClipGlobalNorm { max_norm }));
            }
            Ok::<_, Error>(optimizer)
        };
        Ok(Self {
            discriminator_optimizer: optimizer(&discriminator_parameters, config.discriminator_adam())?,
            generator_optimizer: optimizer(&generator_parameters, config.generator_adam())?,
            rates: [config.discriminator_adam().lr, config.generator_adam().lr],
            discriminator,
            detached_discriminator,
            observing_discriminator,
            generator,
            averaged_generator,
            discriminator_parameters,
            generator_parameters,
            average,
            loss: config.loss(),
            label_smoothing: config.label_smoothing,
            spectral_norm: config.spectral_norm,
            penalties: Penalties::of(config),
            discriminator_steps: config.discriminator_steps(),
            steps: Default::default(),
            precision: config.precision,
            shards: Shards::default(),
            sync_batch_norm: config.sync_batch_norm,
        })
    }

    /// From now on a batch is computed in these shards; a step gets those of this process.
    pub fn set_shards(&mut self, shards: Shards) {
        self.shards = shards;
    }

    /// Rows of all processes, from those of each.
    pub fn gather(&self, rows: &Tensor) -> Result<Tensor> {
        self.shards.gather(rows)
    }

    /// Starts from trained networks instead of from drawn ones. One that is not given stays as it was drawn.
    pub fn start_from(&self, generator: Option<&Tensors>, discriminator: Option<&Tensors>) -> Result<()> {
        if let Some(tensors) = discriminator {
            self.discriminator_parameters.load(tensors)?;
        }
        if let Some(tensors) = generator {
            self.generator_parameters.load(tensors)?;
            self.averaged_parameters().map_or(Ok(()), |average| average.load(tensors))?;
        }
        Ok(())
    }

    /// From now on the gradients of both networks go through `transform` before each update.
    pub fn set_gradient_transform(&mut self, transform: &Arc<dyn GradientTransform>) {
        self.discriminator_optimizer.set_transform(transform.clone());
        self.generator_optimizer.set_transform(transform.clone());
    }

    /// One step at the configured learning rates on a real batch (N, H, W, C), with latents (N, Z) each.
    pub fn step(&mut self, real: &Tensor, d_latents: &Tensor, g_latents: &Tensor) -> Result<StepOutcome> {
        let latents = [d_latents, g_latents].map(Tensor::clone);
        self.step_on(&StepInputs {
            real: real.clone(),
            latents,
            distortions: None,
            classes: None,
            mixing: None,
            lr_scale: 1.0,
        })
    }

    /// One step: D on a real batch and a detached fake batch, then G on a fresh fake batch, if it is G's turn.
    pub fn step_on(&mut self, inputs: &StepInputs) -> Result<StepOutcome> {
        let done = self.discriminator_optimizer.steps();
        let kind = StepKind {
            penalties_are_due: self.penalties.are_due(done),
            updates_generator: (done + 1).is_multiple_of(self.discriminator_steps),
        };
        self.discriminator_optimizer.prepare(self.rates[0] * inputs.lr_scale)?;
        if kind.updates_generator {
            self.generator_optimizer.prepare(self.rates[1] * inputs.lr_scale)?;
            if let Some(average) = &mut self.average {
                average.prepare(self.generator_optimizer.steps())?;
            }
        }
        autograd::inference(|| self.discriminator.iterate_singular_vectors(1))?;
        let batch = Batch::new(inputs);
        if self.shards.count() > 1 {
            return self.compute_in_shards(&batch, kind);
        }
        // On CUDA candle's ops have a part in these, which a captured step could not repeat.
        let has_plain_penalty = self.penalties.interpolates() || self.discriminator.looks_across_images();
        if self.spectral_norm || (has_plain_penalty && self.penalties.is_any()) {
            return self.compute(&batch, kind);
        }
        let [of_updates, of_penalties] = [kind.updates_generator, kind.penalties_are_due].map(usize::from);
        let mut step = std::mem::take(&mut self.steps[of_updates][of_penalties]);
        let outcome = step.run(&batch.tensors(), |inputs| self.compute(&batch.by(inputs)?, kind));
        self.steps[of_updates][of_penalties] = step;
        outcome
    }

    /// What the device does in a step.
    fn compute(&self, batch: &Batch, kind: StepKind) -> Result<StepOutcome> {
        autograd::training_step(self.precision, || {
            let judged = self.judge(batch, kind)?;
            self.discriminator_optimizer.minimise(&judged.minimised, None)?;
            if !kind.updates_generator {
                return Ok(judged.outcome);
            }
            let g_loss = self.g_loss(batch)?;
            self.generator_optimizer.minimise(&g_loss, self.average.as_ref())?;
            Ok(StepOutcome { g_loss: g_loss.detach(), ..judged.outcome })
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

    /// Those of [`best_generator`](Self::best_generator).
    pub fn sampled_parameters(&self) -> &Parameters {
        self.averaged_parameters().unwrap_or(&self.generator_parameters)
    }

    pub fn averaged_parameters(&self) -> Option<&Parameters> {
        self.average.as_ref().map(WeightAverage::parameters)
    }

    /// Everything that a step changes, by the names of the checkpoint file.
    pub fn state(&self) -> Tensors {
        joined([
            ("discriminator.", self.discriminator_parameters.tensors()),
            ("generator.", self.generator_parameters.tensors()),
            ("adam.discriminator.", self.discriminator_optimizer.state()),
            ("adam.generator.", self.generator_optimizer.state()),
            ("generator_ema.", self.averaged_parameters().map(Parameters::tensors).unwrap_or_default()),
        ])
    }

    /// Goes on from a saved [`state`](Self::state) after `steps` steps. Names, shapes and dtypes must be exact.
    pub fn restore(&mut self, state: &Tensors, steps: u64) -> anyhow::Result<()> {
        let mut parts = Parts::of(state);
        self.discriminator_parameters.load(&parts.take("discriminator.")).with_context(wrong_config)?;
        self.generator_parameters.load(&parts.take("generator.")).with_context(wrong_config)?;
        self.discriminator_optimizer.load(&parts.take("adam.discriminator."), steps).with_context(wrong_config)?;
        self.generator_optimizer
            .load(&parts.take("adam.generator."), steps / self.discriminator_steps)
            .with_context(wrong_config)?;
        if let Some(average) = self.averaged_parameters() {
            average.load(&parts.take("generator_ema.")).with_context(wrong_config)?;
        }
        parts.finish()
    }
}
