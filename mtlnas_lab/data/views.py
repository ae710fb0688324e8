"""What a task's network sees: the image, a worse version of it, or another stored map.

A view is made of a batch that is augmented already, so image, targets and all views show the same geometry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .._compat import torchvision
from ..errors import ConfigError
from ..values import WORDS, number, told
from .dataset import MEAN, STD, Batch

Targets = Mapping[str, Tensor]
Inputs = Tensor | Mapping[str, Tensor]  # one image for all networks, or {task: its own}
Maker = Callable[[Tensor, Targets, float, torch.Generator], Tensor]

GREY = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)
WIDEST_BLUR = 0.25  # deviation of the blur with nothing left, as a share of the image's height
PATCHES = 8  # of a masked image, along each side


# --- the views --------------------------------------------------------------------------------------------------------
def _image(image: Tensor, targets: Targets, amount: float, generator: torch.Generator) -> Tensor:
    return image


def _grey(image: Tensor, targets: Targets, amount: float, generator: torch.Generator) -> Tensor:
    """Colour only by `amount`: amount · image + (1 − amount) · its grey version."""
    mean = image.new_tensor(MEAN).view(3, 1, 1)
    deviation = image.new_tensor(STD).view(3, 1, 1)
    shares = image.new_tensor(GREY).view(3, 1, 1)
    brightness = ((image * deviation + mean) * shares).sum(1, keepdim=True)
    grey = (brightness - mean) / deviation
    return amount * image + (1 - amount) * grey


def _blurred(image: Tensor, targets: Targets, amount: float, generator: torch.Generator) -> Tensor:
    """Smoothed by a Gaussian, the wider the less `amount` leaves."""
    if amount == 1:
        return image
    torchvision()
    from torchvision.transforms.v2.functional import gaussian_blur

    height, width = image.shape[-2:]
    deviation = max((1 - amount) * WIDEST_BLUR * height, 1e-3)
    reach = min(
        round(3 * deviation), (min(height, width) - 1) // 2
    )  # a reflected border allows no more
    return gaussian_blur(image, [2 * reach + 1] * 2, [deviation] * 2)


def _masked(image: Tensor, targets: Targets, amount: float, generator: torch.Generator) -> Tensor:
    """Of its 8 × 8 patches each is left with the probability `amount`; the others show the mean colour."""
    drawn = torch.rand(
        (len(image), 1, PATCHES, PATCHES), generator=generator, device=generator.device
    )
    left = (drawn < amount).to(image)
    return image * F.interpolate(left, image.shape[-2:], mode="nearest")


def _noisy(image: Tensor, targets: Targets, amount: float, generator: torch.Generator) -> Tensor:
    """amount · image + (1 − amount) · unit Gaussian noise."""
    noise = torch.empty(image.shape, device=generator.device).normal_(generator=generator)
    return amount * image + (1 - amount) * noise.to(image)


def _depth(image: Tensor, targets: Targets, amount: float, generator: torch.Generator) -> Tensor:
    """The distance in grey: each map less its mean, over its deviation; 0 where it is unknown."""
    near = _standard(targets["depth"], targets["depth"] > 0)
    return near.expand(-1, 3, -1, -1)


def _depth_in_colours(
    image: Tensor, targets: Targets, amount: float, generator: torch.Generator
) -> Tensor:
    """The distance as three channels, each of which rises over another part of the range: near, middle, far."""
    standard = _standard(targets["depth"], targets["depth"] > 0)
    thresholds = standard.new_tensor([-1.0, 0.0, 1.0]).view(3, 1, 1)
    return torch.tanh(2 * (standard - thresholds)) * (targets["depth"] > 0)


def _normals(image: Tensor, targets: Targets, amount: float, generator: torch.Generator) -> Tensor:
    """x, y and z of the surface normals, from −1 to 1."""
    return targets["normals"]


def _edges(image: Tensor, targets: Targets, amount: float, generator: torch.Generator) -> Tensor:
    """1 on edges, −1 elsewhere, 0 where it is unknown."""
    edges = targets["edges"]
    signs = torch.where(edges == 1, 1.0, -1.0)
    return torch.where(edges > 1, 0.0, signs).expand(-1, 3, -1, -1)


def _standard(values: Tensor, known: Tensor) -> Tensor:
    """Each map (1, H, W) of the batch less its mean, over its deviation, both over what is known; 0 elsewhere."""
    count = known.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = (values * known).sum((1, 2, 3), keepdim=True) / count
    from_mean = (values - mean) * known
    deviation = (from_mean.square().sum((1, 2, 3), keepdim=True) / count).sqrt()
    return from_mean / deviation.clamp(min=1e-3)


# {name: (what makes it, the stored map that it is made of)}
VIEWS: dict[str, tuple[Maker, str | None]] = {
    "image": (_image, None),
    "grey": (_grey, None),
    "blurred": (_blurred, None),
    "masked": (_masked, None),
    "noisy": (_noisy, None),
    "depth": (_depth, "depth"),
    "depth_colours": (_depth_in_colours, "depth"),
    "normals": (_normals, "normals"),
    "edges": (_edges, "edges"),
}


DIALLED = ("grey", "blurred", "masked", "noisy")  # how much of the image they leave can be said


@dataclass(frozen=True)
class View:
    """What one task's network sees instead of the image.

    Args:
        name: image; grey, blurred, masked or noisy (a worse version of the image); depth, depth_colours, normals or
            edges (a stored map).
        amount: How much a worse version leaves of the image, from 0 to 1.

    Raises:
        ConfigError: There is no such view, it has no dial, or the amount is not from 0 to 1.

    Example:
        >>> View.from_value("blurred:0.5")
        View(name='blurred', amount=0.5)
        >>> View("depth").map
        'depth'
    """

    name: str = "image"
    amount: float = 0.0

    def __post_init__(self):
        if not isinstance(self.name, str) or self.name not in VIEWS:
            raise ConfigError(
                f"there is no view {told(self.name)}; choose one of {', '.join(VIEWS)}"
            )
        amount = number(f"the amount that {self.name} leaves", self.amount, most=1.0)
        if amount and self.name not in DIALLED:
            raise ConfigError(
                f"the view {self.name} has no dial, so {amount:g} means nothing; {', '.join(DIALLED)} have one"
            )
        object.__setattr__(self, "amount", amount)

    @classmethod
    def from_value(cls, value: View | str | Mapping) -> View:
        """The view of "name" or "name:amount", or of a view's fields as JSON has them. Raises ConfigError."""
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            with suppress(TypeError):
                return cls(**value)
        if not isinstance(value, str):
            raise ConfigError(f"view = {told(value)}: give a name, as in grey or blurred:0.3")
        name, colon, amount = value.partition(":")
        if not colon:
            return cls(name)
        try:
            left = float(amount)
        except ValueError:
            raise ConfigError(
                f"view = {told(value)}: {told(amount)} is not a number; give one from 0 to 1, as in blurred:0.3"
            ) from None
        return cls(name, left)

    @property
    def map(self) -> str | None:
        """The stored map that it is made of, the name of a task; None: it is made of the image."""
        return VIEWS[self.name][1]

    @property
    def words(self) -> str:
        """What it is, as the object of a sentence."""
        if self.amount:
            return f"{WORDS[self.name]} ({100 * self.amount:.3g} % left)"
        return WORDS[self.name]

    def of(self, image: Tensor, targets: Targets, generator: torch.Generator) -> Tensor:
        """The view of a batch.

        Args:
            image: (B, 3, H, W), as a batch has it.
            targets: {task: target}, with the stored map that the view is made of.
            generator: What noise and masks are drawn from.

        Returns:
            (B, 3, H, W).
        """
        make, _ = VIEWS[self.name]
        return make(image, targets, self.amount, generator)

    def __str__(self) -> str:
        return f"{self.name}:{self.amount:g}" if self.amount else self.name


