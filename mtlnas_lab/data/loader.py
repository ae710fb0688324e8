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
    """An endless stream of (image, targets). Batch t depends on the seed and on t alone.

    `position`, the number of the next batch, is the stream's whole state and can be set: so a search goes on where it
    stopped.

    Args:
        pack: The images.
        tasks: Names of the tasks whose targets come with them.
        batch_size: Images a batch.
        indices: `indices(epoch)` lists an epoch's images, equally many each time.
        seed: What flips, crops and colours are drawn from, together with a batch's number.
        augment: Whether they are drawn at all.
        position: Number of the first batch.
        length: Batches an epoch, by default as many as the list fills; they go on at the list's beginning where it is
            too short.

    Raises:
        DataError: for less than a batch.

    Example:
        >>> import torch
        >>> from mtlnas_lab import ImageDataset
        >>> from mtlnas_lab.data.loader import Batches
        >>> from mtlnas_lab.data.rooms import render
        >>> pack = ImageDataset.from_arrays(render(4, size=16))
        >>> stream = Batches(pack, ["depth"], 2, indices=lambda epoch: torch.arange(4), seed=0)
        >>> first, _ = next(stream)
        >>> stream.position, stream.length
        (1, 2)
        >>> stream.position = 0
        >>> again, _ = next(stream)
        >>> torch.equal(first, again)
        True
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
        self.pack = pack
        self.tasks = tuple(tasks)
        self.batch_size = batch_size
        self.seed = seed
        self.indices = functools.lru_cache(2)(indices)  # of this epoch and the next
        self.augment = augment
        self.position = position
        images = len(indices(0))
        if not 1 <= batch_size <= images:
            advice = f"a batch size of 1 to {images}" if images else "more images"
            raise DataError(
                f"{pack.name}: {images} of its {len(pack)} images make no batch of {batch_size}; give {advice}"
            )
        if length is None:
            length = images // batch_size
        self.length = length

    def __next__(self) -> Batch:
        batch = self.pack.batch(self._images(self.position), self.tasks)
        # Threads read the next batch while the network learns from this one.
        self.pack.prefetch(self._images(self.position + 1), self.tasks)
        if self.augment:
            batch = augment(*batch, _generator("augment", self.seed, self.position))
        self.position += 1
        return batch

    def _images(self, position: int) -> Tensor:
        epoch, number = divmod(position, self.length)
        index = self.indices(epoch)
        first = number * self.batch_size
        places = torch.arange(first, first + self.batch_size)
        return index[places % len(index)]


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
    tasks = tuple(tasks)
    count = int(len(pack) * fraction)
    length = max(1, count // max(1, batch_size))

    def stream(half: str, part: slice) -> Batches:
        def indices(epoch: int) -> Tensor:
            drawing = epoch if redraw else 0
            # Both halves draw the same permutation and take their part of it, so they never overlap.
            permuted = torch.randperm(len(pack), generator=_generator("split", seed, drawing))
            drawn = _spread(permuted, pack.strata)[part]
            order = torch.randperm(len(drawn), generator=_generator("order", seed, half, epoch))
            return drawn[order]

        return Batches(pack, tasks, batch_size, indices, (seed, half), augment, length=length)

    return stream("weights", slice(count)), stream("alpha", slice(count, None))


def _spread(permuted: Tensor, strata: Tensor | None) -> Tensor:
    """The images in an order in which every stretch holds its share of each group: of m images the k-th comes at k/m."""
    if strata is None:
        return permuted
    groups = strata.cpu()[permuted]
    at = torch.empty(len(permuted), dtype=torch.float64)
    for group in groups.unique():
        members = groups == group
        count = int(members.sum())
        at[members] = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return permuted[at.argsort(stable=True)]


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
    if tasks is None:
        tasks = pack.tasks
    tasks = tuple(tasks)
    parts = torch.arange(len(pack)).split(batch_size)
    for index, following in zip(parts, (*parts[1:], parts[0][:0])):
        pack.prefetch(following, tasks)
        yield pack.batch(index, tasks)


def _generator(*key) -> torch.Generator:
    # Python's own hash is another one in each process.
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
