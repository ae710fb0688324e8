"""What a study found: tables of its scores, rows compared seed by seed, the gap, overlaps of graphs, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..core.space import SearchSpace
from ..errors import RunError
from ..runs.run import Run
from ..storage.jsonl import read_json
from ..tasks.task import HIGHER_IS_BETTER
from . import edge_importance
from .statistics import (
    Difference,
    chance_overlap,
    delta_m,
    difference,
    holm,
    nested,
    overlap,
    per_seed,
)
from .study import Cell, Study


@dataclass(frozen=True)
class Compared:
    """A row against the study's reference in Δm, with Holm's correction over all rows of the study."""

    row: str
    against: str
    difference: Difference
    corrected: float

    @property
    def sentence(self) -> str:
        d = self.difference
        low, high = d.interval
        said = (
            f"{'better' if d.mean > 0 else 'worse'} by {abs(d.mean):.1f} points of Δm"
            if d.found
            else f"no difference found ({d.mean:+.1f} points of Δm)"
        )
        doubt = (
            ", which does not survive the correction" if d.found and self.corrected > 0.05 else ""
        )
        return (
            f"{self.row} against {self.against}: {said}{doubt}; 95 % interval {low:+.1f} to {high:+.1f}, {len(d.values)} seeds, "
            f"effect size g = {_number(d.effect, '+.1f')}, corrected p = {self.corrected:.2g}; the smallest difference that "
            f"could have been detected is {d.detectable:.1f}."
        )

    @property
    def cells(self) -> list[str]:
        """For COMPARED: the same as a line of a table."""
        d = self.difference
        between = lambda ends: f"{ends[0]:+.1f} to {ends[1]:+.1f}"  # noqa: E731
        return [
            self.row,
            self.against,
            f"{d.mean:+.1f}",
            between(d.interval),
            between(d.bootstrap),
            _number(d.effect, "+.2f"),
            f"{d.detectable:.1f}",
            f"{d.p:.2g}",
            f"{self.corrected:.2g}",
            " ".join(f"{v:+.1f}" for v in d.values),
        ]


COMPARED = [
    "row",
    "against",
    "difference in Δm",
    "95 % interval (t)",
    "95 % bootstrap",
    "effect size g",
    "detectable",
    "p",
    "p (Holm)",
    "each seed",
]


def _number(value: float, form: str) -> str:
    return (
        format(value, form) if value == value else "–"
    )  # NaN: two seeds, or seeds that all say the same


@dataclass
class StudyResults:
    """A study's tables and what they say."""

    study: Study
    scores: object  # tidy (pandas): one line a score; step is empty for final scores
    runs: object  # one line a run (pandas): edges kept, entropy, when edges settled, seconds, …
    edges: object  # one line an edge of each run that says what its edges are worth; may be empty
    spaces: Mapping[str, SearchSpace]  # of each row

    @classmethod
    def from_folder(cls, study: Study, out: str | Path) -> StudyResults:
        """From what the finished cells left in `out`, each run folder read once. Raises RunError where none is finished."""
        import pandas

        scores, runs, edges, spaces = [], [], [], {}
        for cell in study.cells():
            if not (Path(out) / cell.folder / "scores.json").is_file():
                continue
            folder = Run.open(Path(out) / cell.folder)
            try:
                found = _of_run(folder, cell)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise RunError(
                    f"{folder.path} does not hold what a run leaves ({type(error).__name__}: {error}); "
                    "remove that folder, and run the study again"
                ) from None
            scores += found[0]
            runs.append(found[1])
            edges += found[2]
            spaces.setdefault(cell.row, folder.space)
        if not runs:
            raise RunError(
                f"{out} holds no finished run of the study {study.name!r}; run it first: mtlnas-lab study"
            )
        columns = ["row", "seed", "draw", "step", "split", "kind", "task", "metric", "value"]
        return cls(
            study,
            pandas.DataFrame(scores, columns=columns).astype({"step": "Int64"}),
            pandas.DataFrame(runs),
            pandas.DataFrame(edges),
            spaces,
        )

    @classmethod
    def read(cls, study: Study, folder: str | Path) -> StudyResults:
        """From the tables that `write` left (scores.csv, runs.csv, edges.csv): the runs themselves are not needed."""
        import pandas

        folder = Path(folder)
        try:
            scores = pandas.read_csv(folder / "scores.csv", dtype={"step": "Int64"})
            spaces = {
                row: SearchSpace.from_json(space)
                for row, space in read_json(folder / "spaces.json").items()
            }
            edges = (
                pandas.read_csv(folder / "edges.csv")
                if (folder / "edges.csv").is_file()
                else pandas.DataFrame()
            )
            return cls(
                study,
                scores,
                pandas.read_csv(folder / "runs.csv", dtype={"kept": str}),
                edges,
                spaces,
            )
        except OSError as error:
            raise RunError(
                f"{folder} has no tables of a study ({error.strerror}: scores.csv, runs.csv, spaces.json)"
            ) from None

    @cached_property
    def gains(self):
        """Δm over single-task in %, (row × seed), in the study's order of rows."""
        return self._gains(self.study.kind)

    def _gains(self, kind: str):
        found = per_seed(
            self.scores, kind, {row: self.study.single(row) for row in self.study.rows}
        )
        return found.reindex([row for row in self.study.rows if row in found.index])

    @cached_property
    def compared(self) -> list[Compared]:
        """Every row against the one it is compared with, by Δm, paired by seed; corrected for the number of comparisons."""
        return self._compared(self.gains)

    @cached_property
    def anew(self) -> list[Compared]:
        """The same comparisons where every network's batch norm is computed anew."""
        return self._compared(self._gains("hard_recalibrated"))

    def _compared(self, gains) -> list[Compared]:
        against = {
            row: settings.get("against", self.study.reference)
            for row, settings in self.study.rows.items()
        }
        pairs = [
            (row, against[row], gains.loc[[against[row], row]].dropna(axis=1))
            for row in gains.index
            if against[row] in gains.index and against[row] != row
        ]
        found = [
            (row, other, difference(pair.loc[other], pair.loc[row]))
            for row, other, pair in pairs
            if pair.shape[1] > 1
        ]
        return [
            Compared(row, other, d, p)
            for (row, other, d), p in zip(found, holm([d.p for *_, d in found]))
        ]

    @cached_property
    def means(self):
        """Scores of each row: mean over seeds, and their standard deviation (columns (task, metric), entries "m ± s"); and of the
        best answer that does not look at the picture."""
        final = self.scores[self.scores.step.isna()]
        trivial, final = (final[final.kind == kind] for kind in ("trivial", self.study.kind))
        seeds = (
            final.groupby(["row", "seed", "task", "metric"], sort=False).value.mean().reset_index()
        )
        cell = seeds.groupby(["row", "task", "metric"], sort=False).value.agg(
            lambda v: (
                f"{v.mean():.{2 if v.abs().mean() > 2 else 3}f} ± {v.std():.{2 if v.abs().mean() > 2 else 3}f}"
            )
        )
        table = cell.unstack(["task", "metric"]).fillna("")
        table = table.reindex([row for row in self.study.rows if row in table.index])
        for column, value in trivial.groupby(["task", "metric"]).value.mean().items():
            table.loc["trivial answer", column] = f"{value:.{2 if abs(value) > 2 else 3}f}"
        table, gains = table.fillna(""), self.gains
        if len(gains):
            table[("", "Δm, %")] = [
                f"{gains.loc[row].mean():+.1f} ± {gains.loc[row].std():.1f}"
                if row in gains.index
                else ""
                for row in table.index
            ]
        return table

    @cached_property
    def unlearnt(self) -> list[str]:
        """Where single-task networks are no better than the trivial answer in a task's first metric, a sentence each."""
        final, said = self.scores[self.scores.step.isna()], []
        for row in {name: None for name in map(self.study.single, self.study.rows) if name}:
            part = final[final.row == row]
            for task, of in part.groupby("task", sort=False):
                metric = of.metric.iloc[0]
                alone, trivial = (
                    of[(of.metric == metric) & (of.kind == kind)].value.mean()
                    for kind in (self.study.kind, "trivial")
                )
                if (alone - trivial) * (1 if HIGHER_IS_BETTER[metric] else -1) <= 0:
                    said.append(
                        f"{row}: {task} was hardly learnt: {metric} {alone:.3g}, while the best answer that does not look at the "
                        f"picture has {trivial:.3g}; what is compared in it says little."
                    )
        return said

    @cached_property
    def gap(self):
        """What cutting the gates changes, in Δm points relative to the soft score of the same run: (row × seed)."""
        import pandas

        final, lines = self.scores[self.scores.step.isna()], []
        final = final.assign(
            row=pandas.Categorical(final.row, list(self.study.rows))
        )  # in the study's order
        for (row, seed), part in final.groupby(["row", "seed"], observed=True):
            by_kind = {
                kind: p.groupby(["task", "metric"]).value.mean() for kind, p in part.groupby("kind")
            }
            if "soft" in by_kind:
                lines.append(
                    {
                        "row": row,
                        "seed": seed,
                        **{
                            kind: delta_m(nested(by_kind[kind]), nested(by_kind["soft"]))
                            for kind in ("hard", "hard_recalibrated")
                        },
                    }
                )
        return pandas.DataFrame(lines)

    @cached_property
    def overlap(self) -> list[dict]:
        """Rows that searched: how alike the seeds' graphs are, and what chance gives (pairwise Jaccard overlap)."""
        said = []
        for row, part in self.runs.groupby("row", sort=False):
            if len(part) > 1 and self.study.searches(row):
                mean, low, high = chance_overlap(
                    int(part.candidates.iloc[0]), part.edges.tolist(), draws=500
                )
                said.append(
                    {
                        "row": row,
                        "jaccard": overlap(part.kept),
                        "chance": mean,
                        "low": low,
                        "high": high,
                    }
                )
        return said

    @cached_property
    def correlations(self):
        """Of runs that say what their edges are worth (frame: row, seed, and edge_importance.correlations)."""
        import pandas

        return pandas.DataFrame(
            [
                {"row": row, "seed": seed, **edge_importance.correlations(part.to_dict("records"))}
                for (row, seed), part in (
                    self.edges.groupby(["row", "seed"], sort=False) if len(self.edges) else ()
                )
            ]
        )

    @cached_property
    def sentences(self) -> list[str]:
        """What the study says, one plain sentence each."""
        said = [one.sentence for one in self.compared] + self.unlearnt
        if self.compared:
            said.append(
                f"{len(self.compared)} comparisons by paired t-tests, p corrected for that number (Holm); an effect size g is the mean of the seeds' "
                "differences in units of their standard deviation (Hedges); a true difference of the size called smallest is detected "
                "at 5 % in four of five such studies."
            )
        if self.anew:
            said.append(
                "With the batch norm of every network computed anew: "
                + "; ".join(
                    f"{c.row} {c.difference.mean:+.1f} ({c.difference.interval[0]:+.1f} to {c.difference.interval[1]:+.1f}, corrected p = {c.corrected:.2g})"
                    for c in self.anew
                )
                + "."
            )
        for row, part in self.gap.groupby("row", sort=False) if len(self.gap) else ():
            said.append(
                f"{row}: cutting the gates changes the score by {part.hard.mean():+.1f} % "
                f"(seeds: {', '.join(f'{v:+.1f}' for v in part.hard)}), with batch norm anew {part.hard_recalibrated.mean():+.1f} %."
            )
        for row, part in self.runs[self.runs.settled.notna()].groupby("row", sort=False):
            if self.study.searches(row):
                said.append(
                    f"{row}: half of the edges never changed side again after {100 * part.settled.mean():.0f} % of the search "
                    f"(seeds: {', '.join(f'{100 * v:.0f}' for v in part.settled)})."
                )
        for o in self.overlap:
            where = (
                "no more than chance"
                if o["low"] <= o["jaccard"] <= o["high"]
                else "more than chance"
                if o["jaccard"] > o["high"]
                else "less than chance"
            )
            said.append(
                f"{o['row']}: graphs of two seeds share {o['jaccard']:.2f} of their edges (Jaccard); random graphs of these sizes "
                f"{o['chance']:.2f} ({o['low']:.2f} to {o['high']:.2f}): {where}."
            )
        related = [
            line
            for row, part in (
                self.correlations.groupby("row", sort=False) if len(self.correlations) else ()
            )
            for line in _informative(row, part)
        ]
        return (
            said
            + related
            + [
                f"These {len(related)} correlations are each judged by itself; of so many, one in twenty is found by "
                "chance."
            ]
            * (len(related) > 1)
        )


