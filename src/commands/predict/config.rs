use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::commands::gallery::GalleryConfig;
use crate::error::Error;

/// Which pictures, by which classifier, into what.
#[derive(Clone, Debug, clap::Args)]
pub struct PredictConfig {
    /// Classifier: classifier.safetensors of finetune, or the directory of its run [default: the newest run's]
    #[arg(long, value_name = "FILE|DIR")]
    pub weights: Option<PathBuf>,

    /// Directory of the runs' weights and checkpoints
    #[arg(long, value_name = "DIR", default_value = "weights")]
    pub weights_dir: PathBuf,

    /// Number of classes to name for each picture, the most probable first
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub top: usize,

    /// Write the predictions to FILE.csv, or with - as CSV to stdout, in place of a table
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Which pictures.
    #[command(flatten)]
    pub pictures: GalleryConfig,
}

/// Where predictions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// As a table to stdout.
    Table,
    /// As JSON lines to stdout.
    Lines,
    /// As CSV to stdout.
    Stdout,
    /// As CSV into a file.
    File(&'a Path),
}

impl PredictConfig {
    /// [`Error::Usage`] where a value is out of range or flags do not go together; it names the flag.
    pub(super) fn target(&self, json: bool) -> anyhow::Result<Target<'_>> {
        if self.top == 0 {
            bail!(Error::Usage("--top 0: expected at least 1".into()));
        }
        match self.output.as_deref() {
            Some(_) if json => bail!(Error::Usage("--json writes to stdout; leave out -o, or --json".into())),
            None if json => Ok(Target::Lines),
            None => Ok(Target::Table),
            Some(output) if output == Path::new("-") => Ok(Target::Stdout),
            Some(output) if output.extension().is_some_and(|extension| extension == "csv") => Ok(Target::File(output)),
            Some(output) => bail!(Error::Usage(format!(
                "-o {}: expected a name that ends in .csv, or - for stdout",
                output.display()
            ))),
        }
    }
}
