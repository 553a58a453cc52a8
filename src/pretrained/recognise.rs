//! Which networks a file holds: the one place where that is told.
//!
//! Our networks for use say it in their header (`gan.network`). Our older ones and our checkpoints have their run's
//! configuration there (`gan.config`), which tells the networks of that run. Of other people's files, the names and
//! shapes of the tensors tell ([`super::guess`]).

use std::collections::BTreeMap;

use anyhow::bail;
use serde::Deserialize;

use super::guess::{self, Part};
use super::prefix;
use crate::checkpoint::header::{CONFIG, NETWORK, saved_text};
use crate::checkpoint::{Signature, Weights};
use crate::error::Error;
use crate::image_shape::ImageShape;
use crate::latent_space::{LatentDistribution, LatentSpace};
use crate::models::{Architecture, EncoderArchitecture, EncoderConfig, NetworkDescription, NetworkKind, Stem};
use crate::normalisation::Normalisation;
use crate::pretrained::encoder_names::EncoderNames;
use crate::pretrained::vit_names;

/// A network that a file seems to hold. Whether every tensor of it is there is found out by [`super::search`].
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What it seems to be.
    pub description: NetworkDescription,
    /// What stands before the names of its tensors: empty, or ending in a dot.
    pub prefix: String,
    pub(super) naming: Naming,
    /// Whether its file describes it, by header or configuration.
    pub(super) is_described: bool,
    /// Why it is of no use, where that is known.
    pub(super) refusal: Option<String>,
}

