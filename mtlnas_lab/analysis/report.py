"""A study's report: what was asked, what came out, with every seed in sight; HTML, Markdown, LaTeX and tidy tables.

The page and its Markdown are made by the templates beside this file. A browser prints the page to PDF.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import RunError
from ..one_line import mistake, printable
from ..storage.safe_files import os_errors_as_run_errors
from ..tasks.task import HIGHER_IS_BETTER
from . import directions
from .results import COMPARED, StudyResults
from .statistics import half_interval
from .tables import booktabs, markdown_table

TEMPLATES = Path(__file__).parent / "templates"
KINDS = {
    "soft": "as searched",
    "hard": "cut to hard gates",
    "hard_recalibrated": "cut, batch norm anew",
}
CONSENSUS = 3  # rows whose graph is drawn; more make a page of graphs


def write(results: StudyResults, folder: str | Path) -> list[Path]:
    """Writes the report of a study into a folder, which is made where it is not there.

    A part that cannot be made does not cost the others: hours of runs must not be without the rest of their report.

    Returns:
        The files: report.html, report.md, tables.tex, scores.csv (and .parquet where pyarrow is installed), runs.csv,
        spaces.json, and edges.csv where runs say what their edges are worth.

    Raises:
        RunError: The folder cannot be made, or a part of the report is missing; the message names it.
    """
    folder = Path(folder)
    with os_errors_as_run_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    drawn = []
    try:
        drawn = _drawn(results)
    except Exception as error:
        failed.append(f"pictures ({mistake(error)})")

    frames = {"scores.csv": results.scores, "runs.csv": results.runs}
    if len(results.edges):
        frames["edges.csv"] = results.edges
    if find_spec("pyarrow"):  # the extra `studies` brings it; CSV says the same
        frames["scores.parquet"] = results.scores
    texts = {
        "report.html": lambda: page(results, drawn),
        "report.md": lambda: markdown(results),
        "tables.tex": lambda: latex(results),
        "spaces.json": lambda: _spaces(results),
    }
    for name in (*frames, *texts):
        try:
            if name in frames:
                _save(frames[name], folder / name)
            else:
                (folder / name).write_text(texts[name](), encoding="utf-8")
        except Exception as error:
            failed.append(f"{name} ({mistake(error)})")
    if failed:
        raise RunError(
            f"{folder}: the report lacks {'; '.join(failed)}. The runs and what else it has are there"
        )
    return [folder / name for name in (*frames, *texts)]


def _save(table, path: Path) -> None:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        # ten digits: enough to read the same sentences again, and the same on every machine
        table.to_csv(path, index=False, float_format="%.10g")


def _spaces(results: StudyResults) -> str:
    return json.dumps({row: space.to_json() for row, space in results.spaces.items()})


# --- pictures ---------------------------------------------------------------------------------------------------------
def _drawn(results: StudyResults) -> list[tuple[str, object]]:
    """`pictures`, in which names are shown as they are: a $ in one is a dollar, not the beginning of a formula."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):
        return pictures(results)


def pictures(results: StudyResults) -> list[tuple[str, object]]:
    """(caption, Figure): Δm by row, the gap, the gap over time, consensus graphs; those for which there are data."""
    from ..viz import study_plots

    made = []
    gains = results.gains
    if len(gains):
        half = {row: half_interval(values.dropna()) for row, values in gains.iterrows()}
        made.append(
            (
                "Change over single-task networks (Δm, more is better). Every dot is a seed, dots of one seed share a colour; "
                "the bar is the mean with its 95 % interval.",
                study_plots.plot_gains(gains, half, results.study.reference),
            )
        )
    if len(results.gap):
        made.append(
            (
                "The gap: what it costs to cut the gates to 0 and 1, relative to the same network as searched. Right of zero the hard "
                "network is worse.",
                study_plots.plot_cut(results.gap),
            )
        )
    over = results.scores[results.scores.step.notna()]
    if "soft" in set(over.kind):
        made.append(
            (
                "The gap while the search runs (validation pictures): what the score loses under hard gates. Above zero the hard network "
                "is worse; thin lines are seeds.",
                study_plots.plot_cut_over_time(over),
            )
        )
    if len(results.edges):
        made.append(
            (
                "What α says of a kept edge, and what the edge is worth: every dot is an edge of one seed's network.",
                study_plots.plot_worth(results.edges),
            )
        )
    if len(results.ways):
        made.insert(
            0,
            (
                "How many of the edges into a network whose eyes are covered are open, and of those out of it, by how much it "
                "sees. Every dot is a seed; the line is their mean with its 95 % interval; an edge opened by chance is open in "
                "half of the seeds.",
                study_plots.plot_ways(results.ways, directions.means(results.ways)),
            ),
        )
    for row, figure in consensus(results):
        made.append((f"How often the seeds kept each edge: {row}.", figure))
    return made


def consensus(results: StudyResults) -> list[tuple[str, object]]:
    """(row, Figure): the reference if it searched, and at most two other rows that did."""
    from ..core.architecture import Architecture
    from ..viz import consensus_graph, plot_fusion_graph

    rows = [one["row"] for one in results.overlap]
    rows.sort(key=lambda row: row != results.study.reference)  # the others keep their order
    made = []
    for row in rows[:CONSENSUS]:
        found = []
        for kept in results.runs[results.runs.row == row].kept:
            gates = tuple(digit == "1" for digit in kept)
            found.append(Architecture(results.spaces[row], gates))
        graph = plot_fusion_graph(consensus_graph(found), style="web-light")
        made.append((row, graph.figure))
    return made


