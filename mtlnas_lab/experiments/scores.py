"""Scores during a search and at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from ..core.architecture import Architecture
from ..core.evaluate import Scores, discretization_gap, trivial
from ..core.lab import Lab
from ..core.search import Search
from ..data import loader
from ..one_line import printable
from ..tasks.task import HIGHER_IS_BETTER

AT_ONCE = 1 << 27  # numbers: of 3,640 images of 96 × 128; normals then take 512 MiB


def split_batches(lab: Lab, split: str):
    """All images of a split as the networks see them, in batches of 32; of the test or validation images where it is not
    there."""
    pack = lab.data.get(split) or lab.data.get("test") or lab.data["val"]
    return lab.seen(loader.sequential(pack, lab.targets, 32))


def _training_batches(lab: Lab, count: int):
    """Some training images as they are, to average batch-norm statistics over."""
    pack = lab.data["train"]
    some = pack.subset(torch.arange(min(len(pack), count * 32)))
    return lab.seen(loader.sequential(some, lab.targets, 32))


def scores_now(search: Search) -> dict[str, Scores]:
    """{gates: {task: {metric: value}}} on the validation images, while the search runs: the three gaps."""
    return _gaps(search.lab, "val", search.architecture(), 4)


def _gaps(lab: Lab, split: str, architecture: Architecture, batches: int) -> dict[str, Scores]:
    gaps = discretization_gap(
        lab,
        lambda: split_batches(lab, split),
        lambda: _training_batches(lab, batches),
        architecture.kept,
    )
    if architecture.alpha is None:  # nothing was searched, so there are no soft gates
        return {name: gaps[name] for name in ("hard", "hard_recalibrated")}
    return gaps


def final_scores(lab: Lab, architecture: Architecture) -> dict[str, Scores]:
    """{gates: {task: {metric: value}}} on the test images, soft gates only where there is an α, and the trivial answer.

    The trivial answer is that of all training images, or of every 2nd, 3rd, … where they have more than AT_ONCE numbers,
    so that it needs no more memory.
    """
    pack = lab.data["train"]
    numbers = len(pack) * pack.images[0].numel()
    every = -(-numbers // AT_ONCE)  # rounded up
    some = pack.subset(torch.arange(0, len(pack), every))
    training = loader.sequential(some, tuple(lab.tasks), 32)
    answer = trivial(lab.tasks, training, split_batches(lab, "test"))
    return _gaps(lab, "test", architecture, 16) | {"trivial": answer}


def table(scores: Mapping[str, Scores]) -> str:
    """Scores as text: a line for each metric, a column for each network; an arrow says which way is better."""
    if not scores:
        return ""
    rows = [["", *map(printable, scores)]]
    for task, values in next(iter(scores.values())).items():
        for metric in values:
            arrow = "↑" if HIGHER_IS_BETTER.get(metric, True) else "↓"
            found = [by_task.get(task, {}).get(metric, math.nan) for by_task in scores.values()]
            shown = [f"{value:.3f}" for value in found]
            rows.append([printable(f"{task} {metric} {arrow}"), *shown])
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for first, *cells in rows:
        columns = [cell.rjust(width) for cell, width in zip(cells, widths[1:])]
        lines.append("  ".join([first.ljust(widths[0]), *columns]))
    return "\n".join(lines)
