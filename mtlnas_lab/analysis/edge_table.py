"""An architecture in words: one row and one sentence for each kept edge, as Markdown and as a LaTeX table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..core.space import Edge
from ..runs.run import Run
from ..viz.curves import METRICS
from ..viz.graph.svg_tikz import LABCHAR, latex
from ..viz.sources import opened, read_source

Changes = Mapping[
    str, Mapping[str, float]
]  # {task: {metric: score without the edge − score with it}}


SIGN = "Δ is the score without the edge minus the score with it; ↑ where more is better, ↓ where less is."


@dataclass(frozen=True)
class ExplainedEdge:
    """What is known of one kept edge."""

    edge: Edge
    probability: float | None = None  # σ(α); None for an architecture without α
    operations: float | None = None  # share of the network's multiply-adds, 0 to 1
    changes: Changes = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        target, source = self.edge.target, self.edge.source
        parts = [f"{target.task} stage {target.stage} takes {source.task} stage {source.stage}"]
        if self.probability is not None:
            parts.append(f"p = {self.probability:.2f}")
        if self.operations is not None:
            parts.append(f"costs {_short(100 * self.operations)} % of the operations")
        effects = [
            _effect(task, *change) for task, of in self.changes.items() for change in of.items()
        ]
        if effects:
            parts.append("removing it " + " and ".join(effects))
        return ", ".join(parts) + "."


def explain(
    source,
    ablations: Mapping[str, Changes] | None = None,
    operations: Mapping[str, float] | None = None,
    *,
    every: bool = False,
) -> tuple[ExplainedEdge, ...]:
    """A row for each kept edge of an architecture or a run, in the order of the space.

    ablations {edge: {task: {metric: score without the edge − score with it}}} (`evaluate.ablate`), operations {edge:
    share of the multiply-adds} (`evaluate.edge_costs`); edges as `segmentation:2 -> normals:3`. Of a run folder in
    which `mtlnas-lab explain` left its ablation.json, both are read there. Of each task its first metric, or `every`
    one. Raises SpaceError for an edge the space does not have.
    """
    source = opened(source)
    if (
        isinstance(source, Run)
        and ablations is operations is None
        and (source.path / "ablation.json").is_file()
    ):
        found = source.read_json("ablation.json")
        ablations, operations = found.get("ablations"), found.get("operations")
    space, probability, kept = read_source(source)
    kept = kept or (True,) * len(space)
    shares = {space.index(str(edge)): share for edge, share in (operations or {}).items()}
    most = None if every else 1
    changes = {
        space.index(str(edge)): {task: dict(list(of.items())[:most]) for task, of in change.items()}
        for edge, change in (ablations or {}).items()
    }
    return tuple(
        ExplainedEdge(edge, probability and probability[i], shares.get(i), changes.get(i, {}))
        for i, edge in enumerate(space.edges)
        if kept[i]
    )


def _unit(metric: str) -> tuple[str, str, float, int]:
    """(name, unit, factor to that unit, 1 if more is better) of a metric; shares from 0 to 1 become points."""
    name, better = METRICS.get(metric, (metric, 1))
    name, _, unit = name.partition(", ")
    return (
        (name, unit, 1, better) if unit or metric not in METRICS else (name, "points", 100, better)
    )


def _short(value: float) -> str:
    """A positive number as one would say it: two digits that count, none behind the second decimal."""
    text = f"{value:.{2 if value < 0.995 else 1 if value < 9.95 else 0}f}"
    return (
        "less than 0.01"
        if text == "0.00"
        else text.rstrip("0").rstrip(".")
        if "." in text
        else text
    )


def _effect(task: str, metric: str, value: float) -> str:
    name, unit, factor, better = _unit(metric)
    amount = abs(factor * value) if isinstance(value, (int, float)) else math.nan
    if math.isnan(amount):
        return f"could not be scored by {name} in {task}"
    if amount < 5e-3:
        return f"leaves {name} of {task} as it is"
    return f"{'costs' if value * better < 0 else 'gains'} {f'{_short(amount)} {unit}'.rstrip()} of {name} in {task}"


def _cell(metric: str, value) -> str:
    known = isinstance(value, (int, float)) and not math.isnan(value)
    text = f"{_unit(metric)[2] * value:+.2f}" if known else "–"
    return "0.00" if text[1:] == "0.00" else text.replace("-", "−")


def _table(rows: Sequence[ExplainedEdge]) -> list[list[str]]:
    """Head and lines; a column only where there is something to say."""
    measured = list(
        dict.fromkeys(
            (task, metric) for row in rows for task, of in row.changes.items() for metric in of
        )
    )
    columns = {
        "from": [str(row.edge.source) for row in rows],
        "to": [str(row.edge.target) for row in rows],
        "p": ["" if row.probability is None else f"{row.probability:.2f}" for row in rows],
        "operations": [
            "" if row.operations is None else f"{100 * row.operations:.2f} %" for row in rows
        ],
    }
    for task, metric in measured:
        name, unit, _, better = _unit(metric)
        columns[f"Δ {name}, {task} ({f'{unit} '.lstrip()}{'↑' if better > 0 else '↓'})"] = [
            _cell(metric, row.changes.get(task, {}).get(metric)) for row in rows
        ]
    return [
        list(line)
        for line in zip(*([head, *cells] for head, cells in columns.items() if any(cells)))
    ]


def to_markdown(rows: Sequence[ExplainedEdge]) -> str:
    """The table, what its signs mean, then the sentences."""
    if not rows:
        return "No edge is kept: the networks share nothing.\n"
    safe = lambda cell: "".join("\\" + c if c in "|\\`*_<>[]&" else c for c in cell)  # noqa: E731
    head, *lines = [[safe(cell) for cell in line] for line in _table(rows)]
    table = ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines)]
    note = [SIGN, ""] if any(row.changes for row in rows) else []
    return "\n".join([*table, "", *note, *(f"- {safe(row.sentence)}" for row in rows), ""])


def to_latex(
    rows: Sequence[ExplainedEdge], caption: str = "Kept fusion edges.", label: str = "tab:edges"
) -> str:
    r"""A table for \usepackage{booktabs}."""
    caption += f" {SIGN}" * any(row.changes for row in rows)
    if not rows:
        return "% No edge is kept: the networks share nothing.\n"
    head, *lines = [" & ".join(map(latex, line)) + r" \\" for line in _table(rows)]
    columns = "ll" + "r" * (len(_table(rows)[0]) - 2)
    return "\n".join(
        [
            LABCHAR,
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex(caption)}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )
