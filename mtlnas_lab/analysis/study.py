"""A study: a question, rows (methods or settings), seeds; every row with every seed is one run folder.

    study = Study.load("data_samples/studies/main.yaml", size="small")
    for done in study.run("runs/main", jobs=2):
        print(done)
    StudyResults.from_folder(study, "runs/main")

Runs go through joblib: processes here, dask or ray elsewhere. `StudyResults` (results.py) says what came out.
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
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch

from ..core.architecture import Architecture, derive
from ..core.config import SearchConfig
from ..data.open import shipped
from ..errors import ConfigError, MTLNASError, RunError
from ..experiments.config import Experiment
from ..experiments.pipeline import pretrain, run
from ..one_line import printable
from ..runs.run import Run
from ..storage.safe_files import os_errors_as_run_errors
from ..storage.yaml_files import read_yaml
from . import edge_importance

FOLDER = shipped("data_samples") / "studies"  # of the shipped ones

SEARCH = {field.name for field in fields(SearchConfig)}
EXPERIMENT = {field.name for field in fields(Experiment)}

# settings that name a row whose graph is needed first
TAKES = ("edges_of", "graph_of")

# settings of a row that a study itself reads
OWN = {*TAKES, "draws", "pretrain", "pretrain_steps", "against", "edge_worth"}

# what a row shares with the single-task networks that its Δm is over
ALIKE = ("preset", "data", "eval_data", "tasks", "backbone")

# what a pretraining depends on, besides its seed
BEGINS = (*ALIKE, "weights", "pretrain_steps", "loss_weights")

PATHS = ("data", "eval_data")  # settings in which $NAMES are filled in
KINDS = ("hard", "soft", "hard_recalibrated")  # scores that can be compared
TAKEN = ("pretraining", "report", "trivial answer")  # what a study's folder and tables hold besides

# more than these are a mistake, and take long to list
ROWS = 1_000
CELLS = 10_000
JOBS = 1_000  # processes
SEEDS = 2**31
LETTERS = 200  # of a row's name; of a folder's, in bytes


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
        folder = f"{_folder_of(self.row)}/seed{self.seed}"
        if self.draw:
            folder += f"-draw{self.draw}"
        return folder


@dataclass(frozen=True)
class Done:
    """What became of a cell: `error` is None where it is finished."""

    cell: Cell
    error: str | None
    seconds: float


@dataclass(frozen=True)
class Study:
    """A question, the rows that answer it, and the seeds under which every row runs.

    A row's settings are fields of Experiment and of SearchConfig, and these of a study's own:

        edges_of    a row; a random graph gets as many edges as that kept under the same seed
        draws       how many such graphs are drawn under each seed
        graph_of    a row whose graph is carried over, under the same seed; with edge_budget: K, the K of its candidates with
                    the largest α
        pretrain    {setting: value}, what the pretraining does otherwise than the preset's
        edge_worth  true: score each edge of the finished network (edge_importance.py)
        against     the row that it is compared with, otherwise `reference`; null: none

    Attributes:
        name: Names folders: letters, digits, dots, dashes and underscores.
        question: One sentence.
        rows: {name: settings}.
        seeds: Whole numbers from 0, each once.
        reference: The row that the others are compared with.
        base: Settings of all rows; a row's own come before them. `data` and `eval_data` may hold $NAMES of the environment.
        kind: The score that is compared: hard, soft or hard_recalibrated.
        size: Which of the file's sizes it is.
        file: What `load` was given: the name of a shipped study, or a path.
        notes: What a reader of its tables has to know, a sentence each.

    Raises:
        ConfigError: A setting that does not exist, or a name, number or row that cannot be.

    Example:
        >>> rows = {"single": {"method": "single_task"}, "searched": {"steps": 20}}
        >>> study = Study("mine", "Does it pay to share?", rows, seeds=(0, 1), reference="single")
        >>> [cell.folder for cell in study.cells()]
        ['single/seed0', 'single/seed1', 'searched/seed0', 'searched/seed1']
        >>> study.searches("searched"), study.single("searched")
        (True, 'single')
    """

    name: str
    question: str
    rows: Mapping[str, Mapping]
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    reference: str = ""
    base: Mapping = field(default_factory=dict)
    kind: str = "hard"
    size: str = ""
    file: str = ""
    notes: tuple[str, ...] = ()

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
                f"the reference {self.reference!r} is not a row; the rows are {', '.join(self.rows)}"
            )

    def _check_rows(self) -> None:
        if not 1 <= len(self.rows) <= ROWS:
            raise ConfigError(
                f"the study {self.name!r} has {len(self.rows)} rows; give from 1 to {ROWS}"
            )
        folders: dict[str, str] = {}
        for row, settings in self.rows.items():
            _check_row(row)
            self._check_names(row, settings)
            # some disks take names for the same that differ in case, or in how an accent is written
            alike = unicodedata.normalize("NFC", _folder_of(row)).casefold()
            other = folders.setdefault(alike, row)
            if other != row:
                raise ConfigError(
                    f"the rows {other!r} and {row!r} would share a folder; give one another name"
                )
        for row in self.rows:
            if self._wave(row) > len(self.rows):
                raise ConfigError(f"row {row!r} takes its edges from rows that take theirs from it")

    def _check_names(self, row: str, settings: Mapping) -> None:
        """The names of a row's settings, and the rows that these name."""
        unknown = {*settings, *self.base} - SEARCH - EXPERIMENT - OWN
        if unknown:
            raise ConfigError(
                f"row {row!r} of the study {self.name!r} sets {', '.join(sorted(map(str, unknown)))}, which is "
                "neither a setting of an experiment nor of a search"
            )
        for name in (*TAKES, "against"):
            other = settings.get(name)
            if other is None:
                continue
            if not isinstance(other, str) or other not in self.rows:
                raise ConfigError(f"row {row!r} has {name}: {other!r}, which is not a row")

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
                self.pretraining_folder(cell)
            except MTLNASError as error:
                raise ConfigError(f"row {row!r} of the study {self.name!r}: {error}") from None
            except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
                raise ConfigError(
                    f"row {row!r} of the study {self.name!r} has a setting of the wrong kind ({error})"
                ) from None

    @classmethod
    def load(cls, path: str | Path, size: str = "small") -> Study:
        """Reads a study's file.

        Args:
            path: The name of a shipped study, or a YAML file: name, question, reference, base, rows and/or grid, seeds,
                sizes {name: {seeds, base, rows, draws}}; a size's `draws` is for every row that has draws.
            size: One of the file's sizes.

        Raises:
            ConfigError: The file cannot be read, or no run can have what it says.
        """
        there = {file.stem: file for file in FOLDER.glob("*.yaml")}
        given = str(path)
        path = there.get(given, Path(path))
        if not os.path.lexists(path):
            raise ConfigError(
                f"{path} cannot be read (there is no such file); shipped studies are {', '.join(sorted(there)) or 'none'}"
            )
        try:
            data = read_yaml(path, what="study")
        except ConfigError as error:
            raise ConfigError(f"{path} is not a study: {error}") from None
        try:
            parts = _parsed(data, size)
        except _NotAStudy as error:
            raise ConfigError(
                f"{path} is not a study: {error}; it needs name, question, reference, and rows or grid"
            ) from None
        study = cls(**parts, size=size, file=given)
        study._check_settings()
        return study

    # --- its cells ----------------------------------------------------------------------------------------------------
    def cells(self) -> list[Cell]:
        """All of them; those that need the graph of another row come after it."""
        made = []
        for row, settings in self.rows.items():
            draws = (0,)  # of a row that draws nothing
            if "draws" in settings:
                draws = range(1, settings["draws"] + 1)
            for seed, draw in itertools.product(self.seeds, draws):
                made.append(Cell(row, seed, draw, {**self.base, **settings}))
        waves = {row: self._wave(row) for row in self.rows}
        return sorted(made, key=lambda cell: waves[cell.row])

    def _wave(self, row: str) -> int:
        """How many rows come before it, each of which the next one takes its edges from; too many, where they go round."""
        wave = 0
        while wave <= len(self.rows):
            before = [self.rows[row][name] for name in TAKES if self.rows[row].get(name)]
            if not before:
                break
            row = before[0]
            wave += 1
        return wave

    def _settings(self, row: str) -> dict:
        return {**self.base, **self.rows[row]}

    def single(self, row: str) -> str | None:
        """The row of single-task networks for the same tasks, data and backbones: what its Δm is over. None where there is none."""
        for other, settings in self.rows.items():
            if settings.get("method") == "single_task" and self._alike(other, row):
                return other
        return None

    def _alike(self, row: str, other: str) -> bool:
        """Whether two rows have the same tasks, data and backbones."""
        a = self._settings(row)
        b = self._settings(other)
        return all(a.get(name) == b.get(name) for name in ALIKE)

    def searches(self, row: str) -> bool:
        """Whether the row's runs search a graph, rather than train under one."""
        settings = self._settings(row)
        return settings.get("method", "search") == "search" and "graph_of" not in settings

    def experiment(self, cell: Cell, out: Path) -> Experiment:
        """What the cell does.

        Args:
            cell: One of `cells`.
            out: The study's folder. A row that takes edges from another row reads there what that kept under the same seed.

        Raises:
            RunError: The run whose edges it takes is not finished.
            ConfigError: A setting cannot be.
        """
        given = {"baselines": (), "threads": 1, "draw": cell.draw}
        search = {}
        for name, value in cell.settings.items():
            if name in OWN:
                continue
            if isinstance(value, list):
                value = tuple(value)  # YAML has no tuples; an experiment has no lists
            if name in PATHS and value:
                value = expanded(value)
            if name in SEARCH - {"steps", "seed"}:  # these an experiment has too, and hands on
                search[name] = value
            else:
                given[name] = value
        if cell.settings.get("edges_of"):
            given["edges"] = len(self._graph(cell, "edges_of", out)["kept"])
        if cell.settings.get("graph_of"):
            given["graph"] = self._graph(cell, "graph_of", out)
            if cell.settings.get("edge_budget"):
                given["graph"] = _best(given["graph"], cell.settings["edge_budget"])
        made = Experiment.from_preset(
            given.pop("preset", "tiny"),
            seed=cell.seed,
            pretrain_steps=cell.settings.get("pretrain_steps"),
            **given,
        )
        pretrain = cell.settings.get("pretrain", {})
        return replace(
            made, search=_changed(made.search, search), pretrain=_changed(made.pretrain, pretrain)
        )

    def _graph(self, cell: Cell, name: str, out: Path) -> dict:
        """What the row that the setting `name` names has kept under the cell's seed."""
        folder = out / replace(cell, row=cell.settings[name], draw=0).folder
        if not (folder / "architecture.json").is_file():
            what = {"graph_of": "graph", "edges_of": "number of edges"}[name]
            raise RunError(f"it takes its {what} from {folder}, which is not finished")
        return Run.open(folder).read_json("architecture.json")

    # --- run ----------------------------------------------------------------------------------------------------------
    def run(self, out: str | Path, jobs: int = 1, backend: str = "loky") -> Iterator[Done]:
        """Runs what is not finished, and yields each cell as it is done.

        A cell that fails is reported and does not stop the others. Run again, the study goes on.

        Args:
            out: Where the run folders go.
            jobs: Runs at a time; -1 is as many as there are cores.
            backend: joblib's: loky (processes of this machine), threading, sequential, dask or ray.

        Raises:
            ConfigError: A setting cannot be, or the backend is not there; before anything runs.
            RunError: A process was killed.
        """
        import joblib

        out = Path(out)
        cells = self.cells()
        jobs = processes(jobs)
        known(backend)
        for cell in cells:
            for name in PATHS:
                if cell.settings.get(name):
                    # what is missing is said once, before anything runs
                    expanded(cell.settings[name])
        with os_errors_as_run_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        killed = (
            f"a process that ran a part of {self.name} was killed, by the system where memory was short; what is finished "
            f"is kept, and the same study goes on: give jobs = {max(1, jobs // 2)}"
        )
        with in_processes(jobs, backend, killed) as parallel:
            self._pretrain_all(parallel, cells, out)
            # a wave waits for the one before it, whose graphs it takes
            for _, wave in itertools.groupby(cells, key=lambda cell: self._wave(cell.row)):
                work = joblib.delayed(run_cell)
                yield from parallel([work(self, cell, out, i) for i, cell in enumerate(wave)])

    def _pretrain_all(self, parallel, cells: list[Cell], out: Path) -> None:
        """One pretraining for all cells that would train the same."""
        import joblib

        first = {}
        for cell in cells:
            # the edges that a cell takes are not found yet, and make no difference here
            settings = {name: value for name, value in cell.settings.items() if name not in TAKES}
            first.setdefault(self.pretraining_folder(cell), replace(cell, settings=settings))
        work = joblib.delayed(_pretrained)
        calls = []
        for i, (folder, cell) in enumerate(first.items()):
            if folder:
                calls.append(work(self, cell, out, i))
        for _ in parallel(calls):
            pass

    def pretraining_folder(self, cell: Cell) -> str | None:
        """The folder of the pretraining that the cell shares with others; None where nothing is pretrained."""
        begins = {name: cell.settings.get(name) for name in BEGINS}
        for name in ("class_weights", "views", "few_labels", "pretrain"):
            if cell.settings.get(name):  # else folders keep the names that they had
                begins[name] = cell.settings[name]
        made = Experiment.from_preset(
            begins["preset"] or "tiny",
            begins["data"] or "rooms",
            pretrain_steps=begins["pretrain_steps"],
            weights=begins["weights"] or {},
            backbone=begins["backbone"] or "",
        )
        if not made.pretrain.steps:
            return None
        mark = hashlib.sha256(repr(sorted(begins.items())).encode()).hexdigest()[:8]
        return f"pretraining/{mark}-seed{cell.seed}"


