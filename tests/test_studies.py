"""A study of a few steps: cells, run folders, going on, failures that do not cost the others, tables, the report."""
from dataclasses import replace

import pytest

from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.report import Findings, write
from mtlnas_lab.runs import Run
from mtlnas_lab.studies import FOLDER, Study, _grid

ROWS = {"single_task": {"method": "single_task"}, "mtlnas": {},
        "random graph": {"method": "random_graph", "edges_of": "mtlnas", "draws": 2}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(study, folder, what was yielded) of a study whose runs took two steps each."""
    study = Study("small", "Does it <run>?", ROWS, (0, 1), "mtlnas", {"steps": 2, "evaluate_every": 1})
    out = tmp_path_factory.mktemp("study")
    return study, out, list(study.run(out, backend="sequential"))


@pytest.mark.slow
def test_every_row_runs_with_every_seed(finished):
    study, out, done = finished
    assert [d.error for d in done] == [None] * 8
    searched = Run.open(out / "mtlnas" / "seed0").read_json("architecture.json")["kept"]
    graphs = [Run.open(out / cell.folder).read_json("architecture.json")["kept"] for cell in study.cells()
              if cell.row == "random graph" and cell.seed == 0]
    assert {len(graph) for graph in graphs} == {len(searched)} and graphs[0] != graphs[1] and graphs[0] != searched


@pytest.mark.slow
def test_what_is_finished_is_not_done_again_and_what_is_not_goes_on(finished):
    study, out, _ = finished
    before = (out / "mtlnas" / "seed1" / "scores.json").read_bytes()
    (out / "mtlnas" / "seed1" / "scores.json").unlink()                      # as after a kill
    again = list(study.run(out, backend="sequential"))
    assert all(d.error is None for d in again) and (out / "mtlnas" / "seed1" / "scores.json").read_bytes() == before
    assert sum(d.seconds < 0.05 for d in again) == 7


@pytest.mark.slow
def test_a_cell_that_fails_is_told_and_costs_no_other(finished, tmp_path):
    study = replace(finished[0], rows={"single_task": {"method": "single_task"}, "broken": {"fusion": "nonsense"}}, reference="single_task",
                    seeds=(0,), base={"steps": 1})
    done = {d.cell.row: d.error for d in study.run(tmp_path, backend="sequential")}
    assert done["single_task"] is None and "no fusion 'nonsense'" in done["broken"]
    assert set(study.table(tmp_path).row) == {"single_task"}


@pytest.mark.slow
def test_tables_and_report(finished, tmp_path):
    study, out, _ = finished
    findings = Findings.of(study, out)
    table = findings.scores
    assert set(table.row) == set(ROWS) and set(table.kind) == {"soft", "hard", "hard_recalibrated", "trivial"}
    assert table[table.step.notna()].split.eq("val").all() and table[table.step.isna()].split.eq("test").all()
    assert findings.gains.shape == (3, 2) and (findings.gains.loc["single_task"] == 0).all()
    assert [c.row for c in findings.compared()] == ["single_task", "random graph"]
    made = {path.name: path for path in write(findings, tmp_path)}
    page = made["report.html"].read_text()
    assert "Does it &lt;run&gt;?" in page and page.count("<svg") == 4
    assert not any(mark in page for mark in ("src=", 'href="http', "<script", "<link"))
    assert made["report.pdf"].read_bytes().startswith(b"%PDF")
    assert r"\toprule" in made["tables.tex"].read_text() and "mtlnas" in made["report.md"].read_text()
    again = Findings.read(study, tmp_path)                                    # the tables alone say the same
    assert [c.sentence for c in again.compared()] == [c.sentence for c in findings.compared()]
    assert again.overlap() == findings.overlap()


def test_a_grid_names_its_rows():
    rows = dict(_grid({"alpha_lr": [0.1, 0.2], "entropy_weight": {"none": 0, "some": 10}}))
    assert rows["alpha_lr 0.1, some"] == {"alpha_lr": 0.1, "entropy_weight": 10} and len(rows) == 4


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
@pytest.mark.parametrize("size", ["small", "full"])
def test_the_shipped_studies_are_sound(path, size, tmp_path):
    study = Study.load(path.stem, size)
    assert study.name == path.stem and len(study.seeds) >= 3 and "single_task" in study.rows
    folders = [cell.folder for cell in study.cells()]
    assert len(set(folders)) == len(folders)
    for cell in study.cells():
        if "edges_of" not in cell.settings and "data" not in cell.settings:
            assert study.experiment(cell, tmp_path).search.steps == study.base["steps"]


@pytest.mark.parametrize("text, message", [
    ("name: a", "is no study"), ("[1, 2]", "is no study"), ("a: [", "is no study"),
    ("{name: a, question: b, reference: x, rows: {x: {stepps: 3}}}", "sets stepps"),
    ("{name: a, question: b, reference: y, rows: {x: {}}}", "reference 'y' is no row"),
    ("{name: a, question: b, reference: x, rows: {x: {edges_of: z}}}", "'z', which is no row"),
    ("{name: a, question: b, reference: x, rows: {x: {}}, sizes: {big: {}}}", "no size 'small'; it has big")])
def test_files_that_are_none(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        Study.load(tmp_path / "study.yaml")


def test_a_file_that_is_not_there_names_those_that_are():
    with pytest.raises(ConfigError, match="shipped studies are .*main"):
        Study.load("nowhere.yaml")


def test_no_run_no_report(tmp_path):
    with pytest.raises(RunError, match="run it first"):
        Findings.of(Study.load("main"), tmp_path)
