"""Where a studio's events come from: cells that are run again, knobs that are asked for, logs that go on, messages."""

import threading
import time

import pytest
from helpers import Stream, small_lab
from recording_helpers import a_search, folder
from widget_fakes import FakeSearch, press, wait, write_run

from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Evaluated, Failed, Started, Step, Turned
from mtlnas_lab.core.search import Search
from mtlnas_lab.errors import RunError
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.runs.recorder import Recorded
from mtlnas_lab.widgets import replay_html
from mtlnas_lab.widgets.studio import widget as module
from mtlnas_lab.widgets.studio.encoding import LIVE, RECORDED, frame, tail
from mtlnas_lab.widgets.studio.runner import Cell
from mtlnas_lab.widgets.studio.sources import FollowedRun, LiveSource
from mtlnas_lab.widgets.studio.sources import RecordedRun as Kept


class Branching(FakeSearch):
    def branch(self, step, **knobs):
        made = FakeSearch(steps=self.steps, pause=self.pause)
        made.turn(**knobs)
        return made


def endless(kind=FakeSearch, pause=0.002):
    return kind(steps=100_000, pause=pause)


def test_a_cell_that_is_run_again_stops_its_search_though_nobody_starts_the_new_one(
    studio, monkeypatch
):
    cells = iter([("cell", "1"), ("cell", "1"), ("another", "1"), ("cell", "2")])
    monkeypatch.setattr(module, "running_cell", lambda: Cell(*next(cells)))
    first, beside, elsewhere = (studio(endless()).start() for _ in range(3))
    again = studio(endless())
    wait(lambda: first.view.status["mode"] == beside.view.status["mode"] == "stopped")
    assert elsewhere.source.mode == "running" and again.view.status["mode"] == "ready"


def test_a_branch_is_of_the_cell_of_its_search(studio, monkeypatch):
    cell = ["cell", "1"]
    monkeypatch.setattr(module, "running_cell", lambda: Cell(*cell))
    one = studio(endless(Branching)).step(3)
    wait(lambda: one.view.status["step"] == 3)
    cell[:] = None, None  # a button is no cell
    made = one.branch(2).start()
    assert made.source._cell == one.source._cell == ("cell", "1")
    cell[:] = "cell", "2"
    studio(FakeSearch())
    wait(lambda: made.view.status["mode"] == "stopped")


def test_a_cell_that_is_run_again_follows_a_folder_once(studio, monkeypatch, tmp_path):
    turn = []
    monkeypatch.setattr(module, "running_cell", lambda: Cell("cell", str(len(turn))))
    first = studio(tmp_path / "run", rate=100)
    first._watch()
    timer = first._timer
    turn.append(1)
    studio(tmp_path / "run", rate=100)._watch()
    timer.join(10)
    assert not timer._thread.is_alive() and first._timer is None


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_asked_while_nothing_moves_is_shown_at_once(studio, begun):
    search = FakeSearch(steps=20)
    edge = str(search.space.edges[3])
    one = studio(search, rate=100)
    if begun:
        one.step()
        wait(lambda: one.view.status["step"] == 1 and one.view.status["mode"] == "paused")
    press(one, do="turn", knobs={"entropy_weight": 20.0, "alpha_gates": "bernoulli"})
    press(one, do="turn", knobs={"force": {edge: True}})
    for _ in range(2):
        knobs = one.view.status["knobs"]
        assert (
            knobs["entropy_weight"] == 20.0
            and knobs["alpha_gates"] == "bernoulli"
            and knobs["force"] == {edge: True}
        )
        one.refresh()
    press(one, do="turn", knobs={"force": {edge: None}})
    assert one.view.status["knobs"]["force"] == {}
    one.run() if not begun else one.start()
    wait(lambda: one.view.status["mode"] == "finished")
    assert one.view.status["knobs"]["entropy_weight"] == 20.0 and one.source.asked() == []


def test_a_relaxation_that_is_asked_of_a_real_search_is_shown_at_once(studio):
    """Which says its knobs of the next step itself, as they were before."""
    lab = small_lab()
    one = studio(Search(lab, SearchConfig(steps=2), Stream(lab), Stream(lab, first=7)))
    one.turn(alpha_gates="straight_through", entropy_weight=3.0)
    shown = one.view.status["knobs"]
    assert (shown["alpha_gates"], shown["weight_gates"], shown["entropy_weight"]) == (
        "straight_through",
        "stochastic",
        3.0,
    )


