"""AT-NAS (inspired by, PAPERS.md 2.6): weights that learn to be adapted, and a population of graphs that evolves with them.

The paper meta-learns a supernet's weights over many tasks and adapts the encodings of its graphs by evolution, so that a new
task needs a few steps of training and a short search. Its search space, its settings and its tables are in no public code:
what follows is a reconstruction over pairs of tasks, with Reptile (Nichol et al., 2018) for the weights.

1. A **distribution of task pairs** over the rooms: the classes of segmentation are merged into groups, another way for each
   task. Dials say how related the two tasks of a pair are, and how unlike the pairs. `draw_pair`
2. Each outer step draws pairs. For each pair and each graph of the population a copy of the weights w is **adapted**: K plain
   steps on a few images. w moves towards the mean of what the copies became. `adapt`, `reptile`
3. A graph's **fitness** is the loss of its adapted copies on other images. After some outer steps parents that won a
   tournament are crossed, bits flip, and the oldest graphs die. `Population`
4. A new pair: each graph of the last population is adapted and judged; the best is adapted on all images. `choose`
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..bench.condition import FUSIONS, RECIPE, channels_of, network, rooms
from ..bench.training import go_on
from ..core.evaluate import recalibrated
from ..core.lab import Lab
from ..core.relaxation import ArchitectureWeights
from ..core.search import Search
from ..core.space import SearchSpace, plan
from ..core.supernet import SuperNet
from ..data.dataset import Batch, ImageDataset
from ..data.loader import whole
from ..data.rooms import CLASSES
from ..errors import ConfigError
from ..tasks.task import IGNORE, Segmentation
from ..values import choice, number

TASKS = ("first", "second")  # of every pair
LABELS = "segmentation"  # whose classes are merged
MERGED = 4  # groups of classes: each task's channels
STAGES = (2, 1)  # as in the tables: 8 candidate edges between two networks
MOMENTS = (0, 5, 10, 20)  # steps of adaptation after which a pair is scored
TOURNAMENT = 3
BATCH = 8  # images a step
QUERIES = 96  # test images that a new pair is scored on
HELD_OUT = 10**6  # seeds from here on draw held-out pairs

Graph = tuple[bool, ...]
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Setting:
    """What the arms of one row share.

    Attributes:
        outer: How many outer steps there are.
        pairs: How many pairs each of them draws.
        population: P, how many graphs live.
        every: After so many outer steps graphs are born.
        steps: K, of one adaptation.
        lr: Learning rate of an adaptation; it falls as (1 − t/K)^lr_power.
        rate: ε of Reptile in the first outer step; it falls to 0.
        shots: How many images a pair is learnt on.
        queries: How many a graph's fitness is measured on.
        relatedness: Of the two tasks of a pair, as `draw_pair` takes it.
        variety: Of the pairs, likewise.
        new_pairs: How many held-out pairs are judged.
    """

    outer: int = 32
    pairs: int = 1
    population: int = 6
    every: int = 3
    steps: int = 5
    lr: float = 0.7
    lr_power: float = 0.0
    rate: float = 1.0
    shots: int = 16
    queries: int = 48
    relatedness: float = 0.5
    variety: float = 0.5
    new_pairs: int = 6


# --- 1: task pairs ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Pair:
    """Two tasks: for each of the C classes the group that it is merged into.

    Attributes:
        first: C whole numbers from 0 to MERGED − 1.
        second: Likewise.

    Example:
        >>> pair = Pair(first=(0, 0, 1), second=(2, 1, 1))
        >>> {task: target.tolist() for task, target in pair.targets(torch.tensor([[2, 0, 255]])).items()}
        {'first': [[1, 0, 255]], 'second': [[1, 2, 255]]}
    """

    first: tuple[int, ...]
    second: tuple[int, ...]

    def targets(self, classes: Tensor) -> dict[str, Tensor]:
        """{task: target} of a target with all classes; what has no label there has none here."""
        made = {}
        for task in TASKS:
            groups = torch.full((IGNORE + 1,), IGNORE)
            groups[: len(self.first)] = torch.tensor(getattr(self, task))
            made[task] = groups[classes]
        return made

    def batches(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Batches of all classes as batches of this pair."""
        for image, targets in batches:
            yield image, self.targets(targets[LABELS])


