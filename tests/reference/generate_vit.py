#!/usr/bin/env python3
"""Writes `vit.json`: PyTorch's own numbers for the vision transformer, its ops, AdamW and clipping.

    python3 -m venv venv && venv/bin/pip install numpy torch==2.15.0 torchvision==0.29.2
    venv/bin/python tests/reference/generate_vit.py

The rule and the records are those of `generate.py` and `generate_simclr.py`: all in f64, and beside it how far f32 is.
The network is timm's `VisionTransformer` written out, in timm's names. By the rule a layer norm is as a batch norm; a
token and positions are 0.1 u.
"""

import json
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from generate import HERE, perturb, symmetric
from generate_simclr import in_both, nt_xent, text
from glimpses import each, glimpse, numbers, trained, whole

WIDTH, BLOCKS, HEADS, HIDDEN = 192, 12, 3, 768
PAIRS, SIDE, PATCH = 4, 16, 4
TEMPERATURE, STEPS = 0.5, 10
PERTURBED_RUNS = 3


# ---- the network -------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        count, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(count, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count, tokens, WIDTH))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(WIDTH, eps=1e-6), Attention()
        self.norm2, self.mlp = nn.LayerNorm(WIDTH, eps=1e-6), Mlp()

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, patch, patch)

    def forward(self, images):
        return self.proj(images).flatten(2).transpose(1, 2)


class Vit(nn.Module):
    """timm's `vit_tiny_patch16_224`, at other sizes, without its head: images (N, 3, H, W) to features (N, 192)."""

    def __init__(self, side, patch):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, (side // patch) ** 2 + 1, WIDTH))
        self.patch_embed = PatchEmbed(patch)
        self.blocks = nn.Sequential(*[Block() for _ in range(BLOCKS)])
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, images):
        x = self.patch_embed(images)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.norm(self.blocks(x))[:, 0]


class Model(nn.Module):
    """f and g, as `generate_simclr.py` has them."""

    def __init__(self, side=SIDE, patch=PATCH):
        super().__init__()
        self.f = Vit(side, patch)
        self.g = nn.Sequential(nn.Linear(WIDTH, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128))

    def forward(self, images):
        return self.g(self.f(images))


def fill(name, model):
    for path, module in model.named_modules():
        parameters = dict(module.named_parameters(recurse=False))
        for tensor, parameter in parameters.items():
            u = symmetric(f"{name}.{path}.{tensor}", *parameter.shape).numpy()
            if tensor in ("cls_token", "pos_embed"):
                value = np.float32(0.1) * u
            elif isinstance(module, (nn.BatchNorm1d, nn.LayerNorm)):
                value = np.float32(0.1) * u
                value = np.float32(1) + value if tensor == "weight" else value
            else:
                value = u * np.float32(1 / math.sqrt(math.prod(parameters["weight"].shape[1:])))
            assert value.dtype == np.float32
            parameter.data = torch.from_numpy(value)
    return model


def views(name, dtype):
    left, noise = (symmetric(f"{name}.{part}", PAIRS, SIDE, SIDE, 3) for part in ("left", "noise"))
    return torch.cat([left, 0.5 * left + 0.5 * noise]).permute(0, 3, 1, 2).contiguous().to(dtype)


def contrastive_loss(model, both):
    return nt_xent(*model(both).chunk(2), TEMPERATURE)


# ---- the parts of the file ---------------------------------------------------------------------------------------


def parameters():
    """Of `vit_tiny_patch16_224` without its head, and of the network at 32 pixels."""
    count = lambda *sizes: sum(parameter.numel() for parameter in Vit(*sizes).parameters())
    return {"at_224": count(224, 16), "at_32": count(32, 4)}


