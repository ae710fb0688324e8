"""Makes a pack from `nyu_depth_v2_labeled.mat`, which the authors of NYU Depth v2 publish (MATLAB 7.3, HDF5 inside).

Normals and edges are not in that file: they are *derived* here, from depth and from labels, and the pack says so.
"""

from __future__ import annotations

import json
import math
import operator
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import DataError
from . import inputs

MOST_CLASSES = 254  # that a pack's file lists, beside one for unlabelled


MOST_IMAGES = 20_000  # the published file has 1449


MOST_TEXTS, MOST_LETTERS = 100_000, 1000  # of a MATLAB cell array


CHUNK_BYTES = 1 << 28  # that HDF5 unpacks at once


FILTERS = {1, 2, 3, 4, 5, 6, 32000}  # of HDF5's own and h5py's; another would load a library


FARTHEST = 65.535  # metres in the 16 bits of a pack


SIZE, INSIDE = (480, 640), (slice(44, 470), slice(40, 600))  # the rest is a white border


FX, FY, CX, CY = (
    518.857901,
    519.469611,
    325.582449,
    253.736166,
)  # the Kinect's, published; pixels count from 1


ABOUT = (
    "NYU Depth v2 (Silberman, Hoiem, Kohli, Fergus, ECCV 2012) without its white border, made smaller. normal, "
    "normal_valid: derived from depth by plane fits. edge: derived from labels. {} {}"
)


def import_nyuv2(
    mat_path,
    out_path,
    size: tuple[int, int] = (96, 128),
    classes=None,
    frequent: int = 13,
    images: Iterable[int] | None = None,
    window: int = 15,
    track: Callable = iter,
) -> None:
    """Write the pack `out_path` (.npz), its images (height, width) = `size`.

    `classes`: a JSON file that maps raw labels to classes, {"seg40": {"names": [40 names], "map": [of each raw label
    the class from 1, or 0 for none]}, "seg13": ...}; the published mappings are not in the .mat. Without it the
    `frequent` most frequent raw labels become the classes of `seg`. `images`: only these, counted from 0. `window`:
    planes are fitted to so many pixels across (odd). `track` wraps the loop, for a progress bar. Raises DataError.
    """
    out_path = Path(out_path)
    _check_options(out_path, size, frequent, window)
    with _opened(mat_path) as file:
        data = [
            _dataset(file, key, axes, kinds)
            for key, axes, kinds in (("images", 4, "u"), ("depths", 3, "f"), ("labels", 3, "u"))
        ]
        count, _, width, height = data[0].shape
        if (
            data[0].dtype != np.uint8
            or data[0].shape[1] != 3
            or any(part.shape != (count, width, height) for part in data[1:])
            or not 0 < width * height <= inputs.PIXELS
            or not 0 < count <= MOST_IMAGES
        ):
            raise DataError(
                f"{mat_path}: images, depths, labels of {[part.shape for part in data]} do not match"
            )
        numbers = _chosen(images, count)
        if not len(numbers) or numbers.min() < 0 or numbers.max() >= count:
            raise DataError(f"{mat_path}: choose some of its images 0 to {count - 1}")
        names, kind = (
            _texts(file, "names"),
            next((key for key in ("sceneTypes", "scenes") if _has(file, key)), None),
        )
        places = (
            [re.sub(r"_\d.*", "", text) for text in _texts(file, kind)]
            if kind
            else ["unknown"] * count
        )
        mapping = _mapped(classes, names) if classes else None
        views = []
        for n in track(numbers.tolist()):
            found = _read(f"{mat_path}: image {n}", [part[n] for part in data], len(names))
            views.append(_view(*found, size, window))
    pack = {key: np.stack([view[key] for view in views]) for key in views[0]}
    raw = pack.pop("raw")
    if len(places) != count:
        raise DataError(f"{mat_path}: {len(places)} scenes of {count} images")
    for key, (labels, table) in (mapping or _frequent(raw, names, frequent)).items():
        pack[key], pack[f"{key}_names"] = table[raw], np.array(["unlabelled", *labels])
    common = [place for place, _ in Counter(places).most_common() if place != "unknown"][:9]
    if common:
        scene = {"unknown": -1} | {place: n for n, place in enumerate(common)}
        pack["scene10"] = np.array([scene.get(places[n], len(common)) for n in numbers], np.int8)
        pack["scene10_names"] = np.array([*common, "other"])
    pack["index"], pack["intrinsics_fx_fy_cx_cy"] = (
        numbers,
        np.array(_camera((height, width), size)),
    )
    pack["about"] = np.array(
        ABOUT.format(
            f"{len(numbers)} of {count} images.",
            f"Classes by {Path(classes).name}."
            if classes
            else f"Classes: the {frequent} most frequent raw labels.",
        )
    )
    part = Path(f"{out_path}.part")
    try:
        with part.open("wb") as stream:
            np.savez_compressed(stream, **pack)
        part.replace(out_path)
    except OSError as error:
        raise DataError(f"{out_path}: cannot be written ({inputs.reason(error)})") from None


