"""OFA²: one supernet, trained once, and one search that gives the whole front (Ito & Von Zuben, arXiv 2303.13683).

The supernet is trained under graphs that are drawn anew for each step. Then any graph can be scored with its weights, and a
multi-objective search looks for all graphs that none beats in (loss A, loss B, multiply-adds). It takes the place of one search
for each price of a loss and of a multiply-add.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..bench.condition import condition
from ..bench.searchers.problem import Problem
from ..bench.searchers.supernet import (
    coin_flips,
    cost_of_score,
    losses_with_shared_weights,
    one_shot_supernet,
)
from ..bench.table import FusionTable
from ..bench.training import costs, go_on, one_thread, train_in
from ..core.config import SearchConfig
from ..core.lab import Lab
from ..core.search import Search
from ..errors import ConfigError
from ..experiments.presets import preset, tiny
from ..values import told

Objectives = Callable[[int], Sequence[float]]  # a graph's number → what is to be small

ALGORITHMS = ("nsga2", "smsemoa", "spea2")
POPULATION = 12  # graphs of a generation
MUTATION = 0.1  # the chance of a bit to flip, as published
WEIGHTS = 2  # steps between the corners of the weights: of three objectives, 6 weighted sums
BEYOND = 1.1  # the reference point of the hypervolume; 1 is the worst graph in an objective
STALE = 50  # generations without a new graph, after which a search ends
TABLE = "segmentation-normals"


# --- one supernet ----------------------------------------------------------------------------------------------------
def sandwich(edges: int) -> Callable[[torch.Generator], tuple[bool, ...]]:
    """Draws a graph for each step: all edges in a quarter of the steps, none in a quarter, else each edge by a coin.

    Args:
        edges: E, how many candidate edges there are.

    Example:
        >>> draw = sandwich(3)
        >>> generator = torch.Generator().manual_seed(0)
        >>> [draw(generator) for _ in range(2)]
        [(False, False, False), (True, True, True)]
    """
    coin = coin_flips(edges)

    def draw(generator: torch.Generator) -> tuple[bool, ...]:
        kind = torch.rand((), generator=generator).item()
        if kind < 0.25:
            return (True,) * edges
        if kind < 0.5:
            return (False,) * edges
        return coin(generator)

    return draw


def train_supernet(lab: Lab, config: SearchConfig) -> Lab:
    """Trains a lab's supernet under graphs that `sandwich` draws, and returns the lab.

    Raises:
        ConfigError: A loss is not a finite number any more.
    """
    search = Search(lab, config, draw_gates=sandwich(len(lab.space)))
    go_on(search, f"the supernet of seed {config.seed}")
    return lab


def supernet_objectives(lab: Lab, split: str = "val", own_batch_norm: bool = True) -> Objectives:
    """What a search asks a trained supernet for: each task's loss of a graph, and its multiply-adds for one image.

    Args:
        lab: After `train_supernet`.
        split: Whose images the losses are over.
        own_batch_norm: Batch-norm statistics are averaged anew under each graph.
    """
    none = [False] * len(lab.space)
    alone = costs(lab, none)["operations"]
    each = [costs(lab, _only(edge, none))["operations"] - alone for edge in range(len(none))]

    def ask(graph: int) -> tuple[float, ...]:
        losses = losses_with_shared_weights(lab, graph, split, own_batch_norm)
        # a fusion's 1×1 convolution reads its sources side by side, so that what edges cost adds up
        edges = sum(cost for edge, cost in enumerate(each) if graph >> edge & 1)
        return (*losses.values(), float(alone + edges))

    return ask


def _only(edge: int, none: Sequence[bool]) -> list[bool]:
    gates = list(none)
    gates[edge] = True
    return gates


# --- searches --------------------------------------------------------------------------------------------------------
class CallsSpent(Exception):
    """A search asks for one graph more than it may."""


class Calls:
    """Counts what a search asks for: a new graph is a call, a graph that it knows is free.

    Args:
        objectives: What is asked.
        most: How many calls there are.

    Example:
        >>> calls = Calls(lambda graph: (graph, -graph), most=2)
        >>> calls(5), calls(5), calls(3), list(calls.known)
        ((5.0, -5.0), (5.0, -5.0), (3.0, -3.0), [5, 3])
    """

    def __init__(self, objectives: Objectives, most: int):
        self.objectives = objectives
        self.most = most
        self.known: dict[int, tuple[float, ...]] = {}  # in the order of asking

    def __call__(self, graph: int) -> tuple[float, ...]:
        """Raises CallsSpent."""
        if graph not in self.known:
            if len(self.known) >= self.most:
                raise CallsSpent
            self.known[graph] = tuple(float(value) for value in self.objectives(graph))
        return self.known[graph]

    def front(self) -> list[int]:
        """Of the graphs that were asked for, those that none beats, in the order of asking."""
        graphs = list(self.known)
        return [graphs[place] for place in front_of(list(self.known.values()))]


@dataclass(frozen=True)
class Generation:
    """A search after one generation.

    Attributes:
        number: 1 for the first.
        population: The graphs that live on, by their numbers.
        asked: How many calls it has made.
        front: The graphs that none beats, of all that it asked for.
    """

    number: int
    population: tuple[int, ...]
    asked: int
    front: tuple[int, ...]


def search_front(
    objectives: Objectives,
    edges: int,
    algorithm: str = "nsga2",
    calls: int = 60,
    seed: int = 0,
    population: int = POPULATION,
) -> Iterator[Generation]:
    """Evolves the whole front at once. The genome is a graph's edges, one bit each.

    Args:
        objectives: What is to be small.
        edges: E, the length of the genome.
        algorithm: A name of ALGORITHMS.
        calls: How many different graphs it may ask for. The generation in which they run out is the last.
        seed: Draws the first generation, parents and flips.
        population: Graphs of a generation.

    Yields:
        A `Generation` after each.

    Raises:
        ConfigError: There is no such algorithm.

    Example:
        >>> few_ones_and_few_zeros = lambda graph: (graph.bit_count(), 6 - graph.bit_count())
        >>> *_, last = search_front(few_ones_and_few_zeros, edges=6, calls=40)
        >>> sorted({graph.bit_count() for graph in last.front}), last.asked
        ([0, 1, 2, 3, 4, 5, 6], 40)
    """
    ask = Calls(objectives, calls)
    running = _set_up(_algorithm(algorithm, population), edges, len(objectives(0)), seed)
    for number, survivors in enumerate(_generations(running, ask), 1):
        yield Generation(number, survivors, len(ask.known), tuple(ask.front()))


def _algorithm(name: str, population: int):
    """Of pymoo; "ga" is for one objective. Raises ConfigError."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.sms import SMSEMOA
    from pymoo.algorithms.moo.spea2 import SPEA2, SPEA2Survival
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.mutation.bitflip import BitflipMutation
    from pymoo.operators.sampling.rnd import BinaryRandomSampling

    # without a survival of its own, a SPEA2 goes on with the scales that the one before it in this process has met
    spea2 = functools.partial(SPEA2, survival=SPEA2Survival(normalize=True))
    known = {"nsga2": NSGA2, "smsemoa": SMSEMOA, "spea2": spea2, "ga": GA}
    if name not in known:
        raise ConfigError(f"there is no algorithm {told(name)}; choose of {', '.join(ALGORITHMS)}")
    return known[name](
        pop_size=population,
        sampling=BinaryRandomSampling(),
        crossover=UniformCrossover(prob=1.0),
        mutation=BitflipMutation(prob=1.0, prob_var=MUTATION),
        eliminate_duplicates=True,
    )


