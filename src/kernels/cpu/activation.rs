//! Activations of values that are in the cache, and their gradients.

use crate::kernels::activation::Activation;
use crate::kernels::cpu::simd::vectorised;

/// tanh by the rational approximation of Eigen and XLA: odd, within [-1, 1], absolute error below 5e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let x = x.clamp(-7.905_311, 7.905_311); // beyond, tanh is 1 in f32; NaN passes
    let y = x * x;
    let mut odd = -2.760_768_5e-16;
    for coefficient in [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619e-4, 4.893_524_6e-3] {
        odd = odd * y + coefficient;
    }
    let mut even = 1.198_258_4e-6;
    for coefficient in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
        even = even * y + coefficient;
    }
    (x * odd / even).clamp(-1.0, 1.0)
}

/// The comparisons are such that NaN stays NaN: `max(NaN, 0)` would be 0 and hide that training has diverged.
#[inline(always)]
pub fn activate_all(values: &mut [f32], activation: Activation) {
    match activation {
        Activation::Identity => {}
        Activation::Relu => values.iter_mut().for_each(|x| *x = if *x <= 0.0 { 0.0 } else { *x }),
        Activation::LeakyRelu(slope) => {
            values.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { *x * slope });
        }
        Activation::Tanh => values.iter_mut().for_each(|x| *x = tanh(*x)),
    }
}

/// The activation of values that are in the cache.
pub fn activate_in_place(values: &mut [f32], activation: Activation) {
    if activation != Activation::Identity {
        vectorised(
            #[inline(always)]
            || activate_all(values, activation),
        );
    }
}

/// The gradient before the activation, from that after it and from the activation's output. As PyTorch: NaN in the
/// output lets relu's gradient pass.
pub fn through_activation(gradient: &[f32], output: &[f32], activation: Activation, into: &mut [f32]) {
    let each = gradient.iter().zip(output);
    vectorised(
        #[inline(always)]
        || match activation {
            Activation::Identity => into.copy_from_slice(gradient),
            Activation::Relu => {
                into.iter_mut().zip(each).for_each(|(d, (g, y))| *d = if *y <= 0.0 { 0.0 } else { *g });
            }
            Activation::LeakyRelu(slope) => {
                into.iter_mut().zip(each).for_each(|(d, (g, y))| *d = if *y > 0.0 { *g } else { *g * slope });
            }
            Activation::Tanh => into.iter_mut().zip(each).for_each(|(d, (g, y))| *d = *g * (1.0 - *y * *y)),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_close_odd_and_bounded() {
        let mut worst = 0f64;
        for step in -1_000_000..=1_000_000 {
            let x = step as f32 * 1e-5;
            let y = tanh(x);
            worst = worst.max((f64::from(y) - f64::from(x).tanh()).abs());
            assert!(y.abs() <= 1.0 && tanh(-x) == -y, "tanh({x}) = {y}");
        }
        assert!(worst <= 5e-7, "{worst}");
        assert!((tanh(f32::INFINITY) - 1.0).abs() < 5e-7);
        assert!((tanh(f32::NEG_INFINITY) + 1.0).abs() < 5e-7);
        assert!(tanh(f32::NAN).is_nan());
    }
}
