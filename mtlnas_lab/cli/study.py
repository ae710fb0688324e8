"""`mtlnas-lab study` and `report`: many runs that answer one question."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from ..errors import ConfigError
from ..one_line import printable
from .places import writable


def study(
    file: Positional[str],
    size: str = "small",
    out: Path | None = None,
    jobs: int = 2,
    backend: str = "loky",
) -> None:
    """Run a study: every row under every seed, in run folders; go on with what an earlier call left; write its report.

        mtlnas-lab study main                        # a shipped study, in its small size
        mtlnas-lab study my.yaml --jobs 8            # your own
        mtlnas-lab study main --size full --backend dask

    Args:
        file: A study's file (YAML), or the name of a shipped one.
        size: One of the sizes that the file knows.
        out: Where the runs go; otherwise runs/studies/<name>-<size>.
        jobs: Runs at a time.
        backend: joblib's: loky (processes of this machine), dask (the scheduler that DASK_SCHEDULER_ADDRESS names, or
            processes here), ray, sequential.
    """
    from tqdm import tqdm

    from ..analysis.study import Study, known, processes
    from ..explore.study import Exploration, explores

    if explores(file):
        _explore(Exploration.load(file, size), out, jobs, backend)
        return
    made = Study.load(file, size)
    out = out or _usual(made)
    failed = []
    # What cannot work is said before the first run.
    writable(out / "report")
    processes(jobs)
    known(backend)
    try:
        with tqdm(total=len(made.cells()), unit="run", desc=made.name, dynamic_ncols=True) as bar:
            for done in made.run(out, jobs, backend):
                bar.update()
                if done.error:
                    failed.append(done)
                    bar.write(printable(f"{done.cell.folder} failed: {done.error}"))
    except KeyboardInterrupt as end:
        end.add_note("what is done is kept; the same command goes on with it")
        raise
    if len(failed) < len(made.cells()):  # what is finished is worth a report
        _write(made, out, out / "report")
    if failed:
        raise ConfigError(
            f"{len(failed)} of {len(made.cells())} runs failed; the same command tries them again"
        )


def _explore(study, out: Path | None, jobs: int, backend: str) -> None:
    """Runs an exploration's study, and writes its report."""
    from tqdm import tqdm

    out = out or _usual(study)
    writable(out / "report")
    rows = study.run(out, jobs, backend)
    try:
        total = len(study.arms) * len(study.seeds)
        for _ in tqdm(rows, total=total, unit="row", desc=study.name, dynamic_ncols=True):
            pass
    except KeyboardInterrupt as end:
        end.add_note("what is done is kept; the same command goes on with it")
        raise
    _write_exploration(study, out, out / "report")


def _write_exploration(study, out: Path, to: Path) -> None:
    from ..explore.report import Findings, sentences, write

    findings = Findings.from_folder(study, out)
    print(*map(printable, write(findings, to)), "", *map(printable, sentences(findings)), sep="\n")


def report(
    file: Positional[str], size: str = "small", out: Path | None = None, to: Path | None = None
) -> None:
    """Write a study's report again from what is finished.

        mtlnas-lab report main --out runs/studies/main-small

    Args:
        file: A study's file (YAML), or the name of a shipped one.
        size: One of the sizes that the file knows.
        out: Where its runs are; otherwise runs/studies/<name>-<size>.
        to: Where the report goes; otherwise into `report` there.
    """
    from ..analysis.study import Study
    from ..explore.study import Exploration, explores

    if explores(file):
        study = Exploration.load(file, size)
        out = out or _usual(study)
        _write_exploration(study, out, writable(to or out / "report"))
        return
    made = Study.load(file, size)
    out = out or _usual(made)
    _write(made, out, writable(to or out / "report"))


def _usual(study) -> Path:
    return Path("runs/studies") / f"{study.name}-{study.size}"


def _write(study, out: Path, to: Path) -> None:
    """The report of what is finished."""
    from ..analysis.report import StudyResults, write

    findings = StudyResults.from_folder(study, out)
    print(*map(printable, write(findings, to)), "", *map(printable, findings.sentences), sep="\n")
