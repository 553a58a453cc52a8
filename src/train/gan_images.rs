//! What a GAN's configuration says of its images, and what depends on them where the flags say nothing.

use anyhow::bail;

use crate::error::{self, Error};
use crate::image_shape::ImageShape;
use crate::latent_space::{LatentDistribution, LatentSpace};
use crate::train::gan_config::GanConfig;

/// Side of the images that pictures, which have many sizes, become.
const PICTURE_SIZE: usize = 64;

/// The largest side: a fully connected generator has 3,072 weights for each of its pixels in colour.
const MAX_SIZE: usize = 1024;

/// Of Radford et al. (1511.06434, section 4).
const RADFORD_LR: f64 = 2e-4;
const RADFORD_LATENT_DIM: usize = 100;

/// Of runs from before there was another, as the two below.
pub(super) fn course_size() -> Option<usize> {
    Some(ImageShape::COURSE.height)
}

pub(super) fn course_channels() -> Option<usize> {
    Some(ImageShape::COURSE.channels)
}

pub(super) fn course_latents() -> Option<LatentDistribution> {
    Some(LatentDistribution::Uniform)
}

impl GanConfig {
    /// The images that the networks draw and take: the course's where nothing is said.
    pub fn image_shape(&self) -> ImageShape {
        let ImageShape { height, channels, .. } = ImageShape::COURSE;
        let size = self.image_size.unwrap_or(height);
        ImageShape::new(size, size, self.channels.unwrap_or(channels))
    }

    /// What the generator draws from.
    pub fn latent_space(&self) -> LatentSpace {
        LatentSpace { dim: self.latent_dim, distribution: self.latents.unwrap_or_default() }
    }

    /// This configuration with what it leaves to the images, `own` being their shape where the data set has one; the
    /// channels of pictures are told when they are read. `typed` are the fields that the user set.
    pub fn for_images(mut self, own: Option<ImageShape>, typed: &[String]) -> Self {
        let is_typed = |field: &str| typed.iter().any(|name| name == field);
        self.image_size = self.image_size.or(Some(own.map_or(PICTURE_SIZE, |own| own.height)));
        self.channels = self.channels.or(own.map(|own| own.channels));
        let is_radford = self.model.is_radford(self.image_shape());
        if is_radford && !is_typed("lr") {
            self.lr = RADFORD_LR;
        }
        if is_radford && !is_typed("latent_dim") {
            self.latent_dim = RADFORD_LATENT_DIM;
        }
        let latents = if is_radford { LatentDistribution::Normal } else { LatentDistribution::Uniform };
        self.latents = self.latents.or(Some(latents));
        self
    }

    /// [`Error::Setting`] where the networks are not for such images, or a flag is not for such networks.
    pub(super) fn validate_images(&self) -> anyhow::Result<()> {
        let shape = self.image_shape();
        if !(1..=MAX_SIZE).contains(&shape.height) {
            bail!(Error::setting("image_size", shape.height, format!("expected 1 to {MAX_SIZE}")));
        }
        if ![1, 3].contains(&shape.channels) {
            bail!(Error::setting("channels", shape.channels, "expected 1 (grey) or 3 (colour)"));
        }
        if let Err(unfit) = self.model.check(shape) {
            let mut problem = error::text(&unfit.into());
            if self.channels.is_none() {
                // It is not known yet whether the images are in colour.
                problem = problem.replace(&shape.to_string(), &format!("{0}x{0}", shape.height));
            }
            bail!(Error::setting("image_size", shape.height, problem));
        }
        if self.evaluate_every > 0 && shape != ImageShape::COURSE {
            let problem = format!(
                "scores are computed with the digit classifier, which is for images of {} alone\nothers are not evaluated while \
                 training, and no best network of them is kept: leave both out",
                ImageShape::COURSE
            );
            bail!(Error::setting("evaluate_every", self.evaluate_every, problem));
        }
        Ok(())
    }
}
