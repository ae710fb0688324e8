"""A study: a question, rows (methods or settings), seeds; every row with every seed is one run folder.

study = Study.load("data_samples/studies/main.yaml", size="small")
for done in study.run("runs/main", jobs=2):          # through joblib: processes here, dask or ray elsewhere
    print(done)
StudyResults.from_folder(study, "runs/main")                      # what came out (results.py)
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import re
import time
import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch

from ..core.config import SearchConfig
from ..errors import ConfigError, MTLNASError, RunError
from ..experiments.config import Experiment
from ..experiments.pipeline import pretrain, run
from ..one_line import printable
from ..runs.run import Run
from ..storage.safe_files import os_errors_as_run_errors
from ..storage.yaml_files import read_yaml
from . import edge_importance as informative

FOLDER = Path(__file__).parents[2] / "data_samples" / "studies"


SEARCH, EXPERIMENT = ({f.name for f in fields(c)} for c in (SearchConfig, Experiment))


TAKES = ("edges_of", "graph_of")  # settings that name a row whose graph is needed first


OWN = {
    *TAKES,
    "draws",
    "pretrain_steps",
    "against",
    "edge_worth",
}  # settings of a row that a study itself reads


ALIKE = (
    "preset",
    "data",
    "eval_data",
    "tasks",
    "backbone",
)  # what a row shares with the single-task networks that its Δm is over


BEGINS = (
    *ALIKE,
    "weights",
    "pretrain_steps",
    "loss_weights",
)  # what a pretraining depends on, besides its seed


PATHS = ("data", "eval_data")  # settings in which $NAMES are filled in


KINDS = ("hard", "soft", "hard_recalibrated")  # scores that can be compared


ROWS, CELLS = 1_000, 10_000  # more are a mistake, and take long to list


SEEDS = 2**31


LETTERS = 200  # of a row's name; of a folder's, in bytes


TAKEN = ("pretraining", "report", "trivial answer")  # what a study's folder and tables hold besides


@dataclass(frozen=True)
class Cell:
    """One run: a row under one seed (and one draw, for rows that draw graphs)."""

    row: str
    seed: int
    draw: int
    settings: Mapping

    @property
    def folder(self) -> str:
        """Where it lies in the study's folder."""
        number = f"-draw{self.draw}" if self.draw else ""
        return f"{_folder_of(self.row)}/seed{self.seed}{number}"


@dataclass(frozen=True)
class Done:
    """What became of a cell: `error` is None where it is finished."""

    cell: Cell
    error: str | None
    seconds: float


