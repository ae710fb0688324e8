"""One piece of work from pretraining to scores, kept in a run folder, and gone on with where it stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ..core.architecture import Architecture, counterparts, transfer
from ..core.communicator import SINGLE_PROCESS, SingleProcess
from ..core.config import SearchConfig
from ..core.controls import Controls, must_be_tasks, must_have_edges, turned
from ..core.evaluate import evaluate
from ..core.events import Event
from ..core.lab import Lab, pick_device
from ..core.schedule import visibility_schedules
from ..core.search import Search
from ..data import identity, loader
from ..data.views import View
from ..errors import ConfigError, DataError, RunError
from ..models.baselines import BASELINES, ONE_INPUT, baseline, without_candidates
from ..models.roles import ALPHA_BETAS, L1, factors
from ..one_line import mistake, printable
from ..runs.recorder import run_recorded
from ..runs.run import Run
from ..runs.run_writer import RunWriter
from ..storage.checkpoints import misfit
from .config import (
    OF_THE_ROOMS,
    SHIPPED,
    Experiment,
    absolute,
)
from .scores import final_scores, scores_now, split_batches, table

# called with what is being done ("search", "pretraining", a baseline), by which search, and what happened
Listener = Callable[[str, Search, Event], None]


class NotAllWritten(RunError):
    """The work is done and its scores and weights are kept, but summary or figures could not be written."""


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
    figures: Sequence[str] = (),
) -> None:
    """Does all stages: prepare, pretrain, search, score, baselines, write.

    The search is kept in `out`, the others in run folders of their own: `out/pretraining`, `out/baselines/<name>`.
    Interrupted, it can be gone on with by resume=True; what is finished is not done again.

    Args:
        experiment: The settings. Resumed, those of the folder count instead.
        out: The run folder.
        resume: Goes on with the run in `out`.
        listen: Hears what is being done, by which search, and each event.
        turn: Knobs to turn before a search goes on.
        pretraining: A folder that several experiments share, instead of `out/pretraining`.
        tell: Hears about weights, graphs and damage, a line each.
        communicator: The processes that do this as one.
        data, eval_data: Where the data of a run that is resumed lie now, if they were moved; other data are refused.
        elsewhere: Device and threads of this machine, for a run that is resumed on another one.
        figures: Formats of the fusion graph's picture, such as ("pdf", "svg"); none takes no time.

    Raises:
        NotAllWritten: All is done, but summary or figures could not be written.
    """
    out = Path(out)
    experiment, lab = prepare(
        experiment, out, resume, pretraining, tell, communicator, data, eval_data, elsewhere, turn
    )

    def open_folder() -> RunWriter:
        if resume:
            return RunWriter.resume(out)
        return RunWriter.create(out, experiment.to_json(), lab.space)

    with communicator.folder(open_folder) as folder:
        folder.hear(tell)
        if experiment.pretrain.steps:
            place = pretraining or out / "pretraining"
            pretrain(experiment, place, partial(listen, "pretraining"), lab, communicator)
        begun = lab.copy()  # the baselines begin where the search does
        found = search(experiment, lab, folder, partial(listen, "search"), turn, communicator)
        scores = score(found, folder)
        baselines(experiment, begun, found, folder, scores, listen)
        if communicator.is_main_process:
            write(folder, figures)


# --- the stages -------------------------------------------------------------------------------------------------------
def prepare(
    experiment: Experiment | None,
    out: str | Path,
    resume: bool = False,
    pretraining: str | Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
    communicator: SingleProcess = SINGLE_PROCESS,
    data: str | None = None,
    eval_data: str | None = None,
    elsewhere: Mapping | None = None,
    turn: Mapping | None = None,
) -> tuple[Experiment, Lab]:
    """The settings with everything decided that they left open, and the lab as it is before any training.

    Arguments as for `run`. Writes nothing, so that what can't be done is refused before there is a folder.
    """
    out = Path(out)
    old = False
    if resume:
        experiment, old = _recorded(out, data, eval_data)
        experiment = replace(experiment, **(elsewhere or {}))
    else:
        experiment = _with_forces(replace(experiment, data_identity={}).sealed(), tell)
    for name in {*experiment.baselines, experiment.method} - {"search"} - BASELINES.keys():
        raise ConfigError(f"there is no baseline {name!r}; choose among {', '.join(BASELINES)}")
    _must_search_to_start_warm(experiment)
    _must_see_one_image(experiment, turn or {})
    torch.set_num_threads(experiment.threads)  # the same again when it is resumed, for equal bits
    here = replace(experiment, device=str(communicator.device(experiment.device)))
    packs, drawn = here.packs(tell, old=old)
    lab = here.lab(_begins(experiment, out, pretraining), tell, packs)
    if old:
        tell(f"{out}: does not say which data it was made with, so they can't be compared")
    elif not resume:
        recorded = identity.identity(packs, lab.tasks, drawn, lab.targets)
        experiment = replace(experiment, data_identity=recorded)
    if not resume:
        _tell_of_the_start(experiment, lab, tell)
    _must_have_batches(experiment, lab)
    _must_fit(experiment, lab, turn or {})
    lab = communicator.check_in_sync(lab, _the_same_everywhere(experiment))
    if experiment.graph is not None and not resume:
        # what is lost is said, or refused, before any work
        tell(str(transfer(Architecture.from_json(experiment.graph), lab.space)))
    if experiment.search.precision == "auto":  # a resumed run does not decide again
        experiment = _with_precision(experiment, lab, communicator)
        measured = [f"{k} {1000 * s:.0f} ms a step" for k, s in experiment.calibration.items()]
        tell(f"precision {experiment.search.precision}: {', '.join(measured)}")
    return experiment, lab


def _with_forces(experiment: Experiment, tell: Callable[[str], None]) -> Experiment:
    """The settings of a search for a primary task with a force that shuts edges into its network; others as they are.

    Raises ConfigError for a primary task where nothing is searched.
    """
    if not experiment.primary:
        return experiment
    if experiment.method != "search" or experiment.graph is not None:
        raise ConfigError(
            f"primary = {experiment.primary}: a search lets go of the other networks, and here none is made; leave "
            "primary out, or search"
        )
    if experiment.search.l1_weight != SearchConfig().l1_weight:
        return experiment
    tell(
        f"{experiment.primary} alone is wanted: L1 shuts edges into its network, from nothing after {100 * L1.period[0]:g} % of the steps "
        f"to {L1.end:g} after {100 * L1.period[1]:g} %"
    )
    forces = {"l1_weight": L1, "alpha_betas": ALPHA_BETAS, "weight_gates": "deterministic"}
    return replace(experiment, search=replace(experiment.search, **forces))


def _the_same_everywhere(experiment: Experiment) -> Experiment:
    """The settings without what may differ between the machines of one run: data count by what they hold."""
    return replace(
        experiment,
        device="",
        threads=1,
        weights={},
        weights_sha256={},
        data=identity.short(experiment.data_identity),
        eval_data=None,
        data_identity={},
    )


def _with_precision(experiment: Experiment, lab: Lab, communicator: SingleProcess) -> Experiment:
    """The settings with the precision that was found faster, of the pretraining too."""
    measured = calibrate(lab, experiment.search, communicator=communicator)
    settings, seconds = communicator.broadcast(measured)
    pretraining = replace(experiment.pretrain, precision=settings.precision)
    return replace(experiment, search=settings, calibration=seconds, pretrain=pretraining)


def pretrain(
    experiment: Experiment,
    path: str | Path,
    listen=lambda *_: None,
    lab: Lab | None = None,
    communicator: SingleProcess = SINGLE_PROCESS,
) -> Lab:
    """Teaches each network alone, in a folder of its own, or takes what that folder has finished.

    Args:
        experiment: The settings.
        path: The run folder of the pretraining.
        listen: Hears which search says it, and each event.
        lab: The networks to teach; otherwise those of the experiment.
        communicator: The processes that do this as one.

    Returns:
        The lab with the networks taught.
    """
    torch.set_num_threads(experiment.threads)
    if lab is None:
        experiment = experiment.sealed()
        packs, drawn = experiment.packs()
        lab = experiment.lab(packs=packs)
        recorded = identity.identity(packs, lab.tasks, drawn, lab.targets)
        experiment = replace(experiment, data_identity=recorded)
    alone = without_candidates(lab)
    training = Search(alone, experiment.pretrain, communicator=communicator)
    _train(training, Path(path), experiment, listen)
    lab.supernet.backbones.load_state_dict(alone.supernet.backbones.state_dict())
    return lab


def search(
    experiment: Experiment,
    lab: Lab,
    folder: RunWriter,
    listen=lambda *_: None,
    turn: Mapping | None = None,
    communicator: SingleProcess = SINGLE_PROCESS,
) -> Search:
    """Searches in `lab` to the end, or trains under the gates of the experiment's method or graph.

    Leaves events and checkpoints, architecture.json and weights.safetensors in the folder.
    """
    lab, gates = _method(experiment, lab)
    roles = factors(lab.space, experiment.primary) if experiment.primary else {}
    found = Search(
        lab, experiment.search, gates=gates, evaluate=scores_now, communicator=communicator, **roles
    )
    run_recorded(found, folder, experiment.checkpoint_every, experiment.keyframes, listen, turn)
    if experiment.primary:
        _tell_what_stays_open(found, experiment.primary, folder)
    folder.write_json("architecture.json", found.architecture().to_json())
    weights = {"alpha": lab.alphas.alpha.detach()}
    for name, value in lab.supernet.state_dict().items():
        weights[f"supernet.{name}"] = value
    folder.save_weights(weights)
    return found


def _tell_what_stays_open(found: Search, primary: str, folder: RunWriter) -> None:
    """A primary task whose network still reads from another one cannot be used alone: said in the run."""
    reads = [edge for edge in found.architecture().edges if edge.target.task == primary]
    if reads:
        folder.notice(
            f"{len(reads)} edges into {primary}'s network are still open, the first of them {reads[0]}: alone it would "
            "compute something else; search longer, or with a larger l1_weight"
        )


def score(found: Search, folder: RunWriter) -> dict:
    """{gates: {task: {metric: value}}} of a finished search on the test images, left as scores.json."""
    scores = final_scores(found.lab, found.architecture())
    folder.write_json("scores.json", scores)
    return scores


def baselines(
    experiment: Experiment,
    begun: Lab,
    found: Search,
    folder: RunWriter,
    scores: dict,
    listen: Listener = lambda *_: None,
) -> None:
    """Trains each baseline as long as the search, in `baselines/<name>`, and adds its scores to scores.json.

    Each sees what the searched network saw at the end.

    Args:
        experiment: The settings, which name the baselines.
        begun: The lab as the search began with it.
        found: The finished search; a random graph has as many edges.
        folder: The run folder of the search.
        scores: Those of the search; the baselines' are added.
        listen: Hears which baseline it is, which search says it, and each event.
    """
    edges = len(found.architecture())
    # each sees as much as the searched network does that it is compared with
    visibility = found.controls.visibility
    config = replace(experiment.search, evaluate_every=0, visibility=visibility)
    for name in experiment.baselines:
        if visibility and name == "shared_trunk":  # turned since the run was begun
            folder.notice(ONE_INPUT)
            continue
        lab, gates = baseline(name, begun, edges, experiment.seed)
        training = Search(lab, config, gates=gates.kept, communicator=found.communicator)
        _train(training, folder.path / "baselines" / name, experiment, partial(listen, name))
        images = split_batches(found.lab, "test")
        scores[name] = evaluate(lab.supernet, gates.kept, lab.tasks, images)
        folder.write_json("scores.json", scores)  # after each: what is done is kept


def write(folder: RunWriter, figures: Sequence[str] = ("pdf", "svg", "png")) -> None:
    """Leaves what people look at in a finished run folder: summary.md and the picture of the fusion graph.

    Args:
        folder: The finished run.
        figures: Formats of the picture.

    Raises:
        NotAllWritten: Something could not be written; the rest is there.
    """
    done = Run.open(folder.path)
    missing = []
    try:
        folder.write("summary.md", summary(done))
    except Exception as error:  # whatever it is, scores and weights are there
        missing.append(f"summary.md ({mistake(error)})")
    if figures:
        from ..viz.export import save_fusion_graph

        try:
            save_fusion_graph(done, done.path, formats=figures)
        except Exception as error:
            missing.append(f"the fusion graph ({mistake(error)})")
    if missing:
        raise NotAllWritten(
            f"{folder.path}: the search is finished, its scores and weights are kept; what could not be written is "
            f"{' and '.join(missing)}"
        )


def outcome(run: Run) -> str:
    """What a search found, in a line: "12 of 48 edges kept, entropy 0.031 of ln 2 after 500 steps"; and what each network saw,
    where not all saw the image."""
    found = Architecture.from_json(run.architecture())
    said = f"{len(found)} of {len(found.space)} edges kept"
    if not run.log.steps:
        return said
    last = run.log.steps[-1]
    said = f"{said}, entropy {last.entropy_fraction:.3f} of ln 2 after {last.step} steps"
    return "; ".join([said, *seen_by_each(run)])


def seen_by_each(run: Run) -> list[str]:
    """What each network saw in the search, a clause each, as in "segmentation saw noise"; none where all saw the image."""
    experiment = Experiment.from_json(run.config)
    tasks = run.log.space.tasks
    steps = experiment.search.steps
    found = run.log.visibility_periods(steps, visibility_schedules)
    clauses = []
    for task in tasks:
        view = View.from_value(experiment.views.get(task, "image"))
        periods = found.get(task, [(1, steps, [1.0])])
        seen = []
        for first, last, values in periods:
            when = f" (steps {first} to {last})" if len(periods) > 1 else ""
            seen.append(f"{_as_seen(view, values)}{when}")
        clauses.append(f"{task} saw {', then '.join(seen)}")
    if all(clause == f"{task} saw {View().words}" for task, clause in zip(tasks, clauses)):
        return []
    return clauses


def _as_seen(view: View, visibility: Collection[float]) -> str:
    """A view through what was left of it, at least and at most."""
    least = min(visibility)
    most = max(visibility)
    if most == 0:
        return "noise"
    if least == 1:
        return view.words
    share = f"{least:g}"
    if least < most:
        share = f"{least:.2g} to {most:.2g}"
    return f"{share} of {view.words}, the rest noise"


def summary(run: Run) -> str:
    """The text of summary.md: what was found, the scores, the kept edges with their probabilities."""
    found = Architecture.from_json(run.architecture())
    kept = []
    for edge, p, keep in zip(found.space.edges, found.probability, found.kept):
        if keep:
            kept.append(f"- `{edge}`, p = {p:.3f}")
    edges = "\n".join(kept) or "none"
    scores = table(run.scores())
    return f"# {run.path.name}\n\n{outcome(run)}\n\n```\n{scores}\n```\n\nEdges kept:\n\n{edges}\n"


# --- what the stages are made of --------------------------------------------------------------------------------------
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
        data=absolute(data) if data else experiment.data,
        eval_data=absolute(eval_data) if eval_data else experiment.eval_data,
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


def _must_see_one_image(experiment: Experiment, turn: Mapping) -> None:
    """Raise ConfigError for a shared trunk where networks see, or shall see, different images."""
    apart = experiment.views or experiment.search.visibility or turn.get("visibility")
    if apart and "shared_trunk" in (*experiment.baselines, experiment.method):
        raise ConfigError(ONE_INPUT)


def _must_search_to_start_warm(experiment: Experiment) -> None:
    """Raise ConfigError for a warm start where nothing is searched or α begins elsewhere, and for a κ without one."""
    if experiment.warm_start is None:
        if experiment.kappa != Experiment.kappa:
            raise ConfigError(
                f"kappa = {experiment.kappa:g}: this search begins undecided, so there is nothing that κ could scale; leave "
                "kappa out, or give warm_start, a run to begin with"
            )
        return
    if experiment.method != "search" or experiment.graph is not None:
        raise ConfigError(
            "warm_start: α begins a search with it, and here nothing is searched; leave warm_start out, or search"
        )
    if experiment.primary:
        raise ConfigError(
            f"warm_start: for the primary task {experiment.primary} α begins at the values of Aux-NAS; leave one of the two out"
        )


def _tell_of_the_start(experiment: Experiment, lab: Lab, tell: Callable[[str], None]) -> None:
    """Says where α of a warm start comes from, and how many edges begin open."""
    if experiment.warm_start is None:
        return
    there = Architecture.from_json(experiment.warm_start).space.tasks
    renamed = []
    for task, mine in counterparts(there, lab.space.tasks).items():
        if task != mine:
            renamed.append(f"{task} there is {mine} here")
    start = lab.alphas.alpha.detach()
    p = torch.sigmoid(start)
    said = [
        f"warm start from {', '.join(there)}",
        *renamed,
        f"{int((start > 0).sum())} of {len(start)} edges begin above ½, gates from {p.min():.2f} to {p.max():.2f}",
    ]
    tell("; ".join(said))


def _must_fit(experiment: Experiment, lab: Lab, turn: Mapping) -> None:
    """Raise ConfigError for settings of tasks that are not there and for more edges than there are."""
    turned(turn, lab.space)
    for section in (experiment.search, experiment.pretrain):
        must_be_tasks(section.visibility, lab.space.tasks)
    if experiment.method == "search" and experiment.graph is None:
        must_have_edges(experiment.search.edge_budget, lab.space)


def _begins(experiment: Experiment, out: Path, pretraining: str | Path | None) -> bool:
    """Whether the weights that the work begins with are still needed: not where a checkpoint holds what became of them."""
    if experiment.baselines and not experiment.pretrain.steps:
        return True  # which begin with them too
    folder = Path(pretraining or out / "pretraining") if experiment.pretrain.steps else out
    return not ((folder / "events.jsonl").exists() and Run.open(folder).checkpoints())


def _method(experiment: Experiment, lab: Lab) -> tuple[Lab, tuple[bool, ...] | None]:
    """What the experiment trains, and under which gates; None: those that it searches."""
    if experiment.graph is not None:
        carried = transfer(Architecture.from_json(experiment.graph), lab.space)
        return lab, carried.architecture.kept
    if experiment.method == "search":
        return lab, None
    edges = experiment.edges
    if edges is None:
        edges = len(lab.space) // 2
    seed = experiment.seed + 10_000 * experiment.draw  # another draw is as another seed
    made, gates = baseline(experiment.method, lab, edges, seed)
    return made, gates.kept


def _train(search: Search, path: Path, experiment: Experiment, listen) -> None:
    """Trains in a folder of its own, or takes what that folder has already finished."""
    with search.communicator.folder(lambda: _folder_of(search, path, experiment)) as folder:
        run_recorded(search, folder, experiment.checkpoint_every, experiment.keyframes, listen)


def _folder_of(search: Search, path: Path, experiment: Experiment) -> Run:
    if not (path / "events.jsonl").exists():
        config = {**experiment.to_json(), "search": search.config.to_json()}
        return RunWriter.create(path, config, search.lab.space)
    there = Run.open(path)
    before = Experiment.from_json(there.config)
    if (before.views, before.few_labels) != (experiment.views, experiment.few_labels):
        raise ConfigError(
            f"{path}: was trained with other views or labels than these settings have; remove that folder to train anew"
        )
    taught_by = before.data_identity
    if taught_by and experiment.data_identity and taught_by != experiment.data_identity:
        raise DataError(
            f"{path}: was trained with other data than {experiment.data} holds now; remove that folder to train "
            "anew"
        )
    saved = [manifest.step for manifest in there.checkpoints()]
    if there.log.finished and search.config.steps in saved:
        return there  # finished, it is only read: others may be reading it too
    return RunWriter.resume(path)


# --- a run folder as a lab again --------------------------------------------------------------------------------------
def reopen(
    path: str | Path,
    eval_data: str | None = None,
    device: str = "auto",
    data: str | None = None,
    tell: Callable[[str], None] = lambda text: print(printable(text), file=sys.stderr),
) -> tuple[Lab, Architecture]:
    """Opens a finished run folder as the searched lab and its architecture.

    data: where the run's data lie now, if they were moved; other data are refused. eval_data: other data to score on.
    `tell` hears what is unusual about the data.
    """
    folder = Run.open(path)
    lab, experiment = as_set_up(path, eval_data, device, data, tell)
    weights = folder.load_weights()
    architecture = Architecture.from_json(folder.read_json("architecture.json"))
    if architecture.space != lab.space:
        raise ConfigError(
            f"{path}: its architecture is of another space than its settings give ({lab.space!r})"
        )
    own = lab.supernet.state_dict()
    expected = {"alpha": lab.alphas.alpha}
    for name, tensor in own.items():
        expected[f"supernet.{name}"] = tensor
    problem = misfit(weights, expected)
    if problem:
        raise RunError(
            f"{folder.path / 'weights.safetensors'} is not of this run, for {problem}; "
            "take the file that belongs to it, or search again"
        )
    lab.visibility = _visibility_at_end(experiment, folder, lab)
    lab.supernet.load_state_dict({name: weights[f"supernet.{name}"] for name in own})
    lab.alphas.load_state_dict({"alpha": weights["alpha"]})
    return lab, architecture


def as_set_up(
    path: str | Path,
    eval_data: str | None = None,
    device: str = "auto",
    data: str | None = None,
    tell: Callable[[str], None] = lambda text: print(printable(text), file=sys.stderr),
) -> tuple[Lab, Experiment]:
    """A run's lab with its data and views, but untrained networks; and its settings. Arguments as those of `reopen`."""
    pick_device(device)  # refused before anything else is said
    experiment, old = _recorded(Path(path), data)
    experiment = replace(experiment, device=device)
    if old:
        tell(f"{path}: does not say which data it was made with, so they can't be compared")
    packs, _ = experiment.packs(tell, eval_data, old)
    lab, _ = _method(experiment, experiment.lab(False, tell, packs))
    return lab, experiment


