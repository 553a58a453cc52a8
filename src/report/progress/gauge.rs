//! What all progress has in common: a bar on a terminal, plain lines elsewhere, and when these are due.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::report::console::{Console, ProgressMode, locked};
use crate::report::layout::{LinePart, duration, joined, progress_line};

/// Draws a second: enough to look alive.
const DRAWS_A_SECOND: u8 = 12;
/// Plain lines come after a tenth of the work or after so long, ...
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// ... or, so that a long run's log stays short, after this part of the time it has taken so far.
const LINE_PART: u32 = 20;

/// What a line says beside the bar.
pub(super) trait Describe: Clone + Send + 'static {
    fn parts(&self, pace: Pace) -> Vec<LinePart>;
}

/// How fast the bar moves; a plain line knows the time left alone.
#[derive(Clone, Copy, Default)]
pub(super) struct Pace {
    pub position: u64,
    /// Units a second, smoothed over about 15 seconds.
    pub per_second: Option<f64>,
    pub left: Option<Duration>,
}

impl Pace {
    fn of(state: &ProgressState) -> Self {
        let per_second = Some(state.per_sec()).filter(|rate| rate.is_normal());
        // Before the first steps indicatif says 0; and a century is no estimate.
        let left = Some(state.eta()).filter(|left| (1..3_000_000_000).contains(&left.as_secs()));
        Self { position: state.pos(), per_second, left: left.filter(|_| per_second.is_some()) }
    }

    pub fn left(&self) -> String {
        self.left.map(|left| format!("{} left", duration(left))).unwrap_or_default()
    }
}

/// The common part: a position below a length, and a text about it.
pub(super) struct Gauge<T: Describe> {
    pub console: Console,
    /// Shared with the bar, which asks for its text whenever it draws.
    pub text: Arc<Mutex<T>>,
    pub display: Display,
}

pub(super) enum Display {
    Bar(ProgressBar),
    Lines(Mutex<Pauses>),
    Silent,
}

impl<T: Describe> Gauge<T> {
    pub fn new(console: &Console, length: Option<u64>, text: T) -> Self {
        let text = Arc::new(Mutex::new(text));
        let display = match console.progress_mode() {
            ProgressMode::Bar => Display::Bar(new_bar(console, length, text.clone())),
            ProgressMode::Lines => Display::Lines(Mutex::new(Pauses::starting(Instant::now()))),
            ProgressMode::Silent => Display::Silent,
        };
        Self { console: console.clone(), text, display }
    }

    /// Writes a plain line if one is due.
    pub fn line(&self, position: u64, length: Option<u64>, by_tenths: bool) {
        let Display::Lines(pauses) = &self.display else { return };
        let (now, mut pauses) = (Instant::now(), locked(pauses));
        if pauses.due(now, position, length, by_tenths) {
            let left = length.and_then(|length| pauses.left(now, position, length));
            let pace = Pace { position, left, ..Pace::default() };
            self.console.message(&joined(&locked(&self.text).clone().parts(pace)));
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

pub(super) fn new_bar<T: Describe>(console: &Console, length: Option<u64>, text: Arc<Mutex<T>>) -> ProgressBar {
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
pub(super) struct Pauses {
    start: Instant,
    pub last: Option<(Instant, u64)>,
}

impl Pauses {
    pub fn starting(start: Instant) -> Self {
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

    /// How long the rest takes at the rate until now; `None` where nothing tells it, or less than a second.
    fn left(&self, now: Instant, position: u64, length: u64) -> Option<Duration> {
        let seconds = (now - self.start).as_secs_f64() * length.saturating_sub(position) as f64 / position as f64;
        (seconds >= 1.0).then(|| Duration::try_from_secs_f64(seconds).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let left = |seconds, position| pauses.left(after(seconds), position, 1000).map(|left| left.as_secs());
        assert_eq!([left(0, 10), left(5, 0), left(30, 250), left(9, 1000)], [None, None, Some(90), None]);
        let mut items = Pauses::starting(start);
        assert!(!items.due(after(1), 64, Some(64), false), "nothing to say of what is done at once");
        assert!(items.due(after(11), 65, Some(100), false));
    }
}
