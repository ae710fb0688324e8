"""Distances between tasks as pictures: the matrix of all ordered pairs, and the profile over the stages.

Axes-level functions of frames: `(frame, *, ax=None, style=…, …) -> Axes`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from ..errors import ConfigError
from . import curvedata as check
from .axes import axes_level, legend_above, text_entry
from .landscape import column_names, finite_columns, name_axes
from .style import MARKERS, drawable

LEVELS = 10  # shades: few enough to be read off the bar
DARK = 0.55  # of the ramp; on darker fields the numbers are written in the colour of the paper


# --- the matrix -------------------------------------------------------------------------------------------------------
def _distances(source) -> dict:
    targets = column_names(source, 1)
    sources = [str(name) for name in getattr(source, "index", ())]
    columns = finite_columns(source, targets)
    if len(sources) != len(columns[0]):
        raise ConfigError("the frame has no names of its rows; give one with an index")
    values = np.array(columns).T
    return {
        "sources": sources,
        "targets": [str(name) for name in targets],
        "values": values.tolist(),
    }


@axes_level(_distances, check.distances)
def plot_distances(data, ax, look, *, title: str | None = None):
    """Draw how far tasks are from each other, source by target: the darker, the farther. Fields of a task with itself have a frame.

    Args:
        source: a frame, a row for each source and a column for each target, of distances.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: there is a gap, or rows have no names.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.distances import plot_distances
        >>> ax = plot_distances(pd.DataFrame([[0.1, 0.5], [0.4, 0.2]], index=["a", "b"], columns=["a", "b"]))
        >>> [text.get_text() for text in ax.texts]
        ['0.10', '0.50', '0.40', '0.20']
    """
    values = np.array(data["values"], float)
    framed = []
    for row, source in enumerate(data["sources"]):
        framed += [(row, at) for at, target in enumerate(data["targets"]) if target == source]
    scale = Normalize(min(0.0, values.min()), max(values.max(), 1e-12))
    draw_matrix(ax, look, values, scale, data["sources"], data["targets"], framed, "distance")
    name_axes(ax, look, "target: whose loss it is", "source: whose network")
    handles = [text_entry("number: distance")]
    if set(data["sources"]) & set(data["targets"]):
        frame = {"color": look.ink, "marker": "s", "linestyle": "none", "markerfacecolor": "none"}
        label = "frame: two networks of one task"
        handles.append(Line2D([], [], label=label, markersize=5 * look.line, **frame))
    return legend_above(ax, look, handles, title, label="source: whose network")


def draw_matrix(
    ax,
    look,
    values: np.ndarray,
    scale: Normalize,
    rows: Sequence[str],
    columns: Sequence[str],
    framed: Sequence[tuple[int, int]],
    unit: str,
) -> None:
    """Draw fields (R, C), the darker the larger, each with its number; those at the places `framed` have a frame.

    Args:
        ax, look: where, and how.
        values: (R, C).
        scale: from the lightest to the darkest.
        rows, columns: their names.
        framed: (row, column) of each.
        unit: what the bar at the side is labelled.
    """
    ramp = look.ramp.resampled(LEVELS)
    ax.imshow(values, cmap=ramp, norm=scale, aspect="auto")
    corners = np.array([[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]]) * 0.46
    for (row, column), value in np.ndenumerate(values):
        color = look.paper if scale(value) > DARK else look.ink
        font = {"fontsize": look.small, "ha": "center", "va": "center", "color": color}
        ax.text(column, row, f"{value:.2f}", parse_math=False, **font)
        if (row, column) in framed:
            pen = {"color": color, "linewidth": 1.2 * look.line}
            ax.plot(column + corners[0], row + corners[1], **pen)
    ax.set_xticks(range(len(columns)), [drawable(name) for name in columns])
    ax.set_yticks(range(len(rows)), [drawable(name) for name in rows])
    ax.grid(False)
    ax.tick_params(length=0)
    bar = ax.figure.colorbar(ScalarMappable(scale, ramp), ax=ax, shrink=0.8, aspect=18)
    bar.set_label(unit)
    bar.outline.set_visible(False)


# --- the profile ------------------------------------------------------------------------------------------------------
def _profile(source) -> dict:
    names = column_names(source, 1)
    return {"names": [str(name) for name in names], "values": finite_columns(source, names)}


@axes_level(_profile, check.profile)
def plot_profile(data, ax, look, *, title: str | None = None):
    """Draw the distance of each pair stage by stage, a line for each.

    Args:
        source: a frame, a row for each stage and a column for each pair.
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
        >>> from mtlnas_lab.viz.distances import plot_profile
        >>> ax = plot_profile(pd.DataFrame({"depth → normals": [0.2, 0.4], "normals → depth": [0.3, 0.3]}))
        >>> ax.get_xlabel()
        'stage'
    """
    colors = look.colors(data["names"])
    dashes = look.lines(data["names"])
    handles = []
    for place, (name, values) in enumerate(zip(data["names"], data["values"])):
        pen = {"color": colors[name], "linestyle": dashes[name], "linewidth": 1.6 * look.line}
        mark = {"marker": MARKERS[place % len(MARKERS)], "markersize": 4.5 * look.line}
        handles += ax.plot(range(len(values)), values, label=drawable(name), **pen, **mark)
    ax.set_xticks(range(len(data["values"][0])))
    ax.set_ylim(bottom=0)
    name_axes(ax, look, "stage", "distance, normalised in the stage")
    return legend_above(ax, look, handles, title, label="distance, normalised in the stage")
