"""`mtlnas-lab …`: the main job and what belongs to it, from a terminal."""
from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from tyro.conf import Positional

from .console import Progress, interruptible, table
from .errors import ConfigError, LabError


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
    released_config: Path | None = None,
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
        data: `rooms`, or the path of a pack (.npz).
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
        released_config: A YAML file of the released implementation, whose settings to use.
    """
    from . import experiment as work
    from .runs import Run

    if resume:
        if out is None:
            raise ConfigError("--resume needs --out, the run folder to go on with")
        settings = None                                      # those of the folder
        turn = {name: value for name, value in (("entropy_weight", entropy_weight), ("weight_lr", weight_lr)) if value is not None}
    else:
        turn = None
        chosen = _experiment(preset, data, eval_data, tasks, entropy_weight, steps, pretrain_steps, seed, baselines,
                             checkpoint_every, device, threads, released_config)
        every = evaluate_every if evaluate_every is not None else max(1, chosen.search.steps // 10)
        changes = {"evaluate_every": every} | ({} if weight_lr is None else {"weight_lr": weight_lr})
        settings = replace(chosen, search=replace(chosen.search, **changes))
        out = out or _new_folder(settings)
    with interruptible() as stopped, Progress(stopped) as progress:
        work.run(settings, out, resume, progress, turn)
    _finish(Run.open(out), out)


def _experiment(preset, data, eval_data, tasks, entropy_weight, steps, pretrain_steps, seed, baselines, checkpoint_every,
                device, threads, released_config):
    from .experiment import Experiment

    settings = {"name": preset, "data": data, "seed": seed, "steps": steps, "pretrain_steps": pretrain_steps,
                "entropy_weight": entropy_weight, "eval_data": eval_data, "tasks": tuple(filter(None, tasks.split(","))),
                "baselines": () if baselines == "none" else tuple(baselines.split(",")),
                "checkpoint_every": checkpoint_every, "device": device} | ({} if threads is None else {"threads": threads})
    if checkpoint_every < 1:
        raise ConfigError(f"--checkpoint-every {checkpoint_every}: give 1 or more")
    return Experiment.of(**settings) if released_config is None else Experiment.released(released_config, **settings)


def evaluate(run: Positional[Path], eval_data: str | None = None, device: str = "auto") -> None:
    """Score a searched network again: soft gates, hard gates, hard gates with recalibrated batch norm.

    Args:
        run: A run folder, or a checkpoint (.pth) of the released implementation (then --eval-data must name a pack).
        eval_data: Another pack to score on.
        device: auto, cpu, cuda or mps.
    """
    from . import experiment as work

    if run.suffix == ".pth":
        from .official import load_checkpoint, scores
        print(table(scores(load_checkpoint(run), eval_data)))
        return
    lab, architecture = work.reopen(run, eval_data, device)
    print(table(work.final_scores(lab, architecture)))


def figure(run: Positional[Path], format: str = "pdf,svg,png", out: Path | None = None, style: str = "paper-single") -> None:
    """Draw the fusion graph of a run, print-ready.

    Args:
        run: A run folder, an architecture.json, or a checkpoint (.pth) of the released implementation.
        format: Any of pdf, svg, png, tikz, html, as in pdf,tikz.
        out: Where to write; otherwise the run folder itself.
        style: paper-single, paper-double, slide, poster, web-light, web-dark.
    """
    from .architecture import Architecture
    from .runs import Run
    from .viz.export import save_fusion_graph

    if run.suffix == ".pth":
        from .official import load_checkpoint
        drawn, out = load_checkpoint(run).derive(), out or Path(".")
    elif run.suffix == ".json":
        from .files import parse_object, read
        drawn, out = Architecture.from_json(parse_object(read(run, 2**24))), out or run.parent
    else:
        drawn, out = Run.open(run), out or run
    for path in save_fusion_graph(drawn, out, formats=tuple(format.split(",")), style=style):
        print(path)


def replay(run: Positional[Path], html: Path | None = None) -> None:
    """Write a recorded run as one HTML page, to be watched without a kernel and without a network.

    Args:
        run: A run folder.
        html: The file to write; otherwise replay.html in the run folder.
    """
    from .runs import Run
    from .widgets import replay_html

    html = html or run / "replay.html"
    html.write_text(replay_html(Run.open(run)), encoding="utf-8")
    print(html)


def make_rooms(out: Path = Path("data_samples/rooms.npz"), seed: int = 0) -> None:
    """Make the shipped rooms again (train, val, test): the same bytes on the same machine."""
    from .samples import make_rooms as make

    print(make(out, seed))


def make_backbones(out: Path = Path("data_samples/backbones"), steps: int = 1500, seed: int = 0) -> None:
    """Make the shipped single-task backbones of the rooms again (renders the rooms to train on; some minutes)."""
    from .samples import make_backbones as make

    for path in make(out, steps, seed):
        print(path)


def make_runs(out: Path = Path("data_samples/runs"), seed: int = 0) -> None:
    """Record the two shipped searches of the rooms again, with the entropy term and without (some minutes each)."""
    from .runs import Run
    from .samples import make_runs as make

    with interruptible() as stopped, Progress(stopped) as progress:
        for path in make(out, seed, progress):
            _finish(Run.open(path), path)
            (path / "fusion_graph.png").unlink()                 # the others are smaller, and enough


def import_nyuv2(mat: Positional[Path], out: Positional[Path], height: int = 96, width: int = 128, classes: Path | None = None) -> None:
    """Make a pack from nyu_depth_v2_labeled.mat, as the data set's authors publish it (needs the extra `nyuv2`).

    Args:
        mat: The published file (HDF5 inside).
        out: The pack to write (.npz).
        height: Pixels.
        width: Pixels.
        classes: A mapping of the file's label names to 13 or 40 classes; without it its most frequent names are used.
    """
    from .nyuv2 import import_nyuv2 as make

    print(make(mat, out, (height, width), classes=classes))


def show(data: Positional[str] = "rooms") -> None:
    """Say what a pack holds: images, tasks, classes."""
    from .presets import load_data

    for split, pack in load_data(data).items():
        print(f"{split}: {len(pack)} images of {pack.images.shape[-2]} × {pack.images.shape[-1]}; tasks: {', '.join(pack.tasks)}")
    for task, labels in pack.labels.items():
        print(f"  {task}: {len(labels)} classes: {', '.join(labels)}")


def doctor() -> None:
    """Check versions, device, widgets, torchvision, write access; say what to do."""
    from .doctor import checks, report

    found = checks()
    print(report(found))
    if not all(check.ok for check in found):
        raise SystemExit(1)


def progress(reset: bool = False) -> None:
    """Which exercises of the notebooks are solved.

    Args:
        reset: Forget them all, and the guesses.
    """
    from .exercises import progress as kept

    if reset:
        kept.reset()
    print(kept.summary())


# --- what the commands share ------------------------------------------------------------------------------------------
def _finish(run, out: Path) -> None:
    """Summary, figure, and the last lines that a user reads."""
    from .architecture import Architecture
    from .viz.export import save_fusion_graph

    found, scores = Architecture.from_json(run.read_json("architecture.json")), run.scores()
    last = run.log.steps[-1] if run.log.steps else None
    facts = f"{len(found)} of {len(found.space)} edges kept" + (
        f", entropy {last.entropy_fraction:.3f} of ln 2 after {last.step} steps" if last else "")
    kept = "\n".join(f"- `{edge}`, p = {p:.3f}" for edge, p, keep in zip(found.space.edges, found.probability, found.kept) if keep)
    (out / "summary.md").write_text(f"# {run.path.name}\n\n{facts}\n\n```\n{table(scores)}\n```\n\nEdges kept:\n\n{kept or 'none'}\n", encoding="utf-8")
    drawn = save_fusion_graph(run, out, formats=("pdf", "svg", "png"))
    print(table(scores), f"\n{facts}\nfusion graph: {next(path for path in drawn if path.suffix == '.pdf')}", sep="\n")


def _new_folder(settings) -> Path:
    import time

    tasks = settings.tasks or (settings.data if settings.data == "rooms" else Path(settings.data).stem,)
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{'-'.join(tasks)}"


def data() -> None:
    """Look at packs and make them: show, make-rooms, make-backbones, make-runs, import-nyuv2."""
    raise SystemExit(_call(["--help"], DATA, "mtlnas-lab data"))


COMMANDS = {"search": search, "evaluate": evaluate, "figure": figure, "replay": replay, "data": data, "progress": progress,
            "doctor": doctor}
DATA = {"show": show, "make-rooms": make_rooms, "make-backbones": make_backbones, "make-runs": make_runs, "import-nyuv2": import_nyuv2}


def _call(arguments: list[str], commands: dict, name: str) -> None:
    from tyro.extras import subcommand_cli_from_dict

    if arguments[:1] == ["data"] and commands is COMMANDS and len(arguments) > 1:
        return _call(arguments[1:], DATA, f"{name} data")
    subcommand_cli_from_dict(commands, prog=name, args=arguments, description=main.__doc__)


def main(arguments: list[str] | None = None) -> None:
    """Neural architecture search for multi-task learning, to understand and to use (unofficial MTL-NAS)."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")      # before torch: busy neighbours then cost little
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    try:
        _call(sys.argv[1:] if arguments is None else arguments, COMMANDS, "mtlnas-lab")
    except LabError as error:                                # a user's mistake is one line and no traceback
        print(f"mtlnas-lab: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("\nmtlnas-lab: stopped; go on with --resume and the same --out", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:                                  # … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
