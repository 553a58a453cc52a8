use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::commands::weights::GeneratorChoice;
use crate::error::Error;
use crate::models::Architecture;
use crate::pretrained::SampleClasses;

/// How a walk goes from one latent to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Interpolation {
    /// Along the great circle between them (White, 1609.04468)
    Spherical,
    /// Along a straight line
    Linear,
}

/// What `gan sample` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A grid of all samples
    Png,
    /// An animated interpolation between latents
    Gif,
    /// The raw images: (N, C, H, W), f32 in [-1, 1]
    Npy,
    /// One PNG per image
    #[value(skip)]
    Directory,
}

/// Which generator, which latents, what to write.
#[derive(Clone, Debug, clap::Args)]
pub struct SampleConfig {
    /// Model; without --weights, its newest run [default: the newest run of any model, else the bundled dcgan]
    #[arg(long, value_enum)]
    pub model: Option<Architecture>,

    /// Generator: a file (.safetensors or PyTorch's .pth), a checkpoint, a run by its name or directory, or `bundled`. Of a
    /// run: generator_best.safetensors, if it keeps its best, else generator_ema.safetensors, else generator.safetensors
    #[arg(long, value_name = "FILE|DIR|bundled")]
    pub weights: Option<PathBuf>,

    /// Directory of the runs' weights and checkpoints
    #[arg(long, value_name = "DIR", default_value = "weights")]
    pub weights_dir: PathBuf,

    /// Use the generator's last weights, not their moving average, nor the best of the run
    #[arg(long)]
    pub raw: bool,

    /// Number of samples; for a .gif, the latents of each interpolation [default: 64; .gif: 8]
    #[arg(long, short, value_name = "N")]
    pub n: Option<u64>,

    /// Output: FILE.png (a grid), FILE.gif (an interpolation), FILE.npy (raw), DIR/ (one PNG per sample) or - (stdout)
    #[arg(long, short, value_name = "FILE", default_value = "sample.png")]
    pub output: String,

    /// Format to write to stdout, with -o - [default: png]
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Random seed of the latents; sample i depends on the seed, its class and i only
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Index of the first sample, to split a large job between processes; samples that are in DIR/ already are kept
    /// [default: 0]
    #[arg(long, value_name = "N")]
    pub offset: Option<u64>,

    /// Delete the samples (NUMBER.png) in DIR/ that are not overwritten
    #[arg(long, conflicts_with = "offset")]
    pub force: bool,

    /// Class to draw of a conditional generator: its name or, if no class is called so, its number, from 0 and
    /// without leading zeros; or `all` for
    /// every class with the same latents, a row each in a grid [default: the classes in turn]
    #[arg(long, value_name = "CLASS", allow_negative_numbers = true)]
    pub class: Option<String>,

    /// Read the latents from a .npy of shape (N, latent dimension), f16, f32 or f64
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed"])]
    pub latents: Option<PathBuf>,

    /// Images per row of the grid [default: as square as possible]
    #[arg(long, value_name = "N")]
    pub columns: Option<usize>,

    /// Enlarge each pixel to a square of this side [default: 2; 1 in DIR/]
    #[arg(long, value_name = "N")]
    pub scale: Option<usize>,

    /// Path from one latent to the next
    #[arg(long, value_enum, default_value_t = Interpolation::Spherical)]
    pub walk: Interpolation,

    /// Interpolations side by side [default: 16; --class all: one of each class]
    #[arg(long, value_name = "N")]
    pub walks: Option<usize>,

    /// Frames from one latent to the next
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub frames: usize,
}

/// A grid ends here: beyond it a picture is of no use and no viewer opens it.
const GRID_LIMIT: u64 = 10_000;

