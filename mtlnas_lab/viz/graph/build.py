"""Fusion graphs as networkx graphs that other tools can read, and where their nodes stand."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from ...core.space import Edge, Node, SearchSpace
from ...errors import SpaceError
from ..seeing import mark, sights
from ..sources import opened, read_source

GROUP_GAP = 0.55  # between two groups of stages, in distances of two stages
SPLIT = 0.72  # from the features of a stage to its fused features, in the same unit
FEATURES = "/features"  # ends the names of the two nodes that a split node becomes
FUSED = "/fused"


def fusion_graph(
    source,
    alpha: Sequence[float] | None = None,
    *,
    step: int | None = None,
    split: bool = False,
    dropped: bool = True,
) -> nx.DiGraph:
    """Make the graph of a search space, an architecture, an event log, a run, a search or a lab.

    Nodes are named `normals:3` and come lane by lane. Node data: task, stage, lane, group, index, size, channels, kind
    ('stage'), label. Edge data: kind ('backbone' or 'fusion') and, for fusion edges, probability σ(α) and kept. All of
    plain types, which GraphML, GEXF and JSON carry. Where a network does not see the image, or did not, nodes also
    have a view and a visibility, and the graph has `seen`, a line for each such network.

    Args:
        source: a SearchSpace, an Architecture, an EventLog, a Run or its folder, a Search or a Lab; a graph is given
            back as it is. A space alone has candidates: probability 1, all kept.
        alpha: (E,) logits, one for each candidate edge in the order of `space.edges`; overrides what the source says.
        step: the graph as it was after that step of the search.
        split: splits a node into kind 'features', what a stage puts out and edges read, and 'fused', what goes on to
            the next stage. That graph is a DAG, while two tasks that read each other at one stage look like a cycle
            in the plain one.
        dropped: False leaves the dropped edges out.

    Returns:
        A directed graph; its data `weights` is 'alpha', or 'none' for a space alone.

    Raises:
        SpaceError: for fewer than two tasks, α with a NaN or of a wrong length, or a step there is not.

    Example:
        >>> from mtlnas_lab import SearchSpace, Stage
        >>> stages = [Stage(channels=8, group=0, index=0, size=1)]
        >>> space = SearchSpace.build({"segmentation": stages, "normals": stages})
        >>> graph = fusion_graph(space, alpha=[2.0, -2.0])
        >>> list(graph)
        ['segmentation:0', 'normals:0']
        >>> for source, target, data in graph.edges(data=True):
        ...     print(source, "->", target, round(data["probability"], 2), data["kept"])
        segmentation:0 -> normals:0 0.12 False
        normals:0 -> segmentation:0 0.88 True
    """
    if isinstance(source, nx.DiGraph):
        return source
    source = opened(source)
    space, probability, kept = read_source(source, alpha, step)
    _check(space, probability)
    weights = "none" if probability is None and kept is None else "alpha"
    if kept is None:  # a space alone: its candidates
        kept = (True,) * len(space)
    if probability is None:
        probability = tuple(float(keep) for keep in kept)
    graph = nx.DiGraph(weights=weights)
    for lane, task in enumerate(space.plans):
        _add_backbone(graph, space, task, lane, split)
    for edge, p, keep in zip(space.edges, probability, kept):
        if keep or dropped:
            graph.add_edge(*ends(edge, split), kind="fusion", probability=float(p), kept=bool(keep))
    eyes = sights(source, step)
    if eyes:
        mark(graph, eyes)
    return graph


def _check(space: SearchSpace, probability: Sequence[float] | None) -> None:
    if len(space.tasks) < 2:
        raise SpaceError(
            f"there is only the task {', '.join(space.tasks)}, and edges run between tasks; give two "
            "tasks or more"
        )
    if probability is not None and len(probability) != len(space):
        raise SpaceError(
            f"{len(probability)} values of α for {len(space)} candidate edges; give one for each, in the "
            "order of space.edges"
        )


def _add_backbone(graph: nx.DiGraph, space: SearchSpace, task: str, lane: int, split: bool) -> None:
    """The nodes of one task and the chain that joins them."""
    before = ""  # the last node of the stage before
    for number, stage in enumerate(space.plans[task]):
        node = str(Node(task, number))
        data = {
            "task": task,
            "stage": number,
            "lane": lane,
            "group": stage.group,
            "index": stage.index,
            "size": stage.size,
            "channels": stage.channels,
            "label": f"{task} {number}",
        }
        if split:
            graph.add_node(node + FEATURES, kind="features", **data)
            graph.add_node(node + FUSED, kind="fused", **data)
            graph.add_edge(node + FEATURES, node + FUSED, kind="backbone")
            first = node + FEATURES
            last = node + FUSED
        else:
            graph.add_node(node, kind="stage", **data)
            first = node
            last = node
        if before:
            graph.add_edge(before, first, kind="backbone")
        before = last


def ends(edge: Edge, split: bool = False) -> tuple[str, str]:
    """The two nodes of the graph that an edge of the space joins; networkx gives edges in an order of its own."""
    if split:
        return f"{edge.source}{FEATURES}", f"{edge.target}{FUSED}"
    return str(edge.source), str(edge.target)


def plain(node: str) -> str:
    """`normals:3` of `normals:3`, `normals:3/features` and `normals:3/fused`."""
    return node.removesuffix(FEATURES).removesuffix(FUSED)


def weights_of(graph: nx.Graph) -> str:
    """What the `probability` of a graph's edges is: 'alpha', 'frequency', 'difference' or 'none'."""
    return graph.graph.get("weights", "alpha")


def is_split(graph: nx.Graph) -> bool:
    """Whether its nodes are split into features and fused features."""
    return any(data["kind"] == "fused" for _, data in graph.nodes(data=True))


def ladder_layout(graph: nx.DiGraph) -> dict[str, tuple[float, float]]:
    """{node: (x, y)}: each task a lane at y = −lane; x counts stages, with a gap between groups of stages.

    Stages of unlike backbones stand by their position: the last stages of a group are above each other.
    """
    widths: dict[int, int] = {}
    for _, data in graph.nodes(data=True):
        widths[data["group"]] = max(widths.get(data["group"], 0), data["size"])
    step = 1.0  # from one stage to the next
    if is_split(graph):
        step += SPLIT
    starts: dict[int, float] = {}
    x = 0.0
    for group in sorted(widths):
        starts[group] = x
        x += widths[group] * step + GROUP_GAP
    places = {}
    for node, data in graph.nodes(data=True):
        group = data["group"]
        share = (data["index"] + 1) / data["size"]  # of the group, at the end of this stage
        x = starts[group] + (share * widths[group] - 1) * step
        if data["kind"] == "fused":
            x += SPLIT
        places[node] = (x, -float(data["lane"]))
    return places
