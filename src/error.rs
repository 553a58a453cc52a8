//! The kinds of error that callers may want to tell apart.

mod text;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(feature = "cli")]
pub(crate) use text::one_line;
pub use text::{legible, printable, text, text_in_words};
use words::{assignment, begun_with, last_good_words, listed, value_text};
pub(crate) use words::{in_a_line, mebibytes, number};

/// The kinds of error. The functions of this crate return [`anyhow::Error`]; where one of these is its cause or its
/// context, `error.downcast_ref::<Error>()` finds it. Every other error is one of candle or of the system.
///
/// The text says what was found and what was expected, in one to three lines. It names fields of configurations; the
/// program names flags in their place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Arguments that contradict each other, or the run they are used on.
    #[error("{0}")]
    Usage(String),
    /// A setting is out of range, or does not go with others or with the data.
    #[error("{}: {problem}", assignment(name, value))]
    Setting {
        /// The field of the configuration, such as `batch_size`.
        name: &'static str,
        /// Its value; empty where the field is on or off, or is not set.
        value: String,
        /// What was expected.
        problem: String,
    },
    /// A setting asks for more images than there are.
    #[error("{}: {problem}", assignment(name, value))]
    TooFewImages {
        /// The field of the configuration, such as `batch_size`.
        name: &'static str,
        /// Its value.
        value: String,
        /// How many there are.
        problem: String,
    },
    /// Data or a checkpoint is missing, damaged or does not fit.
    #[error("{0}")]
    Input(String),
    /// A picture of a set cannot be decoded.
    #[error("{}: cannot be decoded: {problem}", in_a_line(path))]
    BrokenPicture {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A data set does not exist, or is not what is needed.
    #[error("{data}: {problem}")]
    Data {
        /// The name or the directory of the set.
        data: String,
        /// What is wrong.
        problem: String,
    },
    /// A directory is not the data set that seems to be meant.
    #[error("{problem}: {}", meant.display())]
    DataElsewhere {
        /// What is wrong; goes on with `meant`.
        problem: String,
        /// The directory that can be opened in its place.
        meant: PathBuf,
    },
    /// A file of weights holds another network than the one that was asked for.
    #[error("{}: holds a {found}; {name} {value} was asked for", path.display())]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// The setting that asked, such as `model`.
        name: &'static str,
        /// Its value.
        value: &'static str,
    },
    /// A named data set is not there and cannot be downloaded.
    #[error("{set}: {file} is not in {} and cannot be downloaded: {problem}", folder.display())]
    NotDownloaded {
        /// The name of the set.
        set: &'static str,
        /// The missing file.
        file: String,
        /// Where it belongs.
        folder: PathBuf,
        /// Why each source failed.
        problem: String,
        /// A built-in set of the same shape.
        stand_in: &'static str,
    },
    /// No run of that name exists.
    #[error("{}: no run is there; runs: {}", path.display(), listed(known))]
    NoRun {
        /// Where it was looked for.
        path: PathBuf,
        /// The runs that there are, newest first.
        known: Vec<String>,
    },
    /// The saved configuration of a run is missing, damaged or of another version.
    #[error("{}: {problem}", in_a_line(path))]
    DamagedConfig {
        /// The name of the run.
        run: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// Whether a checkpoint of the run holds the configuration too, which is read where the file is gone.
        has_copy: bool,
    },
    /// A new run has the name of one that exists.
    #[error("{}: the run exists", path.display())]
    RunExists {
        /// The name of the run.
        run: String,
        /// Its directory.
        path: PathBuf,
    },
    /// Another process has the run.
    #[error("the run {run} is in use by {}", holder.map_or("another process".into(), |id| format!("process {id}")))]
    RunInUse {
        /// The name of the run.
        run: String,
        /// The process, where it is known.
        holder: Option<u32>,
    },
    /// A run has no checkpoint to go on from.
    #[error("{}: the run stopped before its first checkpoint", path.display())]
    RunNeverSaved {
        /// The name of the run.
        run: String,
        /// Its directory.
        path: PathBuf,
    },
    /// A run has come further than to the end that was asked for.
    #[error("run {run} has come to step {step}, past the {last_step} asked for")]
    RunPastEnd {
        /// The name of the run.
        run: String,
        /// The steps done.
        step: u64,
        /// The steps asked for.
        last_step: u64,
    },
    /// A run is of another method of training.
    #[error("{run}: a run of {command}")]
    OtherCommand {
        /// The name of the run.
        run: String,
        /// The command that it is a run of, such as `train-gan`.
        command: &'static str,
    },
    /// A run was begun with another value of a setting.
    #[error(
        "{}: run {run} was begun {}\na resumed run keeps its configuration",
        assignment(name, value),
        begun_with(saved)
    )]
    OtherSetting {
        /// The field of the configuration.
        name: String,
        /// The value that was asked for; empty where the field is on or off.
        value: String,
        /// The name of the run.
        run: String,
        /// The value that it was begun with; `None` where it was not set.
        saved: Option<String>,
    },
    /// A new run cannot go on with other images: it has none yet.
    #[error("a new run has no images to compare with")]
    NothingToCompare,
    /// A run was begun with other images.
    #[error("these are not the images that the run {run} began with\n{difference}")]
    OtherImages {
        /// The name of the run.
        run: String,
        /// What differs.
        difference: String,
    },
    /// Training met NaN or infinity.
    #[error("training diverged at step {step}: {what}\n{}", last_good_words(last_good, largest))]
    Diverged {
        /// The step.
        step: u64,
        /// What is not finite.
        what: String,
        /// The last good checkpoint; `None` where none was written.
        last_good: Option<PathBuf>,
        /// The parameter with the largest weight in that, and its size.
        largest: Option<(String, f32)>,
    },
    /// A checkpoint holds NaN or infinity: it was changed after it was written.
    #[error("{}: {tensor} holds a NaN or an infinity", path.display())]
    NotFinite {
        /// The checkpoint.
        path: PathBuf,
        /// The name of the tensor.
        tensor: String,
        /// The checkpoint before it, if there is one.
        before: Option<PathBuf>,
    },
    /// The disk is full or not writable. The last good checkpoint is intact.
    #[error("{0}")]
    Storage(String),
    /// No cache of decoded images can be made where it is to lie.
    #[error("{}: no cache of decoded images can be made there: {problem}", in_a_line(directory))]
    NoCache {
        /// Where it is to lie.
        directory: PathBuf,
        /// Why.
        problem: String,
    },
    /// The disk has no room for what a run would write.
    #[error("{}: {} free, the run needs {}: {parts}", directory.display(), mebibytes(*free), mebibytes(*needed))]
    NoSpace {
        /// Where the run would write.
        directory: PathBuf,
        /// Free bytes.
        free: u64,
        /// Bytes of all that the run would write.
        needed: u64,
        /// What these are.
        parts: String,
    },
    /// A device was named that this build of the crate has no code for.
    #[error("device {device}: this binary was built without {feature}")]
    NotBuiltFor {
        /// The device, such as `cuda:0`.
        device: String,
        /// The feature of the crate.
        feature: &'static str,
    },
    /// A device was named that cannot be opened.
    #[error("device {device}: no such device can be opened: {problem}")]
    NoDevice {
        /// The device, such as `cuda:0`.
        device: String,
        /// What its driver says.
        problem: String,
    },
    /// The reader of a pipe has closed it.
    #[error("stdout was closed")]
    ClosedPipe,
    /// Another of the processes that work together has failed, and says why.
    #[error("another process has failed")]
    OtherProcess,
    /// Stopped by this signal.
    #[error("stopped by signal {0}")]
    Stopped(i32),
    /// A run was stopped, after saving.
    #[error("run {run}: stopped{part} at step {step}")]
    RunStopped {
        /// The signal.
        signal: i32,
        /// The name of the run.
        run: String,
        /// Which part of the run, with a leading space; empty where it has one alone.
        part: String,
        /// The steps done, of that part.
        step: u64,
    },
}

impl Error {
    /// A setting that is out of range or does not go with others.
    pub(crate) fn setting(name: &'static str, value: impl fmt::Display, problem: impl Into<String>) -> Self {
        Error::Setting { name, value: value_text(value.to_string()), problem: problem.into() }
    }

    /// A data set that is not what is needed.
    pub(crate) fn data(data: impl fmt::Display, problem: impl Into<String>) -> Self {
        Error::Data { data: data.to_string(), problem: problem.into() }
    }

    /// An error of reading `path`.
    pub fn reading(path: &Path, error: impl fmt::Display) -> Self {
        Error::Input(format!("{}: {error}", in_a_line(path)))
    }

    /// An error of writing `path`.
    pub fn writing(path: &Path, error: impl fmt::Display) -> Self {
        Error::Storage(format!("{}: cannot write: {error}", in_a_line(path)))
    }
}
