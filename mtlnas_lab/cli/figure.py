"""`mtlnas-lab figure` and `mtlnas-lab explain`: pictures of one run or of hundreds, and an architecture in words."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace as changed
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from ..errors import ConfigError, MTLNASError, RunError
from ..one_line import printable
from .progress import Progress, interruptible

CURVES = ("entropy", "gates", "losses", "scores", "gap", "collapse")


Kind = Literal[
    "graph",
    "heat",
    "graph-and-heat",
    "film",
    "gif",
    "mp4",
    "overview",
    "curves",
    "entropy",
    "gates",
    "losses",
    "scores",
    "gap",
    "collapse",
    "consensus",
    "difference",
    "multiples",
]


LONGEST = 160  # bytes of the part of a file's name that says which run it is of


TOGETHER = ("consensus", "difference", "multiples")  # one picture of all runs


STYLES = {
    **dict.fromkeys(("graph-and-heat", "film", "multiples"), "paper-double"),
    **dict.fromkeys(("overview", "gif", "mp4"), "web-light"),
}  # the others: paper-single


def figure(
    runs: Positional[tuple[str, ...]],
    kind: Kind = "graph",
    format: str = "pdf,svg,png",
    style: str | None = None,
    out: Path | None = None,
    title: str | None = None,
    width: float | None = None,
    dropped: Literal["faint", "hide"] = "faint",
    labels: Literal["stage", "channels", "none"] = "stage",
    color: Literal["probability", "source"] = "probability",
    threshold: float = 0.0,
    split: bool = False,
    layout: Path | None = None,
    step: int | None = None,
) -> None:
    """Draw runs, print-ready: fusion graphs, tables, curves, films; one picture for each run, or one of them all.

        mtlnas-lab figure runs/demo --format pdf,tikz
        mtlnas-lab figure runs 'more/seed-*' --kind curves --style slide --out figures     # hundreds of runs
        mtlnas-lab figure runs/a runs/b --kind difference --out figures

    A run that cannot be drawn is one line and stops nothing; the command then ends with exit code 1.

    Args:
        runs: Run folders, folders of run folders, patterns such as 'runs/*', architecture.json files, or checkpoints
            (.pth) of the released implementation.
        kind: What to draw. For each run: graph, heat (the gates as a table), graph-and-heat, film (the graph along the
            search), gif or mp4 (the same, moving), overview (all of it on one page), entropy, gates, losses, scores,
            gap, collapse, or curves for all six. Of all runs together: consensus, difference (of two), multiples.
        format: Any of pdf, svg, png, and tikz and html of single graphs, as in pdf,tikz.
        style: paper-single, paper-double, slide, poster, web-light, web-dark; otherwise one that suits the kind.
        out: Where to write, all files side by side; otherwise into each run folder, or here for pictures of all runs.
        title: Above a picture of a graph or a curve.
        width: In mm; otherwise that of the style.
        dropped: Of graphs: dropped edges faint, or hidden.
        labels: Of graphs: what nodes say.
        color: Of graphs: what the colour of an edge says; its probability, or the task it comes from.
        threshold: Of graphs: edges with a smaller σ(α) are left out.
        split: Of graphs: each node as features and fused features, without cycles.
        layout: Of graphs: a JSON file of where nodes stand, as the figure studio saves it.
        step: Of graphs and heat: as it was after this step of the search.
    """
    from ..viz import style as style_named
    from ..viz.export import check_formats
    from ..viz.graph.figure import check_title, read_layout
    from ..viz.style import in_range

    formats = check_formats([name.strip() for name in format.split(",")])
    page = style_named(style or STYLES.get(kind, "paper-single"))
    if width is not None:
        page = changed(page, width=width)
    check_title(title)
    in_range("threshold is a probability and not", threshold, 0, 1)
    found = expand(runs)
    look = {"style": page, "title": title}
    graph = {
        "dropped": dropped,
        "labels": labels if labels != "none" else None,
        "color": color,
        "threshold": threshold,
        "width": width,
        "layout": read_layout(layout),
    }
    with _noticed():
        _draw(found, kind, formats, look, graph, split, step, out)


def _draw(found, kind, formats, look, graph, split, step, out) -> None:
    """The pictures of the runs that were found; prints the files."""
    if kind in TOGETHER:
        _draw_together(found, kind, formats, {**look, **graph}, split, step, out or Path("."))
        return

    def draw(source, folder, prefix):
        return _each(source, kind, folder, prefix, formats, look, graph, split, step)

    if len(found) == 1:
        source = _open(found[0])
        home = out or _home(found[0])
        _ready(home / kind, formats)
        _print(draw(source, home, ""))
        return
    if out:
        _ready(out / kind, formats)
    _draw_each(found, kind, out, draw)


def _draw_together(found, kind, formats, look, split, step, out: Path) -> None:
    """One picture of all runs; ends with exit code 1 where some of them could not be read."""
    _ready(out / kind, formats)
    sources, facts = _readable(found, step)
    made = _together(kind, sources, look, split)
    _print(_save(made, out / kind, formats, facts))
    if len(sources) < len(found):
        raise SystemExit(1)


def _draw_each(found: Sequence[Path], kind: str, out: Path | None, draw: Callable) -> None:
    """A picture for each run; one that cannot be drawn is a line. Ends with exit code 1 where there was one."""
    names = unique(found)
    homes = [out or _home(path) for path in found]
    done = failed = files = 0
    with interruptible() as stopped, Progress(stopped) as progress:
        try:
            for path, home in progress.through(kind, list(zip(found, homes)), "run"):
                prefix = ""
                if homes.count(home) > 1:
                    prefix = f"{names[path]}-"
                try:
                    files += len(draw(_open(path), home, prefix))
                    done += 1
                except Exception as error:  # one damaged run among hundreds stops nothing
                    failed += 1
                    _say(path, error)
        except KeyboardInterrupt:
            failed = len(found) - done
    line = (
        f"{done} of {len(found)} runs drawn, {files} files in {printable(out or 'their folders')}"
    )
    if failed:
        line = f"{line}; {failed} failed or were not reached"
    print(line)
    if stopped and failed:
        raise SystemExit(128 + stopped[0])
    if failed:
        raise SystemExit(1)


def explain(
    run: Positional[Path],
    out: Path | None = None,
    eval_data: str | None = None,
    device: str = "auto",
    every: bool = False,
    data: str | None = None,
) -> None:
    """Say what each kept edge is worth: take it away and score again; how many operations it costs.

    Leaves ablation.json (all numbers), explained.md (table and sentences) and explained.tex (a booktabs table). One
    evaluation on the test images for each kept edge, under hard gates, nothing retrained.

        mtlnas-lab explain runs/demo
        mtlnas-lab explain runs/demo --eval-data test.npz --every --out explained

    Args:
        run: A finished run folder.
        out: Where to write; otherwise the run folder itself.
        eval_data: Another pack to score on.
        device: auto, cpu, cuda or mps.
        every: Every metric of each task in table and sentences, not only the first.
        data: Where the run's data lie now, if they were moved; other data are refused.
    """
    from ..analysis.edge_importance import BATCH, ablate, edge_costs
    from ..analysis.edge_table import explain as rows_of
    from ..analysis.edge_table import to_latex, to_markdown
    from ..core.evaluate import evaluate
    from ..data.loader import sequential
    from ..experiments.pipeline import reopen
    from ..storage.jsonl import to_jsonable
    from ..storage.safe_files import replace
    from ..viz import provenance
    from ..viz.export import make_folder

    out = out or run
    _ready(out / "explained", ("md", "tex"))  # before an hour of evaluations
    lab, architecture = reopen(run, eval_data, device, data)
    split = "val"
    if lab.data.get("test"):
        split = "test"
    pack = lab.data[split]

    def batches():
        return lab.seen(sequential(pack, lab.targets, BATCH))

    image, _ = next(sequential(pack, (), 1))
    count = len(architecture) * math.ceil(len(pack) / BATCH)
    with interruptible() as stopped, Progress(stopped) as progress:
        ablations = ablate(
            lab,
            architecture,
            batches,
            lambda passes: progress.through("edges × batches", passes, "pass", count),
        )
    costs = edge_costs(lab, architecture, image)
    record = {
        "meaning": "score without the edge minus score with it: shares from 0 to 1, degrees, metres",
        "provenance": provenance(run),
        "images": len(pack),
        "split": split,
        "operations": costs,
        "ablations": ablations,
        "scores": evaluate(lab.supernet, architecture.kept, lab.tasks, batches()),
    }
    rows = rows_of(architecture, ablations, costs, every=every)
    make_folder(out)
    texts = {
        "ablation.json": json.dumps(to_jsonable(record), indent=1, allow_nan=False) + "\n",
        "explained.md": to_markdown(rows),
        "explained.tex": to_latex(rows),
    }
    for name, text in texts.items():  # each whole or not at all
        replace(out / name, text.encode())
    _print([*(row.sentence for row in rows), *(out / name for name in texts)])


# --- what a terminal shows --------------------------------------------------------------------------------------------
def _print(lines) -> None:
    print(*map(printable, lines), sep="\n")


@contextmanager
def _noticed() -> Iterator[None]:
    """Says after all work, a line each, what pictures show otherwise than told: cut texts, letters without a font."""
    from ..viz.style import PictureWarning, noting

    with warnings.catch_warnings(), noting() as notes:
        warnings.simplefilter("ignore", PictureWarning)
        try:
            yield
        finally:
            for line in notes.lines():
                if len(line) > 500:
                    line = f"{line[:499]}…"
                print(f"mtlnas-lab: note: {printable(line)}", file=sys.stderr)


def _ready(path: Path, formats: Sequence[str]) -> None:
    """Raises RunError where nothing can be written there, before there is work."""
    from ..viz.export import ready

    try:
        ready(path, formats)
    except RunError as error:
        raise RunError(str(error), hint="out=FOLDER") from None


# --- which runs -------------------------------------------------------------------------------------------------------
def expand(patterns: Sequence[str]) -> list[Path]:
    """The runs that are meant, each once: folders of runs and patterns become what they hold.

    What holds no run stays as it is; opening it says why.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        try:
            _expand(pattern, found)
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"{pattern[:200]}: {reason}; give run folders") from None
    if not found:
        raise ConfigError("give at least one run folder, as in: mtlnas-lab figure runs/demo")
    return list(found.values())


