"""What a task is: its loss, its metrics, its picture, and the best it can say without looking at the image.

An *output* is what a head gives: (B, C, h, w) for dense tasks, possibly smaller than the target, or (B, C). Losses and
metrics bring it to the target's size bilinearly with aligned corners and keep float64 where it is given. *Targets*:
dense classes (B, H, W) int64 in 0..C-1, 255 = ignore; normals (B, 3, H, W) unit vectors, zero = no label; depth
(B, 1, H, W) metres, 0 = no label; edges (B, 1, H, W) uint8 0/1, 255 = ignore; image classes (B,) int64, -1 = unknown.
"""

from __future__ import annotations

import difflib
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import TaskError
from . import colormap
from .metric_names import HIGHER_IS_BETTER as HIGHER_IS_BETTER
from .metrics import Angles, Counts, Distances, Meter

IGNORE = 255  # no label, at a pixel


UNKNOWN = -1  # no class, of a whole image


MOST_CLASSES = IGNORE  # at a pixel: 0 to 254, for 255 stands for none


class Task(ABC):
    """One thing to learn: its loss, its metrics, its picture and its constant answer. Frozen; compares by value.

    The total loss of a search is the sum of weight · loss over its tasks.

    Attributes:
        name: A word of letters, digits and _ that names the task.
        weight: Its factor in the sum of losses, from 0 up.
        channels: How many channels C its head puts out.
        labels: Names of its classes; empty where it has none.
        dense: Whether it answers at every pixel, (B, C, H, W), or once for an image, (B, C).

    Raises:
        TaskError: for a name that is not a word, or a weight that is not a number from 0 up.

    Example:
        >>> import torch
        >>> from mtlnas_lab import make_task
        >>> task = make_task("segmentation", ["wall", "floor"])
        >>> task.channels, task.labels, task.dense
        (2, ('wall', 'floor'), True)
        >>> output = torch.zeros(1, 2, 4, 4)  # it finds both classes equally likely, which costs ln 2
        >>> round(task.loss(output, torch.ones(1, 4, 4, dtype=torch.int64)).item(), 3)
        0.693
    """

    name: str
    weight: float
    channels: int
    labels: tuple[str, ...] = ()
    dense: ClassVar[bool] = True

    def __post_init__(self):
        if not (isinstance(self.name, str) and self.name.isidentifier()):
            raise TaskError(
                f"a task cannot be called {self.name!r}: use letters, digits and _, as in 'seg13'"
            )
        if not (isinstance(self.weight, int | float) and 0 <= self.weight < math.inf):
            raise TaskError(
                f"task {self.name}: a loss weight is a number from 0 up, not {self.weight!r}"
            )

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean loss over what is labelled, a scalar; 0 with zero gradients where nothing is."""

    @abstractmethod
    def meter(self) -> Meter:
        """A fresh meter of this task's metrics."""

    def labelled(self, target: Tensor) -> Tensor:
        """Whether anything is labelled in a batch's target, a scalar bool. Kinds that do not say so always are."""
        return torch.ones((), dtype=torch.bool, device=target.device)

    @abstractmethod
    def constant(self, targets: Tensor) -> Tensor:
        """The trivial baseline: the best output, (1, C, H, W) or (1, C), that ignores the image, from many targets."""

    @abstractmethod
    def picture(self, x: Tensor) -> np.ndarray:
        """One target or output (no batch axis) as (H, W, 3) uint8, in colours that colour-blind readers tell apart."""

    def _fit(self, output: Tensor, target: Tensor) -> Tensor:
        """The output in float32 or float64, at the target's size, one for each target."""
        axes = 2
        if self.dense:
            axes = 4
        good = output.ndim == axes and output.shape[1] == self.channels
        if not good or len(output) not in (1, len(target)):
            raise TaskError(
                f"task {self.name}: an output of shape {tuple(output.shape)} cannot answer a target of "
                f"shape {tuple(target.shape)}; axis 1 must have {self.channels} channels"
            )
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        if self.dense and output.shape[-2:] != target.shape[-2:]:
            output = F.interpolate(output, target.shape[-2:], mode="bilinear", align_corners=True)
        return output.expand(len(target), *output.shape[1:])


