"""`mtlnas-lab bench …`: the table of all small fusion graphs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tyro.conf import Positional

from ..errors import ConfigError, RunError
from ..one_line import printable
from .places import writable

RUNS = Path("runs/bench")


def show(table: Positional[str] = "") -> None:
    """Say which tables there are, or what one of them can tell apart.

        mtlnas-lab bench show
        mtlnas-lab bench show segmentation-normals

    Args:
        table: A shipped table's name, or a folder with one; otherwise all that are shipped, a line each.
    """
    from ..bench import parquet
    from ..bench.card import card
    from ..bench.condition import CONDITIONS
    from ..bench.pilots import judgement, pilots
    from ..bench.table import FusionTable, shipped

    if table:
        found = FusionTable.open(table)
        if parquet.FILE not in found.about:  # records that are still being made have no card
            print(printable(repr(found)))
            return
        print(card(found))
        return
    there = shipped()
    tried = pilots()
    for name, condition in CONDITIONS.items():
        said = "not shipped"
        if name in there:
            said = f"shipped: {FusionTable.open(name)!r}"
        elif name in tried:
            said += f"; {judgement(condition, tried[name])}"
        print(printable(f"{name}: {condition.about} ({said})"))


def query(
    table: Positional[str],
    graph: Positional[str],
    seed: int | None = None,
    split: str = "test",
    step: int | None = None,
    batch_norm: str = "trained",
) -> None:
    """Look a graph up: scores with their spread between seeds, rank and regret.

        mtlnas-lab bench query segmentation-normals 01100000
        mtlnas-lab bench query segmentation-normals 6 --seed 0 --split val

    Args:
        table: A shipped table's name, or a folder with one.
        graph: Bits, edge 0 first, or a number.
        seed: One seed; otherwise the mean over all.
        split: val or test.
        step: The losses on val at this step of training.
        batch_norm: trained or recalibrated.
    """
    from ..bench.table import FusionTable

    found = FusionTable.open(table)
    if step is not None:
        split = "val"
    answer = found.query(_graph(graph, len(found.space)), seed, split, step, batch_norm)
    for line in _answered(found, answer, step):
        print(printable(line))


def _answered(table, answer, step: int | None) -> Iterator[str]:
    where = f"{answer.split}, batch norm {answer.batch_norm}"
    if step is not None:
        where = f"val, at step {step}"
    seeds = ", ".join(map(str, answer.seeds))
    edges = ", ".join(map(str, table.architecture(answer.graph).edges)) or "no edge"
    yield f"{table.name}, graph {answer.graph} ({where}; mean over {answer.n} seeds: {seeds}): {edges}"
    for task, scores in answer.mean.items():
        for metric, mean in scores.items():
            spread = answer.spread[task][metric]
            blur = f" ± {spread:.3g}" if answer.n > 1 else ""
            yield f"  {task} {metric}: {mean:.4g}{blur}"
    yield f"  total loss: {answer.total:.4g}"
    if step is None and not set(answer.seeds) <= set(table.seeds):
        yield f"  no rank yet: not every graph has seed {seeds}"
    elif step is None:
        where = {"split": answer.split, "batch_norm": answer.batch_norm}
        if answer.n == 1:
            where["seed"] = answer.seeds[0]
        rank = table.rank(answer.graph, **where)
        regret = table.regret(answer.graph, **where)
        against = table.regret(answer.graph, against="random_same_edges", **where)
        yield (
            f"  rank {rank} of {len(table.graphs)} by total loss; {regret:.3g} above the best, {against:+.3g} against the "
            "mean of graphs with as many edges"
        )
    yield f"  {answer.parameters} parameters, {answer.operations} multiply-adds an image, {answer.seconds:.1f} s to train"


def make(
    condition: Positional[str],
    out: Path | None = None,
    seeds: str = "",
    graphs: str = "",
    pilot: bool = False,
    jobs: int = 2,
    backend: str = "loky",
) -> None:
    """Train every graph of a condition under every seed; go on with what an earlier call left; write the table.

        mtlnas-lab bench make segmentation-normals --jobs 8
        mtlnas-lab bench make blind --pilot               # first: 16 graphs under 8 seeds, are they reliable?
        mtlnas-lab bench make blind --graphs 0,255 --seeds 7

    Args:
        condition: Its name; `mtlnas-lab bench show` lists them.
        out: Where the records go; otherwise runs/bench/<condition>.
        seeds: As in 0,1,2; otherwise the condition's.
        graphs: Their numbers or bits, as in 0,6,11111111; otherwise all.
        pilot: Train 16 graphs under 8 seeds, and say how reliable each score is.
        jobs: Trainings at a time.
        backend: joblib's: loky (processes of this machine), dask, ray, sequential.
    """
    from tqdm import tqdm

    from ..bench import make as work
    from ..bench.condition import condition as named
    from ..bench.records import Records

    about = named(condition)
    out = writable(out or RUNS / condition)
    chosen_seeds = _numbers("seeds", seeds) or list(about.seeds)
    chosen_graphs = _graphs(graphs, about)
    if pilot:
        if seeds or graphs:
            raise ConfigError("a pilot has its own graphs and seeds; leave the others away")
        chosen_seeds = list(work.PILOT_SEEDS)
        chosen_graphs = work.pilot_graphs(about)
    _begin(about, out)
    made = work.make(about, out, chosen_graphs, chosen_seeds, jobs, backend)
    with Records(out, about) as records:
        wanted = {(graph, seed) for graph in chosen_graphs for seed in chosen_seeds}
        missing = len(wanted - records.done)
        for problem in records.problems:
            print(printable(f"{out}: {problem}; it is made again"))
    try:
        with tqdm(total=missing, unit="graph", desc=condition, dynamic_ncols=True) as bar:
            for _ in made:
                bar.update()
    except KeyboardInterrupt as end:
        end.add_note("what is done is kept; the same command goes on with it")
        raise
    _tell(about, out)


def _begin(condition, out: Path) -> None:
    """A new folder begins with the records of the table that is shipped, where they are what would be made here."""
    from ..bench.make import take_over
    from ..bench.table import samples, shipped

    if condition.name not in shipped() or (out / "records.jsonl").is_file():
        return
    try:
        taken = take_over(samples() / "bench" / condition.name, condition, out)
    except RunError as error:
        print(printable(f"{error}: all are made here"))
    else:
        print(f"{taken} records are those of the shipped table")


def _tell(condition, out: Path) -> None:
    """The table where it can be written, else how far it is."""
    from ..bench.card import pilot_floors, pilot_of, publish, whole_seeds
    from ..bench.parquet import frame_of
    from ..bench.pilots import judgement
    from ..bench.records import load
    from ..bench.table import FusionTable

    records, _, _, _ = load(out / "records.jsonl")
    table = FusionTable.open(out)
    pilot = pilot_of(condition, records)
    if pilot:
        print(judgement(condition, pilot_floors(table, frame_of(pilot))))
    if whole_seeds(condition, records):
        publish(condition, out, out)
        print(printable(out / "card.md"))
    else:
        print(f"{len(records)} records; no seed has all {condition.graphs} graphs yet")


def _graph(text: str, edges: int) -> int | str:
    """A graph as text: of as many digits as there are edges they are bits, edge 0 first; otherwise a number."""
    is_number = text.isascii() and text.isdigit() and str(int(text)) == text
    return int(text) if is_number and len(text) != edges else text


def _graphs(text: str, about) -> list[int]:
    """The numbers of the graphs that are named; of all where none is."""
    from ..bench.graph import number_of

    parts = _parts("graphs", text)
    if not parts:
        return list(range(about.graphs))
    named = [_graph(part, len(about.space)) for part in parts]
    return list(dict.fromkeys(number_of(graph, about.space) for graph in named))


def _parts(what: str, text: str) -> list[str]:
    """The parts of "0,1,2". Raises ConfigError where there is a comma and nothing beside it."""
    if not text.strip():
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ConfigError(f"{what} = {text!r}: a part is empty; give them as in 0,1,2")
    return parts


def _numbers(what: str, text: str) -> list[int]:
    """Whole numbers of "0,1,2". Raises ConfigError."""
    found = []
    for part in _parts(what, text):
        if not (part.isascii() and part.isdigit() and len(part) < 10):
            raise ConfigError(f"{what} = {part!r}: give whole numbers from 0, as in 0,1,2")
        found.append(int(part))
    return list(dict.fromkeys(found))


def check(table: Positional[str], records: int = 10, seed: int = 0) -> None:
    """Train some records again and compare: are the table's numbers those that its code makes here?

        mtlnas-lab bench check segmentation-normals --records 10

    Args:
        table: A shipped table's name, or a folder with one.
        records: How many, drawn at random.
        seed: Draws them.
    """
    from ..bench.again import made_again
    from ..bench.table import FusionTable

    worst = 0.0
    for done in made_again(FusionTable.open(table), records, seed):
        worst = max(worst, done.difference)
        print(
            f"graph {done.graph} under seed {done.seed}: largest relative difference {done.difference:.2g}"
        )
    print(f"{records} records made again; largest relative difference {worst:.2g}")


BENCH = {"show": show, "query": query, "make": make, "check": check}
