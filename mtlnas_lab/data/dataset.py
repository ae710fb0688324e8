"""Packs of labelled images, batches of them, and the two halves that teach w and α.

A pack is kept whole in memory, in compact types, and decoded batch by batch. Every batch is a function of a seed and of
its number alone, so whoever knows a stream's position can continue it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..tasks.task import (
    IGNORE,
    KINDS,
    UNKNOWN,
    Classification,
    Depth,
    Edges,
    Normals,
    Segmentation,
    Task,
    make_task,
)
from ..values import MOST, whole
from . import npz

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's RGB


STD = (0.229, 0.224, 0.225)


Batch = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labelled images in memory, in compact types; `batch` decodes those that are asked for.

    Attributes:
        images: (N, 3, H, W) uint8, RGB.
        targets: {task: (N, …)} as a pack stores them: dense classes (N, H, W) uint8, 0 = unlabelled, classes from 1;
            normals (N, 3, H, W) int8, 127 is 1; depth (N, 1, H, W) in millimetres, 0 = unlabelled; edges (N, 1, H, W)
            uint8, 255 = unlabelled; image classes (N,) int64, -1 = unknown.
        labels: {task: names of its classes}, of tasks that have classes.
        name: What errors call it.
        strata: (N,) int64, groups of images that are to be spread evenly over the two halves of a search; None: they are
            drawn as they come.

    Example:
        >>> import torch
        >>> from mtlnas_lab import ImageDataset
        >>> from mtlnas_lab.data.rooms import render
        >>> pack = ImageDataset.from_arrays(render(4, size=16))
        >>> len(pack), pack.tasks
        (4, ('segmentation', 'normals', 'depth', 'edges', 'room'))
        >>> image, targets = pack.batch(torch.tensor([0, 2]), ["depth"])
        >>> image.shape, targets["depth"].shape
        (torch.Size([2, 3, 16, 16]), torch.Size([2, 1, 16, 16]))
    """

    images: Tensor
    targets: Mapping[str, Tensor]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    name: str = "pack"
    strata: Tensor | None = field(default=None, kw_only=True)

    @classmethod
    def load(
        cls,
        path,
        split: str | None = None,
        tasks: Iterable[str] | None = None,
        limit: int | None = None,
    ) -> ImageDataset:
        """Read a pack's file, or one split of it ("train", "val", "test") where it has splits.

        `tasks`: read only these; `limit`: only so many images. Raises DataError for a file that is missing, damaged, no
        pack, over 4 GiB or with Python objects in it, and for all that `from_arrays` refuses.
        """
        arrays = npz.entries(path, split)
        return cls.from_arrays(arrays, npz.pack_name(path, split), tasks, limit)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        name: str = "pack",
        tasks: Iterable[str] | None = None,
        limit: int | None = None,
    ) -> ImageDataset:
        """A pack of arrays under the keys of a pack's file; `name` is how errors call it.

        Raises DataError for missing keys, wrong shapes or types, lengths that disagree, labels out of range, and tasks
        without one label; TaskError for a task that the lab does not know.
        """
        return cls(*npz.checked(arrays, name, tasks, limit), name)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that it can teach."""
        return tuple(self.targets)

    def __len__(self) -> int:
        return len(self.images)

    def make_tasks(self, names: Iterable[str] | None = None) -> dict[str, Task]:
        """{name: Task} for these names (or all), with this pack's classes. Raises DataError, TaskError."""
        names = self.tasks if names is None else tuple(names)
        # Unknown names and tasks that it has no labels for are told of first: both before missing classes.
        self.check({name: make_task(name, self.labels.get(name, 2)) for name in names})
        made = {}
        for name in names:
            made[name] = make_task(name, self.labels.get(name))
            if KINDS[name] is Classification and self.targets[name].ndim == 2:  # shares of classes
                made[name] = replace(made[name], soft=True)
        return made

    def check(self, tasks: Mapping[str, Task]) -> None:
        """Raise DataError unless this pack has labels for these tasks, and the same classes."""
        for name, task in tasks.items():
            labels = self.labels.get(name, ())
            if name not in self.targets:
                raise DataError(
                    f"{self.name}: cannot teach {name}; it has labels for {', '.join(self.tasks)}"
                )
            if task.labels and task.labels != labels:
                raise DataError(
                    f"{self.name}: {name} has {len(labels)} classes here, {task.channels} in the task, or "
                    f"others; both packs need the same list {npz.names_key(name)}"
                )

    def labelled(self, task: str) -> Tensor:
        """(N,) bool: which images have a label of the task at all."""
        there = _labels_something(KINDS[task], self.targets[task])
        if there.ndim > 1:
            there = there.flatten(1).any(1)
        return there

    def first_dense_pair(self) -> tuple[str, str]:
        """Two tasks to start with: classes and something else at every pixel; else article and colour; else any two."""
        dense = [task for task in self.tasks if KINDS[task].dense]
        areas = [task for task in dense if KINDS[task] is Segmentation]
        others = [task for task in dense if task not in areas]
        if areas and others:
            return areas[0], others[0]
        if len(others) > 1:
            return others[0], others[1]
        if {"article", "colour"} <= {*self.tasks}:  # the two of product photos that tell most
            return "article", "colour"
        if len(self.tasks) > 1:
            return self.tasks[0], self.tasks[1]
        raise DataError(
            f"{self.name}: a search needs two tasks; it has labels for {', '.join(self.tasks) or 'none'}"
        )

    def batch(self, index: Tensor, tasks: Iterable[str] | None = None) -> Batch:
        """Images `index` (B,) as (B, 3, H, W) float, less ImageNet's mean, over its deviation; and {task: target}."""
        index = index.to(self.images.device)
        if tasks is None:
            tasks = self.tasks
        mean = _colour(MEAN, index.device) * 255
        std = _colour(STD, index.device) * 255
        targets = {name: _decode(KINDS[name], self.targets[name][index]) for name in tasks}
        return (self.images[index] - mean) / std, targets

    def subset(self, index: Tensor) -> ImageDataset:
        """These images alone."""
        return self._each(lambda x: x[index.to(x.device)])

    def with_few_labels(self, counts: Mapping[str, int], seed: int) -> ImageDataset:
        """The same images, of which only so many keep their label of a task; the others count as unlabelled.

        An image's class is kept equally often for each class, as far as there are images. The images that keep a label
        are spread evenly over the two halves of a search.

        Args:
            counts: {task: how many images keep its label}.
            seed: Draws which.

        Raises:
            DataError: For a task without labels here, for more images than have one, and for a task of somebody else's
                class, whose unlabelled value is not known.
        """
        targets = dict(self.targets)
        strata = torch.zeros(len(self), dtype=torch.int64)
        for task, count in counts.items():
            self.check({task: make_task(task, self.labels.get(task, 2))})
            if KINDS[task] not in npz.BUILT_IN:
                raise DataError(
                    f"{self.name}: how {task} says “unlabelled” is not known, so no label can go"
                )
            kept = self._drawn(task, count, seed)
            strata = 2 * strata + kept
            targets[task] = _unlabelled(KINDS[task], targets[task], ~kept)
        return replace(self, targets=targets, strata=strata)

    def _drawn(self, task: str, count: int, seed: int) -> Tensor:
        """(N,) bool: `count` images that have a label of the task, of each class equally many where images have one."""
        labelled = self.labelled(task).cpu()
        there = labelled.nonzero()[:, 0]
        count = whole(f"labels of {task}", count, 1, MOST)
        if count > len(there):
            raise DataError(f"{self.name}: {len(there)} images have a label of {task}, not {count}")
        generator = torch.Generator().manual_seed(seed % 2**64)
        order = there[torch.randperm(len(there), generator=generator)]
        stored = self.targets[task].cpu()
        if (
            stored.ndim == 1
        ):  # one class an image: first one of each class, then a second one of each, …
            seen: dict[int, int] = {}
            rounds = []
            for image in order.tolist():
                label = int(stored[image])
                rounds.append(seen.get(label, 0))
                seen[label] = rounds[-1] + 1
            order = order[torch.tensor(rounds).argsort(stable=True)]
        kept = torch.zeros(len(self), dtype=torch.bool)
        kept[order[:count]] = True
        return kept

    def to(self, device) -> ImageDataset:
        """The same pack on a device, where its batches are then made."""
        return self._each(lambda x: x.to(device))

    def prefetch(self, index: Tensor, tasks: Iterable[str]) -> None:
        """The next call of `batch` will be for these. Here they are in memory; a lazy pack begins to read them."""

    def _each(self, change: Callable[[Tensor], Tensor]) -> ImageDataset:
        return replace(
            self,
            images=change(self.images),
            targets={name: change(x) for name, x in self.targets.items()},
            strata=None if self.strata is None else change(self.strata),
        )


