"""Runs a search in a thread of its own, between steps obedient to whoever holds the controls. Knows no Jupyter.

driver = SearchRunner(search).start()
driver.controls.run(); driver.controls.pause(); driver.controls.step(); driver.controls.stop()
driver.take()                                    # the events since the last call
"""

from __future__ import annotations

import atexit
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable

from ...core.events import Event, Failed, Step
from ...errors import MTLNASError

PATIENCE = 60.0  # seconds that a new driver waits for the last step of the one it replaces


FAREWELL = 2.0  # seconds that a process which ends waits for them all: a kernel is killed after 2.5


class Controls:
    """What the person wants of a search; every method is safe from any thread and from signal handlers."""

    def __init__(self, running: bool = False):
        self._changed = (
            threading.Condition()
        )  # its lock may be taken again by the thread that holds it
        self._running, self._due, self._stopped, self._asked = running, 0, False, deque()

    @property
    def mode(self) -> str:
        """running, paused or stopped."""
        return "stopped" if self._stopped else "running" if self._running or self._due else "paused"

    def run(self) -> None:
        self._set(running=True)

    def pause(self) -> None:
        self._set(running=False, due=0)

    def step(self, count: int = 1) -> None:
        """Pause after `count` more steps."""
        with self._changed:
            self._set(running=False, due=self._due + count)

    def stop(self) -> None:
        self._set(stopped=True)

    def ask(self, work: Callable[[], object]) -> None:
        """Have `work` done by the search's thread between two steps, also in a pause; an event it returns is passed on."""
        with self._changed:
            self._asked.append(work)
            self._changed.notify_all()

    def _set(
        self, running: bool | None = None, due: int | None = None, stopped: bool = False
    ) -> None:
        with self._changed:
            self._running = self._running if running is None else running
            self._due = self._due if due is None else due
            self._stopped |= stopped
            self._changed.notify_all()

    def wait(self) -> Callable[[], object] | bool:
        """Waits until there is something to do: work that was asked for, True for a step, False for the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or self._asked or self._running or self._due
            )
            if self._stopped:
                return False
            return self._asked.popleft() if self._asked else True

    def done(self) -> None:
        """One step was taken."""
        with self._changed:
            self._due = max(self._due - 1, 0)


class SearchRunner:
    """Draws the events of `source`, any iterable of events, in one daemon thread; `take` hands them to a viewer.

    A stop closes the iteration, which lets a source that records save itself; an event it leaves in `source.left` is passed on.
    error: what ended the search before its time, in one line. refused: what was asked for and could not be done.
    over: the source has no more events. ended: called by its thread at the end.
    """

    def __init__(
        self,
        source: Iterable[Event],
        running: bool = True,
        ended: Callable[[], object] = lambda: None,
    ):
        self._ended = ended
        self.source, self.controls, self.error, self.refused, self.over = (
            source,
            Controls(running),
            "",
            "",
            False,
        )
        self._events: deque[Event] = deque()  # its append and popleft are atomic
        self._thread = threading.Thread(target=self._work, name="search", daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self, key: Hashable = None, turn: Hashable = None) -> SearchRunner:
        """Begins. A driver that was started before under the same `key` in another `turn`, or that draws from the same
        source, is stopped first: a cell that is run again replaces its own search, not the others."""
        for other, (its_key, its_turn) in list(_STARTED.items()):
            same_cell = key is not None and its_key == key and its_turn != turn
            if other.alive and (same_cell or other.source is self.source):
                other.stop()
            if not other.alive:
                _STARTED.pop(other, None)
        _STARTED[self] = key, turn
        self._thread.start()
        return self

    def stop(self, patience: float = PATIENCE) -> None:
        """Ends after the step that is under way, and waits for that. The source keeps what it has learnt."""
        self.controls.stop()
        if self._thread is not threading.current_thread() and self.alive:
            self._thread.join(patience)

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def take(self) -> list[Event]:
        """The events since the last call, in order. For one viewer."""
        return [self._events.popleft() for _ in range(len(self._events))]

    def _work(self) -> None:
        try:
            events = iter(self.source)
            while wanted := self.controls.wait():
                if wanted is not True:
                    self._answer(wanted)
                elif (event := next(events, None)) is None:
                    self.over = True
                    break
                else:
                    self._pass_on(event)
            if hasattr(events, "close"):
                events.close()
            self._pass_on(getattr(self.source, "left", None))
        except Exception as error:  # a thread has nobody to raise to: the viewer shows it
            self.error = told(error)
        finally:
            self.controls.stop()
            self._ended()

    def _answer(self, work: Callable[[], object]) -> None:
        """Work that fails harms nobody: the search goes on."""
        try:
            self.refused = ""
            self._pass_on(work())
        except Exception as error:
            self.refused = told(error)

    def _pass_on(self, event: object) -> None:
        if isinstance(event, Event):
            self._events.append(event)
        if isinstance(event, Step):
            self.controls.done()
        if isinstance(event, Failed):
            self.error = event.message


def told(error: Exception) -> str:
    """An error in one line, for a panel."""
    return str(error) if isinstance(error, MTLNASError) else f"{type(error).__name__}: {error}"


class Pulse:
    """Calls `beat` in a daemon thread, which gives the seconds to the next call, until that is 0 or `stop` is called;
    after `hurry` the next call comes at once.

    lull: gives the event that a search sets when it leaves the interpreter alone; a beat is held back for it, by at most
    half that time, for two threads that want the interpreter at once wait for each other.
    """

    def __init__(
        self, beat: Callable[[], float], lull: Callable[[], threading.Event | None] = lambda: None
    ):
        self._beat, self._lull, self._over, self._hurry, self._held = (
            beat,
            lull,
            False,
            threading.Event(),
            None,
        )
        self._thread = threading.Thread(target=self._work, name="view", daemon=True)

    def start(self) -> Pulse:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._over = True
        self.hurry()

    def hurry(self) -> None:
        self._hurry.set()
        if (
            held := self._held
        ):  # the lull that it may be waiting for: a search in a pause names none
            held.set()

    def join(self, timeout: float | None = None) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _work(self) -> None:
        due = time.monotonic()
        while not self._over and (pause := self._beat()):
            due = max(due + pause, time.monotonic() + 0.2 * pause)
            self._held = lull = self._lull()
            self._hurry.wait(max(due - (0.25 * pause if lull else 0) - time.monotonic(), 0))
            if lull:
                lull.clear()
            if (
                lull and not self._hurry.is_set()
            ):  # asked behind `clear`: who hurries sets the lull last
                lull.wait(max(due + 0.5 * pause - time.monotonic(), 0))
            if self._hurry.is_set():
                due = time.monotonic()
                self._hurry.clear()


_STARTED: dict[SearchRunner, tuple[Hashable, Hashable]] = {}


def stop_all() -> bool:
    """Asks every search that still runs to stop after its step, without waiting. True where there was one."""
    alive = [driver for driver in _STARTED if driver.alive]
    for driver in alive:
        driver.controls.stop()
    return bool(alive)


@atexit.register
def _at_the_end() -> None:
    """A process that ends in an orderly way lets its searches finish their step and save."""
    if stop_all():
        end = time.monotonic() + FAREWELL
        for driver in _STARTED:
            driver.join(max(end - time.monotonic(), 0))


def stop_on_interrupt() -> None:
    """From now on an interrupt (Ctrl-C, the kernel's stop button) also stops the searches. For the main thread only."""
    before = signal.getsignal(signal.SIGINT)
    if (
        getattr(before, "stops_searches", False)
        or threading.current_thread() is not threading.main_thread()
    ):
        return

    def interrupted(number, frame):
        if not stop_all() and callable(before):
            before(number, frame)

    interrupted.stops_searches = True
    signal.signal(signal.SIGINT, interrupted)
