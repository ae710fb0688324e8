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
from ..data.npz import listed
from ..data.open import (
    _must_be_labelled,
    open_data,
    samples,
)
from ..errors import ConfigError, DataError, RunError
from ..models.resnet import resnet18, resnet50
from ..models.traced import convnext_tiny, mobilenet_v3
from ..models.vgg import vgg16
from ..models.vit import vit
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


PRESETS = {
    "tiny": Preset(
        backbones={
            "vgg16": partial(vgg16, widths=(8, 16, 32, 64, 64), hidden=128, field=4, dropout=0.0),
            "resnet18": partial(resnet18, widths=(8, 16, 32, 64), hidden=128, field=4),
            "resnet50": partial(resnet50, widths=(4, 8, 16, 32), hidden=128, field=4),
            "vit": partial(vit, width=48, heads=3, patch=8, image_size=64, hidden=128),
            "mobilenet_v3": partial(mobilenet_v3, width=0.25, hidden=128),
            "convnext_tiny": partial(convnext_tiny, widths=(12, 24, 48, 96), hidden=128),
        },
        fusion=partial(NDDR, start=(0.9, 0.1)),
        pretrain=SearchConfig(steps=300, weight_lr=2e-3),
        # λ grows over 30–100 % of the run, so that the tasks are heard before edges lock in: data_samples/studies/gap-small has
        # λ = 3 and more close the gap (λ = 0 does not), no difference in score to a constant λ, and seeds that agree more
        search=SearchConfig(
            steps=500, weight_lr=1e-3, alpha_lr=0.02, entropy_weight=Schedule(10.0, 0.0, (0.3, 1.0))
        ),
        about="VGG-16's 13 stages at an eighth of its widths: 48 candidate edges, minutes on a laptop without GPU; "
        "what supports its schedule of λ: data_samples/studies/gap-small/report.md",
    ),
    "vgg16": Preset(
        backbones={
            "vgg16": vgg16,
            "resnet18": resnet18,
            "resnet50": resnet50,
            "vit": vit,
            "mobilenet_v3": mobilenet_v3,
            "convnext_tiny": convnext_tiny,
        },
        fusion=partial(NDDR, start=(1.0, 0.0)),
        pretrain=SearchConfig(
            steps=20001,
            batch_size=10,
            optimizer="sgd",
            weight_lr=1e-3,
            weight_decay=2.5e-4,
            lr_power=0.9,
            last_weight_lr_factor=10,
            last_bias_lr_factor=20,
        ),
        search=SearchConfig(
            steps=20001,
            batch_size=10,
            optimizer="sgd",
            weight_lr=1e-3,
            weight_decay=2.5e-4,
            lr_power=0.9,
            fusion_lr_factor=100,
            last_weight_lr_factor=10,
            last_bias_lr_factor=20,
            alpha_lr=1e-3,
            alpha_weight_decay=1e-3,
            entropy_weight=Schedule(10.0),
        ),
        about="VGG-16 DeepLab-LargeFOV as released, with the released settings (PAPERS.md 1.7): for a GPU",
    ),
}


def preset(name: str) -> Preset:
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def per_task(given: str | Mapping[str, str], tasks: Sequence[str], what: str) -> dict[str, str]:
    """{task: value} of "value" (for all tasks) or "task=value,…". Raises ConfigError for a task that is not there."""
    if isinstance(given, str):
        if "=" not in given:
            return dict.fromkeys(tasks, given) if given else {}
        given = dict(
            part.strip().split("=", 1) if "=" in part else (part, "") for part in given.split(",")
        )
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
    """The lab of a preset: freshly drawn networks (by `seed`) for these tasks of the data, α = 0.

    backbone: a name for all tasks, "resnet18", or for some, "segmentation=vgg16,normals=resnet18"; else the preset's own.
    """
    chosen = name if isinstance(name, Preset) else preset(name)
    if "train" not in data:
        raise DataError(f"there are no images to train on, only {listed(map(str, data))}")
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
    names = dict.fromkeys(made, next(iter(chosen.backbones))) | per_task(
        backbone, tuple(made), "backbone"
    )
    for task, wanted in names.items():
        if wanted not in chosen.backbones:
            raise ConfigError(
                f"there is no backbone {wanted!r} for {task}; choose one of {', '.join(chosen.backbones)}, or "
                "put networks of your own (zoo.staged) into a SuperNet"
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbones = {
            task: chosen.backbones[names[task]](outputs=t.channels, dense=t.dense)
            for task, t in made.items()
        }
        space = SearchSpace.build({task: net.plan for task, net in backbones.items()})
        fusion = fusion or (
            ResidualFusion if any(net.signed for net in backbones.values()) else chosen.fusion
        )
        supernet = SuperNet(backbones, space, fusion).to(
            memory_format=torch.channels_last
        )  # faster
    return Lab(made, supernet, ArchitectureWeights(len(space)), dict(data))


def tiny(
    data: Mapping[str, ImageDataset] | None = None,
    tasks: Sequence[str] | None = None,
    seed: int = 0,
) -> Lab:
    """The lab of the preset `tiny`, on the shipped rooms with their pretrained backbones if no data is given."""
    lab = make_lab("tiny", data or open_data(), tasks, seed)
    if data is None:
        load_backbones(lab)
    return lab


def load_backbones(
    lab: Lab, folder: Path | None = None, tasks: Sequence[str] | None = None
) -> None:
    """Put the shipped single-task weights of the rooms into the lab's backbones, all or those of `tasks`. Raises RunError
    where they do not fit."""
    from safetensors.torch import load_file

    folder = folder or samples() / "backbones"
    for task in lab.supernet.backbones if tasks is None else tasks:
        backbone = lab.supernet.backbones[task]
        path = folder / f"rooms_{task}.safetensors"
        if not path.is_file():
            raise RunError(
                f"no pretrained backbone for {task!r} is shipped ({path.name}); pretrain it (--pretrain-steps 300)"
            )
        try:
            backbone.load_state_dict(
                {
                    name: t.to(torch.float32) if t.is_floating_point() else t
                    for name, t in load_file(path).items()
                }
            )
        except RuntimeError as error:
            raise RunError(
                f"{path.name} is of another backbone: {str(error).splitlines()[-1].strip()}"
            ) from None


def quick(size: int, smoke: int) -> int:
    """`size`, or `smoke` where MTLNAS_LAB_FAST is set: how the tests run every notebook in seconds."""
    return smoke if os.environ.get("MTLNAS_LAB_FAST") else size


def with_budget(
    config: SearchConfig, steps: int | None = None, entropy_weight: float | None = None, **changes
) -> SearchConfig:
    """The settings with other steps, with λ's schedule ending in another value, and with what else is given."""
    if steps is not None:
        changes["steps"] = steps
    if entropy_weight is not None:
        changes["entropy_weight"] = replace(
            config.entropy_weight, end=number("entropy_weight", entropy_weight)
        )
    return replace(config, **changes)
