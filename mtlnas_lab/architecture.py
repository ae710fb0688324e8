"""The searched architecture: which edges stay, what that means, and the network of its own that it becomes."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import remove_spectral_norm, remove_weight_norm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from .errors import SpaceError
from .fusion import NDDR, FoldedNDDR
from .relaxation import discretize
from .space import Edge, Node, SearchSpace
from .supernet import SuperNet
from .values import number, told

ALPHA = 1e38  # how far α may lie from 0: what float32 holds


@dataclass(frozen=True)
class Architecture:
    """A fusion graph: for each candidate edge of `space` whether it is kept, and the α it was read from (if any).

    `kept` goes straight into the supernet as gates. Raises SpaceError when a length does not fit the space.
    """

    space: SearchSpace
    kept: tuple[bool, ...]
    alpha: tuple[float, ...] | None = None

    def __post_init__(self):
        object.__setattr__(self, "kept", tuple(bool(keep) for keep in self.kept))
        if self.alpha is not None:
            object.__setattr__(self, "alpha", _logits(self.alpha))
        for name, values in (("gates", self.kept), ("α", self.alpha)):
            if values is not None and len(values) != len(self.space):
                raise SpaceError(
                    f"{len(values)} values of {name} for a space of {len(self.space)} candidate edges; "
                    "give one for each edge, in the order of space.edges"
                )

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The kept edges."""
        return tuple(edge for edge, keep in zip(self.space.edges, self.kept) if keep)

    @property
    def probability(self) -> tuple[float, ...]:
        """σ(α) of each candidate edge; 0 or 1 where there is no α."""
        if self.alpha is None:
            return tuple(float(keep) for keep in self.kept)
        return tuple(torch.sigmoid(torch.tensor(self.alpha, dtype=torch.float64)).tolist())

    def flipped(self, i: int) -> tuple[bool, ...]:
        """`kept` with candidate i the other way round."""
        return tuple(keep != (i == j) for j, keep in enumerate(self.kept))

    def __len__(self) -> int:
        return sum(self.kept)

    def __repr__(self) -> str:
        return f"Architecture({len(self)} of {len(self.space)} edges kept)"

    def to_json(self) -> dict:
        return {
            "space": self.space.to_json(),
            "kept": [str(edge) for edge in self.edges],
            "alpha": None if self.alpha is None else list(self.alpha),
        }

    @classmethod
    def from_json(cls, data: Mapping) -> Architecture:
        try:
            space, edges, alpha = data["space"], data["kept"], data["alpha"]
        except (KeyError, TypeError) as error:
            raise SpaceError(
                f"this is no architecture: {error!r}; it has space, kept and alpha"
            ) from None
        for name, value in {"kept": edges, "alpha": alpha}.items():
            if not isinstance(value, list | tuple) and (name == "kept" or value is not None):
                raise SpaceError(f"this is no architecture: {name} is {told(value)}, not a list")
        space = SearchSpace.from_json(space)
        kept = {space.index(edge) for edge in edges}
        return cls(space, tuple(i in kept for i in range(len(space))), alpha)


def _logits(values: Sequence[float]) -> tuple[float, ...]:
    """α as floats. Raises SpaceError for the first that is no finite number."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise SpaceError(f"α = {told(values)} is not a list of numbers; give one for each edge")
    listed = values.tolist() if isinstance(values, Tensor) else values
    return tuple(
        number(f"α of edge {i}", value, -ALPHA, ALPHA, SpaceError) for i, value in enumerate(listed)
    )


def derive(space: SearchSpace, alpha: Tensor | Sequence[float]) -> Architecture:
    """Keep the edges with α > 0: the searched architecture, to be used with the weights as they are (no retraining)."""
    alpha = alpha.detach() if isinstance(alpha, Tensor) else torch.tensor(alpha)
    return Architecture(space, tuple((discretize(alpha) > 0).tolist()), tuple(alpha.tolist()))


def agreement(a: Architecture, b: Architecture) -> dict[str, float]:
    """How alike two architectures of one space are: edges kept in `both`, `either`, their ratio `jaccard`, and `flips`."""
    if a.space.edges != b.space.edges:
        raise SpaceError(
            "these architectures belong to different spaces; compare architectures of one space"
        )
    both = sum(x and y for x, y in zip(a.kept, b.kept))
    either = sum(x or y for x, y in zip(a.kept, b.kept))
    return {
        "both": both,
        "either": either,
        "jaccard": both / either if either else 1.0,
        "flips": either - both,
    }


class PrunedNetwork(nn.Module):
    """The searched network on its own: image (B, 3, H, W) -> {task: output}. No α, no gates, no closed edges."""

    def __init__(self, supernet: SuperNet):
        super().__init__()
        self.supernet, self._open = supernet, (True,) * len(supernet.space)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.supernet(image, self._open)


def prune(supernet: SuperNet, architecture: Architecture | Sequence[bool]) -> PrunedNetwork:
    """The stand-alone network that computes what `supernet` computes under these gates, in evaluation mode.

    Closed edges are gone with their columns of the 1×1 weights, batch norm is folded into the convolution before it. A
    copy: training the supernet on does not change it, and it is not for training.
    """
    kept = architecture.kept if isinstance(architecture, Architecture) else tuple(architecture)
    if len(kept) != len(supernet.space):
        raise SpaceError(
            f"{len(kept)} gates for a supernet with {len(supernet.space)} edges; give one for each edge"
        )
    fusion = {
        name: operation.only([kept[i] for i in supernet.space.into(Node.parse(name))])
        for name, operation in supernet.fusion.items()
    }
    backbones = copy.deepcopy(dict(supernet.backbones.items()))
    network = PrunedNetwork(SuperNet(backbones, supernet.space.only(kept), fusion)).eval()
    for name, operation in fusion.items():
        if isinstance(operation, NDDR):
            network.supernet.fusion[name] = FoldedNDDR(operation.eval())
    return fold_batch_norm(_with_plain_weights(network))


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
            layer, norm = module.get_submodule(name), module.get_submodule(after)
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
    once = {target for target, times in Counter(calls.values()).items() if times == 1}
    return [
        (calls[before], target)
        for node, target in calls.items()
        for before in node.all_input_nodes
        if len(before.users) == 1 and {target, calls.get(before)} <= once
    ]


class _Shallow(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return True


def operations(network: nn.Module, *inputs) -> int:
    """Multiply-adds of one forward pass, counted by torch (convolutions and matrix products)."""
    from torch.utils.flop_counter import FlopCounterMode, flop_registry

    aten, counter = torch.ops.aten, FlopCounterMode(display=False)
    counter.flop_registry |= {
        aten.addmm_: flop_registry[aten.addmm],
        aten.baddbmm_: flop_registry[aten.baddbmm],
    }  # FoldedNDDR's
    with torch.no_grad(), counter:
        network(*inputs)
    return counter.get_total_flops() // 2
