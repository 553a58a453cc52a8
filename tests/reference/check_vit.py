#!/usr/bin/env python3
"""Exchanges vision transformers with PyTorch, both ways, through the built program. Run by hand:

    python3 -m venv venv && venv/bin/pip install numpy pillow safetensors torch==2.15.0 torchvision==0.29.2
    venv/bin/python tests/reference/check_vit.py target/release/gan

Ours to theirs: `pretrain-simclr --encoder vit-tiny` makes two steps on pictures of noise, PyTorch's `Model` of
`generate_vit.py` loads both files with `strict=True`, and both make features of the same pictures. Theirs to ours: timm's
state dict, with a head and under DeiT's `model`, as .pth and .safetensors, and one for 224 pixels with random weights.
"""

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from generate_vit import WIDTH, Model, Vit

GAN = Path(sys.argv[1]).resolve()
COUNT = 16
TOLERANCE = 1e-4
CIFAR10 = ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def gan(*arguments):
    done = subprocess.run([GAN, *map(str, arguments), "--no-progress"], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stderr}"
    return done.stderr


def embeddings(weights, pictures):
    Path("h.npy").unlink(missing_ok=True)
    gan("embed", pictures, "--weights", weights, "-o", "h.npy")
    return np.load("h.npy")


def write_pictures(directory, side):
    """(N, 3, side, side) from 0 to 1, written as PNG in the order of their names."""
    pixels = np.random.default_rng(side).integers(0, 256, (COUNT, side, side, 3), dtype=np.uint8)
    for place, picture in enumerate(pixels):
        path = Path(directory, f"class{place % 2}", f"{place:03}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    order = [*range(0, COUNT, 2), *range(1, COUNT, 2)]  # by path
    return torch.from_numpy(pixels[order]).permute(0, 3, 1, 2) / 255


def normalised(pixels, statistics):
    mean, deviation = (torch.tensor(numbers).view(3, 1, 1) for numbers in statistics)
    return (pixels - mean) / deviation


def compare(what, network, pixels, ours):
    with torch.no_grad():
        theirs = network.eval()(pixels).numpy()
    farthest, size = np.abs(theirs - ours).max(), np.abs(theirs).mean()
    print(f"{what}: features {farthest:.2g} apart at most, of magnitude {size:.3g}")
    assert farthest < TOLERANCE * size


def main():
    small, large = write_pictures("small", 32), write_pictures("large", 224)
    gan("pretrain-simclr", "--data", "small", "--encoder", "vit-tiny", "--batch-size", 8, "--steps", 2, "--warmup-steps",
        0, "--knn-every", 0, "--run", "exchange")  # fmt: skip
    run = Path("weights/exchange")
    ours = embeddings(run / "encoder.safetensors", "small")
    model = Model(32, 4)
    state = load_file(run / "encoder.safetensors") | load_file(run / "projection_head.safetensors")
    print("load_state_dict(strict=True):", model.load_state_dict(state, strict=True))
    compare("ours at 32", model.f, normalised(small, CIFAR10), ours)

    timms = model.f.state_dict() | {"head.weight": torch.zeros(10, WIDTH), "head.bias": torch.zeros(10)}
    torch.save(timms, "timm.pth")
    torch.save({"model": timms, "epoch": 3}, "deit.pth")
    save_file(timms, "timm.safetensors")
    for name in ("timm.pth", "deit.pth", "timm.safetensors"):
        assert np.array_equal(embeddings(name, "small"), ours), name
        print(f"{name}: the same bytes of h")

    torch.manual_seed(0)
    network = Vit(224, 16)
    torch.nn.init.normal_(network.pos_embed, std=0.02)
    torch.save({"model": network.state_dict()}, "deit_tiny_patch16_224.pth")
    found = embeddings("deit_tiny_patch16_224.pth", "large")
    compare("theirs at 224", network, normalised(large, IMAGENET), found)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        main()
