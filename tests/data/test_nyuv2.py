"""The importer, on small files of the published file's structure."""

import json
import os

import numpy as np
import pytest
import torch

from mtlnas_lab.data.dataset import ImageDataset
from mtlnas_lab.data.nyuv2 import _camera, import_nyuv2, normals
from mtlnas_lab.errors import DataError

h5py = pytest.importorskip("h5py", reason="h5py reads the published file")

FULL = (120, 160)  # a quarter of the published 480 x 640
NAMES = ["book", "wall", "floor", "chair"]
PLANES = [
    (0.2, 0.0, 0.5),
    (0.0, 0.3, 0.4),
    (0.0, 0.0, 0.25),
]  # 1/z = a x + b y + c: one for each image


def plane_depth(a, b, c):
    """(H, W) metres as the Kinect sees this plane in a picture of FULL size."""
    v, u = np.mgrid[: FULL[0], : FULL[1]] + 0.5
    x = (u * 4 - (325.582449 - 0.5)) / 518.857901
    y = (v * 4 - (253.736166 - 0.5)) / 519.469611
    return 1 / (a * x + b * y + c)


def cells(file, texts):
    """A MATLAB cell array: references to arrays of character codes, kept in a group of their own."""
    group = file.require_group("#refs#")
    references = np.empty((1, len(texts)), h5py.ref_dtype)
    for n, text in enumerate(texts):
        references[0, n] = group.create_dataset(
            f"{len(group)}", data=np.array([[ord(c)] for c in text], np.uint16)
        ).ref
    return references


