"""One piece of work from pretraining to scores, kept in a run folder, and gone on with where it stopped."""

from __future__ import annotations

import math
import numbers
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from . import data as data_module
from . import identity
from .architecture import Architecture
from .baselines import BASELINES, baseline, without_candidates
from .calibrate import calibrate
from .checkpoints import misfit
from .config import SearchConfig
from .cores import default_threads
from .data import Pack
from .errors import ConfigError, DataError, RunError
from .evaluate import Scores, discretization_gap, evaluate, trivial
from .events import Event
from .fusion import NDDR, CrossStitch, ResidualFusion
from .lab import Lab, pick_device
from .official import read_released
from .presets import (
    agreeing,
    data_to_score,
    load_backbones,
    make_lab,
    own_data,
    per_task,
    preset,
    samples,
    with_budget,
)
from .recording import go
from .runs import Run
from .search import Search
from .tasks import KINDS, Classification, Segmentation, Task
from .together import ALONE, Alone
from .transfer import transfer
from .values import printable, told
from .weights import digest, load_weights

FUSIONS = {
    "nddr": lambda start: partial(NDDR, start=start),
    "residual": lambda start: ResidualFusion,
    "cross_stitch": lambda start: partial(CrossStitch, start=start),
}
OF_THE_ROOMS = ("", "vgg16")  # backbones that the shipped weights are of
RANDOM, SHIPPED = "random", "shipped"  # weights to begin with that are no file
COUNTED = 2_000  # training images of which balanced classes are counted
AT_ONCE = 1 << 27  # numbers: of 3,640 images of 96 × 128; normals then take 512 MiB
Listener = Callable[
    [str, Search, Event], None
]  # what is being done ("search", "pretraining", a baseline), by which search, what happened


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
    def of(
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
        asked, made = read_released(path), cls.of(**settings)
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
    ) -> tuple[dict[str, Pack], bool]:
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
        packs: Mapping[str, Pack] | None = None,
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


def _with_classes_weighed(task: Task, given: str | tuple[float, ...], pack: Pack) -> Task:
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
    for _, targets in data_module.sequential(some, (task.name,), 32):
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


def run(
    experiment: Experiment | None,
    out: str | Path,
    resume: bool = False,
    listen: Listener = lambda *_: None,
    turn: Mapping | None = None,
    pretraining: str | Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
    together: Alone = ALONE,
    data: str | None = None,
    eval_data: str | None = None,
    elsewhere: Mapping | None = None,
) -> None:
    """Pretrain, search, evaluate and train the baselines, each in a run folder of its own: `out`, `out/pretraining` and
    `out/baselines/<name>`. Interrupted, it can be gone on with by resume=True; what is finished is not done again.
    `turn`: knobs to turn before the search goes on. Resumed, the folder's own settings count, not `experiment`.
    `pretraining`: a folder that several experiments share, instead of `out/pretraining`. `tell`: hears about weights, graphs.
    `together`: the processes that do this as one (scale.Together). `data`, `eval_data`: where the data of a run that is
    resumed lie now, if they were moved; other data are refused.
    `elsewhere`: device and threads of this machine, for a run that is resumed on another one.
    """
    out = Path(out)
    if resume:
        experiment, old = _recorded(out, data, eval_data)
        experiment = replace(experiment, **(elsewhere or {}))
    else:
        experiment, old = replace(experiment, data_identity={}).sealed(), False
    for name in {*experiment.baselines, experiment.method} - {"search"} - BASELINES.keys():
        raise ConfigError(f"there is no baseline {name!r}; choose among {', '.join(BASELINES)}")
    torch.set_num_threads(experiment.threads)  # the same again when it is resumed, for equal bits
    here = replace(experiment, device=str(together.device(experiment.device)))
    packs, drawn = here.packs(tell, old=old)
    lab = here.lab(_begins(experiment, out, pretraining), tell, packs)
    if old:
        tell(f"{out}: does not say which data it was made with, so they can't be compared")
    elif not resume:
        recorded = identity.identity(packs, lab.tasks, drawn)
        experiment = replace(experiment, data_identity=recorded)
    _must_have_batches(experiment, lab)
    lab = together.settle(
        lab,
        replace(
            experiment,
            device="",
            threads=1,
            weights={},
            weights_sha256={},
            data=identity.short(experiment.data_identity),  # not where it lies
            eval_data=None,
            data_identity={},
        ),
    )
    if (
        experiment.graph is not None and not resume
    ):  # what is lost is said, or refused, before any work
        tell(str(transfer(Architecture.from_json(experiment.graph), lab.space)))
    if experiment.search.precision == "auto":
        search, seconds = together.agree(
            calibrate(lab, experiment.search, together=together)
        )  # a resumed run does not decide again
        experiment = replace(
            experiment,
            search=search,
            calibration=seconds,
            pretrain=replace(experiment.pretrain, precision=search.precision),
        )
        tell(
            f"precision {experiment.search.precision}: "
            + ", ".join(f"{k} {1000 * s:.0f} ms a step" for k, s in experiment.calibration.items())
        )
    with together.folder(
        lambda: Run.resume(out) if resume else Run.create(out, experiment.to_json(), lab.space)
    ) as folder:
        folder.hear(tell)
        if experiment.pretrain.steps:
            pretrain(
                experiment,
                pretraining or out / "pretraining",
                partial(listen, "pretraining"),
                lab,
                together,
            )
        before = lab.copy()
        lab, gates = _method(experiment, lab)
        search = Search(lab, experiment.search, gates=gates, evaluate=scores_now, together=together)
        go(
            search,
            folder,
            experiment.checkpoint_every,
            experiment.keyframes,
            partial(listen, "search"),
            turn,
        )
        architecture = search.architecture()
        folder.write_json("architecture.json", architecture.to_json())
        folder.save_weights(
            {
                "alpha": lab.alphas.alpha.detach(),
                **{f"supernet.{n}": value for n, value in lab.supernet.state_dict().items()},
            }
        )
        scores = final_scores(lab, architecture)
        folder.write_json("scores.json", scores)
        for name in experiment.baselines:
            made, gates = baseline(name, before, len(architecture), experiment.seed)
            trained = _train(
                Search(
                    made,
                    replace(experiment.search, evaluate_every=0),
                    gates=gates.kept,
                    together=together,
                ),
                out / "baselines" / name,
                experiment,
                partial(listen, name),
            )
            scores[name] = evaluate(
                trained.lab.supernet, gates.kept, lab.tasks, _batches(lab, "test")
            )
            folder.write_json("scores.json", scores)


