"""`mtlnas-lab figure` and `mtlnas-lab explain`: one run, hundreds of runs, every kind of picture, what fails."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from viz_fakes import alphas, log, space

from mtlnas_lab.analysis.edge_table import explain
from mtlnas_lab.cli import main as cli
from mtlnas_lab.cli.figure import CURVES, expand, unique
from mtlnas_lab.core.architecture import Architecture, derive
from mtlnas_lab.core.evaluate import evaluate
from mtlnas_lab.data.loader import sequential
from mtlnas_lab.data.rooms import render
from mtlnas_lab.experiments import pipeline
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.runs.run import Run
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.viz import CurveFigure, GraphFigure, GraphGrid, refigure


def make_run(folder, steps=12, seed=0):
    two = space()
    with RunWriter.create(folder, {"seed": seed}, two) as run:
        started, *others = log(two, steps=steps, evaluations=3, seed=seed).events
        for event in (replace(started, config={"seed": seed}), *others):
            run.append(event)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Thirty runs, as a sweep leaves them, with two that are damaged."""
    root = tmp_path_factory.mktemp("sweep")
    first = make_run(root / "0" / "seed-0")
    make_run(first / "baselines" / "single_task")
    for number in range(1, 28):
        target = root / str(number % 3) / f"seed-{number}"
        shutil.copytree(make_run(root / "made" / "x", seed=number) if number < 3 else first, target)
        shutil.rmtree(root / "made", ignore_errors=True)
    for name, content in (("seed-28", b""), ("seed-29", b'{"x\n')):
        (root / "2" / name).mkdir()
        (root / "2" / name / "events.jsonl").write_bytes(content)
    return root


