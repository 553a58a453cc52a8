//! Tables in plain text, for people.

use crate::report::numbers::{grouped, percent};
use crate::report::records::ProbeRow;

/// The rows under their names, aligned: words to the left, numbers to the right. No line break at the end. Where there are no
/// more than five `classes`, every prediction is right by the five most probable, and top-5 is left out.
pub fn probe_table(rows: &[ProbeRow], classes: Option<usize>) -> String {
    const TOP_5: usize = 4;
    let mut table = vec![["encoder", "mode", "labels", "top-1", "top-5", "kNN", "seconds"].map(String::from).to_vec()];
    table.extend(rows.iter().map(|row| {
        vec![
            row.encoder.clone(),
            row.mode.clone(),
            grouped(row.labels as f64),
            percent(row.top1),
            percent(row.top5),
            percent(row.knn),
            format!("{:.1}", row.seconds),
        ]
    }));
    if classes.is_some_and(|classes| classes <= 5) {
        table.iter_mut().for_each(|row| drop(row.remove(TOP_5)));
    }
    aligned(&table, 2)
}

/// Lines of cells two spaces apart, the first `words` columns to the left, the others to the right.
pub(super) fn aligned(table: &[Vec<String>], words: usize) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column < words {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    table.iter().map(line).collect::<Vec<_>>().join("\n")
}
