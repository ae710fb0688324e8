"""A condition: which tasks, data and networks a table of graphs is about, and how each graph is trained."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from ..core.backbone import Backbone
from ..core.config import SearchConfig
from ..core.fusion import NDDR, ResidualFusion, product_of_joined
from ..core.lab import Lab
from ..core.relaxation import ArchitectureWeights
from ..core.space import Node, Plan, SearchSpace, paper_rules, plan
from ..core.supernet import SuperNet
from ..data.dataset import ImageDataset
from ..data.rooms import CLASSES, ROOMS, render
from ..data.views import View
from ..errors import ConfigError
from ..tasks.task import Task
from . import planted

IMAGE_SIZE = 32  # pixels, height and width
IMAGES = {"train": 480, "val": 160, "test": 320}  # rooms of one endless series, one after another
WIDTHS = (8, 16)  # channels of the stages of each group
LABEL_SEED = 0  # draws which images keep their labels: the same ones for every graph and seed
# the product is that of the first tables: a sum of products has another rounding, which training makes larger
NDDR_OF_TABLES = partial(NDDR, start=(0.9, 0.1), product=product_of_joined)
FUSIONS = {"nddr": NDDR_OF_TABLES, "residual": ResidualFusion}

# how every graph is trained: all weights from the start, gates fixed
RECIPE = SearchConfig(steps=300, batch_size=16, weight_lr=3e-3, lr_power=0.9, augment=False)


@dataclass(frozen=True)
class Condition:
    """What one table is about. Two graphs of it differ in their edges and in nothing else.

    Attributes:
        name: Names the table.
        about: One sentence: what is asked here.
        tasks: A network each.
        groups: How many stages each group has; (2, 1) gives two tasks 8 candidate edges.
        fusion: A name of FUSIONS.
        few_labels: {task: how many training images keep its label}; all where a task is not named.
        visibility: {task: v}, its network sees v · image + (1 − v) · noise.
        views: {task: view}, what its network sees instead of the image.
        into: Only edges into these tasks are candidates; all where it is empty.
        signal: A bit is planted (planted.py), and so much of it is in the partner's features; None: nothing is planted.
        shuffled: Training labels belong to other images: nothing can be learnt from an image (leak test).
        held_out: No setting of a search may be chosen by looking at this table.
        seeds: Each graph is trained once under each.

    Example:
        >>> from mtlnas_lab.bench.condition import condition
        >>> seeing = condition("segmentation-normals")
        >>> len(seeing.space), seeing.graphs
        (8, 256)
    """

    name: str
    about: str
    tasks: tuple[str, ...]
    groups: tuple[int, ...] = (2, 1)
    fusion: str = "nddr"
    few_labels: Mapping[str, int] = field(default_factory=dict)
    visibility: Mapping[str, float] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    into: tuple[str, ...] = ()
    signal: float | None = None
    shuffled: bool = False
    held_out: bool = False
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def graphs(self) -> int:
        """How many graphs there are: 2^E."""
        return 2 ** len(self.space)

    @functools.cached_property
    def space(self) -> SearchSpace:
        """The search space between the tasks' networks, with E candidate edges."""
        described = plan(channels_of(self.groups), self.groups)
        rules = (*paper_rules(), self._allowed)
        return SearchSpace.build(dict.fromkeys(self.tasks, described), rules)

    def config(self, seed: int) -> SearchConfig:
        """How a graph is trained under this seed, which draws the networks' start and the order of the images."""
        return replace(RECIPE, seed=seed, visibility=dict(self.visibility))

    def lab(self, seed: int) -> Lab:
        """Freshly drawn networks on this condition's data; the same for every graph under one seed."""
        data = self.data()
        tasks = data["train"].make_tasks(self.tasks)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            networks = {name: self._network(task) for name, task in tasks.items()}
            supernet = SuperNet(networks, self.space, FUSIONS[self.fusion])
        supernet.to(memory_format=torch.channels_last)  # convolutions are faster then
        views = {task: View.from_value(view) for task, view in self.views.items()}
        alphas = ArchitectureWeights(len(self.space))
        return Lab(tasks, supernet, alphas, data, views, dict(self.visibility))

    def data(self) -> dict[str, ImageDataset]:
        """{"train", "val", "test"}: rooms, with the labels that this condition leaves."""
        packs = dict(rooms())
        if self.signal is not None:
            for place, (split, pack) in enumerate(packs.items()):
                packs[split] = planted.with_bit(pack, self.signal, seed=place)
        train = packs["train"]
        if self.few_labels:
            train = train.with_few_labels(self.few_labels, LABEL_SEED)
        if self.shuffled:
            train = _shuffled(train)
        return packs | {"train": train}

    def _network(self, task: Task) -> Backbone:
        if self.signal is None or task.name != planted.PARTNER:
            return network(task, self.groups)
        described = plan(channels_of(self.groups), self.groups)
        strides = [2 ** (stage.group + 1) for stage in described]
        return planted.partner(described, strides, head_of(task, described[-1].channels))

    def _allowed(self, source: Node, target: Node, plans: Mapping[str, Plan]) -> bool:
        """The rule of `into`."""
        return not self.into or target.task in self.into

    def to_json(self) -> dict:
        return asdict(self)


