"""Random search: train graphs that chance picks, and answer the best of them. What costs more has to be better."""

from __future__ import annotations

from collections.abc import Iterator

from .problem import Problem, best_so_far


def random_search(problem: Problem) -> Iterator[int]:
    """Trains graphs in a random order, each once."""
    graphs = problem.in_random_order()
    return best_so_far((graph, problem.train(graph)) for graph in graphs)
