"""A race: many searches, each under many seeds, judged by a table that knows what every graph is worth.

rows = list(race(table, "race-rows", seeds=range(20), budget=3000))   # goes on where it stopped
curves = frame(table, rows)
summary(curves)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..analysis.statistics import Difference, difference, half_interval, holm
from ..analysis.study import known, processes
from ..errors import ConfigError, RunError
from ..values import choice, told
from .lines import Lines, load
from .make import in_parallel
from .searchers import SEARCHERS, Searcher, search
from .table import TOTAL, FusionTable
from .training import one_thread

FILE = "race.jsonl"
BUDGET = 3000.0  # plain training steps: ten trainings
REFERENCE = "random"  # what each searcher is compared with, seed by seed
COLUMNS = ["searcher", "seed", "budget", "spent", "graph"]
JUDGED = ["regret", "percentile", "percentile_same_edges", "edges"]

Row = dict  # of one search: condition, searcher, seed, budget, and equally long lists `spent` and `graph`


# --- running ----------------------------------------------------------------------------------------------------------
def race(
    table: FusionTable,
    folder: str | os.PathLike,
    searchers: Mapping[str, Searcher] = SEARCHERS,
    seeds: Iterable[int] = range(20),
    budget: float = BUDGET,
    jobs: int = 1,
    backend: str = "loky",
) -> Iterator[Row]:
    """Yields the searches that are there, then runs the others, keeps each at once, and yields it.

    All searchers under the first seed come first, so that a race that was stopped compares all of them.

    Args:
        table: Of the condition to search in. Searches with a supernet need only its condition: it may be unfinished.
        folder: Where the rows go. A search that is there is not run again, even if the table was another one then.
        searchers: {name: searcher}, as in `searchers.SEARCHERS`; your own among them.
        seeds: Of the searches.
        budget: Of each search, in plain training steps.
        jobs: Searches at a time, of one thread each; -1 is as many as there are cores.
        backend: joblib's: loky (processes of this machine), sequential, dask or ray.

    Raises:
        ConfigError: A searcher cannot work with this budget, or there are no such jobs or backend.
        RunError: The folder holds a race in another condition, or another process writes there, or the table lacks a
            training that a searcher asks for.

    Example:
        >>> import tempfile
        >>> from mtlnas_lab.bench.race import frame, race, summary
        >>> from mtlnas_lab.bench.searchers import SEARCHERS
        >>> from mtlnas_lab.bench.table import FusionTable
        >>> table = FusionTable.open("segmentation-normals")
        >>> two = {name: SEARCHERS[name] for name in ("random", "local_search")}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     rows = list(race(table, folder, two, seeds=range(4)))
        >>> len(rows), sorted(rows[0])
        (8, ['budget', 'condition', 'graph', 'searcher', 'seed', 'spent'])
        >>> summary(frame(table, rows)).index.tolist()
        ['random', 'local_search']
    """
    jobs = processes(jobs)
    known(backend)
    with Rows(folder, table.name) as rows:
        missing = []
        for seed in seeds:
            for name, searcher in searchers.items():
                row = rows.find(name, seed, budget)
                if row is None:
                    missing.append((table, name, searcher, seed, budget))
                else:
                    yield row
        for row in in_parallel(run, missing, jobs, backend):
            rows.add(row)
            yield row


def run(table: FusionTable, name: str, searcher: Searcher, seed: int, budget: float) -> Row:
    """One search, with one thread: the same answers each time on one kind of machine."""
    with one_thread():
        curve = list(search(searcher, table, budget, seed))
    return {
        "condition": table.name,
        "searcher": name,
        "seed": seed,
        "budget": float(budget),
        "spent": [spent for spent, _ in curve],
        "graph": [graph for _, graph in curve],
    }


class Rows:
    """The searches that are kept in a folder, a checked line for each; only one process writes.

    Args:
        folder: Where they lie; made where it is missing.
        condition: The name of the condition that they search in.

    Raises:
        RunError: The folder's searches are in another condition, or another process writes there.
    """

    def __init__(self, folder: str | os.PathLike, condition: str):
        self._kept = Lines(Path(folder) / FILE, _plain)
        for row in self.rows:
            if row["condition"] != condition:
                self.close()
                raise RunError(
                    f"{folder} holds a race in {told(row['condition'])}, not in {condition}; give another folder"
                )

    @property
    def rows(self) -> list[Row]:
        return self._kept.lines

    def find(self, searcher: str, seed: int, budget: float) -> Row | None:
        """That search, where it is there."""
        for row in self.rows:
            if (row["searcher"], row["seed"], row["budget"]) == (searcher, seed, budget):
                return row
        return None

    def add(self, row: Row) -> None:
        """Keeps a search: it is on the disk when this returns."""
        self._kept.add(row)

    def close(self) -> None:
        """Gives up the lock."""
        self._kept.close()

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *error) -> None:
        self.close()


def read_rows(folder: str | os.PathLike) -> list[Row]:
    """The finished searches of a folder, while they are still being made, too.

    Raises:
        ConfigError: There is no race in that folder.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise ConfigError(f"there is no race in {told(str(folder))}: it has no {FILE}")
    return load(path, _plain)[0]


