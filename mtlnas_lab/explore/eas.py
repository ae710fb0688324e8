"""Tasks wanted and a budget → a graph at once, inspired by Elastic Architecture Search (PAPERS.md 2.7).

A *deployment* says which tasks are wanted and how much fusion may cost. The paper trains one network that survives
without some of its classes (here: tasks), and then a generator that answers each deployment with an architecture in one
forward pass. Its losses and layers are in no public code: those here are a reconstruction.

1. The supernet trains under **task dropout**: each step wants some tasks only; edges of the others are shut, their loss is
   not counted, and of the rest a random graph is open. `train_supernet`
2. The **generator**, a small MLP (tasks wanted, budget) → α, trains with the supernet frozen: loss of the tasks wanted, plus
   μ·(cost − budget)². Gates are hard going forward, a sigmoid going back. `fit`
3. A deployment's graph is `generator.graph(wanted, budget)`: no search.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..bench.condition import RECIPE, Condition
from ..bench.graph import number_of
from ..bench.searchers.problem import Problem, best_so_far
from ..bench.searchers.supernet import losses_with_shared_weights, score, steps_of
from ..bench.training import go_on
from ..core.architecture import Architecture
from ..core.config import SearchConfig
from ..core.evaluate import evaluating
from ..core.lab import Lab
from ..core.relaxation import straight_through
from ..core.search import Search
from ..core.space import SearchSpace
from ..data.dataset import Batch
from ..data.loader import sequential, whole
from ..errors import ConfigError
from ..values import number

TASKS = ("segmentation", "normals", "depth")
KEEP = 0.6  # how likely a task is wanted in a step
MU = 30.0  # what a cost beside the budget costs
PATIENCE = 4  # steps of the generator for each of the supernet's; they cost a third
WIDTH = 64  # of the generator's layers
SCENARIOS = ("110", "101", "011", "111")  # tasks wanted, as bits; one alone has no edge
BUDGETS = (0.25, 0.5, 0.75)  # shares of the edges' multiply-adds
LOOKS = 12  # budgets from 0 to 1 whose graphs a race looks at

Wanted = Sequence[bool]


def wanted_of(bits: str) -> tuple[bool, ...]:
    """Tasks wanted, of bits such as "101"."""
    return tuple(bit == "1" for bit in bits)


DEPLOYMENTS = [(wanted_of(bits), budget) for bits in SCENARIOS for budget in BUDGETS]


# --- deployments ------------------------------------------------------------------------------------------------------
def available(space: SearchSpace, wanted: Wanted) -> tuple[bool, ...]:
    """Which of the E edges join two tasks that are wanted: the network of another task does not run.

    Args:
        space: of T tasks.
        wanted: T booleans, in the order of `space.tasks`.

    Raises:
        ConfigError: for another number of booleans, and where no task is wanted.

    Example:
        >>> from mtlnas_lab import SearchSpace
        >>> from mtlnas_lab.core.space import plan
        >>> space = SearchSpace.build(dict.fromkeys(["a", "b", "c"], plan([8], [1])))
        >>> [str(edge) for edge, one in zip(space.edges, available(space, [True, False, True])) if one]
        ['c:0 -> a:0', 'a:0 -> c:0']
    """
    if len(wanted) != len(space.tasks) or not any(wanted):
        raise ConfigError(
            f"wanted = {list(wanted)}: say of each of {', '.join(space.tasks)} whether it is wanted, of one at least yes"
        )
    asked = {task for task, one in zip(space.tasks, wanted) if one}
    return tuple({edge.source.task, edge.target.task} <= asked for edge in space.edges)


def costs(space: SearchSpace) -> list[float]:
    """Multiply-adds of each edge's 1×1 convolution, as shares of all; maps halve from group to group.

    Example:
        >>> from mtlnas_lab import SearchSpace
        >>> from mtlnas_lab.core.space import plan
        >>> space = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])))
        >>> costs(space)  # 8 · 8 channels at four times as many positions as 16 · 16: the same
        [0.25, 0.25, 0.25, 0.25]
    """
    made = []
    for edge in space.edges:
        source, target = space.stage(edge.source), space.stage(edge.target)
        made.append(source.channels * target.channels / 4**target.group)
    return [one / sum(made) for one in made]


def spent(gates: Tensor, space: SearchSpace, wanted: Wanted) -> Tensor:
    """The cost of gates (E,) as a share of what all available edges cost; 0 where there is none."""
    price = gates.new_tensor(costs(space)) * gates.new_tensor(available(space, wanted))
    return (price * gates).sum() / price.sum().clamp(min=1e-9)


def cost_of(graph: Architecture, wanted: Wanted) -> float:
    """`spent` of a graph."""
    return float(spent(torch.tensor(graph.kept).float(), graph.space, wanted))


def cut(logits: Tensor, space: SearchSpace, wanted: Wanted, budget: float) -> Architecture:
    """The available edges with the largest logits that fit into a budget together, from the best on."""
    price = torch.tensor(costs(space))
    fits = torch.tensor(available(space, wanted))
    left = budget * float(price[fits].sum()) + 1e-6
    kept = [False] * len(space)
    for i in torch.argsort(logits, descending=True, stable=True).tolist():
        if fits[i] and price[i] <= left:
            kept[i] = True
            left -= float(price[i])
    return Architecture(space, tuple(kept))


# --- 1: the supernet --------------------------------------------------------------------------------------------------
class TaskDropout:
    """Draws for each step which tasks are wanted: batches lose the others' targets, and gates their edges.

    Args:
        space: of T tasks.
        seed: draws tasks.
        keep: how likely each task is wanted; 1: all of them always.
    """

    def __init__(self, space: SearchSpace, seed: int, keep: float = KEEP):
        self.space = space
        self.keep = number("keep", keep, 0.05, 1.0)
        self.generator = torch.Generator().manual_seed(seed)
        self.wanted = (True,) * len(space.tasks)

    def draw(self) -> tuple[bool, ...]:
        """Another set of tasks; never an empty one."""
        while True:
            drawn = torch.rand(len(self.space.tasks), generator=self.generator) < self.keep
            if drawn.any():
                return tuple(drawn.tolist())

    def batches(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches, each with the targets of some tasks: without a target a task has no loss."""
        for image, targets in batches:
            self.wanted = self.draw()
            asked = [task for task, one in zip(self.space.tasks, self.wanted) if one]
            yield image, {task: targets[task] for task in asked}

    def gates(self, generator: torch.Generator) -> tuple[bool, ...]:
        """A random graph of the edges that are available; how full it is, is drawn first."""
        share = torch.rand(1, generator=generator)
        drawn = torch.rand(len(self.space), generator=generator) < share
        fits = available(self.space, self.wanted)
        return tuple(one and fit for one, fit in zip(drawn.tolist(), fits))


