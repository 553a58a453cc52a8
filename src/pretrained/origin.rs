use std::path::PathBuf;

use super::recognise;
use super::trained_on::TrainedOn;
use crate::checkpoint::Weights;

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
}

impl Origin {
    pub(super) fn new(weights: &Weights, words: String) -> Self {
        Self {
            path: weights.path.clone(),
            words,
            data: recognise::data(&weights.metadata),
            trained_on: TrainedOn::of(&weights.metadata).map(|trained| trained.placed(&weights.path)),
        }
    }
}
