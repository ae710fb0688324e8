"""Compare the library with golden values of the released implementation.

    python tests/golden/check.py FILE.npz FILE.yaml

Prints the worst error of every key and exits with 1 when one is out of tolerance. Everything runs in float64 through the
library's public functions; what the keys mean is told in README.md beside this file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import torch

from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.evaluate import evaluate
from mtlnas_lab.core.relaxation import all_open, deterministic, discretize, entropy, l1
from mtlnas_lab.core.search import Search
from mtlnas_lab.models import released as official

OUTPUTS = {"out1": "segmentation", "out2": "normals"}
GATES = {"onehot": discretize, "sigmoid": deterministic, "all": all_open}


def check(npz: str, yaml: str) -> dict[str, tuple[float, float]]:
    """{key: (worst error, tolerance)} for every key of the file."""
    file = np.load(npz, allow_pickle=False)
    golden = {key: file[key] for key in file.files}
    state = {
        key.removeprefix("state/"): value
        for key, value in golden.items()
        if key.startswith("state/")
    }
    released = official.read_released(yaml)
    errors: dict[str, tuple[float, float]] = {}

    read = official.from_released(state, dropout=0.0)

    def fresh(dtype=torch.float64):
        lab = read.copy()
        lab.supernet.to(dtype)
        lab.alphas.to(dtype)
        lab.tasks = {
            "segmentation": replace(lab.tasks["segmentation"], absent="zero"),
            "normals": replace(
                lab.tasks["normals"],
                weight=released.normals_weight,
                thresholds=(11.25, 22.5, 30.0, 45.0),
            ),
        }
        return lab

    def compare(key: str, mine, tolerance: float = 1e-8, relative: bool = True):
        theirs, mine = np.asarray(golden[key], np.float64), np.asarray(mine, np.float64)
        scale = max(np.abs(theirs).max(), 1e-300) if relative else 1.0
        worst = np.abs(mine - theirs).max() / scale if mine.shape == theirs.shape else np.inf
        errors[key] = (float(worst) if np.isfinite(mine).all() else np.inf, tolerance)

    lab = fresh()
    space, config = lab.space, released.search
    connectivity = np.zeros_like(golden["connectivity"])
    for edge in space.edges:
        if edge.target.task == "segmentation":
            connectivity[edge.target.stage, edge.source.stage] = 1
    compare("connectivity", connectivity, 0.0)

    for dtype, prefix, tolerance in (
        (torch.float64, "eval", 1e-8),
        (torch.float32, "eval32", 1e-4),
    ):
        lab = fresh(dtype)
        lab.supernet.eval()
        for gates in {key.split("/")[1] for key in golden if key.startswith(f"{prefix}/")}:
            with torch.no_grad():
                outputs = lab.supernet(
                    torch.tensor(golden["image"], dtype=dtype), GATES[gates](lab.alphas.alpha)
                )
            for out, task in OUTPUTS.items():
                compare(f"{prefix}/{gates}/{out}", outputs[task], tolerance)

    _train(fresh(), config, golden, compare)
    _trajectory(fresh(), config, golden, compare)
    return errors


def batch(golden, place: str, step: str = ""):
    """(image, targets) in the lab's conventions: classes (B, H, W) int64, normals zero where they were 255."""
    image, seg, normal = (golden[f"{place}{name}{step}"] for name in ("image", "seg", "normal"))
    normal = torch.tensor(normal, dtype=torch.float64)
    return torch.tensor(image, dtype=torch.float64), {
        "segmentation": torch.tensor(seg[:, 0].astype(np.int64)),
        "normals": normal.masked_fill((normal == 255).all(1, keepdim=True), 0.0),
    }


def matrix(space, values, task: str, shape) -> np.ndarray:
    """A vector over edges as the released matrix of the edges into one task."""
    full = np.zeros(shape)
    for edge, value in zip(space.edges, np.asarray(values, np.float64), strict=True):
        if edge.target.task == task:
            full[edge.target.stage, edge.source.stage] = value
    return full


