use super::*;
use crate::ops::affine::Epilogue;
use crate::rng::Stream;

/// (N, H, W, C, O)
type Case = [usize; 5];

fn random(purpose: &str, len: usize) -> Vec<f32> {
    let mut generator = Stream::new(7, purpose).at(0);
    (0..len).map(|_| generator.symmetric()).collect()
}

/// Calls `each` with the indexes of x, weight and output that meet in a term of the convolution.
fn terms([n, h, w, c, o]: Case, mut each: impl FnMut(usize, usize, usize)) {
    for (image, y, x) in (0..n).flat_map(|n| (0..h).flat_map(move |y| (0..w).map(move |x| (n, y, x)))) {
        for (row, column) in (0..3).flat_map(|row| (0..3).map(move |column| (row, column))) {
            let (from_y, from_x) = ((y + row).wrapping_sub(1), (x + column).wrapping_sub(1));
            if from_y >= h || from_x >= w {
                continue;
            }
            let (from, to) = (((image * h + from_y) * w + from_x) * c, ((image * h + y) * w + x) * o);
            for feature in 0..o {
                for channel in 0..c {
                    each(from + channel, ((feature * c + channel) * 3 + row) * 3 + column, to + feature);
                }
            }
        }
    }
}

/// The largest error of `found` relative to the largest value of `expected`.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0f64, |scale, value| scale.max(value.abs()));
    found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).abs()).fold(0.0, f64::max) / scale
}

/// The errors of output, input gradient and weight gradient, of this path and of the other.
fn errors(case: Case) -> [[f64; 2]; 3] {
    let [images, height, width, channels, features] = case;
    let tiles = Tiles { images, height, width };
    let window =
        Window { images, height, width, channels, size: 3, stride: 1, padding: 1, down: height, across: width };
    let x = random("x", images * height * width * channels);
    let gradient = random("gradient", images * height * width * features);
    let weight = random("weight", features * channels * 9);
    let mut output = vec![0.0; gradient.len()];
    let mut for_x = vec![0.0; x.len()];
    let mut for_weight = vec![0.0; weight.len()];
    terms(case, |at_x, at_weight, at_output| {
        let value = |values: &[f32], at: usize| f64::from(values[at]);
        output[at_output] += value(&x, at_x) * value(&weight, at_weight);
        for_x[at_x] += value(&gradient, at_output) * value(&weight, at_weight);
        for_weight[at_weight] += value(&gradient, at_output) * value(&x, at_x);
    });
    let none = Epilogue::NONE;
    [
        [tiles.forward(&x, &weight, features, none), window.correlate(&x, &weight, features, none)]
            .map(|found| error(&found, &output)),
        [tiles.input_gradient(&gradient, &weight, features), window.spread(&gradient, &weight, features, none)]
            .map(|found| error(&found, &for_x)),
        [tiles.weight_gradient(&x, &gradient, channels, features), window.weight_gradient(&x, &gradient, features)]
            .map(|found| error(&found, &for_weight)),
    ]
}

#[test]
fn products_agree_with_a_loop_over_the_terms() {
    for case in [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 16, 16],
        [2, 2, 3, 5, 7],
        [1, 4, 4, 33, 31],
        [3, 5, 9, 17, 40],
        [2, 9, 7, 70, 16],
        [1, 8, 8, 32, 64],
        [7, 4, 4, 24, 130],
        [1, 31, 17, 3, 2],
    ] {
        for (product, [found, _]) in errors(case).iter().enumerate() {
            assert!(*found < 3e-6, "{case:?}, product {product}: {found}");
        }
    }
}

/// Rounding grows with the channels: at 512 it is ten times that of the plain sums, and no more.
#[test]
fn rounding_stays_small_with_many_channels() {
    for (product, [found, plain]) in errors([1, 5, 6, 512, 512]).iter().enumerate() {
        assert!(*found < 1e-5 && *plain < 2e-6, "product {product}: {found}, {plain}");
    }
}

#[test]
fn an_image_has_the_same_output_in_every_batch() {
    let (height, width, channels, features) = (8, 8, 48, 32);
    let image = height * width * channels;
    let (x, weight) = (random("x", 23 * image), random("weight", features * channels * 9));
    let together = Tiles { images: 23, height, width }.forward(&x, &weight, features, Epilogue::NONE);
    let alone = x.chunks_exact(image).flat_map(|x| {
        let output = Tiles { images: 1, height, width }.forward(x, &weight, features, Epilogue::NONE);
        output.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    });
    assert!(together.iter().map(|value| value.to_bits()).eq(alone));
}

/// What is not finite stays so where the plain sum has it, and does not reach beyond the tiles that see it.
#[test]
fn what_is_not_finite_stays_in_the_tiles_that_see_it() {
    let (images, height, width, channels, features) = (2, 9, 12, 16, 16);
    let tiles = Tiles { images, height, width };
    let weight = random("weight", features * channels * 9);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = random("x", images * height * width * channels);
        x[((height + 1) * width + 1) * channels + 3] = value; // image 1, row 1, column 1
        let output = tiles.forward(&x, &weight, features, Epilogue::NONE);
        for (place, features) in output.chunks_exact(features).enumerate() {
            let (image, row, column) = (place / (height * width), place / width % height, place % width);
            if image == 1 && row < 3 && column < 3 {
                assert!(features.iter().all(|value| !value.is_finite()), "{value} at {row}, {column}");
            } else if image == 0 || row >= SIDE || column >= SIDE {
                assert!(features.iter().all(|value| value.is_finite()), "{value} at {image}, {row}, {column}");
            }
        }
        assert!(tiles.weight_gradient(&x, &output, channels, features).iter().any(|value| !value.is_finite()));
    }
}
