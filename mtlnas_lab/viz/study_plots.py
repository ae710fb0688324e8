"""Pictures of a study: every seed a dot, means with their intervals, the gap over time."""

from __future__ import annotations

import math
from functools import wraps

import numpy as np

from ..errors import ConfigError
from ..tasks.metric_names import direction_of
from .style import LINES, MARKERS, STYLES, TASK_COLORS, drawable, noting, shorten, warn_of_boxes

LOOK = STYLES["web-light"]
MOST_NAMED = 40  # seeds in a legend


def in_style(draw):
    """The pictures of a study as plain text, in the style of the web: names are no formulas, whatever they hold."""

    @wraps(draw)
    def drawn(*args, **options):
        with noting() as notes, LOOK.context():
            figure = draw(*args, **options)
        warn_of_boxes(notes)
        return figure

    return drawn


def _look(i: int) -> dict:
    """Colour and shape of number i: no two of 64 are the same."""
    turn = i // len(TASK_COLORS)
    return {
        "color": TASK_COLORS[i % len(TASK_COLORS)],
        "marker": MARKERS[(i + turn) % len(MARKERS)],
    }


def _name(text, room: float = 60, size: float | None = None) -> str:
    """A name of a study as it is drawn, at most `room` mm long."""
    return drawable(shorten(str(text), size or LOOK.font, room))


def _label_once(labels: dict, text: str) -> str | None:
    """The label of the first of many artists of one kind, so that the legend has one entry for all."""
    if text in labels:
        return None
    labels[text] = True
    return text


# --- a line a row -----------------------------------------------------------------------------------------------------
def _row_figure(rows: int):
    """(figure, axes) with room for so many rows."""
    figure = LOOK.figure(height=22 + 9 * rows, layout="constrained")
    return figure, figure.add_subplot()


def _mark_zero(ax) -> None:
    ax.axvline(0, color=LOOK.soft, lw=1, ls=":")


def _finish_rows(figure, ax, names: list[str], xlabel: str, columns: int) -> None:
    """Names the rows, from top to bottom, and puts the legend below."""
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    ax.set_xlabel(xlabel)
    ax.tick_params(axis="y", labelsize=LOOK.font)
    ax.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=columns)


@in_style
def plot_gains(gains, half, reference: str = ""):
    """Δm in % by row (gains: frame, row × seed): each seed a dot of its own colour and shape, the mean with its 95 % interval,
    which reaches `half[row]` to either side."""
    rows = list(gains.index)
    figure, ax = _row_figure(len(rows))
    _dots_of_seeds(ax, gains, half)
    names = []
    for row in rows:
        name = _name(row)
        if row == reference:
            name += " (reference)"
        names.append(name)
    _mark_zero(ax)
    xlabel = "Δm over single-task networks (%), more is better"
    _finish_rows(figure, ax, names, xlabel, min(7, gains.shape[1] + 2))
    return figure


@in_style
def plot_quantity(values, half, xlabel: str):
    """A quantity by row (values: frame, row × seed), as `plot_gains` draws Δm."""
    figure, ax = _row_figure(len(values))
    _dots_of_seeds(ax, values, half)
    names = [_name(row) for row in values.index]
    _finish_rows(figure, ax, names, _name(xlabel, room=120), min(7, values.shape[1] + 2))
    return figure


