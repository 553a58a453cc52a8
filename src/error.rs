//! The kinds of error that callers may want to tell apart.

use std::path::Path;

/// The kinds of error. The functions of this crate return [`anyhow::Error`]; where one of these is its cause or its
/// context, `error.downcast_ref::<Error>()` finds it. Every other error is one of candle or of the system.
///
/// The text says what was found, what was expected and what to do, in one to three lines.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Arguments that are out of range, contradict each other, or contradict the run they are used on.
    #[error("{0}")]
    Usage(String),
    /// Data or a checkpoint is missing, damaged or does not fit.
    #[error("{0}")]
    Input(String),
    /// Training met NaN or infinity. The text names the last good checkpoint.
    #[error("{0}")]
    Diverged(String),
    /// The disk is full or not writable. The last good checkpoint is intact.
    #[error("{0}")]
    Storage(String),
    /// The reader of a pipe has closed it.
    #[error("stdout was closed")]
    ClosedPipe,
    /// Stopped by this signal, after saving.
    #[error("stopped by signal {0}")]
    Stopped(i32),
}

impl Error {
    /// An error of reading `path`.
    pub fn reading(path: &Path, error: impl std::fmt::Display) -> Self {
        Error::Input(format!("{}: {error}", path.display()))
    }

    /// An error of writing `path`.
    pub fn writing(path: &Path, error: impl std::fmt::Display) -> Self {
        Error::Storage(format!("{}: cannot write: {error}", path.display()))
    }
}

/// The text of an error: its causes joined by colons, without the backtrace that candle's errors carry, and with control
/// characters escaped.
pub fn text(error: &anyhow::Error) -> String {
    let cause = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<candle_core::Error>() {
        Some(error) => without_backtrace(error).to_string(),
        None => cause.to_string(),
    };
    let mut causes: Vec<String> = error.chain().map(cause).collect();
    causes.dedup();
    printable(&causes.join(": "))
}

/// `text` with control characters escaped, except line breaks: it may quote a hostile file or a name, which must not
/// control the terminal.
#[doc(hidden)]
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character == '\n' { "\n".into() } else { plain(character) }).collect()
}

fn plain(character: char) -> String {
    match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    }
}

/// `text` as one line of at most 500 characters, with control characters escaped: it may quote a hostile file.
#[doc(hidden)]
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
    fn texts_have_no_backtrace() {
        let inner = candle_core::Error::Msg("three is not four".into());
        let backtrace = Box::new(std::backtrace::Backtrace::force_capture());
        let candle = candle_core::Error::WithBacktrace { inner: Box::new(inner), backtrace };
        let error = anyhow::Error::from(candle).context(Error::Input("it does not fit".into())).context("file");
        assert_eq!(text(&error), "file: it does not fit: three is not four");
    }
}
