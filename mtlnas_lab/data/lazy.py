"""A pack whose images are read as batches ask for them: for folders, any `torch` Dataset, more than memory holds.

Threads read (Pillow lets go of Python's lock while it decodes), streams say what comes next, and what was read stays
in memory up to a budget: the first images that came stay, because an epoch asks for each image once and would push out
every other before its turn. Batches hold the same numbers as those of an ordinary pack of the same images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path

import torch
from torch import Tensor

from ..cores import usable_cores
from ..errors import DataError
from ..tasks.task import IGNORE, KINDS, UNKNOWN, Classification, Edges, Segmentation, Task
from . import stored
from .dataset import Batch, ImageDataset
from .inputs import PIXELS, say_once
from .loader import sequential
from .stored import Raw, handed_over

HEIGHT = 96  # of images, unless a size is asked for


STEP = 16  # their widths are multiples of it


LOOKED_AT = 64  # items that may have no edge before their 255 is taken for the edges


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
        self.read = read
        self.room = int(memory_gb * (1 << 30))  # bytes that are still free
        self.kept: dict[int, dict[str, Tensor]] = {}
        self.coming: dict[int, Future] = {}
        self.pool = ThreadPoolExecutor(workers, "mtlnas-lab-read")

    def prefetch(self, numbers: Iterable[int], keys: Sequence[str]) -> None:
        """Begin to read these."""
        for number in numbers:
            missing = [key for key in keys if key not in self.kept.get(number, ())]
            if missing and number not in self.coming:
                self.coming[number] = self.pool.submit(self.read, number, missing)

    def take(self, numbers: Sequence[int], keys: Sequence[str]) -> dict[str, Tensor]:
        """{key: (B, …)} of these, waiting for what is not read yet."""
        self.prefetch(numbers, keys)
        images = [self._image(number, keys) for number in numbers]
        batch = {}
        for key in keys:
            batch[key] = torch.stack([image[key] for image in images])
        return batch

    def _image(self, number: int, keys: Sequence[str]) -> dict[str, Tensor]:
        held = self.kept.get(number, {})
        fresh = self.coming.pop(number).result() if number in self.coming else {}
        missing = [key for key in keys if key not in held and key not in fresh]
        if missing:  # it was begun for other tasks
            fresh = fresh | self.read(number, missing)
        image = fresh | held
        size = sum(x.nbytes for key, x in fresh.items() if key not in held)
        if 0 < size <= self.room:  # what came first stays: see the beginning of this file
            self.kept[number] = image
            self.room -= size
        return image


@dataclass(frozen=True, eq=False)
class LazyImageDataset(ImageDataset):
    """`images` and `targets` hold one example, for shapes, types and the device that batches go to; `index` (N,) says
    which of the cache's images are in it; `about`: what a reader of data should know."""

    cache: Cache = None
    index: Tensor = None
    about: str = ""
    records: Sequence[Mapping[str, Path]] | None = None  # the files of the cache's images, and
    root: Path = Path()  # the folder that they lie in, where they come from files

    @classmethod
    def from_reader(
        cls,
        name: str,
        count: int,
        open: Open,
        examples: Mapping[str, int],
        labels: Mapping[str, Sequence[str] | int] | None = None,
        size: tuple[int, int] | None = None,
        memory_gb: float = 4.0,
        workers: int | None = None,
    ) -> LazyImageDataset:
        """`count` images of `open`; `examples` {"image" or task: the number of an image that has it}; `labels` {task:
        names of its classes, or how many}; `size` (H, W), by default 96 high; `memory_gb` GiB of images to keep;
        `workers`, by default one a core, up to 16. Raises DataError, for the examples at once."""
        if size is None:
            height, width = open(examples["image"], ())[0]
            size = HEIGHT, max(1, round(HEIGHT * width / height / STEP)) * STEP
        _check_options(name, size, memory_gb)
        classes = _classes(name, open, examples, labels or {})

        def read_one(key: str, full: tuple[int, int], found: Mapping[str, Raw]) -> Tensor:
            if key == "image":
                return stored.picture(found[key], size)
            if key not in found:
                return none[key]
            x = stored.label(key, found[key], full, size, classes.get(key, ()))
            if key in none and (x.shape, x.dtype) != (none[key].shape, none[key].dtype):
                raise DataError(
                    f"{found[key].where}: {key} is a class for some images and shares of all classes for others; "
                    "give one of them for all"
                )
            return x

        none: dict[str, Tensor] = {}  # what an image without a label has

        def read(number: int, keys: Sequence[str]) -> dict[str, Tensor]:
            full, found = open(number, keys)
            return {key: read_one(key, full, found) for key in keys}

        example = {key: read(number, (key,))[key] for key, number in examples.items()}
        for key, x in example.items():
            none[key] = torch.full_like(x, _nothing(key, x))
        for task in example:
            if task != "image":
                numbers = range(examples[task], count)
                _check_labels(name, task, numbers, open, read_one, len(classes.get(task, ())))
        if workers is None:
            workers = min(16, usable_cores())
        cache = Cache(read, memory_gb, max(1, workers))
        targets = {key: x[None] for key, x in example.items()}
        images = targets.pop("image")
        return cls(images, targets, classes, name, cache=cache, index=torch.arange(count))

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, index: Tensor, tasks: Iterable[str] | None = None) -> Batch:
        """As ImageDataset's; page-locked on its way to a GPU. Raises DataError for what is missing, damaged or does not fit."""
        if tasks is None:
            tasks = self.tasks
        tasks = tuple(tasks)
        return self._held(index, tasks).batch(torch.arange(len(index)), tasks)

    def labelled(self, task: str) -> Tensor:
        """As ImageDataset's, as far as it is known without reading: an image that has a file of labels has labels."""
        if self.records is None:
            return torch.ones(len(self), dtype=torch.bool)
        return torch.tensor([task in self.records[number] for number in self.index.tolist()])

    def prefetch(self, index: Tensor, tasks: Iterable[str]) -> None:
        self.cache.prefetch(self.index[index.cpu()].tolist(), ("image", *tasks))

    def with_few_labels(self, counts: Mapping[str, int], seed: int) -> ImageDataset:
        """Raises DataError: which images have a label is known only when all are read."""
        raise DataError(
            f"{self.name}: labels can be taken away only from images in memory; make a pack of these files first"
        )

    def subset(self, index: Tensor) -> LazyImageDataset:
        return replace(self, index=self.index[index.cpu()])

    def read(self) -> ImageDataset:
        """All of it in memory, as an ordinary pack."""
        return self._held(torch.arange(len(self)), self.tasks)

    def _held(self, index: Tensor, tasks: Sequence[str]) -> ImageDataset:
        device = self.images.device
        held = self.cache.take(self.index[index.cpu()].tolist(), ("image", *tasks))
        if device.type == "cuda":
            held = {key: x.pin_memory() for key, x in held.items()}
        held = {key: x.to(device, non_blocking=True) for key, x in held.items()}
        return ImageDataset(held.pop("image"), held, self.labels, self.name)


