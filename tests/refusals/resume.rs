//! Runs that do not go on.

use gan::checkpoint::Archive;
use serde_json::json;

use super::places::State::{Data, Encoder, Formats, Gan};
use super::places::{configure, copy, cut, put, remove, rewrite, spoil};
use super::{Row, row};
use crate::support::Workplace;

pub fn rows() -> Vec<Row> {
    [contradicted(), past(), moved(), damaged(), configured(), places(), encoders(), tables()]
        .into_iter()
        .flatten()
        .collect()
}

/// The newest checkpoint of each run, and one before it.
const NEWEST: &str = "weights/run/step-00000009.safetensors";
const EARLIER: &str = "weights/run/step-00000003.safetensors";
const ENCODER: &str = "weights/encoder/step-00000003.safetensors";
const PROBE: &str = "weights/probe/step-00000004.safetensors";

/// A tensor of a GAN's checkpoint.
const MOMENT: &str = "adam.generator.2.weight.exp_avg";

/// Flags against the saved configuration, by the run's name and by that of a checkpoint.
fn contradicted() -> Vec<Row> {
    const GAN: &str = "model=lsgan loss=ls image-size=32 channels=3 latents=normal conditional train-images=50 no-shuffle \
                       batch-size=8 latent-dim=9 lr=0.5 discriminator-lr=0.5 schedule=cosine beta1=0.9 beta2=0.9 \
                       eps=0.1 ema-decay=0.9 label-smoothing=0.1 r1=1 r2=1 r1-every=2 gradient-penalty=5 discriminator-steps=2 spectral-norm diffaugment=cutout augment=adaptive ada-speed=1 mirror init=other seed=1 \
                       checkpoint-every=7 sample-every=7 log-every=7 keep=7 evaluate-every=7 evaluate-samples=77 evaluate-reference=0..10 evaluate-classifier=x \
                       keep-best=coverage patience=3";
    const SIMCLR: &str = "encoder=resnet18 train-images=8 batch-size=3 temperature=2 views=separate optimizer=sgd lr=0.5 \
                          schedule=constant warmup-steps=1 weight-decay=1 beta1=0.1 beta2=0.1 eps=1 momentum=0.1 trust=1 \
                          min-crop=0.5 flip=0 jitter=0 jitter-strength=0 hue=0 grey=0 seed=1 checkpoint-every=7 \
                          log-every=7 knn-every=7 keep=7 keep-best=knn";
    const FINETUNE: &str = "labels=0.5 stratified mode=full baseline cached batch-size=3 lr=0.5 weight-decay=1 seed=1 \
                            checkpoint-every=7 keep=7";
    let mut rows = Vec::new();
    for (state, command, targets, flags) in [
        (Gan, "train-gan", ["run", EARLIER], GAN),
        (Encoder, "pretrain-simclr", ["encoder", "weights/encoder/step-00000002.safetensors"], SIMCLR),
        (Encoder, "finetune", ["probe", "weights/probe/step-00000002.safetensors"], FINETUNE),
    ] {
        for (at, flag) in flags.split_whitespace().enumerate() {
            // Each by one of the two names.
            let arguments = format!("{command} --resume {} --{flag}", targets[at % 2]);
            let says = format!("--{}", flag.split('=').next().unwrap());
            rows.push(row("a flag against the run's", state, &arguments, 2, &says));
        }
    }
    for (flag, says) in [
        ("--mirror", "--mirror: run run was begun without it"),
        ("--init a,b", "--init a,b: run run was begun without it"),
        ("--schedule cosine", "--schedule cosine: run run was begun with constant"),
    ] {
        rows.push(row("said as it is typed", Gan, &format!("train-gan --resume run {flag}"), 2, says));
    }
    rows
}

