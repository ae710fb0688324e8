"""Which of two graphs is better? Pairs, a tournament, and the order that is left when its cycles are cut.

Inspired by Arch-Graph (Huang et al., arXiv 2204.05941), of which an abstract and a caption could be read. A predictor says of each
pair of graphs which one is better, and how sure it is. That makes a tournament, which may contradict itself: i beats j, j beats
k, k beats i. The heaviest part of it without such a cycle is an order of the graphs. The predictor learns from pairs of tasks
whose graphs are all trained, and then from a few trained graphs of the pair in question. Its form, its loss, and how the heaviest
part is found are our own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..analysis.statistics import half_interval
from ..bench.condition import IMAGES, Condition
from ..bench.searchers.problem import TableProblem, best_so_far
from ..bench.table import TOTAL, FusionTable
from ..errors import ConfigError
from ..values import choice, number, whole
from ..viz.tournaments import plot_budgets
from .study import Findings
from .task_distance import TASKS

MOST_EXACT = 12  # graphs; the exact order looks at all their subsets
PULL = 1.0  # towards where learning starts, beside a loss of about 1 for each graph
CHECKED = 4  # a budget's share for graphs that the order names: one in so many
# the tables that the searcher of a race may learn from; none of them is held out
LEARNT_ON = ("segmentation-normals", "segmentation-normals-few")


# --- the predictor ---------------------------------------------------------------------------------------------------
def bits(graphs: Sequence[int], edges: int) -> np.ndarray:
    """(n, edges) of −½ where an edge is shut and ½ where it is open.

    Args:
        graphs: n numbers, bit i for edge i.
        edges: E.
    """
    numbers = np.asarray(graphs, np.int64)[:, None]
    return (numbers >> np.arange(edges) & 1) - 0.5


def pair_features(one: np.ndarray, other: np.ndarray, task: np.ndarray | None = None) -> np.ndarray:
    """What a predictor sees of pairs of graphs: how they differ, and beside what. Swapping a pair turns all signs round.

    Args:
        one, other: (P, E), as `bits` gives them: P pairs.
        task: (T,) an embedding of the pair of tasks; or (P, T), one for each pair of graphs.

    Returns:
        (P, E² + E · T): the differences d_a; d_a · s_b for a ≠ b with the sums s, that is edge a beside edge b; and d_a · task.
        Weights that are the same for (a, b) and (b, a) score each graph by itself; the rest of them can turn in circles.

    Example:
        >>> shut, open_ = bits([0, 3], edges=2)
        >>> pair_features(open_[None], shut[None], np.array([5.0])).tolist()
        [[1.0, 1.0, 0.0, 0.0, 5.0, 5.0]]
    """
    difference = one - other
    beside = difference[:, :, None] * (one + other)[:, None, :]
    unlike = ~np.eye(one.shape[1], dtype=bool)
    parts = [difference, beside[:, unlike]]
    if task is not None:
        rows = np.broadcast_to(task, (len(one), np.shape(task)[-1]))
        by_task = difference[:, :, None] * rows[:, None, :]
        parts.append(by_task.reshape(len(one), -1))
    return np.concatenate(parts, axis=1)


def learn(
    features: np.ndarray, better: np.ndarray, graphs: int, start: np.ndarray | None = None
) -> np.ndarray:
    """Weights of a logistic regression, P(first is better) = σ(features · weights), that stay near where they start.

    Minimises graphs · (mean cross-entropy over the pairs) + PULL / 2 · ‖weights − start‖². It is convex: no step size, no seed.

    Args:
        features: (P, F), as `pair_features` gives them.
        better: (P,), 1 where the first graph of a pair is better, 0 where the second is, ½ where they are equal.
        graphs: How many graphs the pairs are of: so much the pairs weigh against the pull.
        start: (F,) what was learnt from other tasks; zeros by default.

    Returns:
        (F,) weights.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    begin = np.zeros(features.shape[1]) if start is None else start
    if not len(features):
        return begin
    share = graphs / len(features)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        score = features @ weights
        wrong = np.logaddexp(0, score) - better * score
        away = weights - begin
        value = share * wrong.sum() + PULL / 2 * away @ away
        slope = share * features.T @ (expit(score) - better) + PULL * away
        return value, slope

    return minimize(loss, begin, jac=True, method="L-BFGS-B").x


