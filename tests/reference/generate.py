#!/usr/bin/env python3
"""Writes the vectors that `tests/reference/` holds the Rust code against: PyTorch's own numbers for the same networks.

    python3 -m venv venv && venv/bin/pip install numpy torch==2.15.0
    venv/bin/python tests/reference/generate.py

Everything is computed twice on the CPU: in f64, which is what the files record (`want`), and in f32, of which only the
distance from f64 is recorded (`torch_f32_error`), so that a test can tell an error from the rounding that PyTorch has too.

No weights are stored. Weights, latents and images follow a rule that `rule.rs` computes as well, to the bit:

    bits(name, i) = lowbias32(i * 2654435761 + fnv1a32(name))       all mod 2^32
    u(name, i)    = (bits >> 8) * 2^-23 - 1                          in [-1, 1), exact in f32
    weight, bias  = u * f32(gain / sqrt(fan_in))                     one f32 rounding; fan_in = product of weight.shape[1:]
    batch norm    = 1 + 0.1 u (weight), 0.1 u (bias)                 in f32, each operation rounded; means 0, variances 1

`name` is "<network>.<tensor>", such as "dcgan_generator.7.weight".
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grad_norm_

HERE = Path(__file__).parent
LATENT = 96
PIXELS = 784
BATCH = 8  # of the single networks
TRAINING_BATCH = 32
STEPS = 10
BLOBS = 3  # in a real image


# ---- the rule ----------------------------------------------------------------------------------------------------


def bits(name, count):
    """`count` 32-bit words: lowbias32 (Wellons, "Prospecting for hash functions") over a Weyl sequence."""
    start = 0x811C9DC5
    for byte in name.encode():
        start = ((start ^ byte) * 0x01000193) & 0xFFFFFFFF
    word = (np.arange(count, dtype=np.uint64) * 2654435761 + start).astype(np.uint32)
    word ^= word >> np.uint32(16)
    word *= np.uint32(0x7FEB352D)
    word ^= word >> np.uint32(15)
    word *= np.uint32(0x846CA68B)
    word ^= word >> np.uint32(16)
    return word


def symmetric(name, *shape):
    """f32 in [-1, 1)."""
    u = (bits(name, math.prod(shape)) >> np.uint32(8)).astype(np.float32) * np.float32(2**-23) - np.float32(1)
    return torch.from_numpy(u.reshape(shape))


def real_images(first, count):
    """Images `first..first + count`, (count, 784): half a few paraboloids, half noise, in whole numbers from 0 to 255.
    (Clean images are told from fakes at once: a loss of nearly 0 has no digits to compare.)"""
    rows, columns = np.mgrid[0:28, 0:28]
    images = np.zeros((count, PIXELS), np.float32)
    for image in range(count):
        words = bits(f"image.{first + image}", PIXELS + 3 * BLOBS).astype(np.int64)
        noise, blobs = words[:PIXELS].reshape(28, 28) >> 24, words[PIXELS:].reshape(BLOBS, 3)
        light = np.zeros((28, 28), np.int64)
        for row, column, size in blobs:
            radius_squared = (4 + size % 6) ** 2
            distance_squared = (rows - row % 28) ** 2 + (columns - column % 28) ** 2
            light = np.maximum(light, 255 * np.maximum(radius_squared - distance_squared, 0) // radius_squared)
        pixels = (light + noise) // 2
        images[image] = (2 * pixels).reshape(-1).astype(np.float32) / np.float32(255) - np.float32(1)
    return torch.from_numpy(images)


def fill(name, network, gains=None):
    """Sets every parameter of `network` by the rule; batch-norm buffers stay at PyTorch's 0, 1 and 0. `gains` scale
    layers; without one, the bound is PyTorch's default."""
    for index, module in network.named_children():
        parameters = dict(module.named_parameters())
        for tensor, parameter in parameters.items():
            u = symmetric(f"{name}.{index}.{tensor}", *parameter.shape)
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                value = np.float32(0.1) * u.numpy()
                value = np.float32(1) + value if tensor == "weight" else value
            else:
                fan_in = math.prod(parameters["weight"].shape[1:])
                value = u.numpy() * np.float32((gains or {}).get(index, 1) / math.sqrt(fan_in))
            assert value.dtype == np.float32
            parameter.data = torch.from_numpy(value)
    return network


