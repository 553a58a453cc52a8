#!/usr/bin/env python3
"""Measures training in several processes on this machine, and predicts it on more. One command does it all:

    python3 tests/benches/processes.py --data-dir DIR [--only dcgan resnet9] [--rounds 5]

It builds the program with MPI, and runs each workload in turn as one process with two threads, two with one thread each,
and, for the model, one and four with one thread each. The order is reversed from round to round. Medians are of the rounds.
MNIST and CIFAR-10 must lie in DIR. Close what else is running.

With `--rate 1gbit 10gbit` it measures two processes in two network namespaces instead, joined by a link of each of these
rates, or on this machine for `none`; with `--before PROGRAM` another program in turn. Links need root, `ip` and `tc`, and Open MPI.

The model of a step of P processes on a batch of B images:

    T = computing + max(sending - BESIDE * computing, 0) + sending + rounds * ceil(log2 P) * latency
    computing = (fixed + per_image * B) / P        sending = (P - 1) / P * bytes / bandwidth

`fixed` and `per_image` are a line through one process with one thread at two batch sizes; the fixed part, mostly the
update, is divided as each process updates a part of the weights. `bytes` are the weights', sent as gradients, beside the
backward pass as long as it takes, and once more as weights, beside nothing. `rounds` are the calls of a step in which all
processes wait for each other. Latency and bandwidth are a line through what `messages.rs` measures between two processes
here, or those named for a network.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# How a workload is run, its batch, the steps before and within a measurement, the weights that are sent, and the rounds.
WORKLOADS = {
    "dcgan": (["train-gan", "--model", "dcgan", "--data", "mnist"], 100, (10, 50), 7_777_730, 11),
    "resnet9": (["pretrain-simclr", "--encoder", "resnet9", "--data", "cifar10", "--knn-every", "0"], 64, (4, 12), 1_424_160, 7),
    "resnet18": (["pretrain-simclr", "--encoder", "resnet18", "--data", "cifar10", "--knn-every", "0"], 64, (1, 4), 11_497_664, 7),
}
# Gbit/s, and the latency in seconds of a message between hosts, an assumption.
NETWORKS = {1: 50e-6, 10: 20e-6, 100: 5e-6}
PROCESSES = (8, 64, 256)
# The part of computing beside which gradients are sent: from the first that is complete to the end of the pass.
BESIDE = 0.5
HOSTS = ("gan-a", "gan-b")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data-dir", required=True, help="where mnist/ and cifar10/ lie")
    add("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="WORKLOAD")
    add("--rounds", type=int, default=5)
    add("--gan", help="a program that was built with MPI [default: it is built]")
    add("--messages", help="the bench of messages [default: it is built]")
    add("--rate", nargs="+", help="measure two processes on links of these rates, in tc's words, or none")
    add("--before", help="with --rate: another program, measured in turn")
    return parser.parse_args()


def built(kind, name):
    """Builds one target with MPI and returns where it lies."""
    command = ["cargo", "build", "--release", "--locked", "--features", "mpi", f"--{kind}", name, "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    messages = (json.loads(line) for line in lines)
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == name)


def mpirun(processes, threads, command, hosts=(), **options):
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads), OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(processes)] if processes > 1 else []
    return subprocess.run([*hosts, *launcher, *command], check=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)


@contextlib.contextmanager
def linked(rate):
    """Two hosts on a link of this rate each way; gives what stands before `mpirun`."""

    def run(*command):
        subprocess.run(command, check=True)

    with tempfile.TemporaryDirectory() as place:
        # In place of ssh. A namespace alone has the host's name, and Open MPI would take both for one host.
        agent = Path(place, "agent")
        agent.write_text('#!/bin/sh\nhost=$1\nshift\nexec ip netns exec "$host" unshare --uts sh -c "hostname $host; $*"\n')
        agent.chmod(0o755)
        try:
            for host in HOSTS:
                run("ip", "netns", "add", host)
                run("ip", "-n", host, "link", "set", "lo", "up")
                Path("/etc/netns", host).mkdir(parents=True, exist_ok=True)
                names = "".join(f"10.77.0.{number} {name}\n" for number, name in enumerate(HOSTS, 1))
                Path("/etc/netns", host, "hosts").write_text("127.0.0.1 localhost\n" + names)
            run("ip", "link", "add", "gan0", "netns", HOSTS[0], "type", "veth", "peer", "name", "gan0", "netns", HOSTS[1])
            for number, host in enumerate(HOSTS, 1):
                run("ip", "-n", host, "addr", "add", f"10.77.0.{number}/24", "dev", "gan0")
                run("ip", "-n", host, "link", "set", "gan0", "up")
                run("tc", "-n", host, "qdisc", "add", "dev", "gan0", "root", "tbf", "rate", rate, "burst", "256kb", "latency", "20ms")
            settings = {"plm_rsh_agent": agent, "btl": "tcp,self", "btl_tcp_if_include": "10.77.0.0/24", "oob_tcp_if_include": "10.77.0.0/24"}
            environment = [f"OMPI_MCA_{name}={value}" for name, value in settings.items()]
            environment.append("OMPI_MCA_orte_default_hostfile=" + str(Path(place, "hosts")))
            Path(place, "hosts").write_text("".join(f"{host} slots=1\n" for host in HOSTS))
            named = ["unshare", "--uts", "sh", "-c", f'hostname {HOSTS[0]}; exec "$@"', "sh"]
            yield ["ip", "netns", "exec", HOSTS[0], *named, "env", *environment]
        finally:
            for host in HOSTS:
                subprocess.run(["ip", "netns", "del", host], check=False)
                shutil.rmtree(Path("/etc/netns", host), ignore_errors=True)


def measure_links(options):
    """Two processes with a thread each on links of each rate, two programs in turn."""
    programs = {"before": options.before, "now": options.gan}
    print("| | rate | program | ms a step (smallest to largest) | of these waiting |\n| --- | --- | --- | --- | --- |")
    for rate in options.rate:
        with contextlib.nullcontext([]) if rate == "none" else linked(rate) as hosts:
            for workload in options.only:
                found = {name: [] for name, program in programs.items() if program}
                for round in range(options.rounds):
                    for name in list(found)[:: -1 if round % 2 else 1]:
                        chosen = argparse.Namespace(**{**vars(options), "gan": programs[name]})
                        found[name].append(measure(chosen, workload, 2, 1, WORKLOADS[workload][1], 2, hosts))
                for name, times in found.items():
                    steps, waited = ([1e3 * time[of] for time in times] for of in (0, 1))
                    print(f"| {workload} | {rate} | {name} | {statistics.median(steps):.1f} ({min(steps):.1f} to {max(steps):.1f}) | "
                          f"{statistics.median(waited):.1f} |", flush=True)  # fmt: skip


def measure(options, workload, processes, threads, batch, shards, hosts=()):
    """Seconds a step, and of these the seconds that the first process waited."""
    command, _, (warm, steps), _, _ = WORKLOADS[workload]
    with tempfile.TemporaryDirectory() as place:
        flags = ["--steps", str(warm + steps), "--log-every", str(warm), "--checkpoint-every", "1000000", "--run", "run"]
        flags += ["--batch-size", str(batch), "--shards", str(shards), "--data-dir", options.data_dir, "-q"]
        flags += ["--sample-every", "1000000"] if command[0] == "train-gan" else []
        mpirun(processes, threads, [options.gan, *command, *flags], hosts, cwd=place)
        lines = Path(place, "weights", "run", "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    first = next(record for record in records if record["step"] >= warm - 1)
    last = records[-1]
    waited = statistics.mean(record.get("seconds_waiting", 0.0) for record in records[1:])
    return (last["seconds"] - first["seconds"]) / (last["step"] - first["step"]), waited


def line(points):
    """Least squares of y = a + b x, weighted by 1 / y: small ones count too."""
    weights = [1 / y**2 for _, y in points]
    total = sum(weights)
    x_mean = sum(w * x for w, (x, _) in zip(weights, points)) / total
    y_mean = sum(w * y for w, (_, y) in zip(weights, points)) / total
    slope = sum(w * (x - x_mean) * (y - y_mean) for w, (x, y) in zip(weights, points))
    slope /= sum(w * (x - x_mean) ** 2 for w, (x, _) in zip(weights, points))
    return y_mean - slope * x_mean, slope


def waiting(workload, processes, computing, latency, bandwidth):
    """Seconds of a step that are beside no computing."""
    _, _, _, values, rounds = WORKLOADS[workload]
    sending = (processes - 1) / processes * 4 * values / bandwidth
    return max(sending - BESIDE * computing, 0.0) + sending + rounds * math.ceil(math.log2(processes)) * latency


def main():
    options = parse()
    options.gan = str(Path(options.gan or built("bin", "gan")).resolve())
    options.data_dir = str(Path(options.data_dir).resolve())
    if options.rate:
        options.before = options.before and str(Path(options.before).resolve())
        return measure_links(options)
    options.messages = str(Path(options.messages or built("bench", "messages")).resolve())
    cores = os.cpu_count()
    print(f"{platform.processor() or platform.machine()}, {cores} cores\n")

    found = [json.loads(text) for text in mpirun(2, 1, [options.messages], text=True).stdout.splitlines()]
    latency, per_byte = line([(record["bytes"], record["seconds"]) for record in found])
    latency = max(latency, found[0]["seconds"])
    print("| bytes each way | microseconds | GB/s |\n| --- | --- | --- |")
    for record in found:
        print(f"| {record['bytes']:,} | {1e6 * record['seconds']:.1f} | {record['bytes'] / record['seconds'] / 1e9:.2f} |")
    print(f"\nlatency {1e6 * latency:.0f} us, bandwidth {1 / per_byte / 1e9:.2f} GB/s\n")

    models, rows = {}, []
    for workload in options.only:
        batch = WORKLOADS[workload][1]
        # processes, threads, batch, shards
        cases = {"1 x 2": (1, 2, batch, 1), "2 x 1": (2, 1, batch, 2), "1 x 1": (1, 1, batch, 1),
                 "1 x 1, half the batch": (1, 1, batch // 2, 1), "4 x 1": (4, 1, batch, 4)}  # fmt: skip
        times = {case: [] for case in cases}
        for round in range(options.rounds):
            for case in list(cases)[:: -1 if round % 2 else 1]:
                times[case].append(measure(options, workload, *cases[case]))
        step = {case: statistics.median(time for time, _ in found) for case, found in times.items()}
        waited = {case: statistics.median(waited for _, waited in found) for case, found in times.items()}
        ratios = [one[0] / two[0] for one, two in zip(times["1 x 2"], times["2 x 1"])]
        per_image = (step["1 x 1"] - step["1 x 1, half the batch"]) / (batch - batch // 2)
        fixed = max(step["1 x 1"] - per_image * batch, 0.0)
        models[workload] = (fixed, per_image)
        for case, processes in (("2 x 1", 2), ("4 x 1", 4)):
            compute = (fixed + per_image * batch) / min(processes, cores)
            rows.append((workload, case, step[case], waited[case], compute + waiting(workload, processes, compute, latency, 1 / per_byte)))
        print(f"{workload}, batch {batch}: 1 x 2 {batch / step['1 x 2']:.1f} images/s, 2 x 1 {batch / step['2 x 1']:.1f}; "
              f"2 x 1 over 1 x 2, {options.rounds} rounds: median {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip

    print("\n| | processes x threads | ms a step | of these waiting | model |\n| --- | --- | --- | --- | --- |")
    for workload, case, seconds, waited, model in rows:
        print(f"| {workload} | {case} | {1e3 * seconds:.1f} | {1e3 * waited:.1f} | {1e3 * model:.1f} |")

    print("\nOne thread a process, the batch of a process as large as the whole one was here: part of the time that is computing.")
    print("Then the batch of a process at which that is one half, with 64 processes: below it a network has stopped scaling.\n")
    heads = [f"{speed} Gbit/s: {', '.join(map(str, PROCESSES))}" for speed in NETWORKS]
    print("| | " + " | ".join(heads) + " | " + " | ".join(f"half at {speed} Gbit/s" for speed in NETWORKS) + " |")
    print("| --- " * (1 + 2 * len(NETWORKS)) + "|")
    for workload, (fixed, per_image) in models.items():
        batch, parts, halves = WORKLOADS[workload][1], [], []
        for speed, network_latency in NETWORKS.items():
            def part(processes, batch):
                computing = fixed / processes + per_image * batch
                return computing / (computing + waiting(workload, processes, computing, network_latency, speed * 1e9 / 8))

            parts.append(", ".join(f"{part(processes, batch):.2f}" for processes in PROCESSES))
            halves.append(f"{next(batch for batch in range(1, 1_000_000) if part(64, batch) >= 0.5):,}")
        print(f"| {workload} | " + " | ".join(parts) + " | " + " | ".join(halves) + " |")


if __name__ == "__main__":
    main()
