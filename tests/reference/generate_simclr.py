#!/usr/bin/env python3
"""Writes `simclr.json`: PyTorch's and torchvision's own numbers for the encoders, the losses and the optimizers of SimCLR.

    python3 -m venv venv && venv/bin/pip install numpy torch==2.15.0 torchvision==0.29.2
    venv/bin/python tests/reference/generate_simclr.py

As `generate.py`, whose rule makes the weights, the views and the embeddings: all in f64, and beside it how far f32 is.
A residual network is deep enough to enlarge rounding, and a ReLU that rounding turns is a step, not a slope: one run in
f32 is one draw of that. So `torch_f32_error` is the largest of one run and of some from weights perturbed by a few units
in the last place.

The views of a network are (2N, H, W, 3) by the rule, moved to PyTorch's (2N, 3, H, W).
"""

import json
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from generate import HERE, perturb, symmetric
from glimpses import each, glimpse, numbers, trained, whole

TEMPERATURE = 0.5
PERTURBED_RUNS = 3
# Of trajectories more: in three steps one perturbation in ten moves a loss four to thirteen times as far as the median.
PERTURBED_TRAJECTORIES = 40
STEPS = 5
TRAINED_PAIRS = 8


# ---- the networks ------------------------------------------------------------------------------------------------


class Resnet9(nn.Module):
    """One `BasicBlock` of torchvision a stage, half as wide as a ResNet-18, under torchvision's names."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
        inputs = 32
        for stage, outputs in enumerate((32, 64, 128, 256)):
            downsample = None
            if stage > 0:
                shortcut = nn.Conv2d(inputs, outputs, 1, 2, bias=False)
                downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))
            block = BasicBlock(inputs, outputs, 1 if stage == 0 else 2, downsample)
            self.add_module(f"layer{stage + 1}", nn.Sequential(block))
            inputs = outputs
        self.avgpool = nn.AdaptiveAvgPool2d(1)


def trunk(encoder):
    """torchvision's network with the stem of SimCLR on CIFAR-10, and its features."""
    if encoder == "resnet9":
        return Resnet9(), 256
    if encoder == "resnet18":
        network, features = ResNet(BasicBlock, [2, 2, 2, 2]), 512
    else:
        network, features = ResNet(Bottleneck, [3, 4, 6, 3]), 2048
    return network, features


class Model(nn.Module):
    """The course's: f and g. With the small stem the max-pool and the last linear layer are left out, so the indices are
    0, 1, 3 to 6; with ImageNet's f is torchvision's whole network, and the last linear layer gives way to nothing."""

    def __init__(self, encoder, stem="small"):
        super().__init__()
        network, features = trunk(encoder)
        if stem == "imagenet":
            network.fc = nn.Identity()
            self.f = network
        else:
            if encoder != "resnet9":
                network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
            kept = [child for child in network.children() if not isinstance(child, (nn.MaxPool2d, nn.Linear))]
            self.f = nn.Sequential(*kept)
        self.g = nn.Sequential(
            nn.Linear(features, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128)
        )

    def features(self, images):
        return self.f(images).flatten(1)

    def forward(self, images):
        return self.g(self.features(images))


# The scale of a block's last batch norm. At 1, rounding grows a thousandfold through a ResNet-50, turns ReLUs, and single
# gradients in f32 are wrong by more than their size: nothing could be asked of ours.
BRANCH_GAIN = 0.125


def fill(name, model):
    """The rule of `generate.py` on nested modules; a tensor is drawn under `name` and its whole name."""
    last_norms = {
        f"{path}.{'bn3' if isinstance(module, Bottleneck) else 'bn2'}"
        for path, module in model.named_modules()
        if isinstance(module, (BasicBlock, Bottleneck))
    }
    for path, module in model.named_modules():
        parameters = dict(module.named_parameters(recurse=False))
        for tensor, parameter in parameters.items():
            u = symmetric(f"{name}.{path}.{tensor}", *parameter.shape).numpy()
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                value = np.float32(0.1) * u
                gain = np.float32(BRANCH_GAIN if path in last_norms else 1)
                value = gain * (np.float32(1) + value) if tensor == "weight" else value
            else:
                value = u * np.float32(1 / math.sqrt(math.prod(parameters["weight"].shape[1:])))
            assert value.dtype == np.float32
            parameter.data = torch.from_numpy(value)
    return model


