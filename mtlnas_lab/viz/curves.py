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
METRICS = {"miou": ("mean IoU", 1), "pixel_accuracy": ("pixel accuracy", 1), "mean_angle": ("mean angle, degrees", -1),
           "median_angle": ("median angle, degrees", -1), "rmse_angle": ("RMS angle, degrees", -1),
           "within_11": ("share within 11.25°", 1), "within_22": ("share within 22.5°", 1), "within_30": ("share within 30°", 1),
           "absolute": ("absolute error, m", -1), "relative": ("relative error", -1), "delta1": ("share with δ < 1.25", 1),
           "f1": ("F1", 1), "ap": ("average precision", 1), "top1": ("top-1 accuracy", 1), "top5": ("top-5 accuracy", 1)}
GATES = {"soft": ("soft gates", "o", "--"), "hard": ("hard gates", "s", "-"),
         "hard_recalibrated": ("hard gates, recalibrated", "^", "-")}


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
            if ax is None:
                ax = look.figure(height, layout="constrained").add_subplot()
            draw(log, ax, look, **options)
        return ax
    return plot


def _steps(log, edges: bool = True) -> tuple[EventLog, np.ndarray]:
    log = read_log(log)
    if not log.steps:
        raise RunError("the log has no step yet, so there is no curve; wait for the first steps")
    if edges and not log.alpha.shape[1]:
        raise RunError("the log has no edges (it is of a pretraining), so there are no gates to draw; plot_losses works")
    return log, log.column("step")


def gates(alpha: np.ndarray) -> np.ndarray:
    """σ(α)."""
    return 0.5 * (1 + np.tanh(np.asarray(alpha) / 2))


def edge_entropy(alpha: np.ndarray) -> np.ndarray:
    """H(σ(α)) in nats."""
    p = gates(alpha)
    return p * np.logaddexp(0, -alpha) + (1 - p) * np.logaddexp(0, alpha)


def _finish(ax, look, steps, ylabel, handles=None, title=None):
    ax.set(xlabel="search step", ylabel=ylabel, xlim=(0, max(float(steps[-1]), 1)))
    legend_above(ax, look, handles or ax.get_legend_handles_labels()[0], title)


def size_of(ax) -> tuple[float, float]:
    """Width and height of axes in mm, before constrained layout moves them."""
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi * MM, box.height / ax.figure.dpi * MM


