"""What is recorded of large tensors: a few elements and the norm, and how far several runs in f32 are from them."""

import torch

from generate import largest, spread


def numbers(values):
    return [float(f"{value:.8g}") for value in torch.as_tensor(values).detach().double().reshape(-1).tolist()]


def farthest(f64, runs32):
    return largest(torch.stack([(f64 - run.double()).abs().max() for run in runs32]))


def whole(f64, runs32):
    return {"want": numbers(f64), "torch_f32_error": farthest(f64, runs32)}


def middles(count, parts):
    return [(2 * part + 1) * count // (2 * parts) for part in range(parts)]


def glimpse(f64, runs32, parts=6):
    """Elements from all over and the L2 norm; the error is the largest of any element, recorded or not."""
    flat = f64.detach().reshape(-1)
    return {
        "shape": list(f64.shape),
        "elements": numbers(flat[middles(flat.numel(), parts)]),
        "norm": numbers(flat.norm())[0],
        "torch_f32_error": farthest(f64, runs32),
    }


def trained(f64, runs32, initial):
    """As `glimpse`, for weights after training: the median error of the elements, since where a gradient is nearly 0
    Adam makes a whole step of its rounding. `reach` is how far the weights went."""
    flat, where = f64.reshape(-1), spread(f64.numel())
    medians = [(flat[where] - run.double().reshape(-1)[where]).abs().median() for run in runs32]
    return {
        "shape": list(f64.shape),
        "elements": numbers(flat[where]),
        "norm": numbers(flat.norm())[0],
        "reach": float(f"{(f64 - initial.double()).square().mean().sqrt().item():.3g}"),
        "torch_f32_median_spread": largest(torch.stack(medians)),
        "torch_f32_norm_spread": largest(torch.stack([run.double().norm() / flat.norm() - 1 for run in runs32])),
    }


def each(want, runs32, record):
    return {key: record(want[key], [run[key] for run in runs32]) for key in want}
