//! Values that cannot be meant: exit code 2, before anything is looked at.

use super::Row;
use super::places::State::{Data, Encoder};
use super::row;

/// Every flag that takes a value, with values that it does not take, after the command that has it.
const VALUES: &[(&str, &str)] = &[
    (
        "train-gan",
        "model=vae recipe=fast loss=l1 train-images=0 train-images=x steps=x steps=1.5 epochs=x batch-size=0 \
         batch-size=65537 batch-size=99999999999999999999 latent-dim=0 latent-dim=65537 lr=-1 lr=nan lr=inf lr=x \
         discriminator-lr=-1 schedule=step beta1=1 beta1=-0.1 beta2=1 beta2=nan eps=-1 eps=inf ema-decay=1 ema-decay=-1 \
         label-smoothing=1 label-smoothing=-0.1 r1=-1 r1=nan r1-every=0 diffaugment=blur precision=f8 seed=x \
         checkpoint-every=0 sample-every=0 log-every=0 keep=0 evaluate-every=x evaluate-samples=9 \
         evaluate-samples=100001 evaluate-reference=train evaluate-reference=9..3",
    ),
    ("train-gan --model dcgan", "batch-size=1"),
    (
        "pretrain-simclr",
        "encoder=vgg train-images=0 steps=x epochs=x batch-size=0 batch-size=1 batch-size=32769 temperature=0 \
         temperature=nan temperature=inf views=three optimizer=rmsprop lr=-1 lr=nan schedule=step warmup-steps=x \
         weight-decay=-1 beta1=1 beta2=1 eps=-1 momentum=1 momentum=-1 trust=-1 min-crop=0 min-crop=1.1 flip=1.1 \
         flip=-0.1 jitter=2 jitter-strength=-1 hue=0.6 hue=-0.1 grey=1.1 precision=f8 seed=x checkpoint-every=0 \
         log-every=0 knn-every=x keep=0 accumulate=4",
    ),
    (
        "finetune",
        "encoder=vgg labels=0 labels=1.5 labels=x mode=half epochs=0 epochs=x batch-size=0 batch-size=65537 lr=-1 \
         lr=nan weight-decay=-1 precision=f8 seed=x checkpoint-every=0 keep=0 embeddings=h.csv",
    ),
    ("finetune --mode full", "batch-size=1"),
    (
        "sample --model vanilla",
        "model=vae n=x n=0 output=grid.bmp format=bmp seed=x offset=x offset=18446744073709551615 columns=0 columns=x \
         scale=0 scale=65 walk=round",
    ),
    ("sample --model vanilla -o walk.gif", "n=1 walks=0 walks=1025 frames=0 frames=9999"),
    (
        "evaluate",
        "model=vae encoder=vgg reference=train reference=9..3 reference=0..10001 n=9 n=100001 n=x seed=x seeds=0 \
         seeds=1001 labels=0 labels=1.5 output=pairs.bmp",
    ),
    ("evaluate --train-classifier --data whole", "output=c.png"),
    ("evaluate --train-classifier --data whole -o c.safetensors", "steps=0 batch-size=1 lr=-1 lr=nan"),
    ("inspect other.safetensors", "device=gpu device=cuda:x threads=0 threads=1025"),
];

pub fn rows() -> Vec<Row> {
    let values = VALUES.iter().flat_map(|(command, values)| {
        values.split_whitespace().map(move |value| {
            let flag = value.split('=').next().unwrap();
            row("a value out of range", Data, &format!("{command} --{value}"), 2, &in_errors(flag))
        })
    });
    let contradictions = [
        ("train-gan --steps 1 --epochs 1", "--epochs"),
        ("train-gan --run a --resume a", "--resume"),
        ("train-gan --force --resume a", "--resume"),
        ("train-gan --quiet --verbose", "--verbose"),
        ("train-gan --frobnicate", "--frobnicate"),
        ("train-gan data", "data"),
        ("train-gan --run", "--run"),
        ("train-gan --run= --data data", "run name"),
        ("train-gan --run ../up --data data", "run name"),
        ("train-gan --run .hidden --data data", "run name"),
        ("pretrain-simclr --steps 1 --epochs 1", "--epochs"),
        ("pretrain-simclr --run a/b --data pictures", "run name"),
        ("finetune --cached --mode full", "--cached"),
        ("sample --latents latents.npy --seed 1", "--seed"),
        ("sample --model vanilla -o x.png --format gif", "--format"),
        ("sample --model vanilla -o - --json", "--json"),
        ("sample --model vanilla --n 1000000 -o grid.png", "--n"),
        ("evaluate --weights a --run b", "--run"),
        ("evaluate --model vanilla --encoder resnet9", "--encoder"),
        ("evaluate --images few.npy --n 50", "--n"),
        ("evaluate --train-classifier", "--output"),
        ("evaluate --steps 5", "--train-classifier"),
        ("evaluate --train-classifier -o c.safetensors --weights a", "--weights"),
        ("inspect", "<FILE>"),
        ("completions cmd", "cmd"),
        ("completions", "<SHELL>"),
        ("man page", "page"),
        ("frobnicate", "frobnicate"),
        ("", "Usage"),
    ];
    let contradictions =
        contradictions.iter().map(|(arguments, says)| row("flags that do not fit", Data, arguments, 2, says));
    let others = [
        row(
            "a run of that name",
            Encoder,
            "finetune --data pictures --weights weights/encoder --run ../up",
            2,
            "run name",
        ),
        row(
            "an encoder draws nothing",
            Encoder,
            "evaluate --weights weights/encoder --data pictures -o x.png",
            2,
            "-o",
        ),
    ];
    values.chain(contradictions).chain(others).collect()
}

/// What an error calls the flag.
fn in_errors(flag: &str) -> String {
    match flag {
        "output" => "-o".into(),
        "walks" | "frames" => "walk".into(),
        flag => format!("--{flag}"),
    }
}
