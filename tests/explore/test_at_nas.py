"""AT-NAS: pairs and their dials, Reptile, crossover and ageing by hand, adaptation against the plain loop, arms."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from mtlnas_lab.bench.condition import rooms
from mtlnas_lab.data.rooms import CLASSES
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.explore import at_nas
from mtlnas_lab.explore.study import Exploration

FEW = at_nas.Setting(outer=2, population=3, every=1, steps=1, new_pairs=1, shots=4, queries=4)
COUNT = len(CLASSES)


def drawn(seed=0, **dials):
    return at_nas.draw_pair(torch.Generator().manual_seed(seed), **dials)


def support(count=4):
    return rooms()["val"].subset(torch.arange(count))


# --- pairs ------------------------------------------------------------------------------------------------------------
def test_a_pair_merges_classes_and_leaves_what_has_no_label():
    pair = at_nas.Pair(first=(3, 1), second=(0, 0))
    found = pair.targets(torch.tensor([[0, 1], [255, 1]]))
    assert found["first"].tolist() == [[3, 1], [255, 1]]
    assert found["second"].tolist() == [[0, 0], [255, 0]]


def test_relatedness_says_how_often_both_tasks_merge_alike():
    share = {}
    for dial in (0.0, 0.5, 1.0):
        pairs = [drawn(seed, relatedness=dial, variety=1.0) for seed in range(200)]
        same = [np.mean(np.array(pair.first) == np.array(pair.second)) for pair in pairs]
        share[dial] = np.mean(same)
    assert share[1.0] == 1
    assert share[0.0] == pytest.approx(1 / at_nas.MERGED, abs=0.03), "chance alone"
    assert share[0.5] == pytest.approx(0.5 + 0.5 / at_nas.MERGED, abs=0.03)


def test_variety_says_how_unlike_the_pairs_are():
    assert len({drawn(seed, relatedness=0.0, variety=0.0) for seed in range(20)}) == 1
    assert len({drawn(seed, relatedness=0.0, variety=1.0) for seed in range(20)}) == 20
    usual = np.array(drawn(relatedness=0.0, variety=0.0).first)
    same = [np.mean(np.array(drawn(seed, variety=0.5).first) == usual) for seed in range(200)]
    assert np.mean(same) == pytest.approx(0.5 + 0.5 / at_nas.MERGED, abs=0.03)
    assert drawn(3) == drawn(3) and len(drawn(3).first) == COUNT


@pytest.mark.parametrize("dial", ["relatedness", "variety"])
@pytest.mark.parametrize("value", [-0.1, 1.5, "much"])
def test_a_dial_goes_from_0_to_1(dial, value):
    with pytest.raises(ConfigError, match=dial):
        drawn(**{dial: value})


# --- Reptile ----------------------------------------------------------------------------------------------------------
def test_reptile_by_hand():
    weights = {"w": torch.tensor([1.0, -1.0]), "count": torch.tensor(7)}
    adapted = [
        {"w": torch.tensor(to), "count": torch.tensor(9)} for to in ([2.0, 0.0], [4.0, -2.0])
    ]
    moved = at_nas.reptile(weights, adapted, 0.5)
    assert moved["w"].tolist() == [1 + 0.5 * (3 - 1), -1 + 0.5 * (-1 - -1)] == [2, -1]
    assert moved["count"] == 7, "whole numbers stay"
    assert weights["w"].tolist() == [1, -1], "w itself is not written into"
    assert torch.equal(at_nas.reptile(weights, adapted, 0.0)["w"], weights["w"])
    assert torch.equal(at_nas.reptile(weights, adapted[:1], 1.0)["w"], adapted[0]["w"])


def test_reptile_of_one_step_is_the_step_of_joint_training():
    """K = 1: the mean of the copies is w less the learning rate times the mean gradient."""
    lab = at_nas.new_lab(0)
    setting = at_nas.Setting(steps=1, lr=0.1)
    before = {name: w.clone() for name, w in lab.supernet.named_parameters()}
    pairs = [drawn(1), drawn(2)]
    graph = at_nas.all_edges(lab)
    adapted = [at_nas.adapt(lab, setting, pair, support(), graph) for pair in pairs]
    copies = [one.supernet.state_dict() for one in adapted]
    moved = at_nas.reptile(lab.supernet.state_dict(), copies, 1.0)

    image, classes = support().batch(torch.arange(4), (at_nas.LABELS,))
    total = 0
    lab.supernet.train()
    for pair in pairs:
        losses = lab.loss(lab.supernet(image, graph), pair.targets(classes[at_nas.LABELS]))
        total = total + sum(losses.values()) / len(pairs)
    total.backward()
    for name, weight in lab.supernet.named_parameters():
        assert torch.allclose(moved[name], before[name] - 0.1 * weight.grad, atol=1e-5), name


# --- adaptation -------------------------------------------------------------------------------------------------------
def test_an_adaptation_leaves_the_lab_as_it_was():
    lab = at_nas.new_lab(0)
    before = {name: value.clone() for name, value in lab.supernet.state_dict().items()}
    graph = (True,) * 8
    own = at_nas.adapt(lab, FEW, drawn(), support(), graph)
    assert all(torch.equal(value, before[n]) for n, value in lab.supernet.state_dict().items())
    again = at_nas.adapt(lab, FEW, drawn(), support(), graph)
    for one, other in zip(own.supernet.parameters(), again.supernet.parameters()):
        assert torch.equal(one, other), "the same seed, the same weights"


def test_a_curve_is_what_separate_adaptations_score():
    lab = at_nas.new_lab(1)
    pair, images = at_nas.new_pair(FEW, seed=1, place=0)
    graph = (True,) * 8
    found = at_nas.curve(lab, FEW, pair, images, graph, moments=(0, 2))
    query = rooms()["test"].subset(torch.arange(at_nas.QUERIES))
    for steps, loss in found.items():
        own = at_nas.adapt(lab, replace(FEW, steps=steps), pair, images, graph)
        expected = at_nas.relative_loss(own, pair, images, query, graph)
        assert loss == pytest.approx(expected, rel=1e-5)


def test_chance_knows_how_frequent_the_groups_are():
    target = torch.tensor([[0, 0, 1, 1], [255, 255, 0, 1]])
    assert float(at_nas.chance_loss(target)) == pytest.approx(np.log(2))
    assert float(at_nas.chance_loss(torch.tensor([[2, 2], [0, 2]]))) == pytest.approx(
        -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    )


def test_the_loss_of_one_who_knows_only_frequencies_is_1():
    """Heads without weights whose biases are the logarithms of the frequencies."""
    lab = at_nas.new_lab(0)
    pair = drawn(5)
    query = support(6)
    _, classes = query.batch(torch.arange(6), (at_nas.LABELS,))
    for task, target in pair.targets(classes[at_nas.LABELS]).items():
        head = lab.supernet.backbones[task].head
        counts = torch.bincount(target[target != 255], minlength=at_nas.MERGED)
        torch.nn.init.zeros_(head.weight)
        head.bias.data = (counts / counts.sum()).clamp(min=1e-12).log()
    found = at_nas.relative_loss(lab, pair, support(), query, (False,) * 8)
    assert found == pytest.approx(1, abs=1e-4)


# --- the population ---------------------------------------------------------------------------------------------------
def bits_of(*numbers, edges=4):
    return [tuple(bool(n >> i & 1) for i in range(edges)) for n in numbers]


def test_the_oldest_die_however_good_they_are():
    graphs = bits_of(1, 2, 4, 8, 3)
    population = at_nas.Population(graphs, seed=0)
    population.evolve([0.0, 0.1, 5.0, 5.0, 5.0], children=2)
    assert list(population.graphs)[:3] == graphs[2:], (
        "the two oldest, which were the best, are gone"
    )
    assert len(population.graphs) == 5
    population.evolve([1.0] * 5, children=5)
    assert not set(graphs[2:]) <= set(list(population.graphs)[:1]) and len(population.graphs) == 5


def test_a_tournament_is_won_by_the_least():
    class Individuals:
        def get(self, name):
            assert name == "F"
            return np.array([[3.0], [1.0], [2.0], [0.5]])

    tournaments = np.array([[0, 1, 2], [2, 0, 3], [0, 2, 0]])
    assert at_nas.winners(Individuals(), tournaments).tolist() == [[1], [3], [2]]


class NoFlips:
    """A pymoo mutation that changes nothing."""

    def __init__(self, **_):
        pass

    def __call__(self, problem, born, **_):
        return born


def test_a_child_has_each_bit_of_one_of_its_parents(monkeypatch):
    """Both parents agree in edges 0 and 1; in the other six each bit is the one's or the other's, as a coin says."""
    from pymoo.operators.mutation import bitflip

    monkeypatch.setattr(bitflip, "BitflipMutation", NoFlips)
    one = (True, False, *[False] * 6)
    other = (True, False, *[True] * 6)
    children = set()
    shares = []
    for seed in range(60):
        population = at_nas.Population([one, other] * 3, seed)
        population.evolve([1.0] * 6, children=6)
        children |= set(population.graphs)
        shares += [sum(graph[2:]) for graph in population.graphs]
    assert all(child[:2] == (True, False) for child in children)
    assert np.mean(shares) == pytest.approx(3, abs=0.3)
    assert len(children) > 40, "all words of six bits can be born, not only those that are cut once"


def test_the_best_of_three_is_both_parents(monkeypatch):
    from pymoo.operators.mutation import bitflip

    monkeypatch.setattr(bitflip, "BitflipMutation", NoFlips)
    graphs = bits_of(5, 10, 3)
    population = at_nas.Population(graphs, seed=0)
    population.evolve([2.0, 1.0, 3.0], children=2)
    assert list(population.graphs) == [graphs[2], graphs[1], graphs[1]]


def test_flips_bring_back_what_is_lost():
    population = at_nas.Population([(False,) * 8] * 6, seed=0)
    opened = 0
    for _ in range(50):
        population.evolve([1.0] * 6, children=6)
        opened += sum(map(sum, population.graphs))
        population.graphs.extend([(False,) * 8] * 6)
    assert opened / (50 * 6) == pytest.approx(1, abs=0.2), "one flip a child on average"


def test_evolution_finds_a_graph_that_is_best_by_far():
    population = at_nas.Population.drawn(12, 6, seed=0)
    goal = (True, False, True, True, False, True)

    def wrong(graph):
        return sum(a != b for a, b in zip(graph, goal))

    first = np.mean([wrong(graph) for graph in population.graphs])
    means = []
    for _ in range(40):
        population.evolve([wrong(graph) for graph in population.graphs])
        means.append(np.mean([wrong(graph) for graph in population.graphs]))
    assert np.mean(means[-20:]) < 0.7 * first, "one flip a child keeps it from coming to rest"


def test_a_population_is_the_same_for_the_same_seed():
    one, other = (at_nas.Population.drawn(5, 8, seed=4) for _ in range(2))
    for population in (one, other):
        population.evolve([0.3, 0.1, 0.2, 0.5, 0.4])
    assert one.graphs == other.graphs
    assert at_nas.Population.drawn(5, 8, seed=5).graphs != at_nas.Population.drawn(5, 8, 4).graphs


def test_two_graphs_are_no_population():
    with pytest.raises(ConfigError, match="a tournament is between 3"):
        at_nas.Population(bits_of(1, 2), seed=0)


# --- training ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("weights", ["meta", "joint"])
@pytest.mark.parametrize("graphs", ["evolved", "all_on", "random"])
def test_a_training_moves_weights_and_says_what_it_looked_at(weights, graphs):
    training = at_nas.Training(FEW, 0, weights, graphs)
    before = [weight.clone() for weight in training.lab.supernet.parameters()]
    first, second = training
    assert (first.number, second.number) == (1, 2)
    assert len(first.graphs) == FEW.population
    assert len(first.fitness) == (FEW.population if weights == "meta" or graphs == "evolved" else 0)
    assert np.isfinite(first.fitness).all() == (graphs == "evolved" or not first.fitness)
    moved = zip(before, training.lab.supernet.parameters())
    assert any(not torch.equal(one, other) for one, other in moved)
    assert (first.graphs == second.graphs) == (graphs == "all_on")
    if graphs == "evolved":
        assert first.graphs[2:] == second.graphs[:1], "two were born, two died"
    if weights == "joint":
        assert training.jointly.step_number == FEW.outer * training.steps


def test_unknown_weights_and_graphs_are_refused():
    with pytest.raises(ConfigError, match="weights"):
        at_nas.Training(FEW, 0, "borrowed")
    with pytest.raises(ConfigError, match="graphs"):
        at_nas.Training(FEW, 0, "meta", "wished")


# --- a new pair -------------------------------------------------------------------------------------------------------
def test_one_graph_alone_is_not_tried(monkeypatch):
    lab = at_nas.new_lab(0)
    pair, images = at_nas.new_pair(FEW, 0, 0)
    monkeypatch.setattr(at_nas, "adapt", None)
    assert at_nas.choose(lab, FEW, pair, images, [(True,) * 8] * 3) == (True,) * 8


def test_the_graph_with_the_least_loss_on_the_other_half_is_chosen(monkeypatch):
    seen = []

    def scored(lab, pair, learnt, judged, graph):
        seen.append((len(learnt), len(judged)))
        return abs(sum(graph) - 2)

    monkeypatch.setattr(at_nas, "relative_loss", scored)
    pair, images = at_nas.new_pair(FEW, 0, 0)
    graphs = bits_of(1, 7, 3, 7, edges=8)
    assert at_nas.choose(at_nas.new_lab(0), FEW, pair, images, graphs) == graphs[2]
    assert seen == [(2, 2)] * 3, "each different graph once, on halves"


def test_held_out_pairs_are_others_for_each_place_and_seed():
    pairs = [at_nas.new_pair(FEW, seed, place)[0] for seed in (1, 2) for place in (0, 1)]
    assert len(set(pairs)) == 4
    assert at_nas.new_pair(FEW, 1, 0)[0] == pairs[0]


# --- arms -------------------------------------------------------------------------------------------------------------
SMALL = {"outer": 1, "population": 3, "steps": 1, "new_pairs": 1, "shots": 4, "queries": 4}


def test_the_interaction_is_the_difference_of_the_gains():
    loss = {}
    for weights in ("meta", "joint"):
        for graphs in ("evolved", "all_on"):
            loss[weights, graphs] = at_nas.trained_arm(0, weights, graphs, **SMALL)["loss"]
    meta = loss["meta", "evolved"] - loss["meta", "all_on"]
    joint = loss["joint", "evolved"] - loss["joint", "all_on"]
    found = at_nas.interaction_arm(0, **SMALL)["interaction"]
    assert found == pytest.approx(meta - joint)


def test_arms_say_what_claims_ask():
    found = at_nas.fresh_arm(0, **SMALL)
    assert {"loss", "edges", "after 0", "after 1", "after 20"} <= set(found)
    assert found["loss"] == found["after 1"] and found["edges"] == 8
    longer = at_nas.longer_arm(0, "meta", **SMALL)
    assert longer["loss"] > 0 and longer["edges"] == 8


def test_every_arm_of_the_study_can_be_pickled():
    study = Exploration.load("at-nas")
    assert 0 not in study.seeds, "the pilot's seed"
    for arm in study.arms:
        assert pickle.loads(pickle.dumps(study.function(arm))) is study.function(arm)
        at_nas.Setting(
            **{k: v for k, v in study.settings(arm).items() if k not in ("weights", "graphs")}
        )
