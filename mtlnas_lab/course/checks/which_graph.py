"""Checks of notebook 18: which edges of a tournament are kept, and how much weight agrees with an order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import permutations

import numpy as np

from ..checking import Wrong, exercise
from .common import bars, converted, differ, kind, near_misses, numbers

Edge = tuple[int, int, float]  # better, worse, weight


# --- the greedy part ----------------------------------------------------------------------------------------------------
@exercise("18.keep")
def keep(answer, ax):
    """The edges that are kept: the surest first, unless one closes a cycle."""
    tournaments = {"one cycle": [(2, 0, 0.4), (0, 1, 0.9), (1, 2, 0.7)]}
    tournaments["no cycle"] = [(0, 2, 0.3), (1, 2, 0.5), (0, 1, 0.1)]
    tournaments["a long cycle"] = [(3, 0, 0.5), (0, 1, 0.6), (2, 3, 0.9), (1, 2, 0.8), (4, 0, 0.2)]
    tournaments["two ways back"] = [
        (1, 2, 0.8),
        (1, 3, 0.75),
        (0, 1, 0.9),
        (2, 0, 0.7),
        (3, 0, 0.65),
    ]
    for graphs in (5, 6):
        tournaments[f"{graphs} graphs"] = _drawn(graphs, seed=graphs)
    right = [_greedy(edges) for edges in tournaments.values()]
    yours = [_pairs(answer(list(edges)), edges) for edges in tournaments.values()]
    weights = [_weighted(tournaments.values(), kept) for kept in (right, yours)]
    bars(ax, *weights, list(tournaments), "kept weight")

    mistakes = {
        "all edges are kept: leave those out that would close a cycle": _everything,
        "the order is turned round: the surest edge, with the largest weight, comes first": _least_sure_first,
        "the edges come in no order: sort them by their weight first": _as_they_come,
        "an edge goes only where the *other* way is already there, from the worse graph to the better one": _no_detour,
        "every edge on a cycle is gone; of each cycle it is enough that one edge goes": _off_cycles,
        "look for longer ways, too: a cycle may lead through four graphs or more": _no_triangle,
        "this is the heaviest part of all; here the surest edge comes first, even if two others go for it": _heaviest,
    }
    for said, mistaken in mistakes.items():
        wrong = [mistaken(edges) for edges in tournaments.values()]
        if yours == wrong and yours != right:
            raise Wrong(said)
    for name, edges, expected, found in zip(tournaments, tournaments.values(), right, yours):
        _same(f"for the tournament “{name}”", edges, expected, found)
    return "Whatever is left agrees with an order of all graphs: no way leads back."


def _drawn(graphs: int, seed: int) -> list[Edge]:
    draw = np.random.default_rng(seed)
    edges = []
    for one in range(graphs):
        for other in range(one):
            better, worse = (one, other) if draw.random() < 0.5 else (other, one)
            edges.append((better, worse, round(float(draw.random()), 3)))
    return [edges[place] for place in draw.permutation(len(edges))]


def _leads(kept: Iterable[tuple], start: int, end: int, most: int = 100) -> bool:
    """Whether a way of at most `most` kept edges leads from one graph to another."""
    reached = {start}
    for _ in range(most):
        further = {worse for better, worse, *_ in kept if better in reached}
        if further <= reached:
            break
        reached |= further
    return end in reached


def _taken(edges: Iterable[Edge], refused: Callable) -> set[tuple[int, int]]:
    kept: set[tuple[int, int]] = set()
    for better, worse, _ in edges:
        if not refused(kept, better, worse):
            kept.add((better, worse))
    return kept


def _closes(kept, better, worse) -> bool:
    return _leads(kept, worse, better)


def _surest_first(edges: Sequence[Edge]) -> list[Edge]:
    return sorted(edges, key=lambda edge: -edge[2])


def _greedy(edges: Sequence[Edge]) -> set[tuple[int, int]]:
    return _taken(_surest_first(edges), _closes)


def _everything(edges: Sequence[Edge]) -> set[tuple[int, int]]:
    return {edge[:2] for edge in edges}


def _least_sure_first(edges: Sequence[Edge]) -> set[tuple[int, int]]:
    return _taken(_surest_first(edges)[::-1], _closes)


def _as_they_come(edges: Sequence[Edge]) -> set[tuple[int, int]]:
    return _taken(edges, _closes)


def _no_detour(edges: Sequence[Edge]) -> set[tuple[int, int]]:
    return _taken(_surest_first(edges), _leads)


def _no_triangle(edges: Sequence[Edge]) -> set[tuple[int, int]]:
    def refused(kept, better, worse) -> bool:
        return _leads(kept, worse, better, most=2)

    return _taken(_surest_first(edges), refused)


def _off_cycles(edges: Sequence[Edge]) -> set[tuple[int, int]]:
    return {edge[:2] for edge in edges if not _leads(edges, edge[1], edge[0])}


def _heaviest(edges: Sequence[Edge]) -> set[tuple[int, int]]:
    graphs = sorted({graph for edge in edges for graph in edge[:2]})
    order = max(permutations(graphs), key=lambda order: _agreeing(order, edges))
    return {edge[:2] for edge in edges if order.index(edge[0]) < order.index(edge[1])}


def _weighted(tournaments: Iterable[Sequence[Edge]], kept: Sequence[set]) -> list[float]:
    """How much weight is kept of each tournament."""
    found = []
    for edges, own in zip(tournaments, kept):
        found.append(sum(weight for better, worse, weight in edges if (better, worse) in own))
    return found


def _pairs(value: object, edges: Sequence[Edge]) -> set[tuple[int, int]]:
    """Edges that an answer names, with or without their weights."""
    if isinstance(value, (set, frozenset, dict)):
        value = sorted(value)
    made = None if isinstance(value, str) else converted(value)
    if made is not None and made.numel() == 0:
        return set()
    if made is None or made.ndim != 2 or made.shape[1] not in (2, 3):
        raise Wrong(f"return a list of pairs (better, worse); yours is {kind(value)}")
    found = {(better, worse) for better, worse, *_ in made.tolist()}
    for pair in found - _everything(edges):
        raise Wrong(f"({pair[0]:g}, {pair[1]:g}) is none of the edges that were given")
    return {(int(better), int(worse)) for better, worse in found}


def _same(where: str, edges: Sequence[Edge], expected: set, found: set) -> None:
    """Raises Wrong for the surest edge that is kept and should not be, or the other way round."""
    for better, worse, weight in _surest_first(edges):
        edge = f"{where} the edge from {better} to {worse} (weight {weight:g})"
        if (better, worse) in expected - found:
            raise Wrong(f"{edge} is missing: no way of surer edges leads from {worse} to {better}")
        if (better, worse) in found - expected:
            raise Wrong(f"{edge} closes a cycle with surer ones")


# --- what an order agrees with ------------------------------------------------------------------------------------------
@exercise("18.agrees")
def agrees(answer, ax):
    """The weight of the edges that agree with an order."""
    edges = _drawn(5, seed=3)
    orders = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [3, 1, 4, 0, 2]]
    right = np.array([_agreeing(order, edges) for order in orders])
    arguments = [(list(order), list(edges)) for order in orders]
    yours = numbers(answer, arguments, "the weight that agrees")
    names = [" ".join(map(str, order)) for order in orders]
    bars(ax, right, yours, names, "weight")

    total = sum(weight for *_, weight in edges)
    alike = [(better, worse, 1.0) for better, worse, _ in edges]
    counts = [_agreeing(order, alike) for order in orders]
    neighbours = [_agreeing(order, edges, apart=1) for order in orders]
    mistakes = {
        "the order is read from its end: the best graph stands first": total - right,
        "this is how many edges agree; add up their weights": counts,
        "this is the weight of all edges, whatever the order": np.full(4, total),
        "these are only edges between neighbours in the order; all that lead forward count": neighbours,
        "edges that go against the order are taken off; they only do not count": 2 * right - total,
        "this is the share of the weight; the weight itself is asked": right / total,
    }
    mistakes["a graph's number is not its place: look where it stands in the order"] = np.full(
        4, right[0]
    )
    inverse = [np.argsort(order).tolist() for order in orders]
    mistakes["order[graph] is not the place of a graph: order.index(graph) is"] = [
        _agreeing(order, edges) for order in inverse
    ]
    places = [f"for the order {name}" for name in names]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-9)
    said = "right where each pair has an edge, but not where some have none"
    few = numbers(answer.also, [(said, [7, 5, 6], [(5, 6, 0.25), (6, 7, 0.5)])], "the weight")
    if abs(few[0] - 0.25) > 1e-9:
        raise Wrong(f"{said}: go through the edges that are there")
    return "The heaviest part without a cycle belongs to the order for which this is largest."


def _agreeing(order: Sequence[int], edges: Sequence[Edge], apart: int = 100) -> float:
    """The weight of edges that lead forward in an order, over at most `apart` places."""
    total = 0.0
    for better, worse, weight in edges:
        if 0 < order.index(worse) - order.index(better) <= apart:
            total += weight
    return total
