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

from ..core.architecture import Architecture, warm_start
from ..core.config import SearchConfig
from ..core.fusion import NDDR, CrossStitch, ResidualFusion
from ..core.lab import Lab, pick_device
from ..core.relaxation import ArchitectureWeights
from ..core.space import SearchSpace
from ..cores import default_threads
from ..data import identity, loader
from ..data.dataset import ImageDataset
from ..data.open import agreeing, data_to_score, own_data, samples
from ..data.views import View
from ..errors import ConfigError, RunError
from ..models.pretrained import digest, load_weights
from ..models.released import read_released
from ..models.roles import set_starts, star
from ..tasks.task import KINDS, Classification, Segmentation, Task
from ..values import told
from .presets import load_backbones, make_lab, per_task, preset, with_budget

FUSIONS = {
    "nddr": lambda start: partial(NDDR, start=start),
    "residual": lambda start: ResidualFusion,
    "cross_stitch": lambda start: partial(CrossStitch, start=start),
}


ONE_OF_THEM = f"one of {', '.join(FUSIONS)}"


OF_THE_ROOMS = ("", "vgg16")  # backbones that the shipped weights are of


RANDOM, SHIPPED = "random", "shipped"  # weights to begin with that are no file


COUNTED = 2_000  # training images of which balanced classes are counted


