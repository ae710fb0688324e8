"""MSINet: operations and gates against values by hand, the split of the twins, memories, scores, a whole search."""

import math

import pytest
import torch
from torch.nn import functional as F

from mtlnas_lab.core import relaxation
from mtlnas_lab.core.fusion import NDDR
from mtlnas_lab.core.space import plan
from mtlnas_lab.errors import ConfigError, SpaceError
from mtlnas_lab.explore import msinet
from mtlnas_lab.explore.study import Exploration
from mtlnas_lab.models.interactions import (
    OPERATIONS,
    ChoiceSpace,
    CrossAttention,
    Interaction,
    InteractionNet,
)

FIVE = tuple(OPERATIONS)


def maps(channels=4, size=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (2, channels, size, size)
    return [torch.randn(shape, generator=generator).relu() for _ in range(2)]


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


# --- operations -------------------------------------------------------------------------------------------------------
def test_none_and_exchange_pass_maps_on():
    a, b = maps()
    assert OPERATIONS["none"](4)(a, b) == (a, b)
    assert OPERATIONS["exchange"](4)(a, b) == (b, a)


def test_a_gate_is_one_network_for_both_maps():
    a, b = maps(channels=8)
    gate = OPERATIONS["gate"](8)
    to_a, to_b = gate(a, b)
    first, _, second, _ = gate.gate
    hidden = (a.mean((2, 3)) @ first.weight.T + first.bias).relu()
    by_hand = torch.sigmoid(hidden @ second.weight.T + second.bias)
    assert len(hidden[0]) == 2 and torch.allclose(to_a, a * by_hand[:, :, None, None])
    back_b, back_a = gate(b, a)
    assert torch.equal(back_a, to_a) and torch.equal(back_b, to_b)


def test_attention_is_nothing_at_first_then_a_mixture_of_own_channels():
    a, b = maps(channels=3, size=2)
    attention = CrossAttention(3)
    assert all(torch.equal(x, y) for x, y in zip(attention(a, b), (a, b)))
    attention.gamma.data.fill_(0.5)
    to_a, to_b = attention(a, b)
    for own, other, found in ((a, b, to_a), (b, a, to_b)):
        for image in range(2):
            for channel in range(3):
                dots = [float((own[image, channel] * other[image, k]).sum()) for k in range(3)]
                unlike = torch.tensor([max(dots) - dot for dot in dots]).softmax(0)
                mixed = sum(unlike[k] * own[image, k] for k in range(3))
                expected = own[image, channel] + 0.5 * mixed
                assert torch.allclose(found[image, channel], expected, atol=1e-5)


def test_nddr_is_the_librarys_both_ways():
    a, b = maps()
    both = OPERATIONS["nddr"](4).eval()
    alone = NDDR(4, [4]).eval()
    to_a, to_b = both(a, b)
    assert torch.allclose(to_a, alone(a, [b])) and torch.allclose(to_b, alone(b, [a]))


def test_a_pair_is_the_sum_of_its_operations_times_their_gates():
    a, b = maps(channels=8)
    between = Interaction(8, FIVE).eval()
    gates = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25])
    expected = 0
    for gate, operation in zip(gates, between.operations.values()):
        expected = expected + gate * torch.stack(operation(a, b))
    assert torch.allclose(torch.stack(between(a, b, gates)), expected, atol=1e-6)
    for place in range(5):
        one = [at == place for at in range(5)]
        soft = between(a, b, torch.tensor(one).float())
        assert torch.allclose(torch.stack(between(a, b, one)), torch.stack(soft), atol=1e-6)


# --- one choice among K -----------------------------------------------------------------------------------------------
LOGITS = torch.tensor([-2.0, -0.3, 0.0, 0.7, 4.0])
TWO = torch.stack([torch.zeros(5), LOGITS], 1)  # (0, α): the second operation is the edge


