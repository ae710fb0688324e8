"""A search as curves: axes-level functions of an event log, `(log, *, ax=None, style=…, …) -> Axes`."""
from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from ..errors import RunError
from ..events import EventLog
from ..runs import Run
from .style import MM, PT, FigureStyle, text_width
from .style import style as style_named

KNOBS = {"entropy_weight": "λ", "l1_weight": "L1", "temperature": "τ", "alpha_lr": "α rate", "weight_lr": "w rate"}
METRICS = {  # name and unit, and whether more is better
    "miou": ("mean IoU", 1), "pixel_accuracy": ("pixel accuracy", 1), "mean_angle": ("mean angle, degrees", -1),
    "median_angle": ("median angle, degrees", -1), "rmse_angle": ("RMS angle, degrees", -1),
    "within_11": ("share within 11.25°", 1), "within_22": ("share within 22.5°", 1),
    "within_30": ("share within 30°", 1), "absolute": ("absolute error, m", -1), "relative": ("relative error", -1),
    "delta1": ("share with δ < 1.25", 1), "f1": ("F1", 1), "ap": ("average precision", 1),
    "top1": ("top-1 accuracy", 1), "top5": ("top-5 accuracy", 1)}
GATES = {"soft": ("soft gates", "o", "--", 0.3), "hard": ("hard gates", "s", "-", 0.55),
         "hard_recalibrated": ("hard gates, recalibrated", "^", "-", 0.9)}


def read_log(source) -> EventLog:
    """The event log of a run or its folder, or the log itself; raises RunError for anything else."""
    if isinstance(source, (str, Path)):
        source = Run.open(source)
    log = source.log if isinstance(source, Run) else source
    if not isinstance(log, EventLog):
        raise RunError(f"a {type(source).__name__} is no log of a search; give an EventLog, a run or its folder")
    return log


def axes_level(draw: Callable) -> Callable:
    """(log, axes, style, …) -> None becomes (log, *, ax=None, style="paper-single", height=None (mm), …) -> Axes."""
    @wraps(draw)
    def plot(log, *, ax=None, style: str | FigureStyle = "paper-single", height: float | None = None, **options):
        look = style_named(style)
        with look.context():
            ax = look.figure(height, layout="constrained").add_subplot() if ax is None else ax
            draw(log, ax, look, **options)
        return ax
    return plot


def _steps(log, edges: bool = True) -> tuple[EventLog, np.ndarray]:
    log = read_log(log)
    if not log.steps:
        raise RunError("the log has no step yet, so there is no curve; wait for the first steps")
    if edges and not log.alpha.shape[1]:
        raise RunError("the log has no edges (it is of a pretraining), so there are no gates to draw; use plot_losses")
    return log, log.column("step")


def gates(alpha: np.ndarray) -> np.ndarray:
    """σ(α)."""
    return 0.5 * (1 + np.tanh(np.asarray(alpha) / 2))


def edge_entropy(alpha: np.ndarray) -> np.ndarray:
    """H(σ(α)) in nats."""
    p = gates(alpha)
    return p * np.logaddexp(0, -alpha) + (1 - p) * np.logaddexp(0, alpha)


def size_of(ax) -> tuple[float, float]:
    """Width and height of axes in mm, before constrained layout moves them."""
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi * MM, box.height / ax.figure.dpi * MM


def _finish(ax, look, steps, ylabel, handles, title, rise: float = 0):
    ax.set(xlabel="search step", ylabel=ylabel, xlim=(0, max(float(steps[-1]), 1)))
    ax.xaxis.get_major_locator().set_params(integer=True)
    legend_above(ax, look, handles, title, rise)


