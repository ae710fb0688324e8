"""Packs with hostile headers, shapes, types, classes, names, splits and sizes: refused in one line, or read right; at once."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import signal
import struct
import time
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from harness import Tally, drain, fork

from mtlnas_lab.cli.data import show
from mtlnas_lab.data.dataset import ImageDataset
from mtlnas_lab.data.npz import described
from mtlnas_lab.data.open import agreeing, data_to_score, open_data
from mtlnas_lab.errors import MTLNASError
from mtlnas_lab.experiments.presets import make_lab

ROOM = 1 << 30  # bytes of memory that a child may take beyond what it has
SECONDS = 20  # that one pack may take, on a busy machine
NUMBERS = (-1, 0, 1, 2, 5, 255, 1000, 1 << 31, 1 << 62, 1 << 64, 10**30)
TYPES = (
    "|u1",
    "|i1",
    "<u2",
    ">u2",
    "<f4",
    "<f8",
    "|b1",
    "<U4",
    ">U4",
    "|S3",
    "<c8",
    "<M8[s]",
    "|V9",
)
DESCRIPTIONS = (
    "|O",
    "<U0",
    "<U500000000",
    "|V2000000000",
    "nonsense",
    "",
    "(" * 500,
    "<u1,<u1",
    "\x1b[2J",
)
TEXTS = ("", "a", "b\nc", "\x1b]0;x\x07", "\u202e", "x" * 5_000, "y\0", "é", "🐈")
SPLITS = ("train", "val", "test", "validation", "Training", "", "..", "\x1b[2J", "a\nb", "x" * 300)
NAMES = ("image", "seg", "seg_names", "depth_mm", "room", "room_names", "normal", "normal_valid")


def arrays(chance: random.Random, count: int) -> dict[str, np.ndarray]:
    """A good pack, as most of its parts stay."""
    rng = np.random.default_rng(chance.randrange(1 << 30))
    normal = np.zeros((count, 8, 8, 3), np.int8)
    normal[..., 2] = -127
    return {
        "image": rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8),
        "seg": rng.integers(0, 4, (count, 8, 8), dtype=np.uint8),
        "seg_names": np.array(["none", "a", "b", "c"]),
        "depth_mm": rng.integers(0, 9000, (count, 8, 8), dtype=np.uint16),
        "normal": normal,
        "normal_valid": np.ones((count, 8, 8), bool),
        "room": rng.integers(-1, 3, count).astype(np.int64),
    }


def npy(descr: str, shape: object, data: bytes, version: int = 1) -> bytes:
    """An array's file with any header."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def plain(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def write(path: Path, members: dict[str, bytes], chance: random.Random) -> None:
    with zipfile.ZipFile(path, "w", chance.choice((0, zipfile.ZIP_DEFLATED))) as archive:
        for key, data in members.items():
            archive.writestr(f"{key}.npy", data)


# --- what is done to a pack -------------------------------------------------------------------------------------------
def headers(path: Path, chance: random.Random) -> None:
    good = arrays(chance, 12)
    members = {key: plain(array) for key, array in good.items()}
    key = chance.choice([*members])
    shape = tuple(chance.choice(NUMBERS) for _ in range(chance.randrange(6)))
    descr = chance.choice(TYPES + DESCRIPTIONS)
    data = chance.choice((b"", bytes(100), members[key][128:]))
    members[key] = npy(descr, chance.choice((shape, good[key].shape)), data, chance.choice((1, 2)))
    write(path, members, chance)


def types(path: Path, chance: random.Random) -> None:
    good = arrays(chance, 12)
    key = chance.choice([*good])
    raw = np.frombuffer(chance.randbytes(14_400), chance.choice(TYPES))
    size = int(np.prod(good[key].shape))
    good[key] = np.resize(raw, size).reshape(good[key].shape)
    np.savez(path, **good)


def classes(path: Path, chance: random.Random) -> None:
    good = arrays(chance, 12)
    key = chance.choice(("seg", "room", "scene10"))
    kinds = (np.uint8,) if key == "seg" else (np.int8, np.int32, np.int64)
    array = np.zeros(good["seg"].shape if key == "seg" else 12, chance.choice(kinds))
    room = np.iinfo(array.dtype)
    for _ in range(3):
        number = chance.choice((0, 1, 3, 254, 255, 30_000_000, 1 << 60, -2, room.min, room.max))
        array.flat[chance.randrange(array.size)] = max(room.min, min(room.max, number))
    good[key] = array
    if chance.random() < 0.5:
        good.pop("seg_names")
    np.savez(path, **good)


