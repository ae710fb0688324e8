"""Checks of notebook 19 on right, almost right and wrong answers."""

import pytest
import torch
from judging import judged
from right_answers import child_loop, reptile_loop

from mtlnas_lab.course import check


def test_reptile():
    judged(
        "19.reptile",
        [
            reptile_loop,
            (lambda w, a, r: w - r * (a.mean(0) - w), "goes away"),
            (lambda w, a, r: w + r * a.mean(0), "take w off the mean"),
            (lambda w, a, r: a.mean(0), "a rate of 1 alone"),
            (lambda w, a, r: r * w + (1 - r) * a.mean(0), "at the wrong end"),
            (lambda w, a, r: r * (a.mean(0) - w), "add it to w"),
            (lambda w, a, r: w + r * (a - w).sum(0), "take the mean"),
            (lambda w, a, r: torch.lerp(w, a[-1], r), "the last copy alone"),
            (lambda w, a, r: torch.lerp(w, a[0], r), "the first copy alone"),
            (lambda w, a, r: torch.lerp(w, a.mean(0), 0.4), "use the arguments"),
            (lambda w, a, r: w + 7, "for weight 0"),
            (lambda w, a, r: a.mean(1), "yours has 3"),
        ],
    )


def test_child():
    judged(
        "19.child",
        [
            child_loop,
            (lambda m, f, c, x: torch.where(c, m, f), "the crossover alone"),
            (lambda m, f, c, x: torch.where(c, f, m) ^ x, "the bit is the mother's"),
            (lambda m, f, c, x: torch.where(c, m, f) | x, "only opens"),
            (lambda m, f, c, x: torch.where(c, m, f) & ~x, "only shuts"),
            (lambda m, f, c, x: m ^ x, "of the father"),
            (lambda m, f, c, x: f ^ x, "of the mother"),
            (lambda m, f, c, x: m & f, "should be"),
            (lambda m, f, c, x: [0.5] * len(m), "other numbers"),
        ],
    )


@pytest.mark.parametrize("name", ["reptile", "child"])
def test_nothing_to_judge(name):
    assert check(f"19.{name}", lambda *_: ...).solved is None