CORRELATED = {
    "worth": "α and the loss when a kept edge is removed",
    "points": "α and the score lost when a kept edge is removed",
    "gradient": "α and |∂ loss / ∂ gate|",
    "gradient on worth": "|∂ loss / ∂ gate| and the loss when a kept edge is removed",
}


def _informative(row: str, part) -> list[str]:
    """One sentence for each pair of edge scores: Spearman's rank correlation over the kept edges, every seed."""
    said = []
    for name, what in CORRELATED.items():
        values = part[name].dropna()
        if len(values) > 1:
            d = difference([0.0] * len(values), values)
            said.append(
                f"{row}: rank correlation of {what}: {d.mean:+.2f} (seeds: {', '.join(f'{v:+.2f}' for v in values)}), 95 % interval "
                f"{d.interval[0]:+.2f} to {d.interval[1]:+.2f}: {'found' if d.found else 'none found'}; {d.detectable:.2f} could have been detected."
            )
    return said


def settled(log) -> float | None:
    """The share of the search after which half of its edges never changed side (α > 0) again; None without α."""
    if not log.steps or not log.alpha.shape[1]:
        return None
    import numpy as np

    side = log.alpha > 0
    last = [
        int(np.flatnonzero(column != column[-1])[-1]) + 1 if (column != column[-1]).any() else 0
        for column in side.T
    ]
    return float(np.median(last)) / len(side)