class _Classes(Task):
    """What tasks with classes share: `classes` is their number or their names."""

    classes: int | Sequence[str]
    class_weights: tuple[float, ...]

    def __post_init__(self):
        super().__post_init__()
        names = ()
        if isinstance(self.classes, Iterable) and not isinstance(self.classes, str):
            names = tuple(map(str, self.classes))
            count = len(names)
        else:
            count = self._number()
        if count < 2:
            raise TaskError(f"task {self.name}: needs at least two classes, not {self.classes!r}")
        if self.dense and count > MOST_CLASSES:
            raise TaskError(
                f"task {self.name}: at most {MOST_CLASSES} classes fit at a pixel, for {IGNORE} stands for none, not "
                f"{count}; leave out or join rare ones"
            )
        # A frozen dataclass can be set in no other way.
        object.__setattr__(self, "classes", names or count)
        object.__setattr__(self, "labels", names)
        object.__setattr__(self, "channels", count)
        given = self.class_weights
        good = all(isinstance(w, int | float) and 0 <= w < math.inf for w in given)
        if given and not (good and len(given) == self.channels and sum(given) > 0):
            raise TaskError(
                f"task {self.name}: class_weights must be {self.channels} numbers from 0 up, one a class, not {given!r}"
            )

    def _number(self) -> int:
        try:
            return operator.index(self.classes)
        except TypeError:
            raise TaskError(
                f"task {self.name}: classes are their number or a list of their names, not {self.classes!r}"
            ) from None

    def _entropy(self, output: Tensor, target: Tensor, ignore: int) -> Tensor:
        """Mean cross-entropy of what is labelled, Σ w_t · −log softmax(output)_t / Σ w_t over targets t; w is 1 without
        class weights."""
        valid = target != ignore
        if not self.class_weights:
            total = F.cross_entropy(output, target, ignore_index=ignore, reduction="sum")
            return total / valid.sum().clamp(min=1)
        weight = output.new_tensor(self.class_weights)
        total = F.cross_entropy(output, target, weight, ignore_index=ignore, reduction="sum")
        # The labelled classes may all have the weight 0.
        return total / weight[target[valid]].sum().clamp(min=1e-6)


@dataclass(frozen=True)
class Segmentation(_Classes):
    """A class for every pixel; cross-entropy. Metrics, from 0 to 1: `miou`, `pixel_accuracy`.

    miou is the mean over classes of |P ∩ T| / |P ∪ T|, for the pixels P that are answered and T that are labelled so;
    pixel_accuracy is the share of labelled pixels that are answered right.

    `absent`: what a class that is in no target and no prediction does to the mean IoU: "skip" leaves it out (as
    torchmetrics does), "zero" counts it as 0 (as the released implementation does).
    """

    name: str
    classes: int | Sequence[str]
    weight: float = 1.0
    absent: str = "skip"
    class_weights: tuple[float, ...] = ()  # of each class in the loss; empty: all alike

    def __post_init__(self):
        super().__post_init__()
        if self.absent not in ("skip", "zero"):
            raise TaskError(
                f"task {self.name}: absent classes can be 'skip' or 'zero', not {self.absent!r}"
            )

    def loss(self, output, target):
        return self._entropy(self._fit(output, target), target, IGNORE)

    def labelled(self, target):
        return (target != IGNORE).any()

    def meter(self):
        def read(output, target):
            return self._fit(output, target).argmax(1), target, target != IGNORE

        def make(torchmetrics):
            options = {"num_classes": self.channels, "ignore_index": IGNORE, "validate_args": False}
            average = {"skip": "macro", "zero": "none"}[self.absent]
            return {
                "miou": torchmetrics.MulticlassJaccardIndex(average=average, **options),
                "pixel_accuracy": torchmetrics.MulticlassAccuracy(average="micro", **options),
            }

        return Counts(read, make)

    def constant(self, targets):
        """Each pixel's most frequent class (where none is labelled: the most frequent of all), one-hot."""
        targets = targets.byte()  # for speed
        votes = torch.stack(
            [(targets == c).sum(0, dtype=torch.int32) for c in range(self.channels)]
        )
        # Where nobody has voted, the whole picture's votes count.
        votes = torch.where(votes.sum(0) > 0, votes, votes.sum((1, 2), keepdim=True))
        return F.one_hot(votes.argmax(0), self.channels).movedim(-1, 0)[None].float()

    def picture(self, x):
        if x.is_floating_point():
            x = x.argmax(0)
        return colormap.classes(_array(x), self.channels)