def views(name, pairs, side, dtype):
    """(2N, 3, side, side): N images, then N of which half is the same."""
    left, noise = (symmetric(f"{name}.{part}", pairs, side, side, 3) for part in ("left", "noise"))
    right = 0.5 * left + 0.5 * noise
    return torch.cat([left, right]).permute(0, 3, 1, 2).contiguous().to(dtype)


# ---- loss and optimizers -----------------------------------------------------------------------------------------


def nt_xent(left, right, temperature):
    """2002.05709, equation 1, as a cross-entropy of 2N classes."""
    directions = F.normalize(torch.cat([left, right]))
    count = len(directions)
    logits = directions @ directions.T / temperature
    logits = logits.masked_fill(torch.eye(count, dtype=torch.bool), -math.inf)
    return F.cross_entropy(logits, (torch.arange(count) + count // 2) % count)


def contrastive_loss(model, both, mode):
    if mode == "joint":
        left, right = model(both).chunk(2)
    else:
        left, right = (model(half) for half in both.chunk(2))
    return nt_xent(left, right, TEMPERATURE)


class Lars(torch.optim.Optimizer):
    """google-research/simclr, lars_optimizer.py, with classic momentum; what has one dimension is neither decayed nor
    adapted (its `exclude_from_weight_decay` of SimCLR: batch norms and biases)."""

    def __init__(self, parameters, lr, momentum, weight_decay, trust):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay, trust=trust))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient, ratio = parameter.grad, 1.0
                if parameter.dim() > 1:
                    gradient = gradient + group["weight_decay"] * parameter
                    of_parameter, of_gradient = parameter.norm(), gradient.norm()
                    if of_parameter > 0 and of_gradient > 0:
                        ratio = group["trust"] * of_parameter / of_gradient
                velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
                velocity.mul_(group["momentum"]).add_(group["lr"] * ratio * gradient)
                parameter -= velocity


OPTIMIZERS = {
    "adam": (torch.optim.Adam, dict(weight_decay=1e-6)),
    "sgd": (torch.optim.SGD, dict(momentum=0.9, weight_decay=5e-4)),
    "lars": (Lars, dict(momentum=0.9, weight_decay=1e-6, trust=1e-3)),
}


# ---- the parts of the file ---------------------------------------------------------------------------------------


def passes(encoder, stem, pairs, side, mode, dtype, perturbation=None):
    """Everything that one step of training computes, and the features before and after it."""
    model = fill(encoder, Model(encoder, stem)).to(dtype)
    if perturbation is not None:
        perturb(model, perturbation)
    both = views(encoder, pairs, side, dtype)
    loss = contrastive_loss(model, both, mode)
    loss.backward()
    found = {
        "loss": loss.detach(),
        "gradients": {key: parameter.grad for key, parameter in model.named_parameters()},
        "buffers": {key: buffer.clone() for key, buffer in model.named_buffers() if buffer.is_floating_point()},
    }
    with torch.no_grad():
        found["features_in_evaluation"] = model.eval().features(both)
        found["features_in_training"] = fill(encoder, Model(encoder, stem)).to(dtype).features(both)
    return found


def encoders():
    return encoders_of("small", (("resnet9", 4, 32), ("resnet18", 4, 32), ("resnet50", 4, 16)), ("joint", "separate"))


def imagenet_encoders():
    """With torchvision's stem, which makes the same sizes of four times larger views."""
    return encoders_of("imagenet", (("resnet18", 4, 96), ("resnet50", 4, 64)), ("joint",))