def legend_above(ax, look, handles, title=None):
    """The legend in rows above the axes, where it covers nothing, and the title above that."""
    room, widths = size_of(ax)[0], [text_width(h.get_label(), look.small) + 3.2 * look.small * PT for h in handles]
    fits = (n for n in range(len(handles), 0, -1) if sum(max(part) for part in np.array_split(widths, n)) <= room)
    columns = next(fits, 1)
    rise = 1.5 * look.small if getattr(ax, "turned_labels", False) else 0.3 * look.small
    if handles:
        ax.legend(handles=handles, loc="lower left", ncols=columns, labelcolor=look.ink, columnspacing=1.2, handletextpad=0.5,
                  bbox_to_anchor=(0, 1), borderaxespad=0, borderpad=0,
                  bbox_transform=ax.transAxes + ScaledTranslation(0, rise / 72, ax.figure.dpi_scale_trans))
    if title:
        ax.set_title(title, pad=rise + 1.5 * look.small * -(-len(handles) // columns) + 0.4 * look.small)


def _turned(log, ax, look, label: bool = False) -> list[Line2D]:
    """A line where knobs were turned (with `label`, what was turned, as far as there is room); the handle for the legend."""
    end = -np.inf
    for event in log.turned:
        knobs = ", ".join(f"{KNOBS.get(k, k)} = {v:g}" if isinstance(v, (int, float)) else KNOBS.get(k, k)
                          for k, v in event.knobs.items())
        ax.axvline(event.step, color=look.soft, linewidth=look.line, linestyle=(0, (1, 1.5)), zorder=1.5)
        room = text_width(knobs, look.small) / size_of(ax)[0] * log.steps[-1].step
        if label and event.step - room / 2 > end:
            ax.turned_labels, end = True, event.step + 0.6 * room
            ax.annotate(knobs, (event.step, 1), xycoords=("data", "axes fraction"), xytext=(0, 0.25 * look.small),
                        textcoords="offset points", fontsize=look.small, color=look.soft, ha="center", parse_math=False)
    return [Line2D([], [], color=look.soft, linewidth=look.line, linestyle=(0, (1, 1.5)), label="knob turned")] if log.turned else []


@axes_level
def plot_entropy(log, ax, look, *, weight: bool = True, title: str | None = None):
    """Mean entropy of the edges in nats over steps, the band that holds 80 % of the edges, and λ on a thin axis of its own."""
    log, steps = _steps(log)
    entropy, color = edge_entropy(log.alpha), look.ramp(0.62)
    low, high = np.quantile(entropy, (0.1, 0.9), axis=1)
    handles = [ax.fill_between(steps, low, high, color=look.ramp(0.3), alpha=0.35, linewidth=0, label="80 % of the edges"),
               *ax.plot(steps, entropy.mean(1), color=color, linewidth=2 * look.line, label="mean over edges"),
               ax.axhline(np.log(2), color=look.soft, linewidth=look.line, linestyle="--", label="undecided: ln 2")]
    handles = [handles[1], handles[0], handles[2], *_turned(log, ax, look, label=True)]
    if weight:
        twin = ax.twinx()
        handles += twin.plot(steps, log.column("entropy_weight"), color=look.task_colors[5], linewidth=look.line, label="weight λ")
        twin.set_ylabel("entropy weight λ")
        twin.set_ylim(0, max(1.12 * log.column("entropy_weight").max(), 1e-9) if log.column("entropy_weight").max() > 0 else 1)
        twin.spines["right"].set_visible(True)
        twin.grid(False)
    ax.set_ylim(0, 0.78)
    _finish(ax, look, steps, "entropy, nats", handles, title)


@axes_level
def plot_gates(log, ax, look, *, title: str | None = None):
    """σ(α) of every edge over steps: dark where the edge is kept in the end, pale where it is dropped."""
    log, steps = _steps(log)
    p = gates(log.alpha)
    handles = []
    for keep, name, shade, order in ((False, "dropped", 0.22, 2), (True, "kept", 0.72, 3)):
        lines = p[:, (log.alpha[-1] > 0) == keep].T
        ax.add_collection(LineCollection([np.column_stack([steps, line]) for line in lines], colors=[look.ramp(shade)],
                                         linewidths=1.1 * look.line, alpha=0.8, zorder=order))
        handles.append(Line2D([], [], color=look.ramp(shade), linewidth=1.8 * look.line, label=f"{name} in the end ({len(lines)})"))
    ax.axhline(0.5, color=look.soft, linewidth=look.line, linestyle="--")
    ax.set_ylim(-0.03, 1.03)
    _finish(ax, look, steps, "edge probability σ(α)", handles[::-1] + _turned(log, ax, look), title)


@axes_level
def plot_losses(log, ax, look, *, window: int | None = None, title: str | None = None):
    """Loss of each task over steps: every step pale, the mean over `window` steps (a 30th of the run) strong."""
    log, steps = _steps(log, edges=False)
    window = window or max(1, len(steps) // 30)
    for (task, loss), color in zip(log.loss.items(), look.colors(log.loss).values()):
        ax.plot(steps, loss, color=color, linewidth=0.7 * look.line, alpha=0.35)
        total = np.cumsum(np.nan_to_num(np.insert(loss, 0, 0)))
        count = np.cumsum(np.insert(np.isfinite(loss), 0, False))
        with np.errstate(invalid="ignore", divide="ignore"):
            smooth = (total[window:] - total[:-window]) / (count[window:] - count[:-window])
        ax.plot(steps[window - 1:], smooth, color=color, linewidth=2 * look.line, label=task)
    handles = [line for line in ax.get_lines() if not line.get_label().startswith("_")]
    _finish(ax, look, steps, "loss of the task", handles + _turned(log, ax, look), title)


def _evaluations(log) -> tuple[EventLog, np.ndarray]:
    log = read_log(log)
    if not log.evaluated:
        raise RunError("the log has no evaluation, so there are no scores to draw; evaluate during the search")
    return log, np.array([event.step for event in log.evaluated], float)


def _score(log, gate: str, task: str, metric: str) -> np.ndarray:
    return np.array([event.scores.get(gate, {}).get(task, {}).get(metric, np.nan) for event in log.evaluated], float)


def _metrics(log) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in log.evaluated:
        for gate in GATES:
            for task, scores in event.scores.get(gate, {}).items():
                found.setdefault(task, list(scores))
    return found


@axes_level
def plot_scores(log, ax, look, *, task: str | None = None, metric: str | None = None, title: str | None = None):
    """One metric of one task (the first of each by default) at every evaluation, under soft, hard and recalibrated gates."""
    log, steps = _evaluations(log)
    there = _metrics(log)
    task = task or next(iter(there), None)
    metric = metric or (there.get(task) or [None])[0]
    if metric not in there.get(task, ()):
        raise RunError(f"there are no scores {metric!r} of {task!r}; there are "
                       + ("; ".join(f"{t}: {', '.join(m)}" for t, m in there.items()) or "none"))
    for (gate, (name, marker, line)), shade in zip(GATES.items(), (0.3, 0.55, 0.9)):
        values = _score(log, gate, task, metric)
        if np.isfinite(values).any():
            ax.plot(steps, values, marker=marker, markersize=4 * look.line, linestyle=line, color=look.ramp(shade), label=name)
    name, better = METRICS.get(metric, (metric, 0))
    _finish(ax, look, steps, f"{task}\n{name}" + {1: " ↑", -1: " ↓", 0: ""}[better], None, title)


@axes_level
def plot_gap(log, ax, look, *, title: str | None = None):
    """What discretising costs: soft minus hard in % of the soft score, first metric of each task; above 0, hard is worse."""
    log, steps = _evaluations(log)
    there, handles, again = _metrics(log), [], False
    for (task, metrics), color in zip(there.items(), look.colors(there).values()):
        name, sign = METRICS.get(metrics[0], (metrics[0], 1))
        soft = _score(log, "soft", task, metrics[0])
        for gate, line, marker in (("hard", "-", "o"), ("hard_recalibrated", ":", "s")):
            gap = 100 * sign * (soft - _score(log, gate, task, metrics[0])) / np.abs(soft)
            if np.isfinite(gap).any():
                ax.plot(steps, gap, line, marker=marker, markersize=3.5 * look.line, color=color)
                again |= marker == "s"
        handles.append(Line2D([], [], color=color, linewidth=2 * look.line, label=f"{task}, {name.partition(',')[0]}"))
    if again:
        handles.append(Line2D([], [], color=look.soft, linestyle=":", marker="s", markersize=3.5 * look.line, label="recalibrated"))
    ax.axhline(0, color=look.soft, linewidth=look.line)
    _finish(ax, look, steps, "gap soft − hard, % of soft", handles, title)


@axes_level
def plot_collapse(log, ax, look, *, rows: int = 10, title: str | None = None):
    """How the gates leave the middle: the distribution of σ(α) over the edges at `rows` steps, one ridge each."""
    log, steps = _steps(log)
    x, rows = np.linspace(0, 1, 241), min(rows, len(steps))
    picked = np.unique(np.linspace(0, len(steps) - 1, rows).round().astype(int))
    for order, i in enumerate(picked):
        p = gates(log.alpha[i])[:, None]
        width = 0.035                                # mirrored at 0 and 1, so that no weight is lost outside
        density = sum(np.exp(-0.5 * ((x - q) / width) ** 2) for q in (p, -p, 2 - p)).mean(0)
        base = -float(order)
        shade = look.ramp(0.15 + 0.75 * order / max(len(picked) - 1, 1))
        ax.fill_between(x, base, base + 1.9 * density / max(density.max(), 0.4), facecolor=shade, edgecolor=look.paper,
                        linewidth=look.line, alpha=0.92, zorder=3 + order * 0.01)
    ax.set(xlim=(0, 1), ylim=(-len(picked) + 0.9, 2.0), xlabel="edge probability σ(α)", ylabel="search step",
           yticks=-np.arange(len(picked)), yticklabels=[f"{steps[i]:g}" for i in picked])
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ends = ((0, "early"), (len(picked) - 1, "late"))
    handles = [Line2D([], [], color=look.ramp(0.15 + 0.75 * o / max(len(picked) - 1, 1)), linewidth=4 * look.line, label=f"{n}: share of edges")
               for o, n in ends]
    legend_above(ax, look, handles, title)
