"""Packs, good and bad; batches, halves and augmentation; real photographs, where there are some."""

import os
import struct
import sys
import time
import zipfile
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
import torch

from mtlnas_lab._compat import MISSING, torchvision
from mtlnas_lab.data import npz as packfile
from mtlnas_lab.data.augment import augment, views
from mtlnas_lab.data.dataset import ImageDataset, picture
from mtlnas_lab.data.loader import Batches, sequential, split, whole
from mtlnas_lab.errors import DataError, TaskError
from mtlnas_lab.tasks.task import Depth, Normals, Segmentation, make_task


def arrays(count=12, height=6, width=8):
    """A small pack with a task of each kind, under the keys of a pack's file."""
    rng = np.random.default_rng(3)
    normal = rng.normal(size=(count, height, width, 3))
    normal = (127 * normal / np.linalg.norm(normal, axis=-1, keepdims=True)).round().astype(np.int8)
    return {
        "image": rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8),
        "seg": rng.integers(0, 5, (count, height, width), dtype=np.uint8),
        "seg_names": np.array(["unlabelled", "wall", "floor", "bed", "lamp"]),
        "normal": normal,
        "normal_valid": rng.random((count, height, width)) < 0.8,
        "depth_mm": rng.integers(0, 9000, (count, height, width), dtype=np.uint16),
        "edge": rng.choice(np.array([0, 1, 255], np.uint8), (count, height, width)),
        "room": rng.integers(-1, 3, count).astype(np.int8),
        "room_names": np.array(["kitchen", "bath", "hall"]),
    }


@pytest.fixture
def pack():
    return ImageDataset.from_arrays(arrays())


def saved(folder, content, name="pack.npz"):
    np.savez_compressed(folder / name, **content)
    return folder / name


# --- torchvision ------------------------------------------------------------------------------------------------------
def test_torchvision_imports_and_transforms():
    module = torchvision()
    assert module is torchvision() is sys.modules["torchvision"]
    from torchvision.transforms.v2 import functional

    assert functional.horizontal_flip(torch.arange(3.0).view(1, 1, 3)).flatten().tolist() == [
        2,
        1,
        0,
    ]


def test_other_failures_of_torchvision_are_not_hidden(monkeypatch):
    import mtlnas_lab._compat as own

    class Broken:
        def find_spec(self, name, *_):
            if name == "torchvision":
                raise RuntimeError(f"{MISSING}, and more")

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(RuntimeError, match="and more"):
        own._pair.__wrapped__()


# --- reading packs ----------------------------------------------------------------------------------------------------
def test_a_pack_decodes_to_the_conventions(tmp_path):
    raw = arrays()
    pack = ImageDataset.load(saved(tmp_path, raw))
    assert pack.tasks == ("segmentation", "normals", "depth", "edges", "room") and len(pack) == 12
    assert pack.labels == {
        "segmentation": ("wall", "floor", "bed", "lamp"),
        "room": ("kitchen", "bath", "hall"),
    }
    image, targets = pack.batch(torch.tensor([3, 0]))
    assert image.shape == (2, 3, 6, 8) and image.dtype == torch.float32
    assert (picture(image[0]) == raw["image"][3]).all()
    assert image[0, 0, 0, 0].item() == pytest.approx(
        (raw["image"][3, 0, 0, 0] / 255 - 0.485) / 0.229, abs=1e-5
    )

    seg = raw["seg"][[3, 0]].astype(int)
    assert targets["segmentation"].dtype == torch.int64
    assert (targets["segmentation"].numpy() == np.where(seg == 0, 255, seg - 1)).all()
    valid, length = raw["normal_valid"][[3, 0]], targets["normals"].norm(dim=1)
    assert torch.allclose(length, torch.from_numpy(valid).float(), atol=1e-6)
    assert np.allclose(
        targets["normals"].movedim(1, -1).numpy()[valid],
        raw["normal"][[3, 0]][valid] / 127,
        atol=0.01,
    )
    assert np.allclose(targets["depth"][:, 0].numpy(), raw["depth_mm"][[3, 0]] / 1000)
    assert (
        targets["edges"].shape == (2, 1, 6, 8)
        and (targets["edges"][:, 0].numpy() == raw["edge"][[3, 0]]).all()
    )
    assert (
        targets["room"].tolist() == raw["room"][[3, 0]].tolist()
        and targets["room"].dtype == torch.int64
    )


