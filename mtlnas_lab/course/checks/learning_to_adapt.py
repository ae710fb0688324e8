"""Checks of notebook 19: a child of two graphs, and the interaction of two parts."""

from __future__ import annotations

import numpy as np
import torch

from ..checking import exercise
from .common import bars, differ, near_misses, row, truths


# --- two parts, four arms -----------------------------------------------------------------------------------------------
@exercise("19.interaction")
def interaction(answer, ax):
    """The interaction of two parts, seed by seed."""
    both = np.array([0.80, 0.84, 0.79])  # meta, evolved
    one = np.array([0.86, 0.83, 0.88])  # meta, all edges
    other = np.array([0.85, 0.90, 0.82])  # joint, evolved
    neither = np.array([0.87, 0.88, 0.90])  # joint, all edges
    right = _interaction(both, one, other, neither)
    yours = row(answer(both.copy(), one.copy(), other.copy(), neither.copy()), 3, "the seeds")
    bars(ax, right, yours, ["seed 1", "seed 2", "seed 3"], "interaction")

    of_meta = both - one
    of_joint = other - neither
    average = np.full(3, right.mean())
    mistakes = {
        "the sign is turned: what evolving brings to meta-learnt weights comes first": -right,
        "this is what evolving brings to meta-learnt weights; take off what it brings to joint ones": of_meta,
        "this is what evolving brings to joint weights alone": of_joint,
        "this is what both parts bring together, against neither": both - neither,
        "this adds both gains; their difference is asked": of_meta + of_joint,
        "an interaction is no mean: leave the ½ out": right / 2,
        "this is one number for all; each seed has its own": average,
    }
    places = [f"for seed {place + 1}" for place in range(3)]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-9)
    return "Four numbers that each vary are in it: so its noise is about twice that of one arm."


def _interaction(both: np.ndarray, one: np.ndarray, other: np.ndarray, neither: np.ndarray):
    return (both - one) - (other - neither)


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
