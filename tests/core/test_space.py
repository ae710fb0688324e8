import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlnas_lab.core.space import (
    Edge,
    Node,
    SearchSpace,
    not_deeper,
    other_task,
    paper_rules,
    plan,
    same_group,
    within,
)
from mtlnas_lab.errors import SpaceError

VGG, RESNET, VIT = [2, 2, 3, 3, 3], [3, 4, 6, 3], [3, 3, 3, 3]


def like(groups, tasks=("a", "b"), rules=paper_rules()):
    return SearchSpace.build({task: plan([4] * sum(groups), groups) for task in tasks}, rules)


@pytest.mark.parametrize(
    "groups, limit, a_direction",
    [
        (VGG, 1, 13),
        (VGG, 2, 21),
        (VGG, 3, 24),
        (RESNET, 3, 36),
        (VIT, 3, 24),
        (VGG, None, 24),
        (RESNET, None, 6 + 10 + 21 + 6),
    ],
)
def test_number_of_candidates(groups, limit, a_direction):
    assert len(like(groups, rules=paper_rules(limit))) == 2 * a_direction


def test_no_limit_means_no_limit():
    stages = 13
    assert (
        len(like(VGG, rules=(other_task, not_deeper, within(None))))
        == 2 * stages * (stages + 1) // 2
    )


@given(
    groups=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    tasks=st.integers(2, 4),
    limit=st.integers(1, 5),
)
def test_adjacency_formula(groups, tasks, limit):
    """A[i, j] = 1 iff j ≤ i, i − j < limit and both stages in one group; once for every ordered pair of tasks."""
    names = [f"t{i}" for i in range(tasks)]
    space = like(groups, names, paper_rules(limit))
    group = [g for g, size in enumerate(groups) for _ in range(size)]
    expected = {
        Edge(Node(a, j), Node(b, i))
        for a, b in product(names, names)
        if a != b
        for i in range(len(group))
        for j in range(i + 1)
        if i - j < limit and group[i] == group[j]
    }
    assert set(space.edges) == expected and len(space) == len(expected)


@given(groups=st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_isomorphic_under_renaming(groups):
    space = like(groups)
    assert space.rename({"a": "b", "b": "a"}).rename({"a": "b", "b": "a"}) == space
    renamed = space.rename({"a": "x", "b": "y"})
    assert renamed.tasks == ("x", "y") and [
        str(e).replace("x:", "a:").replace("y:", "b:") for e in renamed.edges
    ] == [str(e) for e in space.edges]


def test_edges_are_sorted_by_target_then_source_whatever_the_order_given():
    space = like(VGG)
    assert SearchSpace(space.plans, tuple(reversed(space.edges))).edges == space.edges
    keys = [(space.tasks.index(e.target.task), e.target.stage, e.source.stage) for e in space.edges]
    assert keys == sorted(keys)
    for node in space.nodes:
        into = space.into(node)
        assert all(space.edges[i].target == node for i in into) and list(into) == list(
            range(into[0], into[-1] + 1)
        )


def test_text_and_json_round_trip():
    space = like(VGG, ("segmentation", "normals"))
    assert str(space.edges[0]) == "normals:0 -> segmentation:0"
    assert all(
        Edge.parse(str(edge)) == edge and space.edges[space.index(str(edge))] == edge
        for edge in space.edges
    )
    assert SearchSpace.from_json(space.to_json()) == space
    assert "48 candidate edges" in repr(space)


def test_unlike_backbones_run_in_order_of_position():
    space = SearchSpace.build({"a": plan([4] * 4, [2, 2]), "b": plan([8] * 3, [1, 2])})
    seen = set()
    for nodes in space.order:
        seen |= set(nodes)
        assert all(space.edges[i].source in seen for node in nodes for i in space.into(node))
    assert seen == set(space.nodes)
    # within(3) counts stages of the source backbone that are not deeper than the target
    assert [str(space.edges[i].source) for i in space.into(Node("b", 0))] == ["a:0", "a:1"]


def test_costs_have_mean_one_and_follow_the_target():
    space = SearchSpace.build({t: plan([4, 8], [1, 1]) for t in "ab"})
    assert sum(space.costs) == pytest.approx(len(space))
    assert [c / space.costs[0] for c in space.costs] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: within(0), "None for no limit"),
        (lambda: within(-1), "None for no limit"),
        (lambda: like(VGG, ("a",)), "two tasks"),
        (lambda: like(VGG, ("a", "b:c")), "'b:c'"),
        (lambda: like(VGG, rules=(other_task, same_group)), "not_deeper"),
        (lambda: like(VGG, rules=(not_deeper, same_group)), "other_task"),
        (lambda: plan([4, 4], [3]), "2 stages"),
        (lambda: Edge.parse("a:1"), "is not an edge"),
        (lambda: Node.parse("a"), "is not a node"),
        (lambda: like(VGG).index("a:0 -> b:12"), "no candidate"),
        (
            lambda: SearchSpace(like(VGG).plans, (Edge(Node("a", 0), Node("b", 99)),)),
            "no node b:99",
        ),
        (lambda: SearchSpace(like(VGG).plans, like(VGG).edges[:1] * 2), "twice"),
        (lambda: SearchSpace.from_json({"plans": 3}), "not a search space"),
        (lambda: like(VGG).only([True]), "shorter"),
    ],
)
def test_errors_say_what_would_be_right(make, words):
    with pytest.raises((SpaceError, ValueError), match=words):
        make()


