"""Is α informative? σ(α) of a finished run against what each edge is worth to the network that the run left.

    measure("runs/demo")            # an evaluation an edge; leaves edge_worth.json in the run folder
    correlations(read("runs/demo"))

An edge is worth the loss without it minus the loss with it, every other edge as in the architecture: a kept edge is taken
away, a dropped one is opened. Weights and batch-norm statistics stay as they are, so a dropped edge is opened on to weights
that the end of the search no longer taught. Its gradient score is |∂L/∂gate| at the same network. Losses are of the test
images, each task with its weight.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..core.architecture import Architecture
from ..core.evaluate import Scores, evaluate
from ..core.lab import Lab
from ..data import loader
from ..errors import RunError
from ..experiments.pipeline import reopen
from ..models.pruned import operations
from ..runs.run import Run
from ..storage.jsonl import read_json, to_jsonable
from ..storage.safe_files import replace
from .statistics import delta_m

FILE = "edge_worth.json"


ROW = {"edge", "kept", "alpha", "worth", "gradient", "points"}


KINDS = {
    "worth": "loss without the edge minus loss with it",
    "gradient": "|∂ loss / ∂ gate| at the finished network",
    "points": "score lost without the edge (% of the score with it)",
}


def measure(path: str | Path, device: str = "auto") -> list[dict]:
    """Scores every candidate edge of a finished run and leaves the result in its folder; returns `read` of it."""
    lab, architecture = reopen(path, device=device)
    if architecture.alpha is None:
        raise RunError(
            f"{path} searched nothing: its edges have no α to compare with; give a run of a search"
        )
    pack = lab.data.get("test") or lab.data["val"]
    batches = lambda: loader.sequential(pack, tuple(lab.tasks), 32)  # noqa: E731
    gates = torch.tensor(architecture.kept, dtype=torch.float32, device=lab.device)
    with_all, gradient = _loss_and_gradient(lab, gates, batches())
    flipped = [_loss(lab, architecture.flipped(i), batches()) for i in range(len(lab.space))]
    scores, changes = Run.open(path).scores()["hard"], ablate(lab, architecture, batches)
    points = {
        edge: -delta_m(
            {
                task: {metric: scores[task][metric] + change for metric, change in of.items()}
                for task, of in tasks.items()
            },
            scores,
        )
        for edge, tasks in changes.items()
    }
    rows = [
        {
            "edge": str(edge),
            "kept": keep,
            "alpha": alpha,
            "worth": (loss - with_all) if keep else (with_all - loss),
            "gradient": abs(float(g)) / len(pack),
            "points": points.get(str(edge)),
        }
        for edge, keep, alpha, loss, g in zip(
            lab.space.edges, architecture.kept, architecture.alpha, flipped, gradient
        )
    ]
    record = {"meaning": KINDS, "images": len(pack), "loss": with_all, "edges": rows}
    replace(
        Path(path) / FILE,
        (json.dumps(to_jsonable(record), indent=1, allow_nan=False) + "\n").encode(),
    )
    return rows


def read(path: str | Path) -> list[dict]:
    """[{edge, kept, alpha, worth, gradient, points}] as `measure` left it; points: of kept edges only."""
    rows = read_json(Path(path) / FILE).get("edges")
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {*row} >= ROW for row in rows
    ):
        raise RunError(
            f"{Path(path) / FILE} is damaged: it holds no list of edges; measure the run again"
        )
    return rows


def correlations(rows: Sequence[dict]) -> dict[str, float]:
    """Spearman's rank correlation of α with each of KINDS over the kept edges, and of the gradient with the worth (a score to
    hold α against); NaN with fewer than three kept edges, or where all are alike. σ(α) has the ranks of α, and never all ones."""
    kept = [row for row in rows if row["kept"]]
    pairs = {
        **{kind: ("alpha", kind) for kind in KINDS},
        "gradient on worth": ("gradient", "worth"),
    }
    return {
        name: _spearman([row[x] for row in kept], [row[y] for row in kept])
        for name, (x, y) in pairs.items()
    }


def _spearman(x: Sequence[float], y: Sequence[float]) -> float:
    from scipy import stats

    return (
        float(stats.spearmanr(x, y).statistic)
        if len({*x}) > 1 and len({*y}) > 1 and len(x) > 2
        else math.nan
    )


@torch.no_grad()
def _loss(lab: Lab, gates: Sequence[bool], batches) -> float:
    """Mean loss over the images, all tasks by their weights, in evaluation mode."""
    return _mean(lab, gates, batches, lambda loss: loss)


def _loss_and_gradient(lab: Lab, gates: Tensor, batches) -> tuple[float, Tensor]:
    """The same, and the gradient of the images' sum by the gates (E,)."""
    gates, gradient = gates.requires_grad_(), torch.zeros_like(gates)

    def backward(loss: Tensor) -> Tensor:
        gradient.add_(torch.autograd.grad(loss, [gates])[0])
        return loss.detach()

    return _mean(lab, gates, batches, backward), gradient


def _mean(lab: Lab, gates, batches, each) -> float:
    network, total, images = lab.supernet.eval(), 0.0, 0
    for image, targets in batches:
        losses = lab.loss(network(image, gates), targets)
        total += float(
            each(len(image) * sum(lab.tasks[name].weight * loss for name, loss in losses.items()))
        )
        images += len(image)
    return total / images


def edge_costs(lab: Lab, architecture: Architecture, image: Tensor) -> dict[str, float]:
    """{edge: share} of the multiply-adds of a forward pass of `image` (B, 3, H, W) that go with each kept edge."""
    training, kept = lab.supernet.training, architecture.kept
    lab.supernet.eval()
    total = operations(lab.supernet, image, kept)
    costs = {
        str(lab.space.edges[i]): 1
        - operations(lab.supernet, image, architecture.flipped(i)) / total
        for i, keep in enumerate(kept)
        if keep
    }
    lab.supernet.train(training)
    return costs


def ablate(
    lab: Lab,
    architecture: Architecture,
    batches: Callable[[], Iterable],
    through: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> dict[str, Scores]:
    """{edge: {task: {metric: score without the edge − score with it}}} of each kept edge, in the metric's own unit.

    One evaluation an edge, under hard gates, with weights and batch-norm statistics as they are: what the network leans
    on, not what it could learn to do without. `batches()` makes the batches anew; `through` goes through the indices of
    the kept edges, as a progress bar does.
    """
    with_all, changes = evaluate(lab.supernet, architecture.kept, lab.tasks, batches()), {}
    for i in through([i for i, keep in enumerate(architecture.kept) if keep]):
        without = evaluate(lab.supernet, architecture.flipped(i), lab.tasks, batches())
        changes[str(lab.space.edges[i])] = {
            task: {metric: value - with_all[task][metric] for metric, value in found.items()}
            for task, found in without.items()
        }
    return changes
