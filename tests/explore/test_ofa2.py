"""OFA²: the mechanism against brute force and values by hand, its edge cases, its arms."""

import itertools
import pickle

import numpy as np
import pytest
import torch

from mtlnas_lab.bench.condition import condition
from mtlnas_lab.bench.searchers.supernet import losses_with_shared_weights
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.bench.training import costs
from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.explore import ofa2
from mtlnas_lab.explore.study import Exploration

EDGES = 6
DRAW = np.random.default_rng(0)
POINTS = np.column_stack([DRAW.random((64, 2)), [graph.bit_count() for graph in range(64)]])


def asked(graph):
    return POINTS[graph]


def beaten(points, place):
    return any(
        all(a <= b for a, b in zip(other, points[place]))
        and any(a < b for a, b in zip(other, points[place]))
        for other in points
    )


def test_the_front_is_that_which_none_beats():
    brute = [place for place in range(64) if not beaten(POINTS.tolist(), place)]
    assert ofa2.front_of(POINTS) == brute and 1 < len(brute) < 64
    assert ofa2.front_of([(1, 1), (1, 1)]) == [0, 1], "equals do not beat each other"


# --- searches ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("algorithm", ofa2.ALGORITHMS)
def test_with_enough_calls_every_algorithm_finds_most_of_the_front(algorithm):
    generations = list(ofa2.search_front(asked, EDGES, algorithm, calls=64, seed=1))
    last = generations[-1]
    assert [one.number for one in generations] == list(range(1, len(generations) + 1))
    counts = [one.asked for one in generations]
    assert counts == sorted(counts) and 0 < counts[0] <= ofa2.POPULATION and counts[-1] <= 64
    judged = ofa2.Truth(POINTS).judged(last.front)
    assert judged["hypervolume_ratio"] > 0.97 and judged["on_front"] > 0.8
    again = list(ofa2.search_front(asked, EDGES, algorithm, calls=64, seed=1))
    assert again == generations, "the same seed, the same search"
    assert list(ofa2.search_front(asked, EDGES, algorithm, calls=64, seed=2)) != generations


@pytest.mark.parametrize("calls", [1, 5, 13, 30])
def test_a_search_asks_for_no_more_graphs_than_it_may(calls):
    looked = set()

    def ask(graph):
        looked.add(graph)
        return POINTS[graph]

    *_, last = ofa2.search_front(ask, EDGES, calls=calls, seed=0)
    assert last.asked == calls and len(looked - {0}) <= calls
    assert set(last.front) <= looked


def test_what_was_asked_is_known_and_costs_nothing():
    calls = ofa2.Calls(asked, 2)
    assert calls(7) == calls(7) == tuple(POINTS[7]) and calls(9) and len(calls.known) == 2
    with pytest.raises(ofa2.CallsSpent):
        calls(8)
    assert calls(9) == tuple(POINTS[9])


def test_random_graphs_are_each_asked_once():
    found = ofa2.search_random(asked, EDGES, calls=20, seed=3)
    assert len(found.known) == 20 and found.known == {g: tuple(POINTS[g]) for g in found.known}
    everything = ofa2.search_random(asked, EDGES, calls=1000, seed=3)
    assert sorted(everything.known) == list(range(64))
    assert sorted(everything.front()) == ofa2.front_of(POINTS)


def test_weighted_sums_share_the_calls_and_answer_the_best_of_each():
    answers, calls = ofa2.search_weighted(asked, EDGES, calls=60, seed=0)
    assert len(calls.known) <= 60 and 1 <= len(answers) <= 6 and len({*answers}) == len(answers)
    values = np.array(list(calls.known.values()))
    graphs = list(calls.known)
    for objective in range(3):  # the corners of the weights are the objectives themselves
        best = {
            graphs[place]
            for place in np.flatnonzero(values[:, objective] == values[:, objective].min())
        }
        assert best & set(answers)


def test_an_algorithm_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="'nsga9'; choose of nsga2, smsemoa, spea2"):
        next(ofa2.search_front(asked, EDGES, "nsga9"))