@dataclass(frozen=True)
class Normals(Task):
    """The unit normal of the surface at every pixel; the loss is the mean of 1 − cos over labelled pixels.

    cos = n · m / (|n| |m|) of the answer n and the label m. Metrics: `mean_angle`, `median_angle`, `rmse_angle` in
    degrees; `within_11`, `within_22`, `within_30`, the share (0 to 1) of angles up to each of the `thresholds`
    (degrees).
    """

    name: str = "normals"
    weight: float = 20.0
    thresholds: tuple[float, ...] = (11.25, 22.5, 30.0)
    channels: ClassVar[int] = 3

    def _cosine(self, output, target):
        output = self._fit(output, target)
        length = output.square().sum(1).clamp(min=1e-16).sqrt()  # √0 would have no gradient
        unit = target.square().sum(1).clamp(min=1e-16).sqrt()
        return (output * target).sum(1) / (length * unit), (target != 0).any(1)

    def loss(self, output, target):
        cosine, valid = self._cosine(
            output, target
        )  # 0, without gradient, where nothing is labelled
        return (valid.sum() - cosine.sum()) / valid.sum().clamp(min=1)

    def labelled(self, target):
        return (target != 0).any()

    def meter(self):
        return Angles(self._cosine, self.thresholds)

    def constant(self, targets):
        """Each pixel's mean normal (where none is labelled: the mean of all)."""
        mean = targets.mean(0)
        mean = torch.where((mean != 0).any(0), mean, mean.mean((1, 2), keepdim=True))
        return F.normalize(mean, dim=0)[None]

    def picture(self, x):
        return colormap.normals(_array(x))


@dataclass(frozen=True)
class Depth(Task):
    """The distance along the optical axis (m) at every pixel; the loss is the mean of |p − t| over labelled pixels.

    Metrics: `absolute`, mean |p − t| in metres; `relative`, mean |p − t| / t; `delta1`, the share (0 to 1) of pixels
    with max(p/t, t/p) < 1.25. `far`: the distance (m) at which a picture's colours end.
    """

    name: str = "depth"
    weight: float = 1.0
    far: float = 10.0
    channels: ClassVar[int] = 1

    def loss(self, output, target):
        return _mean((self._fit(output, target) - target).abs(), target > 0)

    def labelled(self, target):
        return (target > 0).any()

    def meter(self):
        return Distances(self._fit)

    def constant(self, targets):
        """Each pixel's median (where none is labelled: the median of all)."""
        middle = _median(targets)
        return torch.where(middle.isnan(), _median(targets.flatten()).nan_to_num(), middle)[None]

    def picture(self, x):
        return colormap.distances(_array(x.squeeze(0)), self.far)


@dataclass(frozen=True)
class Edges(Task):
    """Is there a boundary at this pixel? Cross-entropy of the logit, edge pixels weighted.

    With p = σ(logit), the loss is −Σ w·(t·log p + (1 − t)·log(1 − p)) / Σ w over labelled pixels: a logit of 0 always
    costs ln 2. Metrics, from 0 to 1: `f1` = 2·P·R / (P + R) of precision P and recall R at p = 0.5; `ap`, average
    precision over 100 thresholds, so that memory stays bounded.

    `positive_weight`: the w of an edge pixel, where others have 1; None balances the two in every batch.
    """

    name: str = "edges"
    weight: float = 1.0
    positive_weight: float | None = None
    channels: ClassVar[int] = 1

    def _ratio(self, on, valid):
        if self.positive_weight is not None:
            return torch.tensor(float(self.positive_weight), device=on.device)
        return (valid.sum() - on.sum()).clamp(min=1) / on.sum().clamp(min=1)

    def loss(self, output, target):
        output = self._fit(output, target)
        on = target == 1
        valid = target != IGNORE
        weight = torch.where(on, self._ratio(on, valid), 1).to(output.dtype) * valid
        truth = on.to(output.dtype)
        total = F.binary_cross_entropy_with_logits(output, truth, weight, reduction="sum")
        return total / weight.sum().clamp(min=torch.finfo(output.dtype).tiny)

    def labelled(self, target):
        return (target != IGNORE).any()

    def meter(self):
        def read(output, target):
            return self._fit(output, target).sigmoid(), target.long(), target != IGNORE

        def make(torchmetrics):
            options = {"ignore_index": IGNORE, "validate_args": False}
            return {
                "f1": torchmetrics.BinaryF1Score(**options),
                "ap": torchmetrics.BinaryAveragePrecision(thresholds=100, **options),
            }

        return Counts(read, make)

    def constant(self, targets):
        """Each pixel's odds of an edge (one edge and one other pixel added), weighted as in the loss, as a logit."""
        on = targets == 1
        valid = targets != IGNORE
        edges = on.sum(0)
        others = valid.sum(0) - edges
        return torch.log(self._ratio(on, valid) * (edges + 1) / (others + 1))[None]

    def picture(self, x):
        share = torch.where(x == IGNORE, 0.5, x.float())
        if x.is_floating_point():  # an output, and so a logit
            share = x.sigmoid()
        return colormap.grey(_array(share.squeeze(0)))


