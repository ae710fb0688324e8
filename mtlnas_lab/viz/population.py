"""Graphs that evolve, and weights that adapt: the population as a bitmap, the loss over the steps of an adaptation.

Axes-level functions of frames: `(frame, *, ax=None, style=…, …) -> Axes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..errors import ConfigError
from . import curvedata as check
from .axes import axes_level, legend_above, numbers
from .landscape import arrays, column_names, finite_columns, name_axes
from .style import MARKERS, brief, drawable

GENERATION = "generation"
OPEN = 0.8  # of the ramp
SHUT = 0.08
TICKS = 12  # generations that are named
APART = 0.012  # of the width, between the marks of two series


# --- the population ---------------------------------------------------------------------------------------------------
def _population(source) -> dict:
    edges = column_names(source, 1, without=(GENERATION,))
    generation, *bits = finite_columns(source, [GENERATION, *edges])
    if sorted(generation) != generation:
        raise ConfigError("generation does not count up; sort the rows of the frame by it")
    if not all(bit in (0, 1) for column in bits for bit in column):
        raise ConfigError("an edge is neither 0 nor 1; give bits, one column an edge")
    return {"edges": [str(edge) for edge in edges], GENERATION: generation, "bits": bits}


@axes_level(_population, check.population)
def plot_population(data, ax, look, *, title: str | None = None):
    """Draw the graphs of a population as a bitmap: a row for each edge, a column for each graph, generation by generation.

    Args:
        source: a frame, a row for each graph that lives in a generation: `generation`, rising, and a column of zeros and
            ones for each edge. Who lives in two generations has two rows.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: there is no such column, a gap, or an edge that is neither 0 nor 1.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.population import plot_population
        >>> ax = plot_population(pd.DataFrame({"generation": [1, 1, 2, 2], "a → b": [0, 1, 1, 1], "b → a": [1, 0, 0, 0]}))
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['a → b', 'b → a']
    """
    bits = np.array(data["bits"], float)
    (generation,) = arrays(data, GENERATION)
    shades = [to_hex(look.ramp(share)) for share in (SHUT, OPEN)]
    ax.imshow(
        bits, cmap=ListedColormap(shades), vmin=0, vmax=1, aspect="auto", interpolation="none"
    )
    starts = np.flatnonzero(np.diff(generation, prepend=generation[0] - 1))
    ends = np.append(starts[1:], len(generation))
    pen = {"color": look.paper, "linewidth": 1.4 * look.line}
    for start in starts[1:]:
        ax.axvline(start - 0.5, **pen)
    middles = (starts + ends - 1) / 2
    every = -(-len(starts) // TICKS)
    names = [f"{generation[start]:g}" for start in starts]
    ax.set_xticks(middles[::every], names[::every])
    ax.set_yticks(range(len(bits)), [drawable(edge) for edge in data["edges"]])
    ax.tick_params(length=0)
    ax.tick_params(axis="y", labelsize=look.small)
    ax.grid(False)
    name_axes(ax, look, "generation, the oldest graph of each on the left", "edge")
    words = ("edge shut", "edge open")
    handles = [Patch(facecolor=shade, label=word) for shade, word in zip(shades, words)]
    return legend_above(ax, look, handles, title, label="edge")


# --- adaptation -------------------------------------------------------------------------------------------------------
def _adaptation(source, half: Mapping[str, Sequence[float]] | None = None) -> dict:
    names = column_names(source, 1)
    values = finite_columns(source, names)
    try:
        steps = numbers(source.index)
    except (TypeError, ValueError):
        raise ConfigError("the frame's index is not the numbers of steps") from None
    half = half or {}
    unknown = set(half) - set(names)
    if unknown:
        raise ConfigError(f"half has {brief(min(map(str, unknown)))}, which is no column")
    widths = [numbers(half.get(name, [np.nan] * len(steps))) for name in names]
    data = {"names": [str(name) for name in names], "step": steps, "values": values, "half": widths}
    check.adaptation(data)
    return data


@axes_level(_adaptation, check.adaptation)
def plot_adaptation(data, ax, look, *, title: str | None = None):
    """Draw the loss on other images over the steps of an adaptation, a line for each kind of weights; 1 is chance.

    Args:
        source: a frame whose index are numbers of steps, rising from 0 or more, with a column for each line: losses as shares
            of that of chance.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        half: {column: for each number of steps how far its interval reaches to either side}.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: there is no column, a gap, or an index that does not rise.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.population import plot_adaptation
        >>> ax = plot_adaptation(pd.DataFrame({"meta": [1.4, 0.9], "joint": [1.3, 1.0]}, index=[0, 5]))
        >>> ax.get_xlabel()
        'steps of adaptation'
    """
    (steps,) = arrays(data, "step")
    colors = look.colors(data["names"])
    dashes = look.lines(data["names"])
    reach = APART * max(float(steps.max() - steps.min()), 1.0)
    handles = []
    for place, name in enumerate(data["names"]):
        aside = reach * (place - (len(data["names"]) - 1) / 2)
        pen = {"color": colors[name], "linestyle": dashes[name], "linewidth": 1.6 * look.line}
        mark = {"marker": MARKERS[place % len(MARKERS)], "markersize": 4.5 * look.line}
        values = np.array(data["values"][place], float)
        handles += ax.plot(steps + aside, values, label=drawable(name), **pen, **mark)
        widths = np.array([width or 0.0 for width in data["half"][place]])
        if widths.any():
            bars = {"fmt": "none", "ecolor": colors[name], "elinewidth": look.line}
            ax.errorbar(steps + aside, values, yerr=widths, capsize=2 * look.line, **bars)
    ax.axhline(1, color=look.soft, linewidth=look.line, linestyle=":")
    dots = {"color": look.soft, "linewidth": look.line, "linestyle": ":"}
    handles.append(Line2D([], [], label="chance", **dots))
    ax.set_xticks(steps)
    ylabel = "loss as a share of chance (less is better)"
    name_axes(ax, look, "steps of adaptation", ylabel)
    return legend_above(ax, look, handles, title, label=ylabel)