def test_two_operations_are_the_librarys_edge(monkeypatch):
    edge = relaxation.deterministic(LOGITS)
    assert torch.allclose(msinet.deterministic(TWO)[:, 1], edge)
    assert torch.equal(msinet.discretize(TWO)[:, 1], relaxation.discretize(LOGITS))
    assert torch.allclose(msinet.choice_entropy(TWO), relaxation.edge_entropy(LOGITS), atol=1e-6)
    noise = msinet.gumbel_noise(TWO, drawn())
    monkeypatch.setattr(msinet, "gumbel_noise", lambda alpha, generator: noise)
    logistic = noise[:, 1] - noise[:, 0]
    u = torch.sigmoid(logistic)  # the library's binary concrete of this u
    for temperature in (1.0, 0.3, 0.0):
        noisy = LOGITS + u.log() - (-u).log1p()
        concrete = torch.sigmoid(noisy / max(temperature, relaxation.TEMPERATURE_FLOOR))
        found = msinet.stochastic(TWO, temperature)
        assert torch.allclose(found[:, 1], concrete, atol=1e-4)
        hard = msinet.straight_through(TWO, temperature)
        assert torch.equal(hard[:, 1].round(), (concrete > 0.5).float())


def test_the_difference_of_two_noises_is_logistic():
    noise = msinet.gumbel_noise(torch.zeros(40_000, 2), drawn())
    difference = noise[:, 1] - noise[:, 0]
    for x in (-2.0, 0.0, 1.0):
        share = (difference < x).float().mean().item()
        assert share == pytest.approx(1 / (1 + math.exp(-x)), abs=0.01)


def test_an_operation_is_drawn_as_often_as_softmax_says():
    alpha = torch.tensor([[1.0, 0.0, -1.0, 0.5, 2.0]])
    found = msinet.straight_through(alpha.expand(40_000, 5), 0.5, drawn()).mean(0)
    assert torch.allclose(found, alpha.softmax(1)[0], atol=0.01)


def test_straight_through_is_hard_going_forward_and_soft_going_back():
    alpha = torch.randn(3, 5, generator=drawn(), requires_grad=True)
    weight = torch.randn(3, 5, generator=drawn(1))
    hard = msinet.straight_through(alpha, 0.7, drawn(2))
    assert torch.allclose(hard.sum(1), torch.ones(3)) and set(hard.round().flatten().tolist()) == {
        0,
        1,
    }
    (through,) = torch.autograd.grad((hard * weight).sum(), alpha)
    soft = msinet.stochastic(alpha, 0.7, drawn(2))
    (of_soft,) = torch.autograd.grad((soft * weight).sum(), alpha)
    assert torch.allclose(through, of_soft, atol=1e-6)


def test_entropy_over_five_and_its_gradient():
    alphas = msinet.Choices(2, 5)
    alphas.alpha.data = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 2.0, -1.0, 0.5, 0.0, 1.0])
    p = alphas.rows[1].detach().softmax(0)
    second = -sum(float(x) * math.log(float(x)) for x in p)
    assert alphas.entropy().item() == pytest.approx((math.log(5) + second) / 2, abs=1e-6)
    by_hand = -p * (p.log() + second) / 2
    gradient = alphas.entropy_gradient()
    assert torch.allclose(gradient[5:], by_hand, atol=1e-6)
    assert torch.allclose(gradient[:5], torch.zeros(5), atol=1e-6)
    factors = torch.tensor([0.0] * 5 + [1.0] * 5)
    assert alphas.entropy(factors).item() == pytest.approx(second / 2, abs=1e-6)
    assert alphas.most == math.log(5)


@pytest.mark.parametrize("name", list(msinet.RELAXATIONS))
def test_the_gates_of_a_pair_sum_to_one(name):
    gates = msinet.Choices(3, 5, seed=4).gates(name, 0.5, drawn())
    assert torch.allclose(gates.view(3, 5).sum(1), torch.ones(3), atol=1e-6)


def test_a_choice_says_what_it_cannot_do():
    with pytest.raises(ConfigError, match="all_open"):
        msinet.Choices(3, 5).gates("all_open")
    with pytest.raises(ConfigError, match="operations = 1"):
        msinet.Choices(3, 1)


# --- the network ------------------------------------------------------------------------------------------------------
def a_lab(operations=FIVE, seed=0):
    return msinet.lab_of(msinet.data(0), seed, operations)


def test_none_everywhere_is_two_networks_side_by_side():
    lab = a_lab()
    image = torch.randn(2, 3, 32, 32, generator=drawn())
    network = lab.supernet.eval()
    outputs = network(image, lab.space.gates(("none",) * 4))
    for task, backbone in network.backbones.items():
        assert torch.allclose(outputs[task], backbone(image), atol=1e-5)


