"""Aux-NAS (PAPERS.md 2.1): auxiliary tasks help a primary one in training, and cost nothing when it is used.

Two kinds of edges, two forces. *Primary → auxiliary*: the auxiliary network reads the primary's features, so that its
loss teaches the primary network; entropy decides these edges, and nothing of them is needed later. *Auxiliary →
primary*: the primary network reads helpful features, while a ramp of L1 shuts these edges until they carry nothing.
Then the auxiliary network is taken away, and the primary output stays the same.

    lab = star(lab, "segmentation")                      # edges between the primary network and the others
    for event in aux_search(lab, "segmentation", config):
        ...
    network = prune(lab.supernet, lab.derive(primary="segmentation"))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..bench.condition import RECIPE, Condition
from ..bench.training import go_on
from ..core.config import SearchConfig
from ..core.evaluate import evaluating, recalibrated
from ..core.lab import Lab
from ..core.relaxation import deterministic
from ..core.schedule import Schedule
from ..core.search import Search
from ..core.space import SearchSpace
from ..data.dataset import ImageDataset
from ..data.loader import sequential
from ..models.baselines import no_edges, shared_trunk, without_candidates
from ..models.pruned import operations, prune
from ..models.roles import ALPHA_BETAS, L1, START, edges_into, factors, set_starts, star

SCORE = {"segmentation": "miou", "normals": "mean", "depth": "rmse", "edges": "iou", "room": "top1"}


# --- the mechanism ----------------------------------------------------------------------------------------------------
def aux_search(lab: Lab, primary: str, config: SearchConfig, shut: bool = False, **options):
    """The search of Aux-NAS: entropy on edges out of the primary network, L1 on edges into it.

    The α-update descends  Σ weighted losses + λ(t)·mean of H(p) over edges out + μ(t)·mean of p over edges in.

    Args:
        lab: a `star`, its α as it shall begin.
        primary: the task that is wanted in the end.
        config: λ is its entropy_weight, μ its l1_weight.
        shut: edges into the primary network are shut from the start: Aux-G, where help comes by gradients alone.
        options: others of `Search`.

    Returns:
        A `Search`, to be iterated.
    """
    into = edges_into(lab.space, primary)
    search = Search(lab, config, **factors(lab.space, primary), **options)
    if shut:
        search.turn(force={edge: False for edge, one in zip(lab.space.edges, into) if one})
    return search


def difference(lab: Lab, primary: str, split: str = "val") -> float:
    """How much the primary output changes when edges into its network are removed: the largest |difference|.

    Args:
        lab: as it is now, with gates σ(α).
        primary: the task that is wanted in the end.
        split: the images that are looked at.
    """
    soft = _outputs(lab, deterministic(lab.alphas.alpha.detach()), split)[primary]
    removed = _outputs(lab, no_edges(lab.space).kept, split)[primary]
    return float((soft - removed).abs().max())


def price(lab: Lab, primary: str) -> dict[str, int]:
    """Multiply-adds of one image: {"training": of all networks with every edge, "use": of the primary network alone}."""
    image, _ = lab.data["val"].batch(torch.tensor([0]), ())
    edges = torch.ones_like(lab.alphas.alpha)
    with evaluating(lab.supernet):
        training = operations(lab.supernet, image, edges)
    alone = no_edges(SearchSpace({primary: lab.space.plans[primary]}, ()))
    return {"training": training, "use": operations(prune(lab.supernet, alone), image)}


def _outputs(lab: Lab, gates: Tensor | Sequence[bool], split: str) -> dict[str, Tensor]:
    (batch,) = lab.seen(sequential(lab.data[split], lab.targets, len(lab.data[split])))
    with evaluating(lab.supernet), torch.no_grad():
        return lab.supernet(batch[0], gates)


# --- the arms of the study --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Setting:
    """What the arms of one row share.

    Attributes:
        steps: of training or search, the same for every arm.
        primary: the task that is wanted in the end.
        auxiliaries: the tasks that help it.
        few: how many training images keep their label of the primary task; 0: all.
        weight: what the loss of each auxiliary task counts in the sum; the primary one counts as its task says.
        view: what the auxiliary networks see instead of the image, as in "depth"; "": the image.
        fusion: a name of `bench.condition.FUSIONS`.
        alpha_lr: ten times the released 0.01: 300 steps are to move α as far as thousands do.
        l1: the end of the ramp of μ.
        into: p at which edges into the primary network begin.
        entropy: the end of λ.
        split: the images that are scored.
    """

    steps: int = RECIPE.steps
    primary: str = "segmentation"
    auxiliaries: Sequence[str] = ("normals",)
    few: int = 0
    weight: float = 1.0
    view: str = ""
    fusion: str = "residual"
    alpha_lr: float = 0.1
    l1: float = L1.end
    into: float = START["into"]
    entropy: float = 10.0
    split: str = "test"

    def lab(self, seed: int) -> Lab:
        """The networks of this seed: every arm begins with the same."""
        made = Condition(
            name="aux",
            about="",
            tasks=(self.primary, *self.auxiliaries),
            fusion=self.fusion,
        )
        if self.few:
            made = replace(made, few_labels={self.primary: self.few})
        if self.view:
            made = replace(made, views=dict.fromkeys(self.auxiliaries, self.view))
        lab = made.lab(seed)
        weighed = {name: replace(lab.tasks[name], weight=self.weight) for name in self.auxiliaries}
        return replace(lab, tasks={**lab.tasks, **weighed})

    def config(self, seed: int) -> SearchConfig:
        """Gates are σ(α) in both updates, as released; the learning rate of w falls as in every arm."""
        return replace(
            RECIPE,
            steps=self.steps,
            seed=seed,
            alpha_lr=self.alpha_lr,
            alpha_betas=ALPHA_BETAS,
            weight_gates="deterministic",
            entropy_weight=Schedule(self.entropy, 0.0, (0.0, 1.0)),
            l1_weight=replace(L1, end=self.l1),
        )


def single_task(seed: int, **settings) -> dict[str, float]:
    """The primary network by itself."""
    setting = Setting(**settings)
    return _by_itself(without_candidates(setting.lab(seed)), setting, seed)


def _by_itself(lab: Lab, setting: Setting, seed: int) -> dict[str, float]:
    found = _trained(lab, setting, Search(lab, setting.config(seed), gates=()))
    return found | {"training_operations": found["operations"]}


def labelled_only(seed: int, **settings) -> dict[str, float]:
    """The primary network by itself, taught by the labelled images alone: none of its batches is without a label."""
    setting = Setting(**settings)
    lab = without_candidates(setting.lab(seed))
    train = lab.data["train"]
    target = _target(train, setting.primary)
    labelled = [
        i for i in range(len(train)) if lab.tasks[setting.primary].labelled(target[i : i + 1])
    ]
    lab.data = {**lab.data, "train": train.subset(torch.tensor(labelled))}
    return _by_itself(lab, setting, seed)


def trunk(seed: int, **settings) -> dict[str, float]:
    """One backbone for all tasks: the other way to learn from an auxiliary task and to pay nothing for it."""
    setting = Setting(**settings)
    lab = shared_trunk(setting.lab(seed))
    return _trained(lab, setting, Search(lab, setting.config(seed), gates=()))


def aux_g(seed: int, **settings) -> dict[str, float]:
    """Edges into the primary network are shut from the start: the auxiliary loss sends gradients, and nothing else."""
    return _aux(Setting(**settings), seed, shut=True)


def aux_nas(seed: int, **settings) -> dict[str, float]:
    """Edges both ways; those into the primary network are shut by L1 while the search runs."""
    return _aux(Setting(**settings), seed, shut=False)


def _aux(setting: Setting, seed: int, shut: bool) -> dict[str, float]:
    lab = set_starts(star(setting.lab(seed), setting.primary), setting.primary, into=setting.into)
    search = aux_search(lab, setting.primary, setting.config(seed), shut)
    found = _trained(lab, setting, search)
    into = torch.tensor(edges_into(lab.space, setting.primary))
    gap = 0.0 if shut else difference(lab, setting.primary, setting.split)
    open_in = torch.sigmoid(lab.alphas.alpha.detach())[into].max()
    return found | {"max_difference": gap, "largest_gate_in": 0.0 if shut else float(open_in)}


def mtl_nas(seed: int, **settings) -> dict[str, float]:
    """The search for both tasks: entropy on all edges, and both networks are used. Costs twice as much: an upper bound."""
    setting = Setting(**settings)
    lab = star(setting.lab(seed), setting.primary)
    config = replace(setting.config(seed), l1_weight=0.0)
    return _trained(lab, setting, Search(lab, config), alone=False)


def _trained(lab: Lab, setting: Setting, search: Search, alone: bool = True) -> dict[str, float]:
    """Train or search; then the primary task on test images, by its network alone or by the graph that was found."""
    go_on(search, f"the search of seed {search.config.seed}")
    kept = no_edges(lab.space).kept if alone else lab.derive().kept
    training = lab.seen(sequential(lab.data["train"], lab.targets, 32))
    with recalibrated(lab.supernet, kept, training):
        output = _outputs(lab, kept, setting.split)[setting.primary]
    task = lab.tasks[setting.primary]
    target = _target(lab.data[setting.split], setting.primary)
    meter = task.meter()
    meter.update(output, target)
    found = {
        "primary_score": meter.compute()[SCORE[setting.primary]],
        "primary_loss": task.loss(output, target).item(),
        "edges": sum(kept),
    }
    return found | _operations(lab, setting.primary, kept)


def _target(pack: ImageDataset, task: str) -> Tensor:
    """Of all images of a pack."""
    ((_, targets),) = sequential(pack, (task,), len(pack))
    return targets[task]


def _operations(lab: Lab, primary: str, kept: Sequence[bool]) -> dict[str, float]:
    """Multiply-adds of one image, in use and in training."""
    if not hasattr(lab.supernet, "backbones"):  # a shared trunk: in use the other heads are gone
        image, _ = lab.data["val"].batch(torch.tensor([0]), ())
        training = operations(lab.supernet, image)
        lab.supernet.heads = torch.nn.ModuleDict({primary: lab.supernet.heads[primary]})
        return {"operations": operations(lab.supernet, image), "training_operations": training}
    prices = price(lab, primary)
    used = prices["use"]
    if any(kept):
        image, _ = lab.data["val"].batch(torch.tensor([0]), ())
        used = operations(prune(lab.supernet, kept), image)
    return {"operations": used, "training_operations": prices["training"]}


ARMS = {
    "single_task": single_task,
    "labelled_only": labelled_only,
    "shared_trunk": trunk,
    "aux_g": aux_g,
    "aux_nas": aux_nas,
    "mtl_nas": mtl_nas,
}
