#!/usr/bin/env python3
"""Makes a file of pretrained weights from what a run leaves: f16, with metadata that say how it was made. Python alone.

    python3 weights/pack.py weights/dcgan/generator_ema.safetensors weights/generator-dcgan.safetensors \
        --command "gan train-gan --model dcgan --data mnist --recipe best" --scores scores.json

`--scores` is a file that `gan evaluate --json` wrote of the packed weights (pack, evaluate, pack again); a line with `mean`
is preferred. Data and seed are the run's own, from its header.
"""

import argparse
import array
import json
import struct
from pathlib import Path

SCORES = ["frechet", "frechet_floor", "frechet_ratio", "kid", "precision", "recall", "density", "coverage"]
SCORES += ["classifier_score", "class_divergence", "classes_above_3_percent", "two_sample_1nn", "top1", "top5", "knn"]


def halved(values):
    """The bytes of f32 values as f16, rounded to the nearest even."""
    numbers = array.array("f", values)
    return struct.pack(f"<{len(numbers)}e", *numbers)


def scores(path):
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    row = rows[-1]
    found = {name: row.get("mean", row)[name] for name in SCORES if name in row.get("mean", row)}
    return found | {"seeds": row["seeds"], "spread": row["spread"]} if "mean" in row else found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--command", required=True, help="what trained it, as typed")
    parser.add_argument("--scores", help="what `gan evaluate --json` says of it")
    arguments = parser.parse_args()

    data = arguments.source.read_bytes()
    length = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    config = json.loads(metadata.get("gan.config", "{}"))
    made = {"command": arguments.command, "data": config.get("data"), "seed": config.get("seed")}
    if arguments.scores:
        made["scores"] = scores(arguments.scores)
    metadata = {"format": "pt", "gan.config": metadata.get("gan.config", "{}"), "gan.made": json.dumps(made)}

    # Large elements first, so that all are aligned, and by name among equals: as the reference implementation does.
    order = sorted(header.items(), key=lambda item: (item[1]["dtype"] != "I64", item[0]))
    packed, parts, position = {"__metadata__": metadata}, [], 0
    for name, tensor in order:
        start, end = (8 + length + offset for offset in tensor["data_offsets"])
        part = halved(data[start:end]) if tensor["dtype"] == "F32" else data[start:end]
        dtype = "F16" if tensor["dtype"] == "F32" else tensor["dtype"]
        packed[name] = {"dtype": dtype, "shape": tensor["shape"], "data_offsets": [position, position + len(part)]}
        position += len(part)
        parts.append(part)
    text = json.dumps(packed, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    arguments.target.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    print(f"{arguments.target}: {len(order)} tensors, {arguments.target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
