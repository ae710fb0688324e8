"""The gates as tables, source × target; and one still picture of a whole search."""
from __future__ import annotations

import numpy as np
from matplotlib.patches import Rectangle

from ..errors import RunError
from .curves import axes_level, plot_collapse, plot_entropy, plot_gap, plot_gates, plot_losses, read_log, size_of
from .graph import plot_fusion_graph, read_source
from .style import FigureStyle, shorten, text_width
from .style import style as style_named


@axes_level
def plot_heatmap(source, ax, look, *, alpha=None, colorbar: bool = True, title: str | None = None):
    """σ(α) by source stage (rows) and target stage (columns), one block for each direction; pairs that are no candidates are
    left blank, kept edges have a dot. `source`: a log, a run, an architecture or a space (with `alpha`)."""
    space, probability, kept = read_source(source, alpha)
    probability = probability or (1.0,) * len(space)
    kept = kept or tuple(p > 0.5 for p in probability)
    depth = {task: len(stages) for task, stages in space.plans.items()}
    two = len(space.tasks) == 2
    gap = 1.5
    starts, at = {}, 0.0
    for task in space.tasks:
        starts[task], at = at, at + depth[task] + gap
    total = at - gap
    row = (lambda task: 0.0) if two else starts.get
    ramp = look.ramp
    for a in space.tasks:
        for b in space.tasks:
            if a != b:
                ax.add_patch(Rectangle((starts[b], row(a)), depth[b], depth[a], facecolor=look.shade, edgecolor="none"))
    for edge, p, keep in zip(space.edges, probability, kept):
        x, y = starts[edge.target.task] + edge.target.stage, row(edge.source.task) + edge.source.stage
        ax.add_patch(Rectangle((x, y), 1, 1, facecolor=ramp(p), edgecolor=look.paper, linewidth=0.5 * look.line, gid=f"cell-{edge}",
                               label=f"{edge}, σ(α) = {p:.3f}, {'kept' if keep else 'dropped'}"))
        if keep:
            ax.plot(x + 0.5, y + 0.5, ".", markersize=2.6 * look.line, color=look.on("#%02x%02x%02x" % ramp(p, bytes=True)[:3]))
    height = max(depth.values()) if two else total
    room = size_of(ax)
    cell = 0.9 * min(room[0] / total, room[1] / height)              # mm
    every = next(n for n in (1, 2, 3, 4, 6, 12, 10**9) if n * cell > text_width("99", look.small) + 1)
    ticks = [(starts[t] + s + 0.5, s) for t in space.tasks for s in range(0, depth[t], every)]
    rows = [(row(t) + s + 0.5, s) for t in (space.tasks[:1] if two else space.tasks) for s in range(0, depth[t], every)]
    ax.set(xlim=(0, total), ylim=(height, 0), xticks=[x for x, _ in ticks], yticks=[y for y, _ in rows],
           xticklabels=[s for _, s in ticks], yticklabels=[s for _, s in rows])
    ax.set_aspect("equal")
    ax.grid(False)
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    for t in space.tasks:
        long = f"{space.tasks[1 - space.tasks.index(t)]} → {t}" if two else t
        fits = text_width(long, look.small) <= cell * (depth[t] + gap)
        ax.text(starts[t] + depth[t] / 2, -0.4, long if fits else shorten(f"→ {t}", look.small, cell * (depth[t] + gap)),
                ha="center", va="bottom", fontsize=look.small, color=look.ink, parse_math=False)
        if not two:
            ax.text(total + 0.5, starts[t] + depth[t] / 2, shorten(t, look.small, cell * (depth[t] + gap)), rotation=-90, ha="left",
                    va="center", fontsize=look.small, color=look.ink, parse_math=False)
    ax.set(xlabel="stage of the target", ylabel="stage of the source")
    if title:
        ax.set_title(title, pad=2.2 * look.font)
    if colorbar:
        from matplotlib.cm import ScalarMappable
        bar = ax.figure.colorbar(ScalarMappable(cmap=ramp), ax=ax, shrink=0.8, aspect=18, pad=0.03, ticks=(0, 0.5, 1))
        bar.set_label("σ(α)   (• kept)")
        bar.outline.set_visible(False)


def side_by_side(source, *, alpha=None, style: str | FigureStyle = "paper-double", title: str | None = None, figure=None):
    """The fusion graph beside its heat map, on a new figure (or sub-figure `figure`), which is returned."""
    look = style_named(style)
    with look.context():
        figure = figure or look.figure(0.34 * look.width, layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(1.75, 1))
        plot_heatmap(source, alpha=alpha, ax=right.add_subplot(), style=look, colorbar=False, title="Gates, source × target")
        graph = left.add_axes((0, 0, 1, 1))
        for part in (left, right):
            part.set_facecolor(look.paper)
        figure.canvas.draw()                         # places the sub-figures, whose size the graph needs
        plot_fusion_graph(source, graph, alpha=alpha, style=look, title=title)
    return figure


def overview(source, *, style: str | FigureStyle = "web-light", title: str | None = None):
    """One still picture of a search: entropy, gates, losses, heat map and fusion graph. Returns the figure."""
    look, log = style_named(style), read_log(source)
    if not log.steps:
        raise RunError("the log has no step yet, so there is nothing to see; wait for the first steps")
    with look.context():
        if not log.alpha.shape[1]:
            figure = look.figure(layout="constrained")
            plot_losses(log, ax=figure.add_subplot(), style=look, title=title or "Losses")
            return figure
        figure = look.figure(0.9 * look.width, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.4 * look.font / 72, h_pad=0.4 * look.font / 72, hspace=0.03, wspace=0.02)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontweight="bold", color=look.ink)
        above, below = figure.subfigures(2, 1, height_ratios=(1.75, 1))
        axes = above.subplots(2, 2)
        plot_entropy(log, ax=axes[0, 0], style=look, title="Entropy")
        plot_gates(log, ax=axes[0, 1], style=look, title="Gates")
        plot_losses(log, ax=axes[1, 0], style=look, title="Losses")
        (plot_gap if log.evaluated else plot_collapse)(log, ax=axes[1, 1], style=look, title="Gap" if log.evaluated else "Collapse")
        for part in (above, below):
            part.set_facecolor(look.paper)
        side_by_side(log, style=look, title=f"Fusion graph after {log.steps[-1].step} steps", figure=below)
    return figure
