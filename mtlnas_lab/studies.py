"""A study: a question, rows (methods or settings), seeds; every row with every seed is one run folder.

    study = Study.load("data_samples/studies/main.yaml", size="small")
    for done in study.run("runs/main", jobs=2):          # through joblib: processes here, dask or ray elsewhere
        print(done)
    study.table("runs/main")                             # tidy: one line a score
"""
from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from .config import SearchConfig
from .errors import ConfigError, LabError
from .experiment import Experiment, pretrain, run
from .runs import Run

FOLDER = Path(__file__).parent.parent / "data_samples" / "studies"
SEARCH, EXPERIMENT = ({f.name for f in fields(c)} for c in (SearchConfig, Experiment))
OWN = {"edges_of", "draws", "pretrain_steps"}               # settings of a row that a study itself reads


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
        safe = "".join(c if c.isalnum() or c in "-_.+" else "-" for c in self.row)
        name = safe if safe == self.row else f"{safe}-{hashlib.sha256(self.row.encode()).hexdigest()[:6]}"
        return f"{name}/seed{self.seed}" + (f"-draw{self.draw}" if self.draw else "")


@dataclass(frozen=True)
class Done:
    """What became of a cell: `error` is None where it is finished."""

    cell: Cell
    error: str | None
    seconds: float


@dataclass(frozen=True)
class Study:
    """rows {name: settings}: fields of Experiment and of SearchConfig, and `edges_of` (a row whose number of kept edges a
    random graph gets), `draws` (how many such graphs a seed). `base` holds for all rows. `reference` is the row that
    others are compared with. Raises ConfigError for a setting that there is not."""

    name: str
    question: str
    rows: Mapping[str, Mapping]
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    reference: str = ""
    base: Mapping = field(default_factory=dict)
    kind: str = "hard"                                      # the score that is compared: hard, soft, hard_recalibrated

    def __post_init__(self):
        for row, settings in self.rows.items():
            if unknown := {*settings, *self.base} - SEARCH - EXPERIMENT - OWN:
                raise ConfigError(f"row {row!r} of the study {self.name!r} sets {', '.join(sorted(unknown))}, which is neither "
                                  "a setting of an experiment nor of a search")
            if settings.get("edges_of", row) not in self.rows:
                raise ConfigError(f"row {row!r} takes its number of edges from {settings['edges_of']!r}, which is no row")
        if self.reference not in self.rows:
            raise ConfigError(f"the reference {self.reference!r} is no row; the rows are {', '.join(self.rows)}")

    @classmethod
    def load(cls, path: str | Path, size: str = "small") -> Study:
        """From a YAML file: name, question, reference, base, rows and/or grid, seeds, sizes {name: {seeds, base, rows}}."""
        import yaml

        known = {p.stem: p for p in FOLDER.glob("*.yaml")}
        path = known.get(str(path), Path(path))
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
            sizes = data.pop("sizes", {"small": {}})
            if size not in sizes:
                raise ConfigError(f"{path.name} has no size {size!r}; it has {', '.join(sizes)}")
            chosen = sizes[size] or {}
            rows = {**(data.get("rows") or {}), **dict(_grid(data.get("grid") or {}))}
            only = chosen.get("rows", list(rows))
            return cls(data["name"], data["question"], {row: rows[row] or {} for row in only},
                       tuple(chosen.get("seeds", data.get("seeds", cls.seeds))), data["reference"],
                       {**(data.get("base") or {}), **(chosen.get("base") or {})}, data.get("kind", "hard"))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror}); shipped studies are {', '.join(sorted(known)) or 'none'}") from None
        except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} is no study ({type(error).__name__}: {str(error).splitlines()[0]}); it needs name, question, "
                              "reference, and rows or grid") from None

    # --- its cells ----------------------------------------------------------------------------------------------------
    def cells(self) -> list[Cell]:
        """All of them; those that need the number of edges of another row come after it."""
        made = [Cell(row, seed, draw, {**self.base, **settings})
                for row, settings in self.rows.items() for seed in self.seeds
                for draw in (range(1, settings["draws"] + 1) if "draws" in settings else (0,))]
        return sorted(made, key=lambda cell: "edges_of" in cell.settings)

    def experiment(self, cell: Cell, out: Path) -> Experiment:
        """What the cell does. A row with `edges_of` reads how many edges that row kept under the same seed."""
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in cell.settings.items() if name not in OWN}
        search = {name: given.pop(name) for name in list(given) if name in SEARCH - {"steps", "seed"}}
        if "edges_of" in cell.settings:
            other = replace(cell, row=cell.settings["edges_of"], draw=0)
            given["edges"] = len(Run.open(out / other.folder).read_json("architecture.json")["kept"])
        made = Experiment.of(given.pop("preset", "tiny"), seed=cell.seed, pretrain_steps=cell.settings.get("pretrain_steps"),
                             **{"baselines": (), "threads": 1, "draw": cell.draw} | given)
        return replace(made, search=SearchConfig.from_json({**made.search.to_json(), **search}))

    # --- run ----------------------------------------------------------------------------------------------------------
    def run(self, out: str | Path, jobs: int = 1, backend: str = "loky") -> Iterator[Done]:
        """Runs what is not finished, `jobs` at a time, and yields each cell as it is done. A cell that fails is reported
        and does not stop the others; run again, the study goes on. backend: joblib's (loky, dask, ray, sequential, …)."""
        import joblib

        out, cells = Path(out), self.cells()
        out.mkdir(parents=True, exist_ok=True)
        first, second = ([c for c in cells if ("edges_of" in c.settings) is later] for later in (False, True))
        ready = {}
        for cell in first:                                   # one pretraining for all cells that would train the same
            ready.setdefault(self._pretraining(cell), cell)
        with joblib.parallel_config(backend=backend, n_jobs=jobs):
            parallel = joblib.Parallel(return_as="generator_unordered")
            for _ in parallel(joblib.delayed(_pretrained)(self, cell, out) for key, cell in ready.items() if key):
                pass
            for wave in (first, second):
                yield from parallel(joblib.delayed(_done)(self, cell, out) for cell in wave)

    def _pretraining(self, cell: Cell) -> str | None:
        """The folder of the pretraining that the cell shares with others; None where nothing is pretrained."""
        settings = {name: cell.settings.get(name) for name in ("preset", "data", "tasks", "pretrain_steps", "backbone")}
        if settings["data"] in (None, "rooms") and settings["pretrain_steps"] is None:
            return None
        return f"pretraining/{hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:8]}-seed{cell.seed}"

    # --- what came out ------------------------------------------------------------------------------------------------
    def table(self, out: str | Path):
        """Tidy scores (pandas): row, seed, draw, step, split, kind, task, metric, value. step is empty for final scores."""
        import pandas

        lines = []
        for cell, folder in self._finished(out):
            who = {"row": cell.row, "seed": cell.seed, "draw": cell.draw}
            moments = [(None, "test", folder.scores())] + [(e.step, "val", e.scores) for e in folder.log.evaluated]
            lines += [{**who, "step": step, "split": split, "kind": kind, "task": task, "metric": metric, "value": value}
                      for step, split, scores in moments for kind, tasks in scores.items()
                      for task, metrics in tasks.items() for metric, value in metrics.items()]
        return pandas.DataFrame(lines, columns=["row", "seed", "draw", "step", "split", "kind", "task", "metric", "value"]
                                ).astype({"step": "Int64"})

    def runs(self, out: str | Path):
        """One line a run (pandas): edges kept, entropy, when edges settled, seconds, which edges (as 0 and 1)."""
        import pandas

        lines = []
        for cell, folder in self._finished(out):
            kept, log = folder.read_json("architecture.json"), folder.log
            edges = kept["space"]["edges"]
            lines.append({"row": cell.row, "seed": cell.seed, "draw": cell.draw, "folder": cell.folder,
                          "edges": len(kept["kept"]), "candidates": len(edges), "entropy": log.steps[-1].entropy_fraction,
                          "settled": settled(log), "steps": len(log.steps), "seconds": sum(step.seconds for step in log.steps),
                          "kept": "".join(str(int(edge in set(kept["kept"]))) for edge in edges)})
        return pandas.DataFrame(lines)

    def _finished(self, out: str | Path) -> Iterator[tuple[Cell, Run]]:
        for cell in self.cells():
            if (Path(out) / cell.folder / "scores.json").is_file():
                yield cell, Run.open(Path(out) / cell.folder)


