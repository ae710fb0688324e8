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
from . import colormap as colours
from .metrics import HIGHER_IS_BETTER as HIGHER_IS_BETTER
from .metrics import Angles, Counts, Distances, Meter

IGNORE, UNKNOWN = 255, -1


MOST_CLASSES = IGNORE  # at a pixel: 0 to 254, for 255 stands for none


class Task(ABC):
    """One thing to learn: `channels` are its head's outputs, `weight` is its share in the sum of losses, `labels` name
    its classes (or are empty), `dense` tasks answer at every pixel. Tasks are frozen and compare by value."""

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
        good = output.ndim == (4 if self.dense else 2) and output.shape[1] == self.channels
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
        if isinstance(self.classes, Iterable) and not isinstance(self.classes, str):
            names, count = tuple(map(str, self.classes)), len(self.classes)
        else:
            names, count = (), self._number()
        if count < 2:
            raise TaskError(f"task {self.name}: needs at least two classes, not {self.classes!r}")
        if self.dense and count > MOST_CLASSES:
            raise TaskError(
                f"task {self.name}: at most {MOST_CLASSES} classes fit at a pixel, for {IGNORE} stands for none, not "
                f"{count}; leave out or join rare ones"
            )
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
        """Mean cross-entropy of what is labelled, each pixel or image weighed by its class where there are weights."""
        valid, weight = target != ignore, None
        count = valid.sum()
        if self.class_weights:
            weight = output.new_tensor(self.class_weights)
            count = weight[target[valid]].sum()
        total = F.cross_entropy(output, target, weight, ignore_index=ignore, reduction="sum")
        return total / count.clamp(min=1 if weight is None else 1e-6)


@dataclass(frozen=True)
class Segmentation(_Classes):
    """A class for every pixel; cross-entropy. Metrics: `miou`, `pixel_accuracy`.

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
        options = {"num_classes": self.channels, "ignore_index": IGNORE, "validate_args": False}
        average = {"skip": "macro", "zero": "none"}[self.absent]
        return Counts(
            lambda output, target: (self._fit(output, target).argmax(1), target, target != IGNORE),
            lambda m: {
                "miou": m.MulticlassJaccardIndex(average=average, **options),
                "pixel_accuracy": m.MulticlassAccuracy(average="micro", **options),
            },
        )

    def constant(self, targets):
        """Each pixel's most frequent class (where none is labelled: the most frequent of all), one-hot."""
        targets = targets.byte()  # for speed
        votes = torch.stack(
            [(targets == c).sum(0, dtype=torch.int32) for c in range(self.channels)]
        )
        votes = torch.where(votes.sum(0) > 0, votes, votes.sum((1, 2), keepdim=True))
        return F.one_hot(votes.argmax(0), self.channels).movedim(-1, 0)[None].float()

    def picture(self, x):
        return colours.classes(_array(x.argmax(0) if x.is_floating_point() else x), self.channels)


@dataclass(frozen=True)
class Normals(Task):
    """The unit normal of the surface at every pixel; 1 - mean cosine. Metrics: `mean_angle`, `median_angle`,
    `rmse_angle` (degrees), the share (0-1) within each of the `thresholds`: `within_11`, `within_22`, `within_30`."""

    name: str = "normals"
    weight: float = 20.0
    thresholds: tuple[float, ...] = (11.25, 22.5, 30.0)
    channels: ClassVar[int] = 3

    def _cosine(self, output, target):
        output = self._fit(output, target)
        length, unit = (x.square().sum(1).clamp(min=1e-16).sqrt() for x in (output, target))
        return (output * target).sum(1) / (length * unit), (target != 0).any(1)

    def loss(self, output, target):
        cosine, valid = self._cosine(
            output, target
        )  # where nothing is labelled: cosine 0, gradient 0
        return (valid.sum() - cosine.sum()) / valid.sum().clamp(min=1)

    def labelled(self, target):
        return (target != 0).any()

    def meter(self):
        return Angles(self._cosine, self.thresholds)

    def constant(self, targets):
        """Each pixel's mean normal (where none is labelled: the mean of all)."""
        mean = targets.mean(0)
        return F.normalize(
            torch.where((mean != 0).any(0), mean, mean.mean((1, 2), keepdim=True)), dim=0
        )[None]

    def picture(self, x):
        return colours.normals(_array(x))


@dataclass(frozen=True)
class Depth(Task):
    """The distance along the optical axis (m) at every pixel; L1. Metrics: `absolute` (m), `relative` (to the truth),
    `delta1` (share with max(p/t, t/p) < 1.25). `far`: the distance (m) at which a picture's colours end."""

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
        return colours.distances(_array(x.squeeze(0)), self.far)


