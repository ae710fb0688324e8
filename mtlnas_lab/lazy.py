"""A pack whose images are read as batches ask for them: for folders, any `torch` Dataset, more than memory holds.

Threads read (Pillow lets go of Python's lock while it decodes), streams say what comes next, and what was read stays
in memory up to a budget: the first images that came stay, because an epoch asks for each image once and would push out
every other before its turn. Batches hold the same numbers as those of an ordinary pack of the same images.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .data import Batch, Pack
from .errors import DataError
from .tasks import IGNORE, KINDS, UNKNOWN, Classification, Depth, Edges, Normals, Segmentation

HEIGHT, STEP = 96, 16  # of images, unless a size is asked for; widths are multiples


class Raw(NamedTuple):
    """A picture or a label as it was found, at full size: (H, W), (H, W, 3), or what an image has as a whole. `decode`
    is applied once it is small: it gives classes from 0 (255 = none), directions, metres, or shares of all classes."""

    array: np.ndarray
    where: str  # what errors call it
    decode: Callable[[np.ndarray], np.ndarray] = np.asarray


Open = Callable[[int, Sequence[str]], tuple[tuple[int, int], Mapping[str, Raw]]]
"""open(number, keys) gives an image's own (H, W), and of "image" and the tasks in `keys` what it has."""


class Cache:
    """Images by number, each {"image": …, task: …} as a pack stores them. read(number, keys) reads some of one, in
    `workers` threads; `memory_gb` GiB of what was read are kept."""

    def __init__(
        self,
        read: Callable[[int, Sequence[str]], dict[str, Tensor]],
        memory_gb: float,
        workers: int,
    ):
        self.read, self.room, self.kept = read, int(memory_gb * (1 << 30)), {}
        self.coming: dict[int, Future] = {}
        self.pool = ThreadPoolExecutor(workers, "mtlnas-lab-read")

    def soon(self, numbers: Iterable[int], keys: Sequence[str]) -> None:
        """Begin to read these."""
        for number in numbers:
            missing = [key for key in keys if key not in self.kept.get(number, ())]
            if missing and number not in self.coming:
                self.coming[number] = self.pool.submit(self.read, number, missing)

    def take(self, numbers: Sequence[int], keys: Sequence[str]) -> dict[str, Tensor]:
        """{key: (B, …)} of these, waiting for what is not read yet."""
        self.soon(numbers, keys)
        images = [self._image(number, keys) for number in numbers]
        return {key: torch.stack([image[key] for image in images]) for key in keys}

    def _image(self, number: int, keys: Sequence[str]) -> dict[str, Tensor]:
        held = self.kept.get(number, {})
        fresh = self.coming.pop(number).result() if number in self.coming else {}
        if missing := [
            key for key in keys if key not in held and key not in fresh
        ]:  # begun for other tasks
            fresh = fresh | self.read(number, missing)
        size = sum(x.nbytes for key, x in fresh.items() if key not in held)
        if size and size <= self.room:
            self.kept[number], self.room = fresh | held, self.room - size
        return fresh | held