def supernet_search(lab: Lab, config: SearchConfig, keep: float = KEEP) -> Search:
    """The training of a lab's supernet under random graphs and task dropout, to be looped over.

    Args:
        lab: whose images have labels for T tasks.
        config: how long it trains, and its seed, which draws batches, tasks and graphs.
        keep: how likely a task is wanted in a step; 1: no task dropout.
    """
    dropout = TaskDropout(lab.space, config.seed, keep)
    images = lab.data["train"]
    endless = whole(images, lab.targets, config.batch_size, config.seed, augment=False)
    return Search(lab, config, dropout.batches(endless), draw_gates=dropout.gates)


def train_supernet(seed: int, steps: int = RECIPE.steps, keep: float = KEEP) -> Lab:
    """A lab of three tasks, trained as `supernet_search` says, from networks that the seed draws."""
    condition = Condition(name="eas", about="", tasks=TASKS, fusion="residual")
    lab = condition.lab(seed)
    search = supernet_search(lab, replace(RECIPE, steps=steps, seed=seed), keep)
    go_on(search, f"the supernet of seed {seed}")
    return lab


# --- 2: the generator -------------------------------------------------------------------------------------------------
class Generator(nn.Module):
    """(tasks wanted, budget) → α: a multi-layer perceptron.

    Args:
        space: of T tasks and E edges.
        width: of its two hidden layers.

    Example:
        >>> from mtlnas_lab import SearchSpace
        >>> from mtlnas_lab.core.space import plan
        >>> space = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])))
        >>> Generator(space)([True, True], 0.5).shape
        torch.Size([4])
    """

    def __init__(self, space: SearchSpace, width: int = WIDTH):
        super().__init__()
        self.space = space
        self.layers = nn.Sequential(
            nn.Linear(len(space.tasks) + 1, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, len(space)),
        )

    def forward(self, wanted: Wanted, budget: float) -> Tensor:
        return self.layers(torch.tensor([*map(float, wanted), 2 * budget - 1]))

    @torch.no_grad()
    def graph(self, wanted: Wanted, budget: float) -> Architecture:
        """The graph of a deployment: available edges with α > 0."""
        fits = available(self.space, wanted)
        opened = (self(wanted, budget) > 0).tolist()
        kept = tuple(one and fit for one, fit in zip(opened, fits))
        return Architecture(self.space, kept)


