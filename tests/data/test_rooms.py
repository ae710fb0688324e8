"""Procedural rooms: exact labels from the same rays, the same pictures however they are made."""

import numpy as np
import pytest
import torch

from mtlnas_lab.data.room_scene import draw_scene
from mtlnas_lab.data.rooms import CLASSES, ROOMS, make_rooms, render
from mtlnas_lab.errors import DataError

DTYPES = {
    "image": "uint8",
    "seg": "uint8",
    "depth_mm": "uint16",
    "normal": "int8",
    "normal_valid": "bool",
    "edge": "uint8",
    "room": "int8",
    "intrinsics": "float32",
}


@pytest.fixture(scope="module")
def pack():
    return render(300, size=32, seed=3)


def rays_of(pack):
    """(N, H, W, 3): through the pixel centres, z = 1."""
    n, size = pack["seg"].shape[:2]
    fx, fy, cx, cy = pack["intrinsics"].T[:, :, None, None]
    steps = np.arange(size, dtype=np.float32)
    x, y = (steps[None, None] - cx) / fx, (steps[None, :, None] - cy) / fy
    return np.stack(np.broadcast_arrays(x, y, np.float32(1)), -1)


def test_shapes_and_types(pack):
    shapes = {
        "image": (300, 32, 32, 3),
        "normal": (300, 32, 32, 3),
        "room": (300,),
        "intrinsics": (300, 4),
    }
    assert set(pack) == set(DTYPES)
    for key, value in pack.items():
        assert type(value) is np.ndarray and value.dtype == DTYPES[key], key
        assert value.shape == shapes.get(key, (300, 32, 32)), key


@pytest.mark.parametrize("size, chunk", [(24, 1), (24, 5), (33, 3)])
def test_a_picture_depends_on_seed_and_number_only(size, chunk):
    whole = render(8, size=size, seed=5)
    parts = [
        render(3, size=size, seed=5, chunk=chunk),
        render(5, size=size, seed=5, first=3, chunk=chunk),
    ]
    for key, value in whole.items():
        np.testing.assert_array_equal(
            value, np.concatenate([part[key] for part in parts]), err_msg=key
        )
    other = render(8, size=size, seed=6)
    assert all((whole["image"][i] != other["image"][i]).mean() > 0.5 for i in range(8))


def test_views_show_one_room_from_several_places():
    pictures = render(6, size=16, views=3)
    for room in range(2):
        alone = render(1, size=16, first=room)
        assert (pictures["image"][3 * room] == alone["image"][0]).all(), "view 0 is the room's own"
        own = pictures["image"][3 * room : 3 * room + 3].reshape(3, -1)
        assert len(np.unique(own, axis=0)) == 3
        assert len(set(pictures["room"][3 * room : 3 * room + 3])) == 1
    part = render(2, size=16, first=3, views=3)
    assert (part["image"] == pictures["image"][3:5]).all()


def test_a_room_looks_the_same_from_everywhere():
    scenes = [draw_scene(32, 0, 7, view) for view in range(5)]
    looks = {}
    for scene in scenes:
        assert (scene["faces"] == scenes[0]["faces"]).all()
        assert (scene["grain"] == scenes[0]["grain"]).all()
        for solid in [*scene["boxes"][1:], *scene["rounds"]]:
            where = tuple(solid[:8])
            assert looks.setdefault(where, tuple(solid[10:])) == tuple(solid[10:])
    cameras = {tuple(scene["camera"].flat) for scene in scenes}
    assert len(cameras) == 5 and len(looks) > 3


def test_threads_change_nothing():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = render(20, size=48, seed=9)
        torch.set_num_threads(3)
        three = render(20, size=48, seed=9)
    finally:
        torch.set_num_threads(threads)
    for key in one:
        np.testing.assert_array_equal(one[key], three[key], err_msg=key)


def test_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(0)
    np.random.seed(0)
    before, state = (
        render(1, size=16),
        (torch.random.get_rng_state(), np.random.get_state()[1].copy()),
    )
    assert (
        torch.equal(torch.random.get_rng_state(), state[0])
        and (np.random.get_state()[1] == state[1]).all()
    )
    torch.manual_seed(1)
    np.random.seed(1)
    np.testing.assert_array_equal(before["image"], render(1, size=16)["image"])


