"""The layouts in which data sets lie in folders: NYU v2 as the released code wants it, Taskonomy, Cityscapes, and the
numbered arrays of MTAN and LibMTL.

Only regular files in the folder are opened, of the formats in inputs.py. What systems leave behind in folders is passed
over.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .._compat import torchvision
from ..errors import DataError
from ..one_line import shown
from ..tasks.task import IGNORE, KINDS, Classification, Depth, Normals
from . import identity, inputs, stored
from .lazy import LazyImageDataset
from .stored import Raw

FAR = 80.0  # metres; beyond, a disparity of Cityscapes is a guess


BASELINE_FOCAL = 0.209313 * 2262.52  # of Cityscapes, metres × pixels, where camera/ is missing


SEG40 = (
    "wall floor cabinet bed chair sofa table door window bookshelf picture counter blinds desk shelves curtain "
    "dresser pillow mirror floor_mat clothes ceiling books refrigerator television paper towel shower_curtain box "
    "whiteboard person night_stand toilet sink lamp bathtub bag other_structure other_furniture other_prop"
)


OBJECTS = (
    "background bottle chair couch potted_plant bed dining_table toilet tv microwave oven toaster sink "
    "refrigerator book clock vase"
)


TASKONOMY_FOLDERS = {  # {task: the names that its folder may have}
    "segmentation": ("segment_semantic",),
    "normals": ("normal",),
    "object": ("class_object",),
    "depth": ("depth_zbuffer", "depth_euclidean"),
    "scene": ("class_scene",),
}


NUMBERED_FOLDERS = {
    "segmentation": ("label", "label_19", "label_7", "label_2"),
    "normals": ("normal",),
    "depth": ("depth",),
}


Record = dict[str, Path]  # {"image": file, task: file}; a task may be missing


@dataclass(frozen=True)
class Layout:
    """How a data set lies in a folder. `sign`: what the folder must hold; find(root) gives {split: records}; decode(task,
    file) gives a label's Raw.decode; labels(root, records) names the classes. `named`: files are found by names that
    others have, so some may be missing; else those that are there were listed."""

    about: str
    sign: tuple[str, ...]
    find: Callable[[Path], dict[str, list[Record]]]
    decode: Callable[[str, Path], Callable[[np.ndarray], np.ndarray]]
    labels: Callable[[Path, Sequence[Record]], Mapping[str, Sequence[str] | int]]
    named: bool = False


# --- NYU v2, as prepared for the released code ------------------------------------------------------------------------
def _nyuv2(root: Path) -> dict[str, list[Record]]:
    """list/training_seg.txt and its like: lines `/an/image.png /its/label.png`. Classes are 0 to 39, 255 = none."""

    def records(split: str) -> list[Record]:
        found: dict[str, Record] = {}
        for task, name in (("seg40", f"{split}_seg.txt"), ("normals", f"{split}_normal_mask.txt")):
            listed = root / "list" / name
            text = inputs.read_text(inputs.inside(root, listed))
            for number, line in enumerate(text.splitlines(), 1):
                where = f"{listed}: line {number}"
                paths = [_listed(root, part, where) for part in line.split()]
                if len(paths) > 2:
                    raise DataError(f"{where} is not an image and its label, a space between")
                if not paths:
                    continue
                record = found.setdefault(str(paths[0]), {"image": paths[0]})
                if len(paths) == 2:
                    record[task] = paths[1]
        return list(found.values())

    return {"train": records("training"), "test": records("testing")}


def _listed(root: Path, name: str, where: str) -> Path:
    """The file of a name in a list, which counts from the data folder and stays in it."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or Path(name.lstrip("/")).drive:
        raise DataError(
            f"{where}: {shown(name)} leads out of the data folder; name files in it, as in /image.png"
        )
    return inputs.inside(root, root / name.lstrip("/"), where)


def _decode_nyuv2(task: str, path: Path) -> Callable:
    if task == "normals":
        return _directions
    return np.asarray


def _directions(x: np.ndarray) -> np.ndarray:
    """Colours 0..255 stand for -1..1. (The released code takes the colours themselves for directions.)"""
    return x / 127.5 - 1


