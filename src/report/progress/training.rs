//! The progress of a training run: its steps and the figures of the last logged one.

use super::gauge::{Describe, Display, Gauge, Pace, new_bar};
use crate::report::console::{Console, ProgressMode, locked};
use crate::report::layout::{LinePart, joined, loss, part, rate};
use crate::report::numbers::percent;

/// A number beside the bar, under its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    /// Written as losses are: `D 1.271`
    Plain(&'static str, f64),
    /// A fraction of 1: `kNN 45.3 %`
    Percent(&'static str, f64),
}

impl Figure {
    fn text(&self) -> String {
        match *self {
            Self::Plain(name, value) => format!("{name} {}", loss(value)),
            Self::Percent(name, fraction) => format!("{name} {}", percent(fraction)),
        }
    }
}

/// So many figures stay where a line is narrow; those after them are the first to go.
const MAIN_FIGURES: usize = 2;

/// What a training run has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingStatus {
    /// Steps done.
    pub step: u64,
    pub epoch: u64,
    /// How many epochs there will be, where the run is counted in epochs.
    pub epochs: Option<u64>,
    /// The figures of this kind of training, the most telling first.
    pub figures: Vec<Figure>,
    /// Where images are what it reads.
    pub images_per_second: Option<f64>,
}

#[derive(Clone)]
struct TrainingText {
    first_step: u64,
    last_step: u64,
    status: Option<TrainingStatus>,
    /// Plain lines name the step, which a bar need not.
    plain: bool,
}

impl Describe for TrainingText {
    fn parts(&self, pace: Pace) -> Vec<LinePart> {
        let step = self.first_step + pace.position;
        let digits = self.last_step.to_string().len();
        let mut parts = vec![match self.plain {
            true => part(0, format!("step {step}/{}", self.last_step)),
            false => part(0, format!("{step:>digits$}/{}", self.last_step)),
        }];
        if let Some(status) = &self.status {
            let epochs = status.epochs.map(|epochs| format!("/{epochs}")).unwrap_or_default();
            parts.push(part(3, format!("epoch {}{epochs}", status.epoch)));
            for (index, figure) in status.figures.iter().enumerate() {
                parts.push(part(if index < MAIN_FIGURES { 1 } else { 5 }, figure.text()));
            }
            parts.extend(status.images_per_second.map(|images| part(4, format!("{} images/s", rate(images)))));
        }
        parts.push(part(2, pace.left()));
        parts
    }
}

/// Progress of a training run. Off the terminal when dropped.
pub struct TrainingProgress {
    gauge: Gauge<TrainingText>,
    first_step: u64,
    last_step: u64,
}

impl TrainingProgress {
    pub(in crate::report) fn new(console: &Console, first_step: u64, last_step: u64) -> Self {
        let plain = console.progress_mode() != ProgressMode::Bar;
        let text = TrainingText { first_step, last_step, status: None, plain };
        let gauge = Gauge::new(console, Some(last_step.saturating_sub(first_step)), text);
        Self { gauge, first_step, last_step }
    }

    /// `step` steps are done. Cheap: call it after every step.
    pub fn tick(&self, step: u64) {
        if let Display::Bar(bar) = &self.gauge.display {
            bar.set_position(step.saturating_sub(self.first_step));
        }
    }

    /// What the run has come to, at every logged step.
    pub fn report(&self, status: &TrainingStatus) {
        locked(&self.gauge.text).status = Some(status.clone());
        self.tick(status.step);
        self.gauge.line(self.position(status.step), Some(self.position(self.last_step)), true);
    }

    /// Puts the bar on the terminal again, at `step`, after another had its place, such as that of a measurement in
    /// between. The time left is estimated anew: the pause was none of the steps'.
    pub fn show_again(&mut self, step: u64) {
        if let Display::Bar(bar) = &self.gauge.display {
            let again = new_bar(&self.gauge.console, bar.length(), self.gauge.text.clone());
            again.set_position(self.position(step));
            again.reset_eta();
            self.gauge.display = Display::Bar(again);
        }
    }

    /// Takes the bar off the terminal; among plain lines, writes the last status if it was not due before.
    pub fn finish(self) {
        let Display::Lines(pauses) = &self.gauge.display else { return };
        let text = locked(&self.gauge.text).clone();
        let Some(status) = &text.status else { return };
        let position = self.position(status.step);
        if locked(pauses).last.is_none_or(|(_, written)| written < position) {
            self.gauge.console.message(&joined(&text.parts(Pace { position, ..Pace::default() })));
        }
    }

    fn position(&self, step: u64) -> u64 {
        step.saturating_sub(self.first_step)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::layout::progress_line;

    #[test]
    fn the_main_figures_outlive_the_others() {
        let figures = vec![
            Figure::Plain("loss", 4.2714),
            Figure::Percent("kNN", 0.4531),
            Figure::Plain("alignment", 0.31),
            Figure::Plain("uniformity", -2.5),
        ];
        let status = TrainingStatus { step: 1250, epoch: 4, epochs: Some(10), figures, images_per_second: Some(212.0) };
        let text = TrainingText { first_step: 0, last_step: 3900, status: Some(status), plain: false };
        let line = |width| {
            let pace = Pace { position: 1250, left: Some(Duration::from_secs(32)), ..Pace::default() };
            progress_line(Some(0.32), text.parts(pace), width, false)
        };
        assert!(line(120).ends_with(
            "1250/3900  epoch 4/10  loss 4.271  kNN 45.3 %  alignment 0.310  uniformity -2.500  212 images/s  0:32 left"
        ));
        assert!(line(90).ends_with(" 1250/3900  epoch 4/10  loss 4.271  kNN 45.3 %  212 images/s  0:32 left"));
        assert_eq!(line(60).trim_start_matches(['━', '╸', ' ']), "1250/3900  loss 4.271  kNN 45.3 %  0:32 left");
        assert_eq!(line(20).trim_start_matches(['━', '╸', ' ']), "1250/3900");
    }
}
