"""Walk through all graphs of a table, one edge a step: what does each flip change, and can the seeds tell?"""

from __future__ import annotations

import numpy as np
import traitlets

from ...core.architecture import Architecture
from ...errors import ConfigError
from ...viz.axes import numbers
from ...viz.graph.plot import plot_fusion_graph
from ...viz.landscape import front_of, plot_front
from ..studio.panel import stage
from .base import STYLE, Explorer, page

TOTAL = "total"  # as a table names the weighted sum of its losses
MOST = 4096  # graphs that a page holds
DIGITS = 7  # of a loss: float32 has no more


class LandscapeExplorer(Explorer):
    """Shows one graph of a table with its losses under every seed, its rank, and what flipping each edge would change.

    The graphs are the corners of a hypercube: a click on an edge, or Enter, leads to the neighbour that differs in it.

    Args:
        table: of every graph, as `bench.table.FusionTable`: it has `space` and `tasks`, the numbers of its `graphs` and
            its `seeds`, and answers `by_seed(score, split)` with losses (2^E, seeds) and `noise_floor(score, split)`.
        graph: where the walk begins: a number (the sum of 2^i over its open edges i), or an architecture of the space.
        split: val or test.

    Raises:
        ConfigError: for something else than such a table, one that is not finished or too large, or a graph that is not in
            it.
    """

    _esm = page("landscape")
    stage = traitlets.Dict().tag(sync=True)
    graph = traitlets.Int(0).tag(sync=True)  # the number of the graph that is shown
    by = traitlets.Unicode(TOTAL).tag(sync=True)  # the loss that ranks are of
    scores = traitlets.List().tag(sync=True)  # [name, [[loss of each seed] of each graph], floor]
    seeds = traitlets.List().tag(sync=True)
    front = traitlets.List().tag(sync=True)  # graphs that none beats in both losses
    split = traitlets.Unicode("test").tag(sync=True)

    def __init__(self, table, graph=0, split: str = "test"):
        try:
            self.space = table.space
            seeds = [int(seed) for seed in table.seeds]
            names = [TOTAL, *(f"{task}/loss" for task in table.tasks)]
            known = len(table.graphs)
        except (AttributeError, TypeError):
            raise ConfigError(
                f"a {type(table).__name__} is not a table of graphs; give a FusionTable"
            ) from None
        graphs = 2 ** len(self.space)
        if known != graphs or not seeds or graphs > MOST:
            raise ConfigError(
                f"this table has {known} of {graphs} graphs under {len(seeds)} seeds; give one of all graphs, at most {MOST}"
            )
        self._values = {name: np.asarray(table.by_seed(name, split)) for name in names}
        floors = dict.fromkeys(names)
        if len(seeds) > 1:
            floors = {name: float(table.noise_floor(name, split).smallest) for name in names}
        self._floors = floors
        scores = [[name, _rounded(self._values[name]), floors[name]] for name in names]
        first, second = names[1:3]
        super().__init__(
            stage=stage(self.space),
            scores=scores,
            seeds=seeds,
            front=front_of(self.losses(first), self.losses(second)),
            split=split,
            graph=self._number(graph),
        )

    def _number(self, graph) -> int:
        if isinstance(graph, Architecture) and graph.space.edges == self.space.edges:
            return sum(1 << i for i, keep in enumerate(graph.kept) if keep)
        if type(graph) is int and 0 <= graph < 2 ** len(self.space):
            return graph
        raise ConfigError(
            f"{graph!r:.80} is not a graph of this table; give an architecture of its space, or a number from 0 to "
            f"{2 ** len(self.space) - 1}"
        )

    @traitlets.validate("graph")
    def _there(self, proposal):
        if not 0 <= proposal["value"] < 2 ** len(self.space):
            raise traitlets.TraitError(
                f"graph {proposal['value']}: there are 0 to {2 ** len(self.space) - 1}"
            )
        return proposal["value"]

    @traitlets.validate("by")
    def _known(self, proposal):
        if proposal["value"] not in self._values:
            raise traitlets.TraitError(
                f"there is no loss {proposal['value']!r}; choose one of {', '.join(self._values)}"
            )
        return proposal["value"]

    # --- what is shown --------------------------------------------------------------------------------------------------
    @property
    def architecture(self) -> Architecture:
        """The graph that is shown."""
        kept = tuple(bool(self.graph >> i & 1) for i in range(len(self.space)))
        return Architecture(self.space, kept)

    def losses(self, by: str) -> np.ndarray:
        """(2^E,) means over the seeds, by the graphs' numbers."""
        return self._values[by].mean(1)

    def rank(self) -> int:
        """Of the graph that is shown: 1 for the best."""
        losses = self.losses(self.by)
        return 1 + int((losses < losses[self.graph]).sum())

    def changes(self) -> np.ndarray:
        """(E,) how much the loss changes when each edge is flipped; below 0 the neighbour is better."""
        losses = self.losses(self.by)
        neighbours = self.graph ^ (1 << np.arange(len(self.space)))
        return losses[neighbours] - losses[self.graph]

    def caption(self) -> str:
        values = [f"{name} {self.losses(name)[self.graph]:.4g}" for name in self._values]
        changes = self.changes()
        best = int(changes.argmin())
        text = "no flip of one edge lowers it"
        if changes[best] < 0:
            text = f"the best flip is {self.space.edges[best]} ({changes[best]:+.3g})"
        edges = f"{self.graph.bit_count()} of {len(self.space)} edges"
        return f"Graph {self.graph} with {edges}, {', '.join(values)} ({self.split}); {self._place()}: {text}"

    def _place(self) -> str:
        return f"rank {self.rank()} of {2 ** len(self.space)} by {self.by}"

    def figure(self, look):
        figure = look.figure(0.42 * look.width, layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1))
        figure.canvas.draw()  # the graph is drawn for the size that its axes have
        title = self._place().capitalize()
        axes = left.add_axes((0, 0.1, 1, 0.8))
        plot_fusion_graph(self.architecture, axes, style=STYLE, title=title)
        first, second = list(self._values)[1:3]
        columns = {first: self.losses(first), second: self.losses(second)}
        columns["edges"] = np.array([graph.bit_count() for graph in range(2 ** len(self.space))])
        known = {name: floor for name, floor in self._floors.items() if floor}
        ax = right.add_subplot()
        plot_front(columns, ax=ax, style=STYLE, floor=known, marked={"here": self.graph})
        return figure


def _rounded(values: np.ndarray) -> list[list[float]]:
    """Losses as JSON holds them. Raises ConfigError where one is missing."""
    if not np.isfinite(values).all():
        raise ConfigError(f"{int((~np.isfinite(values)).sum())} losses of this table are missing")
    return [numbers(row, DIGITS) for row in values]
