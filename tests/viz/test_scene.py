"""The picture itself: what crosses what, what overlaps what, what a width says. All in mm, before any format."""

import json
import time
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from viz_fakes import RESNET, SPACES, alphas, extent, log, space

from mtlnas_lab.core.architecture import Architecture, derive
from mtlnas_lab.errors import ConfigError, SpaceError
from mtlnas_lab.viz import (
    STYLES,
    GraphFigure,
    consensus_graph,
    difference_graph,
    filmstrip,
    fusion_graph,
    plot_fusion_graph,
    small_multiples,
)
from mtlnas_lab.viz.graph.shapes import Box, Curve, Text, draw, sample


def scene(space, kind="mid", split=False, width=None, height=None, **look):
    return GraphFigure(fusion_graph(space, alphas(space, kind), split=split), **look).scene(
        width, height
    )


def edges(scene) -> dict[str, Curve]:
    return {item.id: item for item in scene.items if isinstance(item, Curve) and item.id}


def nodes(scene) -> dict[str, Box]:
    return {
        item.id: item
        for item in scene.items
        if isinstance(item, Box) and item.id.startswith("node-")
    }


def overlap(a, b) -> float:
    a, b = extent(a), extent(b)
    return min(min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1]))


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("name", SPACES)
def test_no_edge_crosses_a_node(name, split):
    picture = scene(SPACES[name], split=split, style="paper-double")
    spots = np.array([(n.x, n.y, n.width / 2, n.height / 2) for n in nodes(picture).values()])
    assert len(edges(picture)) == len(SPACES[name])
    for edge in edges(picture).values():
        path = sample(edge.points)
        near = (((path[:, None] - spots[:, :2]) / spots[:, 2:]) ** 2).sum(
            2
        ) < 0.98  # inside a node's ellipse
        assert not near.any(), (
            f"{edge.title} crosses {list(nodes(picture).values())[near.any(0).argmax()].title}"
        )


@pytest.mark.parametrize("name", ["vgg", "three", "resnet", "five"])
def test_an_edge_ends_at_the_rims_of_its_nodes(name):
    picture = scene(SPACES[name])
    by_name = {node.title.split(",")[0]: node for node in nodes(picture).values()}
    for edge in edges(picture).values():
        source, target = (by_name[text] for text in edge.title.split(",")[0].split(" → "))
        (x, y), tip = edge.points[0], edge.head[2]
        assert np.hypot(x - source.x, y - source.y) == pytest.approx(source.height / 2, rel=0.2)
        assert np.hypot(tip[0] - target.x, tip[1] - target.y) == pytest.approx(
            target.height / 2, rel=0.35
        )


