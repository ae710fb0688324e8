"""The bytes that the canvas draws, read back; the small JSON beside them; the pure functions in node."""

import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import viz_fakes
from widget_fakes import FakeSearch

from mtlnas_lab.core.events import Started, Step, Turned
from mtlnas_lab.core.space import SearchSpace
from mtlnas_lab.core.space import plan as space_plan
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.viz.style import RAMPS, TASK_COLORS
from mtlnas_lab.widgets import ReplayScrubber, SearchStudio
from mtlnas_lab.widgets.studio.encoding import COLUMNS, LIVE, frame, rows, tail
from mtlnas_lab.widgets.studio.panel import MARKS, marks, settings, space_of, stage
from mtlnas_lab.widgets.studio.view import HERE, page_script

JS = Path(__file__).parents[1] / "js"


def read(data):
    """What plan.js does, in numpy."""
    version, n, e, t, c, largest, *_ = np.frombuffer(data, "<f4", 8)
    n, e, t, c = int(n), int(e), int(t), int(c)
    floats = np.frombuffer(data, "<f4", (c + t) * n + 2 * e, 32)
    at = 32 + floats.nbytes
    p = np.frombuffer(data, "<u2", n * e, at).reshape(n, e) / 65535
    g = np.frombuffer(data, "i1", n * e, at + 2 * n * e).reshape(n, e)
    assert len(data) == at + 3 * n * e and version == 1 and c == len(COLUMNS)
    return (
        floats[: (c + t) * n].reshape(c + t, n),
        floats[(c + t) * n :].reshape(2, e),
        p,
        largest * np.sign(g) * (g / 127) ** 2,
    )


@pytest.mark.parametrize("steps", [1, 2, 145, 146, 1000, 20_000])
def test_rows_are_few_ascending_and_end_with_the_last(steps):
    picked = rows(steps, 48, LIVE)
    assert picked[-1] == steps - 1 and (np.diff(picked) > 0).all() and len(picked) <= LIVE // 48 + 1
    assert steps < 146 or len(picked) > 70


def test_rows_stand_still_while_steps_come():
    kept = set(rows(1000, 48, LIVE)[:-1])
    assert kept <= set(rows(1004, 48, LIVE))


def test_a_frame_holds_the_history():
    log = EventLog(FakeSearch(steps=400))
    columns, (alpha, grad), p, g = read(frame(log))
    picked = columns[0].astype(int) - 1
    np.testing.assert_allclose(columns[1], log.column("entropy")[picked], rtol=1e-6)
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-log.alpha[picked])), atol=1e-5)
    np.testing.assert_allclose(
        g, log.alpha_grad[picked], atol=np.abs(log.alpha_grad[picked]).max() / 60
    )
    np.testing.assert_allclose(alpha, log.alpha[-1], rtol=1e-6)
    np.testing.assert_allclose(grad, log.alpha_grad[-1], rtol=1e-6)
    loss, starts = log.loss["normals"], np.append(0, picked[:-1] + 1)
    np.testing.assert_allclose(
        columns[7], [loss[a : b + 1].mean() for a, b in zip(starts, picked)], rtol=1e-5
    )


def test_a_frame_stays_small():
    assert 5_000 < len(frame(EventLog(FakeSearch(steps=3000)))) < 30_000
    assert frame(EventLog()) == b""


def test_a_tail_holds_the_steps_behind_a_frame():
    log = EventLog(FakeSearch(steps=30))
    table = np.frombuffer(tail(log, 27), "<f4").reshape(3, len(EventLog.SCALARS) + 2 + 2 * 48)
    assert table[:, 0].tolist() == [28, 29, 30] and tail(log, 30) == b""
    np.testing.assert_allclose(table[:, 8:10], np.stack(list(log.loss.values()), 1)[27:], rtol=1e-6)
    np.testing.assert_allclose(table[:, 10:58], log.alpha[27:], rtol=1e-6)
    np.testing.assert_allclose(table[:, 58:], log.alpha_grad[27:], rtol=1e-6)
    assert not log.table.flags.writeable
    script = (HERE / "plan.js").read_text(encoding="utf-8")
    logged = json.loads(re.search(r"const LOGGED = (\[.*?\]);", script)[1])
    names = {
        "fraction": "entropy_fraction",
        "lambda": "entropy_weight",
        "l1": "l1_weight",
        "tau": "temperature",
        "rate": "alpha_lr",
    }
    assert tuple(names.get(name, name) for name in logged) == EventLog.SCALARS