def test_what_is_asked_of_a_run_elsewhere_is_shown_until_its_steps_tell(tmp_path):
    search = FakeSearch(steps=4)
    write_run(tmp_path / "run", search)
    one = FollowedRun(tmp_path / "run")
    one.poll()
    one.turn(entropy_weight=3.0)
    one.turn(alpha_lr=0.5)
    assert one.asked() == [{"entropy_weight": 3.0}, {"alpha_lr": 0.5}]
    step = one.log.steps[-1]
    one.log.append(Turned(6, {"entropy_weight": 3.0}))
    assert one.asked() == [{"alpha_lr": 0.5}]
    for number in (5, 6):  # two steps later what was refused is no more awaited
        one.log.append(Step(**{**vars(step), "step": number}))
    assert one.asked() == []
    assert Kept(EventLog()).asked() == []


def test_a_branch_shows_the_knobs_it_will_begin_with(studio):
    one = studio(Branching(steps=20)).run()
    made = one.branch(10, entropy_weight=0.5)
    assert made.view.status["knobs"]["entropy_weight"] == 0.5 and made.source.mode == "ready"


def test_the_run_behind_a_branch_goes_on(studio):
    one = studio(endless(Branching), rate=100).start()
    wait(lambda: one.view.status["step"] > 5)
    made = one.branch(3)
    before = made.view.other
    wait(lambda: made.view.other != before)
    one.stop()
    wait(lambda: one.view.status["mode"] == "stopped" and made._timer is None)
    assert made.view.other == one.view.frame and made.source.mode == "ready"
    before = one.view.status["step"]
    one.start()
    wait(
        lambda: (
            one.view.status["step"] > before
            and made.view.other[:1000] != b""
            and made.sync._made_from["other"][1] > before
        )
    )


def test_while_only_steps_come_the_page_gets_them_and_nothing_else(studio, monkeypatch):
    one = studio(endless(FakeSearch, pause=0.02), rate=50).start()
    wait(lambda: one.view.tail)
    frame_then, status_then, told = one.view.frame, one.view.status, []
    monkeypatch.setattr(
        one.view.comm, "send", lambda data, buffers=(), **rest: told.append((data, buffers))
    )
    wait(lambda: len(told) > 5)
    assert (one.view.frame, one.view.status) == (frame_then, status_then)
    assert all(
        data == {"method": "update", "state": {}, "buffer_paths": [["tail"]]} for data, _ in told
    )
    [shown] = told[-1][1]
    first, count = one.sync._steps_in_frame, len(shown) // 4 // (8 + 2 + 2 * 48)
    assert shown == tail(EventLog(one.log.steps[: first + count]), first) and frame_then == frame(
        EventLog(one.log.steps[:first]), LIVE
    )
    assert one.view.get_state()["tail"] == one.view.tail  # what a page that is reloaded asks for
    one.turn(entropy_weight=2.5)
    assert one.view.status["knobs"]["entropy_weight"] == 2.5 and one.sync._steps_in_frame > first
    wait(lambda: one.source.asked() == [] and one.view.tail)
    assert one.view.status["knobs"]["entropy_weight"] == 2.5 and one.view.marks["turned"]
    wait(lambda: len(one.log.steps) > one.sync._steps_in_frame + 5)
    one.pause()
    wait(
        lambda: (
            one.view.status["mode"] == "paused"
            and one.view.status["step"] == one.log.steps[-1].step
        )
    )
    assert one.view.tail == b"" and one.view.frame == frame(one.log, RECORDED)


def test_a_tail_never_grows_beyond_what_a_frame_holds(studio):
    one = studio(endless(FakeSearch, pause=0.002), rate=100).start()
    longest = 0
    while len(one.log.steps) < 400:
        longest = max(longest, len(one.view.tail))
        time.sleep(0.001)
    assert 0 < longest <= 4 * 72 * (8 + 2 + 2 * 48)


