//! Files that are read and written without a run: `sample`, `evaluate`, `inspect`, `completions`, `man`.

use std::fs::{create_dir, write};
use std::os::unix::fs::symlink;

use super::places::State::{Data, Encoder, Gan};
use super::places::{put, spoil};
use super::{Row, row};

pub fn rows() -> Vec<Row> {
    [sample(), embed(), evaluate(), offline(), print()].into_iter().flatten().collect()
}

fn sample() -> Vec<Row> {
    let source = |name: &str, weights: &str, says: &str| {
        row(name, Gan, &format!("sample -o new.png --weights {weights}"), 3, says)
    };
    let latents = |file: &str, says: &str| {
        row("latents that do not fit", Data, &format!("sample --model vanilla -o new.png --latents {file}"), 3, says)
    };
    let output = |name: &str, output: &str| {
        row(name, Data, &format!("sample --model vanilla -n 4 -o {output}"), 5, "cannot write")
    };
    vec![
        source("no file", "gone.safetensors", "gone.safetensors"),
        source("no generator", "other.safetensors", "not a generator"),
        source("no generator", "weights/run/discriminator.safetensors", "not a generator"),
        source("no generator in it", "pictures", "holds no generator"),
        source("another model", "weights/run --model dcgan", "--model dcgan"),
        source("a damaged file", "cut.safetensors", "cut.safetensors"),
        source("a damaged file", "text.safetensors", "text.safetensors"),
        source("a damaged file", "text.pth", "text.pth"),
        row("a NaN in its weights", Gan, "sample -o old/ --force", 3, "2.weight").after(|place| {
            put(place, "old/000099.png", "");
            spoil(place, "weights/run/generator.safetensors", "2.weight");
        }),
        latents("gone.npy", "gone.npy"),
        latents("text.npy", "text.npy"),
        latents("narrow.npy", "narrow.npy"),
        latents("nan.npy", "nan.npy"),
        latents("latents.npy -n 13", "12 rows"),
        latents("latents.npy --offset 10 -n 3", "12 rows"),
        row(
            "forced, latents that do not fit",
            Data,
            "sample --model vanilla -o old/ --force --latents narrow.npy",
            3,
            "narrow",
        )
        .after(|place| put(place, "old/000009.png", "")),
        output("a new directory", "nowhere/new.png"),
        output("below a file", "file/new.png"),
        output("below a file", "file/new/"),
        output("a directory of pictures at a file", "file/"),
        output("a full disk", "new.png").on_a_full_disk(),
        output("a full disk", "old.npy").after(|place| put(place, "old.npy", "old")).on_a_full_disk(),
        output("a device that is full", "full.npy")
            .after(|place| symlink("/dev/full", place.path("full.npy")).unwrap()),
        row("stdout on a full disk", Data, "sample --model vanilla -n 4 -o - --format npy", 5, "stdout")
            .into_a_full_disk(),
        row("samples of a longer call", Data, "sample --model vanilla -n 4 -o older/", 2, "--force").after(|place| {
            create_dir(place.path("older")).unwrap();
            write(place.path("older/000007.png"), "a picture").unwrap();
        }),
        row("a directory called like a file", Data, "sample --model vanilla -o new.png", 2, "it is a directory")
            .after(|place| create_dir(place.path("new.png")).unwrap()),
        row("no such directory", Gan, "sample --weights-dir wieghts", 3, "--weights-dir wieghts"),
        row("no such directory", Gan, "evaluate --weights-dir wieghts", 3, "--weights-dir wieghts"),
        row("no such directory", Encoder, "finetune --weights-dir wieghts", 3, "--weights-dir wieghts"),
    ]
}

/// `embed`, `predict` and `data`.
fn embed() -> Vec<Row> {
    let refused = |name: &str, arguments: &str, code, says: &str| row(name, Encoder, arguments, code, says);
    vec![
        refused("no data", "embed gone --weights bundled -o h.npy", 3, "gone"),
        refused("no pictures", "embed weights --weights bundled -o h.npy", 3, "weights"),
        refused("no file", "embed pictures --weights gone.pth -o h.npy", 3, "gone.pth"),
        refused("no encoder", "embed pictures --weights other.safetensors -o h.npy", 3, "not an encoder"),
        refused("no such directory", "embed pictures --weights-dir wieghts -o h.npy", 3, "--weights-dir wieghts"),
        refused("a new directory", "embed pictures --weights bundled -o nowhere/h.npy", 5, "cannot write"),
        refused("a full disk", "embed pictures --weights bundled -o h.npy", 5, "h.npy").on_a_full_disk(),
        refused("a full disk", "embed pictures --weights bundled -o h.parquet", 5, "h.parquet").on_a_full_disk(),
        refused("stdout on a full disk", "embed pictures --weights bundled -o -", 5, "stdout").into_a_full_disk(),
        refused("no classifier", "predict pictures --weights-dir weights/encoder", 3, "no classifier under weights"),
        refused("no classifier in it", "predict pictures --weights weights/encoder", 3, "holds no classifier"),
        refused(
            "no classifier",
            "predict pictures --weights weights/encoder/encoder.safetensors",
            3,
            "not a classifier",
        ),
        refused("no data", "data gone", 3, "gone"),
        refused("a new directory", "data pictures -o nowhere/sheet.png", 5, "cannot write"),
    ]
}