def draw_pair(
    generator: torch.Generator, relatedness: float = 0.5, variety: float = 0.5, seed: int = 0
) -> Pair:
    """A pair of the distribution.

    Two groupings, of the first and of the second task, are the same for all pairs. In the first task of a pair a class is
    in its usual group, or, with probability `variety`, in a group that chance picks. In the second task a class is in the
    same group as in the first with probability `relatedness`, else it is drawn as above from the second grouping.

    Args:
        generator: Draws the pair.
        relatedness: From 0, two tasks that are drawn each by itself, to 1, twice the same task.
        variety: From 0, where all pairs are alike, to 1, where they have nothing in common.
        seed: Names the distribution: its two groupings.

    Raises:
        ConfigError: A dial is not from 0 to 1.
    """
    relatedness = number("relatedness", relatedness, 0.0, 1.0)
    variety = number("variety", variety, 0.0, 1.0)
    count = len(CLASSES)
    usual = torch.randint(MERGED, (2, count), generator=torch.Generator().manual_seed(seed))
    other = torch.randint(MERGED, (2, count), generator=generator)
    is_other = torch.rand(2, count, generator=generator) < variety
    drawn = torch.where(is_other, other, usual)
    same = torch.rand(count, generator=generator) < relatedness
    second = torch.where(same, drawn[0], drawn[1])
    return Pair(tuple(drawn[0].tolist()), tuple(second.tolist()))


# --- 2: weights that are adapted --------------------------------------------------------------------------------------
def new_lab(seed: int) -> Lab:
    """Two narrow networks, freshly drawn, with a head of MERGED channels each. Batches bring the data."""
    tasks = {name: Segmentation(name, MERGED) for name in TASKS}
    described = plan(channels_of(STAGES), STAGES)
    space = SearchSpace.build(dict.fromkeys(TASKS, described))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = {name: network(task, STAGES) for name, task in tasks.items()}
        supernet = SuperNet(networks, space, FUSIONS["residual"])
    supernet.to(memory_format=torch.channels_last)  # convolutions are faster then
    return Lab(tasks, supernet, ArchitectureWeights(len(space)))


def all_edges(lab: Lab) -> Graph:
    """Every candidate edge open."""
    return (True,) * len(lab.space)


def adaptation(
    lab: Lab, setting: Setting, pair: Pair, images: ImageDataset, graph: Graph, seed: int
) -> Search:
    """A search of a copy of the lab that adapts its weights to a pair: K plain steps of SGD, the gates fixed.

    Args:
        lab: What it begins from; it stays as it is.
        setting: Its `steps` are K, with its `lr`.
        pair: What is learnt.
        images: The few that it is learnt on.
        graph: Which edges are open.
        seed: Draws the order of the images.
    """
    size = min(BATCH, len(images))
    endless = whole(images, (LABELS,), size, seed, augment=False)
    config = replace(RECIPE, steps=setting.steps, batch_size=size, seed=seed)
    config = replace(config, weight_lr=setting.lr, lr_power=setting.lr_power)
    config = replace(config, optimizer="sgd", momentum=0.0)
    return Search(lab.copy(), config, pair.batches(endless), gates=graph)


def adapt(
    lab: Lab, setting: Setting, pair: Pair, images: ImageDataset, graph: Graph, seed: int = 0
) -> Lab:
    """The copy after its steps, see `adaptation`. Raises ConfigError where a loss is not finite any more."""
    search = adaptation(lab, setting, pair, images, graph, seed)
    go_on(search, "an adaptation")
    return search.lab


def reptile(weights: Weights, adapted: Sequence[Weights], rate: float) -> dict[str, Tensor]:
    """One outer step of Reptile: w ← w + ε · (mean of the adapted w − w). Whole numbers stay as they are.

    Args:
        weights: w, of before the adaptations.
        adapted: What each copy became.
        rate: ε, from 0 (nothing is learnt) to 1 (the mean of the copies).

    Example:
        >>> reptile({"w": torch.tensor([1.0])}, [{"w": torch.tensor([2.0])}, {"w": torch.tensor([4.0])}], 0.5)
        {'w': tensor([2.])}
    """
    moved = {}
    for name, before in weights.items():
        if before.is_floating_point():
            mean = torch.stack([copy[name] for copy in adapted]).mean(0)
            moved[name] = before + rate * (mean - before)
        else:
            moved[name] = before.clone()
    return moved


def chance_loss(target: Tensor) -> Tensor:
    """The cross-entropy of the best answer that knows how frequent the groups are, and does not look at the image."""
    shares = torch.bincount(target[target != IGNORE], minlength=MERGED).double()
    return torch.special.entr(shares / shares.sum()).sum()


