"""Checks of notebook 05: relaxation, temperature, entropy and its force, the tipping point, the ramp."""

from __future__ import annotations

import math

import torch

from ...core.relaxation import TEMPERATURE_FLOOR, edge_entropy
from ...core.schedule import Schedule
from ..checking import Wrong, exercise
from .common import close, curves, differ, gradient, near_misses, numbers, tensor

RAMP = Schedule(10.0, 0.0, (0.3, 1.0))  # that of the preset which the notebook searches with


@exercise("05.concrete")
def concrete(answer, ax):
    """A stochastic gate."""
    u = torch.linspace(0.005, 0.995, 100)
    alpha = torch.full_like(u, 1.0)
    temperature = 0.3
    noise = u.log() - (1 - u).log()
    right = torch.sigmoid((alpha + noise) / temperature).double()
    yours = tensor(answer(alpha, temperature, u), (100,), "one gate for each u")
    curves(ax, u, right, yours, "u, drawn evenly from 0…1", "gate z (α = 1, τ = 0.3)")
    places = [f"at u = {value:.3g}" for value in u.tolist()]
    near_misses(
        yours,
        right,
        _wrong_gates(alpha, temperature, u),
        "it should be σ((α + ln u − ln(1 − u))/τ): at u = ½ the noise is 0 and, with α = 1 and τ = 0.3, z is 0.966; "
        + differ(right, yours, places, worst=True),
    )
    _judge_other_gates(answer)
    return "z > ½ exactly where u > 1 − σ(α): so it happens with probability σ(α), whatever τ is."


