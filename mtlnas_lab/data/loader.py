"""Batches of a data set: which images come when is a function of the seed and the batch's number."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from ..errors import DataError
from .augment import augment
from .dataset import Batch, ImageDataset


class Batches(Iterator):
    """An endless stream of (image, targets). Batch t depends on the seed and on t alone; `position`, the number of the
    next batch, is its whole state and can be set.

    `indices(epoch)` lists an epoch's images, equally many each time. An epoch has `length` batches (by default as many
    as the list fills), which go on at the list's beginning where it is too short. Raises DataError: less than a batch.
    """

    def __init__(
        self,
        pack: ImageDataset,
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
        self.pack.prefetch(self._images(self.position + 1), self.tasks)
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
    pack: ImageDataset,
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
    pack: ImageDataset, tasks: Iterable[str], batch_size: int, seed: int, augment: bool = True
) -> Batches:
    """One stream over all images, in another order each epoch: for pretraining and baselines."""

    def indices(epoch):
        return torch.randperm(len(pack), generator=_generator("whole", seed, epoch))

    return Batches(pack, tasks, batch_size, indices, (seed, "whole"), augment)


def sequential(
    pack: ImageDataset, tasks: Iterable[str] | None = None, batch_size: int = 32
) -> Iterator[Batch]:
    """Each image once, in order and as it is, the last batch perhaps short: for evaluation."""
    tasks = pack.tasks if tasks is None else tuple(tasks)
    parts = torch.arange(len(pack)).split(batch_size)
    for index, following in zip(parts, (*parts[1:], parts[0][:0])):
        pack.prefetch(following, tasks)
        yield pack.batch(index, tasks)


def _generator(*key) -> torch.Generator:
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
