"""Checks of notebook 01: losses that skip what is not labelled, turned normals, metrics, the trivial answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from ..checking import Wrong, exercise
from .common import (
    RIGHT,
    YOURS,
    apart,
    bars,
    close,
    differ,
    gradient,
    near_misses,
    number,
    plain,
    tensor,
)


@exercise("01.depth_loss")
def depth_loss(answer, ax):
    """The loss of depth, over what is labelled."""
    generator = torch.Generator().manual_seed(0)
    truth = 1 + 4 * torch.rand(2, 1, 8, 8, generator=generator)
    guess = truth + torch.randn(2, 1, 8, 8, generator=generator)
    # seven columns of the first picture and one of the second: a mean of two means shows
    left = torch.arange(8) < 4
    few = torch.arange(8) < torch.tensor([7, 1]).view(2, 1, 1, 1)
    targets = {
        "all labelled": truth,
        "left half": truth * left,
        "one more,\none less": truth * few,
        "nothing": truth * 0,
    }
    given = [answer(guess, target) for target in targets.values()]
    yours = [number(value, "the mean over both pictures") for value in given]
    right = [_mean_error(guess - target, target > 0) for target in targets.values()]
    bars(ax, right, yours, list(targets), "loss (m)")

    # where nothing is labelled each of these mistakes may say what it likes
    places = [
        "with every pixel labelled",
        "with the left half labelled",
        "with few pixels labelled",
    ]
    said = differ(right[:3], yours[:3], places)
    near_misses(
        yours[:3],
        right[:3],
        _wrong_losses(guess, list(targets.values())[:3]),
        f"{said} (metres): the mean of |output − target| over the labelled pixels",
    )
    if math.isnan(yours[3]):
        raise Wrong(
            "where no pixel at all is labelled you divide 0 by 0; one such batch and every weight becomes NaN. "
            "Divide by at least 1: .clamp(min=1)"
        )
    if not close(yours[3], 0):
        raise Wrong(
            "where nothing is labelled there is nothing to learn: the loss is 0, yours is "
            f"{apart(0.0001, yours[3])[1]}"
        )
    learning = guess.clone().requires_grad_()
    flows = [gradient(answer.gently(learning, target), learning) for target in targets.values()]
    # torch.where(…, 0 / 0, 0) shows 0 and still hands NaN back
    if any(found is not None and not found.isfinite().all() for found in flows):
        raise Wrong(
            "the numbers are right, but the gradient is NaN where nothing is labelled: 0 / 0 is still computed, and "
            "only hidden afterwards. Divide by at least 1: .clamp(min=1)"
        )
    praise = "Whatever the network says where there is no label costs nothing, and its gradient there is 0."
    if flows[0] is None:
        praise += " (Yours is a plain number. To teach a network it would have to stay a tensor, without .item().)"
    return praise


def _mean_error(off: torch.Tensor, labelled: torch.Tensor) -> float:
    """Σ |off| over the labelled pixels, by their number, which counts as 1 where there are none."""
    return ((off.abs() * labelled).sum() / labelled.sum().clamp(min=1)).item()


def _mean_of_pictures(off: torch.Tensor, labelled: torch.Tensor) -> torch.Tensor:
    """The mean error of each picture first, then the mean of these."""
    axes = (1, 2, 3)
    errors = (off.abs() * labelled).sum(axes)
    return (errors / labelled.sum(axes).clamp(min=1)).mean()


def _wrong_losses(guess: torch.Tensor, targets: Sequence[torch.Tensor]) -> dict[str, list[float]]:
    """Sentence → the losses that this mistake gives for these targets."""

    def each(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> list[float]:
        return [loss(guess - target, target > 0).item() for target in targets]

    def count(labelled: torch.Tensor) -> torch.Tensor:
        return labelled.sum().clamp(min=1)

    # the mask is forgotten, or used in the sum alone
    all_pixels = each(lambda off, labelled: off.abs().mean())
    divided_by_all = each(lambda off, labelled: (off.abs() * labelled).mean())
    # another error than |output − target|
    squared_all = each(lambda off, labelled: off.square().mean())
    squared = each(lambda off, labelled: (off.square() * labelled).sum() / count(labelled))
    signed = each(lambda off, labelled: (off * labelled).sum() / count(labelled))
    # another way to put the pixels together
    summed = each(lambda off, labelled: (off.abs() * labelled).sum())
    mistakes = {
        "a depth of 0 is not a depth: where nothing is labelled your loss teaches the network to answer 0 m": all_pixels,
        "you leave unlabelled pixels out of the sum but still divide by all pixels, so a picture with few labels counts "
        "for little": divided_by_all,
        "these are squared errors, and unlabelled pixels count, too; asked for is the mean of |output − target|": (
            squared_all
        ),
        "these are squared errors; asked for is the mean of |output − target|": squared,
        "without | | errors up and errors down cancel: take the mean of |output − target|": signed,
        "this is the sum over the labelled pixels; asked for is their mean": summed,
    }
    mistakes[
        "you take the mean of each picture first, so that a picture with few labels counts as much as one with "
        "many; take one mean over the labelled pixels of all pictures"
    ] = each(_mean_of_pictures)
    return mistakes


@exercise("01.quarter_turn")
def quarter_turn(answer, ax):
    """A picture and its normals, turned by 90° against the clock."""
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 3, 6, 8, generator=generator)
    normals = F.normalize(torch.randn(2, 3, 6, 8, generator=generator), dim=1)
    given = answer(image, normals)
    if not (isinstance(given, (tuple, list)) and len(given) == 2):
        raise Wrong(
            "give two things, the turned picture and the turned normals: return image, normals"
        )
    shape = (2, 3, 8, 6)
    what = "(a quarter turn: of H rows and W columns becomes W rows and H columns)"
    seen = tensor(given[0], shape, f"the picture first {what}")
    yours = tensor(given[1], shape, f"the normals second {what}")

    image = _turned(image.double())
    moved = _turned(normals.double())
    right = torch.stack([moved[:, 1], -moved[:, 0], moved[:, 2]], 1)
    ax.plot(right[0, 0, 0], "o-", color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(yours[0, 0, 0], "o-", color=YOURS, label="yours")
    ax.set(xlabel="column (pixels)", ylabel="n_x in the first row", ylim=(-1.4, 1.4))
    ax.legend(loc="best", frameon=False, ncols=2)
    if _same(seen, right) and _same(yours, image):
        raise Wrong("both are right, but in the other order: the picture first, then the normals")
    _judge_picture(seen, image)
    _judge_normals(yours, moved, right)
    return (
        "A vector is more than three channels of a picture: whatever moves the pixels has to turn the arrows, too. "
        "Depth needs no such care."
    )


def _turned(maps: torch.Tensor) -> torch.Tensor:
    """A quarter turn against the clock."""
    return maps.rot90(1, (-2, -1))


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    # nothing is computed here but signs and places: 1e-6 is float32's rounding
    return close(one, other, 1e-6)


def _judge_picture(seen: torch.Tensor, image: torch.Tensor) -> None:
    if _same(seen, image.rot90(2, (-2, -1))):
        raise Wrong(
            "you turned the picture with the clock; against it, what was at the right is at the top: rot90(1, (-2, -1))"
        )
    # rows and columns changed places, and nothing was turned
    if _same(seen, image.flip(-2)):
        raise Wrong(
            "rows and columns have changed places, but that is a picture which is mirrored: rot90(1, (-2, -1)) turns it"
        )
    if not _same(seen, image):
        raise Wrong(
            "look at the picture first: its last column, from top to bottom, becomes its first row: rot90(1, (-2, -1))"
        )


def _judge_normals(yours: torch.Tensor, moved: torch.Tensor, right: torch.Tensor) -> None:
    x, y, z = moved.unbind(1)
    mistakes = {
        "the pixels have moved, but the arrows in them still point the old way: what faced right faces up afterwards": (
            x,
            y,
            z,
        ),
        "the arrows are turned with the clock, the picture against it: y points down, so right, (1, 0, 0), becomes up, "
        "(0, −1, 0)": (-y, x, z),
        "n_x and n_y have changed places, and that is all; one of them changes its sign, too: right becomes up, and up is "
        "negative": (y, x, z),
        "n_x and n_y have changed places, but both signs are turned; only one of them is": (
            -y,
            -x,
            z,
        ),
        "n_x changes its sign in a mirror; in a quarter turn right becomes up: n_x and n_y change places, too": (
            -x,
            y,
            z,
        ),
        "this is half a turn: n_x and n_y change their signs; in a quarter turn they change places, too": (
            -x,
            -y,
            z,
        ),
    }
    wrong = {sentence: torch.stack(parts, 1) for sentence, parts in mistakes.items()}
    said = "at its new place an arrow (n_x, n_y, n_z) becomes (n_y, −n_x, n_z)"
    near_misses(yours, right, wrong, said, atol=1e-6)


@exercise("01.mean_angle")
def mean_angle(answer, ax):
    """The mean angle between normals, in degrees."""
    given = torch.arange(0, 181, 15.0)
    truth = torch.zeros(1, 3, 4, 5)
    truth[:, 2, :, 1:] = -1  # the first column is not labelled

    def turned(degrees, length=1.0):
        """Arrows of this length that are turned away from the truth by so many degrees, column by column."""
        radians = torch.as_tensor(degrees).deg2rad().expand(4, 5)
        return length * torch.stack([radians.sin(), torch.zeros(4, 5), -radians.cos()])[None]

    yours = [number(answer(turned(degrees), truth), "the mean angle") for degrees in given]
    ax.plot(given, given, color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(given, yours, "o-", color=YOURS, ms=4, label="yours")
    ax.set(xlabel="true angle (degrees)", ylabel="mean angle (degrees)", xticks=range(0, 181, 45))
    ax.legend(loc="best", frameon=False)
    _judge_angles(torch.tensor(yours), given)

    # what the answers above cannot show: arrows of another length, and unlike angles in one picture
    longer = number(answer(turned(60.0, length=3.0), truth), "the mean angle")
    if not abs(longer - 60) < 0.1:
        raise Wrong(
            f"an output three times as long points the same way, yet 60° became {apart(60, longer)[1]}°: divide by "
            "the length first"
        )
    half_and_half = torch.tensor([0.0, 0, 0, 60, 60])
    mixed = number(answer(turned(half_and_half), truth), "the mean angle")
    if not abs(mixed - 30) < 0.1:
        raise Wrong(
            f"half 0° and half 60° have the mean 30°; yours is {apart(30, mixed)[1]}°. Take the angles first, then "
            "their mean: the angle of the mean cosine is another number, and so is their median"
        )
    return (
        "The loss is a mean of cosines, the metric a mean of angles: they agree on which answer is perfect, not on "
        "how bad a small error is."
    )


def _judge_angles(yours: torch.Tensor, given: torch.Tensor) -> None:
    if yours.isnan().any():
        raise Wrong(
            "an angle is NaN: rounding makes a cosine of 1.0000001, which has no angle. .clamp(-1, 1) first"
        )
    # one of five columns is not labelled: 80 % of the angle, and 20 % of 90° where the zero vector counts
    divided_by_all = 0.8 * given
    zero_vectors_count = 0.8 * given + 18
    cosine = given.deg2rad().cos()
    mistakes = {
        "these are radians; .rad2deg() makes degrees of them": given.deg2rad(),
        "you leave unlabelled pixels out of the sum, but divide by all pixels": divided_by_all,
        "pixels without a label, the zero vector, count as 90° in your mean; leave them out": zero_vectors_count,
        "these are cosines; .acos() makes angles of them, .rad2deg() degrees": cosine,
        "this is the loss, 1 − cosine; asked for is the angle: .acos(), then .rad2deg()": 1
        - cosine,
        "one arrow is turned round: equal ones should give 0°, opposite ones 180°": 180 - given,
    }
    places = [f"vectors of length 1 that are {angle:g}° apart:" for angle in given.tolist()]
    otherwise = differ(given, yours, places, atol=0.1)
    if close(yours[6], 0, atol=89):
        otherwise += "; 90° should give 90"
    # 0.1°: a cosine that is clamped a little below 1 has an angle of some hundredths
    near_misses(yours, given, mistakes, otherwise, atol=0.1)


@exercise("01.miou")
def miou(answer, ax):
    """The mean IoU of a table of confusions."""
    # the last class is nowhere
    table = torch.tensor([[50, 10, 0, 0], [5, 20, 5, 0], [0, 2, 8, 0], [0, 0, 0, 0]])
    hits = table.diagonal().double()
    union = table.sum(1) + table.sum(0) - hits
    iou = (hits / union)[:3]
    right = iou.mean().item()
    yours = number(answer(table), "the mean over classes")
    ax.bar(range(3), iou.tolist(), color="#bbbbbb", label="IoU of a class")
    ax.axhline(right, color=RIGHT, lw=4, alpha=0.5, label="right mean")
    ax.axhline(yours, color=YOURS, label="yours")
    ax.set(xlabel="class", ylabel="IoU (0–1)", xticks=range(4), ylim=(0, 1.05))
    ax.legend(loc="best", frameon=False, fontsize=8)
    if math.isnan(yours):
        raise Wrong(
            "0 / 0: a class that occurs nowhere has no IoU; take the mean over classes whose union is above 0"
        )
    said = differ([right], [yours], ["for the table drawn here"])
    near_misses(yours, right, _other_scores(table), f"{said}. IoU = hits / (row + column − hits)")

    # the first class is nowhere, the second one only in answers
    again = number(
        answer(torch.tensor([[0, 0, 0], [0, 0, 0], [0, 10, 30]])), "the mean over classes"
    )
    if close(again, 0.75):
        raise Wrong(
            "right for this table; but a class that is only in answers, never in truth, has an IoU of 0, which "
            "counts: leave out only classes whose union is 0"
        )
    if not close(again, 0.375):
        told = apart(0.375, again)
        raise Wrong(
            "right for this table; for [[0, 0, 0], [0, 0, 0], [0, 10, 30]], whose first class is nowhere, it should "
            f"be {told[0]}, yours is {told[1]}: do not count on the place of the empty class"
        )
    return "Each class counts the same, however rare: this is why mean IoU is so much lower than accuracy."


def _other_scores(table: torch.Tensor) -> dict[str, float]:
    """Sentence → another score of the same table, for which mIoU is easily taken."""
    hits = table.diagonal().double()
    rows = table.sum(1).double()
    columns = table.sum(0).double()
    union = rows + columns - hits

    def mean(share: torch.Tensor) -> float:
        """Over the three classes that occur."""
        return share[:3].mean().item()

    right = mean(hits / union)
    accuracy = (hits.sum() / rows.sum()).item()
    pooled = (hits.sum() / union.sum()).item()
    recall = mean(hits / rows)
    precision = mean(hits / columns)
    hits_twice = mean(hits / (rows + columns))
    dice = mean(2 * hits / (rows + columns))
    empty_class_counts = right * 3 / 4
    mistakes = {
        "this is pixel accuracy, where a frequent class outweighs the rest. First a number for each class, then their "
        "mean": accuracy,
        "this is the mean recall: pixels wrongly given to a class must count against it, too": recall,
        "this is the mean precision: pixels of a class that were missed must count, too": precision,
        "a class that is neither in truth nor in answers has no IoU: leave it out instead of counting 0": (
            empty_class_counts
        ),
        "row plus column counts the hits twice: the union is row + column − hits": hits_twice,
        "this is the mean Dice (or F1), 2 · hits / (row + column); in the IoU hits count once": dice,
        "this is one IoU of all classes together, where a frequent class outweighs the rest. First a number for each "
        "class, then their mean": pooled,
        "these are per cent; give a share between 0 and 1": 100 * right,
        "this is the sum over classes; asked for is their mean": 3 * right,
    }
    return mistakes


@exercise("01.trivial")
def trivial(answer, ax):
    """The best depth without looking."""
    # two far walls, so that mean and median differ; five pixels without a label
    row = [0.0, 0, 0, 0, 0, 1.2, 1.6, 1.8, 2.0, 2.2, 2.3, 2.6, 3.0, 8.5, 9.0]
    depths = torch.tensor(row).view(1, 1, 3, 5)
    labelled = depths[depths > 0]
    yours = number(answer(depths), "in metres")
    if not 0 <= yours < 100:
        raise Wrong(f"{plain(yours)} m is not a depth that a room has")
    tried = torch.linspace(0, 9, 181)
    errors = (labelled[:, None] - tried).abs().mean(0)
    ax.plot(tried, errors, color="#777777", label="mean |depth − guess|")
    ax.axvline(2.25, color=RIGHT, lw=4, alpha=0.5, label="best")
    ax.axvline(yours, color=YOURS, label="yours")
    ax.set(xlabel="the same guess for every pixel (m)", ylabel="mean error (m)")
    ax.legend(loc="best", frameon=False, fontsize=8)
    if abs(yours - labelled.mean().item()) < 1e-3:
        raise Wrong(
            "the mean is best for squared errors; two far walls pull it up. For |depth − guess| look where the "
            "curve is lowest"
        )
    if abs(yours - depths.median().item()) < 1e-3 or abs(yours - depths.mean().item()) < 1e-3:
        raise Wrong(
            "zeros are missing labels, not walls in front of your nose: leave them out first"
        )
    # ten labels: the curve is flat between the two in the middle, and torch's median is the lower one
    if not 2.2 - 1e-3 <= yours <= 2.3 + 1e-3:
        raise Wrong(f"at your guess of {plain(yours)} m the curve is not yet at its lowest point")
    again = number(answer(depths * 2), "in metres")
    if not 4.4 - 1e-3 <= again <= 4.6 + 1e-3:
        raise Wrong(
            f"right for these depths; for twice as deep rooms your guess is {plain(again)} m, and the curve is "
            "lowest from 4.4 to 4.6 m: use the argument"
        )
    return (
        "The loss decides what the best blind answer is: the median for L1, the most frequent class for accuracy, "
        "the mean direction for cosines."
    )
