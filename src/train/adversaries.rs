//! The two networks with everything that a step changes: weights, moments, batch-norm statistics, averages.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use candle_core::{Device, ModuleT, Result, Tensor, Var, bail};

use crate::autograd::{self, Precision};
use crate::checkpoint::state::{Parts, Tensors, joined, wrong_config};
use crate::distributed::Shards;
use crate::losses::adversarial::AdversarialLoss;
use crate::losses::gradient_penalty::{r1_penalty, r1_perturbations};
use crate::models::{Discriminator, Generator};
use crate::optim::{GradientTransform, Optimizer, WeightAverage};
use crate::params::Parameters;
use crate::train::buffers::Buffers;
use crate::train::diffaugment::DiffAugment;
use crate::train::gan_config::GanConfig;
use crate::train::penalty::Penalty;
use crate::train::step_batch::Batch;

/// A generator and its discriminator in training.
pub struct Adversaries {
    discriminator: Discriminator,
    /// The discriminator with its weights cut off from the graph: what the generator's step needs, where gradients
    /// must pass through the discriminator and none is wanted for it.
    detached_discriminator: Discriminator,
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
    penalty: Penalty,
    diffaugment: DiffAugment,
    /// Without the penalty and with it.
    steps: [autograd::CapturedStep<StepOutcome>; 2],
    precision: Precision,
    shards: Shards,
}

/// What a step is made of.
#[derive(Clone, Debug)]
pub struct StepInputs {
    /// The real batch, (N, H, W, C).
    pub real: Tensor,
    /// For D's fakes and for G's, (N, Z) each.
    pub latents: [Tensor; 2],
    /// How D sees the real images, its fakes and G's, (3N, 4) in i64, where the configuration asks for that.
    pub draws: Option<Tensor>,
    /// Of a conditional GAN: the one-hot classes of the real images, of D's fakes and of G's, (N, K) each.
    pub classes: Option<[Tensor; 3]>,
    /// By what the learning rates are multiplied.
    pub lr_scale: f64,
}

/// What D makes of a batch.
struct Judged {
    /// D's loss with its penalty.
    minimised: Tensor,
    /// G's loss is not known yet.
    outcome: StepOutcome,
}

/// What one step leaves to look at, all still on the device: fetch it when it is to be logged, not every step, and
/// before the next step, which on CUDA overwrites it.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// D's loss before its update, without a penalty. A scalar.
    pub d_loss: Tensor,
    /// G's loss before its update. A scalar.
    pub g_loss: Tensor,
    /// D's scores of the real batch, (N, 1).
    pub real_scores: Tensor,
    /// D's scores of the fakes it was trained on, (N, 1).
    pub fake_scores: Tensor,
    /// Those fakes, (N, H, W, C), as they were drawn: of this process only.
    pub fakes: Tensor,
}