# --- what a file may say ----------------------------------------------------------------------------------------------
class _NotAStudy(Exception):
    """What a study's file lacks."""


def _parsed(data: Mapping, size: str) -> dict:
    """The arguments of Study that a file gives, in one of its sizes. Raises _NotAStudy, ConfigError."""
    sizes = _part(data, "sizes", dict, {"small": {}})
    if size not in sizes:
        raise ConfigError(f"the study has no size {size!r}; it has {', '.join(map(str, sizes))}")
    chosen = _part(sizes, size, dict, {})
    rows = _rows(data)
    only = _part(chosen, "rows", list, list(rows))
    for row in only:
        if not isinstance(row, str) or row not in rows:
            raise _NotAStudy(f"the size {size!r} has the row {row!r}, which is not among its rows")
    seeds = _part(data, "seeds", list, list(Study.seeds))
    base = _part(data, "base", dict, {})
    notes = _part(data, "notes", list, [])
    # what a size says comes before what the file says of all sizes
    seeds = _part(chosen, "seeds", list, seeds)
    base = {**base, **_part(chosen, "base", dict, {})}
    rows = {row: rows[row] for row in only}
    if "draws" in chosen:
        rows = {row: _with_draws(settings, chosen["draws"]) for row, settings in rows.items()}
    parts = {
        "rows": rows,
        "seeds": tuple(seeds),
        "base": base,
        "notes": tuple(map(_text, notes)),
    }
    parts["name"] = _part(data, "name", str)
    parts["question"] = _text(_part(data, "question", str))
    parts["reference"] = _part(data, "reference", str)
    parts["kind"] = _part(data, "kind", str, "hard")
    return parts


