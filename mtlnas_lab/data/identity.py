"""Which data a run is made with, image by image, so that a run that goes on later knows them again.

An image is known by what it shows (or, where images are read as needed, by its files' names and sizes), not by its place in
a pack. Which images are held out follows from that, too: an image keeps its split when others come or go.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import DataError, RunError
from .dataset import ImageDataset
from .lazy import LazyImageDataset

LETTERS = 12  # of an image's digest


LISTED = 40_000  # images that are recorded one by one; of more, only digests of all together


# --- what an image is -------------------------------------------------------------------------------------------------
def marks(pack: ImageDataset, tasks: Iterable[str] = ()) -> list[str] | None:
    """A digest of each image and of its labels for these tasks; None where a pack can't tell without reading all."""
    if not isinstance(pack, LazyImageDataset):
        return [_digest(parts) for parts in _stored(pack, tasks)]
    if pack.records is None:
        return None
    keys = ("image", *tasks)
    return [_digest(_files(pack, number, keys)) for number in pack.index.tolist()]


def _stored(pack: ImageDataset, tasks: Iterable[str]) -> Iterable[list[bytes]]:
    arrays = [pack.images, *(pack.targets[task] for task in tasks)]
    for number in range(len(pack)):
        yield [_bytes(array[number]) for array in arrays]


def _bytes(x: Tensor) -> bytes:
    if x.dtype == torch.int16:  # depth is stored in this or in int32, whichever is enough
        x = x.int()
    return x.cpu().contiguous().numpy().tobytes()


def _files(pack: LazyImageDataset, number: int, keys: Iterable[str]) -> list[bytes]:
    record = pack.records[number]
    parts = []
    for key in keys:
        if key not in record:
            continue
        try:
            size = os.stat(record[key]).st_size
        except OSError:
            size = -1  # reading it will say more
        name = os.path.relpath(record[key], pack.root)
        parts.append(f"{key} {name} {size}".encode())
    return parts


def _digest(parts: Iterable[bytes], letters: int = LETTERS) -> str:
    total = hashlib.blake2b(digest_size=letters // 2)
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))  # else ("ab", "c") would be ("a", "bc")
        total.update(part)
    return total.hexdigest()


