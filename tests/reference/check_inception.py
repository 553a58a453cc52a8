#!/usr/bin/env python3
"""Compares `gan evaluate --features` with pytorch-fid and torch-fidelity on pictures; run by hand.

    venv/bin/python tests/reference/check_inception.py target/release/gan PICTURES [COUNT]

Of the pictures in the folder PICTURES, which are of one size, COUNT, a little darker, are the samples, COUNT others the real
ones, and 20 the training images. The weights are those of `generate_inception.py`, or the published file where WEIGHTS names
it. Then the speed of the network is compared with PyTorch's, in turn.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch_fidelity
from PIL import Image
from pytorch_fid import fid_score, inception

from generate_inception import state_dict


def write(images, directory):
    directory.mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(directory / f"{index:05}.png")


def pictures(directory, count):
    files = sorted(Path(directory).glob("*.png"))[:count]
    return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])


def evaluate(gan, work, weights, *flags):
    command = [gan, "evaluate", "--images", "samples", "--data", "data", "--features", weights, "--json", "-q", *flags]
    begin = time.monotonic()
    found = subprocess.run(command, cwd=work, check=True, capture_output=True).stdout
    return json.loads(found), time.monotonic() - begin


def compare(program, name, found, want):
    print(f"{program:15} {name:20} {found:14.7f} {want:14.7f} {abs(found - want) / abs(want):10.1e}", flush=True)


def main():
    gan, data = os.path.abspath(sys.argv[1]), sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        images = pictures(data, 2 * count + 20)
        write(images[:count] // 8 * 7, work / "samples")
        write(images[count : 2 * count], work / "data/test")
        write(images[2 * count :], work / "data/train")
        if "WEIGHTS" in os.environ:
            weights = torch.load(os.environ["WEIGHTS"], weights_only=True)
        else:
            weights = state_dict()
        torch.save(weights, work / "pt_inception.pth", _use_new_zipfile_serialization=False)
        torch.save(weights, work / "weights-inception.pth")
        print(f"{'program':15} {'figure':20} {'gan':>14} {'program':>14} {'relative':>10}")

        inception.load_state_dict_from_url = lambda *_, **__: weights
        model = inception.InceptionV3().eval()
        moments = [
            moment
            for folder in ("samples", "data/test")
            for moment in fid_score.compute_statistics_of_path(str(work / folder), model, 50, 2048, "cpu", 0)
        ]
        found, _ = evaluate(gan, work, "pt_inception.pth")
        compare("pytorch-fid", "frechet", found["frechet"], fid_score.calculate_frechet_distance(*moments))

        want = torch_fidelity.calculate_metrics(
            input1=str(work / "samples"), input2=str(work / "data/test"), cuda=False, fid=True, kid=True, isc=True,
            kid_subset_size=min(1000, count), kid_subsets=2, verbose=False, cache=False,
            feature_extractor_weights_path=str(work / "weights-inception.pth"),
        )
        found, _ = evaluate(gan, work, "weights-inception.pth")
        names = {
            "frechet": "frechet_inception_distance",
            "kid": "kernel_inception_distance_mean",
            "inception_score": "inception_score_mean",
            "inception_score_spread": "inception_score_std",
        }
        for name, theirs in names.items():
            compare("torch-fidelity", name, found[name], want[theirs])

        batch = torch.rand(50, 3, 32, 32)
        rates = {"pytorch-fid": [], "gan": []}
        images = 2 * count + 20
        for _ in range(3):
            begin = time.monotonic()
            with torch.no_grad():
                model(batch)
            rates["pytorch-fid"].append(50 / (time.monotonic() - begin))
            rates["gan"].append(images / evaluate(gan, work, "pt_inception.pth")[1])
        for program, rates in rates.items():
            print(f"{program:15} {statistics.median(rates):6.1f} images/s, of {[round(rate, 1) for rate in rates]}")


if __name__ == "__main__":
    main()
