//! Images moved and cut, and rows scaled to one length.

use candle_core::{DType, Device, Result, Tensor};
use gan::ops::{self, DRAWN};

use super::{assert_close, assert_finite_differences, assert_parity, bits, generator, in_dtype, random, values};
use crate::device::device;

/// Draws of up to `size` pixels either way, so that moves and squares may be wholly outside. The first image stays where
/// it is, and its first pixel is seen.
pub fn draws(count: usize, size: u32) -> Result<Tensor> {
    let mut generator = generator("draws");
    let mut values: Vec<i64> =
        (0..count * DRAWN).map(|_| i64::from(generator.below(2 * size + 1)) - i64::from(size)).collect();
    values.iter_mut().take(DRAWN).zip([0, 0, 2, 3]).for_each(|(drawn, first)| *drawn = first);
    Tensor::from_vec::<_, i64>(values, (count, DRAWN), &device())
}

/// In f64 the op is its twin, on the CPU.
fn moved<'a>(draws: &'a Tensor, cut: usize) -> impl Fn(&[Tensor]) -> Result<Tensor> + 'a {
    move |x| ops::diffaugment(&x[0], &draws.to_device(x[0].device())?, cut, -1.0)
}

#[test]
fn it_agrees_with_its_twin_and_with_finite_differences() {
    let mut generator = generator("diffaugment");
    for (count, dims, cut) in
        [(50, [28, 28, 1], 14), (40, [5, 7, 3], 0), (40, [5, 7, 3], 4), (60, [9, 4, 2], 3), (1, [1, 1, 1], 1)]
    {
        let x = random(&mut generator, &[&[count], &dims[..]].concat());
        let draws = draws(count, 6).unwrap();
        let found = moved(&draws, cut)(std::slice::from_ref(&x)).unwrap();
        let twin = ops::naive::diffaugment(&in_dtype(&x, DType::F64), &draws, cut, -1.0).unwrap();
        assert_eq!(bits(&found), bits(&twin.to_dtype(DType::F32).unwrap()));
        assert_parity(&moved(&draws, cut), std::slice::from_ref(&x), "diffaugment");
        assert_finite_differences(&moved(&draws, cut), &[x], "diffaugment");
    }
}

/// Worked by hand: one down, two to the left; then rows 0 to 1 and columns 1 to 2 are cut.
#[test]
fn a_move_and_a_cut_are_as_drawn() {
    let image: Vec<f32> = (1..=12).map(|pixel| pixel as f32).collect();
    let image = Tensor::from_vec(image, (1, 3, 4, 1), &device()).unwrap();
    let drawn = |draw: [i64; DRAWN]| Tensor::from_slice(&draw, (1, DRAWN), &device()).unwrap();
    let found = |draw, cut| {
        values(&ops::diffaugment(&image, &drawn(draw), cut, 0.0).unwrap()).iter().map(|x| *x as i32).collect::<Vec<_>>()
    };
    assert_eq!(found([1, -2, 0, 0], 0), [0, 0, 0, 0, 3, 4, 0, 0, 7, 8, 0, 0]);
    assert_eq!(found([1, -2, 0, 1], 2), [0, 0, 0, 0, 3, 0, 0, 0, 7, 8, 0, 0]);
    assert_eq!(found([0, 0, -1, 3], 2), [1, 2, 3, 0, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!(found([-3, 0, 0, 0], 0), [0; 12]);
}

#[test]
fn rows_come_to_one_length() {
    let x = random(&mut generator("rescale_to_norm"), &[300, 7, 5, 3]);
    let found = ops::rescale_to_norm(&x, 0.1).unwrap();
    let expected =
        ops::naive::rescale_to_norm(&x.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap(), 0.1).unwrap();
    assert_close(&found, &expected, 1e-7, "rescale_to_norm");
    for row in found.flatten_from(1).unwrap().to_vec2::<f32>().unwrap() {
        let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        assert!((norm - 0.1).abs() < 1e-7, "{norm}");
    }
    let zero = Tensor::zeros((2, 3), DType::F32, &device()).unwrap();
    assert_eq!(values(&ops::rescale_to_norm(&zero, 2.0).unwrap()), [0.0; 6]);
    let nan = Tensor::new(&[[f32::NAN, 1.0], [3.0, 4.0]], &device()).unwrap();
    let found = values(&ops::rescale_to_norm(&nan, 1.0).unwrap());
    assert!(found[1].is_nan() && (found[3] - 0.8).abs() < 1e-6, "{found:?}");
}
