"""The searched architecture: which edges stay, how alike two of them are, the same edges on other backbones, and its α as the
start of another search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError, SpaceError
from ..values import number, told, whole
from .relaxation import discretize
from .space import Edge, Node, SearchSpace

ALPHA = 1e38  # how far α may lie from 0: what float32 holds
CLIP = 1.0  # how far a warm start follows an α, before κ


@dataclass(frozen=True)
class Architecture:
    """A fusion graph: which candidate edges are kept, and the α that it was read from.

    Args:
        space: with E candidate edges.
        kept: E booleans, in the order of `space.edges`; they go straight into the supernet as gates.
        alpha: E logits, or None where the graph was not searched.

    Raises:
        SpaceError: when a length is not E, and for an α that is not a finite number.

    Example:
        >>> from mtlnas_lab import Architecture, SearchSpace
        >>> from mtlnas_lab.core.space import plan
        >>> space = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])))
        >>> found = Architecture(space, (True, False, False, True))
        >>> found
        Architecture(2 of 4 edges kept)
        >>> [str(edge) for edge in found.edges]
        ['b:0 -> a:0', 'a:1 -> b:1']
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
            space, edges, alpha = (data[name] for name in ("space", "kept", "alpha"))
        except (KeyError, TypeError) as error:
            raise SpaceError(
                f"this is not an architecture: {error!r}; it has space, kept and alpha"
            ) from None
        for name, value in {"kept": edges, "alpha": alpha}.items():
            if not isinstance(value, list | tuple) and (name == "kept" or value is not None):
                raise SpaceError(
                    f"this is not an architecture: {name} is {told(value)}, not a list"
                )
        space = SearchSpace.from_json(space)
        kept = {space.index(edge) for edge in edges}
        return cls(space, tuple(i in kept for i in range(len(space))), alpha)


def _logits(values: Sequence[float]) -> tuple[float, ...]:
    """α as floats. Raises SpaceError for the first that is not a finite number."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise SpaceError(f"α = {told(values)} is not a list of numbers; give one for each edge")
    listed = values.tolist() if isinstance(values, Tensor) else values
    return tuple(
        number(f"α of edge {i}", value, -ALPHA, ALPHA, SpaceError) for i, value in enumerate(listed)
    )


def derive(
    space: SearchSpace,
    alpha: Tensor | Sequence[float],
    budget: int = 0,
    worth: Sequence[float] | None = None,
    primary: str = "",
) -> Architecture:
    """Keep the edges with α > 0: the searched architecture, to be used with the weights as they are (no retraining).

    Args:
        space: with E candidate edges.
        alpha: E logits; α > 0 is p = σ(α) > ½. An edge at exactly 0 is closed, as in the released code.
        budget: 0, or how many edges to keep: those with the largest α, whatever its sign; of equals the first.
        worth: E numbers to choose the budget's edges by instead of α, as `edge_importance.ablate` measures them.
        primary: a task that is wanted alone, as in Aux-NAS: the graph is then that of its network by itself, a space of
            one backbone without any edge.

    Raises:
        ConfigError: For a budget of more than E edges, and for a worth without a budget or of another length; for a
            primary task that is not there, or that an open edge leads into.

    Example:
        >>> from mtlnas_lab import SearchSpace, derive
        >>> from mtlnas_lab.core.space import plan
        >>> space = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])))
        >>> derive(space, [0.5, -2.0, 0.0, 3.0]).kept
        (True, False, False, True)
        >>> derive(space, [0.5, -2.0, 0.0, 3.0], budget=3).kept
        (True, False, True, True)
        >>> derive(space, [-2.0, -3.0, 0.7, 3.0], primary="a").space
        SearchSpace(a × 2 stages, 0 candidate edges)
    """
    alpha = alpha.detach() if isinstance(alpha, Tensor) else torch.tensor(alpha)
    if primary:
        if budget:
            raise ConfigError(
                f"{told(primary)} alone has no edge that a budget could keep; leave the budget out"
            )
        return alone(derive(space, alpha), primary)
    if not budget:
        if worth is not None:
            raise ConfigError(
                "the worth of edges chooses within a budget; give budget = how many to keep"
            )
        return Architecture(space, tuple((discretize(alpha) > 0).tolist()), tuple(alpha.tolist()))
    budget = whole("budget", budget, 1, len(space))
    ranked_by = (
        alpha.tolist() if worth is None else [number("worth", x, -ALPHA, ALPHA) for x in worth]
    )
    if len(ranked_by) != len(space):
        raise ConfigError(
            f"{len(ranked_by)} values to choose {len(space)} edges by; give one for each edge"
        )
    # sorting keeps the order of equals
    best = sorted(range(len(space)), key=lambda i: -ranked_by[i])[:budget]
    return Architecture(space, tuple(i in best for i in range(len(space))), tuple(alpha.tolist()))


def alone(found: Architecture, task: str) -> Architecture:
    """The graph of one task's network by itself. Raises ConfigError where it needs another network."""
    if task not in found.space.tasks:
        raise ConfigError(
            f"there is no task {told(task)} to be wanted alone; there is {', '.join(found.space.tasks)}"
        )
    read = [edge for edge in found.edges if edge.target.task == task]
    if read:
        raise ConfigError(
            f"{task} reads from another network by {len(read)} open edges, the first of them {read[0]}: alone it would "
            "compute something else; shut them in the search, by L1 on edges into it, or derive without `primary`"
        )
    return Architecture(SearchSpace({task: found.space.plans[task]}, ()), (), ())


