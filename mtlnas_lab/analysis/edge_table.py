"""An architecture in words: one row and one sentence for each kept edge, as Markdown and as a LaTeX table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..core.space import Edge
from ..runs.run import Run
from ..tasks.metric_names import METRICS, direction_of
from ..viz.graph.svg_tikz import LABCHAR, latex
from ..viz.sources import opened, read_source
from .tables import booktabs, markdown_table

# {task: {metric: score without the edge − score with it}}
Changes = Mapping[str, Mapping[str, float]]

SIGN = "Δ is the score without the edge minus the score with it; ↑ where more is better, ↓ where less is."
NO_EDGE = "No edge is kept: the networks share nothing."
MARKUP = "|\\`*_<>[]&"  # what Markdown or HTML in it would read as its own


@dataclass(frozen=True)
class ExplainedEdge:
    """What is known of one kept edge.

    Attributes:
        edge: From which node to which.
        probability: σ(α); None for an architecture without α.
        operations: The share of the network's multiply-adds that goes with it, 0 to 1.
        changes: {task: {metric: score without the edge − score with it}}.
    """

    edge: Edge
    probability: float | None = None
    operations: float | None = None
    changes: Changes = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """All of it, in one sentence."""
        target = self.edge.target
        source = self.edge.source
        parts = [f"{target.task} stage {target.stage} takes {source.task} stage {source.stage}"]
        if self.probability is not None:
            parts.append(f"p = {self.probability:.2f}")
        if self.operations is not None:
            parts.append(f"costs {_short(100 * self.operations)} % of the operations")
        effects = []
        for task, metrics in self.changes.items():
            effects += [_effect(task, metric, value) for metric, value in metrics.items()]
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

    Args:
        source: An architecture, a space, a run or its folder. Of a run folder in which `mtlnas-lab explain` left its
            ablation.json, ablations and operations are read there unless one of them is given.
        ablations: {edge: {task: {metric: score without the edge − score with it}}}, from `edge_importance.ablate`; edges
            as `segmentation:2 -> normals:3`.
        operations: {edge: share of the multiply-adds}, from `edge_importance.edge_costs`.
        every: Every metric of each task, rather than its first.

    Raises:
        SpaceError: An edge that the space does not have.

    Example:
        >>> from mtlnas_lab.core.space import SearchSpace, plan
        >>> stages = plan(channels=[4, 4], groups=[2])
        >>> space = SearchSpace.build({"depth": stages, "normals": stages})
        >>> print(explain(space, operations={"depth:0 -> normals:1": 0.031})[-2].sentence)
        normals stage 1 takes depth stage 0, costs 3.1 % of the operations.
    """
    source = opened(source)
    if isinstance(source, Run) and ablations is None and operations is None:
        ablations, operations = _left_in(source)
    space, probability, kept = read_source(source)

    # by index, so that an edge the space does not have is refused whether it is kept or not
    shares = {space.index(str(edge)): share for edge, share in (operations or {}).items()}
    changes = {}
    for edge, tasks in (ablations or {}).items():
        changes[space.index(str(edge))] = {
            task: _chosen(metrics, every) for task, metrics in tasks.items()
        }

    rows = []
    for i, edge in enumerate(space.edges):
        if kept and not kept[i]:
            continue
        p = None
        if probability:
            p = probability[i]
        rows.append(ExplainedEdge(edge, p, shares.get(i), changes.get(i, {})))
    return tuple(rows)


def _left_in(run: Run) -> tuple[Mapping | None, Mapping | None]:
    """(ablations, operations) that a run folder holds; None for what it does not."""
    if not (run.path / "ablation.json").is_file():
        return None, None
    found = run.read_json("ablation.json")
    return found.get("ablations"), found.get("operations")


def _chosen(metrics: Mapping[str, float], every: bool) -> dict[str, float]:
    """All metrics of a task, or its first, which is the one that papers compare."""
    if every:
        return dict(metrics)
    return dict(list(metrics.items())[:1])


# --- numbers as one would say them ------------------------------------------------------------------------------------
def _unit(metric: str) -> tuple[str, str, float, int]:
    """(name, unit, factor to that unit, 1 if more is better) of a metric; shares from 0 to 1 become points."""
    if metric not in METRICS:
        return metric, "", 1, 1  # a metric of one's own: nothing is known of its unit
    name, unit, _ = METRICS[metric]
    better = direction_of(metric)
    if unit:
        return name, unit, 1, better
    return name, "points", 100, better


