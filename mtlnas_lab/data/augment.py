"""Random views of a batch: flip, crop and colour, with the same geometry for images and targets."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
from torch import Tensor

from .._compat import torchvision
from ..tasks.task import KINDS, Depth, Edges, Normals, Segmentation
from .dataset import Batch


def augment(
    image: Tensor,
    targets: Mapping[str, Tensor],
    generator: torch.Generator,
    zoom: float = 0.7,
    jitter: float = 0.2,
) -> Batch:
    """A batch seen otherwise: each image mirrored or not, all zoomed into one box, contrast and brightness changed.

    A mirror negates the x of normals. The box has a share of `zoom` to 1 of each side (one draw for the batch) and is
    brought back to full size: images bilinearly, labels by the nearest pixel. What looks nearer is taken to be nearer:
    depth is multiplied by that share, while normals keep their directions. Each image is multiplied by 1 ± `jitter`
    around ImageNet's mean and shifted by ± `jitter` of its deviation.
    """
    count, _, height, width = image.shape
    view, wrap = views()
    share, down, right = torch.rand(3, generator=generator).tolist()
    box = [max(1, round((zoom + (1 - zoom) * share) * side)) for side in (height, width)]
    corner = [int(down * (height - box[0] + 1)), int(right * (width - box[1] + 1))]
    # Everything is drawn on the CPU: a GPU's generator would draw other numbers for the same seed.
    mirrored = (torch.rand(count, generator=generator) < 0.5).to(image.device)
    changes = jitter * (2 * torch.rand(2, count, 1, 1, 1, generator=generator) - 1)
    contrast, brightness = changes.to(image.device)

    def seen(x, kind=None):
        """An image or a target of this kind (None: an image) in the new view."""
        x = wrap.get(kind, wrap[Depth])(x)
        x = view.resized_crop(x, *corner, *box, [height, width], antialias=False)
        which = mirrored.view(-1, *[1] * (x.ndim - 1))
        return torch.where(which, view.horizontal_flip(x), x).as_subclass(Tensor)

    changed = {}
    for name, x in targets.items():
        kind = KINDS[name]
        changed[name] = seen(x, kind) if kind.dense else x  # a whole image stays of its class
        if kind is Depth:  # in a smaller box, everything looks nearer
            changed[name] = changed[name] * (box[0] / height)
    return seen(image) * (1 + contrast) + brightness, changed


@functools.cache
def views():
    """torchvision's functional transforms, and {kind of target: the tv_tensor it becomes in them} (None: the image)."""
    torchvision()
    from torchvision import tv_tensors
    from torchvision.transforms.v2 import functional as view

    class NormalMap(tv_tensors.TVTensor):
        """(…, 3, H, W) vectors. What has no kernel below, such as a rotation, torchvision refuses."""

    def register(transform, kernel):
        """Let `transform` change normals by `kernel`, which takes and gives plain tensors."""

        def apply(x, *args, **options):
            return tv_tensors.wrap(kernel(x.as_subclass(Tensor), *args, **options), like=x)

        view.register_kernel(transform, NormalMap)(apply)

    def mirror(x):
        return x.flip(-1) * x.new_tensor([-1, 1, 1]).view(3, 1, 1)  # what looked left looks right

    def resized_crop(x, top, left, height, width, size, **_):
        return view.resized_crop_mask(x, top, left, height, width, size)

    # A mean of two normals is not a normal, so they are treated like masks: by the nearest pixel.
    register(view.horizontal_flip, mirror)
    register(view.crop, view.crop_mask)
    register(view.resize, lambda x, size, **_: view.resize_mask(x, size))
    register(view.resized_crop, resized_crop)
    masks = dict.fromkeys((Segmentation, Depth, Edges), tv_tensors.Mask)
    return view, {None: tv_tensors.Image, Normals: NormalMap, **masks}
