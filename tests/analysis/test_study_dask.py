"""A study through joblib's dask backend: the same call, other machines (here: a local cluster of two processes)."""

import warnings

import pytest

from mtlnas_lab.analysis.results import StudyResults
from mtlnas_lab.analysis.study import Study

distributed = pytest.importorskip("distributed", reason="the extra `scale` is not installed")


@pytest.mark.slow
def test_a_study_on_a_dask_cluster(tmp_path):
    study = Study(
        "small",
        "Where?",
        {"single_task": {"method": "single_task"}, "mtlnas": {}, "broken": {"fusion": "nonsense"}},
        (0,),
        "mtlnas",
        {"steps": 2, "evaluate_every": 0},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sockets and loops that dask closes late
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            done = {
                (d.cell.row, d.cell.seed): d.error
                for d in study.run(tmp_path / "there", jobs=2, backend="dask")
            }
            ran = client.run(
                lambda: __import__("sys").modules.get("mtlnas_lab.core.search") is not None
            )
    assert len(done) == 3 and any(ran.values()), "the cluster did the work, not this process"
    assert [error for (row, _), error in done.items() if row != "broken"] == [None] * 2
    assert "no fusion 'nonsense'" in done["broken", 0]
    assert len(list(study.run(tmp_path / "here", backend="sequential"))) == 3
    there, here = (
        StudyResults.from_folder(study, tmp_path / out)
        .scores.set_index(["row", "seed", "kind", "task", "metric"])
        .value
        for out in ("there", "here")
    )
    assert there.index.equals(here.index) and there.to_numpy() == pytest.approx(
        here.to_numpy(), nan_ok=True, rel=1e-4
    )


@pytest.mark.slow
def test_without_a_client_it_takes_processes_of_its_own(tmp_path):
    study = Study(
        "small",
        "Where?",
        {"single_task": {"method": "single_task"}, "mtlnas": {}},
        (0,),
        "mtlnas",
        {"steps": 2, "evaluate_every": 0},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [done.error for done in study.run(tmp_path, jobs=2, backend="dask")] == [None] * 2
