"""Operations by which two networks interact, and the network that has a choice of them behind every stage (PAPERS.md 2.3).

In place of a binary edge stands, for each pair of stages of equal depth, one of several operations. Each takes the maps of
both networks and puts out both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.backbone import Backbone, step
from ..core.fusion import NDDR
from ..core.space import Node, Plan
from ..core.supernet import SuperNet, each_its_own
from ..errors import ConfigError, SpaceError
from ..values import choice, told

REDUCTION = 4  # of a gate's hidden layer; 16 in the paper, which leaves nothing of 8 channels

Maps = tuple[Tensor, Tensor]  # of the two networks, (B, C, h, w) each


# --- operations: two maps in, two maps out -----------------------------------------------------------------------------
class Nothing(nn.Module):
    """Each network goes on with its own map."""

    def forward(self, a: Tensor, b: Tensor) -> Maps:
        return a, b


class Exchange(nn.Module):
    """Each network goes on with the other's map."""

    def forward(self, a: Tensor, b: Tensor) -> Maps:
        return b, a


class SharedGate(nn.Module):
    """Each map times a gate for each of its channels, computed from the map's own means by one small network for both."""

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        layers = [nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)]
        self.gate = nn.Sequential(*layers, nn.Sigmoid())

    def forward(self, a: Tensor, b: Tensor) -> Maps:
        return self._gated(a), self._gated(b)

    def _gated(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean((2, 3)))[:, :, None, None]


class CrossAttention(nn.Module):
    """x + γ·softmax(max − x·yᵀ)·x over channels, y the other's map: where its own channels are unlike the other's. γ = 0 at
    first."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, a: Tensor, b: Tensor) -> Maps:
        return self._attending(a, b), self._attending(b, a)

    def _attending(self, own: Tensor, other: Tensor) -> Tensor:
        energy = own.flatten(2) @ other.flatten(2).mT  # (B, C, C)
        attention = (energy.amax(-1, keepdim=True) - energy).softmax(-1)
        return own + self.gamma * (attention @ own.flatten(2)).view_as(own)


class BothNDDR(nn.Module):
    """The library's NDDR in both directions."""

    def __init__(self, channels: int):
        super().__init__()
        self.into_a = NDDR(channels, [channels])
        self.into_b = NDDR(channels, [channels])

    def forward(self, a: Tensor, b: Tensor) -> Maps:
        return self.into_a(a, [b]), self.into_b(b, [a])


OPERATIONS: dict[str, Callable[[int], nn.Module]] = {  # name: what makes it for so many channels
    "none": lambda channels: Nothing(),
    "exchange": lambda channels: Exchange(),
    "gate": SharedGate,
    "attention": CrossAttention,
    "nddr": BothNDDR,
}


class Interaction(nn.Module):
    """What happens between the maps of one pair of stages: the sum of its operations' outputs, each times its gate.

    Args:
        channels: C, of both maps.
        operations: K names of OPERATIONS.

    Example:
        >>> between = Interaction(4, ("none", "exchange"))
        >>> a, b = torch.zeros(1, 4, 2, 2), torch.ones(1, 4, 2, 2)
        >>> mixed, _ = between(a, b, torch.tensor([0.75, 0.25]))
        >>> mixed.mean().item()
        0.25
    """

    def __init__(self, channels: int, operations: Sequence[str]):
        super().__init__()
        self.operations = nn.ModuleDict({name: OPERATIONS[name](channels) for name in operations})

    def forward(self, a: Tensor, b: Tensor, gates: Tensor | Sequence[bool]) -> Maps:
        """gates: (K,), or K booleans of which one is true: then the others are not computed."""
        if not isinstance(gates, Tensor):
            (chosen,) = [op for op, gate in zip(self.operations.values(), gates) if gate]
            return chosen(a, b)
        outputs = [operation(a, b) for operation in self.operations.values()]
        mixed_a = sum(gate * one for gate, (one, _) in zip(gates, outputs))
        mixed_b = sum(gate * one for gate, (_, one) in zip(gates, outputs))
        return mixed_a, mixed_b


