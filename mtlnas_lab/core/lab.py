"""What belongs together in one piece of work: tasks, space, supernet, α and data."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor

from ..data.dataset import Batch, ImageDataset
from ..data.views import Inputs, View, inputs, seen
from ..errors import ConfigError
from ..tasks.task import Task
from ..values import told
from .architecture import Architecture, derive
from .relaxation import ArchitectureWeights
from .space import SearchSpace
from .supernet import SuperNet

Loss = TypeVar("Loss", float, Tensor)


@dataclass
class Lab:
    """Everything that one piece of work needs: tasks, the supernet with its space, α, and data.

    Args:
        tasks: {name: Task}.
        supernet: has a head for each task, and the space with E candidate edges.
        alphas: α, of length E.
        data: {"train": ImageDataset, "val": …, "test": …}, those that there are.
        views: {task: View}, what its network sees instead of the image.
        visibility: {task: v from 0 to 1}, how much it sees of that now: v · image + (1 − v) · noise. A search sets it
            at each step.

    Raises:
        ConfigError: for α of another length than E, and for a task that no network has a head for.

    Example:
        >>> from mtlnas_lab import presets
        >>> lab = presets.tiny()
        >>> lab.space
        SearchSpace(segmentation × 13 stages + normals × 13 stages, 48 candidate edges)
        >>> sorted(lab.data)
        ['test', 'train', 'val']
        >>> lab.derive()  # nothing is searched yet: α = 0
        Architecture(0 of 48 edges kept)
    """

    tasks: Mapping[str, Task]
    supernet: SuperNet
    alphas: ArchitectureWeights
    data: Mapping[str, ImageDataset] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    visibility: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self):
        for task, view in self.views.items():
            self._check_view(task, view)
        if len(self.alphas.alpha) != len(self.space):
            raise ConfigError(
                f"α has {len(self.alphas.alpha)} entries for {len(self.space)} candidate edges; "
                "make it with ArchitectureWeights(len(space))"
            )
        missing = [task for task in self.tasks if task not in self.space.tasks]
        if missing:
            raise ConfigError(
                f"no network here has a head for {', '.join(missing)}; those here are for {', '.join(self.space.tasks)}"
            )

    def _check_view(self, task: str, view: View) -> None:
        if task not in self.tasks:
            raise ConfigError(
                f"there is no task {told(task)} to have a view; there is {', '.join(self.tasks)}"
            )
        if view.map == task:
            raise ConfigError(f"{task} cannot see {view}: that is what it has to find")
        for pack in self.data.values():
            if view.map and view.map not in pack.tasks:
                raise ConfigError(
                    f"{pack.name}: has no {view.map} for {task} to see; it has {', '.join(pack.tasks)}"
                )

    @property
    def space(self) -> SearchSpace:
        return self.supernet.space

    @property
    def targets(self) -> tuple[str, ...]:
        """What every batch must bring: the tasks' targets, and the stored maps that views are made of."""
        maps = [view.map for view in self.views.values() if view.map]
        return tuple(dict.fromkeys((*self.tasks, *maps)))

    def see(
        self, image: Tensor, targets: Mapping[str, Tensor], generator: torch.Generator
    ) -> Inputs:
        """What the networks see of a batch: the image where all see it, else {task: (B, 3, H, W)}."""
        return inputs(image, targets, self.views, self.visibility, self.space.tasks, generator)

    def seen(self, batches: Iterable[Batch]) -> Iterator[tuple[Inputs, dict[str, Tensor]]]:
        """Batches for evaluation, as the networks see them: with the same noise each time."""
        return seen(batches, self.see, self.device)

    @property
    def device(self) -> torch.device:
        return next(self.supernet.parameters()).device

    def to(self, device: torch.device | str) -> Lab:
        """This lab, with networks, α and data on `device`."""
        self.supernet.to(device)
        self.alphas.to(device)
        self.data = {name: pack.to(device) for name, pack in self.data.items()}
        return self

    def derive(self, budget: int = 0, primary: str = "") -> Architecture:
        """The architecture that α stands for now: the edges with α > 0, or the `budget` edges with the largest α; or the
        network of the task `primary` by itself."""
        return derive(self.space, self.alphas.alpha.cpu(), budget, primary=primary)

    def copy(self) -> Lab:
        """The same data under networks and α of its own."""
        supernet = copy.deepcopy(self.supernet)
        return replace(self, supernet=supernet, alphas=copy.deepcopy(self.alphas))

    def total(self, losses: Mapping[str, Loss]) -> Loss:
        """What training minimises: the losses of these tasks, each times its task's weight, added up."""
        return sum(self.tasks[name].weight * loss for name, loss in losses.items())

    def loss(
        self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Each task's loss, without its weight; 0 for a task that these targets lack, which then learns nothing."""
        losses = {}
        for name, task in self.tasks.items():
            if name in targets:
                losses[name] = task.loss(outputs[name], targets[name])
            else:  # 0, and still of this network: its weights get gradients of 0, not none
                losses[name] = 0 * outputs[name].sum()
        return losses

    def labelled(self, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{task: a scalar bool} of each task, whether these targets have a label for it: else its loss says nothing."""
        nothing = torch.zeros((), dtype=torch.bool, device=self.device)
        found = dict.fromkeys(self.tasks, nothing)
        for name in self.tasks.keys() & targets.keys():
            found[name] = self.tasks[name].labelled(targets[name])
        return found


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name, as in "cpu", "cuda" or "cuda:1"; for "auto" CUDA where there is one, else MPS, else CPU.

    Raises:
        ConfigError: for a device that is not on this machine.

    Example:
        >>> from mtlnas_lab import pick_device
        >>> pick_device("cpu")
        device(type='cpu')
    """
    there = []
    if torch.cuda.is_available():
        there += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        there.append("mps:0")
    there.append("cpu:0")
    if name == "auto":
        return torch.device(there[0].partition(":")[0])
    if name not in there and f"{name}:0" not in there:
        raise ConfigError(
            f"device {name!r} is not on this machine; there is {', '.join(there)}, and 'auto' picks the best of them"
        )
    return torch.device(name)