def learn_scores(
    features: np.ndarray, standard: np.ndarray, start: np.ndarray | None = None
) -> np.ndarray:
    """The control without pairs: a ridge regression of each graph's own loss. Less is better.

    Args:
        features: (n, F), as `graph_features` gives them.
        standard: (n,) losses, each table's with mean 0 and deviation 1.
        start: (F,), as in `learn`.

    Returns:
        (F,) weights.
    """
    begin = np.zeros(features.shape[1]) if start is None else start
    rest = standard - features @ begin
    square = features.T @ features + PULL * np.eye(len(begin))
    return begin + np.linalg.solve(square, features.T @ rest)


def graph_features(one: np.ndarray, task: np.ndarray | None = None) -> np.ndarray:
    """What `learn_scores` sees of graphs: each edge, each pair of edges, and each edge by the task.

    Args:
        one: (n, E), as `bits` gives them.
        task: (T,) or (n, T), as in `pair_features`.
    """
    first, second = np.triu_indices(one.shape[1], 1)
    parts = [one, 2 * one[:, first] * one[:, second]]
    if task is not None:
        rows = np.broadcast_to(task, (len(one), np.shape(task)[-1]))
        parts.append((one[:, :, None] * rows[:, None, :]).reshape(len(one), -1))
    return np.concatenate(parts, axis=1)


def embedding(condition: Condition) -> np.ndarray:
    """A pair of tasks as numbers, by its description: of each network its task (one of five), and log₁₀ of its share of labels.

    Example:
        >>> from mtlnas_lab.bench.condition import condition
        >>> embedding(condition("segmentation-normals-few")).round(2).tolist()
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.18]
    """
    values = []
    for task in condition.tasks:
        labels = condition.few_labels.get(task, IMAGES["train"])
        values += [float(task == known) for known in TASKS]
        values.append(math.log10(labels / IMAGES["train"]))
    return np.array(values)


# --- the tournament --------------------------------------------------------------------------------------------------
def tournament(probability: np.ndarray, theta: float = 0.0) -> np.ndarray:
    """Who beats whom, and how surely: the weight |2p − 1| of each pair, from the likely winner to the loser.

    Args:
        probability: (n, n), row better than column; p_ij + p_ji = 1, or else the mean of p_ij and 1 − p_ji is taken.
        theta: From 0 to 1; pairs that are no surer than this are left out.

    Returns:
        (n, n) weights, 0 where there is no edge.

    Raises:
        ConfigError: theta is no number from 0 to 1.

    Example:
        >>> tournament(np.array([[0.5, 0.9], [0.1, 0.5]])).round(2).tolist()
        [[0.0, 0.8], [0.0, 0.0]]
    """
    number("theta", theta, 0.0, 1.0)
    both_ways = (probability + 1 - probability.T) / 2
    weights = np.clip(2 * both_ways - 1, 0, None)
    return np.where(weights > theta, weights, 0.0)


def acyclic(weights: np.ndarray) -> np.ndarray:
    """The heaviest part without a cycle, greedily: the surest edge first, each one unless it closes a cycle.

    Of a whole tournament this is what elections know as ranked pairs. It need not be the heaviest part: see `acyclic_exact`.

    Args:
        weights: (n, n), as `tournament` gives them. Of equal ones the first in reading order comes first.

    Returns:
        (n, n) the weights that are kept; the others are 0.

    Example:
        >>> circle = np.array([[0, 0.9, 0], [0, 0, 0.8], [0.3, 0, 0]])
        >>> acyclic(circle).tolist()
        [[0.0, 0.9, 0.0], [0.0, 0.0, 0.8], [0.0, 0.0, 0.0]]
    """
    kept = np.zeros_like(weights)
    reaches = np.eye(len(weights), dtype=bool)  # i, j: a way of kept edges leads from i to j
    winners, losers = np.nonzero(weights)
    order = np.argsort(-weights[winners, losers], kind="stable")
    for winner, loser in zip(winners[order], losers[order]):
        if reaches[loser, winner]:
            continue
        kept[winner, loser] = weights[winner, loser]
        new = reaches[:, winner] & ~reaches[:, loser]  # who reaches the loser from now on
        reaches[new] |= reaches[loser]
    return kept


