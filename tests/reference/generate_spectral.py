#!/usr/bin/env python3
"""Writes `spectral.json`: PyTorch's numbers for discriminators with `torch.nn.utils.parametrizations.spectral_norm`, by the
rule of `generate.py`.

    python3 -m venv venv && venv/bin/pip install numpy torch==2.15.0
    venv/bin/python tests/reference/generate_spectral.py

A step of the program makes one step of power iteration, before anything else, and all of its passes through D see the
same singular vectors. In PyTorch: a call of the parametrization's own `_power_method`, and passes in evaluation mode.
"""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import generate
import generate_conditional as conditional
from generate import LATENT, LOSSES, MLP_GAINS, STEPS, TRAINING_BATCH
from generate_penalties import DISCRIMINATORS, PENALTIES
from glimpses import glimpse, numbers, whole

PERTURBED_RUNS = 4
LR = 2e-4
NETWORKS = ("mlp", "dcgan", "conditional_dcgan", "radford_32")


def normalised(name, network):
    """`network`, which is filled, with spectral norm of every weight but those of batch norms."""
    for path, module in list(network.named_modules()):
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Embedding)):
            dtype = module.weight.dtype
            spectral_norm(module)
            vectors = module.parametrizations.weight[0]
            for vector in ("_u", "_v"):
                buffer = getattr(vectors, vector)
                buffer.copy_(generate.symmetric(f"{name}.{path}.{vector}", *buffer.shape).to(dtype))
    return network


def iterate(network):
    for module in network.modules():
        if hasattr(module, "parametrizations"):
            original = module.parametrizations.weight.original
            module.parametrizations.weight[0]._power_method(original.detach().flatten(1), 1)


def filled(name, dtype, perturbation=None):
    build, shape, is_conditional = DISCRIMINATORS[name]
    network = conditional.filled(f"spectral_{name}", build(), dtype)
    if perturbation is not None:
        generate.perturb(network, perturbation)
    return normalised(f"spectral_{name}", network), shape, is_conditional


def fixed(network):
    """In evaluation the power iteration rests; batch norms train."""
    network.train()
    for module in network.modules():
        if hasattr(module, "parametrizations"):
            module.eval()
            module.parametrizations.eval()
            module.parametrizations.weight.eval()
            module.parametrizations.weight[0].eval()
    return network


def passes(name, dtype, perturbation=None):
    network, shape, is_conditional = filled(name, dtype, perturbation)
    iterate(network)
    fixed(network)
    images = generate.symmetric(f"spectral_{name}.images", *shape).to(dtype)
    images = (images.permute(0, 3, 1, 2) if images.dim() == 4 else images).requires_grad_()
    classes = [conditional.classes(f"spectral_{name}.classes", len(images))] if is_conditional else []
    scores = network(images, *classes)
    (of_images,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    (scores.square().mean() + PENALTIES["zero_centred"](of_images.flatten(1).norm(dim=1))).backward()
    gradients = {key: parameter.grad for key, parameter in network.named_parameters()}
    vectors = {key: buffer for key, buffer in network.named_buffers() if key.endswith(("_u", "_v"))}
    return scores.detach(), gradients, vectors, sorted(network.state_dict())


def networks():
    record = {}
    for name in NETWORKS:
        scores, gradients, vectors, keys = passes(name, torch.float64)
        runs32 = [passes(name, torch.float32, seed) for seed in (None, *range(PERTURBED_RUNS))]
        each = lambda want, part: {key: glimpse(want[key], [run[part][key] for run in runs32], 8) for key in want}
        record[name] = {
            "names": keys,
            "scores": whole(scores, [run[0] for run in runs32]),
            "gradients": each(gradients, 1),
            "vectors": each(vectors, 2),
        }
    return record


def train(dtype, perturbation=None):
    """Ten steps with the loss hinge."""
    discriminator_loss, generator_loss = LOSSES["hinge"]
    build, _, _ = DISCRIMINATORS["mlp"]
    discriminator = conditional.filled("spectral_mlp", build(), dtype, MLP_GAINS["discriminator"])
    drawing = generate.network("mlp_generator", dtype, MLP_GAINS["generator"])
    if perturbation is not None:
        generate.perturb(discriminator, perturbation)
        generate.perturb(drawing, perturbation)
    discriminator = fixed(normalised("spectral_mlp", discriminator))
    d_optimizer, g_optimizer = (
        torch.optim.Adam(trained.parameters(), lr=LR, betas=(0.5, 0.999), eps=1e-8) for trained in (discriminator, drawing)
    )
    d_losses, g_losses = [], []
    for step in range(STEPS):
        iterate(discriminator)
        fakes = lambda part: drawing(generate.symmetric(f"latents.{step}.{part}", TRAINING_BATCH, LATENT).to(dtype))
        real = generate.real_images(step * TRAINING_BATCH, TRAINING_BATCH).to(dtype)
        d_loss = discriminator_loss(discriminator(real), discriminator(fakes("discriminator").detach()))
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        g_loss = generator_loss(discriminator(fakes("generator")))
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        d_losses.append(d_loss.item())
        g_losses.append(g_loss.item())
    return torch.tensor(d_losses, dtype=torch.float64), torch.tensor(g_losses, dtype=torch.float64)


def trajectory():
    want = train(torch.float64)
    runs32 = [train(torch.float32, seed) for seed in (None, *range(PERTURBED_RUNS))]
    record = {"batch": TRAINING_BATCH, "lr": LR}
    for place, part in enumerate(("d_loss", "g_loss")):
        spread = torch.stack([run[place] / want[place] - 1 for run in runs32]).abs().max(0).values
        spread = [float(f"{value:.2g}") for value in spread.tolist()]
        record[part] = {"want": numbers(want[place]), "torch_f32_spread": spread}
        print(part, record[part])
    return record


if __name__ == "__main__":
    generate.write("spectral", {"networks": networks(), "trajectory": trajectory()})
