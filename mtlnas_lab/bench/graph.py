"""How a graph is written: as an architecture, as gates, as bits, or as one number. Bit i is candidate edge i."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

from torch import Tensor

from ..core.architecture import Architecture
from ..core.space import SearchSpace
from ..errors import SpaceError
from ..values import told

Graph = Architecture | Sequence[bool] | Tensor | str | int


def number_of(graph: Graph, space: SearchSpace) -> int:
    """The number of a graph, from 0 (no edge) to 2^E − 1 (all edges): the sum of 2^i over its open edges i.

    Args:
        graph: An `Architecture` of this space; E booleans or numbers 0 and 1; "01100000", edge 0 first; or the number.
        space: With E candidate edges.

    Raises:
        SpaceError: The graph belongs to another space, or is none.

    Example:
        >>> from mtlnas_lab import SearchSpace
        >>> from mtlnas_lab.bench.graph import bits_of, number_of
        >>> from mtlnas_lab.core.space import plan
        >>> space = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])))
        >>> number_of("0110", space), number_of([False, True, True, False], space), number_of(6, space)
        (6, 6, 6)
        >>> bits_of(6, space)
        '0110'
    """
    if isinstance(graph, Architecture):
        if graph.space.edges != space.edges:
            raise SpaceError(
                f"this architecture has {len(graph.space)} candidates of its own, not the {len(space)} of this "
                "table; transfer(…) carries it over"
            )
        return _number(graph.kept)
    if isinstance(graph, numbers.Integral) and not isinstance(graph, bool):
        if not 0 <= graph < 2 ** len(space):
            raise SpaceError(
                f"graph {told(graph)} is not there; {len(space)} edges make the graphs 0 to {2 ** len(space) - 1}"
            )
        return int(graph)
    return _number(_bits(graph, space))


def kept_of(graph: Graph, space: SearchSpace) -> tuple[bool, ...]:
    """Which edges a graph keeps, E booleans. Raises SpaceError."""
    number = number_of(graph, space)
    return tuple(bool(number >> i & 1) for i in range(len(space)))


def bits_of(graph: Graph, space: SearchSpace) -> str:
    """A graph as text, edge 0 first. Raises SpaceError."""
    return "".join("1" if keep else "0" for keep in kept_of(graph, space))


def architecture_of(graph: Graph, space: SearchSpace) -> Architecture:
    """A graph as an `Architecture`, which everything else in the lab takes. Raises SpaceError."""
    return Architecture(space, kept_of(graph, space))


def neighbours_of(graph: Graph, space: SearchSpace) -> tuple[int, ...]:
    """The E graphs that differ in one edge, by the edge that is flipped. Raises SpaceError."""
    number = number_of(graph, space)
    return tuple(number ^ (1 << i) for i in range(len(space)))


def _number(kept: Sequence[bool]) -> int:
    return sum(1 << i for i, keep in enumerate(kept) if keep)


def _bits(graph: Sequence, space: SearchSpace) -> list[bool]:
    """Raises SpaceError for what is not E zeros and ones."""
    values = graph.tolist() if isinstance(graph, Tensor) else graph
    wrong = SpaceError(
        f"{told(graph)} is not a graph; give an Architecture, {len(space)} booleans, {len(space)} bits as in "
        f"{'01' * len(space):.{len(space)}}, or a number from 0 to {2 ** len(space) - 1}"
    )
    try:
        listed = list(values)
    except TypeError:
        raise wrong from None
    if len(listed) != len(space):
        raise wrong
    meaning = {"0": False, "1": True, 0: False, 1: True}
    try:
        return [meaning[value] for value in listed]
    except (KeyError, TypeError):
        raise wrong from None
