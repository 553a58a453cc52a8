//! The flags that every run has.

use std::path::{Path, PathBuf};

use crate::data::DataOptions;
use crate::run::RunPlace;

/// Flags that say where a run lies and how it begins, not what it computes.
#[derive(Clone, Debug, clap::Args)]
pub struct RunOptions {
    /// Name of the run [default: the name of the model or encoder]
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub run: Option<String>,

    /// Resume a run from its newest checkpoint, or from the given one
    #[arg(long, value_name = "NAME|DIR|CHECKPOINT", conflicts_with = "force")]
    pub resume: Option<String>,

    /// Replace the run of that name; its files are deleted
    #[arg(long)]
    pub force: bool,

    /// With --resume: continue although the images have changed since the run began
    #[arg(long)]
    pub changed_data: bool,

    /// Directory of the runs' weights and checkpoints
    #[arg(long, value_name = "DIR", default_value = "weights")]
    pub weights_dir: PathBuf,

    /// Directory of the runs' sample grids and plots
    #[arg(long, value_name = "DIR", default_value = "samples")]
    pub samples_dir: PathBuf,

    #[command(flatten)]
    pub data: DataOptions,

    /// Whether another process writes the run, and this one only computes with it
    #[arg(skip)]
    pub is_follower: bool,
}

impl RunOptions {
    /// Where the run lies, its weights in a directory below `weights_dir`.
    pub(crate) fn place<'a>(&'a self, weights_dir: &'a Path) -> RunPlace<'a> {
        RunPlace { weights_dir, samples_dir: &self.samples_dir, is_locked: !self.is_follower }
    }
}
