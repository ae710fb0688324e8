"""Trains one graph under one seed, and measures it: one record of a table."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from ..core.config import SearchConfig
from ..core.evaluate import evaluating, recalibrated
from ..core.events import Evaluated, Failed, Step
from ..core.lab import Lab
from ..core.search import Search
from ..data.loader import sequential
from ..errors import ConfigError
from ..models.pruned import operations, prune
from .condition import Condition
from .graph import Graph, kept_of, number_of

POINTS = 10  # of the loss curve
SPLITS = ("val", "test")
BATCH_NORMS = ("trained", "recalibrated")  # statistics as training left them, or averaged anew

Record = dict[str, float | int]


def train(condition: Condition, graph: Graph, seed: int) -> Record:
    """Train one graph from the start and measure it. The same numbers each time on one kind of machine.

    Args:
        condition: What the table is about.
        graph: Which edges are open: as `graph.number_of` takes it.
        seed: Draws the networks' start and the order of the images, the same for every graph.

    Returns:
        One flat record: `graph` and `seed`; `<split>/<batch norm>/<task>/<metric>` with split val or test, batch norm
        trained or recalibrated, and the metric loss or one of the task's; `curve/<step>/<task>`, the loss on val while it
        trained; `parameters`, `operations` (multiply-adds an image) and `seconds` of processor time.

    Raises:
        SpaceError: The graph belongs to another space.
        ConfigError: A loss is not a finite number any more.
    """
    kept = kept_of(graph, condition.space)
    record: Record = {"graph": number_of(graph, condition.space), "seed": seed}
    lab = condition.lab(seed)
    config = condition.config(seed)
    started = time.process_time()
    config = replace(config, evaluate_every=max(config.steps // POINTS, 1))
    with one_thread():
        for event in Search(lab, config, gates=kept, evaluate=_losses_on_val(kept)):
            if isinstance(event, Failed):
                raise ConfigError(f"graph {record['graph']} under seed {seed}: {event.message}")
            if isinstance(event, Evaluated):
                for task, scores in event.scores.items():
                    record[f"curve/{event.step}/{task}"] = scores["loss"]
        record |= measured(lab, kept)
    record |= costs(lab, kept)
    record["seconds"] = time.process_time() - started
    return record


def go_on(search: Search, who: str, until: int | None = None) -> None:
    """Goes on with a search, where no step of it is looked at.

    Args:
        search: At whatever step it is.
        who: Names it in a message.
        until: The step to stop after; otherwise the search goes on to its end.

    Raises:
        ConfigError: A loss is not a finite number any more; the message begins with `who`.
    """
    if until is not None and search.step_number >= until:
        return
    for event in search:
        if isinstance(event, Failed):
            raise ConfigError(f"{who} failed: {event.message}")
        if isinstance(event, Step) and event.step == until:
            return


def train_in(lab: Lab, graph: Graph, config: SearchConfig) -> Lab:
    """Trains a lab under one graph, and returns it.

    Raises:
        ConfigError: A loss is not a finite number any more.
    """
    kept = kept_of(graph, lab.space)
    go_on(Search(lab, config, gates=kept), f"graph {graph} of seed {config.seed}")
    return lab


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes with one thread: another number of threads adds up in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _losses_on_val(kept: Sequence[bool]):
    def evaluate(search: Search) -> dict[str, dict[str, float]]:
        return losses(search.lab, kept, "val")

    return evaluate


def losses(lab: Lab, kept: Sequence[bool], split: str) -> dict[str, dict[str, float]]:
    """{task: {"loss": value}} over all images of a split at once, in evaluation mode."""
    (batch,) = lab.seen(sequential(lab.data[split], lab.targets, len(lab.data[split])))
    seen, targets = batch
    with evaluating(lab.supernet), torch.no_grad():
        outputs = lab.supernet(seen, kept)
        found = lab.loss(outputs, targets)
    return {task: {"loss": value.item()} for task, value in found.items()}


def measured(lab: Lab, kept: Sequence[bool]) -> Record:
    """Losses and metrics of a trained graph: on val and on test, with both kinds of batch-norm statistics."""
    record: Record = {}
    training = sequential(lab.data["train"], lab.targets, 32)
    for split in SPLITS:
        record |= scored(lab, kept, split, "trained")
    with recalibrated(lab.supernet, kept, lab.seen(training)):
        for split in SPLITS:
            record |= scored(lab, kept, split, "recalibrated")
    return record


def scored(lab: Lab, kept: Sequence[bool], split: str, batch_norm: str) -> Record:
    """Losses and metrics of a graph on all images of a split, named `<split>/<batch_norm>/<task>/<metric>`."""
    (batch,) = lab.seen(sequential(lab.data[split], lab.targets, len(lab.data[split])))
    seen, targets = batch
    with evaluating(lab.supernet), torch.no_grad():
        outputs = lab.supernet(seen, kept)
    record: Record = {}
    for name, task in lab.tasks.items():
        meter = task.meter()
        meter.update(outputs[name], targets[name])
        found = {"loss": task.loss(outputs[name], targets[name]).item()} | meter.compute()
        for metric, value in found.items():
            record[f"{split}/{batch_norm}/{name}/{metric}"] = value
    return record


def costs(lab: Lab, kept: Sequence[bool]) -> Record:
    """Parameters of the pruned network, and its multiply-adds for one image."""
    network = prune(lab.supernet, kept)
    image, _ = lab.data["val"].batch(torch.tensor([0]), ())
    parameters = sum(weight.numel() for weight in network.parameters())
    return {"parameters": parameters, "operations": operations(network, image)}
