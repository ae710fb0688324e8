"""What a task's network sees: blindfold, worse versions of the image, stored maps."""

from dataclasses import replace

import pytest
import torch

from mtlnas_lab import Search, SearchConfig, presets
from mtlnas_lab.data.dataset import ImageDataset
from mtlnas_lab.data.rooms import render
from mtlnas_lab.data.views import VIEWS, View, blindfolded, inputs
from mtlnas_lab.errors import ConfigError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def batch():
    return ImageDataset.from_arrays(render(3, size=32, seed=2)).batch(torch.arange(3))


def test_every_view_is_an_image(batch):
    image, targets = batch
    for name in VIEWS:
        seen = View(name).of(image, targets, generator())
        assert seen.shape == image.shape and seen.dtype == image.dtype and seen.isfinite().all(), (
            name
        )
        assert torch.equal(seen, image) == (name == "image"), name


@pytest.mark.parametrize("name", ["grey", "blurred", "masked", "noisy"])
def test_a_dial_goes_from_nothing_to_the_image(name, batch):
    image, targets = batch
    far = []
    for amount in (0.0, 0.4, 0.8, 1.0):
        seen = View(name, amount).of(image, targets, generator())
        far.append(float((seen - image).square().mean()))
    assert far == sorted(far, reverse=True) and far[0] > far[2] > 0
    assert far[-1] < 1e-10


def test_a_blindfold_is_the_formula(batch):
    image, _ = batch
    noise = torch.empty(image.shape).normal_(generator=generator(7))
    seen = blindfolded(image, 0.3, generator(7))
    assert torch.allclose(seen, 0.3 * image + 0.7 * noise)
    assert blindfolded(image, 1, generator()) is image
    blind = blindfolded(image, 0, generator(7))
    assert torch.equal(blind, noise), "nothing of the image is left"


def test_where_all_see_the_image_nothing_is_drawn(batch):
    image, targets = batch
    drawing = generator()
    before = drawing.get_state()
    assert inputs(image, targets, {}, {"a": 1.0}, ("a", "b"), drawing) is image
    assert torch.equal(drawing.get_state(), before)
    seen = inputs(image, targets, {}, {"a": 0.0}, ("a", "b"), drawing)
    assert seen["b"] is image and not torch.equal(seen["a"], image)


def test_all_views_of_a_batch_show_the_same_geometry():
    """A depth map that is seen is the target, mirrored and cropped as the image is."""
    lab = presets.tiny(tasks=("segmentation", "normals"))
    lab = replace(lab, views={"segmentation": View("normals")}, tasks=lab.tasks)
    search = Search(lab, SearchConfig(steps=1, batch_size=4))
    image, targets = next(search.weight_batches)
    seen = lab.see(image, targets, generator())
    assert torch.equal(seen["segmentation"], targets["normals"]) and seen["normals"] is image


def test_a_lab_says_which_view_cannot_be():
    lab = presets.tiny()
    with pytest.raises(
        ConfigError, match="normals cannot see normals: that is what it has to find"
    ):
        replace(lab, views={"normals": View("normals")})
    with pytest.raises(ConfigError, match="there is no task 'walls'"):
        replace(lab, views={"walls": View("grey")})
    without = {
        split: replace(pack, targets={t: pack.targets[t] for t in lab.tasks})
        for split, pack in lab.data.items()
    }
    with pytest.raises(ConfigError, match="has no depth for segmentation to see"):
        replace(lab, data=without, views={"segmentation": View("depth")})


@pytest.mark.parametrize(
    "value, words",
    [
        ("nowhere", "there is no view 'nowhere'"),
        ("blurred:2", "too large"),
        ("blurred:x", "is not a number"),
        ("depth:0.5", "has no dial"),
        (5, "give a name"),
        ({"nome": "grey"}, "give a name"),
    ],
)
def test_a_view_that_cannot_be(value, words):
    with pytest.raises(ConfigError, match=words):
        View.from_value(value)
    assert View.from_value(View.from_value("blurred:0.25")) == View.from_value("blurred:0.25")
