//! What errors say, as one text that may be printed.

use super::Error;

/// The text of an error: its causes joined by colons, without the backtrace that candle's errors carry, and with control
/// characters escaped.
pub fn text(error: &anyhow::Error) -> String {
    text_in_words(error, Error::to_string)
}

/// The same with the caller's `words` for each [`Error`] in it.
pub fn text_in_words(error: &anyhow::Error, words: impl Fn(&Error) -> String) -> String {
    // A walk along the chain of sources does not see what an [`Error`] that was given as a context is; anyhow's downcast
    // sees the outermost one.
    let outermost = error.downcast_ref::<Error>().map(|error| (error.to_string(), error));
    let cause = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(error) = cause.downcast_ref::<candle_core::Error>() {
            return without_backtrace(error).to_string();
        }
        let text = cause.to_string();
        let context = outermost.as_ref().filter(|(plain, _)| *plain == text).map(|(_, error)| *error);
        cause.downcast_ref().or(context).map_or(text, &words)
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

/// `text` as one line, with control characters escaped.
pub fn one_line(text: &str) -> String {
    text.chars().map(plain).collect()
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

    #[test]
    fn the_words_of_the_caller_reach_causes_and_contexts() {
        let words = |error: &Error| format!("<{error}>");
        let cause = anyhow::Error::from(Error::Input("inner".into())).context("file");
        assert_eq!(text_in_words(&cause, words), "file: <inner>");
        let context = anyhow::anyhow!("inner").context(Error::Input("it does not fit".into())).context("file");
        assert_eq!(text_in_words(&context, words), "file: <it does not fit>: inner");
    }
}
