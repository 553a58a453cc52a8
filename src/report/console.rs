//! Where messages go. stdout carries data only; everything else goes to stderr.
//!
//! Messages that cannot be written are dropped: a run does not end because nobody listens. Data that cannot be written
//! is a failure.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use console::Term;
use indicatif::ProgressBar;

use crate::error::Error;
use crate::report::progress::{BytesProgress, ItemsProgress, TrainingProgress};

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsoleOptions {
    /// Only warnings and errors.
    pub quiet: bool,
    /// 1 and more: details too.
    pub verbose: u8,
    /// Messages, but neither bars nor lines of progress.
    pub no_progress: bool,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgressMode {
    /// One line that is drawn over and over.
    Bar,
    /// A plain line now and then.
    Lines,
    Silent,
}

/// What the streams can show.
#[derive(Clone, Copy, Debug, Default)]
struct Surface {
    stdout_terminal: bool,
    stderr_terminal: bool,
    /// A terminal that cannot move its cursor: `TERM=dumb`, or none named.
    dumb: bool,
    /// The user wants no colours: `NO_COLOR`, see no-color.org.
    no_colour: bool,
}

impl Surface {
    fn detect() -> Self {
        let terminal = std::env::var_os("TERM").unwrap_or_default();
        Self {
            // Open MPI's launcher gives each process a terminal, and passes on what it reads there.
            stdout_terminal: io::stdout().is_terminal() && std::env::var_os("OMPI_COMM_WORLD_RANK").is_none(),
            stderr_terminal: io::stderr().is_terminal(),
            dumb: terminal == "dumb" || (cfg!(unix) && terminal.is_empty()),
            no_colour: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }

    fn colours(&self) -> bool {
        self.stderr_terminal && !self.dumb && !self.no_colour
    }

    fn progress(&self, options: &ConsoleOptions) -> ProgressMode {
        match () {
            () if options.quiet || options.no_progress => ProgressMode::Silent,
            () if self.stderr_terminal && !self.dumb => ProgressMode::Bar,
            () => ProgressMode::Lines,
        }
    }
}

struct DataWriter(Arc<Mutex<dyn Write + Send>>);

impl Write for DataWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        locked(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        locked(&self.0).flush()
    }
}

/// What an error of writing to stdout means: a reader that has gone ends the program quietly.
pub fn stdout_failure(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::ClosedPipe,
        _ => Error::Storage(format!("stdout: cannot write: {error}")),
    }
}

/// The two streams of the program; clones share them.
#[derive(Clone)]
pub struct Console {
    options: ConsoleOptions,
    surface: Surface,
    stdout: Arc<Mutex<dyn Write + Send>>,
    stderr: Arc<Mutex<dyn Write + Send>>,
    /// The bar on the terminal, which makes room for every message.
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

impl Console {
    /// The console of this process: looks at what its streams are, and at `NO_COLOR` and `TERM`.
    pub fn new(options: ConsoleOptions) -> Self {
        Self::on(options, Surface::detect(), Arc::new(Mutex::new(io::stdout())), Arc::new(Mutex::new(io::stderr())))
    }

    /// A console that shows nothing: that of a process beside another one that says the same.
    pub fn silent() -> Self {
        let options = ConsoleOptions { quiet: true, verbose: 0, no_progress: true };
        Self::writing_to(options, Arc::new(Mutex::new(io::sink())), Arc::new(Mutex::new(io::sink())))
    }

    /// A console that writes elsewhere, as to streams that are no terminals.
    pub fn writing_to(
        options: ConsoleOptions,
        stdout: Arc<Mutex<dyn Write + Send>>,
        stderr: Arc<Mutex<dyn Write + Send>>,
    ) -> Self {
        Self::on(options, Surface::default(), stdout, stderr)
    }

    fn on(
        options: ConsoleOptions,
        surface: Surface,
        stdout: Arc<Mutex<dyn Write + Send>>,
        stderr: Arc<Mutex<dyn Write + Send>>,
    ) -> Self {
        Self { options, surface, stdout, stderr, bar: Arc::default() }
    }

    /// Says what happens; not with `-q`.
    pub fn note(&self, text: &str) {
        if !self.options.quiet {
            self.message(text);
        }
    }

    /// Says what only the curious want to know: with `-v`, and not with `-q`.
    pub fn detail(&self, text: &str) {
        if self.options.verbose > 0 {
            self.note(text);
        }
    }

    /// Says what may be wrong; with `-q` too.
    pub fn warning(&self, text: &str) {
        self.message(&format!("{} {text}", self.painted("1;33", "warning:")));
    }

