//! `--weights-dir` of the commands that only read runs.

use std::path::Path;

use anyhow::bail;

use crate::error::Error;

/// Refuses a directory that was typed and does not exist: that is a slip, and falling back to the bundled weights is not
/// what was meant. `typed` are the fields that were set on the command line.
///
/// # Errors
/// [`Error::Input`].
pub fn refuse_missing_weights_dir(directory: &Path, typed: &[String]) -> anyhow::Result<()> {
    if typed.iter().any(|field| field == "weights_dir") && !directory.is_dir() {
        let found = if directory.exists() { "not a directory" } else { "no such directory" };
        bail!(Error::Input(format!(
            "--weights-dir {}: {found}; expected the directory that holds the runs",
            directory.display()
        )));
    }
    Ok(())
}
