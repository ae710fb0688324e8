"""What a searcher gets: a condition to search in, a table to ask, and a purse that every look costs something.

The unit of cost is a plain training step: forward pass, backward pass and update on one batch of the recipe. A forward pass
alone counts a third of it, as a backward pass takes about twice as long.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ...core.config import SearchConfig
from ...core.lab import Lab
from ...core.space import SearchSpace
from ...errors import ConfigError, RunError
from ...values import number, whole
from ..condition import IMAGES, Condition
from ..graph import Graph, number_of
from ..table import TOTAL, FusionTable

FORWARD = 1 / 3  # of a training step: a forward pass without a backward pass and an update


class BudgetSpent(Exception):
    """The next look costs more than is left: the search is over, and its last answer stands."""


class Problem:
    """One search: what may be looked at, and what has been paid so far. A searcher never sees the test images.

    `TableProblem` looks trainings up in a table, `LabProblem` does them.

    Args:
        budget: How many plain training steps may be spent in all.
        seed: Draws everything that is drawn: the order of graphs, and the start of a supernet.

    Raises:
        ConfigError: The budget or the seed is not such a number.
    """

    def __init__(self, budget: float, seed: int = 0):
        self.budget = number("budget", budget)
        self.seed = whole("seed", seed, 0, 2**31)
        self.spent = 0.0
        self.trained: dict[int, float] = {}  # {graph: its loss}, in the order of asking
        self.generator = np.random.default_rng(self.seed)

    # --- where: what every kind of problem says ---------------------------------------------------------------------------
    @property
    def space(self) -> SearchSpace:
        """With E candidate edges."""
        raise NotImplementedError

    def lab(self) -> Lab:
        """A supernet at its start, with the images to search on."""
        raise NotImplementedError

    @property
    def config(self) -> SearchConfig:
        """How a graph is trained; what a supernet's training starts from."""
        raise NotImplementedError

    @property
    def val_images(self) -> int:
        """How many images a graph is scored on."""
        raise NotImplementedError

    def any_graph(self) -> int:
        """A graph as chance draws it."""
        raise NotImplementedError

    def in_random_order(self) -> Iterable[int]:
        """Graphs as chance draws them, each once."""
        raise NotImplementedError

    def loss_of(self, graph: int) -> float:
        """The total loss on val of a graph that is trained from the start. `train` asks for it, and pays."""
        raise NotImplementedError

    @property
    def graphs(self) -> int:
        """How many graphs there are: 2^E."""
        return 2 ** len(self.space)

    # --- what it costs --------------------------------------------------------------------------------------------------
    def pay(self, steps: float) -> None:
        """Raises BudgetSpent where so many steps are not left."""
        if self.spent + steps > self.budget + 1e-6:
            raise BudgetSpent
        self.spent += steps

    def looking_at(self, images: int) -> float:
        """What forward passes over so many images cost, in training steps."""
        return FORWARD * images / self.config.batch_size

    def train(self, graph: Graph) -> float:
        """The total loss on val of a graph that is trained from the start, and paid.

        A graph that was trained in this search is known, and costs nothing.

        Raises:
            BudgetSpent: Another training does not fit.
            RunError: The table has no record of that training.
        """
        asked = number_of(graph, self.space)
        if asked not in self.trained:
            self.pay(self.config.steps + self.looking_at(self.val_images))
            self.trained[asked] = self.loss_of(asked)
        return self.trained[asked]


