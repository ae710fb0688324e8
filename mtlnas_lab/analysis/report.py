"""A study's report: what was asked, what came out, with every seed in sight; HTML, PDF, Markdown, LaTeX and tidy tables."""

from __future__ import annotations

import html
import io
import json
import os
import platform
import shlex
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from ..errors import RunError
from ..one_line import mistake, printable
from ..storage.safe_files import os_errors_as_run_errors
from ..tasks.task import HIGHER_IS_BETTER
from .results import COMPARED, StudyResults
from .statistics import half_interval

KINDS = {
    "soft": "as searched",
    "hard": "cut to hard gates",
    "hard_recalibrated": "cut, batch norm anew",
}


def write(findings: StudyResults, folder: str | Path) -> list[Path]:
    """report.html, report.pdf, report.md, tables.tex, scores.csv (and .parquet where pyarrow is installed), runs.csv, spaces.json, and
    edges.csv where runs say what their edges are worth."""
    folder, failed = Path(folder), []
    with os_errors_as_run_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _plain_text():
        figures = _tried("pictures", lambda: pictures(findings), failed) or []

    def text(make: Callable[[], str]) -> Callable[[Path], object]:
        return lambda path: path.write_text(make(), encoding="utf-8")

    def csv(table) -> Callable[[Path], object]:
        return lambda path: table.to_csv(path, index=False, float_format="%.10g")

    spaces = {row: space.to_json() for row, space in findings.spaces.items()}
    parts = {
        "scores.csv": csv(findings.scores),
        "runs.csv": csv(findings.runs),
        "spaces.json": text(lambda: json.dumps(spaces)),
        "report.html": text(lambda: _page(findings, figures)),
        "report.md": text(lambda: _markdown(findings)),
        "tables.tex": text(lambda: latex(findings)),
        "report.pdf": lambda path: _pdf(findings, figures, path),
    }
    if len(findings.edges):
        parts["edges.csv"] = csv(findings.edges)
    if find_spec("pyarrow"):  # the extra `studies` brings it; CSV says the same
        parts["scores.parquet"] = lambda path: findings.scores.to_parquet(path, index=False)
    for name, make in parts.items():
        _tried(name, lambda make=make, name=name: make(folder / name), failed)
    if failed:
        raise RunError(
            f"{folder}: the report lacks {'; '.join(failed)}. The runs and what else it has are there"
        )
    return [folder / name for name in parts]


def _tried(name: str, make: Callable, failed: list[str]):
    """What `make` gives; where it fails, a word on it, for hours of runs must not be without the rest of their report."""
    try:
        return make()
    except Exception as error:
        failed.append(f"{name} ({mistake(error)})")


def _plain_text():
    """Names are shown as they are: a $ in one is a dollar, not the begin of a formula."""
    import matplotlib

    return matplotlib.rc_context({"text.parse_math": False})


def pictures(findings: StudyResults) -> list[tuple[str, object]]:
    """(caption, Figure): Δm by row, the gap, the gap over time, consensus graphs — those for which there are data."""
    from ..viz import study_plots as draw

    made = (
        [
            (
                "Change over single-task networks (Δm, more is better). Every dot is a seed, dots of one seed share a colour; the bar is the mean "
                "with its 95 % interval.",
                draw.plot_gains(
                    findings.gains,
                    {row: half_interval(v.dropna()) for row, v in findings.gains.iterrows()},
                    findings.study.reference,
                ),
            )
        ]
        if len(findings.gains)
        else []
    )
    gap = findings.gap
    if len(gap):
        made.append(
            (
                "What it costs to cut the gates to 0 and 1, relative to the same network as searched. Zero: nothing.",
                draw.plot_cut(gap),
            )
        )
    over = findings.scores[findings.scores.step.notna()]
    if "soft" in set(over.kind):
        made.append(
            (
                "The gap while the search runs (validation pictures): the score under hard gates minus the score as searched. "
                "Thin lines are seeds.",
                draw.plot_cut_over_time(over),
            )
        )
    if len(findings.edges):
        made.append(
            (
                "What α says of a kept edge, and what the edge is worth: every dot is an edge of one seed's network.",
                draw.plot_worth(findings.edges),
            )
        )
    made += [
        (f"How often the seeds kept each edge: {row}.", figure)
        for row, figure in consensus(findings)
    ]
    return made


def consensus(findings: StudyResults) -> list[tuple[str, object]]:
    """(row, Figure): the reference if it searched, and at most two other rows that did."""
    from ..core.architecture import Architecture
    from ..viz import consensus_graph, plot_fusion_graph

    made, rows = [], [o["row"] for o in findings.overlap]
    for row in sorted(rows, key=lambda r: r != findings.study.reference)[:3]:
        found = [
            Architecture(findings.spaces[row], tuple(c == "1" for c in kept))
            for kept in findings.runs[findings.runs.row == row].kept
        ]
        made.append((row, plot_fusion_graph(consensus_graph(found), style="web-light").figure))
    return made


