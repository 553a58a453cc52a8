//! Watches a GAN in training and says in one line what is going wrong and why.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::checkpoint::header::number_or_null;
use crate::losses::adversarial::AdversarialLoss;

/// How many logged steps in a row must look ill before anything is said: 500 steps at ten steps a line.
const WINDOW: usize = 50;

/// D's loss above this share of the chance level is "cannot tell", below [`WON`] is "wins outright".
const BLIND: f32 = 0.9;
const WON: f32 = 0.05;

/// G's loss has fallen when it is below this share of what it began with.
const FALLEN: f32 = 0.7;

/// Fakes are alike when the nearest of them are closer than this share of the nearest real images. A healthy fully
/// connected GAN begins so too, with one blur, and is at a tenth after 500 steps; but there it rises, and a collapse
/// does not: it is reported only where the second half of the window is no better than the first by this factor.
const ALIKE: f32 = 0.15;
const RISING: f32 = 1.2;

/// What is seen of a run at a logged step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepStats {
    #[serde(deserialize_with = "number_or_null")]
    pub d_loss: f32,
    #[serde(deserialize_with = "number_or_null")]
    pub g_loss: f32,
    /// [`variety`] of the fakes over that of the real images.
    #[serde(deserialize_with = "number_or_null")]
    pub relative_variety: f32,
}

/// One thing that goes wrong with GANs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// D's loss is flat and high from the start while G's falls.
    BlindDiscriminator,
    /// D tells real from fake without error.
    DiscriminatorWins,
    /// The fakes are nearly all alike.
    Collapse,
}

impl Warning {
    const ALL: [Self; 3] = [Self::DiscriminatorWins, Self::Collapse, Self::BlindDiscriminator];
}

/// What the rules need of the history of a run: part of its checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    first: Option<StepStats>,
    /// The last [`WINDOW`].
    recent: VecDeque<StepStats>,
    /// Whether D's loss was ever low, or nobody knows.
    has_learnt: bool,
    #[serde(rename = "told")]
    reported: Vec<Warning>,
}

impl History {
    /// Of a run whose checkpoint does not have it: nothing is known of its start.
    pub fn unknown() -> Self {
        Self { has_learnt: true, ..Self::default() }
    }
}

/// Watches a run.
#[derive(Debug)]
pub struct HealthWatch {
    /// None where D's loss says nothing by itself.
    chance_level: Option<f32>,
    /// The least loss that D can have.
    least: f32,
    history: History,
}

