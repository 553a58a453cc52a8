//! The networks: sizes, names, initial weights, and what training and evaluation mean for batch norm.

use candle_core::{Device, ModuleT, Tensor};
use gan::image_shape::ImageShape;
use gan::latent_space::{LatentDistribution, LatentSpace};
use gan::models::{
    Architecture, DigitClassifier, Discriminator, Encoder, EncoderArchitecture, Generator, NetworkDescription,
};
use gan::params::{Parameters, is_buffer};
use gan::rng::Stream;

fn generator(architecture: Architecture, seed: u64) -> (Generator, Parameters) {
    let parameters = Parameters::new(seed, "generator", &Device::Cpu);
    (Generator::new(architecture, 96, architecture.image_shape(), parameters.builder()).unwrap(), parameters)
}

fn discriminator(architecture: Architecture, seed: u64) -> (Discriminator, Parameters) {
    let parameters = Parameters::new(seed, "discriminator", &Device::Cpu);
    (Discriminator::new(architecture, architecture.image_shape(), parameters.builder()).unwrap(), parameters)
}

fn latents(count: usize) -> Tensor {
    let mut generator = Stream::new(5, "test").at(0);
    let values: Vec<f32> = (0..count * 96).map(|_| generator.symmetric()).collect();
    Tensor::from_vec(values, (count, 96), &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn parameter_counts_are_those_of_the_assignment() {
    for (architecture, d, g) in [
        (Architecture::Vanilla, 267_009, 1_952_528),
        (Architecture::Lsgan, 267_009, 1_952_528),
        (Architecture::Dcgan, 1_102_721, 6_675_009),
    ] {
        assert_eq!(discriminator(architecture, 0).1.count(), d, "{architecture:?}");
        assert_eq!(generator(architecture, 0).1.count(), g, "{architecture:?}");
    }
}

#[test]
fn tensor_names_are_the_indices_of_the_assignments_lists() {
    let layers = |parameters: &Parameters| {
        let mut layers: Vec<usize> =
            parameters.all().iter().map(|(name, _)| name.split('.').next().unwrap().parse().unwrap()).collect();
        layers.sort_unstable();
        layers.dedup();
        layers
    };
    assert_eq!(layers(&discriminator(Architecture::Vanilla, 0).1), [1, 3, 5]);
    assert_eq!(layers(&generator(Architecture::Vanilla, 0).1), [0, 2, 4]);
    assert_eq!(layers(&discriminator(Architecture::Dcgan, 0).1), [1, 4, 8, 10]);
    let (_, parameters) = generator(Architecture::Dcgan, 0);
    assert_eq!(layers(&parameters), [0, 2, 3, 5, 7, 9, 10]);
    let buffers = ["running_mean", "running_var", "num_batches_tracked"].map(|buffer| format!("9.{buffer}"));
    let names: Vec<String> = parameters.all().into_iter().map(|(name, _)| name).collect();
    assert!(buffers.iter().all(|buffer| names.contains(buffer)));
    assert!(parameters.trainable().iter().all(|(name, _)| !buffers.contains(name)));
}

#[test]
fn shapes_go_through_and_images_stay_within_their_range() {
    for architecture in Architecture::ALL {
        let images = generator(architecture, 1).0.forward_t(&latents(3), true).unwrap();
        assert_eq!(images.dims(), [3, 28, 28, 1]);
        assert!(values(&images).iter().all(|value| value.abs() <= 1.0));
        let scores = discriminator(architecture, 1).0.forward_t(&images, true).unwrap();
        assert_eq!(scores.dims(), [3, 1]);
    }
}

/// Fully connected networks are of any shape; of more than one channel, their layers see the channels first, as PyTorch's
/// do.
#[test]
fn fully_connected_networks_take_any_shape() {
    let shape = ImageShape::new(20, 12, 3);
    let parameters = Parameters::new(0, "generator", &Device::Cpu);
    let generator = Generator::new(Architecture::Vanilla, 96, shape, parameters.builder()).unwrap();
    let images = generator.forward_t(&latents(2), false).unwrap();
    assert_eq!(images.dims(), [2, 20, 12, 3]);
    let bias = &parameters.tensors()["4.bias"];
    assert_eq!(bias.dims(), [720]);
    // Of a generator whose last layer is its bias alone, image 0 is tanh of that bias.
    let zero = parameters.all().into_iter().find(|(name, _)| name == "4.weight").unwrap().1;
    zero.set(&zero.zeros_like().unwrap()).unwrap();
    let image = values(&generator.forward_t(&latents(1), false).unwrap());
    let expected: Vec<f32> = values(bias).iter().map(|value| value.tanh()).collect();
    let near = |(found, expected): (&f32, &f32)| (found - expected).abs() < 1e-5;
    assert!(shape.channels_first(&image).iter().zip(&expected).all(near));

    let parameters = Parameters::new(0, "discriminator", &Device::Cpu);
    let discriminator = Discriminator::new(Architecture::Lsgan, shape, parameters.builder()).unwrap();
    assert_eq!(parameters.tensors()["1.weight"].dims(), [256, 720]);
    assert_eq!(discriminator.forward_t(&images, false).unwrap().dims(), [2, 1]);
}

#[test]
fn networks_that_are_sized_for_one_shape_say_so() {
    let parameters = Parameters::new(0, "generator", &Device::Cpu);
    let error = DigitClassifier::new(ImageShape::new(32, 32, 3), parameters.builder()).unwrap_err().to_string();
    assert!(error.contains("is for images of 28x28x1, not 32x32x3"), "{error}");
    for shape in [(28, 28, 3), (48, 48, 3), (64, 32, 3), (32, 64, 1), (64, 64, 2), (512, 512, 3)] {
        let shape = ImageShape::new(shape.0, shape.1, shape.2);
        for error in [
            Generator::new(Architecture::Dcgan, 96, shape, parameters.builder()).unwrap_err(),
            Discriminator::new(Architecture::Dcgan, shape, parameters.builder()).unwrap_err(),
            Architecture::Dcgan.check(shape).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains("32, 64, 128 or 256") && text.contains(&format!("not {shape}")), "{text}");
        }
    }
}

/// The tensors of Radford's networks at a size, which take no memory.
fn radford(size: usize, channels: usize) -> [NetworkDescription; 2] {
    let shape = ImageShape::new(size, size, channels);
    let space = LatentSpace { dim: 100, distribution: LatentDistribution::Normal };
    [
        NetworkDescription::generator(Architecture::Dcgan, space, shape),
        NetworkDescription::discriminator(Architecture::Dcgan, shape),
    ]
}

#[test]
fn radfords_networks_have_the_examples_parameters_and_names_and_a_block_less_or_more() {
    let trained = |network: &NetworkDescription| -> usize {
        let signature = network.signature().unwrap();
        let trained = signature.iter().filter(|(name, _)| !is_buffer(name));
        trained.map(|(_, (shape, _))| shape.iter().product::<usize>()).sum()
    };
    let [g, d] = radford(64, 3);
    assert_eq!((trained(&g), trained(&d)), (3_576_704, 2_765_568));
    let names = |network: &NetworkDescription| -> Vec<String> {
        network.signature().unwrap().into_keys().filter(|name| name.ends_with(".weight")).collect()
    };
    let of = |layers: &[usize]| -> Vec<String> {
        let mut names: Vec<_> = layers.iter().map(|layer| format!("main.{layer}.weight")).collect();
        names.sort();
        names
    };
    assert_eq!(names(&g), of(&[0, 1, 3, 4, 6, 7, 9, 10, 12]));
    assert_eq!(names(&d), of(&[0, 2, 3, 5, 6, 8, 9, 11]));
    assert!(g.signature().unwrap().contains_key("main.1.num_batches_tracked"));
    for (size, width) in [(32, 256), (64, 512), (128, 1024), (256, 2048)] {
        let [g, d] = radford(size, 1).map(|network| network.signature().unwrap());
        let last = 3 * (size / 4).ilog2();
        assert_eq!(g["main.0.weight"].0, [100, width, 4, 4], "{size}");
        assert_eq!(g[&format!("main.{last}.weight")].0, [64, 1, 4, 4], "{size}");
        assert_eq!(d["main.0.weight"].0, [64, 1, 4, 4], "{size}");
        assert_eq!(d[&format!("main.{}.weight", last - 1)].0, [1, width, 4, 4], "{size}");
    }
}

#[test]
fn radfords_networks_go_from_latents_to_images_to_scores_in_grey_and_colour() {
    for (size, channels) in [(32, 1), (32, 3), (64, 3)] {
        let shape = ImageShape::new(size, size, channels);
        let of = |scope| Parameters::new(0, scope, &Device::Cpu);
        let (g, d) = (of("generator"), of("discriminator"));
        let generator = Generator::new(Architecture::Dcgan, 96, shape, g.builder()).unwrap();
        let discriminator = Discriminator::new(Architecture::Dcgan, shape, d.builder()).unwrap();
        assert_eq!(generator.image_shape(), shape);
        let images = generator.forward_t(&latents(2), true).unwrap();
        assert_eq!(images.dims(), [2, size, size, channels]);
        assert!(values(&images).iter().all(|value| value.abs() <= 1.0));
        assert_eq!(discriminator.forward_t(&images, true).unwrap().dims(), [2, 1]);
        // N(0, 0.02) and N(1, 0.02), and nothing else is drawn.
        for (name, mean) in [("main.3.weight", 0.0), ("main.1.weight", 1.0)] {
            let drawn = values(&g.tensors()[name]);
            let count = drawn.len() as f32;
            let found = drawn.iter().sum::<f32>() / count;
            let deviation = (drawn.iter().map(|value| (value - found).powi(2)).sum::<f32>() / count).sqrt();
            assert!((found - mean).abs() < 0.005 && (deviation - 0.02).abs() < 0.002, "{name}: {found}, {deviation}");
        }
        assert!(values(&g.tensors()["main.1.bias"]).iter().all(|value| *value == 0.0));
        assert!(!g.tensors().contains_key("main.0.bias"));

        filled(&g);
        let folded = generator.folded().unwrap();
        let expected = generator.forward_t(&latents(3), false).unwrap();
        assert_near("folded", &folded.forward_t(&latents(3), false).unwrap(), &expected, 1e-5);
        assert!(folded.forward_t(&latents(3), true).is_err(), "there is no norm to train");
    }
}

/// Bounds as PyTorch's: 1/√fan_in by default; √(6/(fan_in + fan_out)) where Xavier is asked for.
#[test]
fn initial_weights_fill_their_bounds() {
    let extent = |parameters: &Parameters, name: &str| {
        let all = parameters.all();
        let tensor = all.iter().find(|(found, _)| found == name).unwrap().1.as_detached_tensor();
        let values = values(&tensor);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        assert!(mean.abs() < 0.1 * largest, "{name}: mean {mean}, largest {largest}");
        f64::from(largest)
    };
    let (mlp, (_, d), (_, g)) = (
        generator(Architecture::Vanilla, 0).1,
        discriminator(Architecture::Dcgan, 0),
        generator(Architecture::Dcgan, 0),
    );
    for (parameters, name, bound) in [
        (&mlp, "0.weight", 1.0 / 96f64.sqrt()),
        (&mlp, "2.bias", 1.0 / 1024f64.sqrt()),
        (&d, "1.weight", 1.0 / 25f64.sqrt()),
        (&d, "4.weight", 1.0 / 800f64.sqrt()),
        (&d, "8.weight", (6.0 / 2048f64).sqrt()),
        (&d, "8.bias", 1.0 / 1024f64.sqrt()),
        (&g, "3.weight", (6.0 / (1024.0 + 6272.0f64)).sqrt()),
        (&g, "7.weight", (6.0 / (192.0 * 16.0f64)).sqrt()),
        (&g, "7.bias", 1.0 / 1024f64.sqrt()),
        (&g, "10.weight", (6.0 / (65.0 * 16.0f64)).sqrt()),
    ] {
        let found = extent(parameters, name);
        assert!(found <= bound * (1.0 + 1e-6) && found > 0.9 * bound, "{name}: {found} for a bound of {bound}");
    }
}

#[test]
fn a_seed_decides_every_weight_and_two_networks_differ() {
    let first = |parameters: &Parameters, name: &str| {
        values(&parameters.all().iter().find(|(found, _)| found == name).unwrap().1.as_detached_tensor())[..8].to_vec()
    };
    let same = |seed| first(&generator(Architecture::Vanilla, seed).1, "2.weight");
    assert_eq!(same(3), same(3));
    assert_ne!(same(3), same(4));
    assert_ne!(same(3), first(&generator(Architecture::Vanilla, 3).1, "4.weight"));
}

#[test]
fn batch_norm_tracks_in_training_and_only_then() {
    let (network, parameters) = generator(Architecture::Dcgan, 0);
    let buffer = |name: &str| parameters.tensors()[name].clone();
    let batches = || buffer("2.num_batches_tracked").to_scalar::<i64>().unwrap();

    network.forward_t(&latents(16), false).unwrap();
    assert_eq!(batches(), 0);
    let evaluated_before = values(&network.forward_t(&latents(4), false).unwrap());

    network.forward_t(&latents(16), true).unwrap();
    assert_eq!(batches(), 1);
    assert!(values(&buffer("2.running_mean")).iter().any(|mean| *mean != 0.0));
    assert_ne!(values(&network.forward_t(&latents(4), false).unwrap()), evaluated_before);
    assert!(network.forward_t(&latents(1), true).is_err(), "one image has no variance");
    assert_eq!(batches(), 1);
}

#[test]
fn a_frozen_network_sees_updates_and_gets_no_gradient() {
    let (_, parameters) = discriminator(Architecture::Dcgan, 0);
    let shape = Architecture::Dcgan.image_shape();
    let detached_discriminator = Discriminator::new(Architecture::Dcgan, shape, parameters.frozen()).unwrap();
    let images = candle_core::Var::from_tensor(&Tensor::full(0.25f32, (2, 28, 28, 1), &Device::Cpu).unwrap()).unwrap();
    let before = values(&detached_discriminator.forward_t(&images, true).unwrap());
    let bias = parameters.all().into_iter().find(|(name, _)| name == "10.bias").unwrap().1;
    bias.set(&(bias.as_detached_tensor() + 1.0).unwrap()).unwrap();
    let scores = detached_discriminator.forward_t(&images, true).unwrap();
    for (after, before) in values(&scores).iter().zip(before) {
        assert!((after - before - 1.0).abs() < 1e-5);
    }
    let gradients = scores.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&images).is_some());
    assert!(parameters.trainable().iter().all(|(_, variable)| gradients.get(variable).is_none()));
}

