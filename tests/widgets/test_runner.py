"""The search's thread and the timer of a view, without any Jupyter."""

import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from widget_fakes import FakeSearch, wait

from mtlnas_lab.core.events import Evaluated, Finished, Started, Step, Turned
from mtlnas_lab.widgets.studio import runner as module
from mtlnas_lab.widgets.studio import timer as clocks
from mtlnas_lab.widgets.studio.runner import Cell, SearchRunner, stop_all, stop_on_interrupt
from mtlnas_lab.widgets.studio.timer import FrameTimer


@pytest.fixture(autouse=True)
def nothing_stays():
    yield
    for one in list(module._STARTED):
        one.stop()
    module._STARTED.clear()


def steps(events):
    return [event.step for event in events if isinstance(event, Step)]


def test_a_runner_runs_to_the_end_in_one_thread_of_its_own():
    search = FakeSearch(steps=20)
    one = SearchRunner(search).start()
    one.join(10)
    events = one.new_events()
    assert (
        steps(events) == list(range(1, 21))
        and isinstance(events[0], Started)
        and isinstance(events[-1], Finished)
    )
    assert one.over and not one.alive and one.error == "" and one.new_events() == []
    assert len(search.thread_ids) == 1 and threading.get_ident() not in search.thread_ids


def test_pause_step_and_go_on():
    one = SearchRunner(FakeSearch(steps=50), running=False).start()
    seen = []

    def taken():
        seen.extend(steps(one.new_events()))
        return len(seen)

    assert one.mode == "paused" and taken() == 0
    one.step(3)
    wait(lambda: taken() == 3)
    time.sleep(0.02)
    assert taken() == 3 and one.mode == "paused"
    one.run()
    one.join(10)
    assert taken() == 50


def test_stop_keeps_the_search_which_goes_on_later():
    search = FakeSearch(steps=10_000, pause=0.001)
    one = SearchRunner(search).start()
    wait(lambda: search.step_number >= 5)
    one.stop()
    at = search.step_number
    assert not one.alive and not one.over and 5 <= at < 10_000
    search.steps = at + 3
    again = SearchRunner(search).start()
    again.join(10)
    assert steps(again.new_events()) == [at + 1, at + 2, at + 3]


def test_a_knob_reaches_the_next_step():
    search = FakeSearch(steps=100_000, pause=0.001)
    one = SearchRunner(search).start()
    wait(lambda: search.step_number >= 3)
    search.turn(entropy_weight=7.0)
    wait(lambda: search.knobs)
    one.stop()
    events = one.new_events()
    turned = next(event for event in events if isinstance(event, Turned))
    weights = {event.step: event.entropy_weight for event in events if isinstance(event, Step)}
    assert all((weight == 7.0) == (step >= turned.step) for step, weight in weights.items())


def test_what_is_asked_is_done_between_steps_also_in_a_pause():
    search = FakeSearch(steps=10)
    one = SearchRunner(search, running=False).start()
    one.between_steps(search.score_now)
    events = []
    wait(lambda: events.extend(one.new_events()) or events)
    assert isinstance(events[0], Evaluated) and search.step_number == 0


def test_work_that_fails_is_told_and_the_search_lives_on():
    one = SearchRunner(FakeSearch(steps=5), running=False).start()
    one.between_steps(lambda: 1 / 0)
    wait(lambda: one.refused)
    assert one.refused.startswith("ZeroDivisionError") and one.alive and not one.error
    one.run()
    one.join(10)
    assert steps(one.new_events()) == [1, 2, 3, 4, 5]


def test_a_stop_closes_the_iteration_and_passes_on_what_it_leaves():
    class Leaving:
        left = None

        def __iter__(self):
            try:
                while True:
                    time.sleep(0.001)
                    yield Started({}, {}, {}, "", 1)
            finally:
                self.left = Finished(3, 1.0)

    one = SearchRunner(Leaving()).start()
    time.sleep(0.02)
    one.stop()
    assert one.new_events()[-1] == Finished(3, 1.0)


