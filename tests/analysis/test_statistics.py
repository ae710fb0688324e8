"""Statistics against cases done by hand, and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtlnas_lab.analysis.statistics import (
    chance_overlap,
    delta_m,
    difference,
    half_interval,
    holm,
    overlap,
    per_seed,
)
from mtlnas_lab.errors import ConfigError

scores = st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=3, max_size=8)


def test_a_difference_by_hand():
    """d = 1, 2, 3: mean 2, sd 1, standard error 1/√3; t(2) at 97.5 % = 4.3027."""
    d = difference([0, 0, 0], [1, 2, 3])
    assert d.values == (1, 2, 3) and d.mean == 2
    assert d.interval == pytest.approx(
        (2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), abs=1e-4
    )
    assert d.p == pytest.approx(0.07418, abs=1e-5) and not d.found
    assert d.effect == pytest.approx(2 * (1 - 3 / 7))  # g = d/s · (1 − 3/(4·2 − 1))
    assert d.detectable == pytest.approx((4.3027 + 1.0607) / math.sqrt(3), abs=1e-3)
    assert 1 <= d.bootstrap[0] <= d.bootstrap[1] <= 3


@given(scores)
def test_as_scipy_says(pairs):
    a, b = np.array(pairs).T
    if np.std(b - a) < 1e-6:
        return
    d, right = difference(a, b), stats.ttest_rel(b, a)
    assert d.p == pytest.approx(right.pvalue)
    assert d.interval == pytest.approx(tuple(right.confidence_interval(0.95)))
    assert d.found == (d.p < 0.05) or abs(d.p - 0.05) < 1e-9


def test_the_bootstrap_is_scipys():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 12))
    right = stats.bootstrap(
        ((b - a),), np.mean, n_resamples=9999, method="percentile", random_state=1
    ).confidence_interval
    assert difference(a, b).bootstrap == pytest.approx(tuple(right), abs=0.03)


def test_equal_rows_differ_by_nothing():
    d = difference([1, 2, 3], [1, 2, 3])
    assert (d.mean, d.p, d.found) == (0, 1, False) and math.isnan(d.effect)
    alike = difference([1, 2, 3], [2, 3, 4])  # the same gain in every seed: as the sign test says
    assert alike.p == 0.25 and not alike.found
    assert difference(range(6), range(1, 7)).found


@pytest.mark.parametrize(
    "a, b", [([1], [2]), ([1, 2], [1, 2, 3]), ([1, math.nan], [1, 2]), ([], [])]
)
def test_what_cannot_be_paired(a, b):
    with pytest.raises(ConfigError, match="cannot be paired"):
        difference(a, b)


def test_what_is_detectable_is_found_in_four_of_five_studies():
    rng = np.random.default_rng(0)
    size = (stats.t.ppf(0.975, 9) + stats.t.ppf(0.8, 9)) / math.sqrt(
        10
    )  # in standard deviations, 10 seeds
    found = np.mean([difference(np.zeros(10), rng.normal(size, 1, 10)).found for _ in range(300)])
    assert 0.7 < found < 0.9


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_holm_finds_what_the_definition_does():
    """The k-th smallest of m p-values is found where all smaller ones are, and (m − k) p ≤ 0.05 (k from 0)."""
    for p in np.random.default_rng(1).uniform(0, 0.06, (200, 5)):
        found, order = set(), np.argsort(p)
        for rank, i in enumerate(order):
            if (5 - rank) * p[i] > 0.05:
                break
            found.add(int(i))
        assert {i for i, c in enumerate(holm(p)) if c <= 0.05} == found


def test_the_single_task_row_may_differ_by_row():
    import pandas

    lines = [("alone a", 0.2), ("alone b", 0.4), ("a", 0.3), ("b", 0.3)]
    table = pandas.DataFrame(
        [
            {
                "row": row,
                "seed": 0,
                "step": None,
                "kind": "hard",
                "task": "segmentation",
                "metric": "miou",
                "value": value,
            }
            for row, value in lines
        ]
    )
    gains = per_seed(
        table, single={"a": "alone a", "b": "alone b", "alone a": "alone a", "alone b": None}
    )
    assert (
        gains.loc["a", 0] == pytest.approx(50)
        and gains.loc["b", 0] == pytest.approx(-25)
        and "alone b" not in gains.index
    )


def test_delta_m_by_hand():
    single = {"segmentation": {"miou": 0.2, "pixel_accuracy": 0.5}, "normals": {"mean_angle": 20.0}}
    other = {"segmentation": {"miou": 0.3, "pixel_accuracy": 0.5}, "normals": {"mean_angle": 25.0}}
    assert delta_m(other, single) == pytest.approx(
        100 * ((0.5 + 0) / 2 - 0.25) / 2
    )  # an angle that grows is worse
    assert delta_m(single, single) == 0


def test_overlap_of_graphs():
    assert overlap(["1100", "1010", "1100"]) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    assert overlap([[False, False], [False, False]]) == 1
    mean, low, high = chance_overlap(48, [24] * 5, draws=200)
    assert low < mean < high and mean == pytest.approx(1 / 3, abs=0.02)  # 12 shared of 36 in either
    assert chance_overlap(48, [24] * 5, draws=50) == chance_overlap(48, [24] * 5, draws=50)


def test_half_an_interval():
    assert half_interval([1.0, 2.0, 3.0]) == pytest.approx(
        4.3027 / math.sqrt(3), abs=1e-4
    ) and math.isnan(half_interval([1.0]))


def test_per_seed_pairs_with_the_single_task_of_the_same_seed_and_averages_draws():
    import pandas

    lines = [
        ("single_task", 0, 0, 0.2),
        ("single_task", 1, 0, 0.4),
        ("graph", 0, 1, 0.3),
        ("graph", 0, 2, 0.5),
        ("graph", 1, 1, 0.4),
        ("lonely", 7, 0, 0.4),
    ]
    table = pandas.DataFrame(
        [
            {
                "row": row,
                "seed": seed,
                "draw": draw,
                "step": None,
                "kind": "hard",
                "task": "segmentation",
                "metric": "miou",
                "value": value,
            }
            for row, seed, draw, value in lines
        ]
    )
    gains = per_seed(table)
    assert gains.loc["graph"].tolist() == pytest.approx([100.0, 0.0])
    assert gains.loc["single_task"].tolist() == [0, 0] and "lonely" not in gains.index
