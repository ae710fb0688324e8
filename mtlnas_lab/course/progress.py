"""What a reader has solved and guessed: one small file in the reader's Jupyter data folder (or MTLNAS_LAB_PROGRESS)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from ..errors import MTLNASError
from ..storage import jsonl, safe_files


def place() -> Path:
    """The file; MTLNAS_LAB_PROGRESS names another one."""
    if asked := os.environ.get("MTLNAS_LAB_PROGRESS"):
        return Path(asked)
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "mtlnas_lab" / "progress.json"


def read() -> dict:
    """{"solved": {exercise: day}, "guesses": {question: guess}}; empty where there is no file, or one that cannot be read."""
    try:
        kept = jsonl.read_json(place())
    except (MTLNASError, OSError):
        kept = {}
    # a file that somebody edited by hand may hold anything
    found = {}
    for part in ("solved", "guesses"):
        value = kept.get(part)
        found[part] = value if isinstance(value, dict) else {}
    return found


def mark(name: str) -> None:
    """An exercise is solved."""
    _keep("solved", name, str(date.today()))


def guess(name: str, value: object) -> None:
    """The reader commits to a guess."""
    _keep("guesses", name, value)


def reset() -> None:
    """Forget everything, for the next class."""
    place().unlink(missing_ok=True)


def _keep(part: str, name: str, value: object) -> None:
    """Writes one entry; a place that cannot be written (a read-only home, a lecture machine) disturbs nobody."""
    kept = read()
    # the cell is run again: the first day counts, and the file is left alone
    if kept[part].get(name) == value:
        return
    kept[part][name] = value
    # written anew and put in its place in one step: two notebooks may be open at once
    try:
        place().parent.mkdir(parents=True, exist_ok=True)
        safe_files.replace(place(), json.dumps(kept, ensure_ascii=False, indent=1).encode())
    except (MTLNASError, OSError):
        pass


def summary(exercises: Mapping) -> str:
    """A line for each exercise of {name: Exercise}, grouped by notebook."""
    solved = read()["solved"]
    by_notebook: dict[str, list[str]] = {}
    for name in exercises:
        by_notebook.setdefault(name.split(".")[0], []).append(name)
    parts = []
    for notebook, names in by_notebook.items():
        lines = [f"{notebook}   {sum(name in solved for name in names)} of {len(names)} solved"]
        for name in names:
            line = f"{name:26} {exercises[name].title}"
            if name in solved:
                lines.append(f"  ✓ {line}  ({solved[name]})")
            else:
                lines.append(f"  · {line}")
        parts.append("\n".join(lines))
    parts.append(f"{sum(name in solved for name in exercises)} of {len(exercises)} in all")
    return "\n\n".join(parts)
