"""MTL-NAS: α and w take turns on two halves of the training images; the answer is the edges with α > 0 (CVPR 2020).

    L(w, z(α)) + λ·H(σ(α)) + μ·mean σ(α)

A step with both updates costs 2, a step of the warm-up 1. The settings of w are those of a plain training, because these
networks learn from the start; Adam moves α by 0.02 a step, as in the preset `tiny`: the released 0.001 needs 20,000 steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from ...core.architecture import Architecture
from ...core.lab import Lab
from ...core.schedule import Schedule
from ...core.search import Search
from .problem import Problem
from .supernet import steps_of

RAMP = Schedule(10.0, start=0.0, period=(0.3, 1.0))  # λ of the preset `tiny`
WARM_UP = 1 / 3  # of the steps
L1 = 0.5  # μ


def as_released(problem: Problem) -> Iterator[Architecture]:
    """λ = 10 from the first step, and weight decay on α, as in the released code."""
    return mtlnas(problem, entropy_weight=10.0, alpha_weight_decay=1e-3)


def ramp(problem: Problem) -> Iterator[Architecture]:
    """λ grows over the last 70 % of the steps, so that the tasks are heard before edges lock in."""
    return mtlnas(problem, entropy_weight=RAMP)


def warmed_up(problem: Problem) -> Iterator[Architecture]:
    """The ramp, and w learns with every edge open before α moves."""
    return mtlnas(problem, warm_up=WARM_UP, entropy_weight=RAMP)


def with_l1(problem: Problem) -> Iterator[Architecture]:
    """The ramp, and open edges have a price."""
    return mtlnas(problem, entropy_weight=RAMP, l1_weight=L1)


def mtlnas(
    problem: Problem, warm_up: float = 0.0, lab: Lab | None = None, **settings
) -> Iterator[Architecture]:
    """One search that uses the whole budget; it answers what α says after each step.

    Args:
        problem: Where to search.
        warm_up: Share of the steps in which α waits.
        lab: A supernet and α to begin with; otherwise those of the problem at their start.
        settings: Other fields of SearchConfig.
    """
    steps = int(problem.budget / (2 - warm_up))
    waits = math.ceil(steps * warm_up)
    config = replace(problem.config, steps=steps, warm_up=waits, alpha_lr=0.02, **settings)
    search = Search(lab or problem.lab(), config)
    for _ in steps_of(search, problem):
        yield search.architecture()
