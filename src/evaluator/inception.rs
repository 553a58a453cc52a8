//! Inception V3 with the weights of a file, as other programs run it.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::inception_pixels::inception_pixels;
use crate::autograd;
use crate::checkpoint::{self, Weights};
use crate::error::Error;
use crate::image_shape::ImageShape;
use crate::models::InceptionV3;

/// What torch-fidelity calls its file begins so.
const OF_TORCH_FIDELITY: &str = "weights-inception";

/// A tensor by which the network is told. What stands before its name, a script has added.
const ANCHOR: &str = "Mixed_7c.branch_pool.conv.weight";

/// Which program's figures are wanted. The two differ in how they resize images and what a pixel is to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum InceptionProgram {
    /// pytorch-fid 0.3: bilinear from the pixels' centres, to [-1, 1]
    PytorchFid,
    /// torch-fidelity 0.4: bilinear as TensorFlow 1, to [-1, 1 - 1/128]
    TorchFidelity,
}

impl InceptionProgram {
    fn name(self) -> &'static str {
        match self {
            Self::PytorchFid => "pytorch-fid",
            Self::TorchFidelity => "torch-fidelity",
        }
    }
}

/// The network, and what its features are called.
pub struct Inception {
    network: InceptionV3,
    program: InceptionProgram,
    device: Device,
    sha256: String,
}

impl Inception {
    /// The SHA-256 of the published weights: `pt_inception-2015-12-05-6726825d.pth` of pytorch-fid and
    /// `weights-inception-2015-12-05-6726825d.pth` of torch-fidelity are the same bytes.
    pub const PUBLISHED: &str = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2";
    /// Images that go through the network at a time.
    pub const TILE: usize = 16;

    /// Whether `weights` are of this network.
    pub fn is_in(weights: &Weights) -> bool {
        prefix(weights).is_some()
    }

    /// The network of `weights`, as `program` runs it; without one as that does whose name for the file this is.
    ///
    /// # Errors
    /// [`Error::Input`] where tensors are missing, too many or of another shape, or hold NaN or infinity.
    pub fn load(weights: &Weights, program: Option<InceptionProgram>, device: &Device) -> anyhow::Result<Self> {
        let name = weights.path.file_name().unwrap_or_default().to_string_lossy();
        let program = program.unwrap_or(match name.starts_with(OF_TORCH_FIDELITY) {
            true => InceptionProgram::TorchFidelity,
            false => InceptionProgram::PytorchFid,
        });
        let prefix = prefix(weights).unwrap_or_default();
        // Not of the network in evaluation; files from before PyTorch 0.4 lack the first.
        let is_wanted = |name: &str| !name.ends_with(".num_batches_tracked") && name != "fc.bias";
        let tensors = weights.read(&|name| name.strip_prefix(prefix).is_some_and(is_wanted))?;
        let tensors = tensors.into_iter().map(|(name, tensor)| (name[prefix.len()..].to_string(), tensor)).collect();
        let what = format!("{}: Inception V3 of the Fréchet Inception distance", weights.path.display());
        let tensors = checkpoint::conform(&tensors, &InceptionV3::signature()?, &what)?;
        if let Some(name) = checkpoint::first_non_finite(&tensors)? {
            let (path, tensor) = (weights.path.clone(), name.to_string());
            return Err(Error::NotFinite { path, tensor, before: None }.into());
        }
        let tensors = VarBuilder::from_tensors(tensors.into_iter().collect(), DType::F32, device);
        let (network, sha256) = (InceptionV3::new(tensors)?, weights.sha256()?);
        Ok(Self { network, program, device: device.clone(), sha256 })
    }

    /// What makes the features, for people.
    pub fn description(&self) -> String {
        let (weights, program) = (if self.is_published() { "" } else { ", other weights" }, self.program.name());
        format!("Inception V3 as {program} runs it{weights}")
    }

    /// Whether the file is the one that figures are published with.
    pub fn is_published(&self) -> bool {
        self.sha256 == Self::PUBLISHED
    }

    /// The SHA-256 of the file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Features (n, 2048) and scores of the classes (n, 1008) of `count` images (n, H, W, C) of `shape`, on the CPU.
    ///
    /// # Errors
    /// Those of the device.
    pub fn look(&self, images: &[u8], shape: ImageShape, count: usize) -> anyhow::Result<(Tensor, Tensor)> {
        const SIDE: usize = InceptionV3::SIDE;
        let mut pixels = inception_pixels(images, shape, self.program);
        // Other devices than a CPU choose kernels by the size of a batch: an image has the same features in all of them.
        if !self.device.is_cpu() {
            pixels.resize(Self::TILE * SIDE * SIDE * 3, 0.0);
        }
        let tile = Tensor::from_vec(pixels, ((), SIDE, SIDE, 3), &self.device)?;
        let (features, scores) = autograd::inference(|| {
            let features = self.network.features(&tile)?;
            let scores = self.network.scores(&features)?;
            Ok::<_, candle_core::Error>((features.detach(), scores.detach()))
        })?;
        let on_host = |x: Tensor| x.narrow(0, 0, count)?.to_device(&Device::Cpu);
        Ok((on_host(features)?, on_host(scores)?))
    }
}

/// What stands before the names of the network's tensors, where they are there.
fn prefix(weights: &Weights) -> Option<&str> {
    weights.signature.keys().find_map(|name| name.strip_suffix(ANCHOR))
}
