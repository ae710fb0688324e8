"""How many threads a search takes by default: what the process may use, not what the machine has."""

import os

import pytest

from mtlnas_lab import cores
from mtlnas_lab.experiments.config import Experiment

NAMES = (*cores.QUEUES, "OMP_NUM_THREADS", "LOCAL_WORLD_SIZE")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of 64 cores, of which this process may use `allowed`, with variables and files as given."""

    def make(allowed=64, files=None, **variables):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(os, "cpu_count", lambda: 64)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
        for name, text in (files or {}).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return make


V2 = {"proc/self/cgroup": "0::/job/step\n", "sys/fs/cgroup/job/step/cpu.max": "max 100000\n"}
V1 = {
    "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/abc\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
}


@pytest.mark.parametrize(
    "allowed, files, variables, cores_, threads",
    [
        (64, {}, {}, 64, 63),
        (1, {}, {}, 1, 1),
        (8, {}, {"OMP_NUM_THREADS": "3"}, 8, 3),
        (2, {}, {"OMP_NUM_THREADS": "64"}, 2, 2),
        (64, {}, {"OMP_NUM_THREADS": "4,2"}, 64, 4),
        (64, {}, {"OMP_NUM_THREADS": "many"}, 64, 63),
        (64, {}, {"OMP_NUM_THREADS": "0"}, 64, 63),
        (64, {}, {"SLURM_CPUS_PER_TASK": "4"}, 4, 3),
        (64, {}, {"SLURM_CPUS_PER_TASK": ""}, 64, 63),
        (64, {}, {"NSLOTS": "2"}, 2, 1),
        (64, {}, {"LOCAL_WORLD_SIZE": "4", "OMP_NUM_THREADS": "1"}, 64, 15),
        (64, {}, {"LOCAL_WORLD_SIZE": ""}, 64, 63),
        (64, V2, {}, 64, 63),
        (64, V2 | {"sys/fs/cgroup/job/cpu.max": "250000 100000\n"}, {}, 2, 1),
        (64, V2 | {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, {}, 1, 1),
        (64, V2 | {"sys/fs/cgroup/cpu.max": "nonsense"}, {}, 64, 63),
        (64, V1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n"}, {}, 3, 2),
        (64, V1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"}, {}, 64, 63),
    ],
)
def test_what_a_process_may_use(machine, monkeypatch, allowed, files, variables, cores_, threads):
    system = machine(allowed, files, **variables)
    assert cores.usable_cores(system) == cores_
    monkeypatch.setattr(cores, "usable_cores", lambda: cores_)
    assert cores.default_threads() == Experiment().threads == threads


def test_a_system_without_affinity(machine, monkeypatch):
    system = machine()
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores.usable_cores(system) == 64
