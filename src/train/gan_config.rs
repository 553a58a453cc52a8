//! Everything that decides what a GAN run computes: the flags of `train-gan`, the saved configuration and the
//! defaults are this one struct: longer than other files, since its documentation is the help.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::autograd::Precision;
use crate::checkpoint::Measure;
use crate::data::test_part::TestPart;
use crate::latent_space::LatentDistribution;
use crate::losses::adversarial::AdversarialLoss;
use crate::models::Architecture;
use crate::optim::Decay;
use crate::pretrained::reference::Reference;
use crate::train::adaptive_augmentation::Augment;
use crate::train::diffaugment::DiffAugment;
use crate::train::gan_images;
use crate::train::init_network::InitNetwork;
use crate::train::keep_best::is_zero;
use crate::train::recipe::Recipe;

/// What to train, on what, how long, and how often to write what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct GanConfig {
    /// Generator and discriminator
    #[arg(long, value_enum, default_value_t = Architecture::Dcgan)]
    pub model: Architecture,

    /// Preset for the flags that are not given
    #[arg(long, value_enum, default_value_t = Recipe::Course)]
    #[serde(default)]
    pub recipe: Recipe,

    /// Adversarial loss [default: ls for lsgan, bce for the others]
    #[arg(long, value_enum)]
    pub loss: Option<AdversarialLoss>,

    /// Training images: digits (built in), mnist, fashion-mnist, another named set, a directory of images, IDX or
    /// parquet files, or a .tar, .zip or .parquet of images
    #[arg(long, value_name = "NAME|DIR|FILE", default_value = "digits")]
    pub data: String,

    /// Height and width of the images; dcgan: 28 (grey), 32, 64, 128 or 256 [default: those of a named set, 28 for IDX
    /// files, 32 for CIFAR's, 64 for pictures]
    #[arg(long, value_name = "PIXELS")]
    #[serde(default = "gan_images::course_size")]
    pub image_size: Option<usize>,

    /// Channels of the images: 1 (grey) or 3 (colour) [default: those of the set; 3 for pictures, 1 if all are grey]
    #[arg(long, value_name = "1|3")]
    #[serde(default = "gan_images::course_channels")]
    pub channels: Option<usize>,

    /// Train on N images only: the first N of a named or built-in set (the course takes 50000 of MNIST), a fixed,
    /// class-balanced choice of any other
    #[arg(long, value_name = "N")]
    pub train_images: Option<usize>,

    /// Whether such a choice is made; runs from before it took the first images of every set
    #[arg(skip = true)]
    #[serde(default)]
    pub balanced_parts: bool,

    /// Leave out pictures that cannot be decoded, with a warning, instead of refusing the set
    #[arg(long)]
    #[serde(default)]
    pub skip_broken: bool,

    /// Fraction of the images to hold out for testing, the same of every class, if the data set has no test images
    /// [default: none]
    #[arg(long, value_name = "PART")]
    #[serde(default)]
    pub test_part: Option<TestPart>,

    /// Read the images in the order of the data set in every epoch, as the course does
    #[arg(long)]
    pub no_shuffle: bool,

    /// Train for N steps
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    pub steps: Option<u64>,

    /// Train for N epochs [default: 10; 5 for dcgan; at other sizes than 28x28 at least 7000 steps]
    #[arg(long, value_name = "N")]
    pub epochs: Option<u64>,

    /// Train a conditional GAN: the networks get the class of each image, and `gan sample --class` draws images of a
    /// class. The images must be labelled
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")] // runs from before it had none
    pub conditional: bool,

    /// The names of the classes of a conditional GAN, in the order of the labels; known once the images are read
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,

    /// Batch size; an incomplete last batch is dropped
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub batch_size: usize,

    /// Number of parts to compute a batch in, one after another or in several processes, each with its own batch norm. The
    /// results depend on it, not on the number of processes [default: the number of processes]
    #[arg(long, value_name = "N")]
    #[serde(default)]
    pub shards: Option<usize>,

    /// Batch norm over all of these parts; without it each part is normalised by itself, as if it were a batch
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")] // runs from before it had none
    pub sync_batch_norm: bool,

    /// Dimension of the latent vectors; 100 by default for dcgan at other sizes than 28x28
    #[arg(long, value_name = "N", default_value_t = 96)]
    pub latent_dim: usize,

    /// Distribution of the latent vectors [default: uniform; normal for dcgan at other sizes than 28x28]
    #[arg(long, value_enum)]
    #[serde(default = "gan_images::course_latents")]
    pub latents: Option<LatentDistribution>,

    /// Learning rate of both networks; 2e-4 by default for dcgan at other sizes than 28x28
    #[arg(long, value_name = "RATE", default_value_t = 1e-3)]
    pub lr: f64,

    /// Learning rate of the discriminator [default: --lr]
    #[arg(long, value_name = "RATE")]
    pub discriminator_lr: Option<f64>,

    /// Learning rate schedule. A run resumed with more steps follows the longer schedule from there on
    #[arg(long, value_enum, default_value_t = Decay::Constant)]
    #[serde(default = "constant")]
    pub schedule: Decay,

    /// Adam's beta1, the decay of the first moment
    #[arg(long, value_name = "B", default_value_t = 0.5)]
    pub beta1: f64,

    /// Adam's beta2, the decay of the second moment
    #[arg(long, value_name = "B", default_value_t = 0.999)]
    pub beta2: f64,

    /// Adam's epsilon
    #[arg(long, value_name = "E", default_value = "1e-8")]
    pub eps: f64,

    /// Clip the global norm of the gradients to this value, of each network by itself
    #[arg(long, value_name = "NORM")]
    #[serde(default, skip_serializing_if = "Option::is_none")] // runs from before did not
    pub clip_norm: Option<f64>,

    /// Decay of the generator's moving average; it ramps up over the first steps
    #[arg(long, value_name = "D", default_value_t = 0.999)]
    pub ema_decay: f64,

    /// Keep no averaged generator
    #[arg(long)]
    pub no_ema: bool,

    /// One-sided label smoothing: the target for real images is 1 - S
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    #[serde(default)]
    pub label_smoothing: f64,

    /// Weight of the R1 penalty: GAMMA / 2 times the mean squared norm of the discriminator's gradient at real images
    #[arg(long, value_name = "GAMMA", default_value_t = 0.0)]
    #[serde(default)]
    pub r1: f64,

    /// Weight of the R2 penalty: the same at generated images
    #[arg(long, value_name = "GAMMA", default_value_t = 0.0)]
    #[serde(default)] // runs from before it had none
    pub r2: f64,

    /// Apply R1 and R2 every K steps, with K times the weight
    #[arg(long, value_name = "K", default_value_t = 1)]
    #[serde(default = "one")]
    pub r1_every: u64,

    /// Weight of the gradient penalty of wgan-gp: LAMBDA times the mean squared distance of the gradient's norm from 1, at
    /// random points between real and generated images
    #[arg(long, value_name = "LAMBDA", default_value_t = gradient_penalty())]
    #[serde(default = "gradient_penalty")]
    pub gradient_penalty: f64,

    /// Divide every weight of the discriminator by its largest singular value (Miyato et al., 1802.05957), by a step of power
    /// iteration a training step
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")] // runs from before had none
    pub spectral_norm: bool,

    /// Update the generator in every Nth step only, the discriminator in all of them [default: 5 for wgan-gp, else 1]
    #[arg(long, value_name = "N")]
    #[serde(default)]
    pub discriminator_steps: Option<u64>,

    /// Differentiable augmentation of real and generated images: none, or one or more of color, translation and cutout,
    /// such as color,translation
    #[arg(long, value_name = "WHAT", default_value_t = DiffAugment::default())]
    #[serde(default)]
    pub diffaugment: DiffAugment,

    /// Augmentation of real and generated images for small data sets
    #[arg(long, value_enum, default_value_t = Augment::None)]
    #[serde(default)]
    pub augment: Augment,

    /// Speed of adaptive augmentation: thousands of real images in which its probability can go from 0 to 1. Smaller is
    /// faster, for short runs and those from --init
    #[arg(long, value_name = "KIMG", default_value_t = ada_speed())]
    #[serde(default = "ada_speed")]
    pub ada_speed: f64,

    /// Flip every real image horizontally with probability 1/2
    #[arg(long)]
    #[serde(default)]
    pub mirror: bool,

    /// Start from the networks of a run, of a checkpoint, or of files of a generator and of a discriminator
    #[arg(long, value_name = "RUN|FILE,...", value_delimiter = ',')]
    #[serde(default)]
    pub init: Vec<String>,

    /// The networks that were found there
    #[arg(skip)]
    #[serde(default)]
    pub init_networks: Vec<InitNetwork>,

    /// Precision of matrix products and convolutions. Weights, optimizer state and sums are always f32
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    #[serde(default)] // runs from before it were in f32
    pub precision: Precision,

    /// Random seed of the initial weights, the data order and the latents
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Steps between checkpoints
    #[arg(long, value_name = "STEPS", default_value_t = 500)]
    pub checkpoint_every: u64,

    /// Steps between sample grids
    #[arg(long, value_name = "STEPS", default_value_t = 250)]
    pub sample_every: u64,

    /// Steps between lines of metrics.jsonl
    #[arg(long, value_name = "STEPS", default_value_t = 10)]
    pub log_every: u64,

    /// Number of checkpoints to keep
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub keep: usize,

    /// Evaluate as `gan evaluate` does every so many steps and after the last one, into metrics.jsonl. 0: never, and no
    /// validation images are held out
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    #[serde(default)] // runs from before it had none
    pub evaluate_every: u64,

    /// Samples per evaluation
    #[arg(long, value_name = "N", default_value_t = evaluated_samples())]
    #[serde(default = "evaluated_samples")]
    pub evaluate_samples: usize,

    /// Real images to compare with. `validation`: those of the data set, or a part of the training images that is held
    /// out (MNIST's last 10000). `test`: the test images, for final results only. A..B: training images by index, as in
    /// `gan evaluate --reference`
    #[arg(long, value_name = "validation|test|A..B", default_value = "validation")]
    #[serde(default)] // runs from before took the test images
    pub evaluate_reference: Reference,

    /// Digit classifier to evaluate with [default: the bundled one, trained on MNIST]
    #[arg(long, value_name = "FILE")]
    #[serde(default)]
    pub evaluate_classifier: Option<PathBuf>,

    /// Keep the generator of the best evaluation, by Fréchet distance or by coverage, as generator_best.safetensors, which
    /// `gan sample` and `gan evaluate` then take of the run
    #[arg(long, value_name = "frechet|coverage", value_parser = Measure::of_generators)]
    #[serde(default, skip_serializing_if = "Option::is_none")] // runs from before it kept none
    pub keep_best: Option<Measure>,

    /// End the run after K evaluations in a row without a new best; 0: never. A run that has ended so goes on with more
    /// steps or another K
    #[arg(long, value_name = "K", default_value_t = 0)]
    #[serde(default, skip_serializing_if = "is_zero")] // runs from before it had none
    pub patience: u64,
}

