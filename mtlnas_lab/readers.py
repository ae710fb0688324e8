"""The layouts in which data sets lie in folders: NYU v2 as the released code wants it, Taskonomy, Cityscapes."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import identity
from ._torchvision import torchvision
from .errors import DataError
from .lazy import LazyPack, Raw
from .tasks import IGNORE, KINDS, Normals

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
TASKONOMY = {
    "segmentation": ("segment_semantic",),
    "normals": ("normal",),
    "object": ("class_object",),
    "depth": ("depth_zbuffer", "depth_euclidean"),
    "scene": ("class_scene",),
}

Record = dict[str, Path]  # {"image": file, task: file}; a task may be missing


@dataclass(frozen=True)
class Layout:
    """How a data set lies in a folder. `sign`: what the folder must hold; find(root) gives {split: records};
    decode(task, file) gives a label's Raw.decode; labels() names the classes."""

    about: str
    sign: tuple[str, ...]
    find: Callable[[Path], dict[str, list[Record]]]
    decode: Callable[[str, Path], Callable[[np.ndarray], np.ndarray]]
    labels: Callable[[], Mapping[str, Sequence[str]]]


# --- NYU v2, as prepared for the released code ------------------------------------------------------------------------
def _nyuv2(root: Path) -> dict[str, list[Record]]:
    """list/training_seg.txt and its like: lines `/an/image.png /its/label.png`. Classes are 0 to 39, 255 = none."""

    def records(split: str) -> list[Record]:
        found: dict[str, Record] = {}
        for task, name in (("seg40", f"{split}_seg.txt"), ("normals", f"{split}_normal_mask.txt")):
            for number, line in enumerate(_text(root / "list" / name).splitlines(), 1):
                image, *label = [root / part.lstrip("/") for part in line.split()] or [None]
                if len(label) > 1:
                    raise DataError(
                        f"{root / 'list' / name}: line {number} is no image and its label, a space between"
                    )
                if image:
                    found.setdefault(str(image), {"image": image}).update(zip([task], label))
        return _present(found.values())

    return {"train": records("training"), "test": records("testing")}


def _directions(x: np.ndarray) -> np.ndarray:
    """Colours 0..255 stand for -1..1. (The released code takes the colours themselves for directions.)"""
    return x / 127.5 - 1


# --- Taskonomy --------------------------------------------------------------------------------------------------------
def _taskonomy(root: Path) -> dict[str, list[Record]]:
    """One folder a task, with files point_0_view_0_domain_*, perhaps in folders of buildings."""

    def files(name: str) -> dict[tuple[str, ...], Path]:
        found = sorted((root / name).rglob("point_*_view_*_domain_*"))
        return {
            (
                *(part for part in path.relative_to(root / name).parent.parts if part != name),
                path.name.partition("_domain_")[0],
            ): path
            for path in found
        }

    records = {key: {"image": path} for key, path in files("rgb").items()}
    for task, names in TASKONOMY.items():
        there = next((name for name in names if (root / name).is_dir()), None)
        for key, path in files(there).items() if there else ():
            if key in records:
                records[key][task] = path
    return {"train": list(records.values())}


def _decode_taskonomy(task: str, path: Path) -> Callable:
    """Classes: 0 is uncertain, so none. Depth: 1/512 m; at the end of the range nothing was hit. Shares as they are."""
    return {
        "segmentation": lambda x: np.where(x == 0, IGNORE, x - 1),
        "normals": _directions,
        "depth": lambda x: np.where(x == 65535, 0, x / 512),
    }.get(task, np.asarray)


# --- Cityscapes -------------------------------------------------------------------------------------------------------
def _cityscapes(root: Path) -> dict[str, list[Record]]:
    """As torchvision finds it, and disparity/ where it is. The published validation images are the test images here."""
    torchvision()
    from torchvision.datasets import Cityscapes

    def records(split: str) -> list[Record]:
        for kind in ("leftImg8bit", "gtFine"):
            if not (root / kind / split).is_dir():
                raise DataError(f"{root / kind / split}: no such folder; Cityscapes needs it")
        found = Cityscapes(str(root), split, target_type="semantic")
        listed = [
            {"image": Path(image), "segmentation": Path(label)}
            for image, (label,) in sorted(zip(found.images, found.targets))
        ]
        for record in listed if (root / "disparity").is_dir() else ():
            city, name = record["image"].parts[-2:]
            record["depth"] = (
                root / "disparity" / split / city / name.replace("leftImg8bit", "disparity")
            )
        return _present(listed)

    return {"train": records("train"), "test": records("val")}


