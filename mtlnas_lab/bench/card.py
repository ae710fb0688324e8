"""A table's files for readers: the table, its pilot, and a card that says what it is and what it can tell apart."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfigError
from . import parquet
from .condition import IMAGE_SIZE, IMAGES, RECIPE, Condition
from .make import PILOT_GRAPHS, PILOT_SEEDS, pilot_graphs
from .noise import NoiseFloor, noise_floor
from .records import described, load
from .table import TOTAL, FusionTable
from .training import Record

NOISE = (
    "On test images, batch norm as trained. *Reliability*: the share of the variance of the graphs' means over the seeds "
    "that is the graphs'. *Smallest difference*: what the mean over these seeds shows (95 %)."
)
COLUMNS = (
    "`graph` (bit i is edge i), `seed`, `<split>/<batch norm>/<task>/<metric>` with split val or test, batch norm trained or "
    "recalibrated; `curve/<step>/<task>`: loss on val while it trained; `parameters` and `operations` (multiply-adds an "
    "image) of the pruned network; `seconds` of processor time."
)
LIMITS = (
    "- Micro networks on small synthetic pictures: what holds here need not hold for large networks on photographs.",
    "- The best graph is best partly by luck: its lead is at most what the noise floor allows.",
    "- Another processor or version of torch gives other last digits, which training makes larger.",
)
RELIABLE = 0.8  # of a graph's mean over the planned seeds: below it a table ranks noise


def publish(
    condition: Condition, records: str | os.PathLike, out: str | os.PathLike
) -> FusionTable:
    """Make a table of finished records: table.parquet, table.json, card.md, and pilot.parquet where a pilot was run.

    Only seeds under which every graph was trained go into the table, so that no mean hides another seed.

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


def pilot_floor(table: FusionTable, pilot, by: str) -> NoiseFloor:
    """The noise floor of a pilot's records."""
    small = FusionTable(table.condition, pilot, table.about)
    return noise_floor(small.by_seed(by)[list(small.graphs)])


def card(table: FusionTable, pilot=None) -> str:
    """What a table is, as Markdown; each number is computed from its records."""
    edges = ", ".join(f"`{edge}`" for edge in table.space.edges)
    digest = table.about[parquet.FILE]["sha256"]
    lines = [
        *_head(table),
        *_held_out(table.condition),
        "## How it was made",
        "",
        *_making(table),
        "",
        "## What it can tell apart",
        "",
        NOISE,
        "",
        *_noise(table),
        "",
        *_pilot(table, pilot),
        "## Columns",
        "",
        COLUMNS,
        "",
        f"Edges, in their order: {edges}.",
        "",
        "## Known limits",
        "",
        *LIMITS,
        "",
        f"Schema {table.about['schema']}; SHA-256 of {parquet.FILE}: `{digest}`.",
        "",
    ]
    return "\n".join(lines)


def _head(table: FusionTable) -> list[str]:
    condition = table.condition
    seeds = ", ".join(map(str, table.seeds))
    return [
        f"# NAS-Bench-Fusion: {condition.name}",
        "",
        condition.about,
        "",
        f"Every one of the {len(table.graphs)} fusion graphs between the networks of {' and '.join(condition.tasks)}, "
        f"trained from the start under each of the seeds {seeds}: {len(table.frame())} records.",
        "",
    ]


def _making(table: FusionTable) -> list[str]:
    condition = table.condition
    machine = table.about["machine"]
    hours = table.frame()["seconds"].sum() / 3600
    images = ", ".join(f"{count} {split}" for split, count in IMAGES.items())
    groups = ", ".join(map(str, condition.groups))
    versions = ", ".join(f"{name} {number}" for name, number in table.about["versions"].items())
    return [
        f"- Data: rooms of {IMAGE_SIZE} × {IMAGE_SIZE} pixels, drawn by `data.rooms.render` (seed 0): {images}.",
        f"- Networks: stages in groups of {groups}, fusion {condition.fusion}; {len(table.space)} candidate edges.",
        f"- Training: {RECIPE.steps} steps of batch {RECIPE.batch_size}, Adam at {RECIPE.weight_lr:g}, falling as "
        f"(1 − t/steps)^{RECIPE.lr_power:g}; no augmentation; gates hard and fixed.",
        "- A seed draws the networks' start and the order of the images, the same for every graph.",
        f"- Processor time: {hours:.1f} hours on {machine['processor'] or machine['machine']}; {versions}.",
        f"- Made again: `mtlnas-lab bench make {condition.name}`.",
    ]


def _held_out(condition: Condition) -> list[str]:
    if not condition.held_out:
        return []
    return ["**Held out**: no setting of a search may be chosen by looking at this table.", ""]


def _noise(table: FusionTable) -> list[str]:
    if len(table.seeds) < 2:
        return ["One seed alone tells nothing of the noise."]
    lines = [
        "| score | none | all edges | best | sd between graphs | sd of the rest | F | one training | reliability | smallest "
        "difference |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for by in scores_of(table):
        floor = table.noise_floor(by)
        values = table.values(by)
        shown = [values[0], values[-1], values.min(), floor.between_graphs, floor.residual]
        shown += [floor.f, floor.single, floor.reliability, floor.smallest]
        lines.append(f"| {by} | " + " | ".join(f"{value:.3g}" for value in shown) + " |")
    return lines


def _pilot(table: FusionTable, pilot) -> list[str]:
    if pilot is None:
        return []
    planned = len(table.condition.seeds)
    lines = [
        "## Pilot",
        "",
        f"{PILOT_GRAPHS} graphs under {len(PILOT_SEEDS)} seeds: reliability of one training, and of the mean over the "
        f"{planned} seeds planned; {RELIABLE:g} is what a table needs.",
        "",
        f"| score | one training | {planned} seeds | reached |",
        "|---|---|---|---|",
    ]
    for by in scores_of(table):
        floor = pilot_floor(table, pilot, by)
        reached = floor.reliability_of(planned)
        said = "yes" if reached >= RELIABLE else "no"
        lines.append(f"| {by} | {floor.single:.2f} | {reached:.2f} | {said} |")
    return [*lines, ""]
