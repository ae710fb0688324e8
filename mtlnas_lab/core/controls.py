"""Hyper-parameters that change while a search runs, and edges that are forced open or shut."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ..errors import ConfigError, SpaceError
from ..values import flag, told
from .communicator import SingleProcess
from .config import RELAXED, SCHEDULES, SearchConfig, check_setting
from .schedule import Schedule
from .space import Edge, SearchSpace

KNOBS = (*SCHEDULES, "alpha_lr", "weight_lr", *RELAXED, "force", "visibility")


class Controls:
    """What has been turned in a search so far, and what waits for its next step.

    `turn` may be called by any thread at any time. The search calls `apply_turned` between two steps, so that one step
    never sees two values of a knob.

    Args:
        config: has the value of every knob that nobody has turned.
        space: has the E edges that can be forced.
    """

    def __init__(self, config: SearchConfig, space: SearchSpace):
        self.config = config
        self.space = space
        self.knobs: dict = {}  # in effect; `force` as {index of an edge: open?}
        self.waiting: list[tuple[dict, dict]] = []  # each as asked for, and as checked
        self._lock = threading.Lock()

    def turn(self, knobs: Mapping) -> None:
        """Ask for other values from the next step on. Raises ConfigError, and then changes nothing."""
        checked = turned(knobs, self.space)
        # a copy, for whoever asks may change his dictionaries before the step comes
        asked = copy.deepcopy(_to_json(knobs))
        with self._lock:
            self.waiting.append((asked, checked))

    def apply_turned(self, communicator: SingleProcess) -> list[dict]:
        """Let what waits take effect in all processes. Returns it as it was asked for, as JSON."""
        with self._lock:
            waiting = self.waiting
            self.waiting = []
        # viewers talk to the main process alone, but every process must search under the same knobs
        waiting = communicator.broadcast(waiting)
        for _, checked in waiting:
            if "force" in checked:
                checked["force"] = without_freed({**self.forced, **checked["force"]})
            if "visibility" in checked:
                checked["visibility"] = {**self.visibility, **checked["visibility"]}
            self.knobs.update(checked)
        return [asked for asked, _ in waiting]

    def current(self, knob: str, step: int):
        """The value of a knob for the update number `step`, counted from 0."""
        value = self.knobs.get(knob, getattr(self.config, knob))
        steps = max(1, self.config.steps)  # of a search without steps, the beginning
        if knob == "visibility":
            return {task: schedule(step, steps) for task, schedule in value.items()}
        return value(step, steps) if isinstance(value, Schedule) else value

    @property
    def forced(self) -> dict[int, bool]:
        """Edges that are forced, by their index: open (True) or shut (False)."""
        return self.knobs.get("force", {})

    @property
    def visibility(self) -> dict[str, Schedule]:
        """How much each task's network sees, of those that do not see all."""
        return self.knobs.get("visibility", self.config.visibility)

    def to_json(self) -> dict:
        """The knobs in effect, with edges by their names: indices mean nothing without the space."""
        knobs = _to_json(self.knobs)
        if "force" in knobs:
            knobs["force"] = {str(self.space.edges[i]): to for i, to in self.forced.items()}
        return knobs

    def restore(self, knobs: Mapping) -> None:
        """Go back to knobs that `turned` has checked; what waits is forgotten."""
        with self._lock:
            self.knobs = dict(knobs)
            self.waiting = []


def turned(knobs: Mapping, space: SearchSpace | None = None) -> dict:
    """What `Search.turn` is asked for, checked: schedules as such, `force` as {index of an edge: True, False or None}.

    Without a space, edges are only read ({edge: …}). Raises ConfigError for whatever a search would not take.
    """
    checked = {}
    for name, value in knobs.items():
        if name == "force":
            checked[name] = _forced(value, space)
        elif name == "visibility":
            checked[name] = check_setting(name, value)
            if space is not None:
                must_be_tasks(checked[name], space.tasks)
        elif name in KNOBS:
            checked[name] = check_setting(name, value)
        else:
            raise ConfigError(f"a search has no knob {told(name)}; it has {', '.join(KNOBS)}")
    return checked


def must_be_tasks(visibility: Mapping, tasks: Sequence[str]) -> None:
    """Raise ConfigError for the visibility of a task that is not there."""
    for task in visibility:
        if task not in tasks:
            raise ConfigError(
                f"visibility: there is no task {told(task)}; there is {', '.join(tasks)}"
            )


def must_have_edges(budget: int, space: SearchSpace) -> None:
    """Raise ConfigError for an edge budget of more edges than there are."""
    if budget > len(space):
        raise ConfigError(f"edge_budget = {budget}: there are only {len(space)} candidate edges")


def without_freed(forced: Mapping[int, bool | None]) -> dict[int, bool]:
    """The edges that stay forced: None sets one free."""
    return {i: to for i, to in forced.items() if to is not None}


def _forced(value: object, space: SearchSpace | None) -> dict:
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"force = {told(value)}: give {{edge: True, False or None}}, as in "
            "{'segmentation:2 -> normals:3': True}"
        )
    forced = {}
    for edge, to in value.items():
        if not isinstance(edge, str | Edge):
            raise ConfigError(f"force: {told(edge)} is not an edge; give text, as str(edge) is")
        try:
            known = Edge.parse(edge) if isinstance(edge, str) else edge
            place = known if space is None else space.index(known)
        except SpaceError as error:
            raise ConfigError(f"force: {error}") from None
        forced[place] = None if to is None else flag(f"force of {known}", to)
    return forced


def _to_json(knobs: Mapping) -> dict:
    """Knobs as JSON: schedules as dictionaries, edges as text."""
    plain = dict(knobs)
    for name, value in knobs.items():
        if isinstance(value, Schedule):
            plain[name] = asdict(value)
        elif name == "force":
            plain[name] = {str(edge): to for edge, to in value.items()}
        elif name == "visibility":
            plain[name] = _to_json(value)
    return plain
