"""Scores, and the gap between the network that was searched and the one that is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..tasks.task import Task
from .lab import Lab
from .relaxation import deterministic
from .supernet import Gates

Scores = dict[str, dict[str, float]]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Inside: the network is in evaluation mode; outside: in the mode that it was in."""
    training = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(training)


@torch.no_grad()
def evaluate(
    network: nn.Module, gates: Gates | None, tasks: Mapping[str, Task], batches: Iterable
) -> Scores:
    """Scores of a network in evaluation mode, pooled over all images.

    Args:
        network: called as `network(image, gates)`; gives {task: output}.
        gates: tensor (E,) or E booleans; None: the network is called as `network(image)`.
        tasks: those to be scored.
        batches: of (image (B, 3, H, W), {task: target}), as `data.loader.sequential` gives them.

    Returns:
        {task: {metric: value}}, in the units of `tasks.metrics`; a metric is NaN where no label was valid.

    Example:
        >>> from mtlnas_lab import evaluate, presets
        >>> from mtlnas_lab.data.loader import sequential
        >>> lab = presets.tiny()
        >>> batch = next(sequential(lab.data["val"], tuple(lab.tasks), 4))
        >>> scores = evaluate(lab.supernet, lab.derive().kept, lab.tasks, [batch])
        >>> sorted(scores["segmentation"])
        ['miou', 'pixel_accuracy']
    """
    meters = Meters(tasks)
    with evaluating(network):
        for image, targets in batches:
            meters.update(_outputs(network, image, gates), targets)
    return meters.compute()


class Meters:
    """Counts up the scores of one network, batch by batch."""

    def __init__(self, tasks: Mapping[str, Task]):
        self.of = {name: task.meter() for name, task in tasks.items()}

    def update(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
        """Count one batch; a task that has no target in it stays as it is."""
        for name, meter in self.of.items():
            if name in targets:
                meter.update(outputs[name], targets[name])

    def compute(self) -> Scores:
        """{task: {metric: value}} of all that was counted."""
        return {name: meter.compute() for name, meter in self.of.items()}


def _outputs(network: nn.Module, image: Tensor, gates: Gates | None) -> dict[str, Tensor]:
    if gates is None:
        return network(image)
    return network(image, gates)


@contextmanager
def recalibrated(network: nn.Module, gates: Gates | None, batches: Iterable) -> Iterator[nn.Module]:
    """Inside: batch-norm statistics are the plain average over `batches` under these gates; outside: as they were.

    In the search the statistics average over two kinds of soft gates, while the architecture uses a third kind.
    """
    training = network.training
    before = []  # (norm, its momentum, its statistics)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats:
            statistics = {name: buffer.clone() for name, buffer in module.named_buffers()}
            before.append((module, module.momentum, statistics))
    try:
        with evaluating(network), torch.no_grad():  # dropout and the like stay out of it
            for norm, _, _ in before:
                norm.reset_running_stats()
                norm.momentum = None  # cumulative average
                norm.train()
            for image, _ in batches:
                _outputs(network, image, gates)
        yield network
    finally:
        for norm, momentum, statistics in before:
            norm.momentum = momentum
            for name, buffer in statistics.items():
                getattr(norm, name).copy_(buffer)
        network.train(training)  # whatever was done to it inside


def discretization_gap(
    lab: Lab,
    batches: Callable[[], Iterable],
    training_batches: Callable[[], Iterable],
    kept: Sequence[bool] | None = None,
) -> dict[str, Scores]:
    """Scores of the same weights three ways: as they were searched, and as they are used.

    Args:
        lab: after its search.
        batches: makes fresh batches to score on, as (image, {task: target}).
        training_batches: makes fresh batches to average batch-norm statistics over.
        kept: the architecture, E booleans; by default the edges with α > 0.

    Returns:
        {"soft": scores under σ(α), "hard": scores under the architecture, "hard_recalibrated": scores under the
        architecture with batch-norm statistics averaged anew}, each {task: {metric: value}}.

    Example:
        >>> from mtlnas_lab import discretization_gap, presets
        >>> from mtlnas_lab.data.loader import sequential
        >>> lab = presets.tiny()
        >>> batch = next(sequential(lab.data["val"], tuple(lab.tasks), 4))
        >>> gap = discretization_gap(lab, lambda: [batch], lambda: [batch])
        >>> list(gap)
        ['soft', 'hard', 'hard_recalibrated']
        >>> sorted(gap["hard"])
        ['normals', 'segmentation']
    """
    kept = lab.derive().kept if kept is None else kept
    scores = {}
    soft = deterministic(lab.alphas.alpha.detach())
    scores["soft"] = evaluate(lab.supernet, soft, lab.tasks, batches())
    scores["hard"] = evaluate(lab.supernet, kept, lab.tasks, batches())
    with recalibrated(lab.supernet, kept, training_batches()) as network:
        scores["hard_recalibrated"] = evaluate(network, kept, lab.tasks, batches())
    return scores


@torch.no_grad()
def trivial(tasks: Mapping[str, Task], training: Iterable, batches: Iterable) -> Scores:
    """Scores of the best answer that does not look at the image: what every network has to beat.

    All targets of `training` are in memory for it.
    """
    seen: dict[str, list[Tensor]] = {name: [] for name in tasks}
    for _, targets in training:
        for name in seen.keys() & targets.keys():
            seen[name].append(targets[name])
    constants = {}
    meters = {}
    for name, targets in seen.items():
        if targets:  # a task without a label in training has no best answer
            constants[name] = tasks[name].constant(torch.cat(targets))
            meters[name] = tasks[name].meter()
    for _, targets in batches:
        for name, meter in meters.items():
            if name in targets:
                constant = constants[name]
                answer = constant.expand(len(targets[name]), *constant.shape[1:])
                meter.update(answer, targets[name])
    return {name: meter.compute() for name, meter in meters.items()}
