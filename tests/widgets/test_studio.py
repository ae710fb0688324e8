"""The studio without a browser: traits are set, state is asserted; headless it leaves a picture; what is hostile is borne."""

import base64
import io
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import viz_fakes
from PIL import Image
from widget_fakes import FakeSearch, press, wait, write_run

from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.events import Evaluated, Started
from mtlnas_lab.core.space import SearchSpace, not_deeper, other_task, plan
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.experiments.pipeline import as_set_up
from mtlnas_lab.runs.event_file import encode
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.runs.run import Run
from mtlnas_lab.widgets import SearchStudio, replay_html, show
from mtlnas_lab.widgets.still import HIGH
from mtlnas_lab.widgets.studio import sources
from mtlnas_lab.widgets.studio import widget as module

ROOT = Path(__file__).parents[2]


def test_before_it_starts_it_shows_the_candidates(studio):
    one = studio(FakeSearch(steps=5), title="T")
    assert one.view.status["mode"] == "ready" and {"run", "step", "turn"} <= set(
        one.view.status["can"]
    )
    assert (
        len(one.view.stage["edges"]) == 48
        and one.view.frame == b""
        and one.view.stage["title"] == "T"
    )


def test_buttons_and_sliders_do_what_they_say(studio):
    search = FakeSearch(steps=100_000, pause=0.002)
    one = studio(search, rate=100)
    press(one, do="step")
    wait(lambda: one.view.status["step"] == 1)
    assert one.view.status["mode"] == "paused"
    press(one, do="turn", knobs={"entropy_weight": 3.0})
    press(one, do="start")
    wait(lambda: one.view.status["step"] >= 5)
    assert (
        one.view.status["mode"] == "running"
        and one.view.frame
        and one.view.status["knobs"]["entropy_weight"] == 3.0
    )
    assert one.view.marks["turned"] == [[2, "λ = 3"]]
    press(one, do="turn", knobs={"entropy_weight": -1.0})
    wait(
        lambda: (
            "finite number" in one.view.status["message"]
            or search.knobs.get("entropy_weight") == -1.0
        )
    )
    press(one, do="score")
    wait(lambda: one.view.marks["evaluated"])
    press(one, do="stop")
    wait(lambda: one.view.status["mode"] == "stopped")
    assert (
        isinstance(one.architecture, Architecture)
        and threading.get_ident() not in search.thread_ids
    )


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": "rm"},
        {"do": "turn"},
        {"do": "turn", "knobs": {"seed": 1}},
        {"do": ["stop"]},
        {"do": "branch", "step": 3},
        {"do": "turn", "knobs": []},
        {"do": "_watch"},
        7,
        None,
    ],
)
def test_messages_that_make_no_sense_do_no_harm(studio, message):
    one = studio(FakeSearch(steps=5))
    one._on_message(one.view, message, [])
    assert one.view.status["mode"] == "ready"


def test_reset_needs_a_function_that_makes_a_search(studio):
    one = studio(lambda: FakeSearch(steps=6))
    first = one.source.search
    one.start()
    wait(lambda: one.view.status["mode"] == "finished")
    one.reset()
    assert (
        one.view.status["mode"] == "ready"
        and one.view.frame == b""
        and one.source.search is not first
    )
    with pytest.raises(ConfigError, match="function"):
        studio(FakeSearch()).reset()


def test_a_forced_edge_counts_in_the_architecture(studio):
    search = FakeSearch(steps=4)
    edge = str(search.space.edges[0])
    search.turn(force={edge: True, str(search.space.edges[1]): False})
    one = studio(search).run()
    assert one.architecture.kept[0] and not one.architecture.kept[1]
    assert one.view.status["knobs"]["force"] == {edge: True, str(search.space.edges[1]): False}


def test_a_run_elsewhere_is_followed_and_steered(studio, tmp_path):
    one = studio(tmp_path / "run", rate=100)
    assert one.view.status["mode"] == "waiting" and "waiting" in one.view.status["message"]
    one._watch()
    search = FakeSearch(steps=100_000, pause=0.002)
    writer = threading.Thread(target=write_run, args=(tmp_path / "run", search))
    writer.start()
    try:
        wait(lambda: one.view.status["step"] > 3)
        assert one.view.status["mode"] == "followed" and one.view.status["can"] == ["turn"]
        press(one, do="turn", knobs={"entropy_weight": 5.0})
        wait(lambda: one.view.status["knobs"].get("entropy_weight") == 5.0)
        press(one, do="pause")
        assert "elsewhere" in one.view.status["message"]
    finally:
        search.steps = search.step_number
        writer.join(20)
    wait(lambda: one.view.status["mode"] == "finished")


