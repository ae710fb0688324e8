"""Makes records of a table again, to see that they are what its code makes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..values import MOST, whole
from .table import FusionTable


@dataclass(frozen=True)
class Again:
    """One record that was trained again: the largest relative difference of any of its scores, and where that is."""

    graph: int
    seed: int
    difference: float
    column: str


def made_again(table: FusionTable, count: int = 10, seed: int = 0) -> Iterator[Again]:
    """Trains some records of a table now and compares every score; float32 keeps seven digits.

    Args:
        table: Whose records.
        count: How many, drawn without repetition.
        seed: Draws them.

    Raises:
        ConfigError: The count is not from 1 to the number of records.
    """
    frame = table.frame()
    count = whole("records", count, 1, min(len(frame), MOST))
    rows = random.Random(seed).sample(range(len(frame)), count)
    for row in rows:
        there = frame.iloc[row]
        graph = int(there["graph"])
        under = int(there["seed"])
        now = table.train(graph, under)
        worst = 0.0
        place = ""
        for column, value in now.items():
            if column == "seconds":
                continue
            known = np.float32(there[column])
            off = abs(np.float32(value) - known) / max(abs(known), np.float32(1e-6))
            if off > worst:
                worst = float(off)
                place = column
        yield Again(graph, under, worst, place)
