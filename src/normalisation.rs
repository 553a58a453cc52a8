//! How pixels become numbers for a network: what travels from a configuration or a saved network to whatever reads pixels.

use serde::{Deserialize, Serialize};

/// How a pixel becomes a network's input or comes from its output: (pixel / 255 - mean) / std, channel by channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Of each channel.
    pub mean: Vec<f32>,
    /// Of each channel.
    pub std: Vec<f32>,
}

impl Normalisation {
    /// Pixels become values in [-1, 1].
    pub fn symmetric(channels: usize) -> Self {
        Self { mean: vec![0.5; channels], std: vec![0.5; channels] }
    }

    /// CIFAR-10's mean of red, green and blue, and the mean of its images' own standard deviations, as the course has it.
    pub fn cifar10() -> Self {
        Self { mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.2023, 0.1994, 0.2010] }
    }

    /// ImageNet's mean and standard deviation of red, green and blue, as torchvision's networks expect them.
    pub fn imagenet() -> Self {
        Self { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
    }

    /// What is wrong with one for `channels` channels, if anything.
    pub(crate) fn fault(&self, channels: usize) -> Option<String> {
        let fits = self.mean.len() == channels && self.std.len() == channels;
        let is_usable =
            self.mean.iter().all(|mean| mean.is_finite()) && self.std.iter().all(|std| std.is_normal() && *std > 0.0);
        let Self { mean, std } = self;
        match fits {
            true if is_usable => None,
            true => Some(format!(
                "pixels are normalised by mean {mean:?} and std {std:?}; expected finite means and stds above 0"
            )),
            false => Some(format!(
                "pixels are normalised by mean {mean:?} and std {std:?}; expected {channels} values each, one a channel"
            )),
        }
    }
}