    /// Says why the program ends; with `-q` too.
    pub fn error(&self, text: &str) {
        self.message(&format!("{} {text}", self.painted("1;31", "error:")));
    }

    /// Writes a line of data to stdout, at once.
    ///
    /// # Errors
    /// [`Error::ClosedPipe`] when nobody reads any more, [`Error::Storage`] when stdout cannot be written.
    pub fn data_line(&self, line: &str) -> anyhow::Result<()> {
        self.data_bytes(format!("{line}\n").as_bytes())
    }

    /// Writes raw data to stdout, at once; errors as [`Console::data_line`].
    pub fn data_bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let write = || {
            let mut stdout = locked(&self.stdout);
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        };
        // On a terminal both streams share the screen.
        let written = if self.surface.stdout_terminal { self.beside_bar(write) } else { write() };
        Ok(written.map_err(stdout_failure)?)
    }

    /// Stdout as a writer, for data too long to be held; give its errors to [`stdout_failure`].
    pub fn data_writer(&self) -> impl Write + use<> {
        DataWriter(self.stdout.clone())
    }

    /// Whether a person would get what is written to stdout.
    pub fn stdout_is_terminal(&self) -> bool {
        self.surface.stdout_terminal
    }

    /// Progress of a training run of which `first_step` steps are done, out of `last_step`.
    pub fn training(&self, first_step: u64, last_step: u64) -> TrainingProgress {
        TrainingProgress::new(self, first_step, last_step)
    }

    /// Progress of downloads, one after another.
    pub fn bytes(&self) -> BytesProgress {
        BytesProgress::new(self)
    }

    /// Progress of making `total` things called `what`.
    pub fn items(&self, what: &str, total: u64) -> ItemsProgress {
        ItemsProgress::new(self, what, total)
    }

    /// Takes a bar off the terminal for good: before leaving at once.
    pub fn clear(&self) {
        if let Some(bar) = locked(&self.bar).take() {
            bar.finish_and_clear();
        }
    }

    pub(super) fn progress_mode(&self) -> ProgressMode {
        self.surface.progress(&self.options)
    }

    pub(super) fn colours(&self) -> bool {
        self.surface.colours()
    }

    /// Columns of the terminal at this moment: people resize theirs. One is left free, since some wrap when it is used.
    pub(super) fn columns() -> usize {
        usize::from(Term::stderr().size().1).saturating_sub(1)
    }

    /// Puts `bar` in the place of the one before.
    pub(super) fn show(&self, bar: &ProgressBar) {
        self.clear();
        *locked(&self.bar) = Some(bar.clone());
    }

    /// Writes a line to stderr, above the bar if there is one.
    pub(super) fn message(&self, text: &str) {
        self.beside_bar(|| {
            // One write a message, so that lines of several processes do not mix. Nobody listens: nothing to do.
            let mut stderr = locked(&self.stderr);
            let _ = stderr.write_all(format!("{text}\n").as_bytes()).and_then(|()| stderr.flush());
        });
    }

    fn beside_bar<T>(&self, write: impl FnOnce() -> T) -> T {
        let bar = locked(&self.bar).clone();
        match bar {
            Some(bar) if !bar.is_finished() => bar.suspend(write),
            _ => write(),
        }
    }

    fn painted(&self, style: &str, text: &str) -> String {
        if self.colours() { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The value behind a lock, also when another thread panicked while it held it: what we guard is never half changed.
pub(super) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_colours_need_a_capable_terminal() {
        let plain = ConsoleOptions::default();
        let terminal = Surface { stderr_terminal: true, ..Surface::default() };
        let dumb = Surface { dumb: true, ..terminal };
        let colourless = Surface { no_colour: true, ..terminal };
        assert_eq!((terminal.progress(&plain), terminal.colours()), (ProgressMode::Bar, true));
        assert_eq!((dumb.progress(&plain), dumb.colours()), (ProgressMode::Lines, false));
        assert_eq!((colourless.progress(&plain), colourless.colours()), (ProgressMode::Bar, false));
        assert_eq!((Surface::default().progress(&plain), Surface::default().colours()), (ProgressMode::Lines, false));
        for silent in [ConsoleOptions { quiet: true, ..plain }, ConsoleOptions { no_progress: true, ..plain }] {
            assert_eq!(terminal.progress(&silent), ProgressMode::Silent);
            assert_eq!(Surface::default().progress(&silent), ProgressMode::Silent);
        }
    }
}
