//! Images whose colours are changed.

use candle_core::Tensor;
use gan::ops::{self, EXTRA_COLUMNS};

use super::{assert_finite_differences, assert_parity, generator, random, values};
use crate::device::device;

/// Matrices (N, C, C + 2).
pub fn matrices(count: usize, channels: usize) -> Tensor {
    random(&mut generator("matrices"), &[count, channels, channels + EXTRA_COLUMNS])
}

#[test]
fn it_agrees_with_its_twin_and_with_finite_differences() {
    let mut generator = generator("recolour");
    for (count, dims) in [(90, [28, 28, 1]), (30, [5, 7, 3]), (7, [9, 4, 2]), (2, [1, 1, 1])] {
        let x = random(&mut generator, &[&[count], &dims[..]].concat());
        let matrices = matrices(count, dims[2]);
        let op = |x: &[Tensor]| ops::recolour(&x[0], &matrices.to_device(x[0].device())?);
        assert_parity(&op, std::slice::from_ref(&x), "recolour");
        assert_finite_differences(&op, &[x], "recolour");
    }
}

/// Worked by hand: two pixels of two channels, (1, 2) and (3, 6), whose mean is 3.
#[test]
fn a_change_of_colour_is_as_its_matrix_says() {
    let image = Tensor::new(&[[[[1f32, 2.0], [3.0, 6.0]]]], &device()).unwrap();
    let matrix = Tensor::new(&[[[1f32, 10.0, 0.5, 100.0], [0.0, -1.0, 0.0, 0.0]]], &device()).unwrap();
    let found = values(&ops::recolour(&image, &matrix).unwrap());
    assert_eq!(found, [321.5, -2.0, 363.5, -6.0]);
}
