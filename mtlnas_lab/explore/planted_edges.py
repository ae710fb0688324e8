"""Which edges does a search open where it is known which ones help?

Three kinds of conditions of the table are planted (bench/condition.py). In `bit` one of eight edges brings a bit that its
target cannot see; in `blind` one network sees noise, so that the edges into it are all it has. Each has a dial, at whose end
nothing is planted: there a search must not prefer any edge. In `noise-partner` edges lead into one network from two partners,
and one of them sees noise.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..bench import planted
from ..bench.condition import Condition, condition
from ..bench.graph import Graph, kept_of
from ..bench.searchers import SEARCHERS, WITH_A_SUPERNET, WITHOUT_A_LOOK, search
from ..bench.table import FusionTable
from ..errors import ConfigError
from ..values import choice

BLINDED = "segmentation"  # the task whose network is covered, in the conditions without a bit


def searched(seed: int, searcher: str, where: str, budget: float) -> dict[str, float]:
    """One search in a planted condition, and how its answer lies to what was planted.

    Args:
        seed: Of the search.
        searcher: A name of `bench.searchers.SEARCHERS`; one that trains a supernet of its own, or looks at nothing.
        where: The condition's name.
        budget: In plain training steps.

    Returns:
        `recall`, the share of the useful edges that are open; `rivals`, that of the other edges into the same network (of all
        other edges, where every edge into it is useful); `lead`, the first minus the second: which chance makes 0, and so does
        a search that opens every edge into a network that sees too little; `precision`, the share of the open edges that are
        useful (0 where none is open); `edges`, how many are open.

    Raises:
        ConfigError: There is no such searcher or condition, or nothing is planted there.
    """
    about = condition(where)
    choice("searcher", searcher, (*WITH_A_SUPERNET, *WITHOUT_A_LOOK))
    *_, (_, graph) = search(SEARCHERS[searcher], FusionTable.empty(about), budget, seed)
    return of_graph(graph, about)


def of_graph(graph: Graph, about: Condition) -> dict[str, float]:
    """How a graph's edges lie to what was planted, as `searched` says it. Raises ConfigError where nothing was.

    Example:
        >>> from mtlnas_lab.bench.condition import condition
        >>> of_graph("11110000", condition("blind"))["lead"]  # all edges into the blindfolded network, and no other
        1.0
    """
    return compared(kept_of(graph, about.space), useful_edges(about), rivals_of(about))


def useful_edges(about: Condition) -> list[bool]:
    """Which candidate edges help by construction, in their order: what their source sees, their target needs.

    At the end of a dial, where nothing is planted, they are the same edges: none of them is better than the others.

    Raises:
        ConfigError: Nothing is planted in this condition.

    Example:
        >>> from mtlnas_lab.bench.condition import condition
        >>> sum(useful_edges(condition("bit"))), sum(useful_edges(condition("blind")))
        (1, 4)
    """
    edges = about.space.edges
    if about.signal is not None:
        return [str(edge) == planted.useful_edge() for edge in edges]
    covered = _covered(about)
    if about.into and covered:
        return [edge.source.task not in covered for edge in edges]
    if about.into or BLINDED not in about.tasks:
        raise ConfigError(f"nothing is planted in the condition {about.name}")
    return [edge.target.task == BLINDED for edge in edges]


def is_planted(about: Condition) -> bool:
    """Whether some edges help more than others by construction; the ends of the dials count.

    Example:
        >>> from mtlnas_lab.bench.condition import condition
        >>> is_planted(condition("bit-0")), is_planted(condition("segmentation-normals"))
        (True, False)
    """
    return about.signal is not None or bool(_covered(about))


def _covered(about: Condition) -> set[str]:
    """The tasks whose networks do not see the whole image."""
    return {task for task, visibility in about.visibility.items() if visibility < 1}


def rivals_of(about: Condition) -> list[bool]:
    """Which edges a useful one is held against: the others into the same network, or all others where there are none.

    Example:
        >>> from mtlnas_lab.bench.condition import condition
        >>> sum(rivals_of(condition("bit"))), sum(rivals_of(condition("blind")))
        (3, 4)
    """
    useful = useful_edges(about)
    edges = about.space.edges
    helped = {edge.target.task for edge, helps in zip(edges, useful) if helps}
    beside = [edge.target.task in helped and not use for edge, use in zip(edges, useful)]
    return beside if any(beside) else [not use for use in useful]


def compared(
    kept: Sequence[bool], useful: Sequence[bool], rivals: Sequence[bool]
) -> dict[str, float]:
    """How the open edges lie to the useful ones, as `searched` says it.

    Example:
        >>> compared([True, True, True, False], useful=[True, False, False, False], rivals=[False, True, False, True])
        {'recall': 1.0, 'rivals': 0.5, 'lead': 0.5, 'precision': 0.3333333333333333, 'edges': 3}
    """
    opened = sum(kept)
    hits = sum(keep and use for keep, use in zip(kept, useful))
    recall = _share_open(kept, useful)
    beside = _share_open(kept, rivals)
    return {
        "recall": recall,
        "rivals": beside,
        "lead": recall - beside,
        "precision": hits / opened if opened else 0.0,
        "edges": opened,
    }


def _share_open(kept: Sequence[bool], chosen: Sequence[bool]) -> float:
    """Of the chosen edges."""
    return sum(keep and one for keep, one in zip(kept, chosen)) / sum(chosen)


ARMS = {"searched": searched}
