//! Our networks in the files of PyTorch's users: found under whatever name, beside whatever else, and held to their names
//! and shapes.

// Encoders of other programs, under any names.
mod encoders;
mod saved;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use gan::checkpoint::{self, Archive, Bundled};
use gan::image_shape::ImageShape;
use gan::models::{Architecture, DigitClassifier, Encoder, EncoderArchitecture, EncoderConfig, Generator};
use gan::normalisation::Normalisation;
use gan::params::Parameters;
use gan::pretrained::EncoderSource;

use crate::support::{Workplace, bytes_of, write_pictures};
use saved::{Item, and, dict, save, state, zeros};

type Tensors = BTreeMap<String, Tensor>;

/// An argparse.Namespace with its attributes.
const NAMESPACE: Item = Item::Pickled(b"cargparse\nNamespace\n)\x81}X\x02\x00\x00\x00lrG?PbM\xd2\xf1\xa9\xfcsb");
const FIVE: Item = Item::Pickled(b"K\x05");

fn generator(architecture: Architecture, seed: u64) -> Tensors {
    let parameters = Parameters::new(seed, "generator", &Device::Cpu);
    Generator::new(architecture, 8, architecture.image_shape(), parameters.builder()).unwrap();
    parameters.tensors()
}

fn encoder(seed: u64) -> Tensors {
    let parameters = Parameters::new(seed, "encoder", &Device::Cpu);
    Encoder::new(EncoderArchitecture::Resnet9, parameters.builder().pp("f")).unwrap();
    parameters.tensors()
}

fn write_safetensors(work: &Workplace, file: &str, tensors: &Tensors, metadata: &[(&str, &str)]) {
    let metadata = metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    checkpoint::write(&work.path(file), &Archive { tensors: tensors.clone(), metadata }).unwrap();
}