def test_depth_beyond_33_metres_is_kept():
    raw = arrays()
    raw["depth_mm"][0, 0, 0] = 65535
    assert ImageDataset.from_arrays(raw).batch(torch.tensor([0]))[1][
        "depth"
    ].max().item() == pytest.approx(65.535)


def test_splits_limits_and_chosen_tasks(tmp_path):
    names = {key: x for key, x in arrays().items() if key.endswith("_names")}
    parts = {
        f"{part}/{key}": x
        for part, count in (("train", 12), ("val", 4), ("test", 5))
        for key, x in arrays(count).items()
        if key not in names
    }
    path = saved(tmp_path, parts | names)
    assert len(ImageDataset.load(path, "train")) == 12 and len(ImageDataset.load(path, "test")) == 5
    chosen = ImageDataset.load(path, "train", tasks=("normals", "segmentation"), limit=7)
    assert chosen.tasks == ("normals", "segmentation") and len(chosen) == 7
    assert chosen.labels["segmentation"][0] == "wall"
    for wrong in (None, "training"):
        with pytest.raises(DataError, match="choose train, val, test"):
            ImageDataset.load(path, wrong)
    with pytest.raises(DataError, match="leave it out"):
        ImageDataset.load(saved(tmp_path, arrays(), "flat.npz"), "train")


def test_classes_without_names_are_numbered(tmp_path):
    raw = arrays()
    del raw["seg_names"], raw["room_names"]
    raw["seg13"], raw["gender_from_title"] = raw["seg"], np.array([0, 1, -1] * 4, np.int16)
    raw["gender_names"] = np.array(["Men", "Women", "Unisex"])
    pack = ImageDataset.from_arrays(raw)
    assert pack.labels["segmentation"] == ("1", "2", "3", "4") and len(pack.labels["seg13"]) == 13
    assert pack.labels["room"] == ("0", "1", "2") and pack.labels["gender"] == (
        "Men",
        "Women",
        "Unisex",
    )


def changed(**by):
    """The small pack's arrays with some replaced, changed by a function, or (None) left out."""
    content = arrays()
    for key, value in by.items():
        if value is None:
            del content[key]
        else:
            content[key] = value(content[key].copy()) if callable(value) else value
    return content


def put(value, *where):
    def change(x):
        x[where] = value
        return x

    return change