@pytest.mark.parametrize("name", ["vgg", "three", "resnet"])
def test_edges_in_both_directions_bend_apart(name):
    paths = {
        edge.title.split(",")[0]: sample(edge.points)
        for edge in edges(scene(SPACES[name])).values()
    }
    pairs = [
        (path, paths[" → ".join(reversed(text.split(" → ")))])
        for text, path in paths.items()
        if " → ".join(reversed(text.split(" → "))) in paths
    ]
    assert len(pairs) == sum(e.source.stage == e.target.stage for e in SPACES[name].edges)
    for there, back in pairs:
        middle = there[len(there) // 2]
        assert np.hypot(*(back - middle).T).min() > 0.6, "mm between the two"


@pytest.mark.parametrize(
    "look",
    [
        {},
        {"style": "paper-double", "title": "A title " * 20},
        {"style": "slide"},
        {"style": "poster"},
        {"labels": "channels"},
        {"color": "source"},
        {"style": "web-dark", "dropped": "hide"},
        {"split": True, "style": "paper-double"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", SPACES)
def test_no_text_covers_text_or_nodes_or_leaves_the_page(name, look):
    picture = scene(SPACES[name], **look)
    texts = [item for item in picture.items if isinstance(item, Text)]
    for text in texts:
        x0, y0, x1, y1 = extent(text)
        assert x0 > -0.3 and y0 > -0.3 and x1 < picture.width + 0.3 and y1 < picture.height + 0.3, (
            text
        )
        assert text.size >= 6
        for node in nodes(picture).values():
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
            inside = abs(x - node.x) < 0.01 + node.width / 4 and abs(y - node.y) < node.height / 2
            if inside:
                assert x1 - x0 < node.width + 0.1 and y1 - y0 < node.height, (
                    f"{text.text} is larger than its node"
                )
            else:
                assert overlap(text, node) < 0.05, f"{text.text} covers {node.title}"
    for a, b in combinations(texts, 2):
        assert overlap(a, b) < 0.05, f"{a.text!r} covers {b.text!r}"


@pytest.mark.parametrize("name", SPACES)
def test_everything_stays_on_the_page(name):
    picture = scene(SPACES[name])
    for item in picture.items:
        x0, y0, x1, y1 = extent(item)
        assert x0 > -0.3 and y0 > -0.3 and x1 < picture.width + 0.3 and y1 < picture.height + 0.3, (
            item
        )


def test_width_colour_and_opacity_grow_with_probability():
    two = space()
    picture, graph = scene(two), fusion_graph(two, alphas(two, "mid"))
    probability = {
        f"{a} → {b}": d["probability"]
        for a, b, d in graph.edges(data=True)
        if d["kind"] == "fusion"
    }
    drawn = edges(picture).values()
    found = sorted(
        (probability[edge.title.split(",")[0]], edge.width, edge.opacity) for edge in drawn
    )
    assert (np.diff([width for _, width, _ in found]) > 0).all() and (
        np.diff([o for *_, o in found]) > 0
    ).all()
    assert found[-1][1] > 2.5 * found[0][1]
    for edge in edges(picture).values():
        assert edge.dashed == (probability[edge.title.split(",")[0]] <= 0.5)
    assert len({edge.color for edge in edges(picture).values()}) > 40


def test_dropped_edges_hide():
    two = space()
    assert len(edges(scene(two, "late", dropped="hide"))) == len(derive(two, alphas(two, "late")))
    assert not any(edge.dashed for edge in edges(scene(two, "late", dropped="hide")).values())


@pytest.mark.parametrize("dropped", ["faint", "hide"])
def test_nothing_kept_is_still_a_picture(dropped):
    two = space()
    picture = GraphFigure(fusion_graph(Architecture(two, (False,) * 48)), dropped=dropped).scene()
    assert len(nodes(picture)) == 26 and len(edges(picture)) == (48 if dropped == "faint" else 0)
    assert draw(picture)


def test_the_legend_draws_arrows_as_the_graph_does():
    picture = scene(space())
    arrows = [
        item
        for item in picture.items
        if isinstance(item, Curve) and item.head and not item.id and item.points[0][1] < 10
    ]
    assert len(arrows) == 6 and [arrow.dashed for arrow in arrows] == [True] * 3 + [False] * 3
    assert (np.diff([arrow.width for arrow in arrows]) > 0).all()
    texts = {item.text for item in picture.items if isinstance(item, Text)}
    assert {"edge probability σ(α)", "0", "0.5", "1", "kept", "dropped"} <= texts
    bare = scene(space(), legend=False, colorbar=False)
    assert bare.height < picture.height and not {"kept", "0.5"} & {
        i.text for i in bare.items if isinstance(i, Text)
    }


def test_the_groups_and_names_are_there():
    picture = scene(space(3))
    texts = [item.text for item in picture.items if isinstance(item, Text)]
    assert {"64 ch", "128 ch", "256 ch", "512 ch", "segmentation", "normals", "depth", "12"} <= set(
        texts
    )
    assert sum(item.id.startswith("group-") for item in picture.items if isinstance(item, Box)) == 5


def test_nodes_that_were_moved_stay_where_they_are_put():
    two = space()
    graph = fusion_graph(two, alphas(two))
    places = {
        node: (x, -2.0 * (d["lane"] == 1) + 0.1 * (x % 2))
        for x, (node, d) in ((d["stage"], (n, d)) for n, d in graph.nodes(data=True))
    }
    picture = GraphFigure(graph, layout=places).scene()
    xs = {node.id: node.x for node in nodes(picture).values()}
    steps = [xs[f"node-0-{stage + 1}"] - xs[f"node-0-{stage}"] for stage in range(12)]
    assert np.allclose(steps, steps[0]), "the gaps between groups are gone, as the layout says"


def test_a_layout_may_name_some_nodes_only_and_stand_in_a_file(tmp_path):
    two = space()
    graph = fusion_graph(two, alphas(two))
    (tmp_path / "layout.json").write_text('{"segmentation:4": [5.0, 0.3]}')
    before, after = (
        GraphFigure(graph).page(),
        GraphFigure(graph, layout=tmp_path / "layout.json").page(),
    )
    assert {node for node in graph if before.at[node][0] != pytest.approx(after.at[node][0])} == {
        "segmentation:4"
    }
    assert after.in_ladder(*after.at["segmentation:4"]) == pytest.approx((5.0, 0.3))
    again = GraphFigure.from_json(
        json.loads(json.dumps(GraphFigure(graph, layout=str(tmp_path / "layout.json")).to_json()))
    )
    assert again.layout == {"segmentation:4": (5.0, 0.3)}
    for wrong in (
        "[1, 2]",
        "{",
        '{"segmentation:4": 3}',
        '{"segmentation:4": [1, Infinity]}',
        "[" * 9999,
    ):
        (tmp_path / "layout.json").write_text(wrong)
        with pytest.raises(ConfigError, match="layout.json is none"):
            GraphFigure(graph, layout=tmp_path / "layout.json")
    with pytest.raises(
        ConfigError, match="no fusion graph"
    ):  # a figure's file cannot make us open another
        GraphFigure.from_json({**GraphFigure(graph).to_json(), "layout": "/etc/hostname"})


def test_an_edge_leaves_a_moved_node_on_the_side_of_its_target():
    two = space()
    picture = GraphFigure(fusion_graph(two), layout={"normals:4": (5.0, 1.0)}).scene()
    node = nodes(picture)["node-1-4"]
    for edge in edges(picture).values():
        if edge.title.startswith("normals:4 →"):
            assert edge.points[0][1] < node.y, "down, though its lane is the lower one"


def test_a_threshold_leaves_edges_out():
    two = space()
    p = derive(two, alphas(two, "mid")).probability
    for threshold in (0.0, 0.3, 0.8):
        assert len(edges(scene(two, threshold=threshold))) == sum(q >= threshold for q in p)
    texts = {item.text for item in scene(two, threshold=0.6).items if isinstance(item, Text)}
    assert "dropped" not in texts and "0.75" in texts, "the legend shows what there is"


@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("style", STYLES)
def test_artists_keep_apart_in_every_style(style, tasks):
    """As matplotlib measures them: labels cover neither labels nor nodes, nothing leaves the axes."""
    ax = draw(scene(space(tasks, RESNET), "late", style=style, dropped="hide", title="A title"))
    ax.figure.canvas.draw()
    frame, pixel = ax.get_window_extent(), ax.figure.dpi / 72
    discs = {
        p.get_gid(): p.get_window_extent()
        for p in ax.patches
        if str(p.get_gid()).startswith("node-")
    }
    boxes = [(text, text.get_window_extent()) for text in ax.texts]
    for artist in [*ax.patches, *ax.texts]:
        box = artist.get_window_extent()
        assert frame.x0 - pixel < box.x0 and box.x1 < frame.x1 + pixel, artist
        assert frame.y0 - pixel < box.y0 and box.y1 < frame.y1 + pixel, artist
    for (a, one), (b, other) in combinations(boxes, 2):
        wide, high = (
            min(one.x1, other.x1) - max(one.x0, other.x0),
            min(one.y1, other.y1) - max(one.y0, other.y0),
        )
        assert min(wide, high) < 0.3 * pixel * min(a.get_fontsize(), b.get_fontsize()), (
            f"{a} covers {b}"
        )  # line spacing
    for text, box in boxes:
        middle, over = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2), []
        for name, disc in discs.items():
            if (
                min(box.x1, disc.x1) - max(box.x0, disc.x0) > pixel
                and min(box.y1, disc.y1) - max(box.y0, disc.y0) > pixel
            ):
                over.append(name)
                assert disc.x0 < middle[0] < disc.x1 and box.width < disc.width + pixel, (
                    f"{text} covers {name}"
                )
        assert len(over) <= 1


def test_mistakes_are_named():
    graph = fusion_graph(space())
    for wrong, says in (
        ({"dropped": "ghost"}, "faint, hide"),
        ({"color": "red"}, "probability, source"),
        ({"labels": "name"}, "'stage', 'channels'"),
        ({"style": "a4"}, "choose one of"),
        ({"threshold": 1.5}, "from 0 to 1"),
        ({"width": 6}, "not wide enough"),
        ({"layout": {"normals:99": (0, 0)}}, "normals:99, which is not a node"),
    ):
        with pytest.raises(ConfigError, match=says):
            GraphFigure(graph, **wrong).scene()
    with pytest.raises(SpaceError, match="make it with fusion_graph"):
        GraphFigure(graph.__class__([(1, 2)]))
    broken = fusion_graph(space())
    broken.edges["normals:0", "segmentation:0"]["probability"] = float("nan")
    with pytest.raises(SpaceError, match="probability nan"):
        GraphFigure(broken)


def test_it_fills_the_axes_it_is_given():
    figure = Figure(figsize=(6, 3))
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0.1, 0.2, 0.5, 0.6))
    two = space()
    assert plot_fusion_graph(two, ax, alpha=alphas(two)) is ax
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, pytest.approx(76.2)), (0, pytest.approx(45.72)))
    figure.canvas.draw()
    frame = ax.get_window_extent()
    for artist in [*ax.patches, *ax.texts]:
        box = artist.get_window_extent()
        assert (
            frame.x0 - 3 <= box.x0
            and box.x1 <= frame.x1 + 3
            and frame.y0 - 3 <= box.y0
            and box.y1 <= frame.y1 + 3
        )
    assert {t.get_text() for t in ax.texts} >= {"segmentation", "normals", "12"}