def _check_options(out: Path, size: tuple[int, int], frequent: int, window: int) -> None:
    if not os.path.isdir(out.parent):
        raise DataError(f"{out}: there is no such folder to write to")
    if os.path.isdir(out):
        raise DataError(f"{out}: is a folder; name the file to write, as in {out / 'nyuv2.npz'}")
    if min(size) < 1 or size[0] * size[1] > inputs.PIXELS:
        raise DataError(
            f"images of {size[0]} × {size[1]} pixels; give a height and a width of 1 or more, as in 96 × 128"
        )
    if not 2 <= frequent <= MOST_CLASSES:
        raise DataError(
            f"frequent = {frequent}: the most frequent raw labels become 2 to {MOST_CLASSES} classes"
        )
    if window < 3 or window % 2 == 0:
        raise DataError(
            f"window = {window}: planes are fitted to an odd number of pixels from 3 up"
        )


def _chosen(images: Iterable[int] | None, count: int) -> np.ndarray:
    if images is None:
        return np.arange(count)
    try:
        return np.array([operator.index(n) for n in images], np.int64)
    except (TypeError, OverflowError) as error:
        raise DataError(f"images: {error}; give numbers of images from 0") from None


def _read(where: str, parts: list[np.ndarray], names: int) -> list[Tensor]:
    """The image, the depth in metres and the labels of one image, checked, in types and an order of bytes that torch
    has."""
    image, depth, labels = parts
    depth = depth.astype(np.float32 if depth.dtype.itemsize <= 4 else np.float64)
    finite = np.where(np.isfinite(depth), depth, 0)
    if finite.min() < 0 or finite.max() > FARTHEST:
        raise DataError(
            f"{where}: depths are {finite.min():.6g} to {finite.max():.6g}, but must be metres up to {FARTHEST}; are "
            "they millimetres?"
        )
    if labels.max() > names:
        raise DataError(f"{where}: label {labels.max()} of {names} names")
    arrays = (image.astype(np.uint8), depth, labels.astype(np.int64))
    return [torch.from_numpy(array) for array in arrays]


