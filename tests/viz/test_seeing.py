"""What each network sees: an eye beside its lane, a line in the legend, in every format; nothing where all see the image."""

import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from PIL import Image
from viz_fakes import ALL, HOSTILE, alphas, extent, log, space

from mtlnas_lab import Schedule, Search, SearchConfig, presets
from mtlnas_lab.core.architecture import derive
from mtlnas_lab.core.events import Started, Step, Turned
from mtlnas_lab.data.views import VIEWS, View
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.viz import (
    GraphFigure,
    animate,
    consensus_graph,
    difference_graph,
    figure_files,
    filmstrip,
    fusion_graph,
    plot_entropy,
    plot_fusion_graph,
    provenance,
    refigure,
    save_figure,
    save_fusion_graph,
    small_multiples,
)
from mtlnas_lab.viz.graph.shapes import Box, Curve, Text
from mtlnas_lab.viz.seeing import WORDS, percent, sights, words
from mtlnas_lab.viz.sources import until

SVG = "{http://www.w3.org/2000/svg}"
BLIND = {"segmentation": 0.0}


def searched(visibility=None, views=None, turned=(), tasks=2, names=None, steps=60):
    """A made-up search with these settings, and {step: visibility} that was turned."""
    events = []
    naming = {"names": names} if names else {}
    for event in log(space(tasks, **naming), steps=steps, evaluations=0, turned=False).events:
        if isinstance(event, Started):
            settings = {"steps": steps, "visibility": visibility or {}}
            event = replace(event, config={"seed": 3, "views": views or {}, "search": settings})
        if isinstance(event, Step) and event.step in dict(turned):
            events.append(Turned(event.step, {"visibility": dict(turned)[event.step]}))
        events.append(event)
    return EventLog(events)


def told(source, step=None) -> list[str]:
    return fusion_graph(source, step=step).graph.get("seen", "").splitlines()


def eyes(scene) -> dict[str, Curve]:
    return {item.id: item for item in scene.items if "eye-" in item.id}


# --- in words ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("view", "share", "expected"),
    [
        ("image", 1.0, "the image"),
        ("image", 0.2, "20 % of the image"),
        ("image", 0.0, "noise"),
        ("depth", 1.0, "depth"),
        ("depth", 0.25, "25 % of depth"),
        ("depth", 0.0, "noise"),
        ("grey", 1.0, "a grey image"),
        ("blurred:0.3", 1.0, "a blurred image (30 % left)"),
        ("masked:0.5", 1.0, "parts of the image (50 % left)"),
        ("noisy:0.5", 1.0, "50 % of the image"),
        ("noisy:0.5", 0.5, "25 % of the image"),
        ("noisy", 1.0, "noise"),
        ("depth_colours", 1.0, "depth in colours"),
        ("blurred:much", 1.0, "a blurred image (0 % left)"),
    ],
)
def test_a_view_in_words(view, share, expected):
    assert words(view, share) == expected


def test_every_view_has_words():
    assert set(WORDS) | {"noisy"} == set(VIEWS)
    assert percent(0.004) == "0.4 %" and percent(1 / 3) == "33.3 %"


@pytest.mark.parametrize(
    ("settings", "step", "expected"),
    [
        ({"visibility": BLIND}, None, ["segmentation sees noise"]),
        ({"visibility": {"segmentation": 0.2}}, 10, ["segmentation sees 20 % of the image"]),
        ({"views": {"normals": "depth"}}, None, ["normals sees depth"]),
        ({"views": {"normals": "image"}}, None, []),
        ({"turned": {31: BLIND}}, None, ["segmentation sees noise from step 31 on"]),
        ({"turned": {31: BLIND}}, 31, ["segmentation sees noise at step 31"]),
        ({"turned": {31: BLIND}}, 30, []),
        (
            {"visibility": BLIND, "turned": {31: {"segmentation": 1.0}}},
            None,
            ["segmentation saw noise until step 30, then the image"],
        ),
        (
            {"turned": {11: BLIND, 21: {"segmentation": 1}}},
            40,
            ["segmentation saw noise from step 11 to 20, then the image"],
        ),
        (
            {"turned": {11: BLIND, 21: {"segmentation": 0.5}, 31: {"segmentation": 1}}},
            40,
            ["segmentation saw less of the image from step 11 to 30, then the image"],
        ),
        (
            {"visibility": {"normals": 0.5}, "views": {"segmentation": "grey"}},
            None,
            ["segmentation sees a grey image", "normals sees 50 % of the image"],
        ),
        (
            {"visibility": {"normals": {"end": 0.0, "start": 1.0, "period": [0.0, 1.0]}}},
            31,
            ["normals sees 50 % of the image at step 31"],
        ),
    ],
)
def test_a_log_says_what_is_seen(settings, step, expected):
    assert told(searched(**settings), step) == expected


