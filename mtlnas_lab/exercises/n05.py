"""Checks of notebook 05: relaxation, temperature, entropy and its force, the tipping point, the ramp."""

from __future__ import annotations

import math

import torch

from ..relaxation import TEMPERATURE_FLOOR, Schedule, edge_entropy
from .book import Wrong, exercise
from .n04 import tensor

RIGHT, YOURS = "#4575b4", "#b35806"
RAMP = Schedule(10.0, 0.0, (0.3, 1.0))


def close(a: torch.Tensor, b: torch.Tensor, atol: float = 1e-4) -> bool:
    return torch.allclose(a, b, atol=atol)


def over(ax, x, right, yours, xlabel: str, ylabel: str) -> None:
    """Two curves over the same x."""
    ax.plot(x, right, color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(x, yours, color=YOURS, lw=1.3, label="yours")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(frameon=False, fontsize=8)


def numbers(answer, arguments, what: str) -> torch.Tensor:
    """What `answer` gives for each tuple of arguments, one number each."""
    values = [torch.as_tensor(answer(*given), dtype=torch.float64) for given in arguments]
    if any(value.numel() != 1 for value in values):
        raise Wrong(f"give one number, {what}; yours has shape {tuple(values[0].shape)}")
    return torch.stack([value.detach().reshape(()) for value in values])


@exercise("05.concrete")
def concrete(answer, ax):
    """A stochastic gate."""
    u = torch.linspace(0.005, 0.995, 100)
    alpha = torch.full_like(u, 1.0)
    noise, temperature = u.log() - (1 - u).log(), 0.3
    right = torch.sigmoid((alpha + noise) / temperature).double()
    yours = tensor(answer(alpha.clone(), temperature, u.clone()), (100,), "one gate for each u")
    over(ax, u, right, yours, "u, drawn evenly from 0…1", "gate z (α = 1, τ = 0.3)")
    almost = {
        "σ is missing: these numbers run from −∞ to ∞, a gate lies between 0 and 1": (alpha + noise)
        / temperature,
        "only the noise is divided by τ; σ((α + noise)/τ) divides both": torch.sigmoid(
            alpha + noise / temperature
        ),
        "only α is divided by τ; σ((α + noise)/τ) divides both": torch.sigmoid(
            alpha / temperature + noise
        ),
        "you multiply by τ; a low one makes gates sharper, so divide": torch.sigmoid(
            (alpha + noise) * temperature
        ),
        "τ is not used yet": torch.sigmoid(alpha + noise),
        "ln u alone is never positive, so gates only close; the logistic noise is ln u − ln(1 − u)": torch.sigmoid(
            (alpha + u.log()) / temperature
        ),
        "the sign of the noise is turned round: large u opens gates": torch.sigmoid(
            (alpha - noise) / temperature
        ),
        "the noise goes inside σ, before it: outside, z may leave 0…1": torch.sigmoid(
            alpha / temperature
        )
        + noise,
        "nothing is drawn: this is the deterministic gate, sharpened": torch.sigmoid(
            alpha / temperature
        ),
    }
    for message, wrong in almost.items():
        if close(yours, wrong.double()):
            raise Wrong(message)
    if not close(yours, right):
        raise Wrong(
            "it should be σ((α + ln u − ln(1 − u))/τ): at u = ½ the noise is 0 and, with α = 1 and τ = 0.3, "
            f"z = 0.966; yours is {yours[50]:.3f} there"
        )
    again = torch.tensor([-2.0, 0.0, 3.0]), 0.8, torch.tensor([0.9, 0.5, 0.2])
    third = torch.sigmoid((again[0] + again[2].logit()) / again[1]).double()
    if not close(tensor(answer(*again), (3,), "one gate for each α"), third):
        raise Wrong("right for α = 1 and τ = 0.3, but not for other values: use the arguments")
    return "z > ½ exactly where u > 1 − σ(α): so it happens with probability σ(α), whatever τ is."


@exercise("05.temperature")
def temperature(answer, ax):
    """A temperature that falls, with a floor."""
    steps, share = 500, torch.linspace(0, 1, 501, dtype=torch.float64)
    right = ((1 - share) ** 2).clamp(min=TEMPERATURE_FLOOR)
    yours = numbers(answer, [(step, steps) for step in range(steps + 1)], "the temperature")
    over(ax, range(steps + 1), right, yours, "step", "temperature τ")
    almost = {
        "it falls to exactly 0, by which α is then divided; keep it at 0.05: max(…, 0.05)": (
            1 - share
        )
        ** 2,
        "min(…, 0.05) is a ceiling; a floor is max": ((1 - share) ** 2).clamp(max=0.05),
        "this falls along a straight line; the schedule is (1 − t/T)²": (1 - share).clamp(min=0.05),
        "the floor is added all the way, so τ starts above 1": (1 - share) ** 2 + 0.05,
        "this rises: 1 at the start, low at the end": (share**2).clamp(min=0.05),
    }
    for message, wrong in almost.items():
        if close(yours, wrong):
            raise Wrong(message)
    if not close(yours, right):
        raise Wrong(
            f"half-way τ should be 0.25, yours is {yours[250]:.3g}; at the end 0.05, yours is {yours[-1]:.3g}"
        )
    return "The last fifth of the run stays at 0.05: gates nearly decided, with a gradient that is still a number."


@exercise("05.entropy")
def entropy(answer, ax):
    """The entropy of a gate, by hand."""
    alpha = torch.linspace(-6, 6, 61)
    right = edge_entropy(alpha).double()
    given = answer(alpha.clone())
    if (
        isinstance(given, torch.Tensor)
        and given.shape == ()
        and close(given.detach().double(), right.mean())
    ):
        raise Wrong("this is the mean over all gates; give one number for each gate, shape (61,)")
    yours = tensor(given, (61,), "one number for each gate")
    over(ax, alpha, right, yours, "α", "entropy (nats)")
    p = torch.sigmoid(alpha).double()
    if close(yours, right / math.log(2)):
        raise Wrong(
            "this is the entropy in bits, 1 at its top; in nats the logarithm is the natural one, torch.log"
        )
    if close(yours, -right):
        raise Wrong(
            "the sign is turned round: logarithms of probabilities are negative, entropy is not"
        )
    if close(yours, -p * p.log()) or close(yours, -(1 - p) * (1 - p).log()):
        raise Wrong(
            "this is one of the two terms; both outcomes count, open (p) and closed (1 − p)"
        )
    if not close(yours, right):
        raise Wrong(
            "the curve should be 0 at both ends and ln 2 = 0.693 at α = 0; yours is "
            f"{yours[30]:.3f} there. Both outcomes count, open and closed"
        )
    far = tensor(answer(torch.tensor([-200.0, 200.0])), (2,), "one number for each gate")
    if far.isnan().any():
        raise Wrong(
            "right, except where a gate has fully decided: at α = ±200 you get 0·ln 0 = NaN, and one NaN "
            "spoils all weights. ln p = logsigmoid(α) and ln(1 − p) = logsigmoid(−α) stay numbers"
        )
    if not close(far, torch.zeros(2).double(), 1e-2):
        raise Wrong(f"a gate at α = ±200 has decided, its entropy is 0; yours is {far.tolist()}")
    return "Highest where the gate is undecided, zero where it has decided, and a number wherever α may run."


@exercise("05.force")
def force(answer, ax):
    """The gradient of the entropy."""
    alpha = torch.linspace(-6, 6, 61)
    p = torch.sigmoid(alpha)
    right = (-alpha * p * (1 - p)).double()
    yours = tensor(answer(alpha.clone()), (61,), "one number for each gate")
    over(ax, alpha, right, yours, "α", "∂H/∂α (nats)")
    almost = {
        "this is −∂H/∂α, where descent goes; the gradient itself has the other sign": -right,
        "this is ∂H/∂p = ln((1 − p)/p) = −α; the chain rule brings ∂p/∂α = p(1 − p) along": -alpha.double(),
        "this is ∂p/∂α; multiply it by ∂H/∂p = −α": (p * (1 - p)).double(),
        "this is the gradient of the mean over 61 gates; give that of each gate's own entropy": right
        / 61,
        "you differentiated ln in base 2: in nats there is no factor": right / math.log(2),
    }
    for message, wrong in almost.items():
        if close(yours, wrong, 1e-5):
            raise Wrong(message)
    if not close(yours, right, 1e-5):
        raise Wrong(
            "it should be 0 at α = 0, falling to its right and rising to its left; at α = 1 it is −0.197, "
            f"yours is {yours[35]:.3f}"
        )
    return "Exactly 0 at α = 0: entropy decides nothing by itself, it enlarges what is there."


@exercise("05.tipping")
def tipping(answer, ax):
    """The point from which a gate tips."""
    gradients, weight, edges = torch.linspace(-0.2, 0.2, 21).double(), 10.0, 48
    right = gradients * edges / weight
    yours = numbers(
        answer,
        [(g, weight, edges) for g in gradients.tolist()],
        "the α at which both forces cancel",
    )
    over(ax, gradients, right, yours, "g = ∂L/∂z", "tipping point α*")
    almost = {
        "E is missing: the entropy term is a mean, so each of E edges feels λ/E of it": gradients
        / weight,
        "the sign is turned round: g > 0 pulls down, so the gate must start further up to open": -right,
        "this is the other way round, λ·α/E against g: solve λ/E·α = g for α": gradients
        * weight
        / edges,
        "E divides λ, so it multiplies g": gradients / edges / weight,
    }
    for message, wrong in almost.items():
        if close(yours, wrong, 1e-6):
            raise Wrong(message)
    if not close(yours, right, 1e-6):
        raise Wrong(
            f"for g = 0.1, λ = 10 and 48 edges the forces cancel at α = 0.48; yours is {yours[15]:.3g}"
        )
    if not close(numbers(answer, [(0.1, 2.0, 6)], ""), torch.tensor([0.3]).double(), 1e-6):
        raise Wrong("right for λ = 10 and 48 edges, but not for other values: use the arguments")
    return "p(1 − p) stands in both forces and cancels: how far a gate has decided changes its speed, not its way."


@exercise("05.ramp")
def ramp(answer, ax):
    """A weight that lets the tasks speak first."""
    steps, share = 500, torch.linspace(0, 1, 501, dtype=torch.float64)
    right = torch.tensor([RAMP(step, steps) for step in range(steps + 1)], dtype=torch.float64)
    yours = numbers(answer, [(step, steps) for step in range(steps + 1)], "the weight λ")
    over(ax, range(steps + 1), right, yours, "step", "entropy weight λ")
    late = share > 0.3
    almost = {
        "it grows from the first step on; up to 30 % of the steps λ should be 0": 10 * share,
        "it waits, but then jumps to 3: the ramp begins at 0, (share − 0.3)/0.7": 10 * share * late,
        "it only reaches 7: divide by the length of the ramp, 0.7": 10 * (share - 0.3).clamp(min=0),
        "before its start λ is negative, which rewards undecided gates; keep it at 0": 10
        * (share - 0.3)
        / 0.7,
        "this is a jump; a ramp grows evenly from 0 to 10": 10.0 * late,
        "it ends at 1: multiply by 10": right / 10,
    }
    for message, wrong in almost.items():
        if close(yours, wrong.double()):
            raise Wrong(message)
    if not close(yours, right):
        raise Wrong(
            "0 up to step 150, 5 at step 325, 10 at step 500; yours: "
            f"{yours[150]:.3g}, {yours[325]:.3g}, {yours[500]:.3g}"
        )
    return "In the library: Schedule(10.0, 0.0, (0.3, 1.0)), the preset's own."
