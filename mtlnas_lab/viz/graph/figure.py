"""What to draw and how, checked before anything is drawn: it may come from a file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace

import networkx as nx
import numpy as np

from ...errors import ConfigError, MTLNASError, SpaceError
from ...storage.jsonl import parse_object
from ...storage.safe_files import read
from ..seeing import is_marked, mark, seen, together, write_seen
from ..style import LONGEST, PT, WIDEST, FigureStyle, brief, in_range, noting
from ..style import style as style_named
from .layout import Layout
from .legend import legend, legend_height
from .shapes import Scene, moved

NODE_DATA = {"task", "stage", "lane", "group", "index", "size", "channels", "kind"}
CHOICES = {"dropped": ("faint", "hide"), "color": ("probability", "source")}
LIMIT = 2**22  # bytes of a layout
FAR = 10_000  # units that a node may stand away from the first one
MOST_FIGURES = 400  # of a grid
MOST_NODES = 2_000  # that one picture draws in bearable time
MOST_EDGES = 3_000
LONGEST_TITLE = 100_000  # letters; what does not fit is in the file's description


@dataclass(frozen=True)
class GraphFigure:
    """A fusion graph and how it should look: one specification, from which every format is written.

    Args:
        graph: what `fusion_graph`, `consensus_graph` or `difference_graph` made.
        style: a name of `STYLES`, or a FigureStyle: the width of the page, its fonts and its colours.
        width: mm; otherwise as wide as the style.
        dropped: 'faint' or 'hide', for edges that are not kept.
        labels: what stands in the nodes: 'stage', 'channels', {node: text} or None.
        color: 'probability' colours edges by σ(α), 'source' as the task that they come from.
        legend: explains width, colour and dashes on arrows.
        colorbar: explains colours on a strip.
        title: above the picture.
        threshold: edges with a smaller probability are left out; from 0 to 1.
        layout: {node: (x, y)}, or a JSON file of that, in the units of `ladder_layout`. A node that is not named
            stays where the ladder puts it.

    Raises:
        ConfigError: for a choice there is not.
        SpaceError: for a graph without the data that `fusion_graph` gives it.

    Example:
        >>> from mtlnas_lab import SearchSpace, Stage
        >>> from mtlnas_lab.viz import fusion_graph
        >>> stages = [Stage(channels=8, group=0, index=0, size=1)]
        >>> space = SearchSpace.build({"segmentation": stages, "normals": stages})
        >>> figure = GraphFigure(fusion_graph(space, alpha=[2.0, -2.0]), dropped="hide")
        >>> [(source, target) for source, target, _ in figure.edges()]
        [('normals:0', 'segmentation:0')]
        >>> figure.scene().width
        85
    """

    graph: nx.DiGraph
    style: FigureStyle | str = "paper-single"
    width: float | None = None
    dropped: str = "faint"
    labels: str | Mapping[str, str] | None = "stage"
    color: str = "probability"
    legend: bool = True
    colorbar: bool = True
    title: str | None = None
    threshold: float = 0.0
    layout: Mapping[str, tuple[float, float]] | str | os.PathLike | None = None

    def __post_init__(self):
        look = style_named(self.style)
        layout = read_layout(self.layout)
        if self.width is not None:
            look = replace(look, width=in_range("the width is", self.width, 1, WIDEST, "mm"))
        object.__setattr__(self, "style", look)
        object.__setattr__(self, "layout", layout)
        self._check_choices()
        unknown = set(layout or ()) - set(self.graph)
        if unknown:
            raise ConfigError(
                f"the layout names {min(unknown)[:100]}, which is not a node of this graph; give a layout "
                "of this space, with or without split as the graph is"
            )
        _check_graph(self.graph)
        drawn = len(self.edges())
        if drawn > MOST_EDGES:
            raise ConfigError(
                f"this picture would have {drawn} fusion edges, at most {MOST_EDGES} can be drawn; "
                "hide the dropped ones (dropped='hide'), or give a higher threshold"
            )

    def _check_choices(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in choices:
                raise ConfigError(
                    f"{name}={brief(value)} is not a choice; take one of {', '.join(choices)}"
                )
        for name in ("legend", "colorbar"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise ConfigError(f"{name}={brief(getattr(self, name))}; give True or False")
        check_title(self.title)
        if self.labels is not None and self.labels not in ("stage", "channels"):
            _check_labels(self.labels)
        in_range("threshold is a probability and not", self.threshold, 0, 1)

    def edges(self) -> list[tuple[str, str, dict]]:
        """(source, target, data) of the fusion edges that are drawn; number i has the id `edge-i` in SVG and HTML."""
        found = []
        for a, b, data in self.graph.edges(data=True):
            if data["kind"] != "fusion" or data["probability"] < self.threshold:
                continue
            if data["kept"] or self.dropped == "faint":
                found.append((a, b, {**data, "task": self.graph.nodes[a]["task"]}))
        return found

    @property
    def faint(self) -> bool:
        """Whether dropped edges can be seen."""
        return self.dropped == "faint" and self.threshold <= 0.5

    @property
    def seen(self) -> list[str]:
        """What the networks see, a sentence each; none where all of them see the image."""
        return seen(self.graph)

    def page(self, width: float | None = None, height: float | None = None) -> Layout:
        """Where everything stands, in mm."""
        return Layout(self, width or self.style.width, height)

    def scene(self, width: float | None = None, height: float | None = None) -> Scene:
        """The picture, `width` × `height` mm; by default as wide as the style and as high as the lanes need."""
        with noting() as notes:
            page = self.page(width, height)
            items = tuple(page.items())
        return Scene(page.width, page.height, items, self.style, self, tuple(notes.lines()))

    def to_json(self) -> dict:
        """Plain data, of which `from_json` makes the same figure again."""
        record = {field.name: getattr(self, field.name) for field in fields(self)}
        record["style"] = asdict(self.style)
        record["graph"] = nx.node_link_data(self.graph, edges="edges")
        return record

    @classmethod
    def from_json(cls, data: Mapping) -> GraphFigure:
        """A figure of what `to_json` made of one. Raises ConfigError for anything else."""
        try:
            # Of a file of a later version, which may know more fields, those that are known here count.
            record = {field.name: data[field.name] for field in fields(cls) if field.name in data}
            if not isinstance(record.get("layout") or {}, Mapping):
                raise TypeError(
                    "layout"
                )  # a path: a figure's file may not make us open another one
            record["graph"] = nx.node_link_graph(
                data["graph"], edges="edges", directed=True, multigraph=False
            )
            record["style"] = FigureStyle.from_json(data["style"])
            return cls(**record)
        except MTLNASError as error:
            raise ConfigError(f"this describes no fusion graph: {error}") from None
        except (LookupError, TypeError, ValueError, AttributeError, nx.NetworkXException) as error:
            raise ConfigError(f"this describes no fusion graph: {brief(error)}") from None


def check_title(title) -> None:
    """Raises ConfigError for a title that is not a text, or is a whole book."""
    if title is not None and not isinstance(title, str):
        raise ConfigError(f"title={brief(title)} is not a text; give one, or None")
    if title is not None and len(title) > LONGEST_TITLE:
        raise ConfigError(
            f"title={brief(title)} has {len(title)} letters; give at most {LONGEST_TITLE}"
        )


def _check_labels(labels) -> None:
    if isinstance(labels, Mapping):
        texts = [*labels.keys(), *labels.values()]
        if all(isinstance(text, str) for text in texts):
            return
    raise ConfigError(
        f"labels={brief(labels)} is not a choice; take 'stage', 'channels', {{node: text}} or None"
    )


def _check_graph(graph) -> None:
    """Raises SpaceError for a graph without the data that `fusion_graph` gives it, or too large for a picture."""
    if not isinstance(graph, nx.Graph):
        raise SpaceError(f"a {type(graph).__name__} is not a graph; make one with fusion_graph")
    if not len(graph) or any(NODE_DATA - set(data) for _, data in graph.nodes(data=True)):
        raise SpaceError(
            f"this graph has no nodes with {', '.join(sorted(NODE_DATA))}; make it with fusion_graph"
        )
    if len(graph) > MOST_NODES:
        raise SpaceError(
            f"this graph has {len(graph)} nodes, at most {MOST_NODES} can be drawn; draw a space of "
            "fewer tasks or stages"
        )
    for node, data in graph.nodes(data=True):
        _check_node(node, data)
    for a, b, data in graph.edges(data=True):
        _check_edge(f"{brief(a)} -> {brief(b)}", data)
    _check_facts(graph.graph)


def _check_node(node, data: Mapping) -> None:
    if not isinstance(node, str) or not isinstance(data["task"], str):
        raise SpaceError(f"node {brief(node)} or its task is not a text; make it with fusion_graph")
    for name in ("stage", "lane", "group", "index", "size", "channels"):
        value = data[name]
        if type(value) is not int or not 0 <= value < 10**9:
            raise SpaceError(
                f"node {brief(node)} has {name}={brief(value)}; give a whole number from 0 to 10⁹"
            )
    if not data["index"] < data["size"] <= MOST_NODES:
        raise SpaceError(
            f"node {brief(node)} is number {data['index']} of {data['size']} in its group; "
            "numbers count from 0"
        )
    if "view" in data and not isinstance(data["view"], str):
        raise SpaceError(f"node {brief(node)} has view={brief(data['view'])}; give a text")
    in_range(f"visibility of node {brief(node)} is", data.get("visibility", 1.0), 0, 1)
    if data["kind"] not in ("stage", "features", "fused"):
        raise SpaceError(
            f"node {brief(node)} has kind={brief(data['kind'])}; take stage, features or fused"
        )


def _check_edge(name: str, data: Mapping) -> None:
    if data.get("kind") not in ("fusion", "backbone"):
        raise SpaceError(f"edge {name} has kind={brief(data.get('kind'))}; take fusion or backbone")
    if data["kind"] == "backbone":
        return
    p = data.get("probability", 0.0)
    number = isinstance(p, (int, float)) and not isinstance(p, bool)
    if not (number and 0 <= p <= 1 and isinstance(data.get("kept"), bool)):
        raise SpaceError(
            f"edge {name} has probability {brief(p)}; a fusion edge has one from 0 to 1, and kept"
        )


def _check_facts(facts: Mapping) -> None:
    weights = facts.get("weights", "alpha")
    if weights not in ("alpha", "frequency", "difference", "none"):  # see `weights_of`
        raise SpaceError(
            f"weights={brief(weights)} of this graph; take alpha, frequency, difference or none"
        )
    if not isinstance(facts.get("seen", ""), str):
        raise SpaceError(f"seen={brief(facts['seen'])} of this graph is not a text")
    if weights == "difference":
        for name in ("first", "second"):
            if not isinstance(facts.get(name), str):
                raise SpaceError(
                    f"{name}={brief(facts.get(name))} of this difference is not a text"
                )


def read_layout(layout) -> dict[str, tuple[float, float]] | None:
    """{node: (x, y)} of that, or of a JSON file of it. Raises ConfigError for anything else.

    Of a link the file is read that it leads to; of pipes, devices and files above 4 MiB nothing is.
    """
    if layout is None:
        return None
    name = "the layout"
    try:
        if isinstance(layout, (str, os.PathLike)):
            name = f"the layout {os.fspath(layout)[:200]}"
            layout = parse_object(read(os.path.realpath(layout), LIMIT))
        return {_text(node): _place(node, place) for node, place in dict(layout).items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{name} is none ({error or type(error).__name__}); give {{node: (x, y)}} or a JSON file"
        ) from None


def _text(node) -> str:
    if not isinstance(node, str) or len(node) > 10 * LONGEST:
        raise ConfigError(f"{brief(node)} is not the name of a node")
    return node


def _place(node: str, place) -> tuple[float, float]:
    pair: tuple = ()
    if isinstance(place, Iterable) and not isinstance(place, str):
        pair = tuple(place)
    if len(pair) != 2:
        raise ConfigError(f"{brief(node)} stands at {brief(place)}, which is not (x, y)")
    x, y = (in_range(f"{brief(node)} stands at", value, -FAR, FAR) for value in pair)
    return float(x), float(y)


@dataclass(frozen=True)
class GraphGrid:
    """Fusion graphs in rows of `columns`, in the style of the first, with one legend; `scene()` is the picture."""

    figures: tuple[GraphFigure, ...]
    columns: int = 2

    def __post_init__(self):
        if type(self.columns) is not int or not 1 <= self.columns <= MOST_FIGURES:
            raise ConfigError(
                f"columns={brief(self.columns)}; give a whole number from 1 to {MOST_FIGURES}"
            )
        if not self.figures or len(self.figures) > MOST_FIGURES:
            raise ConfigError(
                f"there are {len(self.figures)} figures to draw; give at least one figure and at most "
                f"{MOST_FIGURES}"
            )
        if sum(len(figure.graph.edges) for figure in self.figures) > 5 * MOST_EDGES:
            raise ConfigError(
                f"these {len(self.figures)} figures have more than {5 * MOST_EDGES} edges; draw fewer "
                "of them in one picture"
            )

    @property
    def style(self) -> FigureStyle:
        """The style of the first figure, in which all are drawn."""
        return self.figures[0].style

    @property
    def seen(self) -> list[str]:
        """What the networks see, with the titles of those that differ from the others."""
        named = {}
        for number, figure in enumerate(self.figures, 1):
            named[figure.title or f"graph {number}"] = figure.seen
        return together(named)

    def scene(self) -> Scene:
        """The picture, as wide as the style; graphs stand in rows from the top, the legend below all of them."""
        with noting() as notes:
            scene = self._scene()
        return replace(scene, notes=tuple(notes.lines()))

    def _scene(self) -> Scene:
        width = self.style.width
        em = self.style.font * PT
        columns = min(self.columns, len(self.figures))
        rows = math.ceil(len(self.figures) / columns)
        wide = width / columns
        plain = {"style": self.style, "legend": False, "colorbar": False}
        figures = self._marked_alike()
        scenes = [replace(figure, **plain).scene(wide) for figure in figures]
        high = max(scene.height for scene in scenes)

        first = figures[0]
        pen = Layout(first, width, None).pen
        below = legend_height(first, list(pen.colors), width - 1.8 * em) + 0.3 * em
        items = list(legend(first, pen, em, width - 0.8 * em, below))
        for i, scene in enumerate(scenes):
            row, column = divmod(i, columns)
            up = below + (rows - row) * high - scene.height
            items += moved(scene, column * wide, up, f"graph-{i}-")
        return Scene(width, below + rows * high, tuple(items), self.style, self)

    def _marked_alike(self) -> list[GraphFigure]:
        """The figures, all with eyes where one of them has: one layout. The first has the sentences of all."""
        if not any(is_marked(figure.graph) for figure in self.figures):
            return list(self.figures)
        found = []
        for figure in self.figures:
            graph = figure.graph.copy()
            if not is_marked(graph):
                mark(graph, {})
            found.append(replace(figure, graph=graph))
        write_seen(found[0].graph, self.seen)
        return found

    def to_json(self) -> dict:
        """Plain data, of which `from_json` makes the same grid again."""
        return {"grid": [figure.to_json() for figure in self.figures], "columns": self.columns}

    @classmethod
    def from_json(cls, data: Mapping) -> GraphGrid:
        """A grid of what `to_json` made of one. Raises ConfigError for anything else."""
        if not isinstance(data["grid"], list) or len(data["grid"]) > MOST_FIGURES:
            raise ConfigError(f"grid={brief(data['grid'])}; give at most {MOST_FIGURES} figures")
        figures = tuple(GraphFigure.from_json(figure) for figure in data["grid"])
        return cls(figures, data["columns"])