def parted():
    """[a frame of some steps, the tail behind it, the frame of all]: a page has to make the third of the other two."""
    events = list(FakeSearch(steps=1200))
    events[337] = replace(events[337], loss={"segmentation": np.nan, "normals": 1.0})
    text = lambda data: base64.b64encode(data).decode()  # noqa: E731
    for some, all_ in [
        (1, 2),
        (5, 6),
        (100, 140),
        (145, 145),
        (301, 340),
        (577, 578),
        (583, 640),
        (1000, 1070),
        (1001, 1003),
    ]:
        log = EventLog(events[: all_ + 1])
        yield [text(frame(EventLog(events[: some + 1]))), text(tail(log, some)), text(frame(log))]


ALPHAS = [
    [0.0] * 8,
    [0.0, -0.0, 1e-9, -1e-9, 1e-3, -1e-3, 1e-30, -1e-30],
    [1e-5, -1e-5, 3e-5, -3e-5, 6e-5, -6e-5, 1e-4, -1e-4],
    [700.0, -700.0, 40.0, -40.0, 12.0, -12.0, 0.7, -0.7],
]


def logs_of(alpha):
    """A log of one step with these α, and one of two."""
    plans = dict.fromkeys(("a", "b"), space_plan([8] * len(alpha), [len(alpha)]))
    space = SearchSpace.build(plans)
    space = space.only([i < len(alpha) for i in range(len(space))])
    started = Started({}, space.to_json(), {}, "cpu", 1)
    zeros = tuple(0.0 for _ in alpha)
    steps = [
        Step(number, tuple(alpha), zeros, {"a": 1.0, "b": 1.0}, 0.5, 0.5, 0.0, 0.0, 1.0, 0.1, 0.1)
        for number in (1, 2)
    ]
    return EventLog([started, steps[0]]), EventLog([started, *steps])


@pytest.mark.parametrize("alpha", ALPHAS)
def test_an_edge_is_open_on_the_page_exactly_where_its_alpha_is_above_0(alpha):
    """½ was rounded up, so that a page said of an undecided edge that it is open."""
    one, _ = logs_of(alpha)
    codes = read(frame(one))[2][0]
    assert (codes > 0.5).tolist() == [a > 0 for a in alpha]
    np.testing.assert_allclose(codes, 1 / (1 + np.exp(-np.array(alpha))), atol=1e-5)
    assert SearchStudio(one).architecture.kept == tuple(a > 0 for a in alpha)
    assert ReplayScrubber(one).architecture.kept == tuple(a > 0 for a in alpha)
    assert f"{sum(a > 0 for a in alpha)} of 8 edges open" in ReplayScrubber(one).caption()


def signed():
    """What the page has to make of these α: the frame of the first step, the tail behind it, which edges are open."""
    text = lambda data: base64.b64encode(data).decode()  # noqa: E731
    for alpha in ALPHAS:
        one, two = logs_of(alpha)
        kept = [a > 0 for a in alpha]
        yield {"alpha": alpha, "kept": kept, "head": text(frame(one)), "tail": text(tail(two, 1))}


def test_numbers_that_are_none_do_no_harm():
    log = EventLog(FakeSearch(steps=3))
    last = log.steps[-1]
    bad = (np.nan,) * len(last.alpha)
    log.append(Step(4, bad, (np.inf,) * len(bad), {"segmentation": np.nan}, *[np.nan] * 7))
    columns, _, p, g = read(frame(log))
    assert np.isfinite(p).all() and np.isfinite(g).all() and np.isnan(columns[6][-1])


def test_the_stage_names_what_the_edges_are():
    space = viz_fakes.space(3)
    told = json.loads(json.dumps(stage(space, "T")))
    a, i, b, j = told["edges"][7]
    assert (
        f"{told['tasks'][a]}:{i} -> {told['tasks'][b]}:{j}"
        == told["names"][7]
        == str(space.edges[7])
    )
    assert told["plans"][0][3] == [128, 1, 1, 2]


