"""Events as checked lines of a file: written, read, and followed while the file grows."""

from __future__ import annotations

import operator
import os
import reprlib
from dataclasses import MISSING, fields
from pathlib import Path

from ..core.events import (
    Event,
)
from ..errors import RunError
from ..storage import jsonl, safe_files
from ..storage.jsonl import SPECIAL, from_jsonable, to_jsonable
from .event_log import EventLog

KINDS = {kind.__name__.lower(): kind for kind in Event.__args__}


def _clean(kind: str, value: object) -> object:
    """`value` as a field of that kind holds it. Raises whatever shows that it can't."""
    match kind:
        case "int" if 0 <= operator.index(value) < 2**53:
            return operator.index(value)
        case "float":
            return SPECIAL[value] if isinstance(value, str) else float(value)
        case "Numbers":
            return tuple(
                [SPECIAL[item] if isinstance(item, str) else float(item) for item in value]
            )
        case "Losses":
            return {str(task): _clean("float", loss) for task, loss in value.items()}
        case "dict":
            return to_jsonable({**value})
        case "Scores":
            return from_jsonable(to_jsonable({**value}))
        case "str" | "str | None" if isinstance(value, str) or kind != "str" and value is None:
            return value
    raise ValueError


def _event(kind: type, values: dict) -> Event:
    """An event whose fields hold what they say. Raises RunError."""
    cleaned = {}
    for field in fields(kind):
        if field.name not in values and field.default is not MISSING:  # an older version wrote it
            cleaned[field.name] = field.default
            continue
        try:
            cleaned[field.name] = _clean(field.type, values[field.name])
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError):
            raise RunError(
                f"{field.name} of {kind.__name__} is {reprlib.repr(values.get(field.name))}; "
                f"it should be {field.type}"
            ) from None
    return kind(**cleaned)


def encode(event: Event, seq: int) -> bytes:
    """The event's line, newline included. Raises RunError for values that `decode` would not give back."""
    kind = type(event)
    cleaned = _event(kind, vars(event))
    return jsonl.encode({"seq": seq, "kind": kind.__name__.lower(), **vars(cleaned)})


def _numbered(record: dict) -> tuple[int, Event]:
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise RunError(
            f"a record of kind {reprlib.repr(kind)}, which a newer version may know: skipped"
        )
    return record["seq"], _event(KINDS[kind], record)


def decode(line: bytes) -> tuple[int, Event]:
    """(seq, event) of a line. Raises RunError for a line that is damaged, beyond the limits or of a newer version."""
    return _numbered(jsonl.decode(line))


def read_lines(data: bytes) -> tuple[list[tuple[int, Event]], list[str]]:
    """What can be read of a log's bytes, whatever they are: ([(seq, event)], problems with their line numbers)."""
    reader = jsonl.Reader(_numbered)
    if data and not data.endswith(b"\n"):
        data += b"\n"
    return list(reader.feed(data)), reader.problems


class Tail:
    """Follows an `events.jsonl` that grows: `poll` gives the new events, `log` has all. A replaced file starts anew."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._anew()

    def _anew(self) -> None:
        self.reader = jsonl.Reader(_numbered)
        self.file: tuple[int, int] | None = None  # which one it is to the system
        self.size = 0  # bytes that were read
        self.log = EventLog(problems=self.reader.problems)

    def poll(self, most: int = jsonl.LOG) -> list[Event]:
        """The events of the lines that were completed since the last call; none where there is no file (yet).

        most: bytes to read now; the rest comes with the next call.
        """
        events: list[Event] = []
        if not os.path.lexists(self.path):
            return events
        with (
            safe_files.os_errors_as_run_errors(self.path),
            os.fdopen(safe_files.open_plain(self.path), "rb", buffering=0) as stream,
        ):
            info = os.fstat(stream.fileno())
            if info.st_size > jsonl.LOG:
                raise RunError(
                    f"{self.path} has {info.st_size} bytes; a log has at most {jsonl.LOG}"
                )
            file = (info.st_dev, info.st_ino)
            if self.file not in (None, file) or info.st_size < self.size:
                self._anew()
            self.file = file
            stream.seek(self.size)
            end = self.size + most
            while data := stream.read(min(2**22, end - self.size)):
                self.size += len(data)
                for seq, event in self.reader.feed(data):
                    try:
                        self.log.append(event, seq)
                        events.append(event)
                    except RunError as error:
                        self.reader.note(str(error))
        return events


def read_events(path: str | os.PathLike) -> EventLog:
    """The log of an `events.jsonl`; `problems` says what was damaged. Raises RunError where there is no file."""
    tail = Tail(path)
    tail.poll()
    if not tail.file:
        raise RunError(f"there is no log {path}; a run keeps it in its events.jsonl")
    return tail.log
