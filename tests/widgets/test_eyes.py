"""The studio's eyes without a browser: the knob, what was seen at each step, and the picture that the page fades."""

import base64
import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import viz_fakes
from widget_fakes import FakeSearch, press, wait, write_run

from mtlnas_lab import Search, SearchConfig, presets
from mtlnas_lab.core.events import Started, Turned
from mtlnas_lab.data.dataset import MEAN, STD, picture
from mtlnas_lab.data.views import View, blindfolded
from mtlnas_lab.errors import DataError
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.runs.recorder import Recorded
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.widgets import replay_html
from mtlnas_lab.widgets.studio.eyes import LARGEST, pictures
from mtlnas_lab.widgets.studio.panel import POINTS, marks, settings

CONFIG = SearchConfig(steps=8, batch_size=2)


def seen_on_page(one, task, step):
    """What the page finds for a step among the marks (plan.js, seenAt)."""
    points = one.view.marks["visibility"].get(task, [[1, 1.0]])
    return [v for first, v in points if first <= step][-1]


def decoded(given):
    width, height = given["size"]
    of = [np.frombuffer(base64.b64decode(rgb), np.uint8) for rgb in given["rgb"]]
    return [rgb.reshape(height, width, 3) for rgb in of]


# --- the knob ---------------------------------------------------------------------------------------------------------
def test_an_eye_is_turned_from_the_next_step_on(studio):
    search = Search(presets.tiny(), CONFIG)
    one = studio(search)
    assert one.view.status["knobs"]["visibility"] == {} and one.view.marks["visibility"] == {}
    press(one, do="turn", knobs={"visibility": {"segmentation": 0.4}})
    press(one, do="turn", knobs={"visibility": {"normals": 0.7}})
    press(one, do="turn", knobs={"visibility": {"segmentation": 0.2}})
    asked = {"segmentation": 0.2, "normals": 0.7}
    assert one.view.status["knobs"]["visibility"] == asked  # before any step has used it
    press(one, do="step")
    wait(lambda: one.view.status["step"] == 1)
    assert search.lab.visibility == one.view.status["knobs"]["visibility"] == asked
    assert one.view.marks["turned"][-1] == [1, "segmentation sees 20 %"]
    one.source.stop()
    one.turn(visibility={"segmentation": 1})
    one.run()
    assert search.lab.visibility == {"segmentation": 1.0, "normals": 0.7}
    assert [seen_on_page(one, "segmentation", step) for step in (1, 2, 8)] == [0.2, 1.0, 1.0]
    assert [seen_on_page(one, "normals", step) for step in (1, 2, 8)] == [0.7, 0.7, 0.7]
    for step in range(1, 9):
        for task, v in one.log.visibility(step).items():
            assert seen_on_page(one, task, step) == v


@pytest.mark.parametrize("knob", [{"walls": 0.5}, {"normals": 2.0}, {"normals": "x"}, 3])
def test_what_cannot_be_seen_is_told(studio, knob):
    one = studio(Search(presets.tiny(), CONFIG))
    press(one, do="turn", knobs={"visibility": knob})
    assert "visibility" in one.view.status["message"]
    assert one.view.status["knobs"]["visibility"] == {}


def test_a_run_elsewhere_is_covered_through_its_folder(studio, tmp_path):
    one = studio(tmp_path / "run", rate=100)
    one._watch()
    search = FakeSearch(steps=100_000, pause=0.002)
    writer = threading.Thread(target=write_run, args=(tmp_path / "run", search))
    writer.start()
    try:
        wait(lambda: one.view.status["step"] > 3)
        press(one, do="turn", knobs={"visibility": {"normals": 0.25}})
        wait(lambda: search.knobs.get("visibility") == {"normals": 0.25})
        wait(lambda: one.view.marks["visibility"])
        [[first, all_of_it], [turned, covered]] = one.view.marks["visibility"]["normals"]
        assert (first, all_of_it, covered) == (1, 1.0, 0.25)
        assert one.log.visibility(turned) == {"normals": 0.25} and one.view.eyes == {}
    finally:
        search.steps = search.step_number
        writer.join(20)


