"""Run folders: what is written is there, what is damaged is told, what is not ours is refused."""

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch

from mtlnas_lab.core.events import (
    Checkpoint,
    Evaluated,
    Finished,
    Recovered,
    Resumed,
    Started,
    Step,
    Turned,
)
from mtlnas_lab.core.schedule import Schedule
from mtlnas_lab.core.space import SearchSpace
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.runs import event_file, run_writer
from mtlnas_lab.runs import run as runs
from mtlnas_lab.runs.event_file import read_events
from mtlnas_lab.runs.run import Run
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.storage import checkpoints, jsonl, safe_files
from mtlnas_lab.storage.checkpoints import HEADER, TENSORS

ROOT = Path(__file__).parents[2]
SPACE = {
    "plans": {"a": {"channels": [4, 4], "groups": [2]}, "b": {"channels": [4, 4], "groups": [2]}},
    "edges": ["b:0 -> a:0", "a:0 -> b:0"],
}
CONFIG = {"steps": 12, "rates": (0.5, 1.0), "limit": float("inf")}
posix = pytest.mark.skipif(
    os.name != "posix", reason="needs the processes and files of a POSIX system"
)


def started():
    return Started({"steps": 12}, SPACE, {"torch": "2"}, "cpu", 1)


def step(number, entropy=0.5):
    return Step(
        number, (0.5 * number, 1.0), (0.25, -0.25), {"a": 1 / number, "b": 2.0}, entropy, *[0.1] * 6
    )


def state(number):
    generator = torch.Generator().manual_seed(number)
    return {"w": torch.full((4, 4), float(number)), "rng": generator.get_state()}, {"n": number}


def same(loaded, number):
    tensors, meta = state(number)
    return (
        loaded[0] == number
        and loaded[2] == meta
        and loaded[1].keys() == tensors.keys()
        and all(torch.equal(loaded[1][name], value) for name, value in tensors.items())
    )


@pytest.fixture
def run(tmp_path):
    with RunWriter.create(tmp_path / "run", CONFIG, SPACE) as made:
        yield made


