//! Which checkpoint a run goes on from: the newest that can be read, or an earlier one.

use std::collections::BTreeMap;

use anyhow::bail;

use crate::checkpoint::format::{self, Archive};
use crate::checkpoint::saved_runs::checkpoint_path;
use crate::error::Error;
use crate::run::RunDirectory;
use crate::run::directory::Beginning;
use crate::run::line::Line;

/// The newest checkpoint that could be read.
#[derive(Debug)]
pub struct Newest {
    pub step: u64,
    pub archive: Archive,
    /// A line for each newer checkpoint that could not be; for the user.
    pub notes: Vec<String>,
}

impl RunDirectory {
    /// The newest checkpoint, or where that is damaged the one before it, and so on: what the run goes on from. Those that
    /// were passed over are renamed to `*.damaged` when it begins, so that [`RunDirectory::prune`] does not keep them in
    /// place of good ones.
    ///
    /// # Errors
    /// [`Error::RunNeverSaved`] where there is none, [`Error::Input`] where none can be read.
    pub fn newest_readable(&mut self) -> anyhow::Result<Newest> {
        let mut failures = Vec::new();
        for (line, step) in self.newest_first()? {
            let path = checkpoint_path(&self.weights, step);
            // What may not be opened is not damaged.
            std::fs::File::open(&path).map_err(|error| Error::reading(&path, error))?;
            match format::read(&path) {
                Ok(archive) => {
                    self.line = line;
                    self.beginning = Beginning::Resumed(step);
                    self.damaged = failures.iter().map(|(step, _)| *step).collect();
                    let note = |(_, error)| format!("{error}; going on from the checkpoint before it");
                    return Ok(Newest { step, archive, notes: failures.into_iter().map(note).collect() });
                }
                Err(error) => failures.push((step, error)),
            }
        }
        let Some((_, newest)) = failures.first() else {
            bail!(Error::RunNeverSaved { run: self.name.clone(), path: self.weights.clone() });
        };
        let (count, name) = (failures.len(), &self.name);
        bail!(Error::Input(format!(
            "none of the {count} checkpoints of the run {name} can be read; of the newest:\n{newest}"
        )))
    }

    /// The checkpoint of `step` with these header entries is what the run goes on from. Where there are newer ones it
    /// begins another line.
    ///
    /// # Errors
    /// As [`RunDirectory::checkpoints`].
    pub fn go_back_to(&mut self, metadata: &BTreeMap<String, String>, step: u64) -> anyhow::Result<()> {
        let others = self.newest_first()?;
        self.beginning = Beginning::Resumed(step);
        self.line = Line::of(metadata);
        let newest = others.first().map_or(0, |(line, _)| line.number);
        let next = Line { number: newest.max(self.line.number) + 1, parent: self.line.number, after: step };
        // What its own line has abandoned is on its way out.
        let is_newer =
            |(line, of_other): &(Line, u64)| next.abandons(line, *of_other) && !self.line.abandons(line, *of_other);
        self.is_staging = others.iter().any(is_newer);
        if self.is_staging {
            self.line = next;
        }
        Ok(())
    }

    fn newest_first(&self) -> anyhow::Result<Vec<(Line, u64)>> {
        let steps = self.checkpoints()?;
        let line_of = |step| (Line::of_file(&checkpoint_path(&self.weights, step)), step);
        let mut checkpoints: Vec<_> = steps.into_iter().map(line_of).collect();
        checkpoints.sort_by_key(|(line, step)| std::cmp::Reverse((line.number, *step)));
        Ok(checkpoints)
    }

    /// Whether the checkpoint that the run goes on from is its newest, and lies where it would write it.
    pub(crate) fn goes_on_in_place(&self) -> bool {
        !self.is_staging && !self.is_from_copy && self.damaged.is_empty()
    }
}
