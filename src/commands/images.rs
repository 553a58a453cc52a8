//! The images that a command works on: opened, with a download's progress, and cut to what the flags ask for.

use std::path::PathBuf;

use anyhow::bail;

use crate::commands::Invocation;
use crate::data::test_part::TestPart;
use crate::data::{self, DataOptions, Dataset, ImageShape, TargetShape};
use crate::error::Error;
use crate::report::Console;

/// The training images of `dataset` at the `first` so many places if that is given. Where the run `validates`, the
/// validation part is not among them. [`Error::Input`] where there are fewer, or a batch does not fit into them.
pub fn cut(
    dataset: Dataset,
    first: Option<usize>,
    validates: bool,
    batch_size: usize,
    console: &Console,
) -> anyhow::Result<Dataset> {
    let (name, available) = (dataset.name.clone(), dataset.train.len());
    if let Some(first) = first.filter(|first| *first > available) {
        bail!(Error::Input(format!("--train-images {first}: {name} has {available} training images")));
    }
    let held_out = if validates { dataset.held_out().len() } else { 0 };
    let dataset = dataset.cut(first, validates)?;
    let found = dataset.train.len();
    if found < batch_size {
        let held_out = match held_out {
            0 => String::new(),
            _ => format!(", beside {held_out} held out for validation"),
        };
        bail!(Error::Input(format!(
            "--batch-size {batch_size}: {name} has {found} training images{held_out}, and a batch must fit into them\n\
             take --batch-size {found} or less, or more images"
        )));
    }
    if held_out > 0 {
        console.note(&format!("{name}: {} training images, {held_out} held out for validation", dataset.train.len()));
    }
    Ok(dataset)
}

/// How a run reads its images, as its configuration says.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Runs from before parts were balanced go on with the first images of every set.
    pub balanced_parts: bool,
    /// Whether broken pictures are left out.
    pub skip_broken: bool,
    /// Directory of the named sets.
    pub data_dir: Option<PathBuf>,
}

impl Reading {
    fn options(&self, call: &Invocation) -> DataOptions {
        let (data_dir, others_here) = (self.data_dir.clone(), call.processes.on_this_host() as u64 - 1);
        DataOptions { data_dir, skip_broken: self.skip_broken, others_here, ..call.options.data.clone() }
    }
}

/// The data set that `--data` names, as `target` says; a download shows its progress.
pub fn open(
    data: &str,
    target: impl Into<TargetShape>,
    reading: &Reading,
    call: &Invocation,
) -> anyhow::Result<Dataset> {
    let dataset = open_from(data, &reading.options(call), target, call.console)?;
    Ok(Dataset { is_canonical: dataset.is_canonical || !reading.balanced_parts, ..dataset })
}

/// As [`open`], in colour, or in grey where no image has colours.
pub fn open_in_own_colours(data: &str, size: usize, reading: &Reading, call: &Invocation) -> anyhow::Result<Dataset> {
    let colour = ImageShape::new(size, size, 3);
    let dataset = read(data, &reading.options(call), colour, call.console)?;
    let parts = [&dataset.train, &dataset.validation, &dataset.test];
    let has_colour = parts.into_iter().map(|part| part.has_colour()).find(|found| !matches!(found, Ok(false)));
    if !has_colour.transpose()?.unwrap_or(false) {
        // Read anew, so that they are what a run finds that is resumed with its channels.
        return open(data, ImageShape { channels: 1, ..colour }, reading, call);
    }
    say_of(&dataset, call.console);
    Ok(Dataset { is_canonical: dataset.is_canonical || !reading.balanced_parts, ..dataset })
}

/// The data set that `--data` names, as `target` says; a download shows its progress. Says what is to be said of the set.
pub fn open_from(
    data: &str,
    options: &DataOptions,
    target: impl Into<TargetShape>,
    console: &Console,
) -> anyhow::Result<Dataset> {
    let dataset = read(data, options, target, console)?;
    say_of(&dataset, console);
    Ok(dataset)
}

fn read(
    data: &str,
    options: &DataOptions,
    target: impl Into<TargetShape>,
    console: &Console,
) -> anyhow::Result<Dataset> {
    let bytes = console.bytes();
    data::open(data, options, target, &|name, done, total| bytes.update(name, done, total))
}

fn say_of(dataset: &Dataset, console: &Console) {
    dataset.notes.iter().for_each(|note| console.note(note));
    dataset.warnings.iter().for_each(|warning| console.warning(warning));
}

/// The set with test images, held out of those to train on where it brings none; see [`Dataset::with_test_part`]. Says so.
pub fn with_test_part(
    dataset: Dataset,
    part: Option<TestPart>,
    labels: bool,
    console: &Console,
) -> anyhow::Result<Dataset> {
    say_new(dataset, console, |dataset| dataset.with_test_part(part, labels))
}

/// The set without the images that others hold out to test on; see [`Dataset::without_test_part`]. Says so.
pub fn without_test_part(dataset: Dataset, part: Option<TestPart>, console: &Console) -> anyhow::Result<Dataset> {
    say_new(dataset, console, |dataset| dataset.without_test_part(part))
}

fn say_new(
    dataset: Dataset,
    console: &Console,
    change: impl FnOnce(Dataset) -> anyhow::Result<Dataset>,
) -> anyhow::Result<Dataset> {
    let said = dataset.notes.len();
    let dataset = change(dataset)?;
    dataset.notes[said..].iter().for_each(|note| console.note(note));
    Ok(dataset)
}