@dataclass(frozen=True)
class Edges(Task):
    """Is there a boundary at this pixel? Cross-entropy of the logit, edge pixels weighted. Metrics: `f1` at probability
    0.5; `ap`, average precision over 100 thresholds, so that memory stays bounded.

    `positive_weight`: how much an edge pixel counts against another; None balances the two in every batch. The loss is
    divided by the sum of the weights, so that a logit of 0 always costs ln 2.
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
        output, on, valid = self._fit(output, target), target == 1, target != IGNORE
        weight = torch.where(on, self._ratio(on, valid), 1).to(output.dtype) * valid
        total = F.binary_cross_entropy_with_logits(
            output, on.to(output.dtype), weight, reduction="sum"
        )
        return total / weight.sum().clamp(min=torch.finfo(output.dtype).tiny)

    def labelled(self, target):
        return (target != IGNORE).any()

    def meter(self):
        options = {"ignore_index": IGNORE, "validate_args": False}
        return Counts(
            lambda output, target: (
                self._fit(output, target).sigmoid(),
                target.long(),
                target != IGNORE,
            ),
            lambda m: {
                "f1": m.BinaryF1Score(**options),
                "ap": m.BinaryAveragePrecision(thresholds=100, **options),
            },
        )

    def constant(self, targets):
        """Each pixel's odds of an edge (one edge and one other pixel added), weighted as in the loss, as a logit."""
        on, valid = targets == 1, targets != IGNORE
        return torch.log(self._ratio(on, valid) * (on.sum(0) + 1) / (valid.sum(0) - on.sum(0) + 1))[
            None
        ]

    def picture(self, x):
        share = x.sigmoid() if x.is_floating_point() else torch.where(x == IGNORE, 0.5, x.float())
        return colours.grey(_array(share.squeeze(0)))


@dataclass(frozen=True)
class Classification(_Classes):
    """One class for the whole image; cross-entropy. Metrics: `top1`, `top5` (of min(5, C)). With `soft=True` targets
    are probabilities (B, C), a row of zeros = unknown; the loss is their mean squared distance from the softmax (as in
    the released implementation's history), and metrics compare with the largest."""

    name: str
    classes: int | Sequence[str]
    weight: float = 1.0
    soft: bool = False
    class_weights: tuple[float, ...] = ()  # of each class in the loss; empty: all alike
    dense: ClassVar[bool] = False

    def _hard(self, target):
        return torch.where(target.sum(1) > 0, target.argmax(1), UNKNOWN) if self.soft else target

    def labelled(self, target):
        return (self._hard(target) != UNKNOWN).any()

    def loss(self, output, target):
        output, known = self._fit(output, target), self._hard(target) != UNKNOWN
        if self.soft:
            return _mean((output.softmax(1) - target).square().mean(1), known)
        return self._entropy(output, target, UNKNOWN)

    def meter(self):
        options = {
            "num_classes": self.channels,
            "ignore_index": UNKNOWN,
            "average": "micro",
            "validate_args": False,
        }
        return Counts(
            lambda output, target: (
                self._fit(output, target),
                t := self._hard(target),
                t != UNKNOWN,
            ),
            lambda m: {
                f"top{k}": m.MulticlassAccuracy(top_k=min(k, self.channels), **options)
                for k in (1, 5)
            },
        )

    def constant(self, targets):
        """The logarithm of each class's share: the majority comes first, the five most frequent are the first five."""
        hard = self._hard(targets)
        share = (
            targets.sum(0)
            if self.soft
            else torch.bincount(hard[hard != UNKNOWN], minlength=self.channels)
        )
        return (share.float() + 1).log()[None]

    def picture(self, x):
        return colours.bars(
            _array(
                x.softmax(0) if x.is_floating_point() else torch.arange(self.channels) == x.cpu()
            )
        )


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
    """The task that the lab knows by this name, with its default loss weight: 20 for normals (as released), else 1.

    `classes`: number or names, for tasks that have them. Raises TaskError for an unknown name and for missing classes.
    """
    if name not in KINDS:
        near = difflib.get_close_matches(str(name), KINDS, 1, 0.5)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise TaskError(f"unknown task {name!r}{hint} (known: {', '.join(KINDS)})")
    if not issubclass(KINDS[name], _Classes):
        return KINDS[name](name)
    if classes is None:
        raise TaskError(f"task {name}: needs its classes, their number or their names")
    return KINDS[name](name, classes)


def _array(x: Tensor) -> np.ndarray:
    return (x.float() if x.is_floating_point() else x).detach().cpu().numpy()


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return (values * valid).sum() / valid.sum().clamp(min=1)


def _median(depths: Tensor) -> Tensor:
    """Over axis 0 of what is above 0: the mean of the two middle ones, NaN where nothing is."""
    ordered = torch.where(depths > 0, depths, torch.inf).movedim(0, -1).contiguous().sort(-1).values
    last = (depths > 0).sum(0)[..., None] - 1
    low, high = (
        ordered.gather(-1, i.clamp(min=0)).squeeze(-1) for i in (last // 2, (last + 1) // 2)
    )
    return torch.where(last.squeeze(-1) < 0, torch.nan, (low + high) / 2)
