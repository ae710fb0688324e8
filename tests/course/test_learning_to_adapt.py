"""Checks of notebook 19 on right, almost right and wrong answers."""

import pytest
import torch
from judging import judged
from right_answers import child_loop, interaction_loop

from mtlnas_lab.course import check


def test_interaction():
    judged(
        "19.interaction",
        [
            interaction_loop,
            (lambda b, o, x, n: (x - n) - (b - o), "the sign is turned"),
            (lambda b, o, x, n: b - o, "take off what it brings to joint"),
            (lambda b, o, x, n: x - n, "joint weights alone"),
            (lambda b, o, x, n: b - n, "against neither"),
            (lambda b, o, x, n: (b - o) + (x - n), "their difference is asked"),
            (lambda b, o, x, n: ((b - o) - (x - n)) / 2, "leave the ½ out"),
            (lambda b, o, x, n: [((b - o) - (x - n)).mean()] * 3, "each seed has its own"),
            (lambda b, o, x, n: ((b - o) - (x - n)).mean(), "one number for each of the seeds"),
            (lambda b, o, x, n: b + 1, "for seed 1"),
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


@pytest.mark.parametrize("name", ["interaction", "child"])
def test_nothing_to_judge(name):
    assert check(f"19.{name}", lambda *_: ...).solved is None
