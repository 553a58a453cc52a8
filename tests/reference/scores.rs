//! Fréchet distance, KID, PRDC, the test of two samples and the figures of classes against scipy, the `prdc` package,
//! scikit-learn and numpy: `generate_scores.py`.

use candle_core::{Device, Tensor};
use gan::metrics::{
    Gaussian, KidPlan, Points, class_divergence, classifier_score, frechet_distance, histogram, kid, neighbourhoods,
};
use serde::Deserialize;

use super::vectors::read;

#[derive(Deserialize)]
struct Scores {
    cases: Vec<Case>,
    classes: Classes,
}

#[derive(Deserialize)]
struct Case {
    count: usize,
    width: usize,
    seeds: [usize; 2],
    scale: f64,
    shift: f64,
    k: usize,
    frechet: f64,
    kid: f64,
    two_sample: f64,
    precision: f64,
    recall: f64,
    density: f64,
    coverage: f64,
}

#[derive(Deserialize)]
struct Classes {
    classifier_score: f64,
    histogram: Vec<u64>,
    samples: Vec<u64>,
    real: Vec<u64>,
    divergence: f64,
}

fn draws(count: usize, seed: usize) -> Vec<f32> {
    let draw = |i: usize| ((i * 7919 + seed * 104_729 + (i * i) % 977) % 1009) as f64 / 504.0 - 1.0;
    (0..count).map(|i| draw(i) as f32).collect()
}

fn matrix(values: Vec<f32>, rows: usize) -> Tensor {
    let columns = values.len() / rows;
    Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
}

fn features(count: usize, width: usize, seed: usize, scale: f64, shift: f64) -> Tensor {
    let (mut values, centres) = (draws(count * width, seed), draws(5 * width, 77));
    for (row, point) in values.chunks_exact_mut(width).enumerate() {
        let centre = &centres[row * 7 % 11 % 5 * width..][..width];
        for (value, centre) in point.iter_mut().zip(centre) {
            *value = (*value + 0.5 * centre) * scale as f32 + shift as f32;
        }
    }
    matrix(values, count)
}

#[track_caller]
fn assert_close(what: &str, found: f64, want: f64, tolerance: f64) {
    assert!((found - want).abs() <= tolerance * want.abs().max(1e-3), "{what}: {found}, not {want}");
}

#[test]
fn distances_between_sets_of_features() {
    for case in read::<Scores>("scores").cases {
        let real = features(case.count, case.width, case.seeds[0], 1.0, 0.0);
        let samples = features(case.count, case.width, case.seeds[1], case.scale, case.shift);
        let of = |features: &Tensor| Gaussian::of(features).unwrap();
        assert_close("frechet", frechet_distance(&of(&samples), &of(&real)).unwrap(), case.frechet, 2e-5);
        let whole = KidPlan { subsets: 1, size: case.count, seed: 4 };
        assert_close("kid", kid(&samples, &real, whole).unwrap().mean, case.kid, 1e-4);

        let points = |features: &Tensor| Points::new(features, of(&real).mean()).unwrap();
        let (real, samples) = (points(&real), points(&samples));
        let (near_real, near_samples) = (real.nearest(case.k).unwrap(), samples.nearest(case.k).unwrap());
        let near = neighbourhoods((&real, &near_real), (&samples, &near_samples), case.k).unwrap();
        for (what, found, want) in [
            ("precision", near.precision, case.precision),
            ("recall", near.recall, case.recall),
            ("density", near.density, case.density),
            ("coverage", near.coverage, case.coverage),
            ("two_sample", near.two_sample, case.two_sample),
        ] {
            assert!((found - want).abs() < 1e-12, "{what} of {} points: {found}, not {want}", case.count);
        }
    }
}

#[test]
fn what_a_classifier_says() {
    let classes = read::<Scores>("scores").classes;
    let scores = matrix(draws(2000, 11).iter().map(|value| 4.0 * value).collect(), 200);
    assert_close("classifier score", classifier_score(&scores).unwrap(), classes.classifier_score, 1e-6);
    assert_eq!(histogram(&scores).unwrap(), classes.histogram);
    assert_close("divergence", class_divergence(&classes.samples, &classes.real).unwrap(), classes.divergence, 1e-12);
}
