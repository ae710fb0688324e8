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

from .._compat import torchvision
from ..core.backbone import WIDEST, Backbone, Dropout, channel_counts, step
from ..core.space import plan
from ..errors import ConfigError
from ..values import whole
from .layers import head

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
    x, carry, maps = torch.randn(2, 3, size, size, generator=generator), (), []
    stages.eval()
    for cut, stage in zip(cuts, stages):
        try:
            x, carry = step(stage, x, carry)
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
