"""Checks of notebook 17 on right, almost right and wrong answers."""

import pytest
import torch
from judging import judged

from mtlnas_lab.course import check


def test_start():
    judged(
        "17.start",
        [
            lambda a, k: k * a.clamp(-1, 1),
            (lambda a, k: k * a, "does not clip it"),
            (lambda a, k: (k * a).clamp(-1, 1), "clip first, then multiply"),
            (lambda a, k: a.clamp(-1, 1), "forgets κ"),
            (lambda a, k: k * a.sign(), "these are signs"),
            (lambda a, k: torch.sigmoid(k * a.clamp(-1, 1)), "these are gates"),
            (lambda a, k: 0.5 + k * (torch.sigmoid(a) - 0.5), "scales gates"),
            (lambda a, k: k * a.clamp(max=1), "both sides"),
            (lambda a, k: k * a.clamp(0, 1), "keep their sign"),
            (lambda a, k: 0.5 * a.clamp(-1, 1), "use the argument"),
            (lambda a, k: k * a.clamp(-1, 1)[:2], "yours has 2"),
            (lambda a, k: a + 10, "for α = "),
        ],
    )


def test_reptile():
    judged(
        "17.reptile",
        [
            lambda a, t, e: a + e * (t - a).mean(0),
            (lambda a, t, e: t.mean(0), "a share ε of the way"),
            (lambda a, t, e: a + e * (t - a).sum(0), "not the sum"),
            (lambda a, t, e: a - e * (t - a).mean(0), "the other way round"),
            (lambda a, t, e: e * (t - a).mean(0), "the step alone"),
            (lambda a, t, e: a + e * (t[-1] - a), "the last task alone"),
            (lambda a, t, e: a + e * (t[0] - a), "the first task alone"),
            (lambda a, t, e: a + (1 - e) * (t - a).mean(0), "not of what stays"),
            (lambda a, t, e: a + e * t.mean(0), "before you scale"),
            (lambda a, t, e: a + 0.4 * (t - a).mean(0), "use the arguments"),
            (lambda a, t, e: a + 7, "for edge 0"),
        ],
    )


@pytest.mark.parametrize("name", ["start", "reptile"])
def test_nothing_to_judge(name):
    assert check(f"17.{name}", lambda *_: ...).solved is None
