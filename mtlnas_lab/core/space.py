"""The task-agnostic search space: which fusion edges could exist between single-task backbones.

Nothing in this file knows what a task is: a task is a name, a backbone is its plan of stages.

A *node* is the place behind one stage of one backbone. An *edge* brings the features of its source node (as they are
before fusion) to the fusion behind its target node. A *rule* says of a source and a target whether there is a
candidate edge; the space is all pairs that every rule allows, in a fixed order (by target, then by source).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..errors import SpaceError
from ..values import told, whole

STAGES = 10_000  # of a plan
WIDEST = 2**31 - 1  # channels
DIGITS = 9  # of a stage's number


@dataclass(frozen=True)
class Stage:
    """One stage in a backbone's plan: how many channels it puts out and where in the backbone it stands.

    Example:
        >>> from mtlnas_lab import Stage
        >>> Stage(channels=64, group=1, index=0, size=2).position  # half of group 1 is done
        (1, 0.5)
    """

    channels: int
    group: int  # which group of stages (of one resolution, in the plain case), counted from 0
    index: int  # which stage of its group, counted from 0
    size: int  # how many stages the group has

    @property
    def position(self) -> tuple[int, float]:
        """How deep: (group, share of the group that is done). Comparable between unlike backbones."""
        return self.group, (self.index + 1) / self.size


Plan = tuple[Stage, ...]


def plan(channels: Sequence[int], groups: Sequence[int]) -> Plan:
    """The plan of a backbone with `channels[s]` channels after stage s, its stages grouped by sizes as in [2, 2, 3].

    A size of 0 is a group that this backbone lacks: [0, 3, 4] lines its groups up with the second and third of another.
    Raises SpaceError.
    """
    channels = _counts("channels", channels, 1)
    groups = _counts("groups", groups, 0)
    if len(channels) != sum(groups):
        raise SpaceError(
            f"{len(channels)} stages do not fill groups {list(groups)}, which hold {sum(groups)}; "
            "give one number of channels for each stage"
        )
    places = [(group, index, size) for group, size in enumerate(groups) for index in range(size)]
    return tuple(Stage(width, *place) for width, place in zip(channels, places))


def _counts(name: str, values: Sequence[int], least: int) -> list[int]:
    """Whole numbers of a plan, checked before anything is made of them."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise SpaceError(f"{name} = {told(values)} is not a list of whole numbers, as in [2, 2, 3]")
    listed = list(values)
    if len(listed) > STAGES:
        raise SpaceError(f"{len(listed)} {name} are too many; a plan has at most {STAGES}")
    return [whole(name, value, least, WIDEST, SpaceError) for value in listed]


def group_sizes(stages: Plan) -> list[int]:
    """The sizes that `plan` was given: how many stages each group has, 0 for one that is not there."""
    groups = Counter(stage.group for stage in stages)
    return [groups[group] for group in range(max(groups, default=-1) + 1)]


def _check_name(task: object) -> None:
    """Raises SpaceError for what cannot be a task's name: edges are written as `segmentation:2 -> normals:3`, and torch's
    own names of parameters have dots."""
    fine = isinstance(task, str) and task.isprintable() and 0 < len(task) <= 100
    if not fine or any(mark in task for mark in (".", ":", "->")):
        raise SpaceError(
            f"{told(task)} cannot name a task; use at most 100 printable characters without '.', ':' and '->'"
        )


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise SpaceError(f"{told(value)} is not {what}, for it is not text")
    return value


@dataclass(frozen=True, order=True)
class Node:
    """The place behind one stage of one backbone, where features may be fused.

    Args:
        task: the name of the backbone's task.
        stage: counted from 0, from the image to the head.

    Example:
        >>> from mtlnas_lab import Node
        >>> print(Node("normals", 3))
        normals:3
        >>> Node.parse("normals:3")
        Node(task='normals', stage=3)
    """

    task: str
    stage: int

    def __str__(self) -> str:
        return f"{self.task}:{self.stage}"

    @classmethod
    def parse(cls, text: str) -> Node:
        """The node that prints so. Raises SpaceError."""
        task, colon, stage = _text(text, "a node").strip().rpartition(":")
        if not (colon and task and stage.isdecimal() and len(stage) <= DIGITS):
            raise SpaceError(
                f"{told(text)} is not a node; write a task and a stage, as in 'normals:3'"
            )
        return cls(task, int(stage))


@dataclass(frozen=True, order=True)
class Edge:
    """A fusion edge: brings the features of its source, as they are before fusion, to the fusion behind its target.

    Example:
        >>> from mtlnas_lab import Edge, Node
        >>> print(Edge(Node("segmentation", 2), Node("normals", 3)))
        segmentation:2 -> normals:3
        >>> Edge.parse("segmentation:2 -> normals:3").target
        Node(task='normals', stage=3)
    """

    source: Node
    target: Node

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"

    @classmethod
    def parse(cls, text: str) -> Edge:
        """The edge that prints so. Raises SpaceError."""
        source, arrow, target = _text(text, "an edge").partition("->")
        if not arrow:
            raise SpaceError(
                f"{told(text)} is not an edge; write two nodes, as in 'segmentation:2 -> normals:3'"
            )
        return cls(Node.parse(source), Node.parse(target))


