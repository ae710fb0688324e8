"""Layers that several networks are made of."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..core.backbone import WIDEST, Dropout
from ..values import whole


def conv_bn_relu(inputs: int, outputs: int, size: int = 3, dilation: int = 1) -> list[nn.Module]:
    """Convolution that keeps the map's size, batch norm (eps 1e-3, momentum 0.05 as released), ReLU."""
    # No bias: the batch norm behind it would take it off again.
    conv = nn.Conv2d(
        inputs, outputs, size, padding=dilation * (size // 2), dilation=dilation, bias=False
    )
    return [conv, nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.05), nn.ReLU(inplace=True)]


def head(
    inputs: int,
    outputs: int,
    dense: bool,
    hidden: int,
    field: int = 1,
    dropout: float = 0.0,
    before: Sequence[nn.Module] = (),
) -> nn.Sequential:
    """A head that ends in `outputs` channels. Dense: 3×3 convolution with dilation `field` to `hidden` channels, 1×1 to as
    many, 1×1 (LargeFOV). Image: 3×3 convolution to `hidden` channels (0: none), average, linear. `before`: what comes first.
    """
    outputs = whole("outputs of a head", outputs, 1, WIDEST)
    hidden = whole("hidden", hidden, 0, WIDEST)
    field = whole("field", field, 1, WIDEST)
    last = hidden or inputs
    layers = []
    if dense:
        layers += before
        layers += conv_bn_relu(inputs, last, dilation=field)
        layers.append(Dropout(dropout))
        layers += conv_bn_relu(last, last, size=1)
        layers += [Dropout(dropout), nn.Conv2d(last, outputs, 1)]
    else:
        if hidden:
            layers += conv_bn_relu(inputs, hidden)
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        layers += [Dropout(dropout), nn.Linear(last, outputs)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            # Var(w) = 1 / inputs: a map keeps its size through a layer (released code).
            nn.init.kaiming_normal_(layer.weight, a=1)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