def _set_up(algorithm, edges: int, objectives: int, seed: int):
    from pymoo.core.problem import Problem

    problem = Problem(n_var=edges, n_obj=objectives, xl=0, xu=1, vtype=bool)
    algorithm.setup(problem, termination=("n_gen", 10**6), seed=seed, verbose=False)
    return algorithm


def _generations(algorithm, ask: Callable[[int], Sequence[float]]) -> Iterator[tuple[int, ...]]:
    """The graphs that live on after each generation, until calls are spent or nothing new is born."""
    from pymoo.core.evaluator import Evaluator
    from pymoo.problems.static import StaticProblem

    seen: set[int] = set()
    stale = 0
    while stale < STALE:
        born = algorithm.ask()
        if born is None or not len(born):
            return
        graphs = [_number(bits) for bits in born.get("X")]
        stale = stale + 1 if seen.issuperset(graphs) else 0
        seen.update(graphs)
        values, spent = _answers(ask, graphs)
        if not spent:
            Evaluator().eval(StaticProblem(algorithm.problem, F=np.array(values)), born)
            algorithm.tell(infills=born)
        yield tuple(_number(bits) for bits in algorithm.pop.get("X"))
        if spent:
            return


def _answers(ask, graphs: Sequence[int]) -> tuple[list[Sequence[float]], bool]:
    """What is answered for these graphs, and whether the calls were spent before the last of them."""
    values = []
    try:
        for graph in graphs:
            values.append(np.atleast_1d(ask(graph)))
    except CallsSpent:
        return values, True
    return values, False


