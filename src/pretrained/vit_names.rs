//! Vision transformers in files of timm's and DeiT's.

use super::guess::{Guess, Part};
use crate::image_shape::ImageShape;
use crate::models::{EncoderArchitecture, EncoderConfig, NetworkDescription};
use crate::normalisation::Normalisation;
use crate::pretrained::recognise::Naming;

/// The name of a tensor that each has.
pub(super) const ANCHOR: &str = "patch_embed.proj.weight";

/// Sides of pictures from here on are ImageNet's.
const LARGE: usize = 96;

/// By the shapes of two tensors: patches and positions tell for which pictures it is.
pub(super) fn encoder(part: &Part) -> Option<Guess> {
    let &[_, _, patch, _] = part.shape(ANCHOR)? else { return None };
    let &[_, tokens, _] = part.shape("pos_embed")? else { return None };
    let across = (tokens.max(1) - 1).isqrt();
    let side = across.saturating_mul(patch);
    let architecture = EncoderArchitecture::VitTiny;
    let refusal = match across * across + 1 == tokens {
        true => architecture.refuses_side(side).map(|problem| format!("a vit-tiny of {side}x{side}: {problem}")),
        false => Some(format!("a vit-tiny of {tokens} tokens; expected one, and a square of patches")),
    };
    let normalisation = if side >= LARGE { Normalisation::imagenet() } else { Normalisation::cifar10() };
    let encoder = EncoderConfig::for_pictures(architecture, side);
    let description = NetworkDescription::encoder(encoder, ImageShape::new(side, side, 3));
    Some(Guess { description: description.normalised_by(normalisation), naming: Naming::Vit, refusal })
}

/// The name of a tensor in our encoder, or one that no encoder has where the tensor makes this another network; `None`
/// where it is of a head.
pub(super) fn our_name(name: &str) -> Option<String> {
    let part = name.split('.').next().unwrap_or(name);
    match part {
        "head" | "pre_logits" => None,
        _ => Some(format!("f.{name}")),
    }
}
