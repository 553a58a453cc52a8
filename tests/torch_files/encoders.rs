//! Encoders in the files of PyTorch's users: the course's, torchvision's, those of others.

use super::*;

/// Names of the encoder's parts, from the stem to the last stage.
const TORCHVISION: [&str; 6] = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"];

/// The encoder under other names: a prefix and what the six parts are called.
fn renamed(tensors: &Tensors, prefix: &str, names: [&str; 6], shortcut: &str) -> Item {
    let renamed = tensors.iter().map(|(name, tensor)| {
        let (part, rest) = name.strip_prefix("f.").unwrap().split_once('.').unwrap();
        let place = ["0", "1", "3", "4", "5", "6"].iter().position(|ours| *ours == part).unwrap();
        let rest = rest.replace("downsample", shortcut);
        (format!("{prefix}{}.{rest}", names[place]), Item::Tensor(tensor.clone()))
    });
    Item::Dict(renamed.collect())
}

#[test]
fn an_encoder_is_found_under_any_names() {
    let work = Workplace::new();
    let ours = encoder(1);
    let expected = bytes_of(&ours);
    let head = || zeros(&[10, 256]);
    let course = ["0", "1", "3", "4", "5", "6"];
    for (place, layout) in [
        ("", and(state(&ours, ""), "g.0.weight", zeros(&[512, 256]))),
        ("module", state(&ours, "module.")),
        ("encoder", renamed(&ours, "encoder.", course, "downsample")),
        ("", and(renamed(&ours, "", TORCHVISION, "downsample"), "fc.weight", head())),
        ("backbone", and(renamed(&ours, "backbone.", TORCHVISION, "downsample"), "backbone.fc.0.weight", head())),
        (
            "module.encoder",
            and(renamed(&ours, "module.encoder.", TORCHVISION, "shortcut"), "module.head.weight", head()),
        ),
        ("0", and(renamed(&ours, "0.", TORCHVISION, "downsample"), "1.weight", head())),
        ("backbone.0", renamed(&ours, "backbone.0.", ["0", "1", "4", "5", "6", "7"], "downsample")),
        (
            "encoder",
            and(renamed(&ours, "encoder.", ["0", "1", "4", "5", "6", "7"], "downsample"), "encoder.10.weight", head()),
        ),
        ("net", renamed(&ours, "net.", ["0", "1", "2", "3", "4", "5"], "shortcut")),
        (
            "state_dict.online_network",
            dict([(
                "state_dict",
                match (state(&ours, "online_network."), state(&encoder(2), "target_network.")) {
                    (Item::Dict(online), Item::Dict(target)) => Item::Dict([target, online].concat()),
                    _ => unreachable!(),
                },
            )]),
        ),
    ] {
        save(&work.path("theirs.pth"), &layout);
        let found = EncoderSource::open(&work.path("theirs.pth")).unwrap();
        assert!(bytes_of(&found.tensors) == expected, "{place}");
        assert_eq!(found.encoder.architecture, EncoderArchitecture::Resnet9);
        let said =
            if place.is_empty() { "theirs.pth, a resnet9".to_string() } else { format!("theirs.pth at {place}, a ") };
        assert!(found.description.contains(&said), "{place}: {}", found.description);
    }
}

