//! The flags that every run has.

use std::path::PathBuf;

use crate::data::DataOptions;

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
}
