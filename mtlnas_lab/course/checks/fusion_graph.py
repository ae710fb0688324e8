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
    RIGHT,
    YOURS,
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


def space(tasks: Sequence[str], groups=(2, 2, 3, 3, 3)) -> SearchSpace:
    """The space of these tasks, all with one plan."""
    return SearchSpace.build(dict.fromkeys(tasks, plan([8] * sum(groups), groups)))


Places = dict[str, Sequence[float]]  # node → (x, y)


@exercise("08.place")
def place(answer, ax):
    """Where the nodes stand."""
    # three lanes and groups of unlike size first, where a mistake shows that two equal lanes hide
    for tried in (space(("a", "b", "c"), (2, 1, 3)), space(("segmentation", "normals"))):
        _judge_places(answer, tried, ax)
    return "A fixed place for each node makes any two figures of one space comparable; a layout by springs never would."


def _judge_places(answer, tried: SearchSpace, ax) -> None:
    from ...viz.graph.build import GROUP_GAP, fusion_graph, ladder_layout

    right = ladder_layout(fusion_graph(tried))
    yours = _named_places(answer(tried), list(right))
    ax.clear()
    right_points = np.array(list(right.values()), float)
    yours_points = np.array(list(yours.values()), float)
    ax.scatter(*right_points.T, s=90, color=RIGHT, label="right", alpha=0.4)
    ax.scatter(*yours_points.T, s=18, color=YOURS, label="yours")
    ax.set(xlabel="x (1 = from one stage to the next)", ylabel="y (lanes)")
    ax.margins(0.08, 0.35)
    ax.legend(frameon=False, ncols=2, loc="upper right")

    x = right_points[:, 0]
    y = right_points[:, 1]
    stage = np.array([int(node.split(":")[1]) for node in right])
    # one of the two coordinates is off by what the formula adds to it, or has the other one's place
    without_gaps = np.stack((stage, y), 1)
    exchanged = np.stack((y, x), 1)
    one_lane = np.stack((x, 0 * y), 1)
    tasks_from_one = np.stack((x, y - 1), 1)
    groups_from_one = np.stack((x + GROUP_GAP, y), 1)
    downwards = np.stack((x, -y), 1)
    mistakes = {
        f"groups stand as close as stages do, so nobody sees them: add {GROUP_GAP} for each group "
        "before, space.stage(node).group": without_gaps,
        "x and y are exchanged: x runs along the stages, y counts the lanes": exchanged,
        "all lanes lie on top of each other: y is −(number of the task)": one_lane,
        "the first task should stand at y = 0, not one lane lower: count tasks from 0": tasks_from_one,
        f"one gap too many: the first group stands at x = 0; {GROUP_GAP} belongs at each group before": groups_from_one,
        "the first task should be the upper lane: y = −0, −1, −2 …, for y grows upwards": downwards,
    }
    near_misses(yours_points, right_points, mistakes, atol=1e-6)
    for node in right:
        if not close(yours[node], right[node], 1e-6):
            here, there = points_apart(right[node], yours[node])
            raise Wrong(
                f"{node} stands at {there}, but belongs at {here}: x = stage + {GROUP_GAP} · group, y = −(number of "
                "the task)"
            )


def _named_places(given: object, nodes: list[str]) -> Places:
    """A dictionary of points with exactly these keys, in this order."""
    if not isinstance(given, dict) or not given:
        raise Wrong(f"give a dictionary, {{'segmentation:0': (x, y), …}}; yours is {kind(given)}")
    names = list(given)
    if not all(isinstance(node, str) for node in names):
        raise Wrong(
            f"name nodes by their text, str(node), as networkx has them; yours has {names[0]!r}"
        )
    if set(names) != set(nodes):
        raise Wrong(
            f"{len(nodes)} nodes have a place, from {nodes[0]} to {nodes[-1]}, yours are {len(names)}, from "
            f"{names[0]} to {names[-1]}; go through space.nodes"
        )
    return {node: _point(given[node], f" for {node}") for node in nodes}


@exercise("08.bend")
def bend(answer, ax):
    """Arrows both ways, side by side."""
    start = (3.0, 0.0)
    end = (3.0, -1.0)
    by = 0.25
    there = _point(answer(start, end, by))
    back = _point(answer(end, start, by))
    _draw_arrow(ax, start, there, end, RIGHT, "there")
    _draw_arrow(ax, end, back, start, YOURS, "back")
    ax.set(xlim=(2, 4), xlabel="x", ylabel="y (lanes)")
    ax.legend(loc="best", frameon=False, title="your two arrows")
    if np.allclose(there, back):
        raise Wrong(
            "there and back take the same way, one arrow covers the other: turn the direction itself by 90°, then "
            "it turns round with the arrow"
        )
    _judge_bend(answer, start, end, by)
    _judge_bend(answer, end, start, by)
    # a slanted, longer arrow: neither coordinate of its direction is 0, nor its length 1
    _judge_bend(answer, (0.0, 0.0), (4.0, -1.0), 0.1)
    return "Each arrow keeps to its own left, as cars do on some roads: two of them never meet."


