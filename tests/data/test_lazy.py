"""Packs that are read as needed: the same batches as in memory, within a budget, ahead of time; any Dataset."""

import threading
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from mtlnas_lab.data import dataset, loader
from mtlnas_lab.data.dataset import picture
from mtlnas_lab.data.inputs import say_once
from mtlnas_lab.data.lazy import Cache, from_dataset, tell_of_missing_labels
from mtlnas_lab.data.stored import Raw, label
from mtlnas_lab.errors import DataError
from mtlnas_lab.tasks.task import Classification

SIZE = (12, 16)


class Scenes:
    """A Dataset of 20 dicts that counts who was asked for; every fifth has no depth."""

    def __init__(self, count=20, size=SIZE):
        self.count, self.size, self.asked, self.lock = count, size, [], threading.Lock()

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        with self.lock:
            self.asked.append(number)
        rng = np.random.default_rng(number)
        normals = rng.normal(size=(*self.size, 3))
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        normals[0, 0] = 0
        seg = rng.integers(0, 4, self.size)
        seg[1, 1] = 255
        return {
            "image": rng.integers(0, 256, (*self.size, 3), dtype=np.uint8),
            "segmentation": seg,
            "normals": torch.from_numpy(normals).movedim(-1, 0),
            "file": f"{number}.png",
            "depth": None
            if number % 5 == 4
            else torch.from_numpy(rng.random((1, *self.size))) + number,
            "room": number % 3,
            "edges": rng.integers(0, 2, self.size, dtype=np.uint8),
            "object": np.array([1.0, 1.0, 2.0 + number]),
        }


def scenes(dataset=None, **options):
    return from_dataset(
        dataset or Scenes(),
        {"segmentation": ["a", "b", "c", "d"], "room": 3},
        **{"size": SIZE, "workers": 2} | options,
    )


def equal(one, other):
    return (
        torch.equal(one[0], other[0])
        and one[1].keys() == other[1].keys()
        and all(torch.equal(one[1][name], other[1][name]) for name in one[1])
    )


# --- the same as in memory --------------------------------------------------------------------------------------------
def test_items_become_what_the_lab_understands():
    source = Scenes()
    pack, item = scenes(source), source[7]
    assert (
        pack.tasks == ("segmentation", "normals", "depth", "room", "edges", "object")
        and len(pack) == 20
    )
    image, targets = pack.batch(torch.tensor([7, 4]))
    assert (picture(image[0]) == item["image"]).all()
    assert (targets["segmentation"][0].numpy() == item["segmentation"]).all()
    assert torch.allclose(targets["normals"][0], item["normals"].float(), atol=0.01)
    assert torch.allclose(targets["depth"][0], torch.full((1, *SIZE), 7.5), atol=0.51)
    assert (targets["depth"][1] == 0).all()  # the image that lacks it
    assert (targets["edges"][0, 0].numpy() == item["edges"]).all() and targets["room"].tolist() == [
        1,
        1,
    ]
    assert torch.allclose(
        targets["object"], torch.tensor([[1, 1, 9], [1, 1, 6]]) / torch.tensor([[11.0], [8.0]])
    )
    assert pack.labels["segmentation"] == ("a", "b", "c", "d") and pack.labels["object"] == (
        "0",
        "1",
        "2",
    )
    made = pack.make_tasks()
    assert (
        made["object"] == Classification("object", ("0", "1", "2"), soft=True)
        and not made["room"].soft
    )


@pytest.mark.parametrize("memory_gb", [0.0, 1e-5, 4.0])
def test_a_search_draws_the_same_batches_as_from_memory(memory_gb):
    lazy, tasks = scenes(memory_gb=memory_gb), ("segmentation", "normals")
    held = lazy.read()
    assert type(held) is dataset.ImageDataset and held.images.shape == (20, 3, *SIZE)
    for ours, theirs in zip(
        loader.split(lazy, tasks, 4, seed=3), loader.split(held, tasks, 4, seed=3)
    ):
        for one, other in islice(zip(ours, theirs), 7):
            assert equal(one, other)
    for one, other in zip(
        loader.sequential(lazy, tasks, 6), loader.sequential(held, tasks, 6), strict=True
    ):
        assert equal(one, other)


