"""The gates as tables, source × target; beside the graph; and one still picture of a whole search."""

from __future__ import annotations

from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from ..errors import ConfigError, RunError
from .axes import axes_level, numbers, read_log, size_of
from .curves import plot_collapse, plot_entropy, plot_gap, plot_gates, plot_losses
from .facts import provenance
from .graph import opened, plot_fusion_graph, read_source
from .style import FigureStyle, shorten, text_width
from .style import style as style_named

GAP = 1.5  # between two blocks, in cells


def _heatmap(source, alpha=None, step: int | None = None) -> dict:
    space, probability, kept = read_source(source, alpha, step)
    kept = kept or (True,) * len(space)
    return {
        "depth": {task: len(stages) for task, stages in space.plans.items()},
        "kept": [bool(keep) for keep in kept],
        "edges": [
            [e.source.task, e.source.stage, e.target.task, e.target.stage] for e in space.edges
        ],
        "p": numbers(probability or [float(keep) for keep in kept], 6),
    }


@axes_level(_heatmap)
def plot_heatmap(data, ax, look, *, colorbar: bool = True, title: str | None = None):
    """σ(α) by stage of the source (rows) and of the target (columns), one block for each direction.

    Pairs that are no candidates stay blank; kept edges have a dot. `source`: a log or a run (after `step`), an
    architecture, or a space with `alpha`. Two tasks make two blocks side by side, more make a square of tasks.
    """
    depth, tasks = data["depth"], list(data["depth"])
    two = len(tasks) == 2
    left, width = {}, 0.0
    for task in tasks:
        left[task], width = width, width + depth[task] + GAP
    width -= GAP
    top, height = (dict.fromkeys(left, 0.0), max(depth.values())) if two else (left, width)
    for a in tasks:
        for b in tasks:
            if a != b:
                ax.add_patch(
                    Rectangle(
                        (left[b], top[a]), depth[b], depth[a], facecolor=look.shade, linewidth=0
                    )
                )
    for i, ((a, start, b, end), p, keep) in enumerate(zip(data["edges"], data["p"], data["kept"])):
        x, y = left[b] + end, top[a] + start
        color = look.ramp(p)
        text = f"{a}:{start} -> {b}:{end}, σ(α) = {p:.3f}, {'kept' if keep else 'dropped'}"
        ax.add_patch(
            Rectangle(
                (x, y),
                1,
                1,
                facecolor=color,
                edgecolor=look.paper,
                linewidth=0.5 * look.line,
                gid=f"cell-{i}",
                label=text,
            )
        )
        if keep:
            ax.plot(x + 0.5, y + 0.5, ".", markersize=2.6 * look.line, color=look.on(to_hex(color)))
    room = size_of(ax)
    cell = 0.9 * min(room[0] / width, room[1] / height)  # mm
    every = next(
        n for n in (1, 2, 3, 4, 6, 12, 10**9) if n * cell > text_width("99", look.small) + 1
    )
    columns = [(left[t] + s + 0.5, s) for t in tasks for s in range(0, depth[t], every)]
    rows = [
        (top[t] + s + 0.5, s)
        for t in (max(depth, key=depth.get),)
        if two
        for s in range(0, depth[t], every)
    ]
    rows = rows or [(top[t] + s + 0.5, s) for t in tasks for s in range(0, depth[t], every)]
    ax.set(
        xlim=(0, width),
        xlabel="stage of the target",
        xticks=[x for x, _ in columns],
        aspect="equal",
        ylim=(height, 0),
        ylabel="stage of the source",
        yticks=[y for y, _ in rows],
        xticklabels=[s for _, s in columns],
        yticklabels=[s for _, s in rows],
    )
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    for task in tasks:
        middle, wide = left[task] + depth[task] / 2, cell * (depth[task] + GAP)
        names = [f"{tasks[1 - tasks.index(task)]} → {task}", f"→ {task}"] if two else [task]
        fitting = [name for name in names if text_width(name, look.small) <= wide]
        name = fitting[0] if fitting else shorten(names[-1], look.small, wide)
        ax.text(middle, -0.4, name, ha="center", va="bottom", fontsize=look.small)
        if not two:
            ax.text(
                width + 0.5, middle, name, rotation=-90, ha="left", va="center", fontsize=look.small
            )
    if title:
        ax.set_title(title, pad=2.2 * look.font)
    if colorbar:
        values = ScalarMappable(cmap=look.ramp)
        bar = ax.figure.colorbar(values, ax=ax, shrink=0.8, aspect=18, pad=0.03, ticks=(0, 0.5, 1))
        bar.set_label("σ(α)   (• kept)")
        bar.outline.set_visible(False)


def _must_fit(look: FigureStyle, letters: int, what: str) -> None:
    if look.width < letters * look.font:  # mm for each point of the font
        raise ConfigError(
            f"{what} does not fit on {look.name}, {look.width:g} mm wide at {look.font:g} pt; take "
            "paper-double or web-light"
        )


def side_by_side(
    source,
    *,
    alpha=None,
    style: str | FigureStyle = "paper-double",
    title: str | None = None,
    figure=None,
):
    """The fusion graph beside its heat map, on a new figure (or on the sub-figure `figure`), which is returned."""
    look, source = style_named(style), opened(source)
    with look.context():
        if figure is None:
            _must_fit(look, 15, "the graph beside the table")
            figure = look.figure(0.34 * look.width, layout="constrained")
            figure.lab_facts = provenance(source)
        left, right = figure.subfigures(1, 2, width_ratios=(1.75, 1))
        table = right.add_subplot()
        plot_heatmap(
            source,
            alpha=alpha,
            ax=table,
            style=look,
            colorbar=False,
            title="Gates, source × target",
        )
        graph = left.add_axes((0, 0, 1, 1))
        for part in (left, right):
            part.set_facecolor(look.paper)
        figure.canvas.draw()  # places the sub-figures, whose size the graph needs
        plot_fusion_graph(source, graph, alpha=alpha, style=look, title=title)
    return figure


def overview(source, *, style: str | FigureStyle = "web-light", title: str | None = None):
    """One still picture of a search: entropy, gates, losses, gap, fusion graph and heat map. Returns the figure.

    Where there are no evaluations, the collapse of the gates stands for the gap; a pretraining has losses only.
    """
    look, source = style_named(style), opened(source)
    log = read_log(source)
    if not log.steps:
        raise RunError(
            "the log has no step yet, so there is nothing to see; wait for the first steps"
        )
    if not log.alpha.shape[1]:
        return plot_losses(log, style=look, title=title or "Losses").figure
    _must_fit(look, 20, "the overview")
    with look.context():
        figure = look.figure(0.9 * look.width, layout="constrained")
        figure.lab_facts = provenance(source)
        pad = 0.4 * look.font / 72
        figure.get_layout_engine().set(w_pad=pad, h_pad=pad, hspace=0.03, wspace=0.02)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        above, below = figure.subfigures(2, 1, height_ratios=(1.75, 1))
        axes = above.subplots(2, 2)
        plot_entropy(log, ax=axes[0, 0], style=look, title="Entropy")
        plot_gates(log, ax=axes[0, 1], style=look, title="Gates")
        plot_losses(log, ax=axes[1, 0], style=look, title="Losses")
        last, name = (plot_gap, "Gap") if log.evaluated else (plot_collapse, "Collapse")
        last(log, ax=axes[1, 1], style=look, title=name)
        for part in (above, below):
            part.set_facecolor(look.paper)
        side_by_side(
            log, style=look, title=f"Fusion graph after {log.steps[-1].step} steps", figure=below
        )
    return figure
