//! Encoders and their projection head: sizes, names, initial weights.

use candle_core::{DType, Device, ModuleT, Tensor};
use gan::models::{Encoder, EncoderArchitecture, EncoderConfig, ProjectionHead, ProjectionHeadConfig, Stem};
use gan::params::Parameters;

fn encoder(config: impl Into<EncoderConfig>, seed: u64) -> (Encoder, Parameters) {
    let parameters = Parameters::new(seed, "encoder", &Device::Cpu);
    (Encoder::new(config, parameters.builder().pp("f")).unwrap(), parameters)
}

fn head(architecture: EncoderArchitecture) -> (ProjectionHead, Parameters) {
    let parameters = Parameters::new(0, "projection_head", &Device::Cpu);
    let config = ProjectionHeadConfig::default();
    (ProjectionHead::new(architecture.features(), config, parameters.builder().pp("g")).unwrap(), parameters)
}

/// With torchvision's own stem.
fn large(architecture: EncoderArchitecture) -> EncoderConfig {
    EncoderConfig { stem: Stem::Imagenet, ..architecture.into() }
}

/// torchvision's ResNets without the last linear layer and with a 3x3 stem; `generate_simclr.py` counts the same.
#[test]
fn parameter_counts_are_torchvisions() {
    for (architecture, of_encoder, of_head) in [
        (EncoderArchitecture::Resnet9, 1_226_400, 197_760),
        (EncoderArchitecture::Resnet18, 11_168_832, 328_832),
        (EncoderArchitecture::Resnet50, 23_500_352, 1_115_264),
    ] {
        assert_eq!(encoder(architecture, 0).1.count(), of_encoder, "{architecture:?}");
        assert_eq!(head(architecture).1.count(), of_head, "{architecture:?}");
    }
    // torchvision counts 11,689,512 and 25,557,032 with the last layer's 1000 classes.
    for (architecture, count) in
        [(EncoderArchitecture::Resnet18, 11_689_512 - 513_000), (EncoderArchitecture::Resnet50, 25_557_032 - 2_049_000)]
    {
        assert_eq!(encoder(large(architecture), 0).1.count(), count, "{architecture:?}");
    }
}

#[test]
fn the_stem_is_for_the_size_of_the_pictures() {
    for (architecture, side, stem) in [
        (EncoderArchitecture::Resnet18, 32, Stem::Small),
        (EncoderArchitecture::Resnet18, 64, Stem::Small),
        (EncoderArchitecture::Resnet18, 96, Stem::Imagenet),
        (EncoderArchitecture::Resnet50, 224, Stem::Imagenet),
        (EncoderArchitecture::Resnet9, 224, Stem::Small),
    ] {
        let config = EncoderConfig::for_pictures(architecture, side);
        assert_eq!(config, EncoderConfig { architecture, stem, side }, "{side}");
    }
    let parameters = Parameters::new(0, "encoder", &Device::Cpu);
    let error = Encoder::new(large(EncoderArchitecture::Resnet9), parameters.builder()).err().unwrap();
    assert!(error.to_string().contains("resnet9 is made for small pictures"), "{error}");
}

