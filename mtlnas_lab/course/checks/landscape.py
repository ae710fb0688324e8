"""Checks of notebook 11: what chance leaves, how many graphs are beaten, the front, and a search of one flip at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from ..checking import Wrong, exercise
from .common import (
    RIGHT,
    YOURS,
    bars,
    close,
    curves,
    differ,
    kind,
    near_misses,
    number,
    numbers,
)


# --- noise --------------------------------------------------------------------------------------------------------------
@exercise("11.noise")
def noise(answer, ax):
    """What chance leaves."""
    # deviations: 1 between graphs, 3 between seeds, and these of the rest
    sizes = [0.1, 0.3, 0.6, 1.0]
    tables = [_table(size, place) for place, size in enumerate(sizes)]
    right = [_rest(table) for table in tables]
    yours = numbers(answer, [(table,) for table in tables], "a standard deviation")
    bars(ax, right, yours, [f"{size:g}" for size in sizes], "deviation of the rest")
    ax.set_xlabel("noise that was put in")

    rests = [_rest_of(table) for table in tables]
    without_graphs = [table - table.mean(1, keepdims=True) for table in tables]
    without_seeds = [table - table.mean(0) for table in tables]
    twice = [_spread(rest - table.mean(), table) for rest, table in zip(rests, tables)]
    one_less = [rest.std(ddof=1) for rest in rests]
    mistakes = {
        "this is how far all the numbers spread, graphs and seeds included: take their means off first": _each(
            tables, np.std
        ),
        "a seed's own effect is still in it, which is the same for every graph: take the seeds' means off, too": _each(
            without_graphs, np.std
        ),
        "the graphs' own effects are still in it: take the graphs' means off, too": _each(
            without_seeds, np.std
        ),
        "both means are off, so the mean of everything is off twice: add it once": twice,
        "this is the variance; its root has the unit of the loss": np.square(right),
        "this is the mean of all numbers, not a deviation": _each(tables, np.mean),
    }
    mistakes |= {
        "divide the sum of squares by (graphs − 1) · (seeds − 1): the means that were taken off fit the noise, too": _each(
            rests, np.std
        ),
        "the deviations are taken with n − 1; here (graphs − 1) · (seeds − 1) are free": one_less,
    }
    places = [f"with noise of {size:g} put in," for size in sizes]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-6)
    return "That is what blurs one training. The mean of n of them is blurred by it over √n, a difference by √2 times that."


def _table(size: float, seed: int) -> np.ndarray:
    """Losses (graphs, seeds): effects of graphs and of seeds, and noise of this size."""
    draw = np.random.default_rng(seed)
    graphs = draw.normal(0, 1, (12, 1))
    seeds = draw.normal(0, 3, (1, 4))
    return 7 + graphs + seeds + draw.normal(0, size, (12, 4))


def _rest_of(table: np.ndarray) -> np.ndarray:
    return table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()


def _spread(rest: np.ndarray, table: np.ndarray) -> float:
    graphs, seeds = table.shape
    return float(np.sqrt((rest**2).sum() / ((graphs - 1) * (seeds - 1))))


def _rest(table: np.ndarray) -> float:
    return _spread(_rest_of(table), table)


def _each(tables: Sequence, way: Callable) -> list[float]:
    return [float(way(table)) for table in tables]


# --- percentile ---------------------------------------------------------------------------------------------------------
@exercise("11.percentile")
def percentile(answer, ax):
    """How many of the others a graph beats."""
    losses = np.array([2.0, 1.0, 3.0, 2.0, 5.0, 4.0, 2.0, 0.5, 6.0])
    graphs = range(len(losses))
    others = len(losses) - 1
    worse = np.array([(losses > one).sum() for one in losses])
    better = np.array([(losses < one).sum() for one in losses])
    equal = others - worse - better
    right = (worse + equal / 2) / others
    yours = numbers(answer, [(losses, graph) for graph in graphs], "a share from 0 to 1")
    bars(ax, right, yours, [f"{loss:g}" for loss in losses], "share of the others that it beats")
    ax.set_xlabel("loss of the graph")

    count = len(losses)
    with_itself = (worse + (equal + 1) / 2) / count
    mistakes = {
        "the other way round: a graph with a small loss beats many": 1 - right,
        "a graph is not one of its others: divide by one less than there are": right
        * others
        / count,
        "equals count half; yours do not count": worse / others,
        "equals count half; yours count whole": (worse + equal) / others,
        "equals count half, and the graph itself is not among them": with_itself,
        "the graph itself is not among the others": (worse + equal + 1) / count,
    }
    mistakes |= {
        "this is worse / all: leave the graph itself out, and count equals half": worse / count,
        "this is its rank; give the share that it beats": 1 + better,
        "this is how many it beats; divide by how many others there are": worse + equal / 2,
        "a share from 0 to 1, not per cent": 100 * right,
    }
    places = [f"for graph {graph} with loss {losses[graph]:g}" for graph in graphs]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-6)
    other = number(answer(np.array([1.0, 2.0]), 0), "a share from 0 to 1")
    if not close(other, 1.0):
        raise Wrong("right for nine graphs, but not for two: use the arguments")
    return "½ is what a random graph has on average: a search that lands at 0.5 has learnt nothing about which edges."


# --- the front ----------------------------------------------------------------------------------------------------------
@exercise("11.front")
def front(answer, ax):
    """The graphs that none beats."""
    draw = np.random.default_rng(3)
    first = draw.random(24).round(2)
    # as good as the best of the first in that loss, and worse in the other: it is beaten
    second = (1.1 - first + draw.normal(0, 0.25, 24)).round(2)
    first = np.append(first, [first.min(), 0.5])
    second = np.append(second, [second[first[:24].argmin()] + 0.3, second.min()])
    right = _front(first, second)
    yours = _graphs(answer(first, second), len(first))
    _draw_front(ax, first, second, right, yours)

    best_of_each = {int(first.argmin()), int(second.argmin())}
    weak = _front(first, second, weakly=True)
    below = (first < first.mean()) & (second < second.mean())
    beaten = set(range(len(first))) - right
    mistakes = {
        "this is the other end: less of a loss is better": _front(-first, -second),
        "one that is as good in one loss and worse in the other is beaten, too: ≤ in both, < in one": weak,
        "these are the best of either loss; between them lie graphs that none beats in both": best_of_each,
        "this asks which are better than the mean; a graph is beaten by another graph": set(
            np.flatnonzero(below)
        ),
        "these are the graphs that are beaten: you want the others": beaten,
    }
    mistakes |= {
        "one loss is turned round: less is better in both": _front(-first, second),
        "the second loss is turned round: less is better in both": _front(first, -second),
        "a graph does not beat itself: it must be better in one loss": set(),
    }
    for said, wrong in mistakes.items():
        if yours == wrong:
            raise Wrong(said)
    if yours != right:
        missing = sorted(right - yours)
        more = sorted(yours - right)
        if missing:
            raise Wrong(f"graph {missing[0]} is missing: no graph beats it in both losses")
        raise Wrong(f"graph {more[0]} is beaten: another one is at least as good in both losses")
    said = "right for these losses, but not for others"
    if _graphs(answer.also(said, np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])), 3) != {0}:
        raise Wrong(f"{said}: use the arguments")
    return "Which of them is best, the losses cannot say: that takes a price, as the weights of the total loss."


def _front(first: np.ndarray, second: np.ndarray, weakly: bool = False) -> set[int]:
    """The graphs that none beats; weakly: that none beats in both."""
    found = set()
    for graph in range(len(first)):
        no_worse = (first <= first[graph]) & (second <= second[graph])
        better = (first < first[graph]) | (second < second[graph])
        if weakly:
            better = (first < first[graph]) & (second < second[graph])
        if not (no_worse & better).any():
            found.add(graph)
    return found


def _graphs(value: object, count: int) -> set[int]:
    """The graphs that an answer names."""
    listed = isinstance(value, (list, tuple, set, np.ndarray, torch.Tensor))
    if not listed or isinstance(value, Mapping):
        raise Wrong(f"return a list of the graphs' numbers; yours is {kind(value)}")
    if getattr(value, "dtype", None) in (np.dtype(bool), torch.bool):
        raise Wrong("return the numbers of the graphs, not a truth value for each; np.flatnonzero")
    found = {number(one, "the number of a graph") for one in value}
    if not all(one in range(count) for one in found):
        raise Wrong(f"return numbers of graphs, from 0 to {count - 1}")
    return {int(one) for one in found}


def _draw_front(ax, first, second, right: set[int], yours: set[int]) -> None:
    ax.scatter(first, second, color="#777777", s=12)
    for graphs, colour, size, label in ((right, RIGHT, 110, "right"), (yours, YOURS, 45, "yours")):
        chosen = sorted(graphs)
        ring = {"facecolors": "none", "edgecolors": colour, "linewidths": 1.6, "label": label}
        ax.scatter(first[chosen], second[chosen], s=size, **ring)
    ax.set(xlabel="first loss", ylabel="second loss")
    ax.legend(loc="upper right", frameon=False)


# --- a search -----------------------------------------------------------------------------------------------------------
EDGES = 6


@exercise("11.climb")
def climb(answer, ax):
    """A search that flips one edge at a time."""
    # the first is smooth, each edge counts by itself; the others are rugged
    landscapes = [_smooth(), *(np.random.default_rng(seed).random(2**EDGES) for seed in range(4))]
    starts = [0, 63, 21, 8, 42]
    asked: list[set[int]] = [set() for _ in landscapes]
    arguments = []
    for losses, known, start in zip(landscapes, asked, starts):
        arguments.append((_asking(losses, known), start, EDGES))
    yours = numbers(answer, arguments, "the number of the graph at which the search ends")
    if not all(one in range(2**EDGES) for one in yours):
        raise Wrong(f"return the number of a graph, from 0 to {2**EDGES - 1}; 1 << e flips edge e")
    ends = yours.astype(int)
    right = np.array([_descent(losses, start) for losses, start in zip(landscapes, starts)])
    places = np.arange(len(right))
    reached = [losses[graph] for losses, graph in zip(landscapes, ends)]
    least = [losses[graph] for losses, graph in zip(landscapes, right)]
    curves(ax, places, least, reached, "landscape", "loss at the end")
    ax.set_xticks(places)

    walks = list(zip(landscapes, starts))
    one_flip = [_best_neighbour(losses, start) for losses, start in walks]
    hasty = [_first_better(losses, start) for losses, start in walks]
    upwards = [_descent(-losses, start) for losses, start in walks]
    mistakes = {
        "it climbs: a smaller loss is better": upwards,
        "one flip is not the end: go on from the neighbour, until none is better": one_flip,
        "it never moves: start from `start`, and go where ask says less": starts,
        "you took the first neighbour that is better; look at all of them, and go to the best": hasty,
    }
    if any(len(known) == 2**EDGES for known in asked[1:]):
        raise Wrong("you asked for every graph: that is a table, not a search; ask the neighbours")
    near_misses(ends, right, mistakes, _where(landscapes, starts, ends, right))
    return "Where no neighbour is better it stops, though a better graph may lie two flips away: a local optimum."


def _smooth() -> np.ndarray:
    bits = (np.arange(2**EDGES)[:, None] >> np.arange(EDGES)) & 1
    return 3 + bits @ np.array([-0.5, 0.3, -0.2, 0.1, -0.4, 0.25])


def _asking(losses: np.ndarray, known: set[int]) -> Callable[[int], float]:
    """ask(graph) of one landscape, which notes what was asked."""

    def ask(graph: int) -> float:
        if not 0 <= graph < len(losses):
            raise ValueError(
                f"there is no graph {graph}: there are 0 to {len(losses) - 1}; graph ^ (1 << e) flips edge e"
            )
        known.add(int(graph))
        return float(losses[graph])

    return ask


def _best_neighbour(losses: np.ndarray, graph: int) -> int:
    return min([graph, *(graph ^ (1 << e) for e in range(EDGES))], key=lambda one: losses[one])


def _descent(losses: np.ndarray, graph: int) -> int:
    while (better := _best_neighbour(losses, graph)) != graph:
        graph = better
    return graph


def _first_better(losses: np.ndarray, graph: int) -> int:
    """Where a search ends that goes to the first neighbour that is better, and begins again with edge 0."""
    while True:
        better = [
            graph ^ (1 << e) for e in range(EDGES) if losses[graph ^ (1 << e)] < losses[graph]
        ]
        if not better:
            return graph
        graph = better[0]


def _where(landscapes, starts, ends, right) -> str:
    """Which walk ended elsewhere, and what would have been better there."""
    place = int((ends != right).argmax())
    losses = landscapes[place]
    end = int(ends[place])
    better = _best_neighbour(losses, end)
    if better != end:
        edge = (better ^ end).bit_length() - 1
        return (
            f"from graph {starts[place]} yours ends at graph {end}, but flipping edge {edge} there lowers the loss from "
            f"{losses[end]:.3f} to {losses[better]:.3f}"
        )
    return (
        f"from graph {starts[place]} the best neighbour each time leads to graph {right[place]}, yours ends at {end}: look "
        "at all neighbours, and go to the best of them"
    )
