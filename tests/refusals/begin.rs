//! Runs that do not begin.

use super::places::State::{Data, Encoder, Gan};
use super::places::{copy, put, remove, rewrite};
use super::{Row, row};

const GAN: &str = "train-gan --model vanilla --data data --batch-size 16 --latent-dim 8 --steps 2";
const SIMCLR: &str = "pretrain-simclr --data pictures --batch-size 4 --steps 2 --knn-every 0";
const FINETUNE: &str =
    "finetune --data pictures --weights weights/encoder --labels 1.0 --batch-size 4 --epochs 1 --run new";

/// Flags of a run whose checkpoints no disk can hold.
const ENDLESS: &str = "--checkpoint-every 1 --keep 999999999";

pub fn rows() -> Vec<Row> {
    let all = [names(), data(), offline(), networks(), disk(), forced()];
    all.into_iter().flatten().collect()
}

/// The run's name.
fn names() -> Vec<Row> {
    let long = "n".repeat(300);
    let gan =
        |name: &str, state, flags: &str, code, says: &str| row(name, state, &format!("{GAN} {flags}"), code, says);
    vec![
        gan("the name is taken", Gan, "--run run", 2, "--resume run goes on"),
        gan("the name is taken, by a network alone", Data, "", 2, "the run exists")
            .after(|place| put(place, "weights/vanilla/generator.safetensors", "anything")),
        row("the name is taken", Encoder, &format!("{SIMCLR} --run encoder"), 2, "--resume encoder goes on"),
        row("the name is taken", Encoder, &FINETUNE.replace("new", "probe"), 2, "--resume probe goes on"),
        row(
            "the name is taken, seen where embeddings are asked for too",
            Encoder,
            &format!("{} --embeddings h.npy", FINETUNE.replace("new", "probe")),
            2,
            "--resume probe goes on",
        )
        .after(|place| remove(place, "samples")),
        gan("another process begins it", Data, "", 2, "in use by process").while_in_use("weights/vanilla"),
        gan("another process begins it", Gan, "--run run --force", 2, "in use by process").while_in_use("weights/run"),
        row("another process begins it", Data, SIMCLR, 2, "in use by process").while_in_use("weights/resnet9"),
        row("another process begins it", Encoder, FINETUNE, 2, "in use by process").while_in_use("weights/new"),
        gan("no name of a file", Data, &format!("--run {long}"), 5, "cannot write"),
        row("no name of a file", Data, &format!("{SIMCLR} --run {long}"), 5, "cannot write"),
    ]
}

fn data() -> Vec<Row> {
    let mut rows = vec![
        row("no test images", Data, &format!("{GAN} --evaluate-every 1 --evaluate-reference test"), 3, "test images"),
        row("no such images", Data, &format!("{GAN} --evaluate-every 1 --evaluate-reference 50..200"), 3, "50..200"),
        row("nothing to choose by", Data, &format!("{GAN} --keep-best frechet"), 2, "evaluate_every of at least 1"),
        row(
            "chosen by test images",
            Data,
            &format!("{GAN} --evaluate-every 1 --evaluate-reference test --keep-best coverage"),
            2,
            "never by those it is tested on",
        ),
        row(
            "a measure of encoders",
            Data,
            &format!("{GAN} --evaluate-every 1 --keep-best knn"),
            2,
            "kNN accuracy is that of an encoder",
        ),
        row(
            "a measure of generators",
            Data,
            &format!("{SIMCLR} --keep-best frechet"),
            2,
            "frechet is that of a generator",
        ),
        row("no accuracy to choose by", Data, &format!("{SIMCLR} --keep-best knn"), 2, "knn_every of at least 1"),
        row(
            "no classes to choose by",
            Data,
            "pretrain-simclr --data pictures/train/disc --batch-size 4 --steps 2 --keep-best knn",
            3,
            "--keep-best knn: pictures/train/disc has no classes",
        ),
        row("nothing to wait for", Data, &format!("{GAN} --evaluate-every 1 --patience 3"), 2, "without keep_best"),
        row(
            "images that nothing scores",
            Data,
            "train-gan --data pictures --image-size 32 --channels 3 --evaluate-every 1 --keep-best frechet",
            2,
            "no best network of them is kept: leave both out",
        ),
        row(
            "too few images to score",
            Data,
            &format!("{GAN} --data bad/few --evaluate-every 1 --evaluate-reference test"),
            3,
            "reference images",
        )
        .after(|place| {
            copy(place, "whole", "bad/few");
            let first = |name: &str, header: usize, bytes: usize| {
                let mut whole = place.read(&format!("bad/few/{name}"));
                whole.truncate(header + 2 * bytes);
                whole[4..8].copy_from_slice(&2u32.to_be_bytes());
                put(place, &format!("bad/few/{name}"), whole);
            };
            first("t10k-images-idx3-ubyte", 16, 784);
            first("t10k-labels-idx1-ubyte", 8, 1);
        }),
        row(
            "no classes",
            Data,
            &format!("{GAN} --conditional --data pictures/train/disc"),
            3,
            "images without classes",
        ),
        row("one class", Data, &format!("{GAN} --conditional --data one"), 3, "images of one class")
            .after(|place| copy(place, "pictures/train/disc", "one/train/disc")),
        row("no labels", Encoder, &format!("{FINETUNE} --data pictures/train/disc"), 3, "without classes"),
        row("too few labels", Encoder, &format!("{FINETUNE} --labels 13"), 3, "--labels 13"),
    ];
    for (name, command, state) in [("GAN", GAN, Data), ("SimCLR", SIMCLR, Data), ("fine-tuning", FINETUNE, Encoder)] {
        let mut refused = |what: &str, flags: &str, says: &str| {
            rows.push(row(&format!("{name}: {what}"), state, &format!("{command} {flags}"), 3, says));
        };
        for (data, says) in [
            ("nowhere", "no data set and no directory"),
            ("file", "a file, where a directory is expected"),
            ("bad/empty", "holds no data"),
            ("bad/text", "holds no data"),
            ("bad/idx-cut", "cut short"),
            ("bad/idx-kind", "no IDX file"),
            ("bad/idx-labels", "train-labels-idx1-ubyte"),
            ("bad/idx-alone", "no labels to train on"),
            ("bad/hub-cut", "train.parquet"),
            ("bad/hub-untrained", "none to train on"),
            ("bad/batches-cut", "data_batch_3.bin"),
            ("bad/batches-few", "data_batch_4.bin"),
            ("bad/batches-label", "label 10"),
            ("bad/cut.tar.gz", "cut.tar.gz"),
            ("bad/cut.tar", "not a tar file"),
            ("bad/cut.zip", "copy or download it again"),
            ("bad/pictures-cut", "002.png"),
        ] {
            refused("data that are none", &format!("--data {data}"), says);
        }
        if name != "fine-tuning" {
            refused("a batch larger than the data", "--batch-size 500", "a batch must fit");
            refused("fewer images than asked for", "--train-images 99", "--train-images 99");
        }
        let flags = "--data pictures --data-memory 0 --data-cache nowhere";
        rows.push(row(&format!("{name}: no cache"), state, &format!("{command} {flags}"), 5, "nowhere"));
    }
    rows.push(
        row(
            "not the set of that name",
            Data,
            &format!("{GAN} --data mnist --data-dir sets"),
            3,
            "not the train-images",
        )
        .after(|place| copy(place, "whole", "sets/mnist")),
    );
    rows
}