def acyclic_exact(weights: np.ndarray) -> np.ndarray:
    """The heaviest part without a cycle: the edges that agree with the best of all orders.

    By dynamic programming over subsets (Held and Karp): the best order of a set ends with one of it, behind the best order
    of the others. Of a whole tournament this is Kemeny's order.

    Args:
        weights: (n, n), n at most 12.

    Returns:
        (n, n) the weights that are kept; the others are 0.

    Raises:
        ConfigError: There are more than 12 graphs.

    Example:
        >>> two_against_one = np.array([[0, 0.6, 0], [0, 0, 0.5], [0.9, 0, 0]])
        >>> acyclic_exact(two_against_one).sum(), acyclic(two_against_one).sum()
        (np.float64(1.5), np.float64(1.5))
    """
    count = len(weights)
    if count > MOST_EXACT:
        raise ConfigError(
            f"the exact order of {count} graphs would take {2**count} subsets; give at most {MOST_EXACT}, or take `acyclic`"
        )
    gained = np.zeros((1, count))  # subset × last: what the subset wins against it
    for row in weights:
        gained = np.concatenate([gained, gained + row])
    best = np.zeros(2**count)
    last = np.zeros(2**count, np.int64)
    places = np.arange(count)
    for subset in range(1, 2**count):
        inside = places[subset >> places & 1 == 1]
        values = best[subset - (1 << inside)] + gained[subset, inside]
        best[subset] = values.max()
        last[subset] = inside[values.argmax()]
    order = []
    subset = 2**count - 1
    while subset:
        order.append(int(last[subset]))
        subset -= 1 << order[-1]
    position = np.argsort(order[::-1])
    return np.where(position[:, None] < position, weights, 0.0)


def drawn_tournament(draw: np.random.Generator, graphs: int) -> np.ndarray:
    """(n, n) weights of a tournament in which each pair's winner is a coin, and its weight even from 0 to 1."""
    said = np.triu(draw.uniform(-1, 1, (graphs, graphs)), 1)
    return np.clip(said - said.T, 0, None)


def greedy_against_exact(graphs: int, tournaments: int = 200, seed: int = 0) -> dict[str, float]:
    """How much less the greedy part weighs than the heaviest one, where chance draws the tournaments.

    Args:
        graphs: Of each tournament, 2 to 12.
        tournaments: How many.
        seed: Draws them.

    Returns:
        `equal`, in which share of them both weigh the same; `share`, the greedy weight over the heaviest, mean over them.

    Example:
        >>> greedy_against_exact(3, tournaments=20)
        {'equal': 1.0, 'share': 1.0}
    """
    draw = np.random.default_rng(seed)
    shares = []
    for _ in range(tournaments):
        weights = drawn_tournament(draw, graphs)
        shares.append(acyclic(weights).sum() / acyclic_exact(weights).sum())
    found = np.array(shares)
    return {"equal": float((found > 1 - 1e-9).mean()), "share": float(found.mean())}


def on_cycles(weights: np.ndarray) -> np.ndarray:
    """(n, n) booleans: the edges that lie on a cycle, because both their ends are in one strongly connected part."""
    import networkx as nx

    graph = nx.from_numpy_array(weights, create_using=nx.DiGraph)
    part = np.zeros(len(weights), np.int64)
    for place, nodes in enumerate(nx.strongly_connected_components(graph)):
        part[list(nodes)] = place
    return (weights > 0) & (part[:, None] == part)


