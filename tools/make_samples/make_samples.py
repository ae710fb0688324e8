"""Makes what is shipped in `data_samples/` again, beside its rooms: the backbones pretrained on rooms, and four searches.

python tools/make_samples/make_samples.py backbones [--out FOLDER] [--steps N] [--seed N]
python tools/make_samples/make_samples.py runs [--out FOLDER] [--seed N] [--names NAME …]
python tools/make_samples/make_samples.py seeds [--out FILE]
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import tyro
from safetensors.torch import save_file
from tqdm import tqdm

from mtlnas_lab.analysis.results import StudyResults
from mtlnas_lab.analysis.study import FOLDER, Study
from mtlnas_lab.analysis.tables import markdown_table
from mtlnas_lab.cli.progress import Progress, interruptible
from mtlnas_lab.core.events import Step
from mtlnas_lab.core.search import Search
from mtlnas_lab.data.dataset import ImageDataset
from mtlnas_lab.data.rooms import CLASSES, ROOMS, SPLITS, render
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import run
from mtlnas_lab.experiments.presets import make_lab, preset, with_budget
from mtlnas_lab.models.baselines import without_candidates

EXTRA = 2400  # rooms for pretraining, which come after the shipped ones

# how the preset taught when backbones and searches were recorded
TAUGHT = {"augment": True, "lr_power": 0.0}

# {a recorded search: what it does otherwise than the preset}; the last two are as in data_samples/studies/blind.yaml
RUNS = {
    "entropy": TAUGHT,
    "no_entropy": TAUGHT | {"entropy_weight": 0.0},
    "seeing": TAUGHT | {"steps": 200, "alpha_lr": 0.03},
    "blind": TAUGHT | {"steps": 200, "alpha_lr": 0.03, "visibility": {"segmentation": 0}},
}


def make_backbones(out: Path, steps: int = 1500, seed: int = 0) -> Iterator[Path]:
    """Pretrain one `tiny` backbone for each task, side by side, on `EXTRA` rooms that are not shipped (rendered here), and
    save them in half precision."""
    arrays = render(EXTRA, 64, seed, first=sum(SPLITS.values()))
    pack = ImageDataset.from_arrays(
        {**arrays, "seg_names": np.array(["unlabelled", *CLASSES]), "room_names": np.array(ROOMS)}
    )
    lab = without_candidates(make_lab("tiny", {"train": pack}, pack.tasks, seed))
    config = replace(preset("tiny").pretrain, steps=steps, seed=seed, augment=True)
    with tqdm(total=steps, desc="backbones", unit="step") as bar:
        for event in Search(lab, config):
            if isinstance(event, Step):
                bar.set_postfix(
                    {task: f"{loss:.3f}" for task, loss in event.loss.items()}, refresh=False
                )
                bar.update()
    out.mkdir(parents=True, exist_ok=True)
    for task, backbone in lab.supernet.backbones.items():
        tensors = {
            name: value.half() if value.is_floating_point() else value
            for name, value in backbone.state_dict().items()
        }
        save_file(
            {name: value.contiguous() for name, value in tensors.items()},
            out / f"rooms_{task}.safetensors",
            metadata={
                "task": task,
                "data": "rooms",
                "preset": "tiny",
                "steps": str(steps),
                "seed": str(seed),
                "torch": torch.__version__,
            },
        )
        yield out / f"rooms_{task}.safetensors"


def make_runs(
    out: Path, seed: int = 0, names: Iterable[str] = tuple(RUNS), listen=lambda *_: None
) -> Iterator[Path]:
    """Record the shipped searches of these names; what happened, scores and architecture alone."""
    for name in names:
        shutil.rmtree(out / name, ignore_errors=True)
        made = Experiment.from_preset("tiny", "rooms", seed)
        search = with_budget(made.search, **RUNS[name])
        search = replace(search, evaluate_every=max(1, search.steps // 10))
        run(
            replace(made, search=search),
            out / name,
            listen=listen,
            figures=("pdf", "svg"),  # smaller than a PNG, and enough
        )
        for part in ("checkpoints", "baselines"):
            shutil.rmtree(out / name / part)
        for part in ("weights.safetensors", "lock"):
            (out / name / part).unlink()
        yield out / name


def table_of_seeds(results: StudyResults, count: int = 5) -> str:
    """What other seeds of the recorded searches `seeing` and `blind` found, from study `blind`, as a page of Markdown."""
    named = {"both see": "seeing", "segmentation 0": "blind"}
    ways = results.ways[results.ways.dial == "segmentation 0"]
    score = results.final[results.final.kind == "hard"].set_index(["row", "seed", "task", "metric"])
    lines = []
    for seed in sorted(set(ways.seed))[:count]:
        for way in ways[(ways.seed == seed) & ways.row.isin(named)].itertuples():
            miou = score.value[way.row, seed, "segmentation", "miou"]
            angle = score.value[way.row, seed, "normals", "mean_angle"]
            shares = [f"{way.into:.2f}", f"{way.out:.2f}"]
            lines.append([str(seed), named[way.row], *shares, f"{miou:.3f}", f"{angle:.1f}"])
    head = ["seed", "search", "into segmentation", "out of it", "segmentation miou ↑"]
    table = markdown_table([*head, "normals mean_angle ↓"], lines)
    return (
        "# `seeing` and `blind` under other seeds\n\nThe two recorded searches have seed 0. The same searches under other "
        "seeds, from the study `blind`: the share of the candidate edges into segmentation's network that are open at the "
        f"end, of those out of it, and scores on the test pictures, cut to hard gates.\n\n{table}\n"
    )


def backbones(out: Path = Path("data_samples/backbones"), steps: int = 1500, seed: int = 0) -> None:
    """Make the shipped single-task backbones of the rooms again (renders the rooms to train on; some minutes)."""
    for path in make_backbones(out, steps, seed):
        print(path)


def runs(
    out: Path = Path("data_samples/runs"), seed: int = 0, names: tuple[str, ...] = tuple(RUNS)
) -> None:
    """Record the shipped searches of the rooms again: with the entropy term and without, seeing and blind (minutes each)."""
    with interruptible() as stopped, Progress(stopped) as progress:
        for path in make_runs(out, seed, names, progress):
            print(path)


def seeds(out: Path = Path("data_samples/runs/seeds.md")) -> None:
    """Write what other seeds of `seeing` and `blind` found, from the shipped tables of the study `blind`."""
    results = StudyResults.read(Study.load("blind"), FOLDER / "blind-small")
    out.write_text(table_of_seeds(results), encoding="utf-8")
    print(out)


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"backbones": backbones, "runs": runs, "seeds": seeds})
