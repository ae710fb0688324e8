"""Checks of notebook 05: relaxation, temperature, entropy and its force, the tipping point, the ramp."""

from __future__ import annotations

import math

import torch

from ...core.relaxation import TEMPERATURE_FLOOR, edge_entropy
from ...core.schedule import Schedule
from ..checking import Wrong, exercise
from .common import close, differ, gradient, near_misses, numbers, tensor

RIGHT, YOURS = "#4575b4", "#b35806"


RAMP = Schedule(10.0, 0.0, (0.3, 1.0))


def over(ax, x, right, yours, xlabel: str, ylabel: str) -> None:
    """Two curves over the same x."""
    ax.plot(x, right, color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(x, yours, color=YOURS, lw=1.3, label="yours")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(frameon=False, fontsize=8)


@exercise("05.concrete")
def concrete(answer, ax):
    """A stochastic gate."""
    u = torch.linspace(0.005, 0.995, 100)
    alpha = torch.full_like(u, 1.0)
    noise, temperature = u.log() - (1 - u).log(), 0.3
    right = torch.sigmoid((alpha + noise) / temperature).double()
    yours = tensor(answer(alpha, temperature, u), (100,), "one gate for each u")
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
        "α is missing: σ((α + noise)/τ)": torch.sigmoid(noise / temperature),
        "this is the noise alone; σ((α + noise)/τ)": noise,
        "gates are cut to 0 and 1, through which no gradient flows; leave σ as it is": (
            right > 0.5
        ).double(),
        "the logarithm is the natural one, torch.log": torch.sigmoid(
            (alpha + noise / math.log(10)) / temperature
        ),
        "the logarithm is the natural one, torch.log, not log2": torch.sigmoid(
            (alpha + noise / math.log(2)) / temperature
        ),
    }
    places = [f"at u = {value:.3g}" for value in u.tolist()]
    near_misses(
        yours,
        right,
        almost,
        "it should be σ((α + ln u − ln(1 − u))/τ): at u = ½ the noise is 0 and, with α = 1 and τ = 0.3, z is 0.966; "
        + differ(right, yours, places, worst=True),
    )
    again = torch.tensor([-2.0, 0.0, 3.0]), 0.8, torch.tensor([0.9, 0.5, 0.2])
    third = torch.sigmoid((again[0] + again[2].logit()) / again[1]).double()
    said = "right for α = 1 and τ = 0.3, but not for other values"
    if not close(tensor(answer.also(said, *again), (3,), "one gate for each α"), third):
        raise Wrong("right for α = 1 and τ = 0.3, but not for other values: use the arguments")
    learning = again[0].clone().requires_grad_()
    found = gradient(answer(learning, *again[1:]), learning)
    if found is None or not found.any():
        raise Wrong(
            "the numbers are right, but no gradient reaches α, so no search could move it: leave out .detach(), .item(), "
            "numpy and torch.tensor(…) on the way from α to z"
        )
    if not close(found, third * (1 - third) / again[1], 1e-3):
        raise Wrong(
            "the numbers are right, but their gradient by α is not z·(1 − z)/τ: is α in it once, undivided?"
        )
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
        "this is 1 − (t/T)², which falls late; the schedule is (1 − t/T)²": (1 - share**2).clamp(
            min=0.05
        ),
        "the square is missing, and the floor: max((1 − t/T)², 0.05)": 1 - share,
        "this falls from 1 to 0.05 along a curve of its own; the floor cuts off what lies below: max(…, 0.05)": (
            0.05 + 0.95 * (1 - share) ** 2
        ),
    }
    places = [f"at step {step} of {steps}" for step in range(steps + 1)]
    said = differ(right, yours, places, worst=True)
    near_misses(yours, right, almost, f"half-way τ should be 0.25, in the end 0.05; {said}")
    short = [0.81, 0.25, 0.05]
    again = numbers(answer, [(1, 10), (5, 10), (10, 10)], "the temperature")
    if not close(again, short):
        places = [f"at step {step} of 10" for step in (1, 5, 10)]
        raise Wrong(f"right for 500 steps, but {differ(short, again, places)}: use `steps`")
    return "The last fifth of the run stays at 0.05: gates nearly decided, with a gradient that is still a number."


