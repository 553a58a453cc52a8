#!/usr/bin/env python3
"""Writes `augment.json`: what PyTorch's ops and the references' formulas make of images, and the gradients, for
`tests/reference/augment.rs`.

    target/venv/bin/python tests/reference/generate_augment.py

Images, transforms and factors follow the rule of `generate.py`. Computed in f64, as `generate.py` does.
"""

import json
import math

import torch
import torch.nn.functional as F
from generate import HERE, symmetric

COUNT = 4
SHAPES = {"grey": (12, 10, 1), "colour": (9, 12, 3)}


def images(name, shape, dtype):
    """(N, C, H, W), from the rule's (N, H, W, C)."""
    return symmetric(f"augment.{name}", COUNT, *shape).permute(0, 3, 1, 2).to(dtype).requires_grad_()


def seen(image, output):
    """The output and the gradient of the sum of its sines, (N, H, W, C) both."""
    (gradient,) = torch.autograd.grad(output.sin().sum(), image)
    return [tensor.detach().permute(0, 2, 3, 1).flatten() for tensor in (output, gradient)]


def sample(name, shape, dtype):
    """Transforms in pixels, as ours: linear parts up to 1.5, moves up to twice the image."""
    height, width, _ = shape
    image = images(name, shape, dtype)
    transforms = symmetric(f"transforms.{name}", COUNT, 2, 3).to(dtype) * torch.tensor([1.5, 1.5, 2.0 * max(height, width)], dtype=dtype)
    # To grid_sample's coordinates, in which -1 and 1 are the outer edges of an image: x = (2 column + 1) / width - 1.
    to_pixels = torch.tensor([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]], dtype=dtype)
    whole = torch.cat([transforms, torch.tensor([[[0.0, 0, 1]]], dtype=dtype).expand(COUNT, 1, 3)], 1)
    theta = (to_pixels.inverse() @ whole @ to_pixels)[:, :2]
    grid = F.affine_grid(theta, image.shape, align_corners=False)
    return seen(image, F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False))


def color(name, shape, dtype):
    """DiffAugment's rand_brightness, rand_saturation and rand_contrast (DiffAugment_pytorch.py), the uniform numbers given."""
    image = images(name, shape, dtype)
    uniform = ((symmetric(f"color.{name}", COUNT, 3).to(dtype) + 1) / 2).unflatten(1, (3, 1, 1, 1))
    x = image + (uniform[:, 0] - 0.5)
    mean = x.mean(dim=1, keepdim=True)
    x = (x - mean) * (uniform[:, 1] * 2) + mean
    mean = x.mean(dim=[1, 2, 3], keepdim=True)
    return seen(image, (x - mean) * (uniform[:, 2] + 0.5) + mean)


def recorded(compute, name, shape):
    exact, rounded = (compute(name, shape, dtype) for dtype in (torch.float64, torch.float32))
    return {
        part: {"want": [float(f"{value:.9g}") for value in want.tolist()], "torch_f32_error": (found.double() - want).abs().max().item()}
        for part, want, found in zip(("output", "gradient"), exact, rounded)
    }


# ---- adaptive augmentation: training/augment.py of stylegan2-ada-pytorch, its matrices from given numbers ---------------