def _of_run(folder: Run, cell: Cell) -> tuple[list[dict], dict, list[dict]]:
    """(lines of scores, line of the run, lines of edges) of a finished run."""
    who, log = {"row": cell.row, "seed": cell.seed, "draw": cell.draw}, folder.log
    kept = folder.read_json("architecture.json")
    scores = _lines(who, None, "test", folder.scores())
    for event in log.evaluated:
        scores += _lines(who, event.step, "val", event.scores)
    candidates, keeps = kept["space"]["edges"], set(kept["kept"])
    run = {
        **who,
        "folder": cell.folder,
        "edges": len(keeps),
        "candidates": len(candidates),
        "entropy": log.column("entropy_fraction")[-1] if log.steps else None,
        "settled": settled(log),
        "steps": len(log.steps),
        "seconds": log.column("seconds").sum(),
        "made_with": _made_with(log.started),
        "kept": "".join(str(int(edge in keeps)) for edge in candidates),
    }
    edges = []
    if (folder.path / edge_importance.FILE).is_file():
        edges = [{**who, **edge} for edge in edge_importance.read(folder.path)]
    return scores, run, edges


def _lines(who: Mapping, step: int | None, split: str, scores: Mapping) -> list[dict]:
    """A line for each score of one moment."""
    return [
        {
            **who,
            "step": step,
            "split": split,
            "kind": kind,
            "task": task,
            "metric": metric,
            "value": float(value),
        }
        for kind, tasks in scores.items()
        for task, metrics in tasks.items()
        for metric, value in metrics.items()
    ]


def _made_with(started) -> str:
    return (
        "; ".join(
            [
                ", ".join(f"{name} {version}" for name, version in started.versions.items()),
                f"{started.device}, threads: {started.threads}",
            ]
        )
        if started
        else ""
    )