@dataclass(frozen=True)
class Classification(_Classes):
    """One class for the whole image; cross-entropy. Metrics, from 0 to 1: `top1`, `top5`.

    top-k is the share of images whose class is among the min(k, C) largest outputs. With `soft=True` targets are
    probabilities (B, C), a row of zeros = unknown; the loss is the mean of (softmax − target)² over classes (as in the
    released implementation's history), and metrics compare with the largest.
    """

    name: str
    classes: int | Sequence[str]
    weight: float = 1.0
    soft: bool = False
    class_weights: tuple[float, ...] = ()  # of each class in the loss; empty: all alike
    dense: ClassVar[bool] = False

    def _hard(self, target):
        """The class of each image, (B,)."""
        if not self.soft:
            return target
        return torch.where(target.sum(1) > 0, target.argmax(1), UNKNOWN)

    def labelled(self, target):
        return (self._hard(target) != UNKNOWN).any()

    def loss(self, output, target):
        output = self._fit(output, target)
        if self.soft:
            known = self._hard(target) != UNKNOWN
            return _mean((output.softmax(1) - target).square().mean(1), known)
        return self._entropy(output, target, UNKNOWN)

    def meter(self):
        def read(output, target):
            hard = self._hard(target)
            return self._fit(output, target), hard, hard != UNKNOWN

        def make(torchmetrics):
            options = {
                "num_classes": self.channels,
                "ignore_index": UNKNOWN,
                "average": "micro",
                "validate_args": False,
            }
            five = min(5, self.channels)
            return {
                "top1": torchmetrics.MulticlassAccuracy(top_k=1, **options),
                "top5": torchmetrics.MulticlassAccuracy(top_k=five, **options),
            }

        return Counts(read, make)

    def constant(self, targets):
        """The logarithm of each class's share: the majority comes first, the five most frequent are the first five."""
        if self.soft:
            count = targets.sum(0)
        else:
            count = torch.bincount(targets[targets != UNKNOWN], minlength=self.channels)
        return (count.float() + 1).log()[None]  # 1 more of each, for log 0 is −∞

    def picture(self, x):
        share = torch.arange(self.channels) == x.cpu()  # of a label, its class has all
        if x.is_floating_point():
            share = x.softmax(0)
        return colormap.bars(_array(share))


KINDS = {
    "segmentation": Segmentation,
    "seg13": Segmentation,
    "seg40": Segmentation,
    "normals": Normals,
    "depth": Depth,
    "edges": Edges,
    **dict.fromkeys(
        ("room", "scene", "object", "master", "sub", "article", "colour", "usage", "gender"),
        Classification,
    ),
}


def make_task(name: str, classes: int | Sequence[str] | None = None) -> Task:
    """Make the task that the lab knows by this name, with its default loss weight: 20 for normals (as released), else 1.

    Args:
        name: One of KINDS, as in "segmentation", "normals", "depth", "edges", "room".
        classes: How many classes it has, or their names; for tasks that have classes.

    Returns:
        The task. Its fields, such as `weight`, can be changed with `dataclasses.replace`.

    Raises:
        TaskError: for an unknown name, and for missing classes.

    Example:
        >>> from mtlnas_lab import make_task
        >>> make_task("depth")
        Depth(name='depth', weight=1.0, far=10.0)
        >>> make_task("room", ["kitchen", "office"]).channels
        2
        >>> make_task("dept")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mtlnas_lab.errors.TaskError: unknown task 'dept', did you mean 'depth'? (known: segmentation, ...)
    """
    if name not in KINDS:
        hint = ""
        near = difflib.get_close_matches(str(name), KINDS, 1, 0.5)
        if near:
            hint = f", did you mean {near[0]!r}?"
        raise TaskError(f"unknown task {name!r}{hint} (known: {', '.join(KINDS)})")
    if not issubclass(KINDS[name], _Classes):
        return KINDS[name](name)
    if classes is None:
        raise TaskError(f"task {name}: needs its classes, their number or their names")
    return KINDS[name](name, classes)


def _array(x: Tensor) -> np.ndarray:
    if x.is_floating_point():
        x = x.float()  # numpy has no bfloat16
    return x.detach().cpu().numpy()


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return (values * valid).sum() / valid.sum().clamp(min=1)


def _median(depths: Tensor) -> Tensor:
    """Over axis 0 of what is above 0: the mean of the two middle ones, NaN where nothing is."""
    labelled = depths > 0
    behind = torch.where(labelled, depths, torch.inf).movedim(0, -1)  # sorting puts the others last
    ordered = behind.contiguous().sort(-1).values
    last = labelled.sum(0)[..., None] - 1
    low = ordered.gather(-1, (last // 2).clamp(min=0)).squeeze(-1)
    high = ordered.gather(-1, ((last + 1) // 2).clamp(min=0)).squeeze(-1)
    return torch.where(last.squeeze(-1) < 0, torch.nan, (low + high) / 2)