# --- who is held out --------------------------------------------------------------------------------------------------
def draw(
    keys: Sequence[str],
    names: Sequence[str],
    share: float,
    labelled: Mapping[str, Sequence[bool]],
    what: str,
) -> dict[str, Tensor]:
    """{"train" and each of `names`: numbers of the things that are called `keys`}, a `share` of them in each of `names`.

    Things are ordered by a digest of their keys; the first are the last of `names` (the test images), and the training
    images come last. So where many come or go, a few may be validation images that were not, but training images do not
    become test images, nor these those. Each of `names` gets one at least, and one with a label of each task in `labelled`
    {task: which have one} where there are two. `what` is how errors call the data.
    """
    if not (share > 0 and share * len(names) < 1):
        raise DataError(
            f"{what}: a share of {share} held out for each of {', '.join(names)} leaves nothing to train on; "
            "give less, as in 0.1"
        )
    if len(keys) <= len(names):
        raise DataError(
            f"{what}: {len(keys)} images are few for train, {', '.join(names)}: give {len(names) + 1} or more"
        )
    digests = [_digest([key.encode("utf-8", "surrogatepass")]) for key in keys]
    order = sorted(range(len(keys)), key=lambda number: (digests[number], number))
    size = max(1, int(share * len(keys)))
    parts = [*reversed(names), "train"]
    owner = [""] * len(keys)
    for rank, number in enumerate(order):
        owner[number] = parts[min(rank // size, len(names))]
    for has in labelled.values():
        with_label = [number for number in order if has[number]]
        for name in names:
            if any(owner[number] == name for number in with_label):
                continue
            spare = [number for number in with_label if owner[number] == "train"]
            if len(spare) > 1:  # one stays: what is not trained cannot be scored either
                owner[spare[0]] = name
    drawn = {}
    for name in parts:
        numbers = [n for n, own in enumerate(owner) if own == name]
        drawn[name] = torch.tensor(numbers, dtype=torch.long)
    return drawn


def draw_by_number(count: int, names: Sequence[str], share: float) -> dict[str, Tensor]:
    """As `draw`, but by the number of a thing alone: how runs drew that do not say which data they were made with."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    size = max(1, int(share * count))
    sizes = [size] * len(names) + [count - size * len(names)]
    return dict(zip((*names, "train"), order.split(sizes)))


# --- what a run records -----------------------------------------------------------------------------------------------
def identity(
    packs: Mapping[str, ImageDataset],
    tasks: Iterable[str],
    drawn: bool,
    maps: Iterable[str] = (),
) -> dict:
    """What a run's config says of its data.

    Args:
        packs: {split: images}.
        tasks: Those that the run learns.
        drawn: The splits were drawn from one pack, not given with it.
        maps: What networks see of the data besides images: targets that need not be among the tasks.
    """
    tasks = tuple(tasks)
    seen = sorted({*maps} - {*tasks})
    stored = (*tasks, *seen)
    splits = {}
    single = sum(len(pack) for pack in packs.values()) <= LISTED
    for split, pack in packs.items():
        each = marks(pack, stored)
        if each is None:
            return {}
        splits[split] = {
            "images": len(pack),
            "all": _digest_of(each),
            "arrays": _arrays(pack, stored),
            "each": "",
        }
        if single:
            splits[split]["each"] = "".join(each)
    train = packs["train"]
    classes = {task: _classes(train, task) for task in tasks if task in train.labels}
    recorded = {"drawn": drawn, "tasks": list(tasks), "classes": classes, "splits": splits}
    if seen:  # else data are recorded as they always were
        recorded["maps"] = seen
    return recorded


def _stored_in(recorded: Mapping) -> tuple[str, ...]:
    """Which targets a run used: its tasks, and the maps that networks see."""
    return (*recorded["tasks"], *recorded.get("maps", ()))


def _digest_of(each: Iterable[str]) -> str:
    """One digest of the digests of many images."""
    return _digest(mark.encode() for mark in each)


def _arrays(pack: ImageDataset, tasks: Sequence[str]) -> dict[str, str]:
    if isinstance(pack, LazyImageDataset):
        return {}
    arrays = {"image": pack.images} | {task: pack.targets[task] for task in tasks}
    digests = {}
    for key, array in arrays.items():
        digests[key] = _digest(_bytes(image) for image in array)
    return digests


def _classes(pack: ImageDataset, task: str) -> str:
    return _digest(name.encode("utf-8", "surrogatepass") for name in pack.labels[task])


def checked(found: object) -> None:
    """Raise RunError for what can't be what `identity` gave."""
    if not found:
        return
    try:
        splits = found["splits"]
        classes = found["classes"]
        good = [isinstance(found["drawn"], bool), {*splits} <= {"train", "val", "test"}, splits]
        texts = [*_stored_in(found), *classes, *classes.values()]
        good += [isinstance(text, str) for text in texts]
        for split in splits.values():
            count = split["images"]
            each = split["each"]
            good += [type(count) is int, isinstance(each, str), len(each) in (0, count * LETTERS)]
            good += [isinstance(split["all"], str), isinstance(split["arrays"], Mapping)]
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"data_identity does not say what data are ({error!r})") from None
    if not all(good):
        raise RunError("data_identity does not say what data are: a value of another kind")


def short(recorded: Mapping) -> str:
    """A few letters for data that a run recorded, alike for the same data wherever they lie."""
    if not recorded:
        return "unknown"
    return _digest([json.dumps(recorded, sort_keys=True).encode()])


def restored(
    packs: Mapping[str, ImageDataset], recorded: Mapping, tell: Callable[[str], None]
) -> dict[str, ImageDataset]:
    """The packs as they were when the run began: each image in the split, and at the place, that it had.

    Images that are gone are told of. Raises DataError for other data: images that came, labels or classes that changed.
    """
    packs = dict(packs)
    used = _stored_in(recorded)
    for split, pack in packs.items():
        lost = [task for task in used if task not in pack.targets]
        if lost:
            raise _other(pack, f"it has no labels for {', '.join(lost)} in {split}")
    for task, digest in recorded["classes"].items():
        train = packs["train"]
        if task not in train.labels or _classes(train, task) != digest:
            raise _other(train, f"its classes of {task} were others, or in another order")
    now = {split: marks(pack, used) for split, pack in packs.items()}
    before = recorded["splits"]
    if not _same(now, before):
        return _rearranged(packs, now, recorded, tell)
    return {split: pack for split, pack in packs.items() if split in before}


def _same(now: Mapping[str, list[str] | None], before: Mapping[str, Mapping]) -> bool:
    """Whether all splits are those that were recorded, or cannot be told from them without reading everything."""
    if None in now.values():
        return True
    for split, kept in before.items():
        if split not in now or _digest_of(now[split]) != kept["all"]:
            return False
    return True


def _rearranged(
    packs: dict[str, ImageDataset], now: dict[str, list[str]], recorded: Mapping, tell: Callable
) -> dict[str, ImageDataset]:
    before = {split: _cut(kept["each"]) for split, kept in recorded["splits"].items()}
    count = sum(kept["images"] for kept in recorded["splits"].values())
    if not any(before.values()):  # too many images to record each
        raise _other(packs["train"], f"of its {count} images some came, went or changed")
    found, moved = _matched(now, before)
    known = sum(map(len, found.values()))
    came = sum(map(len, now.values())) - known
    if came or not known:
        hint = ""
        changed = _changed(packs, recorded)
        if changed:
            hint = f"; what differs: {changed}"
        why = f"of {count} images {known} are the same, {came} are new or changed{hint}"
        raise _other(packs["train"], why)
    if moved and not recorded["drawn"]:
        raise _other(packs["train"], f"{moved} images are in another split now")
    empty = [split for split, kept in found.items() if before[split] and not kept]
    if empty:
        raise _other(packs["train"], f"all images of {', '.join(empty)} are gone")
    if count > known:
        tell(
            f"{packs['train'].name}: {count - known} of the {count} images that the run began with are gone; the others "
            "stay in the split that they had"
        )
    starts = {}  # where the images of a split begin in all packs joined
    begin = 0
    for split, each in now.items():
        starts[split] = begin
        begin += len(each)
    whole = _joined([*packs.values()])
    made = {}
    for split, kept in found.items():
        index = [starts[place[0]] + place[1] for place in kept]
        made[split] = replace(whole.subset(torch.tensor(index)), name=packs[split].name)
    return made


Place = tuple[str, int]  # (split, number in it)


def _matched(
    now: Mapping[str, list[str]], before: Mapping[str, list[str]]
) -> tuple[dict[str, list[Place]], int]:
    """({split: where each image that it had is now, as far as it is there}, how many are in another split)."""
    places: dict[str, list[Place]] = {}
    for split, each in now.items():
        for number, mark in enumerate(each):
            places.setdefault(mark, []).append((split, number))
    found: dict[str, list[Place]] = {split: [] for split in before}
    moved = 0
    for split, each in before.items():
        for mark in each:
            there = places.get(mark)
            if not there:
                continue
            same = [place for place in there if place[0] == split]
            place = (same or there)[0]
            there.remove(place)  # of equal images, each stands for one
            if not same:
                moved += 1
            found[split].append(place)
    return found, moved


def _cut(each: str) -> list[str]:
    return [each[at : at + LETTERS] for at in range(0, len(each), LETTERS)]


def _changed(packs: Mapping[str, ImageDataset], recorded: Mapping) -> str:
    """Which arrays are not those that were recorded."""
    changed = []
    for split, kept in recorded["splits"].items():
        if split not in packs:
            continue
        for key, digest in _arrays(packs[split], _stored_in(recorded)).items():
            if kept["arrays"].get(key) != digest and key not in changed:
                changed.append(key)
    return ", ".join(changed)


def _joined(packs: Sequence[ImageDataset]) -> ImageDataset:
    first = packs[0]
    lazy = all(isinstance(pack, LazyImageDataset) for pack in packs)
    if lazy and all(pack.cache is first.cache for pack in packs):
        return replace(first, index=torch.cat([pack.index for pack in packs]))
    targets = {}
    for task in first.targets:
        if all(task in pack.targets for pack in packs):
            targets[task] = torch.cat([pack.targets[task] for pack in packs])
    return replace(first, images=torch.cat([pack.images for pack in packs]), targets=targets)


def _other(pack: ImageDataset, why: str) -> DataError:
    return DataError(
        f"{pack.name}: not the data that the run was made with: {why}; say where those are, or begin a new run"
    )
