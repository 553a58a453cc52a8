//! Does a generator memorise? Its first samples, each beside the training image nearest to it, pixel by pixel.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::checkpoint::atomic;
use crate::data::{Dataset, ImageSet, ImageSource, common_shape, parts};
use crate::evaluator::classifier::pixels;
use crate::image_shape::ImageShape;
use crate::metrics::{Points, nearest_rows};
use crate::pretrained::reference::Reference;
use crate::report::{self, Grid};

/// Pairs in the picture, and in a row of it.
const SHOWN: usize = 64;
const COLUMNS: usize = 8;

/// Values of the training images that are compared at a time: 8,192 of MNIST's, 25 MB.
const TILE: usize = 8192 * 784;

/// The first samples of a generator, on their way to their nearest images.
pub struct NearestImages {
    /// Where the picture goes; without one nothing is done.
    output: Option<PathBuf>,
    /// Samples that there are.
    count: usize,
    /// How many of them are looked at.
    wanted: usize,
    shape: ImageShape,
    samples: Vec<f32>,
}

impl NearestImages {
    /// Samples whose nearest images are looked for.
    pub const MOST: usize = 1000;

    /// For `count` samples of `shape`, whose nearest images are drawn to `output` if there is one.
    pub fn new(output: Option<&Path>, count: usize, shape: ImageShape) -> Self {
        let (output, wanted) = (output.map(Path::to_path_buf), count.min(Self::MOST));
        Self { output, count, wanted, shape, samples: Vec::new() }
    }

    /// Which samples it looks at: the first ones; where their order may say something, as it may in a file
    /// (`are_sorted`), a choice from all over it. Each as the first of some, and how many.
    pub fn places(&self, are_sorted: bool) -> Vec<(usize, usize)> {
        match (&self.output, are_sorted) {
            (None, _) => Vec::new(),
            (_, false) => vec![(0, self.wanted)],
            (_, true) => {
                let chosen = parts::balanced(&[], self.count, self.wanted);
                chosen.iter().map(|index| (*index as usize, 1)).collect()
            }
        }
    }

    /// The next samples, (n, H, W, C) in [-1, 1].
    pub fn take(&mut self, images: &[f32]) {
        let missing = (self.wanted * self.shape.stride()).saturating_sub(self.samples.len()).min(images.len());
        if self.output.is_some() {
            self.samples.extend_from_slice(&images[..missing]);
        }
    }

    /// Draws the picture, and says how far the nearest training image is on average: from a sample, and from as many
    /// reference images. Those of samples are looked for among `searched`, those of reference images, and without `searched`
    /// all, among the training images that are not of the reference.
    pub fn finish(
        self,
        dataset: &Dataset,
        reference: &Reference,
        searched: Option<&ImageSet>,
    ) -> anyhow::Result<Option<(f64, f64)>> {
        let Some(output) = self.output else { return Ok(None) };
        let (real, others) = reference.choose(dataset, dataset.train.len())?;
        let training = searched.unwrap_or(&others);
        let of_samples = nearest(&self.samples, &**training)?;
        let of_real = nearest(&pixels(&*real, 0, real.len().min(self.wanted))?, &*others)?;

        let shown = SHOWN.min(self.wanted);
        let (stride, row) = (self.shape.stride(), self.shape.width * self.shape.channels);
        let mut pairs = Vec::with_capacity(shown * 2 * stride); // (shown, H, 2 W, C)
        for (sample, (_, index)) in self.samples.chunks_exact(stride).zip(&of_samples).take(shown) {
            let neighbour = pixels(&**training, *index as usize, 1)?;
            for (left, right) in sample.chunks_exact(row).zip(neighbour.chunks_exact(row)) {
                pairs.extend_from_slice(left);
                pairs.extend_from_slice(right);
            }
        }
        let grid = Grid { columns: Some(COLUMNS), gap: 8, ..Grid::default() };
        let picture = grid.draw(&pairs, shown, ImageShape { width: 2 * self.shape.width, ..self.shape });
        atomic::write(&output, |out| report::encode_png(&picture, out))?;

        let mean = |found: &[(f32, u32)]| {
            found.iter().map(|(square, _)| f64::from(*square).sqrt()).sum::<f64>() / found.len() as f64
        };
        Ok(Some((mean(&of_samples), mean(&of_real))))
    }
}

/// The image of `bank` nearest to each of `queries` (n, H, W, C), with the squared distance of their pixels.
fn nearest(queries: &[f32], bank: &dyn ImageSource) -> anyhow::Result<Vec<(f32, u32)>> {
    let stride = common_shape(bank)?.stride();
    let origin = vec![0.0; stride];
    let points = |values: Vec<f32>| -> candle_core::Result<Points> {
        Points::new(&Tensor::from_vec(values, ((), stride), &Device::Cpu)?, &origin)
    };
    let queries = points(queries.to_vec())?;
    let mut best = vec![(f32::INFINITY, 0); queries.len()];
    let size = (TILE / stride).max(1);
    for first in (0..bank.len()).step_by(size) {
        let tile = points(pixels(bank, first, size.min(bank.len() - first))?)?;
        for (best, (square, index)) in best.iter_mut().zip(nearest_rows(&queries, &tile)?) {
            if square < best.0 {
                *best = (square, first as u32 + index);
            }
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;

    #[test]
    fn neighbours_of_images_of_any_shape_are_found_and_drawn() {
        let shape = ImageShape::new(20, 12, 3);
        let of = |shades: &[u8]| Images {
            pixels: shades.iter().flat_map(|shade| vec![*shade; shape.stride()]).collect(),
            ..Images::empty(shape)
        };
        let dataset = Dataset::new("few", Vec::new(), of(&[0, 128, 255]), of(&[250]));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nearest.png");
        let mut images = NearestImages::new(Some(&path), 2, shape);
        images.take(&pixels(&of(&[255, 0]), 0, 2).unwrap());
        let (of_samples, of_real) = images.finish(&dataset, &Reference::Test, None).unwrap().unwrap();
        assert_eq!(of_samples, 0.0, "the samples are training images");
        let expected = (shape.stride() as f64).sqrt() * 10.0 / 255.0; // five shades of 255 are 10 of 255 in [-1, 1]
        assert!((of_real - expected).abs() < 1e-2, "{of_real}, not {expected}");
        let picture = report::read_png(&path).unwrap();
        assert_eq!((picture.width, picture.height, picture.channels), (2 * 48 + 8, 40, 3));
        assert_eq!([picture.pixels[0], picture.pixels[3 * 47], picture.pixels[3 * 56]], [255, 255, 0]);
        let mut images = NearestImages::new(Some(&path), 1, shape);
        images.take(&pixels(&of(&[250]), 0, 1).unwrap());
        let searched = of(&[128, 250]).into();
        let (of_samples, of_other) = images.finish(&dataset, &Reference::Test, Some(&searched)).unwrap().unwrap();
        // Distances are from products, and round.
        assert!(of_samples < 0.1, "{of_samples}: a reference image that the samples' network was trained on");
        assert_eq!(of_other, of_real);
    }
}
