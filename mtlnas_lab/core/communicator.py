"""How the processes of one search talk to each other; one process alone has nobody to talk to.

`runs.distributed.FabricCommunicator` has the same methods for several processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor


class SingleProcess:
    """A search in one process: rank 0 of 1. Every method returns at once."""

    rank = 0
    world_size = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes the run folder and prints."""
        return self.rank == 0

    def all_reduce_mean(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, in place, by its mean over all processes."""

    def broadcast(self, value):
        """Return the main process's value in every process."""
        return value

    def shard(self, batches: Iterator) -> Iterator:
        """Return this process's part of each batch (what the networks see, {task: target})."""
        return batches

    def folder(self, make: Callable):
        """Return the run folder that `make` opens in the main process, for use in every process."""
        return make()

    def check_in_sync(self, lab, settings=None):
        """Return the lab. Raises ConfigError where other processes have other networks or settings."""
        return lab

    def device(self, name: str):
        """Return the torch.device of this process. Raises ConfigError where it is not on this machine."""
        from .lab import pick_device

        return pick_device(name)


SINGLE_PROCESS = SingleProcess()
