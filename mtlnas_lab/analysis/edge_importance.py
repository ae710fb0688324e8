"""What an edge is worth: in loss, in score, in operations, and by its gradient; and whether α knew.

    measure("runs/demo")            # an evaluation an edge; leaves edge_worth.json in the run folder
    correlations(read("runs/demo"))

Every number is taken from the finished network, with all other edges as in the architecture and with weights and batch-norm
statistics as they are:

    worth       the loss without the edge minus the loss with it. A kept edge is taken away, a dropped one is opened, on to
                weights that the end of the search no longer taught.
    gradient    |∂L/∂gate|
    points      the score lost without a kept edge (`ablate`), in per cent of the score with it
    operations  the share of the multiply-adds that goes with a kept edge (`edge_costs`)

Losses are of the test images, each task with its weight.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..core.architecture import Architecture
from ..core.evaluate import Meters, Scores, evaluate, evaluating
from ..core.lab import Lab
from ..core.supernet import images_in
from ..data import loader
from ..data.views import Inputs
from ..errors import RunError
from ..experiments.pipeline import reopen
from ..models.pruned import operations
from ..runs.run import Run
from ..storage.jsonl import read_json, to_jsonable
from ..storage.safe_files import replace
from .statistics import delta_m

FILE = "edge_worth.json"
FIELDS = {"edge", "kept", "alpha", "worth", "gradient", "points"}  # of an edge, in that file
KINDS = {
    "worth": "loss without the edge minus loss with it",
    "gradient": "|∂ loss / ∂ gate| at the finished network",
    "points": "score lost without the edge (% of the score with it)",
}
PAIRS = {
    "worth": ("alpha", "worth"),
    "gradient": ("alpha", "gradient"),
    "points": ("alpha", "points"),
    # the gradient costs one pass and claims to foresee the worth: a score to hold α against
    "gradient on worth": ("gradient", "worth"),
}

BATCH = 32  # images; of an evaluation, so its size changes nothing but memory and time
TOGETHER = 8  # edges that are scored in one go: of each the meters of normals keep every pixel until its end


# --- of a finished run ------------------------------------------------------------------------------------------------
def measure(path: str | Path, device: str = "auto") -> list[dict]:
    """Scores every candidate edge of a finished run, and leaves the result in its folder as edge_worth.json.

    Args:
        path: The run folder.
        device: auto, cpu, cuda or mps.

    Returns:
        What `read` returns of it.

    Raises:
        RunError: The run is not finished, or it searched nothing, so that its edges have no α.
    """
    lab, architecture = reopen(path, device=device)
    if architecture.alpha is None:
        raise RunError(
            f"{path} searched nothing: its edges have no α to compare with; give a run of a search"
        )
    pack = lab.data.get("test") or lab.data["val"]

    def batches() -> Iterable:
        return lab.seen(loader.sequential(pack, lab.targets, BATCH))

    gates = torch.tensor(architecture.kept, dtype=torch.float32, device=lab.device)
    with_all, gradient = loss_and_gradient(lab, gates, batches())
    flipped = _flipped_losses(lab, architecture, batches())
    points = _points_lost(Run.open(path).scores()["hard"], ablate(lab, architecture, batches))

    rows = []
    for i, edge in enumerate(map(str, lab.space.edges)):
        worth = flipped[i] - with_all
        if not architecture.kept[i]:
            worth = -worth  # here the flipped network is the one *with* the edge
        rows.append(
            {
                "edge": edge,
                "kept": architecture.kept[i],
                "alpha": architecture.alpha[i],
                "worth": worth,
                "gradient": abs(float(gradient[i])) / len(pack),
                "points": points.get(edge),
            }
        )
    record = {"meaning": KINDS, "images": len(pack), "loss": with_all, "edges": rows}
    text = json.dumps(to_jsonable(record), indent=1, allow_nan=False) + "\n"
    replace(Path(path) / FILE, text.encode())
    return rows


def _points_lost(scores: Scores, changes: dict[str, Scores]) -> dict[str, float]:
    """{edge: Δm points lost without it}, from the final scores and what `ablate` found."""
    points = {}
    for edge, tasks in changes.items():
        without = {}
        for task, metrics in tasks.items():
            without[task] = {name: scores[task][name] + change for name, change in metrics.items()}
        points[edge] = -delta_m(without, scores)
    return points


def read(path: str | Path) -> list[dict]:
    """[{edge, kept, alpha, worth, gradient, points}] as `measure` left it in a run folder; points: of kept edges only.

    Raises:
        RunError: The file is not there, or is damaged.
    """
    file = Path(path) / FILE
    rows = read_json(file).get("edges")
    sound = isinstance(rows, list) and all(isinstance(r, dict) and {*r} >= FIELDS for r in rows)
    if not sound:
        raise RunError(f"{file} is damaged: it holds no list of edges; measure the run again")
    return rows


def correlations(rows: Sequence[dict]) -> dict[str, float]:
    """Spearman's rank correlation, over the kept edges, of each of PAIRS.

    Ranks are compared, so α serves as well as σ(α), which rounds to 1 where α is large.

    Args:
        rows: What `read` returns; only `kept` and the numbers are looked at.

    Returns:
        {name in PAIRS: correlation from -1 to 1}; NaN with fewer than three kept edges, or where all are alike.

    Example:
        >>> rows = [
        ...     {"kept": True, "alpha": a, "worth": a * a, "gradient": -a, "points": 1.0}
        ...     for a in (1.0, 2.0, 3.0)
        ... ]
        >>> {name: round(value, 1) for name, value in correlations(rows).items()}
        {'worth': 1.0, 'gradient': -1.0, 'points': nan, 'gradient on worth': -1.0}
    """
    kept = [row for row in rows if row["kept"]]
    found = {}
    for name, (x, y) in PAIRS.items():
        found[name] = _spearman([row[x] for row in kept], [row[y] for row in kept])
    return found


def _spearman(x: Sequence[float], y: Sequence[float]) -> float:
    from scipy import stats

    if len(x) < 3 or len({*x}) == 1 or len({*y}) == 1:
        return math.nan  # scipy would warn: there are no ranks
    return float(stats.spearmanr(x, y).statistic)


# --- in loss, and by its gradient -------------------------------------------------------------------------------------
@torch.no_grad()
def mean_loss(lab: Lab, gates: Sequence[bool], batches: Iterable) -> float:
    """Mean loss over the images, all tasks by their weights, in evaluation mode."""
    total = 0.0
    images = 0
    for loss, count in _losses(lab, gates, batches):
        total += float(loss)
        images += count
    return total / images


def loss_and_gradient(lab: Lab, gates: Tensor, batches: Iterable) -> tuple[float, Tensor]:
    """The mean loss, and the gradient of the images' summed loss by the gates (E,)."""
    gates = gates.requires_grad_()
    gradient = torch.zeros_like(gates)
    total = 0.0
    images = 0
    for loss, count in _losses(lab, gates, batches):
        gradient += torch.autograd.grad(loss, [gates])[0]
        total += float(loss.detach())
        images += count
    return total / images, gradient