def channels_of(groups: tuple[int, ...]) -> list[int]:
    """The channels of each stage."""
    return [width for width, size in zip(WIDTHS, groups) for _ in range(size)]


def network(task: Task, groups: tuple[int, ...]) -> Backbone:
    """One task's network: 3×3 convolutions with batch norm and ReLU; each group begins by halving the map.

    Args:
        task: Says how many channels the head puts out, and whether at every pixel.
        groups: How many stages each group has.
    """
    described = plan(channels_of(groups), groups)
    stages = []
    inputs = 3
    for stage in described:
        stride = 2 if stage.index == 0 else 1
        stages.append(_stage(inputs, stage.channels, stride))
        inputs = stage.channels
    return Backbone(stages, described, head_of(task, inputs))


def head_of(task: Task, inputs: int) -> nn.Module:
    """A linear head: at every pixel, or of the mean over the pixels for an answer about the whole image."""
    if task.dense:
        return nn.Conv2d(inputs, task.channels, 1)
    average = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*average, nn.Linear(inputs, task.channels))


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


@functools.cache
def rooms() -> Mapping[str, ImageDataset]:
    """The rooms that every table is made of, drawn anew in each process: the same bytes each time."""
    packs = {}
    first = 0
    for split, count in IMAGES.items():
        arrays = render(count, IMAGE_SIZE, seed=0, first=first)
        arrays["seg_names"] = np.array(["unlabelled", *CLASSES])
        arrays["room_names"] = np.array(ROOMS)
        packs[split] = ImageDataset.from_arrays(arrays, name=f"rooms/{split}")
        first += count
    return packs


def _shuffled(pack: ImageDataset) -> ImageDataset:
    """The same images, each with the labels of another one."""
    generator = torch.Generator().manual_seed(LABEL_SEED)
    order = torch.randperm(len(pack), generator=generator)
    targets = {task: stored[order] for task, stored in pack.targets.items()}
    return replace(pack, targets=targets)


# --- the conditions ---------------------------------------------------------------------------------------------------
# where the pilot found that one training tells graphs apart (reliability 0.99 and more)
FEW_SEEDS = (0, 1)

SEGMENTATION_NORMALS = Condition(
    name="segmentation-normals",
    about="Both networks see the image, and every image is labelled for both tasks.",
    tasks=("segmentation", "normals"),
    seeds=(0, 1, 2, 3, 4),
)

DEPTH_NORMALS = Condition(
    name="depth-normals",
    about="Another pair, both tasks about shape; all labels. Held out: no setting is chosen on it.",
    tasks=("depth", "normals"),
    held_out=True,
)

