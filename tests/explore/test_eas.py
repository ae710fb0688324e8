"""Deployments by hand: which edges there are, what they cost, what is dropped, and that the generator leaves w alone."""

import itertools

import pytest
import torch

from mtlnas_lab.analysis.study import FOLDER
from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.explore import eas
from mtlnas_lab.explore.study import Exploration, Findings
from mtlnas_lab.models.pruned import operations, prune

THREE = SearchSpace.build(dict.fromkeys("abc", plan([8, 8, 16], [2, 1])))
ALL = (True, True, True)


@pytest.fixture(scope="module")
def lab():
    return eas.train_supernet(0, steps=3)


def test_edges_between_wanted_tasks_alone():
    for wanted in itertools.product([False, True], repeat=3):
        if not any(wanted):
            continue
        asked = {task for task, one in zip("abc", wanted) if one}
        for edge, one in zip(THREE.edges, eas.available(THREE, wanted)):
            assert one == (edge.source.task in asked and edge.target.task in asked)


@pytest.mark.parametrize("wanted", [(False, False, False), (True, True), ()])
def test_deployments_that_cannot_be(wanted):
    with pytest.raises(ConfigError, match="say of each of a, b, c"):
        eas.available(THREE, wanted)


def test_costs_are_what_the_network_pays(lab):
    """A graph's share, counted by torch on the pruned network."""
    image, _ = lab.data["val"].batch(torch.tensor([0]), ())
    space = lab.space
    none = operations(prune(lab.supernet, [False] * len(space)), image)
    everything = operations(prune(lab.supernet, [True] * len(space)), image) - none
    for i in (0, 5, 9, 23):
        kept = [i == other for other in range(len(space))]
        paid = operations(prune(lab.supernet, kept), image) - none
        assert eas.costs(space)[i] == pytest.approx(paid / everything)


def test_spent_is_a_share_of_what_is_available():
    wanted = (True, False, True)
    fits = torch.tensor(eas.available(THREE, wanted)).float()
    assert float(eas.spent(torch.ones(len(THREE)), THREE, wanted)) == pytest.approx(1)
    assert float(eas.spent(1 - fits, THREE, wanted)) == 0
    assert float(eas.spent(torch.ones(len(THREE)), THREE, (True, False, False))) == 0
    prices = torch.tensor(eas.costs(THREE))
    gates = (torch.arange(len(THREE)) % 3 == 0).float()
    by_hand = (gates * prices * fits).sum() / (prices * fits).sum()
    assert torch.isclose(eas.spent(gates, THREE, wanted), by_hand)


def test_cut_takes_the_best_that_fit():
    """Brute force: no available edge that is left out is better than one that is in, and would fit in its place."""
    logits = torch.randn(len(THREE), generator=torch.Generator().manual_seed(0))
    prices = eas.costs(THREE)
    for wanted, budget in itertools.product([ALL, (True, True, False)], [0.0, 0.3, 0.6, 1.0]):
        found = eas.cut(logits, THREE, wanted, budget)
        fits = eas.available(THREE, wanted)
        most = sum(price for price, one in zip(prices, fits) if one)
        left = budget * most - sum(price for price, one in zip(prices, found.kept) if one)
        assert left > -1e-6
        assert all(one for one, keep in zip(fits, found.kept) if keep)
        for i, keep in enumerate(found.kept):
            if fits[i] and not keep:
                worse = [
                    price
                    for price, j, k in zip(prices, range(99), found.kept)
                    if k and logits[j] < logits[i]
                ]
                assert left + sum(worse) < prices[i] + 1e-6
    assert eas.cut(logits, THREE, ALL, 1.0).kept == (True,) * len(THREE)


def test_dropped_tasks_have_neither_loss_nor_edges(lab):
    dropout = eas.TaskDropout(lab.space, seed=1)
    image, targets = lab.data["train"].batch(torch.arange(2), lab.targets)
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _, left in zip(range(60), dropout.batches(iter([(image, targets)] * 60))):
        asked = {task for task, one in zip(lab.space.tasks, dropout.wanted) if one}
        assert set(left[1]) == asked and asked
        seen.add(dropout.wanted)
        for edge, gate in zip(lab.space.edges, dropout.gates(generator)):
            assert not gate or {edge.source.task, edge.target.task} <= asked
    assert len(seen) == 7


