"""The planted bit: it is where it is said to be, and nowhere else."""

import numpy as np
import pytest
import torch

from mtlnas_lab.bench import planted
from mtlnas_lab.bench.condition import condition
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.data.loader import sequential


def features_of(lab, gates=None):
    """{node: (B, C, h, w)} of the partner on test images, and the bits."""
    seen, targets = next(lab.seen(sequential(lab.data["test"], lab.targets, 64)))
    tapped = {}
    lab.supernet.eval()
    with torch.no_grad():
        lab.supernet(seen, gates or [False] * len(lab.space), tap=tapped.__setitem__)
    return {str(node): map_ for node, map_ in tapped.items()}, targets[planted.READER]


def test_one_edge_is_useful():
    assert planted.useful_edge() in map(str, condition("bit").space.edges)


def test_the_bit_stands_in_one_stage_alone():
    """Two labs that differ in the bits alone: every other map is the same."""
    lab = condition("bit").lab(0)
    before, bits = features_of(lab)
    turned = condition("bit").lab(0)
    images = turned.data["test"].images
    images[:, :, : planted.CORNER, : planted.CORNER] = (
        255 - images[:, :, : planted.CORNER, : planted.CORNER]
    )
    after, _ = features_of(turned)
    for node, one in before.items():
        same = torch.equal(one, after[node])
        assert same == (node != f"{planted.PARTNER}:{planted.BIT_STAGE}"), node
    raw = before[f"{planted.PARTNER}:{planted.BIT_STAGE}"][:, 0].mean((1, 2))
    assert raw[bits == 1].min() > raw[bits == 0].max()


def test_the_reader_sees_noise_alone():
    lab = condition("bit").lab(0)
    seen, _ = next(lab.seen(sequential(lab.data["test"], lab.targets, 64)))
    assert not torch.equal(seen[planted.READER], seen[planted.PARTNER])
    assert abs(seen[planted.READER][:, :, :2, :2].mean((1, 2, 3))).max() < 1.5


@pytest.mark.parametrize("signal", [1.0, 0.5, 0.0])
def test_the_dial(signal):
    pack = condition("segmentation-normals").data()["test"]
    made = planted.with_bit(pack, signal, seed=0)
    shown = made.images[:, 0, 0, 0].double()
    bits = made.targets[planted.READER].double()
    correlation = torch.corrcoef(torch.stack([shown, bits]))[0, 1].item()
    wanted = {1.0: 1.0, 0.5: 0.5**0.5, 0.0: 0.0}[signal]
    assert correlation == pytest.approx(wanted, abs=0.12)
    assert torch.equal(pack.images[:, :, 2:], made.images[:, :, 2:])
    assert pack.targets[planted.READER].max() > 1, "the pack itself stays as it was"


def test_frozen_stages_and_a_head_that_learns():
    lab = condition("bit").lab(0)
    network = lab.supernet.backbones[planted.PARTNER]
    assert not any(weight.requires_grad for weight in network.stages.parameters())
    assert all(weight.requires_grad for weight in network.head.parameters())


def test_in_the_table_the_planted_edge_parts_all_graphs_by_the_readers_loss():
    table = FusionTable.open("bit")
    names = [str(edge) for edge in table.space.edges]
    has_it = np.array(
        [bool(graph >> names.index(planted.useful_edge()) & 1) for graph in table.graphs]
    )
    losses = table.values(f"{planted.READER}/loss")
    assert losses[has_it].max() < 0.05, "with it the bit is read"
    assert losses[~has_it].min() == pytest.approx(np.log(2), abs=0.01), (
        "without it a coin is as good"
    )
