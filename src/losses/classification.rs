//! The loss of a classifier.

pub use crate::ops::cross_entropy;

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor, Var};

    #[test]
    fn it_is_minus_the_log_of_the_softmax_and_its_gradient_softmax_minus_one_hot() {
        let rows = [[0.5f32, -1.0, 2.0], [1e4, -1e4, 0.0], [3.0, 3.0, 3.0]];
        let labels = [2u32, 1, 0];
        let scores = Var::new(&rows, &Device::Cpu).unwrap();
        let loss = cross_entropy(&scores, &Tensor::new(&labels, &Device::Cpu).unwrap()).unwrap();
        let softmax = |row: &[f32; 3]| {
            let largest = row.iter().fold(f32::MIN, |a, b| a.max(*b));
            let exps = row.map(|score| f64::from(score - largest).exp());
            exps.map(|exp| exp / exps.iter().sum::<f64>())
        };
        // torch: F.cross_entropy(torch.tensor(rows), torch.tensor(labels)) = 6667.1143
        let expected = (-(softmax(&rows[0])[2].ln()) + 2e4 + 3f64.ln()) / 3.0;
        let found = f64::from(loss.to_scalar::<f32>().unwrap());
        assert!((found - expected).abs() / expected < 1e-6, "{found}, not {expected}");
        let gradient = loss.backward().unwrap().get(&scores).unwrap().to_vec2::<f32>().unwrap();
        for ((row, gradient), label) in rows.iter().zip(gradient).zip(labels) {
            for (class, (probability, gradient)) in softmax(row).into_iter().zip(gradient).enumerate() {
                let expected = (probability - f64::from(u8::from(class == label as usize))) / 3.0;
                assert!((f64::from(gradient) - expected).abs() < 1e-6);
            }
        }
    }
}
