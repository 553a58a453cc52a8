#!/usr/bin/env python3
"""Writes `conditional.json`: PyTorch's numbers for the networks of conditional GANs, by the rule of `generate.py`.

    python3 -m venv venv && venv/bin/pip install numpy torch==2.15.0
    venv/bin/python tests/reference/generate_conditional.py

The classes are `bits(name, i) >> 24` modulo their number. The generators are those of `generate.py` with as many inputs
more as there are classes.
"""

import torch
from torch import nn

import generate
from generate import BATCH, DCGAN_GAINS, LATENT, LOSSES, MLP_GAINS, PERTURBED_RUNS, PIXELS, STEPS, TRAINING_BATCH

CLASSES = 10


def classes(name, count):
    return torch.from_numpy(((generate.bits(name, count) >> 24) % CLASSES).astype("int64"))


def one_hot(labels, dtype):
    return nn.functional.one_hot(labels, CLASSES).to(dtype)


class MlpDiscriminator(nn.Sequential):
    """The pixels with the class behind them (Mirza and Osindero, 1411.1784)."""

    def __init__(self):
        layers = list(generate.networks()["mlp_discriminator"])
        super().__init__(*layers[:1], nn.Linear(PIXELS + CLASSES, 256), *layers[2:])

    def forward(self, images, labels):
        return super().forward(torch.cat([images, one_hot(labels, images.dtype)], 1))


class DcganDiscriminator(nn.Sequential):
    """With a projection of the features before the last layer (Miyato and Koyama, 1802.05637)."""

    def __init__(self):
        super().__init__(*generate.networks()["dcgan_discriminator"])
        self.embedding = nn.Embedding(CLASSES, 1024)

    def forward(self, images, labels):
        *layers, last, embedding = self.children()
        features = nn.Sequential(*layers)(images)
        return last(features) + (embedding(labels) * features).sum(1, keepdim=True)


