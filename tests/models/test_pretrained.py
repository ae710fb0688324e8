import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mtlnas_lab import presets
from mtlnas_lab._compat import torchvision
from mtlnas_lab.cli import main as cli
from mtlnas_lab.core.events import Step
from mtlnas_lab.data.rooms import render
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import reopen, run
from mtlnas_lab.models import traced
from mtlnas_lab.models.pretrained import load_weights
from mtlnas_lab.models.vgg import vgg16
from mtlnas_lab.runs.run import Run

NARROW = presets.PRESETS["tiny"].backbones


def theirs(backbone, **more):
    """A state dict as torchvision would have it for a network of these widths, with a classifier."""
    drawn = {
        there: torch.rand_like(backbone.state_dict()[name])
        if backbone.state_dict()[name].is_floating_point()
        else torch.tensor(7)
        for name, there in backbone.names.items()
    }
    return drawn | {"fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)} | more


def names_and_shapes(name):
    """A state dict of a network of torchvision at full size, in a small file: every tensor is one number, repeated."""
    with torch.device("meta"):
        net = torchvision().models.get_model(name)
    return {key: torch.zeros(()).expand(value.shape) for key, value in net.state_dict().items()}


@pytest.mark.parametrize(
    "name", ["vgg16", "resnet18", "resnet50", "vit", "mobilenet_v3", "convnext_tiny"]
)
def test_every_backbone_takes_its_tensors_by_torchvisions_names(name, tmp_path):
    backbone = NARROW[name](outputs=3)
    assert {part for part in backbone.state_dict() if part.startswith("stages.")} <= set(
        backbone.names
    )
    state, head = (
        theirs(backbone),
        {key: value.clone() for key, value in backbone.head.state_dict().items()},
    )
    torch.save(state, tmp_path / "a.pth")
    loaded = load_weights(backbone, tmp_path / "a.pth")
    assert loaded.left_out == ("fc.bias", "fc.weight") and "left out: fc.bias, fc.weight" in str(
        loaded
    )
    for key, there in backbone.names.items():
        assert there.endswith("num_batches_tracked") or torch.equal(
            backbone.state_dict()[key], state[there]
        )
    if name != "vit":  # whose head begins with the encoder's last norm
        assert all(
            torch.equal(backbone.head.state_dict()[key], value) for key, value in head.items()
        )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s},
        lambda s: {"model": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {f"backbone.{k}": v for k, v in s.items()},
    ],
)
def test_wrappers_are_taken_off(wrap, tmp_path):
    backbone = NARROW["resnet18"](outputs=3)
    state = theirs(backbone)
    torch.save(wrap(state), tmp_path / "a.pt")
    load_weights(backbone, tmp_path / "a.pt")
    assert torch.equal(backbone.stages[0][0].weight, state["conv1.weight"])


def test_safetensors_and_own_names(tmp_path):
    first, second = (NARROW["resnet18"](outputs=3) for _ in range(2))
    save_file(theirs(first), tmp_path / "a.safetensors")
    loaded = load_weights(first, tmp_path / "a.safetensors")
    assert loaded.sha256 == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    save_file(first.state_dict(), tmp_path / "own.safetensors")
    assert load_weights(second, tmp_path / "own.safetensors").taken == len(first.state_dict())
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(first.eval()(image), second.eval()(image))


def test_vgg_computes_what_torchvision_does_until_their_pooling_differs(tmp_path):
    models, image = torchvision().models, torch.randn(2, 3, 16, 16)
    cfg = [4, 4, "M", 6, 6, "M", 8, 8, 8, "M", 8, 8, 8, "M", 8, 8, 8, "M"]
    net = models.vgg.VGG(models.vgg.make_layers(cfg, batch_norm=True), init_weights=False).eval()
    for part in net.features:
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d):
            nn.init.normal_(part.bias)  # which our convolutions lack
    torch.save(net.state_dict(), tmp_path / "vgg.pth")
    backbone = vgg16(2, widths=(4, 6, 8, 8, 8), hidden=8, field=2).eval()
    loaded = load_weights(backbone, tmp_path / "vgg.pth")
    assert set(loaded.left_out) == {
        name for name in net.state_dict() if name.startswith("classifier")
    }
    assert torch.allclose(
        backbone.stages[1](backbone.stages[0](image)), net.features[:6](image), atol=0.01
    )


@pytest.mark.parametrize(
    "make, words",
    [
        (
            lambda: names_and_shapes("resnet50"),
            "seems to be torchvision's resnet50. .* of resnet18 fit: resnet18-.*pth",
        ),
        (lambda: names_and_shapes("vgg16_bn"), "seems to be torchvision's vgg16_bn"),
        (
            lambda: names_and_shapes("resnet18"),
            "is resnet18 at other widths: conv1.weight is .64, 3, 7, 7. there and .8, 3, 7",
        ),
        (
            lambda: {"encoder.w": torch.zeros(3)},
            "not a network of torchvision, its tensors are called encoder.w",
        ),
        (lambda: NARROW["vgg16"](outputs=2).state_dict(), "weights that this package saved"),
        (lambda: {"model": 3}, "no state dict"),
        (lambda: [1, 2], "no state dict"),
        (lambda: {}, "no state dict"),
        (lambda: nn.Linear(2, 2), "without running code"),
    ],
)
def test_what_does_not_fit_is_one_line_and_changes_nothing(make, words, tmp_path):
    torch.save(make(), tmp_path / "a.pth")
    backbone = NARROW["resnet18"](outputs=3)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises(RunError, match=words) as caught:
        load_weights(backbone, tmp_path / "a.pth")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_a_missing_file_says_which_would_fit_and_that_nothing_is_fetched(tmp_path):
    with pytest.raises(
        RunError,
        match=r"no such file. .* of resnet50 fit: resnet50-\w+.pth .IMAGENET1K_V1., .*is fetched",
    ):
        load_weights(NARROW["resnet50"](outputs=3), tmp_path / "none.pth")
    own = traced.staged(nn.Sequential(nn.Conv2d(3, 4, 3)), ["0"], outputs=2)
    with pytest.raises(RunError, match="the module that the backbone was cut from"):
        load_weights(own, tmp_path / "none.pth")


