"""The figure studio: a fusion graph as it will be printed, nodes to be dragged, files, and the call that makes it."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
from collections.abc import Iterable
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
from ...viz.style import brief
from ..jupyter import _hear_always
from ..studio.view import page_script

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


ENDINGS = {
    "pdf": "pdf",
    "svg": "svg",
    "png": "png",
    "tikz": "tikz",
    "tex": "tikz",
    "html": "html",
}  # and formats


STOPS = 400  # of the slider along the search, at most


HERE = Path(__file__).parent


class FigureStudio(anywidget.AnyWidget):
    """A figure that is made by hand: `FigureStudio(run)` as the last line of a cell.

    source: a run, its folder, an event log, an architecture, a search space, or a graph of `fusion_graph`. settings:
    those of `save_fusion_graph` (style, width, title, dropped, labels, color, legend, colorbar, threshold, split, step,
    layout). `figure` is what is shown, `code` the call that makes it; `save` writes it, `save_layout` writes what was
    dragged.
    """

    _esm = page_script(HERE / "figure_studio.js")
    _css = "\n".join(
        (HERE / name).read_text(encoding="utf-8")
        for name in ("../studio/studio.css", "figure_studio.css")
    )
    svg = traitlets.Unicode("").tag(sync=True)  # the figure
    nodes = traitlets.List().tag(
        sync=True
    )  # [name, x, y, width, height], mm from the upper left corner
    settings = traitlets.Dict().tag(sync=True)
    choices = traitlets.Dict().tag(sync=True)
    code = traitlets.Unicode("").tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)  # one line, for what went wrong
    notices = traitlets.List().tag(sync=True)  # what the figure shows otherwise than told, and why
    done = traitlets.Int(0).tag(sync=True)  # how many wishes of the page were seen to

    def __init__(self, source, **settings):
        super().__init__()
        self._lock, self._given, self._source = threading.RLock(), source, opened(source)
        self._layouts: dict[bool, dict] = {
            False: {},
            True: {},
        }  # of the plain graph, and of the split one
        log = self._source.log if isinstance(self._source, Run) else self._source
        steps = (
            [step.step for step in log.steps]
            if isinstance(log, EventLog) and log.alpha.size
            else []
        )
        self.choices = {
            "style": list(STYLES),
            "widths": {name: one.width for name, one in STYLES.items()},
            "steps": steps[:: -max(1, -(-len(steps) // STOPS))][::-1],
            "split": not isinstance(source, nx.DiGraph),
        }
        self.set(**settings)
        _hear_always(self.comm)
        self.on_msg(self._asked)

    # --- what a person does -------------------------------------------------------------------------------------------
    def set(self, **settings) -> FigureStudio:
        """Change what is shown. Raises MTLNASError for a setting or a value there is not; then nothing has changed."""
        if unknown := set(settings) - set(DEFAULTS):
            raise ConfigError(
                f"there is no setting {', '.join(sorted(unknown))}; there are {', '.join(DEFAULTS)}"
            )
        with self._lock, self.hold_sync():
            now = {**DEFAULTS, **self.settings, **settings}
            if not isinstance(now["style"], str):
                raise ConfigError(
                    f"style={brief(now['style'])} is no name; the studio takes one of {', '.join(STYLES)}"
                )
            if not isinstance(now["split"], bool):
                raise ConfigError(f"split={brief(now['split'])}; give True or False")
            split, layouts = bool(now["split"]), self._layouts
            if "layout" in settings:
                layouts = {**layouts, split: read_layout(settings["layout"]) or {}}
            now["layout"] = layouts[split] or None
            graph = fusion_graph(self._source, split=split, step=now["step"])
            figure = GraphFigure(
                graph,
                **{name: value for name, value in now.items() if name not in ("split", "step")},
            )
            page, scene = figure.page(), figure.scene()
            self._layouts, self._figure, self._page, self.settings = layouts, figure, page, now
            self.svg, self.code, self.message = to_svg(scene), self._call(), ""
            self.notices = [one if len(one) <= 300 else f"{one[:299]}…" for one in scene.notes]
            self.nodes = [
                [node, x, scene.height - y, *(2 * half for half in page.size(node))]
                for node, (x, y) in page.at.items()
            ]
        return self

    def move(self, places: dict[str, tuple[float, float]]) -> FigureStudio:
        """Put nodes at {node: (x, y)}, in the units of a layout; a place of None is where it was before all moving."""
        with self._lock:
            kept = {**self._layouts[bool(self.settings["split"])], **places}
            return self.set(
                layout={node: place for node, place in kept.items() if place is not None}
            )

    figure = property(
        lambda self: self._figure, doc="What is shown (GraphFigure), for `save_figure`."
    )
    layout_now = property(
        lambda self: dict(self.settings["layout"] or {}), doc="{node: (x, y)} of what was moved."
    )

    def files(self, formats: Iterable[str] = FORMATS) -> dict[str, bytes]:
        """{ending: bytes}, as `code` would write them."""
        return figure_files(self._figure, formats, self._facts())[0]

    def save(
        self, out: str | os.PathLike = "figures", formats: Iterable[str] = FORMATS
    ) -> list[Path]:
        """Write `out`/fusion_graph.pdf and so on."""
        return save_figure(self._figure, Path(out) / "fusion_graph", formats, self._facts())

    def save_layout(self, path: str | os.PathLike) -> Path:
        """Write where nodes were put, as JSON that every `layout=` takes."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._layout_text(), encoding="utf-8")
        return path

    # --- what follows from that ---------------------------------------------------------------------------------------
    def _facts(self) -> dict:
        step = self.settings["step"]
        return provenance(self._source, **({} if step is None else {"step": step}))

    def _layout_text(self) -> str:
        return json.dumps(self.layout_now, indent=1, ensure_ascii=False) + "\n"

    def _call(self) -> str:
        lines = [
            f"    {name}={value!r},"
            for name, value in self.settings.items()
            if value != DEFAULTS[name]
        ]
        formats = ", ".join(f'"{name}"' for name in FORMATS)
        return "\n".join(
            [
                "from mtlnas_lab.viz import save_fusion_graph",
                "",
                "save_fusion_graph(",
                f'    {self._name()}, "figures", ({formats}),',
                *lines,
                ")",
            ]
        )

    def _name(self) -> str:
        """The source as Python: the path of a run, or the name it has in the notebook."""
        if isinstance(self._given, (str, os.PathLike)):
            return repr(os.fspath(self._given))
        try:
            from IPython import get_ipython

            names = get_ipython().user_ns
        except (ImportError, AttributeError):
            names = {}
        known = [
            name
            for name, value in names.items()
            if value is self._given and not name.startswith("_")
        ]
        return (
            known[0]
            if known
            else repr(str(self._source.path))
            if isinstance(self._source, Run)
            else "source"
        )

    def _asked(self, view, content, buffers) -> None:
        """A wish of the page. Runs in whatever thread the kernel answers in."""
        with self._lock:
            try:
                match content:
                    case {"do": "change", "settings": dict(settings), "moves": dict(moves)}:
                        if isinstance(settings.get("layout"), str):
                            raise ConfigError("a page can't open a layout; give its path in Python")
                        if settings:
                            self.set(**{str(name): value for name, value in settings.items()})
                        if moves:  # mm from the upper left corner; null: back to its place
                            self.move(
                                {
                                    node: place and self._in_ladder(*place)
                                    for node, place in moves.items()
                                }
                            )
                    case {"do": "reset"}:
                        self.set(layout=None)
                    case {"do": "download", "what": "layout", "token": token}:
                        self._hand("layout.json", self._layout_text().encode(), token)
                    case {"do": "download", "what": str(ending), "token": token} if (
                        ending in ENDINGS
                    ):
                        self._hand(
                            f"fusion_graph.{ending}", self.files((ENDINGS[ending],))[ending], token
                        )
            except (
                MTLNASError,
                TypeError,
                ValueError,
                LookupError,
                ArithmeticError,
                OSError,
            ) as error:
                self.message = str(error)[:500]
            self.done += 1

    def _in_ladder(self, x: float, y: float) -> tuple[float, float]:
        return tuple(
            round(value, 3)
            for value in self._page.in_ladder(float(x), self._page.height - float(y))
        )

    def _hand(self, name: str, data: bytes, token) -> None:
        self.send({"file": name, "token": token}, [data])

    # --- where no widget can live -------------------------------------------------------------------------------------
    def picture(self) -> bytes:
        """The figure as it is now (PNG), not wider than a page of a notebook."""
        scene, stream = self._figure.scene(), io.BytesIO()
        draw(scene).figure.savefig(stream, format="png", dpi=min(200, 900 * 25.4 / scene.width))
        return stream.getvalue()

    def _repr_mimebundle_(self, **options):
        data, *metadata = super()._repr_mimebundle_(**options)
        graph = self._figure.graph
        kept = sum(bool(d.get("kept")) for *_, d in graph.edges(data=True))
        tasks = ", ".join(dict.fromkeys(d["task"] for _, d in graph.nodes(data=True)))
        caption = f"Fusion graph of {tasks}: {kept} edges kept"
        return {
            **data,
            "text/plain": caption,
            "image/png": base64.b64encode(self.picture()).decode(),
        }, *metadata
