"""Where a studio's events come from: a search driven here, a run folder that somebody else writes, or a finished log.

All three have `log`, `poll() -> bool` (is there anything new?), `mode`, `message`, `can` and `turn`; a viewer needs no more.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from pathlib import Path

from ..errors import ConfigError, LabError
from ..events import Event, EventLog, Started, Tail
from ..runs import Run
from ..space import SearchSpace
from .driver import Driver


class Recorded:
    """A log that stays as it is."""

    mode, message, can, alive, space = "recorded", "", (), False, None

    def __init__(self, log: EventLog):
        self.log = log

    def poll(self) -> bool:
        return False

    def turn(self, **knobs) -> None:
        raise ConfigError("this search was recorded, so its knobs stay as they were; branch from it, or start one of your own")


class Followed:
    """A run folder, as another process writes it; knobs reach that process through the folder."""

    space = None

    def __init__(self, path: str | os.PathLike):
        self.path, self.message = Path(path), ""
        self._tail = Tail(self.path / "events.jsonl")

    log = property(lambda self: self._tail.log)
    can = property(lambda self: () if self.mode in ("finished", "failed") else ("turn",))
    alive = property(lambda self: self.mode not in ("finished", "failed"))

    @property
    def mode(self) -> str:
        log = self.log
        if not log.events:
            return "waiting"
        return "failed" if log.events[-1] is log.failed else "finished" if log.finished else "followed"

    def poll(self) -> bool:
        before = self.message
        try:
            new, self.message = bool(self._tail.poll()), ""
            if self._tail.log.problems:
                self.message = self._tail.log.problems[-1]
            elif not self.log.events:
                self.message = f"waiting for the first event of {self.path.name}"
        except LabError as error:
            new, self.message = False, str(error)
        return new or self.message != before

    def turn(self, **knobs) -> None:
        Run.request(self.path, **knobs)


class Driven:
    """A search that runs in this process. `make`: a function that gives a fresh one; then it can be reset."""

    def __init__(self, search=None, make: Callable | None = None, key: Hashable = None, turn: Hashable = None):
        self.make, self.search = make, make() if search is None else search
        self.log, self.driver, self.message, self._key = EventLog(), None, "", (key, turn)

    @property
    def alive(self) -> bool:
        return self.driver is not None and self.driver.alive

    @property
    def mode(self) -> str:
        if self.driver is None:
            return "finished" if self.log.finished else "ready"
        if self.driver.alive:
            return self.driver.controls.mode
        return "failed" if self.driver.error else "finished" if self.driver.over else "stopped"

    @property
    def can(self) -> tuple[str, ...]:
        able = {"turn": hasattr(self.search, "turn") and self.mode != "finished", "score": hasattr(self.search, "score_now") and self.alive,
                "branch": hasattr(self.search, "branch"), "reset": self.make is not None,
                "run": self.mode in ("ready", "paused", "stopped"), "pause": self.mode == "running",
                "step": self.mode in ("ready", "paused", "stopped"), "stop": self.mode in ("running", "paused")}
        return tuple(name for name, can in able.items() if can)

    def poll(self) -> bool:
        if self.driver is None:
            return False
        events, before = self.driver.take(), self.message
        for event in events:
            try:
                self.add(event)
            except LabError as error:
                self.message = str(error)
        self.message = self.driver.error or self.message
        return bool(events) or self.message != before

    def add(self, event: Event) -> None:
        """Into the log. A search that goes on (or branches) says no `Started` again; then its own space stands for it."""
        if not self.log.events and not isinstance(event, Started) and (space := self.space):
            config = getattr(self.search, "config", None)
            settings = config.to_json() if hasattr(config, "to_json") else {}
            self.log.append(Started(settings, space.to_json(), {}, "", 0))
        self.log.append(event)

    @property
    def space(self) -> SearchSpace | None:
        """The space of a search that has not begun, where it says it: `search.space` or `search.lab.space`."""
        space = getattr(self.search, "space", None) or getattr(getattr(self.search, "lab", None), "space", None)
        return space if isinstance(space, SearchSpace) and len(space) else None

    def start(self, running: bool = True) -> None:
        """Begins, or goes on after a stop."""
        if not self.alive:
            self.driver = Driver(self.search, running)
            self.driver.start(*self._key)
        elif running:
            self.driver.controls.run()

    def pause(self) -> None:
        if self.alive:
            self.driver.controls.pause()

    def step(self, count: int = 1) -> None:
        self.start(running=False) if not self.alive else None
        self.driver.controls.step(count)

    def stop(self) -> None:
        if self.alive:
            self.driver.stop()

    def reset(self) -> None:
        if self.make is None:
            raise ConfigError("this search was given as it is; to be able to reset, give a function that makes one")
        self.stop()
        self.search, self.log, self.driver, self.message = self.make(), EventLog(), None, ""

    def score(self) -> None:
        """What the network is worth with its gates cut now."""
        if self.alive:
            self.driver.controls.ask(self.search.score_now)

    def turn(self, **knobs) -> None:
        if not hasattr(self.search, "turn"):
            raise ConfigError("this source of events has no knobs; give the search itself")
        self.search.turn(**knobs)


def source_of(given, key: Hashable = None, turn: Hashable = None) -> Recorded | Followed | Driven:
    """A search (any iterable of events), a function that makes one, an EventLog, a Run or the path of its folder."""
    if isinstance(given, EventLog):
        return Recorded(given)
    if isinstance(given, Run):
        return Followed(given.path)
    if isinstance(given, (str, os.PathLike)):
        return Followed(given)
    if hasattr(given, "__iter__"):
        return Driven(given, None, key, turn)
    if callable(given):
        return Driven(None, given, key, turn)
    raise ConfigError(f"a {type(given).__name__} is nothing a studio can show; give a search, an EventLog, a run or its folder")
