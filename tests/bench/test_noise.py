"""The noise floor against values by hand, and against what was planted."""

import math

import numpy as np
import pytest
from scipy import stats

from mtlnas_lab.bench.noise import noise_floor
from mtlnas_lab.errors import ConfigError


def test_by_hand():
    """Graphs 0 and 2, seeds 0 and 1, no rest but ±½: y = [[0, 2], [3, 3]].

    Graph means 1 and 3, seed means 1.5 and 2.5, mean 2; rest ±½, so its variance is 4·¼ / 1 = 1; between graphs
    2 · var(1, 3) = 4, hence σ² = (4 − 1) / 2 = 1.5 and F = 4.
    """
    floor = noise_floor([[0, 2], [3, 3]])
    assert floor.residual == pytest.approx(1.0)
    assert floor.between_graphs == pytest.approx(math.sqrt(1.5))
    assert floor.f == pytest.approx(4.0)
    assert floor.single == pytest.approx(1.5 / 2.5)
    assert floor.reliability == pytest.approx(1.5 / 2.0)
    assert floor.reliability_of(4) == pytest.approx(1.5 / 1.75)
    assert floor.smallest == pytest.approx(stats.t.ppf(0.975, 1) * math.sqrt(2 * 1 / 2))


def test_what_was_planted_is_found():
    rng = np.random.default_rng(0)
    graphs = rng.normal(0, 3, (400, 1))
    seeds = rng.normal(0, 5, (1, 6))
    floor = noise_floor(graphs + seeds + rng.normal(0, 1, (400, 6)))
    assert floor.between_graphs == pytest.approx(3, rel=0.1)
    assert floor.residual == pytest.approx(1, rel=0.1)
    assert floor.single == pytest.approx(0.9, abs=0.03)


def test_a_seeds_own_effect_is_no_noise():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(50, 4))
    shifted = noise_floor(values + np.array([0, 10, -20, 5]))
    assert shifted.residual == pytest.approx(noise_floor(values).residual)


def test_noise_alone_has_no_reliability():
    floor = noise_floor(np.random.default_rng(2).normal(size=(500, 5)))
    assert floor.reliability < 0.25 and floor.f == pytest.approx(1, abs=0.2)


def test_equal_scores():
    floor = noise_floor(np.ones((3, 2)))
    assert floor.reliability == 0 and floor.smallest == 0 and floor.f == math.inf


@pytest.mark.parametrize(
    "values", [[1, 2], [[1, 2]], [[1], [2]], [[1, math.nan], [1, 2]]], ids=repr
)
def test_what_tells_no_noise(values):
    with pytest.raises(ConfigError, match="noise needs"):
        noise_floor(values)