def npy_header(shape, descr="|u1"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


BAD = {
    "no image": (changed(image=None), None, "no array 'image'"),
    "key of a task": (
        changed(depth_mm=None),
        ["depth"],
        "cannot teach depth; it has labels for segmentation, normals",
    ),
    "second key of a task": (changed(normal_valid=None), None, "'normal_valid'"),
    "no task at all": ({"image": arrays()["image"]}, None, "no task"),
    "image dtype": (changed(image=lambda x: x.astype(np.float32) / 255), None, "uint8.*store RGB"),
    "image NaN": (
        changed(image=lambda x: put(np.nan, 2)(x.astype(np.float64))),
        None,
        "NaN.*store RGB",
    ),
    "image shape": (changed(image=lambda x: x.transpose(0, 3, 1, 2)), None, "shape"),
    "grey image": (changed(image=lambda x: x[..., 0]), None, "shape"),
    "no images": (changed(image=lambda x: x[:0]), None, "shape"),
    "too few labels": (changed(seg=lambda x: x[:-1]), None, r"seg is .*\(11, 6, 8\).*\(12, 6, 8\)"),
    "label size": (changed(depth_mm=lambda x: x[:, :, 1:]), None, "depth_mm"),
    "label dtype": (changed(seg=lambda x: x.astype(np.float32)), None, "seg is float32.*uint8"),
    "normal dtype": (
        changed(normal=lambda x: x.astype(np.float32)),
        None,
        "normal is float32.*int8",
    ),
    "validity dtype": (
        changed(normal_valid=lambda x: x.astype(np.uint8)),
        None,
        "normal_valid is uint8.*bool",
    ),
    "depth in metres": (
        changed(depth_mm=lambda x: x / 1000),
        None,
        "depth_mm is float64.*uint16.*millimetres",
    ),
    "class dtype": (changed(room=lambda x: x.astype(np.float32)), None, "room is float32"),
    "class as text": (changed(room=lambda x: x.astype(str)), None, "room is <U"),
    "label too high": (
        changed(seg=put(9, 4, 2, 2)),
        None,
        "seg is 9 in image 4, but 4 classes allow 0..4",
    ),
    "ignore as 255": (changed(seg=put(255, 4, 2, 2)), None, "seg is 255 in image 4"),
    "class too high": (
        changed(room=put(3, 7)),
        None,
        "room is 3 in image 7, but 3 classes allow -1..2",
    ),
    "class too low": (changed(room=put(-2, 7)), None, "room is -2 in image 7"),
    "edge out of range": (changed(edge=put(2, 5, 0, 0)), None, "edge is 2 in image 5"),
    "no valid pixel": (changed(seg=put(0, ...)), None, "seg labels nothing in 12 images"),
    "no valid normal": (changed(normal_valid=put(False, ...)), None, "normal labels nothing"),
    "no valid depth": (changed(depth_mm=put(0, ...)), None, "depth_mm labels nothing"),
    "no valid edge": (changed(edge=put(255, ...)), None, "edge labels nothing"),
    "no known class": (changed(room=put(-1, ...)), None, "room labels nothing"),
    "names not text": (changed(seg_names=np.arange(5)), None, "seg_names must list"),
    "very many classes": (
        {**changed(seg=None, room=None, room_names=None), "room": np.array([0, 30_000_000] * 6)},
        None,
        "room is 30000000 in image 1, so it would have 30000001 classes",
    ),
    "more classes than there are numbers": (
        {**changed(room=None, room_names=None), "room": np.array([0, 2**60] * 6)},
        None,
        "room is 1152921504606846976 in image 1",
    ),
    "normals as colours": (
        changed(normal=lambda x: ((x.astype(int) + 127) // 2).astype(np.int8)),
        None,
        "normal holds vectors that are not of length 1 .*the first in image 0 of length",
    ),
    "normals as whole directions": (
        changed(normal=lambda x: np.sign(x)),
        None,
        "not of length 1",
    ),
    "a name too long": (changed(seg_names=np.array(["x" * 1001] * 5)), None, "1000 letters"),
    "one name": (changed(seg_names=np.array(["unlabelled", "wall"])), None, "seg_names must list"),
}


@pytest.mark.parametrize("content, tasks, message", BAD.values(), ids=BAD.keys())
def test_a_bad_pack_is_refused_in_one_line(tmp_path, content, tasks, message):
    path = saved(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        ImageDataset.load(path, tasks=tasks)
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text and len(text) < 400


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF, 0xD800, 0xDFFF])
def test_names_that_are_no_text_are_refused(tmp_path, order, code):
    names = np.array(["unlabelled", "wall", "floor", "bed", "lamp"]).astype(f"{order}U10")
    good = ImageDataset.load(saved(tmp_path, changed(seg_names=names)))
    assert good.labels["segmentation"] == ("wall", "floor", "bed", "lamp")
    names.view(np.dtype(np.uint32).newbyteorder(order))[33] = code
    with pytest.raises(DataError, match=r"seg_names\[3\] is not text"):
        ImageDataset.load(saved(tmp_path, changed(seg_names=names)))


def test_a_file_s_words_are_shown_and_not_obeyed(tmp_path, capsys):
    from mtlnas_lab.cli.data import show

    escape = "\x1b]0;gone\x07"
    content = changed(seg_names=np.array(["none", escape, "a\nb", "\u202e", "Küche"]))
    show(str(saved(tmp_path, content)))
    told = capsys.readouterr().out
    assert "\\x1b]0;gone\\x07, a\\nb, \\u202e, Küche" in told and "\x1b" not in told
    with pytest.raises(DataError) as caught:
        ImageDataset.load(saved(tmp_path, {f"{escape}\n{n}": np.zeros(1) for n in range(50)}))
    text = str(caught.value)
    assert text.removeprefix(str(tmp_path)).isprintable() and "50 in all" in text


def test_what_a_pack_holds_is_said_by_headers_alone(tmp_path, monkeypatch, capsys):
    from mtlnas_lab.cli.data import show

    path = saved(tmp_path, arrays())
    read = packfile.Entry.__array__
    seen = []

    def watched(self, dtype=None, copy=None):
        seen.append(self.key)
        return read(self)

    monkeypatch.setattr(packfile.Entry, "__array__", watched)
    show(str(path))
    told = capsys.readouterr().out
    assert "all: 12 images of 6 × 8; tasks: segmentation, normals, depth, edges, room" in told
    assert "segmentation: 4 classes: wall, floor" in told and set(seen) == {
        "seg_names",
        "room_names",
    }


def test_an_unknown_task_is_named_with_the_nearest(tmp_path, pack):
    with pytest.raises(TaskError, match="did you mean 'normals'"):
        ImageDataset.load(saved(tmp_path, arrays()), tasks=["normal"])
    with pytest.raises(TaskError, match="did you mean 'normals'"):
        pack.make_tasks(["normal"])
    with pytest.raises(DataError, match="cannot teach scene; it has labels for segmentation"):
        pack.make_tasks(["scene"])
    with pytest.raises(DataError, match="limit"):
        ImageDataset.load(saved(tmp_path, arrays()), limit=0)


@pytest.mark.parametrize(
    "content",
    [
        npy_header((-4, 6, 8, 3)) + bytes(600),
        npy_header((1 << 62, 1 << 62, 0, 3)),
        npy_header((2, 6, 8, 3)) + bytes(5),
        npy_header((2, 6, 8, 3), "|O"),
        npy_header((2, 6, 8, 3), "<f8") + bytes(2304),
        npy_header("(" * 3000),
        npy_header("5" * 5000),
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + b"{",
        b"\x93NUMPY\x09\x00" + bytes(100),
        b"\x93NUMPY",
        b"",
    ],
)
def test_headers_that_lie_are_refused(tmp_path, content):
    path = tmp_path / "pack.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", content)
    for look in (ImageDataset.load, packfile.described):
        with pytest.raises(DataError) as caught:
            look(path)
        assert "\n" not in str(caught.value)


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    (tmp_path / "loop.npz").symlink_to(tmp_path / "loop.npz")
    for path in ("pipe.npz", "zero.npz", "loop.npz", "x" * 300, "a\0b", "."):
        with pytest.raises(DataError, match="no such file"):
            ImageDataset.load(tmp_path / path)


def test_files_that_are_no_packs(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        ImageDataset.load(tmp_path / "none.npz")
    with pytest.raises(DataError, match="no such file"):
        ImageDataset.load(tmp_path)
    for content in (b"image,label", b"", b"\x93NUMPY\x01\x00", b"PK\x05\x06" + bytes(18)):
        (tmp_path / "wrong.npz").write_bytes(content)
        with pytest.raises(DataError):
            ImageDataset.load(tmp_path / "wrong.npz")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match="not a readable"):
        ImageDataset.load(tmp_path / "other.zip")


class Payload:
    def __reduce__(self):
        return (sys.exit, ("a pickle was run",))


@pytest.mark.parametrize("key", ["image", "seg", "seg_names", "something_else"])
def test_python_objects_are_refused_and_never_unpickled(tmp_path, key):
    content = arrays() | {key: np.array([Payload()] * 12, dtype=object)}
    path = tmp_path / "pack.npz"
    np.savez(path, **content)
    with pytest.raises(DataError, match=f"{key} holds Python objects"):
        ImageDataset.load(path)


def test_what_would_not_fit_in_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("image.npy", npy_header((1 << 20, 1 << 10, 1 << 10, 3)) + b"few")
    with pytest.raises(DataError, match="shorter than its header"):
        ImageDataset.load(tmp_path / "lie.npz")

    bomb = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("image.npy", "w") as stream,
    ):
        stream.write(npy_header((96, 1 << 10, 1 << 10, 3)))
        for _ in range(96 * 3):
            stream.write(bytes(1 << 20))
    assert bomb.stat().st_size < 1 << 20
    monkeypatch.setattr(packfile, "LARGEST", 1 << 28)
    start = time.process_time()
    with pytest.raises(DataError, match="too much to keep in memory"):
        ImageDataset.load(bomb)
    assert time.process_time() - start < 0.5

    monkeypatch.setattr(packfile, "LARGEST", 4 << 30)
    with pytest.raises(
        DataError, match="unpacks to 288 MiB, .* times its size, .*MTLNAS_LAB_PACK_GB"
    ):
        ImageDataset.load(bomb)
    monkeypatch.setenv("MTLNAS_LAB_PACK_GB", "1")
    with pytest.raises(DataError, match="anything"):  # read, then: it has no labels
        ImageDataset.load(bomb)
    for wrong in ("much", "nan", "inf", "0", "-1", ""):
        monkeypatch.setenv("MTLNAS_LAB_PACK_GB", wrong)
        with pytest.raises(DataError, match="give a number of GiB above 0"):
            ImageDataset.load(bomb)
    monkeypatch.delenv("MTLNAS_LAB_PACK_GB")

    with zipfile.ZipFile(tmp_path / "many.npz", "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}.npy", npy_header((1,)) + b"0")
    with pytest.raises(DataError, match="1000 arrays"):
        ImageDataset.load(tmp_path / "many.npz")


