#!/usr/bin/env python3
"""Times PyTorch on an accelerator: a JSON line for each measurement, all in one process, so that CUDA is started once.
`against_pytorch.py` in this directory runs it.

The networks, losses and optimizers are those of `gan`, as in `../torch_steps.py`. This is PyTorch as somebody uses it who
wants the last from it: data on the device, channels last, the fused Adam, no gradients where none are needed, cuDNN's
search for the best kernels, no waiting for the device within a step. "eager" is that; "compiled" has the networks and
their loss under torch.compile too. Precisions: f32 without TF32, tf32, and bf16 by autocast.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import torch_steps as networks  # noqa: E402

BATCH, LATENT_DIM, TEMPERATURE = networks.BATCH, networks.LATENT_DIM, networks.TEMPERATURE
BATCHES = 16  # of real images, taken in turn
LARGE = 8192  # side of the matrices whose product is the card's rate
PRECISIONS = ("f32", "tf32", "bf16")
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--device", default="cuda")
    add("--workloads", nargs="+", default=list(WORKLOADS))
    add("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    add("--eager", nargs="*", default=None, help="workloads to measure as they are [default: all]")
    add("--compiled", nargs="*", default=[], help="workloads to measure under torch.compile")
    add("--compile-mode", default="default", help="torch.compile's, such as reduce-overhead or max-autotune")
    add("--seconds", type=float, default=2)
    add("--tiny", action="store_true", help="a sixteenth of each batch: to try the script on a CPU")
    return parser.parse_args()


class Bench:
    """A device, a precision, and whether things are compiled."""

    def __init__(self, options, precision, compiled):
        self.device, self.precision, self.compiled = torch.device(options.device), precision, compiled
        self.mode, self.tiny = options.compile_mode, options.tiny
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.benchmark = True

    def count(self, count):
        return max(count // 16, 2) if self.tiny else count

    def autocast(self):
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    def compile(self, function):
        return torch.compile(function, mode=self.mode) if self.compiled else function

    def placed(self, network_or_images):
        return network_or_images.to(self.device, memory_format=torch.channels_last)

    def uniform(self, *shape):
        return torch.rand(*shape, device=self.device) * 2 - 1

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def adam(self, network, **settings):
        return torch.optim.Adam(network.parameters(), lr=1e-3, fused=True, **settings)


# ---- the workloads: each makes a step to be timed ------------------------------------------------------------------


def bce_with_logits(scores, target):
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))


def gan(bench, discriminator, generator):
    batch = bench.count(BATCH)
    D, G = bench.placed(discriminator()), bench.placed(generator())
    d_adam, g_adam = (bench.adam(network, betas=(0.5, 0.999)) for network in (D, G))
    real_batches = [bench.placed(torch.rand(batch, 1, 28, 28) * 2 - 1) for _ in range(BATCHES)]
    turn = 0

    def fakes(latents):
        return G(latents).view(batch, 1, 28, 28)

    @bench.compile
    def d_loss(real, detached):
        with bench.autocast():
            return bce_with_logits(D(real), 1.0) + bce_with_logits(D(detached), 0.0)

    @bench.compile
    def g_loss(latents):
        with bench.autocast():
            return bce_with_logits(D(fakes(latents)), 1.0)

    @bench.compile
    def draw(latents):
        with torch.no_grad(), bench.autocast():
            return fakes(latents)

    def step():
        nonlocal turn
        real = real_batches[turn % BATCHES]
        turn += 1
        D.requires_grad_(True)
        detached = draw(bench.uniform(batch, LATENT_DIM)).detach()
        d_adam.zero_grad(set_to_none=True)
        d_loss(real, detached).backward()
        d_adam.step()
        D.requires_grad_(False)
        g_adam.zero_grad(set_to_none=True)
        g_loss(bench.uniform(batch, LATENT_DIM)).backward()
        g_adam.step()

    return step


def simclr(bench, encoder, pairs):
    pairs = bench.count(pairs)
    network = bench.placed(networks.Contrastive(encoder).train())
    optimizer = bench.adam(network, betas=(0.9, 0.999), weight_decay=1e-6)
    views = bench.placed(torch.rand(2 * pairs, 3, 32, 32) * 2 - 1)
    itself = torch.eye(2 * pairs, dtype=torch.bool, device=bench.device)
    other_view = torch.cat([torch.arange(pairs, 2 * pairs), torch.arange(pairs)]).to(bench.device)

    @bench.compile
    def loss(views):
        with bench.autocast():
            directions = network(views)
            similarities = directions @ directions.t() / TEMPERATURE
            return F.cross_entropy(similarities.float().masked_fill(itself, float("-inf")), other_view)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(views).backward()
        optimizer.step()

    return step


def sample(bench, count):
    """Images in the host's memory, as `gan sample` has them."""
    count = bench.count(count)
    G = bench.placed(networks.dcgan_generator().eval())

    @bench.compile
    def draw(latents):
        with bench.autocast():
            return G(latents)

    def step():
        with torch.inference_mode():
            return draw(bench.uniform(count, LATENT_DIM)).float().cpu()

    return step


def product(bench):
    side = bench.count(LARGE) if bench.device.type == "cuda" else 512
    dtype = torch.bfloat16 if bench.precision == "bf16" else torch.float32
    left, right = (torch.rand(side, side, device=bench.device, dtype=dtype) for _ in range(2))
    return lambda: left @ right, 2 * side**3 / 1e9


