"""Networks to search between, cut in stages: residual networks, a vision transformer, mobile ones, and any module of yours.

All are torchvision's own modules where it has them, so its weights load by its own names (`pretrained.load_weights`).

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
from ..core.backbone import WIDEST, Backbone, Dropout, channel_counts, run_stages
from ..core.evaluate import evaluating
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
    convnext = torchvision().models.convnext
    blocks = (3, 3, 9, 3)
    widths = channel_counts("widths", widths, (4,))
    settings_of_groups = []
    cuts = []
    for group, size in enumerate(blocks):
        following = None  # channels that the group hands on to
        if group < 3:
            following = widths[group + 1]
        settings_of_groups.append(convnext.CNBlockConfig(widths[group], following, size))
        cuts += [f"features.{2 * group + 1}.{index}" for index in range(size)]
    net = convnext.ConvNeXt(settings_of_groups)
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
    """Cut any network that torch.fx can trace into a backbone: a stage ends behind each of `cuts`, a head follows the last.

    The module's weights are shared, not copied. Whatever else crosses a cut, such as a skip connection, goes on beside the
    map and is not fused.

    Args:
        module: Takes an image (B, 3, H, W).
        cuts: Names as `torchvision.models.feature_extraction.get_graph_node_names(module)` has them, or of submodules, as
            in ["layer1.0", "layer1.1"], in the order of computation. What the module does behind the last one (its
            classifier) is left out.
        outputs: Channels of the head.
        dense: Whether the head answers at every pixel, or once for the image.
        groups: Sizes of the groups of stages; None: stages of one resolution make a group.
        hidden: Channels inside a dense head.
        field: Dilation of its 3×3 convolution.
        dropout: Probability that its channels are dropped.
        size: Height and width of the images with which channels and sizes are measured, in pixels.
        kind: Name of the network in torchvision, if its weights may be loaded.

    Returns:
        The backbone.

    Raises:
        ConfigError: where the module cannot be traced, for cuts that are not there or not in order, and where a cut gives
            no map.

    Example:
        >>> from torch import nn
        >>> from mtlnas_lab.models.traced import staged
        >>> first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        >>> second = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU())
        >>> backbone = staged(nn.Sequential(first, second), ["0", "1"], outputs=5, hidden=16)
        >>> [(stage.channels, stage.group) for stage in backbone.plan]
        [(8, 0), (16, 1)]
    """
    size = whole("size", size, 1, WIDEST)
    graph, nodes = _traced(module, cuts)
    stages = [_part(module, list(graph.nodes), nodes[: number + 1]) for number in range(len(nodes))]
    for part in nn.ModuleList(stages).modules():  # each once, also where stages share it
        for name, child in part.named_children():
            if type(child) is nn.Dropout:
                setattr(part, name, Dropout(child.p))  # drawn by the search's generator
    maps = _measured(nn.ModuleList(stages), cuts, size)
    channels = [x.shape[1] for x in maps]
    signed = any((x < 0).any().item() for x in maps)
    if groups is None:
        groups = [len(list(same)) for _, same in groupby(maps, key=lambda x: x.shape[-2:])]
    groups = [whole("groups", size, 0, WIDEST) for size in groups]
    if not dense:
        hidden = 0
    last = head(channels[-1], outputs, dense, hidden, field, dropout)
    return Backbone(stages, plan(channels, groups), last, signed, kind, theirs={"": module})


def _traced(module: nn.Module, cuts: Sequence[str]):
    """The graph of a module up to its last cut, and the node of each cut."""
    torchvision()
    from torchvision.models import feature_extraction as extraction

    name = type(module).__name__
    training = module.training
    traced = None  # stays so where training and use compute different things
    try:
        names, in_use = extraction.get_graph_node_names(module, suppress_diff_warning=True)
        if names == in_use:
            _must_have(names, cuts, name)
            traced = extraction.create_feature_extractor(
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
    if traced is None or str(traced.train().graph) != str(traced.eval().graph):
        raise ConfigError(
            f"{name} takes other paths in training than in use, by its Python code; {_by_hand(module)}"
        )
    if lost:
        raise ConfigError(
            f"{name} changes a map in place by {lost} and then reads the map under its old name, which torch.fx "
            f"does not follow; write y = …, and read y; or {_by_hand(module)}"
        )
    module.train(training)  # torchvision left it in evaluation mode
    order = list(traced.graph.nodes)
    output = next(node for node in order if node.op == "output")
    nodes = [output.args[0][cut] for cut in cuts]
    if sorted(set(nodes), key=order.index) != nodes:
        raise ConfigError(
            f"the cuts {', '.join(cuts)} are not in the order of computation, or one occurs twice"
        )
    return traced.graph, nodes


def _must_have(names: Sequence[str], cuts: Sequence[str], module: str) -> None:
    """Raise ConfigError unless each cut is the name of a node or of a module around some. `module`: its class."""
    wrong = []
    for cut in cuts:
        inside = [name for name in names if f"{name}.".startswith(f"{cut}.")]
        if not inside:
            wrong.append(cut)
    if cuts and not wrong:
        return
    near = difflib.get_close_matches(wrong[0], names, 3, 0.4) if wrong else ()
    raise ConfigError(
        f"{module} has nothing to cut behind called {wrong or 'so'}; it has names such as "
        f"{', '.join(near or names[1:5])} (all: torchvision's get_graph_node_names)"
    )


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
    before = order[0]  # the image
    comes = []
    if len(cuts) > 1:
        before = cuts[-2]
        comes = _passing(order, before)
    goes = _passing(order, cuts[-1])
    graph = torch.fx.Graph()
    there = {before: graph.placeholder("x")}  # nodes of the module, as this stage has them
    for node in comes:
        there[node] = graph.placeholder(node.name)
    for node in order[order.index(before) + 1 : order.index(cuts[-1]) + 1]:
        there[node] = graph.node_copy(node, there.__getitem__)
    output = there[cuts[-1]]
    if goes:
        output = (output, *[there[node] for node in goes])
    graph.output(output)
    return torch.fx.GraphModule(module, graph)


def _passing(order: list, cut: torch.fx.Node) -> list:
    """What is made before a cut and needed behind it, without the map that is cut at."""
    at = order.index(cut)
    behind = set(order[at + 1 :])
    found = []
    for node in order[:at]:
        users = [user for user in node.users if user in behind and user.op != "output"]
        if users:
            found.append(node)
    return found


@torch.no_grad()
def _measured(stages: nn.ModuleList, cuts: Sequence[str], size: int) -> list[Tensor]:
    """The map (2, C, h, w) that each stage gives for two images of noise. Raises ConfigError where one gives none."""
    generator = torch.Generator().manual_seed(0)  # the search's own draws stay as they are
    image = torch.randn(2, 3, size, size, generator=generator)
    # In evaluation mode batch norm takes two images of any size, and keeps its statistics.
    maps: list[Tensor] = []

    def note(out) -> None:
        if not isinstance(out, Tensor) or out.ndim != 4:
            found = getattr(out, "shape", type(out).__name__)
            raise ConfigError(
                f"behind {cuts[len(maps)]} there is no feature map (B, C, h, w) but {found}; cut where there is one "
                "(models.vit makes maps of a transformer's tokens)"
            )
        maps.append(out)

    try:
        with evaluating(stages):
            run_stages(stages, image, note)
    except ConfigError:
        raise
    except Exception as error:  # whatever the module's own code raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"the stage that ends behind {cuts[len(maps)]} cannot take images of {size} × {size} pixels ({reason}); "
            "give a size that the network takes, as in size=224"
        ) from None
    return maps
