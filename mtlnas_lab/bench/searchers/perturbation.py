"""Selection by perturbation: an edge is worth what its removal costs the supernet, whatever its α says.

Inspired by DARTS-PT (Wang et al., arXiv 2108.04392, ICLR 2021), which decides one edge after another and lets the supernet
recover in between. Ours has no α at all: edges that are not decided are open or shut by a coin, in training and in looking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch

from ...core.lab import Lab
from ...core.search import Search
from ...errors import ConfigError
from .problem import Problem
from .supernet import coin_flips, cost_of_score, score, steps_of

DRAWS = 4  # graphs that each edge is added to and taken from
RECOVERY = 0.4  # of the training steps, spread over the pauses between decisions


def perturbation(problem: Problem) -> Iterator[list[bool]]:
    """Decides edges in a random order: an edge stays where the loss on val is larger without it than with it.

    The loss is the mean over a few graphs of the edges that are not decided yet. Until an edge is decided, the answer
    has it open.

    Raises:
        ConfigError: The budget does not pay for the looks that it takes.
    """
    edges = len(problem.space)
    pauses = max(edges - 1, 1)
    looking = edges * 2 * DRAWS * cost_of_score(problem)
    steps = int(problem.budget - looking)
    if steps < edges:
        raise ConfigError(
            f"a budget of {problem.budget:g} steps: looking at {edges} edges costs {looking:.0f}, and training some; "
            "give more"
        )
    recovery = int(steps * RECOVERY / pauses)
    decided: dict[int, bool] = {}
    draw = coin_flips(edges)

    def gates(generator: torch.Generator) -> list[bool]:
        return with_decided(draw(generator), decided)

    lab = problem.lab()
    supernet = Search(lab, replace(problem.config, steps=steps), draw_gates=gates)
    for _ in steps_of(supernet, problem, steps - recovery * pauses):
        pass
    for edge in problem.generator.permutation(edges).tolist():
        if decided:
            for _ in steps_of(supernet, problem, recovery):
                pass
        decided[edge] = loss_without(problem, lab, edge, decided) > 0
        yield with_decided([True] * edges, decided)


def loss_without(problem: Problem, lab: Lab, edge: int, decided: Mapping[int, bool]) -> float:
    """How much the loss on val rises when an edge is taken away, mean over random graphs of the undecided edges."""
    rises = []
    for _ in range(DRAWS):
        others = with_decided(problem.generator.random(len(lab.space)) < 0.5, decided)
        shut = score(problem, lab, with_decided(others, {edge: False}))
        opened = score(problem, lab, with_decided(others, {edge: True}))
        rises.append(shut - opened)
    return float(np.mean(rises))


def with_decided(gates: Iterable[bool], decided: Mapping[int, bool]) -> list[bool]:
    """Gates, with the decided edges as they were decided."""
    return [decided.get(i, bool(gate)) for i, gate in enumerate(gates)]