PLANS = {"a": {"channels": [4, 4], "groups": [2]}, "b": {"channels": [4, 4], "groups": [2]}}
WRONG_PLANS = [
    {"channels": [4], "groups": [2]},
    {"channels": [4, 4.5], "groups": [2]},
    {"channels": [4, True], "groups": [2]},
    {"channels": [4, 0], "groups": [2]},
    {"channels": [4, 10**400], "groups": [2]},
    {"channels": ["4", "4"], "groups": [2]},
    {"channels": "44", "groups": [2]},
    {"channels": {"4": 4}, "groups": [1]},
    {"channels": None, "groups": [2]},
    {"channels": [4, 4], "groups": [10**12, 2 - 10**12]},
    {"channels": [4, 4], "groups": [3, -1]},
    {"channels": [4, 4], "groups": "2"},
    {"channels": [4, 4], "groups": [None]},
    {"channels": [4, 4], "groups": [[2]]},
    {"channels": [4] * 10_001, "groups": [10_001]},
    {"channels": [4, 4]},
    [4, 4],
    None,
]
WRONG_SPACES = [
    None,
    5,
    "x",
    [],
    {},
    {"plans": PLANS},
    {"plans": [], "edges": []},
    *({"plans": {**PLANS, "a": wrong}, "edges": []} for wrong in WRONG_PLANS),
    *({"plans": PLANS, "edges": wrong} for wrong in (None, 5, "a:0 -> b:0", {"a:0 -> b:0": 1})),
    *(
        {"plans": PLANS, "edges": [wrong]}
        for wrong in (
            None,
            5,
            [],
            "",
            "a:0",
            "a:0 -> b:2",
            "a:x -> b:0",
            "a:" + "9" * 5_000 + " -> b:0",
        )
    ),
    {"plans": {**PLANS, "": PLANS["a"]}, "edges": []},
    {"plans": {**PLANS, "\x1b": PLANS["a"]}, "edges": []},
    {"plans": {**PLANS, 5: PLANS["a"]}, "edges": []},
    {"plans": PLANS, "edges": ["a:0 -> b:0"] * 2},
]


@pytest.mark.parametrize("data", WRONG_SPACES, ids=lambda data: repr(data)[:50])
def test_a_space_of_the_wrong_shape_is_a_space_error_of_one_line(data):
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_json(data)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_large_space_is_read_in_one_pass():
    """10,000 stages a task and as many edges: minutes where each stage or edge goes through all the others."""
    count = 10_000
    sizes = [1] * count
    data = {
        "plans": {task: {"channels": [4] * count, "groups": sizes} for task in "ab"},
        "edges": [f"a:{i} -> b:{i}" for i in range(count)],
    }
    begin = time.perf_counter()
    space = SearchSpace.from_json(data)
    assert space.to_json() == data and len(space.order) == count
    with pytest.raises(SpaceError, match="no candidate"):
        space.index("a:0 -> b:1")
    assert time.perf_counter() - begin < 60  # a guard against hanging
