//! The pretrained weights that come with the program: they are part of the binary, so that they are found from any
//! directory. `weights/README.md` says how they were made, and so does the metadata of each.

use super::format::{self, Archive};

/// A file of `weights/`. To add one: `Some(include_bytes!(…))` in `bytes`.
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

    /// The file; `None` where this build has none.
    fn bytes(self) -> Option<&'static [u8]> {
        match self {
            Self::DigitClassifier => Some(include_bytes!("../../weights/digit_classifier.safetensors")),
            Self::VanillaGenerator => Some(include_bytes!("../../weights/generator-vanilla.safetensors")),
            Self::LsganGenerator => Some(include_bytes!("../../weights/generator-lsgan.safetensors")),
            Self::DcganGenerator => Some(include_bytes!("../../weights/generator-dcgan.safetensors")),
            Self::Encoder => None,
        }
    }

    /// Whether this build has it.
    pub fn exists(self) -> bool {
        self.bytes().is_some()
    }

    /// Its tensors, in f16, and metadata; `None` where this build has none.
    pub fn read(self) -> Option<anyhow::Result<Archive>> {
        self.bytes().map(|bytes| format::from_bytes(bytes, self.name()))
    }
}
