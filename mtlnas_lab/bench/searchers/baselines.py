"""Graphs that need no search: what every search has to beat. They cost nothing to choose."""

from __future__ import annotations

from collections.abc import Iterator

from .problem import Problem


def guess(problem: Problem) -> Iterator[int]:
    """Any graph, by chance, without a look at it."""
    yield problem.any_graph()


def no_edges(problem: Problem) -> Iterator[int]:
    """Networks that do not know of each other."""
    yield 0


def all_edges(problem: Problem) -> Iterator[int]:
    """Every candidate edge is open."""
    yield problem.graphs - 1
