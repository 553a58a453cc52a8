use candle_core::Result;

use super::Activations;
use crate::metrics::{Gaussian, frechet_distance, predictions};
use crate::models::CLASSES;
use crate::report::ClassScores;

/// Scores by class of samples whose sample i was drawn as one of class i modulo [`CLASSES`]. `real` are the reference
/// images with their labels, which are empty where they have none.
pub fn class_scores(samples: &Activations, real: &Activations, labels: &[u32]) -> Result<ClassScores> {
    let found = predictions(&samples.scores)?;
    let drawn: Vec<u32> = (0..found.len()).map(|sample| (sample % CLASSES) as u32).collect();
    let (mut agreement_by_class, mut frechet_by_class) = (Vec::new(), Vec::new());
    let mut agreeing = 0;
    for class in 0..CLASSES as u32 {
        let of_class = places(&drawn, class);
        let right = of_class.iter().filter(|sample| found[**sample as usize] == class).count();
        agreeing += right;
        agreement_by_class.push(right as f64 / of_class.len().max(1) as f64);
        let real_of_class = places(labels, class);
        frechet_by_class.push(match of_class.len().min(real_of_class.len()) {
            0 | 1 => None,
            _ => {
                let gaussian = |all: &Activations, places: &[u32]| Gaussian::of(&all.at(places)?.features);
                Some(frechet_distance(&gaussian(samples, &of_class)?, &gaussian(real, &real_of_class)?)?)
            }
        });
    }
    let class_agreement = agreeing as f64 / found.len().max(1) as f64;
    Ok(ClassScores { class_agreement, agreement_by_class, frechet_by_class })
}

/// Where `class` stands in `classes`.
fn places(classes: &[u32], class: u32) -> Vec<u32> {
    (0..classes.len() as u32).filter(|place| classes[*place as usize] == class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    /// Samples of these predicted classes, with one feature each.
    fn activations(classes: &[u32], feature: impl Fn(usize) -> f32) -> Activations {
        let scores: Vec<f32> =
            classes.iter().flat_map(|class| (0..CLASSES as u32).map(move |other| f32::from(other == *class))).collect();
        let features: Vec<f32> = (0..classes.len()).map(feature).collect();
        let device = &Device::Cpu;
        Activations {
            features: Tensor::from_vec(features, (classes.len(), 1), device).unwrap(),
            scores: Tensor::from_vec(scores, (classes.len(), CLASSES), device).unwrap(),
        }
    }

    #[test]
    fn samples_are_held_against_the_class_that_they_were_drawn_as() {
        // Two rounds of all classes; the second 3 is taken for an 8.
        let mut found: Vec<u32> = (0..20).map(|sample| sample % 10).collect();
        found[13] = 8;
        let samples = activations(&found, |sample| if sample < 10 { 1.0 } else { 3.0 });
        // Of class 0 the same features, of class 1 moved by 2, of class 2 one image.
        let labels = [0, 1, 0, 1, 2];
        let real = activations(&labels, |image| [1.0, 3.0, 3.0, 5.0, 0.0][image]);
        let scores = class_scores(&samples, &real, &labels).unwrap();
        assert_eq!(scores.class_agreement, 0.95);
        assert_eq!(scores.agreement_by_class, [1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let [zero, one, others @ ..] = &scores.frechet_by_class[..] else { unreachable!() };
        assert!(zero.unwrap().abs() < 1e-9 && (one.unwrap() - 4.0).abs() < 1e-9, "{zero:?}, {one:?}");
        assert_eq!(others, [None; 8]);
        assert_eq!(class_scores(&samples, &real, &[]).unwrap().frechet_by_class, [None; 10]);
    }
}
