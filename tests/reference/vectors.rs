//! What `generate.py` wrote, and how it is compared: a number may be as far from PyTorch's f64 as a few times
//! PyTorch's own f32 is.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How many times PyTorch's own rounding is allowed: another order of summation rounds otherwise, and the recorded
/// error is one draw.
const ALLOWANCE: f64 = 20.0;

/// The smallest tolerance, relative to the root mean square of a tensor: where PyTorch's error happens to be 0. Of a sum
/// also relative to the sum: rounding in what all elements have as a factor moves it so.
const FLOOR: f64 = 1e-6;

/// By how much a weight may differ after one step of SGD.
const STEP_TOLERANCE: f64 = 1e-6;

/// The median error of a trained tensor, as a share of the way that its weights can have gone.
const SHARE_OF_REACH: f64 = 1e-3;

/// Of a trained tensor's norm, relative; and how many times PyTorch's own spread, where that is larger.
const NORM_TOLERANCE: f64 = 1e-4;
const NORM_ALLOWANCE: f64 = 5.0;

pub fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/reference/{name}.json", crate::support::repository());
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One part of such a file.
pub fn read_part<T: DeserializeOwned>(name: &str, part: &str) -> T {
    let mut parts: serde_json::Value = read(name);
    serde_json::from_value(parts[part].take()).unwrap_or_else(|error| panic!("{part} of {name}.json: {error}"))
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_device(&Device::Cpu).unwrap().flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
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

/// How a tensor is held to its record.
pub trait Held {
    fn hold(&self, what: &str, found: &Tensor);
}

/// Where the recorded elements of a tensor of `count` stand: the first 8, and 8 from all over.
fn positions(count: usize) -> impl Iterator<Item = usize> {
    (0..count.min(8)).chain((0..8).map(move |part| (2 * part + 1) * count / 16))
}

/// A tensor of which 16 elements, the sum and the L2 norm are recorded.
#[derive(Deserialize)]
pub struct Summary {
    shape: Vec<usize>,
    elements: Vec<f64>,
    sum: f64,
    norm: f64,
    torch_f32_error: f64,
    torch_f32_sum_error: f64,
}

impl Held for Summary {
    fn hold(&self, what: &str, found: &Tensor) {
        let found = values(found);
        let count = found.len();
        assert_eq!(count, self.shape.iter().product::<usize>(), "{what}");
        let root_count = (count as f64).sqrt();
        let tolerance = ALLOWANCE * self.torch_f32_error + FLOOR * self.norm / root_count;
        for (position, want) in positions(count).zip(&self.elements) {
            assert_near(&format!("{what}[{position}]"), found[position], *want, tolerance);
        }
        let sum_tolerance = ALLOWANCE * self.torch_f32_sum_error + FLOOR * (self.norm + self.sum.abs());
        assert_near(&format!("{what}: sum"), found.iter().sum(), self.sum, sum_tolerance);
        let norm = root_mean_square(&found) * root_count;
        assert_near(&format!("{what}: norm"), norm, self.norm, tolerance * root_count);
    }
}

/// A tensor of which some elements from all over, at equal distances, and the L2 norm are recorded.
#[derive(Deserialize)]
pub struct Glimpse {
    shape: Vec<usize>,
    elements: Vec<f64>,
    norm: f64,
    /// The largest of any element, in several runs.
    torch_f32_error: f64,
}

impl Glimpse {
    /// Of a gradient: that a step of SGD at this `rate` moves each weight as PyTorch's f64 does.
    pub fn hold_step(&self, what: &str, found: &Tensor, rate: f64) {
        assert_eq!(found.dims(), self.shape, "{what}");
        let found = values(found);
        for (position, want) in spread(found.len(), self.elements.len()).zip(&self.elements) {
            assert_near(&format!("{what}[{position}], a step"), rate * found[position], rate * want, STEP_TOLERANCE);
        }
    }

    /// Every recorded element to within `tolerance` of the root mean square, and the norm to within that.
    pub fn hold_relative(&self, what: &str, found: &Tensor, tolerance: f64) {
        assert_eq!(found.dims(), self.shape, "{what}");
        let found = values(found);
        let size = self.norm / (found.len() as f64).sqrt();
        for (position, want) in spread(found.len(), self.elements.len()).zip(&self.elements) {
            assert_near(&format!("{what}[{position}]"), found[position], *want, tolerance * size);
        }
        let norm = root_mean_square(&found) * (found.len() as f64).sqrt();
        assert_near(&format!("{what}: norm"), norm, self.norm, tolerance * self.norm);
    }

    /// As [`Held::hold`], with `more` added to the tolerance, relative to the root mean square.
    pub fn hold_within(&self, what: &str, found: &Tensor, more: f64) {
        assert_eq!(found.dims(), self.shape, "{what}");
        let found = values(found);
        let root_count = (found.len() as f64).sqrt();
        let tolerance = ALLOWANCE * self.torch_f32_error + (FLOOR + more) * self.norm / root_count;
        for (position, want) in spread(found.len(), self.elements.len()).zip(&self.elements) {
            assert_near(&format!("{what}[{position}]"), found[position], *want, tolerance);
        }
        let norm = root_mean_square(&found) * root_count;
        assert_near(&format!("{what}: norm"), norm, self.norm, tolerance * root_count);
    }
}

impl Held for Glimpse {
    fn hold(&self, what: &str, found: &Tensor) {
        self.hold_within(what, found, 0.0);
    }
}

/// The middles of `parts` parts of `0..count`.
fn spread(count: usize, parts: usize) -> impl Iterator<Item = usize> {
    (0..parts).map(move |part| (2 * part + 1) * count / (2 * parts))
}

/// A tensor after training. Single weights may differ by whole steps of Adam, which makes one of the rounding of a
/// gradient that is nearly 0: what is held is the median error of the recorded elements, and the norm.
#[derive(Deserialize)]
pub struct Trained {
    shape: Vec<usize>,
    elements: Vec<f64>,
    norm: f64,
    /// How far Adam can have moved a weight, about.
    reach: f64,
    torch_f32_median_spread: f64,
    /// Relative, where it was recorded.
    #[serde(default)]
    torch_f32_norm_spread: f64,
}

impl Held for Trained {
    fn hold(&self, what: &str, found: &Tensor) {
        let found = values(found);
        let count = found.len();
        assert_eq!(count, self.shape.iter().product::<usize>(), "{what}");
        let root_count = (count as f64).sqrt();
        let error = |(position, want): (usize, &f64)| (found[position] - want).abs();
        let mut errors: Vec<f64> = positions(count).zip(&self.elements).map(error).collect();
        errors.sort_by(f64::total_cmp);
        let tolerance = (ALLOWANCE * self.torch_f32_median_spread).max(SHARE_OF_REACH * self.reach);
        assert_near(&format!("{what}: median error"), errors[errors.len() / 2], 0.0, tolerance);
        let norm = root_mean_square(&found) * root_count;
        let norm_tolerance = NORM_TOLERANCE.max(NORM_ALLOWANCE * self.torch_f32_norm_spread);
        assert_near(&format!("{what}: norm"), norm, self.norm, norm_tolerance * self.norm);
    }
}

/// Tensors by name: exactly those that are recorded.
pub fn assert_all<T: Held>(what: &str, want: &BTreeMap<String, T>, found: &BTreeMap<String, Tensor>) {
    assert!(want.keys().eq(found.keys()), "{what}: {:?} are not {:?}", found.keys(), want.keys());
    for (name, record) in want {
        record.hold(&format!("{what}: {name}"), &found[name]);
    }
}
