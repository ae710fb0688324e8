"""The question at lab size: what an arm tells, and that random graphs have as many edges as the answer."""

import numpy as np
import pytest

from mtlnas_lab.errors import ConfigError
from mtlnas_lab.explore import lab_size


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
