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
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ["torch==2.15.0", "torchvision==0.29.2", "numpy", "pillow", "safetensors"]
LARGE_PRODUCT = 2 * 2048**3 / 1e9  # GFLOP of torch_steps.py's `product`
VIEWS = 512  # a measurement of `augment`, on both sides
COLD_STARTS = 5  # at least, a round
LONG = 10**6  # steps, more than any run here comes to
WARM_UP = 1.0  # seconds, as torch_steps.py

# glibc's allocator told to give no memory back, so that it is not paged in again at every step.
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": str(2**26),
}
ALLOCATORS = ("tcmalloc_minimal", "tcmalloc", "jemalloc")

TUNED_GAN = ["--tuned", "--fused"]
# Each workload: how ours is measured, its arguments, and PyTorch's options at their best.
WORKLOADS = {
    "vanilla": ("train", ["train-gan", "--model", "vanilla"], TUNED_GAN),
    "lsgan": ("train", ["train-gan", "--model", "lsgan"], TUNED_GAN),
    "dcgan": ("train", ["train-gan", "--model", "dcgan"], [*TUNED_GAN, "--channels-last"]),
    "simclr-resnet9": ("train", ["pretrain-simclr", "--encoder", "resnet9"], ["--fused", "--channels-last"]),
    # Steps are long: every one is logged, so that a short run has records enough.
    "simclr-resnet18": (
        "train", ["pretrain-simclr", "--encoder", "resnet18", "--log-every", "1"], ["--fused", "--channels-last"]
    ),
    "simclr-resnet50": (
        "train", ["pretrain-simclr", "--encoder", "resnet50", "--log-every", "1"], ["--fused", "--channels-last"]
    ),
    "sample64": ("sample", 64, ["--channels-last"]),
    "sample1024": ("sample", 1024, ["--channels-last"]),
    "augment": ("augment", None, []),
    "cold-sample": ("cold", None, ["--lean"]),
}  # fmt: skip
MEANINGS = {"augment": f"augment, {VIEWS} views on one core", "cold-sample": "cold-sample, whole process"}


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


# ---- one measurement: milliseconds and the peak of memory in MiB -----------------------------------------------------


class Child:
    """A process whose stdout is read as it comes, and whose peak of memory is known at its end."""

    def __init__(self, command, environment=None, cwd=None, stdout=subprocess.PIPE):
        self.command = [str(part) for part in command]
        self.errors = tempfile.TemporaryFile("w+")
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            self.command, env={**os.environ, **(environment or {})}, cwd=cwd, stdout=stdout, stderr=self.errors, text=True
        )

    def end(self, allowed=(0,)):
        """Seconds of the whole process, and MiB."""
        _, status, usage = os.wait4(self.process.pid, 0)
        seconds = time.perf_counter() - self.began
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.stdout:
            self.process.stdout.close()
        if self.process.returncode not in allowed:
            self.errors.seek(0)
            sys.exit(f"{' '.join(self.command)}: exit {self.process.returncode}\n{self.errors.read()}")
        self.errors.close()
        # KiB on Linux, bytes on macOS.
        return seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


