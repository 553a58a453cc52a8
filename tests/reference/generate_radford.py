#!/usr/bin/env python3
"""Writes `radford.json`: PyTorch's own numbers for the networks of its DCGAN example (pytorch/examples, `dcgan/main.py`)
at 64x64 in colour, and for ten steps of their training.

    python3 -m venv venv && venv/bin/pip install numpy torch==2.15.0
    venv/bin/python tests/reference/generate_radford.py

As `generate.py`, whose rule makes weights, latents and images: all in f64, and beside it how far f32 is, at most, in one
run and in some from weights perturbed by a few units in the last place.

Images are (N, H, W, C) by the rule, moved to PyTorch's (N, C, H, W) and recorded as they were. The discriminator has no
sigmoid; the losses take logits. A step is the program's: D on real images and on fakes, one batch after the other, then G
on fresh fakes.
"""

import torch
from torch import nn

from generate import LOSSES, STEPS, fill, perturb, symmetric, write
from glimpses import each, glimpse, numbers, trained

SIZE, CHANNELS, LATENT, WIDTH = 64, 3, 100, 64
BATCH = 4  # of the single networks
TRAINING_BATCH = 16
LR = 2e-4
PERTURBED_RUNS = 5


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.ConvTranspose2d(LATENT, WIDTH * 8, 4, 1, 0, bias=False), nn.BatchNorm2d(WIDTH * 8), nn.ReLU(True)]
        for inputs in (8, 4, 2):
            outputs = WIDTH * inputs // 2
            layers += [nn.ConvTranspose2d(WIDTH * inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs)]
            layers += [nn.ReLU(True)]
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(WIDTH, CHANNELS, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, latents):
        return self.main(latents[:, :, None, None])


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(CHANNELS, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for inputs in (1, 2, 4):
            outputs = WIDTH * inputs * 2
            layers += [nn.Conv2d(WIDTH * inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs)]
            layers += [nn.LeakyReLU(0.2, inplace=True)]
        self.main = nn.Sequential(*layers, nn.Conv2d(WIDTH * 8, 1, 4, 1, 0, bias=False))

    def forward(self, images):
        return self.main(images).flatten(1)


NETWORKS = {"generator": Generator, "discriminator": Discriminator}

# Of the trajectory: with weights of PyTorch's own size, each step moves them by a hundredth, and after ten f32 is 10 %
# from f64, as `generate.py` says of the others. Behind a batch norm larger weights are slower ones, and nothing else.
GAINS = {
    "generator": {"0": 64, "3": 64, "6": 64, "9": 64},
    "discriminator": {"0": 64, "2": 64, "5": 64, "8": 64, "11": 0.25},
}


def network(name, dtype, perturbation=None, gains=None):
    model = NETWORKS[name]()
    fill(f"radford_{name}.main", model.main, gains)
    model.to(dtype)
    if perturbation is not None:
        perturb(model, perturbation)
    return model


def moved(images):
    """(N, H, W, C) as (N, C, H, W)."""
    return images.permute(0, 3, 1, 2)


def as_recorded(tensor):
    return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 and tensor.shape[1] == CHANNELS else tensor


def inputs_of(name, of, dtype):
    shape = (BATCH, LATENT) if name == "generator" else (BATCH, SIZE, SIZE, CHANNELS)
    return symmetric(f"radford_{name}.{of}", *shape).to(dtype)


def passes(name, dtype, perturbation=None):
    """Output, gradients of sum(output * cotangent) in the inputs and every parameter; buffers and the evaluation output
    after a second forward in training mode."""
    model = network(name, dtype, perturbation)
    place = moved if name == "discriminator" else lambda latents: latents
    inputs = inputs_of(name, "inputs", dtype).requires_grad_()
    outputs = model(place(inputs))
    seen = as_recorded(outputs)
    (seen * symmetric(f"radford_{name}.cotangent", *seen.shape).to(dtype)).sum().backward()
    gradients = {"inputs": inputs.grad} | {key: parameter.grad for key, parameter in model.named_parameters()}
    with torch.no_grad():
        model(place(inputs_of(name, "second_inputs", dtype)))
        buffers = {key: buffer.clone() for key, buffer in model.named_buffers() if buffer.is_floating_point()}
        evaluated = as_recorded(model.eval()(place(inputs)))
    return {"output": seen.detach(), "gradients": gradients, "buffers": buffers, "evaluated": evaluated}


def networks():
    record = {}
    for name in NETWORKS:
        want = passes(name, torch.float64)
        runs32 = [passes(name, torch.float32, seed) for seed in [None, *range(PERTURBED_RUNS)]]
        record[name] = {"parameters": sum(parameter.numel() for parameter in NETWORKS[name]().parameters())}
        for part in ("output", "evaluated"):
            record[name][part] = glimpse(want[part], [run[part] for run in runs32], 64)
        for part in ("gradients", "buffers"):
            record[name][part] = each(want[part], [run[part] for run in runs32], glimpse)
        print(name, "errors of f32:", record[name]["output"]["torch_f32_error"], record[name]["evaluated"]["torch_f32_error"])
    return record


def real_images(step, dtype):
    """Noise over a coarser noise: noise alone is told from fakes at once."""
    coarse = symmetric(f"radford.coarse.{step}", TRAINING_BATCH, SIZE // 8, SIZE // 8, CHANNELS)
    coarse = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    noise = symmetric(f"radford.noise.{step}", TRAINING_BATCH, SIZE, SIZE, CHANNELS)
    return moved(0.5 * coarse + 0.5 * noise).to(dtype)


def train(dtype, perturbation=None):
    d_loss_of, g_loss_of = LOSSES["bce"]
    models = {name: network(name, dtype, perturbation, GAINS[name]) for name in NETWORKS}
    generator, discriminator = models["generator"], models["discriminator"]
    initial = {name: {key: tensor.clone() for key, tensor in model.state_dict().items()} for name, model in models.items()}
    adam = {name: torch.optim.Adam(model.parameters(), lr=LR, betas=(0.5, 0.999)) for name, model in models.items()}
    d_losses, g_losses = [], []
    for step in range(STEPS):
        latents = lambda of: symmetric(f"latents.{step}.{of}", TRAINING_BATCH, LATENT).to(dtype)
        fakes = generator(latents("discriminator")).detach()
        d_loss = d_loss_of(discriminator(real_images(step, dtype)), discriminator(fakes))
        adam["discriminator"].zero_grad()
        d_loss.backward()
        adam["discriminator"].step()
        g_loss = g_loss_of(discriminator(generator(latents("generator"))))
        adam["generator"].zero_grad()
        g_loss.backward()
        adam["generator"].step()
        d_losses.append(d_loss.item())
        g_losses.append(g_loss.item())
    losses = {"d_loss": torch.tensor(d_losses, dtype=torch.float64), "g_loss": torch.tensor(g_losses, dtype=torch.float64)}
    return losses, {name: model.state_dict() for name, model in models.items()}, initial


def trajectory():
    losses, states, initial = train(torch.float64)
    runs32 = [train(torch.float32, seed) for seed in [None, *range(PERTURBED_RUNS)]]
    record = {"batch": TRAINING_BATCH, "lr": LR}
    for part, want in losses.items():
        spread = torch.stack([run[part] / want - 1 for run, _, _ in runs32]).abs().max(0).values
        record[part] = {"want": numbers(want), "torch_f32_spread": [float(f"{value:.2g}") for value in spread.tolist()]}
        print(part, numbers(want), "relative spread of f32:", record[part]["torch_f32_spread"])
    for name, state in states.items():
        record[name] = {
            key: trained(state[key], [run[name][key] for _, run, _ in runs32], initial[name][key])
            for key in state
            if state[key].is_floating_point()
        }
    return record


if __name__ == "__main__":
    write("radford", {"networks": networks(), "trajectory": trajectory()})
