"""Makes what is shipped in `data_samples/`: the rooms and the single-task backbones pretrained on them."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .baselines import without_candidates
from .data import Pack
from .errors import DataError
from .events import Step
from .experiment import Experiment, run
from .presets import make_lab, preset
from .rooms import CLASSES, ROOMS, render
from .search import Search

SPLITS = {"train": 480, "val": 80, "test": 120}
EXTRA = 2400  # rooms for pretraining, which come after the shipped ones


def make_rooms(out: Path, seed: int = 0, splits: dict[str, int] = SPLITS, size: int = 64) -> Path:
    """Render the rooms into one pack with splits. Depth is stored in steps of 10 mm. The same bytes on the same machine."""
    arrays: dict[str, np.ndarray] = {
        "seg_names": np.array(["unlabelled", *CLASSES]),
        "room_names": np.array(ROOMS),
    }
    _make_place(out)
    first = 0
    for split, count in splits.items():
        for key, array in render(count, size, seed, first).items():
            array = np.asarray(array)
            arrays[f"{split}/{key}"] = (array + 5) // 10 * 10 if key == "depth_mm" else array
        first += count
    with zipfile.ZipFile(
        out, "w", zipfile.ZIP_LZMA
    ) as archive:  # np.load reads it; smaller than np.savez_compressed
        for key, array in arrays.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array, allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{key}.npy", (2026, 1, 1, 0, 0, 0)),
                stream.getvalue(),
                zipfile.ZIP_LZMA,
            )
    return out


def _make_place(out: Path) -> None:
    """The folder for a file, before there is work that could be lost."""
    if os.path.isdir(out):
        raise DataError(f"{out}: is a folder; name the file to write, as in {out / 'rooms.npz'}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror})") from None
    if not os.access(out.parent, os.W_OK):
        raise DataError(f"{out}: cannot be written, its folder is closed")


def make_backbones(out: Path, steps: int = 1500, seed: int = 0) -> Iterator[Path]:
    """Pretrain one `tiny` backbone for each task, side by side, on `EXTRA` rooms that are not shipped (rendered here), and
    save them in half precision."""
    from safetensors.torch import save_file
    from tqdm import tqdm

    arrays = render(EXTRA, 64, seed, first=sum(SPLITS.values()))
    pack = Pack.from_arrays(
        {**arrays, "seg_names": np.array(["unlabelled", *CLASSES]), "room_names": np.array(ROOMS)}
    )
    lab = without_candidates(make_lab("tiny", {"train": pack}, pack.tasks, seed))
    config = replace(preset("tiny").pretrain, steps=steps, seed=seed, lr_power=0.9)
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


def make_runs(out: Path, seed: int = 0, listen=lambda *_: None) -> Iterator[Path]:
    """Record the two shipped searches, with and without the entropy term; what happened, scores and architecture alone."""
    for name, weight in (("entropy", None), ("no_entropy", 0.0)):
        shutil.rmtree(out / name, ignore_errors=True)
        made = Experiment.of("tiny", "rooms", seed, entropy_weight=weight)
        run(
            replace(
                made, search=replace(made.search, evaluate_every=max(1, made.search.steps // 10))
            ),
            out / name,
            listen=listen,
        )
        for part in ("checkpoints", "baselines"):
            shutil.rmtree(out / name / part)
        for part in ("weights.safetensors", "lock"):
            (out / name / part).unlink()
        yield out / name
