"""The start of a search from another one's α: values by hand, tasks that take each other's place, what does not fit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtlnas_lab.core.architecture import Architecture, counterparts, derive, warm_start
from mtlnas_lab.core.relaxation import ArchitectureWeights
from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.errors import ConfigError, SpaceError

SMALL = plan([8, 16], [1, 1])
VGG = plan([8] * 13, [2, 2, 3, 3, 3])


def space(*names, stages=SMALL):
    return SearchSpace.build(dict.fromkeys(names, stages))


def by_name(found: SearchSpace, start) -> dict[str, float]:
    return {str(edge): value for edge, value in zip(found.edges, start)}


def test_each_edge_begins_at_kappa_times_its_clipped_alpha():
    found = derive(space("a", "b"), [0.25, -0.5, 7.0, -30.0])
    assert warm_start(found, found.space) == (0.25, -0.5, 1.0, -1.0)
    assert warm_start(found, found.space, kappa=2) == (0.5, -1.0, 2.0, -2.0)
    assert warm_start(found, found.space, kappa=0) == (0.0, 0.0, 0.0, 0.0)
    gates = torch.sigmoid(torch.tensor(warm_start(found, found.space)[2:]))
    assert gates.tolist() == pytest.approx([0.7311, 0.2689], abs=1e-4)


@given(st.lists(st.floats(-50, 50), min_size=4, max_size=4), st.floats(0, 10))
def test_no_edge_changes_sides_or_goes_beyond_kappa(alpha, kappa):
    found = Architecture(space("a", "b"), (False,) * 4, tuple(alpha))
    for before, after in zip(alpha, warm_start(found, found.space, kappa)):
        assert abs(after) <= kappa and before * after >= 0
        assert abs(after) == pytest.approx(kappa * min(abs(before), 1))


def test_an_edge_is_found_by_its_name_and_not_by_its_place():
    found = derive(space("a", "b"), [0.1, 0.2, 0.3, 0.4])
    here = space("b", "a")  # the same edges in another order
    assert by_name(here, warm_start(found, here)) == pytest.approx(
        by_name(found.space, found.alpha)
    )


def test_other_tasks_take_the_places_that_are_left():
    found = derive(space("normals", "depth"), [0.1, 0.2, 0.3, 0.4])
    there = by_name(found.space, found.alpha)
    here = space("segmentation", "normals")
    begun = by_name(here, warm_start(found, here))
    assert begun["segmentation:0 -> normals:0"] == pytest.approx(there["depth:0 -> normals:0"])
    assert begun["normals:1 -> segmentation:1"] == pytest.approx(there["normals:1 -> depth:1"])
    turned = by_name(
        here, warm_start(found, here, tasks={"normals": "segmentation", "depth": "normals"})
    )
    assert turned["segmentation:0 -> normals:0"] == pytest.approx(there["normals:0 -> depth:0"])
    assert counterparts(["a", "b"], ["c", "d"]) == {"a": "c", "b": "d"}
    assert counterparts(["a", "b", "c"], ["c", "d"]) == {"a": "d", "c": "c"}


def test_widths_may_differ():
    wide = SearchSpace.build(dict.fromkeys(["a", "b"], plan([64, 128], [1, 1])))
    assert warm_start(derive(wide, [1.0, 0.5, 0.0, -1.0]), space("a", "b")) == (1.0, 0.5, 0.0, -1.0)


def part(of: SearchSpace, count: int) -> SearchSpace:
    return SearchSpace(of.plans, of.edges[:count])


@pytest.mark.parametrize(
    "there, here, words",
    [
        (space("a", "b", "c"), space("a", "b"), "a, b, c cannot become a, b"),
        (space("a", "b"), space("a", "b", "c"), r"here has no candidate there"),
        (space("a", "b"), space("a", "b", stages=VGG), r"b:0 -> a:0 here has no candidate there"),
        (space("a", "b", stages=VGG), space("a", "b"), r"a search between networks with as many tasks and stages"),
        (space("a", "b"), part(space("a", "b"), 3), r"a:1 -> b:1 there has no candidate here"),
        (part(space("a", "b"), 3), space("a", "b"), r"a:1 -> b:1 here has no candidate there"),
    ],
)  # fmt: skip
def test_a_search_in_a_space_that_does_not_fit_is_refused(there, here, words):
    found = derive(there, [1.0] * len(there))
    with pytest.raises(SpaceError, match=words) as caught:
        warm_start(found, here)
    assert "\n" not in str(caught.value)


def test_what_was_not_searched_and_other_kappas_are_refused():
    with pytest.raises(ConfigError, match="it has no α"):
        warm_start(Architecture(space("a", "b"), (True,) * 4), space("a", "b"))
    for kappa in (-1, float("nan"), float("inf"), "1", None):
        with pytest.raises(ConfigError, match="kappa = "):
            warm_start(derive(space("a", "b"), [1.0] * 4), space("a", "b"), kappa)


def test_alpha_begins_where_it_is_told():
    assert ArchitectureWeights(2).alpha.tolist() == [0, 0]
    assert ArchitectureWeights(2, 0.5).alpha.tolist() == [0.5, 0.5]
    assert ArchitectureWeights(0, []).alpha.tolist() == []
    weights = ArchitectureWeights(2, (1.0, -1.0))
    assert weights.alpha.tolist() == [1, -1] and weights.alpha.requires_grad
    assert weights.alpha.is_contiguous() and ArchitectureWeights(3, 0.5).alpha.is_contiguous()
    with pytest.raises(ConfigError, match="α of 3 edges cannot begin at 2 numbers"):
        ArchitectureWeights(3, [1.0, 2.0])