def test_a_resumed_stream_equals_one_that_never_stopped():
    whole = list(islice(loader.split(scenes(), ("depth",), 4, seed=1)[1], 9))
    stream = loader.split(scenes(memory_gb=0), ("depth",), 4, seed=1)[1]
    stream.position = 6
    assert all(equal(one, other) for one, other in zip(whole[6:], stream))


def test_parts_share_one_cache_and_keep_their_numbers():
    pack = scenes()
    part = pack.subset(torch.tensor([9, 3, 1])).subset(torch.tensor([2, 0]))
    assert len(part) == 2 and part.cache is pack.cache and part.labels == pack.labels
    assert equal(part.batch(torch.tensor([1, 0])), pack.batch(torch.tensor([9, 1])))
    assert equal(part.to("cpu").batch(torch.tensor([0])), pack.batch(torch.tensor([1])))
    assert part.make_tasks(["depth"]) and part.first_dense_pair() == ("segmentation", "normals")


# --- what is read when ------------------------------------------------------------------------------------------------
def test_what_fits_is_read_once_and_the_rest_again():
    source = Scenes()
    pack, tasks = scenes(source, tasks=("segmentation",)), ("segmentation",)
    each = pack.images.nbytes + pack.targets["segmentation"].nbytes
    for room, again in ((20, 0), (7, 13), (0, 20)):
        pack = scenes(source, tasks=tasks, memory_gb=(room * each + 1) / 2**30)
        list(loader.sequential(pack, tasks, 6))
        source.asked.clear()
        list(loader.sequential(pack, tasks, 6))
        assert len(source.asked) == again == len(set(source.asked))
        held = sum(x.nbytes for image in pack.cache.kept.values() for x in image.values())
        assert held == room * each


def test_other_tasks_of_an_image_are_read_when_they_are_asked_for():
    source = Scenes()
    pack = scenes(source)
    pack.batch(torch.tensor([2]), ("segmentation",))
    pack.prefetch(torch.tensor([3]), ("segmentation",))
    assert pack.batch(torch.tensor([2, 3]), ("depth", "room"))[1]["room"].tolist() == [2, 0]
    source.asked.clear()
    pack.batch(torch.tensor([3, 2, 2]), ("depth", "room"))
    assert source.asked == []


def test_streams_read_ahead_in_other_threads():
    begun, go = threading.Event(), threading.Event()

    def read(number, keys):
        if number >= 4:
            begun.set()
            assert go.wait(10)
        return {key: torch.tensor([number]) for key in keys}

    cache = Cache(read, 1.0, 1)
    assert cache.take([0, 1, 2, 3], ("image",))["image"].flatten().tolist() == [0, 1, 2, 3]
    cache.prefetch([4, 5], ("image",))  # returns at once
    assert begun.wait(10) and 4 not in cache.kept
    go.set()
    assert (
        cache.take([5, 4, 4], ("image",))["image"].flatten().tolist() == [5, 4, 4]
        and not cache.coming
    )
    stream, asked = loader.whole(scenes(), ("room",), 4, seed=0), []
    stream.pack = stream.pack.subset(torch.arange(20))
    object.__setattr__(
        stream.pack, "prefetch", lambda index, tasks: asked.append((index.tolist(), tasks))
    )
    next(stream)
    assert asked == [(stream._images(1).tolist(), ("room",))]


def test_an_error_comes_with_its_batch_and_again_with_the_next():
    source = Scenes()
    pack = scenes(source)
    source.__class__ = type(
        "Broken", (Scenes,), {"__getitem__": lambda self, n: {"image": None}[f"item {n}"]}
    )
    pack.prefetch(torch.tensor([5]), ("segmentation",))
    for _ in range(2):
        with pytest.raises(DataError, match=r"item 5 is not a dict.*KeyError"):
            pack.batch(torch.tensor([5]), ("segmentation",))


