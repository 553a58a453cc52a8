#!/usr/bin/env python3
"""Times one workload in PyTorch on the CPU and prints a JSON line; `against_pytorch.py` runs it, each time in a process
of its own, so that memory and allocator state are the workload's own.

    torch_steps.py WORKLOAD [--seconds S] [--threads N] [--tuned] [--fused] [--channels-last] [--count]

The networks, losses and optimizers are those of `gan`: a step of a GAN is one of both networks on a batch of 128, a
step of SimCLR one on two views of 64 images, of 128 by the transformer. Data lies ready in memory, so that what is timed is the step alone. The
options are what somebody would do who wants the last from PyTorch.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

BATCH, LATENT_DIM, PIXELS = 128, 96, 784
PAIRS, TEMPERATURE = 64, 0.5
BATCHES = 16  # of real images, taken in turn
LARGE = 2048  # side of the matrices whose product is the machine's rate
LEAKY = 0.01


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--seconds", type=float, default=10, help="time at least so long, and three steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tuned", action="store_true", help="no gradients for the network that does not learn")
    parser.add_argument("--fused", action="store_true", help="the fused kernel of Adam")
    parser.add_argument("--channels-last", action="store_true", help="PyTorch's faster layout for convolutions")
    parser.add_argument("--count", action="store_true", help="count floating-point operations instead")
    return parser.parse_args()


# ---- the networks ------------------------------------------------------------------------------------------------


def mlp_discriminator():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(PIXELS, 256), nn.LeakyReLU(LEAKY),
        nn.Linear(256, 256), nn.LeakyReLU(LEAKY), nn.Linear(256, 1),
    )  # fmt: skip


def mlp_generator():
    return nn.Sequential(
        nn.Linear(LATENT_DIM, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, PIXELS), nn.Tanh()
    )


def dcgan_discriminator():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.LeakyReLU(LEAKY), nn.MaxPool2d(2, 2),
        nn.Conv2d(32, 64, 5), nn.LeakyReLU(LEAKY), nn.MaxPool2d(2, 2),
        nn.Flatten(), nn.Linear(1024, 1024), nn.LeakyReLU(LEAKY), nn.Linear(1024, 1),
    )  # fmt: skip


def dcgan_generator():
    return nn.Sequential(
        nn.Linear(LATENT_DIM, 1024), nn.ReLU(), nn.BatchNorm1d(1024),
        nn.Linear(1024, 6272), nn.ReLU(), nn.BatchNorm1d(6272), nn.Unflatten(1, (128, 7, 7)),
        nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.ReLU(), nn.BatchNorm2d(64),
        nn.ConvTranspose2d(64, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


# Of PyTorch's own DCGAN example, for 64x64 in colour from 100 normal latents.


def radford_discriminator():
    layers, inputs = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)], 64
    for outputs in (128, 256, 512):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
        inputs = outputs
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Flatten())


def radford_generator():
    layers, inputs = [nn.Unflatten(1, (100, 1, 1))], 100
    for outputs in (512, 256, 128, 64):
        stride, padding = (1, 0) if inputs == 100 else (2, 1)
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False), nn.BatchNorm2d(outputs)]
        layers += [nn.ReLU(inplace=True)]
        inputs = outputs
    return nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())


class Resnet9(nn.Module):
    """One `BasicBlock` of torchvision a stage, half as wide as a ResNet-18."""

    def __init__(self):
        from torchvision.models.resnet import BasicBlock

        super().__init__()
        layers = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True)]
        inputs = 32
        for outputs in (32, 64, 128, 256):
            stride, downsample = 1, None
            if outputs != inputs:
                stride = 2
                shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))
            layers.append(BasicBlock(inputs, outputs, stride, downsample))
            inputs = outputs
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images):
        return self.layers(images)


class VitBlock(nn.Module):
    """timm's, of a ViT-Tiny."""

    def __init__(self):
        super().__init__()
        self.norm1, self.qkv, self.proj = nn.LayerNorm(192, eps=1e-6), nn.Linear(192, 576), nn.Linear(192, 192)
        self.norm2, self.fc1, self.fc2 = nn.LayerNorm(192, eps=1e-6), nn.Linear(192, 768), nn.Linear(768, 192)

    def forward(self, x):
        count, tokens, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(count, tokens, 3, 3, 64).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count, tokens, width))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class VitTiny(nn.Module):
    """timm's `vit_tiny_patch16_224` at 32 pixels with patches of 4."""

    def __init__(self):
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 192, 4, 4), nn.LayerNorm(192, eps=1e-6)
        self.token, self.positions = nn.Parameter(torch.zeros(1, 1, 192)), nn.Parameter(0.02 * torch.randn(1, 65, 192))
        self.blocks = nn.Sequential(*[VitBlock() for _ in range(12)])

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.norm(self.blocks(x))[:, 0]


class Contrastive(nn.Module):
    """SimCLR's f and g, and the directions of what g makes."""

    def __init__(self, encoder, side):
        super().__init__()
        if encoder == "resnet9":
            self.f, features = Resnet9(), 256
        elif encoder == "vit-tiny":
            self.f, features = VitTiny(), 192
        else:
            import torchvision

            self.f = getattr(torchvision.models, encoder)(weights=None)
            features = self.f.fc.in_features
            if side < 96:
                # The stem for small images (Chen et al., 2002.05709, appendix B.9).
                self.f.conv1, self.f.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
            self.f.fc = nn.Identity()
        self.g = nn.Sequential(
            nn.Linear(features, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(inplace=True), nn.Linear(512, 128)
        )

    def forward(self, views):
        return F.normalize(self.g(self.f(views)), dim=-1)


# ---- the workloads: each makes a step to be timed, and how many items it is of ---------------------------------------


def bce_with_logits(scores, target):
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))