WORKLOADS = {
    "vanilla": lambda bench: gan(bench, networks.mlp_discriminator, networks.mlp_generator),
    "dcgan": lambda bench: gan(bench, networks.dcgan_discriminator, networks.dcgan_generator),
    "resnet18-64": lambda bench: simclr(bench, "resnet18", 64),
    "resnet18-512": lambda bench: simclr(bench, "resnet18", 512),
    "resnet50-64": lambda bench: simclr(bench, "resnet50", 64),
    "resnet50-512": lambda bench: simclr(bench, "resnet50", 512),
    "sample-64": lambda bench: sample(bench, 64),
    "sample-1024": lambda bench: sample(bench, 1024),
    "sample-16384": lambda bench: sample(bench, 16384),
}


# ---- views ---------------------------------------------------------------------------------------------------------


class Pictures(torch.utils.data.Dataset):
    """Random pictures, over and over, two views of each."""

    def __init__(self, augmentation):
        self.augmentation = augmentation
        self.pixels = torch.randint(256, (4096, 3, 32, 32), dtype=torch.uint8)

    def __len__(self):
        return 10**7

    def __getitem__(self, index):
        image = self.pixels[index % len(self.pixels)]
        return torch.stack([self.augmentation(image), self.augmentation(image)])


def augmentation():
    """SimCLR's in torchvision's v2, of a tensor of u8 on any device."""
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.RandomResizedCrop(32, antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def augment_on_device(options):
    """Views a second, image by image: a batch would have one view's parameters for all."""
    device, transform = torch.device(options.device), augmentation()
    images = list(torch.randint(256, (64, 3, 32, 32), dtype=torch.uint8, device=device))

    def step():
        return torch.stack([transform(image) for image in images])

    return len(images) / (milliseconds(step, options.seconds, wait_for(device)) / 1e3)


def augment_on_host(options):
    """Views a second by all cores, put on the device a batch at a time."""
    torch.set_num_threads(1)
    workers = os.cpu_count() or 1
    loader = torch.utils.data.DataLoader(
        Pictures(augmentation()),
        batch_size=64,
        num_workers=workers,
        prefetch_factor=4,
        pin_memory=options.device.startswith("cuda"),
    )
    views, began = 0, None
    for batch in loader:
        batch.to(options.device, non_blocking=True)
        if began is None:
            began = time.perf_counter()
            continue
        views += 2 * len(batch)
        if time.perf_counter() - began >= options.seconds:
            break
    rate = views / (time.perf_counter() - began)
    del loader
    return rate


# ---- timing --------------------------------------------------------------------------------------------------------


def wait_for(device):
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


def milliseconds(step, seconds, wait, warm_up=0.5):
    """Of a step: many, between two waits for the device, after at least three of warm-up."""
    times = []
    for goal, least in ((warm_up, 3), (seconds, 3)):
        done, began, block = 0, time.perf_counter(), 1
        while done < least or time.perf_counter() - began < goal:
            start = time.perf_counter()
            for _ in range(block):
                step()
            wait()
            done += block
            # So long between waits that waiting costs nothing.
            block = max(1, min(1000, round(block * min(goal, 0.3) / max(time.perf_counter() - start, 1e-6))))
        times.append((time.perf_counter() - began) / done * 1e3)
    return times[-1]


def gflop(workload, options):
    """Of a step, as PyTorch counts it: products of matrices and convolutions."""
    from torch.utils.flop_counter import FlopCounterMode

    step = WORKLOADS[workload](Bench(options, "f32", compiled=False))
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 1e9


def report(**found):
    print(json.dumps(found), flush=True)


def measure(workload, precision, compiled, options):
    torch.manual_seed(0)
    torch.compiler.reset()
    on_cuda = options.device.startswith("cuda")
    if on_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    bench = Bench(options, precision, compiled)
    step = WORKLOADS[workload](bench)
    ms = milliseconds(step, options.seconds, bench.wait)
    memory = torch.cuda.max_memory_reserved() / 2**20 if on_cuda else 0
    report(
        workload=workload, precision=precision, way="compiled" if compiled else "eager", ms=ms, mib=memory,
        seconds=time.perf_counter() - began,
    )  # fmt: skip


def main():
    options = parse()
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    import torchvision

    report(device=name, torch=torch.__version__, torchvision=torchvision.__version__)
    for precision in options.precisions:
        bench = Bench(options, precision, compiled=False)
        step, size = product(bench)
        report(peak=precision, gflops=size / milliseconds(step, min(options.seconds, 0.5), bench.wait, 0.2) * 1e3)
    eager = WORKLOADS if options.eager is None else options.eager
    for workload in (workload for workload in WORKLOADS if workload in options.workloads):
        report(workload=workload, gflop=gflop(workload, options))
        for precision in options.precisions:
            for compiled in (False, True):
                if workload in (options.compiled if compiled else eager):
                    measure(workload, precision, compiled, options)
    if "augment" in options.workloads:
        report(views="torchvision, on the device", rate=augment_on_device(options))
        report(views=f"torchvision, {os.cpu_count()} processes", rate=augment_on_host(options))


if __name__ == "__main__":
    main()
