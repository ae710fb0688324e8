"""Check of notebook 00: how many architectures there are."""

from __future__ import annotations

import math

from ..checking import exercise
from .common import differ, near_misses, number

RIGHT, YOURS = "#2262ad", "#c9452f"


@exercise("00.count")
def count(answer, ax):
    """How many architectures."""
    edges = [0, 1, 2, 3, 5, 10, 20, 48]
    right = [2.0**many for many in edges]
    yours = [number(answer(many), "how many architectures there are") for many in edges]
    ax.semilogy(edges, right, "o-", color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.semilogy(edges, [max(value, 0.5) for value in yours], "s-", color=YOURS, label="yours")
    ax.set(xlabel="candidate edges", ylabel="architectures")
    ax.legend(frameon=False)
    almost = {
        "this is E², the number of pairs of edges; each edge has 2 ways to be, and the ways multiply": [
            many**2 for many in edges
        ],
        "2 ways for each edge, yes, but they multiply: two edges give 2 · 2, three 2 · 2 · 2": [
            2 * many for many in edges
        ],
        "the architecture without any edge counts, too: it is single-task learning": [
            2.0**many - 1 for many in edges
        ],
        "this is E!, the number of orders; an architecture has no order, each edge is there or is not": [
            math.factorial(many) for many in edges
        ],
        "one factor 2 is missing: with no edge there is one architecture, with one edge there are two": [
            2.0 ** (many - 1) for many in edges
        ],
        "one factor 2 too many: with no edge there is one architecture, with one edge there are two": [
            2.0 ** (many + 1) for many in edges
        ],
        "in Python ^ does not mean “to the power of”; that is written 2 ** 3": [
            2 ^ many for many in edges
        ],
    }
    places = [f"with {many} edges" for many in edges]
    otherwise = differ(right, yours, places, rtol=1e-12).replace("it should be", "there are")
    otherwise = otherwise.replace(", yours is", " architectures, yours says")
    near_misses(yours, right, almost, otherwise, atol=0, rtol=1e-12)
    return "Too many to try: at a minute for each, 48 edges take half a billion years. So we let gradients choose."
