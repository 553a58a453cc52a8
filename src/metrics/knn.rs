//! What features tell without any training: each image asks the images nearest to it, and the nearer have more to say.
//!
//! The weighted vote of Wu et al., "Unsupervised feature learning via non-parametric instance discrimination",
//! 1805.01978, section 3.4: among the k most similar images of a bank with labels, class c gets the sum of exp(cos / τ)
//! over those that belong to it.

use std::cmp::Ordering;

use candle_core::{Result, Storage, Tensor, bail};
use rayon::prelude::*;

use crate::metrics::accuracy::check_labels;
use crate::metrics::embedding::unit_rows;
use crate::ops::{Activation, linear};

/// How many images vote.
pub const NEIGHBOURS: usize = 200;
/// τ: the cosine is divided by it.
pub const TEMPERATURE: f64 = 0.5;
/// Queries whose similarities to the whole bank are held at a time: 100 MB at a bank of 50,000.
const BLOCK: usize = 512;

/// A bank of features whose classes are known.
pub struct Knn {
    /// (M, D), rows of length 1
    bank: Tensor,
    labels: Vec<u32>,
    classes: usize,
    neighbours: usize,
}

impl Knn {
    /// A bank of features (M, D) with their `labels` (M), each below `classes`.
    pub fn new(bank: &Tensor, labels: &[u32], classes: usize) -> Result<Self> {
        let (count, width) = bank.dims2()?;
        if count == 0 || width == 0 {
            bail!("a bank of features needs rows and columns, found {:?}", bank.dims());
        }
        check_labels(labels, count, classes)?;
        Ok(Self { bank: unit_rows(bank)?, labels: labels.to_vec(), classes, neighbours: NEIGHBOURS.min(count) })
    }

    /// The same bank with `neighbours` votes instead of [`NEIGHBOURS`]; of a smaller bank all vote.
    pub fn with_neighbours(self, neighbours: usize) -> Self {
        Self { neighbours: neighbours.clamp(1, self.labels.len()), ..self }
    }

    /// The class of each of `queries` (N, D). Of equally similar images the first of the bank vote, of equally voted
    /// classes the lowest wins. An error where a feature is NaN or infinite.
    pub fn predict(&self, queries: &Tensor) -> Result<Vec<u32>> {
        let queries = unit_rows(queries)?; // (N, D)
        let mut classes = Vec::with_capacity(queries.dim(0)?);
        for start in (0..queries.dim(0)?).step_by(BLOCK) {
            let some = queries.narrow(0, start, BLOCK.min(queries.dim(0)? - start))?;
            let cosines = linear(&some, &self.bank, None, Activation::Identity)?; // (B, M)
            let (cosines, _) = cosines.storage_and_layout();
            let Storage::Cpu(cosines) = &*cosines else { bail!("kNN votes on the CPU") };
            let rows = cosines.as_slice::<f32>()?.par_chunks_exact(self.labels.len());
            classes.extend(rows.map(|row| self.vote(row)).collect::<Result<Vec<u32>>>()?);
        }
        Ok(classes)
    }

    /// The fraction of `queries` (N, D) whose class is told as in `labels` (N). An error where N is 0.
    pub fn top1(&self, queries: &Tensor, labels: &[u32]) -> Result<f64> {
        check_labels(labels, queries.dim(0)?, self.classes)?;
        if labels.is_empty() {
            bail!("kNN accuracy needs at least one query");
        }
        let right = self.predict(queries)?.iter().zip(labels).filter(|(predicted, label)| predicted == label).count();
        Ok(right as f64 / labels.len() as f64)
    }

    /// The class that the bank's images, as similar as `cosines` (M) say, vote for.
    fn vote(&self, cosines: &[f32]) -> Result<u32> {
        let nearest = largest(cosines, self.neighbours);
        if nearest.len() < self.neighbours {
            bail!("features hold NaN or infinity: no cosine to {} of {} images", self.neighbours, cosines.len());
        }
        let mut votes = vec![0.0; self.classes];
        for (cosine, index) in nearest {
            votes[self.labels[index as usize] as usize] += (f64::from(cosine) / TEMPERATURE).exp();
        }
        let best = (1..self.classes).fold(0, |best, class| if votes[class] > votes[best] { class } else { best });
        Ok(best as u32)
    }
}

/// The `count` largest of `values` with their indices, the largest first and among equals the first; NaN is none.
fn largest(values: &[f32], count: usize) -> Vec<(f32, u32)> {
    let order = |one: &(f32, u32), other: &(f32, u32)| {
        other.0.partial_cmp(&one.0).unwrap_or(Ordering::Equal).then(one.1.cmp(&other.1)) // NaN is never compared
    };
    // A value enters if it exceeds the smallest of the best so far, which is brought up to date now and then. One that
    // equals it comes later, so it loses.
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(2 * count);
    let mut bar = None;
    for (index, &value) in values.iter().enumerate() {
        if bar.is_none_or(|bar| value > bar) && !value.is_nan() {
            best.push((value, index as u32));
            if best.len() == 2 * count {
                best.select_nth_unstable_by(count - 1, order);
                best.truncate(count);
                bar = Some(best[count - 1].0);
            }
        }
    }
    best.sort_unstable_by(order);
    best.truncate(count);
    best
}
