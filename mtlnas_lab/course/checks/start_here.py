"""Check of notebook 00: how many architectures there are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..checking import exercise
from .common import RIGHT, YOURS, differ, near_misses, number


@exercise("00.count")
def count(answer, ax):
    """How many architectures."""
    edges = [0, 1, 2, 3, 5, 10, 20, 48]
    right = [2.0**many for many in edges]
    yours = [number(answer(many), "how many architectures there are") for many in edges]
    # a logarithmic axis has no place for 0
    drawn = [max(value, 0.5) for value in yours]
    ax.semilogy(edges, right, "o-", color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.semilogy(edges, drawn, "s-", color=YOURS, label="yours")
    ax.set(xlabel="candidate edges", ylabel="architectures")
    ax.legend(loc="best", frameon=False)
    places = [f"with {many} edges" for many in edges]
    otherwise = differ(right, yours, places, rtol=1e-12).replace("it should be", "there are")
    otherwise = otherwise.replace(", yours is", " architectures, yours says")
    # relative: 2⁴⁸ has fifteen digits, and a float of them all is right
    near_misses(yours, right, _wrong_counts(edges), otherwise, atol=0, rtol=1e-12)
    return "Too many to try: at a minute for each, 48 edges take half a billion years. So we let gradients choose."


def _wrong_counts(edges: Sequence[int]) -> dict[str, list[float]]:
    """Sentence → for each number of edges, the count that this mistake gives."""
    squares = [many**2 for many in edges]
    doubles = [2 * many for many in edges]
    without_empty = [2.0**many - 1 for many in edges]
    factorials = [math.factorial(many) for many in edges]
    half = [2.0 ** (many - 1) for many in edges]
    twice = [2.0 ** (many + 1) for many in edges]
    # ^ is a power in mathematics, in Matlab and in LaTeX; in Python it is the exclusive or of bits
    exclusive_or = [2 ^ many for many in edges]
    return {
        "this is E², the number of pairs of edges; each edge has 2 ways to be, and the ways multiply": squares,
        "2 ways for each edge, yes, but they multiply: two edges give 2 · 2, three 2 · 2 · 2": doubles,
        "the architecture without any edge counts, too: it is single-task learning": without_empty,
        "this is E!, the number of orders; an architecture has no order, each edge is there or is not": factorials,
        "one factor 2 is missing: with no edge there is one architecture, with one edge there are two": half,
        "one factor 2 too many: with no edge there is one architecture, with one edge there are two": twice,
        "in Python ^ does not mean “to the power of”; that is written 2 ** 3": exclusive_or,
    }
