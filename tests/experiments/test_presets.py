import math
import os
import re

import numpy as np
import pytest
import torch

from mtlnas_lab import presets
from mtlnas_lab.core.evaluate import evaluate, trivial
from mtlnas_lab.core.fusion import NDDR, ResidualFusion
from mtlnas_lab.core.lab import pick_device
from mtlnas_lab.core.schedule import Schedule
from mtlnas_lab.core.space import SearchSpace
from mtlnas_lab.data.loader import sequential
from mtlnas_lab.data.open import data_to_score
from mtlnas_lab.data.rooms import render
from mtlnas_lab.errors import ConfigError, DataError, RunError
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.runs.run import Run

SAMPLES = presets.samples()


# --- what is shipped --------------------------------------------------------------------------------------------------
def test_rooms_are_what_the_renderer_makes():
    file = np.load(SAMPLES / "rooms.npz", allow_pickle=False)
    assert (SAMPLES / "rooms.npz").stat().st_size <= 8e6
    first = 0
    for split, count in (("train", 480), ("val", 80), ("test", 120)):
        made = render(2, 64, seed=0, first=first)
        for key, array in made.items():
            stored = file[f"{split}/{key}"]
            assert len(stored) == count
            if key == "image":
                assert np.abs(stored[:2].astype(int) - array).max() <= 1
            elif key == "depth_mm":
                assert np.abs(stored[:2].astype(int) - array).max() <= 6
            else:
                assert (stored[:2] == array).mean() > 0.999
        first += count


def test_shipped_backbones_beat_the_trivial_answer():
    lab = presets.tiny()
    batches = lambda: sequential(lab.data["test"], tuple(lab.tasks), 60)  # noqa: E731
    lazy = trivial(lab.tasks, sequential(lab.data["train"], tuple(lab.tasks), 60), batches())
    for task, backbone in lab.supernet.backbones.items():

        class One(torch.nn.Module):
            def __init__(self, net, name):
                super().__init__()
                self.net, self.name = net, name

            def forward(self, image):
                return {self.name: self.net(image)}

        scores = evaluate(One(backbone, task), None, {task: lab.tasks[task]}, batches())[task]
        better = {"segmentation": ("pixel_accuracy", 1), "normals": ("mean_angle", -1)}[task]
        assert better[1] * (scores[better[0]] - lazy[task][better[0]]) > 0.05


@pytest.mark.parametrize("name, weight", [("entropy", 10.0), ("no_entropy", 0.0)])
def test_recorded_runs(name, weight):
    folder = SAMPLES / "runs" / name
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 1e6
    run = Run.open(folder)
    log = run.log
    assert (
        isinstance(log, EventLog)
        and log.finished.step == len(log.steps) == 500
        and log.problems == []
    )
    assert log.steps[-1].entropy_weight == pytest.approx(weight, abs=0.1)
    assert (log.steps[-1].entropy_fraction < 0.1) == (weight > 0)
    assert 0 < sum(a > 0 for a in log.steps[-1].alpha) < 48
    assert set(run.scores()) >= {"soft", "hard", "hard_recalibrated", "trivial", "single_task"}
    assert len(log.evaluated) == 10


@pytest.mark.parametrize("name", ["blind", "seeing"])
def test_recorded_runs_with_and_without_covered_eyes(name):
    folder = SAMPLES / "runs" / name
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 1e6
    run = Run.open(folder)
    log = run.log
    assert log.finished.step == len(log.steps) == 200 and log.problems == []
    assert len(log.evaluated) == 10
    seen = Experiment.from_json(run.config).search.visibility
    assert {task: v.end for task, v in seen.items()} == {"blind": {"segmentation": 0}}.get(name, {})
    kept = run.architecture()["kept"]
    into = [edge for edge in kept if "-> segmentation" in edge]
    if name == "blind":  # its way in stands open, its way out is shut
        assert len(into) > 18 and len(kept) - len(into) < 6
    assert set(run.scores()) >= {"soft", "hard", "hard_recalibrated", "trivial", "single_task"}


def test_hard_scores_of_the_recorded_search_beat_the_trivial_answer():
    scores = Run.open(SAMPLES / "runs" / "entropy").scores()
    hard, lazy = scores["hard"], scores["trivial"]
    assert hard["segmentation"]["pixel_accuracy"] > lazy["segmentation"]["pixel_accuracy"]
    assert hard["segmentation"]["miou"] > lazy["segmentation"]["miou"]
    assert hard["normals"]["mean_angle"] < lazy["normals"]["mean_angle"]


# --- labs -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "flat.npz"
    np.savez(path, **render(30, 32, seed=5))
    return path


