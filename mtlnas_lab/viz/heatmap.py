"""The gates as tables, source × target; beside the graph; and one still picture of a whole search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import NamedTuple

from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ..errors import ConfigError, RunError
from . import curvedata as check
from .axes import axes_level, numbers, place_title, size_of
from .curves import plot_collapse, plot_entropy, plot_gap, plot_gates, plot_losses
from .graph.figure import check_title
from .graph.plot import plot_fusion_graph
from .origin import remember
from .provenance import provenance
from .sources import opened, read_log, read_source
from .style import PT, FigureStyle, drawable, noting, shorten, text_width
from .style import style as style_named

GAP = 1.5  # between two blocks, in cells
FATES = {True: "kept", False: "dropped"}
ABOVE = -0.4  # where names above the blocks begin, in cells
CURVES = ("entropy", "gates", "losses", "gap")  # of the overview
MOST_CELLS = 6_000  # of a table that is drawn in bearable time


class Blocks(NamedTuple):
    """Where the blocks of a table begin, in cells, and how large all of it is."""

    left: dict[str, float]  # by the task of the targets
    top: dict[str, float]  # by the task of the sources
    width: float
    height: float


def _heatmap(source, alpha=None, step: int | None = None) -> dict:
    space, probability, kept = read_source(source, alpha, step)
    kept = [bool(keep) for keep in kept or (True,) * len(space)]
    edges = []
    for edge in space.edges:
        ends = [edge.source.task, edge.source.stage, edge.target.task, edge.target.stage]
        edges.append(ends)
    return {
        "depth": {task: len(stages) for task, stages in space.plans.items()},
        "kept": kept,
        "edges": edges,
        "p": numbers(probability or [float(keep) for keep in kept], 6),
    }


@axes_level(_heatmap, check.heatmap)
def plot_heatmap(data, ax, look, *, colorbar: bool = True, title: str | None = None):
    """σ(α) by stage of the source (rows) and of the target (columns), one block for each direction.

    Pairs that are no candidates stay blank; kept edges have a dot. `source`: a log or a run (after `step`), an
    architecture, or a space with `alpha`. Two tasks make two blocks side by side, more make a square of tasks.
    """
    if len(data["edges"]) > MOST_CELLS:
        raise ConfigError(
            f"a table of {len(data['edges'])} cells can't be drawn, at most {MOST_CELLS} can; draw a "
            "space of fewer tasks or stages"
        )
    depth = data["depth"]
    blocks = _blocks(depth)
    cell = _cell_size(ax, look, blocks, colorbar)
    _check_room(look, len(depth), cell * (min(depth.values()) + GAP))
    _draw_cells(data, ax, look, blocks, cell)
    _draw_axes(ax, look, depth, blocks, cell)
    above = _names(ax, look, depth, blocks, cell)
    if title:
        place_title(ax, look, title, above / PT + 0.6 * look.font)
    if colorbar:
        values = ScalarMappable(cmap=look.ramp)
        bar = ax.figure.colorbar(values, ax=ax, shrink=0.8, aspect=18, pad=0.03, ticks=(0, 0.5, 1))
        bar.set_label("σ(α)   (• kept)")
        bar.outline.set_visible(False)
    return 0.0  # there is no legend above


def _blocks(depth: dict[str, int]) -> Blocks:
    """One block for each task of the targets beside the other; with three tasks or more also one below the other."""
    left = {}
    end = 0.0
    for task, stages in depth.items():
        left[task] = end
        end += stages + GAP
    width = end - GAP
    if len(depth) == 2:  # each task reads from one other, so one row of blocks holds all
        return Blocks(left, dict.fromkeys(left, 0.0), width, max(depth.values()))
    return Blocks(left, left, width, width)


def _cell_size(ax, look: FigureStyle, blocks: Blocks, colorbar: bool) -> float:
    """mm of the side of a cell."""
    room = size_of(ax)
    wide = 0.9 * room[0]
    if colorbar:  # it and the labels take so much, whatever the page
        wide = min(wide, max(look.width - 3.4 * look.font, 0.3 * look.width))
    return min(wide / blocks.width, 0.9 * room[1] / blocks.height)


def _check_room(look: FigureStyle, tasks: int, block: float) -> None:
    """Raises ConfigError where a block is lower than the name that stands beside it."""
    least = 1.25 * look.small * PT
    if block < least:
        raise ConfigError(
            f"a table of {tasks} tasks does not fit on {look.width:g} mm; give "
            f"{look.width * least / max(block, 1e-3):.0f} mm"
        )


def _draw_cells(data, ax, look: FigureStyle, blocks: Blocks, cell: float) -> None:
    """The blocks, their cells, and a dot on each kept one that covers a tenth of it; `cell` mm wide.

    They are added as artists, which measures nothing: the limits are known, and there may be thousands of cells.
    """
    depth = data["depth"]
    for source, target in permutations(depth, 2):
        corner = (blocks.left[target], blocks.top[source])
        shade = {"facecolor": look.shade, "linewidth": 0}
        ax.add_artist(Rectangle(corner, depth[target], depth[source], **shade))
    seam = min(0.5 * look.line, 0.07 * cell / PT)  # pt; of small cells the seams would be all
    dot = min(2.6 * look.line, 0.55 * cell / PT)  # pt; matplotlib draws "." half as wide
    for i, (ends, p, keep) in enumerate(zip(data["edges"], data["p"], data["kept"])):
        source, start, target, end = ends
        x = blocks.left[target] + end
        y = blocks.top[source] + start
        color = look.ramp(p)
        patch = Rectangle((x, y), 1, 1, facecolor=color, edgecolor=look.paper, linewidth=seam)
        patch.set_gid(f"cell-{i}")
        patch.set_label(f"{source}:{start} -> {target}:{end}, σ(α) = {p:.3f}, {FATES[keep]}")
        ax.add_artist(patch)
        if keep:
            mark = {"markersize": dot, "markeredgewidth": 0, "color": look.on(to_hex(color))}
            ax.add_artist(Line2D([x + 0.5], [y + 0.5], linestyle="none", marker=".", **mark))


def _draw_axes(ax, look: FigureStyle, depth: dict, blocks: Blocks, cell: float) -> None:
    """The numbers of the stages; of two tasks the rows of both blocks share them."""
    columns = _ticks({task: (blocks.left[task], depth[task]) for task in depth}, look, cell)
    listed = [max(depth, key=depth.get)] if len(depth) == 2 else list(depth)
    rows = _ticks({task: (blocks.top[task], depth[task]) for task in listed}, look, cell)
    ax.set(xlim=(0, blocks.width), ylim=(blocks.height, 0), aspect="equal")  # rows count downwards
    ax.set(xlabel="stage of the target", ylabel="stage of the source")
    ax.set_xticks([place for place, _ in columns], [stage for _, stage in columns])
    ax.set_yticks([place for place, _ in rows], [stage for _, stage in rows])
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _ticks(blocks: dict, look: FigureStyle, cell: float) -> list[tuple[float, int]]:
    """(place, stage) of the numbers at an axis of {task: (begin, length)}: as many as keep apart, 0 in each block."""
    need = text_width("99", look.small) + 1  # mm
    every = next((n for n in (1, 2, 3, 4, 6, 12) if n * cell > need), None)
    found: list[tuple[float, int]] = []
    end = -1e9  # of the number before
    for begin, length in blocks.values():
        for stage in range(0, length, every or length):
            place = begin + stage + 0.5
            behind = begin + length + GAP - place + 0.5  # to the 0 of the next block
            if (place - end) * cell < need or (stage and behind * cell < need):
                continue
            found.append((place, stage))
            end = place
    return found


def _names(ax, look: FigureStyle, depth: dict, blocks: Blocks, cell: float) -> float:
    """The names of the tasks at the blocks. Returns how many mm those above take."""
    if len(depth) == 2:
        _names_of_two(ax, look, depth, blocks, cell)
        return 1.2 * look.small * PT + 0.4 * cell
    widths = {task: text_width(task, look.small) for task in depth}
    across = all(widths[task] <= cell * (depth[task] + GAP) for task in depth)
    long = min(max(widths.values()), 0.22 * look.width)
    for task in depth:
        middle = blocks.left[task] + depth[task] / 2
        if across:
            _name(ax, look, middle, ABOVE, task, ha="center", va="bottom")
            beside = {"rotation": -90, "ha": "left", "va": "center"}
            _name(ax, look, blocks.width + 0.5, middle, task, **beside)
        else:  # too long: upright above, level beside
            name = shorten(task, look.small, long)
            _name(ax, look, middle, ABOVE, name, rotation=90, ha="center", va="bottom")
            _name(ax, look, blocks.width + 0.5, middle, name, ha="left", va="center")
    if across:
        return 1.2 * look.small * PT + 0.4 * cell
    return long + 0.4 * cell


def _names_of_two(ax, look: FigureStyle, depth: dict, blocks: Blocks, cell: float) -> None:
    """Above each block both tasks, or the target alone, as there is room."""
    for task, other in permutations(depth, 2):
        room = cell * (depth[task] + GAP)
        name = f"{other} → {task}"
        if text_width(name, look.small) + look.small * PT > room:  # or the two names would touch
            name = shorten(f"→ {task}", look.small, room)
        middle = blocks.left[task] + depth[task] / 2
        _name(ax, look, middle, ABOVE, name, ha="center", va="bottom")


def _name(ax, look: FigureStyle, x: float, y: float, text: str, **place) -> None:
    ax.text(x, y, drawable(text), fontsize=look.small, parse_math=False, **place)


# --- several pictures in one ------------------------------------------------------------------------------------------
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
    look = style_named(style)
    source = opened(source)
    check_title(title)
    with noting() as notes, look.context():
        if figure is None:
            _must_fit(look, 15, "the graph beside the table")
            figure = look.figure(0.34 * look.width, layout="constrained")
            remember(figure, provenance=provenance(source))
        left, right = figure.subfigures(1, 2, width_ratios=(1.75, 1))
        table = {"style": look, "colorbar": False, "title": "Gates, source × target"}
        plot_heatmap(source, alpha=alpha, ax=right.add_subplot(), **table)
        graph = left.add_axes((0, 0, 1, 1))
        for part in (left, right):
            part.set_facecolor(look.paper)
        figure.canvas.draw()  # places the sub-figures, whose size the graph needs
        plot_fusion_graph(source, graph, alpha=alpha, style=look, title=title)
    remember(figure, notes=tuple(notes.lines()))
    return figure


def overview(
    source,
    *,
    style: str | FigureStyle = "web-light",
    title: str | None = None,
    curves: Sequence[str] = CURVES,
):
    """One still picture of a search: curves, two in a row, above fusion graph and heat map. Returns the figure.

    Where there are no evaluations, the collapse of the gates stands for the gap; a pretraining has losses only.

    Args:
        source: A run, a log, or a folder.
        style: A style or its name.
        title: Above everything.
        curves: Which of entropy, gates, losses and gap are drawn, in this order.
    """
    look = style_named(style)
    source = opened(source)
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
        rows = (len(curves) + 1) // 2
        share = (0.875 * rows + 1) / (0.875 * 2 + 1)  # of the height that two rows of curves take
        figure = look.figure(0.9 * share * look.width, layout="constrained")
        remember(figure, provenance=provenance(source))
        pad = 0.4 * look.font / 72
        figure.get_layout_engine().set(w_pad=pad, h_pad=pad, hspace=0.03, wspace=0.02)
        if title:
            shown = drawable(shorten(title, look.font, 0.85 * look.width))
            figure.suptitle(shown, x=0.01, ha="left", fontweight="bold", parse_math=False)
        above, below = figure.subfigures(2, 1, height_ratios=(0.875 * rows, 1))
        axes = above.subplots(rows, 2, squeeze=False)
        for ax, curve in zip(axes.flat, curves):
            plot, name = _curve(curve, log)
            plot(log, ax=ax, style=look, title=name)
        for part in (above, below):
            part.set_facecolor(look.paper)
        after = f"Fusion graph after {log.steps[-1].step} steps"
        side_by_side(log, style=look, title=after, figure=below)
    remember(figure, notes=tuple(notes.lines()))
    return figure


def _curve(name: str, log) -> tuple[Callable, str]:
    """What draws a curve of the overview, and its title."""
    if name == "gap" and not log.evaluated:
        return plot_collapse, "Collapse"
    plots = {"entropy": plot_entropy, "gates": plot_gates, "losses": plot_losses, "gap": plot_gap}
    return plots[name], name.capitalize()