@torch.no_grad()
def _flipped_losses(lab: Lab, architecture: Architecture, batches: Iterable) -> list[float]:
    """The mean loss with each candidate edge the other way round, in the order of the edges."""
    edges = range(len(architecture.kept))
    totals = [0.0 for _ in edges]
    images = 0
    for seen, targets in batches:
        count = images_in(seen)
        images += count
        for i, outputs in _flipped(lab, architecture, edges, seen):
            totals[i] += float(_summed(lab, outputs, targets, count))
    return [total / images for total in totals]


def _losses(lab: Lab, gates, batches: Iterable) -> Iterable[tuple[Tensor, int]]:
    """(summed loss of its images, number of images) of each batch, in evaluation mode."""
    network = lab.supernet.eval()
    for seen, targets in batches:
        count = images_in(seen)
        yield _summed(lab, network(seen, gates), targets, count), count


def _summed(
    lab: Lab, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], count: int
) -> Tensor:
    """The loss of a batch, all tasks by their weights, times its number of images."""
    return count * lab.total(lab.loss(outputs, targets))


# --- in operations ----------------------------------------------------------------------------------------------------
def edge_costs(lab: Lab, architecture: Architecture, image: Inputs) -> dict[str, float]:
    """The share of the multiply-adds of a forward pass that goes with each kept edge.

    Args:
        lab: Holds the supernet.
        architecture: Which edges are kept.
        image: (B, 3, H, W), or {task: what its network sees}; the shares do not depend on B.

    Returns:
        {edge: share, 0 to 1}, the edge as `segmentation:2 -> normals:3`.
    """
    costs = {}
    with evaluating(lab.supernet):
        total = operations(lab.supernet, image, architecture.kept)
        for i, keep in enumerate(architecture.kept):
            if keep:
                without = operations(lab.supernet, image, architecture.flipped(i))
                costs[str(lab.space.edges[i])] = 1 - without / total
    return costs


