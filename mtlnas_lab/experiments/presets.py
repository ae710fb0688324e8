"""The only file with magic numbers: which networks, which fusion, which settings go well together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ..core.backbone import Backbone
from ..core.config import SearchConfig
from ..core.fusion import NDDR, ResidualFusion
from ..core.lab import Lab
from ..core.relaxation import ArchitectureWeights
from ..core.schedule import Schedule
from ..core.space import SearchSpace
from ..core.supernet import FusionMaker, SuperNet
from ..data.dataset import ImageDataset
from ..data.lazy import LazyImageDataset, tell_of_missing_labels
from ..data.open import (
    _must_be_labelled,
    open_data,
    samples,
)
from ..errors import ConfigError, DataError, RunError
from ..models.pretrained import load_weights
from ..models.resnet import resnet18, resnet50
from ..models.traced import convnext_tiny, mobilenet_v3
from ..models.vgg import vgg16
from ..models.vit import vit
from ..one_line import listed
from ..values import number


@dataclass(frozen=True)
class Preset:
    """backbones[name](outputs=…, dense=…) makes one task's network, of the first name unless another is asked for;
    `pretrain` teaches it alone, `search` fuses them by `fusion` (where maps may be negative: by ResidualFusion)."""

    backbones: Mapping[str, Callable[..., Backbone]]
    fusion: FusionMaker
    pretrain: SearchConfig
    search: SearchConfig
    about: str


TINY_BACKBONES = {
    "vgg16": partial(vgg16, widths=(8, 16, 32, 64, 64), hidden=128, field=4, dropout=0.0),
    "resnet18": partial(resnet18, widths=(8, 16, 32, 64), hidden=128, field=4),
    "resnet50": partial(resnet50, widths=(4, 8, 16, 32), hidden=128, field=4),
}
TINY_BACKBONES["vit"] = partial(vit, width=48, heads=3, patch=8, image_size=64, hidden=128)
TINY_BACKBONES["mobilenet_v3"] = partial(mobilenet_v3, width=0.25, hidden=128)
TINY_BACKBONES["convnext_tiny"] = partial(convnext_tiny, widths=(12, 24, 48, 96), hidden=128)

TINY = Preset(
    backbones=TINY_BACKBONES,
    fusion=partial(NDDR, start=(0.9, 0.1)),
    # images as they are and a falling learning rate: better than augmentation and a constant one at this budget, on rooms,
    # photographs and product photos (data_samples/studies/recipe-small); give augment=True where you train for long
    pretrain=SearchConfig(steps=300, weight_lr=2e-3, lr_power=0.9, augment=False),
    # λ grows over 30–100 % of the run, so that the tasks are heard before edges lock in: data_samples/studies/gap-small has
    # λ = 3 and more close the gap (λ = 0 does not), no difference in score to a constant λ, and seeds that agree more
    search=SearchConfig(
        steps=500,
        weight_lr=1e-3,
        lr_power=0.9,
        augment=False,
        alpha_lr=0.02,
        entropy_weight=Schedule(10.0, 0.0, (0.3, 1.0)),
    ),
    about="VGG-16's 13 stages at an eighth of its widths: 48 candidate edges, minutes on a laptop without GPU; "
    "what supports its schedule of λ: data_samples/studies/gap-small/report.md",
)

FULL_BACKBONES = {
    "vgg16": vgg16,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vit": vit,
    "mobilenet_v3": mobilenet_v3,
    "convnext_tiny": convnext_tiny,
}

# how the released code trains single tasks: the last layer learns faster, its bias twice as fast again
RELEASED_PRETRAIN = SearchConfig(
    steps=20001,
    batch_size=10,
    optimizer="sgd",
    weight_lr=1e-3,
    weight_decay=2.5e-4,
    lr_power=0.9,
    last_weight_lr_factor=10,
    last_bias_lr_factor=20,
)

VGG16 = Preset(
    backbones=FULL_BACKBONES,
    fusion=partial(NDDR, start=(1.0, 0.0)),
    pretrain=RELEASED_PRETRAIN,
    search=replace(
        RELEASED_PRETRAIN,
        fusion_lr_factor=100,
        alpha_lr=1e-3,
        alpha_weight_decay=1e-3,
        entropy_weight=Schedule(10.0),
    ),
    about="VGG-16 DeepLab-LargeFOV as released, with the released settings (PAPERS.md 1.7): for a GPU",
)

PRESETS = {"tiny": TINY, "vgg16": VGG16}


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ConfigError: There is none.

    Example:
        >>> preset("tiny").search.steps
        500
        >>> list(PRESETS)
        ['tiny', 'vgg16']
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def per_task(given: str | Mapping[str, str], tasks: Sequence[str], what: str) -> dict[str, str]:
    """{task: value} of "value" (for all tasks) or "task=value,…".

    Args:
        given: What was asked for; "" asks for nothing.
        tasks: The tasks that there are.
        what: How a value is called in an error.

    Raises:
        ConfigError: A task is not there, or has no value.

    Example:
        >>> per_task("depth=resnet18", ("segmentation", "depth"), "backbone")
        {'depth': 'resnet18'}
        >>> per_task("vit", ("segmentation", "depth"), "backbone")
        {'segmentation': 'vit', 'depth': 'vit'}
    """
    if isinstance(given, str):
        if not given:
            return {}
        if "=" not in given:
            return dict.fromkeys(tasks, given)
        said = given.split(",")
        given = {}
        for part in said:
            task, equals, value = part.partition("=")
            if equals:
                task = task.lstrip()
                value = value.rstrip()
            given[task] = value
    for task, value in given.items():
        if task not in tasks or not value:
            raise ConfigError(
                f"{what} {task}={value}: give one {what} for all tasks, or task={what},… with tasks out of "
                f"{', '.join(tasks)}"
            )
    return dict(given)


def make_lab(
    name: str | Preset,
    data: Mapping[str, ImageDataset],
    tasks: Sequence[str] | None = None,
    seed: int = 0,
    fusion: FusionMaker | None = None,
    backbone: str | Mapping[str, str] = "",
) -> Lab:
    """The lab of a preset: freshly drawn networks for these tasks of the data, α = 0.

    Args:
        name: A preset, or its name.
        data: {"train": …, "val": …, "test": …}, as `open_data` gives it.
        tasks: Two tasks or more; otherwise the data's first dense pair.
        seed: Draws the networks' weights.
        fusion: Makes the fusion operation of a node; otherwise the preset's.
        backbone: A name for all tasks, "resnet18", or for some, "segmentation=vgg16,normals=resnet18"; otherwise the
            preset's own.

    Raises:
        ConfigError: There is no such preset, task or backbone, or there is only one task.
        DataError: There are no images to train on, or none that are labelled.

    Example:
        >>> from mtlnas_lab import open_data
        >>> lab = make_lab("tiny", open_data("rooms"), ("segmentation", "depth"))
        >>> len(lab.space), float(lab.alphas.alpha.detach().abs().sum())
        (48, 0.0)
    """
    chosen = name if isinstance(name, Preset) else preset(name)
    if "train" not in data:
        raise DataError(f"there are no images to train on, only {listed(data)}")
    made = data["train"].make_tasks(tasks or data["train"].first_dense_pair())
    if len(made) < 2:
        raise ConfigError(
            f"a search needs two tasks or more, but only {', '.join(made)} was asked for; "
            f"this data has {', '.join(data['train'].tasks)}"
        )
    _must_be_labelled(data, made)
    # whether files that are read as needed hold labels is known only by reading some
    read_later = {split: pack for split, pack in data.items() if isinstance(pack, LazyImageDataset)}
    tell_of_missing_labels(read_later, made)
    first = next(iter(chosen.backbones))
    names = dict.fromkeys(made, first) | per_task(backbone, tuple(made), "backbone")
    for task, wanted in names.items():
        if wanted not in chosen.backbones:
            raise ConfigError(
                f"there is no backbone {wanted!r} for {task}; choose one of {', '.join(chosen.backbones)}, or "
                "put networks of your own (traced.staged) into a SuperNet"
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbones = {}
        for name, task in made.items():
            maker = chosen.backbones[names[name]]
            backbones[name] = maker(outputs=task.channels, dense=task.dense)
        space = SearchSpace.build({name: network.plan for name, network in backbones.items()})
        supernet = SuperNet(backbones, space, fusion or _fusion_for(backbones, chosen))
    supernet.to(memory_format=torch.channels_last)  # convolutions are faster then
    return Lab(made, supernet, ArchitectureWeights(len(space)), dict(data))


def _fusion_for(backbones: Mapping[str, Backbone], chosen: Preset) -> FusionMaker:
    """The preset's fusion; where maps may be negative, one that does not cut them off as the ReLU of an NDDR does."""
    if any(network.signed for network in backbones.values()):
        return ResidualFusion
    return chosen.fusion


