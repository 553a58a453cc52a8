//! SimCLR's contrastive loss.

pub use crate::ops::nt_xent;

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Tensor, Var};

    use crate::ops::naive::normalised;
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
