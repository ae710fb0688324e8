"""Folders as their data sets lay them out, written small by the tests; and files that are missing, cut off or wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtlnas_lab import data
from mtlnas_lab.data import picture
from mtlnas_lab.errors import DataError
from mtlnas_lab.presets import load_data, make_lab
from mtlnas_lab.readers import _held_out, open_folder
from mtlnas_lab.search import Search, SearchConfig

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
    packs = load_data(f"{nyuv2(tmp_path, train=20)}@32x48")
    assert packs["train"].images.shape == (1, 3, 32, 48) and [*packs] == ["train", "val", "test"]
    config = SearchConfig(steps=3, batch_size=4)
    events = [
        [event.loss for event in Search(make_lab("tiny", given), config) if hasattr(event, "loss")]
        for given in (packs, {name: pack.read() for name, pack in packs.items()})
    ]
    assert len(events[0]) == 3 and events[0] == events[1]


def test_other_data_to_score_on(tmp_path):
    root = nyuv2(tmp_path / "nyu")
    other = load_data(root, eval_data=nyuv2(tmp_path / "other", test=5))
    assert len(other["test"]) == 5 and len(other["train"]) == 11
    rooms = load_data(taskonomy(tmp_path / "tasks", buildings=2, each=6), eval_data=root)
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
    one, two = (_held_out(records, ("val", "test"), 0.1) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert {name: len(index) for name, index in one.items()} == {
        "train": 160,
        "val": 20,
        "test": 20,
    }
    assert not {n // 10 for n in one["train"].tolist()} & {n // 10 for n in one["val"].tolist()}
    assert len(_held_out(records, (), 0.1)["train"]) == 200


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
            "line 1 is no image",
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
        list(data.sequential(packs["train"]))
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
        load_data(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        load_data(tmp_path / "none@32x32")
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
    from mtlnas_lab.commands.data import show

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
