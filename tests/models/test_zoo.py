"""Backbones: what torchvision computes, cut in stages; and every kind of task set searched over every one of them."""

import warnings
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from mtlnas_lab import presets
from mtlnas_lab._compat import torchvision
from mtlnas_lab.core.backbone import Backbone, Dropout, step
from mtlnas_lab.core.evaluate import evaluate, trivial
from mtlnas_lab.core.events import Failed, Step
from mtlnas_lab.core.fusion import ResidualFusion
from mtlnas_lab.core.search import Search
from mtlnas_lab.core.space import Node, SearchSpace
from mtlnas_lab.core.supernet import SuperNet
from mtlnas_lab.data.dataset import ImageDataset
from mtlnas_lab.data.loader import sequential
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import reopen, run
from mtlnas_lab.models import resnet, traced
from mtlnas_lab.models.baselines import baseline
from mtlnas_lab.models.onnx import to_onnx, to_torch
from mtlnas_lab.models.pruned import prune
from mtlnas_lab.models.vgg import vgg16
from mtlnas_lab.runs.run import Run

NARROW = presets.PRESETS["tiny"].backbones
MIXED = ("vgg16", "resnet18", "vit")
TASKS = {
    ("dense", 2): ("seg13", "normals"),
    ("dense", 3): ("seg13", "normals", "depth"),
    ("classification", 2): ("master", "colour"),
    ("classification", 3): ("master", "colour", "usage"),
    ("both", 2): ("seg13", "colour"),
    ("both", 3): ("seg13", "master", "depth"),
}


