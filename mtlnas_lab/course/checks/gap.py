"""Checks of notebook 07: derive, the gap, batch-norm statistics, the random control, the cost of edges."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...core.space import SearchSpace
from ...models.vgg import vgg16
from ..checking import Wrong, exercise
from .common import close, differ, kind, near_misses, numbers, tensor, truths, uneven

BLUE, ORANGE = "#4575b4", "#b35806"


def _pairs(ax, right, yours, labels, ylabel) -> None:
    x = np.arange(len(labels))
    ax.bar(x - 0.2, np.asarray(right), 0.4, color=BLUE, alpha=0.6, label="right")
    ax.bar(x + 0.2, np.asarray(yours), 0.4, color=ORANGE, label="yours")
    ax.set(xticks=x, xticklabels=labels, ylabel=ylabel)
    ax.legend(frameon=False)


@exercise("07.derive")
def derive(answer, ax):
    """From α to an architecture."""
    alpha = [2.0, 0.3, 0.0, -0.1, -3.0]
    right = [True, True, False, False, False]
    yours = truths(answer(torch.tensor(alpha)), len(alpha), "the 5 edges")
    _pairs(ax, right, yours, [f"α = {a:g}" for a in alpha], "kept")
    for wrong, why in (
        (
            [True] * 5,
            "every edge is open: σ(α) > 0 is always true. The border is σ(α) = ½, which is α = 0",
        ),
        (
            [True, False, False, False, False],
            "α = 0.3 means σ(α) = 0.57, an open gate: compare α with "
            "0, or σ(α) with ½, "
            "not one with the border of the other",
        ),
        (
            [True, True, True, False, False],
            "an edge at exactly α = 0 is closed (α > 0, as in the "
            "released code): "
            "no evidence, no edge",
        ),
        ([not keep for keep in right], "these are the closed ones"),
    ):
        if yours == wrong:
            raise Wrong(why)
    if yours != right:
        place = next(i for i in range(5) if yours[i] != right[i])
        raise Wrong(
            f"keep exactly the edges with α > 0: an edge with α = {alpha[place]:g} is "
            f"{'kept' if right[place] else 'closed'}, but yours says {yours[place]}"
        )
    other = truths(answer(torch.tensor([-1.0, 1.0, 0.01])), 3, "3 edges")
    if other != [False, True, True]:
        raise Wrong("right for these five α, but not for -1, 1 and 0.01: use the argument")
    return "No top-k, no softmax among edges: each edge for itself, so a node may end with all its edges or with none."


@exercise("07.gap")
def gap(answer, ax):
    """What cutting costs, in % of the soft score."""
    cases = {
        "mIoU\n.20 → .18": (0.20, 0.18, True, 10.0),
        "angle\n20° → 22°": (20.0, 22.0, False, 10.0),
        "mIoU\n.16 → .20": (0.16, 0.20, True, -25.0),
        "angle\n25° → 24°": (25.0, 24.0, False, -4.0),
    }
    right = [case[3] for case in cases.values()]
    yours = numbers(answer, [case[:3] for case in cases.values()], "the gap in % of the soft score")
    _pairs(ax, right, yours, list(cases), "gap, % of soft")
    ax.axhline(0, color="#777777", lw=0.8)
    soft, hard = (np.array([case[part] for case in cases.values()]) for part in (0, 1))
    lost = np.array([1, -1, 1, -1]) * (soft - hard)
    almost = {
        "these are shares; give per cent": lost / soft,
        "for an angle less is better: a hard network at 22° is worse than a soft one at 20°, and the gap is positive": (
            100 * (soft - hard) / soft
        ),
        "the sign: positive where the hard network is worse": -np.array(right),
        "divide by the soft score: what share of the searched network's score is lost": 100
        * lost
        / hard,
        "divide by the soft score, not by the hard one; and the sign: positive where the hard network is worse": (
            -100 * lost / hard
        ),
        "this is the difference of the scores; divide it by the soft score, and multiply by 100": lost,
        "this is 100 times the difference; divide it by the soft score": 100 * lost,
        "without its sign a gain looks like a loss: leave out abs": abs(np.array(right)),
        "this is what is left of the score, not what is lost: 100 % minus it": 100
        - np.array(right),
    }
    flat = [name.replace("\n", " ") + ":" for name in cases]
    said = differ(right, yours, flat)
    near_misses(
        yours,
        right,
        almost,
        f"gap = 100 · (soft − hard) / soft where more is better, and the other way round where less is; {said}",
    )
    return (
        "A negative gap is possible: the hard network can be better by chance, or because soft gates were a "
        "compromise."
    )


@exercise("07.statistics")
def statistics(answer, ax):
    """Batch-norm statistics, averaged anew."""
    draw = torch.Generator().manual_seed(0)
    sizes = (6, 6, 6, 3)
    batches = [torch.randn(size, 3, generator=draw) * (1 + i) + i for i, size in enumerate(sizes)]
    norm = nn.BatchNorm1d(3, momentum=None)
    for x in batches:
        norm(x)
    given = answer(batches)
    both = isinstance(given, (tuple, list, torch.Tensor, np.ndarray)) and len(given) == 2
    if not both:
        raise Wrong(f"return two things, (mean, variance); yours is {kind(given)}")
    mean = tensor(given[0], (3,), "one mean for each of the 3 channels")
    var = tensor(given[1], (3,), "one variance for each of the 3 channels")
    right_mean, right_var = norm.running_mean.double(), norm.running_var.double()
    right = torch.cat((right_mean, right_var))
    labels = [f"{name} {channel}" for name in ("mean", "var") for channel in range(3)]
    _pairs(ax, right, torch.cat((mean, var)), labels, "statistic")
    rows, shares = torch.cat(batches), torch.tensor(sizes)[:, None] / sum(sizes)
    means = torch.stack([x.mean(0) for x in batches])
    variances = torch.stack([x.var(0) for x in batches])
    if close(mean, right_var) and close(var, right_mean):
        raise Wrong("both are right, but in the other order: the mean first, then the variance")
    if close(mean, batches[-1].mean(0)):
        raise Wrong("this is the last batch alone: average over all of them")
    if close(mean, batches[0].mean(0)):
        raise Wrong("this is the first batch alone: average over all of them")
    if any(close(var, rows.var(0, correction=c)) for c in (0, 1)):
        raise Wrong(
            "this is the variance of all rows together; batch norm averages the batches' own variances, in "
            "each of which the "
            "distance between the batches' means does not count"
        )
    weighted = (
        "all batches count the same here, as batch norm has it, also the last one, which is shorter"
    )
    near_misses(
        mean,
        right_mean,
        {
            "these are the sums over the batches; divide by how many there are": 4 * right_mean,
            f"this is the mean of all rows: {weighted}": (means * shares).sum(0),
            "this is the median over the batches; asked for is the mean": means.median(0).values,
        },
        "the mean over the batches of each batch's mean, channel by channel; "
        + differ(right_mean, mean, [f"for channel {c}" for c in range(3)]),
    )
    near_misses(
        var,
        right_var,
        {
            "almost: the running variance is the unbiased one, divided by n − 1 (only in training is it divided by n)": (
                torch.stack([x.var(0, correction=0) for x in batches]).mean(0)
            ),
            "these are standard deviations: asked for is the mean over the batches of each batch's variance": (
                variances.sqrt().mean(0)
            ),
            "these are standard deviations: asked for is the mean over the batches of each batch's variance, no root": (
                variances.mean(0).sqrt()
            ),
            "these are the sums over the batches; divide by how many there are": 4 * right_var,
            f"this weighs the batches by their rows: {weighted}": (variances * shares).sum(0),
            "this is how the batches' means vary; asked for is how values vary inside a batch": means.var(
                0
            ),
        },
        "the mean over the batches of each batch's variance, channel by channel; "
        + differ(right_var, var, [f"for channel {c}" for c in range(3)]),
    )
    return "What momentum=None does. With momentum 0.05 the last 20 batches alone would count for 64 %."


@exercise("07.random")
def random(answer, ax):
    """The control: a random graph with as many edges."""
    kept = [True] * 5 + [False] * 7
    drawn = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        drawn += [truths(answer(kept, generator), 12, "the 12 candidate edges") for _ in range(100)]
    share = np.mean(drawn, axis=0)
    ax.bar(range(12), share, color=ORANGE, label="yours, in 400 draws")
    ax.axhline(5 / 12, color=BLUE, lw=3, label="right: 5/12 each")
    ax.set(xlabel="edge", ylabel="how often open", ylim=(0, 1.15), xticks=range(12))
    ax.legend(frameon=False, loc="upper right")
    counts = sorted({sum(graph) for graph in drawn})
    if counts != [5]:
        raise Wrong(
            f"your graphs have from {counts[0]} to {counts[-1]} edges, the searched one 5: with another "
            f"number of edges, their "
            "count and not their place may make the difference"
        )
    if len({tuple(graph) for graph in drawn}) == 1:
        raise Wrong("every draw is the same graph; use the generator")
    if len({tuple(graph) for graph in drawn}) <= 4:
        raise Wrong("a second draw from one generator is the same graph again; do not set its seed")
    rotations = {tuple(kept[i:] + kept[:i]) for i in range(12)}
    if {tuple(graph) for graph in drawn} <= rotations:
        raise Wrong(
            "you turn the searched graph round by a random number of places: edges that stood side by side stay side by "
            "side, and only 12 graphs can come up; each set of 5 edges should be equally likely"
        )
    why = uneven(drawn, 5)
    if why == "one":
        raise Wrong(
            "some edges come up more often than others; each set of 5 edges should be equally likely"
        )
    if why:
        raise Wrong(
            "each edge comes up as often as any other, but some pairs more often than others; each set of 5 edges should "
            "be equally likely"
        )
    said = "right for a graph with 5 of 12 edges, but not for one with 2 of 3"
    few = answer.also(said, [True, False, True], torch.Generator().manual_seed(0))
    if sum(truths(few, 3, "3 edges")) != 2:
        raise Wrong(f"{said}: use `kept`")
    return "Equally many edges, each set equally likely: what is left of a difference is due to *which* edges."


@exercise("07.cost")
def cost(answer, ax):
    """What the kept edges cost."""
    widths = {"a": (4, 6, 8, 8, 8), "b": (2, 4, 4, 10, 6)}
    space = SearchSpace.build(
        {name: vgg16(2, widths=those, hidden=4).plan for name, those in widths.items()}
    )
    draw = np.random.default_rng(0)
    graphs = {
        "none": [False] * len(space),
        "some": (draw.random(len(space)) < 0.3).tolist(),
        "half": (draw.random(len(space)) < 0.5).tolist(),
        "all": [True] * len(space),
    }
    ends = [
        (space.stage(edge.source).channels, space.stage(edge.target).channels)
        for edge in space.edges
    ]

    def totals(cost):
        return [
            sum(cost(*pair) * keep for pair, keep in zip(ends, kept)) for kept in graphs.values()
        ]

    def targets(kept):
        """Channels of each node that something enters, once."""
        entered = {edge.target for edge, keep in zip(space.edges, kept) if keep}
        return [space.stage(node).channels for node in entered]

    right = totals(lambda source, target: source * target)
    yours = numbers(answer, [(space, kept) for kept in graphs.values()], "how many parameters")
    _pairs(ax, right, yours, list(graphs), "parameters")
    everything = right[-1]
    almost = {
        "closed edges cost nothing: their columns of the 1×1 convolution are cut away. Count the kept ones alone": [
            everything
        ]
        * 4,
        "these are the closed edges; count the kept ones": [everything - one for one in right],
        "right where both networks are as wide; here they are not. An edge brings its source's channels to its target's, "
        "and yours takes the target's twice": totals(lambda source, target: target * target),
        "right where both networks are as wide; here they are not. An edge brings its source's channels to its target's, "
        "and yours takes the source's twice": totals(lambda source, target: source * source),
        "this is the number of edges; each costs (channels of its source) × (channels of its target)": totals(
            lambda source, target: 1
        ),
        "channels of source and target are added; a matrix from C to D channels has C times D numbers: source times "
        "target": totals(lambda source, target: source + target),
        "only the channels of the sources are added up; each of them goes to every channel of the target": totals(
            lambda source, target: source
        ),
        "only the channels of the targets are added up; each of them takes from every channel of the source": totals(
            lambda source, target: target
        ),
        "a bias is counted for each edge; the 1×1 convolution has none": totals(
            lambda source, target: source * target + target
        ),
        "a bias is counted for each node; the 1×1 convolution has none": [
            one + sum(targets(kept)) for one, kept in zip(right, graphs.values())
        ],
        "the nodes' own blocks are counted, too; asked for is what the edges bring": [
            one + sum(width**2 for width in targets(kept))
            for one, kept in zip(right, graphs.values())
        ],
        "this is a 3×3 convolution; a fusion is a 1×1 convolution, one number for each pair of channels": totals(
            lambda source, target: 9 * source * target
        ),
        "twice as many: an edge runs one way, and its parameters count once": totals(
            lambda source, target: 2 * source * target
        ),
        "this is the mean cost of a kept edge; asked for is the sum": [
            one / max(sum(kept), 1) for one, kept in zip(right, graphs.values())
        ],
        "these are the first edges of space.edges, as many as are kept; go through zip(space.edges, kept)": [
            sum(source * target for source, target in ends[: sum(kept)]) for kept in graphs.values()
        ],
    }
    places = [f"{name} kept:" for name in graphs]
    near_misses(
        yours,
        right,
        almost,
        f"{differ(right, yours, places)}. Sum over the kept edges: channels of the source times channels of the target "
        "(1×1 convolution, no bias)",
    )
    return (
        f"All {len(space)} edges cost {right[-1]:,.0f} parameters here. A deep, wide edge costs many "
        f"times a shallow one: with a "
        "fair control, count both edges and parameters."
    )