def _wrong_gates(
    alpha: torch.Tensor, temperature: float, u: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Sentence → what this mistake makes of σ((α + ln u − ln(1 − u))/τ)."""
    noise = u.log() - (1 - u).log()
    right = torch.sigmoid((alpha + noise) / temperature)

    # σ and τ: left out, or put around a part of the sum alone
    without_sigma = (alpha + noise) / temperature
    noise_divided = torch.sigmoid(alpha + noise / temperature)
    alpha_divided = torch.sigmoid(alpha / temperature + noise)
    multiplied = torch.sigmoid((alpha + noise) * temperature)
    without_tau = torch.sigmoid(alpha + noise)
    noise_outside = torch.sigmoid(alpha / temperature) + noise
    # a part of the sum is missing or has the wrong sign
    half_the_noise = torch.sigmoid((alpha + u.log()) / temperature)
    noise_subtracted = torch.sigmoid((alpha - noise) / temperature)
    without_noise = torch.sigmoid(alpha / temperature)
    without_alpha = torch.sigmoid(noise / temperature)
    # what `derive` does with gates in the end, done too early
    cut = (right > 0.5).double()
    # log10 and log2 stand beside log in every library
    base_ten = torch.sigmoid((alpha + noise / math.log(10)) / temperature)
    base_two = torch.sigmoid((alpha + noise / math.log(2)) / temperature)
    mistakes = {
        "σ is missing: these numbers run from −∞ to ∞, a gate lies between 0 and 1": without_sigma,
        "only the noise is divided by τ; σ((α + noise)/τ) divides both": noise_divided,
        "only α is divided by τ; σ((α + noise)/τ) divides both": alpha_divided,
        "you multiply by τ; a low one makes gates sharper, so divide": multiplied,
        "τ is not used yet": without_tau,
        "ln u alone is never positive, so gates only close; the logistic noise is ln u − ln(1 − u)": (
            half_the_noise
        ),
        "the sign of the noise is turned round: large u opens gates": noise_subtracted,
        "the noise goes inside σ, before it: outside, z may leave 0…1": noise_outside,
        "nothing is drawn: this is the deterministic gate, sharpened": without_noise,
        "α is missing: σ((α + noise)/τ)": without_alpha,
        "this is the noise alone; σ((α + noise)/τ)": noise,
        "gates are cut to 0 and 1, through which no gradient flows; leave σ as it is": cut,
        "the logarithm is the natural one, torch.log": base_ten,
        "the logarithm is the natural one, torch.log, not log2": base_two,
    }
    return mistakes


def _judge_other_gates(answer) -> None:
    """Other arguments than those of the picture, and the gradient by α, which a search lives on."""
    alpha = torch.tensor([-2.0, 0.0, 3.0])
    temperature = 0.8
    u = torch.tensor([0.9, 0.5, 0.2])
    right = torch.sigmoid((alpha + u.logit()) / temperature).double()
    said = "right for α = 1 and τ = 0.3, but not for other values"
    given = answer.also(said, alpha, temperature, u)
    if not close(tensor(given, (3,), "one gate for each α"), right):
        raise Wrong(f"{said}: use the arguments")
    learning = alpha.clone().requires_grad_()
    found = gradient(answer(learning, temperature, u), learning)
    if found is None or not found.any():
        raise Wrong(
            "the numbers are right, but no gradient reaches α, so no search could move it: leave out .detach(), "
            ".item(), numpy and torch.tensor(…) on the way from α to z"
        )
    if not close(found, right * (1 - right) / temperature, 1e-3):
        raise Wrong(
            "the numbers are right, but their gradient by α is not z·(1 − z)/τ: is α in it once, undivided?"
        )


@exercise("05.temperature")
def temperature(answer, ax):
    """A temperature that falls, with a floor."""
    steps = 500
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    falling = (1 - share) ** 2
    right = falling.clamp(min=TEMPERATURE_FLOOR)
    yours = numbers(answer, [(step, steps) for step in range(steps + 1)], "the temperature")
    curves(ax, range(steps + 1), right, yours, "step", "temperature τ")

    # the floor: forgotten, the wrong way round, added or mixed in instead of cutting off
    ceiling = falling.clamp(max=0.05)
    lifted = falling + 0.05
    mixed_in = 0.05 + 0.95 * falling
    # the curve itself
    line = 1 - share
    line_with_floor = line.clamp(min=0.05)
    rising = (share**2).clamp(min=0.05)
    falling_late = (1 - share**2).clamp(min=0.05)
    mistakes = {
        "it falls to exactly 0, by which α is then divided; keep it at 0.05: max(…, 0.05)": falling,
        "min(…, 0.05) is a ceiling; a floor is max": ceiling,
        "this falls along a straight line; the schedule is (1 − t/T)²": line_with_floor,
        "the floor is added all the way, so τ starts above 1": lifted,
        "this rises: 1 at the start, low at the end": rising,
        "this is 1 − (t/T)², which falls late; the schedule is (1 − t/T)²": falling_late,
        "the square is missing, and the floor: max((1 − t/T)², 0.05)": line,
        "this falls from 1 to 0.05 along a curve of its own; the floor cuts off what lies below: max(…, 0.05)": (
            mixed_in
        ),
    }
    places = [f"at step {step} of {steps}" for step in range(steps + 1)]
    said = differ(right, yours, places, worst=True)
    near_misses(yours, right, mistakes, f"half-way τ should be 0.25, in the end 0.05; {said}")

    # a second length, for whoever wrote the 500 into the function
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
    curves(ax, alpha, right, yours, "α", "entropy (nats)")
    places = [f"at α = {value:.2g}" for value in alpha.tolist()]
    told = differ(right, yours, places, worst=True)
    _judge_entropies(
        yours,
        right,
        torch.sigmoid(alpha).double(),
        f"the curve should be 0 at both ends and ln 2 = 0.693 at α = 0; {told}. Both outcomes count, open and closed",
    )

    # where σ(α) is exactly 0 or 1 in floating point, p ln p is 0 · −∞
    ends = torch.tensor([-200.0, 200.0])
    far = tensor(answer(ends), (2,), "one number for each gate")
    if far.isnan().any():
        raise Wrong(
            "right, except where a gate has fully decided: at α = ±200 you get 0·ln 0 = NaN, and one NaN spoils all "
            "weights. ln p = logsigmoid(α) and ln(1 − p) = logsigmoid(−α) stay numbers"
        )
    # 1e-2: a small number added inside the logarithm to avoid NaN is fine
    if not close(far, torch.zeros(2).double(), 1e-2):
        said = differ([0, 0], far, ["at α = -200", "at α = 200"], 1e-2)
        raise Wrong(f"a gate at α = ±200 has decided, so its entropy is 0; {said}")
    praise = "Highest where the gate is undecided, zero where it has decided, and a number wherever α may run."
    return praise + _about_its_gradient(answer)


def _judge_entropies(
    yours: torch.Tensor, right: torch.Tensor, p: torch.Tensor, otherwise: str
) -> None:
    opened = -p * p.log()
    closed = -(1 - p) * (1 - p).log()
    one_term = "this is one of the two terms; both outcomes count, open (p) and closed (1 − p)"
    for wrong in (opened, closed):
        near_misses(yours, right, {one_term: wrong})

    bits = right / math.log(2)
    second_turned = opened - closed
    without_weights = -p.log() - (1 - p).log()
    variance = p * (1 - p)  # it has the same shape, and the same place for its top
    mistakes = {
        "this is the entropy in bits, 1 at its top; in nats the logarithm is the natural one, torch.log": bits,
        "the sign is turned round: logarithms of probabilities are negative, entropy is not": -right,
        "the second term has the wrong sign: −p ln p − (1 − p) ln(1 − p)": second_turned,
        "the weights are missing: each logarithm is multiplied by its probability": without_weights,
        "this is the variance p(1 − p) of the coin, not its entropy": variance,
        "this is the gate's probability; its entropy is −p ln p − (1 − p) ln(1 − p)": p,
    }
    near_misses(yours, right, mistakes, otherwise)


def _about_its_gradient(answer) -> str:
    """What the praise adds where the function is right, but could not push α in a search."""
    learning = torch.tensor([-200.0, 0.5, 200.0], requires_grad=True)
    found = gradient(answer.gently(learning), learning)
    if found is None:
        return " (No gradient flows through yours: to push α, it would have to be made of torch's functions of α.)"
    if found.isnan().any():
        return " (But its gradient at α = ±200 is NaN, for 0·ln 0 is still computed: logsigmoid(α) has none of that.)"
    return ""


@exercise("05.force")
def force(answer, ax):
    """The gradient of the entropy."""
    alpha = torch.linspace(-6, 6, 61)
    p = torch.sigmoid(alpha)
    right = (-alpha * p * (1 - p)).double()
    yours = tensor(answer(alpha), (61,), "one number for each gate")
    curves(ax, alpha, right, yours, "α", "∂H/∂α (nats)")
    places = [f"at α = {value:.2g}" for value in alpha.tolist()]
    near_misses(
        yours,
        right,
        _wrong_forces(alpha, right),
        "it should be 0 at α = 0, falling to its right and rising to its left, and −0.197 at α = 1; "
        + differ(right, yours, places, 1e-5, worst=True),
        atol=1e-5,
    )
    return "Exactly 0 at α = 0: entropy decides nothing by itself, it enlarges what is there."


def _wrong_forces(alpha: torch.Tensor, right: torch.Tensor) -> dict[str, torch.Tensor]:
    """Sentence → what this mistake makes of ∂H/∂α = −α·p(1 − p)."""
    p = torch.sigmoid(alpha)
    # the chain rule, ∂H/∂p times ∂p/∂α: one of its factors alone
    by_p = -alpha.double()
    p_by_alpha = (p * (1 - p)).double()
    without_closed = (-alpha * p).double()
    without_open = (-alpha * (1 - p)).double()
    p_for_alpha = (-p * p * (1 - p)).double()
    # autograd of .mean() instead of .sum(), and log2
    of_the_mean = right / 61
    base_two = right / math.log(2)
    entropies = edge_entropy(alpha).double()
    mistakes = {
        "this is −∂H/∂α, where descent goes; the gradient itself has the other sign": -right,
        "this is ∂H/∂p = ln((1 − p)/p) = −α; the chain rule brings ∂p/∂α = p(1 − p) along": by_p,
        "this is ∂p/∂α; multiply it by ∂H/∂p = −α": p_by_alpha,
        "this is the gradient of the mean over 61 gates; give that of each gate's own entropy": of_the_mean,
        "you differentiated ln in base 2: in nats there is no factor": base_two,
        "this is the entropy itself, H; asked for is its derivative": entropies,
        "the factor 1 − p is missing: ∂p/∂α = p(1 − p)": without_closed,
        "the factor p is missing: ∂p/∂α = p(1 − p)": without_open,
        "p stands where α should: −α·p(1 − p), in which only p is σ(α)": p_for_alpha,
    }
    return mistakes


@exercise("05.tipping")
def tipping(answer, ax):
    """The point from which a gate tips."""
    gradients = torch.linspace(-0.2, 0.2, 21).double()
    weight = 10.0
    edges = 48
    right = gradients * edges / weight
    what = "the α at which both forces cancel"
    yours = numbers(answer, [(g, weight, edges) for g in gradients.tolist()], what)
    curves(ax, gradients, right, yours, "g = ∂L/∂z", "tipping point α*")

    # g = λ/E · α, solved for α with one of its three letters lost or on the wrong side
    without_edges = gradients / weight
    upside_down = gradients * weight / edges
    edges_below = gradients / edges / weight
    without_weight = gradients * edges
    weight_above = gradients * edges * weight
    mistakes = {
        "E is missing: the entropy term is a mean, so each of E edges feels λ/E of it": without_edges,
        "the sign is turned round: g > 0 pulls down, so the gate must start further up to open": -right,
        "this is the other way round, λ·α/E against g: solve λ/E·α = g for α": upside_down,
        "E divides λ, so it multiplies g": edges_below,
        "λ is missing: the stronger the entropy's push, the nearer to 0 the gate tips": without_weight,
        "λ multiplies where it should divide: the stronger the entropy's push, the nearer to 0 the gate tips": (
            weight_above
        ),
        "this is the gate σ(α*) at the tipping point; asked for is α* itself": right.sigmoid(),
    }
    places = [f"for g = {g:.2g}" for g in gradients.tolist()]
    said = "for g = 0.1, λ = 10 and 48 edges the forces cancel at α = 0.48; "
    said += differ(right, yours, places, 1e-6, worst=True)
    # 1e-6: for g near 0 all of these lines lie close together
    near_misses(yours, right, mistakes, said, atol=1e-6)
    if not close(numbers(answer, [(0.1, 2.0, 6)], what), [0.3], 1e-6):
        raise Wrong("right for λ = 10 and 48 edges, but not for other values: use the arguments")
    return "p(1 − p) stands in both forces and cancels: how far a gate has decided changes its speed, not its way."


@exercise("05.ramp")
def ramp(answer, ax):
    """A weight that lets the tasks speak first."""
    steps = 500
    right = torch.tensor([RAMP(step, steps) for step in range(steps + 1)], dtype=torch.float64)
    yours = numbers(answer, [(step, steps) for step in range(steps + 1)], "the weight λ")
    curves(ax, range(steps + 1), right, yours, "step", "entropy weight λ")
    places = [f"at step {step} of {steps}" for step in range(steps + 1)]
    said = differ(right, yours, places, worst=True)
    near_misses(
        yours,
        right,
        _wrong_ramps(right),
        f"0 up to step 150, 5 at step 325, 10 at step 500; {said}",
    )
    again = numbers(answer, [(200, 1000), (650, 1000), (1000, 1000)], "the weight λ")
    if not close(again, [0, 5, 10]):
        places = [f"at step {step} of 1000" for step in (200, 650, 1000)]
        raise Wrong(f"right for 500 steps, but {differ([0, 5, 10], again, places)}: use `steps`")
    return "In the library: Schedule(10.0, 0.0, (0.3, 1.0)), the preset's own."


def _wrong_ramps(right: torch.Tensor) -> dict[str, torch.Tensor]:
    """Sentence → what this mistake makes of 10 · max(0, (share − 0.3)/0.7)."""
    share = torch.linspace(0, 1, len(right), dtype=torch.float64)
    late = share > 0.3
    # where it begins
    from_the_start = 10 * share
    jump_then_line = 10 * share * late
    negative_first = 10 * (share - 0.3) / 0.7
    jump = 10.0 * late
    begins_at_70 = 10 * ((share - 0.7) / 0.3).clamp(min=0)
    # how steep it is: by the ramp's length, 0.7, or by its start, 0.3
    undivided = 10 * (share - 0.3).clamp(min=0)
    too_steep_then_flat = 10 * ((share - 0.3) / 0.3).clamp(0, 1)
    too_steep = 10 * ((share - 0.3) / 0.3).clamp(min=0)
    mistakes = {
        "it grows from the first step on; up to 30 % of the steps λ should be 0": from_the_start,
        "it waits, but then jumps to 3: the ramp begins at 0, (share − 0.3)/0.7": jump_then_line,
        "it only reaches 7: divide by the length of the ramp, 0.7": undivided,
        "before its start λ is negative, which rewards undecided gates; keep it at 0": negative_first,
        "this is a jump; a ramp grows evenly from 0 to 10": jump,
        "it ends at 1: multiply by 10": right / 10,
        "it falls from 10 to 0; a ramp that lets the tasks speak first grows": right.flip(0),
        "it begins at 70 % of the steps; up to 30 % of the steps λ should be 0": begins_at_70,
        "it has reached 10 long before the end: divide by the length of the ramp, 0.7, not by 0.3": (
            too_steep_then_flat
        ),
        "it ends far above 10: divide by the length of the ramp, 0.7, not by 0.3": too_steep,
    }
    return mistakes
