"""A study of a few steps: cells, run folders, going on, failures that do not cost the others, tables, the report."""

import os
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from viz_fakes import space

from mtlnas_lab.analysis import edge_importance as informative
from mtlnas_lab.analysis.report import StudyResults, facts, write
from mtlnas_lab.analysis.results import Compared
from mtlnas_lab.analysis.statistics import difference
from mtlnas_lab.analysis.study import FOLDER, Study, grid_rows
from mtlnas_lab.cli import progress as console
from mtlnas_lab.data.open import samples
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import pretrain
from mtlnas_lab.explore.study import explores
from mtlnas_lab.runs.run import Run
from mtlnas_lab.runs.run_writer import RunWriter

ROWS = {
    "single_task": {"method": "single_task"},
    "mtlnas": {},
    "random graph": {"method": "random_graph", "edges_of": "mtlnas", "draws": 2},
}

OF_RUNS = [path for path in sorted(FOLDER.glob("*.yaml")) if not explores(path)]


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Settings of a study: sixteen pictures of rooms, networks taught for a step."""
    path = tmp_path_factory.mktemp("few") / "few.npz"
    with np.load(samples() / "rooms.npz") as rooms:
        np.savez(
            path, **{name: array[:16] if "/" in name else array for name, array in rooms.items()}
        )
    return {"data": str(path), "pretrain_steps": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, few):
    """(study, folder, what was yielded) of a study whose runs took two steps each."""
    study = Study(
        "small", "Does it <run>?", ROWS, (0, 1), "mtlnas", {"steps": 2, "evaluate_every": 1, **few}
    )
    out = tmp_path_factory.mktemp("study")
    return study, out, list(study.run(out, backend="sequential"))


@pytest.mark.slow
def test_every_row_runs_with_every_seed(finished):
    study, out, done = finished
    assert [d.error for d in done] == [None] * 8
    searched = Run.open(out / "mtlnas" / "seed0").read_json("architecture.json")["kept"]
    graphs = [
        Run.open(out / cell.folder).read_json("architecture.json")["kept"]
        for cell in study.cells()
        if cell.row == "random graph" and cell.seed == 0
    ]
    assert (
        {len(graph) for graph in graphs} == {len(searched)}
        and graphs[0] != graphs[1]
        and graphs[0] != searched
    )


@pytest.mark.slow
def test_what_is_finished_is_not_done_again_and_what_is_not_goes_on(finished):
    study, out, _ = finished
    before = (out / "mtlnas" / "seed1" / "scores.json").read_bytes()
    (out / "mtlnas" / "seed1" / "scores.json").unlink()  # as after a kill
    others = {
        path: path.stat().st_mtime_ns
        for path in out.glob("*/*/events.jsonl")
        if path.parent != out / "mtlnas" / "seed1"
    }
    again = list(study.run(out, backend="sequential"))
    assert (
        all(d.error is None for d in again)
        and (out / "mtlnas" / "seed1" / "scores.json").read_bytes() == before
    )
    assert (
        all(path.stat().st_mtime_ns == time for path, time in others.items()) and len(others) >= 7
    )


@pytest.mark.slow
def test_a_cell_that_fails_is_told_and_costs_no_other(finished, tmp_path):
    study = replace(
        finished[0],
        rows={"single_task": {"method": "single_task"}, "broken": {"fusion": "nonsense"}},
        reference="single_task",
        seeds=(0,),
        base={"steps": 1},
    )
    done = {d.cell.row: d.error for d in study.run(tmp_path, backend="sequential")}
    assert done["single_task"] is None and "no fusion 'nonsense'" in done["broken"]
    assert set(StudyResults.from_folder(study, tmp_path).scores.row) == {"single_task"}


@pytest.mark.slow
def test_tables_and_report(finished, tmp_path):
    study, out, _ = finished
    findings = StudyResults.from_folder(study, out)
    table = findings.scores
    assert set(table.row) == set(ROWS) and set(table.kind) == {
        "soft",
        "hard",
        "hard_recalibrated",
        "trivial",
    }
    assert (
        table[table.step.notna()].split.eq("val").all()
        and table[table.step.isna()].split.eq("test").all()
    )
    assert findings.gains.shape == (3, 2) and (findings.gains.loc["single_task"] == 0).all()
    assert [c.row for c in findings.compared] == ["single_task", "random graph"]
    made = {path.name: path for path in write(findings, tmp_path)}
    page = made["report.html"].read_text()
    assert "Does it &lt;run&gt;?" in page and page.count("<svg") == 4
    assert not any(mark in page for mark in ("src=", 'href="http', "<script", "<link"))
    assert "@media print" in page and "report.pdf" not in made  # a browser makes the PDF
    assert (
        r"\toprule" in made["tables.tex"].read_text() and "mtlnas" in made["report.md"].read_text()
    )
    again = StudyResults.read(study, tmp_path)  # the tables alone say the same
    assert [c.sentence for c in again.compared] == [c.sentence for c in findings.compared]
    assert again.overlap == findings.overlap


@pytest.mark.slow
def test_a_folder_of_other_settings_is_not_taken_for_this_study(finished):
    study, out, _ = finished
    other = replace(study, rows={"mtlnas": {}}, base={"steps": 3}, reference="mtlnas", seeds=(0,))
    assert ["other settings" in done.error for done in other.run(out, backend="sequential")] == [
        True
    ]


@pytest.fixture(scope="module")
def carried(tmp_path_factory, few):
    """(study, folder, errors): rows that wait for a row that waits for another, run by two processes."""
    folder = tmp_path_factory.mktemp("carried")
    study = Study(
        "carried",
        "?",
        {
            "random": {"method": "random_graph", "tasks": ["depth", "edges"], "edges_of": "used"},
            "used": {"graph_of": "found", "tasks": ["depth", "edges"]},
            "found": {"steps": 2, "edge_worth": True},
            "single": {"method": "single_task"},
        },
        (0, 1),
        "found",
        {"steps": 1, **few},
    )
    return study, folder, {done.error for done in study.run(folder, jobs=2)}


@pytest.mark.slow
def test_a_graph_is_carried_to_other_tasks_and_its_edges_are_scored(carried):
    study, tmp_path, errors = carried
    assert [cell.row for cell in study.cells()][::2] == [
        "found",
        "single",
        "used",
        "random",
    ] and errors == {None}
    kept = {
        row: Run.open(tmp_path / row / "seed1").read_json("architecture.json")["kept"]
        for row in study.rows
    }
    renamed = [
        edge.replace("segmentation", "depth").replace("normals", "edges") for edge in kept["found"]
    ]
    assert sorted(kept["used"]) == sorted(renamed) and len(kept["random"]) == len(kept["used"])
    assert len(list((tmp_path / "pretraining").iterdir())) == 4  # two pairs of tasks, two seeds

    findings = StudyResults.from_folder(study, tmp_path)
    assert [o["row"] for o in findings.overlap] == ["found"]
    assert (
        len(findings.edges) == 2 * 48
        and findings.edges.kept.sum() == findings.runs[findings.runs.row == "found"].edges.sum()
    )
    assert set(findings.gains.index) == {
        "found",
        "single",
    }  # the other tasks have no single-task row
    made = {path.name: path for path in write(findings, tmp_path / "report")}
    again = StudyResults.read(study, tmp_path / "report")
    assert again.sentences == findings.sentences and any(
        "rank correlation of α" in line for line in again.sentences
    )
    assert str(tmp_path) not in made["report.html"].read_text()


@pytest.mark.slow
def test_what_an_edge_is_worth(carried):
    from mtlnas_lab.data import loader
    from mtlnas_lab.experiments.pipeline import reopen

    path = carried[1] / "found" / "seed0"
    rows, (lab, architecture) = informative.read(path), reopen(path)
    assert [row["edge"] for row in rows] == [str(edge) for edge in lab.space.edges]
    batches = list(loader.sequential(lab.data["test"], tuple(lab.tasks), 32))
    with_all = informative.mean_loss(lab, architecture.kept, batches)
    i = architecture.kept.index(True)
    without = informative.mean_loss(
        lab, tuple(keep and j != i for j, keep in enumerate(architecture.kept)), batches
    )
    assert rows[i]["worth"] == pytest.approx(without - with_all) and rows[i]["points"] is not None
    dropped = architecture.kept.index(False)
    assert rows[dropped]["points"] is None and not rows[dropped]["kept"]
    gates = [torch.tensor(architecture.kept, dtype=torch.float32) for _ in range(2)]
    gates[1][i] = 0.999  # against a finite difference
    slope = (
        informative.mean_loss(lab, gates[0], batches)
        - informative.mean_loss(lab, gates[1], batches)
    ) / 0.001
    assert rows[i]["gradient"] == pytest.approx(abs(slope), rel=0.1, abs=0.01)


def test_rank_correlations_are_over_kept_edges():
    rows = [
        {"kept": True, "alpha": a, "worth": a**3, "gradient": -a, "points": 1.0}
        for a in (1.0, 2.0, 3.0)
    ]
    rows.append({"kept": False, "alpha": -9.0, "worth": 9.0, "gradient": 9.0, "points": None})
    found = informative.correlations(rows)
    assert (
        found["worth"] == pytest.approx(1)
        and found["gradient"] == pytest.approx(-1)
        and found["gradient on worth"] == pytest.approx(-1)
    )
    assert found["points"] != found["points"]  # all alike: no ranks
    assert informative.correlations(rows[2:])["worth"] != 1  # one kept edge


@pytest.mark.slow
def test_a_finished_pretraining_is_read_by_many_at_a_time(tmp_path):
    made = Experiment.from_preset(pretrain_steps=1, threads=1)
    first = pretrain(made, tmp_path / "p").supernet.backbones.state_dict()
    with RunWriter.resume(tmp_path / "p"):  # another process holds its lock
        second = pretrain(made, tmp_path / "p").supernet.backbones.state_dict()
    assert all(first[name].equal(value) for name, value in second.items())


def test_cells_share_a_pretraining_only_where_it_is_the_same():
    study = Study(
        "a",
        "?",
        {
            "single_task": {"method": "single_task"},
            "mtlnas": {},
            "other": {"eval_data": "b.npz"},
            "longer": {"steps": 9},
        },
        (0,),
        "mtlnas",
        {"data": "a.npz", "tasks": ["seg13", "normals"]},
    )
    shared = {cell.row: study.pretraining_folder(cell) for cell in study.cells()}
    assert shared["single_task"] == shared["mtlnas"] == shared["longer"] != shared["other"]
    rooms = Study(
        "a",
        "?",
        {"shipped": {}, "trained": {"backbone": "resnet18"}, "again": {"pretrain_steps": 3}},
        (0,),
        "shipped",
    )
    assert [rooms.pretraining_folder(cell) is None for cell in rooms.cells()] == [
        True,
        False,
        False,
    ]


def test_a_row_may_pretrain_otherwise_and_then_shares_no_pretraining_with_others():
    rows = {"seen": {}, "otherwise": {"pretrain": {"augment": False, "weight_lr": 0.01}}}
    study = Study("a", "?", rows, (0,), "seen", {"pretrain_steps": 3})
    seen, otherwise = study.cells()
    assert study.pretraining_folder(seen) != study.pretraining_folder(otherwise)
    usual = study.experiment(seen, Path())
    made = study.experiment(otherwise, Path())
    assert made.pretrain == replace(usual.pretrain, augment=False, weight_lr=0.01)
    assert made.search == usual.search
    with pytest.raises(ConfigError, match="no setting colour"):
        Study("a", "?", {"seen": {"pretrain": {"colour": 1}}}, (0,), "seen")._check_settings()


def test_a_path_may_name_the_environment(monkeypatch, tmp_path):
    study = Study.load("real")
    monkeypatch.delenv("MTLNAS_LAB_REAL_DATA", raising=False)
    with pytest.raises(ConfigError, match="MTLNAS_LAB_REAL_DATA is not set.*nyuv2_"):
        next(study.run(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("MTLNAS_LAB_REAL_DATA", str(tmp_path))
    cell = study.cells()[0]
    assert Path(study.experiment(cell, tmp_path).eval_data) == tmp_path / "nyuv2_test100_96x128.npz"
    assert str(tmp_path) not in repr(study)  # what a report may quote


def test_a_row_of_a_grid_may_name_its_neighbour():
    rows = dict(
        grid_rows(
            {
                "tasks": {"a": ["a"], "b": ["b"]},
                "_method": {"random": {"edges_of": {"_method": "searched"}}, "searched": None},
            }
        )
    )
    assert rows["b, random"] == {"tasks": ["b"], "edges_of": "b, searched"} and rows[
        "a, searched"
    ] == {"tasks": ["a"]}


def test_each_result_says_what_could_have_been_detected():
    for values, said in (
        ([1.0, 1.2, 1.1], "better by 1.1"),
        ([1.0, -1.2, 0.4], "no difference found (+0.1"),
        ([-2.0, -2.1, -2.2], "worse by 2.1"),
    ):
        d = difference([0.0] * len(values), values)
        sentence = Compared("mtlnas", "random", d, 0.01).sentence
        assert (
            said in sentence
            and f"could have been detected is {d.detectable:.1f}" in sentence
            and "effect size g = " in sentence
        )
    assert (
        "does not survive" in Compared("a", "b", difference([0, 0, 0], [1, 1.2, 1.1]), 0.2).sentence
    )


def test_a_grid_names_its_rows():
    rows = dict(grid_rows({"alpha_lr": [0.1, 0.2], "entropy_weight": {"none": 0, "some": 10}}))
    assert rows["alpha_lr 0.1, some"] == {"alpha_lr": 0.1, "entropy_weight": 10} and len(rows) == 4


@pytest.mark.parametrize("path", OF_RUNS, ids=lambda p: p.stem)
@pytest.mark.parametrize("size", ["small", "full"])
def test_the_shipped_studies_are_sound(path, size, tmp_path):
    study = Study.load(path.stem, size)
    assert (
        study.name == path.stem
        and len(study.seeds) >= 3
        and all(study.single(row) for row in study.rows)
    )
    folders = [cell.folder for cell in study.cells()]
    assert len(set(folders)) == len(folders)
    for cell in study.cells():
        if not {"edges_of", "graph_of", "data"} & {*cell.settings}:
            assert study.experiment(cell, tmp_path).search.steps == study.base["steps"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("name: a", "is not a study"),
        ("[1, 2]", "is not a study"),
        ("a: [", "is not a study"),
        ("{name: a, question: b, reference: x, rows: {x: {stepps: 3}}}", "sets stepps"),
        ("{name: a, question: b, reference: y, rows: {x: {}}}", "reference 'y' is not a row"),
        (
            "{name: a, question: b, reference: x, rows: {x: {edges_of: z}}}",
            "'z', which is not a row",
        ),
        (
            "{name: a, question: b, reference: x, rows: {x: {edges_of: y}, y: {graph_of: x}}}",
            "take theirs from it",
        ),
        (
            "{name: a, question: b, reference: x, rows: {x: {}}, sizes: {big: {}}}",
            "no size 'small'; it has big",
        ),
    ],
)
def test_files_that_are_none(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        Study.load(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": "../../elsewhere"}, "'../../elsewhere' cannot be the name of a study"),
        ({"name": "/elsewhere"}, "cannot be the name of a study"),
        ({"name": ".."}, "cannot be the name of a study"),
        ({"name": ".hidden"}, "cannot be the name of a study"),
        ({"name": "a\n"}, "cannot be the name of a study"),
        ({"name": "a b"}, "cannot be the name of a study"),
        ({"name": "n" * 101}, "cannot be the name of a study"),
        ({"name": ""}, "cannot be the name of a study"),
        ({"name": None}, "name is missing"),
        ({"name": 3}, "name is '3', where it should be text"),
        ({"question": ["a"]}, "question is .*where it should be text"),
        ({"kind": "zz"}, "kind: 'zz'; choose one of hard, soft"),
        ({"rows": {}}, "has 0 rows"),
        ({"rows": {"x": 5}}, "row 'x' is 5; it should hold settings"),
        ({"rows": {f"x{i}": {} for i in range(1_001)}}, "1001 rows; give from 1 to 1000"),
        ({"rows": {"x": {}, "a\nb": {}}}, "a name of one line"),
        ({"rows": {"x": {}, "\x1b[2J": {}}}, "a name of one line"),
        ({"rows": {"x": {}, "n" * 201: {}}}, "at most 200 letters"),
        ({"rows": {"x": {}, " ": {}}}, "give its name as text"),
        ({"rows": {"x": {}, "pretraining": {}}}, "which a study has already"),
        ({"rows": {"x": {}, "trivial answer": {}}}, "which a study has already"),
        ({"rows": {"x": {}, "X": {}}}, "'X' and 'x' would share a folder"),
        ({"rows": {"x": {}, "a b": {}, "a-b-c8687a": {}}}, "would share a folder"),
        ({"rows": {"x": {"edges_of": ["x"]}}}, "which is not a row"),
        ({"rows": {"x": {"draws": 999_999_999}}}, "4,999,999,995 runs"),
        ({"rows": {"x": {"draws": 0}}}, "draws: 0; give a whole number from 1"),
        ({"rows": {"x": {"draws": True}}}, "draws: True"),
        ({"rows": {"x": {"draws": "3"}}}, "draws: '3'"),
        ({"rows": {"x": {"data": 5}}}, "data: 5; give a path"),
        ({"rows": {"x": {"preset": "huge"}}}, "row 'x'.*no preset 'huge'"),
        ({"rows": {"x": {"preset": ["tiny"]}}}, "row 'x'"),
        ({"rows": {"x": {"entropy_weight": {"x": 1}}}}, "row 'x'"),
        ({"rows": {"x": {"steps": -1}}}, "row 'x'.*steps = -1"),
        ({"seeds": []}, "give one or more"),
        ({"seeds": [0, 0]}, "each once"),
        ({"seeds": ["../../x"]}, "seed '../../x': give whole numbers"),
        ({"seeds": [0.5]}, "seed 0.5"),
        ({"seeds": [-1]}, "seed -1"),
        ({"seeds": [2**63]}, "seed 9223372036854775808"),
        ({"seeds": 3}, "seeds is '3', where it should be a list"),
        ({"seeds": list(range(10_001))}, "10,001 runs"),
        ({"sizes": []}, "sizes is"),
        ({"sizes": {"small": {"rows": ["y"]}}}, "has the row 'y', which is not among its rows"),
        ({"sizes": {"small": {"rows": [["x"]]}}}, "which is not among its rows"),
        ({"grid": {f"_{i}": list(range(10)) for i in range(12)}}, "1,000,000,000,000 rows"),
        ({"grid": {"alpha_lr": []}}, "the grid's alpha_lr is"),
        ({"grid": {"alpha_lr": 5}}, "the grid's alpha_lr is '5'"),
        ({"grid": {"_x": {"x": {}}}}, "two rows are called 'x'"),
        ({"base": {"nothing": 1}}, "sets nothing"),
    ],
)
def test_a_file_is_checked_before_anything_is_made_of_it(change, message, tmp_path):
    sound = {"name": "a", "question": "b", "reference": "x", "rows": {"x": {}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(sound))
    assert len(Study.load(tmp_path / "study.yaml").cells()) == 5
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(sound | change))
    with pytest.raises(ConfigError, match=message) as caught:
        Study.load(tmp_path / "study.yaml")
    assert "\n" not in console.printable(caught.value)


@pytest.mark.parametrize("row", ["..", ".", ".x", "../../x", "/x", "a/b", "a\\b", "漢字" * 90])
def test_a_row_lies_in_the_studys_folder(row, tmp_path):
    cell = Study("a", "?", {row: {}}, (0,), row).cells()[0]
    place = (tmp_path / cell.folder).resolve()
    assert place.parent.parent == tmp_path.resolve() and place.parent.name[0] != "."
    place.mkdir(parents=True)


def test_a_study_is_a_plain_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(b"#" * 2**24)
    (tmp_path / "latin").write_bytes("name: é".encode("latin-1"))
    (tmp_path / "loose").symlink_to(tmp_path / "nowhere")
    for name in ("pipe", "zero", "large", "latin", "loose", "."):
        with pytest.raises(ConfigError, match="is not a study"):
            Study.load(tmp_path / name)


def test_a_long_chain_of_rows_is_read_at_once():
    rows = {f"r{i}": {"edges_of": f"r{i + 1}"} for i in range(999)} | {"r999": {}}
    study = Study("a", "?", rows, tuple(range(10)), "r0")
    assert study.cells()[0].row == "r999" and len(study.cells()) == 10_000


def test_a_report_shows_names_as_they_are_and_loads_nothing(tmp_path):
    """Names with what matplotlib, HTML, LaTeX and Markdown would read as their own."""
    shipped = StudyResults.read(Study.load("main"), FOLDER / "main-small")
    odd = r"$\frac{ $ <b>|_%&"
    rename = {"mtlnas": odd}
    rows = {rename.get(row, row): settings for row, settings in shipped.study.rows.items()}
    for row, settings in rows.items():
        named = {"against", "edges_of", "graph_of"} & settings.keys()
        rows[row] = settings | {name: rename.get(settings[name], settings[name]) for name in named}
    reference = rename.get(shipped.study.reference, shipped.study.reference)
    findings = StudyResults(
        replace(shipped.study, rows=rows, reference=reference),
        shipped.scores.assign(row=shipped.scores.row.replace(rename)),
        shipped.runs.assign(row=shipped.runs.row.replace(rename)),
        shipped.edges,
        {rename.get(row, row): space for row, space in shipped.spaces.items()},
    )
    made = {path.name: path for path in write(findings, tmp_path)}
    page = made["report.html"].read_text()
    assert "$\\frac{ $ &lt;b&gt;|_%&amp;" in page and "<b>" not in page
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert page.index("Content-Security-Policy") < page.index("<title>") < page.index("<svg")


def test_a_report_that_fails_in_part_leaves_the_rest(tmp_path, monkeypatch):
    def broken(*_):
        raise ValueError("no such font")

    monkeypatch.setattr("mtlnas_lab.analysis.report.latex", broken)
    monkeypatch.setattr("mtlnas_lab.analysis.report.pictures", broken)
    shipped = StudyResults.read(Study.load("main"), FOLDER / "main-small")
    with pytest.raises(RunError, match=r"lacks pictures \(ValueError: no.*tables.tex \(ValueErr"):
        write(shipped, tmp_path)
    assert {"scores.csv", "report.html", "report.md"} <= {path.name for path in tmp_path.iterdir()}
    with pytest.raises(RunError, match="file"):
        (tmp_path / "file").touch()
        write(shipped, tmp_path / "file")


def test_a_run_that_is_damaged_is_named(tmp_path):
    study = Study("a", "?", {"x": {}}, (0,), "x")
    folder = tmp_path / study.cells()[0].folder
    with RunWriter.create(folder, {}, space()) as run:
        for scores, kept in (({"hard": 3}, {"kept": []}), ({"hard": {"t": {"m": "x"}}}, {})):
            run.write_json("scores.json", scores)
            run.write_json("architecture.json", kept)
            with pytest.raises(RunError, match="does not hold what a run leaves"):
                StudyResults.from_folder(study, tmp_path)


@pytest.mark.parametrize("jobs", [0, 10**30, 1.5, True, "2"])
def test_jobs_that_cannot_be(jobs, tmp_path):
    with pytest.raises(ConfigError, match="give from 1 to 1000"):
        list(Study.load("main").run(tmp_path / "out", jobs=jobs))
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_names_those_that_are():
    with pytest.raises(ConfigError, match="shipped studies are .*main"):
        Study.load("nowhere.yaml")


def test_no_run_no_report(tmp_path):
    with pytest.raises(RunError, match="run it first"):
        StudyResults.from_folder(Study.load("main"), tmp_path)


@pytest.mark.parametrize(
    "backend, message",
    [
        ("nonsense", "joblib has no backend 'nonsense'"),
        ("ray", "the backend 'ray' needs a package"),
        ("multiprocessing", "gives no result before the last"),
    ],
)
def test_a_backend_that_is_not_there(backend, message, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=message):
        list(Study.load("main").run(tmp_path, backend=backend))


def test_several_gpus_are_taken_in_turn(few, tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr("mtlnas_lab.analysis.study.run", lambda *_, **__: None)
    study = Study(
        "small",
        "?",
        {"mtlnas": {}},
        (0, 1, 2, 3),
        "mtlnas",
        {"steps": 1, **few, "pretrain_steps": 0},
    )
    assert all(
        done.error is None for done in study.run(tmp_path, backend="sequential")
    ) and taken == [0, 1, 2, 0]


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory is short


def test_a_process_that_is_killed_is_told_in_one_line(few, tmp_path, monkeypatch):
    monkeypatch.setattr("mtlnas_lab.analysis.study.run_cell", killed)
    study = Study(
        "small", "?", {"mtlnas": {}}, (0,), "mtlnas", {"steps": 1, **few, "pretrain_steps": 0}
    )
    with pytest.raises(
        RunError, match="was killed, by the system where memory was short; .* jobs = 1"
    ):
        list(study.run(tmp_path, jobs=2))


def test_a_report_says_how_it_was_made(tmp_path):
    """From the shipped tables, as a study of one's own file."""
    (tmp_path / "mine.yaml").write_text((FOLDER / "main.yaml").read_text())
    own = StudyResults.read(Study.load(tmp_path / "mine.yaml"), FOLDER / "main-small")
    told = facts(own)
    assert any(f"mtlnas-lab study {tmp_path / 'mine.yaml'} --size small" in line for line in told)
    assert any("shared_trunk begins with" in line for line in told) and any(
        "made with mtlnas_lab" in line for line in told
    )
    assert any("two batches" in line for line in told) and any(
        "same shipped networks" in line for line in told
    )
    assert any(
        line.startswith("mtlnas: half of the edges never changed side again after ")
        for line in own.sentences
    )


def test_what_was_not_learnt_is_said():
    """A single-task network that is no better than the answer that does not look says nothing about methods."""
    shipped = StudyResults.read(Study.load("main"), FOLDER / "main-small")
    assert (
        shipped.unlearnt == []
        and shipped.means.loc["trivial answer", ("normals", "mean_angle")] == "34.83"
    )
    worse = shipped.scores.copy()
    alone = (worse.row == "single_task") & (worse.kind == "hard") & (worse.metric == "mean_angle")
    worse.loc[alone, "value"] = 35.0
    assert [
        "normals was hardly learnt: mean_angle 35," in line
        for line in replace(shipped, scores=worse).unlearnt
    ] == [True]
