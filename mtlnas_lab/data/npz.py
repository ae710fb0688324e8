"""Reads and checks the arrays of a pack: one `.npz` file of images and labels, which somebody else may have made.

Headers come first: nothing is allocated because a header claims it, nothing is unpickled, and whatever is wrong is a
DataError of one line that says where.
"""

from __future__ import annotations

import io
import math
import os
import stat
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..one_line import listed, printable
from ..tasks.task import (
    IGNORE,
    KINDS,
    Classification,
    Depth,
    Edges,
    Normals,
    Segmentation,
    Task,
    make_task,
)
from .inputs import parsing

LARGEST = 4 << 30  # bytes that a pack may hold, unless MTLNAS_LAB_PACK_GB says otherwise


SMALL = 16 << 20  # bytes that any pack may unpack to


RATIO = 200  # of what a larger one unpacks to, to its size on disk


HEADER = 1 << 14  # bytes in which an array's header must end


NAME = 1000  # characters of a class's name


UNIT = (0.8, 1.2)  # lengths of a normal that rounding explains


CROOKED = 0.1  # share of normals of other lengths that a pack may have


SPLITS = {  # {split: the names that it has in people's packs}
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


KEYS = {name: name for name in KINDS} | {
    "segmentation": "seg",
    "normals": "normal",
    "depth": "depth_mm",
    "edges": "edge",
    "scene": "scene10",
    "gender": "gender_from_title",
}


NOT_NPZ = "not a readable .npz file"


VALID = ("normal_valid", np.bool_, "N, H, W", "true = labelled")


LAYOUT = {  # of a task's array on disk
    Segmentation: (np.uint8, "N, H, W", "0 = unlabelled, classes from 1"),
    Normals: (np.int8, "N, H, W, 3", "127 stands for 1"),
    Depth: (np.uint16, "N, H, W", "millimetres, 0 = unlabelled"),
    Edges: (np.uint8, "N, H, W", "0, 1, 255 = unlabelled"),
    Classification: (np.signedinteger, "N", "-1 = unknown, classes from 0"),
}


BUILT_IN = tuple(LAYOUT)  # kinds of tasks, before anybody registers one


KNOWN = tuple(KEYS)  # their names


MOST = {Segmentation: 254, Classification: 10_000}  # classes that a task may have


def register(
    task: str, kind: type[Task], layout: tuple[type, str, str] | None = None, key: str = ""
) -> None:
    """Let packs hold labels of your own: for `task`, an array `key` (by default the task's name), as `kind` has them.

        register("parts", Segmentation)
        register("floor", FreeFloor, (np.floating, "N", "share of the picture that is floor"))

    A class of your own needs a layout: (type, axes, meaning) as in LAYOUT. Its targets are what is stored, channels first; what
    is not a label, its loss decides. Raises DataError for a name or a key that the lab uses itself.
    """
    key = key or task
    taken = {"image"} | {KEYS[other] for other in KEYS if other != task}
    own_class = kind not in BUILT_IN
    if task in KNOWN or key in taken or own_class != bool(layout):
        raise DataError(
            f"task {task!r} of {kind.__name__} as the array {key!r}: give a name and a key that the lab does not "
            "use yet, and a layout if (and only if) the class is your own"
        )
    KINDS[task] = kind
    KEYS[task] = key
    if layout:
        LAYOUT[kind] = layout


@dataclass(frozen=True)
class Entry:
    """An array in a file, known by its header and read when numpy asks for it."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        with parsing(self.path, NOT_NPZ), np.load(self.path, allow_pickle=False) as file:
            return file[self.key]


def entries(path, split: str | None = None) -> dict[str, Entry]:
    """{key: array} of a pack's file, or of one split where it has splits (keys `train/image`, …). Raises DataError."""
    arrays = _headers(Path(path))
    there = splits(arrays)
    if split not in (there or [None]):
        choice = f"choose {listed(there)}" if there else "leave it out"
        raise DataError(f"{path}: has no split {split!r}; {choice}")
    found = {key: entry for key, entry in arrays.items() if "/" not in key}  # of all splits
    for key, entry in arrays.items():
        if key.startswith(f"{split}/"):
            found[key.removeprefix(f"{split}/")] = entry
    return found


def splits(pack) -> tuple[str, ...]:
    """The splits that a pack's file (or its arrays) has, as it calls them: `train`, `val`, `test`, or none."""
    arrays = pack if isinstance(pack, Mapping) else _headers(Path(pack))
    return tuple(dict.fromkeys(key.partition("/")[0] for key in arrays if "/" in key))


def known_splits(path) -> dict[str, str]:
    """{"train", "val", "test": what the pack's file calls it}, of those that it has. Raises DataError for two of one."""
    found: dict[str, str] = {}
    for name in splits(path):
        for split, names in SPLITS.items():
            if name.lower() not in names:
                continue
            if split in found:
                raise DataError(
                    f"{path}: the splits {printable(found[split])} and {printable(name)} are both for "
                    f"{split}; keep one of them"
                )
            found[split] = name
    return found


def split_to_score(path) -> str | None:
    """Which split of a pack is scored: its test split, else the only one; None where it has no splits."""
    known = known_splits(path)
    if "test" in known:
        return known["test"]
    there = splits(path)
    if not there:
        return None
    if len(there) > 1:
        raise DataError(f"{path}: has no test split to score; its splits are {listed(there)}")
    return there[0]


def pack_name(path, split: str | None) -> str:
    """What errors call a pack, or a split of it."""
    if not split:
        return str(path)
    return f"{path} ({printable(split)})"


def described(path, split: str | None = None) -> tuple[tuple[int, ...], dict[str, tuple[str, ...]]]:
    """((N, H, W), {task: names of its classes, empty where there are none}) of a pack or a split, by headers alone."""
    name = pack_name(path, split)
    arrays = entries(path, split)
    size = _image(arrays, name).shape[:3]
    found = {}
    for task in _tasks(arrays):
        kind = KINDS[task]
        _fitting(arrays, KEYS[task], *LAYOUT[kind], size, name)
        if kind is Normals:
            _fitting(arrays, *VALID, size, name)
        found[task] = _named(arrays, task, name) or ()
    return size, found


def checked(
    arrays: Mapping[str, np.ndarray], name: str, tasks: Iterable[str] | None, limit: int | None
) -> tuple[Tensor, dict[str, Tensor], dict[str, tuple[str, ...]]]:
    """(images, targets, labels) as a ImageDataset stores them, for these tasks or all there are; of `limit` images at most."""
    image = _image(arrays, name)
    if limit is not None and limit < 1:
        raise DataError(f"{name}: a limit of {limit} images leaves none; give 1 or more")
    have = _tasks(arrays)
    wanted = list(tasks) if tasks is not None else have
    for task in wanted:
        make_task(task, 2)  # it says what is wrong with a name
    missing = [task for task in wanted if task not in have]
    if missing or not wanted:
        what = ", ".join(missing) or "anything"
        raise DataError(
            f"{name}: cannot teach {what}; it has labels for {', '.join(have) or 'no task'}"
        )
    targets = {}
    labels = {}
    for task in wanted:
        targets[task], names = _target(arrays, task, image.shape[:3], name, limit)
        if names:
            labels[task] = names
    return _channels_first(np.asarray(image)[:limit]), targets, labels


def _tasks(arrays: Mapping) -> list[str]:
    """The tasks that there are labels for."""
    return [task for task, key in KEYS.items() if key in arrays]


def _image(arrays: Mapping, name: str):
    """The array of images, by its header. Raises DataError where that does not fit."""
    image = arrays.get("image")
    if image is None:
        raise DataError(f"{name}: has no array 'image'; it has {listed(sorted(arrays))}")
    if image.dtype != np.uint8 or len(image.shape) != 4 or image.shape[-1] != 3 or 0 in image.shape:
        nan = ""
        if image.dtype.kind == "f" and np.isnan(np.asarray(image)).any():
            nan = " with NaN"
        raise DataError(
            f"{name}: image is {_kind(image)} of shape {image.shape}{nan}, but must be uint8 of shape "
            "(N, H, W, 3): store RGB as whole numbers 0..255"
        )
    return image


def names_key(task: str) -> str:
    """The key of the array that names a task's classes."""
    if task == "gender":
        return "gender_names"
    return f"{KEYS[task]}_names"


def _target(
    arrays: Mapping, task: str, size: Sequence[int], pack: str, limit: int | None
) -> tuple[Tensor, tuple[str, ...]]:
    """(one label a picture, as a pack stores it, for `limit` pictures at most; names of the classes). Raises DataError."""
    key = KEYS[task]
    kind = KINDS[task]
    x = _take(arrays, key, *LAYOUT[kind], size, pack)[:limit]
    labels: tuple[str, ...] = ()
    if kind in (Segmentation, Classification):
        first = int(kind is Segmentation)  # the number of the first class on disk
        labels = _labels(arrays, task, first, x, pack)
        none = first - 1
        last = len(labels) + none
        allowed = f"{len(labels)} classes allow {none}..{last}"
        _must_be((x >= none) & (x <= last), allowed, x, key, pack)
        valid = x >= first
    elif kind is Normals:
        labelled = _take(arrays, *VALID, size, pack)[:limit]
        x = np.where(labelled[..., None], x, 0).clip(-127)
        valid = x != 0
        _must_be_directions(x, key, pack)
    elif kind is Depth:
        valid = x > 0
    elif kind is Edges:
        _must_be((x <= 1) | (x == IGNORE), "an edge is 0, 1 or 255", x, key, pack)
        valid = x != IGNORE
    else:
        valid = np.ones(1, bool)  # its class knows
    if not valid.any():
        raise DataError(f"{pack}: {key} labels nothing in {len(x)} images ({LAYOUT[kind][2]})")
    if x.ndim == 4:
        return _channels_first(x), labels
    if kind is Classification:
        x = x.astype(np.int64)
    elif x.dtype.kind == "u" and x.dtype.itemsize == 2:  # torch computes little in it
        wide = np.int16 if x.max() < 1 << 15 else np.int32
        x = x.astype(wide)
    target = torch.from_numpy(np.array(x))
    if kind in (Depth, Edges):
        target = target[:, None]
    return target, labels


def _must_be(good: np.ndarray, allowed: str, x: np.ndarray, key: str, pack: str) -> None:
    """Raise DataError with the first number that is not good."""
    if not good.all():
        where = np.unravel_index(good.argmin(), good.shape)
        raise DataError(f"{pack}: {key} is {x[where]} in image {where[0]}, but {allowed}")


def _must_be_directions(x: np.ndarray, key: str, pack: str) -> None:
    """Raise DataError unless nearly all labelled vectors are of length 1, which 127 stands for."""
    low, high = ((127 * length) ** 2 for length in UNIT)
    crooked = 0
    labelled = 0
    first = None
    for number, image in enumerate(x):  # one by one: no copy of all in a wider type
        square = np.square(image, dtype=np.int32).sum(-1)
        wrong = (square > 0) & ((square < low) | (square > high))
        labelled += int((square > 0).sum())
        crooked += int(wrong.sum())
        if first is None and wrong.any():
            first = number, math.sqrt(square[wrong][0]) / 127
    if first and crooked > CROOKED * labelled:
        raise DataError(
            f"{pack}: {key} holds vectors that are not of length 1 ({crooked} of {labelled}, the first in image "
            f"{first[0]} of length {first[1]:.2f}); store 127 times each component, from -127 to 127, and false in "
            "normal_valid where there is none"
        )


def _take(
    arrays: Mapping, key: str, dtype: type, axes: str, meaning: str, size: Sequence[int], pack: str
) -> np.ndarray:
    return np.asarray(_fitting(arrays, key, dtype, axes, meaning, size, pack))


def _fitting(
    arrays: Mapping, key: str, dtype: type, axes: str, meaning: str, size: Sequence[int], pack: str
):
    """The array under `key`, by its header. Raises DataError where it is missing or does not fit."""
    if key not in arrays:
        raise DataError(f"{pack}: needs the array {key!r} too")
    array = arrays[key]
    sides = dict(zip("NHW", size)) | {"3": 3}
    shape = tuple(sides[axis] for axis in axes.split(", "))
    if array.shape != shape or not np.issubdtype(array.dtype, dtype):
        raise DataError(
            f"{pack}: {key} is {_kind(array)} of shape {array.shape}, but must be {dtype.__name__} of shape "
            f"({axes}) = {shape}: {meaning}"
        )
    return array


def _kind(array) -> str:
    """An array's type in a few letters; one of many fields could fill a page."""
    return printable(array.dtype)[:60]


def _labels(arrays: Mapping, task: str, first: int, x: np.ndarray, pack: str) -> tuple[str, ...]:
    named = _named(arrays, task, pack)
    if named is not None:
        return named
    known = {"seg13": 13, "seg40": 40}.get(task, max(2, int(x.max()) + 1 - first))
    most = MOST[KINDS[task]]
    if known > most:
        raise DataError(
            f"{pack}: {KEYS[task]} is {x.max()} in image {np.unravel_index(x.argmax(), x.shape)[0]}, so it would have "
            f"{known} classes; at most {most} can be told apart: number them without gaps"
        )
    return numbered(task, known)


def numbered(task: str, count: int) -> tuple[str, ...]:
    """What classes without names are called: by their numbers on disk."""
    first = int(KINDS[task] is Segmentation)
    return tuple(str(number) for number in range(first, first + count))


def _named(arrays: Mapping, task: str, pack: str) -> tuple[str, ...] | None:
    """The names of a task's classes; None where the pack has none, or the task is not of classes."""
    kind = KINDS[task]
    key = names_key(task)
    names = arrays.get(key)
    if names is None or kind not in MOST:
        return None
    first = int(kind is Segmentation)  # number of the first name that is of a class
    most = MOST[kind]
    text = len(names.shape) == 1 and names.dtype.kind == "U"
    if not text or not first + 2 <= names.shape[0] <= first + most:
        after = ""
        if first:
            after = ", after one for unlabelled"
        raise DataError(
            f"{pack}: {key} must list 2 to {most} classes as text{after}; "
            f"it is {_kind(names)} of shape {names.shape}"
        )
    if names.dtype.itemsize > 4 * NAME:
        raise DataError(f"{pack}: {key} has room for names of over {NAME} letters; shorten them")
    if not names.dtype.itemsize:
        return ("",) * (names.shape[0] - first)
    text = np.ascontiguousarray(np.asarray(names))
    letters = np.dtype(np.uint32).newbyteorder(text.dtype.byteorder)
    codes = text.view(letters).reshape(len(text), -1)
    # Python has no such letters, and would fail somewhere far from here.
    wrong = (codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))
    if wrong.any():
        raise DataError(f"{pack}: {key}[{int(wrong.any(1).argmax())}] is not text: damaged")
    return tuple(text[first:].tolist())


