#!/usr/bin/env python3
"""Exchanges generators and discriminators of PyTorch's DCGAN example with PyTorch, both ways, through the built program.
Run by hand:

    python3 -m venv venv && venv/bin/pip install numpy safetensors torch==2.15.0
    venv/bin/python tests/reference/check_radford.py target/release/gan

Ours to theirs: `train-gan` makes two steps, the example's networks load generator.safetensors and
discriminator.safetensors with `strict=True`, and both draw the same images. Theirs to ours: the generator goes back as
.pth files under the names that scripts give it, and `sample` draws of each what it drew of its own file.
"""

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from generate_radford import LATENT, Discriminator, Generator

GAN = Path(sys.argv[1]).resolve()
SAMPLES = 8
TOLERANCE = 1e-5


def gan(*arguments):
    done = subprocess.run([GAN, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stderr}"


def drawn(weights):
    """The images of the same latents, (N, C, H, W)."""
    gan("sample", "--weights", weights, "--latents", "latents.npy", "-o", "images.npy")
    return np.load("images.npy")


def main():
    flags = ["--data", "shapes", "--image-size", 64, "--train-images", 64, "--batch-size", 8, "--steps", 2]
    gan("train-gan", "--model", "dcgan", *flags, "--run", "exchange", "--no-progress")
    latents = torch.randn(SAMPLES, LATENT, generator=torch.Generator().manual_seed(0))
    np.save("latents.npy", latents.numpy())
    ours = drawn("weights/exchange/generator.safetensors")

    generator, discriminator = Generator(), Discriminator()
    for name, network in (("generator", generator), ("discriminator", discriminator)):
        state = load_file(f"weights/exchange/{name}.safetensors")
        print(f"{name}: load_state_dict(strict=True):", network.load_state_dict(state, strict=True))
    with torch.no_grad():
        theirs = generator.eval()(latents).numpy()
    farthest = np.abs(theirs - ours).max()
    print(f"{SAMPLES} images of {theirs.shape[1:]}: {farthest:.2g} apart at most, of magnitude {np.abs(ours).mean():.3g}")
    assert farthest < TOLERANCE

    state = generator.state_dict()
    layouts = {
        "netG_epoch_0": state,
        "module": {f"module.{name}": tensor for name, tensor in state.items()},
        "both": {"epoch": 1, "netD": discriminator.state_dict(), "netG": state},
        "sequential": generator.main.state_dict(),
    }
    for layout, state in layouts.items():
        torch.save(state, f"{layout}.pth")
        same = np.array_equal(drawn(f"{layout}.pth"), ours)
        print(f"{layout}.pth:", "the same images" if same else "OTHER images")
        assert same


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        main()