@functools.cache
def _cityscapes_classes() -> tuple[np.ndarray, dict[str, list[str]]]:
    """Which of the 19 judged classes each of 256 labels is (255 = none), and their names."""
    torchvision()
    from torchvision.datasets import Cityscapes

    judged = sorted(
        (c for c in Cityscapes.classes if 0 <= c.train_id < IGNORE), key=lambda c: c.train_id
    )
    table = np.full(256, IGNORE, np.uint8)
    table[[c.id for c in judged]] = [c.train_id for c in judged]
    return table, {"segmentation": [c.name for c in judged]}


def _decode_cityscapes(task: str, path: Path) -> Callable:
    if task == "segmentation":
        return lambda x: np.take(_cityscapes_classes()[0], x, mode="clip")
    camera = path.parents[3] / "camera" / path.relative_to(path.parents[2])
    camera = camera.with_name(camera.name.replace("disparity.png", "camera.json"))
    factor = BASELINE_FOCAL
    if camera.is_file():
        try:
            read = json.loads(_text(camera))
            factor = float(read["extrinsic"]["baseline"] * read["intrinsic"]["fx"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{camera}: no camera of Cityscapes ({type(error).__name__}: {error})"
            ) from None
    return functools.partial(_metres, factor)


def _metres(factor: float, x: np.ndarray) -> np.ndarray:
    """Depth of Cityscapes' numbers p, which stand for a disparity of (p - 1) / 256 pixels; 0 = none."""
    metres = 256 * factor / np.maximum(x.astype(float) - 1, 1e-3)
    return np.where((x > 0) & (metres <= FAR), metres, 0)


LAYOUTS = (
    Layout(
        "NYU v2 as prepared for the released code",
        ("list/training_seg.txt", "list/training_normal_mask.txt"),
        _nyuv2,
        lambda task, path: {"normals": _directions}.get(task, np.asarray),
        lambda: {"seg40": SEG40.split()},
    ),
    Layout(
        "Taskonomy",
        ("rgb",),
        _taskonomy,
        _decode_taskonomy,
        lambda: {"segmentation": OBJECTS.split()},
    ),
    Layout(
        "Cityscapes",
        ("leftImg8bit", "gtFine"),
        _cityscapes,
        _decode_cityscapes,
        lambda: _cityscapes_classes()[1],
    ),
)


# --- folders ----------------------------------------------------------------------------------------------------------
def folder(data: str | Path) -> tuple[Path, tuple[int, int] | None] | None:
    """(folder, size) of `FOLDER` or `FOLDER@HEIGHTxWIDTH`; None where there is no such folder."""
    if Path(data).is_dir():
        return Path(data), None
    sized = re.fullmatch(r"(.+)@(\d+)x(\d+)", str(data))
    return (
        (Path(sized[1]), (int(sized[2]), int(sized[3])))
        if sized and Path(sized[1]).is_dir()
        else None
    )


def open_folder(
    root: str | Path,
    size: tuple[int, int] | None = None,
    memory_gb: float | None = None,
    workers: int | None = None,
    held_out: float = 0.1,
    hold: Sequence[str] = ("val", "test"),
    by_content: bool = True,
) -> dict[str, LazyPack]:
    """{"train", "val", "test"} of a data set's folder, whose layout is recognised; a few examples are read at once.

    `size`: (height, width), by default 96 high. `memory_gb`: GiB of images to keep, by default 4 or what
    MTLNAS_LAB_MEMORY_GB says. Of the training images `held_out` become each split of `hold` that the data set lacks,
    drawn by their names: whole folders of them (buildings, cities) where there are enough; by_content=False draws by their
    number instead, as runs of before did. Raises DataError.
    """
    root = Path(root)
    layout = next(
        (layout for layout in LAYOUTS if all((root / name).exists() for name in layout.sign)), None
    )
    if layout is None:
        raise DataError(
            f"{root}: no layout that the lab knows ("
            + "; ".join(f"{layout.about}: {', '.join(layout.sign)}" for layout in LAYOUTS)
            + "); lazy.from_dataset takes all else"
        )
    splits = layout.find(root)
    records = [record for part in splits.values() for record in part]
    examples = {key: n for n, record in reversed([*enumerate(records)]) for key in record}
    if not splits["train"] or len(examples) < 2:
        raise DataError(
            f"{root}: looks like {layout.about}, but has no {'labels' if records else 'images'}"
        )
    try:
        memory_gb = (
            float(os.environ.get("MTLNAS_LAB_MEMORY_GB", 4)) if memory_gb is None else memory_gb
        )
    except ValueError as error:
        raise DataError(f"MTLNAS_LAB_MEMORY_GB: {error}; give a number of GiB, as in 4") from None
    examples = {key: examples[key] for key in ("image", *KINDS) if key in examples}
    whole = LazyPack.of(
        str(root),
        len(records),
        functools.partial(_open, layout, records),
        examples,
        layout.labels(),
        size,
        memory_gb,
        workers,
    )
    index = dict(
        zip(splits, torch.arange(len(records)).split([len(part) for part in splits.values()]))
    )
    missing = [name for name in hold if name not in index]
    if missing:
        index |= _held_out(splits["train"], missing, held_out, root, by_content)
    lacking = {key: sum(key not in record for record in records) for key in examples}
    about = "; ".join(
        [
            layout.about,
            *(f"{n} of {len(records)} images lack {key}" for key, n in lacking.items() if n),
        ]
    )
    return {
        name: replace(
            whole.subset(index[name]),
            name=f"{root} ({name})",
            about=about,
            records=records,
            root=root,
        )
        for name in ("train", "val", "test")
        if name in index
    }


def _held_out(
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
        labelled = {
            task: [*_units_with(task, folders, records).values()]
            for task in KINDS
            if any(task in record for record in records)
        }
        part = identity.draw(units, names, share, labelled, str(root))
    else:
        size = max(1, int(share * len(units)))
        order = torch.randperm(len(units), generator=torch.Generator().manual_seed(0))
        cut = [size] * len(names) + [len(units) - size * len(names)]
        part = dict(zip((*names, "train"), order.split(cut)))
    owner = {units[number]: name for name, numbers in part.items() for number in numbers.tolist()}
    return {
        name: torch.tensor([n for n, unit in enumerate(folders) if owner[unit] == name])
        for name in ("train", *names)
    }


def _units_with(task: str, folders: Sequence[str], records: Sequence[Record]) -> dict[str, bool]:
    """{unit: whether an image of it has labels of the task}."""
    found = dict.fromkeys(folders, False)
    for unit, record in zip(folders, records):
        found[unit] |= task in record
    return found


def _open(layout: Layout, records: Sequence[Record], number: int, keys: Sequence[str]):
    """A lazy.Open of records."""
    record = records[number]
    full = _file(record["image"], lambda picture: picture.size[::-1])

    def raw(key: str, path: Path) -> Raw:
        coloured = key == "image" or KINDS[key] is Normals
        x = _file(path, lambda picture: np.asarray(picture.convert("RGB") if coloured else picture))
        return Raw(x, str(path), np.asarray if key == "image" else layout.decode(key, path))

    return full, {key: raw(key, record[key]) for key in keys if key in record}


def _file(path: Path, use: Callable):
    """What `use` makes of a picture; an .npy file's numbers."""
    from PIL import Image

    try:
        if path.suffix == ".npy":
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
        with Image.open(path) as picture:
            return use(picture)
    except Exception as error:
        if not path.is_file():
            raise DataError(f"{path}: no such file") from None
        raise DataError(
            f"{path}: cannot be read, cut off or of another kind ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:100]})"
        ) from error


def _present(records: Iterable[Record]) -> list[Record]:
    records = list(records)
    if missing := [path for record in records for path in record.values() if not path.is_file()]:
        more = f", nor are {len(missing) - 1} others there" if len(missing) > 1 else ""
        raise DataError(
            f"{missing[0]}: no such file{more}; fetch what is missing or take it off the list"
        )
    return records


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__})") from None
