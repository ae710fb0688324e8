"""Folders as their data sets lay them out, written small by the tests; and files that are missing, cut off or wrong."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtlnas_lab.cli import main as cli
from mtlnas_lab.core.search import Search, SearchConfig
from mtlnas_lab.data import folders as readers
from mtlnas_lab.data import inputs, loader
from mtlnas_lab.data.dataset import picture
from mtlnas_lab.data.folders import check, hold_out, open_folder
from mtlnas_lab.data.open import open_data
from mtlnas_lab.errors import DataError
from mtlnas_lab.experiments.presets import make_lab

SIZE = (96, 128)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array) if path.suffix == ".npy" else Image.fromarray(array).save(path)


def shades(number, size=SIZE):
    return np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)


def colours(directions):
    """Unit vectors as the colours of a PNG."""
    return ((np.asarray(directions) + 1) * 127.5).round().astype(np.uint8)


def slope(number, size=SIZE):
    angle = 0.3 + 0.1 * number
    return np.broadcast_to([np.sin(angle), 0, -np.cos(angle)], (*size, 3))


# --- the trees --------------------------------------------------------------------------------------------------------
def nyuv2(root, train=12, test=3):
    for split, count in (("training", train), ("testing", test)):
        lines = {"seg": [], "normal_mask": []}
        for n in range(count):
            name = f"/nyu_train_val/{split}_{n:03d}"
            seg, normal = np.full(SIZE, n % 40, np.uint8), colours(slope(n))
            seg[:2], normal[:4], normal[4:6], normal[6:8] = 255, 255, 0, 127
            for kind, array in (("", shades(n)), ("_seg", seg), ("_normal", normal)):
                save(root / f"{name[1:]}{kind}.png", array)
            lines["seg"].append(f"{name}.png {name}_seg.png")
            lines["normal_mask"].append(f"{name}.png {name}_normal.png")
        (root / "list").mkdir(exist_ok=True)
        for kind, text in lines.items():
            (root / "list" / f"{split}_{kind}.txt").write_text("\n".join(text) + "\n")
    return root


def taskonomy(root, buildings=8, each=3, between=("taskonomy",), size=(64, 64)):
    for b in range(buildings):
        for n in range(each):

            def write(folder, domain, array, kind="png", b=b, n=n):
                place = root.joinpath(folder, *between, f"building{b}")
                save(place / f"point_{n}_view_{b}_domain_{domain}.{kind}", array)

            depth = np.full(size, 512 * (n + 1), np.uint16)
            depth[0] = 65535
            seg = np.full(size, n + 1, np.uint8)
            seg[0] = 0
            write("rgb", "rgb", shades(10 * b + n, size))
            write("depth_zbuffer", "depth_zbuffer", depth)
            write("depth_euclidean", "depth_euclidean", depth // 2)
            write("normal", "normal", colours(slope(n, size)))
            write("segment_semantic", "segmentsemantic", seg)
            if (b, n) != (0, 1):
                write(
                    "class_scene",
                    "class_places",
                    np.eye(365, dtype=np.float32)[n] / 2 + 0.5 / 365,
                    "npy",
                )
            write("class_object", "class_object", np.full(1000, 0.001), "npy")
            write("edge_texture", "edge_texture", depth)
    return root


def cityscapes(root, cities=("aachen", "bochum"), each=6, size=(32, 64)):
    for split, places in (("train", cities), ("val", ("munster",))):
        for city in places:
            for n in range(each):

                def file(kind, suffix, city=city, split=split, n=n):
                    return root / kind / split / city / f"{city}_000000_{n:06d}_{suffix}"

                seg, disparity = np.full(size, 7, np.uint8), np.full(size, 1 + 256 * 10, np.uint16)
                seg[0], seg[1], disparity[0], disparity[1] = 4, 33, 0, 2
                save(file("leftImg8bit", "leftImg8bit.png"), shades(n, size))
                save(file("gtFine", "gtFine_labelIds.png"), seg)
                save(file("disparity", "disparity.png"), disparity)
                if n == 0:
                    camera = file("camera", "camera.json")
                    camera.parent.mkdir(parents=True, exist_ok=True)
                    camera.write_text(
                        json.dumps({"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 1000}})
                    )
    return root


# --- each layout ------------------------------------------------------------------------------------------------------
def test_nyuv2_as_prepared_for_the_released_code(tmp_path):
    packs = open_folder(nyuv2(tmp_path))
    assert {name: len(pack) for name, pack in packs.items()} == {"train": 11, "val": 1, "test": 3}
    pack = packs["test"]
    assert (
        pack.tasks == ("seg40", "normals") == pack.first_dense_pair()
        and pack.name == f"{tmp_path} (test)"
    )
    assert len(pack.labels["seg40"]) == 40 and pack.labels["seg40"][:2] == ("wall", "floor")
    image, targets = pack.batch(torch.arange(3))
    assert (picture(image[1]) == shades(1)).all()
    seg = targets["seg40"]
    assert (seg[:, :2] == 255).all() and seg[:, 50, 60].tolist() == [0, 1, 2]
    normals = targets["normals"]
    assert (normals[:, :, :8] == 0).all() and torch.allclose(
        normals[:, :, 8:].norm(dim=1), torch.ones(()), atol=1e-5
    )
    for n in range(3):
        assert np.allclose(
            normals[n, :, 50, 60], slope(n)[0, 0], atol=0.01
        )  # decoded: x > 0, z < 0


def test_a_list_may_leave_a_label_out(tmp_path):
    path = nyuv2(tmp_path) / "list" / "training_normal_mask.txt"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([*rest[:-1], "", first.split()[0]]))
    _, targets = open_folder(tmp_path, hold=("val",))["train"].batch(torch.arange(11))
    assert (
        1 <= (targets["normals"] == 0).flatten(1).all(1).sum() <= 2
        and (targets["seg40"][:, 50, 50] < 40).all()
    )


def test_taskonomy(tmp_path):
    packs = open_folder(taskonomy(tmp_path))
    assert {name: len(pack) for name, pack in packs.items()} == {"train": 18, "val": 3, "test": 3}
    pack = packs["train"]
    assert pack.tasks == (
        "segmentation",
        "normals",
        "depth",
        "scene",
        "object",
    ) and pack.images.shape[-2:] == (96, 96)
    names = pack.labels["segmentation"]
    assert len(names) == 17 and names[:3] == ("background", "bottle", "chair")
    assert len(pack.labels["scene"]) == 365 and len(pack.labels["object"]) == 1000
    image, targets = pack.batch(torch.arange(18))
    depth, seg = targets["depth"][:, 0], targets["segmentation"]
    assert (depth[:, 0] == 0).all() and sorted(
        {round(x, 3) for x in depth[:, 50, 50].tolist()}
    ) == [1, 2, 3]
    assert (seg[:, 0] == 255).all() and torch.equal(
        seg[:, 50, 50], depth[:, 50, 50].round().long() - 1
    )
    unknown = targets["scene"].sum(1) == 0
    assert unknown.sum() <= 1 and torch.equal(
        targets["scene"].argmax(1)[~unknown], seg[~unknown, 50, 50]
    )
    assert torch.allclose(targets["scene"].sum(1)[~unknown], torch.ones(()))
    assert pack.make_tasks(["scene"])["scene"].soft
    assert (targets["normals"][:, 0, 50, 50] > 0).all()


@pytest.mark.parametrize("between", [(), ("taskonomy",)])
def test_buildings_are_held_out_whole(tmp_path, between):
    packs = open_folder(taskonomy(tmp_path, between=between, each=2))
    images = [pack.batch(torch.arange(len(pack)), ())[0] for pack in packs.values()]
    numbers = {name: [n // 2 for n in pack.index.tolist()] for name, pack in packs.items()}
    assert (
        not set(numbers["train"]) & set(numbers["val"])
        and len({*numbers["val"], *numbers["test"]}) == 2
    )
    assert len(torch.cat(images).flatten(1).unique(dim=0)) == 16
    assert sorted(sum(numbers.values(), [])) == sorted([*range(8)] * 2)


def test_cityscapes(tmp_path):
    packs = open_folder(cityscapes(tmp_path))
    assert {name: len(pack) for name, pack in packs.items()} == {"train": 11, "val": 1, "test": 6}
    pack = packs["test"]
    assert pack.tasks == ("segmentation", "depth") and pack.images.shape[-2:] == (96, 192)
    assert pack.labels["segmentation"][0] == "road" and pack.labels["segmentation"][18] == "bicycle"
    _, targets = pack.batch(torch.arange(2))
    assert targets["segmentation"][0, ::3, 0].tolist()[:3] == [255, 18, 0]  # static, bicycle, road
    depth = targets["depth"][:, 0]
    assert (depth[:, :6] == 0).all()  # none, and too far
    assert depth[0, 50, 50].item() == pytest.approx(0.2 * 1000 / 10, abs=1e-3)  # by its own camera
    assert depth[1, 50, 50].item() == pytest.approx(0.209313 * 2262.52 / 10, abs=1e-3)


def test_without_disparity_cityscapes_has_one_task(tmp_path):
    root = cityscapes(tmp_path / "a", each=2)
    (root / "disparity").rename(tmp_path / "elsewhere")
    assert open_folder(root)["train"].tasks == ("segmentation",)


# --- use --------------------------------------------------------------------------------------------------------------
def test_a_folder_feeds_a_search_as_its_pack_does(tmp_path):
    packs = open_data(f"{nyuv2(tmp_path, train=20)}@32x48")
    assert packs["train"].images.shape == (1, 3, 32, 48) and [*packs] == ["train", "val", "test"]
    config = SearchConfig(steps=3, batch_size=4)
    events = [
        [event.loss for event in Search(make_lab("tiny", given), config) if hasattr(event, "loss")]
        for given in (packs, {name: pack.read() for name, pack in packs.items()})
    ]
    assert len(events[0]) == 3 and events[0] == events[1]


def test_other_data_to_score_on(tmp_path):
    root = nyuv2(tmp_path / "nyu")
    other = open_data(root, eval_data=nyuv2(tmp_path / "other", test=5))
    assert len(other["test"]) == 5 and len(other["train"]) == 11
    rooms = open_data(taskonomy(tmp_path / "tasks", buildings=2, each=6), eval_data=root)
    assert [*rooms] == ["train", "val", "test"] and (len(rooms["train"]), len(rooms["test"])) == (
        11,
        3,
    )


def test_the_budget_is_what_the_variable_says(tmp_path, monkeypatch):
    nyuv2(tmp_path)
    monkeypatch.setenv("MTLNAS_LAB_MEMORY_GB", "0.25")
    assert open_folder(tmp_path)["train"].cache.room == 1 << 28
    monkeypatch.setenv("MTLNAS_LAB_MEMORY_GB", "much")
    with pytest.raises(DataError, match="MTLNAS_LAB_MEMORY_GB.*as in 4"):
        open_folder(tmp_path)


def test_what_is_held_out_is_always_the_same():
    records = [{"image": Path(f"city{n // 10}/{n}.png")} for n in range(200)]
    one, two = (hold_out(records, ("val", "test"), 0.1) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert {name: len(index) for name, index in one.items()} == {
        "train": 160,
        "val": 20,
        "test": 20,
    }
    assert not {n // 10 for n in one["train"].tolist()} & {n // 10 for n in one["val"].tolist()}
    assert len(hold_out(records, (), 0.1)["train"]) == 200


# --- what is wrong ----------------------------------------------------------------------------------------------------
def cut(path):
    path.write_bytes(path.read_bytes()[: -len(path.read_bytes()) // 2])


def other_size(path):
    with Image.open(path) as image:
        smaller = image.resize((image.width // 2, image.height))
    smaller.save(path)


def replaced(array):
    return lambda path: save(path, array)


NYU = "nyu_train_val/training_005"
TASK = "{}/taskonomy/building3/point_1_view_3_domain_{}"
CITY = "{}/train/aachen/aachen_000000_000003_{}.png"


@pytest.mark.parametrize(
    "tree, file, change, message",
    [
        (nyuv2, f"{NYU}.png", lambda path: path.unlink(), "no such file"),
        (nyuv2, f"{NYU}_normal.png", lambda path: path.unlink(), "no such file"),
        (nyuv2, f"{NYU}.png", cut, "cannot be read, cut off"),
        (nyuv2, f"{NYU}_seg.png", cut, "cannot be read, cut off"),
        (nyuv2, f"{NYU}_seg.png", lambda path: path.write_bytes(b""), "cannot be read"),
        (
            nyuv2,
            f"{NYU}_seg.png",
            other_size,
            r"seg40 is of shape \(96, 64\), but its image of 96 × 128 pixels",
        ),
        (nyuv2, f"{NYU}_normal.png", other_size, r"normals is of shape \(96, 64, 3\)"),
        (
            nyuv2,
            f"{NYU}_seg.png",
            replaced(np.full(SIZE, 40, np.uint8)),
            "seg40 is 40, but must be a whole",
        ),
        (nyuv2, f"{NYU}_seg.png", replaced(shades(0)), r"seg40 is of shape \(96, 128, 3\)"),
        (
            nyuv2,
            "list/training_seg.txt",
            lambda path: path.write_text("/a.png /b.png /c.png\n"),
            "line 1 is not an image",
        ),
        (nyuv2, "list/testing_seg.txt", lambda path: path.unlink(), "cannot be read"),
        (
            taskonomy,
            TASK.format("depth_zbuffer", "depth_zbuffer.png"),
            cut,
            "cannot be read, cut off",
        ),
        (
            taskonomy,
            TASK.format("depth_zbuffer", "depth_zbuffer.png"),
            other_size,
            "depth is of shape",
        ),
        (
            taskonomy,
            TASK.format("class_object", "class_object.npy"),
            cut,
            "cannot be read, cut off",
        ),
        (
            taskonomy,
            TASK.format("class_object", "class_object.npy"),
            replaced(np.ones(999)),
            "shares of 1000 classes",
        ),
        (
            taskonomy,
            TASK.format("class_object", "class_object.npy"),
            lambda path: np.save(path, np.array([print], object), allow_pickle=True),
            "cannot be read",
        ),
        (
            taskonomy,
            TASK.format("segment_semantic", "segmentsemantic.png"),
            replaced(np.full((64, 64), 18, np.uint8)),
            "segmentation is 17, but must be a whole number from 0 to 16",
        ),
        (
            cityscapes,
            CITY.format("disparity", "disparity"),
            lambda path: path.unlink(),
            "no such file",
        ),
        (
            cityscapes,
            CITY.format("gtFine", "gtFine_labelIds"),
            lambda path: path.unlink(),
            "no such file",
        ),
        (cityscapes, CITY.format("leftImg8bit", "leftImg8bit"), cut, "cannot be read, cut off"),
        (cityscapes, CITY.format("disparity", "disparity"), other_size, "depth is of shape"),
        (
            cityscapes,
            "camera/train/aachen/aachen_000000_000000_camera.json",
            lambda path: path.write_text("{}"),
            "KeyErr",
        ),
    ],
)
def test_one_line_names_the_file(tmp_path, tree, file, change, message):
    root = tree(tmp_path / "data")
    change(root / file)
    with pytest.raises(DataError, match=message) as caught:
        packs = open_folder(root, hold=())
        list(loader.sequential(packs["train"]))
    text = str(caught.value)
    assert text.startswith(str(root / file)) and "\n" not in text and len(text) < 400


def test_how_many_files_are_missing_is_said_at_once(tmp_path):
    for path in [*nyuv2(tmp_path).glob("nyu_train_val/training_*_seg.png")][:7]:
        path.unlink()
    with pytest.raises(DataError, match="_seg.png: no such file, nor are 6 others there; fetch"):
        open_folder(tmp_path)


def test_folders_that_are_no_data_set(tmp_path):
    with pytest.raises(
        DataError, match="no layout that the lab knows.*list/training_seg.*Taskonomy: rgb.*leftImg8"
    ):
        open_data(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        open_data(tmp_path / "none@32x32")
    (tmp_path / "rgb").mkdir()
    with pytest.raises(DataError, match="looks like Taskonomy, but has no images"):
        open_folder(tmp_path)
    save(tmp_path / "rgb" / "point_0_view_0_domain_rgb.png", shades(0))
    with pytest.raises(DataError, match="has no labels"):
        open_folder(tmp_path)
    root = cityscapes(tmp_path / "city", each=2)
    (root / "gtFine" / "val").rename(tmp_path / "gone")
    with pytest.raises(DataError, match="val: no such folder; Cityscapes needs it"):
        open_folder(root)
    with pytest.raises(DataError, match="2 images are few for train, val, test"):
        open_folder(taskonomy(tmp_path / "few", buildings=1, each=2))


def test_the_command_shows_a_folder(tmp_path, capsys):
    from mtlnas_lab.cli.data import show

    show(str(nyuv2(tmp_path)))
    said = capsys.readouterr().out
    assert said.startswith("train: 11 images of 96 × 128; tasks: seg40, normals\n")
    assert "NYU v2 as prepared for the released code; read as needed, up to 4 GiB are kept" in said
    show(f"{taskonomy(tmp_path / 'tasks', size=(32, 32))}@32x32")
    said = capsys.readouterr().out
    assert (
        "1000 classes: 0, 1, 2, …, 999\n" in said
        and "Taskonomy; 1 of 24 images lack scene; read" in said
    )


# --- what lies in folders and is no data ------------------------------------------------------------------------------
JUNK = (".DS_Store", "Thumbs.db", "desktop.ini", "._a.png", "._point_0_view_0_domain_rgb.png")


def litter(root):
    """Junk in every folder, and folders of junk beside them."""
    for place in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        for name in JUNK:
            (place / name).write_bytes(b"junk")
        for name in ("__MACOSX", ".hidden", ".ipynb_checkpoints", "@eaDir"):
            (place / name).mkdir()
            (place / name / "a_leftImg8bit.png").write_bytes(b"junk")
            (place / name / "point_0_view_0_domain_rgb.png").write_bytes(b"junk")
            (place / name / "0.npy").write_bytes(b"junk")
        (place / "empty").mkdir()


def numbered(root, train=12, val=3, size=(16, 24), first=False, kind=np.float64):
    """As MTAN publishes NYU v2: float images, classes -1 to 12 in floats."""
    for split, count in (("train", train), ("val", val)):
        for n in range(count):
            seg = np.full(size, n % 13, kind)
            seg[0] = -1
            depth = np.full((*size, 1), 1.5 + n)
            depth[0] = 0
            normal = slope(n, size).copy()
            normal[0] = 0
            for name, array in (
                ("image", shades(n, size) / 255),
                ("normal", normal),
                ("depth", depth),
                ("label", seg),
            ):
                array = np.moveaxis(array, -1, 0) if first and array.ndim == 3 else array
                save(root / split / name / f"{n}.npy", array)
    return root


TREES = (nyuv2, taskonomy, cityscapes, numbered)


@pytest.mark.parametrize("tree", TREES)
def test_what_systems_leave_in_folders_is_passed_over(tmp_path, tree):
    root = tree(tmp_path / "data")
    clean = {name: len(pack) for name, pack in open_folder(root).items()}
    litter(root)
    packs = open_folder(root)
    assert {name: len(pack) for name, pack in packs.items()} == clean
    for pack in packs.values():
        list(loader.sequential(pack))
    assert list(check(root)) == []


@pytest.mark.parametrize(
    "tree, name, message",
    [
        (cityscapes, "leftImg8bit/train/bochum/photo.jpg", "is called as in aachen_000000_000019"),
        (cityscapes, "leftImg8bit/train/bochum/figure.svg", "is called as in"),
        (numbered, "train/image/99.png", "this layout has arrays"),
        (taskonomy, "rgb/taskonomy/building0/point_9_view_0_domain_rgb.tga", "a picture is one of"),
    ],
)
def test_a_picture_of_a_wrong_kind_is_named(tmp_path, tree, name, message):
    root = tree(tmp_path / "data")
    (root / name).write_bytes(b"a picture")
    with pytest.raises(DataError, match=message) as caught:
        list(loader.sequential(open_folder(root, hold=())["train"]))
    assert str(root / name) in str(caught.value) and "\n" not in str(caught.value)


# --- arrays of MTAN and LibMTL ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kind", [np.float64, np.int8, np.int64])
def test_numbered_arrays(tmp_path, first, kind):
    packs = open_data(f"{numbered(tmp_path, first=first, kind=kind)}@16x24")
    assert {name: len(pack) for name, pack in packs.items()} == {"train": 11, "val": 1, "test": 3}
    pack = packs["test"]
    assert pack.tasks == ("segmentation", "normals", "depth")
    assert pack.labels["segmentation"] == tuple(map(str, range(12)))
    image, targets = pack.batch(torch.arange(3))
    assert (picture(image[2]) == shades(2, (16, 24))).all()
    assert (targets["segmentation"][:, 0] == 255).all()
    assert targets["segmentation"][:, 5, 5].tolist() == [0, 1, 2]
    assert targets["depth"][:, 0, 5, 5].tolist() == [1.5, 2.5, 3.5]
    assert np.allclose(targets["normals"][1, :, 5, 5], slope(1)[0, 0], atol=0.01)
    assert (targets["normals"][:, :, 0] == 0).all() and (targets["depth"][:, :, 0] == 0).all()


def test_numbered_arrays_in_other_folders_and_with_names(tmp_path):
    root = numbered(tmp_path / "data")
    (root / "classes.txt").write_text("\n".join(f"thing {n}" for n in range(13)))
    for split in ("train", "val"):
        (root / split / "label").rename(root / split / "label_19")
    (root / "train" / "depth" / "4.npy").unlink()
    pack = open_folder(root, hold=())["train"]
    assert pack.labels["segmentation"][12] == "thing 12"
    assert "1 of 15 images lack depth" in pack.about
    _, targets = pack.batch(torch.arange(12))
    depth = (targets["depth"] > 0).flatten(1).any(1).tolist()
    assert depth == [n != 4 for n in range(12)]  # 10 and 11 come behind 9


@pytest.mark.parametrize(
    "name, array, message",
    [
        ("image", shades(0, (16, 24)).astype(float), "divide it by 255"),
        ("image", shades(0, (16, 24))[..., 0], r"is of shape \(16, 24\)"),
        ("label", np.full((16, 24), 0.5), "is 0.5, but must be whole numbers"),
        ("label", np.full((16, 24), -2), "is -2, but must be whole numbers"),
        ("label", np.full((16, 24), np.nan), "is nan, but must be whole numbers"),
        ("depth", np.full((16, 24), 2000.0), "millimetres"),
        ("normal", (slope(0, (16, 24)) + 1) / 2, "2 y - 1"),
        ("normal", np.zeros((16, 24)), "normals is of shape"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, name, array, message):
    root = numbered(tmp_path)
    path = root / "train" / name / "7.npy"
    save(path, array)
    with pytest.raises(DataError, match=message) as caught:
        list(loader.sequential(open_folder(root, hold=())["train"]))
    assert str(caught.value).startswith(str(path))
    assert [line.startswith(f"{path}: ") for line in check(root)] == [True]


# --- damaged files in one pass ----------------------------------------------------------------------------------------
def test_all_damaged_files_are_listed_and_left_out(tmp_path, capsys, monkeypatch):
    root = taskonomy(tmp_path / "data")
    whole = {name: pack.index.tolist() for name, pack in open_folder(root).items()}
    damaged = sorted(
        root / place / "taskonomy" / f"building{b}" / f"point_{n}_view_{b}_domain_{kind}"
        for place, b, n, kind in (
            ("rgb", 1, 0, "rgb.png"),
            ("rgb", 2, 2, "rgb.png"),
            ("normal", 1, 0, "normal.png"),
            ("class_object", 5, 1, "class_object.npy"),
            ("depth_zbuffer", 0, 0, "depth_zbuffer.png"),
        )
    )
    for path in damaged:
        cut(path)
    lines = list(check(root))
    assert sorted(line.partition(": ")[0] for line in lines) == [str(path) for path in damaged]
    with pytest.raises(SystemExit):
        cli.main(["data", "check", str(root)])
    said = capsys.readouterr()
    assert said.out.splitlines() == lines and "5 files are missing, damaged" in said.err
    inputs.say_once.cache_clear()
    (tmp_path / "skip.txt").write_text(said.out)
    monkeypatch.setenv("MTLNAS_LAB_SKIP", str(tmp_path / "skip.txt"))
    packs = open_folder(root)
    left = {1 * 3 + 0, 2 * 3 + 2, 5 * 3 + 1, 0}
    for name, pack in packs.items():
        assert pack.index.tolist() == [n for n in whole[name] if n not in left]
        list(loader.sequential(pack))
        assert "4 of 24 images are left out for damaged files" in pack.about
    assert "4 of 24 images are left out" in capsys.readouterr().err
    monkeypatch.delenv("MTLNAS_LAB_SKIP")
    assert len(open_folder(root, skip=damaged)["train"]) == len(packs["train"])
    with pytest.raises(DataError, match="no image of .* is left without a damaged file"):
        open_folder(root, skip=list(root.rglob("*.png")))


def test_a_whole_folder_passes_the_check(tmp_path, capsys):
    cli.main(["data", "check", f"{nyuv2(tmp_path)}@32x48"])
    assert "every file can be read" in capsys.readouterr().out
    (tmp_path / "nyu_train_val" / "training_001_seg.png").unlink()
    (tmp_path / "nyu_train_val" / "training_003.png").unlink()
    assert [line.split(": ")[1] for line in check(tmp_path)] == [
        "cannot be read, there is no such file"
    ] * 2
    packs = open_folder(tmp_path, skip=list(check(tmp_path)), hold=())
    assert len(packs["train"]) == 10
    with pytest.raises(SystemExit):
        cli.main(["data", "check", str(tmp_path / "none")])
    assert "none: no such folder; a pack" in capsys.readouterr().err


# --- what could do harm -----------------------------------------------------------------------------------------------
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n"


def huge_png(path, side=13_300):
    """A small file of many grey pixels."""
    rows = zlib.compress(bytes(side // 8 + 2) * 1000)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", rows)]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in parts:
        data += struct.pack(">I", len(body)) + kind + body
        data += struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(data)


def sparse_npy(path, size=1 << 31):
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": (size,)}
        )
        stream.truncate(stream.tell() + size)


def linked_to(target):
    def change(path):
        path.unlink()
        path.symlink_to(target)

    return change


def fifo(path):
    path.unlink()
    os.mkfifo(path)


@contextlib.contextmanager
def in_time(seconds=60):
    """A hang ends here, and not the test run."""

    def late(*_):
        raise TimeoutError(f"{seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


HARM = [
    (nyuv2, f"{NYU}.png", fifo, "not a regular file"),
    (nyuv2, f"{NYU}_seg.png", fifo, "not a regular file"),
    (nyuv2, "list/training_seg.txt", fifo, "not a regular file"),
    (nyuv2, "list/testing_normal_mask.txt", linked_to("/dev/zero"), "leads out of the data folder"),
    (nyuv2, f"{NYU}.png", linked_to("/dev/zero"), "leads out of the data folder"),
    (nyuv2, f"{NYU}.png", linked_to("training_005.png"), "not the name of a file|no such file"),
    (nyuv2, f"{NYU}.png", lambda path: path.write_bytes(EPS), "a picture is one of PNG"),
    (nyuv2, f"{NYU}_normal.png", lambda path: path.write_bytes(EPS), "a picture is one of PNG"),
    (nyuv2, f"{NYU}.png", huge_png, "too many|at most|more than"),
    (taskonomy, TASK.format("class_object", "class_object.npy"), sparse_npy, "bytes; at most"),
    (taskonomy, TASK.format("class_object", "class_object.npy"), fifo, "not a regular file"),
    (cityscapes, CITY.format("gtFine", "gtFine_labelIds"), fifo, "not a regular file|no such"),
    (cityscapes, CITY.format("leftImg8bit", "leftImg8bit"), fifo, "not a regular file"),
    (
        cityscapes,
        "camera/train/aachen/aachen_000000_000000_camera.json",
        linked_to("/dev/zero"),
        "leads out|not the name|is not",
    ),
    (numbered, "train/image/3.npy", sparse_npy, "bytes; at most"),
    (numbered, "train/label/3.npy", fifo, "not a regular file"),
    (numbered, "val/depth/1.npy", linked_to("/dev/zero"), "leads out of the data folder"),
]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("tree, file, change, message", HARM)
def test_pipes_devices_and_bombs_are_refused(tmp_path, tree, file, change, message):
    root = tree(tmp_path / "data")
    change(root / file)
    with in_time(), pytest.raises(DataError, match=message) as caught:
        for pack in open_folder(root).values():
            list(loader.sequential(pack))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "line, message",
    [
        ("/../../outside/img.png /a.png", "leads out of the data folder"),
        ("/nyu_train_val/../../img.png /a.png", "leads out"),
        ("..\\..\\img.png /a.png", "leads out"),
        ("/nyu_train_val/training_000.png /../x_seg.png", "leads out"),
        ("/link/img.png /a.png", "leads out of the data folder"),
        (f"/{'x' * 300}.png /a.png", "no such file|name"),
        ("/a\0b.png /a.png", "not the name of a file|no such file"),
    ],
)
def test_a_list_stays_in_its_folder(tmp_path, line, message):
    root = nyuv2(tmp_path / "data")
    (tmp_path / "outside").mkdir()
    Image.fromarray(shades(0)).save(tmp_path / "outside" / "img.png")
    (root / "link").symlink_to(tmp_path / "outside")
    path = root / "list" / "training_seg.txt"
    path.write_text(
        f"/nyu_train_val/training_000.png /nyu_train_val/training_000_seg.png\n{line}\n"
    )
    with pytest.raises(DataError, match=message) as caught:
        open_folder(root)
    if "leads" in message:
        assert str(caught.value).startswith(f"{path}: line 2: ")
    moved = tmp_path / "moved"
    path.write_text("/nyu_train_val/training_000.png /nyu_train_val/training_000_seg.png\n" * 20)
    moved.symlink_to(root)  # the data folder itself may be a link
    assert open_folder(moved, hold=())["train"].batch(torch.tensor([0]))


def test_no_picture_starts_a_process(tmp_path):
    root = nyuv2(tmp_path / "data")
    (root / f"{NYU}.png").write_bytes(EPS)
    started = subprocess.run(
        [sys.executable, "-c", WATCHED, str(root)], capture_output=True, text=True, check=True
    )
    assert started.stdout.splitlines() == ["DataError", "[]"]


WATCHED = """
import sys
seen = []
watched = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork")
sys.addaudithook(lambda event, args: seen.append(event) if event in watched else None)
from mtlnas_lab.data.loader import sequential
from mtlnas_lab.errors import DataError
from mtlnas_lab.data.folders import open_folder
try:
    list(sequential(open_folder(sys.argv[1], hold=())["train"]))