@torch.no_grad()
def relative_loss(
    lab: Lab, pair: Pair, support: ImageDataset, query: ImageDataset, graph: Graph
) -> float:
    """The loss on other images as a share of `chance_loss`, mean of both tasks: 1 is chance, less is better.

    Args:
        lab: With adapted weights.
        pair: What they were adapted to.
        support: The images that they were adapted on; batch norm is averaged over them.
        query: The images that are scored.
        graph: Which edges are open.
    """
    seen = [support.batch(torch.arange(len(support)), (LABELS,))]
    image, classes = query.batch(torch.arange(len(query)), (LABELS,))
    targets = pair.targets(classes[LABELS])
    with recalibrated(lab.supernet, graph, seen):
        losses = lab.loss(lab.supernet(image, graph), targets)
    shares = [losses[task] / chance_loss(targets[task]) for task in TASKS]
    return float(sum(shares) / len(TASKS))


# --- 3: graphs that evolve --------------------------------------------------------------------------------------------
class Population:
    """P graphs, the oldest first.

    Args:
        graphs: As they begin.
        seed: Draws tournaments, crossovers and flips.

    Raises:
        ConfigError: There are fewer graphs than a tournament needs.
    """

    def __init__(self, graphs: Sequence[Graph], seed: int):
        if len(graphs) < TOURNAMENT:
            raise ConfigError(
                f"{len(graphs)} graphs are no population: a tournament is between {TOURNAMENT}; give so many or more"
            )
        self.graphs = deque(
            map(tuple, graphs), maxlen=len(graphs)
        )  # one more pushes the oldest out
        self.random = np.random.default_rng(seed)

    @classmethod
    def drawn(cls, size: int, edges: int, seed: int) -> Population:
        """Each edge of each graph is open or shut with the same chance."""
        coins = np.random.default_rng(seed).random((size, edges)) < 0.5
        return cls(coins.tolist(), seed)

    def evolve(self, fitness: Sequence[float], children: int = 2) -> None:
        """The winners of tournaments are crossed uniformly, each bit flips with probability 1/E, the oldest die.

        Args:
            fitness: P numbers, less is better.
            children: How many are born, and how many die.
        """
        from pymoo.core.mating import Mating
        from pymoo.core.population import Population as Individuals
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.ux import UniformCrossover
        from pymoo.operators.mutation.bitflip import BitflipMutation
        from pymoo.operators.selection.tournament import TournamentSelection

        bits = np.array(self.graphs)
        parents = Individuals.new(X=bits, F=np.array(fitness, float)[:, None])
        flips = BitflipMutation(prob=1.0, prob_var=1 / bits.shape[1])
        tournament = TournamentSelection(func_comp=winners, pressure=TOURNAMENT)
        mating = Mating(tournament, UniformCrossover(prob=1.0), flips)
        problem = Problem(n_var=bits.shape[1], n_obj=1, xl=0, xu=1, vtype=bool)
        born = mating.do(problem, parents, children, random_state=self.random)
        for child in born.get("X").tolist():
            self.graphs.append(tuple(child))


def winners(individuals, tournaments: np.ndarray, **_) -> np.ndarray:
    """(T, 1), of each tournament (T, TOURNAMENT) of places the one whose F is least."""
    fitness = individuals.get("F")[:, 0]
    best = fitness[tournaments].argmin(1)
    return tournaments[np.arange(len(tournaments)), best][:, None]


# --- both at once -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class OuterStep:
    """A training after one outer step.

    Attributes:
        number: 1 for the first.
        graphs: The P graphs that it looked at, the oldest first.
        fitness: Of each; empty or NaN where nobody asked.
    """

    number: int
    graphs: tuple[Graph, ...]
    fitness: tuple[float, ...]


