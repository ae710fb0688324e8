"""A study of an exploration: arms that each give numbers under a seed, and claims that were named before the run.

    study = Exploration.load("ofa2", size="small")
    for row in study.run("runs/studies/ofa2-small", jobs=2):
        print(row["arm"], row["seed"], row["quantities"])
    for verdict in Findings.from_folder(study, "runs/studies/ofa2-small").verdicts:
        print(verdict.sentence)

A run that was stopped goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import itertools
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from ..analysis.statistics import Difference, difference, half_interval, holm
from ..analysis.study import FOLDER, known, processes
from ..bench.lines import Lines, load
from ..bench.make import in_parallel
from ..bench.training import one_thread
from ..errors import ConfigError, MTLNASError, RunError
from ..storage import jsonl
from ..storage.yaml_files import read_yaml
from ..values import LARGEST, choice, number, told, whole

FILE = "rows.jsonl"
SECONDS = "seconds"  # of processor time: a quantity that every row has
BETTER = ("more", "less", "same")
LEVEL = 0.05  # a corrected p at most so large is found
SEEDS = 2**31
ARM = "arm"  # of an arm's settings: the function that it calls, where its own name is none
CALLS = "calls"  # of a row: the function that made it

HELD = "held"
NOT_HELD = "did not hold"
COULD_NOT_TELL = "could not tell"

Row = dict  # of one arm under one seed: arm, seed, settings, quantities, calls


@dataclass(frozen=True)
class Claim:
    """What a study expects of one quantity, said before it runs.

    Attributes:
        says: The expectation, as a sentence.
        quantity: A number that the arms give.
        arm: The arm that it is about.
        better: more, less, or same.
        against: The arm that it is compared with, seed by seed; or a number, as what chance would give.
        limit: In place of another arm: the number on whose side every seed must be (better is more or less).
        least: The smallest difference that matters. Where the interval leaves no room for it, a claim did not hold; and
            arms whose difference is surely smaller are the same.
        control: Whether this claim is the one that could embarrass the method.

    Raises:
        ConfigError: Neither or both of `against` and `limit`, a claim of sameness without `least`, a name that is no text, or
            a limit that is no number.
    """

    says: str
    quantity: str
    arm: str
    better: str = "more"
    against: str | float | None = None
    limit: float | None = None
    least: float | None = None
    control: bool = False

    def __post_init__(self):
        for name in ("says", "quantity", "arm"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(
                    f'{name} = {told(getattr(self, name))} of a claim is no text; in YAML 600 is a number, and "600" a name'
                )
        choice("better", self.better, BETTER)
        for name in ("limit", "least"):
            if getattr(self, name) is not None:
                number(
                    f"{name} of the claim {told(self.says)}", getattr(self, name), least=-LARGEST
                )
        if not isinstance(self.against, str | None):
            number(f"against of the claim {told(self.says)}", self.against, least=-LARGEST)
        if (self.against is None) == (self.limit is None):
            raise ConfigError(
                f"the claim {told(self.says)} has to name what it compares with: either `against`, an arm, or `limit`, a number"
            )
        if self.better == "same" and (self.against is None or not self.least):
            raise ConfigError(
                f"the claim {told(self.says)} is about sameness: it needs `against`, and `least`, the smallest difference that matters"
            )

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return -1 if self.better == "less" else 1


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes:
        claim: What was expected.
        values: Each seed's difference arm − against; of a claim with a limit, each seed's value.
        outcome: "held", "did not hold" or "could not tell".
        difference: The comparison, signed so that above 0 is better; None for a claim with a limit.
        corrected: Its p after Holm's correction over all comparisons of the study; NaN for a claim with a limit.
    """

    claim: Claim
    values: tuple[float, ...]
    outcome: str
    difference: Difference | None = None
    corrected: float = math.nan

    @property
    def sentence(self) -> str:
        return f"{self._claimed}: {self.outcome} ({self.claim.quantity} of {self._numbers})."

    @property
    def in_short(self) -> str:
        """Two lines for a list of claims: what became of it and what was expected; below, the numbers.

        Example:
            >>> print(Findings.shipped("eas").verdicts[4].in_short)
            HELD           They are better than random graphs at equal cost (control)
                           relative_loss -0.00925 (95 % interval -0.0114 to -0.00709), corrected p = 0.0017
        """
        below = f"{'':14} {self.claim.quantity} {self.measured}"
        return f"{self.outcome.upper():14} {self._claimed}\n{below}"

    @property
    def measured(self) -> str:
        """The mean difference, its interval, and its p among all claims; of a claim with a limit, each seed's value."""
        claim = self.claim
        if self.difference is None:
            seeds = ", ".join(_digits(value) for value in self.values)
            return f"by seed {seeds}; asked to be {claim.better} than {_digits(claim.limit)}"
        low, high = self.interval
        said = f"{self.mean:+.3g} (95 % interval {low:+.3g} to {high:+.3g}), corrected p = {self.corrected:.2g}"
        if claim.better == "same":
            said += f"; alike is an interval within ±{claim.least:g}"
        return said

    @property
    def _claimed(self) -> str:
        return f"{self.claim.says}{' (control)' if self.claim.control else ''}"

    @property
    def _numbers(self) -> str:
        seeds = ", ".join(format(value, ".4g") for value in self.values)
        claim = self.claim
        if self.difference is None:
            return f"{claim.arm}, asked to be {claim.better} than {claim.limit:g}: {seeds}"
        low, high = self.interval
        said = f"{claim.arm} minus {claim.against}: {self.mean:+.4g}, 95 % interval {low:+.4g} to {high:+.4g}, "
        said += f"{len(self.values)} seeds: {seeds}; corrected p = {self.corrected:.2g}; "
        if min(self.values) == max(self.values):
            return said + "all seeds say the same"
        return said + f"{self.difference.detectable:.2g} could have been detected"

    @property
    def mean(self) -> float:
        """Of arm − against, over the seeds; of the values, for a claim with a limit."""
        mean = math.fsum(self.values) / len(self.values)
        return round(mean, 12)  # thirds that cancel leave rounding behind

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean, by Student's t."""
        half = half_interval(self.values)
        return self.mean - half, self.mean + half


