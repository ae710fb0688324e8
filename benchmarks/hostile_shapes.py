"""Faults in what a run folder holds: every tensor and every field, in another type, shape or size; loaded or refused.

The work is done in forked children, so that one that is killed by the system (a SIGSEGV, an abort) is seen.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from harness import Tally, drain, fork
from hostile_requests import tiny_search
from torch import Tensor

from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.space import SearchSpace
from mtlnas_lab.errors import MTLNASError
from mtlnas_lab.runs.recorder import record, resume
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.storage.checkpoints import Manifest

CHUNK = 100  # loads of one child
VALUES = [
    None,
    True,
    0,
    1,
    -1,
    3,
    2**31,
    2**63,
    10**30,
    10**400,
    0.5,
    -0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "NaN",
    "9" * 5_000,
    "\x1b[31m\n",
    [],
    [[]],
    ["x"],
    [None] * 3,
    [0.5, 1.5],
    [10**30, -1],
    {},
    {"x": 1},
    {"x": {"x": []}},
]
CHANGES: list[Callable[[Tensor], Tensor]] = [
    lambda t: t.reshape(-1)[:1].clone(),
    lambda t: t.reshape(-1)[:0].clone(),
    lambda t: torch.cat([t.reshape(-1)] * 2),
    lambda t: t.reshape(-1),
    lambda t: t[None].clone(),
    lambda t: torch.zeros((), dtype=t.dtype),
    lambda t: torch.zeros(2**16, dtype=t.dtype),
    lambda t: torch.zeros(0, 7, dtype=t.dtype),
    lambda t: t.to(torch.float64) if t.dtype != torch.float64 else t.to(torch.float32),
    lambda t: t.to(torch.float16),
    lambda t: t.to(torch.bfloat16),
    lambda t: t.to(torch.int64) if t.dtype != torch.int64 else t.to(torch.int32),
    lambda t: t.to(torch.uint8) if t.dtype != torch.uint8 else t.to(torch.int8),
    lambda t: t != 0,
    lambda t: torch.full_like(t, 255) if t.dtype == torch.uint8 else torch.full_like(t, -1),
    lambda t: t.double().mul(0).add(float("nan")).to(t.dtype),
    lambda t: t.double().mul(0).add(1e30).to(t.dtype),
    lambda t: torch.randint(0, 256, t.shape).to(t.dtype),
]

UNTOUCHED: dict[
    str, tuple
] = {}  # by optimizer: a search that has taken no state, and what it holds
Case = tuple[str, Callable[[], object]]  # what it is, and what loads it


# --- checkpoints ------------------------------------------------------------------------------------------------------
def states(config: SearchConfig, steps: int) -> tuple[dict, dict]:
    """What a search keeps after some steps."""
    search = tiny_search(config)
    for _ in range(steps):
        search.step()
    tensors, meta = search.state()
    return {name: value.clone() for name, value in tensors.items()}, meta


def go_on(config: SearchConfig, tensors: dict, meta: dict) -> None:
    """Load a state; if the search takes it, two steps show whether anything in memory was hurt."""
    if config.optimizer not in UNTOUCHED:
        search = tiny_search(config)
        before = {name: value.clone() for name, value in search.state()[0].items()}
        UNTOUCHED[config.optimizer] = search, before
    search, before = UNTOUCHED.pop(config.optimizer)
    try:
        search.load_state(tensors, meta)
    except MTLNASError:
        after = search.state()[0]
        if any(not torch.equal(value, after[name]) for name, value in before.items()):
            raise AssertionError("it was refused, but the search has changed") from None
        UNTOUCHED[config.optimizer] = search, before  # good for the next one
        raise
    list(islice(iter(search), 3))


def from_folder(path: Path, config: SearchConfig, tensors: dict, meta: dict) -> None:
    """The same, of a run folder that vouches for it, with a good checkpoint before it."""
    shutil.rmtree(path, ignore_errors=True)
    search = tiny_search(config)
    with RunWriter.create(path, {}, search.lab.space) as run:
        with closing(record(search, run, checkpoint_every=1)) as events:
            list(islice(events, 3))
        run.save_checkpoint(2, tensors, {"requests_read": 0, **meta})
        kept = sorted(os.listdir(path / "checkpoints"))
    with RunWriter.resume(path) as run:
        search = tiny_search(config)
        resume(search, run)
        if sorted(os.listdir(path / "checkpoints")) != kept:
            raise AssertionError("the checkpoints are not what they were")
        search.step()


def tensors_cases(folder: Path, chance: random.Random) -> Iterator[Case]:
    base = SearchConfig(steps=6, batch_size=2)
    for config in (base, replace(base, optimizer="sgd")):
        tensors, meta = states(config, 2)
        for name, value in tensors.items():
            others = {key: kept for key, kept in tensors.items() if key != name}
            changed = [{**others, name: change(value)} for change in CHANGES]
            renamed = [name + "x", name.replace(".0.", ".999."), name.replace(".", "..")]
            changed += [others, *({**others, new: value} for new in renamed)]
            changed += [{**tensors, f"{name}.more": value}]
            for number, other in enumerate(changed):
                what = f"{config.optimizer} {name}, change {number}"
                yield what, lambda c=config, o=other, m=meta: go_on(c, o, m)
                if chance.random() < 0.01:
                    path = folder / "run"
                    yield what, lambda p=path, c=config, o=other, m=meta: from_folder(p, c, o, m)


def meta_cases(folder: Path) -> Iterator[Case]:
    config = SearchConfig(steps=6, batch_size=2)
    tensors, meta = states(config, 2)
    meta = {**meta, "requests_read": 0, "knobs": {"force": {}, "alpha_lr": 0.1}}
    for what, other in mutated(meta):
        yield f"meta {what}", lambda o=other: go_on(config, tensors, o)
    path = folder / "run"
    for what, other in islice(mutated(meta), 0, None, 9):
        if isinstance(other, dict) and json_able(other):
            yield f"meta {what}", lambda o=other: from_folder(path, config, tensors, o)


# --- files of JSON ----------------------------------------------------------------------------------------------------
def mutated(value: object, at: str = "") -> Iterator[tuple[str, object]]:
    """(what, a copy of a JSON value in which one thing is another) for every thing in it and every other value."""
    for number, other in enumerate(VALUES):
        yield f"{at or 'all'} = value {number}", copy.deepcopy(other)
    if isinstance(value, dict):
        for key, item in value.items():
            rest = {name: kept for name, kept in value.items() if name != key}
            yield f"{at}/{key} left out", rest
            yield f"{at}/{key} renamed", {**rest, f"{key}\x1b": item}
            for what, other in mutated(item, f"{at}/{key}"):
                yield what, {**value, key: other}
    if isinstance(value, list):
        yield f"{at} twice", value * 2
        for i, item in enumerate(value[:3]):
            for what, other in mutated(item, f"{at}[{i}]"):
                yield what, [*value[:i], other, *value[i + 1 :]]


def json_able(value: object) -> bool:
    try:
        return len(json.dumps(value, allow_nan=False)) < 2**20
    except ValueError:
        return False


def json_cases() -> Iterator[Case]:
    search = tiny_search()
    found = search.architecture()
    for what, other in mutated(found.to_json()):
        yield f"architecture {what}", lambda o=other: Architecture.from_json(o).probability
    for what, other in mutated(found.space.to_json()):
        yield f"space {what}", lambda o=other: SearchSpace.from_json(o).order
    manifest = {"seq": 1, "step": 1, "file": "x", "size": 1, "sha256": "0" * 64}
    manifest["file"] = f"00000001-{'0' * 16}.safetensors"
    for what, other in mutated(manifest):
        if isinstance(other, dict) and set(other) == set(manifest):
            yield f"manifest {what}", lambda o=other: Manifest(**o)
    config = json.loads(json.dumps(SearchConfig(steps=6, batch_size=2).to_json()))
    for what, other in mutated(config):
        yield f"config {what}", lambda o=other: try_config(o)


def try_config(settings: object) -> None:
    """Settings that are taken are such that a search can do a step under them."""
    config = SearchConfig.from_json(settings)
    if config.steps:
        tiny_search(config).step()


# --- the campaign -----------------------------------------------------------------------------------------------------
def shapes(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """Every tensor of a checkpoint, every field of its notes, of a space, an architecture, the settings: changed."""
    tally = Tally()
    kinds = {
        "tensors": (tensors_cases(folder, chance), 30),
        "notes": (meta_cases(folder), 30),
        "fields": (json_cases(), 150),
    }
    for kind, (cases, few) in kinds.items():
        cases = list(cases)
        if quick:
            cases = chance.sample(cases, few)
        elif kind == "tensors":
            cases = chance.sample(cases, min(len(cases), 2_500))
        for start in range(0, len(cases), CHUNK):
            in_a_child(tally, kind, cases[start : start + CHUNK])
    return tally


def in_a_child(tally: Tally, kind: str, cases: list[Case]) -> None:
    """Loads what is wrong in a child; it says what it begins with, so that a crash has a name."""

    def work(answer: int) -> None:
        with os.fdopen(answer, "w") as out:
            for what, load in cases:
                print(json.dumps(["begin", what]), file=out, flush=True)
                try:
                    load()
                    print(json.dumps(["loaded", what]), file=out, flush=True)
                except MTLNASError as error:
                    lines = str(error).count("\n")
                    print(json.dumps(["two lines" if lines else "refused", what]), file=out)
                except BaseException as error:
                    print(json.dumps(["error", f"{what}: {error!r:.200}"]), file=out)

    process, out = fork(work)
    said = [json.loads(told) for told in drain(out).decode().splitlines() if told.endswith("]")]
    status = os.waitpid(process, 0)[1]
    for how, what in said:
        if how in ("loaded", "refused"):
            tally.hit(f"{kind} {how}")
        elif how != "begin":
            tally.expect(False, f"{how}: {what}")
    last = said[-1][1] if said else "nothing"
    tally.expect(status == 0, f"the child ended with status {status} at {last}")
