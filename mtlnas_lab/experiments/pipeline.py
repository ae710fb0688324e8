"""One piece of work from pretraining to scores, kept in a run folder, and gone on with where it stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ..core.architecture import Architecture, transfer
from ..core.communicator import SINGLE_PROCESS, SingleProcess
from ..core.config import SearchConfig
from ..core.evaluate import evaluate
from ..core.events import Event
from ..core.lab import Lab, pick_device
from ..core.search import Search
from ..data import identity, loader
from ..errors import ConfigError, DataError, RunError
from ..models.baselines import BASELINES, baseline, without_candidates
from ..one_line import printable
from ..runs.recorder import run_recorded
from ..runs.run import Run
from ..storage.checkpoints import misfit
from .config import (
    OF_THE_ROOMS,
    SHIPPED,
    Experiment,
    _absolute,
)
from .scores import _batches, final_scores, scores_now

Listener = Callable[
    [str, Search, Event], None
]  # what is being done ("search", "pretraining", a baseline), by which search, what happened


def run(
    experiment: Experiment | None,
    out: str | Path,
    resume: bool = False,
    listen: Listener = lambda *_: None,
    turn: Mapping | None = None,
    pretraining: str | Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
    communicator: SingleProcess = SINGLE_PROCESS,
    data: str | None = None,
    eval_data: str | None = None,
    elsewhere: Mapping | None = None,
) -> None:
    """Pretrain, search, evaluate and train the baselines, each in a run folder of its own: `out`, `out/pretraining` and
    `out/baselines/<name>`. Interrupted, it can be gone on with by resume=True; what is finished is not done again.
    `turn`: knobs to turn before the search goes on. Resumed, the folder's own settings count, not `experiment`.
    `pretraining`: a folder that several experiments share, instead of `out/pretraining`. `tell`: hears about weights, graphs.
    `together`: the processes that do this as one (scale.FabricCommunicator). `data`, `eval_data`: where the data of a run that is
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
    here = replace(experiment, device=str(communicator.device(experiment.device)))
    packs, drawn = here.packs(tell, old=old)
    lab = here.lab(_begins(experiment, out, pretraining), tell, packs)
    if old:
        tell(f"{out}: does not say which data it was made with, so they can't be compared")
    elif not resume:
        recorded = identity.identity(packs, lab.tasks, drawn)
        experiment = replace(experiment, data_identity=recorded)
    _must_have_batches(experiment, lab)
    lab = communicator.check_in_sync(
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
        search, seconds = communicator.broadcast(
            calibrate(lab, experiment.search, communicator=communicator)
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
    with communicator.folder(
        lambda: Run.resume(out) if resume else Run.create(out, experiment.to_json(), lab.space)
    ) as folder:
        folder.hear(tell)
        if experiment.pretrain.steps:
            pretrain(
                experiment,
                pretraining or out / "pretraining",
                partial(listen, "pretraining"),
                lab,
                communicator,
            )
        before = lab.copy()
        lab, gates = _method(experiment, lab)
        search = Search(
            lab, experiment.search, gates=gates, evaluate=scores_now, communicator=communicator
        )
        run_recorded(
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
                    communicator=communicator,
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
        loader.split(pack, lab.tasks, config.batch_size, config.seed, fraction=config.weight_share)
    for steps, size in (
        (config.steps, config.batch_size),
        (experiment.pretrain.steps, experiment.pretrain.batch_size),
    ):
        if steps:
            loader.whole(pack, lab.tasks, size, config.seed)


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
    communicator: SingleProcess = SINGLE_PROCESS,
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
        Search(pretrained, experiment.pretrain, communicator=communicator),
        Path(path),
        experiment,
        listen,
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

    with search.communicator.folder(folder) as kept:
        run_recorded(search, kept, experiment.checkpoint_every, experiment.keyframes, listen)
    return search


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
    pick_device(device)  # refused before anything else is said
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


WORTH = 1.15  # bf16 changes the numbers, so it must be clearly faster


def calibrate(
    lab: Lab, config: SearchConfig, steps: int = 3, communicator: SingleProcess = SINGLE_PROCESS
) -> tuple[SearchConfig, dict[str, float]]:
    """(the settings with the precision decided, {precision: seconds a step}). The lab stays as it is."""
    seconds = {}
    for precision in ("float32", "bf16"):
        trial = Search(
            lab.copy(),
            replace(config, precision=precision, compile="", evaluate_every=0),
            communicator=communicator,
        )
        trial.attempt()  # the first one allocates
        seconds[precision] = min(
            trial.attempt().seconds for _ in range(steps)
        )  # its report waits for the device
    chosen = "bf16" if seconds["bf16"] * WORTH <= seconds["float32"] else "float32"
    return replace(config, precision=chosen), seconds
