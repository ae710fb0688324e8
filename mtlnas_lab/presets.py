"""The only file with magic numbers: which networks, which fusion, which settings go well together."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from .backbones import Backbone, vgg16
from .config import SearchConfig
from .data import Pack
from .errors import ConfigError, DataError, RunError
from .fusion import NDDR, ResidualFusion
from .identity import draw, marks
from .lab import Lab
from .lazy import LazyPack, tell_of_missing_labels
from .packfile import known_splits, listed, names_key, numbered, split_to_score, splits
from .readers import folder, open_folder
from .relaxation import ArchitectureWeights, Schedule
from .space import SearchSpace
from .supernet import FusionMaker, SuperNet
from .tasks import Task
from .values import number, printable
from .zoo import convnext_tiny, mobilenet_v3, resnet18, resnet50, vit


@dataclass(frozen=True)
class Preset:
    """backbones[name](outputs=…, dense=…) makes one task's network, of the first name unless another is asked for;
    `pretrain` teaches it alone, `search` fuses them by `fusion` (where maps may be negative: by ResidualFusion)."""

    backbones: Mapping[str, Callable[..., Backbone]]
    fusion: FusionMaker
    pretrain: SearchConfig
    search: SearchConfig
    about: str


PRESETS = {
    "tiny": Preset(
        backbones={
            "vgg16": partial(vgg16, widths=(8, 16, 32, 64, 64), hidden=128, field=4, dropout=0.0),
            "resnet18": partial(resnet18, widths=(8, 16, 32, 64), hidden=128, field=4),
            "resnet50": partial(resnet50, widths=(4, 8, 16, 32), hidden=128, field=4),
            "vit": partial(vit, width=48, heads=3, patch=8, image_size=64, hidden=128),
            "mobilenet_v3": partial(mobilenet_v3, width=0.25, hidden=128),
            "convnext_tiny": partial(convnext_tiny, widths=(12, 24, 48, 96), hidden=128),
        },
        fusion=partial(NDDR, start=(0.9, 0.1)),
        pretrain=SearchConfig(steps=300, weight_lr=2e-3),
        # λ grows over 30–100 % of the run, so that the tasks are heard before edges lock in: data_samples/studies/gap-small has
        # λ = 3 and more close the gap (λ = 0 does not), no difference in score to a constant λ, and seeds that agree more
        search=SearchConfig(
            steps=500, weight_lr=1e-3, alpha_lr=0.02, entropy_weight=Schedule(10.0, 0.0, (0.3, 1.0))
        ),
        about="VGG-16's 13 stages at an eighth of its widths: 48 candidate edges, minutes on a laptop without GPU; "
        "what supports its schedule of λ: data_samples/studies/gap-small/report.md",
    ),
    "vgg16": Preset(
        backbones={
            "vgg16": vgg16,
            "resnet18": resnet18,
            "resnet50": resnet50,
            "vit": vit,
            "mobilenet_v3": mobilenet_v3,
            "convnext_tiny": convnext_tiny,
        },
        fusion=partial(NDDR, start=(1.0, 0.0)),
        pretrain=SearchConfig(
            steps=20001,
            batch_size=10,
            optimizer="sgd",
            weight_lr=1e-3,
            weight_decay=2.5e-4,
            lr_power=0.9,
            last_weight_lr_factor=10,
            last_bias_lr_factor=20,
        ),
        search=SearchConfig(
            steps=20001,
            batch_size=10,
            optimizer="sgd",
            weight_lr=1e-3,
            weight_decay=2.5e-4,
            lr_power=0.9,
            fusion_lr_factor=100,
            last_weight_lr_factor=10,
            last_bias_lr_factor=20,
            alpha_lr=1e-3,
            alpha_weight_decay=1e-3,
            entropy_weight=Schedule(10.0),
        ),
        about="VGG-16 DeepLab-LargeFOV as released, with the released settings (PAPERS.md 1.7): for a GPU",
    ),
}


def preset(name: str) -> Preset:
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def samples() -> Path:
    """Where the shipped data lies: `data_samples/` beside the package, or MTLNAS_LAB_SAMPLES."""
    place = Path(
        os.environ.get("MTLNAS_LAB_SAMPLES") or Path(__file__).parent.parent / "data_samples"
    )
    if not (place / "rooms.npz").is_file():
        raise DataError(
            "the shipped data is not here: data_samples/rooms.npz lies in the project's folder; install from a "
            "checkout (pip install -e .) or let MTLNAS_LAB_SAMPLES name the folder"
        )
    return place


def load_data(
    name: str | Path = "rooms",
    eval_data: str | Path | None = None,
    held_out: float = 0.1,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Pack]:
    """{"train", "val", "test"} of `rooms`, a pack's path, or a data set's `FOLDER[@HEIGHTxWIDTH]` (readers). A pack without
    splits lends `held_out` of its images to val, and as many to test unless `eval_data` names other data for that; where a
    pack has splits but none called val, its training images lend it. Which ones depends on the images alone. What was
    done, and what could not be compared, `tell` hears.

    Raises DataError also where classes or sizes of the splits do not agree.
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
) -> tuple[dict[str, Pack], bool]:
    """(the splits of data, whether images were drawn for one of them). by_content=False: drawn by their place in the pack,
    as runs were that do not say which data they were made with.
    """
    path, hold = _place(name), ("val",) if scored_elsewhere else ("val", "test")
    if found := folder(path):
        packs = open_folder(*found, held_out=held_out, hold=hold, by_content=by_content)
        return packs, True
    if not splits(path):
        return _lend(Pack.load(path), hold, held_out, by_content), True
    there = known_splits(path)
    if "train" not in there:
        raise DataError(
            f"{path}: has no split to train on; it has {listed(splits(path))}, and one must be called train"
        )
    packs = {split: Pack.load(path, own) for split, own in there.items()}
    if other := [split for split in splits(path) if split not in there.values()]:
        tell(f"{path}: its splits {listed(other)} are not used")
    if "val" in packs and "test" not in packs and not scored_elsewhere:
        tell(f"{path}: has no test images; the validation images are scored in their place")
    if "val" in packs or not by_content:
        return packs, False
    missing = [split for split in hold if split not in packs]
    lent = _lend(packs["train"], missing, held_out, by_content)
    tell(f"{path}: has no {', '.join(missing)}; {held_out:.0%} of train each are held out for that")
    return packs | lent, True


