"""The records of a table while it is made: a folder with one checked line for each trained graph.

`condition.json` says what the records are about and what made them; `records.jsonl` holds them. A line that a power
failure cut costs that record alone, which the next call makes again.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from ..core.config import versions
from ..errors import RunError
from ..storage import jsonl
from ..storage.safe_files import (
    open_plain,
    os_errors_as_run_errors,
    read,
    replace,
    take_lock,
)
from .condition import IMAGE_SIZE, IMAGES, WIDTHS, Condition
from .training import Record

TOLD_ONLY = ("about", "held_out", "seeds")  # of a condition: they change no record
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
        with os_errors_as_run_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(self.folder / "lock")
        self._file: int | None = None
        try:
            self._must_be_of(described(condition))
            self._file = open_plain(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            self.records, self.problems, self._seq, whole = load(self._path)
            if not whole:  # the end of a line that was cut is nobody's
                os.write(self._file, b"\n")
        except BaseException:
            self.close()
            raise

    @property
    def _path(self) -> Path:
        return self.folder / "records.jsonl"

    @property
    def done(self) -> set[tuple[int, int]]:
        """(graph, seed) of each record that is there."""
        return {(record["graph"], record["seed"]) for record in self.records}

    def add(self, record: Record) -> None:
        """Keeps a record: it is on the disk when this returns."""
        line = jsonl.encode({"seq": self._seq + 1} | record)
        with os_errors_as_run_errors(self._path):
            os.write(self._file, line)
            os.fsync(self._file)
        self._seq += 1
        self.records.append(record)

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
        wanted = jsonl.parse_object(_json(wanted))
        for what in ("schema", "condition", "recipe", "data", "versions"):
            if _essence(there.get(what)) != _essence(wanted[what]):
                raise RunError(
                    f"{self.folder} was made with another {what} ({there.get(what)}); records of one table are made "
                    "alike: give another folder"
                )

    def close(self) -> None:
        """Gives up the lock."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = None
        self._lock = None

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *error) -> None:
        if self._lock is not None:
            self.close()


def load(path: Path) -> tuple[list[Record], list[str], int, bool]:
    """The good records of a file; what is wrong with the others; the last number; whether it ends in a whole line."""
    data = read(path, jsonl.LOG)
    reader = jsonl.Reader(_plain)
    records = list(reader.feed(data))
    return records, reader.problems, reader.seq, not reader.pending


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
