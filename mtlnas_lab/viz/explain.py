"""An architecture in words: one row and one sentence for each kept edge, as Markdown and as a LaTeX table."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..architecture import Architecture
from ..errors import SpaceError
from ..space import Edge
from .curves import METRICS
from .graph import read_source
from .vector import latex

Changes = Mapping[str, Mapping[str, float]]      # {task: {metric: score without the edge − score with it}}


@dataclass(frozen=True)
class ExplainedEdge:
    edge: Edge
    probability: float | None = None             # σ(α); None for an architecture without α
    operations: float | None = None              # share of the network's multiply-adds, 0 to 1
    changes: Changes = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """As in: normals stage 5 takes segmentation stage 4, p = 0.98, costs 0.3 % of the operations, removing it costs …"""
        target, source = self.edge.target, self.edge.source
        parts = [f"{target.task} stage {target.stage} takes {source.task} stage {source.stage}"]
        if self.probability is not None:
            parts.append(f"p = {self.probability:.2f}")
        if self.operations is not None:
            parts.append(f"costs {100 * self.operations:.2g} % of the operations")
        effects = [_effect(task, metric, value) for task, scores in self.changes.items() for metric, value in scores.items()]
        if effects:
            parts.append("removing it " + " and ".join(effects))
        return ", ".join(parts) + "."


def explain(source, ablations: Mapping[str, Changes] | None = None, operations: Mapping[str, float] | None = None) -> tuple[ExplainedEdge, ...]:
    """A row for each kept edge of an architecture or a run, in the order of the space.

    ablations {edge: {task: {metric: score without the edge − score with it}}}, operations {edge: share of the
    multiply-adds}; edges as `segmentation:2 -> normals:3`. Raises SpaceError for an edge the space does not have.
    """
    space, probability, kept = read_source(source)
    kept = kept or tuple(p > 0.5 for p in probability or (1.0,) * len(space))
    known = isinstance(source, Architecture) and source.alpha is not None or not isinstance(source, Architecture) and probability
    for name in {**(ablations or {}), **(operations or {})}:
        space.index(str(name))
    pick = lambda table, edge: {str(k): v for k, v in (table or {}).items()}.get(str(edge))  # noqa: E731
    if probability is not None and len(probability) != len(space):
        raise SpaceError(f"{len(probability)} values of α for {len(space)} candidate edges")
    return tuple(ExplainedEdge(edge, probability[i] if known else None, pick(operations, edge), pick(ablations, edge) or {})
                 for i, edge in enumerate(space.edges) if kept[i])


def _amount(metric: str, value: float) -> str:
    name, _ = METRICS.get(metric, (metric, 1))
    name, _, unit = name.partition(", ")
    if unit:
        return f"{abs(value):.2g} {unit} of {name}"
    return f"{100 * abs(value):.2g} points of {name}" if metric in METRICS else f"{abs(value):.2g} of {name}"


def _effect(task: str, metric: str, value: float) -> str:
    sign = METRICS.get(metric, (metric, 1))[1]
    if abs(value) < 5e-5:
        return f"leaves {METRICS.get(metric, (metric,))[0].partition(',')[0]} of {task} as it is"
    return f"{'costs' if value * sign < 0 else 'gains'} {_amount(metric, value)} in {task}"


def _table(rows: Sequence[ExplainedEdge]) -> tuple[list[str], list[list[str]]]:
    measured = list(dict.fromkeys((task, metric) for row in rows for task, scores in row.changes.items() for metric in scores))
    head = ["from", "to"] + ["p"] * any(r.probability is not None for r in rows) + ["operations"] * any(r.operations is not None for r in rows)
    head += [f"Δ {METRICS.get(metric, (metric,))[0]}, {task}" for task, metric in measured]
    lines = []
    for row in rows:
        line = [str(row.edge.source), str(row.edge.target)]
        if "p" in head:
            line.append("" if row.probability is None else f"{row.probability:.2f}")
        if "operations" in head:
            line.append("" if row.operations is None else f"{100 * row.operations:.2f} %")
        for task, metric in measured:
            value = row.changes.get(task, {}).get(metric)
            line.append("" if value is None else f"{value:+.4f}".replace("-", "−"))
        lines.append(line)
    return head, lines


def to_markdown(rows: Sequence[ExplainedEdge]) -> str:
    """The table, then the sentences."""
    if not rows:
        return "No edge is kept: the networks share nothing.\n"
    head, lines = _table(rows)
    safe = lambda cell: "".join("\\" + c if c in "|\\`*_<>[]" else c for c in cell)  # noqa: E731
    table = [head, ["---"] * len(head), *[[safe(cell) for cell in line] for line in lines]]
    return "\n".join("| " + " | ".join(line) + " |" for line in table) + "\n\n" + "\n".join(f"- {safe(r.sentence)}" for r in rows) + "\n"


def to_latex(rows: Sequence[ExplainedEdge], caption: str = "Kept fusion edges.", label: str = "tab:edges") -> str:
    """A table for \\usepackage{booktabs}."""
    if not rows:
        return "% No edge is kept: the networks share nothing.\n"
    head, lines = _table(rows)
    row = lambda cells: " & ".join(latex(cell) for cell in cells) + r" \\"  # noqa: E731
    return "\n".join([r"\begin{table}", r"\centering", rf"\caption{{{latex(caption)}}}", rf"\label{{{label}}}",
                      r"\begin{tabular}{ll" + "r" * (len(head) - 2) + "}", r"\toprule", row(head), r"\midrule",
                      *map(row, lines), r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])
