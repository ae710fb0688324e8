"""Checks of notebook 09: constants, a median over batches, labels that are made, a network cut in stages, a pack."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ...core.backbone import Backbone, step
from ...data.dataset import ImageDataset
from ...errors import MTLNASError
from ...models.layers import conv_bn_relu
from ..checking import Wrong, exercise
from .common import RIGHT, YOURS, apart, bars, close, converted, kind, near_misses, number


@exercise("09.constant")
def constant(answer, ax):
    """The best constant for squared errors."""
    # cubed, so that mean and median are far apart
    targets = torch.rand(200, generator=torch.Generator().manual_seed(0)) ** 3
    mean = targets.mean()
    value = answer(targets)
    given = converted(value)
    if given is None or given.numel() != 1:
        raise Wrong(
            f"one output for all pictures is asked for, a tensor of shape (1, 1); yours is {kind(value)}"
        )
    output = given.flatten()[0]
    said = output.sigmoid()
    p = torch.linspace(0.01, 0.7, 80)
    errors = (targets - p[:, None]).square().mean(1)
    ax.plot(p, errors, color=RIGHT, label="squared error of answering p")
    ax.axvline(mean, color=RIGHT, lw=5, alpha=0.3, label="best")
    ax.axvline(said, color=YOURS, ls="--", label="yours, σ(output)")
    ax.set(xlabel="constant answer p", ylabel="mean squared error")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.34, 1))

    an_answer = f"this is an answer, and an output is asked for: σ({output:.2f}) = {said:.2f}. The logit undoes σ"
    for wrong in (mean, targets.median()):
        near_misses(output, mean.logit(), {an_answer: wrong}, atol=1e-3)
    best, yours = apart(mean, said)
    near_misses(
        output,
        mean.logit(),
        _other_constants(targets),
        f"σ of yours is {yours}, the best constant answer is {best}",
        atol=1e-3,
    )
    # 1 − t has the mean 1 − p, whose logit is −logit p
    other = converted(answer(1 - targets))
    if other is None or not close(other.flatten(), -mean.logit().view(1), 1e-3):
        raise Wrong("right for these targets, but not for others: use the argument")
    if given.shape != (1, 1):
        raise Wrong(
            f"right, but in the shape {tuple(given.shape)}: an output of one head for one picture is (1, 1)"
        )
    return "Which answer is trivial depends on the loss: the mean for squares, the median for absolute errors."


def _other_constants(targets: torch.Tensor) -> dict[str, torch.Tensor]:
    """Sentence → the output of this mistake; right is ln(p / (1 − p)) of the mean p."""
    mean = targets.mean()
    # another middle than the mean
    of_the_median = targets.median().logit()
    mean_of_logits = targets.clamp(1e-6, 1 - 1e-6).logit().mean()
    root_mean_square = targets.square().mean().sqrt().logit()
    # another function than the logit
    sigma_twice = mean.sigmoid()
    logarithm = mean.log()
    odds = mean / (1 - mean)
    mistakes = {
        "the median is best for absolute errors; squares are smallest somewhere else": of_the_median,
        "this is the mean of the logits; errors are counted in shares: take the mean of the shares first": mean_of_logits,
        "σ is done twice instead of undone: the logit undoes it": sigma_twice,
        "this is ln p; the logit is ln(p / (1 − p))": logarithm,
        "the sign is turned round: the logit is ln(p / (1 − p))": -mean.logit(),
        "this is the root of the mean square; set the derivative of Σ (t − c)² to zero": root_mean_square,
        "this is p / (1 − p), without its logarithm": odds,
    }
    return mistakes


@exercise("09.median")
def median(answer, ax):
    """A median over batches of unlike size."""
    generator = torch.Generator().manual_seed(1)
    output = torch.randn(31, 1, generator=generator)
    target = torch.rand(31, generator=generator)
    # a last, short batch of bad answers: it pulls a median of medians up
    bad = torch.where(target[25:] > 0.5, -6.0, 6.0)
    output[25:] = bad[:, None]
    batches = [(output[a:b], target[a:b]) for a, b in ((0, 10), (10, 25), (25, 31))]
    errors = (output.sigmoid()[:, 0] - target).abs()
    yours = number(answer(batches), "the median over all batches")
    right = errors.median().item()
    ax.hist(errors.numpy(), bins=20, color="#9aa2b1", label="errors of 31 pictures")
    ax.axvline(right, color=RIGHT, lw=5, alpha=0.4, label="median")
    ax.axvline(yours, color=YOURS, ls="--", label="yours")
    ax.set(xlabel="absolute error (share of floor)", ylabel="pictures")
    ax.legend(loc="best", frameon=False)

    parts = torch.stack([(o.sigmoid()[:, 0] - t).abs().median() for o, t in batches])
    joined = (
        "this joins the medians of the batches, so that six pictures of a short batch count as much as fifteen; "
        "collect all errors first"
    )
    for wrong in (parts.mean(), parts.median()):
        near_misses(yours, right, {joined: wrong}, atol=1e-5)

    logits_compared = (output[:, 0] - target).abs().median()
    signed = (output.sigmoid()[:, 0] - target).median()
    # (B, 1) − (B,) broadcasts to (B, B) without an error: the usual slip with a head of one output
    crossed = [(o.sigmoid() - t).abs().flatten() for o, t in batches]
    all_pairs = torch.cat(crossed).median()
    squared = errors.square().median()
    mistakes = {
        "this is the mean error; asked for is the median": errors.mean(),
        "outputs are logits: bring them between 0 and 1 by .sigmoid() before you compare": logits_compared,
        "(B, 1) minus (B,) is (B, B), each output against each target; take output[:, 0] first": all_pairs,
        "without | | errors up and down stand on both sides of 0: take .abs() first": signed,
        "these are squared errors; asked for are absolute ones": squared,
        "this is the last batch alone; collect the errors of all": parts[-1],
        "this is the first batch alone; collect the errors of all": parts[0],
    }
    best, told = apart(right, yours)
    said = f"the median of all 31 errors is {best}, yours is {told}"
    near_misses(yours, right, mistakes, said, atol=1e-5)
    other = [(output[3:10], target[3:10])]
    if not close(number(answer(other), "the median"), errors[3:10].median(), 1e-5):
        raise Wrong("right for these batches, but not for others: use the argument")
    return "Sums can be kept batch by batch, a median needs every error: that is why a meter may remember things."


def _furnished() -> torch.Tensor:
    """Twelve label maps; of each kind of furniture, 5 to 9, a block of 10 to 22 pixels, about the border of 20."""
    generator = torch.Generator().manual_seed(2)
    seg = torch.randint(0, 3, (12, 16, 16), generator=generator, dtype=torch.uint8)
    sizes = torch.randint(1, 8, (12,), generator=generator).tolist()
    for picture, size in zip(seg, sizes):
        for label in range(5, 5 + size % 5):
            top = 2 * (label - 5)
            picture[top : top + 2, : size + 4] = label
    return seg


@exercise("09.kinds")
def kinds(answer, ax):
    """How many kinds of furniture."""
    seg = _furnished()
    furniture = [5, 6, 7, 8, 9]
    pixels = _pixels(seg, furniture)
    right = (pixels >= 20).sum(0)
    value = answer(seg, list(furniture))
    given = converted(value)
    if given is None or given.shape != right.shape:
        said = (
            f"give one count for each picture, shape {tuple(right.shape)}; yours is {kind(value)}"
        )
        if given is not None and given.ndim == 0:
            said += ": this counts over all pictures at once"
        raise Wrong(said)
    bars(ax, right, given, range(12), "kinds of furniture")
    ax.set_xlabel("picture")

    any_pixel = (pixels > 0).sum(0)
    more_than_20 = (pixels > 20).sum(0)
    added_first = (pixels.sum(0) >= 20).long()
    all_classes = (_pixels(seg, range(10)) >= 20).sum(0)
    small_ones = (pixels < 20).sum(0)
    mistakes = {
        "a kind of which a corner shows counts here; asked for are kinds with 20 pixels or more": any_pixel,
        "20 pixels are enough: >= 20": more_than_20,
        "these are pixels; asked for is the number of kinds": pixels.sum(0),
        "pixels of all kinds are added up before they are compared: look at each kind by itself": added_first,
        "all classes count here, also those that are not in `furniture`": all_classes,
        "these are the kinds with less than 20 pixels": small_ones,
    }
    near_misses(given, right, mistakes)
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


def _pixels(seg: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
    """(labels, N): how many pixels of each picture have each label."""
    return torch.stack([(seg == label).sum((1, 2)) for label in labels])


def network() -> nn.Sequential:
    """Nine parts: conv 8, conv 8, pool, conv 16, conv 16, pool, conv 32, average, linear."""

    def conv(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(*conv_bn_relu(inputs, outputs))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = [conv(3, 8), conv(8, 8), nn.MaxPool2d(2)]
        parts += [conv(8, 16), conv(16, 16), nn.MaxPool2d(2)]
        parts += [conv(16, 32), nn.AdaptiveAvgPool2d(1)]
        parts.append(nn.Sequential(nn.Flatten(), nn.Linear(32, 4)))
    # running statistics instead of a batch's: cut or whole, the network says the same
    return nn.Sequential(*parts).eval()


@exercise("09.cut")
def cut(answer, ax):
    """A network cut in stages."""
    net = network()
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    yours = answer(net)
    if not isinstance(yours, Backbone):
        raise Wrong(f"give a Backbone(stages, plan, head); yours is {kind(yours)}")
    if len(yours.stages) != 5:
        raise Wrong(
            f"five stages are asked for, one for each convolution; yours are {len(yours.stages)}"
        )
    with torch.no_grad():
        whole = net(image)
        maps, out = _run(yours, image)
    sides = [features.shape[-1] for features in maps]
    groups = [stage.group for stage in yours.plan]
    colors = [GROUP_COLORS[group % len(GROUP_COLORS)] for group in groups]
    ax.bar(range(5), sides, color=colors)
    for i, (side, group) in enumerate(zip(sides, groups)):
        ax.text(i, side + 0.6, f"group {group}", ha="center", fontsize=8)
    ax.set(xlabel="your stage (colour: its group)", ylabel="side of its map (pixels)", ylim=(0, 39))

    if out.shape != whole.shape or not torch.allclose(out, whole, atol=1e-5):
        raise Wrong(
            "stages and head in a row give another answer than net: is a part left out, used twice, or out of order?"
        )
    # the same network then; what is left is where it was cut, and what the plan says of it
    for i in range(1, 5):
        if groups[i] == groups[i - 1] and sides[i] != sides[i - 1]:
            raise Wrong(
                f"stages {i - 1} and {i} are of one group, but their maps have {sides[i - 1]} and {sides[i]} pixels "
                "a side: a pooling belongs to the first stage of the next group"
            )
    if sides != [32, 32, 16, 16, 8]:
        raise Wrong(
            f"the maps should be 32, 32, 16, 16, 8 pixels wide, yours are {', '.join(map(str, sides))}: a pooling "
            "goes with the convolution behind it"
        )
    said = [stage.channels for stage in yours.plan]
    real = [features.shape[1] for features in maps]
    if said != real:
        raise Wrong(
            f"the plan says {said} channels, the stages put out {real}; the supernet would make fusions of the wrong "
            "size"
        )
    if groups != [0, 0, 1, 1, 2]:
        raise Wrong(
            f"groups of 2, 2 and 1 are asked for; yours give the stages the groups {groups}"
        )
    return "Edges inside a group then join maps of one size, and nothing has to be resized."


GROUP_COLORS = (RIGHT, "#f0a236", "#30a683", "#571b52", YOURS)


def _run(backbone: Backbone, image: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """What each stage puts out, and the head at last; a sentence where one cannot take what it is given."""
    maps = []
    x = image
    carry = ()
    for i, stage in enumerate(backbone.stages):
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
        return maps, backbone.head(x)
    except RuntimeError as error:
        raise Wrong(
            f"the head cannot take what the last stage puts out, {kind(x)}: it is net[7:], the average and the "
            f"linear layer ({error})"
        ) from None


@exercise("09.pack")
def pack(answer, ax):
    """From torch arrays to a pack."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (3, 8, 10, 3), np.uint8)
    seg = random.integers(0, 4, (3, 8, 10), np.uint8)
    unlabelled = random.random((3, 8, 10)) < 0.2
    depth = np.where(unlabelled, 0, random.integers(500, 6000, (3, 8, 10))).astype(np.uint16)
    # NaN becomes a whole number in most answers, of which numpy warns
    with np.errstate(invalid="ignore"):
        given = _dictionary(answer(*_as_torch_has_them(image, seg, depth)))
    if given["seg"].dtype == np.uint8 and given["seg"].max() == 255:
        raise Wrong(
            "−1 became 255, which is not a class: shift the classes by 1 first, so that “no label” becomes 0"
        )
    # the library reads the pack, and its errors are the check's
    names = np.array(["unlabelled", "a", "b", "c"])
    try:
        made = ImageDataset.from_arrays({"seg_names": names, **given}, "your pack")
    except MTLNASError as error:
        raise Wrong(str(error)) from None
    for key, shape in (("seg", seg.shape), ("depth_mm", depth.shape)):
        if given[key].shape != shape:
            raise Wrong(f"{key} should be (N, H, W), here {shape}; yours is {kind(given[key])}")
    if given["image"].shape != image.shape:
        raise Wrong(
            f"image should be (N, H, W, 3), here {image.shape}; yours is {kind(given['image'])}: are height and "
            "width exchanged?"
        )
    images = made.images.numpy().transpose(0, 2, 3, 1)
    depths = made.targets["depth"].numpy()[:, 0]
    off = {
        "image": _largest_error(images, image),
        "seg": _largest_error(made.targets["segmentation"].numpy(), seg),
        "depth_mm": _largest_error(depths, depth),
    }
    drawn = ax.bar(list(off), list(off.values()), color=YOURS, label="your pack against the truth")
    ax.bar_label(drawn)
    ax.set(ylabel="largest error\n(of 255, classes, mm)", ylim=(0, 1.3 * max(1, *off.values())))
    ax.legend(loc="best", frameon=False)
    if off["image"] > 1:
        if np.array_equal(given["image"][..., ::-1], image):
            raise Wrong("red and blue have changed places")
        raise Wrong(
            "the picture is another one: are channels moved, not reshaped, and values multiplied by 255?"
        )
    if off["seg"]:
        raise Wrong("classes should go from 0 … C − 1 to 1 … C, and −1 to 0")
    if off["depth_mm"] > 1:
        raise Wrong(
            f"depths are off by up to {off['depth_mm']} mm; a metre is 1000 mm, and NaN becomes 0"
        )
    # off by 1: what is left is rounding
    if off["image"] or off["depth_mm"]:
        raise Wrong(
            "nearly: astype cuts off what stands behind the point, so some values are 1 too small; round first"
        )
    return "This pack goes into `mtlnas-lab search --data` as it is."


