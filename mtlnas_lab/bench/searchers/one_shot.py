"""One-shot: train all graphs at once by drawing one for each step, then score each with the shared weights (Guo et al., 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...core.search import Search
from .problem import Problem, best_so_far
from .supernet import coin_flips, score, steps_of

TRAINING = 1 / 3  # of the budget; the rest is for looking at graphs


def one_shot(problem: Problem) -> Iterator[int]:
    """Trains a supernet under random gates, and scores graphs in a random order on val, each with its own batch norm."""
    config = replace(problem.config, steps=int(problem.budget * TRAINING))
    lab = problem.lab()
    supernet = Search(lab, config, draw_gates=coin_flips(len(problem.space)))
    for _ in steps_of(supernet, problem):
        pass
    graphs = problem.in_random_order()
    yield from best_so_far((graph, score(problem, lab, graph)) for graph in graphs)
