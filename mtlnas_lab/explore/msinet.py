"""Which interaction, and learnt on whom? After MSINet and its twins contrastive search (PAPERS.md 2.3).

Two networks run side by side. Behind every stage **one of five operations** lets their maps interact: none, exchange, gate,
attention, nddr. α has five logits for each of these pairs of stages, a softmax makes one choice of them, and entropy over the
five decides it. Two operations are the library's binary edge.

Who teaches what: w and α learn from different *scenes* (here rooms, each seen from several places), not from different images
of the same ones. ρ says which share of the scenes both see, by different images. Each side has a **memory** of one centroid a
scene, so that α does not depend on a classifier of the scenes that taught w. What was found is trained anew, and has to find
pictures of the same room among rooms that nobody has trained on.

    found, lab = search(seed=0, rho=0.4)                  # ("gate", "none", "nddr", "none")
    train(found, seed=0)                                  # {"map_unseen": …, "map_seen": …}
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..bench.condition import IMAGE_SIZE, RECIPE, channels_of, network
from ..bench.training import go_on, one_thread
from ..core.evaluate import evaluate, recalibrated
from ..core.lab import Lab
from ..core.relaxation import TEMPERATURE_FLOOR, ArchitectureWeights
from ..core.schedule import Schedule
from ..core.search import Search
from ..data.dataset import ImageDataset
from ..data.loader import sequential, whole
from ..data.rooms import CLASSES, render
from ..models.interactions import OPERATIONS, InteractionNet
from ..tasks.colormap import bars
from ..tasks.metrics import Meter
from ..tasks.task import Task
from ..values import choice, number
from ..values import whole as whole_number

TASKS = ("scene", "segmentation")  # which room is it, and what is where
GROUPS = (2, 2)  # four stages, so four pairs of stages
TEMPERATURE = 0.05  # of a memory
MOMENTUM = 0.2
FEATURES = 16  # of a picture, by which rooms are compared
ROOMS = 120  # half of them are for training
VIEWS = 12  # pictures of each
TRAINING_VIEWS = 8  # of a training room; the rest are for scores
SEARCH = replace(RECIPE, alpha_lr=0.05, entropy_weight=Schedule(1.0, period=(0.5, 1.0)))


# --- one choice among K: relaxations of rows of logits (D, K), as the library's are of edges (E,) -----------------------
def gumbel_noise(alpha: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """−ln(−ln u), u uniform in (0, 1). The difference of two is the logistic noise of the library's binary concrete."""
    u = torch.rand(alpha.shape, generator=generator, dtype=alpha.dtype)
    tiny = torch.finfo(alpha.dtype).eps
    return -(-u.clamp(tiny, 1 - tiny).log()).log()


