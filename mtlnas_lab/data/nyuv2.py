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
from ..one_line import shown
from . import inputs

MOST_CLASSES = 254  # that a pack's file lists, beside one for unlabelled


MOST_IMAGES = 20_000  # the published file has 1449


MOST_TEXTS = 100_000  # of a MATLAB cell array


MOST_LETTERS = 1000  # of one of its texts


CHUNK_BYTES = 1 << 28  # that HDF5 unpacks at once


FILTERS = {1, 2, 3, 4, 5, 6, 32000}  # of HDF5's own and h5py's; another would load a library


FARTHEST = 65.535  # metres in the 16 bits of a pack


SIZE = (480, 640)  # of the published images


INSIDE = (slice(44, 470), slice(40, 600))  # rows and columns; the rest is a white border


FOCAL = (519.469611, 518.857901)  # fy, fx of the Kinect in pixels, as published


CENTRE = (253.736166, 325.582449)  # cy, cx; pixels count from 1


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
        parts = [
            _dataset(file, "images", 4, "u"),
            _dataset(file, "depths", 3, "f"),
            _dataset(file, "labels", 3, "u"),
        ]
        _must_match(mat_path, parts)
        count, _, width, height = parts[0].shape
        numbers = _chosen(images, count)
        if not len(numbers) or numbers.min() < 0 or numbers.max() >= count:
            raise DataError(f"{mat_path}: choose some of its images 0 to {count - 1}")
        names = _texts(file, "names")
        places = _places(file, count)
        mapping = _mapped(classes, names) if classes else None
        views = []
        for n in track(numbers.tolist()):
            found = _read(f"{mat_path}: image {n}", [part[n] for part in parts], len(names))
            views.append(_view(*found, size, window))
    pack = {}
    for key in views[0]:
        pack[key] = np.stack([view[key] for view in views])
    raw = pack.pop("raw")
    if mapping is None:
        mapping = _frequent(raw, names, frequent)
    for key, (labels, table) in mapping.items():
        pack[key] = table[raw]
        pack[f"{key}_names"] = np.array(["unlabelled", *labels])
    pack |= _scenes(places, numbers)
    pack["index"] = numbers
    pack["intrinsics_fx_fy_cx_cy"] = np.array(_camera((height, width), size))
    pack["about"] = np.array(_about(len(numbers), count, classes, frequent))
    _write(out_path, pack)


def _must_match(mat_path, parts: list) -> None:
    """Raise DataError unless images, depths and labels are of the same images, in shapes that can be worked on."""
    images, *maps = parts
    count, channels, width, height = images.shape
    good = images.dtype == np.uint8 and channels == 3
    good = good and all(part.shape == (count, width, height) for part in maps)
    good = good and 0 < width * height <= inputs.PIXELS and 0 < count <= MOST_IMAGES
    if not good:
        shapes = [part.shape for part in parts]
        raise DataError(f"{mat_path}: images, depths, labels of {shapes} do not match")


def _places(file, count: int) -> list[str]:
    """The kind of place that each image shows, as in "kitchen". Raises DataError."""
    for key in ("sceneTypes", "scenes"):
        if not _has(file, key):
            continue
        places = [re.sub(r"_\d.*", "", text) for text in _texts(file, key)]
        if len(places) != count:
            raise DataError(f"{file.filename}: {len(places)} scenes of {count} images")
        return places
    return ["unknown"] * count


def _scenes(places: list[str], numbers: np.ndarray) -> dict[str, np.ndarray]:
    """The nine most frequent places, and one class for all others, as the task `scene`; nothing where none is known."""
    by_count = [place for place, _ in Counter(places).most_common() if place != "unknown"]
    common = by_count[:9]
    if not common:
        return {}
    number_of = {place: number for number, place in enumerate(common)}
    number_of["unknown"] = -1
    other = len(common)
    scenes = [number_of.get(places[n], other) for n in numbers]
    return {"scene10": np.array(scenes, np.int8), "scene10_names": np.array([*common, "other"])}


def _about(images: int, count: int, classes, frequent: int) -> str:
    """What a reader of the pack should know of where its numbers come from."""
    by = f"Classes: the {frequent} most frequent raw labels."
    if classes:
        by = f"Classes by {Path(classes).name}."
    return ABOUT.format(f"{images} of {count} images.", by)