def test_damage_anywhere_is_an_error_or_harmless(tmp_path):
    content = {
        key: value for key, value in arrays(2, 2, 2).items() if key in ("image", "seg", "seg_names")
    }
    good = saved(tmp_path, content).read_bytes()
    rng, path, refused = np.random.default_rng(0), tmp_path / "damaged.npz", 0
    for case in range(500):
        data = bytearray(good)
        if case % 5 == 0:
            data = data[: rng.integers(len(data))]
        else:
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        try:
            assert len(ImageDataset.load(path, tasks=["segmentation"])) == 2
        except DataError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 300


# --- what a pack can do -----------------------------------------------------------------------------------------------
def test_tasks_of_a_pack(pack):
    tasks = pack.make_tasks(["normals", "segmentation"])
    assert list(tasks) == ["normals", "segmentation"]
    assert tasks["segmentation"] == make_task("segmentation", ("wall", "floor", "bed", "lamp"))
    pack.check(tasks)
    with pytest.raises(DataError, match="4 classes here, 3 in the task"):
        pack.check({"segmentation": make_task("segmentation", ("wall", "floor", "bed"))})
    with pytest.raises(DataError, match="cannot teach seg40"):
        pack.check({"seg40": make_task("seg40", 40)})


@pytest.mark.parametrize(
    "have, pair",
    [
        (("depth", "room", "normals", "segmentation"), ("segmentation", "depth")),
        (("seg13", "seg40", "normals"), ("seg13", "normals")),
        (("depth", "edges"), ("depth", "edges")),
        (("master", "colour", "article"), ("article", "colour")),
        (("seg13", "room", "usage"), ("seg13", "room")),
    ],
)
def test_the_first_pair(have, pair):
    pack = ImageDataset(
        torch.zeros(1, 3, 2, 2, dtype=torch.uint8), dict.fromkeys(have, torch.zeros(1))
    )
    assert pack.first_dense_pair() == pair


