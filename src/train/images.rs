//! The images that a run trains on.

use anyhow::bail;

use super::run::RunOptions;
use crate::data::{self, Dataset, ImageShape};
use crate::error::Failure;
use crate::report::Console;

/// The training images of `dataset` at the `first` so many places if that is given. Where the run `validates`, the
/// validation part is not among them. [`Failure::Input`] where there are fewer, or a batch does not fit into them.
pub fn cut(
    dataset: Dataset,
    first: Option<usize>,
    validates: bool,
    batch_size: usize,
    console: &Console,
) -> anyhow::Result<Dataset> {
    let (name, available) = (dataset.name.clone(), dataset.train.len());
    if let Some(first) = first.filter(|first| *first > available) {
        bail!(Failure::Input(format!("--train-images {first}: {name} has {available} training images")));
    }
    let held_out = if validates { dataset.held_out().len() } else { 0 };
    let dataset = dataset.cut(first, validates)?;
    let found = dataset.train.len();
    if found < batch_size {
        let held_out = match held_out {
            0 => String::new(),
            _ => format!(", beside {held_out} held out for validation"),
        };
        bail!(Failure::Input(format!(
            "--batch-size {batch_size}: {name} has {found} training images{held_out}, and a batch must fit into them\n\
             take --batch-size {found} or less, or more images"
        )));
    }
    if held_out > 0 {
        console.note(&format!("{name}: {} training images, {held_out} held out for validation", dataset.train.len()));
    }
    Ok(dataset)
}

/// The data set that `--data` names, in `shape`; a download shows its progress. Runs from before parts were `balanced` go
/// on with the first images of every set.
pub fn open(
    data: &str,
    shape: ImageShape,
    balanced: bool,
    options: &RunOptions,
    console: &Console,
) -> anyhow::Result<Dataset> {
    let bytes = console.bytes();
    let on_bytes = |name: &str, done, total| bytes.update(name, done, total);
    let dataset = data::open(data, options.data_dir.as_deref(), shape, &on_bytes)?;
    Ok(Dataset { is_canonical: dataset.is_canonical || !balanced, ..dataset })
}
