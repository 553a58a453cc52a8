//! SimCLR's contrastive loss.

use candle_core::{D, Result, Tensor, bail};

/// Keeps the direction of an embedding defined, and its gradient finite, where its length is 0.
const EPS: f64 = 1e-24;

/// The normalised temperature-scaled cross-entropy of 2N embeddings, two views of N images: `left` (N, D) and `right`
/// (N, D), row k of each a view of image k. A scalar (Chen et al., 2002.05709, equation 1 and algorithm 1).
///
/// With s(i, j) the cosine of embeddings i and j, the loss of i with its other view j is
/// -log(exp(s(i, j) / t) / Σ_{k ≠ i} exp(s(i, k) / t)), and the loss is its mean over all 2N embeddings.
///
/// It is finite for any temperature above 0 and embeddings of any length: each row's largest similarity is taken out
/// before the exponential.
pub fn nt_xent(left: &Tensor, right: &Tensor, temperature: f64) -> Result<Tensor> {
    let (count, dim) = left.dims2()?;
    if right.dims() != [count, dim] || count == 0 {
        bail!("nt_xent: expected two (N, D) of one shape, found {:?} and {:?}", left.dims(), right.dims())
    }
    if !(temperature > 0.0 && temperature.is_finite()) {
        bail!("nt_xent: the temperature must be above 0, found {temperature}")
    }
    let directions = normalised(&Tensor::cat(&[left, right], 0)?)?; // (2N, D)
    let logits = (directions.matmul(&directions.t()?)? * (1.0 / temperature))?; // (2N, 2N)
    let others = without_diagonal(&logits)?; // (2N, 2N), -inf where a view meets itself
    let largest = others.max_keepdim(D::Minus1)?.detach(); // (2N, 1)
    let log_sum = (others.broadcast_sub(&largest)?.exp()?.sum_keepdim(D::Minus1)?.log()? + largest)?; // (2N, 1)
    let (of_left, of_right) = (directions.narrow(0, 0, count)?, directions.narrow(0, count, count)?);
    let positive = ((of_left * of_right)?.sum_keepdim(D::Minus1)? * (1.0 / temperature))?; // (N, 1)
    // Both views of a pair have the same positive.
    log_sum.mean_all()? - positive.mean_all()?
}

/// Each row of x (N, D) divided by its length.
pub fn normalised(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&(x.sqr()?.sum_keepdim(D::Minus1)? + EPS)?.sqrt()?)
}

