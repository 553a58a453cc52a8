#!/usr/bin/env python3
"""What `gan sample --n 64 -o grid.png` does, as a PyTorch script: loads a DCGAN's generator, draws, writes a grid.
`against_pytorch.py` times the whole process.

    torch_sample.py GENERATOR.safetensors GRID.png [--lean]
"""

import argparse

import torch
from safetensors.torch import load_file

from torch_steps import LATENT_DIM, dcgan_generator

COUNT, COLUMNS, SCALE, GAP = 64, 8, 2, 2
GAP_SHADE = 64


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("weights")
    parser.add_argument("output")
    parser.add_argument("--lean", action="store_true", help="without torchvision, which takes long to import")
    return parser.parse_args()


def save_by_torchvision(images, path):
    from torchvision.utils import save_image

    enlarged = images.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)
    save_image((enlarged + 1) / 2, path, nrow=COLUMNS, padding=GAP, pad_value=GAP_SHADE / 255)


def save_by_pillow(images, path):
    from PIL import Image

    pixels = ((images + 1) * 127.5).round().byte()
    enlarged = pixels.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)[:, 0].numpy()
    pitch = enlarged.shape[1] + GAP
    grid = Image.new("L", (COLUMNS * pitch - GAP, COUNT // COLUMNS * pitch - GAP), GAP_SHADE)
    for place, image in enumerate(enlarged):
        grid.paste(Image.fromarray(image), (place % COLUMNS * pitch, place // COLUMNS * pitch))
    grid.save(path)


def main():
    options = parse()
    generator = dcgan_generator()
    generator.load_state_dict(load_file(options.weights))
    generator.eval()
    with torch.inference_mode():
        images = generator(torch.rand(COUNT, LATENT_DIM) * 2 - 1)  # (64, 1, 28, 28)
        (save_by_pillow if options.lean else save_by_torchvision)(images, options.output)


if __name__ == "__main__":
    main()
