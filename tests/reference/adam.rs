//! Five updates of one parameter, whose gradients span six powers of 16.

use std::collections::BTreeMap;

use candle_nn::Init;
use gan::optim::{AdamConfig, Optimizer};
use gan::params::Parameters;
use serde::Deserialize;

use super::rule::{symmetric, symmetric_values};
use super::vectors::{Whole, read, values};
use crate::device::device;

const COUNT: usize = 12;

#[derive(Deserialize)]
struct Record {
    settings: Settings,
    #[serde(flatten)]
    after: BTreeMap<String, Whole>,
}

#[derive(Deserialize)]
struct Settings {
    lr: f64,
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
}

/// The gradient of update `step`: drawn, and scaled by 1, 1/16, 1/256, ... in turn.
fn gradient(step: usize) -> candle_core::Tensor {
    let drawn = symmetric_values(&format!("adam.gradient.{step}"), COUNT);
    let scaled: Vec<f32> = drawn.iter().enumerate().map(|(index, u)| u * 16f32.powi(-(index as i32 % 6))).collect();
    candle_core::Tensor::from_vec(scaled, COUNT, &device()).unwrap()
}

#[test]
fn adam_is_pytorchs_with_and_without_weight_decay() {
    for (case, Record { settings, after }) in read::<BTreeMap<String, Record>>("adam") {
        let parameters = Parameters::new(0, "reference", &device());
        parameters.builder().get_with_hints(COUNT, "parameter", Init::Const(0.0)).unwrap();
        parameters.load(&[("parameter".to_string(), symmetric("adam.parameter", &[COUNT]))].into()).unwrap();
        let [beta1, beta2] = settings.betas;
        let Settings { lr, eps, weight_decay, .. } = settings;
        let mut adam =
            Optimizer::adam(parameters.trainable(), AdamConfig { lr, beta1, beta2, eps, weight_decay }).unwrap();
        let (_, parameter) = parameters.trainable().remove(0);
        for step in 0..after.len() {
            // The gradient of sum(parameter * gradient) is the gradient that was asked for, exactly.
            let loss = (parameter.as_tensor() * gradient(step)).unwrap().sum_all().unwrap();
            adam.prepare(lr).unwrap();
            adam.minimise(&loss, None).unwrap();
            after[&format!("after_{}", step + 1)].assert(&format!("{case}: update {step}"), &values(&parameter));
        }
    }
}
