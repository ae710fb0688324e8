"""The settings of a search: one frozen value, which an ablation replaces in part."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import metadata

from .. import __version__
from ..errors import ConfigError, SpaceError
from ..values import LARGEST, MOST, choice, flag, number, pair, told, whole
from .relaxation import relaxation
from .schedule import Schedule
from .space import Edge, SearchSpace

SCHEDULES = ("entropy_weight", "l1_weight", "temperature")


RELAXED = ("alpha_gates", "weight_gates")


KNOBS = (*SCHEDULES, "alpha_lr", "weight_lr", *RELAXED, "force")


CHOICES = {"optimizer": ("adam", "sgd"), "precision": ("float32", "bf16", "auto")}


FLAGS = ("l1_by_cost", "redraw", "augment")


WHOLE = {
    "steps": (0, MOST),
    "batch_size": (1, MOST),
    "seed": (-(2**63), 2**64 - 2),  # what a generator takes, and one more for the noise
    "warm_up": (0, MOST),
    "evaluate_every": (0, MOST),
}


BELOW_ONE = 1 - 2**-53  # the largest float below 1


@dataclass(frozen=True)
class SearchConfig:
    """Everything that a search may do differently; an ablation is `replace(config, alpha_gates="stochastic")`.

    Numbers for entropy_weight (λ), l1_weight and temperature (τ) become constant schedules. Raises ConfigError.
    """

    steps: int = 500  # updates of α and of w, one each a step
    batch_size: int = 8  # images in each of the two batches of a step
    seed: int = 0
    warm_up: int = 0  # first steps, in which w learns with every edge open, and α waits
    optimizer: str = "adam"  # of w: adam or sgd
    weight_lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9  # of sgd
    lr_power: float = 0.0  # w's learning rate falls as (1 − t/steps)^power; released: 0.9
    fusion_lr_factor: float = 1.0  # released: 100
    last_weight_lr_factor: float = 1.0  # released: 10
    last_bias_lr_factor: float = 1.0  # released: 20
    alpha_lr: float = 0.02  # Adam; never decays (released: 1e-3)
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    alpha_weight_decay: float = 0.0  # released: 1e-3, which pulls undecided edges back to p = ½
    alpha_gates: str = "deterministic"  # relaxation in the α-update
    weight_gates: str = "stochastic"  # relaxation in the w-update
    entropy_weight: Schedule | float = 10.0
    l1_weight: Schedule | float = 0.0
    l1_by_cost: bool = False  # weigh L1 by the target's channels
    temperature: Schedule | float = Schedule(0.0, start=1.0, period=(0.0, 1.0), power=2.0)
    weight_share: float = 0.5  # share of the images that teaches w; the rest teaches α
    redraw: bool = True  # draw the two halves anew each epoch (released), or keep them
    augment: bool = True
    evaluate_every: int = 0  # steps between evaluations; 0: none
    precision: str = (
        "float32"  # or bf16: autocast of the networks; auto: whichever calibrate.py finds faster
    )
    compile: str = (
        ""  # a backend of torch.compile, as in inductor: worth its minute after some 1,000 steps
    )

    def __post_init__(self):
        for field in fields(self):
            object.__setattr__(self, field.name, _checked(field.name, getattr(self, field.name)))

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, settings: Mapping) -> SearchConfig:
        names = [field.name for field in fields(cls)]
        if not isinstance(settings, Mapping):
            raise ConfigError(
                f"{told(settings)} is not the settings of a search; give {{name: value}}"
            )
        unknown = [told(name).strip("'\"") for name in settings if name not in names]
        if unknown:
            raise ConfigError(
                f"a search has no setting {', '.join(sorted(unknown)[:5])}; it has {', '.join(names)}"
            )
        return cls(**settings)


def _checked(name: str, value: object) -> object:
    """A setting of `SearchConfig`, in its own type and range. Raises ConfigError."""
    if name in SCHEDULES:
        return Schedule.from_value(name, value)
    if name in RELAXED:
        relaxation(value)
        return value
    if name in CHOICES:
        return choice(name, value, CHOICES[name])
    if name in FLAGS:
        return flag(name, value)
    if name in WHOLE:
        return whole(name, value, *WHOLE[name])
    if name == "compile":
        return _backend(value)
    if name == "weight_share":
        share = number(name, value)
        if not 0 < share < 1:
            raise ConfigError(
                f"weight_share = {share}: both w and α need data; give a share between 0 and 1"
            )
        return share
    if name == "alpha_betas":
        return pair(name, value, most=BELOW_ONE)
    return number(name, value, 0.0, 1.0 if name == "momentum" else LARGEST)


def _backend(name: object) -> str:
    """A backend of torch.compile, "" for none. Raises ConfigError."""
    if isinstance(name, str) and name in ("", "inductor", "eager", "aot_eager"):
        return name  # the others are looked up, which imports the compiler
    import torch._dynamo

    there = sorted({"inductor", *torch._dynamo.list_backends()})
    return choice("compile", name, there)


def turned(knobs: Mapping, space: SearchSpace | None = None) -> dict:
    """What `Search.turn` is asked for, checked: schedules as such, `force` as {index of an edge: True, False or None}.

    Without a space, edges are only read ({edge: …}). Raises ConfigError for whatever a search would not take.
    """
    checked = {}
    for name, value in knobs.items():
        if name == "force":
            checked[name] = _forced(value, space)
        elif name in KNOBS:
            checked[name] = _checked(name, value)
        else:
            raise ConfigError(f"a search has no knob {told(name)}; it has {', '.join(KNOBS)}")
    return checked


def _forced(value: object, space: SearchSpace | None) -> dict:
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"force = {told(value)}: give {{edge: True, False or None}}, as in "
            "{'segmentation:2 -> normals:3': True}"
        )
    forced = {}
    for edge, to in value.items():
        if not isinstance(edge, str | Edge):
            raise ConfigError(f"force: {told(edge)} is not an edge; give text, as str(edge) is")
        try:
            known = Edge.parse(edge) if isinstance(edge, str) else edge
            place = known if space is None else space.index(known)
        except SpaceError as error:
            raise ConfigError(f"force: {error}") from None
        forced[place] = None if to is None else flag(f"force of {known}", to)
    return forced


def versions() -> dict[str, str]:
    return {"mtlnas_lab": __version__, "python": platform.python_version()} | {
        n: metadata.version(n) for n in ("torch", "numpy")
    }
