//! Products in bf16 on a CPU: factors rounded, sums in f32, forward and backward. Another device's round otherwise.

use candle_core::{DType, Device, Result, Tensor, Var};
use gan::autograd::{self, Precision};
use gan::ops::{self, Activation};

use super::convolutions::{convolution_inputs, transposed_inputs};
use super::linear::linear_inputs;
use super::{assert_close, bits, generator, values};

type Product<'a> = &'a (dyn Fn(&[Tensor]) -> Result<Tensor> + Sync);

/// The output of `op` in `precision`, and the gradient of each input of the sum of the output's sines.
fn evaluate(op: Product, inputs: &[Tensor], precision: Precision) -> Vec<Tensor> {
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    autograd::training_step(precision, || {
        let output = op(&tensors).unwrap();
        let gradients = autograd::backward(&output.sin().unwrap().sum_all().unwrap()).unwrap();
        let gradients = vars.iter().map(|var| gradients.get(var).unwrap().clone());
        std::iter::once(output.detach()).chain(gradients).collect()
    })
}

/// The nearest bf16, in f64.
fn rounded(tensor: &Tensor) -> Tensor {
    tensor.to_dtype(DType::BF16).unwrap().to_dtype(DType::F64).unwrap()
}

/// Output and gradients against the twin in f64 on rounded factors: of the forward product input and weight, of the
/// backward ones the gradient and the other factor. The bias is none, and has the plain sum.
fn assert_products_of_rounded_factors(op: Product, inputs: &[Tensor], what: &str) {
    let found = evaluate(op, inputs, Precision::Bf16);
    let factors: Vec<Var> = inputs[..2].iter().map(|x| Var::from_tensor(&rounded(x)).unwrap()).collect();
    let bias = inputs[2].to_dtype(DType::F64).unwrap();
    let output = op(&[factors[0].as_tensor().clone(), factors[1].as_tensor().clone(), bias]).unwrap();
    assert_close(&found[0], &output, 2e-5, &format!("{what}, output"));

    let gradient = found[0].cos().unwrap();
    let gradients = (&output * rounded(&gradient)).unwrap().sum_all().unwrap().backward().unwrap();
    for (found, (factor, name)) in found[1..].iter().zip(factors.iter().zip(["input", "weight"])) {
        assert_close(found, gradients.get(factor).unwrap(), 2e-5, &format!("{what}, gradient of the {name}"));
    }
    let channels = gradient.dims().last().copied().unwrap();
    let sums = gradient.reshape(((), channels)).unwrap().to_dtype(DType::F64).unwrap().sum(0).unwrap();
    assert_close(&found[3], &sums, 2e-5, &format!("{what}, gradient of the bias"));
}

/// (N, H, W, C, O, K, stride, padding), none of them by Winograd.
const CONVOLUTIONS: [[usize; 8]; 10] = [
    [2, 28, 28, 1, 32, 5, 1, 0],
    [3, 12, 11, 5, 7, 5, 1, 0],
    [2, 9, 14, 3, 17, 3, 2, 1],
    [1, 5, 5, 2, 3, 5, 1, 4],
    [2, 6, 7, 16, 33, 1, 1, 0],
    [2, 7, 6, 4, 3, 1, 2, 0],
    [1, 3, 8, 1, 1, 2, 3, 5],
    [65, 4, 4, 3, 2, 3, 1, 1],
    [4, 9, 9, 32, 48, 3, 2, 1],
    [30, 8, 8, 96, 40, 1, 1, 0],
];

const TRANSPOSED: [[usize; 8]; 4] =
    [[3, 7, 7, 24, 12, 4, 2, 1], [2, 14, 14, 10, 1, 4, 2, 1], [2, 5, 3, 3, 7, 3, 3, 1], [70, 3, 3, 2, 2, 1, 2, 0]];

