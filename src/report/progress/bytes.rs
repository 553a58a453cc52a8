//! The progress of downloads.

use std::time::Instant;

use super::gauge::{Describe, Display, Gauge, Pace, Pauses};
use crate::report::console::{Console, locked};
use crate::report::layout::{LinePart, bytes, part};

#[derive(Clone, Default)]
struct BytesText {
    name: String,
    total: Option<u64>,
}

impl Describe for BytesText {
    fn parts(&self, pace: Pace) -> Vec<LinePart> {
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
    pub(in crate::report) fn new(console: &Console) -> Self {
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
