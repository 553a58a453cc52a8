use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::commands::gallery::GalleryConfig;
use crate::error::Error;
use crate::models::EncoderArchitecture;
use crate::normalisation::Normalisation;
use crate::report::FeatureFormat;
use crate::train::simclr_images::check_image_size;

/// Which pictures, by which encoder, into what.
#[derive(Clone, Debug, clap::Args)]
pub struct EmbedConfig {
    /// Output: FILE.npy (the features, (N, D) f32, with path and class in FILE.paths.csv), FILE.csv (path, class, f0, f1,
    /// ...), FILE.parquet (path, class, features) or - (stdout)
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Format to write to stdout, with -o - [default: csv]
    #[arg(long, value_enum)]
    pub format: Option<FeatureFormat>,

    /// Encoder: a file (.safetensors or PyTorch's .pth, torchvision's ResNets and timm's ViT-Tiny too), a checkpoint, a
    /// run by its name or directory (its best encoder, if it keeps one), or `bundled` [default: the newest run, else bundled]
    #[arg(long, value_name = "FILE|DIR|bundled")]
    pub weights: Option<PathBuf>,

    /// Architecture of the encoder; without --weights, its newest run
    #[arg(long, value_enum)]
    pub encoder: Option<EncoderArchitecture>,

    /// Directory of the runs' weights and checkpoints
    #[arg(long, value_name = "DIR", default_value = "weights")]
    pub weights_dir: PathBuf,

    /// Height and width that pictures are made, in pixels: the largest square in their middle is cut out and resized
    /// [default: the encoder's]
    #[arg(long, value_name = "PIXELS")]
    pub image_size: Option<usize>,

    /// Mean and standard deviation that pixels are normalised by [default: the encoder's]
    #[arg(long, value_enum)]
    pub normalise: Option<KnownNormalisation>,

    /// Find each picture's K nearest others too, by the cosine of their features: into FILE.neighbours.csv, or the lines
    /// of --json. Holds all features in memory
    #[arg(long, value_name = "K")]
    pub neighbours: Option<usize>,

    /// Which pictures.
    #[command(flatten)]
    pub pictures: GalleryConfig,
}

/// Statistics of pixels that need no images to train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KnownNormalisation {
    /// CIFAR-10's, as the course has them
    Cifar10,
    /// ImageNet's, as torchvision's networks expect them
    Imagenet,
}

impl KnownNormalisation {
    /// The statistics themselves.
    pub fn statistics(self) -> Normalisation {
        match self {
            Self::Cifar10 => Normalisation::cifar10(),
            Self::Imagenet => Normalisation::imagenet(),
        }
    }
}

/// Where features go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// Into the lines of `--json`.
    Lines,
    Stdout(FeatureFormat),
    File(&'a Path, FeatureFormat),
}

impl EmbedConfig {
    /// [`Error::Usage`] where a value is out of range or flags do not go together; it names the flag.
    pub(super) fn target(&self, json: bool) -> anyhow::Result<Target<'_>> {
        check_image_size(self.image_size)?;
        if self.neighbours == Some(0) {
            bail!(Error::Usage("--neighbours 0: expected at least 1".into()));
        }
        let target = match self.output.as_deref() {
            None if json => Target::Lines,
            None => bail!(Error::Usage("-o is missing: name a file (.npy, .csv, .parquet) or -, or use --json".into())),
            Some(output) if output == Path::new("-") => Target::Stdout(self.format.unwrap_or(FeatureFormat::Csv)),
            Some(output) => match output.extension().and_then(|extension| extension.to_str()) {
                Some("csv") => Target::File(output, FeatureFormat::Csv),
                Some("npy") => Target::File(output, FeatureFormat::Npy),
                Some("parquet") => Target::File(output, FeatureFormat::Parquet),
                _ => bail!(Error::Usage(format!(
                    "-o {}: expected a name that ends in .npy, .csv or .parquet, or - for stdout",
                    output.display()
                ))),
            },
        };
        if self.format.is_some() && !matches!(target, Target::Stdout(_)) {
            bail!(Error::Usage("--format goes with -o -; elsewhere the name's ending says what is written".into()));
        }
        match target {
            Target::Stdout(_) if json => {
                bail!(Error::Usage("-o - and --json both write to stdout; name a file, or leave out -o".into()))
            }
            Target::Stdout(_) if self.neighbours.is_some() => {
                bail!(Error::Usage("--neighbours needs -o FILE or --json: they have no place in -o -".into()))
            }
            Target::Stdout(FeatureFormat::Npy) if self.pictures.skip_broken => bail!(Error::Usage(
                "--skip-broken does not go with a .npy on stdout, which begins with the number of its rows".into()
            )),
            _ => Ok(target),
        }
    }
}