fn evaluated_samples() -> usize {
    10_000
}

/// Of runs from before there was another.
fn constant() -> Decay {
    Decay::Constant
}

/// The speed of adaptive augmentation, of the paper.
pub(super) const ADA_SPEED: f64 = 500.0;

fn ada_speed() -> f64 {
    ADA_SPEED
}

/// Of Gulrajani et al. (1704.00028, section 4), as the steps of D.
fn gradient_penalty() -> f64 {
    10.0
}

fn one() -> u64 {
    1
}

impl GanConfig {
    /// `--loss`, or the loss that the model is paired with.
    pub fn loss(&self) -> AdversarialLoss {
        self.loss.unwrap_or(match self.model {
            Architecture::Lsgan => AdversarialLoss::Ls,
            Architecture::Vanilla | Architecture::Dcgan => AdversarialLoss::Bce,
        })
    }

    /// Updates of the discriminator for each of the generator.
    pub fn discriminator_steps(&self) -> u64 {
        self.discriminator_steps.unwrap_or(if self.loss() == AdversarialLoss::WganGp { 5 } else { 1 })
    }

    /// Whether choices are made by the validation images, so that the run does not train on them.
    pub fn watches_validation(&self) -> bool {
        self.evaluate_every > 0 && self.evaluate_reference == Reference::Validation
    }
}
