"""Packs of labelled images, batches of them, and the two halves that teach w and α.

A pack is kept whole in memory, in compact types, and decoded batch by batch. Every batch is a function of a seed and of
its number alone, so whoever knows a stream's position can continue it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from . import packfile
from ._torchvision import torchvision
from .errors import DataError
from .tasks import (
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

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB

Batch = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Pack:
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
    ) -> Pack:
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
    ) -> Pack:
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

    def subset(self, index: Tensor) -> Pack:
        """These images alone."""
        return self._each(lambda x: x[index.to(x.device)])

    def to(self, device) -> Pack:
        """The same pack on a device, where its batches are then made."""
        return self._each(lambda x: x.to(device))

    def soon(self, index: Tensor, tasks: Iterable[str]) -> None:
        """The next call of `batch` will be for these. Here they are in memory; a lazy pack begins to read them."""

    def _each(self, change: Callable[[Tensor], Tensor]) -> Pack:
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


def augment(
    image: Tensor,
    targets: Mapping[str, Tensor],
    generator: torch.Generator,
    zoom: float = 0.7,
    jitter: float = 0.2,
) -> Batch:
    """A batch seen otherwise: each image mirrored or not, all zoomed into one box, contrast and brightness changed.

    A mirror negates the x of normals. The box has a share of `zoom` to 1 of each side (one draw for the batch) and is
    brought back to full size: images bilinearly, labels by the nearest pixel. What looks nearer is taken to be nearer:
    depth is multiplied by that share, while normals keep their directions. Each image is multiplied by 1 ± `jitter`
    around ImageNet's mean and shifted by ± `jitter` of its deviation.
    """
    count, _, height, width = image.shape
    view, wrap = _views()
    share, down, right = torch.rand(3, generator=generator).tolist()
    box = [max(1, round((zoom + (1 - zoom) * share) * side)) for side in (height, width)]
    corner = [int(down * (height - box[0] + 1)), int(right * (width - box[1] + 1))]
    mirrored = (torch.rand(count, generator=generator) < 0.5).to(image.device)
    contrast, brightness = (
        jitter * (2 * torch.rand(2, count, 1, 1, 1, generator=generator) - 1)
    ).to(image.device)

    def seen(x, kind=None):
        x = view.resized_crop(
            wrap.get(kind, wrap[Depth])(x), *corner, *box, [height, width], antialias=False
        )
        return torch.where(
            mirrored.view(-1, *[1] * (x.ndim - 1)), view.horizontal_flip(x), x
        ).as_subclass(Tensor)

    targets = {
        name: seen(x, KINDS[name]) if KINDS[name].dense else x for name, x in targets.items()
    }
    nearer = {name: x * (box[0] / height) for name, x in targets.items() if KINDS[name] is Depth}
    return seen(image) * (1 + contrast) + brightness, targets | nearer


@functools.cache
def _views():
    """torchvision's functional transforms, and {kind of target: the tv_tensor it becomes in them} (None: the image)."""
    torchvision()
    from torchvision import tv_tensors
    from torchvision.transforms.v2 import functional as view

    class NormalMap(tv_tensors.TVTensor):
        """(…, 3, H, W) vectors. What has no kernel below, such as a rotation, torchvision refuses."""

    def register(transform, kernel):
        view.register_kernel(transform, NormalMap)(
            lambda x, *args, **options: tv_tensors.wrap(
                kernel(x.as_subclass(Tensor), *args, **options), like=x
            )
        )

    register(view.horizontal_flip, lambda x: x.flip(-1) * x.new_tensor([-1, 1, 1]).view(3, 1, 1))
    register(view.crop, view.crop_mask)
    register(view.resize, lambda x, size, **_: view.resize_mask(x, size))
    register(
        view.resized_crop,
        lambda x, top, left, height, width, size, **_: view.resized_crop_mask(
            x, top, left, height, width, size
        ),
    )
    masks = dict.fromkeys((Segmentation, Depth, Edges), tv_tensors.Mask)
    return view, {None: tv_tensors.Image, Normals: NormalMap, **masks}


