//! Progress lines that fit their terminal, and the figures in them.

use std::time::Duration;

use crate::report::numbers::grouped;

/// A loss in about five columns: `1.271`, `31.42`, `1.2e4`, `NaN`.
pub(super) fn loss(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.3}"),
        size if size < 100.0 => format!("{value:.2}"),
        size if size < 1000.0 => format!("{value:.1}"),
        size if size.is_finite() => format!("{value:.1e}"),
        _ => value.to_string(),
    }
}

/// A count a second: `7,214`, and with a decimal where few are made.
pub(super) fn rate(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { grouped(value) }
}

/// Minutes and seconds, `0:32`, or with hours, `1:02:07`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `done/total` in the total's unit, `4.2/9.9 MB`, or what is done where the total is not known.
pub(super) fn bytes(done: u64, total: Option<u64>) -> String {
    let (size, unit) = match total.unwrap_or(done) {
        0..10_000 => (1.0, "B"),
        10_000..1_000_000 => (1e3, "kB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        _ => (1e9, "GB"),
    };
    let decimals = if size == 1.0 { 0 } else { 1 };
    let amount = |bytes: u64| format!("{:.decimals$}", bytes as f64 / size);
    match total {
        Some(total) => format!("{}/{} {unit}", amount(done), amount(total)),
        None => format!("{} {unit}", amount(done)),
    }
}

/// A part of a progress line. Where the line is too long the part of the highest rank goes first; those of rank 0 stay.
pub(super) struct LinePart {
    pub rank: u8,
    pub text: String,
}

pub(super) fn part(rank: u8, text: String) -> LinePart {
    LinePart { rank, text }
}

/// Cells of a bar: fewer show nothing, more tell no more.
const BAR_CELLS: std::ops::RangeInclusive<usize> = 8..=30;

/// A line of at most `width` columns: a bar, if `fraction` is known and there is room, and as many `parts` as fit.
pub(super) fn progress_line(fraction: Option<f64>, mut parts: Vec<LinePart>, width: usize, colours: bool) -> String {
    let bar_room = if fraction.is_some() { BAR_CELLS.start() + 2 } else { 0 };
    while joined(&parts).chars().count() + bar_room > width {
        let Some(rank) = parts.iter().map(|part| part.rank).max().filter(|&rank| rank > 0) else { break };
        parts.retain(|part| part.rank < rank);
    }
    let text = joined(&parts);
    let free = width.saturating_sub(text.chars().count() + 2).min(*BAR_CELLS.end());
    match fraction {
        Some(fraction) if free >= *BAR_CELLS.start() => format!("{}  {text}", bar(fraction, free, colours)),
        _ => text.chars().take(width).collect(),
    }
}

/// All parts in plain text.
pub(super) fn joined(parts: &[LinePart]) -> String {
    parts.iter().map(|part| part.text.as_str()).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("  ")
}

/// A bar in half cells. With colours the rest of its way is drawn too, faintly.
fn bar(fraction: f64, cells: usize, colours: bool) -> String {
    let halves = (fraction.clamp(0.0, 1.0) * (2 * cells) as f64) as usize;
    let (full, half) = (halves / 2, halves % 2);
    let rest = cells - full - half;
    let done = "━".repeat(full) + &"╸".repeat(half);
    if !colours {
        return done + &" ".repeat(rest);
    }
    format!("\x1b[36m{done}\x1b[0m\x1b[2m{}\x1b[0m", "━".repeat(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [1.2714, -0.5, 31.4159, 314.159, 12345.0, f64::NAN, f64::INFINITY].map(loss),
            ["1.271", "-0.500", "31.42", "314.2", "1.2e4", "NaN", "inf"]
        );
        assert_eq!([9.96, 7213.8].map(rate), ["10.0", "7,214"]);
        assert_eq!([0, 32, 3727].map(|seconds| duration(Duration::from_secs(seconds))), ["0:00", "0:32", "1:02:07"]);
        assert_eq!(bytes(4_200_000, Some(9_912_422)), "4.2/9.9 MB");
        assert_eq!(bytes(512, None), "512 B");
    }

    fn line(width: usize) -> String {
        let parts = [
            (0, "1250/3900"),
            (3, "epoch 4/10"),
            (1, "D 1.271"),
            (1, "G 0.842"),
            (4, "7,214 images/s"),
            (2, "0:32 left"),
        ];
        progress_line(Some(0.32), parts.map(|(rank, text)| part(rank, text.into())).into(), width, false)
    }

    #[test]
    fn lines_shed_parts_by_rank_and_never_exceed_their_width() {
        assert_eq!(line(80), "━━━╸          1250/3900  epoch 4/10  D 1.271  G 0.842  7,214 images/s  0:32 left");
        assert_eq!(line(60), "━━╸       1250/3900  epoch 4/10  D 1.271  G 0.842  0:32 left");
        assert_eq!(line(40), "━━━╸         1250/3900  D 1.271  G 0.842");
        assert_eq!(line(20), "━━╸        1250/3900");
        assert_eq!(line(12), "1250/3900");
        assert_eq!(line(5), "1250/");
        assert_eq!(line(0), "");
        for width in 0..200 {
            assert!(line(width).chars().count() <= width, "{width}: {}", line(width));
        }
    }

    #[test]
    fn bars_fill_by_half_cells() {
        assert_eq!(
            ["", "╸", "━", "━╸", "━━"].map(|text| format!("{text:2}")),
            [0.0, 0.25, 0.5, 0.75, 1.0].map(|f| bar(f, 2, false))
        );
        assert!(bar(0.5, 8, true).contains("\x1b[") && !bar(0.5, 8, false).contains('\x1b'));
        assert_eq!(bar(f64::NAN, 2, false), "  ");
    }
}
