//! What vision transformers are made of: layer norm, GELU, attention, tokens.

use candle_core::{DType, Result, Tensor};
use gan::ops;

use super::{assert_finite_differences, assert_parity, evaluate, generator, random, values};
use crate::device::device;

fn layer_norm(x: &[Tensor]) -> Result<Tensor> {
    ops::layer_norm(&x[0], &x[1], &x[2], 1e-6)
}

fn layer_norm_inputs(dims: &[usize]) -> Vec<Tensor> {
    let (mut generator, width) = (generator("layer_norm"), dims[dims.len() - 1]);
    [dims, &[width], &[width]].map(|dims| random(&mut generator, dims)).to_vec()
}

#[test]
fn layer_norm_agrees_with_its_twin() {
    for dims in [&[2, 65, 192][..], &[1, 1, 3], &[7, 17], &[3, 33], &[300, 129], &[2, 50_000]] {
        assert_parity(&layer_norm, &layer_norm_inputs(dims), &format!("{dims:?}"));
    }
}

#[test]
fn layer_norm_gradient_agrees_with_finite_differences() {
    assert_finite_differences(&layer_norm, &layer_norm_inputs(&[4, 3, 19]), "layer_norm");
}

/// A mean of a thousand deviations takes three digits, not all; and a row of one value is 0, not NaN.
#[test]
fn layer_norm_of_shifted_and_of_constant_rows() {
    let [x, weight, bias] = &layer_norm_inputs(&[5, 40])[..] else { unreachable!() };
    let expected = values(&ops::layer_norm(x, weight, bias, 1e-6).unwrap());
    let shifted = values(&ops::layer_norm(&(x + 600.0).unwrap(), weight, bias, 1e-6).unwrap());
    for (found, expected) in shifted.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-3, "{found} for {expected}");
    }
    let constant = Tensor::full(3f32, (2, 40), &device()).unwrap();
    let results = evaluate(&layer_norm, &[constant, weight.clone(), bias.clone()], DType::F32);
    assert!(results.iter().flat_map(values).all(f64::is_finite));
    assert_eq!(values(&results[0])[..40], values(bias)[..]);
}

#[test]
fn gelu_agrees_with_its_twin() {
    let mut generator = generator("gelu");
    for dims in [&[2, 4, 768][..], &[1], &[33, 1009], &[40_001]] {
        let x = (random(&mut generator, dims) * 6.0).unwrap();
        assert_parity(&|x| ops::gelu(&x[0]), &[x], &format!("{dims:?}"));
    }
}

#[test]
fn gelu_gradient_agrees_with_finite_differences() {
    let x = (random(&mut generator("gelu"), &[5, 4, 3]) * 3.0).unwrap();
    assert_finite_differences(&|x| ops::gelu(&x[0]), &[x], "gelu");
}

/// `torch.nn.functional.gelu(torch.tensor([...], dtype=torch.float64))`
#[test]
fn gelu_at_its_ends_is_pytorchs() {
    let x = Tensor::new(&[-10f32, -5.0, -1.0, 0.0, 1.0, 5.0, 100.0, f32::NAN, f32::INFINITY], &device()).unwrap();
    let want = [-7.6198530241605e-23, -1.4332578593999e-6, -0.15865525393146, 0.0, 0.84134474606854, 4.9999985667421];
    let found = values(&ops::gelu(&x).unwrap());
    for (found, want) in found.iter().zip(want) {
        assert!((found - want).abs() <= 2e-6 * want.abs() + 1e-30, "{found} is not {want}");
    }
    assert_eq!((found[6], found[8]), (100.0, f64::INFINITY));
    assert!(found[7].is_nan());
}

fn attention(x: &[Tensor]) -> Result<Tensor> {
    ops::attention(&x[0], 3)
}

#[test]
fn attention_agrees_with_its_twin() {
    let mut generator = generator("attention");
    // The size of the network at 32 pixels, an odd one, one of more tokens than a factor is read apart, a single token.
    for dims in [[2, 65, 3 * 192], [3, 7, 3 * 3 * 5], [1, 200, 3 * 3 * 8], [4, 1, 9]] {
        let qkv = (random(&mut generator, &dims) * 2.0).unwrap();
        assert_parity(&attention, &[qkv], &format!("{dims:?}"));
    }
}

#[test]
fn attention_gradient_agrees_with_finite_differences() {
    assert_finite_differences(&attention, &[random(&mut generator("attention"), &[2, 6, 36])], "attention");
}

/// Scores of ten thousand: each token takes one value alone.
#[test]
fn attention_of_large_scores_is_finite() {
    let qkv = (random(&mut generator("attention"), &[2, 9, 36]) * 200.0).unwrap();
    assert!(evaluate(&attention, &[qkv], DType::F32).iter().flat_map(values).all(f64::is_finite));
}

#[test]
fn tokens_agree_with_their_twins() {
    let mut generator = generator("tokens");
    for (count, patches, width) in [(3, 64, 192), (5, 1, 7), (70, 12, 100)] {
        let dims = [vec![count, patches, width], vec![1, 1, width], vec![1, patches + 1, width]];
        let inputs = dims.map(|dims| random(&mut generator, &dims));
        let what = format!("{count} of {patches} x {width}");
        assert_parity(&|x| ops::prepend_token(&x[0], &x[1], &x[2]), &inputs, &what);
        assert_parity(&|x| ops::first_token(&x[0]), &inputs[..1], &what);
    }
}
