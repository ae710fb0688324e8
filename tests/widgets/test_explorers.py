"""The small explorers without a browser: their numbers, their state, their still twins; and what a lab lends them."""

import base64
import json
import shutil
import subprocess
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import traitlets
import viz_fakes
from helpers import small_lab
from widget_fakes import GraphTable, wait

from mtlnas_lab.analysis.predictions import browse, error_picture, look_at
from mtlnas_lab.core import relaxation
from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.events import Step
from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.data.dataset import ImageDataset
from mtlnas_lab.data.open import samples
from mtlnas_lab.data.rooms import CLASSES, ROOMS, render
from mtlnas_lab.errors import ConfigError, MTLNASError, RunError, SpaceError
from mtlnas_lab.experiments.presets import make_lab
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.runs.run import Run
from mtlnas_lab.tasks.task import Depth, Edges, Normals, Segmentation
from mtlnas_lab.widgets import (
    Blindfold,
    EdgeMicroscope,
    EdgeToggler,
    LandscapeExplorer,
    PredictionBrowser,
    RelaxationExplorer,
    ReplayScrubber,
    SpaceExplorer,
    explorers,
)
from mtlnas_lab.widgets.still import BACK

SPACE = viz_fakes.space()
LOG = viz_fakes.log(SPACE, steps=40)
SMALL = SearchSpace.build(dict.fromkeys(("segmentation", "normals"), plan([8, 8, 16], [2, 1])))


def picture(value=0):
    return np.full((4, 6, 3), value, np.uint8)


def look(gates):
    share = sum(gates) / len(gates)
    return {
        "scores": {
            "segmentation": {"miou": 0.2 + 0.1 * share},
            "normals": {"mean_angle": 30 - share, "odd": 1.0},
        },
        "pictures": {"segmentation": picture(), "normals": picture(9)},
        "caption": "top, bottom",
    }


def items(count=3):
    cells = {"truth": picture(), "before": (picture(1), "0.2"), "room": "kitchen"}
    return [
        {"image": picture(i), "tasks": {"segmentation": cells}, "title": f"room {i}"}
        for i in range(count)
    ]


EVERY = [
    lambda: EdgeMicroscope(),
    lambda: EdgeMicroscope(LOG, 3),
    lambda: RelaxationExplorer(),
    lambda: SpaceExplorer(),
    lambda: SpaceExplorer(tasks=3),
    lambda: ReplayScrubber(LOG, at=7),
    lambda: EdgeToggler(look, SPACE),
    lambda: PredictionBrowser(items()),
    lambda: LandscapeExplorer(GraphTable(SMALL), graph=5),
]


# --- pages and still twins --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", EVERY)
def test_where_no_widget_can_live_a_picture_stands_for_it(make, monkeypatch):
    monkeypatch.setenv("MTLNAS_LAB_LIVE", "0")
    one = make()
    data, about = one._repr_mimebundle_()
    drawing = not isinstance(one, PredictionBrowser | EdgeToggler)  # which show photos
    assert ("image/png" in about) == drawing, "a dark page turns drawings over, and nothing else"
    assert (
        base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
        and len(data["image/png"]) < 200_000
    )
    assert (
        "application/vnd.jupyter.widget-view+json" in data
        and data["text/plain"] == f"{one.caption()}. {BACK}"
    )
    monkeypatch.setenv("MTLNAS_LAB_LIVE", "1")
    assert "image/png" not in one._repr_mimebundle_()[0]


@pytest.mark.parametrize("make", EVERY)
def test_a_page_is_one_module_without_imports_and_its_state_is_json(make):
    one = make()
    assert one._esm.count("export default") == 1
    assert (
        not [line for line in one._esm.splitlines() if line.startswith("import ")]
        and len(one._esm) < 45_000
    )
    state = one.get_state()
    json.dumps(
        {name: value for name, value in state.items() if not isinstance(value, bytes)},
        allow_nan=False,
    )


