"""From what is found to what a pack stores: every picture and label passes here, and is right or refused.

Numbers are judged as they were handed over and computed in float64 or int64, so that no narrow type can wrap. What a
value would have to be is said in the error, with the first one that is wrong.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..tasks.task import IGNORE, KINDS, MOST_CLASSES, UNKNOWN, Classification, Depth, Edges, Normals
from ..tasks.task import Segmentation as Segmentation
from .inputs import say_once

FARTHEST = 1000.0  # metres; what is beyond was not given in metres


FARTHEST_WHOLE = (
    100  # metres in a type of whole numbers; beyond, they are grey levels or millimetres
)


NEAREST = 0.0005  # metres; what is nearer is rounded to 0 mm, which stands for none


LOST = 0.5  # share of depths that may be so near: some are noise, most of them are not metres


MOST_LABELS = 100_000  # classes of whole images


CROOKED = 0.25  # share of directions that may be longer or shorter than 1: resizing makes some


class Raw(NamedTuple):
    """A picture or a label as it was found, at full size: (H, W), (H, W, 3), or what an image has as a whole. `decode`
    is applied once it is small: it gives classes from 0 (255 = none), directions, metres, or shares of all classes."""

    array: np.ndarray
    where: str  # what errors call it
    decode: Callable[[np.ndarray], np.ndarray] = np.asarray
    colours: bool = False  # directions read off a picture: what has no length of 1 is not a label


def handed_over(value, where: str) -> np.ndarray:
    """The array of a tensor (channels first), an array or a PIL image (channels last). Raises DataError."""
    try:
        if isinstance(value, Tensor):
            if value.is_floating_point() and value.dtype not in (torch.float32, torch.float64):
                value = value.float()  # numpy lacks bfloat16
            x = value.numpy(force=True)
            if x.ndim == 3:
                x = np.moveaxis(x, 0, -1)
        else:
            x = np.asarray(value)
    except Exception as error:
        raise DataError(
            f"{where} cannot be made an array ({type(error).__name__}: {error})"
        ) from None
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise DataError(f"{where} is a masked array; fill what is masked with what stands for none")
    if x.dtype.kind not in "buif":
        raise DataError(f"{where} is {x.dtype}, but must be numbers")
    if x.ndim == 3 and x.shape[2] == 1:
        return x[..., 0]
    return x


def class_names(
    pack: str, task: str, given: Sequence[str] | int | None, example: np.ndarray
) -> tuple[str, ...]:
    """The classes of a task by their names or their number; without both, as many as the example has shares."""
    if given is None and example.ndim != 1:  # else the shares of all classes
        raise DataError(
            f"{pack}: {task} needs its classes, their number or their names: labels={{{task!r}: 13}}"
        )
    if given is None:
        given = len(example)
    named = hasattr(given, "__len__")
    good = not isinstance(given, (str, bytes, bool, Mapping))
    try:
        count = len(given) if named else operator.index(given)
    except TypeError:
        good = False
    if not good:
        raise DataError(
            f"{pack}: the classes of {task} are {given!r}, but must be their number or a list of their names"
        )
    most = MOST_LABELS
    why = ""
    if KINDS[task].dense:
        most = MOST_CLASSES
        why = f", for {IGNORE} stands for none: leave out or join rare ones"
    if not 2 <= count <= most:
        raise DataError(f"{pack}: {task} has {count} classes, but must have 2 to {most}{why}")
    if not named:
        given = range(count)
    return tuple(map(str, given))


def picture(raw: Raw, size: tuple[int, int]) -> Tensor:
    """(3, H, W) uint8, averaged down."""
    from PIL import Image

    x = raw.array
    if x.dtype.kind == "f" and x.ndim == 3:
        x = _bytes(x, raw.where)
    if x.ndim != 3 or x.shape[2] != 3 or x.dtype != np.uint8:
        raise DataError(
            f"{raw.where}: is {x.dtype} of shape {x.shape}, but an image is uint8 of shape (H, W, 3), "
            "or float from 0 to 1; tensors have channels first"
        )
    if x.shape[:2] != tuple(size):
        x = np.asarray(Image.fromarray(x).resize(size[::-1], Image.Resampling.BILINEAR))
    return torch.from_numpy(np.moveaxis(x, -1, 0).copy())


def _bytes(x: np.ndarray, where: str) -> np.ndarray:
    """Of an image in floats from 0 to 1."""
    x = x.astype(np.float64)
    low = x.min(initial=0)
    high = x.max(initial=0)
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # NaN, too
        advice = "undo its normalisation"
        if low >= 0 and 2 < high <= 255:
            advice = "divide it by 255"
        raise DataError(
            f"{where}: is an image of floats from {low:.4g} to {high:.4g}, but they must be from 0 to 1; {advice}"
        )
    return (255 * x).round().clip(0, 255).astype(np.uint8)


def label(
    task: str, raw: Raw, full: tuple[int, int], size: tuple[int, int], labels: Sequence[str]
) -> Tensor:
    """What a ImageDataset stores of a label, `size` large: the pixel in the middle of each. `full`: its image's own size."""
    x = raw.array
    kind = KINDS[task]
    if kind.dense:
        shape = (*full, 3) if kind is Normals else tuple(full)
        if x.shape != shape:
            hint = ""
            if kind is Segmentation and x.ndim == 3:
                hint = "; of one channel a class (one-hot), give the number of the largest"
            raise DataError(
                f"{raw.where}: {task} is of shape {x.shape}, but its image of {full[0]} × {full[1]} pixels "
                f"asks for {shape}{hint}"
            )
        rows = _middles(size[0], full[0])
        columns = _middles(size[1], full[1])
        x = x[rows[:, None], columns]
    try:
        x = np.asarray(raw.decode(x))
        if x.dtype.kind not in "buif":
            raise ValueError(f"is {x.dtype}, but must be numbers")
        return STORE.get(kind, _as_it_is)(x, raw, labels)
    except DataError:
        raise
    except ValueError as error:  # what is wrong with the values; here is known whose they are
        raise DataError(f"{raw.where}: {task} {error}") from None


