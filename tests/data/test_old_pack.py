"""A pack that was written before opens as the data it held."""

from pathlib import Path

import torch

from mtlnas_lab.data.dataset import ImageDataset
from mtlnas_lab.data.open import open_data
from mtlnas_lab.data.rooms import render

OLD = Path(__file__).parents[1] / "golden" / "old_pack.npz"


def test_an_old_pack_opens_in_three_splits():
    splits = open_data(OLD)
    assert sorted(splits) == ["test", "train", "val"]
    assert sum(len(split) for split in splits.values()) == 6
    assert set(splits["train"].tasks) >= {"segmentation", "normals", "depth", "edges"}
    for split in splits.values():
        assert split.images.shape[1:] == (3, 16, 16)


def test_an_old_pack_holds_the_rooms_that_it_was_made_of():
    pack = ImageDataset.load(OLD)
    rooms = render(6, 16, seed=1)
    assert torch.equal(pack.images, torch.as_tensor(rooms["image"]).movedim(-1, 1))
    _, targets = pack.batch(torch.arange(6), ("segmentation", "depth"))
    assert targets["segmentation"].shape == (6, 16, 16)
    assert targets["depth"].shape == (6, 1, 16, 16)