# --- sizes, and what does not fit -------------------------------------------------------------------------------------
def test_images_are_averaged_and_labels_are_picked():
    size = (192, 256)
    rows = np.arange(192)[:, None].repeat(256, 1)
    item = {
        "image": Image.fromarray(np.stack([rows] * 3, -1).astype(np.uint8)),
        "segmentation": rows % 2,
        "depth": rows + 1.0,
    }
    pack = from_dataset([item], {"segmentation": 2})
    image, targets = pack.batch(torch.tensor([0]))
    assert image.shape == (1, 3, 96, 128) and pack.images.shape == (1, 3, 96, 128)
    assert (np.diff(picture(image[0])[1:-1, 0, 0].astype(int)) == 2).all()
    assert (targets["segmentation"] == 1).all() and targets["depth"][0, 0, :, 0].tolist() == [
        *range(2, 194, 2)
    ]
    for shape, expected in (
        (size, (96, 128)),
        ((480, 640), (96, 128)),
        ((512, 512), (96, 96)),
        ((32, 64), (96, 192)),
    ):
        assert (
            from_dataset(Scenes(2, shape), {"segmentation": 4}, ["segmentation"]).images.shape[-2:]
            == expected
        )


def test_float_images_run_from_0_to_1():
    item = {
        "image": torch.linspace(0, 1, 256).view(1, 1, 256).expand(3, 16, 256),
        "depth": np.ones((16, 256)),
    }
    image, _ = from_dataset([item], size=(16, 256)).batch(torch.tensor([0]))
    assert (picture(image[0])[0, :, 0] == np.arange(256)).all()


def changed(**by):
    """Twenty scenes of which number 6 is different."""
    good = Scenes()
    return [good[n] if n != 6 else good[n] | by for n in range(20)]


@pytest.mark.parametrize(
    "by, message",
    [
        ({"image": None}, "item 6 has no 'image' of three axes"),
        ({"image": np.zeros(SIZE, np.uint8)}, "item 6 has no 'image'"),
        ({"image": np.zeros((*SIZE, 4), np.uint8)}, r"item 6: is uint8 of shape \(12, 16, 4\)"),
        ({"image": np.zeros((*SIZE, 3), np.int64)}, "item 6: is int64"),
        (
            {"segmentation": np.zeros((12, 15), int)},
            r"item 6: segmentation is of shape \(12, 15\).*12 × 16 pixels",
        ),
        (
            {"segmentation": np.full(SIZE, 4)},
            "segmentation is 4, but must be a whole number from 0 to 3, or 255",
        ),
        ({"segmentation": np.zeros(SIZE)}, "segmentation is float64"),
        ({"segmentation": np.full(SIZE, -1)}, "is -1"),
        ({"normals": np.zeros(SIZE)}, r"normals is of shape \(12, 16\).*asks for \(12, 16, 3\)"),
        ({"edges": np.full(SIZE, 2)}, "edges is 2, but must be a whole number from 0 to 1"),
        ({"room": 3}, "room is 3, but must be a whole number from 0 to 2, or -1"),
        ({"object": np.ones(4)}, "object must hold the shares of 3 classes"),
        ({"object": np.array([1, np.nan, 0])}, "shares"),
        ({"object": np.array([1.0, -1, 2])}, "none below 0"),
    ],
)
def test_an_item_that_does_not_fit_is_named(by, message):
    pack = scenes(changed(**by))
    with pytest.raises(DataError, match=message) as caught:
        pack.batch(torch.tensor([5, 6]))
    assert "\n" not in str(caught.value) and "item 6" in str(caught.value)


def test_a_dataset_that_teaches_nothing_is_refused():
    image = {"image": np.zeros((*SIZE, 3), np.uint8)}
    for wrong, options, message in (
        ([], {}, "is empty"),
        ([image], {}, "no item teaches anything"),
        ([image], {"tasks": ["depth"]}, "teaches depth"),
        ([image | {"normal": 1}], {}, "the lab knows segm"),
        ([image | {"room": 1}], {}, "labels={'room': 13}"),
        ([{"depth": 1}], {}, "no 'image'"),
        ([3], {}, "item 0 is not a dict"),
        (Scenes(), {"tasks": ["depth"], "memory_gb": -1}, "-1 GiB"),
        (Scenes(), {"tasks": ["depth"], "size": (0, 8)}, "0 × 8"),
    ):
        with pytest.raises(DataError, match=message):
            from_dataset(wrong, **options)


def test_a_task_that_the_first_item_lacks():
    items = [item | ({"depth": None} if n < 3 else {}) for n, item in enumerate(changed())]
    pack = scenes(items, tasks=["depth", "room"])
    assert pack.tasks == ("depth", "room")
    _, targets = pack.batch(torch.arange(5))
    assert (targets["depth"] > 0).flatten(1).any(1).tolist() == [False, False, False, True, False]