@exercise("05.entropy")
def entropy(answer, ax):
    """The entropy of a gate, by hand."""
    alpha = torch.linspace(-6, 6, 61)
    right = edge_entropy(alpha).double()
    given = answer(alpha)
    if isinstance(given, (torch.Tensor, float)) and close(given, right.mean()):
        raise Wrong("this is the mean over all gates; give one number for each gate, shape (61,)")
    yours = tensor(given, (61,), "one number for each gate")
    over(ax, alpha, right, yours, "α", "entropy (nats)")
    p = torch.sigmoid(alpha).double()
    one_term = "this is one of the two terms; both outcomes count, open (p) and closed (1 − p)"
    for wrong in (-p * p.log(), -(1 - p) * (1 - p).log()):
        near_misses(yours, right, {one_term: wrong})
    almost = {
        "this is the entropy in bits, 1 at its top; in nats the logarithm is the natural one, torch.log": right
        / math.log(2),
        "the sign is turned round: logarithms of probabilities are negative, entropy is not": -right,
        "the second term has the wrong sign: −p ln p − (1 − p) ln(1 − p)": -p * p.log()
        + (1 - p) * (1 - p).log(),
        "the weights are missing: each logarithm is multiplied by its probability": -p.log()
        - (1 - p).log(),
        "this is the variance p(1 − p) of the coin, not its entropy": p * (1 - p),
        "this is the gate's probability; its entropy is −p ln p − (1 − p) ln(1 − p)": p,
    }
    places = [f"at α = {value:.2g}" for value in alpha.tolist()]
    near_misses(
        yours,
        right,
        almost,
        "the curve should be 0 at both ends and ln 2 = 0.693 at α = 0; "
        f"{differ(right, yours, places, worst=True)}. Both outcomes count, open and closed",
    )
    ends = torch.tensor([-200.0, 200.0])
    far = tensor(answer(ends), (2,), "one number for each gate")
    if far.isnan().any():
        raise Wrong(
            "right, except where a gate has fully decided: at α = ±200 you get 0·ln 0 = NaN, and one NaN "
            "spoils all weights. ln p = logsigmoid(α) and ln(1 − p) = logsigmoid(−α) stay numbers"
        )
    if not close(far, torch.zeros(2).double(), 1e-2):
        said = differ([0, 0], far, ["at α = -200", "at α = 200"], 1e-2)
        raise Wrong(f"a gate at α = ±200 has decided, so its entropy is 0; {said}")
    praise = "Highest where the gate is undecided, zero where it has decided, and a number wherever α may run."
    learning = torch.tensor([-200.0, 0.5, 200.0], requires_grad=True)
    found = gradient(answer.gently(learning), learning)
    if found is None:
        praise += " (No gradient flows through yours: to push α, it would have to be made of torch's functions of α.)"
    elif found.isnan().any():
        praise += " (But its gradient at α = ±200 is NaN, for 0·ln 0 is still computed: logsigmoid(α) has none of that.)"
    return praise


