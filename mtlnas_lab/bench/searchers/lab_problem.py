"""A search in a lab of your own, of whose graphs nobody knows the truth: a look at a graph is a real training."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

from ...core.config import SearchConfig
from ...core.lab import Lab
from ...core.space import SearchSpace
from ...errors import ConfigError
from ..graph import Graph, kept_of, number_of
from ..training import losses, train_in
from .problem import Problem


class LabProblem(Problem):
    """A search in any lab, with the searchers and the purse of the tables.

    Args:
        make: Makes the lab of a seed, at its start; its data has val beside train.
        config: How a graph is trained; a searcher with a supernet takes its own number of steps.
        budget: How many plain training steps may be spent in all.
        seed: Draws everything that is drawn. Every graph begins with the same weights and meets the same batches.

    Raises:
        ConfigError: The budget or the seed is not such a number, or the lab has no images of val.

    Example:
        >>> from dataclasses import replace
        >>> from mtlnas_lab.experiments.presets import preset, tiny
        >>> from mtlnas_lab.bench.searchers import SEARCHERS, LabProblem, answers
        >>> config = replace(preset("tiny").search, steps=2)
        >>> problem = LabProblem(lambda seed: tiny(seed=seed), config, budget=6)
        >>> *_, (spent, graph) = answers(SEARCHERS["random"], problem)
        >>> len(problem.trained), spent <= 6, graph in problem.trained
        (1, True, True)
    """

    def __init__(
        self, make: Callable[[int], Lab], config: SearchConfig, budget: float, seed: int = 0
    ):
        super().__init__(budget, seed)
        self._make = make
        self._config = config
        lab = self.lab()
        if "val" not in lab.data:
            raise ConfigError(
                f"this lab has images of {', '.join(lab.data)}, and none of val; a search scores its graphs on those"
            )
        self._space = lab.space
        self._val_images = len(lab.data["val"])

    @property
    def space(self) -> SearchSpace:
        return self._space

    def lab(self) -> Lab:
        return self._make(self.seed)

    @functools.cached_property
    def config(self) -> SearchConfig:
        return replace(self._config, seed=self.seed)

    @property
    def val_images(self) -> int:
        return self._val_images

    def any_graph(self) -> int:
        """Every edge is open or shut with the same chance."""
        return number_of(self.generator.random(len(self.space)) < 0.5, self.space)

    def in_random_order(self) -> Iterator[int]:
        drawn: set[int] = set()
        while len(drawn) < self.graphs:
            graph = self.any_graph()
            if graph not in drawn:
                drawn.add(graph)
                yield graph

    def loss_of(self, graph: int) -> float:
        lab = self.trained_lab(graph)
        found = losses(lab, kept_of(graph, self.space), "val")
        return lab.total({task: values["loss"] for task, values in found.items()})

    def trained_lab(self, graph: Graph) -> Lab:
        """The lab after a graph has been trained in it. Nothing is paid.

        Raises:
            ConfigError: A loss is not a finite number any more.
        """
        return train_in(self.lab(), graph, self.config)
