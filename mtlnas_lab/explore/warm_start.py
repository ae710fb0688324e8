"""Warm start: a search of fusion edges that begins with the α of a neighbouring task pair.

Inspired by warm-starting DARTS with meta-learning (Grobelnik & Vanschoren, arXiv 2205.06355), of which the abstract alone is
known: a store of architectures found on earlier tasks; a new search begins with the one of the most similar task, or with one
that is meta-learnt over several tasks. Measure of similarity, way from α to a start, and data are filled in here:

1. The **store** has a searched α for each pair of tasks but the target's own.
2. How similar pairs are is read from the Fisher information of their networks (`explore.task_distance`).
3. The new search begins at κ · clip(α, −1, 1), edge by edge (`core.architecture.warm_start`), and goes on as any other.
4. The meta start is Reptile on α alone, over the stored pairs: α ← α + ε · mean of (α after some steps − α).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np
import torch
from torch import Tensor

from ..bench.condition import RECIPE, SEGMENTATION_NORMALS, Condition, condition
from ..bench.graph import number_of
from ..bench.searchers.mtlnas import RAMP, mtlnas
from ..bench.searchers.problem import TableProblem
from ..bench.table import FusionTable
from ..bench.training import go_on, losses
from ..core.architecture import CLIP, Architecture, derive, warm_start
from ..core.config import SearchConfig
from ..core.events import Evaluated, Failed
from ..core.lab import Lab
from ..core.relaxation import ArchitectureWeights, deterministic
from ..core.search import Search
from ..core.space import SearchSpace
from ..errors import ConfigError
from ..values import choice, number, whole
from .task_distance import Distances, distances

TASKS = (
    "segmentation",
    "normals",
    "depth",
    "edges",
)  # the rooms' tasks with an answer at every pixel
STEPS = 100  # of a search, in the store and of the target, and of the networks whose Fisher information is taken
LOOKS = 25  # at val, while the target's search runs
ROUNDS = 10  # of Reptile
META_SHARE = 0.5  # of the steps: so many has Reptile with each stored pair, over all rounds
EPSILON = 1.0  # of Reptile: how far α goes to the mean of where the tasks took it
SETTINGS = replace(RECIPE, alpha_lr=0.02, entropy_weight=RAMP)  # those of `mtlnas_ramp` in the race

Pair = tuple[str, str]


# --- the store --------------------------------------------------------------------------------------------------------
def lab_of(pair: Pair, seed: int) -> Lab:
    """Fresh networks for two tasks, with the candidate edges of the tables, on the rooms with all labels."""
    return replace(SEGMENTATION_NORMALS, name="-".join(pair), tasks=pair).lab(seed)


def others(target: Pair) -> list[Pair]:
    """The pairs of TASKS that a store for this target has: all but its own.

    Example:
        >>> len(others(("segmentation", "normals")))
        5
    """
    return [pair for pair in combinations(TASKS, 2) if {*pair} != {*target}]


@functools.cache
def searched(pair: Pair, seed: int, steps: int = STEPS) -> Architecture:
    """What a cold search finds for a pair: an entry of the store.

    Args:
        pair: Two of TASKS.
        seed: Draws networks, batches and gates.
        steps: Of the search.

    Raises:
        ConfigError: A loss is not a finite number any more.
    """
    search = Search(lab_of(pair, seed), replace(SETTINGS, steps=steps, seed=seed))
    go_on(search, f"the search of {' and '.join(pair)}")
    return search.architecture()


@dataclass(frozen=True)
class Neighbour:
    """An entry of the store as a target sees it.

    Attributes:
        found: What was searched there.
        tasks: {task there: task here}, the way round that is nearer.
        distance: Mean over the two of how far the task there is from the task here.
    """

    found: Architecture
    tasks: Mapping[str, str]
    distance: float

    def start(self, space: SearchSpace, kappa: float = 1.0) -> tuple[float, ...]:
        """Where α begins in the target's space: κ · clip(α, −1, 1), edge by edge."""
        return warm_start(self.found, space, kappa, self.tasks)