def shaken(net: nn.Module) -> nn.Module:
    """With batch-norm statistics that are not those of the start, in evaluation mode."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


@torch.no_grad()
def maps(backbone: Backbone, image):
    """The maps of all stages, and what passes beside the last one."""
    found, beside = [], ()
    for stage in backbone.eval().stages:
        image, beside = step(stage, image, beside)
        found.append(image)
    return found, beside


def given(backbone: Backbone, state) -> Backbone:
    backbone.load_state_dict(
        {name: state[there] for name, there in backbone.names.items()}, strict=False
    )
    return backbone


def space_of(*backbones: Backbone) -> SearchSpace:
    return SearchSpace.build({f"t{i}": backbone.plan for i, backbone in enumerate(backbones)})


# --- the networks -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name, edges",
    [
        ("vgg16", 48),
        ("resnet18", 24),
        ("resnet50", 72),
        ("vit", 48),
        ("mobilenet_v3", 62),
        ("convnext_tiny", 84),
    ],
)
def test_outputs_plan_and_number_of_candidates(name, edges):
    image = torch.randn(2, 3, 64, 96)
    for dense in (True, False):
        backbone = NARROW[name](outputs=5, dense=dense).eval()
        found, _ = maps(backbone, image)
        assert [x.shape[1] for x in found] == [stage.channels for stage in backbone.plan]
        assert backbone.signed or min(x.min() for x in found) >= 0
        out, last = backbone(image), list(backbone.modules())[-1]
        assert (
            out.shape[:2] == (2, 5)
            and out.ndim == (4 if dense else 2)
            and len(space_of(backbone, backbone)) == edges
        )
        assert len(last.bias) == 5  # which SuperNet.parameter_groups counts on


def test_dense_residual_networks_keep_an_eighth_of_the_side():
    image = torch.randn(1, 3, 64, 64)

    def sides(dense):
        return [x.shape[-1] for x in maps(NARROW["resnet18"](outputs=2, dense=dense), image)[0]]  # noqa: E731

    assert sides(True) == [16, 16, 8, 8, 8, 8, 8, 8] and sides(False) == [16, 16, 8, 8, 4, 4, 2, 2]


def test_resnet_is_torchvisions():
    models, image = torchvision().models, torch.randn(2, 3, 64, 64)
    net = shaken(models.resnet18())
    found, _ = maps(given(resnet.resnet18(3, dense=False), net.state_dict()), image)
    x = net.maxpool(net.relu(net.bn1(net.conv1(image))))
    for number, layer in enumerate((net.layer1, net.layer2, net.layer3, net.layer4)):
        x = layer(x)
        assert torch.allclose(found[2 * number + 1], x, atol=1e-4 * x.abs().max().item())


@pytest.mark.slow
def test_dilated_resnet50_is_torchvisions():
    net = shaken(torchvision().models.resnet50(replace_stride_with_dilation=[False, True, True]))
    image = torch.randn(1, 3, 96, 64)
    backbone = given(resnet.resnet50(3), net.state_dict())
    x = net.layer4(
        net.layer3(net.layer2(net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(image)))))))
    )
    assert torch.allclose(maps(backbone, image)[0][-1], x, atol=1e-4 * x.abs().max().item())
    assert (
        sum(p.numel() for p in backbone.stages.parameters())
        == sum(p.numel() for p in net.parameters()) - 2_049_000
    )


def test_vit_is_torchvisions_with_its_class_token():
    net = torchvision().models.VisionTransformer(64, 8, 12, 3, 48, 192).eval()
    backbone, image = NARROW["vit"](outputs=3), torch.randn(2, 3, 64, 64)
    given(backbone, net.state_dict())
    (*_, last), (token,) = maps(backbone, image)
    tokens = net.conv_proj(image).flatten(2).transpose(1, 2)
    tokens = net.encoder(torch.cat([net.class_token.expand(2, -1, -1), tokens], 1))
    assert torch.allclose(backbone.head.norm(token[:, 0]), tokens[:, 0], atol=1e-5)
    assert torch.allclose(
        backbone.head.norm(last.permute(0, 2, 3, 1)).flatten(1, 2), tokens[:, 1:], atol=1e-5
    )
    assert last.shape == (2, 48, 8, 8)
    assert backbone(torch.randn(1, 3, 50, 75)).shape == (
        1,
        3,
        7,
        10,
    )  # sizes that patches do not fill
    picture = NARROW["vit"](outputs=3, dense=False)
    picture(image).sum().backward()  # the head hears map and token
    assert all(p.grad is not None for p in picture.parameters())


@pytest.mark.parametrize(
    "name, make",
    [
        ("mobilenet_v3", lambda models: models.mobilenet_v3_large(width_mult=0.25, dilated=True)),
        (
            "convnext_tiny",
            lambda models: models.convnext.ConvNeXt(
                [
                    models.convnext.CNBlockConfig(*s)
                    for s in ((12, 24, 3), (24, 48, 3), (48, 96, 9), (96, None, 3))
                ]
            ),
        ),
    ],
)
def test_staged_networks_are_torchvisions(name, make):
    net, image = shaken(make(torchvision().models)), torch.randn(2, 3, 64, 64)
    found, _ = maps(given(NARROW[name](outputs=2), net.state_dict()), image)
    assert torch.allclose(found[-1], net.features(image), atol=1e-5) and len(found) == {
        "mobilenet_v3": 15
    }.get(name, 18)


def test_vgg_is_torchvisions_but_for_its_pooling():
    models, image = torchvision().models, torch.randn(2, 3, 16, 16)
    cfg = [4, 4, "M", 6, 6, "M", 8, 8, 8, "M", 8, 8, 8, "M", 8, 8, 8, "M"]
    net = models.vgg.VGG(models.vgg.make_layers(cfg, batch_norm=True), init_weights=False)
    backbone = vgg16(2, widths=(4, 6, 8, 8, 8), hidden=8, field=2)
    convs = [
        f"features.{name}.weight"
        for name, part in net.features.named_children()
        if isinstance(part, nn.Conv2d)
    ]
    assert [there for there in backbone.names.values() if there.endswith(".weight")][::2] == convs
    assert all(
        backbone.get_parameter(name).shape == net.get_parameter(there).shape
        for name, there in backbone.names.items()
        if "running" not in there and "tracked" not in there
    )
    assert maps(backbone, image)[0][1].shape == net.features[:6](image).shape


# --- any module -------------------------------------------------------------------------------------------------------
class Skips(nn.Module):
    """A network whose skip connection crosses two cuts, and which changes its maps in place."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (
            nn.Conv2d(3, 4, 3, 2, 1),
            nn.Conv2d(4, 4, 3, 1, 1),
            nn.Conv2d(4, 6, 3, 2, 1),
        )
        self.relu, self.drop, self.scale = (
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Parameter(torch.tensor(2.0)),
        )

    def forward(self, image):
        first = self.a(image)
        x = self.relu(self.b(first))
        x += first.mean((2, 3), keepdim=True) * self.scale
        x = self.drop(self.c(x))
        return x.mean((2, 3)) + first.mean()


