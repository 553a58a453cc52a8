use crate::kernels::cpu::parallel::{self, write_tiles};

/// Σ u (W v), in f64 row by row.
fn sigma(weight: &[f32], u: &[f32], v: &[f32]) -> f64 {
    let row = |row: usize| {
        let values = weight[row * v.len()..(row + 1) * v.len()].iter().zip(v);
        f64::from(u[row]) * values.map(|(w, v)| f64::from(*w) * f64::from(*v)).sum::<f64>()
    };
    parallel::map(u.len(), row).into_iter().sum()
}

/// W / σ.
pub fn forward(weight: &[f32], u: &[f32], v: &[f32]) -> Vec<f32> {
    let inverse = (1.0 / sigma(weight, u, v)) as f32;
    let (normalised, _) = write_tiles(weight.len(), v.len(), |row, output| {
        let values = &weight[row * v.len()..(row + 1) * v.len()];
        output.iter_mut().zip(values).for_each(|(output, w)| *output = w * inverse);
    });
    normalised
}

/// From the gradient G of W / σ that of W: G / σ - (Σ G W) / σ² u vᵀ.
pub fn backward(weight: &[f32], u: &[f32], v: &[f32], gradient: &[f32]) -> Vec<f32> {
    let sigma = sigma(weight, u, v);
    let row = |row: usize| {
        let range = row * v.len()..(row + 1) * v.len();
        let values = gradient[range.clone()].iter().zip(&weight[range]);
        values.map(|(g, w)| f64::from(*g) * f64::from(*w)).sum::<f64>()
    };
    let along: f64 = parallel::map(u.len(), row).into_iter().sum();
    let (inverse, share) = ((1.0 / sigma) as f32, along / (sigma * sigma));
    let (before, _) = write_tiles(weight.len(), v.len(), |row, before| {
        let of_row = (share * f64::from(u[row])) as f32;
        let values = gradient[row * v.len()..(row + 1) * v.len()].iter().zip(v);
        before.iter_mut().zip(values).for_each(|(before, (g, v))| *before = g * inverse - of_row * v);
    });
    before
}
