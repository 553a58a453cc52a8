//! Watches SimCLR in training: does the loss learn anything, do the embeddings still differ?

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::report::records::number_or_null;

/// How many logged steps in a row must look ill before anything is said: 300 steps at ten steps a line.
const WINDOW: usize = 30;

/// Uniformity is 0 where all embeddings are one and about -3.9 where they fill the sphere. Above this they are nearly all
/// alike.
const ALIKE: f32 = -0.2;

/// A loss above this part of that of chance, log(2N - 1), has learnt nothing.
const CHANCE: f32 = 0.98;

/// What is seen of a run at a logged step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vitals {
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f32,
    #[serde(deserialize_with = "number_or_null")]
    pub uniformity: f32,
}

/// One thing that goes wrong with SimCLR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ailment {
    /// All embeddings are nearly the same.
    Collapse,
    /// The embeddings differ, but the two views of an image are no nearer than any other two.
    NothingLearnt,
}

/// What the rules need of the history of a run: part of its checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The last [`WINDOW`].
    recent: VecDeque<Vitals>,
    told: Vec<Ailment>,
}

/// Watches a run.
#[derive(Debug)]
pub struct CollapseWatch {
    chance: f32,
    history: History,
}

impl CollapseWatch {
    /// For batches of `batch_size` images.
    pub fn new(batch_size: usize, history: History) -> Self {
        Self { chance: (2.0 * batch_size as f32 - 1.0).ln(), history }
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// Takes a logged step in; returns what has gone wrong, each ailment once a run, and a line that says it.
    pub fn observe(&mut self, vitals: Vitals) -> Option<(Ailment, String)> {
        let History { recent, told } = &mut self.history;
        recent.push_back(vitals);
        if recent.len() > WINDOW {
            recent.pop_front();
        }
        if recent.len() < WINDOW {
            return None;
        }
        let all = |ill: &dyn Fn(&Vitals) -> bool| recent.iter().all(ill);
        let ailment = if all(&|vitals| vitals.uniformity > ALIKE) {
            Ailment::Collapse
        } else if all(&|vitals| vitals.loss > CHANCE * self.chance) {
            Ailment::NothingLearnt
        } else {
            return None;
        };
        if told.contains(&ailment) {
            return None;
        }
        told.push(ailment);
        let line = match ailment {
            Ailment::Collapse => format!(
                "the embeddings have collapsed: all views have nearly the same one (uniformity {:.2}, 0 is one point; \
                 loss {:.2}, chance is {:.2}); lower --lr or --weight-decay, or raise --batch-size",
                vitals.uniformity, vitals.loss, self.chance
            ),
            Ailment::NothingLearnt => format!(
                "nothing is learnt: the loss stays at that of chance ({:.2} of {:.2}); lower --lr or --temperature, or \
                 look at the views",
                vitals.loss, self.chance
            ),
        };
        Some((ailment, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(history: impl Iterator<Item = (f32, f32)>) -> Vec<Ailment> {
        let mut watch = CollapseWatch::new(64, History::default());
        let mut resumed = CollapseWatch::new(64, History::default());
        let mut told = Vec::new();
        for (loss, uniformity) in history {
            let seen = watch.observe(Vitals { loss, uniformity });
            assert_eq!(resumed.observe(Vitals { loss, uniformity }), seen, "resumed at every step");
            told.extend(seen.map(|(ailment, _)| ailment));
            let saved = serde_json::to_string(resumed.history()).unwrap();
            resumed = CollapseWatch::new(64, serde_json::from_str(&saved).unwrap());
        }
        told
    }

    #[test]
    fn a_healthy_run_is_left_in_peace() {
        // begins at chance with embeddings close together, as real runs do, and leaves both
        let healthy = (0..100).map(|i| (4.84 - 0.01 * i as f32, -0.05 - 0.03 * i as f32));
        assert!(watch(healthy).is_empty());
    }

    #[test]
    fn each_ailment_is_told_once() {
        assert_eq!(watch((0..100).map(|_| (4.84, -0.01))), [Ailment::Collapse]);
        assert_eq!(watch((0..100).map(|_| (4.83, -2.0))), [Ailment::NothingLearnt]);
    }
}
