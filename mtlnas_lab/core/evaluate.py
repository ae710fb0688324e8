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


@torch.no_grad()
def evaluate(
    network: Callable, gates: Gates | None, tasks: Mapping[str, Task], batches: Iterable
) -> Scores:
    """{task: {metric: value}} of `network(image, gates)` (gates None: `network(image)`) over (image, targets) batches,
    in evaluation mode, pooled over all images; a metric is NaN where no label was valid."""
    training = network.training
    network.eval()
    meters = {name: task.meter() for name, task in tasks.items()}
    for image, targets in batches:
        outputs = network(image) if gates is None else network(image, gates)
        for name, meter in meters.items():
            if name in targets:
                meter.update(outputs[name], targets[name])
    network.train(training)
    return {name: meter.compute() for name, meter in meters.items()}


@contextmanager
def recalibrated(network: nn.Module, gates: Gates | None, batches: Iterable) -> Iterator[nn.Module]:
    """Inside: batch-norm statistics are the plain average over `batches` under these gates; outside: as they were.

    In the search the statistics average over two kinds of soft gates, while the architecture uses a third kind.
    """
    norms = [
        m
        for m in network.modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats
    ]
    kept = [
        ({name: buffer.clone() for name, buffer in m.named_buffers()}, m.momentum) for m in norms
    ]
    training = network.training
    try:
        network.eval()
        for m in norms:
            m.reset_running_stats()
            m.momentum = None  # cumulative average
            m.train()
        with torch.no_grad():
            for image, _ in batches:
                network(image) if gates is None else network(image, gates)
        network.train(training)
        yield network
    finally:
        for m, (buffers, momentum) in zip(norms, kept):
            m.momentum = momentum
            for name, buffer in buffers.items():
                getattr(m, name).copy_(buffer)
        network.train(training)


def discretization_gap(
    lab: Lab,
    batches: Callable[[], Iterable],
    training_batches: Callable[[], Iterable],
    kept: Sequence[bool] | None = None,
) -> dict[str, Scores]:
    """The same weights three ways: under σ(α) (`soft`), under the architecture (`hard`), and under the architecture with
    batch-norm statistics averaged anew over `training_batches` (`hard_recalibrated`). The arguments make fresh batches.
    """
    kept = lab.derive().kept if kept is None else kept
    soft = evaluate(lab.supernet, deterministic(lab.alphas.alpha.detach()), lab.tasks, batches())
    hard = evaluate(lab.supernet, kept, lab.tasks, batches())
    with recalibrated(lab.supernet, kept, training_batches()) as network:
        return {
            "soft": soft,
            "hard": hard,
            "hard_recalibrated": evaluate(network, kept, lab.tasks, batches()),
        }


@torch.no_grad()
def trivial(tasks: Mapping[str, Task], training: Iterable, batches: Iterable) -> Scores:
    """Scores of the best answer that does not look at the image: what every network has to beat (all targets of
    `training` are in memory for it)."""
    seen: dict[str, list[Tensor]] = {name: [] for name in tasks}
    for _, targets in training:
        for name in seen.keys() & targets.keys():
            seen[name].append(targets[name])
    constants = {
        name: tasks[name].constant(torch.cat(targets)) for name, targets in seen.items() if targets
    }
    meters = {name: tasks[name].meter() for name in constants}
    for _, targets in batches:
        for name, meter in meters.items():
            if name in targets:
                meter.update(
                    constants[name].expand(len(targets[name]), *constants[name].shape[1:]),
                    targets[name],
                )
    return {name: meter.compute() for name, meter in meters.items()}
