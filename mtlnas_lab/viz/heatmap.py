"""The gates as tables, source × target; beside the graph; and one still picture of a whole search."""

from __future__ import annotations

from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from ..errors import ConfigError, RunError
from . import curvedata as check
from .axes import axes_level, numbers, place_title, size_of
from .curves import plot_collapse, plot_entropy, plot_gap, plot_gates, plot_losses
from .graph.figure import check_title
from .graph.plot import plot_fusion_graph
from .provenance import provenance
from .sources import opened, read_log, read_source
from .style import PT, FigureStyle, drawable, noting, shorten, text_width
from .style import style as style_named

GAP = 1.5  # between two blocks, in cells


MOST_CELLS = 6_000  # of a table that is drawn in bearable time


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


@axes_level(_heatmap, check.heatmap)
def plot_heatmap(data, ax, look, *, colorbar: bool = True, title: str | None = None):
    """σ(α) by stage of the source (rows) and of the target (columns), one block for each direction.

    Pairs that are no candidates stay blank; kept edges have a dot. `source`: a log or a run (after `step`), an
    architecture, or a space with `alpha`. Two tasks make two blocks side by side, more make a square of tasks.
    """
    depth, tasks = data["depth"], list(data["depth"])
    if len(data["edges"]) > MOST_CELLS:
        raise ConfigError(
            f"a table of {len(data['edges'])} cells can't be drawn, at most {MOST_CELLS} can; draw a "
            "space of fewer tasks or stages"
        )
    two = len(tasks) == 2
    left, width = {}, 0.0
    for task in tasks:
        left[task], width = width, width + depth[task] + GAP
    width -= GAP
    top, height = (dict.fromkeys(left, 0.0), max(depth.values())) if two else (left, width)
    room = size_of(ax)
    wide = 0.9 * room[0]
    if colorbar:  # it and the labels take so much, whatever the page
        wide = min(wide, max(look.width - 3.4 * look.font, 0.3 * look.width))
    cell = min(wide / width, 0.9 * room[1] / height)  # mm
    _blocks_must_fit(look, tasks, cell * (min(depth.values()) + GAP))
    _cells(data, ax, look, left, top, cell)
    longest = max(depth, key=depth.get)
    columns = _ticks({task: (left[task], depth[task]) for task in tasks}, look, cell)
    rows = _ticks({t: (top[t], depth[t]) for t in ([longest] if two else tasks)}, look, cell)
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
    above = _names(ax, look, depth, left, width, cell)
    if title:
        place_title(ax, look, title, above / PT + 0.6 * look.font)
    if colorbar:
        values = ScalarMappable(cmap=look.ramp)
        bar = ax.figure.colorbar(values, ax=ax, shrink=0.8, aspect=18, pad=0.03, ticks=(0, 0.5, 1))
        bar.set_label("σ(α)   (• kept)")
        bar.outline.set_visible(False)
    return 0.0


def _blocks_must_fit(look: FigureStyle, tasks: list, block: float) -> None:
    """Raises ConfigError where a block is lower than the name that stands beside it."""
    least = 1.25 * look.small * PT
    if block < least:
        raise ConfigError(
            f"a table of {len(tasks)} tasks does not fit on {look.width:g} mm; give "
            f"{look.width * least / max(block, 1e-3):.0f} mm"
        )


def _cells(data, ax, look, left: dict, top: dict, cell: float) -> None:
    """The blocks, their cells, and a dot on each kept one that covers a tenth of it; `cell` mm wide."""
    depth = data["depth"]
    for a in depth:
        for b in depth:
            if a != b:
                place = (left[b], top[a])
                ax.add_patch(
                    Rectangle(place, depth[b], depth[a], facecolor=look.shade, linewidth=0)
                )
    seam = min(0.5 * look.line, 0.07 * cell / PT)  # pt; of small cells the seams would be all
    dot = min(2.6 * look.line, 0.55 * cell / PT)  # pt; matplotlib draws "." half as wide
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
                linewidth=seam,
                gid=f"cell-{i}",
                label=text,
            )
        )
        if keep:
            mark = {"markersize": dot, "markeredgewidth": 0, "color": look.on(to_hex(color))}
            ax.plot(x + 0.5, y + 0.5, ".", **mark)