def test_every_source_that_knows_says_it(tmp_path):
    two = space()
    history = searched(visibility=BLIND)
    with RunWriter.create(tmp_path / "run", history.started.config, two) as run:
        for event in history.events:
            run.append(event)
        run.write_json("architecture.json", derive(two, history.alpha[-1]).to_json())
    for source in (tmp_path / "run", str(tmp_path / "run"), run, history):
        assert told(source) == ["segmentation sees noise"]
    assert told(derive(two, alphas(two))) == [] and told(two) == []

    search = Search(presets.tiny(), SearchConfig(steps=2, visibility={"segmentation": 0.2}))
    assert told(search) == told(search.lab) == ["segmentation sees 20 % of the image"]
    search.lab.views = {"normals": View("blurred", 0.3)}
    assert [sight.words for sight in sights(search).values()] == [
        "sees 20 % of the image",
        "sees a blurred image (30 % left)",
    ]
    assert len(fusion_graph(search.lab)) == 26
    assert told(presets.tiny()) == []


def test_settings_of_a_search_alone_are_read_too():
    history = searched()
    config = SearchConfig(steps=60, visibility={"normals": Schedule(0.0, 1.0, (0.5, 0.5))})
    started = replace(history.started, config=config.to_json())
    found = EventLog([started, *history.events[1:]])
    assert told(found, 20) == []
    assert told(found) == ["normals sees noise from step 32 on"]


def test_what_no_search_would_take_is_refused():
    with pytest.raises(ConfigError, match="more than all"):
        sights(searched(visibility={"segmentation": 2.0}))


# --- in the picture ---------------------------------------------------------------------------------------------------
def test_nothing_is_drawn_and_nothing_changes_where_all_see_the_image():
    plain = log(space())
    seeing = searched(
        visibility={"segmentation": 1.0}, views={"normals": "image"}, turned={9: {"normals": 1.0}}
    )
    assert nx.utils.graphs_equal(fusion_graph(plain), fusion_graph(seeing))
    first, _ = figure_files(GraphFigure(fusion_graph(plain)), ALL, {"a": 1})
    second, _ = figure_files(GraphFigure(fusion_graph(seeing)), ALL, {"a": 1})
    assert first == second
    assert not {"views", "visibility", "seen"} & set(provenance(seeing))
    assert "<desc>" not in first["svg"].decode() and 'id="seen"' not in first["html"].decode()


def test_an_eye_is_filled_as_much_as_it_sees():
    areas = {}
    for share in (0.0, 0.2, 0.5, 1.0):
        scene = GraphFigure(fusion_graph(searched(visibility={"segmentation": share}))).scene()
        if share == 1:
            assert not eyes(scene)
            continue
        assert list(eyes(scene)) == ["eye-0", "eye-1"]
        at = scene.items.index(eyes(scene)["eye-0"])
        iris, inner = scene.items[at + 1 : at + 3]
        assert isinstance(iris, Box) and iris.fill == scene.style.paper
        crossed = isinstance(inner, Curve)
        areas[share] = 0.0 if crossed else (inner.width / iris.width) ** 2
        assert crossed == (share == 0)
    assert areas == {0.0: 0.0, 0.2: pytest.approx(0.2), 0.5: pytest.approx(0.5)}


def test_what_is_not_the_image_has_a_square_iris():
    scene = GraphFigure(fusion_graph(searched(views={"normals": "depth"}))).scene()
    irises = [scene.items[scene.items.index(eye) + 1] for eye in eyes(scene).values()]
    assert [iris.corner > 0 for iris in irises] == [True, False]
    assert [eye.title for eye in eyes(scene).values()] == [
        "segmentation sees the image",
        "normals sees depth",
    ]


