"""What networks, their files and their exports refuse, in one line, before any work; and numbers of NumPy, which they take."""

import os
import zipfile

import numpy as np
import pytest
import torch
from helpers import small_lab
from safetensors.torch import save_file
from torch import nn

from mtlnas_lab import presets
from mtlnas_lab._compat import torchvision
from mtlnas_lab.analysis import predictions
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.models import baselines, resnet, traced, vit
from mtlnas_lab.models import pretrained as weights
from mtlnas_lab.models import released as official
from mtlnas_lab.models.onnx import to_torch
from mtlnas_lab.models.pretrained import load_weights
from mtlnas_lab.models.pruned import prune
from mtlnas_lab.models.vgg import vgg16

NARROW = presets.PRESETS["tiny"].backbones
STAGED = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
MAKERS = {
    "vgg16": lambda n: vgg16(n(3), widths=[n(4)] * 5, hidden=n(8), field=n(2)),
    "vgg16, 13 widths": lambda n: vgg16(n(3), widths=[n(4)] * 13, hidden=n(8), field=n(2)),
    "resnet18": lambda n: resnet.resnet18(n(3), widths=[n(4)] * 4, hidden=n(8), field=n(2)),
    "vit": lambda n: vit.vit(
        n(3),
        width=n(48),
        heads=n(3),
        patch=n(8),
        image_size=n(64),
        groups=[n(0), n(12)],
        hidden=n(8),
    ),
    "convnext": lambda n: traced.convnext_tiny(n(3), widths=[n(4)] * 4),
    "staged": lambda n: traced.staged(STAGED, ["0"], n(3), groups=[n(1)], hidden=n(8), size=n(32)),
}


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32])
@pytest.mark.parametrize("maker", MAKERS)
def test_numbers_of_numpy_are_numbers(maker, kind):
    made = MAKERS[maker](kind)
    assert made(torch.randn(2, 3, 64, 64)).shape[:2] == (2, 3)
    assert all(type(stage.channels) is int for stage in made.plan)


