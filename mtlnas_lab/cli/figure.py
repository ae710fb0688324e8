"""`mtlnas-lab figure` and `mtlnas-lab explain`: pictures of one run or of hundreds, and an architecture in words."""

from __future__ import annotations

import glob
import hashlib
import json
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
    found, look = expand(runs), {"style": page, "title": title}
    graph = {
        "dropped": dropped,
        "labels": None if labels == "none" else labels,
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
        _ready((out or Path(".")) / kind, formats)
        sources, facts = _readable(found, step)
        made = _together(kind, sources, {**look, **graph}, split)
        _print(_save(made, (out or Path(".")) / kind, formats, facts))
        if len(sources) < len(found):
            raise SystemExit(1)
        return

    def draw(source, folder, prefix):
        return _each(source, kind, folder, prefix, formats, look, graph, split, step)

    if len(found) == 1:
        source, home = _open(found[0]), out or _home(found[0])
        _ready(home / kind, formats)
        return _print(draw(source, home, ""))
    if out:
        _ready(out / kind, formats)
    names, homes, done, failed, files = (
        unique(found),
        [out or _home(path) for path in found],
        0,
        0,
        0,
    )
    with interruptible() as stopped, Progress(stopped) as progress:
        try:
            for path, home in progress.through(kind, list(zip(found, homes)), "run"):
                try:
                    files += len(
                        draw(_open(path), home, f"{names[path]}-" * (homes.count(home) > 1))
                    )
                    done += 1
                except Exception as error:  # one damaged run among hundreds
                    failed += 1
                    _say(path, error)
        except KeyboardInterrupt:
            failed += len(found) - done - failed
    print(
        f"{done} of {len(found)} runs drawn, {files} files in {printable(out or 'their folders')}"
        + f"; {failed} failed or were not reached" * bool(failed)
    )
    if failed:
        raise SystemExit(128 + stopped[0] if stopped else 1)


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

    Args:
        run: A finished run folder.
        out: Where to write; otherwise the run folder itself.
        eval_data: Another pack to score on.
        device: auto, cpu, cuda or mps.
        every: Every metric of each task in table and sentences, not only the first.
        data: Where the run's data lie now, if they were moved; other data are refused.
    """
    from ..analysis.edge_importance import ablate, edge_costs
    from ..analysis.edge_table import explain as rows_of
    from ..analysis.edge_table import to_latex, to_markdown
    from ..core.evaluate import evaluate
    from ..data.loader import sequential
    from ..experiments.pipeline import reopen
    from ..storage.jsonl import to_jsonable
    from ..storage.safe_files import replace
    from ..viz import provenance
    from ..viz.export import make_folder

    _ready((out or run) / "explained", ("md", "tex"))
    lab, architecture = reopen(run, eval_data, device, data)
    split = "test" if lab.data.get("test") else "val"
    pack, out = lab.data[split], out or run
    batches = lambda: sequential(pack, tuple(lab.tasks), 32)  # noqa: E731
    image, _ = next(iter(batches()))
    with interruptible() as stopped, Progress(stopped) as progress:
        ablations = ablate(
            lab, architecture, batches, lambda edges: progress.through("edges", edges, "edge")
        )
    costs = edge_costs(lab, architecture, image[:1])
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
    for name, text in texts.items():
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
                line = line if len(line) <= 500 else f"{line[:499]}…"
                print(f"mtlnas-lab: note: {printable(line)}", file=sys.stderr)


def _ready(path: Path, formats: Sequence[str]) -> None:
    """Raises RunError where nothing can be written there, before there is work."""
    from ..viz.export import ready

    try:
        ready(path, formats)
    except RunError as error:
        raise RunError(f"{error} (--out FOLDER)") from None


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
    matches = [] if os.path.lexists(pattern) else sorted(glob.glob(pattern, recursive=True))
    fitting = [
        path for path in map(Path, matches) if path.is_dir() or path.suffix in (".json", ".pth")
    ]
    for path in fitting or [Path(pattern)]:
        for run in list(_runs(path)) or [Path(pattern)]:
            found.setdefault(os.path.realpath(run), run)


def _runs(path: Path) -> Iterator[Path]:
    """The run folders at `path` or below; what lies inside a run (its pretraining, its baselines) belongs to it."""
    is_run = (path / "events.jsonl").exists()
    if is_run or not path.is_dir():
        yield path
    for below in sorted(path.iterdir()) if path.is_dir() and not is_run else ():
        if below.is_dir() and ((below / "events.jsonl").exists() or not below.is_symlink()):
            yield from _runs(below)


def unique(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each path that no other has, also where case does not count: its parts below what all share."""
    whole, names, taken = {path: Path(os.path.realpath(path)).parts for path in paths}, {}, set()
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
    name = name.removesuffix(path.suffix if path.is_file() else "")
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
    return Path(".") if path.suffix == ".pth" else path.parent if path.suffix == ".json" else path


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

    more = {} if step is None else {"step": step}
    facts = viz.provenance(source, **more)
    if kind == "graph":
        name = f"{prefix}fusion_graph"
        return viz.save_fusion_graph(
            source, out, formats, name=name, split=split, **more, **look, **graph
        )
    if kind in ("gif", "mp4"):
        return [viz.animate(source, out / f"{prefix}film.{kind}", style=look["style"], **graph)]
    if kind in ("curves", *CURVES):
        log = source.log if hasattr(source, "log") else source
        there = [name for name in CURVES if _can_draw(log, name)] if kind == "curves" else [kind]
        made = {name: getattr(viz, f"plot_{name}")(source, **look) for name in there}
    else:
        make: Callable = {
            "heat": lambda: viz.plot_heatmap(source, **more, **look),
            "graph-and-heat": lambda: viz.side_by_side(source, **look),
            "film": lambda: viz.filmstrip(source, style=look["style"], **graph),
            "overview": lambda: viz.overview(source, **look),
        }[kind]
        made = {kind.replace("-", "_"): make()}
    return [
        file
        for name, one in made.items()
        for file in _save(one, out / f"{prefix}{name}", formats, facts)
    ]


def _can_draw(log, curve: str) -> bool:
    """Whether the log has what a curve needs; one that has nothing at all is left to the curve to complain about."""
    if not getattr(log, "steps", None):
        return True
    return (
        bool(log.evaluated)
        if curve in ("scores", "gap")
        else curve == "losses" or bool(log.alpha.shape[1])
    )


def _readable(paths: Sequence[Path], step: int | None) -> tuple[dict[str, object], dict]:
    """({name: source} of those that have a graph, as it was after `step`, where they come from); the others: a line."""
    from ..core.architecture import derive
    from ..viz import provenance
    from ..viz.sources import alpha_after, read_source

    found, runs = {}, []
    for path, name in unique(paths).items():
        try:
            source = _open(path)
            facts = provenance(source) | {"run": name} | ({} if step is None else {"step": step})
            if step is not None:
                log = getattr(source, "log", source)
                source = derive(log.space, alpha_after(log, step).tolist())
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
    title, all_of_them = look.pop("title"), list(sources.values())
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

    line = (
        f"{path}: {error}"
        if isinstance(error, MTLNASError)
        else f"{path}: {type(error).__name__}: {error}"
    )
    tqdm.write(printable(" ".join(line.splitlines())), file=sys.stderr)
