"""What several processes that search together agree on; one process by itself agrees with itself (`scale` has the others)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from ..errors import ConfigError


def processes(name: str) -> int:
    """The number of processes that a variable of the environment says; 1 where it is not set. Raises ConfigError."""
    text = os.environ.get(name, "").strip() or "1"
    if not re.fullmatch("[1-9][0-9]{0,7}", text):
        raise ConfigError(
            f"{name}={text} in the environment: torchrun sets the number of processes there, from 1; unset it"
        )
    return int(text)


class SingleProcess:
    """One process: rank 0 of 1."""

    rank, world_size = 0, 1

    @property
    def is_main_process(self) -> bool:
        """The process that writes the run folder, and talks."""
        return self.rank == 0

    def all_reduce_mean(self, tensors: Sequence[Tensor]) -> None:
        """In place: the mean over all processes."""

    def broadcast(self, value):
        """What the leader has."""
        return value

    def shard(self, batches: Iterator) -> Iterator:
        """This process's part of each batch."""
        return batches

    def folder(self, make: Callable):
        """The leader's run folder, as all processes may use it."""
        return make()

    def check_in_sync(self, lab, settings=None):
        """The lab, checked against the other processes', as the settings are."""
        return lab

    def device(self, name: str):
        """The device of this process."""
        from .lab import pick_device

        return pick_device(name)


SINGLE_PROCESS = SingleProcess()