def neighbours(store: Sequence[Architecture], target: Pair, found: Distances) -> list[Neighbour]:
    """The entries of a store, the nearest first.

    Args:
        store: Searched architectures of two tasks each.
        target: The tasks of the new search.
        found: How far tasks are from each other.

    Example:
        >>> import numpy as np
        >>> from mtlnas_lab.core.architecture import Architecture
        >>> matrix = np.array([[0.1, 0.6, 0.4], [0.5, 0.1, 0.3], [0.9, 0.2, 0.1]])
        >>> names = ("segmentation", "normals", "depth")
        >>> far = Distances(names, matrix, np.zeros((3, 3, 3)), np.zeros(3))
        >>> space = lab_of(("depth", "normals"), seed=0).space
        >>> (one,) = neighbours([Architecture(space, (True,) * 8)], ("segmentation", "normals"), far)
        >>> one.tasks, one.distance  # depth as normals 0.2, normals as segmentation 0.5; the other way 0.9 and 0.1
        ({'depth': 'normals', 'normals': 'segmentation'}, 0.35)
    """
    known = [_nearer_way_round(one, target, found) for one in store]
    return sorted(known, key=lambda one: one.distance)


def _nearer_way_round(entry: Architecture, target: Pair, found: Distances) -> Neighbour:
    ways = []
    for here in permutations(target):
        tasks = dict(zip(entry.space.tasks, here))
        apart = []
        for there, mine in tasks.items():
            place = found.tasks.index(there), found.tasks.index(mine)
            apart.append(float(found.matrix[place]))
        ways.append(Neighbour(entry, tasks, sum(apart) / len(apart)))
    return min(ways, key=lambda way: way.distance)


@functools.cache
def store_for(target: Pair, seed: int, steps: int = STEPS) -> tuple[Neighbour, ...]:
    """Searches on all other pairs, and sorts them by distance to the target: the nearest first. Takes half a minute."""
    store = [searched(pair, seed, steps) for pair in others(target)]
    return tuple(neighbours(store, target, distances(seed, TASKS, steps)))


