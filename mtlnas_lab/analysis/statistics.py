"""Statistics of a study: differences paired by seed, intervals, effect sizes, and what could have been detected.

Every row of a study runs with the same seeds, and the seed draws the same networks, batches and pictures. So rows are compared
seed by seed. "No difference found" is a result, and comes with the smallest difference that would have been found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..core.architecture import jaccard
from ..errors import ConfigError
from ..tasks.task import HIGHER_IS_BETTER

ALIKE = 1e-12  # differences that vary less than this vary by rounding alone
RESAMPLES = 9999  # of the bootstrap; an odd number, so that percentiles fall on drawn means


@dataclass(frozen=True)
class Difference:
    """Other minus reference over n seeds, signed so that more is better.

    Attributes:
        values: The n differences, in the order of the seeds.
        mean: Their mean.
        interval: 95 % interval of the mean, by Student's t.
        bootstrap: 95 % interval by percentiles over resampled seeds. It is too narrow for few seeds, so it is shown beside
            the other and decides nothing.
        p: Of the paired t-test, two-sided; of the sign test where all differences are alike.
        effect: Hedges' g of the paired differences: mean / standard deviation, corrected for few seeds. NaN with two seeds,
            and where all differences are alike.
        detectable: The smallest true difference that a test at 5 % would have found in 80 % of such studies.
    """

    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float]
    bootstrap: tuple[float, float]
    p: float
    effect: float
    detectable: float

    @property
    def found(self) -> bool:
        """Whether p is below 5 %: the interval leaves out 0. This judges one comparison by itself; `holm` corrects for many."""
        return self.p < 0.05


def difference(reference: Sequence[float], other: Sequence[float], seed: int = 0) -> Difference:
    """Compares two rows of scores, entry i of both from the same seed.

    Args:
        reference: n ≥ 2 finite scores.
        other: n scores of the row that is compared with it.
        seed: Draws the bootstrap's resamples.

    Raises:
        ConfigError: The rows have other lengths, fewer than two entries, or an entry that is not finite.

    Example:
        >>> d = difference([70.0, 72.0, 71.0], [71.0, 74.0, 74.0])
        >>> d.values, d.mean
        ((1.0, 2.0, 3.0), 2.0)
        >>> [round(end, 2) for end in d.interval]
        [-0.48, 4.48]
        >>> d.found, round(d.p, 3)
        (False, 0.074)
    """
    from scipy import stats

    a = np.asarray(reference, float)
    b = np.asarray(other, float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2 or not np.isfinite(a + b).all():
        raise ConfigError(
            f"{a.shape} and {b.shape} scores cannot be paired; give two rows or more of finite scores of the same seeds"
        )
    d = b - a
    n = len(d)
    mean = float(d.mean())
    spread = float(d.std(ddof=1))
    error = spread / math.sqrt(n)  # of the mean
    t = float(stats.t.ppf(0.975, n - 1))
    power = float(stats.t.ppf(0.8, n - 1))

    # Where all seeds say the same, the t-test's statistic is 0 / 0 or rounding. The sign test can tell: 2 · ½ⁿ.
    if spread <= ALIKE * max(1.0, np.abs(d).max()):
        p = 2 * 0.5**n if abs(mean) > ALIKE else 1.0
        interval = (mean - t * error, mean + t * error)
        effect = math.nan
    else:
        test = stats.ttest_rel(b, a)
        p = float(test.pvalue)
        low, high = test.confidence_interval(0.95)
        interval = (float(low), float(high))
        effect = mean / spread * _few_pairs(n)

    drawn = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    low, high = np.percentile(d[drawn].mean(axis=1), [2.5, 97.5]).tolist()
    return Difference(
        values=tuple(d.tolist()),
        mean=mean,
        interval=interval,
        bootstrap=(low, high),
        p=p,
        effect=effect,
        detectable=(t + power) * error,
    )


def _few_pairs(n: int) -> float:
    """Hedges' correction 1 − 3 / (4 (n − 1) − 1): a standard deviation of few values is too small."""
    if n == 2:
        return math.nan  # two pairs say nothing about a spread
    return 1 - 3 / (4 * (n - 1) - 1)