# --- in score ---------------------------------------------------------------------------------------------------------
def ablate(
    lab: Lab,
    architecture: Architecture,
    batches: Callable[[], Iterable],
    through: Callable[[Iterable], Iterable] = iter,
) -> dict[str, Scores]:
    """What each kept edge adds to the scores: it is taken away, and the network is scored again.

    One evaluation an edge, under hard gates, with weights and batch-norm statistics as they are. So it tells what the
    network leans on, not what it could learn to do without. What lies before an edge is run once for several edges.

    Args:
        lab: Holds the supernet and the tasks.
        architecture: Which edges are kept.
        batches: Makes the batches (image, targets) anew, each time it is called; `lab.seen` gives them as the networks
            see them.
        through: Goes through the passes, one for each batch and kept edge, as a progress bar does.

    Returns:
        {edge: {task: {metric: score without the edge − score with it}}}, in the metric's own unit.

    Example:
        >>> import torch
        >>> from mtlnas_lab import Architecture, presets
        >>> from mtlnas_lab.data.loader import sequential
        >>> lab = presets.tiny()
        >>> images = lab.data["val"].subset(torch.arange(2))
        >>> first = Architecture(lab.space, (True, *[False] * (len(lab.space) - 1)))
        >>> changes = ablate(lab, first, lambda: sequential(images, lab.tasks))
        >>> {edge: sorted(tasks) for edge, tasks in changes.items()}
        {'normals:0 -> segmentation:0': ['normals', 'segmentation']}
    """
    with_all = evaluate(lab.supernet, architecture.kept, lab.tasks, batches())
    kept = [i for i, keep in enumerate(architecture.kept) if keep]
    without: dict[int, Scores] = {}
    for _ in through(_scoring(lab, architecture, kept, batches, without)):
        pass
    changes = {}
    for i in kept:
        changes[str(lab.space.edges[i])] = {
            task: _minus(without[i][task], with_all[task]) for task in without[i]
        }
    return changes


@torch.no_grad()
def _scoring(
    lab: Lab,
    architecture: Architecture,
    edges: Sequence[int],
    batches: Callable[[], Iterable],
    scores: dict[int, Scores],
) -> Iterator[int]:
    """Fills in the scores with each of these edges the other way round, {index: scores}; gives an index for each pass."""
    deeper = sorted(edges, key=lambda i: lab.space.place[lab.space.edges[i].target])
    for first in range(0, len(deeper), TOGETHER):
        meters = {i: Meters(lab.tasks) for i in deeper[first : first + TOGETHER]}
        for seen, targets in batches():
            for i, outputs in _flipped(lab, architecture, meters, seen):
                meters[i].update(outputs, targets)
                yield i
        for i, counted in meters.items():
            scores[i] = counted.compute()


def _flipped(
    lab: Lab, architecture: Architecture, edges: Iterable[int], seen: Inputs
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """(index, outputs) of a batch with each of these edges the other way round, by the depth of its target; in evaluation
    mode. What lies before an edge is run once for all."""
    others = {i: architecture.flipped(i) for i in edges}
    with evaluating(lab.supernet):
        yield from lab.supernet.turned(seen, architecture.kept, others)


def _minus(scores: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {metric: value - other[metric] for metric, value in scores.items()}
