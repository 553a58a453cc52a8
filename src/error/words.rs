//! The words for what an error holds.

use std::path::{Path, PathBuf};

/// A path in the text of an error: its line breaks must not begin a line of their own there.
pub(super) fn in_a_line(path: &Path) -> String {
    path.display().to_string().replace('\n', "\\n")
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