@pytest.mark.filterwarnings("ignore::mtlnas_lab.viz.style.PictureWarning")  # if no font has them
def test_hostile_names_are_only_text():
    space = viz_fakes.space(3, names=viz_fakes.HOSTILE)
    log = viz_fakes.log(space, steps=5, evaluations=0)
    hostile = {"scores": {space.tasks[1]: {"<b>": 1.0}}, "pictures": {"<img src=x>": picture()}}
    made = (
        EdgeMicroscope(log, 0),
        ReplayScrubber(log, title="<b>$x^2$"),
        EdgeToggler(lambda gates: hostile, space),
        SpaceExplorer(dict.fromkeys(viz_fakes.HOSTILE[:2], viz_fakes.VGG)),
    )
    assert all(one.picture().startswith(b"\x89PNG") for one in made)
    assert made[2].rows[0][:2] == [space.tasks[1], "<b>"] and made[1].stage["tasks"] == list(
        space.tasks
    )


# --- microscope -------------------------------------------------------------------------------------------------------
ALPHA = np.linspace(-9, 9, 37)


@pytest.mark.parametrize("edges, weight", [(1, 1.0), (37, 10.0)])
def test_the_phase_is_that_of_the_library(edges, weight):
    alpha = torch.tensor(ALPHA)
    found = explorers.phase(ALPHA, 0.3, weight, edges)
    wanted = weight * relaxation.entropy_gradient(alpha).numpy() * len(ALPHA) / edges
    np.testing.assert_allclose(found["entropy_gradient"], wanted, rtol=1e-12)
    np.testing.assert_allclose(found["entropy"], relaxation.edge_entropy(alpha).numpy(), rtol=1e-9)
    alpha.requires_grad_()
    loss = 0.3 * torch.sigmoid(alpha).sum() + weight / edges * relaxation.edge_entropy(alpha).sum()
    np.testing.assert_allclose(
        found["speed"], -torch.autograd.grad(loss, alpha)[0].numpy(), rtol=1e-9, atol=1e-14
    )


def test_it_tips_where_the_speed_is_zero():
    tip = explorers.tipping(0.1, 10.0, 48)
    assert tip == pytest.approx(0.48) and abs(explorers.phase(tip, 0.1, 10.0, 48)["speed"]) < 1e-15
    assert explorers.tipping(0.1, 0.0) is None
    for start, end in ((tip + 0.1, 1), (tip - 0.1, 0)):
        assert (
            abs(1 / (1 + np.exp(-explorers.descend(start, 0.1, 10.0, 5.0, 1000, 48)[-1])) - end)
            < 0.05
        )


def test_the_page_computes_the_same_numbers(tmp_path):
    if (node := shutil.which("node")) is None:
        pytest.skip("there is no node on this machine")
    sums = (explorers.base.HERE / "sums.js").as_uri()
    script = tmp_path / "numbers.mjs"
    script.write_text(f"""import * as s from {json.dumps(sums)};
const phases = {json.dumps(ALPHA.tolist())}.map(a => s.phase(a, -0.2, 7, 48));
console.log(JSON.stringify({{phases, path: s.descend(0.3, 0.1, 10, 3, 200, 48), u: s.uniform(11, 500),
  z: s.uniform(11, 500).map(u => s.concrete(u, -0.4, 0.3))}}));""")
    told = json.loads(
        subprocess.run(
            [node, script], capture_output=True, text=True, check=True, timeout=30
        ).stdout
    )
    for name, values in explorers.phase(ALPHA, -0.2, 7, 48).items():
        np.testing.assert_allclose(
            [p[name] for p in told["phases"]], values, rtol=1e-9, atol=1e-12, err_msg=name
        )
    np.testing.assert_allclose(told["path"], explorers.descend(0.3, 0.1, 10, 3, 200, 48), rtol=1e-9)
    np.testing.assert_array_equal(told["u"], explorers.uniform(11, 500))
    gates = explorers.concrete(explorers.uniform(11, 500), -0.4, 0.3)
    np.testing.assert_allclose(told["z"], gates, rtol=1e-9, atol=1e-12)


def test_an_edge_of_a_log_is_chosen_by_number_or_name():
    name = str(SPACE.edges[5])
    one = EdgeMicroscope(LOG, name)
    assert (one.edge, one.edges, one.begin, one.steps) == (5, 48, 1, 40)
    assert (
        one.alpha == one.path()[0] == pytest.approx(LOG.alpha[0, 5], abs=1e-6)
        and len(one.path()) == 40
    )
    assert name in one.choose(5).caption() and one.choose(2).edge == 2


