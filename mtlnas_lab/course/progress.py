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
    return {
        part: kept[part] if isinstance(kept.get(part), dict) else {}
        for part in ("solved", "guesses")
    }


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
    """A place that cannot be written (a read-only home, a lecture machine) is no reason to disturb anybody."""
    kept = read()
    if kept[part].get(name) == value:
        return
    kept[part][name] = value
    try:
        place().parent.mkdir(parents=True, exist_ok=True)
        safe_files.replace(place(), json.dumps(kept, ensure_ascii=False, indent=1).encode())
    except (MTLNASError, OSError):
        pass


def summary(exercises: Mapping) -> str:
    """A line for each exercise of {name: Exercise}, grouped by notebook."""
    solved, lines, notebook = read()["solved"], [], None
    for name, one in exercises.items():
        if name.split(".")[0] != notebook:
            notebook = name.split(".")[0]
            own = [other for other in exercises if other.split(".")[0] == notebook]
            lines.append(
                f"{'' if not lines else chr(10)}{notebook}   {sum(n in solved for n in own)} of {len(own)} solved"
            )
        lines.append(
            f"  {'✓' if name in solved else '·'} {name:26} {one.title}{'  (' + solved[name] + ')' if name in solved else ''}"
        )
    lines.append(f"\n{sum(name in solved for name in exercises)} of {len(exercises)} in all")
    return "\n".join(lines)
