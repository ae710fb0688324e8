"""What pilots said of conditions that have no table yet: does a graph's mean over the planned seeds repeat at all?

Each pilot is 16 graphs under 8 seeds; the file keeps their total loss on test, and each task's loss.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import numpy as np

from ..data.open import samples
from ..errors import ConfigError
from ..storage import safe_files
from ..storage.jsonl import read_json
from . import parquet
from .card import RELIABLE, pilot_of, pilot_scores
from .condition import CONDITIONS, Condition
from .noise import NoiseFloor, noise_floor
from .records import load
from .table import FusionTable

FILE = "pilots.json"
DIGITS = 6  # of a kept loss


def pilots() -> dict[str, dict[str, NoiseFloor]]:
    """{condition: {score: its noise floor}} of the shipped pilots, in the order of the conditions.

    Example:
        >>> from mtlnas_lab.bench.pilots import pilots
        >>> pilots()["segmentation-room"]["total"].graphs
        16
    """
    kept = _kept()
    found = {}
    for name in CONDITIONS:
        if name in kept:
            scores = kept[name]["scores"]
            found[name] = {by: noise_floor(np.array(values)) for by, values in scores.items()}
    return found


def judgement(condition: Condition, floors: dict[str, NoiseFloor]) -> str:
    """Which reliability the planned seeds would reach by each score, and whether that is enough for a table; one line."""
    seeds = len(condition.seeds)
    reached = {by: floor.reliability_of(seeds) for by, floor in floors.items()}
    said = ", ".join(f"{by} {value:.2f}" for by, value in reached.items())
    enough = "enough" if reached["total"] >= RELIABLE else f"less than {RELIABLE:g}, no table"
    return f"pilot: reliability over {seeds} seeds {said}; {enough}"


def keep(condition: Condition, records: str | os.PathLike, file: str | os.PathLike) -> None:
    """Puts a finished pilot into a file of pilots; one that was there is replaced.

    Args:
        condition: What it is about.
        records: The folder that `make` left.
        file: Of the pilots; made where it is not there.

    Raises:
        ConfigError: The pilot is not finished.
        RunError: The records are damaged.
    """
    about, _ = parquet.read(Path(records))
    made, _, _, _ = load(Path(records) / "records.jsonl")
    pilot = pilot_of(condition, made)
    if not pilot:
        raise ConfigError(f"{records}: the pilot is not finished; `make` goes on with it")
    frame = parquet.frame_of(pilot)
    table = FusionTable(condition, frame, about)
    scores = {}
    for by, values in pilot_scores(table, frame).items():
        scores[by] = np.round(values, DIGITS).tolist()
    file = Path(file)
    known = read_json(file) if file.is_file() else {}
    known[condition.name] = {
        "versions": about["versions"],
        "machine": about["machine"],
        "graphs": list(table.graphs),
        "scores": scores,
    }
    lines = [f"{json.dumps(name)}: {json.dumps(known[name])}" for name in sorted(known)]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    safe_files.replace(file, text.encode())


@functools.cache
def _kept() -> dict:
    return read_json(samples() / "bench" / FILE)
