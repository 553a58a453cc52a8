#!/usr/bin/env python3
"""Compares `gan` with PyTorch on the same card, in the same call, and prints a table.

    python3 tests/benches/gpu/against_pytorch.py [--only dcgan resnet18-512] [--precisions tf32 bf16]
        [--compiled resnet18-512] [--rounds 3] [--seconds 5] [--gan PROGRAM] [--python PYTHON]

Without `--gan` cargo builds the program with the feature cuda. `--python` has PyTorch and torchvision, of any version.
torch.compile takes 20 to 60 seconds a network and precision: `--compiled` names the workloads that are measured with it,
`--compiled all` means all. All others in one round of two seconds each take less than three minutes on an H100.

Ours is a run of the program as a user starts it, with loading, augmentation, averaging and logging in it: time over
steps between two records of its log. Only grids, checkpoints and kNN are put off. Of sampling, it is the time that so
many images more take in a long draw, whose tiles are of 256; theirs is a batch of so many. Theirs is `torch_side.py`: bare steps on
data that lies on the device. A batch of 512 is 512 images, 1,024 views. The card's peak is that of a large product of
matrices in the same precision, by PyTorch.
"""

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
sys.path.insert(0, str(HERE.parent))
from sides import LONG, Child  # noqa: E402
from tables import figure, row, small, spread  # noqa: E402

WARM_UP = 0.5  # seconds, at least, of our runs; kernels are compiled before the first record
UNDISTURBED = ["--checkpoint-every", LONG]


def gan_run(model):
    return ["train-gan", "--model", model, "--batch-size", 128, "--log-every", 50, "--sample-every", LONG]


def simclr_run(encoder, batch, log_every):
    sizes = ["--batch-size", batch, "--log-every", log_every, "--knn-every", 0]
    return ["pretrain-simclr", "--encoder", encoder, *sizes]


# Of each workload: what our run is, or how many samples a draw has, or nothing.
WORKLOADS = {
    "vanilla": gan_run("vanilla"),
    "dcgan": gan_run("dcgan"),
    "resnet18-64": simclr_run("resnet18", 64, 10),
    "resnet18-512": simclr_run("resnet18", 512, 5),
    "resnet50-64": simclr_run("resnet50", 64, 5),
    "resnet50-512": simclr_run("resnet50", 512, 2),
    "sample-64": 64,
    "sample-1024": 1024,
    "sample-16384": 16384,
    "augment": None,
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="WORKLOAD", help=", ".join(WORKLOADS))
    add("--precisions", nargs="+", choices=("f32", "tf32", "bf16"), default=["f32", "tf32", "bf16"])
    add("--compiled", nargs="+", choices=[*WORKLOADS, "all"], default=[], metavar="WORKLOAD")
    add("--compile-mode", default="default", help="torch.compile's, such as reduce-overhead or max-autotune")
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=5, help="of each measurement, at least [default: 5]")
    add("--device", default="cuda")
    add("--gan", type=Path, help="a program that is built already")
    add("--ops", type=Path, help="the bench `ops`, built already: measures our views a second")
    add("--python", default="python3", help="a Python that has PyTorch [default: python3]")
    add("--json", type=Path, metavar="FILE", help="write every single measurement")
    add("--tiny", action="store_true", help="small batches for PyTorch and short draws, to try the script on a CPU")
    return parser.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    shutil.which("cargo") or sys.exit("cargo is not found; --gan names a program that is built already")
    subprocess.run(["cargo", "build", "--locked", "--release", "--features", "cuda"], cwd=ROOT, check=True)
    return ROOT / "target/release/gan"