# --- the meta start ---------------------------------------------------------------------------------------------------
def reptile(
    searches: Sequence[Search], rounds: int = ROUNDS, epsilon: float = EPSILON
) -> list[Tensor]:
    """Reptile on α alone: in each round every search goes on from the common α, which then moves to where they went.

    α ← α + ε · mean over the searches of (α after its steps of this round − α). Networks are each search's own.

    Args:
        searches: One for each task pair, of spaces with the same edges in the same order; they go on to their ends.
        rounds: Into so many parts each search's steps are cut.
        epsilon: ε, from 0 (α stays) to 1 (α becomes the mean).

    Returns:
        α (E,) at the beginning and after each round.

    Raises:
        ConfigError: A loss is not a finite number any more.
    """
    number("epsilon", epsilon, 0.0, 1.0)
    whole("rounds", rounds, 1)
    alphas = [searches[0].lab.alphas.alpha.detach().clone()]
    for turn in range(1, rounds + 1):
        moved = []
        for search in searches:
            _begin_at(search, alphas[-1])
            go_on(search, "a search of the meta start", search.config.steps * turn // rounds)
            moved.append(search.lab.alphas.alpha.detach() - alphas[-1])
        alphas.append(alphas[-1] + epsilon * torch.stack(moved).mean(0))
    return alphas


def _begin_at(search: Search, alpha: Tensor) -> None:
    with torch.no_grad():
        search.lab.alphas.alpha.copy_(alpha)


@functools.cache
def meta_start(target: Pair, seed: int, steps: int = STEPS) -> Architecture:
    """What Reptile makes of the stored pairs, as an architecture of the target's space.

    Args:
        target: Its own pair is left out.
        seed: Draws networks, batches and gates.
        steps: Of the searches in the store; Reptile has META_SHARE of them with each pair.
    """
    space = lab_of(target, seed).space
    config = replace(SETTINGS, steps=int(META_SHARE * steps), seed=seed)
    searches = []
    for neighbour in store_for(target, seed, steps):
        there = {here: there for there, here in neighbour.tasks.items()}
        pair = (there[target[0]], there[target[1]])  # so that edges stand in the target's order
        searches.append(Search(lab_of(pair, seed), config))
    return derive(space, reptile(searches)[-1])


# --- starts -----------------------------------------------------------------------------------------------------------
STARTS = ("cold", "nearest", "farthest", "random", "meta", "open")


def start_of(
    kind: str, target: Pair, seed: int, kappa: float = 1.0, steps: int = STEPS
) -> tuple[float, ...]:
    """Where α of a search for the target begins: E numbers.

    Args:
        kind: cold (undecided); nearest, farthest or random (an entry of the store); meta (Reptile); open (every edge at σ(κ),
            without any task having been looked at).
        target: The tasks of the new search.
        seed: Of the store, and of what is drawn.
        kappa: κ, how far from undecided the start may be.
        steps: Of the searches in the store.

    Raises:
        ConfigError: There is no such start.

    Example:
        >>> start_of("open", ("segmentation", "normals"), seed=0, kappa=0.5)
        (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    """
    choice("start", kind, STARTS)
    space = lab_of(target, seed).space
    if kind == "cold":
        return (0.0,) * len(space)
    if kind == "open":
        return (kappa * CLIP,) * len(space)
    if kind == "meta":
        return warm_start(meta_start(target, seed, steps), space, kappa)
    return entry_of(kind, target, seed, steps).start(space, kappa)


def entry_of(kind: str, target: Pair, seed: int, steps: int = STEPS) -> Neighbour:
    """The entry of the store that is nearest, farthest or drawn at random."""
    store = store_for(target, seed, steps)
    drawn = int(np.random.default_rng(seed).integers(len(store)))
    return store[{"nearest": 0, "farthest": -1, "random": drawn}[kind]]


# --- a search from a start --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Descent:
    """A search of the target, as it was looked at while it ran.

    Attributes:
        steps: (L,) of the looks, the first before any step.
        losses: (L,) the total loss on val, gates at σ(α).
        graphs: (L,) the number of the graph that α stood for.
        alphas: (L, E).
    """

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    graphs: tuple[int, ...]
    alphas: np.ndarray

    def steps_to(self, loss: float) -> int | None:
        """The first look at which the loss was as low; None where it never was."""
        for step, reached in zip(self.steps, self.losses):
            if reached <= loss:
                return step
        return None

    def graph_at(self, share: float) -> int:
        """The graph after a share of the steps."""
        place = np.searchsorted(self.steps, share * self.steps[-1])
        return self.graphs[int(place)]


@functools.cache
def descend(
    about: str,
    seed: int,
    start: tuple[float, ...],
    frozen: bool = False,
    steps: int = STEPS,
) -> Descent:
    """Searches in a condition from a start, and looks at it while it runs.

    Args:
        about: The condition's name.
        seed: Draws networks, batches and gates, the same from every start.
        start: E numbers at which α begins.
        frozen: κ → ∞: edges stay as they begin, open where above 0, and w alone is trained.
        steps: Of the search.
    """
    target = condition(about)
    begun = target.lab(seed)
    lab = replace(begun, alphas=ArchitectureWeights(len(start), start))
    search = Search(lab, _config(target, seed, steps), evaluate=_loss_on_val)
    if frozen:
        kept = derive(lab.space, list(start)).kept
        search.turn(force=dict(zip(lab.space.edges, kept)))
        search.controls.apply_turned(search.communicator)  # so that the first look sees it, too
    looks = [(0, _loss_on_val(search)["total"]["loss"], *_stands(search))]
    for event in search:
        if isinstance(event, Failed):
            raise ConfigError(f"the search from {start} failed: {event.message}")
        if isinstance(event, Evaluated):
            looks.append((event.step, event.scores["total"]["loss"], *_stands(search)))
    at, totals, graphs, alphas = zip(*looks)
    return Descent(at, totals, graphs, np.array(alphas))


def _config(target: Condition, seed: int, steps: int) -> SearchConfig:
    every = max(steps // LOOKS, 1)
    visibility = target.config(seed).visibility
    return replace(SETTINGS, steps=steps, seed=seed, evaluate_every=every, visibility=visibility)


def _loss_on_val(search: Search) -> dict[str, dict[str, float]]:
    """The weighted sum of the tasks' losses, edges as the search has them now."""
    lab = search.lab
    gates = deterministic(lab.alphas.alpha.detach())
    for edge, opened in search.forced.items():
        gates[edge] = float(opened)
    found = losses(lab, gates, "val")
    total = lab.total({task: scores["loss"] for task, scores in found.items()})
    return {"total": {"loss": total}}


def _stands(search: Search) -> tuple[int, list[float]]:
    """(the number of the graph that it would answer now, α)."""
    graph = number_of(search.architecture(), search.lab.space)
    return graph, search.lab.alphas.alpha.tolist()


def searcher(problem: TableProblem) -> Iterator[Architecture]:
    """In a race: MTL-NAS under the ramp from the nearest entry. What the store cost is not counted.

    Args:
        problem: Where to search; its condition is about two of TASKS.

    Yields:
        What α says after each step.
    """
    start = start_of("nearest", problem.condition.tasks, problem.seed)
    lab = replace(problem.lab(), alphas=ArchitectureWeights(len(start), start))
    yield from mtlnas(problem, lab=lab, entropy_weight=RAMP)


# --- the study --------------------------------------------------------------------------------------------------------
EARLY = 0.25  # of the steps: a graph that is good by then makes a search shorter


def warm(
    seed: int,
    start: str,
    where: str,
    kappa: float = 1.0,
    frozen: bool = False,
    steps: int = STEPS,
) -> dict[str, float]:
    """One search from a start, held against the cold one of the same networks and batches.

    Args:
        seed: Of the store, the networks, batches and gates.
        start: As `start_of` takes it.
        where: The name of a shipped table, or a folder with one.
        kappa: κ.
        frozen: κ → ∞, as in `descend`.
        steps: Of each search, in the store too.

    Returns:
        `steps`, until the loss on val is as low as the cold search's at its end (all of them where it never is), and `reached`,
        whether it is; `regret` of the graph at the end and `early_regret` of that after a quarter of the steps, on the table's
        test images; `edges` that are open at the end, and `turned`, how many ended on another side of ½ than they began.

    Raises:
        ConfigError: There is no such start or table.
    """
    table = _table(where)
    target = table.tasks
    cold = descend(table.name, seed, start_of("cold", target, seed), False, steps)
    begin = start_of(start, target, seed, kappa, steps)
    found = descend(table.name, seed, begin, frozen, steps)
    needed = found.steps_to(cold.losses[-1])
    pace = {"steps": steps if needed is None else needed, "reached": float(needed is not None)}
    first, last = found.graphs[0], found.graphs[-1]
    early = table.regret(found.graph_at(EARLY))
    worth = {"regret": table.regret(last), "early_regret": early}
    turned = (first ^ last).bit_count()
    return {**pace, **worth, "edges": last.bit_count(), "turned": turned}


def copies(seed: int, where: str, steps: int = STEPS) -> dict[str, float]:
    """What every entry's graph is worth to the target as it is, looked up: does the distance order them?

    Returns:
        `spearman`, over the entries between their distance and the regret of their graph: above 0 near ones are better; `nearest`,
        `farthest` and `mean`, regrets of such copies.
    """
    from scipy.stats import spearmanr

    table = _table(where)
    store = store_for(table.tasks, seed, steps)
    regrets = []
    for neighbour in store:
        start = neighbour.start(table.space)
        regrets.append(table.regret(derive(table.space, list(start))))
    far = [neighbour.distance for neighbour in store]
    order = 0.0  # where all copies are equally good, the distance orders nothing
    if np.ptp(regrets) > 0:
        order = float(spearmanr(far, regrets).statistic)
    found = {"nearest": regrets[0], "farthest": regrets[-1], "mean": float(np.mean(regrets))}
    return {"spearman": order, **{f"copied_{name}": value for name, value in found.items()}}


@functools.cache
def _table(name: str) -> FusionTable:
    return FusionTable.open(name)


ARMS = {"warm": warm, "copies": copies}