def test_one_task_is_no_pair(pack):
    with pytest.raises(DataError, match="two tasks"):
        ImageDataset(pack.images, {"depth": pack.targets["depth"]}).first_dense_pair()


def test_subset_and_device(pack):
    part = pack.subset(torch.tensor([5, 2])).to("cpu")
    assert len(part) == 2 and part.labels == pack.labels
    for ours, theirs in zip(
        part.batch(torch.tensor([1]))[1].values(), pack.batch(torch.tensor([2]))[1].values()
    ):
        assert torch.equal(ours, theirs)


def test_sequential_gives_each_image_once_in_order(pack):
    batches = list(sequential(pack, ["room"], 5))
    assert [len(image) for image, _ in batches] == [5, 5, 2] and batches[0][1].keys() == {"room"}
    assert torch.equal(torch.cat([targets["room"] for _, targets in batches]), pack.targets["room"])


# --- augmentation -----------------------------------------------------------------------------------------------------
def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_mirror_negates_the_x_of_normals_and_only_that():
    image = torch.arange(24.0).view(1, 1, 4, 6).expand(64, 3, 4, 6)
    normals = torch.randn(1, 3, 4, 6, generator=generator()).expand(64, 3, 4, 6)
    depth, edges = image[:, :1] + 1, (image[:, :1] % 2).byte()
    seg, room = image[:, 0].long(), torch.arange(64)
    targets = {
        "normals": normals,
        "depth": depth,
        "edges": edges,
        "segmentation": seg,
        "room": room,
    }
    seen, found = augment(image, targets, generator(1), zoom=1.0, jitter=0.0)
    mirrored = (seen != image).flatten(1).any(1)
    assert 15 < mirrored.sum() < 49
    flip = torch.tensor([-1.0, 1, 1]).view(3, 1, 1)
    assert torch.equal(found["normals"][mirrored], (normals.flip(-1) * flip)[mirrored])
    assert torch.equal(found["normals"][~mirrored], normals[~mirrored])
    for name in ("depth", "edges", "segmentation"):
        assert torch.equal(found[name][mirrored], targets[name].flip(-1)[mirrored]), name
        assert torch.equal(found[name][~mirrored], targets[name][~mirrored]), name
        assert found[name].dtype == targets[name].dtype
    assert torch.equal(seen[mirrored], image.flip(-1)[mirrored]) and torch.equal(
        found["room"], room
    )


