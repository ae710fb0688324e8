"""Searchers: what each does on a table that is known, what it pays, and that a seed decides everything."""

import numpy as np
import pytest
import torch
from race_fakes import (  # noqa: F401
    EDGES,
    GRAPHS,
    SMALL,
    TRAINED,
    even,
    few_rooms,
    quick,
    rough,
    rugged,
    table_of,
)

from mtlnas_lab.bench.searchers import (
    ON_THE_TABLE,
    SEARCHERS,
    WITH_A_SUPERNET,
    BudgetSpent,
    TableProblem,
    best_so_far,
    mtlnas,
    one_shot,
    perturbation,
    search,
)
from mtlnas_lab.bench.searchers.evolution import _mutated
from mtlnas_lab.bench.searchers.local_search import _climbed
from mtlnas_lab.bench.searchers.supernet import coin_flips, score, steps_of
from mtlnas_lab.bench.training import losses
from mtlnas_lab.core.search import Search
from mtlnas_lab.errors import ConfigError, RunError

ALL = 1e9  # a budget for everything
LOOKING = {"random", "local_search", "evolution"}


def curve(name, table, budget=ALL, seed=0):
    return list(search(SEARCHERS[name], table, budget, seed))


# --- what it costs ----------------------------------------------------------------------------------------------------
def test_a_training_is_paid_once(rough):
    problem = TableProblem(rough, 2 * TRAINED)
    loss = problem.train("1000")
    assert problem.spent == pytest.approx(TRAINED)
    assert problem.train(1) == loss and problem.spent == pytest.approx(TRAINED)
    problem.train(2)
    with pytest.raises(BudgetSpent):
        problem.train(3)
    assert problem.spent == pytest.approx(2 * TRAINED) and list(problem.trained) == [1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_a_search_sees_the_val_loss_of_one_training_seed(rough, seed):
    problem = TableProblem(rough, ALL, seed)
    seen = [problem.train(graph) for graph in range(GRAPHS)]
    assert seen == pytest.approx(rugged(0)[:, seed % 3], rel=1e-6)


@pytest.mark.parametrize("name", sorted(LOOKING))
@pytest.mark.parametrize("trainings", [1, 3, 7])
def test_no_search_spends_more_than_its_budget(rough, name, trainings):
    budget = trainings * TRAINED + 100  # not enough for one more
    for seed in range(5):
        found = curve(name, rough, budget, seed)
        assert found[-1][0] == pytest.approx(trainings * TRAINED)


@pytest.mark.parametrize("name", ["guess", "no_edges", "all_edges"])
def test_what_needs_no_search_costs_nothing(rough, name):
    ((spent, graph),) = curve(name, rough, 0)
    assert spent == 0 and 0 <= graph < GRAPHS
    if name != "guess":
        assert graph == {"no_edges": 0, "all_edges": GRAPHS - 1}[name]


@pytest.mark.parametrize("budget", [-1, "much", None, float("nan")])
def test_a_budget_is_a_number(rough, budget):
    with pytest.raises(ConfigError, match="budget"):
        TableProblem(rough, budget)


def test_a_search_that_cannot_answer_says_so(rough):
    with pytest.raises(ConfigError, match="without an answer after 0 of 10 training steps"):
        curve("random", rough, 10)


def test_a_table_that_is_not_finished_is_no_table_to_search_on():
    values = rugged()
    whole = table_of(values, values)
    half = type(whole)(SMALL, whole.frame().query("graph < 8"), whole.about)
    with pytest.raises(RunError, match="is not trained yet"):
        curve("random", half)
    frame = whole.frame()
    torn = type(whole)(SMALL, frame[(frame["graph"] + frame["seed"]) % 3 > 0], whole.about)
    with pytest.raises(RunError, match="no seed of the table"):
        curve("random", torn)


# --- what it finds ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(LOOKING))
def test_with_all_the_budget_each_finds_the_best_on_val(rough, name):
    for seed in range(6):
        found = curve(name, rough, seed=seed)
        assert found[-1][1] == rugged(0)[:, seed % 3].argmin()
        assert found[-1][0] <= GRAPHS * TRAINED + 1e-6


@pytest.mark.parametrize("name", sorted(ON_THE_TABLE))
def test_an_answer_follows_only_what_was_seen_on_val(rough, name):
    other = table_of(rugged(0), rugged(7))  # another truth on test
    assert curve(name, rough, 2000, 3) == curve(name, other, 2000, 3)


@pytest.mark.parametrize("name", sorted(LOOKING))
def test_an_anytime_curve_only_improves_on_what_was_seen(rough, name):
    found = curve(name, rough, 10 * TRAINED, 1)
    seen = [rugged(0)[graph, 1] for _, graph in found]
    assert seen == sorted(seen, reverse=True)
    spent = [cost for cost, _ in found]
    assert spent == sorted(spent)


def test_random_search_is_the_best_of_the_first_in_a_random_order(rough):
    order = np.random.default_rng(4).permutation(GRAPHS)
    for count in (1, 2, 5, GRAPHS):
        first = order[:count]
        best = first[rugged(0)[first, 4 % 3].argmin()]
        assert curve("random", rough, count * TRAINED, 4)[-1][1] == best


def test_local_search_goes_down_one_flip_at_a_time(even):
    """On an even slope the first climb ends in the best graph, and looks at all its neighbours."""
    for seed in range(8):
        problem = TableProblem(even, ALL, seed)
        here = None
        for graph, loss in _climbed(problem):
            if here is None or loss < problem.trained[here]:
                assert here is None or (graph ^ here).bit_count() == 1
                here = graph
            if here == 0b0110 and set(problem.trained) >= {here ^ (1 << i) for i in range(EDGES)}:
                break
        assert here == 0b0110


def test_evolution_trains_no_graph_twice_and_flips_one_edge(rough):
    problem = TableProblem(rough, ALL)
    problem.train(5)
    for _ in range(20):
        assert (_mutated(problem, 5) ^ 5).bit_count() == 1
    for i in range(EDGES):
        problem.train(5 ^ (1 << i))
    for _ in range(20):  # all neighbours are known: it goes on from one of them
        child = _mutated(problem, 5)
        assert child not in problem.trained


def test_the_best_so_far():
    assert list(best_so_far([(1, 3.0), (2, 3.0), (3, 1.0), (4, 2.0), (5, 0.5)])) == [1, 3, 5]
    assert list(best_so_far([])) == []


# --- a seed decides everything ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(ON_THE_TABLE))
def test_a_seed_draws_the_same_search_again(rough, name):
    curves = [curve(name, rough, 2000, seed) for seed in range(6)]
    assert curves == [curve(name, rough, 2000, seed) for seed in range(6)]
    if name not in ("no_edges", "all_edges"):
        assert len({str(one) for one in curves}) > 3


@pytest.mark.parametrize("name", sorted(WITH_A_SUPERNET))
def test_a_supernet_searches_alike_under_one_seed_and_never_asks_the_table(
    rough, quick, name, monkeypatch
):
    def refuse(self, graph):
        raise AssertionError("the table was asked")

    monkeypatch.setattr(TableProblem, "train", refuse)
    monkeypatch.setattr(perturbation_module(), "DRAWS", 1)
    found = curve(name, rough, 24, 1)
    state = torch.random.get_rng_state()
    assert found == curve(name, rough, 24, 1)
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator was touched"
    assert 20 <= found[-1][0] <= 24 and 0 <= found[-1][1] < GRAPHS


def perturbation_module():
    import sys

    return sys.modules[perturbation.__module__]


# --- with a supernet --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name, spent", [("mtlnas", 20), ("mtlnas_ramp", 20), ("mtlnas_l1", 20)])
def test_a_step_of_mtlnas_costs_two(rough, quick, name, spent):
    assert curve(name, rough, 21)[-1][0] == spent


def test_a_step_of_the_warm_up_costs_one(rough, quick):
    problem = TableProblem(rough, 25)  # 15 steps: 5 of them warm up
    costs = []
    for found in mtlnas.warmed_up(problem):
        costs.append(problem.spent)
        if problem.spent <= 5:
            assert found.alpha == (0.0,) * EDGES
    assert costs == [1, 2, 3, 4, 5, *range(7, 26, 2)]


def test_mtlnas_is_the_search_of_the_lab(rough, quick):
    """No second training loop: the same settings in a Search find the same α."""
    problem = TableProblem(rough, 12, seed=3)
    *_, found = mtlnas.mtlnas(problem, entropy_weight=2.0)
    lab = SMALL.lab(3)
    config = SMALL.config(3)
    settings = {"steps": 6, "alpha_lr": 0.02, "entropy_weight": 2.0}
    for _ in Search(lab, type(config).from_json(config.to_json() | settings)):
        pass
    assert found.alpha == tuple(lab.alphas.alpha.tolist())


def test_one_shot_answers_the_graph_that_the_supernet_scores_best(rough, quick, monkeypatch):
    truth = rugged(3)[:, 0]
    module = one_shot_module()

    def scored(problem, lab, graph):
        problem.pay(1)
        return truth[graph]

    monkeypatch.setattr(module, "score", scored)
    assert curve("one_shot", rough, 24)[-1] == (24, truth.argmin())  # 8 steps, 16 graphs
    found = curve("one_shot", rough, 12)
    order = np.random.default_rng(0).permutation(GRAPHS)[:8]
    assert found[-1] == (12, order[truth[order].argmin()])


def one_shot_module():
    import sys

    return sys.modules[one_shot.__module__]


def test_perturbation_keeps_what_the_supernet_would_miss(rough, quick, monkeypatch):
    """Edges that add up: each is judged by its own part, whatever the others are."""
    worth = np.array([0.3, -0.2, -0.1, 0.4])
    looks = []

    def scored(problem, lab, gates):
        problem.pay(0)
        looks.append(list(gates))
        return float(np.array(gates) @ worth)

    monkeypatch.setattr(perturbation_module(), "score", scored)
    for seed in range(3):
        found = list(search(perturbation, rough, 45, seed))
        assert found[-1][1] == 0b0110
    assert len(looks) == 3 * EDGES * 2 * 4
    for shut, opened in zip(looks[::2], looks[1::2]):  # pairs that differ in the edge alone
        assert sum(a != b for a, b in zip(shut, opened)) == 1


def test_perturbation_does_not_ask_about_decided_edges_again(rough, quick, monkeypatch):
    asked = []

    def removal(problem, lab, edge, decided):
        asked.append((edge, dict(decided)))
        return 1.0 if edge % 2 else -1.0

    monkeypatch.setattr(perturbation_module(), "loss_without", removal)
    found = curve("perturbation", rough, 60)
    assert sorted(edge for edge, _ in asked) == list(range(EDGES))
    assert [len(decided) for _, decided in asked] == [0, 1, 2, 3]
    assert found[-1][1] == 0b1010
    assert found[-1][0] <= 60 - EDGES * 2 * 4  # what looking would have cost is not spent here


def test_perturbation_pays_for_its_looks_and_its_steps(rough, quick):
    assert curve("perturbation", rough, 44)[-1][0] == pytest.approx(44)  # 32 looks, 12 steps
    with pytest.raises(ConfigError, match="looking at 4 edges costs 32"):
        curve("perturbation", rough, 33)


def test_a_score_is_the_total_loss_with_batch_norm_averaged_anew(rough, quick):
    problem = TableProblem(rough, 10)
    lab = problem.lab()
    before = {name: value.clone() for name, value in lab.supernet.state_dict().items()}
    fresh = score(problem, lab, 0b0110)
    assert problem.spent == 1
    as_trained = losses(lab, (False, True, True, False), "val")
    stale = as_trained["segmentation"]["loss"] + 20 * as_trained["normals"]["loss"]
    assert fresh != pytest.approx(stale), "the statistics are those of a network that saw nothing"
    assert all(torch.equal(before[k], v) for k, v in lab.supernet.state_dict().items())


def test_coins_are_fair_and_drawn_by_the_generator():
    draw = coin_flips(8)
    drawn = np.array([draw(torch.Generator().manual_seed(seed)) for seed in range(400)])
    assert drawn.shape == (400, 8) and abs(drawn.mean() - 0.5) < 0.05
    assert draw(torch.Generator().manual_seed(1)) == draw(torch.Generator().manual_seed(1))


def test_steps_can_be_taken_in_portions(rough, quick):
    problem = TableProblem(rough, 100)
    config = type(problem.config).from_json(problem.config.to_json() | {"steps": 5})
    supernet = Search(problem.lab(), config, draw_gates=coin_flips(EDGES))
    assert [event.step for event in steps_of(supernet, problem, 2)] == [1, 2]
    assert list(steps_of(supernet, problem, 0)) == []
    assert [event.step for event in steps_of(supernet, problem, 9)] == [3, 4, 5]
    assert problem.spent == 5


def test_a_search_that_diverges_says_so(rough, quick):
    problem = TableProblem(rough, 100)
    with pytest.raises(ConfigError, match="search 0 failed: the loss of"):
        list(mtlnas.mtlnas(problem, weight_lr=1e9))


def test_a_searcher_that_is_no_generator_may_spend_all(rough):
    def spends(problem):
        return [min(range(16), key=problem.train)]

    with pytest.raises(ConfigError, match="ended without an answer"):
        list(search(spends, rough, TRAINED * 2.5))