def contents():
    """Axes as a reader of HDF5 meets them: MATLAB's, reversed."""
    height, width = FULL
    images = np.zeros((3, 3, width, height), np.uint8)
    images[:, 0, : width // 2] = 200  # red on the left
    images[:, 2, :, height // 2 :] = 100  # blue below
    labels = np.full((3, width, height), 2, np.uint16)
    labels[:, :, height // 2 :] = 3  # floor below wall
    labels[0, :40] = 0
    labels[2, 60:80, 40:60] = 4
    depths = np.stack([plane_depth(*plane).T for plane in PLANES]).astype(np.float32)
    depths[1, 80:96, 60:76] = np.nan
    return {"images": images, "depths": depths, "labels": labels}


def write(
    path, arrays=None, names=NAMES, scenes=("kitchen", "bedroom", "kitchen"), scene_key="sceneTypes"
):
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, array in (contents() if arrays is None else arrays).items():
            file.create_dataset(key, data=array, compression="gzip")
        file["names"] = cells(file, names)
        if scenes:
            file[scene_key] = cells(file, scenes)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    return path


@pytest.fixture
def mat(tmp_path):
    return write(tmp_path / "labeled.mat")


def test_the_pack_has_what_the_file_has(tmp_path, mat):
    import_nyuv2(mat, tmp_path / "pack.npz", size=(24, 32), frequent=2)
    pack = ImageDataset.load(tmp_path / "pack.npz")
    assert pack.tasks == ("segmentation", "normals", "depth", "edges", "scene") and len(pack) == 3
    assert pack.images.shape == (3, 3, 24, 32)
    image = pack.images[0].float()
    assert image[0, :, :13].min() == 200 and image[0, :, 19:].max() == 0  # left is left
    assert image[2, :9].max() == 0 and image[2, 15:].min() == 100  # below is below
    assert pack.labels == {
        "segmentation": ("floor", "wall"),
        "scene": ("kitchen", "bedroom", "other"),
    }
    _, targets = pack.batch(torch.arange(3))
    seg = targets["segmentation"]
    assert targets["scene"].tolist() == [0, 1, 0]
    assert seg[1, 0].unique().tolist() == [1] and seg[1, -1].unique().tolist() == [0]
    assert (seg[0, :, :6] == 255).all() and (seg[2] == 255).any()
    rows = targets["edges"][1, 0].nonzero()[:, 0].unique().tolist()
    assert len(rows) == 1 and abs(rows[0] - 11) <= 1  # where the floor begins
    with np.load(tmp_path / "pack.npz") as raw:
        about = str(raw["about"])
        assert ((raw["normal"] != 0).any(-1) == raw["normal_valid"]).all() and not raw[
            "normal_valid"
        ].all()
        assert (raw["depth_mm"] == 0).any(axis=(1, 2)).tolist() == [False, True, False]
    assert "derived" in about and "most frequent" in about and "3 of 3 images" in about


def test_depth_and_normals_are_those_of_the_planes(tmp_path, mat):
    import_nyuv2(mat, tmp_path / "pack.npz", size=(24, 32), window=7)
    pack = ImageDataset.load(tmp_path / "pack.npz")
    _, targets = pack.batch(torch.arange(3))
    for n, (a, b, c) in enumerate(PLANES):
        normal = -torch.tensor([a, b, c]) / np.linalg.norm([a, b, c])
        valid = targets["normals"][n].any(0)
        assert valid[2:-2, 2:-2].float().mean() > (0.9 if n == 1 else 0.95)  # the second has a hole
        assert (targets["normals"][n][:, valid].T - normal).abs().max() < 0.02
        true = plane_depth(a, b, c)[11:118, 10:150]
        assert (
            true.min() - 0.01
            < targets["depth"][n][targets["depth"][n] > 0].min()
            < true.min() * 1.1
        )
    assert (targets["depth"][0, 0].diff(dim=1) < 0).all()  # nearer to the right
    assert (targets["depth"][1, 0, :, :8].diff(dim=0) < 0).all()  # nearer below


def test_the_camera_is_the_published_one():
    assert _camera((480, 640), (426, 560)) == pytest.approx(
        (518.857901, 519.469611, 284.582449, 208.736166)
    )
    assert _camera((480, 640), (96, 128)) == pytest.approx(
        (118.596092, 117.063574, 64.661703, 46.651812), abs=1e-5
    )


def test_normals_are_unsound_at_steps_holes_and_borders():
    depth = torch.full((40, 40), 2.0)
    depth[:, 20:] = 4.0
    depth[10:20, 5:15] = 0
    normal, sound = normals(depth, (50, 50, 20, 20), window=5)
    assert torch.allclose(normal[:, sound].T, torch.tensor([0.0, 0, -1]).double(), atol=1e-6)
    assert not sound[:, 19:21].any() and not sound[10:20, 5:15].any() and not sound[0, 0]
    assert sound[25:35, 5:15].all()


def test_a_mapping_gives_the_standard_classes(tmp_path, mat):
    names = [f"class {n}" for n in range(1, 14)]
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps({"seg13": {"names": names, "map": [2, 12, 5, 0]}}))
    import_nyuv2(mat, tmp_path / "pack.npz", size=(24, 32), classes=mapping)
    pack = ImageDataset.load(tmp_path / "pack.npz")
    assert pack.tasks[0] == "seg13" and pack.labels["seg13"] == tuple(names)
    assert set(pack.targets["seg13"].unique().tolist()) == {0, 5, 12}
    for wrong in (
        {"seg13": {"names": names, "map": [2, 12, 5]}},
        {"seg13": {"names": names, "map": [2, 12, 5, 14]}},
        {"seg13": {"names": names[1:], "map": [2, 12, 5, 0]}},
        {"seg14": {"names": names, "map": [0] * 4}},
        {"seg13": {"names": names}},
        {},
        [1],
    ):
        mapping.write_text(json.dumps(wrong))
        with pytest.raises(DataError, match="mapping.json"):
            import_nyuv2(mat, tmp_path / "pack.npz", size=(24, 32), classes=mapping)


def test_some_images_and_scenes_by_their_names(tmp_path):
    mat = write(
        tmp_path / "labeled.mat",
        scenes=("kitchen_0004a", "bedroom_0010", "kitchen_0016"),
        scene_key="scenes",
    )
    seen = []
    import_nyuv2(
        mat,
        tmp_path / "pack.npz",
        size=(12, 16),
        images=[2, 0],
        track=lambda n: seen.extend(n) or n,
    )
    with np.load(tmp_path / "pack.npz") as pack:
        assert pack["index"].tolist() == [2, 0] == seen and pack["scene10"].tolist() == [0, 0]
        assert pack["scene10_names"].tolist() == ["kitchen", "bedroom", "other"]
    import_nyuv2(write(mat, scenes=None), tmp_path / "pack.npz", size=(12, 16))
    assert "scene" not in ImageDataset.load(tmp_path / "pack.npz").tasks
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labeled.mat", "pack.npz"]


def without(key):
    return {name: array for name, array in contents().items() if name != key}


@pytest.mark.parametrize(
    "arrays, message",
    [
        (without("depths"), "'depths' is not a data set"),
        (contents() | {"labels": contents()["labels"][:2]}, "do not match"),
        (contents() | {"images": contents()["images"].astype(np.uint16)}, "do not match"),
        (contents() | {"depths": contents()["labels"]}, "'depths' is not a data set"),
        (contents() | {"labels": contents()["labels"] + 9}, "of 4 names"),
    ],
)
def test_a_file_of_another_structure_is_refused(tmp_path, arrays, message):
    mat = write(tmp_path / "labeled.mat", arrays)
    with pytest.raises(DataError, match=message) as caught:
        import_nyuv2(mat, tmp_path / "pack.npz", size=(12, 16))
    assert "\n" not in str(caught.value) and not (tmp_path / "pack.npz").exists()


def test_what_is_no_hdf5_is_refused(tmp_path, mat):
    (tmp_path / "old.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(600))
    (tmp_path / "cut.mat").write_bytes(mat.read_bytes()[:3000])
    for path in (tmp_path / "old.mat", tmp_path / "cut.mat", tmp_path / "none.mat", tmp_path):
        with pytest.raises(DataError, match="not readable"):
            import_nyuv2(path, tmp_path / "pack.npz")
    with pytest.raises(DataError, match="folder"):
        import_nyuv2(mat, tmp_path / "nowhere" / "pack.npz")
    for images in ([3], [-1], []):
        with pytest.raises(DataError, match="images 0 to 2"):
            import_nyuv2(mat, tmp_path / "pack.npz", images=images)


def test_links_and_references_open_nothing_else(tmp_path):
    write(tmp_path / "other.mat")
    mat = write(tmp_path / "labeled.mat", without("depths"))
    with h5py.File(mat, "r+") as file:
        file["depths"] = h5py.ExternalLink("other.mat", "/depths")
    with pytest.raises(DataError, match="'depths' is not a data set"):
        import_nyuv2(mat, tmp_path / "pack.npz")
    with h5py.File(write(mat, without("depths")), "r+") as file:
        layout = h5py.VirtualLayout(contents()["depths"].shape, np.float32)
        layout[...] = h5py.VirtualSource("other.mat", "depths", contents()["depths"].shape)
        file.create_virtual_dataset("depths", layout)
    with pytest.raises(DataError, match="'depths' is not a data set"):
        import_nyuv2(mat, tmp_path / "pack.npz")
    with h5py.File(write(mat), "r+") as file:
        file["names"][0, 0] = file["#refs#"].ref  # a reference to a group
    with pytest.raises(DataError, match="short texts"):
        import_nyuv2(mat, tmp_path / "pack.npz")


def secret(file, tmp_path, way):
    """A data set of 20 codes that lie in another file, by one of HDF5's ways."""
    (tmp_path / "secret.txt").write_bytes(b"TOPSECRET-0123456789")
    if way == "external":
        outside = [(str(tmp_path / "secret.txt"), 0, 20)]
        return file.create_dataset("#refs#/x", (20,), "u1", external=outside)
    with h5py.File(tmp_path / "secret.h5", "w") as other:
        other["codes"] = np.frombuffer(b"TOPSECRET-0123456789", "u1")
    layout = h5py.VirtualLayout((20,), "u1")
    layout[...] = h5py.VirtualSource("secret.h5", "codes", (20,))
    return file.create_virtual_dataset("#refs#/x", layout)


@pytest.mark.parametrize("way", ["external", "virtual"])
@pytest.mark.parametrize("key", ["names", "sceneTypes"])
def test_references_stay_in_the_file(tmp_path, mat, way, key):
    with h5py.File(mat, "r+") as file:
        file[key][0, 0] = secret(file, tmp_path, way).ref
    with pytest.raises(DataError, match="something other than short texts") as caught:
        import_nyuv2(mat, tmp_path / "pack.npz", size=(12, 16))
    assert "TOPSECRET" not in str(caught.value)


@pytest.mark.parametrize("key", ["images", "depths", "labels", "names", "sceneTypes"])
@pytest.mark.parametrize("link", ["external", "soft", "pipe"])
def test_links_are_not_followed(tmp_path, mat, key, link):
    write(tmp_path / "other.mat")
    with h5py.File(mat, "r+") as file:
        file.move(key, "elsewhere")
        if link == "soft":
            file[key] = h5py.SoftLink("/elsewhere")
        else:
            name = "other.mat" if link == "external" else "pipe"
            file[key] = h5py.ExternalLink(name, f"/{key}")
    if link == "pipe":
        os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=f"'{key}' is not a data set"):
        import_nyuv2(mat, tmp_path / "pack.npz", size=(12, 16))


def test_data_outside_the_file_are_refused(tmp_path):
    arrays = contents()
    for key, array in arrays.items():
        mat = write(tmp_path / "labeled.mat", without(key))
        array.tofile(tmp_path / "raw")
        with h5py.File(mat, "r+") as file:
            outside = [(str(tmp_path / "raw"), 0, array.nbytes)]
            file.create_dataset(key, array.shape, array.dtype, external=outside)
        with pytest.raises(DataError, match=f"'{key}' is not a data set"):
            import_nyuv2(mat, tmp_path / "pack.npz", size=(12, 16))


def as_type(key, kind):
    return contents() | {key: contents()[key].astype(kind)}


@pytest.mark.parametrize(
    "key, kind", [("depths", ">f4"), ("depths", "f8"), ("depths", "longdouble")]
)
@pytest.mark.parametrize("labels", [">u2", "u1", "u8"])
def test_numbers_of_other_types_give_the_same_pack(tmp_path, mat, key, kind, labels):
    arrays = as_type(key, kind) | {"labels": contents()["labels"].astype(labels)}
    import_nyuv2(mat, tmp_path / "pack.npz", size=(12, 16))
    import_nyuv2(write(tmp_path / "other.mat", arrays), tmp_path / "other.npz", size=(12, 16))
    with np.load(tmp_path / "pack.npz") as one, np.load(tmp_path / "other.npz") as other:
        for name in ("depth_mm", "seg", "edge", "normal_valid", "image"):
            assert (one[name] == other[name]).all()


def with_label(value):
    labels = contents()["labels"].astype(np.uint64)
    labels[1, 60, 50] = value
    return labels


@pytest.mark.parametrize(
    "arrays, message",
    [
        (as_type("labels", "i2"), "'labels' is not a data set"),
        (contents() | {"labels": with_label(2**31 + 1).astype("u4")}, "image 1: label 2147483649"),
        (contents() | {"labels": with_label(2**63).astype("u8")}, "image 1: label"),
        (contents() | {"depths": -contents()["depths"]}, "image 0: depths are -"),
        (contents() | {"depths": 1000 * contents()["depths"]}, "millimetres"),
        (as_type("depths", "c8"), "'depths' is not a data set"),
        (contents() | {"images": contents()["images"][:, :2]}, "do not match"),
        (contents() | {"images": contents()["images"][:0]}, "do not match|0 scenes"),
        ({}, "'images' is not a data set"),
    ],
)
def test_values_that_are_none_are_refused(tmp_path, arrays, message):
    mat = write(tmp_path / "labeled.mat", arrays)
    with pytest.raises(DataError, match=message) as caught:
        import_nyuv2(mat, tmp_path / "pack.npz", size=(12, 16))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("codes", [[0x110000], [70_000], [0xD800], [2**40]])
def test_codes_that_are_no_text_are_refused(tmp_path, mat, codes):
    with h5py.File(mat, "r+") as file:
        file["names"][0, 0] = file.create_dataset("#refs#/x", data=np.array(codes)).ref
    with pytest.raises(DataError, match="'names' holds codes that are not text"):
        import_nyuv2(mat, tmp_path / "pack.npz", size=(12, 16))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"size": (0, 16)}, "images of 0 × 16"),
        ({"size": (12, -1)}, "images of 12 × -1"),
        ({"size": (10**6, 10**6)}, "images of 1000000"),
        ({"frequent": 300}, "2 to 254 classes"),
        ({"frequent": 255}, "2 to 254 classes"),
        ({"frequent": 1}, "2 to 254 classes"),
        ({"window": 4}, "odd number"),
        ({"images": ["a"]}, "give numbers of images"),
        ({"images": [2**70]}, "give numbers of images"),
        ({"images": [1.5]}, "give numbers of images"),
    ],
)
def test_options_are_checked_before_anything_is_read(tmp_path, mat, options, message):
    with pytest.raises(DataError, match=message):
        import_nyuv2(mat, tmp_path / "pack.npz", **{"size": (12, 16)} | options)
    with pytest.raises(DataError, match="is a folder; name the file"):
        import_nyuv2(mat, tmp_path, size=(12, 16))


