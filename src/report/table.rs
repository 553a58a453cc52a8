//! Tables in plain text, for people.

use super::layout::{grouped, percent};
use super::records::ProbeRow;

/// The rows under their names, aligned: words to the left, numbers to the right. No line break at the end.
pub fn probe_table(rows: &[ProbeRow]) -> String {
    let mut table = vec![["encoder", "mode", "labels", "top-1", "top-5", "kNN", "seconds"].map(String::from)];
    table.extend(rows.iter().map(|row| {
        [
            row.encoder.clone(),
            row.mode.clone(),
            grouped(row.labels as f64),
            percent(row.top1),
            percent(row.top5),
            percent(row.knn),
            format!("{:.1}", row.seconds),
        ]
    }));
    aligned(&table, 2)
}

/// Lines of cells two spaces apart, the first `words` columns to the left, the others to the right.
fn aligned<const COLUMNS: usize>(table: &[[String; COLUMNS]], words: usize) -> String {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column < words {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    table.iter().map(line).collect::<Vec<_>>().join("\n")
}
