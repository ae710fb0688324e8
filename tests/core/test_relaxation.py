import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtlnas_lab.core.relaxation import (
    RELAXATIONS,
    TEMPERATURE_FLOOR,
    ArchitectureWeights,
    bernoulli,
    deterministic,
    discretize,
    edge_entropy,
    entropy,
    entropy_fraction,
    entropy_gradient,
    l1,
    l1_gradient,
    relaxation,
    stochastic,
    straight_through,
)
from mtlnas_lab.core.schedule import Schedule
from mtlnas_lab.errors import ConfigError

ALPHA = torch.linspace(-6, 6, 25, dtype=torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_entropy_is_the_formula_and_finite_at_the_ends():
    p = torch.sigmoid(ALPHA)
    assert torch.allclose(edge_entropy(ALPHA), -p * p.log() - (1 - p) * (1 - p).log(), atol=1e-14)
    assert torch.isfinite(edge_entropy(torch.tensor([-1e4, 1e4]))).all()
    assert entropy(torch.zeros(3)).item() == pytest.approx(math.log(2)) and entropy_fraction(
        torch.zeros(3)
    ).item() == pytest.approx(1)
    assert entropy(torch.zeros(0)).item() == 0


@pytest.mark.parametrize("term, closed", [(entropy, entropy_gradient), (l1, l1_gradient)])
def test_closed_gradients_are_autograds(term, closed):
    alpha = ALPHA.clone().requires_grad_()
    assert torch.allclose(torch.autograd.grad(term(alpha), alpha)[0], closed(ALPHA), atol=1e-15)
    costs = torch.rand(25, generator=seeded(), dtype=torch.float64)
    if term is l1:
        assert torch.allclose(
            torch.autograd.grad(l1(alpha, costs), alpha)[0], l1_gradient(ALPHA, costs), atol=1e-15
        )


def test_entropy_pushes_away_from_one_half_and_not_at_it():
    gradient = entropy_gradient(ALPHA)
    assert gradient[12] == 0 and (-gradient[13:] > 0).all() and (-gradient[:12] < 0).all()
    assert abs(ALPHA[gradient.abs().argmax()]).item() == pytest.approx(1.5)


@pytest.mark.parametrize("name", RELAXATIONS)
def test_gates_are_between_0_and_1_and_repeat_with_the_seed(name):
    first, again, other = (RELAXATIONS[name](ALPHA, 0.5, seeded(seed)) for seed in (1, 1, 2))
    assert (
        first.shape == ALPHA.shape
        and ((first >= 0) & (first <= 1)).all()
        and torch.equal(first, again)
    )
    assert torch.equal(first, other) == (name in ("deterministic", "discretize", "all_open"))


def test_discretize_closes_an_undecided_edge():
    assert discretize(torch.tensor([-1.0, 0.0, 1e-9])).tolist() == [0, 0, 1]


def test_binary_concrete_is_open_as_often_as_sigmoid_says():
    alpha = torch.tensor([-2.0, 0.0, 1.0])
    generator = seeded()
    for sample in (
        lambda: stochastic(alpha, 0.3, generator) > 0.5,
        lambda: bernoulli(alpha, generator=generator) > 0,
    ):
        share = torch.stack([sample() for _ in range(4000)]).double().mean(0)
        assert torch.allclose(share, torch.sigmoid(alpha).double(), atol=4 * 0.5 / 4000**0.5)


def test_concrete_formula_and_floor():
    u = torch.rand(25, generator=seeded(3), dtype=torch.float64)
    expected = torch.sigmoid((ALPHA + u.log() - (1 - u).log()) / 0.7)
    assert torch.allclose(stochastic(ALPHA, 0.7, seeded(3)), expected)
    assert torch.equal(
        stochastic(ALPHA, 0.0, seeded(3)), stochastic(ALPHA, TEMPERATURE_FLOOR, seeded(3))
    )


def test_straight_through_is_hard_forward_and_soft_backward():
    alpha = ALPHA.clone().requires_grad_()
    hard = straight_through(alpha, 0.5, seeded(4))
    assert set(hard.detach().round(decimals=12).tolist()) <= {0.0, 1.0}
    (expected,) = torch.autograd.grad(stochastic(alpha, 0.5, seeded(4)).sum(), alpha)
    assert torch.allclose(torch.autograd.grad(hard.sum(), alpha)[0], expected)


def test_alpha_gives_its_own_gates_and_entropy():
    alphas = ArchitectureWeights(len(ALPHA))
    alphas.alpha.data = ALPHA.float()
    gates = alphas.gates("stochastic", 0.5, seeded(1))
    assert torch.equal(gates, stochastic(alphas.alpha, 0.5, seeded(1)))
    assert torch.equal(alphas.entropy(2.0), entropy(alphas.alpha, 2.0))
    assert torch.equal(alphas.entropy_gradient(), entropy_gradient(alphas.alpha.detach()))
    assert alphas.most == math.log(2)
    with pytest.raises(ConfigError, match="no relaxation"):
        alphas.gates("nothing")


def test_alpha_starts_undecided():
    assert torch.equal(deterministic(ArchitectureWeights(4).alpha), torch.full((4,), 0.5))


@pytest.mark.parametrize(
    "schedule, values",
    [
        (Schedule(10.0), {0: 0, 1: 10, 50: 10}),  # released: (0, 0)
        (Schedule.constant(3), {0: 3, 100: 3}),
        (Schedule(8.0, 0.0, (0.25, 0.75)), {0: 0, 25: 0, 50: 4, 75: 8, 99: 8}),
        (
            Schedule(0.0, 1.0, (0.0, 1.0), 2.0),
            {0: 1, 25: 0.5625, 50: 0.25, 75: 0.0625},
        ),  # the released temperature
        (
            Schedule(5.0, 0.0, (0.0, 0.5), after=0.0),
            {0: 0, 25: 2.5, 50: 5, 51: 0},
        ),  # L1 that is switched off
    ],
)
def test_schedules(schedule, values):
    assert {step: pytest.approx(schedule(step, 100)) for step in values} == values


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 1000))
def test_a_schedule_stays_between_its_ends(a, b, step):
    assert 0 <= Schedule(1.0, 0.0, (min(a, b), max(a, b)))(step, 1000) <= 1


def test_errors():
    with pytest.raises(ConfigError, match="deterministic, stochastic"):
        relaxation("softmax")
    with pytest.raises(ConfigError, match="backwards"):
        Schedule(1.0, period=(0.8, 0.2))
