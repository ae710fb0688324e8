"""How far chance blurs a table: the two-way analysis of graphs × seeds.

y[g, s] = mean + graph g + seed s + rest. Seeds share their start and their batches across graphs, so a seed's own effect
is the same for all graphs and says nothing about which of them is better; what blurs the ranking is the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError

SURE = 0.95  # of the interval behind the smallest difference


@dataclass(frozen=True)
class NoiseFloor:
    """What a table's seeds can tell apart.

    Attributes:
        between_graphs: Standard deviation of the graphs' true means, by the analysis of variance; 0 where it finds none.
        between_seeds: Standard deviation of the seeds' own effects.
        residual: Standard deviation of the rest, which blurs one training.
        single: Intraclass correlation of one training, σ²_graph / (σ²_graph + σ²_rest), from 0 to 1.
        reliability: The same of the mean over all n seeds, σ²_graph / (σ²_graph + σ²_rest / n).
        smallest: The smallest difference of two graphs' means that n seeds show (95 % interval without 0).
        f: Variance between graphs over that of the rest.
        seeds: n.
        graphs: How many graphs.
    """

    between_graphs: float
    between_seeds: float
    residual: float
    single: float
    reliability: float
    smallest: float
    f: float
    seeds: int
    graphs: int

    def reliability_of(self, seeds: int) -> float:
        """The reliability that the mean over another number of seeds would have: from a pilot to a plan."""
        return _share(self.between_graphs**2, self.residual**2 / seeds)


def noise_floor(values: np.ndarray) -> NoiseFloor:
    """The noise floor of scores (graphs, seeds).

    Raises:
        ConfigError: There is only one seed or graph, or a score is missing.

    Example:
        >>> import numpy as np
        >>> from mtlnas_lab.bench.noise import noise_floor
        >>> graphs, noise = np.arange(20.0)[:, None], np.random.default_rng(0).normal(size=(20, 3))
        >>> floor = noise_floor(graphs + noise)
        >>> floor.reliability > 0.9, 0.7 < floor.residual < 1.3
        (True, True)
    """
    from scipy import stats

    values = np.asarray(values, np.float64)
    if values.ndim != 2 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise ConfigError(
            f"scores of shape {values.shape}: noise needs two graphs and two seeds or more, without gaps"
        )
    graphs, seeds = values.shape
    of_graph = values.mean(1)
    of_seed = values.mean(0)
    rest = values - of_graph[:, None] - of_seed[None, :] + values.mean()
    freedom = (graphs - 1) * (seeds - 1)
    rest_variance = (rest**2).sum() / freedom
    graph_variance = seeds * of_graph.var(ddof=1)
    seed_variance = graphs * of_seed.var(ddof=1)
    between_graphs = max(0.0, (graph_variance - rest_variance) / seeds)
    between_seeds = max(0.0, (seed_variance - rest_variance) / graphs)
    of_difference = math.sqrt(2 * rest_variance / seeds)
    smallest = float(stats.t.ppf((1 + SURE) / 2, freedom)) * of_difference
    f = math.inf
    if rest_variance:
        f = float(graph_variance / rest_variance)
    return NoiseFloor(
        between_graphs=math.sqrt(between_graphs),
        between_seeds=math.sqrt(between_seeds),
        residual=math.sqrt(rest_variance),
        single=_share(between_graphs, rest_variance),
        reliability=_share(between_graphs, rest_variance / seeds),
        smallest=smallest,
        f=f,
        seeds=seeds,
        graphs=graphs,
    )


def _share(signal: float, noise: float) -> float:
    if signal + noise == 0:
        return 0.0
    return float(signal / (signal + noise))
