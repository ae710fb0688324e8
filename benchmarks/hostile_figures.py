"""Hostile titles, names, sizes, styles, layouts, logs and files against every kind of picture and every format.

Each ends as a MTLNASError of one line, or as files that are whole, within seconds.
"""

from __future__ import annotations

import json
import os
import random
import time
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from harness import Tally
from PIL import Image

from mtlnas_lab import viz
from mtlnas_lab.core.architecture import derive
from mtlnas_lab.core.events import Evaluated, Started, Step, Turned
from mtlnas_lab.core.space import SearchSpace, paper_rules, plan
from mtlnas_lab.errors import MTLNASError
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.viz.style import STYLES, PictureWarning

SECONDS = 60  # far above what any picture takes, far below what a hang takes
CURVES = ("entropy", "gates", "losses", "scores", "gap", "collapse", "heatmap")
FORMATS = ("pdf", "svg", "png")
GRAPH_FORMATS = (*FORMATS, "tikz", "html")
TEXTS = (
    "",
    "a" * 3_000,
    "a b " * 20_000,
    r"$\frac{ $",
    "$" * 50,
    r"\input{/etc/passwd} % & # _ ^ ~ {",
    "\x1b]0;forged\x07\x1b[31m",
    "two\nlines\r\tand \x00 a NUL",
    "\ud800 half a pair, \uffff, \ufdd0",
    "]]> --> <script>alert(1)</script> &amp; \"'",
    "名前 なまえ 이름 😀 🇩🇪",
    "\u202eright to left\u202c שלום أعماق",
    "e" + "\u0301" * 500,
    "…" * 700,
)
NUMBERS = (
    0,
    -3,
    5,
    20,
    50,
    1e9,
    10**400,
    float("nan"),
    float("inf"),
    -0.0,
    True,
    "85",
    None,
    [],
    np.float64(60),
)
PLACES = (
    [1, 2],
    "{",
    {"a:0": 3},
    {"a:0": [1, float("inf")]},
    {"a:0": [10**400, 0]},
    {"a:0": ["1", "2"]},
    {"a:0": [True, False]},
    {"zz:0": [0, 0]},
    {"a:0": [1e300, 0]},
    {"a:0": [0, 0], "b:0": [0, 0], "a:1": [0, 0], "b:1": [0, 0]},
    {"a:0": {"x": 1}},
    {3: [0, 0]},
    7,
    "",
    "a\x00b",
    "x" * 5_000,
)


def search(names=("a", "b"), steps=20, turned=0, nan=False, seed=0) -> EventLog:
    """A made-up log; `turned` knobs are turned at its steps, with `nan` every second loss is missing."""
    chance = np.random.default_rng(seed)
    space = SearchSpace.build(dict.fromkeys(names, plan([8, 16], [1, 1])), paper_rules(3))
    events = [Started({"seed": 1}, space.to_json(), {}, "cpu", 1)]
    for step in range(1, steps + 1):
        alpha = tuple(chance.normal(0, 1, len(space)).tolist())
        for turn in range(turned * (step - 1) // steps, turned * step // steps):
            events.append(Turned(step, {"entropy_weight": float(turn)}))
        value = float("nan") if nan and step % 2 else 1 / step
        loss = dict.fromkeys(space.tasks, value)
        events.append(Step(step, alpha, alpha, loss, 0.5, 0.7, 1.0, 0.0, 1.0, 0.1, 0.1))
        if step % 10 == 0:
            scores = {task: {"miou": 0.2, "f1": value} for task in space.tasks}
            events.append(Evaluated(step, {"soft": scores, "hard": scores}))
    return EventLog(events)


def broken(name: str, data: bytes) -> str:
    """What is wrong with a file; nothing for a whole one."""
    if not data:
        return "is empty"
    if name == "pdf":
        return "" if data.startswith(b"%PDF") and b"%%EOF" in data[-64:] else "is no PDF"
    if name == "svg":
        ET.fromstring(data)
    if name == "png":
        import io

        Image.open(io.BytesIO(data), formats=("PNG",)).load()
    if name in ("tikz", "tex", "html"):
        text = data.decode()
        marks = [c for c in text if ord(c) < 32 and c not in "\n\t" or 0xD800 <= ord(c) < 0xE000]
        if marks:
            return f"holds {marks[:3]}"
    if name == "tikz" and not data.rstrip().endswith(b"\\end{tikzpicture}%"):
        return "does not end"
    return ""


@dataclass
class Trial:
    """Pictures that are tried: all formats of each, or a sample where it has to be quick."""

    tally: Tally
    chance: random.Random
    quick: bool

    def picture(self, kind: str, what: str, make: Callable, formats=FORMATS) -> None:
        """One picture: whole files, or a MTLNASError of one line; nothing else, and in time."""
        begin, tally = time.monotonic(), self.tally
        formats = (self.chance.choice(formats),) if self.quick else formats
        try:
            files, _ = viz.figure_files(make(), formats)
            for name, data in files.items():
                problem = broken(name, data)
                tally.expect(not problem, f"{what}: {name} {problem}")
            tally.hit(f"{kind} drawn")
        except MTLNASError as error:
            text = str(error)
            good = bool(text) and "\n" not in text
            tally.expect(good, f"{what}: more than a line: {text[:100]!r}")
            tally.hit(f"{kind} refused")
        except Exception as error:  # what a person would see as a traceback
            tally.expect(False, f"{what}: {type(error).__name__}: {str(error)[:100]!r}")
        seconds = time.monotonic() - begin
        tally.expect(seconds < SECONDS, f"{what}: {seconds:.0f} s")


def figures(folder: Path, chance: random.Random, quick: bool) -> Tally:
    """Hostile titles, names, sizes, styles, layouts, logs and damaged files, against every kind and format."""
    trial, log = Trial(Tally(), chance, quick), search()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PictureWarning)
        texts(trial, log)
        sizes(trial, log)
        layouts(trial, log, folder)
        logs(trial)
        damaged(trial, log, folder, 40 if quick else 2_000)
        paths(trial, log, folder)
    return trial.tally


