"""What run folders are made of: checked lines of JSON, and plain files that are written whole or not at all.

A line reads `{"seq":7,…,"crc":"1c291ca3"}`. `seq` counts the records of a file from 1 without a hole; `crc` is the
CRC-32 of the line without its crc member. Numbers that JSON lacks are the strings "NaN", "Infinity", "-Infinity".
A reader starts afresh at every newline, so damage costs the lines it hits and no other.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import reprlib
import socket
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LINE, DEPTH = 2**20, 64  # bytes of a line, brackets around a value
BRACKETS, COMMAS = (
    100_000,
    2_000_000,
)  # lists and objects of a JSON text, and values: small ones take memory
LOG, RECORDS, NOTES = 2**32, 5_000_000, 1_000  # of a log: bytes, records, problems that are listed
SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
FULL, CLOSED = "make room and go on with --resume", "pass an --out that you may write to"
ADVICE = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,
    errno.EACCES: CLOSED,
    errno.EROFS: CLOSED,
    errno.ENOENT: "is this a whole run folder, and still there?",
}


MARK = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.S)
STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


# --- JSON -------------------------------------------------------------------------------------------------------------
def plain(value: object) -> object:
    """`value` in standard JSON: tuples as lists, scalars of arrays as numbers, NaN and Inf as strings. Or RunError."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (str, int, float)):
        return value
    try:
        return plain(value.item())
    except (AttributeError, RuntimeError, ValueError):
        raise RunError(
            f"{reprlib.repr(value)} can't be kept as JSON; give text, numbers, lists and dicts"
        ) from None


def revive(value: object) -> object:
    """Numbers again of what `plain` made strings, for places where only numbers stand."""
    if isinstance(value, dict):
        return {key: revive(item) for key, item in value.items()}
    return SPECIAL.get(value, value) if isinstance(value, str) else value


def parse_object(data: bytes) -> dict:
    """An object in standard JSON and UTF-8, at most 64 brackets deep. Raises RunError, before it makes anything of
    one that is deeper or has more values."""
    if _brackets(data) > BRACKETS or data.count(b",") > COMMAS:
        raise RunError(f"JSON of more than {BRACKETS} lists and objects, or {COMMAS} values")
    depth = 0
    for mark in MARK.finditer(data) if _brackets(data) > DEPTH else ():
        depth += STEPS.get(mark[0], 0)  # a text is one mark, and no step
        if depth > DEPTH:
            raise RunError(f"JSON of more than {DEPTH} brackets' depth")
    try:
        value = json.loads(data.decode(), parse_constant=lambda name: {}[name])
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, KeyError, RecursionError) as error:
        raise RunError(f"no JSON: {reprlib.repr(str(error))}") from None
    if not isinstance(value, dict):
        raise RunError("no JSON object")
    return value


def _brackets(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{")


def seal(value: dict) -> str:
    """A checksum of a JSON object, whatever its layout."""
    return f"{zlib.crc32(json.dumps(value).encode()):08x}"


# --- lines ------------------------------------------------------------------------------------------------------------
def encode(record: dict) -> bytes:
    """The line, newline included, of a record that begins with its seq. Raises RunError if `decode` would refuse it."""
    body = json.dumps(plain(record), separators=(",", ":"), allow_nan=False).encode()
    if _brackets(body) > DEPTH or b"\\u" in body:
        parse_object(body)
    if len(body) + 20 > LINE or not 0 < record["seq"] <= RECORDS:
        raise RunError(
            f"record {record['seq']} has {len(body)} bytes; at most {LINE} and {RECORDS} records fit"
        )
    return b'%s,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body))


def decode(line: bytes) -> dict:
    """The record of a line. Raises RunError for a line that is damaged or beyond the limits."""
    if len(line) > LINE:
        raise RunError(f"longer than {LINE} bytes")
    body, mark, crc = line.rstrip(b"\r\n").rpartition(b',"crc":"')
    body += b"}"
    if not mark:
        raise RunError(f"no crc in {len(line)} bytes: cut short or damaged")
    if crc != b'%08x"}' % zlib.crc32(body):
        raise RunError("its crc does not match: damaged")
    record = parse_object(body)
    if type(record.get("seq")) is not int or not 0 < record["seq"] <= RECORDS:
        raise RunError(
            f"seq is {reprlib.repr(record.get('seq'))}; it should be from 1 to {RECORDS}"
        )
    return record


class Reader:
    """Bytes in, in any portions; out comes what `read` makes of each good record. It never raises for what they are.

    `problems` says what was skipped. `read` raises RunError for a record that it can't use.
    """

    def __init__(self, read: Callable[[dict], Any] = dict):
        self.read = read
        self.line = self.seq = 0  # lines seen; seq of the last good record
        self.pending = 0  # bytes behind the last newline
        self.problems: list[str] = []
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Any]:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: LINE + 1]
        self.pending = len(data) - data.rfind(b"\n") - 1 + (0 if lines else self.pending)
        for line in lines:
            self.line += 1
            try:
                record = decode(line)
                seq, last = record["seq"], self.seq
                if seq <= last:
                    raise RunError(f"record {seq} comes after record {last}: skipped")
                if seq > last + 1:
                    self.note(f"records {last + 1} to {seq - 1} are missing before it")
                self.seq = seq
                yield self.read(record)
            except RunError as error:
                self.note(str(error))

    def note(self, problem: str) -> None:
        if len(self.problems) < NOTES:
            self.problems.append(f"line {self.line}: {problem}")


