//! Images under affine transforms.

use candle_core::{DType, Result, Tensor};
use gan::ops::{self, TRANSFORM};

use super::{assert_finite_differences, assert_parity, bits, generator, in_dtype, random, values};
use crate::device::device;

/// Transforms (N, 2, 3) of any kind: rotations, scalings, reflections, and moves of up to three times `size`, so that
/// what is sampled lies several images away. The first is the identity, the second flattens the image.
pub fn transforms(count: usize, size: usize) -> Result<Tensor> {
    let mut generator = generator("transforms");
    let mut drawn = Vec::new();
    for _ in 0..count {
        let mut row = || {
            let [a, b, c] = [(); 3].map(|()| generator.symmetric());
            [1.6 * a, 1.6 * b, 3.0 * size as f32 * c]
        };
        drawn.extend([row(), row()].concat());
    }
    let fixed = [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [0.5, 0.5, 0.25, 1.0, 1.0, -0.5]];
    drawn.iter_mut().zip(fixed.concat()).for_each(|(drawn, fixed)| *drawn = fixed);
    Tensor::from_vec(drawn, (count, 2, 3), &device())
}

fn sampled<'a>(transforms: &'a Tensor) -> impl Fn(&[Tensor]) -> Result<Tensor> + 'a {
    move |x| ops::affine_sample(&x[0], &transforms.to_device(x[0].device())?)
}

#[test]
fn it_agrees_with_its_twin_and_with_finite_differences() {
    let mut generator = generator("affine_sample");
    for (count, dims) in [(20, [28, 28, 1]), (30, [5, 7, 3]), (30, [9, 4, 2]), (5, [1, 6, 1]), (2, [1, 1, 1])] {
        let x = random(&mut generator, &[&[count], &dims[..]].concat());
        let transforms = transforms(count, dims[0].max(dims[1])).unwrap();
        // The twin samples at places in f64.
        assert_parity(&sampled(&transforms), std::slice::from_ref(&x), "affine_sample");
        assert_finite_differences(&sampled(&transforms), &[x], "affine_sample");
    }
}

/// Worked by hand, at an image of 2 rows and 3 columns: 1 2 3, 4 5 6.
#[test]
fn flips_turns_moves_and_mirrored_borders_are_exact() {
    let image = Tensor::new(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0], &device()).unwrap().reshape((1, 2, 3, 1)).unwrap();
    let found = |transform: [f32; TRANSFORM]| {
        let transform = Tensor::from_slice(&transform, (1, 2, 3), &device()).unwrap();
        values(&ops::affine_sample(&image, &transform).unwrap())
    };
    assert_eq!(found([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(found([-1.0, 0.0, 2.0, 0.0, 1.0, 0.0]), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    // Moved to the right by two: the mirror image comes in, end pixels twice.
    assert_eq!(found([1.0, 0.0, -2.0, 0.0, 1.0, 0.0]), [2.0, 1.0, 1.0, 5.0, 4.0, 4.0]);
    assert_eq!(found([1.0, 0.0, 6.0, 0.0, 1.0, -4.0]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(found([1.0, 0.0, 0.5, 0.0, 1.0, 0.0]), [1.5, 2.5, 3.0, 4.5, 5.5, 6.0]);
    // A quarter turn: columns become rows.
    assert_eq!(found([0.0, 1.0, 0.0, 1.0, 0.0, 0.0]), [1.0, 4.0, 4.0, 2.0, 5.0, 5.0]);
}

#[test]
fn the_identity_changes_no_bit() {
    let x = random(&mut generator("identity"), &[3, 11, 10, 3]);
    let transforms = Tensor::new(&[[[1f32, 0.0, 0.0], [0.0, 1.0, 0.0]]; 3], &device()).unwrap();
    assert_eq!(bits(&ops::affine_sample(&x, &transforms).unwrap()), bits(&x));
    let twin = ops::naive::affine_sample(&in_dtype(&x, DType::F64), &transforms).unwrap();
    assert_eq!(bits(&twin.to_dtype(DType::F32).unwrap()), bits(&x));
}