def _labels_something(kind: type[Task], stored: Tensor) -> Tensor:
    """Where a target, as it is stored, is a label."""
    if kind is Edges:
        return stored != IGNORE
    if kind is Classification and not stored.is_floating_point():
        return stored != UNKNOWN
    if kind in npz.BUILT_IN:
        return stored != 0
    return torch.ones_like(stored, dtype=torch.bool)  # its class knows


def _unlabelled(kind: type[Task], stored: Tensor, which: Tensor) -> Tensor:
    """A target in which the images `which` (N,) have no label."""
    nothing = 0
    if kind is Edges:
        nothing = IGNORE
    elif kind is Classification and not stored.is_floating_point():
        nothing = UNKNOWN
    changed = stored.clone()
    changed[which.to(stored.device)] = nothing
    return changed


def _decode(kind: type[Task], stored: Tensor) -> Tensor:
    if kind is Segmentation:
        return torch.where(stored == 0, IGNORE, stored.long() - 1)
    if kind is Normals:  # bytes are of length 127 only about; zero stays zero
        stored = stored.float()
        return stored / stored.square().sum(1, keepdim=True).clamp(min=1).sqrt()
    if kind is Depth:
        return stored / 1000
    return stored


def _colour(rgb: tuple[float, ...], device) -> Tensor:
    """A colour as (3, 1, 1), to compute with images."""
    return torch.tensor(rgb, device=device).view(3, 1, 1)


def picture(image: Tensor) -> np.ndarray:
    """One image of a batch (3, H, W) as (H, W, 3) uint8."""
    shares = image * _colour(STD, image.device) + _colour(MEAN, image.device)
    return (shares.clamp(0, 1) * 255).round().byte().movedim(0, -1).cpu().numpy()
