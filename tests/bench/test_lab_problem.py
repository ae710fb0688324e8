"""A search in a lab of one's own: every look at a graph is a real training, and is paid."""

from dataclasses import replace

import pytest

from mtlnas_lab.bench.graph import kept_of
from mtlnas_lab.bench.searchers import SEARCHERS, LabProblem, answers
from mtlnas_lab.bench.training import losses
from mtlnas_lab.core.search import Search
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.experiments.presets import preset, tiny

CONFIG = replace(preset("tiny").search, steps=2, batch_size=4)
A_TRAINING = 2 + 80 / 4 / 3  # steps, and 80 images of val to look at


def make(seed):
    return tiny(seed=seed)


def test_a_graph_is_trained_as_a_search_with_its_gates_would_train_it():
    problem = LabProblem(make, CONFIG, budget=100, seed=3)
    graph = 0b1011
    loss = problem.train(graph)
    assert problem.spent == pytest.approx(A_TRAINING)

    lab = make(3)
    kept = kept_of(graph, lab.space)
    list(Search(lab, replace(CONFIG, seed=3), gates=kept))
    found = losses(lab, kept, "val")
    expected = found["segmentation"]["loss"] + 20 * found["normals"]["loss"]
    assert loss == pytest.approx(expected, rel=1e-6)

    assert problem.train(graph) == loss and problem.spent == pytest.approx(A_TRAINING)  # known


LOOKING = ("random", "local_search", "evolution")


@pytest.mark.parametrize(
    "name", [*LOOKING, "guess", "all_edges", "no_edges", "one_shot", "mtlnas_ramp"]
)
def test_searchers_of_the_tables_work_in_a_lab(name):
    problem = LabProblem(make, CONFIG, budget=3.5 * A_TRAINING)
    *_, (spent, graph) = answers(SEARCHERS[name], problem)
    assert spent == problem.spent <= problem.budget
    assert 0 <= graph < 2**48
    assert len(problem.trained) == (3 if name in LOOKING else 0)


def test_random_graphs_come_once_and_by_the_seed():
    def first(seed, count=200):
        order = LabProblem(make, CONFIG, 1, seed).in_random_order()
        return [next(order) for _ in range(count)]

    graphs = first(0)
    assert len(set(graphs)) == 200 and graphs == first(0) != first(1)
    edges = sum(graph.bit_count() for graph in graphs) / 200
    assert 22 < edges < 26


def test_a_lab_without_images_of_val_is_refused():
    def blind(seed):
        lab = make(seed)
        return replace(lab, data={"train": lab.data["train"]})

    with pytest.raises(ConfigError, match="images of train, and none of val"):
        LabProblem(blind, CONFIG, 10)
