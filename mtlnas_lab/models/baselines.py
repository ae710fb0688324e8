"""What everybody compares to: gate vectors for the supernet, and networks that share in another way.

Every network here is called as the supernet is, `network(image, gates)`, and is trained by the same `Search`.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..core.architecture import Architecture
from ..core.backbone import Backbone, enough, run_stages, step
from ..core.fusion import CrossStitch
from ..core.lab import Lab
from ..core.relaxation import ArchitectureWeights
from ..core.space import Node, SearchSpace
from ..core.supernet import SuperNet, each_its_own
from ..errors import ConfigError
from ..in_place import untouched
from ..values import MOST, whole

ONE_INPUT = (
    "a shared trunk sees one image for all tasks; leave it out where tasks see different ones"
)


# --- gate vectors -----------------------------------------------------------------------------------------------------
def all_edges(space: SearchSpace) -> Architecture:
    """Every candidate edge open: the supernet itself."""
    return Architecture(space, (True,) * len(space))


def no_edges(space: SearchSpace) -> Architecture:
    """Every candidate edge closed; the fusion operations then see their own features alone."""
    return Architecture(space, (False,) * len(space))


def random_graph(space: SearchSpace, edges: int, seed: int = 0) -> Architecture:
    """Draw `edges` of the candidate edges, each set of that size equally likely: the control of every search.

    Args:
        space: The candidate edges, E in all.
        edges: How many to keep, from 0 to E.
        seed: A whole number; the same seed draws the same edges.

    Returns:
        An architecture of the space in which the drawn edges are open.

    Raises:
        ConfigError: for more edges than there are, or less than 0.

    Example:
        >>> from mtlnas_lab import SearchSpace
        >>> from mtlnas_lab.core.space import plan
        >>> from mtlnas_lab.models.baselines import random_graph
        >>> space = SearchSpace.build({"seg": plan([8, 8], [2]), "normals": plan([8, 8], [2])})
        >>> graph = random_graph(space, 3, seed=1)
        >>> len(graph.kept), sum(graph.kept)
        (6, 3)
        >>> graph == random_graph(space, 3, seed=1)
        True
    """
    edges = whole("edges", edges, least=-MOST)
    if not 0 <= edges <= len(space):
        raise ConfigError(f"a graph of {edges} edges cannot be drawn from {len(space)} candidates")
    seed = whole("seed", seed, -(2**63), 2**63)
    drawn = set(random.Random(seed).sample(range(len(space)), edges))
    return Architecture(space, tuple(i in drawn for i in range(len(space))))


def same_stage(space: SearchSpace) -> Architecture:
    """NDDR at every stage: the edges between stages of equal position."""
    kept = []
    for edge in space.edges:
        kept.append(space.stage(edge.source).position == space.stage(edge.target).position)
    return Architecture(space, tuple(kept))


def group_ends(space: SearchSpace) -> Architecture:
    """NDDR-CNN (five points for VGG-16): the same-stage edges behind the last stage of each group."""
    kept = []
    for edge, same in zip(space.edges, same_stage(space).kept):
        target = space.stage(edge.target)
        last_of_group = target.index + 1 == target.size
        kept.append(same and last_of_group)
    return Architecture(space, tuple(kept))


# --- spaces and networks ----------------------------------------------------------------------------------------------
def without_candidates(lab: Lab) -> Lab:
    """The lab's backbones side by side with no fusion at all: single-task learning, for pretraining and as a baseline."""
    return _lab(lab, SuperNet(_backbones(lab), SearchSpace(lab.space.plans, ())))


def restrict_to(lab: Lab, architecture: Architecture, fusion=None) -> Lab:
    """A lab whose only candidates are the kept edges: fusion operations of just these inputs, started afresh."""
    make = fusion or next(iter(lab.supernet.fusion.values())).like
    return _lab(lab, SuperNet(_backbones(lab), lab.space.only(architecture.kept), make))


class SharedTrunk(nn.Module):
    """One backbone for all tasks, with a head for each."""

    sees_one_image = ONE_INPUT  # why a search refuses to cover one task's eyes

    def __init__(self, trunk: Backbone, heads: Mapping[str, nn.Module]):
        super().__init__()
        self.space = SearchSpace(dict.fromkeys(heads, trunk.plan), ())
        self.stages = trunk.stages
        self.heads = nn.ModuleDict(heads)

    def forward(
        self,
        image: Tensor | Mapping[str, Tensor],
        gates=(),
        tap: Callable[[Node, Tensor], None] | None = None,
    ) -> dict[str, Tensor]:
        if not isinstance(image, Tensor):
            raise ConfigError(ONE_INPUT)
        with enough(image):
            features, carry = run_stages(self.stages, image)
            return {task: untouched(head, features, *carry) for task, head in self.heads.items()}

    def all_stages(self) -> list[nn.Module]:
        return [self.stages]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"backbone": list(self.parameters())}


