"""Training on more pictures than memory holds, beside training on some of them in memory: images per second and peak
memory, in turn.

    python3 tests/benches/write_shards.py SHARDS --gigabytes 8
    cargo build --release
    python3 tests/benches/streamed.py SHARDS [--gan PROGRAM] [--rounds 5] [--steps 30] [--few 2]

Each round trains a DCGAN at 64x64 in colour, batch 128, on the first `--few` shards in memory, on all shards decoded
each time, and on all through a cache in the current directory. A figure of a run is the median over its steps after the
first; a figure of the table the median over rounds, with the smallest and the largest, and of each pair the ratio to
the run in memory of the same round."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile


def run(program, data, steps, held):
    """Images per second, and the peak memory in MiB."""
    with tempfile.TemporaryDirectory(dir=".") as place:
        flags = ["--steps", str(steps), "--log-every", "1", "--sample-every", str(steps), "--checkpoint-every", str(steps)]
        command = [program, "train-gan", "--model", "dcgan", "--image-size", "64", "--channels", "3", "--data", data]
        with open(pathlib.Path(place, "log"), "w") as log:
            process = subprocess.Popen([*command, *flags, *held, "--run", "run", "-q"], cwd=place, stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            raise SystemExit(pathlib.Path(place, "log").read_text())
        lines = pathlib.Path(place, "weights/run/metrics.jsonl").read_text().splitlines()
    speeds = [json.loads(line)["images_per_second"] for line in lines]
    return statistics.median(speeds[1:]), usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=pathlib.Path)
    parser.add_argument("--gan", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "target/release/gan")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--few", type=int, default=2, help="shards that are held in memory")
    options = parser.parse_args()
    shards = sorted(options.shards.resolve().glob("*.tar"))
    if not shards:
        raise SystemExit(f"{options.shards}: no .tar there; write_shards.py makes them, with numpy and Pillow")
    if not options.gan.is_file():
        raise SystemExit(f"{options.gan}: no such program; cargo build --release makes it")
    figures = {}
    with tempfile.TemporaryDirectory(dir=".") as few:
        for shard in shards[: options.few]:
            pathlib.Path(few, shard.name).symlink_to(shard)
        here = str(pathlib.Path(few).resolve())
        everything = str(options.shards.resolve())
        kinds = {
            f"{options.few} shards in memory": (here, []),
            f"{len(shards)} shards, decoded each time": (everything, ["--data-memory", "0", "--data-cache", "none"]),
            f"{len(shards)} shards, from a cache": (everything, ["--data-memory", "0", "--data-cache", os.getcwd()]),
        }
        for number in range(options.rounds):
            for kind, (data, held) in kinds.items():
                figures.setdefault(kind, []).append(run(options.gan.resolve(), data, options.steps, held))
                print(f"round {number + 1}: {kind}: {figures[kind][-1]}", flush=True)
    print("| images | images per second | of those in memory | peak memory, MiB |\n| --- | --- | --- | --- |")
    in_memory = [speed for speed, _ in next(iter(figures.values()))]
    for kind, runs in figures.items():
        speeds, peaks = zip(*runs)
        ratios = [speed / other for speed, other in zip(speeds, in_memory)]
        def cell(values, digits):
            return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
        print(f"| {kind} | {cell(speeds, 1)} | {cell(ratios, 2)} | {cell(peaks, 0)} |")


if __name__ == "__main__":
    main()