@dataclass(frozen=True)
class Study:
    """rows {name: settings}: fields of Experiment and of SearchConfig, and `edges_of` (a row whose number of kept edges a
    random graph gets), `draws` (how many such graphs a seed), `graph_of` (a row whose graph is carried over, under the same
    seed), `edge_worth` (true: score each edge of the finished network, informative.py), `against` (the row it is compared
    with: otherwise `reference`; none, where null). `base` holds for all rows. `data` and `eval_data` may hold $NAMES of the
    environment. Raises ConfigError for a setting that there is not."""

    name: str
    question: str
    rows: Mapping[str, Mapping]
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    reference: str = ""
    base: Mapping = field(default_factory=dict)
    kind: str = "hard"  # the score that is compared: hard, soft, hard_recalibrated
    size: str = ""  # which of the file's sizes it is
    file: str = ""  # what `load` was given: its own name, or a path
    notes: tuple[str, ...] = ()  # what a reader of its tables has to know

    def __post_init__(self):
        _check_name(self.name, "the name of a study")
        if self.size:
            _check_name(self.size, "the name of a study's size")
        if self.kind not in KINDS:
            raise ConfigError(
                f"the study {self.name!r} has kind: {self.kind!r}; choose one of {', '.join(KINDS)}"
            )
        self._check_rows()
        self._check_count()
        if self.reference not in self.rows:
            raise ConfigError(
                f"the reference {self.reference!r} is no row; the rows are {', '.join(self.rows)}"
            )

    def _check_rows(self) -> None:
        if not 1 <= len(self.rows) <= ROWS:
            raise ConfigError(
                f"the study {self.name!r} has {len(self.rows)} rows; give from 1 to {ROWS}"
            )
        folders: dict[str, str] = {}
        for row, settings in self.rows.items():
            _check_row(row)
            if unknown := {*settings, *self.base} - SEARCH - EXPERIMENT - OWN:
                raise ConfigError(
                    f"row {row!r} of the study {self.name!r} sets {', '.join(sorted(map(str, unknown)))}, which is "
                    "neither a setting of an experiment nor of a search"
                )
            for name in (*TAKES, "against"):
                other = settings.get(name)
                if other is not None and not (isinstance(other, str) and other in self.rows):
                    raise ConfigError(f"row {row!r} has {name}: {other!r}, which is no row")
            alike = unicodedata.normalize("NFC", _folder_of(row)).casefold()  # on some disks
            other = folders.setdefault(alike, row)
            if other != row:
                raise ConfigError(
                    f"the rows {other!r} and {row!r} would share a folder; give one another name"
                )
        for row in self.rows:
            if self._wave(row) > len(self.rows):
                raise ConfigError(f"row {row!r} takes its edges from rows that take theirs from it")

    def _check_count(self) -> None:
        """How many runs there are, before they are listed."""
        for seed in self.seeds:
            if type(seed) is not int or not 0 <= seed < SEEDS:
                raise ConfigError(f"seed {seed!r}: give whole numbers from 0 to {SEEDS - 1}")
        if not self.seeds or len({*self.seeds}) < len(self.seeds):
            raise ConfigError(f"seeds: {list(self.seeds)}: give one or more, each once")
        runs = 0
        for row, settings in self.rows.items():
            draws = settings.get("draws", 1)
            if type(draws) is not int or draws < 1:
                raise ConfigError(f"row {row!r} has draws: {draws!r}; give a whole number from 1")
            runs += draws * len(self.seeds)
        if runs > CELLS:
            raise ConfigError(
                f"the study {self.name!r} has {runs:,} runs (rows × seeds × draws); at most {CELLS:,} are possible"
            )

    def _check_settings(self) -> None:
        """Raises ConfigError for settings that no run can have, before the first one begins."""
        for row, settings in self.rows.items():
            given = {**self.base, **settings}
            for name in PATHS:
                if not isinstance(given.get(name), str | None):
                    raise ConfigError(f"row {row!r} has {name}: {given[name]!r}; give a path")
            kept = {name: value for name, value in given.items() if name not in (*TAKES, *PATHS)}
            try:
                cell = Cell(row, self.seeds[0], 0, kept)
                self.experiment(cell, Path())
                self._pretraining(cell)
            except MTLNASError as error:
                raise ConfigError(f"row {row!r} of the study {self.name!r}: {error}") from None
            except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
                raise ConfigError(
                    f"row {row!r} of the study {self.name!r} has a setting of the wrong kind ({error})"
                ) from None

    @classmethod
    def load(cls, path: str | Path, size: str = "small") -> Study:
        """From a YAML file: name, question, reference, base, rows and/or grid, seeds, sizes {name: {seeds, base, rows}}."""
        known, given = {p.stem: p for p in FOLDER.glob("*.yaml")}, str(path)
        path = known.get(given, Path(path))
        if not os.path.lexists(path):
            raise ConfigError(
                f"{path} cannot be read (there is no such file); shipped studies are {', '.join(sorted(known)) or 'none'}"
            )
        try:
            data = read_yaml(path, what="study")
        except ConfigError as error:
            raise ConfigError(f"{path} is no study: {error}") from None
        try:
            study = cls(**_parsed(data, size), size=size, file=given)
            study._check_settings()
            return study
        except _NoStudy as error:
            raise ConfigError(
                f"{path} is no study: {error}; it needs name, question, reference, and rows or grid"
            ) from None

    # --- its cells ----------------------------------------------------------------------------------------------------
    def cells(self) -> list[Cell]:
        """All of them; those that need the graph of another row come after it."""
        waves = {row: self._wave(row) for row in self.rows}
        made = [
            Cell(row, seed, draw, {**self.base, **settings})
            for row, settings in self.rows.items()
            for seed in self.seeds
            for draw in (range(1, settings["draws"] + 1) if "draws" in settings else (0,))
        ]
        return sorted(made, key=lambda cell: waves[cell.row])

    def _wave(self, row: str) -> int:
        """How many rows come before it, each of which the next one takes its edges from."""
        wave = 0
        while (
            row := next((self.rows[row][name] for name in TAKES if name in self.rows[row]), None)
        ) and wave <= len(self.rows):
            wave += 1
        return wave

    def single(self, row: str) -> str | None:
        """The row of single-task networks for the same tasks, data and backbones: what its Δm is over. None where there is none."""
        begins = lambda name: [{**self.base, **self.rows[name]}.get(setting) for setting in ALIKE]  # noqa: E731
        return next(
            (
                name
                for name, settings in self.rows.items()
                if settings.get("method") == "single_task" and begins(name) == begins(row)
            ),
            None,
        )

    def searches(self, row: str) -> bool:
        """Whether the row's runs search a graph, rather than train under one."""
        settings = {**self.base, **self.rows[row]}
        return settings.get("method", "search") == "search" and "graph_of" not in settings

    def experiment(self, cell: Cell, out: Path) -> Experiment:
        """What the cell does. A row that takes edges from another row reads what that kept under the same seed."""
        given = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in cell.settings.items()
            if name not in OWN
        }
        given |= {name: _filled(given[name]) for name in PATHS if given.get(name)}
        search = {
            name: given.pop(name) for name in list(given) if name in SEARCH - {"steps", "seed"}
        }
        found = {}
        for name in TAKES:
            if cell.settings.get(name):
                folder = out / replace(cell, row=cell.settings[name], draw=0).folder
                if not (folder / "architecture.json").is_file():
                    raise RunError(
                        f"it takes its {'graph' if name == 'graph_of' else 'number of edges'} from {folder}, which is not finished"
                    )
                found[name] = Run.open(folder).read_json("architecture.json")
        given |= {"edges": len(found["edges_of"]["kept"])} if "edges_of" in found else {}
        given |= {"graph": found["graph_of"]} if "graph_of" in found else {}
        made = Experiment.from_preset(
            given.pop("preset", "tiny"),
            seed=cell.seed,
            pretrain_steps=cell.settings.get("pretrain_steps"),
            **{"baselines": (), "threads": 1, "draw": cell.draw} | given,
        )
        return replace(made, search=SearchConfig.from_json({**made.search.to_json(), **search}))

    # --- run ----------------------------------------------------------------------------------------------------------
    def run(self, out: str | Path, jobs: int = 1, backend: str = "loky") -> Iterator[Done]:
        """Runs what is not finished, `jobs` at a time, and yields each cell as it is done. A cell that fails is reported
        and does not stop the others; run again, the study goes on. backend: joblib's (loky, dask, ray, sequential, …)."""
        import joblib

        out, cells, jobs = Path(out), self.cells(), processes(jobs)
        known(backend)
        for path in {
            cell.settings[name] for cell in cells for name in PATHS if cell.settings.get(name)
        }:
            _filled(path)  # said once, before anything runs
        with os_errors_as_run_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        ready = {}
        for cell in cells:  # one pretraining for all cells that would train the same
            ready.setdefault(
                self._pretraining(cell),
                replace(cell, settings={k: v for k, v in cell.settings.items() if k not in TAKES}),
            )
        with (
            warnings.catch_warnings(),
            workers(backend, jobs),
            joblib.parallel_config(backend=backend, n_jobs=jobs),
        ):
            # loky puts a fresh process in the place of one that has grown, and says so; no run is lost by it
            warnings.filterwarnings(
                "ignore", "A worker stopped while some jobs were given to the executor"
            )
            parallel = joblib.Parallel(return_as="generator_unordered")
            try:
                for _ in parallel(
                    joblib.delayed(_pretrained)(self, cell, out, i)
                    for i, (key, cell) in enumerate(ready.items())
                    if key
                ):
                    pass
                for _, wave in itertools.groupby(cells, key=lambda cell: self._wave(cell.row)):
                    yield from parallel(
                        [joblib.delayed(_done)(self, cell, out, i) for i, cell in enumerate(wave)]
                    )
            except BrokenExecutor:
                raise RunError(
                    f"a process that ran a part of {self.name} was killed, by the system where memory was short; what is finished "
                    f"is kept, and the same command goes on: give --jobs {max(1, jobs // 2)}"
                ) from None

    def _pretraining(self, cell: Cell) -> str | None:
        """The folder of the pretraining that the cell shares with others; None where nothing is pretrained."""
        begins = {name: cell.settings.get(name) for name in BEGINS}
        if cell.settings.get("class_weights"):  # else folders keep the names that they had
            begins["class_weights"] = cell.settings["class_weights"]
        made = Experiment.from_preset(
            begins["preset"] or "tiny",
            begins["data"] or "rooms",
            pretrain_steps=begins["pretrain_steps"],
            weights=begins["weights"] or {},
            backbone=begins["backbone"] or "",
        )
        if not made.pretrain.steps:
            return None
        return f"pretraining/{hashlib.sha256(repr(sorted(begins.items())).encode()).hexdigest()[:8]}-seed{cell.seed}"


