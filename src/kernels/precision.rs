//! The precision that products are computed in.

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

/// The precision that the factors of a product have: of the products of matrices and convolutions that layers are made
/// of, forward and backward. Weights, moments, activations and every sum are f32, and so is all that is no layer; but on
/// CUDA a ResNet encoder's activations are bf16 in [`Precision::Bf16`].
///
/// A training step has one; an op takes that of its step when it is made, and keeps it for its backward pass. Outside of a
/// step products are in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// Factors rounded to 10 bits behind the point, of f32's range: on CUDA
    Tf32,
    /// Factors rounded to 7 bits behind the point, of f32's range: on CUDA
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

    /// The type that a ResNet's activations have on `device`; `None` where they stay as they are. Reading and writing them
    /// takes as long on CUDA as the products do.
    pub fn of_activations(self, device: &Device) -> Option<DType> {
        match (device, self) {
            (Device::Cuda(_), Precision::Bf16) => Some(DType::BF16),
            _ => None,
        }
    }

    /// What `device` lacks for products in this precision, if it lacks anything.
    pub fn missing(self, device: &Device) -> Option<&'static str> {
        match (self, device) {
            (Precision::F32, _) => None,
            (Precision::Tf32, Device::Cpu) => Some("it is arithmetic of CUDA devices, which a CPU does not have"),
            (Precision::Bf16, Device::Cpu) => Some(BF16_ON_CPU),
            (_, Device::Cuda(_)) => None,
            (_, Device::Metal(_)) => Some("on Metal the ops compute in f32 alone"),
        }
    }
}

/// Older versions had it.
const BF16_ON_CPU: &str = "products in bf16 were slower than in f32 on Intel's CPUs and 9 to 17 % faster on AMD's Zen 4, which \
     was not worth code of its own; CUDA devices have them";
