//! The pretrained weights that come with the program: they are part of the binary, so that they are found from any
//! directory. `weights/README.md` says how they were made, and so does the metadata of each.

use super::format;
use crate::checkpoint::format::Archive;

/// A file of `weights/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bundled {
    DigitClassifier,
    VanillaGenerator,
    LsganGenerator,
    DcganGenerator,
    /// The small encoder of SimCLR, `resnet9`.
    Encoder,
}

impl Bundled {
    pub const ALL: [Self; 5] =
        [Self::DigitClassifier, Self::VanillaGenerator, Self::LsganGenerator, Self::DcganGenerator, Self::Encoder];

    /// What the user sees in place of a path.
    pub fn name(self) -> &'static str {
        match self {
            Self::DigitClassifier => "bundled digit_classifier.safetensors",
            Self::VanillaGenerator => "bundled generator-vanilla.safetensors",
            Self::LsganGenerator => "bundled generator-lsgan.safetensors",
            Self::DcganGenerator => "bundled generator-dcgan.safetensors",
            Self::Encoder => "bundled encoder-resnet9.safetensors",
        }
    }

    #[cfg(feature = "bundled")]
    pub(super) fn bytes(self) -> anyhow::Result<&'static [u8]> {
        Ok(match self {
            Self::DigitClassifier => include_bytes!("../../weights/digit_classifier.safetensors"),
            Self::VanillaGenerator => include_bytes!("../../weights/generator-vanilla.safetensors"),
            Self::LsganGenerator => include_bytes!("../../weights/generator-lsgan.safetensors"),
            Self::DcganGenerator => include_bytes!("../../weights/generator-dcgan.safetensors"),
            Self::Encoder => include_bytes!("../../weights/encoder-resnet9.safetensors"),
        })
    }

    #[cfg(not(feature = "bundled"))]
    pub(super) fn bytes(self) -> anyhow::Result<&'static [u8]> {
        let text = format!("{}: gan was built without trained networks (cargo feature `bundled`)", self.name());
        Err(crate::error::Error::Input(text).into())
    }

    /// Its tensors, in f16, and metadata. [`Error::Input`](crate::error::Error::Input) where the crate was built without
    /// the feature `bundled`.
    pub fn read(self) -> anyhow::Result<Archive> {
        format::from_bytes(self.bytes()?, self.name())
    }
}