def test_the_fit_finds_the_gradient_of_the_gate():
    log = viz_fakes.log(SPACE, steps=9, evaluations=0)
    p = 1 / (1 + np.exp(-log.alpha))
    slopes = iter(0.02 * p * (1 - p))
    one = EdgeMicroscope(
        EventLog(
            replace(e, alpha_grad=tuple(next(slopes))) if isinstance(e, Step) else e
            for e in log.events
        )
    )
    np.testing.assert_allclose([g for _, g in one.known], 0.02, atol=1e-7)


def test_the_shipped_run_goes_where_it_tips():
    one = EdgeMicroscope(samples() / "runs" / "entropy")
    assert 100 < one.begin < 200 and one.weight > 9
    start, fitted = np.array(one.known).T
    opened = one.history.alpha[-1] > 0
    assert np.mean((start > explorers.tipping(fitted, one.weight, one.edges)) == opened) > 0.8


@pytest.mark.parametrize(
    "arguments, error, says",
    [
        ((EventLog(),), RunError, "no step"),
        ((3,), RunError, "is not a log"),
        ((LOG, 48), ConfigError, "0 to 47"),
        ((LOG, "segmentation:0 -> normals:9"), SpaceError, "no candidate"),
        ((None, 3), ConfigError, "which search"),
    ],
)
def test_what_no_microscope_can_show_is_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        EdgeMicroscope(*arguments)


