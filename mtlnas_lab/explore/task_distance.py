"""Task distance, layer by layer: how unlike are the weights that a task leans on, in its own network and in another's?

Inspired by the Fréchet task distance (Le et al., arXiv 2103.12827): networks of one architecture and one start, a task each; the
diagonal of the Fisher information on the target's data, once in the target's own network and once in the source's; and the
Hellinger distance between the two, each normalised to sum 1. Ours has a profile by stages, which ranks candidate edges.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from ..bench.condition import RECIPE, channels_of, head_of, network, rooms
from ..bench.landscape import main_effect
from ..bench.table import FusionTable
from ..bench.training import go_on, one_thread
from ..core.backbone import Backbone
from ..core.evaluate import evaluating
from ..core.lab import Lab
from ..core.relaxation import ArchitectureWeights
from ..core.search import Search
from ..core.space import SearchSpace, plan
from ..core.supernet import SuperNet
from ..errors import ConfigError
from ..tasks.task import Task
from ..values import told

TASKS = ("segmentation", "normals", "depth", "edges", "room")
GROUPS = (2, 1)  # as in the tables: three stages
STEPS = 200  # of a network's training
HEAD_STEPS = 60  # of a new head's, on stages that stay as they are
IMAGES = 160  # of val, that the Fisher information is over
TABLE = "segmentation-normals"

Fisher = tuple[Tensor, ...]  # a stage each: the diagonal over its weights, flat


# --- networks --------------------------------------------------------------------------------------------------------
def tasks() -> dict[str, Task]:
    """{name: task} of the rooms' tasks."""
    return rooms()["train"].make_tasks(TASKS)


def train_alone(task: str, start: int, order: int, steps: int = STEPS) -> Backbone:
    """A single-task network. Networks of one start begin with the same stages, whatever their task.

    Args:
        task: A name of TASKS.
        start: Draws the weights.
        order: Draws the order of the images.
        steps: Of the training.

    Raises:
        ConfigError: A loss is not a finite number any more.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(start)
        backbone = network(tasks()[task], GROUPS)  # the stages are drawn before the head
    return _trained(task, backbone, order, steps, freeze=False)


def with_head_for(source: Backbone, task: str, order: int, steps: int = HEAD_STEPS) -> Backbone:
    """A copy of a network with a new head for another task; its stages stay as they are.

    Args:
        source: Trained for any task.
        task: What the new head is for.
        order: Draws the head and the order of the images.
        steps: Of the head's training.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(order)
        head = head_of(tasks()[task], channels_of(GROUPS)[-1])
    backbone = Backbone(copy.deepcopy(list(source.stages)), source.plan, head)
    return _trained(task, backbone, order, steps, freeze=True)


def _trained(task: str, backbone: Backbone, order: int, steps: int, freeze: bool) -> Backbone:
    space = SearchSpace({task: plan(channels_of(GROUPS), GROUPS)}, ())
    supernet = SuperNet({task: backbone}, space)
    lab = Lab({task: tasks()[task]}, supernet, ArchitectureWeights(0), rooms())
    config = replace(RECIPE, steps=steps, seed=order, freeze=freeze)
    with one_thread():
        go_on(Search(lab, config), f"the network of {task}")
    return backbone


# --- Fisher information ----------------------------------------------------------------------------------------------
def fisher(
    backbone: Backbone, task: Task, images: Tensor, targets: Tensor, per_sample: bool = True
) -> Fisher:
    """The diagonal of the empirical Fisher information: the mean over the images of each one's squared gradient.

    Args:
        backbone: Whose stages' weights it is about. The head is left out: edges end before it.
        task: Whose loss it is of.
        images: (N, 3, H, W).
        targets: (N, …), the task's.
        per_sample: False squares the gradient of the mean loss instead, where the images' gradients cancel: not the Fisher
            information, and what some published code computes.

    Returns:
        For each stage a flat tensor, an entry for each of its weights.

    Example:
        >>> backbone = train_alone("depth", start=0, order=0, steps=1)
        >>> images, targets = rooms()["val"].batch(torch.arange(4), ("depth",))
        >>> [len(stage) for stage in fisher(backbone, tasks()["depth"], images, targets["depth"])]
        [232, 592, 1184]
    """
    weights = {name: weight.detach() for name, weight in backbone.named_parameters()}
    stages = {name: weight for name, weight in weights.items() if name.startswith("stages.")}

    def loss(stages: Mapping[str, Tensor], image: Tensor, target: Tensor) -> Tensor:
        output = functional_call(backbone, {**weights, **stages}, (image,))
        return task.loss(output, target)

    def loss_of_one(stages: Mapping[str, Tensor], image: Tensor, target: Tensor) -> Tensor:
        return loss(stages, image[None], target[None])

    with evaluating(backbone):
        if per_sample:
            gradients = vmap(grad(loss_of_one), in_dims=(None, 0, 0))(stages, images, targets)
            squares = {name: value.square().mean(0) for name, value in gradients.items()}
        else:
            gradients = grad(loss)(stages, images, targets)
            squares = {name: value.square() for name, value in gradients.items()}
    return tuple(_of_stage(squares, number) for number in range(len(backbone.stages)))


