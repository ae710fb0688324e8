"""Carry a fusion graph to other backbones or other tasks: which of its edges exist there, and which are lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .architecture import Architecture
from .errors import SpaceError
from .space import Edge, Node, SearchSpace


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
