"""A search judged by a table: the best graph has no regret, and a graph alone among its equals no lead."""

import pytest

from mtlnas_lab.bench.condition import condition
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.explore.everything import searched
from mtlnas_lab.explore.judged import judged
from mtlnas_lab.explore.study import Exploration


def test_a_baseline_has_the_table_s_numbers():
    table = FusionTable.open("segmentation-normals")
    none = searched(0, "no_edges", "segmentation-normals", 300)
    leads = {"lead": 0, "segmentation_lead": 0, "normals_lead": 0}
    assert none == {"regret": table.regret(0), "beats": 0.5, "edges": 0, "spent": 0, **leads}


def test_the_lead_is_that_of_the_tasks_by_their_weights():
    found = searched(3, "guess", "segmentation-normals", 300)
    weighed = found["segmentation_lead"] + 20 * found["normals_lead"]
    assert found["lead"] == pytest.approx(weighed) and abs(found["lead"]) > 1e-3


def test_a_training_that_is_looked_up_is_paid():
    found = searched(4, "random", "segmentation-normals", 700)
    assert 600 < found["spent"] <= 700 and 0 <= found["beats"] <= 1


def test_no_such_method():
    with pytest.raises(ConfigError, match="method = 'fast' is none of the choices guess"):
        searched(0, "fast", "segmentation-normals", 300)


def test_every_search_is_held_against_chance():
    study = Exploration.load("race")
    controls = {claim.arm.partition(",")[0] for claim in study.claims if claim.control}
    assert controls == {
        "mtlnas",
        "mtlnas_ramp",
        "mtlnas_warm_up",
        "mtlnas_l1",
        "one_shot",
        "perturbation",
    }


def test_what_was_planted_is_told_beside_the_losses():
    found = searched(0, "all_edges", "blind", 300)
    assert (found["useful"], found["rivals"], found["preference"]) == (1, 1, 0)
    assert "preference" not in searched(0, "all_edges", "depth-normals", 300)


def test_an_unfinished_table_judges_nobody():
    few = FusionTable.open("segmentation-normals").frame()
    few = few[few["graph"].isin([0, 15, 255])]
    table = FusionTable(condition("segmentation-normals"), few)
    with pytest.raises(RunError, match="is not finished: no seed has all 256 graphs"):
        judged(lambda problem: pytest.fail("it was searched"), table, 300, 0)