# --- what is handed over is stored, or refused ------------------------------------------------------------------------
HIGH, WIDE = 4, 6
NUMBERS = ("float64", "float32", "float16", "uint8", "uint16", "uint32", "uint64")
NUMBERS += ("int8", "int16", "int32", "int64", ">f4", ">u2", ">i4", "longdouble")
TORCH = ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64")


def stored(task, value, labels=None, count=2):
    """The first image's target in a pack of equal items."""
    image = np.zeros((HIGH, WIDE, 3), np.uint8)
    items = [{"image": image, task: value}] * count
    pack = from_dataset(items, {task: labels} if labels else None, size=(HIGH, WIDE), workers=1)
    return pack.batch(torch.tensor([0]))[1][task][0]


@pytest.mark.parametrize("kind", [*NUMBERS, *(f"torch.{kind}" for kind in TORCH)])
@pytest.mark.parametrize("metres", [0.25, 4, 40, 70, 127])
def test_no_type_changes_a_depth(kind, metres):
    name = kind.removeprefix("torch.")
    value = np.full((HIGH, WIDE), metres).astype("f8" if kind.startswith("torch.") else name)
    if kind.startswith("torch."):
        value = torch.full((1, HIGH, WIDE), metres, dtype=torch.float64).to(getattr(torch, name))
    handed = float(np.asarray(value.double() if torch.is_tensor(value) else value).flat[0])
    if handed == 0 or (handed > 100 and "float" not in name and name[-2:] not in ("f4", "le")):
        with pytest.raises(DataError, match="no image has a label|millimetres|grey levels"):
            stored("depth", value)
    else:
        assert stored("depth", value).unique().tolist() == [pytest.approx(handed, abs=5e-4)]


@pytest.mark.parametrize(
    "value, message",
    [
        (np.full((HIGH, WIDE), 1001.0), "is 1001 somewhere.*millimetres"),
        (np.full((HIGH, WIDE), 2500, np.uint16), "2500.*millimetres"),
        (np.full((HIGH, WIDE), 200, np.uint8), "200.*grey levels"),
        (torch.full((1, HIGH, WIDE), 60000, dtype=torch.float16), "6e\\+04.*millimetres|60000"),
        (np.full((HIGH, WIDE), -0.01), "is -0.01 somewhere, but must be metres above 0"),
        (np.full((HIGH, WIDE), np.nan), "no image has a label for depth"),
        (np.zeros((HIGH, WIDE)), "no image has a label for depth"),
        (np.ones((HIGH, WIDE), bool), "is bool"),
        (np.ones((HIGH, WIDE), complex), "is complex128, but must be numbers"),
        (np.full((HIGH, WIDE), "far"), "must be numbers"),
        (np.full((HIGH, WIDE), None, object), "must be numbers"),
        (np.ma.masked_equal(np.ones((HIGH, WIDE)), 1), "masked array"),
        (torch.ones(HIGH, WIDE).to_sparse(), "cannot be made an array"),
        ([[1.0], [1.0, 2.0]], "cannot be made an array"),
    ],
)
def test_a_depth_of_another_kind_is_refused(value, message):
    with pytest.raises(DataError, match=message) as caught:
        stored("depth", value)
    assert "item 0" in str(caught.value) or "no image" in str(caught.value)


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", ">i2", "int64", "uint64", "bool"])
@pytest.mark.parametrize("count", [2, 127, 128, 129, 253, 254, 255])
def test_classes_are_what_they_were(kind, count):
    labels = np.arange(HIGH * WIDE).reshape(HIGH, WIDE) * 11 % count
    labels[0, 0] = count - 1
    if kind == "bool" and count > 2:
        return
    handed = labels.astype(kind)
    assert (stored("segmentation", handed, count).numpy() == handed).all()
    if kind != "bool":
        handed[1, 1] = 255
        assert stored("segmentation", handed, count)[1, 1] == 255


@pytest.mark.parametrize("count", [256, 257, 300, 894, 10**9, np.int64(1000)])
def test_more_classes_than_fit_are_refused_at_the_door(count):
    with pytest.raises(DataError, match=f"{count} classes, but must have 2 to 255"):
        stored("segmentation", np.zeros((HIGH, WIDE), int), count)