def call(*arguments):
    """The exit code."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code
    return 0


def test_hundreds_of_runs_in_one_call(runs, tmp_path, capsys):
    assert call("figure", runs, "--format", "svg", "--out", tmp_path) == 1
    told = capsys.readouterr()
    assert f"28 of 30 runs drawn, 28 files in {tmp_path}; 2 failed" in told.out
    lines = [line for line in re.split(r"[\r\n]+", told.err) if line.startswith(str(runs))]
    assert len(lines) == 2 and {re.search(r"seed-\d+", line)[0] for line in lines} == {
        "seed-28",
        "seed-29",
    }
    assert "30/30" in told.err and "Traceback" not in told.err
    files = {file.name for file in tmp_path.glob("*.svg")}
    assert len(files) == 28 and {"0-seed-0-fusion_graph.svg", "1-seed-1-fusion_graph.svg"} <= files
    record = json.loads((tmp_path / "1-seed-1-fusion_graph.json").read_text())
    assert record["provenance"]["run"] == "seed-1" and record["provenance"]["seed"] == 1


def test_patterns_name_runs_and_every_run_once(runs, monkeypatch):
    monkeypatch.chdir(runs)
    assert [str(path) for path in expand(["1/seed-?"])] == ["1/seed-1", "1/seed-4", "1/seed-7"]
    assert len(expand(["."])) == len(expand([".", "0", "1/seed-1", str(runs / "1")])) == 30
    assert [str(path) for path in expand(["missing", "none-*"])] == ["missing", "none-*"]
    assert len(expand(["**/seed-1*"])) == 11


def test_names_never_collide(tmp_path):
    paths = [
        tmp_path / name for name in ("a/run", "b/run", "A/run", "a-run", "b", "x.json", "c d/é")
    ]
    names = unique(paths)
    assert len({name.casefold() for name in names.values()}) == len(paths)
    assert names[tmp_path / "a/run"] == "a-run" and names[tmp_path / "a-run"] != "a-run"
    assert unique(paths[:1]) == {paths[0]: "run"}


@pytest.mark.parametrize(
    "kind, files, what",
    [
        ("graph", ["fusion_graph"], GraphFigure),
        ("heat", ["heat"], CurveFigure),
        ("film", ["film"], GraphGrid),
        ("gap", ["gap"], CurveFigure),
        ("curves", list(CURVES), CurveFigure),
        ("overview", ["overview"], None),
        ("graph-and-heat", ["graph_and_heat"], None),
    ],
)
def test_every_kind_of_one_run(kind, files, what, runs, tmp_path, capsys):
    assert (
        call("figure", runs / "0" / "seed-0", "--kind", kind, "--format", "svg", "--out", tmp_path)
        == 0
    )
    assert {file.name for file in tmp_path.iterdir()} == {
        f"{name}.{end}" for name in files for end in ("svg", "json")
    }
    assert capsys.readouterr().out.split() == [str(tmp_path / f"{name}.svg") for name in files]
    for name in files:
        assert b'"run": "seed-0"' in (tmp_path / f"{name}.svg").read_bytes()
        assert what is None or isinstance(refigure(tmp_path / f"{name}.svg"), what)


@pytest.mark.parametrize(
    "kind, count, says",
    [("consensus", 3, "stability"), ("multiples", 3, "2-seed-2"), ("difference", 2, "only")],
)
def test_pictures_of_all_runs(kind, count, says, runs, tmp_path):
    chosen = [runs / str(n) / f"seed-{n}" for n in range(3)][:count]
    assert (
        call(
            "figure",
            *chosen,
            "--kind",
            kind,
            "--format",
            "svg,tikz",
            "--out",
            tmp_path,
            "--step",
            12,
        )
        == 0
    )
    assert (
        says in (tmp_path / f"{kind}.svg").read_text(encoding="utf-8")
        and (tmp_path / f"{kind}.tex").exists()
    )
    found = json.loads((tmp_path / f"{kind}.json").read_text())["provenance"]["runs"]
    assert [(one["run"], one["seed"], one["step"]) for one in found] == [
        (f"{n}-seed-{n}", n, 12) for n in range(count)
    ]


def test_a_damaged_run_is_left_out_of_a_consensus(runs, tmp_path, capsys):
    damaged = runs / "2" / "seed-29"
    assert (
        call(
            "figure",
            runs / "1",
            damaged,
            "--kind",
            "consensus",
            "--format",
            "svg",
            "--out",
            tmp_path,
        )
        == 1
    )
    assert (
        "9 runs" in (tmp_path / "consensus.svg").read_text()
        and "seed-29" in capsys.readouterr().err
    )


def test_looks_reach_the_picture(runs, tmp_path):
    (tmp_path / "layout.json").write_text('{"normals:3/fused": [3.0, -1.3]}')
    run = runs / "0" / "seed-0"
    assert (
        call(
            "figure",
            run,
            "--format",
            "svg",
            "--style",
            "slide",
            "--width",
            200,
            "--title",
            "T",
            "--dropped",
            "hide",
            "--labels",
            "none",
            "--color",
            "source",
            "--threshold",
            0.2,
            "--split",
            "--step",
            5,
            "--layout",
            tmp_path / "layout.json",
            "--out",
            tmp_path,
        )
        == 0
    )
    made = refigure(tmp_path / "fusion_graph.svg")
    assert (
        made.style.name,
        made.style.width,
        made.title,
        made.dropped,
        made.labels,
        made.color,
        made.threshold,
    ) == ("slide", 200, "T", "hide", None, "source", 0.2)
    assert made.layout == {"normals:3/fused": (3.0, -1.3)}
    assert json.loads((tmp_path / "fusion_graph.json").read_text())["provenance"]["step"] == 5


def test_architectures_and_runs_go_home(runs, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(runs / "0" / "seed-0", tmp_path / name)
        (tmp_path / name / "architecture.json").write_text(
            json.dumps(derive(space(), alphas(space())).to_json())
        )
    assert call("figure", tmp_path / "a", tmp_path / "b", "--format", "html") == 0
    assert {file.name for file in (tmp_path / "b").glob("fusion_graph.*")} == {
        "fusion_graph.html",
        "fusion_graph.json",
    }
    assert (
        call("figure", tmp_path / "a", tmp_path / "a" / "architecture.json", "--format", "svg") == 0
    )
    names = {file.name for file in (tmp_path / "a").glob("*.svg")}
    assert names == {"a-fusion_graph.svg", "a-architecture-fusion_graph.svg"}


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "give at least one run folder"),
        (["a", "b", "--format", "gif"], "choose among pdf"),
        (["a", "--style", "a4"], "no style 'a4'"),
        (["a", "--kind", "difference"], "of two runs"),
        (["none-*"], "no run folder"),
    ],
)
def test_a_mistake_is_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call("figure", *arguments) == 2
    told = capsys.readouterr().err.splitlines()
    assert words in told[-1] and "Traceback" not in "".join(told) and list(tmp_path.iterdir()) == []


def test_explain_takes_every_edge_away(tmp_path, capsys):
    np.savez(
        tmp_path / "pack.npz",
        **{key: np.asarray(value) for key, value in render(20, 32, seed=3).items()},
    )
    settings = Experiment.from_preset(
        "tiny",
        str(tmp_path / "pack.npz"),
        tasks=("segmentation", "normals"),
        steps=1,
        pretrain_steps=1,
        baselines=(),
        threads=1,
    )
    small = {
        "search": replace(settings.search, batch_size=2, evaluate_every=0),
        "pretrain": replace(settings.pretrain, batch_size=2),
    }
    pipeline.run(replace(settings, **small), tmp_path / "run")
    made = Architecture.from_json(Run.open(tmp_path / "run").architecture())
    few = Architecture(made.space, [i in (5, 30) for i in range(len(made.space))], made.alpha)
    (tmp_path / "run" / "architecture.json").write_text(json.dumps(few.to_json()))
    assert call("explain", tmp_path / "run") == 0
    told, names = capsys.readouterr().out.splitlines(), [str(edge) for edge in few.edges]
    assert len(told) == 5 and re.search(
        r"takes .* stage \d, p = 0.5\d?, costs 0\.\d+ % of the operations, removing it "
        r"(costs|gains|leaves) .*mean IoU.* and (costs|gains|leaves) .*mean angle",
        told[0],
    )
    found = Run.open(tmp_path / "run").read_json("ablation.json")
    assert (
        list(found["ablations"]) == list(found["operations"]) == names and found["split"] == "test"
    )
    lab, _ = pipeline.reopen(tmp_path / "run")
    batches = list(sequential(lab.data["test"], tuple(lab.tasks), 32))
    without, whole = (
        evaluate(lab.supernet, kept, lab.tasks, batches)
        for kept in ([i == 30 for i in range(48)], few.kept)
    )
    change = found["ablations"][names[0]]["normals"]["mean_angle"]
    assert change == pytest.approx(
        without["normals"]["mean_angle"] - whole["normals"]["mean_angle"], abs=1e-6
    )
    assert found["scores"]["segmentation"]["miou"] == pytest.approx(whole["segmentation"]["miou"])
    rows = explain(tmp_path / "run")  # Python finds it in the run folder
    assert [row.sentence for row in rows] == told[:2] and rows[0].operations == found["operations"][
        names[0]
    ]
    assert r"\toprule" in (tmp_path / "run" / "explained.tex").read_text()
    assert "Δ is the score without the edge" in (tmp_path / "run" / "explained.md").read_text(
        encoding="utf-8"
    )
    assert len(explain(tmp_path / "run", every=True)[0].changes["normals"]) > 3