# --- Taskonomy --------------------------------------------------------------------------------------------------------
def _taskonomy(root: Path) -> dict[str, list[Record]]:
    """One folder a task, with files point_0_view_0_domain_*, perhaps in folders of buildings."""

    records = {}
    for view, path in _views_below(root / "rgb").items():
        records[view] = {"image": path}
    for task, names in TASKONOMY_FOLDERS.items():
        place = _first_folder(root, names)
        if place is None:
            continue
        for view, path in _views_below(place).items():
            if view in records:
                records[view][task] = path
    return {"train": list(records.values())}


def _views_below(place: Path) -> dict[tuple[str, ...], Path]:
    """{what all tasks call a view: its file in a task's folder}; a building may have that folder's name inside it, too."""
    found = {}
    for path in inputs.files_below(place, "point_*_view_*_domain_*"):
        buildings = [part for part in path.relative_to(place).parent.parts if part != place.name]
        found[(*buildings, path.name.partition("_domain_")[0])] = path
    return found


def _first_folder(root: Path, names: Iterable[str]) -> Path | None:
    """The first of these folders that there is."""
    for name in names:
        if os.path.isdir(root / name):
            return root / name
    return None


def _decode_taskonomy(task: str, path: Path) -> Callable:
    """Classes: 0 is uncertain, so none. Depth: 1/512 m; at the end of the range nothing was hit. Shares as they are."""
    if task == "segmentation":
        return lambda x: np.where(x == 0, IGNORE, x - 1)
    if task == "normals":
        return _directions
    if task == "depth":
        return lambda x: np.where(x == 65535, 0, x / 512)
    return np.asarray


# --- Cityscapes -------------------------------------------------------------------------------------------------------
def _cityscapes(root: Path) -> dict[str, list[Record]]:
    """leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with its gtFine/…_labelIds.png, and disparity/ where it is. The published
    validation images are the test images here."""

    def records(split: str) -> list[Record]:
        for kind in ("leftImg8bit", "gtFine"):
            if not os.path.isdir(root / kind / split):
                raise DataError(f"{root / kind / split}: no such folder; Cityscapes needs it")
        found = []
        depth = os.path.isdir(root / "disparity")
        for image in inputs.files_below(root / "leftImg8bit" / split):
            if image.suffix.lower() not in inputs.PICTURES | inputs.OTHER_PICTURES:
                continue
            if "_leftImg8bit" not in image.name:
                raise DataError(
                    f"{image}: a picture here is called as in aachen_000000_000019_leftImg8bit.png; take others out"
                )
            city, name = image.parent.name, image.name.split("_leftImg8bit")[0]
            label = root / "gtFine" / split / city / f"{name}_gtFine_labelIds.png"
            found.append({"image": image, "segmentation": label})
            if depth:
                found[-1]["depth"] = root / "disparity" / split / city / f"{name}_disparity.png"
        return found

    return {"train": records("train"), "test": records("val")}


@functools.cache
def _cityscapes_classes() -> tuple[np.ndarray, dict[str, list[str]]]:
    """Which of the 19 judged classes each of 256 labels is (255 = none), and their names."""
    torchvision()
    from torchvision.datasets import Cityscapes

    judged = [kind for kind in Cityscapes.classes if 0 <= kind.train_id < IGNORE]
    judged.sort(key=lambda kind: kind.train_id)
    table = np.full(256, IGNORE, np.uint8)
    for kind in judged:
        table[kind.id] = kind.train_id
    return table, {"segmentation": [kind.name for kind in judged]}


def _decode_cityscapes(task: str, path: Path) -> Callable:
    if task == "segmentation":
        return _judged
    camera = path.parents[3] / "camera" / path.relative_to(path.parents[2])
    camera = camera.with_name(camera.name.replace("disparity.png", "camera.json"))
    factor = BASELINE_FOCAL
    if os.path.lexists(camera):
        try:
            read = json.loads(inputs.read_text(inputs.inside(path.parents[3], camera)))
            factor = float(read["extrinsic"]["baseline"] * read["intrinsic"]["fx"])
            if not 0 < factor < 1e9:
                raise ValueError(f"baseline · fx is {factor}")
        except DataError:
            raise
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise DataError(f"{camera}: no camera of Cityscapes ({inputs.reason(error)})") from None
    return functools.partial(_metres, factor)