@dataclass(frozen=True, eq=False)
class LazyPack(Pack):
    """`images` and `targets` hold one example, for shapes, types and the device that batches go to; `index` (N,) says
    which of the cache's images are in it; `about`: what a reader of data should know."""

    cache: Cache = None
    index: Tensor = None
    about: str = ""
    records: Sequence[Mapping[str, Path]] | None = None  # the files of the cache's images, and
    root: Path = Path()  # the folder that they lie in, where they come from files

    @classmethod
    def of(
        cls,
        name: str,
        count: int,
        open: Open,
        examples: Mapping[str, int],
        labels: Mapping[str, Sequence[str] | int] | None = None,
        size: tuple[int, int] | None = None,
        memory_gb: float = 4.0,
        workers: int | None = None,
    ) -> LazyPack:
        """`count` images of `open`; `examples` {"image" or task: the number of an image that has it}; `labels` {task:
        names of its classes, or how many}; `size` (H, W), by default 96 high; `memory_gb` GiB of images to keep;
        `workers`, by default one a core, up to 16. Raises DataError, for the examples at once."""
        if size is None:
            height, width = open(examples["image"], ())[0]
            size = HEIGHT, max(1, round(HEIGHT * width / height / STEP)) * STEP
        if memory_gb < 0 or min(size) < 1:
            raise DataError(
                f"{name}: {memory_gb} GiB of images of {size[0]} × {size[1]}; give more"
            )
        labels = {
            task: _names(name, task, (labels or {}).get(task), open(number, (task,))[1][task].array)
            for task, number in examples.items()
            if task != "image" and KINDS[task] in (Segmentation, Classification)
        }

        def read(number: int, keys: Sequence[str]) -> dict[str, Tensor]:
            full, found = open(number, keys)
            return {
                key: _picture(found[key], size)
                if key == "image"
                else _label(key, found[key], full, size, labels.get(key, ()))
                if key in found
                else none[key]
                for key in keys
            }

        shown = {key: read(number, (key,))[key] for key, number in examples.items()}
        none = {
            key: torch.full_like(
                x, UNKNOWN if x.dtype == torch.int64 else IGNORE if KINDS.get(key) is Edges else 0
            )
            for key, x in shown.items()
        }
        shown = {key: x[None] for key, x in shown.items()}
        cache = Cache(
            read, memory_gb, min(16, os.cpu_count() or 1) if workers is None else max(1, workers)
        )
        return cls(shown.pop("image"), shown, labels, name, cache, torch.arange(count))

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, index: Tensor, tasks: Iterable[str] | None = None) -> Batch:
        """As Pack's; page-locked on its way to a GPU. Raises DataError for what is missing, damaged or does not fit."""
        tasks = self.tasks if tasks is None else tuple(tasks)
        return self._held(index, tasks).batch(torch.arange(len(index)), tasks)

    def labelled(self, task: str) -> Tensor:
        """As Pack's, as far as it is known without reading: an image that has a file of labels has labels."""
        if self.records is None:
            return torch.ones(len(self), dtype=torch.bool)
        return torch.tensor([task in self.records[number] for number in self.index.tolist()])

    def soon(self, index: Tensor, tasks: Iterable[str]) -> None:
        self.cache.soon(self.index[index.cpu()].tolist(), ("image", *tasks))

    def subset(self, index: Tensor) -> LazyPack:
        return replace(self, index=self.index[index.cpu()])

    def read(self) -> Pack:
        """All of it in memory, as an ordinary pack."""
        return self._held(torch.arange(len(self)), self.tasks)

    def _held(self, index: Tensor, tasks: Sequence[str]) -> Pack:
        device = self.images.device
        held = self.cache.take(self.index[index.cpu()].tolist(), ("image", *tasks))
        if device.type == "cuda":
            held = {key: x.pin_memory() for key, x in held.items()}
        held = {key: x.to(device, non_blocking=True) for key, x in held.items()}
        return Pack(held.pop("image"), held, self.labels, self.name)


def from_dataset(
    dataset,
    labels: Mapping[str, Sequence[str] | int] | None = None,
    tasks: Iterable[str] | None = None,
    size: tuple[int, int] | None = None,
    memory_gb: float = 4.0,
    workers: int | None = None,
    name: str = "dataset",
) -> LazyPack:
    """A pack of a `torch.utils.data.Dataset`, or a list, of dicts {"image": …, task: …}, read as it is needed.

    Tensors have channels first, arrays and PIL images last. image: uint8, or float from 0 to 1. Dense classes (H, W):
    whole numbers from 0, 255 = none. normals: 3 channels, zero = none. depth (H, W): metres, 0 = none. edges (H, W): 0,
    1, 255 = none. The class of an image: a number, -1 = none, or the shares of all classes (C,). What an item lacks, or
    has as None, it does not teach.

    `tasks`: by default those of the first item. `labels`, `size`, `memory_gb`, `workers`: as in LazyPack.of; so many
    threads ask for items at a time. Raises DataError for an item that does not fit, once it is asked for.
    """

    def open(number: int, keys: Sequence[str]):
        try:
            found = {
                key: _array(value)
                for key, value in dataset[number].items()
                if value is not None and (key == "image" or key in KINDS)
            }
        except Exception as error:
            raise DataError(
                f"{name}: item {number} is no dict of images and labels "
                f"({type(error).__name__}: {error})"
            ) from error
        image = found.get("image", np.zeros(0))
        if image.ndim != 3:
            raise DataError(
                f"{name}: item {number} has no 'image' of three axes; of what the lab knows it has "
                f"{', '.join(found) or 'nothing'}"
            )
        if image.dtype.kind == "f":
            found["image"] = (255 * image).round().clip(0, 255).astype(np.uint8)
        return image.shape[:2], {key: Raw(x, f"{name}: item {number}") for key, x in found.items()}

    if not len(dataset):
        raise DataError(f"{name}: is empty")
    wanted = [key for key in open(0, ())[1] if key != "image"] if tasks is None else list(tasks)
    examples = {
        task: next((n for n in range(len(dataset)) if task in open(n, ())[1]), None)
        for task in wanted
    }
    if not wanted or None in examples.values():
        missing = ", ".join(task for task, n in examples.items() if n is None) or "anything"
        raise DataError(f"{name}: no item teaches {missing}; the lab knows {', '.join(KINDS)}")
    return LazyPack.of(
        name, len(dataset), open, {"image": 0} | examples, labels, size, memory_gb, workers
    )