def _channels_first(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def _headers(path: Path) -> dict[str, Entry]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in it
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: no such file; give the path of a pack (.npz)")
    found = {}
    with parsing(path, NOT_NPZ), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _must_fit(path, members, status.st_size)
        for member in members:
            key = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                shape, dtype = _header(stream.read(HEADER))
            if dtype.hasobject:
                raise DataError(
                    f"{path}: {listed([key])} holds Python objects, which are never loaded; store a plain array"
                )
            if min(shape, default=0) < 0:
                raise ValueError(f"{key} has a side below 0")
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{key} is shorter than its header says")
            found[key] = Entry(path, key, shape, dtype)
    return found


def _header(beginning: bytes) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, type) of an array, from the beginning of its file; no more than that is unpacked for it."""
    formats = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    stream = io.BytesIO(beginning)
    shape, _, dtype = formats[np.lib.format.read_magic(stream)](stream)
    return shape, dtype


def _must_fit(path: Path, members: Sequence[zipfile.ZipInfo], on_disk: int) -> None:
    """Raise DataError for more than fits in memory, by what the file says of itself and by what it can hold."""
    asked = os.environ.get("MTLNAS_LAB_PACK_GB")
    try:
        largest = int(float(asked) * (1 << 30)) if asked is not None else LARGEST
    except (ValueError, OverflowError):
        largest = 0
    if largest < 1:
        raise DataError(f"MTLNAS_LAB_PACK_GB = {asked!r}: give a number of GiB above 0, as in 8")
    size = sum(member.file_size for member in members)
    if size > largest or len(members) > 1000:
        raise DataError(
            f"{path}: unpacks to over {largest / (1 << 30):.3g} GiB or 1000 arrays, too much to keep in memory; "
            "where there is room for it, MTLNAS_LAB_PACK_GB=8 allows 8 GiB"
        )
    if asked is None and size > max(SMALL, RATIO * on_disk):
        raise DataError(
            f"{path}: unpacks to {size / (1 << 20):.0f} MiB, {size // max(1, on_disk)} times its size, as no images "
            "do; if it is meant to, MTLNAS_LAB_PACK_GB=4 allows 4 GiB"
        )
