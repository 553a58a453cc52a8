//! Weights, latents and images from a name alone: the twin of the rule in `generate.py`, to the bit.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use gan::params::Parameters;

use crate::device::device;

const PIXELS: usize = 784;
const SIDE: i64 = 28;
const BLOBS: usize = 3;

/// `lowbias32` over a Weyl sequence that starts at the FNV-1a hash of `name`.
fn bits(name: &str) -> impl Fn(usize) -> u32 + use<> {
    let start = name.bytes().fold(0x811C_9DC5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    move |index| {
        let mut word = (index as u32).wrapping_mul(2_654_435_761).wrapping_add(start);
        word ^= word >> 16;
        word = word.wrapping_mul(0x7FEB_352D);
        word ^= word >> 15;
        word = word.wrapping_mul(0x846C_A68B);
        word ^ (word >> 16)
    }
}

/// `count` multiples of 2^-23 in [-1, 1), each exact in f32.
pub fn symmetric_values(name: &str, count: usize) -> Vec<f32> {
    (0..count).map(bits(name)).map(|word| (word >> 8) as f32 * (1.0 / 8_388_608.0) - 1.0).collect()
}

/// `count` bytes.
pub fn bytes(name: &str, count: usize) -> Vec<u8> {
    (0..count).map(bits(name)).map(|word| (word >> 24) as u8).collect()
}

pub fn symmetric(name: &str, shape: &[usize]) -> Tensor {
    Tensor::from_vec(symmetric_values(name, shape.iter().product()), shape, &device()).unwrap()
}

/// Images `first..first + count`, (count, 28, 28, 1): half a few paraboloids, half noise.
pub fn real_images(first: usize, count: usize) -> Tensor {
    let mut values = Vec::with_capacity(count * PIXELS);
    for image in first..first + count {
        let bits = bits(&format!("image.{image}"));
        let word = |index| i64::from(bits(index));
        let blobs: Vec<[i64; 3]> =
            (0..BLOBS).map(|blob| [0, 1, 2].map(|part| word(PIXELS + 3 * blob + part))).collect();
        for pixel in 0..PIXELS {
            let (row, column) = (pixel as i64 / SIDE, pixel as i64 % SIDE);
            let light = |&[center_row, center_column, size]: &[i64; 3]| {
                let radius_squared = (4 + size % 6).pow(2);
                let distance_squared = (row - center_row % SIDE).pow(2) + (column - center_column % SIDE).pow(2);
                255 * (radius_squared - distance_squared).max(0) / radius_squared
            };
            let noise = word(pixel) >> 24;
            let value = (blobs.iter().map(light).max().unwrap() + noise) / 2;
            values.push((2 * value) as f32 / 255.0 - 1.0);
        }
    }
    Tensor::from_vec(values, (count, 28, 28, 1), &device()).unwrap()
}

/// Views (2N, side, side, 3) of N images: the images, then as many of which half is the same.
pub fn views(name: &str, pairs: usize, side: usize) -> Tensor {
    let [left, noise] = ["left", "noise"].map(|part| symmetric(&format!("{name}.{part}"), &[pairs, side, side, 3]));
    let right = ((&left * 0.5).unwrap() + (noise * 0.5).unwrap()).unwrap();
    Tensor::cat(&[left, right], 0).unwrap()
}

/// The name of a tensor as it is without spectral norm: a weight's, and of its singular vectors `1._u` and `1._v`.
fn plain(name: &str) -> String {
    name.replace(".parametrizations.weight.original", ".weight").replace(".parametrizations.weight.0.", ".")
}

/// Overwrites the parameters of the network that `generate.py` calls `network`; batch-norm buffers become those of a
/// new layer, tokens and positions small. `gain` scales the weights of a layer; 1 gives PyTorch's default
/// bound.
pub fn fill(network: &str, parameters: &Parameters, gain: impl Fn(&str) -> f64) {
    let shapes: BTreeMap<String, Vec<usize>> =
        parameters.all().iter().map(|(name, variable)| (plain(name), variable.dims().to_vec())).collect();
    let tensors = parameters.all().into_iter().map(|(name, variable)| {
        let (plain, shape) = (plain(&name), variable.dims());
        let (layer, tensor) = plain.rsplit_once('.').unwrap();
        let drawn = || symmetric_values(&format!("{network}.{plain}"), shape.iter().product());
        // Of batch norms and of layer norms; other weights have two dimensions or more.
        let is_norm = shapes.get(&format!("{layer}.weight")).is_some_and(|weight| weight.len() == 1);
        let values: Vec<f32> = match tensor {
            "num_batches_tracked" => return (name, Tensor::zeros((), DType::I64, &device()).unwrap()),
            "running_mean" => vec![0.0; shape[0]],
            "running_var" => vec![1.0; shape[0]],
            "weight" if is_norm => drawn().iter().map(|u| gain(layer) as f32 * (1.0 + 0.1 * u)).collect(),
            "bias" if is_norm => drawn().iter().map(|u| 0.1 * u).collect(),
            "_u" | "_v" => drawn(),
            "cls_token" | "pos_embed" => drawn().iter().map(|u| 0.1 * u).collect(),
            _ => {
                let fan_in: usize = shapes[&format!("{layer}.weight")][1..].iter().product();
                let bound = (gain(layer) / (fan_in as f64).sqrt()) as f32;
                drawn().iter().map(|u| u * bound).collect()
            }
        };
        (name, Tensor::from_vec(values, shape, &device()).unwrap())
    });
    parameters.load(&tensors.collect()).unwrap();
}