class Sluice(nn.Module):
    """Sluice network (PAPERS.md 1.1b): behind every stage the channels of all tasks, split in two subspaces, are mixed by
    a learnt matrix (near the identity at first); each head sees a learnt mixture of its backbone's last group of stages.
    Needs backbones of one plan, channels that halve, and in the last group maps of one shape.
    """

    def __init__(self, backbones: Mapping[str, Backbone], own: float = 0.9):
        super().__init__()
        plans = {task: backbone.plan for task, backbone in backbones.items()}
        first = next(iter(plans.values()))
        if any(p != first for p in plans.values()) or any(stage.channels % 2 for stage in first):
            raise ConfigError(
                "a sluice network mixes channels one to one; give backbones of one plan with even widths"
            )
        self.space = SearchSpace(plans, ())
        self.backbones = nn.ModuleDict(backbones)
        size = 2 * len(plans)
        last = [stage for stage in first if stage.group == first[-1].group]
        others = (1 - own) / (size - 1)  # each row sums to 1
        start = torch.eye(size) * (own - others) + others
        self.mix = nn.ParameterList(start.clone() for _ in first)  # one (2T, 2T) a stage
        beta = torch.full((len(plans), len(last)), 0.1 / max(len(last) - 1, 1))
        beta[:, -1] = 1.0
        if len(last) > 1:
            beta[:, -1] = 0.9
        self.layers = nn.Parameter(beta)

    def forward(
        self,
        image: Tensor | Mapping[str, Tensor],
        gates=(),
        tap: Callable[[Node, Tensor], None] | None = None,
    ) -> dict[str, Tensor]:
        images = each_its_own(image, tuple(self.backbones))
        with enough(next(iter(images.values()))):
            return self._forward(images)

    def _forward(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        maps = list(images.values())  # one a task
        carry = [()] * len(self.backbones)
        kept = []  # maps behind each stage, which the heads choose among
        for number, mix in enumerate(self.mix):
            own = []
            for t, backbone in enumerate(self.backbones.values()):
                x, carry[t] = step(backbone.stages[number], maps[t], carry[t])
                own.append(x)
            maps = self._mixed(own, mix)
            kept.append(maps)
        last = kept[-self.layers.shape[1] :]
        outputs = {}
        for t, (task, backbone) in enumerate(self.backbones.items()):
            blend = sum(weight * stage[t] for weight, stage in zip(self.layers[t], last))
            outputs[task] = backbone.head(blend, *carry[t])
        return outputs

    @staticmethod
    def _mixed(maps: list[Tensor], mix: Tensor) -> list[Tensor]:
        """Each task's two subspaces as mixtures of all: S'_i = Σ_j mix_ij · S_j over the 2T subspaces."""
        halves = []
        for x in maps:
            halves.extend(x.chunk(2, 1))
        mixed = torch.einsum("ij,jbchw->ibchw", mix, torch.stack(halves))
        return [torch.cat((mixed[2 * t], mixed[2 * t + 1]), 1) for t in range(len(maps))]

    def all_stages(self) -> list[nn.Module]:
        return [backbone.stages for backbone in self.backbones.values()]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"backbone": list(self.backbones.parameters()), "fusion": [*self.mix, self.layers]}


def shared_trunk(lab: Lab) -> Lab:
    """The first task's backbone carries all heads (all backbones must then end in as many channels)."""
    backbones = _backbones(lab)
    widths = {task: backbone.plan[-1].channels for task, backbone in backbones.items()}
    if len(set(widths.values())) > 1:
        raise ConfigError(
            f"a shared trunk ends in one width, the backbones end in {widths}; choose like backbones"
        )
    trunk = next(iter(backbones.values()))
    return _lab(
        lab, SharedTrunk(trunk, {task: backbone.head for task, backbone in backbones.items()})
    )


def _backbones(lab: Lab) -> dict[str, Backbone]:
    return copy.deepcopy(
        dict(lab.supernet.backbones.items())
    )  # training one lab leaves others alone


def _lab(lab: Lab, network: nn.Module) -> Lab:
    network.to(lab.device)
    alphas = ArchitectureWeights(len(network.space)).to(lab.device)
    return replace(lab, supernet=network, alphas=alphas)


def sluice(lab: Lab) -> Lab:
    """A sluice network of the lab's backbones."""
    return _lab(lab, Sluice(_backbones(lab)))


def cross_stitch(lab: Lab) -> Lab:
    """A cross-stitch unit behind the last stage of each group."""
    return restrict_to(lab, group_ends(lab.space), CrossStitch)


def nddr_group_ends(lab: Lab) -> Lab:
    """The lab's fusion operation behind the last stage of each group."""
    return restrict_to(lab, group_ends(lab.space))


def nddr_every_stage(lab: Lab) -> Lab:
    """The lab's fusion operation behind every stage."""
    return restrict_to(lab, same_stage(lab.space))


BASELINES: dict[str, Callable[[Lab], Lab]] = {  # name: what makes its lab of a pretrained one
    "single_task": without_candidates,
    "shared_trunk": shared_trunk,
    "cross_stitch": cross_stitch,
    "sluice": sluice,
    "nddr_group_ends": nddr_group_ends,
    "nddr_every_stage": nddr_every_stage,
    "all_edges": Lab.copy,
    "random_graph": Lab.copy,  # the supernet itself, under gates that are drawn
}


def baseline(name: str, lab: Lab, edges: int, seed: int = 0) -> tuple[Lab, Architecture]:
    """A fresh lab for the baseline `name`, from `lab` as it was before the search, and the gates to train it under."""
    if name not in BASELINES:
        raise ConfigError(f"there is no baseline {name!r}; choose among {', '.join(BASELINES)}")
    if name == "random_graph":
        gates = random_graph(lab.space, edges, seed)  # checks `edges` before anything is copied
        return lab.copy(), gates
    made = BASELINES[name](lab)
    return made, all_edges(made.space)
