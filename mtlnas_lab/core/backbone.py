"""Single-task networks cut in stages: the part that the search keeps as it is.

"Fixed backbone" means fixed topology: its weights keep training in the search, nothing is frozen.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..values import told, whole
from .space import Plan

WIDEST = 65_536  # channels of a layer


SMALL = "images of {2} × {3} pixels are too small for this network, whose maps shrink to nothing; give larger images"


TOO_FEW = {  # what torch says of it, and what that means
    "more than 1 value per channel": "a batch of {0} image of {2} × {3} pixels leaves maps of one pixel, which a batch "
    "norm cannot normalise in training; give a batch size of 2 or more, or larger images",
    "Output size is too small": SMALL,
    "Kernel size can't be greater": SMALL,
}


class Backbone(nn.Module):
    """Stages in a row and a head. `plan` says of each stage how many channels it puts out and where it stands.

    forward: image (B, 3, H, W) -> the head's output, (B, outputs, h, w) for a dense task, (B, outputs) for an image task.
    `signed`: its maps may be negative, which the ReLU of an NDDR would cut off. `kind`: the torchvision network that it
    is made of; `theirs` {name there: module or parameter here} leads to `names`, {tensor here: its name there}.
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
        self.stages, self.plan, self.head = nn.ModuleList(stages), tuple(plan), head
        self.signed, self.kind, named = signed, kind, {}
        for name, part in (theirs or {}).items():
            own = part.state_dict(keep_vars=True) if isinstance(part, nn.Module) else {"": part}
            named |= {id(value): f"{name}.{rest}".strip(".") for rest, value in own.items()}
        self.names = {
            name: named[id(value)]
            for name, value in self.state_dict(keep_vars=True).items()
            if id(value) in named
        }

    def forward(self, image: Tensor) -> Tensor:
        with enough(image):
            carry = ()
            for stage in self.stages:
                image, carry = step(stage, image, carry)
            return self.head(image, *carry)

    def __deepcopy__(self, memo: dict) -> Backbone:
        for module in self.modules():  # torch copies no tensor that was computed with gradients
            for name, value in vars(module).items():
                if isinstance(value, Tensor) and not value.is_leaf:
                    vars(module)[name] = (
                        value.detach()
                    )  # of the old weight_norm, made anew by a hook
        made = memo[id(self)] = type(self).__new__(type(self))
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made


def step(stage: nn.Module, x: Tensor, carry: Sequence = ()) -> tuple[Tensor, Sequence]:
    """Run one stage: its map (B, C, h, w), and what else it puts out (a class token, a skip connection), which no fusion
    sees and which goes on beside the map to the next stage of the same backbone. What goes in stays as it is."""
    out = untouched(stage, x, *carry)
    return (out, ()) if isinstance(out, Tensor) else (out[0], out[1:])


def untouched(module: nn.Module, *inputs: Any) -> Any:
    """Run a module so that its inputs stay as they are: edges, other heads and the caller still read them.

    A module that changes them in place (`x += …`, an in-place ReLU that comes first) gets copies. The first call, in
    training and in use, finds out which modules do; from then on the others run at no cost.
    """
    known = module.__dict__.setdefault("changes_its_input", {})  # {training: does it?}
    does = known.get(module.training)
    if torch.compiler.is_compiling():  # a program is made of it, where nothing can be found out
        return module(*(inputs if does is False else map(_copied, inputs)))
    if does:
        return module(*map(_copied, inputs))
    given = [_copied(value) for value in inputs] if does is None else inputs
    versions = [_version(tensor) for tensor in _tensors(given)]
    out = module(*given)
    does = versions != [_version(tensor) for tensor in _tensors(given)]
    if given is not inputs:
        known[module.training] = does or not _alike(given, inputs)
    elif does:
        known[module.training] = True
        raise ConfigError(
            f"{type(module).__name__} has begun to change its input in place, which others read; "
            "the result of this call is lost, from the next one on it gets a copy"
        )
    return out


def enough(image: Tensor) -> AbstractContextManager:
    """Inside, networks that have too few pixels to work on say which images and batches would do. Raises ConfigError."""
    return nullcontext() if torch.compiler.is_compiling() else _enough(image)


@contextmanager
def _enough(image: Tensor) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        kind = next((kind for kind in TOO_FEW if kind in str(error)), None)
        if kind is None:
            raise
        raise ConfigError(TOO_FEW[kind].format(*image.shape)) from None


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value


def _tensors(value: Any) -> list[Tensor]:
    """The tensors among the values, and in lists of them."""
    if isinstance(value, Tensor):
        return [value]
    parts = value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _version(tensor: Tensor) -> int:
    """How often a tensor, or a view of it, was changed in place; 0 where torch does not count."""
    return 0 if tensor.is_inference() else tensor._version


def _alike(given: Sequence, inputs: Sequence) -> bool:
    """Whether the copies still hold what they are copies of: `x.data` is changed without being counted."""
    with suppress(RuntimeError):  # tensors without values
        return all(torch.equal(x, y) for x, y in zip(_tensors(given), _tensors(inputs)))
    return True


class Dropout(nn.Module):
    """Dropout whose masks come from an explicit generator (set `generator`; None: torch's global one)."""

    def __init__(self, share: float):
        super().__init__()
        self.share, self.generator = share, None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        keep = 1 - self.share
        return x * torch.empty_like(x).bernoulli_(keep, generator=self.generator).div_(keep)


def channel_counts(name: str, given: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """Channels as whole numbers, of NumPy too. Raises ConfigError for what is none, and for too many or too few."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigError(f"{name} = {told(given)}: give channels, as in (64, 128)")
    counts = [whole(f"{name}[{i}]", value, 1, WIDEST) for i, value in enumerate(given)]
    if len(counts) not in lengths:
        raise ConfigError(
            f"{name} = {told(counts)} has {len(counts)} numbers; give {' or '.join(map(str, lengths))}"
        )
    return counts
