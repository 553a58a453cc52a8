//! SGD and LARS on one parameter at changing rates, and the rates of a cosine.

use std::collections::BTreeMap;

use candle_nn::Init;
use gan::optim::{Decay, Optimizer, Schedule, SgdConfig};
use gan::params::Parameters;
use serde::Deserialize;

use super::rule::symmetric;
use super::vectors::{Whole, read_part, values};
use crate::device::device;

#[derive(Deserialize)]
struct Record {
    shape: Vec<usize>,
    /// Of each step.
    rates: Vec<f64>,
    momentum: f64,
    weight_decay: f64,
    trust: Option<f64>,
    after: BTreeMap<String, Whole>,
}

#[derive(Deserialize)]
struct Cosine {
    peak: f64,
    rates: Vec<f64>,
}

#[test]
fn sgd_is_pytorchs_and_lars_simclrs() {
    for (case, Record { shape, rates, momentum, weight_decay, trust, after }) in
        read_part::<BTreeMap<String, Record>>("simclr", "sgds")
    {
        let parameters = Parameters::new(0, "reference", &device());
        parameters.builder().get_with_hints(shape.as_slice(), "parameter", Init::Const(0.0)).unwrap();
        parameters.load(&[("parameter".to_string(), symmetric("sgd.parameter", &shape))].into()).unwrap();
        let mut sgd = Optimizer::sgd(parameters.trainable(), SgdConfig { momentum, weight_decay, trust }).unwrap();
        let (_, parameter) = parameters.trainable().remove(0);
        for (step, rate) in rates.into_iter().enumerate() {
            // The gradient of sum(parameter * gradient) is the gradient that was asked for, exactly.
            let gradient = symmetric(&format!("sgd.gradient.{step}"), &shape);
            let loss = (parameter.as_tensor() * gradient).unwrap().sum_all().unwrap();
            sgd.prepare(rate).unwrap();
            sgd.minimise(&loss, None).unwrap();
            after[&format!("after_{}", step + 1)].assert(&format!("{case}: update {step}"), &values(&parameter));
        }
    }
}

#[test]
fn the_cosine_is_pytorchs() {
    let Cosine { peak, rates } = read_part("simclr", "cosines");
    let schedule = Schedule { peak, warmup_steps: 0, steps: rates.len() as u64, decay: Decay::Cosine };
    for (step, want) in rates.into_iter().enumerate() {
        let found = schedule.rate(step as u64);
        assert!((found - want).abs() <= 1e-12, "step {step}: {found} is not {want}");
    }
}
