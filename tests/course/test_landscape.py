"""Checks of notebook 11 on right, almost right and wrong answers."""

import numpy as np
import pytest
from judging import judged
from right_answers import beaten, climb, front, rest

from mtlnas_lab.course import check


def off(values):
    return values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()


def test_noise():
    judged(
        "11.noise",
        [
            rest,
            (lambda v: v.std(), "graphs and seeds included"),
            (lambda v: (v - v.mean(1, keepdims=True)).std(), "a seed's own effect"),
            (lambda v: (v - v.mean(0)).std(), "the graphs' own effects"),
            (
                lambda v: np.sqrt(((off(v) - v.mean()) ** 2).sum() / 33),
                "off twice",
            ),
            (lambda v: rest(v) ** 2, "this is the variance"),
            (lambda v: off(v).std(), "divide the sum of squares"),
            (lambda v: off(v).std(ddof=1), "are free"),
            (lambda v: v.mean(), "not a deviation"),
            (lambda v: 2 * rest(v), "it should be"),
        ],
    )


def test_percentile():
    judged(
        "11.percentile",
        [
            beaten,
            (lambda v, g: 1 - beaten(v, g), "the other way round"),
            (lambda v, g: beaten(v, g) * (len(v) - 1) / len(v), "one less than there are"),
            (lambda v, g: (v > v[g]).sum() / (len(v) - 1), "yours do not count"),
            (lambda v, g: ((v >= v[g]).sum() - 1) / (len(v) - 1), "yours count whole"),
            (lambda v, g: (v > v[g]).mean() + (v == v[g]).mean() / 2, "is not among them"),
            (lambda v, g: (v >= v[g]).mean(), "not among the others"),
            (lambda v, g: (v > v[g]).mean(), "worse / all"),
            (lambda v, g: 1 + (v < v[g]).sum(), "its rank"),
            (lambda v, g: beaten(v, g) * (len(v) - 1), "how many it beats"),
            (lambda v, g: 100 * beaten(v, g), "not per cent"),
            (lambda v, g: beaten(v, g) if len(v) > 2 else 0.5, "not for two"),
            (lambda v, g: 0.5, "for graph 0"),
        ],
    )


def weakly(first, second):
    pairs = list(zip(first, second))
    return [g for g, (a, b) in enumerate(pairs) if not any(c < a and d < b for c, d in pairs)]


def test_front():
    judged(
        "11.front",
        [
            front,
            (lambda a, b: front(-a, -b), "the other end"),
            (weakly, "is beaten, too"),
            (lambda a, b: [int(a.argmin()), int(b.argmin())], "the best of either loss"),
            (lambda a, b: np.flatnonzero((a < a.mean()) & (b < b.mean())), "than the mean"),
            (lambda a, b: sorted({*range(len(a))} - {*front(a, b)}), "you want the others"),
            (lambda a, b: front(-a, b), "one loss is turned round"),
            (lambda a, b: front(a, -b), "the second loss"),
            (lambda a, b: [], "does not beat itself"),
            (lambda a, b: front(a, b)[1:], "is missing"),
            (lambda a, b: [*front(a, b), int(a.argmax())], "is beaten: another"),
            (lambda a, b: front(a, b) if len(a) > 3 else [0, 1], "not for others"),
            (lambda a, b: [99], "from 0 to 25"),
            (lambda a, b: a > 0.5, "not a truth value"),
        ],
    )


def first_better(ask, start, edges):
    while True:
        better = [start ^ (1 << e) for e in range(edges) if ask(start ^ (1 << e)) < ask(start)]
        if not better:
            return start
        start = better[0]


def up(ask, start, edges):
    return climb(lambda graph: -ask(graph), start, edges)


def one_flip(ask, start, edges):
    return min([start, *(start ^ (1 << e) for e in range(edges))], key=ask)


def two_flips(ask, start, edges):
    return one_flip(ask, one_flip(ask, start, edges), edges)


def best_of_all(ask, start, edges):
    return min(range(2**edges), key=ask)


def test_climb():
    judged(
        "11.climb",
        [
            climb,
            (up, "a smaller loss is better"),
            (one_flip, "one flip is not the end"),
            (lambda ask, start, edges: start, "it never moves"),
            (first_better, "the first neighbour that is better"),
            (best_of_all, "asked for every graph"),
            (two_flips, "there lowers the loss"),
            (lambda ask, start, edges: 99, "the number of a graph, from 0 to 63"),
        ],
    )


def test_a_graph_that_is_not_there_is_named():
    verdict = check("11.climb", lambda ask, start, edges: ask(64))
    assert verdict.solved is False and "there is no graph 64" in verdict.message


@pytest.mark.parametrize("name", ["noise", "percentile", "front", "climb"])
def test_nothing_to_judge(name):
    assert check(f"11.{name}", lambda *_: ...).solved is None
