"""Choices among several operations as pictures: which one behind which stage, and how undecided each choice is while a search
runs.

Axes-level functions of frames: `(frame, *, ax=None, style=…, …) -> Axes`.
"""

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from ..errors import ConfigError
from . import curvedata as check
from .axes import axes_level, legend_above, text_entry
from .distances import draw_matrix
from .landscape import column_names, finite_columns, name_axes
from .style import MARKERS, drawable

MOST_MARKS = 12  # on a line


# --- which operation ----------------------------------------------------------------------------------------------------
def _choices(source, share: str = "probability") -> dict:
    names = column_names(source, 2)
    shares = np.array(finite_columns(source, names)).T
    stages = [str(name) for name in getattr(source, "index", ())]
    if shares.min() < 0 or shares.max() > 1:
        raise ConfigError(
            f"shares from {shares.min():g} to {shares.max():g} cannot be drawn; give numbers from 0 to 1"
        )
    operations = [str(name) for name in names]
    data = {"stages": stages, "operations": operations, "shares": shares.tolist()}
    return data | {"share": str(share)}


@axes_level(_choices, check.choices)
def plot_choices(data, ax, look, *, title: str | None = None):
    """Draw how likely, or how frequent, each operation is behind each stage: the darker, the more. The largest has a frame.

    Args:
        source: a frame, a row for each stage and a column for each operation, of numbers from 0 to 1.
        ax: axes to draw on; by default a figure of its own.
        share: what the numbers are.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: there are fewer than two operations, or numbers that are not from 0 to 1.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.choices import plot_choices
        >>> ax = plot_choices(pd.DataFrame({"none": [0.9, 0.2], "gate": [0.1, 0.8]}))
        >>> [text.get_text() for text in ax.texts]
        ['0.90', '0.10', '0.20', '0.80']
    """
    shares = np.array(data["shares"], float)
    largest = shares == shares.max(1, keepdims=True)  # of equal ones all
    framed = list(zip(*largest.nonzero()))
    scale = Normalize(0, 1)
    unit = drawable(data["share"])
    draw_matrix(ax, look, shares, scale, data["stages"], data["operations"], framed, unit)
    name_axes(ax, look, "operation", "stage")
    frame = {"color": look.ink, "marker": "s", "linestyle": "none", "markerfacecolor": "none"}
    handles = [text_entry(f"number: {data['share']}")]
    handles.append(Line2D([], [], label="frame: the largest", markersize=5 * look.line, **frame))
    return legend_above(ax, look, handles, title, label="stage")


# --- while it is decided ------------------------------------------------------------------------------------------------
def _decisions(source) -> dict:
    names = column_names(source, 1)
    steps = [float(step) for step in getattr(source, "index", ())]
    stages = [str(name) for name in names]
    return {"steps": steps, "stages": stages, "left": finite_columns(source, names)}


@axes_level(_decisions, check.decisions)
def plot_decisions(data, ax, look, *, title: str | None = None):
    """Draw how undecided the choice behind each stage is, step by step: 1 where all operations are equally likely.

    Args:
        source: a frame, a row for each step and a column for each stage, of entropies as shares of the largest.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: there is no column, or a gap.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.choices import plot_decisions
        >>> ax = plot_decisions(pd.DataFrame({"stage 0": [1.0, 0.3], "stage 1": [1.0, 0.9]}, index=[1, 2]))
        >>> ax.get_ylabel()
        'entropy / ln K'
    """
    colors = look.colors(data["stages"])
    dashes = look.lines(data["stages"])
    handles = []
    for place, (name, left) in enumerate(zip(data["stages"], data["left"])):
        pen = {"color": colors[name], "linestyle": dashes[name], "linewidth": 1.6 * look.line}
        mark = {"marker": MARKERS[place % len(MARKERS)], "markersize": 4.5 * look.line}
        mark["markevery"] = max(1, len(left) // MOST_MARKS)
        handles += ax.plot(data["steps"], left, label=drawable(name), **pen, **mark)
    ax.set_ylim(0, 1.05)
    name_axes(ax, look, "step", "entropy / ln K")
    return legend_above(ax, look, handles, title, label="entropy / ln K")
