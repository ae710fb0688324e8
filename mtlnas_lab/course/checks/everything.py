"""Checks of notebook 20: what a search answers after each look, and p-values that are corrected for their number."""

from __future__ import annotations

import numpy as np

from ..checking import Wrong, exercise
from .common import bars, close, curves, differ, near_misses, row


# --- choose by val, be judged by test -----------------------------------------------------------------------------------
@exercise("20.answers")
def answers(answer, ax):
    """What the answer loses on test after each look, chosen by the losses on val."""
    draw = np.random.default_rng(5)
    true = draw.uniform(6.6, 7.1, 14).round(3)
    seen = (true + draw.normal(0, 0.12, 14)).round(3)
    right = _answers(seen, true)
    yours = row(answer(seen.copy(), true.copy()), len(seen), "the looks").numpy()
    curves(ax, np.arange(1, len(seen) + 1), right, yours, "look", "loss on test of the answer")

    best = [int(seen[: look + 1].argmax()) for look in range(len(seen))]
    peeked = np.minimum.accumulate(true)
    heard = np.minimum.accumulate(seen)
    last = np.full(len(seen), right[-1])
    mistakes = {
        "this is the least loss on test so far: the search would have looked at the test images": peeked,
        "these are the losses on val of the answers; they are judged by test": heard,
        "these are the graphs that were looked at last; the search answers the best on val so far": true,
        "these are the worst on val; less is better": true[best],
        "this is the last answer at every look; an early look knows only what came before it": last,
    }
    places = [f"after look {look + 1}" for look in range(len(seen))]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-6)
    said = (
        "right for these looks, but not where two graphs lose the same on val: the first one stands"
    )
    tied = (np.array([2.0, 1.0, 1.0]), np.array([5.0, 6.0, 7.0]))
    if not close(row(answer.also(said, *tied), 3, "the looks"), [5.0, 6.0, 6.0]):
        raise Wrong(said)
    return "It may rise: what was best on val need not be better on test."


def _answers(seen: np.ndarray, true: np.ndarray) -> np.ndarray:
    best = [int(seen[: look + 1].argmin()) for look in range(len(seen))]
    return true[best]


# --- many comparisons -------------------------------------------------------------------------------------------------
@exercise("20.holm")
def holm(answer, ax):
    """Holm's correction."""
    p = np.array([0.04, 0.001, 0.3, 0.011, 0.0115])
    right = _holm(p)
    yours = row(answer(p.copy()), len(p), "the comparisons").numpy()
    names = [f"p = {one:g}" for one in p]
    bars(ax, right, yours, names, "corrected p")

    order = p.argsort()
    falling = len(p) - np.arange(len(p))
    factors = np.empty(len(p))
    factors[order] = falling
    bonferroni = np.minimum(len(p) * p, 1)
    turned = p * (len(p) + 1 - factors)
    mistakes = {
        "this is Bonferroni: each times m. Holm's factor falls: m for the smallest, then m − 1, …": bonferroni,
        "the factors stand in the order of the list; they belong to the order of size": p * falling,
        "the order is right, but the values are sorted: put each back in its place": np.sort(right),
        "a corrected p is never less than that of a smaller p: carry the largest so far along": p
        * factors,
        "the largest p gets the factor m here; it is the smallest that does": turned,
    }
    near_misses(yours, right, mistakes, differ(right, yours, [f"for {one}" for one in names]))
    said = "right for these, but a corrected p is 1 at most"
    if not close(row(answer.also(said, np.array([0.9, 0.8])), 2, "the comparisons"), [1.0, 1.0]):
        raise Wrong(said)
    return "Whoever compares twenty methods finds one at p = 0.05 by chance; after Holm that happens in one study of twenty."


def _holm(p: np.ndarray) -> np.ndarray:
    corrected = np.empty(len(p))
    least = 0.0
    for rank, place in enumerate(p.argsort()):
        least = max(least, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = least
    return corrected
