"""The landscape against brute force, on tables whose shape is known."""

import numpy as np
import pytest
from race_fakes import EDGES, GRAPHS, SMALL, even, rough, rugged, table_of  # noqa: F401

from mtlnas_lab.bench.landscape import (
    additive,
    basins,
    fitness_distance,
    idle_edges,
    landscape,
    local_optima,
    main_effect,
)
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.errors import ConfigError, RunError


def test_an_even_slope_has_one_optimum(even):
    facts = landscape(even)
    assert facts.optima == (0b0110,) and facts.basins == {0b0110: 1.0}
    assert facts.additive == pytest.approx(1)
    assert facts.adding_helps == pytest.approx(0.5)
    assert [effect.effect for effect in facts.effects] == pytest.approx([0.3, -0.2, -0.1, 0.4])
    assert [effect.helps for effect in facts.effects] == [0, 1, 1, 0]
    assert [effect.edge for effect in facts.effects] == [str(edge) for edge in even.space.edges]
    assert facts.fitness_distance > 0.8


def test_a_rugged_table_against_brute_force(rough):
    facts = landscape(rough)
    losses = rugged(1).mean(1)
    optima = []
    ends = {}
    helps = []
    for graph in range(GRAPHS):
        around = [graph ^ (1 << i) for i in range(EDGES)]
        if all(losses[graph] <= losses[other] for other in around):
            optima.append(graph)
        helps += [losses[other] < losses[graph] for other in around if other > graph]
        here = graph
        while True:
            best = min([here ^ (1 << i) for i in range(EDGES)], key=lambda g: losses[g])
            if losses[best] >= losses[here]:
                break
            here = best
        ends[here] = ends.get(here, 0) + 1 / GRAPHS
    assert sorted(facts.optima) == optima and facts.optima[0] == losses.argmin()
    assert facts.basins == pytest.approx(ends)
    assert list(facts.basins) == sorted(ends, key=lambda g: losses[g])
    assert facts.adding_helps == pytest.approx(np.mean(helps))
    distance = [(g ^ int(losses.argmin())).bit_count() for g in range(GRAPHS)]
    assert facts.fitness_distance == pytest.approx(np.corrcoef(losses, distance)[0, 1], rel=1e-5)


def test_main_effects_explain_what_a_regression_explains():
    losses = rugged(5).mean(1)
    design = np.arange(GRAPHS)[:, None] >> np.arange(EDGES) & 1
    with_one = np.column_stack([np.ones(GRAPHS), design])
    fitted = np.linalg.lstsq(with_one, losses, rcond=None)[0]
    assert [main_effect(losses, i) for i in range(EDGES)] == pytest.approx(fitted[1:])
    explained = (with_one @ fitted).var() / losses.var()
    assert additive(losses) == pytest.approx(explained)


def test_effects_of_each_seed(rough):
    effect = landscape(rough, split="val").effects[2]
    values = rugged(0)
    assert effect.by_seed == pytest.approx(
        [main_effect(column, 2) for column in values.T], rel=1e-4
    )
    assert effect.effect == pytest.approx(np.mean(effect.by_seed)) and effect.half > 0


def test_an_xor_is_all_interplay():
    losses = np.array([bin(graph).count("1") % 2 for graph in range(GRAPHS)], float)
    assert additive(losses) == pytest.approx(0)
    assert len(local_optima(losses)) == GRAPHS / 2


def test_a_flat_table_says_nothing():
    flat = np.zeros(GRAPHS)
    assert len(local_optima(flat)) == GRAPHS
    assert basins(flat) == dict.fromkeys(range(GRAPHS), 1 / GRAPHS)
    assert np.isnan(fitness_distance(flat)) and np.isnan(additive(flat))


def test_more_is_better_where_it_is():
    table = table_of(rugged(), rugged())
    frame = table.frame()
    frame["test/trained/segmentation/miou"] = -frame["test/trained/segmentation/loss"]
    turned = type(table)(SMALL, frame, table.about)
    assert landscape(turned, "segmentation/miou").optima == landscape(turned).optima


def test_a_landscape_needs_every_graph(rough):
    frame = rough.frame()
    half = type(rough)(SMALL, frame[frame["graph"] != 3], rough.about)
    with pytest.raises(RunError, match="no seed has all 16 graphs; seed 0 has 15"):
        landscape(half)
    with pytest.raises(ConfigError):
        landscape(rough, "normals/beauty")


def test_edges_that_change_nothing(even):
    assert idle_edges(even) == ()
    losses = np.array([[graph & 0b1011, graph & 0b0011] for graph in range(GRAPHS)], dtype=float)
    assert idle_edges(table_of(losses, losses)) == (2,)
    assert idle_edges(FusionTable.empty(SMALL)) == ()
