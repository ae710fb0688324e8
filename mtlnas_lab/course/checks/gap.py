"""Checks of notebook 07: derive, the gap, batch-norm statistics, the random control, the cost of edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from ...core.space import Edge, SearchSpace
from ...models.vgg import vgg16
from ..checking import Wrong, exercise
from .common import (
    RIGHT,
    YOURS,
    bars,
    close,
    differ,
    kind,
    near_misses,
    numbers,
    tensor,
    truths,
    uneven,
)


@exercise("07.derive")
def derive(answer, ax):
    """From α to an architecture of so many edges."""
    # a budget of 4 needs an edge below 0; a budget of 2 has to choose between two equal ones
    alpha = torch.tensor([-3.0, 0.3, 2.0, -0.1, 0.3, -0.5])
    edges = len(alpha)
    right = [False, True, True, True, True, False]
    yours = truths(answer(alpha.clone(), 4), edges, "the 6 edges")
    bars(ax, right, yours, [f"α = {a:g}" for a in alpha.tolist()], "kept, budget 4")
    above_zero = [False, True, True, False, True, False]
    left_out = [not keep for keep in right]
    smallest = [True, True, False, True, False, True]
    farthest = [True, True, True, False, False, True]
    first = [True, True, True, True, False, False]
    mistakes = {
        "these are the edges with α > 0; a budget of 4 keeps four edges, whatever the sign of their α": (
            above_zero
        ),
        "these are the edges that are left out": left_out,
        "these have the smallest α; the largest are kept": smallest,
        "these have the largest |α|; α = -3 means σ(α) = 0.05, a gate that is all but closed": farthest,
        "these are the first four edges; choose by α": first,
        "every edge is kept; the budget is 4": [True] * edges,
    }
    otherwise = f"keep the four edges with the largest α, and no others; yours keeps {sum(yours)}"
    near_misses(yours, right, mistakes, otherwise)
    said = "right for a budget of 4, but not for a budget of 2, where two edges are equal: keep the first of them"
    other = truths(answer.also(said, alpha.clone(), 2), edges, "the 6 edges")
    if other != [False, True, True, False, False, False]:
        raise Wrong(f"{said}; yours keeps {sum(other)}")
    # whoever wrote the answers down instead of comparing is found out by three others
    said = "right for these six α, but not for -1, 1 and 0.01 and a budget of 1"
    other = truths(answer.also(said, torch.tensor([-1.0, 1.0, 0.01]), 1), 3, "3 edges")
    if other != [False, True, False]:
        raise Wrong(f"{said}: use the arguments")
    return "A budget asks which edges are best, a border at ½ asks of each edge for itself: no top-k there, no softmax."


@exercise("07.gap")
def gap(answer, ax):
    """What cutting costs, in % of the soft score."""
    # a score that should be large and one that should be small, each once lost and once gained by cutting
    soft = np.array([0.20, 20.0, 0.16, 25.0])
    hard = np.array([0.18, 22.0, 0.20, 24.0])
    more_is_better = [True, False, True, False]
    labels = [
        "mIoU\n.20 → .18",
        "angle\n20° → 22°",
        "mIoU\n.16 → .20",
        "angle\n25° → 24°",
    ]
    lost = np.where(more_is_better, soft - hard, hard - soft)
    right = np.array([10.0, 10.0, -25.0, -4.0])
    arguments = list(zip(soft.tolist(), hard.tolist(), more_is_better))
    yours = numbers(answer, arguments, "the gap in % of the soft score")
    bars(ax, right, yours, labels, "gap, % of soft")
    ax.axhline(0, color="#777777", lw=0.8)

    as_if_more_is_better = 100 * (soft - hard) / soft
    share_of_the_hard = 100 * lost / hard
    mistakes = {
        "these are shares; give per cent": lost / soft,
        "for an angle less is better: a hard network at 22° is worse than a soft one at 20°, and the gap is positive": (
            as_if_more_is_better
        ),
        "the sign: positive where the hard network is worse": -right,
        "divide by the soft score: what share of the searched network's score is lost": (
            share_of_the_hard
        ),
        "divide by the soft score, not by the hard one; and the sign: positive where the hard network is worse": (
            -share_of_the_hard
        ),
        "this is the difference of the scores; divide it by the soft score, and multiply by 100": lost,
        "this is 100 times the difference; divide it by the soft score": 100 * lost,
        "without its sign a gain looks like a loss: leave out abs": abs(right),
        "this is what is left of the score, not what is lost: 100 % minus it": 100 - right,
    }
    places = [label.replace("\n", " ") + ":" for label in labels]
    near_misses(
        yours,
        right,
        mistakes,
        "gap = 100 · (soft − hard) / soft where more is better, and the other way round where less is; "
        + differ(right, yours, places),
    )
    return (
        "A negative gap is possible: the hard network can be better by chance, or because soft gates were a "
        "compromise."
    )


@exercise("07.statistics")
def statistics(answer, ax):
    """Batch-norm statistics, averaged anew."""
    draw = torch.Generator().manual_seed(0)
    # the last batch is shorter, so that a mean over batches is not the mean over rows
    sizes = (6, 6, 6, 3)
    batches = [torch.randn(size, 3, generator=draw) * (1 + i) + i for i, size in enumerate(sizes)]
    # the judge is torch itself, not a formula of ours
    norm = nn.BatchNorm1d(3, momentum=None)
    for rows in batches:
        norm(rows)
    right_mean = norm.running_mean.double()
    right_variance = norm.running_var.double()

    mean, variance = _mean_and_variance(answer(batches))
    labels = [f"{name} {channel}" for name in ("mean", "var") for channel in range(3)]
    right = torch.cat((right_mean, right_variance))
    bars(ax, right, torch.cat((mean, variance)), labels, "statistic")

    if close(mean, right_variance) and close(variance, right_mean):
        raise Wrong("both are right, but in the other order: the mean first, then the variance")
    if close(mean, batches[-1].mean(0)):
        raise Wrong("this is the last batch alone: average over all of them")
    if close(mean, batches[0].mean(0)):
        raise Wrong("this is the first batch alone: average over all of them")
    # before the mean is judged: one table of all rows spoils both numbers, and the variance explains it better
    rows = torch.cat(batches)
    together = (
        "this is the variance of all rows together; batch norm averages the batches' own variances, in each of "
        "which the distance between the batches' means does not count"
    )
    for correction in (0, 1):
        near_misses(variance, right_variance, {together: rows.var(0, correction=correction)})
    _judge_mean(mean, right_mean, batches)
    _judge_variance(variance, right_variance, batches)
    return "What momentum=None does. With momentum 0.05 the last 20 batches alone would count for 64 %."


def _mean_and_variance(given: object) -> tuple[torch.Tensor, torch.Tensor]:
    """The two statistics that an answer returns, three channels each."""
    both = isinstance(given, (tuple, list, torch.Tensor, np.ndarray)) and len(given) == 2
    if not both:
        raise Wrong(f"return two things, (mean, variance); yours is {kind(given)}")
    mean = tensor(given[0], (3,), "one mean for each of the 3 channels")
    variance = tensor(given[1], (3,), "one variance for each of the 3 channels")
    return mean, variance


ALL_COUNT_THE_SAME = (
    "all batches count the same here, as batch norm has it, also the last one, which is shorter"
)


def _shares(batches: Sequence[torch.Tensor]) -> torch.Tensor:
    """(batches, 1): which share of all rows each batch has."""
    sizes = torch.tensor([len(rows) for rows in batches])
    return sizes[:, None] / sizes.sum()


def _judge_mean(mean: torch.Tensor, right: torch.Tensor, batches: Sequence[torch.Tensor]) -> None:
    means = torch.stack([rows.mean(0) for rows in batches])
    mistakes = {
        "these are the sums over the batches; divide by how many there are": len(batches) * right,
        f"this is the mean of all rows: {ALL_COUNT_THE_SAME}": (means * _shares(batches)).sum(0),
        "this is the median over the batches; asked for is the mean": means.median(0).values,
    }
    told = differ(right, mean, [f"for channel {c}" for c in range(3)])
    said = f"the mean over the batches of each batch's mean, channel by channel; {told}"
    near_misses(mean, right, mistakes, said)


def _judge_variance(
    variance: torch.Tensor, right: torch.Tensor, batches: Sequence[torch.Tensor]
) -> None:
    variances = torch.stack([rows.var(0) for rows in batches])
    # torch normalises with the biased variance and remembers the unbiased one
    biased = torch.stack([rows.var(0, correction=0) for rows in batches]).mean(0)
    mean_deviation = variances.sqrt().mean(0)
    root_of_mean = variances.mean(0).sqrt()
    weighted_by_rows = (variances * _shares(batches)).sum(0)
    variance_of_means = torch.stack([rows.mean(0) for rows in batches]).var(0)
    mistakes = {
        "almost: the running variance is the unbiased one, divided by n − 1 (only in training is it divided by n)": (
            biased
        ),
        "these are standard deviations: asked for is the mean over the batches of each batch's variance": (
            mean_deviation
        ),
        "these are standard deviations: asked for is the mean over the batches of each batch's variance, no root": (
            root_of_mean
        ),
        "these are the sums over the batches; divide by how many there are": len(batches) * right,
        f"this weighs the batches by their rows: {ALL_COUNT_THE_SAME}": weighted_by_rows,
        "this is how the batches' means vary; asked for is how values vary inside a batch": (
            variance_of_means
        ),
    }
    told = differ(right, variance, [f"for channel {c}" for c in range(3)])
    said = f"the mean over the batches of each batch's variance, channel by channel; {told}"
    near_misses(variance, right, mistakes, said)


@exercise("07.random")
def random(answer, ax):
    """The control: a random graph with as many edges."""
    kept = [True] * 5 + [False] * 7
    # four generators, for an answer may set the seed itself; 400 draws show an edge that comes too often
    drawn = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(100):
            drawn.append(truths(answer(kept, generator), 12, "the 12 candidate edges"))
    ax.bar(range(12), np.mean(drawn, axis=0), color=YOURS, label="yours, in 400 draws")
    ax.axhline(5 / 12, color=RIGHT, lw=3, label="right: 5/12 each")
    ax.set(xlabel="edge", ylabel="how often open", ylim=(0, 1.15), xticks=range(12))
    ax.legend(frameon=False, loc="upper right")

    counts = sorted({sum(graph) for graph in drawn})
    if counts != [5]:
        raise Wrong(
            f"your graphs have from {counts[0]} to {counts[-1]} edges, the searched one 5: with another number of "
            "edges, their count and not their place may make the difference"
        )
    graphs = {tuple(graph) for graph in drawn}
    if len(graphs) == 1:
        raise Wrong("every draw is the same graph; use the generator")
    if len(graphs) <= 4:
        raise Wrong("a second draw from one generator is the same graph again; do not set its seed")
    # a rotation passes the test of single edges below: each of them comes up equally often
    rotations = {tuple(kept[by:] + kept[:by]) for by in range(12)}
    if graphs <= rotations:
        raise Wrong(
            "you turn the searched graph round by a random number of places: edges that stood side by side stay "
            "side by side, and only 12 graphs can come up; each set of 5 edges should be equally likely"
        )
    why = uneven(drawn, 5)
    if why == "one":
        raise Wrong(
            "some edges come up more often than others; each set of 5 edges should be equally likely"
        )
    if why == "two":
        raise Wrong(
            "each edge comes up as often as any other, but some pairs more often than others; each set of 5 edges "
            "should be equally likely"
        )
    said = "right for a graph with 5 of 12 edges, but not for one with 2 of 3"
    few = answer.also(said, [True, False, True], torch.Generator().manual_seed(0))
    if sum(truths(few, 3, "3 edges")) != 2:
        raise Wrong(f"{said}: use `kept`")
    return "Equally many edges, each set equally likely: what is left of a difference is due to *which* edges."


def _two_unlike_networks() -> SearchSpace:
    """Two tasks whose stages differ in width: with equal ones C·D, C² and D² are the same number."""
    widths = {"a": (4, 6, 8, 8, 8), "b": (2, 4, 4, 10, 6)}
    plans = {name: vgg16(2, widths=own, hidden=4).plan for name, own in widths.items()}
    return SearchSpace.build(plans)


@exercise("07.cost")
def cost(answer, ax):
    """What the kept edges cost."""
    space = _two_unlike_networks()
    draw = np.random.default_rng(0)
    edges = len(space)
    graphs = {
        "none": [False] * edges,
        "some": (draw.random(edges) < 0.3).tolist(),
        "half": (draw.random(edges) < 0.5).tolist(),
        "all": [True] * edges,
    }
    right = _totals(space, graphs, lambda source, target: source * target)
    arguments = [(space, kept) for kept in graphs.values()]
    yours = numbers(answer, arguments, "how many parameters")
    bars(ax, right, yours, list(graphs), "parameters")
    places = [f"{name} kept:" for name in graphs]
    near_misses(
        yours,
        right,
        _wrong_costs(space, graphs, right),
        f"{differ(right, yours, places)}. Sum over the kept edges: channels of the source times channels of the "
        "target (1×1 convolution, no bias)",
    )
    return (
        f"All {edges} edges cost {right[-1]:,.0f} parameters here. A deep, wide edge costs many times a shallow one: "
        "with a fair control, count both edges and parameters."
    )


Graphs = dict[str, list[bool]]  # name → for each edge of the space, whether it is kept


def _channels(space: SearchSpace, edge: Edge) -> tuple[int, int]:
    """How many channels the source and the target of an edge have."""
    return space.stage(edge.source).channels, space.stage(edge.target).channels


def _totals(space: SearchSpace, graphs: Graphs, cost: Callable[[int, int], int]) -> list[int]:
    """For each graph the sum of cost(channels of the source, channels of the target) over its kept edges."""
    totals = []
    for kept in graphs.values():
        total = 0
        for edge, keep in zip(space.edges, kept):
            if keep:
                total += cost(*_channels(space, edge))
        totals.append(total)
    return totals


def _entered_widths(space: SearchSpace, kept: Sequence[bool]) -> list[int]:
    """The channels of each node that at least one kept edge enters, each node once."""
    entered = {edge.target for edge, keep in zip(space.edges, kept) if keep}
    return [space.stage(node).channels for node in entered]


def _wrong_costs(
    space: SearchSpace, graphs: Graphs, right: Sequence[int]
) -> dict[str, Sequence[float]]:
    """Sentence → the four totals that this mistake gives."""

    def totals(cost: Callable[[int, int], int]) -> list[int]:
        return _totals(space, graphs, cost)

    # the slip of a whole formula: which edges are counted, and what one of them costs
    every_edge = [right[-1]] * len(graphs)
    closed_edges = [right[-1] - one for one in right]
    target_squared = totals(lambda source, target: target * target)
    source_squared = totals(lambda source, target: source * source)
    count_of_edges = totals(lambda source, target: 1)
    added = totals(lambda source, target: source + target)
    sources_alone = totals(lambda source, target: source)
    targets_alone = totals(lambda source, target: target)
    with_edge_bias = totals(lambda source, target: source * target + target)
    three_by_three = totals(lambda source, target: 9 * source * target)
    both_ways = totals(lambda source, target: 2 * source * target)

    # what belongs to a node, counted into its edges
    with_node_bias = []
    with_own_blocks = []
    # what comes of `kept` used as a number instead of as a mask
    mean_of_kept = []
    first_edges = []
    for kept, one in zip(graphs.values(), right):
        widths = _entered_widths(space, kept)
        with_node_bias.append(one + sum(widths))
        with_own_blocks.append(one + sum(width**2 for width in widths))
        mean_of_kept.append(one / max(sum(kept), 1))
        pairs = [_channels(space, edge) for edge in space.edges[: sum(kept)]]
        first_edges.append(sum(source * target for source, target in pairs))

    not_as_wide = (
        "right where both networks are as wide; here they are not. An edge brings its source's channels to its "
        "target's, and yours takes the "
    )
    mistakes = {
        "closed edges cost nothing: their columns of the 1×1 convolution are cut away. Count the kept ones alone": (
            every_edge
        ),
        "these are the closed edges; count the kept ones": closed_edges,
        "this is the number of edges; each costs (channels of its source) × (channels of its target)": (
            count_of_edges
        ),
        "channels of source and target are added; a matrix from C to D channels has C times D numbers: source times "
        "target": added,
        "only the channels of the sources are added up; each of them goes to every channel of the target": (
            sources_alone
        ),
        "only the channels of the targets are added up; each of them takes from every channel of the source": (
            targets_alone
        ),
        "a bias is counted for each edge; the 1×1 convolution has none": with_edge_bias,
        "a bias is counted for each node; the 1×1 convolution has none": with_node_bias,
        "the nodes' own blocks are counted, too; asked for is what the edges bring": with_own_blocks,
        "this is a 3×3 convolution; a fusion is a 1×1 convolution, one number for each pair of channels": (
            three_by_three
        ),
        "twice as many: an edge runs one way, and its parameters count once": both_ways,
        "this is the mean cost of a kept edge; asked for is the sum": mean_of_kept,
        "these are the first edges of space.edges, as many as are kept; go through zip(space.edges, kept)": (
            first_edges
        ),
    }
    mistakes[f"{not_as_wide}target's twice"] = target_squared
    mistakes[f"{not_as_wide}source's twice"] = source_squared
    return mistakes
