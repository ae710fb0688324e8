"""Checks of notebook 04 with right, wrong and almost right answers."""

import pytest
import torch
from judging import cases, judge, refused
from torch.nn import functional as F


def blocks(channels, sources, own, others):
    """[own·I, others·I, …] without dividing."""
    return torch.cat(
        [own * torch.eye(channels), *(others * torch.eye(channels, c) for c in sources)], 1
    )


def square_blocks(channels, sources, own, others):
    return blocks(channels, [channels] * len(sources), own, others / len(sources))


def gated(weight, factors, channels):
    return weight * torch.tensor(factors).repeat_interleave(torch.tensor(channels))


def in_place(maps, mix):
    for task in range(len(maps)):
        maps[task] = sum(mix[task, s] * maps[s] for s in range(len(maps)))
    return maps


def rowwise(weight, gates, channels):
    return weight * torch.tensor([1.0, 1.0, 0.2, 0.7])[:, None]


def single_columns(weight, gates, channels):
    weight[:, 4:6] *= gates
    return weight


ANSWERS = {
    "04.pixelwise": [
        (lambda m, w: torch.einsum("oc,bchw->bohw", w, m), None),
        (lambda m, w: F.conv2d(m, w[:, :, None, None]), None),
        (lambda m, w: (w @ m.flatten(2)).view(len(m), -1, *m.shape[2:]), None),
        (lambda m, w: torch.einsum("co,bchw->bohw", w, m), "transposed"),
        (
            lambda m, w: (w @ m.mean((2, 3)).T).T[:, :, None, None].expand(2, 4, 3, 5),
            "average over pixels",
        ),
        (lambda m, w: m, "multiplied by the matrix"),
        (lambda m, w: torch.einsum("oc,bchw->bowh", w, m), "yours has (2, 4, 5, 3)"),
        (
            lambda m, w: (
                F.conv2d(m, w[:, :, None, None]) if len(w) == 4 else torch.zeros(2, 3, 3, 5)
            ),
            "3 maps from 4",
        ),
        (lambda m, w: m.shape, "as a tensor"),
    ],
    "04.start": [
        (lambda c, s, own, others: blocks(c, s, own, others / len(s)), None),
        (lambda c, s, own, others: blocks(c, s, own, others), "share"),
        (lambda c, s, own, others: blocks(c, s, own, others / len(s)).roll(-c, 1), "come first"),
        (lambda c, s, own, others: blocks(c, s, 1.0, 1.0), "weigh them"),
        (lambda c, s, own, others: blocks(c, s, own, 0.0), "sums to 1.000, yours to 0.900"),
        (lambda c, s, own, others: own * torch.eye(c), "shape (6, 18)"),
        (square_blocks, "as wide as its source"),
        (lambda c, s, own, others: own, "as a tensor"),
    ],
    "04.fold": [
        (lambda w, g, c: gated(w, [1.0, *g.tolist()], c), None),
        (
            lambda w, g, c: torch.cat(
                [w[:, : c[0]], *(p * z for p, z in zip(w[:, c[0] :].split(c[1:], 1), g))], 1
            ),
            None,
        ),
        (
            lambda w, g, c: torch.cat([w[:, :4], w[:, 4:8] * g[0], w[:, 8:] * g[1]], 1),
            "use the arguments",
        ),
        (lambda w, g, c: w, "nothing"),
        (lambda w, g, c: gated(w, [0.2, 0.7, 1.0], c), "own block"),
        (lambda w, g, c: gated(w, [0.2, 0.2, 0.7], c), "stay as they are"),
        (lambda w, g, c: gated(w, [1.0, 0.7, 0.2], c), "same order"),
        (single_columns, "whole block"),
        (rowwise, "first 4 columns stay"),
        (lambda w, g, c: g, "yours has (2,)"),
        (lambda w, g, c: [1], "as a tensor"),
    ],
    "04.cross_stitch": [
        (lambda m, a: torch.einsum("ts,sbchw->tbchw", a, m), None),
        (lambda m, a: [sum(a[t, s] * m[s] for s in range(3)) for t in range(3)], None),
        (lambda m, a: sum(a[0, s] * m[s] for s in range(3)), "1×T reading"),
        (lambda m, a: torch.einsum("s,sbchw->bchw", a[0], m).repeat(3, 1, 1, 1, 1), "same mixture"),
        (lambda m, a: torch.einsum("st,sbchw->tbchw", a, m), "exchanged"),
        (lambda m, a: m * a.diagonal().view(3, 1, 1, 1, 1), "diagonal"),
        (in_place, "already mixed"),
        (lambda m, a: m, "map t should be"),
        (lambda m, a: [m[0], m[1, :1]], "one shape; yours"),
        (lambda m, a: "maps", "as a tensor"),
    ],
    "04.cost": [
        (lambda h, w, c, s, o: h * w * c * (c + sum(k for k, opened in zip(s, o) if opened)), None),
        (
            lambda h, w, c, s, o: torch.tensor(
                h * w * c * (c + sum(k * opened for k, opened in zip(s, o)))
            ),
            None,
        ),
        (lambda h, w, c, s, o: h * w * c * (c + sum(s)), "closed edges are counted"),
        (
            lambda h, w, c, s, o: h * w * c * sum(k * opened for k, opened in zip(s, o)),
            "own channels",
        ),
        (lambda h, w, c, s, o: c * (c + sum(k * opened for k, opened in zip(s, o))), "one pixel"),
        (lambda h, w, c, s, o: h * w * c * (c + sum(o)), "count open maps"),
        (
            lambda h, w, c, s, o: 2 * h * w * c * (c + sum(k * opened for k, opened in zip(s, o))),
            "count as one",
        ),
        (lambda h, w, c, s, o: 7, "yours is 7"),
        (lambda h, w, c, s, o: [1, 2], "one number"),
    ],
}


@pytest.mark.parametrize("name, answer, said", cases(ANSWERS))
def test_right_almost_right_and_wrong(name, answer, said):
    judge(name, answer, said)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stub_is_not_wrong(name):
    refused(name, 3)
