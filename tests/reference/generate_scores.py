#!/usr/bin/env python3
"""Writes `scores.json`: what scipy, the `prdc` package, scikit-learn and numpy say of features that `scores.rs` makes too.

    python3 -m venv venv && venv/bin/pip install numpy scipy prdc scikit-learn
    venv/bin/python tests/reference/generate_scores.py

The features follow a rule in integers; nothing of them is stored.
"""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import scipy.linalg
import scipy.special
import scipy.stats
from prdc import compute_prdc
from sklearn.neighbors import KNeighborsClassifier

HERE = Path(__file__).parent


def draws(count, seed):
    """Numbers in [-1, 1], rounded to f32 once."""
    i = np.arange(count, dtype=np.int64)
    return ((i * 7919 + seed * 104729 + (i * i) % 977) % 1009 / 504.0 - 1.0).astype(np.float32)


def features(count, width, seed, scale=1.0, shift=0.0):
    """Around five centres; scaled and shifted in f32."""
    classes = np.arange(count) * 7 % 11 % 5
    centres = draws(5 * width, 77).reshape(5, width)
    points = draws(count * width, seed).reshape(count, width) + np.float32(0.5) * centres[classes]
    return points * np.float32(scale) + np.float32(shift)


def frechet(one, other):
    one, other = one.astype(np.float64), other.astype(np.float64)
    root = scipy.linalg.sqrtm(np.cov(one, rowvar=False) @ np.cov(other, rowvar=False))
    means = ((one.mean(0) - other.mean(0)) ** 2).sum()
    traces = np.trace(np.cov(one, rowvar=False)) + np.trace(np.cov(other, rowvar=False))
    return float(means + traces - 2 * np.trace(root).real)


def kid(x, y):
    """The unbiased estimate on all rows, as one subset (1801.01401, equation 4)."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    kernel = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    m, n = len(x), len(y)
    return float(
        (xx.sum() - np.trace(xx)) / (m * (m - 1)) + (yy.sum() - np.trace(yy)) / (n * (n - 1)) - 2 * xy.mean()
    )


def two_sample(real, samples):
    """Leave one out: the second of the two nearest to each, the first being itself."""
    both = np.concatenate([real, samples]).astype(np.float64)
    labels = np.repeat([0, 1], [len(real), len(samples)])
    model = KNeighborsClassifier(n_neighbors=2, algorithm="brute").fit(both, labels)
    nearest = model.kneighbors(both, return_distance=False)
    other = np.where(nearest[:, 0] == np.arange(len(both)), nearest[:, 1], nearest[:, 0])
    return float((labels[other] == labels).mean())


def margin(real, samples, k):
    """How near any comparison of PRDC is to a tie, relatively: f32 must not decide it otherwise."""
    distance = lambda a, b: np.sqrt(((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1))
    radii = [np.sort(distance(x, x))[:, k] for x in (real, samples)]
    cross = distance(real, samples)
    return min(np.abs(cross / radii[0][:, None] - 1).min(), np.abs(cross / radii[1][None] - 1).min())


def main():
    cases = []
    for count, width, seeds, scale, shift, k in [
        (200, 12, (1, 2), 0.8, 0.1, 5),
        (150, 33, (7, 14), 1.3, -0.2, 3),
        (30, 40, (5, 6), 1.0, 0.0, 5),  # fewer rows than columns: singular covariances
        (300, 8, (7, 15), 1.0, 0.02, 5),  # more rows than a block
    ]:
        real, samples = features(count, width, seeds[0]), features(count, width, seeds[1], scale, shift)
        assert margin(real, samples, k) > 2e-6, (count, width, margin(real, samples, k))
        with contextlib.redirect_stdout(io.StringIO()):
            near = compute_prdc(real.astype(np.float64), samples.astype(np.float64), k)
        cases.append(
            dict(
                count=count,
                width=width,
                seeds=seeds,
                scale=scale,
                shift=shift,
                k=k,
                frechet=frechet(samples, real),
                kid=kid(samples, real),
                two_sample=two_sample(real, samples),
                **{name: float(value) for name, value in near.items()},
            )
        )
    scores = 4 * draws(2000, 11).astype(np.float64).reshape(200, 10)
    p = scipy.special.softmax(scores, axis=1)
    score = float(np.exp(np.mean([scipy.stats.entropy(row, p.mean(0)) for row in p])))
    samples, real = [120, 0, 80, 3, 97], [60, 61, 59, 58, 62]
    classes = dict(
        classifier_score=score,
        histogram=np.bincount(scores.argmax(1), minlength=10).tolist(),
        samples=samples,
        real=real,
        divergence=float(scipy.stats.entropy(samples, real)),
    )
    (HERE / "scores.json").write_text(json.dumps(dict(cases=cases, classes=classes), indent=1) + "\n")


if __name__ == "__main__":
    main()