/// Named sets that cannot be downloaded.
fn offline() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut refused = |name: &str, state, command: &str, flags: &str| {
        rows.push(row(&format!("offline, {name}"), state, &format!("{command} {flags}"), 3, "cannot be downloaded"));
    };
    for (command, state) in [(GAN, Data), (SIMCLR, Data), (FINETUNE, Encoder)] {
        refused("into the cache", state, command, "--data cifar10");
        refused("into a new directory", state, command, "--data mnist --data-dir new/place");
        refused("into a directory that is there", state, command, "--data mnist --data-dir bad");
    }
    refused("forced", Gan, GAN, "--run run --force --data mnist");
    let beside = format!("{GAN} --data mnist --data-dir sets");
    rows.push(
        row("offline, beside a part of the set", Data, &beside, 3, "cannot be downloaded")
            .after(|place| copy(place, "bad/idx-alone", "sets/mnist")),
    );
    rows.push(row("offline, beside a download that broke", Data, &beside, 3, "cannot be downloaded").after(|place| {
        put(place, "sets/mnist/train-images-idx3-ubyte.gz.part", [0x1f, 0x8b, 8]);
    }));
    rows
}

/// What the device cannot do, and networks that do not fit.
fn networks() -> Vec<Row> {
    let mut rows = Vec::new();
    for (command, state) in [(GAN, Data), (SIMCLR, Data), (FINETUNE, Encoder)] {
        for precision in ["tf32", "bf16"] {
            let flag = format!("--precision {precision}");
            rows.push(row("not on a CPU", state, &format!("{command} {flag} --device cpu"), 2, &flag));
        }
        if cfg!(not(feature = "cuda")) {
            rows.push(row("another device", state, &format!("{command} --device cuda"), 1, "--device cuda"));
        }
    }
    let scored = |flags: &str| format!("{GAN} --data whole --evaluate-every 1 {flags}");
    rows.extend([
        row("no such classifier", Data, &scored("--evaluate-classifier gone.safetensors"), 3, "gone.safetensors"),
        row("no classifier", Data, &scored("--evaluate-classifier other.safetensors"), 3, "other.safetensors"),
        row("a damaged classifier", Data, &scored("--evaluate-classifier cut.safetensors"), 3, "cut.safetensors"),
    ]);
    let init = |init: &str, says: &str| {
        row("no networks to start from", Gan, &format!("{GAN} --run new --init {init}"), 3, says)
    };
    rows.extend([
        init("gone.safetensors", "gone.safetensors"),
        init("nowhere", "no checkpoint of a run"),
        init("cut.safetensors", "cut.safetensors"),
        init("other.safetensors", "neither a generator nor a discriminator"),
        init("run,run", "a second generator"),
        init("run --latent-dim 9", "--latent-dim is 9"),
        init("run --image-size 32", "for images of 28x28"),
        init("run --model dcgan", "--model dcgan"),
    ]);
    let encoder = |weights: &str, says: &str| {
        let command = FINETUNE.replace("weights/encoder", weights);
        row("no encoder", Encoder, &command, 3, says)
    };
    rows.extend([
        encoder("gone.safetensors", "gone.safetensors"),
        encoder("cut.safetensors", "cut.safetensors"),
        encoder("text.pth", "text.pth"),
        encoder("other.safetensors", "not an encoder"),
        encoder("pictures", "holds no encoder"),
        encoder("weights/encoder/projection_head.safetensors", "not an encoder"),
        encoder("weights/encoder --encoder resnet18", "--encoder resnet18"),
        row("no such encoder", Data, "finetune --data pictures --encoder resnet50", 3, "no pretrained resnet50"),
        encoder("weights/encoder", "does not fit: missing: f.0.weight").after(|place| {
            rewrite(place, "weights/encoder/encoder.safetensors", |archive| {
                archive.tensors.remove("f.0.weight");
            })
        }),
    ]);
    rows
}

