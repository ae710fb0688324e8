"""How much each network saw, as a log tells it: from settings, schedules and knobs that were turned."""

import math

import pytest

from mtlnas_lab import Schedule, Search, SearchConfig, presets
from mtlnas_lab.core.events import Resumed, Started, Step, Turned
from mtlnas_lab.runs.event_log import EventLog


def test_it_is_what_the_search_itself_had():
    ramp = Schedule(0.0, start=1.0, period=(0.2, 0.9))
    search = Search(
        presets.tiny(), SearchConfig(steps=5, batch_size=2, visibility={"normals": ramp})
    )
    log = EventLog()
    had = {}
    for event in search:
        log.append(event)
        if isinstance(event, Started):
            had[1] = search.current("visibility")
        if isinstance(event, Step) and event.step == 2:
            search.turn(visibility={"segmentation": 0.25})
        if isinstance(event, Step) and event.step == 3:
            search.turn(visibility={"normals": 0.5})
        if isinstance(event, (Step, Turned)):  # a knob is turned after the step before was told
            step = event.step if isinstance(event, Turned) else event.step + 1
            had[step] = search.current("visibility")
    for step in range(1, 6):
        assert log.visibility(step) == pytest.approx(had[step]), step
    assert log.visibility(2) == {"normals": 1.0} and set(log.visibility(3)) == {
        "normals",
        "segmentation",
    }
    assert log.visibility(5)["normals"] == 0.5


def test_what_a_run_left_behind_does_not_count():
    log = EventLog([Started({"steps": 9}, {}, {}, "", 1)])
    log.append(Turned(3, {"visibility": {"a": 0.0}}), 5)
    assert log.visibility(3) == {"a": 0.0} and log.visibility(2) == {}
    log.append(Resumed(1, 2), 6)
    assert log.visibility(3) == {}


@pytest.mark.parametrize(
    "said",
    [
        0.3,
        None,
        [],
        {"a": 7},
        {"a": -1.0},
        {"a": math.nan},
        {"a": {"end": 2.0}},
        {"a": {}},
        {"a": "0"},
    ],
)
def test_what_is_not_a_visibility_does_not_count(said):
    config = {"search": {"steps": math.inf, "visibility": said}}
    log = EventLog([Started(config, {}, {}, "", 1), Turned(2, {"visibility": said})])
    assert log.visibility(3) == {} and log.blindfolds == [(1, {})] and log.planned_steps == 0
    log.append(Turned(4, {"visibility": {"a": said, "b": 0.5}}))
    assert log.visibility(4)["b"] == 0.5


@pytest.mark.parametrize("steps", [0, -3, True, "9", 10**400, 1e300, math.nan])
def test_any_number_of_steps_is_borne(steps):
    ramp = {"end": 0.0, "start": 1.0, "period": [0.0, 1.0]}
    log = EventLog([Started({"steps": steps, "visibility": {"a": ramp}}, {}, {}, "", 1)])
    for step in (-5, 0, 1, 10**30):
        assert 0 <= log.visibility(step)["a"] <= 1
    assert EventLog().visibility(1) == {}
