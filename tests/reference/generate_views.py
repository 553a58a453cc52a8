#!/usr/bin/env python3
"""Writes `views.json`: torchvision's augmented views of images of several sizes, as 32, 96 and 224 pixels.

    python3 -m venv venv && venv/bin/pip install numpy torch==2.15.0 torchvision==0.29.2
    venv/bin/python tests/reference/generate_views.py

The pixels of an image are the upper bits of `generate.py`'s rule. What is random in a view is recorded: crop, flip, the
order and the factors of the jitter, grey. All is in f32, as torchvision's transforms of float tensors are.
"""

import json

import torch
import torchvision.transforms.v2.functional as F

from generate import HERE, symmetric
from generate_simclr import middles

CHANGES = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
# Height and width of the image; top, left, height and width of the crop; flip; order and factors of the jitter; grey.
VIEWS = (
    (32, 32, (0, 0, 32, 32), False, None, None, False),
    (32, 32, (5, 9, 17, 21), True, (2, 0, 3, 1), (1.3, 0.7, 1.2, -0.08), False),
    (96, 96, (30, 2, 61, 80), False, (0, 1, 2, 3), (0.62, 1.39, 0.65, 0.1), False),
    (375, 500, (0, 0, 375, 500), False, None, None, False),
    (375, 500, (40, 101, 330, 270), True, (3, 2, 1, 0), (0.8, 1.1, 1.4, 0.05), False),
    (375, 500, (200, 300, 97, 122), False, (1, 3, 0, 2), (1.4, 0.6, 0.6, -0.1), True),
    (800, 611, (3, 1, 790, 605), True, (1, 0, 2, 3), (1.05, 1.25, 0.9, 0.02), False),
)
SIZES = (32, 96, 224)
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def image(height, width):
    """(3, height, width) in [0, 1]: multiples of 1 / 255."""
    pixels = torch.floor((symmetric(f"picture.{height}x{width}", height, width, 3) + 1) * 128)
    return pixels.permute(2, 0, 1).float() / 255


def view(height, width, crop, flip, order, factors, grey, size):
    view = F.resized_crop(image(height, width), *crop, [size, size], antialias=True)
    view = F.horizontal_flip(view) if flip else view
    for change in order or ():
        view = CHANGES[change](view, factors[change])
    view = F.rgb_to_grayscale(view, num_output_channels=3) if grey else view
    return F.normalize(view, MEAN, DEVIATION).permute(1, 2, 0)  # channels last


def main():
    record = []
    for size in SIZES:
        for height, width, crop, flip, order, factors, grey in VIEWS:
            flat = view(height, width, crop, flip, order, factors, grey, size).contiguous().reshape(-1)
            record.append({
                "size": size, "height": height, "width": width, "crop": crop, "flip": flip, "order": order,
                "factors": factors, "grey": grey,
                "elements": [float(f"{value:.9g}") for value in flat[middles(flat.numel(), 24)].tolist()],
                "mean": flat.double().mean().item(),
                "mean_square": flat.double().square().mean().item(),
            })  # fmt: skip
    lines = ",\n".join(json.dumps(view, separators=(",", ":")) for view in record)
    (HERE / "views.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
