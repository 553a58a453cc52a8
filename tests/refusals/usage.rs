//! Values that cannot be meant: exit code 2, before anything is looked at.

use super::Row;
use super::places::State::{Data, Encoder};
use super::row;
use crate::support::Workplace;

/// Values out of their flag's range, after the command that has it.
const VALUES: &[(&str, &str)] = &[
    (
        "train-gan",
        "train-images=0 steps=1.5 batch-size=0 batch-size=65537 batch-size=99999999999999999999 latent-dim=0 \
         latent-dim=65537 lr=-1 lr=nan lr=inf discriminator-lr=-1 beta1=1 beta1=-0.1 beta2=1 beta2=nan eps=-1 eps=inf \
         ema-decay=1 ema-decay=-1 label-smoothing=1 label-smoothing=-0.1 clip-norm=0 clip-norm=inf r1=-1 r1=nan r2=-1 r2=inf r1-every=0 gradient-penalty=-1 discriminator-steps=0 ada-speed=0 ada-speed=inf checkpoint-every=0 \
         sample-every=0 log-every=0 keep=0 evaluate-samples=9 evaluate-samples=100001 evaluate-reference=9..3 image-size=0 \
         image-size=1025 channels=0 channels=2",
    ),
    (
        "train-gan",
        "r1-every=2 gradient-penalty=5 evaluate-samples=50 evaluate-reference=test evaluate-classifier=c.safetensors",
    ),
    ("train-gan --augment adaptive", "diffaugment=cutout"),
    ("train-gan --model dcgan", "batch-size=1 image-size=48 image-size=512"),
    ("train-gan --model dcgan --image-size 32", "batch-size=1 evaluate-every=1"),
    ("train-gan --loss hinge", "label-smoothing=0.1"),
    ("train-gan --loss wgan-gp", "label-smoothing=0.1"),
    ("train-gan --loss relativistic", "label-smoothing=0.1 gradient-penalty=5"),
    ("train-gan --model vanilla --image-size 32", "evaluate-every=1"),
    (
        "pretrain-simclr",
        "train-images=0 batch-size=0 batch-size=1 batch-size=32769 temperature=0 temperature=nan temperature=inf lr=-1 \
         lr=nan weight-decay=-1 beta1=1 beta2=1 eps=-1 momentum=1 momentum=-1 trust=-1 min-crop=0 min-crop=1.1 flip=1.1 \
         flip=-0.1 jitter=2 jitter-strength=-1 hue=0.6 hue=-0.1 grey=1.1 checkpoint-every=0 log-every=0 keep=0 \
         accumulate=4 image-size=7 image-size=1025 stem=large normalise=none clip-norm=0 clip-norm=nan",
    ),
    ("pretrain-simclr --encoder resnet9", "stem=imagenet momentum=0.9 trust=1e-3"),
    ("pretrain-simclr --encoder vit-tiny --image-size 32", "momentum=0.8"),
    ("pretrain-simclr --optimizer sgd", "beta1=0.9 beta2=0.9 eps=1e-8 trust=1e-3"),
    ("pretrain-simclr --optimizer lars", "beta1=0.9"),
    ("train-gan --no-ema", "ema-decay=0.9"),
    ("pretrain-simclr --encoder vit-tiny", "stem=small stem=imagenet image-size=33 image-size=100"),
    (
        "finetune",
        "labels=0 labels=1.5 epochs=0 batch-size=0 batch-size=65537 lr=-1 lr=nan weight-decay=-1 checkpoint-every=0 \
         keep=0 embeddings=h.csv image-size=7 image-size=1025 clip-norm=1",
    ),
    ("finetune --mode full", "batch-size=1 clip-norm=0"),
    ("sample --model vanilla", "n=0 output=grid.bmp offset=18446744073709551615 columns=0 scale=0 scale=65"),
    ("sample --model vanilla -o walk.gif", "n=1 walks=0 walks=1025 frames=0 frames=9999"),
    ("embed pictures --json", "output=h.png image-size=7 normalise=measured neighbours=0 neighbours=x"),
    ("predict pictures", "top=0 output=p.npy"),
    ("data pictures", "output=sheet.jpg"),
    (
        "evaluate",
        "reference=9..3 reference=0..100001 n=9 n=100001 seeds=0 seeds=1001 labels=0 labels=1.5 output=pairs.bmp \
         image-size=7",
    ),
    ("evaluate --train-classifier --data whole", "output=c.png"),
    ("evaluate --train-classifier --data whole -o c.safetensors", "steps=0 batch-size=1 lr=-1 lr=nan"),
    ("inspect other.safetensors", "device=cuda:x threads=0 threads=1025"),
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
        ("train-gan --resume .hidden", "run name"),
        ("pretrain-simclr --steps 1 --epochs 1", "--epochs"),
        ("pretrain-simclr --run a/b --data pictures", "run name"),
        ("finetune --cached --mode full", "--cached"),
        ("sample --latents latents.npy --seed 1", "--seed"),
        ("sample --force --offset 4 -o old/", "--offset"),
        ("sample --model vanilla -o x.png --format gif", "--format"),
        ("sample --model vanilla -o - --json", "--json"),
        ("sample --model vanilla --n 1000000 -o grid.png", "-n 1000000"),
        ("embed pictures", "-o is missing"),
        ("embed pictures -o h.csv --format npy", "--format"),
        ("embed pictures -o - --json", "--json"),
        ("embed pictures -o - --neighbours 3", "--neighbours"),
        ("embed pictures -o - --format npy --skip-broken", "--skip-broken"),
        ("embed", "<DATA>"),
        ("predict pictures -o p.csv --json", "--json"),
        ("predict", "<DATA>"),
        ("data", "<DATA>"),
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
    values.chain(contradictions).chain(others).chain(unreadable()).collect()
}

/// A value that is none for every flag of every command that does not take any text, as the help lists them.
fn unreadable() -> Vec<Row> {
    let mut rows = Vec::new();
    for command in
        ["train-gan", "pretrain-simclr", "finetune", "sample", "embed", "predict", "data", "evaluate", "inspect"]
    {
        let help = Workplace::new().gan(&[command, "--help"]).output().unwrap().stdout;
        for line in String::from_utf8(help).unwrap().lines().filter(|line| line.trim_start().starts_with('-')) {
            let Some((flag, value)) = line.split_once("--").and_then(|(_, flag)| flag.split_once(" <")) else {
                continue;
            };
            let takes_any_text = ["NAME", "DIR", "FILE"].iter().any(|kind| value.contains(kind));
            if !takes_any_text {
                rows.push(row("a value that is none", Data, &format!("{command} --{flag}=%"), 2, &format!("--{flag}")));
            }
        }
    }
    assert!(rows.len() > 100, "{} flags in the help", rows.len());
    rows
}

/// What an error calls the flag.
fn in_errors(flag: &str) -> String {
    match flag {
        "output" => "-o".into(),
        "n" => "-n".into(),
        "walks" | "frames" => "walk".into(),
        flag => format!("--{flag}"),
    }
}