impl SampleConfig {
    /// What is to be written, from `--format` or the name of `-o`.
    pub fn format(&self) -> anyhow::Result<Format> {
        let path = Path::new(&self.output);
        let by_ending = match path.extension().and_then(|extension| extension.to_str()) {
            Some("png") => Some(Format::Png),
            Some("gif") => Some(Format::Gif),
            Some("npy") => Some(Format::Npy),
            _ => None,
        };
        let named = match by_ending {
            _ if self.to_stdout() => self.format.unwrap_or(Format::Png),
            _ if self.output.ends_with(['/', std::path::MAIN_SEPARATOR]) => Format::Directory,
            Some(_) if path.is_dir() => bail!(Error::Usage(format!(
                "-o {0}: it is a directory\n-o {0}/ writes one PNG an image into it; or name another file",
                self.output
            ))),
            Some(format) => format,
            None if path.is_dir() => Format::Directory,
            None => bail!(Error::Usage(format!(
                "-o {}: expected a name that ends in .png, .gif, .npy or /, or - for stdout",
                self.output
            ))),
        };
        match self.format {
            Some(asked) if asked != named => bail!(Error::Usage(format!(
                "--format does not go with -o {}; the name's ending says what is written",
                self.output
            ))),
            _ => Ok(named),
        }
    }

    /// [`Error::Usage`] where `--class all`, which lays its samples out, comes with another layout.
    pub fn refuse_layout_of(&self, classes: SampleClasses) -> anyhow::Result<()> {
        let flags = [("--columns", self.columns), ("--walks", self.walks)];
        match (classes, flags.into_iter().find_map(|(flag, value)| Some((flag, value?)))) {
            (SampleClasses::Each { .. }, Some((flag, value))) => bail!(Error::Usage(format!(
                "{flag} {value}: --class all draws a row or a walk for each class; leave {flag} out, -n says how many"
            ))),
            _ => Ok(()),
        }
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

    /// The first sample.
    pub fn offset(&self) -> u64 {
        self.offset.unwrap_or(0)
    }

    /// Side in pixels of the square that one image pixel becomes.
    pub fn scale(&self, format: Format) -> usize {
        self.scale.unwrap_or(if format == Format::Directory { 1 } else { 2 })
    }

    pub fn to_stdout(&self) -> bool {
        self.output == "-"
    }

    /// Interpolations side by side.
    pub fn walks(&self, classes: SampleClasses) -> usize {
        match classes {
            SampleClasses::Each { classes } => classes,
            _ => self.walks.unwrap_or(16),
        }
    }

    /// Samples to draw: `--n`, or as many as there are latents, or the default.
    pub fn count(&self, format: Format, classes: SampleClasses, latents_given: Option<u64>) -> anyhow::Result<u64> {
        let walks = self.walks(classes) as u64;
        let samples_given = latents_given.map(|rows| classes.samples(rows));
        let count = match (format, self.n, samples_given) {
            (Format::Gif, n, given) => {
                let keys = n.or(given.map(|rows| rows / walks.max(1))).unwrap_or(8);
                if keys < 2 || walks == 0 || self.frames == 0 {
                    bail!(Error::Usage(
                        "a walk needs at least two latents (-n), one walk (--walks) and one frame (--frames)".into()
                    ));
                }
                if keys.saturating_mul(self.frames as u64) > 10_000 || walks > 1_024 {
                    bail!(Error::Usage("a walk ends at 10000 frames and 1024 --walks".into()));
                }
                keys * walks
            }
            (_, n, given) => n.or(given).unwrap_or(match classes {
                SampleClasses::Each { classes } => 8 * classes as u64,
                _ => 64,
            }),
        };
        if count == 0 {
            bail!(Error::Usage("-n 0: expected at least 1".into()));
        }
        if format == Format::Png && count > GRID_LIMIT {
            bail!(Error::Usage(format!(
                "-n {count}: a grid ends at {GRID_LIMIT} images; write to a directory (-o DIR/) or -o FILE.npy"
            )));
        }
        if !(1..=64).contains(&self.scale(format)) || self.columns == Some(0) {
            bail!(Error::Usage("--scale goes from 1 to 64, --columns from 1".into()));
        }
        let offset = self.offset();
        if let (SampleClasses::Each { classes }, Format::Png) = (classes, format)
            && !(count.is_multiple_of(classes as u64) && offset.is_multiple_of(classes as u64))
        {
            bail!(Error::Usage(format!(
                "--class all: a grid has a row for each class; -n and --offset are multiples of {classes}"
            )));
        }
        if offset.checked_add(count).is_none() {
            bail!(Error::Usage("--offset + -n is past the last sample".into()));
        }
        match latents_given {
            Some(rows) if offset + count > classes.samples(rows) => bail!(Error::Input(format!(
                "--latents has {rows} rows; {count} samples from number {offset} on were asked for"
            ))),
            _ => Ok(count),
        }
    }
}