def test_a_finished_run_and_a_log_are_shown(studio, tmp_path):
    write_run(tmp_path / "run", FakeSearch(steps=30))
    for source in (
        str(tmp_path / "run"),
        tmp_path / "run",
        Run.open(tmp_path / "run"),
        EventLog(FakeSearch(steps=30)),
    ):
        one = studio(source)
        assert one.view.status["step"] == 30 and one.view.frame and not one.view.status["can"]


def test_two_studios_stay_in_step(studio):
    same, other = EventLog(FakeSearch(steps=20)), viz_fakes.log(viz_fakes.space(3), steps=20)
    one, two, three = (studio(log) for log in (same, same, other))
    assert one.beside(two).beside(three).beside(two) is one and len(one.box.children) == 3
    two.view.at = 12
    assert one.view.at == three.view.at == 12
    one.view.at, two.view.pinned = -1, 5
    assert (
        two.view.at == -1 and one.view.pinned == 5 and three.view.pinned == -1
    )  # its edges are others


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 4000, b"{}\n" * 50, b'{"seq": 1, "kind": "started"}\n', b"[" * 100_000],
)
def test_a_broken_run_folder_is_borne(studio, tmp_path, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "events.jsonl").write_bytes(content)
    one = studio(tmp_path / "run")
    assert one.view.frame == b"" and (not content or one.view.status["message"])


def folder_of(path, *events):
    path.mkdir()
    (path / "events.jsonl").write_bytes(
        b"".join(encode(event, seq) for seq, event in enumerate(events, 1))
    )
    return path


def sent(one):
    """All that the page gets, as strict JSON."""
    return json.loads(
        json.dumps([one.view.stage, one.view.marks, one.view.status], allow_nan=False)
    )


def test_a_log_that_is_cut_shows_what_there_is(studio, tmp_path):
    write_run(tmp_path / "run", FakeSearch(steps=30))
    file = tmp_path / "run" / "events.jsonl"
    for share in (0.9, 0.5, 0.02):
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
        one = studio(tmp_path / "run")
        assert one.view.status["step"] < 30 and bool(one.view.stage) == (share > 0.1) and sent(one)