def _ticks(blocks: dict, look: FigureStyle, cell: float) -> list[tuple[float, int]]:
    """(place, stage) of the numbers at an axis of {task: (begin, length)}: as many as keep apart, 0 in each block."""
    need = text_width("99", look.small) + 1  # mm
    every = next((n for n in (1, 2, 3, 4, 6, 12) if n * cell > need), None)
    found, end = [], -1e9
    for begin, length in blocks.values():
        for stage in range(0, length, every or length):
            place = begin + stage + 0.5
            room_behind = begin + length + GAP - place + 0.5  # to the 0 of the next block
            if (place - end) * cell < need or (stage and room_behind * cell < need):
                continue
            found.append((place, stage))
            end = place
    return found


def _names(ax, look: FigureStyle, depth: dict, left: dict, width: float, cell: float) -> float:
    """The names of the tasks above and beside the blocks, upright and level where they are too long. Returns mm."""
    tasks = list(depth)
    wide = {task: cell * (depth[task] + GAP) for task in tasks}
    if len(tasks) == 2:
        for task in tasks:
            names = [f"{tasks[1 - tasks.index(task)]} → {task}", f"→ {task}"]
            fitting = [name for name in names if text_width(name, look.small) <= wide[task]]
            name = fitting[0] if fitting else shorten(names[-1], look.small, wide[task])
            _name(ax, look, left[task] + depth[task] / 2, -0.4, name, ha="center", va="bottom")
        return 1.5 * look.small * PT
    across = all(text_width(task, look.small) <= wide[task] for task in tasks)
    long = min(max(text_width(task, look.small) for task in tasks), 0.22 * look.width)
    for task in tasks:
        middle, away = left[task] + depth[task] / 2, width + 0.5
        if across:
            _name(ax, look, middle, -0.4, task, ha="center", va="bottom")
            _name(ax, look, away, middle, task, rotation=-90, ha="left", va="center")
        else:
            name = shorten(task, look.small, long)
            _name(ax, look, middle, -0.4, name, rotation=90, ha="center", va="bottom")
            _name(ax, look, away, middle, name, ha="left", va="center")
    return (1.2 * look.small * PT if across else long) + 0.4 * cell


def _name(ax, look: FigureStyle, x: float, y: float, text: str, **place) -> None:
    ax.text(x, y, drawable(text), fontsize=look.small, parse_math=False, **place)


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
    check_title(title)
    with noting() as notes, look.context():
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
    figure.lab_notes = tuple(notes.lines())
    return figure


def overview(source, *, style: str | FigureStyle = "web-light", title: str | None = None):
    """One still picture of a search: entropy, gates, losses, gap, fusion graph and heat map. Returns the figure.

    Where there are no evaluations, the collapse of the gates stands for the gap; a pretraining has losses only.
    """
    look, source = style_named(style), opened(source)
    log = read_log(source)
    check_title(title)
    if not log.steps:
        raise RunError(
            "the log has no step yet, so there is nothing to see; wait for the first steps"
        )
    if not log.alpha.shape[1]:
        return plot_losses(log, style=look, title=title or "Losses").figure
    _must_fit(look, 20, "the overview")
    with noting() as notes, look.context():
        figure = look.figure(0.9 * look.width, layout="constrained")
        figure.lab_facts = provenance(source)
        pad = 0.4 * look.font / 72
        figure.get_layout_engine().set(w_pad=pad, h_pad=pad, hspace=0.03, wspace=0.02)
        if title:
            shown = drawable(shorten(title, look.font, 0.85 * look.width))
            figure.suptitle(shown, x=0.01, ha="left", fontweight="bold", parse_math=False)
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
    figure.lab_notes = tuple(notes.lines())
    return figure
