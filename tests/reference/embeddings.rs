//! NT-Xent of embeddings and the cross-entropy of scores, with their gradients.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use gan::losses::classification::cross_entropy;
use gan::losses::nt_xent::nt_xent;
use serde::Deserialize;

use super::rule::symmetric;
use super::vectors::{Whole, read_part, values};
use crate::device::device;

#[derive(Deserialize)]
struct Contrast {
    case: String,
    count: usize,
    dim: usize,
    scale: f64,
    temperature: f64,
    loss: Whole,
    left_gradient: Whole,
    right_gradient: Whole,
}

#[derive(Deserialize)]
struct Classification {
    scale: f64,
    loss: Whole,
    gradient: Whole,
}

/// Numbers of the rule, times `scale` in f32.
fn variable(name: &str, shape: &[usize], scale: f64) -> Var {
    Var::from_tensor(&(symmetric(name, shape) * scale).unwrap()).unwrap()
}

#[test]
fn nt_xent_and_its_gradients_are_pytorchs_from_0_01_to_100() {
    for (name, want) in read_part::<BTreeMap<String, Contrast>>("simclr", "nt_xents") {
        let view = |side| variable(&format!("nt_xent.{}.{side}", want.case), &[want.count, want.dim], want.scale);
        let (left, right) = (view("left"), view("right"));
        let loss = nt_xent(&left, &right, want.temperature).unwrap();
        let gradients = loss.backward().unwrap();
        want.loss.assert(&format!("{name}: loss"), &values(&loss));
        want.left_gradient.assert(&format!("{name}: left gradient"), &values(gradients.get(&left).unwrap()));
        want.right_gradient.assert(&format!("{name}: right gradient"), &values(gradients.get(&right).unwrap()));
    }
}

#[test]
fn cross_entropy_and_its_gradient_are_pytorchs() {
    let labels = Tensor::new(&[3u32, 1, 4, 1, 5, 9], &device()).unwrap();
    for (name, want) in read_part::<BTreeMap<String, Classification>>("simclr", "cross_entropies") {
        let scores = variable("cross_entropy.scores", &[6, 10], want.scale);
        let loss = cross_entropy(&scores, &labels).unwrap();
        let gradients = loss.backward().unwrap();
        want.loss.assert(&format!("{name}: loss"), &values(&loss));
        want.gradient.assert(&format!("{name}: gradient"), &values(gradients.get(&scores).unwrap()));
    }
}