def test_the_eyes_of_a_recording_stay(studio):
    config = {"steps": 30, "visibility": {"normals": 0.5}}
    space = viz_fakes.space()
    events = viz_fakes.log(space, steps=30).events
    log = EventLog([Started(config, space.to_json(), {}, "", 1), *events[1:]])
    one = studio(log)
    assert one.view.status["knobs"]["visibility"] == {"normals": 0.5}
    assert "turn" not in one.view.status["can"] and one.view.eyes == {}
    press(one, do="turn", knobs={"visibility": {"normals": 1.0}})
    assert "was recorded" in one.view.status["message"]
    assert seen_on_page(one, "normals", 30) == 0.5


def test_a_branch_sees_what_its_trunk_saw_until_then(studio, tmp_path):
    lab = presets.tiny()
    folder = RunWriter.create(tmp_path / "run", CONFIG.to_json(), lab.space)
    search = Search(lab, CONFIG)
    search.turn(visibility={"segmentation": 0.0})
    one = studio(Recorded(search, folder, checkpoint_every=4)).run()
    made = one.branch(4, visibility={"segmentation": 0.6})
    assert made.view.status["knobs"]["visibility"] == {"segmentation": 0.6}
    assert made.view.eyes == one.view.eyes != {}
    made.run()
    assert [seen_on_page(made, "segmentation", step) for step in (1, 4, 5, 8)] == [0, 0, 0.6, 0.6]
    assert [seen_on_page(one, "segmentation", step) for step in (1, 4, 5, 8)] == [0, 0, 0, 0]
    assert made.source.search.lab.visibility == {"segmentation": 0.6}
    folder.close()


def test_a_search_that_was_covered_before_anybody_looked(studio):
    search = Search(presets.tiny(), CONFIG)
    search.turn(visibility={"normals": 0.1})
    events = iter(search)
    for _ in range(3):  # Started, Turned, a step: of which the studio hears nothing
        next(events)
    one = studio(search)
    assert one.view.status["knobs"]["visibility"] == {"normals": 0.1}
    one.run()
    assert one.log.visibility(5) == {"normals": 0.1} and seen_on_page(one, "normals", 5) == 0.1


# --- at each step -----------------------------------------------------------------------------------------------------
def test_a_schedule_is_known_in_advance():
    """Steps come without marks: the page finds what they saw among the marks that it has."""
    ramp = {"end": 0.0, "start": 1.0, "period": [0.0, 1.0]}
    log = EventLog([Started({"steps": 10, "visibility": {"a": ramp}}, {}, {}, "", 1)])
    points = marks(log)["visibility"]["a"]
    assert [step for step, _ in points] == list(range(1, 11))
    assert [v for _, v in points] == pytest.approx([1 - step / 10 for step in range(10)])
    assert settings(log)[0]["visibility"] == {"a": 1.0}


def test_a_long_time_of_dragging_is_a_short_message():
    log = EventLog([Started({"steps": 10**6}, {}, {}, "", 1)])
    for step in range(1, 3000):
        log.append(Turned(step, {"visibility": {"a": step % 7 / 10}}))
    log.append(Turned(900_000, {"visibility": {"a": 1.0}}))
    begin = time.monotonic()
    points = marks(log)["visibility"]["a"]
    assert len(points) <= POINTS and time.monotonic() - begin < 5
    assert points[-1] == [900_000, 1.0] and points[-2] == [2999, 2999 % 7 / 10]


@pytest.mark.parametrize("step", [-(10**12), 0, 10**12, 10**30])
def test_steps_that_are_none_are_borne(step):
    log = EventLog([Started({"steps": 3}, {}, {}, "", 1)])
    log.append(Turned(step, {"visibility": {"a": 0.5, "b": {"end": 0.2, "period": [0.0, 1.0]}}}))
    log.append(Turned(step + 10**12, {"visibility": {"a": 0.25}}))
    begin = time.monotonic()
    assert json.dumps(marks(log)["visibility"], allow_nan=False)
    assert time.monotonic() - begin < 5


# --- the picture ------------------------------------------------------------------------------------------------------
def test_the_picture_is_what_the_network_sees_with_open_eyes():
    lab = presets.tiny()
    lab.visibility = {"segmentation": 0.0}  # covered now; the page covers it itself
    given = pictures(lab)
    image, _ = lab.data["test"].batch(torch.tensor([0]))
    [shown] = decoded(given)
    assert np.array_equal(shown, picture(image[0])) and given["split"] == "test"
    assert given["of"] == {"segmentation": 0, "normals": 0}
    assert given["mean"] == MEAN and given["deviation"] == STD
    assert lab.visibility == {"segmentation": 0.0} and json.dumps(given)