def test_normals_are_unit_and_face_the_camera(pack):
    normal, valid = pack["normal"] / 127, pack["normal_valid"]
    assert valid.mean() > 0.99
    assert (
        np.abs(np.linalg.norm(normal, axis=-1) - 1)[valid].max() < 0.01
    )  # three roundings of 1/254
    rays = rays_of(pack)
    towards = (normal * rays).sum(-1) / np.linalg.norm(rays, axis=-1)
    assert towards[valid].max() < 0.0


def test_depth_and_normals_tell_of_the_same_planes(pack):
    """On flat regions, neighbours' back-projected points lie on each other's tangent planes (rugs are 12 mm thick)."""
    points = rays_of(pack) * (pack["depth_mm"] / 1000)[..., None]
    even = np.isin(pack["seg"], [1 + CLASSES.index(name) for name in ("wall", "ceiling")])
    floor = pack["seg"] == 1 + CLASSES.index("floor")
    for there in (np.s_[:, 1:, :-1], np.s_[:, :-1, 1:]):
        here = np.s_[:, :-1, :-1]
        same = (pack["normal"][here] == pack["normal"][there]).all(-1) & (pack["edge"][here] == 0)
        step = points[there] - points[here]
        off = np.abs((step * pack["normal"][here] / 127).sum(-1))
        slope = off / np.linalg.norm(step, axis=-1)
        assert (same & even[here]).sum() > 80_000 and (same & floor[here]).sum() > 40_000
        assert (slope[same & even[here]] < 0.02).mean() > 0.999  # 0.02: normals in i8, depth in mm
        assert (slope[same & floor[here]] < 0.02).mean() > 0.97 and off[
            same & floor[here]
        ].max() < 0.02


def test_the_floor_is_below_and_looks_up(pack):
    """In the camera frame up is −y, tilted by the pitch and roll of the camera; the whole floor is one plane."""
    normal, rows = pack["normal"], np.broadcast_to(np.arange(32)[None, :, None], pack["seg"].shape)
    floor, ceiling = (pack["seg"] == 1 + CLASSES.index(name) for name in ("floor", "ceiling"))
    assert (normal[floor][:, 1] < -100).mean() > 0.98 and (
        normal[ceiling][:, 1] > 100
    ).mean() > 0.99
    assert rows[floor].mean() > 20 and rows[ceiling].mean() < 8
    points = rays_of(pack) * (pack["depth_mm"] / 1000)[..., None]
    for i in range(40):
        on_floor = floor[i] & (pack["normal"][i][..., 1] < -100)
        if on_floor.sum() > 50:
            height = (points[i] * np.median(pack["normal"][i][on_floor], 0) / 127).sum(-1)[on_floor]
            assert -1.9 < np.median(height) < -0.9  # how high the camera is
            assert np.percentile(np.abs(height - np.median(height)), 90) < 0.06


def test_rooms_have_sensible_sizes_and_everything_in_them(pack):
    depth = pack["depth_mm"] / 1000
    assert depth.min() > 0.2 and depth.max() < 8
    assert 1.5 < np.median(depth) < 4
    assert pack["seg"].min() >= 1 and pack["seg"].max() <= len(CLASSES)
    share = np.bincount(pack["seg"].ravel(), minlength=len(CLASSES) + 1)[1:] / pack["seg"].size
    assert (share > 0.001).all(), dict(zip(CLASSES, share))
    assert share[CLASSES.index("wall")] < 0.5
    kinds = [len(np.unique(seg)) for seg in pack["seg"]]
    assert np.mean(kinds) > 5 and np.mean(np.array(kinds) > 3) > 0.95


