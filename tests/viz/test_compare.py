"""Several architectures in one graph, a search as a film, an architecture in words."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from viz_fakes import HOSTILE, RESNET, alphas, log, space

from mtlnas_lab.analysis.edge_table import explain, to_latex, to_markdown
from mtlnas_lab.core.architecture import Architecture, agreement, derive
from mtlnas_lab.errors import ConfigError, SpaceError
from mtlnas_lab.viz import (
    animate,
    consensus_graph,
    difference_graph,
    filmstrip,
    stability,
)
from mtlnas_lab.viz.graph.build import ends

TWO = space()


def pick(*kept) -> Architecture:
    return Architecture(TWO, [i in kept for i in range(48)])


@pytest.mark.parametrize("split", [False, True])
def test_consensus_counts_runs(split):
    runs = [pick(0, 1, 5), pick(1, 5, 40), pick(5, 40, 47)]
    graph = consensus_graph(runs, split=split)
    shares = {0: 1 / 3, 1: 2 / 3, 5: 1, 40: 2 / 3, 47: 1 / 3}
    for i, edge in enumerate(TWO.edges):
        data = graph.edges[ends(edge, split)]
        assert data["probability"] == pytest.approx(shares.get(i, 0)) and data["kept"] == (
            i in (1, 5, 40)
        )
    assert graph.graph["runs"] == 3 and graph.graph["weights"] == "frequency"


@pytest.mark.parametrize("split", [False, True])
def test_difference_says_where_an_edge_is(split):
    graph = difference_graph(pick(0, 1), pick(1, 47), ("a", "b"), split=split)
    where = {i: graph.edges[ends(edge, split)]["where"] for i, edge in enumerate(TWO.edges)}
    assert where == {i: {0: "first", 1: "both", 47: "second"}.get(i, "neither") for i in range(48)}
    assert {graph.edges[ends(edge, split)]["kept"] for edge in TWO.edges[2:47]} == {False}


def test_stability_is_1_for_equals_and_0_for_chance():
    same = stability([pick(*range(20))] * 4)
    assert same == {"runs": 4, "jaccard": 1.0, "stability": pytest.approx(1)}
    random = np.random.default_rng(0)
    chance = stability([pick(*random.choice(48, 24, replace=False)) for _ in range(200)])
    assert abs(chance["stability"]) < 0.03 and chance["jaccard"] == pytest.approx(1 / 3, abs=0.03)
    a, b = pick(1, 2, 3), pick(2, 3, 4, 5)
    assert stability([a, b])["jaccard"] == agreement(a, b)["jaccard"]
    assert np.isnan(stability([a])["jaccard"]) and np.isnan(
        stability([pick(), pick()])["stability"]
    )


def test_what_cannot_be_compared():
    other = derive(space(plan=RESNET), alphas(space(plan=RESNET)))
    with pytest.raises(SpaceError, match="different spaces"):
        consensus_graph([pick(1), other])
    with pytest.raises(SpaceError, match="give two architectures or more"):
        consensus_graph([])
    with pytest.raises(SpaceError, match="no α"):
        filmstrip(log(TWO).__class__())


def test_a_gif_moves(tmp_path):
    first = animate(log(TWO), tmp_path / "a" / "film.gif", count=4, fps=10, pixels=300)
    with Image.open(first) as film:
        assert film.n_frames == 4 and film.width == 300
        pictures = [np.asarray(film.convert("RGB")) for i in range(4) if film.seek(i) is None]
        assert film.info["duration"] == 2000
    assert all((a != b).any() for a, b in zip(pictures, pictures[1:]))
    nodes = [(picture == [34, 98, 173]).all(2).sum() for picture in pictures]
    assert max(nodes) - min(nodes) <= 0.5 * max(nodes), "the layout stays"
    second = animate(log(TWO), tmp_path / "b.gif", count=4, fps=10, pixels=300)
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as film:
        assert json.loads(film.info["comment"])["seed"] == 3, "where it comes from"


def test_films_that_cannot_be(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="neither .gif nor .mp4"):
        animate(log(TWO), tmp_path / "film.avi")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="needs ffmpeg"):
        animate(log(TWO), tmp_path / "film.mp4")
    monkeypatch.setattr(shutil, "which", lambda name: shutil.__file__ and "/bin/false")
    with pytest.raises(ConfigError, match="could not write"):
        animate(log(TWO), tmp_path / "film.mp4", count=2, pixels=200)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_an_mp4_where_there_is_ffmpeg(tmp_path):
    data = animate(log(TWO), tmp_path / "film.mp4", count=3, pixels=301).read_bytes()
    assert data[4:8] == b"ftyp" and b'"seed": 3' in data


def test_a_sentence_for_each_kept_edge():
    architecture = derive(TWO, [4.0 if i in (0, 30) else -4.0 for i in range(48)])
    edge = str(TWO.edges[30])
    assert edge == "segmentation:4 -> normals:4"
    changes = {"segmentation": {"miou": -0.004}, "normals": {"mean_angle": -0.3, "within_11": 0}}
    rows = explain(architecture, {edge: changes}, {edge: 0.003}, every=True)
    assert [row.sentence for row in rows] == [
        "segmentation stage 0 takes normals stage 0, p = 0.98.",
        "normals stage 4 takes segmentation stage 4, p = 0.98, costs 0.3 % of the operations, removing it costs 0.4 "
        "points of mean IoU in segmentation and gains 0.3 degrees of mean angle in normals and leaves share within "
        "11.25° of normals as it is.",
    ]
    table = to_markdown(rows).splitlines()
    assert table[0].split("|")[1:-1] == [
        " from ",
        " to ",
        " p ",
        " operations ",
        " Δ mean IoU, segmentation (points ↑) ",
        " Δ mean angle, normals (degrees ↓) ",
        " Δ share within 11.25°, normals (points ↑) ",
    ]
    assert len({line.count("|") for line in table[:4]}) == 1
    assert (
        "| −0.40 | −0.30 | 0.00 |" in table[3]
        and "| – |" in table[2]
        and table[-1].startswith("- normals stage 4")
    )
    assert table[5].startswith("Δ is the score without the edge minus the score with it")
    latex = to_latex(rows)
    assert latex.count(r"\\") == 3 and r"\begin{tabular}{llrrrrr}" in latex and r"0.30 \%" in latex
    assert r"minus the score with it; \ensuremath{\uparrow} where more is better" in latex
    assert list(explain(architecture, {edge: changes})[1].changes["normals"]) == ["mean_angle"], (
        "of each task the first"
    )
    unknown = explain(
        architecture, {edge: {"normals": {"smell": 3.0, "miou": float("nan")}}}, every=True
    )[1].sentence
    assert unknown.endswith(
        "gains 3 of smell in normals and could not be scored by mean IoU in normals."
    )
    assert (
        "costs 12 degrees of mean angle"
        in explain(architecture, {edge: {"normals": {"mean_angle": 12.3}}})[1].sentence
    )
    assert explain(pick(3))[0].probability is None and "p =" not in explain(pick(3))[0].sentence
    assert "share nothing" in to_markdown(explain(pick())) and "share nothing" in to_latex(
        explain(pick())
    )
    with pytest.raises(SpaceError, match="no candidate"):
        explain(architecture, operations={"segmentation:9 -> normals:2": 0.1})


def test_names_are_safe_in_tables():
    one = space(names=HOSTILE)
    rows = explain(derive(one, alphas(one)))
    assert "<script>" not in to_markdown(rows).replace("\\<", "") and r"50\%\_of \$x" in to_latex(
        rows
    )
