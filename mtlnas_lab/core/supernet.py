"""The supernet: single-task backbones side by side, with a fusion operation behind every stage.

B images, C channels, H × W pixels, E edges. The supernet only ever sees gates: whether they come from α through a
relaxation, from a finished architecture or from a baseline is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError, SpaceError
from ..in_place import untouched
from .backbone import Backbone, enough, step
from .fusion import NDDR, Fusion
from .space import Node, SearchSpace

Gates = Tensor | Sequence[bool]


FusionMaker = Callable[[int, Sequence[int]], Fusion]


@dataclass
class _Pass:
    """A forward pass on its way from the images to the heads: maps (B, C, h, w)."""

    fused: dict[str, Tensor]  # of each task's latest node, after fusion; at first what it sees
    carry: dict[str, Sequence]  # of each task, what goes on beside that
    features: dict[Node, Tensor]  # of the nodes that are still read, before fusion

    @classmethod
    def of(cls, images: Mapping[str, Tensor]) -> _Pass:
        return cls(dict(images), dict.fromkeys(images, ()), {})

    def copy(self) -> _Pass:
        """Goes its own way from here; the maps up to here are the same."""
        return _Pass(dict(self.fused), dict(self.carry), dict(self.features))


class SuperNet(nn.Module):
    """Backbones side by side, with a fusion operation behind every stage that a candidate edge enters.

    Args:
        backbones: {task: Backbone}.
        space: of these backbones' plans, with E candidate edges.
        fusion: called as `fusion(channels, source_channels)` to make the operation of one node; or ready-made operations
            by the node's name, as in {"normals:3": NDDR(…)}.

    Raises:
        SpaceError: when backbones and space do not belong together.

    Example:
        >>> import torch
        >>> from mtlnas_lab import CrossStitch, SearchSpace, SuperNet
        >>> from mtlnas_lab.models.vgg import vgg16
        >>> tasks = {"segmentation": 13, "normals": 3}  # outputs
        >>> backbones = {task: vgg16(n, widths=[4] * 5, hidden=8) for task, n in tasks.items()}
        >>> space = SearchSpace.build({task: backbone.plan for task, backbone in backbones.items()})
        >>> network = SuperNet(backbones, space, CrossStitch)
        >>> outputs = network(torch.zeros(1, 3, 32, 32), gates=[True] * len(space))
        >>> {task: tuple(output.shape[:2]) for task, output in outputs.items()}
        {'segmentation': (1, 13), 'normals': (1, 3)}
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
        if not isinstance(fusion, Mapping):
            fusion = _operations(space, fusion)
        self.fusion = nn.ModuleDict(fusion)

    def forward(
        self,
        image: Tensor | Mapping[str, Tensor],
        gates: Gates,
        tap: Callable[[Node, Tensor], None] | None = None,
        closed: Collection[int] = (),
    ) -> dict[str, Tensor]:
        """Run all backbones side by side; at every node fuse what open edges bring.

        Args:
            image: (B, 3, H, W), which all networks see; or {task: (B, 3, H, W)}, what each of them sees.
            gates: tensor (E,), or E booleans known on the host: then closed edges are not computed.
            tap: called with every node and its fused features (B, C, h, w).
            closed: indices of edges that are known to be closed where `gates` is a tensor: they are not computed either.

        Returns:
            {task: output}, (B, outputs, h, w) for a dense task, (B, outputs) for an image task.
        """
        images = each_its_own(image, self.space.tasks)
        with enough(images[self.space.tasks[0]]):
            return self._rest(_Pass.of(images), 0, gates, tap, closed)

    def turned(
        self, image: Tensor | Mapping[str, Tensor], gates: Gates, others: Mapping[int, Gates]
    ) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """What `forward` gives under other gates, each of which turn one edge; what lies before the edges is run once for all.

        Args:
            image: as in `forward`.
            gates: tensor (E,), or E booleans.
            others: {index of an edge: gates of the same kind, equal to `gates` but at that index}.

        Returns:
            (index, {task: output}) of each of `others`, by the depth of the edge's target: in evaluation mode to the bit what
            `forward(image, others[index])` gives. It is meant for that mode: in training, each pass changes batch norms.

        Example:
            >>> import torch
            >>> from mtlnas_lab import presets
            >>> lab = presets.tiny()
            >>> network, none = lab.supernet.eval(), lab.derive()
            >>> others = {i: none.flipped(i) for i in (3, 40)}
            >>> [i for i, outputs in network.turned(torch.zeros(1, 3, 32, 32), none.kept, others)]
            [3, 40]
        """
        targets = {i: self.space.edges[i].target for i in others}
        places = [self.space.place[node] for node in targets.values()]
        images = each_its_own(image, self.space.tasks)
        with enough(images[self.space.tasks[0]]):
            shared = _Pass.of(images)
            for place in range(max(places, default=-1) + 1):
                self._run_stages(shared, place)
                for i, node in targets.items():
                    if self.space.place[node] == place:
                        own = shared.copy()
                        self._run_fusions(own, place, others[i])
                        yield i, self._rest(own, place + 1, others[i])
                self._run_fusions(shared, place, gates)

    def _rest(
        self,
        run: _Pass,
        first: int,
        gates: Gates,
        tap: Callable[[Node, Tensor], None] | None = None,
        closed: Collection[int] = (),
    ) -> dict[str, Tensor]:
        """What is left of a pass, from the place `first` of the space's order to the heads."""
        for place in range(first, len(self.space.order)):  # shallow to deep
            # all nodes of one position run before any of them fuses: edges between them go both ways
            self._run_stages(run, place)
            self._run_fusions(run, place, gates, tap, closed)
        outputs = {}
        for task, backbone in self.backbones.items():
            # what a head reads may be another pass's, too
            outputs[task] = untouched(backbone.head, run.fused[task], *run.carry[task])
        return outputs

    def _run_stages(self, run: _Pass, place: int) -> None:
        for node in self.space.order[place]:
            task = node.task
            stage = self.backbones[task].stages[node.stage]
            out = step(stage, run.fused[task], run.carry[task])
            run.features[node], run.carry[task] = out

    def _run_fusions(
        self,
        run: _Pass,
        place: int,
        gates: Gates,
        tap: Callable[[Node, Tensor], None] | None = None,
        closed: Collection[int] = (),
    ) -> None:
        for node in self.space.order[place]:
            run.fused[node.task] = self._fuse(node, run.features, gates, closed)
            if tap is not None:
                tap(node, run.fused[node.task])
        # without gradients their memory is free for the next maps
        for node in self.space.done[place]:
            del run.features[node]

    def _fuse(
        self, node: Node, features: Mapping[Node, Tensor], gates: Gates, closed: Collection[int]
    ) -> Tensor:
        """Gather what enters `node`; maps of another size are resized to the node's own (the paper's R)."""
        own = features[node]
        into = self.space.into(node)
        if str(node) not in self.fusion:
            return own
        soft = isinstance(gates, Tensor)
        # an edge that is known to be closed costs nothing: None
        sources: list[Tensor | None] = [None] * len(into)
        for k, i in enumerate(into):
            opened = i not in closed if soft else gates[i]
            if opened:
                sources[k] = _resize(features[self.space.edges[i].source], own)
        # edges into one node are neighbours in α
        given = gates[into[0] : into[-1] + 1] if soft and into else None
        return untouched(self.fusion[str(node)], own, sources, given)

    def all_stages(self) -> list[nn.Module]:
        """The stages of each backbone: what stays as it is where a search freezes them."""
        return [backbone.stages for backbone in self.backbones.values()]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """w by what it belongs to: `backbone`, `fusion`, and weight and bias of every head's last layer."""
        last = [list(backbone.head.modules())[-1] for backbone in self.backbones.values()]
        weights = [layer.weight for layer in last]
        biases = [layer.bias for layer in last]
        special = {id(p) for p in weights + biases}
        return {
            "backbone": [p for p in self.backbones.parameters() if id(p) not in special],
            "last_weight": weights,
            "last_bias": biases,
            "fusion": list(self.fusion.parameters()),
        }


