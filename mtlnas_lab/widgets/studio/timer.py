"""The thread that makes the frames of a view, at a steady rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

REST = 0.2  # the least share of the time between two frames that is left to the search


class FrameTimer:
    """Calls `make_frame` in a daemon thread, again and again.

    Args:
        make_frame: makes one frame. Returns the seconds until the next call; 0 ends the thread.
    """

    def __init__(self, make_frame: Callable[[], float]):
        self._make_frame = make_frame
        self._stopped = False
        self._requested = threading.Event()
        self._thread = threading.Thread(target=self._work, name="view", daemon=True)

    def start(self) -> FrameTimer:
        self._thread.start()
        return self

    def request_now(self) -> None:
        """Have the next frame made at once; the ones after it keep their rate from there."""
        self._requested.set()

    def stop(self) -> None:
        """Make no further frame. Does not wait for the one that is being made."""
        self._stopped = True
        self._requested.set()

    def join(self, timeout: float | None = None) -> None:
        # A frame may close its own studio; a thread cannot wait for itself.
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _work(self) -> None:
        due = time.monotonic()
        while not self._stopped:
            pause = self._make_frame()
            if not pause:
                return
            # After a slow frame the rate falls: frames that were missed are not made up for.
            due = max(due + pause, time.monotonic() + REST * pause)
            if self._requested.wait(max(due - time.monotonic(), 0)):
                self._requested.clear()
                due = time.monotonic()
