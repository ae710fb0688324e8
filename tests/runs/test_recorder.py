"""A search in its folder: stopped anywhere, gone on with exactly there, by the same process or another one."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch
from recording_helpers import STEPS, a_search, folder, told

from mtlnas_lab import presets
from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Checkpoint, Evaluated, Finished, Resumed, Step, Turned
from mtlnas_lab.core.search import Search
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.runs.event_file import read_events
from mtlnas_lab.runs.recorder import Recorded, record
from mtlnas_lab.runs.run import Run
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.widgets import SearchStudio


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    with folder(path) as run:
        list(Recorded(a_search(), run))
    return told(path)


@pytest.mark.parametrize("stops", [[1], [2], [5], [6], [2, 1, 1, 1, 3], [12]])
def test_left_anywhere_it_goes_on_there_in_the_same_process(tmp_path, whole, stops):
    """Counted in events: before the first step, between a step and its evaluation, behind the last one."""
    with folder(tmp_path / "run") as run:
        source = Recorded(a_search(), run)
        for stop in stops:
            events = iter(source)
            assert len(list(islice(events, stop))) == stop
            events.close()
        list(source)
        assert read_events(run.path / "events.jsonl").of(Resumed) == []
    assert told(tmp_path / "run") == whole


@pytest.mark.parametrize("stop", [1, 2, 4, 5, 6, 12])
def test_left_anywhere_it_goes_on_there_in_another_process(tmp_path, whole, stop):
    with folder(tmp_path / "run") as run:
        events = iter(Recorded(a_search(), run))
        last = list(islice(events, stop))[-1]
        events.close()
        if isinstance(last, (Step, Evaluated)):
            assert run.checkpoints()[-1].step == last.step
    with folder(tmp_path / "run", again=True) as run:
        list(record(a_search(), run))
    assert told(tmp_path / "run") == whole


def test_a_stopped_studio_goes_on_where_it_stopped(tmp_path, whole):
    with folder(tmp_path / "run") as run:
        one = SearchStudio(Recorded(a_search(), run), rate=100)
        for count in (1, 2, 3):
            one.step(count)
            while one.source.runner.mode == "running":
                one.source.poll()
            one.stop()
            one.source.poll()
            assert one.source.mode == "stopped"
        at = one.log.steps[-1].step
        assert (
            at == 6 and one.log.of(Checkpoint)[-1].step == 6 and one.source.checkpoints()[-1] == 6
        )
        one.turn(entropy_weight=10.0)  # the setting it has: only the mark is new
        one.start()
        one.source.runner.join(20)
        one.source.poll()
        assert isinstance(one.log.events[-2], Finished) or isinstance(one.log.events[-1], Finished)
        assert [step.step for step in one.log.steps] == list(range(1, STEPS + 1))
        one.close()
    steps, evaluated, turned = told(tmp_path / "run")
    assert (steps, evaluated) == whole[:2] and turned == [Turned(7, {"entropy_weight": 10.0})]


def test_a_knob_turned_while_it_was_stopped_counts_from_the_next_step(tmp_path):
    with folder(tmp_path / "run") as run:
        source = Recorded(a_search(), run)
        for event in source:
            if isinstance(event, Step) and event.step == 2:
                break
        source.turn(entropy_weight=3.0)
        steps = [event for event in source if isinstance(event, Step)]
    assert [step.entropy_weight for step in steps] == [3.0] * 6 and steps[0].step == 3


def test_what_it_is_worth_now_is_kept_in_the_folder(tmp_path):
    with folder(tmp_path / "run") as run:
        source = Recorded(a_search(evaluate_every=0), run)
        events = iter(source)
        list(islice(events, 3))
        event = source.score_now()
        events.close()
        list(source)
    assert read_events(tmp_path / "run" / "events.jsonl").evaluated == [event] and event.step == 2


def test_an_error_leaves_the_last_good_checkpoint(tmp_path, whole):
    with folder(tmp_path / "run") as run:
        search = a_search()
        source = Recorded(search, run, checkpoint_every=2)
        step, search.step = search.step, lambda: step() if search.step_number < 3 else 1 / 0
        with pytest.raises(ZeroDivisionError):
            list(source)
        search.step = step
        list(source)
    assert told(tmp_path / "run") == whole


PROGRAM = """
import sys, time; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from recording_helpers import *
from mtlnas_lab.runs.recorder import Recorded
from mtlnas_lab.widgets import SearchStudio
search = a_search()
step = search.step
search.step = lambda: (time.sleep(0.2), step())[1]
one = SearchStudio(Recorded(search, folder(Path(sys.argv[2])), checkpoint_every=1000)).start()
while search.step_number < 3:
    time.sleep(0.01)
