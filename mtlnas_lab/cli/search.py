"""`mtlnas-lab search`: the main job."""

from __future__ import annotations

import contextlib
import math
import re
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tyro.conf import Suppress

from ..errors import ConfigError, RunError
from ..one_line import mistake, printable
from .places import writable
from .progress import Progress, interruptible, table

MOST_THREADS = 1024


MOVED = ("data", "eval_data")  # may lie elsewhere when a run goes on


KNOBS = ("entropy_weight", "weight_lr")  # turned where a run goes on


HERE = ("device", "threads")  # of the machine, not of the run


def search(
    preset: str = "tiny",
    data: str = "rooms",
    eval_data: str | None = None,
    tasks: str = "",
    entropy_weight: float | None = None,
    steps: int | None = None,
    pretrain_steps: int | None = None,
    weight_lr: float | None = None,
    seed: int = 0,
    out: Path | None = None,
    resume: bool = False,
    baselines: str = "single_task",
    evaluate_every: int | None = None,
    checkpoint_every: int = 100,
    device: str = "auto",
    threads: int | None = None,
    backbone: str = "",
    weights: str = "",
    fusion: str = "",
    released_config: Path | None = None,
    graph: Path | None = None,
    precision: str = "float32",
    compile: str = "",
    batch_size: int | None = None,
    tensorboard: bool = False,
    loss_weights: str = "",
    class_weights: str = "",
    said: Suppress[tuple[str, ...]] = (),
) -> None:
    """Search a fusion graph between single-task networks, and score it as it is.

    Pretrains one network for each task (not on `rooms`: those are shipped), searches, evaluates the searched network
    with soft and hard gates, trains the baselines, and leaves everything in a run folder. Ctrl-C stops after the step
    that is under way; --resume goes on with it.

        mtlnas-lab search                                            # rooms, segmentation + normals, a few minutes
        mtlnas-lab search --entropy-weight 0 --out runs/no-entropy   # what if nothing pushed the gates apart?
        mtlnas-lab search --data pack.npz --tasks seg13,normals --eval-data test.npz

    Args:
        preset: Networks and settings: tiny (CPU, minutes) or vgg16 (as released, GPU).
        data: `rooms`, the path of a pack (.npz), or a data set's folder (NYU v2, Taskonomy, Cityscapes: see `data show`), as
            FOLDER or FOLDER@HEIGHTxWIDTH.
        eval_data: Another pack to score on; otherwise the pack's own test split, or a tenth that is held out.
        tasks: Two tasks or more, as in segmentation,normals; otherwise the data's first dense pair.
        entropy_weight: λ at the end of its schedule (see docs of the preset); 0 switches the entropy term off.
        steps: Steps of the search, one α-update and one w-update each.
        pretrain_steps: Steps of single-task pretraining.
        weight_lr: Learning rate of the networks' weights in the search.
        seed: Draws weights, batches and gates.
        out: The run folder; otherwise runs/<time>-<tasks>.
        resume: Go on with the run in --out; its own settings are used, but --entropy-weight and --weight-lr turn these
            knobs from here on, and --device and --threads say where it goes on. Others must be those of the folder.
        baselines: What to compare with, as in single_task,random_graph,all_edges; `none` for none.
        evaluate_every: Steps between evaluations on the validation images; otherwise a tenth of the search.
        checkpoint_every: Steps between checkpoints.
        device: auto, cpu, cuda or mps.
        threads: CPU threads; otherwise one less than the machine has cores.
        backbone: vgg16, resnet18, resnet50, vit, mobilenet_v3 or convnext_tiny, for all tasks or as in
            segmentation=vgg16,normals=resnet18; narrow in the preset tiny, of full width in vgg16.
        weights: A file of torchvision's weights for such a backbone, for all tasks or as in segmentation=a.pth,normals=b.pth
            (a file may have = and , in its name).
        fusion: nddr, residual or cross_stitch; otherwise the preset's, or residual where a backbone's maps may be negative.
        released_config: A YAML file of the released implementation, whose settings to use.
        graph: A run folder or an architecture.json, found with other backbones or tasks: its edges are carried over, and
            nothing is searched; --steps 0 evaluates at once, more steps train the networks under it.
        precision: float32, bf16, or auto: what three steps of each say, kept in config.json. Pretraining has it, too.
        compile: A backend of torch.compile, as in inductor: it takes a minute first, and pays after some 1,000 steps.
        batch_size: Images in a batch, in pretraining too; a step of the search takes two batches, one after the other.
        tensorboard: Also write TensorBoard events, into `tensorboard` in the run folder (extra `tensorboard`).
        loss_weights: What a task's loss counts in the sum, as in normals=20,segmentation=1; otherwise the task's own.
        class_weights: What each class of a task counts, as in segmentation=balanced, where rare classes count more.
        said: Which of these were given.
    """
    from ..experiments import config, pipeline
    from ..runs.run import Run

    given = {name: value for name, value in locals().items() if name in said}
    turn = settings = None
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise ConfigError(f"threads = {threads}: give from 1 to {MOST_THREADS}")
    if resume:
        if out is None:
            raise ConfigError("--resume needs --out, the run folder to go on with")
        _must_be_of_the_folder(config.Experiment.from_json(Run.open(out).config), given)
        turn = {name: given[name] for name in KNOBS if given.get(name) is not None}
    else:
        chosen = _experiment(
            preset,
            data,
            eval_data,
            tasks,
            entropy_weight,
            steps,
            pretrain_steps,
            seed,
            baselines,
            checkpoint_every,
            device,
            threads,
            released_config,
            backbone,
            weights,
            fusion,
        )
        every = evaluate_every if evaluate_every is not None else max(1, chosen.search.steps // 10)
        both = {"precision": precision, "compile": compile} | (
            {} if batch_size is None else {"batch_size": batch_size}
        )
        changes = (
            both
            | {"evaluate_every": every}
            | ({} if weight_lr is None else {"weight_lr": weight_lr})
        )
        settings = replace(
            chosen,
            search=replace(chosen.search, **changes),
            pretrain=replace(chosen.pretrain, **both),
            graph=graph and _carried(graph),
            loss_weights={**chosen.loss_weights, **_weights_of(loss_weights)},
            **({"class_weights": _classes_of(class_weights)} if class_weights else {}),
        )
    here = {name: given[name] for name in HERE if given.get(name) is not None} if resume else None
    moved = {name: given[name] for name in MOVED if name in given} if resume else {}
    communicator = _communicator(device)
    with contextlib.ExitStack() as stack:
        if out is None and communicator.is_main_process:
            out = stack.enter_context(_own_folder(settings))
        out = writable(communicator.broadcast(out))  # its name holds the time
        stopped = stack.enter_context(interruptible())
        listen = progress = stack.enter_context(
            Progress(stopped, silent=not communicator.is_main_process)
        )
        if tensorboard and communicator.is_main_process:
            listen = _also(progress, out / "tensorboard")
        try:
            pipeline.run(
                settings,
                out,
                resume,
                listen,
                turn,
                tell=_tell,
                communicator=communicator,
                elsewhere=here,
                **moved,
            )
        except KeyboardInterrupt as end:
            if (out / "events.jsonl").exists():
                again = shlex.join(["mtlnas-lab", "search", "--resume", "--out", str(out)])
                end.add_note(f"what is done is kept; {again} goes on with it")
            raise
    if communicator.is_main_process:
        finish(Run.open(out), out)


def _tell(text: str) -> None:
    print(printable(text), file=sys.stderr)


# --- a run that goes on -----------------------------------------------------------------------------------------------
def _must_be_of_the_folder(kept, given: dict) -> None:
    """Raises ConfigError for a setting that a run can't go on with: one that is another than its folder's."""
    has = {
        "preset": kept.preset,
        "data": kept.data,
        "eval_data": kept.eval_data,
        "tasks": ",".join(kept.tasks),
        "steps": kept.search.steps,
        "pretrain_steps": kept.pretrain.steps,
        "seed": kept.seed,
        "baselines": ",".join(kept.baselines) or "none",
        "evaluate_every": kept.search.evaluate_every,
        "checkpoint_every": kept.checkpoint_every,
        "backbone": kept.backbone,
        "weights": dict(kept.weights),
        "fusion": kept.fusion,
        "precision": kept.search.precision,
        "compile": kept.search.compile,
        "batch_size": kept.search.batch_size,
        "loss_weights": dict(kept.loss_weights),
        "class_weights": dict(kept.class_weights),
    }
    for name, value in given.items():
        if name in (*KNOBS, *HERE, "out", "resume", "tensorboard"):
            continue
        if name in MOVED and kept.data_identity and value is not None:
            continue  # the data are known by what they hold, wherever they lie now
        flag = f"--{name.replace('_', '-')}"
        if name not in has:
            raise ConfigError(
                f"{flag} {value} can't be given where a run goes on; leave it away, or start another run without --resume"
            )
        if not _same(name, value, has[name]):
            shown = has[name] if has[name] not in (None, "", {}) else "not set"
            raise ConfigError(
                f"{flag} {value}: {flag} is the folder's own setting, which is {shown}; leave it away, or start "
                "another run without --resume"
            )


def _same(name: str, asked, kept) -> bool:
    """Whether a setting that was given is the one that the folder has."""
    if name in ("data", "eval_data"):
        return asked == kept or Path(str(asked)).resolve() == Path(str(kept)).resolve()
    if name == "weights":
        said = _files(asked)
        return said == kept or {t: str(Path(path).resolve()) for t, path in said.items()} == kept
    if name == "loss_weights":
        return _weights_of(asked) == kept
    if name == "class_weights":
        return _classes_of(asked) == kept
    return asked == kept


def _also(progress, folder: Path):
    """The progress bar, and a board that listens beside it."""
    from ..runs.tensorboard import TensorBoardLogger

    board = TensorBoardLogger(folder)

    def listen(*what) -> None:
        board(*what)
        progress(*what)

    return listen


def _carried(graph: Path) -> dict:
    """The architecture to carry over."""
    from ..core.architecture import Architecture
    from ..storage.jsonl import read_json

    return Architecture.from_json(
        read_json(graph / "architecture.json" if graph.is_dir() else graph)
    ).to_json()


def _communicator(device: str):
    """The processes that torchrun started, or this one alone."""
    from ..core.communicator import SINGLE_PROCESS, processes

    if processes("WORLD_SIZE") == 1:
        return SINGLE_PROCESS
    from ..runs.distributed import FabricCommunicator

    return FabricCommunicator(device)


def _experiment(
    preset,
    data,
    eval_data,
    tasks,
    entropy_weight,
    steps,
    pretrain_steps,
    seed,
    baselines,
    checkpoint_every,
    device,
    threads,
    released_config,
    backbone,
    weights,
    fusion,
):
    from ..experiments.config import Experiment

    settings = {
        "name": preset,
        "data": data,
        "seed": seed,
        "steps": steps,
        "pretrain_steps": pretrain_steps,
        "entropy_weight": entropy_weight,
        "eval_data": eval_data,
        "tasks": tuple(filter(None, tasks.split(","))),
        "baselines": () if baselines == "none" else tuple(baselines.split(",")),
        "checkpoint_every": checkpoint_every,
        "device": device,
        "backbone": backbone,
        "weights": _files(weights),
        "fusion": fusion,
    } | ({} if threads is None else {"threads": threads})
    if checkpoint_every < 1:
        raise ConfigError(f"--checkpoint-every {checkpoint_every}: give 1 or more")
    return (
        Experiment.from_preset(**settings)
        if released_config is None
        else Experiment.released(released_config, **settings)
    )


def _files(text: str) -> dict[str, str]:
    """{task: file} of task=file,task=file; {"*": file} of one file for all tasks. A file's name may have = and , in it."""
    if not text or "=" not in text or Path(text).exists():
        return {"*": text} if text else {}
    parts = re.split(r",\s*(?=[\w.-]+=)", text)  # a comma that no task follows is part of a name
    return dict(part.strip().split("=", 1) for part in parts)


def _weights_of(text: str) -> dict[str, float]:
    """{task: weight} of task=weight,task=weight."""
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        task, _, number = (piece.strip() for piece in part.partition("="))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0) or not task or task in found:
            raise ConfigError(
                f"--loss-weights {part}: give each task once with a number of 0 or more, as in normals=20,segmentation=1"
            )
        found[task] = value
    if found and not any(found.values()):
        raise ConfigError(f"--loss-weights {text}: one task at least must count for something")
    return found


