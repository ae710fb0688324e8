"""Which data a run was made with: known again wherever they lie, refused where they are others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mtlnas_lab.data import identity
from mtlnas_lab.data.open import open_data
from mtlnas_lab.errors import DataError, RunError
from mtlnas_lab.experiments.config import Experiment


def arrays(count=40, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    seg = rng.integers(0, 4, (count, 8, 8), dtype=np.uint8)
    names = np.array(["unlabelled", "a", "b", "c"])
    depth = rng.integers(1, 9000, (count, 8, 8), dtype=np.uint16)
    return {"image": image, "seg": seg, "seg_names": names, "depth_mm": depth}


def only(content, index):
    return {key: x if key.endswith("_names") else x[index] for key, x in content.items()}


def split_up(content, **parts):
    """The arrays under the keys of splits."""
    made = {"seg_names": content["seg_names"]}
    for split, index in parts.items():
        for key, x in only(content, index).items():
            if key != "seg_names":
                made[f"{split}/{key}"] = x
    return made


def begun(path, **settings):
    """An experiment that knows its data, and these."""
    made = Experiment(data=str(path), **settings)
    packs, drawn = made.packs()
    return replace(
        made, data_identity=identity.identity(packs, ("segmentation", "depth"), drawn)
    ), packs


def same(one, other):
    return {*one} == {*other} and all(torch.equal(one[s].images, other[s].images) for s in one)


KEPT = slice(None)
GIVEN = {"train": slice(0, 30), "val": slice(30, 35), "test": slice(35, 40)}


@pytest.mark.parametrize("parts", [None, GIVEN], ids=["drawn", "given"])
def test_the_same_data_elsewhere_and_in_another_order_are_as_before(tmp_path, parts):
    content = arrays()
    np.savez(tmp_path / "a.npz", **(split_up(content, **parts) if parts else content))
    experiment, packs = begun(tmp_path / "a.npz")
    again = Experiment.from_json(experiment.to_json())
    (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    assert same(replace(again, data=str(tmp_path / "b.npz")).packs()[0], packs)
    if parts:
        parts = {
            split: slice(p.stop - 1, (p.start or None) and p.start - 1, -1)
            for split, p in parts.items()
        }
        mixed = split_up(content, **parts)
    else:
        mixed = only(content, np.random.default_rng(1).permutation(40))
    np.savez_compressed(tmp_path / "c.npz", **mixed)
    told = []
    found, _ = replace(again, data=str(tmp_path / "c.npz")).packs(told.append)
    assert same(found, packs) and told == []


@pytest.mark.parametrize("parts", [None, GIVEN], ids=["drawn", "given"])
@pytest.mark.parametrize("gone", [0, 3, 17, 31, 36])
def test_images_that_are_gone_move_none_of_the_others(tmp_path, parts, gone):
    content = arrays()
    left = [n for n in range(40) if n != gone]
    if parts:
        numbers = {split: np.arange(40)[p] for split, p in parts.items()}
        less = split_up(content, **{s: n[n != gone] for s, n in numbers.items()})
        content = split_up(content, **parts)
    else:
        less = only(content, left)
    np.savez(tmp_path / "a.npz", **content)
    experiment, packs = begun(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **less)
    told = []
    found, _ = experiment.packs(told.append)
    assert len(told) == 1 and "1 of the 40 images" in told[0]
    for split, pack in packs.items():
        before = {image.numpy().tobytes() for image in pack.images}
        now = {image.numpy().tobytes() for image in found[split].images}
        assert now <= before and len(now) in (len(before), len(before) - 1)
    assert sum(map(len, found.values())) == 39


def changed(content, key, value):
    content = {k: x.copy() for k, x in content.items()}
    content[key][7] = value
    return content


@pytest.mark.parametrize(
    "other, words",
    [
        (arrays(seed=1), "0 are the same, 40 are new or changed; what differs: image"),
        (only(arrays(41), KEPT), "are new or changed"),
        (changed(arrays(), "seg", 1), "39 are the same, 1 are new or changed; what differs: seg"),
        (changed(arrays(), "depth_mm", 5), "what differs: depth"),
        (arrays() | {"seg_names": np.array(["no", "b", "a", "c"])}, "classes of segmentation"),
        ({k: x for k, x in arrays().items() if k != "depth_mm"}, "no labels for depth"),
    ],
)
def test_other_data_under_the_same_name_are_refused(tmp_path, other, words):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays())
    experiment, _ = begun(path)
    np.savez(path, **other)
    with pytest.raises(DataError, match=f"not the data that the run was made with.*{words}"):
        experiment.packs()


def test_images_that_changed_sides_are_refused(tmp_path):
    path, content = tmp_path / "a.npz", arrays()
    np.savez(path, **split_up(content, **GIVEN))
    experiment, _ = begun(path)
    swapped = GIVEN | {"test": slice(0, 5), "train": np.r_[5:30, 35:40]}
    np.savez(path, **split_up(content, **swapped))
    with pytest.raises(DataError, match="images are in another split"):
        experiment.packs()


def test_another_array_in_the_pack_changes_nothing(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays())
    experiment, packs = begun(path)
    np.savez(path, edge=np.ones((40, 8, 8), np.uint8), **arrays())
    assert same(experiment.packs()[0], packs)


def test_other_data_to_score_on_leave_the_training_images_as_they_were(tmp_path):
    np.savez(tmp_path / "a.npz", **arrays())
    np.savez(tmp_path / "b.npz", **arrays(5, seed=2))
    experiment, packs = begun(tmp_path / "a.npz")
    found, _ = experiment.packs(eval_data=str(tmp_path / "b.npz"))
    assert len(found["test"]) == 5
    assert same({s: found[s] for s in ("train", "val")}, {s: packs[s] for s in ("train", "val")})
    scored, _ = begun(tmp_path / "a.npz", eval_data=str(tmp_path / "b.npz"))
    (tmp_path / "b.npz").rename(tmp_path / "moved.npz")
    found, _ = scored.packs(eval_data=str(tmp_path / "moved.npz"))
    assert len(found["test"]) == 5 and len(found["train"]) == 36
    np.savez(tmp_path / "b.npz", **arrays(5, seed=3))
    with pytest.raises(DataError, match="not the data"):
        scored.packs()


def test_of_very_many_images_any_change_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "LISTED", 20)
    path = tmp_path / "a.npz"
    np.savez(path, **arrays())
    experiment, packs = begun(path)
    assert same(experiment.packs()[0], packs)
    np.savez(path, **only(arrays(), slice(1, None)))
    with pytest.raises(DataError, match="some came, went or changed"):
        experiment.packs()


@pytest.mark.parametrize(
    "harm",
    [
        lambda x: x.update(drawn=1),
        lambda x: x.update(splits=5),
        lambda x: x.update(splits={}),
        lambda x: x["splits"].update(extra=x["splits"]["val"]),
        lambda x: x["splits"]["val"].update(images="4"),
        lambda x: x["splits"]["val"].update(each="ab"),
        lambda x: x["splits"]["val"].update(all=None),
        lambda x: x["splits"]["val"].pop("arrays"),
        lambda x: x.update(tasks=[5]),
        lambda x: x.update(classes={"segmentation": 5}),
        lambda x: x.pop("classes"),
    ],
)
def test_a_record_of_another_kind_is_refused(tmp_path, harm):
    np.savez(tmp_path / "a.npz", **arrays())
    experiment, _ = begun(tmp_path / "a.npz")
    settings = Experiment.from_json(experiment.to_json()).to_json()
    harm(settings["data_identity"])
    with pytest.raises(RunError, match="data_identity"):
        Experiment.from_json(settings)


# --- who is held out --------------------------------------------------------------------------------------------------
def images(pack):
    return {image.numpy().tobytes() for image in pack.images}


@pytest.mark.parametrize("count", [200, 40])
@pytest.mark.parametrize("gone", [(0,), (1,), (5, 6, 7), range(20, 30)])
def test_test_images_never_become_training_images(tmp_path, count, gone):
    content = arrays(count)
    np.savez(tmp_path / "a.npz", **content)
    np.savez(tmp_path / "b.npz", **only(content, [n for n in range(count) if n not in gone]))
    for one, two in (("a", "b"), ("b", "a")):  # some go; some come
        before, now = (open_data(tmp_path / f"{name}.npz") for name in (one, two))
        assert not images(before["train"]) & images(now["test"])
        assert not images(before["test"]) & images(now["train"])


def test_each_split_has_a_label_of_each_task_where_there_are_enough(tmp_path):
    content = arrays(64)
    content["depth_mm"][np.arange(64) % 16 != 0] = 0
    np.savez(tmp_path / "a.npz", **content)
    for split, pack in open_data(tmp_path / "a.npz").items():
        assert pack.labelled("depth").any(), split


def test_an_index_of_folders_is_drawn_whole():
    keys = [f"folder{n}" for n in range(10)]
    parts = identity.draw(keys, ("val", "test"), 0.2, {}, "here")
    assert {name: len(index) for name, index in parts.items()} == {"test": 2, "val": 2, "train": 6}
    for share in (0.0, 0.5, -1, float("nan"), 2):
        with pytest.raises(DataError, match="leaves nothing to train on"):
            identity.draw(keys, ("val", "test"), share, {}, "here")
