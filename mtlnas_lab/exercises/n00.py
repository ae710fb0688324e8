"""Check of notebook 00: how many architectures there are."""

from __future__ import annotations

from .book import Wrong, exercise

RIGHT, YOURS = "#2262ad", "#c9452f"


@exercise("00.count")
def count(answer, ax):
    """How many architectures."""
    edges = [0, 1, 2, 3, 5, 10, 20, 48]
    yours = [float(answer(number)) for number in edges]
    ax.semilogy(
        edges, [2.0**number for number in edges], "o-", color=RIGHT, lw=4, alpha=0.5, label="right"
    )
    ax.semilogy(edges, [max(value, 0.5) for value in yours], "s-", color=YOURS, label="yours")
    ax.set(xlabel="candidate edges", ylabel="architectures")
    ax.legend(frameon=False)
    if yours == [number**2 for number in edges]:
        raise Wrong(
            "this is E², the number of pairs of edges; each edge has 2 ways to be, and the ways multiply"
        )
    if yours == [2 * number for number in edges]:
        raise Wrong(
            "2 ways for each edge, yes, but they multiply: two edges give 2 · 2, three 2 · 2 · 2"
        )
    if yours == [2.0**number - 1 for number in edges]:
        raise Wrong("the architecture without any edge counts, too: it is single-task learning")
    if yours != [2.0**number for number in edges]:
        wrong = next(i for i, number in enumerate(edges) if yours[i] != 2.0**number)
        raise Wrong(
            f"with {edges[wrong]} edges there are {2 ** edges[wrong]:,} architectures, yours says "
            f"{yours[wrong]:,.0f}"
        )
    return "Too many to try: at a minute for each, 48 edges take half a billion years. So we let gradients choose."
