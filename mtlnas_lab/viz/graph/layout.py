"""From a fusion graph to shapes on paper: where everything is, then everything from back to front."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ...errors import ConfigError
from ..seeing import is_marked, words
from ..style import BOLD, PT, note, shorten, text_width
from .build import is_split, ladder_layout, weights_of
from .eye import WIDTH, eye
from .legend import EdgeStyle, describe, legend, legend_height
from .routes import Nodes, Point, routes
from .shapes import Box, Curve, Text

RISE = 0.365  # of the size of a text, from its base line to the middle of its letters


class Group(NamedTuple):
    """The shading behind a group of stages."""

    number: int
    left: float
    right: float
    text: str  # above it
    short: str  # where the text is too long


class Layout:
    """One computation of a scene for a GraphFigure, `width` mm wide; all lengths in mm.

    Lanes run from left to right, names stand before them (turned by 90° where they would take too much room), groups of
    stages are shaded, the legend is below. Nodes have labels where all of them fit.
    """

    def __init__(self, spec, width: float, height: float | None):
        self.spec = spec
        self.style = spec.style
        self.graph = spec.graph
        self.width = width
        self.em = self.style.font * PT
        self.small = self.style.small * PT
        self.split = is_split(self.graph)
        self.data = dict(self.graph.nodes(data=True))
        lanes = sorted(self.data.values(), key=lambda data: data["lane"])
        self.tasks = list(dict.fromkeys(data["task"] for data in lanes))

        ladder = ladder_layout(self.graph)
        places = {node: (float(x), float(y)) for node, (x, y) in ladder.items()}
        places.update(spec.layout or {})  # where a person put a node
        self._measure_columns(places)
        self._measure_nodes(ladder)
        self._measure_lanes(places, height)

        crowd = max(0.4, min(1.0, self._room()))
        self.pen = EdgeStyle(
            self.style,
            self.style.colors(self.tasks),
            weights_of(self.graph),
            spec.color == "source",
            self.style.line * crowd,
        )

    # --- where things stand -------------------------------------------------------------------------------------------
    def _measure_columns(self, places: Mapping[str, Point]) -> None:
        """Sets where the lanes begin and how far two stages are apart."""
        self.names = BOLD * max(text_width(task, self.style.font) for task in self.tasks)
        self.turned = self.names > 0.17 * self.width
        self.left = self.names + 1.2 * self.em
        if self.turned:
            self.left = 1.9 * self.em
        self.eyes = 0.0  # the room for an eye beside each name
        if is_marked(self.graph):
            self.eyes = (WIDTH + 0.45) * self.em
        self.left += self.eyes
        xs = [x for x, _ in places.values()]
        self.columns = max(xs) - min(xs) + 1.5  # in distances of two stages, ¾ of one at each end
        self.unit = (self.width - self.left - 1.2 * self.em) / self.columns
        if self.unit < 0.2 * self.em:
            least = self.width + (0.2 * self.em - self.unit) * self.columns
            raise ConfigError(
                f"{self.width:g} mm is not wide enough for this graph at {self.style.font:g} pt; give "
                f"{least:.0f} mm"
            )
        self.reach = 0.62 * self.unit  # from a node to the edge of its group
        if self.split:
            self.reach = 0.5 * self.unit

    def _measure_nodes(self, ladder: Mapping[str, Point]) -> None:
        """Sets how large nodes are, and whether they have labels."""
        nearest = _nearest(ladder, self.data)
        # Of the distance to the next node that a node takes to one side.
        share = 0.46 if self.split else 0.36
        self.radius = min(share * nearest * self.unit, 1.1 * self.em)
        widest = max(text_width(self.label(node), self.style.small) for node in self.data)
        label = widest / 2 + 0.1 * self.small
        most = max(0.46 * nearest * self.unit, self.radius)
        self.labelled = label <= most and 0.8 * self.small < 2 * self.radius
        self.half = self.radius  # half the width of a node, which may be longer than high
        if self.labelled:
            self.half = max(self.radius, min(label + 0.15 * self.small, most))
        elif label > 0.11 * self.small:  # there are labels, and no room for them
            unit = max(label / 0.46, 0.41 * self.small / share) / nearest
            least = self.left + 1.2 * self.em + unit * self.columns
            note(
                f"nodes have no labels: at {self.width:g} mm they are too small for letters of "
                f"{self.style.small:g} pt; from {math.ceil(least)} mm on there is room"
            )

    def _measure_lanes(self, places: Mapping[str, Point], height: float | None) -> None:
        """Sets the height of the page and where each node is."""
        xs = [x for x, _ in places.values()]
        ys = [y for _, y in places.values()]
        lanes = max(ys) - min(ys)
        above = 0.4 * self.em + 1.6 * self.small
        if self.spec.title:
            above = 0.4 * self.em + 1.7 * self.em + 1.6 * self.small
        room = self.width - 0.8 * self.em - self.left
        below = legend_height(self.spec, self.tasks, room) + 0.2 * self.em
        lane = max(3.3 * self.unit, 9 * self.radius)  # from one lane to the next
        if lanes >= 2:
            lane = 0.85 * lane
        lane = min(lane, 0.28 * self.width)
        pad = 1.9 * self.radius  # from a lane to the edge of the shading
        if self.turned:  # names stand upright in their lanes
            page = max(self.width, 6 * self.style.font)
            lane = max(lane, min(self.names, 9 * self.em, 0.35 * page))
            beside = min(2 * self.small, below)
            pad = max(pad, min(self.names, lane) / 2 - beside + 0.2 * self.em)

        self.height = height or above + below + 2 * pad + lane * lanes
        self.lane = lane
        if lanes:  # a height that was given spreads the lanes
            rest = self.height - above - below - 2 * pad
            self.lane = max(rest / lanes, 2.5 * self.radius)
        self.top = self.height - above
        self.bottom = self.top - 2 * pad - self.lane * lanes
        left = self.left + (0.75 - min(xs)) * self.unit
        low = self.bottom + pad - min(ys) * self.lane
        self.origin = (left, low)
        self.at = {}
        for node, (x, y) in places.items():
            self.at[node] = (left + x * self.unit, low + y * self.lane)

    def in_ladder(self, x: float, y: float) -> tuple[float, float]:
        """A point of the page (mm) in the units of a layout."""
        left, low = self.origin
        if not self.lane:
            return (x - left) / self.unit, -0.0
        return (x - left) / self.unit, (y - low) / self.lane

    def _room(self) -> float:
        """Room on the rims of the nodes for each arrow that ends there, in widths of an arrow head."""
        edges = [data for *_, data in self.graph.edges(data=True) if data["kind"] == "fusion"]
        arrows = max(sum(data["kept"] for data in edges), len(edges) / 2, 1)
        sides = 2 * len(self.data) * (len(self.tasks) - 1) / len(self.tasks)
        return 2.1 * self.radius * sides / (6.8 * arrows * self.style.line * PT)

    # --- shapes, from back to front -----------------------------------------------------------------------------------
    def items(self) -> Iterator[Curve | Box | Text]:
        """All shapes: what comes later covers what came before."""
        edges = sorted(self.edges(), key=lambda edge: edge[0])  # strong edges above weak ones
        yield from self.groups()
        yield from (curve for (kept, _), curve in edges if not kept)
        yield from self.backbones()
        yield from (curve for (kept, _), curve in edges if kept)
        yield from self.nodes()
        yield from self.names_of_lanes()
        if self.eyes:
            yield from self.eyes_of_lanes()
        if self.spec.title:
            size = self.style.font
            title = shorten(self.spec.title, size, (self.width - self.em) / BOLD)
            y = self.height - 1.3 * self.em
            yield Text(0.4 * self.em, y, title, size, self.style.ink, "start", True)
        yield from legend(self.spec, self.pen, self.left, self.width - 0.8 * self.em, self.bottom)

    def groups(self) -> Iterator[Box | Text]:
        """The shading behind the groups of stages, and how wide they are above it."""
        members = defaultdict(list)
        for node, data in self.data.items():
            members[data["group"]].append(node)
        found = [self._group(number, nodes) for number, nodes in sorted(members.items())]
        size = self.style.small
        whole = all(text_width(one.text, size) < one.right - one.left for one in found)
        for one in found:
            x = (one.left + one.right) / 2
            y = (self.top + self.bottom) / 2
            yield Box(
                x,
                y,
                one.right - one.left,
                self.top - self.bottom,
                0.35 * self.em,
                self.style.shade,
                id=f"group-{one.number}",
            )
            # All of them, or none: a page looks as if by one hand.
            text = one.text if whole else one.short
            text = shorten(text, size, one.right - one.left + 0.4 * self.em)
            yield Text(x, self.top + 0.45 * self.small, text, size, self.style.soft)

    def _group(self, number: int, nodes: list[str]) -> Group:
        left = min(self.at[node][0] for node in nodes) - self.reach
        right = max(self.at[node][0] for node in nodes) + self.reach
        channels = {self.data[node]["channels"] for node in nodes}
        if len(channels) == 1:
            text = f"{channels.pop()}"
            return Group(number, left, right, text + " ch", text)
        text = f"group {number}"
        return Group(number, left, right, text, text)

    def backbones(self) -> Iterator[Curve]:
        """The chains of stages, with a line that enters each and an arrow that leaves it."""
        for a, b, data in self.graph.edges(data=True):
            if data["kind"] == "backbone":
                title = f"{a} → {b}, backbone"
                yield self.chain(self.at[a], self.at[b], self.data[a]["task"], title)
        for task in self.tasks:
            own = self._lane(task)
            x, y = own[0]
            yield self.chain((x - self.half - 0.5 * self.em, y), own[0], task)
            x, y = own[-1]
            yield self.chain(own[-1], (x + self.half + 0.75 * self.em, y), task, head=True)

    def _lane(self, task: str) -> list[Point]:
        """Where the nodes of a task are, from its first stage to its last."""
        return [self.at[node] for node, data in self.data.items() if data["task"] == task]

    def chain(self, a: Point, b: Point, task: str, title: str = "", head: bool = False) -> Curve:
        """A straight line from a to b in the colour of a task."""
        corners = None
        end = b
        if head:
            x, y = b
            size = 0.45 * self.em
            corners = ((x - size, y + 0.45 * size), (x - size, y - 0.45 * size), b)
            end = (x - 0.8 * size, y)
        points = tuple((float(x), float(y)) for x, y in np.linspace(a, end, 4))
        width = 1.9 * self.style.line
        return Curve(points, self.pen.colors[task], width, head=corners, title=title)

    def label(self, node: str) -> str:
        """What stands in a node."""
        labels = self.spec.labels
        data = self.data[node]
        if labels is None or data["kind"] == "features":
            return ""
        if isinstance(labels, str):
            return str(data[labels])
        return shorten(str(labels.get(node, "")), self.style.small, 0.84 * self.unit)

    def size(self, node: str) -> tuple[float, float]:
        """Half the width and half the height of a node."""
        if self.data[node]["kind"] == "features":
            return 0.5 * self.radius, 0.5 * self.radius
        return self.half, self.radius

    def nodes(self) -> Iterator[Box | Text]:
        """The nodes in the colours of their tasks, features hollow, and their labels."""
        for node, data in self.data.items():
            x, y = self.at[node]
            half, height = self.size(node)
            color = self.pen.colors[data["task"]]
            name = f"node-{data['lane']}-{data['stage']}"
            fill = color
            stroke = self.style.paper  # keeps edges and nodes apart
            if data["kind"] == "features":
                name += "-features"
                fill = self.style.paper
                stroke = color
            title = f"{node}, {data['channels']} channels, group {data['group']}"
            line = self.style.line
            yield Box(x, y, 2 * half, 2 * height, height, fill, stroke, line, name, title)
            text = self.label(node) if self.labelled else ""
            if text:
                ink = self.style.on(color)
                yield Text(x, y - RISE * self.small, text, self.style.small, ink)

    def names_of_lanes(self) -> Iterator[Text]:
        """The names of the tasks before their lanes, small where one of them is too long."""
        ink = self.style.ink
        room = self.lane / BOLD if self.turned else (self.left - self.eyes - self.em) / BOLD
        size = self.style.font
        if any(text_width(task, size) > room for task in self.tasks):
            size = self.style.small
        for lane, task in enumerate(self.tasks):
            y = self._height(task)
            text = shorten(task, size, room)
            name = f"task-{lane}"
            if self.turned:
                yield Text(1.2 * self.em, y, text, size, ink, "middle", True, 90, name)
            else:
                x = self.left - self.eyes - 0.5 * self.em
                yield Text(x, y - RISE * self.em, text, size, ink, "end", True, 0, name)

    def eyes_of_lanes(self) -> Iterator[Curve | Box]:
        """An eye between the name of each task and its lane: what its network sees."""
        x = self.left - (0.5 + WIDTH / 2) * self.em
        firsts = {data["task"]: data for data in reversed(self.data.values())}
        for lane, task in enumerate(self.tasks):
            view = firsts[task].get("view", "image")
            share = firsts[task].get("visibility", 1.0)
            title = f"{task} sees {words(view, share)}"
            yield from eye(x, self._height(task), self.style, view, share, f"eye-{lane}", title)

    def _height(self, task: str) -> float:
        """The height of a lane's name: nodes may have been moved."""
        return float(np.median([y for _, y in self._lane(task)]))

    def edges(self) -> Iterator[tuple[tuple[bool, float], Curve]]:
        """((kept, probability), arrow) of each fusion edge that is drawn."""
        found = self.spec.edges()
        lanes = {node: data["lane"] for node, data in self.data.items()}
        sizes = {node: self.size(node) for node in self.data}
        nodes = Nodes(self.at, lanes, sizes)
        paths = routes([(a, b) for a, b, _ in found], nodes, self.unit, 0.1 * self.small)
        for i, (a, b, data) in enumerate(found):
            title = describe(a, b, data, self.pen.weights)
            arrow = self.pen.arrow(paths[a, b], data, f"edge-{i}", title)
            yield (data["kept"], data["probability"]), arrow


def _nearest(ladder: Mapping[str, Point], data: Mapping[str, Mapping]) -> float:
    """The smallest distance of two neighbours in a lane, in distances of two stages."""
    rows = defaultdict(list)
    for node, one in data.items():
        rows[one["task"]].append(ladder[node][0])
    distances = []
    for row in rows.values():
        row.sort()
        distances += [b - a for a, b in zip(row, row[1:])]
    return min(distances, default=1.0)