def _rows(data: Mapping) -> dict[str, dict]:
    """{row: settings} of the rows that a file names, then of those that its grid makes."""
    rows = {row: settings or {} for row, settings in _part(data, "rows", dict, {}).items()}
    for row, settings in grid_rows(_part(data, "grid", dict, {})):
        if row in rows:
            raise _NotAStudy(f"two rows are called {row!r}")
        rows[row] = settings
    for row, settings in rows.items():
        if not isinstance(settings, dict):
            raise _NotAStudy(f"row {row!r} is {settings!r}; it should hold settings")
    return rows


def _with_draws(settings: dict, draws: object) -> dict:
    """The settings of a row, which draws so many graphs where it draws several."""
    if "draws" in settings:
        return {**settings, "draws": draws}
    return settings


def _part(data: Mapping, name: str, kind: type, otherwise=None):
    """A part of a study's file, of the kind that it should be; `otherwise` where it is not there."""
    value = data.get(name)
    if value is None and otherwise is not None:
        return otherwise
    if not isinstance(value, kind):
        asked = {dict: "settings", list: "a list", str: "text"}[kind]
        found = f"{name} is {str(value)[:80]!r}"
        if value is None:
            found = f"{name} is missing"
        raise _NotAStudy(f"{found}, where it should be {asked}")
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
    if safe == row and not row.startswith(".") and len(row.encode()) <= LETTERS:
        return row
    # what was replaced or cut is told by the end of the name, so that two rows do not meet in one folder
    while len(safe.encode()) > LETTERS:
        safe = safe[:-1]
    return f"{safe.lstrip('.')}-{hashlib.sha256(row.encode()).hexdigest()[:6]}"