def _judged(x: np.ndarray) -> np.ndarray:
    """The judged class of each of Cityscapes' labels 0 to 33; 255, which is -1 in 8 bits, is none."""
    wrong = x[((x < 0) | (x > 33)) & (x != IGNORE)]
    if wrong.size:
        raise ValueError(f"is {wrong.flat[0]}, but the labels of Cityscapes are 0 to 33")
    return _cityscapes_classes()[0][x.astype(np.int64)]


def _metres(factor: float, x: np.ndarray) -> np.ndarray:
    """Depth of Cityscapes' numbers p, which stand for a disparity of (p - 1) / 256 pixels; 0 = none."""
    metres = 256 * factor / np.maximum(x.astype(float) - 1, 1e-3)
    return np.where((x > 0) & (metres <= FAR), metres, 0)


# --- numbered arrays of MTAN and LibMTL ---------------------------------------------------------------------------------
def _numbered(root: Path) -> dict[str, list[Record]]:
    """SPLIT/image/7.npy with label/7.npy, depth/7.npy, normal/7.npy. What is published as validation is the test here."""
    return {"train": _arrays(root / "train"), "test": _arrays(root / "val")}


def _arrays(place: Path) -> list[Record]:
    records: dict[str, Record] = {}
    for path in inputs.files_below(place / "image"):
        if path.suffix.lower() in inputs.PICTURES | inputs.OTHER_PICTURES:
            raise DataError(f"{path}: this layout has arrays, as in image/0.npy; take pictures out")
        if path.suffix == ".npy":
            records[path.stem] = {"image": path}
    for task, names in NUMBERED_FOLDERS.items():
        folder = _first_folder(place, names)
        if folder is None:
            continue
        for path in inputs.files_below(folder, "*.npy"):
            if path.stem in records:
                records[path.stem][task] = path
    by_number = sorted(records, key=lambda stem: (len(stem), stem))  # 9 before 10
    return [records[stem] for stem in by_number]


def _decode_numbered(task: str, path: Path) -> Callable:
    if task == "segmentation":
        return _whole_classes
    return np.asarray


def _whole_classes(x: np.ndarray) -> np.ndarray:
    """Classes kept in any type of numbers; -1 and 255 are none."""
    whole = x.astype(np.float64)
    wrong = whole[~((whole >= -1) & (whole == np.floor(whole)) & (whole <= IGNORE))]
    if wrong.size:
        raise ValueError(
            f"is {wrong.flat[0]:.6g}, but must be whole numbers from 0, or -1 for none"
        )
    return np.where(whole == -1, IGNORE, whole).astype(np.int64)


def _counted(root: Path, records: Sequence[Record]) -> dict[str, Sequence[str] | int]:
    """Names by classes.txt, one a line; else as many classes as all label files hold. Those that cannot be read wait for
    their turn."""
    names = root / "classes.txt"
    if os.path.exists(names):
        return {"segmentation": inputs.read_text(inputs.inside(root, names)).split("\n")}
    largest = 1
    for record in records:
        if "segmentation" in record:
            try:
                x = inputs.read_array(inputs.inside(root, record["segmentation"]))
                x = _whole_classes(x)
            except (DataError, ValueError, TypeError):
                continue
            largest = max(largest, int(x[x != IGNORE].max(initial=0)))
    return {"segmentation": largest + 1}


NYU_V2 = Layout(
    "NYU v2 as prepared for the released code",
    sign=("list/training_seg.txt", "list/training_normal_mask.txt"),
    find=_nyuv2,
    decode=_decode_nyuv2,
    labels=lambda root, records: {"seg40": SEG40.split()},
    named=True,
)


TASKONOMY = Layout(
    "Taskonomy",
    sign=("rgb",),
    find=_taskonomy,
    decode=_decode_taskonomy,
    labels=lambda root, records: {"segmentation": OBJECTS.split()},
)


CITYSCAPES = Layout(
    "Cityscapes",
    sign=("leftImg8bit", "gtFine"),
    find=_cityscapes,
    decode=_decode_cityscapes,
    labels=lambda root, records: _cityscapes_classes()[1],
    named=True,
)