# --- from what is found to what a pack stores -------------------------------------------------------------------------
def _array(value) -> np.ndarray:
    x = value.numpy(force=True) if isinstance(value, Tensor) else np.asarray(value)
    x = np.moveaxis(x, 0, -1) if isinstance(value, Tensor) and x.ndim == 3 else x
    return x[..., 0] if x.ndim == 3 and x.shape[2] == 1 else x


def _names(
    pack: str, task: str, given: Sequence[str] | int | None, example: np.ndarray
) -> tuple[str, ...]:
    if given is None and example.ndim != 1:  # else the shares of all classes
        raise DataError(
            f"{pack}: {task} needs its classes, their number or their names: labels={{{task!r}: 13}}"
        )
    given = len(example) if given is None else given
    return tuple(map(str, range(given) if isinstance(given, int) else given))


def _picture(raw: Raw, size: tuple[int, int]) -> Tensor:
    """(3, H, W) uint8, averaged down."""
    from PIL import Image

    x = raw.array
    if x.ndim != 3 or x.shape[2] != 3 or x.dtype != np.uint8:
        raise DataError(
            f"{raw.where}: is {x.dtype} of shape {x.shape}, but an image is uint8 of shape (H, W, 3)"
        )
    if x.shape[:2] != tuple(size):
        x = np.asarray(Image.fromarray(x).resize(size[::-1], Image.Resampling.BILINEAR))
    return torch.from_numpy(np.moveaxis(x, -1, 0).copy())


def _label(
    task: str, raw: Raw, full: tuple[int, int], size: tuple[int, int], labels: Sequence[str]
) -> Tensor:
    """What a Pack stores of a label, `size` large: the pixel in the middle of each. `full`: its image's own size."""
    x, kind = raw.array, KINDS[task]
    if kind.dense:
        shape = (*full, 3) if kind is Normals else tuple(full)
        if x.shape != shape:
            raise DataError(
                f"{raw.where}: {task} is of shape {x.shape}, but its image of {full[0]} × {full[1]} pixels "
                f"asks for {shape}"
            )
        rows, columns = (
            ((np.arange(n) + 0.5) * whole / n).astype(int) for n, whole in zip(size, full)
        )
        x = x[rows[:, None], columns]
    x = np.asarray(raw.decode(x))
    if kind is Normals:
        length = np.linalg.norm(
            x, axis=-1, keepdims=True
        )  # black, white and grey are no directions
        x = np.where(abs(length - 1) < 0.5, 127 * x / np.maximum(length, 0.5), 0)
        return torch.from_numpy(np.moveaxis(x.round().astype(np.int8), -1, 0).copy())
    if kind is Depth:
        x = 1000 * np.nan_to_num(x, nan=0, posinf=0, neginf=0)
        return torch.from_numpy(x.round().clip(0, 1e6).astype(np.int32))[None]
    if kind is Classification and x.ndim == 1:
        if len(x) != len(labels) or not (np.isfinite(x).all() and x.min() >= 0 and x.sum() > 0):
            raise DataError(
                f"{raw.where}: {task} must hold the shares of {len(labels)} classes, none below 0"
            )
        return torch.from_numpy((x / x.sum()).astype(np.float32))
    if kind in (Segmentation, Edges, Classification):
        none, allowed = (
            UNKNOWN if kind is Classification else IGNORE,
            2 if kind is Edges else len(labels),
        )
        wrong = x[(x != none) & ~((x >= 0) & (x < allowed))]
        if x.dtype.kind not in "uib" or wrong.size:
            raise DataError(
                f"{raw.where}: {task} is {wrong.flat[0] if wrong.size else x.dtype}, but must be a whole "
                f"number from 0 to {allowed - 1}, or {none} for none"
            )
    if kind is Segmentation:
        return torch.from_numpy((x.astype(int) + 1).astype(np.uint8))  # 255 becomes 0
    if kind is Classification:
        return torch.tensor(int(x))
    return (
        torch.from_numpy(x.astype(np.uint8))[None]
        if kind is Edges
        else torch.from_numpy(np.array(x))
    )
