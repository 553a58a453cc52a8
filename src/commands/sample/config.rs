use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::commands::weights::GeneratorChoice;
use crate::error::Failure;
use crate::models::Architecture;

/// How a walk goes from one latent to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Interpolation {
    /// Along the arc between them (White, 1609.04468)
    Spherical,
    /// Along the straight line
    Linear,
}

/// What `gan sample` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One grid of all samples
    Png,
    /// A walk between latents, as a film
    Gif,
    /// The raw images: (N, C, H, W), f32 in [-1, 1]
    Npy,
    /// One PNG an image
    #[value(skip)]
    Directory,
}

/// Which generator, which latents, what to write.
#[derive(Clone, Debug, clap::Args)]
pub struct SampleConfig {
    /// The model; without --weights, the newest run of this model is taken, or of any, and where there is none the bundled
    /// generator
    #[arg(long, value_enum)]
    pub model: Option<Architecture>,

    /// A generator, a checkpoint or a run's directory, .safetensors or .pth; or `bundled`, the weights that come with gan
    #[arg(long, value_name = "FILE|DIR|bundled")]
    pub weights: Option<PathBuf>,

    /// Where runs keep their weights
    #[arg(long, value_name = "DIR", default_value = "weights")]
    pub weights_dir: PathBuf,

    /// Take the generator as it was trained, not its average
    #[arg(long)]
    pub raw: bool,

    /// Samples to draw; for a .gif, latents to walk through [default: 64, .gif: 8]
    #[arg(long, short, value_name = "N")]
    pub n: Option<u64>,

    /// FILE.png (a grid), FILE.gif (a walk), FILE.npy (raw), DIR/ (one PNG an image, named by its number), - (stdout).
    /// Samples that lie in DIR/ already and are not written again are refused without --force or --offset
    #[arg(long, short, value_name = "FILE", default_value = "sample.png")]
    pub output: String,

    /// What to write to stdout, with -o - [default: png]
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Seed of the latents; sample i depends on it and on i alone
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Begin at sample N, so that many processes can share a large job: with this flag, 0 too, what lies in DIR/ stays and
    /// is added to [default: 0]
    #[arg(long, value_name = "N")]
    pub offset: Option<u64>,

    /// Delete the samples in DIR/ that are not written again (NUMBER.png, nothing else)
    #[arg(long, conflicts_with = "offset")]
    pub force: bool,

    /// Take the latents from a .npy of shape (N, latents), f16, f32 or f64
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed"])]
    pub latents: Option<PathBuf>,

    /// Images in a row of the grid [default: as square as can be]
    #[arg(long, value_name = "N")]
    pub columns: Option<usize>,

    /// Pixels of the picture for one of the image [default: 2; in DIR/ 1, so that they can be evaluated and trained on]
    #[arg(long, value_name = "N")]
    pub scale: Option<usize>,

    /// How a .gif goes from one latent to the next
    #[arg(long, value_enum, default_value_t = Interpolation::Spherical)]
    pub walk: Interpolation,

    /// Walks side by side in a .gif
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub walks: usize,

    /// Frames of a .gif from one latent to the next
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
            Some(_) if path.is_dir() => bail!(Failure::Usage(format!(
                "-o {0}: it is a directory\n-o {0}/ writes one PNG an image into it; or name another file",
                self.output
            ))),
            Some(format) => format,
            None if path.is_dir() => Format::Directory,
            None => bail!(Failure::Usage(format!(
                "-o {}: expected a name that ends in .png, .gif, .npy or /, or - for stdout",
                self.output
            ))),
        };
        match self.format {
            Some(asked) if asked != named => bail!(Failure::Usage(format!(
                "--format does not go with -o {}; the name's ending says what is written",
                self.output
            ))),
            _ => Ok(named),
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

    /// Samples to draw: `--n`, or as many as there are latents, or the default.
    pub fn count(&self, format: Format, latents_given: Option<u64>) -> anyhow::Result<u64> {
        let walks = self.walks as u64;
        let count = match (format, self.n, latents_given) {
            (Format::Gif, n, given) => {
                let keys = n.or(given.map(|rows| rows / walks.max(1))).unwrap_or(8);
                if keys < 2 || walks == 0 || self.frames == 0 {
                    bail!(Failure::Usage(
                        "a walk needs at least two latents (--n), one walk (--walks) and one frame (--frames)".into()
                    ));
                }
                if keys.saturating_mul(self.frames as u64) > 10_000 || walks > 1_024 {
                    bail!(Failure::Usage("a walk ends at 10000 frames and 1024 --walks".into()));
                }
                keys * walks
            }
            (_, n, given) => n.or(given).unwrap_or(64),
        };
        if count == 0 {
            bail!(Failure::Usage("--n 0: expected at least 1".into()));
        }
        if format == Format::Png && count > GRID_LIMIT {
            bail!(Failure::Usage(format!(
                "--n {count}: a grid ends at {GRID_LIMIT} images; write to a directory (-o DIR/) or -o FILE.npy"
            )));
        }
        if !(1..=64).contains(&self.scale(format)) || self.columns == Some(0) {
            bail!(Failure::Usage("--scale goes from 1 to 64, --columns from 1".into()));
        }
        let offset = self.offset();
        if offset.checked_add(count).is_none() {
            bail!(Failure::Usage("--offset + --n is past the last sample".into()));
        }
        match latents_given {
            Some(rows) if offset + count > rows => {
                bail!(Failure::Input(format!("--latents has {rows} rows; {count} from row {offset} were asked for")))
            }
            _ => Ok(count),
        }
    }
}
