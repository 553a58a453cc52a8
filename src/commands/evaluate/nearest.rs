//! Does a generator memorise? Its first samples, each beside the training image nearest to it, pixel by pixel.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::checkpoint::atomic;
use crate::data::{Dataset, Images};
use crate::evaluator::Reference;
use crate::evaluator::classifier::pixels;
use crate::metrics::{Points, nearest_rows};
use crate::models::IMAGE_SIZE;
use crate::report::{self, Grid};

/// Pairs in the picture, and in a row of it.
const SHOWN: usize = 64;
const COLUMNS: usize = 8;

/// Training images that are compared at a time: 25 MB.
const TILE: usize = 8192;

/// Values an image.
const PIXELS: usize = IMAGE_SIZE * IMAGE_SIZE;

/// The first samples of a generator, on their way to their nearest images.
pub struct NearestImages {
    /// Where the picture goes; without one nothing is done.
    output: Option<PathBuf>,
    wanted: usize,
    samples: Vec<f32>,
}

impl NearestImages {
    /// Samples whose nearest images are looked for.
    pub const MOST: usize = 1000;

    pub fn new(output: Option<&Path>, count: usize) -> Self {
        Self { output: output.map(Path::to_path_buf), wanted: count.min(Self::MOST), samples: Vec::new() }
    }

    /// The next samples, (n, 28, 28) in [-1, 1].
    pub fn take(&mut self, images: &[f32]) {
        let missing = (self.wanted * PIXELS).saturating_sub(self.samples.len()).min(images.len());
        if self.output.is_some() {
            self.samples.extend_from_slice(&images[..missing]);
        }
    }

    /// Draws the picture, and says how far the nearest training image is on average: from a sample, and from as many
    /// reference images. The training images are those that are not of the reference.
    pub fn finish(self, dataset: &Dataset, reference: &Reference) -> anyhow::Result<Option<(f64, f64)>> {
        let Some(output) = self.output else { return Ok(None) };
        let (real, training) = reference.choose(dataset, dataset.train.len())?;
        let of_samples = nearest(&self.samples, &training)?;
        let of_real = nearest(&pixels(&real, 0, real.len().min(self.wanted)), &training)?;

        let shown = SHOWN.min(self.wanted);
        let mut pairs = Vec::with_capacity(shown * 2 * PIXELS); // (shown, 28, 56)
        for (sample, (_, index)) in self.samples.chunks_exact(PIXELS).zip(&of_samples).take(shown) {
            let neighbour = pixels(&training, *index as usize, 1);
            for (left, right) in sample.chunks_exact(IMAGE_SIZE).zip(neighbour.chunks_exact(IMAGE_SIZE)) {
                pairs.extend_from_slice(left);
                pairs.extend_from_slice(right);
            }
        }
        let grid = Grid { columns: Some(COLUMNS), gap: 8, ..Grid::default() };
        let picture = grid.draw(&pairs, shown, IMAGE_SIZE, 2 * IMAGE_SIZE, 1);
        atomic::write(&output, |out| report::encode_png(&picture, out))?;

        let mean = |found: &[(f32, u32)]| {
            found.iter().map(|(square, _)| f64::from(*square).sqrt()).sum::<f64>() / found.len() as f64
        };
        Ok(Some((mean(&of_samples), mean(&of_real))))
    }
}

/// The image of `bank` nearest to each of `queries` (n, 28, 28), with the squared distance of their pixels.
fn nearest(queries: &[f32], bank: &Images) -> anyhow::Result<Vec<(f32, u32)>> {
    let origin = vec![0.0; PIXELS];
    let points = |values: Vec<f32>| -> candle_core::Result<Points> {
        Points::new(&Tensor::from_vec(values, ((), PIXELS), &Device::Cpu)?, &origin)
    };
    let queries = points(queries.to_vec())?;
    let mut best = vec![(f32::INFINITY, 0); queries.len()];
    for first in (0..bank.len()).step_by(TILE) {
        let tile = points(pixels(bank, first, TILE.min(bank.len() - first)))?;
        for (best, (square, index)) in best.iter_mut().zip(nearest_rows(&queries, &tile)?) {
            if square < best.0 {
                *best = (square, first as u32 + index);
            }
        }
    }
    Ok(best)
}
