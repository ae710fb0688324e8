"""Checks of notebook 03: candidate edges, their rules and numbers, exchanged names, the order of computation."""

from __future__ import annotations

from ...core.space import Edge, Node, Plan, SearchSpace, not_deeper, other_task, plan, within
from ...errors import MTLNASError
from ..checking import Wrong, exercise
from .common import close, differ, kind, near_misses, numbers, truth

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
    yours = numbers(answer, [(index, 3) for index in places], "how many edges enter")
    ax.step(range(16), right, where="mid", color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(yours, "o", color=YOURS, label="yours")
    ax.set(
        xlabel="stage of ResNet-50, groups of 3, 4, 6 and 3",
        ylabel="edges that enter",
        ylim=(-0.4, 7.4),
    )
    ax.legend(frameon=False, ncols=2)
    twin = "a stage may also read its twin, the stage of its own number: index 0 has one source, not none"
    counted = (
        "the sources are the last `limit` stages, its twin counted: with limit 3 at most three"
    )
    at = [f"for index {index} and limit 3" for index in places]
    said = f"for indices 0 to 5 and limit 3 it should be [1, 2, 3, 3, 3, 3]; {differ(right, yours, at)}"
    for wrong, why in (
        (places, twin),
        ([min(index, 3) for index in places], twin),
        (
            [index + 1 for index in places],
            "a stage reads at most `limit` sources, however many of its group lie behind it",
        ),
        ([min(index + 1, 4) for index in places], counted),
        ([min(index, 2) for index in places], counted),
        (
            [max(index + 1, 3) for index in places],
            "max gives the larger one; at most `limit` is the smaller one of two numbers",
        ),
    ):
        if close(yours, wrong):
            raise Wrong(why)
    near_misses(yours, right, {}, said)
    one = numbers(answer, [(index, 1) for index in range(3)], "how many edges enter")
    if not close(one, [1, 1, 1]):
        told = ", ".join(f"{value:g}" for value in one.tolist())
        raise Wrong(
            f"right for limit 3; with limit 1 only the twin is left, one edge everywhere, but yours gives {told}"
        )
    five = numbers(answer, [(index, 5) for index in range(8)], "how many edges enter")
    longer = [1, 2, 3, 4, 5, 5, 5, 5]
    if not close(five, longer):
        at = [f"for index {index} and limit 5" for index in range(8)]
        raise Wrong(f"right for limit 3, but {differ(longer, five, at)}")
    return "1, 2, 3, and then no more: the first stage of a group has but its twin to read."


@exercise("03.resolution")
def resolution(answer, ax):
    """A rule by resolution."""
    both, names = plans(), ("segmentation", "normals")
    pairs = [(i, j) for j in range(13) for i in range(13)]
    what = "whether this source may be read"

    def allows(way):
        nodes = [(Node(way[0], i), Node(way[1], j)) for i, j in pairs]
        said = [truth(answer(*ends, both), what) for ends in nodes]
        return {pair for pair, yes in zip(pairs, said) if yes}

    yours = allows(names)
    if yours != allows(names[::-1]):
        raise Wrong("the rule should not depend on which task reads: look at groups, not at names")
    inside = allows(names[:1] * 2)
    size = [(64, 32, 16, 8, 8)[stage.group] for stage in both["normals"]]
    right = {(i, j) for i, j in pairs if size[i] == size[j]}
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
    another = "a rule says one thing: "
    if yours == {(i, j) for i, j in right if i <= j}:
        raise Wrong(f"{another}that the source is not deeper is another rule's affair")
    if yours == {(i, j) for i, j in right if j - i < 3}:
        raise Wrong(f"{another}how far apart the stages are is another rule's affair")
    if yours == {(i, j) for i, j in right if 0 <= j - i < 3}:
        raise Wrong(
            f"{another}that the source is not deeper, and not far, is the affair of other rules"
        )
    if yours == {(i, j) for i, j in right if i != j}:
        raise Wrong(
            "twins have maps of one size, too: stage 3 may read stage 3 of the other network"
        )
    if yours == set(pairs) - right:
        raise Wrong("turned round: yours allows the pairs whose maps differ in size")
    if yours != right:
        i, j = min(yours ^ right)
        word = (
            "have maps of one size"
            if (i, j) in right
            else f"have maps of {size[i]} and {size[j]} pixels"
        )
        raise Wrong(f"stages {i} and {j} {word}, but your rule says {(i, j) in yours}")
    if inside != right:
        raise Wrong(
            f"{another}that source and target are of different tasks is another rule's affair"
        )
    unlike = {"a": plan([8] * 5, [1, 1, 1, 1, 1]), "b": plan([8] * 6, [2, 1, 1, 1, 1])}
    for i, j in ((i, j) for i in range(5) for j in range(6)):
        one_size = (64, 32, 16, 8, 8)[i] == (64, 64, 32, 16, 8, 8)[j]
        if truth(answer(Node("a", i), Node("b", j), unlike), what) != one_size:
            raise Wrong(
                "right where both networks have one plan; but each stage should be looked up in the plan of its own "
                "task, plans[source.task] and plans[target.task]"
            )
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
    arguments = [(list(groups), tasks, limit) for groups, tasks, limit in cases.values()]
    yours = numbers(answer, arguments, "how many candidate edges there are")
    for offset, values, colour, label in (
        (-0.2, right, RIGHT, "right"),
        (0.2, yours, YOURS, "yours"),
    ):
        ax.bar([i + offset for i in range(5)], values, 0.36, color=colour, label=label)
    ax.set_xticks(range(5), cases)
    ax.set(ylabel="candidate edges")
    ax.legend(frameon=False)
    ways = [tasks for _, tasks, _ in cases.values()]
    halves = [edges / 2 for edges in right]
    endless = {
        name: sum(size * (size + 1) // 2 for size in groups)
        for name, (groups, _, _) in cases.items()
    }
    almost = {
        "each pair of tasks is joined both ways: A reads B, and B reads A": halves,
        "these are the edges of one direction; from each task to each other one there are as many": [
            *inside.values()
        ],
        "right for two tasks; with three, each one has two others to read: tasks · (tasks − 1) directions": [
            tasks * one for tasks, one in zip(ways, inside.values())
        ],
        "right for two tasks; more tasks have more pairs: tasks · (tasks − 1) directions": [
            2 * one for one in inside.values()
        ],
        "tasks² directions are too many: no task reads itself, so there are tasks · (tasks − 1)": [
            tasks**2 * one for tasks, one in zip(ways, inside.values())
        ],
        "without the limit: in ResNet-50's groups of 4 and 6 it bites, and limit 1 leaves the twins alone": [
            tasks * (tasks - 1) * one for tasks, one in zip(ways, endless.values())
        ],
        "this is `limit` edges for each stage; the first stages of a group have fewer sources: min(index + 1, limit)": [
            tasks * (tasks - 1) * limit * sum(groups) for groups, tasks, limit in cases.values()
        ],
        "a stage reads its twin, too: min(index + 1, limit), where index counts from 0": [
            tasks * (tasks - 1) * sum(min(i, limit) for size in groups for i in range(size))
            for groups, tasks, limit in cases.values()
        ],
        "groups are not looked at: a stage reads stages of its own group alone, and the index begins anew in each": [
            tasks * (tasks - 1) * sum(min(i + 1, limit) for i in range(sum(groups)))
            for groups, tasks, limit in cases.values()
        ],
    }
    said = differ(right, yours, [f"{name}:" for name in cases])
    near_misses(
        yours,
        right,
        almost,
        f"{said}. Add up min(index + 1, limit) over all stages, times the number of directions",
    )
    return "Edges grow with the square of the tasks, architectures like 2 to the power of that."


@exercise("03.renamed")
def renamed(answer, ax):
    """An edge under exchanged names."""
    space = SearchSpace.build(plans())
    yours = [answer(edge) for edge in space.edges]
    try:
        yours = [Edge.parse(edge) if isinstance(edge, str) else edge for edge in yours]
    except MTLNASError as error:
        raise Wrong(f"give an Edge: {error}") from None
    for edge in yours:
        if not isinstance(edge, Edge):
            raise Wrong(f"give an Edge, Edge(source, target); yours is {kind(edge)}")
        if not (isinstance(edge.source, Node) and isinstance(edge.target, Node)):
            raise Wrong(
                "both ends of an Edge are nodes: Edge(Node(task, stage), Node(task, stage))"
            )
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