impl HealthWatch {
    pub fn new(loss: AdversarialLoss, label_smoothing: f64, history: History) -> Self {
        let least = loss.least(label_smoothing) as f32;
        Self { chance_level: loss.chance_level(), least, history }
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// Takes a logged step in; returns what has gone wrong, each warning once a run, and a line that says it.
    pub fn observe(&mut self, stats: StepStats) -> Option<(Warning, String)> {
        let history = &mut self.history;
        let first = *history.first.get_or_insert(stats);
        history.has_learnt |=
            stats.d_loss.is_nan() || self.chance_level.is_none_or(|chance| stats.d_loss <= BLIND * chance);
        history.recent.push_back(stats);
        if history.recent.len() > WINDOW {
            history.recent.pop_front();
        }
        let unreported = Warning::ALL.into_iter().filter(|warning| !self.history.reported.contains(warning));
        let warning = unreported.into_iter().find(|warning| self.is_active(*warning, first, stats))?;
        self.history.reported.push(warning);
        Some((warning, self.describe(warning, first, stats)))
    }

    fn is_active(&self, warning: Warning, first: StepStats, last: StepStats) -> bool {
        let recent = &self.history.recent;
        if recent.len() < WINDOW {
            return false;
        }
        match warning {
            Warning::DiscriminatorWins => self
                .chance_level
                .is_some_and(|chance| recent.iter().all(|stats| stats.d_loss - self.least < WON * chance)),
            Warning::Collapse => {
                let variety = |stats: &StepStats| stats.relative_variety;
                let before: f32 = recent.iter().take(WINDOW / 2).map(variety).sum();
                let now: f32 = recent.iter().skip(WINDOW / 2).map(variety).sum();
                recent.iter().all(|stats| stats.relative_variety < ALIKE) && now <= RISING * before
            }
            Warning::BlindDiscriminator => {
                // A signed loss (minimax) falls when it goes down by as much.
                !self.history.has_learnt && last.g_loss < first.g_loss - (1.0 - FALLEN) * first.g_loss.abs()
            }
        }
    }

    fn describe(&self, warning: Warning, first: StepStats, last: StepStats) -> String {
        match warning {
            Warning::BlindDiscriminator => format!(
                "D cannot tell real from fake: its loss has been high since the start ({:.2}, chance is {:.2}) while \
                 G's fell from {:.2} to {:.2}, which so means nothing; raise D's learning rate or look at the data",
                last.d_loss,
                self.chance_level.unwrap_or(f32::NAN),
                first.g_loss,
                last.g_loss
            ),
            Warning::DiscriminatorWins => format!(
                "D wins outright: its loss is {:.1e} and it tells real from fake without error, so G's gradient is \
                 nearly gone (G's loss {:.2}); lower D's learning rate, or use the loss bce or ls",
                last.d_loss, last.g_loss
            ),
            Warning::Collapse => format!(
                "the generator has collapsed: its fakes are nearly all alike (variety {:.2} of the real images'); \
                 lower the learning rate, or begin again with another seed",
                last.relative_variety
            ),
        }
    }
}

/// How much the images of a batch differ: the mean over the images of the distance to the nearest other image.
/// `images` holds (N, `stride`) values. At most 64 images are looked at, which is enough to see a collapse, whether
/// to one image or to a few.
pub fn variety(images: &[f32], stride: usize) -> f32 {
    let images: Vec<&[f32]> = images.chunks_exact(stride).take(64).collect();
    if images.len() < 2 {
        return f32::NAN;
    }
    let mut nearest = vec![f32::INFINITY; images.len()];
    for i in 0..images.len() {
        for j in 0..i {
            let d = square_distance(images[i], images[j]);
            nearest[i] = nearest[i].min(d);
            nearest[j] = nearest[j].min(d);
        }
    }
    nearest.iter().map(|d| d.sqrt()).sum::<f32>() / nearest.len() as f32
}

/// In several sums: one alone, each addition waiting for the one before, took a hundredth of a vanilla GAN's step.
fn square_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    let ((a, last_of_a), (b, last_of_b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let square = |(a, b): (&f32, &f32)| (a - b) * (a - b);
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, pair)| *sum += square(pair));
    }
    sums.iter().sum::<f32>() + last_of_a.iter().zip(last_of_b).map(square).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(loss: AdversarialLoss, history: impl Iterator<Item = (f32, f32, f32)>) -> Vec<Warning> {
        let mut watch = HealthWatch::new(loss, 0.0, History::default());
        let mut resumed = HealthWatch::new(loss, 0.0, History::default());
        let mut reported = Vec::new();
        for (d_loss, g_loss, relative_variety) in history {
            let stats = StepStats { d_loss, g_loss, relative_variety };
            let seen = watch.observe(stats);
            assert_eq!(resumed.observe(stats), seen, "resumed at every step");
            reported.extend(seen.map(|(warning, _)| warning));
            let saved = serde_json::to_string(resumed.history()).unwrap();
            assert!(saved.len() < 10_000, "its size has a bound");
            resumed = HealthWatch::new(loss, 0.0, serde_json::from_str(&saved).unwrap());
        }
        reported
    }

    #[test]
    fn a_healthy_run_is_left_in_peace() {
        let steps = 0..200;
        assert!(watch(AdversarialLoss::Bce, steps.clone().map(|i| (1.3 - 0.2 * (i % 3) as f32, 0.8, 0.7))).is_empty());
        // the course's least-squares run: 0.57 and 0.51 at first, 0.22 and 0.16 later
        let ls = steps.map(|i| if i < 5 { (0.57, 0.51, 0.1) } else { (0.22, 0.16, 0.7) });
        assert!(watch(AdversarialLoss::Ls, ls).is_empty());
        // one blur at first, as real runs of both fully connected GANs on MNIST begin
        let blur = (0..200).map(|i| (1.3, 0.8, (0.02 + 0.002 * i as f32).min(0.6)));
        assert!(watch(AdversarialLoss::Bce, blur.map(|(d, g, v)| (d - 0.2, g, v))).is_empty());
    }

    #[test]
    fn each_warning_is_reported_once() {
        let blind = (0..100).map(|i| (1.4, 0.7 - 0.006 * i as f32, 0.7));
        assert_eq!(watch(AdversarialLoss::Bce, blind), [Warning::BlindDiscriminator]);
        assert_eq!(watch(AdversarialLoss::Bce, (0..100).map(|_| (1e-3, 9.0, 0.7))), [Warning::DiscriminatorWins]);
        assert_eq!(watch(AdversarialLoss::Ls, (0..100).map(|_| (0.2, 0.2, 0.01))), [Warning::Collapse]);
        assert_eq!(
            watch(AdversarialLoss::Relativistic, (0..100).map(|_| (1e-3, 9.0, 0.7))),
            [Warning::DiscriminatorWins]
        );
    }

    /// A distance has neither a least value nor one of chance.
    #[test]
    fn of_a_wasserstein_distance_only_the_images_are_judged() {
        for d_loss in [-80.0, 0.0, 1e-3, 3.0] {
            let steps = (0..100).map(|i| (d_loss, 9.0 - 0.1 * i as f32, 0.7));
            assert_eq!(watch(AdversarialLoss::WganGp, steps), []);
        }
        assert_eq!(watch(AdversarialLoss::WganGp, (0..100).map(|_| (-5.0, 0.2, 0.01))), [Warning::Collapse]);
    }

    #[test]
    fn who_does_not_know_the_start_does_not_speak_of_it() {
        let mut watch = HealthWatch::new(AdversarialLoss::Bce, 0.0, History::unknown());
        for i in 0..100 {
            let reported =
                watch.observe(StepStats { d_loss: 1.4, g_loss: 0.7 - 0.006 * i as f32, relative_variety: 0.7 });
            assert_eq!(reported, None);
        }
    }

    #[test]
    fn variety_sees_copies_of_one_and_of_a_few() {
        let few: Vec<f32> = (0..32).flat_map(|i| [(i % 3) as f32, 5.0]).collect();
        assert_eq!(variety(&few, 2), 0.0);
        let line: Vec<f32> = (0..10).flat_map(|i| [i as f32, 0.0]).collect();
        assert_eq!(variety(&line, 2), 1.0);
    }
}
