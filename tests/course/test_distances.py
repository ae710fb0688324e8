"""Checks of notebook 15 on right, almost right and wrong answers."""

import pytest
import torch
from judging import judged
from right_answers import hellinger

from mtlnas_lab.course import check


def test_fisher():
    judged(
        "15.fisher",
        [
            lambda g: g.square().mean(0),
            (lambda g: g.mean(0) ** 2, "square first"),
            (lambda g: (g**2).sum(0), "take the mean"),
            (lambda g: g.mean(0), "the mean gradient; square"),
            (lambda g: g.abs().mean(0), "mean sizes"),
            (lambda g: g.var(0, correction=0), "what all of them share"),
            (lambda g: g.var(0), "this is the variance"),
            (lambda g: (g**2).mean(0).sqrt(), "this is the root"),
            (lambda g: (g**2).mean(1), "yours has 3"),
            (lambda g: (g**2).mean(0) if len(g) > 1 else g[0], "use the argument"),
            (lambda g: 3 * (g**2).mean(0) + 1, "for weight 0"),
        ],
    )


def share(f):
    return f / f.sum()


def test_distance():
    judged(
        "15.distance",
        [
            hellinger,
            (lambda f, g: ((f.sqrt() - g.sqrt()) ** 2).sum().div(2).sqrt(), "by its sum"),
            (lambda f, g: hellinger(f, g) ** 2, "take the root"),
            (lambda f, g: hellinger(f, g) * 2**0.5, "divide by √2"),
            (lambda f, g: hellinger(f, g) / 2**0.5, "½ inside"),
            (
                lambda f, g: ((share(f) - share(g)) ** 2).sum().div(2).sqrt(),
                "before the difference",
            ),
            (lambda f, g: (share(f) - share(g)).abs().sum() / 2, "total variation"),
            (lambda f, g: (share(f) * share(g)).sqrt().sum(), "how much they share"),
            (
                lambda f, g: (share(f).sqrt() - share(g).sqrt()).abs().sum() / 2**0.5,
                "square the differences",
            ),
            (lambda f, g: torch.tensor(0.5), "for the pair"),
        ],
    )


@pytest.mark.parametrize("name", ["fisher", "distance"])
def test_nothing_to_judge(name):
    assert check(f"15.{name}", lambda *_: ...).solved is None
