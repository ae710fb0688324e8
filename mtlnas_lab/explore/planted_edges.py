"""Which edges does a search open where it is known which ones help?

Two kinds of conditions of the table are planted (bench/condition.py). In `bit` one of eight edges brings a bit that its
target cannot see; in `blind` one network sees noise, so that the edges into it are all it has. Each has a dial, at whose end
nothing is planted: there a search must not prefer any edge.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..bench import planted
from ..bench.condition import Condition, condition
from ..bench.graph import kept_of
from ..bench.searchers import SEARCHERS, search
from ..bench.table import FusionTable
from ..errors import ConfigError
from ..values import choice

BLINDED = "segmentation"  # the task whose network is covered, in the conditions without a bit


def searched(seed: int, searcher: str, where: str, budget: float) -> dict[str, float]:
    """One search in a planted condition, and how its answer lies to what was planted.

    Args:
        seed: Of the search.
        searcher: A name of `bench.searchers.SEARCHERS`; one that trains a supernet of its own.
        where: The condition's name.
        budget: In plain training steps.

    Returns:
        `recall`, the share of the useful edges that are open; `others`, that of the other edges; `lead`, the first minus the
        second, which chance makes 0 whatever the number of open edges; `precision`, the share of the open edges that are
        useful (0 where none is open); `edges`, how many are open.

    Raises:
        ConfigError: There is no such searcher or condition, or nothing is planted there.
    """
    about = condition(where)
    choice("searcher", searcher, tuple(SEARCHERS))
    useful = useful_edges(about)
    *_, (_, graph) = search(SEARCHERS[searcher], FusionTable.empty(about), budget, seed)
    return compared(kept_of(graph, about.space), useful)


def useful_edges(about: Condition) -> list[bool]:
    """Which candidate edges help by construction, in their order.

    At the end of a dial, where nothing is planted, they are the same edges: none of them is better than the others.

    Raises:
        ConfigError: Nothing is planted in this condition.

    Example:
        >>> from mtlnas_lab.bench.condition import condition
        >>> sum(useful_edges(condition("bit"))), sum(useful_edges(condition("blind")))
        (1, 4)
    """
    edges = [str(edge) for edge in about.space.edges]
    if about.signal is not None:
        return [edge == planted.useful_edge() for edge in edges]
    if BLINDED not in about.tasks or about.into:
        raise ConfigError(f"nothing is planted in the condition {about.name}")
    return [edge.target.task == BLINDED for edge in about.space.edges]


def compared(kept: Sequence[bool], useful: Sequence[bool]) -> dict[str, float]:
    """How the open edges lie to the useful ones, as `searched` says it.

    Example:
        >>> compared([True, True, False, False], useful=[True, False, False, False])
        {'recall': 1.0, 'others': 0.3333333333333333, 'lead': 0.6666666666666667, 'precision': 0.5, 'edges': 2}
    """
    hits = sum(keep and use for keep, use in zip(kept, useful))
    opened = sum(kept)
    recall = hits / sum(useful)
    others = (opened - hits) / (len(useful) - sum(useful))
    return {
        "recall": recall,
        "others": others,
        "lead": recall - others,
        "precision": hits / opened if opened else 0.0,
        "edges": opened,
    }


ARMS = {"searched": searched}
