"""Checks of notebook bug_hunt: a suspect's name, held against what the patient shows."""

from __future__ import annotations

from ..bug_hunt import GUILTY, OBSERVATIONS, SUSPECTS, expected
from ..checking import Wrong, exercise

LESSONS = {
    1: "A schedule that is a function of the step has to know this run's length; the log shows the λ that was really "
    "used.",
    2: "Pulls that never change their mind are no evidence: α was fitted to four pictures.",
    3: "Gates that stand still while the losses leap: two wrongs that have one cause.",
    4: "The number was in the loss and in every print-out; only the gradient knew. Compare with patient 1: λ alone "
    "differs.",
    5: "Training never reads the running statistics, so no loss can show it. Recalibrating is a test as well as a "
    "cure.",
    6: "The entropy falls, the graph looks decided, the losses are fine: and the tasks had no say. Look at the pulls.",
}


def _ask(number: int) -> None:
    @exercise(f"bug.{number}", function=False)
    def diagnosis(answer, ax):
        if not isinstance(answer, str) or answer.strip().lower() not in SUSPECTS:
            raise Wrong(f"name one of the suspects, as text: {', '.join(SUSPECTS)}")
        named, seen = answer.strip().lower(), expected(GUILTY[number])
        for column, holds in enumerate((seen, expected(named))):
            for row, fine in enumerate(holds):
                frame = "white" if seen[row] == expected(named)[row] else "black"
                word, ink, paper = (
                    ("yes", "#1b1f27", "#dbe6f3") if fine else ("no", "white", "#b35806")
                )
                ax.text(
                    column,
                    row,
                    word,
                    ha="center",
                    va="center",
                    color=ink,
                    bbox={
                        "boxstyle": "round,pad=0.25",
                        "facecolor": paper,
                        "edgecolor": frame,
                        "linewidth": 2,
                    },
                )
        ax.scatter([0, 1], [-1, len(seen)], alpha=0)
        ax.set(
            xticks=(0, 1),
            xticklabels=(f"patient {number}", f"“{named}”"),
            yticks=range(len(seen)),
            yticklabels=OBSERVATIONS,
            xlim=(-0.6, 1.6),
            ylim=(len(seen) - 0.4, -0.6),
        )
        ax.set_xlabel("black frame: here the two differ", fontsize=7)
        ax.tick_params(length=0, labelsize=7)
        ax.spines[:].set_visible(False)
        for row, (here, there) in enumerate(zip(seen, expected(named))):
            if here != there:
                raise Wrong(
                    f"with “{named}” ({SUSPECTS[named][0]}) one would see: {OBSERVATIONS[row]}? "
                    f"{'Yes' if there else 'No'}. "
                    f"This patient shows the contrary"
                )
        return LESSONS[number]

    diagnosis.__doc__ = f"Patient {number}: what is wrong?"


for _number in GUILTY:
    _ask(_number)