NUMBERED = Layout(
    "numbered arrays of MTAN and LibMTL",
    sign=("train/image",),
    find=_numbered,
    decode=_decode_numbered,
    labels=_counted,
)


LAYOUTS = (NYU_V2, TASKONOMY, CITYSCAPES, NUMBERED)


# --- folders ----------------------------------------------------------------------------------------------------------
def folder(data: str | Path) -> tuple[Path, tuple[int, int] | None] | None:
    """(folder, size) of `FOLDER` or `FOLDER@HEIGHTxWIDTH`; None where there is no such folder."""
    if os.path.isdir(Path(data)):
        return Path(data), None
    sized = re.fullmatch(r"(.+)@(\d{1,6})x(\d{1,6})", str(data))
    if sized and os.path.isdir(Path(sized[1])):
        return Path(sized[1]), (int(sized[2]), int(sized[3]))
    return None


def _found(root: Path) -> tuple[Layout, dict[str, list[Record]]]:
    """The layout of a folder, and what it finds there: images and labels, at least some. Raises DataError."""
    layout = _layout_of(root)
    splits = layout.find(root)
    records = [record for part in splits.values() for record in part]
    if not records:
        raise DataError(f"{root}: looks like {layout.about}, but has no images")
    labelled = [record for record in records if len(record) > 1]
    if not splits["train"] or not labelled:
        raise DataError(f"{root}: looks like {layout.about}, but has no labels")
    return layout, {name: part for name, part in splits.items() if part or name == "train"}


def _layout_of(root: Path) -> Layout:
    """The first layout that a folder has all signs of. Raises DataError."""
    for layout in LAYOUTS:
        if all((root / name).exists() for name in layout.sign):
            return layout
    known = "; ".join(f"{layout.about}: {', '.join(layout.sign)}" for layout in LAYOUTS)
    raise DataError(
        f"{root}: no layout that the lab knows ({known}); lazy.from_dataset takes all else"
    )


def open_folder(
    root: str | Path,
    size: tuple[int, int] | None = None,
    memory_gb: float | None = None,
    workers: int | None = None,
    held_out: float = 0.1,
    hold: Sequence[str] = ("val", "test"),
    skip: Iterable[str | Path] | None = None,
    by_content: bool = True,
) -> dict[str, LazyImageDataset]:
    """{"train", "val", "test"} of a data set's folder, whose layout is recognised; a few examples are read at once.

    `size`: (height, width), by default 96 high. `memory_gb`: GiB of images to keep, by default 4 or what
    MTLNAS_LAB_MEMORY_GB says. Of the training images `held_out` become each split of `hold` that the data set lacks,
    drawn by their names: whole folders of them (buildings, cities) where there are enough; by_content=False draws by their
    number instead, as runs of before did. `skip`: files that are damaged or missing, as `check` finds them, or by default
    the lines of the file that MTLNAS_LAB_SKIP names: images with one of them are left out, and all others stay in their
    splits. Raises DataError.
    """
    root = Path(root)
    if memory_gb is None:
        memory_gb = _memory()
    if skip is None:
        skip = _skipped()
    layout, splits = _found(root)
    records = [record for part in splits.values() for record in part]
    sizes = [len(part) for part in splits.values()]
    index = dict(zip(splits, torch.arange(len(records)).split(sizes)))
    missing = [name for name in hold if name not in index]
    if missing:
        index |= hold_out(splits["train"], missing, held_out, root, by_content)
    # Images are left out after all were dealt out: so each of the others stays in its split.
    left_out = _left_out(root, records, skip)
    index = _without(index, left_out, root)
    used = {n: record for n, record in enumerate(records) if n not in left_out}
    if layout.named:
        _present(used.values())
    first_with = {}
    for n, record in used.items():
        for key in record:
            first_with.setdefault(key, n)
    examples = {key: first_with[key] for key in ("image", *KINDS) if key in first_with}
    whole = LazyImageDataset.from_reader(
        str(root),
        len(records),
        functools.partial(_open, root, layout, records),
        examples,
        layout.labels(root, records),
        size,
        memory_gb,
        workers,
    )
    about = [layout.about]
    for key in examples:
        lacking = sum(key not in record for record in records)
        if lacking:
            about.append(f"{lacking} of {len(records)} images lack {key}")
    if left_out:
        about.append(f"{len(left_out)} of {len(records)} images are left out for damaged files")
        inputs.say_once(f"{root}: {about[-1]}")
    whole = replace(whole, about="; ".join(about), records=records, root=root)
    packs = {}
    for name in ("train", "val", "test"):
        if name in index:
            packs[name] = replace(whole.subset(index[name]), name=f"{root} ({name})")
    return packs


