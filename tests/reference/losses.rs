//! The adversarial losses and their gradients: the assignment's scores, drawn ones, and scores up to ±1e4.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use clap::ValueEnum;
use gan::losses::adversarial::AdversarialLoss;
use serde::Deserialize;

use super::vectors::{Whole, read, values};
use crate::device::device;

#[derive(Deserialize)]
struct Record {
    real_scores: Vec<f64>,
    fake_scores: Vec<f64>,
    #[serde(flatten)]
    losses: BTreeMap<String, Loss>,
}

#[derive(Deserialize)]
struct Loss {
    d_loss: Whole,
    d_gradient_real: Whole,
    d_gradient_fake: Whole,
    g_loss: Whole,
    g_gradient_fake: Whole,
}

fn variable(scores: &[f64]) -> Var {
    let scores: Vec<f32> = scores.iter().map(|&score| score as f32).collect();
    Var::from_tensor(&Tensor::from_vec(scores.clone(), (scores.len(), 1), &device()).unwrap()).unwrap()
}

#[test]
fn losses_and_gradients_are_pytorchs() {
    for (case, record) in read::<BTreeMap<String, Record>>("losses") {
        assert_eq!(record.losses.len(), AdversarialLoss::value_variants().len(), "{case}");
        for (name, want) in &record.losses {
            let loss = AdversarialLoss::from_str(name, false).unwrap();
            let (real_scores, fake_scores) = (variable(&record.real_scores), variable(&record.fake_scores));
            let d_loss = loss.discriminator(&real_scores, &fake_scores, 0.0).unwrap();
            let g_loss = loss.generator(&fake_scores, Some(&real_scores.detach())).unwrap();
            let (d_gradients, g_gradients) = (d_loss.backward().unwrap(), g_loss.backward().unwrap());
            let what = |part| format!("{case} scores: {name}: {part}");
            want.d_loss.assert(&what("d_loss"), &values(&d_loss));
            want.d_gradient_real.assert(&what("d_gradient_real"), &values(d_gradients.get(&real_scores).unwrap()));
            want.d_gradient_fake.assert(&what("d_gradient_fake"), &values(d_gradients.get(&fake_scores).unwrap()));
            want.g_loss.assert(&what("g_loss"), &values(&g_loss));
            want.g_gradient_fake.assert(&what("g_gradient_fake"), &values(g_gradients.get(&fake_scores).unwrap()));
        }
    }
}
