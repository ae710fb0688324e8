"""A published table whose scores are known by construction, and short trainings."""

from dataclasses import replace

import pytest

from mtlnas_lab.bench import condition as conditions
from mtlnas_lab.bench import parquet
from mtlnas_lab.bench.condition import condition
from mtlnas_lab.bench.make import PILOT_SEEDS, pilot_graphs
from mtlnas_lab.bench.records import Records, described
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.bench.training import BATCH_NORMS, SPLITS

SEEDS = (0, 1, 2)
SHORT = 2  # steps of a training that is measured, not judged


def record(graph: int, seed: int) -> dict:
    """Each open edge into segmentation costs it 0.01, edge 0 another 0.02; each into normals brings 0.005."""
    into = (graph & 15).bit_count()
    out = (graph >> 4).bit_count()
    made = {"graph": graph, "seed": seed, "parameters": 5000 + graph, "operations": 6000}
    made["seconds"] = 2.0
    for place, split in enumerate(SPLITS):
        for shift, batch_norm in enumerate(BATCH_NORMS):
            begin = f"{split}/{batch_norm}"
            blur = 0.001 * seed + 0.1 * place + 0.01 * shift
            made[f"{begin}/segmentation/loss"] = 1.4 + 0.01 * into + 0.02 * (graph & 1) + blur
            made[f"{begin}/segmentation/miou"] = 0.2 - 0.01 * into
            made[f"{begin}/normals/loss"] = 0.3 - 0.005 * out + blur
    for step in (30, 60):
        made[f"curve/{step}/segmentation"] = 2.0 - step / 100
        made[f"curve/{step}/normals"] = 0.5
    return made


def trained_pilot(folder, about, seeds=PILOT_SEEDS):
    """The records of a pilot of a condition, under these seeds."""
    with Records(folder, about) as kept:
        for graph in pilot_graphs(about):
            for seed in seeds:
                kept.add(record(graph, seed))


@pytest.fixture(scope="session")
def records():
    return [record(graph, seed) for graph in range(256) for seed in SEEDS]


@pytest.fixture(scope="session")
def folder(tmp_path_factory, records):
    made = tmp_path_factory.mktemp("bench")
    parquet.write(made, records, [], described(condition("segmentation-normals")))
    return made


@pytest.fixture(scope="session")
def table(folder):
    return FusionTable.open(folder)


@pytest.fixture
def short(monkeypatch):
    """Trainings of `SHORT` steps."""
    monkeypatch.setattr(conditions, "RECIPE", replace(conditions.RECIPE, steps=SHORT))
