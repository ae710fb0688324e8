"""Opens data by name: the shipped rooms, a pack file, or a data set's folder."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import DataError
from ..one_line import listed, shown
from ..tasks.task import KINDS, Task
from .dataset import ImageDataset
from .folders import folder, open_folder
from .identity import draw, draw_by_number, marks
from .npz import KEYS, known_splits, names_key, numbered, split_to_score, splits

ROOMS = "rooms.npz"


def samples() -> Path:
    """Where the shipped data lies: the folder that MTLNAS_LAB_SAMPLES names, `data_samples/` of a checkout, or what was
    installed with the package.

    Raises:
        DataError: It is in none of them.
    """
    folder = shipped("data_samples")
    if not (folder / ROOMS).is_file():
        raise DataError(
            f"the shipped data is not here: {folder} has no {ROOMS}; install the lab again, or let MTLNAS_LAB_SAMPLES name "
            "the folder"
        )
    return folder


def shipped(name: str) -> Path:
    """Where a folder that comes with the lab should lie; it may not be there.

    Args:
        name: data_samples, notebooks or docs.
    """
    given = os.environ.get("MTLNAS_LAB_SAMPLES")
    if given and name == "data_samples":
        return Path(given)
    package = Path(__file__).parents[1]
    checkout = package.parent / name
    installed = package / "shipped" / name
    return installed if installed.is_dir() else checkout


def open_data(
    name: str | Path = "rooms",
    eval_data: str | Path | None = None,
    held_out: float = 0.1,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, ImageDataset]:
    """Open data by name and split it into images to train on, to validate with and to test with.

    A pack without splits lends `held_out` of its images to val, and as many to test unless `eval_data` names other data
    for that; where a pack has splits but none called val, its training images lend it. Which ones depends on the images
    alone: an image keeps its split when others come or go.

    Args:
        name: "rooms" (shipped), the path of a pack (.npz), or a data set's "FOLDER" or "FOLDER@HEIGHTxWIDTH", in a layout
            that `folders` knows; sizes in pixels.
        eval_data: Other data, named likewise, whose test images are scored.
        held_out: Share of images for each split that is drawn, above 0 and below 1/2.
        tell: Called with a line of text for what was done, and for what could not be compared.

    Returns:
        {"train", "val", "test": ImageDataset}.

    Raises:
        DataError: for data that are missing or damaged, and where the classes of the splits do not agree.

    Example:
        >>> from mtlnas_lab import open_data
        >>> data = open_data("rooms")
        >>> {split: len(pack) for split, pack in data.items()}
        {'train': 480, 'val': 80, 'test': 120}
        >>> data["train"].tasks
        ('segmentation', 'normals', 'depth', 'edges', 'room')
    """
    packs, _ = own_data(name, held_out, bool(eval_data), tell=tell)
    if eval_data:
        packs["test"] = data_to_score(eval_data)
    return agreeing(packs, tell, bool(eval_data))


def own_data(
    name: str | Path,
    held_out: float = 0.1,
    scored_elsewhere: bool = False,
    by_content: bool = True,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[dict[str, ImageDataset], bool]:
    """(the splits of data, whether images were drawn for one of them). by_content=False: drawn by their place in the pack,
    as runs were that do not say which data they were made with.
    """
    path = _place(name)
    hold = ["val"] if scored_elsewhere else ["val", "test"]
    found = folder(path)
    if found:
        packs = open_folder(*found, held_out=held_out, hold=hold, by_content=by_content)
        return packs, True
    named = splits(path)
    if not named:
        return _lend(_load(path), hold, held_out, by_content), True
    there = known_splits(path)
    if "train" not in there:
        raise DataError(
            f"{path}: has no split to train on; it has {listed(named)}, and one must be called train"
        )
    packs = {split: _load(path, own) for split, own in there.items()}
    other = [split for split in named if split not in there.values()]
    if other:
        tell(f"{path}: its splits {listed(other)} are not used")
    if "val" in packs and "test" not in packs and not scored_elsewhere:
        tell(f"{path}: has no test images; the validation images are scored in their place")
    if "val" in packs or not by_content:  # runs of before scored such packs as they are
        return packs, False
    missing = [split for split in hold if split not in packs]
    lent = _lend(packs["train"], missing, held_out, by_content)
    tell(f"{path}: has no {', '.join(missing)}; {held_out:.0%} of train each are held out for that")
    return packs | lent, True


def data_to_score(name: str | Path) -> ImageDataset:
    """The test images of other data: of a split called test, else all there are."""
    path = _place(name)
    found = folder(path)
    if found:
        return open_folder(*found)["test"]
    return _load(path, split_to_score(path))


def _load(path: Path, split: str | None = None) -> ImageDataset:
    """A pack, or one split of it.

    Unpacking the shipped rooms takes a second, and a session opens them again and again. So they are unpacked once, and
    whoever opens them gets copies that he may change.
    """
    if path != shipped("data_samples") / ROOMS:
        return ImageDataset.load(path, split)
    status = os.stat(path)
    known = (*KEYS.items(), *KINDS.items())
    pack = _unpacked(path, split, status.st_mtime_ns, status.st_size, known)
    images = pack.images.clone()
    targets = {task: target.clone() for task, target in pack.targets.items()}
    return replace(pack, images=images, targets=targets, labels=dict(pack.labels))


@functools.lru_cache(maxsize=3)  # train, val and test
def _unpacked(path: Path, split: str | None, changed: int, size: int, known: tuple) -> ImageDataset:
    """What the file holds. It is read again when its time or size has changed, or when a task was registered."""
    return ImageDataset.load(path, split)


def _place(name: str | Path) -> Path:
    if not isinstance(name, str | Path) or not str(name):
        raise DataError(f"data = {name!r}: give `rooms`, the path of a pack (.npz) or of a folder")
    path = samples() / "rooms.npz" if str(name) == "rooms" else Path(name)
    try:
        os.stat(path)
    except FileNotFoundError:
        pass  # it may be FOLDER@HEIGHTxWIDTH; else that it is missing will be said
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{shown(name)}: can't be opened ({why})") from None
    return path


def _lend(
    whole: ImageDataset, hold: Sequence[str], held_out: float, by_content: bool
) -> dict[str, ImageDataset]:
    """A pack's images as those of `hold` and of train."""
    if by_content:
        labelled = {task: whole.labelled(task).tolist() for task in whole.tasks}
        parts = draw(marks(whole), hold, held_out, labelled, whole.name)
    else:
        parts = draw_by_number(len(whole), hold, held_out)
    packs = {}
    for split in (*hold, "train"):
        packs[split] = replace(whole.subset(parts[split]), name=f"{whole.name} ({split})")
    return packs