def test_254_classes_are_exactly_right(tmp_path):
    arrays = contents()
    arrays["labels"] = (np.arange(arrays["labels"].size) % 900).reshape(arrays["labels"].shape)
    arrays["labels"] = arrays["labels"].astype(np.uint16)
    mat = write(tmp_path / "labeled.mat", arrays, [f"thing {n}" for n in range(1, 901)])
    import_nyuv2(mat, tmp_path / "pack.npz", size=(107, 140), frequent=254)
    with np.load(tmp_path / "pack.npz") as pack:
        seg, names = pack["seg"], pack["seg_names"]
    raw = arrays["labels"].swapaxes(1, 2)[:, 11:118, 10:150]
    kept = [int(name.split()[1]) for name in names[1:]]
    assert seg.max() == 254 and len(names) == 255
    for number in (0, 1, 127, 252, 253):
        assert ((raw == kept[number]) == (seg == number + 1)).all()
    assert ((seg == 0) == ~np.isin(raw, kept)).all()


@pytest.mark.parametrize("change", ["pipe", "zero", "numbers", "huge", "deep", "half"])
def test_a_file_of_classes_is_a_small_regular_one(tmp_path, mat, change):
    path, names = tmp_path / "classes.json", [f"class {n}" for n in range(13)]
    if change == "pipe":
        os.mkfifo(path)
    elif change == "zero":
        path.symlink_to("/dev/zero")
    else:
        number = {"numbers": "1.7", "huge": "9" * 60, "deep": "[" * 10**5, "half": '"1"'}[change]
        path.write_text(
            f'{{"seg13": {{"names": {json.dumps(names)}, "map": [{number}, 1, 2, 3]}}}}'
        )
    with pytest.raises(DataError, match="classes.json") as caught:
        import_nyuv2(mat, tmp_path / "pack.npz", size=(12, 16), classes=path)
    assert "\n" not in str(caught.value)