def _expand(pattern: str, found: dict[str, Path]) -> None:
    """Adds the runs that a pattern means, by their real paths."""
    matches: list[str] = []
    if not os.path.lexists(
        pattern
    ):  # what is there is meant as it stands, though it have a * in it
        matches = sorted(glob.glob(pattern, recursive=True))
    fitting = []
    for path in map(Path, matches):
        if path.is_dir() or path.suffix in (".json", ".pth"):
            fitting.append(path)
    for path in fitting or [Path(pattern)]:
        for run in list(_runs(path)) or [Path(pattern)]:
            found.setdefault(os.path.realpath(run), run)


def _runs(path: Path) -> Iterator[Path]:
    """The run folders at `path` or below; what lies inside a run (its pretraining, its baselines) belongs to it."""
    if _is_run(path) or not path.is_dir():
        yield path
        return
    for below in sorted(path.iterdir()):
        # a link to a folder may lead back to one above
        if below.is_dir() and (_is_run(below) or not below.is_symlink()):
            yield from _runs(below)


def _is_run(path: Path) -> bool:
    return (path / "events.jsonl").exists()


def unique(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each path that no other has, also where case does not count: its parts below what all share."""
    whole = {path: Path(os.path.realpath(path)).parts for path in paths}
    names: dict[Path, str] = {}
    taken: set[str] = set()
    # What all paths share tells no run from another.
    shared = len(os.path.commonprefix([parts[:-1] for parts in whole.values()]))
    for path, parts in whole.items():
        name = stem = _short("-".join(parts[shared:]), path)
        count = 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-{count}"
        names[path] = name
        taken.add(name.casefold())
    return names


def _short(name: str, path: Path) -> str:
    """A name without the ending of a file; what would leave no room in a file's name is cut, with a hash for the rest."""
    if path.is_file():
        name = name.removesuffix(path.suffix)
    data = os.fsencode(name)
    if len(data) <= LONGEST:
        return name
    start = data[:LONGEST].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(data).hexdigest()[:8]}"


