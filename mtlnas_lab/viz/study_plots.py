"""Pictures of a study: every seed a dot, means with their intervals, the gap over time; pages of text for a PDF."""

from __future__ import annotations

import textwrap
from functools import wraps

import numpy as np

from .style import LINES, MARKERS, STYLES, TASK_COLORS, drawable, noting, shorten, warn_of_boxes

LOOK = STYLES["web-light"]


MOST_LETTERS = 20_000  # of the text on pages


def _in_style(draw):
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


@_in_style
def plot_gains(gains, half, reference: str = ""):
    """Δm in % by row (gains: frame, row × seed): each seed a dot of its own colour and shape, the mean with its 95 % interval,
    which reaches `half[row]` to either side."""
    rows = list(gains.index)
    figure = LOOK.figure(height=22 + 9 * len(rows), layout="constrained")
    ax = figure.add_subplot()
    offsets = np.linspace(-0.22, 0.22, gains.shape[1]) if gains.shape[1] > 1 else [0]
    for i, (seed, values) in enumerate(gains.items()):
        ax.scatter(
            values,
            np.arange(len(rows)) + offsets[i],
            s=34,
            **_look(i),
            edgecolor=LOOK.ink,
            linewidth=0.4,
            label=f"seed {seed}" if i < 40 else None,
            zorder=3,
        )
    for y, row in enumerate(rows):
        values = gains.loc[row].dropna().to_numpy()
        ax.plot(
            [values.mean() - half[row], values.mean() + half[row]],
            [y, y],
            color=LOOK.soft,
            lw=5,
            alpha=0.45,
            solid_capstyle="butt",
            zorder=1,
            label="95 % interval of the mean" if y == 0 else None,
        )
        ax.plot(
            [values.mean()] * 2,
            [y - 0.32, y + 0.32],
            color=LOOK.ink,
            lw=1.6,
            zorder=2,
            label="mean" if y == 0 else None,
        )
    ax.axvline(0, color=LOOK.soft, lw=1, ls=":")
    ax.set(
        yticks=range(len(rows)),
        yticklabels=[_name(row) + " (reference)" * (row == reference) for row in rows],
        ylim=(len(rows) - 0.5, -0.5),
        xlabel="Δm over single-task networks (%), more is better",
    )
    ax.tick_params(axis="y", labelsize=LOOK.font)
    ax.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=min(7, gains.shape[1] + 2))
    return figure


@_in_style
def plot_cut(gap):
    """What cutting the gates costs (frame: row, seed, hard, hard_recalibrated; %), every run a dot."""
    rows = list(dict.fromkeys(gap.row))
    figure = LOOK.figure(height=22 + 9 * len(rows), layout="constrained")
    ax = figure.add_subplot()
    for (name, label), colour, shift, marker in zip(
        (("hard", "cut to hard gates"), ("hard_recalibrated", "cut, batch norm anew")),
        (TASK_COLORS[5], TASK_COLORS[0]),
        (-0.14, 0.14),
        "os",
    ):
        for y, row in enumerate(rows):
            values = gap[gap.row == row][name].to_numpy()
            ax.scatter(
                values,
                np.full(len(values), y + shift),
                s=30,
                marker=marker,
                color=colour,
                edgecolor=LOOK.ink,
                linewidth=0.4,
                zorder=3,
                label=label if y == 0 else None,
            )
            ax.plot(
                [values.mean()] * 2,
                [y + shift - 0.13, y + shift + 0.13],
                color=colour,
                lw=2.4,
                zorder=2,
            )
    ax.axvline(0, color=LOOK.soft, lw=1, ls=":")
    ax.set(
        yticks=range(len(rows)),
        yticklabels=[_name(row) for row in rows],
        ylim=(len(rows) - 0.5, -0.5),
        xlabel="change when the gates are cut (% of the soft score, tasks and metrics averaged)",
    )
    ax.tick_params(axis="y", labelsize=LOOK.font)
    ax.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@_in_style