class Ours:
    """Our side of every workload."""

    def __init__(self, options, gan, benches, place):
        self.options, self.program, self.benches, self.place = options, gan, benches, place

    def gan(self, *arguments, **settings):
        arguments = [*arguments, "--quiet", "--threads", self.options.threads]
        threads = {"RAYON_NUM_THREADS": str(self.options.threads)}
        return Child([self.program, *arguments], threads, self.place, **settings)

    def weights(self):
        """The generator of a DCGAN that has hardly begun."""
        directory = self.place / "weights/drawn"
        if not directory.exists():
            self.gan("train-gan", "--model", "dcgan", "--steps", 1, "--run", "drawn").end()
        return directory

    def train(self, arguments):
        """A step of a run, between two records of its log at least `--seconds` apart."""
        batch = ["--batch-size", 64 if arguments[0] == "pretrain-simclr" else 128]
        child = self.gan(*arguments, *batch, "--steps", LONG, "--run", "timed", "--force", "--json")
        records, first = [], None
        for line in child.process.stdout:
            record = json.loads(line)
            records.append((record["step"], record["seconds"]))
            if first is None:
                if record["seconds"] - records[0][1] >= WARM_UP and len(records) > 1:
                    first = records[-1]
            elif record["seconds"] - first[1] >= self.options.seconds and record["step"] - first[0] >= 3:
                child.process.send_signal(signal.SIGINT)  # it saves, and ends with 130
                break
        child.process.stdout.read()  # to its end, so that it does not write to a closed pipe
        _, peak = child.end(allowed=(130,))
        (first_step, first_second), (last_step, last_second) = first, records[-1]
        return (last_second - first_second) / (last_step - first_step) * 1e3, peak

    def sample(self, batch):
        """A batch of images, from two runs of different length: what both have, such as the start, cancels."""
        few, more = 1024, 1024 * (1 + round(10 * self.options.seconds))
        seconds, peak = zip(*(self.draw(count) for count in (few, more)))
        return (seconds[1] - seconds[0]) / (more - few) * batch * 1e3, max(peak)

    def draw(self, count):
        raw = ["--n", count, "-o", "-", "--format", "npy"]
        return self.gan("sample", "--weights", self.weights(), *raw, stdout=subprocess.DEVNULL).end()

    def cold(self, _):
        weights = self.weights()
        return repeated(
            lambda: self.gan("sample", "--weights", weights, "--n", 64, "-o", "grid.png").end(), self.options.seconds
        )

    def augment(self, _):
        return self.criterion("ops", "augment", "views", threads=1)

    def criterion(self, bench, group, name, threads):
        """The median that criterion finds."""
        home = self.place / "criterion"
        timing = ["--warm-up-time", "1", "--measurement-time", str(self.options.seconds)]
        environment = {"CRITERION_HOME": str(home), "RAYON_NUM_THREADS": str(threads)}
        child = Child([self.benches[bench], "--bench", *timing, f"^{group}/{name}$"], environment, stdout=subprocess.DEVNULL)
        _, peak = child.end()
        estimates = json.loads((home / group / name / "new/estimates.json").read_text())
        return estimates["median"]["point_estimate"] / 1e6, peak


class Theirs:
    """PyTorch's side."""

    def __init__(self, options, python, weights, place):
        self.options, self.python, self.weights, self.place = options, python, weights, place

    def run(self, workload, flags, environment):
        if workload == "cold-sample":
            return self.cold(flags, environment)
        threads = 1 if workload == "augment" else self.options.threads
        found, peak = self.steps(workload, *flags, threads=threads, environment=environment)
        return found["step_ms"], peak

    def cold(self, flags, environment):
        weights = self.weights() / "generator_ema.safetensors"
        command = [self.python, HERE / "torch_sample.py", weights, self.place / "torch.png", *flags]
        threads = {"OMP_NUM_THREADS": str(self.options.threads)}
        return repeated(lambda: Child(command, {**environment, **threads}).end(), self.options.seconds)

    def gflop(self, workload, flags):
        """Of a step, as PyTorch counts it: products of matrices and convolutions, none that is not needed."""
        if workload in ("augment", "cold-sample"):
            return None
        return self.steps(workload, *flags, "--count")[0]["gflop"]

    def peak_rate(self):
        """GFLOP/s of a large product of matrices."""
        found, _ = self.steps("product", environment=KEPT_MEMORY, seconds=min(self.options.seconds, 2))
        return LARGE_PRODUCT / found["least_ms"] * 1e3

    def steps(self, workload, *flags, threads=None, environment=None, seconds=None):
        threads, seconds = threads or self.options.threads, seconds or self.options.seconds
        command = [self.python, HERE / "torch_steps.py", workload, "--threads", threads, "--seconds", seconds, *flags]
        child = Child(command, {**(environment or {}), "OMP_NUM_THREADS": str(threads)})
        printed = child.process.stdout.read()
        _, peak = child.end()
        return json.loads(printed), peak


