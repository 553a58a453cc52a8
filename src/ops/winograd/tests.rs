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

#[test]
#[ignore]
fn accuracy() {
    for c in [32, 64, 128, 256, 512] {
        let e = errors([2, 8, 8, c, c]);
        println!("{c}: {:?}", e.map(|p| p.map(|v| format!("{v:.1e}"))));
    }
}

#[test]
#[ignore]
fn speed() {
    let best = |work: &mut dyn FnMut()| {
        let now = || {
            let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
            t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
        };
        let start = now();
        work();
        now() - start
    };
    let only = std::env::var("ONLY").unwrap_or_default();
    for (side, channels, features) in [
        (32, 32, 32),
        (32, 64, 64),
        (16, 64, 64),
        (16, 128, 128),
        (8, 128, 128),
        (8, 256, 256),
        (4, 256, 256),
        (4, 512, 512),
    ] {
        if !format!("{side} {channels}").contains(&only) {
            continue;
        }
        let (images, height, width) = (128, side, side);
        let tiles = Tiles { images, height, width };
        let window =
            Window { images, height, width, channels, size: 3, stride: 1, padding: 1, down: height, across: width };
        let x = random("x", images * height * width * channels);
        let gradient = random("gradient", images * height * width * features);
        let weight = random("weight", features * channels * 9);
        let none = Epilogue::NONE;
        let mut times = [[f64::MAX; 2]; 3];
        let rounds: usize = std::env::var("ROUNDS").map_or(6, |r| r.parse().unwrap());
        let old = std::env::var("OLD").is_ok();
        for _ in 0..rounds {
            let t = &mut times;
            t[0][0] = t[0][0].min(best(&mut || drop(tiles.forward(&x, &weight, features, none))));
            if old {
                t[0][1] = t[0][1].min(best(&mut || drop(window.correlate(&x, &weight, features, none))));
            }
            t[1][0] = t[1][0].min(best(&mut || drop(tiles.input_gradient(&gradient, &weight, features))));
            if old {
                t[1][1] = t[1][1].min(best(&mut || drop(window.spread(&gradient, &weight, features, none))));
            }
            t[2][0] = t[2][0].min(best(&mut || drop(tiles.weight_gradient(&x, &gradient, channels, features))));
            if old {
                t[2][1] = t[2][1].min(best(&mut || drop(window.weight_gradient(&x, &gradient, features))));
            }
        }
        let flop = 18e-9 * (images * side * side * channels * features) as f64;
        print!("{side:>2} {channels:>3}->{features:<3} {flop:5.2} GFLOP ");
        for [new, old] in times {
            print!(
                " | {:6.2} ms {:5.0} G/s, im2col {:6.2} {:5.0}, x{:.2}",
                new * 1e3,
                flop / new,
                old * 1e3,
                flop / old,
                old / new
            );
        }
        println!();
    }
}
