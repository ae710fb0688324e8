"""What a search for a whole front has found, and how well scores order the graphs.

Axes-level functions of frames: `(frame, *, ax=None, style=…, …) -> Axes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D

from ..errors import ConfigError
from . import curvedata as check
from .axes import axes_level, legend_above, numbers
from .landscape import arrays, by_two, column_names, draw_graphs, finite_columns, name_axes
from .style import MARKERS, brief, drawable


# --- a front that is being found --------------------------------------------------------------------------------------
def _found(source, found: Sequence = (), truth: Sequence = ()) -> dict:
    graphs = by_two(source, "edges")
    count = len(graphs["x"])
    rows = {"found": _rows("found", found, count), "truth": _rows("truth", truth, count)}
    return graphs | rows


def _rows(what: str, rows: Sequence, count: int) -> list[int]:
    """Raises ConfigError for a row that is not there."""
    listed = [int(row) for row in rows]
    for row in listed:
        if not 0 <= row < count:
            raise ConfigError(f"{what} has row {brief(row)}; give 0 to {count - 1}")
    return listed


@axes_level(_found, check.found)
def plot_found(data, ax, look, *, title: str | None = None):
    """Draw all graphs by two losses in grey, the true front as rings, and what a search has found, darker the more edges.

    Where no search is shown, every graph has the shade of its edges, and none is grey.

    A front of three objectives is seen from one side here: a graph may be on it for its few multiply-adds, and then it lies
    up and right of others.

    Args:
        source: a frame, a row for each graph: two columns of losses, whose names name the axes, and `edges`, how many a
            graph has.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        found: rows of the graphs that a search answers; none, where no search is shown.
        truth: rows of the graphs of the true front.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: a column is missing or has a gap, or a row is not there.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.fronts import plot_found
        >>> losses = pd.DataFrame({"depth loss": [3, 2, 1, 3], "edge loss": [1, 2, 3, 3], "edges": [0, 1, 1, 2]})
        >>> ax = plot_found(losses, found=[1, 3], truth=[0, 1, 2])
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['1 edge', '2 edges', 'not found', 'true front: 3 graphs, 1 of them found']
    """
    x, y, edges = arrays(data, "x", "y", "edges")
    found = np.array(data["found"], int)
    truth = np.array(data["truth"], int)
    every = np.arange(len(x))
    shown = found if len(found) else every
    rest = np.setdiff1d(every, shown)
    grey = {"marker": "o", "linestyle": "none", "color": look.soft, "alpha": 0.35}
    grey |= {"markersize": 2 * look.line, "markeredgewidth": 0}
    ax.plot(x[rest], y[rest], zorder=1, **grey)
    handles = draw_graphs(ax, look, x[shown], y[shown], edges[shown], set(edges.tolist()))
    if len(found):
        handles.append(Line2D([], [], label="not found", **grey))
    if len(truth):
        ring = {"marker": "o", "linestyle": "none", "markerfacecolor": "none"}
        ring |= {"markeredgecolor": look.task_colors[5], "markersize": 7 * look.line}
        label = f"true front: {len(truth)} graphs"
        if len(found):
            label += f", {len(np.intersect1d(found, truth))} of them found"
        ring |= {"markeredgewidth": look.line, "label": label}
        handles += ax.plot(x[truth], y[truth], zorder=4, **ring)
    xlabel, ylabel = (f"{name} (less is better)" for name in data["names"])
    name_axes(ax, look, xlabel, ylabel)
    return legend_above(ax, look, handles, title, label=ylabel)


# --- how scores order graphs ------------------------------------------------------------------------------------------
def _agreement(source, tau: Mapping | None = None) -> dict:
    names = column_names(source, 2)
    columns = finite_columns(source, names)
    tau = tau or {}
    return {
        "names": [str(name) for name in names],
        "values": columns,
        "tau": numbers([tau.get(name, np.nan) for name in names[1:]]),
    }


@axes_level(_agreement, check.agreement)
def plot_agreement(data, ax, look, *, title: str | None = None):
    """Draw what scores say of each graph over what is true: the better they order the graphs, the more it is one line.

    Args:
        source: a frame, a row for each graph: first the true values, then a column for each kind of score.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        tau: {column: Kendall's τ with the truth}, told in the legend.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: there are fewer than two columns, or there is a gap.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.fronts import plot_agreement
        >>> ax = plot_agreement(pd.DataFrame({"true loss": [1, 2, 3], "supernet": [1, 3, 2]}), tau={"supernet": 1 / 3})
        >>> ax.get_legend().get_texts()[0].get_text()
        'supernet, τ = 0.33'
    """
    first, *others = data["names"]
    true = np.array(data["values"][0], float)
    colors = look.colors(others)
    handles = []
    for place, name in enumerate(others):
        said = np.array(data["values"][place + 1], float)
        tau = data["tau"][place]
        label = name if tau is None else f"{name}, τ = {tau:.2f}"
        dots = {"color": colors[name], "marker": MARKERS[place % len(MARKERS)], "alpha": 0.7}
        dots |= {"linestyle": "none", "markersize": 3 * look.line, "markeredgewidth": 0}
        handles += ax.plot(true, said, label=drawable(label), **dots)
    name_axes(ax, look, first, "score")
    return legend_above(ax, look, handles, title, label="score")