def wall(angle, mirrored=False, width=64):
    """Depth and normal map of a vertical wall turned by `angle` (rad) about the vertical axis, seen by a camera."""
    u = (torch.arange(width) - (width - 1) / 2) / width
    normal = torch.tensor(
        [np.sin(angle) * (-1 if mirrored else 1), 0.0, -np.cos(angle)], dtype=torch.float32
    )
    depth = -2 / (normal[0] * u + normal[2])
    return depth.view(1, 1, 1, width).expand(1, 1, 8, width), normal.view(1, 3, 1, 1).expand(
        1, 3, 8, width
    )


def test_a_mirrored_wall_agrees_with_its_own_depth():
    """The mistake of keeping n_x: the mirrored depth map is that of a wall turned the other way."""
    (depth, normals), cases = wall(0.5), set()
    for seed in range(10):
        found = augment(
            torch.zeros(1, 3, 8, 64),
            {"depth": depth, "normals": normals},
            generator(seed),
            zoom=1.0,
        )[1]
        mirrored = not torch.equal(found["depth"], depth)
        cases.add(mirrored)
        expected = wall(0.5, mirrored)
        assert torch.allclose(found["depth"], expected[0]) and torch.allclose(
            found["normals"], expected[1]
        )
    assert cases == {True, False}


def test_one_box_for_the_image_and_all_its_labels():
    row = torch.arange(40.0).view(1, 1, 1, 40).expand(2, 1, 32, 40)
    column = torch.arange(32.0).view(1, 1, 32, 1).expand(2, 1, 32, 40)
    image = torch.cat([row, column, row], 1)
    targets = {
        "segmentation": row[:, 0].long(),
        "edges": column.byte(),
        "depth": 1 + row,
        "normals": torch.cat([0 * row, column, -1 - row], 1),
    }
    shares = set()
    for seed in range(12):
        seen, found = augment(image, targets, generator(seed), zoom=0.5, jitter=0.0)
        assert seen.shape == image.shape and all(
            found[name].shape == x.shape for name, x in targets.items()
        )
        assert (seen[:, 0] - found["segmentation"]).abs().max() <= 1
        assert (seen[:, 1:2] - found["edges"].float()).abs().max() <= 1
        assert torch.equal(found["normals"][:, 1:2], found["edges"].float())
        assert torch.equal(-1 - found["normals"][:, 2], found["segmentation"].float())
        share = found["depth"][:, 0] / (
            1 + found["segmentation"]
        )  # how much nearer than the same pixel was
        assert share.std() < 1e-5 and 0.5 <= share.mean() <= 1
        shares.add(round(share.mean().item(), 3))
    assert len(shares) > 6


def test_jitter_changes_images_within_bounds():
    image = torch.ones(50, 3, 4, 4)
    seen, _ = augment(image, {}, generator(), zoom=1.0, jitter=0.2)
    level = seen.mean((1, 2, 3))
    assert (
        0.6 <= level.min() < 0.85
        and 1.15 < level.max() <= 1.4
        and (seen.std((1, 2, 3)) < 1e-6).all()
    )


def test_a_normal_map_knows_its_transforms_and_refuses_the_rest():
    view, wrap = views()
    plain = torch.randn(3, 6, 8)
    normals = wrap[Normals](plain)
    assert type(view.horizontal_flip(normals)) is wrap[Normals]
    assert torch.equal(view.crop(normals, 1, 2, 3, 4).as_subclass(torch.Tensor), plain[:, 1:4, 2:6])
    assert set(view.resize(normals, [12, 16]).flatten().tolist()) == set(plain.flatten().tolist())
    with pytest.raises(TypeError):
        view.rotate(normals, 30)


def test_augmentation_depends_on_its_generator_alone(pack):
    batch = pack.batch(torch.arange(8))
    one, _ = augment(*batch, generator(4))
    torch.rand(100)
    assert torch.equal(one, augment(*batch, generator(4))[0]) and not torch.equal(
        one, augment(*batch, generator(5))[0]
    )


# --- streams ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def numbered():
    """A pack whose images know their number: its "usage" class."""
    return ImageDataset(
        torch.arange(50, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, 4, 4),
        {"usage": torch.arange(50)},
    )


