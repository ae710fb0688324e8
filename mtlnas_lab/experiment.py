"""One piece of work from pretraining to scores, kept in a run folder, and gone on with where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from . import data as data_module
from .architecture import Architecture
from .baselines import BASELINES, baseline, without_candidates
from .calibrate import calibrate
from .config import SearchConfig
from .errors import ConfigError, RunError
from .evaluate import Scores, discretization_gap, evaluate, trivial
from .events import Event
from .fusion import NDDR, CrossStitch, ResidualFusion
from .lab import Lab, pick_device
from .official import read_released
from .presets import load_backbones, load_data, make_lab, per_task, preset, with_budget
from .recording import go
from .runs import Run
from .search import Search
from .together import ALONE, Alone
from .transfer import transfer
from .weights import digest, load_weights

FUSIONS = {
    "nddr": lambda start: partial(NDDR, start=start),
    "residual": lambda start: ResidualFusion,
    "cross_stitch": lambda start: partial(CrossStitch, start=start),
}
OF_THE_ROOMS = ("", "vgg16")  # backbones that the shipped weights are of
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
    threads: int = field(  # of the CPU; one core stays free, the others are for all processes here
        default_factory=lambda: max(
            1, ((os.cpu_count() or 2) - 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        )
    )
    method: str = "search"  # or the name of a baseline, to train that instead
    edges: int | None = None  # of a random graph; None: half of the candidates
    draw: int = 0  # which random graph: another one under the same seed
    graph: Mapping | None = (
        None  # an architecture's JSON, found elsewhere: its edges are carried over and trained
    )
    backbone: str = ""  # a name for all tasks, or task=name,…; "": the preset's
    weights: Mapping[str, str] = field(default_factory=dict)  # {task: file}; {"*": file} for all
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
        try:
            start = settings["fusion_start"] and tuple(settings["fusion_start"])
            parts = {
                name: SearchConfig.from_json(settings[name]) for name in ("search", "pretrain")
            }
            lists = {name: tuple(settings[name]) for name in ("tasks", "baselines")}
            return cls(**{**settings, **parts, **lists, "fusion_start": start})
        except (KeyError, TypeError) as error:
            raise RunError(
                f"config.json is not of an experiment ({error}); was it edited by hand?"
            ) from None

    def sealed(self) -> Experiment:
        """With absolute paths of the weight files, and with their checksums: a resumed run must find the same ones."""
        weights = {task: str(Path(path).resolve()) for task, path in self.weights.items()}
        sums = {path: digest(path) for path in weights.values() if Path(path).is_file()}
        return replace(self, weights=weights, weights_sha256=sums)

    def lab(self, begin: bool = True, tell: Callable[[str], None] = lambda text: None) -> Lab:
        """The lab as it is before any training; begin=False: without the weights it begins with, if others will follow.
        `tell` hears what became of weight files."""
        if self.fusion and self.fusion not in FUSIONS:
            raise ConfigError(
                f"there is no fusion {self.fusion!r}; choose one of {', '.join(FUSIONS)}"
            )
        lab = make_lab(
            self.preset,
            load_data(self.data, self.eval_data),
            self.tasks or None,
            self.seed,
            self.fusion and FUSIONS[self.fusion](self.fusion_start),
            self.backbone,
        )
        lab.tasks = {
            name: replace(task, weight=self.loss_weights.get(name, task.weight))
            for name, task in lab.tasks.items()
        }
        if begin and self.weights:
            everyone = (
                dict.fromkeys(lab.tasks, self.weights["*"]) if "*" in self.weights else self.weights
            )
            for task, path in per_task(everyone, tuple(lab.tasks), "weights").items():
                loaded = load_weights(
                    lab.supernet.backbones[task], path, self.weights_sha256.get(path)
                )
                tell(f"{task}: {loaded}")
        elif begin and self.pretrain.steps == 0 and self.backbone in OF_THE_ROOMS:
            load_backbones(lab)
        return lab.to(pick_device(self.device))


def run(
    experiment: Experiment | None,
    out: str | Path,
    resume: bool = False,
    listen: Listener = lambda *_: None,
    turn: Mapping | None = None,
    pretraining: str | Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
    together: Alone = ALONE,
    here: Mapping | None = None,
) -> None:
    """Pretrain, search, evaluate and train the baselines, each in a run folder of its own: `out`, `out/pretraining` and
    `out/baselines/<name>`. Interrupted, it can be gone on with by resume=True; what is finished is not done again.
    `turn`: knobs to turn before the search goes on. Resumed, the folder's own settings count, not `experiment`.
    `pretraining`: a folder that several experiments share, instead of `out/pretraining`. `tell`: hears about weights, graphs.
    `together`: the processes that do this as one (scale.Together). `here`: device and threads of this machine, for a run
    that is resumed on another one.
    """
    out = Path(out)
    if resume:
        experiment = replace(Experiment.from_json(Run.open(out).config), **(here or {}))
    else:
        experiment = experiment.sealed()
    for name in {*experiment.baselines, experiment.method} - {"search"} - BASELINES.keys():
        raise ConfigError(f"there is no baseline {name!r}; choose among {', '.join(BASELINES)}")
    if experiment.threads < 1:
        raise ConfigError(f"threads = {experiment.threads}: give 1 or more")
    torch.set_num_threads(experiment.threads)  # the same again when it is resumed, for equal bits
    here = replace(experiment, device=str(together.device(experiment.device)))
    lab = together.settle(
        here.lab(_begins(experiment, out, pretraining), tell),
        replace(experiment, device="", threads=1, weights={}, weights_sha256={}),
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
    lab = lab or experiment.lab()
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
    path: str | Path, eval_data: str | None = None, device: str = "auto"
) -> tuple[Lab, Architecture]:
    """The searched lab and its architecture, from a finished run folder."""
    folder = Run.open(path)
    experiment = replace(Experiment.from_json(folder.config), device=device)
    experiment = replace(experiment, eval_data=eval_data or experiment.eval_data)
    (lab, _), weights = _method(experiment, experiment.lab(begin=False)), folder.load_weights()
    architecture = Architecture.from_json(folder.read_json("architecture.json"))
    if architecture.space != lab.space:
        raise ConfigError(
            f"{path}: its architecture is of another space than its settings give ({lab.space!r})"
        )
    lab.supernet.load_state_dict(
        {n.removeprefix("supernet."): t for n, t in weights.items() if n.startswith("supernet.")}
    )
    lab.alphas.load_state_dict({"alpha": weights["alpha"]})
    return lab, architecture