def test_what_stands_still_is_shown_finely(studio):
    one = studio(FakeSearch(steps=1000, pause=0.001), rate=100).start()
    wait(lambda: one.view.status["step"] > 300)
    assert one.view.status["mode"] == "running" and len(one.view.frame) < 40_000
    one.stop()
    wait(lambda: one.view.status["mode"] == "stopped")
    assert one.view.frame == frame(one.log, RECORDED) != frame(one.log, LIVE)


def test_a_search_in_a_folder_goes_on_with_its_history(studio, tmp_path):
    with folder(tmp_path / "run") as run:
        events = iter(Recorded(a_search(), run, checkpoint_every=3))
        while not isinstance(next(events), Step) or run.log.steps[-1].step < 5:
            pass
        events.close()
    with folder(tmp_path / "run", again=True) as run:
        one = studio(Recorded(a_search(), run, checkpoint_every=3))
        assert [step.step for step in one.log.steps] == [1, 2, 3, 4, 5] and one.view.status[
            "mode"
        ] == "ready"
        assert one.view.status["step"] == 5 and one.view.frame and one.view.stage
        one.start()
        wait(lambda: one.view.status["mode"] == "finished", 60)
        assert [step.step for step in one.log.steps] == list(range(1, 9))
        again = studio(Recorded(a_search(), run))
        assert again.view.status["mode"] == "finished" and again.view.status["step"] == 8


def test_what_was_refused_is_told_until_something_works(studio):
    search = endless()
    score, one = search.score_now, studio(search, rate=100).start()
    wait(lambda: one.view.status["step"] > 1)
    search.score_now = lambda: 1 / 0
    press(one, do="score")
    wait(lambda: "ZeroDivisionError" in one.view.status["message"])
    search.score_now = score
    press(one, do="score")
    wait(lambda: one.view.marks["evaluated"] and one.view.status["message"] == "")
    press(one, do="turn", knobs={"entropy_weight": -1.0})
    at = one.view.status["step"]
    wait(lambda: one.view.status["step"] > at + 5)  # also after what comes next
    assert "finite number" in one.view.status["message"]
    search.turn = lambda **knobs: {}["gone"]
    press(one, do="turn", knobs={"entropy_weight": 1.0})
    assert "KeyError" in one.view.status["message"]
    press(one, do="pause")
    assert one.view.status["message"] == ""


def test_too_many_losses_are_told_and_not_sent(studio):
    search = FakeSearch(steps=3)
    events = list(search)
    many = [
        Step(**{**vars(e), "loss": {f"t{i}": 1.0 for i in range(20_000)}})
        if isinstance(e, Step)
        else e
        for e in events
    ]
    one = studio(EventLog(many))
    assert (
        "20,000 tasks" in one.view.status["message"]
        and one.view.frame == b""
        and len(one.view.marks["losses"]) == 16
    )
    with pytest.raises(RunError, match="20,000 tasks"):
        replay_html(EventLog(many))


def test_a_search_that_fails_without_a_page_says_so(studio):
    class Failing(FakeSearch):
        def __iter__(self):
            for event in super().__iter__():
                yield event
                if isinstance(event, Step) and event.step == 4:
                    yield Failed(5, "normals", "the loss of normals is nan at step 5", None)
                    return

    one = studio(Failing(steps=9)).run()
    assert one.view.status["mode"] == "failed" and "nan at step 5" in one.view.status["message"]
    assert (
        "failed, step 4" in one._bundle(None)[0]["text/plain"]
        and "run" not in one.view.status["can"]
    )


def test_a_reset_waits_for_what_is_put_into_the_old_log():
    one = LiveSource(make=lambda: FakeSearch(steps=5))
    taking, search = threading.Event(), FakeSearch()

    class Slow:
        alive, error, refused = False, "", ""

        def new_events(self):
            taking.set()
            time.sleep(0.2)
            return [Started({}, search.space.to_json(), {}, "", 1), Evaluated(0, {})]

    one.runner = Slow()
    viewer = threading.Thread(target=one.poll)
    viewer.start()
    taking.wait(10)
    one.reset()
    viewer.join(10)
    assert len(one.log.events) == 0 and one.mode == "ready"
