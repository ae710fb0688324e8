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
from . import directions, edge_importance
from .statistics import (
    Difference,
    chance_overlap,
    delta_m,
    difference,
    direction,
    holm,
    nested,
    overlap,
    per_seed,
)
from .study import Cell, Study

# of a line of the table of scores; a score is of one task and one metric, so a run has many lines
SCORES = ["row", "seed", "draw", "step", "split", "kind", "task", "metric", "value"]

CELL = ["row", "seed", "draw"]  # what names a run

CORRELATED = {  # by the names of edge_importance.PAIRS
    "worth": "α and the loss when a kept edge is removed",
    "points": "α and the score lost when a kept edge is removed",
    "gradient": "α and |∂ loss / ∂ gate|",
    "gradient on worth": "|∂ loss / ∂ gate| and the loss when a kept edge is removed",
}

CHANCE_DRAWS = 500  # sets of random graphs that seeds' graphs are held against


# --- one comparison ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Compared:
    """A row against another in Δm, with Holm's correction over all such comparisons of the study."""

    row: str
    against: str
    difference: Difference
    corrected: float  # p after the correction

    @property
    def sentence(self) -> str:
        d = self.difference
        said = f"{self.row} against {self.against}: {self._verdict()}"
        interval = f"95 % interval {_between(d.interval)}, {len(d.values)} seeds"
        effect = f"effect size g = {number(d.effect, '+.1f')}, corrected p = {self.corrected:.2g}"
        least = f"the smallest difference that could have been detected is {d.detectable:.1f}"
        return f"{said}; {interval}, {effect}; {least}."

    def _verdict(self) -> str:
        d = self.difference
        if not d.found:
            return f"no difference found ({d.mean:+.1f} points of Δm)"
        side = "worse"
        if d.mean > 0:
            side = "better"
        said = f"{side} by {abs(d.mean):.1f} points of Δm"
        if self.corrected > 0.05:
            said += ", which does not survive the correction"
        return said

    @property
    def cells(self) -> list[str]:
        """The same as a line of a table, under COMPARED."""
        d = self.difference
        cells = [self.row, self.against]
        cells += [f"{d.mean:+.1f}", _between(d.interval), _between(d.bootstrap)]
        cells += [number(d.effect, "+.2f"), f"{d.detectable:.1f}"]
        cells += [f"{d.p:.2g}", f"{self.corrected:.2g}"]
        cells.append(" ".join(f"{value:+.1f}" for value in d.values))
        return cells


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


def number(value: float, form: str) -> str:
    """The number in this format; a dash for NaN (two seeds, or seeds that all say the same)."""
    if value != value:
        return "–"
    return format(value, form)


def _between(ends: tuple[float, float]) -> str:
    low, high = ends
    return f"{low:+.1f} to {high:+.1f}"


def _seeds(values, form: str = "+.1f") -> str:
    """Every seed's number, as sentences quote them."""
    return ", ".join(format(value, form) for value in values)