#[test]
#[cfg_attr(not(has_bf16), ignore = "needs a CPU with avx512_bf16")]
fn products_are_those_of_rounded_factors() {
    let mut generator = generator("bf16");
    let none = Activation::Identity;
    for (count, inputs, outputs) in [(1, 1, 1), (3, 7, 5), (128, 40, 1), (129, 33, 300), (600, 17, 130), (64, 1500, 70)]
    {
        let mut tensors = linear_inputs(&mut generator, count, inputs, outputs);
        tensors[1] = (&tensors[1] / (inputs as f64).sqrt()).unwrap();
        let what = format!("{count} x {inputs} x {outputs}");
        assert_products_of_rounded_factors(&|x| ops::linear(&x[0], &x[1], Some(&x[2]), none), &tensors, &what);
    }
    for case in CONVOLUTIONS {
        let (tensors, stride, padding) = (convolution_inputs(&mut generator, case), case[6], case[7]);
        let op = |x: &[Tensor]| ops::conv2d(&x[0], &x[1], Some(&x[2]), stride, padding, none);
        assert_products_of_rounded_factors(&op, &tensors, &format!("conv2d {case:?}"));
    }
    for case in TRANSPOSED {
        let (tensors, stride, padding) = (transposed_inputs(&mut generator, case), case[6], case[7]);
        let op = |x: &[Tensor]| ops::conv_transpose2d(&x[0], &x[1], Some(&x[2]), stride, padding, none);
        assert_products_of_rounded_factors(&op, &tensors, &format!("conv_transpose2d {case:?}"));
    }
}

/// Winograd's products are in f32 in every precision: to the bit.
#[test]
#[cfg_attr(not(has_bf16), ignore = "needs a CPU with avx512_bf16")]
fn winograd_stays_in_f32() {
    let tensors = convolution_inputs(&mut generator("bf16"), [3, 9, 9, 32, 48, 3, 1, 1]);
    let op = |x: &[Tensor]| ops::conv2d(&x[0], &x[1], Some(&x[2]), 1, 1, Activation::Tanh);
    let results = [Precision::F32, Precision::Bf16].map(|precision| evaluate(&op, &tensors, precision));
    for (single, half) in results[0].iter().zip(&results[1]) {
        assert_eq!(bits(single), bits(half));
    }
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "needs a CPU with avx512_bf16")]
fn bf16_does_not_depend_on_the_number_of_threads_and_ends_with_its_step() {
    let mut generator = generator("bf16");
    let linear = linear_inputs(&mut generator, 530, 70, 290);
    let image = convolution_inputs(&mut generator, [20, 13, 12, 8, 16, 5, 2, 1]);
    let ops: [(Product, &[Tensor]); 2] = [
        (&|x| ops::linear(&x[0], &x[1], Some(&x[2]), Activation::Tanh), &linear),
        (&|x| ops::conv2d(&x[0], &x[1], Some(&x[2]), 2, 1, Activation::Tanh), &image),
    ];
    for (op, inputs) in ops {
        let results = [1, 2, 3, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluate(op, inputs, Precision::Bf16).iter().map(bits).collect::<Vec<_>>())
        });
        assert!(results.iter().all(|result| *result == results[0]));
        let single = bits(&op(inputs).unwrap());
        assert_eq!(single, bits(&evaluate(op, inputs, Precision::F32)[0]));
        assert_ne!(single, results[0][0]);
    }
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "needs a CPU with avx512_bf16")]
fn nan_and_infinity_propagate_through_bf16() {
    let mut inputs = linear_inputs(&mut generator("bf16"), 3, 5, 4);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = inputs[0].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        x[0] = bad;
        inputs[0] = Tensor::from_vec(x, (3, 5), &Device::Cpu).unwrap();
        let op = |x: &[Tensor]| ops::linear(&x[0], &x[1], Some(&x[2]), Activation::Identity);
        let found = values(&evaluate(&op, &inputs, Precision::Bf16)[0]);
        assert!(found[..4].iter().all(|value| !value.is_finite()) && found[4..].iter().all(|value| value.is_finite()));
    }
}
