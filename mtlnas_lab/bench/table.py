"""The table of all graphs of one condition: what any of them scores, exactly and at once."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.architecture import Architecture
from ..core.space import SearchSpace
from ..data.open import samples
from ..errors import ConfigError, RunError
from ..tasks.metric_names import direction_of
from ..values import choice, told, whole
from . import parquet
from .condition import CONDITIONS, Condition, condition
from .graph import Graph, architecture_of, bits_of, neighbours_of, number_of
from .records import unlike
from .training import BATCH_NORMS, SPLITS, train

TOTAL = "total"  # the sum of weight · loss over the tasks: what training minimises
CHANCE = 1e-12  # differences below it are rounding


@dataclass(frozen=True)
class Answer:
    """What a table says of one graph.

    Attributes:
        graph: Its bits, edge 0 first.
        mean: {task: {metric: mean over the seeds}}; `loss` is among the metrics.
        spread: The same, standard deviations between seeds (n − 1); NaN of one seed.
        seeds: Under which seeds it was trained.
        split, batch_norm: What was measured, and with which batch-norm statistics.
        total: The sum of weight · loss over the tasks, mean over the seeds.
        parameters: Of the pruned network.
        operations: Multiply-adds of the pruned network for one image.
        seconds: Processor time that training and measuring took, mean over the seeds.
    """

    graph: str
    mean: Mapping[str, Mapping[str, float]]
    spread: Mapping[str, Mapping[str, float]]
    seeds: tuple[int, ...]
    split: str
    batch_norm: str
    total: float
    parameters: int
    operations: int
    seconds: float

    @property
    def n(self) -> int:
        return len(self.seeds)


class FusionTable:
    """Every graph of a condition with what it scores: rank, regret and front of any search are looked up.

    A score is named `total`, or `<task>/<metric>` as in `segmentation/miou` and `normals/loss`. It is the mean over the
    seeds unless one is asked for. `split` is val or test; choose by val, and report test.

    Args:
        condition: What the table is about.
        records: One row for each graph and seed, as `bench.training.train` makes them.
        about: What made them: versions, machine; as `bench.records.described` has it.

    Raises:
        RunError: There is no record, a record stands twice or is of a graph that is not there, or a value is not finite.

    Example:
        >>> from mtlnas_lab.bench.table import FusionTable
        >>> table = FusionTable.open("segmentation-normals")
        >>> len(table.space), len(table.graphs)
        (8, 256)
        >>> best = table.best("total")
        >>> table.rank(best, "total"), table.regret(best, "total")
        (1, 0.0)
    """

    def __init__(self, condition: Condition, records, about: Mapping | None = None):
        self.condition = condition
        self.about = about or {}
        self._records = records.sort_values(["graph", "seed"], ignore_index=True)
        if not len(self._records):
            raise RunError(
                f"the table {condition.name} has no record yet; mtlnas_lab.bench.make makes them"
            )
        _must_be_records(condition.name, self._records, 2 ** len(self.space))

    # --- opening ------------------------------------------------------------------------------------------------------
    @classmethod
    def open(cls, name: str | os.PathLike) -> FusionTable:
        """A shipped table by its condition's name, or the table in a folder.

        Args:
            name: As in "segmentation-normals"; or a folder with table.parquet, or with records that `make` left there.

        Raises:
            ConfigError: There is no such table.
            RunError: The folder is damaged, or of another schema.
        """
        if not isinstance(name, str | os.PathLike):
            raise ConfigError(f"{told(name)} is no table's name and no folder")
        folder = Path(name)
        if isinstance(name, str) and name in CONDITIONS and not folder.is_dir():
            folder = samples() / "bench" / name
        if not folder.is_dir():
            raise ConfigError(
                f"there is no table {told(str(name))}; shipped are {', '.join(shipped()) or 'none'}, and a folder that "
                "records were made in can be opened, too"
            )
        about, records = parquet.read(folder)
        return cls(condition_of(about), records, about)

    @classmethod
    def empty(cls, condition: Condition) -> FusionTable:
        """A table without a record: all that a search with a supernet of its own needs."""
        import pandas

        table = cls.__new__(cls)
        table.condition = condition
        table.about = {}
        table._records = pandas.DataFrame(columns=["graph", "seed"])
        return table

    # --- what there is ------------------------------------------------------------------------------------------------
    @property
    def name(self) -> str:
        return self.condition.name

    @property
    def space(self) -> SearchSpace:
        """The search space, with E candidate edges."""
        return self._space

    @functools.cached_property
    def _space(self) -> SearchSpace:
        if "space" in self.about:
            return SearchSpace.from_json(self.about["space"])
        return self.condition.space

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.condition.tasks

    @functools.cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds under which every graph of the table was trained."""
        counts = self._records.groupby("seed").size()
        return tuple(int(seed) for seed, count in counts.items() if count == len(self.graphs))

    @functools.cached_property
    def graphs(self) -> tuple[int, ...]:
        """The numbers of the graphs that have a record: all 2^E, unless the table is not finished."""
        return tuple(int(graph) for graph in self._records["graph"].unique())

    @property
    def complete(self) -> bool:
        """Whether each of the 2^E graphs was trained under each seed of the condition."""
        return len(self.graphs) == 2 ** len(self.space) and set(self.condition.seeds) <= set(
            self.seeds
        )

    def must_have_every_graph(self) -> None:
        """Raises RunError unless each of the 2^E graphs was trained under one seed, the same for all."""
        graphs = 2 ** len(self.space)
        if self.seeds and len(self.graphs) == graphs:
            return
        raise RunError(
            f"the table {self.name} is not finished: no seed has all {graphs} graphs; {self._seeds_in_words()}"
        )

    def _seeds_in_words(self) -> str:
        """How many graphs each seed has, in words."""
        counts = self._records.groupby("seed").size()
        if not len(counts):
            return "it has no record"
        said = ", ".join(f"seed {seed} has {count}" for seed, count in counts.items())
        return f"{said}; the same `make` goes on with them"

    def frame(self):
        """All records, a row for each graph and seed; a copy."""
        return self._records.copy()

    @functools.cached_property
    def weights(self) -> dict[str, float]:
        """{task: its factor in the total loss}."""
        told_of = self.about.get("weights") or {}
        if set(told_of) == set(self.tasks):
            return {task: float(told_of[task]) for task in self.tasks}
        return {name: task.weight for name, task in self.condition.lab(0).tasks.items()}

    def edges(self, graph: Graph) -> int:
        """How many edges a graph keeps."""
        return number_of(graph, self.space).bit_count()

    def architecture(self, graph: Graph) -> Architecture:
        """A graph as an `Architecture`."""
        return architecture_of(graph, self.space)

    # --- one graph ----------------------------------------------------------------------------------------------------
    def query(
        self,
        graph: Graph,
        seed: int | None = None,
        split: str = "val",
        step: int | None = None,
        batch_norm: str = "trained",
    ) -> Answer:
        """What a graph scores: means and spreads over all its seeds, or the values of one seed.

        Args:
            graph: An Architecture, E booleans, bits as in "01100000", or its number.
            seed: One seed; otherwise all that every graph has.
            split: val or test.
            step: The losses on val at this step of training, instead of everything at its end.
            batch_norm: trained (statistics as training left them) or recalibrated (averaged anew).

        Raises:
            SpaceError: The graph belongs to another space.
            ConfigError: There is no such split, step or kind of batch norm.
            RunError: That record is missing; the message says which call makes it.
        """
        rows = self._rows(graph, seed)
        names = self._columns(split, batch_norm)
        if step is not None:
            names = self._curve(step, split, batch_norm)
        mean: dict[str, dict[str, float]] = {task: {} for task in self.tasks}
        spread: dict[str, dict[str, float]] = {task: {} for task in self.tasks}
        for column, (task, metric) in names.items():
            values = rows[column].to_numpy(np.float64)
            mean[task][metric] = float(values.mean())
            spread[task][metric] = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        total = sum(self.weights[task] * mean[task]["loss"] for task in self.tasks)
        seeds = tuple(int(seed) for seed in rows["seed"])
        bits = bits_of(graph, self.space)
        return Answer(bits, mean, spread, seeds, split, batch_norm, total, **_costs(rows))

    def _rows(self, graph: Graph, seed: int | None):
        number = number_of(graph, self.space)
        column = self._records["graph"].to_numpy()
        first, last = np.searchsorted(column, [number, number + 1])
        own = self._records.iloc[first:last]
        wanted = self.seeds if seed is None else (whole("seed", seed),)
        rows = own[own["seed"].isin(wanted)]
        if len(rows):
            return rows
        if seed is None and len(own):
            trained = _listed([int(one) for one in own["seed"]])
            raise RunError(
                f"{self.name}: no seed has every graph yet, so that means could not be compared; graph {number} was trained "
                f"under {trained}: ask for one seed"
            )
        under = "" if seed is None else f" under seed {seed}"
        seeds = None if seed is None else [seed]
        raise RunError(
            f"{self.name}: graph {number} ({bits_of(number, self.space)}) was not trained{under}; "
            f"make(condition({self.name!r}), folder, graphs=[{number}], seeds={seeds}) makes this record, "
            f"table.train({number}, seed) trains it now"
        )

    def _columns(self, split: str, batch_norm: str) -> dict[str, tuple[str, str]]:
        """{column: (task, metric)}. Raises ConfigError."""
        choice("split", split, SPLITS)
        choice("batch_norm", batch_norm, BATCH_NORMS)
        begin = f"{split}/{batch_norm}/"
        named = {}
        for column in self._records.columns:
            if column.startswith(begin):
                task, metric = column.removeprefix(begin).split("/")
                named[column] = (task, metric)
        return named

    def _curve(self, step: int, split: str, batch_norm: str) -> dict[str, tuple[str, str]]:
        if split != "val":
            raise ConfigError("losses while a graph trains are those on val; give split='val'")
        if batch_norm != "trained":
            raise ConfigError(
                "losses while a graph trains are with batch norm as trained; give batch_norm='trained'"
            )
        step = whole("step", step)
        if step not in self.steps:
            raise ConfigError(
                f"step = {told(step)}: losses were measured at {', '.join(map(str, self.steps))}"
            )
        return {f"curve/{step}/{task}": (task, "loss") for task in self.tasks}

    @functools.cached_property
    def steps(self) -> tuple[int, ...]:
        """The steps of training at which the losses on val were measured."""
        curve = [column for column in self._records.columns if column.startswith("curve/")]
        return tuple(sorted({int(column.split("/")[1]) for column in curve}))

    def train(self, graph: Graph, seed: int) -> dict[str, float]:
        """Trains a graph now, by the code that made the table: one record. Takes seconds."""
        return train(self.condition, graph, seed)

    # --- all graphs ---------------------------------------------------------------------------------------------------
    def values(
        self,
        by: str = TOTAL,
        split: str = "test",
        seed: int | None = None,
        batch_norm: str = "trained",
    ) -> np.ndarray:
        """A score of every graph, (2^E,) by its number; NaN for a graph that has no record at all.

        Args:
            by: total, or <task>/<metric>.
            split: val or test.
            seed: One seed; otherwise the mean over the seeds.
            batch_norm: trained or recalibrated.

        Raises:
            ConfigError: There is no such score, split or seed.
            RunError: The graphs that were trained have no seed in common.
        """
        choice("split", split, SPLITS)
        choice("batch_norm", batch_norm, BATCH_NORMS)
        if not isinstance(by, str):
            raise ConfigError(f"by = {told(by)}: give {TOTAL} or <task>/<metric>")
        if seed is not None:
            seed = whole("seed", seed)
        key = (by, split, seed, batch_norm)
        if key not in self._values:
            self._values[key] = self._all_values(*key)
        return self._values[key].copy()

    @functools.cached_property
    def _values(self) -> dict[tuple, np.ndarray]:
        return {}

    def _all_values(self, by: str, split: str, seed: int | None, batch_norm: str) -> np.ndarray:
        wide = self.by_seed(by, split, batch_norm)
        if not self.seeds:
            raise RunError(
                f"the graphs of {self.name} have no seed in common, so that they cannot be compared: {self._seeds_in_words()}"
            )
        if seed is None:
            return wide.mean(axis=1)
        return wide[:, self._place_of(seed)]

    def _place_of(self, seed: int) -> int:
        if seed not in self.seeds:
            raise ConfigError(f"seed = {told(seed)}: every graph has {_listed(self.seeds)}")
        return self.seeds.index(seed)

    def by_seed(
        self, by: str = TOTAL, split: str = "test", batch_norm: str = "trained"
    ) -> np.ndarray:
        """A score of every graph under every seed, (2^E, number of seeds); only seeds that every graph has."""
        columns = self._weighted_columns(by, split, batch_norm)
        wide = np.full((2 ** len(self.space), len(self.seeds)), np.nan)
        graphs = self._records["graph"].to_numpy()
        seeds = self._records["seed"].to_numpy()
        sums = sum(
            weight * self._records[column].to_numpy(np.float64)
            for column, weight in columns.items()
        )
        for place, seed in enumerate(self.seeds):
            chosen = seeds == seed
            wide[graphs[chosen], place] = sums[chosen]
        return wide

    def _weighted_columns(self, by: str, split: str, batch_norm: str) -> dict[str, float]:
        """{column: factor} of a score. Raises ConfigError."""
        named = self._columns(split, batch_norm)
        if by == TOTAL:
            return {
                column: self.weights[task]
                for column, (task, metric) in named.items()
                if metric == "loss"
            }
        known = {f"{task}/{metric}": column for column, (task, metric) in named.items()}
        if by not in known:
            raise ConfigError(
                f"there is no score {told(by)}; choose {TOTAL} or one of {', '.join(known)}"
            )
        return {known[by]: 1.0}

    def _losses(self, by: str, **where) -> np.ndarray:
        """A score of every graph, turned so that less is better."""
        return -direction(by) * self.values(by, **where)

    def rank(self, graph: Graph, by: str = TOTAL, split: str = "test", **where) -> int:
        """1 for the best graph; equals share the better rank."""
        losses = self._losses(by, split=split, **where)
        own = losses[self._there(graph)]
        return 1 + int((losses < own - CHANCE).sum())

    def percentile(
        self,
        graph: Graph,
        by: str = TOTAL,
        split: str = "test",
        same_edges: bool = False,
        **where,
    ) -> float:
        """The share of the other graphs that it beats, equals by half: 1 the best, ½ the median.

        Args:
            graph: The graph.
            by: total, or <task>/<metric>.
            split: val or test.
            same_edges: Only among graphs with as many edges, which random choice of that many would draw.
            where: seed and batch_norm, as `values` takes them.
        """
        number = self._there(graph)
        losses = self._losses(by, split=split, **where)
        others = self._others(number, same_edges)
        if not len(others):
            return 0.5
        worse = (losses[others] > losses[number] + CHANCE).mean()
        equal = (np.abs(losses[others] - losses[number]) <= CHANCE).mean()
        return float(worse + equal / 2)

    def _others(self, number: int, same_edges: bool) -> np.ndarray:
        others = np.array([graph for graph in self.graphs if graph != number], dtype=np.int64)
        if same_edges and len(others):
            counts = np.array([int(graph).bit_count() for graph in others])
            others = others[counts == number.bit_count()]
        return others

    def regret(
        self,
        graph: Graph,
        by: str = TOTAL,
        split: str = "test",
        against: str = "best",
        **where,
    ) -> float:
        """How much worse a graph is than another choice; negative where it is better.

        Args:
            graph: The graph.
            by: total, or <task>/<metric>.
            split: val or test.
            against: best (the best graph of the table), random (the mean of all graphs), or random_same_edges (the mean of
                the graphs with as many edges).
            where: seed and batch_norm, as `values` takes them.

        Raises:
            ConfigError: There is no such choice.
        """
        choice("against", against, ("best", "random", "random_same_edges"))
        number = self._there(graph)
        losses = self._losses(by, split=split, **where)
        if against == "best":
            return float(losses[number] - np.nanmin(losses))
        among = np.array(self.graphs)
        if against == "random_same_edges":
            among = np.append(self._others(number, same_edges=True), number)
        return float(losses[number] - losses[among].mean())

    def _there(self, graph: Graph) -> int:
        """A graph's number. Raises RunError where it has no record."""
        number = number_of(graph, self.space)
        if number not in self._known:
            self._rows(graph, None)
        return number

    @functools.cached_property
    def _known(self) -> frozenset[int]:
        return frozenset(self.graphs)

    def best(
        self, by: str = TOTAL, split: str = "test", edges: int | None = None, **where
    ) -> Architecture:
        """The best graph; of equals the one with fewest edges.

        Args:
            by: total, or <task>/<metric>.
            split: val or test.
            edges: Only among graphs with so many.
            where: seed and batch_norm, as `values` takes them.

        Raises:
            ConfigError: No graph has so many edges.
        """
        losses = self._losses(by, split=split, **where)
        among = [graph for graph in self.graphs if edges is None or int(graph).bit_count() == edges]
        if not among:
            raise ConfigError(f"edges = {told(edges)}: there are 0 to {len(self.space)}")
        return self.architecture(min(among, key=lambda graph: (losses[graph], graph.bit_count())))

    def pareto(self, split: str = "test", by: Sequence[str] | None = None, **where) -> list[int]:
        """The graphs that no other beats in one score without losing in another, by the first score.

        Args:
            split: val or test.
            by: Two scores or more; otherwise each task's loss.
            where: seed and batch_norm, as `values` takes them.
        """
        names = by or [f"{task}/loss" for task in self.tasks]
        scores = np.stack([self._losses(name, split=split, **where) for name in names], axis=1)
        front = []
        for graph in self.graphs:
            no_worse = (scores <= scores[graph]).all(1)
            better = (scores < scores[graph]).any(1)
            if not (no_worse & better).any():
                front.append(graph)
        return sorted(front, key=lambda graph: scores[graph, 0])

    def neighbours(self, graph: Graph) -> tuple[int, ...]:
        """The E graphs that differ in one edge, by the edge that is flipped."""
        return neighbours_of(graph, self.space)

    def noise_floor(self, by: str = TOTAL, split: str = "test", batch_norm: str = "trained"):
        """How far the seeds blur a score: see `bench.noise.noise_floor`, which this calls on the table's values."""
        from .noise import noise_floor

        return noise_floor(self.by_seed(by, split, batch_norm)[list(self.graphs)])

    def __repr__(self) -> str:
        return f"FusionTable({self.name}: {len(self.graphs)} graphs, {_listed(self.seeds)})"


