"""`mtlnas-lab grade`: a folder of submissions, read in one go."""

from __future__ import annotations

import csv
from pathlib import Path

from tyro.conf import Positional

from ..one_line import printable
from .places import writable_file


def grade(
    folder: Positional[Path],
    out: Path = Path("grades.csv"),
    tried: float = 0.0,
    guesses: Path | None = None,
) -> None:
    """Grade a folder of submitted notebooks by what their checks said, with partial credit.

        mtlnas-lab grade submissions
        mtlnas-lab grade submissions --tried 0.25 --guesses guesses.png

    Nothing is run: what the notebooks say counts. `jupyter execute --inplace submissions/*/*.ipynb` runs them again.

    Args:
        folder: A folder for each reader, with the notebooks inside.
        out: The table to write (CSV), a line for each reader and notebook.
        tried: What an exercise counts that was answered, but is not solved; from 0 to 1.
        guesses: A picture to write of what the class guessed (PNG, SVG or PDF).
    """
    from ..course.grading import collect, grades, guesses_of

    found = collect(folder)
    lines = grades(found, tried)
    with writable_file(out).open("w", newline="", encoding="utf-8") as file:
        head = ["reader", "notebook", "solved", "tried", "exercises", "credit"]
        table = csv.DictWriter(file, head)
        table.writeheader()
        table.writerows(lines)
    for line in lines:
        text = f"{line['reader']:24} {line['notebook']}   {line['solved']} of {line['exercises']} solved"
        print(printable(f"{text}, {line['tried']} tried: {line['credit']:.0f} %"))
    print(printable(f"{len(found)} readers: {out}"))
    if guesses:
        from ..viz.guesses import plot_guesses

        plot_guesses(guesses_of(found)).savefig(writable_file(guesses))
        print(printable(guesses))
