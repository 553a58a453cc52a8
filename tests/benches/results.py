#!/usr/bin/env python3
"""Trains the GANs by both recipes on MNIST, scores them, and prints the tables of results. One command does it all:

    python3 tests/benches/results.py --data-dir DIR [--gan target/release/gan] [--only vanilla] [--seeds 0 1 2]

The course's runs take the first 50,000 images in the order of the set, and so do the conditional ones; `--recipe best`
takes them shuffled; all for as many steps as the course. Every generator, as trained and averaged, is scored against the test images (the last word)
and against training images 50,000 to 59,999, which no run has seen (`--reference validation`, for choices). The bundled
generators are scored under three seeds of samples. Runs are kept in `--work` and not trained again; a stopped one is
resumed. Nothing here is part of the tests.
"""

import argparse
import json
import statistics
import subprocess
from pathlib import Path

MODELS = ("vanilla", "lsgan", "dcgan")
RECIPES = {
    "course": ["--no-shuffle"],
    "conditional": ["--no-shuffle", "--conditional"],
    "best": ["--recipe", "best"],
}
COLUMNS = ("frechet", "coverage", "density", "classifier_score", "class_divergence", "classes_above_3_percent")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--gan", default="gan", help="the program [default: the one on the path]")
    add("--data-dir", required=True, help="where MNIST lies in mnist/")
    add("--work", default="target/results", help="where runs are kept [default: target/results]")
    add("--only", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    add("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="RECIPE")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="training seeds [default: 0 1 2]")
    add("--train-only", action="store_true", help="train, and score nothing")
    return parser.parse_args()


def train(options, model, recipe, seed):
    """Trains the run, or goes on with it, and returns the directory of its weights."""
    name = f"{model}-{recipe}-{seed}"
    directory = Path(options.work) / "weights" / name
    done = directory / "done"
    if done.exists():
        return directory
    flags = ["--model", model, "--data", "mnist", "--train-images", "50000", "--seed", str(seed), "--run", name]
    flags += RECIPES[recipe]
    if any(directory.glob("step-*.safetensors")):
        flags = ["--resume", name]
    places = ["--weights-dir", f"{options.work}/weights", "--samples-dir", f"{options.work}/samples"]
    command = [options.gan, "train-gan", *flags, "--data-dir", options.data_dir, *places, "-q"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    done.touch()
    return directory


def scores(options, *flags):
    """What `gan evaluate` says of a generator: one dictionary a seed of the samples."""
    command = [options.gan, "evaluate", "--data", "mnist", "--data-dir", options.data_dir, "--json", "-q", *flags]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [row for row in map(json.loads, lines) if "frechet" in row and not isinstance(row["frechet"], dict)]


def row(title, found):
    """A line of a table: distances in floors one by one, the rest as means."""
    distances = ", ".join(f"{score['frechet'] / score['frechet_floor']:.2f}" for score in found)
    means = (statistics.mean(score[column] for score in found) for column in COLUMNS[1:])
    agreements = [f"{100 * score['class_agreement']:.2f}" for score in found if "class_agreement" in score]
    columns = [title, distances, *(f"{mean:.3f}" for mean in means), ", ".join(agreements)]
    return "| " + " | ".join(columns) + " |"


def header(first):
    names = (first, "distance in floors", *COLUMNS[1:], "agreement with the class, %")
    return "| " + " | ".join(names) + " |\n|" + " --- |" * len(names)


def main():
    options = parse()
    runs = {
        (model, recipe): [train(options, model, recipe, seed) for seed in options.seeds]
        for model in options.only
        for recipe in options.recipes
    }
    if options.train_only:
        return
    for reference in ("test", "validation"):
        print(f"\nAgainst the {reference} images; a distance for each training seed {options.seeds}\n")
        print(header("generator"))
        for (model, recipe), directories in runs.items():
            for which, flags in (("last", ["--raw"]), ("averaged", [])):
                found = [scores(options, "--weights", str(run), "--reference", reference, *flags)[0] for run in directories]
                print(row(f"{model}, {recipe}, {which}", found), flush=True)
    print("\nBundled, against the test images; a distance for each of three seeds of samples\n")
    print(header("bundled"))
    for model in options.only:
        found = scores(options, "--weights", "bundled", "--model", model, "--seeds", "3")
        print(row(model, found), flush=True)
    print(f"\nThe floor is {found[0]['frechet_floor']:.4f}.")


if __name__ == "__main__":
    main()
