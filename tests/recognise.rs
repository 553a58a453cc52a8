//! What a file says of its networks, what is concluded where it says nothing, and what is refused.

use std::path::Path;

use candle_core::Device;
use gan::checkpoint::{self, Archive, Bundled, Weights};
use gan::commands::exit_code::exit_code;
use gan::image_shape::ImageShape;
use gan::latent_space::{LatentDistribution, LatentSpace};
use gan::models::{
    Architecture, EncoderArchitecture, NetworkDescription, NetworkKind, ProjectionHeadConfig, Stem, linear_classifier,
};
use gan::params::Parameters;
use gan::pretrained::{self, EncoderSource, TrainedEncoder, TrainedGenerator};
use gan::report::read_png;

use crate::support::{Workplace, write_pictures};

const COLOUR: ImageShape = ImageShape::new(20, 12, 3);
const PICTURE: ImageShape = ImageShape::new(32, 32, 3);

fn generator(architecture: Architecture, shape: ImageShape) -> Parameters {
    let parameters = Parameters::new(1, "generator", &Device::Cpu);
    gan::models::Generator::new(architecture, 8, shape, parameters.builder()).unwrap();
    parameters
}

fn encoder() -> Parameters {
    let parameters = Parameters::new(1, "encoder", &Device::Cpu);
    gan::models::Encoder::new(EncoderArchitecture::Resnet9, parameters.builder().pp("f")).unwrap();
    parameters
}

fn write(path: &Path, parameters: &Parameters, metadata: &[(&str, String)]) {
    let metadata = metadata.iter().map(|(key, text)| (key.to_string(), text.clone())).collect();
    checkpoint::write(path, &Archive { tensors: parameters.tensors(), metadata }).unwrap();
}