# --- the network --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ChoiceSpace:
    """Which operations there are, behind which stages: K^D graphs, of two tasks with D stages each.

    Args:
        plans: {task: plan}, two of the same stages.
        operations: K names of OPERATIONS.

    Raises:
        SpaceError: The plans are not two of the same stages, or an operation is not known.

    Example:
        >>> from mtlnas_lab.core.space import plan
        >>> space = ChoiceSpace(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])), ("none", "nddr"))
        >>> len(space), space.gates(("nddr", "none"))
        (4, (False, True, True, False))
    """

    plans: Mapping[str, Plan]
    operations: tuple[str, ...] = tuple(OPERATIONS)

    def __post_init__(self):
        first, *others = self.plans.values()
        unknown = [name for name in self.operations if name not in OPERATIONS]
        if others != [first] or unknown:
            raise SpaceError(
                f"networks of {', '.join(self.plans)} with operations {told(self.operations)}: give two networks of the same "
                f"stages, and operations of {', '.join(OPERATIONS)}"
            )

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.plans)

    @property
    def channels(self) -> list[int]:
        """(D,) of each pair of stages."""
        return [stage.channels for stage in self.plans[self.tasks[0]]]

    def __len__(self) -> int:
        """D·K, how many logits α has."""
        return len(self.channels) * len(self.operations)

    def gates(self, chosen: Sequence[str]) -> tuple[bool, ...]:
        """D·K booleans, of D names. Raises ConfigError for another number, or an operation that is not there."""
        if len(chosen) != len(self.channels):
            raise ConfigError(
                f"{told(chosen)}: {len(chosen)} operations for {len(self.channels)} pairs of stages; give one each"
            )
        for name in chosen:
            choice("operation", name, self.operations)
        return tuple(name == one for name in chosen for one in self.operations)

    def chosen(self, alpha: Tensor) -> tuple[str, ...]:
        """The name of each pair's operation with the largest logit; α (D·K,). Of equal ones the first."""
        places = alpha.view(-1, len(self.operations)).argmax(-1)
        return tuple(self.operations[place] for place in places.tolist())

    def to_json(self) -> dict:
        stages = {task: len(stages) for task, stages in self.plans.items()}
        return {"stages": stages, "operations": list(self.operations)}


class InteractionNet(SuperNet):
    """Two backbones side by side with an `Interaction` behind every stage.

    Args:
        backbones: {task: Backbone}, two of the same plan.
        operations: K names of OPERATIONS.
    """

    def __init__(
        self, backbones: Mapping[str, Backbone], operations: Sequence[str] = tuple(OPERATIONS)
    ):
        plans = {task: backbone.plan for task, backbone in backbones.items()}
        space = ChoiceSpace(plans, tuple(operations))
        between = {str(depth): Interaction(c, operations) for depth, c in enumerate(space.channels)}
        super().__init__(backbones, space, between)

    def forward(
        self,
        image: Tensor | Mapping[str, Tensor],
        gates: Tensor | Sequence[bool],
        tap: Callable[[Node, Tensor], None] | None = None,
    ) -> dict[str, Tensor]:
        """As SuperNet's, with D·K gates: of each pair of stages one for each operation."""
        maps = tuple(each_its_own(image, self.space.tasks).values())
        count = len(self.space.operations)
        for depth, between in enumerate(self.fusion.values()):
            stages = [backbone.stages[depth] for backbone in self.backbones.values()]
            own = [step(stage, x)[0] for stage, x in zip(stages, maps)]
            maps = between(*own, gates[depth * count : (depth + 1) * count])
            if tap is not None:
                for task, x in zip(self.space.tasks, maps):
                    tap(Node(task, depth), x)
        heads = [backbone.head for backbone in self.backbones.values()]
        return {task: head(x) for task, head, x in zip(self.space.tasks, heads, maps)}