def texts(trial: Trial, log: EventLog) -> None:
    """Every text as a title, and as the name of a task."""
    chance, quick = trial.chance, trial.quick
    for text in TEXTS:
        kinds = chance.sample(CURVES, 1) if quick else CURVES
        for kind in kinds:
            plot = getattr(viz, f"plot_{kind}")
            trial.picture(
                "titles", f"{kind}, {text[:20]!r}", lambda p=plot, t=text: p(log, title=t)
            )
        graph = viz.fusion_graph(log)
        trial.picture(
            "titles",
            f"graph, {text[:20]!r}",
            lambda g=graph, t=text: viz.GraphFigure(g, title=t),
            GRAPH_FORMATS,
        )
        try:
            named = search((text, "b"))
            tasks = named.space.tasks
        except MTLNASError:
            trial.tally.hit("names refused")
            continue
        trial.tally.expect(tasks == (text, "b"), f"{text[:20]!r} is another name")
        for kind in kinds:
            plot = getattr(viz, f"plot_{kind}")
            trial.picture("names", f"{kind} of {text[:20]!r}", lambda p=plot, n=named: p(n))
        for color in ("probability", "source"):
            trial.picture(
                "names",
                f"graph of {text[:20]!r}",
                lambda n=named, c=color: viz.GraphFigure(viz.fusion_graph(n), color=c),
                GRAPH_FORMATS,
            )


def sizes(trial: Trial, log: EventLog) -> None:
    """Every number as a width, a height, a size of text, a resolution and a threshold."""
    graph = viz.fusion_graph(log)
    base = STYLES["paper-single"]
    for value in NUMBERS:
        what = f"{str(value)[:12]}"
        makes = {
            "width": lambda v=value: viz.GraphFigure(graph, width=v),
            "threshold": lambda v=value: viz.GraphFigure(graph, threshold=v),
            "height": lambda v=value: viz.plot_losses(log, height=v),
            "columns": lambda v=value: viz.GraphGrid((viz.GraphFigure(graph),), v),
            "step": lambda v=value: viz.plot_heatmap(log, step=v),
        }
        for size in ("width", "font", "small", "dpi", "dark", "task_colors", "name"):
            makes[f"style {size}"] = lambda v=value, s=size: viz.plot_entropy(
                log, style=replace(base, **{s: v})
            )
        for name, make in makes.items():
            trial.picture("sizes", f"{name}={what}", make, ("png",))
    for width in (20, 25, 30, 40, 50, 70):
        look = replace(base, width=width)
        for kind in CURVES[: 2 if trial.quick else None]:
            plot = getattr(viz, f"plot_{kind}")
            trial.picture("sizes", f"{kind}, {width} mm", lambda p=plot, s=look: p(log, style=s))