def from_dataset(
    dataset,
    labels: Mapping[str, Sequence[str] | int] | None = None,
    tasks: Iterable[str] | None = None,
    size: tuple[int, int] | None = None,
    memory_gb: float = 4.0,
    workers: int | None = None,
    name: str = "dataset",
) -> LazyImageDataset:
    """A pack of a `torch.utils.data.Dataset`, or a list, of dicts {"image": …, task: …}, read as it is needed.

    Tensors have channels first, arrays and PIL images last. image: uint8, or float from 0 to 1. Dense classes (H, W):
    whole numbers from 0, at most 255 classes, 255 = none. normals: 3 channels of length 1, zero or NaN = none. depth
    (H, W): metres up to 1000, 0 or NaN = none. edges (H, W): 0, 1, 255 = none. The class of an image: a number, -1 =
    none, or the shares of all classes (C,). What an item lacks, or has as None, it does not teach. Any type of numbers
    that can hold these does.

    `tasks`: by default those of the first item. `labels`, `size`, `memory_gb`, `workers`: as in LazyImageDataset.from_reader; so many
    threads ask for items at a time. Raises DataError for an item that does not fit, once it is asked for.
    """

    def open(number: int, keys: Sequence[str]):
        where = f"{name}: item {number}"
        try:
            item = {key: value for key, value in dataset[number].items() if value is not None}
        except Exception as error:
            raise DataError(
                f"{where} is not a dict of images and labels ({type(error).__name__}: {error})"
            ) from error
        found = {}
        for key, value in item.items():
            if key == "image" or key in KINDS:
                found[key] = Raw(handed_over(value, f"{where}: its {key}"), where)
        if "image" not in found or found["image"].array.ndim != 3:
            raise DataError(
                f"{where} has no 'image' of three axes; of what the lab knows it has "
                f"{', '.join(found) or 'nothing'}"
            )
        return found["image"].array.shape[:2], found

    unknown = [task for task in (labels or {}) if task not in KINDS]
    if unknown:
        raise DataError(
            f"{name}: labels for {', '.join(map(repr, unknown))}; the lab knows {', '.join(KINDS)}"
        )
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise DataError(
            f"{name}: a {type(dataset).__name__} has no length or no items by number; give a Dataset or a list"
        )
    if not len(dataset):
        raise DataError(f"{name}: is empty")
    if tasks is None:
        _, found = open(0, ())
        tasks = [key for key in found if key != "image"]
    examples = {"image": 0}
    missing = []
    for task in tasks:
        number = _first_with(task, open, len(dataset))
        if number is None:
            missing.append(task)
        examples[task] = number
    if missing or len(examples) == 1:
        what = ", ".join(missing) or "anything"
        raise DataError(f"{name}: no item teaches {what}; the lab knows {', '.join(KINDS)}")
    return LazyImageDataset.from_reader(
        name, len(dataset), open, examples, labels, size, memory_gb, workers
    )