# --- all of it --------------------------------------------------------------------------------------------------------
@dataclass
class StudyResults:
    """A study's tables, and what they say.

    Attributes:
        study: What was asked.
        scores: A tidy pandas frame, one line a score (SCORES); `step` is empty for final scores.
        runs: A pandas frame, one line a run: edges kept, entropy, when edges settled, seconds, versions.
        edges: A pandas frame, one line an edge of each run that says what its edges are worth; may be empty.
        spaces: {row: its search space}.

    Example:
        >>> from mtlnas_lab.analysis.study import FOLDER, Study
        >>> results = StudyResults.read(Study.load("main"), FOLDER / "main-small")
        >>> results.scores.row.nunique(), len(results.runs)
        (9, 50)
        >>> trunk = next(one for one in results.compared if one.row == "shared_trunk")
        >>> trunk.sentence
        'shared_trunk against mtlnas: worse by 14.2 points of Δm; 95 % interval -19.8 to -8.6, ...
    """

    study: Study
    scores: object
    runs: object
    edges: object
    spaces: Mapping[str, SearchSpace]

    @classmethod
    def from_folder(cls, study: Study, out: str | Path) -> StudyResults:
        """Collects what the finished cells left in the folder `out`; each run folder is read once.

        Raises:
            RunError: No cell is finished, or a run folder is damaged.
        """
        import pandas

        scores = []
        runs = []
        edges = []
        spaces = {}
        for cell in study.cells():
            folder = Path(out) / cell.folder
            if not (folder / "scores.json").is_file():
                continue  # the last file of a run: without it, the run is not finished
            found = Run.open(folder)
            try:
                scores += _scores(found, cell)
                runs.append(_run(found, cell))
                edges += _edges(found, cell)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise RunError(
                    f"{found.path} does not hold what a run leaves ({type(error).__name__}: {error}); "
                    "remove that folder, and run the study again"
                ) from None
            spaces.setdefault(cell.row, found.space)
        if not runs:
            raise RunError(
                f"{out} holds no finished run of the study {study.name!r}; run it first: mtlnas-lab study"
            )
        # Int64, not int64: it can be empty, and a final score has no step
        table = pandas.DataFrame(scores, columns=SCORES).astype({"step": "Int64"})
        return cls(study, table, pandas.DataFrame(runs), pandas.DataFrame(edges), spaces)

    @classmethod
    def read(cls, study: Study, folder: str | Path) -> StudyResults:
        """From the tables that `report.write` left in a folder: the runs themselves are not needed.

        Raises:
            RunError: A table is not there.
        """
        import pandas

        folder = Path(folder)
        try:
            scores = pandas.read_csv(folder / "scores.csv", dtype={"step": "Int64"})
            # `kept` is a string of 0 and 1, which would be read as one large number
            runs = pandas.read_csv(folder / "runs.csv", dtype={"kept": str})
            spaces = read_json(folder / "spaces.json")
            edges = pandas.DataFrame()
            if (folder / "edges.csv").is_file():
                edges = pandas.read_csv(folder / "edges.csv")
        except OSError as error:
            raise RunError(
                f"{folder} has no tables of a study ({error.strerror}: scores.csv, runs.csv, spaces.json)"
            ) from None
        spaces = {row: SearchSpace.from_json(space) for row, space in spaces.items()}
        return cls(study, scores, runs, edges, spaces)

    def joined(self, other: StudyResults) -> StudyResults:
        """These results with the runs of `other` that are not among them: of a study that was run in several folders.

        Args:
            other: Results of the same study, of other rows, seeds or draws. A run that is there already stays as it is.
        """
        import pandas

        known = pandas.MultiIndex.from_frame(self.runs[CELL])

        def together(mine, theirs):
            if not len(theirs):
                return mine
            new = ~pandas.MultiIndex.from_frame(theirs[CELL]).isin(known)
            return pandas.concat([mine, theirs[new]], ignore_index=True)

        return StudyResults(
            self.study,
            together(self.scores, other.scores),
            together(self.runs, other.runs),
            together(self.edges, other.edges),
            {**other.spaces, **self.spaces},
        )

    @property
    def final(self):
        """The final scores: those without a step."""
        return self.scores[self.scores.step.isna()]

    # --- against single-task networks, and against each other
    @cached_property
    def gains(self):
        """Δm over single-task networks in %, (row × seed), in the study's order of rows."""
        return self._gains(self.study.kind)

    def _gains(self, kind: str):
        single = {row: self.study.single(row) for row in self.study.rows}
        found = per_seed(self.scores, kind, single)
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
        found = []
        for row in gains.index:
            against = self.study.rows[row].get("against", self.study.reference)
            if against == row or against not in gains.index:
                continue
            pairs = gains.loc[[against, row]].dropna(axis=1)  # seeds under which both have run
            if pairs.shape[1] > 1:
                d = difference(pairs.loc[against], pairs.loc[row])
                found.append((row, against, d))
        corrected = holm([d.p for _, _, d in found])
        return [Compared(*one, p) for one, p in zip(found, corrected)]

    # --- tables
    @cached_property
    def means(self):
        """Scores of each row as text: "mean ± standard deviation" over seeds.

        Returns:
            A pandas frame; columns are (task, metric), and Δm where there is one. The last row is the best answer that
            does not look at the picture.
        """
        final = self.final
        score = final[final.kind == self.study.kind]
        # draws of one seed are averaged first: they are not seeds of their own
        seeds = score.groupby(["row", "seed", "task", "metric"], sort=False).value.mean()
        cells = seeds.groupby(["row", "task", "metric"], sort=False).agg(_mean_and_spread)
        table = cells.unstack(["task", "metric"])
        table = table.reindex([row for row in self.study.rows if row in table.index])

        trivial = final[final.kind == "trivial"].groupby(["task", "metric"]).value.mean()
        for column, value in trivial.items():
            table.loc["trivial answer", column] = f"{value:.{_decimals(value)}f}"
        table = table.fillna("")
        if len(self.gains):
            table["", "Δm, %"] = [self._mean_gain(row) for row in table.index]
        return table

    def _mean_gain(self, row: str) -> str:
        if row not in self.gains.index:
            return ""
        gain = self.gains.loc[row]
        return f"{gain.mean():+.1f} ± {gain.std():.1f}"

    @cached_property
    def gap(self):
        """The discretization gap of each run: what cutting the gates costs, in % of the soft score of the same run.

        Above 0 the hard network is worse; over tasks and metrics the mean, as in Δm.

        Returns:
            A pandas frame: row, seed, hard, hard_recalibrated; in the study's order of rows.
        """
        import pandas

        final = self.final
        final = final.assign(row=pandas.Categorical(final.row, list(self.study.rows)))
        lines = []
        for (row, seed), part in final.groupby(["row", "seed"], observed=True):
            scores = {}
            for kind, of_kind in part.groupby("kind"):
                scores[kind] = nested(of_kind.groupby(["task", "metric"]).value.mean())
            if "soft" in scores:  # else nothing was searched, and nothing was cut
                line = {"row": row, "seed": seed}
                for kind in ("hard", "hard_recalibrated"):
                    line[kind] = -delta_m(scores[kind], scores["soft"])
                lines.append(line)
        return pandas.DataFrame(lines)

    @cached_property
    def overlap(self) -> list[dict]:
        """How alike the graphs of the seeds are (pairwise Jaccard overlap), and what chance gives.

        Returns:
            {row, jaccard, chance, low, high} of each row that searched under two seeds or more.
        """
        found = []
        for row, part in self.runs.groupby("row", sort=False):
            if len(part) < 2 or not self.study.searches(row):
                continue
            candidates = int(part.candidates.iloc[0])
            chance = chance_overlap(candidates, part.edges.tolist(), CHANCE_DRAWS)
            mean, low, high = chance
            found.append(
                {
                    "row": row,
                    "jaccard": overlap(part.kept),
                    "chance": mean,
                    "low": low,
                    "high": high,
                }
            )
        return found

    @cached_property
    def correlations(self):
        """edge_importance.correlations of each run that says what its edges are worth (a pandas frame: row, seed, …)."""
        import pandas

        lines = []
        if len(self.edges):  # a frame without lines has no columns to group by
            for (row, seed), part in self.edges.groupby(["row", "seed"], sort=False):
                found = edge_importance.correlations(part.to_dict("records"))
                lines.append({"row": row, "seed": seed, **found})
        return pandas.DataFrame(lines)

    @cached_property
    def ways(self):
        """directions.ways of the searches that cover a network's eyes (a pandas frame); empty for other studies."""
        return directions.ways(self.study, self.runs, self.spaces)

    @cached_property
    def claims(self) -> list[directions.Claim]:
        """What might be so where a network's eyes are covered: about edges, then about scores; none for other studies."""
        if not len(self.ways):
            return []
        about_edges = directions.about_edges(self.study, self.ways)
        return about_edges + directions.about_scores(self.study, self.final)

    # --- sentences
    @cached_property
    def sentences(self) -> list[str]:
        """What the study says, one plain sentence each."""
        said = directions.sentences(self.study, self.claims)
        said += [one.sentence for one in self.compared]
        return [
            *said,
            *self.unlearnt,
            *self._about_comparisons(),
            *self._about_gap(),
            *self._about_settling(),
            *self._about_overlap(),
            *self._about_edges(),
        ]

    @cached_property
    def unlearnt(self) -> list[str]:
        """Where single-task networks are no better than the trivial answer in a task's first metric, a sentence each."""
        said = []
        final = self.final
        singles = [self.study.single(row) for row in self.study.rows]
        for row in dict.fromkeys(singles):  # each once, in order; None, for no row, finds nothing
            for task, part in final[final.row == row].groupby("task", sort=False):
                metric = part.metric.iloc[0]
                values = part[part.metric == metric].groupby("kind").value.mean()
                alone = values.get(self.study.kind, float("nan"))
                trivial = values.get("trivial", float("nan"))
                if (alone - trivial) * direction(metric) <= 0:
                    said.append(
                        f"{row}: {task} was hardly learnt: {metric} {alone:.3g}, while the best answer that does not look at "
                        f"the picture has {trivial:.3g}; what is compared in it says little."
                    )
        return said

    def _about_comparisons(self) -> list[str]:
        said = []
        if self.compared:
            said.append(
                f"{len(self.compared)} comparisons by paired t-tests, p corrected for that number (Holm); an effect size g is the mean of the seeds' "
                "differences in units of their standard deviation (Hedges); a true difference of the size called smallest is detected "
                "at 5 % in four of five such studies."
            )
        if self.anew:
            parts = []
            for one in self.anew:
                d = one.difference
                parts.append(
                    f"{one.row} {d.mean:+.1f} ({_between(d.interval)}, corrected p = {one.corrected:.2g})"
                )
            said.append(f"With the batch norm of every network computed anew: {'; '.join(parts)}.")
        return said

    def _about_gap(self) -> list[str]:
        if not len(self.gap):
            return []
        said = []
        for row, part in self.gap.groupby("row", sort=False):
            said.append(
                f"{row}: cutting the gates costs {part.hard.mean():+.1f} % of the score (seeds: {_seeds(part.hard)}), "
                f"with batch norm anew {part.hard_recalibrated.mean():+.1f} %."
            )
        return said

    def _about_settling(self) -> list[str]:
        said = []
        for row, part in self.runs[self.runs.settled.notna()].groupby("row", sort=False):
            if self.study.searches(row):
                share = 100 * part.settled
                said.append(
                    f"{row}: half of the edges never changed side again after {share.mean():.0f} % of the search "
                    f"(seeds: {_seeds(share, '.0f')})."
                )
        return said

    def _about_overlap(self) -> list[str]:
        said = []
        for one in self.overlap:
            if one["jaccard"] > one["high"]:
                verdict = "more than chance"
            elif one["jaccard"] < one["low"]:
                verdict = "less than chance"
            else:
                verdict = "no more than chance"
            said.append(
                f"{one['row']}: graphs of two seeds share {one['jaccard']:.2f} of their edges (Jaccard); random graphs of these "
                f"sizes {one['chance']:.2f} ({one['low']:.2f} to {one['high']:.2f}): {verdict}."
            )
        return said

    def _about_edges(self) -> list[str]:
        said = []
        if len(self.correlations):
            for row, part in self.correlations.groupby("row", sort=False):
                for name in CORRELATED:
                    values = part[name].dropna()
                    if len(values) > 1:
                        said.append(_correlated(row, name, values))
        if len(said) > 1:
            said.append(
                f"These {len(said)} correlations are each judged by itself; of so many, one in twenty is found by chance."
            )
        return said


