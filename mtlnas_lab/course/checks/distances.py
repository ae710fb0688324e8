"""Checks of notebook 15: the Fisher information from gradients, and the distance between two of them."""

from __future__ import annotations

import numpy as np
import torch

from ..checking import Wrong, exercise
from .common import bars, close, differ, near_misses, numbers, row


# --- Fisher information -------------------------------------------------------------------------------------------------
@exercise("15.fisher")
def fisher(answer, ax):
    """The diagonal of the Fisher information from the gradients of single images."""
    gradients = torch.tensor(
        [
            [1.0, 2.0, 0.0, -1.0, 0.5],
            [-1.0, 2.0, 0.5, 3.0, 0.5],
            [2.0, 2.0, -0.5, 1.0, 0.0],
        ]
    )
    right = gradients.square().mean(0).double()
    yours = row(answer(gradients.clone()), 5, "the weights")
    bars(ax, right, yours, [f"weight {place}" for place in range(5)], "Fisher information")

    squared_mean = gradients.mean(0).square()
    mistakes = {
        "this squares the mean gradient, in which images that pull in opposite directions cancel: square first": squared_mean,
        "these are sums over the images; take the mean": gradients.square().sum(0),
        "this is the mean gradient; square each image's before the mean": gradients.mean(0),
        "these are mean sizes; the Fisher information has squares": gradients.abs().mean(0),
    }
    shared = gradients.var(0, correction=0)
    mistakes["this is the variance over the images, which loses what all of them share"] = shared
    mistakes["this is the variance over the images; the squares themselves are asked"] = (
        gradients.var(0)
    )
    mistakes["this is the root; leave the squares as they are"] = right.sqrt()
    places = [f"for weight {place}" for place in range(5)]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-6)
    said = "right for three images, but not for one"
    one = row(answer.also(said, torch.tensor([[2.0, -3.0]])), 2, "the weights")
    if not close(one, [4.0, 9.0]):
        raise Wrong(f"{said}: use the argument")
    return "It is never negative, and 0 only where no image pulls at all."


# --- distance -----------------------------------------------------------------------------------------------------------
@exercise("15.distance")
def distance(answer, ax):
    """The Hellinger distance between two diagonals."""
    pairs = {
        "in proportion": ([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]),
        "alike": ([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]),
        "unlike": ([5.0, 1.0, 0.0], [0.5, 1.0, 4.0]),
        "nothing shared": ([1.0, 3.0, 0.0], [0.0, 0.0, 7.0]),
    }
    arguments = []
    for f, g in pairs.values():
        arguments.append((torch.tensor(f), torch.tensor(g)))
    values = [(np.array(f), np.array(g)) for f, g in pairs.values()]
    right = np.array([_hellinger(f, g) for f, g in values])
    yours = numbers(answer, arguments, "a distance")
    bars(ax, right, yours, list(pairs), "distance")

    shares = [(f / f.sum(), g / g.sum()) for f, g in values]
    roots = [np.sqrt(f) - np.sqrt(g) for f, g in values]
    root_shares = [np.sqrt(f) - np.sqrt(g) for f, g in shares]
    mistakes = {
        "divide each by its sum first: only proportions count": _halved(roots),
        "this is the square of the distance; take the root": right**2,
        "divide by √2, so that 1 is the largest": right * np.sqrt(2),
        "the factor is 1/√2 outside of the root, or ½ inside it": right / np.sqrt(2),
        "this is how much they share; the distance is the other way round": 1 - right**2,
    }
    plain = [f - g for f, g in shares]
    mistakes["take the roots of F and G before the difference"] = _halved(plain)
    varied = [np.abs(one).sum() / 2 for one in plain]
    mistakes["these are absolute differences (total variation); the roots of F and G are asked"] = (
        varied
    )
    added = [np.abs(one).sum() / np.sqrt(2) for one in root_shares]
    mistakes["square the differences before you add them"] = added
    places = [f"for the pair “{name}”" for name in pairs]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-5)
    return "It does not matter which of the two comes first. That d[a, b] and d[b, a] differ comes from the losses that they are of."


def _hellinger(f: np.ndarray, g: np.ndarray) -> float:
    roots = np.sqrt(f / f.sum()) - np.sqrt(g / g.sum())
    return float(np.sqrt(np.square(roots).sum() / 2))


def _halved(differences) -> list[float]:
    """The root of half the sum of squares, for each array of differences."""
    return [float(np.sqrt(np.square(one).sum() / 2)) for one in differences]
