"""Checks of notebook 10: the blindfold, a coin's luck, how far the arrows have turned, and where that begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np
import torch

from ...data.views import blindfolded
from ..checking import Wrong, exercise
from .common import (
    RIGHT,
    YOURS,
    apart,
    bars,
    close,
    curves,
    differ,
    kind,
    near_misses,
    number,
    numbers,
    tensor,
)


# --- the blindfold ------------------------------------------------------------------------------------------------------
@exercise("10.blindfold")
def blindfold(answer, ax):
    """The blindfold: v · image + (1 − v) · noise."""
    draw = torch.Generator().manual_seed(0)
    # far larger than the noise, so that its share can be told from the noise's
    image = 20 * torch.randn(4, 3, 16, 16, generator=draw)
    visibility = 0.25
    generator = torch.Generator().manual_seed(1)
    theirs = torch.Generator().manual_seed(1)
    made = tensor(answer(image, visibility, generator), (4, 3, 16, 16), "what the network sees")
    image = image.double()
    noise = made - visibility * image
    right = blindfolded(image, visibility, theirs) - visibility * image
    _draw_noise(ax, noise, right)

    _judge_the_share_of_the_image(made, image, visibility)
    _judge_noise(noise / (1 - visibility), visibility)
    _judge_other_visibilities(answer, image.float())
    return (
        "With v = 1 nothing is lost, with v = 0 everything is. In between much can be found again: noise is another at "
        "every pixel, and neighbours average it away."
    )


def _draw_noise(ax, noise: torch.Tensor, right: torch.Tensor) -> None:
    reach = 4.0
    for values, colour, label in ((right, RIGHT, "right"), (noise, YOURS, "yours")):
        inside = values.flatten().nan_to_num(reach, reach, -reach).clamp(-reach, reach)
        ax.hist(inside.numpy(), 40, range=(-reach, reach), color=colour, alpha=0.5, label=label)
    ax.set(xlabel="what is seen less v · image, v = 0.25", ylabel="values")
    ax.legend(loc="best", frameon=False)


def _judge_the_share_of_the_image(
    made: torch.Tensor, image: torch.Tensor, visibility: float
) -> None:
    """How much of the image is in it: v, and not another share."""
    share = ((made * image).sum() / image.square().sum()).item()
    mistakes = {
        "the other way round: v is how much of the image is left, and 1 − v how much noise there is": (
            1 - visibility
        ),
        "the image is whole and noise is added to it: the image counts v": 1.0,
        "there is nothing of the image in it: the image counts v": 0.0,
    }
    there, yours = apart(visibility, share)
    said = f"of the image there should be {there} in it, yours is {yours}"
    near_misses(share, visibility, mistakes, said, atol=0.01)


def _judge_noise(noise: torch.Tensor, visibility: float) -> None:
    """Unit Gaussian noise, another at each value. `noise`: already divided by 1 − v."""
    deviation = noise.std().item()
    if deviation < 1e-3:
        raise Wrong("there is no noise in it: draw as many numbers as the image has, torch.randn")
    if close(noise[0], noise[1]) or close(noise[:, 0], noise[:, 1]):
        raise Wrong(
            "all images, or all channels, got the same noise: draw as many numbers as the image has"
        )
    # each of these numbers is a mean over 3,072 draws: off by a tenth is more than five of its deviations
    if abs(noise.mean().item()) > 0.1:
        raise Wrong(
            "your noise does not have the mean 0; torch.rand draws evenly from 0 to 1, torch.randn unit Gaussian noise"
        )
    # what its deviation is where it is weighed otherwise
    unweighted = 1 / (1 - visibility)
    root = (1 - visibility) ** -0.5
    by_share = visibility / (1 - visibility)
    mistakes = {
        "the noise counts 1 − v; yours counts whole": unweighted,
        "the noise counts 1 − v; yours counts the root of it": root,
        "the noise counts 1 − v; yours counts v": by_share,
    }
    there, yours = apart(1, deviation)
    said = f"the deviation of the noise should be {there} before it is weighed, yours is {yours}"
    near_misses(deviation, 1, mistakes, said, atol=0.08)
    kurtosis = (noise / deviation).pow(4).mean().item()  # 3 for a Gaussian, 1.8 for even draws
    if abs(kurtosis - 3) > 0.6:
        raise Wrong(
            "your noise has the right size and another shape than a Gaussian's: torch.randn"
        )


def _judge_other_visibilities(answer, image: torch.Tensor) -> None:
    said = "right for v = 0.25, but not for v = 1, where the network sees the image as it is"
    seen = answer.also(said, image, 1.0, torch.Generator().manual_seed(2))
    if not close(tensor(seen, tuple(image.shape), "what the network sees"), image, 1e-5):
        raise Wrong(said)
    said = "right for v = 0.25, but not for v = 0, where there is noise alone"
    seen = answer.also(said, image, 0.0, torch.Generator().manual_seed(2))
    blind = tensor(seen, tuple(image.shape), "what the network sees")
    if not 0.9 < blind.std().item() < 1.1:
        raise Wrong(f"{said}: use the argument")


# --- counting arrows ----------------------------------------------------------------------------------------------------
@exercise("10.coin")
def coin(answer, ax):
    """How often a coin opens as many edges."""
    edges = 12
    least = np.arange(edges + 1)
    exactly = np.array([comb(edges, count) for count in least]) / 2**edges
    right = exactly[::-1].cumsum()[::-1]
    yours = numbers(answer, [(edges, int(count)) for count in least], "a probability")
    curves(ax, least, right, yours, "so many of 12 edges, or more", "a coin's probability")

    more = right - exactly
    fewer = 1 - right
    mistakes = {
        "this is the probability of exactly so many; or more of them would be just as remarkable: add them up": exactly,
        "this is the probability of more than so many; so many themselves count, too": more,
        "this is the probability of fewer: 1 minus it": fewer,
        "this is the probability of so many or fewer; asked for is so many or more": fewer
        + exactly,
        "this is the share of the edges, not a probability": least / edges,
        "this is how many ways there are; divide by all the 2 ** edges ways": right * 2**edges,
        "this is a coin that falls so many times in a row; the others may fall as they like, in any order": (
            0.5**least
        ),
    }
    places = [f"for {count} of {edges}" for count in least]
    said = differ(right, yours, places, 1e-6, worst=True, digits=4)
    near_misses(yours, right, mistakes, f"add up comb(edges, k) / 2 ** edges: {said}", 1e-6)
    other = number(answer(5, 4), "a probability")
    if not close(other, 6 / 32, 1e-6):
        raise Wrong("right for 12 edges, but not for 5: use the arguments")
    return "All of 12: once in 4,096. That is what an experiment without a control would boast of."


@exercise("10.turn")
def turn(answer, ax):
    """How far the arrows have turned."""
    draw = np.random.default_rng(0)
    # 5 edges lead into the blind network and 3 out of it: counts are not shares
    targets = ["b", "a", "b", "b", "a", "b", "a", "b"]
    graphs = [[True] * 8, [target == "b" for target in targets]]
    graphs += [(draw.random(8) < 0.5).tolist() for _ in range(4)]
    right = _of_all(graphs, targets, lambda into, out: np.mean(into) - np.mean(out))
    yours = numbers(answer, [(kept, targets, "b") for kept in graphs], "into minus out")
    labels = ["all", "all into b", "drawn 1", "drawn 2", "drawn 3", "drawn 4"]
    bars(ax, right, yours, labels, "share into − share out")
    ax.axhline(0, color="#777777", lw=0.8)

    counts = _of_all(graphs, targets, lambda into, out: np.sum(into) - np.sum(out))
    shares_in = _of_all(graphs, targets, lambda into, out: np.mean(into))
    shares_out = _of_all(graphs, targets, lambda into, out: np.mean(out))
    ratios = _of_all(graphs, targets, lambda into, out: np.mean(into) / max(np.mean(out), 1e-9))
    mistakes = {
        "shares, not counts: 5 edges lead into the blind network here and 3 out of it": counts,
        "divide by how many edges lead in (or out), not by how many there are in all": (
            np.array(counts) / 8
        ),
        "the sign: into the blind network minus out of it": -np.array(right),
        "this is the share into it alone; where everything opens, that says nothing": shares_in,
        "this is the share out of it alone": shares_out,
        "this is the ratio; take the difference, which exists where none leads out, too": ratios,
    }
    places = [f"for the graph {label}" for label in labels]
    near_misses(yours, right, mistakes, differ(right, yours, places))
    other = number(answer([True, False, False], ["b", "b", "a"], "a"), "into minus out")
    if not close(other, -0.5):
        raise Wrong("right where b is blind, but not where a is: use `blind`")
    return "0 where both ways are alike, 1 where every arrow leads in and none out. A graph with all edges has 0."


def _of_all(graphs: Sequence[Sequence[bool]], targets: Sequence[str], way) -> list[float]:
    """What `way` makes of each graph's truth values, of the edges into b and of those out of it."""
    made = []
    for kept in graphs:
        into = [keep for keep, target in zip(kept, targets) if target == "b"]
        out = [keep for keep, target in zip(kept, targets) if target != "b"]
        made.append(float(way(into, out)))
    return made


