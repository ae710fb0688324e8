"""How a graph is written, in every form, and what is refused."""

import numpy as np
import pytest
import torch

from mtlnas_lab.bench.graph import (
    architecture_of,
    bits_of,
    kept_of,
    neighbours_of,
    number_of,
)
from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.errors import SpaceError

SPACE = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])))
FORMS = [
    6,
    "0110",
    (False, True, True, False),
    [0, 1, 1, 0],
    torch.tensor([0.0, 1.0, 1.0, 0.0]),
    torch.tensor([False, True, True, False]),
    np.array([0, 1, 1, 0]).tolist(),
    Architecture(SPACE, (False, True, True, False)),
]


@pytest.mark.parametrize("graph", FORMS)
def test_every_form_is_the_same_graph(graph):
    assert number_of(graph, SPACE) == 6
    assert bits_of(graph, SPACE) == "0110"
    assert kept_of(graph, SPACE) == (False, True, True, False)
    assert architecture_of(graph, SPACE).kept == (False, True, True, False)


def test_all_graphs_are_told_apart():
    assert [number_of(kept_of(n, SPACE), SPACE) for n in range(16)] == list(range(16))


def test_neighbours_differ_in_one_edge():
    assert neighbours_of(0, SPACE) == (1, 2, 4, 8)
    for i, neighbour in enumerate(neighbours_of("0110", SPACE)):
        flipped = list(kept_of(6, SPACE))
        flipped[i] = not flipped[i]
        assert kept_of(neighbour, SPACE) == tuple(flipped)


BAD = [
    -1,
    16,
    "01",
    "01100",
    "0120",
    "",
    [0, 1, 2, 0],
    [0.5] * 4,
    None,
    3.0,
    {"a": 1},
    [[0, 1, 1, 0]],
]


@pytest.mark.parametrize("graph", BAD, ids=repr)
def test_what_is_no_graph(graph):
    with pytest.raises(SpaceError, match="graph"):
        number_of(graph, SPACE)


def test_an_architecture_of_another_space():
    other = SearchSpace.build(dict.fromkeys(["a", "c"], plan([8, 16], [1, 1])))
    with pytest.raises(SpaceError, match="transfer"):
        number_of(Architecture(other, (True,) * 4), SPACE)