class Free(nn.Module):
    """α by itself, whatever is wanted: what a search for one deployment moves."""

    def __init__(self, space: SearchSpace):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(len(space)))

    def forward(self, wanted: Wanted, budget: float) -> Tensor:
        return self.alpha


Deployment = tuple[Wanted, float]


def straight(alpha: Tensor) -> Tensor:
    """Gates that are 0 or 1 going forward, open where α > 0, and σ(α) going back.

    Example:
        >>> alpha = torch.tensor([-1.0, 2.0], requires_grad=True)
        >>> straight(alpha).tolist(), torch.autograd.grad(straight(alpha).sum(), alpha)[0].numpy().round(3)
        ([0.0, 1.0], array([0.197, 0.105], dtype=float32))
    """
    soft = torch.sigmoid(alpha)
    return (alpha > 0).to(soft.dtype) + (soft - soft.detach())


def fit(
    model: nn.Module,
    lab: Lab,
    deployments: Callable[[torch.Generator], Deployment],
    steps: int,
    seed: int = 0,
    mu: float = MU,
    lr: float = 3e-3,
    sampled: bool = False,
) -> nn.Module:
    """Train what makes α; the supernet stays as it is.

    Each step draws a deployment and descends  Σ over tasks wanted of weighted losses + μ·(cost − budget)².

    Args:
        model: called as model(wanted, budget) → α (E,).
        lab: with a trained supernet.
        deployments: called with a generator: (tasks wanted, budget) of the next step.
        steps: of training.
        seed: draws batches, deployments and gates.
        mu: what a cost beside the budget costs.
        lr: learning rate, of Adam.
        sampled: gates are drawn (hard samples of the binary concrete distribution), and not cut at α = 0.

    Returns:
        The model.
    """
    generator = torch.Generator().manual_seed(seed)
    batches = whole(lab.data["train"], lab.targets, RECIPE.batch_size, seed, augment=False)
    adam = torch.optim.Adam(model.parameters(), lr)
    with evaluating(lab.supernet):
        for _, (image, targets) in zip(range(steps), batches):
            wanted, budget = deployments(generator)
            fits = torch.tensor(available(lab.space, wanted), dtype=torch.float32)
            alpha = model(wanted, budget)
            gates = straight_through(alpha, 1.0, generator) if sampled else straight(alpha)
            gates = fits * gates
            found = lab.loss(lab.supernet(image, gates), targets)
            asked = [task for task, one in zip(lab.space.tasks, wanted) if one]
            loss = lab.total({task: found[task] for task in asked})
            loss = loss + mu * (spent(gates, lab.space, wanted) - budget) ** 2
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            for parameter, gradient in zip(model.parameters(), gradients):
                parameter.grad = gradient
            adam.step()
    return model


def any_deployment(space: SearchSpace) -> Callable[[torch.Generator], Deployment]:
    """Draws two tasks or more, and a budget from 0 to 1."""

    def draw(generator: torch.Generator) -> Deployment:
        while True:
            wanted = torch.rand(len(space.tasks), generator=generator) < 0.7
            if wanted.sum() >= 2:
                return tuple(wanted.tolist()), float(torch.rand(1, generator=generator))

    return draw


def search_one(lab: Lab, wanted: Wanted, budget: float, steps: int, seed: int = 0) -> Tensor:
    """α (E,) of a search for this deployment alone, with the same supernet and the same objective, its gates drawn."""
    free = Free(lab.space)
    fit(free, lab, lambda generator: (wanted, budget), steps, seed, lr=0.1, sampled=True)
    return free.alpha.detach()


