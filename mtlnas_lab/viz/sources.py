"""What pictures are made of: a run, its folder, a log, an architecture or a space."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from pathlib import Path

from ..core.architecture import Architecture
from ..core.space import SearchSpace
from ..errors import RunError, SpaceError
from ..runs.event_log import EventLog
from ..runs.run import Run


def read_source(
    source, alpha: Sequence[float] | None = None, step: int | None = None
) -> tuple[SearchSpace, tuple | None, tuple | None]:
    """(space, σ(α) or None, kept or None) of a search space, an architecture, an event log, a run or a run's folder.

    An edge is kept where α > 0, as `derive` keeps it; σ(α) of a tiny α is ½ and says nothing.
    `step`: as it was after that step of the search, where the source is a log or a run.
    """
    source = opened(source)
    if step is not None:
        source = source.log if isinstance(source, Run) else source
        alpha = alpha_after(source, step)
    if isinstance(source, Run):
        try:
            source = Architecture.from_json(source.architecture()) if alpha is None else source.log
        except RunError:
            source = source.log  # a run that is not finished: its latest α
    if isinstance(source, EventLog):
        if alpha is None and source.alpha.size:
            alpha = source.alpha[-1]
        source = source.space
    if isinstance(source, Architecture) and alpha is None:
        return (
            source.space,
            None if source.alpha is None else _probabilities(source.alpha),
            source.kept,
        )
    if not isinstance(source, (SearchSpace, Architecture)):
        raise SpaceError(
            f"a {type(source).__name__} has no fusion graph; give a search space, an architecture, "
            "an event log, a run or its folder"
        )
    space = getattr(source, "space", source)
    if alpha is None:
        return space, None, None
    return space, _probabilities(alpha), tuple(float(a) > 0 for a in alpha)


def opened(source):
    """A run for its folder; anything else as it is."""
    return Run.open(source) if isinstance(source, (str, Path)) else source


def alpha_after(log: EventLog, step: int):
    """α (E,) after a step. Raises SpaceError where there is no such step."""
    steps = [one.step for one in log.steps] if isinstance(log, EventLog) else []
    if step not in steps:
        there = f"there are {steps[0]} to {steps[-1]}" if steps else "only a log or a run has steps"
        raise SpaceError(f"there is no step {step!r}; {there}")
    return log.alpha[steps.index(step)]


def _probabilities(alpha: Sequence[float]) -> tuple[float, ...]:
    values = []
    for place, a in enumerate(alpha):
        try:
            values.append(float(a))
        except (TypeError, ValueError, OverflowError):
            raise SpaceError(
                f"α of edge {place} is {reprlib.repr(a)}, which is not a number; give one for each edge"
            ) from None
        if math.isnan(values[-1]):
            raise SpaceError(
                f"α of edge {place} is NaN, which has no width; look at an earlier step or checkpoint"
            )
    return tuple(0.5 * (1 + math.tanh(a / 2)) for a in values)


def read_log(source) -> EventLog:
    """The event log of a run or its folder, or the log itself; raises RunError for anything else."""
    source = opened(source)
    log = source.log if isinstance(source, Run) else source
    if not isinstance(log, EventLog):
        raise RunError(
            f"a {type(source).__name__} is no log of a search; give an EventLog, a run or its folder"
        )
    return log