def ops():
    """Output, and gradients of the sum of its products with other numbers."""

    def of(op, *shapes):
        def compute(dtype):
            inputs = [symmetric(f"ops.{op.__name__}.{place}", *shape) for place, shape in enumerate(shapes)]
            inputs = [tensor.to(dtype).requires_grad_() for tensor in inputs]
            output = op(*inputs)
            (output * symmetric(f"ops.{op.__name__}.gradient", *output.shape).to(dtype)).sum().backward()
            return {"output": output, **{f"gradient_{at}": tensor.grad for at, tensor in enumerate(inputs)}}

        return {"shapes": shapes} | in_both(compute)

    def layer_norm(x, weight, bias):
        return F.layer_norm(x, weight.shape, weight, bias, 1e-6)

    def gelu(x):
        return F.gelu(4 * x)

    def attention(qkv):
        count, tokens, columns = qkv.shape
        q, k, v = (4 * qkv).reshape(count, tokens, 3, 2, columns // 6).permute(2, 0, 3, 1, 4).unbind(0)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count, tokens, columns // 3)

    return {
        "layer_norm": of(layer_norm, (3, 10), (10,), (10,)),
        "gelu": of(gelu, (25,)),
        "attention": of(attention, (2, 4, 18)),
    }


def adamw():
    """Five updates at changing rates of a weight, and of a bias that is not decayed."""
    rates, settings = [0.1, 0.05, 0.2, 0.1, 0.02], dict(betas=(0.9, 0.99), eps=1e-8)
    shapes = {"weight": (3, 4), "bias": (4,)}

    def compute(dtype):
        tensors = {key: nn.Parameter(symmetric(f"adamw.{key}", *shape).to(dtype)) for key, shape in shapes.items()}
        groups = [{"params": [tensors["weight"]], "weight_decay": 0.3}, {"params": [tensors["bias"]], "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=0.0, **settings)
        after = {}
        for step, rate in enumerate(rates):
            for group in optimizer.param_groups:
                group["lr"] = rate
            for key, tensor in tensors.items():
                tensor.grad = symmetric(f"adamw.gradient.{step}.{key}", *shapes[key]).to(dtype)
            optimizer.step()
            after |= {f"{key}_{step + 1}": tensor.detach().clone() for key, tensor in tensors.items()}
        return after

    return {"rates": rates, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.3, "after": in_both(compute)}


def clipped():
    """Gradients of two tensors by `clip_grad_norm_`, of norms that are larger and smaller than the limit."""
    record = {}
    for max_norm in (0.5, 3.0, 100.0):

        def compute(dtype):
            tensors = [nn.Parameter(torch.zeros(*shape, dtype=dtype)) for shape in ((5, 7), (6,))]
            for place, tensor in enumerate(tensors):
                tensor.grad = symmetric(f"clipped.{place}", *tensor.shape).to(dtype)
            nn.utils.clip_grad_norm_(tensors, max_norm)
            return {f"gradient_{place}": tensor.grad for place, tensor in enumerate(tensors)}

        record[str(max_norm)] = in_both(compute)
    return record


def passes(dtype, perturbation=None):
    model = fill("vit", Model()).to(dtype)
    if perturbation is not None:
        perturb(model, perturbation)
    both = views("vit", dtype)
    loss = contrastive_loss(model, both)
    loss.backward()
    with torch.no_grad():
        features = model.f(both)
    return loss.detach(), features, {key: parameter.grad for key, parameter in model.named_parameters()}


def encoder():
    loss, features, gradients = passes(torch.float64)
    runs = [passes(torch.float32, seed) for seed in [None, *range(PERTURBED_RUNS)]]
    return {
        "pairs": PAIRS,
        "side": SIDE,
        "loss": whole(loss, [run[0] for run in runs]),
        "features": glimpse(features, [run[1] for run in runs], 32),
        "gradients": each(gradients, [run[2] for run in runs], glimpse),
    }


def train(lr, dtype, perturbation=None):
    model = fill("trajectory", Model()).to(dtype)
    initial = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    if perturbation is not None:
        perturb(model, perturbation)
    # Weights of layers alone are decayed.
    decayed = [parameter for parameter in model.parameters() if parameter.dim() in (2, 4)]
    others = [parameter for parameter in model.parameters() if parameter.dim() not in (2, 4)]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr)
    losses = []
    for step in range(STEPS):
        loss = contrastive_loss(model, views(f"trajectory.{step}", dtype))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64), model.state_dict(), initial


def trajectory():
    """Ten steps of AdamW with clipped gradients."""
    lr = 1e-4
    want, state, initial = train(lr, torch.float64)
    runs32 = [train(lr, torch.float32, seed) for seed in [None, *range(PERTURBED_RUNS)]]
    spread = torch.stack([losses / want - 1 for losses, _, _ in runs32]).abs().max(0).values
    print("trajectory", numbers(want), "relative spread of f32:", spread.tolist())
    some = [key for key in state if key.startswith(("f.blocks.0.", "f.blocks.11.", "f.patch_embed", "f.pos", "f.cls", "f.norm"))]
    return {
        "lr": lr,
        "weight_decay": 0.05,
        "clip_norm": 1.0,
        "loss": numbers(want),
        "torch_f32_spread": [float(f"{value:.2g}") for value in spread.tolist()],
        "after": {key: trained(state[key], [run[key] for _, run, _ in runs32], initial[key]) for key in some},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    parts = (parameters, ops, adamw, clipped, encoder, trajectory)
    path = HERE / "vit.json"
    path.write_text(text({part.__name__: part() for part in parts}, "") + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")
