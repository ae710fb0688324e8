"""A study's report: what was asked, what came out, with every seed in sight; HTML, PDF, Markdown, LaTeX and tidy tables."""
from __future__ import annotations

import html
import io
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import __version__
from .errors import RunError
from .files import read_json
from .paired import Difference, chance_overlap, delta_m, difference, half_interval, holm, overlap, per_seed
from .runs import Run
from .space import SearchSpace
from .studies import Study
from .tasks import HIGHER_IS_BETTER

KINDS = {"soft": "as searched", "hard": "cut to hard gates", "hard_recalibrated": "cut, batch norm anew"}


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
        if d.found:
            said = f"{'better' if d.mean > 0 else 'worse'} by {abs(d.mean):.1f} points of Δm"
            doubt = "" if self.corrected <= 0.05 else ", which does not survive the correction for many comparisons"
        else:
            said, doubt = f"no difference found ({d.mean:+.1f} points of Δm)", f"; {d.detectable:.1f} could have been detected"
        return (f"{self.row} against {self.against}: {said}, 95 % interval {low:+.1f} to {high:+.1f}, {len(d.values)} seeds, "
                f"corrected p = {self.corrected:.2g}{doubt}.")


@dataclass
class Findings:
    """A study's tables and what they say."""

    study: Study
    scores: object                                # tidy (pandas): studies.Study.table
    runs: object                                  # one line a run (pandas): studies.Study.runs
    spaces: Mapping[str, SearchSpace]             # of each row
    single: str = "single_task"

    @classmethod
    def of(cls, study: Study, out: str | Path) -> Findings:
        scores, runs = study.table(out), study.runs(out)
        if not len(runs):
            raise RunError(f"{out} holds no finished run of the study {study.name!r}; run it first: mtlnas-lab study")
        return cls(study, scores, runs, {row: Run.open(Path(out) / part.folder.iloc[0]).space for row, part in runs.groupby("row")})

    @classmethod
    def read(cls, study: Study, folder: str | Path) -> Findings:
        """From the tables that `write` left (scores.csv, runs.csv): the runs themselves are not needed."""
        import pandas

        folder = Path(folder)
        try:
            scores = pandas.read_csv(folder / "scores.csv", dtype={"step": "Int64"})
            spaces = {row: SearchSpace.from_json(space) for row, space in read_json(folder / "spaces.json").items()}
            return cls(study, scores, pandas.read_csv(folder / "runs.csv", dtype={"kept": str}), spaces)
        except OSError as error:
            raise RunError(f"{folder} has no tables of a study ({error.strerror}: scores.csv, runs.csv, spaces.json)") from None

    @property
    def gains(self):
        """Δm over single-task in %, (row × seed), in the study's order of rows."""
        found = per_seed(self.scores, self.study.kind, self.single)
        return found.reindex([row for row in self.study.rows if row in found.index])

    def compared(self) -> list[Compared]:
        """Every row against the reference, by Δm, paired by seed."""
        gains, reference = self.gains, self.study.reference
        if reference not in gains.index:
            return []
        pairs = [(row, gains.loc[[reference, row]].dropna(axis=1)) for row in gains.index if row != reference]
        found = [(row, difference(pair.loc[reference], pair.loc[row])) for row, pair in pairs if pair.shape[1] > 1]
        return [Compared(row, reference, d, p) for (row, d), p in zip(found, holm([d.p for _, d in found]))]

    def means(self):
        """Scores of each row: mean over seeds, and their standard deviation (columns (task, metric), entries "m ± s")."""
        final = self.scores[self.scores.step.isna() & (self.scores.kind == self.study.kind)]
        seeds = final.groupby(["row", "seed", "task", "metric"], sort=False).value.mean().reset_index()
        cell = seeds.groupby(["row", "task", "metric"], sort=False).value.agg(
            lambda v: f"{v.mean():.{2 if v.abs().mean() > 2 else 3}f} ± {v.std():.{2 if v.abs().mean() > 2 else 3}f}")
        table = cell.unstack(["task", "metric"])
        table = table.reindex([row for row in self.study.rows if row in table.index])
        gains = self.gains
        if len(gains):
            table[("", "Δm, %")] = [f"{gains.loc[row].mean():+.1f} ± {gains.loc[row].std():.1f}" if row in gains.index else "" for row in table.index]
        return table

    def gap(self):
        """What cutting the gates changes, in Δm points relative to the soft score of the same run: (row × seed)."""
        import pandas

        final, lines = self.scores[self.scores.step.isna()], []
        for (row, seed), part in final.groupby(["row", "seed"]):
            by_kind = {kind: p.groupby(["task", "metric"]).value.mean() for kind, p in part.groupby("kind")}
            if "soft" in by_kind:
                nested = {kind: {t: v[t].to_dict() for t in v.index.levels[0]} for kind, v in by_kind.items()}
                lines.append({"row": row, "seed": seed, **{kind: delta_m(nested[kind], nested["soft"]) for kind in ("hard", "hard_recalibrated")}})
        return pandas.DataFrame(lines)

    def overlap(self) -> list[dict]:
        """Rows that searched: how alike the seeds' graphs are, and what chance gives (pairwise Jaccard overlap)."""
        said = []
        for row, part in self.runs.groupby("row", sort=False):
            if len(part) > 1 and self.study.rows[row].get("method", "search") == "search":
                mean, low, high = chance_overlap(int(part.candidates.iloc[0]), part.edges.tolist(), draws=500)
                said.append({"row": row, "jaccard": overlap(part.kept), "chance": mean, "low": low, "high": high})
        return said

    def sentences(self) -> list[str]:
        """What the study says, one plain sentence each."""
        said = [one.sentence for one in self.compared()]
        gap = self.gap()
        for row, part in gap.groupby("row", sort=False) if len(gap) else ():
            said.append(f"{row}: cutting the gates changes the score by {part.hard.mean():+.1f} % "
                        f"(seeds: {', '.join(f'{v:+.1f}' for v in part.hard)}), with batch norm anew {part.hard_recalibrated.mean():+.1f} %.")
        for o in self.overlap():
            inside = o["low"] <= o["jaccard"] <= o["high"]
            said.append(f"{o['row']}: graphs of two seeds share {o['jaccard']:.2f} of their edges (Jaccard); random graphs of these sizes "
                        f"{o['chance']:.2f} ({o['low']:.2f} to {o['high']:.2f}): {'no more than chance' if inside else 'not chance'}.")
        return said


