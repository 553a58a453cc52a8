//! How far the work has come: one line drawn over and over on a terminal, a plain line now and then elsewhere.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::report::console::{Console, ProgressMode, locked};
use crate::report::layout::{Part, bytes, duration, joined, loss, part, progress_line, rate};
use crate::report::numbers::percent;

/// Draws a second: enough to look alive.
const DRAWS_A_SECOND: u8 = 12;
/// Plain lines come after a tenth of the work or after so long, ...
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// ... or, so that a long run's log stays short, after this part of the time it has taken so far.
const LINE_PART: u32 = 20;

/// What a line says beside the bar.
trait Describe: Clone + Send + 'static {
    fn parts(&self, pace: Pace) -> Vec<Part>;
}

/// How fast the bar moves; unknown in plain lines.
#[derive(Clone, Copy, Default)]
struct Pace {
    position: u64,
    /// Units a second, smoothed over about 15 seconds.
    per_second: Option<f64>,
    left: Option<Duration>,
}

impl Pace {
    fn of(state: &ProgressState) -> Self {
        let per_second = Some(state.per_sec()).filter(|rate| rate.is_normal());
        // Before the first steps indicatif says 0; and a century is no estimate.
        let left = Some(state.eta()).filter(|left| (1..3_000_000_000).contains(&left.as_secs()));
        Self { position: state.pos(), per_second, left: left.filter(|_| per_second.is_some()) }
    }

    fn left(&self) -> String {
        self.left.map(|left| format!("{} left", duration(left))).unwrap_or_default()
    }
}

/// The common part: a position below a length, and a text about it.
struct Gauge<T: Describe> {
    console: Console,
    /// Shared with the bar, which asks for its text whenever it draws.
    text: Arc<Mutex<T>>,
    display: Display,
}

enum Display {
    Bar(ProgressBar),
    Lines(Mutex<Pauses>),
    Silent,
}

impl<T: Describe> Gauge<T> {
    fn new(console: &Console, length: Option<u64>, text: T) -> Self {
        let text = Arc::new(Mutex::new(text));
        let display = match console.progress_mode() {
            ProgressMode::Bar => Display::Bar(new_bar(console, length, text.clone())),
            ProgressMode::Lines => Display::Lines(Mutex::new(Pauses::starting(Instant::now()))),
            ProgressMode::Silent => Display::Silent,
        };
        Self { console: console.clone(), text, display }
    }

    /// Writes a plain line if one is due.
    fn line(&self, position: u64, length: Option<u64>, by_tenths: bool) {
        if let Display::Lines(pauses) = &self.display
            && locked(pauses).due(Instant::now(), position, length, by_tenths)
        {
            self.console.message(&joined(&locked(&self.text).clone().parts(Pace { position, ..Pace::default() })));
        }
    }
}

impl<T: Describe> Drop for Gauge<T> {
    fn drop(&mut self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}

fn new_bar<T: Describe>(console: &Console, length: Option<u64>, text: Arc<Mutex<T>>) -> ProgressBar {
    let colours = console.colours();
    let line = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let text = locked(&text).clone();
        let fraction = state.len().map(|length| state.pos() as f64 / length.max(1) as f64);
        // A formatter into memory does not fail.
        let _ = out.write_str(&progress_line(fraction, text.parts(Pace::of(state)), Console::columns(), colours));
    };
    let style = ProgressStyle::default_bar().template("{line}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(DRAWS_A_SECOND))
        .with_style(style.with_key("line", line));
    console.show(&bar);
    bar.tick();
    bar
}

/// When the last plain line was written.
struct Pauses {
    start: Instant,
    last: Option<(Instant, u64)>,
}

impl Pauses {
    fn starting(start: Instant) -> Self {
        Self { start, last: None }
    }