def repeated(run, seconds):
    """The median of a whole process's milliseconds, and its largest peak of memory."""
    found, began = [], time.perf_counter()
    while len(found) < COLD_STARTS or time.perf_counter() - began < seconds:
        found.append(run())
    return statistics.median(seconds for seconds, _ in found) * 1e3, max(peak for _, peak in found)


# ---- rounds ------------------------------------------------------------------------------------------------------


def compare(workload, options, ours, theirs):
    """Every measurement of a workload: by contestant, a list of [milliseconds, MiB] with one entry a round."""
    way, argument, flags = WORKLOADS[workload]
    contestants = {"ours": lambda: getattr(ours, way)(argument)}
    if options.bare and way == "train":
        name = workload.removeprefix("simclr-")
        contestants["ours, bare"] = lambda: ours.criterion("steps", "step", name, options.threads)
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


# ---- tables ------------------------------------------------------------------------------------------------------


def figure(value):
    """Three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def median_of(found, place=0):
    return statistics.median(entry[place] for entry in found)


def spread(values, middle=None, form=figure):
    values = list(values)
    return f"{form(statistics.median(values) if middle is None else middle)} ({form(min(values))} to {form(max(values))})"


def ratio(ours, theirs):
    """Of the medians, with the least and the largest of one round."""
    each = [mine[0] / yours[0] for mine, yours in zip(ours, theirs)]
    return spread(each, median_of(ours) / median_of(theirs), lambda value: f"{value:.2g}" if value < 0.1 else f"{value:.2f}")


def row(cells):
    return f"| {' | '.join(cells)} |"


def tables(results, peak):
    """Markdown: time, then memory and arithmetic."""
    bare = any("ours, bare" in result["measured"] for result in results.values())
    headings = ["ms", "ours", "PyTorch, best", "ours / best", "PyTorch, as written", "ours / as written"]
    times = [row(headings + ["run / bare step"] * bare)]
    headings = ["memory, MiB; arithmetic", "ours", "PyTorch, best", "ours / best", "as written", "ours / as written"]
    others = [row([*headings, "GFLOP", "of the peak: ours", "PyTorch, best", "floor, ms"])]
    for lines in (times, others):
        lines.append("|" + " --- |" * (lines[0].count("|") - 1))
    for workload, result in results.items():
        name, found = MEANINGS.get(workload, workload), result["measured"]
        best = min((side for side in found if not side.startswith("ours")), key=lambda side: median_of(found[side]))
        ours, theirs, written = found["ours"], found[best], found["as written"]
        ms = [spread(entry[0] for entry in entries) for entries in (ours, theirs, written)]
        line = [name, ms[0], f"{ms[1]}, {best.removeprefix('best, ')}", ratio(ours, theirs), ms[2], ratio(ours, written)]
        if bare:
            line.append(ratio(ours, found["ours, bare"]) if "ours, bare" in found else "")
        times.append(row(line))
        memory = [median_of(entries, 1) for entries in (ours, theirs, written)]
        line = [name, figure(memory[0])]
        for other in memory[1:]:
            line += [figure(other), f"{memory[0] / other:.2f}"]
        gflop = result["gflop"]
        if gflop is None:
            line += ["", "", "", ""]
        else:
            floor = gflop / peak * 1e3
            line += [figure(gflop), *(f"{floor / median_of(entries):.0%}" for entries in (ours, theirs)), figure(floor)]
        others.append(row(line))
    text = "\n".join([*times, "", *others])
    if "augment" in results:
        found = results["augment"]["measured"]
        rates = (f"{side} {VIEWS / median_of(entries) * 1e3:,.0f}" for side, entries in found.items())
        text += f"\n\nViews a second a core: {'; '.join(rates)}."
    return text


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
    print(f"{about['processor']}, {options.threads} threads, {PACKAGES[0].replace('==', ' ')}, peak {peak:.0f} GFLOP/s.")
    print(f"Medians of {options.rounds} rounds (least to largest).\n")
    print(tables(results, peak))


if __name__ == "__main__":
    main()
