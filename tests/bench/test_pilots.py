"""Pilots of conditions without a table: what was kept, and whether it says what its numbers say."""

import json

import numpy as np
import pytest
from bench_fakes import record, trained_pilot

from mtlnas_lab.bench.condition import CONDITIONS, condition
from mtlnas_lab.bench.make import PILOT_GRAPHS, PILOT_SEEDS, pilot_graphs
from mtlnas_lab.bench.noise import noise_floor
from mtlnas_lab.bench.pilots import judgement, keep, pilots
from mtlnas_lab.bench.table import shipped
from mtlnas_lab.data.open import samples
from mtlnas_lab.errors import ConfigError

SEEING = condition("segmentation-normals")


def test_a_finished_pilot_is_kept_and_one_that_was_there_is_replaced(tmp_path):
    trained_pilot(tmp_path / "records", SEEING)
    file = tmp_path / "pilots.json"
    file.write_text('{"segmentation-normals": {"scores": {}}, "blind": {"scores": {}}}')
    keep(SEEING, tmp_path / "records", file)
    kept = json.loads(file.read_text())
    assert list(kept) == ["blind", "segmentation-normals"] and kept["blind"] == {"scores": {}}
    one = kept["segmentation-normals"]
    assert one["graphs"] == pilot_graphs(SEEING)
    total = np.array(one["scores"]["total"])
    assert total.shape == (PILOT_GRAPHS, len(PILOT_SEEDS))
    known = record(one["graphs"][4], 6)
    expected = known["test/trained/segmentation/loss"] + 20 * known["test/trained/normals/loss"]
    assert total[4, 6] == pytest.approx(expected, abs=1e-6)


def test_an_unfinished_pilot_is_refused(tmp_path):
    trained_pilot(tmp_path / "records", SEEING, PILOT_SEEDS[:3])
    with pytest.raises(ConfigError, match="the pilot is not finished"):
        keep(SEEING, tmp_path / "records", tmp_path / "pilots.json")
    assert not (tmp_path / "pilots.json").exists()


@pytest.mark.parametrize("noise, said", [(0.01, "; enough"), (10.0, "; less than 0.8, no table")])
def test_its_judgement_is_of_the_planned_seeds(noise, said):
    draw = np.random.default_rng(0)
    floor = noise_floor(np.arange(16.0)[:, None] + noise * draw.normal(size=(16, 8)))
    told = judgement(SEEING, {"total": floor})
    reached = floor.reliability_of(len(SEEING.seeds))
    assert f"over {len(SEEING.seeds)} seeds total {reached:.2f}{said}" in told


def test_shipped_pilots_are_whole_and_of_conditions_without_a_table():
    kept = json.loads((samples() / "bench" / "pilots.json").read_text())
    assert kept and set(kept) <= set(CONDITIONS) - set(shipped())
    for name, floors in pilots().items():
        scores = ["total", *(f"{task}/loss" for task in condition(name).tasks)]
        assert list(floors) == scores
        assert kept[name]["graphs"] == pilot_graphs(condition(name))
        for floor in floors.values():
            assert (floor.graphs, floor.seeds) == (PILOT_GRAPHS, len(PILOT_SEEDS))