class TableProblem(Problem):
    """A search in one condition, beside its table: a training is looked up.

    Of the table a searcher sees what a person would see who trains a graph once: its total loss on val under one training
    seed. Search s sees the trainings of the (s modulo n)-th of the table's n seeds.

    Args:
        table: Of the condition. A searcher with a supernet never asks it, and trains that itself.
        budget: How many plain training steps may be spent in all.
        seed: Draws everything that is drawn.

    Raises:
        ConfigError: The budget or the seed is not such a number.

    Example:
        >>> from mtlnas_lab.bench.searchers.problem import TableProblem
        >>> from mtlnas_lab.bench.table import FusionTable
        >>> problem = TableProblem(FusionTable.open("segmentation-normals"), budget=1000, seed=0)
        >>> loss = problem.train("11110000")
        >>> round(problem.spent)  # 300 steps, and 160 images to look at
        303
    """

    def __init__(self, table: FusionTable, budget: float, seed: int = 0):
        super().__init__(budget, seed)
        self.table = table

    @property
    def condition(self) -> Condition:
        return self.table.condition

    @property
    def space(self) -> SearchSpace:
        return self.table.space

    def lab(self) -> Lab:
        return self.condition.lab(self.seed)

    @property
    def config(self) -> SearchConfig:
        return self.condition.config(self.seed)

    @property
    def val_images(self) -> int:
        return IMAGES["val"]

    def any_graph(self) -> int:
        return int(self.generator.integers(self.graphs))

    def in_random_order(self) -> list[int]:
        return self.generator.permutation(self.graphs).tolist()

    def loss_of(self, graph: int) -> float:
        loss = float(self._losses[graph])
        if math.isnan(loss):
            raise RunError(
                f"graph {graph} is not trained yet in the table {self.table.name}, which is being made; "
                "searches that train graphs need all of them"
            )
        return loss

    @functools.cached_property
    def _losses(self) -> np.ndarray:
        """Of every graph, as one training seed shows it."""
        seeds = self.table.seeds
        if not seeds:
            raise RunError(
                f"no seed of the table {self.table.name} has a training of every graph yet"
            )
        return self.table.values(TOTAL, split="val", seed=seeds[self.seed % len(seeds)])


Searcher = Callable[[Problem], Iterable[Graph]]  # the graphs it would answer, one after another


def best_so_far(scored: Iterable[tuple[int, float]]) -> Iterator[int]:
    """Of graphs with their losses, in the order of looking: each that is better than all before it."""
    least = float("inf")
    for graph, loss in scored:
        if loss < least:
            least = loss
            yield graph


def search(
    searcher: Searcher, table: FusionTable, budget: float, seed: int = 0
) -> Iterator[tuple[float, int]]:
    """Runs a searcher beside a table, until it ends or the budget is spent: an anytime curve.

    Args:
        searcher: A function that takes a `Problem` and yields each graph that it would answer from now on.
        table: Of the condition to search in.
        budget: In plain training steps.
        seed: Of the search.

    Yields:
        (spent, graph): from this cost on, it answers this graph; the last pair has all that was spent.

    Raises:
        ConfigError: The searcher ends without an answer, or cannot work with so small a budget.
        RunError: The table is not finished, and the searcher asks it.

    Example:
        >>> from mtlnas_lab.bench.searchers import SEARCHERS, search
        >>> from mtlnas_lab.bench.table import FusionTable
        >>> table = FusionTable.open("segmentation-normals")
        >>> curve = list(search(SEARCHERS["all_edges"], table, budget=3000))
        >>> curve
        [(0.0, 255)]
    """
    yield from answers(searcher, TableProblem(table, budget, seed))


def answers(searcher: Searcher, problem: Problem) -> Iterator[tuple[float, int]]:
    """`search` in any problem: yields (spent, graph), from this cost on it answers this graph.

    Raises:
        ConfigError: The searcher ends without an answer, or cannot work with so small a budget.
    """
    said: tuple[float, int] | None = None
    for graph in _until_spent(searcher, problem):
        answer = number_of(graph, problem.space)
        if said is None or answer != said[1]:
            said = (problem.spent, answer)
            yield said
    if said is None:
        raise ConfigError(
            f"this search ended without an answer after {problem.spent:g} of {problem.budget:g} training steps; "
            "give it a larger budget"
        )
    if problem.spent > said[0]:
        yield problem.spent, said[1]


def _until_spent(searcher: Searcher, problem: Problem) -> Iterator[Graph]:
    try:
        yield from searcher(problem)
    except BudgetSpent:
        return