def one_line(act, *args, match="."):
    with pytest.raises(RunError, match=match) as caught:
        act(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Os:
    """The module `os`, but for some functions."""

    def __init__(self, **functions):
        self.__dict__.update(functions)

    def __getattr__(self, name):
        return getattr(os, name)


def stand_in(monkeypatch, **functions):
    for module in (safe_files, jsonl, event_file, checkpoints, runs, run_writer):
        monkeypatch.setattr(module, "os", Os(**functions))


# --- folders ----------------------------------------------------------------------------------------------------------
def test_a_new_run_holds_its_settings_and_space(tmp_path):
    space = SearchSpace.from_json(SPACE)
    with RunWriter.create(tmp_path / "deep" / "run", CONFIG, space):
        pass
    run = Run.open(tmp_path / "deep" / "run")
    assert (
        run.config == {"steps": 12, "rates": [0.5, 1.0], "limit": "Infinity"} and run.space == space
    )
    assert sorted(os.listdir(run.path)) == [
        "checkpoints",
        "config.json",
        "events.jsonl",
        "lock",
        "space.json",
    ]
    assert run.log.events == [] and run.notices == [] and run.checkpoints() == []
    assert json.loads((run.path / "config.json").read_text())["steps"] == 12


def test_what_is_there_is_not_written_over(run, tmp_path):
    run.append(step(1))
    one_line(RunWriter.create, run.path, {}, SPACE, match="already holds a run; pass --resume")
    run.close()
    one_line(RunWriter.create, run.path, {}, SPACE, match="already holds a run; pass --resume")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    one_line(
        RunWriter.create, tmp_path / "full", {}, SPACE, match="is not empty; pass another --out"
    )
    assert os.listdir(tmp_path / "full") == ["thesis.tex"]
    one_line(RunWriter.create, tmp_path / "full" / "thesis.tex", {}, SPACE, match="thesis.tex")
    for name in ("full", "nowhere"):
        one_line(Run.open, tmp_path / name, match="no run folder")
        one_line(RunWriter.resume, tmp_path / name, match="no run folder")
    assert read_events(run.path / "events.jsonl").steps == [step(1)]


def test_a_create_that_was_killed_is_no_obstacle(tmp_path):
    path = tmp_path / "run"
    for left in (
        (),
        ("lock",),
        ("lock", "config.json.tmp"),
        ("lock", "config.json", "space.json.tmp"),
    ):
        path.mkdir(exist_ok=True)
        for name in left:
            (path / name).write_text("{")
        RunWriter.create(path, CONFIG, SPACE).close()
        assert Run.open(path).config["steps"] == 12
        for name in ("events.jsonl", "config.json", "space.json"):
            (path / name).unlink()
        (path / "checkpoints").rmdir()


def test_runs_are_listed_by_name(tmp_path):
    for name in ("b", "a"):
        RunWriter.create(tmp_path / name, CONFIG, SPACE).close()
    (tmp_path / "c").mkdir()
    assert Run.list(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    one_line(Run.list, tmp_path / "nowhere", match="nowhere")


def test_one_process_writes(run):
    """The lock is not even given twice inside one process; it goes with `close`."""
    message = one_line(RunWriter.resume, run.path, match="run is being written by")
    assert str(os.getpid()) in message
    assert Run.open(run.path).log.events == []
    run.close()
    run.close()
    with RunWriter.resume(run.path) as again:
        again.append(step(1))
    with pytest.raises(ZeroDivisionError), RunWriter.resume(run.path):
        _ = 1 / 0
    RunWriter.resume(run.path).close()


def test_a_file_system_without_locks_is_refused(run, monkeypatch):
    run.close()

    class NoLocks:
        LOCK_EX = LOCK_NB = 0

        def flock(self, *args):
            raise OSError(95, "Operation not supported")

    monkeypatch.setattr(safe_files, "fcntl", NoLocks())
    one_line(RunWriter.resume, run.path, match="can't be locked .* choose a folder on another disk")
    monkeypatch.undo()
    RunWriter.resume(run.path).close()


def test_looking_does_not_write(run):
    run.append(step(1))
    run.close()
    looker = run  # closed, it is a reader; one that `Run.open` gives has nothing that writes
    reader = Run.open(run.path)
    for name in ("append", "write_json", "sync", "save_checkpoint", "save_weights", "write"):
        assert hasattr(run, name) and not hasattr(reader, name)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    for act in (
        lambda: looker.append(step(2)),
        lambda: looker.write_json("scores.json", {}),
        looker.sync,
        lambda: looker.save_checkpoint(1, *state(1)),
        lambda: looker.save_weights({}),
        lambda: looker.write("summary.md", "x"),
        lambda: looker.resumed(1),
    ):
        one_line(act, match="only being looked at")
    assert looker.log.steps == reader.log.steps == [step(1)]
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


# --- events -----------------------------------------------------------------------------------------------------------
def test_appended_events_are_in_the_file_at_once(run):
    scored = Evaluated(1, {"soft": {"a": {"miou": float("nan")}}})
    for number, event in enumerate((started(), step(1), scored), 1):
        assert run.append(event) == number
        assert repr(read_events(run.path / "events.jsonl").events[-1]) == repr(event)
    assert run.log.seqs == [1, 2, 3] and run.log.steps == [step(1)]


def test_an_event_that_can_not_be_written_changes_nothing(run):
    run.append(step(1))
    one_line(run.append, Turned(2, {"x": object()}))
    assert run.append(step(2)) == 2 and run.log.problems == []


@pytest.mark.parametrize("cut", [1, 2, 30, 200])
def test_resuming_mends_the_end_of_the_log(run, cut):
    """Nothing is cut off: the torn record stays, ended by a newline, and the log says so, once."""
    run.append(step(1))
    run.append(step(2))
    run.close()
    log = run.path / "events.jsonl"
    data = log.read_bytes()[:-cut]
    log.write_bytes(data)
    torn = len(data) - data.rfind(b"\n") - 1
    with RunWriter.resume(run.path):
        pass
    mended = log.read_bytes()
    assert mended.startswith(data + b"\n")
    with RunWriter.resume(run.path) as again:
        assert again.append(step(3)) == (
            4 if cut == 1 else 3
        )  # without its newline a record is still whole
    assert (
        log.read_bytes().startswith(mended)
        and mended.count(b"\n") == log.read_bytes().count(b"\n") - 1
    )
    found = read_events(log)
    assert found.of(Recovered) == [Recovered(torn)] and found.seqs == list(
        range(1, len(found.seqs) + 1)
    )
    assert [s.step for s in found.steps] == ([1, 2, 3] if cut == 1 else [1, 3])


def test_a_short_write_is_told_and_the_next_record_is_whole(run, monkeypatch):
    run.append(step(1))
    with monkeypatch.context() as patch:
        stand_in(patch, write=lambda descriptor, data: os.write(descriptor, data[: len(data) // 2]))
        one_line(run.append, step(2), match="no space left.* make room and resume the run")
    assert run.append(step(2)) == 3
    assert (
        run.log.steps == [step(1), step(2)] and run.log.of(Recovered) and len(run.log.problems) == 1
    )


def test_an_interrupt_behind_the_write_doubles_nothing(run, monkeypatch):
    def write(descriptor, data):
        os.write(descriptor, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        stand_in(patch, write=write)
        with pytest.raises(KeyboardInterrupt):
            run.append(step(1))
    assert run.append(step(2)) == 2
    assert run.log.seqs == [1, 2] and not run.log.problems


@posix
def test_a_log_that_was_removed_is_not_written_to(run):
    run.append(step(1))
    (run.path / "events.jsonl").unlink()
    one_line(run.append, step(2), match="removed")


@posix
def test_a_log_with_a_second_name_is_not_written_to(run, tmp_path):
    run.close()
    os.link(run.path / "events.jsonl", tmp_path / "other")
    one_line(RunWriter.resume, run.path, match="hard link")
    assert Run.open(run.path).log.events == []


def test_the_log_is_synced_once_a_second_and_at_checkpoints(run, monkeypatch):
    synced, clock = [], [1000.0]
    stand_in(monkeypatch, fdatasync=lambda descriptor: synced.append(descriptor))
    monkeypatch.setattr(run_writer.time, "monotonic", lambda: clock[0])
    run.sync()
    for tenth in range(30):
        clock[0] = 1000 + tenth / 10
        run.append(step(tenth + 1))
    assert len(synced) == 3
    run.save_checkpoint(30, *state(30))
    assert len(synced) == 5


@posix
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_reader_sees_a_growing_prefix(run):
    """Another process appends 1,500 records; whoever looks sees no half record, no gap, no error."""
    process = os.fork()
    if not process:
        for number in range(1, 1_501):
            run.append(Turned(number, {"x": "y" * (number % 97)}))
        os._exit(0)
    looker, seen, polls = Run.open(run.path), 0, 0
    end = time.monotonic() + 20
    while seen < 1_500 and time.monotonic() < end:
        numbers = [event.step for event in looker.log.events]
        assert (
            numbers == list(range(1, len(numbers) + 1))
            and len(numbers) >= seen
            and not looker.log.problems
        )
        seen, polls = len(numbers), polls + 1
    os.waitpid(process, 0)
    assert seen == 1_500 and polls > 1


# --- checkpoints ------------------------------------------------------------------------------------------------------
def test_a_checkpoint_comes_back_as_it_was(run):
    big = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "view": big[:, 1:3],
        "same": big,
        "turned": big.t(),
        "spread": torch.ones(1).expand(5),
        "none": torch.empty(0, 3),
        "one": torch.tensor(3),
        "half": torch.tensor([0.1]).bfloat16(),
        "yes": torch.tensor([True]),
        "rng": torch.get_rng_state(),
        "nan": torch.tensor([float("nan"), -0.0]),
        "last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "grad": torch.ones(2, requires_grad=True),
    }
    meta = {"order": [3, 1, 2], "text": "ü", "deep": {"x": None}, "lr": 0.1}
    event = run.save_checkpoint(7, tensors, meta)
    number, loaded, back = Run.open(run.path).load_checkpoint()
    assert (number, back) == (7, meta) and loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype and loaded[name].shape == tensor.shape
        assert torch.equal(loaded[name].nan_to_num(9), tensor.detach().nan_to_num(9)), name
    data = (run.path / "checkpoints" / event.file).read_bytes()
    assert (
        event
        == run.log.of(Checkpoint)[0]
        == Checkpoint(7, event.file, hashlib.sha256(data).hexdigest())
    )
    loaded["same"][0, 0] = 5  # writable, and nobody else's
    assert big[0, 0] == 0


def test_a_manifest_says_what_it_vouches_for(run):
    run.append(step(1))
    event = run.save_checkpoint(1, *state(1))
    (manifest,) = run.checkpoints()
    path = run.path / "checkpoints" / event.file
    assert (manifest.seq, manifest.step, manifest.file, manifest.size) == (
        2,
        1,
        event.file,
        path.stat().st_size,
    )
    assert json.loads(path.with_suffix(".json").read_text())["sha256"] == event.sha256
    assert run.log.seqs[-1] == manifest.seq


def test_the_last_two_stay_and_what_is_to_be_kept(run):
    mine = run.path / "checkpoints" / "notes.txt"
    mine.write_text("of the user")
    (run.path / "checkpoints" / "best.safetensors").write_text("of the user")
    for number in range(1, 8):
        run.save_checkpoint(number, *state(number), keep=(2, 4))
    assert [m.step for m in run.checkpoints()] == [2, 4, 6, 7]
    names = os.listdir(run.path / "checkpoints")
    assert len(names) == 10 and mine.exists() and "best.safetensors" in names
    assert (
        same(run.load_checkpoint(4), 4) and run.loaded.step == 4 and same(run.load_checkpoint(), 7)
    )
    one_line(run.load_checkpoint, 3, match="no good checkpoint of step 3, of these: 2, 4, 6, 7")


def test_what_a_killed_save_left_goes_with_the_next(run):
    folder = run.path / "checkpoints"
    (folder / ("00000001-" + "0" * 16 + ".safetensors")).write_bytes(b"x")
    (folder / ("00000001-" + "0" * 16 + ".json.tmp")).write_bytes(b"x")
    for number in (1, 2):
        run.save_checkpoint(number, *state(number))
    assert len(os.listdir(folder)) == 4


def test_a_damaged_checkpoint_is_passed_over_and_told(run):
    for number in (1, 2, 3):
        run.save_checkpoint(number, *state(number))
    newest = run.path / "checkpoints" / run.checkpoints()[-1].file
    data = bytearray(newest.read_bytes())
    data[-1] ^= 1
    newest.write_bytes(data)
    looker = Run.open(run.path)
    assert same(looker.load_checkpoint(), 2)
    assert (
        len(looker.notices) == 1
        and "step 3 is passed over" in looker.notices[0]
        and "sha256" in looker.notices[0]
    )
    message = one_line(looker.load_checkpoint, 3, match="no good checkpoint of step 3")
    assert "sha256" in message


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-2],
        lambda text: text.replace('"step":2', '"step":3'),
        lambda text: "",
        lambda text: "{}",
        lambda text: jsonl.encode(jsonl.decode(text.encode()) | {"size": "1"}).decode(),
        lambda text: jsonl.encode(jsonl.decode(text.encode()) | {"step": 9}).decode(),
        lambda text: jsonl.encode(jsonl.decode(text.encode()) | {"sha256": 7}).decode(),
        lambda text: jsonl.encode(
            jsonl.decode(text.encode()) | {"file": "../../x.safetensors"}
        ).decode(),
        lambda text: jsonl.encode(jsonl.decode(text.encode()) | {"more": 1}).decode(),
    ],
)
def test_a_manifest_that_is_damaged_or_made_up_is_passed_over_and_told(run, spoil):
    for number in (1, 2):
        run.save_checkpoint(number, *state(number))
    manifest = (run.path / "checkpoints" / run.checkpoints()[-1].file).with_suffix(".json")
    manifest.write_text(spoil(manifest.read_text()))
    looker = Run.open(run.path)
    assert (
        same(looker.load_checkpoint(), 1)
        and len(looker.notices) == 1
        and manifest.name in looker.notices[0]
    )


def test_a_manifest_under_another_name_vouches_for_nothing(run):
    run.save_checkpoint(1, *state(1))
    (manifest,) = (run.path / "checkpoints").glob("*.json")
    manifest.rename(manifest.with_name("00000009-" + manifest.name[9:]))
    assert run.checkpoints() == [] and "another file" in run.notices[0]


@posix
def test_checkpoints_are_kept_in_the_run_itself(run, tmp_path):
    run.save_checkpoint(1, *state(1))
    run.close()
    (run.path / "checkpoints").rename(tmp_path / "elsewhere")
    (run.path / "checkpoints").symlink_to(tmp_path / "elsewhere")
    for act in (Run.open(run.path).load_checkpoint, lambda: RunWriter.resume(run.path)):
        one_line(act, match="checkpoints is a link")


def test_what_can_not_be_removed_stops_nothing(run, monkeypatch):
    def stays(path, *args):
        raise PermissionError(1, "Operation not permitted")

    run.save_checkpoint(1, *state(1))
    run.save_checkpoint(2, *state(2))
    monkeypatch.setattr(checkpoints, "os", Os(unlink=stays))
    run.save_checkpoint(3, *state(3))
    assert [m.step for m in run.checkpoints()] == [1, 2, 3] and "can't be removed" in run.notices[0]


def test_a_save_after_a_failed_append_mends_the_log_first(run, monkeypatch):
    with monkeypatch.context() as patch:
        stand_in(patch, write=lambda descriptor, data: os.write(descriptor, data[:9]))
        one_line(run.append, step(1), match="no space left")
    run.save_checkpoint(1, *state(1))
    assert [type(event) for event in run.log.events] == [Recovered, Checkpoint]
    assert run.checkpoints()[0].seq == 2


def test_only_good_checkpoints_count_when_old_ones_go(run):
    """The second newest was damaged on the disk: the one before it must not go."""
    for number in (1, 2):
        run.save_checkpoint(number, *state(number))
    run.close()
    second = run.path / "checkpoints" / run.checkpoints()[-1].file
    second.write_bytes(b"x" * second.stat().st_size)
    with RunWriter.resume(run.path) as again:
        again.save_checkpoint(3, *state(3))
        assert [m.step for m in again.checkpoints()] == [1, 3]


def test_a_history_that_was_left_behind_is_not_gone_back_to(run):
    """Steps 1-4 with checkpoints at 2 and 4; 4 is damaged, so the run goes on from 2; then 4 can be read again."""
    for number in (1, 2, 3, 4):
        run.append(step(number))
        if number % 2 == 0:
            run.save_checkpoint(number, *state(number))
    fourth = run.path / "checkpoints" / run.checkpoints()[-1].file
    data = fourth.read_bytes()
    fourth.write_bytes(b"")
    assert run.load_checkpoint()[0] == 2
    run.resumed(2)
    fourth.write_bytes(data)
    assert [m.step for m in run.checkpoints()] == [2] and run.load_checkpoint()[0] == 2
    run.append(step(3, entropy=9.0))
    assert [s.entropy for s in run.log.steps] == [0.5, 0.5, 9.0]
    assert run.log.of(Resumed) == [Resumed(2, 3)]


def test_a_checkpoint_whose_event_was_lost_counts(run):
    """Killed between the manifest and its record in the log."""
    run.append(step(1))
    run.save_checkpoint(1, *state(1))
    run.close()
    log = run.path / "events.jsonl"
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[0])
    with RunWriter.resume(run.path) as again:
        assert same(again.load_checkpoint(), 1)
        again.resumed(1)
        again.append(step(2))
        assert [s.step for s in again.log.steps] == [1, 2] and not again.log.problems
        assert [m.step for m in again.checkpoints()] == [1]


def test_records_that_the_checkpoint_knows_of_are_not_numbered_again(run):
    """The log lost its end, checkpoint and all: the numbers go on behind it, and the hole is told."""
    for number in (1, 2, 3):
        run.append(step(number))
    run.save_checkpoint(3, *state(3))
    run.close()
    log = run.path / "events.jsonl"
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[0])
    with RunWriter.resume(run.path) as again:
        again.load_checkpoint()
        assert again.resumed(3) == 4
        assert "records 2 to 3 are missing" in again.log.problems[0]