#[test]
fn encoders_of_others_are_used_and_others_are_refused() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let ours = encoder(1);
    let finetune = |file: &'static str, embeddings: &'static str| {
        ["finetune", "--weights", file, "--data", "pictures/test/disc", "--embeddings", embeddings]
    };
    write_safetensors(&work, "ours.safetensors", &ours, &[]);
    save(&work.path("theirs.pth"), &dict([("state_dict", renamed(&ours, "backbone.", TORCHVISION, "downsample"))]));
    work.gan(&finetune("ours.safetensors", "ours.npy")).assert().success();
    let output = work.gan(&finetune("theirs.pth", "theirs.npy")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("theirs.pth at state_dict.backbone, a resnet9 encoder"));
    assert!(work.read("ours.npy") == work.read("theirs.npy"));
    // evaluate tells by itself that it is an encoder.
    let evaluate = ["evaluate", "--weights", "theirs.pth", "--data", "pictures"];
    let output = work.gan(&evaluate).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("at state_dict.backbone, a resnet9 encoder"), "{stderr}");

    let with = |name: &str, shape: &[usize]| {
        let Item::Dict(mut items) = renamed(&ours, "backbone.", TORCHVISION, "downsample") else { unreachable!() };
        items.retain(|(other, _)| other != name);
        items.push((name.to_string(), zeros(shape)));
        Item::Dict(items)
    };
    for (layout, words) in [
        (with("backbone.layer1.0.conv4.weight", &[32, 32, 3, 3]), ["not expected: f.3.0.conv4.weight", "at backbone"]),
        (with("backbone.layer5.0.conv1.weight", &[32, 32, 3, 3]), ["not expected: layer5.0.conv1.weight", "resnet9"]),
        (with("backbone.conv1.weight", &[32, 3, 7, 7]), ["7x7", "resnet9 is made for small pictures"]),
        (with("backbone.bn1.weight", &[64]), ["different: f.1.weight", "[64]"]),
        (state(&generator(Architecture::Vanilla, 1), "f."), ["not an encoder", "f.0.bias"]),
    ] {
        save(&work.path("x.pth"), &layout);
        refused(&work, &finetune("x.pth", "x.npy"), &words);
    }
    let wanted = [&finetune("theirs.pth", "x.npy")[..], &["--encoder", "resnet18"]].concat();
    refused(&work, &wanted, &["holds a resnet9 encoder", "--encoder resnet18"]);
}

/// torchvision's ResNet-18 as `torch.save(model.state_dict())` writes it.
#[test]
fn torchvisions_resnet_is_taken_with_its_stem() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 2);
    let config = EncoderConfig::for_pictures(EncoderArchitecture::Resnet18, 224);
    let parameters = Parameters::new(1, "encoder", &Device::Cpu);
    Encoder::new(config, parameters.builder().pp("f")).unwrap();
    let ours = parameters.tensors();
    let mut layout: Vec<(String, Item)> = ours
        .iter()
        .map(|(name, tensor)| (name.strip_prefix("f.").unwrap().to_string(), Item::Tensor(tensor.clone())))
        .collect();
    layout.extend([("fc.weight".into(), zeros(&[1000, 512])), ("fc.bias".into(), zeros(&[1000]))]);
    save(&work.path("resnet18.pth"), &Item::Dict(layout));
    let found = EncoderSource::open(&work.path("resnet18.pth")).unwrap();
    assert!(bytes_of(&found.tensors) == bytes_of(&ours));
    assert_eq!((found.encoder, found.image_shape), (config, ImageShape::new(224, 224, 3)));
    assert_eq!(found.normalisation, Normalisation::imagenet());

    let evaluate = ["evaluate", "--weights", "resnet18.pth", "--data", "pictures", "--image-size", "64"];
    let output = work.gan(&evaluate).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("64x64"), "{stderr}");
    let finetune = ["finetune", "--weights", "resnet18.pth", "--data", "pictures", "--cached", "--image-size", "64"];
    work.gan(&[&finetune[..], &["--labels", "1.0", "--epochs", "1", "--run", "tuned"]].concat()).assert().success();
    let classifier = EncoderSource::open(&work.path("weights/tuned/classifier.safetensors")).unwrap();
    let expected = (EncoderConfig { side: 64, ..config }, ImageShape::new(64, 64, 3));
    assert_eq!((classifier.encoder, classifier.image_shape), expected);
    assert_eq!(classifier.normalisation, Normalisation::imagenet());
    assert!(bytes_of(&classifier.tensors) == bytes_of(&ours));
}

/// timm's names of our tensors.
fn timms(tensors: &Tensors) -> Vec<(String, Item)> {
    tensors.iter().map(|(name, tensor)| (name["f.".len()..].to_string(), Item::Tensor(tensor.clone()))).collect()
}

