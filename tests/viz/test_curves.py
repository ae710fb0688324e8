"""Curves of a search: what is drawn is what the log says, with labels, units and a legend."""

import inspect
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from viz_fakes import alphas, log, space

from mtlnas_lab.core import relaxation
from mtlnas_lab.core.architecture import derive
from mtlnas_lab.core.events import Started, Step
from mtlnas_lab.errors import ConfigError, DataError, RunError, SpaceError, TaskError
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.viz import (
    STYLES,
    overview,
    plot_collapse,
    plot_entropy,
    plot_gap,
    plot_gates,
    plot_heatmap,
    plot_losses,
    plot_predictions,
    plot_scores,
    provenance,
    refigure,
    save_figure,
    side_by_side,
)
from mtlnas_lab.viz.curves import edge_entropy, gates
from mtlnas_lab.viz.origin import origin

CURVES = (plot_entropy, plot_gates, plot_losses, plot_scores, plot_gap, plot_collapse)


@pytest.fixture(scope="module")
def history():
    return log(space())


@pytest.fixture(scope="module")
def pretraining():
    return EventLog(
        [
            Started({}, space().to_json(), {}, "cpu", 1),
            *(Step(i, (), (), {"segmentation": 1 / i}, 0, 0, 0, 0, 1, 0, 0.1) for i in (1, 2, 3)),
        ]
    )


@pytest.mark.parametrize("plot", CURVES)
@pytest.mark.parametrize("name", ["paper-single", "web-dark"])
def test_every_curve_has_labels_a_legend_and_its_style(plot, name, history):
    ax = plot(history, style=name, title="A title")
    assert ax.get_xlabel() and ax.get_ylabel() and ax.get_title("left") == "A title"
    assert ax.get_legend().get_texts()
    ax.figure.canvas.draw()
    frame, legend = ax.get_window_extent(), ax.get_legend().get_window_extent()
    assert legend.y0 >= frame.y1 - 1, "the legend covers no curve"
    page, box = ax.figure.bbox, ax.figure.get_tightbbox().transformed(ax.figure.dpi_scale_trans)
    assert (
        page.x0 - 1 <= box.x0
        and box.x1 <= page.x1 + 1
        and page.y0 - 1 <= box.y0
        and box.y1 <= page.y1 + 1
    )
    texts = ax.figure.findobj(lambda artist: hasattr(artist, "get_fontsize") and artist.get_text())
    assert min(text.get_fontsize() for text in texts) >= 6
    assert to_rgba(ax.get_facecolor()) == to_rgba(STYLES[name].paper)
    assert np.allclose(ax.figure.get_size_inches()[0] * 25.4, STYLES[name].width)


@pytest.mark.parametrize("plot", CURVES)
def test_a_curve_goes_where_it_is_told(plot, history):
    ax = STYLES["slide"].figure().add_subplot()
    assert plot(history, ax=ax) is ax


def test_entropy_and_gates_are_those_of_the_core(history):
    alpha = torch.tensor(history.alpha)
    assert np.allclose(edge_entropy(history.alpha), relaxation.edge_entropy(alpha))
    assert np.allclose(gates(history.alpha), torch.sigmoid(alpha))
    line = plot_entropy(history).get_lines()[0]
    assert np.allclose(line.get_ydata(), history.column("entropy"), atol=1e-9)
    assert np.isfinite(edge_entropy(np.array([800.0, -800.0]))).all()


def test_gates_are_dark_where_kept(history):
    pale, dark = [c for c in plot_gates(history).collections if isinstance(c, LineCollection)]
    kept = int((history.alpha[-1] > 0).sum())
    assert (len(pale.get_segments()), len(dark.get_segments())) == (48 - kept, kept)
    assert sum(dark.get_color()[0][:3]) < sum(pale.get_color()[0][:3])


def test_losses_are_smoothed_over_what_is_there():
    steps = [
        Step(
            i + 1, (0.0,), (0.0,), {"a": float("nan") if i == 2 else float(i)}, 0, 0, 0, 0, 1, 0, 0
        )
        for i in range(6)
    ]
    strong = plot_losses(EventLog(steps), window=3).get_lines()[1]
    assert np.allclose(strong.get_xdata(), [3, 4, 5, 6]) and np.allclose(
        strong.get_ydata(), [0.5, 2, 3.5, 4]
    )