def test_without_a_checkpoint_there_is_one_line(run):
    one_line(run.load_checkpoint, match="no good checkpoint, of these: none")
    assert run.append(started()) == 1 and run.resumed(0) == 2
    assert run.log.started is None and run.log.events == [Resumed(0, 0)]


@pytest.mark.parametrize(
    "tensors",
    [
        {"x": [1.0]},
        {"x": torch.zeros(1).to_sparse()},
        {"x" * 256: torch.zeros(1)},
        {1: torch.zeros(1)},
        {"x": None},
        {str(i): torch.empty(0) for i in range(21)},
    ],
)
def test_what_safetensors_can_not_hold_is_refused(run, tensors, monkeypatch):
    monkeypatch.setattr(checkpoints, "TENSORS", 20)
    one_line(run.save_checkpoint, 1, tensors, {})
    one_line(run.save_weights, tensors)
    assert os.listdir(run.path / "checkpoints") == [] and run.log.events == []


def test_meta_must_be_json(run):
    one_line(run.save_checkpoint, 1, {}, {"x": object()}, match="can't be kept as JSON")
    one_line(run.save_checkpoint, 1, {}, {"x": "y" * (HEADER + 1)})
    assert os.listdir(run.path / "checkpoints") == []


def test_weights_come_back(run):
    weights = {"w": torch.randn(3, 3), "b": torch.zeros(2, dtype=torch.float64)}
    run.save_weights(weights)
    loaded = Run.open(run.path).load_weights()
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[n], w) and loaded[n].dtype == w.dtype for n, w in weights.items())
    run.save_weights({"w": torch.ones(1)})
    assert Run.open(run.path).load_weights()["w"] == 1


