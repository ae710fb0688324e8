"""The settings of a search: one frozen value, which an ablation replaces in part."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import metadata

from . import __version__
from .errors import ConfigError
from .relaxation import Schedule, relaxation

SCHEDULES = ("entropy_weight", "l1_weight", "temperature")


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
        for name in SCHEDULES:
            value = getattr(self, name)
            if not isinstance(value, Schedule):
                object.__setattr__(
                    self,
                    name,
                    Schedule(**value) if isinstance(value, Mapping) else Schedule.constant(value),
                )
        object.__setattr__(self, "alpha_betas", tuple(self.alpha_betas))
        relaxation(self.alpha_gates), relaxation(self.weight_gates)
        for name, least in {
            "steps": 0,
            "batch_size": 1,
            "warm_up": 0,
            "alpha_lr": 0,
            "weight_lr": 0,
            "evaluate_every": 0,
        }.items():
            if not getattr(self, name) >= least:
                raise ConfigError(
                    f"{name} = {getattr(self, name)} is too small; give {least} or more"
                )
        for name, choices in {
            "optimizer": ("adam", "sgd"),
            "precision": ("float32", "bf16", "auto"),
        }.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name} = {getattr(self, name)!r} is none of the choices {', '.join(choices)}"
                )
        if not 0 < self.weight_share < 1:
            raise ConfigError(
                f"weight_share = {self.weight_share}: both w and α need data; give a share between 0 and 1"
            )

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, settings: Mapping) -> SearchConfig:
        unknown = set(settings) - {f.name for f in fields(cls)}
        if unknown:
            raise ConfigError(
                f"a search has no setting {', '.join(sorted(unknown))}; it has {', '.join(f.name for f in fields(cls))}"
            )
        return cls(**settings)


def versions() -> dict[str, str]:
    return {"mtlnas_lab": __version__, "python": platform.python_version()} | {
        n: metadata.version(n) for n in ("torch", "numpy")
    }