except DataError:
    print("DataError")
print(seen)
"""


def test_pillow_is_told_its_formats_everywhere():
    for path in Path(inputs.__file__).parents[1].rglob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            assert "Image.open(" not in line or "formats=" in line, f"{path.name}: {line.strip()}"


@pytest.mark.parametrize(
    "array, message",
    [
        (np.full(SIZE, 300, np.uint16), "mode I;16, but must have 8 bits a channel"),
        (np.full(SIZE, 0.5, np.float32), "mode F, but must have 8 bits a channel"),
    ],
)
def test_pictures_of_other_depths_are_refused(tmp_path, array, message):
    root = nyuv2(tmp_path)
    Image.fromarray(array).save(root / f"{NYU}.png", format="TIFF")
    with pytest.raises(DataError, match=message):
        list(loader.sequential(open_folder(root, hold=())["train"]))


@pytest.mark.parametrize(
    "tree, file, array, message",
    [
        (nyuv2, f"{NYU}_normal.png", np.full(SIZE, 90, np.uint8), "mode L, but must have colours"),
        (
            taskonomy,
            TASK.format("depth_zbuffer", "depth_zbuffer.png"),
            np.full((64, 64), 90, np.uint8),
            "8 bits .*depth has 16 bits",
        ),
        (
            cityscapes,
            CITY.format("gtFine", "gtFine_labelIds"),
            np.full((32, 64), 26001, np.uint16),
            "is 26001, but the labels of Cityscapes are 0 to 33",
        ),
        (
            cityscapes,
            CITY.format("gtFine", "gtFine_labelIds"),
            np.full((32, 64), 40, np.uint8),
            "is 40, but the labels",
        ),
    ],
)
def test_labels_of_other_kinds_are_refused(tmp_path, tree, file, array, message):
    root = tree(tmp_path)
    save(root / file, array)
    with pytest.raises(DataError, match=message):
        list(loader.sequential(open_folder(root, hold=())["train"]))


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "much", "1e300", ""])
def test_budgets_that_are_none_are_refused(tmp_path, monkeypatch, value):
    monkeypatch.setenv("MTLNAS_LAB_MEMORY_GB", value)
    with pytest.raises(DataError, match="MTLNAS_LAB_MEMORY_GB.*as in 4"):
        open_folder(nyuv2(tmp_path))


def test_names_that_no_system_takes():
    for name in ("x" * 5000, "a\0b", "x" * 300 + "@3x4"):
        assert readers.folder(name) is None