def _visibility_at_end(experiment: Experiment, folder: Run, lab: Lab) -> dict[str, float]:
    """{task: v} after the last step of a run: as it was set, and as it was turned."""
    controls = Controls(experiment.search, lab.space)
    for event in folder.log.turned:
        controls.turn(event.knobs)
    controls.apply_turned(SINGLE_PROCESS)
    return controls.current("visibility", experiment.search.steps)


WORTH = 1.15  # bf16 changes the numbers, so it must be clearly faster


def calibrate(
    lab: Lab, config: SearchConfig, steps: int = 3, communicator: SingleProcess = SINGLE_PROCESS
) -> tuple[SearchConfig, dict[str, float]]:
    """(the settings with the precision decided, {precision: seconds a step}). The lab stays as it is."""
    seconds = {}
    for precision in ("float32", "bf16"):
        settings = replace(config, precision=precision, compile="", evaluate_every=0)
        trial = Search(lab.copy(), settings, communicator=communicator)
        trial.attempt()  # the first one allocates
        # the least: whatever else the machine does only adds; a report waits for the device
        seconds[precision] = min([trial.attempt().seconds for _ in range(steps)])
    chosen = "float32"
    if seconds["bf16"] * WORTH <= seconds["float32"]:
        chosen = "bf16"
    return replace(config, precision=chosen), seconds
