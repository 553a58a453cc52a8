//! Augmented views of images of several sizes, at three sizes, against torchvision's.

use gan::data::ImageShape;
use gan::data::augment::{ColourChange, ColourScale, Crop, Jitter, ViewParameters};
use gan::normalisation::Normalisation;
use serde::Deserialize;

use super::rule::symmetric_values;
use super::vectors::read;

/// Of colours in [0, 1], before they are normalised.
const TOLERANCE: f64 = 4e-6;

/// A view that `generate_views.py` made, and what was random in it.
#[derive(Deserialize)]
struct View {
    size: usize,
    height: usize,
    width: usize,
    /// Top, left, height, width.
    crop: [usize; 4],
    flip: bool,
    /// By torchvision's numbers of the changes.
    order: Option<[usize; 4]>,
    /// Of brightness, contrast and saturation, and the turn of the hue.
    factors: Option<[f32; 4]>,
    grey: bool,
    /// From all over the view, channels last, at equal distances.
    elements: Vec<f64>,
    mean: f64,
    mean_square: f64,
}

impl View {
    fn parameters(&self) -> ViewParameters {
        let [top, left, height, width] = self.crop;
        let jitter = self.order.zip(self.factors).map(|(order, [brightness, contrast, saturation, hue])| Jitter {
            order: order.map(|change| ColourChange::ALL[change]),
            brightness,
            contrast,
            saturation,
            hue,
        });
        ViewParameters { crop: Crop { top, left, height, width }, flip: self.flip, jitter, grey: self.grey }
    }
}

fn picture(shape: ImageShape) -> Vec<u8> {
    let name = format!("picture.{}x{}", shape.height, shape.width);
    symmetric_values(&name, shape.stride()).into_iter().map(|value| ((value + 1.0) * 128.0) as u8).collect()
}

#[test]
fn views_are_torchvisions() {
    let normalisation = Normalisation::imagenet();
    let scale = ColourScale::new(&normalisation).unwrap();
    let tolerance = TOLERANCE / f64::from(normalisation.std[1]);
    for view in read::<Vec<View>>("views") {
        let shape = ImageShape::new(view.height, view.width, 3);
        let mut found = vec![0.0; view.size * view.size * 3];
        view.parameters().apply((&picture(shape), shape), view.size, scale, &mut found);
        let found: Vec<f64> = found.into_iter().map(f64::from).collect();
        let (count, parts) = (found.len(), view.elements.len());
        let what = format!("{:?} of {shape} as {}", view.crop, view.size);
        for (part, want) in view.elements.iter().enumerate() {
            let found = found[(2 * part + 1) * count / (2 * parts)];
            assert!((found - want).abs() <= tolerance, "{what}: {found} is not {want}");
        }
        let mean = found.iter().sum::<f64>() / count as f64;
        let mean_square = found.iter().map(|value| value * value).sum::<f64>() / count as f64;
        assert!((mean - view.mean).abs() <= tolerance, "{what}: mean {mean}, not {}", view.mean);
        assert!((mean_square - view.mean_square).abs() <= tolerance, "{what}: {mean_square}, not {}", view.mean_square);
    }
}