/// Ends that a run is past.
fn past() -> Vec<Row> {
    let past = |state, arguments: &str, says: &str| row("past its end", state, arguments, 2, says);
    vec![
        past(Gan, "train-gan --resume run --steps 5", "has come to step 9"),
        past(Gan, "train-gan --resume run --epochs 1", "has come to step 9"),
        past(Gan, &format!("train-gan --resume {EARLIER} --steps 2"), "has come to step 3"),
        past(Gan, "train-gan --resume weights/run/step-00000006.safetensors --steps 5", "has come to step 6"),
        past(Encoder, "pretrain-simclr --resume encoder --steps 1", "has come to step 3"),
        past(
            Encoder,
            "pretrain-simclr --resume weights/encoder/step-00000002.safetensors --steps 1",
            "has come to step 2",
        ),
        past(Gan, "train-gan --resume run --steps 5", "has come to step 9").after(|place| remove(place, "samples")),
        past(Gan, "train-gan --resume run --steps 5", "has come to step 9")
            .after(|place| remove(place, "weights/run/.lock")),
        // What a killed process left.
        past(Gan, "train-gan --resume run --steps 5", "has come to step 9").after(|place| {
            put(place, "weights/run/.step-00000012.safetensors.tmp-4000000", "half");
            put(place, "samples/run/.step-00000012.png.tmp-4000000", "half");
        }),
        // What a process left that had gone back to an earlier checkpoint, and was killed before its first own one.
        past(Gan, "train-gan --resume run --steps 5", "has come to step 9").after(|place| {
            put(place, "weights/run/.metrics.jsonl.line-7", "");
            put(place, "samples/run/.step-00000004.png.line-7", "half");
        }),
        // The line before the last is torn, which the end of a run that goes on mends.
        past(Gan, "train-gan --resume run --steps 5", "has come to step 9").after(|place| {
            let log = place.read("weights/run/metrics.jsonl");
            put(place, "weights/run/metrics.jsonl", &log[..log.len() - 9]);
        }),
    ]
}

/// Data that are no longer where or what they were.
fn moved() -> Vec<Row> {
    let away = |data: &'static str| move |place: &Workplace| remove(place, data);
    let mut rows = vec![
        row("its data are gone", Gan, "train-gan --resume run --steps 12", 3, "data").after(away("data")),
        row("its data are gone", Gan, &format!("train-gan --resume {EARLIER}"), 3, "data").after(away("data")),
        row("its data are gone", Encoder, "pretrain-simclr --resume encoder --steps 9", 3, "pictures")
            .after(away("pictures")),
        row(
            "its data are gone",
            Encoder,
            "pretrain-simclr --resume weights/encoder/step-00000002.safetensors",
            3,
            "pictures",
        )
        .after(away("pictures")),
        row("its data are gone", Encoder, "finetune --resume probe", 3, "pictures").after(away("pictures")),
        row("its data are gone", Encoder, "finetune --resume weights/probe/step-00000002.safetensors", 3, "pictures")
            .after(away("pictures")),
        row("too few are left", Gan, "train-gan --resume run --steps 12", 3, "a batch must fit")
            .after(|place| configure(place, "run", json!({ "batch_size": 500 }))),
        row("damaged data and checkpoint", Gan, "train-gan --resume run --steps 12", 3, "cut short").after(|place| {
            cut(place, "data/train-images-idx3-ubyte");
            cut(place, NEWEST);
        }),
    ];
    for target in ["run", EARLIER] {
        let arguments = format!("train-gan --resume {target} --steps 12");
        rows.push(row("its data are others", Gan, &arguments, 3, "not the images").after(|place| {
            let mut images = place.read("data/train-images-idx3-ubyte");
            images[500] ^= 7;
            put(place, "data/train-images-idx3-ubyte", images);
        }));
    }
    for (run, data, file) in [
        ("idx", "data", "train-images-idx3-ubyte"),
        ("hub", "hub", "train.parquet"),
        ("batches", "batches", "data_batch_2.bin"),
        ("pictures", "pictures", "train/cross/002.png"),
    ] {
        for target in [run.to_string(), format!("weights/{run}/step-00000001.safetensors")] {
            let resume = format!("train-gan --resume {target} --steps 2");
            rows.push(row("its data are gone", Formats, &resume, 3, data).after(away(data)));
            rows.push(
                row("its data are damaged", Formats, &resume, 3, file)
                    .after(move |place| cut(place, &format!("{data}/{file}"))),
            );
        }
    }
    rows
}