def agreement(a: Architecture, b: Architecture) -> dict[str, float]:
    """How alike two architectures of one space are.

    Returns:
        `both`, the number of edges that both keep; `either`, that of edges that one or both keep; `jaccard`, both/either,
        1 where nothing is kept; `flips`, the number of edges about which they differ.

    Raises:
        SpaceError: for architectures of different spaces.

    Example:
        >>> from mtlnas_lab import SearchSpace, agreement, derive
        >>> from mtlnas_lab.core.space import plan
        >>> space = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])))
        >>> agreement(derive(space, [1.0, 1.0, -1.0, -1.0]), derive(space, [1.0, -1.0, -1.0, 1.0]))
        {'both': 1, 'either': 3, 'jaccard': 0.3333333333333333, 'flips': 2}
    """
    if a.space.edges != b.space.edges:
        raise SpaceError(
            "these architectures belong to different spaces; compare architectures of one space"
        )
    first = {i for i, keep in enumerate(a.kept) if keep}
    second = {i for i, keep in enumerate(b.kept) if keep}
    return {
        "both": len(first & second),
        "either": len(first | second),
        "jaccard": jaccard(first, second),
        "flips": len(first ^ second),
    }


def jaccard(a: set[int], b: set[int]) -> float:
    """|A ∩ B| / |A ∪ B| of the edges that two graphs keep; 1 where neither keeps any: they are the same graph.

    >>> jaccard({0, 1}, {1})
    0.5
    """
    either = a | b
    if not either:
        return 1.0
    return len(a & b) / len(either)


@dataclass(frozen=True)
class Transfer:
    """`architecture` on the new space; `carried` {edge there: edge here} and `lost` edges, which have no candidate there."""

    architecture: Architecture
    carried: Mapping[Edge, Edge]
    lost: tuple[Edge, ...]

    def __str__(self) -> str:
        carried = len(self.carried)
        merged = carried - len(self.architecture)
        text = f"{carried} of {carried + len(self.lost)} kept edges carried over"
        if merged:
            text += f", {merged} of them onto an edge that another one took too"
        if self.lost:
            text += f"; lost: {', '.join(map(str, self.lost))}"
        return text


def transfer(
    found: Architecture, space: SearchSpace, tasks: Mapping[str, str] | None = None
) -> Transfer:
    """The kept edges of an architecture as edges of another space, as that of other backbones.

    A stage becomes the one there whose place in its group is nearest from below. α is not carried: it belongs to what it
    was learnt on; `warm_start` makes the start of another search of it.

    Args:
        found: on its own space.
        space: the new one.
        tasks: {task here: task there}; by default equal names, or else both in order.

    Raises:
        SpaceError: where the tasks do not fit one to one.

    Example:
        >>> from mtlnas_lab import SearchSpace, derive, transfer
        >>> from mtlnas_lab.core.space import plan
        >>> small = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])))
        >>> large = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8] * 4, [2, 2])))
        >>> moved = transfer(derive(small, [1.0, -1.0, -1.0, 1.0]), large)
        >>> print(moved)
        2 of 2 kept edges carried over
        >>> [str(edge) for edge in moved.architecture.edges]
        ['b:1 -> a:1', 'a:3 -> b:3']
    """
    here, there = found.space.tasks, space.tasks
    if tasks is None:
        tasks = dict(zip(here, here if set(here) <= set(there) else there))
    onto = set(tasks.values())
    if set(tasks) != set(here) or len(onto) != len(here) or not onto <= set(there):
        raise SpaceError(
            f"tasks {', '.join(here)} cannot become {', '.join(there)}; name one task there for each of them, as in "
            f"tasks={{{here[0]!r}: {there[0]!r}, …}}"
        )
    carried = {}
    for edge in found.edges:
        source = _node(edge.source, found.space, space, tasks)
        target = _node(edge.target, found.space, space, tasks)
        if Edge(source, target) in space.edges:
            carried[edge] = Edge(source, target)
    wanted = set(carried.values())
    moved = Architecture(space, tuple(edge in wanted for edge in space.edges))
    return Transfer(moved, carried, tuple(edge for edge in found.edges if edge not in carried))


