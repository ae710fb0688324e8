"""What a search finds before it: how rugged a table is, and what each edge does by itself.

Graphs lie at the corners of a hypercube of E dimensions; neighbours differ in one edge. All numbers are of losses (less is
better), so that a score of which more is better counts with the other sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..analysis.statistics import half_interval
from .table import TOTAL, FusionTable, direction


@dataclass(frozen=True)
class EdgeEffect:
    """What opening one edge does, mean over all graphs of the other edges; below 0 it helps.

    Attributes:
        edge: As text.
        effect: Mean loss with it minus mean loss without it.
        half: Half of the 95 % interval of the effect over the table's seeds; NaN with one seed.
        by_seed: The effect under each seed.
        helps: In how many of the 2^(E−1) graphs without it opening it lowers the loss, as a share.
    """

    edge: str
    effect: float
    half: float
    by_seed: tuple[float, ...]
    helps: float


@dataclass(frozen=True)
class Landscape:
    """Facts of a table's landscape under one score.

    Attributes:
        by, split: The score.
        optima: Graphs that no neighbour beats, the best first: where a one-flip search may end.
        basins: {optimum: the share of the 2^E starts from which the steepest descent ends there}.
        fitness_distance: Correlation of a graph's loss with the number of edges in which it differs from the best graph: 1
            where the way is downhill all along, 0 where distance says nothing.
        adding_helps: In which share of the E · 2^(E−1) pairs of neighbours the graph with the edge is better.
        additive: The share of the variance between graphs that the edges explain one by one; the rest is interplay (and
            noise).
        effects: Of each edge, in their order.
    """

    by: str
    split: str
    optima: tuple[int, ...]
    basins: dict[int, float]
    fitness_distance: float
    adding_helps: float
    additive: float
    effects: tuple[EdgeEffect, ...]


def landscape(table: FusionTable, by: str = TOTAL, split: str = "test") -> Landscape:
    """The facts of a table.

    Args:
        table: With every graph under one seed at least; losses are means over its seeds.
        by: total, or <task>/<metric>.
        split: val or test.

    Raises:
        RunError: Not every graph is there yet.

    Example:
        >>> from mtlnas_lab.bench.landscape import landscape
        >>> from mtlnas_lab.bench.table import FusionTable
        >>> table = FusionTable.open("segmentation-normals")
        >>> facts = landscape(table)
        >>> table.architecture(facts.optima[0]) == table.best(), len(facts.effects)
        (True, 8)
    """
    table.must_have_every_graph()
    wide = -direction(by) * table.by_seed(by, split)  # (2^E, seeds)
    losses = wide.mean(1)
    edges = [str(edge) for edge in table.space.edges]
    effects = tuple(_effect(wide, i, edge) for i, edge in enumerate(edges))
    return Landscape(
        by=by,
        split=split,
        optima=local_optima(losses),
        basins=basins(losses),
        fitness_distance=fitness_distance(losses),
        adding_helps=adding_helps(losses),
        additive=additive(losses),
        effects=effects,
    )


def idle_edges(table: FusionTable) -> tuple[int, ...]:
    """The edges that change nothing: graphs that differ in one of them alone have the same losses on test, to the last digit.

    So it is in `bit`, where they lead into frozen layers. Such edges make graphs that are equal.

    Example:
        >>> from mtlnas_lab.bench.landscape import idle_edges
        >>> from mtlnas_lab.bench.table import FusionTable
        >>> idle_edges(FusionTable.open("bit")), idle_edges(FusionTable.open("blind"))
        ((4, 5, 6), ())
    """
    if not table.seeds:
        return ()
    wide = np.stack([table.by_seed(f"{task}/loss") for task in table.tasks])
    graphs = np.arange(wide.shape[1])
    idle = [i for i in range(len(table.space)) if (wide == wide[:, graphs ^ 1 << i]).all()]
    return tuple(idle)


def local_optima(losses: np.ndarray) -> tuple[int, ...]:
    """The graphs that no neighbour beats, the best first. Of equals each counts.

    Args:
        losses: (2^E,), by the graph's number.

    Example:
        >>> import numpy as np
        >>> local_optima(np.array([1.0, 2.0, 2.0, 0.5]))  # no edge, or both
        (3, 0)
    """
    found = np.flatnonzero((losses[:, None] <= losses[_neighbours(losses)]).all(1))
    return tuple(sorted(found.tolist(), key=lambda graph: losses[graph]))


def basins(losses: np.ndarray) -> dict[int, float]:
    """{optimum: share of the graphs from which going to the best neighbour, as long as it is better, ends there}.

    Example:
        >>> import numpy as np
        >>> basins(np.array([1.0, 2.0, 2.0, 0.5]))
        {3: 0.75, 0: 0.25}
    """
    neighbours = _neighbours(losses)
    best = neighbours[np.arange(len(losses)), losses[neighbours].argmin(1)]
    here = np.arange(len(losses))
    following = np.where(losses[best] < losses, best, here)
    while not np.array_equal(following[here], here):
        here = following[here]
    ends, counts = np.unique(here, return_counts=True)
    shares = dict(zip(ends.tolist(), (counts / len(losses)).tolist()))
    return dict(sorted(shares.items(), key=lambda item: losses[item[0]]))


def fitness_distance(losses: np.ndarray) -> float:
    """Pearson's correlation of the losses with the number of flips to the best graph; NaN where all losses are equal."""
    distance = np.bitwise_count(np.arange(len(losses)) ^ int(losses.argmin()))
    if np.ptp(losses) == 0:
        return float("nan")
    return float(np.corrcoef(losses, distance)[0, 1])