def header(text, rest=b""):
    data = text.encode() if isinstance(text, str) else text
    return len(data).to_bytes(8, "little") + data + rest


def zipped(tmp_path):
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps([1]))
    return (tmp_path / "zip").read_bytes()


@pytest.mark.parametrize(
    "data, match",
    [
        (b"", "no safetensors"),
        (b"\0" * 4, "no safetensors"),
        (b"\xff" * 64, "no safetensors"),
        (zipped, "a zip file"),
        (pickle.dumps([torch.Size([1])] * 9), "a pickle"),
        (header("{}")[:-1], "no safetensors"),
        (header("[]"), "no JSON object"),
        (header("{" * 2_000), "depth"),
        (header('{"__metadata__":3}'), "."),
        (
            header('{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', b"\0" * 4),
            "no whole safetensors",
        ),
        (
            header('{"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}', b"\0" * 4),
            "no whole safetensors",
        ),
        (
            header(
                '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                '"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
                b"\0" * 4,
            ),
            "no whole safetensors",
        ),
        (
            header('{"x":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}', b"\0" * 4),
            "no whole safetensors",
        ),
        (
            header(
                "{"
                + ",".join(
                    f'"{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
                    for i in range(TENSORS + 1)
                )
                + "}"
            ),
            "more than 20000",
        ),
        (header(b" " * (HEADER + 8)), "no safetensors"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else None,
)
def test_what_is_no_safetensors_file_is_refused_by_name(run, tmp_path, data, match):
    (run.path / "weights.safetensors").write_bytes(data(tmp_path) if callable(data) else data)
    begin = time.perf_counter()
    one_line(run.load_weights, match=match)
    assert time.perf_counter() - begin < 2


def test_small_lists_that_would_take_much_memory_are_refused_before_they_are_made(run):
    (run.path / "fusion_graph.json").write_bytes(b'{"x": [' + b"[]," * 5_500_000 + b"0]}")
    tracemalloc.start()
    one_line(run.read_json, "fusion_graph.json", match="more than 100000 lists")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26
    for name in ("config.json", "space.json", "architecture.json"):
        (run.path / name).write_bytes(b'{"x": 1}' + b" " * 2**22)
        one_line(run.read_json, name, match=f"at most {2**22} are expected")


@pytest.mark.parametrize(
    "field, value",
    [
        ("seq", 2**63),
        ("seq", -1),
        ("step", 1.5),
        ("step", "1"),
        ("step", True),
        ("step", 10**400),
        ("size", -1),
        ("size", 2**62),
        ("size", None),
        ("sha256", ["0"] * 64),
        ("sha256", 5),
        ("file", None),
    ],
)
def test_a_manifest_that_can_vouch_for_nothing_is_refused(field, value):
    good = {"seq": 1, "step": 1, "size": 1, "sha256": "0" * 64}
    good["file"] = f"00000001-{'0' * 16}.safetensors"
    assert checkpoints.Manifest(**good)
    one_line(lambda: checkpoints.Manifest(**{**good, field: value}))


@posix
@pytest.mark.parametrize(
    "name, act",
    [
        ("weights.safetensors", lambda run: run.load_weights()),
        ("scores.json", lambda run: run.scores()),
        ("events.jsonl", lambda run: run.log),
    ],
)
def test_a_huge_file_is_refused_before_it_is_read(run, name, act):
    (run.path / name).touch()
    os.truncate(run.path / name, 2**40)
    begin = time.perf_counter()
    one_line(act, run, match=f"{2**40} bytes")
    assert time.perf_counter() - begin < 0.5


# --- other files ------------------------------------------------------------------------------------------------------
def test_files_are_written_as_a_whole(run, monkeypatch):
    scores = {"soft": {"a": {"miou": 0.5, "relative": float("nan")}}}
    run.write_json("scores.json", scores)
    assert repr(Run.open(run.path).scores()) == repr(scores)
    json.loads(
        (run.path / "scores.json").read_text(), parse_constant=lambda name: pytest.fail(name)
    )

    def full(descriptor, data):
        os.write(descriptor, bytes(data)[:3])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        stand_in(patch, write=full)
        one_line(run.write_json, "scores.json", {"soft": {}}, match="No space left.* make room")
    assert repr(run.scores()) == repr(scores) and not list(run.path.glob("*.tmp"))
    run.write("summary.md", "# Ünïcödé\n")
    assert (run.path / "summary.md").read_text(encoding="utf-8") == "# Ünïcödé\n"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x.json",
        "/etc/passwd",
        "x.json",
        "events.jsonl",
        "lock",
        "weights.pt",
        "config.json\0",
        "config.json/",
        "checkpoints/x",
        "a" * 300,
    ],
)
def test_only_names_of_a_run_are_opened(run, name):
    for act in (
        lambda: run.read_json(name),
        lambda: run.write_json(name, {}),
        lambda: run.write(name, b""),
    ):
        one_line(act, match="a run folder has no file")


