"""Faults in what viewers ask for: whatever a line says, the search refuses it with a notice and reaches its end."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from harness import Tally

from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Finished, Step
from mtlnas_lab.core.lab import Lab
from mtlnas_lab.core.relaxation import ArchitectureWeights
from mtlnas_lab.core.search import Search
from mtlnas_lab.core.space import SearchSpace
from mtlnas_lab.core.supernet import SuperNet
from mtlnas_lab.errors import MTLNASError
from mtlnas_lab.models.vgg import vgg16
from mtlnas_lab.runs.recorder import record
from mtlnas_lab.runs.run import Run
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.tasks.task import Depth, Segmentation

EDGE = "depth:0 -> segmentation:0"
CONFIG = SearchConfig(steps=6, batch_size=2)
VALUES = [
    None,
    True,
    "",
    "3",
    "NaN",
    "Infinity",
    "\x1b[31mred\n",
    "\u202e",
    -1,
    -1e-300,
    1e308,
    10**400,
    -(10**30),
    [],
    [[]],
    ["a"],
    [1.0],
    {"x": 1},
    {"end": -1},
    {"end": "NaN"},
    {"end": None},
    {"start": 1},
    {"end": 1, "period": 5},
    {"end": 1, "period": [1, 0]},
    {"end": 1, "period": [0, 1, 2]},
    {"end": 1, "period": ["a", "b"]},
    {"end": 1, "power": -1},
    {"end": 1, "after": []},
    {"end": 1, "self": 1},
]
FORCED = [
    5,
    None,
    "x",
    [],
    [EDGE],
    {"": True},
    {"x": True},
    {"a -> b": True},
    {f"{EDGE}9": True},
    {"depth:" + "9" * 5_000 + " -> segmentation:0": True},
    {"depth:0 -> depth:0": True},
    {EDGE: "yes"},
    {EDGE: 2},
    {EDGE: []},
    {EDGE: {}},
    {EDGE: -0.5},
]
KNOBS = (
    "entropy_weight",
    "l1_weight",
    "temperature",
    "alpha_lr",
    "weight_lr",
    "alpha_gates",
    "weight_gates",
)
NAMES = ("self", "knobs", "", "steps", "lambda", "__class__", "\x00", "λ" * 300, "step", "path")
RAW = (
    b"5",
    b"[1]",
    b"null",
    b'"x"',
    b"{",
    b"}{",
    b"\xff\xfe",
    b"\x00" * 50,
    b'{"alpha_lr": NaN}',
    b'{"alpha_lr": 1e999}',
    b'{"x":' * 500 + b"1" + b"}" * 500,
    b'{"x":[' + b"[]," * 20_000 + b"0]}",
    b'{"x":"' + b"y" * 200_000 + b'"}',
    b'{"entropy_weight": ' + b"9" * 6_000 + b"}",
    b'{"force": {"\\ud800": true}}',
)


class Batches:
    """Endless random batches with a position."""

    def __init__(self, lab: Lab, first: int):
        self.tasks, self.first, self.position = tuple(lab.tasks), first, 0

    def __iter__(self) -> Batches:
        return self

    def __next__(self):
        drawn = torch.Generator().manual_seed(self.first + self.position % 4)
        self.position += 1
        targets = {
            "segmentation": torch.randint(0, 3, (2, 16, 16), generator=drawn),
            "depth": torch.rand(2, 1, 16, 16, generator=drawn) + 1,
        }
        return torch.randn(2, 3, 16, 16, generator=drawn), targets


def tiny_search(config: SearchConfig = CONFIG) -> Search:
    """A search of some hundredths of a second a step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tasks = {"segmentation": Segmentation("segmentation", 3), "depth": Depth("depth")}
        backbones = {
            name: vgg16(task.channels, widths=(2, 2, 2, 2, 2), hidden=2, field=1, dropout=0.5)
            for name, task in tasks.items()
        }
        space = SearchSpace.build({name: made.plan for name, made in backbones.items()})
        lab = Lab(tasks, SuperNet(backbones, space), ArchitectureWeights(len(space)))
    return Search(lab, config, Batches(lab, 0), Batches(lab, 100))