def deterministic(
    alpha: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """softmax(α). Nothing is drawn; the temperature is not used."""
    return alpha.softmax(-1)


def stochastic(
    alpha: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Gumbel-softmax: softmax((α + noise) / τ), τ at least TEMPERATURE_FLOOR."""
    noisy = alpha + gumbel_noise(alpha, generator)
    return (noisy / max(temperature, TEMPERATURE_FLOOR)).softmax(-1)


def straight_through(
    alpha: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """One operation going forward, the largest of a Gumbel-softmax sample; that sample's gradient going back."""
    soft = stochastic(alpha, temperature, generator)
    return discretize(soft) + soft - soft.detach()


def discretize(
    alpha: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """1 for the largest logit of a row, else 0: the architecture. Of equal ones the first."""
    return F.one_hot(alpha.detach().argmax(-1), alpha.shape[-1]).to(alpha.dtype)


RELAXATIONS = {f.__name__: f for f in (deterministic, stochastic, straight_through, discretize)}


def choice_entropy(alpha: Tensor, factors: Tensor | float = 1.0) -> Tensor:
    """−Σ f·p ln p with p = softmax(α), for each row, in nats: (D, K) -> (D,).

    Example:
        >>> choice_entropy(torch.zeros(1, 5)).exp().item()  # undecided among five  # doctest: +ELLIPSIS
        5.0...
    """
    return -(factors * alpha.softmax(-1) * alpha.log_softmax(-1)).sum(-1)


class Choices(ArchitectureWeights):
    """α as D choices among K operations, in place of E edges: E = D·K logits, a row after the other.

    Args:
        pairs: D.
        operations: K, 2 or more.
        seed: Draws the start, near 0: exactly at 0 entropy has no gradient.

    Raises:
        ConfigError: There are fewer than two operations; by `gates`, for a relaxation that a choice does not have.

    Example:
        >>> alphas = Choices(pairs=2, operations=5)
        >>> alphas.gates("discretize").view(2, 5).sum(1).tolist()
        [1.0, 1.0]
    """

    def __init__(self, pairs: int, operations: int, seed: int = 0):
        self.operations = whole_number("operations", operations, 2)
        super().__init__(pairs * operations)
        self.most = math.log(operations)
        start = torch.randn(len(self.alpha), generator=torch.Generator().manual_seed(seed))
        self.alpha.data.copy_(1e-3 * start)

    @property
    def rows(self) -> Tensor:
        """α as (D, K)."""
        return self.alpha.view(-1, self.operations)

    def gates(
        self, name: str, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        relax = RELAXATIONS[choice("gates", name, tuple(RELAXATIONS))]
        return relax(self.rows, temperature, generator).flatten()

    def entropy(self, factors: Tensor | float = 1.0) -> Tensor:
        if isinstance(factors, Tensor):
            factors = factors.view_as(self.rows)
        return choice_entropy(self.rows, factors).mean()

    def entropy_gradient(self, factors: Tensor | float = 1.0) -> Tensor:
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.entropy(factors), [self.alpha])
        return gradient


# --- twins: two sets of scenes, a memory each ---------------------------------------------------------------------------
def twins(scenes: Tensor, rho: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which images teach w and which teach α, so that a share of the scenes is common to both, but no image is.

    Args:
        scenes: (N,) of each image.
        rho: ρ, the share of the scenes that both learn from, half of the images each. Of the others a third teaches w, and
            two thirds teach α. 0.4 is the paper's split; 1 splits every scene's images.
        generator: Draws scenes and images.

    Returns:
        Two tensors of image numbers.

    Raises:
        ConfigError: ρ is not a number from 0 to 1.

    Example:
        >>> scenes = torch.arange(5).repeat_interleave(4)
        >>> w, alpha = twins(scenes, 0.4, torch.Generator().manual_seed(0))
        >>> len(scenes[w].unique()), len(scenes[alpha].unique()), len(w), len(alpha)
        (3, 4, 8, 12)
    """
    names = scenes.unique()
    names = names[torch.randperm(len(names), generator=generator)]
    shared = round(number("rho", rho, most=1.0) * len(names))
    own = round((len(names) - shared) / 3)
    parts = ([], [])
    for place, name in enumerate(names):
        images = (scenes == name).nonzero()[:, 0]
        images = images[torch.randperm(len(images), generator=generator)]
        half = len(images) // 2
        if place >= shared:
            half = len(images) if place < shared + own else 0
        parts[0].append(images[:half])
        parts[1].append(images[half:])
    return torch.cat(parts[0]), torch.cat(parts[1])


class Memory:
    """One centroid for each scene: rows of length 1, or of zeros until a picture of the scene was seen.

    Args:
        scenes: How many.
        features: Of a picture.
        temperature: T: the lower, the harder the nearest wrong scene is pushed away.
        momentum: What stays of a centroid where a picture of its scene comes.

    Example:
        >>> memory = Memory(scenes=2, features=2)
        >>> memory.add(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
        >>> memory.loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0])).item() < 1e-8  # ln(1 + e^(−1 / T))
        True
    """

    def __init__(
        self,
        scenes: int,
        features: int = FEATURES,
        temperature: float = TEMPERATURE,
        momentum: float = MOMENTUM,
    ):
        self.centroids = torch.zeros(scenes, features)
        self.temperature = number("temperature", temperature, least=1e-6)
        self.momentum = number("momentum", momentum, most=1.0)

    def loss(self, features: Tensor, rows: Tensor) -> Tensor:
        """Cross-entropy of ⟨f, M_c⟩ / T, f of length 1: features (B, F) of pictures of the scenes `rows` (B,)."""
        close = F.normalize(features, dim=1) @ self.centroids.T
        return F.cross_entropy(close / self.temperature, rows)

    def add(self, features: Tensor, rows: Tensor) -> None:
        """M_y ← normalised(momentum·M_y + (1 − momentum)·f), one picture after the other."""
        centroids = self.centroids.clone()  # what a gradient still needs stays as it was
        for feature, row in zip(F.normalize(features.detach(), dim=1), rows):
            mixed = self.momentum * centroids[row] + (1 - self.momentum) * feature
            centroids[row] = F.normalize(mixed, dim=0)
        self.centroids = centroids


@dataclass(frozen=True)
class Scene(Task):
    """Which scene is it: features that are close for pictures of one scene. A target (B, 2): which memory, which row of it.

    Attributes:
        memories: One for w and one for α; where a network is only trained, one.
    """

    name: str = "scene"
    weight: float = 1.0
    channels: int = FEATURES
    labels: tuple[str, ...] = ()
    memories: tuple[Memory, ...] = ()
    dense = False

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The memory's loss; while a network learns, the memory takes in the batch after it."""
        memory = self.memories[int(target[0, 0])]
        loss = memory.loss(output, target[:, 1])
        if torch.is_grad_enabled():
            memory.add(output, target[:, 1])
        return loss

    def meter(self) -> Meter:
        return Retrieval()

    def constant(self, targets: Tensor) -> Tensor:
        return torch.zeros(1, self.channels)

    def picture(self, x: Tensor) -> np.ndarray:
        return bars(x.detach().float().softmax(0).numpy())


class Retrieval(Meter):
    """`map` and `rank1`, from 0 to 1, of every picture's search for the others of its scene among all the others."""

    def __init__(self):
        self.features = []
        self.scenes = []

    def update(self, output: Tensor, target: Tensor) -> None:
        self.features.append(F.normalize(output, dim=1))
        self.scenes.append(target[:, 1])

    def compute(self) -> dict[str, float]:
        features = torch.cat(self.features)
        scenes = torch.cat(self.scenes)
        close = (features @ features.T).fill_diagonal_(-math.inf)  # nobody finds itself
        order = close.argsort(dim=1, descending=True, stable=True)[:, :-1]
        right = (scenes[order] == scenes[:, None]).double()
        rank = torch.arange(1, right.shape[1] + 1)
        precision = (right.cumsum(1) / rank * right).sum(1) / right.sum(1)
        there = right.sum(1) > 0  # a scene of one picture cannot be found
        return {"map": float(precision[there].mean()), "rank1": float(right[there, 0].mean())}


# --- rooms --------------------------------------------------------------------------------------------------------------
@functools.cache
def pictures(rooms: int = ROOMS, views: int = VIEWS) -> ImageDataset:
    """Rooms, each from several places in a row; the target `scene` is (N, 2): memory 0, number of the room."""
    arrays = render(rooms * views, IMAGE_SIZE, views=views)
    arrays["seg_names"] = np.array(["unlabelled", *CLASSES])
    pack = ImageDataset.from_arrays(arrays, "rooms", ("segmentation",))
    return of_scenes(pack, torch.arange(rooms).repeat_interleave(views))


def of_scenes(pack: ImageDataset, scenes: Tensor, memory: int = 0) -> ImageDataset:
    """The same pictures, of these scenes (N,), which are numbered anew from 0: rows of a memory."""
    rows = scenes.unique(return_inverse=True)[1]
    target = torch.stack([torch.full_like(rows, memory), rows], 1)
    return replace(pack, targets={**pack.targets, "scene": target})


def data(seed: int) -> dict[str, ImageDataset]:
    """{"train", "seen", "unseen"}: half of the rooms are for training; seen are other pictures of them, unseen is the rest.

    Args:
        seed: Draws which rooms are for training.
    """
    pack = pictures()
    scenes = pack.targets["scene"][:, 1]
    order = torch.randperm(ROOMS, generator=torch.Generator().manual_seed(seed))
    trained = torch.isin(scenes, order[: ROOMS // 2])
    training_view = torch.arange(len(pack)) % VIEWS < TRAINING_VIEWS
    parts = {
        "train": trained & training_view,
        "seen": trained & ~training_view,
        "unseen": ~trained & ~training_view,
    }
    found = {}
    for split, which in parts.items():
        index = which.nonzero()[:, 0]
        found[split] = of_scenes(pack.subset(index), scenes[index])
    return found


def lab_of(
    packs: Mapping[str, ImageDataset], seed: int, operations: Sequence[str], **memory
) -> Lab:
    """Freshly drawn networks with a memory for w and one for α. `memory`: temperature, momentum."""
    scenes = int(packs["train"].targets["scene"][:, 1].max()) + 1
    memories = (Memory(scenes, **memory), Memory(scenes, **memory))
    tasks = {"scene": Scene(memories=memories)}
    tasks |= packs["train"].make_tasks(("segmentation",))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = {name: network(task, GROUPS) for name, task in tasks.items()}
        net = InteractionNet(networks, operations)
    net.to(memory_format=torch.channels_last)
    alphas = Choices(len(net.space.channels), len(operations), seed)
    return Lab(tasks, net, alphas, packs)


# --- search, and training of what was found -----------------------------------------------------------------------------
def searching(
    seed: int,
    rho: float = 0.4,
    shuffled: bool = False,
    operations: Sequence[str] = tuple(OPERATIONS),
    steps: int = SEARCH.steps,
    entropy: float = SEARCH.entropy_weight.end,
    **memory,
) -> Search:
    """A search by twins on the training rooms, to be iterated.

    Args:
        seed: Draws rooms, networks, split, batches and gates.
        rho: ρ, see `twins`.
        shuffled: Pictures have the scenes of other pictures: a scene is then any eight pictures (control).
        operations: What may be chosen.
        steps: Of the search.
        entropy: λ at the end; it rises from 0 in the second half.
        memory: temperature and momentum of both.
    """
    packs = data(seed)
    train = packs["train"]
    scenes = train.targets["scene"][:, 1]
    generator = torch.Generator().manual_seed(seed)
    if shuffled:
        scenes = scenes[torch.randperm(len(scenes), generator=generator)]
    lab = lab_of(packs, seed, operations, **memory)
    streams = []
    for side, index in enumerate(twins(scenes, rho, generator)):
        pack = of_scenes(train.subset(index), scenes[index], memory=side)
        streams.append(whole(pack, TASKS, SEARCH.batch_size, 2 * seed + side, augment=False))
    config = replace(SEARCH, steps=steps, seed=seed)
    config = replace(config, entropy_weight=replace(SEARCH.entropy_weight, end=entropy))
    return Search(lab, config, *streams)


def search(seed: int, **settings) -> tuple[tuple[str, ...], Lab]:
    """A whole search: the operation of each pair of stages, and the lab that it searched in. Settings as in `searching`."""
    made = searching(seed, **settings)
    with one_thread():
        go_on(made, f"the search of seed {seed}")
    return made.lab.space.chosen(made.lab.alphas.alpha), made.lab


def train(
    chosen: Sequence[str], seed: int, steps: int = RECIPE.steps, operations=tuple(OPERATIONS)
) -> dict[str, float]:
    """Trains networks with these operations from the start, on all training rooms, and scores them.

    Returns:
        `map_unseen` and `map_seen`, how well pictures of one room find each other, among rooms that nobody trained on and
        among new pictures of the training rooms; `gap`, the second minus the first; `rank1_unseen`; `miou_unseen`, of
        segmentation.
    """
    lab = lab_of(data(seed), seed, operations)
    gates = lab.space.gates(chosen)
    found = {}
    with one_thread():
        config = replace(RECIPE, steps=steps, seed=seed)
        go_on(Search(lab, config, gates=gates), f"the training of seed {seed}")
        training = lab.seen(sequential(lab.data["train"], TASKS, 32))
        with recalibrated(lab.supernet, gates, training):
            for split in ("seen", "unseen"):
                images = lab.seen(sequential(lab.data[split], TASKS, 32))
                found[split] = evaluate(lab.supernet, gates, lab.tasks, images)
    seen = found["seen"]["scene"]["map"]
    unseen = found["unseen"]["scene"]["map"]
    scores = {"map_unseen": unseen, "map_seen": seen, "gap": seen - unseen}
    scores["rank1_unseen"] = found["unseen"]["scene"]["rank1"]
    scores["miou_unseen"] = found["unseen"]["segmentation"]["miou"]
    return scores


# --- the arms of the study ----------------------------------------------------------------------------------------------
def searched(seed: int, steps: int = RECIPE.steps, **settings) -> dict[str, float]:
    """A search by twins; then what it found is trained. Settings as in `searching`.

    Returns:
        What `train` returns; `entropy`, the mean over the pairs as a share of ln K; and for each pair of stages `operation/D`,
        the number of its operation.
    """
    chosen, lab = search(seed, steps=steps, **settings)
    left = lab.alphas.entropy().item() / lab.alphas.most
    return train(chosen, seed, steps) | {"entropy": left} | _numbered(chosen)


def given(seed: int, operation: str, steps: int = RECIPE.steps) -> dict[str, float]:
    """Nothing is searched: one operation behind every stage, or for "random" one drawn for each."""
    pairs = len(channels_of(GROUPS))
    chosen = (operation,) * pairs
    if operation == "random":
        generator = torch.Generator().manual_seed(seed)
        places = torch.randint(len(OPERATIONS), (pairs,), generator=generator)
        chosen = tuple([*OPERATIONS][place] for place in places.tolist())
    return train(chosen, seed, steps) | _numbered(chosen)


def _numbered(chosen: Sequence[str]) -> dict[str, float]:
    names = list(OPERATIONS)
    return {f"operation/{depth}": names.index(name) for depth, name in enumerate(chosen)}


ARMS = {"searched": searched, "given": given}
