"""Fusion graphs as networkx graphs that other tools can read, where their nodes stand, and one call to draw them."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from pathlib import Path

import networkx as nx

from ..architecture import Architecture
from ..errors import RunError, SpaceError
from ..events import EventLog
from ..runs import Run
from ..space import Edge, Node, SearchSpace

GROUP_GAP = 0.55  # between two groups of stages, in distances of two stages
SPLIT = 0.72  # from the features of a stage to its fused features, in the same unit


def read_source(
    source, alpha: Sequence[float] | None = None, step: int | None = None
) -> tuple[SearchSpace, tuple | None, tuple | None]:
    """(space, σ(α) or None, kept or None) of a search space, an architecture, an event log, a run or a run's folder.

    An edge is kept where α > 0, as `derive` keeps it; σ(α) of a tiny α is ½ and says nothing.
    `step`: as it was after that step of the search, where the source is a log or a run.
    """
    source = opened(source)
    if step is not None:
        source = source.log if isinstance(source, Run) else source
        alpha = alpha_after(source, step)
    if isinstance(source, Run):
        try:
            source = Architecture.from_json(source.architecture()) if alpha is None else source.log
        except RunError:
            source = source.log  # a run that is not finished: its latest α
    if isinstance(source, EventLog):
        if alpha is None and source.alpha.size:
            alpha = source.alpha[-1]
        source = source.space
    if isinstance(source, Architecture) and alpha is None:
        return (
            source.space,
            None if source.alpha is None else _probabilities(source.alpha),
            source.kept,
        )
    if not isinstance(source, (SearchSpace, Architecture)):
        raise SpaceError(
            f"a {type(source).__name__} has no fusion graph; give a search space, an architecture, "
            "an event log, a run or its folder"
        )
    space = getattr(source, "space", source)
    if alpha is None:
        return space, None, None
    return space, _probabilities(alpha), tuple(float(a) > 0 for a in alpha)


def opened(source):
    """A run for its folder; anything else as it is."""
    return Run.open(source) if isinstance(source, (str, Path)) else source


def alpha_after(log: EventLog, step: int):
    """α (E,) after a step. Raises SpaceError where there is no such step."""
    steps = [one.step for one in log.steps] if isinstance(log, EventLog) else []
    if step not in steps:
        there = f"there are {steps[0]} to {steps[-1]}" if steps else "only a log or a run has steps"
        raise SpaceError(f"there is no step {step!r}; {there}")
    return log.alpha[steps.index(step)]


def _probabilities(alpha: Sequence[float]) -> tuple[float, ...]:
    values = []
    for place, a in enumerate(alpha):
        try:
            values.append(float(a))
        except (TypeError, ValueError, OverflowError):
            raise SpaceError(
                f"α of edge {place} is {reprlib.repr(a)}, which is not a number; give one for each edge"
            ) from None
        if math.isnan(values[-1]):
            raise SpaceError(
                f"α of edge {place} is NaN, which has no width; look at an earlier step or checkpoint"
            )
    return tuple(0.5 * (1 + math.tanh(a / 2)) for a in values)


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


def plot_fusion_graph(
    source,
    ax=None,
    *,
    alpha: Sequence[float] | None = None,
    step: int | None = None,
    split: bool = False,
    **look,
):
    """Draw a fusion graph and return the axes; `source` is whatever `fusion_graph` takes, or a graph it made.

    look: style='paper-single', width=None (mm), dropped='faint' | 'hide', labels='stage' | 'channels' | {node: text} |
    None, color='probability' | 'source', legend=True, colorbar=True, title=None, threshold=0 (the smallest σ(α) that is
    drawn), layout={node: (x, y)} or a JSON file of that, as the figure studio saves it (see `GraphFigure`).

    Width, opacity and colour of an edge grow with σ(α); kept edges are solid, dropped ones dashed and faint, or hidden.
    With `ax`, the picture fills those axes at the text sizes of the style; without, it is a figure of its own.
    """
    from .facts import provenance
    from .geometry import GraphFigure
    from .scene import draw

    source = opened(source)
    figure = GraphFigure(fusion_graph(source, alpha, step=step, split=split), **look)
    if ax is None:
        ax = draw(figure.scene())
        ax.figure.lab_facts = provenance(source, **({} if step is None else {"step": step}))
        return ax
    box = ax.get_window_extent()
    scale = 25.4 / ax.figure.dpi
    return draw(figure.scene(width=box.width * scale, height=box.height * scale), ax)