# --- files ------------------------------------------------------------------------------------------------------------
@contextmanager
def told(path: str | os.PathLike) -> Iterator[None]:
    """Makes the system's errors RunErrors that say where and what to do."""
    try:
        yield
    except OSError as error:
        advice = ADVICE.get(error.errno)
        raise RunError(
            f"{path}: {error.strerror or error}{f'; {advice}' if advice else ''}"
        ) from None


def open_plain(path: str | os.PathLike, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a regular file. Links, pipes and devices are refused with RunError; a pipe does not block."""
    if os.path.islink(path):
        raise RunError(f"{path} is a link; a run folder holds plain files")
    extra = (getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
    descriptor = os.open(path, sum(extra, flags), 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RunError(f"{path} is not a plain file")
    return descriptor


def read(path: str | os.PathLike, limit: int) -> bytes:
    """The bytes of a plain file. Raises RunError, before reading, for one that is missing or larger than the limit."""
    with told(path), os.fdopen(open_plain(path), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise RunError(f"{path} has {size} bytes; at most {limit} are expected there")
        return stream.read(size)


def read_json(path: str | os.PathLike, limit: int = 2**24) -> dict:
    """The object in a file of JSON. Raises RunError for one that is missing, damaged or larger than the limit."""
    data = read(path, limit)
    try:
        return parse_object(data)
    except RunError as error:
        raise RunError(f"{path} is damaged: {error}") from None


def replace(path: Path, data: bytes) -> None:
    """Puts a file in place as a whole or not at all, and safe from a power failure. Raises RunError."""
    new = f"{path}.tmp"
    with told(path):
        with suppress(FileNotFoundError):
            os.unlink(new)
        try:
            descriptor = open_plain(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(new, path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(new)
            raise


def sync_folder(path: Path) -> None:
    """Makes the names in a folder safe from a power failure, where the system lets folders be opened (not Windows)."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def take_lock(path: Path) -> int:
    """A descriptor that holds the lock of `path` until it is closed or this process ends, however it ends.

    Raises RunError while another process has it, and on file systems that have no locks.
    """
    with told(path):
        descriptor = open_plain(path, os.O_RDWR | os.O_CREAT)
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            os.lseek(
                descriptor, 2**30, os.SEEK_SET
            )  # a byte far behind the text, which stays readable
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        with suppress(OSError):  # the name is a courtesy
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{socket.gethostname()} {os.getpid()}".encode())
        return descriptor
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, (BlockingIOError, PermissionError)):
            raise RunError(
                f"{path} can't be locked ({error.strerror}), so two processes might write to the run; "
                "pass an --out on another disk"
            ) from None
    holder = "".join(filter(str.isprintable, read(path, 1_000).decode(errors="replace")))
    raise RunError(
        f"{path.parent}: run is being written by {holder or 'another process'}; "
        "wait for it, stop it, or only look at the run"
    )
