//! The products of images with weights, a tile of patches and one product of matrices at a time.

use crate::kernels::cpu::epilogue::Epilogue;
use crate::kernels::cpu::matrix::{DEPTH, Matrix, PackedMatrix, multiply, multiply_unpacked};
use crate::kernels::cpu::parallel::{STREAMED_PIECE, fill_tiles, rows_of_a_tile, scratch, tile, write_tiles};
use crate::kernels::cpu::transpose::{transpose, transpose_strided};
use crate::kernels::window::Window;

/// Values of a tile of patches: 512 KiB, so that a tile stays in a core's second-level cache.
const PATCHES: usize = 128 * 1024;

/// Places of a part where the images have few channels: their values are packed, and stay in the cache.
const FEW_CHANNELS_PART: usize = 1024;

/// Values of all partial sums of a weight's gradient, 16 MiB.
const PARTIAL_SUMS: usize = 1 << 22;

/// Values of a tile of patches in one of those, 4 MiB at most: a product of few places would read and write its sum as
/// often as it multiplies.
const MOST_PATCHES: usize = 1 << 20;

/// Tiles there should be at least, for machines with many cores.
const TILES: usize = 16;

impl Window {
    /// The places of a tile of a product of `depth` terms, `columns` wide.
    fn tile(&self, depth: usize, columns: usize) -> usize {
        let (places, streamed) = ((PATCHES / depth).clamp(64, 2048), STREAMED_PIECE / columns);
        // With fewer places the right factor would be read more often than the streaming saves.
        let places = if streamed >= 128 { places.min(streamed) } else { places };
        places.min(self.places().div_ceil(TILES)).max(1)
    }

    /// The images (N, H, W, C) correlated with `weight` (O, C, K, K) at each place: (N, down, across, O).
    pub fn conv(&self, images: &[f32], weight: &[f32], features: usize, epilogue: Epilogue) -> Vec<f32> {
        let (patch, size) = (self.patch(), self.tile(self.patch(), features));
        let packed = PackedMatrix::new(Matrix::new(&self.channels_last(weight), features, patch).transposed());
        write_tiles(self.places() * features, size * features, |index, output| {
            let places = tile(index, size, self.places());
            scratch(places.len() * patch, |memory| {
                multiply(self.gather(images, places, memory), &packed.panels(), output, false);
            });
            epilogue.finish(output);
        })
        .0
    }

    /// The adjoint of [`Window::conv`] in the images: `values` (N, down, across, O) spread by `weight`
    /// (O, C, K, K) over the images (N, H, W, C).
    pub fn conv_transpose(&self, values: &[f32], weight: &[f32], features: usize, epilogue: Epilogue) -> Vec<f32> {
        let (patch, places, image) = (self.patch(), self.places_of_an_image(), self.image());
        let weight = self.channels_last(weight);
        let packed = PackedMatrix::new(Matrix::new(&weight, features, patch));
        if self.is_pixels() {
            let size = self.tile(features, patch);
            return write_tiles(self.images * image, size * patch, |index, output| {
                let places = tile(index, size, self.places());
                let of_values = Matrix::new(&values[places.start * features..], places.len(), features);
                multiply(of_values, &packed.panels(), output, false);
                epilogue.finish(output);
            })
            .0;
        }
        // A tile is some images. Where they have more places than fit into the cache, they are done part by part.
        let images_a_tile = (2 * PATCHES / (places * patch)).clamp(1, 8);
        let places_a_part = match self.has_few_channels() {
            // Whole lines of places: a line is added position by position, and must be so in every batch.
            true => (FEW_CHANNELS_PART / self.across).max(1) * self.across,
            false => (2 * PATCHES / patch).max(64),
        };
        fill_tiles(self.images * image, images_a_tile * image, |index, output| {
            let images = tile(index, images_a_tile, self.images);
            for part in 0..(images.len() * places).div_ceil(places_a_part) {
                let part = tile(part, places_a_part, images.len() * places);
                let part = images.start * places + part.start..images.start * places + part.end;
                let of_values = Matrix::new(&values[part.start * features..], part.len(), features);
                // With few channels the images are added to line by line, from values of the patch by places: the
                // products, which are the other way about, are turned.
                let panels = packed.panels();
                let panels = if self.has_few_channels() { panels.in_whole_lines() } else { panels };
                scratch(part.len() * panels.columns(), |products| {
                    multiply(of_values, &panels, products, false);
                    if !self.has_few_channels() {
                        return self.scatter(products, part, images.start, output);
                    }
                    scratch(part.len() * patch, |patches| {
                        let count = part.len();
                        transpose_strided((products, panels.columns()), count, patch, (patches, count));
                        self.scatter(patches, part, images.start, output);
                    });
                });
            }
            epilogue.finish(output);
        })
        .0
    }