def _recorded(
    out: Path, data: str | None = None, eval_data: str | None = None
) -> tuple[Experiment, bool]:
    """(the experiment of a run folder, whether it does not say which data it was made with), with data where they lie now."""
    experiment = Experiment.from_json(Run.open(out).config)
    old = not experiment.data_identity
    first = not experiment.weights and experiment.pretrain.steps == 0
    if old and first and experiment.backbone in OF_THE_ROOMS:
        experiment = replace(experiment, weights={"*": SHIPPED})  # as no pretraining then meant
    return replace(
        experiment,
        data=_absolute(data) if data else experiment.data,
        eval_data=_absolute(eval_data) if eval_data else experiment.eval_data,
    ), old


def _must_have_batches(experiment: Experiment, lab: Lab) -> None:
    """Raise DataError for fewer images than the search needs, before the pretraining."""
    config, pack = experiment.search, lab.data["train"]
    if experiment.method == "search" and experiment.graph is None:
        data_module.split(
            pack, lab.tasks, config.batch_size, config.seed, fraction=config.weight_share
        )
    for steps, size in (
        (config.steps, config.batch_size),
        (experiment.pretrain.steps, experiment.pretrain.batch_size),
    ):
        if steps:
            data_module.whole(pack, lab.tasks, size, config.seed)


def _begins(experiment: Experiment, out: Path, pretraining: str | Path | None) -> bool:
    """Whether the weights that the work begins with are still needed: not where a checkpoint holds what became of them."""
    if experiment.baselines and not experiment.pretrain.steps:
        return True  # which begin with them too
    folder = Path(pretraining or out / "pretraining") if experiment.pretrain.steps else out
    return not ((folder / "events.jsonl").exists() and Run.open(folder).checkpoints())


def pretrain(
    experiment: Experiment,
    path: str | Path,
    listen=lambda *_: None,
    lab: Lab | None = None,
    together: Alone = ALONE,
) -> Lab:
    """Teach each network alone, in a folder of its own, or take what that folder has finished; returns the taught lab."""
    torch.set_num_threads(experiment.threads)
    if lab is None:
        experiment = experiment.sealed()
        packs, drawn = experiment.packs()
        lab = experiment.lab(packs=packs)
        experiment = replace(experiment, data_identity=identity.identity(packs, lab.tasks, drawn))
    pretrained = without_candidates(lab)
    _train(
        Search(pretrained, experiment.pretrain, together=together), Path(path), experiment, listen
    )
    lab.supernet.backbones.load_state_dict(pretrained.supernet.backbones.state_dict())
    return lab