def _as_torch_has_them(
    image: np.ndarray, seg: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 3, H, W) pictures from 0 to 1, classes from −1, metres with NaN: the arrays that an answer converts.

    0.3 below a whole number, as after a resize: whoever cuts off instead of rounding is 1 too small.
    """
    photos = ((image - 0.3) / 255).clip(0, 1).transpose(0, 3, 1, 2).astype(np.float32)
    classes = seg.astype(np.int64) - 1
    metres = np.where(depth == 0, np.nan, (depth - 0.3) / 1000)
    return photos, classes, metres


def _dictionary(given: object) -> dict[str, np.ndarray]:
    """The three arrays of a pack, three pictures in each."""
    wanted = "give a dictionary with the keys image, seg and depth_mm"
    if not isinstance(given, dict):
        raise Wrong(f"{wanted}; yours is {kind(given)}")
    if set(given) != {"image", "seg", "depth_mm"}:
        raise Wrong(f"{wanted}; yours has {', '.join(map(str, given))}")
    arrays = {key: np.asarray(array) for key, array in given.items()}
    for key, array in arrays.items():
        if array.ndim < 3 or len(array) != 3:
            raise Wrong(f"give three pictures in each array; {key} is {kind(array)}")
    return arrays


def _largest_error(yours: np.ndarray, right: np.ndarray) -> int:
    # as int: the difference of two unsigned numbers wraps round
    return np.abs(yours.astype(int) - right.astype(int)).max()
