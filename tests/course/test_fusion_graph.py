"""Checks of notebook 08 with right, wrong and almost right answers."""

import numpy as np
import pytest
from judging import cases, judge

from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.course import check
from mtlnas_lab.course.checks.fusion_graph import space
from mtlnas_lab.viz import difference_graph, save_figure, save_fusion_graph, small_multiples

GAP = 0.55


def placed(
    x=lambda s, n: n.stage + GAP * s.stage(n).group,
    y=lambda s, n: -s.tasks.index(n.task),
    key=str,
    count=None,
):
    return lambda s: {key(n): (x(s, n), y(s, n)) for n in s.nodes[:count]}


def bent(a, b, by, left=1, fixed=False, share=0.5):
    (x0, y0), (x1, y1) = a, b
    if fixed:
        (x0, y0), (x1, y1) = sorted([a, b])
    return x0 + share * (x1 - x0) - left * by * (y1 - y0), y0 + share * (y1 - y0) + left * by * (
        x1 - x0
    )


def agree(kept, ddof=1, of=lambda s, q, kept: 1 - s.mean() / (q * (1 - q))):
    return of(kept.var(0, ddof=ddof), kept.mean(), kept)


def edgewise(s, q, kept):
    q = kept.mean(0)
    return 1 - np.nanmean(s / np.maximum(q * (1 - q), 1e-9))


ANSWERS = {
    "08.place": [
        (placed(), None),
        (placed(x=lambda s, n: n.stage), "so nobody sees them"),
        (placed(y=lambda s, n: s.tasks.index(n.task)), "upper lane"),
        (placed(key=lambda n: n), "str(node)"),
        (placed(count=5), "go through space.nodes"),
        (placed(x=lambda s, n: n.stage + GAP), "belongs at"),
        (lambda s: [(0, 0)] * len(s.nodes), "give a dictionary"),
        (lambda s: {}, "give a dictionary"),
        (placed(x=lambda s, n: "left"), "two numbers for a:0"),
    ],
    "08.bend": [
        (bent, None),
        (lambda a, b, by: np.array(bent(a, b, by)), None),
        (lambda a, b, by: bent(a, b, by, left=-1), "to the right"),
        (lambda a, b, by: bent(a, b, by, fixed=True), "the same way"),
        (lambda a, b, by: bent(a, b, 0), "the same way"),
        (lambda a, b, by: bent(a, b, by, share=0.25), "should be pulled to"),
        (lambda a, b, by: by, "one point"),
        (lambda a, b, by: [a, b], "one point"),
    ],
    "08.stability": [
        (agree, None),
        (lambda kept: agree(kept, ddof=0), "N − 1"),
        (lambda kept: agree(kept, of=lambda s, q, kept: s.mean() / (q * (1 - q))), "1 minus"),
        (lambda kept: agree(kept, of=edgewise), "not one for each edge"),
        (lambda kept: kept.mean(), "equal runs should give 1"),
        (lambda kept: kept.var(0), "one number"),
    ],
    "08.overlap": [
        (lambda a, b, candidates: a * b / candidates, None),
        (lambda a, b, candidates: a * b / candidates**2, "a share of the candidates"),
        (lambda a, b, candidates: min(a, b), "the most"),
        (lambda a, b, candidates: a / 2, "with the same chance"),
        (lambda a, b, candidates: [a], "one number"),
    ],
}


@pytest.mark.parametrize("name, answer, said", cases(ANSWERS))
def test_answers(name, answer, said):
    judge(name, answer, said)


@pytest.mark.parametrize("name", ANSWERS)
def test_stubs(name):
    assert check(name, lambda *_: ...).solved is None and check(name, ...).solved is None


@pytest.fixture
def pair():
    two = space(("segmentation", "normals"))
    return [Architecture(two, tuple((i * k) % 3 == 0 for i in range(len(two)))) for k in (1, 2)]


def written(folder, graph, formats=("pdf", "tikz"), **look):
    return save_fusion_graph(
        graph, folder, formats, name="mine", **({"width": 120, "dropped": "hide"} | look)
    )


@pytest.mark.parametrize(
    "change, wrong",
    [
        ({}, None),
        ({"style": "paper-double"}, None),
        ({"width": None, "style": "paper-double"}, "178 mm wide"),
        ({"dropped": "faint"}, "hide"),
        ({"formats": ("pdf", "png")}, "PDF and TikZ"),
        ({"formats": ("png",)}, "PDF and TikZ"),
    ],
)
def test_column(tmp_path, pair, change, wrong):
    verdict = check("08.column", written(tmp_path, difference_graph(*pair), **change))
    assert (
        verdict.solved is (wrong is None) and (wrong or "7 pt" * (change == {})) in verdict.message
    ), verdict
    assert verdict.picture.startswith(b"\x89PNG")


def test_column_of_something_else(tmp_path, pair):
    assert "graph of one search" in check("08.column", written(tmp_path, pair[0])).message
    for file in written(tmp_path, difference_graph(*pair)):
        file.unlink()
    assert "is not there" in check("08.column", [tmp_path / "mine.pdf"]).message
    assert "list of files" in check("08.column", tmp_path / "mine.pdf").message
    (tmp_path / "other.pdf").write_bytes(b"%PDF-1.4 nothing")
    assert "holds no fusion graph" in check("08.column", [tmp_path / "other.pdf"]).message
    many = save_figure(
        small_multiples({"a": pair[0], "b": pair[1]}), tmp_path / "many", ("pdf", "tikz")
    )
    assert "something else" in check("08.column", many).message
    assert check("08.column", ...).solved is None
