use std::path::PathBuf;

use anyhow::bail;

use crate::commands::weights::GeneratorChoice;
use crate::data::DataOptions;
use crate::data::test_part::TestPart;
use crate::error::Error;
use crate::evaluator::InceptionProgram;
use crate::models::{Architecture, EncoderArchitecture};
use crate::pretrained::reference::{MAX_SAMPLES, Reference};
use crate::train::classifier_config::ClassifierConfig;
use crate::train::labels::Labels;
use crate::train::normalise::Normalise;
use crate::train::simclr_images::check_image_size;

/// Scores of fewer samples say nothing.
pub(super) const LEAST_SAMPLES: usize = 10;

/// What to evaluate, on what, how often.
#[derive(Clone, Debug, clap::Args)]
pub struct EvaluateConfig {
    /// Generator or encoder: a file (.safetensors or .pth), a checkpoint, a run by its name or directory, or `bundled`. Of a
    /// run its best network, if it keeps one, else its last [default: the newest run, else bundled]
    #[arg(long, value_name = "FILE|DIR|bundled")]
    pub weights: Option<PathBuf>,

    /// Name of a run in --weights-dir
    #[arg(long, value_name = "NAME", conflicts_with = "weights")]
    pub run: Option<String>,

    /// Model of the generator; without --weights, its newest run
    #[arg(long, value_enum, conflicts_with = "encoder")]
    pub model: Option<Architecture>,

    /// Architecture of the encoder; without --weights, its newest run
    #[arg(long, value_enum)]
    pub encoder: Option<EncoderArchitecture>,

    /// Height and width that an encoder's images are resized to, in pixels [default: the encoder's]
    #[arg(long, value_name = "PIXELS")]
    pub image_size: Option<usize>,

    /// Mean and standard deviation that an encoder's pixels are normalised by [default: the encoder's]
    #[arg(long, value_enum)]
    pub normalise: Option<Normalise>,

    /// Evaluate images instead of a generator: a folder of pictures (converted to 28x28 grey), or a .npy of shape (N,
    /// 1, 28, 28), floats in [-1, 1] or uint8. With --features they are of any one size, and stay as they are
    #[arg(long, value_name = "DIR|FILE.npy", conflicts_with_all = ["weights", "run", "model", "encoder", "raw", "n", "seeds"])]
    pub images: Option<PathBuf>,

    /// Directory of the runs' weights and checkpoints
    #[arg(long, value_name = "DIR", default_value = "weights")]
    pub weights_dir: PathBuf,

    /// Use the generator's last weights, not their moving average, nor the best of the run
    #[arg(long)]
    pub raw: bool,

    /// Real images: a named set, a directory, or a .tar or .zip of images [default: what the network was trained on, else
    /// mnist]
    #[arg(long, value_name = "NAME|DIR|FILE")]
    pub data: Option<String>,

    #[command(flatten)]
    pub data_options: DataOptions,

    /// Real images to compare with or to classify. `test`: the test images, for final results. `validation`: those of
    /// the data set, or a part of its training images (MNIST's last 10000), for choosing between runs. A..B: training
    /// images from index A to B - 1, for other than named and built-in sets of a class-balanced shuffle
    #[arg(long, value_name = "test|validation|A..B", default_value = "test")]
    pub reference: Reference,

    /// Fraction of the images to hold out for testing, the same of every class, if the data set has no test images
    /// [default: 0.2, or its validation images]
    #[arg(long, value_name = "PART")]
    pub test_part: Option<TestPart>,

    /// Number of samples [default: 10000; of stacked-mnist 26000]
    #[arg(long, short, value_name = "N")]
    pub n: Option<usize>,

    /// Random seed of the latents, of KID's subsets and of an encoder's linear layer
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Evaluate with N seeds, from --seed on, and report mean and spread
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seeds: u64,

    /// Digit classifier that provides features and classes [default: the bundled one, trained on MNIST]
    #[arg(long, value_name = "FILE")]
    pub classifier: Option<PathBuf>,

    /// What makes features, for images of any size. The published weights of Inception V3
    /// (pt_inception-2015-12-05-6726825d.pth) give FID, KID and Inception score as pytorch-fid and torch-fidelity do; or an
    /// encoder: a file, a run, or `bundled` [default: the digit classifier]
    #[arg(long, value_name = "FILE|RUN|bundled", conflicts_with = "classifier")]
    pub features: Option<PathBuf>,

    /// Whose figures Inception's are to be; the published file is the same in both [default: torch-fidelity where the file
    /// is called weights-inception*, else pytorch-fid]
    #[arg(long, value_enum, value_name = "PROGRAM", requires = "features")]
    pub inception: Option<InceptionProgram>,

    /// Training images to use the labels of: a fraction (0.1, 1.0) or a number
    #[arg(long, value_name = "PART|N", default_value = "1.0")]
    pub labels: Labels,

    /// Choose the labelled images class by class instead of taking the first ones; matters for named and built-in sets
    /// only
    #[arg(long)]
    pub stratified: bool,

    /// Write the first samples, each beside its nearest training image, to FILE.png; with --train-classifier, the
    /// weights to FILE.safetensors
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Train a digit classifier on --data, for use as --classifier, and write it to -o
    #[arg(long, requires = "output", conflicts_with_all = ["weights", "run", "model", "encoder", "images", "seeds", "n", "features"])]
    pub train_classifier: bool,

    #[command(flatten)]
    pub classifier_config: ClassifierConfig,
}

impl EvaluateConfig {
    /// [`Error::Usage`] where a value is out of range; it names the flag.
    pub fn validate(&self) -> anyhow::Result<()> {
        if let Some(n) = self.n.filter(|n| !(1..=MAX_SAMPLES).contains(n)) {
            bail!(Error::Usage(format!("-n {n}: expected 1 to {MAX_SAMPLES} samples")));
        }
        if !(1..=1000).contains(&self.seeds) || self.seed.checked_add(self.seeds).is_none() {
            bail!(Error::Usage(format!("--seeds {}: expected 1 to 1000 seeds from --seed on", self.seeds)));
        }
        check_image_size(self.image_size)?;
        let wanted = if self.train_classifier { "safetensors" } else { "png" };
        if let Some(output) = &self.output
            && output.extension().is_none_or(|extension| extension != wanted)
        {
            bail!(Error::Usage(format!("-o {}: expected a name that ends in .{wanted}", output.display())));
        }
        if self.train_classifier { self.classifier_config.validate() } else { Ok(()) }
    }

    /// How many samples are scored.
    pub fn samples(&self) -> usize {
        self.n.unwrap_or(10_000)
    }

    /// [`Error::Usage`] where there are too few samples for scores.
    pub(super) fn check_samples(&self) -> anyhow::Result<()> {
        if let Some(n) = self.n.filter(|n| *n < LEAST_SAMPLES) {
            let text = format!("-n {n}: expected {LEAST_SAMPLES} to {MAX_SAMPLES} samples to score");
            bail!(Error::Usage(text));
        }
        Ok(())
    }

    /// Which generator.
    pub fn generator(&self) -> GeneratorChoice<'_> {
        GeneratorChoice {
            model: self.model,
            weights: self.weights.as_deref(),
            weights_dir: &self.weights_dir,
            raw: self.raw,
        }
    }
}
