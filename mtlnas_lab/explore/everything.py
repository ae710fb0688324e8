"""Every method of the lab on one page: what its answer loses in each table of the truth, and what it cost.

A method is a searcher of `bench.searchers`: a function that takes a problem and yields each graph that it would answer from
now on. Your own stands beside the others with `entered`:

    frame = frame_of(Findings.shipped("everything"))
    mine = entered({"mine": my_search}, ["segmentation-normals"], seeds=range(5), budgets=[1500])
    page(pandas.concat([frame, mine]))
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..analysis.statistics import half_interval
from ..analysis.tables import booktabs
from ..bench.searchers import SEARCHERS, Searcher
from ..bench.table import FusionTable
from ..bench.training import one_thread
from ..errors import ConfigError
from ..values import choice
from . import arch_graph, eas, ofa2, warm_start
from .judged import judged
from .study import Findings

METHODS: dict[str, Searcher] = SEARCHERS | {
    "ofa2": ofa2.searcher,
    "eas": eas.searcher,
    "warm_start": warm_start.searcher,
    "arch_graph": arch_graph.searcher,
}
COLUMNS = ["method", "where", "budget", "seed"]
BY = ["method", "where", "budget"]


def searched(seed: int, method: str, where: str, budget: float) -> dict[str, float]:
    """One search of one method, judged as `judged.judged` says.

    Args:
        seed: Of the search.
        method: A name of METHODS.
        where: The name of a shipped table, or a folder with one.
        budget: In plain training steps.

    Raises:
        ConfigError: There is no such method or table.
        RunError: The table is not finished.

    Example:
        >>> searched(0, "all_edges", "segmentation-normals", budget=300)["edges"]
        8.0
    """
    choice("method", method, tuple(METHODS))
    return judged(METHODS[method], FusionTable.open(where), budget, seed)


def confirmed(seed: int, method: str, where: str, budget: float) -> dict[str, float]:
    """`searched`, and `share`: the regret over that of a graph by chance, which is the mean over all graphs of the table.

    Args:
        seed: Of the search.
        method: A name of METHODS.
        where: The name of a shipped table, or a folder with one.
        budget: In plain training steps.

    Raises:
        ConfigError: There is no such method or table.
        RunError: The table is not finished.

    Example:
        >>> found = confirmed(0, "all_edges", "segmentation-normals", budget=300)
        >>> round(found["share"], 2)
        0.15
    """
    found = searched(seed, method, where, budget)
    table = FusionTable.open(where)
    by_chance = float(table.values().mean() - table.values().min())
    return found | {"share": found["regret"] / by_chance}


ARMS = {"searched": searched, "confirmed": confirmed}


# --- the page ---------------------------------------------------------------------------------------------------------
def frame_of(findings: Findings):
    """A study's searches as a pandas frame: method, where, budget, seed, regret, lead, beats, edges, spent, seconds."""
    wide = findings.frame.pivot(index=["arm", "seed"], columns="quantity", values="value")
    places = {arm: place for place, arm in enumerate(findings.study.arms)}
    frame = wide.reset_index().sort_values("arm", key=lambda arms: arms.map(places), kind="stable")
    for name in BY:
        frame[name] = [findings.study.settings(arm)[name] for arm in frame["arm"]]
    others = [name for name in findings.quantities if name in frame]
    return frame[COLUMNS + others].reset_index(drop=True)


def entered(
    searchers: Mapping[str, Searcher],
    tables: Iterable[str],
    seeds: Iterable[int],
    budgets: Iterable[float],
):
    """Searches of your own, as `frame_of` shows those of the lab.

    Args:
        searchers: {name: searcher}; a name that the lab's methods do not have.
        tables: Names of shipped tables, or folders with one.
        seeds: Of the searches.
        budgets: In plain training steps.

    Raises:
        ConfigError: A name is taken, a searcher ends without an answer, or there is no such table.
        RunError: A table is not finished.

    Example:
        >>> frame = entered({"first edge": lambda problem: ["10000000"]}, ["segmentation-normals"], [0, 1], [300])
        >>> frame[["method", "seed", "edges", "spent"]].values.tolist()
        [['first edge', 0, 1.0, 0.0], ['first edge', 1, 1.0, 0.0]]
    """
    import pandas

    taken = [name for name in searchers if name in METHODS]
    if taken:
        raise ConfigError(f"{taken[0]} is a method of the lab; give yours another name")
    seeds = list(seeds)
    budgets = list(budgets)
    lines = []
    for where in tables:
        table = FusionTable.open(where)
        for name, searcher in searchers.items():
            for budget in budgets:
                for seed in seeds:
                    with one_thread():
                        found = judged(searcher, table, budget, seed)
                    who = {"method": name, "where": where, "budget": budget, "seed": seed}
                    lines.append(who | found)
    return pandas.DataFrame(lines)


def page(frame):
    """The picture of all methods: regret in each table, every seed a dot; a matplotlib Figure. `frame` as of `frame_of`."""
    from ..viz.study_plots import plot_methods

    return plot_methods(frame, _halves(frame))


def _halves(frame) -> dict[tuple, float]:
    """How far the interval of each mean regret reaches to either side; NaN for a single search."""
    groups = frame.groupby(BY)["regret"]
    return {key: half_interval(regrets.tolist()) for key, regrets in groups}


def latex(frame) -> str:
    r"""The page as a tabular for \usepackage{booktabs}: regret of each method, mean ± half of the 95 % interval.

    Args:
        frame: As of `frame_of`. The columns are its tables, each under each budget; the best method is the first line. Of a
            single search there is no interval.
    """
    from ..viz.graph.svg_tikz import latex as escape
    from ..viz.study_plots import methods_in_order

    half = _halves(frame)
    means = frame.groupby(BY)["regret"].mean()
    columns = frame[["where", "budget"]].drop_duplicates().values.tolist()
    lines = []
    for method in methods_in_order(frame):
        cells = [escape(method.replace("_", " "))]
        for where, budget in columns:
            key = (method, where, budget)
            cells.append(_with_interval(means[key], half[key]) if key in half else "--")
        lines.append(cells)
    tables = ["", *(escape(where) for where, _ in columns)]
    budgets = ["method", *(f"{budget:,.0f} steps" for _, budget in columns)]
    return booktabs([tables, budgets], lines, "l" + "r" * len(columns))


def _with_interval(mean: float, half: float) -> str:
    if math.isnan(half):
        return f"${mean:.3f}$"
    return f"${mean:.3f} \\pm {half:.3f}$"


# --- of the report ----------------------------------------------------------------------------------------------------
def report_pictures(findings: Findings) -> list[tuple[str, object]]:
    """(caption, Figure) of the page."""
    frame = frame_of(findings)
    seeds = frame["seed"].nunique()
    caption = (
        f"Regret (less is better): the answer's total loss on test minus that of the table's best graph. {seeds} searches "
        "each: small dots; the mean with its 95 % interval. The best method over all tables is at the top."
    )
    return [(caption, page(frame))]


def write_more(findings: Findings, folder: str | os.PathLike) -> list[Path]:
    """The page for a paper as PDF, PNG and LaTeX, named as the study; returns their paths."""
    frame = frame_of(findings)
    name = findings.study.name
    paths = [Path(folder) / f"{name}.{kind}" for kind in ("pdf", "png", "tex")]
    figure = page(frame)
    figure.savefig(paths[0])
    figure.savefig(paths[1])
    paths[2].write_text(latex(frame) + "\n", encoding="utf-8")
    return paths