"""


def test_a_process_that_ends_leaves_a_run_that_goes_on(tmp_path, whole):
    """As a kernel that is shut down: its main thread is over while the search's thread is not."""
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[1]), str(tmp_path / "run")],
        check=True,
        timeout=60,
    )
    steps = told(tmp_path / "run")[0]
    with folder(tmp_path / "run", again=True) as run:
        assert 3 <= run.checkpoints()[-1].step == len(steps) < STEPS
        list(record(a_search(), run))
    assert told(tmp_path / "run") == whole


def test_too_little_memory_leaves_a_run_to_go_on_with(tmp_path, whole):
    search, steps = a_search(), []

    def before(module, given):
        if len(steps) == 5 and len(given[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with folder(tmp_path / "run") as run:
        search.lab.supernet.register_forward_pre_hook(before)
        with pytest.raises(ConfigError, match="too little memory"):
            for event in Recorded(search, run, checkpoint_every=2):
                steps += [event] * isinstance(event, Step)
    assert Run.open(tmp_path / "run").checkpoints()[-1].step == 4
    with folder(tmp_path / "run", again=True) as run:
        list(record(a_search(), run))
    assert told(tmp_path / "run") == whole


# --- what comes from outside ------------------------------------------------------------------------------------------
LINES = [
    b'{"force": 5}',
    b'{"self": 1}',
    b'{"entropy_weight": {"x": 1}}',
    b'{"alpha_gates": ["a"]}',
    b'{"weight_lr": 1' + b"0" * 400 + b"}",
    b'{"temperature": "NaN"}',
    b'{"force": {"x": true}}',
    b'{"force": {"normals:0 -> segmentation:0": "yes"}}',
    b'{"": null}',
    b"{",
    b"\xff",
]


@pytest.mark.parametrize(
    "lines",
    [LINES, *[pytest.param([line], marks=pytest.mark.slow) for line in LINES]],
    ids=["all", *map(str, range(len(LINES)))],
)
def test_no_request_ends_a_search_nor_the_one_that_goes_on(tmp_path, lines):
    path = tmp_path / "run"
    wrong = b"".join(line + b"\n" for line in lines)
    with folder(path) as run:
        (path / "controls.jsonl").write_bytes(wrong + b'{"alpha_lr": 0.02}\n')
        list(islice(record(a_search(), run), 4))
        assert len(run.notices) == len(lines), run.notices
        assert not any("\n" in notice for notice in run.notices)
    with folder(path, again=True) as run:
        with open(path / "controls.jsonl", "ab") as out:
            out.write(wrong)
        *_, last = record(a_search(), run)
        assert isinstance(last, Finished) and len(run.notices) == len(lines)
    steps, _, turned = told(path)
    assert [event.knobs for event in turned] == [{"alpha_lr": 0.02}] and len(steps) == STEPS


def test_a_flood_of_requests_is_read_in_portions(tmp_path):
    with folder(tmp_path / "run") as run:
        (run.path / "controls.jsonl").write_bytes(b'{"alpha_lr": 0.5}\n' * 1_500)
        assert [len(run.requests()) for _ in range(3)] == [1_000, 500, 0]
        with open(run.path / "controls.jsonl", "ab") as out:
            out.write(b"x" * 3_000_000 + b'\n{"alpha_lr": 0.5}\n')
        assert [request for _ in range(5) for request in run.requests()] == [{"alpha_lr": 0.5}]
        for number in range(2_000):
            run.notice(f"notice {number}")
        assert len(run.notices) == 1_000


def spoil(run, search, step, keep=()):
    """A checkpoint that its folder vouches for, with moments of another shape."""
    tensors, meta = search.state()
    name = next(n for n in tensors if n.startswith("weight_optimizer") and tensors[n].ndim)
    tensors[name] = tensors[name].reshape(-1)[:1].clone()
    run.save_checkpoint(step, tensors, {**meta, "requests_read": 0}, keep=keep)


def contents(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_checkpoint_that_does_not_fit_is_passed_over_for_one_of_an_earlier_step(tmp_path, whole):
    path = tmp_path / "run"
    with folder(path) as run:
        search = a_search()
        for event in record(search, run, checkpoint_every=2):
            if isinstance(event, Checkpoint) and event.step == 4:
                break
        search.step()
        spoil(run, search, 5)
    with folder(path, again=True) as run:
        list(record(a_search(), run, checkpoint_every=100))
        assert any("step 5 is passed over: this checkpoint does not fit" in n for n in run.notices)
        assert run.loaded.step == 4
    assert told(path) == whole


def test_where_no_checkpoint_fits_the_folder_stays_as_it_is(tmp_path):
    path = tmp_path / "run"
    with folder(path) as run:
        search = a_search()
        search.step()
        spoil(run, search, 1)
    before = contents(path)
    with folder(path, again=True) as run:
        with pytest.raises(
            RunError, match="checkpoint of step 1 is refused: .* does not fit"
        ) as caught:
            list(record(a_search(), run))
        assert "\n" not in str(caught.value)
    assert contents(path) == before


@pytest.mark.parametrize("read", [-1, 1.5, "0", None, 10**400, [], True])
def test_a_checkpoint_that_says_nonsense_of_its_requests_is_refused(tmp_path, read):
    with folder(tmp_path / "run") as run:
        search = a_search()
        search.step()
        tensors, meta = search.state()
        run.save_checkpoint(1, tensors, {**meta, "requests_read": read})
        with pytest.raises(RunError, match="requests_read"):
            list(record(a_search(), run))


def test_a_checkpoint_of_another_step_than_it_says_is_refused(tmp_path):
    with folder(tmp_path / "run") as run:
        search = a_search()
        search.step()
        run.save_checkpoint(7, *search.state())
        with pytest.raises(RunError, match="it says that it is of step 1"):
            list(record(a_search(), run))


def test_foreign_files_among_the_checkpoints_are_no_steps_to_branch_from(tmp_path):
    with folder(tmp_path / "run") as run:
        source = Recorded(a_search(), run)
        (run.path / "checkpoints" / "notes-of-mine.json").write_text("{}")
        list(source)
        assert source.checkpoints()[-1] == STEPS
        for knobs in ({"self": 1}, {"step": 1}, {"alpha_lr": "x"}):
            with pytest.raises(ConfigError, match="no knob|alpha_lr = 'x'"):
                source.branch(STEPS, **knobs)


def test_no_branch_grows_from_a_checkpoint_that_does_not_fit(tmp_path):
    lab = presets.tiny()
    search = Search(lab, SearchConfig(steps=4, batch_size=2))
    with RunWriter.create(tmp_path / "run", {}, lab.space) as run:
        source = Recorded(search, run, checkpoint_every=1)
        list(islice(source, 3))
        assert source.branch(1).step_number == 1
        spoil(run, search, 1)
        with pytest.raises(RunError, match="step 1 is refused: this checkpoint does not fit"):
            source.branch(1)


@pytest.mark.parametrize("how", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_between_two_steps_saves(tmp_path, whole, how):
    """As Ctrl-C, or a SIGTERM that is made an exception, while viewers' requests are read."""
    with folder(tmp_path / "run") as run:
        search, requests = a_search(), run.requests

        def interrupted():
            if search.step_number == 4:
                raise how
            return requests()

        run.requests = interrupted
        with pytest.raises(how):
            list(record(search, run))
        assert [m.step for m in run.checkpoints()] == [4]
    with folder(tmp_path / "run", again=True) as run:
        list(record(a_search(), run))
    assert told(tmp_path / "run") == whole


def test_an_interrupt_in_the_midst_of_a_step_does_not_save_what_is_half_done(tmp_path, whole):
    with folder(tmp_path / "run") as run:
        search = a_search()
        reported = search._report

        def interrupted(*what):
            if search.step_number == 4:
                raise KeyboardInterrupt
            return reported(*what)

        search._report = interrupted
        with pytest.raises(KeyboardInterrupt):
            list(record(search, run, checkpoint_every=2))
        assert [m.step for m in run.checkpoints()] == [2, 4]
    with folder(tmp_path / "run", again=True) as run:
        list(record(a_search(), run))
    assert told(tmp_path / "run") == whole


@pytest.mark.parametrize("often", [(0, 5), (-1, 5), ("x", 5), (1.5, 5), (10, -1), (10, None)])
def test_how_often_it_saves_is_checked_before_anything_is_done(tmp_path, often):
    with folder(tmp_path / "run") as run:
        before = contents(run.path)
        with pytest.raises(ConfigError):
            Recorded(a_search(), run, *often)
        with pytest.raises(ConfigError):
            list(record(a_search(), run, *often))
        with pytest.raises(ConfigError):
            list(record(a_search(), run, turn={"alpha_lr": -1}))
        assert contents(run.path) == before