@dataclass(frozen=True)
class Experiment:
    """The settings of one piece of work, from pretraining to scores: enough to do it again. Raises ConfigError.

    A run folder's config.json holds them. `from_preset` chooses them, and `pipeline.run` carries them out. The text below
    a setting is its help at the command line, where each has a flag; what a run records about itself has none.

    Example:
        >>> made = Experiment.from_preset("tiny", steps=40, entropy_weight=0, threads=1)
        >>> made.search.steps, made.pretrain.steps, made.search.entropy_weight.end
        (40, 0, 0.0)
        >>> Experiment.from_json(made.to_json()) == made
        True
    """

    preset: str = "tiny"
    """Networks and settings to begin with: tiny (CPU, minutes) or vgg16 (as released, GPU)."""
    data: str = "rooms"
    """`rooms`, the path of a pack (.npz), or a data set's folder (NYU v2, Taskonomy, Cityscapes: see `data show`), as
    FOLDER or FOLDER@HEIGHTxWIDTH."""
    eval_data: str | None = None
    """Another pack to score on; otherwise the pack's own test split, or a tenth that is held out."""
    tasks: tuple[str, ...] = ()
    """Two tasks or more, as in segmentation,normals; otherwise the data's first dense pair."""
    seed: int = 0
    """Draws weights, batches and gates."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """Every setting of the search."""
    pretrain: SearchConfig = field(default_factory=SearchConfig)
    """The same settings, for teaching each network alone; steps = 0: the shipped weights of the rooms."""
    baselines: tuple[str, ...] = ("single_task",)
    """What to compare with, as in single_task,random_graph,all_edges; `none` for none."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""
    keyframes: int = 5
    """Checkpoints spread over the run that are kept for branching."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    threads: int = field(default_factory=default_threads)
    """CPU threads; otherwise one less than the machine has cores."""
    method: str = "search"
    """`search`, or the name of a baseline to train instead."""
    edges: int | None = None
    """Edges of a random graph; otherwise half of the candidates."""
    draw: int = 0
    """Which random graph: another one under the same seed."""
    graph: Mapping | None = None
    """A run folder or an architecture.json, found with other backbones or tasks: its edges are carried over, and nothing
    is searched; 0 steps evaluate it at once, more steps train the networks under it."""
    backbone: str = ""
    """vgg16, resnet18, resnet50, vit, mobilenet_v3 or convnext_tiny, for all tasks or as in
    segmentation=vgg16,normals=resnet18; otherwise the preset's. Narrow in the preset tiny, of full width in vgg16."""
    weights: Mapping[str, str] = field(default_factory=dict)
    """A file of torchvision's weights for such a backbone, `random` or `shipped` (of the rooms), for all tasks or as in
    segmentation=a.pth,normals=b.pth (a file may have = and , in its name)."""
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    """Recorded: {file: its checksum when the work began}."""
    calibration: Mapping[str, float] = field(default_factory=dict)
    """Recorded: {precision: seconds a step}, where it was measured."""
    fusion: str = ""
    """nddr, residual or cross_stitch; otherwise the preset's, or residual where a backbone's maps may be negative."""
    fusion_start: tuple[float, float] | None = (0.9, 0.1)
    """What the fusion that is named begins with, own and other features, as in 0.9,0.1; `none` for random."""
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    """What a task's loss counts in the sum, as in normals=20,segmentation=1; otherwise the task's own."""
    class_weights: Mapping[str, str | tuple[float, ...]] = field(default_factory=dict)
    """What each class of a task counts, as in segmentation=balanced, where rare classes count more (by the inverse of how
    often they are); a file of settings may also give a number for each class."""
    views: Mapping[str, str] = field(default_factory=dict)
    """What a task's network sees instead of the image, as in segmentation=depth or normals=blurred:0.3: grey, blurred,
    masked or noisy (and how much that leaves of the image, 0 to 1), or the map depth, depth_colours, normals or edges."""
    few_labels: Mapping[str, int] = field(default_factory=dict)
    """How many training images keep their label of a task, as in normals=32; the others count as unlabelled."""
    primary: str = ""
    """The task that is wanted alone, as in Aux-NAS: entropy decides edges out of its network, L1 shuts those into it, and
    at the end it needs no other network."""
    warm_start: Mapping | None = None
    """A run folder or an architecture.json of a finished search, on these or on other tasks: α begins where that search
    ended, each edge at most κ from undecided."""
    kappa: float = 1.0
    """κ of a warm start: 0 begins undecided, 1 with gates from 0.27 to 0.73, 3 from 0.05 to 0.95."""
    data_identity: Mapping = field(default_factory=dict)
    """Recorded: which data these are (data/identity.py)."""

    def __post_init__(self):
        for name, (good, words) in SETTINGS.items():
            value = getattr(self, name)
            if not good(value):
                raise ConfigError(f"{name} = {told(value)}: give {words}")
        for task, view in self.views.items():
            try:
                View.from_value(view)
            except ConfigError as error:
                raise ConfigError(f"views of {task}: {error}") from None
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
        """The settings of a preset, with what is given here put in their place. Raises ConfigError.

        Args:
            name: The preset.
            data: What to learn from, as in the field `data`.
            seed: Of the experiment, the search and the pretraining.
            steps: Steps of the search; otherwise the preset's.
            pretrain_steps: Steps of the pretraining; otherwise the preset's, and 0 where weights are shipped.
            entropy_weight: Where λ's schedule ends; otherwise as in the preset.
            settings: Other fields of Experiment.
        """
        chosen = preset(name)
        own_networks = settings.get("weights") or settings.get("backbone", "") not in OF_THE_ROOMS
        if pretrain_steps is None and name == "tiny" and data == "rooms" and not own_networks:
            pretrain_steps = 0  # these networks are shipped as they come out of it
        return cls(
            name,
            data,
            seed=seed,
            search=with_budget(chosen.search, steps, entropy_weight, seed=seed),
            pretrain=with_budget(chosen.pretrain, pretrain_steps, seed=seed),
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
        """`from_preset`, with the settings of a released YAML file; a baseline's file gives that baseline."""
        asked = read_released(path)
        made = cls.from_preset(**settings)
        fusion = "nddr"
        if asked.baseline == "cross_stitch":
            fusion = "cross_stitch"
        return replace(
            made,
            search=with_budget(asked.search, steps, entropy_weight, seed=made.seed),
            fusion_start=asked.fusion_start,
            fusion=fusion,
            method=asked.baseline or "search",
            loss_weights={"normals": asked.normals_weight},
        )

    def to_json(self) -> dict:
        """The settings as config.json holds them: dictionaries, lists, text and numbers."""
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
        weights = {}
        for task, path in self.weights.items():
            if path not in (RANDOM, SHIPPED):
                path = str(Path(path).resolve())
            weights[task] = path  # absolute, for a run that goes on in another folder
        sums = {path: digest(path) for path in weights.values() if Path(path).is_file()}
        sealed = replace(self, data=absolute(self.data), weights=weights, weights_sha256=sums)
        if self.eval_data:
            sealed = replace(sealed, eval_data=absolute(self.eval_data))
        return sealed

    def packs(
        self,
        tell: Callable[[str], None] = lambda text: None,
        eval_data: str | None = None,
        old: bool = False,
    ) -> tuple[dict[str, ImageDataset], bool]:
        """(the data, whether images were drawn for one of its splits), as they were when a run with these settings began.

        Args:
            tell: Hears what is unusual about the data.
            eval_data: Other data to score on.
            old: The settings are of a run that does not say which data it was made with.
        """
        packs, drawn = own_data(
            self.data, scored_elsewhere=bool(self.eval_data), by_content=not old, tell=tell
        )
        recorded = self.data_identity
        if self.eval_data and not eval_data:  # what is asked for now goes before what was then
            packs["test"] = data_to_score(self.eval_data)
        if recorded and self.eval_data and eval_data:
            own = dict(recorded["splits"])
            own.pop("test", None)  # the run scored on other data then, and scores on others now
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
        """The lab as it is before any training.

        Args:
            begin: Put in the weights that the networks begin with; False where others will follow.
            tell: Hears what became of weights and data.
            packs: Its data, where they are loaded already.
        """
        fusion = None  # the preset's, or what fits the backbones
        if self.fusion and self.fusion not in FUSIONS:
            raise ConfigError(f"there is no fusion {self.fusion!r}; choose {ONE_OF_THEM}")
        if self.fusion:
            fusion = FUSIONS[self.fusion](self.fusion_start)
        if packs is None:
            packs, _ = self.packs(tell)
        lab = make_lab(self.preset, packs, self._tasks() or None, self.seed, fusion, self.backbone)
        self._set_views(lab)
        self._take_labels(lab)
        self._weigh(lab, tell)
        if begin:
            self._put_weights(lab, tell)
        if self.primary:
            lab = self._with_roles(lab)
        if self.warm_start is not None:
            lab = replace(lab, alphas=ArchitectureWeights(len(lab.space), self.start(lab.space)))
        return lab.to(pick_device(self.device))

    def start(self, space: SearchSpace) -> tuple[float, ...]:
        """Where α begins: E numbers of the warm start, or zeros. Raises ConfigError, SpaceError for one that does not fit."""
        if self.warm_start is None:
            return (0.0,) * len(space)
        return warm_start(Architecture.from_json(self.warm_start), space, self.kappa)

    def _with_roles(self, lab: Lab) -> Lab:
        """Candidates touch the primary task's network, and α of each direction begins at its own p. Raises ConfigError."""
        with torch.random.fork_rng(devices=[]):  # a fusion may begin at random
            torch.manual_seed(self.seed)
            return set_starts(star(lab, self.primary), self.primary)

    def _set_views(self, lab: Lab) -> None:
        """Let each network see what these settings have for it. Raises ConfigError."""
        views = {task: View.from_value(view) for task, view in self.views.items()}
        made = replace(lab, views=views)  # checks them
        lab.views = made.views

    def _take_labels(self, lab: Lab) -> None:
        """Leave as many labels to the training images as these settings say. Raises ConfigError, DataError."""
        seen = {view.map: task for task, view in lab.views.items()}
        for task in self.few_labels:
            if task not in lab.tasks:
                raise ConfigError(
                    f"few_labels: there is no task {told(task)}; this work has {', '.join(lab.tasks)}"
                )
            if task in seen:
                raise ConfigError(
                    f"few_labels: {seen[task]} sees {task}, so all of its labels are needed; take labels of another task"
                )
        if self.few_labels:
            few = lab.data["train"].with_few_labels(self.few_labels, self.seed)
            lab.data = {**lab.data, "train": few}

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
        lab.tasks = tasks  # tasks are frozen; the supernet does not hold them

    def _put_weights(self, lab: Lab, tell: Callable[[str], None]) -> None:
        """Put in the weights that the networks begin with."""
        given = self.weights
        if not given and self.pretrain.steps == 0:
            fit = self.preset == "tiny" and self.backbone in OF_THE_ROOMS
            if fit and _are_the_rooms(self.data):
                given = {"*": SHIPPED}
            else:
                given = {"*": RANDOM}
                tell(
                    "no pretraining and no weights: the networks begin with random ones (the shipped weights are of the "
                    "preset tiny on the rooms)"
                )
        if "*" in given:
            given = dict.fromkeys(lab.tasks, given["*"])
        for task, path in per_task(given, tuple(lab.tasks), "weights").items():
            if path == SHIPPED:
                load_backbones(lab, tasks=(task,))
            elif path == RANDOM and self.weights:
                tell(f"{task}: random weights")
            elif path != RANDOM:
                network = lab.supernet.backbones[task]
                tell(f"{task}: {load_weights(network, path, self.weights_sha256.get(path))}")


def absolute(data: str) -> str:
    """The path of data, fit for other folders; `rooms` is not a path and stays."""
    if data == "rooms":
        return data
    return os.path.abspath(data)


def _are_the_rooms(data: str) -> bool:
    return data == "rooms" or os.path.realpath(data) == os.path.realpath(samples() / "rooms.npz")


def _with_classes_weighed(task: Task, given: str | tuple[float, ...], pack: ImageDataset) -> Task:
    """The task with these weights of its classes; "balanced": n / (classes · n_c), n labels in all and n_c of the class c."""
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
    some = pack.subset(torch.arange(0, len(pack), math.ceil(len(pack) / COUNTED)))
    values = task.channels
    if kind is Segmentation:
        values = 256  # a map may hold values that are not classes
    counts = torch.zeros(values, dtype=torch.long)
    for _, targets in loader.sequential(some, (task.name,), 32):
        labels = targets[task.name].flatten().cpu()
        counts += torch.bincount(labels[labels >= 0], minlength=len(counts))
    counts = counts[: task.channels].double()
    weights = counts.sum() / (task.channels * counts.clamp(min=1))
    weights[counts == 0] = 1.0  # a class that is never seen says nothing about its weight
    return replace(task, class_weights=tuple(weights.tolist()))


# --- what a setting can be --------------------------------------------------------------------------------------------
Check = Callable[[object], bool]


def _text(value: object) -> bool:
    return isinstance(value, str)


def _some_text(value: object) -> bool:
    return _text(value) and value != ""


def _whole(low: int, high: int) -> Check:
    def is_whole(value: object) -> bool:
        number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        return number and low <= value <= high

    return is_whole


def _is_number(value: object) -> bool:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _amount(value: object) -> bool:
    return _is_number(value) and value >= 0


def _texts(value: object) -> bool:
    return isinstance(value, tuple) and all(map(_text, value))


def _by_name(good: Check) -> Check:
    def is_by_name(value: object) -> bool:
        if not isinstance(value, Mapping):
            return False
        return all(map(_text, value)) and all(map(good, value.values()))

    return is_by_name


def _or_none(good: Check) -> Check:
    return lambda value: value is None or good(value)


def _backbone(value: object) -> bool:
    return _text(value) or _by_text(value)


def _mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _search_config(value: object) -> bool:
    return isinstance(value, SearchConfig)


def _weights_of_classes(value: object) -> bool:
    if _text(value):
        return value == "balanced"
    listed = isinstance(value, list | tuple) and all(map(_amount, value))
    return listed and sum(value) > 0


def _two_numbers(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))


