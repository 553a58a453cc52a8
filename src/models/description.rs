//! What a network is, in words that a file can hold: enough to build it, and to know what goes in and comes out.

use candle_core::Result;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{
    Architecture, CLASSES, DigitClassifier, Discriminator, Encoder, EncoderArchitecture, EncoderConfig, Generator,
    NetworkKind, ProjectionHead, ProjectionHeadConfig, linear_classifier,
};
use crate::image_shape::ImageShape;
use crate::latent_space::LatentSpace;
use crate::normalisation::Normalisation;
use crate::params::{self, Signature};

/// A network as the header of its file describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkDescription {
    #[serde(flatten)]
    /// What it does, and its sizes.
    pub kind: NetworkKind,
    /// The images that it draws, takes, or was trained on.
    pub image_shape: ImageShape,
    /// What pixels are to it.
    pub normalisation: Normalisation,
}

/// Sides of images, latents and classes end here: a header that claims more is damaged.
const LARGEST: usize = 65_536;

impl NetworkDescription {
    /// A network of `kind` for images of `image_shape`, with the normalisation of its kind.
    pub fn new(kind: NetworkKind, image_shape: ImageShape) -> Self {
        let normalisation = kind.normalisation(image_shape.channels);
        Self { kind, image_shape, normalisation }
    }

    /// A generator of images of `image_shape` from latents of `space`.
    pub fn generator(architecture: Architecture, space: LatentSpace, image_shape: ImageShape) -> Self {
        let LatentSpace { dim: latent_dim, distribution: latents } = space;
        let class_names = Vec::new();
        Self::new(NetworkKind::Generator { architecture, latent_dim, latents, class_names }, image_shape)
    }

    /// A discriminator of images of `image_shape`.
    pub fn discriminator(architecture: Architecture, image_shape: ImageShape) -> Self {
        Self::new(
            NetworkKind::Discriminator { architecture, class_names: Vec::new(), spectral_norm: false },
            image_shape,
        )
    }

    /// An encoder that is pretrained on images of `image_shape`.
    pub fn encoder(encoder: impl Into<EncoderConfig>, image_shape: ImageShape) -> Self {
        let EncoderConfig { architecture, stem, .. } = encoder.into();
        Self::new(NetworkKind::Encoder { architecture, stem }, image_shape)
    }

    /// A projection head on the encoder `architecture`.
    pub fn projection_head(
        architecture: EncoderArchitecture,
        config: ProjectionHeadConfig,
        image_shape: ImageShape,
    ) -> Self {
        let ProjectionHeadConfig { hidden, embedding } = config;
        Self::new(NetworkKind::ProjectionHead { architecture, hidden, embedding }, image_shape)
    }

    /// An encoder with a linear classifier of `classes` classes on it.
    pub fn classifier(encoder: impl Into<EncoderConfig>, classes: usize, image_shape: ImageShape) -> Self {
        let EncoderConfig { architecture, stem, .. } = encoder.into();
        Self::new(NetworkKind::Classifier { architecture, stem, classes, names: Vec::new() }, image_shape)
    }

    /// The same classifier with the names of its classes, or the same network of a GAN conditional on classes of these
    /// names; other networks have none.
    pub fn with_class_names(mut self, class_names: &[String]) -> Self {
        match &mut self.kind {
            NetworkKind::Classifier { names, .. }
            | NetworkKind::Generator { class_names: names, .. }
            | NetworkKind::Discriminator { class_names: names, .. } => *names = class_names.to_vec(),
            NetworkKind::Encoder { .. } | NetworkKind::ProjectionHead { .. } | NetworkKind::DigitClassifier { .. } => {}
        }
        self
    }

    /// The same discriminator with spectral normalisation, or without.
    pub fn with_spectral_norm(mut self, is_on: bool) -> Self {
        if let NetworkKind::Discriminator { spectral_norm, .. } = &mut self.kind {
            *spectral_norm = is_on;
        }
        self
    }

    /// The same network of pictures with another normalisation than CIFAR-10's.
    pub fn normalised_by(self, normalisation: Normalisation) -> Self {
        Self { normalisation, ..self }
    }

    /// The digit classifier of 28x28 grey images.
    pub fn digit_classifier() -> Self {
        Self::new(NetworkKind::DigitClassifier { classes: CLASSES }, DigitClassifier::IMAGE_SHAPE)
    }

    /// The tensors of its file: names, shapes and dtypes.
    ///
    /// # Errors
    /// Where its architecture is not for its images.
    pub fn signature(&self) -> Result<Signature> {
        params::signature(|vb| self.ask(vb))
    }

