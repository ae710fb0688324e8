"""Checks of notebook 20 on right, almost right and wrong answers."""

import numpy as np
from judging import judged
from right_answers import answers_loop, corrected


def later(seen, true):
    """Of graphs that lose the same on val, the last one."""
    best = [len(seen[: look + 1]) - 1 - seen[look::-1].argmin() for look in range(len(seen))]
    return true[best]


def test_answers():
    judged(
        "20.answers",
        [
            answers_loop,
            (lambda seen, true: np.minimum.accumulate(true), "looked at the test images"),
            (lambda seen, true: np.minimum.accumulate(seen), "they are judged by test"),
            (lambda seen, true: true, "looked at last"),
            (lambda seen, true: answers_loop(-seen, true), "less is better"),
            (lambda seen, true: [true[seen.argmin()]] * len(seen), "an early look"),
            (lambda seen, true: true[seen.argmin()], "one number for each"),
            (later, "lose the same on val"),
            (lambda seen, true: np.array(answers_loop(seen, true)) + 1, "after look 1"),
        ],
    )


def steps(p):
    """Holm's factors, in the order of the list."""
    order = p.argsort()
    factors = np.empty(len(p))
    factors[order] = len(p) - np.arange(len(p))
    return factors


def test_holm():
    judged(
        "20.holm",
        [
            corrected,
            (lambda p: np.minimum(p * len(p), 1), "Bonferroni"),
            (lambda p: p * (len(p) - np.arange(len(p))), "the order of size"),
            (lambda p: np.sort(corrected(p)), "back in its place"),
            (lambda p: p * steps(p), "carry the largest"),
            (lambda p: p * (len(p) + 1 - steps(p)), "it is the smallest that does"),
            (lambda p: corrected(p / 10) * 10, "1 at most"),
            (lambda p: p, "it should be"),
        ],
    )
