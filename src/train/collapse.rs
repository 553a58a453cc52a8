//! Watches SimCLR in training: does the loss learn anything, do the embeddings still differ?

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::checkpoint::header::number_or_null;

/// How many logged steps in a row must look ill before anything is said: 300 steps at ten steps a line.
const WINDOW: usize = 30;

/// Uniformity is 0 where all embeddings are one and about -3.9 where they fill the sphere. Above this they are nearly all
/// alike.
const ALIKE: f32 = -0.2;

/// A loss above this part of that of chance, log(2N - 1), has learnt nothing.
const CHANCE: f32 = 0.98;

/// What is seen of a run at a logged step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingStats {
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f32,
    #[serde(deserialize_with = "number_or_null")]
    pub uniformity: f32,
}

/// One thing that goes wrong with SimCLR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollapseWarning {
    /// All embeddings are nearly the same.
    Collapse,
    /// The embeddings differ, but the two views of an image are no nearer than any other two.
    NothingLearnt,
}

/// What the rules need of the history of a run: part of its checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CollapseHistory {
    /// The last [`WINDOW`].
    recent: VecDeque<EmbeddingStats>,
    #[serde(rename = "told")]
    reported: Vec<CollapseWarning>,
}

/// Watches a run.
#[derive(Debug)]
pub struct CollapseWatch {
    chance: f32,
    history: CollapseHistory,
}

impl CollapseWatch {
    /// For batches of `batch_size` images.
    pub fn new(batch_size: usize, history: CollapseHistory) -> Self {
        Self { chance: (2.0 * batch_size as f32 - 1.0).ln(), history }
    }

    pub fn history(&self) -> &CollapseHistory {
        &self.history
    }

    /// Takes a logged step in; returns what has gone wrong, each warning once a run, and a line that says it.
    pub fn observe(&mut self, stats: EmbeddingStats) -> Option<(CollapseWarning, String)> {
        let CollapseHistory { recent, reported } = &mut self.history;
        recent.push_back(stats);
        if recent.len() > WINDOW {
            recent.pop_front();
        }
        if recent.len() < WINDOW {
            return None;
        }
        let all = |ill: &dyn Fn(&EmbeddingStats) -> bool| recent.iter().all(ill);
        let warning = if all(&|stats| stats.uniformity > ALIKE) {
            CollapseWarning::Collapse
        } else if all(&|stats| stats.loss > CHANCE * self.chance) {
            CollapseWarning::NothingLearnt
        } else {
            return None;
        };
        if reported.contains(&warning) {
            return None;
        }
        reported.push(warning);
        let line = match warning {
            CollapseWarning::Collapse => format!(
                "the embeddings have collapsed: all views have nearly the same one (uniformity {:.2}, 0 is one point; \
                 loss {:.2}, chance is {:.2}); lower the learning rate or the weight decay, or raise the batch size",
                stats.uniformity, stats.loss, self.chance
            ),
            CollapseWarning::NothingLearnt => format!(
                "nothing is learnt: the loss stays at that of chance ({:.2} of {:.2}); lower the learning rate or \
                 the temperature, or look at the views",
                stats.loss, self.chance
            ),
        };
        Some((warning, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(history: impl Iterator<Item = (f32, f32)>) -> Vec<CollapseWarning> {
        let mut watch = CollapseWatch::new(64, CollapseHistory::default());
        let mut resumed = CollapseWatch::new(64, CollapseHistory::default());
        let mut reported = Vec::new();
        for (loss, uniformity) in history {
            let seen = watch.observe(EmbeddingStats { loss, uniformity });
            assert_eq!(resumed.observe(EmbeddingStats { loss, uniformity }), seen, "resumed at every step");
            reported.extend(seen.map(|(warning, _)| warning));
            let saved = serde_json::to_string(resumed.history()).unwrap();
            resumed = CollapseWatch::new(64, serde_json::from_str(&saved).unwrap());
        }
        reported
    }

    #[test]
    fn a_healthy_run_is_left_in_peace() {
        // begins at chance with embeddings close together, as real runs do, and leaves both
        let healthy = (0..100).map(|i| (4.84 - 0.01 * i as f32, -0.05 - 0.03 * i as f32));
        assert!(watch(healthy).is_empty());
    }

    #[test]
    fn each_warning_is_reported_once() {
        assert_eq!(watch((0..100).map(|_| (4.84, -0.01))), [CollapseWarning::Collapse]);
        assert_eq!(watch((0..100).map(|_| (4.83, -2.0))), [CollapseWarning::NothingLearnt]);
    }
}
