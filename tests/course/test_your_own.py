"""Checks of notebook 09 with right, wrong and almost right answers."""

import numpy as np
import pytest
import torch
from course_helpers import backbone, counted, errors, packed
from judging import cases, judge
from torch import nn

from mtlnas_lab.course import check
from mtlnas_lab.data.augment import augment
from mtlnas_lab.tasks.task import KINDS, Depth


def changed(**parts):
    return lambda *arrays: packed(*arrays, **parts)


ANSWERS = {
    "09.constant": [
        (lambda t: t.mean().logit().view(1, 1), None),
        (lambda t: t.mean().view(1, 1), "an answer, and an output"),
        (lambda t: t.median().view(1, 1), "an answer, and an output"),
        (lambda t: t.median().logit().view(1, 1), "best for absolute errors"),
        (lambda t: t.clamp(1e-6, 1 - 1e-6).logit().mean().view(1, 1), "mean of the logits"),
        (lambda t: t.mean().logit(), "(1, 1)"),
        (lambda t: t.logit(), "one output for all"),
        (lambda t: torch.zeros(1, 1), "σ of yours is 0.500"),
    ],
    "09.median": [
        (lambda batches: torch.cat(errors(batches)).median().item(), None),
        (lambda batches: torch.cat(errors(batches)).median(), None),
        (
            lambda batches: torch.stack([e.median() for e in errors(batches)]).mean(),
            "joins the medians",
        ),
        (
            lambda batches: torch.stack([e.median() for e in errors(batches)]).median(),
            "joins the medians",
        ),
        (lambda batches: torch.cat(errors(batches)).mean(), "the mean error"),
        (lambda batches: torch.cat(errors(batches, lambda o: o[:, 0])).median(), "logits"),
        (lambda batches: 0.0, "the median of all 31"),
        (lambda batches: torch.cat(errors(batches)), "one number"),
    ],
    "09.kinds": [
        (counted, None),
        (lambda s, f: counted(s, f).int(), None),
        (lambda s, f: counted(s, f, lambda pixels: pixels > 0), "a corner"),
        (lambda s, f: counted(s, f, lambda pixels: pixels > 20), "20 pixels are enough"),
        (lambda s, f: counted(s, f, lambda pixels: pixels), "these are pixels"),
        (lambda s, f: sum((s == n).sum() >= 20 for n in f), "all pictures at once"),
        (lambda s, f: torch.zeros(12, dtype=torch.long), "picture"),
        (lambda s, f: counted(s, f).float(), "whole numbers"),
        (lambda s, f: counted(s, f)[:, None], "one count for each picture"),
    ],
    "09.cut": [
        (backbone, None),
        (
            lambda n: backbone(n, lambda n: [n[0], n[1:3], n[3], n[4:6], n[6]]),
            "a pooling belongs to the first stage",
        ),
        (lambda n: backbone(n, channels=(8, 8, 16, 16, 16)), "the plan says"),
        (lambda n: backbone(n, groups=(2, 3)), "of one group"),
        (lambda n: backbone(n, groups=(1, 1, 1, 1, 1)), "groups of 2, 2 and 1"),
        (
            lambda n: backbone(n, lambda n: [n[0], n[1], n[2:4], n[4], n[6]]),
            "another answer than net",
        ),
        (
            lambda n: backbone(
                n, lambda n: [n[0:2], n[2:4], n[4:7]], channels=(8, 16, 32), groups=(1, 1, 1)
            ),
            "five stages",
        ),
        (
            lambda n: backbone(n, lambda n: [n[0], n[1:3], n[3], n[4:6], n[6]], groups=(1, 2, 2)),
            "wide, yours",
        ),
        (lambda n: nn.Sequential(*n), "give a Backbone"),
    ],
    "09.pack": [
        (packed, None),
        (changed(image=lambda x: (255 * x).astype(np.uint8).transpose(0, 2, 3, 1)), "round first"),
        (changed(depth=lambda x: np.nan_to_num(1000 * x).astype(np.uint16)), "round first"),
        (changed(image=lambda x: (255 * x).round().astype(np.uint8)), "(N, H, W, 3)"),
        (changed(image=lambda x: x.transpose(0, 2, 3, 1)), "must be uint8"),
        (
            changed(
                image=lambda x: (255 * x).round().astype(np.uint8).transpose(0, 2, 3, 1)[..., ::-1]
            ),
            "red and blue",
        ),
        (
            changed(image=lambda x: (255 * x).round().astype(np.uint8).reshape(3, 8, 10, 3)),
            "not reshaped",
        ),
        (changed(seg=lambda x: x.astype(np.uint8)), "−1 became 255"),
        (changed(seg=lambda x: x.clip(0).astype(np.uint8)), "1 … C"),
        (changed(depth=lambda x: np.nan_to_num(x).astype(np.uint16)), "1000 mm"),
        (changed(depth=lambda x: np.nan_to_num(x)), "must be uint16"),
        (lambda *arrays: list(arrays), "dictionary"),
        (lambda *arrays: {"image": arrays[0]}, "dictionary"),
    ],
}


@pytest.mark.parametrize("name, answer, said", cases(ANSWERS))
def test_answers(name, answer, said):
    judge(name, answer, said)


def test_a_dense_task_that_the_lab_does_not_know_is_augmented_by_the_nearest_pixel(monkeypatch):
    class Light(Depth):
        """Of a kind of its own."""

    monkeypatch.setitem(KINDS, "light", Light)
    image, light = torch.rand(2, 3, 16, 16), torch.arange(512.0).view(2, 1, 16, 16)
    seen = augment(image, {"light": light}, torch.Generator().manual_seed(0))[1]["light"]
    assert seen.shape == light.shape and set(seen.flatten().tolist()) < set(
        light.flatten().tolist()
    )


@pytest.mark.parametrize("name", ANSWERS)
def test_stubs(name):
    assert check(name, lambda *_: ...).solved is None and check(name, ...).solved is None
