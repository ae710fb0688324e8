"""Checks of notebook 03: candidate edges, their rules and numbers, exchanged names, the order of computation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...core.space import Edge, Node, Plan, SearchSpace, not_deeper, other_task, plan, within
from ...errors import MTLNASError
from ..checking import Wrong, exercise
from .common import RIGHT, YOURS, bars, close, differ, kind, near_misses, numbers, truth

VGG16 = [2, 2, 3, 3, 3]


def plans(groups=VGG16, tasks=("segmentation", "normals")) -> dict[str, Plan]:
    """Like backbones with these groups; channels do not matter here."""
    return dict.fromkeys(tasks, plan([8] * sum(groups), groups))


RESNET50 = [3, 4, 6, 3]


@exercise("03.entering")
def entering(answer, ax):
    """How many edges enter a stage."""
    indices = [index for size in RESNET50 for index in range(size)]
    right = [min(index + 1, 3) for index in indices]
    yours = numbers(answer, [(index, 3) for index in indices], "how many edges enter")
    ax.step(range(16), right, where="mid", color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(yours, "o", color=YOURS, label="yours")
    ax.set(
        xlabel="stage of ResNet-50, groups of 3, 4, 6 and 3",
        ylabel="edges that enter",
        ylim=(-0.4, 7.4),
    )
    ax.legend(loc="best", frameon=False, ncols=2)
    _judge_entering(yours, right, indices)

    # the smallest and a larger limit, for whoever wrote the 3 into the function
    one = numbers(answer, [(index, 1) for index in range(3)], "how many edges enter")
    if not close(one, [1, 1, 1]):
        told = ", ".join(f"{value:g}" for value in one.tolist())
        raise Wrong(
            f"right for limit 3; with limit 1 only the twin is left, one edge everywhere, but yours gives {told}"
        )
    five = numbers(answer, [(index, 5) for index in range(8)], "how many edges enter")
    longer = [1, 2, 3, 4, 5, 5, 5, 5]
    if not close(five, longer):
        places = [f"for index {index} and limit 5" for index in range(8)]
        raise Wrong(f"right for limit 3, but {differ(longer, five, places)}")
    return "1, 2, 3, and then no more: the first stage of a group has but its twin to read."


def _judge_entering(yours: np.ndarray, right: list[int], indices: list[int]) -> None:
    # the notebook draws the twin beside the stage, not behind it: it is easily forgotten …
    twin = "a stage may also read its twin, the stage of its own number: index 0 has one source, not none"
    for wrong in (indices, [min(index, 3) for index in indices]):
        near_misses(yours, right, {twin: wrong})
    # … or counted beside the limit instead of within it
    counted = (
        "the sources are the last `limit` stages, its twin counted: with limit 3 at most three"
    )
    for wrong in ([min(index + 1, 4) for index in indices], [min(index, 2) for index in indices]):
        near_misses(yours, right, {counted: wrong})

    without_limit = [index + 1 for index in indices]
    larger_one = [max(index + 1, 3) for index in indices]
    mistakes = {
        "a stage reads at most `limit` sources, however many of its group lie behind it": without_limit,
        "max gives the larger one; at most `limit` is the smaller one of two numbers": larger_one,
    }
    places = [f"for index {index} and limit 3" for index in indices]
    told = differ(right, yours, places)
    near_misses(
        yours,
        right,
        mistakes,
        f"for indices 0 to 5 and limit 3 it should be [1, 2, 3, 3, 3, 3]; {told}",
    )


Pair = tuple[int, int]  # the stage of the source, the stage of the target


def _allowed(rule: Callable, source: str, target: str, both: dict[str, Plan]) -> set[Pair]:
    """The pairs of stages for which a rule says yes, from one task to another."""
    pairs = set()
    for j in range(13):
        for i in range(13):
            said = rule(Node(source, i), Node(target, j), both)
            if truth(said, "whether this source may be read"):
                pairs.add((i, j))
    return pairs


@exercise("03.resolution")
def resolution(answer, ax):
    """A rule by resolution."""
    both = plans()
    yours = _allowed(answer, "segmentation", "normals", both)
    if yours != _allowed(answer, "normals", "segmentation", both):
        raise Wrong("the rule should not depend on which task reads: look at groups, not at names")
    inside = _allowed(answer, "segmentation", "segmentation", both)

    groups = [stage.group for stage in both["normals"]]
    size = [SIDES[group] for group in groups]
    pairs = {(i, j) for j in range(13) for i in range(13)}
    right = {(i, j) for i, j in pairs if size[i] == size[j]}
    _draw_pairs(ax, right, "right", s=30, marker="s", color=RIGHT, alpha=0.4)
    _draw_pairs(ax, yours, "yours", s=8, color=YOURS)
    ax.set(
        xlabel="stage of the target",
        ylabel="stage of the source",
        xticks=range(0, 13, 2),
        yticks=range(0, 13, 4),
    )
    ax.invert_yaxis()
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    same_group = {(i, j) for i, j in pairs if groups[i] == groups[j]}
    _judge_resolution(yours, right, same_group)
    if yours == pairs - right:
        raise Wrong("turned round: yours allows the pairs whose maps differ in size")
    if yours != right:
        i, j = min(yours ^ right)
        word = f"have maps of {size[i]} and {size[j]} pixels"
        if (i, j) in right:
            word = "have maps of one size"
        raise Wrong(f"stages {i} and {j} {word}, but your rule says {(i, j) in yours}")
    if inside != right:
        raise Wrong(
            "a rule says one thing: that source and target are of different tasks is another rule's affair"
        )
    _judge_unlike_plans(answer)
    # the answer in the place of the library's same_group
    edges = len(SearchSpace.build(both, (other_task, not_deeper, answer, within(3))))
    return (
        f"With it the space has {edges} edges, six more: 8 → 10, 9 → 10 and 9 → 11, both ways. The paper's count is "
        "48."
    )


SIDES = (64, 32, 16, 8, 8)  # of a map, in pixels, group by group: the last pooling is left out


def _draw_pairs(ax, pairs: set[Pair], label: str, **style) -> None:
    targets = [j for _, j in pairs]
    sources = [i for i, _ in pairs]
    ax.scatter(targets, sources, label=label, **style)


def _judge_resolution(yours: set[Pair], right: set[Pair], same_group: set[Pair]) -> None:
    """What a rule says that looks at something else than sizes, or at more."""
    if yours == same_group:
        raise Wrong(
            "this compares groups, and gives 48 edges again: maps of groups 3 and 4 have the same size, 8 × 8"
        )
    # the three other rules of the space, built in once more: the product would be right, this rule is not
    another = "a rule says one thing: "
    not_below = {(i, j) for i, j in right if i <= j}
    near = {(i, j) for i, j in right if j - i < 3}
    if yours == not_below:
        raise Wrong(f"{another}that the source is not deeper is another rule's affair")
    if yours == near:
        raise Wrong(f"{another}how far apart the stages are is another rule's affair")
    if yours == not_below & near:
        raise Wrong(
            f"{another}that the source is not deeper, and not far, is the affair of other rules"
        )
    without_twins = {(i, j) for i, j in right if i != j}
    if yours == without_twins:
        raise Wrong(
            "twins have maps of one size, too: stage 3 may read stage 3 of the other network"
        )


def _judge_unlike_plans(answer: Callable) -> None:
    """Two networks of unlike depth: one plan looked up for both ends is found out."""
    short = plan([8] * 5, [1, 1, 1, 1, 1])
    long = plan([8] * 6, [2, 1, 1, 1, 1])
    unlike = {"a": short, "b": long}
    for i, source in enumerate(short):
        for j, target in enumerate(long):
            one_size = SIDES[source.group] == SIDES[target.group]
            said = answer(Node("a", i), Node("b", j), unlike)
            if truth(said, "whether this source may be read") != one_size:
                raise Wrong(
                    "right where both networks have one plan; but each stage should be looked up in the plan of its "
                    "own task, plans[source.task] and plans[target.task]"
                )


COUNTED = {  # name → groups, tasks, limit
    "VGG-16": (VGG16, 2, 3),
    "limit 1": (VGG16, 2, 1),
    "ResNet-50": (RESNET50, 2, 3),
    "3 tasks": (VGG16, 3, 3),
    "4 tasks": (VGG16, 4, 3),
}


@exercise("03.count")
def count(answer, ax):
    """Counting without listing."""
    right = _counts(_reads_at_most)
    arguments = [(list(groups), tasks, limit) for groups, tasks, limit in COUNTED.values()]
    yours = numbers(answer, arguments, "how many candidate edges there are")
    bars(ax, right, yours, list(COUNTED), "candidate edges")
    said = differ(right, yours, [f"{name}:" for name in COUNTED])
    near_misses(
        yours,
        right,
        _wrong_counts(right),
        f"{said}. Add up min(index + 1, limit) over all stages, times the number of directions",
    )
    return "Edges grow with the square of the tasks, architectures like 2 to the power of that."


def _reads_at_most(index: int, limit: int) -> int:
    """How many stages the stage of this index in its group reads: itself and those before it."""
    return min(index + 1, limit)


def _both_ways(tasks: int) -> int:
    return tasks * (tasks - 1)


def _counts(
    sources: Callable[[int, int], int], directions: Callable[[int], int] = _both_ways
) -> list[int]:
    """For each of COUNTED: Σ over its stages of sources(index, limit), times directions(tasks)."""
    counts = []
    for groups, tasks, limit in COUNTED.values():
        one_way = 0
        for size in groups:
            for index in range(size):
                one_way += sources(index, limit)
        counts.append(directions(tasks) * one_way)
    return counts


def _wrong_counts(right: list[int]) -> dict[str, list[float]]:
    """Sentence → the five counts that this mistake gives."""
    # how often one direction is counted; for two tasks some of these come to the same, hence three and four
    halves = [edges / 2 for edges in right]
    one_direction = _counts(_reads_at_most, lambda tasks: 1)
    once_a_task = _counts(_reads_at_most, lambda tasks: tasks)
    always_two = _counts(_reads_at_most, lambda tasks: 2)
    squared = _counts(_reads_at_most, lambda tasks: tasks**2)
    # how many sources a stage has
    without_limit = _counts(lambda index, limit: index + 1)
    always_the_limit = _counts(lambda index, limit: limit)
    without_twin = _counts(lambda index, limit: min(index, limit))
    # the index runs through the whole network: as if it were one group
    one_group = []
    for groups, tasks, limit in COUNTED.values():
        one_way = sum(_reads_at_most(index, limit) for index in range(sum(groups)))
        one_group.append(_both_ways(tasks) * one_way)
    mistakes = {
        "each pair of tasks is joined both ways: A reads B, and B reads A": halves,
        "these are the edges of one direction; from each task to each other one there are as many": (
            one_direction
        ),
        "right for two tasks; with three, each one has two others to read: tasks · (tasks − 1) directions": (
            once_a_task
        ),
        "right for two tasks; more tasks have more pairs: tasks · (tasks − 1) directions": always_two,
        "tasks² directions are too many: no task reads itself, so there are tasks · (tasks − 1)": squared,
        "without the limit: in ResNet-50's groups of 4 and 6 it bites, and limit 1 leaves the twins alone": (
            without_limit
        ),
        "this is `limit` edges for each stage; the first stages of a group have fewer sources: min(index + 1, limit)": (
            always_the_limit
        ),
        "a stage reads its twin, too: min(index + 1, limit), where index counts from 0": without_twin,
        "groups are not looked at: a stage reads stages of its own group alone, and the index begins anew in each": (
            one_group
        ),
    }
    return mistakes


@exercise("03.renamed")
def renamed(answer, ax):
    """An edge under exchanged names."""
    space = SearchSpace.build(plans())
    yours = _edges([answer(edge) for edge in space.edges])
    right = [Edge(_partner(edge.source), _partner(edge.target)) for edge in space.edges]
    _draw_partners(ax, space, right, "right", s=34, color=RIGHT, alpha=0.4)
    _draw_partners(ax, space, yours, "yours", s=8, color=YOURS)
    ax.set(xlabel="number of the edge", ylabel="number of its partner")
    ax.legend(loc="best", frameon=False)

    if yours == list(space.edges):
        raise Wrong("this is the same edge; the names should be exchanged")
    reversed_arrows = [Edge(edge.target, edge.source) for edge in space.edges]
    if yours == reversed_arrows:
        raise Wrong(
            "you turned the arrow round: stage 2 → 3 became 3 → 2, which runs back and is not a candidate. Exchange "
            "the names and leave the stages where they are. (For edges between twins both come to the same)"
        )
    for edge in yours:
        if edge.source.task == edge.target.task:
            raise Wrong(f"{edge} stays inside one network: both ends must get the other name")
    for old, mine, partner in zip(space.edges, yours, right):
        if mine != partner:
            raise Wrong(f"{old} becomes {partner} under exchanged names; yours is {mine}")
    return (
        "Every edge has a partner and none is its own. So 2⁴⁸ architectures are (2⁴⁸ + 2²⁴) / 2 up to the names: "
        "all come in twos but the 2²⁴ that treat both tasks alike."
    )


def _edges(given: list) -> list[Edge]:
    """What an answer gave for each edge, as edges; a text such as 'normals:2 -> segmentation:3' will do."""
    try:
        edges = [Edge.parse(edge) if isinstance(edge, str) else edge for edge in given]
    except MTLNASError as error:
        raise Wrong(f"give an Edge: {error}") from None
    for edge in edges:
        if not isinstance(edge, Edge):
            raise Wrong(f"give an Edge, Edge(source, target); yours is {kind(edge)}")
        if not (isinstance(edge.source, Node) and isinstance(edge.target, Node)):
            raise Wrong(
                "both ends of an Edge are nodes: Edge(Node(task, stage), Node(task, stage))"
            )
    return edges


def _partner(node: Node) -> Node:
    """The node of the same stage in the other network."""
    names = {"segmentation": "normals", "normals": "segmentation"}
    return Node(names[node.task], node.stage)


def _draw_partners(ax, space: SearchSpace, edges: list[Edge], label: str, **style) -> None:
    # an answer may give edges that the space does not have: they have no number, and are not drawn
    numbers_here = []
    partners = []
    for number, edge in enumerate(edges):
        if edge in space.edges:
            numbers_here.append(number)
            partners.append(space.edges.index(edge))
    ax.scatter(numbers_here, partners, label=label, **style)


@exercise("03.split")
def split(answer, ax):
    """An edge between features and fused features."""
    import networkx as nx

    # each node in two: features go into fused, fused of one stage into the features of the next
    space = SearchSpace.build(plans())
    graph = nx.DiGraph()
    for node in space.nodes:
        graph.add_edge(f"{node}/features", f"{node}/fused")
        if node.stage:
            graph.add_edge(f"{Node(node.task, node.stage - 1)}/fused", f"{node}/features")
    known = set(graph)
    kinds = set()
    for edge in space.edges:
        source, target = _split_ends(answer(edge), edge, known)
        kinds.add(f"{source.split('/')[1]} → {target.split('/')[1]}")
        graph.add_edge(source, target)

    # a strongly connected part of more than one node: each of them needs another one first
    waiting = set()
    for part in nx.strongly_connected_components(graph):
        if len(part) > 1:
            waiting |= part
    counts = [0] * 13
    for node in waiting:
        counts[Node.parse(node.split("/")[0]).stage] += 1
    ax.bar(range(13), counts, color=YOURS, label="yours")
    ax.axhline(0, color=RIGHT, lw=4, alpha=0.5, label="computable")
    ax.set(xlabel="stage", ylabel="nodes in a cycle", xticks=range(0, 13, 2), ylim=(-0.2, 5.5))
    ax.legend(loc="best", frameon=False, ncols=2)
    if waiting:
        raise Wrong(
            f"with {' and '.join(sorted(kinds))} {len(waiting)} nodes wait for each other. An edge reads what a "
            "stage puts out before anything was mixed in"
        )
    # from features to features is computable, too, but then an edge reads what another edge brought
    if kinds != {"features → fused"}:
        raise Wrong(f"computable, but not this space: yours runs {' and '.join(sorted(kinds))}")
    return "All features of a stage first, then all fusions: nobody waits for anybody."


def _split_ends(ends: object, edge: Edge, known: set[str]) -> tuple[str, str]:
    """The two names that an answer gives for an edge, if they are names of its ends."""
    pair = isinstance(ends, (tuple, list)) and len(ends) == 2
    if not pair or not all(isinstance(end, str) for end in ends):
        raise Wrong("give two names, as in ('segmentation:2/features', 'normals:3/fused')")
    for end in ends:
        if end not in known:
            raise Wrong(
                f"there is no node {end!r}; nodes are called 'normals:3/features' and 'normals:3/fused'"
            )
    source, target = ends
    if source.split("/")[0] != str(edge.source) or target.split("/")[0] != str(edge.target):
        raise Wrong(
            f"{edge} should begin at {edge.source} and end at {edge.target}; yours runs {source} → {target}"
        )
    return source, target
