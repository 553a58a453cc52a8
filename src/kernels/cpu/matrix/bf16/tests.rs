use crate::kernels::cpu::matrix::{Matrix, PackedMatrix, multiply, multiply_unpacked};
use crate::kernels::precision::Precision;
use crate::rng::{Generator, Stream};

/// The nearest bf16, ties to even.
fn rounded(value: f32) -> f64 {
    let bits = value.to_bits();
    f64::from(f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000))
}

fn random(generator: &mut Generator, len: usize) -> Vec<f32> {
    (0..len).map(|_| generator.symmetric()).collect()
}

/// Sums in f64 of the products of rounded factors, for every combination of strides.
#[test]
#[cfg_attr(not(has_bf16), ignore = "needs a CPU with avx512_bf16")]
fn products_of_odd_shapes() {
    let mut generator = Stream::new(3, "products in bf16").at(0);
    let shapes =
        [(1, 1, 1), (2, 3, 5), (13, 7, 33), (25, 1027, 40), (12, 2050, 64), (31, 64, 100), (9, 33, 17), (0, 4, 4)];
    for (rows, depth, columns) in shapes {
        let (left, right) = (random(&mut generator, rows * depth), random(&mut generator, depth * columns));
        let before = random(&mut generator, rows * columns);
        for case in 0..8 {
            let (turn_left, turn_right, accumulate) = (case & 1 > 0, case & 2 > 0, case & 4 > 0);
            let of_left = match turn_left {
                true => Matrix::new(&left, depth, rows).transposed(),
                false => Matrix::new(&left, rows, depth),
            };
            let of_right = match turn_right {
                true => Matrix::new(&right, columns, depth).transposed(),
                false => Matrix::new(&right, depth, columns),
            };
            let mut product = before.clone();
            multiply_unpacked(of_left, of_right, &mut product, accumulate, Precision::Bf16);
            let mut shared = before.clone();
            multiply(of_left, &PackedMatrix::new(of_right, Precision::Bf16).panels(), &mut shared, accumulate);
            assert_eq!(product, shared);
            for (index, found) in product.iter().enumerate() {
                let (i, j) = (index / columns, index % columns);
                let term = |k: usize| {
                    let a = left[if turn_left { k * rows + i } else { i * depth + k }];
                    let b = right[if turn_right { j * depth + k } else { k * columns + j }];
                    rounded(a) * rounded(b)
                };
                let start = if accumulate { f64::from(before[index]) } else { 0.0 };
                let expected = start + (0..depth).map(term).sum::<f64>();
                let allowed = 3e-6 * (1.0 + depth as f64).sqrt();
                assert!((f64::from(*found) - expected).abs() < allowed, "{found}, not {expected}");
            }
        }
    }
}

/// A row has the same product, to the bit, among any others.
#[test]
#[cfg_attr(not(has_bf16), ignore = "needs a CPU with avx512_bf16")]
fn rows_do_not_depend_on_each_other() {
    let mut generator = Stream::new(4, "rows in bf16").at(0);
    let (rows, depth, columns) = (29, 77, 50);
    let (left, right) = (random(&mut generator, rows * depth), random(&mut generator, depth * columns));
    let right = PackedMatrix::new(Matrix::new(&right, depth, columns), Precision::Bf16);
    let mut all = vec![0.0; rows * columns];
    multiply(Matrix::new(&left, rows, depth), &right.panels(), &mut all, false);
    for (row, expected) in all.chunks_exact(columns).enumerate() {
        let mut alone = vec![0.0; columns];
        multiply(Matrix::new(&left[row * depth..], 1, depth), &right.panels(), &mut alone, false);
        assert_eq!(alone, expected);
    }
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "needs a CPU with avx512_bf16")]
fn ties_go_to_even_and_what_is_no_number_propagates() {
    let product = |left: [f32; 2], right: [f32; 2]| {
        let mut product = [0.0];
        multiply_unpacked(Matrix::new(&left, 1, 2), Matrix::new(&right, 2, 1), &mut product, false, Precision::Bf16);
        product[0]
    };
    let step = 1.0 / 128.0; // from 1 to the next bf16
    assert_eq!(product([1.0 + step / 2.0, 0.0], [1.0, 0.0]), 1.0);
    assert_eq!(product([1.0 + 1.5 * step, 0.0], [1.0, 0.0]), 1.0 + 2.0 * step);
    assert_eq!(product([1.0, 1.0], [1.0 + step, -1.0]), step);
    assert_eq!(product([f32::INFINITY, 1.0], [1.0, 1.0]), f32::INFINITY);
    assert_eq!(product([f32::MAX, 1.0], [1.0, 1.0]), f32::INFINITY, "rounded up");
    assert!(product([f32::INFINITY, 1.0], [0.0, 1.0]).is_nan());
    assert!(product([f32::NAN, 1.0], [1.0, 1.0]).is_nan() && product([1.0, 1.0], [1.0, f32::NAN]).is_nan());
    let smallest = f32::from_bits(0x7f80_0001); // a NaN whose upper half alone would be an infinity
    assert!(product([smallest, 1.0], [1.0, 1.0]).is_nan());
}