def _first_with(task: str, open: Open, count: int) -> int | None:
    """Number of the first item that has a label of the task."""
    for number in range(count):
        _, found = open(number, ())
        if task in found:
            return number
    return None


def tell_of_missing_labels(packs: Mapping[str, ImageDataset], tasks: Mapping[str, Task]) -> None:
    """Say, before anything is trained, which split has no label for which task: its scores would be NaN. Raises DataError
    where that split is "train". A pack is gone through until each task has a label, most often with the first images."""
    for split, pack in packs.items():
        missing = _without_labels(pack, tasks)
        if not missing:
            continue
        line = f"{pack.name}: none of its {len(pack)} images has a label for {', '.join(missing)}"
        if split == "train":
            raise DataError(f"{line}, so there is nothing to learn it from; leave it out")
        say_once(f"{line}, so its scores of {split} will be NaN; give other images for that")


def _without_labels(pack: ImageDataset, tasks: Mapping[str, Task]) -> list[str]:
    """Which of the tasks that a pack has targets for have no label in it."""
    missing = [name for name in tasks if name in pack.targets]
    if not missing:
        return []
    for _, targets in sequential(pack, missing, 16):
        missing = [name for name in missing if not tasks[name].labelled(targets[name])]
        if not missing:
            break
    return missing


def _classes(
    name: str,
    open: Open,
    examples: Mapping[str, int],
    given: Mapping[str, Sequence[str] | int],
) -> dict[str, tuple[str, ...]]:
    """{task: names of its classes} of all tasks that have some. Raises DataError."""
    found = {}
    for task, number in examples.items():
        if task == "image" or KINDS[task] not in (Segmentation, Classification):
            continue
        _, raw = open(number, (task,))
        found[task] = stored.class_names(name, task, given.get(task), raw[task].array)
    return found


def _nothing(key: str, x: Tensor) -> int:
    """What stands for no label where `x` is stored."""
    if x.dtype == torch.int64:
        return UNKNOWN
    if KINDS.get(key) is Edges:
        return IGNORE
    return 0


def _check_options(name: str, size: tuple[int, int], memory_gb: float) -> None:
    good = len(size) == 2 and all(isinstance(side, Integral) and side >= 1 for side in size)
    if not good or size[0] * size[1] > PIXELS:
        raise DataError(
            f"{name}: images of {' × '.join(map(str, size))}; give a height and a width of 1 or more, at most {PIXELS} "
            "pixels in all"
        )
    if not 0 <= memory_gb < 1 << 20:  # NaN, too
        raise DataError(
            f"{name}: {memory_gb} GiB of images to keep; give a number of GiB from 0 up, as in 4"
        )


def _check_labels(
    name: str, task: str, numbers: Iterable[int], open: Open, read_one: Callable, classes: int
) -> None:
    """Raise DataError for a task that no image teaches, and for masks of 0 and 255, of which 255 would be no label.

    Most packs pass with their first image. Images are gone through until one has a label, and until one of LOOKED_AT
    shows that a foreground is 1.
    """
    looked = 0
    masks = 0
    labelled = False
    judged = False  # whether it is known that 255 is not the foreground
    for number in numbers:
        full, found = open(number, (task,))
        if task not in found:
            continue
        looked += 1
        labelled = labelled or stored.is_labelled(task, read_one(task, full, found))
        if not judged:
            raw = found[task]
            mask = stored.looks_like_a_mask(task, raw.decode(raw.array), classes)
            masks += mask is True
            judged = mask is False
        if labelled and (judged or looked >= LOOKED_AT):
            break
    if masks and not judged:
        raise DataError(
            f"{name}: {task} holds 0 and 255 and never 1 in {looked} images, but 255 stands for no label; give 1 for what "
            "is there"
        )
    if not labelled:
        raise DataError(
            f"{name}: no image has a label for {task}; {looked} say only that they have none"
        )
