"""Checks of notebook 01: losses that skip what is not labelled, mirrored normals, metrics, the trivial answer."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .book import Wrong, exercise

RIGHT, YOURS = "#4575b4", "#b35806"


def number(value: object, what: str) -> float:
    """A single number, as float."""
    value = torch.as_tensor(value, dtype=torch.float64)
    if value.numel() != 1:
        raise Wrong(f"give one number, {what}; yours has shape {tuple(value.shape)}")
    return value.item()


@exercise("01.depth_loss")
def depth_loss(answer, ax):
    """The loss of depth, over what is labelled."""
    generator = torch.Generator().manual_seed(0)
    truth = 1 + 4 * torch.rand(2, 1, 8, 8, generator=generator)
    guess = truth + torch.randn(2, 1, 8, 8, generator=generator)
    left = torch.arange(8) < 4
    targets = {"all labelled": truth, "left half": truth * left, "nothing": truth * 0}
    yours = [
        number(answer(guess.clone(), t.clone()), "the mean over both pictures")
        for t in targets.values()
    ]
    right = [
        ((guess - t).abs() * (t > 0)).sum().item() / max(int((t > 0).sum()), 1)
        for t in targets.values()
    ]
    plain = [(guess - t).abs().mean().item() for t in targets.values()]
    for offset, values, colour, label in (
        (-0.2, right, RIGHT, "right"),
        (0.2, yours, YOURS, "yours"),
    ):
        ax.bar([i + offset for i in range(3)], values, 0.36, color=colour, label=label)
    ax.set_xticks(range(3), targets)
    ax.set(ylabel="loss (m)")
    ax.legend(frameon=False)
    close = lambda a, b: abs(a - b) < 1e-4  # noqa: E731
    if all(map(close, yours, plain)):
        raise Wrong(
            "a depth of 0 is no depth: where nothing is labelled your loss teaches the network to answer 0 m"
        )
    if close(yours[1], right[1] / 2):
        raise Wrong(
            "you leave unlabelled pixels out of the sum but still divide by all pixels, so a picture with few "
            "labels counts for little"
        )
    if not all(map(close, yours[:2], right[:2])):
        raise Wrong(
            f"with every pixel labelled it should be {right[0]:.3f} m, the mean of |output − target|; yours is "
            f"{yours[0]:.3f}"
        )
    if yours[2] != yours[2]:
        raise Wrong(
            "where no pixel at all is labelled you divide 0 by 0; one such batch and every weight becomes NaN. "
            "Divide by at least 1: .clamp(min=1)"
        )
    if not close(yours[2], 0):
        raise Wrong(
            f"where nothing is labelled there is nothing to learn: the loss is 0, yours is {yours[2]:.3f}"
        )
    return "Whatever the network says where there is no label costs nothing, and its gradient there is 0."


@exercise("01.mirror")
def mirror(answer, ax):
    """A mirrored picture and its normals."""
    generator = torch.Generator().manual_seed(1)
    image, normals = (
        torch.rand(2, 3, 6, 8, generator=generator),
        torch.randn(2, 3, 6, 8, generator=generator),
    )
    normals = F.normalize(normals, dim=1)
    given = answer(image.clone(), normals.clone())
    if not (isinstance(given, (tuple, list)) and len(given) == 2):
        raise Wrong(
            "give two things, the mirrored picture and the mirrored normals: return image, normals"
        )
    seen, yours = (torch.as_tensor(x) for x in given)
    right = normals.flip(-1) * torch.tensor([-1.0, 1, 1]).view(3, 1, 1)
    if seen.shape != image.shape or yours.shape != right.shape:
        raise Wrong(
            f"a mirror keeps shapes, {tuple(image.shape)} both; yours are {tuple(seen.shape)} and "
            f"{tuple(yours.shape)}"
        )
    ax.plot(right[0, 0, 0], "o-", color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(yours[0, 0, 0].detach(), "o-", color=YOURS, label="yours")
    ax.set(xlabel="column (pixels)", ylabel="n_x in the first row", ylim=(-1.4, 1.4))
    ax.legend(frameon=False, ncols=2)
    same = lambda a, b: torch.allclose(a, b, atol=1e-6)  # noqa: E731
    if same(seen, image.flip(-2)):
        raise Wrong("you stood the picture on its head: rows are axis −2, columns are axis −1")
    if not same(seen, image.flip(-1)):
        raise Wrong(
            "look at the picture first: in the mirror its first column is its last, nothing else changes"
        )
    if same(yours, normals.flip(-1)):
        raise Wrong(
            "the pixels have moved, but the arrows in them still point the old way: what faced right faces "
            "left in a mirror"
        )
    if same(yours, right.flip(-1)):
        raise Wrong(
            "the arrows are turned, but they stand at their old pixels: the map must be mirrored, too"
        )
    if same(yours, -normals.flip(-1)):
        raise Wrong(
            "you turned all three components round: up stays up in this mirror, what faced us still faces us"
        )
    if not same(yours, right):
        raise Wrong("of the mirrored map only n_x, channel 0, changes its sign")
    return "A vector is more than three channels of a picture. Depth needs no such care, a rotation would need more."


@exercise("01.mean_angle")
def mean_angle(answer, ax):
    """The mean angle between normals, in degrees."""
    given, truth = torch.arange(0, 181, 15.0), torch.zeros(1, 3, 4, 5)
    truth[:, 2, :, 1:] = -1  # the first column is not labelled

    def turned(degrees, length):
        radians = torch.as_tensor(degrees).deg2rad().expand(4, 5)
        return length * torch.stack([radians.sin(), torch.zeros(4, 5), -radians.cos()])[None]

    yours = [number(answer(turned(d, 1.0), truth.clone()), "the mean angle") for d in given]
    ax.plot(given, given, color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(given, yours, "o-", color=YOURS, ms=4, label="yours")
    ax.set(xlabel="true angle (degrees)", ylabel="mean angle (degrees)", xticks=range(0, 181, 45))
    ax.legend(frameon=False)
    got = torch.tensor(yours, dtype=torch.float32)
    if got.isnan().any():
        raise Wrong(
            "an angle is NaN: rounding makes a cosine of 1.0000001, which has no angle. .clamp(-1, 1) first"
        )
    if torch.allclose(got, given.deg2rad(), atol=0.01):
        raise Wrong("these are radians; .rad2deg() makes degrees of them")
    if torch.allclose(got, 0.8 * given, atol=0.1):
        raise Wrong("you leave unlabelled pixels out of the sum, but divide by all pixels")
    if torch.allclose(got, 0.8 * given + 18, atol=0.1):
        raise Wrong(
            "pixels without a label, the zero vector, count as 90° in your mean; leave them out"
        )
    if not torch.allclose(got, given, atol=0.1):
        raise Wrong(
            f"vectors of length 1 that are 90° apart should give 90; yours gives {yours[6]:.1f}"
        )
    longer = number(answer(turned(60.0, 3.0), truth.clone()), "the mean angle")
    if not abs(longer - 60) < 0.1:
        raise Wrong(
            f"an output three times as long points the same way, yet 60° became {longer:.1f}°: divide by the "
            "length first"
        )
    mixed = number(
        answer(turned(torch.tensor([0.0, 0, 0, 60, 60]), 1.0), truth.clone()), "the mean angle"
    )
    if not abs(mixed - 30) < 0.1:
        raise Wrong(
            f"half 0° and half 60° have the mean 30°; yours is {mixed:.1f}°. Take the angles first, then their "
            "mean: the angle of the mean cosine is another number"
        )
    return (
        "The loss is a mean of cosines, the metric a mean of angles: they agree on which answer is perfect, not on "
        "how bad a small error is."
    )


@exercise("01.miou")
def miou(answer, ax):
    """The mean IoU of a table of confusions."""
    table = torch.tensor(
        [[50, 10, 0, 0], [5, 20, 5, 0], [0, 2, 8, 0], [0, 0, 0, 0]]
    )  # the last class is nowhere
    hits, rows, columns = table.diagonal().double(), table.sum(1).double(), table.sum(0).double()
    iou = (hits / (rows + columns - hits))[:3]
    yours, right = number(answer(table.clone()), "the mean over classes"), iou.mean().item()
    ax.bar(range(3), iou.tolist(), color="#bbbbbb", label="IoU of a class")
    ax.axhline(right, color=RIGHT, lw=4, alpha=0.5, label="right mean")
    ax.axhline(yours, color=YOURS, label="yours")
    ax.set(xlabel="class", ylabel="IoU (0–1)", xticks=range(4), ylim=(0, 1.05))
    ax.legend(frameon=False, fontsize=8)
    mean = lambda share: share[:3].mean().item()  # noqa: E731
    known = {
        (
            hits.sum() / rows.sum()
        ).item(): "this is pixel accuracy, where a frequent class outweighs the rest. First a "
        "number for each class, then their mean",
        mean(
            hits / rows
        ): "this is the mean recall: pixels wrongly given to a class must count against it, too",
        mean(
            hits / columns
        ): "this is the mean precision: pixels of a class that were missed must count, too",
        right
        * 3
        / 4: "a class that is neither in truth nor in answers has no IoU: leave it out instead of counting 0",
        mean(
            hits / (rows + columns)
        ): "row plus column counts the hits twice: the union is row + column − hits",
    }
    for value, message in known.items():
        if abs(yours - value) < 1e-4:
            raise Wrong(message)
    if yours != yours:
        raise Wrong(
            "0 / 0: a class that occurs nowhere has no IoU; take the mean over classes whose union is above 0"
        )
    if not abs(yours - right) < 1e-4:
        raise Wrong(
            f"for the table drawn here it should be {right:.3f}, yours is {yours:.3f}. "
            "IoU = hits / (row + column − hits)"
        )
    return "Each class counts the same, however rare: this is why mean IoU is so much lower than accuracy."


@exercise("01.trivial")
def trivial(answer, ax):
    """The best depth without looking."""
    depths = torch.tensor([0.0, 0, 0, 0, 0, 1.2, 1.6, 1.8, 2.0, 2.2, 2.3, 2.6, 3.0, 8.5, 9.0]).view(
        1, 1, 3, 5
    )
    labelled = depths[depths > 0]
    yours = number(answer(depths.clone()), "in metres")
    if not 0 <= yours < 100:
        raise Wrong(f"{yours} m is no depth of a room")
    tried = torch.linspace(0, 9, 181)
    ax.plot(
        tried,
        (labelled[:, None] - tried).abs().mean(0),
        color="#777777",
        label="mean |depth − guess|",
    )
    ax.axvline(2.25, color=RIGHT, lw=4, alpha=0.5, label="best")
    ax.axvline(yours, color=YOURS, label="yours")
    ax.set(xlabel="the same guess for every pixel (m)", ylabel="mean error (m)")
    ax.legend(frameon=False, fontsize=8)
    if abs(yours - labelled.mean().item()) < 1e-3:
        raise Wrong(
            "the mean is best for squared errors; two far walls pull it up. For |depth − guess| look where the "
            "curve is lowest"
        )
    if abs(yours - depths.median().item()) < 1e-3 or abs(yours - depths.mean().item()) < 1e-3:
        raise Wrong(
            "zeros are missing labels, not walls in front of your nose: leave them out first"
        )
    if not 2.2 - 1e-3 <= yours <= 2.3 + 1e-3:
        raise Wrong(f"at your guess of {yours:.2f} m the curve is not yet at its lowest point")
    return (
        "The loss decides what the best blind answer is: the median for L1, the most frequent class for accuracy, "
        "the mean direction for cosines."
    )