def data_to_score(name: str | Path) -> Pack:
    """The test images of other data: of a split called test, else all there are."""
    path = _place(name)
    if found := folder(path):
        packs = open_folder(*found)
        return packs["test"]
    return Pack.load(path, split_to_score(path))


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
        raise DataError(f"{printable(name)[:200]}: can't be opened ({why})") from None
    return path


def _lend(whole: Pack, hold: Sequence[str], held_out: float, by_content: bool) -> dict[str, Pack]:
    """A pack's images as those of `hold` and of train."""
    if by_content:
        labelled = {task: whole.labelled(task).tolist() for task in whole.tasks}
        parts = draw(marks(whole), hold, held_out, labelled, whole.name)
    else:
        order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))
        size = max(1, int(held_out * len(whole)))
        cut = [size] * len(hold) + [len(whole) - size * len(hold)]
        parts = dict(zip((*hold, "train"), order.split(cut)))
    return {
        split: replace(whole.subset(parts[split]), name=f"{whole.name} ({split})")
        for split in (*hold, "train")
    }


def agreeing(
    packs: Mapping[str, Pack],
    tell: Callable[[str], None],
    foreign: bool = False,
    tasks: Iterable[str] | None = None,
) -> dict[str, Pack]:
    """The packs, if they are of the same classes as the training images. `foreign`: the test images are other data. `tasks`:
    look at these alone.

    Raises DataError for classes that differ in name, order or number. Where one of two packs has no names, numbers alone
    are compared, and `tell` hears of it.
    """
    train, made = packs["train"], dict(packs)
    for split, pack in packs.items():
        if pack.images.shape[1:] != train.images.shape[1:]:
            tell(
                f"{pack.name}: images of {_size(pack)} pixels, those to train on have {_size(train)}; they are scored "
                "as they are"
            )
        for task in train.tasks if tasks is None else tasks:
            if task not in train.tasks or task not in pack.tasks:
                continue
            mine, theirs = train.labels.get(task, ()), pack.labels.get(task, ())
            if train.targets[task].ndim != pack.targets[task].ndim:
                raise DataError(
                    f"{pack.name}: labels of {task} have {pack.targets[task].ndim - 1} axes, those to train on have "
                    f"{train.targets[task].ndim - 1}; both need the same kind"
                )
            nameless = [p.name for p in (train, pack) if _nameless(p, task)]
            if not nameless:
                _must_be_equal(task, train, pack)
            elif mine != theirs:
                _must_be_enough(task, train, pack)
            if nameless and (mine != theirs or (foreign and split == "test")):
                tell(
                    f"{' and '.join(nameless)}: classes of {task} have no names, so their numbers alone could be "
                    f"compared: {len(mine)} to train on, {len(theirs)} in {split}"
                )
            if mine != theirs:
                made[split] = replace(made[split], labels={**made[split].labels, task: mine})
    return made