def _dots_of_seeds(ax, values, half) -> None:
    """Each seed a dot in its row, and the mean with its interval; a gap is left out."""
    seeds = values.shape[1]
    offsets = np.linspace(-0.22, 0.22, seeds) if seeds > 1 else [0]
    rim = {"edgecolor": LOOK.ink, "linewidth": 0.4}
    for i, (seed, column) in enumerate(values.items()):
        label = f"seed {seed}" if i < MOST_NAMED else None
        y = np.arange(len(values)) + offsets[i]
        ax.scatter(column, y, s=34, **_look(i), **rim, label=label, zorder=3)
    bar = {"color": LOOK.soft, "lw": 5, "alpha": 0.45, "solid_capstyle": "butt", "zorder": 1}
    line = {"color": LOOK.ink, "lw": 1.6, "zorder": 2}
    labels: dict = {}
    for y, row in enumerate(values.index):
        mean = values.loc[row].dropna().to_numpy().mean()
        label = _label_once(labels, "95 % interval of the mean")
        ax.plot([mean - half[row], mean + half[row]], [y, y], **bar, label=label)
        ax.plot([mean, mean], [y - 0.32, y + 0.32], **line, label=_label_once(labels, "mean"))


# What cutting the gates leaves: name, label, colour, shape, and how far above or below the middle of its row.
CUTS = (
    ("hard", "cut to hard gates", TASK_COLORS[5], "o", -0.14),
    ("hard_recalibrated", "cut, batch norm anew", TASK_COLORS[0], "s", 0.14),
)


@in_style
def plot_cut(gap):
    """The gap, what cutting the gates costs (frame: row, seed, hard, hard_recalibrated; %), every run a dot; right of 0, hard is worse."""
    rows = list(dict.fromkeys(gap.row))
    figure, ax = _row_figure(len(rows))
    labels: dict = {}
    for name, label, color, marker, shift in CUTS:
        dots = {"s": 30, "marker": marker, "color": color, "edgecolor": LOOK.ink}
        for y, row in enumerate(rows):
            values = gap[gap.row == row][name].to_numpy()
            height = np.full(len(values), y + shift)
            once = _label_once(labels, label)
            ax.scatter(values, height, linewidth=0.4, zorder=3, label=once, **dots)
            mean = values.mean()
            ends = [y + shift - 0.13, y + shift + 0.13]
            ax.plot([mean, mean], ends, color=color, lw=2.4, zorder=2)
    _mark_zero(ax)
    xlabel = "gap: what cutting the gates costs (% of the soft score, tasks and metrics averaged)"
    _finish_rows(figure, ax, [_name(row) for row in rows], xlabel, 2)
    return figure


