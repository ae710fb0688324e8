"""Local search: from a random graph, flip one edge at a time, and keep the first flip that helps (White et al., 2020)."""

from __future__ import annotations

from collections.abc import Iterator

from ..graph import neighbours_of
from .problem import Problem, best_so_far


def local_search(problem: Problem) -> Iterator[int]:
    """Climbs from random graphs to local optima, one after the other, and answers the best graph that it met."""
    return best_so_far(_climbed(problem))


def _climbed(problem: Problem) -> Iterator[tuple[int, float]]:
    """Each graph that it looks at, with its loss."""
    for start in problem.in_random_order():
        if (
            start in problem.trained
        ):  # met on the way: the climb from there is known, or would be much the same
            continue
        here = start
        yield here, problem.train(here)
        better = True
        while better:
            better = False
            for there in problem.generator.permutation(neighbours_of(here, problem.space)).tolist():
                yield there, problem.train(there)
                if problem.trained[there] < problem.trained[here]:
                    here = there
                    better = True
                    break