@exercise("10.begins")
def begins(answer, ax):
    """Where the arrows begin to turn."""
    # at each visibility another wrong rule says yes: the mean, one seed, above 0, as high as
    turns = {1.0: [0.0, 0.3, -0.2], 0.7: [0.1, -0.1, 0.15], 0.5: [0.4, -0.2, -0.3]}
    turns |= {0.3: [0.1, 0.2, 0.25], 0.2: [0.3, 0.6, 0.4]}
    turns |= {0.1: [0.5, 0.75, 0.35], 0.0: [0.75, 1.0, 0.5]}
    right = [0.1, 0.0]
    yours = _visibilities(answer(turns))
    _draw_turns(ax, turns, yours)

    # what else one may take for "begins": each is a list of visibilities
    mean_above = [v for v, row in turns.items() if np.mean(row) > np.mean(turns[1.0])]
    one_above = [v for v, row in turns.items() if max(row) > max(turns[1.0])]
    or_equal = [v for v, row in turns.items() if min(row) >= max(turns[1.0])]
    positive = [v for v, row in turns.items() if min(row) > 0]
    mistakes = {
        "compare seeds, not means: a mean is above another one half of the time": mean_above,
        "one seed that is above is luck; let every one of them be above": one_above,
        "as high as the control's highest is not above it": or_equal,
        "above 0 is not enough: the control has seeds above 0 as well": positive,
    }
    for said, wrong in mistakes.items():
        if yours == sorted(wrong):
            raise Wrong(said)
    if 1.0 in yours:
        raise Wrong("the control cannot be above itself: leave visibility 1 out")
    if yours != sorted(right):
        raise Wrong(
            "here every seed is above all three of visibility 1 at 0.1 and at 0: min(turns[v]) > max(turns[1.0])"
        )
    said = "right for these turns, but not for others"
    other = answer.also(said, {1.0: [0.2, 0.1], 0.7: [0.5, 0.4], 0.2: [0.0, 0.9]})
    if _visibilities(other) != [0.7]:
        raise Wrong(f"{said}: use the argument")
    return "Three seeds that are all above three others: by chance that happens once in 20 times. No more than a hint."


def _visibilities(value: object) -> list[float]:
    """The visibilities that an answer names, from the lowest on."""
    if isinstance(value, Mapping | str) or not isinstance(
        value, (list, tuple, set, np.ndarray, torch.Tensor)
    ):
        raise Wrong(f"return a list of visibilities; yours is {kind(value)}")
    return sorted(number(one, "a visibility") for one in value)


def _draw_turns(ax, turns: Mapping[float, Sequence[float]], yours: Sequence[float]) -> None:
    places = np.arange(len(turns))
    for place, (visibility, row) in zip(places, turns.items()):
        colour = YOURS if visibility in yours else "#777777"
        ax.scatter([place] * len(row), row, color=colour, s=24)
    ax.axhline(max(turns[1.0]), color=RIGHT, ls="--", label="the highest of visibility 1")
    ax.scatter([], [], color=YOURS, s=24, label="yours")
    ax.set(xlabel="visibility", ylabel="into − out", xticks=places)
    ax.set_xticklabels([f"{visibility:g}" for visibility in turns])
    ax.legend(loc="upper left", frameon=False)
