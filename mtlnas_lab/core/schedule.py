"""How a number changes over a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from ..errors import ConfigError
from ..values import number, pair, told


@dataclass(frozen=True)
class Schedule:
    """How a number such as λ changes over a search: from `start` to `end`, constant outside the period.

        value = end − (end − start)·(1 − x)^power,   x from 0 to 1 over the period

    With the period (0, 0) the value is `start` at step 0 and `end` from step 1 on, as in the released code.

    Args:
        end: at the end of the period, and later.
        start: at the beginning of the period, and before.
        period: (begin, end), as shares of all steps.
        power: 1 for a straight line.
        after: where given, the value once the end is passed.

    Raises:
        ConfigError: for a number that is negative or not finite, and for a period that runs backwards.

    Example:
        >>> from mtlnas_lab import Schedule
        >>> ramp = Schedule(end=10.0, start=0.0, period=(0.5, 1.0))
        >>> [ramp(step, steps=8) for step in (0, 4, 6, 8)]
        [0.0, 0.0, 5.0, 10.0]
    """

    end: float
    start: float = 0.0
    period: tuple[float, float] = (0.0, 0.0)
    power: float = 1.0
    after: float | None = None

    def __post_init__(self):
        for name in ("end", "start", "power", "after"):
            value = getattr(self, name)
            if name != "after" or value is not None:
                object.__setattr__(self, name, number(f"a schedule's {name}", value))
        period = pair("a schedule's period", self.period)
        object.__setattr__(self, "period", period)
        if period[0] > period[1]:
            raise ConfigError(
                f"a schedule over {period} runs backwards; give shares of the run as in (0.3, 1.0)"
            )

    @classmethod
    def from_value(cls, name: str, value: Schedule | Mapping | float) -> Schedule:
        """The schedule of a setting: itself, one from its fields as JSON has them, or a constant. Raises ConfigError."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            return cls.constant(number(name, value))
        names = [field.name for field in fields(cls)]
        unknown = [key for key in value if key not in names]
        if unknown or "end" not in value:
            what = "needs an end"
            if unknown:
                what = f"has no {told(unknown[0])}"
            raise ConfigError(f"{name}: a schedule {what}; it has {', '.join(names)}")
        try:
            return cls(**value)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None

    @classmethod
    def constant(cls, value: float) -> Schedule:
        """The same value at every step."""
        return cls(value, start=value)

    def __call__(self, step: int, steps: int) -> float:
        """The value for the update number `step` (from 0) of `steps`."""
        share = step / steps
        begin, end = self.period
        if self.after is not None and share > end:
            return self.after
        if share <= begin:
            return self.start
        if share >= end:
            return self.end
        done = (step - steps * begin) / (steps * end - steps * begin)
        return self.end - (self.end - self.start) * (1 - done) ** self.power


def visibility_schedules(value: object) -> dict[str, Schedule]:
    """{task: Schedule from 0 to 1}. Raises ConfigError."""
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"visibility = {told(value)}: give {{task: a number from 0 to 1}}, as in {{'segmentation': 0.2}}"
        )
    checked = {}
    for task, share in value.items():
        if not isinstance(task, str):
            raise ConfigError(f"visibility: {told(task)} is not the name of a task")
        schedule = Schedule.from_value(f"visibility of {told(task)}", share)
        for end in (schedule.start, schedule.end, schedule.after):
            if end is not None and end > 1:
                raise ConfigError(
                    f"visibility of {told(task)} = {end:g} is more than all; give a number from 0 (noise alone) to 1 "
                    "(the image as it is)"
                )
        checked[task] = schedule
    return checked