/// Checkpoints that cannot be gone on from, and good ones beside damaged ones where something else is in the way.
fn damaged() -> Vec<Row> {
    let resume = |name: &str, target: &str, code, says: &str| {
        row(name, Gan, &format!("train-gan --resume {target} --steps 12"), code, says)
    };
    let without = |archive: &mut Archive| drop(archive.tensors.remove(MOMENT));
    let noted = |key: &'static str| {
        move |place: &Workplace| {
            rewrite(place, NEWEST, |archive| drop(archive.metadata.insert(key.into(), "{".into())));
        }
    };
    let mut rows = vec![
        resume("no such checkpoint", "weights/run/step-00000004.safetensors", 3, "step-00000004"),
        resume("no checkpoint of a run", "weights/run/generator.safetensors", 3, "gan.state"),
        resume("a damaged one, by its name", NEWEST, 3, "step-00000009").after(|place| cut(place, NEWEST)),
        resume("a damaged one before others", EARLIER, 3, "step-00000003").after(|place| cut(place, EARLIER)),
        resume("all are damaged", "run", 3, "none of the 3 checkpoints").after(|place| {
            for step in [3, 6, 9] {
                cut(place, &format!("weights/run/step-0000000{step}.safetensors"));
            }
        }),
        resume("it lacks a tensor", "run", 3, "does not fit").after(move |place| rewrite(place, NEWEST, without)),
        resume("it lacks a tensor", EARLIER, 3, "does not fit").after(move |place| rewrite(place, EARLIER, without)),
        resume("it holds a NaN", "run", 4, "NaN").after(|place| spoil(place, NEWEST, MOMENT)),
        resume("it holds a NaN", EARLIER, 4, "NaN").after(|place| spoil(place, EARLIER, MOMENT)),
        resume("its header is damaged", "run", 3, "gan.state").after(noted("gan.state")),
        resume("its header is damaged", "run", 3, "gan.pending").after(noted("gan.pending")),
        resume("its log is damaged", "run", 3, "metrics.jsonl").after(|place| {
            put(
                place,
                "weights/run/metrics.jsonl",
                [b"no record\n".to_vec(), place.read("weights/run/metrics.jsonl")].concat(),
            );
        }),
        row("the earlier lacks a tensor too", Gan, "train-gan --resume run --steps 12", 3, "does not fit").after(
            move |place| {
                cut(place, NEWEST);
                rewrite(place, "weights/run/step-00000006.safetensors", without);
            },
        ),
    ];
    for (name, flags, code, says) in [
        ("past its end", "--steps 5", 2, "has come to step 6"),
        ("a flag against the run's", "--seed 1", 2, "--seed"),
        ("samples below a file", "--samples-dir file/samples", 5, "cannot write"),
    ] {
        let name = format!("the newest is damaged; {name}");
        let arguments = format!("train-gan --resume run {flags}");
        rows.push(row(&name, Gan, &arguments, code, says).after(|place| cut(place, NEWEST)));
    }
    rows.push(resume("the newest is damaged; no data", "run", 3, "data").after(|place| {
        cut(place, NEWEST);
        remove(place, "data");
    }));
    rows
}

/// Saved configurations that are none, are another command's, or cannot be kept.
fn configured() -> Vec<Row> {
    let resume = |name: &str, code, says: &str| row(name, Gan, "train-gan --resume run --steps 12", code, says);
    let with = |fields: serde_json::Value| move |place: &Workplace| configure(place, "run", fields.clone());
    let of_another = |arguments: &str, state| row("of another command", state, arguments, 3, "go on with `gan");
    let scored = |classifier: &str| json!({ "data": "whole", "evaluate_every": 1, "evaluate_classifier": classifier });
    let mut rows = vec![
        resume("no configuration", 3, "config.json").after(|place| without_configuration(place, "run", NEWEST)),
        resume("a damaged configuration", 3, "config.json").after(|place| cut(place, "weights/run/config.json")),
        resume("an unknown field", 3, "flavour").after(with(json!({ "flavour": "sweet" }))),
        resume("a field out of range", 2, "--lr").after(with(json!({ "lr": -1.0 }))),
        resume("a precision of other devices", 2, "--precision tf32").after(with(json!({ "precision": "tf32" }))),
        resume("another latent", 3, "step-00000009").after(with(json!({ "latent_dim": 9 }))),
        resume("no classifier", 3, "gone.safetensors").after(with(scored("gone.safetensors"))),
        resume("no classifier", 3, "other.safetensors").after(with(scored("other.safetensors"))),
        row("no room", Gan, "train-gan --resume run --steps 999999999999", 5, "checkpoints of")
            .after(with(json!({ "checkpoint_every": 1, "keep": 999_999_999 }))),
        of_another("pretrain-simclr --resume run", Gan),
        of_another("finetune --resume run", Gan),
        of_another("train-gan --resume encoder", Encoder),
        of_another("train-gan --resume probe", Encoder),
        of_another("finetune --resume encoder", Encoder),
    ];
    if cfg!(not(feature = "cuda")) {
        rows.push(row(
            "another device",
            Gan,
            &format!("train-gan --resume {EARLIER} --device cuda"),
            1,
            "--device cuda",
        ));
    }
    rows
}

/// Takes a run's configuration away, from the header of its newest checkpoint too.
fn without_configuration(place: &Workplace, run: &str, newest: &str) {
    remove(place, &format!("weights/{run}/config.json"));
    rewrite(place, newest, |archive| drop(archive.metadata.remove("gan.config")));
}