def test_a_failing_search_is_told_and_harms_nobody():
    search = FakeSearch(steps=10)
    search.fail_at = 4
    one = SearchRunner(search).start()
    one.join(10)
    assert (
        steps(one.new_events()) == [1, 2, 3]
        and one.error == "ValueError: the disk of this fake is full"
        and not one.over
    )


def test_the_same_cell_run_again_stops_its_search_and_no_other():
    first, beside, elsewhere = (
        SearchRunner(FakeSearch(steps=100_000, pause=0.001)) for _ in range(3)
    )
    first.start(Cell("cell", "run 1"))
    beside.start(Cell("cell", "run 1"))
    elsewhere.start(Cell("another cell", "run 1"))
    assert first.alive and beside.alive and elsewhere.alive
    SearchRunner(FakeSearch(steps=100_000, pause=0.001)).start(Cell("cell", "run 2"))
    assert not first.alive and not beside.alive and elsewhere.alive


def test_one_search_is_never_driven_twice():
    search = FakeSearch(steps=100_000, pause=0.001)
    first = SearchRunner(search).start()
    wait(lambda: search.step_number > 2)
    second = SearchRunner(search).start()
    assert not first.alive and second.alive


def test_an_interrupt_stops_all_and_only_then_does_what_it_did_before():
    before, hits = signal.getsignal(signal.SIGINT), []
    signal.signal(signal.SIGINT, lambda *_: hits.append(1))
    try:
        stop_on_interrupt()
        stop_on_interrupt()  # a second studio must not wrap the first one's handler
        search = FakeSearch(steps=100_000, pause=0.001)
        one = SearchRunner(search).start()
        signal.raise_signal(signal.SIGINT)
        one.join(10)
        assert not one.alive and hits == []
        signal.raise_signal(signal.SIGINT)
        assert hits == [1]
    finally:
        signal.signal(signal.SIGINT, before)
    assert stop_all() is False


def test_many_hands_ask_for_steps_and_none_is_lost():
    search, one = FakeSearch(steps=100_000), None
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads meet between any two operations
    try:
        one = SearchRunner(search, running=False).start()
        hands = [
            threading.Thread(target=lambda: [one.step() for _ in range(200)]) for _ in range(4)
        ]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
        wait(lambda: one.mode == "paused", 60)
    finally:
        sys.setswitchinterval(switch)
    assert len(steps(one.new_events())) == search.step_number == 800
    one.stop()
    assert one.mode == "stopped" and not one.alive


def test_a_timer_keeps_its_rate_and_ends():
    frames = []
    timer = FrameTimer(lambda: frames.append(time.monotonic()) or (len(frames) < 5) / 100).start()
    timer.join(10)
    assert len(frames) == 5 and frames[-1] - frames[0] >= 0.035


def test_a_frame_that_is_requested_comes_at_once_and_the_next_at_the_rate_from_there():
    frames, pauses = [], iter([60, 0.05, 60, 60])
    timer = FrameTimer(lambda: frames.append(time.monotonic()) or next(pauses)).start()
    wait(lambda: len(frames) == 1)
    asked = time.monotonic()
    timer.request_now()
    wait(lambda: len(frames) == 3)
    assert frames[1] - asked < 1 and 0.02 < frames[2] - frames[1] < 1
    timer.stop()
    timer.join(10)
    assert len(frames) == 3


def test_frames_that_were_missed_are_not_made_up_for(monkeypatch):
    """By a clock that only frames and pauses move: a busy machine could stretch any gap."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(clocks, "time", SimpleNamespace(monotonic=lambda: clock.now))
    frames = []

    def slow():
        frames.append(clock.now)
        clock.now += 0.1 if len(frames) == 1 else 0
        return 0.02 if len(frames) < 5 else 0

    def pause(seconds):
        clock.now += seconds

    timer = FrameTimer(slow)
    monkeypatch.setattr(timer._requested, "wait", pause)
    timer.start().join(10)
    gaps = [later - sooner for sooner, later in zip(frames[1:], frames[2:])]
    assert len(frames) == 5 and frames[1] > 0.1 and gaps == pytest.approx([0.02] * 3)
