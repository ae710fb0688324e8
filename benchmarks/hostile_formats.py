"""Data as people have them, and files that mean harm: what is stored is what was handed over, or there is an error.

Every type of numbers × many ranges × every kind of label goes through `from_dataset`; pipes, links, bombs and cut files go
into each layout of folders. Allowed is a DataError of one line or the right values: in bounded time and memory, without
a process started, and without a file opened outside the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from harness import Tally
from PIL import Image

from mtlnas_lab.data import loader
from mtlnas_lab.data.folders import check, open_folder
from mtlnas_lab.data.lazy import from_dataset
from mtlnas_lab.errors import DataError

SIZE, SECONDS, MEMORY = (8, 12), 120, 600 << 20
TYPES = ("f2", "f4", "f8", ">f4", "longdouble", "u1", "i1", "u2", ">u2", "i2", "u4", "i4", "u8")
TYPES += ("i8", "?", "c8", "torch.float16", "torch.bfloat16", "torch.float32", "torch.uint8")
TYPES += ("torch.int8", "torch.int16", "torch.int32", "torch.int64", "torch.bool")
HIGHS = (1e-4, 0.004, 0.3, 1, 2, 9.7, 40, 70, 99, 126, 127, 128, 200, 253, 254, 255, 256, 300)
HIGHS += (999, 1000, 1001, 4464, 32767, 40000, 65535, 65536, 70000, 2**31, 2**32, 1e18, np.inf)
LOWS = (0, 0, 0, 0, -1, -0.5, -300, np.nan)
PROCESSES = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork")

seen: list[str] = []  # what the hook heard since it was last cleared; a hook can't be taken off
watching: list[Path] = []  # the folder outside of which nothing may be opened


def hear(event: str, args: tuple) -> None:
    if not watching:
        return
    if event in PROCESSES:
        seen.append(f"{event} {str(args)[:80]}")
    elif event == "open" and str(args[0]).endswith("TOPSECRET.png") and outside(args[0]):
        seen.append(f"opened {args[0]}")


def outside(path: object) -> bool:
    return not Path(os.path.normpath(str(path))).is_relative_to(watching[0])


@contextlib.contextmanager
def watched(folder: Path, tally: Tally, what: str) -> Iterator[None]:
    """Inside: a hang ends, and processes, files outside and memory are held against the limits."""

    def late(*_):
        raise TimeoutError(f"{SECONDS} s")

    before, start = signal.signal(signal.SIGALRM, late), peak()
    signal.alarm(SECONDS)
    seen.clear()
    watching.append(folder)
    try:
        yield
    finally:
        watching.clear()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    tally.expect(not seen, f"{what}: {seen[:3]}")
    tally.expect(peak() - start < MEMORY, f"{what}: {(peak() - start) >> 20} MiB")


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


# --- types and ranges -------------------------------------------------------------------------------------------------
def values(kind: str, shape: tuple[int, ...], low: float, high: float, whole: bool):
    """An array or a tensor of a type from low to high, as that type holds them; a tensor has its channels first."""
    x = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    with np.errstate(all="ignore"):
        x = np.where(x < 0.2, low, x * min(high, 1e300))
    x.flat[-1] = high
    if whole:
        x = np.floor(x)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not kind.startswith("torch."):
            return x.astype(kind)
        first = np.ascontiguousarray(np.moveaxis(x, -1, 0) if len(shape) == 3 else x)
        return torch.from_numpy(first).to(getattr(torch, kind[6:]))


def plain(value) -> np.ndarray:
    """The same numbers in float64, channels last: the truth of what was handed over."""
    if isinstance(value, torch.Tensor):
        x = value.double().numpy()
        return np.moveaxis(x, 0, -1) if x.ndim == 3 else x
    return value.astype(np.float64)


def truth(task: str, handed: np.ndarray) -> tuple[np.ndarray, float]:
    """What a batch should hold of these numbers, and how far it may be from it."""
    if task == "depth":
        return np.where(np.isfinite(handed), handed, 0), 5.1e-4
    if task == "normals":
        length = np.linalg.norm(np.nan_to_num(handed), axis=-1, keepdims=True)
        near = abs(length - 1) < 0.5
        return np.where(near, handed / np.maximum(length, 0.5), 0), 0.02
    return handed, 0


def one(tally: Tally, task: str, handed, classes: int, what: str) -> None:
    item = {"image": np.zeros((*SIZE, 3), np.uint8), "depth": np.ones(SIZE), task: handed}
    if task == "image":
        item["image"] = handed
    labels = {task: classes} if task in ("segmentation", "room") else None
    try:
        pack = from_dataset([item] * 2, labels, size=SIZE, workers=1)
        held = pack.read()
    except DataError as error:
        tally.hit("refused")
        tally.expect("\n" not in str(error), f"{what}: more than a line")
        return
    except Exception as error:
        tally.expect(False, f"{what}: {type(error).__name__}: {error}")
        return
    tally.hit("stored")
    numbers = plain(handed)
    if task == "image":
        scale = 255 if numbers.max() <= 1 and "int" not in str(handed.dtype) else 1
        found, expected, far = held.images[0].movedim(0, -1).numpy(), scale * numbers, 0.501
    else:
        found = held.batch(torch.tensor([0]))[1][task][0]
        if task == "normals":
            found = found.movedim(0, -1)
        expected, far = truth(task, numbers)
        found = found.numpy().reshape(expected.shape)
    wrong = abs(found - expected) > far
    tally.expect(not wrong.any(), f"{what}: {expected[wrong][:3]} became {found[wrong][:3]}")


def types(tally: Tally, chance: random.Random, quick: bool) -> None:
    """Every type × range × kind, a sample of them where it must be quick."""
    shapes = {
        "depth": SIZE,
        "segmentation": SIZE,
        "edges": SIZE,
        "normals": (*SIZE, 3),
        "image": (*SIZE, 3),
        "room": (),
    }
    for task, shape in shapes.items():
        for kind in TYPES:
            for high in chance.sample(HIGHS, 6) if quick else HIGHS:
                low = chance.choice(LOWS)
                whole = task in ("segmentation", "edges", "room") or chance.random() < 0.3
                handed = values(kind, shape, low, high, whole)
                classes = chance.choice([2, 13, 128, 254, 255, 256, 894])
                what = f"{task} of {kind} from {low} to {high}, {classes} classes"
                one(tally, task, handed, classes, what)


# --- files ------------------------------------------------------------------------------------------------------------
def picture(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array) if path.suffix == ".npy" else Image.fromarray(array).save(path)


def nyuv2(root: Path) -> None:
    (root / "list").mkdir(parents=True)
    for split in ("training", "testing"):
        lines = {"seg": "", "normal_mask": ""}
        for n in range(8):
            name = f"a/{split}_{n}"
            picture(root / f"{name}.png", np.full((*SIZE, 3), n, np.uint8))
            picture(root / f"{name}_s.png", np.full(SIZE, n, np.uint8))
            picture(root / f"{name}_n.png", np.full((*SIZE, 3), (128, 128, 0), np.uint8))
            lines["seg"] += f"/{name}.png /{name}_s.png\n"
            lines["normal_mask"] += f"/{name}.png /{name}_n.png\n"
        for kind, text in lines.items():
            (root / "list" / f"{split}_{kind}.txt").write_text(text)


def taskonomy(root: Path) -> None:
    for n in range(8):
        for folder, array in (
            ("rgb", np.full((*SIZE, 3), n, np.uint8)),
            ("depth_zbuffer", np.full(SIZE, 512 * (n + 1), np.uint16)),
            ("normal", np.full((*SIZE, 3), (128, 128, 0), np.uint8)),
            ("segment_semantic", np.full(SIZE, n + 1, np.uint8)),
        ):
            picture(root / folder / "house" / f"point_{n}_view_0_domain_{folder}.png", array)
        scene = root / "class_scene" / "house" / f"point_{n}_view_0_domain_class_places.npy"
        picture(scene, np.full(365, 1 / 365, np.float32))


def cityscapes(root: Path) -> None:
    for split in ("train", "val"):
        for n in range(8):
            name = f"{split}/town/town_000000_{n:06d}"
            picture(root / f"leftImg8bit/{name}_leftImg8bit.png", np.full((*SIZE, 3), n, np.uint8))
            picture(root / f"gtFine/{name}_gtFine_labelIds.png", np.full(SIZE, 7 + n, np.uint8))
            picture(root / f"disparity/{name}_disparity.png", np.full(SIZE, 2561, np.uint16))
            camera = root / f"camera/{name}_camera.json"
            camera.parent.mkdir(parents=True, exist_ok=True)
            made = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 1000}}
            camera.write_text(json.dumps(made))


def numbered(root: Path) -> None:
    for split in ("train", "val"):
        for n in range(8):
            picture(root / split / "image" / f"{n}.npy", np.full((*SIZE, 3), n / 8))
            picture(root / split / "label" / f"{n}.npy", np.full(SIZE, n - 1.0))
            picture(root / split / "depth" / f"{n}.npy", np.full((*SIZE, 1), n + 1.0))
            picture(root / split / "normal" / f"{n}.npy", np.full((*SIZE, 3), (0, 0, -1.0)))


def png_header(path: Path, width: int, height: int, depth: int, colour: int) -> None:
    """A small PNG that says it is large."""
    rows = zlib.compress(bytes(4_000_000))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")):
        whole += struct.pack(">I", len(body)) + kind + body
        whole += struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(whole)


def npy_header(path: Path, descr: str, shape: tuple[int, ...], size: int) -> None:
    with path.open("wb") as stream:
        head = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, head)
        stream.truncate(stream.tell() + size)


def link(target: str) -> Callable[[Path, random.Random], None]:
    def spoil(path: Path, chance: random.Random) -> None:
        path.unlink()
        path.symlink_to(target)

    return spoil


def pipe(path: Path, chance: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def as_folder(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


def cut(path: Path, chance: random.Random) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: chance.randrange(len(whole))])


def flip(path: Path, chance: random.Random) -> None:
    whole = bytearray(path.read_bytes())
    whole[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
    path.write_bytes(whole)


def bytes_of(start: bytes) -> Callable[[Path, random.Random], None]:
    return lambda path, chance: path.write_bytes(start + chance.randbytes(200))


def bomb(path: Path, chance: random.Random) -> None:
    """Large by its header, in the format that the name asks for."""
    if path.suffix == ".npy":
        npy_header(path, chance.choice(["|u1", "<f8", "<U8"]), (1 << 27, 16), 1 << 31)
    elif path.suffix in (".txt", ".json"):
        with path.open("wb") as stream:
            stream.truncate(1 << 32)
    else:
        png_header(path, chance.choice([7000, 13_300, 20_000]), 13_300, 8, chance.choice([0, 2, 6]))


def lines(path: Path, chance: random.Random) -> None:
    if path.suffix == ".txt":
        way = chance.choice(
            ["/../TOPSECRET.png", "a/../../TOPSECRET.png", "//TOPSECRET.png", "x" * 5000]
        )
        path.write_text(f"/{way} /{way}\n")
    else:
        path.write_bytes(b"")


SPOIL: dict[str, Callable[[Path, random.Random], None]] = {
    "pipe": pipe,
    "folder": as_folder,
    "device": link("/dev/zero"),
    "link out": link("../../../TOPSECRET.png"),
    "absolute link": link("/proc/self/environ"),
    "circle": lambda path, chance: link(path.name)(path, chance),
    "cut": cut,
    "flip": flip,
    "EPS": bytes_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n"),
    "TGA": bytes_of(b"\0\0\2\0\0\0\0\0\0\0\0\0\xff\x7f\xff\x7f\x18\0"),
    "DDS": bytes_of(b"DDS |\0\0\0"),
    "WMF": bytes_of(b"\xd7\xcd\xc6\x9a\0\0"),
    "pickle": bytes_of(b"\x80\x04cos\nsystem\n"),
    "bomb": bomb,
    "lines": lines,
    "empty": lambda path, chance: path.write_bytes(b""),
}
JUNK = (".DS_Store", "Thumbs.db", "desktop.ini", "._0.npy", "._a_leftImg8bit.png", "__MACOSX")


def files(folder: Path, tally: Tally, chance: random.Random, quick: bool) -> None:
    """One file of each layout is spoilt at a time; junk lies in every folder."""
    secret = folder / "TOPSECRET.png"
    picture(secret, np.zeros((*SIZE, 3), np.uint8))
    for make in (nyuv2, taskonomy, cityscapes, numbered):
        whole = folder / make.__name__
        make(whole)
        for place in [whole, *(path for path in whole.rglob("*") if path.is_dir())]:
            for name in JUNK:
                (place / name).write_bytes(b"junk")
        every = [path for path in whole.rglob("*") if path.is_file() and path.name not in JUNK]
        for kind, spoil in SPOIL.items():
            for path in chance.sample(sorted(every), 2 if quick else len(every) // 2):
                root = folder / "root"
                shutil.rmtree(root, ignore_errors=True)
                shutil.copytree(whole, root)
                spoil(root / path.relative_to(whole), chance)
                what = f"{make.__name__}, {kind} as {path.relative_to(whole)}"
                with watched(root, tally, what):
                    spoilt(tally, root, what)


def spoilt(tally: Tally, root: Path, what: str) -> None:
    """All of a folder is read, and all of it is checked."""
    for use in (lambda: list(everything(root)), lambda: list(check(root))):
        try:
            use()
            tally.hit("read")
        except DataError as error:
            tally.hit("named")
            good = "\n" not in str(error) and len(str(error)) < 1000
            tally.expect(good, f"{what}: {str(error)[:200]!r}")
        except Exception as error:
            tally.expect(False, f"{what}: {type(error).__name__}: {str(error)[:200]}")


def everything(root: Path) -> Iterator:
    for pack in open_folder(root, SIZE, workers=1).values():
        yield from loader.sequential(pack)


def formats(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """What is stored is what was handed over, or there is an error; hostile files do no harm."""
    tally = Tally()
    sys.addaudithook(hear)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        types(tally, chance, quick)
        files(folder, tally, chance, quick)
    return tally
