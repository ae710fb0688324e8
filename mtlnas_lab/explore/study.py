"""A study of an exploration: arms that each give numbers under a seed, and claims that were named before the run.

    study = Exploration.load("ofa2", size="small")
    for row in study.run("runs/studies/ofa2-small", jobs=2):
        print(row["arm"], row["seed"], row["quantities"])
    for verdict in Findings.from_folder(study, "runs/studies/ofa2-small").verdicts:
        print(verdict.sentence)

A run that was stopped goes on where it stopped.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from ..analysis.statistics import Difference, difference, holm
from ..analysis.study import FOLDER, known, processes
from ..bench.lines import Lines, load
from ..bench.make import in_parallel
from ..bench.training import one_thread
from ..errors import ConfigError, MTLNASError, RunError
from ..storage import jsonl
from ..storage.yaml_files import read_yaml
from ..values import choice, told, whole
from .claim import HELD, NOT_HELD, Claim, Verdict, outcome_of
from .study_file import must_be_about, must_have_known_parts, parsed

FILE = "rows.jsonl"
SECONDS = "seconds"  # of processor time: a quantity that every row has
SEEDS = 2**31
ARM = "arm"  # of an arm's settings: the function that it calls, where its own name is none
CALLS = "calls"  # of a row: the function that made it

Row = dict  # of one arm under one seed: arm, seed, settings, quantities, calls


@dataclass(frozen=True)
class Exploration:
    """A question, arms, seeds, and claims about them.

    Attributes:
        name: Names its file and folders.
        explore: The module of `mtlnas_lab.explore` whose `ARMS` are {name: function(seed, **settings) → {quantity: number}}.
        question: One sentence.
        arms: {row: settings}; the setting `arm` names the function where the row's own name does not.
        claims: Named before the run.
        seeds: Whole numbers from 0, each once.
        base: Settings of all arms; an arm's own come before them.
        notes: What a reader of its tables has to know, a sentence each.
        size: Which of the file's sizes it is.
        file: What `load` was given.

    Raises:
        ConfigError: There is no such module or arm, or a claim is about one that is not there.
    """

    name: str
    explore: str
    question: str
    arms: Mapping[str, Mapping]
    claims: tuple[Claim, ...] = ()
    seeds: tuple[int, ...] = tuple(range(10))
    base: Mapping = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    size: str = ""
    file: str = ""

    def __post_init__(self):
        for seed in self.seeds:
            whole("seed", seed, 0, SEEDS)
        if not self.seeds or len({*self.seeds}) < len(self.seeds):
            raise ConfigError(f"seeds: {list(self.seeds)}: give one or more, each once")
        for arm in self.arms:
            self._must_be_callable(arm)
        must_be_about(self.claims, self.arms)

    def _must_be_callable(self, arm: str) -> None:
        """Raises ConfigError where an arm's function does not take its settings."""
        function = self.function(arm)
        try:
            inspect.signature(function).bind(0, **self.settings(arm))
        except TypeError as error:
            takes = ", ".join(inspect.signature(function).parameters)
            raise ConfigError(
                f"settings of the arm {told(arm)}: {error}; it takes {takes}"
            ) from None

    @classmethod
    def load(cls, path: str | os.PathLike, size: str = "small") -> Exploration:
        """Reads its file.

        Args:
            path: The name of a shipped one, or a YAML file: name, explore, question, arms, grid {setting: its values}, which
                adds an arm for every combination, claims, base, notes, sizes {name: {seeds, base, arms}}; a size's `arms`
                are the names of those that it runs.
            size: One of the file's sizes.

        Raises:
            ConfigError: The file cannot be read, or says what cannot be.
        """
        given = str(path)
        data = read_yaml(_shipped(given), what="study")
        must_have_known_parts(given, data)
        sizes = data.get("sizes") or {"small": {}}
        if size not in sizes:
            raise ConfigError(
                f"the study {given} has no size {told(size)}; it has {', '.join(sizes)}"
            )
        chosen = sizes[size] or {}
        try:
            parts = parsed(data, chosen)
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{given} is no study of an exploration ({type(error).__name__}: {error}); it needs name, explore, question, "
                "arms and claims"
            ) from None
        return cls(**parts, size=size, file=given)

    @property
    def module(self) -> ModuleType:
        """Of `mtlnas_lab.explore`. Raises ConfigError where it is not there."""
        return _module(self.explore)

    def function(self, arm: str) -> Callable[..., dict[str, float]]:
        """What an arm calls. Raises ConfigError where it is not there."""
        arms = self.module.ARMS
        name = self.base_and_own(arm).get(ARM, arm)
        if name not in arms:
            raise ConfigError(
                f"{self.explore} has no arm {told(name)}; it has {', '.join(arms)}; name one of them in the settings, as in "
                f"{{arm: {next(iter(arms))}}}"
            )
        return arms[name]

    def settings(self, arm: str) -> dict:
        """What an arm's function is called with, besides the seed."""
        settings = self.base_and_own(arm)
        settings.pop(ARM, None)
        return settings

    def base_and_own(self, arm: str) -> dict:
        """All settings of an arm, with the name of its function where they have it."""
        return {**self.base, **self.arms[arm]}

    # --- run ----------------------------------------------------------------------------------------------------------
    def run(self, folder: str | os.PathLike, jobs: int = 1, backend: str = "loky") -> Iterator[Row]:
        """Yields the rows that are there, then makes the others, keeps each at once, and yields it.

        All arms under the first seed come first, so that a study that was stopped compares all of them.

        Args:
            folder: Where the rows go.
            jobs: Rows at a time, of one thread each; -1 is as many as there are cores.
            backend: joblib's: loky (processes of this machine), sequential, dask or ray.

        Raises:
            ConfigError: There are no such jobs or backend, or a row, which is kept, does not give what a claim asks of its arm.
            RunError: The folder has rows of other settings, another process writes there, or arms failed; the others are
                kept.
        """
        jobs = processes(jobs)
        known(backend)
        failed = []
        with _Rows(Path(folder), self) as rows:
            missing = []
            for seed in self.seeds:
                for arm in self.arms:
                    row = rows.find(arm, seed)
                    if row is None:
                        missing.append((self.function(arm), arm, seed, self.settings(arm)))
                    else:
                        self._must_give_what_is_claimed(row)
                        yield row
            for row in in_parallel(run_arm, missing, jobs, backend):
                if "error" in row:
                    failed.append(f"{row['arm']} under seed {row['seed']}: {row['error']}")
                    continue
                row[CALLS] = self.calls(row["arm"])
                rows.add(row)
                self._must_give_what_is_claimed(row)
                yield row
        if failed:
            raise RunError(
                f"{len(failed)} of {len(missing)} rows failed, the others are kept: {'; '.join(failed[:3])}"
            )

    def calls(self, arm: str) -> str:
        """What an arm calls, as its rows name it: module and function."""
        return f"{self.explore}.{self.base_and_own(arm).get(ARM, arm)}"

    def must_have_made(self, row: Row, folder: str | os.PathLike) -> None:
        """Raises RunError for a row of one of the arms that was made otherwise than this study would make it.

        Rows of earlier versions do not say what they called; their settings have to agree.
        """
        arm = row["arm"]
        if arm not in self.arms:
            return
        calls = self.calls(arm)
        if row["settings"] != _as_json(self.settings(arm)) or row.get(CALLS, calls) != calls:
            raise RunError(
                f"{folder} has rows of {arm} with other settings than the study has now; give another folder"
            )

    def _must_give_what_is_claimed(self, row: Row) -> None:
        for claim in self.claims:
            claim.must_be_given(row["arm"], row["quantities"])