def encoders_of(stem, cases, modes):
    record = {}
    for encoder, pairs, side in cases:
        record[encoder] = {
            "pairs": pairs,
            "side": side,
            "parameters": sum(parameter.numel() for parameter in Model(encoder, stem).parameters()),
        }
        for mode in modes:
            run = lambda *how: passes(encoder, stem, pairs, side, mode, *how)
            f64 = run(torch.float64)
            f32 = [run(torch.float32, seed) for seed in [None, *range(PERTURBED_RUNS)]]
            part = {"loss": whole(f64["loss"], [run["loss"] for run in f32])}
            for tensors in ("gradients", "buffers"):
                # Of two batches a few tensors tell whether they were two.
                kept = lambda key: mode == "joint" or not key.startswith("f.") or key.startswith("f.1.")
                want = {key: tensor for key, tensor in f64[tensors].items() if kept(key)}
                part[tensors] = each(want, [run[tensors] for run in f32], glimpse)
            for features in ("features_in_training", "features_in_evaluation"):
                part[features] = glimpse(f64[features], [run[features] for run in f32], 32)
            record[encoder][mode] = part
            print(encoder, mode, "errors of f32: loss", part["loss"]["torch_f32_error"], "features",
                  [part[f"features_in_{of}"]["torch_f32_error"] for of in ("training", "evaluation")])  # fmt: skip
    return record


def train(optimizer, lr, mode, dtype, perturbation=None, encoder="resnet9", stem="small", pairs=TRAINED_PAIRS, side=32):
    model = fill("trajectory", Model(encoder, stem)).to(dtype)
    initial = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    if perturbation is not None:
        perturb(model, perturbation)
    make, settings = OPTIMIZERS[optimizer]
    optimizer = make(model.parameters(), lr=lr, **settings)
    losses = []
    for step in range(STEPS):
        loss = contrastive_loss(model, views(f"trajectory.{step}", pairs, side, dtype), mode)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64), model.state_dict(), initial


def trajectories():
    record = {}
    # As of the GANs: at the rates that are used, rounding grows some tenfold a step. Slower runs show the digits.
    for name, optimizer, lr, mode in (
        ("adam", "adam", 1e-3, "joint"),
        ("adam_separate", "adam", 1e-3, "separate"),
        ("adam_slow", "adam", 1e-4, "joint"),
        ("sgd", "sgd", 0.06, "joint"),
        ("sgd_slow", "sgd", 0.01, "joint"),
        ("lars", "lars", 0.3, "joint"),
    ):
        want, state, initial = train(optimizer, lr, mode, torch.float64)
        runs32 = [train(optimizer, lr, mode, torch.float32, seed) for seed in [None, *range(PERTURBED_TRAJECTORIES)]]
        losses_spread = torch.stack([losses / want - 1 for losses, _, _ in runs32]).abs().max(0).values
        record[name] = {
            "pairs": TRAINED_PAIRS,
            "side": 32,
            "optimizer": optimizer,
            "views": mode,
            "lr": lr,
            **OPTIMIZERS[optimizer][1],
            "loss": numbers(want),
            "torch_f32_spread": [float(f"{value:.2g}") for value in losses_spread.tolist()],
            "after": {
                key: trained(state[key], [run[key] for _, run, _ in runs32], initial[key])
                for key in state
                if state[key].is_floating_point() and name == optimizer
            },
        }
        print(name, numbers(want), "relative spread of f32:", record[name]["torch_f32_spread"])
    return record


def imagenet_trajectory():
    """Steps of a ResNet-18 with torchvision's stem: losses alone."""
    how = {"encoder": "resnet18", "stem": "imagenet", "pairs": 4, "side": 64}
    want, *_ = train("sgd", 0.01, "joint", torch.float64, **how)
    runs32 = [train("sgd", 0.01, "joint", torch.float32, seed, **how)[0] for seed in [None, *range(PERTURBED_RUNS)]]
    spread = torch.stack([losses / want - 1 for losses in runs32]).abs().max(0).values
    print("imagenet", numbers(want), "relative spread of f32:", spread.tolist())
    return {
        "pairs": how["pairs"],
        "side": how["side"],
        "optimizer": "sgd",
        "views": "joint",
        "lr": 0.01,
        **OPTIMIZERS["sgd"][1],
        "loss": numbers(want),
        "torch_f32_spread": [float(f"{value:.2g}") for value in spread.tolist()],
        "after": {},
    }


