"""The settings of a whole piece of work, as a run's config.json holds them."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from ..core.config import SearchConfig
from ..core.fusion import NDDR, CrossStitch, ResidualFusion
from ..core.lab import Lab, pick_device
from ..cores import default_threads
from ..data import identity, loader
from ..data.dataset import ImageDataset
from ..data.open import agreeing, data_to_score, own_data, samples
from ..errors import ConfigError, RunError
from ..models.pretrained import digest, load_weights
from ..models.released import read_released
from ..tasks.task import KINDS, Classification, Segmentation, Task
from ..values import told
from .presets import load_backbones, make_lab, per_task, preset, with_budget

FUSIONS = {
    "nddr": lambda start: partial(NDDR, start=start),
    "residual": lambda start: ResidualFusion,
    "cross_stitch": lambda start: partial(CrossStitch, start=start),
}


OF_THE_ROOMS = ("", "vgg16")  # backbones that the shipped weights are of


RANDOM, SHIPPED = "random", "shipped"  # weights to begin with that are no file


COUNTED = 2_000  # training images of which balanced classes are counted


@dataclass(frozen=True)
class Experiment:
    """What a run folder's config.json says: enough to do the work again."""

    preset: str = "tiny"
    data: str = "rooms"
    eval_data: str | None = None
    tasks: tuple[str, ...] = ()
    seed: int = 0
    search: SearchConfig = field(default_factory=SearchConfig)
    pretrain: SearchConfig = field(
        default_factory=SearchConfig
    )  # steps = 0: the shipped backbones of the rooms
    baselines: tuple[str, ...] = ("single_task",)
    checkpoint_every: int = 100
    keyframes: int = 5  # checkpoints spread over the run that are kept for branching
    device: str = "auto"
    threads: int = field(default_factory=default_threads)  # of the CPU
    method: str = "search"  # or the name of a baseline, to train that instead
    edges: int | None = None  # of a random graph; None: half of the candidates
    draw: int = 0  # which random graph: another one under the same seed
    graph: Mapping | None = (
        None  # an architecture's JSON, found elsewhere: its edges are carried over and trained
    )
    backbone: str = ""  # a name for all tasks, or task=name,…; "": the preset's
    weights: Mapping[str, str] = (
        field(  # {task: file}; {"*": file} for all; "random" or "shipped" (of the
            default_factory=dict  # rooms) instead of a file
        )
    )
    weights_sha256: Mapping[str, str] = field(
        default_factory=dict
    )  # {file: its checksum when the work began}
    calibration: Mapping[str, float] = field(
        default_factory=dict
    )  # seconds a step by precision, where it was measured
    fusion: str = ""  # nddr, residual, cross_stitch; "": the preset's
    fusion_start: tuple[float, float] | None = (0.9, 0.1)  # of the fusion named above; None: random
    loss_weights: Mapping[str, float] = field(
        default_factory=dict
    )  # where a task's own weight is not wanted
    class_weights: Mapping[str, str | tuple[float, ...]] = field(
        default_factory=dict
    )  # {task: a number for each class in its loss, or "balanced": the inverse of how often it is}
    data_identity: Mapping = field(default_factory=dict)  # which data these are (identity.py)

    def __post_init__(self):
        for name, (good, words) in SETTINGS.items():
            value = getattr(self, name)
            if not good(value):
                raise ConfigError(f"{name} = {told(value)}: give {words}")
        identity.checked(self.data_identity)

    @classmethod
    def from_preset(
        cls,
        name: str = "tiny",
        data: str = "rooms",
        seed: int = 0,
        steps: int | None = None,
        pretrain_steps: int | None = None,
        entropy_weight: float | None = None,
        **settings,
    ) -> Experiment:
        """The settings of a preset, with what is given here put in their place."""
        chosen, other = (
            preset(name),
            settings.get("weights") or settings.get("backbone", "") not in OF_THE_ROOMS,
        )
        shipped = name == "tiny" and data == "rooms" and pretrain_steps is None and not other
        return cls(
            name,
            data,
            seed=seed,
            search=with_budget(chosen.search, steps, entropy_weight, seed=seed),
            pretrain=with_budget(chosen.pretrain, 0 if shipped else pretrain_steps, seed=seed),
            **settings,
        )

    @classmethod
    def released(
        cls,
        path: str | Path,
        steps: int | None = None,
        entropy_weight: float | None = None,
        **settings,
    ) -> Experiment:
        """`of`, with the settings of a released YAML file; a baseline's file gives that baseline."""
        asked, made = read_released(path), cls.from_preset(**settings)
        return replace(
            made,
            search=with_budget(asked.search, steps, entropy_weight, seed=made.seed),
            fusion_start=asked.fusion_start,
            fusion="cross_stitch" if asked.baseline == "cross_stitch" else "nddr",
            method=asked.baseline or "search",
            loss_weights={"normals": asked.normals_weight},
        )

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, settings: Mapping) -> Experiment:
        """The experiment of a config.json. Raises RunError that names the setting which can't be."""
        try:
            made = dict(settings)
            for name in ("search", "pretrain"):
                made[name] = SearchConfig.from_json(made[name])
            for name in ("tasks", "baselines", "fusion_start"):
                if isinstance(made[name], list):
                    made[name] = tuple(made[name])
            return cls(**made)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RunError(
                f"config.json is not of an experiment ({error}); was it edited by hand?"
            ) from None

    def sealed(self) -> Experiment:
        """With absolute paths of data and weight files, and with the checksums of these: a resumed run must find the same."""
        weights = {
            task: path if path in (RANDOM, SHIPPED) else str(Path(path).resolve())
            for task, path in self.weights.items()
        }
        sums = {path: digest(path) for path in weights.values() if Path(path).is_file()}
        return replace(
            self,
            data=_absolute(self.data),
            eval_data=self.eval_data and _absolute(self.eval_data),
            weights=weights,
            weights_sha256=sums,
        )

    def packs(
        self,
        tell: Callable[[str], None] = lambda text: None,
        eval_data: str | None = None,
        old: bool = False,
    ) -> tuple[dict[str, ImageDataset], bool]:
        """(the data, whether images were drawn for one of its splits), as they were when a run with these settings began.

        eval_data: other data to score on. old: a run that does not say which data it was made with.
        """
        packs, drawn = own_data(
            self.data, scored_elsewhere=bool(self.eval_data), by_content=not old, tell=tell
        )
        recorded = self.data_identity
        if self.eval_data and not eval_data:
            packs["test"] = data_to_score(self.eval_data)
        if recorded and self.eval_data and eval_data:
            own = {k: split for k, split in recorded["splits"].items() if k != "test"}
            recorded = {**recorded, "splits": own}
        if recorded:
            packs = identity.restored(packs, recorded, tell)
        if eval_data:
            packs["test"] = data_to_score(eval_data)
        foreign = bool(eval_data or self.eval_data)
        return agreeing(packs, tell, foreign, self._tasks() or packs["train"].tasks), drawn

    def _tasks(self) -> tuple[str, ...]:
        """The tasks, where they are known without the data: as asked for, or as the run recorded them."""
        return self.tasks or tuple(self.data_identity.get("tasks", ()))

    def lab(
        self,
        begin: bool = True,
        tell: Callable[[str], None] = lambda text: None,
        packs: Mapping[str, ImageDataset] | None = None,
    ) -> Lab:
        """The lab as it is before any training; begin=False: without the weights it begins with, if others will follow.
        `tell` hears what became of weights and data. packs: its data, where they are loaded already."""
        if self.fusion and self.fusion not in FUSIONS:
            raise ConfigError(
                f"there is no fusion {self.fusion!r}; choose one of {', '.join(FUSIONS)}"
            )
        lab = make_lab(
            self.preset,
            self.packs(tell)[0] if packs is None else packs,
            self._tasks() or None,
            self.seed,
            self.fusion and FUSIONS[self.fusion](self.fusion_start),
            self.backbone,
        )
        self._weigh(lab, tell)
        if begin:
            self._put_weights(lab, tell)
        return lab.to(pick_device(self.device))

    def _weigh(self, lab: Lab, tell: Callable[[str], None]) -> None:
        """Give the tasks the weights that these settings have for them and their classes."""
        for name in {**self.loss_weights, **self.class_weights}:
            if name not in lab.tasks and name not in KINDS:
                raise ConfigError(
                    f"there is no task {name!r} to weigh; this work has {', '.join(lab.tasks)}"
                )
            if name not in lab.tasks:
                tell(f"{name} is not among the tasks, so its weight counts for nothing")
        tasks = {}
        for name, task in lab.tasks.items():
            weight = self.loss_weights.get(name, task.weight)
            tasks[name] = replace(task, weight=weight)
            if name in self.class_weights:
                tasks[name] = _with_classes_weighed(
                    tasks[name], self.class_weights[name], lab.data["train"]
                )
        lab.tasks = tasks

    def _put_weights(self, lab: Lab, tell: Callable[[str], None]) -> None:
        """Put in the weights that the networks begin with."""
        given = self.weights
        if not given and self.pretrain.steps == 0:
            fit = self.preset == "tiny" and self.backbone in OF_THE_ROOMS
            given = {"*": SHIPPED if fit and _are_the_rooms(self.data) else RANDOM}
            if given["*"] == RANDOM:
                tell(
                    "no pretraining and no weights: the networks begin with random ones (the shipped weights are of the "
                    "preset tiny on the rooms)"
                )
        everyone = dict.fromkeys(lab.tasks, given["*"]) if "*" in given else given
        for task, path in per_task(everyone, tuple(lab.tasks), "weights").items():
            if path == SHIPPED:
                load_backbones(lab, tasks=(task,))
            elif path == RANDOM and self.weights:
                tell(f"{task}: random weights")
            elif path != RANDOM:
                network = lab.supernet.backbones[task]
                tell(f"{task}: {load_weights(network, path, self.weights_sha256.get(path))}")