def _plain(line: dict) -> Row:
    """A row as it was added. Raises RunError for what is none."""
    row = {key: value for key, value in line.items() if key not in ("seq", "crc")}
    missing = [name for name in ("condition", *COLUMNS) if name not in row]
    if missing:
        raise RunError(f"no row of a race: it has no {', '.join(missing)}")
    return row


# --- judging ----------------------------------------------------------------------------------------------------------
def frame(table: FusionTable, rows: Iterable[Row], by: str = TOTAL):
    """Every answer of every search, with what the table knows of it: anytime curves, every seed visible.

    A supernet is trained for the whole budget: an early answer of its curve is of a search that was set up to go on.

    Chance has a part in it twice. The best graph owes some of its lead to chance, which makes every regret a little too
    large: what is below `table.noise_floor().smallest` cannot be told from 0. And a search that trains graphs saw one of the
    trainings that the mean on test is made of, which makes its own a little too small.

    Args:
        table: Finished, or at least with every graph under one seed.
        rows: As `race` yields them.
        by: The score that counts: total, or <task>/<metric>.

    Returns:
        A pandas frame, a line for each answer: `searcher`, `seed`, `budget`, `spent` (plain training steps so far), `graph` (its number),
        `regret` (on test, mean over the table's seeds, against its best graph), `percentile` (the share of the other graphs
        that it beats), `percentile_same_edges` (of those with as many edges), `edges`. A search's last line has all that it
        spent.

    Raises:
        ConfigError: A search is of another condition, or there is no such score.
        RunError: The table does not have every graph under one seed.
    """
    import pandas

    table.must_have_every_graph()
    lines = []
    judged: dict[int, dict] = {}
    for row in rows:
        if row["condition"] != table.name:
            raise ConfigError(
                f"a search in {told(row['condition'])} cannot be judged by the table {table.name}"
            )
        who = {name: row[name] for name in ("searcher", "seed", "budget")}
        for spent, graph in zip(row["spent"], row["graph"], strict=True):
            if graph not in judged:
                judged[graph] = _judged(table, graph, by)
            lines.append({**who, "spent": spent, "graph": graph, **judged[graph]})
    return pandas.DataFrame(lines, columns=COLUMNS + JUDGED)


def _judged(table: FusionTable, graph: int, by: str) -> dict[str, float]:
    return {
        "regret": table.regret(graph, by),
        "percentile": table.percentile(graph, by),
        "percentile_same_edges": table.percentile(graph, by, same_edges=True),
        "edges": table.edges(graph),
    }


def answers_at(curves, cost: float):
    """What each search answered when it had spent so much: its last line with `spent` ≤ cost; none before its first.

    Args:
        curves: What `frame` returns.
        cost: In plain training steps.
    """
    there = curves[curves["spent"] <= cost + 1e-6]
    return there.groupby(["searcher", "seed", "budget"], sort=False).tail(1)


def edge_shares(table: FusionTable, curves, cost: float | None = None):
    """Where searches land: how often each searcher's answer keeps each candidate edge.

    Args:
        table: Whose space the graphs are of.
        curves: What `frame` returns.
        cost: In plain training steps; otherwise the last answers.

    Returns:
        A pandas frame (searcher × edge) of shares of the searches, edges as text and in their order.
    """
    cost = float("inf") if cost is None else cost
    answers = answers_at(curves, cost)
    kept = {}
    for i, edge in enumerate(table.space.edges):
        kept[str(edge)] = answers["graph"].to_numpy() >> i & 1
    shares = answers.assign(**kept).groupby("searcher", sort=False)
    return shares[list(kept)].mean()