def normals(
    depth: Tensor, camera: tuple[float, ...], window: int = 15, tolerance: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Unit normals (3, H, W) of depth (H, W), x right, y down, z away, facing the camera, and where they are sound.

    camera: fx, fy, cx, cy in pixels from 0. A plane has 1/z = a·x + b·y + c with x = (u - cx)/fx and y = (v - cy)/fy;
    least squares over the labelled pixels of each window give a, b, c, and the normal is -(a, b, c) over its length.
    Sound: the pixel and half of its window have a depth, and the plane misses 1/z by less than `tolerance` of it (RMS).
    """
    fx, fy, cx, cy = camera
    valid, inverse = (depth > 0).double(), torch.where(depth > 0, 1 / depth, 0).double()
    y, x = torch.meshgrid(
        *((torch.arange(n).double() - c) / f for n, c, f in zip(depth.shape, (cy, cx), (fy, fx))),
        indexing="ij",
    )
    terms = torch.stack(
        [
            valid,
            x * valid,
            y * valid,
            inverse,
            x * x * valid,
            x * y * valid,
            y * y * valid,
            x * inverse,
            y * inverse,
            inverse * inverse,
        ]
    )
    terms = F.avg_pool2d(terms, (window, 1), 1, (window // 2, 0))
    share, *sums = F.avg_pool2d(terms, (1, window), 1, (0, window // 2))
    mx, my, md, xx, xy, yy, xd, yd, dd = (total / share.clamp(min=1e-9) for total in sums)
    xx, xy, yy, xd, yd, dd = (
        xx - mx * mx,
        xy - mx * my,
        yy - my * my,
        xd - mx * md,
        yd - my * md,
        dd - md * md,
    )
    determinant = (xx * yy - xy * xy).clamp(min=1e-24)
    a, b = (yy * xd - xy * yd) / determinant, (xx * yd - xy * xd) / determinant
    missed = (dd - a * xd - b * yd).clamp(min=0).sqrt()
    sound = (depth > 0) & (share >= 0.5) & (missed < tolerance * md)
    return -F.normalize(torch.stack([a, b, md - a * mx - b * my]), dim=0), sound


def _view(
    image: Tensor, depth: Tensor, labels: Tensor, size: tuple[int, int], window: int
) -> dict[str, np.ndarray]:
    """The pack's arrays of one image. HDF5 holds MATLAB's axes reversed: (3, W, H) and (W, H)."""
    full = tuple(labels.T.shape)
    inside = _inside(full)
    image, depth, labels = (
        image.mT[:, *inside],
        depth.T[inside].nan_to_num(0, 0, 0).clamp(0),
        labels.T[inside],
    )
    normal, sound = normals(depth, _camera(full, tuple(depth.shape)), window)
    rows, columns = (
        ((torch.arange(n) + 0.5) * (whole / n)).long() for n, whole in zip(size, depth.shape)
    )
    pick = rows[:, None], columns  # the pixel in the middle of each new one
    raw, sound = labels[pick].to(torch.int32), sound[pick]
    edge = torch.zeros(size, dtype=torch.bool)
    edge[:-1] |= raw[1:] != raw[:-1]
    edge[:, :-1] |= raw[:, 1:] != raw[:, :-1]
    small = (
        F.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0].round().byte()
    )
    return {
        "image": small.movedim(0, -1).numpy(),
        "raw": raw.numpy(),
        "edge": edge.byte().numpy(),
        "depth_mm": (1000 * depth[pick]).round().clamp(max=65535).numpy().astype(np.uint16),
        "normal": (127 * normal[:, *pick] * sound).round().movedim(0, -1).to(torch.int8).numpy(),
        "normal_valid": sound.numpy(),
    }


def _inside(full: tuple[int, int]) -> tuple[slice, slice]:
    return tuple(
        slice(round(part.start * n / whole), round(part.stop * n / whole))
        for part, n, whole in zip(INSIDE, full, SIZE)
    )


def _camera(full: tuple[int, int], size: tuple[int, int]) -> tuple[float, ...]:
    """fx, fy, cx, cy (pixels from 0) of what is inside an image of `full` size, brought to `size`."""
    (fy, cy), (fx, cx) = (
        (
            f * n / whole * new / (part.stop - part.start),
            ((c - 0.5) * n / whole - part.start) * new / (part.stop - part.start) - 0.5,
        )
        for f, c, n, whole, part, new in zip((FY, FX), (CY, CX), full, SIZE, _inside(full), size)
    )
    return fx, fy, cx, cy


@contextmanager
def _opened(path):
    import h5py

    try:
        if not os.path.isfile(path):  # HDF5 would wait for a pipe
            raise OSError("there is no such file, or it is not a regular one")
        if not h5py.is_hdf5(path):
            raise OSError("no HDF5 inside")
        with h5py.File(path, "r") as file:
            yield file
    except ImportError as error:
        raise DataError(
            "this file is read by h5py, which is missing: pip install 'mtlnas-lab[nyuv2]'"
        ) from error
    except DataError:
        raise
    except Exception as error:  # whatever h5py says of a damaged file
        raise DataError(
            f"{inputs.shown(path)}: not readable ({inputs.reason(error)}); give nyu_depth_v2_labeled.mat as published"
        ) from error


def _dataset(file, key: str, axes: int, kinds: str):
    """A plain data set of this file: not one of another file that a link or a virtual data set would open."""
    import h5py

    link = file.id.links.get_info(key.encode()).type if _has(file, key) else None
    found = file[key] if link == h5py.h5l.TYPE_HARD else None
    if not _plain(file, found) or found.ndim != axes or found.dtype.kind not in kinds:
        raise DataError(
            f"{file.filename}: {key!r} is no data set of {axes} axes; is this nyu_depth_v2_labeled.mat?"
        )
    return found


def _has(file, key: str) -> bool:
    """Whether the file has this name; `in` would follow a link, and open another file."""
    return file.id.links.exists(key.encode())


def _plain(file, found) -> bool:
    """Whether this is a data set whose numbers lie in this very file, packed by filters that HDF5 itself has."""
    import h5py

    if not isinstance(found, h5py.Dataset) or found.file.id != file.file.id:
        return False
    if found.is_virtual or found.external:
        return False
    plan = found.id.get_create_plist()
    filters = {plan.get_filter(n)[0] for n in range(plan.get_nfilters())}
    chunk = math.prod(found.chunks or (0,)) * found.dtype.itemsize
    return filters <= FILTERS and chunk <= CHUNK_BYTES


def _texts(file, key: str) -> list[str]:
    """A MATLAB cell array of strings: references to data sets of character codes, which are read and nothing more."""
    import h5py

    references, texts = _dataset(file, key, 2, "O"), []
    if references.size > MOST_TEXTS:
        raise DataError(f"{file.filename}: {key!r} holds {references.size} texts, too many")
    for reference in np.asarray(references).ravel():
        codes = file[reference] if isinstance(reference, h5py.Reference) and reference else None
        if not _plain(file, codes) or codes.dtype.kind not in "ui" or codes.size > MOST_LETTERS:
            raise DataError(f"{file.filename}: {key!r} holds something other than short texts")
        texts.append(_text(f"{file.filename}: {key!r}", np.asarray(codes).ravel().tolist()))
    return texts


def _text(where: str, codes: list[int]) -> str:
    """Text of MATLAB's codes of 16 bits. Raises DataError for what is no character."""
    try:
        return b"".join(code.to_bytes(2, "little") for code in codes).decode("utf-16-le")
    except (OverflowError, UnicodeDecodeError) as error:
        raise DataError(f"{where} holds codes that are no text ({inputs.reason(error)})") from None


def _frequent(raw: np.ndarray, names: list[str], count: int) -> dict:
    """{"seg": (names, class of each raw label)} of the most frequent ones, the most frequent first."""
    order = (-np.bincount(raw.ravel(), minlength=len(names) + 1)[1:]).argsort(kind="stable")[
        :count
    ] + 1
    table = np.zeros(len(names) + 1, np.uint8)
    table[order] = np.arange(1, len(order) + 1)
    return {"seg": ([names[label - 1] for label in order], table)}


def _mapped(path, names: list[str]) -> dict:
    """{"seg13" or "seg40": (names, class of each raw label)} by a file."""
    try:
        mapping = {
            key: ([str(name) for name in entry["names"]], _table(entry["map"]))
            for key, entry in json.loads(inputs.read_text(Path(path))).items()
        }
        good = all(
            key in ("seg13", "seg40")
            and len(labels) == int(key[3:])
            and table.shape == (len(names) + 1,)
            and table.min() >= 0
            and table.max() <= len(labels)
            for key, (labels, table) in mapping.items()
        )
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: no JSON map of classes ({inputs.reason(error)})") from error
    if not good or not mapping:
        raise DataError(
            f"{path}: must map {len(names)} labels to classes 0..13 of seg13 or 0..40 of seg40, with names"
        )
    return {key: (labels, table.astype(np.uint8)) for key, (labels, table) in mapping.items()}


def _table(classes: list[int]) -> np.ndarray:
    """The class of each raw label, 0 in front for what is unlabelled."""
    return np.array([0, *(operator.index(number) for number in classes)], np.int64)