    /// The gradient of the weight (O, C, K, K), from that of [`Window::conv`]'s output (N, down, across, O).
    pub fn weight_gradient(&self, images: &[f32], gradient: &[f32], features: usize) -> Vec<f32> {
        let (patch, places) = (self.patch(), self.places());
        let len = features * patch;
        // A number of partial sums that depends on the shapes alone, added in order.
        let most = (PARTIAL_SUMS / len).clamp(2, TILES);
        let fit = (MOST_PATCHES / patch).max(64);
        let size = (PATCHES / patch).clamp(DEPTH, 2048).min(fit).min(places.div_ceil(most)).max(1);
        let tiles = places.div_ceil(size);
        let slots = most.min(tiles);
        // The wider factor stands on the right, where it is packed in whole lines.
        let is_turned = features > patch;
        let (parts, _) = write_tiles(slots * len, len, |slot, sum| {
            let first = slot * tiles / slots;
            for index in first..(slot + 1) * tiles / slots {
                let places = tile(index, size, places);
                let of_gradient = Matrix::new(&gradient[places.start * features..], places.len(), features);
                scratch(places.len() * patch, |memory| {
                    let patches = self.gather(images, places, memory);
                    let (left, right) = if is_turned { (patches, of_gradient) } else { (of_gradient, patches) };
                    multiply_unpacked(left.transposed(), right, sum, index > first);
                });
            }
        });
        self.added(&parts, features, is_turned)
    }

    /// The sum of parts of a weight's gradient (O, C, K, K), each of them (O, K, K, C) or, if turned, (K, K, C, O).
    fn added(&self, parts: &[f32], features: usize, is_turned: bool) -> Vec<f32> {
        let (patch, area) = (self.patch(), self.size * self.size);
        let len = features * patch;
        let rows = rows_of_a_tile(patch);
        write_tiles(len, rows * patch, |index, weight| {
            let of_features = tile(index, rows, features);
            scratch(weight.len(), |sum| {
                let parts = parts.chunks_exact(len);
                if is_turned {
                    scratch(weight.len(), |turned| {
                        turned.fill(0.0);
                        let width = of_features.len();
                        for part in parts {
                            let lines = part.chunks_exact(features).map(|line| &line[of_features.clone()]);
                            turned.chunks_exact_mut(width).zip(lines).for_each(|(sum, line)| add(sum, line));
                        }
                        transpose(turned, patch, width, sum);
                    });
                } else {
                    sum.fill(0.0);
                    parts.for_each(|part| add(sum, &part[of_features.start * patch..]));
                }
                for (sum, weight) in sum.chunks_exact(patch).zip(weight.chunks_exact_mut(patch)) {
                    transpose(sum, area, self.channels, weight);
                }
            });
        })
        .0
    }

    /// The weight (O, C, K, K) as (O, K, K, C): a row for each feature, in the order of a patch.
    fn channels_last(&self, weight: &[f32]) -> Vec<f32> {
        let (patch, area) = (self.patch(), self.size * self.size);
        write_tiles(weight.len(), patch, |feature, packed| {
            transpose(&weight[feature * patch..(feature + 1) * patch], self.channels, area, packed);
        })
        .0
    }
}

fn add(sum: &mut [f32], values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn an_image_has_the_same_output_in_every_batch() {
        let mut generator = Stream::new(9, "windows").at(0);
        let mut random = |len: usize| (0..len).map(|_| generator.symmetric()).collect::<Vec<f32>>();
        for (channels, features, size, stride) in [(1, 8, 4, 2), (2, 5, 3, 1), (6, 7, 3, 1)] {
            let window = |images| Window {
                images,
                height: 29,
                width: 27,
                channels,
                size,
                stride,
                padding: 1,
                down: (31 - size) / stride + 1,
                across: (29 - size) / stride + 1,
            };
            let (one, many) = (window(1), window(11));
            let weight = random(features * one.patch());
            let (images, values) = (random(many.images * many.image()), random(many.places() * features));
            let none = Epilogue::NONE;
            let seen = many.conv(&images, &weight, features, none);
            let spread = many.conv_transpose(&values, &weight, features, none);
            for image in 0..many.images {
                let of_image =
                    |values: &[f32]| values[image * values.len() / 11..(image + 1) * values.len() / 11].to_vec();
                assert_eq!(one.conv(&of_image(&images), &weight, features, none), of_image(&seen));
                assert_eq!(one.conv_transpose(&of_image(&values), &weight, features, none), of_image(&spread));
            }
        }
    }

    /// So many places that each partial sum goes over several tiles.
    #[test]
    fn a_weights_gradient_is_the_sum_over_all_places() {
        let (images, side, channels, features) = (35, 32, 33, 37);
        let window = Window {
            images,
            height: side,
            width: side,
            channels,
            size: 1,
            stride: 1,
            padding: 0,
            down: side,
            across: side,
        };
        assert!(window.places() > TILES * 2048);
        let mut generator = Stream::new(10, "windows").at(0);
        let mut random = |len: usize| (0..len).map(|_| generator.symmetric()).collect::<Vec<f32>>();
        let (x, gradient) = (random(window.places() * channels), random(window.places() * features));
        let found = window.weight_gradient(&x, &gradient, features);
        let mut expected = vec![0f64; features * channels];
        for (x, gradient) in x.chunks_exact(channels).zip(gradient.chunks_exact(features)) {
            for (sums, gradient) in expected.chunks_exact_mut(channels).zip(gradient) {
                sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(*x) * f64::from(*gradient));
            }
        }
        for (found, expected) in found.iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 2e-4, "{found}, not {expected}");
        }
    }
}