def test_an_exchange_behind_the_last_stage_gives_each_head_the_others_map():
    lab = a_lab()
    image = torch.randn(2, 3, 32, 32, generator=drawn())
    network = lab.supernet.eval()
    tapped = {}
    gates = lab.space.gates(("none", "none", "none", "exchange"))
    outputs = network(image, gates, tap=lambda node, x: tapped.update({str(node): x}))
    assert len(tapped) == 8
    x = image
    for stage in network.backbones["segmentation"].stages:
        x = stage(x)
    assert torch.allclose(outputs["scene"], network.backbones["scene"].head(x), atol=1e-5)


def test_soft_gates_teach_every_logit():
    lab = a_lab()
    image = torch.randn(2, 3, 32, 32, generator=drawn())
    outputs = lab.supernet(image, lab.alphas.gates("stochastic", 1.0, drawn()))
    sum(output.sum() for output in outputs.values()).backward()
    assert (lab.alphas.alpha.grad != 0).all()


def test_a_space_knows_its_names():
    space = ChoiceSpace(dict.fromkeys("ab", plan([8, 8, 16], [2, 1])), ("none", "gate"))
    assert len(space) == 6 and space.channels == [8, 8, 16]
    gates = space.gates(("gate", "none", "gate"))
    assert gates == (False, True, True, False, False, True)
    assert space.chosen(torch.tensor(gates).float()) == ("gate", "none", "gate")
    with pytest.raises(ConfigError, match="2 operations for 3 pairs"):
        space.gates(("gate", "none"))
    with pytest.raises(ConfigError, match="nddr"):
        space.gates(("gate", "none", "nddr"))
    with pytest.raises(SpaceError, match="merge"):
        ChoiceSpace(space.plans, ("none", "merge"))
    unlike = {"a": plan([8], [1]), "b": plan([16], [1])}
    with pytest.raises(SpaceError, match="same stages"):
        ChoiceSpace(unlike)
    with pytest.raises(SpaceError, match="same stages"):
        ChoiceSpace({"a": plan([8], [1])})


def test_it_is_a_supernet_with_weights_of_each_kind():
    groups = a_lab().supernet.parameter_groups()
    assert isinstance(a_lab().supernet, InteractionNet)
    assert all(groups.values()) and sum(p.numel() for p in groups["fusion"]) > 0


# --- twins ------------------------------------------------------------------------------------------------------------
def split(rho, scenes=20, pictures=6):
    names = torch.arange(scenes).repeat_interleave(pictures)
    parts = msinet.twins(names, rho, drawn())
    sets = [set(names[part].tolist()) for part in parts]
    return parts, sets


@pytest.mark.parametrize(
    "rho, both, only_w, only_alpha", [(0.4, 8, 4, 8), (1.0, 20, 0, 0), (0.0, 0, 7, 13)]
)
def test_who_teaches_what(rho, both, only_w, only_alpha):
    (w, alpha), (of_w, of_alpha) = split(rho)
    assert len(of_w & of_alpha) == both
    assert (len(of_w - of_alpha), len(of_alpha - of_w)) == (only_w, only_alpha)
    every = torch.cat([w, alpha])
    assert len(every) == 120 == len(every.unique()), "each picture teaches one of them"
    assert len(w) == 6 * only_w + 3 * both


@pytest.mark.parametrize("rho", [-0.1, 1.5, "much", math.nan])
def test_no_such_share(rho):
    with pytest.raises(ConfigError, match="rho"):
        split(rho)


# --- memories ---------------------------------------------------------------------------------------------------------
def test_a_memory_starts_empty_and_follows_its_pictures_one_after_the_other():
    memory = msinet.Memory(scenes=3, features=2, momentum=0.2)
    feature = torch.tensor([[2.0, 0.0]])
    assert memory.loss(feature, torch.tensor([1])).item() == pytest.approx(math.log(3))
    memory.add(feature, torch.tensor([1]))
    assert memory.centroids.tolist() == [[0, 0], [1, 0], [0, 0]]
    memory.add(torch.tensor([[0.0, 5.0], [-3.0, 0.0]]), torch.tensor([1, 1]))
    mixed = F.normalize(torch.tensor([0.2, 0.8]), dim=0)
    mixed = F.normalize(0.2 * mixed + 0.8 * torch.tensor([-1.0, 0.0]), dim=0)
    assert torch.allclose(memory.centroids[1], mixed)


def test_the_loss_by_hand():
    memory = msinet.Memory(scenes=2, features=2, temperature=0.5)
    memory.centroids = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    found = memory.loss(torch.tensor([[0.0, 2.0]]), torch.tensor([1])).item()
    assert found == pytest.approx(-math.log(math.exp(1.6) / (math.exp(1.6) + math.exp(0.0))))