def test_matplotlib_agrees_about_the_extents_of_text():
    ax = draw(scene(space(), title="A title"))
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    discs = [p.get_window_extent() for p in ax.patches if str(p.get_gid()).startswith("node-")]
    for a, b in combinations(boxes, 2):
        assert min(min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)) < 3, (
            "pixels"
        )
    for disc in discs:
        inside = [
            box
            for box in boxes
            if disc.x0 - 1 < box.x0
            and box.x1 < disc.x1 + 1
            and disc.y0 - 1 < box.y0
            and box.y1 < disc.y1 + 1
        ]
        assert len(inside) == 1


def test_consensus_and_difference_look_as_they_mean():
    two = space()
    first, second = (Architecture(two, np.arange(48) % n == 0) for n in (2, 3))
    drawn = edges(GraphFigure(difference_graph(first, second, ("λ = 10", "λ = 0"))).scene())
    assert len({(edge.color, edge.dashed) for edge in drawn.values()}) == 4
    assert {edge.title.split(", ")[1] for edge in drawn.values()} == {
        "in both",
        "in neither",
        "only in the first",
        "only in the second",
    }
    strong = max(
        edges(GraphFigure(consensus_graph([first, second])).scene()).values(),
        key=lambda edge: edge.width,
    )
    assert strong.title.endswith("in 100% of the runs, kept")


