//! The line that a GAN run begins with: what is trained, on what, and how.

use crate::commands::batch_in_words;
use crate::error::number;
use crate::image_shape::ImageShape;
use crate::train::adaptive_augmentation::Augment;
use crate::train::gan_config::GanConfig;

/// What trains on so many `images`, for the steps that `span` says.
pub(super) fn of(config: &GanConfig, images: usize, span: &str) -> String {
    let (model, data) = (config.model.name(), &config.data);
    let shape = match config.image_shape() {
        ImageShape::COURSE => String::new(),
        shape => format!(" of {shape}"),
    };
    let mut parts = vec![format!("training {model} on {data}: {images} images{shape}")];
    parts.extend(config.mirror.then(|| "mirrored at random".to_string()));
    parts.push(batch_in_words(config.batch_size, config.shards, config.sync_batch_norm));
    parts.push(format!("loss {}", config.loss().name()));
    parts.extend(match config.discriminator_steps() {
        1 => None,
        steps => Some(format!("{steps} updates of D for one of G")),
    });
    parts.extend(config.spectral_norm.then(|| "spectral norm".to_string()));
    parts.extend(config.clip_norm.map(|norm| format!("gradients clipped to {}", number(norm))));
    parts.extend((config.augment == Augment::Adaptive).then(|| "adaptive augmentation".to_string()));
    parts.extend(config.diffaugment.is_on().then(|| format!("diffaugment {}", config.diffaugment)));
    parts.extend(match config.class_names.len() {
        0 => None,
        classes => Some(format!("conditional on {classes} classes")),
    });
    parts.extend(config.keep_best.map(|measure| format!("the best {} kept", measure.name())));
    parts.push(span.to_string());
    parts.join(", ")
}