class Batches(Iterator):
    """An endless stream of (image, targets). Batch t depends on the seed and on t alone; `position`, the number of the
    next batch, is its whole state and can be set.

    `indices(epoch)` lists an epoch's images, equally many each time. An epoch has `length` batches (by default as many
    as the list fills), which go on at the list's beginning where it is too short. Raises DataError: less than a batch.
    """

    def __init__(
        self,
        pack: Pack,
        tasks: Iterable[str],
        batch_size: int,
        indices: Callable[[int], Tensor],
        seed,
        augment: bool = True,
        position: int = 0,
        length: int | None = None,
    ):
        self.pack, self.tasks, self.batch_size, self.seed = pack, tuple(tasks), batch_size, seed
        self.indices, self.augment, self.position = (
            functools.lru_cache(2)(indices),
            augment,
            position,
        )
        images = len(indices(0))
        if not 1 <= batch_size <= images:
            raise DataError(
                f"{pack.name}: {images} of its {len(pack)} images make no batch of {batch_size}; give "
                + (f"a batch size of 1 to {images}" if images else "more images")
            )
        self.length = images // batch_size if length is None else length

    def __next__(self) -> Batch:
        batch = self.pack.batch(self._images(self.position), self.tasks)
        self.pack.soon(self._images(self.position + 1), self.tasks)
        if self.augment:
            batch = augment(*batch, _generator("augment", self.seed, self.position))
        self.position += 1
        return batch

    def _images(self, position: int) -> Tensor:
        epoch, number = divmod(position, self.length)
        index = self.indices(epoch)
        return index[
            torch.arange(number * self.batch_size, (number + 1) * self.batch_size) % len(index)
        ]


def split(
    pack: Pack,
    tasks: Iterable[str],
    batch_size: int,
    seed: int,
    fraction: float = 0.5,
    redraw: bool = True,
    augment: bool = True,
) -> tuple[Batches, Batches]:
    """The two streams of a search: for w (`fraction` of the images) and for α (the rest).

    `redraw`: the halves are drawn anew each epoch, as released, or once. Both streams count epochs by w's batches, so
    that no image teaches both within an epoch. Raises DataError where a half is less than a batch.
    """
    tasks, count = tuple(tasks), int(len(pack) * fraction)

    def indices(half, part, epoch):
        drawn = torch.randperm(
            len(pack), generator=_generator("split", seed, epoch if redraw else 0)
        )[part]
        return drawn[torch.randperm(len(drawn), generator=_generator("order", seed, half, epoch))]

    length = max(1, count // max(1, batch_size))
    return tuple(
        Batches(
            pack,
            tasks,
            batch_size,
            functools.partial(indices, half, part),
            (seed, half),
            augment,
            length=length,
        )
        for half, part in (("weights", slice(count)), ("alpha", slice(count, None)))
    )


def whole(
    pack: Pack, tasks: Iterable[str], batch_size: int, seed: int, augment: bool = True
) -> Batches:
    """One stream over all images, in another order each epoch: for pretraining and baselines."""

    def indices(epoch):
        return torch.randperm(len(pack), generator=_generator("whole", seed, epoch))

    return Batches(pack, tasks, batch_size, indices, (seed, "whole"), augment)


def sequential(
    pack: Pack, tasks: Iterable[str] | None = None, batch_size: int = 32
) -> Iterator[Batch]:
    """Each image once, in order and as it is, the last batch perhaps short: for evaluation."""
    tasks = pack.tasks if tasks is None else tuple(tasks)
    parts = torch.arange(len(pack)).split(batch_size)
    for index, following in zip(parts, (*parts[1:], parts[0][:0])):
        pack.soon(following, tasks)
        yield pack.batch(index, tasks)


def _generator(*key) -> torch.Generator:
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
