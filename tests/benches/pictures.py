"""JPEGs that one core decodes, and makes 64x64, in a second of processor time: ours beside Pillow's, in turn.

    cargo bench --bench pictures --no-run
    python3 tests/benches/pictures.py [--rounds 5]

Needs numpy and Pillow. The pictures are those of write_shards.py, at 256x256 and 1024x1024. Pillow's `draft` lets
libjpeg-turbo decode at a fraction of the size, which gives other pixels."""

import argparse
import io
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

from write_shards import picture  # first: it says how to get what is missing

import numpy
from PIL import Image, features

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SIDES = {256: 200, 1024: 24}  # side: pictures
SECONDS = 1.0
TARGET = (64, 64)


def pillow(files, drafts, resizes):
    began, count = time.process_time(), 0
    while time.process_time() - began < SECONDS:
        for file in files:
            image = Image.open(io.BytesIO(file))
            if drafts:
                image.draft("RGB", TARGET)
            image.load()
            if resizes:
                image.resize(TARGET, Image.Resampling.BILINEAR)
        count += len(files)
    return count / (time.process_time() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--program", help="the bench where it is built; without it cargo builds and runs it")
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as place:
        directories = {}
        for side, count in SIDES.items():
            generator = numpy.random.default_rng(0)
            directories[side] = pathlib.Path(place, str(side))
            directories[side].mkdir()
            for number in range(count):
                (directories[side] / f"{number:03}.jpg").write_bytes(picture(generator, side, number % 10))
        for _ in range(options.rounds):
            program = [options.program] if options.program else ["cargo", "bench", "--quiet", "--bench", "pictures", "--"]
            command = [*program, *map(str, directories.values())]
            printed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
            for line, side in zip(printed.splitlines(), SIDES):
                ours = json.loads(line)
                figures.setdefault((side, "gan"), []).append((ours["decoded"], ours["resized"]))
                files = [path.read_bytes() for path in sorted(directories[side].iterdir())]
                for name, drafts in (("Pillow", False), ("Pillow, `draft`", True)):
                    pair = tuple(pillow(files, drafts, resizes) for resizes in (False, True))
                    figures.setdefault((side, name), []).append(pair)
    print(f"Pillow {Image.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}")
    print("| pictures | by | decoded | decoded and made 64x64 |\n| --- | --- | --- | --- |")
    for (side, name), pairs in figures.items():
        cells = [f"{statistics.median(of):,.0f} ({min(of):,.0f} to {max(of):,.0f})" for of in zip(*pairs)]
        print(f"| {side}x{side} | {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
