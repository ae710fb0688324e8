"""What a search says: events, one line of JSON each; the log that listens; replay.

A line reads `{"seq":7,"kind":"step",…,"crc":"1c291ca3"}`. `seq` counts the records of a run from 1 without a hole; `crc` is
the CRC-32 of the line without its crc member. Numbers that JSON lacks are the strings "NaN", "Infinity", "-Infinity". A
reader starts afresh at every newline, so damage costs the lines it hits and no other.
"""
from __future__ import annotations

import json
import math
import operator
import os
import re
import reprlib
import stat
import zlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .errors import RunError
from .space import SearchSpace

LINE, DEPTH, EVENTS, NOTES = 2**20, 64, 5_000_000, 1_000    # bytes of a line, its brackets, records of a log, problems listed
Numbers, Losses, Scores = tuple[float, ...], dict[str, float], dict


@dataclass(frozen=True)
class Started:
    """The first record of a run. Its copies of config and space are the ones that count."""
    config: dict
    space: dict
    versions: dict
    device: str
    threads: int

@dataclass(frozen=True)
class Step:
    """One search step under E edges (E = 0 while backbones are pretrained)."""
    step: int                       # how many steps are done, this one included
    alpha: Numbers                  # E
    alpha_grad: Numbers             # E, of the task losses alone
    loss: Losses                    # {task: value}
    entropy: float                  # nats, mean over the edges
    entropy_fraction: float         # over ln 2
    entropy_weight: float
    l1_weight: float
    temperature: float
    alpha_lr: float
    seconds: float                  # what this step took

@dataclass(frozen=True)
class Evaluated:
    step: int
    scores: Scores                  # as in scores.json: {gates: {task: {metric: value}}}

@dataclass(frozen=True)
class Turned:
    step: int                       # the next step is the first under these knobs
    knobs: Scores

@dataclass(frozen=True)
class Checkpoint:
    step: int
    file: str                       # in the run's folder `checkpoints`
    sha256: str

@dataclass(frozen=True)
class Resumed:
    """The run goes on from a checkpoint: earlier records with seq > from_seq stay in the file but no longer count."""
    from_step: int
    from_seq: int

@dataclass(frozen=True)
class Recovered:
    """The record before this one was cut short after so many bytes."""
    bytes: int

@dataclass(frozen=True)
class Failed:
    step: int
    task: str | None
    message: str
    checkpoint: str | None          # the last good one

@dataclass(frozen=True)
class Finished:
    step: int
    seconds: float                  # of the whole search


Event = Started | Step | Evaluated | Turned | Checkpoint | Resumed | Recovered | Failed | Finished
KINDS = {kind.__name__.lower(): kind for kind in Event.__args__}
SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


# --- values and lines -------------------------------------------------------------------------------------------------
def plain(value: object) -> object:
    """`value` in standard JSON: tuples as lists, scalars of arrays as numbers, NaN and infinities as strings."""
    if isinstance(value, dict):
        return {_text(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if value is None or isinstance(value, (str, int, float)) else plain(value.item())


def revive(value: object) -> object:
    """Numbers again of what `plain` made strings, for places where only numbers stand."""
    if isinstance(value, dict):
        return {key: revive(item) for key, item in value.items()}
    return SPECIAL.get(value, value) if isinstance(value, str) else value


def parse(data: bytes) -> object:
    """Standard JSON in UTF-8, at most 64 brackets deep. Raises RunError."""
    depth, inside = 0, False
    for mark in re.finditer(rb'\\.|["\[\]{}]', data, re.S) if data.count(b"[") + data.count(b"{") > DEPTH else ():
        inside ^= mark[0] == b'"'
        depth += 0 if inside else (mark[0] in b"[{") - (mark[0] in b"]}")
        if depth > DEPTH:
            raise RunError(f"more than {DEPTH} brackets deep")
    try:
        value = json.loads(data.decode(), parse_constant=lambda name: {}[name])
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()         # half a surrogate pair is no text
    except (ValueError, KeyError) as error:
        raise RunError(f"no JSON: {reprlib.repr(str(error))}") from None
    return value


def _text(value: str) -> str:
    return value if isinstance(value, str) else operator.index(value)    # raises TypeError


def _whole(value: int) -> int:
    return range(2**53)[operator.index(value)]


def _number(value: object) -> float:
    return SPECIAL[value] if isinstance(value, str) else float(value)