fn without_diagonal(x: &Tensor) -> Result<Tensor> {
    let count = x.dim(0)?;
    let diagonal: Vec<u8> = (0..count * count).map(|place| u8::from(place / count == place % count)).collect();
    let diagonal = Tensor::from_vec(diagonal, (count, count), x.device())?;
    diagonal.where_cond(&(x.ones_like()? * f64::NEG_INFINITY)?, x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    use crate::rng::Stream;

    const LEFT: [[f32; 3]; 2] = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    const RIGHT: [[f32; 3]; 2] = [[0.0, 8.0, 3.0], [10.0, 4.0, 9.0]];

    fn embeddings(name: &str, count: usize, dim: usize) -> Tensor {
        let mut generator = Stream::new(0, name).at(0);
        let values: Vec<f32> = (0..count * dim).map(|_| generator.symmetric()).collect();
        Tensor::from_vec(values, (count, dim), &Device::Cpu).unwrap()
    }

    fn value(loss: &Tensor) -> f64 {
        loss.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
    }

    /// Equation 1, pair by pair, in f64.
    fn by_loops(left: &Tensor, right: &Tensor, temperature: f64) -> f64 {
        let rows = |x: &Tensor| x.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
        let views = [rows(left), rows(right)].concat();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
        let count = views.len();
        let of_one = |i: usize| {
            let similarity = |k: usize| cosine(&views[i], &views[k]) / temperature;
            let sum: f64 = (0..count).filter(|&k| k != i).map(|k| similarity(k).exp()).sum();
            sum.ln() - similarity((i + count / 2) % count)
        };
        (0..count).map(of_one).sum::<f64>() / count as f64
    }

    #[test]
    fn the_assignments_values_come_out() {
        let left = Tensor::new(&LEFT, &Device::Cpu).unwrap();
        let right = Tensor::new(&RIGHT, &Device::Cpu).unwrap();
        for (temperature, expected) in [(1.0, 1.05379963), (5.0, 1.08834553)] {
            let found = value(&nt_xent(&left, &right, temperature).unwrap());
            assert!((found - expected).abs() / expected < 1e-6, "{found} is not {expected}");
        }
        let cosines = (normalised(&left).unwrap() * normalised(&right).unwrap()).unwrap().sum(1).unwrap();
        for (found, expected) in cosines.to_vec1::<f32>().unwrap().into_iter().zip([0.78201401, 0.92560649]) {
            assert!((f64::from(found) - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn it_is_the_papers_equation_at_any_temperature() {
        for (count, dim) in [(1, 4), (2, 3), (7, 16), (64, 128)] {
            let (left, right) = (embeddings("left", count, dim), embeddings("right", count, dim));
            for temperature in [0.01, 0.05, 0.5, 1.0, 10.0, 100.0] {
                let found = value(&nt_xent(&left, &right, temperature).unwrap());
                let expected = by_loops(&left, &right, temperature);
                // At 0.01 a rounding error of a cosine is a hundred times as large in the loss.
                let tolerance = 1e-6 * (1.0 + 1.0 / temperature);
                assert!((found - expected).abs() < tolerance, "{count} at {temperature}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn it_is_symmetric_and_blind_to_the_order_and_the_length_of_the_embeddings() {
        let (left, right) = (embeddings("left", 8, 16), embeddings("right", 8, 16));
        let loss = value(&nt_xent(&left, &right, 0.5).unwrap());
        assert!((loss - value(&nt_xent(&right, &left, 0.5).unwrap())).abs() < 1e-6);
        let order = Tensor::new(&[3u32, 1, 4, 0, 7, 6, 2, 5], &Device::Cpu).unwrap();
        let shuffled = |x: &Tensor| x.index_select(&order, 0).unwrap();
        assert!((loss - value(&nt_xent(&shuffled(&left), &shuffled(&right), 0.5).unwrap())).abs() < 1e-6);
        let scaled = nt_xent(&(&left * 1e4).unwrap(), &(&right * 1e-4).unwrap(), 0.5).unwrap();
        assert!((loss - value(&scaled)).abs() < 1e-6);
        assert!((loss - value(&nt_xent(&left, &left.neg().unwrap(), 0.5).unwrap())).abs() > 0.1, "pairs matter");
    }

    #[test]
    fn gradients_are_those_of_central_differences() {
        let (count, dim, temperature) = (5, 7, 0.5);
        let wide = |name| embeddings(name, count, dim).to_dtype(DType::F64).unwrap();
        let (left, right) = (Var::from_tensor(&wide("left")).unwrap(), wide("right"));
        let gradients = nt_xent(&left, &right, temperature).unwrap().backward().unwrap();
        let gradient = gradients.get(&left).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let at = |place: usize, change: f64| {
            let mut values = left.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            values[place] += change;
            let moved = Tensor::from_vec(values, (count, dim), &Device::Cpu).unwrap();
            value(&nt_xent(&moved, &right, temperature).unwrap())
        };
        for (place, gradient) in gradient.into_iter().enumerate() {
            let expected = (at(place, 1e-5) - at(place, -1e-5)) / 2e-5;
            assert!((gradient - expected).abs() < 1e-8, "at {place}: {gradient}, not {expected}");
        }
    }

    #[test]
    fn gradients_are_finite_at_identical_opposite_and_vanishing_views() {
        let x = embeddings("left", 6, 8);
        let one = x.narrow(0, 0, 1).unwrap().broadcast_as((6, 8)).unwrap().contiguous().unwrap();
        let nothing = x.zeros_like().unwrap();
        let cases = [(&x, x.clone()), (&x, x.neg().unwrap()), (&one, one.clone()), (&one, one.neg().unwrap())];
        let cases = cases.into_iter().chain([(&nothing, nothing.clone()), (&x, nothing.clone())]);
        for (left, right) in cases {
            for temperature in [0.01, 0.5, 100.0] {
                let (left, right) = (Var::from_tensor(left).unwrap(), Var::from_tensor(&right).unwrap());
                let loss = nt_xent(&left, &right, temperature).unwrap();
                assert!(value(&loss).is_finite());
                let gradients = loss.backward().unwrap();
                for view in [&left, &right] {
                    let values = gradients.get(view).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    assert!(values.iter().all(|g| g.is_finite()), "{temperature}: {values:?}");
                }
            }
        }
        // Identical views of one image, alone: the loss cannot be lower, log 1.
        let alone = x.narrow(0, 0, 1).unwrap();
        assert!(value(&nt_xent(&alone, &alone, 0.5).unwrap()).abs() < 1e-6);
    }

    #[test]
    fn shapes_and_temperatures_that_cannot_be_meant_are_refused() {
        let x = embeddings("left", 4, 3);
        assert!(nt_xent(&x, &x.narrow(0, 0, 2).unwrap(), 0.5).is_err());
        assert!(nt_xent(&x, &x, 0.0).is_err());
        assert!(nt_xent(&x, &x, f64::NAN).is_err());
    }
}
