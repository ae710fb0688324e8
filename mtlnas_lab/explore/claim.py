"""A claim of a study, named before it runs, and what became of it: held, did not hold, or could not tell."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..analysis.statistics import Difference, half_interval
from ..errors import ConfigError
from ..values import LARGEST, choice, number, told

BETTER = ("more", "less", "same")
LEVEL = 0.05  # a corrected p at most so large is found

HELD = "held"
NOT_HELD = "did not hold"
COULD_NOT_TELL = "could not tell"


@dataclass(frozen=True)
class Claim:
    """What a study expects of one quantity, said before it runs.

    Attributes:
        says: The expectation, as a sentence.
        quantity: A number that the arms give.
        arm: The arm that it is about.
        better: more, less, or same.
        against: The arm that it is compared with, seed by seed; or a number, as what chance would give.
        limit: In place of another arm: the number on whose side every seed must be (better is more or less).
        least: The smallest difference that matters. Where the interval leaves no room for it, a claim did not hold; and
            arms whose difference is surely smaller are the same.
        control: Whether this claim is the one that could embarrass the method.

    Raises:
        ConfigError: Neither or both of `against` and `limit`, a claim of sameness without `least`, a name that is no text, or
            a limit that is no number.
    """

    says: str
    quantity: str
    arm: str
    better: str = "more"
    against: str | float | None = None
    limit: float | None = None
    least: float | None = None
    control: bool = False

    def __post_init__(self):
        for name in ("says", "quantity", "arm"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(
                    f'{name} = {told(getattr(self, name))} of a claim is no text; in YAML 600 is a number, and "600" a name'
                )
        choice("better", self.better, BETTER)
        for name in ("limit", "least"):
            if getattr(self, name) is not None:
                number(
                    f"{name} of the claim {told(self.says)}", getattr(self, name), least=-LARGEST
                )
        if not isinstance(self.against, str | None):
            number(f"against of the claim {told(self.says)}", self.against, least=-LARGEST)
        if (self.against is None) == (self.limit is None):
            raise ConfigError(
                f"the claim {told(self.says)} has to name what it compares with: either `against`, an arm, or `limit`, a number"
            )
        if self.better == "same" and (self.against is None or not self.least):
            raise ConfigError(
                f"the claim {told(self.says)} is about sameness: it needs `against`, and `least`, the smallest difference that matters"
            )

    def must_be_given(self, arm: str, quantities: Iterable[str]) -> None:
        """Raises ConfigError where this claim is about an arm that gives these quantities, and its own is not among them."""
        if arm in (self.arm, self.against):
            choice(f"quantity of the claim {told(self.says)}", self.quantity, tuple(quantities))

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return -1 if self.better == "less" else 1


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes:
        claim: What was expected.
        values: Each seed's difference arm − against; of a claim with a limit, each seed's value.
        outcome: "held", "did not hold" or "could not tell".
        difference: The comparison, signed so that above 0 is better; None for a claim with a limit.
        corrected: Its p after Holm's correction over all comparisons of the study; NaN for a claim with a limit.
    """

    claim: Claim
    values: tuple[float, ...]
    outcome: str
    difference: Difference | None = None
    corrected: float = math.nan

    @property
    def sentence(self) -> str:
        return f"{self._claimed}: {self.outcome} ({self.claim.quantity} of {self._numbers})."

    @property
    def in_short(self) -> str:
        """Two lines for a list of claims: what became of it and what was expected; below, the numbers.

        Example:
            >>> from mtlnas_lab.explore.study import Findings
            >>> print(Findings.shipped("eas").verdicts[4].in_short)
            HELD           They are better than random graphs at equal cost (control)
                           relative_loss -0.00925 (95 % interval -0.0114 to -0.00709), corrected p = 0.0017
        """
        below = f"{'':14} {self.claim.quantity} {self.measured}"
        return f"{self.outcome.upper():14} {self._claimed}\n{below}"

    @property
    def measured(self) -> str:
        """The mean difference, its interval, and its p among all claims; of a claim with a limit, each seed's value."""
        claim = self.claim
        if self.difference is None:
            seeds = ", ".join(_digits(value) for value in self.values)
            return f"by seed {seeds}; asked to be {claim.better} than {_digits(claim.limit)}"
        low, high = self.interval
        said = f"{self.mean:+.3g} (95 % interval {low:+.3g} to {high:+.3g}), corrected p = {self.corrected:.2g}"
        if claim.better == "same":
            said += f"; alike is an interval within ±{claim.least:g}"
        return said

    @property
    def _claimed(self) -> str:
        return f"{self.claim.says}{' (control)' if self.claim.control else ''}"

    @property
    def _numbers(self) -> str:
        seeds = ", ".join(format(value, ".4g") for value in self.values)
        claim = self.claim
        if self.difference is None:
            return f"{claim.arm}, asked to be {claim.better} than {claim.limit:g}: {seeds}"
        low, high = self.interval
        said = f"{claim.arm} minus {claim.against}: {self.mean:+.4g}, 95 % interval {low:+.4g} to {high:+.4g}, "
        said += f"{len(self.values)} seeds: {seeds}; corrected p = {self.corrected:.2g}; "
        if min(self.values) == max(self.values):
            return said + "all seeds say the same"
        return said + f"{self.difference.detectable:.2g} could have been detected"

    @property
    def mean(self) -> float:
        """Of arm − against, over the seeds; of the values, for a claim with a limit."""
        mean = math.fsum(self.values) / len(self.values)
        return round(mean, 12)  # thirds that cancel leave rounding behind

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean, by Student's t."""
        half = half_interval(self.values)
        return self.mean - half, self.mean + half


def _digits(value: float) -> str:
    """A number with three digits, or with all before its point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def outcome_of(claim: Claim, found: Difference, corrected: float) -> str:
    """What a comparison, signed so that above 0 is better, says of its claim."""
    low, high = found.interval
    least = claim.least or 0.0
    if claim.better == "same":
        if -least < low and high < least:
            return HELD
        return NOT_HELD if low > least or high < -least else COULD_NOT_TELL
    if high <= least:
        return NOT_HELD
    return HELD if corrected <= LEVEL else COULD_NOT_TELL
