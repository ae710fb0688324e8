"""Pictures of a study: every seed a dot, means with their intervals, the gap over time; pages of text for a PDF."""

from __future__ import annotations

import textwrap

import numpy as np

from .style import STYLES, TASK_COLORS

LOOK = STYLES["web-light"]
MARKERS = "osD^vP*X"


def plot_gains(gains, half, reference: str = ""):
    """Δm in % by row (gains: frame, row × seed): each seed a dot of its own colour and shape, the mean with its 95 % interval,
    which reaches `half[row]` to either side."""
    rows = list(gains.index)
    figure = LOOK.figure(height=22 + 9 * len(rows), layout="constrained")
    with LOOK.context():
        ax = figure.add_subplot()
    offsets = np.linspace(-0.22, 0.22, gains.shape[1]) if gains.shape[1] > 1 else [0]
    for i, (seed, values) in enumerate(gains.items()):
        ax.scatter(
            values,
            np.arange(len(rows)) + offsets[i],
            s=34,
            marker=MARKERS[i % len(MARKERS)],
            color=TASK_COLORS[i % len(TASK_COLORS)],
            edgecolor=LOOK.ink,
            linewidth=0.4,
            label=f"seed {seed}",
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
        yticklabels=[f"{row} (reference)" if row == reference else row for row in rows],
        ylim=(len(rows) - 0.5, -0.5),
        xlabel="Δm over single-task networks (%), more is better",
    )
    ax.tick_params(axis="y", labelsize=LOOK.font)
    ax.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=min(7, gains.shape[1] + 2))
    return figure


def plot_cut(gap):
    """What cutting the gates costs (frame: row, seed, hard, hard_recalibrated; %), every run a dot."""
    rows = list(dict.fromkeys(gap.row))
    figure = LOOK.figure(height=22 + 9 * len(rows), layout="constrained")
    with LOOK.context():
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
        yticklabels=rows,
        ylim=(len(rows) - 0.5, -0.5),
        xlabel="change when the gates are cut (% of the soft score, tasks and metrics averaged)",
    )
    ax.tick_params(axis="y", labelsize=LOOK.font)
    ax.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def plot_cut_over_time(scores, metric: str = "miou"):
    """Score under hard gates minus the score as searched, over the steps (tidy scores with `step`), one panel a task."""
    tasks = {
        task: metric if metric in set(part.metric) else part.metric.iloc[0]
        for task, part in scores.groupby("task", sort=False)
    }
    rows = list(dict.fromkeys(scores.row[scores.kind == "soft"]))  # those that have gates to cut
    figure = LOOK.figure(height=78, layout="constrained")
    with LOOK.context():
        axes = figure.subplots(1, len(tasks), squeeze=False)[0]
    for ax, (task, chosen) in zip(axes, tasks.items()):
        part = scores[(scores.task == task) & (scores.metric == chosen)]
        wide = part.pivot_table(index=["row", "seed", "step"], columns="kind", values="value")
        if not {"soft", "hard"} <= set(wide):
            continue
        gap = (wide.hard - wide.soft).rename("gap").reset_index()
        for i, row in enumerate(rows):
            own, colour = gap[gap.row == row], TASK_COLORS[i % len(TASK_COLORS)]
            for _, line in own.groupby("seed"):
                ax.plot(line.step, line.gap, color=colour, lw=0.7, alpha=0.4)
            mean = own.groupby("step").gap.mean()
            ax.plot(
                mean.index,
                mean,
                color=colour,
                lw=2.2,
                marker=MARKERS[i % len(MARKERS)],
                markersize=4,
                label=row if ax is axes[0] else None,
            )
        ax.axhline(0, color=LOOK.soft, lw=1, ls=":")
        ax.set(xlabel="step of the search", ylabel=f"{chosen}, hard minus soft", title=task)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def plot_worth(edges):
    """What each kept edge is worth against its α (frame: row, seed, edge, kept, alpha, worth, gradient): a line of panels a row."""
    kept, rows = edges[edges.kept], list(dict.fromkeys(edges.row))
    shown = {"worth": "loss without the edge\nminus loss with it", "gradient": "|∂ loss / ∂ gate|"}
    figure = LOOK.figure(height=20 + 55 * len(rows), layout="constrained")
    with LOOK.context():
        axes = figure.subplots(len(rows), len(shown), squeeze=False)
    for line, row in zip(axes, rows):
        for ax, (column, label) in zip(line, shown.items()):
            for i, (seed, part) in enumerate(kept[kept.row == row].groupby("seed")):
                ax.scatter(
                    part.alpha,
                    part[column],
                    s=20,
                    marker=MARKERS[i % len(MARKERS)],
                    color=TASK_COLORS[i % len(TASK_COLORS)],
                    edgecolor=LOOK.ink,
                    linewidth=0.3,
                    label=f"seed {seed}" if ax is axes[0, 0] else None,
                )
            ax.axhline(0, color=LOOK.soft, lw=1, ls=":")
            ax.set(
                xlabel="α at the end (σ(α): 0.73 at 1, 0.95 at 3, 0.99 at 5)",
                ylabel=label,
                title=row,
            )
    figure.legend(loc="outside lower center", ncols=7)
    return figure


def text_page(
    title: str,
    question: str,
    lines: list[str],
    tables: list[tuple[str, list[str], list[list[str]]]],
):
    """Yields Figures in A4: sentences first, then the tables (title, head, lines), turned on their side."""
    wrapped = [
        part
        for line in lines
        for part in (textwrap.wrap(line, 96, subsequent_indent="   ") or [""])
    ]
    asked = textwrap.wrap(question, 84)
    for start in range(0, max(len(wrapped), 1), 52):
        figure = LOOK.figure(width=210, height=297)
        if start == 0:
            figure.text(0.08, 0.955, title, size=18, weight="bold", va="top")
            figure.text(0.08, 0.925, "\n".join(asked), size=11, color=LOOK.soft, va="top")
        figure.text(
            0.08, 0.87, "\n".join(wrapped[start : start + 52]), size=9, va="top", linespacing=1.5
        )
        yield figure
    for name, head, cells in tables:
        head = ["\n".join(textwrap.wrap(part, 13, break_long_words=False)) for part in head]
        cells = [
            ["\n".join(textwrap.wrap(value, 30, break_long_words=False)) for value in line]
            for line in cells
        ]
        for start in range(0, len(cells), 20):
            yield _table_page(name, head, cells[start : start + 20])


def _table_page(name: str, head: list[str], cells: list[list[str]]):
    figure = LOOK.figure(width=297, height=210)
    figure.text(0.03, 0.96, name, size=12, weight="bold", va="top")
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
    lines = textwrap.wrap(caption, 110)
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
    figure.text(0.01, 0.995, "\n".join(lines), size=LOOK.small, va="top", color=LOOK.soft)
    return figure