def test_the_page_mixes_as_the_search_does():
    """In RGB as the page has it: v·image + (1 − v)·(mean + deviation·noise) is what `blindfolded` makes."""
    lab = presets.tiny()
    given = pictures(lab)
    image, _ = lab.data["test"].batch(torch.tensor([0]))
    noise = torch.empty(image.shape).normal_(generator=torch.Generator().manual_seed(3))
    expected = picture(blindfolded(image, 0.3, torch.Generator().manual_seed(3))[0])
    drawn = noise[0].permute(1, 2, 0).numpy()
    background = np.array(given["mean"]) + np.array(given["deviation"]) * drawn
    mixed = 0.3 * decoded(given)[0] + 0.7 * 255 * background
    assert np.abs(mixed.clip(0, 255).round() - expected).max() <= 1


def test_a_lane_shows_its_own_view():
    lab = presets.tiny()
    lab.views = {"segmentation": View("normals"), "normals": View("grey")}
    given = pictures(lab)
    normals, grey = decoded(given)
    assert given["of"] == {"segmentation": 0, "normals": 1}
    assert given["views"] == {"segmentation": "normals", "normals": "grey"}
    assert (
        int(np.ptp(grey.astype(int), axis=2).max())
        <= 1
        < int(np.ptp(normals.astype(int), axis=2).max())
    )


def test_a_large_image_is_shown_by_some_of_its_pixels():
    lab = presets.tiny()
    lab.data = dict(lab.data)
    pack = lab.data["test"]
    large = pack.images.repeat(1, 1, 2, 4)
    lab.data["test"] = replace(pack, images=large)
    [shown] = decoded(pictures(lab))
    whole = large[0].permute(1, 2, 0).numpy()
    stride = -(-max(whole.shape) // LARGEST)
    assert stride > 1 and max(shown.shape) <= LARGEST
    assert np.abs(shown.astype(int) - whole[::stride, ::stride]).max() <= 1


def test_without_an_image_there_is_no_picture(monkeypatch):
    lab = presets.tiny()
    assert pictures(None) == pictures(object()) == {}

    def broken(*_):
        raise DataError("a file of this pack is damaged")

    monkeypatch.setattr(type(lab.data["test"]), "batch", broken)
    assert pictures(lab) == {}
    lab.data = {}
    assert pictures(lab) == {}


def test_a_recording_shows_the_picture_of_a_lab_that_is_given(studio):
    lab = presets.tiny()
    log = EventLog(Search(lab, SearchConfig(steps=2, batch_size=2, visibility={"normals": 0.5})))
    assert studio(log).view.eyes == {} and studio(log, lab=lab).view.eyes == pictures(lab)
    for given, there in ((None, False), (lab, True)):
        data = json.loads(replay_html(log, lab=given).split('id="data">')[1].split("</script>")[0])
        assert bool(data["eyes"]) == there and data["marks"]["visibility"] == {
            "normals": [[1, 0.5]]
        }


def test_after_a_reset_the_picture_is_that_of_the_new_search(studio):
    labs = [presets.tiny(), presets.tiny(seed=1)]
    left = iter(labs)
    one = studio(lambda: Search(next(left), CONFIG))
    assert one.view.eyes == pictures(labs[0])
    labs[1].views = {"normals": View("grey")}
    one.reset()
    assert one.view.eyes == pictures(labs[1]) and one.view.eyes["views"]["normals"] == "grey"


# --- a first look -----------------------------------------------------------------------------------------------------
def test_a_plain_studio_has_fewer_parts_and_so_has_its_branch(studio, tmp_path):
    lab = presets.tiny()
    folder = RunWriter.create(tmp_path / "run", CONFIG.to_json(), lab.space)
    source = Recorded(Search(lab, CONFIG), folder, checkpoint_every=4)
    one = studio(source, plain=True).run()
    assert one.view.parts["panels"] == ["graph", "entropy", "losses"]
    assert one.view.parts["knobs"] == ["entropy_weight"] and one.view.eyes
    assert one.branch(4).view.parts == one.view.parts
    assert studio(FakeSearch()).view.parts == {}
    folder.close()
