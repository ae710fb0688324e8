"""What a run folder must survive, done to it.

    python benchmarks/faults.py [--quick] [--seed N] [--only CAMPAIGN …] [--folder DIR]

Each campaign prints how many faults really hit and what was lost; one that hit nothing, or lost anything, fails.
`--folder` is where runs are made (default: in memory, where syncing costs nothing; what a kill spares is the same).
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import pickle
import random
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from harness import Tally, drain, fork, killed
from hostile_commands import commands
from hostile_figures import figures
from hostile_formats import formats
from hostile_limits import limits
from hostile_networks import networks
from hostile_requests import requests
from hostile_shapes import shapes
from search_faults import searches

from mtlnas_lab.core.events import Recovered, Step, Turned
from mtlnas_lab.errors import RunError
from mtlnas_lab.runs import event_file, run, run_writer
from mtlnas_lab.runs import run as runs
from mtlnas_lab.runs.event_file import read_events, read_lines
from mtlnas_lab.runs.run import Run
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.storage import checkpoints, jsonl, safe_files

SPACE = {
    "plans": {"a": {"channels": [4, 4], "groups": [2]}, "b": {"channels": [4, 4], "groups": [2]}},
    "edges": ["a:0 -> b:0", "b:0 -> a:0"],
}
CONFIG = {"steps": 100, "seed": 0}


# --- tools ------------------------------------------------------------------------------------------------------------
class Faulty:
    """Stands in for the module `os`: `fault(name, real, args)` is what the calls numbered in `at` do instead."""

    CALLS = ("open", "write", "fsync", "fdatasync", "replace", "unlink", "makedirs", "ftruncate")

    def __init__(self, at: Callable[[int], bool], fault: Callable):
        self.at, self.fault, self.count, self.hits = at, fault, 0, 0

    def __getattr__(self, name: str):
        real = getattr(os, name)
        if name not in self.CALLS:
            return real

        def call(*args, **options):
            self.count += 1
            if not self.at(self.count):
                return real(*args, **options)
            self.hits += 1
            return self.fault(name, lambda *args: real(*args, **options), args)

        return call

    def __enter__(self) -> Faulty:
        for module in (safe_files, event_file, checkpoints, run, run_writer):
            module.os = self
        return self

    def __exit__(self, *error) -> None:
        for module in (safe_files, event_file, checkpoints, run, run_writer):
            module.os = os


def die(name: str, real: Callable, args: tuple):
    """kill -9 at a call; in the middle of it, where it writes."""
    if name == "write":
        real(args[0], bytes(args[1])[: len(args[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def no_space(name: str, real: Callable, args: tuple):
    """A full disk; the first half of what was to be written still fits."""
    if name == "write" and len(args[1]) > 1 and real(args[0], bytes(args[1])[: len(args[1]) // 2]):
        return len(args[1]) // 2
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def turned(number: int) -> Turned:
    return Turned(number, {"n": number})


def step(number: int) -> Step:
    return Step(number, (0.5,) * 8, (0.25,) * 8, {"a": 1 / 3, "b": float("nan")}, *[0.1] * 7)


def state(number: int) -> tuple[dict, dict]:
    generator = torch.Generator().manual_seed(number)
    return {"w": torch.full((16, 4), float(number)), "rng": generator.get_state()[:256].clone()}, {
        "number": number
    }


def whole(loaded: tuple) -> bool:
    """Whether a loaded checkpoint is one that `state` made."""
    number, tensors, meta = loaded
    return meta == {"number": number} and all(
        torch.equal(tensors[n], value) for n, value in state(number)[0].items()
    )


def fresh(path: Path, count: int = 0, saves: tuple[int, ...] = ()) -> Path:
    """A run of `count` events and checkpoints of the steps `saves`."""
    shutil.rmtree(path, ignore_errors=True)
    with RunWriter.create(path, CONFIG, SPACE) as run:
        for number in range(1, count + 1):
            run.append(turned(number))
        for number in saves:
            run.save_checkpoint(number, *state(number))
    return path


def numbers(path: Path) -> tuple[list[int], list[str]]:
    found, problems = read_lines((path / "events.jsonl").read_bytes())
    return [event.step for _, event in found if isinstance(event, (Turned, Step))], problems


# --- campaigns --------------------------------------------------------------------------------------------------------
def kills(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """kill -9 at random instants of a process that opens a run and appends; half of them write a line in pieces."""
    tally = Tally()

    def work(path: Path, first: int, seed: int, pieces: bool) -> Callable[[int], None]:
        def write(ack: int) -> None:
            own = random.Random(seed)

            def in_pieces(name: str, real: Callable, args: tuple):
                if name != "write":
                    return real(*args)
                cut = own.randrange(len(args[1]) + 1)
                return real(args[0], args[1][:cut]) + (
                    time.sleep(2e-4) or real(args[0], args[1][cut:])
                )

            with Faulty(lambda count: pieces, in_pieces), RunWriter.resume(path) as run:
                for number in range(first, first + 200):
                    os.write(ack, struct.pack("<QQ", run.append(step(number)), number))
                    time.sleep(own.random() * 4e-4)

        return write

    for chain in range(10 if quick else 100):
        path, acked = fresh(folder / "run"), {}
        for life in range(10):
            process, out = fork(
                work(path, 1000 * life + 1, chance.random(), bool(chance.getrandbits(1)))
            )
            if life % 3:  # else: perhaps while it opens the run
                select.select([out], [], [], 1)
            time.sleep(chance.uniform(0, 0.02))
            os.kill(process, signal.SIGKILL)
            promised = list(
                struct.iter_unpack("<QQ", (lambda data: data[: len(data) // 16 * 16])(drain(out)))
            )
            if killed(process):
                tally.hit("kills")
                tally.hit("before the first event", not promised)
            acked.update(promised)
            data = (path / "events.jsonl").read_bytes()
            tally.hit("torn tails", bool(data) and not data.endswith(b"\n"))
        with RunWriter.resume(path) as run:
            last = run.append(step(100_000))
        found = dict(read_lines((path / "events.jsonl").read_bytes())[0])
        missing = [
            seq for seq, number in acked.items() if getattr(found.get(seq), "step", None) != number
        ]
        tally.expect(not missing, f"chain {chain}: acknowledged records {missing[:5]} are lost")
        tally.expect(last in found, f"chain {chain}: the record after recovery is lost")
        tally.hit("events acknowledged", len(acked))
    tally.expect(tally.hits["torn tails"] > 0, "no tail was torn: the test is too weak")
    return tally


def cuts(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """The log cut at every byte, then two appends."""
    tally, count = Tally(), 12 if quick else 80
    path = fresh(folder / "run", count)
    log = path / "events.jsonl"
    data = log.read_bytes()
    ends = [i for i, byte in enumerate(data) if byte == 10]  # a record is whole up to its newline
    for cut in range(len(data) + 1):
        log.write_bytes(data[:cut])
        with RunWriter.resume(path) as run:
            run.append(turned(901))
            run.append(turned(902))
        complete = sum(end <= cut for end in ends)
        found, problems = numbers(path)
        tally.expect(
            found == [*range(1, complete + 1), 901, 902],
            f"cut at {cut}: {found}, not {complete} and two",
        )
        seqs = read_events(log).seqs
        tally.expect(
            seqs == list(range(1, len(seqs) + 1)), f"cut at byte {cut}: the seqs have a hole"
        )
        tally.hit("cuts")
        tally.hit("inside a record", cut > 0 and data[cut - 1] != 10)
    return tally


def flips(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """Every bit of a log of 50 events (quick: some) and of config.json flipped, one at a time, then an append."""
    tally, path = Tally(), fresh(folder / "run", 50)
    log, config = path / "events.jsonl", path / "config.json"
    data, settings = log.read_bytes(), config.read_bytes()
    bits = range(8 * len(data))
    for bit in chance.sample(bits, 500) if quick else bits:
        spoilt = bytearray(data)
        spoilt[bit // 8] ^= 1 << bit % 8
        line = data.count(b"\n", 0, bit // 8) + 1
        log.write_bytes(spoilt)
        before, problems = numbers(path)
        tally.expect(
            any(problem.startswith((f"line {line}:", f"line {line + 1}:")) for problem in problems),
            f"bit {bit}: line {line} is not flagged, but {problems}",
        )
        tally.expect(
            len(before) >= 48 and set(before) <= set(range(1, 51)),
            f"bit {bit}: only {before} are left",
        )
        with RunWriter.resume(path) as run:
            run.append(turned(901))
        tally.expect(
            numbers(path)[0] == [*before, 901],
            f"bit {bit}: {numbers(path)[0]} after an append to {before}",
        )
        tally.hit("bits of the log")
    log.write_bytes(data)
    bits = range(8 * len(settings))
    for bit in chance.sample(bits, 150) if quick else bits:
        spoilt = bytearray(settings)
        spoilt[bit // 8] ^= 1 << bit % 8
        config.write_bytes(spoilt)
        try:
            tally.expect(False, f"config.json, bit {bit}: read as {Run.open(path).config}")
        except RunError:
            tally.hit("bits of config.json")
    return tally


def spoilt(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """The newest checkpoint and its manifest cut at every byte, each of their bits flipped: the one before is used."""
    tally, path = Tally(), fresh(folder / "run", 3, (1, 2))
    for kind in ("safetensors", "json"):
        (file,) = (path / "checkpoints").glob(f"00000002-*.{kind}")
        data = file.read_bytes()
        faults = [("cut", i) for i in range(len(data) - 1)] + [
            ("flip", i) for i in range(8 * len(data))
        ]
        for fault, i in chance.sample(faults, 400) if quick else faults:
            damaged = bytearray(data[:i] if fault == "cut" else data)
            if fault == "flip":
                damaged[i // 8] ^= 1 << i % 8
            file.write_bytes(damaged)
            run = Run.open(path)
            loaded = run.load_checkpoint()
            tally.expect(
                loaded[0] == 1 and whole(loaded),
                f"{file.name}, {fault} {i}: step {loaded[0]} was loaded",
            )
            tally.expect(
                any("00000002-" in notice for notice in run.notices),
                f"{file.name}, {fault} {i}: not a word",
            )
            tally.hit(f"{fault}s of the {'file' if kind == 'safetensors' else 'manifest'}")
        file.write_bytes(data)
    tally.expect(
        Run.open(path).load_checkpoint()[0] == 2,
        "the checkpoint can't be loaded when it is whole again",
    )
    return tally


def survives(tally: Tally, path: Path, old: int, new: int, what: str) -> None:
    """After a save of `new` was broken off: the old or the new checkpoint, whole; and the run goes on."""
    with RunWriter.resume(path) as run:
        loaded = run.load_checkpoint()
        tally.expect(
            loaded[0] in (old, new) and whole(loaded), f"{what}: step {loaded[0]} was loaded"
        )
        tally.hit("the new one was there", loaded[0] == new)
        run.resumed(loaded[0])
        run.save_checkpoint(new + 1, *state(new + 1))
        tally.expect(run.load_checkpoint()[0] == new + 1, f"{what}: the next save is not there")
        tally.expect(
            not list((path / "checkpoints").glob("*.tmp")), f"{what}: temporary files stay"
        )
    tally.expect(numbers(path)[0] == [1, 2, 3], f"{what}: events are lost")


def saves(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """kill -9 during a save: at every call that touches the disk, at random instants, (full) at every system call."""
    tally, base = Tally(), fresh(folder / "base", 3, (1, 2))

    def again() -> Path:
        shutil.rmtree(folder / "run", ignore_errors=True)
        return Path(shutil.copytree(base, folder / "run"))

    def work(path: Path, at: Callable[[int], bool]) -> Callable[[int], None]:
        def save(ready: int) -> None:
            with RunWriter.resume(path) as run, Faulty(at, die):
                os.write(ready, b"!")
                run.save_checkpoint(3, *state(3))

        return save

    hit, call = True, 0
    while hit:
        call += 1
        path = again()
        process, out = fork(work(path, lambda count, call=call: count == call))
        drain(out)
        hit = killed(process)
        if hit:
            tally.hit("at a call")
            survives(tally, path, 2, 3, f"kill at call {call}")
    for i in range(20 if quick else 1000):
        path = again()
        process, out = fork(work(path, lambda count: False))
        os.read(out, 1)
        time.sleep(chance.uniform(0, 0.003))
        os.kill(process, signal.SIGKILL)
        drain(out)
        if killed(process):
            tally.hit("at an instant")
            survives(tally, path, 2, 3, f"random kill {i}")
    if not quick and shutil.which("strace"):
        for name in ("openat", "write", "fsync", "fdatasync", "rename", "unlink", "close"):
            hit, call = True, 0
            while hit:
                call, path = call + 1, again()
                hit = traced(path, name, call)
                if hit:
                    tally.hit("at a system call")
                    survives(tally, path, 2, 3, f"kill at {name} {call}")
    return tally


def traced(path: Path, name: str, call: int) -> bool:
    """Saves a checkpoint under strace, which kills at the call-th system call `name`; whether it did."""
    go, start = os.pipe()

    def save(ready: int) -> None:
        with RunWriter.resume(path) as run:
            os.read(go, 1)
            run.save_checkpoint(3, *state(3))

    process, out = fork(save)
    tracer = subprocess.Popen(
        [
            "strace",
            "-qq",
            "-o",
            os.devnull,
            "-p",
            str(process),
            "-e",
            f"trace={name}",
            "-e",
            f"inject={name}:signal=KILL:when={call}",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        while (
            "TracerPid:\t0\n" in Path(f"/proc/{process}/status").read_text()
            and tracer.poll() is None
        ):
            time.sleep(0.002)
        os.write(start, b"!")
        drain(out)
        return killed(process)
    finally:
        tracer.wait()
        os.close(go)
        os.close(start)


def races(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """Three processes open one run at once, to make it or to go on with it: one wins; its lock ends with it."""
    tally = Tally()

    def worker(orders: int) -> Callable[[int], None]:
        def work(answers: int) -> None:
            while order := os.read(orders, 1):
                try:
                    run = (
                        RunWriter.create(folder / "run", CONFIG, SPACE)
                        if order == b"c"
                        else RunWriter.resume(folder / "run")
                    )
                    os.write(answers, b"won")
                    if os.read(orders, 1) != b".":
                        return
                    run.close()
                    os.write(answers, b"let")
                except RunError as error:
                    known = "being written" in str(error) or "already holds" in str(error)
                    os.write(answers, b"not" if known else b"???")

        return work

    def hire() -> tuple[int, int, int]:
        orders, order = os.pipe()
        process, answers = fork(worker(orders))
        os.close(orders)
        return process, order, answers

    workers = [hire() for _ in range(3)]
    for race in range(100 if quick else 1000):
        order = b"c" if race % 2 else b"r"
        if order == b"c":
            shutil.rmtree(folder / "run", ignore_errors=True)
        elif not (folder / "run" / "events.jsonl").exists():
            fresh(folder / "run", 2)
        for _, orders, _ in chance.sample(workers, 3):
            os.write(orders, order)
        said = [os.read(answers, 3) for _, _, answers in workers]
        tally.hit("races")
        tally.expect(sorted(said) == [b"not", b"not", b"won"], f"race {race}: {said}")
        if b"won" not in said:
            continue
        winner = said.index(b"won")
        process, orders, answers = workers[winner]
        if race % 10 == 0:
            os.kill(process, signal.SIGKILL)
            killed(process)
            os.close(orders), os.close(answers)
            RunWriter.resume(folder / "run").close()
            tally.hit("holders killed")
            workers[winner] = hire()
        else:
            os.write(orders, b".")
            os.read(answers, 3)
    for process, orders, answers in workers:
        os.kill(process, signal.SIGKILL)
        killed(process), os.close(orders), os.close(answers)
    return tally


def full(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """A full disk: a small file system (or a limit on file size), and at every call that touches the disk."""
    tally = Tally()
    for for_ever in (False, True):
        hits, call = 1, 0
        while hits:
            call += 1
            path, promised = folder / "run", []
            shutil.rmtree(path, ignore_errors=True)
            last = 10**6 if for_ever else call
            with Faulty(
                lambda count, call=call, last=last: call <= count <= last, no_space
            ) as faulty:
                try:
                    with RunWriter.create(path, CONFIG, SPACE) as run:
                        for number in (1, 2, 3):
                            run.append(turned(number))
                            promised.append(number)
                            run.save_checkpoint(number, *state(number))
                except RunError as error:
                    tally.expect(
                        "\n" not in str(error) and error.hint == "resume", f"call {call}: {error}"
                    )
            hits = faulty.hits
            tally.hit("calls that failed", hits)
            if hits:
                goes_on(tally, path, promised, f"call {call} fails{' for ever' * for_ever}")
    for turn in range(4 if quick else 40):
        small_disk(tally, folder, chance, turn)
    return tally


def goes_on(tally: Tally, path: Path, promised: list[int], what: str) -> None:
    """After room was made: the run goes on (or is made anew, if it never was), and what was promised is there."""
    with (
        RunWriter.resume(path)
        if (path / "events.jsonl").exists()
        else RunWriter.create(path, CONFIG, SPACE) as run
    ):
        if run.checkpoints():
            tally.expect(whole(run.load_checkpoint()), f"{what}: the checkpoint is not whole")
        run.append(turned(901))
        run.save_checkpoint(901, *state(901))
        tally.expect(run.load_checkpoint()[0] == 901, f"{what}: the next checkpoint is not there")
    found, _ = numbers(path)
    tally.expect(
        [n for n in found if n in promised] == promised and found[-1] == 901,
        f"{what}: {found} of {promised}",
    )


def small_disk(tally: Tally, folder: Path, chance: random.Random, turn: int) -> None:
    """Appends and a save on a file system of 64 kB that fills up; then there is room, and the same process goes on."""
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    mounted = shutil.which("mount") and not subprocess.run(mount, capture_output=True).returncode

    def fill() -> None:
        with suppress(OSError), open(disk / "filling", "wb", buffering=0) as filling:
            while filling.write(bytes(4096)):
                pass

    def work(answer: int) -> None:
        limits, promised, refused = resource.getrlimit(resource.RLIMIT_FSIZE), [], []

        def attempt(act: Callable, *args) -> bool:
            try:
                act(*args)
                return True
            except RunError as error:
                refused.append(str(error))

        with RunWriter.create(disk / "run", CONFIG, SPACE) as run:
            first = chance.randrange(1, 20)
            for number in range(1, first):
                promised.append((run.append(step(number)), number)[1])
            run.save_checkpoint(first, *state(first))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            limit = chance.randrange(8_000, 20_000), limits[1]
            fill() if mounted else resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            number = first
            while attempt(run.append, step(number)):
                promised.append(number)
                number += 1
            saved = attempt(run.save_checkpoint, number, *state(number))
            attempt(run.append, step(number))
            old = run.load_checkpoint()
            (disk / "filling").unlink() if mounted else resource.setrlimit(
                resource.RLIMIT_FSIZE, limits
            )
            promised += [number for number in range(501, 511) if run.append(step(number))]
            run.save_checkpoint(510, *state(510))
            os.write(
                answer,
                json.dumps(
                    [
                        promised,
                        refused,
                        not saved
                        and whole(old)
                        and old[0] == first
                        and whole(run.load_checkpoint()),
                    ]
                ).encode(),
            )

    try:
        process, out = fork(work)
        promised, refused, good = json.loads(drain(out) or "[[], [], false]")
        os.waitpid(process, 0)
        found, _ = numbers(disk / "run")
        tally.hit(
            "writes refused by a small disk" if mounted else "writes refused by a size limit",
            len(refused),
        )
        tally.expect(
            good and all("\n" not in line and "resume" in line for line in refused),
            f"{turn}: {refused}",
        )
        tally.expect(
            [n for n in found if n in promised] == promised,
            f"{turn}: {set(promised) - set(found)} are lost",
        )
        tally.hit("lines cut short", len(read_events(disk / "run" / "events.jsonl").of(Recovered)))
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=True)
        shutil.rmtree(disk, ignore_errors=True)


class Payload:
    """What a hostile pickle asks for."""

    def __reduce__(self):
        return os.system, ("true",)


NAMES = (
    "../x",
    "../../x",
    "/etc/passwd",
    "//etc/passwd",
    "x/../../y",
    "..",
    ".",
    "",
    "/",
    "~",
    "~/x",
    "C:\\x",
    "\\..\\x",
    "file:///etc/passwd",
    "%2e%2e/x",
    "x#y",
    "x\0y",
    "x\ny",
    "run2",
    "../run2/x.json",
    "config.json/",
    "$HOME",
    "`id`",
    "./config.json",
    "config.json ",
    "CONFIG.JSON",
    "con",
    "nul",
    "lock",
    "events.jsonl",
    "controls.jsonl",
    "a" * 300,
    "weights.pt",
    "weights.pkl",
    "x.npz",
    "x.onnx",
    "x.ckpt",
    "x.pth",
    "/proc/self/mem",
    "/dev/zero",
    "checkpoints",
    "checkpoints/x",
    "\u202egpj",
    "\u200b",
    "..%2f",
    "....//",
    "..;/",
    "x\\..\\..\\y",
    "|id",
    "-rf",
    "*",
    "?",
    "[a]",
    "{a}",
    "\x1b[2J",
    "config.json\0.png",
    "\uff43onfig.json",
    "config.js\u043en",
    "space.json/../../x",
    "/dev/stdin",
    "/dev/tty",
    "fd:0",
)
ENDINGS = ("pt", "pth", "pkl", "ckpt", "npz", "onnx", "bin", "joblib")


def hostile(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """Names that lead out of the run, links and pipes in it, pickles under every ending: refused, unopened, not run."""

    def work(answer: int) -> None:
        seen = []
        sys.addaudithook(lambda event, args: seen.append((event, str(args[0]) if args else "")))
        tally, path = Tally(), fresh(folder / "run", 3, (1, 2))
        (folder / "boxed").mkdir()
        del seen[:]
        for attack in (hostile_names, hostile_links, hostile_pickles):
            attack(tally, path)
        for event, what in seen:
            tally.expect(
                event
                not in ("pickle.find_class", "os.system", "subprocess.Popen", "socket.connect"),
                f"{event} {what}",
            )
        opened = {what for event, what in seen if event == "open" and what.startswith("/")}
        outside = [
            what
            for what in opened
            if not what.startswith((str(folder), sys.prefix, sys.base_prefix))
        ]
        tally.expect(bool(opened) and not outside, f"opened outside the run: {sorted(outside)}")
        os.write(answer, json.dumps([tally.hits, tally.lost]).encode())

    process, out = fork(work)
    data = drain(out)
    os.waitpid(process, 0)
    return Tally(*json.loads(data)) if data else Tally({}, ["the process ended without an answer"])


def refused(tally: Tally, kind: str, what: str, act: Callable, *args) -> None:
    """One line of refusal, at once."""
    begin = time.monotonic()
    try:
        tally.expect(False, f"{what}: gave {act(*args)!r}")
    except RunError as error:
        tally.expect("\n" not in str(error), f"{what}: {error!r}")
        tally.hit(kind)
    tally.expect(time.monotonic() - begin < 1, f"{what}: took a second")


def hostile_names(tally: Tally, path: Path) -> None:
    (manifest,) = (path / "checkpoints").glob("00000002-*.json")
    good = manifest.read_bytes()
    with RunWriter.resume(path) as run:
        for name in NAMES:
            refused(tally, "names", f"reading {name!r}", run.read_json, name)
            refused(tally, "names", f"writing {name!r}", run.write, name, b"x")
            manifest.write_bytes(jsonl.encode(jsonl.decode(good) | {"file": name}))
            tally.expect(
                run.load_checkpoint()[0] == 1, f"a manifest that names {name!r} was followed"
            )
            tally.hit("manifests")
    manifest.write_bytes(good)


def hostile_links(tally: Tally, path: Path) -> None:
    secret, aside = path.parent / "secret", path.parent / "aside"
    shutil.copy(path / "events.jsonl", secret)

    def secret_link(target: Path) -> None:
        os.symlink(aside if aside.is_dir() else secret, target)

    reading = {
        "config.json": lambda: Run.open(path).read_json("config.json"),
        "lock": lambda: RunWriter.resume(path),
        "events.jsonl": lambda: Run.open(path).log,
        "weights.safetensors": lambda: Run.open(path).load_weights(),
        "controls.jsonl": lambda: Run.request(path, temperature=1),
        "checkpoints": lambda: Run.open(path).load_checkpoint(),
    }
    for name, act in reading.items():
        target = path / name
        if target.exists():
            target.rename(aside)
        for kind in ("link", "pipe", "folder"):
            {"link": secret_link, "pipe": os.mkfifo, "folder": os.mkdir}[kind](target)
            if (name, kind) != ("checkpoints", "folder"):
                refused(tally, "links, pipes, folders", f"{name} as a {kind}", act)
            if name == "events.jsonl":
                refused(
                    tally,
                    "links, pipes, folders",
                    f"writing to {name} as a {kind}",
                    RunWriter.resume,
                    path,
                )
            target.rmdir() if kind == "folder" else target.unlink()
        if aside.exists():
            aside.rename(target)


def _requests(path: Path) -> None:
    """What viewers left in the folder, as the search that goes on in it reads it."""
    with RunWriter.resume(path) as run:
        run.requests()


def hostile_pickles(tally: Tally, path: Path) -> None:
    with zipfile.ZipFile(path.parent / "boxed" / "zip", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload()))
    (checkpoint,) = (path / "checkpoints").glob("00000002-*.json")
    names = [
        *runs.JSON,
        "weights.safetensors",
        "controls.jsonl",
        "events.jsonl",
        f"checkpoints/{checkpoint.stem}.safetensors",
        f"checkpoints/{checkpoint.stem}.json",
    ]
    payloads = [pickle.dumps(Payload(), protocol) for protocol in range(6)]
    for data in (*payloads, (path.parent / "boxed" / "zip").read_bytes()):
        for name in names:
            target = path / name
            kept = target.read_bytes() if target.exists() else None
            target.write_bytes(data)
            run = Run.open(path)
            for act in (
                lambda: _requests(path),
                run.load_weights,
                run.load_checkpoint,
                run.scores,
                run.architecture,
                lambda run=run: (run.config, run.space, run.log.events),
            ):
                try:
                    act()
                except RunError as error:
                    tally.expect("\n" not in str(error), f"{name}: {error!r}")
            target.write_bytes(kept) if kept else target.unlink()
            tally.hit("pickles")
        for name in (f"weights.{ending}" for ending in ENDINGS):
            (path / name).write_bytes(data)
            refused(tally, "pickles", name, Run.open(path).read_json, name)


CAMPAIGNS = (
    kills,
    cuts,
    flips,
    spoilt,
    saves,
    races,
    full,
    hostile,
    commands,
    figures,
    formats,
    limits,
    networks,
    requests,
    shapes,
    searches,
)  # (folder, chance, quick) -> Tally


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a sample of each campaign, in seconds"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=[campaign.__name__ for campaign in CAMPAIGNS])
    parser.add_argument(
        "--folder", type=Path, default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    )
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    print(f"seed {wanted.seed}, {'quick' if wanted.quick else 'full'}")
    failed = False
    for campaign in CAMPAIGNS:
        if wanted.only and campaign.__name__ not in wanted.only:
            continue
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
            tally = campaign(Path(folder), random.Random(wanted.seed), wanted.quick)
        seconds = time.monotonic() - begin
        print(tally.report(campaign.__name__, seconds), flush=True)
        failed = failed or tally.failed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