def test_edges_are_the_boundaries_of_classes_and_of_pieces(pack):
    seg, edge = pack["seg"], pack["edge"]
    boundary = np.zeros_like(edge)
    boundary[:, :, :-1] |= seg[:, :, :-1] != seg[:, :, 1:]
    boundary[:, :-1] |= seg[:, :-1] != seg[:, 1:]
    assert set(np.unique(edge)) == {0, 1}
    assert (edge[boundary == 1] == 1).all()
    assert 0.5 < boundary.sum() / edge.sum() < 0.95  # the rest: piece against piece
    assert 0.05 < edge.mean() < 0.25
    wall = 1 + CLASSES.index("wall")
    corner = (edge == 1) & (boundary == 0) & (seg == wall)
    assert corner.sum() > 1000  # where two walls meet


def test_room_classes_are_balanced_and_not_told_by_one_object(pack):
    counts = np.bincount(pack["room"], minlength=len(ROOMS))
    assert len(counts) == len(ROOMS) and counts.min() > 0.7 * 300 / len(ROOMS)
    seen = np.array([np.isin(np.arange(1, len(CLASSES) + 1), seg) for seg in pack["seg"]])
    for number, name in enumerate(CLASSES):
        if name not in ("wall", "floor", "ceiling"):
            share = np.array(
                [seen[pack["room"] == room, number].mean() for room in range(len(ROOMS))]
            )
            assert share.max() / share.sum() < 0.95, name


def test_colours_do_not_tell_the_class(pack):
    """Mean colour per class differs less between classes than within one (lights and windows apart)."""
    image = pack["image"].astype(float)
    means = {
        name: np.array(
            [
                image[i][pack["seg"][i] == 1 + c].mean(0)
                for i in range(300)
                if (pack["seg"][i] == 1 + c).sum() > 8
            ]
        )
        for c, name in enumerate(CLASSES)
        if name not in ("window", "lamp")
    }
    spread = np.std([value.mean(0) for value in means.values()], 0)
    assert (spread < 0.6 * np.mean([value.std(0) for value in means.values()], 0)).all()


def test_trivial_answers_are_poor(pack):
    """Loosely: one class everywhere, the commonest class at each place, the mean normal map, a line on thumbnails."""
    seg, train, test = pack["seg"], np.s_[:240], np.s_[240:]
    counts = np.stack([(seg[train] == c).sum(0) for c in range(1, len(CLASSES) + 1)])
    assert (seg[test] == 1 + counts.sum((1, 2)).argmax()).mean() < 0.5
    assert (seg[test] == 1 + counts.argmax(0)).mean() < 0.6
    mean = pack["normal"][train].astype(float).mean(0)
    cosine = (pack["normal"][test] / 127 * mean / np.linalg.norm(mean, axis=-1, keepdims=True)).sum(
        -1
    )
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).mean() > 30
    thumbs = pack["image"].reshape(300, 8, 4, 8, 4, 3).mean((2, 4)).reshape(300, -1) / 255
    thumbs = np.concatenate((thumbs - thumbs[train].mean(0), np.ones((300, 1))), 1)
    onehot = np.eye(len(ROOMS))[pack["room"]]
    weights = np.linalg.solve(
        thumbs[train].T @ thumbs[train] + 10 * np.eye(193), thumbs[train].T @ onehot[train]
    )
    assert ((thumbs[test] @ weights).argmax(1) == pack["room"][test]).mean() < 0.5


def test_pictures_are_neither_dark_nor_burnt(pack):
    image = pack["image"].astype(float)
    mean = image.mean((1, 2, 3))
    assert mean.min() > 60 and mean.max() < 190
    assert (image.std((1, 2)).mean(1) > 12).mean() > 0.98
    assert (image == 255).mean() < 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": -3},
        {"count": 1, "size": 15},
        {"count": 1, "size": 0},
        {"count": 1, "seed": -1},
        {"count": 1, "first": -1},
    ],
)
def test_wrong_numbers_are_named(wrong):
    with pytest.raises(DataError) as caught:
        render(**wrong)
    name = [key for key in wrong if key != "count"] or ["count"]
    assert f"{name[0]} = {wrong[name[0]]}" in str(caught.value) and "\n" not in str(caught.value)


def test_rooms_are_not_written_over_a_folder(tmp_path):
    with pytest.raises(DataError, match="is a folder; name the file to write"):
        make_rooms(tmp_path, splits={"train": 1})
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        make_rooms(tmp_path / "file" / "rooms.npz", splits={"train": 1})
