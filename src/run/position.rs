//! Where a run has come to.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Archive;
use crate::checkpoint::header::STATE;
use crate::error::Error;

/// Where a run has come to: the header entry [`STATE`] of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps done.
    pub step: u64,
    /// The epoch of the next step, and its batch within the epoch.
    pub epoch: u64,
    pub batch: u64,
    /// Seconds of training so far, over all its parts.
    pub seconds: f64,
    /// Where each random stream goes on: streams are counter-based, so an index is all their state.
    pub streams: BTreeMap<String, u64>,
}

impl Position {
    /// After `step` steps and `seconds`; `streams` are the next indexes of the run's random streams by name.
    pub fn new(step: u64, steps_per_epoch: u64, seconds: f64, streams: &[(&str, u64)]) -> Self {
        let streams = streams.iter().map(|(name, index)| (name.to_string(), *index)).collect();
        Self { step, epoch: step / steps_per_epoch, batch: step % steps_per_epoch, seconds, streams }
    }

    /// Reads the position out of a checkpoint that came from `path`.
    pub fn of(archive: &Archive, path: &Path) -> anyhow::Result<Self> {
        let damaged =
            |what: String| Error::reading(path, format!("{what}; expected a checkpoint of a run (step-*.safetensors)"));
        let text = archive.metadata.get(STATE).ok_or_else(|| damaged("its header has no gan.state".into()))?;
        Ok(serde_json::from_str(text).map_err(|error| damaged(format!("its gan.state is damaged: {error}")))?)
    }
}