def _digits(value: float) -> str:
    """A number with three digits, or with all before its point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


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
        _must_be_about(self.claims, self.arms)

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
        _must_have_known_parts(given, data)
        sizes = data.get("sizes") or {"small": {}}
        if size not in sizes:
            raise ConfigError(
                f"the study {given} has no size {told(size)}; it has {', '.join(sizes)}"
            )
        chosen = sizes[size] or {}
        try:
            parts = _parsed(data, chosen)
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
            ConfigError: There are no such jobs or backend.
            RunError: The folder has rows of other settings, another process writes there, or arms failed; the others are
                kept.
            ConfigError: A row does not give what a claim asks of its arm; it is kept.
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
        called = row.get(CALLS, self.calls(arm))
        if row["settings"] != _as_json(self.settings(arm)) or called != self.calls(arm):
            raise RunError(
                f"{folder} has rows of {arm} with other settings than the study has now; give another folder"
            )

    def _must_give_what_is_claimed(self, row: Row) -> None:
        for claim in self.claims:
            if row["arm"] in (claim.arm, claim.against):
                choice(
                    f"quantity of the claim {told(claim.says)}",
                    claim.quantity,
                    [*row["quantities"]],
                )


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


PARTS = ("name", "explore", "question", "arms", "grid", "claims", "base", "notes", "sizes")
OF_A_SIZE = ("seeds", "base", "arms")
LISTS = ("claims", "notes")
MAPPINGS = ("arms", "grid", "base", "sizes")


def _must_have_known_parts(file: str, data: Mapping) -> None:
    """Raises ConfigError for a part that nobody reads, and for one of another kind."""
    _must_be_known(f"the study {file}", data, PARTS)
    for name in MAPPINGS:
        _must_be(Mapping, f"{name} of the study {file}", data.get(name), "{name: value}")
    for name in LISTS:
        _must_be(list, f"{name} of the study {file}", data.get(name), "a list")
    for arm, settings in (data.get("arms") or {}).items():
        _must_be(Mapping, f"the arm {told(arm)}", settings, "{setting: value}")
    for values in (data.get("grid") or {}).values():
        _must_be(list, f"the grid of the study {file}", values, "a list of values for each setting")
    for size, chosen in (data.get("sizes") or {}).items():
        where = f"the size {told(size)} of the study {file}"
        _must_be(Mapping, where, chosen, "{seeds: [0, 1, 2]}")
        _must_be_known(where, chosen or {}, OF_A_SIZE)
        _must_be(list, f"seeds of {where}", (chosen or {}).get("seeds"), "a list, as in [0, 1, 2]")
        _must_be(list, f"arms of {where}", (chosen or {}).get("arms"), "a list of names")
    fields = [field.name for field in dataclasses.fields(Claim)]
    for claim in data.get("claims") or ():
        _must_be(Mapping, f"a claim of the study {file}", claim, f"{{{', '.join(fields)}}}")
        _must_be_known(f"a claim of the study {file}", claim or {}, fields)


def _must_be_known(where: str, given: Mapping, names: Sequence[str]) -> None:
    for name in given:
        if name not in names:
            raise ConfigError(f"{where} has {told(name)}; choose of {', '.join(names)}")


def _must_be(kind: type, what: str, value: object, right: str) -> None:
    """Raises ConfigError for a value of another kind; one that is not there is none."""
    if value is not None and not isinstance(value, kind):
        raise ConfigError(f"{what} is {told(value)}; give {right}")


def _parsed(data: Mapping, chosen: Mapping) -> dict:
    """The arguments of Exploration that a file gives, with what one of its sizes says of them."""
    arms = {str(arm): settings or {} for arm, settings in (data.get("arms") or {}).items()}
    arms |= _grid(data.get("grid") or {})
    if not arms:
        raise KeyError("arms")
    claims = tuple(Claim(**claim) for claim in data.get("claims") or ())
    _must_be_about(claims, arms)
    wanted = chosen.get("arms", arms)
    for arm in wanted:
        choice("an arm of the size", arm, tuple(arms))
    arms = {arm: arms[arm] for arm in wanted}
    claims = tuple(claim for claim in claims if _is_about(claim, arms))
    parts = {"arms": arms, "claims": claims}
    parts["base"] = {**(data.get("base") or {}), **chosen.get("base", {})}
    parts["seeds"] = tuple(chosen.get("seeds", Exploration.seeds))
    parts["notes"] = tuple(data.get("notes") or ())
    parts["question"] = " ".join(data["question"].split())
    return parts | {"name": data["name"], "explore": data["explore"]}


def _grid(choices: Mapping[str, list]) -> dict[str, dict]:
    """An arm for every combination of some settings' values, named by them, as in "ramp, depth-normals, 1500"."""
    if not choices:
        return {}
    arms = {}
    for values in itertools.product(*choices.values()):
        arms[", ".join(map(str, values))] = dict(zip(choices, values))
    return arms


