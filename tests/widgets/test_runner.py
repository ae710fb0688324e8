"""Controls, the search's thread and the viewer's pulse, without any Jupyter."""

import signal
import threading
import time

import pytest
from widget_fakes import FakeSearch

from mtlnas_lab.core.events import Evaluated, Finished, Started, Step, Turned
from mtlnas_lab.widgets.studio import runner as module
from mtlnas_lab.widgets.studio.runner import (
    Controls,
    Pulse,
    SearchRunner,
    stop_all,
    stop_on_interrupt,
)


def wait(until, seconds=10.0):
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def nothing_stays():
    yield
    for one in list(module._STARTED):
        one.stop()
    module._STARTED.clear()


def steps(events):
    return [event.step for event in events if isinstance(event, Step)]


def test_a_driver_runs_to_the_end_in_one_thread_of_its_own():
    search = FakeSearch(steps=20)
    one = SearchRunner(search).start()
    one.join(10)
    events = one.take()
    assert (
        steps(events) == list(range(1, 21))
        and isinstance(events[0], Started)
        and isinstance(events[-1], Finished)
    )
    assert one.over and not one.alive and one.error == "" and one.take() == []
    assert len(search.thread_ids) == 1 and threading.get_ident() not in search.thread_ids


def test_pause_step_and_go_on():
    one = SearchRunner(FakeSearch(steps=50), running=False).start()
    seen = []

    def taken():
        seen.extend(steps(one.take()))
        return len(seen)

    assert one.controls.mode == "paused" and taken() == 0
    one.controls.step(3)
    wait(lambda: taken() == 3)
    time.sleep(0.02)
    assert taken() == 3 and one.controls.mode == "paused"
    one.controls.run()
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
    assert steps(again.take()) == [at + 1, at + 2, at + 3]


def test_a_knob_reaches_the_next_step():
    search = FakeSearch(steps=100_000, pause=0.001)
    one = SearchRunner(search).start()
    wait(lambda: search.step_number >= 3)
    search.turn(entropy_weight=7.0)
    wait(lambda: search.knobs)
    one.stop()
    events = one.take()
    turned = next(event for event in events if isinstance(event, Turned))
    weights = {event.step: event.entropy_weight for event in events if isinstance(event, Step)}
    assert all((weight == 7.0) == (step >= turned.step) for step, weight in weights.items())


def test_what_is_asked_is_done_between_steps_also_in_a_pause():
    search = FakeSearch(steps=10)
    one = SearchRunner(search, running=False).start()
    one.controls.ask(search.score_now)
    events = []
    wait(lambda: events.extend(one.take()) or events)
    assert isinstance(events[0], Evaluated) and search.step_number == 0


def test_work_that_fails_is_told_and_the_search_lives_on():
    one = SearchRunner(FakeSearch(steps=5), running=False).start()
    one.controls.ask(lambda: 1 / 0)
    wait(lambda: one.refused)
    assert one.refused.startswith("ZeroDivisionError") and one.alive and not one.error
    one.controls.run()
    one.join(10)
    assert steps(one.take()) == [1, 2, 3, 4, 5]


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
    assert one.take()[-1] == Finished(3, 1.0)


def test_a_failing_search_is_told_and_harms_nobody():
    search = FakeSearch(steps=10)
    search.fail_at = 4
    one = SearchRunner(search).start()
    one.join(10)
    assert (
        steps(one.take()) == [1, 2, 3]
        and one.error == "ValueError: the disk of this fake is full"
        and not one.over
    )


def test_the_same_cell_run_again_stops_its_search_and_no_other():
    first, beside, elsewhere = (
        SearchRunner(FakeSearch(steps=100_000, pause=0.001)) for _ in range(3)
    )
    first.start("cell", "run 1")
    beside.start("cell", "run 1")
    elsewhere.start("another cell", "run 1")
    assert first.alive and beside.alive and elsewhere.alive
    SearchRunner(FakeSearch(steps=100_000, pause=0.001)).start("cell", "run 2")
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


def test_controls_stand_many_hands(monkeypatch):
    controls, counted, at_once = Controls(), [], Controls._set
    monkeypatch.setattr(
        Controls, "_set", lambda *args, **wanted: (time.sleep(1e-6), at_once(*args, **wanted))
    )
    hands = [
        threading.Thread(target=lambda: [controls.step() for _ in range(200)]) for _ in range(4)
    ]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    while controls.mode == "running":
        assert controls.wait() is True
        controls.done()
        counted.append(1)
    assert len(counted) == 800 and controls.mode == "paused"
    controls.stop()
    assert controls.wait() is False


def test_a_pulse_keeps_its_rate_and_ends():
    beats = []
    pulse = Pulse(lambda: beats.append(time.monotonic()) or (len(beats) < 5) / 100).start()
    pulse.join(10)
    assert len(beats) == 5 and beats[-1] - beats[0] >= 0.035


@pytest.mark.parametrize("lull", [None, threading.Event()], ids=["no lull", "lull"])
def test_a_pulse_that_is_hurried_beats_at_once_and_goes_on_from_there(lull):
    beats, pauses = [], iter([60, 0.05, 60, 60])
    pulse = Pulse(lambda: beats.append(time.monotonic()) or next(pauses), lambda: lull).start()
    wait(lambda: len(beats) == 1)
    asked = time.monotonic()
    pulse.hurry()
    wait(lambda: len(beats) == 3)
    assert beats[1] - asked < 1 and 0.02 < beats[2] - beats[1] < 1
    pulse.stop()
    pulse.join(10)
    assert len(beats) == 3


def test_a_pulse_that_waits_for_a_lull_is_hurried_though_the_search_names_none_any_more():
    beats, lulls = [], iter([threading.Event()])
    pulse = Pulse(
        lambda: beats.append(time.monotonic()) or (4 if len(beats) < 2 else 0),
        lambda: next(lulls, None),
    ).start()
    time.sleep(3.5)  # behind 3 s it waits for the lull, until 6
    pulse.hurry()
    pulse.join(10)
    assert len(beats) == 2 and beats[1] - beats[0] < 4.5


def test_a_pulse_waits_for_a_lull_but_not_for_long():
    beats, lull = [], threading.Event()
    pulse = Pulse(
        lambda: beats.append(lull.is_set()) or (len(beats) < 4) / 20, lambda: lull
    ).start()
    pulse.join(10)
    assert len(beats) == 4  # a search that stands still has none
    sets, beats = [], []
    lull.set = lambda: (sets.append(time.monotonic()), threading.Event.set(lull))
    pulse = Pulse(
        lambda: beats.append(time.monotonic()) or (len(beats) < 8) / 20, lambda: lull
    ).start()
    while len(beats) < 8:
        time.sleep(0.02)
        lull.set()
    pulse.join(10)
    assert beats[-1] - beats[0] >= 6.5 / 20  # no more often for it
    behind = sorted(min(beat - at for at in sets if at <= beat) for beat in beats[1:])
    assert behind[len(behind) // 2] < 0.012  # most begin with a lull; between two there are 20 ms