def explores(path: str | os.PathLike) -> bool:
    """Whether a study's file is one of an exploration."""
    try:
        return "explore" in read_yaml(_shipped(str(path)), what="study")
    except ConfigError:
        return False


def _shipped(given: str) -> Path:
    """The file of a shipped study, or a path as it was given."""
    there = {path.stem: path for path in FOLDER.glob("*.yaml")}
    return there.get(given, Path(given))


@functools.cache
def _module(name: str) -> ModuleType:
    """The module of an exploration, which has ARMS. Raises ConfigError."""
    there = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    if name not in there:
        raise ConfigError(f"there is no exploration {told(name)}; choose of {', '.join(there)}")
    module = importlib.import_module(f"{__package__}.{name}")
    if not getattr(module, "ARMS", None):
        raise ConfigError(f"mtlnas_lab.explore.{name} has no ARMS")
    return module


def run_arm(function: Callable, arm: str, seed: int, settings: Mapping) -> Row:
    """One row, made with one thread: the same numbers each time on one kind of machine."""
    row = {"arm": arm, "seed": seed, "settings": dict(settings)}
    started = time.process_time()
    try:
        with one_thread():
            found = function(seed, **settings)
    except MTLNASError as error:  # one arm's mistake must not cost the others
        return row | {"error": str(error)}
    quantities = {name: float(value) for name, value in found.items()}
    return row | {"quantities": quantities | {SECONDS: time.process_time() - started}}


class _Rows:
    """The rows of a folder, a checked line each; only one process writes.

    Raises:
        RunError: A row is of other settings than the study's.
    """

    def __init__(self, folder: Path, study: Exploration):
        self._kept = Lines(folder / FILE, _plain)
        try:
            for row in self._kept.lines:
                study.must_have_made(row, folder)
        except BaseException:
            self._kept.close()
            raise

    def find(self, arm: str, seed: int) -> Row | None:
        for row in self._kept.lines:
            if (row["arm"], row["seed"]) == (arm, seed):
                return row
        return None

    def add(self, row: Row) -> None:
        self._kept.add(jsonl.to_jsonable(row))

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *error) -> None:
        self._kept.close()