def expanded(path: str) -> str:
    """A path with the $NAMES of the environment in it filled in. Raises ConfigError where one is not set."""
    found = os.path.expandvars(path)
    if "$" in found:
        name = found.partition("$")[2].strip("{").partition("/")[0].rstrip("}")
        raise ConfigError(
            f"{name} is not set, and {path} needs it; it names the folder that holds {Path(path).name}, as in "
            f"export {name}=/where/the/packs/are"
        )
    return found


def grid_rows(axes: Mapping) -> Iterator[tuple[str, dict]]:
    """Every combination of the values of some axes, as rows.

    Args:
        axes: {setting: [values], or {name: value}}. Of an axis whose name begins with _, a value holds several settings.
            A setting that names a row may be {axis: name}: the same row, but for that axis.

    Yields:
        (name, settings) of each row, named by the names of its values.

    Example:
        >>> for name, settings in grid_rows({"alpha_lr": [0.1], "entropy_weight": {"none": 0, "some": 10}}):
        ...     print(name, settings)
        alpha_lr 0.1, none {'alpha_lr': 0.1, 'entropy_weight': 0}
        alpha_lr 0.1, some {'alpha_lr': 0.1, 'entropy_weight': 10}
    """
    named = []
    for setting, values in axes.items():
        if not isinstance(values, (dict, list)) or not values:
            raise _NotAStudy(
                f"the grid's {setting} is {str(values)[:80]!r}, where it should be a list"
            )
        if not isinstance(values, dict):
            values = {f"{setting} {value}": value for value in values}
        named.append([(setting, name, value) for name, value in values.items()])
    if not named:
        return  # the product of no axes would be one row without a name
    rows = math.prod(map(len, named))
    if rows > ROWS:
        raise ConfigError(f"the grid of a study makes {rows:,} rows; at most {ROWS:,} are possible")
    for choice in itertools.product(*named):
        yield _grid_row(choice)