# --- rules: (source, target, plans) -> is there a candidate edge? -----------------------------------------------------
Rule = Callable[[Node, Node, Mapping[str, Plan]], bool]


def other_task(source: Node, target: Node, plans: Mapping[str, Plan]) -> bool:
    """Edges run between backbones, never inside one."""
    return source.task != target.task


def not_deeper(source: Node, target: Node, plans: Mapping[str, Plan]) -> bool:
    """The source is at most as deep as the target, so that everything can be computed in one pass."""
    return plans[source.task][source.stage].position <= plans[target.task][target.stage].position


def same_group(source: Node, target: Node, plans: Mapping[str, Plan]) -> bool:
    """Both stages belong to groups of the same number (not: maps of the same size)."""
    return plans[source.task][source.stage].group == plans[target.task][target.stage].group


def within(limit: int | None = 3) -> Rule:
    """The source is among the last `limit` stages of its backbone that are not deeper than the target; None: any.

    For backbones of one plan this is `target.stage - source.stage < limit` (released code: 3).
    """
    if limit is not None and limit < 1:
        raise SpaceError(
            f"a depth limit of {limit} leaves no edge; give at least 1, or None for no limit"
        )

    def within_limit(source: Node, target: Node, plans: Mapping[str, Plan]) -> bool:
        end = plans[target.task][target.stage].position
        stages = plans[source.task]
        between = sum(stage.position <= end for stage in stages[source.stage + 1 :])
        return limit is None or between < limit

    return within_limit


def paper_rules(limit: int | None = 3) -> tuple[Rule, ...]:
    """The rules of the released code: 24 edges a direction for VGG-16, 36 for ResNet-50."""
    return other_task, not_deeper, same_group, within(limit)


def _none_left(rule: Rule, pairs: int, plans: Mapping[str, Plan]) -> str:
    groups = "; ".join(f"{task}: {group_sizes(stages)}" for task, stages in plans.items())
    return (
        f"no candidate edge is left: the rule {rule.__name__} refuses all {pairs} pairs of stages that came to it; "
        f"stages in each group, from group 0: {groups}; cut the backbones so that groups of equal number belong "
        "together (a size of 0 skips a number), or pass rules without this one"
    )


