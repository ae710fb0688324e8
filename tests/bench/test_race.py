"""The race: what is kept, what is judged, and the numbers that are made of it."""

import numpy as np
import pandas
import pytest
from race_fakes import GRAPHS, TRAINED, rough, rugged  # noqa: F401

from mtlnas_lab.analysis.statistics import difference, half_interval, holm
from mtlnas_lab.bench import race as module
from mtlnas_lab.bench.race import (
    FILE,
    answers_at,
    edge_shares,
    frame,
    names,
    race,
    read_rows,
    summary,
)
from mtlnas_lab.bench.searchers import ON_THE_TABLE
from mtlnas_lab.errors import ConfigError, RunError


@pytest.fixture
def rows(rough, tmp_path):
    return list(race(rough, tmp_path, ON_THE_TABLE, range(6), 1600))


def test_a_race_goes_on_where_it_stopped(rough, tmp_path, monkeypatch):
    ran = []
    run = module.run

    def counted(table, name, searcher, seed, budget):
        ran.append((name, seed))
        return run(table, name, searcher, seed, budget)

    monkeypatch.setattr(module, "run", counted)
    going = race(rough, tmp_path, ON_THE_TABLE, range(2), 1600)
    started = [next(going) for _ in range(8)]
    going.close()
    assert len(ran) == 8 and ran[0][1] == 0 and ran[7][1] == 1, "all searchers under a seed first"
    finished = list(race(rough, tmp_path, ON_THE_TABLE, range(2), 1600))
    assert len(ran) == len(set(ran)) == 12
    assert finished[:8] == started
    assert read_rows(tmp_path) == finished
    list(race(rough, tmp_path, ON_THE_TABLE, range(2), 700))
    assert len(ran) == 24, "another budget is another search"


def test_searches_at_a_time_are_the_same_searches(rough, tmp_path, rows):
    searchers = {"random": ON_THE_TABLE["random"], "evolution": ON_THE_TABLE["evolution"]}
    twice = list(race(rough, tmp_path / "two", searchers, range(3), 1600, jobs=2))
    wanted = [row for row in rows if row["searcher"] in searchers and row["seed"] < 3]
    assert sorted(twice, key=str) == sorted(wanted, key=str)
    with pytest.raises(ConfigError):
        next(race(rough, tmp_path / "none", jobs=0))


def test_a_line_that_was_cut_costs_one_search(rough, tmp_path, rows):
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-20])
    assert read_rows(tmp_path) == rows[:-1]
    assert list(race(rough, tmp_path, ON_THE_TABLE, range(6), 1600)) == rows
    assert read_rows(tmp_path) == rows


def test_a_folder_is_of_one_condition(rough, tmp_path, rows):
    other = type(rough)(replaced(rough.condition), rough.frame(), rough.about)
    with pytest.raises(RunError, match="holds a race in 'small', not in other"):
        list(race(other, tmp_path))
    with pytest.raises(ConfigError, match="'small' cannot be judged by the table other"):
        frame(other, rows)


def replaced(condition):
    from dataclasses import replace

    return replace(condition, name="other")


def test_two_processes_do_not_write_one_race(rough, tmp_path):
    going = race(rough, tmp_path, ON_THE_TABLE, range(2), 1600)
    next(going)
    with pytest.raises(RunError):
        next(race(rough, tmp_path, ON_THE_TABLE, range(2), 1600))
    going.close()


def test_there_is_no_race_in_an_empty_folder(tmp_path):
    with pytest.raises(ConfigError, match="no race in"):
        read_rows(tmp_path)


def test_searchers_by_name():
    assert list(names(["random", "one_shot"])) == ["random", "one_shot"]
    with pytest.raises(ConfigError, match="no searcher 'gradient'; choose of guess"):
        names(["gradient"])


def test_your_own_search_enters_the_race(rough, tmp_path):
    def first_and_last(problem):
        yield "0000"
        problem.train("1111")
        yield [True] * 4

    found = list(race(rough, tmp_path, {"mine": first_and_last}, [0], 1000))
    assert found[0]["graph"] == [0, GRAPHS - 1]
    assert found[0]["spent"] == pytest.approx([0, TRAINED])


def test_a_frame_says_what_the_table_knows(rough, rows):
    curves = frame(rough, rows)
    assert list(curves) == [
        "searcher",
        "seed",
        "budget",
        "spent",
        "graph",
        "regret",
        "percentile",
        "percentile_same_edges",
        "edges",
    ]
    assert len(curves) == sum(len(row["graph"]) for row in rows)
    truth = rugged(1).mean(1)
    for line in curves.itertuples():
        assert line.regret == pytest.approx(truth[line.graph] - truth.min(), abs=1e-6)
        others = np.delete(truth, line.graph)
        assert line.percentile == pytest.approx((others > truth[line.graph]).mean())
        assert line.edges == line.graph.bit_count()
        alike = [g for g in range(GRAPHS) if g.bit_count() == line.edges and g != line.graph]
        beaten = np.mean(truth[alike] > truth[line.graph]) if alike else 0.5
        assert line.percentile_same_edges == pytest.approx(beaten)


