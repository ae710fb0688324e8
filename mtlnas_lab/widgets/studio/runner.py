"""Runs a search in a thread of its own, which obeys between two steps. Knows nothing of Jupyter.

runner = SearchRunner(search).start()
runner.pause(); runner.step(3); runner.run(); runner.stop()
runner.new_events()                              # the events since the last call
"""

from __future__ import annotations

import atexit
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from ...core.events import Event, Failed, Step
from ...errors import MTLNASError

PATIENCE = 60.0  # seconds that a new runner waits for the last step of the one it replaces
FAREWELL = 2.0  # seconds that a process which ends waits for them all: a kernel is killed after 2.5
LONGEST = 500  # characters of a message in a panel


class Cell(NamedTuple):
    """Where something was made: which cell of a notebook, and which run of that cell. None: in no cell."""

    name: Hashable = None
    run: Hashable = None

    def was_run_again(self, later: Cell) -> bool:
        """Whether `later` is another run of the same cell."""
        return self.name is not None and self.name == later.name and self.run != later.run


NO_CELL = Cell()


class SearchRunner:
    """Draws the events of `source`, any iterable of events, in one daemon thread; `new_events` hands them to a viewer.

    Every method is safe from any thread. A stop closes the iteration, which lets a source that records save itself; an
    event that it leaves in `source.left` is passed on.

    Args:
        source: the search, or any other iterable of events.
        running: False begins in a pause.
        ended: called by the thread at its end.

    Attributes:
        error: what ended the search before its time, in one line; "" for nothing.
        refused: what was asked for last and could not be done, in one line.
        over: the source has no more events.
    """

    def __init__(
        self,
        source: Iterable[Event],
        running: bool = True,
        ended: Callable[[], object] = lambda: None,
    ):
        self.source = source
        self.error = ""
        self.refused = ""
        self.over = False
        self._ended = ended
        self._running = running
        self._steps_due = 0
        self._stopped = False
        self._work_due: deque[Callable[[], object]] = deque()
        self._events: deque[Event] = deque()  # its append and popleft are atomic
        # A signal handler may come while this thread holds the lock: a Condition's own lock can be taken twice.
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._draw_events, name="search", daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def mode(self) -> str:
        """running, paused or stopped: what is wanted of the search."""
        if self._stopped:
            return "stopped"
        if self._running or self._steps_due:
            return "running"
        return "paused"

    def start(self, cell: Cell = NO_CELL) -> SearchRunner:
        """Begin.

        A runner that was started in an earlier run of the same cell, or that draws from the same source, is stopped
        first: a cell that is run again replaces its own search, not the others.
        """
        for other, its_cell in list(_STARTED.items()):
            replaced = its_cell.was_run_again(cell) or other.source is self.source
            if other.alive and replaced:
                other.stop()
            if not other.alive:
                _STARTED.pop(other, None)
        _STARTED[self] = cell
        self._thread.start()
        return self

    def run(self) -> None:
        """Take one step after the other."""
        with self._changed:
            self._running = True
            self._changed.notify_all()

    def pause(self) -> None:
        """Take no further step until `run` or `step`."""
        with self._changed:
            self._running = False
            self._steps_due = 0
            self._changed.notify_all()

    def step(self, count: int = 1) -> None:
        """Pause after `count` more steps."""
        with self._changed:
            self._running = False
            self._steps_due += count
            self._changed.notify_all()

    def between_steps(self, work: Callable[[], object]) -> None:
        """Have `work` done by the search's thread between two steps, also in a pause; an event it returns is passed on."""
        with self._changed:
            self._work_due.append(work)
            self._changed.notify_all()

    def request_stop(self) -> None:
        """End after the step that is under way, without waiting for it. The source keeps what it has learnt."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def stop(self, patience: float = PATIENCE) -> None:
        """End after the step that is under way, and wait up to `patience` seconds for that."""
        self.request_stop()
        if self._thread is not threading.current_thread() and self.alive:
            self._thread.join(patience)

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def new_events(self) -> list[Event]:
        """The events since the last call, in order. For one viewer."""
        return [self._events.popleft() for _ in range(len(self._events))]

    # --- the search's thread ------------------------------------------------------------------------------------------
    def _draw_events(self) -> None:
        try:
            events = iter(self.source)
            while self._wait_for_a_wish():
                work = self._next_work()
                if work is not None:
                    self._do(work)
                    continue
                event = next(events, None)
                if event is None:
                    self.over = True
                    break
                self._pass_on(event)
            if hasattr(events, "close"):
                events.close()
            self._pass_on(getattr(self.source, "left", None))
        except Exception as error:  # a thread has nobody to raise to: the viewer shows it
            self.error = one_line(error)
        finally:
            self.request_stop()
            self._ended()

    def _wait_for_a_wish(self) -> bool:
        """Wait until there is a step to take or work to do. False: the search is to end."""
        with self._changed:
            self._changed.wait_for(self._is_wanted)
            return not self._stopped

    def _is_wanted(self) -> bool:
        return bool(self._stopped or self._work_due or self._running or self._steps_due)

    def _next_work(self) -> Callable[[], object] | None:
        with self._changed:
            if self._work_due:
                return self._work_due.popleft()
            return None

    def _do(self, work: Callable[[], object]) -> None:
        """Work that fails harms nobody: the search goes on."""
        try:
            self.refused = ""
            self._pass_on(work())
        except Exception as error:
            self.refused = one_line(error)

    def _pass_on(self, event: object) -> None:
        if isinstance(event, Event):
            self._events.append(event)
        if isinstance(event, Step):
            self._step_was_taken()
        if isinstance(event, Failed):
            self.error = event.message

    def _step_was_taken(self) -> None:
        with self._changed:
            self._steps_due = max(self._steps_due - 1, 0)


def one_line(error: Exception) -> str:
    """An error in one line, for a panel. Only our own errors explain themselves without their name."""
    message = str(error)
    if not isinstance(error, MTLNASError):
        message = f"{type(error).__name__}: {message}"
    return message[:LONGEST]


# --- all searches of this process -------------------------------------------------------------------------------------
_STARTED: dict[SearchRunner, Cell] = {}


def stop_all() -> bool:
    """Ask every search that still runs to stop after its step, without waiting. True where there was one."""
    alive = [runner for runner in _STARTED if runner.alive]
    for runner in alive:
        runner.request_stop()
    return bool(alive)


@atexit.register
def _at_the_end() -> None:
    """A process that ends in an orderly way lets its searches finish their step and save."""
    if stop_all():
        end = time.monotonic() + FAREWELL
        for runner in _STARTED:
            runner.join(max(end - time.monotonic(), 0))


def stop_on_interrupt() -> None:
    """From now on an interrupt (Ctrl-C, the kernel's stop button) also stops the searches. For the main thread only."""
    before = signal.getsignal(signal.SIGINT)
    if getattr(before, "stops_searches", False):
        return  # a second studio must not wrap the handler of the first
    if threading.current_thread() is not threading.main_thread():
        return

    def interrupted(number, frame):
        if not stop_all() and callable(before):
            before(number, frame)

    interrupted.stops_searches = True
    signal.signal(signal.SIGINT, interrupted)