def _svg(figure) -> str:
    """The <svg> element of a figure: real text, and the same bytes each time."""
    from ..viz.style import style

    stream = io.StringIO()
    with style("web-light").context():
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


# --- tables -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Table:
    """One table of the report, as text; its kind is a class of the page's style sheet."""

    title: str
    head: list[str]
    lines: list[list[str]]
    kind: str = ""


def tables(results: StudyResults) -> list[Table]:
    """The scores, and the comparisons where there are some."""
    means = results.means
    head = ["row", *(f"{task} {_with_arrow(metric)}".strip() for task, metric in means.columns)]
    lines = [[row, *map(str, values)] for row, values in zip(means.index, means.to_numpy())]
    made = [Table("Scores: mean ± standard deviation over seeds", head, lines)]
    if len(results.ways):
        title = "Where the open edges lead: mean over seeds, 95 % interval, each seed"
        made.insert(0, Table(title, directions.CELLS, directions.cells(results.ways)))
    if results.compared:
        lines = [one.cells for one in results.compared]
        made.append(Table("Comparisons, paired by seed", COMPARED, lines))
    return made


def latex(results: StudyResults) -> str:
    r"""The table of means, for \usepackage{booktabs}."""
    from ..viz.graph.svg_tikz import latex as escape

    means = results.means
    tasks = ["", *(escape(task) for task, _ in means.columns)]
    metrics = ["row", *(escape(_with_arrow(metric)) for _, metric in means.columns)]
    lines = []
    for row, values in zip(means.index, means.to_numpy()):
        cells = [str(value).replace("±", r"$\pm$") for value in values]
        lines.append([escape(row), *cells])
    return booktabs([tasks, metrics], lines, "l" + "r" * len(means.columns)) + "\n"


def _with_arrow(metric: str) -> str:
    """The metric's name and where better is; up for Δm, which is not a metric of a task."""
    if HIGHER_IS_BETTER.get(metric, True):
        return f"{metric} ↑"
    return f"{metric} ↓"


# --- text -------------------------------------------------------------------------------------------------------------
def facts(results: StudyResults) -> list[str]:
    """What it took: runs, seeds, steps, machine, versions, the command."""
    study = results.study
    runs = results.runs
    seeds = ", ".join(map(str, study.seeds))
    steps = " or ".join(str(count) for count in sorted(runs.steps.unique()))
    minutes = runs.seconds.sum() / 60
    counts = f"{len(runs)} runs of {len(study.rows)} rows, seeds {seeds}"
    said = [
        f"{counts}; {minutes:.0f} min of steps in all",
        f"every run took {steps} steps; what is not trained here (shipped or shared pretrained backbones) is the same for all "
        "rows of a seed",
        f"compared by the score `{study.kind}` ({KINDS[study.kind]}), as Δm over single-task networks of the same seed and budget",
    ]
    if not any(study.pretraining_folder(cell) for cell in study.cells()):
        said.append(
            "all seeds begin with the same shipped networks: they differ in batches, gates and drawn graphs, and so less than "
            "whole trainings would"
        )
    if any(study.searches(row) for row in study.rows):
        said.append(
            "a step of a search takes two batches, one for α and one for w; of a baseline or a given graph, one"
        )
    said += study.notes
    said += [f"made with {versions}" for versions in sorted(set(runs.made_with))]
    said.append(f"report written on {platform.machine()}, {os.cpu_count()} cores")

    # as a shell would take it, for a study's own file may be a path with spaces
    named = printable(shlex.quote(study.file or study.name))
    if study.size:
        named += f" --size {study.size}"
    said.append(
        f"command: mtlnas-lab study {named}; this report from finished runs: mtlnas-lab report {named}"
    )
    return said


def page(results: StudyResults, drawn: list[tuple[str, object]]) -> str:
    """report.html, of itself alone: it loads nothing and runs nothing.

    Args:
        results: What the study found.
        drawn: (caption, Figure), from `pictures`.
    """

    return filled("report.html.j2", pictures=as_svg(drawn), **_parts(results))


def markdown(results: StudyResults) -> str:
    """report.md: the same, without the pictures."""
    return filled("report.md.j2", **_parts(results))


def _parts(results: StudyResults) -> dict:
    """What the templates ask for, but for the pictures."""
    return {
        "study": results.study,
        "sentences": results.sentences,
        "tables": tables(results),
        "facts": facts(results),
    }


def as_svg(drawn: list[tuple[str, object]]) -> list[tuple[str, object]]:
    """(caption, SVG) of each (caption, Figure), for a template: the one thing that is not escaped there, for it is the
    lab's own, in which names are escaped already."""
    from markupsafe import Markup

    return [(caption, Markup(_svg(figure))) for caption, figure in drawn]


def filled(template: str, **parts: object) -> str:
    """A template of this folder's with its parts: study (with name and question), sentences, tables (`Table`), facts, and
    for a page pictures (of `as_svg`)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.j2"]),  # Markdown has other letters to escape
        undefined=StrictUndefined,  # a misspelt name is an error, not an empty place
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["markdown"] = _markdown
    return environment.get_template(template).render(**parts)


def _markdown(table: Table) -> str:
    lines = [_plain(line) for line in table.lines]
    return markdown_table(_plain(table.head), lines)


def _plain(cells: list[str]) -> list[str]:
    """Cells in which a | does not end the cell."""
    return [cell.replace("|", r"\|") for cell in cells]
