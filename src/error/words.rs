//! The words for what an error holds.

use std::path::{Path, PathBuf};

use super::text::one_line;

/// A path in the text of an error: its line breaks must not begin a line of their own there.
pub fn in_a_line(path: &Path) -> String {
    one_line(&path.display().to_string())
}

pub(super) fn assignment(name: &str, value: &str) -> String {
    if value.is_empty() { name.into() } else { format!("{name} {value}") }
}

pub(super) fn listed(runs: &[String]) -> String {
    if runs.is_empty() { "none yet".into() } else { runs.join(", ") }
}

pub(super) fn begun_with(saved: &Option<String>) -> String {
    saved.as_ref().map_or("without it".into(), |saved| format!("with {saved}"))
}

pub(super) fn last_good_words(last_good: &Option<PathBuf>, largest: &Option<(String, f32)>) -> String {
    let Some(path) = last_good else { return "no checkpoint had been written yet".into() };
    let largest = largest.as_ref().map(|(name, size)| format!("; the largest weight in it is {size:.1e}, in {name}"));
    format!("the last good checkpoint is {}{}", path.display(), largest.unwrap_or_default())
}

/// `bytes` in words.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A number as people type it: one of hundreds of digits has an exponent in their place.
pub fn number(value: f64) -> String {
    value_text(value.to_string())
}

/// The text of a setting's value, with an exponent where it is a number of more digits than tell anything.
pub(super) fn value_text(text: String) -> String {
    const MOST_DIGITS: usize = 20;
    match text.parse::<f64>() {
        Ok(value) if text.len() > MOST_DIGITS => format!("{value:e}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn texts_name_fields_and_their_values() {
        let error = Error::setting("batch_size", 1, "batch norm needs at least 2 images a batch");
        assert_eq!(error.to_string(), "batch_size 1: batch norm needs at least 2 images a batch");
        let error = Error::setting("cached", "", "features that are trained cannot be kept");
        assert_eq!(error.to_string(), "cached: features that are trained cannot be kept");
    }

    #[test]
    fn numbers_have_as_many_digits_as_are_read() {
        let all = [1.0, 0.25, -3.0, 1e15, 1e300, -2.5e-300, f64::NAN, f64::INFINITY];
        assert_eq!(all.map(number), ["1", "0.25", "-3", "1000000000000000", "1e300", "-2.5e-300", "NaN", "inf"]);
        assert_eq!(
            value_text("a name that is longer than any number is".into()),
            "a name that is longer than any number is"
        );
        assert_eq!(value_text(u64::MAX.to_string()), u64::MAX.to_string());
    }
}
