use crate::kernels::cpu::parallel;
use crate::kernels::cpu::simd::vectorised;
use crate::ops::batch_norm::cpu::{Region, folded};

/// Of each of some columns, over as many rows: the mean and the squared distances from it.
pub struct Moments {
    pub mean: Vec<f64>,
    pub squares: Vec<f64>,
    pub count: f64,
}

impl Moments {
    /// Of no rows.
    fn none(columns: usize) -> Self {
        Self { mean: vec![0.0; columns], squares: vec![0.0; columns], count: 0.0 }
    }

    /// The mean and the biased variance of each column.
    pub fn mean_and_variance(&self) -> (Vec<f32>, Vec<f32>) {
        let columns = self.mean.iter().zip(&self.squares);
        columns.map(|(mean, squares)| (*mean as f32, (squares / self.count) as f32)).unzip()
    }

    /// Makes them those of both sets of rows (Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for
    /// computing sample variances", 1979). The other set's columns are those from `first` on, in turn.
    /// The count stays as it is, for columns that are joined later.
    #[inline(always)]
    fn join(&mut self, first: usize, count: f64, others: impl Iterator<Item = (f64, f64)>) {
        let whole = self.count + count;
        let (share, weight) = (count / whole, self.count * count / whole);
        let columns = self.mean[first..].iter_mut().zip(&mut self.squares[first..]);
        for ((mean, squares), (other_mean, other_squares)) in columns.zip(others) {
            let distance = other_mean - *mean;
            *mean += distance * share;
            *squares += other_squares + distance * distance * weight;
        }
    }
}

/// The moments of each channel of `x`, rows of `channels`.
///
/// Each block takes its mean and then its squared distances from that mean, while it is in the cache; blocks are
/// joined in f64. So nothing cancels where the mean is large and the variance small.
pub fn moments(x: &[f32], channels: usize) -> Moments {
    let columns = channels * folded(x.len(), channels);
    let parts = Region::all(x.len(), columns);
    let found = parallel::map(parts.len(), |index| moments_of_part(x, &parts[index]));
    // Every column is in parts of the same rows, so the counts of those before it are its own.
    let mut whole = Moments::none(columns);
    for (part, found) in parts.iter().zip(&found) {
        whole.count = part.rows.start as f64;
        let others = found.mean.iter().copied().zip(found.squares.iter().copied());
        whole.join(part.of_columns.start, found.count, others);
    }
    let mut folded = Moments::none(channels);
    let rows = (x.len() / columns) as f64;
    for start in (0..columns).step_by(channels) {
        let others = whole.mean[start..].iter().copied().zip(whole.squares[start..].iter().copied());
        folded.join(0, rows, others);
        folded.count += rows;
    }
    folded
}

/// Those of several sets of rows together, joined in their order.
pub fn joined(channels: usize, sets: &[Moments]) -> Moments {
    let mut all = Moments::none(channels);
    for set in sets {
        if set.count > 0.0 {
            all.join(0, set.count, set.mean.iter().copied().zip(set.squares.iter().copied()));
            all.count += set.count;
        }
    }
    all
}

/// Block by block, both relative to the block's first row: a large mean would cost a distance its last digits.
fn moments_of_part(x: &[f32], part: &Region) -> Moments {
    let mut moments = Moments::none(part.width());
    let (mut offset, mut squares) = (vec![0f32; part.width()], vec![0f32; part.width()]);
    vectorised(
        #[inline(always)]
        || {
            for rows in part.blocks() {
                let (first, count) = (part.row(x, rows.start), rows.len() as f32);
                offset.fill(0.0);
                squares.fill(0.0);
                for row in rows.clone() {
                    let columns = offset.iter_mut().zip(part.row(x, row)).zip(first);
                    columns.for_each(|((sum, x), first)| *sum += x - first);
                }
                offset.iter_mut().for_each(|offset| *offset /= count);
                for row in rows {
                    let columns = squares.iter_mut().zip(part.row(x, row)).zip(first).zip(&offset);
                    columns.for_each(|(((sum, x), first), offset)| {
                        let distance = (x - first) - offset;
                        *sum += distance * distance;
                    });
                }
                let means = first.iter().zip(&offset).map(
                    #[inline(always)]
                    |(first, offset)| f64::from(*first) + f64::from(*offset),
                );
                let squares = squares.iter().map(
                    #[inline(always)]
                    |squares| f64::from(*squares),
                );
                moments.join(0, f64::from(count), means.zip(squares));
                moments.count += f64::from(count);
            }
        },
    );
    moments
}