def _classes_of(text: str) -> dict[str, str]:
    """{task: "balanced"} of task=balanced,task=balanced."""
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        task, _, how = (piece.strip() for piece in part.partition("="))
        if how != "balanced" or not task or task in found:
            raise ConfigError(
                f"--class-weights {part}: give each task once, as in segmentation=balanced"
            )
        found[task] = how
    return found


# --- what is left behind ----------------------------------------------------------------------------------------------
def finish(run, out: Path) -> None:
    """Says the last lines that a user reads, and leaves summary and figure. Raises RunError where one can't be written."""
    from ..core.architecture import Architecture
    from ..viz.export import save_fusion_graph

    found, scores = Architecture.from_json(run.read_json("architecture.json")), run.scores()
    last = run.log.steps[-1] if run.log.steps else None
    facts = f"{len(found)} of {len(found.space)} edges kept" + (
        f", entropy {last.entropy_fraction:.3f} of ln 2 after {last.step} steps" if last else ""
    )
    kept = "\n".join(
        f"- `{edge}`, p = {p:.3f}"
        for edge, p, keep in zip(found.space.edges, found.probability, found.kept)
        if keep
    )
    text = f"# {run.path.name}\n\n{facts}\n\n```\n{table(scores)}\n```\n\nEdges kept:\n\n{kept or 'none'}\n"
    print(table(scores), f"\n{facts}", sep="\n")
    missing = []
    try:
        (out / "summary.md").write_text(text, encoding="utf-8")
    except Exception as error:  # whatever it is, scores and weights are there
        missing.append(f"summary.md ({mistake(error)})")
    try:
        drawn = save_fusion_graph(run, out, formats=("pdf", "svg", "png"))
        pdf = next(path for path in drawn if path.suffix == ".pdf")
        print(printable(f"fusion graph: {pdf}"))
    except Exception as error:
        missing.append(f"the fusion graph ({mistake(error)})")
    if missing:
        raise RunError(
            f"{out}: the search is finished, its scores and weights are kept; what could not be written is "
            f"{' and '.join(missing)}"
        )


@contextlib.contextmanager
def _own_folder(settings) -> Iterator[Path]:
    """A new folder runs/<time>-<tasks> that no other search has; it is gone again where nothing came into it."""
    name = "-".join(settings.tasks or (Path(settings.data).stem,))
    plain = re.sub(r"[^\w.@+-]", "-", f"{time.strftime('%Y%m%d-%H%M%S')}-{name[:80]}")
    number, base = 1, Path("runs")
    while True:
        out = base / (plain if number == 1 else f"{plain}-{number}")
        new = not base.exists()
        try:
            writable(out).parent.mkdir(exist_ok=True)
            out.mkdir()
            break
        except FileExistsError:  # another search began in the same second
            number += 1
        except FileNotFoundError:  # another search took its empty `runs` away
            continue
    try:
        yield out
    finally:
        for folder in (out, base)[: 1 + new]:
            with contextlib.suppress(OSError):  # what holds something stays
                folder.rmdir()