/// Places without the run, in use, or that cannot be written.
fn places() -> Vec<Row> {
    vec![
        row("no run", Data, "train-gan --resume nobody", 3, "nobody"),
        row("no run", Gan, "train-gan --resume nobody", 3, "runs: run"),
        row("no run", Gan, "train-gan --resume weights/nobody/", 3, "nobody"),
        row("no run", Gan, "train-gan --resume ../up", 3, "up: no run is there"),
        row("no run", Gan, "train-gan --resume nobody --weights-dir new", 3, "nobody"),
        row("no run", Gan, "train-gan --resume weights/nobody/step-00000001.safetensors", 3, "nobody"),
        row("no run", Data, "pretrain-simclr --resume nobody", 3, "nobody"),
        row("no run", Data, "finetune --resume nobody", 3, "nobody"),
        row("in use", Gan, "train-gan --resume run --steps 12", 2, "in use by process").while_in_use("weights/run"),
        row("in use", Gan, &format!("train-gan --resume {EARLIER}"), 2, "in use by process")
            .while_in_use("weights/run"),
        row("in use", Encoder, "pretrain-simclr --resume encoder", 2, "in use by process")
            .while_in_use("weights/encoder"),
        row("in use", Encoder, "finetune --resume probe", 2, "in use by process").while_in_use("weights/probe"),
        row("samples below a file", Gan, "train-gan --resume run --steps 12 --samples-dir file/s", 5, "cannot write"),
        row(
            "samples below a file",
            Gan,
            &format!("train-gan --resume {EARLIER} --samples-dir file/s"),
            5,
            "cannot write",
        ),
        row("a full disk", Gan, "train-gan --resume run --steps 12", 5, "cannot write").on_a_full_disk(),
        row("a full disk", Gan, &format!("train-gan --resume {EARLIER}"), 5, "cannot write").on_a_full_disk(),
    ]
}

/// What only `pretrain-simclr` has.
fn encoders() -> Vec<Row> {
    let resume =
        |name: &str, code, says: &str| row(name, Encoder, "pretrain-simclr --resume encoder --steps 9", code, says);
    vec![
        resume("the newest is damaged; a flag against the run's", 2, "--seed")
            .after(|place| cut(place, ENCODER))
            .with("--seed 1"),
        resume("the newest is damaged; no data", 3, "pictures").after(|place| {
            cut(place, ENCODER);
            remove(place, "pictures");
        }),
        resume("it lacks a tensor", 3, "step-00000003").after(|place| {
            rewrite(place, ENCODER, |archive| {
                archive.tensors.retain(|name, _| !name.ends_with("f.0.weight"));
            })
        }),
        resume("a precision of other devices", 2, "--precision tf32")
            .after(|place| configure(place, "encoder", json!({ "precision": "tf32" }))),
        resume("no configuration", 3, "config.json").after(|place| without_configuration(place, "encoder", ENCODER)),
        resume("samples below a file", 5, "cannot write").with("--samples-dir file/s"),
        resume("a full disk", 5, "cannot write").on_a_full_disk(),
    ]
}

/// What only `finetune` has.
fn tables() -> Vec<Row> {
    let resume = |name: &str, code, says: &str| row(name, Encoder, "finetune --resume probe", code, says);
    vec![
        resume("its encoder is gone", 3, "encoder.safetensors")
            .after(|place| remove(place, "weights/encoder/encoder.safetensors")),
        resume("its encoder is damaged", 3, "encoder.safetensors")
            .after(|place| cut(place, "weights/encoder/encoder.safetensors")),
        resume("its encoder is no encoder", 3, "not an encoder").after(|place| {
            let other = place.read("other.safetensors");
            put(place, "weights/encoder/encoder.safetensors", other);
        }),
        resume("its rows are gone", 3, "gan.rows").after(|place| {
            rewrite(place, PROBE, |archive| {
                archive.metadata.remove("gan.rows");
            })
        }),
        resume("its data have no labels", 3, "not the images that the run probe began with").after(|place| {
            copy(place, "pictures/train/disc", "flat");
            remove(place, "pictures");
            copy(place, "flat", "pictures");
        }),
        resume("a precision of other devices", 2, "--precision tf32")
            .after(|place| configure(place, "probe", json!({ "precision": "tf32" }))),
        resume("embeddings that cannot be written", 5, "nowhere/h.npy")
            .after(|place| configure(place, "probe", json!({ "embeddings": "nowhere/h.npy" }))),
        resume("samples below a file", 5, "cannot write").with("--samples-dir file/s"),
        resume("a full disk", 5, "cannot write").on_a_full_disk(),
        resume("no configuration", 3, "config.json").after(|place| without_configuration(place, "probe", PROBE)),
    ]
}
