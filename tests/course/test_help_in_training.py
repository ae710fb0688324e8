"""Checks of notebook 12 on right, almost right and wrong answers."""

import torch
from judging import judged
from right_answers import change, forces

from mtlnas_lab.core.relaxation import edge_entropy


def test_forces():
    judged(
        "12.forces",
        [
            forces,
            (lambda a, i, h, w: forces(a, ~i, h, w), "exchanged: entropy belongs"),
            (lambda a, i, h, w: forces(a, i, w, h), "weights are exchanged"),
            (lambda a, i, h, w: forces(a, i, 1, 1), "weights are missing"),
            (
                lambda a, i, h, w: h * edge_entropy(a).mean() + w * a.sigmoid().mean(),
                "on all edges",
            ),
            (
                lambda a, i, h, w: h * edge_entropy(a[~i]).sum() + w * a[i].sigmoid().sum(),
                "not a sum",
            ),
            (
                lambda a, i, h, w: (h * edge_entropy(a) * ~i + w * a.sigmoid() * i).mean(),
                "divide by all edges",
            ),
            (lambda a, i, h, w: forces(a, i, h, 0) + w * a[i].abs().mean(), "not of |α|"),
            (lambda a, i, h, w: forces(a, i, h, 0) + w * a[i].mean(), "not of α"),
            (lambda a, i, h, w: forces(a, i, h, 0), "only the entropy"),
            (lambda a, i, h, w: forces(a, i, 0, w), "only L1"),
            (lambda a, i, h, w: 2 * forces(a, i, h, w), "it should be"),
        ],
    )


def test_change():
    judged(
        "12.change",
        [
            change,
            (lambda w, z, s: (w @ s).abs().max(), "gates are missing"),
            (lambda w, z, s: (w @ (z[:, None] * s)).max(), "absolute values"),
            (lambda w, z, s: (w @ (z[:, None] * s)).abs().mean(), "mean change"),
            (lambda w, z, s: (z[:, None] * s).abs().max(), "weights are missing"),
            (lambda w, z, s: (w @ (z[:, None] * s)).abs().sum(), "sum of all changes"),
            (lambda w, z, s: change(w, z * z, s), "squared"),
            (lambda w, z, s: z.max(), "largest gate"),
            (lambda w, z, s: 3 * change(w, z, s), "it should be"),
        ],
    )


def test_the_gate_is_what_shrinks_the_change():
    weight = torch.ones(1, 1)
    assert float(change(weight, torch.tensor([0.25]), torch.full((1, 3), -8.0))) == 2.0