LOOKS = [
    {},
    {"style": "paper-double", "title": "A title " * 20},
    {"style": "slide"},
    {"style": "poster"},
    {"color": "source"},
    {"style": "web-dark", "dropped": "hide"},
    {"style": "web-light", "legend": False},
    {"width": 60},
]


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("names", [None, HOSTILE], ids=["names", "hostile"])
@pytest.mark.parametrize("split", [False, True])
def test_eyes_and_lines_cover_nothing(look, names, split):
    first = (names or ("segmentation",))[0]
    history = searched(visibility={first: 0.2}, tasks=3, names=names)
    picture = GraphFigure(fusion_graph(history, split=split), **look).scene()
    texts = [extent(item) for item in picture.items if isinstance(item, Text)]
    nodes = [extent(item) for item in picture.items if item.id.startswith("node-")]
    marks = [extent(item) for item in eyes(picture).values()]
    assert len(marks) == 3
    for x0, y0, x1, y1 in [*texts, *marks]:
        assert x0 > -0.3 and y0 > -0.3 and x1 < picture.width + 0.3 and y1 < picture.height + 0.3
    for mark in marks:
        for other in [*texts, *nodes]:
            assert overlap(mark, other) < 0.05
    for a, b in combinations(texts, 2):
        assert overlap(a, b) < 0.05


def overlap(a, b) -> float:
    return min(min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1]))


def test_the_legend_says_it_unless_there_is_none():
    graph = fusion_graph(searched(visibility=BLIND, views={"normals": "depth"}))
    shown = [item.text for item in GraphFigure(graph).scene().items if isinstance(item, Text)]
    assert "segmentation sees noise" in shown and "normals sees depth" in shown
    hidden = GraphFigure(graph, legend=False).scene()
    assert not [item for item in hidden.items if isinstance(item, Text) and "sees" in item.text]
    assert len(eyes(hidden)) == 2


def test_axes_of_others_carry_it_too():
    ax = plot_fusion_graph(searched(visibility=BLIND))
    assert "segmentation sees noise" in [text.get_text() for text in ax.texts]


def test_many_sentences_are_cut_and_that_is_noted():
    names = tuple(f"task {i}" for i in range(30))
    history = searched(visibility=dict.fromkeys(names, 0.5), tasks=30, names=names, steps=2)
    figure = GraphFigure(fusion_graph(history), style="poster", dropped="hide", threshold=1.0)
    scene = figure.scene()
    assert any("what 6 more networks see" in note for note in scene.notes)
    assert len(figure.seen) == 30


# --- in every file ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["pdf", "svg", "png", "tikz", "tex", "html", "json"])
def test_every_file_says_it_and_can_be_drawn_again(kind, tmp_path):
    history = searched(visibility=BLIND, views={"normals": "depth"}, turned={31: BLIND})
    files = save_fusion_graph(history, tmp_path, ALL)
    found = json.loads((tmp_path / "fusion_graph.json").read_text())["provenance"]
    assert found["views"] == {"segmentation": "image", "normals": "depth"}
    assert found["visibility"] == {"segmentation": 0.0, "normals": 1.0}
    assert found["seen"] == ["segmentation sees noise", "normals sees depth"]
    data = (tmp_path / f"fusion_graph.{kind}").read_bytes()
    assert b'"seen": ["segmentation sees noise"' in data or kind == "json"
    again = refigure(tmp_path / f"fusion_graph.{kind}")
    assert again.seen == found["seen"]
    save_figure(again, tmp_path / "again" / "fusion_graph", ALL, found)
    for file in files:
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_who_cannot_see_the_picture_reads_it():
    graph = fusion_graph(searched(visibility=BLIND, views={"normals": "depth"}))
    files, _ = figure_files(GraphFigure(graph, legend=False), ALL)
    said = "segmentation sees noise; normals sees depth"
    root = ET.fromstring(files["svg"])
    assert root.find(SVG + "desc").text == said
    by_id = {element.get("id"): element for element in root.iter() if element.get("id")}
    assert by_id["eye-0"].find(SVG + "title").text == "segmentation sees noise"
    assert f'<p id="seen">{said}.</p>' in files["html"].decode()
    assert said.encode() in files["pdf"]
    with Image.open(io.BytesIO(files["png"])) as picture:
        assert picture.text["Description"] == said