def _middles(count: int, whole: int) -> np.ndarray:
    """Of `whole` pixels, the one in the middle of each of `count` equal parts."""
    return ((np.arange(count) + 0.5) * whole / count).astype(int)


def _directions(x: np.ndarray, raw: Raw, labels: Sequence[str]) -> Tensor:
    if x.dtype.kind in "bu":
        raise ValueError(
            f"is {x.dtype}, but must be directions of length 1; colours c of 8 bits stand for c / 127.5 - 1"
        )
    x = np.where(np.isfinite(x).all(-1, keepdims=True), x, 0).astype(np.float64)
    with np.errstate(over="ignore"):
        length = np.linalg.norm(x, axis=-1, keepdims=True)
    there = length > 1e-3
    if not raw.colours and there.any():
        if length.max() >= 1.5:
            raise ValueError(
                f"has a direction of length {length.max():.4g}, but their length is 1, or 0 for none; colours c of "
                "8 bits stand for c / 127.5 - 1"
            )
        shifted = x.min() >= 0  # seldom true of directions, always of what lies from 0 to 1
        tolerance = 0.1
        advice = "normalise them"
        if shifted:
            tolerance = 0.02
            advice = "numbers y from 0 to 1 stand for 2 y - 1"
        crooked = (abs(length - 1) > tolerance)[there].mean()
        if crooked > CROOKED:
            raise ValueError(
                f"has {100 * crooked:.0f} % of directions with a length far from 1 (their mean is "
                f"{length[there].mean():.3g}); {advice}"
            )
    x = np.where(abs(length - 1) < 0.5, 127 * x / np.maximum(length, 0.5), 0)
    return torch.from_numpy(np.moveaxis(x.round().astype(np.int8), -1, 0).copy())


