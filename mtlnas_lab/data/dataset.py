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
from . import npz as packfile

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB


Batch = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labelled images. `images` (N, 3, H, W) uint8. `targets` {task: (N, …)} as stored: dense classes uint8, 0 is
    unlabelled; normals int8, 127 is 1; depth in mm; edges uint8; image classes int64. `labels` {task: class names}."""

    images: Tensor
    targets: Mapping[str, Tensor]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    name: str = "pack"

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
        name = f"{path} ({packfile.printable(split)})" if split else str(path)
        return cls.from_arrays(packfile.entries(path, split), name, tasks, limit)

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
        return cls(*packfile.checked(arrays, name, tasks, limit), name)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that it can teach."""
        return tuple(self.targets)

    def __len__(self) -> int:
        return len(self.images)

    def make_tasks(self, names: Iterable[str] | None = None) -> dict[str, Task]:
        """{name: Task} for these names (or all), with this pack's classes. Raises DataError, TaskError."""
        names = self.tasks if names is None else tuple(names)
        self.check({name: make_task(name, self.labels.get(name, 2)) for name in names})
        made = {name: make_task(name, self.labels.get(name)) for name in names}
        shares = {
            name for name in names if KINDS[name] is Classification and self.targets[name].ndim == 2
        }
        return {
            name: replace(task, soft=True) if name in shares else task
            for name, task in made.items()
        }

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
                    f"others; both packs need the same list {packfile.names_key(name)}"
                )

    def labelled(self, task: str) -> Tensor:
        """(N,) bool: which images have a label of the task at all."""
        target = self.targets[task].flatten(1 if self.targets[task].ndim > 1 else 0)
        there = _labels_something(KINDS[task], target)
        return there.any(1) if there.ndim > 1 else there

    def first_dense_pair(self) -> tuple[str, str]:
        """Two tasks to start with: classes and something else at every pixel; else article and colour; else any two."""
        dense = [task for task in self.tasks if KINDS[task].dense]
        areas = [task for task in dense if KINDS[task] is Segmentation]
        pairs = [
            areas[:1] + [task for task in dense if task not in areas],
            ["article", "colour"],
            self.tasks,
        ]
        for first, second, *_ in (
            pair for pair in pairs if len(pair) > 1 and {*pair} <= {*self.tasks}
        ):
            return first, second
        raise DataError(
            f"{self.name}: a search needs two tasks; it has labels for {', '.join(self.tasks) or 'none'}"
        )

    def batch(self, index: Tensor, tasks: Iterable[str] | None = None) -> Batch:
        """Images `index` (B,) as (B, 3, H, W) float, less ImageNet's mean, over its deviation; and {task: target}."""
        index = index.to(self.images.device)
        mean, std = (255 * torch.tensor(v, device=index.device).view(3, 1, 1) for v in (MEAN, STD))
        targets = {
            name: self.targets[name][index] for name in (self.tasks if tasks is None else tasks)
        }
        return (self.images[index] - mean) / std, {
            name: _decode(KINDS[name], x) for name, x in targets.items()
        }

    def subset(self, index: Tensor) -> ImageDataset:
        """These images alone."""
        return self._each(lambda x: x[index.to(x.device)])

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
        )


def _labels_something(kind: type[Task], stored: Tensor) -> Tensor:
    """Where a target, as it is stored, is a label."""
    if kind is Edges:
        return stored != IGNORE
    if kind is Classification and not stored.is_floating_point():
        return stored != UNKNOWN
    if kind in packfile.BUILT_IN:
        return stored != 0
    return torch.ones_like(stored, dtype=torch.bool)  # its class knows


def _decode(kind: type[Task], stored: Tensor) -> Tensor:
    if kind is Segmentation:
        return torch.where(stored == 0, IGNORE, stored.long() - 1)
    if kind is Normals:
        stored = stored.float()
        return stored / stored.square().sum(1, keepdim=True).clamp(min=1).sqrt()
    return stored / 1000 if kind is Depth else stored


def picture(image: Tensor) -> np.ndarray:
    """One image of a batch (3, H, W) as (H, W, 3) uint8."""
    mean, std = (torch.tensor(v, device=image.device).view(3, 1, 1) for v in (MEAN, STD))
    return ((image * std + mean).clamp(0, 1) * 255).round().byte().movedim(0, -1).cpu().numpy()
