"""Scores during a search and at its end."""

from __future__ import annotations

import torch

from ..core.architecture import Architecture
from ..core.evaluate import Scores, discretization_gap, trivial
from ..core.lab import Lab
from ..core.search import Search
from ..data import loader

AT_ONCE = 1 << 27  # numbers: of 3,640 images of 96 × 128; normals then take 512 MiB


# --- scores -----------------------------------------------------------------------------------------------------------
def _batches(lab: Lab, split: str):
    pack = lab.data.get(split) or lab.data.get("test") or lab.data["val"]
    return loader.sequential(pack, tuple(lab.tasks), 32)


def _training_batches(lab: Lab, count: int):
    """Some training images as they are, to average batch-norm statistics over."""
    pack = lab.data["train"]
    return loader.sequential(
        pack.subset(torch.arange(min(len(pack), count * 32))), tuple(lab.tasks), 32
    )


def scores_now(search: Search) -> dict[str, Scores]:
    """The three gaps on the validation images, while the search runs."""
    return _gaps(search.lab, "val", search.architecture(), 4)


def _gaps(lab: Lab, split: str, architecture: Architecture, batches: int) -> dict[str, Scores]:
    gaps = discretization_gap(
        lab,
        lambda: _batches(lab, split),
        lambda: _training_batches(lab, batches),
        architecture.kept,
    )
    return (
        gaps
        if architecture.alpha is not None
        else {name: gaps[name] for name in ("hard", "hard_recalibrated")}
    )


def final_scores(lab: Lab, architecture: Architecture) -> dict[str, Scores]:
    """The gaps (soft gates only where there is an α) and, on the test images, the trivial answer: of all training images, or of
    every 2nd, 3rd, … where they have more than AT_ONCE numbers, so that it needs no more memory."""
    pack = lab.data["train"]
    some = pack.subset(
        torch.arange(0, len(pack), -(-len(pack) * pack.images[0].numel() // AT_ONCE))
    )
    training = loader.sequential(some, tuple(lab.tasks), 32)
    return _gaps(lab, "test", architecture, 16) | {
        "trivial": trivial(lab.tasks, training, _batches(lab, "test"))
    }