def _of_stage(squares: Mapping[str, Tensor], number: int) -> Tensor:
    begin = f"stages.{number}."
    own = [value.flatten() for name, value in squares.items() if name.startswith(begin)]
    return torch.cat(own)


def distance(one: Tensor, other: Tensor) -> float:
    """Hellinger distance: 1/√2 · ‖√(one / Σ one) − √(other / Σ other)‖, from 0 (in proportion) to 1 (nothing in common).

    Args:
        one, other: (W,) not negative.

    Raises:
        ConfigError: One of them is 0 everywhere, or has another length.

    Example:
        >>> distance(torch.tensor([1.0, 1.0]), torch.tensor([2.0, 2.0]))
        0.0
        >>> distance(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0]))
        1.0
    """
    if one.shape != other.shape or not one.sum() > 0 or not other.sum() > 0:
        raise ConfigError(
            f"Fisher diagonals of {told(tuple(one.shape))} and {told(tuple(other.shape))} weights with sums {one.sum():g} and "
            f"{other.sum():g} cannot be compared; give two of one architecture, neither of them 0 everywhere"
        )
    roots = [(each.double() / each.double().sum()).sqrt() for each in (one, other)]
    return float((roots[0] - roots[1]).norm() / 2**0.5)


def profile(one: Fisher, other: Fisher) -> list[float]:
    """The distance of each stage, normalised by itself: stages can be compared, however much the loss leans on each."""
    return [distance(a, b) for a, b in zip(one, other, strict=True)]


# --- distances between tasks -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Distances:
    """How far tasks are from each other, from one start.

    Attributes:
        tasks: T names.
        matrix: (T, T), source by target: the target's loss in the source's network against that in its own. On the diagonal the
            source is the same task's network that has seen the images in another order.
        stages: (T, T, S), the same by stages.
        other_start: (T,), the same task's network from another start.
    """

    tasks: tuple[str, ...]
    matrix: np.ndarray
    stages: np.ndarray
    other_start: np.ndarray

    @property
    def same_task(self) -> np.ndarray:
        """(T,) what is left where the task is the same."""
        return np.diag(self.matrix)

    @property
    def other_task(self) -> np.ndarray:
        """(T · (T − 1),) distances between unlike tasks, both orders."""
        return self.matrix[~np.eye(len(self.tasks), dtype=bool)]

    @property
    def asymmetry(self) -> float:
        """How much the two orders of a pair differ, on average."""
        return float(
            np.abs(self.matrix - self.matrix.T)[~np.eye(len(self.tasks), dtype=bool)].mean()
        )


@functools.cache
def distances(
    start: int,
    names: tuple[str, ...] = TASKS,
    steps: int = STEPS,
    images: int = IMAGES,
    per_sample: bool = True,
) -> Distances:
    """Trains a network for each task twice, in two orders, and once from another start; then measures.

    Args:
        start: Draws the weights that all begin with, and the orders.
        names: The tasks.
        steps: Of each training.
        images: How many of val the Fisher information is over.
        per_sample: As in `fisher`.
    """
    how = {"order": 2 * start, "images": images, "per_sample": per_sample}
    measured = functools.partial(_measured, **how, head_steps=min(HEAD_STEPS, steps))
    own = {task: _alone(task, start, 2 * start, steps) for task in names}
    again = {task: _alone(task, start, 2 * start + 1, steps) for task in names}
    whole = np.zeros((len(names), len(names)))
    stages = np.zeros((len(names), len(names), len(plan(channels_of(GROUPS), GROUPS))))
    elsewhere = []
    for column, target in enumerate(names):
        of_target = measured(own[target], target, new_head=False)
        for row, source in enumerate(names):
            sources = again if source == target else own
            of_source = measured(sources[source], target)
            whole[row, column] = distance(torch.cat(of_source), torch.cat(of_target))
            stages[row, column] = profile(of_source, of_target)
        other = measured(_alone(target, start + 1000, 2 * start + 1, steps), target)
        elsewhere.append(distance(torch.cat(other), torch.cat(of_target)))
    return Distances(names, whole, stages, np.array(elsewhere))


@functools.cache
def _alone(task: str, start: int, order: int, steps: int) -> Backbone:
    return train_alone(task, start, order, steps)


@functools.cache
def _headed(source: Backbone, task: str, order: int, steps: int) -> Backbone:
    return with_head_for(source, task, order, steps)


