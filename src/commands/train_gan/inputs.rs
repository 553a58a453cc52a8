//! What the steps of a GAN run are made of, made ahead of training.

use candle_core::Tensor;

use crate::checkpoint::header::AUGMENT;
use crate::commands::Invocation;
use crate::data::{self, ImageSet, MIRROR, Prefetcher, StepPlan};
use crate::run::Run;
use crate::train::adaptive_augmentation::{self, AdaptiveAugmentation, Augment};
use crate::train::adversaries::{StepInputs, StepOutcome};
use crate::train::augment_strength::{AugmentStrength, Progress};
use crate::train::distortions::Distortions;
use crate::train::gan_config::GanConfig;
use crate::train::penalty::Penalties;

/// Batches, latents, and how D is to see the images.
pub(super) struct Inputs {
    batches: Prefetcher<Tensor>,
    latents: Prefetcher<[Tensor; 2]>,
    distortions: Source,
    classes: Option<Prefetcher<[Tensor; 3]>>,
    mixing: Option<Prefetcher<Tensor>>,
}

/// Where the distortions of a step come from.
enum Source {
    None,
    Fixed(Prefetcher<Distortions>),
    Adaptive(AdaptiveAugmentation),
}

impl Inputs {
    /// From the step on that `run` has come to. The images are given away: a device that has its own copy needs no other.
    pub(super) fn start(run: &Run<GanConfig>, images: ImageSet, call: &Invocation) -> anyhow::Result<Self> {
        let (config, first_step, shape, device) = (&run.config, run.step(), images.shape()?, call.device);
        let plan = StepPlan::new(images.len(), config.batch_size, !config.no_shuffle, config.seed)?;
        let plan = StepPlan { mirror: config.mirror, ..plan }.part(call.processes.part())?;
        let distortions = match config.augment {
            Augment::Adaptive => {
                let progress: Progress = run.saved(AUGMENT)?.unwrap_or_default();
                let (images, threshold) = (1000.0 * config.ada_speed, config.loss().threshold());
                let strength = AugmentStrength::new(progress, config.batch_size, images, threshold);
                Source::Adaptive(AdaptiveAugmentation::start(strength, &plan, shape, first_step, device)?)
            }
            Augment::None if config.diffaugment.is_on() => {
                Source::Fixed(config.diffaugment.distortions(&plan, shape, first_step, device)?)
            }
            Augment::None => Source::None,
        };
        let latents = data::latents(&plan, config.latent_space(), first_step, device)?;
        let (labels, classes) = (images.labels().to_vec(), config.class_names.len());
        let classes = (classes > 0).then(|| data::class_batches(labels, classes, &plan, first_step, device));
        let mixing =
            Penalties::of(config).interpolates().then(|| data::mixing(&plan, first_step, device)).transpose()?;
        let batches = data::batches(images.source(), &plan, first_step, device)?;
        Ok(Self { batches, latents, distortions, classes: classes.transpose()?, mixing })
    }

    /// What the next step takes.
    pub(super) fn next_step(&mut self, lr_scale: f64) -> anyhow::Result<StepInputs> {
        let real = self.batches.next()?; // (N, H, W, C)
        let latents = self.latents.next()?; // (N, Z) each
        let distortions = match &mut self.distortions {
            Source::None => None,
            Source::Fixed(distortions) => Some(distortions.next()?),
            Source::Adaptive(augmentation) => Some(augmentation.next_step()?),
        };
        let classes = self.classes.as_mut().map(Prefetcher::next).transpose()?; // (N, K) each
        let mixing = self.mixing.as_mut().map(Prefetcher::next).transpose()?; // (N, 1)
        Ok(StepInputs { real, latents, distortions, classes, mixing, lr_scale })
    }

    /// Takes note of what came of a step, on which the next ones may depend.
    pub(super) fn observe(&mut self, outcome: &StepOutcome) -> candle_core::Result<()> {
        match &mut self.distortions {
            Source::Adaptive(augmentation) => augmentation.strength.observe(&outcome.real_scores, &outcome.fake_scores),
            Source::None | Source::Fixed(_) => Ok(()),
        }
    }

    /// How strong adaptive augmentation is, if there is any.
    pub(super) fn strength(&self) -> Option<&AugmentStrength> {
        match &self.distortions {
            Source::Adaptive(augmentation) => Some(&augmentation.strength),
            Source::None | Source::Fixed(_) => None,
        }
    }
}

/// The random streams of a run's steps, `shuffle` apart.
pub(super) fn streams(config: &GanConfig) -> Vec<&'static str> {
    let mut streams = vec!["latents"];
    streams.extend(config.mirror.then_some(MIRROR));
    streams.extend((config.augment == Augment::Adaptive).then_some(adaptive_augmentation::STREAM));
    streams.extend(config.diffaugment.streams());
    streams.extend(config.conditional.then_some(data::CLASSES));
    streams.extend(Penalties::of(config).interpolates().then_some(data::MIXING));
    streams
}
