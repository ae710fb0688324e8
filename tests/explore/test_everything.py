"""The page of all methods: searches as a frame, your own beside them, the picture and its table for LaTeX."""

import pandas as pd
import pytest

from mtlnas_lab.bench.searchers import SEARCHERS
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.explore import everything
from mtlnas_lab.explore.report import write
from mtlnas_lab.explore.study import Exploration, Findings

TABLE = "segmentation-normals"


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """A small study of baselines."""
    arms = {}
    for method in ("no_edges", "all_edges", "random"):
        for budget in (600, 1500):
            settings = {"arm": "searched", "method": method, "where": TABLE, "budget": budget}
            arms[f"{method}, {TABLE}, {budget}"] = settings
    study = Exploration("small", "everything", "Which?", arms, seeds=(0, 1, 2))
    folder = tmp_path_factory.mktemp("rows")
    list(study.run(folder, backend="sequential"))
    return Findings.from_folder(study, folder)


def test_every_search_is_a_line(findings):
    frame = everything.frame_of(findings)
    assert len(frame) == 18 and set(frame["budget"]) == {600, 1500}
    table = FusionTable.open(TABLE)
    none = frame[frame["method"] == "no_edges"]
    assert none["regret"].tolist() == pytest.approx([table.regret(0)] * 6)
    assert (frame[frame["method"] == "random"]["spent"] <= frame["budget"].max()).all()


def test_your_own_stands_beside_them(findings):
    def only_the_first(problem):
        yield 1

    frame = everything.frame_of(findings)
    mine = everything.entered({"mine": only_the_first}, [TABLE], range(3), [600, 1500])
    assert set(mine["regret"]) == {FusionTable.open(TABLE).regret(1)}
    both = pd.concat([frame, mine])
    figure = everything.page(both)
    (axes,) = figure.axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    means = both[both["budget"] == 1500].groupby("method")["regret"].mean()
    assert names == [name.replace("_", " ") for name in means.sort_values(kind="stable").index]
    assert axes.get_title(loc="left") == TABLE
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["600 training steps", "1,500 training steps"]


def test_a_method_with_a_budget_of_its_own_is_the_last(findings):
    frame = everything.frame_of(findings)
    mine = everything.entered({"mine": lambda problem: [255]}, [TABLE], [0], [600])
    both = pd.concat([frame, mine])
    (axes,) = everything.page(both).axes
    assert axes.get_yticklabels()[-1].get_text() == "mine"
    last = everything.latex(both).splitlines()[-3]
    assert last.startswith("mine & ") and "pm" not in last, "a single search has no interval"


def test_a_name_of_the_lab_is_taken():
    with pytest.raises(ConfigError, match="random is a method of the lab"):
        everything.entered({"random": SEARCHERS["random"]}, [TABLE], [0], [600])


def test_a_share_is_of_what_chance_loses():
    table = FusionTable.open(TABLE)
    by_chance = [table.regret(graph) for graph in table.graphs]
    found = everything.confirmed(0, "no_edges", TABLE, 300)
    mean = sum(by_chance) / len(by_chance)
    assert found["share"] == pytest.approx(table.regret(0) / mean)


def test_no_such_method():
    with pytest.raises(ConfigError, match="method = 'fast' is none of the choices guess"):
        everything.searched(0, "fast", TABLE, 300)


def test_a_picture_tells_four_budgets_apart(findings):
    frame = everything.frame_of(findings)
    many = pd.concat([frame.assign(budget=budget) for budget in range(5)])
    with pytest.raises(ConfigError, match="5 budgets in a picture of methods; give 1 to 4"):
        everything.page(many)


def test_the_report_has_the_page_for_a_paper(findings, tmp_path):
    paths = write(findings, tmp_path)
    assert [path.name for path in paths[3:]] == [
        "small.pdf",
        "small.png",
        "small.tex",
    ]
    text = (tmp_path / "small.tex").read_text()
    assert text.startswith("\\begin{tabular}{lrr}") and "no edges & $" in text
    html = (tmp_path / "report.html").read_text()
    assert html.index("<svg") < html.index("All numbers")


def test_a_folder_that_cannot_be_written(findings, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(RunError, match="taken"):
        write(findings, tmp_path / "taken")
