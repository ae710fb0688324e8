"""The settings of a search: one frozen value, which an ablation replaces in part."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata

from .. import __version__
from ..errors import ConfigError
from ..values import MOST, choice, flag, number, pair, told, whole
from .relaxation import relaxation
from .schedule import Schedule, visibility_schedules

SCHEDULES = ("entropy_weight", "l1_weight", "temperature")


RELAXED = ("alpha_gates", "weight_gates")


CHOICES = {"optimizer": ("adam", "sgd"), "precision": ("float32", "bf16", "auto")}


FLAGS = ("l1_by_cost", "redraw", "augment", "freeze")


WHOLE = {
    "steps": (0, MOST),
    "batch_size": (1, MOST),
    "seed": (-(2**63), 2**64 - 2),  # what a generator takes, and one more for the noise
    "warm_up": (0, MOST),
    "evaluate_every": (0, MOST),
    "edge_budget": (0, MOST),
}


BELOW_ONE = 1 - 2**-53  # the largest float below 1
BELOW_HALF = 0.5 - 2**-54  # the largest float below ½


@dataclass(frozen=True)
class SearchConfig:
    """Everything that a search may do differently; an ablation is `replace(config, alpha_gates="stochastic")`.

    Numbers for entropy_weight (λ), l1_weight and temperature (τ) become constant schedules.

    Args: the fields, each explained beside it.

    Raises:
        ConfigError: for a value of another type, or out of range.

    Example:
        >>> from dataclasses import replace
        >>> from mtlnas_lab import Schedule, SearchConfig
        >>> config = SearchConfig(steps=300, entropy_weight=Schedule(10.0, period=(0.3, 1.0)))
        >>> replace(config, l1_weight=0.1).l1_weight(step=0, steps=300)
        0.1
        >>> SearchConfig(steps=-1)
        Traceback (most recent call last):
        mtlnas_lab.errors.ConfigError: steps = -1 is too small, too large or not a whole number; ...
    """

    steps: int = 500  # updates of α and of w, one each a step
    batch_size: int = 8  # images in each of the two batches of a step
    seed: int = 0  # draws batches, noise and gates
    warm_up: int = 0  # first steps, in which w learns with every edge open, and α waits
    optimizer: str = "adam"  # of w: adam or sgd
    weight_lr: float = 1e-3  # learning rate of w, the networks' weights
    weight_decay: float = 0.0  # of w
    momentum: float = 0.9  # of sgd
    lr_power: float = 0.0  # w's learning rate falls as (1 − t/steps)^power; released: 0.9
    fusion_lr_factor: float = 1.0  # times weight_lr, for the fusion operations (released: 100)
    last_weight_lr_factor: float = 1.0  # the same for the last layer (released: 10)
    last_bias_lr_factor: float = 1.0  # and for its bias (released: 20)
    alpha_lr: float = 0.02  # learning rate of α, by Adam; never decays (released: 1e-3)
    alpha_betas: tuple[float, float] = (0.5, 0.999)  # of its Adam
    alpha_weight_decay: float = 0.0  # released: 1e-3, which pulls undecided edges back to p = ½
    alpha_gates: str = "deterministic"  # relaxation in the α-update
    weight_gates: str = "stochastic"  # relaxation in the w-update
    entropy_weight: Schedule | float = 10.0  # λ: how strongly the gates are pushed apart
    l1_weight: Schedule | float = 0.0  # how strongly open gates are pushed shut
    l1_by_cost: bool = False  # weigh L1 by the target's channels
    # τ of the stochastic gates: noise melts away as it falls
    temperature: Schedule | float = Schedule(0.0, start=1.0, period=(0.0, 1.0), power=2.0)
    weight_share: float = 0.5  # share of the images that teaches w; the rest teaches α
    redraw: bool = True  # draw the two halves anew each epoch (released), or keep them
    augment: bool = True  # flip, crop and jitter the images that train
    # {task: v}: its network sees v · image + (1 − v) · noise; 1 where a task is not named
    visibility: Mapping[str, Schedule | float] = field(default_factory=dict)
    freeze: bool = False  # the backbones' stages stay as they are; fusion and heads learn
    edge_budget: int = 0  # keep so many edges, those with the largest α; 0: those with α > 0
    # an edge whose gate stays below it for 20 steps is shut for good; 0: none
    close_below: float = 0.0
    evaluate_every: int = 0  # steps between evaluations; 0: none
    precision: str = "float32"  # or bf16 (autocast of the networks), or auto: whichever is faster
    # a backend of torch.compile: inductor, or cudagraphs on CUDA; minutes to begin, and no gain seen on a CPU
    compile: str = ""

    def __post_init__(self):
        for setting in fields(self):
            checked = check_setting(setting.name, getattr(self, setting.name))
            object.__setattr__(self, setting.name, checked)

    def to_json(self) -> dict:
        """The fields as plain values: what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, settings: Mapping) -> SearchConfig:
        """The settings of {name: value}. Raises ConfigError, also for a name that is not a setting."""
        names = [setting.name for setting in fields(cls)]
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


def check_setting(name: str, value: object) -> object:
    """A setting of `SearchConfig`, in its own type and range. Raises ConfigError."""
    if name in SCHEDULES:
        return Schedule.from_value(name, value)
    if name in RELAXED:
        relaxation(value)
        return value
    if name == "visibility":
        return visibility_schedules(value)
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
    if name == "close_below":
        return number(name, value, most=BELOW_HALF)
    if name == "momentum":
        return number(name, value, most=1.0)
    return number(name, value)


def _backend(name: object) -> str:
    """A backend of torch.compile, "" for none. Raises ConfigError."""
    if isinstance(name, str) and name in ("", "inductor", "eager", "aot_eager"):
        return name  # the others are looked up, which imports the compiler
    import torch._dynamo

    there = sorted({"inductor", *torch._dynamo.list_backends()})
    return choice("compile", name, there)


def versions() -> dict[str, str]:
    """What this search runs with: {name: version}."""
    own = {"mtlnas_lab": __version__, "python": platform.python_version()}
    return own | {name: metadata.version(name) for name in ("torch", "numpy")}
