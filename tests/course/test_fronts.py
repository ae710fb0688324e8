"""Checks of notebook 13 on right, almost right and wrong answers."""

import numpy as np
import pytest
from judging import judged
from right_answers import area, best_sums

from mtlnas_lab.course import check


def unsorted(points, reference):
    total, height = 0.0, reference[1]
    for x, y in points:
        if x < reference[0] and y < height:
            total += (reference[0] - x) * (height - y)
            height = y
    return total


def beyond(points, reference):
    total, height = 0.0, reference[1]
    for x, y in sorted(map(tuple, points)):
        if y < height:
            total += (reference[0] - x) * (height - y)
            height = y
    return total


def sides(points, reference):
    return np.clip(reference - points, 0, None)


def test_hypervolume():
    judged(
        "13.hypervolume",
        [
            area,
            (lambda p, r: sides(p, r).prod(1).sum(), "counts once"),
            (beyond, "beyond the reference"),
            (lambda p, r: r.prod() - area(p, r), "you want the rest"),
            (lambda p, r: sides(p, r).prod(1).max(), "together they beat more"),
            (unsorted, "sort the points"),
            (lambda p, r: area(p, np.ones(2)), "use the argument"),
            (lambda p, r: 2 * area(p, r), "it should be"),
        ],
    )


def test_answers():
    judged(
        "13.answers",
        [
            best_sums,
            (lambda p, w: best_sums(-p, w), "the other end"),
            (lambda p, w: (p @ w.T).argmin(1), "numbers of prices"),
            (lambda p, w: p.argmin(0), "each objective by itself"),
            (lambda p, w: best_sums(p, w[:1]), "only the first prices"),
            (lambda p, w: list(best_sums(p, w))[1:], "is missing"),
            (lambda p, w: [*best_sums(p, w), int(p.sum(1).argmax())], "not the best for any"),
            (lambda p, w: best_sums(p, w) if len(p) > 2 else [0], "use the arguments"),
            (lambda p, w: [99], "numbers of rows"),
            (lambda p, w: p, "a list of row numbers"),
        ],
    )


@pytest.mark.parametrize("name", ["hypervolume", "answers"])
def test_nothing_to_judge(name):
    assert check(f"13.{name}", lambda *_: ...).solved is None
