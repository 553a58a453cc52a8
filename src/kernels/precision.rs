//! The precision that products are computed in.

use crate::kernels::cpu::matrix::bf16;
use candle_core::Device;
use serde::{Deserialize, Serialize};

/// The precision that the factors of a product have: of the products of matrices and convolutions that layers are made
/// of, forward and backward. Weights, moments, activations and every sum are f32, and so is all that is no layer; but on
/// CUDA an encoder's activations are bf16 in [`Precision::Bf16`] ([`activations`](crate::autograd::activations)).
///
/// A [`training_step`](crate::autograd::training_step) has one; an op takes that of its step when it is made, and keeps it for
/// its backward pass. Outside of a step products are in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// Factors rounded to 10 bits behind the point, of f32's range: on CUDA
    Tf32,
    /// Factors rounded to 7 bits behind the point, of f32's range
    Bf16,
}

impl Precision {
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Tf32, Precision::Bf16];

    /// As `--precision` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        }
    }

    /// What `device` lacks for products in this precision, if it lacks anything.
    pub fn missing(self, device: &Device) -> Option<&'static str> {
        match (self, device) {
            (Precision::F32, _) => None,
            (Precision::Tf32, Device::Cpu) => Some("it is arithmetic of CUDA devices, which a CPU does not have"),
            (Precision::Bf16, Device::Cpu) => missing_for_bf16(),
            (_, Device::Cuda(_)) => None,
            (_, Device::Metal(_)) => Some("on Metal the ops compute in f32 alone"),
        }
    }
}

fn missing_for_bf16() -> Option<&'static str> {
    match (bf16::are_there(), cfg!(target_arch = "x86_64")) {
        (true, _) => None,
        (false, true) => Some("this CPU lacks avx512_bf16 (Zen 4, Cooper Lake and later have it)"),
        (false, false) => Some("on a CPU it takes x86-64's avx512_bf16, and this is another architecture"),
    }
}