def blindfolded(image: Tensor, visibility: float, generator: torch.Generator) -> Tensor:
    """v · image + (1 − v) · unit Gaussian noise, v = `visibility` from 0 (noise alone) to 1 (the image as it is)."""
    if visibility == 1:
        return image
    return _noisy(image, {}, visibility, generator)


def inputs(
    image: Tensor,
    targets: Targets,
    views: Mapping[str, View],
    visibility: Mapping[str, float],
    tasks: tuple[str, ...],
    generator: torch.Generator,
) -> Inputs:
    """What the networks see of a batch: the image itself where all see it, else {task: (B, 3, H, W)}.

    Args:
        image: (B, 3, H, W), after normalisation and augmentation.
        targets: {task: target} of the same batch; the stored maps that views are made of are among them.
        views: {task: View}; a task that is not named sees the image.
        visibility: {task: v}, how much of that is left, as in `blindfolded`; 1 where a task is not named.
        tasks: All of them, in the order in which noise is drawn.
        generator: What noise and masks are drawn from; nothing is drawn where every network sees all.
    """
    plain = View()
    covered = any(visibility.get(task, 1.0) != 1 for task in tasks)
    if not covered and all(views.get(task, plain) == plain for task in tasks):
        return image
    seen = {}
    for task in tasks:
        view = views.get(task, plain).of(image, targets, generator)
        seen[task] = blindfolded(view, visibility.get(task, 1.0), generator)
    return seen


def seen(batches: Iterator[Batch], look: Callable, device, seed: int = 0) -> Iterator[tuple]:
    """Batches for evaluation, as the networks see them: the same noise each time, whoever asks.

    Args:
        batches: of (image, targets).
        look: Called as `look(image, targets, generator)`; gives what the networks see.
        device: Where the noise is drawn.
        seed: What it is drawn from.
    """
    generator = torch.Generator(device).manual_seed(seed)
    for image, targets in batches:
        yield look(image, targets, generator), targets
