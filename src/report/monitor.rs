//! What a training run shows: messages, a progress bar, and its records as JSON.

use crate::report::console::Console;
use crate::report::progress::{TrainingProgress, TrainingStatus};

/// What the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Note(String),
    Warning(String),
}

/// Shows a training run on a console.
pub struct Monitor {
    console: Console,
    /// Whether every record goes to stdout.
    json: bool,
    progress: Option<TrainingProgress>,
}

impl Monitor {
    pub fn new(console: &Console, json: bool) -> Self {
        Self { console: console.clone(), json, progress: None }
    }

    /// Says what happens.
    pub fn note(&self, text: &str) {
        self.console.note(text);
    }

    /// Says what only the curious want to know.
    pub fn detail(&self, text: &str) {
        self.console.detail(text);
    }

    /// Says what may be wrong.
    pub fn warning(&self, text: &str) {
        self.console.warning(text);
    }

    pub fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Note(text) => self.note(text),
            Notice::Warning(text) => self.warning(text),
        }
    }

    /// Streams the line of a record to stdout, where that was asked for.
    ///
    /// # Errors
    /// As [`Console::data_line`].
    pub fn record(&self, line: &str) -> anyhow::Result<()> {
        match self.json {
            true => self.console.data_line(line),
            false => Ok(()),
        }
    }

    /// Shows the bar of the steps from `first_step` to `last_step`; whether it was not shown before.
    pub fn start(&mut self, first_step: u64, last_step: u64) -> bool {
        let is_new = self.progress.is_none();
        self.progress.get_or_insert_with(|| self.console.training(first_step, last_step));
        is_new
    }

    /// `step` steps are done. Cheap: call it after every step.
    pub fn tick(&self, step: u64) {
        self.progress.iter().for_each(|progress| progress.tick(step));
    }

    /// What the run has come to, at every logged step.
    pub fn status(&self, status: &TrainingStatus) {
        self.progress.iter().for_each(|progress| progress.report(status));
    }

    /// Puts the bar on the terminal again after a measurement had its place.
    pub fn show_again(&mut self, step: u64) {
        self.progress.iter_mut().for_each(|progress| progress.show_again(step));
    }

    /// Takes the bar off the terminal.
    pub fn finish(&mut self) {
        self.progress.take().into_iter().for_each(TrainingProgress::finish);
    }
}
