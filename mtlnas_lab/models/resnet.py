"""ResNet-18 and ResNet-50, cut in stages."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .._compat import torchvision
from ..core.backbone import Backbone, channel_counts
from ..core.space import plan
from .layers import head


# --- residual networks ------------------------------------------------------------------------------------------------
def resnet18(
    outputs: int,
    dense: bool = True,
    widths: Sequence[int] = (64, 128, 256, 512),
    hidden: int = 512,
    field: int = 12,
    dropout: float = 0.0,
) -> Backbone:
    """ResNet-18, a stage for each of its 8 blocks: groups of 2, 2, 2, 2. `widths`: channels of each group."""
    return _resnet(
        "resnet18", "BasicBlock", (2, 2, 2, 2), outputs, dense, widths, hidden, field, dropout
    )


def resnet50(
    outputs: int,
    dense: bool = True,
    widths: Sequence[int] = (64, 128, 256, 512),
    hidden: int = 512,
    field: int = 12,
    dropout: float = 0.0,
) -> Backbone:
    """ResNet-50, a stage for each of its 16 blocks: groups of 3, 4, 6, 3; 72 candidate edges between two (PAPERS.md 1.1).
    `widths`: channels of a group's 3×3 convolutions; its blocks put out four times as many."""
    return _resnet(
        "resnet50", "Bottleneck", (3, 4, 6, 3), outputs, dense, widths, hidden, field, dropout
    )


def _resnet(kind, block, groups, outputs, dense, widths, hidden, field, dropout) -> Backbone:
    widths = channel_counts("widths", widths, (4,))
    block, inputs = getattr(torchvision().models.resnet, block), widths[0]
    stem = {"conv1": nn.Conv2d(3, inputs, 7, 2, 3, bias=False), "bn1": nn.BatchNorm2d(inputs)}
    stages, theirs = [], dict(stem)
    for group, (width, size) in enumerate(zip(widths, groups)):
        for index in range(size):
            stride, channels = 2 if group and not index else 1, width * block.expansion
            short = (
                None
                if (stride, inputs) == (1, channels)
                else nn.Sequential(
                    nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
                )
            )
            stage = theirs[f"layer{group + 1}.{index}"] = block(inputs, width, stride, short)
            if dense and group > 1:
                dilate(stage, rate=2 ** (group - 1), first=index == 0)
            stages.append(stage)
            inputs = channels
    for layer in nn.Sequential(*stem.values(), *stages).modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    stages[0] = nn.Sequential(
        *stem.values(), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1), stages[0]
    )
    channels = [width * block.expansion for width, size in zip(widths, groups) for _ in range(size)]
    last = head(inputs, outputs, dense, hidden if dense else 0, field, dropout)
    return Backbone(stages, plan(channels, (0, *groups)), last, kind=kind, theirs=theirs)


def dilate(block: nn.Module, rate: int, first: bool) -> None:
    """In place: no stride, and convolutions wider than one pixel dilated by `rate`, so that they see what they saw; by half
    of it in the block that would have halved the map (as torchvision does)."""
    rate = rate // 2 if first else rate
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
            if layer.kernel_size != (1, 1):
                layer.dilation, layer.padding = (
                    (rate, rate),
                    tuple(rate * (size // 2) for size in layer.kernel_size),
                )
