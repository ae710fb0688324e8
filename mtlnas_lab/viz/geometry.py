"""What to draw and how: one specification, from which every format is written."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import networkx as nx

from ..errors import ConfigError, SpaceError
from .looks import legend, legend_height
from .page import Page
from .scene import Scene, moved
from .style import PT, FigureStyle
from .style import style as style_named

NODE_DATA = {"task", "stage", "lane", "group", "index", "size", "channels", "kind"}
CHOICES = {"dropped": ("faint", "hide"), "color": ("probability", "source")}


@dataclass(frozen=True)
class GraphFigure:
    """A fusion graph and how it should look; `scene()` is the picture.

    Raises ConfigError for a choice there is not, SpaceError for a graph without the data that `fusion_graph` gives it.
    """

    graph: nx.DiGraph
    style: FigureStyle | str = "paper-single"
    width: float | None = None  # mm; otherwise as wide as the style
    dropped: str = "faint"  # or 'hide'
    labels: str | Mapping[str, str] | None = "stage"  # or 'channels', or {node: text}
    color: str = "probability"  # or 'source': as the task an edge comes from
    legend: bool = True  # what width, colour and dashes mean, on arrows
    colorbar: bool = True
    title: str | None = None
    threshold: float = 0.0  # edges with a smaller probability are left out
    layout: Mapping[str, tuple[float, float]] | str | os.PathLike | None = (
        None  # {node: (x, y)}, or a JSON file of
    )
    # that, in the units of ladder_layout; where that puts a node that is not named here, it stays

    def __post_init__(self):
        look, layout = style_named(self.style), read_layout(self.layout)
        object.__setattr__(
            self, "style", look if self.width is None else replace(look, width=self.width)
        )
        object.__setattr__(self, "layout", layout)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name}={getattr(self, name)!r} is no choice; take one of {', '.join(choices)}"
                )
        if isinstance(self.labels, str) and self.labels not in ("stage", "channels"):
            raise ConfigError(
                f"labels={self.labels!r} is no choice; take 'stage', 'channels', {{node: text}} or None"
            )
        if not 0 <= self.threshold <= 1:
            raise ConfigError(
                f"threshold={self.threshold!r} is no probability; give a number from 0 to 1"
            )
        if unknown := set(layout or ()) - set(self.graph):
            raise ConfigError(
                f"the layout names {min(unknown)}, which is no node of this graph; give a layout of this "
                "space, with or without split as the graph is"
            )
        if not len(self.graph) or any(
            NODE_DATA - set(data) for _, data in self.graph.nodes(data=True)
        ):
            raise SpaceError(
                f"this graph has no nodes with {', '.join(sorted(NODE_DATA))}; make it with fusion_graph"
            )
        for a, b, data in self.graph.edges(data=True):
            p = data.get("probability", 0.0)
            if data.get("kind") == "fusion" and not (
                isinstance(p, (int, float)) and 0 <= p <= 1 and "kept" in data
            ):
                raise SpaceError(
                    f"edge {a} -> {b} has probability {p}; a fusion edge has one from 0 to 1, and kept"
                )

    def edges(self) -> list[tuple[str, str, dict]]:
        """(source, target, data) of the fusion edges that are drawn; number i has the id `edge-i` in SVG and HTML."""
        found = [
            (a, b, {**d, "task": self.graph.nodes[a]["task"]})
            for a, b, d in self.graph.edges(data=True)
            if d["kind"] == "fusion" and (d["kept"] or self.dropped == "faint")
        ]
        return [edge for edge in found if edge[2]["probability"] >= self.threshold]

    @property
    def faint(self) -> bool:
        """Whether dropped edges can be seen."""
        return self.dropped == "faint" and self.threshold <= 0.5

    def page(self, width: float | None = None, height: float | None = None) -> Page:
        """Where everything stands, in mm."""
        return Page(self, width or self.style.width, height)

    def scene(self, width: float | None = None, height: float | None = None) -> Scene:
        """The picture, `width` × `height` mm; by default as wide as the style and as high as the lanes need."""
        page = self.page(width, height)
        return Scene(page.width, page.height, tuple(page.items()), self.style, self)

    def to_json(self) -> dict:
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "style": asdict(self.style),
            "graph": nx.node_link_data(self.graph, edges="edges"),
        }

    @classmethod
    def from_json(cls, data: Mapping) -> GraphFigure:
        try:
            graph = nx.node_link_graph(
                data["graph"], edges="edges", directed=True, multigraph=False
            )
            look = {
                f.name: data[f.name] for f in fields(cls) if f.name in data
            }  # a later version may know more
            if not isinstance(look.get("layout") or {}, Mapping):
                raise TypeError("layout")  # a file here names no other file
            return cls(**{**look, "graph": graph, "style": FigureStyle.from_json(data["style"])})
        except (KeyError, TypeError, ValueError, AttributeError, nx.NetworkXException) as error:
            raise ConfigError(f"this describes no fusion graph: {error!r}") from None


def read_layout(layout) -> dict[str, tuple[float, float]] | None:
    """{node: (x, y)} of that, or of a JSON file of it. Raises ConfigError for anything else."""
    name = f"the layout {layout}" if isinstance(layout, (str, os.PathLike)) else "the layout"
    try:
        if name != "the layout":
            layout = json.loads(Path(layout).read_text(encoding="utf-8"))
        found = (
            None
            if layout is None
            else {str(node): (float(x), float(y)) for node, (x, y) in dict(layout).items()}
        )
        if not all(map(math.isfinite, sum((found or {}).values(), ()))):
            raise ValueError("not finite")
        return found
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{name} is none ({type(error).__name__}); give {{node: (x, y)}} or a JSON file"
        ) from None


@dataclass(frozen=True)
class GraphGrid:
    """Fusion graphs in rows of `columns`, in the style of the first, with one legend; `scene()` is the picture."""

    figures: tuple[GraphFigure, ...]
    columns: int = 2

    def __post_init__(self):
        if not self.figures or self.columns < 1:
            raise ConfigError("there is nothing to draw; give at least one figure and one column")

    @property
    def style(self) -> FigureStyle:
        return self.figures[0].style

    def scene(self) -> Scene:
        first, em, width = self.figures[0], self.style.font * PT, self.style.width
        columns = min(self.columns, len(self.figures))
        rows, wide = -(-len(self.figures) // columns), width / columns
        plain = {"style": self.style, "legend": False, "colorbar": False}
        scenes = [replace(figure, **plain).scene(wide) for figure in self.figures]
        high, below = max(scene.height for scene in scenes), legend_height(first) + 0.3 * em
        items = list(legend(first, Page(first, width, None).pen, em, width - 0.8 * em, below))
        for i, scene in enumerate(scenes):
            up = below + (rows - i // columns) * high - scene.height
            items += moved(scene, i % columns * wide, up, f"graph-{i}-")
        return Scene(width, below + rows * high, tuple(items), self.style, self)

    def to_json(self) -> dict:
        return {"grid": [figure.to_json() for figure in self.figures], "columns": self.columns}

    @classmethod
    def from_json(cls, data: Mapping) -> GraphGrid:
        return cls(
            tuple(GraphFigure.from_json(figure) for figure in data["grid"]), int(data["columns"])
        )
