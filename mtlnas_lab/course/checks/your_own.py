"""Checks of notebook 09: constants, a median over batches, labels that are made, a network cut in stages, a pack."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...core.backbone import Backbone, step
from ...data.dataset import ImageDataset
from ...errors import MTLNASError
from ...models.layers import conv_bn_relu
from ..checking import Wrong, exercise
from .common import apart, close, converted, kind, near_misses, number

RIGHT, YOURS = "#2262ad", "#c9452f"


@exercise("09.constant")
def constant(answer, ax):
    """The best constant for squared errors."""
    targets = torch.rand(200, generator=torch.Generator().manual_seed(0)) ** 3
    mean, middle = targets.mean(), targets.median()
    value = answer(targets)
    given = converted(value)
    if given is None or given.numel() != 1:
        raise Wrong(
            f"one output for all pictures is asked for, a tensor of shape (1, 1); yours is {kind(value)}"
        )
    said = given.flatten()[0].sigmoid()
    p = torch.linspace(0.01, 0.7, 80)
    ax.plot(
        p,
        (targets - p[:, None]).square().mean(1),
        color=RIGHT,
        label="squared error of answering p",
    )
    ax.axvline(mean, color=RIGHT, lw=5, alpha=0.3, label="best")
    ax.axvline(said, color=YOURS, ls="--", label="yours, σ(output)")
    ax.set(xlabel="constant answer p", ylabel="mean squared error")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.34, 1))
    output = given.flatten()[0]
    an_answer = f"this is an answer, and an output is asked for: σ({output:.2f}) = {said:.2f}. The logit undoes σ"
    for wrong in (mean, middle):
        near_misses(output, mean.logit(), {an_answer: wrong}, atol=1e-3)
    almost = {
        "the median is best for absolute errors; squares are smallest somewhere else": middle.logit(),
        "this is the mean of the logits; errors are counted in shares: take the mean of the shares first": (
            targets.clamp(1e-6, 1 - 1e-6).logit().mean()
        ),
        "σ is done twice instead of undone: the logit undoes it": mean.sigmoid(),
        "this is ln p; the logit is ln(p / (1 − p))": mean.log(),
        "the sign is turned round: the logit is ln(p / (1 − p))": -mean.logit(),
        "this is the root of the mean square; set the derivative of Σ (t − c)² to zero": (
            targets.square().mean().sqrt().logit()
        ),
        "this is p / (1 − p), without its logarithm": mean / (1 - mean),
    }
    best, yours = apart(mean, said)
    near_misses(
        output,
        mean.logit(),
        almost,
        f"σ of yours is {yours}, the best constant answer is {best}",
        atol=1e-3,
    )
    other = converted(answer(1 - targets))
    if other is None or not close(other.flatten(), -mean.logit().view(1), 1e-3):
        raise Wrong("right for these targets, but not for others: use the argument")
    if given.shape != (1, 1):
        raise Wrong(
            f"right, but in the shape {tuple(given.shape)}: an output of one head for one picture is (1, 1)"
        )
    return "Which answer is trivial depends on the loss: the mean for squares, the median for absolute errors."


@exercise("09.median")
def median(answer, ax):
    """A median over batches of unlike size."""
    generator = torch.Generator().manual_seed(1)
    output, target = torch.randn(31, 1, generator=generator), torch.rand(31, generator=generator)
    output[25:] = torch.where(target[25:] > 0.5, -6.0, 6.0)[
        :, None
    ]  # a last, short batch of bad answers
    batches = [(output[a:b], target[a:b]) for a, b in ((0, 10), (10, 25), (25, 31))]
    errors = (output.sigmoid()[:, 0] - target).abs()
    yours = number(answer(batches), "the median over all batches")
    right = errors.median().item()
    ax.hist(errors.numpy(), bins=20, color="#9aa2b1", label="errors of 31 pictures")
    ax.axvline(right, color=RIGHT, lw=5, alpha=0.4, label="median")
    ax.axvline(yours, color=YOURS, ls="--", label="yours")
    ax.set(xlabel="absolute error (share of floor)", ylabel="pictures")
    ax.legend(frameon=False)
    parts = torch.stack([(o.sigmoid()[:, 0] - t).abs().median() for o, t in batches])
    joined = (
        "this joins the medians of the batches, so that six pictures of a short batch count as much as "
        "fifteen; collect all errors first"
    )
    for wrong in (parts.mean(), parts.median()):
        near_misses(yours, right, {joined: wrong}, atol=1e-5)
    crossed = [(o.sigmoid() - t).abs().flatten() for o, t in batches]
    almost = {
        "this is the mean error; asked for is the median": errors.mean(),
        "outputs are logits: bring them between 0 and 1 by .sigmoid() before you compare": (
            (output[:, 0] - target).abs().median()
        ),
        "(B, 1) minus (B,) is (B, B), each output against each target; take output[:, 0] first": torch.cat(
            crossed
        ).median(),
        "without | | errors up and down stand on both sides of 0: take .abs() first": (
            (output.sigmoid()[:, 0] - target).median()
        ),
        "these are squared errors; asked for are absolute ones": errors.square().median(),
        "this is the last batch alone; collect the errors of all": parts[-1],
        "this is the first batch alone; collect the errors of all": parts[0],
    }
    best, told = apart(right, yours)
    said = f"the median of all 31 errors is {best}, yours is {told}"
    near_misses(yours, right, almost, said, atol=1e-5)
    other = [(output[3:10], target[3:10])]
    if not close(number(answer(other), "the median"), errors[3:10].median(), 1e-5):
        raise Wrong("right for these batches, but not for others: use the argument")
    return "Sums can be kept batch by batch, a median needs every error: that is why a meter may remember things."


@exercise("09.kinds")
def kinds(answer, ax):
    """How many kinds of furniture."""
    generator = torch.Generator().manual_seed(2)
    seg = torch.randint(0, 3, (12, 16, 16), generator=generator, dtype=torch.uint8)
    for picture, size in zip(seg, torch.randint(1, 8, (12,), generator=generator).tolist()):
        for label in range(5, 5 + size % 5):
            picture[2 * (label - 5) : 2 * (label - 5) + 2, : size + 4] = (
                label  # (size + 4) · 2 pixels: 10 to 22
            )
    furniture = [5, 6, 7, 8, 9]
    pixels = torch.stack([(seg == number).sum((1, 2)) for number in furniture])
    right = (pixels >= 20).sum(0)
    value = answer(seg, list(furniture))
    given = converted(value)
    if given is None or given.shape != right.shape:
        single = given is not None and given.ndim == 0
        raise Wrong(
            f"give one count for each picture, shape {tuple(right.shape)}; yours is {kind(value)}"
            + (": this counts over all pictures at once" if single else "")
        )
    for shift, values, color, label in (
        (-0.2, right, RIGHT, "right"),
        (0.2, given, YOURS, "yours"),
    ):
        ax.bar(np.arange(12) + shift, values.numpy().astype(float), 0.4, color=color, label=label)
    ax.set(xlabel="picture", ylabel="kinds of furniture")
    ax.legend(frameon=False)
    almost = {
        "a kind of which a corner shows counts here; asked for are kinds with 20 pixels or more": (
            pixels > 0
        ).sum(0),
        "20 pixels are enough: >= 20": (pixels > 20).sum(0),
        "these are pixels; asked for is the number of kinds": pixels.sum(0),
        "pixels of all kinds are added up before they are compared: look at each kind by itself": (
            pixels.sum(0) >= 20
        ).long(),
        "all classes count here, also those that are not in `furniture`": torch.stack(
            [(seg == number).sum((1, 2)) for number in range(10)]
        )
        .ge(20)
        .sum(0),
        "these are the kinds with less than 20 pixels": (pixels < 20).sum(0),
    }
    near_misses(given, right, almost)
    if not close(given, right):
        wrong = int((given != right).nonzero()[0])
        best, yours = apart(right[wrong], given[wrong])
        raise Wrong(f"picture {wrong} shows {best} kinds, yours says {yours}")
    fractional = isinstance(value, torch.Tensor) and value.is_floating_point()
    if fractional or getattr(value, "dtype", None) in (torch.bool, np.bool_, np.float64):
        raise Wrong(f"right, but as {value.dtype}; classes are whole numbers (int64)")
    said = "right for the furniture [5, 6, 7, 8, 9], but not for [6, 8]"
    other = converted(answer.also(said, seg, [6, 8]))
    if other is None or not close(other, (pixels[[1, 3]] >= 20).sum(0)):
        raise Wrong(f"{said}: use `furniture`")
    return "Labels made from labels are exact here; with real labels they inherit every mistake."


def network() -> nn.Sequential:
    """Nine parts: conv 8, conv 8, pool, conv 16, conv 16, pool, conv 32, average, linear."""
    conv = lambda inputs, outputs: nn.Sequential(*conv_bn_relu(inputs, outputs))  # noqa: E731
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            conv(3, 8),
            conv(8, 8),
            nn.MaxPool2d(2),
            conv(8, 16),
            conv(16, 16),
            nn.MaxPool2d(2),
            conv(16, 32),
            nn.AdaptiveAvgPool2d(1),
            nn.Sequential(nn.Flatten(), nn.Linear(32, 4)),
        ).eval()


@exercise("09.cut")
def cut(answer, ax):
    """A network cut in stages."""
    net, image = network(), torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    yours = answer(net)
    if not isinstance(yours, Backbone):
        raise Wrong(f"give a Backbone(stages, plan, head); yours is {kind(yours)}")
    if len(yours.stages) != 5:
        raise Wrong(
            f"five stages are asked for, one for each convolution; yours are {len(yours.stages)}"
        )
    maps, x, carry = [], image, ()
    with torch.no_grad():
        for i, stage in enumerate(yours.stages):
            try:
                x, carry = step(stage, x, carry)
            except RuntimeError as error:
                raise Wrong(
                    f"stage {i} cannot take what comes before it, {kind(x)}: is a part left out, used twice, or out of "
                    f"order? ({error})"
                ) from None
            if x.ndim != 4:
                raise Wrong(
                    f"stage {i} puts out {kind(x)}, which is not a map (B, C, H, W): the average and the linear layer "
                    "belong to the head"
                )
            maps.append(x)
        try:
            out = yours.head(x)
        except RuntimeError as error:
            raise Wrong(
                f"the head cannot take what the last stage puts out, {kind(x)}: it is net[7:], the average and the "
                f"linear layer ({error})"
            ) from None
    sides, groups = [x.shape[-1] for x in maps], [stage.group for stage in yours.plan]
    ax.bar(
        range(5),
        sides,
        color=[(RIGHT, "#f0a236", "#30a683", "#571b52", "#c9452f")[g % 5] for g in groups],
    )
    for i, (side, group) in enumerate(zip(sides, groups)):
        ax.text(i, side + 0.6, f"group {group}", ha="center", fontsize=8)
    ax.set(xlabel="your stage (colour: its group)", ylabel="side of its map (pixels)", ylim=(0, 39))
    with torch.no_grad():
        whole = net(image)
    if out.shape != whole.shape or not torch.allclose(out, whole, atol=1e-5):
        raise Wrong(
            "stages and head in a row give another answer than net: is a part left out, used twice, or out of "
            "order?"
        )
    for i in range(1, 5):
        if groups[i] == groups[i - 1] and sides[i] != sides[i - 1]:
            raise Wrong(
                f"stages {i - 1} and {i} are of one group, but their maps have {sides[i - 1]} and {sides[i]} "
                "pixels a side: a pooling belongs to the first stage of the next group"
            )
    if sides != [32, 32, 16, 16, 8]:
        raise Wrong(
            f"the maps should be 32, 32, 16, 16, 8 pixels wide, yours are {', '.join(map(str, sides))}: a "
            "pooling goes with the convolution behind it"
        )
    said, real = [stage.channels for stage in yours.plan], [x.shape[1] for x in maps]
    if said != real:
        raise Wrong(
            f"the plan says {said} channels, the stages put out {real}; the supernet would make fusions of the "
            "wrong size"
        )
    if groups != [0, 0, 1, 1, 2]:
        raise Wrong(
            f"groups of 2, 2 and 1 are asked for; yours give the stages the groups {groups}"
        )
    return "Edges inside a group then join maps of one size, and nothing has to be resized."


@exercise("09.pack")
def pack(answer, ax):
    """From torch arrays to a pack."""
    random = np.random.default_rng(0)
    image, seg = (
        random.integers(0, 256, (3, 8, 10, 3), np.uint8),
        random.integers(0, 4, (3, 8, 10), np.uint8),
    )
    depth = np.where(
        random.random((3, 8, 10)) < 0.2, 0, random.integers(500, 6000, (3, 8, 10))
    ).astype(np.uint16)
    photos = (
        ((image - 0.3) / 255).clip(0, 1).transpose(0, 3, 1, 2).astype(np.float32)
    )  # as after a resize
    classes, metres = seg.astype(np.int64) - 1, np.where(depth == 0, np.nan, (depth - 0.3) / 1000)
    with np.errstate(invalid="ignore"):
        given = answer(photos, classes, metres)
    if not isinstance(given, dict) or set(given) != {"image", "seg", "depth_mm"}:
        has = (
            f"yours has {', '.join(map(str, given))}"
            if isinstance(given, dict)
            else f"yours is {kind(given)}"
        )
        raise Wrong(f"give a dictionary with the keys image, seg and depth_mm; {has}")
    given = {key: np.asarray(array) for key, array in given.items()}
    for key, array in given.items():
        if array.ndim < 3 or len(array) != 3:
            raise Wrong(f"give three pictures in each array; {key} is {kind(array)}")
    if given["seg"].dtype == np.uint8 and given["seg"].max() == 255:
        raise Wrong(
            "−1 became 255, which is no class: shift the classes by 1 first, so that “no label” becomes 0"
        )
    try:
        made = ImageDataset.from_arrays(
            {"seg_names": np.array(["unlabelled", "a", "b", "c"]), **given}, "your pack"
        )
    except MTLNASError as error:
        raise Wrong(str(error)) from None
    for key, shape in (("seg", seg.shape), ("depth_mm", depth.shape)):
        if given[key].shape != shape:
            raise Wrong(f"{key} should be (N, H, W), here {shape}; yours is {kind(given[key])}")
    if given["image"].shape != image.shape:
        raise Wrong(
            f"image should be (N, H, W, 3), here {image.shape}; yours is {kind(given['image'])}: are height and width "
            "exchanged?"
        )
    off = {
        "image": np.abs(made.images.numpy().transpose(0, 2, 3, 1).astype(int) - image).max(),
        "seg": np.abs(made.targets["segmentation"].numpy().astype(int) - seg).max(),
        "depth_mm": np.abs(
            made.targets["depth"].numpy()[:, 0].astype(int) - depth.astype(int)
        ).max(),
    }
    bars = ax.bar(list(off), list(off.values()), color=YOURS, label="your pack against the truth")
    ax.bar_label(bars)
    ax.set(ylabel="largest error\n(of 255, classes, mm)", ylim=(0, 1.3 * max(1, *off.values())))
    ax.legend(frameon=False)
    if off["image"] > 1:
        swapped = np.array_equal(given["image"][..., ::-1], image)
        raise Wrong(
            "red and blue have changed places"
            if swapped
            else "the picture is another one: are channels moved, not reshaped, and values multiplied by 255?"
        )
    if off["seg"]:
        raise Wrong("classes should go from 0 … C − 1 to 1 … C, and −1 to 0")
    if off["depth_mm"] > 1:
        raise Wrong(
            f"depths are off by up to {off['depth_mm']} mm; a metre is 1000 mm, and NaN becomes 0"
        )
    if off["image"] or off["depth_mm"]:
        raise Wrong(
            "nearly: astype cuts off what stands behind the point, so some values are 1 too small; round first"
        )
    return "This pack goes into `mtlnas-lab search --data` as it is."
