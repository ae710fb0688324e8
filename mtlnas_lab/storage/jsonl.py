"""What run folders are made of: checked lines of JSON, and plain files that are written whole or not at all.

A line reads `{"seq":7,…,"crc":"1c291ca3"}`. `seq` counts the records of a file from 1 without a hole; `crc` is the
CRC-32 of the line without its crc member. Numbers that JSON lacks are the strings "NaN", "Infinity", "-Infinity".
A reader starts afresh at every newline, so damage costs the lines it hits and no other.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import RunError
from .safe_files import (
    read,
)

LINE = 2**20  # bytes of a line

DEPTH = 64  # brackets around a value


BRACKETS = 100_000  # lists and objects of a JSON text: small ones take memory

COMMAS = 2_000_000  # values


LOG = 2**32  # bytes of a log

RECORDS = 5_000_000  # in it

NOTES = 1_000  # problems of it that are listed


SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


MARK = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.S)


STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


# --- JSON -------------------------------------------------------------------------------------------------------------
def to_jsonable(value: object) -> object:
    """`value` in standard JSON: tuples as lists, scalars of arrays as numbers, NaN and Inf as strings. Or RunError."""
    if isinstance(value, dict):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return "NaN"
        return "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (str, int, float)):
        return value
    try:
        return to_jsonable(value.item())
    except (AttributeError, RuntimeError, ValueError):
        raise RunError(
            f"{reprlib.repr(value)} can't be kept as JSON; give text, numbers, lists and dicts"
        ) from None


def from_jsonable(value: object) -> object:
    """Numbers again of what `to_jsonable` made strings, for places where only numbers stand."""
    if isinstance(value, dict):
        return {key: from_jsonable(item) for key, item in value.items()}
    if isinstance(value, str):
        return SPECIAL.get(value, value)
    return value


def parse_object(data: bytes) -> dict:
    """An object in standard JSON and UTF-8, at most 64 brackets deep. Raises RunError, before it makes anything of
    one that is deeper or has more values."""
    if _brackets(data) > BRACKETS or data.count(b",") > COMMAS:
        raise RunError(f"JSON of more than {BRACKETS} lists and objects, or {COMMAS} values")
    if _brackets(data) > DEPTH:  # otherwise it can't be deep, which is found faster
        _refuse_depth(data)
    try:
        value = json.loads(data.decode(), parse_constant=lambda name: {}[name])
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, KeyError, RecursionError) as error:
        raise RunError(f"no JSON: {reprlib.repr(str(error))}") from None
    if not isinstance(value, dict):
        raise RunError("no JSON object")
    return value


def _refuse_depth(data: bytes) -> None:
    depth = 0
    for mark in MARK.finditer(data):
        depth += STEPS.get(mark[0], 0)  # a text is one mark, and no step
        if depth > DEPTH:
            raise RunError(f"JSON of more than {DEPTH} brackets' depth")


def _brackets(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{")


def checksum(value: dict) -> str:
    """A checksum of a JSON object, whatever its layout."""
    return f"{zlib.crc32(json.dumps(value).encode()):08x}"


# --- lines ------------------------------------------------------------------------------------------------------------
def encode(record: dict) -> bytes:
    """The line, newline included, of a record that begins with its seq. Raises RunError if `decode` would refuse it."""
    body = json.dumps(to_jsonable(record), separators=(",", ":"), allow_nan=False).encode()
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
        self.line = 0  # lines seen
        self.seq = 0  # of the last good record
        self.pending = 0  # bytes behind the last newline
        self.problems: list[str] = []
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Any]:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: LINE + 1]
        if lines:
            self.pending = 0
        self.pending += len(data) - data.rfind(b"\n") - 1
        for line in lines:
            self.line += 1
            try:
                record = decode(line)
                seq = record["seq"]
                last = self.seq
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


def read_json(path: str | os.PathLike, limit: int = 2**24) -> dict:
    """The object in a file of JSON. Raises RunError for one that is missing, damaged or larger than the limit."""
    data = read(path, limit)
    try:
        return parse_object(data)
    except RunError as error:
        raise RunError(f"{path} is damaged: {error}") from None
