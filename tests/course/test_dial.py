"""Checks of notebook 10 on right, almost right and wrong answers."""

from math import comb

import pytest
import torch
from judging import judged

from mtlnas_lab.course import check


def noise(image, generator):
    return torch.randn(image.shape, generator=generator)


def test_blindfold():
    def even(image, v, g):
        return v * image + (1 - v) * torch.rand(image.shape, generator=g)

    def even_of_unit_size(image, v, g):
        return v * image + (1 - v) * 12**0.5 * (torch.rand(image.shape, generator=g) - 0.5)

    def one_for_all(image, v, g):
        return v * image + (1 - v) * torch.randn(image.shape[1:], generator=g)

    judged(
        "10.blindfold",
        [
            lambda image, v, g: v * image + (1 - v) * noise(image, g),
            (lambda image, v, g: (1 - v) * image + v * noise(image, g), "the other way round"),
            (lambda image, v, g: image + (1 - v) * noise(image, g), "the image is whole"),
            (lambda image, v, g: (1 - v) * noise(image, g), "nothing of the image"),
            (lambda image, v, g: 0.6 * image + (1 - v) * noise(image, g), "of the image there"),
            (lambda image, v, g: v * image, "there is no noise"),
            (one_for_all, "the same noise"),
            (even, "the mean 0"),
            (even_of_unit_size, "another shape"),
            (lambda image, v, g: v * image + noise(image, g), "yours counts whole"),
            (lambda image, v, g: v * image + (1 - v) ** 0.5 * noise(image, g), "the root"),
            (lambda image, v, g: v * image + v * noise(image, g), "yours counts v"),
            (lambda image, v, g: v * image + 0.5 * noise(image, g), "the deviation"),
            (lambda image, v, g: 0.25 * image + 0.75 * noise(image, g), "for v = 1"),
            (lambda image, v, g: v * image + min(0.75, 3 - 3 * v) * noise(image, g), "for v = 0"),
        ],
    )


def test_coin():
    def more(n, k):
        return sum(comb(n, i) for i in range(k + 1, n + 1)) / 2**n

    def exactly(n, k):
        return comb(n, k) / 2**n

    judged(
        "10.coin",
        [
            lambda n, k: more(n, k) + exactly(n, k),
            (exactly, "exactly so many"),
            (more, "more than so many"),
            (lambda n, k: 1 - more(n, k) - exactly(n, k), "of fewer"),
            (lambda n, k: 1 - more(n, k), "so many or fewer"),
            (lambda n, k: k / n, "share of the edges"),
            (lambda n, k: 2**n * (more(n, k) + exactly(n, k)), "how many ways"),
            (lambda n, k: 0.5**k, "in a row"),
            (lambda n, k: 0.5, "for 0 of 12"),
            (lambda n, k: more(12, k) + exactly(12, k), "for 12 edges, but not"),
        ],
    )


def test_turn():
    def parts(kept, targets, blind):
        into = [keep for keep, target in zip(kept, targets) if target == blind]
        out = [keep for keep, target in zip(kept, targets) if target != blind]
        return into, out

    def share(row):
        return sum(row) / len(row)

    def turned(kept, targets, blind):
        into, out = parts(kept, targets, blind)
        return share(into) - share(out)

    judged(
        "10.turn",
        [
            turned,
            (lambda *given: sum(parts(*given)[0]) - sum(parts(*given)[1]), "shares, not counts"),
            (
                lambda *given: (sum(parts(*given)[0]) - sum(parts(*given)[1])) / len(given[0]),
                "how many there are in all",
            ),
            (lambda *given: -turned(*given), "the sign"),
            (lambda *given: share(parts(*given)[0]), "into it alone"),
            (lambda *given: share(parts(*given)[1]), "out of it alone"),
            (
                lambda *given: share(parts(*given)[0]) / max(share(parts(*given)[1]), 1e-9),
                "the ratio",
            ),
            (lambda kept, targets, blind: turned(kept, targets, "b"), "where a is"),
            (lambda *given: 0.5, "for the graph all"),
        ],
    )


def mean(row):
    return sum(row) / len(row)


BEGINS = [
    (lambda t: [v for v in t if mean(t[v]) > mean(t[1.0])], "compare seeds, not means"),
    (lambda t: [v for v in t if max(t[v]) > max(t[1.0])], "one seed that is above"),
    (lambda t: [v for v in t if min(t[v]) >= max(t[1.0])], "is not above it"),
    (lambda t: [v for v in t if min(t[v]) > 0], "above 0 is not enough"),
    (lambda t: list(t), "leave visibility 1 out"),
    (lambda t: [0.0], "every seed is above"),
    (lambda t: [0.1, 0.0], "not for others"),
    (lambda t: 0.1, "a list of visibilities"),
    (lambda t: {0.1: [1.0], 0.0: [1.0]}, "a dict of 2"),
]


@pytest.mark.parametrize("answer, said", BEGINS, ids=[said for _, said in BEGINS])
def test_begins(answer, said):
    verdict = check("10.begins", answer)
    assert verdict.solved is False and said in verdict.message, verdict


def test_begins_right():
    verdict = check("10.begins", lambda t: [v for v in t if min(t[v]) > max(t[1.0])])
    assert verdict.solved and verdict.picture and "20 times" in verdict.message
