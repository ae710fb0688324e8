"""What each network sees of one image while nothing covers its eyes: the pictures that a page fades into noise."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace

from ...core.lab import Lab
from ...data.dataset import MEAN, STD, ImageDataset, picture
from ...data.loader import sequential
from ...data.views import View
from ...errors import MTLNASError

SPLITS = ("test", "val", "train")  # whose first image is shown: of the first of these that there is
LARGEST = 96  # pixels of a picture, along its longer side


def pictures(lab: object) -> dict:
    """The pictures and what a page mixes them with; {} where there is no lab with an image.

    A larger image is shown by every k-th of its pixels: so each pixel of the page, with noise, is one that the network
    sees. Networks that see the same share one picture.

    Args:
        lab: A Lab with data; anything else has no picture.

    Returns:
        {"size": [width, height], "rgb": [base64 of (height, width, 3) uint8, …], "of": {task: which of them},
        "views": {task: what it is, in a word}, "split": whose image, "mean" and "deviation": of the noise's RGB}.
    """
    if not isinstance(lab, Lab):
        return {}
    split = next((name for name in SPLITS if len(lab.data.get(name, ()))), None)
    if split is None:
        return {}
    try:
        seen = _seen(lab, lab.data[split])
    except (MTLNASError, OSError):  # a file that cannot be read: then there is no picture
        return {}
    found: dict[bytes, int] = {}
    of = {}
    for task, image in seen.items():
        stride = -(-max(image.shape) // LARGEST)
        small = image[::stride, ::stride]
        of[task] = found.setdefault(small.tobytes(), len(found))
    height, width, _ = small.shape
    views = {task: str(lab.views.get(task, View())) for task in of}
    rgb = [base64.b64encode(one).decode() for one in found]
    return {
        "size": [width, height],
        "rgb": rgb,
        "of": of,
        "views": views,
        "split": split,
        "mean": MEAN,
        "deviation": STD,
    }


def _seen(lab: Lab, pack: ImageDataset) -> dict:
    """{task: (H, W, 3) uint8}: the first image as each network sees it with its eyes open."""
    open_eyed = replace(lab, visibility={})
    inputs, _ = next(open_eyed.seen(sequential(pack, lab.targets, 1)))
    seen = {}
    for task in lab.space.tasks:
        image = inputs[task] if isinstance(inputs, Mapping) else inputs
        seen[task] = picture(image[0])
    return seen