def _correlated(row: str, name: str, values) -> str:
    """Spearman's rank correlation over the kept edges, of every seed: is its mean other than 0?"""
    d = difference([0.0] * len(values), values)
    low, high = d.interval
    verdict = "none found"
    if d.found:
        verdict = "found"
    return (
        f"{row}: rank correlation of {CORRELATED[name]}: {d.mean:+.2f} (seeds: {_seeds(values, '+.2f')}), 95 % interval "
        f"{low:+.2f} to {high:+.2f}: {verdict}; {d.detectable:.2f} could have been detected."
    )


def _decimals(size: float) -> int:
    """Angles and the like are told by hundredths, shares by thousandths."""
    if abs(size) > 2:
        return 2
    return 3


def _mean_and_spread(values) -> str:
    decimals = _decimals(values.abs().mean())
    return f"{values.mean():.{decimals}f} ± {values.std():.{decimals}f}"


# --- what a run folder says -------------------------------------------------------------------------------------------
def _who(cell: Cell) -> dict:
    return {"row": cell.row, "seed": cell.seed, "draw": cell.draw}


def _scores(run: Run, cell: Cell) -> list[dict]:
    """The final scores of a run, then those that it took on the way."""
    lines = _lines(cell, None, "test", run.scores())
    for event in run.log.evaluated:
        lines += _lines(cell, event.step, "val", event.scores)
    return lines


