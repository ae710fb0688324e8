"""Checks of notebook 18 on right, almost right and wrong answers."""

import pytest
from judging import judged
from right_answers import greedy_sets

from mtlnas_lab.course import check
from mtlnas_lab.course.checks import which_graph as checks


def agrees(order, edges):
    return sum(w for i, j, w in edges if order.index(i) < order.index(j))


def only_back(edges):
    kept = []
    for better, worse, _ in sorted(edges, key=lambda edge: -edge[2]):
        if (worse, better) not in kept:
            kept.append((better, worse))
    return kept


def test_keep():
    judged(
        "18.keep",
        [
            greedy_sets,
            (lambda edges: [edge[:2] for edge in edges], "all edges are kept"),
            (only_back, "all edges are kept"),
            (lambda edges: greedy_sets([(i, j, -w) for i, j, w in edges]), "turned round"),
            (lambda edges: sorted(checks._as_they_come(edges)), "sort them by their weight"),
            (lambda edges: sorted(checks._no_detour(edges)), "from the worse graph to the better"),
            (lambda edges: sorted(checks._off_cycles(edges)), "enough that one edge goes"),
            (lambda edges: sorted(checks._no_triangle(edges)), "longer ways"),
            (lambda edges: sorted(checks._heaviest(edges)), "the heaviest part of all"),
            (lambda edges: greedy_sets(edges)[1:], "is missing"),
            (lambda edges: [], "is missing"),
            (lambda edges: [(7, 8)], "none of the edges"),
            (lambda edges: [(0.5, 1)], "none of the edges"),
            (lambda edges: [0, 1], "a list of pairs"),
        ],
    )
    assert check("18.keep", lambda edges: set(greedy_sets(edges))).solved
    with_weights = check("18.keep", lambda e: [x for x in e if x[:2] in greedy_sets(e)])
    assert with_weights.solved, "weights may stay where they are"


def test_one_edge_too_many_is_named():
    def more(edges):
        kept = greedy_sets(edges)
        left = [edge[:2] for edge in edges if edge[:2] not in kept]
        return kept + left[:1]

    assert "closes a cycle with surer ones" in check("18.keep", more).message


def test_agrees():
    judged(
        "18.agrees",
        [
            agrees,
            (lambda o, e: agrees(o[::-1], e), "from its end"),
            (lambda o, e: sum(o.index(i) < o.index(j) for i, j, _ in e), "how many edges"),
            (lambda o, e: sum(w for *_, w in e), "the weight of all edges"),
            (lambda o, e: checks._agreeing(o, e, apart=1), "between neighbours"),
            (lambda o, e: agrees(o, e) - agrees(o[::-1], e), "they only do not count"),
            (lambda o, e: agrees(o, e) / sum(w for *_, w in e), "the weight itself"),
            (lambda o, e: sum(w for i, j, w in e if i < j), "not its place"),
            (lambda o, e: sum(w for i, j, w in e if o[i] < o[j]), "order[graph] is not"),
            (lambda o, e: agrees(o, e) if len(o) > 3 else 0.75, "have none"),
            (lambda o, e: 0.5, "for the order"),
        ],
    )


@pytest.mark.parametrize("name", ["keep", "agrees"])
def test_nothing_to_judge(name):
    assert check(f"18.{name}", lambda *_: ...).solved is None
