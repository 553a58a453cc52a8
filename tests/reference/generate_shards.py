#!/usr/bin/env python3
"""Writes `shards.json`: ten steps of a DCGAN by PyTorch's DistributedDataParallel in two processes (gloo), each with half
of every batch and batch norm of its own: what two shards are here. And the gradients of the first step of one process with
the whole batch: what shards with synchronised batch norm must have. (`SyncBatchNorm` itself needs GPUs.) Weights, images and
latents follow `generate.py`'s rule.

    venv/bin/python tests/reference/generate_shards.py
"""

import multiprocessing
import tempfile

import torch
import torch.distributed as dist
from generate import LATENT, LOSSES, PERTURBED_RUNS, STEPS, TRAINING_BATCH, TRAJECTORIES
from generate import network, numbers, perturb, real_images, symmetric, write
from glimpses import each, glimpse
from torch.nn.parallel import DistributedDataParallel

WORLD = 2


def train(rank, meeting, dtype, perturbation, results):
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=WORLD)
    torch.set_num_threads(1)
    kind, loss, lr, gains = TRAJECTORIES["dcgan"]
    discriminator_loss, generator_loss = LOSSES[loss]
    networks = [network(f"{kind}_{part}", dtype, gains.get(part)) for part in ("discriminator", "generator")]
    if perturbation is not None:
        for trained in networks:
            perturb(trained, perturbation)
    # Each process keeps its own running statistics; training does not read them.
    discriminator, generator = (DistributedDataParallel(trained, broadcast_buffers=False) for trained in networks)
    d_optimizer, g_optimizer = (
        torch.optim.Adam(trained.parameters(), lr=lr, betas=(0.5, 0.999), eps=1e-8) for trained in networks
    )
    own = slice(rank * TRAINING_BATCH // WORLD, (rank + 1) * TRAINING_BATCH // WORLD)
    losses = torch.zeros(2, STEPS, dtype=torch.float64)
    for step in range(STEPS):
        real = real_images(step * TRAINING_BATCH, TRAINING_BATCH).to(dtype)[own]
        latents = [
            symmetric(f"latents.{step}.{of}", TRAINING_BATCH, LATENT).to(dtype)[own]
            for of in ("discriminator", "generator")
        ]
        fake = generator(latents[0]).detach()
        scores = discriminator(torch.cat([real, fake]))  # there is no batch norm in it
        d_loss = discriminator_loss(scores[: len(real)], scores[len(real) :])
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        g_loss = generator_loss(discriminator(generator(latents[1])))
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        losses[:, step] = torch.stack([d_loss.detach(), g_loss.detach()]).to(torch.float64)
    dist.all_reduce(losses)
    if rank == 0:
        results.put((losses / WORLD).tolist())
    dist.destroy_process_group()


def run(dtype, perturbation=None):
    results = multiprocessing.Queue()
    with tempfile.TemporaryDirectory() as place:
        arguments = (f"{place}/meeting", dtype, perturbation, results)
        processes = [multiprocessing.Process(target=train, args=(rank, *arguments)) for rank in range(WORLD)]
        for process in processes:
            process.start()
        losses = torch.tensor(results.get(timeout=600), dtype=torch.float64)
        for process in processes:
            process.join()
    return losses


def gradients_of_the_whole(dtype):
    """Of the first step, both networks as they begin."""
    kind, loss, _, gains = TRAJECTORIES["dcgan"]
    discriminator, generator = (network(f"{kind}_{part}", dtype, gains.get(part)) for part in ("discriminator", "generator"))
    real = real_images(0, TRAINING_BATCH).to(dtype)
    latents = [symmetric(f"latents.0.{of}", TRAINING_BATCH, LATENT).to(dtype) for of in ("discriminator", "generator")]
    fake = generator(latents[0]).detach()
    LOSSES[loss][0](discriminator(real), discriminator(fake)).backward()
    found = {"discriminator": {key: tensor.grad.clone() for key, tensor in discriminator.named_parameters()}}
    LOSSES[loss][1](discriminator(generator(latents[1]))).backward()
    found["generator"] = {key: tensor.grad.clone() for key, tensor in generator.named_parameters()}
    return found


if __name__ == "__main__":
    want = run(torch.float64)
    runs32 = [run(torch.float32), *(run(torch.float32, seed) for seed in range(PERTURBED_RUNS))]
    spread = torch.stack([losses / want - 1 for losses in runs32]).abs().max(0).values
    record = {"batch": TRAINING_BATCH, "lr": TRAJECTORIES["dcgan"][2], "shards": WORLD}
    for row, part in enumerate(("d_loss", "g_loss")):
        record[part] = {
            "want": numbers(want[row]),
            "torch_f32_spread": [float(f"{value:.2g}") for value in spread[row].tolist()],
        }
    # Of one run: weights that are moved a little have other zeros of LeakyReLU.
    whole32 = gradients_of_the_whole(torch.float32)
    record["gradients_of_the_whole"] = {
        part: each(want, [whole32[part]], glimpse)
        for part, want in gradients_of_the_whole(torch.float64).items()
    }
    write("shards", record)