def _lines(cell: Cell, step: int | None, split: str, scores: Mapping) -> list[dict]:
    """A line for each score of one moment."""
    lines = []
    for kind, tasks in scores.items():
        for task, metrics in tasks.items():
            for metric, value in metrics.items():
                what = {"kind": kind, "task": task, "metric": metric, "value": float(value)}
                lines.append({**_who(cell), "step": step, "split": split, **what})
    return lines


def _run(run: Run, cell: Cell) -> dict:
    """The line of a run in the table of runs."""
    log = run.log
    architecture = run.read_json("architecture.json")
    candidates = architecture["space"]["edges"]
    kept = set(architecture["kept"])
    entropy = None
    if log.steps:
        entropy = log.column("entropy_fraction")[-1]
    gates = [str(int(edge in kept)) for edge in candidates]
    seconds = log.column("seconds").sum()
    return {
        **_who(cell),
        "folder": cell.folder,
        "edges": len(kept),
        "candidates": len(candidates),
        "entropy": entropy,
        "settled": settled(log),
        "steps": len(log.steps),
        "seconds": seconds,
        "made_with": _made_with(log.started),
        "kept": "".join(gates),
    }


def _edges(run: Run, cell: Cell) -> list[dict]:
    """What the edges of a run are worth, where it says so."""
    if not (run.path / edge_importance.FILE).is_file():
        return []
    return [{**_who(cell), **edge} for edge in edge_importance.read(run.path)]


def settled(log) -> float | None:
    """The share of the search after which half of its edges never changed side (α > 0) again; None without α."""
    import numpy as np

    if not log.steps or not log.alpha.shape[1]:
        return None
    sides = log.alpha > 0  # (S, E)
    last = []
    for side in sides.T:
        (other,) = np.nonzero(side != side[-1])
        if len(other):
            last.append(int(other[-1]) + 1)
        else:
            last.append(0)
    return float(np.median(last)) / len(sides)


def _made_with(started) -> str:
    """Versions and machine of a run, from its first event."""
    if not started:
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in started.versions.items())
    return f"{versions}; {started.device}, threads: {started.threads}"
