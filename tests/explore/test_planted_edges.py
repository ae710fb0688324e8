"""Which edges help by construction, and how an answer lies to them."""

import pytest

from mtlnas_lab.bench.condition import condition
from mtlnas_lab.bench.planted import useful_edge
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.explore.planted_edges import ARMS, compared, rivals_of, searched, useful_edges
from mtlnas_lab.explore.study import Exploration


def test_one_edge_brings_the_bit():
    for name in ("bit", "bit-0.5", "bit-0"):
        about = condition(name)
        named = [str(e) for e, use in zip(about.space.edges, useful_edges(about)) if use]
        assert named == [useful_edge()]


def test_the_edges_into_the_covered_network():
    about = condition("blind")
    targets = {e.target.task for e, use in zip(about.space.edges, useful_edges(about)) if use}
    assert targets == {"segmentation"} and sum(useful_edges(about)) == 4


def test_an_edge_is_held_against_those_into_the_same_network():
    about = condition("bit")
    rivals = [e.target for e, rival in zip(about.space.edges, rivals_of(about)) if rival]
    assert [target.task for target in rivals] == ["room"] * 3


def test_where_nothing_is_planted():
    with pytest.raises(ConfigError, match="nothing is planted in the condition depth-normals"):
        useful_edges(condition("depth-normals"))


@pytest.mark.parametrize("opened", range(9))
def test_chance_leads_by_nothing(opened):
    """Mean over all graphs of so many edges: each opens useful edges as often as others."""
    useful = [True, True, False, False, False, True, False, False]
    rivals = [False, False, True, False, True, False, False, True]
    leads = []
    for graph in range(256):
        kept = [bool(graph >> i & 1) for i in range(8)]
        if sum(kept) == opened:
            leads.append(compared(kept, useful, rivals)["lead"])
    assert sum(leads) / len(leads) == pytest.approx(0)


def test_baselines_are_judged():
    assert searched(0, "all_edges", "bit", 1) == {
        "recall": 1,
        "rivals": 1,
        "lead": 0,
        "precision": 1 / 8,
        "edges": 8,
    }
    assert searched(0, "no_edges", "blind", 1)["precision"] == 0


def test_a_search_gives_the_same_numbers_again():
    ask = {"searcher": "mtlnas_warm_up", "where": "bit", "budget": 24}
    assert searched(3, **ask) == searched(3, **ask)


def test_the_study_asks_every_searcher_for_its_control():
    study = Exploration.load("planted-edges")
    assert study.function("mtlnas, bit") is ARMS["searched"]
    searchers = {settings["searcher"] for settings in study.arms.values()}
    controls = {claim.arm.partition(",")[0] for claim in study.claims if claim.control}
    assert len(searchers) == 6 and controls == searchers


def test_a_partner_that_sees_noise_is_of_no_use():
    about = condition("noise-partner")
    useful, rivals = useful_edges(about), rivals_of(about)
    sources = {
        (edge.source.task, use, rival)
        for edge, use, rival in zip(about.space.edges, useful, rivals)
    }
    assert sources == {("normals", True, False), ("edges", False, True)}
    assert sum(useful) == sum(rivals) == 4


def test_a_search_that_asks_a_table_has_no_place_here():
    with pytest.raises(ConfigError, match="searcher = 'random' is none of the choices mtlnas"):
        searched(0, "random", "bit", 900)
