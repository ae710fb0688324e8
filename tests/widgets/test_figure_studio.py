"""The figure studio without a browser: settings, wishes of a page, the same bytes as its code, a still picture."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from viz_fakes import HOSTILE, alphas, log, space

from mtlnas_lab.core.architecture import derive
from mtlnas_lab.errors import ConfigError, MTLNASError, RunError
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.runs.run import Run
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.viz import consensus_graph, refigure, save_fusion_graph
from mtlnas_lab.widgets import FigureStudio
from mtlnas_lab.widgets.still import BACK, HIGH

DATA = Path(__file__).parents[2] / "data_samples" / "runs" / "entropy"


@pytest.fixture
def run(tmp_path):
    history = log(space())
    with RunWriter.create(tmp_path / "a-run", {"seed": 3}, space()) as folder:
        for event in history.events:
            folder.append(event)
    return tmp_path / "a-run"


def change(studio, settings=None, moves=None):
    studio._on_message(
        studio, {"do": "change", "settings": settings or {}, "moves": moves or {}}, []
    )
    return studio


def test_the_code_makes_the_same_bytes(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studio = FigureStudio(
        run,
        style="paper-double",
        title='100 % & "more"',
        dropped="hide",
        threshold=0.6,
        step=40,
        width=150,
    )
    change(
        studio,
        {"color": "source", "labels": None},
        {"normals:3": [60, 30], "segmentation:0": [20.5, 10]},
    )
    assert not studio.message and set(studio.layout_now) == {"normals:3", "segmentation:0"}
    exec(compile(studio.code, "code", "exec"), {})
    written = {
        file.suffix[1:]: file.read_bytes()
        for file in (tmp_path / "figures").iterdir()
        if file.suffix != ".json"
    }
    assert written == studio.files() and sorted(written) == [
        "html",
        "pdf",
        "png",
        "svg",
        "tex",
        "tikz",
    ]
    again = refigure(tmp_path / "figures" / "fusion_graph.pdf")
    assert again.scene() == studio.figure.scene() and again.style.width == 150
    assert b'"step": 40' in written["svg"] and b'"run": "a-run"' in written["svg"]
    endings = [file.suffix[1:] for file in studio.save(tmp_path / "more")]
    assert (
        sorted(endings) == sorted(written) and (tmp_path / "more" / "fusion_graph.json").is_file()
    )


@pytest.mark.parametrize("kind", ["log", "architecture", "space", "run", "folder", "graph"])
def test_every_source_has_a_figure_and_code_that_runs(kind, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    two = space()
    source = {
        "log": log(two),
        "architecture": derive(two, alphas(two)),
        "space": two,
        "run": Run.open(run),
        "folder": str(run),
        "graph": consensus_graph([derive(two, alphas(two, seed=s)) for s in (0, 1)]),
    }[kind]
    studio = FigureStudio(source)
    assert studio.choices["split"] == (kind != "graph") and len(studio.nodes) == 26
    assert studio.choices["steps"] == (
        list(range(1, 61)) if kind in ("log", "run", "folder") else []
    )
    exec(studio.code, {"source": source})
    assert (tmp_path / "figures" / "fusion_graph.svg").read_bytes() == studio.files(("svg",))["svg"]


def test_a_drag_goes_where_the_page_says_and_back():
    studio = FigureStudio(space())
    before = {name: (x, y) for name, x, y, *_ in studio.nodes}
    x, y = before["segmentation:4"]
    change(studio, moves={"segmentation:4": [x + 2, y + 1.5]})
    after = {name: (a, b) for name, a, b, *_ in studio.nodes}
    assert after["segmentation:4"] == pytest.approx((x + 2, y + 1.5), abs=0.02)
    assert all(
        after[name] == pytest.approx(place)
        for name, place in before.items()
        if name != "segmentation:4"
    )
    change(studio, moves={"segmentation:4": None})
    assert studio.nodes == FigureStudio(space()).nodes and studio.settings["layout"] is None
    change(studio, moves={"segmentation:4": [x + 2, y]})
    studio._on_message(studio, {"do": "reset"}, [])
    assert not studio.layout_now and studio.done == 4


def test_a_layout_is_kept_for_every_export(tmp_path):
    two = space()
    studio = FigureStudio(two).move({"normals:3": (2.0, -1.4)})
    file = studio.save_layout(tmp_path / "layout.json")
    assert json.loads(file.read_text()) == {"normals:3": [2.0, -1.4]}
    for layout in (file, str(file), studio.layout_now):
        [svg] = save_fusion_graph(two, tmp_path, ("svg",), layout=layout)
        assert svg.read_bytes() == studio.files(("svg",))["svg"]
    assert FigureStudio(two, layout=file).svg == studio.svg
    studio.set(split=True)  # the split graph has nodes, and a layout, of its own
    assert studio.settings["layout"] is None and "layout" not in studio.code
    studio.move({"normals:3/fused": (3.0, -1.2)})
    assert studio.set(split=False).layout_now == {"normals:3": (2.0, -1.4)}


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"style": "a4"}, "choose one of"),
        ({"colour": 1}, "no setting colour"),
        ({"threshold": 2}, "from 0 to 1"),
        ({"step": 99}, "there are 1 to 60"),
        ({"width": 5}, "not wide enough"),
        ({"layout": "missing.json"}, "missing.json"),
        ({"layout": {"normals:99": (0, 0)}}, "normals:99"),
        ({"layout": {"normals:3": (0, float("nan"))}}, "layout"),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(wrong, says):
    studio = FigureStudio(log(space()), title="T")
    before = studio.svg, studio.settings, studio.code
    with pytest.raises(MTLNASError, match=says):
        studio.set(**wrong)
    assert (studio.svg, studio.settings, studio.code) == before
    if "layout" not in wrong:
        change(studio, wrong)
        assert says in studio.message and studio.done == 1 and studio.svg == before[0]
        assert not change(studio, {"title": "U"}).message


@pytest.mark.parametrize(
    "message",
    [
        {},
        None,
        7,
        {"do": "rm"},
        {"do": "change"},
        {"do": "change", "settings": [], "moves": {}},
        {"do": "download", "what": "exe", "token": 1},
        {"do": "change", "settings": {}, "moves": {"x": 3}},
        {"do": "change", "settings": {}, "moves": {"normals:3": ["a", "b"]}},
        {"do": "change", "settings": {"width": "wide"}, "moves": {}},
        {"do": "change", "settings": {"style": []}, "moves": {}},
        {"do": "change", "settings": {"title": {"a": 1}}, "moves": {}},
        {"do": "change", "settings": {"step": "x"}, "moves": {}},
    ],
)
def test_messages_that_make_no_sense_do_no_harm(message):
    studio = FigureStudio(space())
    svg = studio.svg
    studio._on_message(studio, message, [])
    assert studio.svg == svg and studio.done == 1


def test_files_go_to_the_page_that_asked(monkeypatch):
    studio, sent = FigureStudio(space()), []
    monkeypatch.setattr(studio, "send", lambda content, buffers: sent.append((content, buffers)))
    for what in ("pdf", "tex", "tikz", "layout"):
        studio._on_message(studio, {"do": "download", "what": what, "token": "me"}, [])
    assert [(content["file"], content["token"]) for content, _ in sent] == [
        ("fusion_graph.pdf", "me"),
        ("fusion_graph.tex", "me"),
        ("fusion_graph.tikz", "me"),
        ("layout.json", "me"),
    ]
    assert (
        sent[0][1][0].startswith(b"%PDF")
        and sent[1][1][0].startswith(rb"\documentclass")
        and sent[3][1] == [b"{}\n"]
    )


def test_a_still_picture_stays_in_the_notebook():
    studio = FigureStudio(log(space()))
    data = studio._repr_mimebundle_()[0]
    assert (
        base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
        and len(data["image/png"]) < 300_000
    )
    assert data["text/plain"].startswith("Fusion graph of segmentation, normals:")
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_saved_output_says_how_to_have_the_panel_back():
    """A page that is opened later knows no widget: it shows the picture or the text, and these say what to do."""
    studio = FigureStudio(space())
    data, about = studio._repr_mimebundle_()
    plain = Image.open(io.BytesIO(studio.picture()))
    shown = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert data["text/plain"].endswith(f". {BACK}")
    assert (shown.width, shown.height) == (plain.width, plain.height + HIGH)
    assert about["image/png"]["width"] == shown.width, "not a drawing, and so white on a dark page"
    assert (np.asarray(shown)[-HIGH:] < 200).any(), "nothing is written there"
    assert (np.asarray(shown)[-HIGH:, -4:] == 255).all(), "the line has no room"


def test_a_still_picture_on_dark_paper_is_not_turned_over():
    _, about = FigureStudio(space(), style="web-dark")._repr_mimebundle_()
    assert "image/png" not in about


def test_names_are_text_and_sources_are_checked():
    studio = FigureStudio(space(3, names=HOSTILE))
    assert "<script>alert" not in studio.svg and studio.nodes[13][0] == f"{HOSTILE[1]}:0"
    with pytest.raises(MTLNASError):
        FigureStudio(3)
    with pytest.raises(RunError):
        FigureStudio("no/such/run")
    with pytest.raises(MTLNASError):
        FigureStudio(EventLog())


@pytest.mark.skipif(not (DATA / "events.jsonl").is_file(), reason="the recorded runs are not here")
def test_a_recorded_run_says_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studio = FigureStudio(DATA)
    assert (
        studio.choices["steps"][-1] == 500
        and len(studio.choices["steps"]) <= 400
        and str(DATA) in studio.code
    )
    exec(studio.code, {})
    assert (tmp_path / "figures" / "fusion_graph.tex").read_bytes() == studio.files(("tikz",))[
        "tex"
    ]


def test_it_takes_a_style_by_name_only():
    from mtlnas_lab.viz import STYLES

    with pytest.raises(ConfigError, match="is not a name"):
        FigureStudio(space(), style=STYLES["slide"])
