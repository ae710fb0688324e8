"""Networks to search between, cut in stages: residual networks, a vision transformer, mobile ones, and any module of yours.

All are torchvision's own modules where it has them, so its weights load by its own names (`weights.load_weights`).

Groups of unlike networks line up by their number, since candidate edges stay inside a group. Papers count them alike:
VGG-16 has conv1 … conv5, a residual network conv2 … conv5 behind its stem, and so group 0 is VGG's alone. The four
quarters of a transformer and the four stages of a ConvNeXt are numbered 1 to 4 as well; MobileNetV3 has one group for
each of its five resolutions. Where two maps of a group differ in size, the supernet resizes the one that is brought.

Dense tasks get dilated networks (a residual network keeps 1/8 of the image's side); image tasks get them as they are.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._torchvision import torchvision
from .backbones import WIDEST, Backbone, Dropout, channel_counts, head, step
from .errors import ConfigError
from .space import plan
from .values import whole

IN_PLACE = [  # what Python makes of +=, -=, …
    getattr(operator, f"i{name}")
    for name in [
        "add",
        "sub",
        "mul",
        "matmul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
    ]
]


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


# --- vision transformer -----------------------------------------------------------------------------------------------
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
    width, heads = whole("width", width, 1, WIDEST), whole("heads", heads, 1, WIDEST)
    patch, outputs = whole("patch", patch, 1, WIDEST), whole("outputs", outputs, 1, WIDEST)
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
    blocks = list(net.encoder.layers)
    stages = [
        Patches(net.conv_proj, net.class_token, net.encoder.pos_embedding, blocks[0]),
        *map(Block, blocks[1:]),
    ]
    last = (
        head(width, outputs, True, hidden, field, dropout)
        if dense
        else nn.Sequential(Dropout(dropout), nn.Linear(2 * width, outputs))
    )
    return Backbone(
        stages,
        plan([width] * len(stages), groups),
        TokenHead(net.encoder.ln, last, dense),
        signed=True,
        kind={(768, 12, 16): "vit_b_16", (768, 12, 32): "vit_b_32"}.get((width, heads, patch), ""),
        theirs={"conv_proj": net.conv_proj, "class_token": net.class_token, "encoder": net.encoder},
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
        self.conv, self.token, self.position, self.block = conv, token, position, Block(block)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        patch, grid = self.conv.kernel_size[0], round((self.position.shape[1] - 1) ** 0.5)
        filled = [(side + patch - 1) // patch * patch for side in image.shape[-2:]]  # whole patches
        x = self.conv(
            F.interpolate(image, filled, mode="bilinear", align_corners=False)
        )  # exact where they are
        place = self.position[:, 1:].unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
        place = F.interpolate(place, x.shape[-2:], mode="bicubic", align_corners=False)
        return self.block(x + place, (self.token + self.position[:, :1]).expand(x.shape[0], -1, -1))


class TokenHead(nn.Module):
    """Layer norm over the channels of map and class token, and a head of the one (dense) or of both."""

    def __init__(self, norm: nn.Module, last: nn.Module, dense: bool):
        super().__init__()
        self.norm, self.dense, self.last = norm, dense, last

    def forward(self, x: Tensor, token: Tensor) -> Tensor:
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.last(
            x if self.dense else torch.cat([self.norm(token[:, 0]), x.mean((2, 3))], 1)
        )


# --- any module -------------------------------------------------------------------------------------------------------
def mobilenet_v3(outputs: int, dense: bool = True, width: float = 1.0, **settings) -> Backbone:
    """MobileNetV3-Large, a stage for each of its 15 blocks, a group for each resolution; `width` multiplies its channels."""
    net = torchvision().models.mobilenet_v3_large(width_mult=width, dilated=dense)
    return staged(
        net,
        [*(f"features.{block}" for block in range(1, 15)), "features.16"],
        outputs,
        dense,
        (1, 2, 3, 6, 3),
        kind="mobilenet_v3_large",
        **settings,
    )


def convnext_tiny(
    outputs: int, dense: bool = True, widths: Sequence[int] = (96, 192, 384, 768), **settings
) -> Backbone:
    """ConvNeXt-T, a stage for each of its 18 blocks: groups of 3, 3, 9, 3. Not dilated: its last maps are 1/32 of a side."""
    made, blocks = torchvision().models.convnext, (3, 3, 9, 3)
    widths = channel_counts("widths", widths, (4,))
    net = made.ConvNeXt(
        [made.CNBlockConfig(*setting) for setting in zip(widths, [*widths[1:], None], blocks)]
    )
    cuts = [
        f"features.{2 * group + 1}.{index}"
        for group, size in enumerate(blocks)
        for index in range(size)
    ]
    return staged(net, cuts, outputs, dense, (0, *blocks), kind="convnext_tiny", **settings)


def staged(
    module: nn.Module,
    cuts: Sequence[str],
    outputs: int,
    dense: bool = True,
    groups: Sequence[int] | None = None,
    hidden: int = 256,
    field: int = 1,
    dropout: float = 0.0,
    size: int = 64,
    kind: str = "",
) -> Backbone:
    """Any network that torch.fx can trace as a backbone: a stage ends behind each of `cuts`, and a head follows the last.

    cuts: names as `torchvision.models.feature_extraction.get_graph_node_names(module)` has them, or of submodules, as in
    ["layer1.0", "layer1.1"]; what the module does behind the last one (its classifier) is left out. Whatever else crosses
    a cut, such as a skip connection, goes on beside the map and is not fused. groups: their sizes; None: stages of one
    resolution make a group. Channels and sizes come from a dry run with images of `size` pixels a side.

    The module's weights are shared, not copied. Raises ConfigError where it cannot be traced, for cuts that are not there
    or not in order, and where a cut gives no map.
    """
    size = whole("size", size, 1, WIDEST)
    graph, nodes = _traced(module, cuts)
    stages = [_part(module, list(graph.nodes), nodes[: number + 1]) for number in range(len(nodes))]
    for part in {id(m): m for stage in stages for m in stage.modules()}.values():
        for name, child in part.named_children():
            if type(child) is nn.Dropout:
                setattr(part, name, Dropout(child.p))  # drawn by the search's generator
    channels, sides, signed = _measured(nn.ModuleList(stages), cuts, size)
    groups = [len(list(same)) for _, same in groupby(sides)] if groups is None else groups
    groups = [whole("groups", size, 0, WIDEST) for size in groups]
    last = head(channels[-1], outputs, dense, hidden if dense else 0, field, dropout)
    return Backbone(stages, plan(channels, groups), last, signed, kind, theirs={"": module})


def _traced(module: nn.Module, cuts: Sequence[str]):
    """The graph of a module up to its last cut, and the node of each cut."""
    torchvision()
    from torchvision.models import feature_extraction as extraction

    name, training = type(module).__name__, module.training
    try:
        names, in_use = extraction.get_graph_node_names(module, suppress_diff_warning=True)
        wrong = [
            cut for cut in cuts if not any(f"{found}.".startswith(f"{cut}.") for found in names)
        ]
        if names == in_use and (wrong or not cuts):
            near = difflib.get_close_matches(wrong[0], names, 3, 0.4) if wrong else ()
            raise ConfigError(
                f"{name} has nothing to cut behind called {wrong or 'so'}; it has names such as "
                f"{', '.join(near or names[1:5])} (all: torchvision's get_graph_node_names)"
            )
        traced = names == in_use and extraction.create_feature_extractor(
            module, list(cuts), suppress_diff_warning=True
        )
        lost = _lost(extraction.NodePathTracer().trace(module), module)
    except ConfigError:
        raise
    except Exception as error:  # whatever the module's own code raises when it is traced
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"torch.fx cannot trace {name} ({reason}); {_by_hand(module)}") from None
    finally:
        module.train(training)
    if not traced or str(traced.train().graph) != str(traced.eval().graph):
        raise ConfigError(
            f"{name} takes other paths in training than in use, by its Python code; {_by_hand(module)}"
        )
    if lost:
        raise ConfigError(
            f"{name} changes a map in place by {lost} and then reads the map under its old name, which torch.fx "
            f"does not follow; write y = …, and read y; or {_by_hand(module)}"
        )
    module.train(training)
    found = next(node for node in traced.graph.nodes if node.op == "output").args[0]
    order, nodes = list(traced.graph.nodes), [found[cut] for cut in cuts]
    if sorted(set(nodes), key=order.index) != nodes:
        raise ConfigError(
            f"the cuts {', '.join(cuts)} are not in the order of computation, or one occurs twice"
        )
    return traced.graph, nodes


def _lost(graph: torch.fx.Graph, module: nn.Module) -> str:
    """An operation in place whose result nobody reads: tracing leaves it out as if it did nothing. "" where there is none."""
    for node in graph.nodes:
        if node.op == "call_module":
            in_place = getattr(module.get_submodule(node.target), "inplace", False)
        elif node.op in ("call_method", "call_function"):
            name = getattr(node.target, "__name__", str(node.target))
            named = name.endswith("_") and not name.endswith("__")
            in_place = named or node.kwargs.get("inplace") or node.target in IN_PLACE
        else:
            in_place = False
        if in_place and not node.users:
            return node.name
    return ""


def _by_hand(module: nn.Module) -> str:
    """What to do with a network that cannot be cut by itself."""
    names = [name for name, _ in module.named_children()]
    if any("aux" in name.lower() for name in names):
        return "make it without its auxiliary heads, in torchvision aux_logits=False, and cut that"
    return (
        f"cut it by hand: stages are modules that take a map (B, C, h, w) and give one, made of its parts "
        f"({', '.join(names[:4])}), with maps of (B, h, w, C), as in Swin, permuted on both sides; then "
        "Backbone(stages, plan(channels, groups), head)"
    )


def _part(module: nn.Module, order: list, cuts: list) -> torch.fx.GraphModule:
    """The stage that ends behind the last of `cuts`: takes the map of the cut before it, and what else passes there."""
    start, stop = order.index(cuts[-2]) + 1 if len(cuts) > 1 else 1, order.index(cuts[-1])
    place = {node: number for number, node in enumerate(order)}

    def passing(at):  # what is made by then, and needed afterwards
        return [
            node
            for node in order[: at + 1]
            if any(place[user] > at and user.op != "output" for user in node.users)
        ]

    comes = (
        [node for node in passing(start - 1) if node is not order[start - 1]]
        if len(cuts) > 1
        else []
    )
    goes = [node for node in passing(stop) if node is not cuts[-1]]
    graph = torch.fx.Graph()
    there = {order[start - 1]: graph.placeholder("x")} | {
        node: graph.placeholder(node.name) for node in comes
    }
    for node in order[start : stop + 1]:
        there[node] = graph.node_copy(node, there.__getitem__)
    out = there[cuts[-1]]
    graph.output((out, *(there[node] for node in goes)) if goes else out)
    return torch.fx.GraphModule(module, graph)


@torch.no_grad()
def _measured(
    stages: nn.ModuleList, cuts: Sequence[str], size: int
) -> tuple[list[int], list, bool]:
    """Channels and size of each stage's map, and whether any has negative values."""
    training, generator = stages.training, torch.Generator().manual_seed(0)
    x, beside, maps = torch.randn(2, 3, size, size, generator=generator), (), []
    stages.eval()
    for cut, stage in zip(cuts, stages):
        try:
            x, beside = step(stage, x, beside)
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"the stage that ends behind {cut} cannot take images of {size} × {size} pixels ({reason}); "
                "give a size that the network takes, as in size=224"
            ) from None
        if not isinstance(x, Tensor) or x.ndim != 4:
            found = getattr(x, "shape", type(x).__name__)
            raise ConfigError(
                f"behind {cut} there is no feature map (B, C, h, w) but {found}; cut where there is one "
                "(of a transformer's tokens zoo.vit makes maps)"
            )
        maps.append(x)
    stages.train(training)
    return (
        [x.shape[1] for x in maps],
        [x.shape[-2:] for x in maps],
        any((x < 0).any().item() for x in maps),
    )