def _plain(line: dict) -> Row:
    """A row as it was added. Raises RunError for what is none."""
    missing = [name for name in ("arm", "seed", "settings", "quantities") if name not in line]
    if missing:
        raise RunError(f"no row of a study: it has no {', '.join(missing)}")
    row = {key: jsonl.from_jsonable(value) for key, value in line.items()}
    row.pop("seq", None)
    row.pop("crc", None)
    return row


def _as_json(settings: Mapping) -> dict:
    """Settings as they come back from a file: tuples are lists there."""
    return json.loads(json.dumps(jsonl.to_jsonable(settings)))


# --- what came out ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Findings:
    """A study's numbers, and what they say of its claims.

    Attributes:
        study: What was asked.
        frame: A tidy pandas frame, a line for each number: arm, seed, quantity, value.
    """

    study: Exploration
    frame: object

    @classmethod
    def from_folder(cls, study: Exploration, folder: str | os.PathLike) -> Findings:
        """Of the rows that are finished in a folder. Raises RunError where there are none, or where they are another study's."""
        import pandas

        path = Path(folder) / FILE
        rows = []
        if path.is_file():
            rows, _, _, _ = load(path, _plain)
        lines = []
        for row in rows:
            study.must_have_made(row, folder)
            if row["arm"] in study.arms and row["seed"] in study.seeds:
                for quantity, value in row["quantities"].items():
                    lines.append([row["arm"], row["seed"], quantity, value])
        if not lines:
            raise RunError(f"{folder} has no row of the study {study.name} yet")
        return cls(study, pandas.DataFrame(lines, columns=COLUMNS))

    @classmethod
    def read(cls, study: Exploration, folder: str | os.PathLike) -> Findings:
        """Of a report's folder, which has runs.csv. Raises RunError where it has not."""
        import pandas

        path = Path(folder) / RUNS
        if not path.is_file():
            raise RunError(f"{folder} has no {RUNS}: it is no report of a study")
        frame = pandas.read_csv(
            path, dtype={"arm": str, "value": str}, na_values={"value": ""}, keep_default_na=False
        )
        return cls(study, frame.assign(value=frame["value"].astype(float)))  # every digit

    @classmethod
    def shipped(cls, name: str, size: str = "small") -> Findings:
        """Of a study whose results came with the lab. Raises ConfigError, RunError."""
        return cls.read(Exploration.load(name, size), FOLDER / f"{name}-{size}")

    @property
    def quantities(self) -> list[str]:
        """Their names, in the order in which the arms give them."""
        return list(dict.fromkeys(self.frame["quantity"]))

    def values(self, quantity: str):
        """One quantity as a frame, arm × seed; NaN where an arm does not give it. Raises ConfigError."""
        choice("quantity", quantity, self.quantities)
        chosen = self.frame[self.frame["quantity"] == quantity]
        wide = chosen.pivot(index="arm", columns="seed", values="value")
        return wide.reindex([arm for arm in self.study.arms if arm in wide.index])

    @property
    def verdicts(self) -> list[Verdict]:
        """What became of each claim; those whose arms share fewer than two seeds are left out.

        Raises:
            ConfigError: The arms of a claim do not give its quantity.
        """
        given = self.frame.groupby("arm", sort=False)["quantity"].unique()
        compared = {}
        for claim in self.study.claims:
            for arm, quantities in given.items():
                claim.must_be_given(arm, quantities)
            found = self._compared(claim)
            if found is not None:
                compared[claim] = found
        corrected = iter(holm([one.p for one in compared.values()]))
        verdicts = []
        for claim in self.study.claims:
            if claim in compared:
                one = compared[claim]
                values = tuple(claim.sign * value + 0.0 for value in one.values)  # no −0
                p = next(corrected)
                verdicts.append(Verdict(claim, values, outcome_of(claim, one, p), one, p))
            elif claim.limit is not None:
                values = self._of(claim.arm, claim.quantity).tolist()
                inside = [claim.sign * value > claim.sign * claim.limit for value in values]
                if values:
                    outcome = HELD if all(inside) else NOT_HELD
                    verdicts.append(Verdict(claim, tuple(values), outcome))
        return verdicts

    @property
    def sentences(self) -> list[str]:
        """The verdicts in words."""
        return [verdict.sentence for verdict in self.verdicts]

    def _compared(self, claim: Claim) -> Difference | None:
        if claim.against is None:
            return None
        own = self._of(claim.arm, claim.quantity)
        if isinstance(claim.against, str):
            other = self._of(claim.against, claim.quantity)
        else:
            other = 0 * own + claim.against
        seeds = own.index.intersection(other.index)
        if len(seeds) < 2:
            return None
        return difference(claim.sign * other[seeds], claim.sign * own[seeds])

    def _of(self, arm: str, quantity: str):
        """An arm's values of a quantity, by seed."""
        frame = self.frame
        chosen = frame[(frame["arm"] == arm) & (frame["quantity"] == quantity)]
        return chosen.set_index("seed")["value"].dropna()


COLUMNS = ["arm", "seed", "quantity", "value"]
RUNS = "runs.csv"
