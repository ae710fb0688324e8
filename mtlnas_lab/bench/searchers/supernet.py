"""What searches with a supernet share: training it for some steps, and what a graph scores with its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from ...core.evaluate import recalibrated
from ...core.events import Failed, Step
from ...core.lab import Lab
from ...core.search import Search
from ...data.loader import sequential
from ...errors import ConfigError
from ..graph import Graph, kept_of
from ..training import losses
from .problem import Problem

# of the budget of a search with a one-shot supernet; the rest is for looking at graphs
TRAINING = 1 / 3
# training images that batch-norm statistics are averaged over, before a graph is scored
AVERAGED = 160


def steps_of(search: Search, problem: Problem, steps: int | None = None) -> Iterator[Step]:
    """Goes on with a search for so many steps, or to its end; each step is paid: 2 where it moves α and w, else 1.

    Raises:
        ConfigError: A loss is not a finite number any more.
    """
    left = search.config.steps if steps is None else steps
    if not left:
        return
    for event in search:
        if isinstance(event, Failed):
            raise ConfigError(f"search {problem.seed} failed: {event.message}")
        if isinstance(event, Step):
            moved_alpha = search.searches and event.step > search.config.warm_up
            problem.pay(2 if moved_alpha else 1)
            yield event
            left -= 1
            if not left:
                return


def one_shot_supernet(problem: Problem, draw: Callable[[torch.Generator], tuple[bool, ...]]) -> Lab:
    """A supernet that a third of the budget has trained, under graphs that are drawn anew for each step.

    Args:
        problem: Pays the steps.
        draw: As `coin_flips` gives it.
    """
    lab = problem.lab()
    config = replace(problem.config, steps=int(problem.budget * TRAINING))
    for _ in steps_of(Search(lab, config, draw_gates=draw), problem):
        pass
    return lab


def coin_flips(edges: int) -> Callable[[torch.Generator], tuple[bool, ...]]:
    """Draws a graph for each step: every edge is open or shut with the same chance."""

    def draw(generator: torch.Generator) -> tuple[bool, ...]:
        return tuple((torch.rand(edges, generator=generator) < 0.5).tolist())

    return draw


def score(problem: Problem, lab: Lab, graph: Graph) -> float:
    """The total loss of a graph on val with a supernet's weights; its batch norm is averaged anew. Paid as forward passes."""
    problem.pay(cost_of_score(problem))
    return lab.total(losses_with_shared_weights(lab, graph))


def losses_with_shared_weights(
    lab: Lab, graph: Graph, split: str = "val", own_batch_norm: bool = True
) -> dict[str, float]:
    """{task: loss} of a graph with a supernet's weights, over all images of a split.

    Args:
        lab: Its supernet was trained under many graphs.
        graph: As `graph.number_of` takes it.
        split: A name in the lab's data.
        own_batch_norm: Batch-norm statistics are averaged anew under this graph; otherwise they stay as training left them,
            a mixture of those of all graphs that were drawn.

    Raises:
        SpaceError: The graph belongs to another space.
    """
    kept = kept_of(graph, lab.space)
    if not own_batch_norm:
        return _losses_only(losses(lab, kept, split))
    training = lab.data["train"]
    training = training.subset(torch.arange(min(AVERAGED, len(training))))
    with recalibrated(lab.supernet, kept, lab.seen(sequential(training, lab.targets, 32))):
        return _losses_only(losses(lab, kept, split))


def _losses_only(found: dict[str, dict[str, float]]) -> dict[str, float]:
    return {task: values["loss"] for task, values in found.items()}


def cost_of_score(problem: Problem) -> float:
    """What one `score` costs, in training steps."""
    return problem.looking_at(AVERAGED + problem.val_images)