def test_architecture_and_scores_may_be_missing(run):
    one_line(run.scores, match="scores.json: No such file")
    one_line(run.architecture, match="architecture.json: No such file")
    run.write_json("architecture.json", {"kept": [True, False]})
    assert run.architecture() == {"kept": [True, False]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"x": NaN}',
        b'{"x": "\\ud800"}',
        b'{"x":' * 70 + b"1" + b"}" * 70,
        b'{"x": [' + b"[]," * 200_000 + b"0]}",
        b'{"x": [' + b"0," * 2_000_001 + b"0]}",
        b'{"x": ' + b"9" * 5_000 + b"}",
    ],
)
def test_damaged_json_is_told(run, data):
    (run.path / "scores.json").write_bytes(data)
    one_line(run.scores, match="scores.json is damaged")


def test_settings_that_were_damaged_or_changed_by_hand_are_told(run):
    path = run.path / "config.json"
    text = path.read_text()
    path.write_text(text.replace("12", "13"))
    one_line(lambda: run.config, match="changed by hand")
    path.write_text(json.dumps(json.loads(text)))  # another layout of the same
    assert run.config["steps"] == 12
    run.append(started())
    path.write_text(text.replace("12", "13"))
    assert run.config == {"steps": 12} and "the copy in the log is used" in run.notices[0]
    (run.path / "space.json").unlink()
    assert len(run.space) == 2 and len(run.notices) == 2


