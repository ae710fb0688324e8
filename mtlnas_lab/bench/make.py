"""Makes the records of a table: every graph under every seed, as many at a time as there are cores."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path

from ..analysis.study import known, processes, workers
from ..errors import RunError
from . import parquet
from .condition import Condition
from .graph import number_of
from .records import PARTS, Records, described, unlike
from .training import Record, train

PILOT_GRAPHS = 16
PILOT_SEEDS = tuple(range(8))


def pilot_graphs(condition: Condition) -> list[int]:
    """The graphs that a pilot trains under eight seeds, drawn once for all: does a graph's score repeat at all?"""
    drawn = random.Random(0).sample(range(condition.graphs), PILOT_GRAPHS)
    return sorted(drawn)


def make(
    condition: Condition,
    folder: str | os.PathLike,
    graphs: Iterable[int] | None = None,
    seeds: Sequence[int] | None = None,
    jobs: int = 1,
    backend: str = "loky",
) -> Iterator[Record]:
    """Trains what is missing, keeps each record at once, and yields it. Called again, it goes on.

    All graphs under the first seed come first, so that a table that was stopped covers every graph equally.

    Args:
        condition: What the table is about.
        folder: Where the records go.
        graphs: Their numbers; otherwise all.
        seeds: Otherwise the condition's.
        jobs: Trainings at a time, of one thread each; -1 is as many as there are cores.
        backend: joblib's: loky (processes of this machine), sequential, dask or ray.

    Raises:
        SpaceError: There is no such graph; before anything is trained, as for the next one.
        ConfigError: The number of jobs cannot be, or the backend is not there.
        RunError: The folder belongs to other records, or a process was killed.
    """
    jobs = processes(jobs)
    known(backend)
    if graphs is None:
        graphs = range(condition.graphs)
    if seeds is None:
        seeds = condition.seeds
    numbers = [number_of(graph, condition.space) for graph in graphs]
    wanted = [(number, seed) for seed in seeds for number in numbers]
    return _made(condition, folder, wanted, jobs, backend)


def _made(
    condition: Condition,
    folder: str | os.PathLike,
    wanted: Sequence[tuple[int, int]],
    jobs: int,
    backend: str,
) -> Iterator[Record]:
    with Records(folder, condition) as records:
        done = records.done
        missing = [(condition, *each) for each in wanted if each not in done]
        for record in in_parallel(train, missing, jobs, backend):
            records.add(record)
            yield record


def take_over(table: str | os.PathLike, condition: Condition, folder: str | os.PathLike) -> int:
    """Begins a folder of records with those of a finished table and of its pilot, so that `make` goes on with them.

    Args:
        table: The folder of the table.
        condition: What it is about.
        folder: Where the records go.

    Returns:
        How many records were taken: those that the folder did not have.

    Raises:
        RunError: They were made otherwise than this version and this machine would make them.
    """
    about, made = parquet.read(Path(table))
    what = unlike(about, described(condition), (*PARTS, "machine"))
    if what:
        raise RunError(
            f"the records of {table} were made with another {what} ({about.get(what)}) than those of today would be"
        )
    taken = 0
    with Records(folder, condition) as records:
        done = records.done
        for frame in (made, parquet.read_pilot(Path(table))):
            rows = [] if frame is None else frame.to_dict("records")
            for record in rows:
                if (record["graph"], record["seed"]) not in done:
                    records.add(record)
                    done.add((record["graph"], record["seed"]))
                    taken += 1
    return taken


def in_parallel(function: Callable, calls: Iterable[tuple], jobs: int, backend: str) -> Iterator:
    """What a function returns for each tuple of arguments, in the order in which they are done.

    Args:
        function: Takes the arguments of one call; it and they may be sent to another process.
        calls: The arguments.
        jobs: Calls at a time.
        backend: joblib's: loky, sequential, dask or ray.

    Raises:
        RunError: A process was killed.
    """
    import joblib

    with (
        warnings.catch_warnings(),
        workers(backend, jobs),
        joblib.parallel_config(backend=backend, n_jobs=jobs),
    ):
        # loky puts a fresh process in the place of one that has grown, and says so; nothing is lost by it
        warnings.filterwarnings(
            "ignore", "A worker stopped while some jobs were given to the executor"
        )
        task = joblib.delayed(function)
        parallel = joblib.Parallel(return_as="generator_unordered")
        try:
            yield from parallel(task(*call) for call in calls)
        except BrokenExecutor:
            raise RunError(
                "a process that trains a graph was killed; what is done is kept, and the same call goes on"
            ) from None
