"""The records of a table while it is made: a folder with one checked line for each trained graph.

`condition.json` says what the records are about and what made them; `records.jsonl` holds them. A line that a power
failure cut costs that record alone, which the next call makes again.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.config import SearchConfig, versions
from ..errors import RunError
from ..storage import jsonl
from ..storage.safe_files import replace
from . import lines
from .condition import IMAGE_SIZE, IMAGES, WIDTHS, Condition
from .lines import Lines
from .training import Record

TOLD_ONLY = ("about", "held_out", "seeds")  # of a condition: they change no record
PARTS = ("schema", "condition", "recipe", "data", "versions")  # in which records of one table agree
SCHEMA = 1  # of records: another one where their fields mean something else


class Records:
    """Opens a folder of records to go on with, or begins one; only one process writes.

    Args:
        folder: Where they lie.
        condition: What they are about.

    Raises:
        RunError: The folder holds records of another condition or of other versions, or another process writes there.

    Example:
        >>> import tempfile
        >>> from mtlnas_lab.bench.condition import condition
        >>> from mtlnas_lab.bench.records import Records
        >>> with tempfile.TemporaryDirectory() as folder, Records(folder, condition("blind")) as records:
        ...     records.add({"graph": 3, "seed": 0, "test/trained/normals/loss": 0.25})
        ...     records.done
        {(3, 0)}
    """

    def __init__(self, folder: str | os.PathLike, condition: Condition):
        self.folder = Path(folder)
        self._kept = Lines(self._path, _plain)
        try:
            self._must_be_of(described(condition))
        except BaseException:
            self.close()
            raise

    @property
    def records(self) -> list[Record]:
        return self._kept.lines

    @property
    def problems(self) -> list[str]:
        """What is wrong with the lines that are no record."""
        return self._kept.problems

    @property
    def _path(self) -> Path:
        return self.folder / "records.jsonl"

    @property
    def done(self) -> set[tuple[int, int]]:
        """(graph, seed) of each record that is there."""
        return {(record["graph"], record["seed"]) for record in self.records}

    def add(self, record: Record) -> None:
        """Keeps a record: it is on the disk when this returns."""
        self._kept.add(record)

    def _must_be_of(self, wanted: Mapping) -> None:
        """Raises RunError where the folder's records are about something else."""
        path = self.folder / "condition.json"
        if not path.is_file():
            if self._path.is_file():
                raise RunError(
                    f"{self.folder} holds records without condition.json; give another folder"
                )
            replace(path, _json(wanted))
            return
        there = jsonl.read_json(path)
        what = unlike(there, wanted, PARTS)
        if what:
            raise RunError(
                f"{self.folder} was made with another {what} ({there.get(what)}); records of one table are made "
                "alike: give another folder"
            )

    def close(self) -> None:
        """Gives up the lock."""
        self._kept.close()

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *error) -> None:
        self.close()


def unlike(there: Mapping, wanted: Mapping, parts: Sequence[str]) -> str:
    """The first of these parts in which two descriptions differ so that their records do; "" where there is none.

    A setting that a recipe does not name is from after it, and stood at its default.
    """
    wanted = jsonl.parse_object(_json(wanted))
    if isinstance(there.get("recipe"), Mapping):
        usual = jsonl.parse_object(_json(SearchConfig().to_json()))
        there = {**there, "recipe": usual | there["recipe"]}
    for part in parts:
        if _essence(there.get(part)) != _essence(wanted[part]):
            return part
    return ""


def load(path: Path) -> tuple[list[Record], list[str], int, bool]:
    """The good records of a file; what is wrong with the others; the last number; whether it ends in a whole line."""
    return lines.load(path, _plain)


def _plain(line: dict) -> Record:
    """A record as it was added. Raises RunError for what is none."""
    record = {
        key: jsonl.from_jsonable(value) for key, value in line.items() if key not in ("seq", "crc")
    }
    if type(record.get("graph")) is not int or type(record.get("seed")) is not int:
        raise RunError("no record of a graph: graph and seed are not whole numbers")
    return record


def described(condition: Condition) -> dict:
    """What records are about and what made them, as JSON."""
    weights = {name: task.weight for name, task in condition.lab(0).tasks.items()}
    machine = {"machine": platform.machine(), "processor": _processor()}
    return {
        "schema": SCHEMA,
        "condition": condition.to_json(),
        "recipe": condition.config(0).to_json(),
        "data": {"images": IMAGES, "image_size": IMAGE_SIZE, "widths": WIDTHS},
        "space": condition.space.to_json(),
        "weights": weights,
        "versions": versions(),
        "machine": machine,
    }


def _processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _essence(described: object) -> object:
    """A part of a description without what changes no record."""
    if not isinstance(described, Mapping):
        return described
    return {name: value for name, value in described.items() if name not in TOLD_ONLY}


def _json(value: Mapping) -> bytes:
    return json.dumps(jsonl.to_jsonable(value), indent=1).encode()
