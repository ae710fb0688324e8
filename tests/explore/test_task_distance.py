"""Task distance: Fisher information against loops and values by hand, networks of one start, arms."""

import pickle
from itertools import combinations

import numpy as np
import pytest
import torch

from mtlnas_lab.bench.condition import rooms
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.explore import task_distance as td
from mtlnas_lab.explore.study import Exploration


@pytest.fixture(scope="module")
def networks():
    return {task: td.train_alone(task, start=3, order=1, steps=2) for task in td.TASKS}


def batch(task, count=3):
    images, targets = rooms()["val"].batch(torch.arange(count), (task,))
    return images, targets[task]


def by_hand(backbone, task, images, targets):
    """The gradient of one image after the other, by backward."""
    backbone.eval()
    squares = None
    for image, target in zip(images, targets):
        backbone.zero_grad()
        task.loss(backbone(image[None]), target[None]).backward()
        own = [weight.grad.square().flatten() for weight in backbone.stages.parameters()]
        squares = own if squares is None else [a + b for a, b in zip(squares, own)]
    return torch.cat(squares) / len(images)


# --- Fisher information -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", td.TASKS)
def test_fisher_is_the_mean_of_each_images_squared_gradient(networks, name):
    images, targets = batch(name)
    found = td.fisher(networks[name], td.tasks()[name], images, targets)
    assert len(found) == 3 and all((stage >= 0).all() for stage in found)
    expected = by_hand(networks[name], td.tasks()[name], images, targets)
    assert torch.allclose(torch.cat(found), expected, rtol=1e-3, atol=1e-8)


def test_the_gradient_of_the_mean_loss_is_another_thing(networks):
    images, targets = batch("depth")
    task = td.tasks()["depth"]
    wrong = torch.cat(td.fisher(networks["depth"], task, images, targets, per_sample=False))
    right = torch.cat(td.fisher(networks["depth"], task, images, targets))
    assert not torch.allclose(wrong, right, rtol=0.1)
    one = [
        torch.cat(td.fisher(networks["depth"], task, images[:1], targets[:1], way))
        for way in (True, False)
    ]
    assert torch.allclose(*one, rtol=1e-3, atol=1e-9), "of one image they are the same"


def test_fisher_leaves_the_network_as_it_was(networks):
    network = networks["normals"].train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    td.fisher(network, td.tasks()["normals"], *batch("normals"))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


# --- distance ---------------------------------------------------------------------------------------------------------
def test_the_distance_by_hand():
    one, other = torch.tensor([1.0, 3.0]), torch.tensor([3.0, 1.0])
    expected = np.sqrt(2 * (np.sqrt(0.75) - np.sqrt(0.25)) ** 2 / 2)
    assert td.distance(one, other) == pytest.approx(expected)
    assert td.distance(one, 5 * one) == pytest.approx(0, abs=1e-7)
    assert td.distance(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0])) == pytest.approx(1)
    assert td.profile((one, other), (one, one)) == [0.0, pytest.approx(expected)]


@pytest.mark.parametrize("other", [torch.zeros(2), torch.ones(3)])
def test_what_cannot_be_compared_is_refused(other):
    with pytest.raises(ConfigError, match="cannot be compared"):
        td.distance(torch.ones(2), other)


# --- networks ---------------------------------------------------------------------------------------------------------
def test_networks_of_one_start_begin_alike_whatever_their_task():
    depth, room = (td.train_alone(task, start=3, order=1, steps=0) for task in ("depth", "room"))
    for one, other in zip(depth.stages.parameters(), room.stages.parameters()):
        assert torch.equal(one, other)
    elsewhere = td.train_alone("depth", start=4, order=1, steps=0)
    assert not torch.equal(next(depth.parameters()), next(elsewhere.parameters()))


