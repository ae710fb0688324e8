"""A search in its folder: stopped anywhere, gone on with exactly there, by the same process or another one."""

import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from helpers import Stream, small_lab

from mtlnas_lab.config import SearchConfig
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.events import Checkpoint, Evaluated, EventLog, Finished, Resumed, Step, Turned
from mtlnas_lab.recording import Recorded, record
from mtlnas_lab.runs import Run
from mtlnas_lab.search import Search
from mtlnas_lab.widgets import SearchStudio

STEPS = 8


def a_search(evaluate_every=3):
    lab = small_lab()
    config = SearchConfig(
        steps=STEPS, batch_size=2, evaluate_every=evaluate_every, alpha_gates="stochastic"
    )
    return Search(
        lab,
        config,
        Stream(lab),
        Stream(lab, first=7),
        evaluate=lambda search: {
            "hard": {"normals": {"alpha": float(search.lab.alphas.alpha.detach().sum())}}
        },
    )


def folder(path, again=False):
    search = a_search()
    return (
        Run.resume(path) if again else Run.create(path, search.config.to_json(), search.lab.space)
    )


def told(path):
    log = EventLog.read(path / "events.jsonl")
    return [replace(e, seconds=0.0) for e in log.steps], log.of(Evaluated), log.of(Turned)


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
        assert EventLog.read(run.path / "events.jsonl").of(Resumed) == []
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
            while one.source.driver.controls.mode == "running":
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
        one.source.driver.join(20)
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
    assert EventLog.read(tmp_path / "run" / "events.jsonl").evaluated == [event] and event.step == 2


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
from test_recording import *
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
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(tmp_path / "run")],
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