def _train(lab, config: SearchConfig, golden, compare):
    """One training-mode pass under σ(α), with the schedules of step 1."""
    image, targets = batch(golden, "")
    alpha = lab.alphas.alpha
    lab.supernet.train()
    outputs = lab.supernet(image, deterministic(alpha))
    losses = lab.loss(outputs, targets)
    weights = {
        "entropy": config.entropy_weight(1, config.steps),
        "l1": config.l1_weight(1, config.steps),
    }
    costs = torch.tensor(lab.space.costs, dtype=torch.float64) if config.l1_by_cost else 1.0
    terms = {"entropy": entropy(alpha), "l1": l1(alpha, costs)}
    total = sum(lab.tasks[task].weight * loss for task, loss in losses.items())
    for name, term in terms.items():
        total = total + weights[name] * term
        if f"train/{name}_loss" in golden:
            compare(f"train/{name}_loss", term.item())
            compare(f"train/{name}_weight", weights[name])
    total.backward()
    for out, task in OUTPUTS.items():
        compare(f"train/{out}", outputs[task].detach())
        compare(f"train/loss{out[-1]}", losses[task].item())
    compare("train/loss", total.item())
    named = dict(lab.supernet.named_parameters())
    ours = {official.released_name(name, lab.space): parameter for name, parameter in named.items()}
    for key in (k for k in golden if k.startswith("train/grad/")):
        name = key.removeprefix("train/grad/")
        if name.endswith("_alphas"):
            task, edges = official.NETS[name[:4]], golden["connectivity"] != 0
            golden[key] = np.where(edges, golden[key], 0.0)
            compare(key, matrix(lab.space, alpha.grad, task, edges.shape))
        else:
            compare(key, ours[name].grad)


def _trajectory(lab, config: SearchConfig, golden, compare):
    """The real search, fed with the recorded batches; then the metrics of the final network under hard gates."""
    steps = 1 + max(
        int(key.rsplit("/", 1)[1]) for key in golden if key.startswith("traj/net1_alphas/")
    )
    batches = {
        place: [batch(golden, f"traj/{place}/", f"/{t}") for t in range(steps)]
        for place in ("search", "train")
    }
    search = Search(
        lab,
        replace(
            config, alpha_gates="deterministic", weight_gates="deterministic", evaluate_every=0
        ),
        weight_batches=iter(batches["train"]),
        alpha_batches=iter(batches["search"]),
    )
    seen = []
    for t in range(steps):
        event = search.step()
        loss1, loss2 = event.loss["segmentation"], event.loss["normals"]
        seen.append(
            [search.objective.item(), loss1 + lab.tasks["normals"].weight * loss2, loss1, loss2]
        )
        for net, task in official.NETS.items():
            key, edges = f"traj/{net}_alphas/{t}", golden["connectivity"] != 0
            golden[key] = np.where(edges, golden[key], 0.0)
            compare(key, matrix(lab.space, event.alpha, task, edges.shape), relative=False)
    compare("traj/losses", seen)
    theirs = json.loads(str(golden["metrics"]))
    scores = evaluate(
        lab.supernet, lab.derive().kept, lab.tasks, batches["search"] + batches["train"]
    )
    seg, normals = scores["segmentation"], scores["normals"]
    mine = {
        "Mean IoU": seg["miou"],
        "Pixel Acc": seg["pixel_accuracy"],
        "Mean": normals["mean_angle"],
        "Median": normals["median_angle"],
        "RMSE": normals["rmse_angle"],
        "11.25": 100 * normals["within_11"],
        "22.5": 100 * normals["within_22"],
        "30": 100 * normals["within_30"],
        "45": 100 * normals["within_45"],
    }
    for name, value in theirs.items():
        golden[f"metrics/{name}"] = value
        compare(f"metrics/{name}", mine[name], 1e-6)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    errors = check(*arguments)
    width = max(map(len, errors))
    for key, (error, tolerance) in errors.items():
        print(
            f"{key:{width}}  {error:8.1e}  {'ok' if error <= tolerance else f'ABOVE {tolerance:g}'}"
        )
    bad = [key for key, (error, tolerance) in errors.items() if not error <= tolerance]
    print(
        f"{len(errors)} keys, {len(bad)} out of tolerance" + (f": {', '.join(bad)}" if bad else "")
    )
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
