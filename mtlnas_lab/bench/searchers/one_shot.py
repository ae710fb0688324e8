"""One-shot: train all graphs at once by drawing one for each step, then score each with the shared weights (Guo et al., 2020)."""

from __future__ import annotations

from collections.abc import Iterator

from .problem import Problem, best_so_far
from .supernet import coin_flips, one_shot_supernet, score


def one_shot(problem: Problem) -> Iterator[int]:
    """Trains a supernet under random gates, and scores graphs in a random order on val, each with its own batch norm."""
    lab = one_shot_supernet(problem, coin_flips(len(problem.space)))
    graphs = problem.in_random_order()
    yield from best_so_far((graph, score(problem, lab, graph)) for graph in graphs)