def drawn(stream, count):
    return [targets["usage"].tolist() for _, targets in islice(stream, count)]


@pytest.mark.parametrize("redraw", [True, False])
@pytest.mark.parametrize("fraction", [0.5, 0.6, 0.3])
def test_no_image_teaches_both_halves_in_an_epoch(numbered, fraction, redraw):
    weights, alpha = split(
        numbered, ("usage",), 4, seed=1, fraction=fraction, redraw=redraw, augment=False
    )
    length = int(50 * fraction) // 4
    halves = []
    for _ in range(5):
        w, a = (
            {x for batch in drawn(stream, length) for x in batch} for stream in (weights, alpha)
        )
        assert not w & a and len(w) == 4 * length
        assert len(a) == min(4 * length, 50 - int(50 * fraction))
        halves.append(w)
    if redraw:
        assert len(set.union(*halves)) > int(50 * fraction)
    else:
        assert (
            len(set.union(*halves)) <= int(50 * fraction)
            and len({frozenset(half) for half in halves}) > 1
        )


def test_no_image_is_twice_in_a_batch_that_wraps(numbered):
    _, alpha = split(numbered, ("usage",), 6, seed=1, fraction=0.8, augment=False)
    assert all(len(set(batch)) == 6 for batch in drawn(alpha, 40))


def test_a_batch_is_a_function_of_seed_and_number(pack):
    tasks = ("segmentation", "normals")
    first, second = (split(pack, tasks, 3, seed=5)[1] for _ in range(2))
    skipped = [next(first) for _ in range(7)]
    assert first.position == 7
    second.position = 5
    for image, targets in skipped[5:]:
        again, others = next(second)
        assert torch.equal(image, again) and all(
            torch.equal(targets[name], others[name]) for name in tasks
        )
    torch.rand(9)
    assert torch.equal(next(first)[0], next(second)[0])
    for other in (
        split(pack, tasks, 3, seed=6)[1],
        split(pack, tasks, 3, seed=5)[0],
        whole(pack, tasks, 3, seed=5),
    ):
        assert not torch.equal(next(other)[0], skipped[0][0])


def test_whole_gives_every_image_each_epoch(numbered):
    stream = whole(numbered, ("usage",), 5, seed=0, augment=False)
    epochs = [drawn(stream, 10) for _ in range(2)]
    assert (
        all(sorted(sum(epoch, [])) == list(range(50)) for epoch in epochs)
        and epochs[0] != epochs[1]
    )


def test_augmentation_differs_from_batch_to_batch_and_between_the_halves(numbered):
    stream = Batches(numbered, ("usage",), 4, lambda epoch: torch.arange(4), seed=0)
    assert not torch.equal(next(stream)[0], next(stream)[0])
    alike = ImageDataset(numbered.images[:1].repeat(50, 1, 1, 1), numbered.targets)
    weights, alpha = split(alike, ("usage",), 4, seed=0)
    assert not torch.equal(next(weights)[0], next(alpha)[0])
    plain = Batches(numbered, ("usage",), 4, lambda epoch: torch.arange(4), seed=0, augment=False)
    assert torch.equal(next(plain)[0], next(plain)[0])


@pytest.mark.parametrize(
    "make, batch_size, more",
    [
        (whole, 51, {}),
        (whole, 0, {}),
        (split, 26, {}),
        (split, 8, {"fraction": 0.1}),
        (split, 8, {"fraction": 0.001}),
    ],
)
def test_too_few_images_for_a_batch(numbered, make, batch_size, more):
    with pytest.raises(DataError, match="make no batch of .*; give (a batch size|more images)"):
        make(numbered, ("usage",), batch_size, 0, **more)