# --- relaxation -------------------------------------------------------------------------------------------------------
def test_the_gates_are_those_of_the_library():
    alpha = torch.linspace(-2, 2, 200, dtype=torch.float64)
    made = relaxation.stochastic(alpha, 0.3, torch.Generator().manual_seed(3))
    u = torch.rand(200, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    np.testing.assert_allclose(
        made, explorers.concrete(u.numpy(), alpha.numpy(), 0.3), rtol=1e-9, atol=1e-12
    )
    assert explorers.sums.FLOOR == relaxation.TEMPERATURE_FLOOR


def test_samples_follow_their_seed():
    one = RelaxationExplorer(alpha=0.7, temperature=0.05, seed=4)
    first = one.drawn()
    one.seed = 5
    assert not np.array_equal(first, one.drawn()) and abs(np.mean(first > 0.5) - 0.668) < 0.03
    one.seed = 4
    np.testing.assert_array_equal(first, one.drawn())
    with pytest.raises(traitlets.TraitError):
        one.seed = -1


# --- spaces -----------------------------------------------------------------------------------------------------------
def test_the_space_is_that_of_the_rules():
    one = SpaceExplorer()
    assert (
        one.space == SPACE
        and one.facts["edges"] == 48
        and one.facts["pairs"][0] == ["normals", "segmentation", 24]
    )
    one.backbone = "ResNet-50"
    assert len(one.space) == 72
    one.limit, one.same_group, one.tasks = 0, False, 3
    assert len(one.space) == one.facts["edges"] == 6 * 16 * 17 // 2
    one.backbone, one.stages, one.limit = "stages below", "8 8|16, 16 16", 1
    assert [s.channels for s in one.space.plans["depth"]] == [8, 8, 16, 16, 16] and len(
        one.space
    ) == 30


def test_an_edge_is_taken_out_and_put_back():
    one, name = SpaceExplorer(), str(SPACE.edges[7])
    one.removed = [name]
    assert (
        len(one.space) == 47 and name not in map(str, one.space.edges) and one.facts["edges"] == 47
    )
    assert len(one.stage["edges"]) == 48 and "47 of 48" in one.caption()
    one.removed = []
    assert one.space == SPACE


def test_the_weights_are_those_of_the_fusion():
    lab = small_lab(tasks=3)
    assert explorers.fusion_weights(lab.space) == sum(
        p.numel() for p in lab.supernet.fusion.parameters()
    )


def test_own_plans_are_offered_first():
    plans = {"a": plan([4, 8], [1, 1]), "b": plan([4, 4, 8], [2, 1])}
    one = SpaceExplorer(plans, limit=2)
    assert one.choices[0] == one.backbone == "as given" and one.space.plans["b"] == plans["b"]


@pytest.mark.parametrize(
    "text, says",
    [
        ("64 x", "'x'"),
        ("", "0 stages"),
        ("64 | | 3", "between"),
        ("-1", "'-1'"),
        ("9" * 40, "65536"),
        ("1 " * 31, "31 stages"),
        ("<b>", "'<b>'"),
        ("٣", "number of channels"),
    ],
)
def test_stages_that_are_none_are_told_in_the_panel(text, says):
    one = SpaceExplorer()
    one.backbone, one.stages = "stages below", text
    assert says in one.message
    with pytest.raises(SpaceError, match=says):
        _ = one.space
    one.stages = "8 8"
    assert one.message == "" and len(one.space) == 6


def test_a_space_that_is_too_large_to_draw_is_counted():
    one = SpaceExplorer(
        tasks=5, limit=0, same_group=False, backbone="stages below", stages="8 " * 30
    )
    assert (
        not one.stage
        and one.facts["edges"] == len(one.space) == 9300
        and "9300 edges are counted" in one.message
    )


@pytest.mark.parametrize(
    "plans",
    [
        {},
        {"a": plan([4], [1])},
        {"a": [64, 64], "b": [64]},
        3,
        {"a:b": plan([4], [1]), "c": plan([4], [1])},
    ],
)
def test_plans_that_are_none_are_refused(plans):
    with pytest.raises(SpaceError):
        SpaceExplorer(plans)


# --- toggler ----------------------------------------------------------------------------------------------------------
def test_a_difference_has_a_sign_and_a_direction():
    one = EdgeToggler(look, SPACE, start=[False] * 48)
    assert (
        [row[3:] for row in one.rows] == [[0.0, "same"]] * 3
        and one.told == ""
        and one.note == "top, bottom"
    )
    one.gates = [True] * 24 + [False] * 24
    (_, name, value, change, verdict), (*_, down, better), _ = one.rows
    assert (name, verdict, better) == ("mean IoU", "better", "better")
    assert (
        value == pytest.approx(0.25)
        and change == pytest.approx(0.05)
        and down == pytest.approx(-0.5)
    )
    one.gates = [False] + one.gates[1:]
    assert one.rows[0][4] == one.rows[1][4] == "worse" and one.told == f"shut {SPACE.edges[0]}"
    assert (
        one.rows[2] == ["normals", "odd", 1.0, 0.0, "same"]
        and "23 of 48 edges open" in one.caption()
    )


def test_an_architecture_is_a_start_and_a_metric_nobody_knows_has_no_direction():
    kept = tuple(i < 5 for i in range(48))
    one = EdgeToggler(
        lambda gates: {"scores": {"a": {"odd": sum(gates), "none": float("nan")}}},
        SPACE,
        Architecture(SPACE, kept),
    )
    one.gates = [True] * 48
    assert one.start == list(kept) and one.rows == [
        ["a", "odd", 48.0, 43.0, ""],
        ["a", "none", None, None, ""],
    ]


def test_clicks_come_faster_than_looks(monkeypatch):
    monkeypatch.setenv("MTLNAS_LAB_LIVE", "1")
    seen, here = [], threading.get_ident()

    def slow(gates):
        seen.append((sum(gates), threading.get_ident()))
        time.sleep(0.02)
        return look(gates)

    one = EdgeToggler(slow, SPACE, start=[False] * 48)

    def click(n):
        one.gates = [True] * n + [False] * (48 - n)

    clicks = [threading.Thread(target=click, args=(n,)) for n in range(1, 25)]
    for thread in clicks:
        thread.start()
        time.sleep(0.004)
    for thread in clicks:
        thread.join()
    wait(lambda: not one.busy)
    one.wait()
    assert (
        seen[-1][0] == sum(one.gates)
        and len(seen) < 20
        and all(thread != here for _, thread in seen[1:])
    )
    assert one.rows[0][2] == pytest.approx(0.2 + 0.1 * sum(one.gates) / 48)


@pytest.mark.parametrize(
    "found, says",
    [
        (None, "no scores"),
        ({}, "no scores"),
        ({"scores": 3}, "no scores"),
        ({"scores": {"a": 1}}, "no scores"),
        ({"scores": {}, "pictures": {"a": picture() / 2}}, "uint8"),
        ({"scores": {}, "pictures": 3}, "no scores"),
    ],
)
def test_what_a_look_may_not_be(found, says):
    with pytest.raises(ConfigError, match=says):
        EdgeToggler(lambda gates: found, SPACE)
    one = EdgeToggler(lambda gates: look(gates) if gates[0] else found, SPACE)
    before = one.rows
    one.gates = [False] * 48
    assert says in one.message and one.rows == before and not one.busy
    one.gates = [True] * 48
    assert one.message == ""


def test_a_look_that_fails_is_told_in_the_panel():
    one = EdgeToggler(lambda gates: look(gates) if gates[0] else 1 / 0, SPACE)
    one.gates = [False] * 48
    assert one.message == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    "arguments", [(3, SPACE), (look, 3), (look, SPACE, [True]), (look, SPACE.only([False] * 48))]
)
def test_what_cannot_be_toggled_is_refused(arguments):
    with pytest.raises(ConfigError):
        EdgeToggler(*arguments)
    with pytest.raises(traitlets.TraitError, match="3 gates for 48"):
        EdgeToggler(look, SPACE).gates = [True] * 3


