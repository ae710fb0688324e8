"""What people and strangers hand to pictures: names, titles, sizes, layouts, logs, files. A line, or a true picture."""

import importlib
import json
import os
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from viz_fakes import EYES, RESNET, alphas, log, seen, space

from mtlnas_lab.analysis.edge_table import explain
from mtlnas_lab.core.architecture import Architecture, derive
from mtlnas_lab.core.events import Started, Step, Turned
from mtlnas_lab.core.space import plan
from mtlnas_lab.errors import ConfigError, DataError, MTLNASError, RunError
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.viz import (
    STYLES,
    GraphFigure,
    difference_graph,
    fusion_graph,
    plot_entropy,
    plot_gates,
    plot_heatmap,
    plot_losses,
    plot_scores,
    refigure,
    save_figure,
)
from mtlnas_lab.viz.graph.shapes import Text
from mtlnas_lab.viz.graph.svg_tikz import latex
from mtlnas_lab.viz.style import PictureWarning, noting, shorten, text_width

NINE = [f"a task with a long name, number {i}" for i in range(9)]
FORMULA = r"$\frac{ $"
SMALL = plan([8, 16], [1, 1])


def narrow(width):
    return replace(STYLES["paper-single"], width=width)


@pytest.mark.parametrize("tasks", [2, 3, 5, pytest.param(9, marks=pytest.mark.slow)])
def test_kept_cells_are_dark_as_printed(tasks, tmp_path):
    """In the pixels: where all edges are kept there is more ink than where all are dropped."""
    one = space(tasks, names=NINE)
    ink = {}
    for keep in (True, False):
        made = plot_heatmap(Architecture(one, (keep,) * len(one)))
        [file] = save_figure(made, tmp_path / f"{keep}", ("png",))
        with Image.open(file) as picture:
            ink[keep] = 255.0 - np.asarray(picture.convert("L"), float)
    cells = np.abs(ink[True] - ink[False]) > 20  # no letter differs between the two
    assert ink[True][cells].mean() > 2.5 * ink[False][cells].mean()


@pytest.mark.parametrize("width", [50, 85, 178])
@pytest.mark.parametrize("tasks", [2, 3, 5, 9])
def test_numbers_and_names_of_a_table_keep_apart(tasks, width):
    one = space(tasks, RESNET, names=NINE)
    try:
        ax = plot_heatmap(derive(one, alphas(one)), style=narrow(width))
    except ConfigError as error:
        assert "does not fit on" in str(error) and (tasks, width) == (9, 50)
        return
    ax.figure.draw_without_rendering()  # all is laid out; no pixel is looked at
    for axis in (ax.xaxis, ax.yaxis):
        boxes = [t.get_window_extent() for t in axis.get_ticklabels() if t.get_text()]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_an_edge_is_open_only_above_zero():
    two = space()
    alpha = np.zeros(48)
    alpha[7] = 1e-17  # its σ is ½ as well
    kept = [i == 7 for i in range(48)]
    history = EventLog(
        [
            Started({}, two.to_json(), {}, "cpu", 1),
            Step(1, tuple(alpha), tuple(alpha), {"a": 1.0}, 0, 0, 0, 0, 1, 0, 0),
        ]
    )
    for source in (history, derive(two, alpha)):
        edges = fusion_graph(source).edges(data=True)
        assert sum(d["kept"] for *_, d in edges if d["kind"] == "fusion") == 1
        assert len(plot_heatmap(source).get_lines()) == 1
        assert [row.edge for row in explain(source)] == [two.edges[7]]
    where = [d["where"] for *_, d in difference_graph(history, Architecture(two, kept)).edges(data=True) if "where" in d]  # fmt: skip
    assert where.count("both") == 1 and where.count("neither") == 47


@pytest.mark.parametrize("name", ["web-light", "web-dark"])
def test_every_task_has_a_colour_that_is_seen(name):
    look = STYLES[name]
    colors = list(look.colors(range(100)).values())
    assert len(set(colors)) == 100
    paper = to_rgb(look.paper)
    for eye in EYES:
        lab = seen([*map(to_rgb, colors[:12]), paper], eye)
        apart = np.linalg.norm(lab[:, None] - lab, axis=2) + 1e3 * np.eye(13)
        assert apart.min() > 15, eye
    lines = look.lines(range(32))
    assert len({(i % 8, str(line)) for i, line in lines.items()}) == 32