class Training:
    """Trains weights over the distribution of pairs; iterating yields an `OuterStep` after each.

    Both kinds of weights are moved by as many steps on as many images: meta-learnt ones by Reptile, joint ones by Adam as
    every graph of the tables is trained, a batch of another pair and under another graph of the population in each step.

    Args:
        setting: Of all arms.
        seed: Draws the distribution, the networks, pairs and images.
        weights: meta or joint.
        graphs: evolved; all_on: the population is the full graph, P times; random: it is drawn anew in each outer step.

    Raises:
        ConfigError: There are no such weights or graphs.
    """

    def __init__(self, setting: Setting, seed: int, weights: str = "meta", graphs: str = "evolved"):
        choice("weights", weights, ("meta", "joint"))
        choice("graphs", graphs, ("evolved", "all_on", "random"))
        self.setting = setting
        self.seed = seed
        self.meta = weights == "meta"
        self.kind = graphs
        self.lab = new_lab(seed)
        self.generator = torch.Generator().manual_seed(seed)
        edges = len(self.lab.space)
        self.population = Population.drawn(setting.population, edges, seed)
        if graphs == "all_on":
            self.population = Population([all_edges(self.lab)] * setting.population, seed)
        self.steps = setting.pairs * setting.population * setting.steps  # in an outer step
        self.jointly = self._joint_search()

    def __iter__(self) -> Iterator[OuterStep]:
        recent = []
        for step in range(1, self.setting.outer + 1):
            graphs = tuple(self.population.graphs)
            fitness: tuple[float, ...] = ()
            if self.meta or self.kind == "evolved":
                adapted, fitness = self._look(graphs)
            if self.meta:
                rate = self.setting.rate * (1 - (step - 1) / self.setting.outer)
                moved = reptile(self.lab.supernet.state_dict(), adapted, rate)
                self.lab.supernet.load_state_dict(moved)
            else:
                self._train_jointly()
            yield OuterStep(step, graphs, fitness)
            recent.append(fitness)
            if step % self.setting.every == 0 and step < self.setting.outer:
                self._next_graphs(recent)
                recent = []

    def _look(self, graphs: Sequence[Graph]) -> tuple[list[Weights], tuple[float, ...]]:
        """Adapts a copy to each drawn pair under each graph, on images of its own; and the fitness of each graph."""
        setting = self.setting
        train = rooms()["train"]
        adapted = []
        found = np.full((setting.pairs, len(graphs)), np.nan)
        for row in range(setting.pairs):
            pair = self._draw()
            order = torch.randperm(len(train), generator=self.generator)
            query = train.subset(order[: setting.queries])
            supports = order[setting.queries :].split(setting.shots)
            for place, graph in enumerate(graphs):
                support = train.subset(supports[place % len(supports)])
                own = adapt(self.lab, setting, pair, support, graph, seed=place)
                adapted.append(own.supernet.state_dict())
                if self.kind == "evolved":
                    found[row, place] = relative_loss(own, pair, support, query, graph)
        return adapted, tuple(found.mean(0).tolist())

    def _draw(self) -> Pair:
        dials = self.setting.relatedness, self.setting.variety
        return draw_pair(self.generator, *dials, self.seed)

    def _next_graphs(self, recent: Sequence[Sequence[float]]) -> None:
        if self.kind == "evolved":
            self.population.evolve(np.mean(recent, 0))
        if self.kind == "random":
            size, edges = len(self.population.graphs), len(self.lab.space)
            drawn = int(torch.randint(2**31, (1,), generator=self.generator))
            self.population = Population.drawn(size, edges, drawn)

    def _joint_search(self) -> Search:
        steps = self.setting.outer * self.steps
        config = replace(RECIPE, steps=steps, batch_size=BATCH, seed=self.seed)
        return Search(self.lab, config, self._mixed_batches(), draw_gates=self._any_graph)

    def _mixed_batches(self) -> Iterator[Batch]:
        train = rooms()["train"]
        for image, targets in whole(train, (LABELS,), BATCH, self.seed, augment=False):
            pair = self._draw()
            yield image, pair.targets(targets[LABELS])

    def _any_graph(self, generator: torch.Generator) -> Graph:
        graphs = self.population.graphs
        return graphs[int(torch.randint(len(graphs), (1,), generator=generator))]

    def _train_jointly(self) -> None:
        until = self.jointly.step_number + self.steps
        go_on(self.jointly, f"joint training of seed {self.seed}", until)


# --- 4: a new pair ----------------------------------------------------------------------------------------------------
def choose(
    lab: Lab, setting: Setting, pair: Pair, support: ImageDataset, graphs: Sequence[Graph]
) -> Graph:
    """The graph whose adaptation on the first half of a new pair's images has the least loss on the second.

    Args:
        lab: With trained weights.
        setting: Says how they are adapted.
        pair: The new one.
        support: All that there is of it.
        graphs: To choose from. Where all are the same, nothing is tried.
    """
    different = list(dict.fromkeys(graphs))
    if len(different) == 1:
        return different[0]
    first, second = torch.arange(len(support)).chunk(2)
    learnt, judged = support.subset(first), support.subset(second)
    losses = {}
    for graph in different:
        own = adapt(lab, setting, pair, learnt, graph)
        losses[graph] = relative_loss(own, pair, learnt, judged, graph)
    return min(losses, key=losses.__getitem__)


def curve(
    lab: Lab,
    setting: Setting,
    pair: Pair,
    support: ImageDataset,
    graph: Graph,
    moments: Sequence[int] = MOMENTS,
) -> dict[int, float]:
    """{steps of adaptation: loss on test images, as `relative_loss` gives it}.

    Args:
        lab: With trained weights; it stays as it is.
        setting: Says how they are adapted.
        pair: The new one.
        support: What it is learnt on.
        graph: Which edges are open.
        moments: Numbers of steps, rising.
    """
    query = rooms()["test"].subset(torch.arange(QUERIES))
    setting = replace(setting, steps=max(moments))
    search = adaptation(lab, setting, pair, support, graph, seed=0)
    found = {}
    for moment in moments:
        while search.step_number < moment:
            search.step()
        found[moment] = relative_loss(search.lab, pair, support, query, graph)
    return found