def _without(index: Mapping[str, Tensor], left_out: set[int], root: Path) -> dict[str, Tensor]:
    """The numbers of each split's images without those that are left out. Raises DataError where none remains."""
    found = {}
    for name, part in index.items():
        numbers = [n for n in part.tolist() if n not in left_out]
        found[name] = torch.tensor(numbers, dtype=torch.int64)
    empty = [name for name, part in found.items() if not len(part)]
    if empty:
        raise DataError(f"{root}: no image of {', '.join(empty)} is left without a damaged file")
    return found


def check(root: str | Path, track: Callable[[Iterable], Iterable] = iter) -> Iterator[str]:
    """Read every file of a data set's folder once and yield a line for each that is missing, damaged or does not fit:
    its path, a colon and what is wrong.

    `track` wraps the loop over the images, for a progress bar. Raises DataError where no layout is recognised.
    """
    root = Path(root)
    layout, splits = _found(root)
    records = [record for part in splits.values() for record in part]
    labels = dict(layout.labels(root, records))
    seen = set()  # several images may have the same file of labels
    for n in track(range(len(records))):
        full = None
        for key, path in records[n].items():  # the image comes first
            problem = ""
            try:
                if key == "image":
                    full = _size(inputs.inside(root, path))
                if path not in seen:
                    _check_one(str(root), key, full, _raw(root, layout, key, path), labels)
            except DataError as error:
                problem = str(error).removeprefix(f"{path}: ")
            if problem and path not in seen:
                yield f"{path}: {problem}"
            seen.add(path)


def _check_one(
    pack: str, key: str, full: tuple[int, int] | None, raw: Raw, labels: dict[str, Sequence[str]]
) -> None:
    """Raise DataError for a picture or a label that a pack would refuse. Fills in classes that shares count. `full`: the
    image's size, where it is known."""
    full = full or raw.array.shape[:2]
    if key == "image":
        stored.picture(raw, full)
        return
    classes = KINDS[key] in (stored.Segmentation, Classification)
    if classes and not isinstance(labels.get(key), tuple):
        labels[key] = stored.class_names(pack, key, labels.get(key), raw.array)
    stored.label(key, raw, full, full, labels.get(key, ()))


def _memory() -> float:
    """GiB of images to keep, as MTLNAS_LAB_MEMORY_GB says."""
    text = os.environ.get("MTLNAS_LAB_MEMORY_GB", "4")
    try:
        memory = float(text)
        if not 0 <= memory < 1 << 20:  # NaN, too
            raise ValueError(f"{text!r} is out of range")
    except ValueError as error:
        raise DataError(
            f"MTLNAS_LAB_MEMORY_GB: {shown(error)}; give a number of GiB from 0 up, as in 4"
        ) from None
    return memory


def _skipped() -> list[str]:
    """The lines of the file that MTLNAS_LAB_SKIP names."""
    listed = os.environ.get("MTLNAS_LAB_SKIP")
    if not listed:
        return []
    return inputs.read_text(Path(listed)).splitlines()


def _left_out(root: Path, records: Sequence[Record], skip: Iterable[str | Path]) -> set[int]:
    """Numbers of the records that have one of these files. A line may go on behind its path, as those of `check` do."""
    paths = {str(line).partition(": ")[0].strip() for line in skip}
    found = set()
    if not paths:
        return found
    for n, record in enumerate(records):
        for path in record.values():
            if str(path) in paths or str(path.relative_to(root)) in paths:
                found.add(n)
    return found