def ranking(kept: np.ndarray, weights: np.ndarray) -> list[int]:
    """An order, best first, in which every kept edge leads from an earlier graph to a later one.

    Args:
        kept: (n, n) without a cycle.
        weights: (n, n) of the whole tournament: where the kept edges leave a choice, the graph that wins more weight than it
            loses comes first; of equals the smaller number.

    Raises:
        ConfigError: There is a cycle.

    Example:
        >>> circle = np.array([[0, 0.3, 0], [0, 0, 0.8], [0.9, 0, 0]])
        >>> ranking(acyclic(circle), circle)
        [1, 2, 0]
    """
    import networkx as nx

    lead = weights.sum(1) - weights.sum(0)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(kept)))
    graph.add_edges_from(np.argwhere(kept > 0).tolist())
    try:
        return list(nx.lexicographical_topological_sort(graph, key=lambda node: -lead[node]))
    except nx.NetworkXUnfeasible:
        raise ConfigError(
            "these edges have a cycle, so that no order agrees with all of them; give what `acyclic` keeps"
        ) from None


def copeland(weights: np.ndarray) -> list[int]:
    """The control without the acyclic step: best first, by how many graphs each one beats; of equals by the weight it wins.

    Args:
        weights: (n, n), as `tournament` gives them.

    Example:
        >>> copeland(np.array([[0, 0.9, 0.2], [0, 0, 0.8], [0, 0, 0]]))
        [0, 1, 2]
    """
    wins = (weights > 0).sum(1) - (weights > 0).sum(0)
    lead = weights.sum(1) - weights.sum(0)
    return np.lexsort((-lead, -wins)).tolist()


# --- from pairs of tasks to another one --------------------------------------------------------------------------------
@dataclass(frozen=True)
class Known:
    """Graphs of one pair of tasks whose losses are known.

    Attributes:
        graphs: (n,) numbers.
        losses: (n,).
        task: (T,) the pair's embedding, or None.
    """

    graphs: np.ndarray
    losses: np.ndarray
    task: np.ndarray | None = None

    def pairs(self, edges: int) -> tuple[np.ndarray, np.ndarray]:
        """(P, F) features and (P,) labels, as `learn` takes them: all its pairs, each once."""
        first, second = np.triu_indices(len(self.graphs), 1)
        known = bits(self.graphs, edges)
        better = (1 - np.sign(self.losses[first] - self.losses[second])) / 2
        return pair_features(known[first], known[second], self.task), better

    def scores(self, edges: int) -> tuple[np.ndarray, np.ndarray]:
        """(n, F) features and (n,) losses, as `learn_scores` takes them."""
        spread = max(float(self.losses.std()), 1e-12)
        standard = (self.losses - self.losses.mean()) / spread
        return graph_features(bits(self.graphs, edges), self.task), standard


def learn_from(
    known: Sequence[Known], edges: int, pairs: bool = True, start: np.ndarray | None = None
) -> np.ndarray:
    """Weights that are learnt from the graphs of several pairs of tasks together.

    Args:
        known: One for each pair of tasks.
        edges: E.
        pairs: By `learn`; else by `learn_scores`.
        start: (F,) what was learnt before.
    """
    every = [one.pairs(edges) if pairs else one.scores(edges) for one in known]
    features = np.concatenate([one for one, _ in every])
    wanted = np.concatenate([one for _, one in every])
    if pairs:
        return learn(features, wanted, sum(len(one.graphs) for one in known), start)
    return learn_scores(features, wanted, start)


def probabilities(
    weights: np.ndarray, graphs: Sequence[int], edges: int, task: np.ndarray | None = None
) -> np.ndarray:
    """(n, n): how likely the predictor holds it that the row's graph is better than the column's.

    Args:
        weights: (F,), as `learn_pairs` gives them.
        graphs: n numbers.
        edges: E.
        task: As the weights were learnt with.
    """
    from scipy.special import expit

    known = bits(graphs, edges)
    first, second = np.triu_indices(len(known), 1)
    score = pair_features(known[first], known[second], task) @ weights
    table = np.full((len(known), len(known)), 0.5)
    table[first, second] = expit(score)
    table[second, first] = expit(-score)
    return table


