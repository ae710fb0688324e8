"""`mtlnas-lab data …`: look at packs, and make what the lab ships."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tyro.conf import Positional

from ..errors import DataError
from ..one_line import printable


def make_rooms(out: Path = Path("data_samples/rooms.npz"), seed: int = 0) -> None:
    """Make the shipped rooms again (train, val, test): the same bytes on the same machine.

        mtlnas-lab data make-rooms --out rooms.npz

    Args:
        out: The pack to write (.npz).
        seed: Draws what stands in the rooms.
    """
    from ..data.rooms import make_rooms as make

    print(make(out, seed))


def import_nyuv2(
    mat: Positional[Path],
    out: Positional[Path],
    height: int = 96,
    width: int = 128,
    classes: Path | None = None,
) -> None:
    """Make a pack from nyu_depth_v2_labeled.mat, as the data set's authors publish it (needs the extra `nyuv2`).

        mtlnas-lab data import-nyuv2 nyu_depth_v2_labeled.mat nyuv2.npz --height 96 --width 128

    Args:
        mat: The published file (HDF5 inside).
        out: The pack to write (.npz).
        height: Pixels.
        width: Pixels.
        classes: A mapping of the file's label names to 13 or 40 classes; without it its most frequent names are used.
    """
    from ..data.nyuv2 import import_nyuv2 as make

    print(make(mat, out, (height, width), classes=classes))


def show(data: Positional[str] = "rooms") -> None:
    """Say what data hold: images, tasks, classes.

        mtlnas-lab data show
        mtlnas-lab data show pack.npz
        mtlnas-lab data show FOLDER@96x128

    Args:
        data: `rooms`, the path of a pack (.npz), or a data set's folder, as FOLDER or FOLDER@HEIGHTxWIDTH.
    """
    from ..data.folders import folder

    if folder(data):
        _show_folder(data)
    else:
        _show_pack(data)


def _show_folder(data: str) -> None:
    from ..data.open import open_data

    packs = open_data(data)
    for split, pack in packs.items():
        _say(split, (len(pack), *pack.images.shape[-2:]), pack.tasks)
    _say_classes(pack.labels)
    room = pack.cache.room / 2**30
    print(f"  {pack.about}; read as needed, up to {room:.3g} GiB are kept (MTLNAS_LAB_MEMORY_GB)")


def _show_pack(data: str) -> None:
    """By the headers of its arrays: nothing large is read."""
    from ..data.npz import described, splits
    from ..data.open import samples

    path = Path(data)
    if data == "rooms":
        path = samples() / "rooms.npz"
    there = splits(path)
    classes = {}  # splits share them, but one may lack a task
    for split in there or (None,):
        size, found = described(path, split)
        _say(split or "all", size, found)
        classes |= found
    _say_classes({task: labels for task, labels in classes.items() if labels})
    if not there:
        print("  no splits: a tenth of the images each is held out to validate and to test")


def _say(split: str, size: tuple[int, ...], tasks: Iterable[str]) -> None:
    count, height, width = size
    print(
        f"{printable(split)}: {count} images of {height} × {width}; tasks: {', '.join(tasks) or 'none'}"
    )


def _say_classes(labels: Mapping[str, Sequence[str]]) -> None:
    for task, names in labels.items():
        shown = tuple(names)
        if len(names) > 64:  # ImageNet has a thousand
            shown = (*names[:3], "…", names[-1])
        print(f"  {task}: {len(names)} classes: {', '.join(map(printable, shown))}")


def check(data: Positional[str]) -> None:
    """Read every file of a data set's folder and list those that are missing, damaged or do not fit, a line each.

        mtlnas-lab data check FOLDER

    Where MTLNAS_LAB_SKIP names a file with these lines, images with such a file are left out.

    Args:
        data: The folder.
    """
    from ..data.folders import check as problems
    from ..data.folders import folder

    place = folder(data)
    found = 0
    if place is None:
        raise DataError(f"{data}: no such folder; a pack (.npz) is checked when it is opened")
    for line in problems(place[0]):  # as they are found: a data set takes minutes
        print(printable(line))
        found += 1
    if found:
        raise DataError(
            f"{data}: {found} files are missing, damaged or do not fit; mend them, or keep the lines above in a file and "
            "let MTLNAS_LAB_SKIP name it, to leave their images out"
        )
    print(f"{data}: every file can be read")


DATA = {
    "show": show,
    "check": check,
    "make-rooms": make_rooms,
    "import-nyuv2": import_nyuv2,
}
