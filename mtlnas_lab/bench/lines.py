"""A file of checked lines that grows: one process writes, and a line that was cut costs itself alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..storage import jsonl
from ..storage.safe_files import open_plain, os_errors_as_run_errors, read, take_lock


class Lines:
    """What a file of checked lines holds, to be added to; the folder's lock is held until `close`.

    Args:
        path: The file; its folder is made where it is missing, the file itself with its first line.
        plain: Makes of a line what was added. Raises RunError for what it cannot use.

    Raises:
        RunError: Another process writes in that folder.
    """

    def __init__(self, path: Path, plain: Callable[[dict], dict]):
        self.path = path
        self._file: int | None = None
        with os_errors_as_run_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._lock: int | None = take_lock(path.parent / "lock")
        self.lines: list[dict] = []
        self.problems: list[str] = []
        self._seq = 0
        self._whole = True
        try:
            if path.is_file():
                self.lines, self.problems, self._seq, self._whole = load(path, plain)
        except BaseException:
            self.close()
            raise

    def add(self, line: dict) -> None:
        """Keeps a line: it is on the disk when this returns."""
        data = jsonl.encode({"seq": self._seq + 1} | line)
        with os_errors_as_run_errors(self.path):
            if self._file is None:
                self._file = open_plain(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            if not self._whole:  # the end of a line that was cut is nobody's
                os.write(self._file, b"\n")
                self._whole = True
            os.write(self._file, data)
            os.fsync(self._file)
        self._seq += 1
        self.lines.append(line)

    def close(self) -> None:
        """Gives up the lock; again does nothing."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = None
        self._lock = None


def load(path: Path, plain: Callable[[dict], dict]) -> tuple[list[dict], list[str], int, bool]:
    """The good lines of a file; what is wrong with the others; the last number; whether it ends in a whole line."""
    reader = jsonl.Reader(plain)
    lines = list(reader.feed(read(path, jsonl.LOG)))
    return lines, reader.problems, reader.seq, not reader.pending