def test_any_module_in_stages():
    net, image = Skips().eval(), torch.randn(2, 3, 64, 64)
    backbone = traced.staged(net, ["a", "relu", "add", "drop"], outputs=3)
    found, beside = maps(backbone, image)
    first = net.a(image)
    second = net.b(first).relu()
    third = second + first.mean((2, 3), keepdim=True) * 2
    for x, expected in zip(found, (first, second, third, net.c(third)), strict=True):
        assert torch.allclose(
            x, expected, atol=1e-6
        )  # nothing changed the maps at the borders in place
    assert (
        beside == ()
        and backbone.signed
        and [stage.group for stage in backbone.plan] == [0, 0, 0, 1]
    )
    kinds = {type(module) for stage in backbone.stages for module in stage.modules()}
    assert Dropout in kinds and nn.Dropout not in kinds
    image = traced.staged(Skips(), ["relu", "c"], outputs=3, dense=False, groups=(0, 1, 1))
    assert image(torch.randn(2, 3, 32, 32)).shape == (2, 3) and [
        stage.group for stage in image.plan
    ] == [1, 2]


def test_edges_read_what_a_stage_put_out_even_if_the_next_one_changes_it_in_place():
    backbones = {
        name: traced.staged(Skips(), ["a", "b", "relu", "c"], outputs=2, groups=(3, 1)).eval()
        for name in "ab"
    }
    lab = SuperNet(
        backbones,
        SearchSpace.build({name: b.plan for name, b in backbones.items()}),
        ResidualFusion,
    )
    image, none = torch.randn(1, 3, 32, 32), [False] * len(lab.space)
    for task, output in lab.eval()(image, none).items():
        assert torch.equal(output, backbones[task](image))
    for fusion in lab.fusion.values():
        nn.init.normal_(fusion.conv.weight)
    seen = {}
    lab(
        image, [True] * len(lab.space), tap=seen.__setitem__
    )  # stage 2 begins with an in-place ReLU
    into = [lab.space.edges[i].source for i in lab.space.into(Node("a", 2))]
    assert list(map(str, into)) == ["b:0", "b:1", "b:2"]
    features = [backbones["b"].stages[0](image)]
    for stage in (1, 2):
        beside = () if stage == 1 else (features[0],)
        out, _ = step(backbones["b"].stages[stage], seen[Node("b", stage - 1)], beside)
        features.append(out)
    own, _ = step(backbones["a"].stages[2], seen[Node("a", 1)], (backbones["a"].stages[0](image),))
    assert features[1].min() < 0
    assert torch.allclose(seen[Node("a", 2)], lab.fusion["a:2"](own, features), atol=1e-4)


class Moody(nn.Module):
    def forward(self, x):
        return x * 2 if self.training else x + 1


class Forgetful(Skips):
    def forward(self, x):
        return nn.functional.dropout(self.a(x), training=self.training)