def _size(pack: Pack) -> str:
    return " × ".join(str(side) for side in pack.images.shape[-2:])


def _nameless(pack: Pack, task: str) -> bool:
    labels = pack.labels.get(task, ())
    return bool(labels) and labels == numbered(task, len(labels))


def _must_be_equal(task: str, train: Pack, pack: Pack) -> None:
    mine, theirs = train.labels.get(task, ()), pack.labels.get(task, ())
    if mine == theirs:
        return
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(mine, theirs)))
    how = "in another order" if sorted(mine) == sorted(theirs) else "other classes"
    raise DataError(
        f"{pack.name}: {task} has {how} than {train.name}, from number {same + 1} on: {listed(theirs[same:])} "
        f"against {listed(mine[same:])}; both need the same list {names_key(task)}"
    )


def _must_be_enough(task: str, train: Pack, pack: Pack) -> None:
    mine, theirs = len(train.labels.get(task, ())), len(pack.labels.get(task, ()))
    if theirs > mine or (_nameless(train, task) and not _nameless(pack, task) and theirs < mine):
        raise DataError(
            f"{pack.name}: {task} has {theirs} classes, those to train on ({train.name}) have {mine}; give both "
            f"the same list {names_key(task)}"
        )


def per_task(given: str | Mapping[str, str], tasks: Sequence[str], what: str) -> dict[str, str]:
    """{task: value} of "value" (for all tasks) or "task=value,…". Raises ConfigError for a task that is not there."""
    if isinstance(given, str):
        if "=" not in given:
            return dict.fromkeys(tasks, given) if given else {}
        given = dict(
            part.strip().split("=", 1) if "=" in part else (part, "") for part in given.split(",")
        )
    for task, value in given.items():
        if task not in tasks or not value:
            raise ConfigError(
                f"{what} {task}={value}: give one {what} for all tasks, or task={what},… with tasks out of "
                f"{', '.join(tasks)}"
            )
    return dict(given)


