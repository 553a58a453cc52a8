#!/usr/bin/env python3
"""Exchanges encoders with PyTorch, both ways, through the built program. Run by hand:

    python3 -m venv venv && venv/bin/pip install numpy pillow pyarrow safetensors torch==2.15.0 torchvision==0.29.2
    venv/bin/python tests/reference/check_pytorch.py target/release/gan DIRECTORY_OF_CIFAR10_IN_PARQUET [ENCODER]

Ours to theirs: `pretrain-simclr` makes two steps, PyTorch's `Model` loads encoder.safetensors and
projection_head.safetensors with `strict=True`, and both make features of the same test images. Theirs to ours: the
`Model` goes back as .pth files under every layout of names that is met, and `finetune` makes of each the features that
it made of its own file. torchvision's own networks, with random weights, are taken at 224 pixels. At last what must be
refused.
"""

import contextlib
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file

from generate_simclr import Model

GAN, DATA = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
ENCODER = sys.argv[3] if len(sys.argv) > 3 else "resnet50"
TRAINED, LABELS, COMPARED = 256, 128, 40  # images
TOLERANCE = 1e-4
# The program's normalisation, the course's.
MEAN, DEVIATION = [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]
TORCHVISION = {"0": "conv1", "1": "bn1", "3": "layer1", "4": "layer2", "5": "layer3", "6": "layer4"}


def gan(*arguments, expect=0):
    done = subprocess.run([GAN, *map(str, arguments), "--no-progress"], capture_output=True, text=True)
    assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stderr}"
    return done.stderr


def embeddings(weights, name, *flags):
    """h of the test images as the program computes it, (N, D)."""
    data = flags or ("--data", "pictures")
    gan("finetune", "--weights", weights, *data, "--cached", "--labels", LABELS, "--epochs", 1, "--run", name,
        "--embeddings", f"{name}.npy")  # fmt: skip
    return np.load(f"{name}.npy")


def write_pictures():
    """Some of CIFAR-10 as a directory of PNG, whose pixels no two decoders disagree on."""
    for split, count in (("train", TRAINED), ("test", COMPARED)):
        (file,) = DATA.glob(f"**/{split}*.parquet")
        table = pyarrow.parquet.read_table(file).slice(0, count)
        for place, (cell, label) in enumerate(zip(table["img"].to_pylist(), table["label"].to_pylist())):
            path = Path("pictures", split, f"class{label}", f"{place:05}.png")
            picture = Image.open(io.BytesIO(cell["bytes"])).convert("RGB")
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
            large = Path("large", *path.parts[1:])
            large.parent.mkdir(parents=True, exist_ok=True)
            picture.resize((224, 224), Image.Resampling.BICUBIC).save(large)


def test_images():
    """(N, 3, 32, 32) as torchvision's transforms make them, in the program's order: by class, then by name."""
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(Path("pictures/test").glob("*/*.png"))])
    scaled = (torch.from_numpy(pixels).float() / 255 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    return scaled.permute(0, 3, 1, 2)


def torchvisions_names(state):
    """The encoder under torchvision's own names, with a last linear layer."""
    renamed = {}
    for name, tensor in state.items():
        if name.startswith("f."):
            _, index, rest = name.split(".", 2)
            renamed[f"{TORCHVISION[index]}.{rest}"] = tensor
    return renamed | {"fc.weight": torch.zeros(10, 8), "fc.bias": torch.zeros(10)}


def profiled(state):
    """thop leaves two counters in every module, in f64."""
    modules = sorted({name.rsplit(".", 1)[0] for name in state} | {"f", "g"})
    counters = {f"{module}.{of}" for module in modules for of in ("total_ops", "total_params")}
    return state | {name: torch.zeros(1, dtype=torch.float64) for name in [*counters, "total_ops", "total_params"]}


def randomised(network):
    """Weights and batch-norm statistics that no layer has by default."""
    generator = torch.Generator().manual_seed(0)
    for name, buffer in network.named_buffers():
        if buffer.is_floating_point():
            drawn = torch.rand(buffer.shape, generator=generator)
            buffer.copy_(0.5 + drawn if name.endswith("var") else drawn - 0.5)
    for name, parameter in network.named_parameters():
        if parameter.dim() == 1:
            parameter.data = 0.5 + torch.rand(parameter.shape, generator=generator)
    return network.eval()


def check_torchvisions(name):
    """A file of torchvision's: the program's features of pictures at 224 pixels, as it resizes them, are torchvision's."""
    torch.manual_seed(0)
    network = randomised(getattr(torchvision.models, name)())
    torch.save(network.state_dict(), f"{name}.pth")
    ours = embeddings(f"{name}.pth", f"from_{name}", "--data", "large")
    network.fc = torch.nn.Identity()
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(Path("large/test").glob("*/*.png"))])
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaled = ((torch.from_numpy(pixels).float() / 255 - mean) / deviation).permute(0, 3, 1, 2)
    with torch.no_grad():
        features = network(scaled).numpy()
    farthest, size = np.abs(features - ours).max(), np.abs(features).mean()
    print(f"{name}.pth of torchvision: features {farthest:.2g} apart at most, of magnitude {size:.3g}")
    assert farthest < TOLERANCE * size


def main():
    write_pictures()
    gan("pretrain-simclr", "--data", "pictures", "--encoder", ENCODER, "--batch-size", 32, "--steps", 2, "--warmup-steps", 0,
        "--knn-every", 0, "--run", "exchange")  # fmt: skip
    ours = embeddings("weights/exchange", "ours")

    model = Model(ENCODER)
    state = load_file("weights/exchange/encoder.safetensors") | load_file("weights/exchange/projection_head.safetensors")
    print("load_state_dict(strict=True):", model.load_state_dict(state, strict=True))
    with torch.no_grad():
        features = model.eval().features(test_images()).numpy()
    farthest = np.abs(features - ours).max()
    print(f"features of {COMPARED} images: {farthest:.2g} apart at most, of magnitude {np.abs(features).mean():.3g}")
    assert farthest < TOLERANCE

    layouts = {
        "model": model.state_dict(),
        "torchvision": torchvisions_names(model.state_dict()),
        "module": {f"module.{name}": tensor for name, tensor in model.state_dict().items()},
        "thop": profiled(model.state_dict()),
        "thop_module": {f"module.{name}": tensor for name, tensor in profiled(model.state_dict()).items()},
        "wrapped": {"epoch": 3, "state_dict": model.state_dict()},
    }
    for layout, state in layouts.items():
        torch.save(state, f"{layout}.pth")
        same = np.array_equal(embeddings(f"{layout}.pth", f"from_{layout}"), ours)
        print(f"{layout}.pth:", "the same bytes of h" if same else "ANOTHER h")
        assert same

    for name in ("resnet18", "resnet50"):
        check_torchvisions(name)

    torch.save({"0.weight": torch.zeros(1024, 96), "0.bias": torch.zeros(1024)}, "generator.pth")
    torch.save(model.g.state_dict(), "head.pth")
    torch.save(torchvision.models.resnet34().state_dict(), "resnet34.pth")
    for refused in ("resnet34.pth", "generator.pth", "head.pth"):
        message = gan("finetune", "--weights", refused, "--data", "pictures", "--cached", expect=3)
        print(f"{refused}: refused, exit 3\n  " + message.strip().replace("\n", "\n  "))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        main()
