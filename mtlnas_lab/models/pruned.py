"""The searched network by itself: closed edges left out, batch norm folded, operations counted."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils import remove_spectral_norm, remove_weight_norm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ..core.architecture import Architecture
from ..core.fusion import NDDR, Fusion, ResidualFusion
from ..core.space import Node
from ..core.supernet import SuperNet
from ..errors import SpaceError


class FoldedNDDR(Fusion):
    """An NDDR for use, not for training: O = ReLU(b + W_0·F + Σ W_k·F_k) with the batch norm's running statistics in W
    and b. Matrix products that add up, so that no map is copied into a concatenation. All its sources are open.
    """

    def __init__(self, nddr: NDDR):
        super().__init__(nddr.channels, nddr.source_channels)
        self.conv = fuse_conv_bn_eval(nddr.conv, nddr.norm)

    def forward(
        self, own: Tensor, sources: Sequence[Tensor | None], gates: Tensor | None = None
    ) -> Tensor:
        blocks = self.conv.weight[:, :, 0, 0].split((self.channels, *self.source_channels), 1)
        # rows of channels, one a pixel: channels-last maps lie in memory so
        rows = [x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in (own, *sources)]
        out = torch.addmm(self.conv.bias, rows[0], blocks[0].t())
        for block, x in zip(blocks[1:], rows[1:]):
            out.addmm_(x, block.t())
        count, _, height, width = own.shape
        return F.relu_(out).view(count, height, width, -1).permute(0, 3, 1, 2)


class PrunedNetwork(nn.Module):
    """The searched network on its own: image (B, 3, H, W), or {task: image}, -> {task: output}. No α, no gates, no closed
    edges."""

    def __init__(self, supernet: SuperNet):
        super().__init__()
        self.supernet = supernet
        self._open = (True,) * len(supernet.space)

    def forward(self, image: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.supernet(image, self._open)


def prune(supernet: SuperNet, architecture: Architecture | Sequence[bool]) -> PrunedNetwork:
    """Make the stand-alone network that computes what `supernet` computes under these gates, in evaluation mode.

    Closed edges are gone with their columns of the 1×1 weights, batch norm is folded into the convolution before it. A
    copy: training the supernet on does not change it, and it is not for training.

    Args:
        supernet: The trained supernet with E candidate edges.
        architecture: Which edges are open: an architecture of its space, or E booleans; or the graph of some of its
            networks by themselves, as `derive(…, primary="segmentation")` gives it: the others are gone, too.

    Returns:
        A module that takes images (B, 3, H, W) and gives {task: output}, without gates.

    Raises:
        SpaceError: for more or fewer gates than E.

    Example:
        >>> import torch
        >>> from mtlnas_lab import presets, prune
        >>> lab = presets.tiny()
        >>> network = prune(lab.supernet, lab.derive())
        >>> image = torch.zeros(1, 3, 32, 32)
        >>> {task: tuple(output.shape) for task, output in network(image).items()}
        {'segmentation': (1, 13, 4, 4), 'normals': (1, 3, 4, 4)}
        >>> alone = prune(lab.supernet, lab.derive(primary="normals"))
        >>> list(alone(image))
        ['normals']
    """
    kept = architecture
    if isinstance(architecture, Architecture):
        kept = architecture.kept
        if set(architecture.space.tasks) < set(supernet.space.tasks):
            return prune(_without_others(supernet, architecture), kept)
    kept = tuple(kept)
    if len(kept) != len(supernet.space):
        raise SpaceError(
            f"{len(kept)} gates for a supernet with {len(supernet.space)} edges; give one for each edge"
        )
    fusion = {}
    for name, operation in supernet.fusion.items():
        edges = supernet.space.into(Node.parse(name))
        fusion[name] = operation.only([kept[edge] for edge in edges])
    backbones = copy.deepcopy(dict(supernet.backbones.items()))
    network = PrunedNetwork(SuperNet(backbones, supernet.space.only(kept), fusion)).eval()
    for name, operation in fusion.items():
        if isinstance(operation, NDDR):  # a cross-stitch unit has nothing to fold
            network.supernet.fusion[name] = FoldedNDDR(operation.eval())
    network = fold_batch_norm(_with_plain_weights(network))
    return network.to(memory_format=torch.channels_last)  # convolutions are faster then


def _without_others(supernet: SuperNet, architecture: Architecture) -> SuperNet:
    """The networks of the architecture's tasks, and of their fusion operations what its candidate edges need."""
    wanted = architecture.space
    for task, stages in wanted.plans.items():
        if supernet.space.plans[task] != stages:
            raise SpaceError(
                f"the network of {task} has other stages in this architecture than in the supernet; "
                "derive the architecture from the supernet's own space"
            )
    kept = [edge in wanted.edges for edge in supernet.space.edges]
    fusion = {}
    for name, operation in supernet.fusion.items():
        edges = [kept[edge] for edge in supernet.space.into(Node.parse(name))]
        adds_nothing = isinstance(operation, ResidualFusion) and not any(edges)
        if Node.parse(name).task in wanted.tasks and not adds_nothing:
            fusion[name] = operation.only(edges)
    backbones = {task: copy.deepcopy(supernet.backbones[task]) for task in wanted.tasks}
    return SuperNet(backbones, wanted, fusion)


