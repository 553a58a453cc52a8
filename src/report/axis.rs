//! Axes: which values a chart shows, and where its ticks stand.

use crate::report::numbers::grouped;

/// The values from `low` to `high`, with `low < high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub low: f64,
    pub high: f64,
}

/// Values from less than this part of the highest are shown from 0.
const NEAR_ZERO: f64 = 0.35;

impl Range {
    /// A range that holds both ends, never empty.
    fn around(low: f64, high: f64) -> Self {
        if high > low {
            return Self { low, high };
        }
        let margin = if low == 0.0 { 0.5 } else { low.abs() * 0.1 };
        Self { low: low - margin, high: high + margin }
    }

    /// From the smallest to the largest of `values`, or 0 to 1 if there are none.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        if values.clone().next().is_none() {
            return Self { low: 0.0, high: 1.0 };
        }
        Self::around(values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
    }

    /// A range in which the bulk of all `curves` is told apart, however far a few spikes go.
    ///
    /// Only values of the outermost hundredth of a curve at either end (one value at least) may fall outside, and only
    /// those farther from the bulk than its own extent. Positive values that come near 0 are shown from 0.
    pub fn robust(curves: &[Vec<f64>]) -> Self {
        let trimmed = curves.iter().filter(|values| !values.is_empty()).flat_map(|values| {
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let cut = if sorted.len() < 8 { 0 } else { (sorted.len() / 100).max(1) };
            [sorted[cut], sorted[sorted.len() - 1 - cut]]
        });
        let bulk = Self::of(trimmed.collect::<Vec<_>>().into_iter());
        let room = bulk.high - bulk.low;
        let reach = Self { low: bulk.low - room, high: bulk.high + room };
        Self::of(curves.iter().flatten().copied().filter(|&value| reach.contains(value))).widened()
    }

    /// A range in which all values of all `curves` are shown.
    pub fn whole(curves: &[Vec<f64>]) -> Self {
        Self::of(curves.iter().flatten().copied()).widened()
    }

    /// With some room at both ends, or down to 0.
    fn widened(self) -> Self {
        let Self { mut low, mut high } = self;
        let margin = (high - low) * 0.06;
        low = if low >= 0.0 && low < NEAR_ZERO * high { 0.0 } else { low - margin };
        high += margin;
        Self { low, high }
    }

    pub fn clamp(&self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }

    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Where `value` lies: 0 at `low`, 1 at `high`.
    pub fn fraction(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Round values inside the range, about `count` of them, each with its label. `whole`: integers only.
    pub fn ticks(&self, count: usize, whole: bool) -> Vec<(f64, String)> {
        let raw = (self.high - self.low) / count as f64;
        let raw = if whole { raw.max(1.0) } else { raw };
        // Powers of ten by multiplication, not by logarithm: no machine rounds them differently.
        let (mut power, mut decimals) = (1.0f64, 0usize);
        while power > raw && decimals < 300 {
            power /= 10.0;
            decimals += 1;
        }
        while power * 10.0 <= raw {
            power *= 10.0;
        }
        let multiple = match raw / power {
            times if times <= 1.0 => 1.0,
            times if times <= 2.0 => 2.0,
            times if times <= 2.5 && !(whole && power < 10.0) => 2.5,
            times if times <= 5.0 => 5.0,
            _ => 10.0,
        };
        let step = power * multiple;
        if multiple == 10.0 {
            decimals = decimals.saturating_sub(1);
        } else if multiple == 2.5 && power < 10.0 {
            decimals += 1;
        }
        let first = (self.low / step - 1e-9).ceil();
        let mut ticks = Vec::new();
        for index in 0..=count * 3 {
            let value = (first + index as f64) * step;
            if value > self.high + step * 1e-9 {
                break;
            }
            ticks.push((value, label(value, decimals)));
        }
        ticks
    }
}

/// `1,250` or `0.25` or, where neither is readable, `2.5e7`.
fn label(value: f64, decimals: usize) -> String {
    let value = if value == 0.0 { 0.0 } else { value }; // no -0
    if decimals > 6 || value.abs() >= 1e9 {
        return format!("{value:.3e}").replace(".000e", "e").replace("00e", "e");
    }
    if decimals == 0 { grouped(value) } else { format!("{value:.decimals$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, count: usize) -> Vec<String> {
        Range { low, high }.ticks(count, false).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(labels(0.0, 1.5, 6), ["0.00", "0.25", "0.50", "0.75", "1.00", "1.25", "1.50"]);
        assert_eq!(labels(0.0, 3900.0, 8), ["0", "500", "1,000", "1,500", "2,000", "2,500", "3,000", "3,500"]);
        assert_eq!(labels(-1.0, 1.0, 4), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(labels(0.0, 20.0, 8), ["0.0", "2.5", "5.0", "7.5", "10.0", "12.5", "15.0", "17.5", "20.0"]);
        assert_eq!(labels(1.3861, 1.3865, 4), ["1.3861", "1.3862", "1.3863", "1.3864", "1.3865"]);
        assert_eq!(Range { low: 0.0, high: 3.0 }.ticks(8, true).len(), 4, "steps are whole numbers");
        assert!(labels(0.0, 1e30, 6).iter().all(|label| label.len() < 9));
        assert!(labels(0.0, 1e-30, 6).len() > 3);
    }

    #[test]
    fn one_spike_does_not_flatten_the_rest() {
        let mut losses: Vec<f64> = (0..50).map(|step| 0.8 + 0.01 * f64::from(step % 10)).collect();
        let calm = Range::robust(&[losses.clone()]);
        losses[20] = 1e4;
        let spiked = Range::robust(&[losses]);
        assert!(spiked.high < 1.0 && !spiked.contains(1e4), "{spiked:?} beside {calm:?}");
    }

    #[test]
    fn a_start_far_from_the_rest_is_shown() {
        let losses = vec![1.4, 1.2, 1.0, 0.8, 0.6, 0.5, 0.45, 0.4, 0.4, 0.38, 0.37, 0.36];
        assert!(Range::robust(&[losses]).contains(1.4));
    }

    #[test]
    fn flat_single_and_missing_values_have_a_range() {
        for curves in [vec![], vec![vec![]], vec![vec![0.0; 9]], vec![vec![1.5]], vec![vec![-2.0, -2.0]]] {
            let range = Range::robust(&curves);
            assert!(range.low < range.high, "{curves:?}: {range:?}");
            assert!(!range.ticks(6, false).is_empty());
        }
    }
}
