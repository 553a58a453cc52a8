//! The best network of a run so far, and how long there has been no better one. Both are in the run's checkpoints, the network
//! too, so that a run which goes on from any of them goes on with the best of then.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::checkpoint::header::{BEST, PATIENCE};
use crate::checkpoint::state::{BEST_PREFIX, Tensors, wrong_config};
use crate::checkpoint::{Best, Measure, Signature};
use crate::models::NetworkDescription;
use crate::report::{BestScore, Figure, Notice, counted};
use crate::run::{Run, Snapshot, Timetable};

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
    pub fn of<C: Serialize>(run: &mut Run<C>, measure: Option<Measure>, patience: u64) -> anyhow::Result<Option<Self>> {
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
        let (own, rest): (Tensors, Tensors) = state
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.clone()))
            .partition(|(name, _)| name.starts_with(BEST_PREFIX));
        self.tensors = own.into_iter().map(|(name, tensor)| (name[BEST_PREFIX.len()..].to_string(), tensor)).collect();
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
                format!(
                    "step {step}: {name} {last}; {since} without a new best, {} at step {}{is_over}",
                    best.score, best.step
                )
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
    pub fn save_in(
        &self,
        snapshot: &mut Snapshot,
        name: &'static str,
        network: NetworkDescription,
    ) -> anyhow::Result<()> {
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
    tensors.iter().map(|(name, tensor)| (format!("{BEST_PREFIX}{name}"), tensor.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn new(measure: Measure, patience: u64) -> BestSoFar {
        let (best, tensors, waited, last) = (None, Tensors::new(), Waited::default(), None);
        BestSoFar { measure, patience, best, tensors, waited, last }
    }

    #[test]
    fn the_best_is_a_copy_of_the_network_as_it_was() {
        let variable = Var::new(&[1f32, 2.0], &Device::Cpu).unwrap();
        let network = Tensors::from([("0.weight".to_string(), variable.as_detached_tensor())]);
        let mut best = new(Measure::Frechet, 0);
        best.observe(10, 3.0, true, &network).unwrap();
        variable.set(&Tensor::new(&[5f32, 6.0], &Device::Cpu).unwrap()).unwrap();
        best.observe(20, 4.0, true, &network).unwrap();
        assert_eq!(best.tensors["0.weight"].to_vec1::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(best.words(20), "step 20: frechet 4; 1 evaluation without a new best, 3 at step 10");
        best.observe(30, 2.5, true, &network).unwrap();
        assert_eq!(best.tensors["0.weight"].to_vec1::<f32>().unwrap(), [5.0, 6.0]);
        assert_eq!(best.words(30), "step 30: frechet 2.5, the best so far");

        // As a checkpoint has it, beside what else is in there.
        let other = Tensors::from([("generator.0.weight".to_string(), variable.as_detached_tensor())]);
        let state = best.with_room(other.clone(), &best.tensors);
        let expected = Signature::from([("0.weight".to_string(), (vec![2], candle_core::DType::F32))]);
        let mut restored = BestSoFar { best: best.best, ..new(Measure::Frechet, 0) };
        assert_eq!(restored.restore(&state, &expected).unwrap().keys().collect::<Vec<_>>(), ["generator.0.weight"]);
        assert_eq!(restored.tensors["0.weight"].to_vec1::<f32>().unwrap(), [5.0, 6.0]);
        let is_refused = |best: Option<Best>, state: &Tensors, expected: &Signature| {
            BestSoFar { best, ..new(Measure::Frechet, 0) }.restore(state, expected).is_err()
        };
        assert!(is_refused(best.best, &other, &expected), "the network is missing");
        assert!(is_refused(None, &state, &expected), "nobody says what it is");
        assert!(is_refused(best.best, &state, &Signature::new()), "another network");
    }

    #[test]
    fn patience_ends_with_evaluations_in_a_row_that_are_no_better_or_no_number() {
        let mut best = new(Measure::Coverage, 2);
        let mut seen = |step, score, is_due| {
            best.observe(step, score, is_due, &Tensors::new()).unwrap();
            (best.record().map(|best| best.best_step), best.is_over())
        };
        assert_eq!(seen(1, f64::NAN, true), (None, false));
        assert_eq!(seen(2, 0.5, true), (Some(2), false), "counted from the best on");
        assert_eq!(seen(3, 0.5, true), (Some(2), false));
        assert_eq!(seen(4, 0.4, false), (Some(2), false), "the last of a shorter run does not count");
        assert_eq!(seen(5, f64::INFINITY, true), (Some(2), true));
        let mut patient = new(Measure::Knn, 0);
        for step in 0..100 {
            patient.observe(step, 0.1, true, &Tensors::new()).unwrap();
        }
        assert!(!patient.is_over());
    }
}