def half_interval(values: Sequence[float]) -> float:
    """Half of Student's 95 % interval of a mean, t · s / √n; NaN for one value, which has no spread.

    Example:
        >>> round(half_interval([1.0, 2.0, 3.0]), 2)
        2.48
    """
    from scipy import stats

    n = len(values)
    if n < 2:
        return math.nan
    return float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm's step-down).

    Calling a difference found where its corrected p is at most 0.05 keeps the chance of any false alarm at 5 %.

    Args:
        p: m p-values, in any order.

    Returns:
        The corrected ones, in the same order: the k-th smallest (k from 0) becomes (m − k) p, at least as much as the
        smaller ones became, and at most 1.

    Example:
        >>> [round(value, 2) for value in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p)
    worst = 0.0
    for rank, i in enumerate(np.argsort(p)):
        worst = max(worst, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = worst
    return corrected


def delta_m(
    scores: Mapping[str, Mapping[str, float]], single: Mapping[str, Mapping[str, float]]
) -> float:
    """Δm in per cent: the mean over tasks of the mean over metrics of the relative change to single-task networks.

        Δm = 100 · mean over tasks, mean over metrics of ±(score − single) / |single|,  − where less is better

    Args:
        scores: {task: {metric: value}}.
        single: The same of single-task networks. A metric that is 0 there has no relative change, and is left out.

    Example:
        >>> delta_m({"normals": {"mean_angle": 18.0}}, {"normals": {"mean_angle": 20.0}})
        10.0
    """
    tasks = []
    for task, metrics in single.items():
        changes = []
        for metric, value in metrics.items():
            if value:
                sign = direction(metric)
                changes.append(sign * (scores[task][metric] - value) / abs(value))
        tasks.append(np.mean(changes))
    return 100 * float(np.mean(tasks))


def direction(metric: str) -> int:
    """1 where more of the metric is better, −1 where less is."""
    if HIGHER_IS_BETTER[metric]:
        return 1
    return -1


def nested(values) -> dict[str, dict[str, float]]:
    """{task: {metric: value}} of a pandas series by (task, metric)."""
    return {task: values[task].to_dict() for task in values.index.levels[0]}


def per_seed(table, kind: str = "hard", single: str | Mapping[str, str | None] = "single_task"):
    """Δm of each row under each seed.

    Args:
        table: The scores of StudyResults (a pandas frame).
        kind: The score that is compared: soft, hard, hard_recalibrated.
        single: The row of single-task networks, or {row: its row of single-task networks}.

    Returns:
        A (row × seed) frame of Δm in per cent; draws of one seed are averaged. A row without single-task networks under
        a seed has no entry there.
    """
    import pandas

    final = table[table.step.isna()]
    scores = {}
    for (row, seed), part in final[final.kind == kind].groupby(["row", "seed"]):
        scores[row, seed] = part.groupby(["task", "metric"]).value.mean()

    lines = []
    for (row, seed), values in scores.items():
        alone = single
        if not isinstance(single, str):
            alone = single.get(row)
        if (alone, seed) in scores:
            gain = delta_m(nested(values), nested(scores[alone, seed]))
            lines.append({"row": row, "seed": seed, "delta_m": gain})
    found = pandas.DataFrame(lines, columns=["row", "seed", "delta_m"])
    return found.pivot(index="row", columns="seed", values="delta_m")


def overlap(graphs: Sequence[Sequence]) -> float:
    """Mean pairwise Jaccard overlap |A ∩ B| / |A ∪ B| of graphs.

    Args:
        graphs: Each one entry (True, or "1", where the edge is kept) for each candidate edge.

    Example:
        >>> overlap(["1100", "1010"])  # one edge is shared, of three in either
        0.3333333333333333
    """
    kept = []
    for graph in graphs:
        kept.append({i for i, keep in enumerate(graph) if keep in (True, "1")})
    return _mean_jaccard(kept)


def _mean_jaccard(kept: Sequence[set[int]]) -> float:
    """The same for graphs that are given as the numbers of the edges that they keep."""
    return float(np.mean([jaccard(a, b) for a, b in combinations(kept, 2)]))


def chance_overlap(
    candidates: int, kept: Sequence[int], draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """What `overlap` gives for random graphs with these numbers of edges.

    Args:
        candidates: How many edges could be kept.
        kept: How many each graph keeps.
        draws: How many times such a set of graphs is drawn.
        seed: Draws them.

    Returns:
        (mean, 2.5 % percentile, 97.5 % percentile) over the draws.
    """
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        graphs = []
        for count in kept:
            drawn = rng.choice(candidates, count, replace=False)
            graphs.append(set(drawn.tolist()))
        means.append(_mean_jaccard(graphs))
    low, high = np.percentile(means, [2.5, 97.5]).tolist()
    return float(np.mean(means)), low, high