def _millimetres(x: np.ndarray, raw: Raw, labels: Sequence[str]) -> Tensor:
    if x.dtype.kind == "b":
        raise ValueError("is bool, but must be metres")
    whole = x.dtype.kind in "ui"
    x = np.where(np.isfinite(x), x, 0).astype(np.float64)
    low = x.min(initial=0)
    high = x.max(initial=0)
    if low < 0:
        raise ValueError(f"is {low:.6g} somewhere, but must be metres above 0, or 0 for none")
    most = FARTHEST
    kind = ""
    if whole:
        most = FARTHEST_WHOLE
        kind = " in whole numbers"
    if high > most:
        levels = ""
        if whole and high <= 255:
            levels = " or grey levels"
        raise ValueError(
            f"is {high:.6g} somewhere, but must be metres, at most {most:g}{kind}; are they "
            f"millimetres{levels}? Divide them"
        )
    lost = (x > 0) & (x < NEAREST)
    if lost.sum() > LOST * (x > 0).sum():
        raise ValueError(
            f"is {x[lost][0]:.3g} somewhere and mostly below {NEAREST:g} m, which would be no label in whole millimetres; "
            "give metres"
        )
    if lost.any():
        say_once(
            f"depths above 0 and below {NEAREST:g} m count as no label, for they are kept in whole millimetres"
        )
    return torch.from_numpy((1000 * x).round().astype(np.int32))[None]


def _shares(x: np.ndarray, labels: Sequence[str]) -> Tensor:
    x = x.astype(np.float64)
    total = x.sum()
    if len(x) != len(labels) or not (np.isfinite(total) and x.min() >= 0 and total > 0):
        raise ValueError(f"must hold the shares of {len(labels)} classes, none below 0")
    return torch.from_numpy((x / total).astype(np.float32))


def _whole(x: np.ndarray, allowed: int, none: int) -> np.ndarray:
    """Classes in int64, or ValueError with the first that is wrong."""
    must = f"but must be a whole number from 0 to {allowed - 1}, or {none} for none"
    if x.dtype.kind not in "uib":
        raise ValueError(f"is {x.dtype}, {must}")
    wrong = x[(x != none) & ~((x >= 0) & (x < allowed))]
    if wrong.size:
        late = "; if they count from 1, take 1 off" if wrong.max() == allowed else ""
        raise ValueError(f"is {wrong.flat[0]}, {must}{late}")
    return x.astype(np.int64)


def _classes(x: np.ndarray, raw: Raw, labels: Sequence[str]) -> Tensor:
    x = _whole(x, len(labels), IGNORE)
    return torch.from_numpy(np.where(x == IGNORE, 0, x + 1).astype(np.uint8))


def _edges(x: np.ndarray, raw: Raw, labels: Sequence[str]) -> Tensor:
    return torch.from_numpy(_whole(x, 2, IGNORE).astype(np.uint8))[None]


def _class(x: np.ndarray, raw: Raw, labels: Sequence[str]) -> Tensor:
    if x.ndim == 1:
        return _shares(x, labels)
    if x.ndim:
        raise ValueError(
            f"is of shape {x.shape}, but must be one number, or the shares of all classes"
        )
    return torch.tensor(int(_whole(x, len(labels), UNKNOWN)))


def _as_it_is(x: np.ndarray, raw: Raw, labels: Sequence[str]) -> Tensor:
    return torch.from_numpy(np.array(x))


STORE = {
    Segmentation: _classes,
    Normals: _directions,
    Depth: _millimetres,
    Edges: _edges,
    Classification: _class,
}


def is_labelled(task: str, stored: Tensor) -> bool:
    """Whether what is stored of an image teaches anything."""
    kind = KINDS[task]
    if kind is Classification and stored.is_floating_point():
        return bool(stored.sum() > 0)
    none = {Segmentation: 0, Normals: 0, Depth: 0, Edges: IGNORE, Classification: UNKNOWN}
    return kind not in none or bool((stored != none[kind]).any())


def looks_like_a_mask(task: str, raw: np.ndarray, classes: int) -> bool | None:
    """Of an image's labels for two classes: True, if they are 0 and 255 alone; False, if one is 1; None: it is open."""
    if KINDS[task] is not Edges and not (KINDS[task] is Segmentation and classes == 2):
        return False
    if (raw == 1).any():
        return False
    if (raw == IGNORE).any() and (raw == 0).any():
        return True
    return None
