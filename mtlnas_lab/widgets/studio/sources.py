"""Where a studio's events come from: a search driven here, a run folder that somebody else writes, or a finished log.

All three have `log`, `poll() -> bool` (is there anything new?), `mode`, `message`, `can`, `turn`, `knobs` and `asked`; a viewer
needs no more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ...core.events import Checkpoint, Event, Recovered, Resumed, Started
from ...core.space import SearchSpace
from ...errors import ConfigError, MTLNASError
from ...runs.event_file import Tail
from ...runs.event_log import EventLog
from ...runs.run import Run
from .runner import NO_CELL, Cell, SearchRunner

# The knobs that a page shows.
KNOBS = (
    "entropy_weight",
    "temperature",
    "l1_weight",
    "alpha_lr",
    "alpha_gates",
    "weight_gates",
    "visibility",
)

# A long log is read in pieces, so that a page soon shows its beginning.
PIECE = 2**19  # bytes that are read at a time
SLICE = 0.15  # seconds of reading before what was read is shown

# Two steps later a knob was used in other words, or refused elsewhere.
STEPS_UNTIL_USED = 2
TURNED_LOOKED_AT = 50  # the latest changes of knobs: what was asked earlier is long used


class Source:
    """What the three have in common: knobs that a person turns and that show as asked until a step tells of them."""

    log: EventLog
    lab: object = None  # with the data that its networks see, where it is at hand
    ended: Callable[[], object] | None = None  # called when the search ends or is stopped
    _asked: tuple[tuple[int, dict], ...] = ()  # the step at which it was asked, and what

    def turn(self, **knobs) -> None:
        """Change knobs from the next step on. Raises MTLNASError for what cannot be."""
        self._turn(knobs)
        self._remember(self._last_step(), knobs)

    def _turn(self, knobs: dict) -> None:
        raise NotImplementedError

    def _remember(self, step: int, knobs: dict) -> None:
        self._asked = (*self._asked, (step, knobs))

    def _last_step(self) -> int:
        steps = self.log.steps
        if not steps:
            return 0
        return steps[-1].step

    def asked(self) -> list[dict]:
        """Knobs that were turned and that no step has used yet, the oldest first."""
        if not self._asked:  # asked ten times a second, and mostly there is nothing
            return []
        self._asked = tuple(one for one in self._asked if self._is_due(*one))
        return [knobs for _, knobs in self._asked]

    def _is_due(self, step: int, knobs: dict) -> bool:
        """Whether no step can have used yet what was asked at `step`."""
        if self._last_step() >= step + STEPS_UNTIL_USED:
            return False
        for event in self.log.turned[-TURNED_LOOKED_AT:]:
            if event.step > step and event.knobs == knobs:
                return False
        return True

    def knobs(self) -> dict:
        """The knobs of the next step, where the source knows more than its log."""
        return {}


class RecordedRun(Source):
    """A log that stays as it is."""

    mode = "recorded"
    message = ""
    can = ()
    alive = False
    reading = False
    space = None

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

    space = None  # the log says it

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.message = ""
        self.reading = False
        self._tail = Tail(self.path / "events.jsonl")

    @property
    def log(self) -> EventLog:
        return self._tail.log

    @property
    def can(self) -> tuple[str, ...]:
        if self.mode in ("waiting", "followed"):
            return ("turn",)
        return ()

    @property
    def alive(self) -> bool:
        return self.mode not in ("finished", "failed")

    @property
    def mode(self) -> str:
        log = self.log
        if self.reading:
            return "reading"
        if not log.events:
            return "waiting"
        if log.events[-1] is log.failed:
            return "failed"
        if log.finished:
            return "finished"
        return "followed"

    def poll(self) -> bool:
        before = (self.message, self.reading)
        new = False
        try:
            for piece_has_events in self._pieces():
                new |= piece_has_events
            self.message = self._notice()
        except MTLNASError as error:
            self.reading = False
            self.message = str(error)
        return new or (self.message, self.reading) != before

    def _pieces(self) -> Iterator[bool]:
        """Reads what was written since, for a short while at most. Gives for each piece whether an event ends in it."""
        self.reading = True
        end = time.monotonic() + SLICE
        while self.reading and time.monotonic() < end:
            at = self._tail.size
            yield bool(self._tail.poll(PIECE))
            self.reading = self._tail.size - at >= PIECE

    def _notice(self) -> str:
        if self.log.problems:
            return self.log.problems[-1]
        if not self.log.events:
            return f"waiting for the first event of {self.path.name}"
        return ""

    def _turn(self, knobs: dict) -> None:
        Run.request(self.path, **knobs)


class LiveSource(Source):
    """A search that runs in this process.

    Args:
        search: the search; None: what `make` makes.
        make: a function that makes a fresh search; then the source can be reset.
        cell: the cell of the notebook that it is of (see SearchRunner.start).
    """

    reading = False

    def __init__(self, search=None, make: Callable | None = None, cell: Cell = NO_CELL):
        if search is None:
            search = make()
        self.make = make
        self.search = search
        self.log = log_so_far(search)
        self.runner: SearchRunner | None = None
        self._cell = cell
        self._problem = ""  # of the latest event that the log would not take
        self._shown = ""  # the message at the last `poll`
        self._lock = threading.Lock()  # events are put into the log of their own search

    @property
    def lab(self) -> object:
        return getattr(self.search, "lab", None)

    @property
    def alive(self) -> bool:
        return self.runner is not None and self.runner.alive

    @property
    def mode(self) -> str:
        if self.alive:
            return self.runner.mode
        if self.runner is None:
            failed = self._log_failed
            over = self._log_finished
            otherwise = "ready"
        else:
            failed = bool(self.runner.error)
            over = self.runner.over or self._log_finished
            otherwise = "stopped"
        if failed:
            return "failed"
        if over:
            return "finished"
        return otherwise

    @property
    def _log_failed(self) -> bool:
        return self.log.failed is not None and self.log.events[-1] is self.log.failed

    @property
    def _log_finished(self) -> bool:
        """Whether the end that the log tells of is behind its last step: a search can go on after one."""
        finished = self.log.finished
        return finished is not None and finished.step >= self._last_step()

    @property
    def can(self) -> tuple[str, ...]:
        mode = self.mode
        stands = mode in ("ready", "paused", "stopped")
        runs = mode == "running"
        can_turn = hasattr(self.search, "turn") and mode != "finished"
        able = {
            "turn": can_turn,
            "score": self._can_score(mode),
            "branch": hasattr(self.search, "branch"),
            "reset": self.make is not None,
            "run": stands,
            "pause": runs,
            "step": stands,
            "stop": runs or mode == "paused",
        }
        return tuple(name for name, can in able.items() if can)

    def _can_score(self, mode: str) -> bool:
        return hasattr(self.search, "score_now") and mode != "failed" and bool(self.log.steps)

    @property
    def message(self) -> str:
        runner = self.runner
        if runner is not None and (runner.error or runner.refused):
            return runner.error or runner.refused
        if self._log_failed:
            return self.log.failed.message
        return self._problem

    def poll(self) -> bool:
        with self._lock:
            events = []
            if self.runner is not None:
                events = self.runner.new_events()
            for event in events:
                try:
                    self.add(event)
                except MTLNASError as error:
                    self._problem = str(error)
            before = self._shown
            self._shown = self.message
            return bool(events) or self._shown != before

    def add(self, event: Event) -> None:
        """Into the log. A search that goes on (or branches) says no `Started` again; then its own space stands for it."""
        if not self.log.events and not isinstance(event, Started):
            space = self.space
            if space is not None:
                self.log.append(self._started(space))
        self.log.append(event)

    def _started(self, space: SearchSpace) -> Started:
        config = getattr(self.search, "config", None)
        settings = {}
        if hasattr(config, "to_json"):
            settings = config.to_json()
        turned = getattr(self.search, "knobs", {})
        if (
            isinstance(turned, Mapping) and "visibility" in turned
        ):  # before anybody looked: no event of this log says it
            settings = settings | {"visibility": turned["visibility"]}
        return Started(settings, space.to_json(), {}, "", 0)

    def knobs(self) -> dict:
        """The knobs as they will be in the next step, of a search that says it (`search.current(knob)`)."""
        current = getattr(self.search, "current", None)
        if current is None:
            return {}
        return {name: current(name) for name in KNOBS}

    @property
    def planned_steps(self) -> int:
        """How many steps the search is to take, as its settings say; 0 where they do not."""
        return getattr(getattr(self.search, "config", None), "steps", 0)

    def checkpoints(self) -> list[int]:
        """The steps from which it can branch."""
        known = getattr(self.search, "checkpoints", None)
        if known is not None:
            return known()
        return sorted({event.step for event in self.log.of(Checkpoint)})

    def branch(self, step: int, **knobs) -> LiveSource:
        """A search from the checkpoint of `step` under other knobs; its log begins with what had happened until then."""
        if not hasattr(self.search, "branch"):
            raise ConfigError(
                "this source cannot branch; give a search that is recorded in a run folder with checkpoints"
            )
        made = LiveSource(self.search.branch(step, **knobs), cell=self._cell)
        for event in list(self.log.events):
            # The checkpoints lie in the folder of this search, and the branch has no folder.
            if getattr(event, "step", 0) <= step and not isinstance(event, Checkpoint):
                made.log.append(event)
        if knobs:
            made._remember(step, knobs)
        return made

    @property
    def space(self) -> SearchSpace | None:
        """The space of a search that has not begun, where it says it: `search.space` or `search.lab.space`."""
        space = getattr(self.search, "space", None)
        if not space:
            space = getattr(getattr(self.search, "lab", None), "space", None)
        if isinstance(space, SearchSpace) and len(space):
            return space
        return None

    def start(self, running: bool = True) -> None:
        """Begin, or go on after a stop. running: False begins in a pause."""
        if not self.alive:
            self.runner = SearchRunner(self.search, running, self._search_ended)
            self.runner.start(self._cell)
        elif running:
            self.runner.run()

    def _search_ended(self) -> None:
        if self.ended is not None:
            self.ended()

    def pause(self) -> None:
        if self.alive:
            self.runner.pause()

    def step(self, count: int = 1) -> None:
        """Take `count` steps and pause."""
        if not self.alive:
            self.start(running=False)
        self.runner.step(count)

    def stop(self) -> None:
        """Stop after the step that is under way, and wait for it."""
        if self.alive:
            self.runner.stop()

    def leave(self) -> None:
        """Stop after the step that is under way, for which nobody waits."""
        if self.alive:
            self.runner.request_stop()

    def reset(self) -> None:
        """Throw the search away and make a fresh one."""
        if self.make is None:
            raise ConfigError(
                "this search was given as it is; to be able to reset, give a function that makes one"
            )
        self.stop()
        search = self.make()
        log = log_so_far(search)
        with self._lock:  # a viewer may still be putting events into the old log
            self.search = search
            self.log = log
            self.runner = None
            self._problem = ""
            self._asked = ()

    def score(self) -> None:
        """What the network is worth with its gates cut now; afterwards a search that stood still does so again."""
        if not hasattr(self.search, "score_now"):
            raise ConfigError(
                "this source of events has no score_now, so nothing says what it is worth"
            )
        stood_still = not self.alive
        if stood_still:
            self.start(running=False)
        self.runner.between_steps(self.search.score_now)
        if stood_still:
            self.runner.between_steps(self.runner.request_stop)

    def _turn(self, knobs: dict) -> None:
        if not hasattr(self.search, "turn"):
            raise ConfigError("this source of events has no knobs; give the search itself")
        self.search.turn(**knobs)


def log_so_far(search) -> EventLog:
    """What has happened to a search that is kept in a folder, until the newest checkpoint, from which it will go on."""
    log = EventLog()
    path = getattr(getattr(search, "folder", None), "path", None)
    if path is None:
        return log
    try:
        run = Run.open(path)  # the search's own one belongs to the thread that writes it
        kept = run.log
        checkpoints = run.checkpoints()
    except MTLNASError:  # the search itself will say it
        return log
    until = 0
    if checkpoints:
        last = checkpoints[-1]
        over = kept.finished is not None and last.step == kept.finished.step
        until = kept.seqs[-1] if over else last.seq
    for event, seq in zip(list(kept.events), kept.seqs):
        if seq <= until and not isinstance(event, (Resumed, Recovered)):
            log.append(event)
    return log


def source_of(given, cell: Cell = NO_CELL) -> RecordedRun | FollowedRun | LiveSource:
    """The source of what a studio was given: a search, a function that makes one, an EventLog, a Run or its folder."""
    if isinstance(given, Source):
        return given
    if isinstance(given, EventLog):
        return RecordedRun(given)
    if isinstance(given, Run):
        return FollowedRun(given.path)
    if isinstance(given, (str, os.PathLike)):
        return FollowedRun(given)
    if hasattr(given, "__iter__"):  # any iterable of events is a search
        return LiveSource(given, cell=cell)
    if callable(given):
        return LiveSource(make=given, cell=cell)
    raise ConfigError(
        f"a {type(given).__name__} is nothing a studio can show; give a search, an EventLog, a run or its folder"
    )