# ---- the networks: CS231n assignment 3 ---------------------------------------------------------------------------


def networks():
    return {
        "mlp_discriminator": nn.Sequential(
            nn.Flatten(), nn.Linear(784, 256), nn.LeakyReLU(0.01), nn.Linear(256, 256), nn.LeakyReLU(0.01),
            nn.Linear(256, 1),
        ),
        "mlp_generator": nn.Sequential(
            nn.Linear(96, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 784), nn.Tanh(),
        ),
        "dcgan_discriminator": nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 32, 5), nn.LeakyReLU(0.01), nn.MaxPool2d(2, 2),
            nn.Conv2d(32, 64, 5), nn.LeakyReLU(0.01), nn.MaxPool2d(2, 2), nn.Flatten(),
            nn.Linear(1024, 1024), nn.LeakyReLU(0.01), nn.Linear(1024, 1),
        ),
        "dcgan_generator": nn.Sequential(
            nn.Linear(96, 1024), nn.ReLU(), nn.BatchNorm1d(1024), nn.Linear(1024, 6272), nn.ReLU(),
            nn.BatchNorm1d(6272), nn.Unflatten(1, (128, 7, 7)), nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.ReLU(),
            nn.BatchNorm2d(64), nn.ConvTranspose2d(64, 1, 4, 2, 1), nn.Tanh(), nn.Flatten(),
        ),
    }  # fmt: skip


def network(name, dtype, gains=None):
    return fill(name, networks()[name], gains).to(dtype)


# ---- the losses --------------------------------------------------------------------------------------------------


def bce(scores, target):
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))


LOSSES = {
    # name: (discriminator's loss of real and fake scores, generator's loss of fake scores and those of real images)
    "bce": (lambda real, fake: bce(real, 1) + bce(fake, 0), lambda fake, real=None: bce(fake, 1)),
    "ls": (
        lambda real, fake: 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean(),
        lambda fake, real=None: 0.5 * ((fake - 1) ** 2).mean(),
    ),
    # Equation (1) of 1406.2661: the generator lowers log(1 - D(G(z))).
    "minimax": (lambda real, fake: bce(real, 1) + bce(fake, 0), lambda fake, real=None: F.logsigmoid(-fake).mean()),
    "hinge": (
        lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
        lambda fake, real=None: -fake.mean(),
    ),
    "wgan-gp": (lambda real, fake: fake.mean() - real.mean(), lambda fake, real=None: -fake.mean()),
    "relativistic": (
        lambda real, fake: F.softplus(fake - real).mean(),
        lambda fake, real: F.softplus(real - fake).mean(),
    ),
}


# ---- what is recorded of a tensor --------------------------------------------------------------------------------


def numbers(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().double().reshape(-1).tolist()]


def largest(tensor):
    return float(f"{tensor.abs().max().item():.3g}")


def whole(f64, f32):
    """Every element."""
    return {"want": numbers(f64), "torch_f32_error": largest(f64 - f32.double())}


