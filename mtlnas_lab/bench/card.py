"""A table's files for readers: the table, its pilot, and a card that says what it is and what it can tell apart."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import ConfigError
from . import parquet
from .condition import IMAGE_SIZE, IMAGES, RECIPE, Condition
from .landscape import idle_edges
from .make import PILOT_GRAPHS, PILOT_SEEDS, pilot_graphs
from .noise import NoiseFloor, noise_floor
from .records import described, load
from .table import TOTAL, FusionTable
from .training import Record

TEMPLATES = Path(__file__).parent / "templates"
RELIABLE = 0.8  # of a graph's mean over the planned seeds: below it a table ranks noise


def publish(
    condition: Condition, records: str | os.PathLike, out: str | os.PathLike
) -> FusionTable:
    """Make a table of finished records: table.parquet, table.json, card.md, and pilot.parquet where a pilot was run.

    Only seeds under which every graph was trained go into the table, so that no mean hides another seed. A sentence named
    `remark` in the records' description goes onto the card.

    Args:
        condition: What the records are about.
        records: The folder that `make` left.
        out: The folder to write.

    Raises:
        ConfigError: No seed has every graph yet.
        RunError: The records are damaged, or about something else.
    """
    records = Path(records)
    out = Path(out)
    about, _ = parquet.read(records)
    kept, _, _, _ = load(records / "records.jsonl")
    whole = whole_seeds(condition, kept)
    if not whole:
        raise ConfigError(
            f"{records}: no seed has all {condition.graphs} graphs yet; the same `make` goes on with them"
        )
    chosen = [record for record in kept if record["seed"] in whole]
    described_now = described(condition) | {
        "versions": about["versions"],
        "machine": about["machine"],
        "seeds": whole,
    }
    if "remark" in about:
        described_now["remark"] = about["remark"]
    parquet.write(out, chosen, pilot_of(condition, kept), described_now)
    table = FusionTable.open(out)
    (out / "card.md").write_text(card(table, parquet.read_pilot(out)), encoding="utf-8")
    return table


def whole_seeds(condition: Condition, records: list[Record]) -> list[int]:
    """The seeds under which every graph was trained."""
    counts: dict[int, set[int]] = {}
    for record in records:
        counts.setdefault(record["seed"], set()).add(record["graph"])
    return sorted(seed for seed, graphs in counts.items() if len(graphs) == condition.graphs)


def pilot_of(condition: Condition, records: list[Record]) -> list[Record]:
    """The records of a finished pilot, else none: 16 graphs under 8 seeds."""
    graphs = set(pilot_graphs(condition))
    found = [
        record for record in records if record["graph"] in graphs and record["seed"] in PILOT_SEEDS
    ]
    if len(found) < PILOT_GRAPHS * len(PILOT_SEEDS):
        return []
    return found


def scores_of(table: FusionTable) -> list[str]:
    """The scores that a card tells the noise of: the total and each task's loss."""
    return [TOTAL, *(f"{task}/loss" for task in table.tasks)]


def pilot_scores(table: FusionTable, pilot) -> dict[str, np.ndarray]:
    """{score: a row for each graph of the pilot, a column for each seed}, of a pilot's frame of records."""
    small = FusionTable(table.condition, pilot, table.about)
    return {by: small.by_seed(by)[list(small.graphs)] for by in scores_of(small)}


def pilot_floors(table: FusionTable, pilot) -> dict[str, NoiseFloor]:
    """{score: the noise floor of the pilot's records}."""
    return {by: noise_floor(values) for by, values in pilot_scores(table, pilot).items()}


def card(table: FusionTable, pilot=None) -> str:
    """What a table is, as Markdown; each number is computed from its records."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,  # a misspelt name is an error, not an empty place
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    noise = {}
    if len(table.seeds) > 1:
        noise = {by: table.noise_floor(by) for by in scores_of(table)}
    repeats = {}
    if pilot is not None:
        repeats = pilot_floors(table, pilot)
    known = {"table": table, "condition": table.condition, "about": table.about}
    known |= {"images": IMAGES, "size": IMAGE_SIZE, "recipe": RECIPE, "enough": RELIABLE}
    known["digest"] = table.about[parquet.FILE]["sha256"]
    known["hours"] = table.frame()["seconds"].sum() / 3600
    idle = idle_edges(table)
    known["idle"] = [str(table.space.edges[i]) for i in idle]
    known["different"] = len(table.graphs) >> len(idle)
    return environment.get_template("card.md.j2").render(noise=noise, pilot=repeats, **known)