def test_a_line_of_200_megabytes_is_passed_over(studio, tmp_path):
    file = folder_of(tmp_path / "run", *FakeSearch(steps=5)) / "events.jsonl"
    with open(file, "ab") as stream:
        for _ in range(200):
            stream.write(b"x" * 2**20)
        stream.write(b"\n")
    one = studio(tmp_path / "run")
    assert (
        one.view.status["step"] == 5
        and "longer than" in one.view.status["message"]
        and one.view.frame
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_numbers_that_are_none_reach_no_page(studio, tmp_path, number):
    search = FakeSearch(steps=4, evaluate_every=2)
    events = list(search)
    bad = replace(
        search.step(),
        alpha=(number,) * 48,
        alpha_grad=(number,) * 48,
        entropy_weight=number,
        temperature=number,
        seconds=number,
        loss={"normals": number},
    )
    config = {"steps": number, "entropy_weight": {"end": number}, "alpha_gates": ["?"]}
    told = Evaluated(
        5, {"hard": {"normals": {"mean_angle": number}, "x": 3}, "soft": number, "<b>": {}}
    )
    one = studio(
        folder_of(
            tmp_path / "run",
            Started(config, search.space.to_json(), {}, "", 1),
            *events[1:-1],
            bad,
            told,
        )
    )
    assert one.view.status["step"] == 5 and one.view.frame and sent(one)


SPACES = {
    "edges": "as text",
    "none": {"plans": {}, "edges": []},
    "list": {"plans": [], "edges": []},
    "types": {"plans": {"a": {"channels": "x", "groups": None}}, "edges": [3]},
    "endless": {
        "plans": {"a": {"channels": [1], "groups": [1e300]}, "b": {"channels": [1], "groups": [1]}},
        "edges": [],
    },
    "huge": {
        "plans": {t: {"channels": [8] * 300, "groups": [300]} for t in "ab"},
        "edges": [f"a:{i} -> b:{j}" for i in range(230) for j in range(i, 300)][:40_000],
    },
}


@pytest.mark.parametrize("name", SPACES)
def test_a_space_that_is_none_is_told_in_one_line(studio, tmp_path, name):
    space = SPACES[name] if isinstance(SPACES[name], dict) else {"plans": "", "edges": ""}
    begin = time.monotonic()
    one = studio(
        folder_of(tmp_path / "run", Started({}, space, {}, "", 1), *list(FakeSearch(steps=2))[1:])
    )
    told = one.view.status["message"]
    assert (
        one.view.stage == {}
        and told
        and "\n" not in told
        and sent(one)
        and time.monotonic() - begin < 5
    )
    assert name != "huge" or "40,000 candidate edges" in told
    one.close()


def test_a_search_in_a_huge_space_is_refused_and_lives_on(studio):
    space = SearchSpace.build({t: plan([8] * 320, [320]) for t in "ab"}, (other_task, not_deeper))
    assert len(space) > 100_000
    one = studio(FakeSearch(space=space, steps=2))
    assert (
        "candidate edges; a studio draws up to" in one.view.status["message"]
        and one.view.stage == {}
    )
    one.start()
    wait(lambda: one.view.status["mode"] == "finished")
    assert one.view.frame == b""


def test_steps_of_other_edges_than_the_space_says_are_told(studio, tmp_path):
    other = viz_fakes.space(3).to_json()
    one = studio(
        folder_of(tmp_path / "run", Started({}, other, {}, "", 1), *list(FakeSearch(steps=2))[1:])
    )
    assert "48 edges, its space has 144" in one.view.status["message"] and one.view.frame == b""


def test_a_long_run_shows_its_beginning_first(studio, tmp_path, monkeypatch):
    monkeypatch.setenv("MTLNAS_LAB_LIVE", "1")
    monkeypatch.setattr(sources, "SLICE", 0.01)
    write_run(tmp_path / "run", FakeSearch(steps=600))
    one = studio(tmp_path / "run", rate=100)
    assert (
        one.view.status["mode"] == "reading"
        and 0 < one.view.status["step"] < 600
        and one.view.frame
    )
    one._watch()
    wait(lambda: one.view.status["mode"] == "finished")
    assert one.view.status["step"] == 600


def test_discretize_now_also_when_nothing_runs(studio):
    one = studio(FakeSearch(steps=30), rate=100)
    assert "score" not in one.view.status["can"]  # nothing to score yet
    one.start()
    wait(lambda: one.view.status["mode"] == "finished" and "score" in one.view.status["can"])
    press(one, do="score")
    wait(lambda: one.view.marks["evaluated"] and one.view.status["mode"] == "finished")
    assert one.view.marks["evaluated"][0][0] == 30


def test_a_score_that_fails_is_told_and_the_search_goes_on(studio):
    search = FakeSearch(steps=100_000, pause=0.002)
    search.score_now = lambda: 1 / 0
    one = studio(search, rate=100).start()
    wait(lambda: one.view.status["step"] > 2)
    press(one, do="score")
    wait(lambda: "ZeroDivisionError" in one.view.status["message"])
    at = one.view.status["step"]
    wait(lambda: one.view.status["step"] > at + 3)
    assert one.view.status["mode"] == "running"


def test_what_is_nothing_is_refused():
    with pytest.raises(ConfigError, match="a int is nothing a studio can show"):
        SearchStudio(3)


def test_headless_it_runs_at_once_and_leaves_a_picture(monkeypatch, studio):
    import IPython.display

    shown = []
    monkeypatch.setenv("MTLNAS_LAB_LIVE", "0")
    monkeypatch.setattr(IPython.display, "display", lambda data, **options: shown.append(data))
    search = FakeSearch(steps=40, evaluate_every=10)
    one = studio(search)
    one._ipython_display_()
    [data] = shown
    picture = base64.b64decode(data["image/png"])
    assert search.step_number == 40 and search.thread_ids == {threading.get_ident()}
    assert picture.startswith(b"\x89PNG") and len(data["image/png"]) < 300_000
    assert "application/vnd.jupyter.widget-view+json" in data and "step 40" in data["text/plain"]
    show()
    assert len(shown) == 2 and search.step_number == 40


def test_headless_two_studios_leave_a_picture_each(monkeypatch, studio):
    import IPython.display

    shown = []
    monkeypatch.setenv("MTLNAS_LAB_LIVE", "0")
    monkeypatch.setattr(IPython.display, "display", lambda data, **options: shown.append(data))
    studio(FakeSearch(steps=10)).beside(studio(FakeSearch(steps=12))).show()
    assert [data["text/plain"].split(":")[0] for data in shown] == [
        "Search, finished, step 10",
        "Search, finished, step 12",
    ]
    assert all("image/png" in data for data in shown)


@pytest.mark.parametrize(
    "environment, alive",
    [
        ({}, False),
        ({"JPY_SESSION_NAME": "a.ipynb"}, True),
        ({"VOILA_PREHEAT": "0"}, True),
        ({"MTLNAS_LAB_LIVE": "0", "JPY_SESSION_NAME": "a"}, False),
        ({"MTLNAS_LAB_LIVE": "1"}, True),
    ],
)
def test_who_can_be_at_the_other_end(monkeypatch, environment, alive):
    for name in ("JPY_SESSION_NAME", "MTLNAS_LAB_LIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert module.live() is alive


def test_branching_is_left_to_the_source(studio):
    class Branching(FakeSearch):
        def branch(self, step, **knobs):
            made = FakeSearch(steps=self.steps)
            made.turn(**knobs)
            return made

    one = studio(Branching(steps=20)).run()
    press(one, do="branch", step=10)
    [made] = one._others
    assert made.view in one.box.children and [one] == module._LATEST
    assert (
        made.log.steps[-1].step == 10
        and made.view.other
        and made.view.marks["branched"] == 10
        and made.source.mode == "ready"
    )
    made.turn(entropy_weight=0.0)
    made.run()
    assert set(made.log.column("entropy_weight")) == {0.0} and one.log.steps[-1].entropy_weight > 5
    one.view.at = 7
    assert made.view.at == 7
    assert "close" in made.view.status["can"] and "close" not in one.view.status["can"]
    press(one, do="close")
    press(made, do="close")
    assert one._others == [] and one.box.children == (one.view,)
    made.close()  # once more: nothing is left to do
    with pytest.raises(ConfigError, match="cannot branch"):
        studio(FakeSearch(steps=2)).branch(1)


def test_a_replay_page_holds_everything_and_no_name_becomes_markup(tmp_path):
    space = viz_fakes.space(3, names=viz_fakes.HOSTILE)
    page = replay_html(viz_fakes.log(space, steps=300), title="</script><script>alert(1)</script>")
    assert (
        len(page.encode()) < 2_000_000
        and page.count("<script") == 2
        and "http://" not in page.replace("http-equiv", "")
    )
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert data["stage"]["tasks"] == list(space.tasks) and data["stage"]["title"].startswith(
        "</script>"
    )
    write_run(tmp_path / "run", FakeSearch(steps=10))
    assert "Search run" in replay_html(tmp_path / "run")
    with pytest.raises(RunError, match="nothing to replay"):
        replay_html(EventLog())


def test_the_page_that_is_shipped_is_that_of_today():
    run = ROOT / "data_samples" / "runs" / "entropy"
    lab, _ = as_set_up(run, device="cpu", tell=lambda _: None)
    shipped = (ROOT / "docs" / "replay.html").read_text(encoding="utf-8")
    assert shipped == replay_html(run, lab=lab), (
        "make it again: mtlnas-lab replay data_samples/runs/entropy --html docs/replay.html"
    )


def test_a_long_run_in_a_large_space_still_fits_a_page():
    log = viz_fakes.log(viz_fakes.space(5, plan=viz_fakes.RESNET, limit=None), steps=80)
    assert len(replay_html(log).encode()) < 2_000_000


def test_a_second_studio_goes_on_with_the_same_search(studio):
    search = FakeSearch(steps=10)
    next_events = iter(search)
    for _ in range(4):
        next(next_events)
    one = studio(search).run()
    assert (
        one.log.steps[0].step == 4
        and one.view.frame
        and len(one.architecture.kept) == 48
        and one.picture()
    )


def test_show_shows_the_latest_studio_again(monkeypatch):
    shown = []
    monkeypatch.setattr(SearchStudio, "show", lambda self: shown.append(self))
    latest = SearchStudio(FakeSearch(steps=1))
    show()
    assert shown == [latest]


def test_a_saved_output_says_how_to_have_the_panel_back():
    """A page that is opened later knows no widget: it shows the picture or the text, and these say what to do."""
    one = SearchStudio(FakeSearch(steps=4)).run()
    still = one.picture()
    data, about = one._bundle(still)
    assert "studio.show()" in data["text/plain"] and "step 4" in data["text/plain"]
    plain, shown = (
        Image.open(io.BytesIO(png)) for png in (still, base64.b64decode(data["image/png"]))
    )
    assert (shown.width, shown.height) == (plain.width, plain.height + HIGH)
    assert about["image/png"]["width"] == shown.width, "not a drawing, and so white on a dark page"
    line = np.asarray(shown)[-HIGH:]
    assert (line < 200).any(), "nothing is written there"
    assert (line[:, -4:] == 255).all(), "the line has no room"
    assert np.array_equal(np.asarray(shown)[:-HIGH], np.asarray(plain.convert("RGB")))
