"""A class's notebooks: what their checks said, with partial credit, and what everybody guessed.

Nothing is executed: a notebook is read as it was handed in. What its cells print is what counts, so whoever does not trust that
runs the notebooks again first (`jupyter execute --inplace`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError, RunError
from .checking import WORDS, load

VERDICT = re.compile(rf"({'|'.join(WORDS.values())}) · ([\w.]+):")
SAID = {word: solved for solved, word in WORDS.items()}
REVEAL = re.compile(r'^ *reveal\("([\w.]+)"', re.M)
GUESS = re.compile(r"You guessed: (.+?)\. It is: (.+?)\. ", re.S)


@dataclass
class Submission:
    """One reader's notebooks.

    Args:
        reader: Whose they are.
        verdicts: {exercise: True where solved, False where not yet, None where not filled in}, of the last check of each.
        guesses: {question: (guess, what happened)}, as texts.
    """

    reader: str
    verdicts: dict[str, bool | None] = field(default_factory=dict)
    guesses: dict[str, tuple[str, str]] = field(default_factory=dict)


def read_notebook(path: Path, into: Submission) -> None:
    """Adds what one notebook's outputs say to a reader's submission.

    Args:
        path: An .ipynb file.
        into: The reader's submission, which is changed. What is read last counts.

    Raises:
        RunError: The file is not a notebook.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            if cell["cell_type"] == "code":
                _read_cell("".join(cell["source"]), _text(cell["outputs"]), into)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} cannot be read as a notebook ({type(error).__name__})") from None


def _read_cell(source: str, said: str, into: Submission) -> None:
    for word, name in VERDICT.findall(said):
        into.verdicts[name] = SAID[word]
    asked = REVEAL.search(source)
    found = GUESS.search(said + " ")
    if asked and found:
        into.guesses[asked[1]] = (found[1], found[2])


def _text(outputs: Iterable[Mapping]) -> str:
    """The plain text of a cell's outputs."""
    parts = []
    for output in outputs:
        text = output.get("data", {}).get("text/plain", output.get("text", ""))
        parts.append("".join(text))
    return "\n".join(parts)


def collect(folder: Path) -> list[Submission]:
    """Reads a class's folder: a folder for each reader, or one notebook each.

    Args:
        folder: `folder/READER/*.ipynb` (deeper is fine, too), and `folder/READER.ipynb`.

    Returns:
        The submissions in the order of the readers' names.

    Raises:
        ConfigError: The folder has no notebook in it.
        RunError: A file is not a notebook.
    """
    found: dict[str, Submission] = {}
    for path in sorted(Path(folder).rglob("*.ipynb")):
        inside = path.relative_to(folder)
        if ".ipynb_checkpoints" in inside.parts:
            continue
        reader = inside.parts[0].removesuffix(".ipynb")
        read_notebook(path, found.setdefault(reader, Submission(reader)))
    if not found:
        raise ConfigError(
            f"{folder} has no notebooks; put a folder for each reader there, with the .ipynb files inside"
        )
    return list(found.values())


def grades(submissions: Iterable[Submission], tried: float = 0.0) -> list[dict]:
    """A line for each reader and notebook: exercises that are solved, tried, and the share of all as credit.

    Args:
        submissions: Of `collect`.
        tried: What an exercise counts that was answered, but is not solved; from 0 to 1.

    Returns:
        {reader, notebook, solved, tried, exercises, credit in %}. Notebooks of which a reader handed in nothing are left out.

    Raises:
        ConfigError: `tried` is not a share.

    Example:
        >>> mine = Submission("ada", {"07.gap": True, "07.cost": False, "07.derive": None})
        >>> grades([mine], tried=0.5)
        [{'reader': 'ada', 'notebook': '07', 'solved': 1, 'tried': 1, 'exercises': 5, 'credit': 30.0}]
    """
    if not 0 <= tried <= 1:
        raise ConfigError(f"a tried exercise counts {tried}; give a share from 0 to 1")
    all_of: dict[str, list[str]] = {}
    for name in load():
        all_of.setdefault(name.partition(".")[0], []).append(name)
    lines = []
    for one in submissions:
        for notebook, names in all_of.items():
            verdicts = [one.verdicts[name] for name in names if name in one.verdicts]
            if not verdicts:
                continue
            solved = verdicts.count(True)
            wrong = verdicts.count(False)
            credit = 100 * (solved + tried * wrong) / len(names)
            line = {"reader": one.reader, "notebook": notebook, "solved": solved, "tried": wrong}
            lines.append({**line, "exercises": len(names), "credit": round(credit, 1)})
    return lines


def guesses_of(submissions: Iterable[Submission]) -> dict[str, dict]:
    """What a class guessed: {question: {"guesses": texts, "outcomes": what the readers' runs said, as often as each}}.

    Args:
        submissions: Of `collect`.

    Example:
        >>> mine = Submission("ada", guesses={"07.pixels": ("40", "1.9 %")})
        >>> guesses_of([mine, Submission("bob")])
        {'07.pixels': {'guesses': ['40'], 'outcomes': ['1.9 %']}}
    """
    found: dict[str, dict] = {}
    for one in submissions:
        for name, (guess, outcome) in one.guesses.items():
            asked = found.setdefault(name, {"guesses": [], "outcomes": []})
            asked["guesses"].append(guess)
            asked["outcomes"].append(outcome)
    return dict(sorted(found.items()))
