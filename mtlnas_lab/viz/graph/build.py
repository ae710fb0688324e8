"""Fusion graphs as networkx graphs that other tools can read, where their nodes stand, and one call to draw them."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from ...core.space import Edge, Node
from ...errors import SpaceError
from ..sources import read_source

GROUP_GAP = 0.55  # between two groups of stages, in distances of two stages


SPLIT = 0.72  # from the features of a stage to its fused features, in the same unit


def fusion_graph(
    source,
    alpha: Sequence[float] | None = None,
    *,
    step: int | None = None,
    split: bool = False,
    dropped: bool = True,
) -> nx.DiGraph:
    """The graph of a search space, an architecture, an event log or a run: nodes `normals:3`, lane by lane.

    Node data: task, stage, lane, group, index, size, channels, kind ('stage'), label. Edge data: kind ('backbone' or
    'fusion') and, for fusion edges, probability σ(α) and kept. All of plain types, which GraphML, GEXF and JSON carry.
    `alpha` overrides what the source says; `step`: as it was after that step. A space alone has candidates: probability
    1, all kept.

    `dropped=False` leaves the dropped edges out. `split=True` splits a node into kind 'features', what a stage puts out
    and edges read, and 'fused', what goes on to the next stage; that graph is a DAG, while two tasks that read each
    other at one stage look like a cycle in the plain one. Raises SpaceError for one task, NaN, or a wrong length.
    """
    if isinstance(source, nx.DiGraph):
        return source
    space, probability, kept = read_source(source, alpha, step)
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
    graph = nx.DiGraph(weights="none" if probability is None and kept is None else "alpha")
    kept = kept or (True,) * len(space)  # a space alone: its candidates
    probability = probability or tuple(float(keep) for keep in kept)
    before, behind = ("/features", "/fused") if split else ("", "")
    for lane, (task, stages) in enumerate(space.plans.items()):
        for number, stage in enumerate(stages):
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
            for part, kind in (
                ((before, "features"), (behind, "fused")) if split else (("", "stage"),)
            ):
                graph.add_node(node + part, kind=kind, **data)
            if split:
                graph.add_edge(node + before, node + behind, kind="backbone")
            if number:
                graph.add_edge(str(Node(task, number - 1)) + behind, node + before, kind="backbone")
    for edge, p, keep in zip(space.edges, probability, kept):
        if keep or dropped:
            graph.add_edge(*ends(edge, split), kind="fusion", probability=float(p), kept=bool(keep))
    return graph


def ends(edge: Edge, split: bool = False) -> tuple[str, str]:
    """The two nodes of the graph that an edge of the space joins; networkx gives edges in an order of its own."""
    return (
        (f"{edge.source}/features", f"{edge.target}/fused")
        if split
        else (str(edge.source), str(edge.target))
    )


def plain(node: str) -> str:
    """`normals:3` of `normals:3`, `normals:3/features` and `normals:3/fused`."""
    return node.removesuffix("/features").removesuffix("/fused")


def ladder_layout(graph: nx.DiGraph) -> dict[str, tuple[float, float]]:
    """{node: (x, y)}: each task a lane at y = −lane; x counts stages, with a gap between groups of stages.

    Stages of unlike backbones stand by their position: the last stages of a group are above each other.
    """
    widths: dict[int, int] = {}
    for _, data in graph.nodes(data=True):
        widths[data["group"]] = max(widths.get(data["group"], 0), data["size"])
    starts, x = {}, 0.0
    split = any(data["kind"] == "fused" for _, data in graph.nodes(data=True))
    step = 1 + SPLIT if split else 1.0
    for group in sorted(widths):
        starts[group] = x
        x += widths[group] * step + GROUP_GAP
    return {
        node: (
            starts[d["group"]]
            + ((d["index"] + 1) / d["size"] * widths[d["group"]] - 1) * step
            + (SPLIT if d["kind"] == "fused" else 0.0),
            -float(d["lane"]),
        )
        for node, d in graph.nodes(data=True)
    }
