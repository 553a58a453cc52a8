use std::path::PathBuf;

use super::recognise;
use super::trained_on::TrainedOn;
use crate::checkpoint::header::NETWORK;
use crate::checkpoint::{Best, Weights};

/// Where a trained network came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its file; of bundled weights, their name.
    pub path: PathBuf,
    /// Its file, where in it, and what it is, for people.
    pub words: String,
    /// The data set that it was trained on, where the file says so.
    pub data: Option<String>,
    /// Which of its images, where the file says so.
    pub trained_on: Option<TrainedOn>,
    /// Of the best network of a run, how it was chosen.
    pub best: Option<Best>,
}

impl Origin {
    pub(super) fn new(weights: &Weights, words: String) -> Self {
        // Checkpoints say it too, of a network that is not the one they are of.
        let best = Best::of(&weights.metadata).filter(|_| weights.metadata.contains_key(NETWORK));
        Self {
            path: weights.path.clone(),
            words: best.map_or(words.clone(), |best| format!("{words}, the best of its run: {best}")),
            best,
            data: recognise::data(&weights.metadata),
            trained_on: TrainedOn::of(&weights.metadata).map(|trained| trained.placed(&weights.path)),
        }
    }
}