@pytest.mark.parametrize("width", [20, 30, 50, 85])
@pytest.mark.parametrize("plot", [plot_losses, plot_entropy, plot_gates, plot_scores])
def test_legends_of_narrow_curves_cover_nothing(plot, width):
    nine = log(space(9, SMALL, names=NINE), steps=12, evaluations=2)
    ax = plot(nine, style=narrow(width), title="A long title " * 9)
    figure = ax.figure
    figure.canvas.draw()
    legend, page = ax.get_legend(), figure.bbox
    frame = legend.get_window_extent()
    assert frame.y0 >= ax.get_window_extent().y1 - 1 and frame.x1 <= page.x1 + 2
    boxes = [text.get_window_extent() for text in legend.get_texts()]
    boxes += [ax.yaxis.label.get_window_extent()] * bool(ax.get_ylabel())
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    with pytest.raises(ConfigError, match="not wide enough"):
        plot(nine, style=narrow(10))


@pytest.mark.parametrize("color", ["probability", "source"])
@pytest.mark.parametrize("width", [60, 85])
def test_legends_of_graphs_stay_whole(color, width):
    nine = space(9, SMALL, names=[f"task{i}" for i in range(9)])
    graph = fusion_graph(derive(nine, alphas(nine)))
    texts = [i.text for i in GraphFigure(graph, width=width, color=color).scene().items if isinstance(i, Text)]  # fmt: skip
    if color == "source":
        assert {f"from task{i}" for i in range(9)} <= set(texts)
    else:
        assert {"edge probability σ(α)", "kept", "dropped"} <= set(texts)


@pytest.mark.parametrize("text", [FORMULA, "$" * 9, "\x1b]0;x\x07", "a\nb", "\ud800", "a" * 3000])
def test_a_text_is_text_in_every_file(text, tmp_path):
    two = space(plan=SMALL)
    graph = fusion_graph(two)
    files = save_figure(GraphFigure(graph, title=text), tmp_path / "graph", ("pdf", "svg", "png", "tikz", "html"))  # fmt: skip
    for plot in (plot_losses, plot_heatmap):
        made = plot(log(two, steps=6, evaluations=1), title=text)
        files += save_figure(made, tmp_path / plot.__name__)
    for file in files:
        data = file.read_bytes()
        assert data
        if file.suffix == ".svg":
            ET.fromstring(data)
        if file.suffix in (".svg", ".tikz", ".tex", ".html"):
            assert not set("\x1b\x07\x00") & set(data.decode())
    assert refigure(tmp_path / "graph.pdf").title == text, "all of it is in the file"


def test_what_has_no_font_is_said_once_and_written_down(tmp_path, monkeypatch):
    module = importlib.import_module("mtlnas_lab.viz.style")
    monkeypatch.setattr(module, "_elsewhere", dict)  # a machine without other fonts
    name = "\U00013000 eyes"
    for make in (
        lambda: GraphFigure(fusion_graph(space(names=(name, "b"), plan=SMALL))),
        lambda: plot_losses(log(space(names=(name, "b"), plan=SMALL))),
    ):
        with pytest.warns(PictureWarning, match=r"U\+13000.*Noto"):
            files = save_figure(make(), tmp_path / "x")
        assert all(b"U+13000" in file.read_bytes() for file in files if file.suffix != ".json")


def test_a_cut_text_is_noted_and_quick():
    with noting() as notes:
        short = shorten("word " * 4000, 7, 60)
    assert "…" in short and text_width(short, 7) <= 60
    assert "word " * 4000 in notes.short


def test_losses_that_were_not_measured_are_gaps():
    values = [1.0, np.nan, 1.2, np.nan, np.nan, 1.1, 1.0, np.nan]
    steps = [Step(i + 1, (), (), {"a": v, "b": np.nan}, 0, 0, 0, 0, 1, 0, 0) for i, v in enumerate(values)]  # fmt: skip
    ax = plot_losses(EventLog(steps), window=1)
    for line in ax.get_lines()[:2]:
        assert np.array_equal(line.get_ydata(), values, equal_nan=True), "never 0"
        assert list(line.get_markevery()) == [True, False, True] + [False] * 5, "dots, not nothing"
    assert "b: never labelled" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_many_events_and_tasks_stay_few_lines():
    history = log(space(plan=SMALL))
    turned = [Turned(s, {"entropy_weight": float(s)}) for s in range(1, 8001)]
    ax = plot_entropy(EventLog([*history.events, *turned]))
    assert len(ax.get_lines()) < 250
    assert any("8000 times" in t.get_text() for t in ax.get_legend().get_texts())
    losses = {f"task {i}": 1.0 for i in range(2000)}
    steps = [Step(i, (), (), losses, 0, 0, 0, 0, 1, 0, 0) for i in (1, 2, 3)]
    ax = plot_losses(EventLog(steps))
    assert len(ax.get_lines()) <= 2 * 64 and len(ax.get_legend().get_texts()) <= 24


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 0, -3, 1e9, 10**400, "85", True, []])
def test_sizes_are_numbers_in_range(value):
    graph = fusion_graph(space())
    for make in (
        lambda: GraphFigure(graph, width=value),
        lambda: replace(STYLES["slide"], width=value),
        lambda: replace(STYLES["slide"], font=value),
        lambda: replace(STYLES["slide"], dpi=value),
        lambda: plot_losses(log(space()), height=value),
    ):
        with pytest.raises(ConfigError, match="give a"):
            make()