def test_turned_knobs_are_marked(history):
    ax = plot_entropy(history)
    assert "λ = 10" in [text.get_text() for text in ax.texts]
    assert "knob turned" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert 30 in [line.get_xdata()[0] for line in ax.get_lines()]


def test_scores_and_gap(history):
    ax = plot_scores(history, task="normals", metric="mean_angle")
    assert ax.get_ylabel() == "normals\nmean angle, degrees ↓" and len(ax.get_lines()) == 3
    drawn = plot_gap(history)
    gaps = drawn.get_lines()
    assert drawn.get_ylabel() == "gap, % of soft (+: hard is worse)", "true of an angle, too"
    hard = np.array([event.scores["hard"]["normals"]["mean_angle"] for event in history.evaluated])
    found = [line.get_ydata() for line in gaps if len(line.get_ydata()) == 6]
    assert any(np.allclose(gap, 100 * (hard - 30) / 30) for gap in found)
    with pytest.raises(RunError, match="no scores 'f1' of 'normals'; there are segmentation: miou"):
        plot_scores(history, task="normals", metric="f1")


def cells(ax):
    return {
        patch.get_label(): patch
        for patch in ax.patches
        if isinstance(patch, Rectangle) and patch.get_gid()
    }


@pytest.mark.parametrize("tasks, blocks", [(2, 2), (3, 6)])
def test_the_heat_map_shows_candidates_only(tasks, blocks):
    one = space(tasks)
    architecture = derive(one, alphas(one))
    ax = plot_heatmap(architecture)
    assert len(cells(ax)) == len(one) and len(ax.patches) == len(one) + blocks
    assert len({(p.get_x(), p.get_y()) for p in cells(ax).values()}) == len(one)
    assert len(ax.get_lines()) == len(architecture), "a dot for each kept edge"
    assert ax.figure.axes[1].get_ylabel().startswith("σ(α)")
    for edge, keep in zip(one.edges, architecture.kept):
        patch = next(p for label, p in cells(ax).items() if label.startswith(f"{edge},"))
        assert (sum(patch.get_facecolor()[:3]) < 1.2) == keep
        assert patch.get_x() % 1 in (0, 0.5) and patch.get_y() >= edge.source.stage


def test_errors_say_what_to_do(history, pretraining):
    for plot in (plot_entropy, plot_gates, plot_collapse):
        with pytest.raises(RunError, match="pretraining"):
            plot(pretraining)
    assert plot_losses(pretraining) and overview(pretraining)
    for plot in CURVES[:3]:
        with pytest.raises(RunError, match="no step yet"):
            plot(EventLog())
    with pytest.raises(RunError, match="no evaluation"):
        plot_gap(pretraining)
    with pytest.raises(RunError, match="not a log of a search"):
        plot_gates([1, 2])
    with pytest.raises(RunError, match="no step yet"):
        overview(EventLog())


@pytest.mark.parametrize("evaluations", [0, 6])
def test_the_overview_shows_all_of_it(evaluations):
    figure = overview(log(space(3), evaluations=evaluations, turned=False), title="A run")
    figure.canvas.draw()
    assert figure.canvas.get_width_height()[0] == 1000
    titles = {
        ax.get_title("left") for ax in figure.findobj(lambda artist: hasattr(artist, "get_xlabel"))
    }
    assert {"Entropy", "Gates", "Losses", "Gap" if evaluations else "Collapse"} <= titles
    texts = {
        text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))
    }
    assert {
        "Fusion graph after 60 steps",
        "segmentation",
        "edge probability σ(α)",
        "A run",
    } <= texts


def test_graph_and_heat_map_side_by_side():
    two = space()
    figure = side_by_side(two, alpha=alphas(two))
    assert len(figure.findobj(lambda artist: origin(artist).scene is not None)) == 1


KINDS = ("pdf", "svg", "png", "json")


