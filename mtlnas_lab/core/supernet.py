"""The supernet: single-task backbones side by side, with a fusion operation behind every stage.

B images, C channels, H × W pixels, E edges. The supernet only ever sees gates: whether they come from α through a
relaxation, from a finished architecture or from a baseline is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SpaceError
from .backbone import Backbone, enough, step, untouched
from .fusion import NDDR, Fusion
from .space import Node, SearchSpace

Gates = Tensor | Sequence[bool]


FusionMaker = Callable[[int, Sequence[int]], Fusion]


class SuperNet(nn.Module):
    """Backbones + fusion. `fusion(channels, source_channels)` makes the operation of one node, for every node that a
    candidate edge enters; or `fusion` holds ready-made operations by the node's name, as in {"normals:3": NDDR(…)}.
    Raises SpaceError when backbones and space do not belong together.
    """

    def __init__(
        self,
        backbones: Mapping[str, Backbone],
        space: SearchSpace,
        fusion: FusionMaker | Mapping[str, Fusion] = NDDR,
    ):
        super().__init__()
        plans = {task: backbone.plan for task, backbone in backbones.items()}
        if plans != space.plans:
            raise SpaceError(
                f"backbones of {list(plans)} do not have the stages of {space!r}; "
                "build the space from these backbones' plans"
            )
        self.space = space
        self.backbones = nn.ModuleDict(backbones)
        self.fusion = nn.ModuleDict(
            fusion
            if isinstance(fusion, Mapping)
            else {
                str(node): fusion(
                    space.stage(node).channels,
                    [space.stage(space.edges[i].source).channels for i in space.into(node)],
                )
                for node in space.nodes
                if space.into(node)
            }
        )

    def forward(
        self, image: Tensor, gates: Gates, tap: Callable[[Node, Tensor], None] | None = None
    ) -> dict[str, Tensor]:
        """Run all backbones side by side; at every node fuse what open edges bring.

        image (B, 3, H, W). gates: tensor (E,), or E booleans known on the host: then closed edges are not computed.
        tap: called with every node and its fused features (B, C, H, W). Returns each task's output.
        """
        with enough(image):
            return self._forward(image, gates, tap)

    def _forward(
        self, image: Tensor, gates: Gates, tap: Callable[[Node, Tensor], None] | None
    ) -> dict[str, Tensor]:
        features, fused, carry = (
            {},
            dict.fromkeys(self.space.tasks, image),
            dict.fromkeys(self.space.tasks, ()),
        )
        for nodes in self.space.order:  # shallow to deep
            for node in nodes:  # (B, C, H, W), before fusion
                stage, task = self.backbones[node.task].stages[node.stage], node.task
                features[node], carry[task] = step(stage, fused[task], carry[task])
            for node in nodes:
                fused[node.task] = self._fuse(node, features, gates)  # (B, C, H, W), after fusion
                if tap:
                    tap(node, fused[node.task])
        return {
            task: backbone.head(fused[task], *carry[task])
            for task, backbone in self.backbones.items()
        }

    def _fuse(self, node: Node, features: Mapping[Node, Tensor], gates: Gates) -> Tensor:
        """Gather what enters `node`; maps of another size are resized to the node's own (the paper's R)."""
        own, into = features[node], self.space.into(node)
        if str(node) not in self.fusion:
            return own
        soft = isinstance(gates, Tensor)
        sources = [
            _resize(features[self.space.edges[i].source], own) if soft or gates[i] else None
            for i in into
        ]
        given = gates[into[0] : into[-1] + 1] if soft and into else None
        return untouched(self.fusion[str(node)], own, sources, given)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """w by what it belongs to: `backbone`, `fusion`, and weight and bias of every head's last layer."""
        last = [list(backbone.head.modules())[-1] for backbone in self.backbones.values()]
        weights, biases = [layer.weight for layer in last], [layer.bias for layer in last]
        special = {id(p) for p in weights + biases}
        return {
            "backbone": [p for p in self.backbones.parameters() if id(p) not in special],
            "last_weight": weights,
            "last_bias": biases,
            "fusion": list(self.fusion.parameters()),
        }


def _resize(source: Tensor, own: Tensor) -> Tensor:
    if source.shape[-2:] == own.shape[-2:]:
        return source
    return F.interpolate(source, own.shape[-2:], mode="bilinear", align_corners=False)
