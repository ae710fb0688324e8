"""What belongs together in one piece of work: tasks, space, supernet, α and data."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..data.dataset import ImageDataset
from ..errors import ConfigError
from ..tasks.task import Task
from .architecture import Architecture, derive
from .relaxation import ArchitectureWeights
from .space import SearchSpace
from .supernet import SuperNet


@dataclass
class Lab:
    """tasks {name: Task}, the supernet with its space, α, and packs {"train": …, "val": …, "test": …} (those there are)."""

    tasks: Mapping[str, Task]
    supernet: SuperNet
    alphas: ArchitectureWeights
    data: Mapping[str, ImageDataset] = field(default_factory=dict)

    def __post_init__(self):
        if len(self.alphas.alpha) != len(self.space):
            raise ConfigError(
                f"α has {len(self.alphas.alpha)} entries for {len(self.space)} candidate edges; "
                "make it with ArchitectureWeights(len(space))"
            )
        if missing := [task for task in self.tasks if task not in self.space.tasks]:
            raise ConfigError(
                f"no network here has a head for {', '.join(missing)}; those here are for {', '.join(self.space.tasks)}"
            )

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

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Each task's loss, without its weight; 0 for a task that these targets lack, which then learns nothing."""
        return {
            name: task.loss(outputs[name], targets[name])
            if name in targets
            else 0 * outputs[name].sum()
            for name, task in self.tasks.items()
        }

    def labelled(self, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{task: a scalar bool} of each task, whether these targets have a label for it: else its loss says nothing."""
        return {
            name: task.labelled(targets[name])
            if name in targets
            else torch.zeros((), dtype=torch.bool, device=self.device)
            for name, task in self.tasks.items()
        }


def pick_device(name: str = "auto") -> torch.device:
    """`auto`: CUDA where there is one, else MPS, else CPU. Raises ConfigError for a device that is not there."""
    there = [
        f"cuda:{i}" for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    there += ["mps:0"] * torch.backends.mps.is_available() + ["cpu:0"]
    if name == "auto":
        return torch.device(there[0].partition(":")[0])
    if (name if ":" in name else f"{name}:0") not in there:
        raise ConfigError(
            f"device {name!r} is not on this machine; there is {', '.join(there)}, and 'auto' picks the best of them"
        )
    return torch.device(name)
