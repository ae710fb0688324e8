"""Checks of notebook 19: one outer step of Reptile, and a child of two graphs."""

from __future__ import annotations

import torch

from ..checking import Wrong, exercise
from .common import bars, close, differ, near_misses, row, truths


# --- Reptile ------------------------------------------------------------------------------------------------------------
@exercise("19.reptile")
def reptile(answer, ax):
    """One outer step of Reptile."""
    weights = torch.tensor([1.0, -2.0, 0.5, 0.0])
    adapted = torch.tensor([[2.0, -2.0, 0.0, 1.0], [3.0, -1.0, 0.0, -1.0], [1.0, 0.0, 0.9, 3.0]])
    rate = 0.4
    right = _moved(weights, adapted, rate)
    yours = row(answer(weights.clone(), adapted.clone(), rate), 4, "the weights")
    bars(ax, right, yours, [f"weight {place}" for place in range(4)], "after the outer step")

    mean = adapted.mean(0)
    way = mean - weights
    last = _moved(weights, adapted[-1:], rate)
    first = _moved(weights, adapted[:1], rate)
    summed = weights + rate * (adapted - weights).sum(0)
    mistakes = {
        "this goes away from what the copies became: the difference is mean − w": weights
        - rate * way,
        "take w off the mean first: the step is the difference, not the mean": weights
        + rate * mean,
        "this is the mean of the copies, which is right for a rate of 1 alone": mean,
        "the rate stands at the wrong end: with a rate of 0 nothing moves": mean - rate * way,
        "this is the step; add it to w": rate * way,
        "these are sums over the copies; take the mean": summed,
        "this takes the last copy alone; all of them count": last,
        "this takes the first copy alone; all of them count": first,
    }
    places = [f"for weight {place}" for place in range(4)]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-6)
    said = "right for three copies and a rate of 0.4, but not for one copy and a rate of 1"
    one = row(answer.also(said, weights.clone(), adapted[:1].clone(), 1.0), 4, "the weights")
    if not close(one, adapted[0]):
        raise Wrong(f"{said}: use the arguments")
    return "No gradient goes through the adaptation: Reptile needs where the copies went, not how they came there."


def _moved(weights: torch.Tensor, adapted: torch.Tensor, rate: float) -> torch.Tensor:
    return weights + rate * (adapted.mean(0) - weights)


# --- a child ------------------------------------------------------------------------------------------------------------
MOTHER = [True, True, False, False, True, True, False, False]
FATHER = [True, False, True, False, True, False, True, False]
COINS = [True, True, True, True, False, False, False, False]
FLIPS = [False, False, False, True, True, False, True, False]


@exercise("19.child")
def child(answer, ax):
    """Uniform crossover of two graphs, and flipped bits."""
    given = [MOTHER, FATHER, COINS, FLIPS]
    tensors = [torch.tensor(bits) for bits in given]
    right = _born(*given)
    yours = truths(answer(*[bits.clone() for bits in tensors]), len(MOTHER), "the edges")
    labels = [f"edge {place}" for place in range(len(MOTHER))]
    bars(
        ax, [float(bit) for bit in right], [float(bit) for bit in yours], labels, "open (1) or shut"
    )
    ax.tick_params(axis="x", labelsize=7)

    shut = [False] * len(MOTHER)
    turned = [not coin for coin in COINS]
    crossed = _born(MOTHER, FATHER, COINS, shut)
    opened = [bit or flip for bit, flip in zip(crossed, FLIPS)]
    closed = [bit and not flip for bit, flip in zip(crossed, FLIPS)]
    mistakes = {"this is the crossover alone: some bits flip after it": crossed}
    other_way = _born(MOTHER, FATHER, turned, FLIPS)
    mistakes["where the coin is True the bit is the mother's, and here it is the father's"] = (
        other_way
    )
    mistakes["a flip shuts an open edge as well; this one only opens"] = opened
    mistakes["a flip opens a shut edge as well; this one only shuts"] = closed
    mistakes["nothing of the father is in this child"] = _born(MOTHER, MOTHER, COINS, FLIPS)
    mistakes["nothing of the mother is in this child"] = _born(FATHER, FATHER, COINS, FLIPS)
    wrong = [place for place, (a, b) in enumerate(zip(right, yours)) if a != b]
    otherwise = ""
    if wrong:
        word = "open" if right[wrong[0]] else "shut"
        otherwise = f"edge {wrong[0]} should be {word}; yours is not"
    near_misses(yours, right, mistakes, otherwise)
    return "Each bit comes from one of the parents, whatever its neighbours do; flips bring back what the population has lost."


def _born(mother: list, father: list, from_mother: list, flips: list) -> list[bool]:
    bits = []
    for one, other, coin, flip in zip(mother, father, from_mother, flips):
        bit = one if coin else other
        bits.append(bit != flip)
    return bits
