"""Records are made once, survive what kills a process, and are the same each time."""

import json

import numpy as np
import pytest
from bench_fakes import SHORT, record

from mtlnas_lab.bench.again import made_again
from mtlnas_lab.bench.card import publish
from mtlnas_lab.bench.condition import condition
from mtlnas_lab.bench.make import PILOT_GRAPHS, make, pilot_graphs, take_over
from mtlnas_lab.bench.records import PARTS, Records, described, load, unlike
from mtlnas_lab.bench.table import FusionTable, shipped
from mtlnas_lab.bench.training import POINTS, train
from mtlnas_lab.data.open import samples
from mtlnas_lab.errors import ConfigError, RunError

SEEING = condition("segmentation-normals")


def test_a_record_has_everything(short):
    made = train(SEEING, "00000000", 0)
    assert (made["graph"], made["seed"]) == (0, 0)
    for split in ("val", "test"):
        for batch_norm in ("trained", "recalibrated"):
            for score in (
                "segmentation/loss",
                "segmentation/miou",
                "normals/loss",
                "normals/mean_angle",
            ):
                assert np.isfinite(made[f"{split}/{batch_norm}/{score}"])
    curve = [key for key in made if key.startswith("curve/")]
    assert len(curve) == 2 * min(POINTS, SHORT)
    assert made[f"curve/{SHORT}/normals"] == made["val/trained/normals/loss"], (
        "the curve ends where training does"
    )
    full = train(SEEING, 255, 0)
    assert full["parameters"] > made["parameters"] and full["operations"] > made["operations"]


def test_a_record_made_again_is_equal(short):
    first = train(SEEING, 90, 1)
    again = train(SEEING, 90, 1)
    for key in first.keys() - {"seconds"}:
        assert first[key] == again[key], key
    assert train(SEEING, 90, 2)["test/trained/normals/loss"] != first["test/trained/normals/loss"]


def test_closed_edges_change_nothing_but_what_they_carry(short):
    """Graph 240 opens edges into normals alone: segmentation's network is as it is without any edge."""
    none = train(SEEING, 0, 0)
    into_normals = train(SEEING, 240, 0)
    assert into_normals["test/trained/segmentation/loss"] != none["test/trained/segmentation/loss"]
    # segmentation learns from normals' loss, too, through the edges: only its first step is the same


def test_making_goes_on_where_it_stopped(short, tmp_path):
    first = list(make(SEEING, tmp_path, [0, 255], [0], backend="sequential"))
    assert [(one["graph"], one["seed"]) for one in first] == [(0, 0), (255, 0)]
    more = list(make(SEEING, tmp_path, [0, 3, 255], [0, 1], backend="sequential"))
    assert [(one["graph"], one["seed"]) for one in more] == [(3, 0), (0, 1), (3, 1), (255, 1)]
    assert not list(make(SEEING, tmp_path, [0, 3, 255], [0, 1], backend="sequential"))
    assert FusionTable.open(tmp_path).graphs == (0, 3, 255)


def test_processes_make_the_same(short, tmp_path):
    with pytest.raises(ConfigError, match="jobs = 0"):
        next(make(SEEING, tmp_path / "none", jobs=0))
    assert not (tmp_path / "none").exists()


def test_a_cut_line_costs_its_record_alone(tmp_path):
    with Records(tmp_path, SEEING) as records:
        for graph in range(3):
            records.add(record(graph, 0))
    path = tmp_path / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    with Records(tmp_path, SEEING) as records:
        assert records.done == {(0, 0), (1, 0)}
        records.add(record(2, 0))
        records.add(record(3, 0))
    kept, problems, _, whole = load(path)
    assert [one["graph"] for one in kept] == [0, 1, 2, 3] and whole and len(problems) == 1
    assert kept[2] == record(2, 0)


def test_two_processes_do_not_write_one_folder(tmp_path):
    with Records(tmp_path, SEEING), pytest.raises(RunError):
        Records(tmp_path, SEEING)
    Records(tmp_path, SEEING).close()


@pytest.mark.parametrize("what", ["recipe", "condition", "versions", "data", "schema"])
def test_records_of_one_folder_are_made_alike(what, tmp_path):
    Records(tmp_path, SEEING).close()
    path = tmp_path / "condition.json"
    there = json.loads(path.read_text())
    there[what] = "other"
    path.write_text(json.dumps(there))
    with pytest.raises(RunError, match=f"another {what}"):
        Records(tmp_path, SEEING)


def test_what_a_condition_tells_may_change(tmp_path):
    Records(tmp_path, SEEING).close()
    path = tmp_path / "condition.json"
    there = json.loads(path.read_text())
    there["condition"]["about"] = "In other words."
    there["machine"] = {"machine": "another"}
    path.write_text(json.dumps(there))
    Records(tmp_path, SEEING).close()


