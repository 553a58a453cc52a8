"""The two sides of `against_pytorch.py`. A measurement is a pair: milliseconds, and the peak of memory in MiB."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LARGE_PRODUCT = 2 * 2048**3 / 1e9  # GFLOP of torch_steps.py's `product`
COLD_STARTS = 5  # at least, a round
LONG = 10**6  # steps, more than any run here comes to
WARM_UP = 1.0  # seconds, as torch_steps.py

# glibc's allocator told to give no memory back, so that it is not paged in again at every step.
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": str(2**26),
}


class Child:
    """A process whose stdout is read as it comes, and whose peak of memory is known at its end."""

    def __init__(self, command, environment=None, cwd=None, stdout=subprocess.PIPE):
        self.command = [str(part) for part in command]
        self.errors = tempfile.TemporaryFile("w+")
        self.began = time.perf_counter()
        environment = {**os.environ, **(environment or {})}
        self.process = subprocess.Popen(
            self.command, env=environment, cwd=cwd, stdout=stdout, stderr=self.errors, text=True
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
        usual = ["--batch-size", 64 if arguments[0] == "pretrain-simclr" else 128]
        batch = [] if "--batch-size" in arguments else usual
        child = self.gan(*arguments, *batch, "--steps", LONG, "--run", "timed", "--force", "--json")
        records, first = [], None
        for line in child.process.stdout:
            record = json.loads(line)
            records.append((record["step"], record["seconds"]))
            if first is None:
                if record["seconds"] - records[0][1] >= WARM_UP and len(records) > 1:
                    first = records[-1]
            elif record["seconds"] - first[1] >= self.options.seconds and record["step"] - first[0] >= 3:
                child.process.terminate()  # it saves, and ends with 143. SIGINT may be ignored in the background
                break
        child.process.stdout.read()  # to its end, so that it does not write to a closed pipe
        _, peak = child.end(allowed=(143,))
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
        flags = ["--bench", "--warm-up-time", "1", "--measurement-time", self.options.seconds, f"^{group}/{name}$"]
        environment = {"CRITERION_HOME": str(home), "RAYON_NUM_THREADS": str(threads)}
        _, peak = Child([self.benches[bench], *flags], environment, stdout=subprocess.DEVNULL).end()
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