impl Adversaries {
    pub fn new(config: &GanConfig, device: &Device) -> Result<Self> {
        let discriminator_parameters = Parameters::new(config.seed, "discriminator", device);
        let generator_parameters = Parameters::new(config.seed, "generator", device);
        let (model, latent_dim, shape) = (config.model, config.latent_dim, config.image_shape());
        let classes = config.class_names.len();
        let latent_dim = latent_dim + classes; // a conditional generator takes both
        let discriminator = Discriminator::conditional(model, shape, classes, discriminator_parameters.builder())?;
        let generator = Generator::new(model, latent_dim, shape, generator_parameters.builder())?;
        let detached_discriminator =
            Discriminator::conditional(model, shape, classes, discriminator_parameters.frozen())?;
        let (mut average, mut averaged_generator) = (None, None);
        if !config.no_ema {
            let parameters = Parameters::undrawn("generator", device);
            Generator::new(model, latent_dim, shape, parameters.builder())?;
            parameters.load(&generator_parameters.tensors())?;
            averaged_generator = Some(Generator::new(model, latent_dim, shape, parameters.frozen())?);
            average = Some(WeightAverage::new(parameters, &generator_parameters, config.ema_decay)?);
        }
        Ok(Self {
            discriminator_optimizer: Optimizer::adam(
                discriminator_parameters.trainable(),
                config.discriminator_adam(),
            )?,
            generator_optimizer: Optimizer::adam(generator_parameters.trainable(), config.generator_adam())?,
            rates: [config.discriminator_adam().lr, config.generator_adam().lr],
            discriminator,
            detached_discriminator,
            generator,
            averaged_generator,
            discriminator_parameters,
            generator_parameters,
            average,
            loss: config.loss(),
            label_smoothing: config.label_smoothing,
            penalty: Penalty::of(config),
            diffaugment: config.diffaugment,
            steps: Default::default(),
            precision: config.precision,
            shards: Shards::default(),
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

    /// From now on the gradients of both networks go through `transform` before each update.
    pub fn set_gradient_transform(&mut self, transform: &Arc<dyn GradientTransform>) {
        self.discriminator_optimizer.set_transform(transform.clone());
        self.generator_optimizer.set_transform(transform.clone());
    }

    /// One step at the configured learning rates on a real batch (N, H, W, C), with latents (N, Z) each.
    pub fn step(&mut self, real: &Tensor, d_latents: &Tensor, g_latents: &Tensor) -> Result<StepOutcome> {
        let latents = [d_latents, g_latents].map(Tensor::clone);
        self.step_on(&StepInputs { real: real.clone(), latents, draws: None, classes: None, lr_scale: 1.0 })
    }

    /// One step: D on a real batch and a detached fake batch, then G on a fresh fake batch.
    pub fn step_on(&mut self, inputs: &StepInputs) -> Result<StepOutcome> {
        let StepInputs { draws, lr_scale, .. } = inputs;
        let is_penalised = self.penalty.is_due(self.generator_optimizer.steps());
        self.discriminator_optimizer.prepare(self.rates[0] * lr_scale)?;
        self.generator_optimizer.prepare(self.rates[1] * lr_scale)?;
        if let Some(average) = &mut self.average {
            average.prepare(self.generator_optimizer.steps())?;
        }
        if self.diffaugment.is_on() != draws.is_some() {
            bail!("draws of an augmentation come with {:?} and only then", self.diffaugment);
        }
        let batch = Batch::new(inputs);
        if self.shards.count() > 1 {
            return self.compute_in_shards(&batch, is_penalised);
        }
        let mut steps = std::mem::take(&mut self.steps[usize::from(is_penalised)]);
        let outcome = steps.run(&batch.tensors(), |inputs| self.compute(&batch.by(inputs)?, is_penalised));
        self.steps[usize::from(is_penalised)] = steps;
        outcome
    }

    /// What the device does in a step.
    fn compute(&self, batch: &Batch, is_penalised: bool) -> Result<StepOutcome> {
        autograd::training_step(self.precision, || {
            let judged = self.judge(batch, is_penalised)?;
            self.discriminator_optimizer.minimise(&judged.minimised, None)?;
            let g_loss = self.g_loss(batch)?;
            self.generator_optimizer.minimise(&g_loss, self.average.as_ref())?;
            Ok(StepOutcome { g_loss: g_loss.detach(), ..judged.outcome })
        })
    }

    /// The same where the batch of all processes is cut into several shards: the gradients, losses and batch-norm
    /// statistics are the means over them. In each shard the batch norms look at that shard alone.
    fn compute_in_shards(&self, batch: &Batch, is_penalised: bool) -> Result<StepOutcome> {
        let parts = batch.cut(self.shards.of_process())?;
        let step = |work: &(dyn Fn() -> Result<Vec<Tensor>> + Sync)| autograd::training_step(self.precision, work);
        let judged = Mutex::new(Vec::with_capacity(parts.len()));
        let d_loss = self.over_shards(&self.discriminator_optimizer, None, |number| {
            step(&|| {
                let shard = self.judge(&parts[number], is_penalised)?;
                let gradients = self.discriminator_optimizer.gradients(&shard.minimised)?;
                let d_loss = shard.outcome.d_loss.clone();
                judged.lock().unwrap_or_else(PoisonError::into_inner).push(shard.outcome);
                Ok([vec![d_loss], gradients].concat())
            })
        })?;
        let g_loss = self.over_shards(&self.generator_optimizer, self.average.as_ref(), |number| {
            step(&|| {
                let g_loss = self.g_loss(&parts[number])?;
                Ok([vec![g_loss.detach()], self.generator_optimizer.gradients(&g_loss)?].concat())
            })
        })?;
        let judged = judged.into_inner().unwrap_or_else(PoisonError::into_inner);
        let rows = |of: fn(&StepOutcome) -> &Tensor| {
            self.shards.gather(&Tensor::cat(&judged.iter().map(of).collect::<Vec<_>>(), 0)?)
        };
        Ok(StepOutcome {
            d_loss,
            g_loss,
            real_scores: rows(|shard| &shard.real_scores)?,
            fake_scores: rows(|shard| &shard.fake_scores)?,
            fakes: Tensor::cat(&judged.iter().map(|shard| &shard.fakes).collect::<Vec<_>>(), 0)?,
        })
    }

    /// An update by the mean of what `compute` gives for each shard of this process: a loss, and the gradients. Returns the
    /// mean of the losses. Each shard begins with the same batch-norm statistics; their means are kept.
    fn over_shards(
        &self,
        optimizer: &Optimizer,
        average: Option<&WeightAverage>,
        compute: impl Fn(usize) -> Result<Vec<Tensor>>,
    ) -> Result<Tensor> {
        let buffers = Buffers::of(&[&self.discriminator_parameters, &self.generator_parameters])?;
        let mut means = self.shards.mean(|number| {
            buffers.reset()?;
            Ok([compute(number)?, buffers.averaged()?].concat())
        })?;
        buffers.set_averaged(&means.split_off(means.len() - buffers.averaged_count()))?;
        let gradients = means.split_off(1);
        optimizer.apply(gradients, average)?;
        match means.pop() {
            Some(loss) => Ok(loss),
            None => bail!("a shard gives a loss and gradients"),
        }
    }

    /// D's loss on a batch and on fakes that G draws now.
    fn judge(&self, batch: &Batch, is_penalised: bool) -> Result<Judged> {
        let real = self.seen(&batch.real, batch, 0)?; // (N, H, W, C)
        let latents = batch.latents(0)?; // (N, Z), or (N, Z + K)
        let fakes = autograd::inference(|| self.generator.forward_t(&latents, true))?.detach(); // (N, H, W, C)
        let (of_real, of_fakes) = (batch.classes(0), batch.classes(1)); // (N, K)
        let mut images = vec![(real.clone(), of_real), (self.seen(&fakes, batch, 1)?, of_fakes)];
        let moved = match is_penalised {
            true => self.moved(&real, of_real)?.map(|images| (images, of_real)).to_vec(),
            false => Vec::new(),
        };
        let is_apart = is_penalised && autograd::precision() != Precision::F32;
        if !is_apart {
            images.extend_from_slice(&moved);
        }
        let mut scores = self.scores(&images)?; // (N, 1) each
        if is_apart {
            // The scores differ by less than such a precision's rounding.
            scores.extend(autograd::in_precision(Precision::F32, || self.scores(&moved))?);
        }
        let (real_scores, fake_scores) = (&scores[0], &scores[1]);
        let d_loss = self.loss.discriminator(real_scores, fake_scores, self.label_smoothing)?;
        let minimised = match &scores[2..] {
            [ahead, behind] => autograd::add(&d_loss, &r1_penalty(ahead, behind, self.penalty.weight)?)?,
            _ => d_loss.clone(),
        };
        let (real_scores, fake_scores) = (real_scores.detach(), fake_scores.detach());
        let (d_loss, g_loss) = (d_loss.detach(), d_loss.detach());
        Ok(Judged { minimised, outcome: StepOutcome { d_loss, g_loss, real_scores, fake_scores, fakes } })
    }

    /// G's loss, by D as it is now.
    fn g_loss(&self, batch: &Batch) -> Result<Tensor> {
        let fakes = self.generator.forward_t(&batch.latents(1)?, true)?; // (N, H, W, C)
        let seen = self.seen(&fakes, batch, 2)?; // (N, H, W, C)
        self.loss.generator(&self.detached_discriminator.scores(&seen, batch.classes(2), true)?)
    }

    /// Images as D sees them, the `part`-th of those that a step shows it.
    fn seen(&self, images: &Tensor, batch: &Batch, part: usize) -> Result<Tensor> {
        match batch.draws(part)? {
            Some(draws) => self.diffaugment.apply(images, &draws),
            None => Ok(images.clone()),
        }
    }

    /// D's scores of batches of as many images, each with its classes if D is conditional, (N, 1) each: in one pass, unless
    /// a layer of it looks across the images of a batch.
    fn scores(&self, batches: &[(Tensor, Option<&Tensor>)]) -> Result<Vec<Tensor>> {
        if self.discriminator.looks_across_images() {
            return batches.iter().map(|(images, classes)| self.discriminator.scores(images, *classes, true)).collect();
        }
        let images: Vec<&Tensor> = batches.iter().map(|(images, _)| images).collect();
        let classes: Vec<&Tensor> = batches.iter().filter_map(|(_, classes)| *classes).collect();
        let classes = (!classes.is_empty()).then(|| Tensor::cat(&classes, 0)).transpose()?;
        let scores = self.discriminator.scores(&Tensor::cat(&images, 0)?, classes.as_ref(), true)?;
        let count = scores.dim(0)? / batches.len();
        (0..batches.len()).map(|part| autograd::narrow_rows(&scores, part * count, count)).collect()
    }

    /// Images moved along the gradients of their scores, and moved by as much the other way, (N, H, W, C) each.
    fn moved(&self, images: &Tensor, classes: Option<&Tensor>) -> Result<[Tensor; 2]> {
        let slopes = autograd::in_precision(Precision::F32, || self.slopes(images, classes))?;
        let steps = r1_perturbations(&slopes)?; // (N, H, W, C)
        Ok([(images + &steps)?, (images - &steps)?])
    }

    /// The gradient of each image's score in its pixels, (N, H, W, C) as the images.
    fn slopes(&self, images: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        let images = Var::from_tensor(images)?;
        let scores = self.detached_discriminator.scores(&images, classes, true)?; // (N, 1)
        // From a gradient of ones for each of the scores, the gradient of their sum.
        match autograd::backward(&scores)?.remove(&images) {
            Some(slopes) => Ok(slopes),
            None => bail!("D's scores do not depend on its images"),
        }
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
        self.generator_optimizer.load(&parts.take("adam.generator."), steps).with_context(wrong_config)?;
        if let Some(average) = self.averaged_parameters() {
            average.load(&parts.take("generator_ema.")).with_context(wrong_config)?;
        }
        parts.finish()
    }
}