@exercise("05.force")
def force(answer, ax):
    """The gradient of the entropy."""
    alpha = torch.linspace(-6, 6, 61)
    p = torch.sigmoid(alpha)
    right = (-alpha * p * (1 - p)).double()
    yours = tensor(answer(alpha), (61,), "one number for each gate")
    over(ax, alpha, right, yours, "α", "∂H/∂α (nats)")
    almost = {
        "this is −∂H/∂α, where descent goes; the gradient itself has the other sign": -right,
        "this is ∂H/∂p = ln((1 − p)/p) = −α; the chain rule brings ∂p/∂α = p(1 − p) along": -alpha.double(),
        "this is ∂p/∂α; multiply it by ∂H/∂p = −α": (p * (1 - p)).double(),
        "this is the gradient of the mean over 61 gates; give that of each gate's own entropy": right
        / 61,
        "you differentiated ln in base 2: in nats there is no factor": right / math.log(2),
        "this is the entropy itself, H; asked for is its derivative": edge_entropy(alpha).double(),
        "the factor 1 − p is missing: ∂p/∂α = p(1 − p)": (-alpha * p).double(),
        "the factor p is missing: ∂p/∂α = p(1 − p)": (-alpha * (1 - p)).double(),
        "p stands where α should: −α·p(1 − p), in which only p is σ(α)": (
            -p * p * (1 - p)
        ).double(),
    }
    places = [f"at α = {value:.2g}" for value in alpha.tolist()]
    near_misses(
        yours,
        right,
        almost,
        "it should be 0 at α = 0, falling to its right and rising to its left, and −0.197 at α = 1; "
        + differ(right, yours, places, 1e-5, worst=True),
        atol=1e-5,
    )
    return "Exactly 0 at α = 0: entropy decides nothing by itself, it enlarges what is there."


@exercise("05.tipping")
def tipping(answer, ax):
    """The point from which a gate tips."""
    gradients, weight, edges = torch.linspace(-0.2, 0.2, 21).double(), 10.0, 48
    right = gradients * edges / weight
    what = "the α at which both forces cancel"
    yours = numbers(answer, [(g, weight, edges) for g in gradients.tolist()], what)
    over(ax, gradients, right, yours, "g = ∂L/∂z", "tipping point α*")
    almost = {
        "E is missing: the entropy term is a mean, so each of E edges feels λ/E of it": gradients
        / weight,
        "the sign is turned round: g > 0 pulls down, so the gate must start further up to open": -right,
        "this is the other way round, λ·α/E against g: solve λ/E·α = g for α": gradients
        * weight
        / edges,
        "E divides λ, so it multiplies g": gradients / edges / weight,
        "λ is missing: the stronger the entropy's push, the nearer to 0 the gate tips": gradients
        * edges,
        "λ multiplies where it should divide: the stronger the entropy's push, the nearer to 0 the gate tips": (
            gradients * edges * weight
        ),
        "this is the gate σ(α*) at the tipping point; asked for is α* itself": right.sigmoid(),
    }
    places = [f"for g = {g:.2g}" for g in gradients.tolist()]
    said = "for g = 0.1, λ = 10 and 48 edges the forces cancel at α = 0.48; "
    said += differ(right, yours, places, 1e-6, worst=True)
    near_misses(yours, right, almost, said, atol=1e-6)
    if not close(numbers(answer, [(0.1, 2.0, 6)], what), [0.3], 1e-6):
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
        "it falls from 10 to 0; a ramp that lets the tasks speak first grows": right.flip(0),
        "it begins at 70 % of the steps; up to 30 % of the steps λ should be 0": 10
        * ((share - 0.7) / 0.3).clamp(min=0),
        "it has reached 10 long before the end: divide by the length of the ramp, 0.7, not by 0.3": (
            10 * ((share - 0.3) / 0.3).clamp(0, 1)
        ),
        "it ends far above 10: divide by the length of the ramp, 0.7, not by 0.3": (
            10 * ((share - 0.3) / 0.3).clamp(min=0)
        ),
    }
    places = [f"at step {step} of {steps}" for step in range(steps + 1)]
    said = differ(right, yours, places, worst=True)
    near_misses(yours, right, almost, f"0 up to step 150, 5 at step 325, 10 at step 500; {said}")
    again = numbers(answer, [(200, 1000), (650, 1000), (1000, 1000)], "the weight λ")
    if not close(again, [0, 5, 10]):
        places = [f"at step {step} of 1000" for step in (200, 650, 1000)]
        raise Wrong(f"right for 500 steps, but {differ([0, 5, 10], again, places)}: use `steps`")
    return "In the library: Schedule(10.0, 0.0, (0.3, 1.0)), the preset's own."
