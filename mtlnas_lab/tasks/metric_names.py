"""What metrics are called: the one table of their names, units and directions. Which task has which: `task.py`."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """How a metric is called, what it is counted in, and whether more of it is better. Without a unit it is from 0 to 1,
    but for `relative`, which is from 0 up."""

    name: str
    unit: str
    higher_is_better: bool

    @property
    def label(self) -> str:
        """As an axis or a table's head has it."""
        if not self.unit:
            return self.name
        return f"{self.name}, {self.unit}"


TABLE = {  # name, unit, whether higher is better
    "miou": ("mean IoU", "", True),
    "pixel_accuracy": ("pixel accuracy", "", True),
    "mean_angle": ("mean angle", "degrees", False),
    "median_angle": ("median angle", "degrees", False),
    "rmse_angle": ("RMS angle", "degrees", False),
    "within_11": ("share within 11.25°", "", True),
    "within_22": ("share within 22.5°", "", True),
    "within_30": ("share within 30°", "", True),
    "within_45": ("share within 45°", "", True),
    "absolute": ("absolute error", "m", False),
    "relative": ("relative error", "", False),
    "delta1": ("share with δ < 1.25", "", True),
    "f1": ("F1", "", True),
    "ap": ("average precision", "", True),
    "top1": ("top-1 accuracy", "", True),
    "top5": ("top-5 accuracy", "", True),
}


METRICS = {key: Metric(*row) for key, row in TABLE.items()}


HIGHER_IS_BETTER = {key: metric.higher_is_better for key, metric in METRICS.items()}


def direction_of(metric: str) -> int:
    """1 where more is better, −1 where less is, 0 of a metric that nobody knows."""
    if metric not in METRICS:
        return 0
    if METRICS[metric].higher_is_better:
        return 1
    return -1


def name_of(metric: str) -> str:
    """Its name without a unit; of a metric that nobody knows, what it is called in the scores."""
    if metric not in METRICS:
        return metric
    return METRICS[metric].name


def label_of(metric: str) -> str:
    """Its name, its unit, and an arrow to where it is better.

    >>> label_of("mean_angle"), label_of("of my own")
    ('mean angle, degrees ↓', 'of my own')
    """
    if metric not in METRICS:
        return metric
    arrow = "↑" if METRICS[metric].higher_is_better else "↓"
    return f"{METRICS[metric].label} {arrow}"