def adding_helps(losses: np.ndarray) -> float:
    """Of all pairs of neighbours, the share in which the graph with the edge has the smaller loss."""
    shares = [_helps(losses, i) for i in range(_edges(losses))]
    return float(np.mean(shares))


def additive(losses: np.ndarray) -> float:
    """The share of the variance of the losses that the main effects of the edges explain; NaN where there is none.

    On the whole cube the edges are uncorrelated, so each explains (effect / 2)², and they add up.

    Example:
        >>> import numpy as np
        >>> additive(np.array([0.0, 1.0, 2.0, 3.0])), additive(np.array([0.0, 1.0, 1.0, 0.0]))
        (1.0, 0.0)
    """
    variance = losses.var()
    if variance == 0:
        return float("nan")
    effects = [main_effect(losses, i) for i in range(_edges(losses))]
    return float(np.square(effects).sum() / 4 / variance)


def main_effect(losses: np.ndarray, edge: int) -> float:
    """Mean loss of the graphs with an edge minus that of the graphs without it."""
    open_ = _open(losses, edge)
    return float(losses[open_].mean() - losses[~open_].mean())


def _effect(wide: np.ndarray, i: int, edge: str) -> EdgeEffect:
    """Of losses (2^E, seeds)."""
    by_seed = tuple(main_effect(column, i) for column in wide.T)
    losses = wide.mean(1)
    return EdgeEffect(
        edge=edge,
        effect=float(np.mean(by_seed)),
        half=half_interval(by_seed),
        by_seed=by_seed,
        helps=_helps(losses, i),
    )


def _helps(losses: np.ndarray, edge: int) -> float:
    without = np.flatnonzero(~_open(losses, edge))
    return float((losses[without | 1 << edge] < losses[without]).mean())


def _open(losses: np.ndarray, edge: int) -> np.ndarray:
    """Which graphs keep an edge."""
    return (np.arange(len(losses)) >> edge & 1).astype(bool)


def _neighbours(losses: np.ndarray) -> np.ndarray:
    """(2^E, E): the graphs that differ in one edge."""
    flips = 1 << np.arange(_edges(losses))
    return np.arange(len(losses))[:, None] ^ flips


def _edges(losses: np.ndarray) -> int:
    return len(losses).bit_length() - 1
