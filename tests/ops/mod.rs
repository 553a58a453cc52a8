//! The ops against their naive twins, finite differences, other numbers of threads, and bad input: the checks that every
//! op is held to here, a file for each group of them, and `every_op` for what holds for all.
//!
//! In f64 the public functions compute their twins, so most tests run one closure twice: in f32 on the kernels of the
//! device that is tested, and in f64 on the CPU as the reference. The tolerances are the same on every device: an f32
//! kernel may add up in any order, and none that rounds its products further (TF32, bf16) is asked for here.

mod affine_sample;
mod batch_norm;
mod convolutions;
mod diffaugment;
mod elementwise;
mod every_op;
mod linear;
mod losses;
mod optimizer_steps;
mod pooling;
mod precision;
mod recolour;
mod residual;
mod tangents;
mod transformer;

use crate::device::device;
use candle_core::{DType, Device, Result, Tensor, Var};
use gan::ops::Activation;
use gan::rng::{Generator, Stream};

type Op<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;

pub const ACTIVATIONS: [Activation; 4] =
    [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.01), Activation::Tanh];

pub fn generator(purpose: &str) -> Generator {
    Stream::new(5, purpose).at(0)
}

pub fn random(generator: &mut Generator, dims: &[usize]) -> Tensor {
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| generator.symmetric()).collect();
    Tensor::from_vec(values, dims, &device()).unwrap()
}

/// Where tensors of `dtype` are: the references, in f64, always on the CPU.
pub fn place_of(dtype: DType) -> Device {
    if dtype == DType::F64 { Device::Cpu } else { device() }
}

/// `tensor` in `dtype`, where tensors of that are.
pub fn in_dtype(tensor: &Tensor, dtype: DType) -> Tensor {
    tensor.to_device(&place_of(dtype)).unwrap().to_dtype(dtype).unwrap()
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    in_dtype(tensor, DType::F64).flatten_all().unwrap().to_vec1().unwrap()
}

pub fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// The output of `op`, and the gradient of each input of the sum of the output's sines.
pub fn evaluate(op: Op, inputs: &[Tensor], dtype: DType) -> Vec<Tensor> {
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(&in_dtype(x, dtype)).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let output = op(&tensors).unwrap();
    let gradients = output.sin().unwrap().sum_all().unwrap().backward().unwrap();
    let gradients = vars.iter().map(|var| gradients.get(var).unwrap().clone());
    std::iter::once(output.clone()).chain(gradients).collect()
}

pub fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(1f64, |scale, value| scale.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((found - expected).abs() <= tolerance * scale, "{what}: {found} for {expected} at {index}");
    }
}

/// That two ways to one result are the same: to the bit on a CPU; to rounding elsewhere, where a library may take another
/// kernel for another layout.
pub fn assert_same(found: &Tensor, expected: &Tensor, what: &str) {
    match found.device().is_cpu() {
        true => assert!(bits(found) == bits(expected), "{what}"),
        false => assert_close(found, expected, 1e-5, what),
    }
}

/// Output and gradients of the kernels against those of the twin in f64.
pub fn assert_parity(op: Op, inputs: &[Tensor], what: &str) {
    let (found, expected) = (evaluate(op, inputs, DType::F32), evaluate(op, inputs, DType::F64));
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_close(found, expected, 2e-5, &format!("{what}, result {index}"));
    }
}

/// The gradients of the kernels along a random direction of each input against central differences of the twin in f64.
pub fn assert_finite_differences(op: Op, inputs: &[Tensor], what: &str) {
    let mut generator = generator("directions");
    let found = evaluate(op, inputs, DType::F32);
    let inputs: Vec<Tensor> = inputs.iter().map(|x| in_dtype(x, DType::F64)).collect();
    for index in 0..inputs.len() {
        let direction = in_dtype(&random(&mut generator, inputs[index].dims()), DType::F64);
        let loss = |distance: f64| {
            let mut moved = inputs.clone();
            moved[index] = (&inputs[index] + (&direction * distance).unwrap()).unwrap();
            op(&moved).unwrap().sin().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap()
        };
        let expected = (loss(1e-5) - loss(-1e-5)) / 2e-5;
        let product: f64 = values(&found[index + 1]).iter().zip(values(&direction)).map(|(g, d)| g * d).sum();
        assert!(
            (product - expected).abs() < 1e-4 * (1.0 + expected.abs()),
            "{what}, input {index}: {product} {expected}"
        );
    }
}

/// Without kinks, across which a difference is no derivative; those with kinks are held against their twins.
pub const SMOOTH: [Activation; 2] = [Activation::Identity, Activation::Tanh];
