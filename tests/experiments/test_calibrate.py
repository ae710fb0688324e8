"""Precision decided by three steps, torch.compile without recompiling, and TensorBoard as a listener."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers import Stream, small_lab

from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Evaluated
from mtlnas_lab.core.search import Search
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.experiments import pipeline as work
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import run
from mtlnas_lab.runs.run import Run

LOOKS = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # dynamo's own look at the gates


@pytest.mark.parametrize(
    "seconds, chosen", [((1.0, 0.5), "bf16"), ((1.0, 0.95), "float32"), ((1.0, 2.0), "float32")]
)
def test_the_faster_precision_must_be_clearly_faster(seconds, chosen, monkeypatch):
    times = dict(zip(("float32", "bf16"), seconds))
    monkeypatch.setattr(
        Search, "step", lambda self: SimpleNamespace(seconds=times[self.config.precision])
    )
    monkeypatch.setattr(Search, "_halves", lambda self: (iter(()), iter(())))
    config, said = work.calibrate(small_lab(), SearchConfig(precision="auto"))
    assert config.precision == chosen and said == times


@pytest.mark.slow
def test_it_is_measured_before_the_run_begins_and_kept(tmp_path):
    experiment = Experiment.from_preset(steps=1, baselines=(), threads=1)
    told = []
    run(
        replace(experiment, search=replace(experiment.search, precision="auto")),
        tmp_path / "run",
        tell=told.append,
    )
    config = Run.open(tmp_path / "run").config
    assert config["search"]["precision"] in ("float32", "bf16") and set(config["calibration"]) == {
        "float32",
        "bf16",
    }
    assert "ms a step" in told[-1]


@LOOKS
@pytest.mark.slow
def test_changing_gates_and_knobs_never_recompiles(monkeypatch):
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    torch._dynamo.reset()
    lab = small_lab()
    monkeypatch.setattr(
        "torch.compile", lambda model, backend, made=torch.compile: made(model, backend=counter)
    )
    search = Search(
        lab, SearchConfig(steps=6, compile="inductor"), Stream(lab), Stream(lab, first=10)
    )
    search.step()
    first = counter.frame_count
    assert first == 2, "one program for α, one for w"
    for i in range(4):
        search.turn(entropy_weight=float(i), temperature=0.3 + i, alpha_lr=0.1 * i)
        search.controls.apply_turned(search.communicator)
        search.step()
    assert counter.frame_count == first, "gates are tensors: new values are no new program"
    torch._dynamo.reset()


@LOOKS
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
@pytest.mark.parametrize("backend", ["eager", "cudagraphs"])  # which captures nothing on a CPU
def test_compiled_computes_the_same(backend):
    one, other = small_lab(), small_lab()
    a = Search(one, SearchConfig(steps=2), Stream(one), Stream(one, first=10))
    b = Search(
        other, SearchConfig(steps=2, compile=backend), Stream(other), Stream(other, first=10)
    )
    for _ in range(2):
        assert a.step().loss == pytest.approx(b.step().loss, abs=1e-5)
    assert torch.allclose(one.alphas.alpha, other.alphas.alpha, atol=1e-5)


def test_tensorboard_hears_what_happens(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from mtlnas_lab.runs.tensorboard import TensorBoardLogger

    lab = small_lab()
    search, board = (
        Search(lab, SearchConfig(steps=3), Stream(lab), Stream(lab, first=10)),
        TensorBoardLogger(tmp_path, every=1),
    )
    for event in search:
        board("search", search, event)
    board("search", search, Evaluated(step=3, scores={"hard": {"normals": {"mean_angle": 30.0}}}))
    board.close()
    read = EventAccumulator(str(tmp_path / "search"))
    read.Reload()
    assert [e.step for e in read.Scalars("loss/segmentation")] == [1, 2, 3]
    assert (
        read.Scalars("normals mean_angle/hard")[0].value == 30.0
        and "search/gates" in read.Tags()["histograms"]
    )


def test_without_tensorboard_it_says_what_to_install(tmp_path, monkeypatch):
    import sys

    from mtlnas_lab.runs.tensorboard import TensorBoardLogger

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"mtlnas-lab\[tensorboard\]"):
        TensorBoardLogger(tmp_path)
