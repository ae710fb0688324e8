"""The results of explorations that are shipped: their tables still say what their reports say."""

import itertools
import json

import numpy as np
import pytest
from scipy.stats import kendalltau

from mtlnas_lab.analysis.study import FOLDER
from mtlnas_lab.bench.landscape import landscape
from mtlnas_lab.bench.table import FusionTable, shipped
from mtlnas_lab.explore import everything
from mtlnas_lab.explore.claim import HELD
from mtlnas_lab.explore.planted_edges import useful_edges
from mtlnas_lab.explore.report import sentences, write
from mtlnas_lab.explore.study import Exploration, Findings, explores

ALL = sorted(path.name.removesuffix("-small") for path in FOLDER.glob("*-small"))
SHIPPED = [name for name in ALL if explores(name)]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_tables_say_what_the_report_says(name):
    found = Findings.shipped(name)
    report = (FOLDER / f"{name}-small" / "report.md").read_text(encoding="utf-8")
    assert [line for line in sentences(found) if f"- {line}\n" not in report] == []
    ran = set(map(tuple, found.frame[["arm", "seed"]].itertuples(index=False)))
    assert ran == {(arm, seed) for arm in found.study.arms for seed in found.study.seeds}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_report_is_written_of_the_tables(name, tmp_path):
    paths = write(Findings.shipped(name), tmp_path)
    assert all(path.stat().st_size for path in paths)
    assert "<svg" in paths[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_study_names_a_control(name):
    assert any(claim.control for claim in Findings.shipped(name).study.claims)


def test_findings_say_what_the_planted_edges_say():
    found = Findings.shipped("planted-edges")
    recall = found.values("recall").sum(axis=1).round().astype(int)
    rivals = found.values("rivals").mean(axis=1).round(2)
    assert recall["mtlnas_ramp, bit"] == 10 and rivals["mtlnas_ramp, bit"] == 0.93
    assert recall["mtlnas_l1, bit"] == 8 and rivals["mtlnas_l1, bit"] == 0
    assert recall["mtlnas_l1, bit-0"] == 0 and rivals["mtlnas_l1, bit-0"] == 0
    lead = found.values("lead").mean(axis=1).round(2)
    assert (lead["one_shot, bit"], lead["perturbation, bit"]) == (0.33, 0.23)
    outcomes = {v.claim.arm: v.outcome for v in found.verdicts if v.claim.better == "more"}
    assert outcomes["mtlnas_l1, bit"] == HELD


def test_findings_say_what_the_explorations_say():
    aux = Findings.shipped("aux-nas")
    better = [
        v
        for v in aux.verdicts
        if v.claim.quantity == "primary_score" and v.claim.arm.startswith("aux_nas")
    ]
    assert len(better) == 8 and HELD not in {v.outcome for v in better}
    change = aux.values("max_difference")
    with_l1 = change.drop(index="aux_nas without L1")
    assert with_l1.max(axis=None) <= 1.05e-4 and change.loc["aux_nas without L1"].min() > 7

    front = Findings.shipped("ofa2-search").verdicts
    outcomes = {
        v.claim.against: v.outcome for v in front if v.claim.quantity == "hypervolume_ratio"
    }
    assert outcomes["weighted"] == HELD
    assert outcomes["random"] == HELD

    eas = Findings.shipped("eas")
    assert eas.values("time_ratio").min(axis=None) > 1000
    outcomes = {v.claim.says: v.outcome for v in eas.verdicts}
    assert (
        outcomes[
            "Its graphs are as good as those of a fresh search at equal cost, to 1 % of the loss"
        ]
        == HELD
    )

    distance = Findings.shipped("task-distance")
    outcomes = {(v.claim.arm, v.claim.against): v.outcome for v in distance.verdicts}
    assert outcomes[("same task", "another task")] == HELD
    assert outcomes[("same task, other start", "another task")] != HELD
    assert outcomes[("edges", 0.0)] == "could not tell"


def test_findings_say_what_the_other_explorations_say():
    msinet = Findings.shipped("msinet")
    outcomes = [v.outcome for v in msinet.verdicts if v.difference is not None]
    assert outcomes == ["could not tell"] * 6

    warm = Findings.shipped("warm-start")
    assert [v.outcome for v in warm.verdicts].count("could not tell") == 6
    assert warm.verdicts[2].outcome == HELD and rounded(warm.verdicts[2]) == [-0.02, -0.045, 0.005]
    turned = warm.values("turned").mean(axis=1)
    assert turned["nearest"] == 0 and turned["cold"] > 6

    pairs = Findings.shipped("arch-graph").values("kendall").mean(axis=1).round(2)
    assert (pairs["pairs, transfer, 16"], pairs["scores, transfer, 16"]) == (0.62, 0.60)
    assert pairs["pairs, 16"] == 0.39

    adapt = Findings.shipped("at-nas")
    outcomes = {(v.claim.arm, v.claim.against): v for v in adapt.verdicts}
    trained = outcomes["joint, all edges", "fresh, all edges"]
    assert trained.outcome == HELD and round(trained.mean, 2) == -0.09
    assert round(outcomes["interaction", 0.0].mean, 3) == 0.001


def test_findings_say_what_everything_says():
    frame = everything.frame_of(Findings.shipped("everything"))
    most = frame[frame["budget"] == 1500]
    means = most.groupby("method")["regret"].mean().round(3).to_dict()
    assert len(means) == 16
    said = {"random": 0.054, "ofa2": 0.057, "mtlnas_warm_up": 0.065, "guess": 0.281}
    said["all_edges"] = 0.047
    assert {name: means[name] for name in said} == said
    assert means["evolution"] == means["random"], "with four looks it is the same search"
    searches = set(means) - {"all_edges", "no_edges", "guess", "evolution"}
    assert sorted(searches, key=means.get)[:2] == ["random", "ofa2"]
    few = frame[frame["budget"] == 600].groupby("method")["regret"].mean().round(3)
    others = few[few < few["random"]].drop(["all_edges", "mtlnas_ramp"])
    assert (few["random"], few["mtlnas_ramp"]) == (0.217, 0.049)
    assert (len(others), others.min(), others.max()) == (8, 0.064, 0.136)

    by_table = most.groupby(["method", "where"])["regret"].mean().unstack()
    chosen_on = by_table[["segmentation-normals", "segmentation-normals-few"]].mean(axis=1)
    assert chosen_on[["warm_start", "ofa2"]].round(3).tolist() == [0.081, 0.084]

    half, same_edges, random, all_edges = Findings.shipped("held-out").verdicts
    assert [half.outcome, random.outcome] == [HELD, HELD]
    low, high = half.interval
    assert [round(100 * (0.5 + one)) for one in (low, half.mean, high)] == [9, 13, 18]
    assert round(-random.mean, 3) == 0.018 and same_edges.outcome == "could not tell"
    assert all_edges.outcome == "did not hold" and round(all_edges.mean, 3) == 0.016


def test_an_order_is_learnt_from_other_tables_where_none_was_looked_at():
    study = Exploration.load("arch-graph", "held_out")
    found = Findings.read(study, FOLDER / "arch-graph-held_out")
    outcomes = {(v.claim.quantity, v.claim.arm, v.claim.against): v.outcome for v in found.verdicts}
    learnt = "pairs, transfer, 16"
    assert outcomes["kendall", learnt, "pairs, 16"] == HELD
    assert outcomes["kendall", learnt, "scores, transfer, 16"] == HELD
    means = {(v.claim.quantity, v.claim.arm, v.claim.against): v.mean for v in found.verdicts}
    assert round(means["kendall", learnt, "pairs, 16"], 2) == 0.22
    assert round(means["kendall", learnt, "scores, transfer, 16"], 3) == 0.016
    assert round(means["kendall", "pairs, transfer, embedding, 16", learnt], 3) == 0.022
    assert outcomes["regret", learnt, "random, 16"] == "could not tell"


def rounded(verdict):
    """A verdict's mean difference and its interval, as findings print them."""
    return [round(one, 3) for one in (verdict.mean, *verdict.interval)]


RANKS = {  # of all edges open, by total loss
    "segmentation-normals": 19,
    "segmentation-normals-residual": 1,
    "depth-normals": 4,
    "segmentation-normals-few": 40,
    "depth-normals-few": 6,
    "blind": 58,
    "noise-partner": 2,
    "bit": 1,
}


BOTH_SEE = (
    "segmentation-normals",
    "segmentation-normals-residual",
    "depth-normals",
    "segmentation-normals-few",
    "depth-normals-few",
)


def test_findings_say_what_the_tables_say():
    text = (FOLDER.parents[1] / "docs" / "findings.md").read_text(encoding="utf-8")
    assert set(RANKS) == set(shipped())
    shares = []
    for name, rank in RANKS.items():
        table = FusionTable.open(name)
        total = table.values("total")
        floor = table.noise_floor("total")
        said = f"| {len(table.seeds)} | {floor.reliability:.2f} | {total[0]:.2f} | {total[255]:.2f} ({rank}) "
        said += (
            f"| {total.min():.2f} | {total.mean():.2f} ± {total.std():.2f} | {floor.smallest:.3f} |"
        )
        assert table.rank(255) == rank and said in text
        assert table.complete, "every planned seed is there"
        assert table.regret(255) < floor.smallest, "all edges cannot be told from the best"
        shares.append((total - total.min() < floor.smallest).mean())
    assert round(min(shares), 2) == 0.15 and round(max(shares), 2) == 0.50


def test_findings_say_what_the_negative_control_says():
    kept = json.loads((FOLDER.parent / "bench" / "pilots.json").read_text())["bit-0"]
    coins = np.array(kept["scores"]["room/loss"])
    assert coins.size == 128 and [coins.min().round(2), coins.max().round(2)] == [0.69, 0.70]


def test_findings_say_what_single_edges_do():
    shares = []
    for name in BOTH_SEE:
        table = FusionTable.open(name)
        total = table.values("total")
        brought = [(total[0] - total[1 << i]) / (total[0] - total[255]) for i in range(8)]
        assert int(np.argmax(brought)) == 7 and str(table.space.edges[7]).endswith("normals:2")
        shares.append(max(brought))
    assert (round(min(shares), 2), round(max(shares), 2)) == (0.55, 0.92)
    nddr = landscape(FusionTable.open("segmentation-normals"))
    harmful = nddr.effects[5]
    assert harmful.edge == "segmentation:0 -> normals:1" and round(harmful.effect, 3) == 0.019
    assert min(harmful.by_seed) > 0 and round(nddr.adding_helps, 2) == 0.69
    residual = landscape(FusionTable.open("segmentation-normals-residual"))
    assert residual.optima == (255,) and round(residual.adding_helps, 2) == 0.95
    assert all(effect.effect < 0 for effect in residual.effects)


def test_findings_say_how_alike_the_orders_are():
    totals = [FusionTable.open(name).values() for name in BOTH_SEE]
    taus = [kendalltau(a, b).statistic for a, b in itertools.combinations(totals, 2)]
    assert (round(min(taus), 2), round(max(taus), 2)) == (0.52, 0.76)


def test_findings_say_what_the_blindfolded_table_says():
    table = FusionTable.open("blind")
    way_in = [edge.target.task == "segmentation" for edge in table.space.edges]
    own = "segmentation/loss"
    assert table.rank(way_in, own) == 3 and table.percentile(way_in, own, same_edges=True) == 1
    assert table.rank(way_in) == 195
    out = 15 << 4  # all four edges out of the blindfolded network
    assert [str(edge) for edge in table.architecture(out).edges][0].startswith("segmentation")
    graphs = np.array(table.graphs)
    for name, digits, said in ((own, 2, [1.53, 1.60]), ("normals/loss", 3, [0.281, 0.272])):
        values = table.values(name)
        none, all_four = values[(graphs & out) == 0], values[(graphs & out) == out]
        assert [round(float(some.mean()), digits) for some in (none, all_four)] == said
    effects = landscape(table, "normals/loss").effects[4:]
    assert [min(effect.by_seed) > 0 for effect in effects] == [True, True, False, False]
    assert [max(effect.by_seed) < 0 for effect in effects] == [False, False, True, True]


def test_findings_say_what_the_table_of_a_noise_partner_says():
    table = FusionTable.open("noise-partner")
    useful = sum(1 << i for i, one in enumerate(useful_edges(table.condition)) if one)
    loss, graphs = table.values("segmentation/loss"), np.array(table.graphs)
    without = (graphs & useful) == 0
    said = [loss[without].min(), loss[without].max(), loss[~without].min(), loss[~without].max()]
    assert without.sum() == 16 and np.round(said, 2).tolist() == [1.39, 1.44, 1.02, 1.12]
    mean = [loss[np.bitwise_count(graphs & useful) == edges].mean() for edges in range(5)]
    assert [round(mean[0] - mean[1], 2), round(mean[1] - mean[4], 2)] == [0.33, 0.06]
    noise = np.bitwise_count(graphs & ~useful & 255)
    assert round(loss[noise == 0].mean() - loss[noise == 4].mean(), 3) == 0.006


def test_findings_say_what_the_second_held_out_table_says():
    half, same_edges, random, all_edges = Findings.shipped("held-out-few").verdicts
    assert [half.outcome, same_edges.outcome] == [HELD, HELD]
    low, high = half.interval
    assert [round(100 * (0.5 + one)) for one in (low, half.mean, high)] == [16, 23, 30]
    assert rounded(same_edges) == [0.035, 0.012, 0.058]
    assert random.outcome == "could not tell" and round(-random.mean, 3) == 0.021
    assert all_edges.outcome == "did not hold" and round(all_edges.mean, 3) == 0.025


def test_findings_say_what_searches_find_where_the_truth_was_planted():
    found = Findings.shipped("race-planted")
    outcomes = {}
    for verdict in found.verdicts:
        key = (verdict.claim.arm.removesuffix(", 1500"), verdict.claim.quantity)
        outcomes.setdefault(key, []).append((verdict.outcome, rounded(verdict)))
    assert outcomes["mtlnas_ramp, blind", "lead"] == [(HELD, [0.114, 0.113, 0.116])]
    assert outcomes["mtlnas_ramp, blind", "segmentation_lead"] == [(HELD, [0.034, 0.031, 0.037])]
    assert outcomes["mtlnas_l1, blind", "lead"] == [(HELD, [0.105, 0.079, 0.132])]
    assert outcomes["mtlnas, blind", "lead"] == [("could not tell", [0.017, -0.046, 0.080])]
    random, all_edges = outcomes["mtlnas_ramp, blind", "regret"]
    assert random == ("could not tell", [-0.031, -0.065, 0.002])
    assert all_edges == (HELD, [-0.038, -0.047, -0.029])
    assert outcomes["mtlnas_ramp, bit", "lead"][0][0] == HELD
    assert outcomes["mtlnas_ramp, bit", "room_lead"] == [(HELD, [0.282, 0.253, 0.312])]
    assert outcomes["mtlnas_l1, bit", "room_lead"] == [("could not tell", [0.240, 0.018, 0.462])]
    room_leads = found.values("room_lead").loc["mtlnas_l1, bit, 1500"]
    assert (room_leads > 0).sum() == 5, "the planted edge is open"
    assert outcomes["mtlnas_l1, bit", "lead"][0][0] == HELD
    assert outcomes["mtlnas_l1, bit", "regret"] == [("did not hold", [1.245, 0.206, 2.285])]

    table = FusionTable.open("blind")
    graph = 15 | 1 << 7  # the four edges into the blindfolded network, and one out of it
    assert table.rank(graph) == 9 and table.noise_floor().smallest == pytest.approx(0.095, abs=5e-4)
    regrets = found.values("regret").loc["mtlnas_ramp, blind, 1500"]
    assert sum(regret == pytest.approx(table.regret(graph)) for regret in regrets) == 7
    assert table.rank(graph, "segmentation/loss") == 65
    found_by = {
        name: _graphs(found, f"{name}, blind, 1500", table) for name in ("mtlnas_ramp", "mtlnas_l1")
    }
    assert all(one >> 7 & 1 for one in found_by["mtlnas_ramp"])
    assert sum(one & 15 == 15 for one in found_by["mtlnas_ramp"]) == 9
    assert found_by["mtlnas_l1"].count(1 << 7) == 9
    assert table.rank(1 << 7, "segmentation/loss") == 252


def test_findings_say_which_partner_the_search_opens():
    found = Findings.shipped("race-partner")
    here = ", noise-partner, 1500"
    shares = {}
    for method in ("mtlnas_ramp", "perturbation", "one_shot", "mtlnas", "mtlnas_l1"):
        own = [found.values(which).loc[method + here].mean() for which in ("useful", "rivals")]
        shares[method] = [round(100 * share) for share in own]
    assert shares["mtlnas_ramp"] == [100, 45] and shares["perturbation"] == [100, 65]
    assert shares["one_shot"] == [95, 65] and shares["mtlnas"] == [55, 50]
    assert shares["mtlnas_l1"] == [0, 0]
    assert found.values("regret").loc["mtlnas_l1" + here].mean().round(3) == 0.427
    said = {
        (v.claim.arm.removesuffix(here), v.claim.quantity): (v.outcome, v) for v in found.verdicts
    }
    preferences = {"mtlnas_ramp": [0.55, 0.475, 0.625], "perturbation": [0.35, 0.177, 0.523]}
    preferences["one_shot"] = [0.3, 0.159, 0.441]
    for method, numbers in preferences.items():
        outcome, verdict = said[method, "preference"]
        assert outcome == HELD and rounded(verdict) == numbers
    outcome, verdict = said["mtlnas", "preference"]
    assert outcome == "could not tell" and rounded(verdict) == [0.05, -0.252, 0.352]
    leads = [round(said[method, "lead"][1].mean, 3) for method in ("mtlnas_ramp", "perturbation")]
    assert leads == [0.013, 0.007] and said["perturbation", "lead"][0] == HELD
    over_random = {}
    for verdict in found.verdicts:
        if verdict.claim.against == "random" + here:
            assert verdict.outcome == HELD
            over_random[verdict.claim.arm.removesuffix(here)] = round(-verdict.mean, 3)
    assert over_random == {"mtlnas_ramp": 0.007, "perturbation": 0.008, "ofa2": 0.009}
    behind = found.verdicts[-1]
    assert behind.claim.against == "all_edges" + here and round(behind.mean, 3) == 0.004


def _graphs(found, arm, table):
    """The graph that each search of an arm answered, by its numbers."""
    regrets, edges = found.values("regret").loc[arm], found.values("edges").loc[arm]
    graphs = []
    for regret, count in zip(regrets, edges):
        like = [graph for graph in table.graphs if graph.bit_count() == count]
        (one,) = [graph for graph in like if table.regret(graph) == pytest.approx(regret)]
        graphs.append(one)
    return graphs


@pytest.mark.parametrize(
    ("name", "ahead", "fusion"),
    [
        ("lab-size", [0.001, -0.014, 0.015], [-0.065, -0.084, -0.046]),
        ("lab-size_nyu", [0.017, -0.001, 0.036], [-0.132, -0.167, -0.098]),
    ],
)
def test_findings_say_what_was_found_at_lab_size(name, ahead, fusion):
    verdicts = {(v.claim.arm, v.claim.against): v for v in Findings.shipped(name).verdicts}
    chance, alone = verdicts["chosen", 0], verdicts["chosen", "single-task"]
    assert rounded(chance) == ahead and rounded(alone) == fusion
    assert (chance.outcome, alone.outcome) == ("could not tell", HELD)
    assert verdicts["chosen", "all edges"].outcome == "could not tell"


def test_findings_say_what_few_labels_do():
    few = FusionTable.open("segmentation-normals-few")
    assert few.regret(255) < few.noise_floor().smallest
    cost = {task: few.values(f"{task}/loss") for task in few.tasks}
    assert round(float(cost["segmentation"][255] - cost["segmentation"][0]), 3) == 0.218
    assert round(float(cost["normals"][0] - cost["normals"][255]), 3) == 0.043
    depth = FusionTable.open("depth-normals-few")
    for task in depth.tasks:
        losses = depth.values(f"{task}/loss")
        assert losses[255] < losses[0]


def test_findings_say_what_the_race_says():
    found = Findings.shipped("race")
    here = ", segmentation-normals"
    edges = found.values("edges").loc["mtlnas_l1" + here]
    beats = found.values("beats").loc["mtlnas_l1" + here]
    assert len(edges) == 20 and set(edges) == {1} and set(beats) == {1}
    regret = found.values("regret").mean(axis=1).round(3)
    said = {"random": 0.049, "mtlnas_l1": 0.122, "mtlnas": 0.168, "all_edges": 0.035}
    assert {name: regret[name + here] for name in said} == said
    near = [
        regret[name + here]
        for name in ("mtlnas_warm_up", "mtlnas_ramp", "perturbation", "one_shot")
    ]
    assert (min(near), max(near)) == (0.036, 0.042)
    assert FusionTable.open(here[2:]).noise_floor().smallest == pytest.approx(0.106, abs=5e-4)
    lead = found.values("lead").mean(axis=1).round(3)
    said = {"one_shot": 0.085, "perturbation": 0.037, "mtlnas_ramp": 0.032, "mtlnas_l1": 0.337}
    said |= {"mtlnas": 0.064, "mtlnas_warm_up": 0.004}
    assert {name: lead[name + here] for name in said} == said
    spent = found.values("spent").mean(axis=1).round()
    assert (spent["random" + here], spent["one_shot" + here]) == (1213, 1500)
    held = {
        (v.claim.arm.removesuffix(here), v.claim.quantity)
        for v in found.verdicts
        if v.outcome == HELD
    }
    ahead = ("mtlnas_ramp", "mtlnas_l1", "one_shot", "perturbation")
    assert held == {(name, "lead") for name in ahead}


def test_findings_say_what_the_pairs_say():
    found = Findings.shipped("arch-graph")
    tau = found.values("kendall").mean(axis=1).round(2)
    assert (tau["pairs, 16"], tau["pairs, transfer, 16"]) == (0.39, 0.62)
    assert (tau["scores, 16"], tau["scores, transfer, 16"]) == (0.28, 0.60)
    held = {(v.claim.arm, v.claim.against) for v in found.verdicts if v.outcome == HELD}
    assert ("pairs, transfer, 16", "pairs, 16") in held
    assert not {v.outcome for v in found.verdicts if v.claim.quantity == "regret"} & {HELD}
    assert not any("Copeland" in against for _, against in held)
