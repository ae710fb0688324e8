"""How the values of settings are written at the command line, as in `segmentation,normals` or `normals=20`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..values import told

Reader = tuple[str, Callable[[str], object]]  # how help calls a value, and what reads its text


def _true_or_false(text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise ValueError(f"{told(text)} is neither true nor false")
    return known[text.lower()]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _baselines(text: str) -> tuple[str, ...]:
    if text == "none":
        return ()
    return tuple(text.split(","))  # an empty name is refused later, as every unknown one


def _two_numbers(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.strip("()[] ").split(","))
    if len(numbers) != 2:
        raise ValueError(f"{told(text)}: give two numbers, as in 0.5,0.999")
    return numbers


def _text_or_none(text: str) -> str | None:
    if text.lower() == "none":
        return None
    return text


def _whole_or_none(text: str) -> int | None:
    if text.lower() == "none":
        return None
    return int(text)


def _two_numbers_or_none(text: str) -> tuple[float, ...] | None:
    if text.lower() == "none":
        return None
    return _two_numbers(text)


def _schedule(text: str) -> float | dict:
    """A number, or END,START,PERIOD_BEGIN,PERIOD_END,POWER of a Schedule as in 10,0,0.3,1,1."""
    numbers = [float(part) for part in text.strip("()[] ").split(",")]
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) not in (2, 4, 5):
        raise ValueError(
            f"{told(text)}: give a number, or end,start,begin,finish,power of its schedule, as in 10,0,0.3,1"
        )
    schedule: dict = {"end": numbers[0], "start": numbers[1]}
    if len(numbers) >= 4:
        schedule["period"] = (numbers[2], numbers[3])
    if len(numbers) == 5:
        schedule["power"] = numbers[4]
    return schedule


def _by_task(text: str, read: Callable[[str], object], example: str) -> dict[str, Any]:
    """{task: what `read` makes of its text} of task=text,task=text; a comma that no task follows is part of a text."""
    found: dict[str, Any] = {}
    for part in filter(None, re.split(r",\s*(?=[\w.-]+\s*=)", text)):
        task, _, said = map(str.strip, part.partition("="))
        value = None
        with suppress(ValueError):
            value = read(said)
        if value is None or not task or not said or task in found:
            raise ValueError(f"{part}: give each task once, as in {example}")
        found[task] = value
    return found


def views_of_tasks(text: str) -> dict[str, str]:
    """{task: view} of task=view,task=view.

    Example:
        >>> views_of_tasks("segmentation=depth, normals=blurred:0.3")
        {'segmentation': 'depth', 'normals': 'blurred:0.3'}
    """
    return _by_task(text, str, "segmentation=depth,normals=blurred:0.3")


def visibility_of_tasks(text: str) -> dict[str, float | dict]:
    """{task: number or schedule} of task=number,task=end,start,begin,finish.

    Example:
        >>> visibility_of_tasks("segmentation=0.2,normals=0,1,0.3,1")
        {'segmentation': 0.2, 'normals': {'end': 0.0, 'start': 1.0, 'period': (0.3, 1.0)}}
    """
    return _by_task(text, _schedule, "segmentation=0.2,normals=1")


def counts_of_tasks(text: str) -> dict[str, int]:
    """{task: images} of task=images,task=images.

    Example:
        >>> counts_of_tasks("normals=32")
        {'normals': 32}
    """
    return _by_task(text, int, "normals=32,segmentation=8")


def files_of_tasks(text: str) -> dict[str, str]:
    """{task: file} of task=file,task=file; {"*": file} of one file for all tasks.

    Example:
        >>> files_of_tasks("normals=a,b.pth, depth=c=1.pth")
        {'normals': 'a,b.pth', 'depth': 'c=1.pth'}
    """
    if not text:
        return {}
    if "=" not in text or Path(text).exists():
        return {"*": text}
    parts = re.split(r",\s*(?=[\w.-]+=)", text)  # a comma that no task follows is part of a name
    return dict(part.strip().split("=", 1) for part in parts)


def weights_of_losses(text: str) -> dict[str, float]:
    """{task: weight} of task=weight,task=weight.

    Example:
        >>> weights_of_losses("normals=20, segmentation=0")
        {'normals': 20.0, 'segmentation': 0.0}
    """
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        task, _, number = map(str.strip, part.partition("="))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        counts = math.isfinite(value) and value >= 0
        if not counts or not task or task in found:
            raise ValueError(
                f"{part}: give each task once with a number of 0 or more, as in normals=20,segmentation=1"
            )
        found[task] = value
    if found and not any(found.values()):
        raise ValueError(f"{text}: one task at least must count for something")
    return found


def weights_of_classes(text: str) -> dict[str, str]:
    """{task: "balanced"} of task=balanced,task=balanced."""
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        task, _, how = map(str.strip, part.partition("="))
        if how != "balanced" or not task or task in found:
            raise ValueError(f"{part}: give each task once, as in segmentation=balanced")
        found[task] = how
    return found


def _architecture(path: str) -> dict:
    """The JSON of the architecture to carry over, of a run folder or of a file."""
    from ..core.architecture import Architecture
    from ..storage.jsonl import read_json

    place = Path(path)
    if place.is_dir():
        place = place / "architecture.json"
    return Architecture.from_json(read_json(place)).to_json()


def _searched(path: str) -> dict:
    """The JSON of a finished search's architecture, of its run folder or of a file."""
    place = Path(path)
    if not place.exists():
        raise ValueError(f"{path}: there is no such run; give the folder of a finished search")
    if place.is_dir() and not (place / "architecture.json").is_file():
        raise ValueError(f"{path}: {_no_search(place)}")
    return _architecture(path)


def _no_search(folder: Path) -> str:
    """Why a folder without architecture.json is no finished search, and what would be right."""
    from ..runs.run import Run

    if (folder / "events.jsonl").is_file():
        steps = len(Run.open(folder).log.steps)
        return (
            f"that search is not finished, it has made {steps} steps; give a finished one, or go on with it first, by "
            f"--resume --out {folder}"
        )
    inside = [path.name for path in Run.list(folder)]
    if inside:
        return f"this folder holds {len(inside)} runs; give one of them: {', '.join(inside[:5])}"
    return "this folder is no run; give the folder of a finished search"


READERS = {  # {annotation of a field: its reader}; they raise ValueError
    "int": ("INT", int),
    "float": ("FLOAT", float),
    "bool": ("{true,false}", _true_or_false),
    "str": ("TEXT", str),
    "str | None": ("TEXT", _text_or_none),
    "int | None": ("INT", _whole_or_none),
    "tuple[str, ...]": ("NAME,NAME", _names),
    "tuple[float, float]": ("FLOAT,FLOAT", _two_numbers),
    "tuple[float, float] | None": ("FLOAT,FLOAT", _two_numbers_or_none),
    "Schedule | float": ("FLOAT", _schedule),
    "Mapping[str, Schedule | float]": ("TASK=FLOAT", visibility_of_tasks),
}


READERS_BY_NAME = {  # of settings whose text says more than their type
    "baselines": ("NAME,NAME", _baselines),
    "graph": ("PATH", _architecture),
    "warm_start": ("PATH", _searched),
    "weights": ("PATH", files_of_tasks),
    "loss_weights": ("TASK=FLOAT", weights_of_losses),
    "class_weights": ("TASK=balanced", weights_of_classes),
    "views": ("TASK=VIEW", views_of_tasks),
    "few_labels": ("TASK=INT", counts_of_tasks),
}
