"""Writes a set of JPEG pictures of any size as tar shards with classes (WebDataset), to train on what does not fit into
memory: `write_shards.py DIR --gigabytes 20`. Needs numpy and Pillow.

The pictures are smooth colours under a texture, about 20 KB each at 256x256. Only `--distinct` of them are drawn; the
others repeat those, each with a comment of its own in the file, so that no two files are the same."""

import argparse
import io
import pathlib
import tarfile

try:
    import numpy
    from PIL import Image
except ModuleNotFoundError as missing:
    raise SystemExit(f"{missing}: needed are numpy and Pillow: python3 -m pip install numpy pillow")

CLASSES = 10


def picture(generator, side, label):
    """A JPEG: a coarse grid of colours made smooth, ripples whose direction is the class, and grain."""
    coarse = generator.integers(0, 256, (6, 6, 3), dtype=numpy.uint8)
    smooth = numpy.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC), dtype=numpy.float32)
    down, right = numpy.mgrid[0:side, 0:side].astype(numpy.float32)
    angle = numpy.pi * label / CLASSES
    ripples = 25 * numpy.sin((numpy.cos(angle) * right + numpy.sin(angle) * down) * generator.uniform(0.2, 0.6))
    grain = generator.normal(0, 9, (side, side, 1)).astype(numpy.float32)
    pixels = numpy.clip(smooth + ripples[..., None] + grain, 0, 255).astype(numpy.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=80)
    return encoded.getvalue()


def with_comment(jpeg, number):
    """The same picture in a file of its own: a comment segment after the start marker."""
    text = f"{number:012d}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def entry(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--gigabytes", type=float, help="of all shards together")
    parser.add_argument("--pictures", type=int, help="in all; in place of --gigabytes")
    parser.add_argument("--shard", type=int, default=10_000, help="pictures in a shard")
    parser.add_argument("--distinct", type=int, default=2_000)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    generator = numpy.random.default_rng(0)
    drawn = [picture(generator, options.side, number % CLASSES) for number in range(options.distinct)]
    mean = sum(map(len, drawn)) / len(drawn)
    per_picture = mean + 2 * 512 + 256 + 1024  # two headers, padding, the class
    count = options.pictures or int(options.gigabytes * 1e9 / per_picture)
    options.directory.mkdir(parents=True, exist_ok=True)
    for shard in range(0, count, options.shard):
        path = options.directory / f"train-{shard // options.shard:06d}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for number in range(shard, min(shard + options.shard, count)):
                entry(archive, f"{number:09d}.jpg", with_comment(drawn[number % len(drawn)], number))
                entry(archive, f"{number:09d}.cls", str(number % len(drawn) % CLASSES).encode())
    print(f"{count} pictures of {mean:.0f} bytes on average")


if __name__ == "__main__":
    main()
