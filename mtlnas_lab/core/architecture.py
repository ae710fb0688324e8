"""The searched architecture: which edges stay, what that means, and the network of its own that it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import SpaceError
from ..values import number, told
from .relaxation import discretize
from .space import Edge, Node, SearchSpace

ALPHA = 1e38  # how far α may lie from 0: what float32 holds


@dataclass(frozen=True)
class Architecture:
    """A fusion graph: for each candidate edge of `space` whether it is kept, and the α it was read from (if any).

    `kept` goes straight into the supernet as gates. Raises SpaceError when a length does not fit the space.
    """

    space: SearchSpace
    kept: tuple[bool, ...]
    alpha: tuple[float, ...] | None = None

    def __post_init__(self):
        object.__setattr__(self, "kept", tuple(bool(keep) for keep in self.kept))
        if self.alpha is not None:
            object.__setattr__(self, "alpha", _logits(self.alpha))
        for name, values in (("gates", self.kept), ("α", self.alpha)):
            if values is not None and len(values) != len(self.space):
                raise SpaceError(
                    f"{len(values)} values of {name} for a space of {len(self.space)} candidate edges; "
                    "give one for each edge, in the order of space.edges"
                )

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The kept edges."""
        return tuple(edge for edge, keep in zip(self.space.edges, self.kept) if keep)

    @property
    def probability(self) -> tuple[float, ...]:
        """σ(α) of each candidate edge; 0 or 1 where there is no α."""
        if self.alpha is None:
            return tuple(float(keep) for keep in self.kept)
        return tuple(torch.sigmoid(torch.tensor(self.alpha, dtype=torch.float64)).tolist())

    def flipped(self, i: int) -> tuple[bool, ...]:
        """`kept` with candidate i the other way round."""
        return tuple(keep != (i == j) for j, keep in enumerate(self.kept))

    def __len__(self) -> int:
        return sum(self.kept)

    def __repr__(self) -> str:
        return f"Architecture({len(self)} of {len(self.space)} edges kept)"

    def to_json(self) -> dict:
        return {
            "space": self.space.to_json(),
            "kept": [str(edge) for edge in self.edges],
            "alpha": None if self.alpha is None else list(self.alpha),
        }

    @classmethod
    def from_json(cls, data: Mapping) -> Architecture:
        try:
            space, edges, alpha = data["space"], data["kept"], data["alpha"]
        except (KeyError, TypeError) as error:
            raise SpaceError(
                f"this is no architecture: {error!r}; it has space, kept and alpha"
            ) from None
        for name, value in {"kept": edges, "alpha": alpha}.items():
            if not isinstance(value, list | tuple) and (name == "kept" or value is not None):
                raise SpaceError(f"this is no architecture: {name} is {told(value)}, not a list")
        space = SearchSpace.from_json(space)
        kept = {space.index(edge) for edge in edges}
        return cls(space, tuple(i in kept for i in range(len(space))), alpha)


def _logits(values: Sequence[float]) -> tuple[float, ...]:
    """α as floats. Raises SpaceError for the first that is no finite number."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise SpaceError(f"α = {told(values)} is not a list of numbers; give one for each edge")
    listed = values.tolist() if isinstance(values, Tensor) else values
    return tuple(
        number(f"α of edge {i}", value, -ALPHA, ALPHA, SpaceError) for i, value in enumerate(listed)
    )


def derive(space: SearchSpace, alpha: Tensor | Sequence[float]) -> Architecture:
    """Keep the edges with α > 0: the searched architecture, to be used with the weights as they are (no retraining)."""
    alpha = alpha.detach() if isinstance(alpha, Tensor) else torch.tensor(alpha)
    return Architecture(space, tuple((discretize(alpha) > 0).tolist()), tuple(alpha.tolist()))


def agreement(a: Architecture, b: Architecture) -> dict[str, float]:
    """How alike two architectures of one space are: edges kept in `both`, `either`, their ratio `jaccard`, and `flips`."""
    if a.space.edges != b.space.edges:
        raise SpaceError(
            "these architectures belong to different spaces; compare architectures of one space"
        )
    both = sum(x and y for x, y in zip(a.kept, b.kept))
    either = sum(x or y for x, y in zip(a.kept, b.kept))
    return {
        "both": both,
        "either": either,
        "jaccard": both / either if either else 1.0,
        "flips": either - both,
    }


@dataclass(frozen=True)
class Transfer:
    """`architecture` on the new space; `carried` {edge there: edge here} and `lost` edges, which have no candidate there."""

    architecture: Architecture
    carried: Mapping[Edge, Edge]
    lost: tuple[Edge, ...]

    def __str__(self) -> str:
        merged = len(self.carried) - len(self.architecture)
        return (
            f"{len(self.carried)} of {len(self.carried) + len(self.lost)} kept edges carried over"
            + (f", {merged} of them onto an edge that another one took too" if merged else "")
            + (f"; lost: {', '.join(map(str, self.lost))}" if self.lost else "")
        )


def transfer(
    found: Architecture, space: SearchSpace, tasks: Mapping[str, str] | None = None
) -> Transfer:
    """The kept edges of `found` as edges of `space`: task by task (`tasks`, otherwise by equal names, otherwise in order), stage
    by the place in its group that is nearest from below. α is not carried: it belongs to what it was learnt on.

    Raises SpaceError where the tasks do not fit one to one.
    """
    here, there = found.space.tasks, space.tasks
    if tasks is None:
        tasks = {task: task for task in here} if set(here) <= set(there) else dict(zip(here, there))
    if (
        set(tasks) != set(here)
        or len(set(tasks.values())) != len(here)
        or not set(tasks.values()) <= set(there)
    ):
        raise SpaceError(
            f"tasks {', '.join(here)} cannot become {', '.join(there)}; name one task there for each of them, as in "
            f"tasks={{{here[0]!r}: {there[0]!r}, …}}"
        )
    carried, lost = {}, []
    for edge in found.edges:
        moved = Edge(
            *(_node(node, found.space, space, tasks) for node in (edge.source, edge.target))
        )
        if moved in space.edges:
            carried[edge] = moved
        else:
            lost.append(edge)
    wanted = set(carried.values())
    return Transfer(
        Architecture(space, tuple(edge in wanted for edge in space.edges)), carried, tuple(lost)
    )


def _node(node: Node, here: SearchSpace, there: SearchSpace, tasks: Mapping[str, str]) -> Node:
    """The last stage there that is not deeper than the node here; the first one, where all are deeper."""
    task, position = tasks[node.task], here.stage(node).position
    shallow = [stage for stage, s in enumerate(there.plans[task]) if s.position <= position]
    return Node(task, shallow[-1] if shallow else 0)
