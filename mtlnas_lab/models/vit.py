"""A vision transformer, cut in stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._compat import torchvision
from ..core.backbone import WIDEST, Backbone, Dropout
from ..core.space import plan
from ..errors import ConfigError
from ..values import whole
from .layers import head

PUBLISHED = {  # (width, heads, patch) of the networks that torchvision has weights of
    (768, 12, 16): "vit_b_16",
    (768, 12, 32): "vit_b_32",
}


def vit(
    outputs: int,
    dense: bool = True,
    width: int = 768,
    heads: int = 12,
    patch: int = 16,
    image_size: int = 224,
    groups: Sequence[int] = (0, 3, 3, 3, 3),
    hidden: int = 512,
    field: int = 1,
    dropout: float = 0.0,
) -> Backbone:
    """ViT-B/16, a stage for each of its 12 blocks, in groups of 3 (as Aux-NAS has them): 48 candidate edges between two.

    Fusion sees a stage's patch tokens as a map (B, width, h, w); the class token goes by it, untouched, to the next block.
    A dense head reads the map, an image head the class token and the mean of the patch tokens. Images of any size:
    position embeddings, learnt for `image_size`, are resized; an image that patches do not fill is enlarged until they do.
    """
    width = whole("width", width, 1, WIDEST)
    heads = whole("heads", heads, 1, WIDEST)
    patch = whole("patch", patch, 1, WIDEST)
    outputs = whole("outputs", outputs, 1, WIDEST)
    groups = [whole("groups", size, 0, WIDEST) for size in groups]
    image_size = whole("image_size", image_size, 1, WIDEST)
    if width % heads or image_size % patch:
        raise ConfigError(
            f"a transformer of width {width} with {heads} heads, and of images of {image_size} pixels in patches of "
            f"{patch}: the first must be a multiple of the second, both times"
        )
    net = torchvision().models.VisionTransformer(
        image_size, patch, sum(groups), heads, width, 4 * width
    )
    first, *others = net.encoder.layers
    stages = [Patches(net.conv_proj, net.class_token, net.encoder.pos_embedding, first)]
    stages += [Block(block) for block in others]
    if dense:
        last = head(width, outputs, True, hidden, field, dropout)
    else:
        last = nn.Sequential(Dropout(dropout), nn.Linear(2 * width, outputs))
    theirs = {
        "conv_proj": net.conv_proj,
        "class_token": net.class_token,
        "encoder": net.encoder,
    }
    return Backbone(
        stages,
        plan([width] * len(stages), groups),
        TokenHead(net.encoder.ln, last, dense),
        signed=True,  # tokens are not behind a ReLU
        kind=PUBLISHED.get((width, heads, patch), ""),
        theirs=theirs,
    )


class Block(nn.Module):
    """One block of a transformer between two maps: (B, C, h, w) and the class token (B, 1, C) in, both out."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.block(torch.cat([token, x.flatten(2).transpose(1, 2)], 1))  # (B, 1 + h·w, C)
        return tokens[:, 1:].unflatten(1, x.shape[-2:]).permute(0, 3, 1, 2), tokens[:, :1]


class Patches(nn.Module):
    """The first stage: an image (B, 3, H, W) in patches, the class token, positions, and the first block."""

    def __init__(
        self, conv: nn.Conv2d, token: nn.Parameter, position: nn.Parameter, block: nn.Module
    ):
        super().__init__()
        self.conv = conv
        self.token = token
        self.position = position  # (1, 1 + places, C); the first belongs to the class token
        self.block = Block(block)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        patch = self.conv.kernel_size[0]
        # Up to whole patches, in arithmetic that torch.export follows for free sizes. Where they are whole already,
        # bilinear interpolation changes nothing.
        filled = [(side + patch - 1) // patch * patch for side in image.shape[-2:]]
        image = F.interpolate(image, filled, mode="bilinear", align_corners=False)
        x = self.conv(image)
        grid = round((self.position.shape[1] - 1) ** 0.5)
        place = self.position[:, 1:].unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
        place = F.interpolate(place, x.shape[-2:], mode="bicubic", align_corners=False)
        token = self.token + self.position[:, :1]
        return self.block(x + place, token.expand(x.shape[0], -1, -1))


class TokenHead(nn.Module):
    """Layer norm over the channels of map and class token, and a head of the one (dense) or of both."""

    def __init__(self, norm: nn.Module, last: nn.Module, dense: bool):
        super().__init__()
        self.norm = norm
        self.dense = dense
        self.last = last

    def forward(self, x: Tensor, token: Tensor) -> Tensor:
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if self.dense:
            return self.last(x)
        return self.last(torch.cat([self.norm(token[:, 0]), x.mean((2, 3))], 1))