@pytest.mark.parametrize("outputs", [0, -1, 2.5, "3", None, True, 10**9, float("nan"), [3]])
@pytest.mark.parametrize("maker", ["vgg16", "resnet18", "vit", "staged"])
def test_outputs_that_are_none(maker, outputs):
    make = {
        "vgg16": NARROW["vgg16"],
        "resnet18": NARROW["resnet18"],
        "vit": lambda outputs: vit.vit(outputs, dense=False, width=48, heads=3),
        "staged": lambda outputs: traced.staged(STAGED, ["0"], outputs),
    }[maker]
    with pytest.raises(ConfigError, match="outputs"):
        make(outputs=outputs)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: vgg16(3, widths=(4, 0, 4, 4, 4)), r"widths\[1\] = 0"),
        (lambda: vgg16(3, widths=(4,) * 4), "give 5 or 13"),
        (lambda: vgg16(3, widths="abcde"), "give channels"),
        (lambda: resnet.resnet18(3, widths=(4, 4.5, 4, 4)), r"widths\[1\] = 4.5"),
        (lambda: vit.vit(3, width=50, heads=3), "must be a multiple"),
        (lambda: traced.staged(STAGED, ["0"], 3, size=0), "size = 0"),
        (lambda: vgg16(3, hidden=-1), "hidden = -1"),
    ],
)
def test_sizes_that_make_no_network(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_numbers_of_numpy_in_baselines_and_views():
    lab = small_lab()
    graph = baselines.random_graph(lab.space, np.int64(7), np.int64(3))
    assert graph == baselines.random_graph(lab.space, 7, 3) and len(graph) == 7
    for edges, seed in ((2.5, 0), ("2", 0), (-1, 0), (10**20, 0), (2, "x"), (2, 1.5)):
        with pytest.raises(ConfigError):
            baselines.random_graph(lab.space, edges, seed)
    tiny = presets.make_lab("tiny", presets.open_data())
    with pytest.raises(ConfigError, match="'a'"):
        predictions.look_at(tiny, images="ab")
    with pytest.raises(ConfigError, match="not all in 'test'"):
        predictions.look_at(tiny, images=np.array([0, 10**6]))


# --- small images -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["vgg16", "resnet18", "vit", "mobilenet_v3"])
def test_a_batch_of_one_with_maps_of_one_pixel_says_what_would_do(name):
    backbone = NARROW[name](outputs=3).train()
    with pytest.raises(ConfigError, match="a batch of 1 image of 8 × 8 pixels .*batch size of 2"):
        backbone(torch.randn(1, 3, 8, 8))
    assert backbone(torch.randn(2, 3, 16, 16)).shape[:2] == (2, 3)
    assert backbone.eval()(torch.randn(1, 3, 16, 16)).shape[:2] == (1, 3)


def test_the_supernet_and_the_baselines_say_so_too():
    lab, image = small_lab(), torch.randn(1, 3, 8, 8)
    for made in (
        lab.supernet,
        *(baselines.baseline(n, lab, 3)[0].supernet for n in baselines.BASELINES),
    ):
        with pytest.raises(ConfigError, match="a batch of 1 image of 8 × 8 pixels"):
            made.train()(image, [True] * len(made.space))
    with pytest.raises(ConfigError, match="images of 1 × 1 pixels are too small"):
        lab.supernet.eval()(torch.randn(2, 3, 1, 1), [True] * len(lab.space))


# --- networks that cannot be cut --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name, cuts, words",
    [
        (
            "swin_t",
            ["features.1"],
            "cut it by hand: .*features.* permuted on both sides; then Backbone",
        ),
        (
            "googlenet",
            ["inception3a"],
            "without its auxiliary heads, in torchvision aux_logits=False",
        ),
        (
            "vit_b_32",
            ["encoder.layers.encoder_layer_0"],
            "64 × 64 pixels .* give a size .*size=224",
        ),
    ],
)
def test_what_cannot_be_cut_says_what_to_do(name, cuts, words):
    more = {"init_weights": False} if name == "googlenet" else {}
    net = torchvision().models.get_model(name, **more)
    with pytest.raises(ConfigError, match=words):
        traced.staged(net, cuts, outputs=2)


# --- files of weights -------------------------------------------------------------------------------------------------
def theirs(backbone):
    state = backbone.state_dict()
    return {there: state[name].clone() for name, there in backbone.names.items()}


def spoilt(name, value):
    def make(path, state):
        torch.save({**state, name: value(state["conv1.weight"])}, path)

    return make


def many(path, state):
    save_file({str(i): torch.zeros(0) for i in range(20_001)}, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


def bomb(path, state):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10**7))


def wide_header(path, state):
    path = path.with_suffix(".safetensors")
    path.write_bytes((9 * 2**20).to_bytes(8, "little") + b"{}" + bytes(9 * 2**20))
    return path


def large(path, state):
    with open(path, "wb") as stream:
        stream.truncate(weights.LIMIT + 1)