_optional_text = _or_none(_text)


_optional_mapping = _or_none(_mapping)


_optional_start = _or_none(_two_numbers)


_edges = _or_none(_whole(0, 2**53))


_by_text = _by_name(_text)


_files = _by_name(_some_text)


_amounts = _by_name(_amount)


_classes = _by_name(_weights_of_classes)


_checkpoints = _whole(1, 2**53)


_counts = _by_name(_checkpoints)


_seeds = _whole(-(2**63), 2**63 - 1)


_keyframes = _whole(0, 10_000)


_threads = _whole(1, 1024)


_draws = _whole(0, 10**9)


SETTINGS = {  # {field: (whether a value can be one, what can)}
    "preset": (_text, "the name of a preset"),
    "data": (_some_text, "`rooms`, or the path of a pack or of a folder"),
    "eval_data": (_optional_text, "the path of a pack or of a folder"),
    "tasks": (_texts, "names of tasks, as in ('segmentation', 'normals')"),
    "seed": (_seeds, "a whole number from -2^63 to 2^63 - 1"),
    "search": (_search_config, "a SearchConfig"),
    "pretrain": (_search_config, "a SearchConfig"),
    "baselines": (_texts, "names of baselines, as in ('single_task',)"),
    "checkpoint_every": (_checkpoints, "a whole number of steps, 1 or more"),
    "keyframes": (_keyframes, "a whole number from 0 to 10000"),
    "device": (_text, "auto, cpu, cuda or mps"),
    "threads": (_threads, "a whole number from 1 to 1024"),
    "method": (_text, "search, or the name of a baseline"),
    "edges": (_edges, "a whole number of edges"),
    "draw": (_draws, "a whole number from 0 to 10^9"),
    "graph": (_optional_mapping, "an architecture's JSON"),
    "backbone": (_backbone, "a name, or task=name,…"),
    "weights": (_files, "{task: file}, or random"),
    "weights_sha256": (_by_text, "{file: checksum}"),
    "calibration": (_amounts, "{precision: seconds}"),
    "fusion": (_text, ONE_OF_THEM),
    "fusion_start": (_optional_start, "two numbers, as in (0.9, 0.1), or none"),
    "loss_weights": (_amounts, "{task: a number from 0 up}"),
    "class_weights": (_classes, "{task: balanced, or a number for each class}"),
    "views": (_files, "{task: view}, as in {'normals': 'blurred:0.3'}"),
    "few_labels": (_counts, "{task: a whole number of images}"),
    "primary": (_text, "the name of a task, or nothing"),
    "warm_start": (_optional_mapping, "an architecture's JSON"),
    "kappa": (_amount, "a number from 0 up"),
    "data_identity": (_mapping, "what a run recorded"),
}
