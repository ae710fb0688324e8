"""Which way information runs in searched graphs: into a network whose eyes are covered, or out of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..core.config import check_setting
from ..core.space import SearchSpace
from .statistics import Difference, difference, direction, half_interval, holm
from .study import Study

# what rows of one dial may differ in, besides visibility: nothing that a search depends on
APART = ("visibility", "against", "edge_worth")

WAYS = ["row", "dial", "task", "visibility", "seed", "into", "out", "precision", "chance"]


@dataclass(frozen=True)
class Dial:
    """Rows that search alike, but for how much the network of one task sees.

    Attributes:
        task: Whose eyes are covered.
        rows: {visibility: row}, from the one that sees most to the one that sees least.
    """

    task: str
    rows: Mapping[float, str]

    @property
    def seeing(self) -> str | None:
        """The row in which nothing is covered; None where there is none."""
        return self.rows.get(1.0)

    @property
    def name(self) -> str:
        """The row that sees least."""
        return [*self.rows.values()][-1]


def covered(settings: Mapping) -> dict[str, float]:
    """{task: visibility at the end of the run} of the networks that a row does not let see everything.

    Example:
        >>> covered({"visibility": {"segmentation": 0.25, "normals": 1}})
        {'segmentation': 0.25}
    """
    schedules = check_setting("visibility", settings.get("visibility", {}))
    return {task: schedule.end for task, schedule in schedules.items() if schedule.end < 1}


def dials(study: Study) -> list[Dial]:
    """The dials of a study, in the order of its rows; none where no row that searches covers one network.

    Example:
        >>> rows = {"see": {}, "dim": {"visibility": {"normals": 0.5}}, "blind": {"visibility": {"normals": 0}}}
        >>> dials(Study("mine", "Which way?", rows, reference="see"))
        [Dial(task='normals', rows={1.0: 'see', 0.5: 'dim', 0.0: 'blind'})]
    """
    seeing: dict[str, str] = {}
    found: dict[tuple[str, str], dict[float, str]] = {}
    for row in study.rows:
        if not study.searches(row):
            continue
        settings = {**study.base, **study.rows[row]}
        covers = covered(settings)
        alike = repr(sorted((name, settings[name]) for name in settings if name not in APART))
        if not covers:
            seeing.setdefault(alike, row)
        elif len(covers) == 1:
            ((task, visibility),) = covers.items()
            found.setdefault((task, alike), {})[visibility] = row
    made = []
    for (task, alike), rows in found.items():
        if alike in seeing:
            rows[1.0] = seeing[alike]
        made.append(Dial(task, dict(sorted(rows.items(), reverse=True))))
    return made


def way(kept: str, space: SearchSpace, task: str) -> dict[str, float]:
    """How a graph's open edges lie to the network of one task.

    Args:
        kept: A letter for each candidate edge, "1" where it is open.
        space: The candidate edges.
        task: Whose network it is.

    Returns:
        `into` and `out`, the shares of the candidates into it and out of it that are open; `precision`, the share of the
        open edges that lead into it (NaN where none is open); `chance`, the share of all candidates that do.

    Example:
        >>> from mtlnas_lab.core.space import plan
        >>> space = SearchSpace.build({"seg": plan([8, 8], [2]), "normals": plan([8, 8], [2])})
        >>> [str(edge) for edge in space.edges][:3]
        ['normals:0 -> seg:0', 'normals:0 -> seg:1', 'normals:1 -> seg:1']
        >>> way("011001", space, "seg")
        {'into': 0.6666666666666666, 'out': 0.3333333333333333, 'precision': 0.6666666666666666, 'chance': 0.5}
    """
    into = []
    out = []
    for edge, digit in zip(space.edges, kept, strict=True):
        if edge.target.task == task:
            into.append(digit == "1")
        elif edge.source.task == task:
            out.append(digit == "1")
    edges = kept.count("1")
    return {
        "into": _share(sum(into), len(into)),
        "out": _share(sum(out), len(out)),
        "precision": _share(sum(into), edges),
        "chance": _share(len(into), len(kept)),
    }


def _share(part: int, whole: int) -> float:
    if not whole:
        return math.nan
    return part / whole


def ways(study: Study, runs, spaces: Mapping[str, SearchSpace]):
    """`way` of every search of the study's dials.

    Args:
        study: What was asked.
        runs: The table of runs of StudyResults.
        spaces: {row: its search space}.

    Returns:
        A pandas frame (WAYS), a line for each run of each dial; `dial` is the dial's name.
    """
    import pandas

    lines = []
    for dial in dials(study):
        for visibility, row in dial.rows.items():
            for run in runs[runs.row == row].itertuples():
                who = {"row": row, "dial": dial.name, "task": dial.task}
                found = way(run.kept, spaces[row], dial.task)
                lines.append({**who, "visibility": visibility, "seed": run.seed, **found})
    return pandas.DataFrame(lines, columns=WAYS)


CELLS = [
    "row",
    "covered",
    "it sees",
    "of the edges into it open (recall; chance 0.50)",
    "of those out of it",
    "of the open edges into it (precision)",
    "its chance",
]


def cells(ways) -> list[list[str]]:
    """The lines of a table under CELLS."""
    lines = []
    for _, part in ways.groupby(["dial", "row"], sort=False):
        first = part.iloc[0]
        line = [first.row, first.task, format(first.visibility, "g")]
        line += [_of_seeds(part[share].dropna()) for share in ("into", "out", "precision")]
        line.append(format(first.chance, ".2f"))
        lines.append(line)
    return lines


def _of_seeds(values) -> str:
    """A mean share, its 95 % interval, and every seed."""
    if not len(values):
        return "–"
    seeds = " ".join(format(value, ".2f") for value in values)
    if len(values) == 1:
        return seeds
    half = half_interval(values)
    between = f"{values.mean() - half:.2f} to {values.mean() + half:.2f}"
    return f"{values.mean():.2f} ({between}): {seeds}"


def means(ways):
    """The mean of each share over seeds, with half of its 95 % interval.

    Args:
        ways: The frame of the function of that name.

    Returns:
        A pandas frame: dial, visibility, share ("into" or "out"), mean, half; in the order of `ways`.
    """
    import pandas

    lines = []
    for (dial, visibility), part in ways.groupby(["dial", "visibility"], sort=False):
        for share in ("into", "out"):
            values = part[share].dropna()
            line = {"dial": dial, "visibility": visibility, "share": share}
            lines.append({**line, "mean": values.mean(), "half": half_interval(values)})
    return pandas.DataFrame(lines)


# --- claims -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Claim:
    """What might be so, and what the seeds say of it.

    Attributes:
        text: A sentence that is true or not, without its full stop.
        row: The row that it is about.
        kind: What that is held against: "chance", "seeing" (the row of its dial in which all see), or "row" (another).
        difference: Seed by seed; above 0 where the claim is so.
        corrected: p, by Holm over all claims about edges of a study, or over all about scores.
    """

    text: str
    row: str
    kind: str
    difference: Difference
    dial: str = ""  # the name of its dial; "" for a claim about scores
    corrected: float = math.nan

    @property
    def held(self) -> bool:
        return self.difference.mean > 0 and self.corrected <= 0.05

    @property
    def verdict(self) -> str:
        """`held`, `not held`, or that the reverse was found."""
        if self.held:
            return "held"
        if self.corrected <= 0.05:
            return "not held, the reverse was found"
        return "not held"

    @property
    def sentence(self) -> str:
        d = self.difference
        seeds = ", ".join(map(signed, d.values))
        low, high = (signed(end) for end in d.interval)
        return (
            f"{self.text}: {self.verdict} ({signed(d.mean)}, 95 % interval {low} to {high}, seeds: {seeds}, corrected "
            f"p = {self.corrected:.2g}; {d.detectable:.2g} could have been detected)."
        )


def signed(value: float) -> str:
    """The number with its sign: angles and the like by hundredths, shares by thousandths."""
    if abs(value) >= 1:
        return format(value, "+.2f")
    return format(value, "+.3f")


def about_edges(study: Study, ways) -> list[Claim]:
    """Where the open edges lead, as claims: does each row lean into the covered network, and more than the row that sees?

    To lean is the share of the edges into the network that are open, minus the share of those out of it: chance gives 0.

    Args:
        study: What was asked.
        ways: The frame of the function of that name.
    """
    leans = {}
    for (dial, row), part in ways.groupby(["dial", "row"], sort=False):
        leans[dial, row] = (part["into"] - part["out"]).set_axis(part.seed)
    made = []
    for dial in dials(study):
        for row in dial.rows.values():
            lean = leans.get((dial.name, row))
            if lean is None or len(lean) < 2:
                continue
            text = f"{row}: more of the edges into {dial.task} are open than of those out of it"
            made.append(Claim(text, row, "chance", difference(lean * 0, lean), dial.name))
            other, kind = _other(study, dial, row)
            pair = _paired(leans, (dial.name, row), other)
            if pair is not None:
                text = f"{row}: edges lean more into {dial.task} than under {other[1]}"
                made.append(Claim(text, row, kind, difference(*pair), dial.name))
    return _corrected(made)


def _other(study: Study, dial: Dial, row: str) -> tuple[tuple[str, str] | None, str]:
    """((its dial, the row), the kind of claim) that a row of a dial is held against."""
    if dial.seeing:
        return (dial.name, dial.seeing), "seeing"
    against = study.rows[row].get("against", study.reference)
    for other in dials(study):
        if other.task == dial.task and against in other.rows.values():
            return (other.name, against), "row"
    return None, ""


def _paired(series: Mapping, key, other) -> tuple | None:
    """(the other's values, the key's), under the seeds that both have; None for fewer than two, and against itself."""
    if other is None or other == key or key not in series or other not in series:
        return None
    seeds = [seed for seed in series[key].index if seed in series[other].index]
    if len(seeds) < 2:
        return None
    return series[other].loc[seeds], series[key].loc[seeds]


def _corrected(claims: list[Claim]) -> list[Claim]:
    corrected = holm([claim.difference.p for claim in claims])
    return [replace(claim, corrected=p) for claim, p in zip(claims, corrected)]


def about_scores(study: Study, final) -> list[Claim]:
    """Whether found graphs are ahead of what they are compared with, in the covered task's first metric.

    Args:
        study: What was asked; rows are compared that cover the same networks equally.
        final: The final scores of StudyResults.
    """
    made = []
    for row in study.rows:
        against = study.rows[row].get("against", study.reference)
        if against is None or against == row:
            continue
        covers = covered({**study.base, **study.rows[row]})
        same = covers == covered({**study.base, **study.rows[against]})
        if len(covers) != 1 or not same:
            continue
        ahead, behind = against, row
        if _found(study, row) > _found(study, against):
            ahead, behind = row, against
        made += _scored(study, final, ahead, behind, next(iter(covers)))
    return _corrected(made)


def _found(study: Study, row: str) -> int:
    """How much of a row's graph was found by its own search: 2, by another's: 1, not at all: 0."""
    if study.searches(row):
        return 2
    return int("graph_of" in study.rows[row])


def _scored(study: Study, final, ahead: str, behind: str, task: str) -> list[Claim]:
    """The claim that one row is ahead of another in a task; none where they have not run under two seeds."""
    part = final[(final.kind == study.kind) & (final.task == task)]
    if not len(part):
        return []
    metric = part.metric.iloc[0]
    scores = {}
    for row, values in part[part.metric == metric].groupby("row"):
        scores[row] = direction(metric) * values.groupby("seed").value.mean()  # draws are not seeds
    pair = _paired(scores, ahead, behind)
    if pair is None:
        return []
    text = f"{ahead} is ahead of {behind} in {task} {metric}"
    return [Claim(text, ahead, "row", difference(*pair))]


# --- sentences --------------------------------------------------------------------------------------------------------
def sentences(study: Study, claims: list[Claim]) -> list[str]:
    """What the claims say, a sentence each; none for a study that covers nobody's eyes, or has one seed."""
    if not claims:
        return []
    edges = [claim for claim in claims if claim.dial]
    scores = [claim for claim in claims if not claim.dial]
    said = [claim.sentence for claim in edges]
    for dial in dials(study):
        said += _first(dial, edges)
    said += [claim.sentence for claim in scores]
    held = sum(claim.held for claim in claims)
    said.append(
        f"Of {len(edges)} claims about where edges lead and {len(scores)} about scores of the covered task, {held} held: the "
        "seeds agree with them, and p is at most 0.05 when it is corrected for the number of claims of its kind (Holm)."
    )
    return said


def _first(dial: Dial, claims: list[Claim]) -> list[str]:
    """At which of several visibilities edges first lie otherwise than where everything is seen."""
    asked = {}
    for claim in claims:
        if claim.dial == dial.name and claim.kind == "seeing":
            asked[claim.row] = claim
    tried = [visibility for visibility, row in dial.rows.items() if row in asked]
    if len(tried) < 2:
        return []  # the claim about the one says it
    told = ", ".join(format(visibility, "g") for visibility in tried)
    for visibility in tried:  # from the one that sees most
        if asked[dial.rows[visibility]].corrected <= 0.05:
            return [
                f"{dial.name}: of the visibilities {told}, going down, {visibility:g} is the first at which edges are found "
                "to lie otherwise than at 1."
            ]
    return [
        f"{dial.name}: at none of the visibilities {told} are edges found to lie otherwise than at 1."
    ]
