"""Single-task networks cut in stages: the part that the search keeps as it is.

"Fixed backbone" means fixed topology: its weights keep training in the search, nothing is frozen.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .errors import ConfigError
from .space import Plan, plan


class Backbone(nn.Module):
    """Stages in a row and a head. `plan` says of each stage how many channels it puts out and where it stands.

    forward: image (B, 3, H, W) -> the head's output, (B, outputs, h, w) for a dense task, (B, outputs) for an image task.
    """

    def __init__(self, stages: Sequence[nn.Module], plan: Plan, head: nn.Module):
        super().__init__()
        if len(stages) != len(plan):
            raise ConfigError(f"{len(stages)} stages and a plan of {len(plan)}; the plan has one entry for each stage")
        self.stages, self.plan, self.head = nn.ModuleList(stages), tuple(plan), head

    def forward(self, image: Tensor) -> Tensor:
        for stage in self.stages:
            image = stage(image)
        return self.head(image)


class Dropout(nn.Module):
    """Dropout whose masks come from an explicit generator (set `generator`; None: torch's global one)."""

    def __init__(self, share: float):
        super().__init__()
        self.share, self.generator = share, None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        keep = 1 - self.share
        return x * torch.empty_like(x).bernoulli_(keep, generator=self.generator).div_(keep)

    def extra_repr(self) -> str:
        return f"{self.share}"


def conv_bn_relu(inputs: int, outputs: int, size: int = 3, dilation: int = 1) -> list[nn.Module]:
    """Convolution that keeps the map's size, batch norm (eps 1e-3, momentum 0.05 as released), ReLU."""
    conv = nn.Conv2d(inputs, outputs, size, padding=dilation * (size // 2), dilation=dilation, bias=False)
    return [conv, nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.05), nn.ReLU(inplace=True)]


def halve() -> list[nn.Module]:
    """Max-pool 3, stride 2, after a zero column on the right and a zero row below (released code)."""
    return [nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, stride=2)]


def vgg16(outputs: int, dense: bool = True, widths: Sequence[int] = (64, 128, 256, 512, 512), hidden: int = 1024,
          field: int = 12, dropout: float = 0.5) -> Backbone:
    """VGG-16 DeepLab-LargeFOV with batch norm, 13 stages in groups [2, 2, 3, 3, 3] (PAPERS.md 1.1b).

    widths: channels of each group, or of each of the 13 stages. A group's pooling is part of its first stage, so maps inside a group agree in size;
    output stride 8. `field`: dilation of the head's 3×3 convolution. dense=False: image-level head (average, linear).
    """
    groups = (2, 2, 3, 3, 3)
    channels = list(widths) if len(widths) == 13 else [width for width, size in zip(widths, groups) for _ in range(size)]
    stages, inputs = [], 3
    for stage in plan(channels, groups):
        pool = [] if stage.group == 0 or stage.index else (
            halve() if stage.group < 4 else [nn.MaxPool2d(3, stride=1, padding=1)])
        stages.append(nn.Sequential(*pool, *conv_bn_relu(inputs, stage.channels, dilation=2 if stage.group == 4 else 1)))
        inputs = stage.channels
    if dense:
        head = [nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1, count_include_pad=False),
                *conv_bn_relu(inputs, hidden, dilation=field), Dropout(dropout),
                *conv_bn_relu(hidden, hidden, size=1), Dropout(dropout), nn.Conv2d(hidden, outputs, 1)]
    else:
        head = [*conv_bn_relu(inputs, hidden), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Dropout(dropout),
                nn.Linear(hidden, outputs)]
    for layer in head:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=1)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return Backbone(stages, plan(channels, groups), nn.Sequential(*head))
