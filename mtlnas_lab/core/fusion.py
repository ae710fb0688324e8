"""Fusion operations: what a node does with its own features and with what its edges bring.

F: (B, C, H, W), the node's own features; F_k: (B, C_k, H, W), the features of source k; z_k in [0, 1], its gate.
A source that is None is closed and costs nothing; gates None means that every source that is there is open (z = 1).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import FusionError

# weight of the own features, weight shared by the sources; None: random
Start = tuple[float, float] | None

# maps (B, C_k, H, W), and a 1×1 weight (C, ΣC_k, 1, 1) -> (B, C, H, W)
Product = Callable[[list[Tensor], Tensor], Tensor]


class Fusion(nn.Module):
    """A fusion operation for a node with `channels` channels and sources of `source_channels` channels."""

    def __init__(self, channels: int, source_channels: Sequence[int]):
        super().__init__()
        self.channels = channels
        self.source_channels = tuple(source_channels)
        # of each input column of W, the map that it reads: 0 the own, 1… a source
        of_map = [k for k, c in enumerate((channels, *source_channels)) for _ in range(c)]
        self.register_buffer("of_map", torch.tensor(of_map), persistent=False)

    def forward(
        self, own: Tensor, sources: Sequence[Tensor | None], gates: Tensor | None = None
    ) -> Tensor:
        """own (B, C, H, W), k sources (B, C_k, H, W) or None, gates (k,) or None -> (B, C, H, W)."""
        raise NotImplementedError

    def only(self, kept: Sequence[bool]) -> Fusion:
        """The same operation with the weights of the kept sources alone."""
        raise NotImplementedError

    def like(self, channels: int, source_channels: Sequence[int]) -> Fusion:
        """An operation of the same kind, with the same kind of start, for another node.

        Raises FusionError for an operation that has settings of its own and does not say how they are carried over.
        """
        settings = list(inspect.signature(type(self)).parameters)[2:]
        if settings and type(self).like is Fusion.like:
            raise FusionError(
                f"{type(self).__name__} has settings of its own ({', '.join(settings)}); define its method `like`, so "
                "that another node gets the same"
            )
        return type(self)(channels, source_channels)

    def _kept(self, weight: Tensor, kept: Sequence[bool]) -> Tensor:
        """The input columns (of a 1×1 weight, or of one row of gates) that belong to kept maps; `kept` counts the own
        features too, if W does."""
        channels = (self.channels, *self.source_channels)[-len(kept) :]
        return torch.cat([block for block, keep in zip(weight.split(channels, 1), kept) if keep], 1)


def sum_of_products(maps: list[Tensor], weight: Tensor) -> Tensor:
    """W·[F_1, F_2, …] = W_1·F_1 + W_2·F_2 + …

    Adding products up keeps no concatenation of the maps for the backward pass, which would be a third of what a search step
    keeps.
    """
    blocks = weight.split([x.shape[1] for x in maps], 1)
    out = F.conv2d(maps[0], blocks[0])
    for x, block in zip(maps[1:], blocks[1:]):
        out += F.conv2d(x, block)
    return out


def product_of_joined(maps: list[Tensor], weight: Tensor) -> Tensor:
    """The same as `sum_of_products` up to rounding, by one product with the concatenated maps."""
    joined = torch.cat(maps, 1) if len(maps) > 1 else maps[0]  # of one map, cat would make a copy
    return F.conv2d(joined, weight)


def gated_conv(
    maps: list[Tensor],
    weight: Tensor,
    gates: Tensor | None = None,
    product: Product = sum_of_products,
) -> Tensor:
    """1×1 convolution of the concatenated maps; gates: one for each input column of `weight`, or None for all 1.

    W·[z_1 F_1, z_2 F_2, …] = (W with its columns times z)·[F_1, F_2, …]: gating the weights gives the same function and
    keeps no gated copy of a feature map. product: how W and the maps are multiplied.
    """
    if gates is not None:
        weight = weight * gates.to(weight.dtype).view(1, -1, 1, 1)
    return product(maps, weight)


def identity_start(
    channels: int, source_channels: Sequence[int], own: float, others: float
) -> Tensor:
    """[own·I, others/k·I, …] as a 1×1 weight (C, ΣC, 1, 1): features pass, sources are mixed in a little."""
    blocks = [own * torch.eye(channels)]
    for width in source_channels:
        blocks.append(others / len(source_channels) * torch.eye(channels, width))
    return torch.cat(blocks, 1)[:, :, None, None]


class NDDR(Fusion):
    """O = ReLU(BN(W·[F, z_1 F_1, …, z_k F_k])), the fusion of MTL-NAS (released code; NDDR-CNN for one source).

    It is the identity only in evaluation and only nearly so: in training the batch norm normalises every map anew.

    Args:
        channels: C, of the node.
        source_channels: C_1 … C_k, of its sources.
        start: (w_t, w_o): W begins as w_t·I for the own features and w_o/k·I for each source; None: Kaiming (fan out).
        product: how W and the maps are multiplied.

    Example:
        >>> import torch
        >>> from mtlnas_lab import NDDR
        >>> fuse = NDDR(4, [4, 6])
        >>> own, first, second = torch.rand(1, 4, 8, 8), torch.rand(1, 4, 8, 8), torch.rand(1, 6, 8, 8)
        >>> fuse.eval()(own, [first, second], gates=torch.tensor([1.0, 0.5])).shape
        torch.Size([1, 4, 8, 8])
        >>> fuse(own, [first, None]).shape  # the second edge is closed
        torch.Size([1, 4, 8, 8])
    """

    def __init__(
        self,
        channels: int,
        source_channels: Sequence[int],
        start: Start = (0.9, 0.1),
        product: Product = sum_of_products,
    ):
        super().__init__(channels, source_channels)
        self.start = start
        self.product = product
        self.conv = nn.Conv2d(channels + sum(self.source_channels), channels, 1, bias=False)
        if start is None:
            nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        else:
            self.conv.weight.data.copy_(identity_start(channels, self.source_channels, *start))
        self.norm = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.05)

    def forward(
        self, own: Tensor, sources: Sequence[Tensor | None], gates: Tensor | None = None
    ) -> Tensor:
        maps = [own, *(s for s in sources if s is not None)]
        weight = self.conv.weight
        if gates is not None:
            gates = torch.cat([gates.new_ones(1), gates]).index_select(0, self.of_map)
        if len(maps) <= len(sources):  # without the columns of closed sources
            kept = [True, *(s is not None for s in sources)]
            weight = self._kept(weight, kept)
            gates = gates if gates is None else self._kept(gates[None], kept)[0]
        return F.relu_(self.norm(gated_conv(maps, weight, gates, self.product)))

    def only(self, kept: Sequence[bool]) -> NDDR:
        small = self.like(
            self.channels, [c for c, keep in zip(self.source_channels, kept) if keep]
        ).to(self.conv.weight)
        small.conv.weight.data.copy_(self._kept(self.conv.weight.detach(), [True, *kept]))
        small.norm.load_state_dict(self.norm.state_dict())
        return small.train(self.training)

    def like(self, channels: int, source_channels: Sequence[int]) -> NDDR:
        return NDDR(channels, source_channels, self.start, self.product)


class ResidualFusion(Fusion):
    """O = F + W·[z_1 F_1, …, z_k F_k], W = 0 at the start: exactly the single-task network (Aux-NAS).

    It has no norm and no activation, so that it is the identity in training too.

    Args:
        channels: C, of the node.
        source_channels: C_1 … C_k, of its sources.

    Example:
        >>> import torch
        >>> from mtlnas_lab import ResidualFusion
        >>> own, source = torch.rand(1, 4, 8, 8), torch.rand(1, 6, 8, 8)
        >>> torch.equal(ResidualFusion(4, [6])(own, [source]), own)
        True
    """

    def __init__(self, channels: int, source_channels: Sequence[int]):
        super().__init__(channels, source_channels)
        self.conv = nn.Conv2d(max(sum(self.source_channels), 1), channels, 1, bias=False)
        nn.init.zeros_(self.conv.weight)

    def forward(
        self, own: Tensor, sources: Sequence[Tensor | None], gates: Tensor | None = None
    ) -> Tensor:
        maps = [s for s in sources if s is not None]
        weight = self.conv.weight
        if not maps:
            return own
        if gates is not None:
            gates = gates.index_select(0, self.of_map[self.channels :] - 1)
        if len(maps) < len(sources):
            kept = [s is not None for s in sources]
            weight = self._kept(weight, kept)
            gates = gates if gates is None else self._kept(gates[None], kept)[0]
        return own + gated_conv(maps, weight, gates)

    def only(self, kept: Sequence[bool]) -> ResidualFusion:
        small = ResidualFusion(
            self.channels, [c for c, keep in zip(self.source_channels, kept) if keep]
        )
        if any(kept):
            small.conv.weight.data = self._kept(self.conv.weight.detach(), kept)
        return small.train(self.training)


class CrossStitch(Fusion):
    """O = a_0 F + Σ a_k z_k F_k with one learnt scalar for each map, no norm, no activation (released code's variant).

    Args:
        channels: C, of the node and of all its sources.
        source_channels: C … C, k times.
        start: (a_0, the sum of a_1 … a_k) at the start; None: (½, ½).

    Raises:
        FusionError: for a source with another number of channels.

    Example:
        >>> import torch
        >>> from mtlnas_lab import CrossStitch
        >>> own, source = torch.ones(1, 4, 8, 8), torch.zeros(1, 4, 8, 8)
        >>> CrossStitch(4, [4])(own, [source]).max().item()
        0.8999999761581421
    """

    def __init__(self, channels: int, source_channels: Sequence[int], start: Start = (0.9, 0.1)):
        super().__init__(channels, source_channels)
        if any(c != channels for c in self.source_channels):
            raise FusionError(
                f"cross-stitch adds maps up, but the node has {channels} channels and its sources have "
                f"{list(self.source_channels)}; use NDDR or ResidualFusion between unlike stages"
            )
        self.start = start
        own, others = start or (0.5, 0.5)
        count = len(source_channels)
        self.mix = nn.Parameter(torch.tensor([own] + [others / max(count, 1)] * count))

    def forward(
        self, own: Tensor, sources: Sequence[Tensor | None], gates: Tensor | None = None
    ) -> Tensor:
        out = self.mix[0] * own
        for k, source in enumerate(sources):
            if source is None:
                continue
            weight = self.mix[k + 1] if gates is None else self.mix[k + 1] * gates[k]
            out = out + weight * source
        return out

    def only(self, kept: Sequence[bool]) -> CrossStitch:
        small = CrossStitch(
            self.channels, [c for c, keep in zip(self.source_channels, kept) if keep]
        )
        small.mix.data = self.mix.detach()[[True, *kept]].clone()
        return small.train(self.training)

    def like(self, channels: int, source_channels: Sequence[int]) -> CrossStitch:
        return CrossStitch(channels, source_channels, self.start)
