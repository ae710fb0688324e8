"""Ordinary mistakes at the command line: each must be one line, end with an exit code, and leave nothing elsewhere."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import re
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from harness import Tally

from mtlnas_lab.cli import main as cli
from mtlnas_lab.data.open import samples

LONG, BIG = "n" * 300, str(10**30)
CONTROL = "\x1b]0;title\x07\x1b[2J\nforged\u202e"
OBEYED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PATIENCE, ROOM = 60, 2**34  # seconds and bytes: what takes more hangs, or takes the machine with it
SHORT = ["--steps", "1", "--baselines", "none", "--evaluate-every", "0", "--threads", "1"]

# What a path may be, made by `places`.
READ = ("junk", "empty", "latin", "folder", "pipe", "zero", "loose", "junk/x", LONG, "no", CONTROL)
INTO = ("junk", "junk/x", "pipe", "zero", "loose", f"folder/{LONG}", LONG)
ONTO = ("folder", "junk/x", "loose", "no/x", f"folder/{LONG}", LONG)

# Commands with a place in them, {}; "run" is a recorded run, "made" holds whatever is written.
READING = (
    "evaluate {}",
    "evaluate {}.pth",
    "explain {}",
    "export {}",
    "replay {}",
    "figure {}",
    "figure {}.json",
    "figure {}.pth",
    "figure run --layout {}",
    "search --data {}",
    "search --eval-data {}",
    "search --weights {}",
    "search --weights normals={}",
    "search --graph {}",
    "search --released-config {}",
    "search --resume --out {}",
    "study {}",
    "report {}",
    "report main --out {}",
    "data show {}",
    "data import-nyuv2 {} made/pack.npz",
)
WRITING = (
    "search --out {}",
    "figure run --out {}",
    "figure run --kind film --out {}",
    "figure run --kind consensus --out {}",
    "explain run --out {}",
    "study main --out {}",
    "report main --to {}",
)
FILING = ("replay run --html {}", "export run --out {}")

# Values that no setting can have.
NUMBERS = ("", "x", "1e20", "nan", "1.5", "-1", BIG, CONTROL)
FLOATS = ("", "x", "nan", "inf", "-inf", "-1", CONTROL)
VALUES = {
    "search --steps": (*NUMBERS,),
    "search --seed": ("", "x", "1e20", "nan", "1.5", BIG, f"-{BIG}", CONTROL),
    "search --pretrain-steps": NUMBERS,
    "search --batch-size": ("0", *NUMBERS),
    "search --threads": ("0", *NUMBERS),
    "search --checkpoint-every": ("0", "", "x", "nan", "1.5", "-1", CONTROL),
    "search --evaluate-every": NUMBERS,
    "search --entropy-weight": FLOATS,
    "search --weight-lr": FLOATS,
    "search --preset": ("", "zz", CONTROL),
    "search --tasks": ("normals", "normals,smell", "normals,normals", "../..", CONTROL),
    "search --baselines": ("", "zz", "single_task,zz", CONTROL),
    "search --device": ("", "zz", "cuda:99", CONTROL),
    "search --backbone": ("zz", "smell=vgg16", "normals=", "=", CONTROL),
    "search --fusion": ("zz", CONTROL),
    "search --precision": ("", "zz", CONTROL),
    "search --compile": ("zz", CONTROL),
    "search --loss-weights": ("normals=nan", "smell=1", "=", CONTROL),
    "search --resume --out run --steps": ("3",),
    "search --zz": ("1",),
    "study main --jobs": ("0", "x", "1.5", BIG, CONTROL),
    "study main --backend": ("", "zz", "multiprocessing", CONTROL),
    "study main --size": ("", "zz", "../..", CONTROL),
    "report main --size": ("zz",),
    "export run --height": ("0", "-1", "x", BIG),
    "export run --width": ("0", "-1", "x", BIG),
    "figure run --kind": ("zz", CONTROL),
    "figure run --format": ("", "zz", "pdf,zz", CONTROL),
    "figure run --style": ("zz", CONTROL),
    "figure run --width": ("nan", "inf", "-1", "0", "1e9", "x"),
    "figure run --threshold": ("nan", "inf", "x"),
    "figure run --step": ("-1", "x", BIG),
    "evaluate run --device": ("zz", CONTROL),
    "data import-nyuv2 junk made/pack.npz --height": ("0", "-1", "x"),
    "data": ("zz", CONTROL),
    "progress": ("zz", "--zz"),
    "doctor": ("zz",),
    "": ("zz", CONTROL, "--zz"),
}
STUDIES = (
    b"",
    b"[1]",
    b"a: [",
    b"\xff",
    b"name: ../../out\nquestion: q\nreference: x\nrows: {x: {}}\n",
    b"name: a\nquestion: q\nreference: x\nrows: {x: {draws: 999999999}}\n",
    b"name: a\nquestion: q\nreference: x\nkind: zz\nrows: {x: {}}\n",
    b"name: a\nquestion: q\nreference: x\nrows: {x: {steps: many}}\n",
    b'name: "\\e[31m"\nquestion: q\nreference: x\nrows: {x: {}}\n',
    b"name: a\nquestion: q\nreference: x\nrows: {x: {}}\ngrid: {"
    + b", ".join(b"_%d: [0,1,2,3,4,5,6,7,8,9]" % i for i in range(12))
    + b"}\n",
    b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(
        b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c]\n" % ((c + 1, c + 1) + (c,) * 6)
        for c in b"abcdefgh"
    ),
)


class Hang(BaseException):
    """A command took longer than anybody waits."""


def commands(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """Every command with every wrong path and value; files that are no studies; a run with one file spoilt."""
    tally, work = Tally(), folder / "outer" / "work"
    work.mkdir(parents=True)
    before, stay = signal.signal(signal.SIGALRM, _hangs), Path.cwd()
    room, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (ROOM if most < 0 else min(ROOM, most), most))
    os.chdir(work)
    try:
        _places(work)
        wrong = [*_wrong()]
        for kind, arguments in chance.sample(wrong, 60) if quick else wrong:
            _refused(tally, kind, arguments, folder, work)
        for text in STUDIES:
            (work / "study.yaml").write_bytes(text)
            for command in ("study", "report"):
                _refused(tally, "studies", [command, "study.yaml"], folder, work)
        _spoilt(tally, folder, work, chance, quick)
    finally:
        os.chdir(stay)
        resource.setrlimit(resource.RLIMIT_AS, (room, most))
        signal.signal(signal.SIGALRM, before)
    return tally


def _places(work: Path) -> None:
    """What paths lead to."""
    (work / "junk").write_bytes(bytes(range(256)) * 8)
    (work / "empty").touch()
    (work / "latin").write_bytes("name: é\n".encode("latin-1"))
    (work / "folder").mkdir()
    (work / "folder" / "something").touch()
    (work / "made").mkdir()
    os.mkfifo(work / "pipe")
    (work / "zero").symlink_to("/dev/zero")
    (work / "loose").symlink_to(work / "nowhere")
    shutil.copytree(samples() / "runs" / "entropy", work / "run")
    for ending in (".json", ".pth"):
        for name in ("junk", "empty", "latin", "folder", "pipe", "zero", "loose"):
            (work / f"{name}{ending}").symlink_to(work / name)


def _wrong() -> Iterator[tuple[str, list[str]]]:
    """(kind, arguments) of all that must be refused."""
    for kind, templates, places in (
        ("paths to read", READING, READ),
        ("folders to write into", WRITING, INTO),
        ("files to write", FILING, ONTO),
    ):
        for template, place in itertools.product(templates, places):
            if (template, place) == ("search --released-config {}", "empty"):
                continue  # it sets nothing, which is as good as the released settings
            arguments = [part.replace("{}", place) for part in template.split()]
            yield (
                kind,
                arguments + SHORT * (template.startswith("search") and "--res" not in template),
            )
    for command, values in VALUES.items():
        for value in values:
            arguments = [*command.split(), value]
            short = [] if "--resume" in command else SHORT if command.startswith("search") else []
            taken = arguments[-2:-1]
            rest = [pair for pair in zip(short[::2], short[1::2]) if pair[0] not in taken]
            yield "values", arguments + [part for pair in rest for part in pair]


def _hangs(*_) -> None:
    raise Hang


def _call(arguments: list[str]) -> tuple[object, str]:
    """(exit code, what stderr was told) of the command line, in this process."""
    told, code = io.StringIO(), 0
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            cli.main(arguments)
    except SystemExit as end:
        code = end.code
    except Hang:
        code = "hangs"
    except BaseException as error:
        code = f"raises {type(error).__name__}"
    finally:
        signal.alarm(0)
    return code, told.getvalue()


def _refused(tally: Tally, kind: str, arguments: list[str], folder: Path, work: Path) -> None:
    """One line on stderr, an exit code that says so, nothing outside."""
    code, told = _call(arguments)
    shown = f"{' '.join(arguments)[:200]!r}: {code}, {told[-300:]!r}"
    tally.expect(code in (1, 2) and code is not True, f"not refused: {shown}")
    tally.expect(told.count("\n") == 1, f"not one line: {shown}")
    _seemly(tally, told, shown)
    tally.expect(_outside(folder, work), f"left something outside: {shown}")
    tally.hit(kind)


def _seemly(tally: Tally, told: str, shown: str) -> None:
    tally.expect("Traceback" not in told, f"a traceback: {shown}")
    tally.expect("fault of the lab" not in told, f"not foreseen: {shown}")
    tally.expect("memory is too short" not in told, f"fills the memory: {shown}")
    tally.expect(not OBEYED.search(told), f"control characters: {shown}")


def _outside(folder: Path, work: Path) -> bool:
    """Whether all that there is outside the folder of the work was there before."""
    return [*folder.iterdir()] == [folder / "outer"] and [*work.parent.iterdir()] == [work]


def _spoilt(tally: Tally, folder: Path, work: Path, chance: random.Random, quick: bool) -> None:
    """A run with one file that is another: drawn all the same, or one line."""
    junk = (b"", b"{}", b"[]", b"null", b"\xff\x00", b"[" * 10_000, b'{"a": NaN}', bytes(4096))
    names = [path.name for path in (work / "run").iterdir() if path.is_file()]
    asked = ("figure {} --out made", "replay {} --html made/x.html", "evaluate {}", "export {}")
    cases = [*itertools.product(names, junk, (*asked, "explain {}"))]
    for name, data, command in chance.sample(cases, 30) if quick else cases:
        shutil.rmtree(work / "spoilt", ignore_errors=True)
        shutil.copytree(work / "run", work / "spoilt")
        (work / "spoilt" / name).write_bytes(data)
        code, told = _call(command.replace("{}", "spoilt").split())
        shown = f"{command} with {name} = {data[:20]!r}: {code}, {told[-300:]!r}"
        tally.expect(code in (0, 1, 2), f"neither done nor refused: {shown}")
        _seemly(tally, told, shown)
        tally.expect(_outside(folder, work), f"left something outside: {shown}")
        tally.hit("spoilt runs")