def searcher(problem: Problem) -> Iterator[int]:
    """EAS in a race for one graph: supernet, generator, and a look at the generator's graphs for some budgets.

    All tasks are wanted, so that no task is dropped. A third of the budget trains the supernet and a half the generator; a
    step of it counts as one of plain training. What is left looks at graphs.

    Args:
        problem: Where to search.

    Yields:
        Each graph that loses less in total on val than all before it.

    Example:
        >>> from mtlnas_lab.bench.searchers import search
        >>> from mtlnas_lab.bench.table import FusionTable
        >>> table = FusionTable.open("segmentation-normals")
        >>> spent, graph = list(search(searcher, table, budget=300))[-1]
        >>> spent <= 300
        True
    """
    lab = problem.lab()
    config = replace(problem.config, steps=int(problem.budget / 3))
    for _ in steps_of(supernet_search(lab, config, keep=1.0), problem):
        pass
    model = new_generator(lab.space, problem.seed)
    steps = int(problem.budget / 2)
    problem.pay(steps)
    fit(model, lab, any_deployment(lab.space), steps, problem.seed)
    everything = (True,) * len(lab.space.tasks)
    budgets = [place / LOOKS for place in range(LOOKS + 1)]
    graphs = {number_of(model.graph(everything, budget), lab.space) for budget in budgets}
    yield from best_so_far((graph, score(problem, lab, graph)) for graph in sorted(graphs))


def new_generator(space: SearchSpace, seed: int) -> Generator:
    """A generator as the seed draws it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(space)


# --- what a graph is worth ---------------------------------------------------------------------------------------------
def losses(lab: Lab, kept: Sequence[bool], split: str = "test") -> dict[str, float]:
    """{task: loss} over all images of a split, in evaluation mode."""
    return losses_with_shared_weights(lab, kept, split, own_batch_norm=False)


def constant_losses(lab: Lab, split: str = "test") -> dict[str, float]:
    """{task: loss of the best answer that does not look at the image, learnt on the training images}."""
    ((_, targets),) = sequential(lab.data["train"], lab.targets, len(lab.data["train"]))
    ((_, tests),) = sequential(lab.data[split], lab.targets, len(lab.data[split]))
    found = {}
    for name, task in lab.tasks.items():
        constant = task.constant(targets[name])
        answer = constant.expand(len(tests[name]), *constant.shape[1:])
        found[name] = float(task.loss(answer, tests[name]))
    return found


def relative_loss(
    lab: Lab, kept: Sequence[bool], wanted: Wanted, alone: dict[str, float], split: str = "test"
) -> float:
    """Mean over the tasks wanted of loss / loss without any edge: below 1 the edges help.

    Args:
        lab: with a trained supernet.
        kept: which of the E edges are open.
        wanted: T booleans.
        alone: {task: loss} without any edge, as `losses` gives it.
        split: the images that are scored.
    """
    own = losses(lab, kept, split)
    asked = [task for task, one in zip(lab.space.tasks, wanted) if one]
    return sum(own[task] / alone[task] for task in asked) / len(asked)


def answers(
    lab: Lab, model: Generator, budgets: Sequence[float], split: str = "val"
) -> dict[str, list[dict]]:
    """The generator's graph and its losses for every set of tasks and every budget: what a page needs to answer at once.

    Returns:
        {tasks wanted, as bits: [{"kept", "cost", "loss", "alone"} for each budget]}; losses are in the order of the tasks.
    """
    alone = list(losses(lab, (False,) * len(lab.space), split).values())
    known: dict[tuple[bool, ...], list[float]] = {}  # many budgets share a graph
    made: dict[str, list[dict]] = {}
    for place in range(1, 2 ** len(lab.space.tasks)):
        bits = format(place, f"0{len(lab.space.tasks)}b")
        wanted = wanted_of(bits)
        made[bits] = []
        for budget in budgets:
            kept = model.graph(wanted, budget).kept
            if kept not in known:
                known[kept] = list(losses(lab, kept, split).values())
            price = cost_of(Architecture(lab.space, kept), wanted)
            one = {"kept": kept, "cost": price, "loss": known[kept], "alone": alone}
            made[bits].append(one)
    return made


# --- the arms of the study --------------------------------------------------------------------------------------------
supernet = functools.lru_cache(maxsize=2)(train_supernet)  # arms under one seed share it


@functools.lru_cache(maxsize=1)
def made_generator(seed: int, steps: int, mu: float = MU) -> tuple[Lab, Generator]:
    """A supernet, and a generator that was trained on it, for PATIENCE times as many steps."""
    lab = supernet(seed, steps)
    model = new_generator(lab.space, seed)
    return lab, fit(model, lab, any_deployment(lab.space), PATIENCE * steps, seed, mu)


def _judged(seed: int, steps: int, rank: Callable) -> dict[str, float]:
    """Mean relative loss over deployments, each rival cut at the cost of the generator's own graph."""
    lab, model = made_generator(seed, steps)
    alone = losses(lab, (False,) * len(lab.space))
    found = []
    for wanted, budget in DEPLOYMENTS:
        price = cost_of(model.graph(wanted, budget), wanted)
        rival = cut(rank(wanted, budget), lab.space, wanted, price)
        found.append(relative_loss(lab, rival.kept, wanted, alone))
    return {"relative_loss": sum(found) / len(found)}