# --- a panel a task, a panel a row ------------------------------------------------------------------------------------
@in_style
def plot_cut_over_time(scores, metric: str = "miou"):
    """The gap over the steps (tidy scores with `step`): what a score loses under hard gates, one panel a task; above 0, hard is worse."""
    chosen = {}  # {task: the metric that is drawn}
    for task, part in scores.groupby("task", sort=False):
        chosen[task] = metric
        if metric not in set(part.metric):
            chosen[task] = part.metric.iloc[0]
    rows = list(dict.fromkeys(scores.row[scores.kind == "soft"]))  # those that have gates to cut
    figure = LOOK.figure(height=78, layout="constrained")
    axes = figure.subplots(1, len(chosen), squeeze=False)[0]
    for ax, (task, name) in zip(axes, chosen.items()):
        part = scores[(scores.task == task) & (scores.metric == name)]
        wide = part.pivot_table(index=["row", "seed", "step"], columns="kind", values="value")
        if not {"soft", "hard"} <= set(wide):
            continue
        better = direction_of(name) or 1  # of a metric of one's own, more is better
        gap = (better * (wide.soft - wide.hard)).rename("gap").reset_index()
        for i, row in enumerate(rows):
            label = _name(row, 70) if ax is axes[0] else None
            _draw_gap(ax, gap[gap.row == row], i, label)
        ax.axhline(0, color=LOOK.soft, lw=1, ls=":")
        ax.set(xlabel="step of the search", ylabel=_name(f"gap: {name} lost by cutting"))
        ax.set_title(_name(task, 200 / len(chosen)))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _draw_gap(ax, gap, i: int, label: str | None) -> None:
    """The runs of row i as thin lines, their mean as a thick one."""
    look = _look(i)
    for _, line in gap.groupby("seed"):
        ax.plot(line.step, line.gap, color=look["color"], lw=0.7, alpha=0.4)
    mean = gap.groupby("step").gap.mean()
    dashes = LINES[i // 8 % len(LINES)]
    ax.plot(mean.index, mean, **look, lw=2.2, linestyle=dashes, markersize=4, label=label)


@in_style
def plot_worth(edges):
    """What each kept edge is worth against its α (frame: row, seed, edge, kept, alpha, worth, gradient): a line of panels a row."""
    kept = edges[edges.kept]
    rows = list(dict.fromkeys(edges.row))
    shown = {"worth": "loss without the edge\nminus loss with it", "gradient": "|∂ loss / ∂ gate|"}
    figure = LOOK.figure(height=20 + 55 * len(rows), layout="constrained")
    axes = figure.subplots(len(rows), len(shown), squeeze=False)
    rim = {"edgecolor": LOOK.ink, "linewidth": 0.3}
    for panels, row in zip(axes, rows):
        for ax, (column, label) in zip(panels, shown.items()):
            for i, (seed, part) in enumerate(kept[kept.row == row].groupby("seed")):
                name = f"seed {seed}" if ax is axes[0, 0] and i < MOST_NAMED else None
                ax.scatter(part.alpha, part[column], s=20, **_look(i), **rim, label=name)
            ax.axhline(0, color=LOOK.soft, lw=1, ls=":")
            ax.set(xlabel="α at the end (σ(α): 0.73 at 1, 0.95 at 3, 0.99 at 5)", ylabel=label)
            ax.set_title(_name(row, 100))
    figure.legend(loc="outside lower center", ncols=7)
    return figure


# The two ways of an edge to a covered network: share, label, colour, shape, and how far beside its visibility it is drawn.
WAYS = (
    ("into", "edges into the covered network", TASK_COLORS[0], "o", -0.12),
    ("out", "edges out of it", TASK_COLORS[1], "s", 0.12),
)


@in_style
def plot_ways(ways, means):
    """Shares of open edges into and out of a covered network by how much it sees, a panel for each dial of a study.

    Args:
        ways: frame: dial, task, visibility, seed, into, out; a line for each search.
        means: frame: dial, visibility, share, mean, half: the mean of a share over seeds reaches `half` to either side.
    """
    names = []
    for name, part in ways.groupby("dial", sort=False):
        if part.visibility.nunique() > 1:
            names.append(name)
    names = names or list(dict.fromkeys(ways.dial))  # of a study with one visibility each
    lines = math.ceil(len(names) / 2)
    columns = min(2, len(names))
    figure = LOOK.figure(height=20 + 80 * lines, layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
    for ax, name in zip(axes, names):
        _draw_ways(ax, ways[ways.dial == name], means[means.dial == name], ax is axes[0])
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _draw_ways(ax, ways, means, labelled: bool) -> None:
    """One dial: each seed a dot, means joined by a line, from the network that sees to the blind one."""
    seen = sorted(set(ways.visibility), reverse=True)
    place = {visibility: x for x, visibility in enumerate(seen)}
    spread = {seed: 0.08 * x for seed, x in _spread(sorted(set(ways.seed))).items()}
    for share, label, color, marker, shift in WAYS:
        x = ways.visibility.map(place) + ways.seed.map(spread) + shift
        dots = {"s": 26, "marker": marker, "color": color, "edgecolor": LOOK.ink, "linewidth": 0.4}
        dots["label"] = f"{label}: each seed" if labelled else None
        ax.scatter(x, ways[share], alpha=0.75, zorder=3, clip_on=False, **dots)
        mean = means[means.share == share].sort_values("visibility", ascending=False)
        x = mean.visibility.map(place) + shift
        line = {"color": color, "lw": 2, "capsize": 4, "zorder": 2}
        line["label"] = "their mean, 95 % interval" if labelled else None
        ax.errorbar(x, mean["mean"], yerr=mean.half, **line)
    chance = "chance" if labelled else None
    ax.axhline(0.5, color=LOOK.soft, lw=1.2, ls=":", label=chance)
    task = ways.task.iloc[0]
    ax.set(xticks=range(len(seen)), xticklabels=[format(value, "g") for value in seen])
    ax.set(
        ylim=(-0.03, 1.03), xlabel=_name(f"how much {task} sees (1: the picture, 0: noise)", 110)
    )
    ax.set(ylabel="share that is open")
    ax.set_title(_name(f"{task} covered: {ways.dial.iloc[0]}", 110))


def _spread(seeds) -> dict:
    """{seed: where from −1 to 1}, so that dots of one height are told apart."""
    if len(seeds) == 1:
        return {seeds[0]: 0.0}
    return dict(zip(seeds, np.linspace(-1, 1, len(seeds))))


# --- every method, a panel a table ------------------------------------------------------------------------------------
BUDGETS = 4  # that a picture of methods tells apart


@in_style
def plot_methods(frame, half):
    """What each method's answer loses against the best graph: a panel a table, a row a method, the best at the top.

    Args:
        frame: A row for each search: method, where (names a table), budget (plain training steps), seed, regret.
        half: {(method, where, budget): how far the 95 % interval of the mean regret reaches to either side}.

    Raises:
        ConfigError: There is no row, or there are more than four budgets.
    """
    budgets = sorted({*frame["budget"]})
    if not 0 < len(budgets) <= BUDGETS:
        raise ConfigError(f"{len(budgets)} budgets in a picture of methods; give 1 to {BUDGETS}")
    methods = methods_in_order(frame)
    tables = frame["where"].unique().tolist()
    figure = LOOK.figure(height=26 + 6.5 * len(methods), layout="constrained")
    axes = figure.subplots(1, len(tables), squeeze=False, sharey=True)[0]
    for ax, table in zip(axes, tables):
        part = frame[frame["where"] == table]
        for i, budget in enumerate(budgets):
            shift = 0.0 if len(budgets) == 1 else 0.5 * i / (len(budgets) - 1) - 0.25
            label = f"{budget:,.0f} training steps" if ax is axes[0] else None
            _draw_methods(ax, part[part["budget"] == budget], half, methods, shift, i, label)
        _mark_zero(ax)
        ax.set_title(_name(table, 150 / len(tables)))
        ax.set_xlabel("regret (total loss)")
        ax.grid(axis="y", visible=False)
    names = [_name(method.replace("_", " ")) for method in methods]
    axes[0].set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    figure.legend(loc="outside lower center", ncols=len(budgets))
    return figure


def methods_in_order(frame) -> list[str]:
    """The methods by their mean regret at the largest budget; those that were not given it are the last."""
    budgets = frame.groupby("method")["budget"].transform("max")
    own_most = frame[frame["budget"] == budgets]
    means = own_most.groupby("method").agg(budget=("budget", "max"), regret=("regret", "mean"))
    return means.sort_values(
        ["budget", "regret"], ascending=[False, True], kind="stable"
    ).index.tolist()


def _draw_methods(ax, part, half, methods: list[str], shift: float, i: int, label) -> None:
    """Searches of one budget: each seed a small dot, the mean a large one, its 95 % interval a line."""
    look = _look(i)
    for (method, table, budget), searches in part.groupby(["method", "where", "budget"]):
        height = methods.index(method) + shift
        regrets = searches["regret"]
        ax.scatter(regrets, np.full(len(regrets), height), s=7, alpha=0.5, linewidth=0, **look)
        mean = regrets.mean()
        reach = half[method, table, budget]
        ax.plot([mean - reach, mean + reach], [height, height], color=look["color"], lw=1.4)
        rim = {"edgecolor": LOOK.ink, "linewidth": 0.5, "zorder": 3}
        ax.scatter([mean], [height], s=26, **look, **rim, label=label)
        label = None
