"""Checks of notebook 14: which edges a deployment may open, and what a cost beside the budget costs."""

from __future__ import annotations

import torch

from ..checking import exercise
from .common import bars, differ, near_misses, numbers, truths

EDGES = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("b", "c"), ("c", "b"), ("a", "b")]
SETS = ["110", "101", "011", "111", "100"]  # whether a, b and c are wanted


# --- which edges ----------------------------------------------------------------------------------------------------------
@exercise("14.available")
def available(answer, ax):
    """The edges between tasks that are wanted."""
    cases = [_wanted(bits) for bits in SETS]
    right = [_each(wanted, lambda source, target: source and target) for wanted in cases]
    yours = []
    for wanted in cases:
        given = answer(list(EDGES), dict(wanted))
        yours.append(truths(given, len(EDGES), "the edges"))
    labels = [f"wanted {bits}" for bits in SETS]
    bars(
        ax,
        [sum(row) for row in right],
        [sum(row) for row in yours],
        labels,
        "edges that may be open",
    )
    ax.tick_params(axis="x", labelsize=7)

    def each(rule):
        return [_each(wanted, rule) for wanted in cases]

    mistakes = {}
    mistakes[
        "an edge from a network that does not run brings nothing: its source must be wanted, too"
    ] = each(lambda source, target: target)
    mistakes[
        "nobody wants the output of the edge's target there: the target must be wanted, too"
    ] = each(lambda source, target: source)
    mistakes["one wanted end is not enough: both networks must run"] = each(
        lambda source, target: source or target
    )
    mistakes["the other way round: these are the edges that must be shut"] = each(
        lambda source, target: not (source and target)
    )
    mistakes["this is every edge; those of a task that is not wanted must be shut"] = each(
        lambda source, target: True
    )
    places = [f"where wanted = {wanted}, of {sum(row)} edges" for wanted, row in zip(cases, right)]
    counted = [[sum(row)] for row in right], [[sum(row)] for row in yours]
    near_misses(yours, right, mistakes, _differs(places, *counted))
    return "Gates of other edges are held at 0 in training and in use, so that a missing task is nothing new to the weights."


def _wanted(bits: str) -> dict[str, bool]:
    return {task: bit == "1" for task, bit in zip("abc", bits)}


def _each(wanted: dict, rule) -> list[bool]:
    return [bool(rule(wanted[source], wanted[target])) for source, target in EDGES]


def _differs(places: list[str], right: list, yours: list) -> str:
    if right == yours:
        return "as many edges as should be, but other ones: give a truth value for each edge, in the order of `edges`"
    return differ([row[0] for row in right], [row[0] for row in yours], places)


# --- the penalty ----------------------------------------------------------------------------------------------------------
@exercise("14.penalty")
def penalty(answer, ax):
    """What a cost beside the budget costs."""
    draw = torch.Generator().manual_seed(14)
    cases = []
    for budget, mu in ((0.5, 30.0), (0.2, 3.0), (0.9, 10.0), (0.0, 1.0)):
        gates = (torch.rand(6, generator=draw) < 0.6).float()
        prices = torch.randint(1, 9, (6,), generator=draw).float()
        fits = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 1.0])
        cases.append((gates, prices, fits, budget, mu))
    right = [float(_penalty(*case)) for case in cases]
    yours = numbers(answer, cases, "a penalty")
    bars(ax, right, yours, [f"budget {case[3]:g}, μ {case[4]:g}" for case in cases], "penalty")
    ax.tick_params(axis="x", labelsize=7)

    def each(way):
        return [float(way(*case)) for case in cases]

    mistakes = {}
    mistakes["edges that are not available are in it: multiply by `fits`, above and below"] = each(
        lambda z, c, f, b, mu: mu * ((z * c).sum() / c.sum() - b) ** 2
    )
    mistakes[
        "the share is of all edges; divide by what the available ones cost: (prices * fits).sum()"
    ] = each(lambda z, c, f, b, mu: mu * ((z * c * f).sum() / c.sum() - b) ** 2)
    mistakes["the cost is not a share yet: divide by (prices * fits).sum()"] = each(
        lambda z, c, f, b, mu: mu * ((z * c * f).sum() - b) ** 2
    )
    mistakes["this counts edges; each has its own price"] = each(
        lambda z, c, f, b, mu: mu * ((z * f).sum() / f.sum() - b) ** 2
    )
    mistakes["μ is missing"] = each(lambda z, c, f, b, mu: _penalty(z, c, f, b, 1.0))
    mistakes["the square is missing"] = each(
        lambda z, c, f, b, mu: mu * ((z * c * f).sum() / (c * f).sum() - b)
    )
    mistakes["the distance counts squared, not as it is"] = each(
        lambda z, c, f, b, mu: mu * ((z * c * f).sum() / (c * f).sum() - b).abs()
    )
    mistakes["a cost below the budget counts as well here"] = each(
        lambda z, c, f, b, mu: mu * ((z * c * f).sum() / (c * f).sum() - b).clamp(min=0) ** 2
    )
    places = [f"with a budget of {case[3]:g} and μ = {case[4]:g}" for case in cases]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-5, rtol=1e-4)
    return "Its gradient reaches the gates by the sigmoid alone, for a hard gate has none: too dear, and every α sinks a little."


def _penalty(gates, prices, fits, budget: float, mu: float) -> torch.Tensor:
    cost = (gates * prices * fits).sum() / (prices * fits).sum()
    return mu * (cost - budget) ** 2
