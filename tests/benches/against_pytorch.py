#!/usr/bin/env python3
"""Compares `gan` with PyTorch on this machine's CPU and prints the tables. One command does it all:

    python3 tests/benches/against_pytorch.py [--only dcgan simclr-resnet18] [--rounds 5] [--seconds 10]

It sets up PyTorch in a virtual environment (with pip as it is configured: an index with builds for the CPU alone saves
a long download), builds the program, and runs both in turn, each measurement in a process of its own. The order changes
from round to round, so that neither side has the better half of a busy machine. Close what else is running.

Ours is training as a user runs it, with loading, augmentation, logging, grids and checkpoints in it: time over a run,
a second of warm-up left out. Theirs is `torch_steps.py`: the median of bare steps on data that lies ready. "As
written" is without PyTorch's options, "best" the fastest of that and of what they do with an allocator that keeps its
memory: glibc's told to, and tcmalloc and jemalloc where the system has them.
"""

import argparse
import ctypes.util
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sides import KEPT_MEMORY, Ours, Theirs
from tables import tables

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ["torch==2.15.0", "torchvision==0.29.2", "numpy", "pillow", "safetensors"]

ALLOCATORS = ("tcmalloc_minimal", "tcmalloc", "jemalloc")

TUNED_GAN = ["--tuned", "--fused"]
# Each workload: how ours is measured, its arguments, and PyTorch's options at their best.
WORKLOADS = {
    "vanilla": ("train", ["train-gan", "--model", "vanilla"], TUNED_GAN),
    "lsgan": ("train", ["train-gan", "--model", "lsgan"], TUNED_GAN),
    "dcgan": ("train", ["train-gan", "--model", "dcgan"], [*TUNED_GAN, "--channels-last"]),
    # Steps are long: every one is logged, so that a short run has records enough.
    "dcgan64": (
        "train",
        ["train-gan", "--model", "dcgan", "--data", "shapes", "--image-size", "64", "--train-images", "5000", "--log-every", "1"],
        [*TUNED_GAN, "--channels-last"],
    ),
    "simclr-resnet9": ("train", ["pretrain-simclr", "--encoder", "resnet9"], ["--fused", "--channels-last"]),
    "simclr-resnet18": (
        "train", ["pretrain-simclr", "--encoder", "resnet18", "--log-every", "1"], ["--fused", "--channels-last"]
    ),
    "simclr-resnet50": (
        "train", ["pretrain-simclr", "--encoder", "resnet50", "--log-every", "1"], ["--fused", "--channels-last"]
    ),
    "simclr-resnet18-96": (
        "train", ["pretrain-simclr", "--encoder", "resnet18", "--image-size", "96", "--log-every", "1"],
        ["--fused", "--channels-last"],
    ),
    "simclr-resnet18-224": (
        "train",
        ["pretrain-simclr", "--encoder", "resnet18", "--image-size", "224", "--batch-size", "16", "--log-every", "1"],
        ["--fused", "--channels-last"],
    ),
    "simclr-vit-tiny": (
        "train", ["pretrain-simclr", "--encoder", "vit-tiny", "--batch-size", "128", "--log-every", "1"], ["--fused"]
    ),
    "sample64": ("sample", 64, ["--channels-last"]),
    "sample1024": ("sample", 1024, ["--channels-last"]),
    "augment": ("augment", None, []),
    "cold-sample": ("cold", None, ["--lean"]),
}  # fmt: skip


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="WORKLOAD", help=", ".join(WORKLOADS))
    add("--rounds", type=int, default=5, help="how often both sides are run [default: 5]")
    add("--seconds", type=float, default=10, help="of each measurement, at least [default: 10]")
    add("--threads", type=int, default=2, help="of both sides [default: 2]")
    add("--venv", type=Path, default=ROOT / "target/pytorch", help="virtual environment [default: target/pytorch]")
    add("--gan", type=Path, help="a program that is built already")
    add("--profile", default="release", help="cargo's, of what is built [default: release]")
    add("--bare", action="store_true", help="measure our bare training steps too, and compare them with the run's")
    add("--peak", type=float, default=0, help="GFLOP/s, if known to be more than PyTorch's product of matrices reaches")
    add("--json", type=Path, metavar="FILE", help="write every single measurement")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


