"""Conditions: the same start for every graph, the labels that are left, the edges that are allowed."""

from dataclasses import replace

import pytest
import torch

from mtlnas_lab.bench import condition as module
from mtlnas_lab.bench.condition import CONDITIONS, Condition, condition
from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.search import Search
from mtlnas_lab.errors import ConfigError


@pytest.mark.parametrize("name", CONDITIONS)
def test_each_condition_has_eight_edges_or_twelve_and_a_lab(name):
    made = condition(name)
    lab = made.lab(0)
    edges = {(2, 1): 8, (2, 2): 12}[made.groups]
    assert len(made.space) == edges and made.graphs == 2**edges
    assert lab.space == made.space and tuple(lab.tasks) == made.tasks
    assert {split: len(pack) for split, pack in lab.data.items()} == module.IMAGES


def test_a_seed_draws_the_start_and_nothing_else_does():
    seeing = condition("segmentation-normals")
    first, again, other = (seeing.lab(seed).supernet.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(
        first["backbones.normals.stages.0.0.weight"], other["backbones.normals.stages.0.0.weight"]
    )
    state = torch.random.get_rng_state()
    seeing.lab(3)
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator was touched"


def test_few_labels_are_few_and_the_same_for_all():
    few = condition("segmentation-normals-few")
    train = few.data()["train"]
    assert int(train.labelled("normals").sum()) == 32
    assert int(train.labelled("segmentation").sum()) == len(train)
    assert torch.equal(train.labelled("normals"), few.data()["train"].labelled("normals"))
    assert int(few.data()["test"].labelled("normals").sum()) == module.IMAGES["test"]


def test_edges_lead_only_where_they_may():
    partner = condition("noise-partner")
    assert {edge.target.task for edge in partner.space.edges} == {"segmentation"}
    assert {edge.source.task for edge in partner.space.edges} == {"normals", "edges"}


def test_shuffled_labels_belong_to_other_images():
    right = condition("segmentation-normals").data()["train"]
    wrong = condition("shuffled").data()["train"]
    assert torch.equal(right.images, wrong.images)
    same = (right.targets["segmentation"] == wrong.targets["segmentation"]).flatten(1).all(1)
    assert same.float().mean() < 0.05
    assert torch.equal(
        right.targets["segmentation"].flatten().bincount(),
        wrong.targets["segmentation"].flatten().bincount(),
    )


def test_what_is_held_out_is_said():
    held_out = [made.name for made in CONDITIONS.values() if made.held_out]
    assert held_out and all("eld out" in CONDITIONS[name].about for name in held_out)


@pytest.mark.parametrize("name", ["nothing", "", None, 3])
def test_a_condition_that_is_not_there(name):
    with pytest.raises(ConfigError, match="choose one of segmentation-normals"):
        condition(name)


def test_the_order_of_the_tasks_changes_no_result():
    """The space is symmetric: with the tasks in the other order, the same graph learns the same."""
    one = condition("segmentation-normals")
    other = replace(one, name="other", tasks=("normals", "segmentation"))
    graph = Architecture(one.space, (True, False, True, True, False, True, False, False))
    wanted = {str(edge) for edge in graph.edges}
    losses = []
    start = one.lab(0).supernet.state_dict()
    for made in (one, other):
        lab = made.lab(0)
        lab.supernet.load_state_dict(start)
        kept = [str(edge) in wanted for edge in lab.space.edges]
        assert sum(kept) == len(wanted)
        config = replace(made.config(0), steps=5)
        events = list(Search(lab, config, gates=kept))
        losses.append(events[-2].loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_condition_is_a_value():
    made = Condition("mine", "Mine.", ("depth", "edges"))
    assert made == Condition("mine", "Mine.", ("depth", "edges"))
    assert made.to_json()["tasks"] == ("depth", "edges")