def test_classes_are_a_number_or_names():
    labels = np.arange(HIGH * WIDE).reshape(HIGH, WIDE) % 3
    assert (stored("segmentation", labels, np.int64(3)).numpy() == labels).all()
    for wrong in ("abc", 3.0, {"a": 1, "b": 2}, True, b"abc"):
        with pytest.raises(DataError, match="must be their number or a list of their names"):
            stored("segmentation", labels, wrong)
    with pytest.raises(DataError, match="'segmentaton'.*knows segmentation"):
        from_dataset(Scenes(), {"segmentaton": 3})
    with pytest.raises(DataError, match="count from 1, take 1 off"):
        stored("segmentation", labels + 1, 3)


@pytest.mark.parametrize(
    "kind", ["float64", "float32", "float16", "torch.bfloat16", "torch.float16"]
)
def test_float_images_in_any_type(kind):
    shape = (HIGH, WIDE, 3)
    if kind.startswith("torch."):
        image = torch.full((3, HIGH, WIDE), 0.5, dtype=getattr(torch, kind[6:]))
    else:
        image = np.full(shape, 0.5, kind)
    item = {"image": image, "depth": np.ones((HIGH, WIDE))}
    assert from_dataset([item], size=(HIGH, WIDE)).read().images.unique().tolist() == [128]


@pytest.mark.parametrize(
    "low, high, advice",
    [
        (0, 255, "divide it by 255"),
        (-1, 1, "undo its normalisation"),
        (-2.1, 2.6, "undo its normalisation"),
        (0, 65535, "undo"),
        (0, np.nan, "from nan"),
        (0, np.inf, "to inf"),
    ],
)
def test_float_images_of_another_range_are_refused(low, high, advice):
    image = np.linspace(low, 1, HIGH * WIDE * 3).reshape(HIGH, WIDE, 3)
    image[-1, -1, -1] = high
    for one in (image, torch.from_numpy(image).movedim(-1, 0).float()):
        with pytest.raises(DataError, match=advice):
            from_dataset([{"image": one, "depth": np.ones((HIGH, WIDE))}], size=(HIGH, WIDE))


@pytest.mark.parametrize("kind", ["uint16", "int8", "int16", "int32", "bool"])
def test_images_of_other_types_are_refused(kind):
    image = np.ones((HIGH, WIDE, 3), kind)
    with pytest.raises(DataError, match=rf"item 0: is {kind}.*an image is uint8"):
        from_dataset([{"image": image, "depth": np.ones((HIGH, WIDE))}], size=(HIGH, WIDE))


def test_masks_of_0_and_255_are_refused():
    mask = np.zeros((HIGH, WIDE), np.uint8)
    mask[1:3, 2:] = 255
    for task, classes in (("edges", None), ("segmentation", 2)):
        with pytest.raises(DataError, match=f"{task} holds 0 and 255 and never 1 in 2 images"):
            stored(task, mask, classes)
        marked = mask.copy()
        marked[0, 0] = 1
        image = np.zeros((HIGH, WIDE, 3), np.uint8)
        items = [{"image": image, task: one} for one in (mask, marked)]
        pack = from_dataset(items, {task: 2}, size=(HIGH, WIDE))  # 255 is what it should be
        assert (pack.batch(torch.tensor([0]))[1][task].squeeze().numpy() == mask).all()
    assert stored("segmentation", mask, 3).unique().tolist() == [0, 255]


UNIT = np.broadcast_to(np.array([0.6, 0.0, -0.8]), (HIGH, WIDE, 3))


@pytest.mark.parametrize(
    "value, message",
    [
        (((UNIT + 1) * 127.5).round().astype(np.uint8), "is uint8, but must be directions"),
        ((UNIT + 1) * 127.5, "has a direction of length .*c / 127.5 - 1"),
        ((UNIT + 1) / 2, "numbers y from 0 to 1 stand for 2 y - 1"),
        (UNIT * 0.6, "length far from 1.*normalise"),
        (UNIT * 1.4, "length far from 1"),
        (UNIT * 127, "of length 127"),
        ((UNIT * 127).round().astype(np.int8), "of length 12"),
        (UNIT > 0, "is bool"),
        (np.zeros((HIGH, WIDE, 3)), "no image has a label for normals"),
        (np.full((HIGH, WIDE, 3), np.nan), "no image has a label for normals"),
    ],
)
def test_normals_are_directions_of_length_1(value, message):
    with pytest.raises(DataError, match=message):
        stored("normals", value)
    short = UNIT.copy()
    short[0, :4] *= 0.7  # a row between two surfaces, as resizing leaves it
    short[1, 0] = 0
    found = stored("normals", short).movedim(0, -1)
    assert np.allclose(found[0], UNIT[0], atol=0.01) and not found[1, 0].any()
    assert np.allclose(
        stored("normals", torch.tensor(UNIT).movedim(-1, 0).half())[0], 0.6, atol=0.01
    )


