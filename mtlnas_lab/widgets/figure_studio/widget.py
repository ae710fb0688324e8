"""The figure studio: a fusion graph as it will be printed, nodes to be dragged, files, and the call that makes it."""

from __future__ import annotations

import io
import json
import math
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import anywidget
import networkx as nx
import traitlets

from ...errors import ConfigError, MTLNASError
from ...runs.event_log import EventLog
from ...runs.run import Run
from ...viz import STYLES, GraphFigure, figure_files, fusion_graph, provenance, save_figure
from ...viz.export import FORMATS
from ...viz.graph.figure import read_layout
from ...viz.graph.shapes import draw
from ...viz.graph.svg_tikz import to_svg
from ...viz.sources import opened
from ...viz.style import brief, style
from ..jupyter import deliver_directly
from ..still import BACK, shown
from ..studio.runner import one_line
from ..studio.view import page_script, page_style

HERE = Path(__file__).parent

DEFAULTS = {
    "style": "paper-single",
    "width": None,
    "title": None,
    "dropped": "faint",
    "labels": "stage",
    "color": "probability",
    "legend": True,
    "colorbar": True,
    "threshold": 0.0,
    "split": False,
    "step": None,
    "layout": None,
}
OF_THE_GRAPH = ("split", "step")  # the other settings are of the figure

# What a page can download: the ending of the file, and the format that has it.
ENDINGS = {
    "pdf": "pdf",
    "svg": "svg",
    "png": "png",
    "tikz": "tikz",
    "tex": "tikz",
    "html": "html",
}

STOPS = 400  # of the slider along the search, at most
LONGEST_NOTICE = 300
WIDEST = 900  # pixels of the still picture, about the width of a notebook
FINEST = 200  # dots per inch of it
MM_PER_INCH = 25.4


