"""Checks of notebook 16: how undecided a choice among several operations is, and a centroid that follows its pictures."""

from __future__ import annotations

import math

import torch

from ..checking import Wrong, exercise
from .common import bars, close, differ, near_misses, row


# --- a choice among several ---------------------------------------------------------------------------------------------
@exercise("16.undecided")
def undecided(answer, ax):
    """The entropy of a choice among K operations, as a share of the largest."""
    alpha = torch.tensor(
        [
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [2.0, 0.0, 0.0, 0.0, 0.0],
            [1.0, 1.0, -2.0, -2.0, -2.0],
            [9.0, -3.0, 0.0, 1.0, 2.0],
        ]
    )
    shares = alpha.double().softmax(1)
    nats = -(shares * shares.log()).sum(1)
    right = nats / math.log(5)
    yours = row(answer(alpha.clone()), 4, "the stages")
    places = [f"for stage {place}" for place in range(4)]
    bars(ax, right, yours, [f"stage {place}" for place in range(4)], "entropy / ln K")

    single = torch.sigmoid(alpha.double())
    edges = -(single * single.log() + (1 - single) * (1 - single).log())
    down = alpha.double().softmax(0)
    mistakes = {
        "this is in nats; divide by ln K, which five equal shares have": nats,
        "this is in bits, or over ln 2, the most that two can have; divide by ln K": nats
        / math.log(2),
        "the sign is wrong: p ln p is never above 0": -right,
        "this is the largest share; the entropy of all of them is asked": shares.amax(1),
        "this is the mean over the operations; their terms are added": right / 5,
    }
    by_edges = edges.mean(1) / math.log(2)
    mistakes["σ makes each logit an edge by itself; of these only one is chosen: softmax"] = (
        by_edges
    )
    by_stages = -(down * down.log()).sum(1) / math.log(5)
    mistakes["this is the softmax over the stages; each row is a choice of its own"] = by_stages
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-5)
    said = "right for five operations, but not for two, where ln K is ln 2"
    two = row(answer.also(said, torch.tensor([[0.0, 0.0]])), 1, "the stages")
    if not close(two, [1.0]):
        raise Wrong(f"{said}: K is the second axis")
    return "1 where nothing is decided, 0 where one operation has it all, whatever K is. With two operations it is an edge's."


# --- a memory -----------------------------------------------------------------------------------------------------------
@exercise("16.centroid")
def centroid(answer, ax):
    """A centroid after a picture of its scene has come."""
    old = torch.tensor([0.6, 0.8, 0.0])
    feature = torch.tensor([0.0, 3.0, 4.0])
    new = feature / feature.norm()
    mixed = 0.2 * old + 0.8 * new
    right = mixed / mixed.norm()
    yours = row(answer(old.clone(), feature.clone(), 0.2), 3, "the features")
    places = [f"for feature {place}" for place in range(3)]
    bars(ax, right, yours, [f"feature {place}" for place in range(3)], "centroid")

    raw = 0.2 * old + 0.8 * feature
    swapped = 0.8 * old + 0.2 * new
    mistakes = {
        "its length is not 1 any more: divide by it at the end": mixed,
        "the feature is 5 long and counts too much: make its length 1 first": raw / raw.norm(),
        "make the feature's length 1 first, and the centroid's at the end": raw,
        "the momentum is what stays of the old centroid": swapped / swapped.norm(),
        "the momentum is what stays of the old centroid, and the length is 1 at the end": swapped,
        "divide by the length, the root of the sum of squares, not by the sum": mixed / mixed.sum(),
        "this is the old centroid: the picture has to move it": old,
        "this is the picture alone: something stays of the old centroid": new,
    }
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-5)
    said = "right for a momentum of 0.2, but not for 0"
    alone = row(answer.also(said, old.clone(), feature.clone(), 0.0), 3, "the features")
    if not close(alone, new):
        raise Wrong(f"{said}: use the argument")
    return (
        "A low momentum follows the latest picture, a high one the mean of many. The paper has 0.2."
    )