def test_labels_of_another_form_are_refused():
    hot = np.eye(3)[np.arange(HIGH * WIDE).reshape(HIGH, WIDE) % 3]
    for value, message in (
        (hot, "one-hot"),
        (torch.from_numpy(hot).movedim(-1, 0), "one-hot"),
        (hot[..., 0], "segmentation is float64, but must be a whole number"),
        (np.full((HIGH, WIDE), 255), "no image has a label for segmentation"),
    ):
        with pytest.raises(DataError, match=message):
            stored("segmentation", value, 3)
    for value, message in (
        ("kitchen", "must be numbers"),
        (1.0, "room is float64"),
        (np.zeros((2, 2), int), "must be one number"),
        (np.full(3, 0.0), "shares"),
        (-1, "no image has a label for room"),
    ):
        with pytest.raises(DataError, match=message):
            stored("room", value, 3)
    assert torch.allclose(
        stored("room", np.array([60000, 60000, 0], np.float16), 3).sum(), torch.ones(())
    )
    image = np.zeros((HIGH, WIDE, 3), np.uint8)
    items = [{"image": image, "room": 1}, {"image": image, "room": np.ones(3)}]
    with pytest.raises(DataError, match="item 1: room is a class for some images and shares"):
        from_dataset(items, {"room": 3}, size=(HIGH, WIDE)).read()


def test_a_label_may_come_late():
    items = changed()
    for n in range(12):
        items[n] = items[n] | {"segmentation": np.full(SIZE, 255), "depth": np.zeros(SIZE)}
    pack = scenes(items, tasks=["segmentation", "depth"])
    _, targets = pack.batch(torch.arange(20))
    assert (targets["segmentation"][:12] == 255).all() and (targets["depth"][12] > 0).all()


def test_what_has_no_items_by_number_and_odd_budgets_are_refused():
    with pytest.raises(DataError, match="no length or no items by number"):
        from_dataset(iter(changed()))
    for options in (
        {"memory_gb": float("nan")},
        {"memory_gb": float("inf")},
        {"size": (10**6, 10**6)},
    ):
        with pytest.raises(DataError, match="GiB of images|at most"):
            scenes(**options)


def test_a_split_without_a_label_is_said_before_training(capsys):
    items = changed()
    for n in range(8):
        items[n] = items[n] | {"depth": np.zeros(SIZE)}
    pack = scenes(items, tasks=["segmentation", "depth"])
    packs = {"train": pack.subset(torch.arange(8, 20)), "val": pack.subset(torch.arange(8))}
    tasks = pack.make_tasks()
    for given in (packs, {name: part.read() for name, part in packs.items()}):
        say_once.cache_clear()
        tell_of_missing_labels(given, tasks)
        said = capsys.readouterr().err
        assert (
            "none of its 8 images has a label for depth, so its scores of val will be NaN" in said
        )
        with pytest.raises(DataError, match="8 images has a label for depth.*nothing to learn"):
            tell_of_missing_labels({"train": given["val"]}, tasks)


# --- depths that would be lost ----------------------------------------------------------------------------------------
def test_a_few_depths_below_half_a_millimetre_are_told_of(capsys):
    say_once.cache_clear()
    depth = np.full(SIZE, 2.0)
    depth[3, 4] = 0.0004
    raw = Raw(depth, "one")
    kept = label("depth", raw, SIZE, SIZE, ())
    assert kept[0, 3, 4] == 0 and (kept == 2000).sum() == depth.size - 1
    label("depth", raw, SIZE, SIZE, ())
    assert capsys.readouterr().err.count("below 0.0005 m count as no label") == 1


def test_depths_that_would_mostly_be_lost_are_refused():
    depth = np.full(SIZE, 0.0)
    depth[:6] = 0.0004
    with pytest.raises(DataError, match="depth is 0.0004 somewhere and mostly below"):
        label("depth", Raw(depth, "one"), SIZE, SIZE, ())