class FigureStudio(anywidget.AnyWidget):
    """A figure that is made by hand: `FigureStudio(run)` as the last line of a cell.

    `figure` is what is shown, `code` the call that makes it; `save` writes it, `save_layout` writes what was dragged.

    Args:
        source: a run, its folder, an event log, an architecture, a search space, or a graph of `fusion_graph`.
        **settings: those of `save_fusion_graph`: style, width (mm), title, dropped, labels, color, legend, colorbar,
            threshold, split, step, layout.

    Raises:
        MTLNASError: for a source that has no graph, or a setting or a value that there is not.

    Example:
        >>> from mtlnas_lab import FigureStudio, SearchSpace
        >>> from mtlnas_lab.core.space import paper_rules, plan
        >>> stages = plan([8, 8, 16], [2, 1])                # channels of each stage, stages of each group
        >>> space = SearchSpace.build({"depth": stages, "normals": stages}, paper_rules())
        >>> studio = FigureStudio(space, title="Candidates")
        >>> studio.move({"depth:1": (3.0, 0.5)}).layout_now
        {'depth:1': (3.0, 0.5)}
        >>> print(studio.code)
        from mtlnas_lab.viz import save_fusion_graph
        <BLANKLINE>
        save_fusion_graph(
            source, "figures", ("pdf", "svg", "png", "tikz", "html"),
            title='Candidates',
            layout={'depth:1': (3.0, 0.5)},
        )
    """

    _esm = page_script(HERE / "figure_studio.js")
    _css = page_style(HERE.parent / "studio" / "studio.css", HERE / "figure_studio.css")
    svg = traitlets.Unicode("").tag(sync=True)  # the figure
    # [name, x, y, width, height] of each node, mm from the upper left corner
    nodes = traitlets.List().tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    choices = traitlets.Dict().tag(sync=True)
    code = traitlets.Unicode("").tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)  # one line, for what went wrong
    notices = traitlets.List().tag(sync=True)  # what the figure shows otherwise than told, and why
    done = traitlets.Int(0).tag(sync=True)  # how many wishes of the page were seen to

    def __init__(self, source, **settings):
        super().__init__()
        self._lock = threading.RLock()
        self._given = source
        self._source = opened(source)
        # What was moved, in the plain graph and in the split one: they have other nodes.
        self._layouts: dict[bool, dict] = {False: {}, True: {}}
        self.choices = {
            "style": list(STYLES),
            "widths": {name: one.width for name, one in STYLES.items()},
            "steps": _stops(self._source),
            "split": not isinstance(self._source, nx.DiGraph),
        }
        self.set(**settings)
        deliver_directly(self.comm)
        self.on_msg(self._on_message)

    # --- what a person does -------------------------------------------------------------------------------------------
    def set(self, **settings) -> FigureStudio:
        """Change what is shown. Raises MTLNASError for a setting or a value there is not; then nothing has changed."""
        unknown = set(settings) - set(DEFAULTS)
        if unknown:
            raise ConfigError(
                f"there is no setting {', '.join(sorted(unknown))}; there are {', '.join(DEFAULTS)}"
            )
        with self._lock, self.hold_sync():
            now = {**DEFAULTS, **self.settings, **settings}
            _check(now)
            split = now["split"]
            layouts = dict(self._layouts)
            if "layout" in settings:
                layouts[split] = read_layout(settings["layout"]) or {}
            now["layout"] = layouts[split] or None
            graph = fusion_graph(self._source, split=split, step=now["step"])
            look = {name: value for name, value in now.items() if name not in OF_THE_GRAPH}
            figure = GraphFigure(graph, **look)
            # All that can be refused comes before the first change.
            page = figure.page()
            scene = figure.scene()
            svg = to_svg(scene)
            self._layouts = layouts
            self._figure = figure
            self._page = page
            self.settings = now
            self.svg = svg
            self.code = self._call()
            self.message = ""
            self.notices = [_cut(notice) for notice in scene.notes]
            self.nodes = _places(page, scene.height)
        return self

    def move(self, places: Mapping[str, tuple[float, float] | None]) -> FigureStudio:
        """Put nodes at {node: (x, y)}, in the units of a layout; a place of None is where it was before all moving."""
        with self._lock:
            moved = {**self.layout_now, **places}
            return self.set(
                layout={node: place for node, place in moved.items() if place is not None}
            )

    @property
    def figure(self) -> GraphFigure:
        """What is shown, for `save_figure`."""
        return self._figure

    @property
    def layout_now(self) -> dict[str, tuple[float, float]]:
        """{node: (x, y)} of what was moved."""
        return dict(self.settings["layout"] or {})

    def files(self, formats: Iterable[str] = FORMATS) -> dict[str, bytes]:
        """{ending: bytes}, as `code` would write them."""
        files, _ = figure_files(self._figure, formats, self._provenance())
        return files

    def save(
        self, out: str | os.PathLike = "figures", formats: Iterable[str] = FORMATS
    ) -> list[Path]:
        """Write `out`/fusion_graph.pdf and so on."""
        return save_figure(self._figure, Path(out) / "fusion_graph", formats, self._provenance())

    def save_layout(self, path: str | os.PathLike) -> Path:
        """Write where nodes were put, as JSON that every `layout=` takes."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._layout_text(), encoding="utf-8")
        return path

    # --- what follows from that ---------------------------------------------------------------------------------------
    def _provenance(self) -> dict:
        step = self.settings["step"]
        if step is None:
            return provenance(self._source)
        return provenance(self._source, step=step)

    def _layout_text(self) -> str:
        return json.dumps(self.layout_now, indent=1, ensure_ascii=False) + "\n"

    def _call(self) -> str:
        """The Python that makes the figure."""
        formats = ", ".join(f'"{name}"' for name in FORMATS)
        lines = [
            "from mtlnas_lab.viz import save_fusion_graph",
            "",
            "save_fusion_graph(",
            f'    {self._name()}, "figures", ({formats}),',
        ]
        for name, value in self.settings.items():
            if value != DEFAULTS[name]:
                lines.append(f"    {name}={value!r},")
        lines.append(")")
        return "\n".join(lines)

    def _name(self) -> str:
        """The source as Python: the path of a run, or the name it has in the notebook."""
        if isinstance(self._given, (str, os.PathLike)):
            return repr(os.fspath(self._given))
        for name, value in list(_names_in_the_notebook().items()):  # a cell may add names meanwhile
            if value is self._given and not name.startswith("_"):
                return name
        if isinstance(self._source, Run):
            return repr(str(self._source.path))
        return "source"

    # --- wishes of the page -------------------------------------------------------------------------------------------
    def _on_message(self, view, content, buffers) -> None:
        """Runs in whatever thread the kernel answers in."""
        with self._lock:
            try:
                match content:
                    case {"do": "change", "settings": dict(settings), "moves": dict(moves)}:
                        self._change(settings, moves)
                    case {"do": "reset"}:
                        self.set(layout=None)
                    case {"do": "download", "what": str(what), "token": token}:
                        self._download(what, token)
            except (
                MTLNASError,
                TypeError,
                ValueError,
                LookupError,
                ArithmeticError,
                OSError,
            ) as error:
                self.message = one_line(error)
            self.done += 1

    def _change(self, settings: dict, moves: dict) -> None:
        """moves: {node: (x, y) in mm from the upper left corner, or None: back to its place}."""
        if isinstance(settings.get("layout"), str):
            raise ConfigError("a page can't open a layout; give its path in Python")
        if settings:
            self.set(**{str(name): value for name, value in settings.items()})
        if moves:
            places = {}
            for node, place in moves.items():
                places[node] = self._in_layout(*place) if place else None
            self.move(places)

    def _in_layout(self, x: float, y: float) -> tuple[float, float]:
        """A place on the page, in the units of a layout."""
        across, up = self._page.in_ladder(float(x), self._page.height - float(y))
        return round(across, 3), round(up, 3)

    def _download(self, what: str, token) -> None:
        """Send a file to the page that asked: each page has a token of its own."""
        if what == "layout":
            name = "layout.json"
            data = self._layout_text().encode()
        elif what in ENDINGS:
            name = f"fusion_graph.{what}"
            data = self.files((ENDINGS[what],))[what]
        else:
            return
        self.send({"file": name, "token": token}, [data])

    # --- where no widget can live -------------------------------------------------------------------------------------
    def picture(self) -> bytes:
        """The figure as it is now (PNG), not wider than a page of a notebook."""
        scene = self._figure.scene()
        stream = io.BytesIO()
        dpi = min(FINEST, WIDEST * MM_PER_INCH / scene.width)
        draw(scene).figure.savefig(stream, format="png", dpi=dpi)
        return stream.getvalue()

    def _caption(self) -> str:
        graph = self._figure.graph
        kept = sum(bool(edge.get("kept")) for _, _, edge in graph.edges(data=True))
        tasks = dict.fromkeys(node["task"] for _, node in graph.nodes(data=True))
        return f"Fusion graph of {', '.join(tasks)}: {kept} edges kept"

    def _repr_mimebundle_(self, **options):
        data, metadata = super()._repr_mimebundle_(**options)
        dark = style(self._figure.style).dark  # and so on dark paper already
        picture, about = shown(self.picture(), drawing=not dark)
        data = {**data, "text/plain": f"{self._caption()}. {BACK}", **picture}
        return data, metadata | about


def _check(settings: Mapping) -> None:
    """What the studio takes fewer values of than a figure does. Raises ConfigError."""
    if not isinstance(settings["style"], str):
        raise ConfigError(
            f"style={brief(settings['style'])} is not a name; the studio takes one of {', '.join(STYLES)}"
        )
    if not isinstance(settings["split"], bool):
        raise ConfigError(f"split={brief(settings['split'])}; give True or False")


def _stops(source) -> list[int]:
    """The steps on the slider along the search: every so many, and the last one."""
    log = source.log if isinstance(source, Run) else source
    if not isinstance(log, EventLog) or not log.alpha.size:
        return []
    steps = [step.step for step in log.steps]
    stride = math.ceil(len(steps) / STOPS)
    backwards = steps[::-stride]
    return backwards[::-1]


def _places(page, height: float) -> list[list]:
    """[name, x, y, width, height] of each node, mm from the upper left corner."""
    places = []
    for node, (x, y) in page.at.items():
        half_width, half_height = page.size(node)
        places.append([node, x, height - y, 2 * half_width, 2 * half_height])
    return places


def _cut(notice: str) -> str:
    if len(notice) <= LONGEST_NOTICE:
        return notice
    return f"{notice[: LONGEST_NOTICE - 1]}…"


def _names_in_the_notebook() -> dict:
    try:
        from IPython import get_ipython

        return get_ipython().user_ns
    except (ImportError, AttributeError):  # not in a notebook
        return {}