@dataclass(frozen=True)
class SearchSpace:
    """Plans of stages and the candidate edges between them: E edges, hence 2^E architectures.

    Edges are sorted by target and then by source, in the order of the tasks; the vectors α and gates follow that order.

    Args:
        plans: {task: the plan of its backbone}.
        edges: the candidates, in any order.

    Raises:
        SpaceError: for an edge that does not exist, runs inside one task, occurs twice, or runs back from a deeper stage
            (nothing could compute it).

    Example:
        >>> from mtlnas_lab import SearchSpace
        >>> from mtlnas_lab.core.space import plan
        >>> vgg = plan([64, 64, 128, 128], groups=[2, 2])
        >>> space = SearchSpace.build({"segmentation": vgg, "normals": vgg})
        >>> space
        SearchSpace(segmentation × 4 stages + normals × 4 stages, 12 candidate edges)
        >>> print(space.edges[0])
        normals:0 -> segmentation:0
        >>> space.index("normals:2 -> segmentation:3")
        4
    """

    plans: Mapping[str, Plan]
    edges: tuple[Edge, ...]

    @classmethod
    def build(cls, plans: Mapping[str, Plan], rules: Sequence[Rule] = paper_rules()) -> SearchSpace:
        """All pairs of nodes that every rule allows. Raises SpaceError for fewer than two tasks, and where none is left."""
        if len(plans) < 2:
            raise SpaceError(
                f"a search space lies between backbones, but there is only {list(plans)}; give two tasks or more"
            )
        nodes = [
            Node(task, stage) for task, stages in plans.items() for stage in range(len(stages))
        ]
        pairs = [(source, target) for target in nodes for source in nodes]
        for rule in rules:
            left = [pair for pair in pairs if rule(*pair, plans)]
            if not left:
                raise SpaceError(_none_left(rule, len(pairs), plans))
            pairs = left
        return cls(plans, tuple(Edge(source, target) for source, target in pairs))

    def __post_init__(self):
        object.__setattr__(
            self, "plans", {task: tuple(stages) for task, stages in self.plans.items()}
        )
        for task in self.plans:
            _check_name(task)
        known = set(self.nodes)
        for edge in self.edges:
            for node in (edge.source, edge.target):
                if node not in known:
                    raise SpaceError(
                        f"{edge}: there is no node {node}; the tasks are {', '.join(self.tasks)}, "
                        "stages count from 0"
                    )
            if edge.source.task == edge.target.task:
                raise SpaceError(
                    f"{edge} stays inside one backbone; edges run between tasks (keep the rule other_task)"
                )
            if not not_deeper(edge.source, edge.target, self.plans):
                raise SpaceError(
                    f"{edge} goes from a deeper stage to a shallower one, which no forward pass can compute; "
                    "keep the rule not_deeper"
                )
        if len(set(self.edges)) != len(self.edges):
            raise SpaceError("an edge occurs twice; each candidate edge has one place in α")
        place = {node: i for i, node in enumerate(self.nodes)}
        in_order = sorted(self.edges, key=lambda edge: (place[edge.target], place[edge.source]))
        object.__setattr__(self, "edges", tuple(in_order))

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.plans)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, task by task, from the image to the head."""
        return tuple(
            Node(task, stage) for task, stages in self.plans.items() for stage in range(len(stages))
        )

    @cached_property
    def order(self) -> tuple[tuple[Node, ...], ...]:
        """Nodes in the order of computation: those of one position run, then fuse, before the next position runs."""
        at = defaultdict(list)
        for node in self.nodes:
            at[self.stage(node).position].append(node)
        return tuple(tuple(at[position]) for position in sorted(at))

    @cached_property
    def place(self) -> dict[Node, int]:
        """Where each node stands in `order`, counted from 0."""
        return {node: i for i, nodes in enumerate(self.order) for node in nodes}

    @cached_property
    def done(self) -> tuple[tuple[Node, ...], ...]:
        """The nodes at each place of `order` whose features no later node reads."""
        last = dict(self.place)
        for edge in self.edges:
            last[edge.source] = max(last[edge.source], self.place[edge.target])
        at = [[] for _ in self.order]
        for node, i in last.items():
            at[i].append(node)
        return tuple(map(tuple, at))

    @cached_property
    def _into(self) -> dict[Node, tuple[int, ...]]:
        into = {node: [] for node in self.nodes}
        for i, edge in enumerate(self.edges):
            into[edge.target].append(i)
        return {node: tuple(indices) for node, indices in into.items()}

    @cached_property
    def _index(self) -> dict[Edge, int]:
        return {edge: i for i, edge in enumerate(self.edges)}

    def stage(self, node: Node) -> Stage:
        return self.plans[node.task][node.stage]

    def work_out(self) -> None:
        """Works out what a forward pass reads of the space. torch.compile cannot follow how that is done when it is first read."""
        for name in ("order", "done", "_into"):
            getattr(self, name)

    def into(self, node: Node) -> tuple[int, ...]:
        """Indices of the edges that end in `node`; they are neighbours in the order of edges."""
        return self._into[node]

    def index(self, edge: Edge | str) -> int:
        """Where `edge` stands in α. Raises SpaceError for an edge that is not a candidate."""
        edge = edge if isinstance(edge, Edge) else Edge.parse(edge)
        if edge not in self._index:
            into = [str(self.edges[i]) for i in self._into.get(edge.target, ())]
            raise SpaceError(
                f"there is no candidate edge {edge} in this space; into {edge.target} run: "
                f"{', '.join(into) or 'none'}"
            )
        return self._index[edge]

    @cached_property
    def costs(self) -> tuple[float, ...]:
        """What each edge weighs in the weighted L1: output channels of its target, scaled to mean 1 (released code)."""
        channels = [self.stage(edge.target).channels for edge in self.edges]
        return tuple(c * len(channels) / sum(channels) for c in channels)

    def only(self, kept: Sequence[bool]) -> SearchSpace:
        """The space of just the kept edges."""
        return SearchSpace(
            self.plans, tuple(edge for edge, keep in zip(self.edges, kept, strict=True) if keep)
        )

    def rename(self, names: Mapping[str, str]) -> SearchSpace:
        """The same space under other task names: it depends on nothing else."""
        moved = {node: Node(names.get(node.task, node.task), node.stage) for node in self.nodes}
        edges = tuple(Edge(moved[edge.source], moved[edge.target]) for edge in self.edges)
        plans = {names.get(task, task): stages for task, stages in self.plans.items()}
        return SearchSpace(plans, edges)

    def __len__(self) -> int:
        return len(self.edges)

    def __repr__(self) -> str:
        stages = " + ".join(f"{task} × {len(stages)} stages" for task, stages in self.plans.items())
        return f"SearchSpace({stages}, {len(self)} candidate edges)"

    def to_json(self) -> dict:
        plans = {}
        for task, stages in self.plans.items():
            channels = [stage.channels for stage in stages]
            plans[task] = {"channels": channels, "groups": group_sizes(stages)}
        return {"plans": plans, "edges": [str(edge) for edge in self.edges]}

    @classmethod
    def from_json(cls, data: Mapping) -> SearchSpace:
        try:
            plans = {task: plan(p["channels"], p["groups"]) for task, p in data["plans"].items()}
            edges = data["edges"]
        except (KeyError, TypeError, AttributeError) as error:
            raise SpaceError(
                f"this is not a search space: {error!r}; a space has plans (channels, groups) and edges"
            ) from None
        if not isinstance(edges, list | tuple):
            raise SpaceError(f"this is not a search space: its edges are {told(edges)}, not a list")
        return cls(plans, tuple(Edge.parse(text) for text in edges))