def names(path: Path, chance: random.Random) -> None:
    good = arrays(chance, 12)
    given = np.array([chance.choice(TEXTS) for _ in range(chance.choice((0, 1, 4, 5, 300)))], "U")
    if given.size and given.dtype.itemsize and chance.random() < 0.5:
        given.view(np.uint32)[chance.randrange(given.size)] = chance.choice((0x110000, 0xD800))
    good[chance.choice(("seg_names", "room_names"))] = given
    members = {key: plain(array) for key, array in good.items()}
    members[chance.choice(TEXTS) or "x"] = members["image"]
    write(path, members, chance)


def splits(path: Path, chance: random.Random) -> None:
    members = {}
    for split in chance.sample(SPLITS, chance.randrange(4)):
        good = arrays(chance, chance.choice((1, 2, 3, 12)))
        for key in chance.sample(NAMES, chance.choice((3, 7, 8))):
            if key in good:
                members[f"{split}/{key}"] = plain(good[key])
    if not members:
        members = {k: plain(x) for k, x in arrays(chance, chance.choice((1, 2, 3))).items()}
    write(path, members, chance)


def sizes(path: Path, chance: random.Random) -> None:
    """Much from little: what is compressed, or only claimed."""
    count = chance.choice((20, 100, 1000))
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("image.npy", "w") as stream,
    ):
        stream.write(npy("|u1", (count, 256, 256, 3), b""))
        for _ in range(min(count, 200)):
            stream.write(bytes(256 * 256 * 3))
    data = bytearray(path.read_bytes())
    if chance.random() < 0.5:  # the directory at the end claims another size
        at = data.rfind(b"PK\x01\x02") + chance.choice((20, 24))
        data[at : at + 4] = struct.pack("<I", chance.choice((0, 1 << 20, (1 << 32) - 2)))
        path.write_bytes(data)


def bits(path: Path, chance: random.Random) -> None:
    np.savez_compressed(path, **arrays(chance, 4))
    data = bytearray(path.read_bytes())
    for _ in range(chance.randrange(1, 20)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])


def places(path: Path, chance: random.Random) -> None:
    kind = chance.randrange(4)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(chance.choice(("/dev/zero", "/etc/passwd", path, "/proc/self/mem")))
    elif kind == 2:
        path.write_bytes(b"")
        os.truncate(path, 1 << 40)  # sparse
    else:
        path.mkdir()


ATTACKS = (headers, types, classes, names, splits, sizes, bits, places)


# --- what must come of it ---------------------------------------------------------------------------------------------
def looks(path: Path, train: ImageDataset) -> Iterator[tuple[str, object]]:
    """Every way in which a stranger's pack is looked at."""
    yield "show", lambda: show(str(path))
    yield "headers", lambda: described(path)
    yield "load", lambda: make_lab("tiny", open_data(path))
    yield "score", lambda: agreeing({"train": train, "test": data_to_score(path)}, print)


def problems(path: Path, train: ImageDataset) -> list[str]:
    """What is wrong with how a pack was taken; nothing, where it was refused in a line, or read. `train`: a good pack."""
    found, seen = [], io.StringIO()
    for name, look in looks(path, train):
        begin = time.monotonic()
        try:
            with redirect_stdout(seen):
                look()
        except MTLNASError as error:
            told = str(error).replace(str(path), "")
            if not told.isprintable() or len(told) > 2_000:
                found.append(f"{name}: {error!r}"[:300])
        except MemoryError:
            found.append(f"{name}: out of memory")
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {error}"[:300])
        if time.monotonic() - begin > SECONDS:
            found.append(f"{name}: took too long")
    if not seen.getvalue().replace("\n", "").replace(str(path), "").isprintable():
        found.append("show: control characters")
    return found


def limits(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """Hostile packs, each kind in a child of little memory."""
    tally = Tally()
    for attack in ATTACKS:
        seed, count = chance.randrange(1 << 30), 8 if quick else 250

        def work(answer: int, attack=attack, seed=seed, count=count) -> None:
            own = random.Random(seed)
            train = ImageDataset.from_arrays(arrays(own, 12))
            with open("/proc/self/statm") as status:
                room = int(status.read().split()[0]) * resource.getpagesize() + ROOM
            resource.setrlimit(resource.RLIMIT_AS, (room, room))
            for number in range(count):
                signal.alarm(4 * SECONDS)  # what hangs ends the child, which is then a loss
                path = folder / f"{attack.__name__}{number}.npz"
                attack(path, own)
                os.write(answer, json.dumps(problems(path, train)).encode() + b"\n")

        process, out = fork(work)
        answers = [json.loads(line) for line in drain(out).splitlines()]
        os.waitpid(process, 0)
        tally.hit(attack.__name__, len(answers))
        tally.expect(len(answers) == count, f"{attack.__name__}: ended at {len(answers)}")
        for number, found in enumerate(answers):
            tally.expect(not found, f"{attack.__name__}{number} of seed {seed}: {found}")
    return tally