def test_an_empty_race_is_an_empty_frame(rough):
    assert len(frame(rough, [])) == 0
    with pytest.raises(ConfigError, match="budgets"):
        summary(frame(rough, []))


def curve(searcher, seed, answers, budget=100.0):
    lines = []
    for spent, regret in answers:
        line = {"searcher": searcher, "seed": seed, "budget": budget, "spent": spent, "graph": 3}
        lines.append(line | {"regret": regret, "percentile": 0.5, "percentile_same_edges": 0.5})
    return pandas.DataFrame(lines).assign(edges=2)


REGRETS = {"random": [0.5, 0.7, 0.4, 0.9], "good": [0.1, 0.2, 0.3, 0.1], "bad": [1.5, 1.9, 1.2, 2]}


@pytest.fixture
def made():
    parts = []
    for name, regrets in REGRETS.items():
        for seed, regret in enumerate(regrets):
            answers = [(10.0, regret + 1), (60.0, regret), (80.0, regret)]
            parts.append(curve(name, seed, answers))
    return pandas.concat(parts, ignore_index=True)


def test_answers_at_a_cost(made):
    assert len(answers_at(made, 9.9)) == 0
    early = answers_at(made, 59)
    assert early.groupby("searcher")["regret"].mean()["good"] == pytest.approx(1.175)
    assert answers_at(made, 60)["spent"].unique().tolist() == [60]
    assert len(answers_at(made, 1000)) == 12


def test_a_summary_is_of_the_statistics_of_studies(made):
    table = summary(made)
    assert table.index.tolist() == ["random", "good", "bad"]
    pairs = {}
    for name, regrets in REGRETS.items():
        line = table.loc[name]
        half = half_interval(regrets)
        assert line["regret"] == pytest.approx(np.mean(regrets))
        assert (line["high"] - line["low"]) / 2 == pytest.approx(half)
        assert (line["seeds"], line["cost"], line["edges"]) == (4, 80, 2)
        if name == "random":
            assert line[["better", "better_low", "better_high", "p", "p_holm"]].isna().all()
            continue
        pairs[name] = difference([-r for r in REGRETS["random"]], [-r for r in regrets])
        assert line["better"] == pytest.approx(np.mean(REGRETS["random"]) - np.mean(regrets))
        assert (line["better_low"], line["better_high"]) == pytest.approx(pairs[name].interval)
        assert line["p"] == pytest.approx(pairs[name].p)
    assert table.loc["good", "better"] > 0 > table.loc["bad", "better"]
    assert table["p_holm"][1:].tolist() == pytest.approx(holm([pairs[n].p for n in pairs]))


def test_a_summary_at_an_earlier_cost(made):
    late = curve("late", 0, [(70.0, 0.0)])
    both = pandas.concat([made, late], ignore_index=True)
    early = summary(both, cost=20)
    assert "late" not in early.index, "it had no answer then"
    assert early.loc["good", "regret"] == pytest.approx(1.175)
    assert early.loc["good", "cost"] == 20
    assert "late" in summary(both).index


def test_a_summary_is_of_one_budget(made):
    other = curve("random", 0, [(1.0, 0.0)], budget=200.0)
    with pytest.raises(ConfigError, match="100"):
        summary(pandas.concat([made, other], ignore_index=True))


def test_one_seed_has_no_interval(made):
    table = summary(made[made["seed"] == 0])
    assert np.isnan(table.loc["good", ["low", "high", "p"]].tolist()).all()


def test_a_misspelt_reference_is_refused(made):
    with pytest.raises(ConfigError, match="reference = 'rnadom' is none of the choices"):
        summary(made, reference="rnadom")


def test_where_searches_land(rough):
    one, other = curve("a", 0, [(10.0, 1.0), (60.0, 0.0)]), curve("a", 1, [(60.0, 0.0)])
    one["graph"] = [0b0001, 0b0111]
    other["graph"] = [0b0101]
    curves = pandas.concat([one, other, curve("b", 0, [(1.0, 0.0)])], ignore_index=True)
    shares = edge_shares(rough, curves)
    assert shares.columns.tolist() == [str(edge) for edge in rough.space.edges]
    assert shares.loc["a"].tolist() == [1, 0.5, 1, 0] and shares.loc["b"].tolist() == [1, 1, 0, 0]
    assert edge_shares(rough, curves, cost=20).loc["a"].tolist() == [1, 0, 0, 0]


def test_a_whole_race_ranks_what_must_be_ranked(rough, rows):
    table = summary(frame(rough, rows))
    assert table.loc["all_edges", "regret"] == pytest.approx(rough.regret(GRAPHS - 1))
    assert table.loc["no_edges", "cost"] == 0
    assert table.loc["random", "cost"] == pytest.approx(5 * TRAINED)
    assert (table["regret"] >= 0).all() and (table["seeds"] == 6).all()