def each_its_own(image: Tensor | Mapping[str, Tensor], tasks: Sequence[str]) -> dict[str, Tensor]:
    """{task: what its network sees}. Raises ConfigError where a task has nothing to see."""
    if isinstance(image, Tensor):
        return dict.fromkeys(tasks, image)
    missing = [task for task in tasks if task not in image]
    if missing:
        raise ConfigError(
            f"there is no image for {', '.join(missing)}, only for {', '.join(image)}; "
            "give one for each task, or one image for all"
        )
    return {task: image[task] for task in tasks}


def images_in(seen: Tensor | Mapping[str, Tensor]) -> int:
    """How many images a batch has, as the networks see it."""
    if isinstance(seen, Tensor):
        return len(seen)
    return len(next(iter(seen.values())))


def _operations(space: SearchSpace, make: FusionMaker) -> dict[str, Fusion]:
    """{node: operation} for every node that a candidate edge enters."""
    made = {}
    for node in space.nodes:
        into = space.into(node)
        if into:
            widths = [space.stage(space.edges[i].source).channels for i in into]
            made[str(node)] = make(space.stage(node).channels, widths)
    return made


def _resize(source: Tensor, own: Tensor) -> Tensor:
    if source.shape[-2:] == own.shape[-2:]:
        return source
    return F.interpolate(source, own.shape[-2:], mode="bilinear", align_corners=False)
