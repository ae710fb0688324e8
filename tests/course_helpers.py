"""What answers to the exercises of notebook 09 are made of."""

import numpy as np

from mtlnas_lab.core.backbone import Backbone
from mtlnas_lab.core.space import plan


def errors(batches, of=lambda o: o.sigmoid()[:, 0]):
    return [(of(output) - target).abs() for output, target in batches]


def counted(seg, furniture, enough=lambda pixels: pixels >= 20):
    return sum(enough((seg == number).sum((1, 2))).long() for number in furniture)


def backbone(
    net,
    stages=lambda n: [n[0], n[1], n[2:4], n[4], n[5:7]],
    head=slice(7, None),
    channels=(8, 8, 16, 16, 32),
    groups=(2, 2, 1),
):
    return Backbone(stages(net), plan(channels, groups), net[head])


def packed(photos, classes, metres, image=None, seg=None, depth=None):
    whole = lambda x: np.nan_to_num(x).round()  # noqa: E731
    return {
        "image": (image or (lambda x: whole(255 * x).astype(np.uint8).transpose(0, 2, 3, 1)))(
            photos
        ),
        "seg": (seg or (lambda x: (x + 1).astype(np.uint8)))(classes),
        "depth_mm": (depth or (lambda x: whole(1000 * x).astype(np.uint16)))(metres),
    }