    /// Asks `vb` for every tensor, under the names of its file: those of an encoder begin with `f.`, of a projection head
    /// with `g.`, of a classifier on an encoder with `fc.`.
    fn ask(&self, vb: VarBuilder) -> Result<()> {
        let shape = self.image_shape;
        match self.kind {
            NetworkKind::Generator { architecture, latent_dim, ref class_names, .. } => {
                Generator::new(architecture, latent_dim + class_names.len(), shape, vb).map(drop)
            }
            NetworkKind::Discriminator { architecture, ref class_names, spectral_norm } => {
                Discriminator::with(architecture, shape, class_names.len(), spectral_norm, vb).map(drop)
            }
            NetworkKind::Encoder { architecture, stem } => {
                Encoder::new(EncoderConfig { architecture, stem, side: shape.height }, vb.pp("f")).map(drop)
            }
            NetworkKind::ProjectionHead { architecture, hidden, embedding } => {
                let config = ProjectionHeadConfig { hidden, embedding };
                ProjectionHead::new(architecture.features(), config, vb.pp("g")).map(drop)
            }
            NetworkKind::Classifier { architecture, stem, classes, .. } => {
                Encoder::new(EncoderConfig { architecture, stem, side: shape.height }, vb.pp("f"))?;
                linear_classifier(architecture.features(), classes, vb.pp("fc")).map(drop)
            }
            NetworkKind::DigitClassifier { .. } => DigitClassifier::new(shape, vb).map(drop),
        }
    }

