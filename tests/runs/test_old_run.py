"""A run folder that was written before is read as it was, and its search goes on."""

import shutil
from pathlib import Path

import pytest
import torch
from helpers import Stream
from torch import nn

from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.backbone import Backbone
from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Finished, Resumed, Step
from mtlnas_lab.core.fusion import NDDR
from mtlnas_lab.core.lab import Lab
from mtlnas_lab.core.relaxation import ArchitectureWeights
from mtlnas_lab.core.search import Search
from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.core.supernet import SuperNet
from mtlnas_lab.runs.recorder import record
from mtlnas_lab.runs.run import Run
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.tasks.task import Normals, Segmentation

OLD = Path(__file__).parents[1] / "golden" / "old_run"

# α after the third step of the same search, where nothing stopped it
THIRD = (0.060804531, -0.0611050054, 0.0611227863, 0.0579947904, 0.0622927621, 0.061113894)


def backbone(outputs):
    stages = [
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()),
    ]
    return Backbone(stages, plan([4, 4], [2]), nn.Conv2d(4, outputs, 1))


def the_search(config):
    """The search that left the run: two networks of two stages."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tasks = {"segmentation": Segmentation("segmentation", 5), "normals": Normals("normals")}
        backbones = {name: backbone(task.channels) for name, task in tasks.items()}
        plans = {name: network.plan for name, network in backbones.items()}
        space = SearchSpace.build(plans)
        supernet = SuperNet(backbones, space, NDDR)
        lab = Lab(tasks, supernet, ArchitectureWeights(len(space)))
    scores = {"hard": {"normals": {"mean_angle": 30.0}}}
    return Search(lab, config, Stream(lab), Stream(lab, first=7), evaluate=lambda search: scores)


def test_an_old_run_is_read_as_it_was():
    run = Run.open(OLD)
    assert run.config["steps"] == 3
    assert [step.step for step in run.log.steps] == [1, 2]
    assert run.log.evaluated[0].scores == run.scores()
    assert run.log.problems == [] and run.log.space == run.space
    assert [str(edge) for edge in run.space.edges][:2] == [
        "normals:0 -> segmentation:0",
        "normals:0 -> segmentation:1",
    ]
    found = Architecture.from_json(run.architecture())
    assert found.space == run.space
    assert found.alpha == pytest.approx(run.log.alpha[-1])
    step, tensors, meta = run.load_checkpoint()
    assert step == 2 and len(tensors) > 50 and meta["requests_read"] == 0
    assert run.notices == []


def test_an_old_run_goes_on(tmp_path):
    shutil.copytree(OLD, tmp_path / "run")
    config = SearchConfig.from_json(Run.open(OLD).config)
    with RunWriter.resume(tmp_path / "run") as run:
        events = list(record(the_search(config), run))
        assert [type(event) for event in events if isinstance(event, (Step, Finished))] == [
            Step,
            Finished,
        ]
        assert run.log.of(Resumed) == [Resumed(2, 5)]
        assert [step.step for step in run.log.steps] == [1, 2, 3]
        # the third step of another processor rounds otherwise
        assert run.log.alpha[-1] == pytest.approx(THIRD, rel=1e-3)
        assert run.notices == []
