"""Checks of notebook 14 on right, almost right and wrong answers."""

from judging import judged
from right_answers import available, penalty


def test_available():
    judged(
        "14.available",
        [
            available,
            (lambda e, w: [w[t] for s, t in e], "its source must be wanted"),
            (lambda e, w: [w[s] for s, t in e], "the target must be wanted"),
            (lambda e, w: [w[s] or w[t] for s, t in e], "one wanted end is not enough"),
            (lambda e, w: [not x for x in available(e, w)], "the other way round"),
            (lambda e, w: [True for _ in e], "this is every edge"),
            (lambda e, w: available(e, w)[::-1], "in the order of `edges`"),
            (lambda e, w: [False for _ in e], "it should be"),
            (lambda e, w: [True], "yours has shape"),
        ],
    )


def test_penalty():
    judged(
        "14.penalty",
        [
            penalty,
            (lambda z, c, f, b, m: m * ((z * c).sum() / c.sum() - b) ** 2, "not available"),
            (lambda z, c, f, b, m: m * ((z * c * f).sum() / c.sum() - b) ** 2, "of all edges"),
            (lambda z, c, f, b, m: m * ((z * c * f).sum() - b) ** 2, "not a share yet"),
            (lambda z, c, f, b, m: m * ((z * f).sum() / f.sum() - b) ** 2, "this counts edges"),
            (lambda z, c, f, b, m: penalty(z, c, f, b, 1.0), "μ is missing"),
            (
                lambda z, c, f, b, m: m * ((z * c * f).sum() / (c * f).sum() - b),
                "square is missing",
            ),
            (
                lambda z, c, f, b, m: m * ((z * c * f).sum() / (c * f).sum() - b).abs(),
                "squared, not as it is",
            ),
            (
                lambda z, c, f, b, m: m * ((z * c * f).sum() / (c * f).sum() - b).clamp(min=0) ** 2,
                "below the budget counts",
            ),
            (lambda z, c, f, b, m: 2 * penalty(z, c, f, b, m), "it should be"),
        ],
    )
