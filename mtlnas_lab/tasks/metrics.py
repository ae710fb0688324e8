"""Meters add up what metrics need, batch by batch, on the outputs' device; tasks.py says which task has which."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .._compat import torchvision

HIGHER_IS_BETTER = {
    "miou": True,
    "pixel_accuracy": True,
    "mean_angle": False,
    "median_angle": False,
    "rmse_angle": False,
    "within_11": True,
    "within_22": True,
    "within_30": True,
    "within_45": True,
    "absolute": False,
    "relative": False,
    "delta1": True,
    "f1": True,
    "ap": True,
    "top1": True,
    "top5": True,
}


class Meter(ABC):
    @abstractmethod
    def update(self, output: Tensor, target: Tensor) -> None:
        """Count one batch: an output and its target as `tasks` has them."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """{metric name: float} over everything counted so far; NaN where nothing was labelled."""


class Counts(Meter):
    """Metrics by torchmetrics. `metrics(torchmetrics.classification) -> {name: metric}`;
    `read(output, target) -> (predictions, target, which of it is labelled)`."""

    def __init__(self, read: Callable, metrics: Callable):
        torchvision()
        import torchmetrics.classification

        self.read, self.metrics, self.labelled = read, metrics(torchmetrics.classification), 0
        for metric in self.metrics.values():
            metric.distributed_available_fn = (
                bool  # False: processes that search together evaluate the same images
            )

    @torch.no_grad()
    def update(self, output, target):
        predictions, target, valid = self.read(output, target)
        self.labelled = self.labelled + valid.sum()
        for metric in self.metrics.values():
            metric.to(target.device).update(predictions, target)

    def compute(self):
        return {
            name: float(metric.compute().mean()) if self.labelled else math.nan
            for name, metric in self.metrics.items()
        }


class Angles(Meter):
    """Degrees between normals, all of them kept (4 bytes a pixel), as a true median needs.
    `cosine(output, target) -> (cosines, which are labelled)`."""

    def __init__(self, cosine: Callable, thresholds: Sequence[float]):
        self.cosine, self.thresholds, self.angles = cosine, thresholds, [torch.empty(0)]

    @torch.no_grad()
    def update(self, output, target):
        cosine, valid = self.cosine(output, target)
        self.angles.append(torch.where(valid, cosine.clamp(-1, 1).acos().rad2deg(), -1).flatten())

    def compute(self):
        angles = torch.cat([part.cpu().double() for part in self.angles])
        angles = angles[angles != -1].sort().values
        middle = angles[(len(angles) - 1) // 2 : len(angles) // 2 + 1]
        return {
            "mean_angle": angles.mean().item(),
            "median_angle": middle.mean().item(),
            "rmse_angle": angles.square().mean().sqrt().item(),
            **{f"within_{int(t)}": (angles <= t).double().mean().item() for t in self.thresholds},
        }


class Distances(Meter):
    """Errors of depth. `fit(output, target) -> output at the target's size`; targets above 0 are labelled."""

    def __init__(self, fit: Callable):
        self.fit, self.sums = fit, [torch.zeros(4)]

    @torch.no_grad()
    def update(self, output, target):
        valid = target > 0
        output, truth = (
            torch.where(valid, self.fit(output, target), 1),
            torch.where(valid, target, 1),
        )
        error, positive = (output - truth).abs(), output.clamp(min=1e-9)
        close = torch.maximum(positive / truth, truth / positive) < 1.25
        self.sums.append(
            torch.stack([error.sum(), (error / truth).sum(), (close & valid).sum(), valid.sum()])
        )

    def compute(self):
        *sums, count = torch.stack([part.cpu().double() for part in self.sums]).sum(0).tolist()
        return {
            name: total / count if count else math.nan
            for name, total in zip(("absolute", "relative", "delta1"), sums, strict=True)
        }
