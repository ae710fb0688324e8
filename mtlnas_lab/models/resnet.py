"""ResNet-18 and ResNet-50, cut in stages."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .._compat import torchvision
from ..core.backbone import Backbone, channel_counts
from ..core.space import plan
from .layers import head


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
    block = getattr(torchvision().models.resnet, block)
    inputs = widths[0]
    stem = {"conv1": nn.Conv2d(3, inputs, 7, 2, 3, bias=False), "bn1": nn.BatchNorm2d(inputs)}
    theirs = dict(stem)  # torchvision's names of the layers
    stages = []
    channels = []  # that each stage puts out
    for group, (width, size) in enumerate(zip(widths, groups)):
        for index in range(size):
            stride = 2 if group > 0 and index == 0 else 1
            channels.append(width * block.expansion)
            short = _shortcut(inputs, channels[-1], stride)
            stage = block(inputs, width, stride, short)
            theirs[f"layer{group + 1}.{index}"] = stage
            if (
                dense and group > 1
            ):  # the last two groups: a dense map keeps 1/8 of the image's side
                dilate(stage, rate=2 ** (group - 1), first=index == 0)
            stages.append(stage)
            inputs = channels[-1]
    # As torchvision begins them. The head below has a start of its own.
    for layer in nn.Sequential(*stem.values(), *stages).modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    pooled = [*stem.values(), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    stages[0] = nn.Sequential(*pooled, stages[0])
    if not dense:
        hidden = 0  # torchvision's own head for images has no hidden layer
    last = head(inputs, outputs, dense, hidden, field, dropout)
    return Backbone(stages, plan(channels, (0, *groups)), last, kind=kind, theirs=theirs)


def _shortcut(inputs: int, channels: int, stride: int) -> nn.Module | None:
    """What goes by a block: the map as it is (None), or brought to the block's channels and size."""
    if stride == 1 and inputs == channels:
        return None
    conv = nn.Conv2d(inputs, channels, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


def dilate(block: nn.Module, rate: int, first: bool) -> None:
    """In place: no stride, and convolutions wider than one pixel dilated by `rate`, so that they see what they saw; by half
    of it in the block that would have halved the map (as torchvision does)."""
    if first:
        rate = rate // 2
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
            if layer.kernel_size != (1, 1):
                layer.dilation = (rate, rate)
                layer.padding = tuple(rate * (size // 2) for size in layer.kernel_size)