def _method(experiment: Experiment, lab: Lab) -> tuple[Lab, tuple[bool, ...] | None]:
    """What the experiment trains, and under which gates; None: those that it searches."""
    if experiment.graph is not None:
        return lab, transfer(Architecture.from_json(experiment.graph), lab.space).architecture.kept
    if experiment.method == "search":
        return lab, None
    edges = len(lab.space) // 2 if experiment.edges is None else experiment.edges
    made, gates = baseline(
        experiment.method, lab, edges, experiment.seed + 10_000 * experiment.draw
    )
    return made, gates.kept


def _train(search: Search, path: Path, experiment: Experiment, listen) -> Search:
    """Train in a folder of its own, or take what that folder has already finished."""

    def folder() -> Run:
        if not (path / "events.jsonl").exists():
            return Run.create(
                path, {**experiment.to_json(), "search": search.config.to_json()}, search.lab.space
            )
        there = Run.open(path)  # finished, it is only read: others may be reading it too
        taught_by = Experiment.from_json(there.config).data_identity
        if taught_by and experiment.data_identity and taught_by != experiment.data_identity:
            raise DataError(
                f"{path}: was trained with other data than {experiment.data} holds now; remove that folder to train "
                "anew"
            )
        done = there.log.finished and search.config.steps in [
            manifest.step for manifest in there.checkpoints()
        ]
        return there if done else Run.resume(path)

    with search.together.folder(folder) as kept:
        go(search, kept, experiment.checkpoint_every, experiment.keyframes, listen)
    return search


# --- scores -----------------------------------------------------------------------------------------------------------
def _batches(lab: Lab, split: str):
    pack = lab.data.get(split) or lab.data.get("test") or lab.data["val"]
    return data_module.sequential(pack, tuple(lab.tasks), 32)


def _training_batches(lab: Lab, count: int):
    """Some training images as they are, to average batch-norm statistics over."""
    pack = lab.data["train"]
    return data_module.sequential(
        pack.subset(torch.arange(min(len(pack), count * 32))), tuple(lab.tasks), 32
    )


def scores_now(search: Search) -> dict[str, Scores]:
    """The three gaps on the validation images, while the search runs."""
    return _gaps(search.lab, "val", search.architecture(), 4)


def _gaps(lab: Lab, split: str, architecture: Architecture, batches: int) -> dict[str, Scores]:
    gaps = discretization_gap(
        lab,
        lambda: _batches(lab, split),
        lambda: _training_batches(lab, batches),
        architecture.kept,
    )
    return (
        gaps
        if architecture.alpha is not None
        else {name: gaps[name] for name in ("hard", "hard_recalibrated")}
    )


def final_scores(lab: Lab, architecture: Architecture) -> dict[str, Scores]:
    """The gaps (soft gates only where there is an α) and, on the test images, the trivial answer: of all training images, or of
    every 2nd, 3rd, … where they have more than AT_ONCE numbers, so that it needs no more memory."""
    pack = lab.data["train"]
    some = pack.subset(
        torch.arange(0, len(pack), -(-len(pack) * pack.images[0].numel() // AT_ONCE))
    )
    training = data_module.sequential(some, tuple(lab.tasks), 32)
    return _gaps(lab, "test", architecture, 16) | {
        "trivial": trivial(lab.tasks, training, _batches(lab, "test"))
    }


# --- a run folder as a lab again --------------------------------------------------------------------------------------
def reopen(
    path: str | Path,
    eval_data: str | None = None,
    device: str = "auto",
    data: str | None = None,
    tell: Callable[[str], None] = lambda text: print(printable(text), file=sys.stderr),
) -> tuple[Lab, Architecture]:
    """The searched lab and its architecture, from a finished run folder.

    data: where the run's data lie now, if they were moved; other data are refused. eval_data: other data to score on.
    `tell` hears what is unusual about the data.
    """
    folder = Run.open(path)
    experiment, old = _recorded(Path(path), data)
    experiment = replace(experiment, device=device)
    if old:
        tell(f"{path}: does not say which data it was made with, so they can't be compared")
    packs, _ = experiment.packs(tell, eval_data, old)
    lab, _ = _method(experiment, experiment.lab(False, tell, packs))
    weights = folder.load_weights()
    architecture = Architecture.from_json(folder.read_json("architecture.json"))
    if architecture.space != lab.space:
        raise ConfigError(
            f"{path}: its architecture is of another space than its settings give ({lab.space!r})"
        )
    own = lab.supernet.state_dict()
    expected = {"alpha": lab.alphas.alpha} | {f"supernet.{n}": t for n, t in own.items()}
    if problem := misfit(weights, expected):
        raise RunError(
            f"{folder.path / 'weights.safetensors'} is not of this run, for {problem}; "
            "take the file that belongs to it, or search again"
        )
    lab.supernet.load_state_dict({name: weights[f"supernet.{name}"] for name in own})
    lab.alphas.load_state_dict({"alpha": weights["alpha"]})
    return lab, architecture