def hold_out(
    records: Sequence[Record],
    names: Sequence[str],
    share: float,
    root: Path = Path(),
    by_content: bool = True,
) -> dict[str, Tensor]:
    """{name: numbers of records}, and the rest as "train". Raises DataError for too few images."""
    folders = [os.path.relpath(record["image"].parent, root) for record in records]
    if len({*folders}) <= 2 * len(names):  # too few: single images
        folders = [os.path.relpath(record["image"], root) for record in records]
    units = [*dict.fromkeys(folders)]
    if by_content:
        labelled = {}
        for task in KINDS:
            found = list(_units_with(task, folders, records).values())
            if any(found):
                labelled[task] = found
        part = identity.draw(units, names, share, labelled, str(root))
    else:
        part = identity.draw_by_number(len(units), names, share)
    owner = {}
    for name, numbers in part.items():
        for number in numbers.tolist():
            owner[units[number]] = name
    split_of = [owner[unit] for unit in folders]
    return {name: _numbers_of(name, split_of) for name in ("train", *names)}


def _numbers_of(name: str, split_of: Sequence[str]) -> Tensor:
    return torch.tensor([n for n, split in enumerate(split_of) if split == name])


def _units_with(task: str, folders: Sequence[str], records: Sequence[Record]) -> dict[str, bool]:
    """{unit: whether an image of it has labels of the task}."""
    found = dict.fromkeys(folders, False)
    for unit, record in zip(folders, records):
        found[unit] |= task in record
    return found


def _open(root: Path, layout: Layout, records: Sequence[Record], number: int, keys: Sequence[str]):
    """A lazy.Open of records."""
    record = records[number]
    full = _size(inputs.inside(root, record["image"]))
    return full, {key: _raw(root, layout, key, record[key]) for key in keys if key in record}


def _raw(root: Path, layout: Layout, key: str, path: Path) -> Raw:
    x = _pixels(key, inputs.inside(root, path))
    decode = np.asarray
    if key != "image":
        decode = layout.decode(key, path)
    return Raw(x, str(path), decode, colours=path.suffix != ".npy")


def _size(path: Path) -> tuple[int, int]:
    """(height, width) of an image, by its header."""
    if path.suffix != ".npy":
        return inputs.use_picture(path, lambda picture: picture.size[::-1])
    shape = inputs.array_shape(path)
    if len(shape) != 3 or 0 in shape:
        raise DataError(f"{path}: is of shape {shape}, but an image is of (H, W, 3), or (3, H, W)")
    if _channels_first(shape):
        return shape[1:]
    return shape[:2]


def _channels_first(shape: Sequence[int]) -> bool:
    return len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3)


def _pixels(key: str, path: Path) -> np.ndarray:
    """The numbers of a picture or of an .npy file, channels last."""
    coloured = key == "image" or KINDS[key] is Normals
    if path.suffix == ".npy":
        x = inputs.read_array(path)
        if _channels_first(x.shape):
            x = np.moveaxis(x, 0, -1)
        if x.ndim == 3 and x.shape[2] == 1:
            x = x[..., 0]
        return x

    def read(picture) -> np.ndarray:
        grey = picture.mode in ("1", "L", "LA", "La")
        if coloured and (picture.mode[0] in "IF" or (grey and key != "image")):
            kind = "colours of 8 bits a channel"
            if key == "image":
                kind = "8 bits a channel"
            raise DataError(f"{path}: is a picture of mode {picture.mode}, but must have {kind}")
        if coloured:
            picture = picture.convert("RGB")
        x = np.asarray(picture)
        if key != "image" and KINDS[key] is Depth and x.dtype.itemsize == 1:
            raise DataError(
                f"{path}: is a picture of 8 bits (mode {picture.mode}), but depth has 16 bits here"
            )
        if x.dtype == bool:  # a picture of one bit a pixel
            x = x.astype(np.uint8)
        return x

    return inputs.use_picture(path, read)


def _present(records: Iterable[Record]) -> None:
    paths = [path for record in records for path in record.values()]
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        more = f", nor are {len(missing) - 1} others there" if len(missing) > 1 else ""
        raise DataError(
            f"{shown(missing[0])}: no such file{more}; fetch what is missing or take it off the list"
        )
