"""Checks of notebook 01 with right, wrong and almost right answers."""

import pytest
import torch
from judging import cases, judge, refused
from torch.nn import functional as F


def quarter(image, normals, places=(1, 0, 2), signs=(1.0, -1, 1), times=1):
    """Both turned against the clock; the arrows take these components, with these signs."""
    signs = torch.tensor(signs).view(3, 1, 1)
    image, normals = (x.rot90(times, (-2, -1)) for x in (image, normals))
    return image, normals[:, list(places)] * signs


def l1(output, target, count=lambda labelled: labelled.sum().clamp(min=1)):
    labelled = target > 0
    return ((output - target).abs() * labelled).sum() / count(labelled)


def angle(output, target, cosine=F.cosine_similarity, clamp=True):
    labelled = (target != 0).any(1)
    cosine = cosine(output, target, dim=1)[labelled]
    return (cosine.clamp(-1, 1) if clamp else cosine * 1.00001).acos().rad2deg().mean()


def unnormalised(output, target, dim):
    return (output * target).sum(dim)


def over_all(output, target):
    angles = F.cosine_similarity(output, target, dim=1).clamp(-1, 1).acos().rad2deg()
    return (angles * (target != 0).any(1)).mean()


def iou(table):
    hits, union = table.diagonal(), table.sum(0) + table.sum(1) - table.diagonal()
    return (hits[union > 0] / union[union > 0]).mean()


ANSWERS = {
    "01.depth_loss": [
        (l1, None),
        (lambda o, t: (o - t).abs().mean(), "0 m"),
        (lambda o, t: l1(o, t, lambda m: m.numel()), "divide by all pixels"),
        (lambda o, t: l1(o, t, lambda m: m.sum()), "NaN"),
        (lambda o, t: (o - t).abs()[t > 0].mean(), "NaN"),
        (lambda o, t: l1(o, t) + (not (t > 0).any()), "the loss is 0, yours is 1.000"),
        (lambda o, t: ((o - t) ** 2).mean(), "mean of |output − target|"),
        (lambda o, t: (o - t).abs(), "one number"),
    ],
    "01.quarter_turn": [
        (quarter, None),
        (lambda i, n: list(quarter(i, n)), None),
        (lambda i, n: quarter(i, n)[::-1], "other order"),
        (lambda i, n: quarter(i, n, (0, 1, 2), (1, 1, 1)), "point the old way"),
        (lambda i, n: quarter(i, n, (1, 0, 2), (-1, 1, 1)), "y points down"),
        (lambda i, n: quarter(i, n, (1, 0, 2), (1, 1, 1)), "changes its sign, too"),
        (lambda i, n: quarter(i, n, (0, 1, 2), (-1, 1, 1)), "a mirror"),
        (lambda i, n: quarter(i, n, (0, 1, 2), (-1, -1, 1)), "half a turn"),
        (lambda i, n: (quarter(i, n)[0], quarter(i, n)[1].flip(-1)), "(n_y, −n_x, n_z)"),
        (lambda i, n: quarter(i, n, (1, 0, 2), (-1, 1, 1), 3), "with the clock"),
        (lambda i, n: quarter(i, n, times=2), "W columns"),
        (lambda i, n: (i.mT, n.mT), "mirrored"),
        (lambda i, n: (i, n), "W columns"),
        (lambda i, n: (quarter(i, n)[0], n[..., 0]), "becomes W rows"),
        (lambda i, n: i, "two things"),
    ],
    "01.mean_angle": [
        (angle, None),
        (lambda o, t: angle(o, t).deg2rad(), "radians"),
        (lambda o, t: angle(o, t, clamp=False), "rounding"),
        (lambda o, t: angle(o, t, unnormalised), "length first"),
        (over_all, "divide by all pixels"),
        (lambda o, t: F.cosine_similarity(o, t, dim=1).clamp(-1, 1).acos().rad2deg().mean(), "90°"),
        (
            lambda o, t: (
                F.cosine_similarity(o, t, dim=1)[(t != 0).any(1)]
                .mean()
                .clamp(-1, 1)
                .acos()
                .rad2deg()
            ),
            "30°",
        ),
        (lambda o, t: 1 - angle(o, t), "should give 90"),
    ],
    "01.miou": [
        (iou, None),
        (lambda t: t.diagonal().sum() / t.sum(), "pixel accuracy"),
        (lambda t: (t.diagonal() / t.sum(1))[:3].mean(), "recall"),
        (lambda t: (t.diagonal() / t.sum(0))[:3].mean(), "precision"),
        (
            lambda t: (t.diagonal() / (t.sum(0) + t.sum(1) - t.diagonal()).clamp(min=1)).mean(),
            "neither in truth",
        ),
        (lambda t: (t.diagonal() / (t.sum(0) + t.sum(1)))[:3].mean(), "hits twice"),
        (lambda t: (t.diagonal() / (t.sum(0) + t.sum(1) - t.diagonal())).mean(), "0 / 0"),
        (lambda t: 0.9, "yours is 0.900"),
        (lambda t: t.diagonal(), "one number"),
    ],
    "01.trivial": [
        (lambda d: d[d > 0].median(), None),
        (lambda d: d[d > 0].quantile(0.5), None),
        (lambda d: d[d > 0].mean(), "squared errors"),
        (lambda d: d.median(), "missing labels"),
        (lambda d: d.mean(), "missing labels"),
        (lambda d: d.max(), "lowest point"),
        (lambda d: float("nan"), "not a depth"),
    ],
}


@pytest.mark.parametrize("name, answer, said", cases(ANSWERS))
def test_right_almost_right_and_wrong(name, answer, said):
    judge(name, answer, said)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stub_is_not_filled_in_and_a_wrong_type_is_told(name):
    refused(name, lambda *_: "text", 3)