# --- browser and scrubber ---------------------------------------------------------------------------------------------
def test_one_item_after_the_other():
    one = PredictionBrowser(items(), at=1)
    assert one.item["title"] == "room 1" and one.count == 3
    [[task, [truth, before, room]]] = one.item["tasks"]
    assert (
        truth[1].startswith("data:image/png;base64,")
        and before[2] == "0.2"
        and room == ["room", "", "kitchen"]
    )
    assert task == "segmentation"
    one.at = 2
    assert one.item["title"] == "room 2" and "room 2 (3 of 3)" in one.caption()
    one.at = 9
    assert "items are 0 to 2" in one.message and one.item["title"] == "room 2"


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        3,
        [{}],
        [{"image": 1, "tasks": {}}],
        [{"image": picture(), "tasks": {"a": {"truth": 1.5}}}],
    ],
)
def test_what_cannot_be_browsed_is_refused(wrong):
    with pytest.raises(ConfigError):
        PredictionBrowser(wrong)


def test_a_scrubber_shows_the_graph_of_its_step():
    one = ReplayScrubber(LOG, at=7)
    assert (
        one.architecture.alpha == pytest.approx(LOG.alpha[6])
        and "after step 7" in one.caption()
        and one.frame
    )
    one.at = -1
    assert (
        "after step 40" in one.caption() and sum(one.architecture.kept) == (LOG.alpha[-1] > 0).sum()
    )
    for wrong in ((EventLog(),), ("nowhere",)):
        with pytest.raises(MTLNASError):
            ReplayScrubber(*wrong)
    with pytest.raises(ConfigError, match="last one is 40"):
        ReplayScrubber(LOG, at=99)


# --- what a lab lends them --------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def lab():
    arrays = {
        **render(4, 32, 0),
        "seg_names": np.array(["unlabelled", *CLASSES]),
        "room_names": np.array(ROOMS),
    }
    pack = ImageDataset.from_arrays(arrays)
    return make_lab(
        "tiny", {"train": pack, "test": pack}, ("segmentation", "normals", "depth", "edges", "room")
    )


def test_a_lab_is_looked_at(lab):
    found = look_at(lab, images=(0, 2))([True] * len(lab.space))
    assert {*found["scores"]} == {*found["pictures"]} == {*lab.tasks} and "4 images" in found[
        "caption"
    ]
    assert found["pictures"]["normals"].shape == (3 * 34 - 2, 2 * 34 - 2, 3)
    assert lab.supernet.training
    one = EdgeToggler(look_at(lab, images=[1]), lab.space, start=lab.derive())
    assert one.rows[0][:2] == ["segmentation", "mean IoU"] and len(one.pictures) == 5


def test_a_look_runs_under_the_gates(lab):
    look, shut = look_at(lab, images=[1]), [False] * len(lab.space)
    assert not np.array_equal(
        look(shut)["pictures"]["normals"], look([True] * len(shut))["pictures"]["normals"]
    )