def tiny(
    data: Mapping[str, ImageDataset] | None = None,
    tasks: Sequence[str] | None = None,
    seed: int = 0,
) -> Lab:
    """The lab of the preset `tiny`: narrow VGG-16s with 48 candidate edges between two tasks.

    Args:
        data: As `open_data` gives it; otherwise the shipped rooms, with their pretrained backbones.
        tasks: Two tasks or more; otherwise the data's first dense pair.
        seed: Draws the networks' weights.

    Returns:
        A lab that is ready to search.

    Example:
        >>> lab = tiny()
        >>> list(lab.tasks), len(lab.space)
        (['segmentation', 'normals'], 48)
    """
    lab = make_lab("tiny", data or open_data(), tasks, seed)
    if data is None:
        load_backbones(lab)
    return lab


def load_backbones(
    lab: Lab, folder: Path | None = None, tasks: Sequence[str] | None = None
) -> None:
    """Puts the shipped single-task weights of the rooms into the lab's backbones.

    Args:
        lab: A lab of the preset `tiny`; its backbones change.
        folder: Where the weights lie; otherwise the shipped ones.
        tasks: Whose backbones; otherwise all.

    Raises:
        RunError: There are no weights for a task, or they do not fit.
    """
    folder = folder or samples() / "backbones"
    if tasks is None:
        tasks = tuple(lab.supernet.backbones)
    for task in tasks:
        backbone = lab.supernet.backbones[task]
        path = folder / f"rooms_{task}.safetensors"
        if not path.is_file():
            raise RunError(
                f"no pretrained backbone for {task!r} is shipped ({path.name}); pretrain it",
                hint="pretrain_steps=300",
            )
        load_weights(backbone, path)


def quick(size: int, smoke: int) -> int:
    """`size`, or `smoke` where MTLNAS_LAB_FAST is set: how the tests run every notebook in seconds."""
    if os.environ.get("MTLNAS_LAB_FAST"):
        return smoke
    return size


def with_budget(
    config: SearchConfig, steps: int | None = None, entropy_weight: float | None = None, **changes
) -> SearchConfig:
    """The settings with another budget, and with what else is given.

    Args:
        config: The settings to begin with.
        steps: Steps of the search; None: as they are.
        entropy_weight: λ at the end of its schedule; None: as it is.
        changes: Other fields of SearchConfig.

    Example:
        >>> with_budget(preset("tiny").search, steps=20, entropy_weight=3.0).entropy_weight.end
        3.0
    """
    if steps is not None:
        changes["steps"] = steps
    if entropy_weight is not None:
        changes["entropy_weight"] = replace(
            config.entropy_weight, end=number("entropy_weight", entropy_weight)
        )
    return replace(config, **changes)
