//! The best network of a run so far, and how long there has been no better one. Both are in the run's checkpoints, the network
//! too, so that a run which goes on from any of them goes on with the best of then.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::checkpoint::header::{BEST, PATIENCE};
use crate::checkpoint::state::{Tensors, wrong_config};
use crate::checkpoint::{Best, Measure, Signature};
use crate::models::NetworkDescription;
use crate::report::{BestScore, Figure, Notice, counted};
use crate::run::{Run, Snapshot, Timetable};

/// What the names of its tensors begin with in a checkpoint.
const PREFIX: &str = "best.";

/// Keeps the best network of a run.
pub struct BestSoFar {
    measure: Measure,
    /// So many evaluations without a new best end the run; 0: none do.
    patience: u64,
    best: Option<Best>,
    /// The network of then; of the process that writes.
    tensors: Tensors,
    waited: Waited,
    /// The score of the last evaluation, in this process.
    last: Option<f32>,
}

/// How long there has been no new best: the header entry [`PATIENCE`] of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Waited {
    /// Evaluations since the best one.
    evaluations: u64,
    /// Whether that has ended the run.
    is_over: bool,
}

/// The best network of a run, for use.
pub struct BestNetwork {
    /// Of its file.
    pub name: &'static str,
    /// What it is.
    pub network: NetworkDescription,
    /// Which one it is, with its tensors; `None` while there is none.
    pub kept: Option<(Best, Tensors)>,
}

impl BestSoFar {
    /// As `run` was left; `None` where it keeps none. A run that has ended for want of a better network goes on, with all its
    /// patience, where it has been given another end since.
    ///
    /// # Errors
    /// As [`Run::saved`].
    pub fn of<C: Serialize>(
        run: &mut Run<C>,
        measure: Option<Measure>,
        patience: u64,
    ) -> anyhow::Result<Option<Self>> {
        let Some(measure) = measure else { return Ok(None) };
        let best: Option<Best> = run.saved(BEST)?;
        let mut waited: Waited = run.saved(PATIENCE)?.unwrap_or_default();
        if waited.is_over {
            let (name, step) = (&run.directory.name, run.step());
            let since = match best {
                Some(best) => format!("{} since the best, {best}", counted(waited.evaluations, "evaluation")),
                None => format!("{} without a score that is a number", counted(waited.evaluations, "evaluation")),
            };
            let end = if run.has_another_end()? {
                waited = Waited::default();
                "it goes on, and evaluations are counted anew"
            } else {
                "more steps or epochs or another patience go on with it"
            };
            run.notices.push(Notice::Note(format!("the run {name} had ended early, at step {step}: {since}; {end}")));
        }
        Ok(Some(Self { measure, patience, best, tensors: Tensors::new(), waited, last: None }))
    }

    /// Takes what is its own out of the `state` of a checkpoint, and hands back the rest. `expected` are the tensors of the
    /// network.
    ///
    /// # Errors
    /// [`crate::error::Error::Input`] where the checkpoint has another network, or none.
    pub fn restore(&mut self, state: &Tensors, expected: &Signature) -> anyhow::Result<Tensors> {
        let (own, rest): (Tensors, Tensors) =
            state.iter().map(|(name, tensor)| (name.clone(), tensor.clone())).partition(|(name, _)| name.starts_with(PREFIX));
        self.tensors = own.into_iter().map(|(name, tensor)| (name[PREFIX.len()..].to_string(), tensor)).collect();
        let described = |tensor: &Tensor| (tensor.dims().to_vec(), tensor.dtype());
        let found: Signature = self.tensors.iter().map(|(name, tensor)| (name.clone(), described(tensor))).collect();
        let is_whole = if self.best.is_some() { found == *expected } else { found.is_empty() };
        anyhow::ensure!(is_whole, wrong_config());
        Ok(rest)
    }

    /// `state`, that of a checkpoint, with as much more as the best `network` takes.
    pub fn with_room(&self, state: Tensors, network: &Tensors) -> Tensors {
        prefixed(network).chain(state).collect()
    }