# --- in an experiment -------------------------------------------------------------------------------------------------
@pytest.fixture
def made(tmp_path):
    """A file of weights, and an experiment that begins with it."""
    np.savez(
        tmp_path / "pack.npz",
        **{key: np.asarray(value) for key, value in render(24, 32, seed=3).items()},
    )
    torch.save(theirs(NARROW["resnet18"](outputs=3)), tmp_path / "a.pth")
    change = lambda config: replace(config, batch_size=2)  # noqa: E731
    experiment = Experiment.from_preset(
        "tiny",
        str(tmp_path / "pack.npz"),
        tasks=("segmentation", "normals"),
        steps=2,
        pretrain_steps=2,
        checkpoint_every=1,
        baselines=(),
        threads=1,
        backbone="normals=resnet18",
        weights={"normals": os.path.relpath(tmp_path / "a.pth")},
    )
    return tmp_path / "a.pth", replace(
        experiment, search=change(experiment.search), pretrain=change(experiment.pretrain)
    )


def stop(kind, where, step):
    def listen(name, search, event):
        if name == where and isinstance(event, Step) and event.step == step:
            raise kind

    return listen


def test_the_run_knows_its_weight_files_and_needs_them_no_more_once_it_has_a_checkpoint(
    made, tmp_path
):
    path, experiment = made
    told = []
    with pytest.raises(KeyboardInterrupt):
        run(
            experiment,
            tmp_path / "run",
            listen=stop(KeyboardInterrupt, "pretraining", 1),
            tell=told.append,
        )
    config = Run.open(tmp_path / "run").config
    assert config["weights"] == {"normals": str(path)}
    assert config["weights_sha256"] == {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}
    assert told == ["normals: a.pth: 100 tensors of resnet18; left out: fc.bias, fc.weight"]
    os.remove(path)
    run(None, tmp_path / "run", resume=True)
    assert Run.open(tmp_path / "run").log.finished and len(reopen(tmp_path / "run")[1].space) == 27


def test_a_changed_or_lost_file_stops_a_run_that_still_needs_it(made, tmp_path):
    path, experiment = made
    with pytest.raises(ZeroDivisionError):
        run(experiment, tmp_path / "run", listen=stop(ZeroDivisionError, "pretraining", 1))
    kept = path.read_bytes()
    torch.save(theirs(NARROW["resnet18"](outputs=3)), path)
    for saved in (tmp_path / "run" / "pretraining" / "checkpoints").iterdir():
        saved.unlink()  # as if it had been killed
    with pytest.raises(RunError, match="not the file that this work began with"):
        run(None, tmp_path / "run", resume=True)
    os.remove(path)
    with pytest.raises(RunError, match="no such file"):
        run(None, tmp_path / "run", resume=True)
    path.write_bytes(kept)
    run(None, tmp_path / "run", resume=True)
    assert Run.open(tmp_path / "run").log.finished


def test_without_pretraining_the_search_begins_with_the_file(made):
    path, experiment = made
    lab = replace(experiment, pretrain=replace(experiment.pretrain, steps=0)).lab()
    first = lab.supernet.backbones["normals"].stages[0][0].weight
    assert torch.equal(first, torch.load(path, weights_only=True)["conv1.weight"])
    with pytest.raises(ConfigError, match="weights smell=.*segmentation, normals"):
        replace(experiment, weights={"smell": str(path)}).lab()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ["--backbone", "resnet81"],
            "no backbone 'resnet81' for segmentation; choose one of vgg16, resnet18",
        ),
        (["--backbone", "smell=vgg16"], "backbone smell=vgg16: give one backbone for all tasks"),
        (
            ["--backbone", "resnet18", "--weights", "none.pth"],
            "torchvision's weights of resnet18 fit",
        ),
        (["--weights", "normals=none.pth"], "torchvision's weights of vgg16_bn fit"),
        (["--backbone", "segmentation=resnet18", "--fusion", "cross_stitch"], "unlike stages"),
    ],
)
def test_the_commands_mistakes_are_one_line_and_leave_nothing(
    arguments, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["search", *arguments])
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_the_command_takes_backbones_and_weights_for_each_task(made, tmp_path, capsys):
    path, _ = made
    cli.main(
        [
            "search",
            "--data",
            str(tmp_path / "pack.npz"),
            "--tasks",
            "segmentation,depth",
            "--steps",
            "1",
            "--pretrain-steps",
            "1",
            "--baselines",
            "none",
            "--out",
            str(tmp_path / "run"),
            "--backbone",
            "segmentation=vgg16,depth=resnet18",
            "--weights",
            f"depth={path}",
            "--threads",
            "1",
        ]
    )
    shown = capsys.readouterr()
    assert "of 27 edges kept" in shown.out and "depth: a.pth: 100 tensors of resnet18" in shown.err