/// The bytes that `gan sample` draws from a file, and what it says.
fn drawn(work: &Workplace, file: &str, flags: &[&str]) -> (Vec<u8>, String) {
    let output =
        work.gan(&[&["sample", "--weights", file, "--n", "2", "-o", "x.npy"], flags].concat()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{file}: {stderr}");
    (work.read("x.npy"), stderr)
}

/// The error of a command that is refused with exit code 3, each of `words` in it.
#[track_caller]
fn refused(work: &Workplace, arguments: &[&str], words: &[&str]) {
    let output = work.gan(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{arguments:?}: {stderr}");
    let error = &stderr[stderr.find("error: ").unwrap()..];
    assert!(error.trim_end().lines().count() <= 3, "{error}");
    words.iter().for_each(|word| assert!(error.contains(word), "{arguments:?}: no {word:?} in {error}"));
}

#[test]
fn a_generator_is_found_wherever_it_lies() {
    let work = Workplace::new();
    let ours = generator(Architecture::Vanilla, 1);
    write_safetensors(&work, "ours.safetensors", &ours, &[]);
    let (expected, _) = drawn(&work, "ours.safetensors", &[]);
    let mut layouts = vec![
        ("", state(&ours, "")),
        (
            "model_state_dict",
            dict([
                ("epoch", FIVE),
                ("model_state_dict", state(&ours, "")),
                ("optimizer_state_dict", dict([("state", dict([("0", dict([("exp_avg", zeros(&[1024, 8]))]))]))])),
                ("loss", zeros(&[])),
                ("args", NAMESPACE),
            ]),
        ),
        (
            "state_dict.generator.main",
            dict([
                ("pytorch-lightning_version", Item::Pickled(b"X\x03\x00\x00\x002.4")),
                ("state_dict", and(state(&ours, "generator.main."), "discriminator.0.weight", zeros(&[256, 784]))),
                ("hyper_parameters", NAMESPACE),
            ]),
        ),
        ("module", and(state(&ours, "module."), "n_averaged", zeros(&[]))),
        ("", and(state(&ours, ""), "total_ops", zeros(&[1]))),
        ("", and(state(&ours, ""), "0.total_params", zeros(&[1]))),
        ("", and(state(&ours, ""), "criterion.weight", zeros(&[3]))),
    ];
    for prefix in ["module", "_orig_mod", "module._orig_mod", "model", "net", "a.b.c"] {
        layouts.push((prefix, state(&ours, &format!("{prefix}."))));
    }
    let doubles: Tensors = ours.iter().map(|(name, t)| (name.clone(), t.to_dtype(DType::F64).unwrap())).collect();
    layouts.push(("weights", dict([("weights", state(&doubles, ""))])));
    for (place, layout) in layouts {
        save(&work.path("theirs.pth"), &layout);
        let (images, stderr) = drawn(&work, "theirs.pth", &[]);
        assert!(images == expected, "{place}");
        let said =
            if place.is_empty() { "theirs.pth, a fully".to_string() } else { format!("theirs.pth at {place}, a ") };
        assert!(stderr.contains(&said), "{place}: {stderr}");
    }
    // Other people's safetensors too.
    let mut theirs: Tensors = ours.iter().map(|(name, tensor)| (format!("model.{name}"), tensor.clone())).collect();
    theirs.insert("temperature".into(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap());
    write_safetensors(&work, "theirs.safetensors", &theirs, &[]);
    assert!(drawn(&work, "theirs.safetensors", &[]).0 == expected);
}

#[test]
fn counters_may_be_missing_or_of_another_kind() {
    let work = Workplace::new();
    let ours = generator(Architecture::Dcgan, 1);
    write_safetensors(&work, "ours.safetensors", &ours, &[]);
    let (expected, _) = drawn(&work, "ours.safetensors", &[]);
    let is_counter = |name: &str| name.ends_with("num_batches_tracked");
    let with = |change: &dyn Fn(&Tensor) -> Option<Tensor>| -> Tensors {
        let changed = |(name, tensor): (&String, &Tensor)| {
            let tensor = if is_counter(name) { change(tensor)? } else { tensor.clone() };
            Some((name.clone(), tensor))
        };
        ours.iter().filter_map(changed).collect()
    };
    for theirs in [
        with(&|_| None),
        with(&|counter| counter.to_dtype(DType::I32).ok()),
        with(&|counter| counter.to_dtype(DType::F32).ok()),
        with(&|counter| counter.reshape(1).ok()),
    ] {
        save(&work.path("theirs.pth"), &dict([("netG", state(&theirs, "module."))]));
        assert!(drawn(&work, "theirs.pth", &[]).0 == expected);
    }
    // Not of ours, which have all that they have to.
    write_safetensors(&work, "old.safetensors", &with(&|_| None), &[("gan.config", "{}")]);
    refused(&work, &["sample", "--weights", "old.safetensors"], &["missing: 2.num_batches_tracked"]);
}

#[test]
fn of_several_generators_the_usual_one_is_taken() {
    let work = Workplace::new();
    let [plain, average] = [1, 2].map(|seed| generator(Architecture::Vanilla, seed));
    write_safetensors(&work, "plain.safetensors", &plain, &[]);
    write_safetensors(&work, "average.safetensors", &average, &[]);
    let [of_plain, of_average] = ["plain", "average"].map(|file| drawn(&work, &format!("{file}.safetensors"), &[]).0);

    save(&work.path("both.pth"), &dict([("netG", state(&plain, "")), ("netG_ema", state(&average, "module."))]));
    let (images, stderr) = drawn(&work, "both.pth", &[]);
    assert!(
        images == of_average
            && stderr.contains("both.pth at netG_ema.module, ")
            && stderr.contains("preferred to netG")
    );
    let (images, stderr) = drawn(&work, "both.pth", &["--raw"]);
    assert!(images == of_plain && stderr.contains("both.pth at netG, "), "{stderr}");

    save(&work.path("best.pth"), &dict([("best", state(&average, "")), ("state_dict", state(&plain, ""))]));
    assert!(drawn(&work, "best.pth", &[]).0 == of_plain);
    save(&work.path("same.pth"), &dict([("G_A", state(&plain, "")), ("G_B", state(&plain, ""))]));
    assert!(drawn(&work, "same.pth", &[]).0 == of_plain);
    save(&work.path("two.pth"), &dict([("G_A", state(&plain, "")), ("G_B", state(&average, ""))]));
    refused(&work, &["sample", "--weights", "two.pth"], &["two.pth", "G_A, G_B", "torch.save"]);
}

#[test]
fn what_is_another_network_is_told() {
    let work = Workplace::new();
    let ours = generator(Architecture::Vanilla, 1);
    let but = |name: &str, item: Option<Item>| {
        let Item::Dict(mut items) = state(&ours, "") else { unreachable!() };
        items.retain(|(other, _)| other != name);
        items.extend(item.map(|item| (name.to_string(), item)));
        dict([("net", Item::Dict(items))])
    };
    const SPARSE: Item = Item::Pickled(b"ctorch._utils\n_rebuild_sparse_tensor\n)R");
    for (layout, words) in [
        (but("2.bias", None), ["x.pth at net", "missing: 2.bias"]),
        (but("2.bias", Some(zeros(&[1023]))), ["different: 2.bias", "[1023]"]),
        (but("6.weight", Some(zeros(&[784, 784]))), ["not expected: 6.weight", "x.pth at net"]),
        (but("2.bias", Some(SPARSE)), ["net.2.bias is made by torch._utils._rebuild_sparse_tensor", "not read"]),
        (dict([("loss", zeros(&[])), ("0.bias", zeros(&[2]))]), ["not a generator", "2 tensors"]),
        (dict([("model", NAMESPACE)]), ["no tensors", "argparse.Namespace"]),
        (NAMESPACE, ["no tensors", "it is of argparse.Namespace, and nothing of that was run"]),
    ] {
        save(&work.path("x.pth"), &layout);
        refused(&work, &["sample", "--weights", "x.pth"], &words);
    }
    // Ours have nothing beside the network.
    let mut more = ours.clone();
    more.insert("criterion.weight".into(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap());
    write_safetensors(&work, "more.safetensors", &more, &[("gan.config", "{}")]);
    refused(&work, &["sample", "--weights", "more.safetensors"], &["not expected: criterion.weight"]);
    save(&work.path("x.pth"), &state(&ours, ""));
    refused(&work, &["sample", "--weights", "x.pth", "--model", "dcgan"], &["fully connected", "--model dcgan"]);
}

/// Every command that reads a network, and every network.
#[test]
fn a_weight_that_is_no_number_is_named() {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 8, 4);
    let spoilt = |tensors: &Tensors, name: &str, value: f64| {
        let mut tensors = tensors.clone();
        let tensor = &tensors[name];
        let mut values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values[1] = value as f32;
        let tensor = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
        tensors.insert(name.into(), tensor);
        tensors
    };
    let classifier = Parameters::new(1, "digit_classifier", &Device::Cpu);
    DigitClassifier::new(DigitClassifier::IMAGE_SHAPE, classifier.builder()).unwrap();
    let [dcgan, encoder, classifier] = [generator(Architecture::Dcgan, 1), encoder(1), classifier.tensors()];
    write_safetensors(&work, "g.safetensors", &spoilt(&dcgan, "7.weight", f64::NAN), &[("gan.config", "{}")]);
    save(&work.path("g.pth"), &dict([("netG", state(&spoilt(&dcgan, "9.running_var", f64::INFINITY), ""))]));
    save(&work.path("f.pth"), &state(&spoilt(&encoder, "f.3.0.conv1.weight", f64::NEG_INFINITY), ""));
    save(&work.path("c.pth"), &state(&spoilt(&classifier, "12.bias", f64::NAN), ""));
    // In f64 it is finite.
    let large = Item::Tensor(Tensor::full(1e300, 784, &Device::Cpu).unwrap());
    save(
        &work.path("large.pth"),
        &match state(&generator(Architecture::Vanilla, 1), "") {
            Item::Dict(mut items) => {
                items.retain(|(name, _)| name != "4.bias");
                and(Item::Dict(items), "4.bias", large)
            }
            other => other,
        },
    );
    let finite = "expected finite weights";
    for (arguments, file, name) in [
        (&["sample", "--weights", "g.safetensors"][..], "g.safetensors", "7.weight"),
        (&["sample", "--weights", "g.pth"], "g.pth", "netG.9.running_var"),
        (&["sample", "--weights", "large.pth"], "large.pth", "4.bias"),
        (&["evaluate", "--weights", "g.safetensors", "--data", "data"], "g.safetensors", "7.weight"),
        (&["evaluate", "--weights", "f.pth", "--data", "pictures"], "f.pth", "f.3.0.conv1.weight"),
        (&["finetune", "--weights", "f.pth", "--data", "pictures"], "f.pth", "f.3.0.conv1.weight"),
        (&["evaluate", "--weights", "bundled", "--data", "data", "--classifier", "c.pth"], "c.pth", "12.bias"),
    ] {
        refused(&work, arguments, &[file, &format!("{name} holds a NaN or an infinity"), finite]);
    }
    assert!(!work.path("weights").exists() && !work.path("samples").exists());
}

#[test]
fn a_classifier_of_others_is_found() {
    let work = Workplace::new();
    let bundled: Tensors = Bundled::DigitClassifier.read().unwrap().tensors;
    let whole: Tensors = bundled
        .iter()
        .map(|(name, t)| {
            (name.clone(), if t.dtype() == DType::F16 { t.to_dtype(DType::F32).unwrap() } else { t.clone() })
        })
        .collect();
    save(&work.path("c.pth"), &dict([("model", state(&whole, "net.")), ("epoch", FIVE)]));
    let classifier = gan::evaluator::Classifier::find(Some(&work.path("c.pth")), &Device::Cpu).unwrap();
    assert!(classifier.description.ends_with("c.pth at model.net"), "{}", classifier.description);
}

#[test]
fn inspect_lists_tensors_by_path_and_what_is_not_read() {
    let work = Workplace::new();
    let item = dict([
        ("epoch", FIVE),
        ("args", NAMESPACE),
        (
            "model",
            state(&[("0.weight".to_string(), Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap())].into(), ""),
        ),
    ]);
    save(&work.path("x.pth"), &item);
    let text = |flags: &[&str]| {
        let output = work.gan(&[&["inspect", "x.pth"], flags].concat()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = text(&[]);
    assert!(lines.contains("model.0.weight  f32   [2, 3]"), "{lines}");
    assert!(!lines.contains("# network"), "{lines}");
    assert!(lines.contains("args            not read: made by argparse.Namespace"), "{lines}");
    assert!(text(&["--json"]).contains(r#"{"name":"args","unread":"made by argparse.Namespace"}"#));
}
