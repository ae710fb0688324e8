"""Statistics of a study: differences paired by seed, intervals, effect sizes, and what could have been detected.

Every row of a study runs with the same seeds, and the seed draws the same networks, batches and pictures; so rows are compared
seed by seed. "No difference found" is a result, and comes with the smallest difference that would have been found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError
from ..tasks.task import HIGHER_IS_BETTER


@dataclass(frozen=True)
class Difference:
    """Other minus reference over n seeds, signed so that more is better.

    interval: 95 %, Student's t. bootstrap: 95 %, percentiles over resampled seeds (too narrow for few seeds: shown beside, not
    decided by). p: paired t-test, two-sided. effect: Hedges' g of the paired differences. detectable: the smallest true
    difference that a test at 5 % would have found in 80 % of such studies.
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
        """Whether the interval leaves out 0 (one comparison by itself; `holm` corrects for many)."""
        return not self.interval[0] <= 0 <= self.interval[1]


def difference(reference: Sequence[float], other: Sequence[float], seed: int = 0) -> Difference:
    """Compares two rows of scores, entry i of both from the same seed. Raises ConfigError for fewer than two pairs."""
    from scipy import stats

    a, b = np.asarray(reference, float), np.asarray(other, float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2 or not np.isfinite(a + b).all():
        raise ConfigError(
            f"{a.shape} and {b.shape} scores cannot be paired; give two rows or more of finite scores of the same seeds"
        )
    d, n = b - a, len(a)
    spread = d.std(ddof=1)
    error, t = spread / math.sqrt(n), stats.t.ppf(0.975, n - 1)
    drawn = d[np.random.default_rng(seed).integers(0, n, (9999, n))].mean(1)
    exact = spread <= 1e-12 * max(1.0, np.abs(d).max())
    p = (0.0 if abs(d.mean()) > 1e-12 else 1.0) if exact else float(stats.ttest_rel(b, a).pvalue)
    hedges = (
        1 - 3 / (4 * (n - 1) - 1) if n > 2 else math.nan
    )  # two pairs say nothing about a spread
    return Difference(
        tuple(d.tolist()),
        float(d.mean()),
        (float(d.mean() - t * error), float(d.mean() + t * error)),
        tuple(np.percentile(drawn, [2.5, 97.5]).tolist()),
        p,
        math.nan if exact else float(d.mean() / spread * hedges),
        float((t + stats.t.ppf(0.8, n - 1)) * error),
    )


def half_interval(values: Sequence[float]) -> float:
    """Half of Student's 95 % interval of a mean; 0 for one value."""
    from scipy import stats

    return (
        float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
        if len(values) > 1
        else 0.0
    )


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm's step-down): each at most 0.05 keeps the chance of any false alarm at 5 %."""
    order, worst, corrected = np.argsort(p), 0.0, [0.0] * len(p)
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = worst
    return corrected


def delta_m(
    scores: Mapping[str, Mapping[str, float]], single: Mapping[str, Mapping[str, float]]
) -> float:
    """Δm in per cent: the mean over tasks of the mean over metrics of the relative change to single-task networks, more is better."""
    tasks = [
        np.mean(
            [
                (1 if HIGHER_IS_BETTER[metric] else -1)
                * (scores[task][metric] - value)
                / abs(value)
                for metric, value in metrics.items()
                if value
            ]
        )
        for task, metrics in single.items()
    ]
    return 100 * float(np.mean(tasks))


def nested(values) -> dict[str, dict[str, float]]:
    """{task: {metric: value}} of a pandas series by (task, metric)."""
    return {task: values[task].to_dict() for task in values.index.levels[0]}


def per_seed(table, kind: str = "hard", single: str | Mapping[str, str | None] = "single_task"):
    """(row × seed) frame of Δm over the row `single`, or over single[row]; draws of one seed are averaged. table: scores of StudyResults."""
    final = table[table.step.isna()]
    score = {
        (row, seed): part.groupby(["task", "metric"]).value.mean()
        for (row, seed), part in final[final.kind == kind].groupby(["row", "seed"])
    }
    import pandas

    lines = []
    for (row, seed), values in score.items():
        alone = score.get((single if isinstance(single, str) else single.get(row), seed))
        if alone is None:
            continue
        lines.append({"row": row, "seed": seed, "delta_m": delta_m(nested(values), nested(alone))})
    return pandas.DataFrame(lines, columns=["row", "seed", "delta_m"]).pivot(
        index="row", columns="seed", values="delta_m"
    )


def overlap(graphs: Sequence[Sequence]) -> float:
    """Mean pairwise Jaccard overlap of graphs, each one entry (True, or "1") for each candidate edge."""
    sets = [{i for i, keep in enumerate(graph) if keep in (True, "1")} for graph in graphs]
    return float(
        np.mean(
            [
                len(a & b) / len(a | b) if a | b else 1.0
                for i, a in enumerate(sets)
                for b in sets[i + 1 :]
            ]
        )
    )


def chance_overlap(
    candidates: int, kept: Sequence[int], draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean pairwise Jaccard overlap of random graphs with these numbers of edges: (mean, 2.5 %, 97.5 %) over `draws` studies."""
    rng = np.random.default_rng(seed)
    means = np.array(
        [
            overlap(
                [
                    np.isin(np.arange(candidates), rng.choice(candidates, k, replace=False))
                    for k in kept
                ]
            )
            for _ in range(draws)
        ]
    )
    return float(means.mean()), *np.percentile(means, [2.5, 97.5]).tolist()
