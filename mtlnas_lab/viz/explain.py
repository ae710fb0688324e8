"""An architecture in words: one row and one sentence for each kept edge, as Markdown and as a LaTeX table."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..space import Edge
from .curves import METRICS
from .graph import read_source
from .vector import LABCHAR, latex

Changes = Mapping[str, Mapping[str, float]]      # {task: {metric: score without the edge − score with it}}


@dataclass(frozen=True)
class ExplainedEdge:
    """What is known of one kept edge."""

    edge: Edge
    probability: float | None = None             # σ(α); None for an architecture without α
    operations: float | None = None              # share of the network's multiply-adds, 0 to 1
    changes: Changes = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        target, source = self.edge.target, self.edge.source
        parts = [f"{target.task} stage {target.stage} takes {source.task} stage {source.stage}"]
        if self.probability is not None:
            parts.append(f"p = {self.probability:.2f}")
        if self.operations is not None:
            parts.append(f"costs {100 * self.operations:.2g} % of the operations")
        effects = [_effect(task, *change) for task, of in self.changes.items() for change in of.items()]
        if effects:
            parts.append("removing it " + " and ".join(effects))
        return ", ".join(parts) + "."


def explain(source, ablations: Mapping[str, Changes] | None = None,
            operations: Mapping[str, float] | None = None) -> tuple[ExplainedEdge, ...]:
    """A row for each kept edge of an architecture or a run, in the order of the space.

    ablations {edge: {task: {metric: score without the edge − score with it}}}, operations {edge: share of the
    multiply-adds}; edges as `segmentation:2 -> normals:3`. Raises SpaceError for an edge the space does not have.
    """
    space, probability, kept = read_source(source)
    kept = kept or tuple(p > 0.5 for p in probability or (1.0,) * len(space))
    shares = {space.index(str(edge)): share for edge, share in (operations or {}).items()}
    changes = {space.index(str(edge)): change for edge, change in (ablations or {}).items()}
    return tuple(ExplainedEdge(edge, probability and probability[i], shares.get(i), changes.get(i, {}))
                 for i, edge in enumerate(space.edges) if kept[i])


def _effect(task: str, metric: str, value: float) -> str:
    name, better = METRICS.get(metric, (metric, 1))
    name, _, unit = name.partition(", ")
    if abs(value) < 5e-5:
        return f"leaves {name} of {task} as it is"
    points = metric in METRICS and not unit          # of a share from 0 to 1
    amount = f"{100 * abs(value):.2g} points" if points else f"{abs(value):.2g} {unit}".rstrip()
    return f"{'costs' if value * better < 0 else 'gains'} {amount} of {name} in {task}"


def _table(rows: Sequence[ExplainedEdge]) -> list[list[str]]:
    """Head and lines; a column only where there is something to say."""
    measured = list(dict.fromkeys((task, metric) for row in rows for task, of in row.changes.items() for metric in of))
    columns = {"from": [str(row.edge.source) for row in rows], "to": [str(row.edge.target) for row in rows],
               "p": ["" if row.probability is None else f"{row.probability:.2f}" for row in rows],
               "operations": ["" if row.operations is None else f"{100 * row.operations:.2f} %" for row in rows]}
    for task, metric in measured:
        values = [row.changes.get(task, {}).get(metric) for row in rows]
        name = METRICS.get(metric, (metric,))[0]
        columns[f"Δ {name}, {task}"] = ["" if v is None else f"{v:+.4f}".replace("-", "−") for v in values]
    return [list(line) for line in zip(*([head, *cells] for head, cells in columns.items() if any(cells)))]


def to_markdown(rows: Sequence[ExplainedEdge]) -> str:
    """The table, then the sentences."""
    if not rows:
        return "No edge is kept: the networks share nothing.\n"
    safe = lambda cell: "".join("\\" + c if c in "|\\`*_<>[]&" else c for c in cell)  # noqa: E731
    head, *lines = [[safe(cell) for cell in line] for line in _table(rows)]
    table = ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines)]
    return "\n".join([*table, "", *(f"- {safe(row.sentence)}" for row in rows), ""])


def to_latex(rows: Sequence[ExplainedEdge], caption: str = "Kept fusion edges.", label: str = "tab:edges") -> str:
    r"""A table for \usepackage{booktabs}."""
    if not rows:
        return "% No edge is kept: the networks share nothing.\n"
    head, *lines = [" & ".join(map(latex, line)) + r" \\" for line in _table(rows)]
    columns = "ll" + "r" * (len(_table(rows)[0]) - 2)
    return "\n".join([LABCHAR, r"\begin{table}", r"\centering",
                      rf"\caption{{{latex(caption)}}}", rf"\label{{{label}}}", rf"\begin{{tabular}}{{{columns}}}",
                      r"\toprule", head, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])
