"""How metrics are counted: meters that add up, batch by batch, what they need. What metrics are called: `metric_names.py`.

Meters keep what they add up on the outputs' device; `task.py` says which task has which metrics.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .._compat import torchvision


class Meter(ABC):
    @abstractmethod
    def update(self, output: Tensor, target: Tensor) -> None:
        """Count one batch: an output and its target as `tasks` has them."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """{metric name: float} over everything counted so far; NaN where nothing was labelled."""


class Counts(Meter):
    """Metrics by torchmetrics, of what is counted: hits, misses, and pairs of classes.

    `read(output, target) -> (predictions, target, which of it is labelled)`; `make(torchmetrics.classification) ->
    {name: metric}`.
    """

    def __init__(self, read: Callable, make: Callable):
        torchvision()
        import torchmetrics.classification

        self.read = read
        self.metrics = make(torchmetrics.classification)
        self.labelled = 0
        for metric in self.metrics.values():
            # `bool` gives False: processes that search together evaluate the same images, so none asks the others.
            metric.distributed_available_fn = bool

    @torch.no_grad()
    def update(self, output, target):
        predictions, target, valid = self.read(output, target)
        self.labelled = self.labelled + valid.sum()
        for metric in self.metrics.values():
            metric.to(target.device).update(predictions, target)

    def compute(self):
        if not self.labelled:
            return dict.fromkeys(self.metrics, math.nan)
        return {name: float(metric.compute().mean()) for name, metric in self.metrics.items()}


class Angles(Meter):
    """Degrees between normals, all of them kept (4 bytes a pixel), as a true median needs.

    angle = arccos(n · m / (|n| |m|)), in degrees; `within_t` is the share of angles ≤ t.
    `cosine(output, target) -> (cosines, which are labelled)`.
    """

    def __init__(self, cosine: Callable, thresholds: Sequence[float]):
        self.cosine = cosine
        self.thresholds = thresholds
        self.angles = [torch.empty(0)]

    @torch.no_grad()
    def update(self, output, target):
        cosine, valid = self.cosine(output, target)
        degrees = cosine.clamp(-1, 1).acos().rad2deg()
        # -1 for no label: picking the labelled ones here would wait for the device.
        self.angles.append(torch.where(valid, degrees, -1).flatten())

    def compute(self):
        angles = torch.cat([part.cpu().double() for part in self.angles])
        labelled = angles[angles != -1]
        # on a processor torch sorts at little more than half that speed
        angles = torch.from_numpy(np.sort(labelled.numpy()))
        middle = angles[
            (len(angles) - 1) // 2 : len(angles) // 2 + 1
        ]  # one, or two of an even number
        found = {
            "mean_angle": angles.mean().item(),
            "median_angle": middle.mean().item(),
            "rmse_angle": angles.square().mean().sqrt().item(),
        }
        for threshold in self.thresholds:
            found[f"within_{int(threshold)}"] = (angles <= threshold).double().mean().item()
        return found


class Distances(Meter):
    """Errors of depth p against the truth t > 0, each a mean over what is labelled.

    absolute = |p − t| in metres; relative = |p − t| / t; delta1 = 1 where max(p/t, t/p) < 1.25.
    `fit(output, target) -> output at the target's size`.
    """

    def __init__(self, fit: Callable):
        self.fit = fit
        self.sums = [torch.zeros(4)]

    @torch.no_grad()
    def update(self, output, target):
        valid = target > 0
        output = torch.where(
            valid, self.fit(output, target), 1
        )  # no error where nothing is labelled
        truth = torch.where(valid, target, 1)
        error = (output - truth).abs()
        positive = output.clamp(min=1e-9)  # a network may answer a negative depth
        close = torch.maximum(positive / truth, truth / positive) < 1.25
        sums = [error.sum(), (error / truth).sum(), (close & valid).sum(), valid.sum()]
        self.sums.append(torch.stack(sums))

    def compute(self):
        sums = torch.stack([part.cpu().double() for part in self.sums]).sum(0)
        *totals, count = sums.tolist()
        names = ("absolute", "relative", "delta1")
        if not count:
            return dict.fromkeys(names, math.nan)
        return {name: total / count for name, total in zip(names, totals, strict=True)}