def _open(path: Path):
    """What is drawn: a run, an architecture (.json), or what a released checkpoint (.pth) derives to."""
    from ..core.architecture import Architecture
    from ..runs.run import Run

    if path.suffix == ".pth":
        from ..models.released import load_checkpoint

        return load_checkpoint(path).derive()
    if path.suffix == ".json":
        from ..storage.jsonl import read_json

        return Architecture.from_json(read_json(path))
    return Run.open(path)


def _home(path: Path) -> Path:
    """Where the pictures of one source go: beside it, but for a checkpoint, which may lie in a folder of downloads."""
    if path.suffix == ".pth":
        return Path(".")
    if path.suffix == ".json":
        return path.parent
    return path


# --- the pictures -----------------------------------------------------------------------------------------------------
def _each(
    source,
    kind: str,
    out: Path,
    prefix: str,
    formats,
    look: dict,
    graph: dict,
    split: bool,
    step: int | None,
) -> list[Path]:
    """The pictures of one source, in `out`; returns their files."""
    from .. import viz

    from_step = _at(step)
    facts = viz.provenance(source, **from_step)  # a printed figure must say which run it is of
    if kind == "graph":
        name = f"{prefix}fusion_graph"
        return viz.save_fusion_graph(
            source, out, formats, name=name, split=split, **from_step, **look, **graph
        )
    if kind in ("gif", "mp4"):
        return [viz.animate(source, out / f"{prefix}film.{kind}", style=look["style"], **graph)]
    if kind in ("curves", *CURVES):
        made = _curves(source, kind, look)
    else:
        made = {kind.replace("-", "_"): _one_figure(source, kind, from_step, look, graph)}
    files = []
    for name, one in made.items():
        files += _save(one, out / f"{prefix}{name}", formats, facts)
    return files