# --- what a file may say ----------------------------------------------------------------------------------------------
class _NoStudy(Exception):
    """What a study's file lacks."""


def _parsed(data: Mapping, size: str) -> dict:
    """The arguments of Study that a file gives, in one of its sizes. Raises _NoStudy, ConfigError."""
    sizes = _part(data, "sizes", dict, {"small": {}})
    if size not in sizes:
        raise ConfigError(f"the study has no size {size!r}; it has {', '.join(map(str, sizes))}")
    chosen = _part(sizes, size, dict, {})
    rows = {row: settings or {} for row, settings in _part(data, "rows", dict, {}).items()}
    for row, settings in _grid(_part(data, "grid", dict, {})):
        if row in rows:
            raise _NoStudy(f"two rows are called {row!r}")
        rows[row] = settings
    for row, settings in rows.items():
        if not isinstance(settings, dict):
            raise _NoStudy(f"row {row!r} is {settings!r}; it should hold settings")
    only = _part(chosen, "rows", list, list(rows))
    for row in only:
        if not isinstance(row, str) or row not in rows:
            raise _NoStudy(f"the size {size!r} has the row {row!r}, which there is not")
    seeds = _part(data, "seeds", list, list(Study.seeds))
    return {
        "name": _part(data, "name", str),
        "question": _text(_part(data, "question", str)),
        "rows": {row: rows[row] for row in only},
        "seeds": tuple(_part(chosen, "seeds", list, seeds)),
        "reference": _part(data, "reference", str),
        "base": {**_part(data, "base", dict, {}), **_part(chosen, "base", dict, {})},
        "kind": _part(data, "kind", str, "hard"),
        "notes": tuple(map(_text, _part(data, "notes", list, []))),
    }


