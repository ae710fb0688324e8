"""A search that begins with another run's α: its run folder, going on with it, and a user's mistakes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from mtlnas_lab.cli import main as cli
from mtlnas_lab.core.architecture import Architecture, warm_start
from mtlnas_lab.core.events import Step
from mtlnas_lab.data.rooms import render
from mtlnas_lab.errors import ConfigError, SpaceError
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import reopen, run
from mtlnas_lab.runs.event_file import read_events
from mtlnas_lab.runs.run import Run


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "small.npz"
    np.savez(path, **{key: np.asarray(value) for key, value in render(40, 32, seed=3).items()})
    return path


def made(pack, tasks=("segmentation", "normals"), **settings) -> Experiment:
    made = Experiment.from_preset(
        "tiny",
        str(pack),
        tasks=tasks,
        steps=4,
        pretrain_steps=1,
        checkpoint_every=2,
        baselines=(),
        threads=1,
        **settings,
    )
    return replace(made, search=replace(made.search, batch_size=2, augment=False, alpha_lr=0.1))


@pytest.fixture(scope="module")
def source(pack, tmp_path_factory):
    """A finished search of depth and normals."""
    out = tmp_path_factory.mktemp("runs") / "source"
    run(made(pack, ("depth", "normals")), out)
    return out


def warm(pack, source, **settings) -> Experiment:
    found = json.loads((source / "architecture.json").read_text())
    return made(pack, warm_start=found, **settings)


def stop_at(step):
    def listen(name, search, event):
        if name == "search" and isinstance(event, Step) and event.step == step:
            raise KeyboardInterrupt

    return listen


@pytest.fixture(scope="module")
def finished(pack, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "warm"
    told = []
    run(warm(pack, source, kappa=0.5), out, tell=told.append)
    return out, told


def test_alpha_begins_where_the_other_search_ended(pack, source, finished):
    out, told = finished
    log = Run.open(out).log
    there = Architecture.from_json(Run.open(source).architecture())
    begun = np.array(warm_start(there, log.space, 0.5))
    assert np.abs(begun).max() > 0.1 and np.abs(begun).max() <= 0.5
    # one step of Adam moves each α by about its rate
    assert np.abs(np.array(log.steps[0].alpha) - begun).max() <= 0.11
    assert len([line for line in told if line.startswith("warm start from depth, normals")]) == 1
    (line,) = [line for line in told if line.startswith("warm start")]
    assert "depth there is segmentation here" in line and "of 48 edges begin above ½" in line


def test_it_is_kept_in_the_folder_and_the_folder_is_enough(pack, source, finished):
    out, _ = finished
    config = Run.open(out).config
    assert config["kappa"] == 0.5 and config["warm_start"]["alpha"] is not None
    assert Experiment.from_json(config).start(Run.open(out).space) == pytest.approx(
        warm(pack, source, kappa=0.5).start(Run.open(out).space)
    )
    lab, found = reopen(out, device="cpu", tell=lambda _: None)
    assert torch.equal(lab.alphas.alpha.detach(), torch.tensor(found.alpha))


@pytest.mark.parametrize("stops", [[1], [3], [1, 3]])
def test_stopped_and_gone_on_with_is_as_never_stopped(pack, source, finished, tmp_path, stops):
    out = tmp_path / "run"
    for number, step in enumerate(stops):
        with pytest.raises(KeyboardInterrupt):
            run(warm(pack, source, kappa=0.5), out, resume=number > 0, listen=stop_at(step))
    told = []
    run(None, out, resume=True, tell=told.append)
    assert not [line for line in told if "warm start" in line], "said once, at the beginning"
    ours, theirs = (
        read_events(path / "events.jsonl").alpha.tolist() for path in (out, finished[0])
    )
    assert ours == theirs


def test_kappa_0_is_the_cold_search(pack, source, tmp_path):
    run(made(pack), tmp_path / "cold")
    run(warm(pack, source, kappa=0.0), tmp_path / "warm")
    cold, zero = (read_events(tmp_path / name / "events.jsonl").alpha for name in ("cold", "warm"))
    assert cold.tolist() == zero.tolist()


# --- mistakes ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings, words",
    [
        ({"method": "all_edges"}, "here nothing is searched"),
        ({"primary": "normals"}, "leave one of the two out"),
        ({"tasks": ("segmentation", "depth", "normals")}, "here has no candidate there"),
        ({"backbone": "resnet18"}, "cannot begin a search in"),
        ({"kappa": -1.0}, "kappa = -1.0"),
        ({"kappa": 1e12}, "kappa = "),
    ],
)
def test_what_no_warm_start_goes_with_is_refused_before_there_is_a_folder(
    pack, source, tmp_path, settings, words
):
    with pytest.raises((ConfigError, SpaceError), match=words):
        run(warm(pack, source, **settings), tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_kappa_of_nothing_and_a_graph_that_nobody_searched_are_refused(pack, source, tmp_path):
    with pytest.raises(
        ConfigError, match="begins undecided, so there is nothing that κ could scale"
    ):
        run(made(pack, kappa=0.5), tmp_path / "never")
    found = json.loads((source / "architecture.json").read_text()) | {"alpha": None}
    with pytest.raises(ConfigError, match="it has no α"):
        run(made(pack, warm_start=found), tmp_path / "never")
    with pytest.raises(ConfigError, match="nothing is searched"):
        graph = json.loads((source / "architecture.json").read_text())
        run(warm(pack, source, graph=graph), tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.fixture
def say(pack, tmp_path, monkeypatch, capsys):
    """say(flags…): (exit code, the last line) of a search with these flags."""
    monkeypatch.chdir(tmp_path)

    def say(*flags):
        asked = ["search", "--data", pack, "--tasks", "segmentation,normals", "--steps", 2]
        asked += ["--pretrain-steps", 1, "--baselines", "none", "--threads", 1, *flags]
        code = 0
        try:
            cli.main([str(part) for part in asked])
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().err.strip().splitlines()

    return say


def test_the_command_takes_a_run_folder_or_an_architecture(say, source, tmp_path):
    code, lines = say("--warm-start", source, "--kappa", 0.5, "--out", "a")
    assert code == 0 and any("warm start from depth, normals" in line for line in lines)
    assert say("--warm-start", source / "architecture.json", "--kappa", 0.5, "--out", "b")[0] == 0
    ours, theirs = (read_events(tmp_path / name / "events.jsonl").alpha for name in "ab")
    assert ours.tolist() == theirs.tolist()
    assert Run.open("a").config["kappa"] == 0.5
    assert say("--config", "a/config.json", "--out", "c")[0] == 0, "the settings hold the start"
    again = read_events(tmp_path / "c" / "events.jsonl").alpha
    assert again.tolist() == ours.tolist()


def test_a_users_mistakes_are_one_line_each(say, pack, source, tmp_path):
    shutil.copytree(source, "runs/one")
    shutil.copytree(source, "runs/two")
    with pytest.raises(KeyboardInterrupt):
        run(made(pack), "unfinished", listen=stop_at(2))
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.json").write_text('{"kept": []}')
    wrong = {
        "nowhere": "--warm-start nowhere: there is no such run",
        "runs": "this folder holds 2 runs; give one of them: one, two",
        "empty": "this folder is no run",
        "unfinished": "that search is not finished, it has made 2 steps; give a finished one",
        "other.json": "this is not an architecture",
    }
    for path, words in wrong.items():
        code, lines = say("--warm-start", path, "--out", "never")
        assert code == 2 and words in lines[-1] and len(lines) == 1, lines
    code, lines = say(
        "--warm-start", source, "--tasks", "segmentation,normals,depth", "--out", "never"
    )
    assert code == 2 and "here has no candidate there" in lines[-1]
    code, lines = say("--kappa", 2, "--out", "never")
    assert code == 2 and "nothing that κ could scale" in lines[-1]
    assert not (tmp_path / "never").exists()
    assert say("--warm-start", source, "--out", "run")[0] == 0
    code, lines = say("--warm-start", source, "--resume", "--out", "run")
    assert code == 2 and "can't be given where a run goes on" in lines[-1]
    code, lines = say("--kappa", 3, "--resume", "--out", "run")
    assert code == 2 and "--kappa is the folder's own setting, which is 1.0" in lines[-1]