fn evaluate() -> Vec<Row> {
    let generator = |name: &str, flags: &str, code, says: &str| {
        row(name, Gan, &format!("evaluate --weights weights/run --data whole -n 20 {flags}"), code, says)
    };
    let images = |file: &str, says: &str| {
        row("images that do not fit", Data, &format!("evaluate --data whole --images {file}"), 3, says)
    };
    let encoder = |name: &str, flags: &str, says: &str| {
        row(name, Encoder, &format!("evaluate --weights weights/encoder --data pictures {flags}"), 3, says)
    };
    let classifier = |name: &str, flags: &str, code, says: &str| {
        let flags =
            format!("evaluate --train-classifier --steps 1 --batch-size 4 --data whole -o new.safetensors {flags}");
        row(name, Data, &flags, code, says)
    };
    let mut rows = vec![
        row("no run", Data, "evaluate --run gone --data whole", 3, "gone"),
        row("no file", Data, "evaluate --weights gone.pth --data whole", 3, "gone.pth"),
        row("no network", Data, "evaluate --weights other.safetensors --data whole", 3, "other.safetensors"),
        row("no encoder", Gan, "evaluate --run run --encoder resnet9", 3, "holds no encoder"),
        generator("no classifier", "--classifier gone.safetensors", 3, "gone.safetensors"),
        generator("no classifier", "--classifier other.safetensors", 3, "other.safetensors"),
        generator("no classifier", "--classifier weights/run/generator.safetensors", 3, "generator.safetensors"),
        generator("no such images", "--reference 50..200", 3, "50..200"),
        generator("no test images", "--data data --reference test --test-part 0", 3, "test images"),
        generator("too few images", "--reference 0..2", 3, "reference images"),
        generator("pairs below a file", "-o file/pairs.png", 5, "cannot write"),
        generator("pairs in a new directory", "-o nowhere/pairs.png", 5, "cannot write"),
        generator("a NaN in its weights", "-o new.png", 3, "2.weight")
            .after(|place| spoil(place, "weights/run/generator.safetensors", "2.weight")),
        images("few.npy", "at least 10"),
        images("narrow.npy", "narrow.npy"),
        images("bright.npy", "bright.npy"),
        images("nan.npy", "nan.npy"),
        images("text.npy", "text.npy"),
        images("gone.npy", "gone.npy"),
        encoder("another architecture", "--encoder resnet18", "--encoder resnet18"),
        encoder("too few labels", "--labels 13", "--labels 13"),
        encoder("no labels", "--data pictures/train/disc", "labelled"),
        classifier("no labels", "--data pictures/train/disc", 3, "labels"),
        classifier("no test images", "--data data --test-part 0", 3, "test images"),
        classifier("weights below a file", "-o file/c.safetensors", 5, "cannot write"),
        classifier("weights in a new directory", "-o nowhere/c.safetensors", 5, "cannot write"),
    ];
    for data in ["nowhere", "bad/idx-cut", "bad/hub-cut", "bad/batches-cut", "bad/pictures-cut"] {
        rows.push(generator("data that are none", &format!("--data {data}"), 3, data));
        rows.push(encoder("data that are none", &format!("--data {data}"), data));
        rows.push(classifier("data that are none", &format!("--data {data}"), 3, data));
    }
    if cfg!(not(feature = "cuda")) {
        rows.push(generator("another device", "--device cuda", 1, "--device cuda"));
        rows.push(row("another device", Gan, "sample --device cuda", 1, "--device cuda"));
    }
    rows
}

/// Named sets that cannot be downloaded.
fn offline() -> Vec<Row> {
    let mut rows = Vec::new();
    for flags in ["--data cifar10", "--data mnist --data-dir new/place", "--data fashion-mnist --data-dir bad"] {
        for (state, command) in [
            (Gan, "evaluate --weights weights/run"),
            (Encoder, "evaluate --weights weights/encoder"),
            (Data, "evaluate --train-classifier -o new.safetensors"),
        ] {
            rows.push(row("offline", state, &format!("{command} {flags}"), 3, "cannot be downloaded"));
        }
    }
    rows
}

/// What only prints.
fn print() -> Vec<Row> {
    let inspect = |file: &str| row("nothing to look into", Data, &format!("inspect {file}"), 3, file);
    vec![
        inspect("gone.safetensors"),
        inspect("cut.safetensors"),
        inspect("text.safetensors"),
        inspect("text.pth"),
        inspect("text.npy"),
        inspect("pictures"),
        row("stdout on a full disk", Data, "inspect other.safetensors", 5, "stdout").into_a_full_disk(),
        row("stdout on a full disk", Data, "completions bash", 5, "stdout").into_a_full_disk(),
        row("stdout on a full disk", Data, "man", 5, "stdout").into_a_full_disk(),
    ]
}