def _costs(rows) -> dict[str, float]:
    """What the graph of these records costs."""
    first = rows.iloc[0]
    return {
        "parameters": int(first["parameters"]),
        "operations": int(first["operations"]),
        "seconds": float(rows["seconds"].mean()),
    }


def direction(by: str) -> int:
    """1 where more of a score is better, −1 where less is: all losses, and the total."""
    metric = by.rpartition("/")[2]
    return direction_of(metric) or -1


def shipped() -> list[str]:
    """The conditions whose tables lie in data_samples/bench."""
    folder = samples() / "bench"
    return [name for name in CONDITIONS if (folder / name / parquet.FILE).is_file()]


def condition_of(about: Mapping) -> Condition:
    """The condition that a table's description names. Raises RunError for one that is not known, or is another now."""
    told_of = about.get("condition")
    name = told_of.get("name") if isinstance(told_of, Mapping) else None
    if name not in CONDITIONS:
        raise RunError(
            f"this table is about a condition {told(name)}, which is not known here; there is {', '.join(CONDITIONS)}"
        )
    known = condition(name)
    if unlike(about, {"condition": known.to_json()}, ("condition",)):
        raise RunError(
            f"this table is about a condition {name} that has other settings than the one of that name here"
        )
    return known


def _must_be_records(name: str, records, graphs: int) -> None:
    """Raises RunError for a record that stands twice, is of no graph, or holds what is not finite."""
    twice = records.duplicated(["graph", "seed"])
    if twice.any():
        graph, seed = records.loc[twice, ["graph", "seed"]].iloc[0]
        raise RunError(f"the table {name} has graph {graph} under seed {seed} twice")
    outside = ~records["graph"].between(0, graphs - 1)
    if outside.any():
        graph = records.loc[outside, "graph"].iloc[0]
        raise RunError(f"the table {name} has a graph {graph}; there are 0 to {graphs - 1}")
    values = records.to_numpy(np.float64)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        graph, seed = records[["graph", "seed"]].iloc[row]
        raise RunError(
            f"the table {name} has {records.columns[column]} = {values[row, column]} for graph {graph} under seed {seed}"
        )


def _listed(seeds: Sequence[int]) -> str:
    return f"seeds {', '.join(map(str, seeds)) or 'none'}"
