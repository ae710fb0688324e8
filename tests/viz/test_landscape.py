"""A table of all graphs as pictures: what is drawn is what the frame says, in every style, and from the file again."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from mtlnas_lab.errors import ConfigError, DataError
from mtlnas_lab.viz import (
    STYLES,
    plot_effects,
    plot_front,
    plot_ranks,
    plot_regret,
    plot_seeds,
    refigure,
    save_figure,
)
from mtlnas_lab.viz.landscape import front_of, mean_curve

RANDOM = np.random.default_rng(0)
BITS = (np.arange(64)[:, None] >> np.arange(6)) & 1  # (graphs, edges)
LOSSES = pd.DataFrame({"a/loss": RANDOM.normal(1, 0.1, 64), "b/loss": RANDOM.normal(2, 0.1, 64)})
LOSSES["edges"] = BITS.sum(1)
COUNTS = {"edges into a": BITS[:, :3].sum(1), "edges into b": BITS[:, 3:].sum(1)}
RANKS = pd.DataFrame({**COUNTS, "rank": RANDOM.permutation(64) + 1})
SEEDS = pd.DataFrame(RANDOM.normal(0, 1, (64, 3)) + [0, 5, 9], columns=[0, 1, 2])
EDGES = [f"{one}:{i} -> {other}:{i}" for one, other in ("ab", "ba") for i in range(3)]
EFFECTS = pd.DataFrame(RANDOM.normal(0, 1, (6, 3)), index=EDGES, columns=[0, 1, 2])
ROWS = [
    [name, seed, 300 * look, float(RANDOM.random())]
    for name in ("random", "all")
    for seed in range(3)
    for look in range(1, 6)
]
CURVES = pd.DataFrame(ROWS, columns=["searcher", "seed", "spent", "regret"])
HALF = dict.fromkeys(EDGES, 0.5)
GROUPS = ["into b"] * 3 + ["into a"] * 3

FIGURES = {
    "front": lambda **look: plot_front(
        LOSSES, floor={"a/loss": 0.1, "b/loss": 0.05}, marked={"none": 0, "all": 63}, **look
    ),
    "ranks": lambda **look: plot_ranks(RANKS, **look),
    "effects": lambda **look: plot_effects(
        EFFECTS, score="total loss", half=HALF, groups=GROUPS, **look
    ),
    "seeds": lambda **look: plot_seeds(SEEDS, score="total loss", floor=1.0, **look),
    "regret": lambda **look: plot_regret(CURVES, score="total loss", floor=0.1, **look),
}
every = pytest.mark.parametrize("name", FIGURES)


@every
@pytest.mark.parametrize("style", ["paper-single", "web-dark", "slide"])
def test_every_figure_has_labels_a_legend_and_its_style(name, style):
    ax = FIGURES[name](style=style, title="A title")
    page = ax.figure
    page.canvas.draw()
    assert ax.get_xlabel() and ax.get_title("left") == "A title"
    assert ax.get_ylabel() or name == "effects", "there the rows are named"
    assert len(ax.get_legend().get_texts()) >= 2
    frame, legend = ax.get_window_extent(), ax.get_legend().get_window_extent()
    assert legend.y0 >= frame.y1 - 1, "the legend covers no point"
    box = page.get_tightbbox().transformed(page.dpi_scale_trans)
    assert page.bbox.x0 - 1 <= box.x0 and box.x1 <= page.bbox.x1 + 1
    assert page.bbox.y0 - 1 <= box.y0 and box.y1 <= page.bbox.y1 + 1
    texts = page.findobj(lambda artist: hasattr(artist, "get_fontsize") and artist.get_text())
    assert min(text.get_fontsize() for text in texts) >= 6
    assert np.allclose(page.get_size_inches()[0] * 25.4, STYLES[style].width)


@every
def test_a_figure_goes_where_it_is_told(name):
    ax = STYLES["slide"].figure().add_subplot()
    assert FIGURES[name](ax=ax) is ax


@every
def test_every_file_can_be_drawn_again(name, tmp_path):
    save_figure(FIGURES[name](style="slide", title="A title"), tmp_path / name, ("svg", "png"))
    for kind in ("svg", "png", "json"):
        again = refigure(tmp_path / f"{name}.{kind}")
        assert again.curve == name and again.style == STYLES["slide"]
        form = "svg" if kind == "json" else kind
        facts = json.loads((tmp_path / f"{name}.json").read_text())["provenance"]
        (file,) = save_figure(again, tmp_path / kind / name, (form,), facts)
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), kind


@every
def test_hostile_names_are_only_text(name):
    hostile = "<b>$x_1$</b> & \\frac"
    ax = {
        "front": lambda: plot_front(
            LOSSES.rename(columns={"a/loss": hostile}), marked={hostile: 3}, title=hostile
        ),
        "ranks": lambda: plot_ranks(RANKS.rename(columns={"edges into a": hostile})),
        "effects": lambda: plot_effects(EFFECTS.rename(index={EDGES[0]: hostile}), score=hostile),
        "seeds": lambda: plot_seeds(SEEDS.rename(columns={0: hostile}), score=hostile),
        "regret": lambda: plot_regret(CURVES.replace("random", hostile), score=hostile),
    }[name]()
    ax.figure.canvas.draw()


# --- the front --------------------------------------------------------------------------------------------------------
def test_two_names_at_one_place_are_one_label():
    said = [text.get_text() for text in plot_front(LOSSES, marked={"all": 63, "best": 63}).texts]
    assert "all, best" in said and "best" not in said


def test_the_front_is_that_which_none_beats():
    x, y = LOSSES["a/loss"], LOSSES["b/loss"]
    front = front_of(x, y)
    for place in range(64):
        beaten = any(
            x[other] <= x[place]
            and y[other] <= y[place]
            and (x[other], y[other]) != (x[place], y[place])
            for other in range(64)
        )
        assert beaten == (place not in front)
    assert sorted(x[front]) == list(x[front]) and front_of([1, 1], [1, 1]) == [0, 1]
    ax = FIGURES["front"]()
    (line,) = [line for line in ax.get_lines() if line.get_label().startswith("front")]
    assert np.allclose(line.get_xdata(), x[front]) and np.allclose(line.get_ydata(), y[front])
    assert f"front: {len(front)} graphs" in line.get_label()


def test_more_edges_are_darker_and_larger():
    dots = [line for line in FIGURES["front"]().get_lines() if line.get_label().endswith("edges")]
    dots += [line for line in FIGURES["front"]().get_lines() if line.get_label() == "1 edge"]
    dots.sort(key=lambda line: int(line.get_label().split()[0]))
    assert [len(line.get_xdata()) for line in dots] == [1, 6, 15, 20, 15, 6, 1]
    sizes = [line.get_markersize() for line in dots]
    shades = [sum(int(line.get_color()[i : i + 2], 16) for i in (1, 3, 5)) for line in dots]
    assert sizes == sorted(sizes) and shades == sorted(shades, reverse=True)


def test_the_cross_is_as_large_as_the_noise_and_stands_above_all_points():
    ax = FIGURES["front"]()
    (bars,) = ax.containers
    across, upright = (np.array(lines.get_segments()[0]) for lines in bars[2])
    assert np.ptp(across[:, 0]) == pytest.approx(0.1) and np.ptp(upright[:, 1]) == pytest.approx(
        0.05
    )
    assert upright[:, 1].min() >= LOSSES["b/loss"].max()
    assert not plot_front(LOSSES).containers
    assert [text.get_text() for text in ax.texts] == ["none", "all"]


# --- ranks, edges, seeds ----------------------------------------------------------------------------------------------
def test_each_field_holds_its_graphs_and_their_mean():
    ax = FIGURES["ranks"]()
    assert len(ax.patches) == 64 + 16  # squares, and fields behind them
    told = {text.get_position(): text.get_text() for text in ax.texts}
    for (a, b), part in RANKS.groupby(list(COUNTS)):
        assert told[a, b - 0.33] == f"{part['rank'].mean():.0f}"
    first = [patch for patch in ax.patches if patch.get_width() < 0.5][:1]
    rank = RANKS[(RANKS["edges into a"] == 0) & (RANKS["edges into b"] == 0)]["rank"].iloc[0]
    expected = STYLES["paper-single"].ramp(1 - (rank - 1) / 63)
    assert np.allclose(first[0].get_facecolor(), expected)


def test_an_edge_has_its_seeds_its_mean_and_its_interval():
    ax = FIGURES["effects"]()
    means = np.concatenate([bars[0].get_xdata() for bars in ax.containers])
    assert np.allclose(means, EFFECTS.mean(axis=1))
    arms = [
        np.ptp(np.array(lines.get_segments()[0])[:, 0])
        for bars in ax.containers
        for lines in bars[2]
    ]
    assert np.allclose(arms, 1.0)
    assert [label.get_text() for label in ax.get_yticklabels()][0] == "a:0 → b:0"
    markers = {bars[0].get_marker() for bars in ax.containers}
    assert len(markers) == 2, "groups differ in shape, too"


def test_a_seeds_own_effect_is_taken_off():
    ax = FIGURES["seeds"]()
    *dots, mean = ax.get_lines()[:4]
    rows = np.array([line.get_ydata() for line in dots])
    assert np.allclose(rows.mean(1), rows.mean()) and np.allclose(rows.mean(0), mean.get_ydata())
    assert (np.diff(mean.get_ydata()) >= 0).all()
    assert np.allclose(np.sort(SEEDS.mean(axis=1)), mean.get_ydata())


# --- searches ---------------------------------------------------------------------------------------------------------
def test_the_mean_of_curves_is_that_of_the_answers_by_then():
    x, mean = mean_curve([[[1, 4.0], [3, 2.0]], [[2, 0.0]]], end=5)
    assert x.tolist() == [2, 3, 5] and mean.tolist() == [2.0, 1.0, 1.0]
    ax = FIGURES["regret"]()
    bold = [line for line in ax.get_lines() if "3 seeds" in str(line.get_label())]
    assert [line.get_label() for line in bold] == ["random (3 seeds)", "all (3 seeds)"]
    for line in bold:
        own = CURVES[CURVES.searcher == line.get_label().split()[0]]
        assert np.allclose(line.get_ydata()[:5], own.groupby("spent").regret.mean())
    assert len(ax.get_lines()) == 2 * (3 + 1)
    assert len({(line.get_color(), line.get_marker()) for line in bold}) == 2


# --- what is none -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "draw, words",
    [
        (lambda: plot_front(5), "an? int is not a frame"),
        (lambda: plot_front(LOSSES[["a/loss", "edges"]]), "has 1 columns"),
        (lambda: plot_front(LOSSES.drop(columns="edges")), "no column 'edges'"),
        (lambda: plot_front(LOSSES.replace(LOSSES["a/loss"][3], np.nan)), "has a gap"),
        (lambda: plot_front(LOSSES, marked={"x": 64}), "give 0 to 63"),
        (lambda: plot_ranks(RANKS.drop(columns="rank")), "no column 'rank'"),
        (lambda: plot_effects(EFFECTS, score="x", groups=["a"]), "1 groups of 6 edges"),
        (lambda: plot_seeds(SEEDS[[0]], score="x"), "has 1 columns"),
        (lambda: plot_regret(CURVES.drop(columns="spent")), "no column 'spent'"),
        (lambda: plot_regret(CURVES[:0]), "is empty"),
        (lambda: plot_regret(CURVES, height="tall"), "the height is 'tall'"),
    ],
)
def test_what_is_no_such_table_is_refused(draw, words):
    with pytest.raises(ConfigError, match=words):
        draw()


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """{name: what the file beside a figure says of it}."""
    folder = tmp_path_factory.mktemp("described")
    found = {}
    for name, draw in FIGURES.items():
        save_figure(draw(), folder / name, ("svg",))
        found[name] = json.loads((folder / f"{name}.json").read_text())["figure"]
    return found


@every
@pytest.mark.parametrize("damage", [{}, None, 7, [[]], [None, "a"]])
def test_a_damaged_file_is_refused(name, damage, described, tmp_path):
    whole = described[name]
    for key in whole["data"]:
        figure = {**whole, "data": {**whole["data"], key: damage}}
        (tmp_path / "x.json").write_text(json.dumps({"figure": figure}))
        with pytest.raises(DataError, match="no curve that can be drawn"):
            refigure(tmp_path / "x.json")
    plain = {"curve": name, "data": {}, "style": asdict(STYLES["slide"])}
    (tmp_path / "x.json").write_text(json.dumps({"figure": plain}))
    with pytest.raises(DataError, match="no curve that can be drawn"):
        refigure(tmp_path / "x.json")
