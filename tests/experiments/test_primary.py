"""A task that is wanted alone: its two forces in a run folder, going on with it, and its network by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mtlnas_lab.core.architecture import derive
from mtlnas_lab.data.rooms import render
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import reopen, run
from mtlnas_lab.models.pruned import prune
from mtlnas_lab.models.roles import L1, edges_into
from mtlnas_lab.runs.run import Run


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "small.npz"
    np.savez(path, **{key: np.asarray(value) for key, value in render(40, 32, seed=3).items()})
    return path


def wanted(pack, primary="segmentation", **settings) -> Experiment:
    tasks = settings.pop("tasks", ("segmentation", "normals"))
    made = Experiment.from_preset(
        "tiny",
        str(pack),
        tasks=tasks,
        steps=6,
        pretrain_steps=1,
        checkpoint_every=2,
        baselines=(),
        threads=1,
        primary=primary,
        **settings,
    )
    return replace(made, search=replace(made.search, batch_size=2, augment=False))


@pytest.fixture(scope="module")
def finished(pack, tmp_path_factory):
    out = tmp_path_factory.mktemp("primary") / "run"
    told = []
    run(wanted(pack), out, tell=told.append)
    return out, told


def test_its_network_needs_no_other_at_the_end(finished):
    out, told = finished
    lab, architecture = reopen(out, device="cpu", tell=lambda _: None)
    assert not [edge for edge in architecture.edges if edge.target.task == "segmentation"]
    assert any("L1 shuts edges into its network, from nothing after 50 %" in line for line in told)
    assert lab.alphas.alpha[list(edges_into(lab.space, "segmentation"))].max() < 0

    alone = derive(lab.space, lab.alphas.alpha, primary="segmentation")
    network = prune(lab.supernet, alone).eval()
    image, _ = lab.data["test"].batch(torch.tensor([0, 1]), ())
    with torch.no_grad():
        both = lab.supernet.eval()(image, architecture.kept)["segmentation"]
        one = network(image)
    assert list(one) == ["segmentation"] and torch.allclose(one["segmentation"], both, atol=1e-5)


def test_the_settings_say_what_pulled(finished):
    out, _ = finished
    recorded = Experiment.from_json(Run.open(out).config)
    assert recorded.primary == "segmentation" and recorded.search.l1_weight == L1


def test_a_run_that_was_stopped_goes_on_to_the_same(finished, pack, tmp_path):
    out, _ = finished

    def stop(where, search, event):
        if where == "search" and search.step_number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(wanted(pack), tmp_path / "run", listen=stop)
    run(None, tmp_path / "run", resume=True)
    whole = Run.open(out).log.alpha
    assert np.array_equal(whole, Run.open(tmp_path / "run").log.alpha) and len(whole) == 6


def test_edges_that_stay_open_are_told(pack, tmp_path):
    told = []
    forced = {"force": {"normals:0 -> segmentation:0": True}}
    run(wanted(pack), tmp_path / "run", turn=forced, tell=told.append)
    (said,) = [line for line in told if "still open" in line]
    assert said.startswith("1 edges into segmentation's network") and "larger l1_weight" in said


def test_auxiliary_networks_are_not_joined(pack, tmp_path):
    three = wanted(pack, tasks=("segmentation", "normals", "depth"))
    lab = three.lab(begin=False)
    assert all("segmentation" in (e.source.task, e.target.task) for e in lab.space.edges)
    assert len(lab.space) == 96


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"primary": "chairs"}, "there is no task 'chairs' to be the primary one"),
        ({"method": "all_edges"}, "here none is made; leave primary out"),
    ],
)
def test_what_cannot_be_wanted(pack, tmp_path, settings, words):
    with pytest.raises(ConfigError, match=words):
        run(wanted(pack, **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()