def test_a_layout_is_a_plain_file_of_finite_places(tmp_path):
    graph = fusion_graph(space())
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").write_text("[" * 5_000_000)
    (tmp_path / "good").write_text('{"normals:3": [1, 2]}')
    (tmp_path / "link").symlink_to("good")
    wrong = [tmp_path / name for name in ("pipe", "zero", "large", ".", "missing")]
    wrong += [{"normals:3": (10**400, 0)}, {"normals:3": ("1", "2")}, {"normals:3": (True, 1)}, {3: (0, 0)}, "a\0b"]  # fmt: skip
    for layout in wrong:
        with pytest.raises(ConfigError, match="is none"):
            GraphFigure(graph, layout=layout)
    assert GraphFigure(graph, layout=tmp_path / "link").layout == {"normals:3": (1.0, 2.0)}
    with pytest.raises(DataError, match="plain file"):
        refigure(tmp_path / "pipe")


BAD = ["x", -1, 0.5, 10**400, True, None, [], {}, [[]], {"a": 1}]


@pytest.mark.parametrize("kind", ["graph", "losses", "heatmap", "gates"])
def test_a_damaged_file_is_refused_or_drawn(kind, tmp_path):
    made = {"losses": plot_losses, "heatmap": plot_heatmap, "gates": plot_gates}.get(kind)
    two = space(plan=SMALL)
    figure = made(log(two, steps=4, evaluations=1)) if made else GraphFigure(fusion_graph(two))
    save_figure(figure, tmp_path / "x", ("svg",))
    text = (tmp_path / "x.json").read_text()
    refused = 0
    for bad in BAD:
        for key in json.loads(text)["figure"]:
            for inner in (
                None,
                *list(json.loads(text)["figure"]["style"])[:4],
                "depth",
                "p",
                "loss",
            ):
                record = json.loads(text)
                where, place = record["figure"], key
                if inner and isinstance(where[key], dict) and inner in where[key]:
                    where, place = where[key], inner
                where[place] = bad
                (tmp_path / "x.json").write_text(json.dumps(record))
                try:
                    again = refigure(tmp_path / "x.json")
                    again.scene() if kind == "graph" else again.to_json()
                except MTLNASError as error:
                    refused += "\n" not in str(error)
    assert refused > 50


def test_a_place_that_cannot_be_written_is_said_before_work(tmp_path):
    (tmp_path / "file").write_text("x")
    before = sorted(tmp_path.iterdir())
    for path, says in (
        (tmp_path / "file" / "x", "give a folder"),
        (tmp_path / "file" / "deep" / "x", "give a folder"),
        (tmp_path / ("é" * 130), "shorter name"),
        (tmp_path / ("d" * 300) / "x", "shorter name"),
        (tmp_path / "nul\0" / "x", "give another"),
    ):
        with pytest.raises(RunError, match=says):
            save_figure("no figure at all", path)
    assert sorted(tmp_path.iterdir()) == before


def test_latex_keeps_letters_apart():
    assert latex("a--b") == "a-{}-b" and latex("a''") == "a'{}'" and latex("`Ħ") == r"\textasciigrave{}\labchar{Ħ}"  # fmt: skip


def test_a_studio_says_what_is_missing():
    from mtlnas_lab.widgets import FigureStudio

    studio = FigureStudio(space(), width=60)
    assert any("no labels" in note and "from" in note for note in studio.notices)
    assert not FigureStudio(space(), width=85).notices
    with pytest.raises(ConfigError, match="True or False"):
        studio.set(split="yes")