    /// What is wrong with a description that was read, if anything: sizes that no network has, or a normalisation that is
    /// not computed here.
    pub fn fault(&self) -> Option<String> {
        let ImageShape { height, width, channels } = self.image_shape;
        let mut sizes = vec![("height", height), ("width", width)];
        sizes.extend(match self.kind {
            NetworkKind::Generator { latent_dim, .. } => vec![("latent_dim", latent_dim)],
            NetworkKind::ProjectionHead { hidden, embedding, .. } => vec![("hidden", hidden), ("embedding", embedding)],
            NetworkKind::Classifier { classes, .. } => vec![("classes", classes)],
            NetworkKind::Discriminator { .. } | NetworkKind::Encoder { .. } | NetworkKind::DigitClassifier { .. } => {
                vec![]
            }
        });
        if let Some((name, size)) = sizes.into_iter().find(|(_, size)| !(1..=LARGEST).contains(size)) {
            return Some(format!("{name} {size}; expected 1 to {LARGEST}"));
        }
        if let NetworkKind::Classifier { classes, names, .. } = &self.kind
            && ![0, *classes].contains(&names.len())
        {
            return Some(format!("{} names of {classes} classes", names.len()));
        }
        if ![1, 3].contains(&channels) || self.kind.is_of_pictures() && channels != 3 {
            return Some(format!("images of {channels} channels"));
        }
        if !self.kind.is_of_pictures() {
            let is_computed = self.normalisation == self.kind.normalisation(channels);
            return (!is_computed).then(|| "another normalisation of pixels".into());
        }
        // No tensor of a ResNet depends on the size of its pictures: nothing else would notice a wrong one.
        if height != width {
            return Some(format!("images of {height}x{width}; expected squares"));
        }
        if let NetworkKind::Encoder { architecture, .. }
        | NetworkKind::Classifier { architecture, .. }
        | NetworkKind::ProjectionHead { architecture, .. } = self.kind
            && let Some(expected) = architecture.refuses_side(height)
        {
            return Some(format!("images of {height}x{width}; {expected}"));
        }
        if let NetworkKind::Encoder { architecture, stem } | NetworkKind::Classifier { architecture, stem, .. } =
            self.kind
            && let Some(reason) = architecture.refuses(stem)
        {
            return Some(format!("the stem {}: {reason}", stem.name()));
        }
        self.normalisation.fault(channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::augment;
    use crate::models::Stem;

    fn dcgan(latent_dim: usize, shape: ImageShape) -> NetworkDescription {
        NetworkDescription::generator(Architecture::Dcgan, LatentSpace::uniform(latent_dim), shape)
    }

    fn descriptions() -> Vec<NetworkDescription> {
        let (grey, colour) = (ImageShape::new(28, 28, 1), ImageShape::new(32, 32, 3));
        let mut all = vec![NetworkDescription::digit_classifier()];
        for architecture in Architecture::ALL {
            all.push(NetworkDescription::generator(architecture, LatentSpace::uniform(96), grey));
            all.push(NetworkDescription::discriminator(architecture, grey));
        }
        for architecture in EncoderArchitecture::ALL {
            all.push(NetworkDescription::encoder(architecture, colour));
            all.push(NetworkDescription::projection_head(architecture, ProjectionHeadConfig::default(), colour));
            all.push(NetworkDescription::classifier(architecture, 7, colour));
            let names: Vec<String> = (0..7).map(|class| format!("class {class}")).collect();
            all.push(NetworkDescription::classifier(architecture, 7, colour).with_class_names(&names));
        }
        let large = EncoderConfig::for_pictures(EncoderArchitecture::Resnet18, 224);
        let shape = ImageShape::new(224, 224, 3);
        all.push(NetworkDescription::encoder(large, shape).normalised_by(Normalisation::imagenet()));
        all.push(NetworkDescription::classifier(large, 7, shape));
        all
    }

    #[test]
    fn a_description_is_read_as_it_was_written() {
        for description in descriptions() {
            let text = serde_json::to_string(&description).unwrap();
            assert_eq!(serde_json::from_str::<NetworkDescription>(&text).unwrap(), description, "{text}");
            assert_eq!(description.fault(), None, "{text}");
        }
        let generator = dcgan(96, ImageShape::new(28, 28, 1));
        assert_eq!(
            serde_json::to_string(&generator).unwrap(),
            r#"{"kind":"generator","architecture":"dcgan","latent_dim":96,"image_shape":{"height":28,"width":28,"channels":1},"normalisation":{"mean":[0.5],"std":[0.5]}}"#
        );
    }

    #[test]
    fn tensors_are_those_of_the_network_and_take_no_memory() {
        let of = |name: &str, description: &NetworkDescription| description.signature().unwrap()[name].0.clone();
        let [classifier, generator, ..] = &descriptions()[..] else { unreachable!() };
        assert_eq!(of("12.weight", classifier), [CLASSES, 128]);
        assert_eq!(of("4.weight", generator), [784, 1024]);
        let head = NetworkDescription::classifier(EncoderArchitecture::Resnet9, 7, ImageShape::new(32, 32, 3));
        assert_eq!([of("fc.weight", &head), of("f.0.weight", &head)], [vec![7, 256], vec![32, 3, 3, 3]]);
        let large = EncoderConfig::for_pictures(EncoderArchitecture::Resnet18, 224);
        let large = NetworkDescription::encoder(large, ImageShape::new(224, 224, 3));
        assert_eq!([of("f.conv1.weight", &large), of("f.layer4.1.bn2.weight", &large)], [vec![64, 3, 7, 7], vec![512]]);
        // A header can claim this; no machine could hold it.
        let (space, shape) = (LatentSpace::uniform(LARGEST), ImageShape::new(LARGEST, LARGEST, 3));
        let huge = NetworkDescription::generator(Architecture::Vanilla, space, shape);
        assert_eq!(of("4.weight", &huge), [LARGEST * LARGEST * 3, 1024]);
        let unfit = dcgan(96, ImageShape::new(48, 48, 3));
        assert!(unfit.signature().unwrap_err().to_string().contains("32, 64, 128 or 256"));
    }

    #[test]
    fn faults_are_found() {
        let grey = ImageShape::new(28, 28, 1);
        for (description, fault) in [
            (dcgan(0, grey), "latent_dim 0"),
            (dcgan(96, ImageShape::new(28, LARGEST + 1, 1)), "width 65537"),
            (dcgan(96, ImageShape::new(28, 28, 2)), "2 channels"),
            (NetworkDescription::encoder(EncoderArchitecture::Resnet9, grey), "1 channels"),
            (
                NetworkDescription::classifier(EncoderArchitecture::Resnet9, 7, ImageShape::new(32, 32, 3))
                    .with_class_names(&["cat".to_string()]),
                "1 names of 7 classes",
            ),
            (
                NetworkDescription::encoder(EncoderArchitecture::Resnet9, ImageShape::new(60, 61, 3)),
                "60x61; expected squares",
            ),
            (
                NetworkDescription::encoder(EncoderArchitecture::Resnet9, ImageShape::new(6000, 6000, 3)),
                "6000x6000; expected 8 to 1024 pixels",
            ),
            (
                NetworkDescription::encoder(
                    EncoderConfig { stem: Stem::Imagenet, ..EncoderArchitecture::Resnet9.into() },
                    ImageShape::new(224, 224, 3),
                ),
                "the stem imagenet: resnet9 is made for small",
            ),
            (
                NetworkDescription::encoder(EncoderArchitecture::Resnet18, ImageShape::new(32, 32, 3))
                    .normalised_by(Normalisation { mean: vec![0.5; 3], std: vec![0.2, 0.0, 0.2] }),
                "std [0.2, 0.0, 0.2]; expected finite means and stds above 0",
            ),
            (
                NetworkDescription {
                    normalisation: Normalisation::cifar10(),
                    ..NetworkDescription::digit_classifier()
                },
                "normalisation",
            ),
        ] {
            let found = description.fault().unwrap();
            assert!(found.contains(fault), "{found}");
        }
    }

    #[test]
    fn the_normalisation_is_what_is_computed() {
        let mut values = [0.0; 6];
        let normalisation = Normalisation::cifar10();
        augment::normalise(&[0, 0, 0, 255, 255, 255], &normalisation, &mut values);
        let Normalisation { mean, std } = normalisation;
        let expected = |pixel: f32| [0, 1, 2].map(|channel| (pixel - mean[channel]) / std[channel]);
        assert_eq!(values, [expected(0.0), expected(1.0)].concat()[..]);
        let shades = crate::data::normalised();
        let Normalisation { mean, std } = Normalisation::symmetric(1);
        for (pixel, shade) in shades.into_iter().enumerate() {
            assert!((shade - (pixel as f32 / 255.0 - mean[0]) / std[0]).abs() < 1e-6);
        }
    }
}