def _absolute(data: str) -> str:
    """The path of data, fit for other folders; `rooms` is no path."""
    return data if data == "rooms" else os.path.abspath(data)


def _are_the_rooms(data: str) -> bool:
    return data == "rooms" or os.path.realpath(data) == os.path.realpath(samples() / "rooms.npz")


def _with_classes_weighed(task: Task, given: str | tuple[float, ...], pack: ImageDataset) -> Task:
    """The task with these weights of its classes; "balanced": all images / (classes × images of the class), by labels."""
    kind = type(task)
    if kind not in (Segmentation, Classification) or getattr(task, "soft", False):
        raise ConfigError(f"class_weights: {task.name} has no classes to weigh")
    if given != "balanced":
        if len(given) != task.channels:
            raise ConfigError(
                f"class_weights: {task.name} has {task.channels} classes ({', '.join(task.labels[:12])}…), but "
                f"{len(given)} weights are given"
            )
        return replace(task, class_weights=tuple(given))
    some = pack.subset(torch.arange(0, len(pack), -(-len(pack) // COUNTED)))
    counts = torch.zeros(256 if kind is Segmentation else task.channels, dtype=torch.long)
    for _, targets in loader.sequential(some, (task.name,), 32):
        labels = targets[task.name].flatten().cpu()
        counts += torch.bincount(labels[labels >= 0], minlength=len(counts))
    counts = counts[: task.channels].double()
    weights = counts.sum() / (task.channels * counts.clamp(min=1))
    weights[counts == 0] = 1.0
    return replace(task, class_weights=tuple(weights.tolist()))


# --- what a setting can be --------------------------------------------------------------------------------------------
def _text(value: object) -> bool:
    return isinstance(value, str)


def _whole(low: int, high: int) -> Callable[[object], bool]:
    return lambda x: (
        isinstance(x, numbers.Integral) and not isinstance(x, bool) and low <= x <= high
    )


def _amount(value: object) -> bool:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _texts(value: object) -> bool:
    return isinstance(value, tuple) and all(map(_text, value))


def _by_name(good: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda x: isinstance(x, Mapping) and all(_text(k) and good(v) for k, v in x.items())


def _class_weights(value: object) -> bool:
    listed = isinstance(value, list | tuple) and all(map(_amount, value))
    return value == "balanced" if _text(value) else listed and sum(value) > 0


def _start(value: object) -> bool:
    pair = isinstance(value, tuple) and len(value) == 2
    return value is None or pair and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and math.isfinite(value)


SEEDS = _whole(-(2**63), 2**63 - 1)


SETTINGS = {  # {field: (whether a value can be one, what can)}
    "preset": (_text, "the name of a preset"),
    "data": (lambda x: _text(x) and x != "", "`rooms`, or the path of a pack or of a folder"),
    "eval_data": (lambda x: x is None or _text(x), "the path of a pack or of a folder"),
    "tasks": (_texts, "names of tasks, as in ('segmentation', 'normals')"),
    "seed": (SEEDS, "a whole number from -2^63 to 2^63 - 1"),
    "search": (lambda x: isinstance(x, SearchConfig), "a SearchConfig"),
    "pretrain": (lambda x: isinstance(x, SearchConfig), "a SearchConfig"),
    "baselines": (_texts, "names of baselines, as in ('single_task',)"),
    "checkpoint_every": (_whole(1, 2**53), "a whole number of steps, 1 or more"),
    "keyframes": (_whole(0, 10_000), "a whole number from 0 to 10000"),
    "device": (_text, "auto, cpu, cuda or mps"),
    "threads": (_whole(1, 1024), "a whole number from 1 to 1024"),
    "method": (_text, "search, or the name of a baseline"),
    "edges": (lambda x: x is None or _whole(0, 2**53)(x), "a whole number of edges"),
    "draw": (_whole(0, 10**9), "a whole number from 0 to 10^9"),
    "graph": (lambda x: x is None or isinstance(x, Mapping), "an architecture's JSON"),
    "backbone": (lambda x: _text(x) or _by_name(_text)(x), "a name, or task=name,…"),
    "weights": (_by_name(lambda x: _text(x) and x != ""), "{task: file}, or random"),
    "weights_sha256": (_by_name(_text), "{file: checksum}"),
    "calibration": (_by_name(_amount), "{precision: seconds}"),
    "fusion": (_text, f"one of {', '.join(FUSIONS)}"),
    "fusion_start": (_start, "two numbers, as in (0.9, 0.1), or none"),
    "loss_weights": (_by_name(_amount), "{task: a number from 0 up}"),
    "class_weights": (_by_name(_class_weights), "{task: balanced, or a number for each class}"),
    "data_identity": (lambda x: isinstance(x, Mapping), "what a run recorded"),
}