# --- real photographs -------------------------------------------------------------------------------------------------
@pytest.mark.real
def test_real_rooms_and_their_trivial_baselines(real_data):
    """The numbers to beat that were measured when the packs were made."""
    train = ImageDataset.load(
        real_data / "nyuv2_train795_96x128.npz", tasks=("seg13", "normals", "depth", "scene")
    )
    test = ImageDataset.load(real_data / "nyuv2_test100_96x128.npz")
    assert (
        len(train) == 795 and len(test) == 100 and test.first_dense_pair() == ("seg13", "normals")
    )
    assert test.tasks == ("seg13", "seg40", "normals", "depth", "edges", "scene")
    tasks = train.make_tasks()
    test.check(tasks)
    assert tasks["seg13"].channels == 13 and tasks["seg13"].labels[11] == "wall"
    _, targets = train.batch(torch.arange(795))
    meters = {name: task.meter() for name, task in tasks.items()}
    constants = {name: task.constant(targets[name]) for name, task in tasks.items()}
    for image, truth in sequential(test, tasks, 25):
        assert image.shape == (25, 3, 96, 128) and truth["normals"].shape == (25, 3, 96, 128)
        for name, meter in meters.items():
            meter.update(constants[name], truth[name])
    found = {name: meter.compute() for name, meter in meters.items()}
    assert found["seg13"]["pixel_accuracy"] == pytest.approx(0.367, abs=5e-4)
    assert found["seg13"]["miou"] == pytest.approx(0.068, abs=5e-4)
    assert found["depth"]["absolute"] == pytest.approx(0.831, abs=5e-4)
    assert found["normals"]["mean_angle"] == pytest.approx(38.3, abs=0.05)
    assert found["scene"]["top1"] == pytest.approx(0.310, abs=5e-4)


@pytest.mark.real
def test_real_products(real_data):
    pack = ImageDataset.load(real_data / "fashion_train_64.npz", limit=500)
    assert (
        pack.tasks == ("master", "sub", "article", "colour", "usage", "gender") and len(pack) == 500
    )
    assert pack.first_dense_pair() == ("article", "colour") and len(pack.labels["article"]) == 38
    image, targets = next(split(pack, ("article", "colour"), 8, seed=0)[0])
    assert image.shape == (8, 3, 64, 64) and targets["colour"].max() < 15


# --- labels of one's own ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Share(Depth):
    """Stands for a reader's own class."""


@pytest.fixture
def tables():
    kept = [(table, dict(table)) for table in (packfile.KINDS, packfile.KEYS, packfile.LAYOUT)]
    yield
    for table, before in kept:
        table.clear()
        table.update(before)


def test_labels_of_ones_own_kind_lie_in_packs(tables, tmp_path):
    for _ in range(2):  # a notebook's cell may run again
        packfile.register("floor", Share, (np.floating, "N", "share"), key="floor_share")
        packfile.register(
            "flow", type("Flow", (Share,), {}), (np.signedinteger, "N, H, W, 3", "flow")
        )
        packfile.register("parts", Segmentation)
    shares, flow = (
        np.linspace(0, 1, 4, dtype=np.float32),
        np.arange(4 * 8 * 8 * 3, dtype=np.int16).reshape(4, 8, 8, 3),
    )
    np.savez(
        tmp_path / "own.npz",
        image=np.zeros((4, 8, 8, 3), np.uint8),
        floor_share=shares,
        flow=flow,
        parts=np.ones((4, 8, 8), np.uint8),
        parts_names=np.array(["none", "leg", "arm"]),
    )
    own = ImageDataset.load(tmp_path / "own.npz")
    assert set(own.tasks) == {"floor", "flow", "parts"} and isinstance(
        own.make_tasks()["floor"], Share
    )
    targets = own.batch(torch.tensor([3, 1]))[1]
    assert targets["floor"].tolist() == shares[[3, 1]].tolist() and own.make_tasks()[
        "parts"
    ].labels == ("leg", "arm")
    assert (
        torch.equal(targets["flow"], torch.from_numpy(flow[[3, 1]]).movedim(-1, 1))
        and (targets["parts"] == 0).all()
    )
    np.savez(tmp_path / "bad.npz", image=np.zeros((4, 8, 8, 3), np.uint8), floor_share=np.arange(4))
    with pytest.raises(
        DataError, match="floor_share is int64 .* but must be floating of shape .N. = .4,.: share"
    ):
        ImageDataset.load(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    "given",
    [
        ("depth", Share, (np.uint16, "N, H, W", "mm")),
        ("far", Share, (np.uint16, "N, H, W", "mm"), "depth_mm"),
        ("image", Segmentation),
        ("far", Share),
        ("far", Depth, (np.uint16, "N, H, W", "mm")),
    ],
)
def test_what_the_lab_uses_itself_is_not_replaced(tables, given):
    before = [dict(table) for table in (packfile.KINDS, packfile.KEYS, packfile.LAYOUT)]
    with pytest.raises(DataError, match="does not use yet, and a layout if"):
        packfile.register(*given)
    assert before == [packfile.KINDS, packfile.KEYS, packfile.LAYOUT]