def _with_plain_weights(network: nn.Module) -> nn.Module:
    """In place, for use: what weight_norm, spectral_norm and other parametrizations compute becomes the weight itself."""
    for module in list(network.modules()):
        if is_parametrized(module):  # torch's own removal would reach what this is a copy of
            values = {name: getattr(module, name).detach() for name in module.parametrizations}
            module.__class__ = type_before_parametrizations(module)
            del module.parametrizations
            for name, value in values.items():
                module.register_parameter(name, nn.Parameter(value))
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(module, hook.name)
    return network


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """In place, for use: every batch norm that alone reads a convolution goes into that convolution's weights,
    BN(W·x) = (γ/σ W)·x + (β − γ μ/σ) with the running μ and σ."""
    for module in list(network.modules()):
        for name, after in _in_a_row(module):
            layer = module.get_submodule(name)
            norm = module.get_submodule(after)
            if _as_torch_has_it(layer, nn.Conv2d) and _as_torch_has_it(norm, nn.BatchNorm2d):
                module.set_submodule(name, fuse_conv_bn_eval(layer, norm))
                module.set_submodule(after, nn.Identity())
    return network


def _as_torch_has_it(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """A layer of this kind that computes nothing else: no forward of its own, no hooks, statistics that are kept."""
    hooks = layer._forward_hooks or layer._forward_pre_hooks
    if not isinstance(layer, kind) or type(layer).forward is not kind.forward or hooks:
        return False
    return getattr(layer, "track_running_stats", True)


def _in_a_row(module: nn.Module) -> list[tuple[str, str]]:
    """Pairs of submodules, the second of which reads what the first puts out, while nothing else does."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        names = [name for name, _ in module.named_children()]
        return list(zip(names, names[1:]))
    if isinstance(module, fx.GraphModule):
        graph = module.graph
    elif {nn.Conv2d, nn.BatchNorm2d} <= {type(child) for child in module.children()}:
        try:
            graph = _Shallow().trace(module)  # a block of a network, with a forward of its own
        except Exception:  # which torch.fx cannot follow: it stays as it is
            return []
    else:
        return []
    calls = {node: node.target for node in graph.nodes if node.op == "call_module"}
    # A layer that is called twice would be folded for one of its two readers only.
    once = {target for target, times in Counter(calls.values()).items() if times == 1}
    pairs = []
    for node, target in calls.items():
        for before in node.all_input_nodes:
            read_by_others = len(before.users) > 1
            if not read_by_others and {target, calls.get(before)} <= once:
                pairs.append((calls[before], target))
    return pairs


class _Shallow(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return True


def operations(network: nn.Module, *inputs) -> int:
    """Multiply-adds of one forward pass, counted by torch (convolutions and matrix products)."""
    from torch.utils.flop_counter import FlopCounterMode, flop_registry

    aten = torch.ops.aten
    counter = FlopCounterMode(display=False)
    # FoldedNDDR's operation in place, which torch does not count by itself
    counter.flop_registry[aten.addmm_] = flop_registry[aten.addmm]
    with torch.no_grad(), counter:
        network(*inputs)
    return counter.get_total_flops() // 2  # torch counts a multiplication and an addition as two
