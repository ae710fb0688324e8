"""How many cores this process may use, and how many processes share the work.

The cores are what the machine has, less what the system, a container or a queue took away.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import ConfigError

QUEUES = ("SLURM_CPUS_PER_TASK", "NSLOTS", "PBS_NUM_PPN")  # what Slurm, Grid Engine, PBS grant


def usable_cores(system: Path = Path("/")) -> int:
    """The cores that this process may use, 1 or more: by its affinity, its control group and its job in a queue.

    system: the folder in which proc/ and sys/ lie.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not Linux
        allowed = os.cpu_count() or 1
    limits = [allowed, *(_number(name) for name in QUEUES), *_control_groups(system)]
    return max(1, min(limit for limit in limits if limit is not None))


def default_threads() -> int:
    """Threads of the CPU for one search: what OMP_NUM_THREADS says, else all usable cores but one, which stays free.

    Processes that torchrun started share the cores; the OMP_NUM_THREADS=1 that it sets by itself does not count.
    """
    cores = usable_cores()
    started = _number("LOCAL_WORLD_SIZE") or 1
    asked = _number("OMP_NUM_THREADS")
    if asked is not None and not (asked == 1 and started > 1):
        return min(asked, cores)
    return max(1, (cores - 1) // started)


def processes(name: str) -> int:
    """The number of processes that torchrun says in the environment; 1 where it did not start this one.

    Args:
        name: WORLD_SIZE, of all processes, or LOCAL_WORLD_SIZE, of those on this machine.

    Raises:
        ConfigError: for a variable that is not a number from 1 up.
    """
    text = os.environ.get(name, "").strip() or "1"
    if not re.fullmatch("[1-9][0-9]{0,7}", text):
        raise ConfigError(
            f"{name}={text} in the environment: torchrun sets the number of processes there, from 1; unset it"
        )
    return int(text)


def _number(name: str) -> int | None:
    """A variable of the environment that is a number from 1 up, as in "4" or "4,2"; None where it is not."""
    text = os.environ.get(name, "").partition(",")[0].strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return int(text) or None


def _control_groups(system: Path) -> list[int]:
    """What the process's control group and those above it allow, in whole cores."""
    limits = []
    for line in _text(system / "proc/self/cgroup").splitlines()[:50]:
        _, _, rest = line.partition(":")
        controllers, _, inside = rest.partition(":")
        base = system / "sys/fs/cgroup"
        if controllers:  # version 1 has a tree for each controller
            if "cpu" not in controllers.split(","):
                continue
            base /= "cpu"
        place = base / inside.lstrip("/")
        for group in (place, *place.parents):
            limits.append(_quota(group))
            if group == base:
                break
    return [limit for limit in limits if limit is not None]


def _quota(group: Path) -> int | None:
    words = _text(group / "cpu.max").split()
    if not words:
        words = [_text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isascii() and word.isdigit() for word in words):
        return None  # "max" or -1: no limit
    quota, period = map(int, words)
    if period == 0:
        return None
    return max(1, quota // period)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
