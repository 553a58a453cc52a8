//! The images that a run trains on.

use anyhow::bail;

use super::run::RunOptions;
use crate::data::{self, Dataset, ImageShape};
use crate::error::Failure;
use crate::report::Console;

/// The data set that `--data` names, in `shape`, its training images cut to the `first` so many if that is given.
/// [`Failure::Input`] where there are fewer, or a batch does not fit into them.
pub fn open(
    data: &str,
    shape: ImageShape,
    first: Option<usize>,
    batch_size: usize,
    options: &RunOptions,
    console: &Console,
) -> anyhow::Result<Dataset> {
    cut(open_whole(data, shape, options, console)?, first, batch_size)
}

/// The same of a data set that is open.
pub fn cut(mut dataset: Dataset, first: Option<usize>, batch_size: usize) -> anyhow::Result<Dataset> {
    let (name, available) = (&dataset.name, dataset.train.len());
    if let Some(first) = first {
        if first > available {
            bail!(Failure::Input(format!("--train-images {first}: {name} has {available} training images")));
        }
        dataset.train = dataset.train.first(first);
    }
    if dataset.train.len() < batch_size {
        bail!(Failure::Input(format!(
            "--batch-size {batch_size}: {name} has {} training images; a batch must fit into them",
            dataset.train.len()
        )));
    }
    Ok(dataset)
}

/// The data set that `--data` names, in `shape`; a download shows its progress.
pub fn open_whole(data: &str, shape: ImageShape, options: &RunOptions, console: &Console) -> anyhow::Result<Dataset> {
    let bytes = console.bytes();
    data::open(data, options.data_dir.as_deref(), shape, &|name, done, total| bytes.update(name, done, total))
}
