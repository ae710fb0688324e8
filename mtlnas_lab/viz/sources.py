"""What pictures are made of: a run, its folder, a log, a search, a lab, an architecture or a space."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.architecture import Architecture
from ..core.events import Resumed
from ..core.lab import Lab
from ..core.relaxation import probabilities
from ..core.search import Search
from ..core.space import SearchSpace
from ..errors import RunError, SpaceError
from ..runs.event_log import EventLog
from ..runs.recorder import Recorded
from ..runs.run import Run


def read_source(
    source, alpha: Sequence[float] | None = None, step: int | None = None
) -> tuple[SearchSpace, tuple | None, tuple | None]:
    """(space, σ(α) or None, kept or None) of a search space, an architecture, an event log, a run or its folder, a search
    or a lab.

    An edge is kept where α > 0, as `derive` keeps it; σ(α) of a tiny α is ½ and says nothing.
    `step`: as it was after that step of the search, where the source is a log or a run.
    """
    source = opened(source)
    if step is not None:
        if isinstance(source, Run):
            source = source.log
        alpha = alpha_after(source, step)
    if isinstance(source, Run):
        source = _of_run(source, alpha)
    if isinstance(source, Search):
        source = source.architecture()
    if isinstance(source, Lab):
        source = source.derive()
    if isinstance(source, EventLog):
        if alpha is None and source.alpha.size:
            alpha = source.alpha[-1]
        source = source.space
    kept = None
    if isinstance(source, Architecture):
        if alpha is None:
            alpha = source.alpha
            kept = source.kept
        source = source.space
    if not isinstance(source, SearchSpace):
        raise SpaceError(
            f"a {type(source).__name__} has no fusion graph; give a search space, an architecture, "
            "an event log, a run or its folder, a search or a lab"
        )
    if alpha is None:
        return source, None, kept
    values = _numbers(alpha)
    if kept is None:
        kept = tuple(a > 0 for a in values)
    return source, tuple(probabilities(values).tolist()), kept


def _of_run(run: Run, alpha: Sequence[float] | None) -> Architecture | EventLog:
    """The architecture that a finished run found; the log of one that goes on, whose latest α counts."""
    if alpha is not None:
        return run.log
    try:
        return Architecture.from_json(run.architecture())
    except RunError:  # it is not finished
        return run.log


def opened(source):
    """A run for its folder, a search for one that is recorded; anything else as it is."""
    if isinstance(source, (str, Path)):
        return Run.open(source)
    if isinstance(source, Recorded):
        return source.search
    return source


def alpha_after(log: EventLog, step: int):
    """α (E,) after a step. Raises SpaceError where there is no such step."""
    steps: list[int] = []
    if isinstance(log, EventLog):
        steps = [one.step for one in log.steps]
    if step in steps:
        return log.alpha[steps.index(step)]
    there = f"there are {steps[0]} to {steps[-1]}" if steps else "only a log or a run has steps"
    raise SpaceError(f"there is no step {step!r}; {there}")


def until(log: EventLog, step: int) -> EventLog:
    """A log as it was after a step of the search. Raises SpaceError where there is no such step."""
    alpha_after(log, step)
    found = EventLog()
    for event in log.events:
        if getattr(event, "step", 0) > step:
            break
        if not isinstance(event, Resumed):  # what it leaves behind is not among the events
            found.append(event)
    return found


def _numbers(alpha: Sequence[float]) -> list[float]:
    """α as numbers. Raises SpaceError for what is none, and for NaN."""
    values = []
    for place, a in enumerate(alpha):
        try:
            value = float(a)
        except (TypeError, ValueError, OverflowError):
            raise SpaceError(
                f"α of edge {place} is {reprlib.repr(a)}, which is not a number; give one for each edge"
            ) from None
        if math.isnan(value):
            raise SpaceError(
                f"α of edge {place} is NaN, which has no width; look at an earlier step or checkpoint"
            )
        values.append(value)
    return values


def read_log(source) -> EventLog:
    """The event log of a run or its folder, or the log itself; raises RunError for anything else."""
    log = opened(source)
    if isinstance(log, Run):
        log = log.log
    if not isinstance(log, EventLog):
        raise RunError(
            f"a {type(log).__name__} is not a log of a search; give an EventLog, a run or its folder"
        )
    return log


def evenly(length: int, count: int) -> np.ndarray:
    """At most `count` indices of a list of that length, evenly spaced, first and last among them."""
    return np.unique(np.linspace(0, length - 1, count).round().astype(int))
