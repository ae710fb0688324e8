"""A planted dependency: one bit of a label that stands in one stage's features of a frozen partner, and nowhere else.

The bit is drawn for each image and stamped on its corner. The partner's network takes the corner off before it looks, and
each of its stages computes its features from the rest of the image, so that no stage hands anything on; only the stage
`BIT_STAGE` writes the bit into its first channel. The other task's network sees noise. Of all candidate edges one is
useful, which is known by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.backbone import Backbone
from ..core.space import Plan
from ..data.dataset import ImageDataset

READER = "room"  # the task whose label is the bit
PARTNER = "normals"  # the task whose network has it
BIT_STAGE = 1  # of the partner
CORNER = 2  # pixels of the stamp, height and width
BRIGHTNESS = (127.5, 100.0)  # of the stamp: in the middle, and how far a bit moves it
ANSWERS = ("no", "yes")


def with_bit(pack: ImageDataset, signal: float, seed: int) -> ImageDataset:
    """The images with a stamp, and its bit as the label of READER.

    The stamp shows signal · b + (1 − signal) · u with the bit b and a coin u, both −1 or 1: at signal 0 it says nothing of
    the label.

    Args:
        pack: The images, with labels of PARTNER.
        signal: From 0 to 1.
        seed: Draws bits and coins.
    """
    generator = torch.Generator().manual_seed(seed)
    bits, coins = torch.randint(0, 2, (2, len(pack)), generator=generator)
    shown = signal * _signs(bits) + (1 - signal) * _signs(coins)
    middle, reach = BRIGHTNESS
    images = pack.images.clone()
    stamps = (middle + reach * shown).round().byte()
    images[:, :, :CORNER, :CORNER] = stamps.view(-1, 1, 1, 1)
    targets = dict(pack.targets) | {READER: bits}
    labels = dict(pack.labels) | {READER: ANSWERS}
    return replace(pack, images=images, targets=targets, labels=labels)


def _signs(zeros_and_ones: Tensor) -> Tensor:
    return 2.0 * zeros_and_ones - 1


class PartnerStage(nn.Module):
    """One stage of the partner: frozen features of the image, whatever the stage before it found.

    Args:
        channels: Of its map.
        stride: Pixels of the image to one of the map.
        writes_bit: Whether its first channel is the bit.
        last: Whether the head comes next.
    """

    def __init__(self, channels: int, stride: int, writes_bit: bool, last: bool):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.stride = stride
        self.writes_bit = writes_bit
        self.last = last
        self.requires_grad_(False)

    def forward(self, x: Tensor, image: Tensor | None = None, bit: Tensor | None = None):
        if image is None:  # the first stage
            bit = x[:, :1, :1, :1]
            image = F.pad(x[:, :, CORNER:, CORNER:], (CORNER, 0, CORNER, 0))
        features = F.relu(self.conv(F.avg_pool2d(image, self.stride)))
        if self.writes_bit:
            written = bit.expand(-1, 1, *features.shape[-2:])
            features = torch.cat([written, features[:, 1:]], 1)
        if self.last:
            return features
        return features, image, bit


def partner(described: Plan, strides: Sequence[int], head: nn.Module) -> Backbone:
    """The partner's network: frozen stages, a head that learns."""
    stages = []
    last = len(described) - 1
    for number, (stage, stride) in enumerate(zip(described, strides)):
        stages.append(PartnerStage(stage.channels, stride, number == BIT_STAGE, number == last))
    return Backbone(stages, described, head)


def useful_edge() -> str:
    """The one edge that brings the bit."""
    return f"{PARTNER}:{BIT_STAGE} -> {READER}:{BIT_STAGE}"
