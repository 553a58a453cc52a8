//! What a run saves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::checkpoint::header::{BEST, CONFIG, DATA, NETWORK, STATE};
use crate::checkpoint::state::{Tensors, largest};
use crate::checkpoint::{self, Archive};
use crate::error::Error;
use crate::models::NetworkDescription;
use crate::run::{BestNetwork, Position, Run, line};

/// The networks of a moment, with all that training goes on from.
pub struct Snapshot {
    /// Everything that a step changes, by the names of the checkpoint.
    pub state: Tensors,
    /// The networks for use: the name of the file, what the network is, and its tensors.
    pub networks: Vec<(&'static str, NetworkDescription, Tensors)>,
    /// Where each random stream goes on.
    pub streams: Vec<(&'static str, u64)>,
    /// Further header entries of the checkpoint.
    pub entries: Vec<(&'static str, String)>,
    /// The best network so far, of a run that keeps one.
    pub best: Option<BestNetwork>,
}

impl<C: Serialize> Run<C> {
    /// Writes the checkpoint of `position`, and the networks for use with the configuration and what they are in the
    /// header. With the first checkpoint, what the run abandons goes. Where the checkpoint `is_there` already, only those
    /// networks are written that are not its own: the process may have ended between the two.
    pub(crate) fn save(&mut self, position: &Position, snapshot: Snapshot, is_there: bool) -> anyhow::Result<()> {
        let config = BTreeMap::from([(CONFIG.to_string(), serde_json::to_string(&self.config)?)]);
        let mut metadata = BTreeMap::from([(STATE.to_string(), serde_json::to_string(position)?)]);
        metadata.extend(config.clone());
        metadata.extend(self.directory.line_entry()?);
        if let Some(data) = &self.data {
            metadata.insert(DATA.into(), serde_json::to_string(data)?);
        }
        metadata.extend(snapshot.entries.into_iter().map(|(key, text)| (key.to_string(), text)));
        let path = self.directory.checkpoint_path(position.step);
        if !is_there || !path.exists() {
            checkpoint::write(&path, &Archive { tensors: snapshot.state, metadata })?;
        }
        self.directory.settle()?;
        let path_of = |name| self.directory.weights.join(format!("{name}.safetensors"));
        let described = |network: &NetworkDescription| -> anyhow::Result<BTreeMap<String, String>> {
            let mut metadata = config.clone();
            metadata.insert(NETWORK.into(), serde_json::to_string(network)?);
            Ok(metadata)
        };
        for (name, network, tensors) in snapshot.networks {
            write_unless(is_there, &path_of(name), Archive { tensors, metadata: described(&network)? })?;
        }
        match snapshot.best {
            Some(BestNetwork { name, network, kept: Some((best, tensors)) }) => {
                let mut metadata = described(&network)?;
                metadata.insert(BEST.into(), serde_json::to_string(&best)?);
                // It seldom changes, and is compared sooner than written.
                write_unless(true, &path_of(name), Archive { tensors, metadata })
            }
            // What is there is of checkpoints that the run has abandoned.
            Some(BestNetwork { name, kept: None, .. }) => line::remove(&path_of(name)),
            None => Ok(()),
        }
    }

    /// The error of a run that met a NaN or an infinity at `step`, with the last good checkpoint.
    pub(crate) fn diverged(&self, step: u64, what: &str) -> anyhow::Error {
        let last_good = self.directory.last_good().ok().flatten();
        let largest = last_good.as_deref().and_then(largest_in);
        Error::Diverged { step, what: what.into(), last_good, largest }.into()
    }
}

/// Writes a network, where `compares` only if another or none is there.
fn write_unless(compares: bool, path: &Path, archive: Archive) -> anyhow::Result<()> {
    let is_there = compares && fs::read(path).ok() == Some(checkpoint::to_bytes(&archive)?);
    if is_there { Ok(()) } else { checkpoint::write(path, &archive) }
}

/// What in a checkpoint may be why training went wrong after it.
fn largest_in(path: &Path) -> Option<(String, f32)> {
    let archive = checkpoint::read(path).ok()?;
    let (size, name) = largest(&archive.tensors).ok()??;
    Some((name.to_string(), size))
}
