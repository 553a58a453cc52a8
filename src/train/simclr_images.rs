//! What a SimCLR configuration says of its images, and of the encoder that takes them.

use anyhow::bail;

use crate::data::TargetShape;
use crate::data::augment::Augmentation;
use crate::error::Error;
use crate::image_shape::ImageShape;
use crate::models::EncoderConfig;
use crate::normalisation::Normalisation;
use crate::train::simclr_config::SimclrConfig;

/// CIFAR-10's, and that of runs from before there was another.
pub(super) fn cifar_size() -> usize {
    32
}

impl SimclrConfig {
    /// The views that the networks take: square, since a crop is resized to one size.
    pub fn image_shape(&self) -> ImageShape {
        ImageShape::new(self.image_size, self.image_size, 3)
    }

    /// The images that views are made of.
    pub fn target(&self) -> TargetShape {
        TargetShape { shape: self.image_shape(), keeps_sizes: self.crops_originals }
    }

    /// The encoder's architecture, with `--stem` or the usual one of the image size.
    pub fn encoder(&self) -> EncoderConfig {
        let usual = EncoderConfig::for_pictures(self.encoder, self.image_size);
        EncoderConfig { stem: self.stem.unwrap_or(usual.stem), ..usual }
    }

    /// What pixels are to the encoder.
    pub fn normalisation(&self) -> Normalisation {
        self.normalisation.clone().unwrap_or_else(Normalisation::cifar10)
    }

    /// How views are made of them.
    pub fn augmentation(&self) -> Augmentation {
        Augmentation {
            scale: [self.min_crop, 1.0],
            flip: self.flip,
            jitter: self.jitter,
            brightness: self.jitter_strength,
            contrast: self.jitter_strength,
            saturation: self.jitter_strength,
            hue: self.hue,
            grey: self.grey,
            ..Default::default()
        }
    }

    /// [`Error::Setting`] where there is no such encoder, or none for such images.
    pub(super) fn validate_images(&self) -> anyhow::Result<()> {
        if let Some(problem) = self.encoder.refuses_side(self.image_size) {
            bail!(Error::setting("image_size", self.image_size, problem));
        }
        if let (Some(stem), true) = (self.stem, self.encoder.is_transformer()) {
            let problem = format!("{} has patches in place of a stem; leave it out", self.encoder.name());
            bail!(Error::setting("stem", stem.name(), problem));
        }
        if let Some((stem, reason)) = self.stem.and_then(|stem| Some((stem, self.encoder.refuses(stem)?))) {
            bail!(Error::setting("stem", stem.name(), reason));
        }
        Ok(())
    }
}

/// [`Error::Setting`] where no encoder is for images of this side.
pub fn check_image_size(side: Option<usize>) -> anyhow::Result<()> {
    match side.and_then(|side| Some((side, EncoderConfig::refuses(side)?))) {
        Some((side, expected)) => bail!(Error::setting("image_size", side, expected)),
        None => Ok(()),
    }
}