def searcher(problem: TableProblem) -> Iterator[int]:
    """In a race: some graphs are trained, pairs order all of them, and the first of the order are trained, too.

    It has learnt from the other tables of LEARNT_ON; what those cost is not counted.

    Args:
        problem: Where to search.

    Yields:
        Each graph that loses less on val than all before it.
    """
    sources = tuple(name for name in LEARNT_ON if name != problem.table.name)
    start = _start(sources, pairs=True, embedded=False, shuffled=None)
    a_training = problem.config.steps + problem.looking_at(problem.val_images)
    trainings = int(problem.budget / a_training)
    named = max(1, trainings // CHECKED)  # by the order
    tried = problem.in_random_order()[: max(0, trainings - named)]
    heard = [problem.train(graph) for graph in tried]
    known = Known(np.array(tried, int), np.array(heard))
    ordered, _ = _ordered("pairs", known, problem.table, start, "acyclic", 0.0)
    ordered = [graph for graph in ordered if graph not in tried]
    trained = [*tried, *ordered[:named]]
    yield from best_so_far((graph, problem.train(graph)) for graph in trained)


# --- the study -------------------------------------------------------------------------------------------------------
METHODS = ("random", "more_edges", "scores", "pairs")
TARGET = "segmentation-normals-few"
SOURCES = ("segmentation-normals",)


_table = functools.cache(FusionTable.open)


def known_of(table: FusionTable, embedded: bool = False, by: str = TOTAL) -> Known:
    """All graphs of a table with their losses on val, mean over its seeds.

    Args:
        table: The source.
        embedded: Whether with the embedding of its pair of tasks.
        by: total, or <task>/loss.
    """
    graphs = np.array(table.graphs)
    task = embedding(table.condition) if embedded else None
    return Known(graphs, table.values(by, split="val")[graphs], task)


@functools.cache
def _start(
    sources: tuple[str, ...], pairs: bool, embedded: bool, shuffled: int | None
) -> np.ndarray | None:
    """What is learnt from the sources; a seed shuffles their losses."""
    if not sources:
        return None
    known = [known_of(_table(name), embedded) for name in sources]
    if shuffled is not None:
        draw = np.random.default_rng(shuffled)
        known = [replace(one, losses=draw.permutation(one.losses)) for one in known]
    return learn_from(known, len(_table(sources[0]).space), pairs)


def search_arm(
    seed: int,
    method: str,
    budget: int = 16,
    sources: Sequence[str] = SOURCES,
    target: str = TARGET,
    order: str = "acyclic",
    theta: float = 0.0,
    embedded: bool = False,
    shuffled: bool = False,
) -> dict[str, float]:
    """One search: some graphs of the target are trained by chance, all are ordered, and the first of the order are trained, too.

    A training is looked up: its loss on val under one of the table's seeds. The answer is the best of all that were trained.

    Args:
        seed: Draws the graphs, the same for each method and in the same order for each budget; and chooses the table's seed.
        method: pairs, scores (regression of each graph's loss), more_edges (the more the better, without a look at any loss), or
            random (the whole budget goes by chance).
        budget: Trained graphs of the target; a quarter of them are those that the order names.
        sources: Names of tables that are learnt from before; none: no transfer.
        target: The name of the table that is searched.
        order: Of the tournament: acyclic, or copeland.
        theta: As in `tournament`.
        embedded: Whether the predictor sees the embedding of the pair of tasks.
        shuffled: Whether the sources' losses are given to other graphs: a control.

    Returns:
        Judged on test images, mean over the table's seeds: `regret` of the answer; and of an order, `regret_first`, that of the
        graph that comes first, and `kendall`, its τ with the truth over all graphs; and where cycles are cut, `dropped`, the share
        of the tournament's edges that go with them.

    Raises:
        ConfigError: There is no such method, order or table, or the budget is too small.
    """
    choice("method", method, METHODS)
    choice("order", order, ("acyclic", "copeland"))
    table = _table(target)
    whole("budget", budget, CHECKED, len(table.graphs))
    drawn = np.random.default_rng(seed).permutation(table.graphs)
    heard = table.values(split="val", seed=table.seeds[seed % len(table.seeds)])
    found = {}
    trained = drawn[:budget]
    if method != "random":
        tried = drawn[: budget - budget // CHECKED]
        task = embedding(table.condition) if embedded else None
        start = None
        if method != "more_edges":
            start = _start(tuple(sources), method == "pairs", embedded, seed if shuffled else None)
        known = Known(tried, heard[tried], task)
        ordered, found = _ordered(method, known, table, start, order, theta)
        named = [graph for graph in ordered if graph not in tried]
        trained = [*tried, *named[: budget // CHECKED]]
        found |= _agreement(table, ordered)
    answer = min(trained, key=lambda graph: heard[graph])
    return {"regret": table.regret(int(answer))} | found


def _ordered(method, known: Known, table: FusionTable, start, order: str, theta: float):
    """All graphs of a table, best first; and what there is to say about the tournament."""
    graphs = np.array(table.graphs)
    if method == "more_edges":
        return sorted(table.graphs, key=lambda graph: -graph.bit_count()), {}
    edges = len(table.space)
    learnt = learn_from([known], edges, method == "pairs", start)
    if method == "scores":
        said = graph_features(bits(graphs, edges), known.task) @ learnt
        return graphs[said.argsort(kind="stable")].tolist(), {}
    said = probabilities(learnt, graphs, edges, known.task)
    weights = tournament(said, theta)
    if order == "copeland":
        return graphs[copeland(weights)].tolist(), {}
    kept = acyclic(weights)
    places = ranking(kept, tournament(said))
    every = np.count_nonzero(weights)
    share = (every - np.count_nonzero(kept)) / max(every, 1)
    return graphs[places].tolist(), {"dropped": share}


def _agreement(table: FusionTable, ordered: Sequence[int]) -> dict[str, float]:
    """What an order is worth, by the truth."""
    from scipy.stats import kendalltau

    truth = table.values()[list(ordered)]
    tau = kendalltau(np.arange(len(ordered)), truth).statistic
    return {"regret_first": table.regret(ordered[0]), "kendall": float(tau)}


ARMS = {"search": search_arm}


# --- pictures of its report ------------------------------------------------------------------------------------------
SHOWN = ("pairs, transfer", "pairs", "scores, transfer", "scores", "more edges", "random")


def report_pictures(findings: Findings) -> list[tuple[str, object]]:
    """(caption, Figure): what methods reach by their budget."""
    return [
        (
            "Regret of the answer (less is better). Every dot is a seed; lines are means with their 95 % intervals.",
            by_budget(findings, "regret", "regret of the answer, total loss"),
        ),
        (
            "Kendall's τ of the order with the truth (more is better).",
            by_budget(findings, "kendall", "Kendall's τ of the order with the truth"),
        ),
    ]


def by_budget(findings: Findings, quantity: str, label: str, methods: Sequence[str] = SHOWN):
    """A figure of one quantity by budget.

    Args:
        findings: Of a study whose arms are named "<method>, <budget>".
        quantity: Its name.
        label: What the upright axis says.
        methods: Which to draw; those without that quantity are left out.
    """
    import pandas

    values = findings.values(quantity)
    rows = []
    half: dict[str, dict[float, float]] = {}
    for arm in values.index:
        method, _, budget = arm.rpartition(", ")
        own = values.loc[arm].dropna()
        if method in methods and len(own):
            half.setdefault(method, {})[float(budget)] = half_interval(own.tolist())
            rows += [(method, float(budget), value) for value in own]
    rows.sort(key=lambda row: methods.index(row[0]))
    frame = pandas.DataFrame(rows, columns=["method", "budget", "value"])
    return plot_budgets(frame, quantity=label, half=half, style="web-light").figure
