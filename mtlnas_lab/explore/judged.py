"""What the answer of a search is worth, by a table of the truth."""

from __future__ import annotations

from ..bench.searchers import Searcher, search
from ..bench.table import TOTAL, FusionTable
from .planted_edges import is_planted, of_graph


def judged(searcher: Searcher, table: FusionTable, budget: float, seed: int) -> dict[str, float]:
    """One search, judged by the table of its condition: test images, mean over the table's seeds.

    Args:
        searcher: A function that takes a `bench.searchers.Problem` and yields each graph that it would answer from now on.
        table: Of the condition to search in.
        budget: In plain training steps.
        seed: Of the search.

    Returns:
        Of the answer: `regret`, its total loss minus that of the best graph; `lead`, how much less it is than the mean of all
        graphs with as many edges; `<task>_lead`, the same of one task's loss; `beats`, the share of those graphs that it beats
        (½ where there are no others); `edges`; and `spent`, in plain training steps. Where something is planted, `useful`,
        `rivals` and `preference`, too: the shares of the useful edges and of their rivals that are open, and their difference,
        which chance makes 0 (`planted_edges`).

    Raises:
        ConfigError: The searcher ends without an answer, or cannot work with so small a budget.
        RunError: The table is not finished; nothing was searched.

    Example:
        >>> table = FusionTable.open("segmentation-normals")
        >>> found = judged(lambda problem: ["11111111"], table, budget=300, seed=0)
        >>> found["edges"], found["lead"], found["beats"]
        (8.0, 0.0, 0.5)
    """
    table.must_have_every_graph()
    *_, (spent, graph) = search(searcher, table, budget, seed)
    leads = {"lead": _lead(table, graph, TOTAL)}
    for task in table.tasks:
        leads[f"{task}_lead"] = _lead(table, graph, f"{task}/loss")
    return {
        "regret": table.regret(graph),
        **leads,
        "beats": table.percentile(graph, same_edges=True),
        "edges": float(graph.bit_count()),
        "spent": spent,
        **_planted(table, graph),
    }


def _planted(table: FusionTable, graph: int) -> dict[str, float]:
    """How a graph's edges lie to what was planted; nothing where nothing was."""
    if not is_planted(table.condition):
        return {}
    found = of_graph(graph, table.condition)
    return {
        "useful": found["recall"],
        "rivals": found["rivals"],
        "preference": found["lead"],
    }


def _lead(table: FusionTable, graph: int, by: str) -> float:
    return 0.0 - table.regret(graph, by, against="random_same_edges")