    /// Until when the run goes on: as `timetable` says, or no further than to `step`, where it has ended early.
    pub fn timetable(&self, timetable: Timetable, step: u64) -> Timetable {
        if self.waited.is_over { Timetable { last_step: step, ..timetable } } else { timetable }
    }

    /// Takes note of the `score` of the network after `step` steps, whose tensors are copied where it is the best. One that is
    /// not `is_due` on the interval, but was made since the run is at its end, does not count as one without a new best: a run
    /// that is longer from the beginning does not have it.
    ///
    /// # Errors
    /// Where a tensor cannot be copied.
    pub fn observe(&mut self, step: u64, score: f64, is_due: bool, network: &Tensors) -> anyhow::Result<()> {
        let score = score as f32;
        self.last = Some(score);
        if score.is_finite() && self.best.is_none_or(|best| self.measure.is_better(score, best.score)) {
            // They share memory with the variables, which go on.
            let copied = network.iter().map(|(name, tensor)| Ok((name.clone(), tensor.copy()?)));
            self.tensors = copied.collect::<candle_core::Result<_>>()?;
            self.best = Some(Best { step, measure: self.measure, score });
            self.waited = Waited::default();
        } else if is_due {
            self.waited.evaluations += 1;
            self.waited.is_over = self.patience > 0 && self.waited.evaluations >= self.patience;
        }
        Ok(())
    }

    /// Whether the run has had patience for long enough.
    pub fn is_over(&self) -> bool {
        self.waited.is_over
    }

    /// What a record says of it.
    pub fn record(&self) -> Option<BestScore> {
        self.best.map(|best| BestScore { best_score: best.score, best_step: best.step })
    }

    /// The last score, and the best.
    pub fn figures(&self) -> Vec<Figure> {
        let figure = |name, score: f32| match self.measure {
            Measure::Frechet | Measure::Coverage => Figure::Plain(name, score.into()),
            Measure::Knn => Figure::Percent(name, score.into()),
        };
        let name = if self.measure == Measure::Knn { "kNN" } else { self.measure.name() };
        let last = self.last.map(|score| figure(name, score));
        last.into_iter().chain(self.best.map(|best| figure("best", best.score))).collect()
    }

    /// The last evaluation, after `step` steps, in words.
    pub fn words(&self, step: u64) -> String {
        let (name, last) = (self.measure.name(), self.last.unwrap_or(f32::NAN));
        let is_over = if self.waited.is_over { ": the run ends here" } else { "" };
        match self.best {
            Some(best) if best.step == step => format!("step {step}: {name} {last}, the best so far"),
            Some(best) => {
                let since = counted(self.waited.evaluations, "evaluation");
                format!("step {step}: {name} {last}; {since} without a new best, {} at step {}{is_over}", best.score, best.step)
            }
            None => format!("step {step}: {name} {last}; no best so far{is_over}"),
        }
    }

    /// What became of it, to be said at the end of a run.
    pub fn outcome(&self) -> String {
        self.best.map(|best| format!(", best {best}")).unwrap_or_default()
    }

    /// Adds it to a checkpoint and to the networks for use, as `name`, `network` being what it is.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn save_in(&self, snapshot: &mut Snapshot, name: &'static str, network: NetworkDescription) -> anyhow::Result<()> {
        snapshot.state.extend(prefixed(&self.tensors));
        snapshot.entries.push((PATIENCE, serde_json::to_string(&self.waited)?));
        if let Some(best) = &self.best {
            snapshot.entries.push((BEST, serde_json::to_string(best)?));
        }
        let kept = self.best.map(|best| (best, self.tensors.clone()));
        snapshot.best = Some(BestNetwork { name, network, kept });
        Ok(())
    }
}

fn prefixed(tensors: &BTreeMap<String, Tensor>) -> impl Iterator<Item = (String, Tensor)> {
    tensors.iter().map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor.clone()))
}