@pytest.mark.parametrize(
    "plot, kinds",
    [
        (plot_entropy, KINDS),
        (plot_heatmap, KINDS),
        *((plot, ("svg", "json")) for plot in CURVES if plot is not plot_entropy),
    ],
)
def test_every_file_of_a_curve_can_be_drawn_again(plot, kinds, history, tmp_path):
    """The same bytes from the file alone; the file says where the curve comes from, though nobody told it to.

    Each curve, and each kind of file for one with axes alone and one with a bar of colours: all carry the same record.
    """
    options = {"title": "A title", "style": "slide", "height": 120}
    name = plot.__name__.removeprefix("plot_")
    save_figure(plot(history, **options), tmp_path / name, kinds[:-1])
    for kind in kinds:
        data = (tmp_path / f"{name}.{kind}").read_bytes()
        assert b'"seed": 3' in data and b'"step": 60' in data and b'"torch": "2"' in data
        again = refigure(tmp_path / f"{name}.{kind}")
        assert (
            again.curve == name
            and again.style == STYLES["slide"]
            and again.options["title"] == "A title"
        )
        form = "svg" if kind == "json" else kind
        for file in save_figure(again, tmp_path / kind / name, (form,), provenance(history)):
            assert file.read_bytes() == (tmp_path / file.name).read_bytes(), kind
    small = replace(again, style="paper-single", height=None).plot()
    assert small.get_title("left") == "A title" and small.figure.get_size_inches()[
        0
    ] * 25.4 == pytest.approx(85)


def test_a_long_run_is_drawn_from_a_thousand_steps():
    two, random = space(), np.random.default_rng(0)
    alpha = random.normal(0, 1, (2500, 48))
    steps = [
        Step(i + 1, tuple(row), (0.0,) * 48, {"a": 1.0}, 0, 0, 0, 0, 1, 0, 0)
        for i, row in enumerate(alpha)
    ]
    ax = plot_gates(EventLog([Started({}, two.to_json(), {}, "cpu", 1), *steps]))
    path = ax.collections[0].get_segments()[0]
    assert 1000 <= len(path) <= 1500 and path[-1][0] == 2500
    assert path[-1][1] == pytest.approx(
        gates(alpha[-1][np.flatnonzero(alpha[-1] <= 0)[0]]), abs=1e-4
    )


def test_options_are_in_the_signature():
    assert {"ax", "style", "height", "rows", "title"} <= set(
        inspect.signature(plot_collapse).parameters
    )
    assert {"alpha", "step", "colorbar"} <= set(inspect.signature(plot_heatmap).parameters)
    assert len(plot_collapse(log(space()), rows=4).collections) == 4
    with pytest.raises(SpaceError, match="there are 1 to 60"):
        plot_heatmap(log(space()), step=61)


@pytest.mark.parametrize(
    "data",
    [
        {"curve": "rm"},
        {"curve": "entropy", "data": {}},
        {"curve": "entropy", "data": {"step": "x"}},
        {"curve": "gates", "data": {"step": [], "rows": [], "turned": [], "p": [], "kept": []}},
    ],
)
def test_a_file_that_describes_no_curve(data, tmp_path):
    (tmp_path / "x.json").write_text(
        json.dumps({"figure": {"style": asdict(STYLES["slide"]), **data}})
    )
    with pytest.raises(DataError, match="no curve that can be drawn"):
        refigure(tmp_path / "x.json")


@pytest.mark.parametrize("style", ["paper-single", "slide", "poster"])
def test_an_overview_needs_room(style, history):
    with pytest.raises(ConfigError, match="take paper-double or web-light"):
        overview(history, style=style)


def test_one_step_is_enough():
    one = log(space(), steps=1, evaluations=1)
    for plot in CURVES:
        assert plot(one)


class Picture:
    labels = ()

    def picture(self, x):
        return np.repeat(np.asarray(x, np.uint8)[..., None], 3, -1)


def test_predictions_stand_beside_the_truth():
    image, dense = np.random.default_rng(0).random((2, 3, 12, 16)), np.zeros((2, 12, 16))
    tasks = {"depth": Picture(), "edges": Picture()}
    figure = plot_predictions(
        image, {"depth": dense}, dict.fromkeys(tasks, dense), tasks, scores={"edges": "F1 0.5"}
    )
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["image", "depth: truth", "depth: prediction", "edges: prediction\nF1 0.5"]
    assert len(figure.axes) == 8
    assert len(plot_predictions(image[0], {}, {"depth": dense[0]}, {"depth": Picture()}).axes) == 2
    with pytest.raises(TaskError, match="outputs are of room"):
        plot_predictions(image, {}, {"room": dense}, {"depth": Picture()})
