"""Checks of notebook 08: where nodes stand, arrows both ways, stability, chance, a figure for a column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...core.architecture import Architecture, agreement
from ...core.space import SearchSpace, plan
from ...models.baselines import random_graph
from ..checking import Wrong, exercise
from .common import (
    close,
    converted,
    differ,
    kind,
    near_misses,
    number,
    numbers,
    plain,
    points_apart,
)

RIGHT, YOURS = "#2262ad", "#c9452f"


def space(tasks: Sequence[str], groups=(2, 2, 3, 3, 3)) -> SearchSpace:
    return SearchSpace.build(dict.fromkeys(tasks, plan([8] * sum(groups), groups)))


@exercise("08.place")
def place(answer, ax):
    """Where the nodes stand."""
    from ...viz.graph.build import GROUP_GAP, fusion_graph, ladder_layout

    for tried in (space(("a", "b", "c"), (2, 1, 3)), space(("segmentation", "normals"))):
        right = ladder_layout(fusion_graph(tried))
        yours = answer(tried)
        if not isinstance(yours, dict) or not yours:
            raise Wrong(
                f"give a dictionary, {{'segmentation:0': (x, y), …}}; yours is {kind(yours)}"
            )
        if not all(isinstance(node, str) for node in yours):
            raise Wrong(
                f"name nodes by their text, str(node), as networkx has them; yours has {next(iter(yours))!r}"
            )
        if set(yours) != set(right):
            raise Wrong(
                f"{len(right)} nodes have a place, from {next(iter(right))} to {list(right)[-1]}, yours are {len(yours)}, "
                f"from {next(iter(yours))} to {list(yours)[-1]}; go through space.nodes"
            )
        yours = {node: _point(yours[node], f" for {node}") for node in right}
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
        if _same(yours, {node: (y, x) for node, (x, y) in right.items()}):
            raise Wrong("x and y are exchanged: x runs along the stages, y counts the lanes")
        if _same(yours, {node: (x, 0) for node, (x, _) in right.items()}):
            raise Wrong("all lanes lie on top of each other: y is −(number of the task)")
        if _same(yours, {node: (x, y - 1) for node, (x, y) in right.items()}):
            raise Wrong(
                "the first task should stand at y = 0, not one lane lower: count tasks from 0"
            )
        if _same(yours, {node: (x + GROUP_GAP, y) for node, (x, y) in right.items()}):
            raise Wrong(
                f"one gap too many: the first group stands at x = 0; {GROUP_GAP} belongs at each group before"
            )
        if _same(yours, {node: (x, -y) for node, (x, y) in right.items()}):
            raise Wrong(
                "the first task should be the upper lane: y = −0, −1, −2 …, for y grows upwards"
            )
        if not _same(yours, right):
            wrong = next(
                node for node in right if not np.allclose(yours[node], right[node], atol=1e-6)
            )
            here, there = points_apart(right[wrong], yours[wrong])
            raise Wrong(
                f"{wrong} stands at {there}, but belongs at {here}: "
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
        left, length = right - (a_ + b_) / 2, float(np.hypot(*(b_ - a_)))
        here, there = points_apart(right, yours)
        almost = {
            "this is only the step to the left; it starts at the middle of both ends": left,
            "the step to the left starts at the middle of both ends, not at the start": a_ + left,
            "the middle is half of the sum of both ends: (x₀ + x₁) / 2": a_ + b_ + left,
            "you move along the arrow instead of to its left; left of (dx, dy) is (−dy, dx)": (
                a_ + b_
            )
            / 2
            + size * (b_ - a_),
            f"move by `by` times (−dy, dx) as it is, which is as long as the arrow; yours has length {size:g}": (
                (a_ + b_) / 2 + left / length
            ),
            "move by `by` times (−dy, dx); `by` is not used": (a_ + b_) / 2 + left / size,
            "−dy and dx are exchanged: x gets −by · dy, y gets +by · dx": (a_ + b_) / 2
            + left[::-1],
        }
        near_misses(
            yours,
            right,
            almost,
            f"from {a} to {b} with {size:g} the curve should be pulled to {here}, yours to {there}: the middle of both "
            f"ends plus {size:g} · (−dy, dx)",
            atol=1e-6,
        )
    return "Each arrow keeps to its own left, as cars do on some roads: two of them never meet."


def _point(value: object, where: str = "") -> np.ndarray:
    made = converted(value)
    if made is None or tuple(made.shape) != (2,):
        raise Wrong(f"give one point, (x, y), two numbers{where}; yours is {kind(value)}")
    return made.numpy()


@exercise("08.stability")
def stability(answer, ax):
    """How far several searches agree."""
    from ...viz import stability as library

    two, random = space(("segmentation", "normals")), np.random.default_rng(0)
    base = random.random(48) < 0.5
    noises, yours, right, almost = (0.0, 0.1, 0.2, 0.35, 0.5), [], [], []
    for noise in noises:
        kept = np.array([base ^ (random.random(48) < noise) for _ in range(4)])
        yours.append(number(answer(kept), "the stability"))
        right.append(library([Architecture(two, tuple(row)) for row in kept])["stability"])
        almost.append(_other_stabilities(kept, right[-1]))
    ax.plot(noises, right, "o-", color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(noises, yours, "s-", color=YOURS, label="yours")
    ax.set(xlabel="share of edges flipped at random in each run", ylabel="stability")
    ax.legend(frameon=False)
    if close(yours, right, 1e-6):
        return "1 where all runs agree, about 0 where only the number of edges is common to them."
    for sentence in almost[0]:
        if close(yours[1:], [one[sentence] for one in almost[1:]], 1e-6):
            raise Wrong(sentence)
    places = [f"with {noise:.0%} of the edges flipped" for noise in noises]
    raise Wrong(
        "equal runs should give 1, runs that have only the number of their edges in common about 0; "
        + differ(right, yours, places, 1e-6, worst=True)
    )


def _other_stabilities(kept: np.ndarray, right: float) -> dict[str, float]:
    """What typical mistakes make of the same runs."""
    q, spread, own = kept.mean(), kept.var(0, ddof=1), kept.mean(0)
    return {
        "four runs are few: the variance over the runs needs N − 1 below the line, kept.var(0, ddof=1); else chance "
        "would not give 0": 1 - kept.var(0).mean() / (q * (1 - q)),
        "this is the disagreement, 0 for equal runs; stability is 1 minus it": 1 - right,
        "q is one number, the share of kept edges over all runs and edges, not one for each edge": 1
        - np.nanmean(spread / np.maximum(own * (1 - own), 1e-9)),
        "the variance is over the runs, axis 0, for each edge; yours is over the edges, for each run": 1
        - kept.var(1, ddof=1).mean() / (q * (1 - q)),
        "q (1 − q) is missing below the line: without it the number says nothing of chance": 1
        - spread.mean(),
        "this is made with standard deviations; s² is the variance": 1
        - np.sqrt(spread).mean() / (q * (1 - q)),
        "1 − q is missing: below the line stands q (1 − q)": 1 - spread.mean() / q,
        "this is the share of kept edges, q; equal runs should give 1, whatever their number of edges": q,
    }


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
    right = [size * 24 / 48 for size in sizes]
    yours = numbers(answer, [(size, 24, 48) for size in sizes], "how many edges both have").tolist()
    ax.plot(sizes, right, color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(sizes, drawn, ".", color="#777777", label="60 pairs of random graphs, their mean")
    ax.plot(sizes, yours, "s-", color=YOURS, label="yours")
    ax.set(xlabel="edges of the first graph (the second has 24 of 48)", ylabel="edges in both")
    ax.legend(frameon=False)
    almost = {
        "this is a share of the candidates; how many edges is that?": [r / 48 for r in right],
        "this is the most that they could share; what do they share on average?": [
            min(size, 24) for size in sizes
        ],
        "this is the least that they must share; what do they share on average?": [
            max(0, size + 24 - 48) for size in sizes
        ],
        "these are the edges in one of both graphs, or in both; asked for are those in both": [
            size + 24 - r for size, r in zip(sizes, right)
        ],
        "this counts pairs of edges; divide by the number of candidates": [
            size * 24 for size in sizes
        ],
        "this is half of all edges; each of the first graph's edges is in the second with the chance b / candidates": [
            (size + 24) / 2 for size in sizes
        ],
        "this is a chance; how many edges is that, if each of a edges has it?": [24 / 48]
        * len(sizes),
        "per cent of the candidates; how many edges is that?": [100 * r / 48 for r in right],
    }
    chance = "is in the other graph with the same chance: which one?"
    places = [f"{size} and 24 edges of 48 share" for size in sizes]
    said = (
        differ(right, yours, places)
        .replace(" it should be", "")
        .replace(", yours is", " on average, yours")
    )
    near_misses(yours, right, almost, f"{said}; each edge of the first {chance}")
    other = number(answer(10, 5, 20), "how many edges both have")
    if not close(other, 2.5, 1e-6):
        said = differ([2.5], [other], ["for 10 and 5 edges of 20"], 1e-6)
        raise Wrong(f"right for 24 edges of 48, but {said}: each of the 10 {chance}")
    return (
        "Half of the edges by chance alone, where the other graph has half of them: a number without "
        "its chance level says little."
    )


@exercise("08.column", function=False)
def column(answer, ax):
    """A figure for your paper's column."""
    from ...errors import MTLNASError
    from ...viz import plot_fusion_graph, refigure

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
    except MTLNASError:
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
            f"the picture is {plain(figure.style.width)} mm wide, the column 120 mm: width=120. Scaling it in LaTeX "
            "instead would scale its text, too"
        )
    return f"Right size from the start, so that {figure.style.font:g} pt of text are {figure.style.font:g} pt in print."
