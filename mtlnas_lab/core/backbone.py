"""Single-task networks cut in stages: the part that the search keeps as it is.

"Fixed backbone" means fixed topology: its weights keep training in the search, nothing is frozen.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..in_place import untouched
from ..values import told, whole
from .space import Plan

WIDEST = 65_536  # channels of a layer


SMALL = "images of {2} × {3} pixels are too small for this network, whose maps shrink to nothing; give larger images"


TOO_FEW = {  # what torch says of it, and what that means for a batch of {0} images (B, {1}, {2}, {3})
    "more than 1 value per channel": "a batch of {0} image of {2} × {3} pixels leaves maps of one pixel, which a batch "
    "norm cannot normalise in training; give a batch size of 2 or more, or larger images",
    "Output size is too small": SMALL,
    "Kernel size can't be greater": SMALL,
}


class Backbone(nn.Module):
    """Stages in a row and a head: a single-task network that is cut where features may be fused.

    forward: image (B, 3, H, W) -> the head's output, (B, outputs, h, w) for a dense task, (B, outputs) for an image task.

    Args:
        stages: each takes the map of the one before it, and puts out a map (B, C, h, w), or a tuple that begins with one.
        plan: of each stage, how many channels it puts out and where it stands.
        head: ends in a layer with weights and a bias.
        signed: the maps may be negative, which the ReLU of an NDDR would cut off.
        kind: the torchvision network that it is made of.
        theirs: {name there: module or parameter here}; leads to `names`, {tensor here: its name there}.

    Raises:
        ConfigError: for a plan of another length than the stages, and for another kind of head.
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        plan: Plan,
        head: nn.Module,
        signed: bool = False,
        kind: str = "",
        theirs: Mapping[str, nn.Module | Tensor] | None = None,
    ):
        super().__init__()
        if len(stages) != len(plan):
            raise ConfigError(
                f"{len(stages)} stages and a plan of {len(plan)}; the plan has one entry for each stage"
            )
        last = [*head.modules()][-1] if isinstance(head, nn.Module) else head
        if getattr(last, "bias", None) is None:
            raise ConfigError(
                f"the head of a backbone ends in {last}; its last layer must have weights and a bias, as nn.Linear"
            )
        self.stages = nn.ModuleList(stages)
        self.plan = tuple(plan)
        self.head = head
        self.signed = signed
        self.kind = kind
        self.names = self._names(theirs or {})

    def _names(self, theirs: Mapping[str, nn.Module | Tensor]) -> dict[str, str]:
        """{name of a tensor here: its name in the network that it comes from}."""
        named = {}
        for name, part in theirs.items():
            own = part.state_dict(keep_vars=True) if isinstance(part, nn.Module) else {"": part}
            named |= {id(value): f"{name}.{rest}".strip(".") for rest, value in own.items()}
        here = self.state_dict(keep_vars=True)  # the very tensors, found again by their identity
        return {name: named[id(value)] for name, value in here.items() if id(value) in named}

    def forward(self, image: Tensor) -> Tensor:
        with enough(image):
            features, carry = run_stages(self.stages, image)
            return self.head(features, *carry)

    def __deepcopy__(self, memo: dict) -> Backbone:
        for module in self.modules():  # torch copies no tensor that was computed with gradients
            for name, value in vars(module).items():
                if isinstance(value, Tensor) and not value.is_leaf:
                    # of the old weight_norm, whose hook makes it anew
                    vars(module)[name] = value.detach()
        made = memo[id(self)] = type(self).__new__(type(self))
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made


def run_stages(
    stages: Iterable[nn.Module], image: Tensor, tell: Callable[[Tensor], None] | None = None
) -> tuple[Tensor, Sequence]:
    """Run the stages of one backbone one after another, without any fusion.

    Args:
        stages: from the image to the head.
        image: (B, 3, H, W).
        tell: called with the map (B, C, h, w) of each stage, as soon as it is there.

    Returns:
        The last map (B, C, h, w), and what goes beside it to the head.
    """
    features = image
    carry = ()
    for stage in stages:
        features, carry = step(stage, features, carry)
        if tell is not None:
            tell(features)
    return features, carry


def step(stage: nn.Module, x: Tensor, carry: Sequence = ()) -> tuple[Tensor, Sequence]:
    """Run one stage. What goes in stays as it is.

    Args:
        x: (B, C, h, w), the map of the stage before it (fused, if there is a fusion), or the image.
        carry: what else the stage before it put out.

    Returns:
        The stage's map (B, C, h, w), and what else it puts out: a class token, a skip connection. No fusion sees that; it
        goes on beside the map to the next stage of the same backbone.
    """
    out = untouched(stage, x, *carry)
    return (out, ()) if isinstance(out, Tensor) else (out[0], out[1:])


def enough(image: Tensor) -> AbstractContextManager:
    """Inside, networks that have too few pixels to work on say which images and batches would do. Raises ConfigError."""
    if torch.compiler.is_compiling():  # which would compile the text of the error, too
        return nullcontext()
    return _enough(image)


@contextmanager
def _enough(image: Tensor) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        for sign, meaning in TOO_FEW.items():
            if sign in str(error):
                raise ConfigError(meaning.format(*image.shape)) from None
        raise


class Dropout(nn.Module):
    """Dropout whose masks come from an explicit generator (set `generator`; None: torch's global one)."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        keep = 1 - self.share
        return x * torch.empty_like(x).bernoulli_(keep, generator=self.generator).div_(keep)


def channel_counts(name: str, given: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """Channels as whole numbers, of NumPy too. Raises ConfigError for other values, and for too many or too few."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigError(f"{name} = {told(given)}: give channels, as in (64, 128)")
    counts = [whole(f"{name}[{i}]", value, 1, WIDEST) for i, value in enumerate(given)]
    if len(counts) not in lengths:
        raise ConfigError(
            f"{name} = {told(counts)} has {len(counts)} numbers; give {' or '.join(map(str, lengths))}"
        )
    return counts