def summary(curves, cost: float | None = None, reference: str = REFERENCE):
    """Each searcher at equal cost, and against the reference, paired by seed.

    Args:
        curves: What `frame` returns, of one budget.
        cost: In plain training steps; otherwise the budget.
        reference: The searcher that the others are compared with; without random there is no comparison unless you name one.

    Returns:
        A pandas frame, a line for each searcher that had an answer under every seed by then, in the order of the frame: `seeds`, `cost`
        (what it had spent by then, mean), `regret` (mean) with `low` and `high` (95 % interval of the mean, Student's t; NaN for one seed),
        `percentile`, `percentile_same_edges`, `edges` (means), `better` (how much less regret than the reference, mean over
        the seeds that both have) with `better_low`, `better_high` (95 %), `p` (paired t-test) and `p_holm` (corrected for
        the number of comparisons). The last five are NaN for the reference itself, and where two seeds are not shared.

    Raises:
        ConfigError: The frame holds searches of several budgets, or none, or none of the reference that you named.
    """
    import pandas

    if reference != REFERENCE:
        choice("reference", reference, [*curves["searcher"].unique()])

    budgets = curves["budget"].unique()
    if len(budgets) != 1:
        raise ConfigError(
            f"searches with budgets {told(budgets.tolist())}: searches are compared that had the same one; choose it as "
            "in frame[frame.budget == 3000]"
        )
    cost = float(budgets[0]) if cost is None else cost
    answers = answers_at(curves, cost)
    spent = _spent_by(curves, cost)
    lines = []
    for name in curves["searcher"].unique():
        own = answers[answers["searcher"] == name]
        if len(own) == curves[curves["searcher"] == name]["seed"].nunique():
            lines.append({"searcher": name, **_means(own), "cost": spent[name]})
    table = pandas.DataFrame(lines, columns=["searcher", "seeds", "cost", *_MEANS])
    return _compared(table.set_index("searcher"), answers, reference)


_MEANS = ["regret", "low", "high", "percentile", "percentile_same_edges", "edges"]


def _means(answers) -> dict[str, float]:
    regret = answers["regret"]
    half = half_interval(regret.tolist())
    means = answers[["percentile", "percentile_same_edges", "edges"]].mean().to_dict()
    mean = float(regret.mean())
    return {
        "seeds": len(answers),
        "regret": mean,
        "low": mean - half,
        "high": mean + half,
        **means,
    }


def _spent_by(curves, cost: float):
    """What each searcher had spent by then, mean over its searches: one that goes on has spent all of it."""
    ends = curves.groupby(["searcher", "seed"])["spent"].max()
    return ends.clip(upper=cost).groupby("searcher").mean()


def _compared(table, answers, reference: str):
    """The summary, with each searcher held against the reference."""
    import pandas

    regrets = answers.pivot(index="seed", columns="searcher", values="regret")
    found = {}
    for name in table.index:
        if name == reference or reference not in regrets:
            continue
        pairs = regrets[[reference, name]].dropna()
        if len(pairs) > 1:
            # less regret is better, and `difference` says more where the other is better
            found[name] = difference(-pairs[reference], -pairs[name])
    corrected = holm([one.p for one in found.values()])
    lines = [_difference(one, p) for one, p in zip(found.values(), corrected)]
    beside = pandas.DataFrame(lines, index=list(found), columns=_DIFFERENCE)
    return table.join(beside)


_DIFFERENCE = ["better", "better_low", "better_high", "p", "p_holm"]


def _difference(one: Difference, corrected: float) -> dict[str, float]:
    low, high = one.interval
    return {
        "better": one.mean,
        "better_low": low,
        "better_high": high,
        "p": one.p,
        "p_holm": corrected,
    }


def names(searchers: Sequence[str]) -> dict[str, Searcher]:
    """{name: searcher} of these names. Raises ConfigError for one that is not there."""
    unknown = [name for name in searchers if name not in SEARCHERS]
    if unknown:
        raise ConfigError(
            f"there is no searcher {told(unknown[0])}; choose of {', '.join(SEARCHERS)}"
        )
    return {name: SEARCHERS[name] for name in searchers}