#[test]
fn with_torchvisions_stem_names_are_torchvisions() {
    let (network, parameters) = encoder(large(EncoderArchitecture::Resnet18), 0);
    let names: Vec<String> = parameters.all().into_iter().map(|(name, _)| name).collect();
    for name in ["conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer4.0.downsample.1.bias"] {
        assert!(names.contains(&format!("f.{name}")), "{name} in {names:?}");
    }
    // 224, 112, 56, 56, 28, 14, 7: odd sides are rounded up, as torchvision's are.
    for side in [33, 96] {
        let pictures = Tensor::ones((1, side, side, 3), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(network.forward_t(&pictures, false).unwrap().dims(), [1, 512]);
    }
    let stem = parameters.tensors()["f.conv1.weight"].clone();
    let deviation = stem.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
    assert!((deviation / (2f32 / (64.0 * 49.0)).sqrt() - 1.0).abs() < 0.05, "{deviation}: normal by the fan out");
}

#[test]
fn pictures_of_any_size_become_features_and_embeddings() {
    for architecture in [EncoderArchitecture::Resnet9, EncoderArchitecture::Resnet18] {
        let ((encoder, _), (head, _)) = (encoder(architecture, 0), head(architecture));
        for side in [8, 32, 33] {
            let pictures = Tensor::ones((2, side, side, 3), DType::F32, &Device::Cpu).unwrap();
            let features = encoder.forward_t(&pictures, false).unwrap();
            assert_eq!(features.dims(), [2, architecture.features()], "{architecture:?}, {side}");
            assert_eq!(head.forward_t(&features, false).unwrap().dims(), [2, 128], "{architecture:?}");
        }
        let grey = Tensor::ones((2, 32, 32, 1), DType::F32, &Device::Cpu).unwrap();
        assert!(encoder.forward_t(&grey, false).is_err(), "one channel");
    }
}

/// What `nn.Sequential(conv1, bn1, relu, layer1, ..., layer4, avgpool)` calls them: 2 and 7 have no tensors.
#[test]
fn names_are_those_of_torchvisions_layers_in_a_sequence() {
    let names = |architecture: EncoderArchitecture| -> Vec<String> {
        let (_, parameters) = encoder(architecture, 0);
        parameters.all().into_iter().map(|(name, _)| name).filter(|name| name.ends_with("weight")).collect()
    };
    let resnet9 = [
        "f.0",
        "f.1",
        "f.3.0.bn1",
        "f.3.0.bn2",
        "f.3.0.conv1",
        "f.3.0.conv2",
        "f.4.0.bn1",
        "f.4.0.bn2",
        "f.4.0.conv1",
        "f.4.0.conv2",
        "f.4.0.downsample.0",
        "f.4.0.downsample.1",
        "f.5.0.bn1",
        "f.5.0.bn2",
        "f.5.0.conv1",
        "f.5.0.conv2",
        "f.5.0.downsample.0",
        "f.5.0.downsample.1",
        "f.6.0.bn1",
        "f.6.0.bn2",
        "f.6.0.conv1",
        "f.6.0.conv2",
        "f.6.0.downsample.0",
        "f.6.0.downsample.1",
    ]; // the first stage keeps its shape, and needs no shortcut
    assert_eq!(names(EncoderArchitecture::Resnet9), resnet9.map(|layer| format!("{layer}.weight")));
    for (architecture, blocks, convolutions) in
        [(EncoderArchitecture::Resnet18, [2, 2, 2, 2], 2), (EncoderArchitecture::Resnet50, [3, 4, 6, 3], 3)]
    {
        let names = names(architecture);
        // A stem, and of every convolution its batch norm; three or four shortcuts.
        let shortcuts = if architecture == EncoderArchitecture::Resnet50 { 4 } else { 3 };
        let all = 1 + convolutions * blocks.iter().sum::<usize>() + shortcuts;
        assert_eq!(names.len(), 2 * all, "{architecture:?}");
        for (stage, count) in blocks.into_iter().enumerate() {
            let last = format!("f.{}.{}.conv{convolutions}.weight", 3 + stage, count - 1);
            assert!(names.contains(&last), "{last}");
            assert!(!names.contains(&format!("f.{}.{count}.conv1.weight", 3 + stage)), "{architecture:?}");
        }
    }
    let head: Vec<String> =
        head(EncoderArchitecture::Resnet9).1.trainable().into_iter().map(|(name, _)| name).collect();
    assert_eq!(head, ["g.0.weight", "g.1.bias", "g.1.weight", "g.3.bias", "g.3.weight"]);
}

/// torchvision's: convolutions of the blocks normal with variance 2 / fan_out; the stem, which the course puts in
/// afterwards, PyTorch's uniform in ±1/√fan_in; batch norms 1 and 0, the last of a block too.
#[test]
fn initial_weights_are_torchvisions() {
    for architecture in [EncoderArchitecture::Resnet9, EncoderArchitecture::Resnet50] {
        for (name, variable) in encoder(architecture, 3).1.trainable() {
            let values: Vec<f32> = variable.flatten_all().unwrap().to_vec1().unwrap();
            let count = values.len() as f64;
            let mean = values.iter().copied().map(f64::from).sum::<f64>() / count;
            let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
            let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let [outputs, inputs, height, width] = variable.dims() else {
                let constant = if name.ends_with("weight") { 1.0 } else { 0.0 };
                assert!(values.iter().all(|value| *value == constant), "{name}");
                continue;
            };
            // Five deviations of the mean and of the variance of so many draws.
            let expected = if name == "f.0.weight" {
                let bound = 1.0 / 27f64.sqrt();
                assert!(f64::from(largest) <= bound && f64::from(largest) > 0.98 * bound, "{name}: {largest}");
                bound * bound / 3.0
            } else {
                // A normal, not a uniform of the same variance, which ends at 1.73 deviations.
                assert!(f64::from(largest) > 3.0 * variance.sqrt(), "{name}: {largest}");
                2.0 / (outputs * height * width) as f64
            };
            assert!(mean.abs() < 5.0 * (expected / count).sqrt(), "{name}: mean {mean}");
            let ratio = variance / expected;
            assert!(
                (ratio - 1.0).abs() < 5.0 * (2.0 / count).sqrt(),
                "{name}, {inputs} inputs: variance {ratio} times"
            );
        }
    }
}

#[test]
fn a_seed_decides_the_weights() {
    let weights = |seed| {
        let (_, parameters) = encoder(EncoderArchitecture::Resnet9, seed);
        ["f.0.weight", "f.4.0.conv1.weight", "f.4.0.conv2.weight"]
            .map(|name| parameters.tensors()[name].flatten_all().unwrap().to_vec1::<f32>().unwrap()[..8].to_vec())
    };
    assert_eq!(weights(1), weights(1));
    assert!(weights(1).iter().zip(weights(2)).all(|(one, other)| *one != other));
    let [_, first, second] = weights(1);
    assert_ne!(first, second);
}
