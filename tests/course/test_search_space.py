"""Checks of notebook 03 with right, wrong and almost right answers."""

import pytest
from judging import cases, judge, refused

from mtlnas_lab.core.space import Edge, Node, SearchSpace, same_group
from mtlnas_lab.course.checks import search_space as n03

OTHER = {"segmentation": "normals", "normals": "segmentation"}


def one_size(source, target, plans, sizes=(64, 32, 16, 8, 8)):
    return (
        sizes[plans[source.task][source.stage].group]
        == sizes[plans[target.task][target.stage].group]
    )


def count(groups, tasks, limit, ways=lambda tasks: tasks * (tasks - 1)):
    return ways(tasks) * sum(min(index + 1, limit) for size in groups for index in range(size))


def renamed(edge, source=OTHER, target=OTHER):
    return Edge(
        Node(source[edge.source.task], edge.source.stage),
        Node(target[edge.target.task], edge.target.stage),
    )


def ends(source, target):
    return lambda edge: (f"{edge.source}/{source}", f"{edge.target}/{target}")


SAME = {task: task for task in OTHER}
ANSWERS = {
    "03.entering": [
        (lambda index, limit: min(index + 1, limit), None),
        (lambda index, limit: index, "its twin"),
        (lambda index, limit: min(index, limit), "its twin"),
        (lambda index, limit: index + 1, "at most `limit`"),
        (lambda index, limit: min(index + 1, limit + 1), "twin counted"),
        (lambda index, limit: min(index, limit - 1), "twin counted"),
        (lambda index, limit: min(index + 1, 3), "limit 1"),
        (lambda index, limit: limit, "[1, 2, 3, 3, 3, 3]"),
    ],
    "03.resolution": [
        (one_size, None),
        (same_group, "48 edges again"),
        (lambda s, t, p: one_size(s, t, p) and s.stage <= t.stage, "another rule's affair"),
        (lambda s, t, p: True, "64 and 32 pixels"),
        (lambda s, t, p: one_size(s, t, p, (64, 32, 16, 16, 8)), "16 and 8 pixels"),
        (lambda s, t, p: s.task == "normals" and one_size(s, t, p), "which task reads"),
    ],
    "03.count": [
        (count, None),
        (lambda g, t, n: count(g, t, n) / 2, "both ways"),
        (lambda g, t, n: count(g, t, n, lambda t: 1), "one direction"),
        (lambda g, t, n: count(g, t, n, lambda t: t), "two others to read"),
        (lambda g, t, n: count(g, t, n, lambda t: 2), "more pairs"),
        (lambda g, t, n: count(g, t, 99), "without the limit"),
        (lambda g, t, n: 48, "limit 1: it should be 26"),
    ],
    "03.renamed": [
        (renamed, None),
        (lambda e: str(renamed(e)), None),
        (lambda e: e, "same edge"),
        (lambda e: Edge(e.target, e.source), "turned the arrow"),
        (lambda e: renamed(e, target=SAME), "inside one network"),
        (lambda e: renamed(Edge(e.source, Node(e.target.task, 12))), "under exchanged names"),
        (lambda e: 5, "give an Edge"),
    ],
    "03.split": [
        (ends("features", "fused"), None),
        (ends("fused", "fused"), "wait for each other"),
        (ends("features", "features"), "wait for each other"),
        (ends("fused", "features"), "wait for each other"),
        (lambda e: ends("features", "fused")(Edge(e.target, e.source)), "should begin at"),
        (ends("feature", "fused"), "no node"),
        (lambda e: str(e), "two names"),
    ],
}


@pytest.mark.parametrize("name, answer, said", cases(ANSWERS))
def test_right_almost_right_and_wrong(name, answer, said):
    judge(name, answer, said)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stub_is_not_filled_in_and_a_wrong_type_is_told(name):
    refused(name, lambda *_: [None, 1], 3)


@pytest.mark.parametrize(
    "groups, tasks, edges", [(n03.VGG16, 2, 48), (n03.VGG16, 3, 144), (n03.RESNET50, 2, 72)]
)
def test_the_closed_form_counts_what_the_library_lists(groups, tasks, edges):
    assert (
        count(groups, tasks, 3)
        == edges
        == len(SearchSpace.build(n03.plans(groups, tuple("abcd"[:tasks]))))
    )
