"""Faults in real searches: killed, interrupted, out of disk; resumed, they must tell the same events as one never stopped."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from harness import Tally, drain, fork

from mtlnas_lab.cli import main as cli
from mtlnas_lab.core.events import Evaluated
from mtlnas_lab.data.rooms import render
from mtlnas_lab.runs.event_file import read_events

STEPS = 12
PARTS = ("pretraining", ".", "baselines/single_task")


def command(pack: Path, out: Path) -> list[str]:
    """The search that is spoilt: some seconds long, with pretraining, evaluations, checkpoints and a baseline."""
    return [
        "search",
        "--data",
        str(pack),
        "--tasks",
        "segmentation,normals",
        "--steps",
        str(STEPS),
        "--pretrain-steps",
        "4",
        "--evaluate-every",
        "4",
        "--checkpoint-every",
        "2",
        "--threads",
        "1",
        "--out",
        str(out),
    ]


def start(pack: Path, out: Path) -> tuple[int, int]:
    """A process that begins the search, or goes on with it where a run is there; it writes how it ended."""

    def work(answer: int) -> None:
        signal.alarm(300)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        told = io.StringIO()
        arguments = (
            ["search", "--out", str(out), "--resume"]
            if (out / "events.jsonl").exists()
            else command(pack, out)
        )
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            try:
                cli.main(arguments)
                code = 0
            except SystemExit as end:
                code = end.code
        os.write(answer, json.dumps([code, told.getvalue()[-2000:]]).encode())

    return fork(work)


def written(out: Path) -> int:
    """How many lines all logs of a run hold."""
    return sum(
        path.read_bytes().count(b"\n")
        for part in PARTS
        if (path := out / part / "events.jsonl").exists()
    )


def history(out: Path) -> list:
    """What a run tells: every step of every part without its seconds, evaluations, scores."""
    told = []
    for part in PARTS:
        log = read_events(out / part / "events.jsonl")
        steps = [replace(event, seconds=0.0) for event in log.steps]
        told.append([steps, log.of(Evaluated)])
    return [*told, json.loads((out / "scores.json").read_text())]


def stop(process: int, out: Path, lines: int, number: int, chance: random.Random) -> bool:
    """Send a signal once the logs hold so many lines and a moment has passed; whether the process was still there."""
    while written(out) < lines if (out / "events.jsonl").exists() else lines:
        if os.waitpid(process, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    time.sleep(chance.random() * 0.3)
    with suppress(ProcessLookupError):
        os.kill(process, number)
    return True


def searches(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """Chains of three kills or Ctrl-C in a real search, and a disk that fills up; each then goes on to its end."""
    tally, pack, whole = Tally(), folder / "pack.npz", folder / "whole"
    np.savez(pack, **render(24, 32, seed=7))
    process, out = start(pack, whole)
    tally.expect(json.loads(drain(out) or "[1]")[0] == 0, "the search that nothing stops failed")
    os.waitpid(process, 0)
    expected, lines = history(whole), written(whole)
    for turn in range(2 if quick else 20):
        kind = signal.SIGKILL if turn % 2 == 0 else signal.SIGINT
        run, hits = folder / "run", 0
        shutil.rmtree(run, ignore_errors=True)
        for at in sorted(chance.sample(range(1, lines - 2), 3)):
            process, out = start(pack, run)
            if stop(process, run, at, kind, chance):
                answer = drain(out)
                status = os.waitpid(process, 0)[1]
                hit = os.WIFSIGNALED(status) or json.loads(answer or "[0]")[0] == 130
                hits += hit
                tally.hit(
                    {signal.SIGKILL: "searches killed", signal.SIGINT: "searches interrupted"}[
                        kind
                    ],
                    hit,
                )
        process, out = start(pack, run)
        code, told = json.loads(drain(out) or '[1, ""]')
        os.waitpid(process, 0)
        tally.expect(
            code == 0 and history(run) == expected,
            f"turn {turn}, {hits} stops: other events, or {told[-200:]}",
        )
    for turn in range(1 if quick else 5):
        full_disk(tally, folder, pack, expected, lines, chance, turn)
    return tally


def full_disk(
    tally: Tally,
    folder: Path,
    pack: Path,
    expected: list,
    lines: int,
    chance: random.Random,
    turn: int,
) -> None:
    """The search on a small file system, which something else fills while it runs; after room was made it goes on."""
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", disk], capture_output=True
    ).returncode:
        return  # no right to mount: `full` has its own way
    try:
        run, filling = disk / "run", disk / "filling"
        process, out = start(pack, run)
        if stop(process, run, chance.randrange(1, lines * 2 // 3), 0, chance):
            with suppress(OSError), open(filling, "wb", buffering=0) as stream:
                while stream.write(bytes(65536)):
                    pass
        code, told = json.loads(drain(out) or '[1, ""]')
        os.waitpid(process, 0)
        last = told.strip().splitlines()[-1]
        tally.hit("searches out of disk", code == 2)
        tally.expect(
            code == 2 and "--resume" in last and "Traceback" not in told,
            f"disk {turn}: {code}, {last}",
        )
        filling.unlink(missing_ok=True)
        process, out = start(pack, run)
        code, told = json.loads(drain(out) or '[1, ""]')
        os.waitpid(process, 0)
        tally.expect(
            code == 0 and history(run) == expected,
            f"disk {turn}, gone on with: other events, or {told[-200:]}",
        )
    finally:
        subprocess.run(["umount", disk], check=True)