def make_lab(
    name: str | Preset,
    data: Mapping[str, Pack],
    tasks: Sequence[str] | None = None,
    seed: int = 0,
    fusion: FusionMaker | None = None,
    backbone: str | Mapping[str, str] = "",
) -> Lab:
    """The lab of a preset: freshly drawn networks (by `seed`) for these tasks of the data, α = 0.

    backbone: a name for all tasks, "resnet18", or for some, "segmentation=vgg16,normals=resnet18"; else the preset's own.
    """
    chosen = name if isinstance(name, Preset) else preset(name)
    if "train" not in data:
        raise DataError(f"there are no images to train on, only {listed(map(str, data))}")
    made = data["train"].make_tasks(tasks or data["train"].first_dense_pair())
    if len(made) < 2:
        raise ConfigError(
            f"a search needs two tasks or more, but only {', '.join(made)} was asked for; "
            f"this data has {', '.join(data['train'].tasks)}"
        )
    _must_be_labelled(data, made)
    # whether files that are read as needed hold labels is known only by reading some
    read_later = {split: pack for split, pack in data.items() if isinstance(pack, LazyPack)}
    tell_of_missing_labels(read_later, made)
    names = dict.fromkeys(made, next(iter(chosen.backbones))) | per_task(
        backbone, tuple(made), "backbone"
    )
    for task, wanted in names.items():
        if wanted not in chosen.backbones:
            raise ConfigError(
                f"there is no backbone {wanted!r} for {task}; choose one of {', '.join(chosen.backbones)}, or "
                "put networks of your own (zoo.staged) into a SuperNet"
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbones = {
            task: chosen.backbones[names[task]](outputs=t.channels, dense=t.dense)
            for task, t in made.items()
        }
        space = SearchSpace.build({task: net.plan for task, net in backbones.items()})
        fusion = fusion or (
            ResidualFusion if any(net.signed for net in backbones.values()) else chosen.fusion
        )
        supernet = SuperNet(backbones, space, fusion).to(
            memory_format=torch.channels_last
        )  # faster
    return Lab(made, supernet, ArchitectureWeights(len(space)), dict(data))


def _must_be_labelled(data: Mapping[str, Pack], tasks: Mapping[str, Task]) -> None:
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


def tiny(
    data: Mapping[str, Pack] | None = None, tasks: Sequence[str] | None = None, seed: int = 0
) -> Lab:
    """The lab of the preset `tiny`, on the shipped rooms with their pretrained backbones if no data is given."""
    lab = make_lab("tiny", data or load_data(), tasks, seed)
    if data is None:
        load_backbones(lab)
    return lab


def load_backbones(
    lab: Lab, folder: Path | None = None, tasks: Sequence[str] | None = None
) -> None:
    """Put the shipped single-task weights of the rooms into the lab's backbones, all or those of `tasks`. Raises RunError
    where they do not fit."""
    from safetensors.torch import load_file

    folder = folder or samples() / "backbones"
    for task in lab.supernet.backbones if tasks is None else tasks:
        backbone = lab.supernet.backbones[task]
        path = folder / f"rooms_{task}.safetensors"
        if not path.is_file():
            raise RunError(
                f"no pretrained backbone for {task!r} is shipped ({path.name}); pretrain it (--pretrain-steps 300)"
            )
        try:
            backbone.load_state_dict(
                {
                    name: t.to(torch.float32) if t.is_floating_point() else t
                    for name, t in load_file(path).items()
                }
            )
        except RuntimeError as error:
            raise RunError(
                f"{path.name} is of another backbone: {str(error).splitlines()[-1].strip()}"
            ) from None


def quick(size: int, smoke: int) -> int:
    """`size`, or `smoke` where MTLNAS_LAB_FAST is set: how the tests run every notebook in seconds."""
    return smoke if os.environ.get("MTLNAS_LAB_FAST") else size


def with_budget(
    config: SearchConfig, steps: int | None = None, entropy_weight: float | None = None, **changes
) -> SearchConfig:
    """The settings with other steps, with λ's schedule ending in another value, and with what else is given."""
    if steps is not None:
        changes["steps"] = steps
    if entropy_weight is not None:
        changes["entropy_weight"] = replace(
            config.entropy_weight, end=number("entropy_weight", entropy_weight)
        )
    return replace(config, **changes)
