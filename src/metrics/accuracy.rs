//! How often scores name the right class.

use candle_core::{Result, Tensor, bail};

use super::host_rows;

/// The part of `labels` (N) that is among the `k` highest of `scores` (N, C), as a fraction of 1.
///
/// A class stands above the true one if its score is higher, or equal and the class has the lower index. A score that
/// is NaN stands below all others, and is never right for the true class. An error where N is 0.
pub fn top_k(scores: &Tensor, labels: &[u32], k: usize) -> Result<f64> {
    let (scores, count, classes) = host_rows(scores)?;
    check_labels(labels, count, classes)?;
    if count == 0 {
        bail!("top-{k} accuracy needs at least one row of scores");
    }
    let right = labels.iter().zip(scores.chunks_exact(classes)).filter(|&(&label, row)| {
        let own = row[label as usize];
        let is_above = |(class, &score): (usize, &f32)| score > own || (score == own && class < label as usize);
        !own.is_nan() && row.iter().enumerate().filter(|&place| is_above(place)).count() < k
    });
    Ok(right.count() as f64 / count as f64)
}

/// The class of the highest of each row of `scores` (N, C); among equals the lowest. A row of NaN alone is an error.
pub fn predictions(scores: &Tensor) -> Result<Vec<u32>> {
    let (scores, count, classes) = host_rows(scores)?;
    if classes == 0 {
        bail!("expected scores of at least one class");
    }
    let best = |(index, row): (usize, &[f32])| {
        let numbers = row.iter().enumerate().filter(|(_, score)| !score.is_nan());
        match numbers.reduce(|best, next| if next.1 > best.1 { next } else { best }) {
            Some((class, _)) => Ok(class as u32),
            None => bail!("row {index} of {count} rows of scores is NaN throughout"),
        }
    };
    scores.chunks_exact(classes).enumerate().map(best).collect()
}

/// How many images of each class were taken for each: (classes, classes) row after row, a row for each true class and
/// a column for each predicted one.
pub fn confusion(predictions: &[u32], labels: &[u32], classes: usize) -> Result<Vec<u64>> {
    check_labels(labels, predictions.len(), classes)?;
    check_labels(predictions, labels.len(), classes)?;
    let mut counts = vec![0; classes * classes];
    for (&predicted, &label) in predictions.iter().zip(labels) {
        counts[label as usize * classes + predicted as usize] += 1;
    }
    Ok(counts)
}

/// That there are `count` labels, all below `classes`.
pub(crate) fn check_labels(labels: &[u32], count: usize, classes: usize) -> Result<()> {
    if labels.len() != count {
        bail!("expected one label for each of {count} rows, found {}", labels.len());
    }
    match labels.iter().find(|&&label| label as usize >= classes) {
        Some(label) => bail!("label {label} is not below the {classes} classes"),
        None => Ok(()),
    }
}
