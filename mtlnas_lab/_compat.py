"""torchvision, also beside a CPU-only torch, where its plain import fails for want of two operators' schemas."""

from __future__ import annotations

import functools
from types import ModuleType

import torch

MISSING = "operator torchvision::nms does not exist"


@functools.cache
def _pair() -> tuple[ModuleType, torch.library.Library | None]:
    try:
        import torchvision

        return torchvision, None
    except RuntimeError as error:
        if str(error) != MISSING:
            raise
    library = torch.library.Library("torchvision", "DEF")  # the schemas live as long as this object
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    return torchvision, library


def torchvision() -> ModuleType:
    """The module `torchvision`; beside a torch of another build its `ops.nms` stays broken, and nothing here needs it.

    Call it before importing torchmetrics too, which imports torchvision. Every other failure is raised as it is.
    """
    return _pair()[0]
