"""The command line in clumsy hands: one line for each mistake, nothing lost, nothing left behind, signals that save."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import command, signal_at

from mtlnas_lab.cli import main as cli
from mtlnas_lab.cli import progress, texts
from mtlnas_lab.cli import search as search_command
from mtlnas_lab.cli.places import writable, writable_file
from mtlnas_lab.core.events import Evaluated, Resumed
from mtlnas_lab.data.open import samples
from mtlnas_lab.data.rooms import render
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import run as carry_out
from mtlnas_lab.experiments.scores import table
from mtlnas_lab.one_line import printable
from mtlnas_lab.runs.event_file import read_events
from mtlnas_lab.runs.run import Run

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def call(*arguments) -> int:
    """The exit code."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "small.npz"
    np.savez(path, **{key: np.asarray(value) for key, value in render(40, 32, seed=3).items()})
    return path


@pytest.fixture(scope="module")
def finished(pack, tmp_path_factory):
    """A run of four steps, on networks that nobody taught."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    tasks = ("segmentation", "normals")
    made = Experiment.from_preset(
        data=str(pack), tasks=tasks, steps=4, pretrain_steps=1, baselines=(), threads=1
    )
    carry_out(replace(made, search=replace(made.search, batch_size=2)), out)
    return out


# --- what a terminal is shown -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain é 漢 λ ½ 🙂", "plain é 漢 λ ½ 🙂"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b]0;title\x07\x1b[31m", r"\x1b]0;title\x07\x1b[31m"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("line\u2028two\u2029", r"line\u2028two\u2029"),
        ("\udcff.npz", r"\udcff.npz"),
        ("", ""),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text, shown):
    assert printable(text) == shown
    assert printable(Path(text or ".")) == (shown or ".")


def test_a_table_shows_names_and_none():
    lines = table({"hard\x1b[1m": {"a\nb": {"miou": 0.5}}, "other": {}}).splitlines()
    assert len(lines) == 2 and r"hard\x1b[1m" in lines[0] and r"a\nb miou ↑" in lines[1]
    assert "nan" in lines[1] and table({}) == ""


@pytest.mark.parametrize(
    "error, words",
    [
        (ConfigError("a\x1b[2J\nb"), r"a\x1b[2J\nb"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/no/x"), "/no/x: No such"),
        (OSError("odd"), "odd"),
        (MemoryError(), "memory is too short"),
        (RuntimeError("[enforce fail] can't allocate memory: you tried"), "memory is too short"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "invalid start byte"),
        (RecursionError("maximum recursion depth"), "nested too deeply"),
        (KeyError("val"), "KeyError: 'val'; this is a fault of the lab"),
        (ZeroDivisionError(), "ZeroDivisionError: no reason given; this is a fault"),
        (RuntimeError("first\nsecond"), "RuntimeError: first; this is a fault"),
        (ConfigError("x" * 10**6), "xxx … xxx"),
    ],
)
def test_every_error_is_one_line(error, words, monkeypatch, capsys):
    def raises(*_):
        raise error

    monkeypatch.setattr("mtlnas_lab.cli.doctor.checks", raises)
    theirs = not isinstance(error, KeyError | ZeroDivisionError | RuntimeError)
    theirs |= isinstance(error, RecursionError)
    assert call("doctor") == (2 if theirs else 1)
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1 and len(told) < 5_000
    monkeypatch.setenv("MTLNAS_LAB_TRACEBACK", "1")
    call("doctor")
    assert "in raises" in capsys.readouterr().err


# --- arguments that cannot be -----------------------------------------------------------------------------------------
LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "Expected one of {search"),
        (["serch"], "serch"),
        (["search", "--sttps", "3"], "--sttps, 3; perhaps --steps was meant"),
        (["search", "--seed", "1e20"], "--seed: invalid literal"),
        (["search", "--seed", "\x1b[31m"], "--seed"),
        (["search", "--steps"], "Missing value for argument '--steps'"),
        (["search", "--threads", str(10**30)], "give from 1 to 1024"),
        (["search", "--threads", "-1"], "give from 1 to 1024"),
        (["search", "--out", "file"], "file is a file; give a folder"),
        (["search", "--out", "file/below"], "file is a file"),
        (["search", "--out", LONG], "300 letters is too long"),
        (["search", "--data", "a\x1b]0;b\nc.npz"], r"a\x1b]0;b\nc.npz"),
        (["search", "--class-weights", "segmentation"], "as in segmentation=balanced"),
        (["search", "--class-weights", "seg13=rare"], "--class-weights seg13=rare"),
        (["search", "--class-weights", "a=balanced,a=balanced"], "once"),
        (["search", "--tasks", "normals,depth", "--loss-weights", "depth=nan"], "0 or more"),
        (["search", "--tasks", "normals,depth", "--loss-weights", "depth=-1"], "0 or more"),
        (["search", "--tasks", "normals,depth", "--loss-weights", "depth"], "0 or more"),
        (["search", "--tasks", "normals,depth", "--loss-weights", "depth=1,depth=2"], "once"),
        (["search", "--resume", "--out", "file"], "no run folder"),
        (["evaluate"], "mtlnas-lab evaluate --help says more"),
        (["evaluate", LONG], "no run folder"),
        (["export", "missing", "--height", "0"], "--height 0: give from 1 to 4096"),
        (["export", "missing", "--width", str(10**30)], "give from 1 to 4096"),
        (["export", "missing"], "no run folder"),
        (["replay", "missing"], "no run folder"),
        (["explain", "missing"], "no run folder"),
        (["figure", "file"], "no run folder"),
        (["figure", "missing", "--kind", "zz"], "invalid choice 'zz'"),
        (["study", "missing.yaml"], "shipped studies are"),
        (["study", LONG], "shipped studies are"),
        (["study", "file"], "is not a study"),
        (["study", "."], "is not a study"),
        (["study", "main", "--size", "huge"], "no size 'huge'"),
        (["study", "main", "--jobs", "0", "--out", "s"], "jobs = 0: give from 1"),
        (["study", "main", "--jobs", str(10**30), "--out", "s"], "give from 1"),
        (["study", "main", "--backend", "multiprocessing", "--out", "s"], "gives no result before"),
        (["study", "main", "--out", "file"], "file is a file"),
        (["report", "main", "--out", "nothing"], "no finished run"),
        (["report", "main", "--to", "file"], "file is a file"),
        (["data", "show", "missing"], "missing"),
        (["data", "show", "file"], "file"),
        (["data", "shw"], "shw"),
    ],
)
def test_a_mistake_is_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_bytes(b"\xff\x00 not text")
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1 and not OBEYED.search(told)
    assert "fault of the lab" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("text", ["", " ", "1"])
def test_one_process_may_be_said_in_many_ways(text, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", text)
    assert search_command._communicator("cpu").world_size == 1


@pytest.mark.parametrize("text", ["x", "0", "-1", "1.0", "9" * 400, "²"])
def test_a_number_of_processes_that_is_none(text, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", text)
    assert call("search") == 2
    assert "WORLD_SIZE=" in capsys.readouterr().err and not os.path.exists("runs/x")


@pytest.mark.parametrize(
    "text, files",
    [
        ("", {}),
        ("a.pth", {"*": "a.pth"}),
        ("normals=a.pth, depth=b.pth", {"normals": "a.pth", "depth": "b.pth"}),
        ("normals=lr=0.1,wd=2.pth", {"normals": "lr=0.1", "wd": "2.pth"}),
        ("normals=a,b.pth,depth=c=1.pth", {"normals": "a,b.pth", "depth": "c=1.pth"}),
    ],
)
def test_files_of_tasks(text, files):
    assert texts.files_of_tasks(text) == files


def test_weights_of_losses_and_classes_reach_the_experiment(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(
        "mtlnas_lab.experiments.pipeline.run", lambda made, *_, **__: heard.append(made)
    )
    monkeypatch.setattr(search_command, "finish", lambda *_: None)
    monkeypatch.setattr("mtlnas_lab.runs.run.Run.open", lambda path: None)
    out = ["--out", tmp_path / "run", "--tasks", "segmentation,normals"]
    assert call("search", *out, "--loss-weights", "normals=20, segmentation=0") == 0
    assert heard[0].loss_weights == {"normals": 20.0, "segmentation": 0.0}
    assert texts.weights_of_classes("segmentation=balanced, room=balanced") == {
        "segmentation": "balanced",
        "room": "balanced",
    }


def test_a_file_that_is_there_is_meant_as_it_stands(tmp_path):
    there = tmp_path / "lr=0.1,wd=2.pth"
    there.write_bytes(b"")
    assert texts.files_of_tasks(str(there)) == {"*": str(there)}


# --- where it is written ----------------------------------------------------------------------------------------------
def test_places_are_looked_at_and_left_as_they_are(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loose").symlink_to(tmp_path / "nowhere")
    assert writable(tmp_path / "new" / "deep") and writable_file(tmp_path / "x.html")
    for place in ("file", "file/below", "loose", "loose/x", LONG, f"{LONG}/x", "\0"):
        with pytest.raises(ConfigError):
            writable(tmp_path / place)
    for file in ("", "missing/x.html", "file/x.html", LONG, "loose"):
        with pytest.raises(ConfigError):
            writable_file(tmp_path / file)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "loose"}


@pytest.mark.parametrize("name", ["export", "replay"])
def test_a_folder_that_is_read_only_is_told_before_the_work(name, finished, monkeypatch, capsys):
    def work(*_, **__):
        raise AssertionError("worked before it looked")

    monkeypatch.setattr("mtlnas_lab.experiments.pipeline.reopen", work)
    monkeypatch.setattr("mtlnas_lab.widgets.replay_html", work)
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert call(name, finished) == 2
    told = capsys.readouterr().err
    assert "cannot be written to" in told and told.count("\n") == 1


def test_a_replayed_page_shows_what_networks_saw_where_the_data_are_there(
    tmp_path, monkeypatch, capsys
):
    """A recorded run has no weights; its pictures need none."""
    page = tmp_path / "blind.html"

    def eyes() -> dict:
        assert call("replay", samples() / "runs" / "blind", "--html", page) == 0
        assert capsys.readouterr().err == ""
        return json.loads(page.read_text("utf-8").split('id="data">')[1].split("</script>")[0])[
            "eyes"
        ]

    def moved(*_, **__):
        raise RunError("its data are not there")

    assert set(eyes()["of"]) == {"segmentation", "normals"}
    monkeypatch.setattr("mtlnas_lab.experiments.pipeline.as_set_up", moved)
    assert eyes() == {}


def test_searches_of_one_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search_command.time, "strftime", lambda form: "20260101-000000")
    made, taken = Experiment(tasks=("../../a", "b")), []

    def begin():
        with search_command._own_folder(made) as out:
            (out / "kept").touch()
            taken.append(out)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({*taken}) == 8 and {out.parent for out in taken} == {Path("runs")}
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    with search_command._own_folder(made) as out:
        pass
    assert not out.exists() and len(list(Path("runs").iterdir())) == 8


# --- going on, and ending ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "flags, words",
    [
        (["--steps", 8], "--steps is the folder's own setting, which is 4"),
        (["--data", "nowhere.npz"], "nowhere.npz"),
        (["--preset", "vgg16"], "which is tiny"),
        (["--seed", 1], "which is 0"),
        (["--seed=1"], "which is 0"),
        (["--baselines", "all_edges"], "which is none"),
        (["--batch-size", 8], "which is 2"),
        (["--fusion", "residual"], "which is not set"),
        (["--graph", "x.json"], "--graph x.json can't be given where a run goes on"),
        (["--released-config", "x.yaml"], "can't be given"),
        (["--tasks", "segmentation,depth"], "which is segmentation,normals"),
        (["--threads", 0], "give from 1"),
    ],
)
def test_what_a_run_cannot_go_on_with_is_refused(flags, words, finished, capsys):
    before = (finished / "events.jsonl").read_bytes()
    assert call("search", "--resume", "--out", finished, *flags) == 2
    told = capsys.readouterr()
    assert words in told.err and told.err.count("\n") == 1 and told.out == ""
    assert (finished / "events.jsonl").read_bytes() == before


def test_what_is_the_folders_own_may_be_said_again(finished, pack, monkeypatch, capsys):
    monkeypatch.chdir(pack.parent)
    heard = []
    monkeypatch.setattr(
        "mtlnas_lab.experiments.pipeline.run",
        lambda *args, elsewhere=None, **_: heard.append((args[4:], elsewhere)),
    )
    same = ["--steps", 4, "--data", "small.npz", "--tasks", "segmentation,normals", "--seed", 0]
    assert call("search", "--resume", "--out", finished, *same) == 0
    knobs = ["--threads", 2, "--device", "cpu", "--weight-lr", 0.5]
    assert call("search", "--resume", "--out", finished, *knobs) == 0
    assert heard == [
        (({},), {}),
        (({"weight_lr": 0.5},), {"device": "cpu", "threads": 2}),
    ]
    assert "edges kept" in capsys.readouterr().out


def test_what_comes_after_a_search_does_not_lose_it(finished, monkeypatch, capsys):
    def broken(*_, **__):
        raise ValueError("no such font")

    monkeypatch.setattr("mtlnas_lab.viz.export.save_fusion_graph", broken)
    (finished / "summary.md").unlink(missing_ok=True)
    assert call("search", "--resume", "--out", finished) == 2
    told = capsys.readouterr()
    assert re.search(r"are kept; .*the fusion graph \(ValueError: no such font", told.err)
    assert "edges kept" in told.out and (finished / "summary.md").is_file()


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with progress.interruptible() as stopped:
            signal.raise_signal(signal.SIGHUP)
            assert stopped == []
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert stopped == [signal.SIGTERM, signal.SIGTERM]
            with pytest.raises(progress.Stopped):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_command_that_is_ended_says_so(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("mtlnas_lab.cli.doctor.checks", lambda: signal.raise_signal(signal.SIGTERM))
    assert call("doctor") == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "mtlnas-lab: stopped\n"
    assert signal.getsignal(signal.SIGTERM) is before


def history(out):
    """What happened, without what may differ: times, and what a stop adds."""
    log = read_events(out / "events.jsonl")
    steps = [replace(event, seconds=0.0) for event in log.steps]
    return steps, log.of(Evaluated), (out / "scores.json").read_bytes()


SEARCH = ["search", "--steps", 12, "--pretrain-steps", 1, "--baselines", "none", "--threads", 1]


@pytest.fixture(scope="module")
def uninterrupted(pack, tmp_path_factory):
    """(A run that was never stopped, what the command said of it)."""
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    done = command(*SEARCH, "--data", pack, "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def goes_on_as_if_never_stopped(out, told, uninterrupted):
    whole, said = uninterrupted
    assert "Traceback" not in told
    assert (
        f"mtlnas-lab search --resume --out {out} goes on with it" in told.strip().splitlines()[-1]
    )
    stopped = max(manifest.step for manifest in Run.open(out).checkpoints())
    assert 3 <= stopped < 12
    resumed = command("search", "--out", out, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert history(out) == history(whole)
    assert resumed.stdout.splitlines()[:5] == said.splitlines()[:5]
    assert [event.from_step for event in Run.open(out).log.of(Resumed)] == [stopped]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_search_that_is_ended_goes_on_as_if_never_stopped(number, pack, tmp_path, uninterrupted):
    out, late = tmp_path / "run", []
    before = signal.signal(number, lambda *_: late.append(number))  # else it would end the tests
    try:
        waiting = signal_at(out / "events.jsonl", b'"step":3,', number)
        ended = command(*SEARCH, "--data", pack, "--out", out)
        waiting.join()
    finally:
        signal.signal(number, before)
    assert late == [], "the search was over before its signal came"
    assert ended.returncode == 128 + number, ended.stderr
    goes_on_as_if_never_stopped(out, ended.stderr, uninterrupted)


def test_a_process_of_its_own_that_is_ended_goes_on_likewise(pack, tmp_path, uninterrupted):
    out = tmp_path / "run"
    arguments = [*SEARCH, "--data", pack, "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "mtlnas_lab", *map(str, arguments)],
        text=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    log = out / "events.jsonl"
    while not (log.exists() and b'"step":3,' in log.read_bytes()):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    goes_on_as_if_never_stopped(out, told, uninterrupted)