def _write(out_path: Path, pack: dict[str, np.ndarray]) -> None:
    """A pack's file, which gets its name once it is whole. Raises DataError."""
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
    wide = np.float32 if depth.dtype.itemsize <= 4 else np.float64
    depth = depth.astype(wide)
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
    valid = (depth > 0).double()
    inverse = torch.where(depth > 0, 1 / depth, 0).double()
    v = torch.arange(depth.shape[0]).double()
    u = torch.arange(depth.shape[1]).double()
    y, x = torch.meshgrid((v - cy) / fy, (u - cx) / fx, indexing="ij")
    products = [valid, x * valid, y * valid, inverse]
    products += [x * x * valid, x * y * valid, y * y * valid]
    products += [x * inverse, y * inverse, inverse * inverse]
    # A mean over a square window is one over its columns, then one over its rows.
    terms = F.avg_pool2d(torch.stack(products), (window, 1), 1, (window // 2, 0))
    share, *sums = F.avg_pool2d(terms, (1, window), 1, (0, window // 2))
    means = [total / share.clamp(min=1e-9) for total in sums]
    mx, my, md, xx, xy, yy, xd, yd, dd = means  # d stands for 1/z
    # Covariances; about the means, the equations for a and b no longer have c in them.
    xx = xx - mx * mx
    xy = xy - mx * my
    yy = yy - my * my
    xd = xd - mx * md
    yd = yd - my * md
    dd = dd - md * md
    determinant = (xx * yy - xy * xy).clamp(min=1e-24)
    a = (yy * xd - xy * yd) / determinant
    b = (xx * yd - xy * xd) / determinant
    c = md - a * mx - b * my
    missed = (dd - a * xd - b * yd).clamp(min=0).sqrt()
    sound = (depth > 0) & (share >= 0.5) & (missed < tolerance * md)
    return -F.normalize(torch.stack([a, b, c]), dim=0), sound


def _view(
    image: Tensor, depth: Tensor, labels: Tensor, size: tuple[int, int], window: int
) -> dict[str, np.ndarray]:
    """The pack's arrays of one image. HDF5 holds MATLAB's axes reversed: (3, W, H) and (W, H)."""
    full = tuple(labels.T.shape)
    inside = _inside(full)
    image = image.mT[:, *inside]
    depth = depth.T[inside].nan_to_num(0, 0, 0).clamp(0)
    labels = labels.T[inside]
    normal, sound = normals(depth, _camera(full, tuple(depth.shape)), window)

    height, width = depth.shape
    rows = ((torch.arange(size[0]) + 0.5) * (height / size[0])).long()
    columns = ((torch.arange(size[1]) + 0.5) * (width / size[1])).long()
    pick = rows[:, None], columns  # the pixel in the middle of each new one
    raw = labels[pick].to(torch.int32)
    sound = sound[pick]
    edge = torch.zeros(size, dtype=torch.bool)
    edge[:-1] |= raw[1:] != raw[:-1]
    edge[:, :-1] |= raw[:, 1:] != raw[:, :-1]
    small = F.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0]
    millimetres = (1000 * depth[pick]).round().clamp(max=65535)
    normal = (127 * normal[:, *pick] * sound).round()
    view = {
        "image": small.round().byte().movedim(0, -1),
        "raw": raw,
        "edge": edge.byte(),
        "normal": normal.movedim(0, -1).to(torch.int8),
        "normal_valid": sound,
    }
    arrays = {key: value.numpy() for key, value in view.items()}
    arrays["depth_mm"] = millimetres.numpy().astype(np.uint16)
    return arrays


def _inside(full: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of an image of `full` size that are not its border."""
    rows, columns = (
        slice(round(part.start * side / published), round(part.stop * side / published))
        for part, side, published in zip(INSIDE, full, SIZE)
    )
    return rows, columns


def _camera(full: tuple[int, int], size: tuple[int, int]) -> tuple[float, ...]:
    """fx, fy, cx, cy (pixels from 0) of what is inside an image of `full` size, brought to `size`."""
    focal = []
    centre = []
    for axis, part in enumerate(_inside(full)):
        length = part.stop - part.start
        at_full = FOCAL[axis] * full[axis] / SIZE[axis]
        focal.append(at_full * size[axis] / length)
        middle = (CENTRE[axis] - 0.5) * full[axis] / SIZE[axis] - part.start
        centre.append(middle * size[axis] / length - 0.5)
    (fy, fx), (cy, cx) = focal, centre
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
            f"{shown(path)}: not readable ({inputs.reason(error)}); give nyu_depth_v2_labeled.mat as published"
        ) from error


def _dataset(file, key: str, axes: int, kinds: str):
    """A plain data set of this file: not one of another file that a link or a virtual data set would open."""
    import h5py

    found = None
    if _has(file, key) and file.id.links.get_info(key.encode()).type == h5py.h5l.TYPE_HARD:
        found = file[key]
    if not _plain(file, found) or found.ndim != axes or found.dtype.kind not in kinds:
        raise DataError(
            f"{file.filename}: {key!r} is not a data set of {axes} axes; is this nyu_depth_v2_labeled.mat?"
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

    references = _dataset(file, key, 2, "O")
    texts = []
    if references.size > MOST_TEXTS:
        raise DataError(f"{file.filename}: {key!r} holds {references.size} texts, too many")
    for reference in np.asarray(references).ravel():
        codes = None
        if isinstance(reference, h5py.Reference) and reference:
            codes = file[reference]
        if not _plain(file, codes) or codes.dtype.kind not in "ui" or codes.size > MOST_LETTERS:
            raise DataError(f"{file.filename}: {key!r} holds something other than short texts")
        texts.append(_text(f"{file.filename}: {key!r}", np.asarray(codes).ravel().tolist()))
    return texts


def _text(where: str, codes: list[int]) -> str:
    """Text of MATLAB's codes of 16 bits. Raises DataError for what is not a character."""
    try:
        return b"".join(code.to_bytes(2, "little") for code in codes).decode("utf-16-le")
    except (OverflowError, UnicodeDecodeError) as error:
        raise DataError(f"{where} holds codes that are not text ({inputs.reason(error)})") from None


def _frequent(raw: np.ndarray, names: list[str], count: int) -> dict:
    """{"seg": (names, class of each raw label)} of the most frequent ones, the most frequent first."""
    pixels = np.bincount(raw.ravel(), minlength=len(names) + 1)[1:]  # 0 is unlabelled
    order = (-pixels).argsort(kind="stable")[:count] + 1
    table = np.zeros(len(names) + 1, np.uint8)
    table[order] = np.arange(1, len(order) + 1)
    return {"seg": ([names[label - 1] for label in order], table)}


# What comes of a file of JSON that is something other than a map of classes.
NO_MAP = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


def _mapped(path, names: list[str]) -> dict:
    """{"seg13" or "seg40": (names, class of each raw label)} by a file."""
    mapping = {}
    good = True
    try:
        for key, entry in json.loads(inputs.read_text(Path(path))).items():
            labels = [str(name) for name in entry["names"]]
            table = _table(entry["map"])
            good = good and _is_map(key, labels, table, len(names))
            mapping[key] = (labels, table.astype(np.uint8))
    except DataError:
        raise
    except NO_MAP as error:
        raise DataError(f"{path}: no JSON map of classes ({inputs.reason(error)})") from error
    if not good or not mapping:
        raise DataError(
            f"{path}: must map {len(names)} labels to classes 0..13 of seg13 or 0..40 of seg40, with names"
        )
    return mapping


def _is_map(key: str, labels: list[str], table: np.ndarray, raw_labels: int) -> bool:
    """Whether each raw label has one of the classes that the key promises, and each class a name."""
    if key not in ("seg13", "seg40") or len(labels) != int(key[3:]):
        return False
    if table.shape != (raw_labels + 1,):
        return False
    return table.min() >= 0 and table.max() <= len(labels)


def _table(classes: list[int]) -> np.ndarray:
    """The class of each raw label, 0 in front for what is unlabelled."""
    return np.array([0, *(operator.index(number) for number in classes)], np.int64)