def latex(findings: StudyResults) -> str:
    """The table of means as booktabs."""
    from ..viz.graph.svg_tikz import latex as escape_latex

    table = findings.means
    head = [
        " & ".join(["", *(escape_latex(task) for task, _ in table.columns)]),
        " & ".join(
            ["row", *(escape_latex(f"{metric} {_arrow(metric)}") for _, metric in table.columns)]
        ),
    ]
    body = [
        " & ".join([escape_latex(row), *(str(v).replace("±", r"$\pm$") for v in values)])
        for row, values in zip(table.index, table.to_numpy())
    ]
    lines = [
        r"\begin{tabular}{l" + "r" * len(table.columns) + "}",
        r"\toprule",
        *(line + r" \\" for line in head),
        r"\midrule",
        *(line + r" \\" for line in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _arrow(metric: str) -> str:
    return {True: "↑", False: "↓"}.get(HIGHER_IS_BETTER.get(metric), "↑")


def facts(findings: StudyResults) -> list[str]:
    """What it took: runs, seeds, steps, machine, versions, the command."""
    study, runs = findings.study, findings.runs
    named = printable(shlex.quote(study.file or study.name))
    named += f" --size {study.size}" if study.size else ""
    shipped = not any(study._pretraining(cell) for cell in study.cells())
    searched = any(study.searches(row) for row in study.rows)
    return [
        f"{len(runs)} runs of {len(study.rows)} rows, seeds {', '.join(map(str, study.seeds))}; {runs.seconds.sum() / 60:.0f} min of steps in all",
        f"every run took {' or '.join(str(n) for n in sorted(runs.steps.unique()))} steps; what is not trained here (shipped or shared "
        "pretrained backbones) is the same for all rows of a seed",
        f"compared by the score `{study.kind}` ({KINDS[study.kind]}), as Δm over single-task networks of the same seed and budget",
        *(
            [
                "all seeds begin with the same shipped networks: they differ in batches, gates and drawn graphs, and so less than whole "
                "trainings would"
            ]
            if shipped
            else []
        ),
        *(
            [
                "a step of a search takes two batches, one for α and one for w; of a baseline or a given graph, one"
            ]
            if searched
            else []
        ),
        *study.notes,
        *(f"made with {versions}" for versions in sorted(set(runs.made_with))),
        f"report written on {platform.machine()}, {os.cpu_count()} cores",
        f"command: mtlnas-lab study {named}; this report from finished runs: mtlnas-lab report {named}",
    ]


def _tables(findings: StudyResults) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, head, lines) of the scores and of the comparisons."""
    means = findings.means
    made = [
        (
            "Scores: mean ± standard deviation over seeds",
            [
                "row",
                *(f"{task} {metric} {_arrow(metric)}".strip() for task, metric in means.columns),
            ],
            [[row, *map(str, values)] for row, values in zip(means.index, means.to_numpy())],
        )
    ]
    return made + [
        ("Comparisons, paired by seed", COMPARED, [one.cells for one in findings.compared])
    ] * bool(findings.compared)


def _markdown(findings: StudyResults) -> str:
    line = lambda values: "| " + " | ".join(value.replace("|", r"\|") for value in values) + " |"  # noqa: E731
    tables = "\n\n".join(
        "\n".join([f"{title}:", "", line(head), "|" + "---|" * len(head), *map(line, lines)])
        for title, head, lines in _tables(findings)
    )
    said, took = (
        "\n".join(f"- {line}" for line in part) for part in (findings.sentences, facts(findings))
    )
    return f"# {findings.study.name}\n\n{findings.study.question}\n\n{said}\n\n{tables}\n\n{took}\n"


def _page(findings: StudyResults, figures) -> str:
    e = html.escape
    tables = "".join(
        f"<h2>{e(title)}</h2><div class=wide><table><tr>"
        + "".join(f"<th>{e(name)}</th>" for name in head)
        + "</tr>"
        + "".join(
            f"<tr><th>{e(first)}</th>"
            + "".join(f"<td>{e(value)}</td>" for value in values)
            + "</tr>"
            for first, *values in lines
        )
        + "</table></div>"
        for title, head, lines in _tables(findings)
    )
    drawn = "".join(
        f"<figure>{_svg(figure)}<figcaption>{e(caption)}</figcaption></figure>"
        for caption, figure in figures
    )
    said, took = (
        "".join(f"<li>{e(line)}</li>" for line in part)
        for part in (findings.sentences, facts(findings))
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8>{SAFE}<title>{e(findings.study.name)}</title><style>{STYLE}</style>"
        f"<h1>{e(findings.study.name)}</h1><p class=ask>{e(findings.study.question)}</p><h2>What it says</h2><ul>{said}</ul>"
        f"{tables}<h2>Pictures</h2>{drawn}<h2>How it was done</h2><ul>{took}</ul></html>\n"
    )


SAFE = (  # whatever stands in it, the page loads nothing and runs nothing
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
)


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em;color:#1b1f27}.ask{font-size:1.2em;color:#5c6370}"
    "table{border-collapse:collapse;font-size:.85em}th,td{padding:.25em .6em;text-align:right;border-bottom:1px solid #ddd}"
    "tr>th:first-child{text-align:left}figure{margin:2em 0}figure svg{max-width:100%;height:auto}figcaption{color:#5c6370}.wide{overflow-x:auto}.wide th:first-child{min-width:11em}td{white-space:nowrap}"
)


def _svg(figure) -> str:
    from ..viz.style import style

    stream = io.StringIO()
    with style("web-light").context():  # real text, the same bytes
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()[stream.getvalue().index("<svg") :]


def _pdf(findings: StudyResults, figures, path: Path) -> None:
    from matplotlib.backends.backend_pdf import PdfPages

    from ..viz.study_plots import captioned, text_page

    said = [
        "What it says",
        *(f"• {line}" for line in findings.sentences),
        "",
        "How it was done",
        *(f"• {line}" for line in facts(findings)),
    ]
    about = {"CreationDate": None, "Title": findings.study.name}
    with _plain_text(), PdfPages(path, metadata=about) as pages:
        for page in text_page(
            findings.study.name, findings.study.question, said, _tables(findings)
        ):
            pages.savefig(page)
        for caption, figure in figures:
            pages.savefig(captioned(figure, caption))
