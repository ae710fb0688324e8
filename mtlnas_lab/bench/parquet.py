"""A table's files: Parquet, and beside it a description with the checksums."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

from ..errors import RunError
from ..storage import jsonl
from ..storage.safe_files import read as read_plain
from ..storage.safe_files import replace
from .records import SCHEMA, load
from .training import Record

FILE = "table.parquet"
PILOT = "pilot.parquet"  # 16 graphs under 8 seeds
ABOUT = "table.json"  # what they are about, with their checksums
LIMIT = 2**27  # bytes of a table's file


def frame_of(records: list[Record]):
    """Records as a frame: one row for each graph and seed, measures in float32, counts whole."""
    import pandas as pd

    frame = pd.DataFrame(records)
    types = {}
    for column in frame.columns:
        whole = column in ("graph", "seed", "parameters", "operations")
        types[column] = "int32" if whole else "float32"
    frame = frame.astype(types)
    return frame.drop_duplicates(["graph", "seed"]).sort_values(
        ["graph", "seed"], ignore_index=True
    )


def write(folder: Path, records: list[Record], pilot: list[Record], about: Mapping) -> None:
    """Writes table.parquet, pilot.parquet and table.json, which has their checksums.

    The same records make the same bytes, with one version of pyarrow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = dict(about)
    for name, rows in ((FILE, records), (PILOT, pilot)):
        if rows:
            stream = io.BytesIO()
            frame_of(rows).to_parquet(stream, engine="pyarrow", compression="zstd", index=False)
            replace(folder / name, stream.getvalue())
            digest = hashlib.sha256(stream.getvalue()).hexdigest()
            described[name] = {"sha256": digest, "rows": len(rows)}
    replace(folder / ABOUT, json.dumps(jsonl.to_jsonable(described), indent=1).encode() + b"\n")


def read(folder: Path):
    """A table's description and its records: of table.parquet, or else of what `make` has left so far.

    Raises:
        RunError: The file is damaged, of another schema, or not there.
    """
    if not (folder / FILE).is_file():
        return _unfinished(folder)
    about = jsonl.read_json(folder / ABOUT)
    _must_be_of_this_schema(folder, about)
    return about, _frame_in(folder / FILE, about)


def read_pilot(folder: Path):
    """The pilot's records, None where there are none. Raises RunError for a damaged file."""
    if not (folder / PILOT).is_file():
        return None
    return _frame_in(folder / PILOT, jsonl.read_json(folder / ABOUT))


def _frame_in(path: Path, about: Mapping):
    import pandas as pd

    data = read_plain(path, LIMIT)
    noted = about.get(path.name)
    if not isinstance(noted, Mapping) or hashlib.sha256(data).hexdigest() != noted.get("sha256"):
        raise RunError(f"{path} is damaged: its checksum is not that in {ABOUT}")
    return pd.read_parquet(io.BytesIO(data), engine="pyarrow")


def _unfinished(folder: Path):
    about = jsonl.read_json(folder / "condition.json")
    _must_be_of_this_schema(folder, about)
    records, _, _, _ = load(folder / "records.jsonl")
    if not records:
        raise RunError(f"{folder} holds no record yet")
    return about, frame_of(records)


def _must_be_of_this_schema(folder: Path, about: Mapping) -> None:
    if about.get("schema") != SCHEMA:
        raise RunError(
            f"{folder} has records of schema {about.get('schema')!r}; this version reads schema {SCHEMA}"
        )
