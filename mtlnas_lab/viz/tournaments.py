"""Who beats whom: a tournament of graphs with its cycles, and what a method reaches with a budget.

Axes-level functions of frames: `(frame, *, ax=None, style=…, …) -> Axes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import networkx as nx
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path

from ..errors import ConfigError
from . import curvedata as check
from .axes import axes_level, legend_above, numbers
from .landscape import finite_columns, name_axes
from .style import MARKERS, brief, drawable

WIDTHS = (0.4, 2.6)  # of an arrow, in widths of a line, from the least sure to the surest
GAP = 0.09  # of an arrow's end to its graph, in steps between graphs


# --- a tournament -----------------------------------------------------------------------------------------------------
def _tournament(source, order: Sequence | None = None) -> dict:
    winners, losers = _names(source, "better"), _names(source, "worse")
    if order is None:
        order = [*winners, *losers]
    names = list(dict.fromkeys(str(name) for name in order))
    (weights,) = finite_columns(source, ["weight"])
    place = {name: number for number, name in enumerate(names)}
    edges = []
    for winner, loser in zip(winners, losers):
        if winner not in place or loser not in place or winner == loser:
            raise ConfigError(
                f"the edge {brief(winner)} → {brief(loser)} does not lead from one graph of the order to another; the order "
                f"has {', '.join(map(brief, names[:12]))}"
            )
        edges.append([place[winner], place[loser]])
    data = {"names": names, "edges": edges, "weight": weights}
    check.tournament(data)
    return data


def _names(frame, column: str) -> list[str]:
    """Raises ConfigError for a frame without this column."""
    try:
        return [str(name) for name in frame[column]]
    except (KeyError, TypeError, IndexError):
        raise ConfigError(
            f"{brief(type(frame).__name__)} has no column {brief(column)} of names; give a frame with it"
        ) from None


@axes_level(_tournament, check.tournament)
def plot_tournament(data, ax, look, *, title: str | None = None):
    """Draw graphs in a row, the best first, and an arrow from the winner of each pair to its loser: the surer, the wider.

    Arrows above the row agree with the order, those below it go against it. Arrows on a cycle are red, those below dashed.

    Args:
        source: a frame, a row for each edge: better, worse (names of graphs), weight.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        order: the graphs, best first; by default as the frame names them.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: a column is missing or has a gap, an edge is of a graph that is not in the order, or a weight is below 0.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.tournaments import plot_tournament
        >>> edges = pd.DataFrame({"better": ["a", "b", "c"], "worse": ["b", "c", "a"], "weight": [0.9, 0.8, 0.3]})
        >>> ax = plot_tournament(edges, order=["a", "b", "c"])
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['on a cycle: 2', 'on a cycle, against the order: 1']
    """
    edges = [tuple(edge) for edge in data["edges"]]
    weight = np.array(data["weight"], float)
    turning = _turning(edges)
    most = max(weight.max(initial=0), 1e-12)
    span = {1: 1.0, -1: 1.0}  # how high arrows reach above, and below
    counts: dict[tuple, int] = {}
    for (winner, loser), own in sorted(zip(edges, weight), key=lambda one: one[1]):
        side = 1 if winner < loser else -1
        span[side] = max(span[side], abs(winner - loser))
        kind = ((winner, loser) in turning, side)
        counts[kind] = counts.get(kind, 0) + 1
        wide = WIDTHS[0] + (WIDTHS[1] - WIDTHS[0]) * own / most
        ax.add_patch(_arrow(winner, loser, side, wide * look.line, **_pen(look, kind)))
    places = np.arange(len(data["names"]))
    dot = {"marker": "o", "linestyle": "none", "color": look.ink, "markersize": 5 * look.line}
    ax.plot(places, np.zeros(len(places)), zorder=4, **dot)
    low = span[-1] if any(side < 0 for _, side in counts) else 0.6
    ax.set(xlim=(-0.6, len(places) - 0.4), ylim=(-0.58 * low, 0.58 * span[1]))
    ax.set_xticks(places, [drawable(name) for name in data["names"]], parse_math=False)
    ax.set_yticks([])
    ax.grid(False)
    ax.spines["left"].set_visible(False)
    side = "against the order (below), with it (above)"
    name_axes(ax, look, "graphs, the best first", side)
    handles = [
        _entry(look, kind, counts[kind])
        for kind in sorted(counts, key=lambda kind: (kind[0], -kind[1]))
    ]
    return legend_above(ax, look, handles, title, label=side)


def _turning(edges: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """The edges that lie on a cycle: both their ends are in one strongly connected part."""
    graph = nx.DiGraph(edges)
    parts = nx.strongly_connected_components(graph)
    return {edge for part in parts for edge in graph.subgraph(part).edges}


def _arrow(winner: int, loser: int, side: int, width: float, **pen) -> FancyArrowPatch:
    """Half a bow from one graph to another, above the row (side 1) or below it."""
    way = np.sign(loser - winner)
    start, end = winner + GAP * way, loser - GAP * way
    height = side * abs(loser - winner)
    corners = [(start, 0.04 * side), ((start + end) / 2, height), (end, 0.04 * side)]
    path = Path(corners, [Path.MOVETO, Path.CURVE3, Path.CURVE3])
    head = {"arrowstyle": "-|>", "mutation_scale": 4 + 3 * width}
    return FancyArrowPatch(path=path, linewidth=width, shrinkA=0, shrinkB=0, **head, **pen)


def _pen(look, kind: tuple) -> dict:
    turns, side = kind
    color = look.task_colors[5] if turns else look.task_colors[0]
    dashes = "solid" if side > 0 else (0, (4, 2))
    return {
        "color": color,
        "linestyle": dashes,
        "alpha": 0.9 if turns else 0.45,
        "zorder": 2 + turns,
    }


def _entry(look, kind: tuple, count: int) -> Line2D:
    turns, side = kind
    words = ["on a cycle" if turns else "on no cycle"]
    if side < 0:
        words.append("against the order")
    pen = _pen(look, kind) | {"linewidth": 1.6 * look.line}
    return Line2D([], [], label=f"{', '.join(words)}: {count}", **pen)


# --- what a budget brings ---------------------------------------------------------------------------------------------
def _budgets(source, quantity: str, half: Mapping | None = None) -> dict:
    methods = _names(source, "method")
    budgets, values = finite_columns(source, ["budget", "value"])
    points: dict[str, dict[float, list]] = {}
    for method, budget, value in zip(methods, budgets, values):
        points.setdefault(method, {}).setdefault(budget, []).append(value)
    series = []
    for method, own in points.items():
        reach = (half or {}).get(method, {})
        for budget in sorted(own):
            series.append([method, budget, own[budget], numbers([reach.get(budget, np.nan)])[0]])
    data = {"quantity": str(quantity), "series": series}
    check.budgets(data)
    return data


@axes_level(_budgets, check.budgets)
def plot_budgets(data, ax, look, *, title: str | None = None):
    """Draw what methods reach by their budget: each seed a small dot, the mean a line, with bars where intervals are given.

    Args:
        source: a frame, a row for each method, budget and seed: method, budget (how many graphs are trained), value.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        quantity: what the value is, with its unit.
        half: {method: {budget: half of an interval around the mean}}.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: a column is missing or has a gap, or a budget is not above 0.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.tournaments import plot_budgets
        >>> rows = {"method": ["a", "a", "a", "a"], "budget": [8, 8, 16, 16], "value": [3.0, 1.0, 2.0, 0.0]}
        >>> ax = plot_budgets(pd.DataFrame(rows), quantity="regret")
        >>> ax.get_xlabel(), ax.get_lines()[-1].get_ydata().tolist()
        ('budget: trained graphs', [2.0, 1.0])
    """
    methods = list(dict.fromkeys(name for name, *_ in data["series"]))
    colors = look.colors(methods)
    dashes = look.lines(methods)
    every = sorted({budget for _, budget, _, _ in data["series"]})
    shifts = np.exp2(np.linspace(-0.22, 0.22, len(methods))) if len(methods) > 1 else [1.0]
    handles = []
    for place, (name, shift) in enumerate(zip(methods, shifts)):
        own = [one for one in data["series"] if one[0] == name]
        shape = {"color": colors[name], "marker": MARKERS[place % len(MARKERS)]}
        for _, budget, values, _ in own:
            dots = {"linestyle": "none", "markersize": 2.8 * look.line, "alpha": 0.45}
            ax.plot([shift * budget] * len(values), values, markeredgewidth=0, **dots, **shape)
        x = [shift * budget for _, budget, _, _ in own]
        mean = [float(np.mean(values)) for _, _, values, _ in own]
        bars = [reach or 0.0 for *_, reach in own]
        line = {"linewidth": 1.5 * look.line, "linestyle": dashes[name], "zorder": 3}
        line |= {"markersize": 5 * look.line, "capsize": 2 * look.line if any(bars) else 0}
        yerr = bars if any(bars) else None
        ax.errorbar(x, mean, yerr=yerr, **line, **shape)
        entry = {"linestyle": dashes[name], "markersize": 4.5 * look.line, **shape}
        handles.append(Line2D([], [], label=name, **entry))
    ax.set_xscale("log", base=2)
    ax.set_xticks(every, [f"{budget:g}" for budget in every])
    ax.minorticks_off()
    name_axes(ax, look, "budget: trained graphs", data["quantity"])
    return legend_above(ax, look, handles, title, label=data["quantity"])