def matrix(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def scale2d(x, y):
    return matrix([x, 0, 0], [0, y, 0], [0, 0, 1])


def rotate2d(theta):
    return matrix([math.cos(theta), math.sin(-theta), 0], [math.sin(theta), math.cos(theta), 0], [0, 0, 1])


def translate2d(x, y):
    return matrix([1, 0, x], [0, 1, y], [0, 0, 1])


def rotate3d(v, theta):
    vx, vy, vz = v[:3].tolist()
    s, c = math.sin(theta), math.cos(theta)
    cc = 1 - c
    return matrix(
        [vx * vx * cc + c, vx * vy * cc - vz * s, vx * vz * cc + vy * s, 0],
        [vy * vx * cc + vz * s, vy * vy * cc + c, vy * vz * cc - vx * s, 0],
        [vz * vx * cc - vy * s, vz * vy * cc + vx * s, vz * vz * cc + c, 0],
        [0, 0, 0, 1],
    )


def pipeline(draw, width, height):
    """`draw` has None for what is not applied. The transform in pixels around the middle, and the colour matrix."""
    inverse = torch.eye(3, dtype=torch.float64)
    if draw["flip"] is not None:
        inverse = inverse @ scale2d(1 / (1 - 2 * draw["flip"]), 1)
    if draw["quarter_turns"] is not None:
        inverse = inverse @ rotate2d(math.pi / 2 * draw["quarter_turns"])
    if draw["shift"] is not None:
        x, y = draw["shift"]
        inverse = inverse @ translate2d(-round(x * width), -round(y * height))
    if draw["scale"] is not None:
        inverse = inverse @ scale2d(1 / draw["scale"], 1 / draw["scale"])
    if draw["turn_before"] is not None:
        inverse = inverse @ rotate2d(draw["turn_before"])
    if draw["stretch"] is not None:
        inverse = inverse @ scale2d(1 / draw["stretch"], draw["stretch"])
    if draw["turn_after"] is not None:
        inverse = inverse @ rotate2d(draw["turn_after"])
    if draw["drift"] is not None:
        x, y = draw["drift"]
        inverse = inverse @ translate2d(-x * width, -y * height)
    middle = translate2d((width - 1) / 2, (height - 1) / 2)
    transform = middle @ inverse @ middle.inverse()

    colour = torch.eye(4, dtype=torch.float64)
    v = torch.tensor([1, 1, 1, 0], dtype=torch.float64) / math.sqrt(3)
    if draw["brightness"] is not None:
        moved = torch.eye(4, dtype=torch.float64)
        moved[:3, 3] = draw["brightness"]
        colour = moved @ colour
    if draw["contrast"] is not None:
        colour = torch.diag(torch.tensor([draw["contrast"]] * 3 + [1.0], dtype=torch.float64)) @ colour
    if draw["inversion"] is not None:
        colour = (torch.eye(4, dtype=torch.float64) - 2 * v.outer(v) * draw["inversion"]) @ colour
    grey = colour[:3].mean(dim=0)
    grey = [grey[:3].sum().item(), grey[3].item()]
    if draw["hue"] is not None:
        colour = rotate3d(v, draw["hue"]) @ colour
    if draw["saturation"] is not None:
        colour = (v.outer(v) + (torch.eye(4, dtype=torch.float64) - v.outer(v)) * draw["saturation"]) @ colour
    return {"transform": transform[:2].flatten().tolist(), "grey": grey, "colour": colour[:3].flatten().tolist()}


def drawn(case):
    """Case 0 applies everything, the others each transformation in turn with a half of the rest."""
    u = symmetric(f"pipeline.{case}", 40).double().tolist()
    draw = {
        "flip": int(u[0] > 0), "quarter_turns": int(2 * (u[1] + 1)), "shift": [0.125 * u[2], 0.125 * u[3]],
        "scale": 2 ** (0.4 * u[4]), "turn_before": math.pi * u[5], "stretch": 2 ** (0.4 * u[6]),
        "turn_after": math.pi * u[7], "drift": [0.25 * u[8], 0.25 * u[9]], "brightness": 0.4 * u[10],
        "contrast": 2 ** u[11], "inversion": int(u[12] > 0), "hue": math.pi * u[13], "saturation": 2 ** (2 * u[14]),
    }  # fmt: skip
    kept = {name: value if case == 0 or place == case - 1 or u[20 + place] > 0 else None for place, (name, value) in enumerate(draw.items())}
    return {"draw": kept, **pipeline(kept, width=28, height=20)}


if __name__ == "__main__":
    record = {
        "affine_sample": {name: recorded(sample, name, shape) for name, shape in SHAPES.items()},
        "color": {name: recorded(color, name, shape) for name, shape in SHAPES.items()},
        "pipeline": [drawn(case) for case in range(14)],
    }
    (HERE / "augment.json").write_text(json.dumps(record) + "\n")