def _at(step: int | None) -> dict[str, int]:
    """As a plot function's arguments: nothing for the end of the run, which is its default."""
    if step is None:
        return {}
    return {"step": step}


def _curves(source, kind: str, look: dict) -> dict[str, object]:
    """{name: axes} of one curve, or of all that the log has numbers for."""
    from .. import viz

    log = getattr(source, "log", source)
    names = [kind]
    if kind == "curves":
        names = [name for name in CURVES if _can_draw(log, name)]
    return {name: getattr(viz, f"plot_{name}")(source, **look) for name in names}


def _one_figure(source, kind: str, from_step: dict, look: dict, graph: dict):
    from .. import viz

    if kind == "heat":
        return viz.plot_heatmap(source, **from_step, **look)
    if kind == "graph-and-heat":
        return viz.side_by_side(source, **look)
    if kind == "film":
        return viz.filmstrip(source, style=look["style"], **graph)
    return viz.overview(source, **look)


def _can_draw(log, curve: str) -> bool:
    """Whether the log has what a curve needs; one that has nothing at all is left to the curve to complain about."""
    if not getattr(log, "steps", None) or curve == "losses":
        return True
    if curve in ("scores", "gap"):
        return bool(log.evaluated)
    return bool(log.alpha.shape[1])


def _readable(paths: Sequence[Path], step: int | None) -> tuple[dict[str, object], dict]:
    """({name: source} of those that have a graph, as it was after `step`, where they come from); the others: a line."""
    from ..viz import provenance
    from ..viz.sources import read_source, until

    found = {}
    runs = []
    for path, name in unique(paths).items():
        try:
            source = _open(path)
            facts = {**provenance(source), "run": name, **_at(step)}
            if step is not None:
                source = until(getattr(source, "log", source), step)
            read_source(source)
            found[name] = source
            runs.append(facts)
        except MTLNASError as error:
            _say(path, error)
    return found, provenance(runs=runs)


def _together(kind: str, sources: dict[str, object], look: dict, split: bool):
    """One picture of all sources."""
    from .. import viz

    if kind == "difference" and len(sources) != 2:
        raise ConfigError(
            f"a difference is of two runs, and there are {len(sources)}; give two run folders"
        )
    title = look.pop("title")
    all_of_them = list(sources.values())
    if kind == "multiples":
        return viz.small_multiples(sources, **look)
    if kind == "difference":
        graph = viz.difference_graph(*all_of_them, tuple(sources), split=split)
    else:
        graph = viz.consensus_graph(all_of_them, split=split)
        if title is None and "stability" in graph.graph:
            title = f"{len(sources)} runs, stability {graph.graph['stability']:.2f}"
    return viz.GraphFigure(graph, title=title, **look)


def _save(made, path: Path, formats: Sequence[str], facts: dict) -> list[Path]:
    from ..viz import save_figure

    return save_figure(made, path, formats, facts)


def _say(path: Path, error: Exception) -> None:
    from tqdm import tqdm

    line = f"{path}: {error}"
    if not isinstance(error, MTLNASError):
        line = f"{path}: {type(error).__name__}: {error}"
    tqdm.write(printable(" ".join(line.splitlines())), file=sys.stderr)