def agreeing(
    packs: Mapping[str, ImageDataset],
    tell: Callable[[str], None],
    foreign: bool = False,
    tasks: Iterable[str] | None = None,
) -> dict[str, ImageDataset]:
    """The packs, if they are of the same classes as the training images. `foreign`: the test images are other data. `tasks`:
    look at these alone.

    Raises DataError for classes that differ in name, order or number. Where one of two packs has no names, numbers alone
    are compared, and `tell` hears of it.
    """
    train = packs["train"]
    made = dict(packs)
    if tasks is None:
        tasks = train.tasks
    for split, pack in packs.items():
        if pack.images.shape[1:] != train.images.shape[1:]:
            tell(
                f"{pack.name}: images of {_size(pack)} pixels, those to train on have {_size(train)}; they are scored "
                "as they are"
            )
        for task in tasks:
            if task not in train.tasks or task not in pack.tasks:
                continue
            mine = train.labels.get(task, ())
            theirs = pack.labels.get(task, ())
            if train.targets[task].ndim != pack.targets[task].ndim:
                raise DataError(
                    f"{pack.name}: labels of {task} have {pack.targets[task].ndim - 1} axes, those to train on have "
                    f"{train.targets[task].ndim - 1}; both need the same kind"
                )
            nameless = [each.name for each in (train, pack) if _nameless(each, task)]
            if not nameless:
                _must_be_equal(task, train, pack)
            elif mine != theirs:
                _must_be_enough(task, train, pack)
            from_elsewhere = foreign and split == "test"
            if nameless and (mine != theirs or from_elsewhere):
                tell(
                    f"{' and '.join(nameless)}: classes of {task} have no names, so their numbers alone could be "
                    f"compared: {len(mine)} to train on, {len(theirs)} in {split}"
                )
            if mine != theirs:  # a task is made by the names of the training images
                made[split] = replace(made[split], labels={**made[split].labels, task: mine})
    return made


def _size(pack: ImageDataset) -> str:
    return " × ".join(str(side) for side in pack.images.shape[-2:])


def _nameless(pack: ImageDataset, task: str) -> bool:
    labels = pack.labels.get(task, ())
    return bool(labels) and labels == numbered(task, len(labels))


def _must_be_equal(task: str, train: ImageDataset, pack: ImageDataset) -> None:
    mine = train.labels.get(task, ())
    theirs = pack.labels.get(task, ())
    if mine == theirs:
        return
    same = 0  # classes that agree before the first that does not
    for one, other in zip(mine, theirs):
        if one != other:
            break
        same += 1
    how = "in another order" if sorted(mine) == sorted(theirs) else "other classes"
    here = listed(theirs[same:])
    there = listed(mine[same:])
    raise DataError(
        f"{pack.name}: {task} has {how} than {train.name}, from number {same + 1} on: {here} "
        f"against {there}; both need the same list {names_key(task)}"
    )


def _must_be_enough(task: str, train: ImageDataset, pack: ImageDataset) -> None:
    mine = len(train.labels.get(task, ()))
    theirs = len(pack.labels.get(task, ()))
    named_here_alone = _nameless(train, task) and not _nameless(pack, task)
    if theirs > mine or (named_here_alone and theirs < mine):
        raise DataError(
            f"{pack.name}: {task} has {theirs} classes, those to train on ({train.name}) have {mine}; give both "
            f"the same list {names_key(task)}"
        )


def _must_be_labelled(data: Mapping[str, ImageDataset], tasks: Mapping[str, Task]) -> None:
    """Raise DataError unless each split has a label of each task, and the classes that are trained."""
    agreeing(data, lambda text: None, tasks=tasks)
    for split, pack in data.items():
        for task in tasks:
            if task not in pack.targets:
                raise DataError(
                    f"{pack.name}: has no labels for {task} in {split}; it has them for {', '.join(pack.tasks)}"
                )
            if not pack.labelled(task).any():
                raise DataError(
                    f"{pack.name}: none of its {len(pack)} images has a label for {task} in {split}, so nothing could be "
                    "said of it; give some, or leave the task out"
                )
