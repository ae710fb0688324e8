"""One piece of work from pretraining to scores, kept in a run folder, and gone on with where it stopped."""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from . import data as data_module
from .architecture import Architecture
from .baselines import BASELINES, baseline, without_candidates
from .config import SearchConfig
from .errors import ConfigError, RunError
from .evaluate import Scores, discretization_gap, evaluate, trivial
from .fusion import NDDR, CrossStitch, ResidualFusion
from .events import Event
from .lab import Lab, pick_device
from .official import read_released
from .presets import load_backbones, load_data, make_lab, preset, with_budget
from .recording import go
from .runs import Run
from .search import Search

FUSIONS = {"nddr": lambda start: partial(NDDR, start=start), "residual": lambda start: ResidualFusion,
           "cross_stitch": lambda start: partial(CrossStitch, start=start)}
Listener = Callable[[str, Search, Event], None]  # what is being done ("search", "pretraining", a baseline), by which search, what happened


@dataclass(frozen=True)
class Experiment:
    """What a run folder's config.json says: enough to do the work again."""

    preset: str = "tiny"
    data: str = "rooms"
    eval_data: str | None = None
    tasks: tuple[str, ...] = ()
    seed: int = 0
    search: SearchConfig = field(default_factory=SearchConfig)
    pretrain: SearchConfig = field(default_factory=SearchConfig)   # steps = 0: the shipped backbones of the rooms
    baselines: tuple[str, ...] = ("single_task",)
    checkpoint_every: int = 100
    keyframes: int = 5                # checkpoints spread over the run that are kept for branching
    device: str = "auto"
    threads: int = field(default_factory=lambda: max(1, (os.cpu_count() or 2) - 1))   # of the CPU; one core stays free
    method: str = "search"            # or the name of a baseline, to train that instead
    fusion: str = ""                  # nddr, residual, cross_stitch; "": the preset's
    fusion_start: tuple[float, float] | None = (0.9, 0.1)          # of the fusion named above; None: random
    loss_weights: Mapping[str, float] = field(default_factory=dict)  # where a task's own weight is not wanted

    @classmethod
    def of(cls, name: str = "tiny", data: str = "rooms", seed: int = 0, steps: int | None = None,
           pretrain_steps: int | None = None, entropy_weight: float | None = None, **settings) -> Experiment:
        """The settings of a preset, with what is given here put in their place."""
        chosen = preset(name)
        shipped = name == "tiny" and data == "rooms" and pretrain_steps is None
        return cls(name, data, seed=seed, search=with_budget(chosen.search, steps, entropy_weight, seed=seed),
                   pretrain=with_budget(chosen.pretrain, 0 if shipped else pretrain_steps, seed=seed), **settings)

    @classmethod
    def released(cls, path: str | Path, steps: int | None = None, entropy_weight: float | None = None, **settings) -> Experiment:
        """`of`, with the settings of a released YAML file; a baseline's file gives that baseline."""
        asked, made = read_released(path), cls.of(**settings)
        return replace(made, search=with_budget(asked.search, steps, entropy_weight, seed=made.seed),
                       fusion_start=asked.fusion_start, fusion="cross_stitch" if asked.baseline == "cross_stitch" else "nddr",
                       method=asked.baseline or "search", loss_weights={"normals": asked.normals_weight})

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, settings: Mapping) -> Experiment:
        try:
            start = settings["fusion_start"] and tuple(settings["fusion_start"])
            parts = {name: SearchConfig.from_json(settings[name]) for name in ("search", "pretrain")}
            lists = {name: tuple(settings[name]) for name in ("tasks", "baselines")}
            return cls(**{**settings, **parts, **lists, "fusion_start": start})
        except (KeyError, TypeError) as error:
            raise RunError(f"config.json is not of an experiment ({error}); was it edited by hand?") from None

    def lab(self) -> Lab:
        """The lab as it is before any training."""
        if self.fusion and self.fusion not in FUSIONS:
            raise ConfigError(f"there is no fusion {self.fusion!r}; choose one of {', '.join(FUSIONS)}")
        lab = make_lab(self.preset, load_data(self.data, self.eval_data), self.tasks or None, self.seed,
                       self.fusion and FUSIONS[self.fusion](self.fusion_start))
        lab.tasks = {name: replace(task, weight=self.loss_weights.get(name, task.weight)) for name, task in lab.tasks.items()}
        if self.pretrain.steps == 0:
            load_backbones(lab)
        return lab.to(pick_device(self.device))