def test_without_task_dropout_all_are_wanted():
    dropout = eas.TaskDropout(THREE, seed=0, keep=1.0)
    assert {dropout.draw() for _ in range(20)} == {ALL}
    with pytest.raises(ConfigError, match="keep = 0"):
        eas.TaskDropout(THREE, seed=0, keep=0)


def test_gates_are_hard_forward_and_a_sigmoid_back():
    alpha = torch.tensor([-3.0, -0.1, 0.2, 4.0], requires_grad=True)
    gates = eas.straight(alpha)
    assert gates.tolist() == [0, 0, 1, 1]
    (gradient,) = torch.autograd.grad(gates.sum(), alpha)
    p = torch.sigmoid(alpha.detach())
    assert torch.allclose(gradient, p * (1 - p))


def test_the_generator_learns_and_the_supernet_stays(lab):
    before = {name: value.clone() for name, value in lab.supernet.state_dict().items()}
    torch.manual_seed(0)
    model = eas.Generator(lab.space)
    weights = [parameter.clone() for parameter in model.parameters()]
    eas.fit(model, lab, eas.any_deployment(lab.space), steps=2)
    assert any(not torch.equal(a, b) for a, b in zip(weights, model.parameters()))
    for name, value in lab.supernet.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_penalty_alone_leads_to_the_budget(lab):
    """Without losses that matter, α of one deployment comes to the cost that was asked for."""
    free = eas.Free(lab.space)
    free.alpha.data = torch.linspace(0.2, 2.0, len(lab.space))  # all open, by more or less
    eas.fit(free, lab, lambda generator: (ALL, 0.5), steps=60, mu=1e5, lr=0.05)
    kept = (free.alpha.detach() > 0).float()
    assert float(eas.spent(kept, lab.space, ALL)) == pytest.approx(0.5, abs=0.2)


def test_a_graph_never_opens_what_is_not_available(lab):
    model = eas.Generator(lab.space)
    for bits in ("100", "101", "111"):
        wanted = eas.wanted_of(bits)
        graph = model.graph(wanted, 1.0)
        assert isinstance(graph, Architecture)
        assert all(one for one, keep in zip(eas.available(lab.space, wanted), graph.kept) if keep)


def test_relative_loss_without_edges_is_one(lab):
    kept = (False,) * len(lab.space)
    alone = eas.losses(lab, kept)
    assert eas.relative_loss(lab, kept, (True, False, True), alone) == pytest.approx(1)


def test_answers_hold_every_deployment(lab):
    model = eas.Generator(lab.space)
    found = eas.answers(lab, model, [0.0, 1.0])
    assert set(found) == {format(n, "03b") for n in range(1, 8)}
    assert all(len(rows) == 2 for rows in found.values())
    again = found["110"][1]
    own = eas.losses(lab, again["kept"], "val")
    assert again["loss"] == pytest.approx(list(own.values()))


def test_arms_give_the_same_numbers_again():
    first = eas.ARMS["nearest_stored"](0, steps=2, each=2)
    assert eas.ARMS["nearest_stored"](0, steps=2, each=2) == first
    assert eas.ARMS["task_missing"](0, steps=2, keep=1.0)["loss_with_all"] > 0
    assert eas.ARMS["fresh_search"](0, steps=2, each=2)["time_ratio"] > 0
    assert {"budget_error", "relative_loss"} <= set(eas.ARMS["generator"](0, steps=2))


def test_the_study_names_its_controls():
    study = Exploration.load("eas")
    assert sum(claim.control for claim in study.claims) == 3
    assert study.function("no_task_dropout") is eas.ARMS["task_missing"]


def test_the_shipped_report_says_what_its_table_says():
    found = Findings.shipped("eas")
    report = (FOLDER / "eas-small" / "report.md").read_text(encoding="utf-8")
    assert [line for line in found.sentences if f"- {line}\n" not in report] == []
    assert len(found.verdicts) == len(found.study.claims)
    rows = found.frame[["arm", "seed"]].drop_duplicates()
    assert len(rows) == len(found.study.arms) * len(found.study.seeds), "every arm, every seed"