def in_both(compute):
    """`compute(dtype)`'s dict of tensors, recorded whole."""
    want, found = compute(torch.float64), compute(torch.float32)
    return {key: whole(want[key], [found[key]]) for key in want}


def nt_xents():
    record = {}
    for case, (count, dim, scale) in {"few": (4, 6, 1.0), "short": (3, 5, 1e-4), "long": (3, 5, 1e4)}.items():
        for temperature in (0.01, 0.05, 0.5, 1.0, 10.0, 100.0):

            def compute(dtype):
                left, right = (
                    (np.float32(scale) * symmetric(f"nt_xent.{case}.{side}", count, dim)).to(dtype).requires_grad_()
                    for side in ("left", "right")
                )
                loss = nt_xent(left, right, temperature)
                loss.backward()
                return {"loss": loss, "left_gradient": left.grad, "right_gradient": right.grad}

            settings = {"case": case, "count": count, "dim": dim, "scale": scale, "temperature": temperature}
            record[f"{case} at {temperature}"] = settings | in_both(compute)
    return record


def cross_entropies():
    record = {}
    for scale in (1.0, 30.0, 1e4):

        def compute(dtype):
            scores = (np.float32(scale) * symmetric("cross_entropy.scores", 6, 10)).to(dtype).requires_grad_()
            loss = F.cross_entropy(scores, torch.tensor([3, 1, 4, 1, 5, 9]))
            loss.backward()
            return {"loss": loss, "gradient": scores.grad}

        record[f"scores to {scale}"] = {"scale": scale} | in_both(compute)
    return record


def sgds():
    """Five steps of one parameter, each at another learning rate, as a schedule gives them."""
    rates = [0.4, 0.3, 0.5, 0.1, 0.2]
    settings = {
        "plain": (torch.optim.SGD, dict(momentum=0.0, weight_decay=0.0), [12]),
        "momentum": (torch.optim.SGD, dict(momentum=0.9, weight_decay=5e-2), [12]),
        "lars": (Lars, dict(momentum=0.9, weight_decay=5e-2, trust=1e-1), [3, 4]),
        "lars_of_a_bias": (Lars, dict(momentum=0.9, weight_decay=5e-2, trust=1e-1), [12]),
    }
    record = {}
    for case, (make, numbers_of_it, shape) in settings.items():

        def compute(dtype):
            parameter = nn.Parameter(symmetric("sgd.parameter", *shape).to(dtype))
            optimizer = make([parameter], lr=0.0, **numbers_of_it)
            after = {}
            for step, rate in enumerate(rates):
                optimizer.param_groups[0]["lr"] = rate
                parameter.grad = symmetric(f"sgd.gradient.{step}", *shape).to(dtype)
                optimizer.step()
                after[f"after_{step + 1}"] = parameter.detach().clone()
            return after

        record[case] = {"shape": shape, "rates": rates, **numbers_of_it, "after": in_both(compute)}
    return record


def cosines():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
    rates = []
    for _ in range(30):
        rates.append(float(f"{optimizer.param_groups[0]['lr']:.15g}"))
        optimizer.step()
        schedule.step()
    return {"peak": 0.3, "rates": rates}


def text(value, indent):
    """JSON with one tensor a line."""
    if isinstance(value, dict) and any(isinstance(item, dict) for item in value.values()):
        lines = [f"{indent} {json.dumps(key)}: {text(item, indent + ' ')}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


if __name__ == "__main__":
    torch.set_num_threads(1)  # one order of sums, and faster at these sizes
    parts = (encoders, trajectories, nt_xents, cross_entropies, sgds, cosines, imagenet_encoders, imagenet_trajectory)
    path = HERE / "simclr.json"
    path.write_text(text({part.__name__: part() for part in parts}, "") + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")