class Branches(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


@pytest.mark.parametrize(
    "module, cuts, words",
    [
        (Skips, ["relo"], "nothing to cut behind called .*relu"),
        (Skips, [], "nothing to cut behind"),
        (Skips, ["relu", "a"], "not in the order"),
        (Skips, ["relu", "relu"], "not in the order|twice"),
        (Skips, ["drop", "mean_1"], "no feature map .*torch.Size"),
        (Moody, ["mul"], "Moody takes other paths in training"),
        (Forgetful, ["dropout"], "Forgetful takes other paths in training"),
        (Branches, ["mul"], "cannot trace Branches .*by hand"),
    ],
)
def test_what_cannot_be_cut_says_why(module, cuts, words):
    with pytest.raises(ConfigError, match=words):
        traced.staged(module(), cuts, outputs=2)


# --- unlike backbones -------------------------------------------------------------------------------------------------
def test_unlike_backbones_meet_where_papers_count_alike():
    vgg, resnet, vit = (NARROW[name](outputs=2) for name in MIXED)

    def pairs(a, b):
        return {
            (e.source.stage, e.target.stage) for e in space_of(a, b).edges if e.source.task == "t0"
        }  # noqa: E731

    into_resnet = pairs(vgg, resnet)
    assert {source for source, _ in into_resnet} == set(
        range(2, 13)
    )  # VGG's first group stands alone
    assert {target for source, target in into_resnet if source in (2, 3)} == {
        0,
        1,
    }  # conv2 meets conv2_x
    assert {source for source, target in into_resnet if target in (6, 7)} == {10, 11, 12}
    assert {target for source, target in pairs(resnet, vit) if source in (0, 1)} == {
        1,
        2,
    }  # ½, 1 and ⅓, ⅔, 1
    for a, b in product((vgg, resnet, vit), repeat=2):
        space = space_of(a, b)
        assert SearchSpace.from_json(space.to_json()) == space and len(space) >= 24


# --- the matrix -------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    draw, count, side = np.random.default_rng(0), 24, 32
    normals = draw.normal(size=(count, side, side, 3))
    normals = np.round(127 * normals / np.linalg.norm(normals, axis=-1, keepdims=True))
    arrays = {
        "image": draw.integers(0, 256, (count, side, side, 3)).astype(np.uint8),
        "seg13": draw.integers(0, 14, (count, side, side)).astype(np.uint8),
        "normal": normals.astype(np.int8),
        "normal_valid": np.ones((count, side, side), bool),
        "depth_mm": draw.integers(500, 5000, (count, side, side)).astype(np.uint16),
        "master": draw.integers(0, 4, count).astype(np.int16),
        "colour": draw.integers(0, 5, count).astype(np.int16),
        "usage": draw.integers(-1, 3, count).astype(np.int16),
    }
    arrays["seg13"][::3], arrays["depth_mm"][1::3], arrays["master"][::2] = (
        0,
        0,
        -1,
    )  # images that lack a task's label
    path = tmp_path_factory.mktemp("zoo") / "pack.npz"
    np.savez(path, **arrays)
    return path


def searched(pack, out, network, kind, count, steps):
    """Search, derive, prune, save, reopen: all on narrow networks. Returns the pruned network."""
    tasks = TASKS[kind, count]
    backbone = (
        ",".join(f"{task}={name}" for task, name in zip(tasks, MIXED))
        if network == "mixed"
        else network
    )
    made = Experiment.from_preset(
        "tiny",
        str(pack),
        tasks=tasks,
        steps=steps,
        pretrain_steps=1,
        baselines=(),
        checkpoint_every=steps,
        threads=1,
        backbone=backbone,
    )
    run(made, out)
    folder = Run.open(out)
    assert len(folder.log.steps) == steps and all(
        np.isfinite(loss).all() for loss in folder.log.loss.values()
    )
    lab, architecture = reopen(out)
    assert tuple(lab.tasks) == tasks and architecture.space == folder.space
    batches = sequential(lab.data["test"], tasks, 32)
    for task, metrics in evaluate(lab.supernet, architecture.kept, lab.tasks, batches).items():
        assert metrics == pytest.approx(folder.scores()["hard"][task], abs=1e-6, nan_ok=True)
    image = lab.data["test"].batch(torch.arange(2), tasks)[0]
    for dtype, close in (
        (torch.float64, 1e-9),
        (torch.float32, 1e-4),
    ):  # the first tells rounding from mistakes
        with torch.no_grad():
            pruned = prune(lab.supernet.to(dtype), architecture)
            expected = lab.supernet.eval()(image.to(dtype), architecture.kept)
            for task, output in pruned(image.to(dtype)).items():
                assert (output - expected[task]).abs().max() <= close * max(
                    1.0, expected[task].abs().max().item()
                )
    assert not any(isinstance(module, nn.BatchNorm2d) for module in pruned.modules())
    return pruned


def exported(network, folder, onnx):
    """As files that need no lab, and back: the same outputs, also at another batch and image size."""
    if onnx:
        pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
        to_onnx(network, folder / "network.onnx")  # compares at three sizes itself
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it loads
        program = torch.export.load(to_torch(network, folder / "network.pt2")).module()
    for shape in ((1, 3, 64, 64), (3, 3, 96, 48)):
        image = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected, found = network(image), program(image)
        for task, output in expected.items():
            assert (found[task] - output).abs().max() <= 1e-4 * max(1.0, output.abs().max().item())


@pytest.mark.parametrize(
    "network, kind, count",
    [
        ("vgg16", "both", 3),
        ("resnet18", "classification", 3),  # of it and of resnet50, the matrix has all kinds
        ("vit", "both", 2),
        ("mobilenet_v3", "dense", 2),
        ("mixed", "both", 3),
    ],
)
def test_a_short_search(pack, tmp_path, network, kind, count):
    searched(pack, tmp_path / "run", network, kind, count, steps=3)


@pytest.mark.slow
@pytest.mark.parametrize("kind, count", TASKS)
@pytest.mark.parametrize("network", ["vgg16", "resnet18", "resnet50", "vit", "mixed"])
def test_the_matrix(pack, tmp_path, network, kind, count):
    exported(
        searched(pack, tmp_path / "run", network, kind, count, steps=20), tmp_path, onnx=count == 3
    )


def test_baselines_take_the_class_token_along(pack):
    lab = presets.make_lab("tiny", presets.open_data(pack), ("seg13", "depth"), backbone="vit")
    image = lab.data["val"].batch(torch.arange(2), lab.tasks)[0]
    for name in ("single_task", "shared_trunk", "sluice", "all_edges"):
        made, gates = baseline(name, lab, 10)
        out = made.supernet.eval()(image, gates.kept)
        assert out["seg13"].shape == (2, 13, 4, 4)
        if name == "single_task":
            assert all(
                torch.allclose(out[task], lab.supernet.backbones[task].eval()(image), atol=1e-6)
                for task in out
            )


# --- partial labels ---------------------------------------------------------------------------------------------------
def five(pack):
    return presets.make_lab(
        "tiny",
        presets.open_data(pack),
        ("seg13", "normals", "depth", "master", "usage"),
        backbone="resnet18",
    )


UNLABELLED = {"seg13": 255, "normals": 0, "depth": 0, "master": -1, "usage": -1}


class Fixed:
    """The same batch again and again, with targets as `change(number, targets)` leaves them."""

    def __init__(self, lab, change):
        self.lab, self.change, self.position = lab, change, 0

    def __iter__(self):
        return self

    def __next__(self):
        image, targets = self.lab.data["train"].batch(torch.arange(4), self.lab.tasks)
        self.position += 1
        return image, self.change(self.position, targets)


@pytest.mark.parametrize(
    "change",
    [
        lambda number, targets: {
            task: torch.full_like(x, UNLABELLED[task]) for task, x in targets.items()
        },
        lambda number, targets: {
            task: torch.full_like(x, UNLABELLED[task]) if task in ("seg13", "master") else x
            for task, x in targets.items()
        },
        lambda number, targets: {
            task: x for i, (task, x) in enumerate(targets.items()) if i == number % 5
        },
        lambda number, targets: {},
    ],
    ids=["nothing labelled", "two tasks unlabelled", "one task a batch", "no targets"],
)
def test_five_tasks_of_which_a_batch_has_only_some(pack, change):
    lab = five(pack)
    search = Search(
        lab,
        presets.with_budget(presets.preset("tiny").search, 4),
        Fixed(lab, change),
        Fixed(lab, change),
    )
    events = list(search)
    assert not any(isinstance(event, Failed) for event in events) and search.step_number == 4
    steps = [event for event in events if isinstance(event, Step)]
    for event in steps:  # a task without a label in a batch says nothing of it
        assert set(event.loss) <= set(lab.tasks)
        assert np.isfinite(list(event.loss.values())).all() and 0.0 not in event.loss.values()
    assert (
        all(value.isfinite().all() for value in lab.supernet.state_dict().values())
        and lab.alphas.alpha.isfinite().all()
    )


def test_an_image_without_a_label_teaches_the_others_and_counts_in_no_mean(pack):
    lab = five(pack)
    image, targets = lab.data["train"].batch(torch.arange(4), lab.tasks)
    for task in targets:
        targets[task][0] = UNLABELLED[task]
    targets["normals"][0] = torch.nn.functional.normalize(torch.randn(3, 32, 32), dim=0)
    outputs = lab.supernet.eval()(image, torch.ones(len(lab.space)))
    outputs = {task: output.detach().requires_grad_() for task, output in outputs.items()}
    losses = lab.loss(outputs, targets)
    sum(losses.values()).backward()
    for task in lab.tasks:
        assert (outputs[task].grad[0].abs().sum() > 0) == (task == "normals")
        rest = lab.tasks[task].loss(outputs[task][1:], targets[task][1:])
        assert task == "normals" or torch.allclose(losses[task], rest)


def test_scores_of_tasks_without_a_label_are_nan_and_the_trivial_answer_too(pack):
    lab = five(pack)
    image, targets = lab.data["train"].batch(torch.arange(4), lab.tasks)
    bare = {task: torch.full_like(x, UNLABELLED[task]) for task, x in targets.items()}
    scores = evaluate(lab.supernet, [True] * len(lab.space), lab.tasks, [(image, bare)])
    assert all(np.isnan(value) for metrics in scores.values() for value in metrics.values())
    lazy = trivial(
        lab.tasks, [(image, targets), (image, bare)], [(image, {"depth": targets["depth"]})]
    )
    assert np.isfinite(lazy["depth"]["absolute"]) and np.isnan(lazy["seg13"]["miou"])


def test_a_pack_that_labels_a_task_in_some_images_only(pack):
    with np.load(pack) as file:
        arrays = {key: file[key] for key in file.files}
    arrays["normal_valid"][2:] = False
    made = ImageDataset.from_arrays(arrays)
    targets = made.batch(torch.arange(4), ("normals", "seg13"))[1]
    assert (
        targets["normals"][:2].norm(dim=1).mean() > 0.99 and targets["normals"][2:].abs().sum() == 0
    )
    assert (targets["seg13"][0] == 255).all() and (targets["seg13"][1] != 255).any()
