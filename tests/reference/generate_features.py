#!/usr/bin/env python3
"""Writes `features.json`: PyTorch's own features of whole pictures, for `gan embed`.

    python3 -m venv venv && venv/bin/pip install numpy safetensors torch==2.15.0 torchvision==0.29.2
    venv/bin/python -B tests/reference/generate_features.py

The bundled encoder on pictures of 32x32, with CIFAR-10's normalisation; torchvision's ResNet-18 with the weights of
`generate_simclr.py`'s rule on pictures of 224x224, with ImageNet's. Pictures are bytes by the rule of `generate.py`. In f64.
"""

import json

import numpy as np
import torch
from safetensors.torch import load_file

from generate import HERE, bits
from generate_simclr import Model, fill, numbers

CIFAR10 = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pictures(name, count, side, normalisation):
    """(N, 3, side, side), normalised."""
    words = [bits(f"{name}.{index}", side * side * 3) >> np.uint32(24) for index in range(count)]
    pixels = torch.from_numpy(np.stack(words).astype(np.float64)).reshape(count, side, side, 3) / 255
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in normalisation)
    return ((pixels - mean) / std).permute(0, 3, 1, 2)


def features(model, images):
    with torch.no_grad():
        return numbers(model.double().eval().features(images))


def main():
    bundled = Model("resnet9")
    weights = load_file(HERE / "../../weights/encoder-resnet9.safetensors")
    bundled.f.load_state_dict({name.removeprefix("f."): tensor for name, tensor in weights.items()})
    torchvisions = fill("resnet18", Model("resnet18", "imagenet"))
    record = {
        "bundled": features(bundled, pictures("small", 4, 32, CIFAR10)),
        "torchvision": features(torchvisions, pictures("large", 2, 224, IMAGENET)),
    }
    (HERE / "features.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