def generated(seed: int, steps: int = RECIPE.steps, mu: float = MU) -> dict[str, float]:
    """The generator's graphs: what they are worth, how far they are from the budget, how long one takes."""
    lab, model = made_generator(seed, steps, mu)
    alone = losses(lab, (False,) * len(lab.space))
    worth = []
    over = []
    for wanted, budget in DEPLOYMENTS:
        graph = model.graph(wanted, budget)
        worth.append(relative_loss(lab, graph.kept, wanted, alone))
        over.append(cost_of(graph, wanted) - budget)
    return {
        "relative_loss": sum(worth) / len(worth),
        "budget_error": sum(map(abs, over)) / len(over),
        "most_over_budget": max(over),
        "milliseconds": 1000 * _seconds_a_graph(model),
    }


def _seconds_a_graph(model: Generator, times: int = 50) -> float:
    started = time.perf_counter()
    for i in range(times):
        model.graph((True,) * len(model.space.tasks), i / times)
    return (time.perf_counter() - started) / times


def fresh_search(seed: int, steps: int = RECIPE.steps, each: int = 60) -> dict[str, float]:
    """A search for each deployment, with the same supernet."""
    lab, model = made_generator(seed, steps)
    seconds = []

    def rank(wanted: Wanted, budget: float) -> Tensor:
        started = time.perf_counter()
        alpha = search_one(lab, wanted, budget, each, seed)
        seconds.append(time.perf_counter() - started)
        return alpha

    found = _judged(seed, steps, rank)
    mean = sum(seconds) / len(seconds)
    return found | {"milliseconds": 1000 * mean, "time_ratio": mean / _seconds_a_graph(model)}


def nearest_stored(seed: int, steps: int = RECIPE.steps, each: int = 60) -> dict[str, float]:
    """Three graphs that were searched for all tasks, stored: a deployment takes that of the nearest budget."""
    lab, _ = made_generator(seed, steps)
    everything = (True,) * len(lab.space.tasks)
    stored = {one: search_one(lab, everything, one, each, seed) for one in BUDGETS}

    def rank(wanted: Wanted, budget: float) -> Tensor:
        return stored[min(stored, key=lambda one: abs(one - budget))]

    return _judged(seed, steps, rank)


def random_graphs(seed: int, steps: int = RECIPE.steps, draws: int = 3) -> dict[str, float]:
    """Edges in a random order, up to the same cost; the mean over some orders."""
    lab, _ = made_generator(seed, steps)
    generator = torch.Generator().manual_seed(seed)

    def rank(wanted: Wanted, budget: float) -> Tensor:
        return torch.rand(len(lab.space), generator=generator)

    found = [_judged(seed, steps, rank)["relative_loss"] for _ in range(draws)]
    return {"relative_loss": sum(found) / len(found)}


def task_missing(seed: int, steps: int = RECIPE.steps, keep: float = KEEP) -> dict[str, float]:
    """One task is not wanted, and all edges between the other two are open: their mean loss, each as a share of that of a
    constant's; and with all three wanted."""
    lab = supernet(seed, steps, keep)
    reference = constant_losses(lab)
    shares = {}
    for bits in SCENARIOS:
        wanted = wanted_of(bits)
        found = losses(lab, available(lab.space, wanted))
        asked = [task for task, one in zip(lab.space.tasks, wanted) if one]
        shares[bits] = sum(found[task] / reference[task] for task in asked) / len(asked)
    pairs = [value for bits, value in shares.items() if bits.count("1") == 2]
    return {"loss_with_one_missing": sum(pairs) / len(pairs), "loss_with_all": shares["111"]}


ARMS = {
    "generator": generated,
    "fresh_search": fresh_search,
    "nearest_stored": nearest_stored,
    "random": random_graphs,
    "task_missing": task_missing,
}