def _point(value: object, where: str = "") -> np.ndarray:
    made = converted(value)
    if made is None or tuple(made.shape) != (2,):
        raise Wrong(f"give one point, (x, y), two numbers{where}; yours is {kind(value)}")
    return made.numpy()


def _draw_arrow(ax, start: Sequence[float], control, end: Sequence[float], color, label) -> None:
    """A quadratic Bézier curve with its head in the middle."""
    t = np.linspace(0, 1, 30)[:, None]
    line = (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * control + t**2 * np.array(end)
    ax.plot(*line.T, color=color, label=label, lw=2)
    ax.annotate("", line[16], line[13], arrowprops={"arrowstyle": "-|>", "color": color})


def _judge_bend(answer, start: Sequence[float], end: Sequence[float], by: float) -> None:
    """The control point of one arrow: (start + end)/2 + by · (−dy, dx)."""
    a = np.array(start)
    b = np.array(end)
    middle = (a + b) / 2
    along = by * (b - a)
    left = by * np.array([a[1] - b[1], b[0] - a[0]])
    right = middle + left
    yours = _point(answer(start, end, by))
    if np.allclose(yours, middle - left):
        raise Wrong(
            "the arrows part, but to the right of their direction; left of (dx, dy) is (−dy, dx)"
        )
    length = float(np.hypot(*(b - a)))
    of_length_by = middle + left / length
    of_length_one = middle + left / by
    swapped = middle + left[::-1]
    mistakes = {
        "this is only the step to the left; it starts at the middle of both ends": left,
        "the step to the left starts at the middle of both ends, not at the start": a + left,
        "the middle is half of the sum of both ends: (x₀ + x₁) / 2": a + b + left,
        "you move along the arrow instead of to its left; left of (dx, dy) is (−dy, dx)": middle
        + along,
        f"move by `by` times (−dy, dx) as it is, which is as long as the arrow; yours has length {by:g}": of_length_by,
        "move by `by` times (−dy, dx); `by` is not used": of_length_one,
        "−dy and dx are exchanged: x gets −by · dy, y gets +by · dx": swapped,
    }
    here, there = points_apart(right, yours)
    near_misses(
        yours,
        right,
        mistakes,
        f"from {start} to {end} with {by:g} the curve should be pulled to {here}, yours to {there}: the middle of "
        f"both ends plus {by:g} · (−dy, dx)",
        atol=1e-6,
    )


@exercise("08.stability")
def stability(answer, ax):
    """How far several searches agree."""
    from ...viz import stability as library

    two = space(("segmentation", "normals"))
    random = np.random.default_rng(0)
    base = random.random(48) < 0.5
    noises = (0.0, 0.1, 0.2, 0.35, 0.5)
    yours = []
    right = []
    mistakes = []  # for each noise: sentence → the stability of this mistake
    for noise in noises:
        kept = np.array([base ^ (random.random(48) < noise) for _ in range(4)])
        yours.append(number(answer(kept), "the stability"))
        architectures = [Architecture(two, tuple(row)) for row in kept]
        right.append(library(architectures)["stability"])
        mistakes.append(_other_stabilities(kept, right[-1]))
    ax.plot(noises, right, "o-", color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(noises, yours, "s-", color=YOURS, label="yours")
    ax.set(xlabel="share of edges flipped at random in each run", ylabel="stability")
    ax.legend(loc="best", frameon=False)
    if close(yours, right, 1e-6):
        return "1 where all runs agree, about 0 where only the number of edges is common to them."
    # of four equal runs, the first noise, most mistakes say the same: they are told apart by the others
    for sentence in mistakes[0]:
        wrong = [one[sentence] for one in mistakes[1:]]
        if close(yours[1:], wrong, 1e-6):
            raise Wrong(sentence)
    places = [f"with {noise:.0%} of the edges flipped" for noise in noises]
    raise Wrong(
        "equal runs should give 1, runs that have only the number of their edges in common about 0; "
        + differ(right, yours, places, 1e-6, worst=True)
    )


def _other_stabilities(kept: np.ndarray, right: float) -> dict[str, float]:
    """What typical mistakes make of the same runs; right is 1 − mean s² / (q (1 − q))."""
    q = kept.mean()
    by_chance = q * (1 - q)
    spread = kept.var(0, ddof=1)
    # numpy divides by N unless it is told otherwise
    divided_by_n = 1 - kept.var(0).mean() / by_chance
    over_the_edges = 1 - kept.var(1, ddof=1).mean() / by_chance
    # an edge that all runs keep has q (1 − q) = 0 of its own
    own = kept.mean(0)
    own_chance = np.maximum(own * (1 - own), 1e-9)
    edge_by_edge = 1 - np.nanmean(spread / own_chance)
    deviations = 1 - np.sqrt(spread).mean() / by_chance
    without_chance = 1 - spread.mean()
    without_closed = 1 - spread.mean() / q
    return {
        "four runs are few: the variance over the runs needs N − 1 below the line, kept.var(0, ddof=1); else chance "
        "would not give 0": divided_by_n,
        "this is the disagreement, 0 for equal runs; stability is 1 minus it": 1 - right,
        "q is one number, the share of kept edges over all runs and edges, not one for each edge": edge_by_edge,
        "the variance is over the runs, axis 0, for each edge; yours is over the edges, for each run": over_the_edges,
        "q (1 − q) is missing below the line: without it the number says nothing of chance": without_chance,
        "this is made with standard deviations; s² is the variance": deviations,
        "1 − q is missing: below the line stands q (1 − q)": without_closed,
        "this is the share of kept edges, q; equal runs should give 1, whatever their number of edges": q,
    }


@exercise("08.overlap")
def overlap(answer, ax):
    """What two random graphs share."""
    sizes = (6, 12, 18, 24, 30, 36, 42)
    right = [size * 24 / 48 for size in sizes]
    yours = numbers(answer, [(size, 24, 48) for size in sizes], "how many edges both have").tolist()
    ax.plot(sizes, right, color=RIGHT, lw=4, alpha=0.5, label="right")
    # the formula beside what chance really does
    drawn = [_shared_by_chance(size) for size in sizes]
    ax.plot(sizes, drawn, ".", color="#777777", label="60 pairs of random graphs, their mean")
    ax.plot(sizes, yours, "s-", color=YOURS, label="yours")
    ax.set(xlabel="edges of the first graph (the second has 24 of 48)", ylabel="edges in both")
    ax.legend(loc="best", frameon=False)

    chance = "is in the other graph with the same chance: which one?"
    places = [f"{size} and 24 edges of 48 share" for size in sizes]
    said = differ(right, yours, places).replace(" it should be", "")
    said = said.replace(", yours is", " on average, yours")
    near_misses(
        yours, right, _other_overlaps(sizes, right), f"{said}; each edge of the first {chance}"
    )
    other = number(answer(10, 5, 20), "how many edges both have")
    if not close(other, 2.5, 1e-6):
        said = differ([2.5], [other], ["for 10 and 5 edges of 20"], 1e-6)
        raise Wrong(f"right for 24 edges of 48, but {said}: each of the 10 {chance}")
    return (
        "Half of the edges by chance alone, where the other graph has half of them: a number without its chance "
        "level says little."
    )


def _shared_by_chance(size: int) -> float:
    """How many edges a random graph of this size shares with one of 24, the mean over 60 pairs."""
    two = space(("segmentation", "normals"))
    shared = []
    for seed in range(60):
        first = random_graph(two, size, seed)
        second = random_graph(two, 24, 999 + seed)
        shared.append(agreement(first, second)["both"])
    return float(np.mean(shared))


def _other_overlaps(sizes: Sequence[int], right: Sequence[float]) -> dict[str, list[float]]:
    """Sentence → another number about the same two graphs, for each size of the first."""
    first = np.array(sizes)
    both = np.array(right)
    # bounds instead of the mean
    at_most = np.minimum(first, 24)
    at_least = np.maximum(0, first + 24 - 48)
    # the union, the product, half of the sum
    in_either = first + 24 - both
    pairs = first * 24
    half_of_all = (first + 24) / 2
    one_chance = [24 / 48 for _ in sizes]
    mistakes = {
        "this is a share of the candidates; how many edges is that?": both / 48,
        "this is the most that they could share; what do they share on average?": at_most,
        "this is the least that they must share; what do they share on average?": at_least,
        "these are the edges in one of both graphs, or in both; asked for are those in both": in_either,
        "this counts pairs of edges; divide by the number of candidates": pairs,
        "this is half of all edges; each of the first graph's edges is in the second with the chance b / candidates": (
            half_of_all
        ),
        "this is a chance; how many edges is that, if each of a edges has it?": one_chance,
        "per cent of the candidates; how many edges is that?": 100 * both / 48,
    }
    return mistakes


@exercise("08.column", function=False)
def column(answer, ax):
    """A figure for your paper's column."""
    from ...errors import MTLNASError
    from ...viz import plot_fusion_graph, refigure

    named = isinstance(answer, (list, tuple)) and len(answer) > 0
    if not named or not all(isinstance(one, (str, Path)) for one in answer):
        raise Wrong("give the list of files that save_fusion_graph (or save_figure) returns")
    files = [Path(one) for one in answer]
    for file in files:
        if not file.is_file():
            raise Wrong(f"{file.name} is not there; was it written into a folder that is gone?")
    # every figure keeps what it was made from: the check opens it as a graph, not as a picture
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
    # wide enough for two lanes of thirteen stages
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