def test_a_new_head_leaves_the_stages_as_they_are(networks):
    headed = td.with_head_for(networks["depth"], "room", order=0, steps=2)
    for one, other in zip(
        networks["depth"].stages.state_dict().values(), headed.stages.state_dict().values()
    ):
        assert torch.equal(one, other)
    images, _ = batch("room")
    assert headed(images).shape == (3, td.tasks()["room"].channels)
    assert networks["depth"](images).shape[1] == 1, "the source keeps its own head"


def test_distances_of_all_pairs():
    found = td.distances(5, ("depth", "normals"), steps=1, images=3)
    assert found.matrix.shape == (2, 2) and found.stages.shape == (2, 2, 3)
    assert found.other_start.shape == (2,)
    assert ((found.matrix > 0) & (found.matrix < 1)).all()
    assert found.asymmetry == pytest.approx(abs(found.matrix[0, 1] - found.matrix[1, 0]))
    assert sorted(found.other_task) == sorted([found.matrix[0, 1], found.matrix[1, 0]])
    td.distances.cache_clear()
    td._alone.cache_clear()
    again = td.distances(5, ("depth", "normals"), steps=1, images=3)
    assert np.array_equal(found.matrix, again.matrix)


# --- edges ------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def table():
    return FusionTable.open("segmentation-normals")


def made_up(table):
    stages = np.zeros((2, 2, 3))
    stages[0, 1] = [0.1, 0.2, 0.3]  # segmentation → normals
    stages[1, 0] = [0.6, 0.5, 0.4]
    return td.Distances(tuple(table.tasks), np.zeros((2, 2)), stages, np.zeros(2))


def test_an_edge_is_as_close_as_its_source_stage_is_to_the_target(table):
    found = td.closeness(table.space, made_up(table))
    for edge, value in zip(table.space.edges, found):
        row = {"segmentation": [0.1, 0.2, 0.3], "normals": [0.6, 0.5, 0.4]}[edge.source.task]
        assert value == row[edge.source.stage]


def test_the_effect_of_an_edge_is_that_on_its_target(table):
    found = td.effects(table)
    for place, edge in enumerate(table.space.edges):
        losses = table.values(f"{edge.target.task}/loss")
        pairs = [losses[g] - losses[g ^ 1 << place] for g in range(256) if g >> place & 1]
        assert found[place] == pytest.approx(np.mean(pairs))


def test_the_regret_of_a_cut_is_that_of_the_graph_that_val_chooses(table):
    assert td.regret_of_cut(table, []) == table.regret(0)
    whole = int(table.values(split="val").argmin())
    assert td.regret_of_cut(table, range(8)) == pytest.approx(table.regret(whole))
    inside = [0, 1, 4, 5]
    best = min(inside, key=lambda graph: table.values(split="val")[graph])
    assert td.regret_of_cut(table, [0, 2]) == pytest.approx(table.regret(best))


def test_cuts_and_edges_of_made_up_distances(table, monkeypatch):
    monkeypatch.setattr(td, "distances", lambda *given, **settings: made_up(table))
    order = made_up(table)
    close = td.closeness(table.space, order).argsort(kind="stable")
    assert td.cut_arm(0, "closest")["regret"] == td.regret_of_cut(table, close[:4].tolist())
    assert td.cut_arm(0, "farthest")["regret"] == td.regret_of_cut(table, close[4:].tolist())
    every = [td.regret_of_cut(table, edges) for edges in combinations(range(8), 4)]
    assert td.cut_arm(0, "random")["regret"] == pytest.approx(np.mean(every)) and len(every) == 70
    assert min(every) <= td.cut_arm(0, "latest")["regret"] <= max(every)
    assert -1 <= td.edges_arm(0)["spearman"] <= 1
    with pytest.raises(ConfigError, match="choose closest, farthest, latest or random"):
        td.cut_arm(0, "best")
    with pytest.raises(ConfigError, match="choose one of same_task"):
        td.distance_arm(0, "cousins")


def test_every_arm_of_the_study_can_be_pickled():
    study = Exploration.load("task-distance")
    for arm in study.arms:
        assert pickle.loads(pickle.dumps(study.function(arm))) is study.function(arm)
