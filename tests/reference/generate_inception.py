#!/usr/bin/env python3
"""Writes `inception.json`: what pytorch-fid and torch-fidelity make of images, with weights that follow a rule.

    python3 -m venv venv && venv/bin/pip install numpy torch==2.15.0 torchvision==0.29.2 \\
        pytorch-fid==0.3.0 torch-fidelity==0.4.0 scipy==1.17.1
    venv/bin/python tests/reference/generate_inception.py

The rule is that of `generate.py`. The networks, their input and the figures are the programs' own, in f32; nothing of the
weights is stored.
"""

import json
import tempfile

import numpy as np
import torch
import torch_fidelity.metric_fid as fidelity_fid
import torchvision
from pytorch_fid import fid_score, inception
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from generate import HERE, bits, symmetric
from glimpses import middles, numbers

# Height, width and channels of the images whose features are recorded.
SHAPES = [(20, 12, 3), (32, 32, 3), (28, 28, 1), (310, 299, 3)]
# Images of each set, and their height and width.
COUNT, SIDES = 20, (20, 12)
PARTS = 48


def weight(name, shape):
    """He's bound, so that activations neither grow nor fade; statistics that are not those of a new layer."""
    u = symmetric(f"inception.{name}", *shape)
    layer, tensor = name.rsplit(".", 1)
    if layer.endswith(".bn"):
        return {
            "weight": 1 + 0.1 * u,
            "bias": 0.1 * u,
            "running_mean": 0.1 * u,
            "running_var": 1 + 0.5 * u,
        }[tensor]
    if tensor == "bias":
        return 0.1 * u
    # The classes are told apart, so that there is a score to compare.
    gain = 6 if layer == "fc" else 1
    return u * np.float32(gain * np.sqrt(6 / int(np.prod(shape[1:]))))


def state_dict():
    """Under the names and in the shapes of the published file, which are torchvision's."""
    network = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False)
    return {
        name: tensor if name.endswith("num_batches_tracked") else weight(name, tuple(tensor.shape))
        for name, tensor in network.state_dict().items()
    }


def pictures(name, count, shape):
    """(N, H, W, C) of uint8: a colour for each, and a quarter noise."""
    images = []
    for index in range(count):
        noise = (bits(f"inception.{name}.{index}", int(np.prod(shape))) >> np.uint32(24)).reshape(shape)
        colour = bits(f"inception.{name}.{index}.colour", shape[2]) >> np.uint32(24)
        images.append(((noise + 3 * colour) // 4).astype(np.uint8))
    return np.stack(images)


def in_colour(images):
    """As both programs read a grey picture: (N, 3, H, W)."""
    return torch.from_numpy(np.repeat(images, 4 - images.shape[-1], -1)[..., :3].transpose(0, 3, 1, 2).copy())


def glimpse(values):
    flat = values.double().reshape(-1)
    return {
        "elements": numbers(flat[middles(flat.numel(), PARTS)]),
        "norm": numbers(flat.norm())[0],
        "largest": numbers(flat.abs().max())[0],
    }


def main():
    weights = state_dict()
    inception.load_state_dict_from_url = lambda *_, **__: weights
    fid = inception.InceptionV3().eval()
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        torch.save(weights, file.name)
        fidelity = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], file.name)

    @torch.no_grad()
    def by_pytorch_fid(images):
        return fid(in_colour(images).float() / 255)[0].squeeze(3).squeeze(2)

    @torch.no_grad()
    def by_torch_fidelity(images):
        return fidelity(in_colour(images))

    features = []
    for shape in SHAPES:
        images = pictures("image", 1, shape)
        of_fidelity, scores = by_torch_fidelity(images)
        features.append({
            "shape": shape,
            "pytorch_fid": glimpse(by_pytorch_fid(images)),
            "torch_fidelity": glimpse(of_fidelity),
            "scores": glimpse(scores),
        })

    real = pictures("real", COUNT, (*SIDES, 3))
    samples = pictures("sample", COUNT, (*SIDES, 3)) // 2 + 40
    one, other = [by_pytorch_fid(images).double().numpy() for images in (samples, real)]
    moments = [moment for x in (one, other) for moment in (np.mean(x, axis=0), np.cov(x, rowvar=False))]
    of_pytorch_fid = {"frechet": float(fid_score.calculate_frechet_distance(*moments))}
    (one, scores), (other, _) = by_torch_fidelity(samples), by_torch_fidelity(real)
    statistics = [fidelity_fid.fid_features_to_statistics(x) for x in (one, other)]
    kid = kid_features_to_metric(one, other, kid_subset_size=COUNT, verbose=False, kid_subsets=2)
    of_torch_fidelity = {
        "frechet": fidelity_fid.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"],
        "kid": kid["kernel_inception_distance_mean"],
    }
    score = isc_features_to_metric(scores)
    of_torch_fidelity["inception_score"] = score["inception_score_mean"]
    of_torch_fidelity["inception_score_spread"] = score["inception_score_std"]
    record = {
        "features": features,
        "count": COUNT,
        "sides": SIDES,
        "pytorch_fid": of_pytorch_fid,
        "torch_fidelity": of_torch_fidelity,
        "score": isc_features_to_metric(8 * symmetric("inception.score", 205, 30)),
    }
    (HERE / "inception.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
