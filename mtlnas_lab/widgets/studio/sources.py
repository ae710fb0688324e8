"""Where a studio's events come from: a search driven here, a run folder that somebody else writes, or a finished log.

All three have `log`, `poll() -> bool` (is there anything new?), `mode`, `message`, `can`, `turn`, `knobs` and `asked`; a viewer
needs no more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path

from ...core.events import Checkpoint, Event, Recovered, Resumed, Started
from ...core.space import SearchSpace
from ...errors import ConfigError, MTLNASError
from ...runs.event_file import Tail
from ...runs.event_log import EventLog
from ...runs.run import Run
from .runner import SearchRunner

KNOBS = (
    "entropy_weight",
    "temperature",
    "l1_weight",
    "alpha_lr",
    "alpha_gates",
    "weight_gates",
)  # that are shown


PIECE, SLICE = (
    2**19,
    0.15,
)  # of a long log: bytes that are read at a time, and seconds before what was read is shown


class Source:
    """What the three have in common: knobs that a person turns and that show as asked until a step tells of them."""

    _asked: list[tuple[int, dict]] = []  # the step at which it was asked, and what

    def turn(self, **knobs) -> None:
        """From the next step on. Raises MTLNASError for what cannot be."""
        self._turn(knobs)
        self._note(self.log.steps[-1].step if self.log.steps else 0, knobs)

    def _note(self, step: int, knobs: dict) -> None:
        self._asked = [*self._asked, (step, knobs)]

    def asked(self) -> list[dict]:
        """Knobs that were turned and that no step has used yet, the oldest first."""
        last = self.log.steps[-1].step if self._asked and self.log.steps else 0
        self._asked = [
            (step, knobs)
            for step, knobs in self._asked
            if last < step + 2
            and not any(
                event.step > step and event.knobs == knobs for event in self.log.turned[-50:]
            )
        ]
        return [
            knobs for _, knobs in self._asked
        ]  # two steps later it was used in other words, or refused elsewhere

    def knobs(self) -> dict:
        """The knobs of the next step, where the source knows more than its log."""
        return {}


class RecordedRun(Source):
    """A log that stays as it is."""

    mode, message, can, alive, space, reading, lull = "recorded", "", (), False, None, False, None

    def __init__(self, log: EventLog):
        self.log = log

    def poll(self) -> bool:
        return False

    def _turn(self, knobs: dict) -> None:
        raise ConfigError(
            "this search was recorded, so its knobs stay as they were; branch from it, or start one of your own"
        )


class FollowedRun(Source):
    """A run folder, as another process writes it; knobs reach that process through the folder.

    reading: `poll` has not come to the end of the log yet, which for a long one takes several calls.
    """

    space = lull = None

    def __init__(self, path: str | os.PathLike):
        self.path, self.message, self.reading = Path(path), "", False
        self._tail = Tail(self.path / "events.jsonl")

    log = property(lambda self: self._tail.log)
    can = property(lambda self: ("turn",) if self.mode in ("waiting", "followed") else ())
    alive = property(lambda self: self.mode not in ("finished", "failed"))

    @property
    def mode(self) -> str:
        log = self.log
        if self.reading:
            return "reading"
        if not log.events:
            return "waiting"
        return (
            "failed" if log.events[-1] is log.failed else "finished" if log.finished else "followed"
        )

    def poll(self) -> bool:
        before, new, end = (self.message, self.reading), False, time.monotonic() + SLICE
        try:
            self.reading, self.message = True, ""
            while self.reading and time.monotonic() < end:
                at = self._tail.size
                new |= bool(self._tail.poll(PIECE))
                self.reading = self._tail.size - at >= PIECE
            if self._tail.log.problems:
                self.message = self._tail.log.problems[-1]
            elif not self.log.events:
                self.message = f"waiting for the first event of {self.path.name}"
        except MTLNASError as error:
            self.reading, self.message = False, str(error)
        return new or (self.message, self.reading) != before

    def _turn(self, knobs: dict) -> None:
        Run.request(self.path, **knobs)


class LiveSource(Source):
    """A search that runs in this process. `make`: a function that gives a fresh one; then it can be reset.

    key, turn: the cell that it is of, and which run of that cell (see SearchRunner.start).
    """

    reading, _shown = False, ""
    ended: Callable[[], object] = staticmethod(
        lambda: None
    )  # called when the search ends or is stopped

    def __init__(
        self, search=None, make: Callable | None = None, key: Hashable = None, turn: Hashable = None
    ):
        self.make, self.search = make, make() if search is None else search
        self.log, self.driver, self._odd, self._key = _begun(self.search), None, "", (key, turn)
        self._lock = threading.Lock()  # events are put into the log of their own search

    @property
    def alive(self) -> bool:
        return self.driver is not None and self.driver.alive

    @property
    def mode(self) -> str:
        if self.alive:
            return self.driver.controls.mode
        over = self.log.finished and self.log.finished.step >= (
            self.log.steps[-1].step if self.log.steps else 0
        )
        if self.driver is None:
            return "failed" if self._failed else "finished" if over else "ready"
        return (
            "failed" if self.driver.error else "finished" if self.driver.over or over else "stopped"
        )

    @property
    def can(self) -> tuple[str, ...]:
        able = {
            "turn": hasattr(self.search, "turn") and self.mode != "finished",
            "score": hasattr(self.search, "score_now")
            and self.mode != "failed"
            and bool(self.log.steps),
            "branch": hasattr(self.search, "branch"),
            "reset": self.make is not None,
            "run": self.mode in ("ready", "paused", "stopped"),
            "pause": self.mode == "running",
            "step": self.mode in ("ready", "paused", "stopped"),
            "stop": self.mode in ("running", "paused"),
        }
        return tuple(name for name, can in able.items() if can)

    @property
    def _failed(self) -> bool:
        return self.log.failed is not None and self.log.events[-1] is self.log.failed

    @property
    def message(self) -> str:
        driver = self.driver
        return (
            driver
            and (driver.error or driver.refused)
            or (self.log.failed.message if self._failed else self._odd)
        )

    def poll(self) -> bool:
        with self._lock:
            events, before = self.driver.take() if self.driver else [], self._shown
            for event in events:
                try:
                    self.add(event)
                except MTLNASError as error:
                    self._odd = str(error)
            self._shown = self.message
            return bool(events) or self._shown != before

    @property
    def lull(self) -> threading.Event | None:
        """While it runs: what the search sets when it leaves the interpreter to others, where it says that."""
        return getattr(self.search, "lull", None) if self.mode == "running" else None

    def add(self, event: Event) -> None:
        """Into the log. A search that goes on (or branches) says no `Started` again; then its own space stands for it."""
        if not self.log.events and not isinstance(event, Started) and (space := self.space):
            self.log.append(self._begin(space))
        self.log.append(event)

    def _begin(self, space: SearchSpace) -> Started:
        config = getattr(self.search, "config", None)
        return Started(
            config.to_json() if hasattr(config, "to_json") else {}, space.to_json(), {}, "", 0
        )

    def knobs(self) -> dict:
        """The knobs as they will be in the next step, of a search that says it (`search.current(knob)`)."""
        current = getattr(self.search, "current", None)
        return {name: current(name) for name in KNOBS} if current else {}

    def checkpoints(self) -> list[int]:
        """The steps from which it can branch."""
        there = getattr(self.search, "checkpoints", None)
        return there() if there else sorted({event.step for event in self.log.of(Checkpoint)})

    def branch(self, step: int, **knobs) -> LiveSource:
        """A search from the checkpoint of `step` under other knobs; its log begins with what had happened until then."""
        if not hasattr(self.search, "branch"):
            raise ConfigError(
                "this source cannot branch; give a search that is recorded in a run folder with checkpoints"
            )
        made = LiveSource(self.search.branch(step, **knobs), None, *self._key)
        for event in list(self.log.events):
            if getattr(event, "step", 0) <= step and not isinstance(event, Checkpoint):
                made.log.append(event)
        if knobs:
            made._note(step, knobs)
        return made

    @property
    def space(self) -> SearchSpace | None:
        """The space of a search that has not begun, where it says it: `search.space` or `search.lab.space`."""
        space = getattr(self.search, "space", None) or getattr(
            getattr(self.search, "lab", None), "space", None
        )
        return space if isinstance(space, SearchSpace) and len(space) else None

    def start(self, running: bool = True) -> None:
        """Begins, or goes on after a stop."""
        if not self.alive:
            self.driver = SearchRunner(self.search, running, lambda: self.ended())
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

    def leave(self) -> None:
        """A stop after the step that is under way, for which nobody waits."""
        if self.alive:
            self.driver.controls.stop()

    def reset(self) -> None:
        if self.make is None:
            raise ConfigError(
                "this search was given as it is; to be able to reset, give a function that makes one"
            )
        self.stop()
        made = self.make()
        with self._lock:
            self.search, self.log, self.driver, self._odd, self._asked = (
                made,
                _begun(made),
                None,
                "",
                [],
            )

    def score(self) -> None:
        """What the network is worth with its gates cut now; afterwards a search that stood still does so again."""
        if not hasattr(self.search, "score_now"):
            raise ConfigError(
                "this source of events has no score_now, so nothing says what it is worth"
            )
        if asleep := not self.alive:
            self.start(running=False)
        self.driver.controls.ask(self.search.score_now)
        if asleep:
            self.driver.controls.ask(self.driver.controls.stop)

    def _turn(self, knobs: dict) -> None:
        if not hasattr(self.search, "turn"):
            raise ConfigError("this source of events has no knobs; give the search itself")
        self.search.turn(**knobs)


def _begun(search) -> EventLog:
    """What has happened to a search that is kept in a folder, until the newest checkpoint, from which it will go on."""
    log, path = EventLog(), getattr(getattr(search, "folder", None), "path", None)
    if path is None:
        return log
    try:
        run = Run.open(path)  # the search's own one belongs to the thread that writes it
        kept, points = run.log, run.checkpoints()
    except MTLNASError:  # the search itself will say it
        return log
    over = kept.finished and points and points[-1].step == kept.finished.step
    until = kept.seqs[-1] if over else points[-1].seq if points else 0
    for event, seq in zip(list(kept.events), kept.seqs):
        if seq <= until and not isinstance(event, (Resumed, Recovered)):
            log.append(event)
    return log


def source_of(
    given, key: Hashable = None, turn: Hashable = None
) -> RecordedRun | FollowedRun | LiveSource:
    """A search (any iterable of events), a function that makes one, an EventLog, a Run or the path of its folder."""
    if isinstance(given, (RecordedRun, FollowedRun, LiveSource)):
        return given
    if isinstance(given, EventLog):
        return RecordedRun(given)
    if isinstance(given, Run):
        return FollowedRun(given.path)
    if isinstance(given, (str, os.PathLike)):
        return FollowedRun(given)
    if hasattr(given, "__iter__"):
        return LiveSource(given, None, key, turn)
    if callable(given):
        return LiveSource(None, given, key, turn)
    raise ConfigError(
        f"a {type(given).__name__} is nothing a studio can show; give a search, an EventLog, a run or its folder"
    )