def legend_above(ax, look, handles, title=None, rise: float = 0):
    """The legend in rows above the axes, where it covers nothing (`rise` pt above them), and the title above that."""
    room, rise = size_of(ax)[0], rise + 0.3 * look.small
    widths = [text_width(h.get_label(), look.small) + 3.2 * look.small * PT for h in handles]
    columns = max(len(handles), 1)
    while columns > 1 and sum(max(part) for part in np.array_split(widths, columns)) > room:
        columns -= 1
    ax.legend(handles=handles, loc="lower left", ncols=columns, labelcolor=look.ink, columnspacing=1.2,
              handletextpad=0.5, bbox_to_anchor=(0, 1), borderaxespad=0, borderpad=0,
              bbox_transform=ax.transAxes + ScaledTranslation(0, rise / 72, ax.figure.dpi_scale_trans))
    if title:
        ax.set_title(title, pad=rise + 1.5 * look.small * -(-len(handles) // columns) + 0.4 * look.small)


def _turned(log, ax, look) -> list[Line2D]:
    """A line where knobs were turned; the handle for the legend."""
    dots = {"color": look.soft, "linewidth": look.line, "linestyle": (0, (1, 1.5))}
    for event in log.turned:
        ax.axvline(event.step, zorder=1.5, **dots)
    return [Line2D([], [], label="knob turned", **dots)] if log.turned else []


def _turned_to(log, ax, look) -> float:
    """What was turned, above its line as far as there is room; how many points that needs."""
    end = -np.inf
    for event in log.turned:
        knobs = ", ".join(f"{KNOBS.get(knob, knob)} = {value:g}" if isinstance(value, (int, float)) else
                          KNOBS.get(knob, knob) for knob, value in event.knobs.items())
        room = text_width(knobs, look.small) / size_of(ax)[0] * log.steps[-1].step
        if event.step - room / 2 > end:
            ax.annotate(knobs, (event.step, 1), xycoords=("data", "axes fraction"), xytext=(0, 0.25 * look.small),
                        textcoords="offset points", fontsize=look.small, color=look.soft, ha="center")
            end = event.step + 0.6 * room
    return 1.2 * look.small if log.turned else 0


@axes_level
def plot_entropy(log, ax, look, *, weight: bool = True, title: str | None = None):
    """Mean entropy of the edges in nats, the band that holds 80 % of the edges, and λ on a thin axis of its own."""
    log, steps = _steps(log)
    entropy, strong = edge_entropy(log.alpha), look.ramp(0.62)
    handles = ax.plot(steps, entropy.mean(1), color=strong, linewidth=2 * look.line, label="mean over edges")
    handles += [ax.fill_between(steps, *np.quantile(entropy, (0.1, 0.9), axis=1), color=look.ramp(0.3), alpha=0.35,
                                linewidth=0, label="80 % of the edges"),
                ax.axhline(np.log(2), color=look.soft, linewidth=look.line, linestyle="--", label="undecided: ln 2"),
                *_turned(log, ax, look)]
    if weight:
        twin, weights = ax.twinx(), log.column("entropy_weight")
        handles += twin.plot(steps, weights, color=look.task_colors[5], linewidth=look.line, label="weight λ")
        twin.set(ylabel="entropy weight λ", ylim=(0, 1.12 * weights.max() or 1))
        twin.spines["right"].set_visible(True)
        twin.grid(False)
    ax.set_ylim(0, 0.78)
    _finish(ax, look, steps, "entropy, nats", handles, title, _turned_to(log, ax, look))


@axes_level
def plot_gates(log, ax, look, *, title: str | None = None):
    """σ(α) of every edge over steps: dark where the edge is kept in the end, pale where it is dropped."""
    log, steps = _steps(log)
    p, kept, handles = gates(log.alpha), log.alpha[-1] > 0, []
    for keep, name, shade in ((False, "dropped", look.ramp(0.22)), (True, "kept", look.ramp(0.72))):
        lines = [np.column_stack([steps, line]) for line in p[:, kept == keep].T]
        ax.add_collection(LineCollection(lines, colors=[shade], linewidths=1.1 * look.line, alpha=0.8, zorder=2 + keep))
        label = f"{name} in the end ({len(lines)})"
        handles.insert(0, Line2D([], [], color=shade, linewidth=1.8 * look.line, label=label))
    ax.axhline(0.5, color=look.soft, linewidth=look.line, linestyle="--")
    ax.set_ylim(-0.03, 1.03)
    _finish(ax, look, steps, "edge probability σ(α)", handles + _turned(log, ax, look), title)


@axes_level
def plot_losses(log, ax, look, *, window: int | None = None, title: str | None = None):
    """Loss of each task over steps: every step pale, the mean over `window` steps (a 30th of the run) strong."""
    log, steps = _steps(log, edges=False)
    window, handles = min(window or max(1, len(steps) // 30), len(steps)), []
    for (task, loss), color in zip(log.loss.items(), look.colors(log.loss).values()):
        ax.plot(steps, loss, color=color, linewidth=0.7 * look.line, alpha=0.35)
        sums, counts = (np.convolve(x, np.ones(window), "valid") for x in (np.nan_to_num(loss), np.isfinite(loss)))
        smooth = np.where(counts > 0.5, sums / np.maximum(counts, 1), np.nan)
        handles += ax.plot(steps[window - 1:], smooth, color=color, linewidth=2 * look.line, label=task)
    _finish(ax, look, steps, "loss of the task", handles + _turned(log, ax, look), title)


def _evaluations(log) -> tuple[EventLog, np.ndarray, dict[str, list[str]]]:
    """The log, the steps of its evaluations, and {task: metrics}."""
    log, there = read_log(log), {}
    if not log.evaluated:
        raise RunError("the log has no evaluation, so there are no scores to draw; evaluate during the search")
    for event in log.evaluated:
        for gate in GATES:
            for task, scores in event.scores.get(gate, {}).items():
                there.setdefault(task, list(scores))
    return log, np.array([event.step for event in log.evaluated], float), there


def _score(log, gate: str, task: str, metric: str) -> np.ndarray:
    return np.array([e.scores.get(gate, {}).get(task, {}).get(metric, np.nan) for e in log.evaluated], float)


@axes_level
def plot_scores(log, ax, look, *, task: str | None = None, metric: str | None = None, title: str | None = None):
    """One metric of one task (the first by default) at every evaluation, under soft, hard and recalibrated gates."""
    log, steps, there = _evaluations(log)
    task = task or next(iter(there), None)
    metric = metric or (there.get(task) or [None])[0]
    if metric not in there.get(task, ()):
        known = "; ".join(f"{name}: {', '.join(metrics)}" for name, metrics in there.items())
        raise RunError(f"there are no scores {metric!r} of {task!r}; there are {known or 'none'}")
    handles = []
    for gate, (name, marker, line, shade) in GATES.items():
        values = _score(log, gate, task, metric)
        if np.isfinite(values).any():
            handles += ax.plot(steps, values, marker=marker, markersize=4 * look.line, linestyle=line,
                               color=look.ramp(shade), label=name)
    name, better = METRICS.get(metric, (metric, 0))
    _finish(ax, look, steps, f"{task}\n{name}" + {1: " ↑", -1: " ↓", 0: ""}[better], handles, title)


@axes_level
def plot_gap(log, ax, look, *, title: str | None = None):
    """What discretising costs: soft − hard in % of soft, first metric of each task; above 0, hard is worse."""
    log, steps, there = _evaluations(log)
    handles, again = [], []
    for (task, metrics), color in zip(there.items(), look.colors(there).values()):
        name, sign = METRICS.get(metrics[0], (metrics[0], 1))
        soft = _score(log, "soft", task, metrics[0])
        for gate, line, marker in (("hard", "-", "o"), ("hard_recalibrated", ":", "s")):
            with np.errstate(divide="ignore", invalid="ignore"):
                gap = 100 * sign * (soft - _score(log, gate, task, metrics[0])) / np.abs(soft)
            if np.isfinite(gap).any():
                ax.plot(steps, gap, line, marker=marker, markersize=3.5 * look.line, color=color)
                again = again or [Line2D([], [], color=look.soft, linestyle=line, marker=marker, label="recalibrated",
                                         markersize=3.5 * look.line)] * (gate != "hard")
        handles.append(Line2D([], [], color=color, linewidth=2 * look.line, label=f"{task}, {name.partition(',')[0]}"))
    ax.axhline(0, color=look.soft, linewidth=look.line)
    _finish(ax, look, steps, "gap soft − hard, % of soft", handles + again, title)


@axes_level
def plot_collapse(log, ax, look, *, rows: int = 10, title: str | None = None):
    """How the gates leave the middle: the distribution of σ(α) over the edges at `rows` steps, one ridge each."""
    log, steps = _steps(log)
    picked = np.unique(np.linspace(0, len(steps) - 1, min(rows, len(steps))).round().astype(int))
    shades = [look.ramp(0.15 + 0.75 * place / max(len(picked) - 1, 1)) for place in range(len(picked))]
    x, width = np.linspace(0, 1, 241), 0.035
    for place, (i, shade) in enumerate(zip(picked, shades)):
        p = gates(log.alpha[i])[:, None]             # mirrored at 0 and 1, so that no weight is lost outside
        density = sum(np.exp(-0.5 * ((x - q) / width) ** 2) for q in (p, -p, 2 - p)).mean(0)
        ax.fill_between(x, -place, -place + 1.9 * density / max(density.max(), 0.4), facecolor=shade, alpha=0.92,
                        edgecolor=look.paper, linewidth=look.line, zorder=3 + 0.01 * place)
    ax.set(xlim=(0, 1), ylim=(-len(picked) + 0.9, 2.0), xlabel="edge probability σ(α)", ylabel="search step",
           yticks=-np.arange(len(picked)), yticklabels=[f"{steps[i]:g}" for i in picked])
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    handles = [Line2D([], [], color=shades[place], linewidth=4 * look.line, label=f"{name}: share of edges")
               for place, name in ((0, "early"), (-1, "late"))]
    legend_above(ax, look, handles, title)