def run(experiment: Experiment | None, out: str | Path, resume: bool = False, listen: Listener = lambda *_: None,
        turn: Mapping | None = None) -> None:
    """Pretrain, search, evaluate and train the baselines, each in a run folder of its own: `out`, `out/pretraining` and
    `out/baselines/<name>`. Interrupted, it can be gone on with by resume=True; what is finished is not done again.
    `turn`: knobs to turn before the search goes on. Resumed, the folder's own settings count, not `experiment`.
    """
    out = Path(out)
    if resume:
        experiment = Experiment.from_json(Run.open(out).config)
    for name in {*experiment.baselines, experiment.method} - {"search"} - BASELINES.keys():
        raise ConfigError(f"there is no baseline {name!r}; choose among {', '.join(BASELINES)}")
    if experiment.threads < 1:
        raise ConfigError(f"threads = {experiment.threads}: give 1 or more")
    torch.set_num_threads(experiment.threads)                           # the same again when it is resumed, for equal bits
    lab = experiment.lab()
    with Run.resume(out) if resume else Run.create(out, experiment.to_json(), lab.space) as folder:
        if experiment.pretrain.steps:
            pretrained = without_candidates(lab)
            _train(Search(pretrained, experiment.pretrain), out / "pretraining", experiment, partial(listen, "pretraining"))
            lab.supernet.backbones.load_state_dict(pretrained.supernet.backbones.state_dict())
        before = lab.copy()
        lab, gates = _method(experiment, lab)
        search = Search(lab, experiment.search, gates=gates, evaluate=scores_now)
        go(search, folder, experiment.checkpoint_every, experiment.keyframes, partial(listen, "search"), turn)
        architecture = search.architecture()
        folder.write_json("architecture.json", architecture.to_json())
        folder.save_weights(_weights(lab))
        scores = final_scores(lab, architecture)
        folder.write_json("scores.json", scores)
        for name in experiment.baselines:
            made, gates = baseline(name, before, len(architecture), experiment.seed)
            trained = _train(Search(made, replace(experiment.search, evaluate_every=0), gates=gates.kept),
                             out / "baselines" / name, experiment, partial(listen, name))
            scores[name] = evaluate(trained.lab.supernet, gates.kept, lab.tasks, _batches(lab, "test"))
            folder.write_json("scores.json", scores)


def _method(experiment: Experiment, lab: Lab) -> tuple[Lab, tuple[bool, ...] | None]:
    """What the experiment trains, and under which gates; None: those that it searches."""
    if experiment.method == "search":
        return lab, None
    made, gates = baseline(experiment.method, lab, len(lab.space) // 2, experiment.seed)
    return made, gates.kept


def _train(search: Search, path: Path, experiment: Experiment, listen) -> Search:
    """Train in a folder of its own, or take what that folder has already finished."""
    config = {**experiment.to_json(), "search": search.config.to_json()}
    there = (path / "events.jsonl").exists()
    with Run.resume(path) if there else Run.create(path, config, search.lab.space) as folder:
        go(search, folder, experiment.checkpoint_every, experiment.keyframes, listen)
    return search


# --- scores -----------------------------------------------------------------------------------------------------------
def _batches(lab: Lab, split: str):
    pack = lab.data.get(split) or lab.data.get("test") or lab.data["val"]
    return data_module.sequential(pack, tuple(lab.tasks), 32)


def _training_batches(lab: Lab, count: int = 16):
    """Some training images as they are, to average batch-norm statistics over."""
    pack = lab.data["train"]
    index = torch.arange(min(len(pack), count * 32))
    return data_module.sequential(pack.subset(index), tuple(lab.tasks), 32)


def scores_now(search: Search) -> dict[str, Scores]:
    """The three gaps on the validation images, while the search runs."""
    return _gaps(search.lab, "val", search.architecture(), 4)


def _gaps(lab: Lab, split: str, architecture: Architecture, batches: int) -> dict[str, Scores]:
    gaps = discretization_gap(lab, lambda: _batches(lab, split), lambda: _training_batches(lab, batches), architecture.kept)
    return gaps if architecture.alpha is not None else {name: gaps[name] for name in ("hard", "hard_recalibrated")}


def final_scores(lab: Lab, architecture: Architecture) -> dict[str, Scores]:
    """The gaps (soft gates only where there is an α) and the trivial answer on the test images."""
    everything = data_module.sequential(lab.data["train"], tuple(lab.tasks), 32)
    return _gaps(lab, "test", architecture, 16) | {"trivial": trivial(lab.tasks, everything, _batches(lab, "test"))}


# --- a run folder as a lab again --------------------------------------------------------------------------------------
def _weights(lab: Lab) -> dict[str, torch.Tensor]:
    return {**{f"supernet.{name}": value for name, value in lab.supernet.state_dict().items()}, "alpha": lab.alphas.alpha.detach()}


def reopen(path: str | Path, eval_data: str | None = None, device: str = "auto") -> tuple[Lab, Architecture]:
    """The searched lab and its architecture, from a finished run folder."""
    folder = Run.open(path)
    experiment = replace(Experiment.from_json(folder.config), device=device)
    experiment = replace(experiment, eval_data=eval_data or experiment.eval_data,
                         pretrain=replace(experiment.pretrain, steps=max(1, experiment.pretrain.steps)))
    (lab, _), weights = _method(experiment, experiment.lab()), folder.load_weights()
    architecture = Architecture.from_json(folder.read_json("architecture.json"))
    if architecture.space != lab.space:
        raise ConfigError(f"{path}: its architecture is of another space than its settings give ({lab.space!r})")
    lab.supernet.load_state_dict({n.removeprefix("supernet."): t for n, t in weights.items() if n.startswith("supernet.")})
    lab.alphas.load_state_dict({"alpha": weights["alpha"]})
    return lab, architecture
