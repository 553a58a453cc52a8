#!/usr/bin/env python3
"""Writes `penalties.json`: PyTorch's gradients, by `create_graph=True`, of penalties on the gradient of a discriminator's
scores in its images, for every discriminator, by the rule of `generate.py`.

    python3 -m venv venv && venv/bin/pip install numpy torch==2.15.0
    venv/bin/python tests/reference/generate_penalties.py

All in f64, and beside it how far f32 is, at most, in one run and in some from weights perturbed by a few units in the last
place. Images are (N, H, W, C) by the rule, moved to PyTorch's (N, C, H, W).
"""

import torch
from torch import nn

import generate
import generate_conditional as conditional
import generate_radford as radford
from glimpses import glimpse, numbers

GAMMA, LAMBDA = 3.0, 10.0
PERTURBED_RUNS = 4


class Radford32(nn.Module):
    """That of 32x32 in grey, without classes."""

    def __init__(self):
        super().__init__()
        self.main = conditional.RadfordDiscriminator().main

    def forward(self, images):
        return self.main(images).flatten(1)


DISCRIMINATORS = {
    # name: (network, shape of a batch, whether it is conditional)
    "mlp": (lambda: generate.networks()["mlp_discriminator"], (8, 784), False),
    "dcgan": (lambda: generate.networks()["dcgan_discriminator"], (8, 784), False),
    "radford_32": (Radford32, (8, 32, 32, 1), False),
    "radford_64": (radford.Discriminator, (4, 64, 64, 3), False),
    "conditional_mlp": (conditional.MlpDiscriminator, (8, 784), True),
    "conditional_dcgan": (conditional.DcganDiscriminator, (8, 784), True),
    "conditional_radford_32": (conditional.RadfordDiscriminator, (8, 32, 32, 1), True),
}
PENALTIES = {
    # of the norms of the gradients, one an image
    "zero_centred": lambda norms: GAMMA / 2 * norms.square().mean(),
    "one_centred": lambda norms: LAMBDA * (norms - 1).square().mean(),
}


def gradients(name, penalty, dtype, perturbation=None):
    """The penalty and its gradient in every parameter."""
    build, shape, is_conditional = DISCRIMINATORS[name]
    network = conditional.filled(f"penalties_{name}", build(), dtype)
    if perturbation is not None:
        generate.perturb(network, perturbation)
    images = generate.symmetric(f"penalties_{name}.images", *shape).to(dtype)
    images = (radford.moved(images) if images.dim() == 4 else images).requires_grad_()
    classes = [conditional.classes(f"penalties_{name}.classes", len(images))] if is_conditional else []
    (of_images,) = torch.autograd.grad(network(images, *classes).sum(), images, create_graph=True)
    value = PENALTIES[penalty](of_images.flatten(1).norm(dim=1))
    value.backward()
    zeros = lambda parameter: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return value, {key: zeros(parameter) for key, parameter in network.named_parameters()}


if __name__ == "__main__":
    record = {"gamma": GAMMA, "lambda": LAMBDA, "discriminators": {}}
    for name, (_, shape, _) in DISCRIMINATORS.items():
        record["discriminators"][name] = {"batch": shape[0]}
        for penalty in PENALTIES:
            value, want = gradients(name, penalty, torch.float64)
            runs32 = [gradients(name, penalty, torch.float32, seed)[1] for seed in (None, *range(PERTURBED_RUNS))]
            # A bias turns units on and off, and is of no gradient else.
            moving = [key for key, gradient in want.items() if gradient.abs().max() > 0]
            record["discriminators"][name][penalty] = {
                "value": numbers(value)[0],
                "gradients": {key: glimpse(want[key], [run[key] for run in runs32], 16) for key in moving},
            }
            print(name, penalty, value.item(), sorted(set(want) - set(moving)))
    generate.write("penalties", record)