def test_a_pack_without_splits_lends_images(pack):
    data = presets.open_data(pack)
    assert {split: len(part) for split, part in data.items()} == {"val": 3, "test": 3, "train": 24}
    again = presets.open_data(pack)
    assert all(torch.equal(data[s].images, again[s].images) for s in data)
    whole = torch.cat([part.images.flatten(1) for part in data.values()]).unique(dim=0)
    assert len(whole) == 30  # no image in two of them
    other = presets.open_data(pack, eval_data=pack)
    assert {split: len(part) for split, part in other.items()} == {
        "val": 3,
        "train": 27,
        "test": 30,
    }
    assert len(presets.open_data(pack, eval_data="rooms")["test"]) == 120


def content(count=12, names=("none", "a", "b", "c"), seed=0, size=8, most=4):
    rng = np.random.default_rng(seed)
    made = {
        "image": rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8),
        "seg": rng.integers(0, most, (count, size, size), dtype=np.uint8),
        "depth_mm": rng.integers(1, 999, (count, size, size), dtype=np.uint16),
    }
    return made | ({} if names is None else {"seg_names": np.array(names)})


def in_splits(**splits):
    made = {}
    for split, arrays in splits.items():
        shared = {key: x for key, x in arrays.items() if key.endswith("_names")}
        made |= {f"{split}/{key}": x for key, x in arrays.items() if key not in shared} | shared
    return made


@pytest.mark.parametrize(
    "names, counts, words",
    [
        (("train", "val", "test"), {"train": 12, "val": 12, "test": 12}, []),
        (("training", "validation", "testing"), {"train": 12, "val": 12, "test": 12}, []),
        (("Train", "valid"), {"train": 12, "val": 12}, ["no test images; the validation"]),
        (("train", "test"), {"train": 11, "val": 1, "test": 12}, ["has no val; 10% of train"]),
        (("train",), {"train": 10, "val": 1, "test": 1}, ["has no val, test; 10% of train each"]),
        (("train", "dev", "x"), {"train": 12, "val": 12}, ["splits x are not used", "no test"]),
    ],
)
def test_splits_by_the_names_that_people_give(tmp_path, names, counts, words):
    path = tmp_path / "pack.npz"
    np.savez(path, **in_splits(**{name: content(seed=i) for i, name in enumerate(names)}))
    told = []
    data = presets.open_data(path, tell=told.append)
    assert {split: len(pack) for split, pack in data.items()} == counts
    assert len(told) == len(words) and all(map(re.search, words, told))
    presets.make_lab("tiny", data, backbone="resnet18")


@pytest.mark.parametrize(
    "splits, words",
    [
        (("test",), "has no split to train on; it has test"),
        (("fold1", "fold2"), "has no split to train on; it has fold1, fold2"),
        (("train", "training"), "train and training are both for train"),
        (("train", "val", "validation"), "are both for val"),
    ],
)
def test_splits_that_say_nothing_to_train_on_are_refused(tmp_path, splits, words):
    np.savez(tmp_path / "pack.npz", **in_splits(**{split: content() for split in splits}))
    with pytest.raises(DataError, match=words):
        presets.open_data(tmp_path / "pack.npz")


@pytest.mark.parametrize("count", [1, 2])
def test_a_pack_too_small_to_be_split_is_refused_at_once(tmp_path, count):
    np.savez(tmp_path / "pack.npz", **content(count))
    np.savez(tmp_path / "other.npz", **content(4))
    with pytest.raises(DataError, match=f"{count} images are few for train, val, test"):
        presets.open_data(tmp_path / "pack.npz")
    if count == 2:
        data = presets.open_data(tmp_path / "pack.npz", tmp_path / "other.npz")
        assert [len(pack) for pack in data.values()] == [1, 1, 4]


@pytest.mark.parametrize(
    "train, other, words",
    [
        (
            content(),
            content(names=("none", "c", "a", "b")),
            "in another order .*: c, a, b against a, b, c",
        ),
        (
            content(),
            content(names=("none", "a", "c", "b")),
            "in another order .*: c, b against b, c",
        ),
        (content(), content(names=("none", "a", "b", "d")), "other classes .*: d against c"),
        (
            content(),
            content(names=("none", "a", "b", "c", "d")),
            "other classes .*: d against none",
        ),
        (content(), content(names=None, most=6), "has 5 classes, those to train on .* have 3"),
        (content(names=None), content(names=("none", *"abcd")), "has 4 classes, those to train on"),
        (content(names=None), content(names=("none", *"ab"), most=3), "has 2 classes, those"),
    ],
)
def test_other_data_of_other_classes_are_refused(tmp_path, train, other, words):
    np.savez(tmp_path / "train.npz", **train)
    np.savez(tmp_path / "other.npz", **other)
    with pytest.raises(DataError, match=words):
        presets.open_data(tmp_path / "train.npz", tmp_path / "other.npz")
    packs = {
        "train": presets.open_data(tmp_path / "train.npz")["train"],
        "test": data_to_score(tmp_path / "other.npz"),
    }
    with pytest.raises(DataError, match=words):
        presets.make_lab("tiny", packs)