def spread(count):
    """The elements that stand for a tensor of `count`: the first 8, and 8 from all over."""
    return list(range(min(8, count))) + [(2 * part + 1) * count // 16 for part in range(8)]


def summary(f64, f32):
    """A few elements, sum and L2 norm; the error is the largest of any element, recorded or not."""
    flat = f64.detach().reshape(-1)
    return {
        "shape": list(f64.shape),
        "elements": numbers(flat[spread(flat.numel())]),
        "sum": float(f"{flat.sum().item():.9g}"),
        "norm": float(f"{flat.norm().item():.9g}"),
        "torch_f32_error": largest(flat - f32.detach().double().reshape(-1)),
        "torch_f32_sum_error": largest(flat.sum() - f32.detach().double().sum()),
    }


def trained(f64, runs32, lr):
    """As `summary`, for weights after training. The spread is the largest median error that the recorded elements have
    in f32 runs: of single weights nothing can be asked, for where a gradient is nearly 0, Adam makes a whole step of
    its rounding. `reach` is about how far Adam can have moved one."""
    flat, where = f64.reshape(-1), spread(f64.numel())
    medians = [(flat[where] - run.double().reshape(-1)[where]).abs().median() for run in runs32]
    return {
        "shape": list(f64.shape),
        "elements": numbers(flat[spread(flat.numel())]),
        "norm": float(f"{flat.norm().item():.9g}"),
        "reach": float(f"{lr * STEPS:.3g}"),
        "torch_f32_median_spread": largest(torch.stack(medians)),
    }


def output(f64, f32):
    """Scores whole; of images the first two whole, of every one the mean and the mean magnitude."""
    if f64.shape[1] == 1:
        return whole(f64, f32)
    record = whole(f64[:2], f32[:2]) | {"torch_f32_error": largest(f64 - f32.double())}
    return record | {"mean": numbers(f64.mean(1)), "mean_magnitude": numbers(f64.abs().mean(1))}


def write(name, record):
    """JSON with one list of numbers a line."""

    def text(value, indent):
        if isinstance(value, dict):
            lines = [f"{indent}  {json.dumps(key)}: {text(item, indent + '  ')}" for key, item in value.items()]
            return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
        return json.dumps(value, allow_nan=False)

    path = HERE / f"{name}.json"
    path.write_text(text(record, "") + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


# ---- the four files ----------------------------------------------------------------------------------------------


def forward_and_backward(name, dtype):
    """Output, input gradient and parameter gradients of sum(output * cotangent); the buffers and the evaluation
    output after a second forward in training mode."""
    model = network(name, dtype)
    width = PIXELS if name.endswith("discriminator") else LATENT
    inputs = symmetric(f"{name}.inputs", BATCH, width).to(dtype).requires_grad_()
    outputs = model(inputs)
    cotangent = symmetric(f"{name}.cotangent", *outputs.shape).to(dtype)
    (outputs * cotangent).sum().backward()
    tensors = {"inputs": inputs.grad} | {key: parameter.grad for key, parameter in model.named_parameters()}
    with torch.no_grad():
        model(symmetric(f"{name}.second_inputs", BATCH, width).to(dtype))
        buffers = {key: buffer for key, buffer in model.named_buffers() if buffer.is_floating_point()}
        evaluated = model.eval()(inputs)
    return outputs, tensors, buffers, evaluated


def write_networks():
    record = {}
    for name in networks():
        outputs, gradients, buffers, evaluated = forward_and_backward(name, torch.float64)
        outputs32, gradients32, buffers32, evaluated32 = forward_and_backward(name, torch.float32)
        record[name] = {
            "parameters": sum(parameter.numel() for parameter in networks()[name].parameters()),
            "output": output(outputs, outputs32),
            "gradients": {key: summary(gradients[key], gradients32[key]) for key in gradients},
        }
        if buffers:
            record[name]["buffers_after_two"] = {key: summary(buffers[key], buffers32[key]) for key in buffers}
            record[name]["evaluated"] = output(evaluated, evaluated32)
    write("networks", record)


def write_losses():
    course_real = [.93487311, -1.01698916, -.57304769, -.88162704, -1.40129389, -1.45395693, -1.54239755, -.57273325,
                   .98584429, .13312152]  # fmt: skip
    course_fake = [-1.80865868, .09030055, -.4428902, -.07879368, -.37655044, .32084742, -.28590837, 1.01376281,
                   .99241439, .39394346]  # fmt: skip
    scores = {
        "course": (course_real, course_fake),
        "rule": tuple((4 * symmetric(f"scores.{of}", 16)).tolist() for of in ("real", "fake")),
        "extreme": ([-1e4, -100.0, -20.0, 0.0, 20.0, 100.0, 1e4], [1e4, 100.0, 20.0, 0.0, -20.0, -100.0, -1e4]),
    }
    record = {}
    for case, (real_scores, fake_scores) in scores.items():
        # The scores are f32 on both sides; only the arithmetic differs.
        real = torch.tensor(real_scores, dtype=torch.float32).reshape(-1, 1)
        fake = torch.tensor(fake_scores, dtype=torch.float32).reshape(-1, 1)
        record[case] = {"real_scores": numbers(real), "fake_scores": numbers(fake)}
        for loss, (discriminator_loss, generator_loss) in LOSSES.items():
            found = {}
            for dtype in (torch.float64, torch.float32):
                r, f = (scores.to(dtype, copy=True).requires_grad_() for scores in (real, fake))
                d = discriminator_loss(r, f)
                d_gradients = torch.autograd.grad(d, (r, f))
                g = generator_loss(f, r.detach())
                found[dtype] = (d, *d_gradients, g, *torch.autograd.grad(g, f))
            parts = ("d_loss", "d_gradient_real", "d_gradient_fake", "g_loss", "g_gradient_fake")
            record[case][loss] = {
                part: whole(f64, f32) for part, f64, f32 in zip(parts, found[torch.float64], found[torch.float32])
            }
    course = record["course"]
    for loss, part, value in (("bce", "d_loss", 1.84239839), ("bce", "g_loss", 0.7712862),
                              ("ls", "d_loss", 1.87702936), ("ls", "g_loss", 0.81695479)):  # fmt: skip
        found = course[loss][part]["want"][0]
        assert abs(found / value - 1) < 1e-6, (loss, part, found, value)
    write("losses", record)


def write_adam():
    """Five steps on one parameter; gradients over six powers of 16, so that eps and a small decay both show."""
    record = {}
    scale = torch.tensor([16.0 ** -(i % 6) for i in range(12)])
    for case, settings in {
        "gan": dict(lr=1e-3, betas=(0.5, 0.999), eps=1e-8, weight_decay=0.0),
        "simclr": dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-6),
    }.items():
        found = {}
        for dtype in (torch.float64, torch.float32):
            parameter = nn.Parameter(symmetric("adam.parameter", 12).to(dtype))
            optimizer = torch.optim.Adam([parameter], **settings)
            found[dtype] = []
            for step in range(5):
                parameter.grad = (symmetric(f"adam.gradient.{step}", 12) * scale).to(dtype)
                optimizer.step()
                found[dtype].append(parameter.detach().clone())
        record[case] = {"settings": settings | {"betas": list(settings["betas"])}}
        record[case] |= {
            f"after_{step + 1}": whole(f64, f32)
            for step, (f64, f32) in enumerate(zip(found[torch.float64], found[torch.float32]))
        }
    write("adam", record)


# Ten steps of a GAN are chaotic. With PyTorch's default weights and clean images the DCGAN's f32 ends 61 % from its f64
# in D's loss: 1e-3 is a large step beside weights of 1e-2, and wherever rounding turns one ReLU (of 200,000 a batch in
# the second layer) or one maximum of a pool, a row of weights goes another way, which the game then enlarges about
# fourfold a step. Larger hidden weights, in the DCGAN a smaller discriminator, and noisy images hold most of it; the
# learning rate of the DCGAN paper (1511.06434, section 4) holds the rest. At 1e-3 (`_fast`) what can be asked for is
# what perturbed runs in f32 keep to.
MLP_GAINS = {"discriminator": {"1": 2, "3": 2}, "generator": {"0": 2, "2": 2}}
DCGAN_GAINS = {
    "discriminator": {"1": 0.25, "4": 0.25, "8": 0.25, "10": 0.25},
    "generator": {"0": 16, "3": 16, "7": 16},
}
TRAJECTORIES = {
    # name: (networks, loss, learning rate, gains)
    "vanilla": ("mlp", "bce", 2e-4, MLP_GAINS),
    "vanilla_fast": ("mlp", "bce", 1e-3, MLP_GAINS),
    "lsgan": ("mlp", "ls", 1e-3, MLP_GAINS),
    "vanilla_flags": ("mlp", "bce", 2e-4, MLP_GAINS),
    "vanilla_clipped": ("mlp", "bce", 2e-4, MLP_GAINS),
    "vanilla_hinge": ("mlp", "hinge", 2e-4, MLP_GAINS),
    "vanilla_wgan_gp": ("mlp", "wgan-gp", 2e-4, MLP_GAINS),
    "vanilla_relativistic": ("mlp", "relativistic", 2e-4, MLP_GAINS),
    "dcgan": ("dcgan", "bce", 2e-4, DCGAN_GAINS),
    "dcgan_fast": ("dcgan", "bce", 1e-3, DCGAN_GAINS),
    "dcgan_clipped": ("dcgan", "bce", 2e-4, DCGAN_GAINS),
    "dcgan_hinge": ("dcgan", "hinge", 2e-4, DCGAN_GAINS),
    "dcgan_wgan_gp": ("dcgan", "wgan-gp", 2e-4, DCGAN_GAINS),
    "dcgan_relativistic": ("dcgan", "relativistic", 2e-4, DCGAN_GAINS),
}
# What the recipe's flags add to a step: all of them at once; and norms that some of the gradients exceed. The penalties of
# the losses that have some, and how often the generator is updated.
FLAGS = {
    "vanilla_wgan_gp": {"lambda": 10.0, "discriminator_steps": 3},
    "dcgan_wgan_gp": {"lambda": 10.0, "discriminator_steps": 3},
    "vanilla_relativistic": {"r1": 2.0, "r2": 1.0, "r1_every": 1},
    "dcgan_relativistic": {"r1": 2.0, "r2": 1.0, "r1_every": 1},
    "vanilla_flags": {"schedule": "linear", "label_smoothing": 0.1, "r1": 2.0, "r1_every": 2, "diffaugment": True},
    "vanilla_clipped": {"clip_norm": 1.0},
    "dcgan_clipped": {"clip_norm": 0.1},
}
PERTURBED_RUNS = 6
PERTURBATION = 3e-7


def perturb(model, seed):
    """Moves every parameter by a few units in the last place of f32: more than any order of summation does."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data *= 1 + PERTURBATION * torch.randn(parameter.shape, generator=generator)


def augmented(images, name):
    """Images (N, 784), each moved, its background coming in, and a square of 14 x 14 cut out of it."""
    draws = symmetric(f"draws.{name}", len(images), 4)
    moved = []
    for image, draw in zip(images.unflatten(1, (1, 28, 28)), draws.tolist()):
        down, right = (math.floor(5 * value) for value in draw[:2])  # -5 to 4
        top, left = (math.floor(14 * value) + 7 for value in draw[2:])  # -7 to 20
        image = F.pad(image, (5, 5, 5, 5), value=-1.0)[:, 5 - down : 33 - down, 5 - right : 33 - right]
        seen = torch.ones_like(image)
        seen[:, max(top, 0) : max(top + 14, 0), max(left, 0) : max(left + 14, 0)] = 0
        moved.append(torch.where(seen > 0, image, -torch.ones_like(image)))
    return torch.stack(moved).flatten(1)


def slopes(discriminator, images):
    """|grad D| of each image."""
    pixels = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(pixels).sum(), pixels, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


def mean_squared_slope(discriminator, images):
    """E |grad D|^2 (R1 at real images, R2 at fakes: 1801.04406, equation 9)."""
    return slopes(discriminator, images).square().mean()


def train(kind, loss, lr, gains, dtype, perturbation=None, flags={}):
    """Ten steps of the program's training: both losses of every step, and both networks after the last."""
    smoothing, r1, r2, r1_every = (flags.get(flag, 0) for flag in ("label_smoothing", "r1", "r2", "r1_every"))
    seen = augmented if flags.get("diffaugment") else lambda images, name: images
    clip = lambda trained: clip_grad_norm_(trained.parameters(), flags.get("clip_norm", math.inf))
    discriminator_loss, generator_loss = LOSSES[loss]
    discriminator = network(f"{kind}_discriminator", dtype, gains.get("discriminator"))
    generator = network(f"{kind}_generator", dtype, gains.get("generator"))
    if perturbation is not None:
        perturb(discriminator, perturbation)
        perturb(generator, perturbation)
    d_optimizer, g_optimizer = (
        torch.optim.Adam(trained.parameters(), lr=lr, betas=(0.5, 0.999), eps=1e-8)
        for trained in (discriminator, generator)
    )
    d_losses, g_losses = [], []
    for step in range(STEPS):
        real = real_images(step * TRAINING_BATCH, TRAINING_BATCH).to(dtype)
        fake = generator(symmetric(f"latents.{step}.discriminator", TRAINING_BATCH, LATENT).to(dtype)).detach()
        real, fake = seen(real, f"{step}.real"), seen(fake, f"{step}.discriminator")
        d_loss = discriminator_loss(discriminator(real), discriminator(fake))
        if smoothing:
            smoothed = torch.full_like(discriminator(real), 1 - smoothing)
            d_loss = F.binary_cross_entropy_with_logits(discriminator(real), smoothed) + F.binary_cross_entropy_with_logits(discriminator(fake), torch.zeros_like(smoothed))
        d_optimizer.zero_grad()
        penalty = r1 * r1_every / 2 * mean_squared_slope(discriminator, real) if r1 and step % r1_every == 0 else 0
        if r2 and step % r1_every == 0:
            penalty = penalty + r2 * r1_every / 2 * mean_squared_slope(discriminator, fake)
        if "lambda" in flags:
            mixing = (symmetric(f"mixing.{step}", TRAINING_BATCH, 1).to(dtype) + 1) / 2
            penalty = flags["lambda"] * (slopes(discriminator, fake + mixing * (real - fake)) - 1).square().mean()
        of_fakes = generator_loss(discriminator(fake), discriminator(real))
        if flags.get("schedule") == "linear":
            for group in (*d_optimizer.param_groups, *g_optimizer.param_groups):
                group["lr"] = lr * (1 - step / STEPS)
        (d_loss + penalty).backward()
        clip(discriminator)
        d_optimizer.step()

        d_losses.append(d_loss.item())
        if (step + 1) % flags.get("discriminator_steps", 1):
            g_losses.append(of_fakes.item())
            continue
        fake = generator(symmetric(f"latents.{step}.generator", TRAINING_BATCH, LATENT).to(dtype))
        g_loss = generator_loss(discriminator(seen(fake, f"{step}.generator")), discriminator(real))
        g_optimizer.zero_grad()
        g_loss.backward()
        clip(generator)
        g_optimizer.step()
        g_losses.append(g_loss.item())
    losses = {"d_loss": torch.tensor(d_losses, dtype=torch.float64), "g_loss": torch.tensor(g_losses, dtype=torch.float64)}
    return losses, {"discriminator": discriminator.state_dict(), "generator": generator.state_dict()}


def write_trajectories():
    record = {}
    for name, (kind, loss, lr, gains) in TRAJECTORIES.items():
        flags = FLAGS.get(name, {})
        losses64, states64 = train(kind, loss, lr, gains, torch.float64, None, flags)
        losses32, states32 = train(kind, loss, lr, gains, torch.float32, None, flags)
        perturbed = [train(kind, loss, lr, gains, torch.float32, seed, flags) for seed in range(PERTURBED_RUNS)]
        record[name] = {"batch": TRAINING_BATCH, "lr": lr}
        for part, want in losses64.items():
            spread = torch.stack([losses[part] / want - 1 for losses, _ in [(losses32, states32), *perturbed]]).abs().max(0).values
            record[name][part] = {
                "want": numbers(want),
                "torch_f32": numbers(losses32[part]),
                "torch_f32_spread": [float(f"{value:.2g}") for value in spread.tolist()],
            }
            print(name, part, "relative spread of f32:", record[name][part]["torch_f32_spread"])
        for part, state64 in states64.items():
            runs32 = [states32[part], *(states[part] for _, states in perturbed)]
            record[name][part] = {
                key: trained(state64[key], [run[key] for run in runs32], lr)
                for key in state64
                if state64[key].is_floating_point()
            }
    write("trajectories", record)


if __name__ == "__main__":
    write_losses()
    write_adam()
    write_networks()
    write_trajectories()
