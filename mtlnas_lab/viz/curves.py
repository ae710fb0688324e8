"""A search as curves: axes-level functions of an event log, `(log, *, ax=None, style=…, …) -> Axes`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from ..core.relaxation import entropies as edge_entropy
from ..core.relaxation import probabilities as gates
from ..errors import ConfigError, RunError
from ..runs.event_log import EventLog
from ..tasks.metric_names import direction_of, label_of, name_of
from . import curvedata as check
from .axes import (
    HUGE,
    axes_level,
    is_narrow,
    legend_above,
    numbers,
    side_label,
    size_of,
    text_entry,
)
from .seeing import percent
from .sources import evenly, read_log
from .style import MARKERS, PT, brief, drawable, note, shorten, text_width

MOST = 1000  # lines of single edges have about so many points at most, more than a page can show
MOST_LINES = 2000  # of single edges
MOST_TASKS = 64  # of one picture of losses
MOST_TURNED = 200  # lines where knobs were turned
KNOBS = {
    "entropy_weight": "λ",
    "l1_weight": "L1",
    "temperature": "τ",
    "alpha_lr": "α rate",
    "weight_lr": "w rate",
}
# What is evaluated: name, marker, line, shade.
GATES = {
    "soft": ("soft gates", "o", "--", 0.3),
    "hard": ("hard gates", "s", "-", 0.55),
    "hard_recalibrated": ("hard gates, recalibrated", "^", "-", 0.9),
}


def _steps(source, edges: bool = True) -> EventLog:
    log = read_log(source)
    if not log.steps:
        raise RunError("the log has no step yet, so there is no curve; wait for the first steps")
    if edges and not log.alpha.shape[1]:
        raise RunError(
            "the log has no edges (it is of a pretraining), so there are no gates to draw; use plot_losses"
        )
    return log


def _base(log: EventLog) -> dict:
    """What every curve over the steps needs: the steps, and what was turned at which."""
    turned = []
    for event in log.turned:
        texts = [_knob_text(knob, value) for knob, value in event.knobs.items()]
        turned.append([event.step, ", ".join(texts)])
    return {"step": numbers(log.column("step")), "turned": turned}


def _knob_text(knob: str, value) -> str:
    name = KNOBS.get(knob, knob)
    if isinstance(value, (int, float)):
        return f"{name} = {value:g}"
    if knob == "visibility" and isinstance(value, Mapping):
        return ", ".join(_eyes_text(task, share) for task, share in value.items())
    return name


def _eyes_text(task: str, share) -> str:
    """What covering the eyes of a network by so much is called; a schedule has no number."""
    if isinstance(share, (int, float)):
        return f"{task} sees {percent(share)}"
    return f"visibility of {task}"


def _array(values) -> np.ndarray:
    found = np.array(values, float)  # None becomes NaN
    return np.where(np.abs(found) < HUGE, found, np.nan)


def _line(ax, x, y, **look) -> list[Line2D]:
    """A curve with a gap where y is NaN; a point between two gaps is a dot, for a line would not show it."""
    x = np.asarray(x, float)
    y = _array(y)
    there = np.concatenate([[False], np.isfinite(y), [False]])
    alone = there[1:-1] & ~there[:-2] & ~there[2:]
    if not alone.any():
        return ax.plot(x, y, **look)
    size = 1.6 * look["linewidth"]
    return ax.plot(x, y, marker="o", markevery=alone, markersize=size, markeredgewidth=0, **look)


def _some(items: list, most: int) -> list:
    """At most so many of the items, evenly spaced, first and last among them."""
    if len(items) <= most:
        return items
    return [items[i] for i in evenly(len(items), most)]


# --- parts of a picture -----------------------------------------------------------------------------------------------
def _finish(ax, look, data, ylabel, handles, title, rise: float = 0) -> float:
    """Names the axes and adds the legend; returns how many mm it is high."""
    narrow = is_narrow(ax, look)
    ax.set(xlim=(0, max(data["step"][-1], 1)))
    if narrow:  # the label of the upright axis stands above the legend
        ax.set_xlabel("search step", loc="right")
    else:
        ax.set_xlabel("search step", loc="center")
        ax.set_ylabel(side_label(ylabel, ax, look), parse_math=False)
    ax.xaxis.get_major_locator().set_params(integer=True)
    return legend_above(ax, look, handles, title, rise, ylabel)


def _turned(data, ax, look) -> list[Line2D]:
    """A line where knobs were turned; the handle for the legend."""
    dots = {"color": look.soft, "linewidth": look.line, "linestyle": (0, (1, 1.5))}
    steps = sorted({step for step, _ in data["turned"]})
    if not steps:
        return []
    for step in _some(steps, MOST_TURNED):
        ax.axvline(step, zorder=1.5, **dots)
    text = "knob turned"
    if len(steps) > MOST_TURNED:
        text = f"knob turned ({len(steps)} times, {MOST_TURNED} drawn)"
    return [Line2D([], [], label=text, **dots)]


def _turned_to(data, ax, look) -> float:
    """What was turned, above its line as far as there is room; how many points that needs."""
    if not data["turned"]:
        return 0
    end = -np.inf  # of the text before, in steps
    page = size_of(ax)[0]
    for step, text in data["turned"]:
        if step <= end:
            continue
        text = shorten(text, look.small, page / 2)
        room = text_width(text, look.small) / page * data["step"][-1]
        if step - room / 2 > end:
            ax.annotate(
                text,
                (step, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 0.25 * look.small),
                textcoords="offset points",
                fontsize=look.small,
                color=look.soft,
                ha="center",
                parse_math=False,
            )
            end = step + 0.6 * room
    return 1.2 * look.small


def _more_tasks(count: int) -> list[Line2D]:
    """The entry of a legend that says how many tasks there was no room for."""
    if count <= MOST_TASKS:
        return []
    return [text_entry(f"{count - MOST_TASKS} more tasks are not drawn")]


# --- gates ------------------------------------------------------------------------------------------------------------
def _entropy(source) -> dict:
    log = _steps(source)
    entropy = edge_entropy(log.alpha)
    low, high = np.quantile(entropy, (0.1, 0.9), axis=1)
    found = _base(log)
    found["mean"] = numbers(entropy.mean(1))
    found["low"] = numbers(low)
    found["high"] = numbers(high)
    found["weight"] = numbers(log.column("entropy_weight"))
    return found


@axes_level(_entropy, check.entropy)
def plot_entropy(data, ax, look, *, weight: bool = True, title: str | None = None):
    """Draw the mean entropy of the edges over the steps: how undecided a search is.

    In nats, with the band that holds 80 % of the edges, and λ on a thin axis of its own.
    The entropy of an edge is H(p) = −p ln p − (1 − p) ln(1 − p) with p = σ(α): ln 2 where nothing is decided.

    Args:
        source: an EventLog, a Run or its folder.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        weight: draws λ, the weight of the entropy, too.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        RunError: for a log without a step, or without edges.

    Example:
        >>> from mtlnas_lab import EventLog, plot_entropy
        >>> from mtlnas_lab.core.events import Step
        >>> # step, α, its gradient and losses, then what a search also notes
        >>> steps = [Step(i, (0.1 * i, -0.1 * i), (0, 0), {"depth": 1 / i}, 0, 0, 0, 0, 1, 0, 0) for i in (1, 2)]
        >>> log = EventLog(steps)
        >>> ax = plot_entropy(log, title="Entropy")
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('search step', 'entropy, nats')
    """
    steps = data["step"]
    mean = {"color": look.ramp(0.62), "linewidth": 2 * look.line, "label": "mean over edges"}
    band = {"color": look.ramp(0.3), "alpha": 0.35, "linewidth": 0, "label": "80 % of the edges"}
    undecided = {"color": look.soft, "linewidth": look.line, "linestyle": "--"}
    handles = ax.plot(steps, _array(data["mean"]), **mean)
    handles.append(ax.fill_between(steps, _array(data["low"]), _array(data["high"]), **band))
    handles.append(ax.axhline(np.log(2), label="undecided: ln 2", **undecided))
    handles += _turned(data, ax, look)
    if weight and is_narrow(ax, look) and look.width < 5 * look.font:
        note("the weight λ is not drawn: there is no room for an axis of its own")
        weight = False
    if weight:
        handles += _weight(data, ax, look)
    ax.set_ylim(0, 0.78)  # a little above ln 2
    return _finish(ax, look, data, "entropy, nats", handles, title, _turned_to(data, ax, look))


def _weight(data, ax, look) -> list[Line2D]:
    """λ on an axis of its own; its handle for the legend."""
    twin = ax.twinx()
    weights = _array(data["weight"])
    highest = 1.12 * np.nanmax(weights, initial=0) or 1
    drawn = twin.plot(
        data["step"],
        weights,
        color=look.task_colors[5],
        linewidth=look.line,
        label="weight λ",
    )
    twin.set(ylim=(0, highest))
    if not is_narrow(ax, look):
        twin.set(ylabel="entropy weight λ")
    twin.spines["right"].set_visible(True)
    twin.grid(False)
    return drawn


def _gates(source) -> dict:
    log = _steps(source)
    last = len(log.steps) - 1
    every = max(1, len(log.steps) // MOST)
    rows = np.unique(np.append(np.arange(0, len(log.steps), every), last))
    found = _base(log)
    found["rows"] = numbers(log.column("step")[rows])
    found["kept"] = (log.alpha[-1] > 0).tolist()
    found["p"] = [numbers(row, 4) for row in gates(log.alpha[rows])]
    return found


@axes_level(_gates, check.gates)
def plot_gates(data, ax, look, *, title: str | None = None):
    """Draw σ(α) of every edge over the steps: dark where the edge is kept in the end, pale where it is dropped.

    Args:
        source: an EventLog, a Run or its folder.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        RunError: for a log without a step, or without edges.

    Example:
        >>> from mtlnas_lab import EventLog, plot_gates
        >>> from mtlnas_lab.core.events import Step
        >>> # step, α, its gradient and losses, then what a search also notes
        >>> steps = [Step(i, (0.1 * i, -0.1 * i), (0, 0), {"depth": 1 / i}, 0, 0, 0, 0, 1, 0, 0) for i in (1, 2)]
        >>> log = EventLog(steps)
        >>> ax = plot_gates(log)
        >>> dropped, kept = ax.collections
        >>> len(dropped.get_segments()), len(kept.get_segments())
        (1, 1)
    """
    p = _array(data["p"])
    kept = np.array(data["kept"])
    handles: list[Line2D] = []
    for keep, name, shade in ((False, "dropped", look.ramp(0.22)), (True, "kept", look.ramp(0.72))):
        every = p[:, kept == keep].T
        shown = _some(list(every), MOST_LINES // 2)
        lines = [np.column_stack([data["rows"], line]) for line in shown]
        thin = {"colors": [shade], "linewidths": 1.1 * look.line, "alpha": 0.8}
        ax.add_collection(LineCollection(lines, zorder=2 + keep, **thin))
        label = f"{name} in the end ({len(every)})"
        if len(every) > len(shown):
            label = f"{name} in the end ({len(every)}, {len(shown)} drawn)"
        handles.insert(0, Line2D([], [], color=shade, linewidth=1.8 * look.line, label=label))
    ax.axhline(0.5, color=look.soft, linewidth=look.line, linestyle="--")
    ax.set_ylim(-0.03, 1.03)
    handles += _turned(data, ax, look)
    return _finish(ax, look, data, "edge probability σ(α)", handles, title)


def _collapse(source, rows: int = 10) -> dict:
    log = _steps(source)
    if type(rows) is not int or not 1 <= rows <= 200:
        raise ConfigError(f"rows={brief(rows)}; give a whole number from 1 to 200")
    picked = evenly(len(log.steps), rows)
    return {
        "step": numbers(log.column("step")[picked]),
        "p": [numbers(row) for row in gates(log.alpha[picked])],
    }


@axes_level(_collapse, check.collapse)
def plot_collapse(data, ax, look, *, title: str | None = None):
    """How the gates leave the middle: the distribution of σ(α) over the edges at `rows` steps, one ridge each."""
    steps = data["step"]
    last = max(len(steps) - 1, 1)
    shades = [look.ramp(0.15 + 0.75 * place / last) for place in range(len(steps))]
    x = np.linspace(0, 1, 241)
    for place, (row, shade) in enumerate(zip(data["p"], shades)):
        density = _density(_array(_some(row, 50 * MOST)), x)
        ridge = 1.9 * density / max(density.max(), 0.4)
        ax.fill_between(
            x,
            -place,
            ridge - place,
            facecolor=shade,
            alpha=0.92,
            edgecolor=look.paper,
            linewidth=look.line,
            zorder=3 + 0.01 * place,  # later steps stand in front
        )
    narrow = is_narrow(ax, look)
    row_mm = size_of(ax)[1] / (len(steps) + 1.1)
    every = max(1, math.ceil(1.1 * look.small * PT / row_mm))  # so many ridges that numbers fit
    marked = range(0, len(steps), every)
    ax.set(xlim=(0, 1), ylim=(-len(steps) + 0.9, 2.0))
    ax.set_yticks([-place for place in marked], [f"{steps[place]:g}" for place in marked])
    if narrow:
        ax.set_xlabel("σ(α)", loc="right")
    else:
        ax.set_xlabel("edge probability σ(α)", loc="center")
        ax.set_ylabel("search step")
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    wide = {"linewidth": 4 * look.line}
    early = Line2D([], [], color=shades[0], label="early: share of edges", **wide)
    late = Line2D([], [], color=shades[-1], label="late: share of edges", **wide)
    return legend_above(ax, look, [early, late], title, label="by search step")


def _density(p: np.ndarray, x: np.ndarray, width: float = 0.035) -> np.ndarray:
    """A kernel estimate at x of the density of p, mirrored at 0 and 1, so that no weight is lost outside."""
    p = p[:, None]
    kernels = 0
    for mirrored in (p, -p, 2 - p):
        kernels = kernels + np.exp(-0.5 * ((x - mirrored) / width) ** 2)
    return kernels.mean(0)


# --- losses and scores ------------------------------------------------------------------------------------------------
def _losses(source) -> dict:
    log = _steps(source, edges=False)
    found = _base(log)
    found["loss"] = {task: numbers(loss) for task, loss in log.loss.items()}
    return found


@axes_level(_losses, check.losses)
def plot_losses(data, ax, look, *, window: int | None = None, title: str | None = None):
    """Draw the loss of each task over the steps: every step pale, the mean over a window strong.

    Where no batch of a window had a label of a task, its curve has a gap. Of more than 64 tasks the first are drawn.

    Args:
        source: an EventLog, a Run or its folder; also of a pretraining.
        ax: axes to draw on; by default a figure of its own.
        style: a name of `STYLES`, or a FigureStyle.
        height: mm of a figure of its own; by default the golden section of its width.
        window: steps over which the mean goes; by default a 30th of the run.
        title: above the picture.

    Returns:
        The matplotlib axes.

    Raises:
        RunError: for a log without a step.

    Example:
        >>> from mtlnas_lab import EventLog, plot_losses
        >>> from mtlnas_lab.core.events import Step
        >>> # step, α, its gradient and losses, then what a search also notes
        >>> steps = [Step(i, (0.1 * i, -0.1 * i), (0, 0), {"depth": 1 / i}, 0, 0, 0, 0, 1, 0, 0) for i in (1, 2)]
        >>> log = EventLog(steps)
        >>> ax = plot_losses(log, window=2)
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['depth']
    """
    steps = data["step"]
    window = min(window or max(1, len(steps) // 30), len(steps))
    colors = look.colors(data["loss"])
    lines = look.lines(data["loss"])
    handles: list[Line2D] = []
    for task in list(data["loss"])[:MOST_TASKS]:
        loss = _array(data["loss"][task])
        color = colors[task]
        _line(ax, steps, loss, color=color, linewidth=0.7 * look.line, alpha=0.35)
        strong = {"color": color, "linewidth": 2 * look.line, "linestyle": lines[task]}
        label = task if np.isfinite(loss).any() else f"{task}: never labelled"
        handles += _line(ax, steps[window - 1 :], _smooth(loss, window), label=label, **strong)
    handles += _more_tasks(len(data["loss"]))
    handles += _turned(data, ax, look)
    return _finish(ax, look, data, "loss of the task", handles, title)


def _smooth(values: np.ndarray, window: int) -> np.ndarray:
    """The mean over each window, of what is not NaN; NaN where nothing is."""
    ones = np.ones(window)
    sums = np.convolve(np.nan_to_num(values), ones, "valid")
    counts = np.convolve(np.isfinite(values), ones, "valid")
    return np.where(counts > 0.5, sums / np.maximum(counts, 1), np.nan)


def _evaluations(source) -> dict:
    """The steps of the evaluations, and every score there: {gate: {task: {metric: list}}}."""
    log = read_log(source)
    if not log.evaluated:
        raise RunError(
            "the log has no evaluation, so there are no scores to draw; evaluate during the search"
        )
    empty = [None] * len(log.evaluated)
    found: dict[str, dict] = {}
    for place, event in enumerate(log.evaluated):
        for gate in GATES:
            for task, scores in event.scores.get(gate, {}).items():
                metrics = found.setdefault(gate, {}).setdefault(task, {})
                for metric, value in scores.items():
                    row = metrics.setdefault(metric, list(empty))
                    row[place] = numbers([value])[0]
    return {"step": numbers([event.step for event in log.evaluated]), "scores": found}


def _tasks(data) -> dict[str, list[str]]:
    """{task: its metrics}"""
    there: dict[str, list[str]] = {}
    for tasks in data["scores"].values():
        for task, metrics in tasks.items():
            there.setdefault(task, list(metrics))
    return there


def _score(data, gate: str, task: str, metric: str) -> np.ndarray:
    """One score at every evaluation; NaN where it was not measured."""
    found = data["scores"].get(gate, {}).get(task, {}).get(metric)
    return _array(found or [None] * len(data["step"]))


@axes_level(_evaluations, check.scores)
def plot_scores(
    data, ax, look, *, task: str | None = None, metric: str | None = None, title: str | None = None
):
    """One metric of one task (the first by default) at every evaluation, under soft, hard and recalibrated gates."""
    there = _tasks(data)
    task = task or next(iter(there), None)
    metrics = there.get(task, [])
    if not metric and metrics:
        metric = metrics[0]
    if metric not in metrics:
        known = "; ".join(f"{name}: {', '.join(metrics)}" for name, metrics in there.items())
        raise RunError(f"there are no scores {metric!r} of {task!r}; there are {known or 'none'}")
    handles: list[Line2D] = []
    for gate, (name, marker, line, shade) in GATES.items():
        values = _score(data, gate, task, metric)
        if np.isfinite(values).any():
            handles += ax.plot(
                data["step"],
                values,
                marker=marker,
                markersize=4 * look.line,
                linestyle=line,
                color=look.ramp(shade),
                label=name,
                clip_on=False,
            )
    label = f"{drawable(task)}\n{drawable(label_of(metric))}"
    return _finish(ax, look, data, label, handles, title)


@axes_level(_evaluations, check.scores)
def plot_gap(data, ax, look, *, title: str | None = None):
    """What discretizing costs: by how many % of soft hard is worse, first metric of each task; below 0, it is better."""
    there = _tasks(data)
    colors = look.colors(there)
    size = 3.5 * look.line
    handles: list[Line2D] = []
    recalibrated = False  # whether one is drawn
    for place, (task, metrics) in enumerate(list(there.items())[:MOST_TASKS]):
        color = colors[task]
        dots = {"color": color, "markersize": size, "clip_on": False}
        entry = {"color": color, "linewidth": 2 * look.line, "markersize": size}
        marker = MARKERS[place // 8 * 2 % len(MARKERS)]
        hard = _gap(data, "hard", task, metrics[0])
        again = _gap(data, "hard_recalibrated", task, metrics[0])
        if np.isfinite(hard).any():
            ax.plot(data["step"], hard, "-", marker=marker, **dots)
        if np.isfinite(again).any():
            ax.plot(data["step"], again, ":", marker="s", **dots)
            recalibrated = True
        if place >= 8:  # colours come again, and the shape tells tasks apart
            entry["marker"] = marker
        handles.append(Line2D([], [], label=f"{task}, {name_of(metrics[0])}", **entry))
    ax.axhline(0, color=look.soft, linewidth=look.line)
    handles += _more_tasks(len(there))
    if recalibrated:
        dotted = {"color": look.soft, "linestyle": ":", "marker": "s", "markersize": size}
        handles.append(Line2D([], [], label="recalibrated", **dotted))
    return _finish(ax, look, data, "gap, % of soft (+: hard is worse)", handles, title)


def _gap(data, gate: str, task: str, metric: str) -> np.ndarray:
    """What hard loses against soft, in % of |soft|: positive where hard is worse, whichever way the metric counts."""
    better = direction_of(metric) or 1  # of a metric of one's own, more is better
    soft = _score(data, "soft", task, metric)
    hard = _score(data, gate, task, metric)
    with np.errstate(divide="ignore", invalid="ignore"):  # a score of 0, or none
        return 100 * better * (soft - hard) / np.abs(soft)


# What `axes_level` made is of another module; here doctest finds it.
__test__ = {"plot_entropy": plot_entropy, "plot_gates": plot_gates, "plot_losses": plot_losses}
