"""What every fault campaign needs: a tally of what hit and what was lost, and children that may be killed.

A campaign is a function (folder, chance, quick) -> Tally: it works in an empty folder, draws from `chance`, and takes a sample
where it is to be quick.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

PATIENCE = 300  # seconds that a child may live


@dataclass
class Tally:
    """What a campaign did: faults that hit, by kind, and what was lost (a line each)."""

    hits: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def hit(self, kind: str, count: int = 1) -> None:
        self.hits[kind] = self.hits.get(kind, 0) + count

    def expect(self, good: bool, problem: str) -> None:
        if not good:
            self.lost.append(problem)

    @property
    def failed(self) -> bool:
        """A campaign that lost anything; or that hit nothing, and so has shown nothing."""
        return bool(self.lost) or not sum(self.hits.values())

    def report(self, name: str, seconds: float) -> str:
        """A line for the campaign `name`, and one for each of the first things that were lost."""
        verdict = "ok"
        if self.failed:
            verdict = "FAILED"
        parts = [f"{name:<8} {verdict:<6} {len(self.lost)} lost"]
        parts += [f"{count} {kind}" for kind, count in self.hits.items()]
        parts.append(f"{seconds:.1f} s")
        return "\n    ".join([" · ".join(parts), *self.lost[:5]])


def fork(work: Callable[[int], None]) -> tuple[int, int]:
    """(process, descriptor of what it writes): a copy of this process that does `work(descriptor)` and ends."""
    out, into = os.pipe()
    process = os.fork()
    if process:
        os.close(into)
        return process, out
    signal.alarm(PATIENCE)  # nobody stays behind
    code = 1
    try:
        os.close(out)
        work(into)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def drain(descriptor: int) -> bytes:
    """All that a process wrote, when it has ended."""
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def killed(process: int) -> bool:
    """Waits; whether a kill ended it."""
    status = os.waitpid(process, 0)[1]
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
