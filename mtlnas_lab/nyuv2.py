"""Makes a pack from `nyu_depth_v2_labeled.mat`, which the authors of NYU Depth v2 publish (MATLAB 7.3, HDF5 inside).

Normals and edges are not in that file: they are *derived* here, from depth and from labels, and the pack says so.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import DataError

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
    if not Path(out_path).parent.is_dir():
        raise DataError(f"{out_path}: there is no such folder to write to")
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
        ):
            raise DataError(
                f"{mat_path}: images, depths, labels of {[part.shape for part in data]} do not match"
            )
        numbers = np.arange(count) if images is None else np.array(list(images), int)
        if not len(numbers) or numbers.min() < 0 or numbers.max() >= count:
            raise DataError(f"{mat_path}: choose some of its images 0 to {count - 1}")
        names, kind = (
            _texts(file, "names"),
            next((key for key in ("sceneTypes", "scenes") if key in file), None),
        )
        places = (
            [re.sub(r"_\d.*", "", text) for text in _texts(file, kind)]
            if kind
            else ["unknown"] * count
        )
        mapping = _mapped(classes, names) if classes else None
        views = [
            _view(*(torch.from_numpy(part[n]) for part in data), size, window)
            for n in track(numbers.tolist())
        ]
    pack = {key: np.stack([view[key] for view in views]) for key in views[0]}
    raw = pack.pop("raw")
    if raw.max() > len(names) or len(places) != count:
        raise DataError(
            f"{mat_path}: label {raw.max()} of {len(names)} names, {len(places)} scenes of {count} images"
        )
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
    with part.open("wb") as stream:
        np.savez_compressed(stream, **pack)
    part.replace(out_path)


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
        if not h5py.is_hdf5(path):
            raise OSError("no HDF5 inside")
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{path}: not readable ({error}); give nyu_depth_v2_labeled.mat as published"
        ) from error
    except ImportError as error:
        raise DataError(
            "this file is read by h5py, which is missing: pip install 'mtlnas-lab[nyuv2]'"
        ) from error


def _dataset(file, key: str, axes: int, kinds: str):
    """A plain data set of this file: not one of another file that a link or a virtual data set would open."""
    import h5py

    found = file[key] if isinstance(file.get(key, getlink=True), h5py.HardLink) else None
    if (
        not isinstance(found, h5py.Dataset)
        or found.ndim != axes
        or found.dtype.kind not in kinds
        or found.is_virtual
        or found.external
    ):
        raise DataError(
            f"{file.filename}: {key!r} is no data set of {axes} axes; is this nyu_depth_v2_labeled.mat?"
        )
    return found


def _texts(file, key: str) -> list[str]:
    """A MATLAB cell array of strings: references to data sets of character codes, which are read and nothing more."""
    import h5py

    texts = []
    for reference in np.asarray(_dataset(file, key, 2, "O")).ravel()[:100_000]:
        codes = file[reference] if isinstance(reference, h5py.Reference) and reference else None
        if not isinstance(codes, h5py.Dataset) or codes.dtype.kind not in "ui" or codes.size > 1000:
            raise DataError(f"{file.filename}: {key!r} holds something other than short texts")
        texts.append("".join(map(chr, np.asarray(codes).ravel().tolist())))
    return texts


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
            key: ([str(name) for name in entry["names"]], np.array([0, *entry["map"]], int))
            for key, entry in json.loads(Path(path).read_text("utf-8")).items()
        }
        good = all(
            key in ("seg13", "seg40")
            and len(labels) == int(key[3:])
            and table.shape == (len(names) + 1,)
            and table.min() >= 0
            and table.max() <= len(labels)
            for key, (labels, table) in mapping.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path}: no JSON map of classes ({type(error).__name__}: {error})"
        ) from error
    if not good or not mapping:
        raise DataError(
            f"{path}: must map {len(names)} labels to classes 0..13 of seg13 or 0..40 of seg40, with names"
        )
    return {key: (labels, table.astype(np.uint8)) for key, (labels, table) in mapping.items()}