# --- requests ---------------------------------------------------------------------------------------------------------
def test_requests_reach_the_search_once_and_in_order(run):
    assert run.requests() == []
    Run.request(run.path, entropy_weight=3.0)
    Run.request(run.path, force={"a:0 -> b:0": None}, temperature=0.5)
    with open(run.path / "controls.jsonl", "ab") as out:
        out.write(b'{"temperature": "Infinity"}\n')  # which `request` refuses
    assert run.requests() == [
        {"entropy_weight": 3.0},
        {"force": {"a:0 -> b:0": None}, "temperature": 0.5},
        {"temperature": float("inf")},
    ]
    assert run.requests() == []
    Run.request(run.path, alpha_lr=0.1)
    read = run.requests_read
    assert run.requests() == [{"alpha_lr": 0.1}]
    run.close()
    with RunWriter.resume(run.path) as again:
        again.requests_read = read
        assert again.requests() == [{"alpha_lr": 0.1}] and again.requests() == []
    with RunWriter.resume(run.path) as again:
        assert len(again.requests()) == 4


def test_half_a_request_is_left_alone_until_it_is_whole_or_passed_over(run):
    controls = run.path / "controls.jsonl"
    controls.write_bytes(b'{"alpha_lr": 0.1}\n{"alp')
    assert run.requests() == [{"alpha_lr": 0.1}] and run.requests() == []
    with open(controls, "ab") as out:
        out.write(b'ha_lr": 0.2}\n{"al')
    assert run.requests() == [{"alpha_lr": 0.2}]
    Run.request(run.path, alpha_lr=0.3)  # its writer died; the next begins a new line
    assert run.requests() == [{"alpha_lr": 0.3}] and len(run.notices) == 1
    with open(controls, "ab") as out:
        out.write(b"\n[1]\nnull\n\xff\n" + b'{"x":' * 99 + b"\n" + b'{"alpha_lr": 0.4}\n')
    assert run.requests() == [{"alpha_lr": 0.4}] and len(run.notices) == 4
    controls.write_bytes(b'{"alpha_lr": 9}\n')
    assert run.requests() == [{"alpha_lr": 9}]


