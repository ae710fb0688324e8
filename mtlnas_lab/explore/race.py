"""Which search finds a good graph at which cost? Every searcher over every table of the truth, as a study."""

from __future__ import annotations

from ..bench.searchers import SEARCHERS, search
from ..bench.table import FusionTable
from ..values import choice


def raced(seed: int, searcher: str, where: str, budget: float) -> dict[str, float]:
    """One search, judged by the table of its condition: test images, mean over the table's seeds.

    Args:
        seed: Of the search.
        searcher: A name of `bench.searchers.SEARCHERS`.
        where: The name of a shipped table, or a folder with one.
        budget: In plain training steps.

    Returns:
        Of the answer: `regret`, its total loss minus that of the best graph; `lead`, how much less it is than the mean of all
        graphs with as many edges; `beats`, the share of those that it beats (½ where there are no others); `edges`; and
        `spent`, in plain training steps.

    Raises:
        ConfigError: There is no such searcher or table.
        RunError: The table is not finished.

    Example:
        >>> found = raced(0, "all_edges", "segmentation-normals", budget=300)
        >>> found["edges"], found["lead"], found["beats"]
        (8.0, 0.0, 0.5)
    """
    choice("searcher", searcher, tuple(SEARCHERS))
    table = FusionTable.open(where)
    *_, (spent, graph) = search(SEARCHERS[searcher], table, budget, seed)
    return {
        "regret": table.regret(graph),
        "lead": 0.0 - table.regret(graph, against="random_same_edges"),
        "beats": table.percentile(graph, same_edges=True),
        "edges": float(graph.bit_count()),
        "spent": spent,
    }


ARMS = {"raced": raced}
