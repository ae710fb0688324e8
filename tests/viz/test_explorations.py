"""Fronts that are found, scores that order graphs, distances between tasks: what is drawn is what the frame says."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from mtlnas_lab.errors import ConfigError, DataError
from mtlnas_lab.viz import (
    STYLES,
    plot_adaptation,
    plot_agreement,
    plot_budgets,
    plot_choices,
    plot_decisions,
    plot_distances,
    plot_found,
    plot_population,
    plot_profile,
    plot_tournament,
    refigure,
    save_figure,
)

RANDOM = np.random.default_rng(0)
LOSSES = pd.DataFrame({"a/loss": RANDOM.normal(1, 0.1, 64), "b/loss": RANDOM.normal(2, 0.1, 64)})
LOSSES["edges"] = [graph.bit_count() for graph in range(64)]
SCORES = pd.DataFrame(RANDOM.normal(0, 1, (40, 3)), columns=["true", "one", "two"])
NAMES = ["depth", "normals", "room"]
MATRIX = pd.DataFrame(RANDOM.random((3, 3)), index=NAMES, columns=NAMES)
SHARES = pd.DataFrame(RANDOM.dirichlet([1] * 3, 4), columns=["none", "gate", "nddr"])
LEFT = pd.DataFrame(RANDOM.random((30, 2)), columns=["stage 0", "stage 1"])
EDGES = pd.DataFrame(
    {"better": list("aabc"), "worse": list("bdca"), "weight": [0.9, 1.0, 0.8, 0.3]}
)
BUDGETS = pd.DataFrame({"method": ["one", "one", "two"] * 8, "budget": [8, 16, 8] * 8})
BUDGETS = BUDGETS.assign(seed=np.arange(24) // 3, value=RANDOM.random(24))
PROFILE = pd.DataFrame(RANDOM.random((4, 2)), columns=["depth → room", "room → depth"])
POPULATION = pd.DataFrame(RANDOM.integers(0, 2, (12, 3)), columns=["a → b", "b → a", "a → c"])
POPULATION["generation"] = np.repeat([1, 2, 3], 4)
ADAPTATION = pd.DataFrame(RANDOM.random((3, 2)), index=[0, 5, 20], columns=["meta", "joint"])

FIGURES = {
    "found": lambda **look: plot_found(LOSSES, found=[0, 5, 63], truth=[5, 6], **look),
    "agreement": lambda **look: plot_agreement(SCORES, tau={"one": 0.25}, **look),
    "distances": lambda **look: plot_distances(MATRIX, **look),
    "profile": lambda **look: plot_profile(PROFILE, **look),
    "choices": lambda **look: plot_choices(SHARES, share="share of seeds", **look),
    "decisions": lambda **look: plot_decisions(LEFT, **look),
    "tournament": lambda **look: plot_tournament(EDGES, order="abcd", **look),
    "budgets": lambda **look: plot_budgets(
        BUDGETS, quantity="regret", half={"one": {8: 0.1}}, **look
    ),
    "population": lambda **look: plot_population(POPULATION, **look),
    "adaptation": lambda **look: plot_adaptation(ADAPTATION, half={"meta": [0.1] * 3}, **look),
}
every = pytest.mark.parametrize("name", FIGURES)


@every
@pytest.mark.parametrize("style", ["paper-single", "web-dark", "slide"])
def test_every_figure_has_labels_a_legend_and_its_style(name, style):
    ax = FIGURES[name](style=style, title="A title")
    page = ax.figure
    page.canvas.draw()
    assert ax.get_xlabel() and ax.get_ylabel() and ax.get_title("left") == "A title"
    frame, legend = ax.get_window_extent(), ax.get_legend().get_window_extent()
    assert legend.y0 >= frame.y1 - 1, "the legend covers no point"
    box = page.get_tightbbox().transformed(page.dpi_scale_trans)
    assert page.bbox.x0 - 1 <= box.x0 and box.x1 <= page.bbox.x1 + 1
    assert np.allclose(page.get_size_inches()[0] * 25.4, STYLES[style].width)


@every
def test_every_file_can_be_drawn_again(name, tmp_path):
    save_figure(FIGURES[name](style="slide", title="A title"), tmp_path / name, ("svg",))
    again = refigure(tmp_path / f"{name}.svg")
    assert again.curve == name and again.style == STYLES["slide"]
    facts = json.loads((tmp_path / f"{name}.json").read_text())["provenance"]
    (file,) = save_figure(again, tmp_path / "again" / name, ("svg",), facts)
    assert file.read_bytes() == (tmp_path / file.name).read_bytes()


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """{name: what the file beside a figure says of it}."""
    folder = tmp_path_factory.mktemp("figures")
    found = {}
    for name, plot in FIGURES.items():
        save_figure(plot(), folder / name, ("png",))
        found[name] = json.loads((folder / f"{name}.json").read_text())["figure"]
    return found


@every
@pytest.mark.parametrize("damage", [{}, None, 7, [[]], [None, "a"]])
def test_a_damaged_file_is_refused(name, damage, records, tmp_path):
    whole = records[name]
    for key in whole["data"]:
        figure = {**whole, "data": {**whole["data"], key: damage}}
        (tmp_path / "x.json").write_text(json.dumps({"figure": figure}))
        with pytest.raises(DataError, match="no curve that can be drawn"):
            refigure(tmp_path / "x.json")


@every
def test_hostile_names_are_only_text(name):
    hostile = "<b>$x_1$</b> & \\frac"
    ax = {
        "found": lambda: plot_found(LOSSES.rename(columns={"a/loss": hostile}), title=hostile),
        "agreement": lambda: plot_agreement(SCORES.rename(columns={"one": hostile})),
        "distances": lambda: plot_distances(MATRIX.rename(columns={"room": hostile})),
        "profile": lambda: plot_profile(PROFILE.rename(columns={"depth → room": hostile})),
        "choices": lambda: plot_choices(SHARES.rename(columns={"gate": hostile})),
        "decisions": lambda: plot_decisions(LEFT.rename(columns={"stage 0": hostile})),
        "tournament": lambda: plot_tournament(EDGES.replace("a", hostile), title=hostile),
        "budgets": lambda: plot_budgets(BUDGETS.replace("one", hostile), quantity=hostile),
        "population": lambda: plot_population(POPULATION.rename(columns={"a → b": hostile})),
        "adaptation": lambda: plot_adaptation(ADAPTATION.rename(columns={"meta": hostile})),
    }[name]()
    ax.figure.canvas.draw()


def test_what_is_found_is_coloured_and_the_truth_is_ringed():
    ax = FIGURES["found"]()
    grey, *found, ring = ax.get_lines()
    assert len(grey.get_xdata()) == 61
    assert sum(len(line.get_xdata()) for line in found) == 3
    assert np.allclose(ring.get_xdata(), LOSSES["a/loss"][[5, 6]])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "true front: 2 graphs, 1 of them found" in texts
    assert not any(
        "true front" in text.get_text() for text in plot_found(LOSSES).get_legend().get_texts()
    )


def test_where_no_search_is_shown_nothing_is_called_found():
    ax = plot_found(LOSSES, truth=[5, 6])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "true front: 2 graphs" in texts and "not found" not in texts
    *dots, _ = ax.get_lines()
    assert sum(len(line.get_xdata()) for line in dots) == len(LOSSES)


def test_every_series_has_its_tau_colour_and_shape():
    ax = FIGURES["agreement"]()
    lines = ax.get_lines()
    assert [line.get_label() for line in lines] == ["one, τ = 0.25", "two"]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 2
    assert np.allclose(lines[1].get_ydata(), SCORES["two"])


def test_the_matrix_is_source_by_target():
    texts = {text.get_position(): text.get_text() for text in FIGURES["distances"]().texts}
    assert texts[2, 0] == f"{MATRIX.loc['depth', 'room']:.2f}"
    assert texts[0, 2] == f"{MATRIX.loc['room', 'depth']:.2f}"
    assert len(FIGURES["distances"]().get_lines()) == 3, "a frame for each task with itself"


def test_the_largest_share_of_each_stage_has_a_frame():
    lines = FIGURES["choices"]().get_lines()
    places = [(round(line.get_ydata().mean() - 0.092), line.get_xdata().mean()) for line in lines]
    assert [row for row, _ in places] == [0, 1, 2, 3]
    columns = [round(column - 0.092) for _, column in places]
    assert columns == SHARES.to_numpy().argmax(1).tolist()


def test_a_cycle_is_red_and_its_edge_against_the_order_below_the_row():
    ax = FIGURES["tournament"](style="web-light")
    red = STYLES["web-light"].task_colors[5]
    ends = {}
    for arrow in ax.patches:
        (x, _), (_, height), (end, _) = arrow._path_original.vertices
        turns = to_hex(arrow.get_edgecolor()) == red
        ends[round(x), round(end)] = (turns, height > 0, arrow.get_linewidth())
    assert {pair: one[:2] for pair, one in ends.items()} == {
        (0, 1): (True, True),
        (1, 2): (True, True),
        (2, 0): (True, False),
        (0, 3): (False, True),
    }
    wide = [ends[pair][2] for pair in ((2, 0), (1, 2), (0, 1), (0, 3))]
    assert wide == sorted(wide), "the surer, the wider"
    kept = plot_tournament(EDGES[:3], order="abcd")
    assert [text.get_text() for text in kept.get_legend().get_texts()] == ["on no cycle: 3"]


def test_every_seed_is_a_dot_and_the_mean_a_line():
    ax = FIGURES["budgets"]()
    means = [line.get_ydata() for line in ax.get_lines() if line.get_linestyle() == "-"]
    wide = BUDGETS.groupby(["method", "budget"])["value"].mean()
    assert np.allclose(means[0], wide["one"].loc[[8, 16]]) and np.allclose(means[1], wide["two"])
    dots = [line for line in ax.get_lines() if line.get_linestyle() == "None"]
    assert sum(len(line.get_xdata()) for line in dots if len(line.get_xdata()) == 8) == 24


def test_the_bitmap_has_a_row_for_each_edge_and_a_column_for_each_graph():
    ax = FIGURES["population"]()
    (image,) = ax.get_images()
    edges = ["a → b", "b → a", "a → c"]
    assert np.array_equal(image.get_array(), POPULATION[edges].to_numpy().T)
    assert list(ax.get_xticks()) == [1.5, 5.5, 9.5], "the middle of each generation"
    assert len(ax.get_lines()) == 2, "a line between two generations"


def test_the_adaptation_says_the_loss_after_each_step_and_where_chance_is():
    ax = FIGURES["adaptation"]()
    first, *_, chance = ax.get_lines()
    assert np.allclose(first.get_ydata(), ADAPTATION["meta"])
    assert list(chance.get_ydata()) == [1, 1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["meta", "joint", "chance"]


@pytest.mark.parametrize(
    "draw, words",
    [
        (lambda: plot_population(POPULATION[::-1]), "generation does not count up"),
        (lambda: plot_population(POPULATION.replace(1, 2)), "neither 0 nor 1"),
        (lambda: plot_population(POPULATION.drop(columns="generation")), "no column 'generation'"),
        (
            lambda: plot_adaptation(ADAPTATION, half={"scratch": [1]}),
            "'scratch', which is no column",
        ),
        (lambda: plot_adaptation(ADAPTATION[::-1]), "does not count up"),
        (lambda: plot_adaptation(ADAPTATION, half={"meta": [1]}), "half has 1 values; give 3"),
        (lambda: plot_found(LOSSES, found=[64]), "found has row 64; give 0 to 63"),
        (lambda: plot_found(LOSSES.drop(columns="edges")), "no column 'edges'"),
        (lambda: plot_agreement(SCORES[["true"]]), "has 1 columns"),
        (lambda: plot_distances(MATRIX.replace(MATRIX.iloc[0, 0], np.nan)), "has a gap"),
        (lambda: plot_profile(5), "is not a frame"),
        (lambda: plot_choices(2 * SHARES), "give numbers from 0 to 1"),
        (lambda: plot_choices(SHARES[["gate"]]), "has 1 columns"),
        (lambda: plot_decisions(LEFT.replace(LEFT.iloc[0, 0], np.nan)), "has a gap"),
        (lambda: plot_tournament(EDGES.drop(columns="worse")), "no column 'worse' of names"),
        (lambda: plot_tournament(EDGES, order="abc"), "'a' → 'd' does not lead from one graph"),
        (lambda: plot_tournament(EDGES.assign(weight=-1.0)), "weight has a number below 0"),
        (lambda: plot_budgets(BUDGETS.assign(budget=0), quantity="x"), "give numbers above 0"),
    ],
)
def test_what_is_no_such_frame_is_refused(draw, words):
    with pytest.raises(ConfigError, match=words):
        draw()