def test_a_grid_has_one_layout_and_one_legend():
    two = space()
    grid = small_multiples({"a": derive(two, alphas(two)), "b": derive(two, alphas(two, seed=1))})
    picture = grid.scene()
    spots = {
        item.id: (item.x, item.y)
        for item in picture.items
        if isinstance(item, Box) and "node" in item.id
    }
    wide = picture.width / 2
    for lane, stage in ((0, 0), (1, 12)):
        (x0, y0), (x1, y1) = (spots[f"graph-{i}-node-{lane}-{stage}"] for i in range(2))
        assert (x1 - x0, y0) == pytest.approx((wide, y1))
    assert sum(isinstance(i, Text) and i.text == "kept" for i in picture.items) == 1
    ids = [item.id for item in picture.items if item.id]
    assert len(ids) == len(set(ids))
    film = filmstrip(log(two), pictures=4)
    assert [figure.title for figure in film.figures] == ["step 1", "step 21", "step 40", "step 60"]
    with pytest.raises(ConfigError, match="at least one figure"):
        small_multiples({})


def test_a_picture_takes_no_time():
    many = space(5, RESNET)  # 720 edges; the fastest of three, in CPU seconds
    best = {}
    for one in (space(), many):
        times = []
        for _ in range(3):
            start = time.process_time()
            plot_fusion_graph(one, alpha=alphas(one)).figure.canvas.draw()
            times.append(time.process_time() - start)
        best[len(one)] = min(times)
    assert best[48] < 1 and best[720] < 3, best


def test_styles_scale_the_same_picture():
    two = space()
    single = scene(two)
    twice = replace(STYLES["paper-single"], width=170, font=14, small=12)
    double = GraphFigure(fusion_graph(two, alphas(two, "mid")), twice).scene()
    assert double.height == pytest.approx(2 * single.height)