@pytest.mark.parametrize(
    "options", [{"split": "val"}, {"images": ()}, {"images": (4,)}, {"images": (-1,)}]
)
def test_a_look_at_what_is_not_there(lab, options):
    with pytest.raises(ConfigError, match="test|name one"):
        look_at(lab, **{"images": (0,), **options})


def test_predictions_before_and_after(lab):
    other = lab.copy()
    other.alphas.alpha.data.fill_(1.0)
    found = browse(lab, [False] * len(lab.space), other)
    one = PredictionBrowser(found, at=3)
    rows = dict(one.item["tasks"])
    assert [column for column, *_ in rows["normals"]] == [
        "truth",
        "before",
        "error before",
        "after",
        "error after",
    ]
    assert [column for column, *_ in rows["room"]] == ["truth", "before", "after"] and len(
        found
    ) == 4
    assert rows["normals"][1][2].startswith("mean angle ") and rows["normals"][3][2].endswith(
        (", better", ", worse")
    )
    assert list(browse(lab, lab.derive())[0]["tasks"]["depth"]) == [
        "truth",
        "prediction",
        "error",
    ]
    for wrong in ([True], small_lab()):
        with pytest.raises(ConfigError):
            browse(lab, wrong)


def test_errors_are_white_where_it_is_wrong():
    target = torch.tensor([[[0, 1], [255, 1]]])
    right = torch.nn.functional.one_hot(target.clamp(max=1), 2).movedim(-1, 1).float()
    blue = error_picture(Segmentation("segmentation", 2), right, target)
    assert blue[0].max() == 0 and len(np.unique(blue[1, 0])) == 3
    assert error_picture(Segmentation("segmentation", 2), right.flip(1), target)[0].min() == 255
    up, over = (
        torch.tensor([0.0, 1, 0]).view(1, 3, 1, 1),
        torch.tensor([1.0, 1, 0]).view(1, 3, 1, 1),
    )
    assert (
        error_picture(Normals(), up, 2 * up).max() == 0
        and error_picture(Normals(), over, up).min() >= 254
    )
    assert (
        error_picture(Depth(), torch.full((1, 1, 1, 1), 2.5), torch.full((1, 1, 1, 1), 2.0))[
            0, 0, 0
        ]
        == 128
    )
    assert (
        error_picture(Edges(), torch.full((1, 1, 1, 1), 30.0), torch.zeros(1, 1, 1, 1))[0, 0, 0]
        == 255
    )


def test_a_space_that_cannot_be_is_refused_before_there_is_a_panel():
    with pytest.raises(SpaceError, match="'x' is not a number of channels"):
        SpaceExplorer(backbone="stages below", stages="64 x")


# --- the blindfold ----------------------------------------------------------------------------------------------------
def covered(visibility):
    if visibility == 0.125:
        raise ValueError("no such visibility")
    return {
        "task": "normals",
        "pictures": {
            "normals sees": (picture(round(255 * visibility)), ""),
            "normals:1, fused": (picture(9), f"{visibility:.0%} like it"),
        },
        "caption": "maps",
    }


def test_a_blindfold_is_a_slider():
    one = Blindfold(covered, visibility=0.5)
    assert one.task == "normals" and one.note == "maps"
    before = one.pictures
    assert [title for title, *_ in before] == ["normals sees", "normals:1, fused"]
    one.visibility = 0.0
    assert one.pictures[0] != before[0] and one.pictures[1][2] == "0% like it"
    assert one.caption() == "normals sees noise; normals:1, fused: 0% like it"
    one.visibility = 0.125
    assert one.message == "ValueError: no such visibility" and one.pictures[1][2] == "0% like it"
    one.visibility = 1.0
    assert one.message == "" and one.caption().startswith("normals sees the image;")
    one.visibility = 0.25
    assert one.caption().startswith("normals sees 0.25 of the image, the rest noise;")
    assert one.picture()[:4] == b"\x89PNG"
    with pytest.raises(traitlets.TraitError):
        one.visibility = 1.5


