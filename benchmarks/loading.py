"""How long a search waits for its images: python benchmarks/loading.py. Shares of its time, on a folder of NYU v2's
layout that is written for it (pictures of 480 × 640, brought to 96 × 128), and on the same images in memory.

`read`: waiting until a batch's images are decoded. `batch`: that and all else up to the augmented batch, which a pack
in memory costs too.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from PIL import Image

from mtlnas_lab.core.search import Search, SearchConfig
from mtlnas_lab.data import loader
from mtlnas_lab.data.folders import open_folder
from mtlnas_lab.experiments.presets import make_lab

FULL, BATCH = (480, 640), 8


def write(root: Path, count: int) -> int:
    """Smooth pictures with some grain, so that PNG has as much to do as with photographs; bytes of a picture."""
    rng, lists = np.random.default_rng(0), {"seg": [], "normal_mask": []}
    (root / "list").mkdir()
    for n in range(count):
        smooth = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize(
            FULL[::-1]
        )
        image = (
            (np.asarray(smooth).astype(int) + rng.integers(-4, 5, (*FULL, 3)))
            .clip(0, 255)
            .astype(np.uint8)
        )
        a, b = np.moveaxis(2 * np.pi * np.asarray(smooth)[..., :2] / 255, -1, 0)
        normal = np.stack([np.cos(a), np.sin(a) * np.cos(b), np.sin(a) * np.sin(b)], -1)
        normal = ((normal + 1) * 127.5).round().astype(np.uint8)
        for kind, array in (
            ("", image),
            ("_seg", np.asarray(smooth)[..., 0] // 7),
            ("_normal", normal),
        ):
            Image.fromarray(array).save(root / f"{n}{kind}.png")
        lists["seg"].append(f"/{n}.png /{n}_seg.png\n")
        lists["normal_mask"].append(f"/{n}.png /{n}_normal.png\n")
    for kind, lines in lists.items():
        (root / "list" / f"training_{kind}.txt").write_text("".join(lines))
        (root / "list" / f"testing_{kind}.txt").write_text("".join(lines[:2]))
    return (root / "0.png").stat().st_size


class Timed:
    """A stream that knows how long each batch took."""

    def __init__(self, stream):
        self.stream, self.seconds = stream, []

    def __iter__(self):
        return self

    def __next__(self):
        start = time.perf_counter()
        batch = next(self.stream)
        self.seconds.append(time.perf_counter() - start)
        return batch


def measure(lab, pack, steps: int, lazy: bool) -> dict[str, list[float]]:
    """Seconds of each step, of its two batches, and of waiting for reading in them."""
    streams = [Timed(stream) for stream in loader.split(pack, tuple(lab.tasks), BATCH, seed=0)]
    search, waited = Search(lab, SearchConfig(steps=10**6), *streams), [0.0]
    found = {"step": [], "batch": [], "read": []}
    if lazy:
        take = type(pack.cache).take

        def timed(*arguments):
            start = time.perf_counter()
            taken = take(pack.cache, *arguments)
            waited[0] += time.perf_counter() - start
            return taken

        pack.cache.take = timed
    for _ in range(steps):
        waited[0], start = 0.0, time.perf_counter()
        search.step()
        found["step"].append(time.perf_counter() - start)
        found["batch"].append(sum(stream.seconds[-1] for stream in streams))
        found["read"].append(waited[0])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workers", type=int, help="by default one a core")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    epoch = arguments.images // 2 // BATCH
    print(
        f"{datetime.date.today()}  {os.cpu_count()} cores, {arguments.threads} thread(s), "
        f"load {os.getloadavg()[0]:.1f}, torch {torch.__version__}\n{' '.join(['python', *sys.argv])}"
    )
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder), arguments.images)
        print(
            f"{arguments.images} images of {FULL[0]} × {FULL[1]} ({size // 1000} kB as PNG) with two labels each, to "
            f"96 × 128; {epoch} steps of 2 × {BATCH} images an epoch"
        )
        for name, memory_gb, epochs in (
            ("a folder, its first epoch", 4.0, 1),
            ("from its third epoch", 4.0, 4),
            ("without memory to keep images", 0.0, 1),
            ("a pack in memory", None, 1),
        ):
            pack = open_folder(
                folder, memory_gb=memory_gb or 0.0, workers=arguments.workers, hold=()
            )["train"]
            lab = make_lab("tiny", {"train": pack})
            if memory_gb is None:
                pack = pack.read()
            found = measure(lab, pack, epochs * epoch, memory_gb is not None)
            late = {key: values[2 * epoch if epochs > 2 else 0 :] for key, values in found.items()}
            read, batch = (sum(late[key]) / sum(late["step"]) for key in ("read", "batch"))
            step = 1e3 * statistics.median(late["step"])
            print(f"    {name:30} step {step:6.0f} ms   read {read:6.1%}   batch {batch:6.1%}")


if __name__ == "__main__":
    main()
