"""Checks of notebook 03: candidate edges, their rules and numbers, exchanged names, the order of computation."""

from __future__ import annotations

from ..space import Edge, Node, Plan, SearchSpace, not_deeper, other_task, plan, within
from .book import Wrong, exercise

RIGHT, YOURS = "#4575b4", "#b35806"
VGG16, RESNET50 = [2, 2, 3, 3, 3], [3, 4, 6, 3]


def plans(groups=VGG16, tasks=("segmentation", "normals")) -> dict[str, Plan]:
    """Like backbones with these groups; channels do not matter here."""
    return dict.fromkeys(tasks, plan([8] * sum(groups), groups))


@exercise("03.entering")
def entering(answer, ax):
    """How many edges enter a stage."""
    places = [index for size in RESNET50 for index in range(size)]
    right = [min(index + 1, 3) for index in places]
    yours = [float(answer(index, 3)) for index in places]
    ax.step(range(16), right, where="mid", color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(yours, "o", color=YOURS, label="yours")
    ax.set(
        xlabel="stage of ResNet-50, groups of 3, 4, 6 and 3",
        ylabel="edges that enter",
        ylim=(-0.4, 7.4),
    )
    ax.legend(frameon=False, ncols=2)
    if yours == places or yours == [min(index, 3) for index in places]:
        raise Wrong(
            "a stage may also read its twin, the stage of its own number: index 0 has one source, not none"
        )
    if yours == [index + 1 for index in places]:
        raise Wrong(
            "a stage reads at most `limit` sources, however many of its group lie behind it"
        )
    if yours == [min(index + 1, 4) for index in places] or yours == [
        min(index, 2) for index in places
    ]:
        raise Wrong(
            "the sources are the last `limit` stages, its twin counted: with limit 3 at most three"
        )
    if yours != right:
        raise Wrong(
            f"for indices 0 to 5 and limit 3 it should be [1, 2, 3, 3, 3, 3]; yours is {yours[7:13]}"
        )
    if (one := [float(answer(index, 1)) for index in range(3)]) != [1, 1, 1]:
        raise Wrong(
            "right for limit 3; with limit 1 only the twin is left, one edge everywhere, but yours gives "
            f"{one}"
        )
    return "1, 2, 3, and then no more: the first stage of a group has but its twin to read."


@exercise("03.resolution")
def resolution(answer, ax):
    """A rule by resolution."""
    both, names = plans(), ("segmentation", "normals")
    pairs = [(i, j) for j in range(13) for i in range(13)]
    allowed = {
        way: {(i, j) for i, j in pairs if bool(answer(Node(way[0], i), Node(way[1], j), both))}
        for way in (names, names[::-1])
    }
    if allowed[names] != allowed[names[::-1]]:
        raise Wrong("the rule should not depend on which task reads: look at groups, not at names")
    size = [(64, 32, 16, 8, 8)[stage.group] for stage in both["normals"]]
    right, yours = {(i, j) for i, j in pairs if size[i] == size[j]}, allowed[names]
    for chosen, style, label in (
        (right, {"s": 30, "marker": "s", "color": RIGHT, "alpha": 0.4}, "right"),
        (yours, {"s": 8, "color": YOURS}, "yours"),
    ):
        ax.scatter([j for _, j in chosen], [i for i, _ in chosen], label=label, **style)
    ax.set(
        xlabel="stage of the target",
        ylabel="stage of the source",
        xticks=range(0, 13, 2),
        yticks=range(0, 13, 4),
    )
    ax.invert_yaxis()
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    if yours == {(i, j) for i, j in pairs if both["normals"][i].group == both["normals"][j].group}:
        raise Wrong(
            "this compares groups, and gives 48 edges again: maps of groups 3 and 4 have the same size, 8 × 8"
        )
    if yours == right - {(i, j) for i, j in right if i > j}:
        raise Wrong("a rule says one thing: that the source is not deeper is another rule's affair")
    if yours != right:
        i, j = min(yours ^ right)
        word = (
            "have maps of one size"
            if (i, j) in right
            else f"have maps of {size[i]} and {size[j]} pixels"
        )
        raise Wrong(f"stages {i} and {j} {word}, but your rule says {(i, j) in yours}")
    edges = len(SearchSpace.build(both, (other_task, not_deeper, answer, within(3))))
    return (
        f"With it the space has {edges} edges, six more: 8 → 10, 9 → 10 and 9 → 11, both ways. The paper's count "
        "is 48."
    )


@exercise("03.count")
def count(answer, ax):
    """Counting without listing."""
    cases = {
        "VGG-16": (VGG16, 2, 3),
        "limit 1": (VGG16, 2, 1),
        "ResNet-50": (RESNET50, 2, 3),
        "3 tasks": (VGG16, 3, 3),
        "4 tasks": (VGG16, 4, 3),
    }
    inside = {
        name: sum(min(i + 1, limit) for size in groups for i in range(size))
        for name, (groups, _, limit) in cases.items()
    }
    right = [tasks * (tasks - 1) * inside[name] for name, (_, tasks, _) in cases.items()]
    yours = [float(answer(list(groups), tasks, limit)) for groups, tasks, limit in cases.values()]
    for offset, values, colour, label in (
        (-0.2, right, RIGHT, "right"),
        (0.2, yours, YOURS, "yours"),
    ):
        ax.bar([i + offset for i in range(5)], values, 0.36, color=colour, label=label)
    ax.set_xticks(range(5), cases)
    ax.set(ylabel="candidate edges")
    ax.legend(frameon=False)
    ways = [tasks for _, tasks, _ in cases.values()]
    if yours == [number / 2 for number in right]:
        raise Wrong("each pair of tasks is joined both ways: A reads B, and B reads A")
    if yours == list(inside.values()):
        raise Wrong(
            "these are the edges of one direction; from each task to each other one there are as many"
        )
    if yours == [tasks * one for tasks, one in zip(ways, inside.values())]:
        raise Wrong(
            "right for two tasks; with three, each one has two others to read: tasks · (tasks − 1) directions"
        )
    if yours == [2 * one for one in inside.values()]:
        raise Wrong(
            "right for two tasks; more tasks have more pairs: tasks · (tasks − 1) directions"
        )
    if yours == [
        t * (t - 1) * sum(n * (n + 1) // 2 for n in groups) for groups, t, _ in cases.values()
    ]:
        raise Wrong(
            "without the limit: in ResNet-50's groups of 4 and 6 it bites, and limit 1 leaves the twins alone"
        )
    for name, mine, one in zip(cases, yours, right):
        if mine != one:
            raise Wrong(
                f"{name}: it should be {one}, yours is {mine:g}. Add up min(index + 1, limit) over all stages, "
                "times the number of directions"
            )
    return "Edges grow with the square of the tasks, architectures like 2 to the power of that."


@exercise("03.renamed")
def renamed(answer, ax):
    """An edge under exchanged names."""
    space = SearchSpace.build(plans())
    yours = [answer(edge) for edge in space.edges]
    yours = [Edge.parse(edge) if isinstance(edge, str) else edge for edge in yours]
    if not all(isinstance(edge, Edge) for edge in yours):
        raise Wrong(f"give an Edge; yours is a {type(yours[0]).__name__}")
    right = list(space.rename({"segmentation": "normals", "normals": "segmentation"}).edges)
    right = [
        edge
        for old in space.edges
        for edge in right
        if (edge.source.stage, edge.target.stage) == (old.source.stage, old.target.stage)
        and edge.source.task == old.target.task
    ]
    for edges, style, label in (
        (right, {"s": 34, "color": RIGHT, "alpha": 0.4}, "right"),
        (yours, {"s": 8, "color": YOURS}, "yours"),
    ):
        there = [
            (i, space.edges.index(edge)) for i, edge in enumerate(edges) if edge in space.edges
        ]
        ax.scatter(*zip(*there) if there else ([], []), label=label, **style)
    ax.set(xlabel="number of the edge", ylabel="number of its partner")
    ax.legend(frameon=False)
    if yours == list(space.edges):
        raise Wrong("this is the same edge; the names should be exchanged")
    if yours == [Edge(edge.target, edge.source) for edge in space.edges]:
        raise Wrong(
            "you turned the arrow round: stage 2 → 3 became 3 → 2, which runs back and is no candidate. "
            "Exchange the "
            "names and leave the stages where they are. (For edges between twins both come to the same)"
        )
    inside = next((edge for edge in yours if edge.source.task == edge.target.task), None)
    if inside:
        raise Wrong(f"{inside} stays inside one network: both ends must get the other name")
    wrong = next(
        ((old, mine, one) for old, mine, one in zip(space.edges, yours, right) if mine != one), None
    )
    if wrong:
        old, mine, one = wrong
        raise Wrong(f"{old} becomes {one} under exchanged names; yours is {mine}")
    return (
        "Every edge has a partner and none is its own. So 2⁴⁸ architectures are (2⁴⁸ + 2²⁴) / 2 up to the names: "
        "all come in twos but the 2²⁴ that treat both tasks alike."
    )


@exercise("03.split")
def split(answer, ax):
    """An edge between features and fused features."""
    import networkx as nx

    space, graph = SearchSpace.build(plans()), nx.DiGraph()
    for node in space.nodes:
        graph.add_edge(f"{node}/features", f"{node}/fused")
        if node.stage:
            graph.add_edge(f"{Node(node.task, node.stage - 1)}/fused", f"{node}/features")
    known, kinds = set(graph), set()
    for edge in space.edges:
        ends = answer(edge)
        if (
            not isinstance(ends, (tuple, list))
            or len(ends) != 2
            or not all(isinstance(end, str) for end in ends)
        ):
            raise Wrong("give two names, as in ('segmentation:2/features', 'normals:3/fused')")
        if missing := [end for end in ends if end not in known]:
            raise Wrong(
                f"there is no node {missing[0]!r}; nodes are called 'normals:3/features' and 'normals:3/fused'"
            )
        if (ends[0].split("/")[0], ends[1].split("/")[0]) != (str(edge.source), str(edge.target)):
            raise Wrong(
                f"{edge} should begin at {edge.source} and end at {edge.target}; yours runs {ends[0]} → "
                f"{ends[1]}"
            )
        kinds.add(f"{ends[0].split('/')[1]} → {ends[1].split('/')[1]}")
        graph.add_edge(*ends)
    waiting = {
        node for part in nx.strongly_connected_components(graph) if len(part) > 1 for node in part
    }
    counts = [
        sum(node.split("/")[0].endswith(f":{stage}") for node in waiting) for stage in range(13)
    ]
    ax.bar(range(13), counts, color=YOURS, label="yours")
    ax.axhline(0, color=RIGHT, lw=4, alpha=0.5, label="computable")
    ax.set(xlabel="stage", ylabel="nodes in a cycle", xticks=range(0, 13, 2), ylim=(-0.2, 5.5))
    ax.legend(frameon=False, ncols=2)
    if waiting:
        raise Wrong(
            f"with {' and '.join(sorted(kinds))} {len(waiting)} nodes wait for each other. An edge reads "
            "what a stage "
            "puts out before anything was mixed in"
        )
    if kinds != {"features → fused"}:
        raise Wrong(f"computable, but not this space: yours runs {' and '.join(sorted(kinds))}")
    return "All features of a stage first, then all fusions: nobody waits for anybody."