def asked(chance: random.Random) -> dict:
    """A request that no search can do."""
    kind = chance.randrange(4)
    if kind == 0:
        return {"force": chance.choice(FORCED)}
    if kind == 1:
        return {chance.choice(NAMES): chance.choice(VALUES)}
    wrong = {chance.choice(KNOBS): chance.choice(VALUES)}
    if kind == 2:
        return wrong
    return {"alpha_lr": 0.5, **wrong}  # one good knob does not carry a wrong one in


def line(chance: random.Random) -> bytes:
    """A line of controls.jsonl that asks for nothing that can be."""
    if chance.random() < 0.3:
        return chance.choice(RAW) + b"\n"
    return json.dumps(asked(chance)).encode() + b"\n"


def hostile(tally: Tally, run: Run, chance: random.Random, good: list[dict], number: int) -> None:
    """Some lines that cannot be, and a good one between them."""
    good.append({"alpha_lr": 0.01 * (1 + number)})
    lines = [line(chance) for _ in range(chance.randrange(1, 6))]
    tally.hit("lines", len(lines))
    lines.insert(chance.randrange(len(lines) + 1), json.dumps(good[-1]).encode() + b"\n")
    with open(run.path / "controls.jsonl", "ab") as stream:
        stream.write(b"".join(lines))


def followed(
    tally: Tally, search: Search, run: Run, chance: random.Random, good: list[dict], stop: int
) -> Iterator:
    """The events of a recorded search, up to a step; somebody asks for nonsense all the while."""
    with closing(record(search, run, checkpoint_every=2)) as events:
        for event in events:
            yield event
            if isinstance(event, Step) and event.step < search.config.steps and not event.step % 2:
                hostile(tally, run, chance, good, event.step)
            if isinstance(event, Step) and event.step == stop:
                return


def requests(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """Lines of nonsense while a search runs, is stopped and goes on; the same from Python."""
    tally = Tally()
    for turn in range(3 if quick else 60):
        path, good, seen, what = folder / "run", [], [], f"turn {turn}"
        shutil.rmtree(path, ignore_errors=True)
        search = tiny_search(replace(CONFIG, seed=turn))
        stop = chance.randrange(1, CONFIG.steps)
        try:
            with RunWriter.create(path, {}, search.lab.space) as run:
                hostile(tally, run, chance, good, 0)
                seen += followed(tally, search, run, chance, good, stop)
                tally.expect(bool(run.notices), f"{what}: nothing was said of the refused")
            with RunWriter.resume(path) as run:
                search = tiny_search(search.config)
                seen += followed(tally, search, run, chance, good, -1)
        except Exception as error:
            tally.expect(False, f"{what}: a request ended the search: {error!r:.200}")
            continue
        tally.hit("searches")
        log = Run.open(path).log
        tally.expect(
            isinstance(seen[-1], Finished) and len(log.steps) == CONFIG.steps,
            f"{what}: it ended with {seen[-1]!r:.200}",
        )
        told = [event.knobs for event in log.turned]
        tally.expect(all(knobs in good for knobs in told), f"{what}: turned {told!r:.300}")
        tally.expect(good[-1] in told, f"{what}: a good request got lost among the others")
    from_python(tally, folder, chance, 20 if quick else 2_000)
    return tally


def from_python(tally: Tally, folder: Path, chance: random.Random, count: int) -> None:
    """`Search.turn` and `Run.request` refuse with an error of ours, and leave all as it is."""
    search, path = tiny_search(), folder / "asked"
    RunWriter.create(path, {}, search.lab.space).close()
    for _ in range(count):
        knobs = asked(chance)
        for name, act in (
            ("turn", lambda knobs=knobs: search.turn(**knobs)),
            ("request", lambda knobs=knobs: Run.request(path, **knobs)),
        ):
            tally.hit("calls")
            try:
                act()
                tally.expect(False, f"{name} took {knobs!r:.200}")
            except MTLNASError as error:
                tally.expect("\n" not in str(error), f"{name}: two lines: {error!r:.200}")
            except Exception as error:
                tally.expect(False, f"{name} of {knobs!r:.200}: {error!r:.200}")
    tally.expect(not (path / "controls.jsonl").exists(), "a refused request was written")