/// Random statistics, and norms that turn signs.
fn filled(parameters: &Parameters) {
    for (name, variable) in parameters.all() {
        let mut generator = Stream::new(7, &name).at(0);
        let mut random = |lo: f32, hi: f32| -> Tensor {
            let values: Vec<f32> = (0..variable.elem_count()).map(|_| generator.between(lo, hi)).collect();
            Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()
        };
        match name.rsplit('.').next().unwrap() {
            "running_var" => variable.set(&random(0.2, 3.0)).unwrap(),
            "running_mean" => variable.set(&random(-1.0, 1.0)).unwrap(),
            "weight" if variable.rank() == 1 => variable.set(&random(-1.5, 1.5)).unwrap(),
            "bias" => variable.set(&random(-0.5, 0.5)).unwrap(),
            _ => {}
        }
    }
}

fn assert_near(what: &str, found: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(0f32, |scale, value| scale.max(value.abs()));
    let off = found.iter().zip(&expected).fold(0f32, |off, (found, expected)| off.max((found - expected).abs()));
    assert!(scale > 0.01 && off <= tolerance * scale, "{what}: off by {off:e} of {scale:e}");
}

#[test]
fn folded_networks_are_those_they_were_made_of() {
    let (network, parameters) = generator(Architecture::Dcgan, 0);
    filled(&parameters);
    let folded = network.folded().unwrap();
    let latents = latents(5);
    let images = network.forward_t(&latents, false).unwrap();
    assert_near("dcgan", &folded.forward_t(&latents, false).unwrap(), &images, 1e-5);
    assert!(folded.forward_t(&latents, true).is_err(), "there is no norm to train");
    assert_near("folded twice", &folded.folded().unwrap().forward_t(&latents, false).unwrap(), &images, 1e-5);

    let parameters = Parameters::new(0, "digit_classifier", &Device::Cpu);
    let network = DigitClassifier::new(DigitClassifier::IMAGE_SHAPE, parameters.builder()).unwrap();
    filled(&parameters);
    let folded = network.folded().unwrap();
    let features = network.features(&images, false).unwrap();
    assert_near("classifier", &folded.features(&images, false).unwrap(), &features, 1e-5);
    assert_near("scores", &folded.scores(&features).unwrap(), &network.scores(&features).unwrap(), 1e-5);
    assert!(folded.features(&images, true).is_err(), "there is no norm to train");

    let pictures = images.reshape((5, 14, 56, 1)).unwrap();
    let pictures = Tensor::cat(&[&pictures, &pictures, &pictures], 3).unwrap();
    // A transformer has no norms that fold.
    for architecture in EncoderArchitecture::ALL.into_iter().filter(|architecture| !architecture.is_transformer()) {
        let parameters = Parameters::new(0, "encoder", &Device::Cpu);
        let network = Encoder::new(architecture, parameters.builder()).unwrap();
        filled(&parameters);
        let folded = network.folded().unwrap();
        let features = network.forward_t(&pictures, false).unwrap();
        assert_near(architecture.name(), &folded.forward_t(&pictures, false).unwrap(), &features, 1e-4);
        assert!(folded.forward_t(&pictures, true).is_err(), "there is no norm to train");
    }
}
