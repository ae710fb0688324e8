import warnings
from types import SimpleNamespace

import pytest
import torch
from helpers import batch, small_lab

from mtlnas_lab import presets
from mtlnas_lab.core.backbone import Backbone
from mtlnas_lab.core.fusion import NDDR, ResidualFusion
from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.core.supernet import SuperNet
from mtlnas_lab.data.views import View
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.models.onnx import inputs_of, onnx_difference, to_onnx, to_torch
from mtlnas_lab.models.pruned import prune


def pruned(seed, tasks=3):
    """A network whose batch-norm statistics fit it, so that its outputs are not all but zero."""
    lab = small_lab(tasks, seed=seed)
    for module in lab.supernet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    kept = [i % 2 == 0 for i in range(len(lab.space))]
    lab.supernet.train()(batch(0, 64, 4)[0], kept)
    return prune(lab.supernet, kept)


@pytest.fixture(scope="module")
def network():
    return pruned(0)


@pytest.mark.parametrize("tasks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_program_that_needs_no_lab(tasks, tmp_path):
    network = pruned(0, tasks)
    path = to_torch(network, tmp_path / "network.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it loads
        program = torch.export.load(path).module()
    for shape in ((1, 3, 64, 64), (3, 3, 96, 72)):
        image = torch.randn(*shape)
        with torch.no_grad():
            for task, output in network(image).items():
                torch.testing.assert_close(program(image)[task], output, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_onnx_computes_the_same_at_other_sizes(network, tmp_path, capsys):
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    path = to_onnx(network, tmp_path / "network.onnx")
    assert onnx_difference(path, network, [(5, 48, 80)]) < 1e-4
    assert onnx_difference(path, pruned(1), [(1, 64, 64)]) > 1e-2  # the comparison can fail
    assert capsys.readouterr().out == ""


def seen_apart():
    """A lab whose three networks see three things, two of them by an input of their own name."""
    lab = small_lab(tasks=3)
    lab.views = {"normals": View("blurred", 0.5)}
    lab.visibility = {"segmentation": 0.0}
    return lab


def short(tasks):
    """A pruned network of two stages for each task."""
    backbones = {}
    for task in tasks:
        stages = [torch.nn.Conv2d(inputs, 4, 3, padding=1) for inputs in (3, 4)]
        head = torch.nn.Conv2d(4, 2, 1)
        backbones[task] = Backbone(stages, plan([4, 4], [2]), head, signed=True)
    space = SearchSpace.build({task: one.plan for task, one in backbones.items()})
    network = SuperNet(backbones, space, NDDR)
    return prune(network.eval(), [i % 2 == 0 for i in range(len(space))])


def test_a_program_has_a_named_input_for_each_view(tmp_path):
    lab = seen_apart()
    inputs = inputs_of(lab)
    assert inputs == {
        "segmentation": "image_of_segmentation",
        "normals": "blurred_0.5",
        "depth": "image",
    }
    network = short([*lab.tasks])  # the long ones are traced above
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.load(to_torch(network, tmp_path / "n.pt2", inputs=inputs)).module()
    images = {name: torch.randn(3, 3, 96, 72) for name in inputs.values()}
    by_task = {task: images[name] for task, name in inputs.items()}
    with torch.no_grad():
        found = program(images)
        for task, output in network(by_task).items():
            torch.testing.assert_close(found[task], output, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_onnx_has_a_named_input_for_each_view(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    lab = seen_apart()
    network = prune(lab.supernet, [i % 2 == 0 for i in range(len(lab.space))])
    path = to_onnx(network, tmp_path / "n.onnx", inputs=inputs_of(lab))  # compares the outputs
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert {one.name for one in session.get_inputs()} == {*inputs_of(lab).values()}
    assert [one.name for one in session.get_outputs()] == [*lab.tasks]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet18", "vit", "segmentation=vgg16,normals=resnet18"])
def test_other_backbones_too(backbone, tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    lab = presets.make_lab("tiny", presets.open_data(), backbone=backbone)
    network = prune(lab.supernet, [i % 2 == 0 for i in range(len(lab.space))])
    to_onnx(network, tmp_path / "network.onnx")  # compares at three sizes itself
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.load(to_torch(network, tmp_path / "network.pt2")).module()
    image = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        for task, output in network(image).items():
            torch.testing.assert_close(program(image)[task], output, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_maps_below_zero_beside_a_pooling_that_pads_with_zero(tmp_path):
    """onnxruntime (since its PR 18136) takes a pad of 0 before a max-pool for one of -∞: wrong where maps may be negative."""
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    lab = small_lab(fusion=ResidualFusion)
    for fusion in lab.supernet.fusion.values():
        torch.nn.init.constant_(fusion.conv.weight, -1.0)
    network = prune(lab.supernet, [True] * len(lab.space))
    image, plain = (
        torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)),
        prune(lab.supernet, [True] * len(lab.space)),
    )
    assert onnx_difference(to_onnx(network, tmp_path / "network.onnx"), plain, [(2, 64, 96)]) < 1e-4
    assert all(torch.equal(x, plain(image)[task]) for task, x in network(image).items()), (
        "the network is as it was"
    )


def test_a_file_that_takes_one_size_only_is_refused(network, tmp_path, monkeypatch):
    """As that of resnet50 with a head for the whole image, traced at 32 × 32: its last maps are of one pixel."""

    def difference(path, network, sizes):
        raise RuntimeError(
            "Non-zero status code returned while running MatMul node.\nStatus Message: left operand cannot broadcast"
        )

    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    monkeypatch.setattr("mtlnas_lab.models.onnx.onnx_difference", difference)
    monkeypatch.setattr(
        torch.onnx, "export", lambda *_, **__: SimpleNamespace(save=lambda path: None)
    )
    with pytest.raises(
        RunError, match="runs only at 32 × 32 .*MatMul.*trace it with a larger image"
    ):
        to_onnx(network, tmp_path / "network.onnx", (32, 32))


def test_without_onnx_it_says_what_to_install(network, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"mtlnas-lab\[export\]"):
        to_onnx(network, tmp_path / "network.onnx")
