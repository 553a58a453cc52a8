//! The failures that have an exit code of their own. Every other error leaves with 1 (and clap's with 2).

use std::path::Path;

/// Why the program cannot go on. The text is what the user reads: the flag or file, what was found and what was
/// expected, and what to do; one to three lines.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Flags that contradict each other or the run they are used on. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Data or a checkpoint is missing, damaged or does not fit. Exit code 3.
    #[error("{0}")]
    Input(String),
    /// Training met NaN or infinity; the text names the last good checkpoint. Exit code 4.
    #[error("{0}")]
    Diverged(String),
    /// The disk is full or the place is not writable; the last good checkpoint is intact. Exit code 5.
    #[error("{0}")]
    Storage(String),
    /// The reader of stdout has gone: nothing is wrong, and nothing more is said. Exit code 0.
    #[error("stdout was closed")]
    ClosedPipe,
    /// Stopped by a signal after saving. Exit code 128 + signal: 130 or 143, or 129 where the terminal has gone.
    #[error("stopped by signal {0}")]
    Stopped(i32),
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::ClosedPipe => 0,
            Failure::Usage(_) => 2,
            Failure::Input(_) => 3,
            Failure::Diverged(_) => 4,
            Failure::Storage(_) => 5,
            Failure::Stopped(signal) => 128 + *signal as u8,
        }
    }

    /// An error of reading `path`: exit code 3.
    pub fn reading(path: &Path, error: impl std::fmt::Display) -> Self {
        Failure::Input(format!("{}: {error}", path.display()))
    }

    /// An error of writing `path`: exit code 5.
    pub fn writing(path: &Path, error: impl std::fmt::Display) -> Self {
        Failure::Storage(format!("{}: cannot write: {error}", path.display()))
    }
}

/// The exit code of an error: that of the outermost [`Failure`] among its causes and contexts, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    // anyhow's own downcast sees contexts, which a walk along the chain of sources does not.
    error.downcast_ref::<Failure>().map_or(1, Failure::exit_code)
}

/// The text of an error for a person: its causes in one line, without the backtrace that candle's errors carry.
pub fn text(error: &anyhow::Error) -> String {
    let cause = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<candle_core::Error>() {
        Some(error) => without_backtrace(error).to_string(),
        None => cause.to_string(),
    };
    let mut causes: Vec<String> = error.chain().map(cause).collect();
    causes.dedup();
    // They may quote a hostile file or a name: nothing of that steers a terminal.
    causes.join(": ").chars().map(|character| if character == '\n' { "\n".into() } else { plain(character) }).collect()
}

fn plain(character: char) -> String {
    match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    }
}

/// Text that may quote a hostile file, as one line that a terminal can bear.
pub fn legible(text: &str) -> String {
    const LONGEST: usize = 500;
    let mut line: String = text.chars().take(LONGEST).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line.chars().map(plain).collect()
}

fn without_backtrace(error: &candle_core::Error) -> &candle_core::Error {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => without_backtrace(inner),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_no_backtrace_and_codes_come_from_anywhere_in_the_chain() {
        let inner = candle_core::Error::Msg("three is not four".into());
        let backtrace = Box::new(std::backtrace::Backtrace::force_capture());
        let candle = candle_core::Error::WithBacktrace { inner: Box::new(inner), backtrace };
        let error = anyhow::Error::from(candle).context(Failure::Input("it does not fit".into())).context("file");
        assert_eq!(text(&error), "file: it does not fit: three is not four");
        assert_eq!(exit_code(&error), 3);
        assert_eq!(exit_code(&anyhow::anyhow!("else")), 1);
    }
}