class RadfordDiscriminator(nn.Module):
    """That of PyTorch's DCGAN example for 32x32 grey, whose projection takes sums over places."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(0.2),
            nn.Conv2d(128, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.LeakyReLU(0.2),
            nn.Conv2d(256, 1, 4, bias=False),
        )  # fmt: skip
        self.embedding = nn.Embedding(CLASSES, 256)

    def forward(self, images, labels):
        features = self.main[:-1](images)
        return self.main[-1](features).flatten(1) + (self.embedding(labels) * features.sum((2, 3))).sum(1, keepdim=True)


def generator(kind):
    first, *layers = generate.networks()[f"{kind}_generator"]
    return nn.Sequential(nn.Linear(LATENT + CLASSES, first.out_features), *layers)


NETWORKS = {
    "mlp_discriminator": (MlpDiscriminator, (PIXELS,)),
    "dcgan_discriminator": (DcganDiscriminator, (PIXELS,)),
    "radford_discriminator": (RadfordDiscriminator, (1, 32, 32)),
}


def filled(name, network, dtype, gains=None):
    if hasattr(network, "main"):
        generate.fill(f"{name}.main", network.main, gains)
        rest = nn.Module()
        rest.add_module("embedding", getattr(network, "embedding", None))
        generate.fill(name, rest, gains)
    else:
        generate.fill(name, network, gains)
    return network.to(dtype)


def forward_and_backward(name, dtype):
    build, shape = NETWORKS[name]
    name = f"conditional_{name}"
    network = filled(name, build(), dtype)
    images = generate.symmetric(f"{name}.inputs", BATCH, *shape).to(dtype).requires_grad_()
    scores = network(images, classes(f"{name}.classes", BATCH))
    (scores * generate.symmetric(f"{name}.cotangent", *scores.shape).to(dtype)).sum().backward()
    return scores, {"inputs": images.grad} | {key: value.grad for key, value in network.named_parameters()}


def write_networks(record):
    for name, (build, _) in NETWORKS.items():
        scores, gradients = forward_and_backward(name, torch.float64)
        scores32, gradients32 = forward_and_backward(name, torch.float32)
        record[name] = {
            "parameters": sum(parameter.numel() for parameter in build().parameters()),
            "output": generate.whole(scores, scores32),
            "gradients": {key: generate.summary(gradients[key], gradients32[key]) for key in gradients},
        }


TRAJECTORIES = {
    # name: (networks, gains, R1's weight, in every other step)
    "vanilla": ("mlp", MlpDiscriminator, MLP_GAINS, 0),
    "vanilla_r1": ("mlp", MlpDiscriminator, MLP_GAINS, 2),
    "dcgan": ("dcgan", DcganDiscriminator, DCGAN_GAINS, 0),
}
LR = 2e-4


def train(kind, build, gains, r1, dtype, perturbation=None):
    """Ten steps of the program's training: both losses of every step, and both networks after the last."""
    discriminator_loss, generator_loss = LOSSES["bce"]
    discriminator = filled(f"conditional_{kind}_discriminator", build(), dtype, gains["discriminator"])
    drawing = filled(f"conditional_{kind}_generator", generator(kind), dtype, gains["generator"])
    if perturbation is not None:
        generate.perturb(discriminator, perturbation)
        generate.perturb(drawing, perturbation)
    d_optimizer, g_optimizer = (
        torch.optim.Adam(network.parameters(), lr=LR, betas=(0.5, 0.999), eps=1e-8) for network in (discriminator, drawing)
    )
    d_losses, g_losses = [], []
    for step in range(STEPS):
        of = {part: classes(f"classes.{step}.{part}", TRAINING_BATCH) for part in ("real", "discriminator", "generator")}

        def fakes(part):
            latents = generate.symmetric(f"latents.{step}.{part}", TRAINING_BATCH, LATENT).to(dtype)
            return drawing(torch.cat([latents, one_hot(of[part], dtype)], 1))

        real = generate.real_images(step * TRAINING_BATCH, TRAINING_BATCH).to(dtype)
        fake = fakes("discriminator").detach()
        d_loss = discriminator_loss(discriminator(real, of["real"]), discriminator(fake, of["discriminator"]))
        penalty = 0
        if r1 and step % 2 == 0:
            penalty = r1 * generate.mean_squared_slope(lambda images: discriminator(images, of["real"]), real)
        d_optimizer.zero_grad()
        (d_loss + penalty).backward()
        d_optimizer.step()

        g_loss = generator_loss(discriminator(fakes("generator"), of["generator"]))
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        d_losses.append(d_loss.item())
        g_losses.append(g_loss.item())
    losses = {"d_loss": torch.tensor(d_losses, dtype=torch.float64), "g_loss": torch.tensor(g_losses, dtype=torch.float64)}
    return losses, {"discriminator": discriminator.state_dict(), "generator": drawing.state_dict()}


def write_trajectories(record):
    for name, run in TRAJECTORIES.items():
        losses64, states64 = train(*run, torch.float64)
        runs32 = [train(*run, torch.float32, seed) for seed in (None, *range(PERTURBED_RUNS))]
        record[name] = {"batch": TRAINING_BATCH, "lr": LR}
        for part, want in losses64.items():
            spread = torch.stack([losses[part] / want - 1 for losses, _ in runs32]).abs().max(0).values
            record[name][part] = {
                "want": generate.numbers(want),
                "torch_f32_spread": [float(f"{value:.2g}") for value in spread.tolist()],
            }
            print(name, part, "relative spread of f32:", record[name][part]["torch_f32_spread"])
        for part, state64 in states64.items():
            record[name][part] = {
                key: generate.trained(state64[key], [states[part][key] for _, states in runs32], LR)
                for key in state64
                if state64[key].is_floating_point()
            }


if __name__ == "__main__":
    record = {"networks": {}, "trajectories": {}}
    write_networks(record["networks"])
    write_trajectories(record["trajectories"])
    generate.write("conditional", record)