@posix
def test_a_link_that_is_made_between_two_looks_is_not_followed(run, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("{}")
    (run.path / "scores.json").symlink_to(tmp_path / "secret")
    one_line(run.scores, match="is a link; a run folder holds plain files")
    monkeypatch.setattr(os.path, "islink", lambda path: False)
    one_line(run.scores, match="scores.json: ")


@posix
def test_a_link_in_the_place_of_requests_stops_no_search(run, tmp_path):
    (run.path / "controls.jsonl").symlink_to(tmp_path / "secret")
    assert run.requests() == [] and "link" in run.notices[0]
    one_line(lambda: Run.request(run.path, alpha_lr=1), match="link")
    one_line(lambda: Run.request(tmp_path, alpha_lr=1), match="no run folder")
    assert not (tmp_path / "secret").exists()


@pytest.mark.parametrize(
    "knobs",
    [
        {"force": 5},
        {"force": {"a:9 -> b:0": True}},
        {"force": {"a:0 -> b:0": "x"}},
        {"nonsense": 1},
        {"self": 1},
        {"path": 1},
        {"cls": 1},
        {"temperature": float("inf")},
        {"entropy_weight": {"x": 1}},
        {"alpha_lr": 10**400},
        {"alpha_gates": ["a"]},
        {"alpha_lr": {1, 2}},
    ],
    ids=lambda knobs: repr(knobs)[:40],
)
def test_what_no_search_would_take_is_not_asked_for(run, knobs):
    with pytest.raises(ConfigError) as caught:
        Run.request(run.path, **knobs)
    assert "\n" not in str(caught.value) and not (run.path / "controls.jsonl").exists()


def test_a_request_may_hold_a_schedule_and_needs_no_whole_space(run):
    Run.request(run.path, entropy_weight=Schedule(3.0, period=(0.1, 0.9)))
    (run.path / "space.json").write_text("{")
    Run.request(run.path, force={"x:0 -> y:9": True})
    first, second = run.requests()
    assert Schedule(**first["entropy_weight"]) == Schedule(3.0, period=(0.1, 0.9))
    assert second == {"force": {"x:0 -> y:9": True}}


# --- everything together ----------------------------------------------------------------------------------------------
def search(run, stop):
    """A search in little: a random walk with an event a step and a checkpoint each third; stopped without a word."""
    generator, value, first = (
        torch.Generator().manual_seed(5),
        torch.zeros(2, dtype=torch.float64),
        1,
    )
    if run.checkpoints():
        number, tensors, _ = run.load_checkpoint()
        value, first = tensors["value"], number + 1
        generator.set_state(tensors["rng"])
        run.resumed(number)
    elif run.log.events:
        run.resumed(0)
    if first == 1:
        run.append(started())
    for number in range(first, 13):
        if number == stop:
            return
        value = value + torch.randn(2, generator=generator, dtype=torch.float64)
        run.append(
            Step(number, tuple(value.tolist()), (0.0, 0.0), {"a": value[0].item()}, 0.5, *[0.1] * 6)
        )
        if number % 3 == 0:
            run.save_checkpoint(number, {"value": value, "rng": generator.get_state()}, {})
    run.append(Finished(12, 1.0))


def test_a_chain_of_stops_gives_the_events_of_a_run_never_stopped(tmp_path):
    with RunWriter.create(tmp_path / "whole", CONFIG, SPACE) as run:
        search(run, None)
    with RunWriter.create(tmp_path / "broken", CONFIG, SPACE) as run:
        search(run, 2)
    for stop in (6, 5, 12, None):
        with RunWriter.resume(tmp_path / "broken") as run:
            search(run, stop)
    whole, broken = (Run.open(tmp_path / name).log for name in ("whole", "broken"))
    assert [e for e in broken.events if not isinstance(e, (Resumed, Checkpoint))] == [
        e for e in whole.events if not isinstance(e, Checkpoint)
    ]
    assert len(broken.of(Resumed)) == 4 and not broken.problems


def quick_campaigns(folder: Path, *names: str) -> None:
    """Each of the campaigns hits, and nothing is lost (`make faults`: all of them, in full)."""
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "faults.py", "--quick", "--only", *names],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = {line.split()[0]: line for line in done.stdout.splitlines() if " lost · " in line}
    for name in names:
        assert re.match(rf"{name} +ok +0 lost · [1-9]", said[name]), said[name]


@posix
def test_the_quick_fault_campaigns(tmp_path):
    """Kills, cuts, flips, races, full disks, hostile files. What is done to a search, tests/runs/test_recorder.py does."""
    storage = ("kills", "cuts", "flips", "spoilt", "saves", "races", "full", "hostile")
    quick_campaigns(tmp_path, *storage, "limits")


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", ["requests", "searches"])
def test_the_quick_campaigns_of_searches(name, tmp_path):
    quick_campaigns(tmp_path, name)


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", ["commands", "figures", "formats", "networks", "shapes"])
def test_the_quick_campaigns_of_what_is_handed_over(name, tmp_path):
    quick_campaigns(tmp_path, name)
