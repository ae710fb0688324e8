"""Regularised evolution: the best of a few is copied with one change, and the oldest dies (Real et al., AAAI 2019)."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator

from ..graph import neighbours_of
from .problem import Problem, best_so_far

POPULATION = 5  # graphs that live at a time; few, as a budget is some ten trainings
SAMPLE = 2  # of them, drawn to choose a parent from


def evolution(problem: Problem) -> Iterator[int]:
    """Evolves graphs, and answers the best that ever lived."""
    return best_so_far(_lived(problem))


def _lived(problem: Problem) -> Iterator[tuple[int, float]]:
    """Each graph that is born, with its loss."""
    population: deque[int] = deque(maxlen=POPULATION)  # the oldest falls out as one is added
    for graph in itertools.islice(problem.in_random_order(), POPULATION):
        population.append(graph)
        yield graph, problem.train(graph)
    while len(problem.trained) < problem.graphs:
        sample = problem.generator.choice(population, SAMPLE, replace=False).tolist()
        parent = min(sample, key=problem.train)
        child = _mutated(problem, parent)
        population.append(child)
        yield child, problem.train(child)


def _mutated(problem: Problem, graph: int) -> int:
    """A graph with one edge flipped; with more, where that one was trained before: nobody trains a graph twice."""
    while graph in problem.trained:
        graph = int(problem.generator.choice(neighbours_of(graph, problem.space)))
    return graph