def half_mean_square(scores, target):
    return 0.5 * (scores - target).square().mean()


def uniform():
    return torch.rand(BATCH, LATENT_DIM) * 2 - 1


def gan(options, discriminator, generator, loss, shape=(1, 28, 28), latents=uniform):
    D, G = laid_out(options, discriminator()), laid_out(options, generator())
    d_adam, g_adam = (adam(options, network, betas=(0.5, 0.999)) for network in (D, G))
    real_batches = [laid_out(options, torch.rand(BATCH, *shape) * 2 - 1) for _ in range(BATCHES)]
    turn = 0

    def fakes():
        return G(latents()).view(BATCH, *shape)

    def step():
        nonlocal turn
        real = real_batches[turn % BATCHES]
        turn += 1
        with torch.set_grad_enabled(not options.tuned):
            detached = fakes().detach()
        d_adam.zero_grad(set_to_none=True)
        d_loss = loss(D(real), 1.0) + loss(D(detached), 0.0)
        d_loss.backward()
        d_adam.step()

        D.requires_grad_(not options.tuned)
        g_adam.zero_grad(set_to_none=True)
        g_loss = loss(D(fakes()), 1.0)
        g_loss.backward()
        g_adam.step()
        D.requires_grad_(True)
        return d_loss.item() + g_loss.item()

    return step, BATCH


def nt_xent(directions):
    similarities = directions @ directions.t() / TEMPERATURE
    pairs = len(directions) // 2
    itself = torch.eye(2 * pairs, dtype=torch.bool)
    other_view = torch.cat([torch.arange(pairs, 2 * pairs), torch.arange(pairs)])
    return F.cross_entropy(similarities.masked_fill(itself, float("-inf")), other_view)


def simclr(options, encoder, side=32, pairs=PAIRS):
    networks = laid_out(options, Contrastive(encoder, side).train())
    if encoder == "vit-tiny":
        optimizer = adam(options, networks, torch.optim.AdamW, weight_decay=0.05)
    else:
        optimizer = adam(options, networks, betas=(0.9, 0.999), weight_decay=1e-6)
    views = laid_out(options, torch.rand(2 * pairs, 3, side, side) * 2 - 1)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = nt_xent(networks(views))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, pairs


def sample(options, count):
    G = laid_out(options, dcgan_generator().eval())

    def step():
        with torch.inference_mode():
            return G(torch.rand(count, LATENT_DIM) * 2 - 1).numpy()

    return step, count


def augment(_):
    import numpy
    from PIL import Image
    from torchvision import transforms

    augmentation = transforms.Compose(
        [
            transforms.RandomResizedCrop(32),
            transforms.RandomHorizontalFlip(0.5),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.ToTensor(),
            transforms.Normalize([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
        ]
    )
    pixels = numpy.random.default_rng(0).integers(0, 256, (512, 32, 32, 3), dtype=numpy.uint8)
    images = [Image.fromarray(image) for image in pixels]

    def step():
        for image in images:
            augmentation(image)

    return step, len(images)


def product(_):
    left, right = torch.rand(LARGE, LARGE), torch.rand(LARGE, LARGE)
    return lambda: left @ right, 1


WORKLOADS = {
    "vanilla": lambda options: gan(options, mlp_discriminator, mlp_generator, bce_with_logits),
    "lsgan": lambda options: gan(options, mlp_discriminator, mlp_generator, half_mean_square),
    "dcgan": lambda options: gan(options, dcgan_discriminator, dcgan_generator, bce_with_logits),
    "dcgan64": lambda options: gan(
        options, radford_discriminator, radford_generator, bce_with_logits, (3, 64, 64), lambda: torch.randn(BATCH, 100)
    ),
    "simclr-resnet9": lambda options: simclr(options, "resnet9"),
    "simclr-resnet18": lambda options: simclr(options, "resnet18"),
    "simclr-resnet50": lambda options: simclr(options, "resnet50"),
    "simclr-resnet18-96": lambda options: simclr(options, "resnet18", 96),
    "simclr-resnet18-224": lambda options: simclr(options, "resnet18", 224, 16),
    "simclr-vit-tiny": lambda options: simclr(options, "vit-tiny", 32, 128),
    "sample64": lambda options: sample(options, 64),
    "sample1024": lambda options: sample(options, 1024),
    "augment": augment,
    "product": product,
}


def laid_out(options, networks_or_images):
    return networks_or_images.to(memory_format=torch.channels_last) if options.channels_last else networks_or_images


def adam(options, network, kind=torch.optim.Adam, **settings):
    fused = {"fused": True} if options.fused else {}
    return kind(network.parameters(), lr=1e-3, **settings, **fused)


# ---- timing ------------------------------------------------------------------------------------------------------


def timed(step, seconds):
    """Milliseconds of each step, after a second of warm-up, at least two steps."""
    times = []
    for goal, least in ((1, 2), (seconds, 3)):
        times, began = [], time.perf_counter()
        while len(times) < least or time.perf_counter() - began < goal:
            start = time.perf_counter()
            step()
            times.append((time.perf_counter() - start) * 1e3)
    return times


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    step, items = WORKLOADS[options.workload](options)
    if options.count:
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            step()
        print(json.dumps({"gflop": counter.get_total_flops() / 1e9}))
        return
    times = timed(step, options.seconds)
    found = {"step_ms": statistics.median(times), "least_ms": min(times), "steps": len(times), "items": items}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