def _part(data: Mapping, name: str, kind: type, otherwise=None):
    """A part of a study's file, of the kind that it should be; `otherwise` where it is not there."""
    value = data.get(name)
    if value is None and otherwise is not None:
        return otherwise
    if not isinstance(value, kind):
        asked = {dict: "settings", list: "a list", str: "text"}[kind]
        found = f"{name} is missing" if value is None else f"{name} is {str(value)[:80]!r}"
        raise _NoStudy(f"{found}, where it should be {asked}")
    return value


def _text(value: object) -> str:
    """A sentence of a file, on one line."""
    return printable(" ".join(str(value).split()))


def _check_name(name: object, what: str) -> None:
    """A name that is part of a path: one plain name of a file, which leads nowhere else. Raises ConfigError."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]{0,99}", name):
        raise ConfigError(
            f"{str(name)[:LETTERS]!r} cannot be {what}: give letters, digits, dots, dashes and underscores, at most 100, "
            "and no dot or dash first"
        )


def _check_row(row: object) -> None:
    """A row's name stands in tables, pictures and the names of folders. Raises ConfigError."""
    if not isinstance(row, str) or not row.strip():
        raise ConfigError(f"a row is called {row!r}; give its name as text, in quotes")
    if len(row) > LETTERS or printable(row) != row:
        raise ConfigError(
            f"a row is called {row[:LETTERS]!r}; give a name of one line, of at most {LETTERS} letters"
        )
    if row in TAKEN:
        raise ConfigError(f"a row is called {row!r}, which a study has already; give another name")


def _folder_of(row: str) -> str:
    """The name of a row's folder: its own where that is a plain name, or one that is made of it."""
    safe = "".join(c if c.isalnum() or c in "-_.+" else "-" for c in row)
    plain = safe == row and not row.startswith(".") and len(row.encode()) <= LETTERS
    if plain:
        return row
    while len(safe.encode()) > LETTERS:
        safe = safe[:-1]
    return f"{safe.lstrip('.')}-{hashlib.sha256(row.encode()).hexdigest()[:6]}"


def _filled(path: str) -> str:
    """A path with the $NAMES of the environment in it filled in. Raises ConfigError where one is not set."""
    filled = os.path.expandvars(path)
    if "$" in filled:
        name = filled.partition("$")[2].strip("{").partition("/")[0].rstrip("}")
        raise ConfigError(
            f"{name} is not set, and {path} needs it; it names the folder that holds {Path(path).name}, as in "
            f"export {name}=/where/the/packs/are"
        )
    return filled


def _grid(axes: Mapping) -> Iterator[tuple[str, dict]]:
    """Every combination of the axes {setting: {name: value} or [values]}; a row is named by the names. Of an axis _name, a
    value holds several settings. A row that a row names may be {axis: name}: the same row, but for that axis."""
    named = []
    for setting, values in axes.items():
        if not isinstance(values, (dict, list)) or not values:
            raise _NoStudy(
                f"the grid's {setting} is {str(values)[:80]!r}, where it should be a list"
            )
        if not isinstance(values, dict):
            values = {f"{setting} {value}": value for value in values}
        named.append([(setting, name, value) for name, value in values.items()])
    rows = math.prod(map(len, named)) if named else 0
    if rows > ROWS:
        raise ConfigError(f"the grid of a study makes {rows:,} rows; at most {ROWS:,} are possible")
    for choice in itertools.product(*named) if named else ():
        names = {setting: str(name) for setting, name, _ in choice}
        settings = {
            s: v
            for setting, _, value in choice
            for s, v in ((value or {}).items() if setting.startswith("_") else [(setting, value)])
        }
        settings |= {
            s: ", ".join({**names, **settings[s]}.values())
            for s in (*TAKES, "against")
            if isinstance(settings.get(s), Mapping)
        }
        yield ", ".join(names.values()), settings