def test_a_scene_learns_with_its_own_memory_and_only_while_it_learns():
    first, second = msinet.Memory(2, 2), msinet.Memory(2, 2)
    task = msinet.Scene(channels=2, memories=(first, second))
    output = torch.tensor([[1.0, 2.0]], requires_grad=True)
    target = torch.tensor([[1, 0]])
    with torch.no_grad():
        task.loss(output, target)
    assert not second.centroids.any()
    task.loss(output, target).backward()
    assert output.grad is not None and not first.centroids.any() and second.centroids[0].any()


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"momentum": 1.5}])
def test_a_memory_says_what_cannot_be(settings):
    (name,) = settings
    with pytest.raises(ConfigError, match=name):
        msinet.Memory(2, **settings)


def test_retrieval_by_hand():
    meter = msinet.Retrieval()
    angles = torch.tensor([0.0, 10.0, 25.0, 45.0]).deg2rad()
    features = torch.stack([angles.cos(), angles.sin()], 1)
    meter.update(features[:2], torch.tensor([[0, 0], [0, 1]]))
    meter.update(features[2:], torch.tensor([[0, 0], [0, 1]]))
    # 0° finds 10° wrong, 25° right: ½; 10° finds 0°, 25° wrong, 45° right: ⅓; 25° 10° wrong, 45° wrong, 0°: ⅓;
    # 45° finds 25° wrong, 10° right: ½
    found = meter.compute()
    assert found["map"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert found["rank1"] == 0
    meter.update(features[:1], torch.tensor([[0, 7]]))
    assert meter.compute()["map"] > 0, "a scene of one picture is left out"


# --- rooms, a search, arms --------------------------------------------------------------------------------------------
def test_nobody_trains_on_unseen_rooms_nor_on_pictures_for_scores():
    packs = msinet.data(3)
    assert [len(pack) for pack in packs.values()] == [480, 240, 240]
    seen = {tuple(image.flatten().tolist()) for image in packs["train"].images[:, :, ::8, ::8]}
    for split_name in ("seen", "unseen"):
        small = packs[split_name].images[:, :, ::8, ::8]
        assert not seen & {tuple(image.flatten().tolist()) for image in small}
    other = msinet.data(4)["train"].images
    assert not torch.equal(packs["train"].images, other), "another seed has other training rooms"


def test_a_search_is_the_same_each_time_and_each_memory_has_its_own_scenes():
    found, lab = msinet.search(5, steps=2)
    again, other = msinet.search(5, steps=2)
    assert found == again and torch.equal(lab.alphas.alpha, other.alphas.alpha)
    start = msinet.Choices(4, 5, seed=5).alpha
    assert not torch.equal(lab.alphas.alpha, start)
    w, alpha = lab.tasks["scene"].memories
    for memory in (w, alpha):
        lengths = memory.centroids.norm(dim=1)
        assert 0 < int((lengths > 0.99).sum()) <= 32, "of two batches of 16"
    assert not torch.equal(w.centroids, alpha.centroids)


def test_events_tell_the_entropy_over_five():
    search = msinet.searching(5, steps=1)
    step = [event for event in search if hasattr(event, "entropy_fraction")][0]
    left = search.lab.alphas.entropy().item() / math.log(5)
    assert step.entropy_fraction == pytest.approx(left, abs=1e-5)


def test_shuffled_scenes_are_other_scenes():
    def batch(**settings):
        image, targets = next(msinet.searching(5, steps=1, **settings).weight_batches)
        return targets["scene"]

    assert not torch.equal(batch(), batch(shuffled=True))


def test_arms_give_the_numbers_of_the_study():
    study = Exploration.load("msinet")
    assert {claim.quantity for claim in study.claims} <= {"map_unseen", "gap", "entropy"}
    found = msinet.searched(5, steps=2, rho=1.0)
    assert found["gap"] == pytest.approx(found["map_seen"] - found["map_unseen"])
    assert 0 < found["map_unseen"] < 1 and 0 < found["entropy"] <= 1
    assert {found[f"operation/{stage}"] for stage in range(4)} <= set(range(5))
    random = msinet.given(5, "random", steps=2)
    assert random["operation/0"] == msinet.given(5, "random", steps=1)["operation/0"]
    with pytest.raises(ConfigError, match="merge"):
        msinet.given(5, "merge", steps=1)
