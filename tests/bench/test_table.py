"""A table is asked: every answer against the records that were put in."""

import math
from dataclasses import replace

import numpy as np
import pytest
from bench_fakes import record

from mtlnas_lab.bench import parquet
from mtlnas_lab.bench.condition import condition
from mtlnas_lab.bench.graph import architecture_of
from mtlnas_lab.bench.records import described
from mtlnas_lab.bench.table import FusionTable, direction
from mtlnas_lab.errors import ConfigError, RunError, SpaceError


def test_a_mean_and_its_spread(table):
    answer = table.query(6, split="test")
    assert (answer.graph, answer.n, answer.seeds) == ("01100000", 3, (0, 1, 2))
    losses = [record(6, seed)["test/trained/segmentation/loss"] for seed in (0, 1, 2)]
    assert answer.mean["segmentation"]["loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    assert answer.spread["segmentation"]["loss"] == pytest.approx(np.std(losses, ddof=1), rel=1e-3)
    total = answer.mean["segmentation"]["loss"] + 20 * answer.mean["normals"]["loss"]
    assert answer.total == pytest.approx(total)
    assert (answer.parameters, answer.operations, answer.seconds) == (5006, 6000, 2.0)


def test_val_is_not_test(table):
    for graph in (0, 77, 255):
        for batch_norm in ("trained", "recalibrated"):
            val = table.query(graph, split="val", batch_norm=batch_norm).mean
            test = table.query(graph, split="test", batch_norm=batch_norm).mean
            known = record(graph, 1)
            for found, split in ((val, "val"), (test, "test")):
                right = known[f"{split}/{batch_norm}/normals/loss"]
                assert found["normals"]["loss"] == pytest.approx(right, rel=1e-5)


def test_one_seed_and_one_step(table):
    one = table.query("1" * 8, seed=2)
    assert one.n == 1 and math.isnan(one.spread["normals"]["loss"])
    assert one.mean["normals"]["loss"] == pytest.approx(record(255, 2)["val/trained/normals/loss"])
    early = table.query(255, step=30)
    assert early.mean == {"segmentation": {"loss": pytest.approx(1.7)}, "normals": {"loss": 0.5}}
    assert table.steps == (30, 60)


def test_best_rank_regret_and_percentile(table):
    best = table.best()
    assert best.kept == (False,) * 4 + (True,) * 4, "normals' edges help, segmentation's cost"
    assert table.rank(best) == 1 and table.regret(best) == 0 and table.percentile(best) == 1
    worst = architecture_of(15, table.space)
    assert table.rank(worst) == 256 and table.percentile(worst) == 0
    assert table.regret(worst) == pytest.approx(0.04 + 0.02 + 20 * 0.02, rel=1e-4)
    mean = table.values()[list(table.graphs)].mean()
    assert table.regret(worst, against="random") == pytest.approx(table.values()[15] - mean)


def test_among_graphs_with_as_many_edges(table):
    four = [graph for graph in range(256) if graph.bit_count() == 4]
    values = table.values()
    assert table.percentile(240, same_edges=True) == 1.0
    wanted = values[240] - values[four].mean()
    assert table.regret(240, against="random_same_edges") == pytest.approx(wanted)
    assert table.best(edges=4).kept == architecture_of(240, table.space).kept
    assert table.percentile(0, same_edges=True) == 0.5, "there is no other graph without edges"


def test_more_is_better_where_it_is(table):
    assert direction("segmentation/miou") == 1 and direction("normals/loss") == -1
    best = table.best("segmentation/miou")
    assert len(best) == 0, "of equals the one with fewest edges"
    assert table.rank(15, "segmentation/miou") > 200
    assert table.rank(240, "segmentation/miou") == 1, "equals share the better rank"


def test_the_front_by_brute_force(table):
    first = table.values("segmentation/loss")
    second = table.values("normals/loss")
    front = []
    for graph in range(256):
        beaten = (first <= first[graph]) & (second <= second[graph])
        beaten &= (first < first[graph]) | (second < second[graph])
        if not beaten.any():
            front.append(graph)
    assert sorted(table.pareto()) == front and front == [240]


def test_neighbours(table):
    assert table.neighbours("00000000") == (1, 2, 4, 8, 16, 32, 64, 128)


def test_the_frame_is_a_copy(table):
    frame = table.frame()
    frame["graph"] = -1
    assert set(table.frame()["graph"]) == set(range(256)) and len(frame) == 768


def test_values_by_seed(table):
    wide = table.by_seed("normals/loss", "val")
    assert wide.shape == (256, 3)
    assert wide[200, 1] == pytest.approx(record(200, 1)["val/trained/normals/loss"])
    one = table.values("normals/loss", "val", seed=1)
    assert np.array_equal(one, wide[:, 1])
    assert table.noise_floor("normals/loss").seeds == 3


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda t: t.query(3, split="train"), "split = 'train' is none of the choices val, test"),
        (lambda t: t.query(3, batch_norm="none"), "none of the choices trained, recalibrated"),
        (lambda t: t.query(3, step=31), "measured at 30, 60"),
        (lambda t: t.query(3, split="test", step=30), "give split='val'"),
        (lambda t: t.query(3, step=30, batch_norm="recalibrated"), "give batch_norm='trained'"),
        (lambda t: t.query(3, step=30.5), "step = 30.5 is too small, too large or not a whole"),
        (lambda t: t.query(3, seed=True), "seed = True is too small, too large or not a whole"),
        (lambda t: t.values(seed=[0]), "seed = .0. is too small, too large or not a whole"),
        (lambda t: t.values(5), "by = 5: give total or"),
        (lambda t: t.values("loss"), "choose total or one of segmentation/loss"),
        (lambda t: t.values(seed=9), "seeds 0, 1, 2"),
        (lambda t: t.regret(3, against="me"), "none of the choices best, random"),
        (lambda t: t.best(edges=9), "there are 0 to 8"),
    ],
)
def test_what_cannot_be_asked(table, ask, said):
    with pytest.raises(ConfigError, match=said):
        ask(table)