def say(text):
    print(text, file=sys.stderr, flush=True)

# ---- setting up --------------------------------------------------------------------------------------------------


def pytorch(venv):
    """The Python of an environment that has what PACKAGES says, made if need be."""
    python = venv.absolute() / "bin/python"
    if not python.exists():
        say(f"making {venv}")
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    imports = "import torch, torchvision, numpy, PIL, safetensors; print(torch.__version__, torchvision.__version__)"
    found = subprocess.run([python, "-c", imports], capture_output=True, text=True)
    wanted = [package.split("==")[1] for package in PACKAGES[:2]]
    if found.returncode != 0 or [version.split("+")[0] for version in found.stdout.split()] != wanted:
        say(f"installing {' '.join(PACKAGES)}")
        subprocess.run([python, "-m", "pip", "install", *PACKAGES], check=True, stdout=sys.stderr)
    return python


def build(profile):
    """The program."""
    return executables(["cargo", "build", "--locked", "--profile", profile])["gan"]


def executables(command):
    """What a command of cargo's builds, by the names of its targets."""
    built = subprocess.run([*command, "--message-format=json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = map(json.loads, built.stdout.splitlines())
    return {message["target"]["name"]: message["executable"] for message in messages if message.get("executable")}


def best_variants(flags):
    """PyTorch at its best: with each allocator that is here."""
    yield "best, glibc kept", flags, KEPT_MEMORY
    for allocator in ALLOCATORS:
        if library := ctypes.util.find_library(allocator):
            yield f"best, {allocator}", flags, {"LD_PRELOAD": library}


# ---- rounds ------------------------------------------------------------------------------------------------------


def compare(workload, options, ours, theirs):
    """Every measurement of a workload: by contestant, a list of [milliseconds, MiB] with one entry a round."""
    way, argument, flags = WORKLOADS[workload]
    contestants = {"ours": lambda: getattr(ours, way)(argument)}
    if options.bare and way == "train":
        step = workload.removeprefix("simclr-")
        contestants["ours, bare"] = lambda: ours.criterion("steps", "step", step, options.threads)
    for name, *variant in [("as written", [], {}), *best_variants(flags)]:
        contestants[name] = lambda variant=variant: theirs.run(workload, *variant)
    found = {name: [] for name in contestants}
    for round_number in range(options.rounds):
        names = list(contestants)
        turn = round_number % len(names)
        for name in names[turn:] + names[:turn]:
            measured = contestants[name]()
            found[name].append(measured)
            say(f"{workload}, round {round_number + 1}, {name}: {measured[0]:.4g} ms, {measured[1]:.0f} MiB")
    return {"gflop": theirs.gflop(workload, flags), "measured": found}


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main():
    options = parse()
    if options.gan is None or options.bare or "augment" in options.only:
        shutil.which("cargo") or sys.exit("cargo is not found; --gan names a program that is built already")
    python = pytorch(options.venv)
    gan = options.gan.resolve() if options.gan else build(options.profile)
    benches = {}
    if options.bare or "augment" in options.only:
        bench = ["cargo", "bench", "--locked", "--no-run", "--bench", "ops", "--bench", "steps"]
        # `cargo bench` has a profile of its own, which is that of a release.
        benches = executables(bench if options.profile == "release" else [*bench, "--profile", options.profile])
    results, peak = {}, options.peak
    about = {"processor": processor(), "threads": options.threads, "rounds": options.rounds, "seconds": options.seconds}
    with tempfile.TemporaryDirectory() as place:
        ours = Ours(options, gan, benches, Path(place))
        theirs = Theirs(options, python, ours.weights, Path(place))
        for workload in options.only:
            peak = max(peak, theirs.peak_rate())
            results[workload] = compare(workload, options, ours, theirs)
            if options.json:
                raw = {**about, "peak_gflops": peak, "workloads": results}
                options.json.write_text(json.dumps(raw, indent=1) + "\n")
    print(f"{about['processor']}, {options.threads} threads, {PACKAGES[0]}, peak {peak:.0f} GFLOP/s.")
    print(f"Medians of {options.rounds} rounds (least to largest).\n")
    print(tables(results, peak))


if __name__ == "__main__":
    main()
