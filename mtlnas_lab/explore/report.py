"""The report of an exploration's study: what was asked, what became of each claim, with every seed in sight."""

from __future__ import annotations

import os
import platform
import shlex
from pathlib import Path

from ..analysis.report import Table, as_svg, filled
from ..analysis.statistics import half_interval
from ..one_line import printable
from ..storage.safe_files import os_errors_as_run_errors
from .claim import Claim, Verdict
from .study import RUNS, SECONDS, Findings

HEAD = ["arm", "quantity", "mean", "95 % interval", "each seed"]
CLAIMS = ["claim", "outcome", "quantity", "comparison", "difference", "95 % interval", "p (Holm)"]


def write(findings: Findings, folder: str | os.PathLike) -> list[Path]:
    """Writes report.html, report.md and runs.csv into a folder, which is made where it is not there.

    An exploration with pictures or files of its own has functions `report_pictures(findings)` and `write_more(findings, folder)`.

    Raises:
        RunError: The folder cannot be made or written.
    """
    folder = Path(folder)
    claims, numbers = tables(findings)
    parts = {
        "study": findings.study,
        "sentences": sentences(findings),
        "tables": [claims],
        "numbers": numbers,
        "facts": facts(findings),
    }
    page = filled("report.html.j2", pictures=as_svg(pictures(findings)), **parts)
    paths = [folder / "report.html", folder / "report.md", folder / RUNS]
    with os_errors_as_run_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(page, encoding="utf-8")
        paths[1].write_text(filled("report.md.j2", **parts), encoding="utf-8")
        findings.frame.to_csv(paths[2], index=False)
        write_more = getattr(findings.study.module, "write_more", None)
        if write_more is not None:
            paths += write_more(findings, folder)
    return paths


def sentences(findings: Findings) -> list[str]:
    """The verdicts, and how many comparisons share the correction."""
    said = findings.sentences
    compared = sum(verdict.difference is not None for verdict in findings.verdicts)
    if compared:
        said.append(
            f"{_counted(compared)} by paired t-tests, p corrected for that number (Holm); a true difference of the size "
            "called detectable is found at 5 % in four of five such studies. A claim held where its corrected p is 0.05 at most; it did "
            "not hold where its own interval, uncorrected, leaves no room for it; else the seeds could not tell."
        )
    return said


def _counted(comparisons: int) -> str:
    return "1 comparison" if comparisons == 1 else f"{comparisons} comparisons"


def tables(findings: Findings) -> list[Table]:
    """The claims; then every quantity of every arm."""
    claims = [_claim(verdict) for verdict in findings.verdicts]
    lines = []
    for quantity in findings.quantities:
        for arm, values in findings.values(quantity).iterrows():
            lines.append(_cells(arm, quantity, values.dropna()))
    return [
        Table("Claims, named before the run", CLAIMS, claims, "claims"),
        Table("All numbers", HEAD, lines, "seeds"),
    ]


def _claim(verdict: Verdict) -> list[str]:
    claim = verdict.claim
    says = claim.says + (" (control)" if claim.control else "")
    cells = [says, verdict.outcome, claim.quantity]
    if verdict.difference is None:
        values = ", ".join(format(value, ".4g") for value in verdict.values)
        return [*cells, f"{claim.arm}, {claim.better} than {claim.limit:g}", values, "", ""]
    low, high = verdict.interval
    return [
        *cells,
        f"{claim.arm} − {claim.against}",
        f"{verdict.mean:+.4g}",
        f"{low:+.4g} to {high:+.4g}",
        f"{verdict.corrected:.2g}",
    ]


def _cells(arm: str, quantity: str, values) -> list[str]:
    mean = values.mean()
    seeds = " ".join(format(value, ".4g") for value in values)
    interval = "–"
    if len(values) > 1:
        half = half_interval(values.tolist())
        interval = f"{mean - half:.4g} to {mean + half:.4g}"
    return [arm, quantity, f"{mean:.4g}", interval, seeds]


def pictures(findings: Findings) -> list[tuple[str, object]]:
    """(caption, Figure): the exploration's own, or else one of each quantity that a claim is about."""
    import matplotlib

    own = getattr(findings.study.module, "report_pictures", None)
    if own is not None:
        return own(findings)

    from ..viz.study_plots import plot_quantity

    made = []
    with matplotlib.rc_context({"text.parse_math": False}):  # a $ in a name is a dollar
        for quantity in dict.fromkeys(claim.quantity for claim in findings.study.claims):
            if quantity in findings.quantities:
                values = findings.values(quantity)
                half = {arm: half_interval(row.dropna()) for arm, row in values.iterrows()}
                made.append((_caption(findings, quantity), plot_quantity(values, half, quantity)))
    return made


def _caption(findings: Findings, quantity: str) -> str:
    better = {_side(claim) for claim in findings.study.claims if claim.quantity == quantity}
    side = f" ({better.pop()})" if len(better) == 1 else ""
    return f"{quantity}{side}. Every dot is a seed; the bar is the mean with its 95 % interval."


def _side(claim: Claim) -> str:
    if claim.better == "same":
        return "arms are compared for sameness"
    return f"{claim.better} is better"


def facts(findings: Findings) -> list[str]:
    """How it was done."""
    study = findings.study
    seconds = findings.values(SECONDS)
    shown = findings.frame["seed"].drop_duplicates().tolist()
    said = [
        f"{len(study.arms)} arms under the seeds {', '.join(map(str, shown))}; a row took {seconds.mean(axis=None):.3g} s of "
        f"processor time on average, all of them {seconds.sum().sum() / 60:.3g} minutes"
    ]
    said += [f"settings of all arms: {study.base}"] if study.base else []
    said += study.notes
    named = printable(shlex.quote(study.file or study.name))
    if study.size:
        named += f" --size {study.size}"
    said.append(f"report written on {platform.machine()}, {os.cpu_count()} cores")
    said.append(
        f"command: mtlnas-lab study {named}; this report from finished rows: mtlnas-lab report {named}"
    )
    return said
