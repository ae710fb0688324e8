"""VGG-16 as the released code cuts it, in any width."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..core.backbone import Backbone, channel_counts
from ..core.space import plan
from .layers import conv_bn_relu, head


def halve() -> list[nn.Module]:
    """Max-pool 3, stride 2, after a zero column on the right and a zero row below (released code)."""
    return [nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, stride=2)]


def vgg16(
    outputs: int,
    dense: bool = True,
    widths: Sequence[int] = (64, 128, 256, 512, 512),
    hidden: int = 1024,
    field: int = 12,
    dropout: float = 0.5,
) -> Backbone:
    """VGG-16 DeepLab-LargeFOV with batch norm, 13 stages in groups [2, 2, 3, 3, 3] (PAPERS.md 1.1b).

    widths: channels of each group, or of each of the 13 stages. A group's pooling is part of its first stage, so that maps
    inside a group agree in size; output stride 8. `field`: dilation of the head's 3×3 convolution. dense=False: image-level
    head (average, linear).
    """
    groups = (2, 2, 3, 3, 3)
    channels = channel_counts("widths", widths, (5, 13))
    if len(channels) == 5:
        channels = [width for width, size in zip(channels, groups) for _ in range(size)]
    stages = []
    theirs = {}  # torchvision's names of the layers that it has, too
    inputs = 3
    for number, stage in enumerate(plan(channels, groups)):
        dilation = 1
        pooling = halve()
        if stage.group == 4:  # the last one keeps the resolution, and looks twice as far instead
            dilation = 2
            pooling = [nn.MaxPool2d(3, stride=1, padding=1)]
        if stage.group == 0 or stage.index > 0:
            pooling = []
        layers = conv_bn_relu(inputs, stage.channels, dilation=dilation)
        place = 3 * number + stage.group  # vgg16_bn has three layers a stage, and pools a group
        theirs[f"features.{place}"] = layers[0]
        theirs[f"features.{place + 1}"] = layers[1]
        stages.append(nn.Sequential(*pooling, *layers))
        inputs = stage.channels
    pools = [nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1, count_include_pad=False)]
    return Backbone(
        stages,
        plan(channels, groups),
        head(inputs, outputs, dense, hidden, field, dropout, pools),
        kind="vgg16_bn",
        theirs=theirs,
    )