def _must_be_about(claims: Sequence[Claim], arms: Mapping) -> None:
    """Raises ConfigError for a claim about an arm that is not there, and for one that stands twice."""
    for place, claim in enumerate(claims):
        if claim in claims[:place]:
            raise ConfigError(f"the claim {told(claim.says)} stands twice; each is counted once")
        if not isinstance(claim.against, str | None) and str(claim.against) in arms:
            raise ConfigError(
                f"the claim {told(claim.says)} compares with the number {claim.against}, and an arm has that name; give the "
                f'arm another name, or compare with it: against: "{claim.against}"'
            )
        for arm in (claim.arm, claim.against):
            if isinstance(arm, str) and arm not in arms:
                raise ConfigError(
                    f"the claim {told(claim.says)} is about {told(arm)}, which is no arm; the arms are {', '.join(arms)}"
                )


def _is_about(claim: Claim, arms: Mapping) -> bool:
    """Whether a size has the arms of a claim."""
    return claim.arm in arms and (not isinstance(claim.against, str) or claim.against in arms)


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
        compared = {}
        for claim in self.study.claims:
            self._must_have(claim)
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
                verdicts.append(Verdict(claim, values, _outcome(claim, one, p), one, p))
            elif claim.limit is not None:
                values = self._of(claim.arm, claim.quantity).tolist()
                inside = [claim.sign * value > claim.sign * claim.limit for value in values]
                if values:
                    outcome = HELD if all(inside) else NOT_HELD
                    verdicts.append(Verdict(claim, tuple(values), outcome))
        return verdicts

    def _must_have(self, claim: Claim) -> None:
        """Raises ConfigError where an arm of a claim has rows, and none of them gives its quantity."""
        for arm in (claim.arm, claim.against):
            given = self.frame[self.frame["arm"] == arm]["quantity"]
            if len(given):
                choice(
                    f"quantity of the claim {told(claim.says)}", claim.quantity, [*given.unique()]
                )

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


def _outcome(claim: Claim, found: Difference, corrected: float) -> str:
    """What a comparison, signed so that above 0 is better, says of its claim."""
    low, high = found.interval
    least = claim.least or 0.0
    if claim.better == "same":
        if -least < low and high < least:
            return HELD
        return NOT_HELD if low > least or high < -least else COULD_NOT_TELL
    if high <= least:
        return NOT_HELD
    return HELD if corrected <= LEVEL else COULD_NOT_TELL
