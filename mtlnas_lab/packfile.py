"""Reads and checks the arrays of a pack: one `.npz` file of images and labels, which somebody else may have made.

Headers come first: nothing is allocated because a header claims it, nothing is unpickled, and whatever is wrong is a
DataError of one line that says where.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .errors import DataError
from .tasks import (
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

LARGEST = 4 << 30  # bytes that a pack may hold

KEYS = {name: name for name in KINDS} | {
    "segmentation": "seg",
    "normals": "normal",
    "depth": "depth_mm",
    "edges": "edge",
    "scene": "scene10",
    "gender": "gender_from_title",
}

LAYOUT = {  # of a task's array on disk
    Segmentation: (np.uint8, "N, H, W", "0 = unlabelled, classes from 1"),
    Normals: (np.int8, "N, H, W, 3", "127 stands for 1"),
    Depth: (np.uint16, "N, H, W", "millimetres, 0 = unlabelled"),
    Edges: (np.uint8, "N, H, W", "0, 1, 255 = unlabelled"),
    Classification: (np.signedinteger, "N", "-1 = unknown, classes from 0"),
}
BUILT_IN, KNOWN = tuple(LAYOUT), tuple(KEYS)


def register(
    task: str, kind: type[Task], layout: tuple[type, str, str] | None = None, key: str = ""
) -> None:
    """Let packs hold labels of your own: for `task`, an array `key` (by default the task's name), as `kind` has them.

        register("parts", Segmentation)
        register("floor", FreeFloor, (np.floating, "N", "share of the picture that is floor"))

    A class of your own needs a layout: (type, axes, meaning) as in LAYOUT. Its targets are what is stored, channels first; what
    is no label, its loss decides. Raises DataError for a name or a key that the lab uses itself.
    """
    if (
        task in KNOWN
        or (key or task) in {"image", *(KEYS[t] for t in KEYS if t != task)}
        or (kind in BUILT_IN) == bool(layout)
    ):
        raise DataError(
            f"task {task!r} of {kind.__name__} as the array {key or task!r}: give a name and a key that the lab does not "
            "use yet, and a layout if (and only if) the class is your own"
        )
    KINDS[task], KEYS[task] = kind, key or task
    LAYOUT.update({kind: layout} if layout else {})


@dataclass(frozen=True)
class Entry:
    """An array in a file, known by its header and read when numpy asks for it."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        with _parsing(self.path), np.load(self.path, allow_pickle=False) as file:
            return file[self.key]


def entries(path, split: str | None = None) -> dict[str, Entry]:
    """{key: array} of a pack's file, or of one split where it has splits (keys `train/image`, …). Raises DataError."""
    arrays = _headers(Path(path))
    there = splits(arrays)
    if split not in (there or [None]):
        choice = f"choose {', '.join(there)}" if there else "leave it out"
        raise DataError(f"{path}: has no split {split!r}; {choice}")
    own = {
        key.removeprefix(f"{split}/"): entry
        for key, entry in arrays.items()
        if key.startswith(f"{split}/")
    }
    return {key: entry for key, entry in arrays.items() if "/" not in key} | own


def splits(pack) -> tuple[str, ...]:
    """The splits that a pack's file (or its arrays) has: `train`, `val`, `test`, or none."""
    arrays = pack if isinstance(pack, Mapping) else _headers(Path(pack))
    return tuple(dict.fromkeys(key.partition("/")[0] for key in arrays if "/" in key))


def checked(
    arrays: Mapping[str, np.ndarray], name: str, tasks: Iterable[str] | None, limit: int | None
) -> tuple[Tensor, dict[str, Tensor], dict[str, tuple[str, ...]]]:
    """(images, targets, labels) as a Pack stores them, for these tasks or all there are; of `limit` images at most."""
    image = arrays.get("image")
    if image is None:
        raise DataError(
            f"{name}: has no array 'image'; it has {', '.join(sorted(arrays)) or 'none'}"
        )
    if image.dtype != np.uint8 or len(image.shape) != 4 or image.shape[-1] != 3 or 0 in image.shape:
        nan = " with NaN" if image.dtype.kind == "f" and np.isnan(np.asarray(image)).any() else ""
        raise DataError(
            f"{name}: image is {image.dtype} of shape {image.shape}{nan}, but must be uint8 of shape "
            "(N, H, W, 3): store RGB as whole numbers 0..255"
        )
    if limit is not None and limit < 1:
        raise DataError(f"{name}: a limit of {limit} images leaves none; give 1 or more")
    have = [task for task, key in KEYS.items() if key in arrays]
    wanted = have if tasks is None else list(tasks)
    for task in wanted:
        make_task(task, 2)
    if not wanted or set(wanted) - set(have):
        missing = ", ".join(task for task in wanted if task not in have) or "anything"
        raise DataError(
            f"{name}: cannot teach {missing}; it has labels for {', '.join(have) or 'no task'}"
        )
    read = {task: _target(arrays, task, image.shape[:3], name, limit) for task in wanted}
    images = _channels_first(np.asarray(image)[:limit])
    return (
        images,
        {task: target for task, (target, _) in read.items()},
        {task: labels for task, (_, labels) in read.items() if labels},
    )


def names_key(task: str) -> str:
    """The key of the array that names a task's classes."""
    return "gender_names" if task == "gender" else f"{KEYS[task]}_names"


def _target(
    arrays: Mapping, task: str, size: Sequence[int], pack: str, limit: int | None
) -> tuple[Tensor, tuple[str, ...]]:
    key, kind = KEYS[task], KINDS[task]
    x = _take(arrays, key, *LAYOUT[kind], size, pack)[:limit]
    labels, wrong, allowed = (), np.zeros(1, bool), ""
    if kind in (Segmentation, Classification):
        first = int(kind is Segmentation)  # the number of the first class on disk
        labels = _labels(arrays, task, first, x, pack)
        wrong, valid = (x < first - 1) | (x >= len(labels) + first), x >= first
        allowed = f"{len(labels)} classes allow {first - 1}..{len(labels) + first - 1}"
    elif kind is Normals:
        labelled = _take(
            arrays, "normal_valid", np.bool_, "N, H, W", "true = labelled", size, pack
        )[:limit]
        x = np.where(labelled[..., None], x, 0).clip(-127)
        valid = x != 0
    elif kind is Depth:
        valid = x > 0
    elif kind not in BUILT_IN:
        valid = np.ones(1, bool)  # its class knows
    else:
        wrong, valid, allowed = (x > 1) & (x != IGNORE), x != IGNORE, "an edge is 0, 1 or 255"
    if wrong.any():
        where = np.unravel_index(wrong.argmax(), wrong.shape)
        raise DataError(f"{pack}: {key} is {x[where]} in image {where[0]}, but {allowed}")
    if not valid.any():
        raise DataError(f"{pack}: {key} labels nothing in {len(x)} images ({LAYOUT[kind][2]})")
    if x.ndim == 4:
        return _channels_first(x), labels
    if x.dtype.kind == "u" and x.dtype.itemsize == 2:  # torch computes little in it
        x = x.astype(np.int16 if x.max() < 1 << 15 else np.int32)
    target = torch.from_numpy(np.array(x, np.int64 if kind is Classification else x.dtype))
    return (target[:, None] if kind in (Depth, Edges) else target), labels


def _take(
    arrays: Mapping, key: str, dtype: type, axes: str, meaning: str, size: Sequence[int], pack: str
) -> np.ndarray:
    if key not in arrays:
        raise DataError(f"{pack}: needs the array {key!r} too")
    array, shape = (
        arrays[key],
        tuple({**dict(zip("NHW", size)), "3": 3}[axis] for axis in axes.split(", ")),
    )
    if array.shape != shape or not np.issubdtype(array.dtype, dtype):
        raise DataError(
            f"{pack}: {key} is {array.dtype} of shape {array.shape}, but must be {dtype.__name__} of shape "
            f"({axes}) = {shape}: {meaning}"
        )
    return np.asarray(array)


def _labels(arrays: Mapping, task: str, first: int, x: np.ndarray, pack: str) -> tuple[str, ...]:
    names = arrays.get(names_key(task))
    if names is None:  # numbers stand in for names
        known = {"seg13": 13, "seg40": 40}.get(task, max(2, int(x.max()) + 1 - first))
        return tuple(str(number) for number in range(first, first + known))
    if (
        len(names.shape) != 1
        or names.dtype.kind != "U"
        or not first + 2 <= names.shape[0] <= first + 254
    ):
        raise DataError(
            f"{pack}: {names_key(task)} must list 2 to 254 classes as text"
            f"{', after one for unlabelled' if first else ''}"
        )
    return tuple(np.asarray(names)[first:].tolist())


def _channels_first(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def _headers(path: Path) -> dict[str, Entry]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the path of a pack (.npz)")
    formats = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    found = {}
    with _parsing(path), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > LARGEST or len(members) > 1000:
            raise DataError(
                f"{path}: unpacks to over {LARGEST >> 30} GiB or 1000 arrays, too much to keep in memory"
            )
        for member in members:
            key = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                shape, _, dtype = formats[np.lib.format.read_magic(stream)](stream)
            if dtype.hasobject:
                raise DataError(
                    f"{path}: {key} holds Python objects, which are never loaded; store a plain array"
                )
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{key} is shorter than its header says")
            found[key] = Entry(path, key, shape, dtype)
    return found


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """Whatever else goes wrong in somebody's file is a DataError, too."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise DataError(f"{path}: not a readable .npz file ({reason})") from error