def test_only_whole_seeds_are_published(tmp_path):
    with Records(tmp_path, SEEING) as records:
        for graph in range(256):
            records.add(record(graph, 0))
        for graph in range(255):
            records.add(record(graph, 1))
    table = publish(SEEING, tmp_path, tmp_path / "out")
    assert table.seeds == (0,) and len(table.frame()) == 256
    card = (tmp_path / "out/card.md").read_text()
    assert "seeds 0: 256 records" in card and "Not finished" in card
    with Records(tmp_path, SEEING) as records:
        records.add(record(255, 1))
    publish(SEEING, tmp_path, tmp_path / "out")
    card = (tmp_path / "out/card.md").read_text()
    assert "seeds 0, 1: 512 records" in card and "| total |" in card


def test_nothing_is_published_of_half_a_seed(tmp_path):
    with Records(tmp_path, SEEING) as records:
        records.add(record(0, 0))
    with pytest.raises(ConfigError, match="no seed has all 256 graphs"):
        publish(SEEING, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pilot_is_published_beside_its_table(tmp_path):
    graphs = pilot_graphs(SEEING)
    assert len(set(graphs)) == PILOT_GRAPHS and graphs == pilot_graphs(SEEING)
    with Records(tmp_path, SEEING) as records:
        for graph in range(256):
            records.add(record(graph, 0))
        for graph in graphs:
            for seed in range(1, 8):
                records.add(record(graph, seed))
    table = publish(SEEING, tmp_path, tmp_path / "out")
    assert table.seeds == (0,)
    card = (tmp_path / "out/card.md").read_text()
    assert "## Pilot" in card and "| normals/loss | 1.00 | 1.00 | yes |" in card


def test_records_made_again_are_compared(short, tmp_path):
    list(make(SEEING, tmp_path, [0, 9], [0], backend="sequential"))
    table = FusionTable.open(tmp_path)
    assert [done.difference for done in made_again(table, 2)] == [0.0, 0.0]
    frame = table.frame()
    frame["test/trained/normals/loss"] *= 1.01
    wrong = FusionTable(SEEING, frame, table.about)
    for done in made_again(wrong, 2):
        assert done.difference == pytest.approx(0.01, rel=0.05)
        assert done.column == "test/trained/normals/loss"


def test_more_records_than_there_are(table):
    with pytest.raises(ConfigError):
        next(made_again(table, 769))


SHIPPED = shipped()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_table_goes_on_from_its_files(name, tmp_path):
    """Its records and its pilot's are taken over; nothing is lost or made twice, and the same files come out."""
    about = condition(name)
    shipped = samples() / "bench" / name
    table = FusionTable.open(name)
    same_here = described(about)["machine"] == table.about["machine"]
    if not same_here or unlike(table.about, described(about), PARTS):
        pytest.skip("the shipped table was made by other versions, or on another kind of machine")
    repeated = 16 * (8 - len(table.seeds))  # of the pilot, under seeds that the table has not
    assert take_over(shipped, about, tmp_path) == len(table.frame()) + repeated
    assert take_over(shipped, about, tmp_path) == 0
    publish(about, tmp_path, tmp_path / "table")
    for file in ("table.parquet", "pilot.parquet"):
        assert (tmp_path / "table" / file).read_bytes() == (shipped / file).read_bytes()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_table_is_whole_and_reliable(name):
    table = FusionTable.open(name)
    assert len(table.graphs) == table.condition.graphs
    assert table.seeds and {*table.seeds} <= {*table.condition.seeds}
    # a task that no edge leads into hardly notices any
    reached = {edge.target.task for edge in table.space.edges}
    for task in reached:
        assert table.noise_floor(f"{task}/loss").reliability > 0.6
    assert table.noise_floor().reliability > 0.8


def test_a_recipe_from_before_there_was_a_setting_had_its_default():
    now = described(SEEING)
    stored = json.loads(json.dumps(now, default=dict))
    assert unlike(stored, now, PARTS) == ""
    del stored["recipe"]["close_below"]
    assert unlike(stored, now, PARTS) == ""
    stored["recipe"]["close_below"] = 0.1
    assert unlike(stored, now, PARTS) == "recipe"


def test_a_table_that_was_made_otherwise_is_not_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr("mtlnas_lab.bench.records.versions", lambda: {"torch": "0.1"}, raising=True)
    with pytest.raises(RunError, match="made with another versions"):
        take_over(samples() / "bench" / SEEING.name, SEEING, tmp_path / "records")
    assert not (tmp_path / "records").exists()
