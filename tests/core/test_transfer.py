import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlnas_lab.core.architecture import Architecture, transfer
from mtlnas_lab.core.space import Edge, Node, SearchSpace, plan
from mtlnas_lab.errors import SpaceError

VGG = plan([8] * 13, [2, 2, 3, 3, 3])
RESNET = plan([8] * 16, [3, 4, 6, 3])


def space(first=VGG, second=VGG, names=("a", "b")):
    return SearchSpace.build(dict(zip(names, (first, second))))


@given(st.lists(st.booleans(), min_size=48, max_size=48))
def test_onto_the_same_space_nothing_changes(kept):
    found = Architecture(space(), tuple(kept))
    moved = transfer(found, space())
    assert moved.architecture == found and not moved.lost
    renamed = transfer(found, space(names=("x", "y")))
    assert renamed.architecture.kept == found.kept  # in order, where names differ
    back = transfer(found, space(names=("b", "a")), {"a": "a", "b": "b"})
    assert {str(e) for e in back.architecture.edges} == {str(e) for e in found.edges}


def test_another_backbone_by_hand():
    """VGG's stage 1 ends group 0 (of two stages), as ResNet's stage 2 does (of three); VGG's fifth group is not in ResNet."""
    here = space()
    found = Architecture(
        here,
        tuple(
            e in {Edge(Node("a", 1), Node("b", 1)), Edge(Node("a", 12), Node("b", 12))}
            for e in here.edges
        ),
    )
    moved = transfer(found, space(RESNET, RESNET))
    assert moved.carried == {
        Edge(Node("a", 1), Node("b", 1)): Edge(Node("a", 2), Node("b", 2)),
        Edge(Node("a", 12), Node("b", 12)): Edge(Node("a", 15), Node("b", 15)),
    }
    assert moved.architecture.alpha is None and "2 of 2 kept edges carried over" in str(moved)


def test_what_has_no_candidate_there_is_lost_and_said():
    here, there = space(), SearchSpace(space().plans, space().edges[:4])
    moved = transfer(Architecture(here, (True,) * 48), there)
    assert len(moved.architecture) == 4 and len(moved.lost) == 44 and "lost: " in str(moved)


@pytest.mark.parametrize(
    "tasks", [{"a": "x"}, {"a": "x", "b": "x"}, {"a": "x", "b": "nobody"}, {"c": "x", "b": "y"}]
)
def test_tasks_that_do_not_fit(tasks):
    with pytest.raises(SpaceError, match="cannot become x, y"):
        transfer(Architecture(space(), (True,) * 48), space(names=("x", "y")), tasks)


def test_more_tasks_than_there_are():
    three = SearchSpace.build({"a": VGG, "b": VGG, "c": VGG})
    with pytest.raises(SpaceError, match="cannot become"):
        transfer(Architecture(three, (True,) * len(three)), space(names=("x", "y")))
