//! What `generate.py` wrote, and how it is compared: a number may be as far from PyTorch's f64 as a few times
//! PyTorch's own f32 is.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How many times PyTorch's own rounding is allowed: another order of summation rounds otherwise, and the recorded
/// error is one draw.
const ALLOWANCE: f64 = 20.0;

/// The smallest tolerance, relative to the root mean square of a tensor: where PyTorch's error happens to be 0.
const FLOOR: f64 = 1e-6;

/// Of a trained tensor's norm, relative.
const NORM_TOLERANCE: f64 = 1e-4;

pub fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/reference/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt()
}

#[track_caller]
fn assert_near(what: &str, found: f64, want: f64, tolerance: f64) {
    // Not `>`: a NaN must fail.
    assert!((found - want).abs() <= tolerance, "{what}: {found:e} is not {want:e} within {tolerance:.1e}");
}

/// A tensor of which every element is recorded.
#[derive(Deserialize)]
pub struct Whole {
    pub want: Vec<f64>,
    pub torch_f32_error: f64,
}

impl Whole {
    #[track_caller]
    pub fn assert(&self, what: &str, found: &[f64]) {
        assert_eq!(found.len(), self.want.len(), "{what}");
        let tolerance = ALLOWANCE * self.torch_f32_error + FLOOR * root_mean_square(&self.want);
        for (index, (&found, &want)) in found.iter().zip(&self.want).enumerate() {
            assert_near(&format!("{what}[{index}]"), found, want, tolerance);
        }
    }
}

/// A network's output: scores whole; of images the first two, and of each the mean and the mean magnitude.
#[derive(Deserialize)]
pub struct Output {
    #[serde(flatten)]
    first: Whole,
    mean: Option<Vec<f64>>,
    mean_magnitude: Option<Vec<f64>>,
}

impl Output {
    #[track_caller]
    pub fn assert(&self, what: &str, found: &Tensor) {
        let found: Vec<Vec<f64>> = (0..found.dims()[0]).map(|index| values(&found.get(index).unwrap())).collect();
        let width = found[0].len();
        self.first.assert(what, &found.concat()[..self.first.want.len()]);
        let tolerance = ALLOWANCE * self.first.torch_f32_error;
        for (index, want) in self.mean.iter().flatten().enumerate() {
            let mean = found[index].iter().sum::<f64>() / width as f64;
            assert_near(&format!("{what}: mean of image {index}"), mean, *want, tolerance);
        }
        for (index, want) in self.mean_magnitude.iter().flatten().enumerate() {
            let mean = found[index].iter().map(|value| value.abs()).sum::<f64>() / width as f64;
            assert_near(&format!("{what}: mean magnitude of image {index}"), mean, *want, tolerance);
        }
        if let Some(mean) = &self.mean {
            assert_eq!(mean.len(), found.len(), "{what}");
        }
    }
}

/// A tensor of which 16 elements (the first 8, and 8 from all over), the sum and the L2 norm are recorded.
#[derive(Deserialize)]
pub struct Summary {
    shape: Vec<usize>,
    elements: Vec<f64>,
    sum: f64,
    norm: f64,
    torch_f32_error: f64,
    torch_f32_median_error: f64,
    torch_f32_sum_error: f64,
}

impl Summary {
    fn count(&self) -> usize {
        self.shape.iter().product()
    }

    fn root_mean_square(&self) -> f64 {
        self.norm / (self.count() as f64).sqrt()
    }

    /// Where the recorded elements stand.
    fn positions(&self) -> impl Iterator<Item = usize> {
        let count = self.count();
        (0..count.min(8)).chain((0..8).map(move |part| (2 * part + 1) * count / 16))
    }

    /// Every recorded element, the sum and the norm.
    #[track_caller]
    pub fn assert(&self, what: &str, found: &Tensor) {
        let found = values(found);
        assert_eq!(found.len(), self.count(), "{what}");
        let tolerance = ALLOWANCE * self.torch_f32_error + FLOOR * self.root_mean_square();
        for (position, want) in self.positions().zip(&self.elements) {
            assert_near(&format!("{what}[{position}]"), found[position], *want, tolerance);
        }
        let sum_tolerance = ALLOWANCE * self.torch_f32_sum_error + FLOOR * self.norm;
        assert_near(&format!("{what}: sum"), found.iter().sum(), self.sum, sum_tolerance);
        let norm = root_mean_square(&found) * (found.len() as f64).sqrt();
        assert_near(&format!("{what}: norm"), norm, self.norm, tolerance * (found.len() as f64).sqrt());
    }

    /// The median error of the recorded elements, and the norm: single weights may differ by whole steps of Adam,
    /// which turns the rounding of a gradient that is nearly 0 into one.
    #[track_caller]
    pub fn assert_trained(&self, what: &str, found: &Tensor) {
        let found = values(found);
        assert_eq!(found.len(), self.count(), "{what}");
        let error = |(position, want): (usize, &f64)| (found[position] - want).abs();
        let mut errors: Vec<f64> = self.positions().zip(&self.elements).map(error).collect();
        errors.sort_by(f64::total_cmp);
        let tolerance = ALLOWANCE * self.torch_f32_median_error + FLOOR * self.root_mean_square();
        assert_near(&format!("{what}: median error"), errors[errors.len() / 2], 0.0, tolerance);
        let norm = root_mean_square(&found) * (found.len() as f64).sqrt();
        assert_near(&format!("{what}: norm"), norm, self.norm, NORM_TOLERANCE * self.norm);
    }
}

/// Tensors by name: exactly those that are recorded, each held by `assert` to its record.
#[track_caller]
pub fn assert_all(
    what: &str,
    want: &BTreeMap<String, Summary>,
    found: &BTreeMap<String, Tensor>,
    assert: fn(&Summary, &str, &Tensor),
) {
    assert!(want.keys().eq(found.keys()), "{what}: {:?} are not {:?}", found.keys(), want.keys());
    for (name, summary) in want {
        assert(summary, &format!("{what}: {name}"), &found[name]);
    }
}
