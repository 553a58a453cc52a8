use super::Interpolation;

/// The latent at `t` in [0, 1] of the way from `from` to `to`.
pub fn interpolate(from: &[f32], to: &[f32], t: f32, interpolation: Interpolation) -> Vec<f32> {
    let mix = |a: f32, b: f32| from.iter().zip(to).map(|(from, to)| a * from + b * to).collect();
    let norm = |latent: &[f32]| latent.iter().map(|value| value * value).sum::<f32>().sqrt();
    let cosine = from.iter().zip(to).map(|(from, to)| from * to).sum::<f32>() / (norm(from) * norm(to));
    let angle = cosine.clamp(-1.0, 1.0).acos();
    // Where the two point the same way, or either is zero, the arc is the line.
    if interpolation == Interpolation::Linear || angle.is_nan() || angle.sin() < 1e-4 {
        return mix(1.0 - t, t);
    }
    mix(((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_begin_and_end_at_their_latents() {
        let (from, to) = ([1.0, 0.5, 0.0], [0.0, 0.5, -1.0]);
        for interpolation in [Interpolation::Spherical, Interpolation::Linear] {
            for (t, end) in [(0.0, from), (1.0, to)] {
                let found = interpolate(&from, &to, t, interpolation);
                assert!(found.iter().zip(end).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
            }
        }
    }

    #[test]
    fn the_arc_keeps_the_norm_and_the_line_does_not() {
        let norm = |latent: Vec<f32>| latent.iter().map(|value| value * value).sum::<f32>().sqrt();
        let (from, to) = ([1.0, 0.0], [0.0, 1.0]);
        assert!((norm(interpolate(&from, &to, 0.5, Interpolation::Spherical)) - 1.0).abs() < 1e-6);
        assert!((norm(interpolate(&from, &to, 0.5, Interpolation::Linear)) - 0.5f32.sqrt()).abs() < 1e-6);
        assert_eq!(interpolate(&[0.0; 2], &to, 0.5, Interpolation::Spherical), [0.0, 0.5]);
    }
}
