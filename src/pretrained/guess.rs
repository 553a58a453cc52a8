//! Which network the tensors below a prefix are of, by their names and shapes alone.

use super::encoder_names::EncoderNames;
use super::vit_names as vit;
use crate::checkpoint::Signature;
use crate::image_shape::ImageShape;
use crate::latent_space::{LatentDistribution, LatentSpace};
use crate::models::{Architecture, EncoderArchitecture, EncoderConfig, NetworkDescription, Stem};
use crate::normalisation::Normalisation;
use crate::pretrained::recognise::Naming;

/// Names of tensors one of which every network has.
pub const ANCHORS: [&str; 3] = ["0.weight", "conv1.weight", vit::ANCHOR];

/// The tensors below a prefix.
pub struct Part<'a> {
    pub signature: &'a Signature,
    pub prefix: &'a str,
}

impl Part<'_> {
    /// The shape of a tensor, if there is one of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.signature.get(&format!("{}{name}", self.prefix)).map(|(shape, _)| shape.as_slice())
    }

    fn rank(&self, name: &str) -> usize {
        self.shape(name).map_or(0, <[usize]>::len)
    }
}

/// What a part looks like.
pub(super) struct Guess {
    pub description: NetworkDescription,
    pub naming: Naming,
    /// Why it is of no use, if that shows.
    pub refusal: Option<String>,
}

impl Guess {
    fn of_layers(description: NetworkDescription) -> Self {
        Self { description, naming: Naming::Layers(""), refusal: None }
    }
}

/// Whether a tensor is of a layer of an `nn.Sequential`, whose layers are numbered.
pub(super) fn is_layer(name: &str) -> bool {
    name.split_once('.').is_some_and(|(layer, _)| layer.parse::<u32>().is_ok())
}

/// The network of a part. Networks of whose kind names and shapes can tell: one more is one more line here.
pub(super) fn network(part: &Part) -> Option<Guess> {
    vit::encoder(part)
        .or_else(|| encoder(part))
        .or_else(|| generator(part))
        .or_else(|| radford_generator(part))
        .or_else(|| digit_classifier(part))
}

/// By the shapes of three tensors. The shape of the images is the preset's: shapes that hold as many values are not told
/// apart.
fn generator(part: &Part) -> Option<Guess> {
    let (architecture, latent_dim) = match (part.shape("0.weight")?, part.rank("10.weight"), part.rank("4.weight")) {
        (&[1024, latent_dim], 4, _) => (Architecture::Dcgan, latent_dim),
        (&[1024, latent_dim], 0, 2) => (Architecture::Vanilla, latent_dim),
        _ => return None,
    };
    Some(Guess::of_layers(NetworkDescription::generator(
        architecture,
        LatentSpace::uniform(latent_dim),
        architecture.image_shape(),
    )))
}

/// The generator of PyTorch's DCGAN example: transposed convolutions of 4x4 with a batch norm behind each but the last,
/// every one of which doubles the side but the first, which makes it 4. The example draws normal latents.
fn radford_generator(part: &Part) -> Option<Guess> {
    let layer = |place: usize| part.shape(&format!("{}.weight", 3 * place)).filter(|shape| shape.ends_with(&[4, 4]));
    let &[dim, _, _, _] = layer(0)? else { return None };
    if part.rank("1.weight") != 1 {
        return None;
    }
    let last = (1..16).take_while(|place| layer(*place).is_some()).last()?;
    let &[_, channels, _, _] = layer(last)? else { return None };
    let shape = ImageShape::new(4 << last, 4 << last, channels);
    let space = LatentSpace { dim, distribution: LatentDistribution::Normal };
    let description = NetworkDescription::generator(Architecture::Dcgan, space, shape);
    Some(Guess { description, naming: Naming::Layers("main."), refusal: None })
}

fn digit_classifier(part: &Part) -> Option<Guess> {
    let is_first = matches!(part.shape("0.weight")?, [_, 1, _, _]);
    let is_last = part.rank("12.weight") == 2;
    (is_first && is_last).then(|| Guess::of_layers(NetworkDescription::digit_classifier()))
}

fn encoder(part: &Part) -> Option<Guess> {
    let has = |name: &str| part.shape(name).is_some();
    let names = EncoderNames::of(has)?;
    let &[_, _, height, width] = part.shape(&names.stem())? else { return None };
    let architecture = if has(&names.in_first_stage("0.conv3.weight")) {
        EncoderArchitecture::Resnet50
    } else if has(&names.in_first_stage("1.conv1.weight")) {
        EncoderArchitecture::Resnet18
    } else {
        EncoderArchitecture::Resnet9
    };
    // Nothing else tells for which pictures it is: those of the set that the stem was made for.
    let (stem, side, normalisation) = match [height, width] {
        [7, 7] => (Stem::Imagenet, 224, Normalisation::imagenet()),
        _ => (Stem::Small, 32, Normalisation::cifar10()),
    };
    let encoder = EncoderConfig { architecture, stem, side };
    let description = NetworkDescription::encoder(encoder, ImageShape::new(side, side, 3));
    Some(Guess {
        description: description.normalised_by(normalisation),
        naming: Naming::Encoder(names, stem),
        refusal: architecture.refuses(stem).map(|reason| format!("a stem of 7x7: {reason}")),
    })
}
