"""More than one architecture: consensus over seeds, difference of two, and many in one picture with one layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import networkx as nx
import numpy as np

from ...core.architecture import Architecture, agreement
from ...core.events import Step
from ...core.space import SearchSpace
from ...errors import SpaceError
from ..seeing import along, counted, mark, sentences, sights, together, write_seen
from ..sources import evenly, read_log, read_source
from ..style import FigureStyle
from .build import ends, fusion_graph
from .figure import GraphFigure, GraphGrid

# {(whether the first keeps an edge, whether the second does): what that is called}
WHERE = {
    (True, True): "both",
    (True, False): "first",
    (False, True): "second",
    (False, False): "neither",
}


def read_kept(sources: Sequence) -> tuple[SearchSpace, np.ndarray]:
    """(space, (N, E) bool: which edges each source keeps). Raises SpaceError unless they are of one space, and some."""
    read = [read_source(source) for source in sources]
    if not read:
        raise SpaceError("there is nothing to compare; give two architectures or more")
    space = read[0][0]
    rows = []
    for other, _, kept in read:
        if other.edges != space.edges:
            raise SpaceError(
                "these architectures belong to different spaces; compare architectures of one space"
            )
        rows.append(kept or (True,) * len(space))  # a space alone has all its candidates
    return space, np.array(rows, bool)


def stability(sources: Sequence) -> dict[str, float]:
    """How far N architectures of one space agree: mean `jaccard` over pairs, and `stability` (Nogueira et al. 2018).

    stability = 1 − mean_e s_e² / (q (1 − q)): s_e² is the unbiased variance over the runs of whether edge e is kept, q
    the share of kept edges. 1 when all agree, around 0 for random graphs of that size; NaN for one run, or q = 0 or 1.
    """
    space, kept = read_kept(sources)
    found = {"runs": len(kept), "jaccard": np.nan, "stability": np.nan}
    if len(kept) < 2:
        return found
    architectures = [Architecture(space, row) for row in kept]
    pairs = combinations(architectures, 2)
    found["jaccard"] = float(np.mean([agreement(a, b)["jaccard"] for a, b in pairs]))
    q = kept.mean()
    if 0 < q < 1:
        spread = kept.var(0, ddof=1).mean()
        found["stability"] = float(1 - spread / (q * (1 - q)))
    return found


def consensus_graph(sources: Sequence, *, split: bool = False) -> nx.DiGraph:
    """The graph of N architectures: `probability` is the share of them that keep an edge, kept where more than half do.

    Graph data: weights='frequency' and what `stability` says.
    """
    space, kept = read_kept(sources)
    graph = fusion_graph(Architecture(space, kept.mean(0) > 0.5), split=split)
    for edge, share in zip(space.edges, kept.mean(0)):
        graph.edges[ends(edge, split)]["probability"] = float(share)
    graph.graph["weights"] = "frequency"
    for name, value in stability(sources).items():
        if np.isfinite(value):  # JSON knows no NaN
            graph.graph[name] = value
    eyes = [sights(source) for source in sources]
    if any(eyes):
        if all(one == eyes[0] for one in eyes):
            mark(graph, eyes[0])
        else:
            write_seen(graph, counted([sentences(one) for one in eyes]))
    return graph


def difference_graph(
    first, second, names: tuple[str, str] = ("first", "second"), *, split: bool = False
) -> nx.DiGraph:
    """The edges of two architectures: data `where` is 'first', 'second', 'both' or 'neither' (these are dropped)."""
    space, (a, b) = read_kept([first, second])
    graph = fusion_graph(Architecture(space, a | b), split=split)
    for edge, in_first, in_second in zip(space.edges, a, b):
        where = WHERE[bool(in_first), bool(in_second)]
        graph.edges[ends(edge, split)]["where"] = where
    graph.graph.update(weights="difference", first=names[0], second=names[1])
    eyes = [sights(source) for source in (first, second)]
    if any(eyes):
        if eyes[0] == eyes[1]:
            mark(graph, eyes[0])
        else:
            said = [sentences(one) for one in eyes]
            write_seen(graph, together(dict(zip(names, said))))
    return graph


def small_multiples(
    sources: Mapping[str, object],
    *,
    columns: int = 2,
    style: str | FigureStyle = "paper-double",
    **look,
) -> GraphGrid:
    """A fusion graph for each {title: source}, all in one layout, with one legend; saved like a GraphFigure."""
    figures = []
    for title, source in sources.items():
        figures.append(GraphFigure(fusion_graph(source), style, title=title, **look))
    return GraphGrid(tuple(figures), columns)


def filmstrip(
    source,
    *,
    pictures: int = 6,
    columns: int = 3,
    style: str | FigureStyle = "paper-double",
    **look,
) -> GraphGrid:
    """The fusion graph along a search: `pictures` moments, evenly spaced from first to last step, in one layout."""
    log = read_log(source)
    graphs = {}
    for step, graph in graphs_along(log, pictures):
        graphs[f"step {step.step}"] = graph
    return small_multiples(graphs, columns=columns, style=style, **look)


def graphs_along(log, count: int) -> Iterator[tuple[Step, nx.DiGraph]]:
    """(step, fusion graph after it) of `count` moments; all graphs have eyes at their lanes where one of them has."""
    places = moments(log, count)
    steps = [log.steps[i] for i in places]
    for i, step, eyes in zip(places, steps, along(log, [step.step for step in steps])):
        graph = fusion_graph(log.space, log.alpha[i])
        if eyes:
            mark(graph, eyes)
        yield step, graph


def moments(log, count: int) -> list[int]:
    """Indices of `count` steps, evenly spaced from the first to the last. Raises SpaceError for a log without α."""
    if not len(log.steps) or not log.alpha.shape[1]:
        raise SpaceError(
            "the log has no α (no steps yet, or a pretraining), so there is no graph along the search"
        )
    return evenly(len(log.steps), count).tolist()