fn header(description: &NetworkDescription) -> [(&'static str, String); 1] {
    [("gan.network", serde_json::to_string(description).unwrap())]
}

/// The prefix and the description of each network that a file holds.
fn recognised(path: &Path) -> Vec<(String, NetworkDescription)> {
    let candidates = pretrained::recognise(&Weights::open(path).unwrap()).unwrap();
    candidates.into_iter().map(|candidate| (candidate.prefix, candidate.description)).collect()
}

/// A generator of colour images that no preset has: only its header tells the shape, since 720 values have many. Grids,
/// arrays, single images and walks are of that shape.
#[test]
fn a_generator_of_another_shape_is_drawn_from() {
    let work = Workplace::new();
    let path = work.path("g.safetensors");
    let description = NetworkDescription::generator(Architecture::Vanilla, LatentSpace::uniform(8), COLOUR);
    write(&path, &generator(Architecture::Vanilla, COLOUR), &header(&description));
    assert_eq!(recognised(&path), [(String::new(), description)]);
    let sample = |output: &str, flags: &[&str]| {
        work.gan(&[&["sample", "--weights", "g.safetensors", "--seed", "3", "-o", output], flags].concat())
            .assert()
            .success();
    };
    let images = TrainedGenerator::open(&path, &Device::Cpu).unwrap().sample(4, 3).unwrap();
    assert_eq!(images.dims(), [4, 20, 12, 3]);
    let images = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    sample("a.npy", &["-n", "4"]);
    let bytes = work.read("a.npy");
    let array = npyz::NpyFile::new(&bytes[..]).unwrap();
    assert_eq!(array.shape(), [4, 3, 20, 12]);
    assert_eq!(COLOUR.channels_last(&array.into_vec::<f32>().unwrap()), images);
    sample("grid.png", &["-n", "4"]);
    let grid = read_png(&work.path("grid.png")).unwrap();
    assert_eq!((grid.width, grid.height, grid.channels), (2 * 24 + 2, 2 * 40 + 2, 3));
    sample("each/", &["-n", "2"]);
    let second = read_png(&work.path("each/000001.png")).unwrap();
    let bytes: Vec<u8> = images[720..1440].iter().map(|value| ((value + 1.0) * 127.5).round() as u8).collect();
    assert_eq!((second.width, second.height, second.pixels), (12, 20, bytes));
    sample("walk.gif", &["-n", "2", "--walks", "2", "--frames", "2"]);
    // The classifier that scores generators is sized for another shape.
    let output = work.gan(&["evaluate", "--weights", "g.safetensors", "--data", "data"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("no classifier fits images of 20x12x3"), "{stderr}");
}

#[test]
fn every_network_of_a_run_describes_itself() {
    let work = Workplace::new();
    work.train("lsgan", "2", &["--model", "lsgan"]);
    let shape = Architecture::Lsgan.image_shape();
    let generator = NetworkDescription::generator(Architecture::Lsgan, LatentSpace::uniform(8), shape);
    let discriminator = NetworkDescription::discriminator(Architecture::Lsgan, shape);
    let of = |name: &str| recognised(&work.path("weights/lsgan").join(format!("{name}.safetensors")));
    for (name, description) in
        [("generator", &generator), ("generator_ema", &generator), ("discriminator", &discriminator)]
    {
        assert_eq!(of(name), [(String::new(), description.clone())], "{name}");
        let metadata = checkpoint::describe(&work.path("weights/lsgan").join(format!("{name}.safetensors"))).unwrap();
        assert!(metadata.metadata.contains_key("gan.network"), "{name}");
    }
    // A checkpoint has no such entry: its configuration tells.
    let expected = [("generator.", &generator), ("generator_ema.", &generator), ("discriminator.", &discriminator)];
    let expected = expected.map(|(prefix, description)| (prefix.to_string(), description.clone()));
    assert_eq!(of("step-00000002"), expected);
    let output = work.gan(&["inspect", "weights/lsgan/generator.safetensors"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("# network: an lsgan generator, images of 28x28x1"), "{text}");
    assert!(text.contains("# gan.network: {\"kind\":\"generator\",\"architecture\":\"lsgan\""), "{text}");
    let refused = ["sample", "--weights", "weights/lsgan/discriminator.safetensors"];
    work.gan(&refused).assert().code(3).stderr(predicates::str::contains("not a generator"));
}

#[test]
fn every_network_of_simclr_describes_itself() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let flags = ["pretrain-simclr", "--data", "pictures", "--batch-size", "8", "--steps", "1", "--knn-every", "0"];
    work.gan(&flags).assert().success();
    let flags = ["finetune", "--labels", "1.0", "--batch-size", "8", "--epochs", "1", "--cached"];
    work.gan(&flags).assert().success();
    let architecture = EncoderArchitecture::Resnet9;
    let encoder = || NetworkDescription::encoder(architecture, PICTURE);
    let head = NetworkDescription::projection_head(architecture, ProjectionHeadConfig::default(), PICTURE);
    let names = ["bar", "cross", "disc"].map(String::from);
    let classifier = NetworkDescription::classifier(architecture, 3, PICTURE).with_class_names(&names);
    for (file, expected) in [
        ("resnet9/encoder", vec![("f.", encoder())]),
        ("resnet9/projection_head", vec![("", head)]),
        ("resnet9/step-00000001", vec![("f.", encoder())]),
        ("resnet9-finetune/classifier", vec![("", classifier), ("f.", encoder())]),
    ] {
        let found = recognised(&work.path("weights").join(format!("{file}.safetensors")));
        let found: Vec<_> = found.iter().map(|(prefix, network)| (prefix.as_str(), network.clone())).collect();
        assert_eq!(found, expected, "{file}");
    }
}

/// Files from before say it by their configuration; those that come with the program are such.
#[test]
fn files_from_before_are_recognised_by_their_configuration() {
    let work = Workplace::new();
    let path = work.path("old.safetensors");
    let config = r#"{"model":"lsgan","latent_dim":8,"data":"digits"}"#.to_string();
    write(&path, &generator(Architecture::Lsgan, ImageShape::new(28, 28, 1)), &[("gan.config", config.clone())]);
    let expected =
        NetworkDescription::generator(Architecture::Lsgan, LatentSpace::uniform(8), ImageShape::new(28, 28, 1));
    assert_eq!(recognised(&path), [(String::new(), expected)]);
    // What the configuration says is what the file is held to.
    write(&path, &generator(Architecture::Dcgan, ImageShape::new(28, 28, 1)), &[("gan.config", config)]);
    let error = TrainedGenerator::open(&path, &Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("an lsgan generator does not fit"), "{error}");

    write(&path, &encoder(), &[("gan.config", r#"{"encoder":"resnet9","data":"shapes"}"#.into())]);
    let expected = NetworkDescription::encoder(EncoderArchitecture::Resnet9, PICTURE);
    assert_eq!(recognised(&path), [("f.".to_string(), expected.clone())]);
    for (bundled, kind) in Bundled::ALL.into_iter().zip([
        NetworkKind::DigitClassifier { classes: 10 },
        NetworkKind::Generator {
            architecture: Architecture::Vanilla,
            latent_dim: 96,
            latents: LatentDistribution::Uniform,
            class_names: Vec::new(),
        },
        NetworkKind::Generator {
            architecture: Architecture::Lsgan,
            latent_dim: 96,
            latents: LatentDistribution::Uniform,
            class_names: Vec::new(),
        },
        NetworkKind::Generator {
            architecture: Architecture::Dcgan,
            latent_dim: 96,
            latents: LatentDistribution::Uniform,
            class_names: Vec::new(),
        },
        NetworkKind::Encoder { architecture: EncoderArchitecture::Resnet9, stem: Stem::Small },
    ]) {
        let candidates = pretrained::recognise(&Weights::bundled(bundled).unwrap()).unwrap();
        let kinds: Vec<_> = candidates.into_iter().map(|candidate| candidate.description.kind).collect();
        assert_eq!(kinds, [kind], "{bundled:?}");
    }
}

#[test]
fn a_classifier_is_an_encoder_too() {
    let work = Workplace::new();
    let path = work.path("classifier.safetensors");
    let classifier = encoder();
    linear_classifier(256, 7, classifier.builder().pp("fc")).unwrap();
    let description = NetworkDescription::classifier(EncoderArchitecture::Resnet9, 7, PICTURE);
    write(&path, &classifier, &header(&description));
    let encoder = NetworkDescription::encoder(EncoderArchitecture::Resnet9, PICTURE);
    assert_eq!(recognised(&path), [(String::new(), description), ("f.".into(), encoder.clone())]);
    let trained = TrainedEncoder::open(&path, &Device::Cpu).unwrap();
    assert_eq!(trained.description(), encoder);
    // A projection head alone is no encoder.
    let head = Parameters::new(1, "projection_head", &Device::Cpu);
    let config = ProjectionHeadConfig::default();
    gan::models::ProjectionHead::new(256, config, head.builder().pp("g")).unwrap();
    write(&path, &head, &header(&NetworkDescription::projection_head(EncoderArchitecture::Resnet9, config, PICTURE)));
    assert!(EncoderSource::open(&path).err().unwrap().to_string().contains("not an encoder"));
}

#[test]
fn features_of_an_image_do_not_depend_on_the_others() {
    let encoder = TrainedEncoder::bundled(&Device::Cpu).unwrap();
    let images = gan::data::shapes::first(gan::data::shapes::Part::Train, 5);
    let features = encoder.embed(&images).unwrap();
    assert_eq!(features.dims(), [5, 256]);
    let values = |features: &candle_core::Tensor| features.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let alone = encoder.embed(&images.select(&[3])).unwrap();
    assert_eq!(values(&alone), values(&features)[3 * 256..4 * 256]);
    let grey = gan::data::digits::first(gan::data::digits::Part::Train, 1);
    let error = encoder.embed(&grey).unwrap_err().to_string();
    assert!(error.contains("1 channels"), "{error}");
}

#[test]
fn headers_that_describe_no_network_are_refused() {
    let work = Workplace::new();
    let path = work.path("g.safetensors");
    let shape = ImageShape::new(28, 28, 1);
    let parameters = generator(Architecture::Vanilla, shape);
    let sound =
        serde_json::to_string(&NetworkDescription::generator(Architecture::Vanilla, LatentSpace::uniform(8), shape))
            .unwrap();
    for (from, to, words) in [
        ("{", "", "gan.network is damaged"),
        ("generator", "painter", "unknown variant `painter`"),
        ("\"latent_dim\":8", "\"latent_dim\":0", "latent_dim 0"),
        ("\"latent_dim\":8", "\"latent_dim\":18446744073709551615", "latent_dim"),
        ("\"latent_dim\":8", "\"latent_dim\":9", "different: 0.weight"),
        ("\"height\":28", "\"height\":65536", "different: 4.bias"),
        ("\"channels\":1", "\"channels\":2", "2 channels"),
        ("\"mean\":[0.5]", "\"mean\":[0.4]", "another normalisation"),
        ("vanilla", "dcgan", "does not fit"),
        ("\"height\":28", "\"height\":29", "different: 4.bias"),
    ] {
        let text = sound.replacen(from, to, 1);
        assert_ne!(text, sound, "{from}");
        write(&path, &parameters, &[("gan.network", text)]);
        let error = TrainedGenerator::open(&path, &Device::Cpu).unwrap_err();
        assert_eq!(exit_code(&error), 3, "{error:#}");
        assert!(error.to_string().contains(words), "{words}: {error:#}");
    }
    // A dcgan of other images there is none of.
    let text =
        serde_json::to_string(&NetworkDescription::generator(Architecture::Dcgan, LatentSpace::uniform(8), COLOUR))
            .unwrap();
    write(&path, &parameters, &[("gan.network", text)]);
    let error = TrainedGenerator::open(&path, &Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("32, 64, 128 or 256 in grey or colour, not 20x12x3"), "{error:#}");
}