@pytest.mark.parametrize(
    "train, other, words",
    [
        (content(), content(), None),
        (content(names=None), content(names=None), "no names.*3 to train on, 3 in test"),
        (content(), content(names=None), "no names"),
        (content(), content(names=None, most=3), "3 to train on, 2 in test"),
        (content(names=None), content(), "no names"),
        (content(), content(size=16), "images of 16 × 16 pixels, those to train on have 8 × 8"),
    ],
)
def test_what_could_not_be_compared_is_said(tmp_path, train, other, words):
    np.savez(tmp_path / "train.npz", **train)
    np.savez(tmp_path / "other.npz", **other)
    told = []
    data = presets.open_data(tmp_path / "train.npz", tmp_path / "other.npz", tell=told.append)
    assert re.search(words, told[0]) if words else told == []
    assert len({pack.labels["segmentation"] for pack in data.values()}) == 1


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_task_without_a_label_in_a_split_is_named_before_any_training(tmp_path, split):
    splits = {name: content(seed=i) for i, name in enumerate(("train", "val", "test"))}
    path = tmp_path / "pack.npz"
    np.savez(path, **in_splits(**splits))
    data = presets.open_data(path)
    data[split].targets["depth"].zero_()
    with pytest.raises(DataError, match=f"12 images has a label for depth in {split}"):
        presets.make_lab("tiny", data)
    del splits[split]["depth_mm"]
    np.savez(path, **in_splits(**splits))
    with pytest.raises(DataError, match=f"no labels for depth in {split}"):
        presets.make_lab("tiny", presets.open_data(path))


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "", 5, None, ["rooms"]])
def test_a_name_that_can_be_no_place_is_refused(name):
    with pytest.raises(DataError):
        presets.open_data(name)


def test_a_lab_is_drawn_by_its_seed_alone(pack):
    data = presets.open_data(pack)
    torch.manual_seed(1)
    first = presets.make_lab("tiny", data, seed=3)
    torch.manual_seed(2)
    again, other = presets.make_lab("tiny", data, seed=3), presets.make_lab("tiny", data, seed=4)
    key = "backbones.segmentation.stages.0.0.weight"
    assert torch.equal(first.supernet.state_dict()[key], again.supernet.state_dict()[key])
    assert not torch.equal(first.supernet.state_dict()[key], other.supernet.state_dict()[key])
    assert list(first.tasks) == ["segmentation", "normals"] and len(first.space) == 48
    assert torch.equal(first.alphas.alpha, torch.zeros(48))


def test_three_tasks_and_image_tasks(pack):
    lab = presets.make_lab("tiny", presets.open_data(pack), ("segmentation", "depth", "room"))
    out = lab.supernet(
        lab.data["val"].batch(torch.arange(2), lab.tasks)[0], torch.rand(len(lab.space))
    )
    assert len(lab.space) == 6 * 24 and out["room"].shape == (2, 5) and out["depth"].shape[1] == 1


@pytest.mark.parametrize(
    "backbone, edges, fusion",
    [
        ("resnet18", 3 * 24, NDDR),
        ("segmentation=resnet50,depth=resnet18", 34 + 48 + 27, NDDR),
        ({"room": "vit"}, 48 + 2 * 43, ResidualFusion),
    ],
)
def test_backbones_by_name(pack, backbone, edges, fusion):
    lab = presets.make_lab(
        "tiny", presets.open_data(pack), ("segmentation", "depth", "room"), backbone=backbone
    )
    out = lab.supernet(
        lab.data["val"].batch(torch.arange(2), lab.tasks)[0], torch.rand(len(lab.space))
    )
    assert len(lab.space) == edges and out["segmentation"].ndim == 4 and out["room"].shape == (2, 5)
    assert {type(f) for f in lab.supernet.fusion.values()} == {fusion}


def test_full_size_backbones_have_the_papers_spaces():
    full = presets.preset("vgg16").backbones
    with torch.device("meta"):
        plans = {name: full[name](outputs=40).plan for name in ("vgg16", "resnet50", "vit")}
    counts = {
        name: len(SearchSpace.build(dict.fromkeys("ab", plan))) for name, plan in plans.items()
    }
    assert counts == {"vgg16": 48, "resnet50": 72, "vit": 48}