def _known(value: object) -> bool:
    return isinstance(value, (int, float)) and not math.isnan(value)


def _short(value: float) -> str:
    """A positive number as one would say it: two digits that count, none behind the second decimal."""
    if value < 0.995:
        text = f"{value:.2f}"
    elif value < 9.95:
        text = f"{value:.1f}"
    else:
        return f"{value:.0f}"
    if text == "0.00":
        return "less than 0.01"
    return text.rstrip("0").rstrip(".")


def _effect(task: str, metric: str, value: float) -> str:
    name, unit, factor, better = _unit(metric)
    if not _known(value):
        return f"could not be scored by {name} in {task}"
    amount = abs(factor * value)
    if amount < 5e-3:  # it would be shown as 0.00
        return f"leaves {name} of {task} as it is"
    verb = "gains"
    if value * better < 0:
        verb = "costs"
    said = f"{_short(amount)} {unit}".rstrip()
    return f"{verb} {said} of {name} in {task}"


def _cell(metric: str, value: object) -> str:
    if not _known(value):
        return "–"
    text = f"{_unit(metric)[2] * value:+.2f}"
    if text[1:] == "0.00":
        return "0.00"  # a zero has no sign
    return text.replace("-", "−")


# --- the table --------------------------------------------------------------------------------------------------------
def _table(rows: Sequence[ExplainedEdge]) -> list[list[str]]:
    """Head and lines; a column only where there is something to say."""
    columns = {}
    columns["from"] = [str(row.edge.source) for row in rows]
    columns["to"] = [str(row.edge.target) for row in rows]
    columns["p"] = [_formatted(row.probability, "{:.2f}") for row in rows]
    shares = [_formatted(row.operations, "{:.2%}") for row in rows]
    columns["operations"] = [share.replace("%", " %") for share in shares]
    for task, metric in _measured(rows):
        cells = [_cell(metric, row.changes.get(task, {}).get(metric)) for row in rows]
        columns[_title(task, metric)] = cells
    filled = [[head, *cells] for head, cells in columns.items() if any(cells)]
    return [list(line) for line in zip(*filled)]


def _formatted(value: float | None, form: str) -> str:
    if value is None:
        return ""
    return form.format(value)


def _measured(rows: Sequence[ExplainedEdge]) -> list[tuple[str, str]]:
    """(task, metric) of all changes, in the order in which they come."""
    found = {}
    for row in rows:
        for task, metrics in row.changes.items():
            found |= dict.fromkeys((task, metric) for metric in metrics)
    return list(found)


def _title(task: str, metric: str) -> str:
    name, unit, _, better = _unit(metric)
    arrow = "↓"
    if better > 0:
        arrow = "↑"
    said = f"{unit} {arrow}".strip()
    return f"Δ {name}, {task} ({said})"


def to_markdown(rows: Sequence[ExplainedEdge]) -> str:
    """The table, what its signs mean, then the sentences.

    Args:
        rows: From `explain`.
    """
    if not rows:
        return f"{NO_EDGE}\n"
    head, *lines = [list(map(_plain, line)) for line in _table(rows)]
    parts = [markdown_table(head, lines), ""]
    if any(row.changes for row in rows):
        parts += [SIGN, ""]
    parts += [f"- {_plain(row.sentence)}" for row in rows]
    return "\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """Markdown that shows the text as it is."""
    letters = []
    for letter in text:
        if letter in MARKUP:
            letters.append("\\")
        letters.append(letter)
    return "".join(letters)


def to_latex(
    rows: Sequence[ExplainedEdge], caption: str = "Kept fusion edges.", label: str = "tab:edges"
) -> str:
    r"""A table for \usepackage{booktabs}.

    Args:
        rows: From `explain`.
        caption: Plain text; what is LaTeX's own in it is escaped. What Δ means is added where there is a Δ.
        label: For \ref; taken as it is.
    """
    if not rows:
        return f"% {NO_EDGE}\n"
    if any(row.changes for row in rows):
        caption = f"{caption} {SIGN}"
    head, *lines = [list(map(latex, line)) for line in _table(rows)]
    columns = "ll" + "r" * (len(head) - 2)
    parts = [
        LABCHAR,
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(caption)}}}",
        rf"\label{{{label}}}",
        booktabs([head], lines, columns),
        r"\end{table}",
    ]
    return "\n".join(parts) + "\n"