REFUSED = {
    "integer names": (spoilt(0, lambda w: w), "under 0 it has a value of type Tensor"),
    "a number": (spoilt("x", lambda w: 3), "under x it has a value of type int"),
    "complex": (
        spoilt("conv1.weight", lambda w: w.to(torch.complex64)),
        "numbers of type complex64",
    ),
    "whole": (spoilt("conv1.weight", lambda w: w.long()), "numbers of type int64"),
    "boolean": (spoilt("conv1.weight", lambda w: w > 0), "numbers of type bool"),
    "floats that count": (
        spoilt("bn1.num_batches_tracked", lambda w: torch.tensor(1.5)),
        None,  # not taken: the search counts for itself
    ),
    "NaN": (
        spoilt("conv1.weight", lambda w: w * float("nan")),
        "conv1.weight holds NaN or infinity",
    ),
    "too large for float32": (
        spoilt("conv1.weight", lambda w: w.double().abs() * 1e300),
        "conv1.weight holds NaN or infinity",
    ),
    "a negative variance": (
        spoilt("bn1.running_var", lambda w: torch.full((8,), -1.0)),
        "a variance below 0",
    ),
    "no axes": (spoilt("conv1.weight", lambda w: w.mean()), "does not fit|other widths"),
    "sparse": (spoilt("conv1.weight", lambda w: w.to_sparse()), "is sparse"),
    "names that a terminal obeys": (
        lambda path, state: torch.save({"\x1b]0;x\n" + "n" * 9999: torch.zeros(1)}, path),
        r"called \\x1b\]0;x\\n",
    ),
    "many tensors": (many, "names more than 20,000 tensors"),
    "a long header": (wide_header, "its header has"),
    "compressed": (bomb, "its parts are compressed"),
    "a long list": (
        lambda path, state: torch.save({"a": list(range(1_100_000))}, path),
        "takes more than 1,000,000 steps",
    ),
    "large": (large, "stay below"),
    "a pipe": (lambda path, state: os.mkfifo(path), "not a plain file"),
    "a device": (lambda path, state: path.symlink_to("/dev/zero"), "not a plain file"),
    "a folder": (lambda path, state: path.mkdir(), "not a plain file"),
    "a long name": (lambda path, state: path.with_name("x" * 300), "no such file"),
    "no name": (lambda path, state: path.with_name("a\0b"), "no such file"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_files_of_weights(kind, tmp_path):
    backbone, (make, words) = NARROW["resnet18"](outputs=3), REFUSED[kind]
    path = make(tmp_path / "a.pth", theirs(backbone)) or tmp_path / "a.pth"
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    if words is None:
        assert load_weights(backbone, path).taken == 100
        return
    with pytest.raises(RunError, match=words) as caught:
        load_weights(backbone, path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1500
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("kind", ["half", "double", "older form", "a link"])
def test_files_of_weights_that_are_fine(kind, tmp_path):
    backbone, path = NARROW["resnet18"](outputs=3), tmp_path / "a.pth"
    state, other = theirs(backbone), {"half": torch.float16, "double": torch.float64}
    for name, value in state.items():
        if value.is_floating_point():
            state[name] = torch.rand_like(value).to(other.get(kind, torch.float32))
    torch.save(state, path, _use_new_zipfile_serialization=kind != "older form")
    if kind == "a link":
        (tmp_path / "b.pth").symlink_to(path)
        path = tmp_path / "b.pth"
    load_weights(backbone, path)
    assert torch.equal(backbone.stages[0][0].weight, state["conv1.weight"].float())


# --- the released implementation's files ------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def released():
    with np.load(
        official.__file__.replace(
            "mtlnas_lab/models/released.py", "tests/golden/mtlnas_vgg16_narrow.npz"
        )
    ) as file:
        names = [name for name in file.files if name.startswith("state/")]
        return {name.removeprefix("state/"): torch.tensor(file[name]) for name in names}


WEIGHT = "net1.stages.3.feature.0.weight"


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda s: {**s, 3: s["net1_alphas"]}, "not a state dict"),
        (lambda s: {**s, "net1.head.2.weight": torch.tensor(1.0)}, "not a state dict"),
        (lambda s: {**s, "net1_alphas": torch.tensor(1.0)}, "net1_alphas has the shape"),
        (
            lambda s: {**s, "net1_alphas": s["net1_alphas"].long()},
            "net1_alphas holds numbers of type",
        ),
        (lambda s: {**s, "net1_alphas": s["net1_alphas"] * np.nan}, "net1_alphas holds NaN"),
        (lambda s: {**s, "net1_alphas": torch.zeros(20, 20)}, "net1_alphas has the shape"),
        (lambda s: {k: v for k, v in s.items() if k != "net2_alphas"}, "net2_alphas"),
        (lambda s: {k: v * np.nan if v.ndim == 4 else v for k, v in s.items()}, "holds NaN"),
        (lambda s: {k: v.to(torch.complex64) for k, v in s.items()}, "complex64"),
        (lambda s: {k: torch.zeros(()).expand(v.shape) for k, v in s.items()}, "repeat each other"),
        (
            lambda s: {
                k: torch.zeros(()).expand(10**9, *v.shape[1:]) if v.ndim == 4 else v
                for k, v in s.items()
            },
            "of more than 8192 channels",
        ),
        (lambda s: dict.fromkeys(s, "text"), "not a state dict"),
        (lambda s: [1], "not a state dict"),
        (lambda s: None, "not a state dict"),
    ],
)
def test_released_states(released, change, words, tmp_path):
    with pytest.raises(RunError, match=words) as caught:
        official.from_released(change(released))
    assert str(caught.value).isprintable()
    torch.save(change(released), tmp_path / "x.pth")
    with pytest.raises(RunError):
        official.load_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "text, words",
    [
        ("TRAIN: {STEPS: true}", "TRAIN.STEPS = True should be of the kind of 20001"),
        ("TRAIN: {STEPS: -5}", "TRAIN.STEPS = -5"),
        ("TRAIN: {STEPS: 2001-01-01}", "TRAIN.STEPS = '2001-01-01'"),
        ("TRAIN: {LR: .nan}", "TRAIN.LR = nan"),
        ("TRAIN: {LR: .inf}", "TRAIN.LR = inf"),
        ("TRAIN: {LR: -1}", "TRAIN.LR = -1"),
        ("TRAIN: {LR: true}", "TRAIN.LR = True"),
        ("TRAIN: {LR: [1]}", r"TRAIN.LR = \[1\]"),
        ("TRAIN: {LR: ~}", "TRAIN.LR = None"),
        ("MODEL: {SUPERNET: 1}", "MODEL.SUPERNET = 1 should be of the kind of False"),
        ("MODEL: {BACKBONE: [a, {b: c}]}", "MODEL.BACKBONE"),
        ("MODEL: {INIT: [a, b]}", "MODEL.INIT"),
        ('MODEL: {INIT: "' + "(" * 9000 + '"}', "MODEL.INIT .* not a pair of numbers"),
        ('MODEL: {INIT: "(nan, 1)"}', "MODEL.INIT"),
        ("MODEL: {INIT: {a: 1, b: 2}}", "MODEL.INIT .* not a pair of numbers"),
        ("SEED: x", "SEED = 'x'"),
        ("SEED: 2001-01-01", "SEED"),
        ("SEED: 99999999999999999999", "SEED"),
        ("ARCH: {SEARCHSPACE: " + "x" * 9000 + "}", "SEARCHSPACE"),
        ("ARCH: 2001-01-01", "ARCH = '2001-01-01' is not a section"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nARCH: *b", "ARCH = .* is not a section"),
    ],
)
def test_released_settings(text, words, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        official.read_released(tmp_path / "c.yaml")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


# --- exports ----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def pruned():
    lab = small_lab()
    return prune(lab.supernet, [True] * len(lab.space))


@pytest.mark.parametrize(
    "size", [(0, 96), (-1, 3), (float("inf"), 3), (10**9, 10**9), ("a", 3), (1, 1), (64,), None, 64]
)
def test_sizes_of_an_export(size, pruned, tmp_path):
    with pytest.raises(ConfigError) as caught:
        to_torch(pruned, tmp_path / "x.pt2", size)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["no/x.pt2", ".", "file/x.pt2", "x" * 300, "a\0b", "\ud800"])
def test_places_of_an_export(name, pruned, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(torch.export, "export", None)  # it is refused before any work
    with pytest.raises(RunError) as caught:
        to_torch(pruned, f"{tmp_path}/{name}")
    assert str(caught.value).isprintable()
