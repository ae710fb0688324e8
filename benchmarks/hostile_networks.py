"""Hostile files of weights and settings: each is a good load or one line of MTLNASError, in little time and memory."""

from __future__ import annotations

import json
import os
import pickle
import random
import resource
import shutil
import struct
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from harness import Tally
from safetensors.torch import save_file

from mtlnas_lab import presets
from mtlnas_lab.errors import MTLNASError
from mtlnas_lab.models import released as official
from mtlnas_lab.models.pretrained import load_weights
from mtlnas_lab.storage.yaml_files import read_yaml

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "mtlnas_vgg16_narrow"
SECONDS, MEMORY = 15, 700 * 2**20  # of one load on a busy machine; of them all
Case = tuple[str, Path, Callable[[Path], object]]


def networks(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """Files of torch.save, of safetensors and of YAML, with what is legal in them and with damage."""
    tally, before = Tally(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    backbone = presets.PRESETS["tiny"].backbones["resnet18"](outputs=3)
    makers = (tensors, archives, headers, settings)
    for round_ in range(1 if quick else 4):
        for maker in makers:
            place = folder / f"{maker.__name__}{round_}"
            place.mkdir()
            for kind, path, load in maker(place, chance, backbone):
                tally.hit(kind)
                attempt(tally, kind, path, load)
            shutil.rmtree(place)
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    tally.expect(used < MEMORY, f"the loads took {used / 2**20:.0f} MiB")
    return tally


def attempt(tally: Tally, kind: str, path: Path, load: Callable[[Path], object]) -> None:
    """One load: it is good, or raises a MTLNASError that a terminal can show; and it comes to an end soon."""
    start = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load(path)
    except MTLNASError as error:
        line = str(error)
        tally.expect(line.isprintable() and len(line) < 2000, f"{kind}: says {line[:200]!r}")
    except BaseException as error:
        tally.expect(False, f"{kind}: {type(error).__name__}: {str(error)[:200]}")
    took = time.monotonic() - start
    tally.expect(took < SECONDS, f"{kind}: took {took:.0f} s")


# --- what torch.save writes -------------------------------------------------------------------------------------------
def tensors(folder: Path, chance: random.Random, backbone) -> list[Case]:
    """Legal content of a .pth: other types, names, shapes and numbers than a network has."""
    theirs = {there: backbone.state_dict()[name].clone() for name, there in backbone.names.items()}
    released = golden()
    cases: list[Case] = []
    for state, load in (
        (theirs, lambda path: load_weights(backbone, path)),
        (released, released_load),
    ):
        names = [name for name in state if state[name].is_floating_point()]
        for kind, spoilt in spoilt_states(state, names, chance).items():
            path = folder / f"{len(cases)}.pth"
            torch.save(spoilt, path, _use_new_zipfile_serialization=chance.random() < 0.7)
            cases.append((f"tensors: {kind}", path, load))
    return cases


def spoilt_states(state: dict, names: list[str], chance: random.Random) -> dict[str, object]:
    name = chance.choice(names)
    value = state[name]
    one = lambda changed: {**state, name: changed}  # noqa: E731
    long = "\x1b]0;title\x07\n" + "n" * chance.choice([10, 100_000])
    types = (torch.complex64, torch.int64, torch.bool, torch.uint8, torch.float16, torch.float64)
    return {
        "integer names": {**state, chance.choice([0, -1, 10**30]): value},
        "other names": {**state, chance.choice([None, (1, 2), b"x", 1.5]): value},
        "control characters": {long: value},
        "a type": one(value.to(chance.choice(types))),
        "NaN": one(torch.full_like(value, chance.choice([float("nan"), float("inf"), -1e38]))),
        "no axes": one(torch.tensor(1.0)),
        "no numbers": one(torch.zeros(chance.choice([(0,), (0, 3), (3, 0, 1, 1)]))),
        "more axes": one(torch.zeros((1,) * chance.choice([5, 20]))),
        "repeated": {key: torch.zeros(()).expand(x.shape) for key, x in state.items()},
        "huge": one(torch.zeros(()).expand(*value.shape[:-1], 10**12) if value.ndim else value),
        "very wide": {
            key: torch.zeros(()).expand(10**7, *x.shape[1:]) if x.ndim == 4 else x
            for key, x in state.items()
        },
        "sparse": one(torch.eye(3).to_sparse()),
        "a list": one([1, 2, 3]),
        "text": one("x" * 100_000),
        "missing": {key: x for key, x in state.items() if key != name},
        "wrapped": {"state_dict": {"model": {"model_state_dict": state}}},
        "empty": chance.choice([{}, [], None, 3, "text", {"model": {}}]),
        "many": {str(number): value[:0] for number in range(chance.choice([20_001, 60_000]))},
        "many numbers": {"a": list(range(1_100_000))},
        "deep": nested(chance.choice([50, 150])),
    }


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def golden() -> dict[str, torch.Tensor]:
    with np.load(f"{GOLDEN}.npz") as file:
        names = [name for name in file.files if name.startswith("state/")]
        return {name.removeprefix("state/"): torch.tensor(file[name]) for name in names}


def released_load(path: Path) -> object:
    return official.load_checkpoint(path)


# --- damaged archives -------------------------------------------------------------------------------------------------
def archives(folder: Path, chance: random.Random, backbone) -> list[Case]:
    """Files that are no archive of torch.save, or one that claims what it is not."""
    good = folder / "good.pth"
    torch.save({there: backbone.state_dict()[name] for name, there in backbone.names.items()}, good)
    data = good.read_bytes()
    made = {
        "cut short": data[: chance.randrange(len(data))],
        "a byte changed": changed(data, chance),
        "pickle alone": pickle.dumps({"a": 1}),
        "code in a pickle": b"cos\nsystem\n(S'echo ran'\ntR.",
        "opcodes": b"\x80\x02" + b"]" * 2_000_000 + b".",
        "nothing": b"",
        "noise": chance.randbytes(1000),
    }
    cases: list[Case] = []
    for kind, content in made.items():
        path = folder / f"{len(cases)}.pth"
        path.write_bytes(content)
        cases.append((f"archives: {kind}", path, lambda path: load_weights(backbone, path)))
    bomb = folder / "bomb.pth"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(300 * 2**20))
    many = folder / "many.pth"
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(30_000):
            archive.writestr(f"a/data/{number}", b"")
    fifo = folder / "fifo.pth"
    os.mkfifo(fifo)
    zero = folder / "zero.pth"
    zero.symlink_to("/dev/zero")
    sparse = folder / "sparse.safetensors"
    with open(sparse, "wb") as stream:
        stream.truncate(5 * 2**30)
    long = folder / ("x" * 300)
    for path in (bomb, many, fifo, zero, sparse, long, folder, Path("a\0b")):
        cases.append(("archives: a place", path, lambda path: load_weights(backbone, path)))
        cases.append(("archives: a place", path, released_load))
    return cases


def changed(data: bytes, chance: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(chance.choice([1, 5, 50])):
        spoilt[chance.randrange(min(len(spoilt), 20_000))] = chance.randrange(256)
    return bytes(spoilt)


# --- safetensors ------------------------------------------------------------------------------------------------------
def headers(folder: Path, chance: random.Random, backbone) -> list[Case]:
    """Files of safetensors whose header says something else than what is there."""
    good = folder / "good.safetensors"
    save_file({there: backbone.state_dict()[n] for n, there in backbone.names.items()}, good)
    data = good.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    name = chance.choice([key for key in header if key != "__metadata__"])
    entry = header[name]
    wrong = [
        {
            **entry,
            "dtype": chance.choice(["F64", "F16", "I64", "BOOL", "U8", "C64", "F8_E4M3", "X"]),
        },
        {**entry, "shape": chance.choice([[], [-1], [2**40, 2**40], ["a"], [0], None])},
        {**entry, "data_offsets": chance.choice([[0, 2**60], [5, 1], [-1, 3], [], [0, 1]])},
        None,
        3,
        {},
    ]
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    spoilt: dict[str, bytes] = {
        f"entry {number}": pack({**header, name: value}, body) for number, value in enumerate(wrong)
    }
    spoilt |= {
        "many empty tensors": pack(
            {str(i): empty for i in range(chance.choice([25_000, 300_000]))}, b""
        ),
        "control characters": pack({"\x1b]0;x\n" * chance.choice([1, 5000]): empty}, b""),
        "metadata": pack(
            {"__metadata__": {"a": "b" * chance.choice([10, 9_000_000])}, **header}, body
        ),
        "a length": struct.pack("<Q", chance.choice([0, 1, 2**20, 2**63])) + data[8:],
        "brackets": pack_text(b"[" * 100_000, b""),
        "a byte changed": changed(data, chance),
        "cut short": data[: chance.randrange(len(data))],
        "NaN": pack(header, b"\xff" * len(body)),
    }
    cases: list[Case] = []
    for kind, content in spoilt.items():
        path = folder / f"{len(cases)}.safetensors"
        path.write_bytes(content)
        cases.append((f"headers: {kind}", path, lambda path: load_weights(backbone, path)))
    return cases


def pack(header: dict, body: bytes) -> bytes:
    return pack_text(json.dumps(header).encode(), body)


def pack_text(text: bytes, body: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text + body


# --- YAML -------------------------------------------------------------------------------------------------------------
VALUES = (
    "2001-01-01", "9" * 5000, "-9" * 300, "!!bool abc", "!!int ''", "!!binary x", "!!set {a}", ".nan", ".inf",
    "-1", "true", "~", "[1, [2]]", "{a: 1}", "'text'", "(1.0, 0.0)", "((((", "(nan, 1)", "1e400", "0x" + "f" * 400,
    "\"\\x1b]0;x\\n\"", "'" + "y" * 50_000 + "'", "[" * 2000, "&a [*a, *a]", "*b", "1:30:30", "\"\\ud800\"", "=",
)  # fmt: skip


def settings(folder: Path, chance: random.Random, backbone) -> list[Case]:
    """Released configurations with one value, or their whole form, spoilt."""
    keys = [(section, key) for section, own in official.DEFAULTS.items() for key in own]
    texts = {}
    for number, value in enumerate(VALUES):
        section, key = chance.choice(keys)
        texts[f"value {number}"] = f"{section}:\n  {key}: {value}\n"
        texts[f"section {number}"] = f"{section}: {value}\n"
        texts[f"seed {number}"] = f"SEED: {value}\n"
    names = "abcdefghij"
    bombs = {"aliases": "[{}]", "merges": "{{<<: [{}]}}"}
    for kind, form in bombs.items():
        first = "[x, x]" if kind == "aliases" else "{k: 1}"
        lines = [f"a: &a {first}"]
        for before, after in zip(names, names[1:]):
            lines.append(f"{after}: &{after} " + form.format(", ".join([f"*{before}"] * 9)))
        texts[kind] = "\n".join(lines)
        texts[f"{kind} in a section"] = texts[kind] + "\nARCH: *j\nTRAIN: {LR: *j}"
    text = Path(f"{GOLDEN}.yaml").read_bytes()
    cases: list[Case] = []
    contents = {kind: made.encode() for kind, made in texts.items()}
    contents |= {
        "a byte changed": changed(text, chance),
        "cut short": text[: chance.randrange(len(text))],
    }
    contents |= {"noise": chance.randbytes(2000), "large": b"# \n" * 100_000}
    for kind, content in contents.items():
        for load in (official.read_released, read_yaml):
            path = folder / f"{len(cases)}.yaml"
            path.write_bytes(content)
            cases.append((f"settings: {kind.split()[0]}", path, load))
    return cases
