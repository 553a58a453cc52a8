use std::path::PathBuf;

use anyhow::bail;

use crate::commands::train_classifier::ClassifierConfig;
use crate::commands::weights::GeneratorChoice;
use crate::data::test_part::TestPart;
use crate::error::Failure;
use crate::evaluator::Reference;
use crate::models::{Architecture, EncoderArchitecture};
use crate::train::labels::Labels;

/// More samples than this take more memory than their scores are worth.
pub const MOST_SAMPLES: usize = 100_000;

/// What to evaluate, on what, how often.
#[derive(Clone, Debug, clap::Args)]
pub struct EvaluateConfig {
    /// A generator or an encoder: a file (.safetensors, .pth), a checkpoint, the directory of a run, or `bundled`
    /// [default: the newest run, else bundled]
    #[arg(long, value_name = "FILE|DIR|bundled")]
    pub weights: Option<PathBuf>,

    /// A run, by its name under --weights-dir
    #[arg(long, value_name = "NAME", conflicts_with = "weights")]
    pub run: Option<String>,

    /// The generator's model; without --weights, the newest run of this model is taken
    #[arg(long, value_enum, conflicts_with = "encoder")]
    pub model: Option<Architecture>,

    /// The encoder's architecture; without --weights, the newest encoder of this kind is taken
    #[arg(long, value_enum)]
    pub encoder: Option<EncoderArchitecture>,

    /// Images in place of a generator's samples: a folder of pictures with all folders in it, resized and converted to what
    /// the classifier takes (28x28, grey); or a .npy of such images, (N, 1, 28, 28), floats from -1 to 1, as `gan sample` writes it, or uint8 from 0 to 255
    #[arg(long, value_name = "DIR|FILE.npy", conflicts_with_all = ["weights", "run", "model", "encoder", "raw", "n", "seeds"])]
    pub images: Option<PathBuf>,

    /// Where runs keep their weights
    #[arg(long, value_name = "DIR", default_value = "weights")]
    pub weights_dir: PathBuf,

    /// Take the generator as it was trained, not its average
    #[arg(long)]
    pub raw: bool,

    /// The real images: a named set, or a directory [default: what the weights were trained on; else mnist]
    #[arg(long, value_name = "NAME|DIR")]
    pub data: Option<String>,

    /// Where named data sets lie, each in its own folder, or are downloaded to [default: the user's cache]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Which real images samples are held against, or an encoder is asked about. `test`: for the last word. `validation`: for
    /// choices, those that the set keeps for it, else a part of its training images (MNIST's last 10000). A..B: training
    /// images, B not included: of a named or built-in set by their numbers, of another set by their places in a fixed
    /// shuffle that holds every class in proportion throughout
    #[arg(long, value_name = "test|validation|A..B", default_value = "test")]
    pub reference: Reference,

    /// Of a set that brings no test images, hold this part of its images out to test on: a fixed choice of every class
    /// [default: 0.2, or the validation images where it brings those]
    #[arg(long, value_name = "PART")]
    pub test_part: Option<TestPart>,

    /// Samples to draw
    #[arg(long, short, value_name = "N", default_value_t = 10_000)]
    pub n: usize,

    /// Seed of the latents and of KID's subsets; of an encoder's linear layer
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Evaluate under N seeds, --seed and those after it, and say mean and spread
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seeds: u64,

    /// The digit classifier whose features and classes are used [default: the bundled one, MNIST's]
    #[arg(long, value_name = "FILE")]
    pub classifier: Option<PathBuf>,

    /// Encoders: how many training images show their labels, a part (0.1, 1.0) or a number of them
    #[arg(long, value_name = "PART|N", default_value = "1.0")]
    pub labels: Labels,

    /// Encoders, on a named or built-in set: the same part of each class, instead of the first images. Of any other set every
    /// class is taken in proportion anyway
    #[arg(long)]
    pub stratified: bool,

    /// FILE.png: the first samples, each beside the training image nearest to it. With --train-classifier: where to write
    /// the weights
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Train a digit classifier on --data instead, for --classifier, and write it to -o
    #[arg(long, requires = "output", conflicts_with_all = ["weights", "run", "model", "encoder", "images", "seeds", "n"])]
    pub train_classifier: bool,

    #[command(flatten)]
    pub classifier_config: ClassifierConfig,
}

impl EvaluateConfig {
    /// Refuses values that cannot be meant, naming the flag. Exit code 2.
    pub fn validate(&self) -> anyhow::Result<()> {
        if !(10..=MOST_SAMPLES).contains(&self.n) {
            bail!(Failure::Usage(format!("--n {}: expected 10 to {MOST_SAMPLES} samples", self.n)));
        }
        if !(1..=1000).contains(&self.seeds) || self.seed.checked_add(self.seeds).is_none() {
            bail!(Failure::Usage(format!("--seeds {}: expected 1 to 1000 seeds from --seed on", self.seeds)));
        }
        let wanted = if self.train_classifier { "safetensors" } else { "png" };
        if let Some(output) = &self.output
            && output.extension().is_none_or(|extension| extension != wanted)
        {
            bail!(Failure::Usage(format!("-o {}: expected a name that ends in .{wanted}", output.display())));
        }
        if self.train_classifier { self.classifier_config.validate() } else { Ok(()) }
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