# --- written down -----------------------------------------------------------------------------------------------------
def write(findings: Findings, folder: str | Path) -> list[Path]:
    """report.html, report.pdf, report.md, tables.tex, scores.csv, runs.csv (and .parquet where pyarrow is installed)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = pictures(findings)
    text = {"report.html": _page(findings, figures), "report.md": _markdown(findings), "tables.tex": latex(findings)}
    for name, content in text.items():
        (folder / name).write_text(content, encoding="utf-8")
    findings.scores.to_csv(folder / "scores.csv", index=False, float_format="%.6g")
    findings.runs.to_csv(folder / "runs.csv", index=False, float_format="%.6g")
    (folder / "spaces.json").write_text(json.dumps({row: space.to_json() for row, space in findings.spaces.items()}), encoding="utf-8")
    made = [*text, "scores.csv", "runs.csv", "spaces.json"]
    try:
        findings.scores.to_parquet(folder / "scores.parquet", index=False)
        made.append("scores.parquet")
    except ImportError:
        pass                                                     # the extra `studies` brings pyarrow; CSV says the same
    _pdf(findings, figures, folder / "report.pdf")
    return [folder / name for name in (*made, "report.pdf")]


def pictures(findings: Findings) -> list[tuple[str, object]]:
    """(caption, Figure): Δm by row, the gap, the gap over time, consensus graphs — those for which there are data."""
    from .viz import studies as draw

    made = [("Change over single-task networks (Δm, more is better). Every dot is a seed, dots of one seed share a colour; the bar is the mean "
             "with its 95 % interval.", draw.plot_gains(findings.gains, {row: half_interval(v.dropna()) for row, v in findings.gains.iterrows()},
                                            findings.study.reference))] if len(findings.gains) else []
    gap = findings.gap()
    if len(gap):
        made.append(("What it costs to cut the gates to 0 and 1, relative to the same network as searched. Zero: nothing.", draw.plot_cut(gap)))
    over = findings.scores[findings.scores.step.notna()]
    if "soft" in set(over.kind):
        made.append(("The gap while the search runs (validation pictures): the score under hard gates minus the score as searched. "
                     "Thin lines are seeds.", draw.plot_cut_over_time(over)))
    made += [(f"How often the seeds kept each edge: {row}.", figure) for row, figure in consensus(findings)]
    return made


def consensus(findings: Findings) -> list[tuple[str, object]]:
    """(row, Figure): the reference if it searched, and at most two other rows that did."""
    from .architecture import Architecture
    from .viz import consensus_graph, plot_fusion_graph

    made, rows = [], [o["row"] for o in findings.overlap()]
    for row in sorted(rows, key=lambda r: r != findings.study.reference)[:3]:
        found = [Architecture(findings.spaces[row], tuple(c == "1" for c in kept))
                 for kept in findings.runs[findings.runs.row == row].kept]
        made.append((row, plot_fusion_graph(consensus_graph(found), style="web-light").figure))
    return made


def latex(findings: Findings) -> str:
    """The table of means as booktabs."""
    from .viz.vector import latex as escape_latex

    table = findings.means()
    head = [" & ".join(["", *(escape_latex(task) for task, _ in table.columns)]),
            " & ".join(["row", *(escape_latex(f"{metric} {_arrow(metric)}") for _, metric in table.columns)])]
    body = [" & ".join([escape_latex(row), *(str(v).replace("±", r"$\pm$") for v in values)]) for row, values in zip(table.index, table.to_numpy())]
    lines = [r"\begin{tabular}{l" + "r" * len(table.columns) + "}", r"\toprule", *(line + r" \\" for line in head), r"\midrule",
             *(line + r" \\" for line in body), r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _arrow(metric: str) -> str:
    return {True: "↑", False: "↓"}.get(HIGHER_IS_BETTER.get(metric), "↑")


def facts(findings: Findings) -> list[str]:
    """What it took: runs, seeds, steps, machine, versions, the command."""
    import torch

    study, runs = findings.study, findings.runs
    return [f"{len(runs)} runs of {len(study.rows)} rows, seeds {', '.join(map(str, study.seeds))}; {runs.seconds.sum() / 60:.0f} minutes of steps in all",
            f"every run took {' or '.join(str(n) for n in sorted(runs.steps.unique()))} steps; what is not trained here (shipped or shared "
            "pretrained backbones) is the same for all rows of a seed",
            f"compared by the score `{study.kind}` ({KINDS[study.kind]}), as Δm over single-task networks of the same seed and budget",
            f"mtlnas_lab {__version__}, torch {torch.__version__.split('+')[0]}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores",
            f"command: mtlnas-lab study {study.name}"]


def _markdown(findings: Findings) -> str:
    table = findings.means()
    head = ["row", *(f"{task} {metric} {_arrow(metric)}".strip() for task, metric in table.columns)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
             *("| " + " | ".join([row, *map(str, values)]) + " |" for row, values in zip(table.index, table.to_numpy()))]
    said, took = ("\n".join(f"- {line}" for line in part) for part in (findings.sentences(), facts(findings)))
    return f"# {findings.study.name}\n\n{findings.study.question}\n\n{said}\n\n" + "\n".join(lines) + f"\n\n{took}\n"


def _page(findings: Findings, figures) -> str:
    e, table = html.escape, findings.means()
    head = "".join(f"<th>{e(task)}<br>{e(metric)} {_arrow(metric)}</th>" for task, metric in table.columns)
    body = "".join(f"<tr><th>{e(row)}</th>" + "".join(f"<td>{e(str(v))}</td>" for v in values) + "</tr>" for row, values in zip(table.index, table.to_numpy()))
    drawn = "".join(f"<figure>{_svg(figure)}<figcaption>{e(caption)}</figcaption></figure>" for caption, figure in figures)
    said, took = ("".join(f"<li>{e(line)}</li>" for line in part) for part in (findings.sentences(), facts(findings)))
    return (f"<!doctype html><html lang=en><meta charset=utf-8><title>{e(findings.study.name)}</title><style>{STYLE}</style>"
            f"<h1>{e(findings.study.name)}</h1><p class=ask>{e(findings.study.question)}</p><h2>What it says</h2><ul>{said}</ul>"
            f"<h2>Scores</h2><p>Mean ± standard deviation over seeds.</p><div class=wide><table><tr><th></th>{head}</tr>{body}</table></div>"
            f"<h2>Pictures</h2>{drawn}<h2>How it was done</h2><ul>{took}</ul></html>\n")


STYLE = ("body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1b1f27}.ask{font-size:1.2em;color:#5c6370}"
         "table{border-collapse:collapse;font-size:.85em}th,td{padding:.25em .6em;text-align:right;border-bottom:1px solid #ddd}"
         "tr>th:first-child{text-align:left}figure{margin:2em 0}figure svg{max-width:100%;height:auto}figcaption{color:#5c6370}.wide{overflow-x:auto}")


def _svg(figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()[stream.getvalue().index("<svg"):]


def _pdf(findings: Findings, figures, path: Path) -> None:
    from matplotlib.backends.backend_pdf import PdfPages

    from .viz.studies import captioned, text_page

    said = ["What it says", *(f"• {line}" for line in findings.sentences()), "", "How it was done", *(f"• {line}" for line in facts(findings))]
    table = findings.means()
    cells = [[row, *map(str, values)] for row, values in zip(table.index, table.to_numpy())]
    head = ["", *(f"{task}\n{metric} {_arrow(metric)}" for task, metric in table.columns)]
    with PdfPages(path, metadata={"CreationDate": None, "Title": findings.study.name}) as pages:
        for page in text_page(findings.study.name, findings.study.question, said, head, cells):
            pages.savefig(page)
        for caption, figure in figures:
            pages.savefig(captioned(figure, caption))
