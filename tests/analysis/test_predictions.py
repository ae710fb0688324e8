"""Pictures and losses are made of what each network sees."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mtlnas_lab.analysis.edge_importance import ablate, edge_costs, loss_and_gradient, mean_loss
from mtlnas_lab.analysis.predictions import browse, look_at, look_into
from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.evaluate import evaluate
from mtlnas_lab.data.dataset import ImageDataset, picture
from mtlnas_lab.data.loader import sequential
from mtlnas_lab.data.rooms import render
from mtlnas_lab.data.views import View
from mtlnas_lab.errors import ConfigError, SpaceError
from mtlnas_lab.experiments.presets import make_lab


@pytest.fixture(scope="module")
def lab():
    pack = ImageDataset.from_arrays(render(4, 32, seed=0))
    return make_lab("tiny", {"train": pack, "test": pack}, ("segmentation", "normals"))


@pytest.fixture
def apart(lab):
    """A lab whose first network sees depth, and whose second sees next to nothing."""
    views = {"segmentation": View("depth")}
    return replace(lab, views=views, visibility={"normals": 0.0})


def test_pictures_are_made_of_what_is_seen(lab, apart):
    gates = [True] * len(lab.space)
    plain = look_at(lab, images=[1])(gates)
    found = look_at(apart, images=[1])(gates)
    assert plain["caption"].startswith("From top to bottom: image, truth")
    assert found["caption"].startswith("From top to bottom: what its network sees, truth")
    for task in lab.tasks:
        top = found["pictures"][task][:32, :32]
        assert not np.array_equal(top, plain["pictures"][task][:32, :32])
    expected = evaluate(
        apart.supernet, gates, apart.tasks, apart.seen(sequential(lab.data["test"], apart.targets))
    )
    assert found["scores"] == expected != plain["scores"]
    assert look_at(apart, images=[1])(gates)["scores"] == expected, "the same noise each time"


def test_predictions_show_what_is_seen(lab, apart):
    shut = [False] * len(lab.space)
    assert [*browse(lab, shut)[1]["tasks"]["normals"]] == ["truth", "prediction", "error"]
    found = browse(apart, shut)[1]["tasks"]
    assert [*found["normals"]] == ["sees", "truth", "prediction", "error"]
    image, targets = lab.data["test"].batch(torch.tensor([1]), ["depth"])
    depth = View("depth").of(image, targets, torch.Generator())
    assert np.array_equal(found["segmentation"]["sees"], picture(depth[0]))
    both = browse(apart, shut, replace(apart, visibility={}))[1]["tasks"]["normals"]
    assert [*both][:2] == ["sees before", "sees after"]
    one = browse(lab, shut, apart)[1]["tasks"]["normals"]
    assert [*one][:2] == ["sees after", "truth"]
    with_itself = browse(apart, shut, [True] * len(shut))[1]["tasks"]["normals"]
    assert [*with_itself][:2] == ["sees", "truth"]


def test_edges_are_weighed_under_what_is_seen(lab, apart):
    def batches():
        return apart.seen(sequential(lab.data["test"], apart.targets, 2))

    gates = [True] * len(lab.space)
    loss = mean_loss(apart, gates, batches())
    plain = mean_loss(lab, gates, sequential(lab.data["test"], tuple(lab.tasks), 2))
    assert loss != pytest.approx(plain, rel=1e-3)
    again, gradient = loss_and_gradient(apart, torch.ones(len(gates)), batches())
    assert again == pytest.approx(loss) and gradient.abs().sum() > 0
    first = Architecture(lab.space, (True, *[False] * (len(gates) - 1)))
    (change,) = ablate(apart, first, batches).values()
    assert {*change} == {*lab.tasks}
    seen, _ = next(batches())
    image, _ = next(sequential(lab.data["test"], (), 2))
    assert edge_costs(apart, first, seen) == edge_costs(apart, first, image)


def test_what_reaches_a_covered_network_over_one_edge(lab):
    lab.supernet.train()
    look = look_into(lab, "normals:3 -> segmentation:3", image=1)
    seeing, blind = look(1.0), look(0.0)
    titles = ["segmentation sees", "segmentation:3, its own", "over the edge from normals:3"]
    titles.append("segmentation:3, fused")
    assert [*seeing["pictures"]] == [*blind["pictures"]] == titles
    assert seeing["task"] == "segmentation"
    texts = [text for _, text in seeing["pictures"].values()]
    assert texts == ["", *["100% like the map where it sees all"] * 3]
    own, edge = titles[1:3]
    assert blind["pictures"][own][1] != "100% like the map where it sees all"
    assert blind["pictures"][edge][1] == "100% like the map where it sees all", "it sees the image"
    for pixels, _ in blind["pictures"].values():
        assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
    assert not any(stage._forward_hooks for stage in lab.supernet.modules())
    assert lab.supernet.training and not lab.visibility
    with pytest.raises(SpaceError, match="no candidate edge"):
        look_into(lab, "normals:3 -> segmentation:0")
    with pytest.raises(ConfigError, match="image 9"):
        look_into(lab, "normals:3 -> segmentation:3", image=9)
