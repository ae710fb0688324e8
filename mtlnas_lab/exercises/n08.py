"""Checks of notebook 08: where nodes stand, arrows both ways, stability, chance, a figure for a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..architecture import Architecture, agreement
from ..baselines import random_graph
from ..space import SearchSpace, plan
from .book import Wrong, exercise

RIGHT, YOURS = "#2262ad", "#c9452f"


def space(tasks: Sequence[str], groups=(2, 2, 3, 3, 3)) -> SearchSpace:
    return SearchSpace.build(dict.fromkeys(tasks, plan([8] * sum(groups), groups)))


@exercise("08.place")
def place(answer, ax):
    """Where the nodes stand."""
    from ..viz.graph import GROUP_GAP, fusion_graph, ladder_layout

    for tried in (space(("a", "b", "c"), (2, 1, 3)), space(("segmentation", "normals"))):
        right = ladder_layout(fusion_graph(tried))
        yours = answer(tried)
        if not isinstance(yours, dict) or not yours:
            raise Wrong(
                f"give a dictionary, {{'segmentation:0': (x, y), …}}; yours is a {type(yours).__name__}"
            )
        if not all(isinstance(node, str) for node in yours):
            raise Wrong(
                f"name nodes by their text, str(node), as networkx has them; yours has {next(iter(yours))!r}"
            )
        if set(yours) != set(right):
            raise Wrong(
                f"{len(right)} nodes have a place, yours are {len(yours)}; go through space.nodes"
            )
        ax.clear()
        for places, size, color, label in (
            (right, 90, RIGHT, "right"),
            (yours, 18, YOURS, "yours"),
        ):
            ax.scatter(
                *np.array(list(places.values()), float).T,
                s=size,
                color=color,
                label=label,
                alpha=0.4 + 0.6 * (size < 90),
            )
        ax.set(xlabel="x (1 = from one stage to the next)", ylabel="y (lanes)")
        ax.margins(0.08, 0.35)
        ax.legend(frameon=False, ncols=2, loc="upper right")
        if _same(yours, {node: (int(node.split(":")[1]), y) for node, (_, y) in right.items()}):
            raise Wrong(
                f"groups stand as close as stages do, so nobody sees them: add {GROUP_GAP} for each group "
                "before, space.stage(node).group"
            )
        if _same(yours, {node: (x, -y) for node, (x, y) in right.items()}):
            raise Wrong(
                "the first task should be the upper lane: y = −0, −1, −2 …, for y grows upwards"
            )
        if not _same(yours, right):
            wrong = next(
                node for node in right if not np.allclose(yours[node], right[node], atol=1e-6)
            )
            (x, y), (right_x, right_y) = yours[wrong], right[wrong]
            raise Wrong(
                f"{wrong} stands at ({x:g}, {y:g}), but belongs at ({right_x:g}, {right_y:g}): "
                f"x = stage + {GROUP_GAP} · group, y = −(number of the task)"
            )
    return "A fixed place for each node makes any two figures of one space comparable; a layout by springs never would."


def _same(places: dict, others: dict) -> bool:
    return all(np.allclose(places[node], others[node], atol=1e-6) for node in others)


@exercise("08.bend")
def bend(answer, ax):
    """Arrows both ways, side by side."""
    start, end, by = (3.0, 0.0), (3.0, -1.0), 0.25
    there, back = _point(answer(start, end, by)), _point(answer(end, start, by))
    for a, control, b, label, color in (
        (start, there, end, "there", RIGHT),
        (end, back, start, "back", YOURS),
    ):
        t = np.linspace(0, 1, 30)[:, None]
        line = (1 - t) ** 2 * np.array(a) + 2 * t * (1 - t) * control + t**2 * np.array(b)
        ax.plot(*line.T, color=color, label=label, lw=2)
        ax.annotate("", line[16], line[13], arrowprops={"arrowstyle": "-|>", "color": color})
    ax.set(xlim=(2, 4), xlabel="x", ylabel="y (lanes)")
    ax.legend(frameon=False, title="your two arrows")
    if np.allclose(there, back):
        raise Wrong(
            "there and back take the same way, one arrow covers the other: turn the direction itself by 90°, "
            "then it turns round with the arrow"
        )
    for a, b, size in ((start, end, by), (end, start, by), ((0.0, 0.0), (4.0, -1.0), 0.1)):
        a_, b_ = np.array(a), np.array(b)
        right = (a_ + b_) / 2 + size * np.array([a_[1] - b_[1], b_[0] - a_[0]])
        yours = _point(answer(a, b, size))
        if np.allclose(yours, a_ + b_ - right):
            raise Wrong(
                "the arrows part, but to the right of their direction; left of (dx, dy) is (−dy, dx)"
            )
        if not np.allclose(yours, right):
            raise Wrong(
                f"from {a} to {b} with {size:g} the curve should be pulled to ({right[0]:.2f}, "
                f"{right[1]:.2f}), yours to ({yours[0]:.2f}, {yours[1]:.2f}): the middle of both ends plus "
                f"{size:g} · (−dy, dx)"
            )
    return "Each arrow keeps to its own left, as cars do on some roads: two of them never meet."


def _point(value) -> np.ndarray:
    point = np.asarray(value, float)
    if point.shape != (2,):
        raise Wrong(f"give one point, (x, y); yours has shape {point.shape}")
    return point


@exercise("08.stability")
def stability(answer, ax):
    """How far several searches agree."""
    from ..viz import stability as library

    two, random = space(("segmentation", "normals")), np.random.default_rng(0)
    base = random.random(48) < 0.5
    noises, yours, right = (0.0, 0.1, 0.2, 0.35, 0.5), [], []
    for noise in noises:
        kept = np.array([base ^ (random.random(48) < noise) for _ in range(4)])
        yours.append(float(answer(kept)))
        right.append(library([Architecture(two, tuple(row)) for row in kept])["stability"])
        q = kept.mean()
        almost = {
            "biased": 1 - kept.var(0).mean() / (q * (1 - q)),
            "spread": 1 - right[-1],
            "edgewise": 1
            - np.nanmean(kept.var(0, ddof=1) / np.maximum(kept.mean(0) * (1 - kept.mean(0)), 1e-9)),
        }
    ax.plot(noises, right, "o-", color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(noises, yours, "s-", color=YOURS, label="yours")
    ax.set(xlabel="share of edges flipped at random in each run", ylabel="stability")
    ax.legend(frameon=False)
    if np.allclose(yours, right, atol=1e-6):
        return "1 where all runs agree, about 0 where only the number of edges is common to them."
    if math.isclose(yours[-1], almost["biased"], abs_tol=1e-6):
        raise Wrong(
            "four runs are few: the variance over the runs needs N − 1 below the line, kept.var(0, ddof=1); "
            "else chance would not give 0"
        )
    if math.isclose(yours[-1], almost["spread"], abs_tol=1e-6):
        raise Wrong("this is the disagreement, 0 for equal runs; stability is 1 minus it")
    if math.isclose(yours[-1], almost["edgewise"], abs_tol=1e-6):
        raise Wrong(
            "q is one number, the share of kept edges over all runs and edges, not one for each edge"
        )
    raise Wrong(
        f"equal runs should give 1 (yours {yours[0]:.2f}), runs without anything in common about 0 (yours "
        f"{yours[-1]:.2f})"
    )


@exercise("08.overlap")
def overlap(answer, ax):
    """What two random graphs share."""
    two, sizes = space(("segmentation", "normals")), (6, 12, 18, 24, 30, 36, 42)
    others = [random_graph(two, 24, 999 + seed) for seed in range(60)]
    drawn = [
        np.mean(
            [
                agreement(random_graph(two, size, seed), other)["both"]
                for seed, other in enumerate(others)
            ]
        )
        for size in sizes
    ]
    yours = [float(answer(size, 24, 48)) for size in sizes]
    ax.plot(
        sizes, drawn, "o", color=RIGHT, alpha=0.6, ms=8, label="60 pairs of random graphs, mean"
    )
    ax.plot(sizes, yours, "s-", color=YOURS, label="yours")
    ax.set(xlabel="edges of the first graph (the second has 24 of 48)", ylabel="edges in both")
    ax.legend(frameon=False)
    right = [size * 24 / 48 for size in sizes]
    if np.allclose(yours, right) and math.isclose(float(answer(10, 5, 20)), 2.5):
        return (
            "Half of the edges by chance alone, where the other graph has half of them: a number without "
            "its chance level says little."
        )
    if np.allclose(yours, [r / 48 for r in right]):
        raise Wrong("this is a share of the candidates; how many edges is that?")
    if np.allclose(yours, [min(size, 24) for size in sizes]):
        raise Wrong("this is the most that they could share; what do they share on average?")
    raise Wrong(
        f"12 and 24 edges of 48 share {drawn[1]:.1f} on average, yours are {yours[1]:.1f}; each of the "
        "12 is in the other graph with the same chance: which one?"
    )


@exercise("08.column")
def column(answer, ax):
    """A figure for your paper's column."""
    from ..errors import LabError
    from ..viz import plot_fusion_graph, refigure

    if (
        not isinstance(answer, (list, tuple))
        or not answer
        or not all(isinstance(one, (str, Path)) for one in answer)
    ):
        raise Wrong("give the list of files that save_fusion_graph (or save_figure) returns")
    files = [Path(one) for one in answer]
    if missing := [file.name for file in files if not file.is_file()]:
        raise Wrong(f"{missing[0]} is not there; was it written into a folder that is gone?")
    try:
        figure = refigure(files[0])
    except LabError:
        raise Wrong(
            f"{files[0].name} holds no fusion graph; give the files of save_fusion_graph as they are"
        ) from None
    shown = getattr(figure, "graph", None)
    if shown is None:
        raise Wrong(
            "this file shows something else than one fusion graph; write the difference of the two searches"
        )
    ax.figure.set_size_inches(7, 2.4)
    plot_fusion_graph(shown, ax, dropped=figure.dropped, style=figure.style.name, legend=False)
    ax.set_title(
        f"yours: {figure.style.width:g} mm, {figure.style.name}, dropped edges: {figure.dropped}",
        fontsize=9,
    )
    if not {".pdf", ".tikz"} <= {file.suffix for file in files}:
        there = ", ".join(sorted({file.suffix for file in files}))
        raise Wrong(f"asked for are PDF and TikZ, yours are {there}: formats=('pdf', 'tikz')")
    if shown.graph.get("weights") != "difference":
        raise Wrong(
            "this is the graph of one search; asked for is the difference of two, which difference_graph makes"
        )
    if figure.dropped != "hide":
        raise Wrong(
            "edges that neither search keeps are still there, faintly; hide them: dropped='hide'"
        )
    if figure.style.width != 120:
        raise Wrong(
            f"the picture is {figure.style.width:g} mm wide, the column 120 mm: width=120. Scaling it in LaTeX "
            "instead would scale its text, too"
        )
    return f"Right size from the start, so that {figure.style.font:g} pt of text are {figure.style.font:g} pt in print."