SEGMENTATION_ROOM = Condition(
    name="segmentation-room",
    about="Pixels against one answer for the whole image (which kind of room); all labels.",
    tasks=("segmentation", "room"),
)

SEGMENTATION_NORMALS_FEW = Condition(
    name="segmentation-normals-few",
    about="Normals are labelled on 32 of 480 images: what segmentation learns may help them.",
    tasks=("segmentation", "normals"),
    few_labels={"normals": 32},
)

DEPTH_NORMALS_FEW = Condition(
    name="depth-normals-few",
    about="Depth is labelled on 32 of 480 images. Held out, as its pair is.",
    tasks=("depth", "normals"),
    few_labels={"depth": 32},
    held_out=True,
)

SEGMENTATION_NORMALS_RESIDUAL = Condition(
    name="segmentation-normals-residual",
    about="The first condition with residual fusion in place of NDDR.",
    tasks=("segmentation", "normals"),
    fusion="residual",
)

SEGMENTATION_NORMALS_4096 = Condition(
    name="segmentation-normals-4096",
    about="The first condition with a stage more in each network: 12 candidate edges, 4,096 graphs.",
    tasks=("segmentation", "normals"),
    groups=(2, 2),
    seeds=(0, 1),
)

BLIND = Condition(
    name="blind",
    about="Planted: segmentation's network sees noise, so that edges into it are all it has.",
    tasks=("segmentation", "normals"),
    visibility={"segmentation": 0.0},
)

BLIND_025 = Condition(
    name="blind-0.25",
    about="Planted: segmentation's network sees a quarter of the image.",
    tasks=("segmentation", "normals"),
    visibility={"segmentation": 0.25},
)

BLIND_05 = Condition(
    name="blind-0.5",
    about="Planted: segmentation's network sees half of the image.",
    tasks=("segmentation", "normals"),
    visibility={"segmentation": 0.5},
)

NOISE_PARTNER = Condition(
    name="noise-partner",
    about="Planted: segmentation sees the image, one partner sees the depth, one sees noise; edges into segmentation.",
    tasks=("segmentation", "normals", "edges"),
    views={"normals": "depth"},
    visibility={"edges": 0.0},
    into=("segmentation",),
    seeds=FEW_SEEDS,
)

BIT = Condition(
    name="bit",
    about="Planted: one bit of a label stands in one stage of a frozen partner; one of eight edges brings it.",
    tasks=(planted.READER, planted.PARTNER),
    visibility={planted.READER: 0.0},
    signal=1.0,
    seeds=FEW_SEEDS,
)

BIT_05 = replace(
    BIT, name="bit-0.5", about="Planted: as bit, but the stage shows the bit only half.", signal=0.5
)

BIT_0 = replace(
    BIT,
    name="bit-0",
    about="Negative control: as bit, but the stage shows a coin instead.",
    signal=0.0,
)

SHUFFLED = Condition(
    name="shuffled",
    about="Leak test: training labels belong to other images, so that nothing can be learnt from an image.",
    tasks=("segmentation", "normals"),
    shuffled=True,
)

ALL = (
    SEGMENTATION_NORMALS,
    DEPTH_NORMALS,
    SEGMENTATION_ROOM,
    SEGMENTATION_NORMALS_FEW,
    DEPTH_NORMALS_FEW,
    SEGMENTATION_NORMALS_RESIDUAL,
    SEGMENTATION_NORMALS_4096,
    BLIND,
    BLIND_025,
    BLIND_05,
    NOISE_PARTNER,
    BIT,
    BIT_05,
    BIT_0,
    SHUFFLED,
)

CONDITIONS = {each.name: each for each in ALL}


def condition(name: str) -> Condition:
    """The condition of that name.

    Raises:
        ConfigError: There is none.
    """
    if not isinstance(name, str) or name not in CONDITIONS:
        raise ConfigError(f"there is no condition {name!r}; choose one of {', '.join(CONDITIONS)}")
    return CONDITIONS[name]
