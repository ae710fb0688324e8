"""A folder of submissions: what their checks said, as a table and as credit; what everybody guessed, as a picture."""

import csv

import nbformat
import pytest
from right_answers import derived

from mtlnas_lab.cli.main import main
from mtlnas_lab.course import check
from mtlnas_lab.course.grading import collect, grades, guesses_of
from mtlnas_lab.course.predictions import Revealed
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.viz.guesses import plot_guesses


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLNAS_LAB_PROGRESS", str(tmp_path / "progress.json"))


def hand_in(path, *cells):
    """A notebook of cells (source, what it shows last)."""
    notebook = nbformat.v4.new_notebook()
    for source, shown in cells:
        cell = nbformat.v4.new_code_cell(source)
        cell.outputs = [nbformat.v4.new_output("execute_result", data={"text/plain": repr(shown)})]
        notebook.cells.append(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture
def folder(tmp_path):
    """Thirty readers: all solve one exercise, every third another one, and nobody a third."""
    right = check(
        "07.gap", lambda soft, hard, more: 100 * (soft - hard if more else hard - soft) / soft
    )
    wrong = check("07.derive", lambda alpha, budget: [True for _ in alpha])
    also = check("07.derive", derived)
    empty = check("07.cost", ...)
    assert (right.solved, wrong.solved, also.solved, empty.solved) == (True, False, True, None)
    for i in range(30):
        guessed = Revealed(10 * (i % 4), "It is: 1.9 %. Gates that have decided.")
        hand_in(
            tmp_path / "class" / f"reader {i:02}" / "07_derive_and_gap.ipynb",
            ('check("07.gap", gap)', right),
            ('check("07.derive", derived)', also if i % 3 == 0 else wrong),
            ('check("07.cost", edge_parameters)', empty),
            ('reveal("07.pixels", "1.9 %")', guessed),
        )
    return tmp_path / "class"


def test_thirty_are_graded_in_one_go(folder, tmp_path, capsys):
    table, picture = tmp_path / "grades.csv", tmp_path / "guesses.png"
    main(["grade", str(folder), "--out", str(table), "--tried", "0.5", "--guesses", str(picture)])
    lines = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert len(lines) == 30 and {line["notebook"] for line in lines} == {"07"}
    assert [line["credit"] for line in lines[:3]] == ["40.0", "30.0", "30.0"]
    assert picture.stat().st_size > 3000
    assert "30 readers" in capsys.readouterr().out


def test_the_class_as_one_picture(folder):
    asked = guesses_of(collect(folder))
    assert len(asked["07.pixels"]["guesses"]) == 30
    asked["00.arrows"] = {"guesses": ["more in", "more out", "more in"], "outcomes": ["more in"]}
    figure = plot_guesses(asked)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[0] == "07.pixels: it is 1.9 %" and "00.arrows" in titles[1]
    assert len(figure.axes[0].lines[0].get_xdata()) == 30
    assert [bar.get_width() for bar in figure.axes[1].patches] == [2, 1]


def test_the_last_check_counts_and_copies_of_jupyter_do_not(tmp_path):
    right = check("00.count", lambda edges: 2**edges)
    hand_in(tmp_path / "ada.ipynb", ("check(…)", check("00.count", ...)), ("check(…)", right))
    hand_in(tmp_path / ".ipynb_checkpoints" / "ada.ipynb", ("check(…)", check("00.count", ...)))
    (one,) = collect(tmp_path)
    assert one.reader == "ada" and one.verdicts == {"00.count": True}
    assert grades([one])[0]["credit"] == 100


def test_what_cannot_be_graded_is_said(tmp_path, capsys):
    with pytest.raises(ConfigError, match="has no notebooks"):
        collect(tmp_path)
    with pytest.raises(ConfigError, match="from 0 to 1"):
        grades([], tried=2)
    with pytest.raises(ConfigError, match="nobody made a guess"):
        plot_guesses({})
    (tmp_path / "bob.ipynb").write_text("[]")
    with pytest.raises(SystemExit):
        main(["grade", str(tmp_path)])
    assert "bob.ipynb cannot be read as a notebook" in capsys.readouterr().err
