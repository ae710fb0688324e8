"""A table of all graphs as pictures: the front of two losses, ranks, edges, seeds, and what searches find in it.

Axes-level functions of frames, as a table of the truth gives them: `(frame, *, ax=None, style=…, …) -> Axes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ..errors import ConfigError
from . import curvedata as check
from .axes import HUGE, axes_level, is_narrow, legend_above, numbers, side_label, text_entry
from .style import MARKERS, brief, drawable, note

MOST_SEARCHERS = 24  # of one picture
SHADES = (0.12, 0.95)  # of the ramp, from the fewest edges to the most
SIZES = (2.2, 6.5)  # of a point, in widths of a line, likewise
NAMED = 5  # numbers of edges that a legend names
AT_A_CORNER = 0.04  # of the axes' width and height, beside the cross of noise


# --- reading frames ---------------------------------------------------------------------------------------------------
def _column(frame, name: str) -> np.ndarray:
    """Raises ConfigError for a frame without it."""
    try:
        return np.asarray(frame[name], float)
    except (KeyError, TypeError, ValueError, IndexError):
        raise ConfigError(
            f"{brief(type(frame).__name__)} has no column {brief(name)} of numbers; give a frame with it"
        ) from None


def column_names(frame, least: int, without: Sequence[str] = ()) -> list[str]:
    """The columns of a frame, but for those. Raises ConfigError for fewer than `least`."""
    try:
        names = [name for name in list(frame) if name not in without]
    except (AttributeError, TypeError):
        raise ConfigError(f"a {type(frame).__name__} is not a frame; give one of pandas") from None
    if len(names) < least:
        raise ConfigError(f"the frame has {len(names)} columns beside {without}; give {least}")
    return names


def _finite(values: np.ndarray, what: str) -> np.ndarray:
    if not len(values) or not (np.abs(values) < HUGE).all():
        raise ConfigError(f"{what} is empty, or has a gap; draw a table that is finished")
    return values


def finite_columns(frame, names: Sequence[str]) -> list[list]:
    """Columns as lists of numbers. Raises ConfigError where one is missing or has a gap."""
    return [numbers(_finite(_column(frame, name), str(name))) for name in names]


def by_two(frame, third: str) -> dict:
    """The first two columns and a third, which is known by name: what lies at x and y."""
    names = column_names(frame, 2, without=(third,))[:2]
    x, y, values = finite_columns(frame, [*names, third])
    return {"names": [str(name) for name in names], "x": x, "y": y, third: values}


def arrays(data: Mapping, *names: str) -> list[np.ndarray]:
    return [np.array(data[name], float) for name in names]


def name_axes(ax, look, xlabel: str, ylabel: str) -> None:
    """On a narrow page the label of the upright axis stands above the legend."""
    ax.set_xlabel(drawable(xlabel), parse_math=False)
    if not is_narrow(ax, look):
        ax.set_ylabel(side_label(ylabel, ax, look), parse_math=False)


# --- the front of two losses ------------------------------------------------------------------------------------------
def front_of(x: Sequence[float], y: Sequence[float]) -> list[int]:
    """The places of the points that no other beats in x or y without losing in the other, by x. Less is better.

    Example:
        >>> front_of([1, 2, 3, 2], [3, 2, 1, 4])
        [0, 1, 2]
    """
    x = np.asarray(x, float)
    y = np.asarray(y, float)
    front = []
    for place in range(len(x)):
        no_worse = (x <= x[place]) & (y <= y[place])
        better = (x < x[place]) | (y < y[place])
        if not (no_worse & better).any():
            front.append(place)
    return sorted(front, key=lambda place: x[place])


def _front(source, floor: Mapping | None = None, marked: Mapping | None = None) -> dict:
    found = by_two(source, "edges")
    graphs = len(found["x"])
    floor = floor or {}
    places = []
    for name, place in (marked or {}).items():
        if type(place) is not int or not 0 <= place < graphs:
            raise ConfigError(f"marked {brief(name)} is {brief(place)}; give 0 to {graphs - 1}")
        same = [one for one in places if one[1] == place]
        if same:  # two names at one place would cover each other
            same[0][0] += f", {name}"
        else:
            places.append([str(name), place])
    known = column_names(source, 2, without=("edges",))[:2]
    found["floor"] = numbers([floor.get(name, np.nan) for name in known])
    found["marked"] = places
    return found


@axes_level(_front, check.front)
def plot_front(data, ax, look, *, title: str | None = None):
    """Draw every graph by its two losses: the more edges, the darker and the larger; and the front that none beats.

    Args:
        source: a frame, a row for each graph: two columns of losses, whose names name the axes, and `edges`, how many a
            graph has.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        floor: {column: the smallest difference that seeds can show}, drawn as a cross in a corner.
        marked: {name: row} of graphs that are named in the picture.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: a column is missing or has a gap, or a marked row is not there.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.landscape import plot_front
        >>> losses = pd.DataFrame({"depth loss": [3, 2, 1, 3], "edge loss": [1, 2, 3, 3], "edges": [0, 1, 1, 2]})
        >>> ax = plot_front(losses, floor={"depth loss": 0.5, "edge loss": 0.2}, marked={"none": 0})
        >>> ax.get_xlabel(), ax.get_ylabel() or ax.get_legend().get_title().get_text()
        ('depth loss (less is better)', 'edge loss (less is better)')
    """
    x, y, edges = arrays(data, "x", "y", "edges")
    handles = draw_graphs(ax, look, x, y, edges, set(edges.tolist()))
    front = front_of(x, y)
    line = {"color": look.task_colors[5], "linewidth": 1.4 * look.line, "zorder": 2}
    label = f"front: {len(front)} graphs that none beats"
    handles += ax.step(x[front], y[front], where="post", label=label, **line)
    _cross(ax, look, data["floor"], handles)
    for name, place in data["marked"]:
        _mark(ax, look, name, x[place], y[place], x.mean())
    xlabel, ylabel = (f"{name} (less is better)" for name in data["names"])
    name_axes(ax, look, xlabel, ylabel)
    return legend_above(ax, look, handles, title, label=ylabel)


def draw_graphs(ax, look, x, y, edges, every: set[float]) -> list[Line2D]:
    """Dots, by how many edges there are, of the numbers that `every` holds; handles of some of the numbers."""
    counts = sorted(every)
    share = {count: place / max(len(counts) - 1, 1) for place, count in enumerate(counts)}
    handles = []
    for count in counts:
        chosen = edges == count
        if not chosen.any():
            continue
        color = to_hex(look.ramp(SHADES[0] + share[count] * (SHADES[1] - SHADES[0])))
        size = look.line * (SIZES[0] + share[count] * (SIZES[1] - SIZES[0]))
        dots = {"color": color, "markersize": size, "markeredgecolor": look.paper}
        dots |= {"marker": "o", "linestyle": "none", "markeredgewidth": 0.3 * look.line}
        handles += ax.plot(x[chosen], y[chosen], label=_edges_in_words(count), zorder=3, **dots)
    if len(handles) > NAMED:
        places = np.linspace(0, len(handles) - 1, NAMED).round().astype(int)
        handles = [handles[place] for place in places]
    return handles


def _edges_in_words(count: float) -> str:
    return "1 edge" if count == 1 else f"{count:g} edges"


def _cross(ax, look, floor: Sequence, handles: list) -> None:
    """The smallest differences, as a cross in the upper right corner; one that is not known is left out."""
    arms = [value or 0.0 for value in floor]
    if not any(arms):
        return
    left, right = ax.get_xlim()
    low, high = ax.get_ylim()
    x = right - AT_A_CORNER * (right - left) - arms[0] / 2
    y = high + arms[1] / 2
    ax.set_ylim(low, y + arms[1] / 2 + AT_A_CORNER * (high - low))  # a strip of its own
    pen = {"color": look.ink, "linewidth": 1.2 * look.line, "capsize": 2 * look.line, "fmt": "none"}
    label = "smallest differences that the seeds show"
    ax.errorbar(x, y, xerr=arms[0] / 2, yerr=arms[1] / 2, zorder=4, **pen)
    cross = {"color": look.ink, "marker": "+", "linestyle": "none", "markersize": 6 * look.line}
    handles.append(Line2D([], [], label=label, **cross))


def _mark(ax, look, name: str, x: float, y: float, middle: float) -> None:
    """A ring around a point and its name, on the side where more room is."""
    ring = {"markerfacecolor": "none", "markeredgecolor": look.ink, "linestyle": "none"}
    ring |= {"markersize": 8.5 * look.line, "markeredgewidth": look.line, "marker": "o"}
    ax.plot([x], [y], zorder=5, **ring)
    right = x <= middle
    place = {"xytext": (-0.8 * look.small, 0.6 * look.small), "ha": "right"}
    if right:
        place = {"xytext": (0.8 * look.small, 0.6 * look.small), "ha": "left"}
    place |= {"textcoords": "offset points", "parse_math": False, "zorder": 6}
    font = {"fontsize": look.small, "fontweight": "bold", "color": look.ink}
    behind = {"facecolor": look.paper, "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
    ax.annotate(drawable(name), (x, y), bbox=behind, **place, **font)


# --- ranks ------------------------------------------------------------------------------------------------------------
def _ranks(source) -> dict:
    return by_two(source, "rank")


@axes_level(_ranks, check.ranks)
def plot_ranks(data, ax, look, *, title: str | None = None):
    """Draw every graph as a square in the field of its two counts of edges: the better its rank, the darker.

    In each field the best graph stands first, at the top left; the number is the field's mean rank.

    Args:
        source: a frame, a row for each graph: two columns of counts, whose names name the axes (as in "edges into depth"),
            and `rank`, 1 for the best.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: a column is missing or has a gap.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.landscape import plot_ranks
        >>> counts = {"edges into depth": [0, 0, 1, 1], "edges into normals": [0, 1, 0, 1]}
        >>> ax = plot_ranks(pd.DataFrame({**counts, "rank": [4, 1, 3, 2]}))
        >>> [text.get_text() for text in ax.texts]
        ['4', '1', '3', '2']
    """
    x, y, rank = arrays(data, "x", "y", "rank")
    fields = sorted(set(zip(x.tolist(), y.tolist())))
    fullest = max(int(((x == i) & (y == j)).sum()) for i, j in fields)
    side = math.ceil(math.sqrt(fullest))
    scale = Normalize(1, rank.max())
    for i, j in fields:
        own = np.sort(rank[(x == i) & (y == j)])
        _field(ax, look, i, j, own, side, scale)
    ax.set(xlim=(x.min() - 0.5, x.max() + 0.5), ylim=(y.min() - 0.5, y.max() + 0.5))
    ax.set(xticks=sorted(set(x.tolist())), yticks=sorted(set(y.tolist())))
    ax.grid(False)
    ax.tick_params(length=0)
    colors = ScalarMappable(scale, look.ramp.reversed())
    bar = ax.figure.colorbar(colors, ax=ax, shrink=0.8, aspect=18, pad=0.03)
    bar.set_label("rank (1: best)")
    bar.outline.set_visible(False)
    bar.ax.invert_yaxis()
    name_axes(ax, look, *data["names"])
    square = {"marker": "s", "linestyle": "none", "color": look.ramp(0.9)}
    handles = [Line2D([], [], label="a graph, the best of its field first", **square)]
    handles.append(text_entry("number: mean rank of its field"))
    return legend_above(ax, look, handles, title, label=data["names"][1])


def _field(ax, look, i: float, j: float, ranks: np.ndarray, side: int, scale) -> None:
    """The squares of one field, row by row, and below them their mean rank."""
    wide = 0.8 / side
    high = 0.6 / side
    places = np.arange(len(ranks))
    x = i - 0.4 + wide * (places % side)
    y = j + 0.43 - high * (places // side + 1)
    ax.add_patch(_rectangle(i - 0.47, j - 0.47, 0.94, 0.94, look.shade))
    for left, bottom, rank in zip(x, y, ranks):
        color = look.ramp(1 - float(scale(rank)))
        ax.add_patch(_rectangle(left, bottom, 0.9 * wide, 0.88 * high, color))
    mean = {"fontsize": look.small, "color": look.ink, "ha": "center", "va": "center"}
    ax.text(i, j - 0.33, f"{ranks.mean():.0f}", parse_math=False, **mean)


def _rectangle(x: float, y: float, width: float, height: float, color) -> Rectangle:
    return Rectangle((x, y), width, height, facecolor=color, linewidth=0)


# --- edges ------------------------------------------------------------------------------------------------------------
def _effects(source, score: str, half: Mapping | None = None, groups: Sequence | None = None):
    seeds = column_names(source, 1)
    edges = [str(edge) for edge in getattr(source, "index", ())]
    if not edges:
        raise ConfigError(
            "the frame has no edges; give one with a row for each, named by its index"
        )
    groups = [""] * len(edges) if groups is None else [str(group) for group in groups]
    if len(groups) != len(edges):
        raise ConfigError(f"{len(groups)} groups of {len(edges)} edges; give one for each edge")
    half = half or {}
    return {
        "score": str(score),
        "edges": edges,
        "groups": groups,
        "seeds": [str(seed) for seed in seeds],
        "effect": finite_columns(source, seeds),
        "half": numbers([half.get(edge, np.nan) for edge in edges]),
    }


@axes_level(_effects, check.effects)
def plot_effects(data, ax, look, *, title: str | None = None):
    """Draw what opening each edge does to a loss: left of 0 it helps. Every seed a small dot, the mean a large one.

    Args:
        source: a frame, a row for each edge and a column for each seed: the mean loss of the graphs with the edge minus that
            of the graphs without it.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        score: what the loss is called.
        half: {edge: half of an interval around its mean}.
        groups: for each edge what it belongs to, as the task it leads into; each group has a colour and a shape.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: the frame has a gap, or there is not a group for each edge.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.landscape import plot_effects
        >>> effects = pd.DataFrame({0: [-0.2, 0.1], 1: [-0.3, 0.0]}, index=["a:0 -> b:0", "b:0 -> a:0"])
        >>> ax = plot_effects(effects, score="total loss", groups=["into b", "into a"])
        >>> ax.get_xlabel()
        'total loss: with the edge − without it'
    """
    effect = np.array(data["effect"], float)  # (seeds, edges)
    rows = np.arange(len(data["edges"]))
    groups = list(dict.fromkeys(data["groups"]))
    colors = look.colors(groups)
    handles = []
    offsets = np.linspace(-0.18, 0.18, len(effect))
    half = np.nan_to_num(np.array(data["half"], float))
    for place, group in enumerate(groups):
        own = np.array([one == group for one in data["groups"]])
        pen = {"color": colors[group], "marker": MARKERS[place % len(MARKERS)], "linestyle": "none"}
        small = {"markersize": 2.6 * look.line, "alpha": 0.7, **pen}
        if len(effect) > 1:  # the one dot would lie below the mean
            for values, offset in zip(effect, offsets):
                ax.plot(values[own], rows[own] + offset, **small)
        mean = effect.mean(0)
        bars = {"capsize": 2.5 * look.line, "elinewidth": look.line, "zorder": 4}
        large = {"markersize": 6.5 * look.line, "markeredgecolor": look.ink, **pen, **bars}
        label = f"{group}: mean".removeprefix(": ")
        if half.any():
            label += ", 95 % interval"
        handles.append(ax.errorbar(mean[own], rows[own], xerr=half[own], label=label, **large))
    dot = {"color": look.soft, "marker": "o", "linestyle": "none", "markersize": 2.6 * look.line}
    if len(effect) > 1:
        handles.append(Line2D([], [], label="each seed", **dot))
    ax.axvline(0, color=look.soft, linewidth=look.line, linestyle=":")
    names = [drawable(edge.replace("->", "→")) for edge in data["edges"]]
    ax.set_yticks(rows, names, parse_math=False)
    ax.set(ylim=(len(rows) - 0.5, -0.5))
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(f"{drawable(data['score'])}: with the edge − without it", parse_math=False)
    return legend_above(ax, look, handles, title)


# --- seeds ------------------------------------------------------------------------------------------------------------
def _seeds(source, score: str, floor: float | None = None) -> dict:
    names = column_names(source, 2)
    values = np.array(finite_columns(source, names))  # (seeds, graphs)
    own = values.mean(1, keepdims=True)  # a seed's own effect is the same for every graph
    values = values - own + own.mean()
    order = values.mean(0).argsort(kind="stable")
    return {
        "score": str(score),
        "seeds": [str(name) for name in names],
        "values": [numbers(row) for row in values[:, order]],
        "floor": numbers([np.nan if floor is None else floor]),
    }


@axes_level(_seeds, check.seeds)
def plot_seeds(data, ax, look, *, title: str | None = None):
    """Draw the same graphs under different seeds, sorted by their mean: how far chance blurs a table.

    Args:
        source: a frame, a row for each graph and a column for each seed. A seed's own effect, which is the same for every
            graph, is taken off.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        score: what was measured.
        floor: the smallest difference of two means that the seeds can show, drawn as a bar.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: there are fewer than two seeds, or there is a gap.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.landscape import plot_seeds
        >>> ax = plot_seeds(pd.DataFrame({0: [1.0, 2.0], 1: [1.5, 2.1]}), score="total loss", floor=0.3)
        >>> ax.get_xlabel()
        'graphs, by their mean'
    """
    values = np.array(data["values"], float)
    place = np.arange(1, values.shape[1] + 1)
    colors = look.colors(data["seeds"])
    handles = []
    for turn, (seed, row) in enumerate(zip(data["seeds"], values)):
        dots = {"color": colors[seed], "marker": MARKERS[turn % len(MARKERS)], "linestyle": "none"}
        size = {"markersize": 2.2 * look.line, "alpha": 0.8, "markeredgewidth": 0}
        handles += ax.plot(place, row, label=f"seed {seed}", **dots, **size)
    line = {"color": look.ink, "linewidth": 1.6 * look.line, "label": "mean over the seeds"}
    handles += ax.plot(place, values.mean(0), **line)
    (floor,) = data["floor"]
    if floor:
        pen = {"color": look.ink, "capsize": 3 * look.line, "elinewidth": 1.4 * look.line}
        low, high = ax.get_ylim()
        at = high - floor / 2 - 0.04 * (high - low)
        label = "smallest difference that they show"
        bar = ax.errorbar(0.06 * len(place), at, yerr=floor / 2, fmt="none", label=label, **pen)
        handles.append(bar)
    ax.set(xlim=(0, len(place) + 1))
    label = f"{data['score']}, seeds' effects off"
    name_axes(ax, look, "graphs, by their mean", label)
    return legend_above(ax, look, handles, title, label=label)


# --- searches ---------------------------------------------------------------------------------------------------------
def _regret(source, score: str = "", floor: float | None = None) -> dict:
    spent = _finite(_column(source, "spent"), "spent")
    regret = _finite(_column(source, "regret"), "regret")
    names = [str(name) for name in source["searcher"]]
    seeds = [str(seed) for seed in source["seed"]]
    curves: dict[str, dict[str, list]] = {}
    for name, seed, x, y in zip(names, seeds, spent.tolist(), regret.tolist()):
        curves.setdefault(name, {}).setdefault(seed, []).append([x, y])
    for searches in curves.values():
        for seed, points in searches.items():
            searches[seed] = sorted(points, key=lambda point: point[0])
    return {
        "score": str(score),
        "curves": curves,
        "floor": numbers([np.nan if floor is None else floor]),
    }


@axes_level(_regret, check.regret)
def plot_regret(data, ax, look, *, title: str | None = None):
    """Draw how much worse than the best graph each searcher's answer is, by what it has spent: seeds thin, the mean bold.

    The mean begins where each of a searcher's searches has an answer.

    Args:
        source: a frame, a row for each answer: searcher, seed, spent (plain training steps so far), regret.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        score: what the regret is counted in, as "total loss".
        floor: regret below it cannot be told from 0, drawn as a band.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        ConfigError: a column is missing or has a gap.

    Example:
        >>> import pandas as pd
        >>> from mtlnas_lab.viz.landscape import plot_regret
        >>> rows = {"searcher": ["random"] * 3, "seed": [0, 0, 1], "spent": [300, 600, 300], "regret": [0.5, 0.1, 0.3]}
        >>> ax = plot_regret(pd.DataFrame(rows), score="total loss")
        >>> ax.get_xlabel()
        'spent, plain training steps'
    """
    shown = list(data["curves"])[:MOST_SEARCHERS]
    if len(shown) < len(data["curves"]):
        note(f"{len(data['curves']) - len(shown)} searchers are not drawn")
    end = max(points[-1][0] for one in data["curves"].values() for points in one.values())
    colors = look.colors(shown)
    dashes = look.lines(shown)
    handles = []
    for place, name in enumerate(shown):
        searches = list(data["curves"][name].values())
        pen = {"color": colors[name], "linestyle": dashes[name]}
        for points in searches:
            x, y = np.array([*points, [end, points[-1][1]]]).T
            ax.step(x, y, where="post", linewidth=0.7 * look.line, alpha=0.45, **pen)
        x, mean = mean_curve(searches, end)
        mark = {"marker": MARKERS[place % len(MARKERS)], "markersize": 4.5 * look.line}
        label = f"{name} ({len(searches)} {'seed' if len(searches) == 1 else 'seeds'})"
        bold = {"linewidth": 2 * look.line, "markevery": max(1, len(x) // 6), "label": label}
        handles += ax.step(x, mean, where="post", zorder=3, **bold, **pen, **mark)
    (floor,) = data["floor"]
    if floor:
        band = {"color": look.soft, "alpha": 0.2, "linewidth": 0, "zorder": 1}
        handles.append(ax.axhspan(0, floor, label="cannot be told from the best", **band))
    ax.set(xlim=(0, end))
    label = f"regret, {data['score']}" if data["score"] else "regret"
    name_axes(ax, look, "spent, plain training steps", label)
    return legend_above(ax, look, handles, title, label=label)


def mean_curve(searches: Sequence[Sequence], end: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the answers of several searches change, and the mean of the answers from there on.

    Args:
        searches: each a list of [spent, regret], by what was spent.
        end: the curve goes on to it.

    Example:
        >>> x, y = mean_curve([[[1, 4.0], [3, 2.0]], [[2, 0.0]]], end=5)
        >>> x.tolist(), y.tolist()
        ([2.0, 3.0, 5.0], [2.0, 1.0, 1.0])
    """
    first = max(points[0][0] for points in searches)
    changes = {float(spent) for points in searches for spent, _ in points if spent >= first}
    x = np.array(sorted({*changes, float(end)}))
    answers = []
    for points in searches:
        spent, regret = np.array(points, float).T
        answers.append(regret[np.searchsorted(spent, x, side="right") - 1])
    return x, np.mean(answers, axis=0)