def layouts(trial: Trial, log: EventLog, folder: Path) -> None:
    """Layouts of every shape, as values and as files; pipes, devices and links to them."""
    graph = viz.fusion_graph(log)
    pipe, link = folder / "pipe", folder / "link.json"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    files = [pipe, link, Path("/dev/zero"), Path("/dev/null"), folder, folder / "missing.json"]
    for number, places in enumerate(PLACES):
        file = folder / f"layout-{number}.json"
        text = places if isinstance(places, str) else json.dumps(places, default=str)
        file.write_text(text, encoding="utf-8", errors="replace")
        files.append(file)
    large = folder / "large.json"
    large.write_text("[" * 5_000_000)
    for layout in [*PLACES, *files, large]:
        trial.picture(
            "layouts",
            f"layout {str(layout)[:40]!r}",
            lambda one=layout: viz.GraphFigure(graph, layout=one),
            ("svg",),
        )


def logs(trial: Trial) -> None:
    """Logs with many events, many tasks, many losses that are missing."""
    quick = trial.quick
    many = 300 if quick else 2_000
    made = {
        "8,000 turned": search(turned=8_000),
        "half the losses missing": search(nan=True),
        "nine tasks": search([f"task number {i}" for i in range(9)]),
    }
    for name, log in made.items():
        for kind in CURVES:
            plot = getattr(viz, f"plot_{kind}")
            trial.picture("logs", f"{kind} of {name}", lambda p=plot, one=log: p(one))
    losses = {f"task {i}": 1.0 for i in range(many)}
    steps = [Step(i, (), (), losses, 0, 0, 0, 0, 1, 0, 0.1) for i in range(1, 6)]
    trial.picture("logs", f"losses of {many} tasks", lambda: viz.plot_losses(EventLog(steps)))
    wide = SearchSpace.build({f"t{i}": plan([8], [1]) for i in range(60 if quick else 150)})
    alpha = np.zeros(len(wide))
    trial.picture("logs", "a graph of many tasks", lambda: graph_of(wide, alpha))
    trial.picture("logs", "a table of many tasks", lambda: viz.plot_heatmap(derive(wide, alpha)))


def graph_of(space: SearchSpace, alpha) -> viz.GraphFigure:
    return viz.GraphFigure(viz.fusion_graph(space, alpha))


def damaged(trial: Trial, log: EventLog, folder: Path, turns: int) -> None:
    """Files of pictures in which one value is another: `refigure` draws what is still a picture, or refuses."""
    chance, records = trial.chance, []
    for number, kind in enumerate(CURVES):
        viz.save_figure(getattr(viz, f"plot_{kind}")(log), folder / f"curve-{number}", ("svg",))
        records.append(json.loads((folder / f"curve-{number}.json").read_text()))
    graph = viz.GraphFigure(viz.fusion_graph(log))
    for name, figure in (("graph", graph), ("grid", viz.GraphGrid((graph, graph), 2))):
        viz.save_figure(figure, folder / name, ("svg",))
        records.append(json.loads((folder / f"{name}.json").read_text()))
    odd = ["x", "", -1, 0.5, 10**400, True, None, [], {}, [[]], {"a": 1}, "$\\frac{ $", 10**9, 1e99]
    file = folder / "damaged.json"
    for turn in range(turns):
        record = json.loads(json.dumps(chance.choice(records)))
        where, path = record["figure"], []
        while True:
            keys = list(where) if isinstance(where, dict) else list(range(len(where)))
            key = chance.choice(keys)
            path.append(key)
            if not where[key] or not isinstance(where[key], (dict, list)) or chance.random() < 0.2:
                break
            where = where[key]
        where[key] = chance.choice(odd)
        file.write_text(json.dumps(record))
        trial.picture("damaged files", f"turn {turn}, {path}", lambda: viz.refigure(file), ("svg",))


def paths(trial: Trial, log: EventLog, folder: Path) -> None:
    """Places that can't be written to: a line before there is work, and nothing is left behind."""
    (folder / "a-file").write_text("x")
    (folder / "taken.svg").mkdir()
    graph = viz.GraphFigure(viz.fusion_graph(log))
    before = sorted(folder.iterdir())
    for path in (
        folder / "a-file" / "x",
        folder / "a-file" / "deep" / "x",
        folder / ("n" * 254),
        folder / ("é" * 200),
        folder / ("d" * 300) / "x",
        folder / "taken",
        folder / "nul\x00" / "x",
        Path("/proc/none/x"),
    ):
        trial.picture(
            "paths",
            f"{str(path)[-30:]!r}",
            lambda one=path: viz.save_figure(graph, one, ("svg",)),
        )
    trial.tally.expect(sorted(folder.iterdir()) == before, "something was left behind")
    trial.tally.expect(asdict(graph.style) == asdict(STYLES["paper-single"]), "a style was changed")