def settled(log) -> float | None:
    """The share of the search after which half of its edges never changed side (α > 0) again; None without α."""
    if not log.steps or not log.alpha.shape[1]:
        return None
    import numpy as np

    side = log.alpha > 0
    last = [int(np.flatnonzero(column != column[-1])[-1]) + 1 if (column != column[-1]).any() else 0 for column in side.T]
    return float(np.median(last)) / len(side)


def _grid(axes: Mapping) -> Iterator[tuple[str, dict]]:
    """Every combination of the axes {setting: {name: value} or [values]}; a row is named by the names."""
    named = [[(setting, name, value) for name, value in (values.items() if isinstance(values, Mapping) else
              ((f"{setting} {value}", value) for value in values))] for setting, values in axes.items()]
    for choice in itertools.product(*named) if named else ():
        yield ", ".join(str(name) for _, name, _ in choice), {s: v for setting, _, value in choice for s, v in
                                                              (value.items() if setting.startswith("_") else [(setting, value)])}


def _pretrained(study: Study, cell: Cell, out: Path) -> None:
    try:
        pretrain(study.experiment(cell, out), out / study._pretraining(cell))
    except Exception:                                        # its cells will say what is wrong, each for itself
        pass


def _done(study: Study, cell: Cell, out: Path) -> Done:
    """Runs one cell in this process, goes on with it, or finds it finished."""
    start, folder = time.perf_counter(), out / cell.folder
    try:
        if not (folder / "scores.json").is_file():
            there = (folder / "config.json").is_file()
            shared = study._pretraining(cell)
            run(None if there else study.experiment(cell, out), folder, resume=there, pretraining=shared and out / shared)
        return Done(cell, None, time.perf_counter() - start)
    except LabError as error:
        return Done(cell, str(error), time.perf_counter() - start)
    except Exception as error:                               # one cell's bug must not cost the other cells' hours
        return Done(cell, f"{type(error).__name__}: {error}", time.perf_counter() - start)
