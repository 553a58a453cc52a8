//! The progress of making many things, such as samples.

use super::gauge::{Describe, Display, Gauge, Pace};
use crate::report::console::Console;
use crate::report::layout::{LinePart, part, rate};

#[derive(Clone)]
struct ItemsText {
    what: String,
    total: u64,
}

impl Describe for ItemsText {
    fn parts(&self, pace: Pace) -> Vec<LinePart> {
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
    pub(in crate::report) fn new(console: &Console, what: &str, total: u64) -> Self {
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