fn vit_tiny(side: usize) -> (EncoderConfig, Tensors) {
    let config = EncoderConfig::for_pictures(EncoderArchitecture::VitTiny, side);
    let parameters = Parameters::new(1, "encoder", &Device::Cpu);
    Encoder::new(config, parameters.builder().pp("f")).unwrap();
    (config, parameters.tensors())
}

/// DeiT's file of `deit_tiny_patch16_224`: what it is under "model", with a head.
#[test]
fn deits_transformer_is_taken_with_its_size() {
    let work = Workplace::new();
    let (config, ours) = vit_tiny(224);
    let head = [("head.weight".into(), zeros(&[1000, 192])), ("head.bias".into(), zeros(&[1000]))];
    save(&work.path("deit.pth"), &dict([("model", Item::Dict([timms(&ours), head.to_vec()].concat()))]));
    let found = EncoderSource::open(&work.path("deit.pth")).unwrap();
    assert!(bytes_of(&found.tensors) == bytes_of(&ours));
    assert_eq!((found.encoder, found.image_shape), (config, ImageShape::new(224, 224, 3)));
    assert_eq!(found.normalisation, Normalisation::imagenet());
    assert!(found.description.contains("deit.pth at model, a vit-tiny encoder"), "{}", found.description);
}

#[test]
fn timms_transformer_is_used_and_others_are_refused() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 2);
    let (config, ours) = vit_tiny(16);
    let with = |name: &str, item: Item| {
        let mut items = timms(&ours);
        items.retain(|(other, _)| other != name);
        items.push((name.to_string(), item));
        Item::Dict(items)
    };
    save(&work.path("timm.pth"), &Item::Dict(timms(&ours)));
    let finetune = ["finetune", "--weights", "timm.pth", "--data", "pictures", "--mode", "both", "--clip-norm", "1"];
    let some = ["--labels", "1.0", "--batch-size", "8", "--epochs", "1", "--run", "tuned"];
    work.gan(&[&finetune[..], &some].concat()).assert().success();
    for (file, is_trained) in [("classifier", false), ("classifier-pretrained-full", true)] {
        let classifier = EncoderSource::open(&work.path(&format!("weights/tuned/{file}.safetensors"))).unwrap();
        assert_eq!((classifier.encoder, classifier.normalisation), (config, Normalisation::cifar10()));
        assert_eq!(bytes_of(&classifier.tensors) != bytes_of(&ours), is_trained, "{file}");
    }
    work.gan(&["predict", "pictures", "--weights", "weights/tuned"]).assert().success();
    let embed = ["embed", "pictures", "--weights", "timm.pth", "-o", "h.npy"];
    work.gan(&embed).assert().success();

    let evaluate = ["evaluate", "--weights", "timm.pth", "--data", "pictures", "--image-size", "32"];
    let output = work.gan(&evaluate).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--image-size 32: this vit-tiny has a position for each patch of 16x16"), "{stderr}");
    for (layout, words) in [
        (with("pos_embed", zeros(&[1, 18, 192])), "18 tokens; expected one, and a square of patches"), // distilled
        (with("pos_embed", zeros(&[1, 2, 192])), "a vit-tiny of 4x4: expected 8 to 1024 pixels"),
        (with("blocks.0.ls1.gamma", zeros(&[192])), "not expected: f.blocks.0.ls1.gamma"),
        (with("blocks.12.norm1.weight", zeros(&[192])), "not expected: f.blocks.12.norm1.weight"),
        (with("norm.weight", zeros(&[384])), "different: f.norm.weight"),
        (with("patch_embed.proj.weight", zeros(&[192, 3, 8, 8])), "different: f.patch_embed.proj.weight"),
    ] {
        save(&work.path("x.pth"), &layout);
        refused(&work, &["embed", "pictures", "--weights", "x.pth", "-o", "x.npy"], &[words]);
    }
}