# --- judging ----------------------------------------------------------------------------------------------------------
def test_hypervolume_and_distance_by_hand():
    truth = ofa2.Truth([(0, 4), (2, 2), (4, 0), (4, 4)])  # scaled: (0, 1), (½, ½), (1, 0), (1, 1)
    whole = 1.1 * 0.1 + 0.6 * 0.5 + 0.1 * 0.5  # strips from below the reference (1.1, 1.1)
    judged = truth.judged([1])
    assert judged["hypervolume_ratio"] == pytest.approx(0.6 * 0.6 / whole)
    assert judged["igd"] == pytest.approx(2 * np.sqrt(0.5) / 3)
    assert judged["on_front"] == pytest.approx(1 / 3) and judged["graphs"] == 1
    perfect = truth.judged([2, 0, 1, 3, 0])
    assert perfect["hypervolume_ratio"] == pytest.approx(1) and perfect["igd"] == 0
    assert perfect["graphs"] == 4, "each graph counts once"


def test_an_objective_in_which_all_are_alike_does_no_harm():
    assert ofa2.Truth([(1, 0), (1, 1)]).judged([0])["hypervolume_ratio"] == pytest.approx(1)


# --- the supernet -----------------------------------------------------------------------------------------------------
def test_a_sandwich_is_a_quarter_all_a_quarter_none_and_coins():
    draw = ofa2.sandwich(8)
    generator = torch.Generator().manual_seed(0)
    drawn = np.array([draw(generator) for _ in range(4000)])
    assert drawn.all(1).mean() == pytest.approx(0.25, abs=0.03)
    assert (~drawn.any(1)).mean() == pytest.approx(0.25, abs=0.03)
    rest = drawn[drawn.any(1) & ~drawn.all(1)]
    assert np.allclose(rest.mean(0), 0.5, atol=0.05)


@pytest.fixture(scope="module")
def lab():
    chosen = condition("segmentation-normals")
    config = SearchConfig(steps=3, batch_size=4, weight_lr=1e-3, augment=False)
    return ofa2.train_supernet(chosen.lab(0), config)


def test_what_edges_cost_adds_up(lab):
    ask = ofa2.supernet_objectives(lab)
    for graph in (0, 255, 0b10110):
        kept = [bool(graph >> edge & 1) for edge in range(8)]
        assert ask(graph)[-1] == costs(lab, kept)["operations"]


def test_scores_leave_the_supernet_as_it_was(lab):
    before = {name: value.clone() for name, value in lab.supernet.state_dict().items()}
    own = losses_with_shared_weights(lab, 255)
    as_trained = losses_with_shared_weights(lab, 255, own_batch_norm=False)
    assert list(own) == ["segmentation", "normals"] and own != as_trained
    assert losses_with_shared_weights(lab, "11111111") == own
    for name, value in lab.supernet.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_supernet_that_breaks_is_told():
    chosen = condition("segmentation-normals")
    config = SearchConfig(steps=30, batch_size=4, weight_lr=1e9, augment=False)
    with pytest.raises(ConfigError, match="the supernet of seed 0 failed"):
        ofa2.train_supernet(chosen.lab(0), config)


# --- arms -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["ofa2", "ofa2-search"])
def test_every_arm_of_the_studies_can_be_pickled(name):
    study = Exploration.load(name)
    for arm in study.arms:
        assert pickle.loads(pickle.dumps(study.function(arm))) is study.function(arm)


def test_every_arm_of_the_search_alone_gives_its_quantities():
    study = Exploration.load("ofa2-search")
    found = {arm: study.function(arm)(0, **study.settings(arm)) for arm in study.arms}
    for quantities in found.values():
        assert set(quantities) == {"hypervolume_ratio", "igd", "on_front", "graphs"}
        assert 0 < quantities["hypervolume_ratio"] < 1 and quantities["igd"] > 0
    assert found["weighted"]["graphs"] <= 6
    for one, other in itertools.combinations(study.arms, 2):
        assert found[one] != found[other]


def test_supernet_arms(monkeypatch):
    table = FusionTable.open("segmentation-normals")
    monkeypatch.setattr(ofa2, "supernet_scores", lambda *given: ofa2.objectives_of(table))
    assert ofa2.ranking_arm(0) == {
        "kendall_segmentation": pytest.approx(1),
        "kendall_normals": pytest.approx(1),
    }
    assert ofa2.front_arm(0, "nsga2") == ofa2.front_arm(0, "nsga2", scores="truth")
    blind = ofa2.front_arm(0, "blind")
    assert blind["graphs"] == ofa2.front_arm(0, "nsga2")["graphs"]
    with pytest.raises(ConfigError, match="give supernet or truth"):
        ofa2.front_arm(0, "nsga2", scores="guess")