/// Where runs cannot be written.
fn disk() -> Vec<Row> {
    let mut rows = Vec::new();
    for (command, state) in [(GAN, Data), (SIMCLR, Data), (FINETUNE, Encoder)] {
        let mut refused = |name: &str, flags: &str, says: &str| {
            rows.push(row(name, state, &format!("{command} {flags}"), 5, says));
        };
        let long = if command == FINETUNE { "--epochs" } else { "--steps" };
        refused("no room for its checkpoints", &format!("{ENDLESS} {long} 999999999999"), "checkpoints of");
        refused("weights below a file", "--run new --weights-dir file/weights", "cannot write");
        refused("samples below a file", "--run new --samples-dir file/samples", "cannot write");
        refused(
            "samples below a file, both new",
            "--run new --weights-dir a/b --samples-dir file/samples",
            "cannot write",
        );
        rows.push(row("a full disk", state, command, 5, "cannot write").on_a_full_disk());
        rows.push(
            row("weights at a file", state, &format!("{command} --run new"), 5, "cannot write")
                .after(|place| put(place, "weights/new", "")),
        );
        rows.push(
            row("samples at a file", state, &format!("{command} --run new"), 5, "cannot write")
                .after(|place| put(place, "samples/new", "")),
        );
    }
    let embed = |flags: &str, says: &str| {
        row("embeddings that cannot be written", Encoder, &format!("{FINETUNE} {flags}"), 5, says)
    };
    rows.extend([
        row(
            "no room, where embeddings are asked for too",
            Encoder,
            &format!("{FINETUNE} {ENDLESS} --epochs 999999999999 --embeddings h.npy"),
            5,
            "checkpoints of",
        ),
        embed("--embeddings nowhere/h.npy", "nowhere/h.npy"),
        embed("--embeddings file/h.npy", "file/h.npy"),
        embed("--embeddings dir.npy", "it is a directory").after(|place| copy(place, "pictures/train/disc", "dir.npy")),
        embed("--data pictures/train/disc --embeddings nowhere/h.npy", "nowhere/h.npy"),
    ]);
    rows
}

/// `--force`, where nothing of the old run may be deleted.
fn forced() -> Vec<Row> {
    let gan = |name: &str, flags: &str, code, says: &str| {
        row(name, Gan, &format!("{GAN} --run run --force {flags}"), code, says)
    };
    vec![
        gan("forced, a rate below 0", "--lr=-1", 2, "--lr"),
        gan("forced, a precision of other devices", "--precision tf32 --device cpu", 2, "--precision tf32"),
        gan("forced, no data", "--data nowhere", 3, "nowhere"),
        gan("forced, from its own networks", "--init run", 2, "--force: it would delete"),
        gan("forced, a batch larger than the data", "--batch-size 500", 3, "a batch must fit"),
        gan(
            "forced, no classifier",
            "--data whole --evaluate-every 1 --evaluate-classifier other.safetensors",
            3,
            "other",
        ),
        gan("forced, no room", &format!("{ENDLESS} --steps 999999999999"), 5, "checkpoints of"),
        gan("forced, samples below a file", "--samples-dir file/samples", 5, "cannot write"),
        gan("forced, a full disk", "", 5, "cannot write").on_a_full_disk(),
        row("forced, no data", Encoder, &format!("{SIMCLR} --run encoder --force --data nowhere"), 3, "nowhere"),
        row(
            "forced, no labels",
            Encoder,
            &format!("{FINETUNE} --run probe --force --data pictures/train/disc"),
            3,
            "without classes",
        ),
        row("forced, no encoder", Encoder, "finetune --weights other.safetensors --run probe --force", 3, "other"),
        row(
            "forced, embeddings that cannot be written",
            Encoder,
            &format!("{FINETUNE} --run probe --force --embeddings nowhere/h.npy"),
            5,
            "nowhere/h.npy",
        ),
    ]
}
