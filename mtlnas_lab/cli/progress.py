"""What a terminal shows of a search: its progress, and Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..core.events import Step
from ..one_line import printable

ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end: Ctrl-C, SIGTERM (Slurm, systemd, kill), SIGHUP (a terminal that is closed)."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number  # the exit code that shells know


def stop_at_once(number: int, frame=None) -> None:
    """As a signal's handler: what holds files and processes tidies up, and the program ends."""
    raise Stopped(number)


@contextmanager
def handling(numbers: Sequence[int], act: Callable) -> Iterator[None]:
    """Lets `act` handle these signals; one that the caller ignores (nohup) stays ignored, but for Ctrl-C."""
    before = {}
    if threading.current_thread() is threading.main_thread():  # elsewhere no handler can be set
        for number in numbers:
            if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, act)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is None:  # it was not set from Python
                handler = signal.SIG_DFL
            signal.signal(number, handler)


class interruptible:
    """Ctrl-C, SIGTERM or SIGHUP once: stop after this step. Ctrl-C twice: at once. Gives the list of signals that came."""

    def __enter__(self) -> list[int]:
        self.hits: list[int] = []
        self.handled = handling((signal.SIGINT, *ENDINGS), self._hit)
        self.handled.__enter__()
        return self.hits

    def _hit(self, number: int, frame=None) -> None:
        if self.hits and number == signal.SIGINT:
            raise Stopped(number)
        self.hits.append(number)

    def __exit__(self, *error) -> None:
        self.handled.__exit__(*error)


class Progress:
    """A bar for each piece of work: losses, entropy, edges kept, time left."""

    def __init__(self, stopped: list, silent: bool = False):
        self.stopped = stopped
        self.silent = silent
        self.bar = None
        self.name = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.close()

    def __call__(self, name, search, event) -> None:
        from tqdm import tqdm

        if name != self.name:
            self.__exit__()
            self.name = name
            self.bar = tqdm(
                desc=printable(name),
                total=search.config.steps,
                initial=max(0, search.step_number - 1),
                unit="step",
                mininterval=0.5,
                dynamic_ncols=True,
                disable=self.silent,
            )
        if isinstance(event, Step):
            shown = {printable(task): f"{value:.3f}" for task, value in event.loss.items()}
            if search.fixed_gates is None:
                shown |= {
                    "entropy": f"{event.entropy_fraction:.2f}",
                    "edges": sum(a > 0 for a in event.alpha),
                }
            self.bar.set_postfix(shown, refresh=False)
            self.bar.update(event.step - self.bar.n)
        if self.stopped:
            raise Stopped(self.stopped[0])

    def through(self, name: str, items, unit: str, count: int | None = None):
        """`items`, one after the other, under a bar of their own; Ctrl-C ends it between two. `count`: how many, where they
        have no length."""
        from tqdm import tqdm

        for item in tqdm(
            items,
            desc=printable(name),
            total=count,
            unit=unit,
            mininterval=0.5,
            dynamic_ncols=True,
        ):
            yield item
            if self.stopped:
                raise Stopped(self.stopped[0])
