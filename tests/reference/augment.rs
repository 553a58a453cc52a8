//! What D is shown of images: sampled as `grid_sample` does, recoloured as DiffAugment's reference does, and the pipeline
//! of adaptive augmentation by its reference's matrices. `generate_augment.py` computed the numbers.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use gan::image_shape::ImageShape;
use gan::ops;
use gan::train::augment_pipeline::Transformations;
use gan::train::diffaugment;
use serde::Deserialize;

use super::rule::{symmetric, symmetric_values};
use super::vectors::{Whole, read_part, values};
use crate::device::device;

const COUNT: usize = 4;

#[derive(Deserialize)]
struct Seen {
    output: Whole,
    gradient: Whole,
}

/// What the generator calls the shapes.
fn shape(name: &str) -> [usize; 3] {
    match name {
        "grey" => [12, 10, 1],
        _ => [9, 12, 3],
    }
}

fn check(part: &str, op: impl Fn(&str, &Tensor) -> Tensor) {
    for (name, want) in read_part::<BTreeMap<String, Seen>>("augment", part) {
        let images = Var::from_tensor(&symmetric(&format!("augment.{name}"), &[&[COUNT], &shape(&name)[..]].concat()));
        let images = images.unwrap();
        let output = op(&name, &images);
        let gradients = output.sin().unwrap().sum_all().unwrap().backward().unwrap();
        want.output.assert(&format!("{part}, {name}"), &values(&output));
        want.gradient.assert(&format!("{part}, {name}: gradient"), &values(gradients.get(&images).unwrap()));
    }
}

#[test]
fn affine_transforms_are_grid_samples() {
    check("affine_sample", |name, images| {
        let [height, width, _] = shape(name);
        let mut transforms = symmetric_values(&format!("transforms.{name}"), 6 * COUNT);
        let factors = [1.5, 1.5, 2.0 * height.max(width) as f32];
        transforms.iter_mut().enumerate().for_each(|(place, value)| *value *= factors[place % 3]);
        let transforms = Tensor::from_vec(transforms, (COUNT, 2, 3), &device()).unwrap();
        ops::affine_sample(images, &transforms).unwrap()
    });
}

#[test]
fn colours_are_those_of_diffaugment() {
    check("color", |name, images| {
        let channels = shape(name)[2];
        let drawn: Vec<f32> =
            symmetric_values(&format!("color.{name}"), 3 * COUNT).iter().map(|u| (u + 1.0) / 2.0).collect();
        let matrices: Vec<f32> = drawn
            .as_chunks()
            .0
            .iter()
            .flat_map(|[b, s, c]| diffaugment::colour([b - 0.5, 2.0 * s, c + 0.5], channels))
            .collect();
        let matrices = Tensor::from_vec(matrices, (COUNT, channels, channels + 2), &device()).unwrap();
        ops::recolour(images, &matrices).unwrap()
    });
}

#[derive(Deserialize)]
struct Case {
    draw: Drawn,
    transform: Vec<f64>,
    grey: Vec<f64>,
    colour: Vec<f64>,
}

#[derive(Deserialize)]
struct Drawn {
    flip: Option<u32>,
    quarter_turns: Option<u32>,
    shift: Option<[f64; 2]>,
    scale: Option<f64>,
    turn_before: Option<f64>,
    stretch: Option<f64>,
    turn_after: Option<f64>,
    drift: Option<[f64; 2]>,
    brightness: Option<f64>,
    contrast: Option<f64>,
    inversion: Option<u32>,
    hue: Option<f64>,
    saturation: Option<f64>,
}

impl Drawn {
    fn transformations(&self) -> Transformations {
        #[rustfmt::skip]
        let &Self { flip, quarter_turns, shift, scale, turn_before, stretch, turn_after, drift, brightness, contrast, inversion, hue, saturation } = self;
        let (flip, inversion) = (flip.map(|flip| flip == 1), inversion.map(|inversion| inversion == 1));
        #[rustfmt::skip]
        return Transformations { flip, quarter_turns, shift, scale, turn_before, stretch, turn_after, drift, brightness, contrast, inversion, hue, saturation };
    }
}

#[test]
fn the_pipeline_composes_the_references_matrices() {
    let assert_near = |found: &[f32], want: &[f64], what: &str| {
        assert_eq!(found.len(), want.len(), "{what}");
        let scale = want.iter().fold(1f64, |scale, value| scale.max(value.abs()));
        let near = found.iter().zip(want).all(|(found, want)| (f64::from(*found) - want).abs() < 1e-6 * scale);
        assert!(near, "{what}: {found:?} for {want:?}");
    };
    // A multiple of the image's mean is no part of it: the last number of each row.
    let with_zeros = |matrix: &[f64], columns| matrix.chunks(columns).flat_map(|row| [row, &[0.0]].concat()).collect();
    for (index, case) in read_part::<Vec<Case>>("augment", "pipeline").iter().enumerate() {
        let drawn = case.draw.transformations();
        assert_near(&drawn.transform(ImageShape::new(20, 28, 1)), &case.transform, &format!("{index}: transform"));
        let grey: Vec<f64> = with_zeros(&case.grey, 2);
        let colour: Vec<f64> = with_zeros(&case.colour, 4);
        assert_near(&drawn.colour(1), &grey, &format!("{index}: grey"));
        assert_near(&drawn.colour(3), &colour, &format!("{index}: colour"));
    }
}