/// How the names behind a prefix become ours.
#[derive(Clone, Debug)]
pub(super) enum Naming {
    /// They are ours but for this, which ours begin with.
    Ours(&'static str),
    /// Numbered layers, as in an `nn.Sequential`, which ours have this before; what has no number is beside the network.
    Layers(&'static str),
    /// An encoder's, which has this stem.
    Encoder(EncoderNames, Stem),
    /// timm's, of a vision transformer.
    Vit,
}

impl Naming {
    /// Our name of a tensor, or one that no network has where the tensor makes this another network; `None` where it is
    /// beside the network.
    pub(super) fn our_name(&self, name: &str, shape: &[usize]) -> Option<String> {
        match self {
            Self::Ours(before) => Some(format!("{before}{name}")),
            Self::Layers(before) => guess::is_layer(name).then(|| format!("{before}{name}")),
            Self::Encoder(names, stem) => names.our_name(*stem, name, shape),
            Self::Vit => vit_names::our_name(name),
        }
    }
}

impl Candidate {
    fn ours(description: NetworkDescription, prefix: &str) -> Self {
        // Within our files, an encoder's tensors are all below `f.`.
        let names = if matches!(description.kind, NetworkKind::Encoder { .. }) { "f." } else { "" };
        Self {
            description,
            prefix: format!("{prefix}{names}"),
            naming: Naming::Ours(names),
            is_described: true,
            refusal: None,
        }
    }

    /// For people: "a fully connected (vanilla, lsgan) generator", where names and shapes do not tell which.
    pub fn words(&self) -> String {
        match self.description.kind {
            NetworkKind::Generator { architecture, .. } if !self.is_described => {
                format!("a {} generator", family(architecture))
            }
            ref kind => kind.to_string(),
        }
    }
}

/// What models of the same layers have in common.
pub(super) fn family(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Vanilla | Architecture::Lsgan => "fully connected (vanilla, lsgan)",
        Architecture::Dcgan => "convolutional (dcgan)",
    }
}

/// The networks that the file seems to hold.
///
/// # Errors
/// [`Error::Input`] where the header describes a network that there is none of.
pub fn recognise(weights: &Weights) -> anyhow::Result<Vec<Candidate>> {
    if let Some(text) = weights.metadata.get(NETWORK) {
        return by_header(weights, text);
    }
    let by_config = weights.metadata.get(CONFIG).map(|config| by_config(&weights.signature, config));
    match by_config.filter(|candidates| !candidates.is_empty()) {
        Some(candidates) => Ok(candidates),
        None => Ok(by_names(&weights.signature)),
    }
}

fn by_header(weights: &Weights, text: &str) -> anyhow::Result<Vec<Candidate>> {
    let damaged = |what: String| Error::reading(&weights.path, format!("its {NETWORK} is damaged: {what}"));
    let description: NetworkDescription = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    if let Some(fault) = description.fault() {
        bail!(damaged(fault));
    }
    let mut candidates = vec![Candidate::ours(description.clone(), "")];
    if let NetworkKind::Classifier { architecture, stem, .. } = description.kind {
        let encoder = NetworkKind::Encoder { architecture, stem };
        candidates.push(Candidate::ours(NetworkDescription { kind: encoder, ..description }, ""));
    }
    Ok(candidates)
}

/// What of a saved configuration tells the networks of its run.
#[derive(Deserialize)]
struct SavedConfig {
    /// Of all. Older runs do not say it: their GANs are for 28x28 grey, their encoders for 32x32.
    image_size: Option<usize>,
    /// Of `train-gan`, with the latents; those of older runs are uniform.
    model: Option<Architecture>,
    latent_dim: Option<usize>,
    channels: Option<usize>,
    #[serde(default)]
    latents: Option<LatentDistribution>,
    #[serde(default)]
    class_names: Vec<String>,
    #[serde(default)]
    spectral_norm: bool,
    /// Of `pretrain-simclr`, and of `finetune` where it was asked for.
    encoder: Option<EncoderArchitecture>,
    normalisation: Option<Normalisation>,
}

/// The networks of the run that `config` is of, as far as the file holds their first tensors. Runs whose files do not
/// describe their networks are of the presets' shapes.
fn by_config(signature: &Signature, config: &str) -> Vec<Candidate> {
    let Ok(saved) = serde_json::from_str::<SavedConfig>(config) else { return Vec::new() };
    let has = |name: &str| signature.contains_key(name);
    let mut candidates = Vec::new();
    if let (Some(model), Some(dim)) = (saved.model, saved.latent_dim) {
        let ImageShape { height, channels, .. } = model.image_shape();
        let size = saved.image_size.unwrap_or(height);
        let shape = ImageShape::new(size, size, saved.channels.unwrap_or(channels));
        let space = LatentSpace { dim, distribution: saved.latents.unwrap_or_default() };
        let generator = NetworkDescription::generator(model, space, shape).with_class_names(&saved.class_names);
        let discriminator = NetworkDescription::discriminator(model, shape)
            .with_class_names(&saved.class_names)
            .with_spectral_norm(saved.spectral_norm);
        if generator.fault().is_some() {
            return candidates;
        }
        let places = ["", "generator.", "generator_ema."];
        let is_radford = model.is_radford(shape);
        // Behind the generator's first layer is a batch norm, behind the discriminator's none.
        let first = if is_radford { "main.1.weight" } else { "0.weight" };
        let places = places.into_iter().filter(|prefix| has(&format!("{prefix}{first}")));
        candidates.extend(places.map(|prefix| Candidate::ours(generator.clone(), prefix)));
        // Its first layer has the number 1, that of Radford et al. a second with the number 2.
        let (one, none) = if is_radford { ("main.2.weight", "main.1.weight") } else { ("1.weight", "0.weight") };
        let original = one.replace("weight", "parametrizations.weight.original");
        let one = if saved.spectral_norm { &original } else { one };
        let places = ["", "discriminator."].into_iter();
        let places = places.filter(|prefix| has(&format!("{prefix}{one}")) && !has(&format!("{prefix}{none}")));
        candidates.extend(places.map(|prefix| Candidate::ours(discriminator.clone(), prefix)));
    }
    let first = |stem: Stem| format!("f.{}.weight", stem.layer_names()[0]);
    let is_vit =
        saved.encoder.is_some_and(EncoderArchitecture::is_transformer) && has(&format!("f.{}", vit_names::ANCHOR));
    let stem = [Stem::Small, Stem::Imagenet].into_iter().find(|stem| has(&first(*stem)));
    let stem = if is_vit { Some(Stem::Small) } else { stem };
    if let (Some(architecture), Some(stem)) = (saved.encoder, stem) {
        let image_shape = saved.image_size.map_or(architecture.image_shape(), |size| ImageShape::new(size, size, 3));
        let encoder =
            NetworkDescription::encoder(EncoderConfig { architecture, stem, side: image_shape.height }, image_shape)
                .normalised_by(saved.normalisation.unwrap_or_else(Normalisation::cifar10));
        candidates.extend(Some(Candidate::ours(encoder.clone(), "")).filter(|_| encoder.fault().is_none()));
    }
    candidates
}

fn by_names(signature: &Signature) -> Vec<Candidate> {
    let prefixes = prefix::of(signature.keys(), &guess::ANCHORS);
    let guesses = prefixes.into_iter().filter_map(|prefix| {
        let guess = guess::network(&Part { signature, prefix: &prefix })?;
        Some(Candidate {
            description: guess.description,
            prefix,
            naming: guess.naming,
            is_described: false,
            refusal: guess.refusal,
        })
    });
    guesses.collect()
}

/// What the metadata of a file say of its run's data: `--data`.
pub(super) fn data(metadata: &BTreeMap<String, String>) -> Option<String> {
    saved_text(metadata.get(CONFIG)?, "data")
}