@pytest.mark.parametrize(
    "look, visibility, words",
    [
        (5, 1.0, "look is a int"),
        (covered, 1.5, "visibility = 1.5"),
        (lambda v: {"task": "a"}, 1.0, "look gave no pictures"),
        (lambda v: {"task": "a", "pictures": {"b": picture()}}, 1.0, "look gave no pictures"),
        (lambda v: {"task": "a", "pictures": {"b": (5, "")}}, 1.0, "a picture of shape"),
    ],
)
def test_a_blindfold_of_something_else(look, visibility, words):
    with pytest.raises(ConfigError, match=words):
        Blindfold(look, visibility)


# --- the landscape ----------------------------------------------------------------------------------------------------
def test_a_walk_through_all_graphs():
    table = GraphTable(SMALL)
    one = LandscapeExplorer(table, graph=5)
    total = table.known["total"].mean(1)
    assert one.architecture.kept == (True, False, True, *[False] * 5)
    assert one.rank() == 1 + (total < total[5]).sum()
    assert np.allclose(one.changes(), [total[5 ^ (1 << e)] - total[5] for e in range(8)])
    best = SMALL.edges[int(one.changes().argmin())]
    assert "rank" in one.caption() and f"the best flip is {best}" in one.caption()
    one.by = "normals/loss"
    losses = table.known["normals/loss"].mean(1)
    assert one.rank() == 1 + (losses < losses[5]).sum()
    one.graph = int(losses.argmin())
    assert one.rank() == 1 and "no flip of one edge lowers it" in one.caption()
    assert LandscapeExplorer(table, one.architecture).graph == one.graph
    for name, value in (("graph", 256), ("graph", -1), ("by", "luck")):
        with pytest.raises(traitlets.TraitError):
            setattr(one, name, value)


def test_without_a_second_seed_no_noise_is_told():
    one = LandscapeExplorer(GraphTable(SMALL, seeds=1))
    assert [floor for *_, floor in one.scores] == [None] * 3 and one.picture()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: LandscapeExplorer(5), "a int is not a table"),
        (lambda: LandscapeExplorer(GraphTable(SMALL, missing=1)), "has 255 of 256 graphs"),
        (lambda: LandscapeExplorer(GraphTable(SMALL), graph=256), "a number from 0 to 255"),
        (lambda: LandscapeExplorer(GraphTable(SMALL), Architecture(SPACE, (True,) * 48)), "is not"),
    ],
)
def test_a_landscape_of_something_else(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_the_page_ranks_as_the_library(tmp_path):
    if (node := shutil.which("node")) is None:
        pytest.skip("there is no node on this machine")
    one = LandscapeExplorer(GraphTable(SMALL), graph=77)
    script = one._esm.replace("export default", "const shown =")
    means = one.losses("total")
    asked = f"const found = facts({json.dumps(means.tolist())}, 77, 8, 0.02);"
    page = tmp_path / "page.mjs"
    page.write_text(f"{script}\n{asked}\nconsole.log(JSON.stringify(found));", encoding="utf-8")
    found = json.loads(subprocess.run([node, page], capture_output=True, check=True).stdout)
    assert found["rank"] == one.rank()
    assert [flip["to"] for flip in found["flips"]] == [77 ^ (1 << e) for e in range(8)]
    assert np.allclose([flip["change"] for flip in found["flips"]], one.changes())
    assert found["percentile"] == pytest.approx((means > means[77]).sum() / 255)
    others = [g for g in range(256) if g.bit_count() == 4 and g != 77]
    assert found["alike"] == pytest.approx((means[others] > means[77]).mean())
    for flip in found["flips"]:
        assert flip["sure"] == (abs(flip["change"]) > 0.02)
        assert flip["verdict"] == ("better" if flip["change"] < 0 else "worse")


def test_a_scrubber_begins_where_the_search_began():
    run = Run.open(samples() / "runs" / "entropy")
    one = ReplayScrubber(run, at=0)
    assert one.caption() == "Fusion graph after step 0: 0 of 48 edges open"
    assert set(one.architecture.probability) == {0.5} and not any(one.architecture.kept)
    head = np.frombuffer(one.frame, "<f4")
    steps = head[8 : 8 + int(head[1])]
    assert steps[0] == 0 and steps[-1] == 500
    one.at = -1
    assert "after step 500: 25 of 48" in one.caption()
    old = ReplayScrubber(LOG, at=0)  # a log that does not say α before the first step
    assert old.caption().startswith("Fusion graph after step 1:")
