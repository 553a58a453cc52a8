use crate::kernels::cpu::parallel::{fill_tiles, rows_of_a_tile};

/// So many rows, each rescaled to the norm `target`; norms in f64.
pub fn rescaled(x: &[f32], rows: usize, target: f64) -> Vec<f32> {
    let columns = x.len() / rows.max(1);
    let tile = rows_of_a_tile(columns) * columns;
    let (rescaled, _) = fill_tiles(x.len(), tile, |index, into| {
        let from = &x[index * tile..][..into.len()];
        for (into, row) in into.chunks_exact_mut(columns).zip(from.chunks_exact(columns)) {
            let norm = row.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
            let factor = if norm == 0.0 { 0.0 } else { target / norm };
            into.iter_mut().zip(row).for_each(|(into, value)| *into = (f64::from(*value) * factor) as f32);
        }
    });
    rescaled
}