def _one_gpu(number: int) -> None:
    """Where there are several GPUs, the cells take them in turn."""
    if (count := torch.cuda.device_count()) > 1:
        torch.cuda.set_device(number % count)


def _pretrained(study: Study, cell: Cell, out: Path, number: int) -> None:
    try:
        _one_gpu(number)
        pretrain(study.experiment(cell, out), out / study._pretraining(cell))
    except Exception:  # its cells will say what is wrong, each for itself
        pass


def _done(study: Study, cell: Cell, out: Path, number: int) -> Done:
    """Runs one cell in this process, goes on with it, or finds it finished."""
    start, folder = time.perf_counter(), out / cell.folder
    try:
        _one_gpu(number)
        asked, there = study.experiment(cell, out), (folder / "events.jsonl").is_file()
        if there and _essence(Experiment.from_json(Run.open(folder).config)) != _essence(asked):
            raise ConfigError(
                f"{folder} was made with other settings than the study has now; remove that folder, or pass another --out"
            )
        if not (folder / "scores.json").is_file():
            shared = study._pretraining(cell)
            run(None if there else asked, folder, resume=there, pretraining=shared and out / shared)
        if (
            cell.settings.get("edge_worth")
            and study.searches(cell.row)
            and not (folder / informative.FILE).is_file()
        ):
            informative.measure(folder)
        return Done(cell, None, time.perf_counter() - start)
    except MTLNASError as error:
        return Done(cell, str(error), time.perf_counter() - start)
    except Exception as error:  # one cell's bug must not cost the other cells' hours
        return Done(cell, f"{type(error).__name__}: {error}", time.perf_counter() - start)


def _essence(experiment: Experiment) -> Experiment:
    """Without what may differ from machine to machine: where files lie, and which precision was found faster."""
    return replace(
        experiment,
        data=Path(experiment.data).name,
        eval_data=experiment.eval_data and Path(experiment.eval_data).name,
        weights={},
        weights_sha256={},
        data_identity={},
        calibration={},
        device="",
        threads=1,
        **{
            part: replace(getattr(experiment, part), precision="auto")
            for part in ("search", "pretrain")
        },
    )


JOBS = 1_000  # more processes than that are a mistake


def processes(jobs: int) -> int:
    """How many runs at a time: as given, or with -1, -2, … as many as there are cores, or one less, … Raises ConfigError."""
    if type(jobs) is not int or jobs == 0 or abs(jobs) > JOBS:
        raise ConfigError(f"jobs = {jobs}: give from 1 to {JOBS} runs at a time")
    return jobs if jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + jobs)


def known(backend: str) -> None:
    """Raises ConfigError for a backend that there is not, or that tells nothing before it has done everything."""
    import joblib

    try:
        if backend == "dask":
            import distributed  # noqa: F401
        if backend == "ray":
            from ray.util.joblib import register_ray

            register_ray()
        config = joblib.parallel_config(backend=backend)
        found = joblib.parallel.get_active_backend()[0]
        config.unregister()
        if backend != "sequential" and not found.supports_return_generator:
            raise ValueError("it gives no result before the last one is there")
    except ImportError as error:
        raise ConfigError(
            f"the backend {backend!r} needs a package that is not installed ({error}): pip install {backend}"
        ) from None
    except ValueError as error:
        raise ConfigError(
            f"joblib has no backend {backend!r} ({error}); choose loky, threading, sequential, dask or ray"
        ) from None


def workers(backend: str, jobs: int):
    """What holds the backend's workers, for `with`: for dask, the client there is, or one of the scheduler that
    DASK_SCHEDULER_ADDRESS names, or one of `jobs` processes here."""
    if backend != "dask":
        return nullcontext()
    from distributed import Client, default_client

    with suppress(ValueError):
        return nullcontext(default_client())
    where = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if not where:
        return Client(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
    try:
        return Client(where)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"DASK_SCHEDULER_ADDRESS={where}: no scheduler answers there ({error})"
        ) from None
