"""`mtlnas-lab search`: the main job."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from ..console import Progress, interruptible, table
from ..errors import ConfigError


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
            knobs from here on.
        baselines: What to compare with, as in single_task,random_graph,all_edges; `none` for none.
        evaluate_every: Steps between evaluations on the validation images; otherwise a tenth of the search.
        checkpoint_every: Steps between checkpoints.
        device: auto, cpu, cuda or mps.
        threads: CPU threads; otherwise one less than the machine has cores.
        backbone: vgg16, resnet18, resnet50, vit, mobilenet_v3 or convnext_tiny, for all tasks or as in
            segmentation=vgg16,normals=resnet18; narrow in the preset tiny, of full width in vgg16.
        weights: A file of torchvision's weights for such a backbone, for all tasks or as in segmentation=a.pth,normals=b.pth.
        fusion: nddr, residual or cross_stitch; otherwise the preset's, or residual where a backbone's maps may be negative.
        released_config: A YAML file of the released implementation, whose settings to use.
        graph: A run folder or an architecture.json, found with other backbones or tasks: its edges are carried over, and
            nothing is searched; --steps 0 evaluates at once, more steps train the networks under it.
        precision: float32, bf16, or auto: what three steps of each say, kept in config.json. Pretraining has it, too.
        compile: A backend of torch.compile, as in inductor: it takes a minute first, and pays after some 1,000 steps.
        batch_size: Images in a batch, in pretraining too; a step of the search takes two batches, one after the other.
        tensorboard: Also write TensorBoard events, into `tensorboard` in the run folder (extra `tensorboard`).
    """
    from .. import experiment as work
    from ..runs import Run

    if resume:
        if out is None:
            raise ConfigError("--resume needs --out, the run folder to go on with")
        settings = None  # those of the folder
        turn = {
            name: value
            for name, value in (("entropy_weight", entropy_weight), ("weight_lr", weight_lr))
            if value is not None
        }
    else:
        turn = None
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
        )
        out = out or _new_folder(settings)
    together = _together(device)
    out = together.agree(out)  # its name holds the time
    with interruptible() as stopped, Progress(stopped, silent=not together.leads) as progress:
        work.run(
            settings,
            out,
            resume,
            _also(progress, out / "tensorboard") if tensorboard and together.leads else progress,
            turn,
            tell=lambda text: print(text, file=sys.stderr),
            together=together,
        )
    if together.leads:
        finish(Run.open(out), out)


def _also(progress, folder: Path):
    """The progress bar, and a board that listens beside it."""
    from ..boards import Board

    board = Board(folder)

    def listen(*what) -> None:
        board(*what)
        progress(*what)

    return listen


def _carried(graph: Path) -> dict:
    """The architecture to carry over."""
    from ..architecture import Architecture
    from ..files import read_json

    return Architecture.from_json(
        read_json(graph / "architecture.json" if graph.is_dir() else graph)
    ).to_json()


def _together(device: str):
    """The processes that torchrun started, or this one alone."""
    from ..together import ALONE

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    from ..scale import Together

    return Together(device)


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
    from ..experiment import Experiment

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
        Experiment.of(**settings)
        if released_config is None
        else Experiment.released(released_config, **settings)
    )


def _files(text: str) -> dict[str, str]:
    """{task: file} of task=file,task=file; {"*": file} of one file for all tasks."""
    if "=" not in text:
        return {"*": text} if text else {}
    return {
        task: path for task, _, path in (part.strip().partition("=") for part in text.split(","))
    }


def finish(run, out: Path) -> None:
    """Summary, figure, and the last lines that a user reads."""
    from ..architecture import Architecture
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
    (out / "summary.md").write_text(
        f"# {run.path.name}\n\n{facts}\n\n```\n{table(scores)}\n```\n\nEdges kept:\n\n{kept or 'none'}\n",
        encoding="utf-8",
    )
    drawn = save_fusion_graph(run, out, formats=("pdf", "svg", "png"))
    print(
        table(scores),
        f"\n{facts}\nfusion graph: {next(path for path in drawn if path.suffix == '.pdf')}",
        sep="\n",
    )


def _new_folder(settings) -> Path:
    import time

    tasks = settings.tasks or (
        settings.data if settings.data == "rooms" else Path(settings.data).stem,
    )
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{'-'.join(tasks)}"