def card_memory():
    """MiB that are in use on the card, or 0 where nobody says."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        return float(subprocess.run(query, capture_output=True, text=True, timeout=10).stdout.split()[0])
    except (OSError, IndexError, ValueError, subprocess.TimeoutExpired):
        return 0.0


class Ours:
    def __init__(self, options, program, place):
        self.options, self.program, self.place = options, program, place
        self.precisions = [p for p in options.precisions if self.has(p)]
        self.idle = card_memory()

    def has(self, precision):
        """Whether the program computes in it on the device: it says so before it reads any data."""
        if precision == "f32":
            return True
        run = ["train-gan", "--model", "vanilla", "--steps", "1", "--run", "tried", "--force"]
        command = [self.program, *run, "--precision", precision, "--device", self.options.device]
        return subprocess.run(command, cwd=self.place, capture_output=True).returncode == 0

    def gan(self, *arguments, **settings):
        return Child([self.program, *arguments, "--quiet", "--device", self.options.device], cwd=self.place, **settings)

    def train(self, arguments, precision):
        """Milliseconds of a step, between two records at least `--seconds` apart, and MiB on the card."""
        chosen = [] if precision == "f32" else ["--precision", precision]
        run = ["--steps", LONG, *UNDISTURBED, "--run", "timed", "--force", "--json"]
        child = self.gan(*arguments, *run, *chosen)
        first = last = None
        records = 0
        for line in child.process.stdout:
            record = json.loads(line)
            records += 1
            last = (record["step"], record["seconds"])
            if first is None:
                began = began if records > 1 else record["seconds"]
                # The first record is of a step in which kernels were compiled and memory was found.
                if records > 2 and record["seconds"] - began >= WARM_UP:
                    first = last
            elif last[1] - first[1] >= self.options.seconds and last[0] - first[0] >= 3:
                break
        if first is None or last == first:
            child.end()  # says why it ended
            sys.exit(f"{arguments}: too few records")
        memory = card_memory() - self.idle
        child.process.send_signal(signal.SIGINT)  # it saves, and ends with 130
        child.process.stdout.read()  # to its end, so that it does not write to a closed pipe
        child.end(allowed=(130,))
        return (last[1] - first[1]) / (last[0] - first[0]) * 1e3, memory

    def sample(self, count, precision):
        """As a share of the time between runs of different length: what both have, such as the start, cancels."""
        del precision  # samples are drawn in f32
        weights = self.place / "weights/drawn"
        if not weights.exists():
            self.gan("train-gan", "--model", "dcgan", "--steps", 1, "--run", "drawn").end()

        def seconds(images):
            raw = ["sample", "--weights", weights, "--n", images, "-o", "-", "--format", "npy"]
            return self.gan(*raw, stdout=subprocess.DEVNULL).end()[0]

        seconds(64)  # compiles kernels where the driver keeps them
        few, more = (256, 1024) if self.options.tiny else (16384, 65536)
        short, long = seconds(few), seconds(more)
        # Until they are apart by what was asked for.
        while long - short < self.options.seconds / 2 and more < 2**23:
            more *= 4
            long = seconds(more)
        return (long - short) / (more - few) * count * 1e3, 0.0

    def views(self):
        """Views a second of the bench that makes them on the device."""
        home = self.place / "criterion"
        flags = ["--bench", "--warm-up-time", "0.5", "--measurement-time", self.options.seconds, "^augment/device$"]
        environment = {"CRITERION_HOME": str(home), "GAN_TEST_DEVICE": self.options.device}
        Child([self.options.ops, *flags], environment, stdout=subprocess.DEVNULL).end()
        found = json.loads((home / "augment/device/new/estimates.json").read_text())
        benchmark = json.loads((home / "augment/device/new/benchmark.json").read_text())
        return benchmark["throughput"]["Elements"] / (found["median"]["point_estimate"] / 1e9)


class Results:
    """By (workload, precision) and contestant: a list of [milliseconds, MiB], one a round."""

    def __init__(self):
        self.about, self.peaks, self.gflop, self.rates, self.steps = {}, {}, {}, {}, {}

    def add(self, workload, precision, side, ms, mib):
        self.steps.setdefault((workload, precision), {}).setdefault(side, []).append([ms, mib])
        say(f"{workload} {precision} {side}: {ms:.4g} ms, {mib:.0f} MiB")

    def take(self, line):
        """What `torch_side.py` says."""
        if "peak" in line:
            self.peaks.setdefault(line["peak"], []).append(line["gflops"])
        elif "views" in line:
            self.rates.setdefault(line["views"], []).append(line["rate"])
            say(f"{line['views']}: {line['rate']:,.0f} views a second")
        elif "gflop" in line:
            self.gflop[line["workload"]] = line["gflop"]
        elif "workload" in line:
            self.add(line["workload"], line["precision"], line["way"], line["ms"], line["mib"])
        else:
            self.about = line

    def raw(self):
        steps = [
            {"workload": workload, "precision": precision, **sides} for (workload, precision), sides in self.steps.items()
        ]
        return {"about": self.about, "peak_gflops": self.peaks, "gflop": self.gflop, "views": self.rates, "steps": steps}

    def tables(self):
        headings = ["ms", "precision", "gan", "PyTorch, eager", "gan / eager", "PyTorch, compiled", "gan / compiled"]
        headings += ["GFLOP", "of the peak: gan", "eager", "compiled", "MiB: gan", "PyTorch"]
        lines = [row(headings), "|" + " --- |" * len(headings)]
        for (workload, precision), sides in self.steps.items():
            ms = {side: [entry[0] for entry in entries] for side, entries in sides.items()}
            middle = {side: statistics.median(times) for side, times in ms.items()}

            def time_of(side):
                return spread(ms[side]) if side in ms else ""

            def over(side):
                return small(middle["gan"] / middle[side]) if side in ms and "gan" in ms else ""

            peak = max(self.peaks.get(precision, [0]))

            def share(side):
                counted = self.gflop.get(workload)
                return f"{counted / middle[side] * 1e3 / peak:.0%}" if side in ms and counted and peak else ""

            def memory(side):
                mib = max((entry[1] for entry in sides.get(side, [])), default=0)
                return figure(mib) if mib else ""

            line = [workload, precision, time_of("gan"), time_of("eager"), over("eager"), time_of("compiled"), over("compiled")]
            line += [figure(self.gflop.get(workload, 0)), share("gan"), share("eager"), share("compiled")]
            lines.append(row([*line, memory("gan"), memory("eager") or memory("compiled")]))
        peaks = ", ".join(f"{precision} {max(rates) / 1e3:,.1f}" for precision, rates in self.peaks.items())
        head = f"{self.about.get('device')}, PyTorch {self.about.get('torch')}; TFLOP/s of a large product: {peaks}.\n\n"
        views = [f"{side} {spread(rates, form=lambda rate: f'{rate:,.0f}')}" for side, rates in self.rates.items()]
        return head + "\n".join(lines) + (f"\n\nViews a second: {'; '.join(views)}." if views else "")


def theirs(options, results):
    compiled = list(WORKLOADS) if "all" in options.compiled else options.compiled
    command = [options.python, HERE / "torch_side.py", "--device", options.device, "--seconds", options.seconds]
    command += ["--workloads", *options.only, "--precisions", *options.precisions]
    command += ["--compiled", *compiled, "--compile-mode", options.compile_mode]
    child = Child([*command, *(["--tiny"] if options.tiny else [])])
    for line in child.process.stdout:
        if line.startswith("{"):
            results.take(json.loads(line))
    child.end()


def main():
    options = parse()
    began = time.perf_counter()
    program = options.gan.resolve() if options.gan else build()
    options.ops = options.ops and options.ops.resolve()
    results = Results()
    with tempfile.TemporaryDirectory() as place:
        ours = Ours(options, program, Path(place))
        for _ in range(options.rounds):
            theirs(options, results)
            for workload in (workload for workload in options.only if workload != "augment"):
                what = WORKLOADS[workload]
                way = ours.sample if isinstance(what, int) else ours.train
                for precision in ours.precisions if way == ours.train else ["f32"]:
                    results.add(workload, precision, "gan", *way(what, precision))
            if "augment" in options.only and options.ops:
                results.rates.setdefault("gan, on the device", []).append(ours.views())
            if options.json:
                options.json.write_text(json.dumps(results.raw(), indent=1) + "\n")
    say(f"{time.perf_counter() - began:.0f} s")
    print(results.tables())


if __name__ == "__main__":
    main()