def _grid_row(choice: Sequence[tuple[str, str, object]]) -> tuple[str, dict]:
    """(name, settings) of one (axis, name, value) of each axis."""
    names = {}
    settings = {}
    for axis, name, value in choice:
        names[axis] = str(name)
        if axis.startswith("_"):
            settings |= value or {}
        else:
            settings[axis] = value
    for setting in (*TAKES, "against"):
        neighbour = settings.get(setting)
        if isinstance(neighbour, Mapping):
            settings[setting] = ", ".join({**names, **neighbour}.values())
    return ", ".join(names.values()), settings


def _changed(config: SearchConfig, settings: Mapping) -> SearchConfig:
    """The settings of a search, some of them changed. Raises ConfigError for one that cannot be."""
    return SearchConfig.from_json({**config.to_json(), **settings})


def _best(graph: Mapping, edges: int) -> dict:
    """The graph of so many edges, those with the largest α of a searched one. Raises ConfigError."""
    found = Architecture.from_json(graph)
    if found.alpha is None:
        raise ConfigError(
            "edge_budget chooses edges by their α, and a graph that was not searched has none"
        )
    return derive(found.space, found.alpha, edges).to_json()


# --- the work of one process ------------------------------------------------------------------------------------------
def _one_gpu(number: int) -> None:
    """Where there are several GPUs, the cells take them in turn."""
    count = torch.cuda.device_count()
    if count > 1:
        torch.cuda.set_device(number % count)


def _pretrained(study: Study, cell: Cell, out: Path, number: int) -> None:
    try:
        _one_gpu(number)
        pretrain(study.experiment(cell, out), out / study.pretraining_folder(cell))
    except Exception:  # its cells will say what is wrong, each for itself
        pass


