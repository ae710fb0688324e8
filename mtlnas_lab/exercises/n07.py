"""Checks of notebook 07: derive, the gap, batch-norm statistics, the random control, the cost of edges."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from ..backbones import vgg16
from ..space import SearchSpace
from .book import Wrong, exercise

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
    yours = [bool(keep) for keep in answer(torch.tensor(alpha))]
    if len(yours) != len(alpha):
        raise Wrong(
            f"give one truth value for each of the {len(alpha)} edges; yours has {len(yours)}"
        )
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
        raise Wrong("keep exactly the edges with α > 0")
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
    yours = [float(answer(*case[:3])) for case in cases.values()]
    _pairs(ax, right, yours, list(cases), "gap, % of soft")
    ax.axhline(0, color="#777777", lw=0.8)
    if np.allclose(np.array(yours) * 100, right):
        raise Wrong("these are shares; give per cent")
    if np.allclose(yours, [10, -10, -25, 4]):
        raise Wrong(
            "for an angle less is better: a hard network at 22° is worse than a soft one at 20°, and the gap "
            "is positive"
        )
    if np.allclose(yours, [-gap for gap in right]):
        raise Wrong("the sign: positive where the hard network is worse")
    if np.allclose(np.abs(yours), np.abs([11.111, 9.0909, 20, 4.1667]), atol=1e-2):
        raise Wrong("divide by the soft score: what share of the searched network's score is lost")
    if not np.allclose(yours, right):
        raise Wrong(
            "gap = 100 · (soft − hard) / soft where more is better, and the other way round where less is"
        )
    return (
        "A negative gap is possible: the hard network can be better by chance, or because soft gates were a "
        "compromise."
    )


@exercise("07.statistics")
def statistics(answer, ax):
    """Batch-norm statistics, averaged anew."""
    draw = torch.Generator().manual_seed(0)
    batches = [torch.randn(6, 3, generator=draw) * (1 + i) + i for i in range(4)]
    norm = nn.BatchNorm1d(3, momentum=None)
    for x in batches:
        norm(x)
    mean, var = (torch.as_tensor(part).detach().flatten() for part in answer(batches))
    if mean.shape != (3,) or var.shape != (3,):
        raise Wrong(
            f"give one mean and one variance for each of the 3 channels; yours have {tuple(mean.shape)} and "
            f"{tuple(var.shape)}"
        )
    right = torch.cat((norm.running_mean, norm.running_var))
    labels = [f"{name} {channel}" for name in ("mean", "var") for channel in range(3)]
    _pairs(ax, right, torch.cat((mean, var)), labels, "statistic")
    if torch.allclose(mean, batches[-1].mean(0)):
        raise Wrong("this is the last batch alone: average over all of them")
    if any(torch.allclose(var, torch.cat(batches).var(0, correction=c), atol=1e-4) for c in (0, 1)):
        raise Wrong(
            "this is the variance of all rows together; batch norm averages the batches' own variances, in "
            "each of which the "
            "distance between the batches' means does not count"
        )
    if torch.allclose(
        var, torch.stack([x.var(0, unbiased=False) for x in batches]).mean(0), atol=1e-4
    ):
        raise Wrong(
            "almost: the running variance is the unbiased one, divided by n − 1 (only in training is it "
            "divided by n)"
        )
    if not torch.allclose(mean, norm.running_mean, atol=1e-4):
        raise Wrong("the mean over the batches of each batch's mean, channel by channel")
    if not torch.allclose(var, norm.running_var, atol=1e-4):
        raise Wrong("the mean over the batches of each batch's variance, channel by channel")
    return "What momentum=None does. With momentum 0.05 the last 20 batches alone would count for 64 %."


@exercise("07.random")
def random(answer, ax):
    """The control: a random graph with as many edges."""
    kept = [True] * 5 + [False] * 7
    drawn = [
        [bool(k) for k in answer(kept, torch.Generator().manual_seed(seed))] for seed in range(200)
    ]
    if {len(graph) for graph in drawn} != {12}:
        raise Wrong("give one truth value for each of the 12 candidate edges")
    share = np.mean(drawn, axis=0)
    ax.bar(range(12), share, color=ORANGE, label="yours, in 200 draws")
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
    if [[bool(k) for k in answer(kept, torch.Generator().manual_seed(3))]] != drawn[3:4]:
        raise Wrong(
            "the same generator gave another graph; draw with torch.randperm(len(kept), generator=generator)"
        )
    if np.abs(share - 5 / 12).max() > 0.15:
        raise Wrong(
            "some edges come up more often than others; each set of 5 edges should be equally likely"
        )
    return "Equally many edges, each set equally likely: what is left of a difference is due to *which* edges."


@exercise("07.cost")
def cost(answer, ax):
    """What the kept edges cost."""
    widths = {"a": (4, 6, 8, 8, 8), "b": (2, 4, 4, 10, 6)}
    space = SearchSpace.build(
        {name: vgg16(2, widths=those, hidden=4).plan for name, those in widths.items()}
    )
    sizes = [space.stage(e.source).channels * space.stage(e.target).channels for e in space.edges]
    squares = [space.stage(e.target).channels ** 2 for e in space.edges]
    draw = np.random.default_rng(0)
    graphs = {
        "none": [False] * len(space),
        "some": (draw.random(len(space)) < 0.3).tolist(),
        "half": (draw.random(len(space)) < 0.5).tolist(),
        "all": [True] * len(space),
    }
    totals = {
        name: [math.fsum(s for s, keep in zip(of, kept) if keep) for kept in graphs.values()]
        for name, of in (("right", sizes), ("squares", squares), ("count", [1] * len(space)))
    }
    yours = [float(answer(space, kept)) for kept in graphs.values()]
    _pairs(ax, totals["right"], yours, list(graphs), "parameters")
    if yours == [sum(sizes)] * 4:
        raise Wrong(
            "closed edges cost nothing: their columns of the 1×1 convolution are cut away. Count the kept "
            "ones alone"
        )
    if yours == totals["squares"]:
        raise Wrong(
            "right where both networks are as wide; here they are not. An edge brings its source's channels "
            "to its target's"
        )
    if yours == totals["count"]:
        raise Wrong(
            "this is the number of edges; each costs (channels of its source) × (channels of its target)"
        )
    if not np.allclose(yours, totals["right"]):
        raise Wrong(
            "sum over the kept edges: channels of the source times channels of the target (1×1 convolution, "
            "no bias)"
        )
    return (
        f"All {len(space)} edges cost {totals['right'][-1]:,.0f} parameters here. A deep, wide edge costs many "
        f"times a shallow one: with a "
        "fair control, count both edges and parameters."
    )