def _number(bits) -> int:
    return sum(1 << edge for edge, bit in enumerate(bits) if bit)


def search_random(objectives: Objectives, edges: int, calls: int = 60, seed: int = 0) -> Calls:
    """Asks for graphs that chance picks, each once: the control of every search."""
    ask = Calls(objectives, min(calls, 2**edges))
    draw = np.random.default_rng(seed)
    while len(ask.known) < ask.most:
        ask(_number(draw.random(edges) < 0.5))
    return ask


def search_weighted(
    objectives: Objectives, edges: int, calls: int = 60, seed: int = 0
) -> tuple[list[int], Calls]:
    """What one search for the front replaces: a search for each of several weighted sums of the objectives.

    The searches begin with the same graphs, whose range in each objective is the unit of its weight. All that was asked is
    known to all of them, and each may ask for an equal share of the calls. So they are better off than by themselves.

    Args:
        objectives: What is to be small.
        edges: E, the length of the genome.
        calls: How many different graphs all of them together may ask for.
        seed: As in `search_front`.

    Returns:
        (the best graph of each sum, of all that was asked; what was asked).
    """
    from pymoo.util.ref_dirs import get_reference_directions

    ask = Calls(objectives, 0)
    values = objectives(0)
    every = get_reference_directions("das-dennis", len(values), n_partitions=WEIGHTS)
    shares = [calls * (place + 1) // len(every) for place in range(len(every))]
    unit: list[np.ndarray] = []  # of each objective; known after the first few graphs
    for weights, share in zip(every, shares):
        ask.most = share

        def weighted(graph: int, weights: np.ndarray = weights) -> float:
            found = ask(graph)
            first = np.array(list(ask.known.values())[: POPULATION // 2])
            unit[:] = [np.maximum(np.ptp(first, axis=0), 1e-12)]
            return float(weights @ (np.array(found) / unit[0]))

        running = _set_up(_algorithm("ga", POPULATION // 2), edges, 1, seed)
        for _ in _generations(running, weighted):
            pass
    points = np.array(list(ask.known.values())) / unit[0]
    graphs = list(ask.known)
    best = [graphs[int((points @ weights).argmin())] for weights in every]
    return list(dict.fromkeys(best)), ask


def searcher(problem: Problem) -> Iterator[int]:
    """OFA² in a race for one graph: a supernet for a third of the budget, then NSGA-II over its scores.

    Its answer is the graph of the front that loses least in total on val; the rest of the front has no place in such a race.

    Args:
        problem: Where to search.

    Yields:
        The answer after each generation.

    Example:
        >>> from mtlnas_lab.bench.searchers import search
        >>> from mtlnas_lab.bench.table import FusionTable
        >>> table = FusionTable.open("segmentation-normals")
        >>> spent, graph = list(search(searcher, table, budget=300))[-1]
        >>> spent <= 300
        True
    """
    lab = one_shot_supernet(problem, sandwich(len(problem.space)))
    objectives = supernet_objectives(lab)

    def paid(graph: int) -> Sequence[float]:
        problem.pay(cost_of_score(problem))
        return objectives(graph)

    known = Calls(paid, problem.graphs)
    weights = [task.weight for task in lab.tasks.values()]

    def total(graph: int) -> float:
        losses = known(graph)[: len(weights)]
        return sum(weight * loss for weight, loss in zip(weights, losses))

    for generation in search_front(known, len(lab.space), calls=problem.graphs, seed=problem.seed):
        yield min(generation.front, key=total)


# --- judging a front -------------------------------------------------------------------------------------------------
def front_of(points: Sequence[Sequence[float]]) -> list[int]:
    """The places of the points that no other beats in one objective without losing in another. Less is better.

    Example:
        >>> front_of([(1, 3, 0), (2, 2, 0), (3, 3, 0), (3, 3, -1)])
        [0, 1, 3]
    """
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    sort = NonDominatedSorting()
    found = sort.do(np.asarray(points, float), only_non_dominated_front=True)
    return sorted(int(place) for place in found)


class Truth:
    """The true values of every graph, and what a set of graphs is worth beside the true front.

    Each objective is scaled so that the best of all graphs has 0 and the worst 1.

    Args:
        points: (2^E, objectives), less is better.

    Example:
        >>> truth = Truth([(0, 2), (1, 1), (2, 0), (2, 2)])
        >>> truth.front, truth.judged([0, 1, 2])["hypervolume_ratio"]
        ([0, 1, 2], 1.0)
        >>> round(truth.judged([3])["igd"], 3)
        0.902
    """

    def __init__(self, points: Sequence[Sequence[float]]):
        points = np.asarray(points, float)
        least = points.min(0)
        self.points = (points - least) / np.maximum(points.max(0) - least, 1e-12)
        self.front = front_of(self.points)

    @classmethod
    def of(cls, table: FusionTable, split: str = "test", seed: int | None = None) -> Truth:
        """What a table knows: each task's loss, mean over the seeds unless one is asked for, and multiply-adds."""
        return cls(objectives_of(table, split, seed))

    def judged(self, graphs: Sequence[int]) -> dict[str, float]:
        """What a set of graphs is worth.

        Args:
            graphs: Numbers of graphs, at least one.

        Returns:
            `hypervolume_ratio`, the volume that they beat over that of the true front, 1 is all of it; `igd`, the mean distance
            from the true front to the nearest of them, 0 is none (inverted generational distance); `on_front`, which share of
            the true front is among them; `graphs`, how many they are.
        """
        from pymoo.indicators.hv import HV
        from pymoo.indicators.igd import IGD

        found = self.points[sorted(set(graphs))]
        front = self.points[self.front]
        volume = HV(ref_point=np.full(front.shape[1], BEYOND))
        share = len(set(self.front) & set(graphs)) / len(self.front)
        return {
            "hypervolume_ratio": float(volume(found) / volume(front)),
            "igd": float(IGD(front)(found)),
            "on_front": share,
            "graphs": float(len(found)),
        }


def objectives_of(table: FusionTable, split: str = "test", seed: int | None = None) -> np.ndarray:
    """(2^E, tasks + 1): each task's loss of every graph, and its multiply-adds."""
    losses = [table.values(f"{task}/loss", split=split, seed=seed) for task in table.tasks]
    rows = table.frame().drop_duplicates("graph").sort_values("graph")
    return np.column_stack([*losses, rows["operations"].to_numpy(float)])


# --- the study -------------------------------------------------------------------------------------------------------
@functools.cache
def _table(name: str) -> FusionTable:
    return FusionTable.open(name)


@functools.cache
def supernet_scores(name: str, steps: int, seed: int, own_batch_norm: bool = True) -> np.ndarray:
    """What a supernet of a condition says of every graph, as `objectives_of` gives what is true: (2^E, tasks + 1).

    It is remembered, as all searches of one seed ask the same supernet.
    """
    lab = _supernet(name, steps, seed)
    with one_thread():
        ask = supernet_objectives(lab, own_batch_norm=own_batch_norm)
        return np.array([ask(graph) for graph in range(2 ** len(lab.space))])


@functools.cache
def _supernet(name: str, steps: int, seed: int) -> Lab:
    chosen = condition(name)
    with one_thread():
        return train_supernet(chosen.lab(seed), replace(chosen.config(seed), steps=steps))


def _asked(scores: str, seed: int, steps: int, table: str) -> np.ndarray:
    """What searches look at: `supernet` scores on val, or the `truth` itself. Raises ConfigError."""
    if scores == "truth":
        return objectives_of(_table(table))
    if scores == "supernet":
        return supernet_scores(table, steps, seed)
    raise ConfigError(f"scores = {told(scores)}; give supernet or truth")


def front_arm(
    seed: int,
    method: str,
    scores: str = "supernet",
    calls: int = 60,
    steps: int = 600,
    table: str = TABLE,
) -> dict[str, float]:
    """One search, judged by the truth: `Truth.judged` of what it answers.

    Args:
        seed: Of the search, and of the supernet.
        method: A name of ALGORITHMS, random, weighted (the best graph of each weighted sum), weighted_all (the front of all
            that the weighted searches asked for), everything (asks for every graph: the best that these scores allow), or
            blind (as many graphs as nsga2 answers, drawn by chance: what no score at all gives).
        scores: supernet, or truth: looked up, so that only the search can go wrong.
        calls: How many graphs it may ask for.
        steps: Of the supernet's training.
        table: The name of the table of the truth.

    Example:
        >>> found = front_arm(seed=0, method="everything", scores="truth")
        >>> found["hypervolume_ratio"], found["on_front"]
        (1.0, 1.0)
    """
    known = _asked(scores, seed, steps, table)
    edges = len(_table(table).space)
    answers = _answer(method, known.__getitem__, edges, calls, seed)
    return Truth.of(_table(table)).judged(answers)


def _answer(method: str, ask: Objectives, edges: int, calls: int, seed: int) -> list[int]:
    if method == "random":
        return search_random(ask, edges, calls, seed).front()
    if method == "everything":
        return search_random(ask, edges, 2**edges, seed).front()
    if method == "weighted":
        return search_weighted(ask, edges, calls, seed)[0]
    if method == "weighted_all":
        return search_weighted(ask, edges, calls, seed)[1].front()
    algorithm = "nsga2" if method == "blind" else method
    *_, last = search_front(ask, edges, algorithm, calls, seed)
    if method == "blind":
        drawn = np.random.default_rng(seed).choice(2**edges, len(last.front), replace=False)
        return drawn.tolist()
    return list(last.front)


def ranking_arm(
    seed: int, own_batch_norm: bool = True, steps: int = 600, table: str = TABLE
) -> dict[str, float]:
    """How well a supernet's scores order all graphs: Kendall's τ with the truth, `kendall_<task>` for each task.

    Args:
        seed: Of the supernet.
        own_batch_norm: Whether batch norm is averaged anew for each graph.
        steps: Of the supernet's training.
        table: The name of the table of the truth.
    """
    from scipy.stats import kendalltau

    said = supernet_scores(table, steps, seed, own_batch_norm)
    true = objectives_of(_table(table))
    tasks = _table(table).tasks
    return {
        f"kendall_{task}": float(kendalltau(said[:, place], true[:, place]).statistic)
        for place, task in enumerate(tasks)
    }


def lab_size_arm(
    seed: int, steps: int = 200, calls: int = 40, training: int = 100
) -> dict[str, float]:
    """The front of the preset `tiny`, 2^48 graphs that nobody knows the truth of: three of its points are trained.

    Args:
        seed: Of the supernet, the search and the trainings.
        steps: Of the supernet's training; its backbones are the shipped ones.
        calls: How many graphs the search may ask for.
        training: Steps of training each of the three, from the same start.

    Returns:
        `graphs`, how many are on the front that was found; `kendall_<task>`, whether the supernet puts the three points (the
        ends of the front and its middle, by multiply-adds) in the order in which they are after training, 1 all pairs right,
        −1 none; `range_<task>`, the largest of their losses after training minus the smallest.
    """
    from scipy.stats import kendalltau

    config = replace(preset("tiny").search, steps=steps, seed=seed, lr_power=0.0)
    supernet = train_supernet(tiny(seed=seed), config)
    ask = supernet_objectives(supernet)
    *_, last = search_front(ask, len(supernet.space), calls=calls, seed=seed)
    by_cost = sorted(last.front, key=lambda graph: ask(graph)[-1])
    three = [by_cost[0], by_cost[len(by_cost) // 2], by_cost[-1]]
    said = np.array([ask(graph) for graph in three])
    trained = np.array([_trained(graph, replace(config, steps=training)) for graph in three])
    found = {"graphs": float(len(last.front))}
    for place, task in enumerate(supernet.tasks):
        order = kendalltau(said[:, place], trained[:, place]).statistic
        found[f"kendall_{task}"] = float(np.nan_to_num(order))  # equal losses order nothing
        found[f"range_{task}"] = float(np.ptp(trained[:, place]))
    return found


def _trained(graph: int, config: SearchConfig) -> list[float]:
    """Each task's loss on test of one graph, trained from the shipped backbones under its own gates."""
    lab = train_in(tiny(seed=config.seed), graph, config)
    return list(losses_with_shared_weights(lab, graph, "test").values())


ARMS = {"front": front_arm, "ranking": ranking_arm, "lab_size": lab_size_arm}