def warm_start(
    found: Architecture,
    space: SearchSpace,
    kappa: float = 1.0,
    tasks: Mapping[str, str] | None = None,
) -> tuple[float, ...]:
    """Where α of a new search begins, if it begins from what another one found: κ · clip(α, −1, 1), edge by edge.

    Inspired by warm-starting DARTS (PAPERS.md 2.4): its own way from α to a start is not public. An edge that was decided there
    begins here with p = σ(κ) or σ(−κ): 0.73 or 0.27 at κ = 1, and its gate can still turn. κ = 0 is a cold start.

    Args:
        found: a searched architecture, between networks with as many tasks and stages.
        space: of the new search, with E candidate edges.
        kappa: κ, 0 or more.
        tasks: {task there: task here}; by default tasks of one name are each other, and the rest take what is left in order.

    Returns:
        E numbers, for `ArchitectureWeights(len(space), start)`.

    Raises:
        ConfigError: for an architecture that was not searched, and for κ below 0.
        SpaceError: where the tasks or the candidate edges do not fit one to one.

    Example:
        >>> from mtlnas_lab import SearchSpace, derive
        >>> from mtlnas_lab.core.space import plan
        >>> space = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])))
        >>> found = derive(space, [0.25, -5.0, 3.0, 0.0])
        >>> warm_start(found, space, kappa=0.5)
        (0.125, -0.5, 0.5, 0.0)
        >>> [str(edge) for edge in space.edges]
        ['b:0 -> a:0', 'b:1 -> a:1', 'a:0 -> b:0', 'a:1 -> b:1']
        >>> warm_start(found, space, tasks={"a": "b", "b": "a"})  # the other way round
        (1.0, 0.0, 0.25, -1.0)
    """
    kappa = number("kappa", kappa)
    if found.alpha is None:
        raise ConfigError(
            "this architecture was not searched: it has no α that another search could begin with; give one of a search"
        )
    if tasks is None:
        tasks = counterparts(found.space.tasks, space.tasks)
    every = Architecture(found.space, (True,) * len(found.space))
    moved = transfer(every, space, tasks)
    if moved.lost or len(moved.architecture) < max(len(every), len(space)):
        raise SpaceError(_misfit(moved, found.space, space))
    begin = {}
    for edge, alpha in zip(found.space.edges, found.alpha):
        begin[moved.carried[edge]] = kappa * min(max(alpha, -CLIP), CLIP)
    return tuple(begin[edge] for edge in space.edges)


def counterparts(there: Sequence[str], here: Sequence[str]) -> dict[str, str]:
    """{task there: task here}: tasks of one name are each other, and the rest take what is left, in order.

    Example:
        >>> counterparts(["normals", "depth"], ["segmentation", "normals"])
        {'normals': 'normals', 'depth': 'segmentation'}
    """
    left = iter([task for task in here if task not in there])
    found = {}
    for task in there:
        mine = task if task in here else next(left, None)
        if mine is not None:
            found[task] = mine
    return found


def _misfit(moved: Transfer, there: SearchSpace, here: SearchSpace) -> str:
    """Why α of another space's edges cannot begin a search in this one."""
    if moved.lost:
        example = f"{moved.lost[0]} there has no candidate here"
    else:
        carried = set(moved.carried.values())
        alone = [edge for edge in here.edges if edge not in carried]
        example = "two of them would be one edge here"
        if alone:
            example = f"{alone[0]} here has no candidate there"
    return (
        f"α of {there!r} cannot begin a search in {here!r}, for {example}; take a search between networks with as many "
        "tasks and stages, or carry over its kept edges alone, without α (transfer)"
    )


def _node(node: Node, here: SearchSpace, there: SearchSpace, tasks: Mapping[str, str]) -> Node:
    """The last stage there that is not deeper than the node here; the first one, where all are deeper."""
    task = tasks[node.task]
    position = here.stage(node).position
    shallow = [stage for stage, s in enumerate(there.plans[task]) if s.position <= position]
    return Node(task, shallow[-1] if shallow else 0)