    /// Whether a line is due at `position`; counts it as written if so. `by_tenths`: the first line is due at once, and
    /// each tenth of the length brings another.
    fn due(&mut self, now: Instant, position: u64, length: Option<u64>, by_tenths: bool) -> bool {
        let (since, from) = self.last.unwrap_or((self.start, 0));
        let pause = LINE_INTERVAL.max((now - self.start) / LINE_PART);
        let tenth = length.is_some_and(|length| position.saturating_sub(from) >= length.div_ceil(10).max(1));
        let done = length.is_some_and(|length| position >= length) && from < position;
        let due = now - since >= pause || (by_tenths && (self.last.is_none() || tenth || done));
        if due {
            self.last = Some((now, position));
        }
        due
    }
}

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
    pub images_per_second: f64,
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
    fn parts(&self, pace: Pace) -> Vec<Part> {
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
            parts.push(part(4, format!("{} images/s", rate(status.images_per_second))));
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
    pub(super) fn new(console: &Console, first_step: u64, last_step: u64) -> Self {
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

#[derive(Clone, Default)]
struct BytesText {
    name: String,
    total: Option<u64>,
}

impl Describe for BytesText {
    fn parts(&self, pace: Pace) -> Vec<Part> {
        let per_second = pace.per_second.map(|rate| format!("{}/s", bytes(rate as u64, None)));
        vec![
            part(2, self.name.clone()),
            part(0, bytes(pace.position, self.total)),
            part(3, per_second.unwrap_or_default()),
            part(1, pace.left()),
        ]
    }
}

/// Progress of downloads, one after another. Off the terminal when dropped.
pub struct BytesProgress {
    gauge: Gauge<BytesText>,
}

impl BytesProgress {
    pub(super) fn new(console: &Console) -> Self {
        Self { gauge: Gauge::new(console, None, BytesText::default()) }
    }

    /// `done` bytes of `name` are there, out of `total` where the server said so.
    pub fn update(&self, name: &str, done: u64, total: Option<u64>) {
        let mut text = locked(&self.gauge.text);
        let new = text.name != name;
        if new {
            *text = BytesText { name: name.to_owned(), total };
        }
        text.total = total;
        drop(text); // the bar takes the same lock when it draws
        match &self.gauge.display {
            Display::Bar(bar) => {
                match total {
                    Some(total) => bar.set_length(total),
                    None => bar.unset_length(),
                }
                bar.set_position(done);
                if new {
                    bar.reset_eta(); // what a resumed download already has says nothing of its speed
                }
            }
            Display::Lines(pauses) => {
                if new {
                    *locked(pauses) = Pauses::starting(Instant::now());
                }
                self.gauge.line(done, total, false);
            }
            Display::Silent => {}
        }
    }
}

#[derive(Clone)]
struct ItemsText {
    what: String,
    total: u64,
}

impl Describe for ItemsText {
    fn parts(&self, pace: Pace) -> Vec<Part> {
        let digits = self.total.to_string().len();
        vec![
            part(0, format!("{:>digits$}/{}", pace.position, self.total)),
            part(1, self.what.clone()),
            part(3, pace.per_second.map(|each| format!("{}/s", rate(each))).unwrap_or_default()),
            part(2, pace.left()),
        ]
    }
}

/// Progress of making many things. Off the terminal when dropped; plain lines only where it takes long.
pub struct ItemsProgress {
    gauge: Gauge<ItemsText>,
    total: u64,
}

impl ItemsProgress {
    pub(super) fn new(console: &Console, what: &str, total: u64) -> Self {
        Self { gauge: Gauge::new(console, Some(total), ItemsText { what: what.to_owned(), total }), total }
    }

    /// `done` of them are made.
    pub fn set(&self, done: u64) {
        if let Display::Bar(bar) = &self.gauge.display {
            bar.set_position(done);
        }
        self.gauge.line(done, Some(self.total), false);
    }

    /// Takes the bar off the terminal.
    pub fn finish(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_figures_outlive_the_others() {
        let figures = vec![
            Figure::Plain("loss", 4.2714),
            Figure::Percent("kNN", 0.4531),
            Figure::Plain("alignment", 0.31),
            Figure::Plain("uniformity", -2.5),
        ];
        let status = TrainingStatus { step: 1250, epoch: 4, epochs: Some(10), figures, images_per_second: 212.0 };
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

    #[test]
    fn plain_lines_come_first_by_tenths_by_time_and_last() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let mut pauses = Pauses::starting(start);
        assert!(pauses.due(start, 10, Some(1000), true), "the first");
        assert!(!pauses.due(after(1), 20, Some(1000), true), "too soon");
        assert!(pauses.due(after(2), 110, Some(1000), true), "a tenth");
        assert!(pauses.due(after(12), 120, Some(1000), true), "ten seconds");
        assert!(pauses.due(after(13), 1000, Some(1000), true), "the last");
        let mut long = Pauses { start, last: Some((after(3600), 0)) };
        assert!(!long.due(after(3700), 1, None, true), "after an hour, pauses of three minutes");
        assert!(long.due(after(3800), 1, None, true));
        let mut items = Pauses::starting(start);
        assert!(!items.due(after(1), 64, Some(64), false), "nothing to say of what is done at once");
        assert!(items.due(after(11), 65, Some(100), false));
    }
}