def plot_cut_over_time(scores, metric: str = "miou"):
    """Score under hard gates minus the score as searched, over the steps (tidy scores with `step`), one panel a task."""
    tasks = {
        task: metric if metric in set(part.metric) else part.metric.iloc[0]
        for task, part in scores.groupby("task", sort=False)
    }
    rows = list(dict.fromkeys(scores.row[scores.kind == "soft"]))  # those that have gates to cut
    figure = LOOK.figure(height=78, layout="constrained")
    axes = figure.subplots(1, len(tasks), squeeze=False)[0]
    for ax, (task, chosen) in zip(axes, tasks.items()):
        part = scores[(scores.task == task) & (scores.metric == chosen)]
        wide = part.pivot_table(index=["row", "seed", "step"], columns="kind", values="value")
        if not {"soft", "hard"} <= set(wide):
            continue
        gap = (wide.hard - wide.soft).rename("gap").reset_index()
        for i, row in enumerate(rows):
            own, look = gap[gap.row == row], _look(i)
            for _, line in own.groupby("seed"):
                ax.plot(line.step, line.gap, color=look["color"], lw=0.7, alpha=0.4)
            mean = own.groupby("step").gap.mean()
            ax.plot(
                mean.index,
                mean,
                **look,
                lw=2.2,
                linestyle=LINES[i // 8 % len(LINES)],
                markersize=4,
                label=_name(row, 70) if ax is axes[0] else None,
            )
        ax.axhline(0, color=LOOK.soft, lw=1, ls=":")
        ax.set(xlabel="step of the search", ylabel=_name(f"{chosen}, hard minus soft"))
        ax.set_title(_name(task, 200 / len(tasks)))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@_in_style
def plot_worth(edges):
    """What each kept edge is worth against its α (frame: row, seed, edge, kept, alpha, worth, gradient): a line of panels a row."""
    kept, rows = edges[edges.kept], list(dict.fromkeys(edges.row))
    shown = {"worth": "loss without the edge\nminus loss with it", "gradient": "|∂ loss / ∂ gate|"}
    figure = LOOK.figure(height=20 + 55 * len(rows), layout="constrained")
    axes = figure.subplots(len(rows), len(shown), squeeze=False)
    for line, row in zip(axes, rows):
        for ax, (column, label) in zip(line, shown.items()):
            for i, (seed, part) in enumerate(kept[kept.row == row].groupby("seed")):
                ax.scatter(
                    part.alpha,
                    part[column],
                    s=20,
                    **_look(i),
                    edgecolor=LOOK.ink,
                    linewidth=0.3,
                    label=f"seed {seed}" if ax is axes[0, 0] and i < 40 else None,
                )
            ax.axhline(0, color=LOOK.soft, lw=1, ls=":")
            ax.set(
                xlabel="α at the end (σ(α): 0.73 at 1, 0.95 at 3, 0.99 at 5)",
                ylabel=label,
            )
            ax.set_title(_name(row, 100))
    figure.legend(loc="outside lower center", ncols=7)
    return figure


def text_page(
    title: str,
    question: str,
    lines: list[str],
    tables: list[tuple[str, list[str], list[list[str]]]],
):
    """Yields Figures in A4: sentences first, then the tables (title, head, lines), turned on their side."""
    lines = [drawable_lines(line) for line in lines]
    wrapped = [
        part
        for line in lines
        for part in (textwrap.wrap(line, 96, subsequent_indent="   ") or [""])
    ]
    asked = textwrap.wrap(drawable_lines(question), 84)[:4]
    for start in range(0, max(len(wrapped), 1), 52):
        figure = LOOK.figure(width=210, height=297)
        if start == 0:
            shown = _name(title, 160, 18)
            _text(figure, 0.08, 0.955, shown, size=18, weight="bold")
            _text(figure, 0.08, 0.925, "\n".join(asked), size=11, color=LOOK.soft)
        page = "\n".join(wrapped[start : start + 52])
        _text(figure, 0.08, 0.87, page, size=9, linespacing=1.5)
        yield figure
    for name, head, cells in tables:
        head = [_wrapped(part, 13) for part in head]
        cells = [[_wrapped(value, 30) for value in line] for line in cells]
        for start in range(0, len(cells), 20):
            yield _table_page(name, head, cells[start : start + 20])


def drawable_lines(text: str) -> str:
    """A text of any length as one line of letters that can be drawn."""
    text = str(text)
    parts = [text[i : i + 500] for i in range(0, min(len(text), MOST_LETTERS), 500)]
    return "".join(map(drawable, parts)) + "…" * (len(text) > MOST_LETTERS)


def _wrapped(text: str, letters: int) -> str:
    """A cell of a table: words stay whole up to 40 letters, and at most six lines are shown."""
    lines = textwrap.wrap(drawable(text), letters, break_long_words=False)
    return "\n".join(_name(line, 60, 8) for line in lines[:6]) + "…" * (len(lines) > 6)


def _text(figure, x: float, y: float, text: str, **look):
    """Text of a page, from its upper left corner; never a formula."""
    return figure.text(x, y, text, va="top", parse_math=False, **look)


@_in_style
def _table_page(name: str, head: list[str], cells: list[list[str]]):
    figure = LOOK.figure(width=297, height=210)
    _text(figure, 0.03, 0.96, _name(name, 270, 12), size=12, weight="bold")
    ax = figure.add_axes((0.03, 0.05, 0.94, 0.86))
    ax.set_axis_off()
    table = ax.table(cells, colLabels=head, loc="upper center", cellLoc="right", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(min(8.0, 76 / len(head)))
    table.auto_set_column_width(list(range(len(head))))
    deep = [max(value.count("\n") for value in line) + 1 for line in (head, *cells)]
    for (row, _), cell in table.get_celld().items():
        cell.set_height(0.014 + 0.021 * deep[row])
        cell.set_edgecolor("#dddddd")
    return figure


def captioned(figure, caption: str):
    """The figure with its caption above, for a page without a figcaption."""
    lines = textwrap.wrap(drawable(caption), 110)
    width, height = figure.get_size_inches()
    room = (0.08 + 0.17 * len(lines)) / (height + 0.08 + 0.17 * len(lines))
    engine = figure.get_layout_engine()
    figure.set_size_inches(width, height / (1 - room))
    if engine is not None and hasattr(engine, "set"):
        engine.set(rect=(0, 0, 1, 1 - room))
    else:
        for ax in figure.axes:
            box = ax.get_position()
            ax.set_position((box.x0, box.y0 * (1 - room), box.width, box.height * (1 - room)))
    _text(figure, 0.01, 0.995, "\n".join(lines), size=LOOK.small, color=LOOK.soft)
    return figure
