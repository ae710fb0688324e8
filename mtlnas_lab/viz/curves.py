"""A search as curves: axes-level functions of an event log, `(log, *, ax=None, style=…, …) -> Axes`."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from ..errors import ConfigError, RunError
from ..runs.event_log import EventLog
from . import curvedata as check
from .axes import HUGE, axes_level, is_narrow, legend_above, numbers, side_label, size_of
from .sources import read_log
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
METRICS = {  # name and unit, and whether more is better
    "miou": ("mean IoU", 1),
    "pixel_accuracy": ("pixel accuracy", 1),
    "mean_angle": ("mean angle, degrees", -1),
    "median_angle": ("median angle, degrees", -1),
    "rmse_angle": ("RMS angle, degrees", -1),
    "within_11": ("share within 11.25°", 1),
    "within_22": ("share within 22.5°", 1),
    "within_30": ("share within 30°", 1),
    "within_45": ("share within 45°", 1),
    "absolute": ("absolute error, m", -1),
    "relative": ("relative error", -1),
    "delta1": ("share with δ < 1.25", 1),
    "f1": ("F1", 1),
    "ap": ("average precision", 1),
    "top1": ("top-1 accuracy", 1),
    "top5": ("top-5 accuracy", 1),
}
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


def _base(log) -> dict:
    """What every curve over the steps needs: the steps, and what was turned at which."""

    def say(knob, value):
        return KNOBS.get(knob, knob) + (f" = {value:g}" if isinstance(value, (int, float)) else "")

    turned = [
        [event.step, ", ".join(say(*knob) for knob in event.knobs.items())] for event in log.turned
    ]
    return {"step": numbers(log.column("step")), "turned": turned}


def _array(values) -> np.ndarray:
    found = np.array(values, float)  # None becomes NaN
    return np.where(np.abs(found) < HUGE, found, np.nan)


def _line(ax, x, y, **look) -> list[Line2D]:
    """A curve with a gap where y is NaN; a point between two gaps is a dot, for a line would not show it."""
    x, y = np.asarray(x, float), _array(y)
    there = np.concatenate([[False], np.isfinite(y), [False]])
    alone = there[1:-1] & ~there[:-2] & ~there[2:]
    if not alone.any():
        return ax.plot(x, y, **look)
    size = 1.6 * look["linewidth"]
    return ax.plot(x, y, marker="o", markevery=alone, markersize=size, markeredgewidth=0, **look)


def gates(alpha: np.ndarray) -> np.ndarray:
    """σ(α)."""
    return 0.5 * (1 + np.tanh(np.asarray(alpha) / 2))


def edge_entropy(alpha: np.ndarray) -> np.ndarray:
    """H(σ(α)) in nats."""
    p = gates(alpha)
    return p * np.logaddexp(0, -alpha) + (1 - p) * np.logaddexp(0, alpha)


def _finish(ax, look, data, ylabel, handles, title, rise: float = 0) -> float:
    narrow = is_narrow(ax, look)
    ax.set(xlim=(0, max(data["step"][-1], 1)))
    ax.set_xlabel("search step", loc="right" if narrow else "center")
    if not narrow:
        ax.set_ylabel(side_label(ylabel, ax, look), parse_math=False)
    ax.xaxis.get_major_locator().set_params(integer=True)
    return legend_above(ax, look, handles, title, rise, ylabel)


def _turned(data, ax, look) -> list[Line2D]:
    """A line where knobs were turned; the handle for the legend."""
    dots = {"color": look.soft, "linewidth": look.line, "linestyle": (0, (1, 1.5))}
    steps = sorted({step for step, _ in data["turned"]})
    for step in _some(steps, MOST_TURNED):
        ax.axvline(step, zorder=1.5, **dots)
    text = "knob turned"
    if len(steps) > MOST_TURNED:
        text = f"knob turned ({len(steps)} times, {MOST_TURNED} drawn)"
    return [Line2D([], [], label=text, **dots)] if steps else []


def _some(items: list, most: int) -> list:
    """At most so many of the items, evenly spaced, first and last among them."""
    if len(items) <= most:
        return items
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, most)]


def _turned_to(data, ax, look) -> float:
    """What was turned, above its line as far as there is room; how many points that needs."""
    end = -np.inf
    for step, text in data["turned"]:
        if step <= end:
            continue
        text = shorten(text, look.small, size_of(ax)[0] / 2)
        room = text_width(text, look.small) / size_of(ax)[0] * data["step"][-1]
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
    return 1.2 * look.small if data["turned"] else 0


def _entropy(source) -> dict:
    log = _steps(source)
    entropy = edge_entropy(log.alpha)
    low, high = np.quantile(entropy, (0.1, 0.9), axis=1)
    return _base(log) | {
        "mean": numbers(entropy.mean(1)),
        "low": numbers(low),
        "high": numbers(high),
        "weight": numbers(log.column("entropy_weight")),
    }


@axes_level(_entropy, check.entropy)
def plot_entropy(data, ax, look, *, weight: bool = True, title: str | None = None):
    """Mean entropy of the edges in nats, the band that holds 80 % of the edges, and λ on a thin axis of its own."""
    steps, strong = data["step"], look.ramp(0.62)
    handles = ax.plot(
        steps, _array(data["mean"]), color=strong, linewidth=2 * look.line, label="mean over edges"
    )
    handles += [
        ax.fill_between(
            steps,
            _array(data["low"]),
            _array(data["high"]),
            color=look.ramp(0.3),
            alpha=0.35,
            linewidth=0,
            label="80 % of the edges",
        ),
        ax.axhline(
            np.log(2), color=look.soft, linewidth=look.line, linestyle="--", label="undecided: ln 2"
        ),
        *_turned(data, ax, look),
    ]
    if weight and is_narrow(ax, look) and look.width < 5 * look.font:
        note("the weight λ is not drawn: there is no room for an axis of its own")
        weight = False
    if weight:
        twin, weights = ax.twinx(), _array(data["weight"])
        handles += twin.plot(
            steps, weights, color=look.task_colors[5], linewidth=look.line, label="weight λ"
        )
        twin.set(
            ylabel="" if is_narrow(ax, look) else "entropy weight λ",
            ylim=(0, 1.12 * np.nanmax(weights, initial=0) or 1),
        )
        twin.spines["right"].set_visible(True)
        twin.grid(False)
    ax.set_ylim(0, 0.78)
    return _finish(ax, look, data, "entropy, nats", handles, title, _turned_to(data, ax, look))


def _gates(source) -> dict:
    log = _steps(source)
    rows = np.unique(
        np.append(np.arange(0, len(log.steps), max(1, len(log.steps) // MOST)), len(log.steps) - 1)
    )
    return _base(log) | {
        "rows": numbers(log.column("step")[rows]),
        "kept": (log.alpha[-1] > 0).tolist(),
        "p": [numbers(row, 4) for row in gates(log.alpha[rows])],
    }


@axes_level(_gates, check.gates)
def plot_gates(data, ax, look, *, title: str | None = None):
    """σ(α) of every edge over steps: dark where the edge is kept in the end, pale where it is dropped."""
    p, kept, handles = _array(data["p"]), np.array(data["kept"]), []
    for keep, name, shade in ((False, "dropped", look.ramp(0.22)), (True, "kept", look.ramp(0.72))):
        every = p[:, kept == keep].T
        shown = _some(list(every), MOST_LINES // 2)
        lines = [np.column_stack([data["rows"], line]) for line in shown]
        ax.add_collection(
            LineCollection(
                lines, colors=[shade], linewidths=1.1 * look.line, alpha=0.8, zorder=2 + keep
            )
        )
        label = f"{name} in the end ({len(every)})"
        if len(every) > len(shown):
            label = f"{name} in the end ({len(every)}, {len(shown)} drawn)"
        handles.insert(0, Line2D([], [], color=shade, linewidth=1.8 * look.line, label=label))
    ax.axhline(0.5, color=look.soft, linewidth=look.line, linestyle="--")
    ax.set_ylim(-0.03, 1.03)
    handles += _turned(data, ax, look)
    return _finish(ax, look, data, "edge probability σ(α)", handles, title)


def _losses(source) -> dict:
    log = _steps(source, edges=False)
    return _base(log) | {"loss": {task: numbers(loss) for task, loss in log.loss.items()}}


@axes_level(_losses, check.losses)
def plot_losses(data, ax, look, *, window: int | None = None, title: str | None = None):
    """Loss of each task over steps: every step pale, the mean over `window` steps (a 30th of the run) strong.

    Where no batch of a window had a label of a task, its curve has a gap. Of more than 64 tasks the first are drawn.
    """
    steps, handles = data["step"], []
    window = min(window or max(1, len(steps) // 30), len(steps))
    colors, lines = look.colors(data["loss"]), look.lines(data["loss"])
    for task in list(data["loss"])[:MOST_TASKS]:
        loss, color = _array(data["loss"][task]), colors[task]
        _line(ax, steps, loss, color=color, linewidth=0.7 * look.line, alpha=0.35)
        sums, counts = (
            np.convolve(x, np.ones(window), "valid")
            for x in (np.nan_to_num(loss), np.isfinite(loss))
        )
        smooth = np.where(counts > 0.5, sums / np.maximum(counts, 1), np.nan)
        strong = {"color": color, "linewidth": 2 * look.line, "linestyle": lines[task]}
        handles += _line(ax, steps[window - 1 :], smooth, label=task, **strong)
        if not np.isfinite(loss).any():
            handles[-1].set_label(f"{task}: never labelled")
    if len(data["loss"]) > MOST_TASKS:
        rest = len(data["loss"]) - MOST_TASKS
        handles.append(Line2D([], [], linestyle="none", label=f"{rest} more tasks are not drawn"))
    handles += _turned(data, ax, look)
    return _finish(ax, look, data, "loss of the task", handles, title)


def _evaluations(source) -> dict:
    """The steps of the evaluations, and every score there: {gate: {task: {metric: list}}}."""
    log, found = read_log(source), {}
    if not log.evaluated:
        raise RunError(
            "the log has no evaluation, so there are no scores to draw; evaluate during the search"
        )
    for place, event in enumerate(log.evaluated):
        for gate in GATES:
            for task, scores in event.scores.get(gate, {}).items():
                for metric, value in scores.items():
                    of = found.setdefault(gate, {}).setdefault(task, {})
                    of.setdefault(metric, [None] * len(log.evaluated))[place] = numbers([value])[0]
    return {"step": numbers([event.step for event in log.evaluated]), "scores": found}


def _tasks(data) -> dict[str, list[str]]:
    """{task: its metrics}"""
    there: dict[str, list[str]] = {}
    for tasks in data["scores"].values():
        for task, metrics in tasks.items():
            there.setdefault(task, list(metrics))
    return there


def _score(data, gate: str, task: str, metric: str) -> np.ndarray:
    found = data["scores"].get(gate, {}).get(task, {}).get(metric)
    return _array(found or [None] * len(data["step"]))


@axes_level(_evaluations, check.scores)
def plot_scores(
    data, ax, look, *, task: str | None = None, metric: str | None = None, title: str | None = None
):
    """One metric of one task (the first by default) at every evaluation, under soft, hard and recalibrated gates."""
    there = _tasks(data)
    task = task or next(iter(there), None)
    metric = metric or (there.get(task) or [None])[0]
    if metric not in there.get(task, ()):
        known = "; ".join(f"{name}: {', '.join(metrics)}" for name, metrics in there.items())
        raise RunError(f"there are no scores {metric!r} of {task!r}; there are {known or 'none'}")
    handles = []
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
    name, better = METRICS.get(metric, (metric, 0))
    label = f"{drawable(task)}\n{drawable(name)}" + {1: " ↑", -1: " ↓", 0: ""}[better]
    return _finish(ax, look, data, label, handles, title)


@axes_level(_evaluations, check.scores)
def plot_gap(data, ax, look, *, title: str | None = None):
    """What discretising costs: soft − hard in % of soft, first metric of each task; above 0, hard is worse."""
    there, handles, again = _tasks(data), [], []
    colors = look.colors(there)
    for place, (task, metrics) in enumerate(list(there.items())[:MOST_TASKS]):
        color, first = colors[task], MARKERS[place // 8 * 2 % len(MARKERS)]
        name, sign = METRICS.get(metrics[0], (metrics[0], 1))
        soft = _score(data, "soft", task, metrics[0])
        for gate, line, marker in (("hard", "-", first), ("hard_recalibrated", ":", "s")):
            with np.errstate(divide="ignore", invalid="ignore"):
                gap = 100 * sign * (soft - _score(data, gate, task, metrics[0])) / np.abs(soft)
            if np.isfinite(gap).any():
                ax.plot(
                    data["step"],
                    gap,
                    line,
                    marker=marker,
                    markersize=3.5 * look.line,
                    color=color,
                    clip_on=False,
                )
                again = again or [
                    Line2D(
                        [],
                        [],
                        color=look.soft,
                        linestyle=line,
                        marker=marker,
                        label="recalibrated",
                        markersize=3.5 * look.line,
                    )
                ] * (gate != "hard")
        handles.append(
            Line2D(
                [],
                [],
                color=color,
                linewidth=2 * look.line,
                marker=first if place >= 8 else None,
                markersize=3.5 * look.line,
                label=f"{task}, {name.partition(',')[0]}",
            )
        )
    ax.axhline(0, color=look.soft, linewidth=look.line)
    if len(there) > MOST_TASKS:
        rest = len(there) - MOST_TASKS
        handles.append(Line2D([], [], linestyle="none", label=f"{rest} more tasks are not drawn"))
    return _finish(ax, look, data, "gap soft − hard, % of soft", handles + again, title)


def _collapse(source, rows: int = 10) -> dict:
    log = _steps(source)
    if type(rows) is not int or not 1 <= rows <= 200:
        raise ConfigError(f"rows={brief(rows)}; give a whole number from 1 to 200")
    picked = np.unique(
        np.linspace(0, len(log.steps) - 1, min(rows, len(log.steps))).round().astype(int)
    )
    return {
        "step": numbers(log.column("step")[picked]),
        "p": [numbers(row) for row in gates(log.alpha[picked])],
    }


@axes_level(_collapse, check.collapse)
def plot_collapse(data, ax, look, *, title: str | None = None):
    """How the gates leave the middle: the distribution of σ(α) over the edges at `rows` steps, one ridge each."""
    steps = data["step"]
    shades = [
        look.ramp(0.15 + 0.75 * place / max(len(steps) - 1, 1)) for place in range(len(steps))
    ]
    x, width = np.linspace(0, 1, 241), 0.035
    for place, (row, shade) in enumerate(zip(data["p"], shades)):
        p = _array(_some(row, 50 * MOST))[:, None]  # mirrored at 0 and 1: no weight is lost outside
        density = sum(np.exp(-0.5 * ((x - q) / width) ** 2) for q in (p, -p, 2 - p)).mean(0)
        ax.fill_between(
            x,
            -place,
            -place + 1.9 * density / max(density.max(), 0.4),
            facecolor=shade,
            alpha=0.92,
            edgecolor=look.paper,
            linewidth=look.line,
            zorder=3 + 0.01 * place,
        )
    narrow, row = is_narrow(ax, look), size_of(ax)[1] / (len(steps) + 1.1)
    every = max(1, math.ceil(1.1 * look.small * PT / row))
    marked = range(0, len(steps), every)
    ax.set(
        xlim=(0, 1),
        ylim=(-len(steps) + 0.9, 2.0),
        yticks=[-place for place in marked],
        yticklabels=[f"{steps[place]:g}" for place in marked],
        ylabel="" if narrow else "search step",
    )
    ax.set_xlabel(
        "σ(α)" if narrow else "edge probability σ(α)", loc="right" if narrow else "center"
    )
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    handles = [
        Line2D(
            [], [], color=shades[place], linewidth=4 * look.line, label=f"{name}: share of edges"
        )
        for place, name in ((0, "early"), (-1, "late"))
    ]
    return legend_above(ax, look, handles, title, label="by search step")
