"""Checks of notebook 16 on right, almost right and wrong answers."""

import math

import pytest
import torch
from judging import judged
from right_answers import moved

from mtlnas_lab.course import check


def nats(alpha):
    return -(alpha.softmax(1) * alpha.log_softmax(1)).sum(1)


def of_edges(alpha):
    p = torch.sigmoid(alpha)
    return -(p * p.log() + (1 - p) * (1 - p).log()).mean(1) / math.log(2)


def down(alpha):
    return -(alpha.softmax(0) * alpha.log_softmax(0)).sum(1) / math.log(5)


def test_undecided():
    judged(
        "16.undecided",
        [
            lambda a: nats(a) / math.log(a.shape[1]),
            (nats, "in nats"),
            (lambda a: nats(a) / math.log(2), "in bits"),
            (lambda a: -nats(a) / math.log(a.shape[1]), "the sign"),
            (of_edges, "an edge by itself"),
            (down, "over the stages"),
            (lambda a: a.softmax(1).amax(1), "the largest share"),
            (lambda a: nats(a) / math.log(5) / 5, "terms are added"),
            (lambda a: nats(a) / math.log(5), "K is the second axis"),
            (lambda a: nats(a).mean(), "one number for each"),
            (lambda a: nats(a) + 3, "for stage 0"),
        ],
    )


def test_centroid():
    judged(
        "16.centroid",
        [
            moved,
            (lambda c, f, m: m * c + (1 - m) * f / f.norm(), "its length is not 1"),
            (lambda c, f, m: torch.nn.functional.normalize(m * c + (1 - m) * f, dim=0), "5 long"),
            (lambda c, f, m: m * c + (1 - m) * f, "the centroid's at the end"),
            (lambda c, f, m: moved(c, f, 1 - m), "what stays of the old"),
            (lambda c, f, m: (1 - m) * c + m * f / f.norm(), "and the length is 1"),
            (
                lambda c, f, m: (m * c + (1 - m) * f / 5) / (m * c + (1 - m) * f / 5).sum(),
                "not by the sum",
            ),
            (lambda c, f, m: c, "has to move it"),
            (lambda c, f, m: f / f.norm(), "something stays"),
            (lambda c, f, m: moved(c, f, 0.2), "use the argument"),
            (lambda c, f, m: c + 7, "for feature 0"),
        ],
    )


@pytest.mark.parametrize("name", ["undecided", "centroid"])
def test_nothing_to_judge(name):
    assert check(f"16.{name}", lambda *_: ...).solved is None
