"""The question at lab size: what an arm tells, and that random graphs have as many edges as the answer."""

import shutil

import numpy as np
import pytest
import torch

from mtlnas_lab.data.open import samples
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.explore import lab_size
from mtlnas_lab.explore.study import Exploration, run_arm


@pytest.fixture
def trained(monkeypatch):
    """A training is a number: the more of the first edges, the less its loss. Gives the graphs that were trained."""
    graphs = []

    def scores(problem, graph):
        graphs.append(graph)
        return {"loss": 4.0 - (graph & 0b111).bit_count()}

    monkeypatch.setattr(lab_size, "_scores", scores)
    return graphs


def test_an_answer_stands_beside_random_graphs_with_as_many_edges(trained, monkeypatch):
    monkeypatch.setitem(lab_size.METHODS, "mine", lambda problem: [0b111])
    found = lab_size.found(5, "mine", random=8)
    assert trained[0] == 0b111 and found["loss"] == 1.0 and found["edges"] == 3
    assert len(trained) == 9 and all(graph.bit_count() == 3 for graph in trained)
    losses = np.array([4.0 - (graph & 0b111).bit_count() for graph in trained[1:]])
    assert found["lead"] == pytest.approx(losses.mean() - 1)
    assert found["beats"] == pytest.approx(np.mean(losses > 1) + np.mean(losses == 1) / 2)
    assert found["spread"] == pytest.approx(losses.std(ddof=1))

    again = list(trained)
    trained.clear()
    lab_size.found(5, "mine", random=8)
    assert trained == again
    trained.clear()
    lab_size.found(6, "mine", random=8)
    assert trained[1:] != again[1:]


@pytest.mark.parametrize("method, edges", [("all_edges", 48), ("no_edges", 0)])
def test_a_graph_without_another_of_its_size_beats_none_and_loses_to_none(trained, method, edges):
    found = lab_size.found(0, method, random=8)
    assert found["edges"] == edges and len(trained) == 1
    assert (found["lead"], found["beats"], found["spread"]) == (0.0, 0.5, 0.0)


def test_a_real_training_is_scored_on_test():
    found = lab_size.found(0, "no_edges", steps=1)
    assert set(found) == {"loss", "segmentation_miou", "normals_mean_angle", "edges", "spent"}
    assert 0 < found["segmentation_miou"] < 1 and 0 < found["normals_mean_angle"] < 90


def test_on_other_data_the_networks_are_taught_first_and_always_the_same(monkeypatch, tmp_path):
    shutil.copy(samples() / "rooms.npz", tmp_path)
    monkeypatch.setenv("ROOMS_ARE_HERE", str(tmp_path))
    starts = []

    def scores(problem, graph):
        state = problem.lab().supernet.backbones.state_dict()
        starts.append({name: value.clone() for name, value in state.items()})
        return {"loss": 1.0}

    monkeypatch.setattr(lab_size, "_scores", scores)
    monkeypatch.setitem(lab_size.METHODS, "mine", lambda problem: [0b1])
    tasks = ["segmentation", "normals"]
    for pretrain_steps in (0, 1):
        place = "$ROOMS_ARE_HERE/rooms.npz"
        lab_size.found(3, "mine", random=2, data=place, tasks=tasks, pretrain_steps=pretrain_steps)
    drawn, again, _, taught, once_more, _ = starts
    weight = next(name for name, value in drawn.items() if value.dim() == 4)
    assert torch.equal(drawn[weight], again[weight])
    assert torch.equal(taught[weight], once_more[weight])
    assert not torch.equal(drawn[weight], taught[weight])


def test_data_whose_place_is_not_named_are_asked_for(monkeypatch):
    monkeypatch.delenv("MTLNAS_LAB_REAL_DATA", raising=False)
    study = Exploration.load("lab-size_nyu")
    row = run_arm(study.function("chosen"), "chosen", 0, study.settings("chosen"))
    assert "MTLNAS_LAB_REAL_DATA is not set" in row["error"]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"method": "unheard"}, "method"),
        ({"method": "no_edges", "random": 1}, "one random graph has no spread"),
    ],
)
def test_what_cannot_be_asked_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        lab_size.found(0, **settings)