def _measured(
    source: Backbone,
    task: str,
    order: int,
    images: int,
    per_sample: bool,
    head_steps: int,
    new_head: bool = True,
) -> Fisher:
    """The Fisher information of a task's loss on val, in its own network or in another's with a new head."""
    backbone = _headed(source, task, order, head_steps) if new_head else source
    batch, targets = rooms()["val"].batch(torch.arange(images), (task,))
    with one_thread():
        return fisher(backbone, tasks()[task], batch, targets[task], per_sample)


# --- edges -----------------------------------------------------------------------------------------------------------
def closeness(space: SearchSpace, found: Distances) -> np.ndarray:
    """(E,) for each candidate edge the distance of its source's task to its target's, at the stage that it comes from."""
    values = []
    for edge in space.edges:
        row = found.tasks.index(edge.source.task)
        column = found.tasks.index(edge.target.task)
        values.append(found.stages[row, column, edge.source.stage])
    return np.array(values)


def effects(table: FusionTable) -> np.ndarray:
    """(E,) what each edge does to the loss of the task that it leads into: mean with it minus mean without it, on test."""
    values = []
    for place, edge in enumerate(table.space.edges):
        values.append(main_effect(table.values(f"{edge.target.task}/loss"), place))
    return np.array(values)


def regret_of_cut(table: FusionTable, edges: Sequence[int]) -> float:
    """How much worse than the table's best graph on test the graph is that is best on val with these edges alone.

    Args:
        table: Finished.
        edges: The candidates that are left, by their numbers; all others stay shut.
    """
    allowed = sum(1 << edge for edge in edges)
    inside = [graph for graph in table.graphs if graph & ~allowed == 0]
    on_val = table.values(split="val")
    return table.regret(min(inside, key=lambda graph: on_val[graph]))


# --- the study -------------------------------------------------------------------------------------------------------
PAIRS = ("same_task", "other_task", "other_start")


def distance_arm(
    seed: int, pairs: str, per_sample: bool = True, steps: int = STEPS
) -> dict[str, float]:
    """The mean distance of such pairs of networks, all against the target's own network.

    Args:
        seed: The start.
        pairs: same_task (the images in another order), other_task, or other_start (same task, other first weights).
        per_sample: As in `fisher`.
        steps: Of each training.
    """
    if pairs not in PAIRS:
        raise ConfigError(f"pairs = {told(pairs)}; choose one of {', '.join(PAIRS)}")
    found = distances(seed, steps=steps, per_sample=per_sample)
    return {"distance": float(getattr(found, pairs).mean())}


def order_arm(seed: int, steps: int = STEPS) -> dict[str, float]:
    """How much d[a, b] and d[b, a] differ, mean over the pairs, less the spread of distances between networks of one task."""
    found = distances(seed, steps=steps)
    return {"asymmetry": found.asymmetry - float(found.same_task.std(ddof=1))}


def edges_arm(seed: int, steps: int = STEPS, table: str = TABLE) -> dict[str, float]:
    """Spearman's ρ over the candidate edges between their distance and their effect on the target's loss.

    Above 0: edges between close tasks lower the loss more.
    """
    from scipy.stats import spearmanr

    opened = _table(table)
    by_distance = closeness(opened.space, distances(seed, steps=steps))
    return {"spearman": float(spearmanr(by_distance, effects(opened)).statistic)}


def cut_arm(
    seed: int, by: str, keep: int = 4, steps: int = STEPS, table: str = TABLE
) -> dict[str, float]:
    """The regret of a space that is cut to some of its edges.

    Args:
        seed: The start.
        by: closest, farthest, latest (into the last stages, whatever the tasks), or random: the mean over all cuts of that
            size.
        keep: How many edges are left.
        steps: Of each training.
        table: The name of the table of the truth.
    """
    opened = _table(table)
    if by == "random":
        every = combinations(range(len(opened.space)), keep)
        return {"regret": float(np.mean([regret_of_cut(opened, edges) for edges in every]))}
    if by == "latest":
        stages = np.array([edge.source.stage + edge.target.stage for edge in opened.space.edges])
        return {"regret": regret_of_cut(opened, stages.argsort(kind="stable")[-keep:].tolist())}
    order = closeness(opened.space, distances(seed, steps=steps)).argsort(kind="stable")
    chosen = {"closest": order[:keep], "farthest": order[-keep:]}
    if by not in chosen:
        raise ConfigError(f"by = {told(by)}; choose closest, farthest, latest or random")
    return {"regret": regret_of_cut(opened, chosen[by].tolist())}


@functools.cache
def _table(name: str) -> FusionTable:
    return FusionTable.open(name)


ARMS = {"distance": distance_arm, "order": order_arm, "edges": edges_arm, "cut": cut_arm}
