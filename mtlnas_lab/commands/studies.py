"""`mtlnas-lab study` and `report`: many runs that answer one question."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from ..errors import ConfigError


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

    from ..studies import Study

    made = Study.load(file, size)
    out, failed = out or Path("runs/studies") / f"{made.name}-{size}", []
    with tqdm(total=len(made.cells()), unit="run", desc=made.name, dynamic_ncols=True) as bar:
        for done in made.run(out, jobs, backend):
            bar.update()
            if done.error:
                failed.append(done)
                bar.write(f"{done.cell.folder} failed: {done.error}")
    if len(failed) < len(made.cells()):
        report(file, size, out)
    if failed:
        raise ConfigError(
            f"{len(failed)} of {len(made.cells())} runs failed; the same command tries them again"
        )


def report(
    file: Positional[str], size: str = "small", out: Path | None = None, to: Path | None = None
) -> None:
    """Write a study's report again from what is finished.

    Args:
        file: A study's file (YAML), or the name of a shipped one.
        size: One of the sizes that the file knows.
        out: Where its runs are; otherwise runs/studies/<name>-<size>.
        to: Where the report goes; otherwise into `report` there.
    """
    from ..report import Findings, write
    from ..studies import Study

    made = Study.load(file, size)
    out = out or Path("runs/studies") / f"{made.name}-{size}"
    findings = Findings.of(made, out)
    print(*write(findings, to or out / "report"), "", *findings.sentences, sep="\n")