def test_marks_and_settings_are_plain_json():
    log = viz_fakes.log(viz_fakes.space(), steps=60)
    told = json.loads(json.dumps(marks(log), allow_nan=False))
    assert told["turned"] == [[30, "λ = 10"]] and len(told["evaluated"]) == 6
    search = FakeSearch(steps=5)
    search.turn(force={"segmentation:0 -> normals:0": True, "normals:0 -> segmentation:0": False})
    search.turn(force={"normals:0 -> segmentation:0": None}, alpha_gates="bernoulli")
    knobs, steps = settings(EventLog(search))
    assert (
        knobs["force"] == {"segmentation:0 -> normals:0": True}
        and knobs["alpha_gates"] == "bernoulli"
        and steps == 5
    )


def test_an_edge_is_forced_however_it_is_written():
    search = FakeSearch(steps=2)
    search.turn(force={" segmentation:0->normals:00": True})
    log = EventLog(search)
    assert (
        settings(log)[0]["force"]
        == {"segmentation:0 -> normals:0": True}
        == marks(log)["forced"][0][1]
    )
    log.append(Turned(3, {"force": {"nothing": True}}))
    assert settings(log)[0]["force"]["nothing"] is True  # the page knows no such edge


def test_marks_say_from_which_step_on_an_edge_is_forced():
    log, edge = viz_fakes.log(viz_fakes.space(), steps=20), "segmentation:0 -> normals:0"
    log.append(Turned(4, {"force": {edge: True}}))
    log.append(Turned(9, {"force": {edge: None}, "entropy_weight": 3.0}))
    assert marks(log)["forced"] == [[4, {edge: True}], [9, {edge: None}]]
    for step in range(10, 10 + MARKS):
        log.append(Turned(step, {"force": {edge: bool(step % 2)}}))
    told = marks(log)["forced"]
    assert len(told) == MARKS + 1 and told[0] == [9, {edge: None}] and told[-1][0] == 9 + MARKS


def test_settings_show_what_was_turned_since_the_last_step():
    log = EventLog(FakeSearch(steps=5))
    log.append(Turned(6, {"entropy_weight": 7.0, "temperature": {"end": 3.0}}))
    assert (
        settings(log)[0]["entropy_weight"] == 7.0
        and settings(log)[0]["temperature"] == log.steps[-1].temperature
    )
    assert (
        settings(log, {"entropy_weight": 1.0}, [{"entropy_weight": 2.0}])[0]["entropy_weight"]
        == 2.0
    )


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"search": 3},
        {"steps": "many", "entropy_weight": {"end": None}},
        {"steps": float("nan")},
    ],
)
def test_strange_settings_are_borne(config):
    log = viz_fakes.log(viz_fakes.space(), steps=4, evaluations=0, turned=False)
    object.__setattr__(log.started, "config", config)
    knobs, steps = settings(log)
    assert steps == 0 and knobs["most"] == 20.0


def test_a_log_without_a_space_has_none():
    assert space_of(EventLog()) is None


def test_the_pure_functions_in_node():
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on this machine")
    (JS / "frame.bin").write_bytes(frame(EventLog(FakeSearch(steps=400))))
    (JS / "parted.json").write_text(json.dumps(list(parted())))
    (JS / "signs.json").write_text(json.dumps(list(signed())))
    try:
        done = subprocess.run(
            [node, "--test", *map(str, sorted(JS.glob("*.test.mjs")))],
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        (JS / "frame.bin").unlink()
        (JS / "parted.json").unlink()
        (JS / "signs.json").unlink()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize(
    "script", sorted(path.relative_to(HERE).as_posix() for path in HERE.rglob("*.js"))
)
def test_a_script_and_what_it_imports_are_one_module(script, tmp_path):
    if (node := shutil.which("node")) is None:
        pytest.skip("there is no node on this machine")
    (tmp_path / "page.mjs").write_text(
        page_script(HERE / script), encoding="utf-8"
    )  # one scope: no name twice
    done = subprocess.run(
        [node, "--check", tmp_path / "page.mjs"], capture_output=True, text=True, timeout=60
    )
    assert not done.returncode, done.stderr


def test_the_page_has_the_colours_of_the_figures():
    script = (HERE / "plan.js").read_text(encoding="utf-8")
    lists = [
        tuple(re.findall("#[0-9a-f]{6}", part))
        for part in re.search(
            r"TASKS = (.*?);\nconst RAMPS = {false: (.*?\]),\s*true: (.*?)};", script, re.DOTALL
        ).groups()
    ]
    assert lists == [TASK_COLORS, RAMPS[False], RAMPS[True]]
