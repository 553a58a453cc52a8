#!/usr/bin/env python3
"""Exchanges the networks of conditional GANs with PyTorch, both ways, through the built program. Run by hand:

    python3 -m venv venv && venv/bin/pip install numpy safetensors torch==2.15.0
    venv/bin/python tests/reference/check_conditional.py target/release/gan

Ours to theirs: `train-gan --conditional` makes two steps, the networks of `generate_conditional.py` load
generator.safetensors and discriminator.safetensors with `strict=True`, and both draw the same images of every class.
Theirs to ours: the generator goes back as .safetensors with our description, of which `--class` draws the same; and as
.pth, which says nothing of classes: to `sample` it is a generator of latents that end in the one-hot class.
"""

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from generate import LATENT
from generate_conditional import CLASSES, DcganDiscriminator, MlpDiscriminator, generator, one_hot

GAN = Path(sys.argv[1]).resolve()
TOLERANCE = 1e-5
PER_CLASS = 4


def gan(*arguments):
    done = subprocess.run([GAN, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stderr}"


def drawn(weights, latents, *flags):
    """The images of these latents, (N, 784)."""
    np.save("latents.npy", latents.numpy())
    gan("sample", "--weights", weights, "--latents", "latents.npy", *flags, "-o", "images.npy")
    images = np.load("images.npy")
    return images.reshape(len(images), -1)


def check(model, kind, discriminator):
    flags = ["--data", "digits", "--train-images", 64, "--batch-size", 8, "--steps", 2]
    gan("train-gan", "--model", model, "--conditional", *flags, "--run", model, "--no-progress")
    latents = torch.rand(PER_CLASS, LATENT, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ours = drawn(f"weights/{model}/generator.safetensors", latents, "--class", "all")

    state = load_file(f"weights/{model}/discriminator.safetensors")
    print(f"{model} discriminator: load_state_dict(strict=True):", discriminator.load_state_dict(state, strict=True))
    state = load_file(f"weights/{model}/generator.safetensors")
    theirs = generator(kind)
    print(f"{model} generator: load_state_dict(strict=True):", theirs.load_state_dict(state, strict=True))
    # Every class with the first latents, then with the next.
    labels = torch.arange(CLASSES).repeat(PER_CLASS)
    rows = torch.cat([latents.repeat_interleave(CLASSES, 0), one_hot(labels, torch.float32)], 1)
    with torch.no_grad():
        found = theirs.eval()(rows).numpy()
    farthest = np.abs(found - ours).max()
    print(f"{len(rows)} images: {farthest:.2g} apart at most, of magnitude {np.abs(ours).mean():.3g}")
    assert farthest < TOLERANCE

    with safe_open(f"weights/{model}/generator.safetensors", "pt") as file:
        metadata = {"gan.network": file.metadata()["gan.network"]}
    save_file(theirs.state_dict(), "theirs.safetensors", metadata)
    assert np.array_equal(drawn("theirs.safetensors", latents, "--class", "all"), ours)
    torch.save(theirs.state_dict(), "theirs.pth")
    assert np.array_equal(drawn("theirs.pth", rows), ours)
    print("theirs.safetensors and theirs.pth: the same images")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        check("vanilla", "mlp", MlpDiscriminator())
        check("dcgan", "dcgan", DcganDiscriminator())
