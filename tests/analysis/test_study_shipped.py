"""The studies' results that are shipped: their tables still say what their reports say, and a run made again agrees with them."""

import re

import pytest

from mtlnas_lab.analysis.results import StudyResults
from mtlnas_lab.analysis.study import FOLDER, Study
from mtlnas_lab.experiments import pipeline
from mtlnas_lab.explore.study import explores
from mtlnas_lab.runs.run import Run

ALL = sorted(path.name.removesuffix("-small") for path in FOLDER.glob("*-small"))
SHIPPED = [name for name in ALL if not explores(name)]  # the others have a test in tests/explore


def test_the_small_studies_are_shipped():
    assert {"main", "algorithm", "gap", "real", "photos"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_tables_say_what_the_report_says(name):
    folder, study = FOLDER / f"{name}-small", Study.load(name)
    found = StudyResults.read(study, folder)
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert (
        found.sentences and [line for line in found.sentences if f"- {line}\n" not in report] == []
    )
    assert set(found.runs.row) == set(study.rows) and len(found.runs) == len(study.cells()), (
        "every row under every seed"
    )


@pytest.mark.parametrize("name", ["informative", "blind"])
def test_a_study_in_two_folders_is_the_same_study(name):
    whole = StudyResults.read(Study.load(name), FOLDER / f"{name}-small")
    first = whole.runs.seed.min()
    halves = []
    for part in (True, False):
        tables = [whole.scores, whole.runs, whole.edges]
        tables = [t[(t.seed == first) == part] if len(t) else t for t in tables]
        halves.append(StudyResults(whole.study, *tables, whole.spaces))
    joined = halves[0].joined(halves[1])
    assert joined.sentences == whole.sentences and len(joined.runs) == len(whole.runs)
    again = joined.joined(whole)
    assert len(again.scores) == len(whole.scores), "a run that is there is not taken twice"


@pytest.mark.parametrize("name", ALL)
def test_no_path_of_a_machine_is_shipped(name):
    for path in (FOLDER / f"{name}-small").iterdir():
        # where real photographs lie is said by a name of the environment, which is no path
        found = re.sub(rb"\$MTLNAS_LAB_REAL_DATA/\w+\.npz", b"", path.read_bytes())
        words = (b"/work/", b"/home/", b"/root/", b"/tmp/", b".npz")
        assert not any(word in found for word in words), path.name


@pytest.mark.slow
def test_a_run_made_again_is_the_shipped_one(tmp_path):
    study = Study.load("main")
    cell = next(cell for cell in study.cells() if cell.row == "mtlnas")
    pipeline.run(study.experiment(cell, tmp_path), tmp_path / "run")
    shipped = StudyResults.read(study, FOLDER / "main-small").scores.query(
        "row == 'mtlnas' and step.isna()"
    )
    spread = shipped.groupby(["kind", "task", "metric"]).value.std()
    first = shipped[shipped.seed == cell.seed].set_index(["kind", "task", "metric"]).value
    again = {
        (kind, task, metric): value
        for kind, tasks in Run.open(tmp_path / "run").scores().items()
        for task, metrics in tasks.items()
        for metric, value in metrics.items()
    }
    assert set(first.index) == set(again)
    # On the machine of the study it is exactly the shipped one. Elsewhere it is as another seed: two seeds differ by
    # √2 spreads (one standard deviation), and of some twenty scores none may lie beyond three of these.
    far = {}
    for key, value in first.items():
        same = again[key] == pytest.approx(value, rel=1e-5)
        if not same and abs(again[key] - value) > 3 * 2**0.5 * spread[key]:
            far[key] = (value, again[key], spread[key])
    assert not far