def test_a_graph_of_another_space(table):
    with pytest.raises(SpaceError):
        table.query("0110")


def test_a_missing_record_says_which_call_makes_it(table):
    with pytest.raises(
        RunError, match=r"make\(condition\('segmentation-normals'\).*graphs=\[3\], seeds=\[7\]"
    ):
        table.query(3, seed=7)


def test_a_seed_that_some_graphs_lack_goes_into_no_mean(records, tmp_path):
    more = [*records, record(5, 9) | {"test/trained/normals/loss": 99.0}]
    parquet.write(tmp_path, more, [], described(condition("segmentation-normals")))
    table = FusionTable.open(tmp_path)
    assert table.seeds == (0, 1, 2) and table.query(5, split="test").n == 3
    assert table.query(5, seed=9, split="test").mean["normals"]["loss"] == 99.0
    assert table.values("normals/loss").max() < 1


def test_an_unfinished_table_knows_what_it_lacks(records, tmp_path):
    few = [each for each in records if each["graph"] < 10]
    parquet.write(tmp_path, few, [], described(condition("segmentation-normals")))
    table = FusionTable.open(tmp_path)
    assert not table.complete and len(table.graphs) == 10
    assert np.isnan(table.values()[10:]).all()
    with pytest.raises(RunError, match="graph 200"):
        table.rank(200)
    assert table.rank(table.best()) == 1


def test_numbers_of_numpy_are_numbers(table):
    assert table.query(np.int32(150), seed=np.int64(1)).graph == table.query(150).graph
    assert table.rank(np.uint8(7)) == table.rank(7) and table.query(7, step=30.0).n == 3


def test_graphs_without_a_seed_in_common_are_not_compared(records, tmp_path):
    some = [each for each in records if each["seed"] == 0 and each["graph"] < 100]
    parquet.write(
        tmp_path, [*some, record(255, 7)], [], described(condition("segmentation-normals"))
    )
    table = FusionTable.open(tmp_path)
    for ask in (table.rank, table.percentile, table.regret):
        with pytest.raises(RunError, match="no seed in common.*seed 0 has 100, seed 7 has 1"):
            ask(50)
    for ask in (table.best, table.pareto, table.values):
        with pytest.raises(RunError, match="no seed in common"):
            ask()
    with pytest.raises(RunError, match="graph 50 was trained under seeds 0: ask for one seed"):
        table.query(50)
    assert table.query(50, seed=0).n == 1
    with pytest.raises(RunError, match="is not finished: no seed has all 256 graphs"):
        table.must_have_every_graph()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "has graph 5 under seed 1 twice"),
        ({"graph": 256}, "has a graph 256; there are 0 to 255"),
        ({"seed": 9, "test/trained/normals/loss": float("nan")}, "normals/loss = nan for graph 5"),
    ],
)
def test_records_that_cannot_be(table, changes, said):
    import pandas

    frame = pandas.concat([table.frame(), pandas.DataFrame([record(5, 1) | changes])])
    with pytest.raises(RunError, match=said):
        FusionTable(table.condition, frame, table.about)


def test_a_table_of_another_condition_of_that_name_is_refused(records, tmp_path):
    other = replace(condition("blind"), visibility={"segmentation": 0.9})
    parquet.write(tmp_path, records, [], described(other))
    with pytest.raises(RunError, match="condition blind that has other settings"):
        FusionTable.open(tmp_path)


# --- its files --------------------------------------------------------------------------------------------------------
def test_a_damaged_file_is_refused(folder, tmp_path):
    for name in (parquet.FILE, parquet.ABOUT):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    data = bytearray((tmp_path / parquet.FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / parquet.FILE).write_bytes(data)
    with pytest.raises(RunError, match="checksum"):
        FusionTable.open(tmp_path)


def test_another_schema_is_refused(records, tmp_path):
    about = described(condition("segmentation-normals")) | {"schema": 0}
    parquet.write(tmp_path, records[:3], [], about)
    with pytest.raises(RunError, match="schema 0"):
        FusionTable.open(tmp_path)


def test_the_same_records_make_the_same_bytes(folder, records, tmp_path):
    parquet.write(tmp_path, records[::-1], [], described(condition("segmentation-normals")))
    assert (tmp_path / parquet.FILE).read_bytes() == (folder / parquet.FILE).read_bytes()


@pytest.mark.parametrize("name", ["nothing", "/nowhere/at/all"])
def test_a_table_that_is_not_there(name):
    with pytest.raises(ConfigError, match="there is no table"):
        FusionTable.open(name)


def test_a_name_that_is_none():
    with pytest.raises(ConfigError, match="5 is no table's name and no folder"):
        FusionTable.open(5)


def test_an_empty_folder(tmp_path):
    with pytest.raises(RunError):
        FusionTable.open(tmp_path)