def run_cell(study: Study, cell: Cell, out: Path, number: int) -> Done:
    """Runs one cell in this process, goes on with it, or finds it finished. Never raises.

    Args:
        study: Where the cell is from.
        cell: What to run.
        out: The study's folder.
        number: Which of a wave it is: chooses the GPU.
    """
    start = time.perf_counter()
    error = None
    try:
        _one_gpu(number)
        _run_cell(study, cell, out)
    except MTLNASError as caught:
        error = str(caught)
    except Exception as caught:  # one cell's bug must not cost the other cells' hours
        error = f"{type(caught).__name__}: {caught}"
    return Done(cell, error, time.perf_counter() - start)


def _run_cell(study: Study, cell: Cell, out: Path) -> None:
    folder = out / cell.folder
    asked = study.experiment(cell, out)
    begun = (folder / "events.jsonl").is_file()
    if begun:
        there = Experiment.from_json(Run.open(folder).config)
        if _essence(there) != _essence(asked):
            raise ConfigError(
                f"{folder} was made with other settings than the study has now; remove that folder, or give the study another one"
            )
    if not (folder / "scores.json").is_file():  # a run's last file
        shared = study.pretraining_folder(cell)
        if shared:
            shared = out / shared
        if begun:
            asked = None  # a run that goes on has its settings in its folder
        run(asked, folder, resume=begun, pretraining=shared)
    wanted = cell.settings.get("edge_worth") and study.searches(cell.row)
    if wanted and not (folder / edge_importance.FILE).is_file():
        edge_importance.measure(folder)


def _essence(experiment: Experiment) -> Experiment:
    """Without what may differ from machine to machine: where files lie, and which precision was found faster."""
    eval_data = experiment.eval_data
    if eval_data:
        eval_data = Path(eval_data).name
    return replace(
        experiment,
        data=Path(experiment.data).name,
        eval_data=eval_data,
        weights={},
        weights_sha256={},
        data_identity={},
        calibration={},
        device="",
        threads=1,
        search=replace(experiment.search, precision="auto"),
        pretrain=replace(experiment.pretrain, precision="auto"),
    )


# --- joblib's backends ------------------------------------------------------------------------------------------------
def processes(jobs: int) -> int:
    """How many runs at a time: as given, or with -1, -2, … as many as there are cores, or one less, …

    Raises:
        ConfigError: 0, too many, or not a whole number.

    Example:
        >>> processes(3)
        3
    """
    if type(jobs) is not int or jobs == 0 or abs(jobs) > JOBS:
        raise ConfigError(f"jobs = {jobs}: give from 1 to {JOBS} runs at a time")
    if jobs > 0:
        return jobs
    cores = os.cpu_count() or 1
    return max(1, cores + 1 + jobs)


def known(backend: str) -> None:
    """Raises ConfigError for a backend that is not installed, or that tells nothing before it has done everything."""
    import joblib

    try:
        if backend == "dask":
            import distributed  # noqa: F401

            return  # joblib asks for a client already here, but `workers` begins one only with the work
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


@contextmanager
def in_processes(jobs: int, backend: str, killed: str) -> Iterator:
    """A `joblib.Parallel`, for `with`, that gives what is done as it is done.

    Args:
        jobs: Calls at a time.
        backend: joblib's: loky, threading, sequential, dask or ray.
        killed: What the error says of a process that was killed.

    Raises:
        RunError: A process was killed.

    Example:
        >>> import joblib
        >>> with in_processes(2, "sequential", "a process was killed") as parallel:
        ...     sorted(parallel(joblib.delayed(abs)(number) for number in (-2, 1)))
        [1, 2]
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
        try:
            yield joblib.Parallel(return_as="generator_unordered")
        except BrokenExecutor:
            raise RunError(killed) from None


def workers(backend: str, jobs: int):
    """What holds the backend's workers, for `with`: for dask, the client there is, or one of the scheduler that
    DASK_SCHEDULER_ADDRESS names, or one of `jobs` processes here."""
    if backend != "dask":
        return nullcontext()
    from distributed import Client, default_client

    with suppress(ValueError):  # there is no client yet
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
