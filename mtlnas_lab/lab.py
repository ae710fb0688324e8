"""What belongs together in one piece of work: tasks, space, supernet, α and data."""
from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .architecture import Architecture, derive
from .data import Pack
from .errors import ConfigError
from .relaxation import ArchitectureWeights
from .space import SearchSpace
from .supernet import SuperNet
from .tasks import Task


@dataclass
class Lab:
    """tasks {name: Task}, the supernet with its space, α, and packs {"train": …, "val": …, "test": …} (those there are)."""

    tasks: Mapping[str, Task]
    supernet: SuperNet
    alphas: ArchitectureWeights
    data: Mapping[str, Pack] = field(default_factory=dict)

    def __post_init__(self):
        if len(self.alphas.alpha) != len(self.space):
            raise ConfigError(f"α has {len(self.alphas.alpha)} entries for {len(self.space)} candidate edges; "
                              "make it with ArchitectureWeights(len(space))")

    @property
    def space(self) -> SearchSpace:
        return self.supernet.space

    @property
    def device(self) -> torch.device:
        return next(self.supernet.parameters()).device

    def to(self, device: torch.device | str) -> Lab:
        self.supernet.to(device)
        self.alphas.to(device)
        self.data = {name: pack.to(device) for name, pack in self.data.items()}
        return self

    def derive(self) -> Architecture:
        return derive(self.space, self.alphas.alpha.cpu())

    def copy(self) -> Lab:
        """The same data under networks and α of its own."""
        return Lab(self.tasks, copy.deepcopy(self.supernet), copy.deepcopy(self.alphas), self.data)

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each task's loss, without its weight; 0 for a task that these targets lack, which then learns nothing."""
        return {name: task.loss(outputs[name], targets[name]) if name in targets else 0 * outputs[name].sum()
                for name, task in self.tasks.items()}


def pick_device(name: str = "auto") -> torch.device:
    """`auto`: CUDA where there is one, else MPS, else CPU. Raises ConfigError for a device that is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    if not there.get(name.partition(":")[0], False):
        raise ConfigError(f"device {name!r} is not on this machine; there is {', '.join(k for k, v in there.items() if v)}, "
                          "and 'auto' picks the best of them")
    return torch.device(name)
