"""A table's file: Parquet with its description inside, and a checksum beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RunError
from ..storage import jsonl
from ..storage.safe_files import read as read_plain
from ..storage.safe_files import replace
from .records import SCHEMA, load
from .training import Record

if TYPE_CHECKING:
    import pandas

FILE = "table.parquet"
ABOUT = "table.json"  # what the table is about, with the checksum of its file
LIMIT = 2**27  # bytes of a table's file


def frame_of(records: list[Record]) -> pandas.DataFrame:
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


def write(folder: Path, records: list[Record], about: Mapping) -> None:
    """Writes table.parquet and table.json. The same records make the same bytes, on one version of pyarrow."""
    import io

    stream = io.BytesIO()
    frame_of(records).to_parquet(stream, engine="pyarrow", compression="zstd", index=False)
    data = stream.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / FILE, data)
    described = dict(about) | {"sha256": hashlib.sha256(data).hexdigest(), "rows": len(records)}
    replace(folder / ABOUT, json.dumps(jsonl.to_jsonable(described), indent=1).encode() + b"\n")


def read(folder: Path) -> tuple[dict, pandas.DataFrame]:
    """A table's description and its records: of table.parquet, or else of what `make` has left so far.

    Raises:
        RunError: The file is damaged, of another schema, or not there.
    """
    if not (folder / FILE).is_file():
        return _unfinished(folder)
    import io

    import pandas as pd

    about = jsonl.read_json(folder / ABOUT)
    _must_be_of_this_schema(folder, about)
    data = read_plain(folder / FILE, LIMIT)
    if hashlib.sha256(data).hexdigest() != about.get("sha256"):
        raise RunError(f"{folder / FILE} is damaged: its checksum is not that in {ABOUT}")
    return about, pd.read_parquet(io.BytesIO(data), engine="pyarrow")


def _unfinished(folder: Path) -> tuple[dict, pandas.DataFrame]:
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
