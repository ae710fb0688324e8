"""What everybody compares to: gate vectors for the supernet, and networks that share in another way.

Every network here is called as the supernet is, `network(image, gates)`, and is trained by the same `Search`.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..core.architecture import Architecture
from ..core.backbone import Backbone, enough, step, untouched
from ..core.fusion import CrossStitch
from ..core.lab import Lab
from ..core.relaxation import ArchitectureWeights
from ..core.space import Node, SearchSpace
from ..core.supernet import SuperNet
from ..errors import ConfigError
from ..values import MOST, whole


# --- gate vectors -----------------------------------------------------------------------------------------------------
def all_edges(space: SearchSpace) -> Architecture:
    """Every candidate edge open: the supernet itself."""
    return Architecture(space, (True,) * len(space))


def no_edges(space: SearchSpace) -> Architecture:
    """Every candidate edge closed; the fusion operations then see their own features alone."""
    return Architecture(space, (False,) * len(space))


def random_graph(space: SearchSpace, edges: int, seed: int = 0) -> Architecture:
    """`edges` of the candidate edges, each set of that size equally likely: the control of every search."""
    edges = whole("edges", edges, least=-MOST)
    if not 0 <= edges <= len(space):
        raise ConfigError(f"a graph of {edges} edges cannot be drawn from {len(space)} candidates")
    seed = whole("seed", seed, -(2**63), 2**63)
    drawn = set(random.Random(seed).sample(range(len(space)), edges))
    return Architecture(space, tuple(i in drawn for i in range(len(space))))


def same_stage(space: SearchSpace) -> Architecture:
    """NDDR at every stage: the edges between stages of equal position."""
    return Architecture(
        space,
        tuple(
            space.stage(e.source).position == space.stage(e.target).position for e in space.edges
        ),
    )


def group_ends(space: SearchSpace) -> Architecture:
    """NDDR-CNN (five points for VGG-16): the same-stage edges behind the last stage of each group."""
    return Architecture(
        space,
        tuple(
            same and space.stage(e.target).index + 1 == space.stage(e.target).size
            for e, same in zip(space.edges, same_stage(space).kept)
        ),
    )


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

    def __init__(self, trunk: Backbone, heads: Mapping[str, nn.Module]):
        super().__init__()
        self.space = SearchSpace(dict.fromkeys(heads, trunk.plan), ())
        self.stages, self.heads = trunk.stages, nn.ModuleDict(heads)

    def forward(
        self, image: Tensor, gates=(), tap: Callable[[Node, Tensor], None] | None = None
    ) -> dict[str, Tensor]:
        with enough(image):
            carry = ()
            for stage in self.stages:
                image, carry = step(stage, image, carry)
            return {task: untouched(head, image, *carry) for task, head in self.heads.items()}

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
        self.space, self.backbones = SearchSpace(plans, ()), nn.ModuleDict(backbones)
        size, last = 2 * len(plans), [s for s in first if s.group == first[-1].group]
        others = (1 - own) / (size - 1)
        start = torch.eye(size) * (own - others) + others
        self.mix = nn.ParameterList(start.clone() for _ in first)  # one (2T, 2T) a stage
        beta = torch.full((len(plans), len(last)), 0.1 / max(len(last) - 1, 1))
        beta[:, -1] = 0.9 if len(last) > 1 else 1.0
        self.layers = nn.Parameter(beta)

    def forward(
        self, image: Tensor, gates=(), tap: Callable[[Node, Tensor], None] | None = None
    ) -> dict[str, Tensor]:
        with enough(image):
            return self._forward(image)

    def _forward(self, image: Tensor) -> dict[str, Tensor]:
        maps, kept, carry = [image] * len(self.backbones), [], [()] * len(self.backbones)
        for number, mix in enumerate(self.mix):
            maps, carry = zip(
                *(
                    step(backbone.stages[number], x, rest)
                    for backbone, x, rest in zip(self.backbones.values(), maps, carry)
                )
            )
            halves = torch.stack(
                [half for x in maps for half in x.chunk(2, 1)]
            )  # (2T, B, C/2, H, W)
            mixed = torch.einsum("ij,jbchw->ibchw", mix, halves)
            maps = [torch.cat((mixed[2 * t], mixed[2 * t + 1]), 1) for t in range(len(maps))]
            kept.append(maps)
        last = kept[-self.layers.shape[1] :]
        return {
            task: backbone.head(
                sum(weight * maps[t] for weight, maps in zip(self.layers[t], last)), *carry[t]
            )
            for t, (task, backbone) in enumerate(self.backbones.items())
        }

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
    return copy.deepcopy(dict(lab.supernet.backbones.items()))


def _lab(lab: Lab, network: nn.Module) -> Lab:
    network.to(lab.device)
    return Lab(lab.tasks, network, ArchitectureWeights(len(network.space)).to(lab.device), lab.data)


BASELINES: dict[str, Callable[[Lab, int, int], tuple[Lab, Architecture | None]]] = {
    # name: (lab as pretrained, edges the search kept, seed) -> what to train, and under which gates (None: all open)
    "single_task": lambda lab, edges, seed: (without_candidates(lab), None),
    "shared_trunk": lambda lab, edges, seed: (shared_trunk(lab), None),
    "cross_stitch": lambda lab, edges, seed: (
        restrict_to(lab, group_ends(lab.space), CrossStitch),
        None,
    ),
    "sluice": lambda lab, edges, seed: (_lab(lab, Sluice(_backbones(lab))), None),
    "nddr_group_ends": lambda lab, edges, seed: (restrict_to(lab, group_ends(lab.space)), None),
    "nddr_every_stage": lambda lab, edges, seed: (restrict_to(lab, same_stage(lab.space)), None),
    "all_edges": lambda lab, edges, seed: (lab.copy(), None),
    "random_graph": lambda lab, edges, seed: (lab.copy(), random_graph(lab.space, edges, seed)),
}


def baseline(name: str, lab: Lab, edges: int, seed: int = 0) -> tuple[Lab, Architecture]:
    """A fresh lab for the baseline `name`, from `lab` as it was before the search, and the gates to train it under."""
    if name not in BASELINES:
        raise ConfigError(f"there is no baseline {name!r}; choose among {', '.join(BASELINES)}")
    made, gates = BASELINES[name](lab, edges, seed)
    return made, gates or all_edges(made.space)
