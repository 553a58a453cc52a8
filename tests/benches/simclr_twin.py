#!/usr/bin/env python3
"""Trains the same encoder by SimCLR in `gan` and in PyTorch, and has `gan evaluate` judge both: are they equally good?

    python3 -m venv venv && venv/bin/pip install numpy pillow pyarrow safetensors torch==2.15.0 torchvision==0.29.2
    venv/bin/python tests/benches/simclr_twin.py --data-dir DIR [--encoder resnet9] [--steps 2000] [--seeds 0 1 2]

Recipe, batch, steps and images are the same on both sides: `gan`'s defaults with crops from 0.2 of the area on. PyTorch has
torchvision's network and views, its own Adam, and the order of its own sampler. The training images of CIFAR-10 are all
used; the test images judge, since nothing is chosen here. Runs are kept in `--work` and not trained again. Nothing here
is part of the tests.
"""

import argparse
import io
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import transforms

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "reference"))
from generate_simclr import Model, nt_xent  # noqa: E402

RATE, WARM_UP, WEIGHT_DECAY, TEMPERATURE, MIN_CROP = 1e-3, 100, 1e-6, 0.5, 0.2
VIEWS = transforms.Compose(
    [
        transforms.RandomResizedCrop(32, scale=(MIN_CROP, 1.0)),
        transforms.RandomHorizontalFlip(0.5),
        transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        transforms.RandomGrayscale(p=0.2),
        transforms.ToTensor(),
        transforms.Normalize([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
    ]
)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data-dir", type=Path, required=True, help="where CIFAR-10 lies in cifar10/, in parquet")
    add("--gan", default="gan", help="the program [default: the one on the path]")
    add("--encoder", default="resnet9", choices=("resnet9", "resnet18", "resnet50"))
    add("--steps", type=int, default=2000)
    add("--batch-size", type=int, default=64)
    add("--seeds", nargs="+", type=int, default=[0, 1, 2])
    add("--threads", type=int, default=2)
    add("--work", type=Path, default=Path("target/simclr-twin"), help="where runs are kept [default: target/simclr-twin]")
    return parser.parse_args()


class Pairs(torch.utils.data.Dataset):
    """Two views of each training image."""

    def __init__(self, directory):
        (file,) = Path(directory, "cifar10").glob("train*.parquet")
        cells = pyarrow.parquet.read_table(file)["img"].to_pylist()
        self.images = [Image.open(io.BytesIO(cell["bytes"])).convert("RGB") for cell in cells]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return VIEWS(self.images[index]), VIEWS(self.images[index])


def rate(step, steps):
    """As `Schedule::rate` of src/optim/schedule.rs, over its peak."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(steps - WARM_UP, 1)))


def train_theirs(options, seed, place):
    """Trains in PyTorch and returns the file of the encoder."""
    torch.manual_seed(seed)
    model = fresh(options.encoder).to(memory_format=torch.channels_last).train()
    adam = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: rate(step, options.steps))
    loader = torch.utils.data.DataLoader(
        Pairs(options.data_dir), options.batch_size, shuffle=True, drop_last=True, num_workers=1, persistent_workers=True
    )
    step, losses = 0, []
    while step < options.steps:
        for left, right in loader:
            adam.zero_grad(set_to_none=True)
            both = model(torch.cat([left, right]).contiguous(memory_format=torch.channels_last))
            loss = nt_xent(*both.chunk(2), TEMPERATURE)
            loss.backward()
            adam.step()
            schedule.step()
            losses.append(loss.item())
            step += 1
            if step == options.steps:
                break
    place.mkdir(parents=True)
    file = place / "encoder.safetensors"
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name.startswith("f.")}
    save_file(state, file)
    return file, statistics.mean(losses[-100:])


def fresh(encoder):
    """Weights drawn as torchvision's networks draw theirs; linear layers as they come."""
    model = Model(encoder)
    for module in model.f.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def train_ours(options, seed, place):
    """Trains in `gan` and returns the file of the encoder."""
    flags = {
        "--encoder": options.encoder, "--data": "cifar10", "--data-dir": options.data_dir, "--seed": seed,
        "--batch-size": options.batch_size, "--steps": options.steps, "--lr": RATE, "--warmup-steps": WARM_UP,
        "--weight-decay": WEIGHT_DECAY, "--temperature": TEMPERATURE, "--min-crop": MIN_CROP, "--knn-every": 0,
        "--threads": options.threads, "--run": place.name, "--weights-dir": place.parent,
        "--samples-dir": options.work / "samples",
    }  # fmt: skip
    command = [options.gan, "pretrain-simclr", *(str(part) for flag in flags.items() for part in flag), "--force", "-q"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    return place / "encoder.safetensors", statistics.mean(line["loss"] for line in lines[-10:])


def judge(options, file):
    """Accuracies on the test images: of the nearest neighbours, and of a linear layer."""
    command = [options.gan, "evaluate", "--weights", file, "--encoder", options.encoder, "--data", "cifar10"]
    command += ["--data-dir", options.data_dir, "--json", "-q"]
    lines = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout.splitlines()
    return json.loads(lines[-1])


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    found = {"gan": [], "PyTorch": []}
    for seed in options.seeds:
        for side, train in (("gan", train_ours), ("PyTorch", train_theirs)):
            name = f"{side.lower()}-{options.encoder}-{options.steps}-{seed}"
            report = options.work / f"{name}.json"
            if not report.exists():
                began = time.perf_counter()
                file, loss = train(options, seed, options.work / name)
                scores = {"loss": loss, "minutes": (time.perf_counter() - began) / 60, **judge(options, file)}
                report.write_text(json.dumps(scores))
            found[side].append(json.loads(report.read_text()))
            print(side, seed, report.read_text(), flush=True)
    columns = {
        "kNN, %": ("knn", 100),
        "linear layer, %": ("top1", 100),
        "loss of the last 100 steps": ("loss", 1),
        "minutes": ("minutes", 1),
    }
    print(f"\n| trained by | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for side, scores in found.items():
        cells = [cell([score[name] for score in scores], times) for name, times in columns.values()]
        print(f"| {side} | {' | '.join(cells)} |")


def cell(values, times):
    values = [times * value for value in values]
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread} ({', '.join(f'{value:.2f}' for value in values)})"


if __name__ == "__main__":
    main()
