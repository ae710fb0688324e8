"""Checks of notebook bug_hunt: a suspect's name, held against what the patient shows."""

from __future__ import annotations

from collections.abc import Sequence

from ..bug_hunt import GUILTY, OBSERVATIONS, SUSPECTS, expected
from ..checking import Wrong, exercise
from .common import YOURS

LESSONS = {
    1: "A schedule that is a function of the step has to know this run's length; the log shows the λ that was really "
    "used.",
    2: "Pulls that never change their mind are not evidence: α was fitted to four pictures.",
    3: "Gates that stand still while the losses leap: two wrongs that have one cause.",
    4: "The number was in the loss and in every print-out; only the gradient knew. Compare with patient 1: λ alone "
    "differs.",
    5: "Training never reads the running statistics, so no loss can show it. Recalibrating is a test as well as a "
    "cure.",
    6: "The entropy falls, the graph looks decided, the losses are fine: and the tasks had no say. Look at the pulls.",
}


def _ask(number: int) -> None:
    """Registers the diagnosis of one patient: the six differ in nothing but who is guilty."""

    @exercise(f"bug.{number}", function=False)
    def diagnosis(answer, ax):
        if not isinstance(answer, str) or answer.strip().lower() not in SUSPECTS:
            raise Wrong(f"name one of the suspects, as text: {', '.join(SUSPECTS)}")
        named = answer.strip().lower()
        seen = expected(GUILTY[number])
        told = expected(named)
        _draw_symptoms(ax, seen, told, f"patient {number}", f"“{named}”")
        for observation, here, there in zip(OBSERVATIONS, seen, told):
            if here != there:
                suspect = "yes" if there else "no"
                patient = "yes" if here else "no"
                raise Wrong(
                    f"{observation}? In a search with “{named}” ({SUSPECTS[named][0]}): {suspect}. In this patient: "
                    f"{patient}"
                )
        return LESSONS[number]

    diagnosis.__doc__ = f"Patient {number}: what is wrong?"


def _draw_symptoms(
    ax, seen: Sequence[bool], told: Sequence[bool], patient: str, suspect: str
) -> None:
    """What the patient shows beside what the named suspect would make of it, a row for each observation."""
    for column, observed in enumerate((seen, told)):
        for row, holds in enumerate(observed):
            differs = seen[row] != told[row]
            _stamp(ax, column, row, holds, "black" if differs else "white")
    # texts alone do not set the limits of an axis, and a check without data shows no picture
    ax.scatter([0, 1], [-1, len(seen)], alpha=0)
    ax.set(
        xticks=(0, 1),
        xticklabels=(patient, suspect),
        yticks=range(len(seen)),
        yticklabels=OBSERVATIONS,
        xlim=(-0.6, 1.6),
        ylim=(len(seen) - 0.4, -0.6),
    )
    ax.set_xlabel("black frame: here the two differ", fontsize=7)
    ax.tick_params(length=0, labelsize=7)
    ax.spines[:].set_visible(False)


def _stamp(ax, column: int, row: int, holds: bool, frame: str) -> None:
    """A framed yes or no; the two differ in their words, not in colour alone."""
    word = "no"
    ink = "white"
    paper = YOURS
    if holds:
        word = "yes"
        ink = "#1b1f27"
        paper = "#dbe6f3"
    box = {"boxstyle": "round,pad=0.25", "facecolor": paper, "edgecolor": frame, "linewidth": 2}
    ax.text(column, row, word, ha="center", va="center", color=ink, bbox=box)


for _number in GUILTY:
    _ask(_number)