def test_names_stay_text(tmp_path):
    graph = fusion_graph(searched(visibility=dict.fromkeys(HOSTILE[:2], 0.0), names=HOSTILE))
    files, _ = figure_files(GraphFigure(graph, style="poster"), ("svg", "html", "tikz"))
    assert "<script>alert" not in files["html"].decode() and "<script>" not in files["svg"].decode()
    assert ET.fromstring(files["svg"]).find(SVG + "desc").text.startswith(HOSTILE[0])


@pytest.mark.parametrize("form", ["graphml", "gexf", "json"])
def test_other_tools_read_it(form, tmp_path):
    graph = fusion_graph(searched(visibility={"segmentation": 0.2}, views={"normals": "depth"}))
    path = tmp_path / f"graph.{form}"
    if form == "json":
        path.write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
        again = nx.node_link_graph(json.loads(path.read_text()), edges="edges")
    else:
        getattr(nx, f"write_{form}")(graph, path)
        again = getattr(nx, f"read_{form}")(path)
    assert again.nodes["segmentation:0"]["visibility"] == 0.2
    assert again.nodes["normals:3"]["view"] == "depth"


@pytest.mark.parametrize(
    "change",
    [{"view": 3}, {"visibility": 2.0}, {"visibility": "half"}, {"visibility": float("nan")}],
    ids=str,
)
def test_a_damaged_graph_is_refused(change):
    graph = fusion_graph(searched(visibility=BLIND))
    graph.nodes["normals:0"].update(change)
    with pytest.raises(Exception, match="view|visibility"):
        GraphFigure(graph)


# --- several searches -------------------------------------------------------------------------------------------------
def test_many_graphs_say_what_differs():
    blind = searched(visibility=BLIND)
    seeing = searched()
    assert consensus_graph([blind, blind]).graph["seen"] == "segmentation sees noise"
    mixed = consensus_graph([blind, seeing, blind])
    assert mixed.graph["seen"] == "segmentation sees noise (2 of 3 runs)"
    assert not eyes(GraphFigure(mixed).scene())
    assert "seen" not in consensus_graph([seeing, seeing]).graph
    same = difference_graph(blind, blind, ("a", "b"))
    assert same.graph["seen"] == "segmentation sees noise"
    other = difference_graph(blind, seeing, ("a", "b"))
    assert other.graph["seen"] == "a: segmentation sees noise"


def test_a_grid_has_one_layout_with_eyes_in_all_of_it():
    grid = small_multiples({"covered": searched(visibility=BLIND), "open": searched()})
    assert grid.seen == ["covered: segmentation sees noise"]
    scene = grid.scene()
    assert len(eyes(scene)) == 4
    assert "covered: segmentation sees noise" in [
        item.text for item in scene.items if isinstance(item, Text)
    ]
    first, second = (eyes(scene)[f"graph-{i}-eye-0"].points[0] for i in range(2))
    assert second[0] - first[0] == pytest.approx(grid.style.width / 2)
    assert "seen" not in grid.figures[1].graph.graph, "drawing changes no graph"


def test_a_filmstrip_tells_when():
    strip = filmstrip(searched(visibility=BLIND, turned={31: {"segmentation": 1}}), pictures=3)
    assert strip.seen == [
        "step 1: segmentation sees noise",
        "step 31, step 60: segmentation saw noise until step 30, then the image",
    ]


def test_a_film_keeps_its_size(tmp_path):
    history = searched(turned={31: BLIND})
    with Image.open(animate(history, tmp_path / "a.gif", count=3, pixels=500)) as film:
        pictures = [np.asarray(film.convert("RGB")) for i in range(3) if film.seek(i) is None]
        assert json.loads(film.info["comment"])["visibility"] == {"segmentation": 0.0}
    assert len({picture.shape for picture in pictures}) == 1


def test_a_log_until_a_step_ends_there():
    history = searched(turned={31: BLIND})
    early = until(history, 30)
    assert len(early.steps) == 30 and not early.turned and told(early) == []
    assert told(until(history, 31)) == ["segmentation sees noise at step 31"]


def test_curves_name_the_eyes_that_were_covered():
    texts = [text.get_text() for text in plot_entropy(searched(turned={31: BLIND})).texts]
    assert any(re.fullmatch("segmentation sees 0 %", text) for text in texts)
