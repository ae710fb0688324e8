"""`mtlnas-lab bench` as a user types it: what it says, and one line for each mistake."""

import pytest
from bench_fakes import folder, records, short, trained_pilot  # noqa: F401
from helpers import command

from mtlnas_lab.bench.condition import CONDITIONS


def test_all_conditions_are_listed():
    said = command("bench", "show")
    assert said.returncode == 0
    assert [line.partition(":")[0] for line in said.stdout.splitlines()] == list(CONDITIONS)


def test_help_names_the_commands():
    said = command("bench")
    assert said.returncode == 0 and all(name in said.stdout for name in ("show", "query", "make"))


def test_a_card(folder):
    said = command("bench", "show", folder)
    assert said.returncode == 0
    assert said.stdout.startswith("# NAS-Bench-Fusion: segmentation-normals")
    assert "768 records" in said.stdout and "| total |" in said.stdout


@pytest.mark.parametrize("graph", ["01100000", "6"])
def test_a_graph_is_looked_up(folder, graph):
    said = command("bench", "query", folder, graph)
    assert said.returncode == 0
    assert "graph 01100000 (test, batch norm trained; mean over 3 seeds: 0, 1, 2)" in said.stdout
    assert "normals:0 -> segmentation:1, normals:1 -> segmentation:1" in said.stdout
    assert "rank " in said.stdout and "5006 parameters" in said.stdout


def test_one_seed_and_one_step(folder):
    one = command("bench", "query", folder, "255", "--seed", "1", "--split", "val")
    assert "mean over 1 seeds: 1" in one.stdout and "±" not in one.stdout
    early = command("bench", "query", folder, "255", "--step", "30")
    assert "val, at step 30" in early.stdout and "rank" not in early.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "nothing", "3"], "there is no table 'nothing'"),
        (["query", "{}", "999"], "graph 999 is not there"),
        (["query", "{}", "0102"], "'0102' is not a graph"),
        (["query", "{}", "3", "--split", "train"], "none of the choices val, test"),
        (["query", "{}", "3", "--seed", "7"], "was not trained under seed 7"),
        (["show", "nothing"], "there is no table"),
        (["make", "nothing"], "there is no condition 'nothing'"),
        (["make", "blind", "--seeds", "x"], "seeds = 'x'"),
        (["make", "blind", "--graphs", "300"], "graph 300 is not there"),
        (["make", "blind", "--graphs", "3,"], "graphs = '3,': a part is empty"),
        (["query", "{}", "3", "--step", "30", "--batch-norm", "recalibrated"], "batch_norm="),
        (["make", "blind", "--pilot", "--seeds", "1"], "a pilot has its own graphs and seeds"),
        (["make", "blind", "--jobs", "0"], "jobs = 0"),
        (["check", "{}", "--records", "0"], "records = 0"),
        (["quary"], "bench --help"),
    ],
)
def test_a_mistake_is_one_line(folder, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    told = command("bench", *(str(folder) if part == "{}" else part for part in arguments))
    assert told.returncode == 2 and said in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1, told.stderr


def test_making_some_records(short, tmp_path):
    graphs = "00000000,255"  # of eight digits they are bits, as in `bench query`
    arguments = ("bench", "make", "blind", "--out", tmp_path, "--graphs", graphs, "--seeds", "0")
    said = command(*arguments, "--jobs", "1", "--backend", "sequential")
    assert said.returncode == 0, said.stderr
    assert "2 records; no seed has all 256 graphs yet" in said.stdout
    checked = command("bench", "check", tmp_path, "--records", "1")
    assert "largest relative difference 0" in checked.stdout
    shown = command("bench", "show", tmp_path)
    assert "FusionTable(blind: 2 graphs" in shown.stdout


def test_a_finished_pilot_says_whether_a_table_is_worth_making(tmp_path):
    trained_pilot(tmp_path, CONDITIONS["blind"])
    said = command("bench", "make", "blind", "--pilot", "--out", tmp_path)
    assert said.returncode == 0, said.stderr
    assert "pilot: reliability over 3 seeds total 1.00" in said.stdout and "; enough" in said.stdout