def new_pair(setting: Setting, seed: int, place: int) -> tuple[Pair, ImageDataset]:
    """A held-out pair of the distribution, and the few images of val that it is learnt on."""
    generator = torch.Generator().manual_seed(HELD_OUT + setting.new_pairs * seed + place)
    pair = draw_pair(generator, setting.relatedness, setting.variety, seed)
    order = torch.randperm(len(rooms()["val"]), generator=generator)
    return pair, rooms()["val"].subset(order[: setting.shots])


# --- the arms of the study --------------------------------------------------------------------------------------------
@functools.lru_cache(maxsize=8)
def trained(
    setting: Setting, seed: int, weights: str, graphs: str
) -> tuple[Lab, tuple[Graph, ...]]:
    """The lab of a training, and its last population: arms under one seed share it."""
    training = Training(setting, seed, weights, graphs)
    for _ in training:
        pass
    return training.lab, tuple(training.population.graphs)


def judged(
    setting: Setting,
    seed: int,
    lab: Lab,
    graphs: Sequence[Graph],
    moments: Sequence[int] = MOMENTS,
) -> dict[str, float]:
    """Means over the held-out pairs: `loss` after K steps, the loss `after` other moments, and how many `edges` are open.

    Args:
        setting: Of all arms.
        seed: Names the distribution and its held-out pairs.
        lab: With trained weights.
        graphs: One is chosen of these for each pair.
        moments: After so many steps the loss is measured; K is added where it is missing.
    """
    at = sorted({*moments, setting.steps})
    curves = []
    edges = []
    for place in range(setting.new_pairs):
        pair, support = new_pair(setting, seed, place)
        graph = choose(lab, setting, pair, support, graphs)
        curves.append(list(curve(lab, setting, pair, support, graph, at).values()))
        edges.append(sum(graph))
    means = dict(zip(at, np.mean(curves, 0).tolist()))
    found = {"loss": means[setting.steps], "edges": float(np.mean(edges))}
    return found | {f"after {moment}": loss for moment, loss in means.items()}


@functools.lru_cache(maxsize=8)
def _judged(setting: Setting, seed: int, weights: str, graphs: str) -> dict[str, float]:
    lab, population = trained(setting, seed, weights, graphs)
    return judged(setting, seed, lab, population)


def trained_arm(seed: int, weights: str, graphs: str, **settings) -> dict[str, float]:
    """Weights and graphs of a `Training`, on held-out pairs.

    Args:
        seed: As everywhere.
        weights: As `Training` takes it.
        graphs: Likewise.
        settings: Fields of `Setting`.
    """
    return dict(_judged(Setting(**settings), seed, weights, graphs))


def longer_arm(seed: int, weights: str, **settings) -> dict[str, float]:
    """All edges, adapted for as many steps as are spent where a graph is chosen first: K for each of P graphs, and K.

    Its learning rate falls, as so many steps at a constant one would do harm.
    """
    setting = Setting(**settings)
    lab, population = trained(setting, seed, weights, "all_on")
    steps = setting.steps * (setting.population + 1)
    longer = replace(setting, steps=steps, lr_power=RECIPE.lr_power)
    found = judged(longer, seed, lab, population, moments=())
    return {"loss": found["loss"], "edges": found["edges"]}


def fresh_arm(seed: int, **settings) -> dict[str, float]:
    """Weights as they were drawn, all edges."""
    lab = new_lab(seed)
    return judged(Setting(**settings), seed, lab, [all_edges(lab)])


def interaction_arm(seed: int, **settings) -> dict[str, float]:
    """By how much more meta-learnt weights gain from evolved graphs than joint ones do: below 0 they gain more.

    (loss of meta, evolved − of meta, all on) − (of joint, evolved − of joint, all on).
    """
    setting = Setting(**settings)
    gains = []
    for weights in ("meta", "joint"):
        evolved = _judged(setting, seed, weights, "evolved")["loss"]
        gains.append(evolved - _judged(setting, seed, weights, "all_on")["loss"])
    return {"interaction": gains[0] - gains[1]}


ARMS = {
    "trained": trained_arm,
    "longer": longer_arm,
    "fresh": fresh_arm,
    "interaction": interaction_arm,
}