def test_budget():
    config = presets.preset("tiny").search
    changed = presets.with_budget(config, 100, 3.0, seed=9)
    assert (changed.steps, changed.seed) == (100, 9) and changed.entropy_weight == Schedule(
        3.0, 0.0, (0.3, 1.0)
    )
    assert presets.with_budget(config) == config
    off = presets.with_budget(config, entropy_weight=0)
    assert max(off.entropy_weight(step, 500) for step in range(500)) == 0


def test_errors(pack, tmp_path, monkeypatch):
    data = presets.open_data(pack)
    for make, kind, words in (
        (lambda: presets.preset("big"), ConfigError, "tiny, vgg16"),
        (lambda: presets.make_lab("tiny", data, ("depth",)), ConfigError, "two tasks"),
        (lambda: presets.open_data(tmp_path / "no.npz"), DataError, "no such file"),
        (
            lambda: presets.load_backbones(presets.make_lab("tiny", data), tmp_path),
            RunError,
            "no pretrained backbone .* pretrain it",
        ),
        (lambda: pick_device("abacus"), ConfigError, "'auto'"),
    ):
        with pytest.raises(kind, match=words):
            make()
    monkeypatch.setenv("MTLNAS_LAB_SAMPLES", str(tmp_path))
    with pytest.raises(DataError, match="MTLNAS_LAB_SAMPLES"):
        presets.open_data()


def test_the_rooms_are_unpacked_once_and_everybody_has_copies(tmp_path, monkeypatch):
    first, again = presets.open_data(), presets.open_data()
    for split, pack in first.items():
        there = again[split]
        kept = (
            there.images.clone(),
            {task: target.clone() for task, target in there.targets.items()},
        )
        labels = dict(there.labels)
        for array in (pack.images, *pack.targets.values()):
            array.zero_()
        pack.labels.clear()
        assert torch.equal(there.images, kept[0]) and there.labels == labels
        fresh = presets.open_data()[split]
        for task, target in kept[1].items():
            assert torch.equal(there.targets[task], target)
            assert torch.equal(fresh.targets[task], target)
        assert torch.equal(fresh.images, kept[0]) and fresh.labels == labels
        assert fresh.name == pack.name
    rooms = tmp_path / "rooms.npz"
    monkeypatch.setenv("MTLNAS_LAB_SAMPLES", str(tmp_path))
    for seed in (1, 2):  # a file that has changed is read again
        splits = {name: content(seed=seed) for name in ("train", "val", "test")}
        np.savez(rooms, **in_splits(**splits))
        os.utime(rooms, ns=(seed, seed))
        found = presets.open_data()["train"].images
        assert torch.equal(found.movedim(1, -1), torch.from_numpy(splits["train"]["image"]))


def test_smoke_sizes(monkeypatch):
    monkeypatch.delenv("MTLNAS_LAB_FAST", raising=False)
    assert presets.quick(500, 3) == 500
    monkeypatch.setenv("MTLNAS_LAB_FAST", "1")
    assert presets.quick(500, 3) == 3


@pytest.mark.real
@pytest.mark.parametrize(
    "name, tasks",
    [("nyuv2_train795_96x128", ("seg13", "normals")), ("fashion_train_64", ("article", "colour"))],
)
def test_real_photographs_make_a_lab(real_data, name, tasks):
    data = presets.open_data(real_data / f"{name}.npz")
    lab = presets.make_lab("tiny", data, tasks)
    image, targets = data["train"].batch(torch.arange(2), tasks)
    losses = lab.loss(lab.supernet(image, torch.ones(48)), targets)
    assert set(losses) == set(tasks) and all(math.isfinite(v.item()) for v in losses.values())


@pytest.mark.parametrize(
    "gpus, name, picked",
    [
        (2, "auto", "cuda"),
        (2, "cuda", "cuda"),
        (2, "cuda:1", "cuda:1"),
        (0, "auto", "cpu"),
        (0, "cpu", "cpu"),
    ],
)
def test_devices_that_are_there(gpus, name, picked, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device(name) == torch.device(picked)


@pytest.mark.parametrize(
    "gpus, name, there",
    [
        (2, "cuda:2", "cuda:0, cuda:1, cpu:0"),
        (0, "cuda", "cpu:0"),
        (2, "cuda:x", "cuda:0"),
        (2, "mps", "cuda:0"),
        (2, "", "cuda:0"),
    ],
)
def test_a_device_that_is_absent_is_one_line_with_those_there_are(gpus, name, there, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(
        ConfigError, match=f"device '{name}' is not on this machine; there is {there}"
    ) as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "x", [], 10**400, True])
def test_a_weight_that_is_none_is_refused_where_it_enters(value):
    with pytest.raises(ConfigError, match="entropy_weight"):
        presets.with_budget(presets.preset("tiny").search, entropy_weight=value)
    with pytest.raises(ConfigError, match="steps"):
        presets.with_budget(presets.preset("tiny").search, steps=-1)
