"""Packs that are read as needed: the same batches as in memory, within a budget, ahead of time; any Dataset."""

import threading
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from mtlnas_lab import data
from mtlnas_lab.data import picture
from mtlnas_lab.errors import DataError
from mtlnas_lab.lazy import Cache, from_dataset
from mtlnas_lab.tasks import Classification

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
    assert type(held) is data.Pack and held.images.shape == (20, 3, *SIZE)
    for ours, theirs in zip(data.split(lazy, tasks, 4, seed=3), data.split(held, tasks, 4, seed=3)):
        for one, other in islice(zip(ours, theirs), 7):
            assert equal(one, other)
    for one, other in zip(
        data.sequential(lazy, tasks, 6), data.sequential(held, tasks, 6), strict=True
    ):
        assert equal(one, other)


def test_a_resumed_stream_equals_one_that_never_stopped():
    whole = list(islice(data.split(scenes(), ("depth",), 4, seed=1)[1], 9))
    stream = data.split(scenes(memory_gb=0), ("depth",), 4, seed=1)[1]
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
        list(data.sequential(pack, tasks, 6))
        source.asked.clear()
        list(data.sequential(pack, tasks, 6))
        assert len(source.asked) == again == len(set(source.asked))
        held = sum(x.nbytes for image in pack.cache.kept.values() for x in image.values())
        assert held == room * each


def test_other_tasks_of_an_image_are_read_when_they_are_asked_for():
    source = Scenes()
    pack = scenes(source)
    pack.batch(torch.tensor([2]), ("segmentation",))
    pack.soon(torch.tensor([3]), ("segmentation",))
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
    cache.soon([4, 5], ("image",))  # returns at once
    assert begun.wait(10) and 4 not in cache.kept
    go.set()
    assert (
        cache.take([5, 4, 4], ("image",))["image"].flatten().tolist() == [5, 4, 4]
        and not cache.coming
    )
    stream, asked = data.whole(scenes(), ("room",), 4, seed=0), []
    stream.pack = stream.pack.subset(torch.arange(20))
    object.__setattr__(
        stream.pack, "soon", lambda index, tasks: asked.append((index.tolist(), tasks))
    )
    next(stream)
    assert asked == [(stream._images(1).tolist(), ("room",))]


def test_an_error_comes_with_its_batch_and_again_with_the_next():
    source = Scenes()
    pack = scenes(source)
    source.__class__ = type(
        "Broken", (Scenes,), {"__getitem__": lambda self, n: {"image": None}[f"item {n}"]}
    )
    pack.soon(torch.tensor([5]), ("segmentation",))
    for _ in range(2):
        with pytest.raises(DataError, match=r"item 5 is no dict.*KeyError"):
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
        ([3], {}, "item 0 is no dict"),
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
