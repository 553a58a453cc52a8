//! Exponentials and what is made of them, for closures of [`vectorised`](crate::kernels::cpu::simd::vectorised): all of
//! it is inlined.

/// Below, exp is less than the smallest normal f32.
const LOWEST: f32 = -87.336_54;

/// exp(x) for x ≤ 0, with a relative error below 2e-7; 0 below -87.3. NaN stays NaN. Cephes' expf: x is
/// n log 2 + r, and exp(r) a polynomial.
#[inline(always)]
pub fn exp_below_zero(x: f32) -> f32 {
    /// 1.5 * 2^23: a small number added to it is rounded to an integer, which stands in the sum's last bits.
    const ROUNDING: f32 = 12_582_912.0;
    let inner = if x < LOWEST { LOWEST } else { x };
    let rounded = inner * std::f32::consts::LOG2_E + ROUNDING;
    let n = rounded - ROUNDING;
    let r = (inner - n * 0.693_359_4) - n * -2.121_944_4e-4; // log 2 in two parts, the first of few bits
    let mut polynomial = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        polynomial = polynomial * r + coefficient;
    }
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23); // 2^n
    let exp = (polynomial * r * r + r + 1.0) * power;
    if x < LOWEST { 0.0 } else { exp }
}

/// 1 / √(2π)
const DENSITY_AT_ZERO: f32 = 0.398_942_3;

/// Φ(x), the distribution function of the standard normal, with a relative error below 5e-6 for x ≥ -5 and an absolute
/// one below 3e-7. NaN stays NaN. By the complementary error function of Numerical Recipes (Press et al., section 6.2).
#[inline(always)]
pub fn normal_distribution(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let mut polynomial = 0.170_872_77;
    for coefficient in [
        -0.822_152_23,
        1.488_515_9,
        -1.135_204,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_7,
        -1.265_512_2,
    ] {
        polynomial = polynomial * t + coefficient;
    }
    let exponent = polynomial - z * z;
    // At 0 rounding may leave a little more than 0.
    let tail = 0.5 * t * exp_below_zero(if exponent > 0.0 { 0.0 } else { exponent });
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The density of the standard normal.
#[inline(always)]
pub fn normal_density(x: f32) -> f32 {
    DENSITY_AT_ZERO * exp_below_zero(-0.5 * x * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_below_zero_is_exp() {
        let mut worst = 0f64;
        for step in 0..=1_000_000 {
            let x = LOWEST * (step as f32 * 1e-6);
            let expected = f64::from(x).exp();
            worst = worst.max((f64::from(exp_below_zero(x)) - expected).abs() / expected);
        }
        assert!(worst <= 2e-7, "{worst}");
        assert_eq!([0.0, -0.0, -87.4, -1e30, f32::NEG_INFINITY].map(exp_below_zero), [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert!(exp_below_zero(f32::NAN).is_nan());
    }

    /// Against a sum of the density in f64.
    #[test]
    fn the_normal_distribution_is_the_integral_of_its_density() {
        const STEP: f64 = 1e-4;
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let mut integral = 0.0;
        for step in -120_000i32..120_000 {
            let x = f64::from(step) * STEP;
            let found = [normal_distribution(x as f32), normal_density(x as f32)].map(f64::from);
            assert!((found[0] - integral).abs() <= 3e-7, "Φ({x}): {} not {integral}", found[0]);
            assert!((found[1] - density(x)).abs() <= 2e-7, "φ({x})");
            if x >= -5.0 {
                assert!((found[0] - integral).abs() <= 5e-6 * integral, "Φ({x}): {} not {integral}", found[0]);
            }
            // Simpson's rule.
            integral += STEP / 6.0 * (density(x) + 4.0 * density(x + 0.5 * STEP) + density(x + STEP));
        }
        assert_eq!([f32::NEG_INFINITY, f32::INFINITY].map(normal_distribution), [0.0, 1.0]);
        assert_eq!(normal_density(f32::INFINITY), 0.0);
        assert!(normal_distribution(f32::NAN).is_nan() && normal_density(f32::NAN).is_nan());
    }
}
